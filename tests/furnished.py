"""A company that has something of everything, with which the whole document can be tried."""

import datetime
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from store import SqliteStore
from store.model import CallbackRequest, CallRecord, Event, Recording, VoiceMessage
from tests.exchange import Exchange

#: How many there are of what can be deleted, besides what stays.
SPARE = 3
#: More requests than anybody sends.
RATE = 100_000
HOUR_MS = 3_600_000
PASSWORD = "one more cup of coffee"


def later() -> datetime.datetime:
    """A day from now."""
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)


class Furnished:
    """rows: {the segment of a path before an id: what may stand there}; spare: the same, of what
    may be deleted. Of each the first is in use."""

    def __init__(self, exchange: Exchange, *, short: str) -> None:
        self.exchange, self.short = exchange, short
        self.company = exchange.company()
        self.tenant = self.company.id
        self.rows: dict[str, list[Any]] = {}
        self.spare: dict[str, list[Any]] = {}
        self.key = exchange.client.post("/keys", {
            "tenant": self.tenant, "name": "fuzz", "role": "administrator",
            "rate_per_s": RATE})["key"]
        self._telephones()
        for number in range(1 + SPARE):
            kept = self.rows if number == 0 else self.spare
            self._more(number, kept)
        self.rows["tenants"] = [self.tenant]
        self._person()
        self._past()

    def _post(self, kept: dict[str, list[Any]], path: str, body: dict[str, Any]) -> int:
        id_ = int(self.company.post(path, body)["id"])
        kept.setdefault(path, []).append(id_)
        return id_

    def _telephones(self) -> None:
        for extension in ("101", "102"):
            telephone = self.company.telephone(extension)
            self.rows.setdefault("users", []).append(telephone.user)
            self.rows.setdefault("devices", []).append(telephone.device)
        self.rows["agents"] = self.rows["attendants"] = self.rows["users"]

    def _more(self, number: int, kept: dict[str, list[Any]]) -> None:
        client, user, name = self.exchange.client, self.rows["users"][0], f"{self.short} {number}"

        def post(path: str, **body: Any) -> int:
            return self._post(kept, path, body)

        def operator(path: str, **body: Any) -> int:
            id_ = int(client.post(f"/{path}", body)["id"])
            kept.setdefault(path, []).append(id_)
            return id_

        post("users", name=f"Guest {name}")
        someone = post("users", name=f"User {name}", extension=f"{number + 301}")
        post("devices", user=someone, name="Desk", username=f"{self.short}-{number}")
        post("numbers", e164=self.company.e164(900 + number), kind="extra",
             target={"kind": "user", "user": user})
        post("allotments", first=self.company.e164(950 + number),
             last=self.company.e164(950 + number))
        post("activities", name=f"Lunch {name}")
        post("forwards", user=someone, event="busy", target={"kind": "user", "user": user})
        post("caller-rules", user=user, number=f"+4670111223{number}", rule="blocked")
        post("schedules", name=f"Hours {name}")
        group = post("groups", name=f"Group {name}")
        post("members", ring_group=group, user=user)
        prompt = post("prompts", name=f"Hello {name}", text="Hej")
        post("services", name=f"Closed {name}", settings={"type": "message", "prompt": prompt})
        box = post("services", name=f"Box {name}", settings={"type": "mailbox", "user": someone})
        menu = post("services", name=f"Callback {name}", settings={
            "type": "callback_menu", "email": ["x@example.net"]})
        queue = post("services", name=f"Queue {name}", settings={"type": "queue"})
        kept |= {"mailboxes": [box], "callback menus": [menu], "queues": [queue]}
        post("queue-members", service=queue, user=user)
        post("contacts", name=f"Contact {name}", numbers=[{"e164": f"+4670111333{number}"}],
             shared=True)
        post("webhooks", name=f"Hook {name}", url="https://hook.invalid/", enabled=False)
        post("accounts", email=f"{self.short}{number}@example.net", name=f"Person {name}",
             role="user", user=user)
        post("providers", name=f"Sign-in {name}", issuer="https://id.invalid", client_id="vaxel")
        post("keys", name=f"Key {name}", role="machine")
        operator("tenants", name=f"Empty {name}")
        operator("areas", name=f"Area {name}")
        trunk = operator("trunks", name=f"Trunk {name}", host="127.0.0.1", ping=False)
        operator("routes", trunk=trunk, tenant=self.tenant, position=number)
        operator("plans", name=f"Plan {name}")

    def _person(self) -> None:
        person = self.company.post("accounts", {
            "email": f"{self.short}@example.net", "name": "Admin", "role": "administrator"})["id"]
        token = self.company.post(f"accounts/{person}/invitation", {})["token"]
        self.exchange.client.post("/sign-in/password", {"token": token, "password": PASSWORD})

    def session(self) -> str:
        """The token of an administrator who has just signed in."""
        return str(self.exchange.client.post("/sign-in", {
            "email": f"{self.short}@example.net", "password": PASSWORD})["token"])

    def _past(self) -> None:
        store, state = SqliteStore(self.exchange.state / "vaxel.db"), self.exchange.state
        now_ms, user = time.time_ns() // 1_000_000, self.rows["users"][0]
        box, menu = self.rows["mailboxes"][0], self.rows["callback menus"][0]
        for number in range(1 + SPARE):
            kept = self.rows if number == 0 else self.spare
            uid, at_ms = f"{self.short}{number}", now_ms - (number + 1) * 60_000
            store.add_call(CallRecord(
                uid=uid, tenant=self.tenant, direction="in", caller="+46701112233",
                called=self.company.e164(101), started_ms=at_ms, answered_ms=at_ms + 2000,
                ended_ms=at_ms + 9000, answerer=user, rang=(user,), code=200, ended_by="caller"))
            path = self._sound("recordings", uid)
            store.add_recording(Recording(
                uid=uid, tenant=self.tenant, path=path, started_ms=at_ms, duration_ms=1000,
                bytes=(state / path).stat().st_size, sha256="a" * 64))
            left = f"m{uid}"
            store.add_message(VoiceMessage(uid=left, tenant=self.tenant, mailbox=box,
                                           caller="+46701112233", created_ms=at_ms))
            store.finish_message(left, path=self._sound("messages", left), duration_ms=1000,
                                 sha256="a" * 64, at_ms=at_ms)
            callback = store.add_callback(CallbackRequest(
                tenant=self.tenant, service=menu, number="+46701112233", created_ms=at_ms)).id
            for name, value in (("calls", uid), ("recordings", uid), ("messages", left),
                                ("callbacks", callback)):
                kept.setdefault(name, []).append(value)
            store.add_events([Event(tenant=self.tenant, at_ms=at_ms, kind="call_ended", call=uid)])
        store.close()
        company, http = self.company, self.exchange.client._http
        base, hour_ms = company.base, now_ms - now_ms % HOUR_MS
        sound = (state / path).read_bytes()
        assert http.put(f"{base}/prompts/{self.rows['prompts'][0]}/audio", content=sound,
                        headers={"Content-Type": "audio/flac"}).is_success
        self.rows["planned"] = [http.patch(
            f"{base}/users/{user}", json={"name": "Later"},
            headers={"Effective-From": f"{later():%Y-%m-%dT%H:%M:%S%z}"}).json()["id"]]
        self.rows["what-if"] = [company.post("what-if", {
            "from": hour_ms - HOUR_MS, "to": hour_ms, "operations": [{
                "method": "PATCH", "path": f"/v1{base}/users/{user}",
                "body": {"enabled": False}}]})["id"]]
        self.rows["sms"] = [company.post("sms", {"to": "+46701112233", "text": "Hej"})["id"]]
        self.rows["revisions"] = [self.company.client.get(
            f"{self.company.base}/revisions")["items"][0]["id"]]
        self.rows["problems"] = ["invalid", "busy"]
        self.rows["number"] = ["+46701113330", "101"]
        self.rows["live"] = ["nothing"]
        self.rows["oidc"] = self.rows["providers"]

    def _sound(self, folder: str, uid: str) -> str:
        path = Path(folder) / "fuzz" / f"{uid}.flac"
        (self.exchange.state / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(self.exchange.state / path, np.zeros((8000, 2), dtype=np.int16), 8000)
        return str(path)
