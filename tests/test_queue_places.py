"""Rules of docs/queues.md about places, callbacks, licences, explanations, estimates, journals."""

import re
from enum import IntEnum
from pathlib import Path

import pytest

from routing_core.queues import (
    FAIR_BUCKET_MS,
    STRATEGIES,
    AgentState,
    By,
    Cause,
    Closed,
    Engine,
    Leave,
    Login,
    Skip,
    What,
    Why,
    need,
)
from tests.queue_floor import MINUTE, A, B, C, S, T, attempt_of, floor, rung, said, talk, two_queues
from tests.queue_watched import Watched

# -- places and callbacks --------------------------------------------------------------------------

def test_a_place_goes_through_everything() -> None:
    """A detour, a callback, a move, a crash."""
    watched = floor(A)
    watched.set_queue(T, 2, grace_ms=MINUTE)
    watched.enter(T + S, 1)
    caller = watched.enter(T + 2 * S, 1, priority=3)
    watched.enter(T + 3 * S, 1, priority=3)
    place = watched.engine.token(caller)
    assert watched.step_out(T + 4 * S, caller, T + 30 * S)
    assert watched.engine.position(caller) == 0
    assert watched.step_in(T + 5 * S, caller)
    assert said(watched, What.PLACE)[0][0] == caller
    watched.crash(whole=False)
    watched.crash(whole=True)
    assert watched.to_callback(T + 6 * S, caller)
    assert watched.engine.token(caller) == place
    assert watched.engine.callers(1)[0] == caller
    watched.leave(T + 7 * S, caller, Leave.MOVED)
    with pytest.raises(KeyError):
        watched.engine.token(caller)
    moved = watched.enter(T + 8 * S, 2, priority=place[0], arrived_ms=place[1], sequence=place[2],
                          force=True)
    assert moved != caller and watched.engine.token(moved) == place


def test_whoever_stepped_out_is_not_offered() -> None:
    """And leaves when it takes too long."""
    watched = floor(A)
    caller = watched.enter(T + S, 1)
    assert watched.step_out(T + 2 * S, caller, T + 30 * S)
    assert said(watched, What.CANCEL) == [(caller, A, Why.CALLER_LEFT, 0)]
    other = watched.enter(T + 3 * S, 1)
    assert said(watched, What.OFFER)[0][0] == other
    watched.tick(T + 30 * S)
    assert said(watched, What.LEFT) == [(caller, 0, Leave.AWAY_TOO_LONG, 29 * S)]


def callback(watched: Watched, at: int) -> int:
    """Somebody who has asked to be called, and is offered to A."""
    caller = watched.enter(at, 1)
    assert watched.to_callback(at + S, caller)
    return caller


def test_a_callback_is_never_ahead_of_an_older_live_caller() -> None:
    """And not behind a younger one."""
    watched = two_queues()
    oldest = watched.enter(T + 3 * S, 1)
    asked = callback(watched, T + 4 * S)
    youngest = watched.enter(T + 6 * S, 1)
    watched.talk_ended(T + 7 * S, A)
    assert watched.engine.callers(1) == [oldest, asked, youngest]
    assert said(watched, What.OFFER)[0][0] == oldest
    talk(watched, T + 8 * S, A, S)
    assert said(watched, What.OFFER)[0][0] == asked


def test_as_many_callbacks_as_free_agents() -> None:
    """One agent for each, also with parallel offers, and none outside the hours."""
    watched = floor(A, B, C, strategy=STRATEGIES["parallel"], parallel=3)
    watched.set_callback_hours(T + 2 * S, 1, False)
    asked = [callback(watched, T + i * S) for i in (3, 5, 7, 9)]
    assert not watched.attempts
    watched.set_callback_hours(T + 20 * S, 1, True)
    assert sorted(line[0] for line in said(watched, What.OFFER)) == asked[:3]
    assert sorted(rung(watched)) == [A, B, C]


def test_a_callback_has_tries_with_a_gap() -> None:
    """An agent who declines uses none."""
    watched = floor(A, callback_tries=2, callback_gap_ms=MINUTE, rejected_ms=5 * S)
    caller = callback(watched, T + S)
    assert rung(watched) == [A]
    assert watched.declined(T + 3 * S, attempt_of(watched, A))
    assert not said(watched, What.MISSED) and watched.callers[caller].tries == 0
    watched.tick(T + 8 * S)
    talk(watched, T + 9 * S, A)
    assert watched.callback_done(T + 20 * S, caller, False)
    assert said(watched, What.RETRY) == [(caller, 0, T + 80 * S, 1)]
    watched.talk_ended(T + 20 * S, A)
    assert rung(watched) == []
    assert not watched.callback_done(T + 21 * S, caller, True)
    watched.tick(T + 80 * S)
    assert said(watched, What.OFFER)[0][0] == caller
    talk(watched, T + 81 * S, A)
    watched.callback_done(T + 90 * S, caller, False)
    assert said(watched, What.LEFT) == [(caller, 0, Leave.FAILED, 89 * S)]


def test_a_callback_is_served_once() -> None:
    """When the customer has answered, it is over, and the agent talks."""
    watched = floor(A, wrap_ms=5 * S)
    caller = callback(watched, T + S)
    talk(watched, T + 3 * S, A)
    watched.callback_done(T + 9 * S, caller, True)
    assert said(watched, What.LEFT) == [(caller, 0, Leave.SERVED, 8 * S)]
    assert watched.engine.view_agent(A).state == AgentState.TALKING
    watched.talk_ended(T + 19 * S, A)
    assert said(watched, What.WRAP_UP)
    assert not watched.leave(T + 20 * S, caller)


def test_a_callback_has_a_lifetime() -> None:
    """Also while nobody is there; the overflow of live callers is not for it."""
    watched = floor(A, callback_life_ms=MINUTE, timed_ms=10 * S, leave_at_close=1)
    watched.pause(T + S, A, 1)
    watched.set_pause_counts(T + S, 2)
    caller = callback(watched, T + 2 * S)
    watched.set_open(T + 4 * S, 1, Closed.NIGHT)
    watched.tick(T + 62 * S)
    assert caller in watched.callers
    watched.tick(T + 63 * S)
    assert said(watched, What.LEFT) == [(caller, 0, Leave.EXPIRED, 61 * S)]


# -- licences, evidence, explanations, estimates ---------------------------------------------------

def test_licences_float() -> None:
    """A person has one for all queues; who has one keeps it."""
    watched = floor(A)
    watched.set_queue(T, 2)
    watched.set_member(T, 2, A)
    watched.set_member(T, 1, B)
    watched.set_licences(T, 1)
    assert watched.log_in(T, 2, A) == Login.OK
    assert watched.log_in(T, 1, B) == Login.NO_LICENCE
    assert watched.log_in(T, 2, B) == Login.NOT_A_MEMBER
    watched.set_licences(T, 0)
    assert watched.log_in(T, 1, A) == Login.OK
    watched.set_licences(T, 1)
    watched.log_out(T, 1, A)
    assert watched.log_in(T, 1, B) == Login.NO_LICENCE
    watched.log_out(T, 2, A)
    assert watched.log_in(T, 1, B) == Login.OK


@pytest.mark.parametrize("skip", list(Skip), ids=lambda skip: skip.name.lower())
def test_why_an_agent_is_not_offered(skip: Skip) -> None:
    """Each reason, of agent A for the second caller."""
    watched = floor(A, B, tiers={A: 1}, tier1_ms=MINUTE, wrap_ms=MINUTE, no_answer_ms=MINUTE,
                    grace_ms=MINUTE)
    now = T + 10 * S
    watched.pause(now, B, 1)
    asked = need({1: 1}) if skip == Skip.SKILL else 0
    if skip in (Skip.OFFERED, Skip.TALKING, Skip.WRAP_UP, Skip.REST):
        watched.set_member(now, 1, A)
        watched.enter(now, 1)
        if skip == Skip.REST:
            watched.missed(now, attempt_of(watched, A), Cause.NO_ANSWER)
        elif skip != Skip.OFFERED:
            talk(watched, now, A, S if skip == Skip.WRAP_UP else 0)
    elif skip == Skip.LOGGED_OUT:
        watched.log_out(now, 1, A)
    elif skip == Skip.AWAY:
        watched.set_present(now, A, False)
    elif skip == Skip.PAUSED:
        watched.pause(now, A, 2)
    elif skip == Skip.UNREACHABLE:
        watched.set_reachable(now, A, False)
    elif skip == Skip.LINE_BUSY:
        watched.set_line(now, A, True)
    elif skip in (Skip.SKILL, Skip.CALLER, Skip.ELIGIBLE):
        watched.set_member(now, 1, A)
    caller = watched.enter(now + S, 1, need=asked, force=True)
    if skip == Skip.CALLER:
        watched.step_out(now + S, caller, now + MINUTE)
    if skip == Skip.ELIGIBLE:
        assert rung(watched) == [A]
    else:
        found = {line[0]: line[1] for line in watched.engine.explain(now + S, caller)}
        assert found[A] == skip
    watched.audit()


def test_looking_changes_nothing() -> None:
    """Two engines in the same state have the same bytes, whoever has been looked at."""
    watched = floor(A, B, strategy=STRATEGIES["fair"])
    watched.enter(T + 2 * S, 1)
    talk(watched, T + 3 * S, A, MINUTE)
    caller = watched.enter(T + 3 * FAIR_BUCKET_MS, 1)
    engine = watched.engine
    before = engine.dump()
    engine.explain(T + 3 * FAIR_BUCKET_MS, caller)
    engine.fairness(1)
    engine.view_agent(A)
    engine.view_queue(1, T + 9 * FAIR_BUCKET_MS)
    engine.view_caller(caller, T)
    assert engine.dump() == before


def test_an_explanation_is_in_the_order_of_the_strategy() -> None:
    """The better one first, though idle for a shorter time."""
    watched = floor(A, B, strategy=STRATEGIES["skill"], skills={A: need({0: 2}), B: need({0: 4})})
    caller = watched.enter(T + 5 * S, 1, need=need({0: 1}))
    assert rung(watched) == [B]
    assert [line[0] for line in watched.engine.explain(T + 5 * S, caller)] == [B, A]


def busy_hour(watched: Watched, calls: int, took: int = 60 * S) -> int:
    """Calls of the same length, one after the other; when it is over."""
    now = T + MINUTE
    for _ in range(calls):
        watched.enter(now, 1)
        talk(watched, now + S, rung(watched)[0], took)
        now += took + 10 * S
    return now


def test_an_estimate_needs_samples() -> None:
    """Silent below the minimum, a range from there on."""
    watched = floor(A, min_samples=4, hit_permille=0)
    now = busy_hour(watched, 3)
    watched.enter(now, 1)
    waiting = watched.enter(now + S, 1)
    assert watched.estimate(now + S, waiting) == (0, 0)
    talk(watched, now + 2 * S, A, 60 * S)
    low, high = watched.estimate(now + 70 * S, watched.enter(now + 70 * S, 1))
    assert 0 <= low < 60 < high


def test_an_estimate_does_not_go_up() -> None:
    """Unless staff leaves."""
    watched = floor(A, B, hit_permille=0)
    now = busy_hour(watched, 8)
    for _ in range(3):
        watched.enter(now, 1)
    caller = watched.enter(now, 1)
    said_first = watched.estimate(now + S, caller)
    watched.enter(now + S, 1, priority=5)
    assert watched.estimate(now + 2 * S, caller)[1] <= said_first[1]
    watched.log_out(now + 3 * S, 1, B)
    assert watched.estimate(now + 3 * S, caller)[1] > said_first[1]


def test_an_estimate_that_is_never_right_is_not_said() -> None:
    """Measured, and silent below the rate of hits that is asked for."""
    watched = floor(A, min_samples=1, hit_permille=600)
    now = busy_hour(watched, 5)
    last = (1, 1)
    for _ in range(40):
        watched.enter(now, 1)
        caller = watched.enter(now, 1)
        last = watched.estimate(now, caller)
        talk(watched, now + S, A, S)
        watched.tick(now + 2000 * S)
        talk(watched, now + 2000 * S, A, S)
        now += 3000 * S
    assert last == (0, 0)
    assert watched.engine.view_queue(1, now).hit_permille < 600


# -- what comes in is checked, what is kept can be read back ---------------------------------------

def test_settings_are_checked() -> None:
    """Names and marks."""
    engine = Engine(1)
    with pytest.raises(KeyError):
        engine.set_queue(T, 1, ringing=5)
    with pytest.raises(ValueError, match="low"):
        engine.set_queue(T, 1, length_high=3, length_low=4)
    assert engine.queues() == []


def test_a_torn_dump_or_journal_is_refused() -> None:
    """A journal's whole records are applied, up to a time."""
    watched = floor(A, B)
    watched.enter(T + 5 * S, 1)
    watched.enter(T + 6 * S, 1)
    dump, journal = watched.engine.dump(), watched.engine.take_journal()
    assert watched.engine.take_journal() == b""
    for bad in (b"", b"nonsense", dump[:-1], dump + b"1"):
        with pytest.raises(ValueError, match="dump"):
            Engine.load(bad)
    with pytest.raises(ValueError, match="record"):
        Engine(7).replay(b"nonsense" * 4)
    part = Engine(7)
    applied = part.replay(journal[:-3])
    assert 0 < applied < len(journal)
    assert part.replay(journal[applied:]) == len(journal) - applied
    assert part.dump() == dump
    part = Engine(7)
    applied = part.replay(journal, T + 5 * S)
    assert part.now_ms == T + 5 * S
    part.replay(journal[applied:])
    assert part.dump() == dump


def test_a_smaller_time_counts_as_the_last_one() -> None:
    """The clock is set back."""
    watched = floor(A)
    caller = watched.enter(T - MINUTE, 1)
    assert watched.engine.token(caller)[1] == T == watched.engine.now_ms


def test_whatever_is_removed_is_gone() -> None:
    """A member in an offer, a queue with callers; what was given is not given again."""
    watched = floor(A, B)
    first, second, third = (watched.enter(T + (2 + i) * S, 1) for i in range(3))
    watched.remove_member(T + 9 * S, 1, A)
    assert said(watched, What.LOGGED_OUT) == [(0, A, By.REMOVED, 0)]
    assert said(watched, What.CANCEL)[0][:2] == (first, A)
    watched.remove_queue(T + 10 * S, 1)
    assert {line[0]: line[2] for line in said(watched, What.LEFT)} == dict.fromkeys(
        (first, second, third), Leave.REMOVED)
    assert watched.engine.queues() == [] and watched.engine.view_queue(1, T) is None
    counts = watched.engine.counts()
    assert counts["callers"] == counts["attempts"] == counts["members"] == 0
    watched.set_queue(T + 11 * S, 1, grace_ms=MINUTE)
    assert watched.enter(T + 12 * S, 1, force=True) not in (0, first, second, third)


def test_each_queue_counts_its_own_pauses() -> None:
    """Of one agent in two queues, also when the setting changes during the pause."""
    engine = Engine(1)
    engine.set_queue(T, 1, pauses_present=1 << 2)
    engine.set_queue(T, 2)
    for queue in (1, 2):
        engine.set_member(T, queue, A)
        engine.log_in(T, queue, A)
    engine.pause(T + S, A, 2)

    def staffed() -> list[bool]:
        views = [engine.view_queue(queue, T + S) for queue in (1, 2)]
        return [view.staffed for view in views if view]

    assert staffed() == [True, False]
    engine.set_queue(T + S, 2, pauses_present=1 << 2 | 1 << 3)
    assert staffed() == [True, True]
    engine.set_queue(T + S, 1, pauses_present=0)
    assert staffed() == [False, True]


@pytest.mark.parametrize("letter, words", [
    ("W", What), ("L", Leave), ("C", Cause), ("Y", Why), ("B", By), ("A", AgentState), ("K", Skip),
], ids=lambda value: value if isinstance(value, str) else value.__name__)
def test_the_compiled_numbers_are_the_words(letter: str, words: type[IntEnum]) -> None:
    """queue_codes.pxd against queue_words.py: the same names in the same order."""
    page = (Path(__file__).parent.parent / "routing_core" / "queue_codes.pxd").read_text()
    first, names = next(
        (int(found[2] or 0), re.findall(rf"\b{letter}_(\w+)", found[0]))
        for found in re.finditer(r"cdef enum:\n    (\w)_\w+(?: = (\d+))?(?:.|\n    )*", page)
        if found[1] == letter)
    assert {name: first + i for i, name in enumerate(names)} == {
        word.name: word.value for word in words}
