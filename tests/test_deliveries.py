"""Mail and webhook calls, through a real SMTP server and real HTTP."""

import asyncio
import email
import email.message
import email.policy
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from api.keeping import deliveries as module
from api.keeping.deliveries import AT_ONCE_OF_A_TENANT, KEEP_DONE_MS, Deliveries
from api.keeping.outside import is_public
from api.keeping.retries import GIVE_UP_MS
from store import SqliteStore
from store.model import CallbackMenu, CallbackRequest, Delivery, Service, Tenant
from vaxel.ports import free_port

NOW = 1_800_000_000_000


class Mailer:
    """An SMTP server that keeps what it gets; addresses say what it answers."""

    def __init__(self) -> None:
        self.got: list[tuple[str, list[str], email.message.EmailMessage]] = []
        self.controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self.port = self.controller.port
        self.controller.start()

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope,
                          address: str, _options: Any) -> str:
        """Some are not there, some are full."""
        if address.startswith("nobody"):
            return "550 5.1.1 no such person"
        if address.startswith("full"):
            return "452 4.2.2 mailbox full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Keep it."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        letter = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(letter, email.message.EmailMessage)
        self.got.append((str(envelope.mail_from), envelope.rcpt_tos, letter))
        return "250 kept"


class Hooks:
    """An HTTP server that keeps what it gets; the path says what it answers."""

    def __init__(self) -> None:
        hooks = self
        self.got: list[tuple[str, dict[str, str], Any]] = []
        self.together, self.most = 0, 0
        self.lock, self.open = threading.Lock(), threading.Event()

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            def do_POST(self) -> None:
                """Answer as the path says."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with hooks.lock:
                    hooks.together += 1
                    hooks.most = max(hooks.most, hooks.together)
                    hooks.got.append((self.path, dict(self.headers), json.loads(body)))
                if self.path.startswith("/slow"):
                    hooks.open.wait(5)
                with hooks.lock:
                    hooks.together -= 1
                status = int(self.path[1:4]) if self.path[1:4].isdigit() else 204
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", f"http://127.0.0.1:{hooks.port}/200")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def mailer() -> Iterator[Mailer]:
    """It ends with the test."""
    running = Mailer()
    yield running
    running.controller.stop()


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    """It ends with the test."""
    running = Hooks()
    yield running
    running.open.set()
    running.server.shutdown()
    running.server.server_close()


class Sender:
    """The job, with a clock of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.store = SqliteStore(folder / "vaxel.db")
        self.store.migrate()
        self.folder, self.settings, self.now = folder, settings, NOW
        made: list[Any] = []
        self.store.change("test", 1, "", lambda writer: made.append(
            writer.create(Tenant(name="One", language="en", time_zone="UTC"))))
        self.tenant: int = made[0].id

    def add(self, kind: Any, to: str, **fields: Any) -> None:
        """Queue one."""
        self.store.add_deliveries([Delivery(**{
            "tenant": self.tenant, "kind": kind, "to": to, "created_ms": self.now,
            "next_ms": self.now} | fields)])

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Deliveries]:
        """The job."""
        async with Deliveries(self.folder, self.store, self.settings,
                              now_ms=lambda: self.now) as job:
            yield job

    def run(self, work: Callable[[Deliveries], Awaitable[None]] | None = None) -> None:
        """Send what is due, once, or do the work with the job."""
        async def once(job: Deliveries) -> None:
            job.start_due()
            await job.settled()

        async def inside() -> None:
            async with self.open() as job:
                await (work or once)(job)

        asyncio.run(inside())

    def one(self) -> Delivery:
        """The only delivery."""
        (found,) = self.store.deliveries(self.tenant)
        return found


@pytest.fixture
def sender(tmp_path: Path, mailer: Mailer) -> Iterator[Sender]:
    """Configured to send."""
    made = Sender(tmp_path, smtp_host="127.0.0.1", smtp_port=mailer.port,
                  mail_from="exchange@vaxel.example", webhooks_to_private=True)
    yield made
    made.store.close()


# -- mail -------------------------------------------------------------------------------------

def test_a_mail_with_the_message(sender: Sender, mailer: Mailer) -> None:
    (sender.folder / "messages").mkdir()
    (sender.folder / "messages/a.flac").write_bytes(b"fLaC" + bytes(range(256)) * 4000)
    sender.add("mail", "anna@example.net", subject="Röstmeddelande från Åsa ☎",
               body="Hej Åsa!\n.\nSlut\n", attachment="messages/a.flac")
    sender.run()
    ((author, recipients, letter),) = mailer.got
    assert (author, recipients) == ("exchange@vaxel.example", ["anna@example.net"])
    assert letter["Subject"] == "Röstmeddelande från Åsa ☎" and letter["To"] == "anna@example.net"
    assert letter["Auto-Submitted"] == "auto-generated" and letter["Date"]
    text = letter.get_body()
    assert text is not None and text.get_content().splitlines() == ["Hej Åsa!", ".", "Slut"]
    (attached,) = letter.iter_attachments()
    assert attached.get_content_type() == "audio/flac" and attached.get_filename() == "a.flac"
    assert attached.get_content() == (sender.folder / "messages/a.flac").read_bytes()
    done = sender.one()
    assert (done.done_ms, done.tries, done.error) == (NOW, 1, "")
    sender.run()
    assert len(mailer.got) == 1
    sender.now += KEEP_DONE_MS + 1

    async def purge(job: Deliveries) -> None:
        job.purge()

    sender.run(purge)
    assert not sender.store.deliveries(sender.tenant)


def test_a_mail_whose_message_was_deleted(sender: Sender, mailer: Mailer) -> None:
    sender.add("mail", "anna@example.net", subject="x", body="y", attachment="messages/gone.flac")
    sender.run()
    assert not list(mailer.got[0][2].iter_attachments()) and sender.one().done_ms


@pytest.mark.parametrize("address", ["a,b@example.net", "a;b@example.net", "(x)@example.net",
                                     "a:b@example.net", "åsa@example.net", "a@-", "=?x?=@x.y"])
def test_strange_addresses_reach_one_or_nobody(sender: Sender, mailer: Mailer,
                                               address: str) -> None:
    sender.add("mail", address, subject="s\u2028t\U000e0001", body="y")
    sender.run()
    assert sum(len(recipients) for _, recipients, _ in mailer.got) <= 1
    assert bool(sender.one().done_ms) or sender.one().error


def test_without_a_mail_server_it_waits(tmp_path: Path, mailer: Mailer) -> None:
    sender = Sender(tmp_path)
    sender.add("mail", "anna@example.net", subject="x", body="y")
    sender.run()
    waiting = sender.one()
    assert "smtp_host" in waiting.error and (waiting.tries, waiting.done_ms) == (0, 0)
    sender.settings |= {"smtp_host": "localhost", "smtp_port": mailer.port}
    sender.now = waiting.next_ms
    sender.run()
    assert "mail_from" in sender.one().error
    sender.settings["mail_from"] = "x@example.net"
    sender.now += 2 * GIVE_UP_MS
    sender.run()
    assert len(mailer.got) == 1 and sender.one().error == ""
    sender.store.close()


def test_nobody_of_that_name_is_final(sender: Sender) -> None:
    sender.add("mail", "nobody@example.net", subject="x", body="y")
    sender.run()
    assert sender.one().done_ms and "no such person" in sender.one().error


def test_a_full_mailbox_is_tried_again_for_a_day(sender: Sender) -> None:
    sender.add("mail", "full@example.net", subject="x", body="y")
    gaps = []
    while not sender.one().done_ms:
        sender.run()
        gaps.append(sender.one().next_ms - sender.now)
        sender.now = sender.one().next_ms
    assert gaps[:3] == [30_000, 60_000, 120_000] and max(gaps) == 3_600_000
    assert len(gaps) < 40 and "mailbox full" in sender.one().error
    assert sender.one().done_ms - NOW <= GIVE_UP_MS


def test_a_server_that_is_not_there(sender: Sender) -> None:
    sender.settings["smtp_port"] = free_port()
    sender.add("mail", "a@example.net", subject="x", body="y")
    sender.run()
    assert sender.one().tries == 1 and not sender.one().done_ms and sender.one().error


# -- webhooks ---------------------------------------------------------------------------------

def test_a_webhook(sender: Sender, hooks: Hooks) -> None:
    sender.add("webhook", f"http://localhost:{hooks.port}/sms?to=%2B46", body={"name": "Åsa"})
    sender.run()
    ((path, headers, body),) = hooks.got
    assert path == "/sms?to=%2B46" and body == {"name": "Åsa"}
    assert headers["Host"] == f"localhost:{hooks.port}"
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"].endswith(f"-{sender.one().id}") and sender.one().done_ms


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500, 503])
def test_what_is_no_success(sender: Sender, hooks: Hooks, status: int) -> None:
    sender.add("webhook", f"http://127.0.0.1:{hooks.port}/{status}", body={})
    sender.run()
    assert len(hooks.got) == 1, "followed"
    assert str(status) in sender.one().error and not sender.one().done_ms
    sender.now = sender.one().next_ms
    sender.run()
    assert len(hooks.got) == 2 and sender.one().tries == 2


@pytest.mark.parametrize("host", [
    "127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "127.0.0.1.", "[64:ff9b::7f00:1]",
    "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "[fe80::1]", "[fc00::1]",
    "224.0.0.1", "user@127.0.0.1", "ⓛocalhost", "１２７.0.0.1"])
def test_strangers_do_not_reach_our_network(sender: Sender, hooks: Hooks, host: str) -> None:
    sender.settings["webhooks_to_private"] = False
    sender.add("webhook", f"http://{host}:{hooks.port}/x", body={})
    sender.run()
    assert not hooks.got and sender.one().error, host


def test_a_name_that_changes_its_meaning(sender: Sender, hooks: Hooks,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """What was checked is what is connected to; one private address among others is enough."""
    sender.settings["webhooks_to_private"] = False
    answers = [["192.0.0.9", "127.0.0.1"], ["8.8.8.8"], ["127.0.0.1"]]
    asked: list[str] = []
    connected: list[str] = []

    def lookup(name: str, port: int, **_more: Any) -> list[Any]:
        asked.append(name)
        return [(2, 1, 6, "", (address, port)) for address in answers[len(asked) - 1]]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)

    async def send(_client: Any, request: Any, **_more: Any) -> Any:
        connected.append(request.url.host)
        raise OSError("not in a test")

    monkeypatch.setattr(httpx.AsyncClient, "send", send)

    async def work(job: Deliveries) -> None:
        for _ in range(2):
            job.start_due()
            await job.settled()
            sender.now = sender.one().next_ms

    sender.add("webhook", f"http://changing.example:{hooks.port}/x", body={})
    sender.run(work)
    assert asked == ["changing.example"] * 2 and connected == ["8.8.8.8"] and not hooks.got


@pytest.mark.parametrize("address", ["8.8.8.8", "2a00:1450:400f::1", "2002:808:808::1",
                                     "::ffff:8.8.8.8"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("url", ["http://:80/", "http://[::1", "https://" + "a" * 300 + "/",
                                 "http://no.such.name.invalid/", "http://x:99999/", "http://..../"])
def test_addresses_that_are_none(sender: Sender, url: str) -> None:
    sender.add("webhook", url, body={})
    sender.run()
    assert sender.one().error and sender.one().tries == 1


def test_a_slow_one_is_left_and_others_go_on(sender: Sender, hooks: Hooks,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WEBHOOK_TIMEOUT_S", 0.5)
    for _ in range(12):
        sender.add("webhook", f"http://127.0.0.1:{hooks.port}/slow", body={})
    sender.add("webhook", f"http://127.0.0.1:{hooks.port}/other", body={}, tenant=99)
    sender.run()
    assert hooks.most <= AT_ONCE_OF_A_TENANT + 1
    assert [path for path, _, _ in hooks.got].count("/slow") == AT_ONCE_OF_A_TENANT
    assert sender.store.deliveries(99)[0].done_ms and len(hooks.got) == AT_ONCE_OF_A_TENANT + 1
    failed = [d for d in sender.store.deliveries(sender.tenant) if d.tries]
    assert len(failed) == AT_ONCE_OF_A_TENANT and "Timeout" in failed[0].error


# -- callback requests ------------------------------------------------------------------------

def test_callback_requests_are_told_once(sender: Sender, mailer: Mailer, hooks: Hooks) -> None:
    made: list[Any] = []
    sender.store.change("test", 1, "", lambda writer: made.append(writer.create(Service(
        tenant=sender.tenant, name="Sales", settings=CallbackMenu(
            email=("sales@example.net",), webhook=f"http://127.0.0.1:{hooks.port}/x")))))
    for service in (made[0].id, 9999):  # one that was deleted
        sender.store.add_callback(CallbackRequest(
            tenant=sender.tenant, service=service, number="+46701234567", caller="+358401234567",
            created_ms=1_772_460_000_000))
    sender.run()
    sender.run()
    ((_, recipients, letter),) = mailer.got
    assert recipients == ["sales@example.net"] and letter["Subject"] == "Call back +46 70 123 45 67"
    text = letter.get_body()
    assert text is not None and "2026-03-02 at 14:00" in text.get_content()
    ((_, _, facts),) = hooks.got
    assert (facts["event"], facts["number"], facts["caller"], facts["service_name"]) == (
        "callback_request", "+46701234567", "+358401234567", "Sales")
    assert not sender.store.untold_callbacks()
