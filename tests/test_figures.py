"""The statistics of queues: known sequences, the engine's own, and a count second by second."""

from collections import defaultdict
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.json import decode, encode

from api.figures import counting
from api.figures.book import Book
from api.figures.counting import Counting
from api.figures.counts import (
    DEFINITIONS,
    WAIT_BUCKETS_S,
    AgentFigures,
    AgentSums,
    MemberCounts,
    QueueFigures,
    QueueSums,
    queue_figures,
)
from api.figures.fold import Figures
from routing_core.queues import Engine, Leave, What
from store.figures import DAY_MS, QUARTER_MS
from store.model import Event
from tests.test_call_lists import fresh_store

HOUR = 3600
BEGIN = 1_800_000_000 // HOUR * HOUR
SALES, SUPPORT = 7, 8
ANNA, BO = 21, 22


def said(at_s: float, what: str, **data: int) -> Event:
    """An event of a queue, so many seconds after the beginning."""
    return Event(tenant=1, at_ms=round((BEGIN + at_s) * 1000), kind="queue",
                 data={"what": what, **data})


def fed(*events: Event, interval_s: int = HOUR, kept: int = 100) -> Figures:
    """From the beginning, with 20 seconds as T."""
    figures = Figures(interval_s, kept)
    for event in events:
        figures.feed(event)
    return figures


def queue(figures: Figures, number: int = SALES, first: int = 0, last: int = 24) -> QueueFigures:
    """Between two hours of the day."""
    return next(one for one in figures.queues((BEGIN + first * HOUR) * 1000,
                                              (BEGIN + last * HOUR) * 1000) if one.queue == number)


def agent(figures: Figures, number: int = ANNA, first: int = 0, last: int = 24) -> AgentFigures:
    """The same of an agent."""
    return next(one for one in figures.agents((BEGIN + first * HOUR) * 1000,
                                              (BEGIN + last * HOUR) * 1000) if one.agent == number)


def a_call(at_s: float, caller: int, waited_s: float, talked_s: float, *, who: int = ANNA,
           number: int = SALES) -> list[Event]:
    """Somebody comes, is offered, answered, and hangs up."""
    answered_s = at_s + waited_s
    return [said(at_s, "entered", queue=number, caller=caller, x=1, y=1),
            said(at_s, "offer", queue=number, caller=caller, agent=who, attempt=caller, y=1),
            said(answered_s, "answered", queue=number, caller=caller, agent=who, attempt=caller,
                 x=round(waited_s * 1000), y=1),
            said(answered_s + talked_s, "talk_ended", queue=number, caller=caller, agent=who,
                 x=round(talked_s * 1000)),
            said(answered_s + talked_s, "ready", agent=who)]


# -- calls of a queue --------------------------------------------------------------------------

def test_calls() -> None:
    """Answered, abandoned and refused, each within its time or not."""
    found = queue(fed(
        said(0, "logged_in", queue=SALES, agent=ANNA),
        *a_call(10, 1, 20, 100), *a_call(200, 2, 20.001, 50),
        said(300, "entered", queue=SALES, caller=3, x=1), said(305, "place", queue=SALES, caller=3),
        said(305, "left", queue=SALES, caller=3, x=Leave.ABANDONED, y=5000),
        said(310, "entered", queue=SALES, caller=4, x=1),
        said(400, "left", queue=SALES, caller=4, x=Leave.ABANDONED, y=90_000),
        said(410, "entered", queue=SALES, caller=5, x=1),
        said(500, "left", queue=SALES, caller=5, x=Leave.TIMED, y=90_000),
        said(510, "refused", queue=SALES, x=Leave.RUSH_WAIT),
        said(511, "refused", queue=SALES, x=Leave.NIGHT),
        said(512, "refused", queue=SALES, x=Leave.NIGHT)))
    assert (found.offered, found.entered, found.refused) == (8, 5, {"rush_wait": 1, "night": 2})
    assert (found.answered, found.answered_within) == (2, 1)
    assert (found.abandoned, found.abandoned_within) == (2, 1)
    assert (found.wait_sum_ms, found.wait_max_ms) == (40_001, 20_001)
    assert (found.abandoned_wait_sum_ms, found.abandoned_wait_max_ms) == (95_000, 90_000)
    assert found.left == {"timed": 1}
    assert (found.talks, found.talk_sum_ms, found.talk_max_ms) == (2, 150_000, 100_000)
    assert found.service_level == 1 / 2
    assert found.service_level_offered == 1 / (2 + 1 + 1 + 1)
    waits = dict(zip((*WAIT_BUCKETS_S, None), found.waits, strict=True))
    assert {end: count for end, count in waits.items() if count} == {20: 1, 30: 1}
    assert found.abandoned_waits[0] == 1 and sum(found.abandoned_waits) == 2
    assert found.offers == 2 and found.missed == {}


def test_service_levels_of_nobody() -> None:
    """Nothing divided by nothing is unknown."""
    found = queue(fed(said(0, "refused", queue=SALES, x=1)))
    assert (found.service_level, found.service_level_offered, found.fairness) == (None, None, None)


def test_the_queues_own_time() -> None:
    """T is a queue's."""
    figures = Figures()
    figures.set_within(SALES, 30)
    for event in a_call(0, 1, 25, 5) + a_call(100, 2, 25, 5, number=SUPPORT):
        figures.feed(event)
    assert [queue(figures, number).answered_within for number in (SALES, SUPPORT)] == [1, 0]


def test_a_call_counts_where_it_began() -> None:
    """It waits in one hour, is answered in the next and ends in the third; so does its wrap-up."""
    figures = fed(
        said(0, "logged_in", queue=SALES, agent=ANNA),
        *a_call(HOUR - 10, 1, 30, 2 * HOUR - 30)[:-1],
        said(3 * HOUR - 10, "wrap_up", queue=SALES, agent=ANNA, x=(BEGIN + 3 * HOUR + 50) * 1000),
        said(3 * HOUR + 60, "ready", agent=ANNA))
    first = queue(figures, last=1)
    assert (first.answered, first.talks, first.talk_sum_ms) == (1, 1, (2 * HOUR - 30) * 1000)
    assert first.wrap_up_ms == 60_000
    assert [queue(figures, first=at, last=at + 1).answered for at in (1, 2, 3)] == [0, 0, 0]
    talking = [agent(figures, first=at, last=at + 1).talking_ms // 1000 for at in range(4)]
    assert talking == [0, HOUR - 20, HOUR - 10, 0]
    last = agent(figures, first=3, last=4)
    assert (last.wrap_up_ms, last.rest_ms, last.logged_in_ms) == (50_000, 10_000, 60_000)
    assert agent(figures, first=2, last=3).wrap_up_ms == 10_000


def test_the_longest_of_several_intervals() -> None:
    """Is not their sum."""
    found = queue(fed(*a_call(0, 1, 5, 60), *a_call(HOUR, 2, 9, 30), *a_call(2 * HOUR, 3, 1, 1)))
    assert (found.wait_max_ms, found.talk_max_ms) == (9000, 60_000)
    assert (found.wait_sum_ms, found.talk_sum_ms) == (15_000, 91_000)


def test_a_wrap_up_that_is_over_when_it_is_told() -> None:
    """None of it is counted."""
    found = agent(fed(said(0, "logged_in", queue=SALES, agent=ANNA), *a_call(0, 1, 10, 90)[:4],
                      said(100, "wrap_up", queue=SALES, agent=ANNA, x=(BEGIN + 90) * 1000),
                      said(130, "ready", agent=ANNA)))
    assert (found.talking_ms, found.wrap_up_ms, found.rest_ms) == (90_000, 0, 30_000)


def test_what_is_not_kept_does_not_come_back() -> None:
    """A call that ends when its interval has been given up is in no figure."""
    figures = fed(*a_call(0, 1, 10, 5 * HOUR), kept=2)
    assert figures.queues(BEGIN * 1000, (BEGIN + 2 * HOUR) * 1000) == []


def test_a_transfer_does_not_end_the_call() -> None:
    """The customer is on in another queue, with another agent; the first one's call goes on until
    it is over for him. A consultation enters no queue."""
    figures = fed(
        said(0, "logged_in", queue=SALES, agent=ANNA),
        said(0, "logged_in", queue=SUPPORT, agent=BO),
        *a_call(0, 1, 10, 100)[:-2],
        *a_call(60, 2, 5, 200, who=BO, number=SUPPORT)[:-2],
        said(110, "talk_ended", queue=SALES, caller=1, agent=ANNA, x=100_000),
        said(265, "talk_ended", queue=SUPPORT, caller=2, agent=BO, x=200_000))
    assert (queue(figures).entered, queue(figures).talk_sum_ms) == (1, 100_000)
    assert queue(figures, SUPPORT).talk_sum_ms == 200_000
    assert agent(figures).talking_ms == 100_000 and agent(figures, BO).talking_ms == 200_000


def test_callbacks() -> None:
    """One is reached at the second try, one given up, one withdrawn: none of them is an answered
    call, and only a customer who was reached is a conversation."""
    def attempt(at_s: int, caller: int, talked_s: int, *verdict: Event) -> list[Event]:
        return [said(at_s, "offer", queue=SALES, caller=caller, agent=ANNA),
                said(at_s, "answered", queue=SALES, caller=caller, agent=ANNA, x=900_000), *verdict,
                said(at_s + talked_s, "talk_ended", queue=SALES, caller=caller, agent=ANNA,
                     x=talked_s * 1000),
                said(at_s + talked_s, "ready", agent=ANNA)]

    events = [said(0, "logged_in", queue=SALES, agent=ANNA)]
    for caller in (1, 2, 3):
        events += [said(0, "entered", queue=SALES, caller=caller, x=1),
                   said(30, "callback", queue=SALES, caller=caller)]
    events += attempt(100, 1, 20, said(115, "retry", queue=SALES, caller=1))
    events += attempt(HOUR, 1, 80, said(HOUR + 9, "left", queue=SALES, caller=1, x=0))
    events += attempt(HOUR + 200, 2, 25)
    events += [said(HOUR + 300, "left", queue=SALES, caller=2, x=Leave.FAILED),
               said(HOUR + 300, "left", queue=SALES, caller=3, x=Leave.CANCELLED)]
    found = queue(fed(*events), last=1)
    assert (found.entered, found.answered, found.abandoned, found.left) == (3, 0, 0, {})
    assert (found.callbacks_requested, found.callbacks_reached, found.callbacks_failed,
            found.callbacks_withdrawn, found.callback_retries) == (3, 1, 1, 1, 1)
    assert (found.talks, found.talk_sum_ms) == (1, 80_000)
    assert agent(fed(*events)).answered == 3
    assert agent(fed(*events)).talking_ms == 125_000


def test_a_callback_that_is_told_late() -> None:
    """That the customer was reached is said after the conversation."""
    found = queue(fed(
        said(0, "entered", queue=SALES, caller=1, x=1), said(5, "callback", queue=SALES, caller=1),
        said(10, "answered", queue=SALES, caller=1, agent=ANNA),
        said(70, "talk_ended", queue=SALES, caller=1, agent=ANNA, x=60_000),
        said(70, "ready", agent=ANNA), said(71, "left", queue=SALES, caller=1, x=0)))
    assert (found.callbacks_reached, found.talks, found.talk_sum_ms) == (1, 1, 60_000)


def test_rush() -> None:
    """Periods count where they begin, their time where it is; the last one lasts until now."""
    figures = fed(said(HOUR - 60, "rush", queue=SALES, x=1, y=1),
                  said(HOUR - 40, "rush", queue=SALES, x=1, y=2),
                  said(HOUR + 30, "rush", queue=SALES, x=0),
                  said(2 * HOUR - 5, "rush", queue=SALES, x=1, y=2))
    figures.advance((BEGIN + 2 * HOUR + 5) * 1000)
    hours = [queue(figures, first=at, last=at + 1) for at in range(3)]
    assert [one.rush_ms for one in hours] == [60_000, 35_000, 5000]
    assert [one.rush_periods for one in hours] == [1, 1, 0]


# -- agents ------------------------------------------------------------------------------------

def test_states_of_an_agent() -> None:
    """Every second logged in is one of talking, wrap-up, paused, rest and free."""
    figures = fed(
        said(0, "logged_in", queue=SALES, agent=ANNA), said(50, "logged_in", queue=SUPPORT,
                                                            agent=ANNA),
        said(100, "offer", queue=SALES, caller=1, agent=ANNA),
        said(120, "missed", queue=SALES, caller=1, agent=ANNA, x=1, y=1),
        said(130, "ready", agent=ANNA),
        said(140, "offer", queue=SALES, caller=1, agent=ANNA),
        said(150, "answered", queue=SALES, caller=1, agent=ANNA, x=50_000),
        said(160, "paused", agent=ANNA, x=2),
        said(250, "talk_ended", queue=SALES, caller=1, agent=ANNA, x=100_000),
        said(250, "wrap_up", queue=SALES, agent=ANNA, x=(BEGIN + 260) * 1000),
        said(255, "wrap_up", queue=SALES, agent=ANNA, x=(BEGIN + 280) * 1000),
        said(300, "paused", agent=ANNA, x=0), said(330, "resumed", agent=ANNA),
        said(330, "ready", agent=ANNA), said(400, "logged_out", queue=SALES, agent=ANNA),
        said(450, "logged_out", queue=SUPPORT, agent=ANNA), said(900, "open", queue=SALES))
    found = agent(figures)
    assert found.logged_in_ms == 450_000
    assert found.talking_ms == 100_000
    assert found.wrap_up_ms == 30_000
    assert found.paused_ms == {2: 20_000, 0: 30_000}
    assert found.rest_ms == 10_000
    assert found.free_ms == 260_000
    assert (found.offered, found.answered, found.missed) == (2, 1, {"no_answer": 1})
    assert found.queues[SALES] == MemberCounts(
        logged_in_ms=400_000, talking_ms=100_000, offered=2, answered=1, missed={"no_answer": 1})
    assert found.queues[SUPPORT] == MemberCounts(logged_in_ms=400_000)
    assert queue(figures).missed == {"no_answer": 1}


def test_healed() -> None:
    """Its talk is over; no conversation is counted."""
    figures = fed(said(0, "logged_in", queue=SALES, agent=ANNA), *a_call(0, 1, 5, 100)[:3],
                  said(65, "healed", queue=SALES, agent=ANNA, x=3), said(100, "open", queue=SALES))
    found = agent(figures)
    assert (found.talking_ms, found.free_ms) == (60_000, 40_000)
    assert queue(figures).talks == 0 and queue(figures).answered == 1


@pytest.mark.parametrize(("talked_s", "index"), [
    ((100, 100), 1.0), ((100, 0), 0.5), ((300, 100), 0.8), ((0, 0), None)], ids=str)
def test_fairness(talked_s: tuple[int, int], index: float | None) -> None:
    """Jain's index of two agents; one who was never logged in does not count."""
    events = [said(0, "logged_in", queue=SALES, agent=who) for who in (ANNA, BO)]
    for who, talked in zip((ANNA, BO), talked_s, strict=True):
        if talked:
            events += a_call(0, who, 0, talked, who=who)
    events.sort(key=lambda event: event.at_ms)
    assert queue(fed(*events, said(1000, "open", queue=SALES))).fairness == (
        None if index is None else pytest.approx(index))


def test_fairness_is_by_the_time_logged_in() -> None:
    """Half the talk in half the time is fair."""
    events = [said(0, "logged_in", queue=SALES, agent=ANNA),
              said(500, "logged_in", queue=SALES, agent=BO),
              *a_call(500, 1, 0, 400), *a_call(900, 2, 0, 100, who=BO)[:4],
              *a_call(900, 3, 0, 100, who=BO)[3:]]
    events = [event for event in events if event.data.get("caller") != 3]
    found = queue(fed(*events, said(1000, "ready", agent=BO)))
    assert found.fairness == pytest.approx((0.4 + 0.2) ** 2 / (2 * (0.4**2 + 0.2**2)))


# -- with the engine ---------------------------------------------------------------------------

def test_what_the_engine_says() -> None:
    """A call with its wrap-up and rest, a missed one, one given up, a callback that is reached."""
    engine, figures = Engine(1), Figures()

    def at(seconds: float) -> int:
        return round((BEGIN + seconds) * 1000)

    def told() -> list[int]:
        """Feeds what has followed; the attempts that were offered."""
        facts = engine.take()
        for what, now_ms, number, caller, who, attempt, x, y in facts:
            figures.feed(Event(tenant=1, at_ms=now_ms, kind="queue", data={
                "what": What(what).name.lower(), "queue": number, "caller": caller, "agent": who,
                "attempt": attempt, "x": x, "y": y}))
        return [fact[5] for fact in facts if fact[0] == What.OFFER]

    engine.set_queue(at(0), SALES, wrap_ms=30_000, rest_ms=40_000, no_answer_ms=5000)
    engine.set_member(at(0), SALES, ANNA)
    engine.set_present(at(0), ANNA, True)
    engine.set_reachable(at(0), ANNA, True)
    engine.log_in(at(0), SALES, ANNA)
    first = engine.enter(at(10), SALES)
    [attempt] = told()
    engine.missed(at(20), attempt, 1)
    engine.tick(at(25))
    [attempt] = told()
    engine.answered(at(30), attempt)
    second, third = engine.enter(at(40), SALES), engine.enter(at(41), SALES)
    engine.leave(at(50), second)
    engine.to_callback(at(60), third)
    engine.talk_ended(at(130), ANNA)
    engine.tick(at(160))
    assert told() == []
    engine.tick(at(170))
    [attempt] = told()
    engine.answered(at(180), attempt)
    engine.callback_done(at(190), third, True)
    engine.talk_ended(at(240), ANNA)
    engine.tick(at(270))
    engine.log_out(at(275), SALES, ANNA)
    assert told() == []
    assert first != second != third
    found, seen = queue(figures), agent(figures)
    assert (found.entered, found.answered, found.abandoned) == (3, 1, 1)
    assert (found.wait_sum_ms, found.abandoned_wait_sum_ms) == (20_000, 10_000)
    assert (found.callbacks_requested, found.callbacks_reached) == (1, 1)
    assert (found.talks, found.talk_sum_ms, found.wrap_up_ms) == (2, 160_000, 60_000)
    assert (found.missed, found.offers) == ({"no_answer": 1}, 3)
    assert (seen.logged_in_ms, seen.talking_ms, seen.wrap_up_ms) == (275_000, 160_000, 60_000)
    assert (seen.rest_ms, seen.free_ms) == (20_000, 35_000)


ACTIONS = st.lists(st.tuples(
    st.sampled_from(["enter", "enter", "answer", "answer", "miss", "talk_ended", "talk_ended",
                     "pause", "resume", "log_in", "log_in", "log_out", "leave"]),
    st.integers(0, 2), st.integers(0, 12)), max_size=40)


@given(ACTIONS)
def test_states_are_the_engines(actions: list[tuple[str, int, int]]) -> None:
    """Each second the engine is asked what its agents do, and it comes out so."""
    engine, figures, second = Engine(1), Figures(60), 0
    people = (ANNA, BO, 23)
    expected: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    ringing: dict[int, int] = {}
    waiting: list[int] = []

    def now() -> int:
        return (BEGIN + second) * 1000

    def told() -> None:
        for what, now_ms, number, caller, who, attempt, x, y in engine.take():
            figures.feed(Event(tenant=1, at_ms=now_ms, kind="queue", data={
                "what": What(what).name.lower(), "queue": number, "caller": caller, "agent": who,
                "attempt": attempt, "x": x, "y": y}))
            if what == What.OFFER:
                ringing[who] = attempt

    def act(what: str, who: int) -> None:
        match what:
            case "enter":
                waiting.append(engine.enter(now(), SALES if who % 2 else SUPPORT, force=True))
            case "answer":
                engine.answered(now(), ringing.get(who, 0))
            case "miss":
                engine.missed(now(), ringing.get(who, 0), 1)
            case "talk_ended":
                engine.talk_ended(now(), who)
            case "pause":
                engine.pause(now(), who, 3)
            case "resume":
                engine.resume(now(), who)
            case "leave":
                engine.leave(now(), waiting.pop(0) if waiting else 0)
            case _:
                getattr(engine, what)(now(), SALES, who)

    for number in (SALES, SUPPORT):
        engine.set_queue(now(), number, wrap_ms=7000, rest_ms=11_000, no_answer_ms=4000,
                         max_misses=3)
    for who in people:
        for number in (SALES, SUPPORT):
            engine.set_member(now(), number, who)
        engine.set_present(now(), who, True)
        engine.set_reachable(now(), who, True)
        engine.log_in(now(), SUPPORT, who)
    told()
    for what, index, seconds in actions:
        act(what, people[index])
        told()
        for _ in range(seconds):
            for who in people:
                view = engine.view_agent(who)
                assert view
                state = view.state.name.lower()
                logged_in = any(there for _, there, _ in view.queues)
                expected[who]["logged_in"] += logged_in
                if state in ("talking", "wrap_up"):
                    expected[who][state] += 1
                elif logged_in:
                    expected[who]["paused" if view.reason and state == "rest" else
                                  state.replace("offered", "free")] += 1
            second += 1
            engine.tick(now())
            told()
    figures.advance(now())
    end = BEGIN + (second // 60 + 1) * 60
    for found in figures.agents(BEGIN * 1000, end * 1000):
        got = {"logged_in": found.logged_in_ms, "talking": found.talking_ms,
               "wrap_up": found.wrap_up_ms, "rest": found.rest_ms, "free": found.free_ms,
               "paused": sum(found.paused_ms.values())}
        assert {name: ms for name, ms in got.items() if ms} == {
            name: count * 1000 for name, count in expected[found.agent].items() if count}


# -- the fold itself ---------------------------------------------------------------------------

def test_definitions_are_complete() -> None:
    """Every figure has one, and nothing else has."""
    for scope, struct in (("queue", QueueFigures), ("agent", AgentFigures),
                          ("member", MemberCounts)):
        assert set(DEFINITIONS[scope]) == set(struct.__struct_fields__)
        assert all(len(text) > 10 for text in DEFINITIONS[scope].values())


def test_what_is_passed_over() -> None:
    """Other kinds, what is not known, and what has been fed before."""
    figures = Figures()
    entered = msgspec.structs.replace(said(0, "entered", queue=SALES, caller=1, x=1), seq=5)
    for event in (entered, entered, msgspec.structs.replace(entered, seq=4),
                  Event(tenant=1, at_ms=0, kind="call", seq=9), said(0, "unheard-of", queue=SALES)):
        figures.feed(event)
    assert queue(figures).entered == 1 and figures.seq == 5
    with pytest.raises(ValueError):
        Figures.load(figures.dump()[:-3])
    with pytest.raises(ValueError):
        figures.queues(BEGIN * 1000 + 1, (BEGIN + HOUR) * 1000)


def test_it_can_go_to_json() -> None:
    """What the API answers."""
    figures = fed(said(0, "logged_in", queue=SALES, agent=ANNA), *a_call(0, 1, 5, 10))
    found = decode(encode([queue(figures), agent(figures)]))
    assert found[0]["service_level"] == 1.0 and found[1]["queues"]["7"]["answered"] == 1


def test_memory_is_bounded() -> None:
    """A year leaves as much as two days do; a caller who is never heard of again goes."""
    events = [said(0, "logged_in", queue=SALES, agent=ANNA)]
    for day in range(365):
        events += [said(day * 86_400, "entered", queue=SALES, caller=10**6 + day, x=1),
                   *a_call(day * 86_400 + 10, day + 1, 5, 60)]
    figures = Figures(kept=48)
    for event in events:
        figures.feed(event)
    assert len(figures.dump()) < 20_000
    assert queue(figures, last=366 * 24).answered == 2
    assert agent(figures, last=366 * 24).logged_in_ms == (47 * HOUR + 75) * 1000


class Fact(NamedTuple):
    """An event of hypothesis'."""

    gap: int
    what: str
    queue: int
    caller: int
    agent: int
    x: int


def events_of(facts: list[Fact]) -> list[Event]:
    """With x as the kind of event has it."""
    at, events = 0, []
    for fact in facts:
        at += fact.gap
        x = fact.x
        if fact.what == "wrap_up":
            x = (BEGIN + at + fact.x) * 1000
        elif fact.what in ("answered", "talk_ended"):
            x = fact.x * 1000
        elif fact.what in ("left", "refused"):
            x = fact.x % len(Leave)
        elif fact.what == "missed":
            x = fact.x % 4 + 1
        elif fact.what in ("entered", "rush"):
            x = fact.x % 2
        elif fact.what == "paused":
            x = fact.x % 3
        of_agent = fact.what in AGENTS_EVENTS
        events.append(said(at, fact.what, queue=fact.queue, caller=0 if of_agent and fact.what in (
            "ready", "paused", "resumed") else fact.caller, agent=fact.agent if of_agent else 0,
            x=x, y=fact.x * 1000))
    return events


AGENTS_EVENTS = ("logged_in", "logged_out", "paused", "resumed", "offer", "missed", "answered",
                 "talk_ended", "wrap_up", "ready", "healed")
CALLERS_EVENTS = ("entered", "refused", "left", "callback", "retry", "rush", "place", "cancel")
FACTS = st.lists(st.builds(
    Fact, st.integers(0, 150), st.sampled_from(AGENTS_EVENTS + CALLERS_EVENTS), st.integers(1, 2),
    st.integers(1, 4), st.integers(1, 3), st.integers(0, 200)), max_size=60)
MINUTE = 60
PERIOD = (BEGIN * 1000, (BEGIN + 200 * MINUTE) * 1000)


@given(FACTS, st.integers(0, 60))
def test_two_halves_are_the_whole(facts: list[Fact], half: int) -> None:
    """Dumped and loaded anywhere; also when older intervals are given up."""
    events = events_of(facts)
    for kept in (5, 1000):
        first = fed(*events[:half], interval_s=MINUTE, kept=kept)
        first.queues(*PERIOD)  # looking changes nothing
        resumed = Figures.load(first.dump())
        for event in events[half:]:
            resumed.feed(event)
        whole = fed(*events, interval_s=MINUTE, kept=kept)
        assert resumed.queues(*PERIOD) == whole.queues(*PERIOD)
        assert resumed.agents(*PERIOD) == whole.agents(*PERIOD)
        assert decode(resumed.dump()) == decode(whole.dump())


@given(FACTS)
def test_the_sum_over_intervals_is_the_whole(facts: list[Fact]) -> None:
    """Minutes, and the whole as one interval."""
    events = events_of(facts)
    end = BEGIN + 200 * MINUTE
    whole = 10_000_000  # contains the period; begins before it
    minutes, one = fed(*events, interval_s=MINUTE, kept=1000), fed(*events, interval_s=whole)
    first = BEGIN // whole * whole
    span = (first * 1000, (first + 2 * whole) * 1000)
    assert minutes.queues(*PERIOD) == one.queues(*span)
    assert minutes.agents(*PERIOD) == one.agents(*span)
    for name in ("entered", "answered", "talk_sum_ms", "wrap_up_ms", "rush_ms", "abandoned"):
        parts: dict[int, int] = defaultdict(int)
        for begin, stop in pairwise(range(BEGIN, end + 1, MINUTE)):
            for found in minutes.queues(begin * 1000, stop * 1000):
                parts[found.queue] += getattr(found, name)
        assert parts == {found.queue: getattr(found, name) for found in minutes.queues(*PERIOD)}


def second_by_second(events: list[Event], until_s: int) -> dict[tuple[int, int], dict[Any, int]]:
    """{(agent, minute): {state: seconds}}, by looking at each second at all that was said."""
    found: dict[tuple[int, int], dict[Any, int]] = defaultdict(lambda: defaultdict(int))
    for who in (1, 2, 3):
        mine = [event for event in events if event.data["agent"] == who]
        for second in range(until_s):
            logged, paused, doing, until = set(), None, "free", 0
            for event in mine:
                if event.at_ms > (BEGIN + second) * 1000:
                    break
                match event.data["what"], event.data["x"]:
                    case "logged_in", _:
                        logged.add(event.data["queue"])
                    case "logged_out", _:
                        logged.discard(event.data["queue"])
                    case "paused", reason:
                        paused = reason
                    case "resumed", _:
                        paused = None
                    case "answered", _:
                        doing = "talking"
                    case "wrap_up", end:
                        doing, until = "wrap_up", end
                    case ("talk_ended" | "missed"), _:
                        doing = "rest"
                    case ("ready" | "healed" | "offer"), _:
                        doing = "free"
            if doing == "wrap_up" and until <= (BEGIN + second) * 1000:
                doing = "rest"
            counts = found[who, second // MINUTE]
            counts["logged_in"] += bool(logged)
            for one in logged:
                counts["in", one] += 1
            if doing in ("talking", "wrap_up"):
                counts[doing] += 1
            elif logged:
                counts[doing if paused is None else ("paused", paused)] += 1
    return found


@given(FACTS.map(lambda facts: [fact for fact in facts if fact.what in AGENTS_EVENTS][:25]))
def test_time_in_states(facts: list[Fact]) -> None:
    """As when each second is looked at by itself."""
    events = events_of([fact._replace(gap=fact.gap % 40) for fact in facts])
    until_s = sum(fact.gap % 40 for fact in facts) + 90
    figures = fed(*events, interval_s=MINUTE, kept=1000)
    figures.advance((BEGIN + until_s) * 1000)
    expected = second_by_second(events, until_s)
    for minute in range(until_s // MINUTE + 1):
        begin = BEGIN + minute * MINUTE
        agents = {one.agent: one for one in figures.agents(begin * 1000, (begin + MINUTE) * 1000)}
        for who in (1, 2, 3):
            counts = {key: count * 1000 for key, count in expected[who, minute].items() if count}
            found = agents.get(who, AgentFigures(agent=who, queues={}))
            got = {"logged_in": found.logged_in_ms, "talking": found.talking_ms,
                   "wrap_up": found.wrap_up_ms, "rest": found.rest_ms, "free": found.free_ms}
            got |= {("paused", reason): ms for reason, ms in found.paused_ms.items()}
            got |= {("in", one): share.logged_in_ms for one, share in found.queues.items()}
            assert {key: ms for key, ms in got.items() if ms} == counts


@given(FACTS)
def test_shares(facts: list[Fact]) -> None:
    """Parts are never more than what they are parts of."""
    for found in fed(*events_of(facts), interval_s=MINUTE, kept=1000).queues(*PERIOD):
        assert found.offered == found.entered + sum(found.refused.values())
        assert sum(found.waits) == found.answered and sum(found.abandoned_waits) == found.abandoned
        assert found.answered_within <= found.answered
        assert found.abandoned_within <= found.abandoned
        assert found.wait_max_ms <= found.wait_sum_ms and found.talk_max_ms <= found.talk_sum_ms
        for share in (found.service_level, found.service_level_offered):
            assert share is None or 0 <= share <= 1
        assert found.fairness is None or 1 / 3 - 1e-9 <= found.fairness <= 1 + 1e-9


# -- what is kept durably ----------------------------------------------------------------------

Told = tuple[dict[int, QueueSums], dict[int, AgentSums]]


def anything(queues: dict[int, QueueSums], agents: dict[int, AgentSums]) -> Told:
    """Without those of which there is nothing."""
    return ({one: sums for one, sums in queues.items() if sums != QueueSums()},
            {one: sums for one, sums in agents.items() if sums != AgentSums()})


def told(book: Book, begin_ms: int, end_ms: int) -> Told:
    """Everything in a period."""
    return anything({one: book.total(QueueSums, "queue", one, begin_ms, end_ms)
                     for one in book.subjects("queue")},
                    {one: book.total(AgentSums, "agent", one, begin_ms, end_ms)
                     for one in book.subjects("agent")})


class Killed(BaseException):
    """As if by SIGKILL: nothing is done any more."""


@settings(max_examples=50, deadline=None)
@given(FACTS.map(lambda facts: [fact._replace(gap=fact.gap * 10) for fact in facts]),
       st.lists(st.integers(0, 25), max_size=5), st.integers(1, 7), st.integers(0, 60))
def test_each_event_counts_once(facts: list[Fact], kills: list[int], page: int,
                                later: int) -> None:
    """Kept in pages of a transaction each, killed anywhere and begun anew, by two who count; the
    rest in memory. Two companies are apart, and all of it is the fold over the whole."""
    events = events_of(facts)
    store = fresh_store()
    writes = iter(range(10**9))
    left = list(kills)

    def killed_before(method: Any) -> Any:
        def call(*arguments: Any) -> Any:
            if left and next(writes) >= left[0]:
                left.pop(0)
                raise Killed
            return method(*arguments)

        return call

    for name in ("set_figures", "set_figure_state", "add_ways"):
        setattr(store, name, killed_before(getattr(store, name)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "EVENTS", page)
        for event in events[:later]:
            store.add_events([event, msgspec.structs.replace(event, tenant=2)])
        more = True
        while more:
            try:
                more = Counting(store).count_events()
            except Killed:
                more = True
        assert not Counting(store).count_events()
        for event in events[later:]:
            store.add_events([event, msgspec.structs.replace(event, tenant=2)])
        now_ms = events[-1].at_ms if events else BEGIN * 1000
        whole = fed(*events, interval_s=900, kept=31 * 96)
        whole.advance(now_ms)
        for tenant in (1, 2):
            book = Book(store, tenant, now_ms + 10_000)
            first = BEGIN * 1000 // QUARTER_MS * QUARTER_MS
            last = now_ms // QUARTER_MS * QUARTER_MS + QUARTER_MS
            assert told(book, 0, last) == anything(whole.queue_sums(0, last),
                                                   whole.agent_sums(0, last))
            edges = list(range(first, last + 1, QUARTER_MS))
            for number in book.subjects("queue"):
                split = book.split(QueueSums, "queue", number, edges)
                for sums, (begin, end) in zip(split, pairwise(edges), strict=True):
                    assert sums == whole.queue_sums(begin, end).get(number, QueueSums())
    store.close()


def test_years_are_kept_and_no_more() -> None:
    """Three years are days and some quarters; what is older goes."""
    store = fresh_store()
    store._db.execute("INSERT INTO tenant (name, country, language, time_zone, foreign_number, "
                      "activity_end, barred, media) VALUES ('One', 'SE', 'sv', 'UTC', 'replace', "
                      "'available', 0, 'auto')")
    for month in range(40):
        store.add_events(a_call(month * 30 * 86_400, month + 1, 5, 60))
        while Counting(store).count_events():
            pass
    now_ms = (BEGIN + 40 * 30 * 86_400) * 1000 // QUARTER_MS * QUARTER_MS
    job = Counting(store)
    assert job.purge(now_ms) == 4 * 6, "a quarter, an hour and a day, of a queue and an agent"
    assert job.purge(now_ms) == 0
    book = Book(store, 1, now_ms)
    for days, answered in ((1098, 36), (90, 3), (29, 0)):
        begin_ms = now_ms - days * DAY_MS
        assert book.total(QueueSums, "queue", SALES, begin_ms, now_ms).answered == answered
    store.close()


def test_states_that_go_on() -> None:
    """Somebody who is logged in for weeks, with nothing but callers who give up."""
    store = fresh_store()
    store.add_events([said(0, "logged_in", queue=SALES, agent=ANNA)])
    for day in range(40):
        store.add_events([said(day * 86_400 + 60, "refused", queue=SALES, x=Leave.FULL)])
        assert not Counting(store).count_events()
    until_s = 39 * 86_400 + 120
    book = Book(store, 1, (BEGIN + until_s) * 1000 + 10_000)
    begin_ms = BEGIN * 1000
    sums = book.total(AgentSums, "agent", ANNA, begin_ms, begin_ms + 40 * DAY_MS)
    assert sums.logged_in_ms == sums.free_ms == until_s * 1000
    store.close()


def test_t_is_chosen_afterwards() -> None:
    """The service level is of T as it is now, in what was kept before, too."""
    sums = fed(*a_call(0, 1, 20.001, 5), *a_call(100, 2, 4, 5)).queue_sums(
        BEGIN * 1000, (BEGIN + HOUR) * 1000)[SALES]
    assert [queue_figures(SALES, sums, within).answered_within for within in (3, 4, 20, 21)] \
        == [0, 1, 1, 2]
    assert decode(encode(sums), type=QueueSums) == sums


def test_an_event_that_makes_no_sense_is_passed_over() -> None:
    """And what comes behind it counts."""
    store = fresh_store()
    for data in (None, {"what": "entered", "queue": 1 << 63, "caller": 1, "x": 1},
                 {"what": "refused", "queue": SALES, "x": 999},
                 {"what": "offer", "queue": SALES}, {"what": 7}):
        store.add_events([Event(tenant=1, at_ms=BEGIN * 1000, kind=kind, call="a", data=data)
                          for kind in ("queue", "service")])
    store.add_events(a_call(0, 1, 5, 60))
    assert not Counting(store).count_events()
    assert store.figure_seq() == store.last_event()
    queues, _ = told(Book(store, 1, (BEGIN + HOUR) * 1000), 0, (BEGIN + HOUR) * 1000)
    assert queues[SALES].answered == 1
    store.close()
