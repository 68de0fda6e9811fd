"""What was recorded of a company in a period, read in pages so that nobody waits for it."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from api.whatif.copies import read_only
from api.whatif.then import Facts
from store.model import Event

PAGE: Final = 5000
#: A number that no id is greater than.
_LAST: Final = (1 << 63) - 1


class Recorded(NamedTuple):
    """A call record, as far as it matters. decisions: text."""

    row: int
    uid: str
    started_ms: int
    answered_ms: int
    ended_ms: int
    caller: str
    called: str
    caller_user: int | None
    answerer: int | None
    conversation: str
    decisions: str


#: The facts of a call's decisions, and "cut" where some are missing.
facts_of: Final = msgspec.json.Decoder(list[Facts | str] | None).decode


class Past:
    """Of one company, from a connection that cannot write."""

    def __init__(self, database: Path, tenant: int) -> None:
        self.tenant = tenant
        self._db = sqlite3.connect(read_only(database), uri=True, isolation_level=None)

    def close(self) -> None:
        """Give the connection back."""
        self._db.close()

    def count(self, begin_ms: int, end_ms: int) -> int:
        """How many call records there are of that time, legs included."""
        found: int = self._db.execute(
            "SELECT count(*) FROM call_record WHERE tenant = ? AND started_ms >= ? "
            "AND started_ms < ?", (self.tenant, begin_ms, end_ms)).fetchone()[0]
        return found

    def oldest(self) -> tuple[int, int]:
        """When the first call that is kept began, and the first event happened; 0: there is
        none."""
        calls = self._db.execute("SELECT ifnull(min(started_ms), 0) FROM call_record "
                                 "WHERE tenant = ?", (self.tenant,)).fetchone()[0]
        events = self._db.execute("SELECT at_ms FROM event WHERE tenant = ? ORDER BY seq LIMIT 1",
                                  (self.tenant,)).fetchone()
        return calls, events[0] if events else 0

    def calls(self, begin_ms: int, end_ms: int) -> Iterator[list[Recorded]]:
        """Pages of call records, by time."""
        at_ms, row = begin_ms, 0
        while True:
            page = [Recorded._make(values) for values in self._db.execute(
                "SELECT rowid, uid, started_ms, answered_ms, ended_ms, caller, called, "
                "caller_user, answerer, conversation, decisions FROM call_record "
                "WHERE tenant = ? AND started_ms >= ? AND started_ms < ? "
                "AND (started_ms, rowid) > (?, ?) ORDER BY started_ms, rowid LIMIT ?",
                (self.tenant, at_ms, end_ms, at_ms, row, PAGE))]
            yield page
            if len(page) < PAGE:
                return
            at_ms, row = page[-1].started_ms, page[-1].row

    def events(self, kinds: tuple[str, ...], end_ms: int) -> Iterator[Event]:
        """Those of these kinds that are kept, until then, in order."""
        after = 0
        marks = ", ".join("?" * len(kinds))
        while True:
            page = self._db.execute(
                "SELECT seq, at_ms, kind, call, data FROM event WHERE tenant = ? AND seq > ? "  # noqa: S608
                f"AND kind IN ({marks}) ORDER BY seq LIMIT ?",
                (self.tenant, after, *kinds, PAGE)).fetchall()
            for seq, at_ms, kind, call, text in page:
                if at_ms < end_ms:
                    data: Any = msgspec.json.decode(text)
                    yield Event(seq=seq, tenant=self.tenant, at_ms=at_ms, kind=kind, call=call,
                                data=data)
            if len(page) < PAGE or page[-1][1] >= end_ms + 3_600_000:
                return
            after = page[-1][0]


@contextlib.contextmanager
def past(database: Path, tenant: int) -> Iterator[Past]:
    """with past(...) as found: ..."""
    found = Past(database, tenant)
    try:
        yield found
    finally:
        found.close()
