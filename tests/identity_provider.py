"""A real provider of identity: Canaille (OpenID Connect), in a process of its own, with a
database of its own.

    python -m tests.identity_provider PORT REDIRECT_URI DIRECTORY
"""

import re
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

import httpx

ROOT = Path(__file__).resolve().parent.parent
CLIENT, SECRET = "vaxel", "a/secret:with+signs%"
PASSWORD = "correct horse battery"
#: Of eva the provider says that her address is not verified.
PEOPLE = ("anna", "eva", "stranger")


class IdentityProvider(AbstractContextManager["IdentityProvider"]):
    """with IdentityProvider(port, redirect_uri, directory) as provider: ..."""

    def __init__(self, port: int, redirect_uri: str, directory: Path) -> None:
        self.issuer = f"http://localhost:{port}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.identity_provider", str(port), redirect_uri,
             str(directory)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True)
        self._redirect_uri = redirect_uri

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "up\n"
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def log_in(self, http: httpx.Client, location: str, name: str) -> str:
        """What the person does there; where the browser is sent back to."""
        answer = http.get(location)
        for _ in range(12):
            if answer.is_redirect:
                target = answer.headers["location"]
                if target.startswith(self._redirect_uri):
                    return str(target)
                answer = http.get(answer.request.url.join(target))
                continue
            token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', answer.text)
            assert answer.status_code == 200 and token, answer.text
            form = {"csrf_token": token[1]} | (
                {"login": name} if 'name="login"' in answer.text else {"password": PASSWORD})
            answer = http.post(answer.request.url, data=form)
        raise AssertionError("the provider never sends the browser back")


def main() -> None:
    """The process."""
    from canaille import create_app
    from canaille.app import models
    from canaille.backends import Backend
    from joserfc.jwk import RSAKey
    from werkzeug.serving import make_server

    port, redirect_uri, directory = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    key = RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)
    settings: dict[str, Any] = {
        "SECRET_KEY": "tests", "SERVER_NAME": f"localhost:{port}", "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {"SMTP": None, "DATABASE": "sql"},
        "CANAILLE_SQL": {"DATABASE_URI": f"sqlite:///{directory}/db.sqlite",
                         "PASSWORD_SCHEMES": "plaintext"},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [key]}}
    app = create_app(settings, env_file=None)
    app.config["CANAILLE_OIDC"]["USERINFO_MAPPING"]["EMAIL_VERIFIED"] = \
        "{{ 'false' if user.user_name == 'eva' else 'true' }}"
    with app.app_context(), Backend.instance.session():
        for name in PEOPLE:
            Backend.instance.save(models.User(
                user_name=name, formatted_name=name, family_name=name,
                emails=[f"{name}@example.com"], password=PASSWORD))
        client = models.Client(
            client_id=CLIENT, client_secret=SECRET, client_name="vaxel",
            client_uri="https://vaxel.localhost", redirect_uris=[redirect_uri],
            grant_types=["authorization_code"], response_types=["code"],
            scope=["openid", "email", "profile"],
            token_endpoint_auth_method="client_secret_basic")
        Backend.instance.save(client)
        client.audience = [client]
        Backend.instance.save(client)
    server = make_server("127.0.0.1", port, app, threaded=True)
    print("up", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
