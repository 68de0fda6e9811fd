"""What really happened in the queues, from their events: who came, how long everybody was patient,
talked and rang, and when agents were there."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from operator import neg
from typing import Any, Final

import msgspec
from msgspec import Struct

from api.whatif.house import House, Numbers
from routing_core.queue_words import By, Leave
from store.model import Event

#: Who goes by own choice, or at least not because of the queue's rules.
OWN: Final = frozenset({Leave.ABANDONED, Leave.KEY, Leave.AWAY_TOO_LONG, Leave.LOST,
                        Leave.CANCELLED})
#: A caller who is taken to another queue is there within this time.
ONWARD_MS: Final = 2000
#: Fewer samples of a queue than this are taken together with those of the others.
FEW: Final = 20
#: A wrap-up that ended by itself is cut off by this much at most.
_SLACK_MS: Final = 500

LOG_IN, LOG_OUT, PAUSE, RESUME, LINE, OPEN, ARRIVE = range(7)
#: (when, what, agent, queue, a number that goes with it)
Input = tuple[int, int, int, int, int]


class Arrival(Struct):
    """Somebody who came to the queues from outside. stayed_ms: how long, at least, the caller had
    patience; own_ms: when the caller left by own choice, and why; what is None was not seen."""

    at_ms: int
    queue: int
    uid: str
    stayed_ms: int = 0
    own_ms: int | None = None
    why: int = Leave.ABANDONED
    talk_ms: int | None = None
    wrap_ms: int | None = None


class _Said(Struct):
    what: str
    queue: int = 0
    caller: int = 0
    agent: int = 0
    attempt: int = 0
    x: int = 0
    y: int = 0
    reason: str = ""


class History:
    """Fold of the events of a company's queues; house: as the queues were, numbers: of pauses."""

    def __init__(self, begin_ms: int, end_ms: int, house: House, numbers: Numbers) -> None:
        self._begin_ms, self._end_ms = begin_ms, end_ms
        self._house = house
        self._numbers = numbers
        self.arrivals: list[Arrival] = []
        self.inputs: list[Input] = []
        #: (ms from the offer, a Cause, 0: answered) by agent.
        self.reactions: dict[int, list[tuple[int, int]]] = {}
        self.talks: dict[int, list[int]] = {}
        self.uids: set[str] = set()
        self._now = 0
        self._calls: dict[int, Arrival] = {}
        self._onward: dict[str, tuple[Arrival, int]] = {}
        self._refused: dict[int, deque[tuple[int, Arrival]]] = {}
        self._offers: dict[int, int] = {}
        self._served: dict[int, tuple[Arrival | None, int]] = {}
        self._wraps: dict[int, tuple[int, int]] = {}
        self._callbacks: set[int] = set()
        self._there: dict[tuple[int, int], int] = {}
        self._paused: dict[int, int] = {}
        self._began = False

    def feed(self, event: Event) -> None:
        """The next event."""
        said = msgspec.convert(event.data, _Said)
        self._now = event.at_ms
        if not self._began and event.at_ms >= self._begin_ms:
            self._begin()
        if event.call:
            self.uids.add(event.call)
        fold = _FOLDS.get(said.what)
        if fold is not None:
            fold(self, said, event.call)

    def close(self) -> None:
        """No more is known: who still waits was patient until now."""
        if not self._began:
            self._begin()
        for arrival in self._calls.values():
            arrival.stayed_ms = max(arrival.stayed_ms, self._now - arrival.at_ms)

    def _begin(self) -> None:
        self._began = True
        self.inputs += [(self._begin_ms, LOG_IN, agent, queue, by)
                        for (queue, agent), by in self._there.items()]
        self.inputs += [(self._begin_ms, PAUSE, agent, 0, reason)
                        for agent, reason in self._paused.items()]

    def _input(self, what: int, said: _Said, x: int) -> None:
        if self._began:
            self.inputs.append((self._now, what, said.agent, said.queue, x))

    # -- callers ------------------------------------------------------------------------------

    def _comes(self, said: _Said, uid: str) -> Arrival | None:
        """A new arrival, or one that comes on from another queue; None outside the period."""
        before = self._onward.pop(uid, None) if uid else None
        if before is not None:
            return before[0]
        waiting = self._refused.get(said.queue) or deque()
        while waiting and waiting[0][0] < self._now - ONWARD_MS:
            waiting.popleft()
        if waiting:
            arrival = waiting.popleft()[1]
            arrival.uid = arrival.uid or uid
            return arrival
        if not self._begin_ms <= self._now < self._end_ms:
            return None
        arrival = Arrival(self._now, said.queue, uid)
        self.arrivals.append(arrival)
        return arrival

    def _entered(self, said: _Said, uid: str) -> None:
        if said.x and (arrival := self._comes(said, uid)):
            self._calls[said.caller] = arrival

    def _was_refused(self, said: _Said, uid: str) -> None:
        arrival = self._comes(said, uid)
        onward = self._house.onward(said.queue, said.x)
        if arrival and onward:
            self._refused.setdefault(onward.queue, deque()).append((self._now, arrival))

    def _left(self, said: _Said, uid: str) -> None:
        self._callbacks.discard(said.caller)
        arrival = self._calls.pop(said.caller, None)
        if arrival is None:
            return
        arrival.stayed_ms = self._now - arrival.at_ms
        if said.x in OWN:
            arrival.own_ms, arrival.why = arrival.stayed_ms, said.x
        elif uid:
            self._onward[uid] = arrival, said.x

    def _callback(self, said: _Said, _uid: str) -> None:
        self._callbacks.add(said.caller)
        if arrival := self._calls.pop(said.caller, None):
            arrival.own_ms = arrival.stayed_ms = self._now - arrival.at_ms
            arrival.why = Leave.KEY

    # -- agents -------------------------------------------------------------------------------

    def _offer(self, said: _Said, _uid: str) -> None:
        self._offers[said.attempt] = self._now

    def _taken_back(self, said: _Said, _uid: str) -> None:
        self._offers.pop(said.attempt, None)

    def _reacted(self, said: _Said, cause: int) -> None:
        began = self._offers.pop(said.attempt, None)
        if began is not None:
            self.reactions.setdefault(said.agent, []).append((self._now - began, cause))

    def _missed(self, said: _Said, _uid: str) -> None:
        self._reacted(said, said.x)

    def _answered(self, said: _Said, _uid: str) -> None:
        self._reacted(said, 0)
        arrival = self._calls.pop(said.caller, None)
        if arrival is not None:
            arrival.stayed_ms = self._now - arrival.at_ms
        elif said.caller in self._callbacks:
            self._input(LINE, said, 1)
        self._served[said.agent] = arrival, said.queue

    def _talk_ended(self, said: _Said, _uid: str) -> None:
        arrival, queue = self._served.get(said.agent, (None, said.queue))
        if arrival is not None:
            arrival.talk_ms = said.x
            self.talks.setdefault(queue, []).append(said.x)
        else:
            self._input(LINE, said, 0)

    def _wrap_up(self, said: _Said, _uid: str) -> None:
        began = self._wraps.get(said.agent, (self._now, 0))[0]
        self._wraps[said.agent] = began, said.x

    def _ready(self, said: _Said, _uid: str) -> None:
        began, until = self._wraps.pop(said.agent, (0, 0))
        arrival, _ = self._served.pop(said.agent, (None, 0))
        if arrival is not None and began and self._now < until - _SLACK_MS:
            arrival.wrap_ms = self._now - began

    def _logged_in(self, said: _Said, _uid: str) -> None:
        self._there[said.queue, said.agent] = said.x
        self._input(LOG_IN, said, said.x)

    def _logged_out(self, said: _Said, _uid: str) -> None:
        self._there.pop((said.queue, said.agent), None)
        if said.x not in (By.MISSES, By.REMOVED):
            self._input(LOG_OUT, said, said.x)

    def _pauses(self, said: _Said, _uid: str) -> None:
        if said.x:
            self._paused[said.agent] = self._numbers.reason(said.reason)
            self._input(PAUSE, said, self._paused[said.agent])

    def _resumes(self, said: _Said, _uid: str) -> None:
        self._paused.pop(said.agent, None)
        self._input(RESUME, said, 0)


_FOLDS: Final[dict[str, Callable[[History, _Said, str], None]]] = {
    "entered": History._entered, "refused": History._was_refused, "left": History._left,
    "callback": History._callback, "offer": History._offer, "cancel": History._taken_back,
    "missed": History._missed, "answered": History._answered,
    "talk_ended": History._talk_ended, "wrap_up": History._wrap_up, "ready": History._ready,
    "logged_in": History._logged_in, "logged_out": History._logged_out,
    "paused": History._pauses, "resumed": History._resumes}


class Patience:
    """How long callers wait before they leave by themselves: Kaplan and Meier's estimate, in which
    those who were answered or sent on were patient for at least as long as they stayed."""

    def __init__(self, seen: Iterable[tuple[int, bool]]) -> None:
        """(ms, whether the caller left then by own choice)"""
        found = sorted(seen)
        self.times: list[int] = []
        self.shares: list[float] = []  # who is still there after each
        share, at = 1.0, 0
        while at < len(found):
            ms, there, left = found[at][0], len(found) - at, 0
            while at < len(found) and found[at][0] == ms:
                left += found[at][1]
                at += 1
            if left:
                share *= 1 - left / there
                self.times.append(ms)
                self.shares.append(share)

    def draw(self, stayed_ms: int, drawn: float) -> int | None:
        """The patience of somebody who stayed so long, by a number from 0 to 1; None: more than was
        ever seen."""
        at = bisect_left(self.times, stayed_ms + 1)
        share = self.shares[at - 1] if at else 1.0
        i = bisect_left(self.shares, -share * (1 - drawn), lo=at, key=neg)
        return self.times[i] if i < len(self.times) else None


def patience_of(arrivals: list[Arrival], queue: int) -> Patience:
    """Of a queue's callers, or of all when there are few."""
    def seen(some: Iterable[Arrival]) -> list[tuple[int, bool]]:
        return [(one.stayed_ms, one.own_ms is not None) for one in some if one.stayed_ms]

    mine = seen(one for one in arrivals if one.queue == queue)
    return Patience(mine if len(mine) >= FEW else seen(arrivals))


def talks_of(history: History, queue: int, default_ms: int) -> list[int]:
    """Lengths of the queue's conversations, or of all when there are few."""
    mine = history.talks.get(queue, [])
    if len(mine) < FEW:
        mine = [ms for some in history.talks.values() for ms in some]
    return mine or [default_ms]


def busy_inputs(intervals: Iterable[tuple[int, int, int]]) -> list[Input]:
    """LINE inputs of (agent, from, to), those that overlap as one."""
    found: list[Input] = []
    last: dict[int, list[int]] = {}
    for agent, began, ended in sorted(intervals, key=lambda one: (one[0], one[1])):
        if agent in last and began <= last[agent][1]:
            last[agent][1] = max(last[agent][1], ended)
            continue
        if agent in last:
            found += _line(agent, *last[agent])
        last[agent] = [began, ended]
    for agent, (began, ended) in last.items():
        found += _line(agent, began, ended)
    return found


def _line(agent: int, began: int, ended: int) -> list[Input]:
    return [(began, LINE, agent, 0, 1), (ended, LINE, agent, 0, 0)]


def events_fed(events: Iterable[Event], *folds: Any) -> int:
    """Each event to each of the folds; how many there were."""
    count = 0
    for event in events:
        for fold in folds:
            fold.feed(event)
        count += 1
    return count
