"""Changes that are to be made at a later time."""

import sqlite3
from typing import Any, Literal

from msgspec import Struct

from store.errors import Conflict, NotFound


class Planned(Struct, frozen=True, kw_only=True):
    """A write of configuration with its time. by: whose rights it has; error: why it failed;
    if_match: the ETag that what is changed must have then."""

    id: int = 0
    tenant: int | None
    at_ms: int
    by: str
    name: str
    method: str
    path: str
    body: str = ""
    created_ms: int
    state: Literal["waiting", "done", "failed", "cancelled"] = "waiting"
    done_ms: int = 0
    error: str = ""
    if_match: str | None = None


_NAMES = Planned.__struct_fields__
_COLUMNS = ", ".join(_NAMES)


class Plans:
    """Reads and writes of one connection; see port.Store."""

    _db: sqlite3.Connection

    def add_planned(self, **fields: Any) -> Planned:
        """Keep a change for its time."""
        made = Planned(**fields)
        cursor = self._db.execute(
            "INSERT INTO planned (tenant, at_ms, by, name, method, path, body, created_ms, state, "
            "if_match) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (made.tenant, made.at_ms, made.by, made.name, made.method, made.path, made.body,
             made.created_ms, made.state, made.if_match))
        return Planned(**{**fields, "id": cursor.lastrowid})

    def planned(self, id_: int) -> Planned:
        """NotFound."""
        found = self._planned("id = ?", id_)
        if not found:
            raise NotFound(f"no planned change {id_}")
        return found[0]

    def all_planned(self, tenant: int | None, *, state: str = "", after: int = 0,
                    limit: int = 100) -> list[Planned]:
        """By id; tenant None: everybody's."""
        return self._planned(
            "id > ? AND (?2 IS NULL OR tenant = ?2) AND (?3 = '' OR state = ?3) "
            "ORDER BY id LIMIT ?4", after, tenant, state, limit)

    def planned_waiting(self, tenant: int | None) -> int:
        """How many wait."""
        found: int = self._db.execute(
            "SELECT count(*) FROM planned WHERE state = 'waiting' AND tenant IS ?",
            (tenant,)).fetchone()[0]
        return found

    def due_planned(self, now_ms: int, limit: int = 20) -> list[Planned]:
        """Those whose time has come, in its order."""
        return self._planned("state = 'waiting' AND at_ms <= ? ORDER BY at_ms, id LIMIT ?",
                             now_ms, limit)

    def next_planned_ms(self) -> int | None:
        """When the next one is due."""
        found: int | None = self._db.execute(
            "SELECT min(at_ms) FROM planned WHERE state = 'waiting'").fetchone()[0]
        return found

    def end_planned(self, id_: int, state: str, at_ms: int, error: str = "") -> Planned:
        """It is done, has failed or is cancelled; Conflict when it does not wait any more."""
        done = self._db.execute(
            "UPDATE planned SET state = ?, done_ms = ?, error = ? "
            "WHERE id = ? AND state = 'waiting'",
            (state, at_ms, error[:500], id_))
        if not done.rowcount:
            raise Conflict("it does not wait any more")
        return self.planned(id_)

    def _planned(self, where: str, *parameters: Any) -> list[Planned]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM planned WHERE {where}",  # noqa: S608
                                parameters)
        return [Planned(**dict(zip(_NAMES, values, strict=True))) for values in rows]
