"""Signing in over HTTP: a real API process, a real provider of identity."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pyotp
import pytest

from api.access.oidc import CALLBACK
from api.access.routes import COOKIE
from routing_core import mapping
from store import SqliteStore
from tests.authenticator import Authenticator
from tests.exchange import ROOT, eventually
from tests.identity_provider import CLIENT, SECRET, IdentityProvider
from vaxel.ports import free_port
from vaxel.settings import private_settings, save

PASSWORD = "a long enough phrase"


class Api:
    """The running process. As the operator unless a token is given; token "": nobody."""

    def __init__(self, settings: Any) -> None:
        self.origin = f"http://localhost:{settings.api_port}"
        self.key = settings.api_key
        self.http = httpx.Client(base_url=f"{self.origin}/v1", timeout=20)

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None,
            **headers: str) -> httpx.Response:
        """Whatever the answer."""
        given = self.key if token is None else token
        return self.http.request(method, path, json=body, headers=headers | (
            {"Authorization": f"Bearer {given}"} if given else {}))

    def ok(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        """The answer to what works."""
        answer = self.ask(method, path, body, token)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, body: Any = None, token: str | None = None) -> str:
        """The code of the problem."""
        answer = self.ask(method, path, body, token)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        return str(answer.json()["code"])


class Company:
    """A company of a test, with its administrator Anna, who has chosen a password."""

    def __init__(self, api: Api, name: str) -> None:
        self.api, self.domain = api, f"{name}.example"
        self.id = int(api.ok("POST", "/tenants", {"name": name})["id"])
        self.base = f"/tenants/{self.id}/accounts"
        self.anna = self.account("anna", "administrator")

    def account(self, name: str, role: str, **more: Any) -> int:
        """With the password."""
        id_ = int(self.api.ok("POST", self.base, {
            "email": f"{name}@{self.domain}", "name": name, "role": role} | more)["id"])
        token = self.api.ok("POST", f"{self.base}/{id_}/invitation")["token"]
        self.api.ok("POST", "/sign-in/password", {"token": token, "password": PASSWORD}, "")
        return id_

    def sign_in(self, name: str = "anna", password: str = PASSWORD) -> Any:
        """The answer to the first step."""
        return self.api.ok("POST", "/sign-in", {
            "email": f"{name}@{self.domain}", "password": password}, "")

    def token(self, name: str = "anna") -> str:
        """Of a session."""
        return str(self.sign_in(name)["token"])


@pytest.fixture(scope="module", name="running")
def running_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The API process alone; providers may be on loopback."""
    state = tmp_path_factory.mktemp("state")
    settings = private_settings(state)
    settings.webhooks_to_private = True
    settings.public_url = f"http://localhost:{settings.api_port}"
    save(state, settings)
    with (state / "output").open("wb") as output, subprocess.Popen(
            [sys.executable, "-m", "api.app", str(state)], cwd=ROOT, stdout=output,
            stderr=output) as process:
        api = Api(settings)

        def up() -> bool:
            assert process.poll() is None, (state / "output").read_text()
            try:
                return api.ask("GET", "/me").is_success
            except httpx.HTTPError:
                return False

        eventually(up, 40)
        store = SqliteStore(state / "vaxel.db")
        try:
            yield SimpleNamespace(api=api, store=store, state=state)
        finally:
            store.close()
            process.terminate()
            process.wait(20)
    mapping.remove_live(state)


@pytest.fixture(name="api")
def the_api(running: SimpleNamespace) -> Api:
    """As the operator."""
    found: Api = running.api
    return found


def test_from_an_invitation_to_signing_out(api: Api, running: SimpleNamespace) -> None:
    """What a person does on the first day, and what is written down about it."""
    company = Company(api, "first")
    assert api.refused("POST", "/sign-in", {"email": "anna@first.example", "password": "x"}, "") \
        == "wrong_credentials"
    answer = api.ask("POST", "/sign-in", {
        "email": "anna@first.example", "password": PASSWORD}, "", **{"User-Agent": "a browser"})
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    token = answer.json()["token"]
    me = api.ok("GET", "/me", token=token)
    assert (me["account"], me["tenant"], me["role"], me["email"]) == (
        company.anna, company.id, "administrator", "anna@first.example")
    assert "users:write" in me["rights"]
    assert "tenants:write" not in me["rights"]
    api.ok("POST", f"/tenants/{company.id}/users", {"name": "Bo"}, token)
    assert api.refused("POST", "/tenants", {"name": "Another"}, token) == "forbidden"
    sessions = api.ok("GET", "/me/sessions", token=token)["items"]
    assert [(one["agent"], one["current"], one["factors"]) for one in sessions] \
        == [("a browser", True, ["password"])]
    api.ok("POST", "/sign-out", token=token)
    assert api.refused("GET", "/me", token=token) == "unauthenticated"
    api.refused("POST", "/sign-in", {"email": "nobody@first.example", "password": "x"}, "")
    company.token()
    eventually(lambda: [
        (one.status, one.said) for one in reversed(running.store.audit(company.id))
        if one.path == "/v1/sign-in"] == [
            (401, f"account {company.anna}: password refused"),
            (200, f"account {company.anna}: password, signed in"),
            (200, f"account {company.anna}: password, signed in")])
    text = (running.state / "output").read_text()
    for secret in (PASSWORD, token):
        assert secret not in text


def test_a_second_factor_that_must_be(api: Api) -> None:
    """Nothing else is done before it is set up; then it is asked for."""
    company = Company(api, "second")
    api.ok("PATCH", f"/tenants/{company.id}", {"second_factor": True})
    answer = company.sign_in()
    assert answer["must_enrol"] is True
    token = answer["token"]
    assert api.refused("GET", f"/tenants/{company.id}/users", token=token) \
        == "second_factor_required"
    assert api.ok("GET", "/me", token=token)["must_enrol"] is True
    begun = api.ok("POST", "/me/totp", token=token)
    app = pyotp.TOTP(begun["secret"])
    api.ok("POST", "/me/totp/confirm", {"ticket": begun["ticket"], "code": app.now()}, token)
    assert api.ok("GET", f"/tenants/{company.id}/users", token=token)["items"] == []
    codes = api.ok("POST", "/me/recovery-codes", token=token)["codes"]
    answer = company.sign_in()
    assert answer["second_factor"] == ["totp", "recovery"]
    wrong = {"ticket": answer["ticket"], "factor": "totp", "code": "no"}
    assert api.refused("POST", "/sign-in/second", wrong, "") == "wrong_credentials"
    done = api.ok("POST", "/sign-in/second",
                  wrong | {"factor": "recovery", "code": codes[0]}, "")
    assert api.ok("GET", "/me", token=done["token"])["recovery_codes"] == 9
    assert api.refused("DELETE", "/me/totp", token=done["token"]) == "not_now"
    api.ok("DELETE", f"{company.base}/{company.anna}/second-factor")
    assert api.refused("GET", "/me", token=done["token"]) == "unauthenticated"
    assert company.sign_in()["must_enrol"] is True


def test_a_passkey(api: Api) -> None:
    """Made, shown, used alone, removed."""
    company = Company(api, "third")
    token, key = company.token(), Authenticator()
    begun = api.ok("POST", "/me/passkeys/options", token=token)
    made = api.ok("POST", "/me/passkeys", {
        "ticket": begun["ticket"], "name": "Key",
        "credential": key.create(begun["options"], api.origin)}, token)
    assert [one["id"] for one in api.ok("GET", "/me/passkeys", token=token)["items"]] \
        == [made["id"]]
    begun = api.ok("POST", "/sign-in/passkey/options", {}, "")
    done = api.ok("POST", "/sign-in/passkey", {
        "ticket": begun["ticket"], "credential": key.get(begun["options"], api.origin)}, "")
    api.ok("DELETE", f"/me/passkeys/{made['id']}", token=done["token"])
    assert company.sign_in()["token"]


def test_a_new_password(api: Api) -> None:
    """Elsewhere one is signed out; a repeated request is not done twice."""
    company = Company(api, "fourth")
    here, there = company.token(), company.token()
    assert api.refused("PUT", "/me/password", {"old": "x", "new": PASSWORD}, here) \
        == "wrong_credentials"
    assert api.refused("PUT", "/me/password", {"old": PASSWORD, "new": "short"}, here) \
        == "weak_password"
    for _ in range(2):
        answer = api.ask("PUT", "/me/password", {"old": PASSWORD, "new": "another long phrase"},
                         here, **{"Idempotency-Key": "one"})
        assert answer.status_code == 204, answer.text
    assert api.refused("GET", "/me", token=there) == "unauthenticated"
    assert company.sign_in(password="another long phrase")["token"]


def test_what_administrators_do(api: Api) -> None:
    """In their own company, and nothing above them."""
    company, other = Company(api, "fifth"), Company(api, "sixth")
    token = company.token()
    boss = api.ok("POST", "/accounts", {
        "email": "boss@fifth.example", "name": "Boss", "role": "operator"})["id"]
    bo = company.account("bo", "supervisor")
    bos = company.token("bo")
    assert len(api.ok("GET", f"{company.base}/{bo}/sessions", token=token)["items"]) == 1
    api.ok("DELETE", f"{company.base}/{bo}/sessions", token=token)
    assert api.refused("GET", "/me", token=bos) == "unauthenticated"
    for path in (f"{company.base}/{boss}", f"{company.base}/{other.anna}",
                 f"{other.base}/{other.anna}", f"{company.base}/999999"):
        assert api.refused("POST", f"{path}/invitation", token=token) == "not_found"
        assert api.refused("GET", f"{path}/sessions", token=token) == "not_found"
    assert api.refused("POST", f"/accounts/{bo}/invitation", token=token) == "forbidden"
    assert api.ok("POST", f"/accounts/{boss}/invitation")["mailed"] is False
    bos = company.token("bo")
    assert api.refused("POST", f"{company.base}/{bo}/invitation", token=bos) == "forbidden"
    api.ok("PATCH", f"{company.base}/{bo}", {"enabled": False}, token)
    assert api.refused("GET", "/me", token=bos) == "unauthenticated"
    assert api.refused("POST", f"{company.base}/{bo}/invitation", token=token) == "not_now"
    api.ok("DELETE", f"{company.base}/{bo}", token=token)


@pytest.mark.parametrize(("path", "body"), [
    ("/sign-in", {"email": "x", "password": "y"}), ("/sign-in", {"email": "a@b.se"}),
    ("/sign-in", {"email": "a@b.se", "password": "p", "admin": True}),
    ("/sign-in/second", {"ticket": "x" * 43, "factor": "passkey", "code": "1"}),
    ("/sign-in/second", {"ticket": "../" * 10, "factor": "totp", "code": "1"}),
    ("/sign-in/passkey", {"ticket": "x" * 43, "credential": []}),
    ("/sign-in/password", {"token": "x" * 43, "password": "p" * 1001})], ids=str)
def test_bodies_that_are_not_right(api: Api, path: str, body: Any) -> None:
    """Said by the shapes."""
    assert api.refused("POST", path, body, "") == "invalid"


def test_keys_are_not_people(api: Api) -> None:
    """They have rights, and no password."""
    assert api.ok("GET", "/me")["by"] == "operator"
    for method, path in (("GET", "/me/sessions"), ("POST", "/me/totp"), ("POST", "/sign-out")):
        assert api.refused(method, path) == "forbidden"
    for token in ("vs_" + "x" * 43, "vs_", "x"):
        assert api.refused("GET", "/me", token=token) == "unauthenticated"


def test_with_a_provider_of_identity(api: Api, tmp_path: Path) -> None:
    """The whole dance: there, a password there, back, and a session here."""
    company = Company(api, "example")  # its people are those of the provider
    api.ok("PATCH", f"{company.base}/{company.anna}", {"email": "anna@example.com"})
    with IdentityProvider(free_port(), api.origin + CALLBACK, tmp_path) as provider:
        row = api.ok("POST", f"/tenants/{company.id}/providers", {
            "name": "Canaille", "issuer": provider.issuer, "client_id": CLIENT, "secret": SECRET})
        assert "secret" not in row
        offered = api.http.get("/sign-in/providers", params={"email": "who@example.com"})
        assert offered.json()["items"] == [{"id": row["id"], "name": "Canaille"}]
        with httpx.Client() as browser, httpx.Client() as other:
            begun = browser.post(f"{api.origin}/v1/sign-in/oidc/{row['id']}")
            cookie = begun.headers["set-cookie"]
            assert cookie.startswith(f"{COOKIE}=")
            assert f"Path={CALLBACK}; HttpOnly; SameSite=Lax" in cookie
            back = provider.log_in(browser, begun.json()["location"], "anna")
            answer = browser.get(back)
            assert answer.status_code == 200, answer.text
            me = api.ok("GET", "/me", token=answer.json()["token"])
            assert me["account"] == company.anna
            assert browser.get(back).json()["code"] == "ticket_expired"
            begun = browser.post(f"{api.origin}/v1/sign-in/oidc/{row['id']}")
            back = provider.log_in(browser, begun.json()["location"], "anna")
            assert other.get(back).json()["code"] == "ticket_expired"
    assert api.refused("POST", "/sign-in/oidc/999999", token="") == "not_found"
