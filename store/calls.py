"""Call records and recordings in the embedded store, and the index by which calls are listed.

A record has one row of `call_item`: what became of the call with its legs, as lists and figures
need it; `call_place` has the users, groups and services that the call came to. Both are made anew
whenever a record or a way is added to the call, in the same transaction. See port.py.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from store.errors import NotFound
from store.figures import QUARTER_MS
from store.model import CallRecord, Recording
from store.rows import encode
from store.transactions import writing

#: Of a call to a user who took part in several of its legs, the first of these is told.
ROLES: Final = ("caller", "answered", "missed", "rang")
#: A page looks at so many calls at most; it may be short, and the next one goes on from there.
SCAN: Final = 10_000
#: Calls with numbers of a prefix are sorted when they are at most so many, else looked for in time.
SPARSE: Final = 5_000
_BUSY: Final = (486, 600)
_NO_ANSWER: Final = (408, 480)

Direction = Literal["in", "out", "internal", "emergency", "unknown"]
Outcome = Literal["answered", "service", "abandoned", "busy", "missed", "refused"]
Cursor = tuple[int, int]


class Way(Struct, frozen=True, kw_only=True):
    """A group or a service that a call came to. subject 0: call control, for something else;
    "abandoned": the caller hung up while waiting in that queue."""

    kind: Literal["group", "service", "abandoned"]
    subject: int


class CallItem(Struct, frozen=True, kw_only=True):
    """A call with its legs, in short. number: the company's number that was called; other: the
    outside number; wait_ms: until a person answered, or until the end; part: it is a leg."""

    id: int = 0
    tenant: int
    started_ms: int
    uid: str
    part: bool
    direction: Direction
    number: str
    other: str
    outcome: Outcome
    wait_ms: int
    talk_ms: int
    trunk: int | None
    recorded: bool
    caller_user: int | None


class Place(Struct, frozen=True, kw_only=True):
    """What the call was to a user (one of ROLES) or to a group (an Outcome, or "went_on": it was
    not answered there and became something else later)."""

    kind: str
    subject: int
    role: str


class Listed(Struct, frozen=True, kw_only=True):
    """A call in a list. The record is without its decisions."""

    record: CallRecord
    item: CallItem
    places: tuple[Place, ...]


class Wanted(Struct, frozen=True, kw_only=True):
    """Which calls. role: what it was to the user; services: all of them; prefix: of the outside
    number; queues: one of these services at least; viewer: the user whose own dialled numbers are
    not masked: of others' the last four digits match nothing."""

    from_ms: int = 0
    to_ms: int = 1 << 62
    user: int | None = None
    role: str = ""
    group: int | None = None
    services: tuple[int, ...] = ()
    number: str = ""
    prefix: str = ""
    direction: str = ""
    outcome: str = ""
    min_s: int = 0
    trunk: int | None = None
    recorded: bool = False
    queues: tuple[int, ...] | None = None
    legs: bool = False
    viewer: int | None = None


_ITEM: Final = CallItem.__struct_fields__
_RECORD: Final = CallRecord.__struct_fields__
_HEAD: Final = tuple(name for name in _RECORD if name != "decisions")


class Calls:
    """A part of SqliteStore, with its connection."""

    _db: sqlite3.Connection

    def add_call(self, record: CallRecord, ways: Iterable[Way] = ()) -> bool:
        values = msgspec.to_builtins(record)
        values["rang"] = encode(record.rang).decode()
        values["decisions"] = encode(record.decisions).decode()
        names = list(values)
        whole = record.conversation or record.uid
        with writing(self._db):
            cursor = self._db.execute(
                f"INSERT OR IGNORE INTO call_record ({', '.join(names)}) "  # noqa: S608
                f"VALUES ({', '.join('?' * len(names))})", list(values.values()))
            if cursor.rowcount:
                add_ways(self._db, whole, ways)
                if record.conversation:
                    index_call(self._db, record.uid)
                index_call(self._db, whole)
        return bool(cursor.rowcount)

    def add_ways(self, uid: str, ways: Iterable[Way]) -> None:
        with writing(self._db):
            if add_ways(self._db, uid, ways):
                index_call(self._db, uid)

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
            where.append("uid IN (SELECT uid FROM call_place JOIN call_item ON call_item.id = item "
                         "WHERE kind = 'user' AND subject = ?)")
            parameters.append(user)
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
        found = self._db.execute(
            "SELECT role FROM call_item JOIN call_place ON item = id WHERE uid = ? "
            "AND kind = 'user' AND subject = ?", (uid, user)).fetchone()
        return str(found[0]) if found else ""

    def _calls(self, rest: str, parameters: tuple[Any, ...]) -> list[CallRecord]:
        return [_record(_RECORD, values) for values in self._db.execute(
            f"SELECT {', '.join(_RECORD)} FROM call_record {rest}", parameters)]  # noqa: S608

    # -- lists ---------------------------------------------------------------------------------

    def list_calls(self, tenant: int, wanted: Wanted, after: Cursor | None = None,
                   limit: int = 100) -> tuple[list[Listed], Cursor | None]:
        source, order, where, rest, parameters = self._plan(tenant, wanted)
        if after is not None:
            where += f" AND ({order[0]}, {order[1]}) < (:at, :id)"
            # The index is entered by `to`; calls of the same millisecond are few.
            parameters |= {"at": after[0], "id": after[1], "to": min(wanted.to_ms, after[0] + 1)}
        inner = (f"FROM {source} WHERE {where} "
                 f"ORDER BY {order[0]} DESC, {order[1]} DESC LIMIT :scan")
        items = [_item(values) for values in self._db.execute(
            f"SELECT {', '.join(_ITEM)} FROM "  # noqa: S608
            f"(SELECT {', '.join(f'i.{name}' for name in _ITEM)} {inner}) AS i "
            f"WHERE {rest} LIMIT :limit", parameters | {"scan": SCAN, "limit": limit + 1})]
        if len(items) > limit:
            del items[limit:]
            following: Cursor | None = (items[-1].started_ms, items[-1].id)
        else:
            following = self._db.execute(
                f"SELECT {order[0]}, {order[1]} {inner} OFFSET :skip",
                parameters | {"scan": 1, "skip": SCAN - 1}).fetchone()
        return self._with_records(items), following

    def _plan(self, tenant: int, wanted: Wanted) -> tuple[
            str, tuple[str, str], str, str, dict[str, Any]]:
        """(source, order, where, rest, parameters): the index that leads to the fewest calls, and
        what each of them has to be besides."""
        places = [(kind, subject) for kind, subject in (
            ("user", wanted.user), ("group", wanted.group),
            *(("service", service) for service in wanted.services)) if subject is not None]
        parameters: dict[str, Any] = {
            "tenant": tenant, "from": wanted.from_ms, "to": wanted.to_ms, "number": wanted.number,
            "prefix": wanted.prefix, "end": wanted.prefix + ":", "direction": wanted.direction,
            "outcome": wanted.outcome, "min": wanted.min_s * 1000, "trunk": wanted.trunk,
            "viewer": wanted.viewer or 0, "queues": encode(wanted.queues).decode()}
        parameters |= {f"place{i}": subject for i, (_, subject) in enumerate(places)}
        columns = {name: _EQUAL[name] for name, asked in (
            ("number", wanted.number), ("other", wanted.prefix),
            ("trunk", wanted.trunk is not None), ("recorded", wanted.recorded),
            ("outcome", wanted.outcome), ("direction", wanted.direction)) if asked}
        rest = ["tenant = :tenant", *columns.values()]
        rest += [_came_to(kind, f"subject = :place{i}")
                 for i, (kind, _) in enumerate(places) if i]
        if not wanted.legs:
            rest.append("part = 0")
        if wanted.min_s:
            rest.append("talk_ms >= :min")
        if wanted.queues is not None:
            rest.append(_came_to("service", "subject IN (SELECT value FROM json_each(:queues))"))
        if places:
            source, order = _PLACES, ("p.started_ms", "p.item")
            where = "p.kind = :kind AND p.subject = :place0 AND p.started_ms >= :from " \
                    "AND p.started_ms < :to"
            parameters["kind"] = places[0][0]
            if wanted.role:
                where += " AND p.role = :role"
                parameters["role"] = wanted.role
        else:
            driving = next((name for name in columns if not wanted.legs and (
                name != "other" or self._sparse(parameters))), "time")
            source = f"call_item AS i INDEXED BY call_item_{driving}"
            order = ("i.started_ms", "i.id")
            where = "i.tenant = :tenant AND i.started_ms >= :from AND i.started_ms < :to"
            if driving != "time":
                where += f" AND i.part = 0 AND {columns[driving]}"
        return source, order, where, " AND ".join(rest), parameters

    def _sparse(self, parameters: dict[str, Any]) -> bool:
        count: int = self._db.execute(
            "SELECT count(*) FROM (SELECT 1 FROM call_item INDEXED BY call_item_other "
            "WHERE tenant = :tenant AND part = 0 AND other != '' AND other >= :prefix "
            "AND other < :end LIMIT :sparse)", parameters | {"sparse": SPARSE}).fetchone()[0]
        return count < SPARSE

    def _with_records(self, items: Sequence[CallItem]) -> list[Listed]:
        records = {record.uid: record for record in (
            _record(_HEAD, values) for values in self._by(
                f"SELECT {', '.join(_HEAD)} FROM call_record WHERE uid",  # noqa: S608
                [item.uid for item in items]))}
        places: dict[int, list[Place]] = {item.id: [] for item in items}
        for id_, kind, subject, role in self._by(
                "SELECT item, kind, subject, role FROM call_place WHERE item", list(places)):
            places[id_].append(Place(kind=kind, subject=subject, role=role))
        return [Listed(record=records[item.uid], item=item, places=tuple(places[item.id]))
                for item in items]

    def _by(self, select: str, keys: list[Any]) -> Iterable[tuple[Any, ...]]:
        return self._db.execute(f"{select} IN ({', '.join('?' * len(keys))})", keys)

    def counted_calls(self, tenant: int, from_ms: int,
                      to_ms: int) -> Iterable[tuple[CallItem, Place | None]]:
        names = ", ".join(f"i.{name}" for name in _ITEM)
        for *values, kind, subject, role in self._db.execute(
                f"SELECT {names}, p.kind, p.subject, p.role "  # noqa: S608
                "FROM call_item AS i INDEXED BY call_item_time "
                "LEFT JOIN call_place AS p ON p.item = i.id "
                "WHERE i.tenant = ? AND i.part = 0 AND i.started_ms >= ? AND i.started_ms < ? "
                "ORDER BY i.started_ms, i.id", (tenant, from_ms, to_ms)):
            yield _item(values), None if kind is None else Place(
                kind=kind, subject=subject, role=role)

    # -- recordings ----------------------------------------------------------------------------

    def add_recording(self, recording: Recording) -> bool:
        values = msgspec.to_builtins(recording)
        cursor = self._db.execute(
            f"INSERT OR IGNORE INTO recording ({', '.join(values)}) "  # noqa: S608
            f"VALUES ({', '.join('?' * len(values))})", list(values.values()))
        return bool(cursor.rowcount)

    def recording(self, uid: str) -> Recording:
        names = Recording.__struct_fields__
        values = self._db.execute(
            f"SELECT {', '.join(names)} FROM recording WHERE uid = ?", (uid,)).fetchone()  # noqa: S608
        if values is None:
            raise NotFound(f"no recording of {uid}")
        return msgspec.convert(dict(zip(names, values, strict=True)), Recording, strict=False)


_PLACES: Final = "call_place AS p CROSS JOIN call_item AS i ON i.id = p.item"
#: A number's own index has only calls with one, and so on: the condition names it.
_EQUAL: Final = {
    "number": "number = :number AND number != ''",
    "other": "other >= :prefix AND other < :end AND other != '' AND (direction != 'out' "
             "OR caller_user = :viewer OR (caller_user IS NULL AND part = 0) "
             "OR length(other) - 4 >= length(:prefix))",
    "trunk": "trunk = :trunk", "recorded": "recorded = 1", "outcome": "outcome = :outcome",
    "direction": "direction = :direction",
}


def _came_to(kind: str, subject: str) -> str:
    return ("EXISTS (SELECT 1 FROM call_place WHERE item = i.id "  # noqa: S608
            f"AND kind = '{kind}' AND {subject})")


def _record(names: Sequence[str], values: Sequence[Any]) -> CallRecord:
    row = dict(zip(names, values, strict=True))
    row["rang"] = msgspec.json.decode(row["rang"])
    if "decisions" in row:
        row["decisions"] = msgspec.json.decode(row["decisions"])
    return msgspec.convert(row, CallRecord, strict=False)


def _item(values: Sequence[Any]) -> CallItem:
    return msgspec.convert(dict(zip(_ITEM, values, strict=True)), CallItem, strict=False)


# -- the index -----------------------------------------------------------------------------------

def add_ways(db: sqlite3.Connection, uid: str, ways: Iterable[Way]) -> bool:
    """Where the call came to; False when all of it was known."""
    new = 0
    for way in ways:
        new += db.execute("INSERT OR IGNORE INTO call_way VALUES (?, ?, ?)",
                          (uid, way.kind, way.subject)).rowcount
    return bool(new)


def index_call(db: sqlite3.Connection, uid: str) -> None:
    """Make the call's rows of the index anew; nothing while its record is not there."""
    records = [_record(_HEAD, values) for values in db.execute(
        f"SELECT {', '.join(_HEAD)} FROM call_record "  # noqa: S608
        "WHERE uid = ?1 OR (conversation = ?1 AND conversation != '') ORDER BY started_ms, uid",
        (uid,))]
    record = next((one for one in records if one.uid == uid), None)
    if record is None:
        return
    legs = [one for one in records if one.uid != uid and one.tenant == record.tenant]
    ways = [Way(kind=kind, subject=subject) for kind, subject in db.execute(
        "SELECT kind, subject FROM call_way WHERE uid = ?", (uid,))]
    own = db.execute("SELECT 1 FROM number WHERE tenant = ? AND e164 = ?",
                     (record.tenant, record.called)).fetchone() is not None
    item = item_of(record, legs, ways, own)
    columns = _ITEM[1:]
    values = [getattr(item, name) for name in columns]
    sets = ", ".join(f"{name} = excluded.{name}" for name in columns)
    [id_] = db.execute(
        f"INSERT INTO call_item ({', '.join(columns)}) "  # noqa: S608
        f"VALUES ({', '.join('?' * len(columns))}) ON CONFLICT (uid) DO UPDATE SET {sets} "
        "RETURNING id", values).fetchone()
    answerers = encode([one.answerer for one in records if one.answerer]).decode()
    members = {way.subject for way in ways if way.kind == "group" and db.execute(
        "SELECT 1 FROM member WHERE ring_group = ? AND user IN (SELECT value FROM json_each(?))",
        (way.subject, answerers)).fetchone()}
    db.execute("DELETE FROM call_place WHERE item = ?", (id_,))
    db.executemany(
        "INSERT INTO call_place VALUES (?, ?, ?, ?, ?)",
        [(place.kind, place.subject, item.started_ms, id_, place.role)
         for place in _places(item, [record, *legs], ways, members)])
    if not item.part:
        db.execute("INSERT INTO figure_due VALUES (?, ?, 1) "
                   "ON CONFLICT (tenant, at_ms) DO UPDATE SET changes = changes + 1",
                   (item.tenant, item.started_ms // QUARTER_MS * QUARTER_MS))


def item_of(record: CallRecord, legs: Sequence[CallRecord], ways: Sequence[Way],
            own: bool) -> CallItem:
    """own: what was called is a number of the company."""
    direction = record.direction
    if direction == "internal" and record.called.startswith("+") and not own:
        direction = "out"  # that nobody has answered, or that call control has made
    served = any(way.kind == "service" for way in ways)
    answers = [one.answered_ms for one in legs if one.answered_ms and (one.answerer or one.trunk)]
    if record.answered_ms and (record.answerer or not (legs or served)):
        answers.append(record.answered_ms)
    end_ms = max(record.ended_ms, record.started_ms)
    answered_ms = min(max(min(answers), record.started_ms), end_ms) if answers else 0
    return CallItem(
        tenant=record.tenant, started_ms=record.started_ms, uid=record.uid,
        part=bool(record.conversation), direction=direction,
        number=record.called if direction == "in" or own else "",
        other={"in": record.caller, "out": record.called,
               "emergency": record.called}.get(direction, ""),
        outcome="answered" if answers else _unanswered(record, legs, ways, served),
        wait_ms=(answered_ms or end_ms) - record.started_ms,
        talk_ms=end_ms - answered_ms if answers else 0, trunk=record.trunk,
        recorded=record.recorded or any(leg.recorded for leg in legs),
        caller_user=record.caller_user)


def _unanswered(record: CallRecord, legs: Sequence[CallRecord], ways: Sequence[Way],
                served: bool) -> Outcome:
    """What became of a call that no person has answered."""
    if record.ended_by == "cancelled" or any(way.kind == "abandoned" for way in ways):
        return "abandoned"
    if served and record.answered_ms:
        return "service"
    if record.code in _BUSY:
        return "busy"
    if record.code in _NO_ANSWER or (record.code not in (403, 603) and any(
            one.rang for one in (record, *legs))):
        return "missed"
    return "refused"


def _places(item: CallItem, records: Sequence[CallRecord], ways: Sequence[Way],
            members: set[int]) -> list[Place]:
    """members: the groups in which one is who answered."""
    roles: dict[int, str] = {}
    for one in records:
        parties = dict.fromkeys(one.rang, "rang" if one.answered_ms else "missed")
        if one.answerer:
            parties[one.answerer] = "answered"
        if one.caller_user:
            parties[one.caller_user] = "caller"
        for user, role in parties.items():
            roles[user] = min(role, roles.get(user, role), key=ROLES.index)
    places = [Place(kind="user", subject=user, role=role) for user, role in roles.items()]
    for way in ways:
        if way.kind == "service" and way.subject:
            places.append(Place(kind="service", subject=way.subject, role=""))
        elif way.kind == "group":
            went_on = item.outcome in ("answered", "service") and way.subject not in members
            places.append(Place(kind="group", subject=way.subject,
                                role="went_on" if went_on else item.outcome))
    return places
