"""Whose a number is (N9): ranges that do not overlap, of numbers with as many digits."""

import sqlite3

from store.model import Allotment
from store.rows import columns_of, from_values

_COVERED = ("SELECT 1 FROM allotment WHERE tenant = number.tenant "
            "AND length(first) = length(e164) AND e164 BETWEEN first AND last")


class Allotments:
    """Of one connection."""

    _db: sqlite3.Connection

    def allotments_in(self, first: str, last: str) -> list[Allotment]:
        """The newest two at most that have one of these numbers or more, whosever they are."""
        rows = self._db.execute(
            f"SELECT {', '.join(columns_of('allotment'))} FROM allotment "  # noqa: S608
            "WHERE length(first) = length(?1) AND first <= ?2 AND last >= ?1 "
            "ORDER BY id DESC LIMIT 2", (first, last))
        return [row for row in (from_values("allotment", values) for values in rows)
                if isinstance(row, Allotment)]

    def number_without(self, tenant: int, first: str, last: str) -> str:
        """A number of the company between those that is not allotted to it; "" when there is none.
        """
        row = self._db.execute(
            "SELECT e164 FROM number WHERE tenant = ? AND length(e164) = length(?) "  # noqa: S608
            f"AND e164 BETWEEN ? AND ? AND NOT EXISTS ({_COVERED}) LIMIT 1",
            (tenant, first, first, last)).fetchone()
        return "" if row is None else str(row[0])
