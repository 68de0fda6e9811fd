"""What services bring about, in the embedded store: voice messages, callback requests, events and
what is to be sent. See port.py."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypeVar

import msgspec

from store.errors import Conflict, NotFound
from store.model import CallbackRequest, Delivery, Event, VoiceMessage
from store.rows import encode
from store.transactions import writing

_Flat = TypeVar("_Flat", VoiceMessage, CallbackRequest, Event, Delivery)
_TABLE: Final[dict[type[Any], str]] = {
    VoiceMessage: "voice_message", CallbackRequest: "callback_request", Event: "event",
    Delivery: "delivery"}
_JSON: Final = ("data", "body")
MessageState = Literal["recording", "new", "saved", "deleted"]


class Messages:
    """A part of SqliteStore, with its connection."""

    _db: sqlite3.Connection

    # -- voice messages -----------------------------------------------------------------------

    def add_message(self, message: VoiceMessage, *, call_id: str = "") -> bool:
        with writing(self._db):
            made = self._insert([message], "INSERT OR IGNORE")
            if made:
                self._db.execute("UPDATE voice_message SET changed_ms = created_ms, call_id = ? "
                                 "WHERE uid = ?", (call_id, message.uid))
        return bool(made)

    def message_being_left(self, call_id: str) -> VoiceMessage | None:
        found = self._flat(
            VoiceMessage, "WHERE state = 'recording' AND call_id = ? AND call_id != '' "
            "ORDER BY created_ms DESC, uid DESC LIMIT 1", call_id)
        return found[0] if found else None

    def finish_message(self, uid: str, *, path: str, duration_ms: int, sha256: str, at_ms: int,
                       deliveries: Sequence[Delivery] = ()) -> bool:
        with writing(self._db):
            cursor = self._db.execute(
                "UPDATE voice_message SET state = 'new', path = ?, duration_ms = ?, sha256 = ?, "
                "changed_ms = ? WHERE uid = ? AND state = 'recording'",
                (path, duration_ms, sha256, at_ms, uid))
            if cursor.rowcount:
                self._insert(deliveries)
        return bool(cursor.rowcount)

    def message(self, uid: str) -> VoiceMessage:
        found = self._flat(VoiceMessage, "WHERE uid = ?", uid)
        if not found:
            raise NotFound(f"no message {uid}")
        return found[0]

    def messages(self, mailbox: int, *, states: Sequence[MessageState] = ("new", "saved"),
                 newest_first: bool = True, limit: int = 500) -> list[VoiceMessage]:
        order = "DESC" if newest_first else "ASC"
        return self._flat(
            VoiceMessage, f"WHERE mailbox = ? AND state IN ({', '.join('?' * len(states))}) "
            f"ORDER BY created_ms {order}, uid {order} LIMIT ?", mailbox, *states, limit)

    def set_message_state(self, uid: str, state: Literal["new", "saved", "deleted"],
                          at_ms: int, by: str = "") -> VoiceMessage:
        with writing(self._db):
            before = self.message(uid)
            if not before.path and state != "deleted":
                raise Conflict(f"message {uid} has no audio", "state")
            if self._db.execute("SELECT 1 FROM deleting WHERE kind = 'message' AND uid = ?",
                                (uid,)).fetchone():
                raise Conflict(f"message {uid} is being deleted", "state")
            self._db.execute("UPDATE voice_message SET state = ?, changed_ms = ?, deleted_by = ? "
                             "WHERE uid = ?",
                             (state, at_ms, by if state == "deleted" else "", uid))
        return msgspec.structs.replace(before, state=state)

    def message_counts(self, mailbox: int) -> tuple[int, int]:
        new, saved = self._db.execute(
            "SELECT ifnull(sum(state = 'new'), 0), ifnull(sum(state = 'saved'), 0) "
            "FROM voice_message WHERE mailbox = ?", (mailbox,)).fetchone()
        return int(new), int(saved)

    def unfinished_messages(self, before_ms: int) -> list[VoiceMessage]:
        return self._flat(VoiceMessage, "WHERE state = 'recording' AND created_ms < ?", before_ms)

    def deleted_messages(self, before_ms: int, limit: int = 500) -> list[VoiceMessage]:
        return self._flat(VoiceMessage, "WHERE state = 'deleted' AND changed_ms < ? LIMIT ?",
                          before_ms, limit)

    def forget_empty_messages(self, before_ms: int) -> int:
        return self._db.execute(
            "DELETE FROM voice_message WHERE state = 'deleted' AND changed_ms < ? "
            "AND path = '' AND deleted_by = ''", (before_ms,)).rowcount

    # -- callback requests --------------------------------------------------------------------

    def add_callback(self, request: CallbackRequest) -> CallbackRequest:
        with writing(self._db):
            self._insert([request])
            id_ = self._db.execute("SELECT last_insert_rowid()").fetchone()[0]
        return msgspec.structs.replace(request, id=id_)

    def callback(self, id_: int) -> CallbackRequest:
        found = self._flat(CallbackRequest, "WHERE id = ?", id_)
        if not found:
            raise NotFound(f"no callback request {id_}")
        return found[0]

    def callbacks(self, tenant: int, *, service: int | None = None, open_only: bool = False,
                  after: int = 0, limit: int = 100) -> list[CallbackRequest]:
        where, parameters = "WHERE tenant = ? AND id > ?", [tenant, after]
        if service is not None:
            where += " AND service = ?"
            parameters.append(service)
        if open_only:
            where += " AND done_ms = 0"
        return self._flat(CallbackRequest, f"{where} ORDER BY id LIMIT ?", *parameters, limit)

    def set_callback_done(self, id_: int, done_ms: int) -> CallbackRequest:
        with writing(self._db):
            before = self.callback(id_)
            self._db.execute("UPDATE callback_request SET done_ms = ? WHERE id = ?",
                             (done_ms, id_))
        return msgspec.structs.replace(before, done_ms=done_ms)

    def untold_callbacks(self, limit: int = 100) -> list[CallbackRequest]:
        return self._flat(CallbackRequest, "WHERE told = 0 ORDER BY id LIMIT ?", limit)

    def tell_callback(self, id_: int, deliveries: Sequence[Delivery]) -> bool:
        with writing(self._db):
            cursor = self._db.execute(
                "UPDATE callback_request SET told = 1 WHERE id = ? AND told = 0", (id_,))
            if cursor.rowcount:
                self._insert(deliveries)
        return bool(cursor.rowcount)

    # -- events -------------------------------------------------------------------------------

    def add_events(self, events: Sequence[Event]) -> None:
        if events:
            with writing(self._db):
                self._insert(events)

    def events(self, tenant: int | None, *, after: int = 0, limit: int = 100) -> list[Event]:
        where, parameters = "WHERE seq > ?", [after]
        if tenant is not None:
            where += " AND tenant = ?"
            parameters.append(tenant)
        return self._flat(Event, f"{where} ORDER BY seq LIMIT ?", *parameters, limit)

    def first_event(self) -> int:
        found: int | None = self._db.execute("SELECT min(seq) FROM event").fetchone()[0]
        return self.last_event() + 1 if found is None else found

    def last_event(self) -> int:
        found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
        return int(found[0]) if found else 0

    def purge_events(self, before_ms: int, keep: int, limit: int = 10_000) -> int:
        with writing(self._db):
            cursor = self._db.execute(
                "DELETE FROM event WHERE seq IN (SELECT seq FROM event ORDER BY seq LIMIT ?) "
                "AND (at_ms < ? OR seq <= (SELECT ifnull(max(seq), 0) FROM event) - ?)",
                (limit, before_ms, keep))
        return cursor.rowcount

    # -- what is to be sent -------------------------------------------------------------------

    def add_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            with writing(self._db):
                self._insert(deliveries)

    def add_delivery(self, delivery: Delivery) -> Delivery:
        with writing(self._db):
            self._insert([delivery])
            id_ = self._db.execute("SELECT last_insert_rowid()").fetchone()[0]
        return msgspec.structs.replace(delivery, id=id_)

    def delivery(self, id_: int) -> Delivery:
        found = self._flat(Delivery, "WHERE id = ?", id_)
        if not found:
            raise NotFound(f"no delivery {id_}")
        return found[0]

    def sms_since(self, tenant: int, since_ms: int) -> int:
        found: int = self._db.execute(
            "SELECT count(*) FROM delivery WHERE kind = 'sms' AND tenant = ? AND created_ms > ?",
            (tenant, since_ms)).fetchone()[0]
        return found

    def due_deliveries(self, now_ms: int, *, per_tenant: int = 10,
                       limit: int = 100) -> list[Delivery]:
        return self._flat(
            Delivery, "WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER "
            "(PARTITION BY tenant ORDER BY next_ms, id) AS place FROM delivery "
            "WHERE done_ms = 0 AND next_ms <= ?) WHERE place <= ?) ORDER BY next_ms, id LIMIT ?",
            now_ms, per_tenant, limit)

    def delivery_done(self, id_: int, at_ms: int) -> None:
        self._db.execute(
            "UPDATE delivery SET done_ms = ?, tries = tries + 1, error = '' WHERE id = ?",
            (at_ms, id_))

    def delivery_failed(self, id_: int, error: str, *, next_ms: int = 0, given_up_ms: int = 0,
                        tried: bool = True) -> None:
        self._db.execute(
            "UPDATE delivery SET error = ?, next_ms = ?, done_ms = ?, tries = tries + ? "
            "WHERE id = ? AND done_ms = 0", (error[:500], next_ms, given_up_ms, int(tried), id_))

    def deliveries(self, tenant: int, *, pending: bool = False, after: int = 0,
                   limit: int = 100) -> list[Delivery]:
        more = " AND done_ms = 0" if pending else ""
        return self._flat(Delivery, f"WHERE tenant = ? AND id > ?{more} ORDER BY id LIMIT ?",
                          tenant, after, limit)

    def purge_deliveries(self, before_ms: int, limit: int = 10_000) -> int:
        return self._db.execute(
            "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery WHERE done_ms != 0 "
            "AND done_ms < ? LIMIT ?)", (before_ms, limit)).rowcount

    # -- rows ---------------------------------------------------------------------------------

    def _insert(self, rows: Iterable[VoiceMessage | CallbackRequest | Event | Delivery],
                verb: str = "INSERT") -> int:
        """Inside a transaction; the number of new rows. A row without an id is given one."""
        count = 0
        for row in rows:
            values = {name: getattr(row, name) for name in row.__struct_fields__}
            for name in values:
                if name in _JSON:
                    values[name] = encode(values[name]).decode()
            for name in ("id", "seq"):
                if not values.get(name, 1):
                    values[name] = None
            names = ", ".join(f'"{name}"' for name in values)
            marks = ", ".join("?" * len(values))
            count += self._db.execute(
                f"{verb} INTO {_TABLE[type(row)]} ({names}) VALUES ({marks})",
                list(values.values())).rowcount
        return count

    def _flat(self, type_: type[_Flat], rest: str, *parameters: Any) -> list[_Flat]:
        names = type_.__struct_fields__
        columns = ", ".join(f'"{name}"' for name in names)
        found = []
        for values in self._db.execute(
                f"SELECT {columns} FROM {_TABLE[type_]} {rest}", parameters):  # noqa: S608
            row = dict(zip(names, values, strict=True))
            for name in _JSON:
                if name in row:
                    row[name] = msgspec.json.decode(row[name])
            found.append(msgspec.convert(row, type_, strict=False))
        return found
