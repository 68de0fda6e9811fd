"""The embedded store: SQLite in WAL mode through sqlite-utils, every commit synced (FULL)."""

import functools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlite_utils import Database

from store.errors import BrokenReference, NotFound, StillReferenced, StoreError
from store.links import TARGET_TABLES, Pointer, links_of
from store.messages import Messages
from store.migrations import migrations
from store.model import (
    TABLES,
    CallRecord,
    Change,
    Presence,
    Recording,
    Revision,
    Row,
    Service,
)
from store.rows import (
    REFERENCES,
    columns_of,
    encode,
    fields_of,
    from_values,
    refusal,
    table_of,
    to_values,
)
from store.transactions import writing

#: How long a writer waits for another process's commit before StoreBusy.
BUSY_TIMEOUT_MS: Final = 5000

#: Of a call to a user who took part in several of its legs, the first of these is told.
_ROLES: Final = ("caller", "answered", "missed", "rang")


class SqliteReader:
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

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.changes: list[Change] = []

    def create(self, row: Row) -> Row:
        table = table_of(row)
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
        self.changes.append(Change(table=table, id=made.id, before=None,
                                   after=msgspec.to_builtins(made)))
        return made

    def replace(self, row: Row) -> Row:
        table = table_of(row)
        before = self.get(table, row.id)
        self._check_references(row, table)
        sets = ", ".join(f"{name} = ?" for name in columns_of(table))
        self._run(table, f"UPDATE {table} SET {sets} WHERE id = ?",  # noqa: S608
                  [*to_values(row, table), row.id])
        self._link(row)
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
            self._db.execute("UPDATE voice_message SET state = 'deleted' WHERE mailbox = ?", (id_,))
            self._db.execute("DELETE FROM callback_request WHERE service = ?", (id_,))
        self.changes.append(Change(table=table, id=id_, before=msgspec.to_builtins(before),
                                   after=None))

    def _check_references(self, row: Row, table: str) -> None:
        # The database refuses a broken reference too, but does not say which field it is.
        tenant = row.id if table == "tenant" else getattr(row, "tenant", None)
        for field, target in fields_of(table):
            value = getattr(row, field)
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


class SqliteStore(SqliteReader, Messages):
    """See port.Store. One connection; use it from one thread."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON",
                       f"busy_timeout = {BUSY_TIMEOUT_MS}"):
            connection.execute(f"PRAGMA {pragma}")
        super().__init__(connection)
        if isinstance(path, Path) and path.exists():
            path.chmod(0o600)  # it holds device and trunk secrets

    def migrate(self) -> None:
        """Bring the tables to this version."""
        migrations.apply(Database(self._db))

    def close(self) -> None:
        self._db.close()

    def read_transaction(self) -> "ReadTransaction":
        """One view of the database for several reads, until it is closed."""
        return ReadTransaction(self._db)

    # -- configuration ------------------------------------------------------------------------

    def change(self, author: str, at_ms: int, note: str,
               work: Callable[[SqliteWriter], Any]) -> Revision:
        writer = SqliteWriter(self._db)
        try:
            with writing(self._db):
                work(writer)
                tenant = _tenant_of(writer.changes)
                cursor = self._db.execute(
                    "INSERT INTO revision (author, at_ms, note, tenant) VALUES (?, ?, ?, ?)",
                    (author, at_ms, note, tenant))
                revision = Revision(id=cursor.lastrowid or 0, author=author, at_ms=at_ms,
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

    def revisions(self, *, after: int = 0, limit: int = 100) -> list[Revision]:
        heads = self._db.execute(
            "SELECT id, author, at_ms, note, tenant FROM revision WHERE id > ? ORDER BY id LIMIT ?",
            (after, limit)).fetchall()
        return [Revision(id=id_, author=author, at_ms=at_ms, note=note, tenant=tenant,
                         changes=self._changes("= ?", (id_,)))
                for id_, author, at_ms, note, tenant in heads]

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

    # -- calls --------------------------------------------------------------------------------

    def add_call(self, record: CallRecord) -> bool:
        values = msgspec.to_builtins(record)
        values["rang"] = encode(record.rang).decode()
        values["decisions"] = encode(record.decisions).decode()
        parties = dict.fromkeys(record.rang, "rang" if record.answered_ms else "missed")
        if record.answerer:
            parties[record.answerer] = "answered"
        if record.caller_user:
            parties[record.caller_user] = "caller"
        names = list(values)
        with writing(self._db):
            cursor = self._db.execute(
                f"INSERT OR IGNORE INTO call_record ({', '.join(names)}) "  # noqa: S608
                f"VALUES ({', '.join('?' * len(names))})", list(values.values()))
            if cursor.rowcount:
                self._db.executemany(
                    "INSERT OR IGNORE INTO call_party VALUES (?, ?, ?, ?)",
                    [(user, record.started_ms, record.uid, role)
                     for user, role in parties.items()])
        return bool(cursor.rowcount)

    def call(self, uid: str) -> CallRecord:
        found = self._calls("WHERE uid = ?", (uid,))
        if not found:
            raise NotFound(f"no call {uid}")
        return found[0]

    def calls(self, *, tenant: int | None = None, user: int | None = None,
              before_ms: int | None = None, limit: int = 100,
              legs: bool = False) -> list[CallRecord]:
        where, parameters = ["1"] if legs else ["conversation = ''"], []
        if tenant is not None:
            where.append("tenant = ?")
            parameters.append(tenant)
        if user is not None:
            where.append(
                "uid IN (SELECT uid FROM call_party WHERE user = ? UNION SELECT conversation "
                "FROM call_party JOIN call_record USING (uid) WHERE user = ?)")
            parameters += [user, user]
        if before_ms is not None:
            where.append("started_ms < ?")
            parameters.append(before_ms)
        return self._calls(f"WHERE {' AND '.join(where)} ORDER BY started_ms DESC, uid LIMIT ?",
                           (*parameters, limit))

    def legs(self, uid: str) -> list[CallRecord]:
        if not uid:
            return []
        return self._calls("WHERE conversation = ? ORDER BY started_ms, uid", (uid,))

    def call_by_call_id(self, call_id: str) -> CallRecord | None:
        """The newest call with that SIP Call-ID."""
        found = self._calls("WHERE call_id = ? ORDER BY started_ms DESC LIMIT 1", (call_id,))
        return found[0] if found else None

    def party_role(self, user: int, uid: str) -> str:
        rows = self._db.execute(
            "SELECT role FROM call_party WHERE user = ?1 AND (uid = ?2 OR uid IN "
            "(SELECT uid FROM call_record WHERE conversation = ?2 AND conversation != ''))",
            (user, uid))
        roles = {role for role, in rows}
        return next((role for role in _ROLES if role in roles), "")

    def _calls(self, rest: str, parameters: tuple[Any, ...]) -> list[CallRecord]:
        names = [field.name for field in msgspec.structs.fields(CallRecord)]
        found = []
        for values in self._db.execute(
                f"SELECT {', '.join(names)} FROM call_record {rest}", parameters):  # noqa: S608
            row = dict(zip(names, values, strict=True))
            row["rang"] = msgspec.json.decode(row["rang"])
            row["decisions"] = msgspec.json.decode(row["decisions"])
            found.append(msgspec.convert(row, CallRecord, strict=False))
        return found

    def add_recording(self, recording: Recording) -> bool:
        values = msgspec.to_builtins(recording)
        cursor = self._db.execute(
            f"INSERT OR IGNORE INTO recording ({', '.join(values)}) "  # noqa: S608
            f"VALUES ({', '.join('?' * len(values))})", list(values.values()))
        return bool(cursor.rowcount)

    def recording(self, uid: str) -> Recording:
        names = [field.name for field in msgspec.structs.fields(Recording)]
        values = self._db.execute(
            f"SELECT {', '.join(names)} FROM recording WHERE uid = ?", (uid,)).fetchone()  # noqa: S608
        if values is None:
            raise NotFound(f"no recording of {uid}")
        return msgspec.convert(dict(zip(names, values, strict=True)), Recording, strict=False)
