"""Sound to play to callers: an upload, a recording or a tone becomes one prompt.

A prompt is a directory with the same sound at the rate of every codec, so that rtpengine's
`play media` neither resamples much nor badly. It appears whole or not at all, and one that is
replaced is never missing in between. The length, the offset (DC) and the level are made right;
nothing is trimmed. Memory does not grow with the length of the sound.

An upload is hostile until it is read: its first bytes choose the one parser that sees it. What
libsndfile does not read goes to ffmpeg in a process of its own with bounds on time, memory and
output, without a choice of parsers that open other files, and without a network protocol.

Everything here blocks: call it from a thread.
"""

import contextlib
import ctypes
import hashlib
import os
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import av
import numpy as np
import soundfile

from rtp.errors import BadAudio

Samples = np.ndarray[tuple[int], np.dtype[np.float32]]
#: Anything numpy computes, on its way to become Samples.
Array = np.ndarray[Any, np.dtype[Any]]

#: What a prompt directory holds: file and rate, Hz.
FILES: Final = {"8k.wav": 8000, "16k.wav": 16000, "48k.caf": 48000}
#: What a media node opens quickly.
CAF: Final = {"format": "CAF", "endian": "LITTLE"}
#: Bounds of an upload. A greeting is under a minute; ten minutes is a long piece of hold music,
#: and 50 MB is four of them as a CD has it.
MAX_BYTES: Final = 50_000_000
LIMIT_S: Final = 600
#: One packet: anything shorter is no sound, and would be repeated in a busy loop.
MIN_MS: Final = 20
RATES_HZ: Final = range(4000, 192_001)
MAX_CHANNELS: Final = 8
#: Recorded files that are kept as CAF because somebody may be listening to them.
MAX_PLAYABLE: Final = 500

#: Level of active speech: -20 dBFS is -14 dBm0 in G.711, as loud as a person on the line.
LEVEL_DBFS: Final = -20.0
#: Music is heard for minutes, and an announcement over it must stand out.
MUSIC_DBFS: Final = -24.0
#: No sample above: leaves room for what a codec adds.
PEAK_DBFS: Final = -1.0
#: Under it nobody speaks: left as it is, so that silence is not made into noise.
SILENCE_DBFS: Final = -60.0
#: A part this far below the mean is a pause (as in ITU-R BS.1770's relative gate).
PAUSE_DB: Final = -10.0
#: A recording softer than this allows for is mostly noise, which would come up with it.
MAX_GAIN_DB: Final = 30.0
#: What Prompt says of silence: half a step of 16 bits.
FLOOR_DBFS: Final = -96.0
#: Float files may go over full scale; beyond +18 dB it is not sound.
_OVER: Final = 8.0

_FRAME_S: Final = 0.02
_CHUNK_S: Final = 10
#: The limiter turns down within so many blocks of a millisecond, before and after a peak.
_REACH_MS: Final = 5

#: ffmpeg does ten minutes in about a second.
DECODE_TIMEOUT_S: Final = 60.0
_DECODE_CPU_S: Final = 30
_DECODE_MEMORY_BYTES: Final = 1 << 30
#: No process of ours holds more than its libraries and a handful of files.
_OPEN_FILES: Final = 64

#: Unfinished work beside a prompt begins so; no work takes as long as makes it a leftover.
UNFINISHED: Final = ".new-"
LEFTOVER_S: Final = 3600.0

#: ffmpeg's decoders of sound that people have. Pictures are never decoded.
_DECODERS: Final = ",".join((
    "aac", "aac_fixed", "aac_latm", "ac3", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "alac",
    "amrnb", "amrwb", "eac3", "flac", "g722", "g726", "gsm", "gsm_ms", "libgsm", "libgsm_ms",
    "libopencore_amrnb", "libopencore_amrwb", "libopus", "libspeex", "libvorbis", "mp1", "mp1float",
    "mp2", "mp2float", "mp3", "mp3float", "opus", "pcm_alaw", "pcm_f32be", "pcm_f32le", "pcm_f64be",
    "pcm_f64le", "pcm_mulaw", "pcm_s16be", "pcm_s16le", "pcm_s24be", "pcm_s24le", "pcm_s32be",
    "pcm_s32le", "pcm_s8", "pcm_u8", "speex", "vorbis", "wmapro", "wmav1", "wmav2"))


class Prompt(NamedTuple):
    """A finished prompt. bytes: of all its files; sha256: of 8k.wav; peak_dbfs: of 8k.wav, -96 for
    silence."""

    duration_ms: int
    peak_dbfs: float
    bytes: int
    sha256: str


class Finished(NamedTuple):
    """A program that ended. code: 0 = well, negative = the signal; said: the end of its errors."""

    code: int
    said: str


class _Kind(NamedTuple):
    """How a file is read: by libsndfile first or not, and the one ffmpeg demuxer."""

    sndfile: bool
    demuxer: str


class _Decoded(NamedTuple):
    """Mono 32-bit samples in a file."""

    samples: Samples
    rate: int


# -- what callers use -------------------------------------------------------------------------

def normalise(source: Path, into: Path, *, limit_s: float = LIMIT_S,
              ffmpeg: str | None = None) -> Prompt:
    """Make the prompt directory `into` from any sound file; one that is there is replaced.

    ffmpeg: the program, by default as found in PATH. BadAudio with a sentence for whoever sent the
    file; OSError when the disk is full or missing.
    """
    with _opened(source) as fd, workshop(into) as folder:
        decoded = _decode(fd, folder / "decoded", limit_s, ffmpeg)
        if len(decoded.samples) * 1000 < MIN_MS * decoded.rate:
            raise BadAudio("There is no sound in the file: record it again.")
        if len(decoded.samples) > limit_s * decoded.rate:
            raise _too_long(limit_s)
        return _publish(decoded, LEVEL_DBFS, folder, into)


def choose(into: Path) -> Path:
    """The prompt's file for a media node to play, whatever the telephone's codec.

    That of 48 kHz: rtpengine 10.5 reads 4 096 bytes of a file at a time, which at 8 kHz are 256 ms,
    sends them at once and leaves a gap of 100 ms behind them. A CAF: a WAV is searched for other
    formats in it before it is played, which costs 8 ms of CPU, twenty times as much (measured,
    docs/figures.md). A prompt of an earlier version has a WAV.
    """
    made = into / "48k.caf"
    return made if made.exists() or not into.exists() else into / "48k.wav"


def write_defaults(directory: Path) -> dict[str, Path]:
    """Prompts that every exchange has: {"beep", "busy", "hold", "ringback": its directory}.

    Those that are there already are left as they are. Line tones are the Nordic ones (425 Hz, ITU-T
    E.180), without the end of the cadence cut off: each file repeats seamlessly.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    makers: dict[str, tuple[Callable[[], Samples], float]] = {
        "beep": (beep, LEVEL_DBFS),
        "busy": (lambda: tone([425], [(0.25, 0.25)] * 4), LEVEL_DBFS),
        "hold": (hold_music, MUSIC_DBFS),
        "ringback": (lambda: tone([425], [(1, 4)]), LEVEL_DBFS),
    }
    for name, (make, level_dbfs) in makers.items():
        into = directory / name
        if not whole(into):
            with workshop(into) as folder:
                _publish(_Decoded(make(), 48000), level_dbfs, folder, into)
    return {name: directory / name for name in makers}


def whole(into: Path) -> bool:
    """Whether the prompt has all its files."""
    return all((into / name).is_file() for name in FILES)


def sweep(directory: Path, now_s: float) -> None:
    """Remove what a killed process left unfinished in a directory of prompts. now_s: Unix time."""
    for path in directory.glob(UNFINISHED + "*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < now_s - LEFTOVER_S:
                shutil.rmtree(path, ignore_errors=True)


# -- tones and music --------------------------------------------------------------------------

def tone(frequencies_hz: Sequence[float], cadence: Sequence[tuple[float, float]]) -> Samples:
    """Sines at 48 kHz, for each (on_s, off_s); edges of 5 ms, so that nothing clicks."""
    edge = np.sin(np.linspace(0, np.pi / 2, 240)) ** 2
    parts: list[Array] = []
    for on_s, off_s in cadence:
        at_s = np.arange(round(on_s * 48000)) / 48000
        on = np.zeros(len(at_s))
        for hz in frequencies_hz:
            on += np.sin(2 * np.pi * hz * at_s) * 0.25 / len(frequencies_hz)
        on[:240] *= edge
        on[-240:] *= edge[::-1]
        parts += [on, np.zeros(round(off_s * 48000))]
    return np.concatenate(parts).astype(np.float32)


def beep() -> Samples:
    """"Speak now": 400 ms of 1 000 Hz."""
    return tone([1000], [(0.4, 0)])


#: Eight soft chords of 3.75 s, as MIDI notes: within what a telephone carries (196 to 1 175 Hz).
_CHORDS: Final = ((57, 62, 66, 69, 76), (57, 61, 66, 69, 73), (55, 59, 66, 69, 74),
                  (57, 62, 64, 67, 71), (59, 62, 66, 69, 73), (55, 59, 64, 66, 71),
                  (57, 61, 64, 67, 74), (57, 62, 66, 69, 74))
_CHORD_S: Final = 3.75
#: The notes of a chord that are plucked, six to a chord; the rows take turns.
_PLUCKED: Final = ((0, 2, 4, 3, 2, 3), (1, 3, 4, 2, 3, 1), (0, 3, 2, 4, 3, 2), (2, 4, 3, 1, 2, 4))


def hold_music() -> Samples:
    """30 s of our own to repeat: a slow pad with a plucked voice over it; ends in silence."""
    total = round(len(_CHORDS) * _CHORD_S * 48000)
    music = np.zeros(total)

    def add(at_s: float, sound: Array) -> None:
        start = round(at_s * 48000)
        music[start:start + len(sound)] += sound[:total - start]

    for number, chord in enumerate(_CHORDS):
        for note in chord[:4]:
            add(number * _CHORD_S, _pad(_hz(note)))
        for place, which in enumerate(_PLUCKED[number % 4]):
            last = number == len(_CHORDS) - 1 and place > 3  # the end is left to ring out
            if not last:
                add(number * _CHORD_S + place * _CHORD_S / 6, _pluck(_hz(chord[which] + 12)))
    fade = 72000
    music[-fade:] *= np.cos(np.linspace(0, np.pi / 2, fade)) ** 2
    loudest: float = np.abs(music).max()
    return (music * (0.5 / loudest)).astype(np.float32)


def _hz(note: int) -> float:
    return float(440 * 2 ** ((note - 69) / 12))


def _pad(hz: float) -> Array:
    """A chord's length and a bit, swelling and dying away; two voices just out of tune."""
    at_s = np.arange(round((_CHORD_S + 1.2) * 48000)) / 48000
    shape = np.minimum(1, at_s / 0.9) * np.minimum(1, (at_s[-1] - at_s) / 1.5)
    sound = np.zeros(len(at_s))
    for partial, strength in ((1, 1.0), (2, 0.35), (3, 0.12), (4, 0.05)):
        for detuned in (0.9988, 1.0012):
            sound += strength * np.sin(2 * np.pi * hz * detuned * partial * at_s)
    sound *= 0.12 * np.sin(shape * np.pi / 2) ** 2
    return sound


def _pluck(hz: float) -> Array:
    at_s = np.arange(round(1.6 * 48000)) / 48000
    sound = np.zeros(len(at_s))
    for partial, strength in ((1, 1.0), (2, 0.3), (3, 0.1)):
        sound += (strength * np.exp(-at_s * 2.6 * partial)
                  * np.sin(2 * np.pi * hz * partial * at_s))
    sound *= 0.3 * np.minimum(1, at_s / 0.006) * np.minimum(1, (at_s[-1] - at_s) / 0.05)
    return sound


# -- programs ---------------------------------------------------------------------------------

def run_bounded(command: list[str], folder: Path, *, timeout_s: float, cpu_s: int,
                memory_bytes: int, output_bytes: int, text: bytes = b"",
                output: Path | None = None, keep_fd: int | None = None) -> Finished:
    """Run a program in `folder`, without a shell, bounded in everything, and wait for its end.

    text: its standard input; output: where its standard output goes; keep_fd: the one file that is
    open in it too. TimeoutError after it was killed; OSError when it cannot be started.
    """
    limits = {resource.RLIMIT_CPU: cpu_s, resource.RLIMIT_AS: memory_bytes,
              resource.RLIMIT_FSIZE: output_bytes, resource.RLIMIT_NOFILE: _OPEN_FILES,
              resource.RLIMIT_CORE: 0}
    errors = folder / "errors"
    surroundings = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8",
                    "HOME": str(folder)}
    with (errors.open("w+b") as said, (output or Path(os.devnull)).open("wb") as out,
          subprocess.Popen(  # noqa: S603  # arguments of ours, no shell
              command, cwd=folder, env=surroundings, start_new_session=True, stdout=out,
              stderr=said, stdin=subprocess.PIPE if text else subprocess.DEVNULL,
              pass_fds=() if keep_fd is None else (keep_fd,)) as process):
        try:
            with contextlib.suppress(ProcessLookupError):
                for limit, value in limits.items():
                    resource.prlimit(process.pid, limit, (value, value))
            process.communicate(text or None, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{Path(command[0]).name} took over {timeout_s:g} s") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        said.seek(max(said.seek(0, os.SEEK_END) - 2000, 0))
        return Finished(process.returncode, said.read().decode("utf-8", "replace").strip())


# -- reading ----------------------------------------------------------------------------------

@contextlib.contextmanager
def _opened(source: Path) -> Iterator[int]:
    """A file descriptor of an ordinary file that is neither empty nor too big."""
    try:
        fd = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO does not block
    except OSError as error:
        raise BadAudio(f"The file cannot be opened ({error.strerror}): send it again.") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise BadAudio("This is not a file: choose a sound file.")
        if status.st_size == 0:
            raise BadAudio("The file is empty: send it again.")
        if status.st_size > MAX_BYTES:
            raise BadAudio(f"The file is {status.st_size // 1_000_000} MB, more than the "
                           f"{MAX_BYTES // 1_000_000} MB there is room for: send it as FLAC or "
                           "MP3, or shorten it.")
        yield fd
    finally:
        os.close(fd)


def _too_long(limit_s: float) -> BadAudio:
    limit = f"{limit_s / 60:g} minutes" if limit_s >= 120 else f"{limit_s:g} seconds"
    return BadAudio(f"The sound is longer than {limit}: shorten it.")


def _kind(head: bytes) -> _Kind | None:
    """By the first bytes, never by the name; None = no sound that we know."""
    for magic, kind in ((b"RIFF", _Kind(True, "wav")), (b"RIFX", _Kind(True, "wav")),
                        (b"RF64", _Kind(True, "wav")), (b"riff\x2e\x91", _Kind(True, "w64")),
                        (b"fLaC", _Kind(True, "flac")), (b"OggS", _Kind(True, "ogg")),
                        (b"ID3", _Kind(True, "mp3")), (b"FORM", _Kind(True, "aiff")),
                        (b".snd", _Kind(True, "au")), (b"caff", _Kind(True, "caf")),
                        (b"\x1a\x45\xdf\xa3", _Kind(False, "matroska")),
                        (b"\x30\x26\xb2\x75", _Kind(False, "asf")),
                        (b"#!AMR", _Kind(False, "amr")), (b"Creative Voice", _Kind(False, "voc"))):
        if head.startswith(magic):
            return kind
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return _Kind(False, "mov")
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # MPEG's sync word
        return _Kind(False, "aac") if head[1] & 0x16 == 0x10 else _Kind(True, "mp3")
    return None


def _decode(fd: int, raw: Path, limit_s: float, ffmpeg: str | None) -> _Decoded:
    """Mono, at most a second over the limit. BadAudio."""
    kind = _kind(os.pread(fd, 16, 0))
    if kind is None:
        raise BadAudio("This is no sound file that is known here: send WAV, FLAC, OGG, MP3 or M4A.")
    if kind.sndfile:
        decoded = _by_sndfile(fd, raw, limit_s)
        if decoded:
            return decoded
    return _by_ffmpeg(fd, raw, limit_s, kind.demuxer, ffmpeg)


def _by_sndfile(fd: int, raw: Path, limit_s: float) -> _Decoded | None:
    """None when libsndfile cannot. What is cut off at the end is left out.

    It is given a descriptor: by the name it would guess, and look for files beside.
    """
    copy = os.dup(fd)  # libsndfile closes it in some of its errors, and leaves it in others
    os.lseek(copy, 0, os.SEEK_SET)
    try:
        with soundfile.SoundFile(copy, closefd=False) as file, raw.open("wb") as out:
            rate, channels = file.samplerate, file.channels
            if rate not in RATES_HZ or channels > MAX_CHANNELS:
                raise BadAudio(f"The sound has {channels} channels at {rate} Hz: send one or two "
                               "channels at 8 000 to 48 000 Hz.")
            most = round((limit_s + 1) * rate)
            if file.frames > most and file.format != "MP3":  # which only estimates them
                raise _too_long(limit_s)
            done = 0
            while done < most:
                block = file.read(rate * _CHUNK_S, dtype="float32", always_2d=True)
                if not len(block):
                    break
                out.write(_clean(block.mean(axis=1)).tobytes())
                done += len(block)
    except soundfile.LibsndfileError:
        return None
    finally:
        with contextlib.suppress(OSError):
            os.close(copy)
    return _load(raw, rate)


def _by_ffmpeg(fd: int, raw: Path, limit_s: float, demuxer: str, ffmpeg: str | None) -> _Decoded:
    program = ffmpeg or shutil.which("ffmpeg")
    if program is None:
        raise BadAudio("This kind of sound needs ffmpeg, which is not installed here: send WAV, "
                       "FLAC, OGG or MP3, or have ffmpeg installed (apt-get install ffmpeg).")
    command = [program, "-nostdin", "-hide_banner", "-v", "error", "-threads", "1",
               "-protocol_whitelist", "file", "-codec_whitelist", _DECODERS, "-max_streams", "32",
               "-f", demuxer, "-i", f"file:/dev/fd/{fd}", "-map", "0:a:0", "-vn", "-sn", "-dn",
               "-t", f"{limit_s + 1:g}", "-ac", "1", "-ar", "48000", "-f", "f32le", "pipe:1"]
    try:
        ended = run_bounded(command, raw.parent, timeout_s=DECODE_TIMEOUT_S, cpu_s=_DECODE_CPU_S,
                            memory_bytes=_DECODE_MEMORY_BYTES,
                            output_bytes=round((limit_s + 2) * 48000 * 4), output=raw, keep_fd=fd)
    except TimeoutError as error:
        raise BadAudio("Reading the file takes too long: send it as WAV, FLAC or MP3.") from error
    except OSError as error:
        raise BadAudio(f"This kind of sound needs ffmpeg, which does not start here "
                       f"({error.strerror}): send WAV, FLAC, OGG or MP3, or have ffmpeg installed "
                       "(apt-get install ffmpeg).") from error
    if "matches no streams" in ended.said:
        raise BadAudio("There is no sound in the file, only pictures: send a sound file.")
    if ended.code < 0 or raw.stat().st_size < 4:
        raise BadAudio("The file cannot be read, it is damaged or of an unknown kind: send WAV, "
                       "FLAC, OGG, MP3 or M4A.")
    return _load(raw, 48000)


def _load(raw: Path, rate: int) -> _Decoded:
    if raw.stat().st_size < 4:
        return _Decoded(np.zeros(0, dtype=np.float32), rate)
    return _Decoded(np.memmap(raw, dtype=np.float32, mode="r",
                              shape=(raw.stat().st_size // 4,)), rate)


def _clean(samples: Array) -> Array:
    """Numbers that a float file may hold and sound does not."""
    cleaned: Array = np.nan_to_num(samples, nan=0, posinf=0, neginf=0)
    return cleaned.clip(-_OVER, _OVER)


# -- level ------------------------------------------------------------------------------------

def _chunks(decoded: _Decoded) -> Iterator[Array]:
    size = decoded.rate * _CHUNK_S
    for start in range(0, len(decoded.samples), size):
        yield _clean(decoded.samples[start:start + size])


def _measure(decoded: _Decoded) -> tuple[float, float]:
    """(offset, dBFS RMS of the parts where there is sound; -inf = silence)"""
    frame = round(_FRAME_S * decoded.rate)
    total = 0.0
    means: list[Array] = []
    squares: list[Array] = []
    for chunk in _even(_chunks(decoded), frame):
        total += float(chunk.sum(dtype=np.float64))
        wide = np.full(-(-len(chunk) // frame) * frame, chunk[-(len(chunk) % frame):].mean())
        wide[:len(chunk)] = chunk
        frames = wide.reshape(-1, frame)
        means.append(frames.mean(axis=1))
        squares.append(np.square(frames).mean(axis=1))
    mean, square = np.concatenate(means), np.concatenate(squares)
    offset = total / len(decoded.samples)
    power = square - 2 * offset * mean + offset ** 2
    active = power[power > 10 ** (SILENCE_DBFS / 10)]
    if not len(active):
        return offset, -np.inf
    active = active[active > active.mean() * 10 ** (PAUSE_DB / 10)]
    return offset, 10 * float(np.log10(active.mean()))


def _even(chunks: Iterable[Array], size: int) -> Iterator[Array]:
    """The same samples in pieces of a multiple of `size`, the last apart."""
    rest: Array = np.zeros(0, dtype=np.float32)
    for chunk in chunks:
        rest = np.concatenate((rest, chunk))
        full = len(rest) // size * size
        if full:
            yield rest[:full]
            rest = rest[full:]
    if len(rest):
        yield rest


def _resampled(decoded: _Decoded, offset: float, gain: float, rate: int) -> Iterator[Array]:
    """At another rate and level, without the offset, in pieces of whole milliseconds."""
    level = ((chunk - np.float32(offset)) * np.float32(gain) for chunk in _chunks(decoded))
    return _even(level if rate == decoded.rate else _convert(level, decoded.rate, rate),
                 rate // 1000)


def _convert(chunks: Iterable[Array], from_hz: int, to_hz: int) -> Iterator[Array]:
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=to_hz)
    for chunk in chunks:
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(chunk, dtype=np.float32)[np.newaxis], format="fltp",
            layout="mono")
        frame.sample_rate = from_hz
        for part in resampler.resample(frame):
            yield part.to_ndarray()[0]
    for part in resampler.resample(None):
        yield part.to_ndarray()[0]


def _turn_down(peaks: Array) -> Array:
    """The limiter's gain for each millisecond: with gains between them drawn straight, no sample
    comes over the limit.

    Each is a mean of minima, and each of these minima knows the block and its neighbours.
    """
    needed = np.minimum(1, 10 ** (PEAK_DBFS / 20) / np.maximum(peaks, 1e-9))
    window = np.lib.stride_tricks.sliding_window_view
    lowest = window(np.pad(needed, _REACH_MS, constant_values=1), 2 * _REACH_MS + 1).min(axis=1)
    reach = _REACH_MS - 1
    means: Array = window(np.pad(lowest, reach, mode="edge"), 2 * reach + 1).mean(axis=1)
    return means


def _render(decoded: _Decoded, offset: float, gain: float, path: Path, rate: int) -> float:
    """Write one file; its highest sample, 0 to 1."""
    block = rate // 1000
    peaks: list[Array] = []
    for piece in _resampled(decoded, offset, gain, rate):
        wide = np.zeros(-(-len(piece) // block) * block, dtype=np.float32)
        wide[:len(piece)] = np.abs(piece)
        peaks.append(wide.reshape(-1, block).max(axis=1))
    highest = np.concatenate(peaks)
    gains = _turn_down(highest) if highest.max() > 10 ** (PEAK_DBFS / 20) else None
    centres = (np.arange(len(highest)) + 0.5) * block
    at, top = 0, 0
    kind = CAF if path.suffix == ".caf" else {"format": "WAV"}
    with soundfile.SoundFile(path, "w", samplerate=rate, channels=1, subtype="PCM_16",
                             **kind) as file:
        for piece in _resampled(decoded, offset, gain, rate):
            if gains is not None:
                piece = piece * np.interp(np.arange(at, at + len(piece)) + 0.5, centres, gains)
            samples = np.round(np.clip(piece, -1, 1) * 32767).astype(np.int16)
            file.write(samples)
            at += len(piece)
            top = max(top, int(np.abs(samples.astype(np.int32)).max()))
    return top / 32767


# -- writing ----------------------------------------------------------------------------------

@contextlib.contextmanager
def workshop(into: Path) -> Iterator[Path]:
    """A directory beside `into`, on the same file system, that is gone afterwards."""
    into.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=into.parent.resolve()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(decoded: _Decoded, level_dbfs: float, folder: Path, into: Path) -> Prompt:
    """Write every file and move them into place together."""
    offset, loudness_dbfs = _measure(decoded)
    gain_db = min(level_dbfs - loudness_dbfs, MAX_GAIN_DB) if np.isfinite(loudness_dbfs) else 0.0
    done = folder / "done"
    done.mkdir(mode=0o700)
    tops: dict[str, float] = {}
    size = 0
    digest = ""
    for name, rate in FILES.items():
        path = done / name
        tops[name] = _render(decoded, offset, 10 ** (gain_db / 20), path, rate)
        path.chmod(0o600)
        with path.open("rb") as file:
            if name == "8k.wav":
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        size += path.stat().st_size
    _sync(done)
    _move(done, into)
    _sync(into.parent)
    peak_dbfs = 20 * float(np.log10(tops["8k.wav"])) if tops["8k.wav"] else FLOOR_DBFS
    return Prompt(len(decoded.samples) * 1000 // decoded.rate, round(max(peak_dbfs, FLOOR_DBFS), 1),
                  size, digest)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


#: renameat2(2): both names stay, and what they name changes places.
_RENAME_EXCHANGE: Final = 2
_AT_FDCWD: Final = -100
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def _move(done: Path, into: Path) -> None:
    """Rename a directory, also over another one: at no moment is there none.

    On a file system that cannot exchange (NFS), the old one is moved away first.
    """
    try:
        done.rename(into)
        return
    except OSError:
        if not into.is_dir():
            raise
    if _LIBC.renameat2(_AT_FDCWD, bytes(done), _AT_FDCWD, bytes(into), _RENAME_EXCHANGE) != 0:
        into.rename(done.with_name("old"))
        done.rename(into)


def playable(recorded: Path, into: Path) -> Path:
    """A recorded file as a CAF, which a media node can play: it plays no FLAC. Made once, named by
    the file and its time. BadAudio."""
    known = recorded.stat()
    name = hashlib.sha256(f"{recorded}{known.st_mtime_ns}{known.st_size}".encode()).hexdigest()
    made = into / f"{name[:32]}.caf"
    if made.exists():
        return made
    into.mkdir(mode=0o700, exist_ok=True)
    for old in sorted(into.glob("*.*"), key=lambda path: path.stat().st_atime)[:-MAX_PLAYABLE]:
        old.unlink(missing_ok=True)
    beside = made.with_suffix(f".{os.getpid()}.new")
    try:
        samples, rate = soundfile.read(recorded, dtype="int16")
        soundfile.write(beside, samples, rate, subtype="PCM_16", **CAF)
        beside.rename(made)
    except soundfile.LibsndfileError as error:
        raise BadAudio(str(error)) from error
    finally:
        beside.unlink(missing_ok=True)
    return made
