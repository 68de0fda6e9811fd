"""Live state: calls in slots that many processes share without a lock, and lamps derived from
them."""

import multiprocessing
import os
import random
import secrets
import signal
import struct
import time
from collections.abc import Callable
from mmap import mmap
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from routing_core.codes import LineState, SlotState
from routing_core.errors import LiveStateError
from routing_core.live import Live, format_live, live_size, padded

FORK = multiprocessing.get_context("fork")
NOW = 1_800_000_000
LOST = 6
ENDING = 100  # seconds of lease that most calls here have


def new_live(users: int = 32, members: int = 16, trunks: int = 4, slots: int = 8,
             reserved: int = 0, tenants: int = 8) -> tuple[mmap, Live]:
    """A live file in memory that forked processes share."""
    buffer = mmap(-1, live_size(users, members, trunks, slots, tenants))
    format_live(buffer, users, members, trunks, slots, reserved, tenants)
    return buffer, Live(buffer)


def claim(live: Live, caller: int = 0, now: int = NOW, lease: int = ENDING) -> tuple[int, int]:
    """(slot, nonce) of a new call."""
    nonce = secrets.randbits(64) | 1
    slot = live.claim(nonce, now * 1000, now + lease, 1, caller)
    assert slot >= 0
    return slot, nonce


def known(live: Live, slot: int, nonce: int) -> Any:
    """What is known of a call that is there."""
    found = live.call(slot, nonce)
    assert found is not None
    return found


def head_of(live: Live, slot: int) -> int:
    """Where the slot's head begins in the file."""
    return (4096 + live.users * 40 + padded(live.members) + (live.trunks + live.tenants) * 8
            + slot * 64)


def force(buffer: mmap, live: Live, slot: int, state: SlotState, nonce: int | None = None) -> None:
    """Make the slot look as if its process had been killed just then."""
    struct.pack_into("<I", buffer, head_of(live, slot), state)
    if nonce is not None:
        struct.pack_into("<Q", buffer, head_of(live, slot) + 8, nonce)


def end_all(live: Live) -> None:
    """Collect and release every call; afterwards all slots can be claimed again."""
    for slot, nonce in live.calls():
        live.end(slot, nonce, 200, 0, NOW * 1000)
        assert live.call(slot, nonce) is not None
        assert live.release(slot, nonce), (slot, nonce)
    assert live.calls() == []


# -- slots ------------------------------------------------------------------------------------

def test_claim_until_all_are_taken() -> None:
    _, live = new_live(slots=8, reserved=3)
    calls = [claim(live) for _ in range(5)]
    assert live.claim(7, NOW * 1000, NOW + 9, 1, 0) == -1
    rescue = [live.claim(70 + n, NOW * 1000, NOW + 9, 1, 0, emergency=True) for n in range(3)]
    assert rescue == [5, 6, 7]
    assert live.claim(80, NOW * 1000, NOW + 9, 1, 0, emergency=True) == -1
    assert live.claim(81, NOW * 1000, NOW + 9, 1, 0) == -1
    live.end(5, 70, 200, 0, NOW * 1000)
    assert live.release(5, 70)
    assert live.claim(82, NOW * 1000, NOW + 9, 1, 0) == -1, "a reserved slot was given away"
    slot, nonce = calls[2]
    live.end(slot, nonce, 200, 0, NOW * 1000)
    live.release(slot, nonce)
    assert live.claim(83, NOW * 1000, NOW + 9, 1, 0, emergency=True) == slot
    end_all(live)


def test_who_does_not_know_the_nonce_changes_nothing() -> None:
    buffer, live = new_live()
    slot, nonce = claim(live, 3)
    before = bytes(buffer)
    for where, guess in ((slot, nonce ^ 1), (slot, 0), (slot, nonce ^ 1 << 63), (slot + 1, nonce),
                         (slot + 1, 0), (10**6, nonce), (2**64 - 1, nonce)):
        assert not live.ring(where, guess, [4], NOW * 1000, NOW + 9)
        assert not live.answer(where, guess, 4, NOW * 1000, NOW + 9, b"x")
        assert not live.renew(where, guess, NOW + 9)
        assert not live.note(where, guess, 0, b"x")
        assert not live.end(where, guess, 486, 1, NOW * 1000)
        assert not live.release(where, guess)
        assert live.call(where, guess) is None
        assert live.advance(where, guess, 0, 9) == -1
        assert bytes(buffer) == before
    live.end(slot, nonce, 200, 0, NOW * 1000)
    live.release(slot, nonce)
    assert live.call(slot, nonce) is None
    again, other = claim(live)
    assert again == slot
    assert not live.end(slot, nonce, 200, 0, NOW * 1000), "the slot has another call by now"
    assert live.call(slot, other) is not None


def test_a_call_from_beginning_to_end() -> None:
    _, live = new_live()
    slot, nonce = claim(live, 3)
    assert live.ring(slot, nonce, [4, 5], NOW * 1000, NOW + 50)
    assert live.ring(slot, nonce, [5], NOW * 1000, NOW + 50)
    assert not live.release(slot, nonce)
    assert live.answer(slot, nonce, 5, NOW * 1000 + 7, NOW + 90, b"sdp")
    assert not live.answer(slot, nonce, 4, NOW * 1000 + 8, NOW + 90)
    assert not live.ring(slot, nonce, [6], NOW * 1000, NOW + 50)
    assert not live.release(slot, nonce)
    assert live.end(slot, nonce, 0, 2, NOW * 1000 + 9)
    assert not live.end(slot, nonce, 500, 1, NOW * 1000 + 10)
    assert not live.renew(slot, nonce, NOW + 1000)
    found = known(live, slot, nonce)
    assert found == {
        "state": SlotState.ENDED, "lease_until": NOW + 90, "started_ms": NOW * 1000, "tenant": 1,
        "answered_ms": NOW * 1000 + 7, "ended_ms": NOW * 1000 + 9, "caller": 3, "answerer": 5,
        "code": 200, "reason": 2, "ringing": [], "rang": [4, 5], "setup": b"", "answer": b"sdp",
        "decisions": b""}
    assert live.release(slot, nonce)
    assert not live.release(slot, nonce)


def test_notes() -> None:
    _, live = new_live()
    slot, nonce = claim(live)
    for which in range(4):
        for size in (0, 1, 2048):
            assert live.note(slot, nonce, which, bytes([which]) * size)
            assert live.read_note(slot, which) == bytes([which]) * size
        assert not live.note(slot, nonce, which, b"x" * 2049)
        assert live.read_note(slot, which) == bytes([which]) * 2048
    for which in (-1, 4, 2**31 - 1):
        assert not live.note(slot, nonce, which, b"x")
        assert live.read_note(slot, which) == b""
    assert live.read_note(10**6, 0) == b""
    assert live.answer(slot, nonce, 0, NOW * 1000, NOW + 9, b"y" * 2049), "answered all the same"
    live.end(slot, nonce, 200, 0, NOW * 1000)
    assert not live.note(slot, nonce, 0, b"late")
    live.release(slot, nonce)
    assert live.read_note(claim(live)[0], 0) == b"", "the note of the call before"


def test_more_ring_than_there_is_room_for() -> None:
    _, live = new_live(users=200)
    slot, nonce = claim(live)
    assert live.ring(slot, nonce, list(range(1, 101)), NOW * 1000, NOW + 50)
    assert live.ring(slot, nonce, [150], NOW * 1000, NOW + 50)
    found = known(live, slot, nonce)
    assert (found["ringing"], found["rang"]) == ([150], list(range(1, 31)))


def test_limits() -> None:
    _, live = new_live(users=32, members=16, trunks=4)
    changes: list[Callable[[], None]] = [
        lambda: live.set_presence(32, 1, 0), lambda: live.set_presence(2**32 - 1, 1, 0),
        lambda: live.set_logged_in(16, True), lambda: live.set_trunk_down(4, 1)]
    for change in changes:
        with pytest.raises(LiveStateError):
            change()
    live.set_presence(31, 2**24 - 1, 2**32 - 1)
    assert live.presence(31) == (2**24 - 1, 2**32 - 1)
    assert live.presence(30) == live.presence(32) == (0, 0)
    live.set_logged_in(15, True)
    assert [live.is_logged_in(n) for n in (14, 15, 16)] == [False, True, False]
    live.set_trunk_down(3, NOW)
    assert [live.trunk_down_until(n) for n in (2, 3, 4)] == [0, NOW, 0]
    assert live.line_state(0, NOW) == live.line_state(10**6, NOW) == LineState.IDLE
    slot, nonce = claim(live, 10**6)
    assert live.ring(slot, nonce, [10**6], NOW * 1000, NOW + 9), "a user behind the limit"
    live.count(63, 5)
    live.count(64)
    live.count(-1)
    assert [live.counter(n) for n in (62, 63, 64, -1)] == [0, 5, 0, 0]


def test_damaged_and_foreign_files() -> None:
    buffer, _ = new_live(members=64)
    whole = bytes(buffer)
    for size in (0, 1, 8, 4095, 4096, len(whole) - 1):
        with pytest.raises(LiveStateError):
            Live(bytearray(whole[:size]))
    with pytest.raises(LiveStateError):
        Live(bytearray(whole + b"\0"))
    for at in range(48):
        if 28 <= at < 32:
            continue  # reserved_slots: its own test
        for bit in (1, 128):
            damaged = bytearray(whole)
            damaged[at] ^= bit
            with pytest.raises(LiveStateError):
                Live(damaged)
    with pytest.raises(BufferError):
        Live(whole)


@pytest.mark.parametrize("reserved", [9, 2**31, 2**32 - 1])
def test_more_reserved_than_there_are(reserved: int) -> None:
    damaged = bytearray(new_live(slots=8)[0])
    struct.pack_into("<I", damaged, 28, reserved)
    with pytest.raises(LiveStateError):
        Live(damaged)


# -- lamps ------------------------------------------------------------------------------------

def lamps(live: Live, *users: int, now: int = NOW) -> str:
    """i, r or c for each."""
    return "".join("irc"[live.line_state(user, now)] for user in users)


def test_line_states_through_a_call() -> None:
    _, live = new_live()
    slot, nonce = claim(live, 1)
    assert lamps(live, 1, 2, 3) == "cii"
    live.ring(slot, nonce, [2, 3], NOW * 1000, NOW + ENDING)
    assert lamps(live, 1, 2, 3) == "crr"
    live.ring(slot, nonce, [3], NOW * 1000, NOW + ENDING)
    assert lamps(live, 1, 2, 3) == "cir"
    live.answer(slot, nonce, 3, NOW * 1000, NOW + ENDING)
    assert lamps(live, 1, 2, 3) == "cic"
    second, other = claim(live, 0)
    live.ring(second, other, [3, 2], NOW * 1000, NOW + ENDING)
    assert lamps(live, 1, 2, 3) == "crc"
    live.end(slot, nonce, 200, 1, NOW * 1000)
    assert lamps(live, 1, 2, 3) == "irr"
    live.answer(second, other, 0, NOW * 1000, NOW + ENDING)
    assert lamps(live, 1, 2, 3) == "iii"
    live.release(slot, nonce)
    end_all(live)


@pytest.mark.parametrize("step", range(3))
def test_a_lamp_goes_out_with_the_lease(step: int) -> None:
    _, live = new_live()
    slot, nonce = claim(live, 1)
    if step:
        live.ring(slot, nonce, [2], NOW * 1000, NOW + ENDING)
    if step == 2:
        live.answer(slot, nonce, 2, NOW * 1000, NOW + ENDING)
    lit = ("ci", "cr", "cc")[step]
    assert lamps(live, 1, 2, now=NOW + ENDING) == lit
    assert lamps(live, 1, 2, now=NOW + ENDING + 1) == "ii"
    assert live.renew(slot, nonce, NOW + 2 * ENDING)
    assert lamps(live, 1, 2, now=NOW + ENDING + 1) == lit


def test_lamps_of_calls_that_are_no_more() -> None:
    """A line that points at another call's slot does not count."""
    _, live = new_live(slots=1)
    slot, nonce = claim(live, 1)
    live.end(slot, nonce, 200, 0, NOW * 1000)
    live.release(slot, nonce)
    claim(live, 2)
    assert lamps(live, 1, 2) == "ic"


def test_a_call_of_a_user_whom_four_calls_ring() -> None:
    _, live = new_live()
    for _ in range(4):
        slot, nonce = claim(live)
        live.ring(slot, nonce, [1], NOW * 1000, NOW + ENDING)
    claim(live, 1)
    assert lamps(live, 1) == "c"


def test_a_call_that_is_heard_of_again() -> None:
    _, live = new_live()
    slot, nonce = claim(live, 1)
    later = NOW + ENDING + 1
    second, other = claim(live, 1, later)
    live.renew(slot, nonce, later + ENDING)
    live.end(second, other, 200, 0, later * 1000)
    assert lamps(live, 1, now=later) == "c"


# -- many processes ---------------------------------------------------------------------------

def in_processes(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What work(number) returns in forked processes that start together."""
    barrier, queue = FORK.Barrier(count), FORK.Queue()

    def run(number: int) -> None:
        barrier.wait()
        queue.put((number, work(number)))

    processes = [FORK.Process(target=run, args=(number,), daemon=True) for number in range(count)]
    for process in processes:
        process.start()
    found = dict(queue.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(60)
    return [found[number] for number in range(count)]


def test_one_process_wins() -> None:
    _, live = new_live(users=8, slots=6000)
    calls = [claim(live) for _ in range(6000)]

    def answer(number: int) -> list[int]:
        return [slot for slot, nonce in calls
                if live.answer(slot, nonce, number + 1, NOW * 1000, NOW + 9)]

    def end(number: int) -> list[int]:
        return [slot for slot, nonce in calls if live.end(slot, nonce, 200, number, NOW * 1000)]

    def release(_number: int) -> list[int]:
        return [slot for slot, nonce in calls if live.release(slot, nonce)]

    won = in_processes(4, answer)
    assert sorted(slot for slots in won for slot in slots) == sorted(slot for slot, _ in calls)
    nonces = dict(calls)
    for number, slots in enumerate(won):
        for slot in slots[::50]:
            found = known(live, slot, nonces[slot])
            assert found["answerer"] == number + 1
    won = in_processes(4, end)
    assert sorted(slot for slots in won for slot in slots) == sorted(nonces)
    won = in_processes(4, release)
    assert {slot for slots in won for slot in slots} == set(nonces)
    assert live.calls() == []
    assert sum(map(len, won)) == len(calls)


def test_a_slot_is_claimed_by_one_process() -> None:
    _, live = new_live(slots=4000)

    def take(number: int) -> list[tuple[int, int]]:
        made = []
        while (slot := live.claim(nonce := secrets.randbits(64) | 1, 0, 9, 1, number)) >= 0:
            made.append((slot, nonce))
        return made

    found = [call for calls in in_processes(4, take) for call in calls]
    assert len({slot for slot, _ in found}) == len(found) == 4000
    assert sorted(found) == sorted(live.calls())


def test_a_call_whose_answer_hangs_can_be_ended() -> None:
    """After a bounded wait; the process that answers finds it ended and leaves it so."""
    buffer, live = new_live()
    slot, nonce = claim(live)
    force(buffer, live, slot, SlotState.ANSWERING)
    assert live.end(slot, nonce, 200, 0, NOW * 1000)
    assert known(live, slot, nonce)["state"] == SlotState.ENDED


def test_answers_and_ends_that_race_leave_no_call_behind() -> None:
    _, live = new_live(slots=64)
    calls = [claim(live) for _ in range(48)]
    for _ in range(40):
        def work(number: int, calls: list[tuple[int, int]] = calls) -> int:
            act = live.answer if number else live.end
            return sum(bool(act(slot, nonce, *((1, NOW * 1000, NOW + 9) if number else
                                               (200, 0, NOW * 1000)))) for slot, nonce in calls)

        in_processes(2, work)
        assert {known(live, *call)["state"] for call in calls} == {SlotState.ENDED}
        for call in calls:
            assert live.release(*call)
        assert live.calls() == []
        calls = [claim(live) for _ in range(48)]


# -- the process that owns a company's calls --------------------------------------------------

MS = NOW * 1000
SILENCE_MS = 2000
TENANT = 3


def at_work(live: Live, *born: int, now: int = MS) -> None:
    """Processes 0, 1, ... of call control, which began then, are heard of now."""
    for index, born_ms in enumerate(born):
        live.set_control(index, born_ms, now)


def test_the_first_who_claims_a_company_has_it() -> None:
    _, live = new_live()
    at_work(live, MS - 50, MS - 40)
    assert live.owner(TENANT, MS) == -1
    assert live.own(TENANT, 1, MS - 40, MS)
    assert live.own(TENANT, 1, MS - 40, MS), "it is its own already"
    assert not live.own(TENANT, 0, MS - 50, MS)
    assert [live.owner(tenant, MS) for tenant in range(8)] == [-1, -1, -1, 1, -1, -1, -1, -1]
    assert live.own(TENANT + 1, 0, MS - 50, MS), "another company"
    assert (live.owner(TENANT, MS), live.owner(TENANT + 1, MS)) == (1, 0)


def test_a_company_whose_owner_is_silent_can_be_claimed() -> None:
    _, live = new_live()
    at_work(live, MS, MS)
    live.own(TENANT, 0, MS, MS)
    assert live.owner(TENANT, MS + SILENCE_MS) == 0
    assert not live.own(TENANT, 1, MS, MS + SILENCE_MS)
    later = MS + SILENCE_MS + 1
    live.set_control(1, MS, later)
    assert live.owner(TENANT, later) == -1
    assert live.own(TENANT, 1, MS, later)
    live.set_control(0, MS, later)
    assert live.owner(TENANT, later) == 1
    assert not live.own(TENANT, 0, MS, later), "it was only slow, but the calls are elsewhere"


def test_an_owner_that_is_heard_of_again_before_another_claims() -> None:
    _, live = new_live()
    at_work(live, MS)
    live.own(TENANT, 0, MS, MS)
    later = MS + SILENCE_MS + 1
    assert live.owner(TENANT, later) == -1
    live.set_control(0, MS, later)
    assert live.owner(TENANT, later) == 0


def test_a_process_that_began_again_owns_nothing() -> None:
    _, live = new_live()
    at_work(live, MS, MS)
    live.own(TENANT, 0, MS, MS)
    live.own(TENANT + 1, 0, MS, MS)
    live.set_control(0, MS + 9, MS + 9)
    assert live.owner(TENANT, MS + 9) == live.owner(TENANT + 1, MS + 9) == -1
    assert live.own(TENANT, 1, MS, MS + 9)
    assert not live.own(TENANT, 0, MS + 9, MS + 9), "the old calls are in the other one by now"
    assert live.own(TENANT + 1, 0, MS + 9, MS + 9)
    assert (live.owner(TENANT, MS + 9), live.owner(TENANT + 1, MS + 9)) == (1, 0)
    assert not live.own(TENANT + 1, 0, MS, MS + 9), "its former life"


def test_only_the_owner_gives_a_company_back() -> None:
    buffer, live = new_live()
    at_work(live, MS, MS)
    live.own(TENANT, 0, MS, MS)
    before = bytes(buffer)
    live.disown(TENANT, 1, MS)
    live.disown(TENANT, 0, MS - 1)
    live.disown(TENANT + 1, 0, MS)
    assert bytes(buffer) == before
    live.disown(TENANT, 0, MS)
    assert live.owner(TENANT, MS) == -1
    assert live.own(TENANT, 1, MS, MS)


def test_a_company_behind_the_limit_has_no_owner() -> None:
    buffer, live = new_live(tenants=8)
    at_work(live, MS, MS)
    before = bytes(buffer)
    for tenant in (8, 2**32, 2**62):
        assert live.own(tenant, 0, MS, MS)
        assert live.own(tenant, 1, MS, MS)
        assert live.owner(tenant, MS) == -1
        live.disown(tenant, 0, MS)
    assert bytes(buffer) == before
    for index in (-1, 16):
        with pytest.raises(IndexError):
            live.own(TENANT, index, MS, MS)
        with pytest.raises(IndexError):
            live.disown(TENANT, index, MS)
    assert bytes(buffer) == before
    assert live.own(7, 15, MS, MS)
    live.set_control(15, MS, MS)
    assert live.owner(7, MS) == 15


def test_a_word_that_no_process_wrote() -> None:
    """Its process was never there, or cannot be."""
    buffer, live = new_live()
    at = head_of(live, 0) - live.tenants * 8
    for word in (1, 256, 2**64 - 1, MS << 8, MS << 8 | 2, MS << 8 | 17):
        struct.pack_into("<Q", buffer, at, word)
        assert live.owner(0, MS) == -1, hex(word)
        live.set_control(0, MS, MS)
        assert live.own(0, 0, MS, MS)
        assert live.owner(0, MS) == 0


def test_a_company_is_claimed_by_one_process() -> None:
    """Each waits for the other before it claims the next, and a little that varies, so that they
    meet."""
    tenants, born = 50_000, [MS, MS + 1]
    _, live = new_live(tenants=tenants)
    at_work(live, *born)
    at = memoryview(mmap(-1, 16)).cast("Q")

    def claim_all(number: int) -> list[int]:
        won = []
        for tenant in range(tenants):
            at[number] = tenant
            for _look in range(300):
                if at[1 - number] >= tenant:
                    break
            for _delay in range(tenant // (1, 8)[number] % 8):
                pass
            if live.own(tenant, number, born[number], MS):
                won.append(tenant)
        return won

    won = in_processes(2, claim_all)
    assert sorted(tenant for some in won for tenant in some) == list(range(tenants))
    for number, some in enumerate(won):
        assert {live.owner(tenant, MS) for tenant in some} == {number}


def test_a_company_that_changes_hands_has_one_owner_at_a_time() -> None:
    """Each adds to a number that would lose additions if two did so at once."""
    rounds, born = 100_000, [MS, MS + 1]
    _, live = new_live()
    shared = mmap(-1, 8)
    at_work(live, *born)

    def add(number: int) -> int:
        done = 0
        while done < rounds:
            if live.own(TENANT, number, born[number], MS):
                (value,) = struct.unpack_from("<Q", shared)
                assert live.owner(TENANT, MS) == number
                struct.pack_into("<Q", shared, 0, value + 1)
                live.disown(TENANT, number, born[number])
                done += 1
        return done

    assert in_processes(2, add) == [rounds] * 2
    assert struct.unpack_from("<Q", shared) == (2 * rounds,)
    assert live.owner(TENANT, MS) == -1


def test_the_companies_of_a_dead_process_go_to_one_each() -> None:
    tenants = 20_000
    _, live = new_live(tenants=tenants)
    at_work(live, MS)
    assert all(live.own(tenant, 0, MS, MS) for tenant in range(tenants))
    later = MS + SILENCE_MS + 1
    born = [later, MS, MS]  # the first is born anew and claims with the others
    at_work(live, *born, now=later)

    def claim_all(number: int) -> list[int]:
        return [tenant for tenant in range(tenants)
                if live.own(tenant, number, born[number], later)]

    won = in_processes(3, claim_all)
    assert sorted(tenant for some in won for tenant in some) == list(range(tenants))


# -- repair -----------------------------------------------------------------------------------

@pytest.mark.parametrize(("state", "after"), [
    (SlotState.CLAIMED, SlotState.FREE), (SlotState.SETUP, SlotState.ENDED),
    (SlotState.ANSWERING, SlotState.ANSWERED), (SlotState.ANSWERED, SlotState.ANSWERED),
    (SlotState.ENDING, SlotState.ENDED), (SlotState.ENDED, SlotState.ENDED)])
def test_repair(state: SlotState, after: SlotState) -> None:
    buffer, live = new_live(slots=2)
    slot, nonce = claim(live, 1)
    force(buffer, live, slot, state)
    assert live.repair(NOW * 1000 + 5) == ([slot] if state != after else [])
    assert live.repair(NOW * 1000 + 6) == []
    if after == SlotState.FREE:
        assert live.calls() == []
        return
    found = known(live, slot, nonce)
    assert found["state"] == after
    if state in (SlotState.SETUP, SlotState.ENDING):
        assert found["ended_ms"] == NOW * 1000 + 5
    assert found["reason"] == (LOST if state == SlotState.SETUP else 0)
    end_all(live)


def test_repair_of_a_slot_that_was_being_released() -> None:
    buffer, live = new_live(slots=1)
    slot, nonce = claim(live)
    live.end(slot, nonce, 200, 0, NOW * 1000)
    force(buffer, live, slot, SlotState.ENDED, nonce=0)
    live.repair(NOW * 1000)
    for where, known in live.calls():
        live.release(where, known)
    claim(live)


def test_repair_after_a_kill_at_any_moment() -> None:
    _, live = new_live(slots=16)
    chance = random.Random(7)
    for _ in range(50):
        child = os.fork()
        if child == 0:
            while True:
                slot, nonce = claim(live, 1)
                live.ring(slot, nonce, [2, 3, 4], NOW * 1000, NOW + ENDING)
                live.note(slot, nonce, 0, b"x" * 1024)
                live.answer(slot, nonce, 2, NOW * 1000, NOW + ENDING, b"y" * 1024)
                live.end(slot, nonce, 200, 1, NOW * 1000)
                live.release(slot, nonce)
        time.sleep(chance.uniform(0.002, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        live.repair(NOW * 1000)
        assert not live.calls(SlotState.CLAIMED, SlotState.SETUP, SlotState.ANSWERING,
                              SlotState.ENDING)
        end_all(live)
    assert len([claim(live) for _ in range(16)]) == 16


# -- against a model --------------------------------------------------------------------------

class Model(RuleBasedStateMachine):
    """One live file and a dictionary that says what it must know. Not more calls than a user has
    lines: what is beyond has tests of its own."""

    def __init__(self) -> None:
        super().__init__()
        _, self.live = new_live(users=6, slots=4, reserved=1)
        self.now = NOW
        self.calls: dict[tuple[int, int], dict[str, Any]] = {}
        self.over: list[tuple[int, int]] = []

    @rule(caller=st.integers(0, 6), emergency=st.booleans(), lease=st.integers(0, 60))
    def claim(self, caller: int, emergency: bool, lease: int) -> None:
        nonce = secrets.randbits(64) | 1
        slot = self.live.claim(nonce, self.now * 1000, self.now + lease, 1, caller, emergency)
        usable = set(range(4 if emergency else 3)) - {known for known, _ in self.calls}
        assert (slot in usable) if usable else slot == -1
        if slot >= 0:
            self.calls[slot, nonce] = {"state": "setup", "lease": self.now + lease,
                                       "caller": caller, "ringing": [], "answerer": 0}

    @precondition(lambda self: self.calls or self.over)
    @rule(what=st.sampled_from(["ring", "answer", "renew", "end", "release"]), n=st.integers(0, 9),
          users=st.lists(st.integers(1, 5), unique=True), lease=st.integers(0, 60))
    def act(self, what: str, n: int, users: list[int], lease: int) -> None:
        known = [*self.calls, *self.over[-3:]]
        key = known[n % len(known)]
        call = self.calls.get(key, {"state": "over", "lease": self.now})
        state, user = call["state"], users[0] if users else 0
        if call["lease"] < self.now and what not in ("end", "release"):
            return  # a call that is heard of again: a test of its own
        at, until = self.now * 1000, self.now + lease
        allowed, done, change = {
            "ring": (["setup"], lambda: self.live.ring(*key, users, at, until),
                     {"ringing": users, "lease": until}),
            "answer": (["setup"], lambda: self.live.answer(*key, user, at, until),
                       {"state": "answered", "answerer": user, "lease": until}),
            "renew": (["setup", "answered"], lambda: self.live.renew(*key, until),
                      {"lease": until}),
            "end": (["setup", "answered"], lambda: self.live.end(*key, 200, 1, at),
                    {"state": "ended"}),
            "release": (["ended"], lambda: self.live.release(*key), {"state": "over"})}[what]
        assert done() == (state in allowed)
        if state in allowed:
            call |= change
            if what == "release":
                self.over.append(key)
                del self.calls[key]

    @rule(seconds=st.integers(1, 40))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def lamps_are_right(self) -> None:
        for user in range(1, 6):
            expected = LineState.IDLE
            for call in self.calls.values():
                if call["state"] == "ended" or call["lease"] < self.now:
                    continue
                if user == call["caller"] or (
                        call["state"] == "answered" and user == call["answerer"]):
                    expected = LineState.IN_CALL
                elif call["state"] == "setup" and user in call["ringing"]:
                    expected = max(expected, LineState.RINGING)
            assert self.live.line_state(user, self.now) == expected, user
        assert sorted(self.live.calls()) == sorted(self.calls)


Model.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestModel = Model.TestCase
