"""What the API remembers of requests: answers by Idempotency-Key, and who did what."""

import sqlite3
from typing import Final, NamedTuple

from msgspec import Struct

#: An answer can be had again for so long.
KEEP_ANSWERS_MS: Final = 24 * 3_600_000
#: What was done is known for so long.
KEEP_AUDIT_MS: Final = 400 * 24 * 3_600_000


class Answer(NamedTuple):
    """fingerprint: of the request; sealed: b"" while it is being done."""

    fingerprint: bytes
    sealed: bytes


class AuditEntry(Struct, frozen=True, kw_only=True):
    """Something that was done, or refused. by: "operator", "key 3", "account 12"; said: more."""

    id: int = 0
    at_ms: int
    tenant: int | None
    by: str
    name: str
    role: str
    address: str
    method: str
    path: str
    status: int
    said: str = ""


class Answers:
    """Reads and writes of one connection; see port.Store."""

    _db: sqlite3.Connection

    def answer_of(self, owner: str, key: str) -> Answer | None:
        """What that caller was answered for that key."""
        found = self._db.execute(
            "SELECT fingerprint, sealed FROM answer WHERE owner = ? AND key = ?",
            (owner, key)).fetchone()
        return Answer(*found) if found else None

    def keep_answer(self, owner: str, key: str, fingerprint: bytes, sealed: bytes,
                    at_ms: int) -> None:
        """Remember an answer; sealed b"": that it is being done."""
        self._db.execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?)",
                         (owner, key, fingerprint, sealed, at_ms))

    def forget_answer(self, owner: str, key: str) -> None:
        """It was refused: nothing was done."""
        self._db.execute("DELETE FROM answer WHERE owner = ? AND key = ?", (owner, key))

    def add_audit(self, entry: AuditEntry) -> None:
        """Append what was done."""
        self._db.execute(
            "INSERT INTO audit (at_ms, tenant, by, name, role, address, method, path, status, "
            "said) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (entry.at_ms, entry.tenant, entry.by, entry.name, entry.role, entry.address,
             entry.method, entry.path, entry.status, entry.said))

    def audit(self, tenant: int | None, *, by: str = "", before: int = 1 << 62,
              limit: int = 100) -> list[AuditEntry]:
        """What was done in a company, the newest first; tenant None: everywhere."""
        rows = self._db.execute(
            "SELECT id, at_ms, tenant, by, name, role, address, method, path, status, said "
            "FROM audit WHERE id < ?1 AND (?2 IS NULL OR tenant = ?2) AND (?3 = '' OR by = ?3) "
            "ORDER BY id DESC LIMIT ?4", (before, tenant, by, limit))
        names = AuditEntry.__struct_fields__
        return [AuditEntry(**dict(zip(names, values, strict=True))) for values in rows]

    def purge_answers(self, now_ms: int, limit: int = 10_000) -> int:
        """Remove what has been kept long enough; how many."""
        gone = self._db.execute(
            "DELETE FROM answer WHERE rowid IN (SELECT rowid FROM answer WHERE at_ms < ? LIMIT ?)",
            (now_ms - KEEP_ANSWERS_MS, limit)).rowcount
        return gone + self._db.execute(
            "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at_ms < ? LIMIT ?)",
            (now_ms - KEEP_AUDIT_MS, limit)).rowcount
