"""What is counted of queues and agents: sums that can be added to each other, the figures that are
made of them, and DEFINITIONS, which says what each figure is."""

from bisect import bisect_left
from collections.abc import Iterable
from enum import IntEnum
from typing import Final, TypeVar

from msgspec import Struct, field

from api.figures.service_level import FORMULAS, service_levels

#: Upper ends of the buckets of waits, in seconds; the last bucket has none.
WAIT_BUCKETS_S: Final = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1800, 3600)
#: T of the service levels where a queue has none.
WITHIN_S: Final = 20

T = TypeVar("T", bound=Struct)


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


class AgentSums(AgentCounts, kw_only=True):
    """The same, and in each of the queues."""

    queues: dict[int, MemberCounts] = field(default_factory=dict)


class AgentFigures(AgentCounts, kw_only=True):
    """An agent in a period; queues: the same in each of them."""

    agent: int
    queues: dict[int, MemberCounts]


class _OfQueue(Struct, kw_only=True):
    entered: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    answered: int = 0
    wait_sum_ms: int = 0
    wait_max_ms: int = 0
    abandoned: int = 0
    abandoned_wait_sum_ms: int = 0
    abandoned_wait_max_ms: int = 0
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


class QueueSums(_OfQueue, kw_only=True):
    """What is counted of a queue. waited_s, abandoned_s: how many waited so many seconds, a begun
    one included, so that T can be chosen afterwards; members: by agent."""

    waited_s: dict[int, int] = field(default_factory=dict)
    abandoned_s: dict[int, int] = field(default_factory=dict)
    members: dict[int, MemberCounts] = field(default_factory=dict)


class QueueFigures(_OfQueue, kw_only=True):
    """A queue in a period."""

    queue: int
    offered: int
    answered_within: int
    waits: list[int]
    abandoned_within: int
    abandoned_waits: list[int]
    service_level: float | None
    service_level_offered: float | None
    fairness: float | None


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
        **FORMULAS,
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


def add(into: T, counts: Struct) -> None:
    """Every count of the one to those of the other."""
    for name in counts.__struct_fields__:
        other = getattr(counts, name)
        if not other:
            continue
        mine = getattr(into, name)
        if isinstance(other, int):
            setattr(into, name, max(mine, other) if name.endswith("_max_ms") else mine + other)
        elif isinstance(other, Struct):
            add(mine, other)
        else:
            for key, one in other.items():
                if isinstance(one, int):
                    mine[key] = mine.get(key, 0) + one
                else:
                    add(mine.setdefault(key, type(one)()), one)


def added(kind: type[T], all_counts: Iterable[Struct]) -> T:
    """The sum of them."""
    total = kind()
    for counts in all_counts:
        add(total, counts)
    return total


def count(counts: dict[str, int], why: IntEnum) -> None:
    """One more for that reason."""
    name = why.name.lower()
    counts[name] = counts.get(name, 0) + 1


def seconds_of(waits: dict[int, int], waited_ms: int) -> None:
    """One more who waited so long."""
    seconds = -(-waited_ms // 1000)
    waits[seconds] = waits.get(seconds, 0) + 1


def queue_figures(queue: int, sums: QueueSums, within_s: int = WITHIN_S) -> QueueFigures:
    """within_s: the queue's T."""
    answered, abandoned = (sum(many for seconds, many in waits.items() if seconds <= within_s)
                           for waits in (sums.waited_s, sums.abandoned_s))
    levels = service_levels(sums.answered, answered, sums.abandoned - abandoned, sums.left,
                            sums.refused)
    return QueueFigures(
        **{name: getattr(sums, name) for name in _OfQueue.__struct_fields__}, queue=queue,
        offered=sums.entered + sum(sums.refused.values()), answered_within=answered,
        waits=_buckets(sums.waited_s), abandoned_within=abandoned,
        abandoned_waits=_buckets(sums.abandoned_s),
        service_level=levels.answered, service_level_offered=levels.offered,
        fairness=_fairness(sums.members))


def agent_figures(agent: int, sums: AgentSums) -> AgentFigures:
    """The same of an agent."""
    return AgentFigures(agent=agent, **{name: getattr(sums, name)
                                        for name in sums.__struct_fields__})


def _buckets(waits: dict[int, int]) -> list[int]:
    found = [0] * (len(WAIT_BUCKETS_S) + 1)
    for seconds, many in waits.items():
        found[bisect_left(WAIT_BUCKETS_S, seconds)] += many
    return found


def _fairness(members: dict[int, MemberCounts]) -> float | None:
    loads = [one.talking_ms / one.logged_in_ms for one in members.values() if one.logged_in_ms]
    squares = sum(load * load for load in loads)
    return sum(loads) ** 2 / (len(loads) * squares) if squares else None
