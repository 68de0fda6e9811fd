"""Figures in the embedded store: sums of quarters of an hour, hours and days, by what they are
about, and how far they have been counted. See port.py."""

import sqlite3
from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

from store.transactions import writing

#: What is counted together; hours and days of UTC are for long periods.
QUARTER_MS: Final = 900_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
SPANS_MS: Final = (QUARTER_MS, HOUR_MS, DAY_MS)
FigureKind = Literal["queue", "agent", "company", "number", "group", "user"]


class FigureRow(Struct, frozen=True, kw_only=True):
    """What is counted of a subject in a quarter of an hour, an hour or a day, as JSON. span_ms: one
    of SPANS_MS; at_ms: its beginning."""

    tenant: int
    kind: FigureKind
    subject: int
    span_ms: int
    at_ms: int
    data: bytes


class FigureRows:
    """A part of SqliteStore, with its connection."""

    _db: sqlite3.Connection

    def figures(self, tenant: int, kind: FigureKind, subject: int, span_ms: int, from_ms: int,
                to_ms: int) -> list[tuple[int, bytes]]:
        return self._db.execute(
            "SELECT at_ms, data FROM figure WHERE tenant = ? AND kind = ? AND subject = ? "
            "AND span_ms = ? AND at_ms >= ? AND at_ms < ?",
            (tenant, kind, subject, span_ms, from_ms, to_ms)).fetchall()

    def figure_subjects(self, tenant: int, kind: FigureKind) -> list[int]:
        return [subject for subject, in self._db.execute("""
WITH RECURSIVE one (subject) AS (
    SELECT min(subject) FROM figure WHERE tenant = ?1 AND kind = ?2
    UNION ALL SELECT (SELECT min(subject) FROM figure WHERE tenant = ?1 AND kind = ?2
                      AND subject > one.subject) FROM one WHERE one.subject IS NOT NULL)
SELECT subject FROM one WHERE subject IS NOT NULL""", (tenant, kind))]

    def set_figures(self, rows: Iterable[FigureRow]) -> None:
        with writing(self._db):
            self._db.executemany(
                "INSERT OR REPLACE INTO figure VALUES (?, ?, ?, ?, ?, ?)",
                [(row.tenant, row.kind, row.subject, row.span_ms, row.at_ms, row.data)
                 for row in rows])

    def remove_figures(self, tenant: int, kind: FigureKind, span_ms: int, at_ms: int) -> list[int]:
        return [subject for subject, in self._db.execute(
            "DELETE FROM figure WHERE tenant = ? AND at_ms = ? AND span_ms = ? AND kind = ? "
            "RETURNING subject", (tenant, at_ms, span_ms, kind)).fetchall()]

    def remove_figure(self, tenant: int, kind: FigureKind, subject: int, span_ms: int,
                      at_ms: int) -> None:
        self._db.execute("DELETE FROM figure WHERE tenant = ? AND kind = ? AND subject = ? "
                         "AND span_ms = ? AND at_ms = ?", (tenant, kind, subject, span_ms, at_ms))

    def figure_seq(self) -> int:
        found: int = self._db.execute(
            "SELECT ifnull(max(seq), 0) FROM figure_state WHERE tenant = 0").fetchone()[0]
        return found

    def figure_state(self, tenant: int) -> bytes | None:
        found = self._db.execute(
            "SELECT data FROM figure_state WHERE tenant = ?", (tenant,)).fetchone()
        return bytes(found[0]) if found else None

    def set_figure_state(self, tenant: int, seq: int, data: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO figure_state VALUES (?, ?, ?)",
                         (tenant, seq, data))

    def figures_due(self, tenant: int | None = None, from_ms: int = 0, to_ms: int = 1 << 62,
                    limit: int = 100) -> list[tuple[int, int, int]]:
        where, parameters = ("1", []) if tenant is None else (
            "tenant = ? AND at_ms >= ? AND at_ms < ?", [tenant, from_ms, to_ms])
        return self._db.execute(
            f"SELECT tenant, at_ms, changes FROM figure_due WHERE {where} "  # noqa: S608
            "ORDER BY tenant, at_ms LIMIT ?", (*parameters, limit)).fetchall()

    def set_figure_done(self, tenant: int, at_ms: int, changes: int) -> None:
        self._db.execute("DELETE FROM figure_due WHERE tenant = ? AND at_ms = ? AND changes = ?",
                         (tenant, at_ms, changes))

    def purge_figures(self, tenant: int, before_ms: int, limit: int = 10_000) -> int:
        return self._db.execute(
            "DELETE FROM figure WHERE (tenant, kind, subject, span_ms, at_ms) IN ("
            "SELECT tenant, kind, subject, span_ms, at_ms FROM figure INDEXED BY figure_at "
            "WHERE tenant = ? AND at_ms < ? LIMIT ?)", (tenant, before_ms, limit)).rowcount
