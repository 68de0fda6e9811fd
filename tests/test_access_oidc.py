"""Sign-in by OpenID Connect: with a real provider over the whole way, and with hostile ones."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from api.access.oidc import CALLBACK, Identity
from api.access.shapes import Callback, SignIn
from api.http.errors import Problem
from store.model import Account, Provider, Tenant
from tests.identity_provider import CLIENT, SECRET, IdentityProvider
from tests.test_access import AWAY, HOME, ORIGIN, Desk
from tests.test_store import put, swap
from vaxel.ports import free_port

KEY, OTHER = RSAKey.generate_key(2048, auto_kid=True), RSAKey.generate_key(2048, auto_kid=True)


class Playing:
    """A provider over real HTTP that answers what a test wants."""

    def __init__(self) -> None:
        playing = self
        self.keys: list[dict[str, Any]] = [KEY.as_dict(private=False)]
        self.metadata: dict[str, Any] = {}
        self.token: Callable[[dict[str, Any]], str] = lambda claims: jwt.encode(
            {"alg": "RS256", "kid": KEY.kid}, claims, KEY)
        self.claims: dict[str, Any] = {}
        self.left_out: tuple[str, ...] = ()
        self.userinfo: dict[str, Any] = {}
        self.nonce: Callable[[], str] = lambda: ""
        self.asked: list[tuple[str, dict[str, list[str]], str]] = []

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            def do_GET(self) -> None:
                """Discovery, keys, the person."""
                playing.asked.append((self.path, {}, self.headers.get("Authorization", "")))
                self._say({"/.well-known/openid-configuration": playing.discovery(),
                           "/keys": {"keys": playing.keys}, "/userinfo": playing.userinfo}.get(
                               self.path, {}))

            def do_POST(self) -> None:
                """The token."""
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                playing.asked.append((self.path, form, self.headers.get("Authorization", "")))
                self._say({"id_token": playing.id_token(), "access_token": "access",
                           "token_type": "Bearer"})

            def _say(self, body: Any) -> None:
                text = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_arguments: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def discovery(self) -> dict[str, Any]:
        """As it should be, and as the test wants it."""
        return {"issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys",
                "userinfo_endpoint": f"{self.issuer}/userinfo"} | self.metadata

    def id_token(self) -> str:
        """As it should be, and as the test wants it."""
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 300,
                  "nonce": self.nonce(), "email": "anna@example.com", "email_verified": True}
        return self.token({name: value for name, value in (claims | self.claims).items()
                           if name not in self.left_out})


class Visit:
    """Anna's browser, and a provider."""

    def __init__(self, issuer: str, public_url: str = ORIGIN) -> None:
        self.desk = Desk(public_url=public_url)
        self.desk.now = int(time.time() * 1000)
        self.nonce = ""
        self.identity = Identity(self.desk.access, {"webhooks_to_private": True})
        self.row: Provider = put(self.desk.store, Provider(
            tenant=self.desk.tenant.id, name="Playing", issuer=issuer, client_id=CLIENT,
            secret=SECRET))

    def leave(self) -> tuple[str, str]:
        """(where the browser goes to, its cookie)"""
        location, binding, _ = self.desk.run(self.identity.begin(self.row.id, self.desk.now))
        return location, binding

    def begin(self) -> tuple[dict[str, str], str]:
        """(what the browser takes along, its cookie)"""
        location, binding = self.leave()
        sent = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        self.nonce = sent["nonce"]
        return sent, binding

    def finish(self, state: str, binding: str, **more: str) -> SignIn:
        """Back from there."""
        said = msgspec.convert({"state": state, "code": "code"} | more, Callback)
        return self.desk.run(self.identity.finish(said, binding, HOME, self.desk.now)).answer

    def all_of_it(self) -> SignIn:
        """There and back."""
        sent, binding = self.begin()
        return self.finish(sent["state"], binding)

    def refused(self, work: Callable[[], Any]) -> str:
        """The code of the problem."""
        with pytest.raises(Problem) as caught:
            work()
        return caught.value.code


@pytest.fixture(name="playing")
def a_provider() -> Iterator[Playing]:
    """It ends with the test."""
    playing = Playing()
    yield playing
    playing.server.shutdown()
    playing.server.server_close()


@pytest.fixture(name="visit")
def a_visit(playing: Playing) -> Iterator[Visit]:
    """To the company's provider."""
    visit = Visit(playing.issuer)
    playing.nonce = lambda: visit.nonce
    yield visit
    visit.desk.close()


def test_there_and_back(visit: Visit, playing: Playing) -> None:
    """What is sent there, what is asked for with the code, and the session."""
    sent, binding = visit.begin()
    assert sent | {"state": "", "nonce": "", "code_challenge": ""} == {
        "response_type": "code", "client_id": CLIENT, "redirect_uri": ORIGIN + CALLBACK,
        "scope": "openid email profile", "state": "", "nonce": "", "code_challenge": "",
        "code_challenge_method": "S256"}
    answer = visit.finish(sent["state"], binding, iss=playing.issuer)
    session = visit.desk.session(answer.token)
    assert (session.account, session.factors, session.second) == (
        visit.desk.anna.id, ("oidc",), False)
    path, form, authorization = playing.asked[-1]
    assert path == "/token"
    assert form["code"] == ["code"]
    assert form["redirect_uri"] == [ORIGIN + CALLBACK]
    assert len(form["code_verifier"][0]) == 43
    assert base64.b64decode(authorization.removeprefix("Basic ")).decode() \
        == "vaxel:a%2Fsecret%3Awith%2Bsigns%25"


def test_without_a_secret_and_with_one_in_the_form(visit: Visit, playing: Playing) -> None:
    """As the row and the provider say."""
    playing.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    visit.all_of_it()
    _, form, authorization = playing.asked[-1]
    assert (form["client_secret"], authorization) == ([SECRET], "")
    swap(visit.desk.store, msgspec.structs.replace(visit.row, secret=""))
    visit.all_of_it()
    _, form, authorization = playing.asked[-1]
    assert (form["client_id"], "client_secret" in form, authorization) == ([CLIENT], False, "")


def test_a_state_is_used_once_by_the_browser_that_was_sent(visit: Visit) -> None:
    """Not unknown, not again, not elsewhere, not too late; a failed attempt uses it up too."""
    sent, binding = visit.begin()
    assert visit.refused(lambda: visit.finish("x" * 43, binding)) == "ticket_expired"
    assert visit.refused(lambda: visit.finish("", binding)) == "ticket_expired"
    assert visit.finish(sent["state"], binding).token
    assert visit.refused(lambda: visit.finish(sent["state"], binding)) == "ticket_expired"
    sent, binding = visit.begin()
    assert visit.refused(lambda: visit.finish(sent["state"], "")) == "ticket_expired"
    assert visit.refused(lambda: visit.finish(sent["state"], binding)) == "ticket_expired"
    sent, binding = visit.begin()
    visit.desk.now += 600_000
    assert visit.refused(lambda: visit.finish(sent["state"], binding)) == "ticket_expired"


def test_what_a_provider_may_refuse(visit: Visit) -> None:
    """And another one may not answer for it."""
    sent, binding = visit.begin()
    assert visit.refused(lambda: visit.finish(
        sent["state"], binding, code="", error="access_denied")) == "sign_in_refused"
    sent, binding = visit.begin()
    assert visit.refused(lambda: visit.finish(
        sent["state"], binding, iss="https://other.example")) == "provider_failed"


NOW_S = int(time.time())
CLAIMS: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "somebody"}, "no audience": {"aud": []},
    "several audiences, no party": {"aud": [CLIENT, "other"]},
    "several audiences, another party": {"aud": [CLIENT, "other"], "azp": "other"},
    "another party": {"azp": "other"}, "another issuer": {"iss": "https://other.example"},
    "an issuer in a list": {"iss": ["https://other.example"]},
    "expired": {"exp": NOW_S - 61}, "not yet issued": {"iat": NOW_S + 600},
    "not yet valid": {"nbf": NOW_S + 600}, "a text for a time": {"exp": "tomorrow"},
    "another nonce": {"nonce": "x"}, "an empty nonce": {"nonce": ""},
    "another access token": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    "a strange hash": {"at_hash": 5}, "a strange audience": {"aud": {"a": 1}},
    "a strange party": {"azp": [CLIENT]}, "a strange subject": {"sub": ["1"]},
    "a strange time": {"exp": [1]},
    "a strange nonce": {"nonce": [1]}, "strange methods": {"amr": "pwd"}}


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS)
def test_id_tokens_that_are_not_for_us(visit: Visit, playing: Playing,
                                       claims: dict[str, Any]) -> None:
    """Each for one claim."""
    playing.claims = claims
    assert visit.refused(visit.all_of_it) == "provider_failed"


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "exp", "iat", "nonce"])
def test_id_tokens_that_leave_something_out(visit: Visit, playing: Playing, name: str) -> None:
    """Each for one claim."""
    playing.left_out = (name,)
    assert visit.refused(visit.all_of_it) == "provider_failed"


def test_clocks_may_differ_by_a_minute(visit: Visit, playing: Playing) -> None:
    """And several audiences are fine when we are the party."""
    now = int(time.time())
    playing.claims = {"exp": now - 30, "iat": now + 30, "aud": [CLIENT, "other"], "azp": CLIENT}
    assert visit.all_of_it().token


def _unsigned(claims: dict[str, Any]) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'kid': KEY.kid})}.{part(claims)}."


SIGNATURES: dict[str, Callable[[dict[str, Any]], str]] = {
    "none": _unsigned,
    "another key": lambda claims: jwt.encode({"alg": "RS256", "kid": KEY.kid}, claims, OTHER),
    "an unknown key": lambda claims: jwt.encode({"alg": "RS256", "kid": OTHER.kid}, claims, OTHER),
    "the secret": lambda claims: jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET)),
    "the public key as a secret": lambda claims: jwt.encode(
        {"alg": "HS256", "kid": KEY.kid}, claims, OctKey.import_key(KEY.as_pem(private=False))),
    "no token": lambda _claims: "garbage", "half a token": lambda claims: jwt.encode(
        {"alg": "RS256", "kid": KEY.kid}, claims, KEY).rpartition(".")[0]}


@pytest.mark.parametrize("token", SIGNATURES.values(), ids=SIGNATURES)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_signatures_that_are_not_the_provider_s(visit: Visit, playing: Playing,
                                                token: Callable[[dict[str, Any]], str]) -> None:
    """Only an asymmetric one, by a key that the provider shows."""
    playing.token = token
    assert visit.refused(visit.all_of_it) == "provider_failed"


def test_a_provider_changes_its_keys(visit: Visit, playing: Playing) -> None:
    """They are asked for again when one is not known, but not all the time."""
    assert visit.all_of_it().token
    playing.keys = [{"kty": "strange"}, {"kty": "RSA", "n": "!"}, OTHER.as_dict(private=False)]
    playing.token = lambda claims: jwt.encode({"alg": "RS256", "kid": OTHER.kid}, claims, OTHER)
    assert visit.refused(visit.all_of_it) == "provider_failed"
    visit.desk.now += 60_000
    assert visit.all_of_it().token
    asked = [path for path, _, _ in playing.asked].count("/keys")
    assert visit.all_of_it().token
    assert [path for path, _, _ in playing.asked].count("/keys") == asked == 2


@pytest.mark.parametrize(("claims", "code"), [
    ({"email_verified": False}, "sign_in_refused"), ({"email_verified": None}, "sign_in_refused"),
    ({"email_verified": "no"}, "sign_in_refused"), ({"email": 5}, "sign_in_refused"),
    ({"email": "nobody@example.com"}, "sign_in_refused"),
    ({"email": "else@example.com"}, "sign_in_refused"),
    ({"email": "away@example.com"}, "sign_in_refused"),
    ({"email": "operator@example.com"}, "sign_in_refused"),
    ({"email": "Anna@Example.com", "email_verified": "true"}, "")], ids=str)
def test_whose_address_it_is(visit: Visit, playing: Playing, claims: dict[str, Any],
                             code: str) -> None:
    """A verified one, of an enabled account of the provider's own company."""
    store = visit.desk.store
    other = put(store, Tenant(name="Other"))
    put(store, Account(tenant=other.id, email="else@example.com", name="E", role="user"))
    put(store, Account(email="operator@example.com", name="O", role="operator"))
    visit.desk.account("away@example.com", "A", enabled=False)
    playing.claims = claims
    if code:
        assert visit.refused(visit.all_of_it) == code
    else:
        assert visit.all_of_it().token


def test_an_address_from_the_user_information(visit: Visit, playing: Playing) -> None:
    """When the token has none; it must be about the same person."""
    playing.left_out = ("email", "email_verified")
    playing.userinfo = {"sub": "1", "email": "anna@example.com", "email_verified": True}
    assert visit.all_of_it().token
    assert playing.asked[-1] == ("/userinfo", {}, "Bearer access")
    playing.userinfo["sub"] = "2"
    assert visit.refused(visit.all_of_it) == "provider_failed"
    playing.userinfo = {}
    assert visit.refused(visit.all_of_it) == "provider_failed"


@pytest.mark.parametrize("metadata", [
    {"issuer": "https://other.example"}, {"issuer": ""}, {"token_endpoint": "file:///etc/passwd"},
    {"jwks_uri": 5}, {"jwks_uri": "http://127.0.0.1:1/keys"}], ids=str)
def test_discovery_that_cannot_be(visit: Visit, playing: Playing, metadata: dict[str, Any]) -> None:
    """A provider speaks for itself."""
    playing.metadata = metadata
    assert visit.refused(visit.all_of_it) == "provider_failed"


def test_an_answer_that_is_too_long(visit: Visit, playing: Playing) -> None:
    """Is not read to its end."""
    playing.metadata = {"x": "x" * 300_000}
    assert visit.refused(visit.begin) == "provider_failed"


@pytest.mark.parametrize("issuer", [
    "https://127.0.0.1", "https://localhost", "https://10.0.0.1", "https://[::1]",
    "https://169.254.169.254", "http://id.example", "https://[::ffff:127.0.0.1]"])
def test_a_provider_is_nowhere_inside(visit: Visit, issuer: str) -> None:
    """Without the setting: only https, and only public addresses."""
    visit.identity = Identity(visit.desk.access, {})
    swap(visit.desk.store, msgspec.structs.replace(visit.row, issuer=issuer))
    with pytest.raises(Problem, match=r"only https|which is no public address") as caught:
        visit.begin()
    assert (caught.value.status, caught.value.code) == (502, "provider_failed")


def test_second_factors(visit: Visit) -> None:
    """The provider's own counts when its row says so; else it is asked for here."""
    swap(visit.desk.store, msgspec.structs.replace(visit.desk.tenant, second_factor=True))
    answer = visit.all_of_it()
    assert answer.second_factor == ("sms",)
    assert not answer.token
    swap(visit.desk.store, msgspec.structs.replace(visit.row, second_factor=True))
    session = visit.desk.session(visit.all_of_it().token)
    assert (session.factors, session.second, session.must_enrol) == (
        ("oidc", "provider"), True, False)


def test_a_lock_does_not_hold_for_providers(visit: Visit) -> None:
    """They have locks of their own."""
    for _ in range(12):
        visit.refused(lambda: visit.desk.sign_in("wrong", where=AWAY))
    assert visit.refused(lambda: visit.desk.sign_in(where=AWAY)) == "locked"
    assert visit.all_of_it().token


def test_which_providers_are_offered(visit: Visit) -> None:
    """By the domain, when all its accounts are one company's; no account is told from another."""
    store = visit.desk.store
    shown = [{"id": visit.row.id, "name": "Playing"}]

    def offered(email: str | None) -> Any:
        return msgspec.to_builtins(visit.identity.offered(email))

    for email in ("anna@example.com", "nobody@EXAMPLE.com"):
        assert offered(email) == shown
    assert offered("anna@elsewhere.example") == offered(None) == []
    swap(store, msgspec.structs.replace(visit.row, enabled=False))
    assert offered("anna@example.com") == []
    assert visit.refused(visit.begin) == "not_found"
    swap(store, visit.row)
    other = put(store, Tenant(name="Other"))
    put(store, Account(tenant=other.id, email="else@example.com", name="E", role="user"))
    assert offered("anna@example.com") == []


# -- a real provider ---------------------------------------------------------------------------

def test_with_a_real_provider(tmp_path: Path) -> None:
    """Canaille in a process of its own, and a browser that follows every redirection."""
    port, ours = free_port(), f"http://localhost:{free_port()}"
    visit = Visit(f"http://localhost:{port}", ours)
    visit.desk.account("eva@example.com", "Eva")
    with IdentityProvider(port, ours + CALLBACK, tmp_path) as provider:
        def back(name: str) -> tuple[dict[str, str], str]:
            location, binding = visit.leave()
            with httpx.Client() as http:
                return dict(httpx.URL(provider.log_in(http, location, name)).params), binding

        first, binding = back("anna")
        assert first["iss"] == provider.issuer
        answer = visit.finish(binding=binding, **first)
        assert visit.desk.session(answer.token).account == visit.desk.anna.id
        mine, my_binding = back("anna")
        theirs, their_binding = back("anna")
        for (said, binding), code in (((mine, my_binding), theirs["code"]),
                                      ((theirs, their_binding), first["code"])):
            with pytest.raises(Problem, match=r"/oauth/token answered 400"):
                visit.finish(binding=binding, **said | {"code": code})
        for name in ("eva", "stranger"):
            said, binding = back(name)
            with pytest.raises(Problem) as caught:
                visit.finish(binding=binding, **said)
            assert caught.value.code == "sign_in_refused"
    visit.desk.close()
