"""What if, in the queues: days that the engine itself played, played again with other settings, and
waits counted by hand."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.figures.fold import Figures
from api.whatif.copies import Copy
from api.whatif.history import LOG_IN, Input, Patience, busy_inputs
from api.whatif.house import Door, House, Numbers, settings_of
from api.whatif.shapes import QueueAnswer, Result
from api.whatif.simulation import Person, Simulation
from callcontrol.queues import settings as of_call_control
from callcontrol.queues.journal import Names
from routing_core import Kernel
from routing_core.queue_words import Cause, Leave
from store.model import (
    Event,
    Marks,
    Overflow,
    Queue,
    QueueEntry,
    QueueMember,
    Service,
    Target,
)
from store.sqlite import SqliteWriter
from tests.test_whatif import BEGIN_MS, HOUR_MS, MAIN, SALES, Company

S, MINUTE = 1000, 60_000
END_MS = BEGIN_MS + 24 * HOUR_MS


class Told(Figures):
    """Figures that keep the events too."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []

    def feed(self, event: Event) -> None:
        """One of the engine's."""
        self.events.append(event)


class Centre(Company):
    """The company, with a queue in which Anna and Bo are logged in."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.change(self._furnish_queue)

    def _furnish_queue(self, writer: SqliteWriter) -> None:
        ids = self.ids
        ids.other = writer.create(Service(tenant=ids.tenant, name="Other", settings=Queue())).id
        ids.queue = writer.create(Service(tenant=ids.tenant, name="Support", settings=Queue(
            ring_s=20, overflow=Overflow(rush=Target(kind="service", service=ids.other))))).id
        ids.members = [writer.create(QueueMember(tenant=ids.tenant, service=ids.queue,
                                                 user=user)).id for user in (ids.anna, ids.bo)]

    def settings(self, **fields: Any) -> dict[str, Any]:
        """Other settings of the queue."""
        return self.changed("service", self.ids.queue, settings=fields)

    def play(self, people: list[Person], agents: tuple[int, ...], *, uids: tuple[str, ...] = (),
             reactions: dict[int, list[tuple[int, int]]] | None = None,
             queues: tuple[int, ...] = ()) -> list[Event]:
        """The day as it was, by the engine itself; its events are recorded."""
        copy = Copy(self.state / "vaxel.db", self.state / "playing")
        house = House(copy.store, self.tenant, Kernel(copy.snapshot(), copy.live()))
        inputs: list[Input] = [(BEGIN_MS - S, LOG_IN, agent, queue, 1) for agent in agents
                               for queue in queues or (self.ids.queue,)]
        told = Told()
        answers = {agent: [(2 * S, 0)] for agent in agents}
        Simulation(house, Numbers(), people, inputs, reactions or answers, 3, told).run(
            BEGIN_MS - MINUTE, END_MS, lambda done: None)
        copy.close()
        names = dict(enumerate(uids, 1))  # the engine counts callers from 1
        events = [msgspec.structs.replace(
            event, tenant=self.tenant, call=names.get(event.data["caller"], ""))
            for event in told.events]
        self.store.add_events(events)
        return events

    def person(self, at_s: float, talk_s: float, patience_s: float | None = None) -> Person:
        """A caller of the queue."""
        return Person(BEGIN_MS + int(at_s * S), Door(self.ids.queue),
                      None if patience_s is None else int(patience_s * S), Leave.ABANDONED,
                      int(talk_s * S), None)

    def of(self, found: Result, queue: int = 0) -> QueueAnswer:
        """A queue's part of the answer."""
        return next(one for one in found.queues.queues if one.queue == (queue or self.ids.queue))


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    """With nothing recorded yet."""
    made = Centre(tmp_path)
    yield made
    made.store.close()


def three(centre: Centre) -> list[Person]:
    """Ten seconds apart, who talk for 100 seconds each."""
    return [centre.person(10 * i, 100) for i in range(3)]


def test_one_agent_less(centre: Centre) -> None:
    """Agents answer after two seconds. With two: 2, 2 and 84 seconds; with one: 2, 94 and 186."""
    centre.play(three(centre), (centre.ids.anna, centre.ids.bo))
    found = centre.ask(operations=[centre.gone("queue_member", centre.ids.members[1])])
    assert found.queues.simulated and "changed" in found.queues.why
    queue = centre.of(found)
    assert queue.recorded == queue.before and queue.name == "Support"
    assert (queue.before.offered, queue.before.answered) == (3, 3)
    assert queue.before.wait_mean_s == round((2 + 2 + 84) / 3, 3)
    assert (queue.after.offered, queue.after.answered) == (3, 3)
    assert queue.after.wait_mean_s == (2 + 94 + 186) / 3
    assert (queue.after.wait_p50_s, queue.after.wait_p95_s) == (94, 186)
    assert queue.after.wait_max_s == 186
    assert (queue.before.service_level, queue.after.service_level) == (0.667, 0.333)
    assert [(hour.at_ms, hour.before.offered, hour.after.offered) for hour in queue.hours] == [
        (BEGIN_MS, 3, 3)]
    assert found.queues.agreement == {"offered": 1.0, "answered": 1.0, "abandoned": None,
                                      "wait_mean": 1.0}
    agents = {one.name: one for one in found.queues.agents}
    assert agents["user Anna"].before.answered + agents["user Bo"].before.answered == 3
    assert (agents["user Anna"].after.answered, agents["user Anna"].after.talking_s) == (3, 300)
    assert agents["user Bo"].after.answered == 0


def test_a_lower_rush_mark(centre: Centre) -> None:
    """One talks, two wait; the fourth and the fifth find the queue closed, and go to the other
    queue, where Cia would have been."""
    ids = centre.ids
    people = [centre.person(10 * i, 10_000) for i in range(5)]
    centre.play(people, (ids.anna,))
    found = centre.ask(operations=[
        centre.settings(overflow={"rush_length": {"high": 2, "low": 1}}),
        centre.made("queue_member", service=ids.other, user=ids.cia)])
    before, after = centre.of(found).before, centre.of(found).after
    assert (before.offered, before.refused) == (5, {})
    assert (after.offered, after.refused) == (5, {"rush_length": 2})
    other = centre.of(found, ids.other)
    assert (other.recorded.offered, other.before.offered, other.after.offered) == (0, 0, 2)
    # A new agent, who was logged in nowhere, is there all day: 2 seconds, and a long call more.
    assert (other.after.answered, other.after.wait_max_s) == (2, 10_000 + 2 + 2 - 10)


def test_who_hung_up(centre: Centre) -> None:
    """The second caller hung up after 30 seconds of waiting for the only agent. A second agent, who
    was logged in nowhere, would have answered; half the ring time changes nothing."""
    ids = centre.ids
    centre.change(lambda writer: writer.delete("queue_member", ids.members[1]))
    centre.play([centre.person(0, 100), centre.person(10, 100, 30)], (ids.anna,))
    found = centre.ask(operations=[
        centre.made("queue_member", service=ids.queue, user=ids.bo)])
    queue = centre.of(found)
    assert (queue.recorded.abandoned, queue.before.abandoned, queue.after.abandoned) == (1, 1, 0)
    assert (queue.before.answered, queue.after.answered) == (1, 2)
    assert queue.after.wait_max_s == 2.0
    shorter = centre.of(centre.ask(operations=[centre.settings(ring_s=10)]))
    assert shorter.before == shorter.after


def test_a_shorter_ring_time(centre: Centre) -> None:
    """Anna takes eight seconds to answer: with five she misses the call, and logs out at last."""
    ids = centre.ids
    slow = {ids.anna: [(8 * S, 0)]}
    centre.play([centre.person(0, 60, 600)], (ids.anna,), reactions=slow)
    queue = centre.of(centre.ask(operations=[centre.settings(ring_s=5)]))
    assert (queue.before.answered, queue.before.wait_max_s) == (1, 8.0)
    assert queue.after.answered == 0


def test_calls_that_come_to_a_queue(centre: Centre) -> None:
    """Two calls to Bo's number would have gone to the queue, where Anna is."""
    ids = centre.ids
    centre.play([], (ids.anna,))
    centre.calls((0, SALES), (0, SALES), (0, MAIN), apart_s=600)
    found = centre.ask(operations=[centre.changed(
        "number", ids.sales, target={"kind": "service", "service": ids.queue, "user": None})])
    assert "come to" in found.queues.why
    queue = centre.of(found)
    assert (queue.recorded.offered, queue.before.offered, queue.after.offered) == (0, 0, 2)
    assert (queue.after.answered, queue.after.refused) == (2, {})
    assert {one.after.kind for one in found.decisions.moved} == {"service"}


def test_calls_that_do_not_come_any_more(centre: Centre) -> None:
    """The number led to the queue; one of its callers was refused at the door, namelessly."""
    ids = centre.ids
    centre.replace("number", ids.sales, target=Target(kind="service", service=ids.queue))
    uids = centre.calls((0, SALES), (0, SALES), apart_s=30)
    centre.play([centre.person(0.1, 60), centre.person(30.1, 60)], (ids.anna,), uids=tuple(uids))
    centre.calls((0, SALES), begin_s=3600)
    centre.store.add_events([Event(
        tenant=centre.tenant, at_ms=BEGIN_MS + HOUR_MS + 100, kind="queue",
        data={"what": "refused", "queue": ids.queue, "x": int(Leave.CLOSED)})])
    queue = centre.of(centre.ask(operations=[centre.changed(
        "number", ids.sales, target={"kind": "user", "user": ids.bo, "service": None})]))
    assert (queue.recorded.offered, queue.before.offered, queue.after.offered) == (3, 3, 0)
    assert queue.before.answered == 3  # it was closed by hand then; it is open now


def test_an_entry_with_priority(centre: Centre) -> None:
    """The last of three callers would have come by the door for important ones: she is served
    before the second."""
    ids = centre.ids
    door: list[int] = []
    centre.change(lambda writer: door.append(writer.create(Service(
        tenant=ids.tenant, name="Gold", settings=QueueEntry(queue=ids.queue, priority=5))).id))
    for number, target in ((ids.main, ids.queue), (ids.sales, ids.queue)):
        centre.replace("number", number, target=Target(kind="service", service=target))
    uids = centre.calls((0, SALES), (0, SALES), (0, MAIN), apart_s=10)
    centre.play([centre.person(10 * i + 0.1, 100, 150) for i in range(3)], (ids.anna,),
                uids=tuple(uids))
    queue = centre.of(centre.ask(operations=[centre.changed(
        "number", ids.main, target={"kind": "service", "service": door[0]})]))
    # Talk from 2 to 102; then who is first in line; the other has hung up by then.
    assert (queue.before.answered, queue.before.wait_max_s) == (2, 94.0)
    assert (queue.after.answered, queue.after.wait_max_s) == (2, 84.0)
    assert queue.before.abandoned == queue.after.abandoned == 1


def test_a_closed_queue(centre: Centre) -> None:
    """Closed by hand: nobody is let in."""
    centre.play(three(centre), (centre.ids.anna,))
    queue = centre.of(centre.ask(operations=[centre.settings(state="closed")]))
    assert queue.after.refused == {"closed": 3} and queue.after.answered == 0


def test_a_queue_that_would_not_be_there(centre: Centre) -> None:
    """Its callers have nowhere to go: they are counted, and no agent talks."""
    centre.play(three(centre), (centre.ids.anna,))
    found = centre.ask(operations=[
        *(centre.gone("queue_member", member) for member in centre.ids.members),
        centre.gone("service", centre.ids.queue)])
    assert found.queues.nowhere == 3
    queue = centre.of(found)
    assert (queue.before.answered, queue.after.offered, queue.name) == (3, 0, "Support")
    assert {one.after.talking_s for one in found.queues.agents} == {0}


def test_overflow_by_time(centre: Centre) -> None:
    """Who waits for a minute goes to the other queue, where Cia would have answered."""
    ids = centre.ids
    centre.play(three(centre), (ids.anna,))
    found = centre.ask(operations=[
        centre.settings(overflow={"timed_s": 60,
                                  "timed": {"kind": "service", "service": ids.other}}),
        centre.made("queue_member", service=ids.other, user=ids.cia)])
    after = centre.of(found).after
    assert (after.answered, after.overflowed) == (1, {"timed": 2})
    other = centre.of(found, ids.other).after
    assert (other.offered, other.answered) == (2, 2)
    # After 60 seconds, and two more: how fast Cia answers is not known, but how fast Anna does.
    assert other.wait_p50_s == 62


def test_a_whole_day_agrees(centre: Centre) -> None:
    """Callers with patience, agents with misses: the simulation of what was is near what was."""
    ids, chance = centre.ids, random.Random(5)
    at_s, people = 0.0, []
    while at_s < 20 * 3600:
        at_s += chance.expovariate(1 / 75)
        people.append(centre.person(at_s, chance.expovariate(1 / 120) + 5,
                                    chance.expovariate(1 / 150)))
    react = {agent: [(ms * S, 0) for ms in range(2, 12)] + [(3 * S, int(Cause.REJECTED))]
             for agent in (ids.anna, ids.bo)}
    centre.play(people, (ids.anna, ids.bo), reactions=react)
    longer = [centre.settings(wrap_up_s=30)]
    found = centre.ask(operations=longer)
    assert found == msgspec.structs.replace(
        centre.ask(operations=longer), took_s=found.took_s, calls_per_s=found.calls_per_s)
    for name, least in (("offered", 0.99), ("answered", 0.95), ("abandoned", 0.7),
                        ("wait_mean", 0.7)):
        share = found.queues.agreement[name]
        assert share is not None and share >= least, found.queues.agreement
    queue = centre.of(found)
    assert queue.after.abandoned > queue.before.abandoned  # agents have less time
    assert sum(hour.after.offered for hour in queue.hours) == queue.after.offered == len(people)


# -- parts -------------------------------------------------------------------------------------

def test_patience_by_hand() -> None:
    """Four callers: one left at 10, one was answered at 20, one left at 30, one was answered at 40.
    Of those there at 10 three quarters stay; of the two there at 30 a half."""
    found = Patience([(30, True), (10, True), (40, False), (20, False)])
    assert (found.times, found.shares) == ([10, 30], [3 / 4, 3 / 8])
    assert found.draw(0, 0.1) == 10
    assert found.draw(0, 0.3) == 30
    assert found.draw(0, 0.9) is None
    assert found.draw(15, 0.1) == 30 and found.draw(15, 0.6) is None
    assert found.draw(30, 0.5) is None
    assert Patience([]).draw(0, 0.99) is None


def test_calls_that_overlap_keep_a_line_busy() -> None:
    """From the first one's beginning to the last one's end."""
    assert sorted(busy_inputs([(1, 50, 60), (1, 10, 20), (1, 15, 30), (2, 5, 6)])) == [
        (5, 4, 2, 0, 1), (6, 4, 2, 0, 0), (10, 4, 1, 0, 1), (30, 4, 1, 0, 0), (50, 4, 1, 0, 1),
        (60, 4, 1, 0, 0)]


def test_settings_are_those_of_call_control() -> None:
    """The engine of a question is set as the real one is."""
    queue = Queue(strategy="skill", tiers_s=(10, 20), max_misses=5, on_misses="pause", weight=3,
                  wrap_up_s=7, overflow=Overflow(
                      rush_length=Marks(high=5, low=3), rush_wait_s=Marks(high=60, low=30),
                      rush_estimate_s=Marks(high=90, low=45), pauses_present=("lunch",),
                      timed_s=99, attempts=4, leave_at_close=True))
    assert settings_of(queue, Numbers()) == of_call_control.settings_of(queue, Names())
