"""The demo company and one real call through everything, listened to on both sides."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec

from vaxel.phone import Phone, PhoneError, loudest
from vaxel.settings import CONFIGS, Settings

CARRIER = "127.0.0.2"
SECOND_CARRIER = "127.0.0.3"
CALLER = "+46701234567"
CALLER_HZ, ANNA_HZ, BO_HZ = 800, 440, 620
TALK_S = 3.0


class DemoError(Exception):
    """The demo cannot be run."""


class Result(msgspec.Struct):
    """What the demo saw."""

    checks: dict[str, bool] = {}
    explanation: list[str] = []
    record: dict[str, Any] = {}
    dial: dict[str, str] = {}
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Everything was as it should be."""
        return bool(self.checks) and all(self.checks.values())

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {"good": self.good} | dict(msgspec.to_builtins(self))

    def text(self) -> str:
        """For people."""
        record = {name: value for name, value in self.record.items() if name != "decisions"}
        lines = ["", "How the call was routed:", *(f"  {line}" for line in self.explanation),
                 "", "Its record:", *(f"  {name:14} {value}" for name, value in record.items()),
                 "", "What was seen:",
                 *(f"  [{'ok' if good else 'NO'}] {name}" for name, good in self.checks.items()),
                 "", "What can be dialled:",
                 *(f"  {name:14} {value}" for name, value in self.dial.items()), ""]
        return "\n".join(lines)


class Client:
    """The API, for the demo and the tests."""

    def __init__(self, settings: Settings) -> None:
        self._http = httpx.Client(
            base_url=f"http://{settings.address}:{settings.api_port}/v1",
            headers={"Authorization": f"Bearer {settings.api_key}"}, timeout=20)

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The answer's body; DemoError when it is not a success."""
        answer = self._http.request(method, path, json=body, params=query)
        if answer.status_code >= 400:
            raise DemoError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def post(self, path: str, body: Any) -> Any:
        """Create."""
        return self.call("POST", path, body)

    def get(self, path: str, **query: Any) -> Any:
        """Read."""
        return self.call("GET", path, None, **query)

    def patch(self, path: str, body: Any) -> Any:
        """Change."""
        return self.call("PATCH", path, body)

    def put(self, path: str, body: Any) -> Any:
        """Set."""
        return self.call("PUT", path, body)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


def provision(client: Client, carrier_port: int) -> dict[str, Any]:
    """Make the demo company; returns {"tenants": {name: {...ids...}}, "secrets": {...}}."""
    plan = json.loads((CONFIGS / "demo.json").read_text())
    found: dict[str, Any] = {"tenants": {}, "devices": {}}
    first = client.post("/trunks", {"name": "First carrier", "host": CARRIER,
                                    "port": carrier_port, "sources": [f"ip:{CARRIER}"]})
    second = client.post("/trunks", {"name": "Second carrier", "host": SECOND_CARRIER,
                                     "port": carrier_port, "sources": [f"ip:{SECOND_CARRIER}"]})
    for position, trunk in enumerate((first, second)):
        client.post("/routes", {"trunk": trunk["id"], "position": position})
    for company in plan["tenants"]:
        country = company["country"]
        area = client.post("/areas", {
            "name": f"{company['name']}", "country": country,
            "location": f"urn:vaxel:area:{country.lower()}"})
        tenant = client.post("/tenants", {
            "name": company["name"], "country": country, "language": company["language"],
            "time_zone": company["time_zone"], "area": area["id"]})["id"]
        base = f"/tenants/{tenant}"
        users: dict[str, int] = {}
        for person in company["users"]:
            extension = person["extension"]
            users[extension] = client.post(f"{base}/users", person)["id"]
            client.post(f"{base}/numbers", {
                "e164": f"{company['direct_prefix']}{int(extension):02d}", "kind": "direct",
                "target": {"kind": "user", "user": users[extension]}})
            name = f"t{tenant}-{extension}-desk"
            device = client.post(f"{base}/devices", {
                "user": users[extension], "name": "Desk phone", "kind": "desk",
                "username": name, "digest": "md5"})
            found["devices"][name] = device["secret"]
        for activity in plan["activities"]:
            client.post(f"{base}/activities", activity)
        hours = client.post(f"{base}/schedules", {
            "name": "Office hours", "country": country, "time_zone": company["time_zone"],
            "rules": plan["hours"]})["id"]
        groups = {}
        for key, strategy in (("answer_group", "parallel"), ("hunt_group", "serial")):
            wanted = company[key]
            groups[key] = client.post(f"{base}/groups", {
                "name": wanted["name"], "extension": wanted["extension"], "strategy": strategy,
                "kind": key.split("_")[0], "attempts": 2})["id"]
            for priority, extension in enumerate(wanted["members"]):
                client.post(f"{base}/members", {
                    "ring_group": groups[key], "user": users[extension], "priority": priority})
        client.post(f"{base}/numbers", {
            "e164": company["main"], "kind": "main", "record": True,
            "target": {"kind": "group", "group": groups["answer_group"]}})
        support = company["main"][:-2] + "90"
        client.post(f"{base}/numbers", {
            "e164": support, "kind": "support", "schedule": hours,
            "target": {"kind": "group", "group": groups["hunt_group"]},
            "closed_target": {"kind": "user", "user": users[company["users"][0]["extension"]]}})
        client.patch(base, {"main_number": company["main"], "support_number": support})
        first = users[company["users"][0]["extension"]]
        menu = _menu(client, base, company, first)
        found["tenants"][company["name"]] = {
            "id": tenant, "users": users, "groups": groups, "main": company["main"],
            "support": support, "menu": menu}
    return found


def _menu(client: Client, base: str, company: dict[str, Any], user: int) -> str:
    """A menu that speaks, and a mailbox behind it; its number."""
    prompt = client.post(f"{base}/prompts", {"name": "Menu", "text": company["menu"]})["id"]
    mailbox = client.post(f"{base}/services", {
        "name": company["users"][0]["name"], "settings": {"type": "mailbox", "user": user}})["id"]
    menu = client.post(f"{base}/services", {"name": "Menu", "extension": "400", "settings": {
        "type": "menu", "prompt": prompt, "choices": [
            {"key": "1", "target": {"kind": "user", "user": user}},
            {"key": "2", "target": {"kind": "service", "service": mailbox}}]}})["id"]
    number = company["main"][:-2] + "91"
    client.post(f"{base}/numbers", {
        "e164": number, "target": {"kind": "service", "service": menu}})
    return str(number)


class Demo:
    """Provision, call, listen, explain."""

    def __init__(self, state: Path, settings: Settings, say: Callable[[str], None]) -> None:
        self.state = state
        self.settings = settings
        self.say = say
        self.client = Client(settings)

    def run(self) -> Result:
        """Everything; DemoError when it cannot be done."""
        began = time.monotonic()
        result = Result()
        server = f"{self.settings.address}:{self.settings.sip_port}"
        folder = self.state / "demo"
        folder.mkdir(exist_ok=True)
        carrier = Phone(folder / "carrier", CALLER, "", server, tone_hz=CALLER_HZ,
                        address=CARRIER, register=False, answer="auto")
        made = self._company(carrier.port)
        company = made["tenants"]["Norrsken Bygg AB"]
        tenant = company["id"]
        for old in folder.glob("*/dump-*.wav"):
            old.unlink()
        result.dial = {"main number": company["main"], "support": company["support"],
                       "menu": company["menu"],
                       "extensions": "101-108 (users), 200 (switchboard), 300 (support)",
                       "telephones": f"names and secrets in {folder / 'company.json'}"}

        def phone(extension: str, tone_hz: int) -> Phone:
            name = f"t{tenant}-{extension}-desk"
            return Phone(folder / name, name, made["devices"][name], server, tone_hz=tone_hz)

        try:
            with carrier, phone("101", ANNA_HZ) as anna, phone("102", BO_HZ) as bo:
                self.say("  two telephones have registered")
                self._menu(result, carrier, anna, company["menu"])
                carrier.dial(company["main"])
                anna.wait("CALL_INCOMING")
                bo.wait("CALL_INCOMING")
                result.checks["both telephones ring"] = True
                self.say("  both ring; one answers")
                bo.answer()
                carrier.wait("CALL_ESTABLISHED")
                anna.wait("CALL_CLOSED")
                result.checks["the other stops ringing"] = True
                lines = self.client.get(f"/tenants/{tenant}/lines")["items"]
                state = {line["extension"]: line["line"] for line in lines}
                result.checks["line states are right"] = (
                    state["102"] == "in_call" and state["101"] == "idle")
                time_to_talk(TALK_S)
                carrier.hang_up()
                bo.wait("CALL_CLOSED")
                result.checks["the telephone hears the carrier"] = bo.hears(CALLER_HZ)
                result.checks["the carrier hears the telephone"] = carrier.hears(BO_HZ)
        except PhoneError as error:
            raise DemoError(str(error)) from error
        self._after(result, tenant, company["main"])
        result.seconds = round(time.monotonic() - began, 1)
        return result

    def _menu(self, result: Result, carrier: Phone, anna: Phone, number: str) -> None:
        """Call control answers, hears a key and connects."""
        carrier.dial(number)
        carrier.wait("CALL_ESTABLISHED")
        time_to_talk(TALK_S)
        carrier.command("sndcode", "1")
        anna.wait("CALL_INCOMING")
        anna.answer()
        anna.wait("CALL_ESTABLISHED")
        time_to_talk(TALK_S)
        carrier.hang_up()
        anna.wait("CALL_CLOSED")
        result.checks["the menu hears the key and connects"] = anna.hears(CALLER_HZ)
        self.say("  the menu spoke, heard a key and connected the caller")

    def _company(self, carrier_port: int) -> dict[str, Any]:
        path = self.state / "demo" / "company.json"
        if path.exists():
            made: dict[str, Any] = json.loads(path.read_text())
            for trunk in self.client.get("/trunks")["items"]:
                if trunk["host"] in (CARRIER, SECOND_CARRIER):
                    self.client.patch(f"/trunks/{trunk['id']}", {"port": carrier_port})
            self.say("  the demo company is there")
            return made
        made = provision(self.client, carrier_port)
        path.touch(mode=0o600)
        path.write_text(json.dumps(made))
        self.say("  the demo company is provisioned: two tenants, twelve users, two trunks")
        return made

    def _after(self, result: Result, tenant: int, main: str) -> None:
        self.say("  waiting for the call record and the recording")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            records = self.client.get(f"/tenants/{tenant}/calls", limit=1)["items"]
            if records and records[0]["caller"] == CALLER:
                result.record = records[0]
                file = next((self.state / "recordings").glob(f"*/{records[0]['uid']}.flac"), None)
                if file:
                    break
            time_to_talk(0.2)
        else:
            raise DemoError("no call record and recording after 20 s; see logs/keeper.log in "
                            f"{self.state}")
        result.checks["the recording has the caller left"] = loudest(file, 0) == CALLER_HZ
        result.checks["and the answering telephone right"] = loudest(file, 1) == BO_HZ
        replay = self.client.get(f"/calls/{result.record['uid']}/replay")
        result.checks["the decision replays"] = bool(replay["faithful"])
        explained = self.client.get("/explain", **{"from": CALLER, "to": main})
        result.explanation = explained["attempts"][0]["lines"]


def time_to_talk(seconds: float) -> None:
    """Let the sound run."""
    import threading

    threading.Event().wait(seconds)
