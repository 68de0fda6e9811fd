"""When a callback is promised, against published tables and whatever hypothesis thinks of."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from call_center_tools import erlang_c
from hypothesis import example, given
from hypothesis import strategies as st

from callcontrol.planning import (
    HANDLING_S,
    LOOK_AHEAD_S,
    MAX_OCCUPANCY,
    MAX_WAITING,
    SLOT_S,
    History,
    first_slot,
    room,
)
from store.model import Event

ZONE = ZoneInfo("Europe/Stockholm")
#: A Monday.
NINE = int(datetime(2026, 3, 2, 9, 0, tzinfo=ZONE).timestamp())
HALF_HOUR = 1800
WEEK_S = 7 * 86_400


def always(_at: int) -> bool:
    """Never closed."""
    return True


def by_day(at: int) -> bool:
    """From eight to five, where the company is."""
    return 8 <= datetime.fromtimestamp(at, ZONE).hour < 17


def plan(now_s: int = NINE, slot_s: int = HALF_HOUR, *, arrivals: float = 0.0, staff: float = 2.0,
         handling_s: float = 300.0, backlog: int = 0, promised: tuple[int, ...] = (),
         open_at: Callable[[int], bool] = always) -> int | None:
    """first_slot() where every slot is like the others."""
    return first_slot(now_s, slot_s, arrivals=lambda _: arrivals, staff=lambda _: staff,
                      handling_s=handling_s, backlog=backlog, promised=promised, open_at=open_at)


# -- Erlang C ----------------------------------------------------------------------------------

@pytest.mark.parametrize(("traffic", "agents", "waiting"), [
    (1, 2, 1 / 3), (2, 3, 4 / 9), (0.5, 1, 0.5), (8, 10, 0.4092), (10, 12, 0.4494),
    (10, 14, 0.1741), (5, 5, 1.0), (7, 5, 1.0),
])
def test_erlang_c(traffic: float, agents: int, waiting: float) -> None:
    """The library has the figures of the tables (and the closed forms for few agents)."""
    assert erlang_c(traffic, agents) == pytest.approx(waiting, abs=5e-5)


@given(st.integers(1, 200), st.floats(0.01, 0.99))
def test_erlang_c_by_recurrence(agents: int, occupancy: float) -> None:
    """The same as from Erlang B, one agent after the other."""
    traffic, blocked = agents * occupancy, 1.0
    for count in range(1, agents + 1):
        blocked = traffic * blocked / (count + traffic * blocked)
    assert erlang_c(traffic, agents) == pytest.approx(
        blocked / (1 - occupancy * (1 - blocked)), abs=1e-9)


# -- room --------------------------------------------------------------------------------------

@pytest.mark.parametrize(("arrivals", "staff", "calls"), [
    (0, 0, 0), (0, 1, 3), (1, 1, 2), (3, 1, 0), (5, 1, 0), (0, 2, 7), (0, 10, 50), (48.5, 10, 1),
    (40, 10, 10),
])
def test_room(arrivals: float, staff: int, calls: int) -> None:
    """Of five minutes' calls in half an hour: one agent takes three, when one in two may wait."""
    assert room(arrivals, staff, 300.0, HALF_HOUR) == calls


@given(st.floats(0, 300), st.integers(0, 60), st.floats(5, 3600),
       st.sampled_from([900, 1800, 7200]))
@example(0.0, 19, 5.0, 900)  # where a product of floats is a little less than the integer
def test_room_is_the_most_that_fits(arrivals: float, staff: int, handling_s: float,
                                    slot_s: int) -> None:
    """One more would break a limit."""
    def fits(calls: float) -> bool:
        traffic = calls * handling_s / slot_s
        return staff > 0 and traffic <= MAX_OCCUPANCY * staff and (
            traffic <= 0 or erlang_c(traffic, staff) <= MAX_WAITING)

    calls = room(arrivals, staff, handling_s, slot_s)
    assert calls == 0 or fits(arrivals + calls - 1e-5)
    assert not fits(arrivals + calls + 1 + 1e-5)


# -- a promise ---------------------------------------------------------------------------------

def test_a_promise() -> None:
    """Two agents take seven calls in a slot."""
    assert plan() == NINE
    assert plan(NINE + 1) == NINE + HALF_HOUR
    assert plan(backlog=6) == NINE
    assert plan(backlog=7) == NINE + HALF_HOUR
    assert plan(backlog=14, arrivals=2.0) == NINE + 2 * HALF_HOUR
    assert plan(promised=(NINE,) * 6) == NINE
    assert plan(promised=(NINE, NINE + 1799) * 4) == NINE + HALF_HOUR
    assert plan(promised=(NINE,) * 3, backlog=4) == NINE + HALF_HOUR
    assert plan(promised=(NINE,) * 13) == NINE + HALF_HOUR
    assert plan(promised=(NINE,) * 14) == NINE + 2 * HALF_HOUR
    assert plan(NINE + 8 * 3600, open_at=by_day) == NINE + 23 * 3600
    assert plan(staff=0.9) is None
    assert plan(arrivals=7.0) is None
    assert plan(open_at=lambda _: False) is None
    assert plan(backlog=10**9) is None


def test_a_slot_that_is_cut_by_the_closing_is_none() -> None:
    """Open at its beginning is not enough."""
    four = NINE + 7 * 3600
    assert plan(four, 7200, open_at=by_day) != four
    assert plan(four, 3600, open_at=by_day) == four


NOW = st.integers(NINE, NINE + WEEK_S)
SLOT = st.sampled_from([300, 900, 1800, 7000, 14_400])
PROMISED = st.lists(st.integers(NINE, NINE + 3 * 86_400), max_size=60).map(tuple)


@given(NOW, SLOT, st.floats(0, 20), st.floats(0, 5), st.floats(30, 3000), st.integers(0, 500),
       PROMISED)
def test_any_promise(now_s: int, slot_s: int, arrivals: float, staff: float, handling_s: float,
                     backlog: int, promised: tuple[int, ...]) -> None:
    """Not in the past, not when it is closed, not too far away, and none earlier for more that
    wait."""
    at = plan(now_s, slot_s, arrivals=arrivals, staff=staff, handling_s=handling_s,
              backlog=backlog, promised=promised, open_at=by_day)
    if at is not None:
        assert now_s <= at <= now_s + LOOK_AHEAD_S and at % slot_s == 0
        assert by_day(at) and by_day(at + slot_s - 1)
    later = plan(now_s, slot_s, arrivals=arrivals, staff=staff, handling_s=handling_s,
                 backlog=backlog + 1, promised=promised, open_at=by_day)
    assert later is None or (at is not None and later >= at)


@given(NOW, st.sampled_from([900, 1800]), st.floats(0, 10), st.floats(0, 3), st.floats(200, 3000),
       st.integers(0, 20))
def test_never_more_than_there_is_room_for(now_s: int, slot_s: int, arrivals: float, staff: float,
                                           handling_s: float, backlog: int) -> None:
    """One promise after the other."""
    promised: list[int] = []
    for _ in range(30):
        at = plan(now_s, slot_s, arrivals=arrivals, staff=staff, handling_s=handling_s,
                  backlog=backlog, promised=tuple(promised), open_at=by_day)
        if at is None:
            break
        promised.append(at)
    assert promised == sorted(promised)
    size = room(arrivals, int(staff), handling_s, slot_s)
    assert all(count <= size for count in Counter(promised).values())


# -- history -----------------------------------------------------------------------------------

def said(at_s: float, what: str, **data: int) -> Event:
    """An event of a queue."""
    return Event(tenant=1, at_ms=round(at_s * 1000), kind="queue", data={"what": what, **data})


def fed(*events: Event) -> History:
    """From the beginning."""
    history = History(ZONE)
    for event in events:
        history.feed(event)
    return history


def test_arrivals_of_a_slot() -> None:
    """Live callers only; a slot counts once it is over."""
    events = [said(NINE, "entered", queue=7, x=1), said(NINE + 5, "entered", queue=7, x=1),
              said(NINE + 9, "entered", queue=7, x=0), said(NINE + SLOT_S, "open", queue=7)]
    assert fed(*events[:-1]).arrivals(7, NINE, NINE + SLOT_S) == 0
    history = fed(*events)
    assert history.arrivals(7, NINE, NINE + SLOT_S) == 2
    assert history.arrivals(7, NINE + WEEK_S, NINE + WEEK_S + 2 * SLOT_S) == 2
    assert history.arrivals(7, NINE + 300, NINE + 600) == pytest.approx(2 / 3)
    assert history.arrivals(7, NINE + 86_400, NINE + 86_400 + SLOT_S) == 0
    assert history.arrivals(8, NINE, NINE + SLOT_S) == 0


def test_newer_weeks_weigh_more() -> None:
    """The mean at first; then each week three tenths."""
    events = []
    may = int(datetime(2026, 5, 4, 9, 0, tzinfo=ZONE).timestamp())
    for week, calls in enumerate([1, 3, 2, 2, 12]):
        events += [said(may + week * WEEK_S + at, "entered", queue=7, x=1) for at in range(calls)]
    events.append(said(may + 5 * WEEK_S, "open", queue=7))
    expected = fed(*events).arrivals(7, may, may + SLOT_S)
    assert expected == pytest.approx(2 + 0.3 * 10)


def test_the_same_hour_in_summer() -> None:
    """Nine o'clock stays nine o'clock when clocks are put forward."""
    history = fed(said(NINE, "entered", queue=7, x=1), said(NINE + SLOT_S, "open", queue=7))
    summer = int(datetime(2026, 6, 1, 9, 0, tzinfo=ZONE).timestamp())
    assert (summer - NINE) % WEEK_S != 0
    assert history.arrivals(7, summer, summer + SLOT_S) == 1


def test_staff() -> None:
    """Agents by the time that they are there, a shared one by its share."""
    history = fed(
        said(NINE, "logged_in", queue=7, agent=1), said(NINE, "logged_in", queue=7, agent=2),
        said(NINE, "logged_in", queue=8, agent=2), said(NINE + 450, "paused", agent=1, x=1),
        said(NINE + SLOT_S, "resumed", agent=1),
        said(NINE + SLOT_S, "logged_out", queue=8, agent=2),
        said(NINE + 3 * SLOT_S, "logged_out", queue=7, agent=1))
    assert history.staff(7, NINE, NINE + SLOT_S) == pytest.approx(1.0)
    assert history.staff(8, NINE, NINE + SLOT_S) == pytest.approx(0.5)
    assert history.staff(7, NINE + SLOT_S, NINE + 3 * SLOT_S) == pytest.approx(2.0)
    assert history.staff(7, NINE, NINE + 2 * SLOT_S) == pytest.approx(1.5)
    assert history.staff(9, NINE, NINE + SLOT_S) == 0


def test_handling() -> None:
    """Talk, and wrap-up as long as it was."""
    history = fed(said(NINE, "talk_ended", queue=7, agent=1, x=100_000),
                  said(NINE, "wrap_up", queue=7, agent=1, x=(NINE + 60) * 1000))
    assert history.handling_s(7) == HANDLING_S
    history.feed(said(NINE + 90, "ready", agent=1))
    assert history.handling_s(7) == pytest.approx(160)
    history.feed(said(NINE + 100, "talk_ended", queue=7, agent=1, x=200_000))
    history.feed(said(NINE + 105, "ready", agent=1))
    assert history.handling_s(7) == pytest.approx(180)
    history.feed(said(NINE + 200, "talk_ended", queue=7, agent=1, x=20_000))
    history.feed(said(NINE + 200, "wrap_up", queue=7, agent=1, x=(NINE + 300) * 1000))
    history.feed(said(NINE + 210, "ready", agent=1))
    assert history.handling_s(7) == pytest.approx(130)


def test_after_a_long_silence() -> None:
    """An agent who was logged in a year ago has not worked since."""
    history = fed(said(NINE, "entered", queue=7, x=1), said(NINE, "logged_in", queue=7, agent=1),
                  said(NINE + 52 * WEEK_S, "entered", queue=7, x=1),
                  said(NINE + 52 * WEEK_S + SLOT_S, "open", queue=7))
    assert history.arrivals(7, NINE, NINE + SLOT_S) == 1
    assert history.arrivals(7, NINE, NINE + WEEK_S) == 1
    assert history.staff(7, NINE + 7200, NINE + 7200 + SLOT_S) == 0


def test_other_events_and_torn_dumps() -> None:
    """What is no queue's is passed over; what is no dump is refused."""
    history = fed(Event(tenant=1, at_ms=NINE * 1000, kind="call", data=None))
    assert history.dump() == History(ZONE).dump()
    with pytest.raises(ValueError):
        History(ZONE, history.dump()[:-5])


EVENTS = st.lists(st.builds(
    lambda gap, what, queue, agent, x: (gap, what, queue, agent, x), st.integers(0, 90_000),
    st.sampled_from(["entered", "logged_in", "logged_out", "paused", "resumed", "talk_ended",
                     "wrap_up", "ready", "offer", "answered", "left", "open"]),
    st.integers(1, 2), st.integers(1, 3), st.integers(0, 600_000)), max_size=30)


@given(EVENTS, st.integers(0, 30))
def test_a_dump_goes_on(facts: list[tuple[int, str, int, int, int]], half: int) -> None:
    """Stopped and resumed anywhere it is the same."""
    events, at = [], NINE
    for gap, what, queue, agent, x in facts:
        at += gap
        events.append(said(at, what, queue=queue, agent=agent, x=x))
    resumed = History(ZONE, fed(*events[:half]).dump())
    for event in events[half:]:
        resumed.feed(event)
    assert resumed.dump() == fed(*events).dump()
    for queue in (1, 2):
        assert 0 <= resumed.staff(queue, NINE, NINE + WEEK_S) <= 3
        assert resumed.arrivals(queue, NINE, NINE + WEEK_S) >= 0
        assert resumed.handling_s(queue) >= 0
