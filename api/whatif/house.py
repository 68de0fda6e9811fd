"""A company's queues as one configuration has them, in the engine's terms."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, NamedTuple

from routing_core import Kernel
from routing_core.queue_words import Closed, Leave
from routing_core.queues import STRATEGIES, Engine, need
from store import SqliteStore
from store.model import Marks, Queue, QueueEntry, QueueMember, Skill, Target

MINUTE_S: Final = 60
#: Which field of an Overflow says where a caller goes.
FIELDS: Final = {
    Leave.NIGHT: "night", Leave.CLOSED: "closed", Leave.NO_AGENTS: "no_agents",
    Leave.RUSH_LENGTH: "rush", Leave.RUSH_WAIT: "rush", Leave.RUSH_ESTIMATE: "rush",
    Leave.FULL: "rush", Leave.TIMED: "timed", Leave.NO_ANSWER: "no_answer"}


class Numbers:
    """Numbers for names of skills and pauses, the same in both configurations."""

    def __init__(self) -> None:
        self._skills: dict[int, list[str]] = {}
        self._reasons: list[str] = []

    def mask(self, queue: int, skills: Iterable[Skill]) -> int:
        """Of skills in that queue; the engine knows twelve."""
        known, found = self._skills.setdefault(queue, []), []
        for skill in skills:
            if skill.name not in known and len(known) < 12:
                known.append(skill.name)
            if skill.name in known:
                found.append((known.index(skill.name), skill.level))
        return need(found)

    def reason(self, name: str) -> int:
        """Of a pause, from 1; 62 for all that come after."""
        if name not in self._reasons and len(self._reasons) < 61:
            self._reasons.append(name)
        return self._reasons.index(name) + 1 if name in self._reasons else 62


class Door(NamedTuple):
    """A way into a queue."""

    queue: int
    priority: int = 0
    skills: tuple[Skill, ...] = ()
    relaxations: tuple[tuple[int, tuple[Skill, ...]], ...] = ()


class House:
    """Of one company; kernel: on the same configuration, for the schedules."""

    def __init__(self, store: SqliteStore, tenant: int, kernel: Kernel) -> None:
        self._kernel = kernel
        self.titles: dict[int, str] = {}
        self.queues: dict[int, Queue] = {}
        self.doors: dict[int, Door] = {}
        for row in _rows(store, "service", tenant):
            if isinstance(row.settings, Queue):
                self.queues[row.id], self.titles[row.id] = row.settings, row.name
                self.doors[row.id] = Door(row.id)
            elif isinstance(row.settings, QueueEntry):
                entry = row.settings
                self.doors[row.id] = Door(
                    entry.queue, entry.priority, entry.skills,
                    tuple((one.after_s * 1000, one.skills) for one in entry.relaxations))
        self.members: dict[tuple[int, int], QueueMember] = {
            (row.service, row.user): row for row in _rows(store, "queue_member", tenant)}
        company: Any = store.get("tenant", tenant)
        self.licences: int = -1 if company.agent_licences is None else company.agent_licences
        self.schedules = {row.id: row for row in _rows(store, "schedule", tenant)}

    def same(self, other: "House") -> bool:
        """Whether the queues of both do the same."""
        return all(getattr(self, name) == getattr(other, name) for name in (
            "queues", "doors", "members", "licences", "schedules"))

    def onward(self, queue: int, why: int) -> Door | None:
        """The way into another queue that a caller takes who leaves, or is not let in."""
        row, field = self.queues.get(queue), FIELDS.get(Leave(why))
        target: Target | None = getattr(row.overflow, field) if row and field else None
        return self.doors.get(target.service) if target and target.service else None

    def configure(self, engine: Engine, now_ms: int, numbers: Numbers) -> None:
        """The engine gets the queues and their members."""
        engine.set_licences(now_ms, self.licences)
        for id_, queue in self.queues.items():
            engine.set_queue(now_ms, id_, **settings_of(queue, numbers))
        for (queue_id, user), row in self.members.items():
            if queue_id in self.queues:
                engine.set_member(now_ms, queue_id, user, row.tier, row.position,
                                  numbers.mask(queue_id, row.skills))

    def hours(self, begin_ms: int, end_ms: int) -> list[tuple[int, int, Closed]]:
        """(when, queue, from then on) of every queue's door, by the minute."""
        found: list[tuple[int, int, Closed]] = []
        for id_, queue in self.queues.items():
            wanted = tuple(one for one in (queue.schedule, *queue.closures) if one)
            inside = Closed.BY_HAND if queue.state == "closed" else Closed.OPEN
            if queue.state == "open" or not wanted:
                found.append((begin_ms, id_, inside))
                continue
            states = [(at, inside if all(self._kernel.schedule_open(one, at)[0] for one in wanted)
                       else Closed.NIGHT)
                      for at in range(begin_ms // 1000, end_ms // 1000, MINUTE_S)]
            found += [(at * 1000, id_, state) for at, state in states[:1]]
            found += [(at * 1000, id_, state) for (_, before), (at, state) in pairwise(states)
                      if state != before]
        return found


def _rows(store: SqliteStore, table: str, tenant: int) -> list[Any]:
    found: list[Any] = []
    while page := store.find(table, after=found[-1].id if found else 0, limit=1000,
                             tenant=tenant):
        found += page
    return found


def settings_of(queue: Queue, numbers: Numbers) -> dict[str, int]:
    """For Engine.set_queue(); without what only callbacks need, which are not simulated."""
    flow = queue.overflow
    found = {
        "strategy": STRATEGIES[queue.strategy], "parallel": queue.parallel,
        "ring_ms": queue.ring_s * 1000, "weight": queue.weight,
        "wrap_ms": queue.wrap_up_s * 1000, "prolong_ms": queue.prolong_s * 1000,
        "rest_ms": queue.rest_s * 1000, "max_misses": queue.max_misses,
        "on_misses": int(queue.on_misses == "pause"),
        "no_answer_ms": queue.no_answer_delay_s * 1000,
        "rejected_ms": queue.rejected_delay_s * 1000, "busy_ms": queue.busy_delay_s * 1000,
        "unreachable_ms": queue.unreachable_delay_s * 1000, "attempts": flow.attempts or 0,
        "timed_ms": (flow.timed_s or 0) * 1000, "grace_ms": flow.grace_s * 1000,
        "leave_at_close": int(flow.leave_at_close), "dwell_ms": flow.dwell_s * 1000,
        "max_waiting": queue.max_waiting,
        "pauses_present": sum(1 << numbers.reason(name) for name in set(flow.pauses_present)),
        **_marks("length", "", flow.rush_length, 1),
        **_marks("wait", "_ms", flow.rush_wait_s, 1000),
        **_marks("estimate", "_ms", flow.rush_estimate_s, 1000)}
    tiers = (*queue.tiers_s, 0, 0, 0)
    return found | {f"tier{i + 1}_ms": tiers[i] * 1000 for i in range(3)}


def _marks(name: str, unit: str, marks: Marks | None, factor: int) -> dict[str, int]:
    return {f"{name}_high{unit}": marks.high * factor if marks else 0,
            f"{name}_low{unit}": marks.low * factor if marks else 0}
