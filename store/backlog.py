"""What waits to be done, counted; for health and metrics."""

import sqlite3
from typing import Final, NamedTuple

#: More than this is not counted: the answer then says so many.
MAX_COUNTED: Final = 20_000


class Waiting(NamedTuple):
    """Deliveries of one kind that are not done. tried: at least once, in vain."""

    kind: str
    tried: bool
    number: int
    due_ms: int


class Backlog:
    """Reads of SqliteStore."""

    _db: sqlite3.Connection

    def waiting_deliveries(self) -> list[Waiting]:
        """By kind; due_ms: when the first of them is to be sent."""
        return [Waiting(kind, bool(tried), count, due_ms) for kind, tried, count, due_ms
                in self._db.execute(
                    "SELECT kind, tries > 0, count(*), min(next_ms) FROM ("
                    "SELECT kind, tries, next_ms FROM delivery WHERE done_ms = 0 "
                    "ORDER BY next_ms LIMIT ?) GROUP BY 1, 2", (MAX_COUNTED,))]
