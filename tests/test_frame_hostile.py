"""Bad input to the API: bodies, headers, characters and connections that are not as they should
be. A clear error, nothing changed, and nobody else waits. A real API process."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.alone import Alone
from tests.exchange import eventually


@pytest.fixture(name="api", scope="module")
def running() -> Iterator[Alone]:
    """Shared; every test has companies of its own. Nothing in it may fail inside."""
    with Alone() as api:
        yield api
        api._output.flush()
        assert b"request failed" not in (api.state / "output").read_bytes()


@pytest.fixture(name="company")
def a_company(api: Alone) -> Iterator[str]:
    """It is as it was afterwards."""
    path = api.company()
    before = api.ask("GET", f"{path}/export")
    yield path
    assert api.ask("GET", f"{path}/export") | {"revision": 0} == before | {"revision": 0}


def post(api: Alone, path: str, data: bytes, kind: str = "application/json") -> tuple[int, Any]:
    """Status and problem."""
    answer = api.http.post(path, content=data, headers={"Content-Type": kind})
    assert answer.headers["content-type"].startswith("application/"), answer.text
    return answer.status_code, answer.json()


def raw(api: Alone, data: bytes, half: bool = False) -> bytes:
    """What comes back on a connection of its own; half: it is closed for sending after that."""
    with socket.create_connection((api.settings.address, api.settings.api_port), 10) as sock:
        sock.sendall(data)
        if half:
            sock.shutdown(socket.SHUT_WR)
        found = b""
        try:
            while part := sock.recv(65536):
                found += part
                head, end, body = found.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                if end and length and len(body) >= int(length[1]):
                    break
        except ConnectionError:
            pass
        return found


def head(api: Alone, method: str, path: str, *more: str) -> bytes:
    """A request's head, by the operator."""
    return "\r\n".join((
        f"{method} /v1{path} HTTP/1.1", "Host: x",
        f"Authorization: Bearer {api.settings.api_key}", *more, "", "")).encode("latin-1")


# -- bodies ---------------------------------------------------------------------------------------

DEEP = 100_000
BODIES = {
    "empty": b"", "a brace": b"{", "no JSON": b"<user/>", "two": b'{"name":"A"}{"name":"B"}',
    "a comma": b'{"name":"A",}', "single quotes": b"{'name':'A'}", "a comment": b'{}//',
    "infinity": b'{"name":Infinity}', "not a number": b'{"name":NaN}', "cut": b'{"name":"A',
    "latin-1": '{"name":"Åsa"}'.encode("latin-1"), "utf-16": '{"name":"A"}'.encode("utf-16"),
    "an overlong slash": b'{"name":"\xc0\xaf"}', "a surrogate": b'{"name":"\xed\xa0\x80"}',
    "half a pair": b'{"name":"\\ud83d"}', "pairs turned round": b'{"name":"\\ude00\\ud83d"}',
    "a raw NUL": b'{"name":"A\0"}', "a raw newline": b'{"name":"A\n"}',
    "deep lists": b"[" * DEEP, "deep objects": b'{"a":' * DEEP,
    "closed deep lists": b'{"name":' + b"[" * DEEP + b"]" * DEEP + b"}"}


@pytest.mark.parametrize("what", BODIES)
@pytest.mark.parametrize("path", ["users", "batch", "import"])
def test_what_is_no_json(api: Alone, company: str, path: str, what: str) -> None:
    status, problem = post(api, f"{company}/{path}", BODIES[what])
    assert (status, problem["code"]) in ((400, "malformed"), (422, "invalid")), problem
    assert status == 400 or path == "batch" or "lists" in what  # what it is, is seen before its end


@pytest.mark.parametrize("body", ["[]", '"users"', "1", "null", "true"])
@pytest.mark.parametrize("path", ["users", "batch", "import", "calls/live"])
def test_what_is_no_object(api: Alone, company: str, path: str, body: str) -> None:
    status, problem = post(api, f"{company}/{path}", body.encode())
    assert (status, problem["code"]) == (422, "invalid"), problem


@pytest.mark.parametrize("levels", [50, 200, 480, 900])
@pytest.mark.parametrize("where", ["patch", "create", "batch", "import", "plan"])
def test_nested_as_deep_as_json_may_be(api: Alone, company: str, where: str, levels: int) -> None:
    """Also where every level is looked at."""
    deep = '{"a":' * levels + "1" + "}" * levels
    settings = '{"name":"S","settings":' + deep + "}"
    path = {"create": "services", "batch": "batch", "import": "import"}.get(where, "services")
    body = {"batch": '{"operations":[{"method":"POST","path":"/v1' + company + '/services","body":'
            + settings + "}]}", "import": '{"services":[' + settings + "]}"}.get(where, settings)
    method = "PATCH" if where == "patch" else "POST"
    headers = {"Content-Type": "application/json"} | (
        {"Effective-From": "2027-01-01T00:00:00Z"} if where == "plan" else {})
    target = company if where == "patch" else f"{company}/{path}"
    answer = api.http.request(method, target, content=(
        '{"attendant":' + deep + "}" if where == "patch" else body).encode(), headers=headers)
    assert answer.status_code in (400, 422), answer.text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "text/json",
                                  "multipart/form-data; boundary=x", "*/*", "application/jsonx"])
def test_other_kinds_of_body(api: Alone, company: str, kind: str) -> None:
    for path in ("users", "batch", "import"):
        status, problem = post(api, f"{company}/{path}", b'{"name":"A"}', kind)
        assert (status, problem["code"]) == (415, "unsupported_media")


def test_kinds_that_are_json(api: Alone) -> None:
    company = api.company()
    for kind in ("application/json", "application/json; charset=utf-8",
                 "application/merge-patch+json", "application/json ;x=y"):
        assert post(api, f"{company}/users", b'{"name":"A"}', kind)[0] == 201


@pytest.mark.parametrize("path", ["users", "batch", "contacts"])
def test_huge_bodies(api: Alone, company: str, path: str) -> None:
    status, problem = post(api, f"{company}/{path}", b'{"name":"' + b"A" * (1 << 20) + b'"}')
    assert (status, problem["code"]) == (413, "too_large")
    wide = json.dumps({"name": "A", **{f"x{i}": 1 for i in range(50_000)}}).encode()
    status, problem = post(api, f"{company}/{path}", wide)
    assert (status, problem["code"]) == (422, "invalid")
    listed = json.dumps({"name": "A", "barred": ["premium"] * 70_000, "operations": 1}).encode()
    status, problem = post(api, f"{company}/{path}", listed)
    assert (status, problem["code"]) == (422, "invalid")


@pytest.mark.parametrize("number", ["1e400", "-1", "0", "1.5", "9" * 400, str(2**63), str(2**62),
                                    "true", '"1"', "[1]", "1e2"])
@pytest.mark.parametrize("field", ["activity", "user"])
def test_numbers_that_are_no_ids(api: Alone, company: str, field: str, number: str) -> None:
    body = b'{"event":"busy","target":{"kind":"busy"},"user":1,"' + field.encode() + b'":' \
        + number.encode() + b"}"
    status, problem = post(api, f"{company}/forwards", body)
    assert status in (400, 422), problem
    assert problem["code"] in ("malformed", "invalid", "unknown_reference")
    assert problem["code"] == "malformed" or problem["field"]


# -- characters -----------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["", "\0", "A\0B", "A\nB", "A\r\nVia: x", "\x1b[31m", "A\x7f",
                                  "A" * 101, "Å" * 101, "\t", "\u202eanna", "\u200b", "A\u2066B",
                                  "\ufeffA", "A\u2028B", "A\x85B"])
def test_names_that_cannot_be(api: Alone, company: str, name: str) -> None:
    body = json.dumps({"name": name}).encode()
    for path in ("users", "groups", "contacts"):
        status, problem = post(api, f"{company}/{path}", body)
        assert (status, problem["code"], problem["field"]) == (422, "invalid", "name")
    status, problem = post(api, f"{company}/import", b'{"users":[' + body + b"]}")
    assert (status, problem["field"]) == (422, "users[0].name")


@pytest.mark.parametrize("name", ["Åsa Öberg", "Ωμέγα", "山田太郎", "O'Brien; DROP TABLE user--",
                                  "<script>alert(1)</script>", "e\u0301", "\u00e9", "👩‍👩‍👧",
                                  "Nul\\0", "%00", "A" * 100, "'=1+1", "-", "../../etc/passwd"])
def test_names_come_back_as_they_were(api: Alone, name: str) -> None:
    """Neither folded nor interpreted."""
    company = api.company()
    made = api.ask("POST", f"{company}/users", {"name": name}, status=201)
    assert made["name"] == name
    assert api.ask("GET", f"{company}/users", name=name)["items"] == [made]
    assert api.ask("GET", f"{company}/export")["users"][0]["name"] == name


@pytest.mark.parametrize("number", [
    "+46７01234567", "+٤٦701234567", "+46701234567\n", "+46701234567\u200b", "\u202e+46701234567",
    "+46701234567\0", "＋46701234567", "+46 701234567", "0701234567", "+0701234567", "+46-70",
    "+4670123456789012", "46701234567", "+46701234567;ext=1", "+46²01234567", "tel:+46701234567"])
def test_numbers_that_are_none(api: Alone, company: str, number: str) -> None:
    for path, body, field in (
            ("numbers", {"e164": number}, "e164"),
            ("contacts", {"name": "A", "numbers": [{"e164": number}]}, "numbers[0].e164"),
            ("users", {"name": "A", "extension": number.lstrip("+")}, "extension")):
        status, problem = post(api, f"{company}/{path}", json.dumps(body).encode())
        assert (status, problem["code"], problem["field"]) == (422, "invalid", field), problem


@pytest.mark.parametrize("query", [
    "name=%00", "name=%ED%A0%80", "name=%FF%FE", "name=%C0%AF", "fields=%00", "as_of=%00",
    "after=%D9%A1", "limit=%EF%BC%91", "limit=1_0", "limit=+1", "limit=0x1", "limit=1e1",
    "enabled=TRUE%00", "extension=%D9%A1%D9%A0%D9%A1", "%00=1", "name[]=1", "name=a&name=b",
    "=", "a", "limit", "&&&x", "name=" + "A" * 5000])
def test_queries_that_cannot_be(api: Alone, company: str, query: str) -> None:
    answer = api.http.get(f"{company}/users?{query}")
    if answer.is_success:  # nobody is called so; and there is nobody
        assert answer.json() == {"items": [], "next": None}
    else:
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text


@pytest.mark.parametrize("line", [
    b"POST /v1{company}/calls/live/%ED%A0%80/hang_up", b"POST /v1{company}/calls/live/\xff/hang_up",
    b"POST /v1{company}/calls/live/%00/%2e%2e", b"PATCH /v1{company}/recordings/\xe2\x80\xae",
    b"DELETE /v1{company}/recordings/%2e%2e%2f%2e%2e%2fvaxel.db", b"GET /v1/../settings.json",
    b"GET /v1//tenants", b"GET /v1/tenants/%31", b"GET /v1/tenants/1%00", b"GET *", b"GET  ",
    b"BREW /v1/tenants", b"GET http://elsewhere/v1/tenants/x"])
def test_paths_that_cannot_be(api: Alone, company: str, line: bytes) -> None:
    """They are refused, and what is written of them does not hurt those who write with them."""
    request = head(api, "GET", "", "Content-Length: 2", "Content-Type: application/json")
    first = line.replace(b"{company}", company.encode()) + b" HTTP/1.1\r\n"
    answer = raw(api, first + request.partition(b"\r\n")[2] + b"{}")
    assert answer == b"" or re.match(rb"HTTP/1.1 4\d\d |HTTP/1.1 200 ", answer), answer
    assert b" 200 " not in answer.partition(b"\r\n")[0] or line in (
        b"GET /v1/tenants/%31", b"GET /v1//tenants"), answer
    group = api.ask("POST", f"{company}/groups", {"name": "Still"}, status=201)["id"]
    api.ask("DELETE", f"{company}/groups/{group}", status=204)


@pytest.mark.parametrize("name", ["Authorization", "If-Match", "If-None-Match", "Content-Type",
                                  "Idempotency-Key", "Dry-Run", "Effective-From"])
@pytest.mark.parametrize("value", [b"", b"\xff\xfe", b"\xe2\x80\xae", b"A" * 8000, b",,,", b"\"",
                                   b"Bearer", b"Bearer  x y", b"bytes=0-"])
def test_headers_that_cannot_be(api: Alone, company: str, name: str, value: bytes) -> None:
    given = {"Authorization": f"Bearer {api.settings.api_key}".encode(),
             "Content-Type": b"application/json"} | {name: value}
    answer = api.http.request("PATCH", company, headers=given, content=b"{}")
    assert answer.status_code in (200, 401, 412, 413, 415, 422), answer.text
    assert not answer.is_success or name in ("If-None-Match", "Idempotency-Key"), answer.text


@pytest.mark.parametrize("at", [
    "2026-02-30T10:00:00+01:00", "2027-13-01T00:00:00Z", "2027-01-01T25:00:00Z", "2027-01-01",
    "2027-01-01T00:00:00", "2020-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z",
    "2027-02-29T00:00:00Z", "tomorrow", "1800000000", "", "2027-01-01T00:00:00+25:00",
    "２０２７-01-01T00:00:00Z"])
def test_dates_that_do_not_exist(api: Alone, company: str, at: str) -> None:
    answer = api.http.post(f"{company}/users", json={"name": "A"}, headers={
        b"Effective-From": at.encode()})
    assert (answer.status_code, answer.json()["field"].lower()) == (422, "effective-from")
    assert api.ask("GET", f"{company}/planned")["items"] == []


@pytest.mark.parametrize("rule", [
    {"kind": "dates", "from_date": "2026-02-30", "to_date": "2026-03-01"},
    {"kind": "dates", "from_date": "2027-02-29", "to_date": "2027-02-29"},
    {"kind": "yearly", "from_date": "13-01", "to_date": "13-02"},
    {"kind": "yearly", "from_date": "00-00", "to_date": "01-01"},
    {"kind": "weekly", "weekdays": [7]}, {"kind": "monthly", "from_day": 32},
    {"kind": "daily", "start": 1440}, {"kind": "daily", "start": -1}])
def test_opening_hours_on_days_that_do_not_exist(api: Alone, company: str, rule: Any) -> None:
    problem = api.ask("POST", f"{company}/schedules", {
        "name": "H", "rules": [rule | {"open": True}]}, 422)
    assert problem["field"].startswith("rules["), problem


# -- connections ----------------------------------------------------------------------------------

def test_half_of_a_body(api: Alone, company: str) -> None:
    """The other side closes before it has sent all that it promised."""
    body = b'{"name":"Half"}'
    for length, path in ((len(body) + 10, "users"), (len(body) + 10, "import")):
        found = raw(api, head(api, "POST", f"{company}/{path}", f"Content-Length: {length}",
                              "Content-Type: application/json") + body, half=True)
        assert not found.startswith(b"HTTP/1.1 2"), found
    chunked = head(api, "POST", f"{company}/import", "Transfer-Encoding: chunked",
                   "Content-Type: application/json") + b'e\r\n{"users":[{"na\r\n'
    assert not raw(api, chunked, half=True).startswith(b"HTTP/1.1 2")


def test_a_half_closed_connection(api: Alone) -> None:
    """Whoever has sent everything and closed its half loses nothing that it was promised."""
    company = api.company()
    body = b'{"name":"Whole"}'
    found = raw(api, head(api, "POST", f"{company}/users", f"Content-Length: {len(body)}",
                          "Content-Type: application/json") + body, half=True)
    made = api.ask("GET", f"{company}/users")["items"]
    assert len(made) == 1 if found.startswith(b"HTTP/1.1 201") else len(made) <= 1


def test_slow_bodies_hurt_nobody_else(api: Alone) -> None:
    """A body that comes byte by byte is taken; others are answered meanwhile."""
    company = api.company()
    body = b'{"name":"Slow"}'
    socks = [socket.create_connection((api.settings.address, api.settings.api_port), 20)
             for _ in range(20)]
    start = head(api, "POST", f"{company}/users", f"Content-Length: {len(body)}",
                 "Content-Type: application/json")
    for sock in socks:
        sock.sendall(start)
    for i in range(len(body)):
        for sock in socks:
            sock.sendall(body[i:i + 1])
        assert len(api.ask("GET", f"{company}/users")["items"]) == 0 or i == len(body) - 1
    for sock in socks:
        assert sock.recv(65536).startswith(b"HTTP/1.1 201")
        sock.close()
    assert len(api.ask("GET", f"{company}/users")["items"]) == 20


def test_many_who_say_nothing(api: Alone) -> None:
    """Connections that stay silent, or end within the head, are no hindrance."""
    company = api.company()
    socks = [socket.create_connection((api.settings.address, api.settings.api_port), 20)
             for _ in range(300)]
    for sock in socks[::2]:
        sock.sendall(b"GET /v1/health HTT")
    assert api.ask("GET", f"{company}/users")["items"] == []
    for sock in socks:
        sock.close()
    assert api.ask("GET", f"{company}/users")["items"] == []


def test_whoever_goes_away_at_once(api: Alone) -> None:
    """Requests whose callers are gone before the answer: each is done whole or not at all, and the
    next ones are served."""
    company = api.company()

    def leave(number: int) -> None:
        body = json.dumps({"name": f"Gone {number}"}).encode()
        request = head(api, "POST", f"{company}/users", f"Content-Length: {len(body)}",
                       "Content-Type: application/json") + body
        with socket.create_connection((api.settings.address, api.settings.api_port), 10) as sock:
            sock.sendall(request)

    threads = [threading.Thread(target=leave, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = api.ask("POST", f"{company}/users", {"name": "Last"}, status=201)

    def same() -> list[Any]:
        """The rows, when the history tells of each of them."""
        changes = api.ask("GET", f"{company}/revisions", limit=1000, table="user")["items"]
        rows: list[Any] = api.ask("GET", f"{company}/users", limit=1000)["items"]
        told = sorted(one["changes"][0]["id"] for one in changes)
        return rows if told == [row["id"] for row in rows] else []

    rows = eventually(same)
    assert last in rows and len({row["name"] for row in rows}) == len(rows)


def test_a_head_without_end(api: Alone) -> None:
    for more in (b"X: " + b"a" * 20_000, b"\r\n".join([b"X: y"] * 5000), b"A" * 100_000):
        found = raw(api, b"GET /v1/health HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n\r\n")
        assert re.match(rb"HTTP/1.1 4\d\d ", found) or found == b"", found[:200]
    assert api.http.get("/health").status_code in (200, 503)


def test_a_wrong_key_is_logged_without_the_key(api: Alone) -> None:
    for key in ("zanzibar", "zanzibar2"):
        assert api.http.get("/me", headers={"Authorization": f"Bearer {key}"}).status_code == 401
    api._output.flush()
    text = (api.state / "output").read_bytes()
    assert text.count(b"failed sign-ins at the API") == 1 and b"zanzibar" not in text
