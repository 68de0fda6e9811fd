"""The kernel's files: where a base, its overlay and the live state lie, and how they are swapped.

The only module here that touches the disk. In the state directory:

    control           8 bytes: the generation in force
    base.<g>          a base; written beside, synced, renamed
    overlay.<g>       the changes over it
    live              live state; a link into SHARED_MEMORY where that is there

A new generation is in force from the moment `control` says so. A process that cannot use it goes
on with what it has; one that starts takes the newest that is whole.
"""

import contextlib
import hashlib
import json
import mmap
import os
import re
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from routing_core.build import BaseBuilder, class_of
from routing_core.codes import NumberClass
from routing_core.errors import ForeignSnapshot, LiveStateError, SnapshotError
from routing_core.kernel import Kernel
from routing_core.live import Live, format_live, live_size
from routing_core.overlay import OverlayWriter, format_overlay, overlay_size
from routing_core.snapshot import Snapshot

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
#: Room for changes before a new base must be compiled; the file is sparse.
OVERLAY_CAPACITY_BYTES = 64 << 20
#: Of the live file; sparse too. An id at or above the limit is refused when it is created.
LIVE_USERS, LIVE_MEMBERS, LIVE_TRUNKS = 2 << 20, 1 << 20, 1 << 14
LIVE_SLOTS, LIVE_RESERVED_SLOTS = 1 << 15, 1 << 10
#: A tenant with an id at or above it has no owner among the processes of call control.
LIVE_TENANTS = 1 << 18
#: For twice as many nonces in use at once; 4 MiB.
LIVE_ONCE_BUCKETS = 1 << 16
KEPT_GENERATIONS = 2
#: Memory without a disk behind it. On a disk's file system every page of the live state would be
#: written back and made read-only every few seconds, and the next write to it cost a fault.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (a directory of our own in it, mode 0700)


def _map(path: Path, writable: bool) -> mmap.mmap:
    flags = os.O_RDWR if writable else os.O_RDONLY
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        return mmap.mmap(fd, 0, access=access)
    except ValueError as error:  # an empty file
        raise ForeignSnapshot(f"{path.name}: {error}") from error
    finally:
        os.close(fd)


def _new_file(path: Path, size: int, fill: Callable[[mmap.mmap], None]) -> None:
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.truncate(size)
    beside.chmod(0o600)
    with contextlib.closing(_map(beside, writable=True)) as buffer:
        fill(buffer)
    beside.rename(path)


def open_live(state: Path) -> Live:
    """The live state of the directory, made empty when there is none."""
    path = state / "live"
    if not path.exists():
        path = _live_path(state)
        size = live_size(LIVE_USERS, LIVE_MEMBERS, LIVE_TRUNKS, LIVE_SLOTS, LIVE_TENANTS,
                         LIVE_ONCE_BUCKETS)
        _new_file(path, size, lambda buffer: format_live(
            buffer, LIVE_USERS, LIVE_MEMBERS, LIVE_TRUNKS, LIVE_SLOTS, LIVE_RESERVED_SLOTS,
            LIVE_TENANTS, LIVE_ONCE_BUCKETS))
    return Live(_map(path, writable=True))


def renew_live(state: Path) -> bool:
    """Replace a live file that this version cannot read by an empty one; whether there was one.
    Only while nothing of the directory runs."""
    try:
        open_live(state)
    except (LiveStateError, ForeignSnapshot):
        (state / "live").unlink(missing_ok=True)
        open_live(state)  # which replaces what the link led to
        return True
    return False


def _live_path(state: Path) -> Path:
    if not os.access(SHARED_MEMORY, os.W_OK):
        return state / "live"
    name = hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:16]
    folder = SHARED_MEMORY / f"vaxel-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise LiveStateError(f"{folder} belongs to somebody else")
    link = state / "live"
    link.unlink(missing_ok=True)  # of a machine that was restarted
    link.symlink_to(folder / "live")
    return folder / "live"


def remove_live(state: Path) -> None:
    """Forget the live state, when nothing of this directory runs any more."""
    path = state / "live"
    target = path.resolve()
    target.unlink(missing_ok=True)
    if target.parent.parent == SHARED_MEMORY:
        target.parent.rmdir()
    path.unlink(missing_ok=True)


def _control(state: Path, writable: bool) -> mmap.mmap:
    path = state / "control"
    if not path.exists():
        _new_file(path, mmap.PAGESIZE, lambda buffer: None)
    return _map(path, writable)


def generations(state: Path) -> list[int]:
    """Those that have a base, the newest first."""
    found = (re.fullmatch(r"base\.(\d+)", path.name) for path in state.glob("base.*"))
    return sorted((int(match[1]) for match in found if match), reverse=True)


def generation_in_force(state: Path) -> int:
    """0 when there has been none."""
    with contextlib.closing(_control(state, writable=False)) as control:
        value: int = struct.unpack_from("<Q", control)[0]
        return value


def open_snapshot(state: Path, generation: int, verify: bool = True) -> Snapshot:
    """That generation with its overlay; a SnapshotError when it is not whole."""
    try:
        base = _map(state / f"base.{generation}", writable=False)
        overlay = _map(state / f"overlay.{generation}", writable=False)
    except OSError as error:
        raise ForeignSnapshot(f"generation {generation}: {error}") from error
    return Snapshot(base, overlay, verify)


def open_kernel(state: Path, on_refused: Callable[[SnapshotError], None] | None = None) -> Kernel:
    """A kernel that follows the generation in force.

    Starts on the newest generation that is whole, at or below the one in force; on_refused hears
    of each that is not. Raises SnapshotError when there is none.
    """
    in_force = generation_in_force(state)
    last: SnapshotError = ForeignSnapshot(f"no snapshot in {state}: start the API once")
    snapshot = None
    for generation in [in_force, *(g for g in generations(state) if g < in_force)]:
        try:
            snapshot = open_snapshot(state, generation)
            break
        except SnapshotError as error:
            if in_force:
                last = error
            if on_refused:
                on_refused(error)
    if snapshot is None:
        raise last

    refused: set[int] = set()

    def follow(kernel: Kernel) -> None:
        wanted = generation_in_force(state)
        if wanted in refused:
            return
        try:
            kernel.use(open_snapshot(state, wanted))
        except SnapshotError as error:
            refused.add(wanted)  # asked once; the last good one stays
            if on_refused:
                on_refused(error)

    return Kernel(snapshot, open_live(state), _control(state, writable=False), follow)


def write_base(state: Path, builder: BaseBuilder, revision: int) -> int:
    """Write the base, prove that it can be read, and put it in force; returns its generation."""
    generation = max([generation_in_force(state), *generations(state)], default=0) + 1
    header, body = builder.finish(revision, generation)
    path = state / f"base.{generation}"
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)  # holds the devices' secrets
        file.write(header)
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    _new_file(state / f"overlay.{generation}", overlay_size(OVERLAY_CAPACITY_BYTES),
              lambda buffer: format_overlay(buffer, generation, revision))
    open_snapshot(state, generation)
    return generation


def open_overlay(state: Path, generation: int) -> OverlayWriter:
    """The overlay of that generation, for its one writer."""
    return OverlayWriter(_map(state / f"overlay.{generation}", writable=True))


def put_in_force(state: Path, generation: int) -> None:
    """From now on every process decides on that generation; the oldest ones are removed."""
    with contextlib.closing(_control(state, writable=True)) as control:
        struct.pack_into("<Q", control, 0, generation)
    for old in generations(state)[KEPT_GENERATIONS:]:
        if old < generation:
            for name in (f"base.{old}", f"overlay.{old}"):
                (state / name).unlink(missing_ok=True)


@cache
def plans() -> dict[str, dict[str, Any]]:
    """{country: its numbering plan}: configs/number_plans.json. Sources: PTS (Sweden), Traficom
    (Finland: service numbers of groups I to IV are premium), ITU-T E.164."""
    found: dict[str, dict[str, Any]] = json.loads((CONFIGS / "number_plans.json").read_text())
    return found


def number_class(number: str, country: str) -> NumberClass:
    """Of "+46..." as seen from that country: as the kernel classes it."""
    return NumberClass(class_of(number, plans()[country]))
