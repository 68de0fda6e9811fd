"""SMS out: to a real gateway, with its failures, and what is counted."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.keeping.deliveries import UNSET_MS, Deliveries
from api.keeping.letters import about_callback, about_message
from api.keeping.retries import GIVE_UP_MS
from api.sms.segments import segments
from store import NotFound, SqliteStore
from store.migrations import migrations
from store.model import (
    CallbackMenu,
    CallbackRequest,
    Delivery,
    Mailbox,
    Service,
    Tenant,
    VoiceMessage,
)
from tests.alone import Alone
from tests.receiving import Receiver

NOW = 1_800_000_000_000
TO = "+46701234567"


class Phone:
    """The job, with a clock of its own and a gateway."""

    def __init__(self, folder: Path, gateway: Receiver) -> None:
        self.folder = folder
        self.store = SqliteStore(folder / "vaxel.db")
        self.store.migrate()
        self.now = NOW
        self.settings: dict[str, Any] = {"sms_url": gateway.url, "sms_secret": "s3cret",
                                         "sms_sender": "Vaxel"}
        self.tenant: Any = None

        def work(writer: Any) -> None:
            self.tenant = writer.create(Tenant(name="One", language="sv", time_zone="UTC"))

        self.store.change("test", 1, "", work)

    def send(self, **fields: Any) -> Delivery:
        """Queue one."""
        return self.store.add_delivery(Delivery(**{
            "tenant": self.tenant.id, "kind": "sms", "to": TO, "body": "Hej",
            "created_ms": self.now, "next_ms": self.now} | fields))

    def run(self) -> None:
        """Send what is due."""
        async def inside() -> None:
            async with Deliveries(self.folder, self.store, self.settings, lambda: self.now) as job:
                job.start_due()
                await job.settled()

        asyncio.run(inside())


@pytest.fixture
def gateway() -> Iterator[Receiver]:
    """It ends with the test."""
    made = Receiver(lambda _got: 202)
    yield made
    made.close()


@pytest.fixture
def phone(tmp_path: Path, gateway: Receiver) -> Iterator[Phone]:
    """It ends with the test."""
    made = Phone(tmp_path, gateway)
    yield made
    made.store.close()


def test_an_sms(phone: Phone, gateway: Receiver) -> None:
    """The gateway is the operator's, so it may be on a private address."""
    sent = phone.send(body="Hej Åsa!\n☎", subject="+46840000000")
    phone.run()
    (got,) = gateway.got
    id_ = f"vaxel-{NOW}-{sent.id}"
    assert got.body == {"from": "+46840000000", "to": TO, "text": "Hej Åsa!\n☎", "id": id_}
    assert got.headers["authorization"] == "Bearer s3cret"
    assert got.headers["idempotency-key"] == id_
    done = phone.store.delivery(sent.id)
    assert (done.done_ms, done.error, done.tries) == (NOW, "", 1)
    phone.run()
    assert len(gateway.got) == 1
    with pytest.raises(NotFound):
        phone.store.delivery(sent.id + 1)


def test_a_gateway_that_wants_no_key(phone: Phone, gateway: Receiver) -> None:
    """"Bearer " with nothing behind it is no credentials (RFC 6750, 2.1): no header at all."""
    phone.settings["sms_secret"] = ""
    sent = phone.send()
    phone.run()
    assert "authorization" not in gateway.got[0].headers
    assert phone.store.delivery(sent.id).error == ""


def test_the_exchanges_own_name(phone: Phone, gateway: Receiver) -> None:
    phone.send()
    phone.run()
    assert gateway.got[0].body["from"] == "Vaxel"


@pytest.mark.parametrize(("status", "final"), [
    (400, True), (401, True), (404, True), (422, True), (408, False), (429, False), (302, False),
    (500, False), (503, False)])
def test_what_the_gateway_refuses(phone: Phone, gateway: Receiver, status: int,
                                  final: bool) -> None:
    gateway.answer = lambda _got: status
    gateway.text = b"no such network"
    sent = phone.send()
    phone.run()
    failed = phone.store.delivery(sent.id)
    assert bool(failed.done_ms) == final and str(status) in failed.error
    assert "no such network" in failed.error
    phone.now += 30_000
    phone.run()
    assert len(gateway.got) == (1 if final else 2)
    assert len({got.body["id"] for got in gateway.got}) == 1


@pytest.mark.parametrize("missing", ["sms_url", "sms_sender"])
def test_without_a_gateway_it_waits_a_day(phone: Phone, gateway: Receiver, missing: str) -> None:
    phone.settings[missing] = ""
    sent = phone.send()
    phone.run()
    waiting = phone.store.delivery(sent.id)
    assert (waiting.tries, waiting.done_ms, waiting.next_ms) == (0, 0, NOW + UNSET_MS)
    assert missing in waiting.error and not gateway.got
    phone.now += GIVE_UP_MS + 1
    phone.run()
    assert phone.store.delivery(sent.id).done_ms, "nobody wants yesterday's code"


def test_how_many_a_company_has_sent(phone: Phone) -> None:
    for at in (NOW - 90_000, NOW - 59_000, NOW):
        phone.send(created_ms=at)
    phone.send(tenant=phone.tenant.id + 1)
    phone.send(kind="mail")
    assert phone.store.sms_since(phone.tenant.id, NOW - 60_000) == 2
    assert phone.store.sms_since(phone.tenant.id, NOW - 86_400_000) == 3


# -- how long it is ---------------------------------------------------------------------------

@pytest.mark.parametrize(("text", "count"), [
    ("", 1), ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3),
    ("ÅÄÖåäöé" * 22, 1), ("€" * 80, 1), ("€" * 81, 2), ("a" * 152 + "€" * 10, 2),
    ("a" * 152 + "€" + "a" * 152, 3),
    ("☎" * 70, 1), ("☎" * 71, 2), ("☎" + "a" * 69, 1), ("😀" * 35, 1), ("😀" * 36, 2),
    ("☎" * 66 + "😀" + "☎" * 66, 3), ("a" * 1530, 10), ("a" * 1531, 11), ("ç", 1), ("ñ" * 160, 1)],
    ids=lambda value: f"{value[:2]}{len(value)}" if isinstance(value, str) else str(value))
def test_segments(text: str, count: int) -> None:
    """What takes two places is never torn apart."""
    assert segments(text) == count


# -- notices ----------------------------------------------------------------------------------

def test_a_voice_message_by_sms(phone: Phone) -> None:
    settings = Mailbox(sms=(TO, "+358401234567"), webhook="https://x.example/")
    box = Service(id=3, tenant=phone.tenant.id, name="Växeln", settings=settings)
    message = VoiceMessage(uid="u", tenant=phone.tenant.id, mailbox=3, caller="+46840000000",
                           created_ms=1_772_460_000_000)
    first, second, hook = about_message(message, 65_000, "messages/u.flac", box, settings,
                                        phone.tenant, NOW)
    assert (first.kind, first.to, second.to, hook.kind) == ("sms", TO, "+358401234567", "webhook")
    assert first.body == hook.body["text"] and "ett röstmeddelande i Växeln" in first.body
    assert first.attachment == "" and first.subject == "" and first.next_ms == NOW


def test_a_callback_request_by_sms(phone: Phone, gateway: Receiver) -> None:
    settings = CallbackMenu(sms=(TO,))
    menu = Service(id=3, tenant=phone.tenant.id, name="Sälj", settings=settings)
    request = CallbackRequest(id=1, tenant=phone.tenant.id, service=3, number="+46840000000",
                              created_ms=1_772_460_000_000)
    letters = about_callback(request, menu, settings, phone.tenant, NOW)
    phone.store.add_deliveries(letters)
    phone.now = NOW
    phone.run()
    assert gateway.got[0].body["text"] == (
        "+46 8 400 000 00 vill bli uppringd (Sälj). Begärt den 2026-03-02 kl. 14:00.")


# -- from before ------------------------------------------------------------------------------

def test_deliveries_of_before_are_kept(tmp_path: Path) -> None:
    """The step that lets SMS in makes the table anew: what waits and the ids go on."""
    from sqlite_utils import Database

    database = Database(tmp_path / "old.db")
    migrations.apply(database, stop_before="m009_hooks")
    database.execute("INSERT INTO delivery VALUES (7, 1, 'mail', 'a@b', 's', '\"x\"', '', 1, 2, 3, "
                     "0, 'e')")
    database.execute("INSERT INTO delivery VALUES (9, 1, 'mail', 'a@b', 's', '\"x\"', '', 1, 2, 3, "
                     "4, '')")
    database.execute("DELETE FROM delivery WHERE id = 9")
    database.conn.commit()
    database.conn.close()
    store = SqliteStore(tmp_path / "old.db")
    store.migrate()
    assert store.delivery(7) == Delivery(
        id=7, tenant=1, kind="mail", to="a@b", subject="s", body="x", created_ms=1, tries=2,
        next_ms=3, error="e")
    assert store.add_delivery(Delivery(tenant=1, kind="sms", to=TO, created_ms=1)).id == 10
    assert [one.id for one in store.due_deliveries(5)] == [10, 7]
    store.close()


# -- over HTTP --------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def api() -> Iterator[Alone]:
    """One for all."""
    with Alone(sms_sender="Vaxel") as running:
        yield running


def test_sending(api: Alone) -> None:
    path, other = api.company(), api.company()
    api.ask("POST", f"{path}/numbers", {"e164": "+46840000001"}, status=201)
    sent = api.ask("POST", f"{path}/sms", {"to": TO, "text": "Hej ☎", "sender": "+46840000001"},
                   status=202)
    assert {"to": TO, "sender": "+46840000001", "text": "Hej ☎", "segments": 1, "tries": 0,
            "state": "waiting", "error": "", "done_ms": 0}.items() <= sent.items()
    assert api.ask("GET", f"{path}/sms/{sent['id']}") == sent
    api.ask("GET", f"{other}/sms/{sent['id']}", status=404)
    api.store.delivery_done(sent["id"], 7)
    assert api.ask("GET", f"{path}/sms/{sent['id']}")["state"] == "sent"
    assert api.ask("POST", f"{path}/sms", {"to": TO, "text": "x", "sender": "Vaxel"},
                   status=202)["sender"] == "Vaxel"
    mail = api.store.add_delivery(Delivery(tenant=int(path.rpartition("/")[2]), kind="mail",
                                           to="a@example.net", created_ms=1))
    api.ask("GET", f"{path}/sms/{mail.id}", status=404)


@pytest.mark.parametrize(("body", "field"), [
    ({"to": "0701234567", "text": "x"}, "to"), ({"to": "+461234567890123", "text": "x"}, "to"),
    ({"to": TO, "text": ""}, "text"), ({"to": TO, "text": "☎" * 671}, "text"),
    ({"to": TO, "text": "a" * 1531}, "text"), ({"to": TO, "text": "a\x00b"}, "text"),
    ({"to": TO, "text": "x", "sender": "+46840000009"}, "sender"),
    ({"to": TO, "text": "x", "sender": "Bank"}, "sender"), ({"to": TO}, "text"),
    ({"to": TO, "text": "x", "from": "y"}, "from")])
def test_what_is_refused(api: Alone, body: dict[str, Any], field: str) -> None:
    path = api.company()
    problem = api.ask("POST", f"{path}/sms", body, status=422)
    assert problem["field"] == field, problem


def test_somebody_elses_number(api: Alone) -> None:
    path, other = api.company(), api.company()
    api.ask("POST", f"{other}/numbers", {"e164": "+46840000002"}, status=201)
    api.ask("POST", f"{path}/sms", {"to": TO, "text": "x", "sender": "+46840000002"}, status=422)


def test_how_many(api: Alone) -> None:
    path, other = api.company(), api.company()
    for _ in range(60):
        api.ask("POST", f"{path}/sms", {"to": TO, "text": "x"}, status=202)
    answer = api.http.post(f"{path}/sms", json={"to": TO, "text": "x"})
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (
        429, "too_many", "60")
    api.ask("POST", f"{other}/sms", {"to": TO, "text": "x"}, status=202)
