"""The API process alone, for tests that need no calls."""

import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from routing_core import mapping
from store import SqliteStore
from tests.exchange import ROOT, eventually
from vaxel import settings as settings_file
from vaxel.command import private_settings


class Alone:
    """with Alone(**settings) as api: ...  store: a connection of the test's own."""

    def __init__(self, **settings: Any) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="vaxel-api-")
        self.state = Path(self._folder.name)
        self.settings = private_settings(self.state)
        for name, value in ({"rate_per_s": 100_000, "rate_burst": 100_000} | settings).items():
            setattr(self.settings, name, value)
        settings_file.save(self.state, self.settings)

    def __enter__(self) -> Self:
        self.http = httpx.Client(
            base_url=f"http://{self.settings.address}:{self.settings.api_port}/v1", timeout=20,
            headers={"Authorization": f"Bearer {self.settings.api_key}"})
        self._output = (self.state / "output").open("wb")
        self.start()
        self.store = SqliteStore(self.state / "vaxel.db")
        return self

    def start(self) -> None:
        """The process, until it answers."""
        self.process = subprocess.Popen([sys.executable, "-m", "vaxel.logged", "api", "info",
                                         "api.app", str(self.state)],
                                        cwd=ROOT, stdout=self._output, stderr=self._output)
        try:
            eventually(self._up, 30)
        except AssertionError as error:
            output = (self.state / "output").read_text()
            self.__exit__(None, None, None)
            raise AssertionError(output) from error

    def _up(self) -> bool:
        assert self.process.poll() is None, (self.state / "output").read_text()
        try:
            return self.http.get("/health").status_code in (200, 503)
        except httpx.HTTPError:
            return False

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None,
                 _trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        self._output.close()
        self.http.close()
        mapping.remove_live(self.state)
        self._folder.cleanup()

    def ask(self, method: str, path: str, body: Any = None, status: int = 200, key: str = "",
            **more: Any) -> Any:
        """The JSON of the answer, which must have that status."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        answer = self.http.request(method, path, json=body, headers=headers, params=more)
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def company(self, **fields: Any) -> str:
        """The path of a new company."""
        made = self.ask("POST", "/tenants", {"name": secrets.token_hex(6)} | fields, status=201)
        return f"/tenants/{made['id']}"

    def key_of(self, path: str, role: str, **fields: Any) -> str:
        """A key of somebody there."""
        made: str = self.ask("POST", f"{path}/keys", {"name": role, "role": role} | fields,
                             status=201)["key"]
        return made
