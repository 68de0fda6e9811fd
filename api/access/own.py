"""What people do with their own account: second factors, sessions. Each function is the work of one
durable change, and returns the answer.

Who has a second factor shows it before factors are changed: a password alone adds only the first.
"""

from typing import Any

from api.access import factors
from api.access.sessions import new_token
from api.access.shapes import (
    PasskeyOptions,
    PasskeyShown,
    RecoveryCodes,
    SessionShown,
    TotpSecret,
)
from api.access.sign_in import TICKET_MS, Access, expired
from api.http.errors import Problem, invalid, no_such
from store.accounts import Credential, CredentialKind, Pending, PendingKind, Session, token_digest
from store.model import Account

MAX_PASSKEYS = 20
REAL: tuple[CredentialKind, ...] = ("totp", "passkey")


class Own:
    """The account of who asks, in this session."""

    def __init__(self, access: Access, account: Account, session: str, now_ms: int) -> None:
        self._access = access
        self._store = access.store
        self.account = account
        self._session = session
        self._now_ms = now_ms

    # -- an authenticator app -----------------------------------------------------------------

    def new_totp(self) -> TotpSecret:
        """A secret that is not in force yet."""
        self._may_change()
        secret = factors.new_totp(self._access.random)
        ticket = self._begin("totp", {"secret": secret})
        return TotpSecret(secret=secret, ticket=ticket, until_ms=self._now_ms + TICKET_MS,
                          uri=factors.totp_uri(secret, self.account.email, "vaxel"))

    def confirm_totp(self, ticket: str, code: str) -> None:
        """The app shows the right codes; it replaces an earlier one."""
        self._may_change()
        pending = self._of(ticket, "totp")
        step = factors.totp_step(pending.data["secret"], code, self._now_ms)
        if not step:
            raise invalid("code", "this is not what the app should show now: is its clock right?")
        self._store.take_pending(ticket, self._now_ms, "totp")
        self._store.remove_credentials(self.account.id, "totp")
        self._store.add_credential(Credential(
            account=self.account.id, kind="totp", data=pending.data["secret"], counter=step,
            created_ms=self._now_ms))
        self._store.add_factor(self._session, "totp")

    def remove_totp(self) -> None:
        """No app any more."""
        self._remove("totp", None, "authenticator app")

    # -- passkeys -----------------------------------------------------------------------------

    def passkeys(self) -> list[PasskeyShown]:
        """The own."""
        return [PasskeyShown(id=one.id, name=one.name, created_ms=one.created_ms,
                             used_ms=one.used_ms) for one in self._credentials("passkey")]

    def new_passkey(self) -> PasskeyOptions:
        """What the browser is asked to make."""
        self._may_change()
        existing = self._credentials("passkey")
        if len(existing) >= MAX_PASSKEYS:
            raise Problem(409, "not_now", f"an account has at most {MAX_PASSKEYS} passkeys")
        options = self._access.passkeys.new_options(self.account, existing)
        return PasskeyOptions(ticket=self._begin("enrol", {"challenge": options["challenge"]}),
                              options=options)

    def add_passkey(self, ticket: str, name: str, credential: dict[str, Any]) -> PasskeyShown:
        """The browser has made it."""
        self._may_change()
        pending = self._of(ticket, "enrol")
        made = self._access.passkeys.made(credential, pending.data["challenge"])
        if made is None:
            raise invalid("credential", "this is not what was asked for")
        self._store.take_pending(ticket, self._now_ms, "enrol")
        id_ = self._store.add_credential(Credential(
            account=self.account.id, kind="passkey", name=name, data=made.key, handle=made.handle,
            counter=made.counter, created_ms=self._now_ms))
        self._store.add_factor(self._session, "passkey")
        return PasskeyShown(id=id_, name=name, created_ms=self._now_ms, used_ms=0)

    def remove_passkey(self, id_: int) -> None:
        """It was lost, or is not wanted any more."""
        self._remove("passkey", id_, "passkey")

    # -- recovery codes -----------------------------------------------------------------------

    def new_recovery_codes(self) -> RecoveryCodes:
        """Instead of all earlier ones."""
        self._may_change()
        if not self._has_factor():
            raise Problem(409, "not_now", "set up an authenticator app or a passkey first")
        codes = factors.new_recovery_codes(self._access.random)
        self._store.remove_credentials(self.account.id, "recovery")
        for code in codes:
            self._store.add_credential(Credential(
                account=self.account.id, kind="recovery", data=factors.recovery_digest(code),
                created_ms=self._now_ms))
        return RecoveryCodes(codes=codes)

    # -- the rest -----------------------------------------------------------------------------

    def set_password(self, hashed: str) -> None:
        """Everybody else who is signed in with the old one is not any more."""
        self._store.set_password(self.account.id, hashed, self._now_ms)
        self._store.end_sessions(self.account.id, keep=self._session)
        self._store.end_pendings(self.account.id, "invitation", "reset", "second")

    def end_session(self, id_: int) -> None:
        """Sign out there."""
        if not self._store.end_sessions(self.account.id, id_=id_):
            raise no_such("session")

    def end_others(self) -> None:
        """Sign out everywhere but here."""
        self._store.end_sessions(self.account.id, keep=self._session)

    def sign_out(self) -> None:
        """Sign out here."""
        current = self._current()
        if current is not None:
            self._store.end_sessions(self.account.id, id_=current.id)

    def _remove(self, kind: CredentialKind, id_: int | None, what: str) -> None:
        self._may_change()
        if not self._store.remove_credentials(self.account.id, kind, id_):
            raise no_such(what)
        if not self._has_factor():
            if self._access.required(self.account) and not self._access.options(self.account):
                raise Problem(409, "not_now", "a second factor is needed: set up another one first")
            self._store.remove_credentials(self.account.id, "recovery")

    def _credentials(self, kind: CredentialKind) -> list[Credential]:
        return self._store.credentials(self.account.id, kind)

    def _has_factor(self) -> bool:
        return any(self._credentials(kind) for kind in REAL)

    def _may_change(self) -> None:
        current = self._current()
        if self._has_factor() and not (current and current.second):
            raise Problem(403, "second_factor_required", "sign in with the second factor first")

    def _current(self) -> Session | None:
        return next((one for one in self._store.sessions(self.account.id, self._now_ms)
                     if one.digest == self._session), None)

    def _begin(self, kind: PendingKind, data: dict[str, Any]) -> str:
        ticket = new_token(self._access.random)
        self._store.add_pending(Pending(
            digest=token_digest(ticket), kind=kind, account=self.account.id, data=data,
            created_ms=self._now_ms, until_ms=self._now_ms + TICKET_MS))
        return ticket

    def _of(self, ticket: str, kind: PendingKind) -> Pending:
        found = self._store.pending(ticket, self._now_ms, kind)
        if found is None or found.account != self.account.id:
            raise expired()
        return found


def shown(sessions: list[Session], current: str) -> list[SessionShown]:
    """As the API shows them."""
    return [SessionShown(id=one.id, created_ms=one.created_ms, seen_ms=one.seen_ms,
                         until_ms=one.until_ms, factors=one.factors, agent=one.agent,
                         address=one.address, current=one.digest == current)
            for one in sessions]
