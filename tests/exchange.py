"""A whole exchange for the tests: real processes on free ports in a directory of its own."""

import hashlib
import itertools
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx

from routing_core import mapping
from tests.sipp import Sipp
from vaxel import settings as settings_file
from vaxel.command import private_settings
from vaxel.demo import Client

ROOT = Path(__file__).resolve().parent.parent


class Telephone(NamedTuple):
    """A device of a user: what is needed to register and to call."""

    user: int
    device: int
    username: str
    secret: str
    extension: str


def eventually(what: Callable[[], Any], seconds: float = 10) -> Any:
    """The first true answer; AssertionError when there is none in time."""
    until = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds} s: {getattr(what, '__name__', what)}")
        time.sleep(0.05)


class Exchange:
    """with Exchange() as exchange: ..."""

    def __init__(self, **overrides: Any) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="vaxel-test-")
        self.state = Path(self._folder.name)
        self.settings = private_settings(self.state)
        chosen = {"flood_per_2s": 60_000, "faults": True, "workers": 3, "tcp_workers": 1,
                  "ping_s": 2, "shared_memory_mb": 128} | overrides
        for name, value in chosen.items():
            setattr(self.settings, name, value)
        settings_file.save(self.state, self.settings)
        self._numbers = itertools.count(100)

    def __enter__(self) -> Self:
        self._output = (self.state / "output").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vaxel", "--state", str(self.state), "run"], cwd=ROOT,
            stdout=self._output, stderr=self._output, stdin=subprocess.DEVNULL)
        try:
            eventually(self._up, 40)
        except AssertionError as error:
            said = "\n".join(path.read_text(errors="replace") for path in (
                self.state / "output", *sorted(self.state.glob("logs/*"))) if path.is_file())
            self.__exit__(None, None, None)
            raise AssertionError(said) from error
        self.client = Client(self.settings)
        self.live = mapping.open_live(self.state)
        return self

    def _up(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError("vaxel run has ended")
        return b"The exchange is up" in (self.state / "output").read_bytes()

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None,
                 _trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._output.close()
        if keep := os.environ.get("VAXEL_KEEP_LOGS"):
            target = Path(keep) / self.state.name
            target.mkdir(parents=True, exist_ok=True)
            for log in self.state.glob("logs/*"):
                (target / log.name).write_bytes(log.read_bytes())
        mapping.remove_live(self.state)
        self._folder.cleanup()

    @property
    def sip(self) -> str:
        """host:port"""
        return f"{self.settings.address}:{self.settings.sip_port}"

    def log(self, name: str) -> str:
        """What a process has logged."""
        path = self.state / "logs" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def pids(self, name: str) -> list[int]:
        """The processes of a part of this exchange: kamailio, rtpengine, api.app, api.keeper."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            words = [word.decode(errors="replace") for word in command]
            mine = any(str(self.state) in word for word in words)
            if mine and any(Path(word).name == name or word == name for word in words):
                found.append(int(entry.name))
        return sorted(found)

    # -- provisioning -------------------------------------------------------------------------

    def company(self, **fields: Any) -> "Company":
        """A tenant of its own for a test, with a number series nobody else has."""
        return Company(self, next(self._numbers), fields)

    def trunk(self, address: str, port: int, **fields: Any) -> int:
        """A carrier's trunk."""
        body = {"name": f"trunk {address}:{port}", "host": address, "port": port, "ping": False,
                "sources": [f"ip:{address}"]} | fields
        return int(self.client.post("/trunks", body)["id"])

    def calls_in_progress(self) -> list[tuple[int, int]]:
        """The call slots that are taken."""
        return list(self.live.calls())

    # -- SIP by hand --------------------------------------------------------------------------

    def send(self, message: bytes, *, source: str = "127.0.0.1", wait_s: float = 2) -> str:
        """Send a datagram and return the last answer's text, "" when none came."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((source, 0))
            sock.settimeout(wait_s)
            port = sock.getsockname()[1]
            sock.sendto(message.replace(b"{port}", str(port).encode()),
                        (self.settings.address, self.settings.sip_port))
            try:
                return sock.recv(65536).decode(errors="replace")
            except TimeoutError:
                return ""

    def register(self, telephone: Telephone, port: int, *, algorithm: str = "MD5",
                 secret: str = "", expires: int = 600, address: str = "127.0.0.1") -> str:
        """Register a contact at that port; the final answer."""
        answer = self.send(self._register(telephone.username, port, 1, expires, "", address),
                           source=address)
        challenge = next((line for line in re.findall(r"WWW-Authenticate: (.*)\r", answer)
                          if f"algorithm={algorithm}" in line), None)
        if challenge is None:
            return answer
        authorization = credentials(challenge, telephone.username, secret or telephone.secret,
                                    "REGISTER", f"sip:{self.settings.domain}", algorithm)
        return self.send(self._register(telephone.username, port, 2, expires,
                                        f"Authorization: {authorization}\r\n", address),
                         source=address)

    def _register(self, user: str, port: int, cseq: int, expires: int, more: str,
                  address: str) -> bytes:
        call_id = f"reg-{user}-{port}-{secrets.token_hex(4)}"
        return (f"REGISTER sip:{self.settings.domain} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {address}:{{port}};branch=z9hG4bK{call_id};rport\r\n"
                f"From: <sip:{user}@{self.settings.domain}>;tag={secrets.token_hex(4)}\r\n"
                f"To: <sip:{user}@{self.settings.domain}>\r\nCall-ID: {call_id}\r\n"
                f"CSeq: {cseq} REGISTER\r\nContact: <sip:{user}@{address}:{port}>\r\n"
                f"Expires: {expires}\r\nMax-Forwards: 70\r\n{more}Content-Length: 0\r\n\r\n"
                ).encode()


def credentials(challenge: str, user: str, secret: str, method: str, uri: str,
                algorithm: str, *, count: int = 1) -> str:
    """A Digest credential for a challenge (RFC 7616), written anew for the tests."""
    def value(name: str) -> str:
        found = re.search(rf'{name}="([^"]*)"', challenge)
        return found[1] if found else ""

    def digest(text: str) -> str:
        return hashlib.new(algorithm.replace("-", ""), text.encode()).hexdigest()

    ha1 = digest(f"{user}:{value('realm')}:{secret}")
    ha2 = digest(f"{method}:{uri}")
    response = digest(f"{ha1}:{value('nonce')}:{count:08x}:abc:auth:{ha2}")
    return (f'Digest username="{user}", realm="{value("realm")}", nonce="{value("nonce")}", '
            f'uri="{uri}", response="{response}", algorithm={algorithm}, qop=auth, nc={count:08x}, '
            'cnonce="abc"')


class Company:
    """A tenant of a test."""

    def __init__(self, exchange: Exchange, series: int, fields: dict[str, Any]) -> None:
        self.exchange = exchange
        self.client = exchange.client
        self.series = series
        body = {"name": f"Company {series} {secrets.token_hex(3)}"} | fields
        self.id = int(self.client.post("/tenants", body)["id"])
        self.base = f"/tenants/{self.id}"

    def e164(self, local: int) -> str:
        """A number of this company's series."""
        return f"+468{self.series:03d}{local:04d}"

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create under the tenant."""
        answer: dict[str, Any] = self.client.post(f"{self.base}/{path}", body)
        return answer

    def telephone(self, extension: str, *, kind: str = "desk", user: int = 0,
                  device: dict[str, Any] | None = None, **fields: Any) -> Telephone:
        """A user with a direct number (the extension's) and a device."""
        if not user:
            user = self.post("users", {"name": f"User {extension}", "extension": extension}
                             | fields)["id"]
            self.post("numbers", {"e164": self.e164(int(extension)), "kind": "direct",
                                  "target": {"kind": "user", "user": user}})
        name = f"c{self.id}-{extension}-{kind}-{secrets.token_hex(2)}"
        made = self.post("devices", {"user": user, "name": kind, "kind": kind, "username": name,
                                     "digest": "md5"} | (device or {}))
        return Telephone(user, made["id"], name, made["secret"], extension)

    def main(self, target: dict[str, Any], local: int = 0, **fields: Any) -> str:
        """A main number that leads there."""
        number = self.e164(local)
        self.post("numbers", {"e164": number, "kind": "main", "target": target} | fields)
        return number

    def group(self, members: list[Telephone], strategy: str = "parallel", **fields: Any) -> int:
        """A group with those members, in that order."""
        made = self.post("groups", {"name": f"Group {secrets.token_hex(3)}", "ring_s": 3,
                                    "strategy": strategy} | fields)["id"]
        for priority, member in enumerate(members):
            self.post("members", {"ring_group": made, "user": member.user, "priority": priority})
        return int(made)

    def forward(self, telephone: Telephone, event: str, target: dict[str, Any],
                **fields: Any) -> None:
        """A forwarding of a user."""
        self.post("forwards", {"user": telephone.user, "event": event, "target": target} | fields)

    def presence(self, telephone: Telephone, activity: int | None, until: int = 0) -> None:
        """What the user does."""
        self.client.put(f"{self.base}/users/{telephone.user}/presence",
                        {"activity": activity, "until": until})

    def activity(self, name: str = "meeting", **fields: Any) -> int:
        """An activity, by default one in which telephones do not ring."""
        return int(self.post("activities", {"name": name} | fields)["id"])

    def newest_call(self, count: int = 1) -> dict[str, Any]:
        """The company's newest call record, once there are that many."""
        def enough() -> list[dict[str, Any]]:
            items = self.client.get(f"{self.base}/calls")["items"]
            return list(items) if len(items) >= count else []

        found: dict[str, Any] = eventually(enough)[0]
        return found

    def phone(self, telephone: Telephone, scenario: str, calls: int = 1) -> Sipp:
        """A registered SIPp that runs the scenario when it is called."""
        sipp = Sipp(scenario, calls=calls)
        answer = self.exchange.register(telephone, sipp.port)
        assert "200 OK" in answer, answer
        return sipp


def refused(client: Client, method: str, path: str, body: Any) -> dict[str, Any]:
    """The problem that a request is refused with."""
    answer: httpx.Response = client._http.request(method, path, json=body)
    assert 400 <= answer.status_code < 500, answer.text
    problem: dict[str, Any] = answer.json()
    return problem
