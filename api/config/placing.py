"""Many rows at once, that may name each other: made, changed and deleted in an order in which the
store never sees a reference to nothing."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from api.config.checks import check, check_deleted
from store import BrokenReference, Conflict, StillReferenced
from store.model import AgentMenu, Row, Service, Target
from store.rows import REFERENCES, fields_of
from store.sqlite import SqliteWriter

#: References first: rows are made in this order, and deleted in the other one.
ORDER: Final = (
    "area", "plan", "tenant", "allotment", "user", "prompt", "activity", "schedule", "ring_group",
    "trunk", "service", "device", "number", "forward", "caller_rule", "member", "queue_member",
    "route", "api_key", "account", "provider", "contact", "webhook")
_POSITION: Final = {table: i for i, table in enumerate(ORDER)}


def bare(row: Row, table: str) -> Row:
    """The row without what it may do without: for a moment, until what it names is there, and
    nobody else has its extension."""
    if isinstance(row, Service):
        return msgspec.structs.replace(row, settings=AgentMenu(), extension=None)
    out: dict[str, Any] = {"extension": None} if hasattr(row, "extension") else {}
    for name, target in fields_of(table):
        value = getattr(row, name)
        if name != "tenant" and (target or name in REFERENCES) and value is not None \
                and (table, name) not in _NEEDED:
            out[name] = Target(kind="busy") if (table, name) == ("forward", "target") else None
    return msgspec.structs.replace(row, **out)


#: References that a row cannot do without: the order takes care of them.
_NEEDED: Final = frozenset({
    ("device", "user"), ("forward", "user"), ("caller_rule", "user"), ("member", "user"),
    ("member", "ring_group"), ("queue_member", "user"), ("queue_member", "service"),
    ("route", "trunk")})


def place(writer: SqliteWriter, rows: Iterable[tuple[str, Row | None, Row | None]]) -> None:
    """Each (table, as it is, as it is to be): None is not there. Each is checked as if it were
    changed alone, when all are there."""
    made, gone = [], []
    for table, now, then in rows:
        if then is not None:
            made.append((_POSITION[table], then.id, table, now, then))
        elif now is not None:
            gone.append((-_POSITION[table], now.id, table, now))
    made.sort(key=lambda one: one[:2])
    kept = []
    for _, id_, table, _ in sorted(gone, key=lambda one: one[:2]):
        try:
            writer.delete(table, id_)
        except StillReferenced:
            kept.append((table, id_))  # by what will be changed or deleted below
    late = []
    for _, _, table, now, then in made:
        put = writer.create if now is None else writer.replace
        try:
            put(then)
        except (BrokenReference, Conflict):
            put(bare(then, table))
            late.append(then)
    for then in late:
        writer.replace(then)
    for table, id_ in kept:
        writer.at = table, id_
        writer.delete(table, id_)
    for _, id_, table, now, then in made:
        writer.at = table, id_
        check(table, then, writer, now)
    for _, id_, table, now in gone:
        writer.at = table, id_
        check_deleted(table, now, writer)
