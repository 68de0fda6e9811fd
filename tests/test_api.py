"""The provisioning API over HTTP, on a real exchange: who may do what, and what is refused."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from api.config.routes import RESOURCES
from api.publish.publisher import Publisher
from routing_core import mapping
from routing_core.codes import Kind, Source
from store import SqliteStore
from tests.exchange import ROOT, Exchange, refused

addresses = (f"10.9.{host >> 8}.{host & 255}" for host in itertools.count(1))
numbers = itertools.count(6000)
OWNED = [resource for resource in RESOURCES if resource.owned]
GLOBAL = [resource for resource in RESOURCES if not resource.owned]
OFFICE = [{"kind": "weekly", "open": True, "weekdays": [0, 1, 2, 3, 4], "start": 480, "end": 1020},
          {"kind": "holiday", "open": False, "priority": 10}]
BUSY = {"kind": "busy"}


def ask(exchange: Exchange, method: str, path: str, key: str | None, **more: Any) -> httpx.Response:
    """A request with that key, or none."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    port = exchange.settings.api_port
    return httpx.request(method, f"http://127.0.0.1:{port}/v1{path}", headers=headers, timeout=20,
                         **more)


def problem(answer: httpx.Response, status: int, code: str = "", field: str = "") -> dict[str, Any]:
    """The problem details of an answer, which have the shape of RFC 9457."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    body: dict[str, Any] = answer.json()
    assert body["status"] == status and body["detail"] and body["title"] and body["type"]
    assert body["code"] == (code or body["code"]) and body.get("field", "") == field, body
    return body


def furnish(exchange: Exchange) -> Iterator[SimpleNamespace]:
    """A furnished company, another one, and a trunk of each."""
    made = SimpleNamespace(exchange=exchange, client=exchange.client)
    for prefix in ("", "other_"):
        company = exchange.company()
        anna, bo = company.telephone("101"), company.telephone("102")
        group = company.group([anna], extension="200")
        address = next(addresses)
        row = {
            "company": company, "tenant": company.id, "anna": anna, "user": anna.user,
            "device": anna.device, "bo": bo.user, "group": group,
            "empty": company.group([], extension="201"), "activity": company.activity(),
            "number": company.client.get(f"{company.base}/numbers")["items"][0]["id"],
            "member": company.client.get(f"{company.base}/members")["items"][0]["id"],
            "schedule": company.post("schedules", {"name": "Hours", "rules": OFFICE})["id"],
            "prompt": (prompt := company.post("prompts", {"name": "P", "text": "Hej"})["id"]),
            "service": company.post("services", {"name": "M", "settings": {
                "type": "message", "prompt": prompt}})["id"],
            "queue": (queue := company.post("services", {"name": "Q", "settings": {
                "type": "queue"}})["id"]),
            "queue_member": company.post("queue-members", {
                "service": queue, "user": anna.user})["id"],
            "address": address, "key": exchange.client.post(
                "/keys", {"tenant": company.id, "name": "crm"})["key"],
            "trunk": exchange.trunk(address, 5060, tenant=company.id)}
        for name, value in row.items():
            setattr(made, prefix + name, value)
        for path, body in (
                ("keys", {"name": "k"}), ("contacts", {"name": "C"}),
                ("accounts", {"email": f"a{company.id}@example.net", "name": "A",
                              "role": "supervisor"}),
                ("providers", {"name": "P", "issuer": "https://id.example.net", "client_id": "x"}),
                ("webhooks", {"name": "W", "url": "https://hook.example.net/"}),
                ("allotments", {"first": company.e164(1000), "last": company.e164(8999)})):
            company.post(path, body)
        company.forward(anna, "busy", BUSY)
        company.post("caller-rules", {"user": bo.user, "number": "101", "rule": "vip"})
    yield made
    for trunk in (made.trunk, made.other_trunk):
        exchange.client.call("DELETE", f"/trunks/{trunk}")


world = pytest.fixture(furnish, name="world")
#: For tests that change nothing.
still = pytest.fixture(furnish, name="still", scope="module")


def path_of(world: SimpleNamespace, path: str) -> str:
    """"/trunks/{trunk}" as it is, "users" under the company."""
    return path.format(**vars(world)) if path.startswith("/") \
        else f"/tenants/{world.tenant}/{path.format(**vars(world))}"


# -- who may do what ------------------------------------------------------------------------------

@pytest.mark.parametrize("key", [None, "wrong", "vx_å"])
@pytest.mark.parametrize("path", ["/tenants", "/tenants/1/users", "/calls", "/revisions",
                                  "/explain?from=1&to=2", "/tenants/1/lines"])
def test_without_a_valid_key(exchange: Exchange, key: str | None, path: str) -> None:
    if key == "vx_å":  # as bytes that are no UTF-8
        answer = httpx.get(f"http://127.0.0.1:{exchange.settings.api_port}/v1{path}",
                           headers=[(b"Authorization", b"Bearer vx_\xe5")])
    else:
        answer = ask(exchange, "GET", path, key)
    problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_key_sees_only_its_tenant(world: SimpleNamespace) -> None:
    other = f"/tenants/{world.other_tenant}"
    client, mine = world.client, f"/tenants/{world.tenant}"
    for resource in OWNED:
        ids = [row["id"] for row in client.get(f"{other}/{resource.path}")["items"]]
        assert ids, resource.path
        problem(ask(world.exchange, "GET", f"{other}/{resource.path}", world.key), 404)
        problem(ask(world.exchange, "POST", f"{other}/{resource.path}", world.key, json={}), 404)
        for base, key in ((other, world.key), (mine, world.key), (mine, None)):
            for method in ("GET", "PATCH", "DELETE"):
                where = f"{base}/{resource.path}/{ids[0]}"
                body = {"json": {}} if method == "PATCH" else {}
                token = key or world.exchange.settings.api_key
                reads = base == mine and key and resource.given and method != "GET"
                problem(ask(world.exchange, method, where, token, **body),
                        403 if reads else 404)
        assert [row["id"] for row in client.get(f"{other}/{resource.path}")["items"]] == ids
        answer = ask(world.exchange, "GET", f"{mine}/{resource.path}", world.key)
        assert {row["tenant"] for row in answer.json()["items"]} == {world.tenant}
    for resource in GLOBAL:
        for method, tail in (("GET", ""), ("POST", ""), ("GET", "/1"), ("PATCH", "/1"),
                             ("DELETE", "/1")):
            if resource.path == "tenants" and tail:
                tail = f"/{world.other_tenant}"
            hidden = resource.path == "tenants" and tail  # another company is not there
            problem(ask(world.exchange, method, f"/{resource.path}{tail}", world.key),
                    404 if hidden else 403)
    problem(ask(world.exchange, "GET", "/revisions", world.key), 403)
    problem(ask(world.exchange, "GET", "/calls", world.key), 403)
    user = world.other_user
    for method, path in (
            ("GET", f"{other}/calls"), ("GET", f"{other}/lines"),
            ("GET", f"{other}/users/{user}/calls"), ("GET", f"{mine}/users/{user}/calls"),
            ("GET", f"{mine}/users/{user}/presence"), ("GET", f"{other}/users/{user}/presence"),
            ("GET", f"/explain?from=101&to=102&tenant={world.other_tenant}"),
            ("GET", f"/explain?from=trunk:{world.other_trunk}&to=102")):
        problem(ask(world.exchange, method, path, world.key), 404, "not_found")
    for path, body in ((f"{mine}/users/{user}/presence", {"activity": None}),
                       (f"{mine}/members/{world.other_member}/login", {"logged_in": False})):
        problem(ask(world.exchange, "PUT", path, world.key, json=body), 404, "not_found")


def test_another_companys_call(world: SimpleNamespace) -> None:
    world.other_company.main({"kind": "user", "user": world.other_user})
    answer = ask(world.exchange, "GET", f"/explain?from=101&tenant={world.tenant}"
                 f"&to=%2B{world.other_company.e164(0)[1:]}", world.key)
    assert "User 101" not in str(answer.json()["attempts"][0]["lines"][2:]), answer.text
    problem(ask(world.exchange, "GET", "/calls/nothing", world.key), 404, "not_found")
    problem(ask(world.exchange, "GET", "/calls/nothing/replay", world.key), 404, "not_found")


def test_secrets_are_shown_once(world: SimpleNamespace) -> None:
    client, company = world.client, world.company
    since = client.get("/health")["revision"]
    device = company.post("devices", {"user": world.user, "name": "s", "username":
                                      f"s{world.tenant}-secret"})
    assert len(device["secret"]) == 26
    trunk = client.post("/trunks", {"name": "s", "host": "192.0.2.250", "username": "u",
                                    "kind": "registration", "secret": "Pssst-secret"})
    key = client.post("/keys", {"tenant": world.tenant, "name": "s"})
    assert key["key"].startswith("vx_") and "digest" not in key and "secret" not in trunk
    where = f"{company.base}/devices/{device['id']}"
    seen = [client.patch(where, {"name": "t"}), client.get(where),
            client.get(f"{company.base}/devices"), client.get("/trunks"),
            client.patch(f"/trunks/{trunk['id']}", {"secret": "Pssst-secret2"}),
            client.get("/keys", limit=1000), client.get(f"/keys/{key['id']}"),
            client.patch(f"/keys/{key['id']}", {"name": "t"})]
    for method, path in (("DELETE", f"/trunks/{trunk['id']}"), ("DELETE", f"/keys/{key['id']}"),
                         ("DELETE", where)):
        client.call(method, path)
    revisions = client.get("/revisions", after=since, limit=1000)
    text = json.dumps([seen, revisions, trunk])
    assert device["secret"] not in text and "Pssst" not in text and key["key"] not in text
    assert '"digest": "hidden"' in text and text.count('"secret": "hidden"') >= 6
    problem(ask(world.exchange, "GET", "/explain?from=1&to=2", key["key"]), 401)


# -- resources ------------------------------------------------------------------------------------

def bodies(w: SimpleNamespace) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """For every table a body and a change."""
    to_bo, unique = {"kind": "user", "user": w.bo}, f"{w.tenant}-{time.monotonic_ns()}"
    return {
        "tenants": ({"name": f"A {unique}", "barred": ["premium"]}, {"country": "FI"}),
        "areas": ({"name": f"A {unique}", "location": "urn:x"}, {"centre": "+46812345"}),
        "trunks": ({"name": "T", "host": "192.0.2.9", "sources": [f"ip:{next(addresses)}"]},
                   {"sources": [], "ping": False, "tenant": w.tenant}),
        "routes": ({"trunk": w.trunk, "tenant": w.tenant, "prefix": "46"}, {"weight": 9}),
        "plans": ({"name": f"P {unique}", "functions": ["record"]}, {"max_devices": 1}),
        "keys": ({"name": "crm"}, {"name": "other", "scopes": ["users:read"]}),
        "accounts": ({"name": "Åsa", "email": f"asa{unique}@example.net", "role": "supervisor"},
                     {"role": "administrator", "phone": "+46701234567"}),
        "providers": ({"name": "P", "issuer": "https://id.example.net", "client_id": "vaxel"},
                      {"enabled": False}),
        "contacts": ({"name": "Öst", "numbers": [{"kind": "mobile", "e164": "+46701112233"}]},
                     {"company": "Öst AB", "numbers": []}),
        "webhooks": ({"name": "W", "url": "https://hook.example.net/", "kinds": ["queue"]},
                     {"enabled": False, "kinds": []}),
        "users": ({"name": "Åsa", "extension": "150"}, {"extension": None, "language": "fi"}),
        "devices": ({"name": "D", "user": w.user, "username": f"d{unique}"}, {"kind": "soft"}),
        "numbers": ({"e164": w.company.e164(5000), "target": to_bo, "schedule": w.schedule},
                    {"target": {"kind": "group", "group": w.group}, "schedule": None}),
        "allotments": ({"first": w.company.e164(9000), "last": w.company.e164(9099)},
                       {"last": w.company.e164(9049)}),
        "activities": ({"name": "Lunch", "code": "7"}, {"role": "work"}),
        "forwards": ({"user": w.bo, "event": "no_answer", "target": BUSY}, {"target": to_bo}),
        "caller-rules": ({"user": w.user, "number": "+46701112233", "rule": "vip"},
                         {"rule": "blocked"}),
        "schedules": ({"name": "S", "rules": OFFICE}, {"rules": [], "state": "closed"}),
        "groups": ({"name": "G", "extension": "250", "nobody": BUSY}, {"nobody": None}),
        "members": ({"ring_group": w.empty, "user": w.bo}, {"device_kinds": ["soft"]}),
        "prompts": ({"name": "P", "text": "Välkommen"}, {"language": "fi", "text": ""}),
        "services": ({"name": "S", "extension": "260", "settings": {
            "type": "mailbox", "user": w.bo, "pin": "2580"}},
            {"settings": {"type": "message", "prompt": w.prompt}, "extension": None}),
        "queue-members": ({"service": w.queue, "user": w.bo,
                            "skills": [{"name": "it", "level": 5}]},
                          {"skills": [], "tier": 2}),
    }


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: r.base)
def test_every_resource(world: SimpleNamespace, resource: Any) -> None:
    body, change = bodies(world)[resource.path]
    if not resource.owned and resource.path in ("keys", "accounts", "providers", "allotments"):
        body |= {"tenant": world.tenant}
    if resource.path == "trunks":
        change.pop("tenant")
    path = path_of(world, resource.path if resource.owned else f"/{resource.path}")
    theirs = resource.owned and not resource.given
    own = world.key if theirs else world.exchange.settings.api_key
    answer = ask(world.exchange, "POST", path, own, json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    where = f"{path}/{made['id']}"
    assert answer.headers["location"] == f"/v1{where}"
    clean = {name: value for name, value in made.items() if name not in ("secret", "key")}
    known = {name: value for name, value in body.items() if name not in ("target", "rules",
                                                                        "nobody", "settings")}
    assert known.items() <= clean.items()
    client = world.client
    assert client.get(where) == clean
    for query in ({}, *({name: made[name]} for name in resource.filters
                        if made.get(name) is not None)):
        items = client.get(path, after=made["id"] - 1, limit=1, **query)
        assert items == {"items": [clean], "next": made["id"]}, query
    changed = client.patch(where, change)
    assert client.get(where) == changed != clean
    assert {name: changed[name] for name in clean if name not in change} == {
        name: clean[name] for name in clean if name not in change}
    assert client.call("DELETE", where) is None
    problem(ask(world.exchange, "GET", where, own), 404, "not_found")
    problem(ask(world.exchange, "DELETE", where, own), 404, "not_found")
    last = client.get("/revisions", after=client.get("/health")["revision"] - 3)["items"]
    assert [r["changes"][0]["id"] for r in last] == [made["id"]] * 3
    assert [r["author"] for r in last] == ["crm" if theirs else "operator"] + [
        "operator"] * 2


def test_paging(world: SimpleNamespace) -> None:
    path = path_of(world, "users")
    for extension in range(120, 125):
        world.company.post("users", {"name": "x", "extension": str(extension)})
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = world.client.get(path, limit=3, after=after)
        seen += [row["id"] for row in page["items"]]
        assert len(page["items"]) <= 3
        after = page["next"]
    assert len(seen) == 7 and seen == sorted(set(seen))
    assert [row["extension"] for row in world.client.get(path, extension="122")["items"]] == ["122"]


@pytest.mark.parametrize(("path", "field"), [
    ("users?limit=0", "limit"), ("users?limit=1001", "limit"), ("users?limit=x", "limit"),
    ("users?after=-1", "after"), ("calls?limit=1k", "limit"), ("calls?from=now", "from"),
    ("users?limit=0000000000000000000150000", "limit"), ("devices?user=" + "9" * 30, "user"),
    ("/explain?to=1", "from"), ("/explain?from=1", "to"), ("/revisions?after=%C2%B2", "after"),
    ("/explain?from=101&to=1&at=soon&tenant={tenant}", "at"),
    ("/explain?from=101&to=1&tenant=x", "tenant"), ("/explain?from=nobody&to=1", "from")])
def test_bad_queries(still: SimpleNamespace, path: str, field: str) -> None:
    answer = ask(still.exchange, "GET", path_of(still, path), still.exchange.settings.api_key)
    problem(answer, 422, "invalid", field)


@pytest.mark.parametrize("path", ["/tenants/" + "9" * 30, "users/" + "9" * 30, "users/-1",
                                  "/nothing", "/explain?from=trunk:" + "9" * 30 + "&to=1"])
def test_what_is_not_there(still: SimpleNamespace, path: str) -> None:
    problem(ask(still.exchange, "GET", path_of(still, path), still.exchange.settings.api_key), 404)


# -- refusals -------------------------------------------------------------------------------------

def rule(**fields: Any) -> dict[str, Any]:
    """A schedule with one rule."""
    return {"name": "New", "rules": [{"kind": "daily", "open": True} | fields]}


def number(w: SimpleNamespace, **fields: Any) -> dict[str, Any]:
    """A body of a number."""
    return {"e164": w.company.e164(next(numbers))} | fields


def device(w: SimpleNamespace, **fields: Any) -> dict[str, Any]:
    """A body of a device."""
    return {"user": w.user, "name": "d", "username": f"new-{w.tenant}"} | fields


def forward(w: SimpleNamespace, **fields: Any) -> dict[str, Any]:
    """A body of a forwarding."""
    return {"user": w.user, "event": "always", "target": BUSY} | fields


def trunk(**fields: Any) -> dict[str, Any]:
    """A body of a trunk."""
    return {"name": "t", "host": "192.0.2.9"} | fields


def to(kind: str, **parts: Any) -> dict[str, Any]:
    """A target."""
    return {"kind": kind} | parts


Body = Callable[[SimpleNamespace], Any]
BAD: list[tuple[str, Body, int, str]] = [
    ("users", lambda w: {"name": 5}, 422, "name"),
    ("users", lambda w: {"name": "x", "ring_s": "25"}, 422, "ring_s"),
    ("users", lambda w: {"name": "x", "ring_s": 2}, 422, "ring_s"),
    ("users", lambda w: {"name": "x", "enabled": 1}, 422, "enabled"),
    ("users", lambda w: {"name": "x", "barred": ["dear"]}, 422, "barred[0]"),
    ("users", lambda w: {"name": "x", "nickname": "y"}, 422, "nickname"),
    ("users", lambda w: {"extension": "150"}, 422, "name"),
    ("users", lambda w: {"name": "x", "id": 7}, 422, "id"),
    ("users", lambda w: {"name": "x", "tenant": w.tenant}, 422, "tenant"),
    ("users", lambda w: [], 422, ""), ("users", lambda w: "x", 422, ""),
    ("users", lambda w: None, 422, ""),
    *[("users", lambda w, c=c: {"name": f"a{c}b"}, 422, "name") for c in "\0\n\r\t\x1b\x7f"],
    ("users", lambda w: {"name": "trailing\n"}, 422, "name"),
    ("users", lambda w: {"name": ""}, 422, "name"),
    ("users", lambda w: {"name": "x" * 101}, 422, "name"),
    ("users", lambda w: {"name": "x", "area": 99999}, 422, "area"),
    *[("users", lambda w, e=e: {"name": "x", "extension": e}, 422, "extension")
      for e in ("0", "01", "1234567", "1a", "112", "1177", "155\n")],
    *[("users", lambda w, e=e: {"name": "x", "extension": e}, status, "extension")
      for e, status in (("101", 409), ("200", 409))],
    ("groups", lambda w: {"name": "x", "extension": "101"}, 409, "extension"),
    ("groups", lambda w: {"name": "x", "extension": "200"}, 409, "extension"),
    ("groups", lambda w: {"name": "x", "extension": "112"}, 422, "extension"),
    ("groups", lambda w: {"name": "x", "nobody": to("group", group=w.empty)}, 422, "nobody"),
    ("groups", lambda w: {"name": "x", "no_answer": to("user")}, 422, "no_answer.user"),
    *[("numbers", lambda w, e=e: {"e164": e}, 422, "e164")
      for e in ("0812345", "+0812345678", "+46 8", "+468123456789012345", "+4681", "+46812",
                "+999123456789", "+4681234567\n", "46812345678")],
    ("numbers", lambda w: {"e164": w.company.e164(101)}, 409, "e164"),
    ("numbers", lambda w: {"e164": w.other_company.e164(101)}, 409, "e164"),
    ("numbers", lambda w: number(w, target=to("user", user=w.other_user)), 422, "target.user"),
    ("numbers", lambda w: number(w, target=to("user", user=99999)), 422, "target.user"),
    ("numbers", lambda w: number(w, target=to("group", group=w.other_group)), 422, "target.group"),
    ("numbers", lambda w: number(w, closed_target=to("group", group=99999)), 422,
     "closed_target.group"),
    ("numbers", lambda w: number(w, schedule=w.other_schedule), 422, "schedule"),
    ("numbers", lambda w: number(w, target=to("user")), 422, "target.user"),
    ("numbers", lambda w: number(w, target=to("busy", user=w.user)), 422, "target.user"),
    ("numbers", lambda w: number(w, target=to("user", user=w.user, text="1")), 422, "target.text"),
    ("numbers", lambda w: number(w, target=to("moon")), 422, "target.kind"),
    ("numbers", lambda w: number(w, target={}), 422, "target.kind"),
    ("numbers", lambda w: number(w, target=to("number", text="0812345")), 422, "target.text"),
    ("numbers", lambda w: number(w, target=to("number", text="+٤٦٧٠١١١٢٢٣")), 422, "target.text"),
    ("numbers", lambda w: number(w, target=to("service", text="vm")), 422, "target.service"),
    ("numbers", lambda w: number(w, target=to("group", group=w.empty)), 422, "target"),
    ("numbers", lambda w: number(w, closed_target=to("group", group=w.empty)), 422,
     "closed_target"),
    ("forwards", lambda w: forward(w, target=to("group", group=w.empty)), 422, "target"),
    ("forwards", lambda w: forward(w, target=to("user", user=w.other_user)), 422, "target.user"),
    ("forwards", lambda w: forward(w, user=w.other_user), 422, "user"),
    ("forwards", lambda w: forward(w, activity=w.activity), 422, "activity"),
    ("forwards", lambda w: forward(w, event="activity", activity=w.other_activity), 422,
     "activity"),
    ("forwards", lambda w: forward(w, event="busy"), 409, "event"),
    ("caller-rules", lambda w: {"user": w.bo, "number": "101", "rule": "vip"}, 409, "number"),
    ("members", lambda w: {"ring_group": w.group, "user": w.user}, 409, "user"),
    ("members", lambda w: {"ring_group": w.group, "user": w.other_user}, 422, "user"),
    ("members", lambda w: {"ring_group": w.other_group, "user": w.user}, 422, "ring_group"),
    ("members", lambda w: {"ring_group": w.group, "user": w.bo, "device_kinds": []}, 422,
     "device_kinds"),
    ("devices", lambda w: device(w, username=w.anna.username), 409, "username"),
    ("devices", lambda w: device(w, username=w.other_anna.username), 409, "username"),
    ("devices", lambda w: device(w, username="Anna"), 422, "username"),
    ("devices", lambda w: device(w, username="anna-1\n"), 422, "username"),
    ("devices", lambda w: device(w, user=w.other_user), 422, "user"),
    ("devices", lambda w: device(w, secret="short"), 422, "secret"),
    ("schedules", lambda w: rule() | {"rules": OFFICE + [
        {"kind": "dates", "open": False, "from_date": "2027-06-07", "to_date": "2027-06-07"}]},
     422, "rules[2].priority"),
    *[("schedules", lambda w, d=d: rule(kind="dates", from_date=d, to_date="2026-12-31"), 422,
       "rules[0].from_date") for d in ("2026-02-30", "2026-13-01", "02-03", "soon")],
    ("schedules", lambda w: rule(kind="yearly", from_date="02-30", to_date="03-01"), 422,
     "rules[0].from_date"),
    ("schedules", lambda w: rule(kind="dates", from_date="2026-02-02", to_date="2026-02-01"), 422,
     "rules[0].to_date"),
    ("schedules", lambda w: rule(kind="yearly", from_date="12-24"), 422, "rules[0].to_date"),
    ("schedules", lambda w: rule(kind="weekly"), 422, "rules[0].weekdays"),
    ("schedules", lambda w: rule(kind="weekly", weekdays=[7]), 422, "rules[0].weekdays[0]"),
    ("schedules", lambda w: rule(start=480, end=480), 422, "rules[0].end"),
    ("schedules", lambda w: rule(start=1440), 422, "rules[0].start"),
    ("/trunks", lambda w: trunk(sources=["192.0.2.1"]), 422, "sources[0]"),
    ("/trunks", lambda w: trunk(sources=["ip:192.0.2.300"]), 422, "sources[0]"),
    ("/trunks", lambda w: trunk(sources=["ip:2001:db8:0::1"]), 422, "sources[0]"),
    ("/trunks", lambda w: trunk(sources=["tls:a", f"ip:{w.address}"]), 422, "sources[1]"),
    ("/trunks", lambda w: trunk(kind="registration"), 422, "username"),
    ("/trunks", lambda w: trunk(host="sip.example.net\n"), 422, "host"),
    ("/trunks", lambda w: trunk(port=0), 422, "port"),
    ("/trunks", lambda w: trunk(tenant=99999), 422, "tenant"),
    ("/routes", lambda w: {"trunk": w.trunk}, 422, "trunk"),
    ("/routes", lambda w: {"trunk": w.other_trunk, "tenant": w.tenant}, 422, "trunk"),
    ("/routes", lambda w: {"trunk": 99999}, 422, "trunk"),
    ("/areas", lambda w: {"name": f"x{w.tenant}", "trunk": w.trunk}, 422, "trunk"),
    ("/keys", lambda w: {"name": "x", "digest": "x"}, 422, "digest"),
    ("/tenants", lambda w: {"name": w.client.get(f"/tenants/{w.tenant}")["name"]}, 409, "name"),
    ("/tenants", lambda w: {"name": "x", "time_zone": "Mars"}, 422, "time_zone"),
    ("/tenants", lambda w: {"name": f"y{w.tenant}", "area": 99999}, 422, "area"),
    *[("/tenants/{tenant}", lambda w, f=f: {f: w.other_company.e164(101)}, 422, f)
      for f in ("main_number", "support_number")],
    ("users/{user}", lambda w: {"extension": "102"}, 409, "extension"),
    ("users/{user}", lambda w: {"name": None}, 422, "name"),
    ("users/{user}", lambda w: {"tenant": w.other_tenant}, 422, "tenant"),
    ("devices/{device}", lambda w: {"secret": "b" * 26}, 422, "secret"),
    ("numbers/{number}", lambda w: {"target": to("user", user=w.other_user)}, 422, "target.user"),
]


@pytest.mark.parametrize(("path", "body", "status", "field"), BAD,
                         ids=[f"{i}-{path}-{field}" for i, (path, _, _, field) in enumerate(BAD)])
def test_bad_bodies(still: SimpleNamespace, path: str, body: Body, status: int,
                    field: str) -> None:
    where, key = path_of(still, path), still.exchange.settings.api_key
    listed = still.client.get(where)
    revision = still.client.get("/health")["revision"]
    method = "PATCH" if "{" in path else "POST"
    answer = ask(still.exchange, method, where, key, content=json.dumps(body(still)).encode())
    assert still.client.get("/health")["revision"] == revision, answer.text
    assert still.client.get(where) == listed
    problem(answer, status, "conflict" if status == 409 else "", field)


@pytest.mark.parametrize(("content", "status"), [
    (b"", 400), (b"{", 400), (b'{"name": "x",}', 400), (b"\xff", 400), (b'{"name": "\xff"}', 400),
    (b'{"name": "\\ud800"}', 400), (b"[" * 100_000, 422),
    (b'{"x":' * 100_000, 400), (b'{"name": NaN}', 400),
    (json.dumps({"name": "x" * (1 << 20)}).encode(), 413)],
    ids=lambda value: repr(value)[:20])
def test_bodies_that_are_not_json(still: SimpleNamespace, content: bytes, status: int) -> None:
    revision = still.client.get("/health")["revision"]
    problem(ask(still.exchange, "POST", path_of(still, "users"), still.key, content=content),
            status)
    assert still.client.get("/health")["revision"] == revision


def test_what_would_be_left_without_a_way_out(world: SimpleNamespace) -> None:
    client, base = world.client, world.company.base
    world.company.main(to("group", group=world.group))
    here = client.get(f"{base}/numbers", e164=world.company.e164(0))["items"][0]["id"]
    client.patch(base, {"main_number": world.company.e164(0)})
    client.patch(f"{base}/groups/{world.empty}", {"nobody": BUSY})
    world.company.forward(world.anna, "always", to("group", group=world.empty))
    for device_number in range(5):
        world.company.post("devices", device(world, username=f"m{world.tenant}-{device_number}"))
    member, revision = f"{base}/members/{world.member}", client.get("/health")["revision"]
    wrong = []
    for method, path, body, field in (
            ("DELETE", member, None, "ring_group"),
            ("PATCH", f"{base}/groups/{world.empty}", {"nobody": None}, "no_answer"),
            ("DELETE", f"{base}/numbers/{here}", None, "main_number"),
            ("POST", f"{base}/devices", device(world), "user"),
            ("PUT", f"{base}/users/{world.user}/presence", {"activity": world.other_activity},
             "activity"),
            ("PUT", f"{base}/users/{world.user}/presence", {"activity": 10**30}, "activity"),
            ("PUT", f"{base}/users/{world.user}/presence", {"activity": None, "until": -1},
             "until"),
            ("PUT", f"{base}/members/{world.member}/login", {"logged_in": 1}, "logged_in"),
            ("PATCH", f"{base}/numbers/{here}", {"e164": world.company.e164(1)}, "e164"),
            ("PATCH", member, {"ring_group": world.empty}, "ring_group")):
        answer = ask(world.exchange, method, path, world.key, json=body)
        now = client.get("/health")["revision"]
        if (answer.status_code, now) != (422, revision) or answer.json().get("field") != field:
            wrong.append((method, path, body, answer.status_code, answer.text))
        revision = now
    assert not wrong, wrong


def test_what_is_in_use_stays(world: SimpleNamespace) -> None:
    route = world.client.post("/routes", {"trunk": world.trunk, "tenant": world.tenant})["id"]
    for path in ("users/{user}", "groups/{group}", "/trunks/{trunk}", "/tenants/{tenant}"):
        answer = refused(world.client, "DELETE", path_of(world, path), None)
        assert (answer["status"], answer["code"]) == (409, "still_referenced"), path
    world.client.call("DELETE", f"/routes/{route}")


@pytest.mark.parametrize("days", [("0001-01-01", "0001-01-02"), ("1960-01-01", "1960-02-01"),
                                  ("9999-12-30", "9999-12-31")])
def test_dates_far_away(world: SimpleNamespace, days: tuple[str, str]) -> None:
    body = {"name": "Far", "rules": [
        {"kind": "dates", "open": True, "from_date": days[0], "to_date": days[1]}]}
    answer = ask(world.exchange, "POST", path_of(world, "schedules"), world.key, json=body)
    health = world.client.get("/health")
    assert answer.status_code in (201, 422) and health["revision"] == health["published"]


# -- what is so now -------------------------------------------------------------------------------

def test_presence_login_lines(world: SimpleNamespace) -> None:
    client, base, live = world.client, world.company.base, world.exchange.live
    where = f"{base}/users/{world.user}/presence"
    assert client.get(where)["name"] == "available"
    client.put(where, {"activity": world.activity, "note": "back at 3"})
    seen = client.get(where)
    assert (seen["name"], seen["note"], seen["reachable"], seen["line"]) == (
        "meeting", "back at 3", False, "idle")
    assert live.presence(world.user) == (world.activity, 0)
    lines = {line["extension"]: line["name"] for line in client.get(f"{base}/lines")["items"]}
    assert lines == {"101": "meeting", "102": "available"}
    client.put(where, {"activity": world.activity, "until": int(time.time()) - 1})
    assert client.get(where)["name"] == "available"
    client.put(f"{base}/members/{world.member}/login", {"logged_in": False})
    assert not live.is_logged_in(world.member)
    client.patch(f"{base}/members/{world.member}", {"priority": 5})
    assert not live.is_logged_in(world.member), "a change of the priority has logged the member in"


def vaxel(world: SimpleNamespace, *arguments: str) -> str:
    """The output of a command that succeeds."""
    done = subprocess.run(
        [sys.executable, "-m", "vaxel", "--state", str(world.exchange.state), *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_health_and_explanations(world: SimpleNamespace) -> None:
    health = ask(world.exchange, "GET", "/health", None).json()
    assert health["status"] == "ok" and health["revision"] == health["published"] > 0
    assert "examples:" in vaxel(world, "--help") and "status" in vaxel(world, "status")
    where, tenant = world.company.e164(0), str(world.tenant)
    world.company.main(to("user", user=world.bo), schedule=world.schedule, closed_target=BUSY)
    for at, kind in (("2026-12-22T10:00", "relay"), ("2026-12-25T10:00", "reject"),
                     ("2026-12-22T07:59", "reject"), ("2026-12-22T07:00+00:00", "relay")):
        found = ask(world.exchange, "GET", "/explain", world.key,
                    params={"from": "101", "to": where, "at": at}).json()
        assert found["attempts"][0]["kind"] == kind, (at, found)
        by_hand = json.loads(vaxel(world, "explain", "101", where, "--tenant", tenant,
                                   "--at", at, "--json"))
        assert by_hand == found
    text = vaxel(world, "explain", "101", where, "--tenant", tenant, "--at", "2026-12-25T10:00")
    assert "1. the call comes in" in text and "Hours" in text


def test_the_day_before_christmas_eve_is_no_holiday(world: SimpleNamespace) -> None:
    number = world.company.main(to("user", user=world.bo), schedule=world.schedule,
                                closed_target=BUSY)
    found = world.client.get("/explain", tenant=world.tenant, to=number, at="2026-12-23T10:00",
                             **{"from": "101"})
    assert found["attempts"][0]["kind"] == "relay", found["attempts"][0]["lines"]


def test_a_change_is_in_force_when_it_is_answered(world: SimpleNamespace) -> None:
    kernel = mapping.open_kernel(world.exchange.state)
    where, now = f"{world.company.base}/numbers/{world.number}", int(time.time())
    for turn in range(200):
        user = (world.bo, world.user)[turn % 2]
        world.client.patch(where, {"target": to("user", user=user)})
        decision = kernel.decide(Source.TRUNK, world.trunk, world.company.e164(101),
                                 "+46701112233", now, turn)
        assert decision.kind == Kind.RELAY and {t[2] for t in decision.targets} == {user}, turn


def test_after_a_power_failure_a_base_is_compiled_anew(tmp_path: Path) -> None:
    """Overlays are not synced: what an earlier boot left is not believed."""
    store = SqliteStore(tmp_path / "vaxel.db")
    store.migrate()
    first = Publisher(store, tmp_path).generation
    assert Publisher(store, tmp_path).generation == first
    (tmp_path / "boot").write_text("another boot")
    assert Publisher(store, tmp_path).generation == first + 1
    mapping.remove_live(tmp_path)
