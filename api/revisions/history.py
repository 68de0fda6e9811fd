"""Differences between configurations, and going back to an earlier one."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from api.config.placing import place
from api.config.routes import shown
from api.config.shapes import HIDDEN
from api.http.errors import Problem
from api.revisions.shapes import RowDiff
from store.model import TABLES, Change, Row
from store.sqlite import SqliteWriter

#: (table, id, before, after)
RowChange = tuple[str, int, Any, Any]
#: What going back does not touch: who may sign in, and with what secrets.
FIXED = frozenset({"api_key", "account", "provider", "webhook"})


def net(changes: Iterable[Change]) -> dict[tuple[str, int], tuple[Any, Any]]:
    """{(table, id): (before the first, after the last)} of changes in order."""
    found: dict[tuple[str, int], tuple[Any, Any]] = {}
    for change in changes:
        key = change.table, change.id
        before = found[key][0] if key in found else change.before
        found[key] = before, change.after
    return {key: both for key, both in found.items() if both[0] != both[1]}


def plain(table: str, fields: Any) -> Any:
    """A row, or what was kept of one, in the one form in which two can be compared: as JSON has it,
    with what newer fields are when nothing is said of them."""
    row = fields if isinstance(fields, msgspec.Struct) else row_of(table, fields)
    return None if row is None else msgspec.json.decode(msgspec.json.encode(row))


def row_of(table: str, fields: Any) -> Row | None:
    """A row that was kept."""
    return None if fields is None else msgspec.convert(fields, TABLES[table])


def difference(table: str, id_: int, before: Any, after: Any) -> RowDiff:
    """As it is shown: without secrets; a secret that changed is named."""
    names = sorted({name for one in (before, after) if one for name in one})
    return RowDiff(table=table, id=id_, before=_told(table, before), after=_told(table, after),
                   fields=[name for name in names if not before or not after
                           or before.get(name) != after.get(name)])


def _told(table: str, fields: Any) -> Any:
    """A row, with "hidden" in place of its secrets."""
    if fields is None:
        return None
    return shown(table, msgspec.convert(fields, TABLES[table])) | {
        name: "hidden" for name in HIDDEN.get(table, ()) if fields.get(name)}


def between(revisions: Iterable[Any], tenant: int | None) -> Iterator[RowChange]:
    """What differs over those revisions, of a company's rows."""
    changes = (change for revision in revisions for change in revision.changes)
    for (table, id_), (before, after) in sorted(net(changes).items()):
        if tenant is None or of(table, id_, before, after) == tenant:
            yield table, id_, before, after


def of(table: str, id_: int, before: Any, after: Any) -> int | None:
    """The company that a row belongs to."""
    if table == "tenant":
        return id_
    found: int | None = (after or before).get("tenant")
    return found


def put_back(writer: SqliteWriter, wanted: list[tuple[str, int, Any, Any]]) -> list[RowDiff]:
    """Make rows what they were: (table, id, as it is, as it was)."""
    rows = [one for one in wanted if one[0] not in FIXED]
    place(writer, [(table, row_of(table, now), row_of(table, then))
                   for table, _, now, then in rows])
    return [difference(*one) for one in rows]


def undo(writer: SqliteWriter, changes: Iterable[RowChange]) -> list[RowDiff]:
    """Undo what some changes did, where nothing else was done to the same fields since."""
    wanted = []
    for table, id_, before, after in changes:
        found = writer.find(table, limit=1, id=id_)
        now = plain(table, found[0]) if found else None
        before, after = plain(table, before), plain(table, after)
        if now == before:
            continue
        if (now is None) != (after is None):
            raise Problem(409, "conflict", f"{table} {id_} was "
                          + ("deleted" if now is None else "made again") + " since")
        then = before
        if now is not None and before is not None:
            then = dict(now)
            for name in {*before, *after}:
                if before.get(name) == after.get(name):
                    continue
                if now.get(name) != after.get(name):
                    raise Problem(409, "conflict",
                                  f"{name} of {table} {id_} was changed again since", name)
                then[name] = before.get(name)
        elif now is not None and now != after:
            raise Problem(409, "conflict", f"{table} {id_} was changed since it was made")
        wanted.append((table, id_, now, then))
    return put_back(writer, wanted)
