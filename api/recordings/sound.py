"""The sound of a recording as bytes, any part of it: the FLAC as it is, or as WAV, which is made
while it is read."""

import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

import soundfile

BLOCK: Final = 1 << 16
_HEADER_BYTES: Final = 44


class Part(NamedTuple):
    """Bytes first to last, both included, of so many."""

    first: int
    last: int
    size: int

    @property
    def length(self) -> int:
        """How many."""
        return self.last - self.first + 1


class Sound(NamedTuple):
    """read(first, length): those bytes, in blocks."""

    size: int
    read: Callable[[int, int], Iterator[bytes]]


def open_sound(path: Path, format_: Literal["flac", "wav"]) -> Sound:
    """FileNotFoundError, soundfile.LibsndfileError."""
    if format_ == "flac":
        return Sound(path.stat().st_size, lambda first, length: _file(path, first, length))
    if not path.exists():
        raise FileNotFoundError(path)
    about = soundfile.info(path)
    size = about.frames * about.channels * 2
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", min(36 + size, 0xFFFF_FFFF), b"WAVE", b"fmt ", 16, 1,
        about.channels, about.samplerate, about.samplerate * about.channels * 2,
        about.channels * 2, 16, b"data", min(size, 0xFFFF_FFFF - 36))
    return Sound(_HEADER_BYTES + size,
                 lambda first, length: _wav(path, header, about.channels * 2, first, length))


def _file(path: Path, first: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(first)
        while length and (block := file.read(min(BLOCK, length))):
            length -= len(block)
            yield block


def _wav(path: Path, header: bytes, frame_bytes: int, first: int, length: int) -> Iterator[bytes]:
    if first < len(header):
        block = header[first:first + length]
        length -= len(block)
        first += len(block)
        yield block
    frame, skip = divmod(first - len(header), frame_bytes)
    if not length:
        return
    with soundfile.SoundFile(path) as source:
        source.seek(frame)
        while length and len(samples := source.read(BLOCK // frame_bytes, dtype="int16")):
            block = samples.astype("<i2").tobytes()[skip:skip + length]
            skip = 0
            length -= len(block)
            yield block


def part_of(header: str | None, size: int) -> Part | None:
    """What a Range header asks for (RFC 9110); None: all of it, which is also the answer to what is
    not understood or is several parts. ValueError: there is no such part."""
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", (header or "").replace(" ", ""), re.ASCII)
    if not match or match[0] == "bytes=-":
        return None
    if not match[1]:
        first, last = max(size - int(match[2]), 0), size - 1
    else:
        first, last = int(match[1]), min(int(match[2] or size - 1), size - 1)
        if match[2] and int(match[2]) < first:
            return None
    if first > last:
        raise ValueError(header)
    return Part(first, last, size)
