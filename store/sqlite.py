"""The embedded store: SQLite in WAL mode through sqlite-utils, every commit synced (FULL)."""

import functools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from sqlite_utils import Database

from store.accounts import Accounts
from store.allotments import Allotments
from store.answers import Answers
from store.backlog import Backlog
from store.calls import Calls
from store.directory import Directory, keep_words
from store.errors import BrokenReference, NewerStore, NotFound, StillReferenced, StoreError
from store.figures import FigureRows
from store.hooks import Hooks
from store.jobs import Jobs
from store.links import TARGET_TABLES, Pointer, links_of
from store.messages import Messages
from store.migrations import migrations
from store.model import (
    TABLES,
    Change,
    Presence,
    Revision,
    Row,
    Service,
)
from store.planned import Plans
from store.retention import Retention
from store.rows import (
    REFERENCES,
    columns_of,
    differing,
    encode,
    fields_of,
    from_values,
    refusal,
    table_of,
    to_values,
)
from store.transactions import writing
from store.versions import refuse_newer

#: How long a writer waits for another process's commit before StoreBusy.
BUSY_TIMEOUT_MS: Final = 5000
#: Prepared statements that are kept.
STATEMENTS: Final = 512

_T = TypeVar("_T")


class SqliteReader(Allotments):
    """Reads of one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def get(self, table: str, id_: int) -> Row:
        if not 0 < id_ < 1 << 62:
            raise NotFound(f"no {table} {id_}")
        columns = ", ".join(columns_of(table))
        values = self._db.execute(
            f"SELECT {columns} FROM {table} WHERE id = ?", (id_,)).fetchone()  # noqa: S608
        if values is None:
            raise NotFound(f"no {table} {id_}")
        return from_values(table, values)

    def find(self, table: str, *, after: int = 0, limit: int = 100, **equal: Any) -> list[Row]:
        where, parameters = _conditions(equal)
        rows = self._db.execute(
            f"SELECT {', '.join(columns_of(table))} FROM {table} "  # noqa: S608
            f"WHERE id > ?{where} ORDER BY id LIMIT ?", (after, *parameters, limit))
        return [from_values(table, values) for values in rows]

    def select(self, table: str, columns: Sequence[str], *, order: str = "id",
               **equal: Any) -> Iterable[tuple[Any, ...]]:
        where, parameters = _conditions(equal)
        return self._db.execute(
            f"SELECT {', '.join(columns)} FROM {table} WHERE 1{where} "  # noqa: S608
            f"ORDER BY {order}", parameters)

    def pointing_at(self, table: str, id_: int, limit: int = 5) -> list[Pointer]:
        found: list[Pointer] = []
        for other, column, field in _columns_to(table):
            name = "e164" if other == "number" else "id" if other == "forward" else \
                "name" if "name" in columns_of(other) else "id"
            rows = self._db.execute(
                f'SELECT id, {name} FROM {other} '  # noqa: S608
                f'WHERE "{column}" = ? LIMIT ?', (id_, limit))
            found += [Pointer(other, row, repr(text) if name == "name" else str(text), field)
                      for row, text in rows]
        if table in LINKED:
            found += [Pointer("service", row, repr(name), field) for row, name, field
                      in self._db.execute(
                          "SELECT service.id, name, field FROM service_link "  # noqa: S608
                          f"JOIN service ON service.id = owner WHERE service_link.{table} = ? "
                          "ORDER BY owner, field LIMIT ?", (id_, limit))]
        return found[:limit]

    def mailbox_of(self, user: int) -> Service | None:
        return next(iter(self._services("mailbox_user = ?", user)), None)

    def mailboxes_for(self, user: int) -> list[Service]:
        return self._services(
            "kind = 'mailbox' AND id IN (SELECT owner FROM service_link WHERE user = ? "
            "AND (field = 'settings.user' OR field LIKE 'settings.listeners[%'))", user)

    def _services(self, where: str, user: int) -> list[Service]:
        rows = self._db.execute(
            f"SELECT {', '.join(columns_of('service'))} FROM service "  # noqa: S608
            f"WHERE {where} ORDER BY mailbox_user IS ? DESC, id", (user, user))
        return [row for row in (from_values("service", values) for values in rows)
                if isinstance(row, Service)]


#: Tables that the settings of a service may name rows of.
LINKED: Final = ("user", "ring_group", "service", "prompt", "schedule")


@functools.cache
def _columns_to(table: str) -> tuple[tuple[str, str, str], ...]:
    """((table, column, field), ...): where a row of the table may be named."""
    found = []
    for other in TABLES:
        for name, target in fields_of(other):
            if target:
                found += [(other, f"{name}_{part}", name)
                          for part, to in TARGET_TABLES.items() if to == table]
            elif name in REFERENCES and ((name == "hold_music" and table == "prompt")
                                         or name == table):
                found.append((other, name, name))
    return tuple(found)


def _conditions(equal: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    where = "".join(f" AND {name} IS ?" for name in equal)
    return where, tuple(equal.values())


def _tenant_of(changes: Sequence[Change]) -> int | None:
    """The company whose rows all of them are."""
    found = {change.id if change.table == "tenant" else
             (change.after or change.before or {}).get("tenant") for change in changes}
    return found.pop() if len(found) == 1 else None


class SqliteWriter(SqliteReader):
    """A change under way; see port.Writer."""

    def __init__(self, connection: sqlite3.Connection, by: str = "") -> None:
        super().__init__(connection)
        self._by = by
        self.changes: list[Change] = []
        #: (table, id) of the row that was written last, for who has to say which one was refused.
        self.at = "", 0
        self._noted: tuple[int, dict[object, Any]] = 0, {}

    def noted(self, key: object, found: Callable[[], _T]) -> _T:
        """What found() returns, remembered under the key until the next write: what is asked for
        each of many rows is looked for once."""
        if self._noted[0] != len(self.changes):
            self._noted = len(self.changes), {}
        notes: dict[object, _T] = self._noted[1]
        if key not in notes:
            notes[key] = found()
        return notes[key]

    def create(self, row: Row) -> Row:
        table = table_of(row)
        self.at = table, row.id
        columns = columns_of(table)
        self._check_references(row, table)
        values = to_values(row, table)
        if not row.id:
            values[columns.index("id")] = None
        marks = ", ".join("?" * len(columns))
        cursor = self._run(table, f"INSERT INTO {table} ({', '.join(columns)}) "  # noqa: S608
                                  f"VALUES ({marks})", values)
        made = msgspec.structs.replace(row, id=cursor.lastrowid)
        self._link(made)
        keep_words(self._db, None, made)
        self.changes.append(Change(table=table, id=made.id, before=None,
                                   after=msgspec.to_builtins(made)))
        return made

    def next_id(self, table: str) -> int:
        """The id that the next new row gets."""
        found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?",
                                 (table,)).fetchone()
        return int(found[0]) + 1 if found else 1

    def replace(self, row: Row, before: Row | None = None) -> Row:
        table = table_of(row)
        self.at = table, row.id
        if before is None:
            before = self.get(table, row.id)
        self._check_references(row, table, before)
        names, values = differing(row, before, table)
        if names:
            sets = " = ?, ".join(names)
            self._run(table, f"UPDATE {table} SET {sets} = ? WHERE id = ?",  # noqa: S608
                      [*values, row.id])
        self._link(row)
        keep_words(self._db, before, row)
        self.changes.append(Change(table=table, id=row.id, before=msgspec.to_builtins(before),
                                   after=msgspec.to_builtins(row)))
        return row

    def delete(self, table: str, id_: int) -> None:
        before = self.get(table, id_)
        if isinstance(before, Service):
            self._db.execute("DELETE FROM service_link WHERE owner = ?", (id_,))
        try:
            self._run(table, f"DELETE FROM {table} WHERE id = ?", [id_],  # noqa: S608
                      deleting=True)
        except StillReferenced as error:
            by = ", ".join(map(str, self.pointing_at(table, id_)))
            raise StillReferenced(f"{error}: {by}" if by else str(error)) from error
        if isinstance(before, Service):
            self._db.execute("UPDATE voice_message SET state = 'deleted', deleted_by = ? "
                             "WHERE mailbox = ? AND state != 'deleted'", (self._by, id_))
            self._db.execute("DELETE FROM callback_request WHERE service = ?", (id_,))
        keep_words(self._db, before, None)
        self.changes.append(Change(table=table, id=id_, before=msgspec.to_builtins(before),
                                   after=None))

    def _check_references(self, row: Row, table: str, before: Row | None = None) -> None:
        # The database refuses a broken reference too, but does not say which field it is.
        tenant = row.id if table == "tenant" else getattr(row, "tenant", None)
        moved = before is None or getattr(before, "tenant", None) != getattr(row, "tenant", None)
        for field, target in fields_of(table):
            value = getattr(row, field)
            if not moved and value == getattr(before, field):
                continue
            if target and value is not None:
                for part, to in TARGET_TABLES.items():
                    self._check_reference(f"{field}.{part}", to, getattr(value, part), tenant)
            elif field in REFERENCES:
                to = "prompt" if field == "hold_music" else field
                self._check_reference(field, to, value, tenant)
        if isinstance(row, Service):
            for link in links_of(row.settings):
                self._check_reference(link.field, link.table, link.id, tenant)

    def _link(self, row: Row) -> None:
        """Keep what a service's settings name as references."""
        if not isinstance(row, Service):
            return
        self._db.execute("DELETE FROM service_link WHERE owner = ?", (row.id,))
        for link in links_of(row.settings):
            self._run(
                "service",
                f"INSERT INTO service_link (tenant, owner, field, {link.table}) "  # noqa: S608
                "VALUES (?, ?, ?, ?)", (row.tenant, row.id, link.field, link.id))

    def _check_reference(self, field: str, to: str, id_: int | None, tenant: int | None) -> None:
        if id_ is None:
            return
        owned = to not in ("tenant", "trunk", "area", "plan")
        equal: dict[str, Any] = {"id": id_} | ({"tenant": tenant} if owned else {})
        if not self.find(to, limit=1, **equal):
            raise BrokenReference(f"there is no {to.replace('ring_', '')} {id_}", field)

    def _run(self, table: str, statement: str, values: Sequence[Any],
             deleting: bool = False) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except sqlite3.IntegrityError as error:
            raise refusal(error, table, deleting) from error
        except OverflowError as error:
            raise StoreError(f"{table}: a number is too large") from error


class ReadTransaction:
    """Keeps a connection at one point in time; the connection must not write meanwhile."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._db.execute("BEGIN")

    def close(self) -> None:
        """Let the connection see what is new."""
        self._db.execute("COMMIT")


class SqliteStore(SqliteReader, Accounts, Messages, Calls, FigureRows, Backlog,
                  Answers, Plans, Jobs, Directory, Hooks, Retention):
    """See port.Store. One connection; use it from one thread."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False,
                                     cached_statements=STATEMENTS)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON",
                       f"busy_timeout = {BUSY_TIMEOUT_MS}"):
            connection.execute(f"PRAGMA {pragma}")
        super().__init__(connection)
        self._seen = {}
        if isinstance(path, Path) and path.exists():
            path.chmod(0o600)  # it holds device and trunk secrets
        try:
            refuse_newer(connection)
        except NewerStore:
            connection.close()
            raise

    def migrate(self) -> None:
        """Bring the tables to this version."""
        migrations.apply(Database(self._db))

    def close(self) -> None:
        self._db.close()

    def writing(self) -> AbstractContextManager[None]:
        """All that is written inside is kept, durably, or none of it; may be nested."""
        return writing(self._db)

    def writer(self) -> SqliteWriter:
        """For a change that is undone: its caller has begun to write and ends that."""
        return SqliteWriter(self._db)

    @property
    def in_transaction(self) -> bool:
        """Whether a change is under way; a full disk ends it."""
        return self._db.in_transaction

    def read_transaction(self) -> "ReadTransaction":
        """One view of the database for several reads, until it is closed."""
        return ReadTransaction(self._db)

    # -- configuration ------------------------------------------------------------------------

    def change(self, author: str, at_ms: int, note: str,
               work: Callable[[SqliteWriter], Any], by: str = "") -> Revision:
        writer = SqliteWriter(self._db, by or author)
        try:
            with writing(self._db):
                work(writer)
                tenant = _tenant_of(writer.changes)
                cursor = self._db.execute(
                    "INSERT INTO revision (author, at_ms, note, tenant, by) "
                    "VALUES (?, ?, ?, ?, ?)", (author, at_ms, note, tenant, by))
                revision = Revision(id=cursor.lastrowid or 0, author=author, at_ms=at_ms, by=by,
                                    note=note, tenant=tenant, changes=writer.changes)
                self._db.executemany(
                    "INSERT INTO change VALUES (?, ?, ?, ?, ?, ?)",
                    [(revision.id, position, change.table, change.id,
                      encode(change.before).decode() if change.before else None,
                      encode(change.after).decode() if change.after else None)
                     for position, change in enumerate(writer.changes)])
        except sqlite3.IntegrityError as error:
            raise refusal(error, "change", deleting=False) from error
        return revision

    def revision(self) -> int:
        found: int = self._db.execute("SELECT ifnull(max(id), 0) FROM revision").fetchone()[0]
        return found

    def revisions(self, *, after: int = 0, limit: int = 100,
                  tenant: int | None = None) -> list[Revision]:
        heads = self._db.execute(
            "SELECT id, author, at_ms, note, tenant, by FROM revision "
            "WHERE id > ? AND (?2 IS NULL OR tenant = ?2) ORDER BY id LIMIT ?",
            (after, tenant, limit)).fetchall()
        return [Revision(id=id_, author=author, at_ms=at_ms, note=note, tenant=of, by=by,
                         changes=self._changes("= ?", (id_,)))
                for id_, author, at_ms, note, of, by in heads]

    def revisions_between(self, after: int, until: int,
                          tenant: int | None) -> Iterator[Revision]:
        """Those after that one, up to and with the other one, that may be of a company."""
        heads = self._db.execute(
            "SELECT id, author, at_ms, note, tenant, by FROM revision WHERE id > ? AND id <= ? "
            "AND (?3 IS NULL OR tenant = ?3 OR tenant IS NULL) ORDER BY id",
            (after, until, tenant)).fetchall()
        for id_, author, at_ms, note, of, by in heads:
            yield Revision(id=id_, author=author, at_ms=at_ms, note=note, tenant=of, by=by,
                           changes=self._changes("= ?", (id_,)))

    def revision_of(self, id_: int) -> Revision:
        """NotFound."""
        found = self.revisions(after=id_ - 1, limit=1) if 0 < id_ < 1 << 62 else []
        if not found or found[0].id != id_:
            raise NotFound(f"no revision {id_}")
        return found[0]

    def _changes(self, which: str, parameters: tuple[int, ...],
                 order: str = "revision, position") -> list[Change]:
        rows = self._db.execute(
            "SELECT table_name, row_id, before, after FROM change "  # noqa: S608
            f"WHERE revision {which} ORDER BY {order}", parameters)
        return [Change(table=table, id=id_,
                       before=msgspec.json.decode(before) if before else None,
                       after=msgspec.json.decode(after) if after else None)
                for table, id_, before, after in rows]

    def revision_at(self, at_ms: int) -> int:
        found: int = self._db.execute(
            "SELECT ifnull(max(id), 0) FROM revision WHERE at_ms <= ?", (at_ms,)).fetchone()[0]
        return found

    def as_of(self, revision: int) -> dict[str, dict[int, Row]]:
        found: dict[str, dict[int, Row]] = {}
        for table in TABLES:
            rows = self._db.execute(
                f"SELECT {', '.join(columns_of(table))} FROM {table}")  # noqa: S608
            found[table] = {row.id: row for row in (from_values(table, v) for v in rows)}
        undo = self._changes("> ?", (revision,), "revision DESC, position DESC")
        for change in undo:
            if change.before is None:
                found[change.table].pop(change.id, None)
            else:
                found[change.table][change.id] = msgspec.convert(
                    change.before, TABLES[change.table])
        return found

    def rows_as_of(self, table: str, revision: int, tenant: int | None = None) -> list[Row]:
        """A table's rows, of a company, as they were after that revision, by id."""
        equal = {} if tenant is None or table == "tenant" else {"tenant": tenant}
        found = {row.id: row for row in self.find(table, limit=10_000_000, **equal)}
        for id_, before in self._undone(table, revision, tenant):
            if before is None:
                found.pop(id_, None)
            else:
                found[id_] = before
        return [found[id_] for id_ in sorted(found)
                if tenant is None or tenant == (
                    id_ if table == "tenant" else getattr(found[id_], "tenant", None))]

    def row_as_of(self, table: str, id_: int, revision: int) -> Row:
        """A row as it was after that revision; NotFound."""
        first = self._db.execute(
            "SELECT before FROM change WHERE table_name = ? AND row_id = ? AND revision > ? "
            "ORDER BY revision, position LIMIT 1", (table, id_, revision)).fetchone()
        if first is None:
            return self.get(table, id_)
        if first[0] is None:
            raise NotFound(f"no {table} {id_} then")
        return msgspec.json.decode(first[0], type=TABLES[table])

    def _undone(self, table: str, revision: int,
                tenant: int | None) -> Iterator[tuple[int, Row | None]]:
        """(id, what it was before), from the newest change back."""
        rows = self._db.execute(
            "SELECT row_id, before FROM change WHERE table_name = ?1 AND revision IN ("
            "SELECT id FROM revision WHERE id > ?2 AND (?3 IS NULL OR tenant IS ?3 "
            "OR tenant IS NULL)) ORDER BY revision DESC, position DESC", (table, revision, tenant))
        for id_, before in rows:
            yield id_, None if before is None else msgspec.json.decode(before, type=TABLES[table])

    # -- live state that survives -------------------------------------------------------------

    def set_presence(self, presence: Presence) -> None:
        try:
            self._db.execute(
                "INSERT OR REPLACE INTO presence VALUES (?, ?, ?, ?, ?, ?)",
                (presence.user, presence.activity, presence.until, presence.note,
                 presence.source, presence.changed_ms))
        except sqlite3.IntegrityError as error:
            raise refusal(error, "presence", deleting=False) from error

    def presence(self, user: int) -> Presence | None:
        """What the user does, as set; None: never set."""
        return next(self._presences("WHERE user = ?", (user,)), None)

    def presences(self) -> Iterator[Presence]:
        return self._presences("", ())

    def presences_over(self, now_s: int) -> list[tuple[int, Presence]]:
        """(tenant, what is over), a hundred at most: of companies whose people are available
        then."""
        found = self._presences(
            "WHERE until > 0 AND until <= ? AND user IN (SELECT user.id FROM user JOIN tenant "
            "ON tenant.id = user.tenant WHERE activity_end = 'available') LIMIT 100", (now_s,))
        return [(getattr(self.get("user", one.user), "tenant", 0), one) for one in list(found)]

    def _presences(self, where: str, parameters: tuple[int, ...]) -> Iterator[Presence]:
        for values in self._db.execute(
                "SELECT user, activity, until, note, source, changed_ms "  # noqa: S608
                f"FROM presence {where}", parameters):
            yield Presence(**dict(zip(
                ("user", "activity", "until", "note", "source", "changed_ms"), values,
                strict=True)))

    def set_login(self, member: int, logged_in: bool, changed_ms: int) -> None:
        try:
            self._db.execute("INSERT OR REPLACE INTO login VALUES (?, ?, ?)",
                             (member, int(logged_in), changed_ms))
        except sqlite3.IntegrityError as error:
            raise refusal(error, "login", deleting=False) from error

    def logins(self) -> Iterator[tuple[int, bool]]:
        for member, logged_in in self._db.execute("SELECT member, logged_in FROM login"):
            yield member, bool(logged_in)
