"""What every route of the API does alike: tags, merges, sparse fields, earlier moments, pages,
repeated requests, tries, limits. A real API process."""

import itertools
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.alone import Alone
from tests.exchange import eventually
from tests.receiving import Receiver

names = (f"name {i}" for i in itertools.count(1))
keys = (f"key-{i}" for i in itertools.count(1))


@pytest.fixture(name="api", scope="module")
def running() -> Iterator[Alone]:
    """Shared; every test has companies of its own."""
    with Alone(webhooks_to_private=True) as api:
        yield api


def send(api: Alone, method: str, path: str, body: Any = None, token: str = "",
         **headers: str) -> httpx.Response:
    """Whatever the answer; _ in the name of a header is -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        named["Authorization"] = f"Bearer {token}"
    return api.http.request(method, path, json=body, headers=named)


def code(answer: httpx.Response) -> tuple[int, str]:
    """Of a problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


def user(api: Alone, company: str, **fields: Any) -> Any:
    """A new one."""
    return api.ask("POST", f"{company}/users", {"name": next(names)} | fields, status=201)


# -- tags -----------------------------------------------------------------------------------------

def test_a_tag_is_of_the_row_as_it_is(api: Alone) -> None:
    path = f"{(company := api.company())}/users"
    made = send(api, "POST", path, {"name": "Anna"})
    one = f"{path}/{made.json()['id']}"
    first = send(api, "GET", one).headers["etag"]
    assert made.headers["etag"] == first and made.headers["location"] == f"/v1{one}"
    assert send(api, "GET", one).headers["etag"] == first
    changed = send(api, "PATCH", one, {"name": "Bo"})
    assert changed.headers["etag"] == send(api, "GET", one).headers["etag"] != first
    assert send(api, "PATCH", one, {"name": "Anna"}).headers["etag"] == first
    other = user(api, company, name="Anna")
    assert send(api, "GET", f"{path}/{other['id']}").headers["etag"] != first


def test_if_none_match(api: Alone) -> None:
    company = api.company()
    one = f"{company}/users/{user(api, company)['id']}"
    tag = send(api, "GET", one).headers["etag"]
    for given, status in ((tag, 304), ("*", 304), (f'"x", {tag}', 304), (f"W/{tag}", 304),
                          (f'W/{tag} ,"y"', 304), ('"x"', 200), (tag.strip('"'), 200), ("", 200)):
        answer = send(api, "GET", one, If_None_Match=given)
        assert (answer.status_code, answer.headers["etag"]) == (status, tag), given
        assert bool(answer.content) == (status == 200)
    send(api, "PATCH", one, {"name": "Bo"})
    assert send(api, "GET", one, If_None_Match=tag).status_code == 200


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_if_match(api: Alone, method: str) -> None:
    company = api.company()
    body = {"name": "Late"} if method == "PATCH" else None
    one = f"{company}/users/{user(api, company)['id']}"
    stale = send(api, "GET", one).headers["etag"]
    tag = send(api, "PATCH", one, {"language": "fi"}).headers["etag"]
    before = send(api, "GET", one).json()
    for given in (stale, '"x"', f'{stale}, "x"', f"W/{tag}", tag.strip('"'), "", "*, *"):
        answer = send(api, method, one, body, If_Match=given)
        assert code(answer) == (412, "stale"), given
        assert answer.json()["field"] == "If-Match"
    assert send(api, "GET", one).json() == before
    assert send(api, method, one, body, If_Match=f'"x" , {tag}').is_success
    if method == "PATCH":
        assert send(api, method, one, body, If_Match="*").is_success


def test_of_those_who_change_the_same_state_one_does(api: Alone) -> None:
    company = api.company()
    one = f"{company}/users/{user(api, company)['id']}"
    tag = send(api, "GET", one).headers["etag"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(
            lambda i: send(api, "PATCH", one, {"name": f"N{i}"}, If_Match=tag), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
    won = next(answer for answer in answers if answer.is_success)
    assert send(api, "GET", one).json() == won.json()


# -- merges ---------------------------------------------------------------------------------------

def test_a_merge_of_settings(api: Alone) -> None:
    company = api.company()
    prompt = api.ask("POST", f"{company}/prompts", {"name": "P", "text": "Hej"}, status=201)["id"]
    who = user(api, company)["id"]
    made = api.ask("POST", f"{company}/services", {"name": "Q", "settings": {
        "type": "queue", "wrap_up_s": 30, "announcements": {"welcome": prompt, "interval_s": 90},
        "callback": {"key": "5"}}}, status=201)
    one = f"{company}/services/{made['id']}"

    def patched(settings: Any) -> Any:
        """The settings then."""
        return api.ask("PATCH", one, {"settings": settings})["settings"]

    deep = patched({"announcements": {"position": True}})
    assert deep == made["settings"] | {
        "announcements": made["settings"]["announcements"] | {"position": True}}
    assert patched({"announcements": {"welcome": None}})["announcements"]["interval_s"] == 90
    assert patched({"callback": None, "wrap_up_s": None}) | {"callback": 0} == patched({}) | {
        "callback": 0}
    assert patched({})["callback"] is None and patched({})["wrap_up_s"] == 0
    other = patched({"type": "mailbox", "user": who})
    assert other["type"] == "mailbox" and "announcements" not in other
    assert api.ask("PATCH", one, {"settings": {"type": "queue", "user": who}}, 422)["code"] \
        == "invalid"
    assert patched({"max_messages": 7})["user"] == who


def test_a_merge_of_a_target(api: Alone) -> None:
    """A target of another kind has nothing of the earlier one; null is the default again."""
    company = api.company()
    who = user(api, company)["id"]
    made = api.ask("POST", f"{company}/numbers", {
        "e164": "+46812340001", "target": {"kind": "user", "user": who}}, status=201)
    one = f"{company}/numbers/{made['id']}"
    there = api.ask("PATCH", one, {"target": {"kind": "number", "text": "+46701234567"}})
    assert there["target"] == {"kind": "number", "text": "+46701234567"}
    assert api.ask("PATCH", one, {"target": None, "kind": None}) \
        == there | {"target": None, "kind": "extra"}
    refused = api.ask("PATCH", one, {"target": {"kind": "busy", "user": who}}, 422)
    assert refused["field"] == "target.user"
    refused = api.ask("PATCH", one, {"e164": None}, 422)
    assert refused["field"] == "e164"


@pytest.mark.parametrize(("body", "field"), [
    ({"id": 7}, "id"), ({"tenant": 1}, "tenant"), ({"secret": "a" * 26}, "secret"),
    ({"nonsense": 1}, "nonsense"), ({"user": 10**9}, "user"), ({"user": "1"}, "user"),
    ({"kind": "teapot"}, "kind"), ({"enabled": "yes"}, "enabled"), ({"user": 2**63}, "user"),
    ({"name": ""}, "name"), ({"name": ["a"]}, "name"), ({"display": {"a": 1}}, "display")])
def test_a_patch_names_what_is_wrong(api: Alone, body: Any, field: str) -> None:
    company = api.company()
    made = api.ask("POST", f"{company}/devices", {
        "user": user(api, company)["id"], "name": "d", "username": f"dev{next(keys)}"}, status=201)
    one = f"{company}/devices/{made['id']}"
    before = api.ask("GET", one)
    answer = api.ask("PATCH", one, body, 422)
    assert answer["field"] == field and answer["detail"]
    assert api.ask("GET", one) == before


# -- lists ----------------------------------------------------------------------------------------

def test_sparse_fields(api: Alone) -> None:
    company = api.company()
    row = user(api, company, extension="123")
    for path in (f"{company}/users/{row['id']}", f"{company}/users"):
        found = api.ask("GET", path, fields="name,extension")
        found = found["items"][0] if "items" in found else found
        assert found == {"id": row["id"], "name": row["name"], "extension": "123"}
        for wrong in ("nothing", "name,secret", "name,,id", "name, id", ",".join(["name"] * 99)):
            refused = api.ask("GET", path, None, 422 if wrong[:9] != "name,name" else 200,
                              fields=wrong)
            assert refused.get("field", "fields") == "fields"


def test_filters(api: Alone) -> None:
    company = api.company()
    rows = [user(api, company, extension=str(200 + i), enabled=i % 2 == 0) for i in range(4)]
    for given, wanted in (({"extension": "202"}, [2]), ({"enabled": "false"}, [1, 3]),
                          ({"enabled": "true", "extension": "201"}, []),
                          ({"name": rows[3]["name"]}, [3]), ({"name": "%"}, [])):
        found = api.ask("GET", f"{company}/users", **given)
        assert [row["id"] for row in found["items"]] == [rows[i]["id"] for i in wanted], given
    for given in ({"enabled": "maybe"}, {"extension": "0"}, {"plan": "x"}, {"limit": 0},
                  {"limit": 1001}, {"limit": "ten"}, {"after": -1}, {"after": 2**62},
                  {"unknown": 1}, {"tenant": 1}, {"limit": ""}, {"enabled": ""}):
        refused = api.ask("GET", f"{company}/users", None, 422, **given)
        assert refused["field"] == next(iter(given)), refused
    twice = api.http.get(f"{company}/users?limit=1&limit=2")
    assert (code(twice), twice.json()["field"]) == ((422, "invalid"), "limit")


def test_pages_while_rows_come(api: Alone) -> None:
    """Every row that was there is seen, once, however many come meanwhile."""
    company = api.company()
    known = [user(api, company)["id"] for _ in range(40)]
    stop = threading.Event()

    def others() -> int:
        made = 0
        while not stop.is_set():
            user(api, company)
            made += 1
        return made

    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(others) for _ in range(2)]
        eventually(lambda: len(api.ask("GET", f"{company}/users", limit=1000)["items"]) > 42)
        seen: list[int] = []
        after = 0
        while len(seen) < 60:
            page = api.ask("GET", f"{company}/users", limit=7, after=after)
            assert len(page["items"]) <= 7
            assert (page["next"] is None) == (len(page["items"]) < 7)
            seen += [row["id"] for row in page["items"]]
            after = page["next"] or seen[-1]
        stop.set()
        assert sum(one.result() for one in writing) >= 20
    assert seen == sorted(set(seen)) and set(known) <= set(seen)


def test_as_of(api: Alone) -> None:
    company = api.company()
    row = user(api, company, name="First")
    one, then = f"{company}/users/{row['id']}", api.ask("GET", "/health")["revision"]
    at = api.ask("GET", f"{company}/revisions")["items"][-1]["at_ms"]
    eventually(lambda: api.ask("GET", one) and api.store.revision_at(at) == then)
    api.ask("PATCH", one, {"name": "Second"})
    second = user(api, company)
    api.ask("DELETE", one, status=204)
    newest = api.ask("GET", "/health")["revision"]

    def names_of(as_of: Any) -> list[str]:
        return [user["name"] for user in api.ask(
            "GET", f"{company}/users", as_of=as_of)["items"]]

    assert api.ask("GET", one, as_of=then) == row
    assert api.ask("GET", one, as_of=then + 1)["name"] == "Second"
    assert api.ask("GET", one, None, 404, as_of=then - 1)["code"] == "not_found"
    assert api.ask("GET", one, None, 404, as_of=newest)["code"] == "not_found"
    assert names_of(then) == ["First"] and names_of(then - 1) == []
    assert names_of(newest - 1) == ["Second", second["name"]]
    assert names_of(newest) == [second["name"]]
    assert names_of("2000-01-01T00:00:00Z") == []
    assert names_of("2100-01-01T00:00:00+14:00") == [second["name"]]
    assert api.ask("GET", f"{company}/users", as_of=newest - 1, name="Second", limit=1,
                   fields="name")["items"] == [{"id": row["id"], "name": "Second"}]


@pytest.mark.parametrize("as_of", ["10000000", "-1", "1.5", "²", "2026-02-30T00:00:00Z",
                                   "2026-02-28T24:00:01Z", "2026-01-01T00:00:00", "2026-01-01",
                                   "now", "x" * 41, "0001-01-01T00:00:00+14:00 ", "9" * 39])
def test_moments_that_do_not_exist(api: Alone, as_of: str) -> None:
    for path in (api.company() + "/users", "/tenants/1"):
        assert api.ask("GET", path, None, 422, as_of=as_of)["field"] == "as_of"


# -- repeated requests ----------------------------------------------------------------------------

def test_a_repetition_has_the_same_answer(api: Alone) -> None:
    company, key = api.company(), next(keys)
    body = {"user": user(api, company)["id"], "name": "d", "username": f"dev{key}"}
    first = send(api, "POST", f"{company}/devices", body, Idempotency_Key=key)
    again = send(api, "POST", f"{company}/devices", body, Idempotency_Key=key)
    assert (first.status_code, first.content) == (201, again.content)
    assert first.json()["secret"] and again.headers["idempotency-replayed"] == "true"
    for name in ("location", "etag", "content-type"):
        assert first.headers[name] == again.headers[name]
    assert "idempotency-replayed" not in first.headers
    assert len(api.ask("GET", f"{company}/devices")["items"]) == 1
    one = f"{company}/devices/{first.json()['id']}"
    gone = [send(api, "DELETE", one, Idempotency_Key=key + "d") for _ in range(2)]
    assert [(answer.status_code, answer.content) for answer in gone] == [(204, b"")] * 2


@pytest.mark.parametrize("what", ["body", "path", "method", "Dry-Run", "Effective-From"])
def test_a_key_stands_for_one_request(api: Alone, what: str) -> None:
    """Also a try is another request than the change: the change must not be answered by it."""
    company, key = api.company(), next(keys)
    given = {"body": {"name": "Anna"}, "path": f"{company}/users", "method": "POST", "headers": {}}
    other: dict[str, Any] = given | {
        "body": {"body": {"name": "Bo"}}, "path": {"path": f"{company}/groups"},
        "method": {"method": "PATCH", "path": company},
        "Dry-Run": {"headers": {"Dry-Run": "true"}},
        "Effective-From": {"headers": {"Effective-From": "2027-01-01T00:00:00Z"}}}[what]

    def ask(one: dict[str, Any]) -> httpx.Response:
        return send(api, one["method"], one["path"], one["body"], Idempotency_Key=key,
                    **one["headers"])

    assert ask(other).is_success
    answer = ask(given)
    assert code(answer) == (422, "key_reused")
    assert answer.json()["field"].lower() == "idempotency-key"


def test_others_have_the_same_key(api: Alone) -> None:
    """Keys are each caller's own, and no caller is told what another one was answered."""
    company, key = api.company(), next(keys)
    tokens = [api.key_of(company, "administrator") for _ in range(2)]
    made = [send(api, "POST", f"{company}/keys", {"name": "k"}, token, Idempotency_Key=key)
            for token in [*tokens, *tokens]]
    assert [answer.status_code for answer in made] == [201] * 4
    assert made[0].content == made[2].content and made[1].content == made[3].content
    assert made[0].json()["key"] != made[1].json()["key"]
    sealed = api.store._db.execute("SELECT sealed FROM answer").fetchall()
    assert not any(made[0].json()["key"].encode() in bytes(one[0]) for one in sealed)


def test_after_a_refusal_it_runs_again(api: Alone) -> None:
    company, key = api.company(), next(keys)
    body = {"name": "Anna", "extension": "321"}
    taken = user(api, company, extension="321")
    path = f"{company}/users"
    assert code(send(api, "POST", path, body, Idempotency_Key=key))[0] == 409
    api.ask("DELETE", f"{path}/{taken['id']}", status=204)
    made = send(api, "POST", path, body, Idempotency_Key=key)
    assert made.status_code == 201 and "idempotency-replayed" not in made.headers


@pytest.mark.parametrize("body", [{"user": 10**9, "dial": "101"}, {"dial": 1}, {}])
def test_after_a_refusal_what_acts_runs_again(api: Alone, body: Any) -> None:
    company, key = api.company(), next(keys)
    answers = [send(api, "POST", f"{company}/calls/live", body, Idempotency_Key=key)
               for _ in range(2)]
    assert code(answers[0]) == code(answers[1]) != (409, "in_doubt")


@pytest.mark.parametrize("key", ["", "a b", "å", "x" * 256, "a\tb"])
def test_keys_that_are_none(api: Alone, key: str) -> None:
    answer = api.http.post(f"{api.company()}/users", json={"name": "A"},
                           headers=[(b"Idempotency-Key", key.encode())])
    assert (code(answer), answer.json()["field"]) == ((422, "invalid"), "Idempotency-Key")


def test_while_it_is_under_way_and_when_the_process_dies(api: Alone) -> None:
    """What acts outside is not done twice: whoever asks again is told that it is being done, and
    after a crash that nobody knows."""
    company, key = api.company(), next(keys)
    slow = Receiver()
    entered, leave = threading.Event(), threading.Event()

    def answer(_got: Any) -> int:
        entered.set()
        leave.wait(20)
        return 204

    slow.answer = answer
    hook = api.ask("POST", f"{company}/webhooks", {"name": "W", "url": slow.url}, status=201)["id"]
    path = f"{company}/webhooks/{hook}/test"

    def first() -> None:
        with pytest.raises(httpx.HTTPError):
            send(api, "POST", path, Idempotency_Key=key)

    waiting = threading.Thread(target=first)
    waiting.start()
    assert entered.wait(10)
    assert code(send(api, "POST", path, Idempotency_Key=key)) == (409, "in_progress")
    api.process.kill()
    api.process.wait()
    waiting.join(10)
    leave.set()
    api.start()
    assert code(send(api, "POST", path, Idempotency_Key=key)) == (409, "in_doubt")
    assert len(slow.got) <= 1
    assert send(api, "POST", path, Idempotency_Key=next(keys)).json()["sent"]
    slow.close()


def test_killed_between_the_commit_and_the_answer(api: Alone) -> None:
    """The process is killed as soon as the row is there: whoever asks again is told of that row,
    and there is one."""
    for _ in range(3):
        company, key = api.company(), next(keys)
        token = api.key_of(company, "administrator")
        body = b'{"name": "once"}'
        request = (f"POST /v1{company}/keys HTTP/1.1\r\nHost: x\r\n"
                   f"Authorization: Bearer {token}\r\n"
                   f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\n"
                   f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        with socket.create_connection((api.settings.address, api.settings.api_port)) as sock:
            sock.sendall(request)
            while not api.store.find("api_key", limit=1, name="once", tenant=int(company[9:])):
                assert api.process.poll() is None
            api.process.kill()
        api.process.wait()
        api.start()
        again = api.http.post(f"{company}/keys", content=body, headers={
            "Authorization": f"Bearer {token}", "Idempotency-Key": key,
            "Content-Type": "application/json"})
        assert again.status_code == 201 and again.headers["idempotency-replayed"] == "true"
        rows: list[Any] = api.store.find("api_key", name="once", tenant=int(company[9:]))
        assert [row.id for row in rows] == [again.json()["id"]]
        assert api.http.get(f"{company}/users", headers={
            "Authorization": f"Bearer {again.json()['key']}"}).is_success


# -- tries ----------------------------------------------------------------------------------------

def test_a_try_says_what_would_be_and_does_nothing(api: Alone) -> None:
    company = api.company()
    row = user(api, company, extension="222")
    one, before = f"{company}/users/{row['id']}", api.ask("GET", "/health")["revision"]
    made = send(api, "POST", f"{company}/users", {"name": "Bo"}, Dry_Run="true")
    assert made.status_code == 201 and made.json()["name"] == "Bo"
    changed = send(api, "PATCH", one, {"name": "Cia"}, Dry_Run="true")
    assert changed.json()["name"] == "Cia"
    assert send(api, "DELETE", one, Dry_Run="true").status_code == 204
    batch = {"operations": [{"method": "DELETE", "path": f"/v1{one}"}]}
    assert send(api, "POST", f"{company}/batch", batch, Dry_Run="true").status_code == 200
    assert code(send(api, "POST", f"{company}/users", {"name": "B", "extension": "222"},
                     Dry_Run="true")) == (409, "conflict")
    assert code(send(api, "PATCH", one, {"name": ""}, Dry_Run="true")) == (422, "invalid")
    assert api.ask("GET", "/health")["revision"] == before
    assert api.ask("GET", f"{company}/users")["items"] == [row]
    assert user(api, company)["id"] == made.json()["id"]


@pytest.mark.parametrize(("headers", "path"), [
    ({"Dry-Run": "false"}, "users"), ({"Dry-Run": ""}, "users"), ({"Dry-Run": "1"}, "users"),
    ({"Dry-Run": "true", "Effective-From": "2027-01-01T00:00:00Z"}, "users"),
    ({"Dry-Run": "true"}, "import"), ({"Dry-Run": "true"}, "events/tickets"),
    ({"Dry-Run": "true"}, "calls/live"), ({"Dry-Run": "true"}, "sms")])
def test_what_cannot_be_tried(api: Alone, headers: dict[str, str], path: str) -> None:
    company = api.company()
    body = {"name": "Anna", "user": 1, "dial": "1", "to": "+46701234567", "text": "x"}
    body = {"users": {"name": "Anna"}, "calls/live": {"user": 1, "dial": "1"}, "import": {},
            "sms": {"to": "+46701234567", "text": "x"}}.get(path, body)
    answer = api.http.post(f"{company}/{path}", json=body, headers=headers)
    assert answer.status_code == 422, answer.text
    assert api.ask("GET", f"{company}/users")["items"] == []


# -- limits ---------------------------------------------------------------------------------------

def test_a_key_has_its_own_limit(api: Alone) -> None:
    company = api.company()
    slow = api.key_of(company, "machine", rate_per_s=5)
    quick = api.key_of(company, "machine")
    answers = [send(api, "GET", f"{company}/users", token=slow) for _ in range(30)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 20 <= len(refused) <= 25 and answers[0].is_success
    assert code(refused[0]) == (429, "too_many") and refused[0].headers["retry-after"] == "1"
    for answer in (answers[0], refused[0]):
        assert answer.headers["ratelimit-policy"] == '"default";q=5;w=1'
        assert answer.headers["ratelimit"].startswith('"default";r=')
    left = [int(answer.headers["ratelimit"].split("r=")[1].split(";")[0]) for answer in answers[:5]]
    assert left == sorted(left, reverse=True)
    assert all(send(api, "GET", f"{company}/users", token=quick).is_success for _ in range(30))
    eventually(lambda: send(api, "GET", f"{company}/users", token=slow).is_success)


def test_those_whom_nobody_knows_are_limited_by_address() -> None:
    with Alone(rate_per_s=10, rate_burst=20) as api:
        company = api.company()
        answers = [api.http.get("/openapi.json", headers={"Authorization": ""})
                   for _ in range(40)]
        assert code(answers[-1]) == (429, "too_many")
        assert api.ask("GET", f"{company}/users")["items"] == []
