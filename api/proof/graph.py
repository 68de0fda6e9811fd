"""A company's routing as a graph: what calls come to, and where each leads them, when.

Numbers, users, groups and services are the nodes, by (table, id). Edges that are taken at once are
told from those before which the caller waits, or hears something.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

import msgspec

from api.proof.hours import Moments, Year
from store.model import (
    Mailbox,
    Menu,
    Message,
    Queue,
    QueueEntry,
    RingGroup,
    Row,
    Schedule,
    ServiceSettings,
    Target,
)
from store.port import Reader
from store.rows import row_values

#: What rows are read from: the store, a change under way, or {table: {id: row}} as of a revision.
Rows = Reader | Mapping[str, Mapping[int, Row]]
#: (table, id); ("outside", number); BUSY.
Node = tuple[str, Any]

BUSY: Final[Node] = ("busy", 0)
ALL: Final = 1 << 40
_TARGET: Final = ("kind", "user", "group", "text")
_settings: Final = msgspec.json.Decoder(ServiceSettings)


class Sure(IntEnum):
    """What an edge depends on: the configuration and the hour; who is logged in and how many wait;
    who is busy, away or unreachable."""

    CERTAIN = 0
    QUEUE = 1
    PEOPLE = 2


class Edge(NamedTuple):
    """A way on. target None: the call ends; when: a key of WORDS; field: the path in the source's
    row; moments: when it can be taken; schedules: those that say so."""

    source: Node
    target: Node | None
    when: str
    field: str
    moments: Moments
    waits: bool = False
    sure: Sure = Sure.CERTAIN
    schedules: tuple[int, ...] = ()


#: What is said of the source of an edge.
WORDS: Final = {
    "always": "{}", "open": "{} is open", "closed": "{} is closed",
    "night": "{} is closed for the night", "by_hand": "{} is closed by hand",
    "no_agents": "{} has no agents", "rush": "{} has too many callers",
    "timed": "{} has no time for the caller", "no_answer": "{} does not answer",
    "nobody": "{} has nobody there", "empty": "{} has no members",
    "silent": "{} is silent", "next": "{} has been heard", "otherwise": "{} hears no key",
    "forward": "{} forwards all calls", "busy": "{} is busy", "activity": "{} is away",
    "unreachable": "{} cannot be reached", "no_telephone": "{} has no telephone",
    "disabled": "{} is disabled", "full": "{} is full or 0 is keyed",
}


class Graph:
    """The graph of a company. ways: from each node; answers: when a call that is there is answered
    by somebody or something; entries: what can be dialled."""

    def __init__(self, rows: Rows, tenant: int, now: int, years: int = 1) -> None:
        self._rows = rows
        self._tenant = tenant
        self.company: Any = _one(rows, "tenant", tenant)
        self.schedules: dict[int, Schedule] = {row.id: row for row in self._find("schedule")}
        self.services: dict[int, ServiceSettings] = {}
        self.ways: dict[Node, list[Edge]] = {BUSY: []}
        self.names: dict[Node, str] = {BUSY: "busy"}
        self.answers: dict[Node, Moments] = {BUSY: 0}
        self.entries: list[tuple[str, Node]] = []
        self._read_people()
        numbers = list(self._select("number", (
            "id", "e164", "schedule", *(f"target_{part}" for part in _TARGET),
            *(f"closed_target_{part}" for part in _TARGET))))
        groups = self._find("ring_group")
        services = [(*row[:3], _settings.decode(row[3])) for row in self._select(
            "service", ("id", "name", "extension", "settings"))]
        used = {row[2] for row in numbers}
        for *_, settings in services:
            if isinstance(settings, Queue):
                used.update((settings.schedule, *settings.closures))
        self.year = Year((row for row in self.schedules.values() if row.id in used), now, years)
        self._own = {row[1]: row[0] for row in numbers}
        self._numbers(numbers)
        self._users()
        self._groups(groups)
        self._services(services)
        attendant = self.node(self.company.attendant)
        if attendant:
            self.entries.append(("attendant", attendant))

    # -- reading --------------------------------------------------------------------------------

    def _find(self, table: str) -> list[Any]:
        if isinstance(self._rows, Mapping):
            return [row for row in self._rows.get(table, {}).values()
                    if getattr(row, "tenant", None) == self._tenant]
        return self._rows.find(table, limit=ALL, tenant=self._tenant)

    def _select(self, table: str, columns: tuple[str, ...]) -> Iterable[tuple[Any, ...]]:
        if isinstance(self._rows, Mapping):
            return row_values(table, self._find(table), columns)
        return self._rows.select(table, columns, tenant=self._tenant)

    def _read_people(self) -> None:
        self.users = {id_: (name, extension, bool(enabled)) for id_, name, extension, enabled
                      in self._select("user", ("id", "name", "extension", "enabled"))}
        self._reachable = {user for user, enabled in self._select("device", ("user", "enabled"))
                           if enabled and self.users.get(user, ("", "", False))[2]}
        self._forwards: dict[int, list[tuple[Any, ...]]] = {}
        for user, *forward in self._select("forward", ("user", "event", "called", *(
                f"target_{part}" for part in _TARGET))):
            self._forwards.setdefault(user, []).append(tuple(forward))
        self._members = self._by("member", "ring_group")
        self.agents = self._by("queue_member", "service")
        self._silent = {id_ for id_, text, sha256 in self._select(
            "prompt", ("id", "text", "sha256")) if not text and not sha256}

    def _by(self, table: str, name: str) -> dict[int, list[int]]:
        """The enabled users in each group or queue."""
        found: dict[int, list[int]] = {}
        for owner, user in self._select(table, (name, "user")):
            if user in self.users and self.users[user][2]:
                found.setdefault(owner, []).append(user)
        return found

    # -- nodes ----------------------------------------------------------------------------------

    def node(self, target: Target | None) -> Node | None:
        """Where a target leads."""
        if target is None:
            return None
        text = str(target.service) if target.kind == "service" else target.text
        return self._node(target.kind, target.user, target.group, text)

    def _node(self, kind: str | None, user: int | None, group: int | None,
              text: str | None) -> Node | None:
        match kind:
            case None:
                return None
            case "user":
                return "user", user
            case "group":
                return "ring_group", group
            case "service":
                return "service", int(text or 0)
            case "busy":
                return BUSY
        own = self._own.get(text or "")
        if own is not None:
            return "number", own
        outside = "outside", text
        if outside not in self.names:
            self._add(outside, f"outside number {text}", self.year.always, [])
        return outside

    def _add(self, node: Node, name: str, answers: Moments, edges: list[Edge]) -> None:
        self.names[node], self.answers[node] = name, answers
        self.ways[node] = [edge for edge in edges if edge.moments]

    def says(self, edge: Edge) -> str:
        """An edge in words."""
        name = self.names[edge.source]
        if edge.when.startswith("key "):
            return f"{name}: {edge.when}"
        return WORDS[edge.when].format(name)

    # -- edges ----------------------------------------------------------------------------------

    def _numbers(self, rows: list[tuple[Any, ...]]) -> None:
        always = self.year.always
        for id_, e164, schedule, *targets in rows:
            node, opened = ("number", id_), self.year.open(schedule)
            hours = (schedule,) if schedule in self.schedules else ()
            self._add(node, f"number {e164}", 0, [
                Edge(node, self._node(*targets[:4]), "open" if hours else "always", "target",
                     opened, schedules=hours),
                Edge(node, self._node(*targets[4:]), "closed", "closed_target", always & ~opened,
                     schedules=hours)])
            self.entries.append((e164, node))

    def _users(self) -> None:
        for id_, (name, extension, enabled) in self.users.items():
            node: Node = ("user", id_)
            edges = list(self._of_user(id_, enabled))
            rings = id_ in self._reachable and not any(
                edge.sure == Sure.CERTAIN and not edge.waits for edge in edges)
            self._add(node, f"user {name}", self.year.always if rings else 0, edges)
            if extension:
                self.entries.append((extension, node))

    def _of_user(self, id_: int, enabled: bool) -> Iterator[Edge]:
        node: Node = ("user", id_)
        always = self.year.always
        if not enabled:
            yield Edge(node, None, "disabled", "enabled", always)
            return
        mine: dict[str, list[tuple[str, Node | None]]] = {}
        for event, called, *to in self._forwards.get(id_, ()):
            mine.setdefault(event, []).append((called, self._node(*to)))
        everything = False
        for called, target in mine.get("always", ()):
            everything = everything or called == "any"
            yield Edge(node, target, "forward", "forward", always,
                       sure=Sure.CERTAIN if called == "any" else Sure.PEOPLE)
        if everything:
            return
        silent = id_ not in self._reachable
        for event in ("busy", "no_answer", "unreachable", "activity"):
            for called, target in mine.get(event, ()):
                certain = silent and event == "unreachable" and called == "any"
                yield Edge(node, target, event, "forward", always, event == "no_answer",
                           Sure.CERTAIN if certain else Sure.PEOPLE)
        if silent:
            yield Edge(node, None, "no_telephone", "enabled", always)

    def _groups(self, rows: list[RingGroup]) -> None:
        for row in rows:
            node, members = ("ring_group", row.id), self._members.get(row.id, [])
            rings = any(user in self._reachable for user in members)
            self._add(node, f"group {row.name}", self.year.always if rings else 0,
                      list(self._of_group(row, node, bool(members), rings)))
            if row.extension:
                self.entries.append((row.extension, node))

    def _of_group(self, row: RingGroup, node: Node, members: bool, rings: bool) -> Iterator[Edge]:
        always = self.year.always
        nobody = "nobody" if row.nobody else "no_answer"
        empty, unanswered = self.node(row.nobody or row.no_answer), self.node(row.no_answer)
        if not members:
            yield Edge(node, empty, "empty", nobody, always)
        elif not rings:
            yield Edge(node, unanswered, "unreachable", "no_answer", always)
        else:
            yield Edge(node, empty, "nobody", nobody, always, sure=Sure.PEOPLE)
            yield Edge(node, unanswered, "busy", "no_answer", always, sure=Sure.PEOPLE)
            yield Edge(node, unanswered, "no_answer", "no_answer", always, waits=True)

    def _services(self, rows: list[tuple[Any, ...]]) -> None:
        for id_, name, extension, settings in rows:
            node, always = ("service", id_), self.year.always
            self.services[id_] = settings
            kind = "queue" if isinstance(settings, Queue) else "service"
            answers, edges = always, []
            match settings:
                case Message():
                    silent = settings.prompt in self._silent
                    answers = 0 if silent else always
                    edges = [self._to(node, "silent" if silent else "next", "settings.next",
                                      settings.next, waits=not silent)]
                case Menu():
                    edges = [self._to(node, f"key {choice.key}", f"settings.choices[{i}].target",
                                      choice.target, waits=True)
                             for i, choice in enumerate(settings.choices)]
                    edges.append(self._to(node, "otherwise", "settings.otherwise",
                                          settings.otherwise, waits=True))
                case Mailbox():
                    if settings.colleague:
                        edges = [self._to(node, "full", "settings.colleague", settings.colleague,
                                          waits=True)]
                case QueueEntry():
                    answers = 0
                    edges = [Edge(node, ("service", settings.queue), "always", "settings.queue",
                                  always)]
                case Queue():
                    answers, edges = self._of_queue(node, settings)
            self._add(node, f"{kind} {name}", answers, edges)
            if extension:
                self.entries.append((extension, node))

    def _to(self, node: Node, when: str, field: str, target: Target | None, *,
            moments: Moments | None = None, waits: bool = False, sure: Sure = Sure.CERTAIN,
            schedules: tuple[int, ...] = ()) -> Edge:
        return Edge(node, self.node(target), when, field,
                    self.year.always if moments is None else moments, waits, sure, schedules)

    def _of_queue(self, node: Node, queue: Queue) -> tuple[Moments, list[Edge]]:
        """(when a caller can come in and be answered, the edges)"""
        always, overflow = self.year.always, queue.overflow
        hours = tuple(id_ for id_ in dict.fromkeys((queue.schedule, *queue.closures))
                      if id_ is not None)
        if queue.state == "closed":
            return 0, [self._to(node, "by_hand", "settings.overflow.closed", overflow.closed)]
        hours = () if queue.state == "open" else hours
        day = always
        for id_ in hours:
            day &= self.year.open(id_)
        night = self._to(node, "night", "settings.overflow.night", overflow.night,
                         moments=always & ~day, schedules=hours)
        agents = node[1] in self.agents
        edges = [night, self._to(node, "no_agents", "settings.overflow.no_agents",
                                 overflow.no_agents, moments=day, schedules=hours,
                                 sure=Sure.QUEUE if agents else Sure.CERTAIN)]
        if overflow.rush_length or overflow.rush_wait_s or overflow.rush_estimate_s:
            edges.append(self._to(node, "rush", "settings.overflow.rush", overflow.rush,
                                  moments=day, schedules=hours, sure=Sure.QUEUE))
        if not agents:
            return 0, edges
        if overflow.timed_s:
            edges.append(self._to(node, "timed", "settings.overflow.timed", overflow.timed,
                                  waits=True, moments=day))
        if overflow.attempts:
            edges.append(self._to(node, "no_answer", "settings.overflow.no_answer",
                                  overflow.no_answer, waits=True, moments=day))
        edges += [self._to(node, f"key {choice.key}", f"settings.keys[{i}].target", choice.target,
                           waits=True, moments=day) for i, choice in enumerate(queue.keys)]
        return day, edges


def _one(rows: Rows, table: str, id_: int) -> Any:
    return rows[table][id_] if isinstance(rows, Mapping) else rows.get(table, id_)
