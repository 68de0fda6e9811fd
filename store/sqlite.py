"""The embedded store: SQLite in WAL mode through sqlite-utils, every commit synced (FULL)."""

import functools
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Final, get_args, get_origin

import msgspec
from sqlite_utils import Database

from store.errors import BrokenReference, Conflict, NotFound, StillReferenced, StoreBusy, StoreError
from store.migrations import migrations
from store.model import (
    TABLES,
    CallRecord,
    Change,
    DeviceKind,
    NumberClass,
    Presence,
    Recording,
    Revision,
    Row,
    Target,
)

#: How long a writer waits for another process's commit before StoreBusy.
BUSY_TIMEOUT_MS: Final = 5000

#: Fields kept as bit masks: the bit is the position among the literal's values.
MASKS: Final[dict[str, tuple[str, ...]]] = {
    "barred": get_args(NumberClass), "device_kinds": get_args(DeviceKind),
}
#: Fields that hold the id of a row of the table of that name.
_REFERENCES: Final = frozenset(
    {"tenant", "user", "ring_group", "activity", "schedule", "trunk", "area"})
_JSON_FIELDS: Final = ("rules", "sources")
_encode = msgspec.json.Encoder().encode


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
        names += [f"{name}_{part}" for part in ("kind", "user", "group", "text")] if target \
            else [name]
    return tuple(names)


def _to_values(row: Row, table: str) -> list[Any]:
    values: list[Any] = []
    for name, target in fields_of(table):
        value = getattr(row, name)
        if target:
            values += [None] * 4 if value is None else [
                value.kind, value.user, value.group, value.text]
        elif name in MASKS:
            values.append(sum(1 << MASKS[name].index(item) for item in set(value)))
        elif name in _JSON_FIELDS:
            values.append(_encode(value).decode())
        else:
            values.append(int(value) if value is True or value is False else value)
    return values


def _from_values(table: str, values: Sequence[Any]) -> Row:
    found: dict[str, Any] = {}
    at = 0
    for name, target in fields_of(table):
        if target:
            kind, user, group, text = values[at:at + 4]
            found[name] = None if kind is None else {
                "kind": kind, "user": user, "group": group, "text": text}
            at += 4
            continue
        value = values[at]
        at += 1
        if name in MASKS:
            value = [item for bit, item in enumerate(MASKS[name]) if value >> bit & 1]
        elif name in _JSON_FIELDS:
            value = msgspec.json.decode(value)
        found[name] = value
    return msgspec.convert(found, TABLES[table], strict=False)


def row_values(table: str, rows: list[Row], columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Rows in memory as select() would give these columns of them."""
    names = columns_of(table)
    wanted = [names.index(column) for column in columns]
    return [tuple(values[i] for i in wanted) for values in (_to_values(r, table) for r in rows)]


def table_of(row: Row) -> str:
    """The table that a row belongs to."""
    return next(name for name, struct in TABLES.items() if type(row) is struct)


def _refusal(error: sqlite3.IntegrityError, table: str, deleting: bool) -> StoreError:
    text = str(error)
    if "index 'forward_event'" in text:
        return Conflict("the user has a forwarding for this event already", "event")
    unique = re.search(r"UNIQUE constraint failed: (.*)", text)
    if unique:
        field = unique[1].split(",")[-1].split(".")[-1].strip()
        return Conflict(f"{table}: this {field} is taken", field)
    if "FOREIGN KEY" in text:
        if deleting:
            return StillReferenced(f"{table}: something still points at it")
        return BrokenReference(f"{table}: points at something that is not there")
    return StoreError(f"{table}: {text}")


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
        return _from_values(table, values)

    def find(self, table: str, *, after: int = 0, limit: int = 100, **equal: Any) -> list[Row]:
        where, parameters = _conditions(equal)
        rows = self._db.execute(
            f"SELECT {', '.join(columns_of(table))} FROM {table} "  # noqa: S608
            f"WHERE id > ?{where} ORDER BY id LIMIT ?", (after, *parameters, limit))
        return [_from_values(table, values) for values in rows]

    def select(self, table: str, columns: Sequence[str], *, order: str = "id",
               **equal: Any) -> Iterable[tuple[Any, ...]]:
        where, parameters = _conditions(equal)
        return self._db.execute(
            f"SELECT {', '.join(columns)} FROM {table} WHERE 1{where} "  # noqa: S608
            f"ORDER BY {order}", parameters)


def _conditions(equal: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    where = "".join(f" AND {name} IS ?" for name in equal)
    return where, tuple(equal.values())


class SqliteWriter(SqliteReader):
    """A change under way; see port.Writer."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.changes: list[Change] = []

    def create(self, row: Row) -> Row:
        table = table_of(row)
        columns = columns_of(table)
        self._check_references(row, table)
        values = _to_values(row, table)
        if not row.id:
            values[columns.index("id")] = None
        marks = ", ".join("?" * len(columns))
        cursor = self._run(table, f"INSERT INTO {table} ({', '.join(columns)}) "  # noqa: S608
                                  f"VALUES ({marks})", values)
        made = msgspec.structs.replace(row, id=cursor.lastrowid)
        self.changes.append(Change(table=table, id=made.id, before=None,
                                   after=msgspec.to_builtins(made)))
        return made

    def replace(self, row: Row) -> Row:
        table = table_of(row)
        before = self.get(table, row.id)
        self._check_references(row, table)
        sets = ", ".join(f"{name} = ?" for name in columns_of(table))
        self._run(table, f"UPDATE {table} SET {sets} WHERE id = ?",  # noqa: S608
                  [*_to_values(row, table), row.id])
        self.changes.append(Change(table=table, id=row.id, before=msgspec.to_builtins(before),
                                   after=msgspec.to_builtins(row)))
        return row

    def delete(self, table: str, id_: int) -> None:
        before = self.get(table, id_)
        self._run(table, f"DELETE FROM {table} WHERE id = ?", [id_], deleting=True)  # noqa: S608
        self.changes.append(Change(table=table, id=id_, before=msgspec.to_builtins(before),
                                   after=None))

    def _check_references(self, row: Row, table: str) -> None:
        # The database refuses a broken reference too, but does not say which field it is.
        tenant = getattr(row, "tenant", None)
        for field, target in fields_of(table):
            value = getattr(row, field)
            if target and value is not None:
                self._check_reference(f"{field}.user", "user", value.user, tenant)
                self._check_reference(f"{field}.group", "ring_group", value.group, tenant)
            elif field in _REFERENCES:
                self._check_reference(field, field, value, tenant)

    def _check_reference(self, field: str, to: str, id_: int | None, tenant: int | None) -> None:
        if id_ is None:
            return
        owned = to not in ("tenant", "trunk", "area")
        equal: dict[str, Any] = {"id": id_} | ({"tenant": tenant} if owned else {})
        if not self.find(to, limit=1, **equal):
            raise BrokenReference(f"there is no {to.replace('ring_', '')} {id_}", field)

    def _run(self, table: str, statement: str, values: Sequence[Any],
             deleting: bool = False) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except sqlite3.IntegrityError as error:
            raise _refusal(error, table, deleting) from error
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


class SqliteStore(SqliteReader):
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
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise StoreBusy(str(error)) from error
        try:
            work(writer)
            cursor = self._db.execute(
                "INSERT INTO revision (author, at_ms, note) VALUES (?, ?, ?)",
                (author, at_ms, note))
            revision = Revision(id=cursor.lastrowid or 0, author=author, at_ms=at_ms, note=note,
                                changes=writer.changes)
            self._db.executemany(
                "INSERT INTO change VALUES (?, ?, ?, ?, ?, ?)",
                [(revision.id, position, change.table, change.id,
                  _encode(change.before).decode() if change.before else None,
                  _encode(change.after).decode() if change.after else None)
                 for position, change in enumerate(writer.changes)])
            self._db.execute("COMMIT")
        except sqlite3.IntegrityError as error:
            self._db.execute("ROLLBACK")
            raise _refusal(error, "change", deleting=False) from error
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return revision

    def revision(self) -> int:
        found: int = self._db.execute("SELECT ifnull(max(id), 0) FROM revision").fetchone()[0]
        return found

    def revisions(self, *, after: int = 0, limit: int = 100) -> list[Revision]:
        heads = self._db.execute(
            "SELECT id, author, at_ms, note FROM revision WHERE id > ? ORDER BY id LIMIT ?",
            (after, limit)).fetchall()
        return [Revision(id=id_, author=author, at_ms=at_ms, note=note,
                         changes=self._changes("= ?", (id_,)))
                for id_, author, at_ms, note in heads]

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
            found[table] = {row.id: row for row in (_from_values(table, v) for v in rows)}
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
            raise _refusal(error, "presence", deleting=False) from error

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
            raise _refusal(error, "login", deleting=False) from error

    def logins(self) -> Iterator[tuple[int, bool]]:
        for member, logged_in in self._db.execute("SELECT member, logged_in FROM login"):
            yield member, bool(logged_in)

    # -- calls --------------------------------------------------------------------------------

    def add_call(self, record: CallRecord) -> bool:
        values = msgspec.to_builtins(record)
        values["rang"] = _encode(record.rang).decode()
        values["decisions"] = _encode(record.decisions).decode()
        parties = dict.fromkeys(record.rang, "rang" if record.answered_ms else "missed")
        if record.answerer:
            parties[record.answerer] = "answered"
        if record.caller_user:
            parties[record.caller_user] = "caller"
        self._db.execute("BEGIN IMMEDIATE")
        try:
            names = list(values)
            cursor = self._db.execute(
                f"INSERT OR IGNORE INTO call_record ({', '.join(names)}) "  # noqa: S608
                f"VALUES ({', '.join('?' * len(names))})", list(values.values()))
            if cursor.rowcount:
                self._db.executemany(
                    "INSERT OR IGNORE INTO call_party VALUES (?, ?, ?, ?)",
                    [(user, record.started_ms, record.uid, role)
                     for user, role in parties.items()])
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return bool(cursor.rowcount)

    def call(self, uid: str) -> CallRecord:
        found = self._calls("WHERE uid = ?", (uid,))
        if not found:
            raise NotFound(f"no call {uid}")
        return found[0]

    def calls(self, *, tenant: int | None = None, user: int | None = None,
              before_ms: int | None = None, limit: int = 100) -> list[CallRecord]:
        where, parameters = ["1"], []
        if tenant is not None:
            where.append("tenant = ?")
            parameters.append(tenant)
        if user is not None:
            where.append("uid IN (SELECT uid FROM call_party WHERE user = ?)")
            parameters.append(user)
        if before_ms is not None:
            where.append("started_ms < ?")
            parameters.append(before_ms)
        return self._calls(f"WHERE {' AND '.join(where)} ORDER BY started_ms DESC, uid LIMIT ?",
                           (*parameters, limit))

    def call_by_call_id(self, call_id: str) -> CallRecord | None:
        """The newest call with that SIP Call-ID."""
        found = self._calls("WHERE call_id = ? ORDER BY started_ms DESC LIMIT 1", (call_id,))
        return found[0] if found else None

    def party_role(self, user: int, uid: str) -> str:
        """What the call was to the user: caller, answered, missed, or rang (somebody else
        answered); "" when the user had no part in it."""
        found = self._db.execute("SELECT role FROM call_party WHERE user = ? AND uid = ?",
                                 (user, uid)).fetchone()
        return str(found[0]) if found else ""

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
