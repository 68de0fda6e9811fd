"""The statistics of queues and agents: a fold over the events of a company's queues.

Calls count in the interval in which they came to the queue, whenever they end; times of states are
cut where intervals meet. So sums over intervals are the figures of the whole, and what an interval
gets can be added to what it had. counts.py says what each figure is.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from api.figures.counts import (
    WITHIN_S,
    AgentCounts,
    AgentFigures,
    AgentSums,
    MemberCounts,
    QueueFigures,
    QueueSums,
    add,
    agent_figures,
    count,
    queue_figures,
    seconds_of,
)
from routing_core.queues import Cause, Leave
from store.model import Event

INTERVAL_S: Final = 3600
KEPT_INTERVALS: Final = 35 * 24

#: What only becomes of callbacks.
_OF_CALLBACKS: Final = frozenset({Leave.SERVED, Leave.EXPIRED, Leave.FAILED, Leave.CANCELLED})


# -- what is kept between events ---------------------------------------------------------------

RowId = Annotated[int, Meta(ge=0, lt=1 << 62)]
_Number = Annotated[int, Meta(ge=-1 << 50, lt=1 << 50)]


class _Fact(Struct):
    """The data of an event."""

    what: str
    queue: RowId = 0
    caller: int = 0
    agent: RowId = 0
    attempt: int = 0
    x: _Number = 0
    y: _Number = 0


class _Caller(Struct):
    """Who waits. agent, talked_ms: of a callback, the last try's."""

    queue: int
    began_ms: int
    live: bool = True
    agent: int = 0
    talked_ms: int = 0


class _Call(Struct):
    """What an agent talks in, or has talked in. counts: it is a conversation for certain."""

    queue: int
    began_ms: int
    caller: int
    counts: bool


class _Agent(Struct):
    """since_ms: until when the agent's time has been counted."""

    since_ms: int
    queues: list[int] = field(default_factory=list)
    paused: int | None = None
    activity: Literal["free", "talking", "wrap_up", "rest"] = "free"
    until_ms: int = 0
    call: _Call | None = None


class _Interval(Struct):
    """members: by queue and agent."""

    queues: dict[int, QueueSums] = field(default_factory=dict)
    agents: dict[int, AgentCounts] = field(default_factory=dict)
    members: dict[int, dict[int, MemberCounts]] = field(default_factory=dict)

    def sums(self) -> tuple[dict[int, QueueSums], dict[int, AgentSums]]:
        """By queue and by agent, with the members in each."""
        queues: dict[int, QueueSums] = {}
        agents: dict[int, AgentSums] = {}
        for queue, sums in self.queues.items():
            add(queues.setdefault(queue, QueueSums()), sums)
        for agent, counts in self.agents.items():
            add(agents.setdefault(agent, AgentSums()), counts)
        for queue, members in self.members.items():
            add(queues.setdefault(queue, QueueSums()), QueueSums(members=members))
            for agent, share in members.items():
                add(agents.setdefault(agent, AgentSums()), AgentSums(queues={queue: share}))
        return queues, agents


class _State(Struct):
    """intervals: by their number since 1970; rush: since when; last: when a caller of the queue was
    answered last, and after what wait; settled: the interval in which all time was counted."""

    interval_ms: int
    kept: int
    within_s: dict[int, int]
    seq: int = 0
    now_ms: int = 0
    settled: int = 0
    intervals: dict[int, _Interval] = field(default_factory=dict)
    agents: dict[int, _Agent] = field(default_factory=dict)
    callers: dict[int, _Caller] = field(default_factory=dict)
    rush: dict[int, int] = field(default_factory=dict)
    last: dict[int, tuple[int, int]] = field(default_factory=dict)


class Figures:
    """The statistics of one company's queues, as far as its events have been fed."""

    def __init__(self, interval_s: int = INTERVAL_S, kept: int = KEPT_INTERVALS) -> None:
        """Of so many intervals the figures are kept, the newest."""
        self._state = _State(interval_ms=interval_s * 1000, kept=kept, within_s={})

    @property
    def seq(self) -> int:
        """The newest event that has been fed."""
        return self._state.seq

    def set_within(self, queue: int, seconds: int) -> None:
        """T of a queue's service levels."""
        self._state.within_s[queue] = seconds

    def dump(self) -> bytes:
        """Everything, so that load() can go on."""
        return msgspec.json.encode(self._state)

    @classmethod
    def load(cls, data: bytes) -> "Figures":
        """From dump(); ValueError for anything else."""
        figures = cls()
        figures._state = msgspec.json.decode(data, type=_State)
        return figures

    # -- what came of it -----------------------------------------------------------------------

    def queues(self, begin_ms: int, end_ms: int) -> list[QueueFigures]:
        """Every queue in a period of whole intervals (ValueError for another)."""
        return [queue_figures(queue, sums, self.within_s(queue))
                for queue, sums in sorted(self.queue_sums(begin_ms, end_ms).items())]

    def agents(self, begin_ms: int, end_ms: int) -> list[AgentFigures]:
        """Every agent in a period of whole intervals (ValueError for another)."""
        return [agent_figures(agent, sums)
                for agent, sums in sorted(self.agent_sums(begin_ms, end_ms).items())]

    def queue_sums(self, begin_ms: int, end_ms: int) -> dict[int, QueueSums]:
        """By queue; the period as above."""
        found: dict[int, QueueSums] = {}
        for interval in self._between(begin_ms, end_ms):
            for queue, sums in interval.sums()[0].items():
                add(found.setdefault(queue, QueueSums()), sums)
        return found

    def agent_sums(self, begin_ms: int, end_ms: int) -> dict[int, AgentSums]:
        """By agent; the period as above."""
        found: dict[int, AgentSums] = {}
        for interval in self._between(begin_ms, end_ms):
            for agent, sums in interval.sums()[1].items():
                add(found.setdefault(agent, AgentSums()), sums)
        return found

    def take(self) -> Iterator[tuple[int, dict[int, QueueSums], dict[int, AgentSums]]]:
        """(beginning, by queue, by agent) of each interval to which something has to be added since
        this was asked before. It is counted no more here. States that go on are counted once in
        an interval."""
        state, size_ms = self._state, self._state.interval_ms
        if state.now_ms // size_ms != state.settled:
            self.settle()
            state.settled = state.now_ms // size_ms
        intervals, state.intervals = state.intervals, {}
        for at in sorted(intervals):
            queues, agents = intervals[at].sums()
            yield at * size_ms, queues, agents

    def waiting(self) -> dict[int, list[int]]:
        """By queue, since when callers on the line wait."""
        found: dict[int, list[int]] = {}
        for caller in self._state.callers.values():
            if caller.live:
                found.setdefault(caller.queue, []).append(caller.began_ms)
        return found

    def last_answered(self, queue: int) -> tuple[int, int] | None:
        """When a caller of the queue was answered last, and after what wait."""
        return self._state.last.get(queue)

    def within_s(self, queue: int) -> int:
        """T of its service levels."""
        return self._state.within_s.get(queue, WITHIN_S)

    def _between(self, begin_ms: int, end_ms: int) -> Iterator[_Interval]:
        state = self._state
        if begin_ms % state.interval_ms or end_ms % state.interval_ms:
            raise ValueError(f"a period is made of intervals of {state.interval_ms} ms")
        self.settle()
        begin = max(begin_ms // state.interval_ms, self._oldest())
        end = min(end_ms, state.now_ms + state.interval_ms) // state.interval_ms
        return (state.intervals[at] for at in range(begin, end) if at in state.intervals)

    # -- events --------------------------------------------------------------------------------

    def advance(self, now_ms: int) -> None:
        """It is so late, and nothing more has happened: states have lasted until now."""
        state = self._state
        before = state.now_ms // state.interval_ms
        state.now_ms = max(state.now_ms, now_ms)
        if state.now_ms // state.interval_ms == before:
            return
        oldest = self._oldest()
        for at in [at for at in state.intervals if at < oldest]:
            del state.intervals[at]
        oldest_ms = oldest * state.interval_ms
        for number in [one for one, caller in state.callers.items() if caller.began_ms < oldest_ms]:
            del state.callers[number]

    def feed(self, event: Event) -> None:
        """One event of the company, in order; one that has been fed, or of another kind than
        "queue", is passed over."""
        state = self._state
        if event.kind != "queue" or (event.seq and event.seq <= state.seq):
            return
        state.seq = max(state.seq, event.seq)
        self.advance(event.at_ms)
        fact = msgspec.convert(event.data, _Fact)
        if (fold := _FOLDS.get(fact.what)) is None:
            return
        if not fact.agent:
            fold(self, fact)
            return
        agent = state.agents.setdefault(fact.agent, _Agent(since_ms=state.now_ms))
        self._spend(fact.agent, agent)
        fold(self, fact)
        if not agent.queues and agent.paused is None and agent.activity == "free":
            del state.agents[fact.agent]

    def _entered(self, fact: _Fact) -> None:
        self._state.callers[fact.caller] = _Caller(fact.queue, self._state.now_ms, bool(fact.x))
        if fact.x:
            self._queue(fact.queue).entered += 1
        else:
            self._queue(fact.queue).callbacks_requested += 1

    def _refused(self, fact: _Fact) -> None:
        count(self._queue(fact.queue).refused, Leave(fact.x))

    def _offer(self, fact: _Fact) -> None:
        self._state.agents[fact.agent].activity = "free"
        self._queue(fact.queue).offers += 1
        for counts in self._of_agent(fact):
            counts.offered += 1

    def _missed(self, fact: _Fact) -> None:
        self._state.agents[fact.agent].activity = "rest"
        count(self._queue(fact.queue).missed, Cause(fact.x))
        for counts in self._of_agent(fact):
            count(counts.missed, Cause(fact.x))

    def _answered(self, fact: _Fact) -> None:
        state = self._state
        caller = state.callers.get(fact.caller) or _Caller(fact.queue, state.now_ms - fact.x)
        if caller.live:
            state.callers.pop(fact.caller, None)
            state.last[caller.queue] = state.now_ms, fact.x
            counts = self._queue(caller.queue, caller.began_ms)
            counts.answered += 1
            counts.wait_sum_ms += fact.x
            counts.wait_max_ms = max(counts.wait_max_ms, fact.x)
            seconds_of(counts.waited_s, fact.x)
        else:
            caller.agent, caller.talked_ms = fact.agent, 0
        agent = state.agents[fact.agent]
        agent.activity = "talking"
        agent.call = _Call(caller.queue, caller.began_ms, fact.caller, caller.live)
        for share in self._of_agent(fact):
            share.answered += 1

    def _talk_ended(self, fact: _Fact) -> None:
        agent = self._state.agents[fact.agent]
        agent.activity = "rest"
        if agent.call is None:
            return
        if agent.call.counts:
            self._talked(agent.call.queue, agent.call.began_ms, fact.x)
        elif agent.call.caller in self._state.callers:
            self._state.callers[agent.call.caller].talked_ms = fact.x

    def _talked(self, queue: int, began_ms: int, talked_ms: int) -> None:
        counts = self._queue(queue, began_ms)
        counts.talks += 1
        counts.talk_sum_ms += talked_ms
        counts.talk_max_ms = max(counts.talk_max_ms, talked_ms)

    def _left(self, fact: _Fact) -> None:
        state, why = self._state, Leave(fact.x)
        caller = state.callers.pop(fact.caller, None) or _Caller(
            fact.queue, state.now_ms - fact.y, why not in _OF_CALLBACKS)
        counts = self._queue(caller.queue, caller.began_ms)
        if not caller.live:
            self._callback_over(fact.caller, caller, counts, why)
        elif why is Leave.ABANDONED:
            counts.abandoned += 1
            counts.abandoned_wait_sum_ms += fact.y
            counts.abandoned_wait_max_ms = max(counts.abandoned_wait_max_ms, fact.y)
            seconds_of(counts.abandoned_s, fact.y)
        else:
            count(counts.left, why)

    def _callback_over(self, number: int, caller: _Caller, counts: QueueSums, why: Leave) -> None:
        if why in (Leave.FAILED, Leave.EXPIRED):
            counts.callbacks_failed += 1
        elif why is not Leave.SERVED:
            counts.callbacks_withdrawn += 1
        else:
            counts.callbacks_reached += 1
            agent = self._state.agents.get(caller.agent)
            if caller.talked_ms:
                self._talked(caller.queue, caller.began_ms, caller.talked_ms)
            elif agent and agent.call and agent.call.caller == number:
                agent.call.counts = True

    def _callback(self, fact: _Fact) -> None:
        now_ms = self._state.now_ms
        caller = self._state.callers.setdefault(fact.caller, _Caller(fact.queue, now_ms))
        caller.live = False
        self._queue(caller.queue, caller.began_ms).callbacks_requested += 1

    def _retry(self, fact: _Fact) -> None:
        if caller := self._state.callers.get(fact.caller):
            self._queue(caller.queue, caller.began_ms).callback_retries += 1

    def _wrap_up(self, fact: _Fact) -> None:
        agent = self._state.agents[fact.agent]
        agent.activity, agent.until_ms = "wrap_up", fact.x

    def _free(self, fact: _Fact) -> None:
        self._state.agents[fact.agent].activity = "free"

    def _paused(self, fact: _Fact) -> None:
        self._state.agents[fact.agent].paused = fact.x

    def _resumed(self, fact: _Fact) -> None:
        self._state.agents[fact.agent].paused = None

    def _logged_in(self, fact: _Fact) -> None:
        agent = self._state.agents[fact.agent]
        agent.queues = sorted({*agent.queues, fact.queue})

    def _logged_out(self, fact: _Fact) -> None:
        agent = self._state.agents[fact.agent]
        agent.queues = [queue for queue in agent.queues if queue != fact.queue]

    def _rush(self, fact: _Fact) -> None:
        state = self._state
        if fact.x and fact.queue not in state.rush:
            state.rush[fact.queue] = state.now_ms
            self._queue(fact.queue).rush_periods += 1
        elif not fact.x and fact.queue in state.rush:
            self._rushed(fact.queue)
            del state.rush[fact.queue]

    # -- time in states ------------------------------------------------------------------------

    def settle(self) -> None:
        """All time until now is counted."""
        for number, agent in self._state.agents.items():
            self._spend(number, agent)
        for queue in self._state.rush:
            self._rushed(queue)

    def _rushed(self, queue: int) -> None:
        state = self._state
        begin_ms, state.rush[queue] = state.rush[queue], state.now_ms
        for start_ms, stop_ms in self._pieces(begin_ms):
            self._queue(queue, start_ms).rush_ms += stop_ms - start_ms

    def _spend(self, number: int, agent: _Agent) -> None:
        """The agent's time until now is counted, where it belongs."""
        begin_ms, agent.since_ms = agent.since_ms, self._state.now_ms
        for start_ms, stop_ms in self._pieces(begin_ms):
            if agent.activity == "wrap_up" and agent.until_ms < stop_ms:
                middle_ms = max(agent.until_ms, start_ms)
                self._spent(number, agent, start_ms, middle_ms)
                agent.activity = "rest"
                self._spent(number, agent, middle_ms, stop_ms)
            else:
                self._spent(number, agent, start_ms, stop_ms)

    def _spent(self, number: int, agent: _Agent, start_ms: int, stop_ms: int) -> None:
        """The same within one interval, in one activity."""
        passed_ms = stop_ms - start_ms
        if not passed_ms:
            return
        interval = self._interval(start_ms)
        counts = interval.agents.setdefault(number, AgentCounts())
        if agent.queues:
            counts.logged_in_ms += passed_ms
        for queue in agent.queues:
            _member(interval, queue, number).logged_in_ms += passed_ms
        if agent.activity == "talking":
            counts.talking_ms += passed_ms
            if agent.call:
                _member(interval, agent.call.queue, number).talking_ms += passed_ms
        elif agent.activity == "wrap_up":
            counts.wrap_up_ms += passed_ms
            if agent.call:
                self._queue(agent.call.queue, agent.call.began_ms).wrap_up_ms += passed_ms
        elif not agent.queues:
            pass
        elif agent.paused is not None:
            counts.paused_ms[agent.paused] = counts.paused_ms.get(agent.paused, 0) + passed_ms
        elif agent.activity == "rest":
            counts.rest_ms += passed_ms
        else:
            counts.free_ms += passed_ms

    # -- where it is counted -------------------------------------------------------------------

    def _oldest(self) -> int:
        return self._state.now_ms // self._state.interval_ms - self._state.kept + 1

    def _pieces(self, begin_ms: int) -> Iterator[tuple[int, int]]:
        """From then until now, cut where intervals meet; without what is not kept any more."""
        size_ms, now_ms = self._state.interval_ms, self._state.now_ms
        begin_ms = max(begin_ms, self._oldest() * size_ms)
        while begin_ms < now_ms:
            end_ms = min((begin_ms // size_ms + 1) * size_ms, now_ms)
            yield begin_ms, end_ms
            begin_ms = end_ms

    def _interval(self, at_ms: int) -> _Interval:
        """One that is not kept any more is nobody's."""
        at = at_ms // self._state.interval_ms
        if at < self._oldest():
            return _Interval()
        return self._state.intervals.setdefault(at, _Interval())

    def _queue(self, queue: int, at_ms: int | None = None) -> QueueSums:
        """A queue's counts of that time, or of now."""
        interval = self._interval(self._state.now_ms if at_ms is None else at_ms)
        return interval.queues.setdefault(queue, QueueSums())

    def _of_agent(self, fact: _Fact) -> tuple[MemberCounts, MemberCounts]:
        """The agent's counts of now, and those in the queue."""
        interval = self._interval(self._state.now_ms)
        return (interval.agents.setdefault(fact.agent, AgentCounts()),
                _member(interval, fact.queue, fact.agent))


def _member(interval: _Interval, queue: int, agent: int) -> MemberCounts:
    return interval.members.setdefault(queue, {}).setdefault(agent, MemberCounts())


_FOLDS: Final[dict[str, Callable[[Figures, _Fact], None]]] = {
    "entered": Figures._entered, "refused": Figures._refused, "offer": Figures._offer,
    "answered": Figures._answered, "missed": Figures._missed, "left": Figures._left,
    "logged_in": Figures._logged_in, "logged_out": Figures._logged_out, "paused": Figures._paused,
    "resumed": Figures._resumed, "talk_ended": Figures._talk_ended, "wrap_up": Figures._wrap_up,
    "ready": Figures._free, "healed": Figures._free, "rush": Figures._rush,
    "callback": Figures._callback, "retry": Figures._retry,
}
