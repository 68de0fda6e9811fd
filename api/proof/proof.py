"""Proof at save: a company's routing over the whole coming year, before a change is committed.

Errors refuse the change (refuse()); warnings and notes are told (prove()). Whatever is found comes
with a call that shows it: what was dialled, when, and the way. Pure: the time is given.
"""

import datetime
from collections.abc import Iterable, Iterator
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from api.http.errors import Problem
from api.proof.graph import Edge, Graph, Node, Rows, Sure
from api.proof.hours import Moments, Year, in_words
from api.proof.ways import all_of, cycles, reached, way_to
from store.model import Menu, Queue, Schedule
from store.sqlite import SqliteWriter

#: Tables of which a change is proved.
PROVED: Final = frozenset(("number", "service", "ring_group", "schedule", "member",
                           "queue_member"))
#: Those of them that are a part of another row: its table, and the field that names it.
PARTS: Final = {"member": "ring_group", "queue_member": "service"}
MARKS: Final = ("rush_length", "rush_wait_s", "rush_estimate_s")


class Step(Struct, frozen=True):
    """Where a call goes on: the row that says so, in that field; text: what is the case."""

    table: str
    id: int
    field: str
    when: str
    text: str


class Example(Struct, frozen=True):
    """A call that shows it. dialled: a number, an extension or "attendant", "" when nothing leads
    there; at: local date and time; unix: the same in seconds; to: where the last step leads."""

    dialled: str
    at: str
    unix: int
    steps: tuple[Step, ...]
    to: str

    def __str__(self) -> str:
        way = " -> ".join((*(step.text for step in self.steps), self.to))
        return f"{self.dialled or 'a call'} at {self.at[:16].replace('T', ' ')} -> {way}"


class Finding(Struct, frozen=True):
    """Something found. code: stable; table, id, field: what to change; rows: all that make it so;
    hours: when, in the company's local time."""

    code: str
    table: str
    id: int
    field: str
    detail: str
    example: Example | None = None
    rows: tuple[tuple[str, int], ...] = ()
    hours: tuple[str, ...] = ()


class Proof(Struct, frozen=True):
    """All that was found; checked: how much was looked at; start, end: Unix seconds."""

    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    checked: dict[str, int]
    start: int
    end: int


def prove(rows: Rows, tenant: int, now: int, *, years: int = 1) -> Proof:
    """Look at everything from now (Unix seconds) on."""
    graph = Graph(rows, tenant, now, years)
    counts = {table: sum(node[0] == table for node in graph.ways)
              for table in ("number", "user", "ring_group", "service")}
    return Proof(
        errors=tuple(_errors(graph)), warnings=tuple(_warnings(graph)),
        notes=tuple(_past(graph)), start=graph.year.start, end=graph.year.end,
        checked=counts | {"schedule": len(graph.schedules), "situations": graph.year.count,
                          "ways": sum(len(ways) for ways in graph.ways.values())})


def refuse(writer: SqliteWriter, now: int) -> None:
    """Raise the Problem of the first error that what is changed under this writer has a part in."""
    changed: dict[int, set[tuple[str, int]]] = {}
    for change in writer.changes:
        for row in filter(None, (change.before, change.after)):
            if change.table in PROVED and not _plain(change.table, row):
                table = PARTS.get(change.table, change.table)
                changed.setdefault(row["tenant"], set()).add(
                    (table, change.id if table == change.table else row[table]))
    for tenant, mine in changed.items():
        for finding in _errors(Graph(writer, tenant, now)):
            if mine.isdisjoint(finding.rows):
                continue
            field = finding.field if (finding.table, finding.id) in mine else next(
                (step.field for step in finding.example.steps if (step.table, step.id) in mine)
                if finding.example else iter(()), "")
            shown = f" For example: {finding.example}." if finding.example else ""
            raise Problem(422, "unsafe_routing", f"{finding.code}: {finding.detail}.{shown}", field)


def _plain(table: str, row: dict[str, Any]) -> bool:
    """A person's direct number: nothing else follows from it."""
    target = row.get("target")
    return table == "number" and row.get("schedule") is None \
        and (target is None or target.get("kind") == "user")


# -- what refuses a change ------------------------------------------------------------------------

def _errors(graph: Graph) -> Iterator[Finding]:
    yield from _loops(graph)
    for id_, settings in graph.services.items():
        if isinstance(settings, Queue):
            yield from _marks(graph, id_, settings)
            if not _was_temporary(graph, settings):
                yield from _never_open(graph, id_, settings)
            yield from _no_way_out(graph, id_, settings)


def _loops(graph: Graph) -> Iterator[Finding]:
    for cycle in cycles(graph, Sure.QUEUE, lambda node: True):
        yield _loop(graph, cycle, "loop_without_wait",
                    "lead one of them to something in which the caller waits, or to an end")


def _loop(graph: Graph, cycle: list[Edge], code: str, advice: str) -> Finding:
    at = graph.year.first(all_of(graph, cycle))
    way, start = way_to(graph, [edge.source for edge in cycle], at)
    turn = next(i for i, edge in enumerate(cycle) if edge.source == start)
    cycle = cycle[turn:] + cycle[:turn]
    names = " -> ".join(graph.says(edge) for edge in cycle)
    schedules = tuple(("schedule", id_) for edge in cycle for id_ in edge.schedules)
    return Finding(
        code, *cycle[0].source, cycle[0].field,
        f"a call would go round without a wait: {names} -> {graph.names[start]}; {advice}",
        _example(graph, way, cycle, at, graph.names[start]),
        tuple(dict.fromkeys((*(edge.source for edge in cycle), *schedules))))


def _marks(graph: Graph, id_: int, queue: Queue) -> Iterator[Finding]:
    for name in MARKS:
        marks = getattr(queue.overflow, name)
        if marks is not None and marks.high <= marks.low:
            yield Finding("marks_order", "service", id_, f"settings.overflow.{name}.high",
                          f"the high mark ({marks.high}) of {graph.names['service', id_]} is to be "
                          f"above the low one ({marks.low})", rows=(("service", id_),))


def _ever_open(graph: Graph, queue: Queue) -> bool:
    """Whether some hour is open by the rules, whatever is set by hand; one without rules is for
    opening and closing by hand."""
    hours = [id_ for id_ in _schedules_of(graph, queue) if graph.schedules[id_].rules]
    year = graph.year
    if any(graph.schedules[id_].state != "auto" for id_ in hours):
        year = Year((replace(row, state="auto") for row in graph.schedules.values()), year.start)
    opened = year.always
    for id_ in hours:
        opened &= year.open(id_)
    return bool(opened)


def _schedules_of(graph: Graph, queue: Queue) -> list[int]:
    return [id_ for id_ in dict.fromkeys((queue.schedule, *queue.closures))
            if id_ in graph.schedules]


def _never_open(graph: Graph, id_: int, queue: Queue) -> Iterator[Finding]:
    if queue.state == "open" or _ever_open(graph, queue):
        return
    field = "settings.schedule" if queue.schedule else "settings.closures[0]"
    yield Finding("queue_never_open", "service", id_, field,
                  f"{graph.names['service', id_]} has no open hour in the coming year: open it in "
                  "its schedule and its closures", rows=(
                      ("service", id_),
                      *(("schedule", one) for one in _schedules_of(graph, queue))))


def _no_way_out(graph: Graph, id_: int, queue: Queue) -> Iterator[Finding]:
    """A queue that a public number leads to has members, or says where else calls go."""
    node: Node = ("service", id_)
    if id_ in graph.agents or queue.overflow.no_agents or queue.state == "closed":
        return
    public = reached(graph, "number")
    sources = [edge for source in public for edge in graph.ways[source] if edge.target == node]
    if sources:
        at = graph.year.first(sources[0].moments)
        way, _ = way_to(graph, {node}, at)
        yield Finding("queue_without_way_out", *node, "settings.overflow.no_agents",
                      f"calls go to {graph.names[node]}, which has no members and nowhere else to "
                      "send them: add a member, or a target for no_agents",
                      _example(graph, way, graph.ways[node][-1:], at, "the call ends"),
                      tuple(dict.fromkeys((node, *(edge.source for edge in sources)))))


# -- what is told -----------------------------------------------------------------------------

def _warnings(graph: Graph) -> Iterator[Finding]:
    for cycle in cycles(graph, Sure.PEOPLE, lambda node: node[0] == "service"):
        if any(edge.sure == Sure.PEOPLE for edge in cycle):
            yield _loop(graph, cycle, "loop_when_nobody_is_free",
                        "let the caller wait in one of them")
    dead = list(_dead_ends(graph))
    yield from dead
    yield from _unanswered(graph, {(finding.table, finding.id, finding.field) for finding in dead})
    for id_, settings in graph.services.items():
        if isinstance(settings, Queue):
            if id_ not in graph.agents:
                yield Finding("queue_without_members", "service", id_, "",
                              f"nobody is a member of {graph.names['service', id_]}",
                              rows=(("service", id_),))
            if _was_temporary(graph, settings):
                yield from _never_open(graph, id_, settings)
            yield from _told_and_ended(graph, id_)
    for id_, schedule in graph.schedules.items():
        if not _is_past(graph, id_) and not _open_by_rule(graph, schedule):
            yield Finding("schedule_never_opens", "schedule", id_, "rules",
                          f"schedule {schedule.name} is never open in the coming year",
                          rows=(("schedule", id_),))


def _ends(graph: Graph, node: Node) -> Moments:
    """When a call that comes there is over at once, with nobody and nothing."""
    left = graph.year.always & ~graph.answers.get(node, 0)
    for edge in graph.ways.get(node, ()):
        if edge.target is not None and edge.sure == Sure.CERTAIN and not edge.waits:
            left &= ~edge.moments
    return left


def _dead_ends(graph: Graph) -> Iterator[Finding]:
    for node in reached(graph):
        for edge in graph.ways[node]:
            target = edge.target
            if target is None:
                if edge.source[0] == "number" and edge.field == "target":
                    yield _dead(graph, edge, edge.moments, f"{graph.names[node]} leads nowhere: "
                                "give it a target", ())
            elif target[0] in ("user", "ring_group") or (
                    target[0] == "service" and not isinstance(
                        graph.services.get(target[1]), Queue)):
                moments = edge.moments & _ends(graph, target)
                last = next((way for way in graph.ways.get(target, ()) if way.target is None), None)
                if moments and last is not None:
                    yield _dead(graph, edge, moments, f"{graph.names[node]} leads to a dead end, "
                                f"{graph.says(last)}: lead it elsewhere", (last,))
        settings = graph.services.get(node[1]) if node[0] == "service" else None
        if isinstance(settings, Menu) and not settings.extensions and all(
                edge.target is None or _ends(graph, edge.target) == graph.year.always
                for edge in graph.ways[node]):
            at = graph.year.start
            way, _ = way_to(graph, {node}, at)
            yield Finding("dead_end", *node, "settings.choices",
                          f"no key of {graph.names[node]} leads to anybody: give it a target that "
                          "answers", _example(graph, way, [], at, graph.names[node]), (node,))


def _dead(graph: Graph, edge: Edge, moments: Moments, detail: str,
          then: tuple[Edge, ...]) -> Finding:
    at = graph.year.first(moments)
    way, _ = way_to(graph, {edge.source}, at)
    return Finding("dead_end", *edge.source, edge.field, detail,
                   _example(graph, way, [edge, *then], at, "the call ends"),
                   tuple(dict.fromkeys((edge.source, *(one.source for one in then)))),
                   _in_words(graph, moments))


def _told_and_ended(graph: Graph, id_: int) -> Iterator[Finding]:
    for edge in graph.ways["service", id_]:
        if edge.target is None:
            at = graph.year.first(edge.moments)
            way, _ = way_to(graph, {edge.source}, at)
            hours = _in_words(graph, edge.moments) if edge.when == "night" else ()
            yield Finding("overflow_without_target", "service", id_, edge.field,
                          f"when {graph.says(edge)}, the caller is told and the call ends: give it "
                          "a target", _example(graph, way, [edge], at, "the call ends"),
                          (edge.source,), hours)


def _unanswered(graph: Graph, known: set[tuple[str, int, str]]) -> Iterator[Finding]:
    """Of each number, the hours in which a call ends with nobody and nothing, although nobody is
    busy or away."""
    answered = dict(graph.answers)
    changing = True
    while changing:
        changing = False
        for node, ways in graph.ways.items():
            found = answered[node]
            for edge in ways:
                if edge.sure == Sure.CERTAIN and not edge.waits and edge.target is not None:
                    found |= edge.moments & answered.get(edge.target, 0)
            if found != answered[node]:
                answered[node], changing = found, True
    for node, ways in graph.ways.items():
        left = graph.year.always & ~answered[node]
        for edge in ways:
            if (*edge.source, edge.field) in known:
                left &= ~edge.moments
        if node[0] != "number" or not left:
            continue
        at = graph.year.first(left)
        way = _certain_way(graph, node, graph.year.at(at))
        last = way[-1].target if way else node
        number = graph.names[node]
        yield Finding("unanswered_hours", *node, way[0].field if way else "target",
                      f"who calls {number} is not answered in these hours: give it a target that "
                      "answers then", _example(
                          graph, [], way, at, "the call ends" if last is None
                          else graph.names[last], number.removeprefix("number ")),
                      tuple(edge.source for edge in way), _in_words(graph, left))


def _certain_way(graph: Graph, node: Node, moment: Moments) -> list[Edge]:
    way: list[Edge] = []
    seen: set[Node] = set()
    at: Node | None = node
    while at is not None and at not in seen:
        seen.add(at)
        edge = next((edge for edge in graph.ways.get(at, ()) if edge.moments & moment
                     and edge.sure == Sure.CERTAIN and not edge.waits), None)
        if edge is None:
            break
        way.append(edge)
        at = edge.target
    return way


def _past(graph: Graph) -> Iterator[Finding]:
    for id_, schedule in graph.schedules.items():
        if _is_past(graph, id_):
            yield Finding("schedule_past", "schedule", id_, "rules",
                          f"all dates of schedule {schedule.name} are over",
                          rows=(("schedule", id_),))


def _is_past(graph: Graph, id_: int) -> bool:
    """Whether it is a temporary schedule, and over."""
    today = datetime.datetime.fromtimestamp(
        graph.year.start, ZoneInfo(graph.schedules[id_].time_zone)).date().isoformat()
    dates = [rule.to_date or "" for rule in graph.schedules[id_].rules if rule.kind == "dates"]
    return bool(dates) and max(dates) < today


def _was_temporary(graph: Graph, queue: Queue) -> bool:
    return any(_is_past(graph, id_) for id_ in _schedules_of(graph, queue))


def _open_by_rule(graph: Graph, schedule: Schedule) -> bool:
    return bool(Year([replace(schedule, state="auto")], graph.year.start).open(schedule.id))


def _example(graph: Graph, way: list[Edge], then: Iterable[Edge], at: int, to: str,
             dialled: str | None = None) -> Example:
    edges = [*way, *then]
    if dialled is None:
        first = edges[0].source if edges else None
        dialled = next((text for text, node in graph.entries if node == first), "")
    local = datetime.datetime.fromtimestamp(at, ZoneInfo(graph.company.time_zone))
    return Example(dialled, local.isoformat(timespec="minutes"), at, tuple(
        Step(edge.source[0], edge.source[1], edge.field, edge.when, graph.says(edge))
        for edge in edges), to)


def _in_words(graph: Graph, moments: Moments) -> tuple[str, ...]:
    year = graph.year
    if moments == year.always:
        return ("always",)
    return tuple(in_words(year.stretches(moments), graph.company.time_zone, year.start, year.end))
