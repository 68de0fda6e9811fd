"""When a callback can be promised (Q13): from what the same hour of earlier weeks was like.

A slot of time has room for as many callbacks as its agents can take on top of the calls that are
expected, while Erlang C's probability of waiting and the agents' occupancy stay below their limits.
History folds the events of queues into what is expected.

Erlang C is call-center-tools': pure Python without dependencies of its own, computed by recurrence,
so without factorials that overflow. erlanglib sets the precision of every decimal in the process at
its import, pyworkforce brings pandas and a solver, erlangccmath asks a web server.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from call_center_tools import erlang_c
from msgspec import Struct, field

from store.model import Event

#: At most so much of the agents' time is planned, and so likely may it be that one has to wait.
MAX_OCCUPANCY: Final = 0.85
MAX_WAITING: Final = 0.5
_PRECISION: Final = 1e-9
#: No promise is further away than this.
LOOK_AHEAD_S: Final = 14 * 86_400

#: What History counts in.
SLOT_S: Final = 900
#: The least weight of the newest week, and of the newest call.
NEWEST_WEEK: Final = 0.3
NEWEST_CALL: Final = 0.02
#: How long a call takes while none has been handled.
HANDLING_S: Final = 300.0
#: After a longer silence than this, what was before is no part of the history.
_SILENCE_SLOTS: Final = 8 * 7 * 86_400 // SLOT_S


@lru_cache(1024)
def capacity(staff: int) -> float:
    """The most traffic, in erlangs, that so many agents take within the limits."""
    if staff <= 0:
        return 0.0
    least, most = 0.0, MAX_OCCUPANCY * staff
    if erlang_c(most, staff) <= MAX_WAITING:
        return most
    while most - least > _PRECISION:
        middle = (least + most) / 2
        if erlang_c(middle, staff) <= MAX_WAITING:
            least = middle
        else:
            most = middle
    return most


def room(arrivals: float, staff: int, handling_s: float, slot_s: int) -> int:
    """How many calls a slot has room for, besides those that arrive."""
    return max(int(capacity(staff) * slot_s / handling_s - arrivals + _PRECISION), 0)


def first_slot(now_s: int, slot_s: int, *, arrivals: Callable[[int], float],
               staff: Callable[[int], float], handling_s: float, backlog: int,
               promised: Iterable[int], open_at: Callable[[int], bool]) -> int | None:
    """The beginning of the first slot with room for one more, None when there is none.

    In Unix seconds; slots begin at multiples of slot_s. arrivals, staff: expected in the slot that
    begins then; backlog: those who wait now and are to be served first, callbacks without a time
    and those whose time has come among them; promised: the times that were given to others.
    """
    taken = Counter(at // slot_s for at in promised)
    first = -(-now_s // slot_s) * slot_s
    for at in range(first, now_s + LOOK_AHEAD_S + 1, slot_s):
        if not (open_at(at) and open_at(at + slot_s - 1)):
            continue
        left = room(arrivals(at), int(staff(at)), handling_s, slot_s) - taken[at // slot_s]
        if left > backlog:
            return at
        backlog -= left  # what was promised too much is left over, too
    return None


class _Cell(Struct, array_like=True):
    """What a slot of the week was like: over so many weeks, calls and agents."""

    weeks: int = 0
    arrivals: float = 0.0
    staff: float = 0.0


class _Queue(Struct):
    """cells: by slot of the week; arrived, staffed_ms: so far in this slot; staff: agents now, one
    in several queues by its share."""

    cells: dict[int, _Cell] = field(default_factory=dict)
    arrived: int = 0
    staffed_ms: float = 0.0
    staff: float = 0.0
    calls: int = 0
    handling_s: float = HANDLING_S


class _Agent(Struct):
    """call: the last one, until it is known how long its wrap-up was: (queue, talked ms, ended,
    until)."""

    queues: list[int] = field(default_factory=list)
    paused: bool = False
    call: tuple[int, int, int, int] | None = None


class _State(Struct):
    at_ms: int = 0
    queues: dict[int, _Queue] = field(default_factory=dict)
    agents: dict[int, _Agent] = field(default_factory=dict)


class History:
    """What a company's queues are like at each time of the week, the newest weeks weighing most."""

    def __init__(self, zone: ZoneInfo, dumped: bytes = b"") -> None:
        """dumped: what dump() returned; ValueError when it is something else."""
        self.zone = zone
        self._state = msgspec.json.decode(dumped, type=_State) if dumped else _State()

    def dump(self) -> bytes:
        """Everything, as JSON."""
        return msgspec.json.encode(self._state)

    # -- what is expected --------------------------------------------------------------------------

    def arrivals(self, queue: int, begin_s: int, end_s: int) -> float:
        """Calls that are expected between the two."""
        return sum(cell.arrivals * seconds / SLOT_S
                   for cell, seconds in self._cells(queue, begin_s, end_s))

    def staff(self, queue: int, begin_s: int, end_s: int) -> float:
        """Agents that are expected, on average between the two."""
        return sum(cell.staff * seconds for cell, seconds in self._cells(queue, begin_s, end_s)
                   ) / max(end_s - begin_s, 1)

    def handling_s(self, queue: int) -> float:
        """How long a call keeps an agent busy: talk and wrap-up."""
        known = self._state.queues.get(queue)
        return known.handling_s if known else HANDLING_S

    def _cells(self, queue: int, begin_s: int, end_s: int) -> Iterable[tuple[_Cell, int]]:
        """The cells between the two, and how many seconds of each."""
        known = self._state.queues.get(queue, _Queue())
        for slot in range(begin_s // SLOT_S, -(-end_s // SLOT_S)):
            seconds = min(end_s, (slot + 1) * SLOT_S) - max(begin_s, slot * SLOT_S)
            yield known.cells.get(self._of_week(slot), _Cell()), seconds

    def _of_week(self, slot: int) -> int:
        """The number of a slot in its week, where the company is."""
        at = datetime.fromtimestamp(slot * SLOT_S, self.zone)
        return ((at.weekday() * 24 + at.hour) * 60 + at.minute) * 60 // SLOT_S

    # -- what was ----------------------------------------------------------------------------------

    def feed(self, event: Event) -> None:
        """One event of the company, in order; those of other kinds than "queue" are passed over."""
        if event.kind != "queue":
            return
        self._advance(event.at_ms)
        data = event.data
        what, queue, agent = data["what"], data.get("queue", 0), data.get("agent", 0)
        x = data.get("x", 0)
        if queue:
            self._queue(queue)
        if what == "entered" and x:
            self._queue(queue).arrived += 1
        elif what in ("logged_in", "logged_out", "paused", "resumed"):
            self._staffing(what, self._agent(agent), queue)
        if what == "talk_ended":
            at_ms = self._state.at_ms
            self._agent(agent).call = (queue, x, at_ms, at_ms)
        elif what == "wrap_up" and (call := self._agent(agent).call):
            self._agent(agent).call = (*call[:3], x)
        elif what in ("ready", "paused", "offer", "answered"):
            self._handled(self._agent(agent))

    def _queue(self, queue: int) -> _Queue:
        return self._state.queues.setdefault(queue, _Queue())

    def _agent(self, agent: int) -> _Agent:
        return self._state.agents.setdefault(agent, _Agent())

    def _staffing(self, what: str, agent: _Agent, queue: int) -> None:
        """Somebody has come or gone."""
        if what in ("paused", "resumed"):
            agent.paused = what == "paused"
        elif what == "logged_in":
            agent.queues = sorted({*agent.queues, queue})
        else:
            agent.queues = [one for one in agent.queues if one != queue]
        for one in self._state.queues.values():
            one.staff = 0.0
        for present in self._state.agents.values():
            if not present.paused:
                for number in present.queues:
                    self._queue(number).staff += 1 / len(present.queues)

    def _handled(self, agent: _Agent) -> None:
        """The agent has done with the last call."""
        if agent.call is None:
            return
        queue, talked_ms, ended_ms, until_ms = agent.call
        agent.call = None
        wrap_up_ms = max(min(self._state.at_ms, until_ms) - ended_ms, 0)
        known = self._queue(queue)
        known.calls += 1
        weight = max(1 / known.calls, NEWEST_CALL)
        known.handling_s += weight * ((talked_ms + wrap_up_ms) / 1000 - known.handling_s)

    def _advance(self, at_ms: int) -> None:
        """Slots that are over become part of the history."""
        state, slot_ms = self._state, SLOT_S * 1000
        last = at_ms // slot_ms
        if state.at_ms // slot_ms < last - _SILENCE_SLOTS:  # also at the very first event
            state.at_ms = at_ms
            for queue in state.queues.values():
                queue.arrived, queue.staffed_ms = 0, 0.0
        for slot in range(state.at_ms // slot_ms, last):
            self._work((slot + 1) * slot_ms)
            of_week = self._of_week(slot)
            for queue in state.queues.values():
                cell = queue.cells.setdefault(of_week, _Cell())
                cell.weeks += 1
                weight = max(1 / cell.weeks, NEWEST_WEEK)
                cell.arrivals += weight * (queue.arrived - cell.arrivals)
                cell.staff += weight * (queue.staffed_ms / slot_ms - cell.staff)
                queue.arrived, queue.staffed_ms = 0, 0.0
        self._work(at_ms)

    def _work(self, at_ms: int) -> None:
        passed_ms = max(at_ms - self._state.at_ms, 0)
        for queue in self._state.queues.values():
            queue.staffed_ms += queue.staff * passed_ms
        self._state.at_ms += passed_ms
