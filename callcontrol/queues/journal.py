"""What a company's queues were told, on disk: so that log-ins, places and callbacks outlive us.

A file is a dump of the engine and the inputs after it, appended before anything follows from them:
SIGKILL loses nothing, power loss at most a second. A record that was cut off at the end is left
out. Whoever holds the folder's lock owns the company's queues.
"""

import contextlib
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

import msgspec
import structlog

from routing_core.queues import Engine

log = structlog.get_logger()

_HEAD: Final = struct.Struct("<8sQQ")
_MAGIC: Final = b"VXQJRNL1"
#: A file is closed and another begun when it is this long, or a day old.
MAX_BYTES: Final = 32 << 20
MAX_AGE_MS: Final = 86_400_000
#: Questions about the past are answered for so long.
KEPT_MS: Final = 35 * 86_400_000


class Names(msgspec.Struct):
    """What the engine does not know of its numbers. reasons: of pauses, from 1, and skills, by
    queue, from 0: given once, never to others; planned: Unix ms by caller; returning: who was cut
    off, by "queue tag": (arrived, sequence, until)."""

    reasons: list[str] = []
    skills: dict[str, list[str]] = {}
    planned: dict[int, int] = {}
    returning: dict[str, tuple[int, int, int]] = {}


class Journal:
    """Of one company. folder: its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = -1
        self._file = -1
        self._began_ms = 0
        self._size = 0
        self._dirty = False
        self._waiting = b""
        self.names = Names()

    def open(self) -> bool:
        """Take the lock; False when another process has it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._lock = lock
        with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
            self.names = msgspec.json.decode((self._folder / "names").read_bytes(), type=Names)
        return True

    def files(self) -> list[tuple[int, Path]]:
        """(when it began, file), the oldest first."""
        return sorted((int(path.stem), path) for path in self._folder.glob("*.log"))

    def restore(self, seed: int, until_ms: int = 0) -> Engine:
        """The engine as it was at the end, or at a moment; a new one when nothing is kept."""
        for began_ms, path in reversed(self.files()):
            if until_ms and began_ms > until_ms:
                continue
            try:
                data = path.read_bytes()
                magic, size, _ = _HEAD.unpack_from(data)
                if magic != _MAGIC:
                    raise ValueError("another kind of file")
                engine = Engine.load(data[_HEAD.size:_HEAD.size + size])
                inputs = data[_HEAD.size + size:]
                applied = engine.replay(inputs, until_ms)
                engine.take()  # it was said and done then
            except (OSError, ValueError, struct.error) as error:
                log.error("journal not readable", file=path.name, error=str(error))
                continue
            if applied < len(inputs) and not until_ms:
                log.warning("journal cut off", file=path.name, lost=len(inputs) - applied)
            return engine
        return Engine(seed)

    def begin(self, engine: Engine, now_ms: int) -> None:
        """A new file that goes on from here."""
        dump = engine.dump()
        began_ms = max([now_ms, *(ms + 1 for ms, _ in self.files())])
        path = self._folder / f"{began_ms}.log"
        beside = path.with_suffix(".new")
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC,
                       0o600)
        os.write(file, _HEAD.pack(_MAGIC, len(dump), now_ms) + dump)
        os.fsync(file)
        beside.rename(path)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._began_ms, self._size = file, now_ms, len(dump)
        self._waiting = b""  # it is in the dump
        for ms, old in self.files():
            if ms < now_ms - KEPT_MS:
                old.unlink(missing_ok=True)

    def write(self, inputs: bytes) -> None:
        """Append; with the operating system when this returns. While the disk is full what could
        not be written waits, in order, and calls go on."""
        self._waiting += inputs
        while self._waiting:
            try:
                written = os.write(self._file, self._waiting)
            except OSError as error:
                if inputs:
                    log.error("journal not written", error=str(error), waiting=len(self._waiting))
                if len(self._waiting) > MAX_BYTES:
                    raise
                return
            self._waiting = self._waiting[written:]
            self._size += written
            self._dirty = True

    def worn(self, now_ms: int) -> bool:
        """Whether it is time for another file."""
        return self._size > MAX_BYTES or now_ms - self._began_ms > MAX_AGE_MS

    def sync(self) -> None:
        """On the disk when this returns; in a thread."""
        if self._dirty:
            self._dirty = False
            os.fsync(self._file)

    def keep_names(self) -> None:
        """After a name got a number."""
        beside = self._folder / "names.new"
        beside.write_bytes(msgspec.json.encode(self.names))
        beside.rename(self._folder / "names")

    def history(self) -> bytes:
        """What keep_history() kept; nothing at first."""
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / "history").read_bytes()
        return b""

    def keep_history(self, data: bytes) -> None:
        """What the queues are like over a week."""
        beside = self._folder / "history.new"
        beside.write_bytes(data)
        beside.rename(self._folder / "history")

    def close(self) -> None:
        """Give the lock back."""
        for file in (self._file, self._lock):
            if file >= 0:
                os.close(file)
        self._file = self._lock = -1
