"""The configuration in a private store, where it can be changed and compiled without anybody else
noticing."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlite_utils import Database

from api.publish.publisher import compile_base
from routing_core import Live, Snapshot, mapping
from routing_core.live import format_live, live_size
from store import SqliteStore
from store.migrations import migrations
from store.model import TABLES, Row
from store.rows import columns_of, to_values

#: What neither the kernel nor the queues read, and what holds secrets.
LEFT_OUT: Final = frozenset({"api_key", "account", "provider", "contact", "webhook"})
COPIED: Final = tuple(table for table in TABLES if table not in LEFT_OUT)
_LINK_COLUMNS: Final = "tenant, owner, field, user, ring_group, service, prompt, schedule"
#: Calls that are in progress at once while a single decision is made: of those who were seen busy.
_SLOTS: Final = 256


def read_only(database: Path) -> str:
    """The URI by which SQLite opens a store without ever writing to it."""
    return f"file:{quote(str(database))}?mode=ro"


class Copy:
    """A private store in a folder of its own. database: the real one, which is only read."""

    def __init__(self, database: Path, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self._path = folder / "copy.db"
        with self._bulk() as db:
            migrations.apply(Database(db))
            db.execute("ATTACH ? AS real", (read_only(database),))
            db.execute("BEGIN")
            for table in COPIED:
                names = ", ".join(columns_of(table))
                db.execute(f"INSERT INTO main.{table} ({names}) "  # noqa: S608
                           f"SELECT {names} FROM real.{table}")
            db.execute(f"INSERT INTO main.service_link ({_LINK_COLUMNS}) "  # noqa: S608
                       f"SELECT {_LINK_COLUMNS} FROM real.service_link")
            self.revision: int = db.execute(
                "SELECT ifnull(max(id), 0) FROM real.revision").fetchone()[0]
            db.execute("COMMIT")
        self.store = SqliteStore(self._path)

    @contextlib.contextmanager
    def _bulk(self) -> Iterator[sqlite3.Connection]:
        """A connection that writes without looking at references or waiting for the disk."""
        with contextlib.closing(sqlite3.connect(
                f"file:{quote(str(self._path))}", uri=True, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = OFF")
            yield db

    def put_back(self, tenant: int, then: dict[str, dict[int, Row]]) -> None:
        """The company's rows are these again; other companies' stay as they are."""
        with self._bulk() as db:
            db.execute("BEGIN")
            for table in COPIED:
                if table == "tenant":
                    rows = [row for row in then[table].values() if row.id == tenant]
                elif "tenant" in columns_of(table) and table not in ("trunk", "route"):
                    db.execute(f"DELETE FROM {table} WHERE tenant = ?", (tenant,))  # noqa: S608
                    rows = [row for row in then[table].values()
                            if getattr(row, "tenant", None) == tenant]
                else:
                    continue
                names = columns_of(table)
                db.executemany(
                    f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) "  # noqa: S608
                    f"VALUES ({', '.join('?' * len(names))})",
                    [to_values(row, table) for row in rows])
            db.execute("COMMIT")

    def snapshot(self) -> Snapshot:
        """A base of what the store says now."""
        generation, _ = compile_base(self.store, self.folder)
        return mapping.open_snapshot(self.folder, generation)

    def live(self) -> Live:
        """An empty live state with room for everybody."""
        users, members, trunks = (
            1 + next(iter(self.store.select(table, ("ifnull(max(id), 0)",))))[0]
            for table in ("user", "member", "trunk"))
        buffer = bytearray(live_size(users, members, trunks, _SLOTS))
        format_live(buffer, users, members, trunks, _SLOTS, 1)
        return Live(buffer)

    def close(self) -> None:
        """Give the connection back."""
        self.store.close()
