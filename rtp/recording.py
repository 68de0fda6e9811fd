"""A recorded call: from what rtpengine captured to one stereo FLAC, the caller on the left.

rtpengine writes every packet as it arrived into a pcap, and the session descriptions into a text
file beside it. Packets are placed by their RTP timestamps, so that gaps become silence and
reordered packets find their place; a new source (SSRC) or a jump of the clock is placed by the
time it was captured. Works in windows: memory does not grow with the length of the call.
"""

import hashlib
import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import av
import numpy as np
import soundfile

from rtp.errors import BadCapture

Samples = np.ndarray[tuple[int], np.dtype[np.int16]]

WINDOW_S: Final = 20
#: A timestamp further than this from where the clock says is a new beginning.
JUMP_S: Final = 5.0
MAX_CALL_S: Final = 24 * 3600
#: Begins the lines that a session adds to rtpengine's text.
_OURS: Final = "vaxel-"
_SAID: Final = re.compile(rf"^{_OURS}(start|part|left) ([0-9 ]{{1,2000}})$", re.MULTILINE)
_CODEC: Final = re.compile(rf"^{_OURS}codec (\d{{1,5}}) (\d{{1,3}}) ([A-Z0-9-]+)$", re.MULTILINE)
_STATIC: Final = {0: "PCMU", 8: "PCMA", 9: "G722"}


class Packet(NamedTuple):
    """One captured RTP packet. at_s: Unix seconds."""

    at_s: float
    port: int
    payload_type: int
    timestamp: int
    ssrc: int
    payload: bytes


class Metadata(NamedTuple):
    """What the text file says. uid: ours; codecs: by payload type; caller_port: where the caller's
    packets arrive, 0 = not known; ended: rtpengine closed the recording itself."""

    pcap: str
    uid: str
    codecs: dict[int, str]
    caller_port: int
    ended: bool


class Part(NamedTuple):
    """A part of a recording that may have been paused, and what a session says of it.

    start_ms: when the first part began (Unix), 0 = with the first packet; number: from 1; left:
    the ports of the left channel; ports: the codecs that come to each, by payload type.
    """

    metadata: Metadata
    start_ms: int = 0
    number: int = 1
    left: frozenset[int] = frozenset()
    ports: Mapping[int, Mapping[int, str]] = MappingProxyType({})


class Recorded(NamedTuple):
    """A finished file."""

    path: Path
    started_ms: int
    duration_ms: int
    bytes: int
    sha256: str


def read_metadata(text: str) -> Metadata:
    """rtpengine's text: the pcap's path, the SDPs it sent with their mode, times, our metadata."""
    lines = text.splitlines()
    codecs = dict(_STATIC)
    for match in re.finditer(r"^a=rtpmap:(\d{1,3}) ([A-Za-z0-9-]+)/", text, re.MULTILINE):
        codecs[int(match[1])] = match[2].upper()
    caller_port = 0
    for part in re.split(r"^SDP mode: ", text, flags=re.MULTILINE)[1:]:
        port = re.search(r"^m=audio (\d{1,5}) ", part, re.MULTILINE)
        if part.startswith("answer") and port and not caller_port:
            caller_port = int(port[1])  # what the caller was told to send to
    uids = [line for line in lines if re.fullmatch(r"[0-9a-f]{28}", line.strip())]
    for match in _CODEC.finditer(text):
        codecs.setdefault(int(match[2]), match[3])
    said = _said(text)
    return Metadata(lines[0].strip() if lines else "", uids[-1].strip() if uids else "", codecs,
                    caller_port or _number(said.get("left")), "call end time:" in text)


def read_part(text: str) -> Part:
    """The same with what a session added to it by describe()."""
    said = _said(text)
    ports: dict[int, dict[int, str]] = {}
    for match in _CODEC.finditer(text):
        ports.setdefault(int(match[1]), {})[int(match[2])] = match[3]
    return Part(read_metadata(text), _number(said.get("start")), _number(said.get("part")) or 1,
                frozenset(map(int, said.get("left", "").split())), ports)


def _said(text: str) -> dict[str, str]:
    return {match[1]: match[2] for match in _SAID.finditer(text)}


def _number(text: str | None) -> int:
    words = (text or "").split()
    return int(words[0]) if words else 0


def describe(uid: str, start_ms: int, part: int, left: Iterable[int],
             codecs: Mapping[int, Mapping[int, str]]) -> str:
    """What a session has rtpengine write into the text file; its last line is the uid."""
    lines = [f"{_OURS}start {start_ms}", f"{_OURS}part {part}",
             f"{_OURS}left {' '.join(map(str, sorted(left)))}",
             *(f"{_OURS}codec {port} {kind} {name}" for port, kinds in sorted(codecs.items())
               for kind, name in sorted(kinds.items())), uid]
    return "\n".join(lines)


def read_pcap(path: Path) -> Iterator[Packet]:
    """The RTP packets of a capture; what is cut off at its end is left out. BadCapture."""
    with path.open("rb") as file:
        head = file.read(24)
        if len(head) < 24:
            raise BadCapture(f"{path.name}: shorter than a header")
        order = "<" if head[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
        if struct.unpack(order + "I", head[:4])[0] not in (0xA1B2C3D4, 0xA1B23C4D):
            raise BadCapture(f"{path.name}: not a capture")
        scale = 1e-9 if struct.unpack(order + "I", head[:4])[0] == 0xA1B23C4D else 1e-6
        link = struct.unpack(order + "I", head[20:24])[0] & 0xFFFF
        skip = {1: 14, 113: 16}.get(link, 0)
        while len(head := file.read(16)) == 16:
            seconds, part, length, _ = struct.unpack(order + "IIII", head)
            if length > 65600:
                return
            data = file.read(length)
            if len(data) < length:
                return
            packet = _rtp(seconds + part * scale, data[skip:])
            if packet:
                yield packet


def _rtp(at_s: float, data: bytes) -> Packet | None:
    if len(data) < 1:
        return None
    version = data[0] >> 4
    if version == 4:
        udp = (data[0] & 15) * 4
        protocol = data[9] if len(data) > 9 else 0
    else:
        udp, protocol = 40, data[6] if len(data) > 6 else 0
    rtp = udp + 8
    if version not in (4, 6) or protocol != 17 or len(data) < rtp + 12 or data[rtp] >> 6 != 2:
        return None
    kind = data[rtp + 1] & 127
    if 64 <= kind <= 95:  # RTCP (RFC 5761)
        return None
    port = struct.unpack_from(">H", data, udp + 2)[0]
    timestamp, ssrc = struct.unpack_from(">II", data, rtp + 4)
    start = rtp + 12 + 4 * (data[rtp] & 15)
    if data[rtp] & 16:
        if len(data) < start + 4:
            return None
        start += 4 + 4 * struct.unpack_from(">H", data, start + 2)[0]
    end = len(data) - (data[-1] if data[rtp] & 32 else 0)
    return Packet(at_s, port, kind, timestamp, ssrc, data[start:end]) if start < end else None


# -- codecs -----------------------------------------------------------------------------------

def _alaw_table() -> Samples:
    values = []
    for code in range(256):
        code ^= 0x55
        exponent, mantissa = code >> 4 & 7, code & 15
        value = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << exponent - 1
        values.append(value if code & 0x80 else -value)
    return np.array(values, dtype=np.int16)


def _ulaw_table() -> Samples:
    values = []
    for code in range(256):
        code = ~code & 0xFF
        value = (((code & 15) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
        values.append(-value if code & 0x80 else value)
    return np.array(values, dtype=np.int16)


_TABLES: Final = {"PCMA": _alaw_table(), "PCMU": _ulaw_table()}
#: RTP clock of a codec, Hz. G.722's is 8 000 by an old mistake that stays (RFC 3551 section 4.5.2).
CLOCKS: Final = {"PCMA": 8000, "PCMU": 8000, "G722": 8000, "OPUS": 48000}
_AV_NAMES: Final = {"OPUS": "opus", "G722": "g722"}


class Decoder:
    """Payloads of one codec to 16-bit mono at the file's rate."""

    def __init__(self, codec: str, rate: int) -> None:
        self._table = _TABLES.get(codec)
        self._rate = rate
        if self._table is None:
            context = av.CodecContext.create(_AV_NAMES[codec], "r")
            if not isinstance(context, av.AudioCodecContext):
                raise BadCapture(f"{codec} is no audio")
            if codec == "OPUS":
                context.sample_rate = 48000
                context.layout = "stereo"
            else:
                context.sample_rate = 16000
                context.layout = "mono"
            self._context = context
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)

    def decode(self, payload: bytes) -> Samples:
        """What the payload says, [] when it cannot be decoded."""
        if self._table is not None:
            samples = self._table[np.frombuffer(payload, dtype=np.uint8)]
            if self._rate != 8000:
                wide = np.interp(np.arange(len(samples) * self._rate // 8000) * 8000 / self._rate,
                                 np.arange(len(samples)), samples)
                samples = wide.astype(np.int16)
            return samples
        parts: list[Samples] = []
        try:
            for frame in self._context.decode(av.Packet(payload)):
                parts += [part.to_ndarray()[0] for part in self._resampler.resample(frame)]
        except av.error.FFmpegError:
            return np.zeros(0, dtype=np.int16)
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16)


class Placer:
    """Where the packets of one side belong: RTP timestamp to sample of the file."""

    def __init__(self, start_s: float, rate: int) -> None:
        self._start_s = start_s
        self._rate = rate
        self._ssrc = -1
        self._first_timestamp = 0
        self._first_sample = 0

    def place(self, packet: Packet, clock: int) -> int:
        """The sample at which the packet begins."""
        by_clock = round((packet.at_s - self._start_s) * self._rate)
        if packet.ssrc == self._ssrc:
            ticks = (packet.timestamp - self._first_timestamp + 2**31) % 2**32 - 2**31
            sample = self._first_sample + ticks * self._rate // clock
            if abs(sample - by_clock) <= JUMP_S * self._rate:
                return sample
        self._ssrc = packet.ssrc
        self._first_timestamp = packet.timestamp
        self._first_sample = max(by_clock, 0)
        return self._first_sample


class Window:
    """Two channels under construction; what leaves the window is written."""

    def __init__(self, rate: int, write: Callable[[np.ndarray], None]) -> None:
        self._size = WINDOW_S * rate
        self._data = np.zeros((2 * self._size, 2), dtype=np.int16)
        self._base = 0
        self._end = 0
        self._write = write

    def put(self, channel: int, at: int, samples: Samples) -> None:
        """Lay samples at their place; too late or too far ahead of all reason: left out."""
        while at + len(samples) > self._base + 2 * self._size:
            if at - self._base > MAX_CALL_S * self._size // WINDOW_S:
                return
            self._shift()
        start = at - self._base
        if start < 0:
            samples = samples[-start:]
            start = 0
        self._data[start:start + len(samples), channel] = samples
        self._end = max(self._end, self._base + start + len(samples))

    def _shift(self) -> None:
        self._write(self._data[:self._size])
        self._data[:self._size] = self._data[self._size:]
        self._data[self._size:] = 0
        self._base += self._size

    def finish(self) -> int:
        """Write the rest; the number of samples in all."""
        self._write(self._data[:max(self._end - self._base, 0)])
        return max(self._end, self._base)


def convert(pcap: Path, metadata: Metadata, out: Path) -> Recorded | None:
    """Make the FLAC; None when nothing was ever said. BadCapture when it cannot be read."""
    return combine([(pcap, Part(metadata))], out)


def combine(parts: Sequence[tuple[Path, Part]], out: Path) -> Recorded | None:
    """Make one FLAC of the parts of a recording that was paused, with silence for the pauses.

    The file is written beside, synced and renamed: there is a whole one or none.
    """
    parts = sorted(parts, key=lambda found: (found[1].start_ms, found[1].number))
    firsts = []
    rate = 8000
    for pcap, part in parts:
        first = None
        for packet in read_pcap(pcap):
            first = first or packet
            if _codec(packet, part) in ("OPUS", "G722"):
                rate = 16000
                break
        firsts += [first] if first else []
    if not firsts:
        return None
    start_s = min(packet.at_s for packet in firsts)
    if 0 <= start_s - parts[0][1].start_ms / 1000 < MAX_CALL_S:
        start_s = parts[0][1].start_ms / 1000
    beside = out.with_name(out.name + ".new")
    out.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        written = _write(parts, beside, start_s, rate)
        if written == 0:
            return None
        beside.chmod(0o600)
        with beside.open("rb") as done:
            digest = hashlib.file_digest(done, "sha256").hexdigest()
            os.fsync(done.fileno())
        beside.rename(out)
    finally:
        beside.unlink(missing_ok=True)
    return Recorded(out, round(start_s * 1000), written * 1000 // rate, out.stat().st_size, digest)


def _codec(packet: Packet, part: Part) -> str:
    """Its name; a port that a session has described is not judged by what others use."""
    return part.ports.get(packet.port, part.metadata.codecs).get(packet.payload_type, "")


def _write(parts: Sequence[tuple[Path, Part]], path: Path, start_s: float, rate: int) -> int:
    """Place every packet; the number of samples written."""
    with soundfile.SoundFile(path, "w", samplerate=rate, channels=2, format="FLAC",
                             subtype="PCM_16") as file:
        window = Window(rate, file.write)
        for pcap, part in parts:
            _write_part(pcap, part, window, start_s, rate)
        return window.finish()


def _write_part(pcap: Path, part: Part, window: Window, start_s: float, rate: int) -> None:
    left = set(part.left) or {part.metadata.caller_port} - {0}
    placers = (Placer(start_s, rate), Placer(start_s, rate))
    decoders: dict[tuple[int, int, str], Decoder] = {}
    for packet in read_pcap(pcap):
        codec = _codec(packet, part)
        if codec not in CLOCKS:
            continue
        left = left or {packet.port}
        channel = 0 if packet.port in left else 1
        key = (channel, packet.ssrc, codec)
        if key not in decoders:
            if len(decoders) > 64:
                continue
            decoders[key] = Decoder(codec, rate)
        samples = decoders[key].decode(packet.payload)
        if len(samples):
            window.put(channel, placers[channel].place(packet, CLOCKS[codec]), samples)
