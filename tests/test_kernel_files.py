"""The kernel's files: damaged, swapped, changed under its feet."""

import json
import os
import random
import select
import struct
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path

import pytest

from routing_core import mapping
from routing_core.build import BaseBuilder
from routing_core.errors import (
    ForeignSnapshot,
    LiveStateError,
    OverlayFull,
    SnapshotError,
    TornSnapshot,
)
from routing_core.kernel import Kernel
from routing_core.live import Live, format_live, live_size
from routing_core.overlay import OverlayWriter, format_overlay, overlay_size, pack_number, pack_user
from routing_core.snapshot import Snapshot

PLANS = json.loads(Path("configs/number_plans.json").read_text())
NOW = 1_800_000_000
CALLED = "+46810000001"
SECRET = "a" * 26
COMMITTED, REVISION = 48, 56  # where the overlay's header keeps them


def number_row(user: int, number: str = CALLED) -> tuple[object, ...]:
    """The row of a number that goes to the user."""
    return (number, 1, "service", "user", user, None, None, None, None, None, None, None, 0)


def user_row(user: int, ring_s: int = 25) -> tuple[object, ...]:
    """The row of a user."""
    return (user, 1, 1000 + user, "direct", 0, None, ring_s, 1, 0, 0, None, 0)


def device_row(user: int) -> tuple[object, ...]:
    """The row of the user's one device, which has the user's id."""
    return (user, user, "desk", f"u{user}", SECRET, None, None, 1, "both",
            "source")


def builder(target: int = 1) -> BaseBuilder:
    """Users 1 and 2, a trunk, and the number that goes to one of them."""
    made = BaseBuilder(PLANS)
    made.add("tenant", [(1, "SE", "sv", "Europe/Stockholm", None, None, "replace", "available",
                         None, 0, "auto", 15, 0)])
    made.add("user", [user_row(1), user_row(2)])
    made.add("device", [device_row(1), device_row(2)])
    made.add("number", [number_row(target)])
    made.add("trunk", [(1, None, "127.0.0.1", 5060, "udp", "SE", "pai", "diversion", "original",
                        "plus", "auto", 30, "address", 1, "", "")])
    return made


def base_of(target: int = 1, generation: int = 1) -> bytes:
    """A base in memory."""
    header, body = builder(target).finish(1, generation)
    return header + bytes(body)


def new_overlay(generation: int = 1, room: int = 1 << 14) -> bytearray:
    """An overlay in memory."""
    buffer = bytearray(overlay_size(room))
    format_overlay(buffer, generation, 1)
    return buffer


def kernel_of(snapshot: Snapshot) -> Kernel:
    """A kernel with an idle live state."""
    buffer = bytearray(live_size(64, 64, 64, 4))
    format_live(buffer, 64, 64, 64, 4, 0)
    return Kernel(snapshot, Live(buffer))


def target(kernel: Kernel, called: str = CALLED) -> int:
    """The user who rings, 0 when nobody does."""
    targets = kernel.decide(1, 1, called, "+46811111111", NOW, 7).targets
    return targets[0][2] if targets else 0


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory."""
    yield tmp_path
    if (tmp_path / "live").is_symlink():
        mapping.remove_live(tmp_path)


def in_force(state: Path, user: int, revision: int = 1) -> int:
    """Compile a base whose number goes to the user, and swap to it."""
    generation = mapping.write_base(state, builder(user), revision)
    mapping.put_in_force(state, generation)
    return generation


# -- damaged bases ----------------------------------------------------------------------------

def test_truncated_anywhere() -> None:
    base = base_of()
    for length in {*range(700), *range(len(base) - 99, len(base)), *range(0, len(base), 997)}:
        for verify in (True, False):
            with pytest.raises((TornSnapshot, ForeignSnapshot)):
                Snapshot(base[:length], None, verify)
    with pytest.raises(TornSnapshot):
        Snapshot(base + b"\0")


def test_every_flipped_byte_is_found() -> None:
    base, chance = base_of(), random.Random(1)
    places = [*range(700), *(chance.randrange(len(base)) for _ in range(500))]
    for place in places:
        damaged = bytearray(base)
        damaged[place] ^= 1 << chance.randrange(8)
        with pytest.raises((TornSnapshot, ForeignSnapshot)):
            Snapshot(damaged)
    for place in range(struct.unpack_from("<I", base, 12)[0]):  # the header's own checksum
        damaged = bytearray(base)
        damaged[place] ^= 255
        with pytest.raises(SnapshotError):
            Snapshot(damaged, None, False)


def test_other_layouts_and_other_files() -> None:
    for at, value in ((8, 99), (8, 0), (12, 8)):
        other = bytearray(base_of())
        struct.pack_into("<I", other, at, value)
        with pytest.raises(ForeignSnapshot):
            Snapshot(other)
    for junk in (bytes(100_000), b"\xff" * 100_000, random.Random(2).randbytes(100_000)):
        with pytest.raises(ForeignSnapshot):
            Snapshot(junk)


def test_overlays_that_do_not_fit() -> None:
    base, whole = base_of(), new_overlay()
    with pytest.raises(ForeignSnapshot):
        Snapshot(base, new_overlay(generation=2))
    for length in (0, 1, 4096, overlay_size(0) - 1, len(whole) - 1):
        with pytest.raises(SnapshotError):
            Snapshot(base, whole[:length])
    for at in range(32):
        damaged = bytearray(whole)
        damaged[at] ^= 255
        with pytest.raises(SnapshotError):
            Snapshot(base, damaged)


# -- changes over a base ----------------------------------------------------------------------

def test_records_of_one_change_come_together() -> None:
    """Before the last store none of them is there, after it all are."""
    overlay = new_overlay()
    assert target(kernel_of(Snapshot(base_of(), overlay))) == 1
    writer = OverlayWriter(overlay)
    writer.publish(pack_number(number_row(2)), 2)
    before = bytes(overlay[:72])
    writer.publish(pack_number(number_row(1)) | pack_number(number_row(2, "+46810000002"))
                   | pack_user(user_row(1, 55), [device_row(1)], [], [], False), 3)
    killed = bytearray(overlay)
    killed[COMMITTED:REVISION + 8] = before[COMMITTED:REVISION + 8]
    half = kernel_of(Snapshot(base_of(), killed))
    assert (target(half), target(half, "+46810000002")) == (2, 0)
    assert half.snapshot.revision == 2
    whole = kernel_of(Snapshot(base_of(), overlay))
    assert (target(whole), target(whole, "+46810000002")) == (1, 2)
    decision = whole.decide(1, 1, CALLED, "", NOW, 7)
    writer.publish(dict.fromkeys(pack_number(number_row(1)), b""), 4)
    assert (target(whole), target(half)) == (0, 2)
    assert (decision.ring_s, decision.revision) == (55, 3)


def test_a_full_overlay_is_as_it_was() -> None:
    overlay = new_overlay(room=500)
    kernel, writer = kernel_of(Snapshot(base_of(), overlay)), OverlayWriter(overlay)
    revision = 1
    with pytest.raises(OverlayFull):
        while True:
            writer.publish(pack_number(number_row(2 - revision % 2)), revision + 1)
            revision += 1
    assert revision > 3
    was, user, entries = bytes(overlay), target(kernel), writer.entries
    many = {key: record for n in range(9)
            for key, record in pack_number(number_row(1, f"+4681000001{n}")).items()}
    for changes in (many, pack_number(number_row(3 - user))):
        with pytest.raises(OverlayFull):
            writer.publish(changes, 99)
        assert bytes(overlay) == was
    assert (writer.entries, writer.revision, target(kernel)) == (entries, revision, user)


def test_how_full_an_overlay_is() -> None:
    writer = OverlayWriter(new_overlay(room=0))
    assert 0.9 < writer.fill <= 1
    assert 0 < OverlayWriter(new_overlay(room=1 << 20)).fill < 0.5


def test_a_change_that_broke_off_stays_invisible() -> None:
    overlay = new_overlay()
    writer = OverlayWriter(overlay)
    with pytest.raises(KeyError):
        writer.publish(pack_number(number_row(2)) | {("nonsense", 1): b""}, 2)
    writer.publish(pack_number(number_row(2, "+46810000002")), 3)
    assert target(kernel_of(Snapshot(base_of(), overlay))) == 1


# -- generations ------------------------------------------------------------------------------

def test_files_are_private(state: Path) -> None:
    in_force(state, 1)
    mapping.open_kernel(state)
    names = {"control", "base.1", "overlay.1", "live"}
    assert {path.name for path in state.iterdir()} == names
    for name in names:
        assert (state / name).stat().st_mode & 0o777 == 0o600, name


@pytest.mark.parametrize("damage", ["layout", "other", "short", "empty", "beside"])
def test_a_live_file_of_another_layout_is_replaced(state: Path, damage: str) -> None:
    mapping.open_live(state).set_presence(7, 2, NOW)
    assert not mapping.renew_live(state)
    assert mapping.open_live(state).presence(7) == (2, NOW), "a good one stays"
    path = (state / "live").resolve()
    content = bytearray(path.read_bytes()[:5000])
    if damage == "layout":
        content[8] ^= 255
        with path.open("r+b") as file:
            file.write(content)
    elif damage == "other":
        path.write_bytes(b"something else" * 1000)
    elif damage == "short":
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    else:  # an old one that is no link, as on a machine without memory for it
        (state / "live").unlink()
        (state / "live").write_bytes(content)
    if damage != "empty":
        with pytest.raises(LiveStateError):
            mapping.open_live(state)
    assert mapping.renew_live(state)
    assert mapping.open_live(state).presence(7) == (0, 0)
    assert (state / "live").stat().st_mode & 0o777 == 0o600
    assert not mapping.renew_live(state)


def test_an_open_kernel_follows(state: Path) -> None:
    in_force(state, 1)
    kernel = mapping.open_kernel(state)
    assert target(kernel) == 1
    second = mapping.write_base(state, builder(2), 2)
    assert target(kernel) == 1, "it is not in force yet"
    mapping.put_in_force(state, second)
    assert target(kernel) == 2
    assert (kernel.snapshot.generation, kernel.snapshot.revision) == (second, 2)
    writer = mapping.open_overlay(state, second)
    writer.publish(pack_number(number_row(1)), 3)
    assert target(kernel) == 1


def test_old_generations_are_removed(state: Path) -> None:
    assert [in_force(state, 1, revision) for revision in range(1, 6)] == [1, 2, 3, 4, 5]
    assert mapping.generations(state) == [5, 4]
    assert len(list(state.iterdir())) == 5
    assert mapping.generation_in_force(state) == 5


def test_nothing_there(state: Path) -> None:
    assert mapping.generation_in_force(state) == 0
    with pytest.raises(ForeignSnapshot):
        mapping.open_kernel(state)


@pytest.mark.parametrize("damage", ["short", "flipped", "empty", "gone", "overlay gone",
                                    "overlay of another"])
def test_a_start_on_the_older_whole_one(state: Path, damage: str) -> None:
    in_force(state, 1)
    newest = state / f"base.{in_force(state, 2)}"
    changes = state / "overlay.2"
    content = newest.read_bytes()
    if damage == "short":
        newest.write_bytes(content[:-1])
    elif damage == "flipped":
        newest.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    elif damage == "empty":
        newest.write_bytes(b"")
    elif damage == "gone":
        newest.unlink()
    elif damage == "overlay gone":
        changes.unlink()
    else:
        changes.unlink()
        changes.hardlink_to(state / "overlay.1")
    refused: list[SnapshotError] = []
    kernel = mapping.open_kernel(state, refused.append)
    assert target(kernel) == 1
    assert refused
    assert [target(kernel) for _ in range(5)] == [1] * 5
    assert len(refused) <= 2, "asked again and again"
    (state / "base.1").unlink()
    with pytest.raises(SnapshotError):
        mapping.open_kernel(state)


def test_a_running_kernel_keeps_the_last_good_one(state: Path) -> None:
    in_force(state, 1)
    refused: list[SnapshotError] = []
    kernel = mapping.open_kernel(state, refused.append)
    second = mapping.write_base(state, builder(2), 2)
    path = state / f"base.{second}"
    path.write_bytes(path.read_bytes()[:-1])
    for bad in (second, 77):
        mapping.put_in_force(state, bad)
        assert [target(kernel) for _ in range(3)] == [1, 1, 1]
    assert len(refused) == 2
    mapping.put_in_force(state, mapping.write_base(state, builder(2), 3))
    assert target(kernel) == 2


def test_a_base_that_cannot_be_opened(state: Path) -> None:
    in_force(state, 1)
    kernel = mapping.open_kernel(state)
    (state / "base.2").mkdir()
    (state / "overlay.2").mkdir()
    mapping.put_in_force(state, 2)
    assert target(kernel) == 1


# -- a writer beside --------------------------------------------------------------------------

def test_decisions_while_another_process_writes() -> None:
    """Each is one of the two, and none is older than what the writer had reported before."""
    changes = 20_000
    overlay = mmap(-1, overlay_size(changes * 128))
    format_overlay(overlay, 1, 1)
    kernel = kernel_of(Snapshot(base_of(1), overlay))
    reader, report = os.pipe()
    child = os.fork()
    if child == 0:
        writer = OverlayWriter(overlay)
        rows = [pack_number(number_row(user)) for user in (1, 2)]
        for revision in range(2, changes + 2):
            writer.publish(rows[revision % 2], revision)
            if revision % 20 == 0:
                os.write(report, struct.pack("<I", revision))
        os._exit(0)
    os.close(report)
    reported, last, seen, done, decisions = 1, 1, set(), False, 0
    while not done:
        if select.select([reader], [], [], 0)[0]:
            text = os.read(reader, 1 << 16)
            done = not text
            reported = struct.unpack("<I", text[-4:])[0] if text else reported
        for _ in range(5):
            decision = kernel.decide(1, 1, CALLED, "+46811111111", NOW, 7)
            seen.add(decision.targets[0][2])
            assert decision.revision >= max(reported, last)
            last = decision.revision
            decisions += 1
    os.close(reader)
    assert os.waitpid(child, 0)[1] == 0
    assert (seen, last, target(kernel)) == ({1, 2}, changes + 1, 1 + last % 2), decisions
