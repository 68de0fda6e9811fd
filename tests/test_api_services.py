"""Prompts, services, mailboxes, events and conversations over HTTP, on a real exchange."""

import io
import itertools
import json
import math
import random
import secrets
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from store import SqliteStore, pin
from store.model import CallbackRequest, CallRecord, Delivery, Event, Mailbox, VoiceMessage
from tests.exchange import Exchange, eventually
from tests.test_api import BUSY, ask, path_of, problem, to
from tests.test_deposits import pcap_of

uids = (f"{secrets.token_hex(10)}{at:08x}" for at in itertools.count())


def furnish(exchange: Exchange) -> Iterator[SimpleNamespace]:
    """A furnished company and another one."""
    made = SimpleNamespace(exchange=exchange, client=exchange.client,
                           store=SqliteStore(exchange.state / "vaxel.db"))
    for prefix in ("", "other_"):
        company = exchange.company()
        anna, bo = company.telephone("101"), company.telephone("102")
        prompt = company.post("prompts", {"name": "Hello", "text": "Hej"})["id"]
        row = {
            "company": company, "tenant": company.id, "user": anna.user, "bo": bo.user,
            "group": company.group([anna], extension="200"), "empty": company.group([]),
            "prompt": prompt,
            "message": company.post("services", {"name": "Closed", "settings": {
                "type": "message", "prompt": prompt}})["id"],
            "box": company.post("services", {"name": "Box", "extension": "2001", "settings": {
                "type": "mailbox", "user": anna.user, "pin": "2580"}})["id"],
            "callback": company.post("services", {"name": "Callback", "settings": {
                "type": "callback_menu", "email": ["x@example.net"]}})["id"],
            "key": exchange.client.post("/keys", {"tenant": company.id, "name": "crm"})["key"]}
        for name, value in row.items():
            setattr(made, prefix + name, value)
    yield made
    made.store.close()


world = pytest.fixture(furnish, name="world")
#: For tests that change nothing.
still = pytest.fixture(furnish, name="still", scope="module")


def message(w: SimpleNamespace, box: int = 0, *, seconds: float = 2, **fields: Any) -> str:
    """A message in the mailbox, as the keeper puts it there; its uid."""
    uid = next(uids)
    w.store.add_message(VoiceMessage(**{
        "uid": uid, "tenant": w.tenant, "mailbox": box or w.box, "caller": "+46701234567",
        "created_ms": time.time_ns() // 1_000_000} | fields))
    path = Path("messages") / str(w.tenant) / str(box or w.box) / f"{uid}.flac"
    full = w.exchange.state / path
    full.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(full, tone(seconds), 8000)
    w.store.finish_message(uid, path=str(path), duration_ms=round(seconds * 1000), sha256="a" * 64,
                           at_ms=time.time_ns() // 1_000_000)
    return uid


def tone(seconds: float, rate: int = 8000) -> Any:
    """A whistle."""
    return (np.sin(np.arange(round(seconds * rate)) * 2 * math.pi * 440 / rate) * 8000).astype(
        np.int16)


def wav(seconds: float, rate: int = 44100) -> bytes:
    """A file that somebody uploads."""
    out = io.BytesIO()
    soundfile.write(out, tone(seconds, rate), rate, format="WAV")
    return out.getvalue()


# -- services -------------------------------------------------------------------------------------

def menu(w: SimpleNamespace, *choices: tuple[str, dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """A menu's settings."""
    return {"type": "menu", "prompt": w.prompt,
            "choices": [{"key": key, "target": target} for key, target in choices]} | fields


def say(w: SimpleNamespace, **fields: Any) -> dict[str, Any]:
    """A message's settings."""
    return {"type": "message", "prompt": w.prompt} | fields


def box(**fields: Any) -> dict[str, Any]:
    """A mailbox's settings."""
    return {"type": "mailbox"} | fields


Settings = Callable[[SimpleNamespace], Any]
BAD: list[tuple[Settings, str]] = [
    (lambda w: {"type": "robot"}, "settings.type"), (lambda w: {}, "settings.type"),
    (lambda w: None, "settings"), (lambda w: [], "settings"), (lambda w: "menu", "settings"),
    (lambda w: {"type": ["menu"]}, "settings.type"),
    (lambda w: {"type": "message"}, "settings.prompt"),
    (lambda w: say(w, colour="red"), "settings.colour"),
    (lambda w: say(w, prompt=w.other_prompt), "settings.prompt"),
    (lambda w: say(w, prompt=99999), "settings.prompt"),
    (lambda w: say(w, prompt=0), "settings.prompt"),
    (lambda w: say(w, next=to("service", service=w.other_message)), "settings.next.service"),
    (lambda w: say(w, next=to("service")), "settings.next.service"),
    (lambda w: say(w, next=to("service", text="7")), "settings.next.service"),
    (lambda w: say(w, next=to("user", service=w.message)), "settings.next.user"),
    (lambda w: say(w, next=to("user", user=w.user, service=w.message)), "settings.next.service"),
    (lambda w: say(w, next=to("user", user=w.other_user)), "settings.next.user"),
    (lambda w: say(w, next=to("group", group=w.empty)), "settings.next"),
    (lambda w: say(w, next=to("number", text="112")), "settings.next.text"),
    (lambda w: say(w, next=to("number", text="+٤٦٧٠١١١٢٢٣")), "settings.next.text"),
    (lambda w: menu(w), "settings.choices"),
    (lambda w: menu(w, ("1", BUSY), ("2", BUSY), ("1", BUSY)), "settings.choices[2].key"),
    *[(lambda w, k=k: menu(w, (k, BUSY)), "settings.choices[0].key")
      for k in ("", "a", "12", "1\n", "٢", "１", "²")],
    (lambda w: menu(w, ("1", to("user", user=w.other_user))),
     "settings.choices[0].target.user"),
    (lambda w: menu(w, ("1", to("group", group=w.other_group))),
     "settings.choices[0].target.group"),
    (lambda w: menu(w, ("1", to("service", service=w.other_message))),
     "settings.choices[0].target.service"),
    (lambda w: menu(w, ("1", BUSY), otherwise=to("service", service=99999)),
     "settings.otherwise.service"),
    (lambda w: menu(w, ("1", BUSY), invalid_prompt=w.other_prompt), "settings.invalid_prompt"),
    (lambda w: menu(w, ("1", BUSY), tries=0), "settings.tries"),
    (lambda w: menu(w, *[("1", BUSY)] * 13), "settings.choices"),
    *[(lambda w, p=p: box(pin=p), "settings.pin")
      for p in ("123", "123456789", "abcd", "٢٥٨٠", "２５８０", "25 80", "2580\n", 2580, None, [],
                "1111", "1234", "4321", "567890", "98765", "0000000",
                "scrypt$00$00", "2580\0")],
    (lambda w: box(user=w.other_user), "settings.user"),
    (lambda w: box(listeners=[w.bo, w.other_bo]), "settings.listeners[1]"),
    (lambda w: box(listeners=[w.bo, w.bo]), "settings.listeners"),
    (lambda w: box(greeting="own"), "settings.prompt"),
    (lambda w: box(greeting="own", prompt=w.other_prompt), "settings.prompt"),
    (lambda w: box(greeting="presence"), "settings.greeting"),
    (lambda w: box(colleague=to("user", user=w.other_user)), "settings.colleague.user"),
    (lambda w: box(max_message_s=901), "settings.max_message_s"),
    *[(lambda w, e=e: box(email=["a@example.net", e]), "settings.email[1]")
      for e in ("a", "a@b\n", "a b@c", "<a@b>", "a@b@c", "å@example.net", "a\0@b", "a@b..c",
                "a\u202e@b")],
    *[(lambda w, u=u: box(webhook=u), "settings.webhook")
      for u in ("ftp://x", "http://", "http://a b", "http://å.se", "http://x\r\nHost: y",
                "javascript:alert(1)", "http://[::1", "http://:80/", "http://x:99999/",
                "http://" + "x" * 401)],
    (lambda w: {"type": "callback_menu", "prompt": w.other_prompt}, "settings.prompt"),
    (lambda w: {"type": "record_prompt", "prompt": w.other_prompt}, "settings.prompt"),
    (lambda w: {"type": "presence_menu", "pin": "2580"}, "settings.pin"),
]


@pytest.mark.parametrize(("settings", "field"), BAD,
                         ids=[f"{i}-{field}" for i, (_, field) in enumerate(BAD)])
def test_bad_settings(still: SimpleNamespace, settings: Settings, field: str) -> None:
    body = json.dumps({"name": "S", "settings": settings(still)}).encode()
    revision = still.client.get("/health")["revision"]
    merges = settings(still) in ({}, {"type": "message"})  # with what is there it is whole
    for method, path in (("POST", "services"), ("PATCH", "services/{message}"))[:2 - merges]:
        answer = ask(still.exchange, method, path_of(still, path), still.key, content=body)
        problem(answer, 422, "", field)
    assert still.client.get("/health")["revision"] == revision


def test_a_users_second_mailbox(still: SimpleNamespace) -> None:
    answer = ask(still.exchange, "POST", path_of(still, "services"), still.key,
                 json={"name": "S", "settings": box(user=still.user)})
    problem(answer, 409, "conflict", "settings.user")


@pytest.mark.parametrize(("path", "body", "status", "field"), [
    ("services", {"extension": "101"}, 409, "extension"),
    ("services", {"extension": "200"}, 409, "extension"),
    ("services", {"extension": "2001"}, 409, "extension"),
    ("services", {"extension": "112"}, 422, "extension"),
    ("services", {"extension": "1177"}, 422, "extension"),
    ("services", {"extension": "0300"}, 422, "extension"),
    ("users/{user}", {"extension": "2001"}, 409, "extension"),
    ("groups/{group}", {"extension": "2001"}, 409, "extension"),
    ("services/{box}", {"tenant": 2}, 422, "tenant"), ("services/{box}", {"id": 1}, 422, "id"),
    ("prompts", {"sha256": "a" * 64}, 422, "sha256"), ("prompts", {"text": "\0"}, 422, "text"),
    ("prompts/{prompt}", {"sha256": "b" * 64}, 422, "sha256"),
    ("prompts/{prompt}", {"duration_ms": 1}, 422, "duration_ms"),
    ("prompts", {"text": "x" * 2001}, 422, "text"),
    ("prompts", {"language": "de"}, 422, "language")])
def test_bad_rows(still: SimpleNamespace, path: str, body: dict[str, Any], status: int,
                  field: str) -> None:
    if path in ("services", "prompts"):
        body = {"name": "New"} | body
    if path == "services":
        body["settings"] = {"type": "presence_menu"}
    answer = ask(still.exchange, "PATCH" if "{" in path else "POST", path_of(still, path),
                 still.key, json=body)
    problem(answer, status, "", field)


@pytest.mark.parametrize(("path", "field"), [
    ("", "attendant"), ("users/{user}", "colleague"), ("groups/{group}", "nobody")])
def test_targets_of_others(still: SimpleNamespace, path: str, field: str) -> None:
    where = path_of(still, path).rstrip("/")
    for part, target in (("service", to("service", service=still.other_message)),
                         ("user", to("user", user=still.other_user)), ("service", to("service")),
                         ("text", to("number", text="112"))):
        answer = ask(still.exchange, "PATCH", where, still.exchange.settings.api_key,
                     json={field: target})
        problem(answer, 422, "", f"{field}.{part}")
    answer = ask(still.exchange, "PATCH", path_of(still, "").rstrip("/"),
                 still.exchange.settings.api_key, json={"hold_music": still.other_prompt})
    problem(answer, 422, "", "hold_music")


def test_loops_without_a_caller(world: SimpleNamespace) -> None:
    w, post, base = world, world.company.post, world.company.base
    first = post("services", {"name": "First", "settings": say(w)})["id"]
    second = post("services", {"name": "Second", "settings": menu(
        w, ("1", to("service", service=first)), otherwise=to("service", service=first))})["id"]
    third = post("services", {"name": "Third", "settings": say(
        w, next=to("service", service=second))})["id"]
    answer = ask(w.exchange, "PATCH", f"{base}/services/{first}", w.key,
                 json={"settings": say(w, next=to("service", service=third))})
    said = problem(answer, 422, "invalid", "settings.next")
    assert "First → Third → Second → First" in said["detail"]
    for settings, field in ((say(w, next=to("service", service=first)), "settings.next"),
                            (menu(w, ("1", BUSY), otherwise=to("service", service=first)),
                             "settings.otherwise")):
        answer = ask(w.exchange, "PATCH", f"{base}/services/{first}", w.key,
                     json={"settings": settings})
        assert "First → First" in problem(answer, 422, "invalid", field)["detail"]
    answer = ask(w.exchange, "PATCH", f"{base}/services/{second}", w.key, json={"settings": menu(
        w, ("0", to("service", service=second)), ("1", to("service", service=third)))})
    assert answer.status_code == 200, "by key it may lead back"


def test_what_is_named_stays(world: SimpleNamespace) -> None:
    w = world
    client, base = w.client, w.company.base
    main = w.company.post("services", {"name": "Main", "settings": menu(
        w, ("1", to("group", group=w.group)), ("2", to("user", user=w.bo)),
        otherwise=to("service", service=w.message))})["id"]
    client.patch(base, {"attendant": to("service", service=main), "hold_music": w.prompt})
    client.patch(f"{base}/users/{w.user}", {"colleague": to("service", service=w.callback)})
    w.company.main(to("service", service=w.box))
    for path, by in (("groups/{group}", "service 'Main' (settings.choices[0].target.group)"),
                     ("users/{bo}", "service 'Main' (settings.choices[1].target.user)"),
                     ("users/{user}", "service 'Box' (settings.user)"),
                     ("services/{message}", "service 'Main' (settings.otherwise.service)"),
                     ("services/{box}", f"number {w.company.e164(0)} (target)"),
                     ("services/{callback}", "user 'User 101' (colleague)"),
                     (f"services/{main}", "(attendant)"), ("prompts/{prompt}", "(hold_music)")):
        answer = ask(w.exchange, "DELETE", path_of(w, path), w.key)
        assert by in problem(answer, 409, "still_referenced")["detail"], answer.text
    answer = ask(w.exchange, "DELETE", f"{base}/members/" + str(
        client.get(f"{base}/members", ring_group=w.group)["items"][0]["id"]), w.key)
    problem(answer, 422, "invalid", "ring_group")
    client.patch(base, {"attendant": None, "hold_music": None})
    client.patch(f"{base}/users/{w.user}", {"colleague": None})
    for path in (f"services/{main}", "services/{message}", "services/{callback}"):
        assert client.call("DELETE", path_of(w, path)) is None


def test_pins(world: SimpleNamespace) -> None:
    w, where = world, f"{world.company.base}/services/{world.box}"

    def stored() -> str:
        settings = getattr(w.store.get("service", w.box), "settings", None)
        assert isinstance(settings, Mailbox)
        return settings.pin

    seen = w.client.get(where)
    assert seen["settings"]["has_pin"] is True and "pin" not in seen["settings"]
    assert pin.matches(stored(), "2580")
    first = stored()
    assert w.client.patch(where, {"name": "New"})["settings"]["has_pin"] and stored() == first
    w.client.patch(where, {"settings": seen["settings"] | {"max_messages": 7}})
    assert stored() == first, "settings without a PIN leave it"
    w.client.patch(where, {"settings": seen["settings"] | {"pin": "13579"}})
    assert pin.matches(stored(), "13579") and not pin.matches(stored(), "2580")
    for body, field in (({"settings": seen["settings"] | {"pin": "2001"}}, "settings.pin"),
                        ({"extension": "13579"}, "settings.pin")):
        problem(ask(w.exchange, "PATCH", where, w.key, json=body), 422, "invalid", field)
    cleared = w.client.patch(where, {"settings": seen["settings"] | {"pin": ""}})
    assert cleared["settings"]["has_pin"] is False and stored() == ""
    shown = json.dumps([w.client.get("/revisions", limit=1000, after=0),
                        w.client.get(f"{w.company.base}/services")])
    assert "scrypt" not in shown and "2580" not in json.dumps(cleared) and '"hidden"' in shown


def test_filters(still: SimpleNamespace) -> None:
    found = still.client.get(path_of(still, "services"), kind="mailbox")["items"]
    assert [row["id"] for row in found] == [still.box]
    found = still.client.get(path_of(still, "services"), extension="2001")["items"]
    assert [row["id"] for row in found] == [still.box]
    assert not still.client.get(path_of(still, "services"), kind="x' OR 1=1 --")["items"]


# -- the audio of prompts -------------------------------------------------------------------------

def upload(w: SimpleNamespace, content: Any, prompt: int = 0, key: str = "") -> Any:
    """PUT the audio."""
    return ask(w.exchange, "PUT", path_of(w, f"prompts/{prompt or w.prompt}/audio"), key or w.key,
               content=content)


def prompt_files(w: SimpleNamespace) -> set[str]:
    """What is kept of prompts."""
    return {str(path) for path in (w.exchange.state / "prompts").rglob("*")}


def test_upload_listen_replace_and_remove(world: SimpleNamespace) -> None:
    w, where = world, path_of(world, "prompts/{prompt}")
    problem(ask(w.exchange, "GET", f"{where}/audio", w.key), 404)
    made = upload(w, wav(2)).json()
    assert abs(made["duration_ms"] - 2000) <= 1 and len(made["sha256"]) == 64
    assert w.client.get(where) == made and made["text"] == "Hej"
    heard = ask(w.exchange, "GET", f"{where}/audio", w.key)
    samples, rate = soundfile.read(io.BytesIO(heard.content))
    assert rate == 8000 and samples.ndim == 1 and heard.headers["content-type"] == "audio/wav"
    folder = w.exchange.state / "prompts" / made["sha256"]
    assert {path.name for path in folder.iterdir()} == {"8k.wav", "16k.wav", "48k.caf"}
    again = upload(w, wav(2)).json()
    assert again["sha256"] == made["sha256"], "the same sound is kept once"
    other = upload(w, wav(9, 48000)).json()
    assert other["sha256"] != made["sha256"] and folder.exists(), "calls still play it"
    cleared = ask(w.exchange, "DELETE", f"{where}/audio", w.key).json()
    assert (cleared["sha256"], cleared["duration_ms"], cleared["text"]) == ("", 0, "Hej")
    problem(ask(w.exchange, "DELETE", f"{where}/audio", w.key), 404)
    problem(ask(w.exchange, "GET", f"{where}/audio", w.key), 404)
    last = w.client.get("/revisions", after=w.client.get("/health")["revision"] - 1)["items"][0]
    assert last["author"] == "crm" and last["changes"][0]["before"]["sha256"] == other["sha256"]


def wide_wav() -> bytes:
    """A header that promises four gigabytes."""
    return (b"RIFF" + struct.pack("<I", 0xFFFFFFF0) + b"WAVEfmt " + struct.pack(
        "<IHHIIHH", 16, 1, 2, 192000, 768000, 4, 16) + b"data" + struct.pack("<I", 0xFFFFFFC0)
        + b"\0" * 16)


@pytest.mark.parametrize("content", [
    b"", b"\0", b"RIFF", random.Random(5).randbytes(5_000_000),
    b"RIFF\xff\xff\xff\xffWAVEfmt \xff" * 9,
    b"#EXTM3U\nhttp://127.0.0.1/\n", b"concat:/etc/passwd", b"ffconcat version 1.0\nfile x\n",
    wav(0.001), wav(2)[:60], json.dumps({"audio": "x"}).encode()],
    ids=lambda value: repr(value[:12]))
def test_what_is_no_sound(still: SimpleNamespace, content: bytes) -> None:
    before, files = still.client.get(path_of(still, "prompts/{prompt}")), prompt_files(still)
    revision = still.client.get("/health")["revision"]
    said = problem(upload(still, content), 422, "invalid", "audio")
    assert len(said["detail"]) > 15 and "/" not in said["detail"].replace(".", "")
    assert still.client.get(path_of(still, "prompts/{prompt}")) == before
    assert prompt_files(still) == files
    assert still.client.get("/health")["revision"] == revision


def test_a_header_that_promises_more_than_there_is(still: SimpleNamespace) -> None:
    files = prompt_files(still)
    began = time.monotonic()
    answer = upload(still, wide_wav())
    assert answer.status_code in (200, 422) and time.monotonic() - began < 10
    assert answer.status_code == 200 or prompt_files(still) == files


def test_a_file_that_does_not_end(still: SimpleNamespace) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(51):
            yield b"\0" * 1_000_000

    files = prompt_files(still)
    problem(upload(still, endless()), 413)
    assert prompt_files(still) == files
    assert still.client.get("/health")["status"] in ("ok", "degraded")


def test_the_api_answers_while_it_converts(world: SimpleNamespace) -> None:
    sound, slowest = wav(300), 0.0
    answers: list[Any] = []
    uploads = [threading.Thread(target=lambda: answers.append(upload(world, sound)))
               for _ in range(2)]
    for thread in uploads:
        thread.start()
    begun = time.monotonic()
    while any(thread.is_alive() for thread in uploads):
        began = time.monotonic()
        world.client.get("/health")
        slowest = max(slowest, time.monotonic() - began)
        uploads[0].join(0.05)  # not more often than anybody may ask
    assert [answer.status_code for answer in answers] == [200, 200]
    assert slowest < max(1.0, (time.monotonic() - begun) / 2), "nobody waits for the whole of it"


def test_a_prompt_that_is_silent(world: SimpleNamespace) -> None:
    made = world.company.post("prompts", {"name": "To be recorded"})
    assert (made["text"], made["sha256"], made["duration_ms"]) == ("", "", 0)


# -- mailboxes ------------------------------------------------------------------------------------

def test_messages(world: SimpleNamespace) -> None:
    w, where = world, path_of(world, "mailboxes/{box}/messages")
    first, second = message(w, created_ms=1), message(w, created_ms=2)
    listed = w.client.get(where)
    assert [item["uid"] for item in listed["items"]] == [second, first]
    assert (listed["new"], listed["saved"]) == (2, 0) and "path" not in listed["items"][0]
    assert w.client.patch(f"{where}/{first}", {"state": "saved"})["state"] == "saved"
    assert [i["uid"] for i in w.client.get(where, state="saved")["items"]] == [first]
    heard = ask(w.exchange, "GET", f"{where}/{first}/audio", w.key)
    assert heard.content[:4] == b"fLaC" and heard.headers["content-type"] == "audio/flac"
    heard = ask(w.exchange, "GET", f"{where}/{first}/audio?format=wav", w.key)
    samples, rate = soundfile.read(io.BytesIO(heard.content), dtype="int16")
    assert (len(samples), rate, heard.content[:4]) == (16000, 8000, b"RIFF")
    assert w.client.patch(f"{where}/{first}", {"state": "deleted"})["state"] == "deleted"
    assert [i["uid"] for i in w.client.get(where)["items"]] == [second]
    assert w.client.patch(f"{where}/{first}", {"state": "new"})["state"] == "new"
    assert w.client.call("DELETE", f"{where}/{first}") is None
    (line,) = w.store.deletions(w.tenant)
    assert (line.kind, line.uid, line.why, line.by) == ("message", first, "by hand", "operator")
    problem(ask(w.exchange, "GET", f"{where}/{first}", w.key), 404, "not_found")
    assert [path.stem for path in (w.exchange.state / "messages" / str(w.tenant)).rglob("*.flac")
            ] == [second]
    w.client.call("DELETE", path_of(w, "services/{box}"))
    problem(ask(w.exchange, "GET", where, w.key), 404)
    assert w.store.message(second).state == "deleted"


def test_a_message_that_is_being_left(world: SimpleNamespace) -> None:
    w, where, uid = world, path_of(world, "mailboxes/{box}/messages"), next(uids)
    w.store.add_message(VoiceMessage(uid=uid, tenant=w.tenant, mailbox=w.box,
                                     created_ms=time.time_ns() // 1_000_000))
    assert not w.client.get(where)["items"]
    assert w.client.get(where, state="recording")["items"][0]["has_audio"] is False
    problem(ask(w.exchange, "GET", f"{where}/{uid}/audio", w.key), 404)
    problem(ask(w.exchange, "PATCH", f"{where}/{uid}", w.key, json={"state": "saved"}), 409,
            "conflict", "state")
    assert w.client.call("DELETE", f"{where}/{uid}") is None
    assert w.store.message(uid).state == "deleted", "its capture is still to come"


def test_other_peoples_messages(still: SimpleNamespace) -> None:
    w = still
    uid = message(w)
    base, other = f"/tenants/{w.tenant}", f"/tenants/{w.other_tenant}"
    for where, key in ((f"{base}/mailboxes/{w.box}/messages", w.other_key),
                       (f"{other}/mailboxes/{w.other_box}/messages", w.other_key),
                       (f"{other}/mailboxes/{w.box}/messages", w.other_key),
                       (f"{base}/mailboxes/{w.other_box}/messages", w.key),
                       (f"{base}/mailboxes/{w.message}/messages", w.key)):
        for method, tail in (("GET", ""), ("GET", "/audio"), ("PATCH", ""), ("DELETE", "")):
            answer = ask(w.exchange, method, f"{where}/{uid}{tail}", key,
                         **({"json": {"state": "deleted"}} if method == "PATCH" else {}))
            problem(answer, 404, "not_found")
    assert w.store.message(uid).state == "new"
    where = f"{base}/mailboxes/{w.box}/messages/{uid}"
    for body, field in (({"state": "recording"}, "state"), ({"state": "x"}, "state"),
                        ({}, "state"), ({"state": "new", "uid": "x"}, "uid")):
        problem(ask(w.exchange, "PATCH", where, w.key, json=body), 422, "invalid", field)
    for query, field in (("?state=x", "state"), ("?limit=0", "limit")):
        problem(ask(w.exchange, "GET", f"{base}/mailboxes/{w.box}/messages{query}", w.key), 422,
                "invalid", field)
    problem(ask(w.exchange, "GET", f"{where}/audio?format=mp3", w.key), 422, "invalid", "format")
    for name in ("..%2F..%2Fvaxel.db", "%00", "x" * 500, "å"):
        problem(ask(w.exchange, "GET", f"{base}/mailboxes/{w.box}/messages/{name}/audio", w.key),
                404)


def test_callback_requests(world: SimpleNamespace) -> None:
    w = world
    made = w.store.add_callback(CallbackRequest(tenant=w.tenant, service=w.callback,
                                                number="+46701234567", created_ms=5))
    other = w.store.add_callback(CallbackRequest(tenant=w.other_tenant, service=w.other_callback,
                                                 number="+46700000000", created_ms=5))
    where = path_of(w, "callbacks")
    assert [item["id"] for item in w.client.get(where)["items"]] == [made.id]
    done = w.client.patch(f"{where}/{made.id}", {"done": True})
    assert done["done_ms"] > 0 and not w.client.get(where, open="true")["items"]
    assert w.client.patch(f"{where}/{made.id}", {"done": False})["done_ms"] == 0
    assert w.client.get(where, open="true", service=w.callback)["items"]
    for id_ in (other.id, 99999, 1 << 63):
        problem(ask(w.exchange, "PATCH", f"{where}/{id_}", w.key, json={"done": True}), 404)
    problem(ask(w.exchange, "PATCH", f"{where}/{made.id}", w.key, json={"done": 1}), 422,
            "invalid", "done")
    problem(ask(w.exchange, "GET", f"{where}?open=yes", w.key), 422, "invalid", "open")
    problem(ask(w.exchange, "GET", where, w.other_key), 404)


def test_deliveries_are_seen(world: SimpleNamespace) -> None:
    w = world
    w.store.add_deliveries([Delivery(tenant=w.tenant, kind="mail", to="a@example.net",
                                     subject="x", body="y", created_ms=1)])

    def told() -> bool:
        found = w.client.get(path_of(w, "deliveries"), pending="true")["items"]
        return "smtp_host" in found[0]["error"]

    eventually(told)
    problem(ask(w.exchange, "GET", path_of(w, "deliveries"), w.other_key), 404)


def test_the_keeper_takes_a_deposit(world: SimpleNamespace) -> None:
    w, uid = world, next(uids)
    where = f"{path_of(w, 'mailboxes/{box}/messages')}/{uid}"
    w.store.add_message(VoiceMessage(uid=uid, tenant=w.tenant, mailbox=w.box,
                                     created_ms=time.time_ns() // 1_000_000))
    node = w.exchange.state / "media" / "node0"
    pcap = node / "pcaps" / f"m-{uid}-0123456789abcdef.pcap"
    pcap.write_bytes(pcap_of(2))
    (node / "metadata" / f"{uid}.txt").write_text(f"{pcap}\n\ncall end time: 1\n\n{uid}\n")
    eventually(lambda: w.client.get(where)["state"] == "new")
    heard = ask(w.exchange, "GET", f"{where}/audio", w.key)
    samples, rate = soundfile.read(io.BytesIO(heard.content))
    assert abs(len(samples) / rate - 2) < 0.05
    eventually(lambda: not pcap.exists())


# -- events ---------------------------------------------------------------------------------------

def test_events(world: SimpleNamespace) -> None:
    w, where = world, path_of(world, "events")
    last = w.store.last_event()
    assert w.client.get(where, after=last) == {"items": [], "next": last}
    w.store.add_events([Event(tenant=tenant, at_ms=at, kind="x", data={"at": at})
                        for at, tenant in enumerate((w.tenant, w.other_tenant, w.tenant))])
    page = w.client.get(where, after=last, limit=1)
    assert [item["at_ms"] for item in page["items"]] == [0] and page["next"] == last + 1
    page = w.client.get(where, after=page["next"])
    assert [item["at_ms"] for item in page["items"]] == [2] and page["next"] == last + 3
    problem(ask(w.exchange, "GET", where, w.other_key), 404)
    for query, field in (("wait_s=26", "wait_s"), ("after=x", "after"), ("limit=0", "limit"),
                         ("wait_s=-1", "wait_s")):
        problem(ask(w.exchange, "GET", f"{where}?{query}", w.key), 422, "invalid", field)


def test_waiting_for_events(world: SimpleNamespace) -> None:
    w, where, last = world, path_of(world, "events"), world.store.last_event()
    began = time.monotonic()
    assert not w.client.get(where, after=last, wait_s=1)["items"]
    assert 1 <= time.monotonic() - began < 3
    heard: list[tuple[float, Any]] = []

    def wait(number: int) -> None:
        answer = ask(w.exchange, "GET", f"{where}?after={last}&wait_s=10", w.key)
        heard.append((time.monotonic(), answer.json()["items"]))

    waiting = [threading.Thread(target=wait, args=(number,)) for number in range(20)]
    for thread in waiting:
        thread.start()
    time.sleep(0.5)
    w.store.add_events([Event(tenant=w.other_tenant, at_ms=1, kind="not mine")])
    time.sleep(0.5)
    assert not heard
    began = time.monotonic()
    w.store.add_events([Event(tenant=w.tenant, at_ms=1, kind="mine")])
    for thread in waiting:
        thread.join(5)
    assert len(heard) == 20 and all(items[0]["kind"] == "mine" for _, items in heard)
    assert max(at for at, _ in heard) - began < 1


# -- conversations --------------------------------------------------------------------------------

def test_conversations(world: SimpleNamespace) -> None:
    w = world
    whole, leg, foreign = next(uids), next(uids), next(uids)

    def record(uid: str, **fields: Any) -> None:
        w.store.add_call(CallRecord(**{
            "uid": uid, "tenant": w.tenant, "direction": "in", "caller": "", "called": "",
            "started_ms": 1} | fields))

    record(whole, caller_user=w.user, answered_ms=2)
    record(leg, conversation=whole, rang=(w.bo,), answerer=w.bo, answered_ms=2, started_ms=2)
    record(foreign, conversation=whole, tenant=w.other_tenant)
    listed = w.client.get(path_of(w, "calls"))["items"]
    assert [item["uid"] for item in listed] == [whole]
    listed = w.client.get(path_of(w, "calls"), legs="true")["items"]
    assert [item["uid"] for item in listed] == [leg, whole]
    seen = ask(w.exchange, "GET", f"/calls/{whole}", w.key).json()
    assert [item["uid"] for item in seen["legs"]] == [leg] and seen["conversation"] == ""
    assert w.client.get(f"/calls/{leg}")["legs"] == []
    for user, role in ((w.user, "dialled"), (w.bo, "answered")):
        (item,) = w.client.get(path_of(w, f"users/{user}/calls"))["items"]
        assert (item["uid"], item["role"]) == (whole, role)
    problem(ask(w.exchange, "GET", f"/calls/{foreign}", w.key), 404)
    problem(ask(w.exchange, "GET", path_of(w, "calls?legs=no"), w.key), 422, "invalid", "legs")
