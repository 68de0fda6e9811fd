"""What every process logs, in one shape: a JSON object a line, in <state>/logs/<process>.log.

    {"at": "2026-03-02T15:30:00.123456Z", "process": "control0", "level": "warning",
     "event": "transfer", "uid": "...", ...}

`uid` is the call's, where there is one. Our own processes write such lines; those of Kamailio,
rtpengine and Janus are put into the shape here. The supervisor is the one writer of the files, so
that each is bounded: two of MAX_BYTES.
"""

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

MAX_BYTES: Final = 20 << 20
MAX_LINE: Final = 64 << 10
LEVELS: Final = ("debug", "info", "warning", "error")
#: Words of other programs for them; what is worse than an error is one.
OTHER_LEVELS: Final = {
    "dbg": "debug", "debug": "debug", "info": "info", "notice": "info", "verb": "info",
    "warn": "warning", "warning": "warning", "err": "error", "error": "error", "crit": "error",
    "critical": "error", "alert": "error", "bug": "error", "fatal": "error",
}
#: Kamailio's " 5(1234) WARNING: ", rtpengine's "[1700000000.123456] ERR: ", Janus' "[WARN] ".
_PREFIX: Final = re.compile(
    r"^(?:\s*\d+\(\d+\)\s+|\[\d+\.\d+\]\s+)?\[?([A-Za-z]+)(?:\]|:)\s*(?:\{[^}]*\}\s*)?(.*)",
    re.DOTALL)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
#: A call's uid, wherever another program names it.
_CALL: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{28}(?![0-9a-f])")
SECRET: Final = re.compile(r"secret|password|token|authorization|api_key|\bpin\b|cookie", re.I)


def stamp() -> str:
    """Now, as the lines tell it; sorts as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def encode(entry: MutableMapping[str, Any]) -> bytes:
    """A line, without its end; whatever is logged, it can be written."""
    try:
        return msgspec.json.encode(entry, enc_hook=str)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return msgspec.json.encode({ascii(name).strip("'"): value if isinstance(value, str)
                                    and value.isascii() else ascii(value)
                                    for name, value in entry.items()})


class Redactor:
    """Leaves out of a stream of bytes what stands between two marks, which nobody can guess."""

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before, self._after = before, after
        self._inside = False
        self._kept = b""  # the beginning of a mark, perhaps

    def feed(self, data: bytes) -> bytes:
        """What is left of it; a mark may be cut anywhere."""
        data = self._kept + data
        found = b""
        while True:
            mark = self._after if self._inside else self._before
            at = data.find(mark)
            if at < 0:
                break
            found += b"" if self._inside else data[:at] + REDACTED
            data = data[at + len(mark):]
            self._inside = not self._inside
        keep = next((size for size in range(min(len(mark) - 1, len(data)), 0, -1)
                     if mark.startswith(data[len(data) - size:])), 0)
        self._kept = data[len(data) - keep:]
        return found + (b"" if self._inside else data[:len(data) - keep])


REDACTED: Final = b"..."
#: Lines that are left out are told so often.
TELL_S: Final = 60.0


def foreign(process: str, line: str, at: str) -> bytes:
    """A line of another program in our shape."""
    line = _COLOUR.sub("", line)[:MAX_LINE].rstrip()
    level, event = "info", line
    found = _PREFIX.match(line)
    if found and found[1].lower() in OTHER_LEVELS:
        level, event = OTHER_LEVELS[found[1].lower()], found[2]
    entry = {"at": at, "process": process, "level": level, "event": event}
    call = _CALL.search(event)
    return encode(entry | ({"uid": call[0]} if call else {}))


def configure(process: str, level: str, write: Callable[[bytes], None]) -> None:
    """Make structlog of this process write such lines."""
    def shape(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> bytes:
        entry = {"at": stamp(), "process": process, "level": event.pop("level", "info"),
                 "event": str(event.pop("event", ""))}
        hidden = {name: "hidden" if SECRET.search(name) else value
                  for name, value in event.items() if name not in entry}
        return encode(entry | hidden)

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level,
                    structlog.processors.format_exc_info, shape],
        wrapper_class=structlog.make_filtering_bound_logger(
            {"debug": 10, "info": 20, "warning": 30, "error": 40}[level]),
        logger_factory=lambda *_: Lines(write), cache_logger_on_first_use=False)


class Lines:
    """What structlog calls with a line that is ready. A log that cannot be written stops nobody."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def msg(self, line: bytes) -> None:
        """Any level."""
        with contextlib.suppress(OSError):
            self._write(line)

    debug = info = warning = warn = error = critical = fatal = exception = log = msg


def to_supervisor(line: bytes) -> None:
    """Through the pipe that is our standard error; one write, so that lines do not mix."""
    os.write(sys.stderr.fileno(), line + b"\n")


class LogFile:
    """Where the supervisor keeps the lines of a process."""

    def __init__(self, folder: Path, process: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.process = process
        self.path = folder / f"{process}.log"
        self._part = b""
        self._cut = False  # the rest of the line at hand is left out
        self.redactor: Redactor | None = None
        self._mark = ""
        self._marked = False  # it was seen
        self._left_out = 0
        self._told_s = -TELL_S
        self._open()

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC,
                             0o600)
        self._size = os.fstat(self._file).st_size

    def write(self, line: bytes) -> None:
        """A line that is in our shape."""
        with contextlib.suppress(OSError):  # a full disk: calls go on
            if self._size > MAX_BYTES:
                os.close(self._file)
                self.path.rename(self.path.with_suffix(".old"))
                self._open()
            self._size += os.write(self._file, line + b"\n")

    def feed(self, data: bytes, ours: bool) -> None:
        """What came through the pipe; lines may be cut anywhere. ours: some are in our shape."""
        if self.redactor is not None:
            data = self.redactor.feed(data)
        if self._cut:
            _, end, data = data.partition(b"\n")
            self._cut = not end
        *lines, self._part = (self._part + data).split(b"\n")
        if len(self._part) > MAX_LINE:
            lines, self._part, self._cut = [*lines, self._part], b"", True
        at = stamp()
        for line in lines:
            if ours and line.startswith(b'{"at":"') and line.endswith(b"}"):
                self.write(line)
            elif line.strip() and (text := self._trusted(line.decode(errors="replace"))):
                self.write(foreign(self.process, text, at))

    def expect(self, mark: str) -> None:
        """The process begins anew, and once it has written this mark, a line without it may be a
        stranger's. "" = all lines are trusted."""
        self._mark, self._marked = mark, False

    def _trusted(self, line: str) -> str:
        """The line, without its mark; "" when it may have a stranger's words in it. How many those
        are is told, now and then."""
        before, mark, after = line.partition(self._mark) if self._mark else ("", "", line)
        if mark:
            self._marked = True
            return f"{before.partition(':')[0].strip().rpartition(' ')[2]}: {after.strip()}"
        if not self._marked:
            return line
        self._left_out += 1
        now_s = time.monotonic()
        if now_s - self._told_s < TELL_S:
            return ""
        self._told_s, count, self._left_out = now_s, self._left_out, 0
        return f"WARNING: {count} lines of this program are left out (see log_level)"


def readable(entry: dict[str, Any]) -> str:
    """An entry as people read it; more lines when there is an exception."""
    known = ("at", "process", "level", "event", "exception")
    rest = " ".join(f"{name}={value}" for name, value in entry.items() if name not in known)
    text = f"{entry['at']} {entry['process']:9} {entry['level']:7} {entry['event']}"
    lines = [f"{text}  {rest}" if rest else text, *entry.get("exception", "").splitlines()]
    return "\n".join("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
                     for line in lines)
