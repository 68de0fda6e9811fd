"""Sign-in by OpenID Connect: authorization code with PKCE, against what discovery says."""

import asyncio
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import quote

import httpx
import msgspec
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwk, jws, jwt
from joserfc.errors import JoseError
from msgspec import Meta, Struct

from api.access.web import TIMEOUT_S, client
from store.model import Provider

#: A client secret is no signing key, and "none" no algorithm.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
                     "ES512", "EdDSA", "Ed25519")
SKEW_S: Final = 60
#: What a provider says of itself is asked again after so long; for a key that is not known, sooner.
CACHE_MS, KEYS_MS = 600_000, 60_000
MAX_CACHED: Final = 200
_Url = Annotated[str, Meta(pattern=r"^https?://[!-~]{1,400}\Z")]


class ProviderFailed(Exception):
    """The provider cannot be reached, or says what cannot be."""


class Refused(Exception):
    """The provider knows who it is, and that is nobody of ours, or is not sure."""


class Metadata(Struct, frozen=True):
    """What discovery says (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: _Url
    token_endpoint: _Url
    jwks_uri: _Url
    userinfo_endpoint: _Url | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Tokens(Struct, frozen=True):
    id_token: str
    access_token: str = ""


class _Keys(Struct, frozen=True):
    keys: Annotated[list[dict[str, Any]], Meta(max_length=100)]


class _Known(NamedTuple):
    metadata: Metadata
    keys: jwk.KeySet
    at_ms: int


class Started(NamedTuple):
    """What was sent to the provider, and is to come back. verifier, nonce: secret until then."""

    state: str
    nonce: str
    verifier: str


class Providers:
    """private: providers may be at private addresses and without TLS; redirect_uri: ours."""

    def __init__(self, redirect_uri: str, private: bool) -> None:
        self.redirect_uri = redirect_uri
        self._http = client(private)
        self._known: dict[str, _Known] = {}

    async def location(self, provider: Provider, started: Started, now_ms: int) -> str:
        """Where the person's browser goes to. ProviderFailed."""
        known = await self._of(provider.issuer, now_ms)
        uri: str = prepare_grant_uri(
            known.metadata.authorization_endpoint, provider.client_id, "code",
            redirect_uri=self.redirect_uri, scope="openid email profile", state=started.state,
            nonce=started.nonce, code_challenge_method="S256",
            code_challenge=create_s256_code_challenge(started.verifier))
        return uri

    async def email(self, provider: Provider, code: str, started: Started, now_ms: int) -> str:
        """The verified address of who signed in there. ProviderFailed, Refused."""
        known = await self._of(provider.issuer, now_ms)
        tokens = await self._exchange(provider, known.metadata, code, started)
        claims = await self._claims(provider, tokens, started, now_ms)
        if "email" not in claims and known.metadata.userinfo_endpoint and tokens.access_token:
            said = await self._ask(dict[str, Any], "GET", known.metadata.userinfo_endpoint,
                                   headers={"Authorization": f"Bearer {tokens.access_token}"})
            if said.get("sub") != claims["sub"]:
                raise ProviderFailed("the provider's user information is somebody else's")
            claims = said
        email = claims.get("email")
        # Some providers write the truth as a text.
        if not isinstance(email, str) or claims.get("email_verified") not in (True, "true"):
            raise Refused("the provider has not verified an e-mail address")
        return email

    async def _exchange(self, provider: Provider, metadata: Metadata, code: str,
                        started: Started) -> _Tokens:
        form = {"grant_type": "authorization_code", "code": code,
                "redirect_uri": self.redirect_uri, "code_verifier": started.verifier}
        auth: httpx.BasicAuth | None = None
        if not provider.secret:
            form["client_id"] = provider.client_id
        elif "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            # RFC 6749, 2.3.1: both are encoded as in a form first.
            auth = httpx.BasicAuth(quote(provider.client_id, safe=""),
                                   quote(provider.secret, safe=""))
        else:
            form |= {"client_id": provider.client_id, "client_secret": provider.secret}
        tokens: _Tokens = await self._ask(_Tokens, "POST", metadata.token_endpoint, data=form,
                                          auth=auth)
        return tokens

    async def _claims(self, provider: Provider, tokens: _Tokens, started: Started,
                      now_ms: int) -> dict[str, Any]:
        """What the ID token says, when it is this provider's, for us, and about this sign-in."""
        token = await self._verified(provider.issuer, tokens.id_token, now_ms)
        claims = CodeIDToken(
            token.claims, token.header,
            {"iss": {"essential": True, "value": provider.issuer},
             "aud": {"essential": True, "value": provider.client_id},
             "nonce": {"essential": True, "value": started.nonce},
             "sub": {"essential": True}},
            {"client_id": provider.client_id, "nonce": started.nonce,
             "access_token": tokens.access_token})
        try:
            claims.validate(now_ms // 1000, SKEW_S)
        except (JoseError, ValueError, TypeError) as error:
            raise ProviderFailed(f"the ID token is not acceptable: {error}") from error
        return dict(claims)

    async def _verified(self, issuer: str, text: str, now_ms: int) -> jwt.Token:
        known = await self._of(issuer, now_ms)
        try:
            kid = jws.extract_compact(text.encode()).headers().get("kid")
            if kid and all(key.kid != kid for key in known.keys):
                known = await self._of(issuer, now_ms, KEYS_MS)
            return jwt.decode(text, known.keys, algorithms=list(ALGORITHMS))
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise ProviderFailed(
                f"the ID token cannot be verified: {type(error).__name__}") from error

    # -- what a provider says of itself -------------------------------------------------------

    async def _of(self, issuer: str, now_ms: int, cache_ms: int = CACHE_MS) -> _Known:
        known = self._known.get(issuer)
        if known is None or now_ms - known.at_ms >= cache_ms:
            metadata = await self._ask(
                Metadata, "GET", issuer.rstrip("/") + "/.well-known/openid-configuration")
            if metadata.issuer != issuer:
                raise ProviderFailed("the provider says that it is another one")
            keys = await self._ask(_Keys, "GET", metadata.jwks_uri)
            known = _Known(metadata, _usable(keys.keys), now_ms)
            self._known.pop(issuer, None)
            if len(self._known) >= MAX_CACHED:
                del self._known[next(iter(self._known))]
            self._known[issuer] = known
        return known

    async def _ask(self, type_: type[Any], method: str, url: str, **more: Any) -> Any:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._http.request(method, url, **more)
            if answer.status_code != 200:
                raise ProviderFailed(f"{url} answered {answer.status_code}")
            return msgspec.json.decode(answer.content, type=type_)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, UnicodeError,
                RecursionError, msgspec.MsgspecError) as error:
            raise ProviderFailed(f"{url}: {type(error).__name__} {error}".strip()) from error


def _usable(keys: list[dict[str, Any]]) -> jwk.KeySet:
    """The public keys for signatures; a provider may have others."""
    found = []
    for key in keys:
        if key.get("kty") in ("RSA", "EC", "OKP") and key.get("use", "sig") == "sig":
            try:
                found.append(jwk.import_key(key))
            except (JoseError, ValueError, TypeError, KeyError):
                continue
    return jwk.KeySet(found)
