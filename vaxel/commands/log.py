"""log: what all processes of the state directory have logged, in order."""

import argparse
import heapq
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from vaxel import logs
from vaxel.commands.common import GOOD, USAGE, CommandError, Commands, add

FOLLOW_S = 0.25
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
Entry = dict[str, Any]


def declare(commands: Commands) -> None:
    """The command."""
    found = add(commands, "log", _log, "print what the processes have logged, in order", """
        vaxel log --since 10m
        vaxel log --call 01J9Z6Q0V5M3
        vaxel log --process edge --level warning -f""")
    found.add_argument("--call", default="", metavar="UID", help="only what names this call")
    found.add_argument("--process", default="", metavar="NAME",
                       help="only processes whose name begins so: api, keeper, control, edge, ...")
    found.add_argument("--since", default="", metavar="TIME", help="10m, 2h, 3d or a local time")
    found.add_argument("--level", default="debug", choices=logs.LEVELS, help="at least so bad")
    found.add_argument("-f", "--follow", action="store_true", help="and what comes")
    found.add_argument("--json", action="store_true", help="the lines as they are")


class Tail:
    """The lines of one file, those that come included; the file may be replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode = self._at = 0

    def lines(self) -> Iterator[bytes]:
        """Those that were not given yet."""
        try:
            with self.path.open("rb") as file:
                inode = self.path.stat().st_ino
                if inode != self._inode:
                    self._inode, self._at = inode, 0
                file.seek(self._at)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    self._at += len(line)
                    yield line[:-1]
        except FileNotFoundError:
            return


def since_of(text: str, now: datetime) -> str:
    """The stamp of the first lines that are wanted; "" all of them."""
    if not text:
        return ""
    span = re.fullmatch(r"(\d{1,6})([smhd])", text)
    try:
        begin = now - timedelta(**{UNITS[span[2]]: int(span[1])}) if span else \
            datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"--since {text!r} is neither 10m, 2h, 3d nor a time like "
                           "2026-03-02T15:30", USAGE) from error
    return begin.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def entries(path: Path, tail: Tail, wanted: argparse.Namespace, since: str) -> Iterator[
        tuple[str, Entry, bytes]]:
    """(stamp, entry, line) of those that are wanted."""
    worst = logs.LEVELS.index(wanted.level)
    call = wanted.call.encode()
    if not path.name.startswith(wanted.process):
        return
    for line in tail.lines():
        if call not in line:
            continue
        try:
            entry = msgspec.json.decode(line, type=dict[str, Any])
            at, level = str(entry["at"]), str(entry["level"])
        except (msgspec.DecodeError, KeyError):
            continue  # cut off when the machine went down
        if at >= since and (level not in logs.LEVELS or logs.LEVELS.index(level) >= worst):
            yield at, entry, line


def _log(arguments: argparse.Namespace) -> int:
    folder = arguments.state.resolve() / "logs"
    if not folder.is_dir():
        raise CommandError(f"there are no logs in {folder}; --state names another directory")
    since = since_of(arguments.since, datetime.now(UTC))
    tails: dict[Path, Tail] = {}
    first = True
    while True:
        for path in folder.glob("*.log"):
            tails.setdefault(path, Tail(path))
        if first:
            for path in folder.glob("*.old"):
                tails[path] = Tail(path)
        found = [entries(path, tail, arguments, since) for path, tail in tails.items()]
        for _, entry, line in heapq.merge(*found, key=lambda one: one[0]):
            print(line.decode() if arguments.json else logs.readable(entry), flush=True)
        tails = {path: tail for path, tail in tails.items() if path.suffix == ".log"}
        if not arguments.follow:
            return GOOD
        first = False
        threading.Event().wait(FOLLOW_S)
