"""Telephones made of a socket each: they send a tone, keep what they are sent, and press keys."""

import asyncio
import secrets
import struct
import time
from typing import Any, Self

import numpy as np

from rtp.keys import DIGITS
from rtp.recording import Decoder

FRAME_S, FRAME = 0.02, 160
#: A tone is heard when it is louder than this, of 8 000.
LOUD = 1000
PATIENCE_S = 20
LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
PAD = "123A456B789C*0#D"
NAMES = {8: "PCMA", 0: "PCMU", 9: "G722"}


def _code(kind: int) -> np.ndarray:
    """What byte says each 16-bit sample best, by sample // 16."""
    values = Decoder(NAMES[kind], 8000).decode(bytes(range(256))).astype(int)
    order = np.argsort(values, kind="stable")
    wanted = np.arange(-2048, 2048) * 16
    at = np.clip(np.searchsorted(values[order], wanted), 0, 255)
    return order[at].astype(np.uint8)


CODES = {kind: _code(kind) for kind in (8, 0)}


def tone(*hz: float, ms: int = 1000) -> np.ndarray:
    """Samples at 8 000."""
    at = np.arange(8 * ms) / 8000
    return sum(np.sin(2 * np.pi * each * at) for each in hz) * (8000 / len(hz))


def encode(samples: np.ndarray, kind: int) -> bytes:
    """As PCMA or PCMU."""
    return CODES[kind][np.clip(samples.astype(int) // 16 + 2048, 0, 4095)].tobytes()


class Telephone(asyncio.DatagramProtocol):
    """async with Telephone(600) as a: a.to = port(await session.admit("a", a.sdp()))"""

    def __init__(self, hz: int, kinds: str = "8", *, events: int = 101, lines: str = "") -> None:
        self.hz, self.kinds, self.events, self.lines = hz, kinds, events, lines
        self.kind = int(kinds.split()[0])
        self.to = 0
        self.got: list[tuple[float, int, int, bytes]] = []
        self._queue: list[tuple[int, int, int | None, bytes]] = []
        self._ssrc, self._sequence = secrets.randbits(32), secrets.randbits(16)
        self.stamp = secrets.randbits(31)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self._transport.get_extra_info("sockname")[1]
        self.say(self.hz)
        self._task = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._task.cancel()
        self._transport.close()

    def say(self, hz: int) -> None:
        """Another tone."""
        self.hz = hz
        self._tone = encode(tone(hz), self.kind if self.kind in CODES else 8)

    def sdp(self, direction: str = "sendrecv", address: str = "127.0.0.1", more: str = "") -> str:
        """Its description."""
        events = (f"a=rtpmap:{self.events} telephone-event/8000\r\na=fmtp:{self.events} 0-15\r\n"
                  if self.events else "")
        kinds = f"{self.kinds} {self.events}" if self.events else self.kinds
        return (f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
                f"m=audio {self.port} RTP/AVP {kinds}\r\n{self.lines}{events}a={direction}\r\n"
                + more)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if len(data) > 12 and not 64 <= data[1] & 127 <= 95:
            self.got.append((time.monotonic(), data[1] & 127,
                             struct.unpack_from(">I", data, 8)[0], data[12:]))

    async def _send(self) -> None:
        number, due = 0, time.monotonic()
        while True:
            if self.to:
                at = number * FRAME % 8000
                self._packet(*(self._queue.pop(0) if self._queue else (
                    self.kind, 0, None, self._tone[at:at + FRAME])))
                number += 1
            due += FRAME_S
            await asyncio.sleep(max(0, due - time.monotonic()))

    def _packet(self, kind: int, mark: int, stamp: int | None, payload: bytes) -> None:
        self._sequence = (self._sequence + 1) % 65536
        head = struct.pack(">BBHII", 0x80, kind | mark << 7, self._sequence,
                           (self.stamp if stamp is None else stamp) % 2**32, self._ssrc)
        self._transport.sendto(head + payload, ("127.0.0.1", self.to))
        self.stamp += FRAME

    def burst(self) -> None:
        """What is queued leaves at once, as after a network that has stalled."""
        while self._queue:
            self._packet(*self._queue.pop(0))

    def press(self, digit: str, frames: int = 5) -> None:
        """As RFC 4733 says: one event in several packets, its end three times."""
        event, stamp = DIGITS.index(digit), self.stamp + FRAME * len(self._queue)
        for n in range(1, frames + 4):
            end = 0x80 if n > frames else 0
            length = FRAME * min(n, frames + 1)
            self._queue.append((self.events, int(n == 1), stamp,
                                struct.pack(">BBH", event, end | 10, length)))

    def whistle(self, digit: str, ms: int = 120) -> None:
        """The two tones of a key, with silence around them."""
        row, column = divmod(PAD.index(digit), 4)
        quiet = np.zeros(2400)
        sound = encode(np.concatenate([quiet, tone(LOW[row], HIGH[column], ms=ms), quiet]),
                       self.kind)
        self._queue += [(self.kind, 0, None, sound[at:at + FRAME])
                        for at in range(0, len(sound), FRAME)]

    def tones(self, since: float) -> set[int]:
        """The tones in what it was sent, in steps of 20 Hz."""
        parts = [Decoder(NAMES[kind], 8000).decode(payload)
                 for at, kind, _, payload in self.got if at > since and kind in CODES]
        if not parts:
            return set()
        sound = np.concatenate(parts).astype(float)
        if len(sound) < 1600:
            return set()
        level = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) / len(sound) * 4
        loud = np.fft.rfftfreq(len(sound), 1 / 8000)[level > LOUD]
        return {round(float(hz) / 20) * 20 for hz in loud}

    async def hears(self, *hz: int, for_s: float = 0.4) -> None:
        """Until it has heard just these tones for so long; none = nothing at all is sent."""
        until = time.monotonic() + PATIENCE_S
        while True:
            start = time.monotonic()
            await asyncio.sleep(for_s)
            found = self.tones(start)
            if not hz and not [1 for packet in self.got if packet[0] > start]:
                return
            if hz and found == set(hz):
                return
            assert time.monotonic() < until, f"heard {found}, not {hz}"
