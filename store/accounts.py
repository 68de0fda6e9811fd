"""How people sign in, in the embedded store: credentials, sessions, and what is under way. See
port.py.

Nothing here is a part of a revision. Tokens are 256 random bits and kept as a SHA-256 digest.
Whatever belongs to an account goes with it.
"""

import hashlib
import sqlite3
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from store.errors import Conflict
from store.transactions import writing

CredentialKind = Literal["password", "totp", "passkey", "recovery"]
#: second: a ticket after a right password; totp: a secret that is not confirmed yet; enrol: a
#: passkey that is being made; passkey: one that is asked for; oidc: a state.
PendingKind = Literal["invitation", "reset", "second", "totp", "enrol", "passkey", "oidc"]
MAX_SESSIONS: Final = 20
MAX_ADDRESSES: Final = 10
#: Of those that belong to nobody yet, over all.
MAX_ANONYMOUS: Final = 10_000
KEEP_ADDRESS_MS: Final = 90 * 86_400_000

_T = TypeVar("_T", bound=Struct)


class Credential(Struct, frozen=True, kw_only=True):
    """Something by which a person is known. data: an argon2 hash, a TOTP secret, a public key, or
    the digest of a recovery code; handle: a passkey's id; counter: the last TOTP step, or a
    passkey's signature counter."""

    id: int = 0
    account: int
    kind: CredentialKind
    name: str = ""
    data: str
    handle: str | None = None
    counter: int = 0
    created_ms: int
    used_ms: int = 0


class Session(Struct, frozen=True, kw_only=True):
    """Somebody is signed in. second: a second factor was shown; must_enrol: one is asked for, and
    was not."""

    id: int = 0
    digest: str
    account: int
    created_ms: int
    seen_ms: int
    until_ms: int
    idle_ms: int
    factors: tuple[str, ...]
    second: bool
    agent: str = ""
    address: str = ""
    must_enrol: bool = False


class Pending(Struct, frozen=True, kw_only=True):
    """Something begun, which whoever has the secret of that digest may finish, once."""

    digest: str
    kind: PendingKind
    account: int | None
    data: dict[str, Any]
    created_ms: int
    until_ms: int


def token_digest(token: str) -> str:
    """What is kept of a token. It is 256 random bits: it needs no slow hash."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


class Accounts:
    """A part of SqliteStore, with its connection."""

    _db: sqlite3.Connection
    _seen: dict[str, int]

    # -- credentials --------------------------------------------------------------------------

    def credentials(self, account: int, kind: CredentialKind | None = None) -> list[Credential]:
        return self._read(Credential, "account_credential",
                          "WHERE account = ?1 AND (?2 IS NULL OR kind = ?2) ORDER BY id",
                          account, kind)

    def passkey(self, handle: str) -> Credential | None:
        found = self._read(Credential, "account_credential",
                           "WHERE handle = ? AND kind = 'passkey'", handle)
        return found[0] if found else None

    def add_credential(self, credential: Credential) -> int:
        values = msgspec.structs.asdict(credential) | {"id": None}
        try:
            cursor = self._db.execute(
                f"INSERT INTO account_credential ({', '.join(values)}) "  # noqa: S608
                f"VALUES ({', '.join('?' * len(values))})", list(values.values()))
        except sqlite3.IntegrityError as error:
            raise Conflict("this credential is there already") from error
        return cursor.lastrowid or 0

    def set_password(self, account: int, hashed: str, at_ms: int) -> None:
        with writing(self._db):
            self._db.execute("DELETE FROM account_credential WHERE account = ? "
                             "AND kind = 'password'", (account,))
            self.add_credential(Credential(account=account, kind="password", data=hashed,
                                           created_ms=at_ms))

    def use_credential(self, id_: int, counter: int, at_ms: int) -> bool:
        return bool(self._db.execute(
            "UPDATE account_credential SET counter = ?1, used_ms = ?2 WHERE id = ?3 "
            "AND (counter < ?1 OR ?1 = 0)", (counter, at_ms, id_)).rowcount)

    def remove_credentials(self, account: int, kind: CredentialKind,
                           id_: int | None = None) -> int:
        return self._db.execute(
            "DELETE FROM account_credential WHERE account = ?1 AND kind = ?2 "
            "AND (?3 IS NULL OR id = ?3)", (account, kind, id_)).rowcount

    def take_recovery(self, account: int, digest: str) -> bool:
        return bool(self._db.execute(
            "DELETE FROM account_credential WHERE account = ? AND kind = 'recovery' "
            "AND data = ?", (account, digest)).rowcount)

    # -- sessions -----------------------------------------------------------------------------

    def add_session(self, session: Session) -> int:
        values = msgspec.structs.asdict(session) | {
            "id": None, "factors": " ".join(session.factors)}
        del values["must_enrol"]
        with writing(self._db):
            cursor = self._db.execute(
                f"INSERT INTO account_session ({', '.join(values)}) "  # noqa: S608
                f"VALUES ({', '.join('?' * len(values))})", list(values.values()))
            self._db.execute(
                "DELETE FROM account_session WHERE account = ?1 AND id NOT IN (SELECT id FROM "
                "account_session WHERE account = ?1 ORDER BY id DESC LIMIT ?2)",
                (session.account, MAX_SESSIONS))
            self._db.execute("INSERT OR REPLACE INTO account_address VALUES (?, ?, ?)",
                             (session.account, session.address, session.created_ms))
            self._db.execute(
                "DELETE FROM account_address WHERE account = ?1 AND address NOT IN (SELECT address "
                "FROM account_address WHERE account = ?1 ORDER BY seen_ms DESC LIMIT ?2)",
                (session.account, MAX_ADDRESSES))
        return cursor.lastrowid or 0

    def session_of(self, token: str, now_ms: int) -> Session | None:
        found = self._sessions("account_session.digest = ?", token_digest(token), now_ms)
        if not found:
            return None
        self._seen[found[0].digest] = now_ms
        return msgspec.structs.replace(found[0], seen_ms=now_ms)

    def sessions(self, account: int, now_ms: int) -> list[Session]:
        return self._sessions("account_session.account = ?", account, now_ms)

    def add_factor(self, digest: str, factor: str) -> None:
        self._db.execute("UPDATE account_session SET factors = factors || ' ' || ?, second = 1 "
                         "WHERE digest = ?", (factor, digest))

    def end_sessions(self, account: int, *, id_: int | None = None, keep: str = "") -> int:
        return self._db.execute(
            "DELETE FROM account_session WHERE account = ?1 AND (?2 IS NULL OR id = ?2) "
            "AND digest != ?3", (account, id_, keep)).rowcount

    def knows_address(self, account: int, address: str) -> bool:
        return self._db.execute("SELECT 1 FROM account_address WHERE account = ? AND address = ?",
                                (account, address)).fetchone() is not None

    def _sessions(self, where: str, value: str | int, now_ms: int) -> list[Session]:
        """Those that have not ended; enabled accounts only."""
        found = []
        names = [name for name in Session.__struct_fields__ if name != "must_enrol"]
        for values in self._db.execute(
                "SELECT account.second_factor OR ifnull(tenant.second_factor, 0), "  # noqa: S608
                f"{', '.join(f'account_session.{name}' for name in names)} FROM account_session "
                "JOIN account ON account.id = account_session.account "
                "LEFT JOIN tenant ON tenant.id = account.tenant "
                f"WHERE {where} AND account.enabled AND until_ms > ? ORDER BY account_session.id",
                (value, now_ms)):
            row = dict(zip(names, values[1:], strict=True))
            row["factors"] = row["factors"].split()
            row["seen_ms"] = max(row["seen_ms"], self._seen.get(row["digest"], 0))
            row["must_enrol"] = bool(values[0]) and not row["second"]
            if row["seen_ms"] + row["idle_ms"] > now_ms:
                found.append(msgspec.convert(row, Session, strict=False))
        return found

    # -- what is under way --------------------------------------------------------------------

    def add_pending(self, pending: Pending, at_most: int = 5) -> None:
        with writing(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO account_pending VALUES (?, ?, ?, ?, ?, ?)",
                (pending.digest, pending.kind, pending.account,
                 msgspec.json.encode(pending.data).decode(), pending.created_ms,
                 pending.until_ms))
            self._db.execute(
                "DELETE FROM account_pending WHERE kind = ?1 AND account IS ?2 AND digest IN "
                "(SELECT digest FROM account_pending WHERE kind = ?1 AND account IS ?2 "
                "ORDER BY created_ms DESC, rowid DESC LIMIT -1 OFFSET ?3)",
                (pending.kind, pending.account,
                 at_most if pending.account is not None else MAX_ANONYMOUS))

    def pending(self, token: str, now_ms: int, *kinds: PendingKind) -> Pending | None:
        found = self._pending("digest = ?", token_digest(token), now_ms)
        return found[0] if found and found[0].kind in kinds else None

    def replace_pending(self, pending: Pending) -> None:
        self._db.execute("UPDATE account_pending SET data = ? WHERE digest = ?",
                         (msgspec.json.encode(pending.data).decode(), pending.digest))

    def take_pending(self, token: str, now_ms: int, *kinds: PendingKind) -> Pending | None:
        found = self.pending(token, now_ms, *kinds)
        if found is not None:
            self._db.execute("DELETE FROM account_pending WHERE digest = ?", (found.digest,))
        return found

    def end_pendings(self, account: int, *kinds: PendingKind) -> None:
        self._db.executemany("DELETE FROM account_pending WHERE account = ? AND kind = ?",
                             [(account, kind) for kind in kinds])

    def _pending(self, where: str, value: str | int, now_ms: int) -> list[Pending]:
        rows = self._db.execute(
            "SELECT digest, kind, account, data, created_ms, until_ms "  # noqa: S608
            f"FROM account_pending WHERE {where} AND until_ms > ?", (value, now_ms))
        return [Pending(digest=digest, kind=kind, account=account,
                        data=msgspec.json.decode(data), created_ms=created, until_ms=until)
                for digest, kind, account, data, created, until in rows]

    # -- the rest -----------------------------------------------------------------------------

    def owners_of_domain(self, domain: str) -> list[int | None]:
        return [tenant for tenant, in self._db.execute(
            "SELECT DISTINCT tenant FROM account "
            "WHERE substr(email, instr(email, '@') + 1) = ? LIMIT 2", (domain,))]

    def tend_accounts(self, now_ms: int) -> None:
        seen, self._seen = self._seen, {}
        with writing(self._db):
            self._db.executemany("UPDATE account_session SET seen_ms = ? WHERE digest = ?",
                                 [(at_ms, digest) for digest, at_ms in seen.items()])
            self._db.execute("DELETE FROM account_session WHERE until_ms <= ?1 "
                             "OR seen_ms + idle_ms <= ?1", (now_ms,))
            self._db.execute("DELETE FROM account_pending WHERE until_ms <= ?", (now_ms,))
            self._db.execute("DELETE FROM account_address WHERE seen_ms < ?",
                             (now_ms - KEEP_ADDRESS_MS,))
            # A letter that was sent has a link or a code in it.
            self._db.execute("""UPDATE delivery SET body = '""' WHERE tenant = 0 AND """
                             """done_ms != 0 AND body != '""'""")

    def _read(self, type_: type[_T], table: str, rest: str, *parameters: Any) -> list[_T]:
        names = type_.__struct_fields__
        return [msgspec.convert(dict(zip(names, values, strict=True)), type_, strict=False)
                for values in self._db.execute(
                    f"SELECT {', '.join(names)} FROM {table} {rest}", parameters)]  # noqa: S608
