"""What is deleted, and the proof of it, in the embedded store. See port.py.

A thing that is to be deleted is first written into `deleting`; then its file is removed; then, in
one transaction, its row goes and a line is added to the ledger. Whatever is interrupted is taken up
again from `deleting`, so nothing is deleted without a line, and no line is written before it is
true. A line holds the hash of the one before it, company by company.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from store.errors import Conflict, NotFound
from store.model import CallRecord
from store.transactions import writing

Kind = Literal["recording", "message", "call"]


class Deletion(Struct, frozen=True, kw_only=True):
    """Something that is deleted. sha256, bytes: of its file, of a call of its record; made_ms: its
    own time; path: relative to the state directory, "" when it has no file."""

    tenant: int
    kind: Kind
    uid: str
    sha256: str
    bytes: int
    made_ms: int
    why: str
    by: str
    at_ms: int
    path: str = ""


class LedgerLine(Struct, frozen=True, kw_only=True):
    """A line of the ledger. hash: of the others as a JSON list in this order, previous the last."""

    seq: int
    tenant: int
    kind: Kind
    uid: str
    sha256: str
    bytes: int
    made_ms: int
    why: str
    by: str
    at_ms: int
    previous: str
    hash: str


class Proof(Struct, frozen=True, kw_only=True):
    """lines: how many are there; head: the hash of the last; bad: the first that is not as it was
    written, or is missing; contains: whether the hash that was asked for is among them."""

    good: bool
    lines: int
    head: str
    bad: int | None = None
    contains: bool | None = None


class ListedRecording(Struct, frozen=True, kw_only=True):
    """A recording with its call, as far as that is known. uid: of the first of a call that of the
    call, of others that with a suffix; keep: no policy deletes it."""

    uid: str
    call: str
    started_ms: int
    duration_ms: int
    bytes: int
    sha256: str
    complete: bool
    keep: bool
    direction: str
    caller: str
    called: str
    caller_user: int | None
    answerer: int | None
    conversation: str


class WantedRecordings(Struct, frozen=True, kw_only=True):
    """Which. call: its uid; number: of the caller, or that was called."""

    from_ms: int = 0
    to_ms: int = 1 << 62
    call: str = ""
    user: int | None = None
    number: str = ""
    direction: str = ""
    min_ms: int = 0
    keep: bool = False


#: What a chain begins with.
FIRST: Final = "0" * 64
_DELETING: Final = Deletion.__struct_fields__
_LINE: Final = LedgerLine.__struct_fields__
_LISTED: Final = ListedRecording.__struct_fields__
_TABLE: Final = {"recording": "recording", "message": "voice_message", "call": "call_record"}
#: What may be deleted: nothing that is kept, by itself or with its call.
_FREE: Final[dict[Kind, str]] = {
    "recording": "keep = 0 AND NOT EXISTS (SELECT 1 FROM call_record AS whole "
                 "WHERE whole.uid = substr(one.uid, 1, instr(one.uid || '-', '-') - 1) "
                 "AND whole.keep = 1)",
    "message": "state != 'recording'",
    "call": "keep = 0 AND NOT EXISTS (SELECT 1 FROM call_record AS whole "
            "WHERE whole.uid = one.conversation AND whole.keep = 1)",
}
#: And of that, what a policy looks at; messages that are deleted already go by themselves.
_OLD: Final[dict[Kind, str]] = {
    "recording": "started_ms < ?", "call": "started_ms < ?",
    "message": "created_ms < ? AND state IN ('new', 'saved')"}
#: path, sha256, bytes, time; and of a call what is in its place, of a message who deleted it.
_FACTS: Final[dict[Kind, str]] = {
    "recording": "path, sha256, bytes, started_ms",
    "message": "path, sha256, 0, created_ms, deleted_by",
    "call": f"'', '', 0, started_ms, {', '.join(CallRecord.__struct_fields__)}"}


def hash_of(line: LedgerLine) -> str:
    """What binds a line to all before it."""
    return hashlib.sha256(msgspec.json.encode(
        [getattr(line, name) for name in _LINE[:-1]])).hexdigest()


class Retention:
    """A part of SqliteStore, with its connection."""

    _db: sqlite3.Connection

    # -- what is to go ------------------------------------------------------------------------

    def old(self, kind: Kind, tenant: int, before_ms: int, limit: int) -> list[str]:
        """The uids of what the policy deletes and is not being deleted."""
        return [uid for uid, in self._db.execute(
            f"SELECT uid FROM {_TABLE[kind]} AS one WHERE tenant = ? "  # noqa: S608
            f"AND {_OLD[kind]} AND {_FREE[kind]} AND NOT EXISTS (SELECT 1 FROM deleting "
            "WHERE deleting.kind = ? AND deleting.uid = one.uid) LIMIT ?",
            (tenant, before_ms, kind, limit))]

    def begin_deletions(self, kind: Kind, tenant: int, uids: Iterable[str], *, why: str, by: str,
                        at_ms: int, size_of: Callable[[str], int] = lambda _path: 0
                        ) -> list[Deletion]:
        with writing(self._db):
            found = [deletion for uid in uids
                     for deletion in self._deletion(kind, tenant, uid, why, by, at_ms, size_of)]
            self._db.executemany(
                f"INSERT INTO deleting ({', '.join(_DELETING)}) "  # noqa: S608
                f"VALUES ({', '.join('?' * len(_DELETING))}) ON CONFLICT DO NOTHING",
                [[getattr(one, name) for name in _DELETING] for one in found])
        return found

    def _deletion(self, kind: Kind, tenant: int, uid: str, why: str, by: str, at_ms: int,
                  size_of: Callable[[str], int]) -> Iterator[Deletion]:
        """One, unless it is gone or kept."""
        values = self._db.execute(
            f"SELECT {_FACTS[kind]} FROM {_TABLE[kind]} AS one "  # noqa: S608
            f"WHERE uid = ? AND tenant = ? AND {_FREE[kind]}", (uid, tenant)).fetchone()
        if values is None:
            return
        path, sha256, size, made_ms, *record = values
        if kind == "message" and not by:
            why, by = ("by hand", record[0]) if record[0] else (why, "keeper")
        if kind == "call":
            text = msgspec.json.encode(record)
            sha256, size = hashlib.sha256(text).hexdigest(), len(text)
        elif kind == "message":
            size = size_of(path) if path else 0
        yield Deletion(tenant=tenant, kind=kind, uid=uid, sha256=sha256, bytes=size,
                       made_ms=made_ms, why=why, by=by, at_ms=at_ms, path=path)

    def deletions_begun(self, limit: int = 1000) -> list[Deletion]:
        return [Deletion(**dict(zip(_DELETING, values, strict=True)))
                for values in self._db.execute(
                    f"SELECT {', '.join(_DELETING)} FROM deleting LIMIT ?", (limit,))]  # noqa: S608

    def end_deletions(self, deletions: Sequence[Deletion]) -> int:
        count = 0
        with writing(self._db):
            for one in deletions:
                if not self._db.execute("DELETE FROM deleting WHERE kind = ? AND uid = ?",
                                        (one.kind, one.uid)).rowcount:
                    continue  # another process was faster
                self._db.execute(f"DELETE FROM {_TABLE[one.kind]} WHERE uid = ?",  # noqa: S608
                                 (one.uid,))
                self._add_line(one)
                count += 1
        return count

    def _add_line(self, one: Deletion) -> None:
        seq, previous = self._head(one.tenant)
        line = LedgerLine(seq=seq + 1, previous=previous, hash="", **{
            name: getattr(one, name) for name in _DELETING if name != "path"})
        line = msgspec.structs.replace(line, hash=hash_of(line))
        self._db.execute(
            f"INSERT INTO deletion ({', '.join(_LINE)}) "  # noqa: S608
            f"VALUES ({', '.join('?' * len(_LINE))})", [getattr(line, name) for name in _LINE])

    def _head(self, tenant: int) -> tuple[int, str]:
        found = self._db.execute("SELECT seq, hash FROM deletion WHERE tenant = ? "
                                 "ORDER BY seq DESC LIMIT 1", (tenant,)).fetchone()
        return found or (0, FIRST)

    # -- the ledger ---------------------------------------------------------------------------

    def deletions(self, tenant: int, *, after: int = 0, limit: int = 100) -> list[LedgerLine]:
        found = self._db.execute(
            f"SELECT {', '.join(_LINE)} FROM deletion "  # noqa: S608
            "WHERE tenant = ? AND seq > ? ORDER BY seq LIMIT ?", (tenant, after, limit))
        return [LedgerLine(**dict(zip(_LINE, values, strict=True))) for values in found]

    def proof_of_deletion(self, tenant: int, wanted: str = "") -> Proof:
        expected, previous, contains = 1, FIRST, wanted == FIRST
        bad: int | None = None
        while lines := self.deletions(tenant, after=expected - 1, limit=1000):
            for line in lines:
                if bad is None and (line.seq != expected or line.previous != previous
                                    or line.hash != hash_of(line)):
                    bad = expected
                contains = contains or line.hash == wanted
                expected, previous = line.seq + 1, line.hash
        count = self._db.execute("SELECT count(*) FROM deletion WHERE tenant = ?",
                                 (tenant,)).fetchone()[0]
        return Proof(good=bad is None and (contains or not wanted), lines=count, head=previous,
                     bad=bad, contains=contains if wanted else None)

    # -- what is kept -------------------------------------------------------------------------

    def set_keep(self, kind: Literal["recording", "call"], tenant: int, uid: str,
                 keep: bool) -> None:
        with writing(self._db):
            if self._db.execute("SELECT 1 FROM deleting WHERE kind = ? AND uid = ?",
                                (kind, uid)).fetchone():
                raise Conflict(f"{kind} {uid} is being deleted", "keep")
            if not self._db.execute(
                    f"UPDATE {_TABLE[kind]} SET keep = ? WHERE uid = ? AND tenant = ?",  # noqa: S608
                    (keep, uid, tenant)).rowcount:
                raise NotFound(f"no {kind} {uid}")

    # -- recordings ---------------------------------------------------------------------------

    def recordings(self, tenant: int, wanted: WantedRecordings | None = None, *,
                   after: tuple[int, str] | None = None, limit: int = 100
                   ) -> list[ListedRecording]:
        wanted = wanted or WantedRecordings()
        where = ["r.tenant = :tenant", "r.started_ms >= :from_ms", "r.started_ms < :to_ms"]
        if after:
            where.append("(r.started_ms, r.uid) < (:after_ms, :after)")
        if wanted.call:
            where.append("(r.uid = :call OR r.uid BETWEEN :call || '-' AND :call || '-g')")
        if wanted.min_ms:
            where.append("r.duration_ms >= :min_ms")
        if wanted.keep:
            where.append("(r.keep OR ifnull(c.keep, 0))")
        if wanted.direction:
            where.append("i.direction = :direction")
        if wanted.number:
            where.append(":number IN (c.caller, c.called, c.shown)")
        if wanted.user is not None:
            where.append("EXISTS (SELECT 1 FROM call_place WHERE item = i.id "
                         "AND kind = 'user' AND subject = :user)")
        return [self._listed(values) for values in self._db.execute(
            f"{_RECORDINGS} WHERE {' AND '.join(where)} "
            "ORDER BY r.started_ms DESC, r.uid DESC LIMIT :limit",
            msgspec.structs.asdict(wanted) | {
                "tenant": tenant, "limit": limit, "after_ms": after[0] if after else 0,
                "after": after[1] if after else ""})]

    def listed_recording(self, tenant: int, uid: str) -> ListedRecording:
        values = self._db.execute(f"{_RECORDINGS} WHERE r.tenant = ? AND r.uid = ?",
                                  (tenant, uid)).fetchone()
        if values is None:
            raise NotFound(f"no recording {uid}")
        return self._listed(values)

    def _listed(self, values: Sequence[Any]) -> ListedRecording:
        return msgspec.convert(dict(zip(_LISTED, values, strict=True)), ListedRecording,
                               strict=False)


_RECORDINGS: Final = (
    "SELECT r.uid, ifnull(c.uid, ''), r.started_ms, r.duration_ms, r.bytes, r.sha256, r.complete, "
    "r.keep OR ifnull(c.keep, 0), ifnull(i.direction, 'unknown'), ifnull(c.caller, ''), "
    "ifnull(c.called, ''), c.caller_user, c.answerer, ifnull(c.conversation, '') "
    "FROM recording AS r "
    "LEFT JOIN call_record AS c ON c.uid = substr(r.uid, 1, instr(r.uid || '-', '-') - 1) "
    "LEFT JOIN call_item AS i ON i.uid = c.uid")
