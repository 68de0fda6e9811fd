"""Plans with add-ons (A3), attendants' licences, and the audit, over HTTP on the API alone."""

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.alone import Alone
from tests.exchange import eventually
from vaxel.demo import Client

ids = itertools.count(1)


@pytest.fixture(scope="module", name="api")
def running() -> Iterator[Alone]:
    """The API process alone."""
    with Alone() as alone:
        yield alone


@pytest.fixture(name="w")
def company(api: Alone) -> SimpleNamespace:
    """A company with a user on a plan that has next to nothing."""
    client = Client(api.settings)
    number = next(ids)
    tenant = client.post("/tenants", {"name": f"Plans {number}", "attendant_licences": 1})["id"]
    plan = client.post("/plans", {"name": f"Fast {number}", "device_kinds": ["desk"],
                                  "max_devices": 1, "functions": ["forwarding"]})["id"]
    base = f"/tenants/{tenant}"
    user = client.post(f"{base}/users", {"name": "Anna", "extension": "101", "plan": plan})["id"]
    return SimpleNamespace(api=api, client=client, base=base, tenant=tenant, plan=plan, user=user,
                           number=number)


def ask(w: SimpleNamespace, method: str, path: str, body: Any = None,
        key: str = "") -> httpx.Response:
    """Any answer."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    found: httpx.Response = w.api.http.request(method, path, json=body, headers=headers)
    return found


def refused(w: SimpleNamespace, method: str, path: str, body: Any, field: str,
            status: int = 422) -> str:
    """The detail of a refusal."""
    answer = ask(w, method, path, body)
    assert answer.status_code == status, answer.text
    assert answer.json().get("field", "") == field, answer.text
    return str(answer.json()["detail"])


def test_a_plan_is_all_that_a_user_has(w: SimpleNamespace) -> None:
    user, base = f"{w.base}/users/{w.user}", w.base
    for field in ("record", "call_functions", "call_waiting"):
        assert "the plan" in refused(w, "PATCH", user, {field: True}, field)
    desk = {"user": w.user, "name": "D", "username": f"plan-{w.number}"}
    refused(w, "POST", f"{base}/devices", desk | {"kind": "soft"}, "kind")
    w.client.post(f"{base}/devices", desk)
    refused(w, "POST", f"{base}/devices", desk | {"username": f"more-{w.number}"}, "user")
    w.client.post(f"{base}/forwards", {"user": w.user, "event": "busy",
                                       "target": {"kind": "busy"}})
    refused(w, "POST", f"{base}/contacts", {"user": w.user, "name": "C"}, "user")
    refused(w, "POST", f"{base}/services", {"name": "M", "settings": {
        "type": "mailbox", "user": w.user}}, "settings.user")
    target = {"kind": "user", "user": w.user}
    for kind in ("direct", "mobile"):
        refused(w, "POST", f"{base}/numbers", {"e164": f"+4681{w.number:06d}", "kind": kind,
                                               "target": target}, "target.user")
    # what somebody has stays theirs: the plan cannot be made smaller
    refused(w, "PATCH", f"/plans/{w.plan}", {"functions": []}, "plan")
    refused(w, "PATCH", f"/plans/{w.plan}", {"max_devices": 0}, "plan")
    w.client.patch(f"/plans/{w.plan}", {"functions": ["forwarding", "record"]})
    assert w.client.patch(user, {"record": True})["record"] is True
    w.client.patch(user, {"plan": None})
    w.client.post(f"{base}/contacts", {"user": w.user, "name": "C"})
    refused(w, "PATCH", user, {"plan": w.plan}, "plan")


def test_agents_need_the_add_on(w: SimpleNamespace) -> None:
    queue = w.client.post(f"{w.base}/services", {"name": "Q", "settings": {"type": "queue"}})["id"]
    member = {"service": queue, "user": w.user}
    refused(w, "POST", f"{w.base}/queue-members", member, "user")
    w.client.patch(f"{w.base}/users/{w.user}", {"profiles": ["agent"]})
    w.client.post(f"{w.base}/queue-members", member)
    refused(w, "PATCH", f"{w.base}/users/{w.user}", {"profiles": []}, "profiles")


def test_licences_of_attendants_float(w: SimpleNamespace) -> None:
    other = w.client.post(f"{w.base}/users", {"name": "Bo"})["id"]
    path = f"{w.base}/attendants"
    assert "add-on" in refused(w, "PUT", f"{path}/{w.user}", None, "", 409)
    w.client.patch(f"{w.base}/users/{w.user}", {"profiles": ["attendant"]})
    found = ask(w, "PUT", f"{path}/{w.user}", None).json()
    assert [one["name"] for one in found["items"]] == ["Anna"] and found["used"] == 1
    again = ask(w, "PUT", f"{path}/{w.user}", None).json()["items"][0]
    assert again["since_ms"] == found["items"][0]["since_ms"] <= again["until_ms"]
    assert "licences" in refused(w, "PUT", f"{path}/{other}", None, "", 409)
    ask(w, "DELETE", f"{path}/{w.user}", None)
    assert ask(w, "PUT", f"{path}/{other}", None).json()["used"] == 1
    assert w.client.get(path)["total"] == 1


def test_the_audit_tells_what_is_no_revision(w: SimpleNamespace) -> None:
    key = w.client.post(f"{w.base}/keys", {"name": "crm"})
    activity = w.client.post(f"{w.base}/activities", {"name": "Lunch"})["id"]
    answer = ask(w, "PUT", f"{w.base}/users/{w.user}/presence", {"activity": activity},
                       key["key"])
    assert answer.status_code == 200, answer.text
    ask(w, "POST", f"{w.base}/users", {"name": ""}, key["key"])
    w.client.post(f"{w.base}/users", {"name": "C"})  # a revision tells of it

    def told() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = w.client.get(f"{w.base}/audit")["items"]
        return items

    eventually(lambda: len(told()) >= 2)
    refusal, presence = told()[:2]
    assert (presence["method"], presence["status"], presence["name"], presence["by"]) == (
        "PUT", 200, "crm", f"key {key['id']}")
    assert presence["path"].endswith("/presence") and presence["address"] == "127.0.0.1"
    assert (refusal["method"], refusal["status"]) == ("POST", 422)
    assert w.client.get(f"{w.base}/audit", by="key 0")["items"] == []
    assert ask(w, "GET", "/audit", None, key["key"]).status_code == 403
