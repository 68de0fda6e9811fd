"""What the machine says: its clock, its disks, processes, certificates. Nothing here waits."""

import contextlib
import ctypes
import os
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

#: struct timex (man 2 adjtimex): where its status is, and the bit for "not synchronised".
_TIMEX_BYTES, _STATUS_AT, _UNSYNC = 256, 40, 0x40
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def synchronised() -> bool | None:
    """Whether the kernel's clock follows a better one; None when it cannot be known."""
    answer = ctypes.create_string_buffer(_TIMEX_BYTES)
    if _LIBC.adjtimex(answer) < 0:
        return None
    status = int.from_bytes(answer.raw[_STATUS_AT:_STATUS_AT + 4], "little")
    return not status & _UNSYNC


class Space(NamedTuple):
    """A file system's, in bytes: what we may still use, and all of it."""

    free: int
    total: int


def space(path: Path) -> Space:
    """Of the file system that the path lies on, or will lie on."""
    while not path.exists():
        path = path.parent
    found = os.statvfs(path)
    return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def size(path: Path) -> int:
    """Of a file; 0 when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class Usage(NamedTuple):
    """Of a process, or of several together: began is the first one's, in unix seconds."""

    began: float
    cpu_s: float
    memory_bytes: int


def _booted() -> float:
    text = Path("/proc/stat").read_text()
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith("btime")))


def usage(pids: list[int]) -> Usage | None:
    """None when none of them is there any more."""
    began: list[float] = []
    cpu = memory = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = text.rpartition(")")[2].split()  # the name may have spaces; from the state on
        cpu += int(fields[11]) + int(fields[12])
        began.append(int(fields[19]) / _TICKS)
        memory += int(fields[21]) * _PAGE
    return Usage(_booted() + min(began), cpu / _TICKS, memory) if began else None


class Process(NamedTuple):
    """state: the letter of man 5 proc; T and t: stopped, Z: dead, D: waits for a disk."""

    pid: int
    state: str
    group: int


def process(pid: int) -> Process | None:
    """None when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Process(pid, fields[0], int(fields[2]))


def group(leader: int) -> list[Process]:
    """The leader of a process group, and those of the group that descend from it."""
    found = []
    waiting = [leader]
    for pid in waiting:
        one = process(pid)
        if one and one.group == leader:
            found.append(one)
            waiting += children(pid)
    return found


def children(pid: int) -> list[int]:
    """Of all threads of a process."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for path in list(Path(f"/proc/{pid}/task").iterdir()):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, (path / "children").read_text().split())
    return found


def stopped(processes: Iterable[Process]) -> list[str]:
    """What is to be said of those that do nothing until somebody lets them go on."""
    return [f"process {one.pid} is stopped" for one in processes if one.state in "Tt"]


def expiry(certificate: Path) -> datetime:
    """When a certificate (PEM) ends; OSError or ValueError when it cannot be read."""
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text().strip())
    try:
        return _expiry(der)
    except IndexError as error:
        raise ValueError("not a certificate") from error


def _expiry(der: bytes) -> datetime:
    """RFC 5280 section 4.1: version, serial number, algorithm, issuer, then the validity."""
    inside = _element(der, _element(der, 0)[1])[1]
    tag, _, end = _element(der, inside)
    at = end if tag == 0xA0 else inside  # the version may be left out
    for _ in range(3):
        at = _element(der, at)[2]
    not_before = _element(der, at)[1]
    tag, start, end = _element(der, _element(der, not_before)[2])
    text = der[start:end].decode("ascii")
    if tag == 0x17:  # two digits of the year
        text = ("20" if text < "50" else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """(tag, where its content begins, where it ends)"""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length = int.from_bytes(der[start:start + count], "big")
        start += count
    return der[at], start, start + length
