"""Signing in with a provider of identity: what is remembered while the person is there.

A provider speaks for the accounts of its own company, the operator's for the operator's. What comes
back must come to the browser that was sent away: it holds a cookie that nobody else has.
"""

import hmac
from typing import Any, Final

from api.access.providers import ProviderFailed, Providers, Refused, Started
from api.access.sessions import Where, new_token
from api.access.shapes import Callback, ProviderShown
from api.access.sign_in import TICKET_MS, Access, Outcome, expired
from api.http.errors import Problem, no_such
from store import NotFound
from store.accounts import Pending, token_digest
from store.model import Provider

CALLBACK: Final = "/v1/sign-in/oidc/callback"
#: Of one company, that people are shown.
MAX_SHOWN: Final = 20


class Identity:
    """access: what a person who is known goes on with."""

    def __init__(self, access: Access, settings: dict[str, Any]) -> None:
        self._access = access
        self._providers = Providers(access.public_url + CALLBACK,
                                    bool(settings.get("webhooks_to_private", False)))

    def offered(self, email: str | None) -> list[ProviderShown]:
        """The providers for addresses of that domain: when all its accounts are one company's. No
        account is told from another."""
        owners = self._access.store.owners_of_domain(
            email.partition("@")[2].lower()) if email else []
        if len(owners) != 1:
            return []
        return [ProviderShown(id=row.id, name=row.name) for row in self._access.store.find(
                "provider", limit=MAX_SHOWN, tenant=owners[0], enabled=1)
                if isinstance(row, Provider)]

    async def begin(self, id_: int, now_ms: int) -> tuple[str, str, int]:
        """(where the browser goes to, the value of its cookie, until when). Problem 404, 502."""
        provider = self._provider(id_)
        random = self._access.random
        started = Started(new_token(random), new_token(random), new_token(random))
        binding = new_token(random)
        try:
            location = await self._providers.location(provider, started, now_ms)
        except ProviderFailed as error:
            raise failed(error) from error
        pending = Pending(
            digest=token_digest(started.state), kind="oidc", account=None, created_ms=now_ms,
            until_ms=now_ms + TICKET_MS, data={
                "provider": provider.id, "nonce": started.nonce, "verifier": started.verifier,
                "binding": token_digest(binding)})
        await self._access.keep(lambda: self._access.store.add_pending(pending))
        return location, binding, pending.until_ms

    async def finish(self, said: Callback, binding: str, where: Where, now_ms: int) -> Outcome:
        """Who came back. Problem 401, 403, 502."""
        pending = await self._access.keep(
            lambda: self._access.store.take_pending(said.state, now_ms, "oidc"))
        if pending is None or not hmac.compare_digest(
                pending.data["binding"], token_digest(binding)):
            raise expired()
        provider = self._provider(pending.data["provider"])
        if said.iss and said.iss != provider.issuer:  # RFC 9207
            raise failed(ProviderFailed("another provider has answered"))
        if said.error or not said.code:
            raise refused("the provider did not let the person in")
        started = Started(said.state, pending.data["nonce"], pending.data["verifier"])
        try:
            email = await self._providers.email(provider, said.code, started, now_ms)
        except ProviderFailed as error:
            raise failed(error) from error
        except Refused as error:
            raise refused(str(error)) from error
        account = self._access.account_of(email)
        if account is None or account.tenant != provider.tenant:
            raise refused("nobody with this address may sign in with this provider")
        return await self._access.proceed(
            account, ("oidc", "provider") if provider.second_factor else ("oidc",), where, now_ms)

    def _provider(self, id_: int) -> Provider:
        try:
            row = self._access.store.get("provider", id_)
        except NotFound:
            raise no_such("provider") from None
        if not isinstance(row, Provider) or not row.enabled:
            raise no_such("provider")
        return row


def failed(error: Exception) -> Problem:
    """It is the provider's fault."""
    return Problem(502, "provider_failed", str(error)[:300])


def refused(why: str) -> Problem:
    """It is nobody's."""
    return Problem(403, "sign_in_refused", why)
