"""What a queue, a way into it and its members must be, beyond what their structs say."""

from collections.abc import Iterable
from typing import Any

import msgspec

from api.http.errors import invalid
from store.links import targets_of
from store.model import Queue, QueueEntry, QueueMember, Service, Skill, Tenant
from store.sqlite import SqliteWriter

MAX_MEMBERS, MAX_QUEUES, MAX_SKILLS = 10_000, 64, 12
_ALL = 1 << 31
_skills = msgspec.json.Decoder(tuple[Skill, ...])


def check(row: Service, queue: Queue, writer: SqliteWriter) -> None:
    """Raise the Problem that a queue, just written, has."""
    for name in ("rush_length", "rush_wait_s", "rush_estimate_s"):
        marks = getattr(queue.overflow, name)
        if marks is not None and marks.high <= marks.low:
            raise invalid(f"settings.overflow.{name}.high", "it is to be above the low mark")
    for field, target in targets_of(queue):
        if target.service == row.id:
            raise invalid(f"{field}.service", "this leads back to the same queue")
    keys: set[str] = set()
    for i, choice in enumerate(queue.keys):
        if choice.key in keys:
            raise invalid(f"settings.keys[{i}].key", f"the key {choice.key} is there already")
        keys.add(choice.key)
    if queue.callback is not None and queue.callback.key in keys:
        raise invalid("settings.callback.key", f"the key {queue.callback.key} is there already")
    if queue.overflow.pauses_present:
        tenant: Any = writer.get("tenant", row.tenant)
        for i, reason in enumerate(queue.overflow.pauses_present):
            if reason not in tenant.pause_reasons:
                raise invalid(f"settings.overflow.pauses_present[{i}]",
                              f"{reason!r} is none of the company's pause_reasons")


def check_entry(row: Service, entry: QueueEntry, writer: SqliteWriter) -> None:
    """Raise the Problem that a way into a queue, just written, has."""
    _named_queue("settings.queue", entry.queue, writer)
    _named_once("settings.skills", entry.skills)
    after_s = 0
    for i, step in enumerate(entry.relaxations):
        if step.after_s <= after_s:
            raise invalid(f"settings.relaxations[{i}].after_s", "it comes after the step before it")
        after_s = step.after_s
        _named_once(f"settings.relaxations[{i}].skills", step.skills)
    _few_skills("settings.skills", entry.queue, row.tenant, writer)


def check_member(row: QueueMember, writer: SqliteWriter) -> None:
    """Raise the Problem that a member of a queue, just written, has."""
    _named_queue("service", row.service, writer)
    if not row.device_kinds:
        raise invalid("device_kinds", "no telephone of the member would ring")
    if writer.noted(("members", row.service), lambda: _count(
            writer.select("queue_member", ("id",), service=row.service))) > MAX_MEMBERS:
        raise invalid("service", f"a queue has at most {MAX_MEMBERS} members")
    if _count(writer.select("queue_member", ("id",), user=row.user)) > MAX_QUEUES:
        raise invalid("user", f"a user is in at most {MAX_QUEUES} queues")
    if row.skills:
        _named_once("skills", row.skills)
        _few_skills("skills", row.service, row.tenant, writer)


def check_replaced(before: Service, row: Service, writer: SqliteWriter) -> None:
    """A queue stays one while it has members or ways in."""
    if isinstance(row.settings, Queue) or not isinstance(before.settings, Queue):
        return
    for pointer in writer.pointing_at("service", row.id, _ALL):
        if pointer.table == "queue_member" or pointer.field == "settings.queue":
            raise invalid("settings.type", f"it stays a queue for {pointer}")


def check_pauses(row: Tenant, writer: SqliteWriter) -> None:
    """Raise the Problem that a company's reasons for a pause have."""
    if len(set(row.pause_reasons)) != len(row.pause_reasons):
        raise invalid("pause_reasons", "a reason is named twice")
    for service in _services(row.id, "queue", writer):
        for reason in service.settings.overflow.pauses_present:
            if reason not in row.pause_reasons:
                raise invalid("pause_reasons", f"the queue {service.name!r} counts the pause "
                              f"{reason!r} as being there")


def _named_queue(field: str, id_: int, writer: SqliteWriter) -> None:
    row: Any = writer.get("service", id_)
    if not isinstance(row.settings, Queue):
        raise invalid(field, f"the service {id_} is not a queue")


def _named_once(field: str, skills: Iterable[Skill]) -> None:
    names: set[str] = set()
    for i, skill in enumerate(skills):
        if skill.name in names:
            raise invalid(f"{field}[{i}].name", f"{skill.name} is there already")
        names.add(skill.name)


def _few_skills(field: str, queue: int, tenant: int, writer: SqliteWriter) -> None:
    """The members of a queue and the ways into it know few different skills."""
    names = writer.noted(("member skills", queue), lambda: {
        skill.name for text in {text for text, in writer.select(
            "queue_member", ("skills",), service=queue)} for skill in _skills.decode(text)})
    names = names | writer.noted(("entry skills", tenant), lambda: _asked_skills(
        tenant, writer)).get(queue, set())
    if len(names) > MAX_SKILLS:
        raise invalid(field, f"a queue knows at most {MAX_SKILLS} skills, this would be one too "
                      "many: " + ", ".join(sorted(names)))


def _asked_skills(tenant: int, writer: SqliteWriter) -> dict[int, set[str]]:
    """{queue: the skills that the ways into it name}"""
    found: dict[int, set[str]] = {}
    for service in _services(tenant, "queue_entry", writer):
        entry = service.settings
        for skills in (entry.skills, *(step.skills for step in entry.relaxations)):
            found.setdefault(entry.queue, set()).update(skill.name for skill in skills)
    return found


def _services(tenant: int, kind: str, writer: SqliteWriter) -> list[Any]:
    return list(writer.find("service", tenant=tenant, kind=kind, limit=_ALL))


def _count(rows: Iterable[object]) -> int:
    return sum(1 for _ in rows)
