"""What a change does to the queues: their callers and agents of the period, simulated with both
configurations, beside what really happened."""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from api.figures.counts import AgentSums, QueueSums, queue_figures
from api.figures.fold import Figures
from api.whatif.decisions import Busy, Label, Turn, Two
from api.whatif.history import (
    LOG_IN,
    LOG_OUT,
    Arrival,
    History,
    Input,
    busy_inputs,
    events_fed,
    patience_of,
    talks_of,
)
from api.whatif.house import Door, House, Numbers
from api.whatif.past import Past
from api.whatif.shapes import (
    HOUR_MS,
    AgentAnswer,
    AgentNumbers,
    QueueAnswer,
    QueueHour,
    QueueNumbers,
    QueuesAnswer,
)
from api.whatif.simulation import AFTER_MS, Person, Simulation, share
from routing_core.queue_words import Closed

#: A conversation of a queue of which none was ever recorded.
TALK_MS: Final = 180_000
#: From the call's beginning to its entry into the queue: one that was refused has no name.
_ENTRY_MS: Final = 5000
#: Intervals that the figures keep: the period, and what comes before and after it.
_KEPT: Final = 40 * 24

Told = Callable[[str, int, int], object]  # step, of, done


class Planned(NamedTuple):
    """A caller, and the ways into the queues with each of the configurations; None: none."""

    arrival: Arrival
    before: Door | None
    after: Door | None


class Question(NamedTuple):
    """What is simulated. houses: of both configurations; turns, busy: see decisions.Replay."""

    houses: Two
    turns: list[Turn]
    busy: list[Busy]
    begin_ms: int
    end_ms: int
    seed: int


def differ(asked: Question) -> str:
    """Why the queues are to be simulated; "" when the change does not touch them."""
    before, after = asked.houses
    if not before.queues and not after.queues:
        return ""
    if not before.same(after):
        return "queues, their members or their schedules are changed"
    if any(turn.before != turn.after for turn in asked.turns):
        return "calls come to the queues, or do not come any more"
    return ""


def simulate(past: Past, asked: Question, names: Two, told: Told) -> QueuesAnswer:
    """told(step, of, done) hears how far it is."""
    why = differ(asked)
    if not why:
        return QueuesAnswer(simulated=False, why="the change does not touch the queues")
    numbers = Numbers()
    history = History(asked.begin_ms, asked.end_ms, asked.houses.before, numbers)
    recorded = Figures(kept=_KEPT)
    _within(recorded, asked.houses.before)
    events_fed(past.events(("queue",), asked.end_ms + AFTER_MS), history, recorded)
    history.close()
    told("events", 1, 1)
    planned = _planned(asked, history)
    found = []
    for step, house in (("before", asked.houses.before), ("after", asked.houses.after)):
        people = _people(planned, step == "after", history, asked.seed)
        figures = Figures(kept=_KEPT)
        _within(figures, house)
        simulation = Simulation(house, numbers, people, _inputs(asked, history, house),
                                history.reactions, asked.seed, figures)
        simulation.run(asked.begin_ms, asked.end_ms, partial(told, step, len(people)))
        found.append(simulation)
    return _answer(asked, why, recorded, found[0], found[1], names)


def _within(figures: Figures, house: House) -> None:
    for id_, queue in house.queues.items():
        figures.set_within(id_, queue.service_level_s)


# -- who comes ---------------------------------------------------------------------------------

def _planned(asked: Question, history: History) -> list[Planned]:
    """Everybody who came to a queue before or comes after, by time."""
    before, after = asked.houses
    by_uid = {arrival.uid: arrival for arrival in history.arrivals if arrival.uid}
    nameless: dict[int, deque[Arrival]] = {}
    for arrival in history.arrivals:
        if not arrival.uid:
            nameless.setdefault(arrival.queue, deque()).append(arrival)
    found: list[Planned] = []
    known: set[int] = set()
    for turn in asked.turns:
        old, new = _door(before, turn.before), _door(after, turn.after)
        came = by_uid.get(turn.uid) or _refused(nameless.get(old.queue, deque()), turn.at_ms) \
            if old else Arrival(turn.at_ms, new.queue if new else 0, turn.uid)
        if came is not None:  # else its events are not kept any more
            known.add(id(came))
            found.append(Planned(came, old, new))
    found += [Planned(arrival, Door(arrival.queue), Door(arrival.queue))
              for arrival in history.arrivals if id(arrival) not in known]
    found.sort(key=lambda one: one.arrival.at_ms)
    return found


def _door(house: House, label: Label) -> Door | None:
    return house.doors.get(label[1]) if label[0] == "service" else None


def _refused(waiting: deque[Arrival], at_ms: int) -> Arrival | None:
    while waiting and waiting[0].at_ms < at_ms:
        waiting.popleft()
    return waiting.popleft() if waiting and waiting[0].at_ms <= at_ms + _ENTRY_MS else None


def _people(planned: Iterable[Planned], changed: bool, history: History, seed: int) -> list[Person]:
    """With what is not known of them drawn by lot, the same for both configurations."""
    patience, talks = {}, {}
    found = []
    for i, one in enumerate(planned):
        arrival = one.arrival
        door = one.after if changed else one.before
        queue = arrival.queue
        if queue not in patience:
            patience[queue] = patience_of(history.arrivals, queue)
            talks[queue] = talks_of(history, queue, TALK_MS)
        if door is None:
            continue
        patient = arrival.own_ms if arrival.own_ms is not None else \
            patience[queue].draw(arrival.stayed_ms, share(seed, i, 1))
        talk = talks[queue][int(share(seed, i, 2) * len(talks[queue]))] \
            if arrival.talk_ms is None else arrival.talk_ms
        found.append(Person(arrival.at_ms, door, patient, arrival.why, talk, arrival.wrap_ms))
    return found


# -- who is there ------------------------------------------------------------------------------

def _inputs(asked: Question, history: History, house: House) -> list[Input]:
    """What the agents did, and what those do who are new in a queue: logged in to it whenever they
    were logged in to any; those who never were, while the queue is open."""
    old = asked.houses.before.members
    mine = {agent for _, agent in house.members}
    found = [one for one in history.inputs if one[2] in mine]
    found += busy_inputs((one.user, one.began_ms, one.ended_ms) for one in asked.busy
                         if one.user in mine and one.uid not in history.uids)
    spells = _spells(history.inputs, asked.end_ms + AFTER_MS)
    hours: dict[int, list[tuple[int, Closed]]] = {}
    for at_ms, queue, closed in house.hours(asked.begin_ms, asked.end_ms + AFTER_MS):
        hours.setdefault(queue, []).append((at_ms, closed))
    for queue, agent in house.members.keys() - old.keys():
        if agent in spells:
            for began, ended in spells[agent]:
                found += [(began, LOG_IN, agent, queue, 0), (ended, LOG_OUT, agent, queue, 0)]
        else:
            found += [(at_ms, LOG_IN if closed == Closed.OPEN else LOG_OUT, agent, queue, 0)
                      for at_ms, closed in hours.get(queue, [])]
    found.sort(key=lambda one: one[:1])
    return found


def _spells(inputs: Iterable[Input], end_ms: int) -> dict[int, list[tuple[int, int]]]:
    """When each agent was logged in to at least one queue."""
    there: dict[int, set[int]] = {}
    since: dict[int, int] = {}
    found: dict[int, list[tuple[int, int]]] = {}
    for at_ms, what, agent, queue, _ in sorted(inputs, key=lambda one: one[0]):
        queues = there.setdefault(agent, set())
        if what == LOG_IN:
            if not queues:
                since[agent] = at_ms
            queues.add(queue)
        elif what == LOG_OUT and queue in queues:
            queues.discard(queue)
            if not queues:
                found.setdefault(agent, []).append((since[agent], at_ms))
    for agent, queues in there.items():
        if queues:
            found.setdefault(agent, []).append((since[agent], end_ms))
    return found


# -- what came of it ---------------------------------------------------------------------------

def _answer(asked: Question, why: str, recorded: Figures, before: Simulation, after: Simulation,
            names: Two) -> QueuesAnswer:
    sides = recorded, before.figures, after.figures
    whole = [_numbers(figures, asked.begin_ms, asked.end_ms) for figures in sides]
    hours: dict[int, list[QueueHour]] = {}
    for at_ms in range(asked.begin_ms, asked.end_ms, HOUR_MS):
        old, new = (_numbers(figures, at_ms, at_ms + HOUR_MS) for figures in sides[1:])
        for queue in sorted(old.keys() | new.keys()):
            hour = QueueHour(at_ms=at_ms, before=old.get(queue, _NOBODY),
                             after=new.get(queue, _NOBODY))
            if hour.before.offered or hour.after.offered:
                hours.setdefault(queue, []).append(hour)
    titles = asked.houses.before.titles | asked.houses.after.titles
    queues = [QueueAnswer(
        queue=queue, name=titles[queue], recorded=whole[0].get(queue, _NOBODY),
        before=whole[1].get(queue, _NOBODY), after=whole[2].get(queue, _NOBODY),
        hours=hours.get(queue, [])) for queue in sorted(titles)]
    people = [figures.agent_sums(asked.begin_ms, asked.end_ms) for figures in sides]
    agents = [AgentAnswer(
        agent=agent, name=names.after("user", agent),
        recorded=_of_agent(people[0].get(agent)), before=_of_agent(people[1].get(agent)),
        after=_of_agent(people[2].get(agent)))
        for agent in sorted({*people[0], *people[1], *people[2]})]
    return QueuesAnswer(simulated=True, why=why, queues=queues, agents=agents,
                        agreement=_agreement(queues), nowhere=after.nowhere)


_NOBODY: Final = QueueNumbers()


def _numbers(figures: Figures, begin_ms: int, end_ms: int) -> dict[int, QueueNumbers]:
    return {queue: _of_queue(queue, sums, figures.within_s(queue))
            for queue, sums in figures.queue_sums(begin_ms, end_ms).items()}


def _of_queue(queue: int, sums: QueueSums, within_s: int) -> QueueNumbers:
    found = queue_figures(queue, sums, within_s)
    calls = found.answered
    return QueueNumbers(
        offered=found.offered, answered=calls, abandoned=found.abandoned,
        refused=found.refused, overflowed=found.left,
        service_level=_rounded(found.service_level),
        service_level_offered=_rounded(found.service_level_offered),
        wait_mean_s=_rounded(found.wait_sum_ms / calls / 1000) if calls else None,
        wait_p50_s=_percentile(sums.waited_s, 50), wait_p80_s=_percentile(sums.waited_s, 80),
        wait_p95_s=_percentile(sums.waited_s, 95),
        wait_max_s=_rounded(found.wait_max_ms / 1000) if calls else None)


def _percentile(waited_s: dict[int, int], percent: int) -> int | None:
    """So many of a hundred waited no longer."""
    wanted, seen = sum(waited_s.values()) * percent / 100, 0
    for seconds in sorted(waited_s):
        seen += waited_s[seconds]
        if seen >= wanted:
            return seconds
    return None


def _of_agent(found: AgentSums | None) -> AgentNumbers:
    if found is None:
        return AgentNumbers()
    busy = found.talking_ms + found.wrap_up_ms
    return AgentNumbers(
        logged_in_s=found.logged_in_ms // 1000, talking_s=found.talking_ms // 1000,
        answered=found.answered,
        occupancy=_rounded(busy / found.logged_in_ms) if found.logged_in_ms else None)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _agreement(queues: list[QueueAnswer]) -> dict[str, float | None]:
    """1 less the part by which all queues' numbers are off, in sum, as they were recorded."""
    found: dict[str, float | None] = {}
    for name in ("offered", "answered", "abandoned"):
        real = sum(getattr(one.recorded, name) for one in queues)
        off = sum(abs(getattr(one.before, name) - getattr(one.recorded, name)) for one in queues)
        found[name] = round(max(0.0, 1 - off / real), 3) if real else None
    waits = [(one.recorded.wait_mean_s or 0, one.before.wait_mean_s or 0, one.recorded.answered)
             for one in queues]
    real_s = sum(real * calls for real, _, calls in waits)
    off_s = sum(abs(simulated - real) * calls for real, simulated, calls in waits)
    found["wait_mean"] = round(max(0.0, 1 - off_s / real_s), 3) if real_s else None
    return found
