"""A company out of the exchange and in again: JSON, CSV, what is refused, and how much at once. A
real API process."""

import csv
import io
import itertools
import json
import re
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.transfer.tables import MAX_MEMBERS, safe
from tests.alone import Alone
from tests.exchange import eventually

count = itertools.count(1)
BUSY = {"kind": "busy"}


@pytest.fixture(name="api", scope="module")
def running() -> Iterator[Alone]:
    """Shared; every test has companies of its own. Nothing in it may fail inside."""
    with Alone() as api:
        yield api
        api._output.flush()
        assert b"request failed" not in (api.state / "output").read_bytes()


def furnish(api: Alone) -> str:
    """A company with one of everything, some of it pointing round in circles."""
    company, one = api.company(), next(count)

    def made(path: str, **body: Any) -> int:
        return int(api.ask("POST", f"{company}/{path}", body, status=201)["id"])

    anna = made("users", name="Anna", extension="101", language="fi", barred=["premium"])
    bo = made("users", name="=1+1", extension="102")
    prompt = made("prompts", name="Hej", text="Hej\noch h\u00e5, \"du\"")
    hours = made("schedules", name="H", rules=[
        {"kind": "weekly", "open": True, "weekdays": [0, 1], "start": 480, "end": 1020}])
    queue = made("services", name="Q", extension="300", settings={
        "type": "queue", "schedule": hours, "announcements": {"welcome": prompt},
        "supervisor": bo, "overflow": {"timed": {"kind": "user", "user": anna}, "timed_s": 60}})
    box = made("services", name="M", settings={
        "type": "mailbox", "user": anna, "listeners": [bo], "pin": "482915"})
    menu = made("services", name="V", settings={"type": "menu", "prompt": prompt, "choices": [
        {"key": "1", "target": {"kind": "service", "service": queue}}]})
    activity = made("activities", name="lunch", code="31")
    group = made("groups", name="G", extension="200", no_answer=BUSY)
    api.ask("PATCH", f"{company}/users/{anna}", {"colleague": {"kind": "service", "service": box}})
    api.ask("PATCH", f"{company}/services/{box}", {"settings": {
        "colleague": {"kind": "user", "user": bo}}})
    for user in (anna, bo):
        made("devices", user=user, name="d", username=f"t{one}-{user}")
        made("members", user=user, ring_group=group)
        made("queue-members", user=user, service=queue, skills=[{"name": "sv", "level": 3}])
    made("numbers", e164=f"+4680{one:07d}", kind="main", schedule=hours,
         target={"kind": "service", "service": menu}, closed_target={"kind": "group",
                                                                    "group": group})
    made("forwards", user=anna, event="activity", activity=activity, target=BUSY)
    made("caller-rules", user=anna, number="+46701234567", rule="vip")
    made("accounts", email=f"a{one}@example.net", name="A", role="supervisor", queues=[queue])
    made("providers", name="P", issuer="https://id.example.net", client_id="x", secret="s3cr3t")
    made("contacts", name="@C", user=bo, numbers=[{"e164": "+46701234567"}])
    made("webhooks", name="W", url="https://hook.example.net/", kinds=["call_ended"])
    api.ask("PATCH", company, {"main_number": f"+4680{one:07d}", "attendant": {
        "kind": "group", "group": group}, "hold_music": prompt})
    return company


def export(api: Alone, company: str, **more: Any) -> Any:
    """The document, without its revision."""
    found = api.ask("GET", f"{company}/export", **{"secrets": "true"} | more)
    found.pop("revision")
    return found


def take(api: Alone, company: str, document: Any, status: int = 200, **query: Any) -> Any:
    """Import; what that deletes is meant."""
    if query.get("mode") == "replace" and status == 200 and "dry_run" not in query:
        tried = api.ask("POST", f"{company}/import", document, status, dry_run="true", **query)
        query["deletes"] = tried["deleted"]
    return api.ask("POST", f"{company}/import", document, status, **query)


def took(answer: Any) -> tuple[int, int, int]:
    """How much was done."""
    return answer["created"], answer["changed"], answer["deleted"]


def revision(api: Alone) -> int:
    """In force."""
    return int(api.ask("GET", "/health")["revision"])


def send(api: Alone, path: str, data: bytes, kind: str, **query: str) -> tuple[int, Any]:
    """Status and answer."""
    answer = api.http.post(path, content=data, headers={"Content-Type": kind}, params=query)
    return answer.status_code, answer.json()


# -- the same -------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", ["merge", "replace"])
@pytest.mark.parametrize("form", ["secrets", "no secrets", "csv", "one table"])
def test_what_was_exported_changes_nothing(api: Alone, mode: str, form: str) -> None:
    company = furnish(api)
    before = export(api, company)
    if form in ("csv", "one table"):
        query = {"format": "csv"} | ({"table": "users"} if form == "one table" else {})
        data = api.http.get(f"{company}/export", params=query)
        kind = data.headers["content-type"]
        assert kind == ("text/csv" if form == "one table" else "application/zip")
        more = {"table": "users"} if form == "one table" else {}
        status, answer = send(api, f"{company}/import", data.content, kind, mode=mode, **more)
        assert status == 200, answer
    else:
        document = api.ask("GET", f"{company}/export", secrets=str(form == "secrets").lower())
        answer = take(api, company, document, mode=mode)
    assert took(answer) == (0, 0, 0) and answer["unchanged"] > 1 and answer["diff"] == []
    assert export(api, company) == before


def mapped(value: Any, ids: dict[str, dict[str, int]], before: Any) -> Any:
    """A document with new ids, by following every reference of the original by hand."""
    tables = {"user": "users", "group": "groups", "ring_group": "groups", "service": "services",
              "prompt": "prompts", "schedule": "schedules", "activity": "activities",
              "welcome": "prompts", "supervisor": "users", "hold_music": "prompts",
              "listeners": "users", "queues": "services"}

    def walk(one: Any, key: str, table: str) -> Any:
        if isinstance(one, dict):
            return {name: walk(inner, name, table) for name, inner in one.items()}
        if isinstance(one, list):
            return [walk(inner, key, table) for inner in one]
        name = table if key == "id" else tables.get(key, "")
        return ids[name][str(one)] if name and isinstance(one, int) else one

    return {name: [walk(row, "", name) for row in rows] if isinstance(rows, list)
            else walk(rows, "", "") for name, rows in value.items()}


def test_a_company_moves_to_another(api: Alone) -> None:
    """Emptied, and taken in by an empty one: equal but for the ids, circles and secrets too."""
    company, target = furnish(api), api.company()
    document = export(api, company)
    parts = {name for name, rows in document.items() if isinstance(rows, list)}
    assert all(document[name] for name in parts)
    cleared = dict.fromkeys(("main_number", "attendant", "hold_music"))
    emptied = take(api, company, {name: [] for name in parts} | {"company": cleared},
                   mode="replace")
    assert took(emptied) == (0, 1, sum(len(document[name]) for name in parts))
    assert not any(export(api, company)[name] for name in parts)
    for row in api.ask("GET", f"{company}/allotments")["items"]:
        api.ask("DELETE", f"{company}/allotments/{row['id']}", status=204)
    tried = take(api, target, document, dry_run="true")
    answer = take(api, target, document)
    assert {**tried, "dry_run": False} == answer
    wanted = mapped(document, answer["ids"], document)
    found = export(api, target)
    for name in sorted(parts):
        assert found[name] == wanted[name], name
    same = {name: value for name, value in found["company"].items() if name not in ("id", "name")}
    assert same == {name: wanted["company"][name] for name in same}
    assert took(take(api, company, {}, mode="replace")) == (0, 0, 0)


def test_a_try_does_nothing(api: Alone) -> None:
    company = furnish(api)
    document = export(api, company)
    document["users"][0]["name"] = "Renamed"
    document["users"].append({"id": -1, "name": "New", "extension": "150"})
    document["devices"].append({"user": -1, "name": "d", "username": f"new{next(count)}"})
    document["contacts"] = []
    before, at = export(api, company), revision(api)
    tried = take(api, company, document, mode="replace", dry_run="true")
    assert (export(api, company), revision(api)) == (before, at)
    done = take(api, company, document, mode="replace")
    assert took(tried) == took(done) == (2, 1, 1) and revision(api) == at + 1
    for answer in (tried, done):
        for made in answer["secrets"]:
            assert made.pop("secret")
        for one in answer["diff"]:
            assert "secret" not in (one["after"] or {}) or one["after"]["secret"] == "hidden"
    assert tried == done | {"dry_run": True}


def test_merge_leaves_what_is_not_named_and_replace_only_other_tables(api: Alone) -> None:
    company = furnish(api)
    before = export(api, company)
    answer = take(api, company, {"contacts": [{"name": "New"}]})
    assert took(answer) == (1, 0, 0)
    answer = take(api, company, {"contacts": [{"name": "Other"}]}, mode="replace")
    assert took(answer) == (1, 0, 2)
    after = export(api, company)
    assert {name: rows for name, rows in after.items() if name != "contacts"} == {
        name: rows for name, rows in before.items() if name != "contacts"}


def test_rows_take_the_places_of_others(api: Alone) -> None:
    """Two swap extensions, a new row has a deleted one's: what counts is how it is afterwards."""
    company = furnish(api)
    document = export(api, company)
    first, second = document["users"]
    first["extension"], second["extension"] = second["extension"], first["extension"]
    document["caller-rules"] = [{"user": first["id"], "number": "+46701234567", "rule": "blocked"}]
    answer = take(api, company, document, mode="replace")
    assert took(answer) == (1, 2, 1)
    assert [row["extension"] for row in export(api, company)["users"]] == ["102", "101"]


# -- CSV ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1",
                                  "\n=1", "'=1", "=HYPERLINK(\"http://x\",\"y\")", "'"])
def test_a_cell_is_no_formula(cell: str) -> None:
    assert safe(cell) == "'" + cell
    assert safe("+46701234567") == "+46701234567" and safe("-5") == "-5" and safe("Anna") == "Anna"


def test_no_cell_of_an_export_is_a_formula(api: Alone) -> None:
    company = furnish(api)
    notes = ["=1+1", "@x", "-1+1", "a\n=1", "'quoted", "\"=1\""]
    for note in notes:
        api.ask("POST", f"{company}/contacts", {"name": note.replace("\n", " "), "note": note},
                status=201)
    data = api.http.get(f"{company}/export", params={"format": "csv"}).content
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            text = archive.read(name).decode("utf-8-sig")
            assert "\r\n" in text
            for line in csv.reader(io.StringIO(text, newline="")):
                for cell in line:
                    assert not re.match(r"[=@\t\r]|[+-](?!\d[\d.]*\Z)", cell), cell
    status, answer = send(api, f"{company}/import", data, "application/zip", mode="replace")
    assert (status, took(answer)) == (200, (0, 0, 0))


@pytest.mark.parametrize(("text", "field", "status"), [
    ("name,nothing\r\nA,1\r\n", "users.nothing", 422), ("name,name\r\nA,B\r\n", "users.name", 422),
    ("name\r\nA,B\r\n", "users[0]", 422),
    ("name,ring_s\r\nA,25\r\nB,many\r\n", "users[1].ring_s", 422),
    ('name\r\n"A', "", 400), ("name\r\nA\0B\r\n", "users[0].name", 422),
    ("name,barred\r\nA,\"[\"\"x\"\"]\"\r\n", "users[0].barred[0]", 422),
    ("id,name\r\nx,A\r\n", "users[0].id", 422), ("name\r\n" + "A" * 200_000, "", 400),
    ("extension\r\n101\r\n", "users[0].name", 422)])
def test_sheets_that_cannot_be(api: Alone, text: str, field: str, status: int) -> None:
    company, at = api.company(), revision(api)
    found = send(api, f"{company}/import", text.encode(), "text/csv", table="users")
    assert (found[0], found[1].get("field", "")) == (status, field), found
    assert revision(api) == at
    assert api.ask("GET", f"{company}/users")["items"] == []


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


GOOD = zipped(("users.csv", b"name\r\nAnna\r\n" * 50))
ZIPS = {
    "ratio": zipped(("users.csv", b"name\r\n" + b"A\r\n" * (30 << 20))),
    "rows": zipped(("users.csv", b"name\r\n" + b"A\n" * (2 << 20))),
    "together": zipped(*((f"{name}.csv", b"\n" * (30 << 20)) for name in ("users", "groups",
                                                                         "devices"))),
    "many": zipped(*((f"{i}.csv", b"") for i in range(MAX_MEMBERS + 1))),
    "a folder": zipped(("a/users.csv", b"name\r\nA\r\n")),
    "above": zipped(("../users.csv", b"name\r\nA\r\n")),
    "a zip in it": zipped(("users.zip", GOOD)), "no suffix": zipped(("users", b"")),
    "keys": zipped(("keys.csv", b"name\r\nA\r\n")), "cut": GOOD[:-30], "nothing": b"",
    "text": b"PK\3\4 not really",
    "a bad sum": GOOD.replace(zipfile.ZipFile(io.BytesIO(GOOD)).infolist()[0].CRC.to_bytes(
        4, "little"), b"\1\2\3\4"),
    "encrypted": GOOD.replace(b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0\1\0").replace(
        b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"),
    "another method": GOOD.replace(b"\x08\0", b"\x63\0")}


@pytest.mark.parametrize("what", ZIPS)
def test_zips_that_cannot_be(api: Alone, what: str) -> None:
    company, at = api.company(), revision(api)
    status, problem = send(api, f"{company}/import", ZIPS[what], "application/zip")
    assert status in (400, 413, 422), problem
    assert status == {"ratio": 413, "rows": 413, "together": 413, "many": 413}.get(what, status)
    assert revision(api) == at and api.ask("GET", f"{company}/users")["items"] == []


def test_zips_with_a_wrong_byte(api: Alone) -> None:
    company = api.company()
    for at in range(0, len(GOOD), 3):
        bad = GOOD[:at] + bytes([GOOD[at] ^ 0x5A]) + GOOD[at + 1:]
        status, answer = send(api, f"{company}/import", bad, "application/zip", dry_run="true")
        assert status in (200, 400, 413, 422), (at, answer)


# -- what is refused ------------------------------------------------------------------------------

@pytest.mark.parametrize(("document", "field"), [
    ({"users": [{"name": "A"}, {"name": ""}]}, "users[1].name"),
    ({"users": [{"name": "A", "extension": 101}]}, "users[0].extension"),
    ({"users": [{"name": "A", "extension": "101"}, {"name": "B", "extension": "101"}]},
     "users[1].extension"),
    ({"users": [{"name": "A", "extension": "112"}, {"name": "B"}]}, "users[0].extension"),
    ({"users": [{"name": "A", "colleague": {"kind": "user", "user": 10**9}}]},
     "users[0].colleague.user"),
    ({"users": [{"id": "x", "name": "A"}]}, "users[0].id"),
    ({"users": [{"id": 1.5, "name": "A"}]}, "users[0].id"),
    ({"users": [{"id": True, "name": "A"}]}, "users[0].id"),
    ({"users": [{"id": 2**62, "name": "A"}]}, "users[0].id"),
    ({"users": [{"id": -1, "name": "A"}, {"id": -1, "name": "B"}]}, "users[1].id"),
    ({"users": [7]}, "users[0]"), ({"users": {}}, "users"), ({"people": []}, "people"),
    ({"keys": [{"name": "k"}]}, "keys"), ({"format": "other"}, "format"),
    ({"version": 2}, "format"), ({"company": []}, "company"),
    ({"company": {"language": "xx"}}, "company.language"),
    ({"company": {"nothing": 1}}, "company.nothing"),
    ({"company": {"main_number": "+46812345678"}}, "company.main_number"),
    ({"services": [{"name": "S", "settings": {"type": "message", "prompt": 10**9}}]},
     "services[0].settings.prompt"),
    ({"services": [{"name": "S", "settings": {"type": "teapot"}}]},
     "services[0].settings.type"),
    ({"devices": [{"user": 10**9, "name": "d", "username": "abc"}]}, "devices[0].user"),
    ({"accounts": [{"email": "a@example.net", "name": "A", "role": "operator"}]},
     "accounts[0].role")])
def test_what_is_wrong_is_named(api: Alone, document: Any, field: str) -> None:
    company, at = api.company(), revision(api)
    before = export(api, company)
    problem = api.http.post(f"{company}/import", json=document).json()
    assert problem["status"] in (403, 409, 422), problem
    assert problem.get("field") == field, problem
    assert (export(api, company), revision(api)) == (before, at)


# -- much at once ---------------------------------------------------------------------------------

def explained(api: Alone, company: str, to: str) -> str:
    """How the first of them would reach that extension, by the kernel."""
    first = api.ask("GET", f"{company}/users", extension="50000")["items"][0]["id"]
    api.ask("POST", f"{company}/devices", {"user": first, "name": "d",
                                           "username": f"first{next(count)}"}, status=201)
    return json.dumps(api.ask("GET", "/explain", **{
        "from": "50000", "to": to, "tenant": company[9:]}))


def test_ten_thousand_users_while_others_work(api: Alone) -> None:
    """Reads are answered meanwhile; writes wait until it is done."""
    company, other = api.company(), api.company()
    document = {"users": [{"name": f"User {i}", "extension": str(50_000 + i)}
                          for i in range(10_000)]}
    done, reads, writes = threading.Event(), [0.0], [0.0]

    def work(took_s: list[float], method: str, path: str, body: Any) -> None:
        with client(api) as http:
            while not done.is_set():
                began = time.monotonic()
                assert http.request(method, path, json=body).is_success
                took_s.append(time.monotonic() - began)

    threads = [threading.Thread(target=work, args=(reads, "GET", f"{other}/users", None)),
               threading.Thread(target=work, args=(writes, "POST", f"{other}/contacts",
                                                   {"name": "C"}))]
    for thread in threads:
        thread.start()
    eventually(lambda: len(reads) > 3 and len(writes) > 3)
    began = time.monotonic()
    try:
        with client(api) as http:
            answer = http.post(f"{company}/import", json=document)
    finally:
        took_s = time.monotonic() - began
        done.set()
        for thread in threads:
            thread.join()
    assert answer.status_code == 200, answer.text
    assert answer.json()["created"] == 10_000 and len(answer.json()["diff"]) == 1000
    assert max(reads) < max(2.0, took_s / 3), (max(reads), took_s)
    assert max(writes) < took_s + 2
    assert len(reads) > 20, "others were answered while it was done"
    assert len(api.ask("GET", f"{company}/users", limit=1000)["items"]) == 1000
    assert "User 9999" in explained(api, company, "59999"), "the kernel knows them"


def test_whoever_asked_goes_away(api: Alone) -> None:
    """What was begun is done and in force, or nothing is."""
    company = api.company()
    body = json.dumps({"users": [{"name": f"User {i}", "extension": str(50_000 + i)}
                                 for i in range(2000)]}).encode()
    with socket.create_connection((api.settings.address, api.settings.api_port)) as sock:
        sock.sendall((f"POST /v1{company}/import HTTP/1.1\r\nHost: x\r\nContent-Length: "
                      f"{len(body)}\r\nContent-Type: application/json\r\nAuthorization: Bearer "
                      f"{api.settings.api_key}\r\n\r\n").encode() + body)
        api.ask("GET", f"{company}/groups")
    made = api.ask("POST", f"{company}/contacts", {"name": "After"}, status=201)
    users = api.ask("GET", f"{company}/users", limit=1000)["items"]
    assert made["id"] and len(users) in (0, 1000)
    made = api.ask("GET", f"{company}/revisions", table="user")["items"]
    assert [len(one["changes"]) for one in made] == ([2000] if users else [])
    if users:
        assert "User 1999" in explained(api, company, "51999")


def client(api: Alone) -> httpx.Client:
    """A connection of its own."""
    return httpx.Client(base_url=api.http.base_url, headers=api.http.headers, timeout=120)


# -- sheets as people save them -------------------------------------------------------------------

USERS = "name,extension,ring_s,enabled,record\r\n" \
    "Åsa Öberg,101,25,true,false\r\nBo,102,30,false,true\r\n"
SAVED = {
    "semicolons": USERS.replace(",", ";").encode(),
    "tabs": USERS.replace(",", "\t").encode(),
    "a mark": b"\xef\xbb\xbf" + USERS.encode(),
    "UTF-16": USERS.replace(",", "\t").encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + USERS.replace(",", ";").encode("utf-16-be"),
    "Windows-1252": USERS.replace(",", ";").encode("cp1252"),
    "sep=": b"sep=;\r\n" + USERS.replace(",", ";").encode(),
    "quoted sep=": b'"sep=;"\r\n' + USERS.replace(",", ";").encode(),
    "newlines alone": USERS.replace("\r\n", "\n").encode(),
    "empty lines": (USERS.replace(",", ";") + ";;;;\r\n\r\n; ;;;\r\n").encode(),
    "spaces": USERS.replace(",", " ;\u00a0").replace("25", "25\u202f").encode(),
    "Swedish": USERS.replace("true", "SANT").replace("false", "FALSKT").encode(),
    "Finnish": USERS.replace("true", "TOSI").replace("false", "EPÄTOSI").encode(),
    "Norwegian": USERS.replace("true", "SANN").replace("false", "USANN").encode(),
    "English": USERS.replace("true", "TRUE").replace("false", "FALSE").encode(),
}


@pytest.mark.parametrize("how", SAVED)
def test_a_sheet_as_an_office_saves_it(api: Alone, how: str) -> None:
    company = api.company()
    status, answer = send(api, f"{company}/import", SAVED[how], "text/csv", table="users")
    assert (status, answer.get("created")) == (200, 2), answer
    rows = api.ask("GET", f"{company}/users")["items"]
    assert [(row["name"], row["extension"], row["ring_s"], row["enabled"], row["record"])
            for row in rows] == [("Åsa Öberg", "101", 25, True, False),
                                 ("Bo", "102", 30, False, True)]


def test_all_faults_of_a_sheet_at_once(api: Alone) -> None:
    """One a round they were: fifty rounds for fifty faults."""
    company = api.company()
    lines = ["name;extension;ring_s;enabled"]
    lines += [f"U{n};{100 + n};25;SANT" for n in range(500)]
    for n in range(0, 500, 10):
        lines[1 + n] = f"U{n};1x{n};25;SANT"
    lines[8] = ";107;många;kanske"
    data = "\r\n".join(lines).encode()
    status, answer = send(api, f"{company}/import", data, "text/csv", table="users")
    assert status == 422 and len(answer["errors"]) == 53
    first, second = answer["errors"][0], answer["errors"][1]
    assert first == {"field": "users[0].extension", "line": 2, "column": "extension",
                     "value": "1x0",
                     "detail": "is no extension: two to six digits, the first not 0"}
    assert (answer["field"], answer["detail"]) == (first["field"], first["detail"])
    assert (second["line"], second["column"]) == (9, "name")
    assert [one["column"] for one in answer["errors"] if one["line"] == 9] == [
        "name", "ring_s", "enabled"]
    assert api.ask("GET", f"{company}/users")["items"] == []
    status, answer = send(api, f"{company}/import", b"name;x\r\nA;B;C\r\n", "text/csv",
                          table="users")
    assert (status, answer["errors"][0]["line"]) == (422, 1)
    ragged = b"name;extension\r\nA\r\nB;102\r\nC;103;1\r\n"
    status, answer = send(api, f"{company}/import", ragged, "text/csv", table="users")
    assert [one["line"] for one in answer["errors"]] == [2, 4]


def test_no_error_repeats_a_secret(api: Alone) -> None:
    company = api.company()
    user = api.ask("POST", f"{company}/users", {"name": "A"}, status=201)["id"]
    status, answer = send(api, f"{company}/import", (
        f"user;name;username;secret\r\n{user};d;Bad Name;s3cr3t-s3cr3t\r\n").encode(),
        "text/csv", table="devices")
    assert status == 422 and [one["column"] for one in answer["errors"]] == ["username", "secret"]
    assert "s3cr3t" not in str(answer) and "Bad Name" in str(answer)


def test_a_row_is_known_again_by_what_people_know_it_by(api: Alone) -> None:
    company = api.company()
    one = api.ask("POST", f"{company}/users", {"name": "A", "extension": "101"}, status=201)
    data = b"extension;name\r\n101;Anna\r\n102;Bo\r\n"
    for counts in ((1, 1, 0), (0, 0, 0)):
        status, answer = send(api, f"{company}/import", data, "text/csv", table="users")
        assert (status, took(answer)) == (200, counts)
    rows = api.ask("GET", f"{company}/users")["items"]
    assert [(row["name"], row["extension"]) for row in rows] == [("Anna", "101"), ("Bo", "102")]
    assert rows[0]["id"] == one["id"]


@pytest.mark.parametrize("data", [b"name\r\n", b""])
def test_what_is_deleted_is_said_by_who_asks(api: Alone, data: bytes) -> None:
    """An empty file would have deleted five thousand telephones."""
    company = furnish(api)
    before = export(api, company)
    path = f"{company}/import"
    tried = send(api, path, data, "text/csv", table="webhooks", mode="replace", dry_run="true")
    assert (tried[0], tried[1]["deleted"]) == (200, 1)
    for more in ({}, {"deletes": "0"}, {"deletes": "2"}):
        status, answer = send(api, path, data, "text/csv", table="webhooks", mode="replace", **more)
        assert (status, answer["field"]) == (409, "deletes") and "deletes=1" in answer["detail"]
    assert export(api, company) == before
    status, _ = send(api, path, data, "text/csv", table="webhooks", mode="replace", deletes="1")
    assert status == 200
    assert export(api, company)["webhooks"] == []


def test_a_copy_of_a_company_stands_beside_it(api: Alone) -> None:
    """User names are one telephone's on the whole exchange, numbers and addresses one company's."""
    company, target = furnish(api), api.company()
    document = export(api, company)
    assert api.ask("POST", f"{target}/import", document, 409)["code"] == "conflict"
    answer = take(api, target, document, copy="true")
    made = export(api, target)
    assert made["numbers"] == made["accounts"] == []
    assert {name: len(rows) for name, rows in made.items() if isinstance(rows, list)} == {
        name: 0 if name in ("numbers", "accounts") else len(rows)
        for name, rows in document.items() if isinstance(rows, list)}
    told = {one["id"]: one for one in answer["secrets"] if one["table"] == "devices"}
    assert {row["id"]: (row["username"], row["secret"]) for row in made["devices"]} == {
        id_: (one["username"], one["secret"]) for id_, one in told.items()}
    assert not {row["secret"] for row in made["devices"]} & {
        row["secret"] for row in document["devices"]}
    assert export(api, company) == document
