"""Signing in: a password, a second factor where there is one or must be one, a passkey that is
both; and how a password is chosen.

Nobody learns here whether an account exists: an unknown address costs the same hash, fails with the
same words and is locked by the same rule. What is under way is in the store, by the digest of a
token that only the person has.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import argon2
import msgspec

from api.access import factors, letters, passwords
from api.access.factors import Random
from api.access.locks import Budget, Lock
from api.access.passkeys import Passkeys
from api.access.sessions import SECOND, Sessions, Where, new_token
from api.access.shapes import Factor, Invitation, PasskeyOptions, Sent, SignIn
from api.http.errors import Problem
from store import SqliteStore
from store.accounts import Pending, token_digest
from store.model import Account, Tenant

TICKET_MS, SMS_MS, RESET_MS = 600_000, 300_000, 3_600_000
INVITATION_MS: Final = 72 * 3_600_000
#: Codes that may be tried with one ticket.
TRIES: Final = 5
SMS_AN_HOUR, RESETS_AN_HOUR = 5, 3
HOUR_MS: Final = 3_600_000
#: Failures that cost nothing: of an account's address, and from one place, where an office may be.
FREE_OF_ACCOUNT, FREE_OF_PLACE = 10, 50

_T = TypeVar("_T")


class Keep(Protocol):
    """Runs work durably: what it returned."""

    def __call__(self, work: Callable[[], _T]) -> Awaitable[_T]:
        """See Commits.run."""


class Outcome(NamedTuple):
    """How a step went, and with whose account, for the audit."""

    account: Account
    answer: SignIn


def wrong() -> Problem:
    """One answer for everything that may be wrong."""
    return Problem(401, "wrong_credentials", "the address, the password or the code is wrong")


def expired() -> Problem:
    """A ticket that is not there (any more)."""
    return Problem(401, "ticket_expired", "this sign-in has ended or taken too long: begin again")


class Access:
    """Everything that leads to a session. settings: those of settings.json."""

    def __init__(self, store: SqliteStore, settings: dict[str, Any], keep: Keep,
                 random: Random, hasher: argon2.PasswordHasher = passwords.HASHER) -> None:
        self.store = store
        self.keep = keep
        self.random = random
        self.public_url: str = (settings.get("public_url") or "http://{}:{}".format(
            "localhost" if settings.get("address", "127.0.0.1") == "127.0.0.1"
            else settings["address"], settings.get("api_port", 8080))).rstrip("/")
        self.passwords = passwords.Passwords(hasher)
        self.passkeys = Passkeys(self.public_url, random)
        self.sessions = Sessions(store, settings, random)
        self._can_mail = bool(settings.get("smtp_host"))
        self._can_text = bool(settings.get("sms_url"))
        self._accounts = Lock(FREE_OF_ACCOUNT)
        self._places = Lock(FREE_OF_PLACE, HOUR_MS)
        self._texts = Budget(SMS_AN_HOUR, HOUR_MS)
        self._resets = Budget(RESETS_AN_HOUR, HOUR_MS)
        self._later: set[asyncio.Future[None]] = set()

    # -- the steps ----------------------------------------------------------------------------

    async def password(self, email: str, password: str, where: Where, now_ms: int) -> Outcome:
        """The first step. Problem 401, 429."""
        email = email.lower()
        account = self.account_of(email)
        self._admit(email, account, where, now_ms)
        stored = self.store.credentials(account.id, "password") if account else []
        # Counted before it is known, so that many at once are no way round.
        self._accounts.failed(email, now_ms)
        right = await self.passwords.right(stored[0].data if stored else None, password)
        if account is None or not right:
            self._places.failed(where.address, now_ms)
            raise wrong()
        if self.passwords.outdated(stored[0].data):
            hashed = await self.passwords.hashed(password)
            await self.keep(lambda: self.store.set_password(account.id, hashed, now_ms))
        return await self.proceed(account, ("password",), where, now_ms)

    async def code(self, ticket: str, factor: str, code: str, where: Where,
                   now_ms: int) -> Outcome:
        """The second step, with a code. Problem 401, 429."""
        def work() -> tuple[Account, bool]:
            pending, account = self._try(ticket, now_ms)
            return account, self._code_is_right(pending, account, ticket, factor, code, now_ms)

        self._admit_second(ticket, where, now_ms)
        account, right = await self.keep(work)
        return await self._finish(account, right, ticket, factor, where, now_ms)

    async def text(self, ticket: str, now_ms: int) -> Sent:
        """Send a code by SMS. Problem 401, 409, 429."""
        found = self.store.pending(ticket, now_ms, "second")
        account = self._enabled(found)
        if found is None or account is None:
            raise expired()
        if "sms" not in self.options(account) or account.phone is None:
            raise Problem(409, "not_now", "no code can be sent to this account")
        if not self._texts.take(str(account.id), now_ms):
            raise Problem(429, "too_many", f"{SMS_AN_HOUR} codes an hour",
                          headers={"Retry-After": str(HOUR_MS // 1000)})
        code, phone, until = factors.new_sms_code(self.random), account.phone, now_ms + SMS_MS

        def work() -> None:
            self._note(ticket, now_ms, sms=factors.sms_digest(ticket, code), sms_until=until)
            self.store.add_deliveries([letters.code(phone, self.language(account), code, now_ms)])

        await self.keep(work)
        return Sent(to=phone[-3:], until_ms=until)

    async def passkey_options(self, ticket: str | None, now_ms: int) -> PasskeyOptions:
        """What the browser is asked, as the second step of a ticket or alone. Problem 401."""
        if ticket is None:
            options = self.passkeys.options([], alone=True)
            ticket = new_token(self.random)
            pending = Pending(digest=token_digest(ticket), kind="passkey", account=None,
                              data={"challenge": options["challenge"]}, created_ms=now_ms,
                              until_ms=now_ms + TICKET_MS)
            await self.keep(lambda: self.store.add_pending(pending))
            return PasskeyOptions(ticket=ticket, options=options)
        found = self.store.pending(ticket, now_ms, "second")
        if found is None or found.account is None:
            raise expired()
        options = self.passkeys.options(self.store.credentials(found.account, "passkey"),
                                        alone=False)
        await self.keep(lambda: self._note(ticket, now_ms, challenge=options["challenge"]))
        return PasskeyOptions(ticket=ticket, options=options)

    async def passkey(self, ticket: str, credential: dict[str, Any], where: Where,
                      now_ms: int) -> Outcome:
        """The answer to that. Problem 401, 429."""
        def work() -> tuple[Account | None, bool]:
            pending, account = (alone, None) if alone else self._try(ticket, now_ms)
            challenge, handle = pending.data.get("challenge"), credential.get("id")
            if alone:  # a challenge is answered once
                self.store.take_pending(ticket, now_ms, "passkey")
            else:
                self._note(ticket, now_ms, challenge=None)
            stored = self.store.passkey(handle) if isinstance(handle, str) else None
            owner = self._by_id(stored.account) if stored else None
            if stored is None or owner is None or challenge is None or owner != (account or owner):
                return account, False
            counter = self.passkeys.counter(credential, challenge, stored, alone is not None)
            return owner, counter is not None and self.store.use_credential(
                stored.id, counter, now_ms)

        self._admit_second(ticket, where, now_ms)
        alone = self.store.pending(ticket, now_ms, "passkey")
        account, right = await self.keep(work)
        if alone is None or account is None or not right:
            return await self._finish(account, right, ticket, "passkey", where, now_ms)
        return await self.proceed(account, ("passkey",), where, now_ms)

    async def proceed(self, account: Account, shown: tuple[str, ...], where: Where,
                      now_ms: int) -> Outcome:
        """Who has shown that much is signed in, or shows a second factor."""
        options = self.options(account)
        if SECOND.isdisjoint(shown) and options:
            ticket = new_token(self.random)
            pending = Pending(digest=token_digest(ticket), kind="second", account=account.id,
                              data={"factors": shown}, created_ms=now_ms,
                              until_ms=now_ms + TICKET_MS)
            await self.keep(lambda: self.store.add_pending(pending))
            return Outcome(account, SignIn(ticket=ticket, second_factor=options,
                                           until_ms=pending.until_ms))
        token, session = await self.keep(
            lambda: self.sessions.open(account, shown, where, now_ms))
        self._accounts.succeeded(account.email)
        return Outcome(account, SignIn(
            token=token, until_ms=session.until_ms,
            must_enrol=not session.second and self.required(account)))

    # -- choosing a password ------------------------------------------------------------------

    def invite(self, account: Account, now_ms: int) -> Invitation:
        """A link by which the account's password is chosen, and a mail with it; inside a durable
        change."""
        return self._link(account, "invitation", now_ms + INVITATION_MS, now_ms)

    def forgotten(self, email: str, now_ms: int) -> None:
        """Mail such a link to whose address it is, if it is somebody's. Nobody waits for it: how
        long it takes would tell."""
        account = self.account_of(email)
        if account is None or not self._can_mail \
                or not self._resets.take(str(account.id), now_ms):
            return

        async def send() -> None:
            await self.keep(lambda: self._link(account, "reset", now_ms + RESET_MS, now_ms))

        task = asyncio.ensure_future(send())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def settled(self) -> None:
        """Wait for what nobody waits for."""
        await asyncio.gather(*self._later)

    async def choose(self, token: str, password: str, now_ms: int) -> Account:
        """The password of whose token that is; it ends their sessions. Problem 401, 422."""
        account = self._enabled(self.store.pending(token, now_ms, "invitation", "reset"))
        if account is None:
            raise expired()
        hashed = await self.hashed(account, password, "password")

        def work() -> bool:
            if self.store.take_pending(token, now_ms, "invitation", "reset") is None:
                return False
            self.store.set_password(account.id, hashed, now_ms)
            self.store.end_sessions(account.id)
            self.store.end_pendings(account.id, "invitation", "reset", "second")
            return True

        if not await self.keep(work):
            raise expired()
        self._accounts.succeeded(account.email)
        return account

    async def changed(self, account: Account, old: str, new: str, where: Where,
                      now_ms: int) -> str:
        """What is kept of a new password, for whoever knows the old one. Problem 401, 422, 429."""
        self._admit(account.email, account, where, now_ms)
        stored = self.store.credentials(account.id, "password")
        if not await self.passwords.right(stored[0].data if stored else None, old):
            self._accounts.failed(account.email, now_ms)
            self._places.failed(where.address, now_ms)
            raise wrong()
        return await self.hashed(account, new, "new")

    async def hashed(self, account: Account, password: str, field: str) -> str:
        """What is kept of a new password. Problem 422."""
        why = passwords.refusal(password, account.email, account.name)
        if why:
            raise Problem(422, "weak_password", why, field)
        return await self.passwords.hashed(password)

    # -- what holds of an account -------------------------------------------------------------

    def account_of(self, email: str) -> Account | None:
        """Whose address that is, when they may sign in."""
        found = self.store.find("account", limit=1, email=email.lower())
        account = found[0] if found else None
        return account if isinstance(account, Account) and account.enabled else None

    def whose(self, ticket: str, now_ms: int) -> Account | None:
        """Who is signing in with that ticket."""
        return self._enabled(self.store.pending(ticket, now_ms, "second"))

    def required(self, account: Account) -> bool:
        """Whether a second factor must be."""
        if account.second_factor or account.tenant is None:
            return account.second_factor
        tenant = self.store.get("tenant", account.tenant)
        return isinstance(tenant, Tenant) and tenant.second_factor

    def options(self, account: Account) -> tuple[Factor, ...]:
        """The second factors that are accepted; none: none is asked for. Who has set one up is
        asked; an SMS is sent only where one must be."""
        kinds = {one.kind for one in self.store.credentials(account.id)}
        found: list[Factor] = [kind for kind in ("totp", "passkey") if kind in kinds]
        must = self.required(account)
        if account.phone and self._can_text and (must or found):
            found.append("sms")
        if found and "recovery" in kinds:
            found.append("recovery")
        return tuple(found)

    def language(self, account: Account) -> str:
        """Theirs, or their company's."""
        if account.language or account.tenant is None:
            return account.language or "en"
        tenant = self.store.get("tenant", account.tenant)
        return tenant.language if isinstance(tenant, Tenant) else "en"

    # -- parts --------------------------------------------------------------------------------

    def _admit(self, email: str, account: Account | None, where: Where, now_ms: int) -> None:
        """Problem 429. From where the account was signed in before, others' failures do not lock
        it: only the own place's do."""
        wait_ms = self._places.wait_ms(where.address, now_ms)
        if account is None or not self.store.knows_address(account.id, where.address):
            wait_ms = max(wait_ms, self._accounts.wait_ms(email, now_ms))
        if wait_ms:
            raise Problem(429, "locked", "too many attempts have failed: wait a while",
                          headers={"Retry-After": str(wait_ms // 1000 + 1)})

    def _admit_second(self, ticket: str, where: Where, now_ms: int) -> None:
        account = self.whose(ticket, now_ms)
        self._admit(account.email if account else "", account, where, now_ms)

    def _try(self, ticket: str, now_ms: int) -> tuple[Pending, Account]:
        """One more try with a ticket; Problem 401."""
        found = self.store.pending(ticket, now_ms, "second")
        account = self._enabled(found)
        if found is None or account is None or found.data.get("tries", 0) >= TRIES:
            raise expired()
        self._note(ticket, now_ms, tries=found.data.get("tries", 0) + 1)
        return found, account

    def _code_is_right(self, pending: Pending, account: Account, ticket: str, factor: str,
                       code: str, now_ms: int) -> bool:
        match factor:
            case "totp":
                return self._totp_is_right(account, code, now_ms)
            case "sms":
                return pending.data.get("sms_until", 0) > now_ms and \
                    hmac.compare_digest(pending.data["sms"], factors.sms_digest(ticket, code))
            case _:
                return self.store.take_recovery(account.id, factors.recovery_digest(code))

    def _totp_is_right(self, account: Account, code: str, now_ms: int) -> bool:
        for one in self.store.credentials(account.id, "totp"):
            step = factors.totp_step(one.data, code, now_ms, one.counter)
            if step and self.store.use_credential(one.id, step, now_ms):
                return True
        return False

    async def _finish(self, account: Account | None, right: bool, ticket: str, factor: str,
                      where: Where, now_ms: int) -> Outcome:
        if account is None or not right:
            if account is not None:
                self._accounts.failed(account.email, now_ms)
            self._places.failed(where.address, now_ms)
            raise wrong()
        taken = await self.keep(lambda: self.store.take_pending(ticket, now_ms, "second"))
        if taken is None:
            raise expired()
        return await self.proceed(account, (*taken.data["factors"], factor), where, now_ms)

    def _note(self, ticket: str, now_ms: int, **more: Any) -> None:
        """Remember more with a ticket; inside a durable change, as others may have meanwhile."""
        found = self.store.pending(ticket, now_ms, "second")
        if found is None:
            raise expired()
        self.store.replace_pending(msgspec.structs.replace(found, data=found.data | more))

    def _link(self, account: Account, kind: Any, until_ms: int, now_ms: int) -> Invitation:
        token = new_token(self.random)
        url = f"{self.public_url}/sign-in/password#token={token}"  # a fragment is not logged
        self.store.add_pending(Pending(
            digest=token_digest(token), kind=kind, account=account.id, data={},
            created_ms=now_ms, until_ms=until_ms))
        if self._can_mail:
            self.store.add_deliveries([letters.invitation(
                account, self.language(account), url, now_ms, reset=kind == "reset")])
        return Invitation(token=token, url=url, until_ms=until_ms, mailed=self._can_mail)

    def _enabled(self, pending: Pending | None) -> Account | None:
        return None if pending is None or pending.account is None else self._by_id(pending.account)

    def _by_id(self, id_: int) -> Account | None:
        account = self.store.get("account", id_)
        return account if isinstance(account, Account) and account.enabled else None
