"""Who asks: a token of the Authorization header as a person or a program with its rights.

What is known of a token is remembered for some seconds, and forgotten at once when a key, an
account, a company or a session is changed here.
"""

import hashlib
import hmac
from typing import Any, Final, NamedTuple

from msgspec import Struct
from sanic import Request

from api.http import rights
from api.http.errors import Problem
from api.http.limits import Bucket, Limits
from store import NotFound, SqliteStore
from store.model import Account, ApiKey

#: What is known of a token is asked again after so long: sessions and keys end by themselves.
REMEMBER_S: Final = 5.0
MAX_REMEMBERED: Final = 20_000
#: Tables of which a row changes who somebody is.
TABLES: Final = frozenset({"api_key", "account", "tenant"})


class Who(Struct, frozen=True, kw_only=True):
    """An authenticated caller. by: "operator", "key 3" or "account 12"; tenant None: the operator;
    user: the person's telephones; queues: those that a supervisor has, None: all; enrol: must set
    up a second factor first; until: Unix seconds at which a key ends, 0: never."""

    name: str
    by: str
    role: str
    tenant: int | None
    grants: rights.Grants
    account: int | None = None
    user: int | None = None
    queues: tuple[int, ...] | None = None
    session: str = ""
    enrol: bool = False
    rate_per_s: int | None = None
    until: int = 0
    language: str | None = None


class Identities:
    """identities.of(token, now_s): who that is, and the bucket of its requests."""

    def __init__(self, store: SqliteStore, operator_key: str, limits: Limits) -> None:
        self._store = store
        self._operator = key_digest(operator_key)
        self._limits = limits
        self._known: dict[str, tuple[Who, Bucket, float]] = {}

    def forget(self) -> None:
        """Somebody may be somebody else now."""
        self._known.clear()

    def of(self, token: str, now_s: float) -> tuple[Who, Bucket]:
        """Problem 401."""
        known = self._known.get(token)
        if known is not None and now_s < known[2]:
            return known[0], known[1]
        who = self._find(token, now_s)
        bucket = self._limits.bucket(who.by, now_s, who.rate_per_s)
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[token] = who, bucket, now_s + REMEMBER_S
        return who, bucket

    def _find(self, token: str, now_s: float) -> Who:
        digest = key_digest(token)
        if token.startswith("vs_"):
            return self._session(token, now_s)
        if hmac.compare_digest(digest, self._operator):
            return OPERATOR
        found: Any = self._store.find("api_key", limit=1, digest=digest) if token else []
        if not found or (found[0].until and found[0].until <= now_s):
            raise unauthenticated()
        return who_of_key(found[0])

    def _session(self, token: str, now_s: float) -> Who:
        session = self._store.session_of(token, int(now_s * 1000))
        if session is None:
            raise unauthenticated()
        try:
            account: Any = self._store.get("account", session.account)
        except NotFound:
            raise unauthenticated() from None
        if not account.enabled:
            raise unauthenticated()
        return who_of_account(account, session.digest, session.must_enrol)


def bearer(request: Request) -> str | None:
    """The token of the Authorization header; the scheme's letters are any (RFC 9110 section
    11.1)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def unauthenticated() -> Problem:
    """Nobody we know."""
    return Problem(401, "unauthenticated", "send a valid key as Authorization: Bearer <key>")


def who_of_key(key: ApiKey) -> Who:
    """A program."""
    return Who(name=key.name, by=f"key {key.id}", role=key.role, tenant=key.tenant, user=key.user,
               grants=rights.grants(key.role, key.scopes), rate_per_s=key.rate_per_s,
               until=key.until)


def who_of_account(account: Account, session: str = "", enrol: bool = False) -> Who:
    """A person."""
    return Who(name=account.name, by=f"account {account.id}", role=account.role,
               tenant=account.tenant, account=account.id, user=account.user,
               queues=account.queues if account.role == "supervisor" else None, session=session,
               enrol=enrol, grants=rights.grants(account.role), language=account.language)


def key_digest(key: str) -> str:
    """What is kept of a key. It is 256 random bits: it needs no slow hash."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def of_author(store: SqliteStore, by: str, now_s: float) -> Who:
    """Who "operator", "key 3" or "account 12" is now; Problem 403 when that is nobody any more."""
    kind, _, id_ = by.partition(" ")
    try:
        if kind == "operator":
            return OPERATOR
        row: Any = store.get("api_key" if kind == "key" else "account", int(id_))
        if kind == "key":
            if not row.until or row.until > now_s:
                return who_of_key(row)
        elif row.enabled:
            return who_of_account(row)
    except (NotFound, ValueError):
        pass
    raise Problem(403, "forbidden", f"{by} may do nothing any more")


class Owner(NamedTuple):
    """Whose something is that outlives a request: of_author()'s text, and the session, "" = a
    key's."""

    by: str
    session: str = ""

    def may(self, store: SqliteStore, right: str, tenant: int, now_ms: int) -> bool:
        """Whether they still are somebody, and have that right for all of the company."""
        try:
            who = of_author(store, self.by, now_ms / 1000)
        except Problem:
            return False
        if self.session and (who.account is None or self.session not in {
                one.digest for one in store.sessions(who.account, now_ms)}):
            return False
        return who.tenant in (None, tenant) and who.grants.get(right) == rights.ALL


OPERATOR: Final = Who(name="operator", by="operator", role="operator", tenant=None,
                      grants=rights.grants("operator"), rate_per_s=10_000)
