"""What was changed, what differs between two moments, going back, changes that are planned, and
several as one. A real API process."""

import datetime
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from api.revisions.history import FIXED
from api.revisions.routes import OWNED
from tests.alone import Alone
from tests.exchange import eventually

count = itertools.count(1)
TARGET = {"kind": "busy"}


@pytest.fixture(name="api", scope="module")
def running() -> Iterator[Alone]:
    """Shared; every test has companies of its own."""
    with Alone() as api:
        yield api


def newest(api: Alone) -> int:
    """The revision in force."""
    return int(api.ask("GET", "/health")["revision"])


def made(api: Alone, path: str, **body: Any) -> Any:
    """A new row."""
    return api.ask("POST", path, body, status=201)


def export(api: Alone, company: str) -> Any:
    """All that it is, with secrets."""
    found = api.ask("GET", f"{company}/export", secrets="true")
    found.pop("revision")
    return found


def batch(api: Alone, company: str, *operations: tuple[str, str, Any], status: int = 200) -> Any:
    """Several changes as one."""
    return api.ask("POST", f"{company}/batch", {"operations": [
        {"method": method, "path": f"/v1{company}/{path}".rstrip("/"), "body": body}
        for method, path, body in operations]}, status)


def person(api: Alone, company: str, extension: str) -> tuple[Any, Any, Any]:
    """A user with a telephone and a number."""
    user = made(api, f"{company}/users", name=f"U{extension}", extension=extension)
    device = made(api, f"{company}/devices", user=user["id"], name="d",
                  username=f"rev{next(count)}")
    number = made(api, f"{company}/numbers", e164=f"+468{next(count):08d}",
                  target={"kind": "user", "user": user["id"]})
    return user, device, number


# -- what was changed -----------------------------------------------------------------------------

def test_a_company_sees_its_own_revisions(api: Alone) -> None:
    """Also of one that changed rows of several; and no secrets."""
    own, other = api.company(), api.company()
    key = api.key_of(own, "administrator")
    user, device, _ = person(api, own, "101")
    theirs, *_ = person(api, other, "102")
    answer = api.ask("GET", f"{own}/revisions", key=key, limit=1000)
    ids = [(change["table"], change["id"]) for one in answer["items"] for change in one["changes"]]
    assert ("user", user["id"]) in ids and ("device", device["id"]) in ids
    assert ("user", theirs["id"]) not in ids
    assert all(one["tenant"] == int(own[9:]) for one in answer["items"])
    assert all(one["by"] == "operator" and one["at_ms"] for one in answer["items"])
    text = json.dumps(answer)
    assert device["secret"] not in text and key not in text and "digest" not in [
        name for one in answer["items"] for change in one["changes"]
        for name, value in (change["after"] or {}).items() if value != "hidden"
        and change["table"] == "api_key"]
    for one in answer["items"]:
        assert api.ask("GET", f"{own}/revisions/{one['id']}", key=key) == one
        assert api.ask("GET", f"{other}/revisions/{one['id']}", None, 404)["code"] == "not_found"
    mine = api.ask("PATCH", f"{own}/users/{user['id']}", {"name": "New"}, key=key)
    last = api.ask("GET", f"{own}/revisions", key=key, table="user", row=user["id"])["items"][-1]
    assert last["by"].startswith("key ") and last["changes"][0]["after"]["name"] == mine["name"]
    by = api.ask("GET", f"{own}/revisions", key=key, by=last["by"])["items"]
    assert [one["id"] for one in by] == [last["id"]]


def test_pages_of_revisions(api: Alone) -> None:
    company = api.company()
    for i in range(7):
        made(api, f"{company}/groups", name=f"G{i}")
        made(api, f"{api.company()}/groups", name="Other")
    seen, after = [], 0
    while True:
        page = api.ask("GET", f"{company}/revisions", limit=3, after=after, table="ring_group")
        seen += [one["changes"][0]["after"]["name"] for one in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert seen == [f"G{i}" for i in range(7)]


def test_the_difference_between_two_moments(api: Alone) -> None:
    company, other = api.company(), api.company()
    gone, device, _ = person(api, company, "101")
    since = newest(api)
    api.ask("PATCH", f"{company}/devices/{device['id']}", {"name": "new"})
    api.ask("PATCH", f"{company}/users/{gone['id']}", {"name": "A"})
    api.ask("PATCH", f"{company}/users/{gone['id']}", {"name": gone["name"]})
    group = made(api, f"{company}/groups", name="G")
    person(api, other, "101")
    until = newest(api)
    there = api.ask("GET", f"{company}/diff", since=since, until=until)
    back = api.ask("GET", f"{company}/diff", since=until, until=since)
    assert [(one["table"], one["id"], one["fields"]) for one in there["items"]] == [
        ("device", device["id"], ["name"]), ("ring_group", group["id"], sorted(group))]
    assert there["items"][0]["before"]["name"] == "d"
    assert there["items"][0]["after"]["name"] == "new"
    assert there["items"][1]["before"] is None
    for one, turned in zip(there["items"], back["items"], strict=True):
        assert (one["before"], one["after"]) == (turned["after"], turned["before"])
    assert device["secret"] not in json.dumps([there, back])
    assert api.ask("GET", f"{company}/diff", since=until, until=until)["items"] == []
    assert api.ask("GET", f"{company}/diff", since=since)["items"] == there["items"]
    for wrong in ({}, {"since": until + 1000}, {"since": "x"}, {"since": 1, "until": "-1"}):
        problem = api.ask("GET", f"{company}/diff", None, 422, **wrong)
        assert problem["field"] in ("since", "until")


# -- going back -----------------------------------------------------------------------------------

def test_a_deleted_user_comes_back_with_everything(api: Alone) -> None:
    """The same ids, the same secret, the same number."""
    company = api.company()
    user, device, number = person(api, company, "101")
    made(api, f"{company}/forwards", user=user["id"], event="busy", target=TARGET)
    before = export(api, company)
    forward = before["forwards"][0]["id"]
    batch(api, company, ("DELETE", f"numbers/{number['id']}", None),
          ("DELETE", f"devices/{device['id']}", None), ("DELETE", f"forwards/{forward}", None),
          ("DELETE", f"users/{user['id']}", None))
    assert export(api, company)["users"] == []
    answer = api.ask("POST", f"{company}/revisions/{newest(api)}/revert", {})
    assert {(one["table"], one["id"]) for one in answer["items"]} == {
        ("user", user["id"]), ("device", device["id"]), ("number", number["id"]),
        ("forward", forward)}
    assert export(api, company) == before
    assert device["secret"] not in json.dumps(answer)
    assert before["devices"][0]["secret"] == device["secret"]


def test_what_was_changed_since_is_not_undone(api: Alone) -> None:
    company = api.company()
    user, device, _ = person(api, company, "101")
    path = f"{company}/users/{user['id']}"
    api.ask("PATCH", path, {"name": "A", "language": "fi"})
    first = newest(api)
    api.ask("PATCH", path, {"ring_s": 60})
    api.ask("POST", f"{company}/revisions/{first}/revert", {})
    row = api.ask("GET", path)
    assert (row["name"], row["language"], row["ring_s"]) == (user["name"], None, 60)
    api.ask("PATCH", path, {"name": "B"})
    second = newest(api)
    api.ask("PATCH", path, {"name": "C"})
    before = export(api, company)
    problem = api.ask("POST", f"{company}/revisions/{second}/revert", {}, 409)
    assert (problem["code"], problem["field"]) == ("conflict", "name")
    of_user = api.ask("GET", f"{company}/revisions", table="user")["items"][0]["id"]
    problem = api.ask("POST", f"{company}/revisions/{of_user}/revert", {}, 409)
    assert problem["code"] == "conflict"
    of_device = api.ask("GET", f"{company}/revisions", table="device")["items"][0]["id"]
    api.ask("POST", f"{company}/revisions/{of_device}/revert", {})
    assert api.ask("GET", f"{company}/devices")["items"] == []
    api.ask("POST", f"{company}/revisions/{newest(api)}/revert", {})
    assert export(api, company) == before
    assert before["devices"][0]["secret"] == device["secret"]


def test_what_is_still_used_is_not_undone(api: Alone) -> None:
    company = api.company()
    group = made(api, f"{company}/groups", name="G")
    of_group = newest(api)
    user = made(api, f"{company}/users", name="A")
    made(api, f"{company}/members", ring_group=group["id"], user=user["id"])
    before = export(api, company)
    problem = api.ask("POST", f"{company}/revisions/{of_group}/revert", {}, 409)
    assert problem["code"] == "still_referenced" and "member" in problem["detail"]
    assert export(api, company) == before
    for path, status in ((f"{company}/revisions/{of_group + 10**6}/revert", 404),
                         (f"{api.company()}/revisions/{of_group}/revert", 404)):
        assert api.ask("POST", path, {}, status)["code"] == "not_found"


def test_back_to_a_moment(api: Alone) -> None:
    """Whatever was done since: made, changed, deleted, and extensions that others have now."""
    company = api.company()
    key = api.key_of(company, "administrator")
    user, device, number = person(api, company, "101")
    other, *_ = person(api, company, "102")
    made(api, f"{company}/members", user=user["id"], ring_group=made(
        api, f"{company}/groups", name="G", extension="200")["id"])
    then, before = newest(api), export(api, company)
    at_ms = api.ask("GET", f"{company}/revisions", limit=1000)["items"][-1]["at_ms"]
    member = before["members"][0]["id"]
    batch(api, company, ("DELETE", f"numbers/{number['id']}", None),
          ("DELETE", f"devices/{device['id']}", None), ("DELETE", f"members/{member}", None),
          ("DELETE", f"users/{user['id']}", None))
    api.ask("PATCH", f"{company}/users/{other['id']}", {"extension": "101", "name": "Heir"})
    new, *_ = person(api, company, "102")
    api.ask("PATCH", company, {"language": "fi"})
    after, last = export(api, company), newest(api)
    again = api.key_of(company, "machine")
    answer = api.ask("POST", f"{company}/revisions/{last}/revert", {"to": str(then)}, key=key)
    assert ("user", new["id"]) in {(one["table"], one["id"]) for one in answer["items"]}
    assert export(api, company) == before
    assert api.ask("GET", f"{company}/users", key=again)["items"], "keys stay as they are"
    api.ask("POST", f"{company}/revisions/{last}/revert", {"to": str(last)}, key=key)
    assert export(api, company) == after
    at = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).isoformat()
    api.ask("POST", f"{company}/revisions/{last}/revert", {"to": at}, key=key)
    assert export(api, company) == before
    assert api.ask("POST", f"{company}/revisions/{last}/revert", {"to": "x"}, 422)["field"] == "to"


# -- several as one -------------------------------------------------------------------------------

def test_a_batch_is_one_revision(api: Alone) -> None:
    company, before = api.company(), newest(api)
    first = batch(api, company, ("POST", "users", {"name": "A", "extension": "101"}),
                  ("POST", "groups", {"name": "G"}), ("PATCH", "", {"language": "en"}))
    assert newest(api) == before + 1
    user, group, tenant = first["answers"]
    assert tenant["language"] == "en" and group["name"] == "G"
    device = batch(api, company, ("POST", "devices", {
        "user": user["id"], "name": "d", "username": f"rev{next(count)}"}),
        ("DELETE", f"groups/{group['id']}", None))["answers"]
    assert device[0]["secret"] and device[1] is None


@pytest.mark.parametrize(("operation", "code", "field"), [
    ({"method": "POST", "path": "users", "body": {"name": "B", "extension": "101"}}, "conflict",
     "operations[1].extension"),
    ({"method": "POST", "path": "users", "body": {"name": ""}}, "invalid", "operations[1].name"),
    ({"method": "POST", "path": "users", "body": []}, "invalid", "operations[1]"),
    ({"method": "POST", "path": "users"}, "invalid", "operations[1]"),
    ({"method": "DELETE", "path": "users/999999"}, "not_found", "operations[1]"),
    ({"method": "GET", "path": "users"}, "invalid", "operations[1].path"),
    ({"method": "POST", "path": "batch", "body": {"operations": []}}, "invalid",
     "operations[1].path"),
    ({"method": "POST", "path": "import", "body": {}}, "invalid", "operations[1].path"),
    ({"method": "POST", "path": "events/tickets"}, "invalid", "operations[1].path"),
    ({"method": "PATCH", "path": "users/0", "body": {}}, "not_found", "operations[1]"),
    ({"method": "PATCH", "path": "users/x", "body": {}}, "invalid", "operations[1].path")])
def test_a_batch_is_done_whole_or_not_at_all(api: Alone, operation: Any, code: str,
                                             field: str) -> None:
    company = api.company()
    before, revision = export(api, company), newest(api)
    wrong = operation | {"path": f"/v1{company}/{operation['path']}"}
    problem = api.http.post(f"{company}/batch", json={"operations": [
        {"method": "POST", "path": f"/v1{company}/users",
         "body": {"name": "A", "extension": "101"}}, wrong]}).json()
    assert (problem["code"], problem["field"]) == (code, field)
    assert (export(api, company), newest(api)) == (before, revision)


@pytest.mark.parametrize("operations", [[], [{"method": "DELETE", "path": "/"}] * 1001, {}, None,
                                        [{"method": "POST"}], [1],
                                        [{"method": "POST", "path": "/v1/x", "extra": 1}]])
def test_batches_that_are_none(api: Alone, operations: Any) -> None:
    problem = api.ask("POST", f"{api.company()}/batch", {"operations": operations}, 422)
    assert problem["field"].startswith("operations")


# -- at a later time ------------------------------------------------------------------------------

def soon(ms: int = 700) -> str:
    """A time to come."""
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(milliseconds=ms)).isoformat()


def plan(api: Alone, method: str, path: str, body: Any, at: str, key: str = "",
         status: int = 202) -> Any:
    """A change with Effective-From."""
    headers = {"Effective-From": at} | ({"Authorization": f"Bearer {key}"} if key else {})
    answer = api.http.request(method, path, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    if status == 202:
        assert answer.headers["location"].startswith("/v1/")
    return answer.json()


def became(api: Alone, company: str, id_: int) -> Any:
    """A planned change when it does not wait any more."""
    eventually(lambda: api.ask("GET", f"{company}/planned/{id_}")["state"] != "waiting")
    return api.ask("GET", f"{company}/planned/{id_}")


def test_a_change_acts_on_time_once(api: Alone) -> None:
    company = api.company()
    user = made(api, f"{company}/users", name="A")
    key, path = api.key_of(company, "administrator"), f"{company}/users/{user['id']}"
    planned = plan(api, "PATCH", path, {"name": "B"}, soon(), key)
    assert (planned["state"], api.ask("GET", path)["name"]) == ("waiting", "A")
    done = became(api, company, planned["id"])
    assert done["state"] == "done" and 0 <= done["done_ms"] - planned["at_ms"] < 5000
    assert api.ask("GET", path)["name"] == "B"
    rows = api.ask("GET", f"{company}/revisions", table="user")["items"][1:]
    assert [(one["by"], f"planned {planned['id']}:" in one["note"]) for one in rows] == [
        (planned["by"], True)]
    assert api.ask("DELETE", f"{company}/planned/{planned['id']}", None, 409)["code"] == "conflict"
    assert api.ask("GET", f"{company}/planned", state="done")["items"] == [done]
    assert api.ask("GET", f"{api.company()}/planned/{planned['id']}", None, 404)


@pytest.mark.parametrize("since", [False, True], ids=["as it was", "changed since"])
def test_a_planned_change_keeps_its_condition(api: Alone, since: bool) -> None:
    """It was made all the same, over what somebody had done meanwhile."""
    company = api.company()
    path = f"{company}/users/{made(api, f'{company}/users', name='A', ring_s=22)['id']}"
    etag = api.http.get(path).headers["etag"]
    headers = {"Effective-From": soon(2000), "If-Match": etag}
    answer = api.http.patch(path, json={"ring_s": 33}, headers=headers)
    assert answer.status_code == 202 and answer.json()["if_match"] == etag
    if since:
        api.ask("PATCH", path, {"ring_s": 44})
        refused = api.http.patch(path, json={"ring_s": 33}, headers=headers)
        assert refused.status_code == 412, "what would not work now"
    done = became(api, company, answer.json()["id"])
    assert (done["state"], api.ask("GET", path)["ring_s"]) == (
        ("failed", 44) if since else ("done", 33))
    assert not since or done["error"].startswith("stale: ")


def test_in_a_batch_each_has_its_own_condition(api: Alone) -> None:
    company = api.company()
    one, two = (f"/v1{company}/users/{made(api, f'{company}/users', name=name)['id']}"
                for name in "AB")
    tags = [api.http.get(path.removeprefix("/v1")).headers["etag"] for path in (one, two)]

    def renamed(*conditions: str | None) -> int:
        answer = api.http.post(f"{company}/batch", headers={"If-Match": '"of nothing"'}, json={
            "operations": [{"method": "PATCH", "path": path, "body": {"name": "C"},
                            "if_match": condition}
                           for path, condition in zip((one, two), conditions, strict=True)]})
        return answer.status_code

    assert renamed(tags[0], tags[0]) == 412
    assert api.ask("GET", one.removeprefix("/v1"))["name"] == "A"
    assert renamed(tags[0], tags[1]) == 200
    assert renamed(None, tags[1]) == 412
    assert renamed(None, None) == 200


def test_what_would_not_work_now_is_not_planned(api: Alone) -> None:
    company = api.company()
    user = made(api, f"{company}/users", name="A", extension="101")
    far = "2027-06-01T00:00:00+02:00"
    for method, path, body, status in (
            ("POST", "users", {"name": "B", "extension": "101"}, 409),
            ("PATCH", f"users/{user['id']}", {"name": ""}, 422),
            ("DELETE", "users/999999", None, 404), ("POST", "import", {}, 422),
            ("POST", "sms", {"to": "+46701234567", "text": "x"}, 422)):
        plan(api, method, f"{company}/{path}", body, far, status=status)
    assert api.ask("GET", f"{company}/planned")["items"] == []
    weak = api.key_of(company, "supervisor")
    plan(api, "PATCH", f"{company}/users/{user['id']}", {"name": "B"}, far, weak, 403)


def test_a_planned_change_shows_no_secrets(api: Alone) -> None:
    company = api.company()
    user = made(api, f"{company}/users", name="A")
    far = "2027-06-01T00:00:00+02:00"
    plan(api, "POST", f"{company}/services", {"name": "M", "settings": {
        "type": "mailbox", "user": user["id"], "pin": "482915"}}, far)
    plan(api, "POST", f"{company}/providers", {
        "name": "P", "issuer": "https://id.example.net", "client_id": "c", "secret": "s3cr3t"}, far)
    listed = api.ask("GET", f"{company}/planned", key=api.key_of(company, "machine"))
    assert len(listed["items"]) == 2
    for one in listed["items"]:
        assert "482915" not in one["body"] and "s3cr3t" not in one["body"]
        assert api.ask("DELETE", f"{company}/planned/{one['id']}")["body"] == one["body"]


@pytest.mark.parametrize("what", ["key gone", "key weaker", "key ended", "row gone", "name taken",
                                  "cancelled"])
def test_what_cannot_be_done_when_its_time_comes(api: Alone, what: str) -> None:
    """It has the rights of then, and is said to have failed, with the reason."""
    company = api.company()
    key = made(api, f"{company}/keys", name="k")
    user = made(api, f"{company}/users", name="A")
    path = f"{company}/users/{user['id']}"
    planned = plan(api, "PATCH", path, {"extension": "123"}, soon(900), key["key"])
    if what == "key gone":
        api.ask("DELETE", f"{company}/keys/{key['id']}", status=204)
    elif what == "key weaker":
        api.ask("PATCH", f"{company}/keys/{key['id']}", {"scopes": ["users:read"]})
    elif what == "key ended":
        api.ask("PATCH", f"{company}/keys/{key['id']}", {"until": 1_700_000_000})
    elif what == "row gone":
        api.ask("DELETE", path, status=204)
    elif what == "name taken":
        made(api, f"{company}/users", name="B", extension="123")
    else:
        assert api.ask("DELETE", f"{company}/planned/{planned['id']}")["state"] == "cancelled"
    after = became(api, company, planned["id"])
    later = plan(api, "PATCH", company, {"language": "en"}, soon(300))
    assert became(api, company, later["id"])["state"] == "done"
    assert api.ask("GET", f"{company}/planned/{planned['id']}") == after
    if what == "cancelled":
        assert (after["state"], after["error"]) == ("cancelled", "")
    else:
        assert after["state"] == "failed"
        assert after["error"].partition(":")[0] == {
            "row gone": "not_found", "name taken": "conflict"}.get(what, "forbidden")
    if what != "row gone":
        assert api.ask("GET", path)["extension"] is None


def test_planned_changes_survive_a_kill(api: Alone) -> None:
    """Killed before its time, at it and after it: each is done, once."""
    company = api.company()
    users = [made(api, f"{company}/users", name="A")["id"] for _ in range(12)]
    planned = [plan(api, "PATCH", f"{company}/users/{user}", {"name": "B"}, soon(100 + 250 * i))
               for i, user in enumerate(users)]
    for _ in range(2):
        eventually(lambda: api.ask("GET", f"{company}/planned", state="done")["items"])
        api.process.kill()
        api.process.wait()
        api.start()
    for one in planned:
        assert became(api, company, one["id"])["state"] == "done"
    for user in users:
        changes = api.ask("GET", f"{company}/revisions", table="user", row=user)["items"]
        assert len(changes) == 2 and api.ask("GET", f"{company}/users/{user}")["name"] == "B"


def test_a_secret_that_nobody_would_see_is_not_planned(api: Alone) -> None:
    company = api.company()
    user = made(api, f"{company}/users", name="A")["id"]
    device = {"user": user, "name": "D", "username": f"planned-{company[9:]}"}
    for path, body in (("keys", {"name": "k"}), ("devices", device),
                       ("webhooks", {"name": "W", "url": "https://hook.example.net/"})):
        answer = api.http.request("POST", f"{company}/{path}", json=body,
                                  headers={"Effective-From": soon(300)})
        assert (answer.status_code, answer.json()["field"]) == (422, "effective-from"), path
    answer = api.http.request("POST", f"{company}/devices", json=device | {"secret": "a" * 26},
                              headers={"Effective-From": soon(300)})
    assert answer.status_code == 202, answer.text


def test_a_delete_with_a_body_is_planned_without_it(api: Alone) -> None:
    company = api.company()
    user = made(api, f"{company}/users", name="A")["id"]
    answer = api.http.request("DELETE", f"{company}/users/{user}", content=b"\xff\xfe" * 100,
                              headers={"Effective-From": soon(300)})
    assert (answer.status_code, answer.json()["body"]) == (202, "")
    assert became(api, company, answer.json()["id"])["state"] == "done"
    assert api.ask("GET", f"{company}/users")["items"] == []


# -- every table ----------------------------------------------------------------------------------

#: Of each of a company's tables: its path, a row ({name}: the id of the row of that name), and a
#: change with what is in it a list, an object or nothing.
ROWS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "activity": ("activities", {"name": "Lunch"}, {"name": "Long lunch"}),
    "schedule": ("schedules", {"name": "Hours"}, {"rules": [
        {"kind": "weekly", "open": True, "weekdays": [0, 1], "start": 480, "end": 720}]}),
    "user": ("users", {"name": "A", "extension": "101"},
             {"barred": ["premium"], "language": "fi", "colleague": TARGET}),
    "device": ("devices", {"user": "{user}", "name": "d", "username": "{unique}"},
               {"name": "desk", "digest": "md5"}),
    "number": ("numbers", {"e164": "{e164}", "target": TARGET},
               {"target": {"kind": "user", "user": "{user}"}}),
    "forward": ("forwards", {"user": "{user}", "event": "busy", "target": TARGET},
                {"target": {"kind": "user", "user": "{user}"}}),
    "caller_rule": ("caller-rules", {"user": "{user}", "number": "+46701112233",
                                     "rule": "blocked"}, {"rule": "vip"}),
    "ring_group": ("groups", {"name": "G", "extension": "200"}, {"name": "H", "ring_s": 9}),
    "member": ("members", {"ring_group": "{ring_group}", "user": "{user}"}, {"priority": 2}),
    "prompt": ("prompts", {"name": "Hello", "text": "Hej"}, {"text": "Hej då"}),
    "service": ("services", {"name": "Q", "settings": {"type": "queue"}},
                {"settings": {"tiers_s": [0, 20, 40], "weight": 2}}),
    "queue_member": ("queue-members", {"service": "{service}", "user": "{user}"},
                     {"skills": [{"name": "sv", "level": 2}]}),
    "contact": ("contacts", {"name": "C", "shared": True,
                             "numbers": [{"e164": "+46701113333"}]}, {"numbers": []}),
    "tenant": ("", {}, {"barred": ["premium", "satellite"], "language": "fi"}),
}


def test_the_rows_are_of_every_table() -> None:
    assert set(ROWS) == (OWNED | {"tenant"}) - FIXED


class Undone:
    """A company in which every change is undone, at once or, later, after all the others."""

    def __init__(self, api: Alone, later: bool) -> None:
        self.api, self.later = api, later
        self.company = api.company()
        self.ids: dict[str, Any] = {
            "unique": f"rev{next(count)}", "e164": f"+468{next(count):08d}"}
        self._done: list[tuple[str, int, Any]] = []

    def filled(self, value: Any) -> Any:
        """With the ids of the rows that are there."""
        if isinstance(value, dict):
            return {name: self.filled(one) for name, one in value.items()}
        named = isinstance(value, str) and value.startswith("{")
        return self.ids[value[1:-1]] if named else value

    def change(self, table: str, method: str, path: str, body: Any) -> Any:
        """Make it, undo it, and make it again."""
        at = f"{self.company}/{path}".rstrip("/")
        status = {"POST": 201, "PATCH": 200, "DELETE": 204}[method]
        before = export(self.api, self.company)
        answer = self.api.ask(method, at, body, status)
        changed = newest(self.api), before
        assert export(self.api, self.company) != before, (table, method)
        if self.later:
            self._done.append((f"{method} {table}", *changed))
            return answer
        self._undo(f"{method} {table}", *changed)
        self._undo(f"{method} {table}, undone", newest(self.api), None)
        return answer

    def _undo(self, what: str, revision: int, before: Any) -> None:
        self.api.ask("POST", f"{self.company}/revisions/{revision}/revert", {})
        assert before is None or export(self.api, self.company) == before, what

    def undo_all(self) -> None:
        """The last one first."""
        for one in reversed(self._done):
            self._undo(*one)


@pytest.mark.parametrize("later", [False, True], ids=["at once", "after others"])
def test_every_change_of_every_table_can_be_undone(api: Alone, later: bool) -> None:
    """Lists in a row were never found to be what they had been."""
    undone = Undone(api, later)
    for table, (path, row, _) in ROWS.items():
        if path:
            undone.ids[table] = undone.change(table, "POST", path, undone.filled(row))["id"]
    places = {table: f"{path}/{undone.ids[table]}" if path else ""
              for table, (path, _, _) in ROWS.items()}
    for table, (_, _, change) in ROWS.items():
        undone.change(table, "PATCH", places[table], undone.filled(change))
    for table, place in reversed(places.items()):
        if place:
            undone.change(table, "DELETE", place, None)
    undone.undo_all()
