"""Rows of the model as rows of the database, and back."""

import functools
import re
import sqlite3
from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Final, NamedTuple, get_args, get_origin

import msgspec

from store.errors import BrokenReference, Conflict, StillReferenced, StoreError
from store.model import TABLES, DeviceKind, NumberClass, Row, Target

#: Fields kept as bit masks: the bit is the position among the literal's values.
MASKS: Final[dict[str, tuple[str, ...]]] = {
    "barred": get_args(NumberClass), "operator_barred": get_args(NumberClass),
    "callback_classes": get_args(NumberClass),
    "device_kinds": get_args(DeviceKind),
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


class Column(NamedTuple):
    """A field as the database has it. kind: "plain", "flag", "mask", "json" or "target"; type: of
    what JSON holds."""

    name: str
    kind: str
    type: Any


@functools.cache
def plan_of(table: str) -> tuple[Column, ...]:
    """The fields of a table."""
    found = []
    for one in msgspec.structs.fields(TABLES[table]):
        kind = "target" if _is_target(one.type) else "mask" if one.name in MASKS else \
            "json" if one.name in _JSON_FIELDS else "flag" if _is_flag(one.type) else "plain"
        found.append(Column(one.name, kind, one.type))
    return tuple(found)


def _is_flag(annotation: Any) -> bool:
    return annotation is bool or (
        get_origin(annotation) is Annotated and get_args(annotation)[0] is bool)


def _values(column: Column, value: Any) -> list[Any]:
    """What the columns of a field hold."""
    match column.kind:
        case "target":
            return [None] * 4 if value is None else [
                value.kind, value.user, value.group, _text(value)]
        case "mask":
            return [sum(1 << MASKS[column.name].index(item) for item in set(value))]
        case "json":
            return [None if value is None else encode(value).decode()]
        case "flag":
            return [int(value)]
    return [value]


def to_values(row: Row, table: str) -> list[Any]:
    """What the columns of the row's table hold of it."""
    return [value for column in plan_of(table)
            for value in _values(column, getattr(row, column.name))]


def differing(row: Row, before: Row, table: str) -> tuple[list[str], list[Any]]:
    """(columns, values) of the fields that are not as they were."""
    names: list[str] = []
    values: list[Any] = []
    for column in plan_of(table):
        value = getattr(row, column.name)
        if value != getattr(before, column.name):
            names += [f"{column.name}_{part}" for part in _PARTS] \
                if column.kind == "target" else [column.name]
            values += _values(column, value)
    return names, values


def _target(kind: str, user: int | None, group: int | None, text: str | None) -> Target:
    if kind == "service":
        return Target(kind="service", service=int(text) if text else None)
    return Target(kind=kind, user=user, group=group, text=text)  # type: ignore[arg-type]


def from_values(table: str, values: Sequence[Any]) -> Row:
    """The row that these values of columns_of() are. They were checked when they were written."""
    found: dict[str, Any] = {}
    at = 0
    for name, kind, type_ in plan_of(table):
        value = values[at]
        at += 1
        if kind == "target":
            value = None if value is None else _target(*values[at - 1:at + 3])
            at += 3
        elif kind == "flag":
            value = bool(value)
        elif kind == "mask":
            value = tuple(item for bit, item in enumerate(MASKS[name]) if value >> bit & 1)
        elif kind == "json" and value is not None:
            value = msgspec.json.decode(value, type=type_)
        found[name] = value
    return TABLES[table](**found)


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
