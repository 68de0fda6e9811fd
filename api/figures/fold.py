"""The statistics of queues and agents: a fold over the events of a company's queues.

Calls count in the interval in which they came to the queue, whenever they end; times of states are
cut where intervals meet. So sums over intervals are the figures of the whole. DEFINITIONS says what
each figure is.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import Struct, field

from routing_core.queues import Cause, Leave
from store.model import Event

#: Upper ends of the buckets of waits, in seconds; the last bucket has none.
WAIT_BUCKETS_S: Final = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1800, 3600)
#: T of the service levels where a queue has none.
WITHIN_S: Final = 20
INTERVAL_S: Final = 3600
KEPT_INTERVALS: Final = 35 * 24

#: What only becomes of callbacks.
_OF_CALLBACKS: Final = frozenset({Leave.SERVED, Leave.EXPIRED, Leave.FAILED, Leave.CANCELLED})

_T = TypeVar("_T", bound=Struct)


def _no_waits() -> list[int]:
    return [0] * (len(WAIT_BUCKETS_S) + 1)


class QueueCounts(Struct, kw_only=True):
    """What is counted of a queue."""

    entered: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    answered: int = 0
    answered_within: int = 0
    wait_sum_ms: int = 0
    wait_max_ms: int = 0
    waits: list[int] = field(default_factory=_no_waits)
    abandoned: int = 0
    abandoned_within: int = 0
    abandoned_wait_sum_ms: int = 0
    abandoned_wait_max_ms: int = 0
    abandoned_waits: list[int] = field(default_factory=_no_waits)
    left: dict[str, int] = field(default_factory=dict)
    callbacks_requested: int = 0
    callbacks_reached: int = 0
    callbacks_failed: int = 0
    callbacks_withdrawn: int = 0
    callback_retries: int = 0
    talks: int = 0
    talk_sum_ms: int = 0
    talk_max_ms: int = 0
    wrap_up_ms: int = 0
    offers: int = 0
    missed: dict[str, int] = field(default_factory=dict)
    rush_periods: int = 0
    rush_ms: int = 0


class QueueFigures(QueueCounts, kw_only=True):
    """A queue in a period."""

    queue: int
    offered: int
    service_level: float | None
    service_level_offered: float | None
    fairness: float | None


class MemberCounts(Struct, kw_only=True):
    """What is counted of an agent in one queue."""

    logged_in_ms: int = 0
    talking_ms: int = 0
    offered: int = 0
    answered: int = 0
    missed: dict[str, int] = field(default_factory=dict)


class AgentCounts(MemberCounts, kw_only=True):
    """What is counted of an agent."""

    paused_ms: dict[int, int] = field(default_factory=dict)
    wrap_up_ms: int = 0
    rest_ms: int = 0
    free_ms: int = 0


class AgentFigures(AgentCounts, kw_only=True):
    """An agent in a period; queues: the same in each of them."""

    agent: int
    queues: dict[int, MemberCounts]


_MISSED = "offers that rang without being accepted, by cause, when it happened; an offer that was" \
          " taken back or lost to another agent is none"
DEFINITIONS: Final[dict[str, dict[str, str]]] = {
    "queue": {
        "queue": "the queue's id",
        "offered": "callers who came to the queue: entered and refused",
        "entered": "callers who were let in; one who is moved to another queue enters that, too",
        "refused": "callers who were not let in, by reason",
        "answered": "callers on the line whom an agent answered; callbacks are not among them",
        "answered_within": "those of the answered who waited no longer than the queue's T",
        "wait_sum_ms": "how long the answered waited, from their first arrival, announcements"
                       " included",
        "wait_max_ms": "the longest wait of an answered caller",
        "waits": "how many of the answered waited so long: each bucket up to and with its end in"
                 " seconds " + ", ".join(map(str, WAIT_BUCKETS_S)) + ", and longer",
        "abandoned": "callers who hung up while they waited",
        "abandoned_within": "those of the abandoned who waited no longer than the queue's T",
        "abandoned_wait_sum_ms": "how long the abandoned waited",
        "abandoned_wait_max_ms": "the longest wait of an abandoned caller",
        "abandoned_waits": "how many of the abandoned waited so long, in the buckets of waits",
        "left": "callers who left otherwise than by an answer, hanging up or a callback, by reason",
        "service_level": "answered_within / answered",
        "service_level_offered": "(answered_within + abandoned_within) / (answered + abandoned)",
        "callbacks_requested": "callers who hung up to be called back",
        "callbacks_reached": "callbacks in which the customer was reached",
        "callbacks_failed": "callbacks that were given up: tries used up, or lifetime over",
        "callbacks_withdrawn": "callbacks that ended otherwise, mostly because they were cancelled",
        "callback_retries": "tries that did not reach the customer and were followed by another",
        "talks": "conversations that have ended, those of reached callbacks included",
        "talk_sum_ms": "how long the conversations took: until the agent had done with the caller;"
                       " a transfer does not end one, a consultation is none",
        "talk_max_ms": "the longest conversation",
        "wrap_up_ms": "how long agents' wrap-ups of the queue's calls took",
        "offers": "how often an agent was rung, when it happened",
        "missed": _MISSED,
        "rush_periods": "how often the queue closed for rush, when it did",
        "rush_ms": "how long the queue was closed for rush",
        "fairness": "Jain's index (sum of x)^2 / (n * sum of x^2) over the queue's agents who were"
                    " logged in, where x is talking time per logged-in time: 1 when all are alike,"
                    " 1/n when one does it all",
    },
    "agent": {
        "agent": "the user's id",
        "queues": "the same for each queue",
        "logged_in_ms": "time logged in to at least one queue",
        "paused_ms": "time paused while logged in, neither talking nor in wrap-up, by the number of"
                     " the reason; 0: for missed offers",
        "talking_ms": "time in conversations of queues, also when logged out meanwhile",
        "wrap_up_ms": "time in wrap-up, also when logged out meanwhile",
        "rest_ms": "time logged in, between calls or after a missed offer, until eligible again",
        "free_ms": "all other time logged in, being rung included",
        "offered": "how often the agent was rung",
        "answered": "how often the agent answered, callbacks included",
        "missed": _MISSED,
    },
    "member": {
        "logged_in_ms": "time logged in to the queue",
        "talking_ms": "time in conversations of the queue",
        "offered": "how often the agent was rung for the queue",
        "answered": "how often the agent answered for the queue, callbacks included",
        "missed": _MISSED,
    },
}


# -- what is kept between events ---------------------------------------------------------------

class _Fact(Struct):
    """The data of an event."""

    what: str
    queue: int = 0
    caller: int = 0
    agent: int = 0
    attempt: int = 0
    x: int = 0
    y: int = 0


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

    queues: dict[int, QueueCounts] = field(default_factory=dict)
    agents: dict[int, AgentCounts] = field(default_factory=dict)
    members: dict[int, dict[int, MemberCounts]] = field(default_factory=dict)


class _State(Struct):
    """intervals: by their number since 1970; rush: since when."""

    interval_ms: int
    kept: int
    within_s: dict[int, int]
    seq: int = 0
    now_ms: int = 0
    intervals: dict[int, _Interval] = field(default_factory=dict)
    agents: dict[int, _Agent] = field(default_factory=dict)
    callers: dict[int, _Caller] = field(default_factory=dict)
    rush: dict[int, int] = field(default_factory=dict)


def _add(into: _T, counts: Struct) -> None:
    """Every count of the one to those of the other."""
    for name in counts.__struct_fields__:
        mine, other = getattr(into, name), getattr(counts, name)
        if isinstance(other, dict):
            for key, count in other.items():
                mine[key] = mine.get(key, 0) + count
        elif isinstance(other, list):
            mine[:] = map(sum, zip(mine, other, strict=True))
        else:
            setattr(into, name, max(mine, other) if name.endswith("_max_ms") else mine + other)


def _fields(counts: Struct) -> dict[str, Any]:
    return {name: getattr(counts, name) for name in counts.__struct_fields__}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _fairness(members: dict[int, MemberCounts]) -> float | None:
    loads = [one.talking_ms / one.logged_in_ms for one in members.values() if one.logged_in_ms]
    squares = sum(load * load for load in loads)
    return sum(loads) ** 2 / (len(loads) * squares) if squares else None


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
        """T of a queue's service levels, for what is fed from now on."""
        self._state.within_s[queue] = seconds

    def dump(self) -> bytes:
        """Everything, so that load() can go on."""
        self._settle()
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
        totals: dict[int, QueueCounts] = {}
        members: dict[int, dict[int, MemberCounts]] = {}
        for interval in self._between(begin_ms, end_ms):
            for queue, counts in interval.queues.items():
                _add(totals.setdefault(queue, QueueCounts()), counts)
            for queue, agents in interval.members.items():
                for agent, share in agents.items():
                    _add(members.setdefault(queue, {}).setdefault(agent, MemberCounts()), share)
        found = []
        for queue in sorted(totals.keys() | members.keys()):
            total = totals.get(queue, QueueCounts())
            found.append(QueueFigures(
                **_fields(total), queue=queue, offered=total.entered + sum(total.refused.values()),
                service_level=_share(total.answered_within, total.answered),
                service_level_offered=_share(total.answered_within + total.abandoned_within,
                                             total.answered + total.abandoned),
                fairness=_fairness(members.get(queue, {}))))
        return found

    def agents(self, begin_ms: int, end_ms: int) -> list[AgentFigures]:
        """Every agent in a period of whole intervals (ValueError for another)."""
        totals: dict[int, AgentFigures] = {}
        for interval in self._between(begin_ms, end_ms):
            for agent, counts in interval.agents.items():
                _add(totals.setdefault(agent, AgentFigures(agent=agent, queues={})), counts)
            for queue, agents in interval.members.items():
                for agent, share in agents.items():
                    total = totals.setdefault(agent, AgentFigures(agent=agent, queues={}))
                    _add(total.queues.setdefault(queue, MemberCounts()), share)
        return [totals[agent] for agent in sorted(totals)]

    def _between(self, begin_ms: int, end_ms: int) -> Iterator[_Interval]:
        state = self._state
        if begin_ms % state.interval_ms or end_ms % state.interval_ms:
            raise ValueError(f"a period is made of intervals of {state.interval_ms} ms")
        self._settle()
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
        _count(self._queue(fact.queue).refused, Leave(fact.x))

    def _offer(self, fact: _Fact) -> None:
        self._state.agents[fact.agent].activity = "free"
        self._queue(fact.queue).offers += 1
        for counts in self._of_agent(fact):
            counts.offered += 1

    def _missed(self, fact: _Fact) -> None:
        self._state.agents[fact.agent].activity = "rest"
        _count(self._queue(fact.queue).missed, Cause(fact.x))
        for counts in self._of_agent(fact):
            _count(counts.missed, Cause(fact.x))

    def _answered(self, fact: _Fact) -> None:
        state = self._state
        caller = state.callers.get(fact.caller) or _Caller(fact.queue, state.now_ms - fact.x)
        if caller.live:
            state.callers.pop(fact.caller, None)
            counts = self._queue(caller.queue, caller.began_ms)
            counts.answered += 1
            counts.answered_within += self._is_within(caller.queue, fact.x)
            counts.wait_sum_ms += fact.x
            counts.wait_max_ms = max(counts.wait_max_ms, fact.x)
            counts.waits[_bucket(fact.x)] += 1
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
            counts.abandoned_within += self._is_within(caller.queue, fact.y)
            counts.abandoned_wait_sum_ms += fact.y
            counts.abandoned_wait_max_ms = max(counts.abandoned_wait_max_ms, fact.y)
            counts.abandoned_waits[_bucket(fact.y)] += 1
        else:
            _count(counts.left, why)

    def _callback_over(self, number: int, caller: _Caller, counts: QueueCounts, why: Leave) -> None:
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

    def _settle(self) -> None:
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

    def _queue(self, queue: int, at_ms: int | None = None) -> QueueCounts:
        """A queue's counts of that time, or of now."""
        interval = self._interval(self._state.now_ms if at_ms is None else at_ms)
        return interval.queues.setdefault(queue, QueueCounts())

    def _of_agent(self, fact: _Fact) -> tuple[MemberCounts, MemberCounts]:
        """The agent's counts of now, and those in the queue."""
        interval = self._interval(self._state.now_ms)
        return (interval.agents.setdefault(fact.agent, AgentCounts()),
                _member(interval, fact.queue, fact.agent))

    def _is_within(self, queue: int, waited_ms: int) -> bool:
        return waited_ms <= self._state.within_s.get(queue, WITHIN_S) * 1000


def _member(interval: _Interval, queue: int, agent: int) -> MemberCounts:
    return interval.members.setdefault(queue, {}).setdefault(agent, MemberCounts())


def _count(counts: dict[str, int], why: IntEnum) -> None:
    name = why.name.lower()
    counts[name] = counts.get(name, 0) + 1


def _bucket(waited_ms: int) -> int:
    return bisect_left(WAIT_BUCKETS_S, waited_ms / 1000)


_FOLDS: Final[dict[str, Callable[[Figures, _Fact], None]]] = {
    "entered": Figures._entered, "refused": Figures._refused, "offer": Figures._offer,
    "answered": Figures._answered, "missed": Figures._missed, "left": Figures._left,
    "logged_in": Figures._logged_in, "logged_out": Figures._logged_out, "paused": Figures._paused,
    "resumed": Figures._resumed, "talk_ended": Figures._talk_ended, "wrap_up": Figures._wrap_up,
    "ready": Figures._free, "healed": Figures._free, "rush": Figures._rush,
    "callback": Figures._callback, "retry": Figures._retry,
}
