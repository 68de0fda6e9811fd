"""Rows of the model as rows of the database, and back."""

import functools
import re
import sqlite3
from collections.abc import Sequence
from types import UnionType
from typing import Any, Final, get_args, get_origin

import msgspec

from store.errors import BrokenReference, Conflict, StillReferenced, StoreError
from store.model import TABLES, DeviceKind, NumberClass, Row, Target

#: Fields kept as bit masks: the bit is the position among the literal's values.
MASKS: Final[dict[str, tuple[str, ...]]] = {
    "barred": get_args(NumberClass), "device_kinds": get_args(DeviceKind),
}
#: Fields that hold the id of a row of the table of that name; hold_music: of a prompt.
REFERENCES: Final = frozenset({"tenant", "user", "ring_group", "service", "activity", "schedule",
                               "trunk", "area", "hold_music", "plan"})
_JSON_FIELDS: Final = ("rules", "sources", "settings", "skills", "pause_reasons",
                       "functions", "profiles", "scopes", "queues", "numbers", "kinds")
_PARTS: Final = ("kind", "user", "group", "text")
encode: Final = msgspec.json.Encoder().encode


def _is_target(annotation: Any) -> bool:
    return annotation is Target or (
        get_origin(annotation) is UnionType and Target in get_args(annotation))


@functools.cache
def fields_of(table: str) -> tuple[tuple[str, bool], ...]:
    """((field, whether it is a Target), ...) of a table."""
    struct = TABLES[table]
    return tuple((field.name, _is_target(field.type))
                 for field in msgspec.structs.fields(struct))


@functools.cache
def columns_of(table: str) -> tuple[str, ...]:
    """The database's columns of a table, in the order of its fields."""
    names: list[str] = []
    for name, target in fields_of(table):
        names += [f"{name}_{part}" for part in _PARTS] if target else [name]
    return tuple(names)


def _text(target: Target) -> str | None:
    if target.kind == "service":
        return None if target.service is None else str(target.service)
    return target.text


def to_values(row: Row, table: str) -> list[Any]:
    """What the columns of the row's table hold of it."""
    values: list[Any] = []
    for name, target in fields_of(table):
        value = getattr(row, name)
        if target:
            values += [None] * 4 if value is None else [
                value.kind, value.user, value.group, _text(value)]
        elif name in MASKS:
            values.append(sum(1 << MASKS[name].index(item) for item in set(value)))
        elif name in _JSON_FIELDS:
            values.append(None if value is None else encode(value).decode())
        else:
            values.append(int(value) if value is True or value is False else value)
    return values


def _target(kind: str, user: int | None, group: int | None, text: str | None) -> dict[str, Any]:
    if kind == "service":
        return {"kind": kind, "service": int(text) if text else None}
    return {"kind": kind, "user": user, "group": group, "text": text}


def from_values(table: str, values: Sequence[Any]) -> Row:
    """The row that these values of columns_of() are."""
    found: dict[str, Any] = {}
    at = 0
    for name, target in fields_of(table):
        if target:
            found[name] = None if values[at] is None else _target(*values[at:at + 4])
            at += 4
            continue
        value = values[at]
        at += 1
        if name in MASKS:
            value = [item for bit, item in enumerate(MASKS[name]) if value >> bit & 1]
        elif name in _JSON_FIELDS:
            value = None if value is None else msgspec.json.decode(value)
        found[name] = value
    return msgspec.convert(found, TABLES[table], strict=False)


def row_values(table: str, rows: list[Row], columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Rows in memory as select() would give these columns of them."""
    names = columns_of(table)
    wanted = [names.index(column) for column in columns]
    return [tuple(values[i] for i in wanted) for values in (to_values(r, table) for r in rows)]


def table_of(row: Row) -> str:
    """The table that a row belongs to."""
    return next(name for name, struct in TABLES.items() if type(row) is struct)


def refusal(error: sqlite3.IntegrityError, table: str, deleting: bool) -> StoreError:
    """What the database refused, in our words."""
    text = str(error)
    if "index 'forward_event'" in text:
        return Conflict("the user has a forwarding for this event already", "event")
    if "service.mailbox_user" in text:
        return Conflict("the user has a mailbox already", "settings.user")
    unique = re.search(r"UNIQUE constraint failed: (.*)", text)
    if unique:
        field = unique[1].split(",")[-1].split(".")[-1].strip()
        return Conflict(f"{table}: this {field} is taken", field)
    if "FOREIGN KEY" in text:
        if deleting:
            return StillReferenced(f"{table}: something still points at it")
        return BrokenReference(f"{table}: points at something that is not there")
    return StoreError(f"{table}: {text}")
