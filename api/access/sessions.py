"""Sessions: a token of 256 random bits, of which the digest is kept.

Who holds a token is asked of the store at each request (SqliteStore.session_of), or of the memory
of it, which is emptied by whatever changes the answer: a session that begins, ends or is given a
factor here, and a change of an account or of its company.
"""

import base64
from typing import Any, Final, NamedTuple

from api.access.factors import Random
from store import SqliteStore
from store.accounts import Session, token_digest
from store.model import Account

PREFIX: Final = "vs_"
#: Each of them shows more than a password does. A passkey stands for two; a provider has asked for
#: another one when its row says so.
SECOND: Final = frozenset({"totp", "sms", "recovery", "passkey", "provider"})
TEND_MS: Final = 60_000


class Where(NamedTuple):
    """Whence somebody signs in."""

    address: str
    agent: str


def new_token(random: Random, prefix: str = "") -> str:
    """256 random bits."""
    return prefix + base64.urlsafe_b64encode(random(32)).rstrip(b"=").decode()


def who(store: SqliteStore, token: str, now_ms: int) -> Session | None:
    """Whose session the token is, while it runs and the account is enabled."""
    return store.session_of(token, now_ms) if token.startswith(PREFIX) else None


class Sessions:
    """Opens them, as long as the settings say."""

    def __init__(self, store: SqliteStore, settings: dict[str, Any], random: Random) -> None:
        self._store = store
        self._life_ms = settings.get("session_s", 12 * 3600) * 1000
        self._idle_ms = settings.get("session_idle_s", 2 * 3600) * 1000
        self._random = random
        self._tended_ms = 0

    def open(self, account: Account, factors: tuple[str, ...], where: Where,
             now_ms: int) -> tuple[str, Session]:
        """The token and its session; inside a durable change."""
        if now_ms - self._tended_ms >= TEND_MS:
            self._tended_ms = now_ms
            self._store.tend_accounts(now_ms)
        token = new_token(self._random, PREFIX)
        session = Session(
            digest=token_digest(token), account=account.id, created_ms=now_ms, seen_ms=now_ms,
            until_ms=now_ms + self._life_ms, idle_ms=self._idle_ms, factors=factors,
            second=not SECOND.isdisjoint(factors), agent=where.agent[:200],
            address=where.address[:60])
        self._store.add_session(session)
        return token, session
