"""The kernel's queue engine under virtual time: a period's callers and agents with one
configuration. What is drawn by lot depends on the caller only, so it is the same in both."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

from msgspec import Struct

from api.figures.fold import Figures
from api.whatif.history import ARRIVE, LINE, LOG_IN, LOG_OUT, OPEN, PAUSE, RESUME, Input
from api.whatif.house import Door, House, Numbers
from routing_core.queue_words import By, Cause, Closed, What
from routing_core.queues import Engine
from store.model import Event

#: After the last arrival, so that those who wait then are counted too.
AFTER_MS: Final = 2 * 3_600_000
#: Whom missed calls have thrown out or paused is back after this time.
BACK_MS: Final = 300_000
#: An offer of which nothing was ever seen rings so long, of its ring time.
RINGS: Final = 0.25
#: Queues that a caller can be taken to, one after the other.
MAX_ONWARD: Final = 20
#: Callers between two words about how far it is.
_TELL: Final = 1000
_MASK: Final = (1 << 64) - 1
ANSWER, MISS, TALKED, GIVE_UP, GO_ON, WRAPPED = range(10, 16)


class Person(Struct):
    """A caller who comes; patience_ms None: without end."""

    at_ms: int
    door: Door
    patience_ms: int | None
    why: int
    talk_ms: int
    wrap_ms: int | None
    # As the simulation goes on:
    caller: int = 0
    token: tuple[int, int, int] = (0, 0, 0)
    hops: int = 0


class Simulation:
    """run() it once. people: by time; inputs: what agents do; reactions: of agents to offers."""

    def __init__(self, house: House, numbers: Numbers, people: list[Person], inputs: list[Input],
                 reactions: dict[int, list[tuple[int, int]]], seed: int,
                 figures: Figures) -> None:
        self._house = house
        self._numbers = numbers
        self._people = people
        self._inputs = inputs
        self._reactions = reactions
        self._everybody = [one for agent in sorted(reactions) for one in reactions[agent]]
        self._seed = seed
        self._engine = Engine(seed)
        self.figures = figures
        #: Callers whose queue the configuration does not have.
        self.nowhere = 0
        self._calls: dict[int, int] = {}
        self._heap: list[tuple[int, int, int, int, int]] = []
        self._order = 0
        self._wrap: dict[int, int] = {}
        self._lines: dict[int, int] = {}
        self._logged_in: set[tuple[int, int]] = set()
        self._paused: set[int] = set()
        self._now = 0
        self._refused = 0

    def run(self, begin_ms: int, end_ms: int, told: Callable[[int], object]) -> None:
        """told(callers) hears how many have come."""
        engine, heap = self._engine, self._heap
        self._house.configure(engine, begin_ms, self._numbers)
        until_ms = end_ms + AFTER_MS
        fixed: list[Input] = [*self._inputs, *(
            (at, OPEN, 0, queue, state)
            for at, queue, state in self._house.hours(begin_ms, until_ms)), *(
            (person.at_ms, ARRIVE, i, 0, 0) for i, person in enumerate(self._people))]
        # Doors first, agents then, callers last, when it is all in the same moment.
        fixed.sort(key=lambda one: (one[0], (1, 1, 1, 1, 1, 0, 2)[one[1]]))
        at = 0
        while True:
            next_fixed = fixed[at][0] if at < len(fixed) else until_ms
            next_own = heap[0][0] if heap else until_ms
            due = engine.next_due() or until_ms
            now = min(next_fixed, next_own, due)
            if now >= until_ms:
                break
            self._now = now
            if due <= now:
                engine.tick(now)
            elif next_own <= now:
                _, _, what, a, b = heappop(heap)
                self._own(what, a, b)
            else:
                _, what, agent, queue, x = fixed[at]
                at += 1
                if what == ARRIVE:
                    if agent % _TELL == 0:
                        told(agent)
                    self._arrive(agent)
                else:
                    self._agent(what, agent, queue, x)
            self._follow()
        self.figures.advance(until_ms)

    # -- what happens -------------------------------------------------------------------------

    def _later(self, after_ms: int, what: int, a: int, b: int = 0) -> None:
        self._order += 1
        heappush(self._heap, (self._now + max(0, after_ms), self._order, what, a, b))

    def _agent(self, what: int, agent: int, queue: int, x: int) -> None:
        engine, now = self._engine, self._now
        if what == LOG_IN:
            self._logged_in.add((queue, agent))
            engine.log_in(now, queue, agent, x or By.SELF)
        elif what == LOG_OUT:
            self._logged_in.discard((queue, agent))
            engine.log_out(now, queue, agent, x or By.SELF)
        elif what == PAUSE:
            self._paused.add(agent)
            engine.pause(now, agent, x)
        elif what == RESUME:
            self._paused.discard(agent)
            engine.resume(now, agent)
        elif what == LINE:
            lines = self._lines[agent] = max(0, self._lines.get(agent, 0) + (1 if x else -1))
            engine.set_line(now, agent, lines > 0)
        elif what == OPEN:
            engine.set_open(now, queue, x)

    def _own(self, what: int, a: int, b: int) -> None:
        engine, now = self._engine, self._now
        if what == ANSWER:
            engine.answered(now, a)
        elif what == MISS:
            engine.missed(now, a, b)
        elif what == TALKED:
            engine.talk_ended(now, a)
        elif what == GIVE_UP:
            person = self._people[a]
            if person.caller:
                engine.leave(now, person.caller, person.why)
            person.hops = MAX_ONWARD
        elif what == GO_ON:
            self._go_on(a, b)
        elif what == WRAPPED:
            engine.end_wrap_up(now, a)
        elif what == LOG_IN:
            if (b, a) in self._logged_in:
                engine.log_in(now, b, a, By.SELF)
        elif what == RESUME and a not in self._paused:
            engine.resume(now, a)

    def _arrive(self, index: int) -> None:
        person = self._people[index]
        if person.patience_ms is not None:
            self._later(person.patience_ms, GIVE_UP, index)
        self._enter(index, person.door, moved=False)

    def _enter(self, index: int, door: Door, moved: bool) -> None:
        engine, numbers, person = self._engine, self._numbers, self._people[index]
        view = engine.view_queue(door.queue, self._now)
        if view is None:
            self.nowhere += 1
            return
        had = moved and person.token[1] > 0
        person.caller = engine.enter(
            self._now, door.queue, priority=door.priority,
            need=numbers.mask(door.queue, door.skills),
            relax=tuple((after, numbers.mask(door.queue, skills))
                        for after, skills in door.relaxations),
            arrived_ms=person.token[1] if had else 0, sequence=person.token[2] if had else 0,
            force=had and view.closed == Closed.OPEN and view.staffed)
        if person.caller:
            self._calls[person.caller] = index
            self._follow_entry(person)
        else:
            self._refused = 0
            self._follow()
            self._onward(index, door.queue, self._refused)

    def _follow_entry(self, person: Person) -> None:
        """The place, before anybody may have taken the caller."""
        try:
            person.token = self._engine.token(person.caller)
        except KeyError:
            person.token = (0, self._now, 0)

    def _onward(self, index: int, queue: int, why: int) -> None:
        person = self._people[index]
        if self._house.onward(queue, why) and person.hops < MAX_ONWARD:
            person.hops += 1
            self._later(0, GO_ON, index, queue << 8 | why)

    def _go_on(self, index: int, from_: int) -> None:
        door = self._house.onward(from_ >> 8, from_ & 255)
        if door is not None and self._people[index].hops <= MAX_ONWARD:
            self._enter(index, door, moved=True)

    # -- what follows -------------------------------------------------------------------------

    def _follow(self) -> None:
        for said in self._engine.take():
            what = said[0]
            self.figures.feed(Event(tenant=0, at_ms=said[1], kind="queue", data={
                "what": _NAMES[what], "queue": said[2], "caller": said[3], "agent": said[4],
                "attempt": said[5], "x": said[6], "y": said[7]}))
            react = _REACTIONS.get(what)
            if react is not None:
                react(self, *said[2:])

    def _was_refused(self, _queue: int, _caller: int, _agent: int, _attempt: int, x: int,
                     _y: int) -> None:
        self._refused = x

    def _offered(self, _queue: int, caller: int, agent: int, attempt: int, x: int,
                 y: int) -> None:
        known = self._reactions.get(agent) or self._everybody
        if not known:
            self._later(int(x * RINGS), ANSWER, attempt)
            return
        drawn = chance(self._seed, self._calls.get(caller, 0), agent << 20 | y)
        after_ms, cause = known[drawn % len(known)]
        if cause == Cause.NO_ANSWER or after_ms >= x:
            self._later(x, MISS, attempt, Cause.NO_ANSWER)
        else:
            self._later(after_ms, MISS if cause else ANSWER, attempt, cause)

    def _answered(self, _queue: int, caller: int, agent: int, _attempt: int, _x: int,
                  _y: int) -> None:
        index = self._calls.pop(caller, None)
        if index is None:
            return
        person = self._people[index]
        person.caller, person.hops = 0, MAX_ONWARD
        if person.wrap_ms is not None:
            self._wrap[agent] = person.wrap_ms
        self._later(person.talk_ms, TALKED, agent)

    def _wrapping(self, _queue: int, _caller: int, agent: int, _attempt: int, _x: int,
                  _y: int) -> None:
        if (after_ms := self._wrap.pop(agent, None)) is not None:
            self._later(after_ms, WRAPPED, agent)

    def _left(self, queue: int, caller: int, _agent: int, _attempt: int, x: int,
              _y: int) -> None:
        index = self._calls.pop(caller, None)
        if index is not None:
            self._people[index].caller = 0
            self._onward(index, queue, x)

    def _thrown_out(self, queue: int, _caller: int, agent: int, _attempt: int, x: int,
                    _y: int) -> None:
        if x == By.MISSES:
            self._later(BACK_MS, LOG_IN, agent, queue)

    def _made_pause(self, _queue: int, _caller: int, agent: int, _attempt: int, x: int,
                    _y: int) -> None:
        if x == 0:
            self._later(BACK_MS, RESUME, agent)


_NAMES: Final = {int(what): what.name.lower() for what in What}
_REACTIONS: Final[dict[int, Callable[..., Any]]] = {
    What.REFUSED: Simulation._was_refused, What.OFFER: Simulation._offered,
    What.ANSWERED: Simulation._answered, What.WRAP_UP: Simulation._wrapping,
    What.LEFT: Simulation._left, What.LOGGED_OUT: Simulation._thrown_out,
    What.PAUSED: Simulation._made_pause}


def chance(seed: int, person: int, what: int) -> int:
    """64 bits that only depend on these (splitmix64)."""
    value = (seed + person * 0x9E3779B97F4A7C15 + what * 0xBF58476D1CE4E5B9) & _MASK
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31


def share(seed: int, person: int, what: int) -> float:
    """The same as a number from 0 to 1."""
    return chance(seed, person, what) / (_MASK + 1)
