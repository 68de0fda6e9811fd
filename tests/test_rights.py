"""Who may do what: every route of the API for every kind of caller, in the own company and in
another one, held against the table of rights by an oracle that shares no code with the API; and
that nobody gives, moves or sees what is not theirs."""

import itertools
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

import api.app as app
from api.http.rights import PUBLIC, TABLE
from api.http.route import ROUTES, Route
from tests.alone import Alone

NOWHERE = 10**15
PASSWORD = "a long enough phrase"
SCOPES = ["users:read", "presence:write", "transfer:write"]
TARGET = {"kind": "busy"}
ROLES = ["operator", "administrator", "supervisor", "attendant", "user", "machine"]
CALLERS = [*ROLES, "scoped", "nobody"]
assert app.FOLDERS


class House(NamedTuple):
    """A furnished company. rows: {path: the colleague's row}."""

    path: str
    me: int
    colleague: int
    rows: dict[str, int]

    @property
    def id(self) -> int:
        """Of the tenant."""
        return int(self.path.rpartition("/")[2])


class World(NamedTuple):
    """Two companies, and a key of everybody in the first."""

    api: Alone
    own: House
    other: House
    keys: dict[str, str]

    def send(self, method: str, path: str, body: Any, caller: str) -> httpx.Response:
        """Whatever the answer."""
        key = self.keys.get(caller, caller)
        headers = {"Authorization": f"Bearer {key}" if key else ""}
        base = "" if path == "/metrics" else "/v1"
        root = str(self.api.http.base_url).removesuffix("/v1/")
        return self.api.http.request(method, f"{root}{base}{path}", json=body, headers=headers)

    def made(self, path: str, body: Any, caller: str = "operator") -> Any:
        """What a creation in the own company answers."""
        answer = self.send("POST", f"{self.own.path}/{path}", body, caller)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def code(self, method: str, path: str, body: Any = None, caller: str = "operator") -> str:
        """Of the problem; "" when it worked."""
        answer = self.send(method, f"{self.own.path}{path}", body, caller)
        return "" if answer.is_success else str(answer.json()["code"])

    def digest(self, house: House) -> Any:
        """All that the company is."""
        found = self.api.ask("GET", f"{house.path}/export", secrets="true")
        found.pop("revision")
        return found


def furnish(api: Alone) -> House:
    """A company in which everybody has one of everything that is a person's own."""
    path = api.company()

    def made(where: str, **body: Any) -> int:
        return int(api.ask("POST", f"{path}/{where}", body, status=201)["id"])

    me, colleague = (made("users", name=f"U{i}", extension=f"10{i}") for i in (1, 2))
    group, queue = made("groups", name="G"), made("services", name="Q", settings={"type": "queue"})
    for user in (me, colleague):
        rows = {
            "devices": made("devices", user=user, name="d", username=f"d{user}-x"),
            "forwards": made("forwards", user=user, event="busy", target=TARGET),
            "caller-rules": made("caller-rules", user=user, number="+46701234567", rule="vip"),
            "members": made("members", user=user, ring_group=group),
            "queue-members": made("queue-members", user=user, service=queue),
            "contacts": made("contacts", user=user, name="C"),
            "mailboxes": made("services", name="M", settings={"type": "mailbox", "user": user})}
    return House(path, me, colleague, rows)


@pytest.fixture(name="world", scope="module")
def two_companies() -> Iterator[World]:
    """Shared: tests leave it as they found it."""
    with Alone(rate_per_s=50_000) as api:
        own, other = furnish(api), furnish(api)
        keys = {role: api.key_of(own.path, role, **({"user": own.me} if role == "user" else {}))
                for role in ROLES[1:]}
        scoped = api.key_of(own.path, "administrator", scopes=SCOPES)
        yield World(api, own, other, keys | {
            "operator": api.settings.api_key, "scoped": scoped, "nobody": ""})


# -- every route, every caller, every company -----------------------------------------------------

def cells() -> dict[str, dict[str, str]]:
    """{area: {role: cell}} of the table."""
    head, *rows = [line.split() for line in TABLE.strip().splitlines()]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def promised(route: Route, caller: str, tenant: str, mine: bool) -> str:
    """What the table says. tenant: own, another, none; mine: the person of the path is the
    caller."""
    if route.right == PUBLIC:
        return "allowed"
    if caller == "nobody":
        return "401"
    area, access = route.right.split(":")
    role = "administrator" if caller == "scoped" else caller
    cell = cells()[area][role]
    letter = {"read": "R", "write": "W"}[access]
    if "{tenant}" in route.path:
        if tenant == "none" or (tenant == "another" and caller != "operator"):
            return "404"
    elif caller != "operator" and route.own == "operator":
        return "403"
    if caller == "scoped" and route.right not in SCOPES and area != "me":
        return "403"
    if letter in cell:
        return "allowed"
    if letter.lower() not in cell or caller != "user":
        return "403"
    return "allowed" if route.own == "rows" or (route.own not in ("", "operator") and mine) \
        else "403"


def told(answer: httpx.Response) -> str:
    """What became of a request, in the words of promised()."""
    assert answer.status_code < 500 or answer.json()["code"] == "no_call_control" \
        or answer.request.url.path.startswith("/v1/health"), answer.text
    if answer.is_success or answer.status_code in (303, 304, 503):
        return "allowed"
    if not answer.headers["content-type"].startswith("application/problem+json"):
        return "allowed"
    body = answer.json()
    if body["code"] == "unauthenticated":
        return "401"
    if body["code"] == "forbidden" and "for people who" not in body["detail"]:
        return "403"  # a key has no sessions, whatever its rights
    if (body["status"], body["detail"]) == (404, "there is no such tenant"):
        return "404"
    return "allowed"


def paths(route: Route, world: World) -> Iterator[tuple[str, bool, str]]:
    """(tenant, whether the person is the caller, path): every combination that the path has."""
    tenants = {"own": world.own.id, "another": world.other.id, "none": NOWHERE}
    people = {True: world.own.me, False: world.own.colleague}
    has_tenant = "{tenant}" in route.path
    has_person = route.own not in ("", "rows", "operator")
    for tenant, mine in itertools.product(tenants if has_tenant else ["own"],
                                          people if has_person else [False]):
        def value(match: re.Match[str], tenant: str = tenant, mine: bool = mine) -> str:
            name = match[1]
            if name == "tenant":
                return str(tenants[tenant])
            if name == route.own:
                return str(people[mine])
            return "nothing" if match[2] else str(NOWHERE)
        yield tenant, mine, re.sub(r"\{(\w+)(:str)?\}", value, route.path).removeprefix("/v1")


@pytest.mark.parametrize("caller", CALLERS)
def test_every_route(world: World, caller: str) -> None:
    """401, 403, 404 or allowed, as promised; the other company is as it was."""
    before, wrong, asked = world.digest(world.other), [], 0
    for route in ROUTES:
        for tenant, mine, path in paths(route, world):
            body = {} if route.body is not None else None
            answer = world.send(route.method, path, body, caller)
            asked += 1
            want = promised(route, caller, tenant, mine)
            if told(answer) != want:
                wrong.append(f"{route.method} {path} ({tenant}): {answer.status_code} "
                             f"{answer.text[:120]}, not {want}")
    assert not wrong, "\n".join(wrong)
    assert asked > 500
    assert world.digest(world.other) == before


def test_the_table_knows_every_right_that_a_route_has() -> None:
    known = {f"{area}:{access}" for area in cells() for access in ("read", "write")}
    assert {route.right for route in ROUTES} <= known | {PUBLIC}
    assert all(set(row) == set(ROLES) for row in cells().values())
    for route in ROUTES:  # what only some reach through their own things says whose they are
        if route.own not in ("", "rows", "operator"):
            assert f"{{{route.own}}}" in route.path


@pytest.mark.parametrize("id_", ["0", str(1 << 62), str(1 << 64), "9" * 40])
def test_ids_that_cannot_be(world: World, id_: str) -> None:
    for path in (f"/tenants/{id_}/users", f"{world.own.path}/users/{id_}", f"/trunks/{id_}"):
        answer = world.send("GET", path, None, "operator")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_every_row_of_another_company_is_not_there(world: World) -> None:
    """By its id under the own company: neither read, changed nor deleted, by anybody."""
    before = world.digest(world.other)
    for name, rows in before.items():
        if not isinstance(rows, list) or not rows:
            continue
        path = f"{world.own.path}/{name}/{rows[0]['id']}"
        for caller, (method, body) in itertools.product(
                CALLERS[:2], [("GET", None), ("PATCH", {}), ("DELETE", None)]):
            answer = world.send(method, path, body, caller)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    assert world.digest(world.other) == before


# -- one's own ------------------------------------------------------------------------------------

OWN = {"forwards": {"event": "no_answer", "target": TARGET},
       "caller-rules": {"number": "+46701234599", "rule": "blocked"},
       "contacts": {"name": "New", "shared": True}}


@pytest.mark.parametrize("table", [*OWN, "devices", "members", "queue-members"])
def test_a_user_reads_only_the_own(world: World, table: str) -> None:
    base, theirs = f"{world.own.path}/{table}", world.own.rows[table]
    items = world.send("GET", base, None, "user").json()["items"]
    assert {row["user"] for row in items} == {world.own.me}
    revision = world.api.ask("GET", "/health")["revision"]
    for more in (f"?user={world.own.colleague}", f"?user={world.own.colleague}&as_of={revision}"):
        assert world.send("GET", base + more, None, "user").json()["items"] == []
    mine = world.send("GET", f"{base}?as_of={revision}", None, "user").json()["items"]
    assert {row["user"] for row in mine} == {world.own.me}
    for more in ("", f"?as_of={revision}", "?fields=id"):
        assert world.code("GET", f"/{table}/{theirs}{more}", None, "user") == "not_found"


@pytest.mark.parametrize("table", OWN)
def test_a_user_changes_only_the_own(world: World, table: str) -> None:
    before, me, other = world.digest(world.own), world.own.me, world.own.colleague
    theirs = world.own.rows[table]
    for method, path, body in (
            ("PATCH", f"/{table}/{theirs}", {}), ("PATCH", f"/{table}/{theirs}", {"user": me}),
            ("DELETE", f"/{table}/{theirs}", None),
            ("POST", f"/{table}", OWN[table] | {"user": other}),
            ("POST", f"/{table}", OWN[table] | {"user": world.other.me})):
        assert world.code(method, path, body, "user") in ("not_found", "unknown_reference")
    assert world.digest(world.own) == before
    made = world.made(table, OWN[table], "user")
    assert made["user"] == me
    assert world.code("PATCH", f"/{table}/{made['id']}", {"user": other}, "user") == "not_found"
    assert world.code("PATCH", f"/{table}/{made['id']}", {"user": None}, "user") in (
        "not_found", "invalid")
    kept = world.send("GET", f"{world.own.path}/{table}/{made['id']}", None, "user").json()
    assert kept == made
    assert world.code("DELETE", f"/{table}/{made['id']}", None, "user") == ""
    assert world.digest(world.own) == before


def test_what_a_user_only_reads(world: World) -> None:
    before = world.digest(world.own)
    for table in ("devices", "members", "queue-members"):
        mine = world.send("GET", f"{world.own.path}/{table}", None, "user").json()["items"][0]
        for method, path, body in (("POST", f"/{table}", {"user": world.own.me}),
                                   ("PATCH", f"/{table}/{mine['id']}", {}),
                                   ("DELETE", f"/{table}/{mine['id']}", None)):
            assert world.code(method, path, body, "user") == "forbidden"
    assert world.digest(world.own) == before


def test_a_users_mailbox_calls_and_state(world: World) -> None:
    me, other, rows = world.own.me, world.own.colleague, world.own.rows
    mailbox = next(row["id"] for row in world.digest(world.own)["services"]
                   if row["settings"].get("user") == me)
    assert world.code("GET", f"/mailboxes/{mailbox}/messages", None, "user") == ""
    assert world.code("GET", f"/mailboxes/{rows['mailboxes']}/messages", None, "user") \
        == "not_found"
    for user, refusal in ((me, ""), (other, "forbidden")):
        for method, path, body in (
                ("GET", f"/users/{user}/calls", None), ("GET", f"/calls?user={user}", None),
                ("PUT", f"/users/{user}/presence", {"activity": None}),
                ("GET", f"/users/{user}/figures?from_ms=0&to_ms=900000", None)):
            assert world.code(method, path, body, "user") in (
                {refusal} if refusal else {"", "invalid"}), path
    assert world.code("POST", "/calls/live", {"user": other, "dial": "101"}, "user") == "forbidden"
    assert world.code("POST", "/calls/live", {"user": me, "dial": "102"}, "user") \
        == "no_call_control"
    assert world.code("PUT", f"/agents/{other}/pause", {"reason": "break"}, "user") == "forbidden"
    assert world.code("PUT", f"/members/{rows['members']}/login", {"logged_in": False}, "user") \
        == "forbidden"


def test_contacts_of_others(world: World) -> None:
    """A person's own contact is nobody else's, except to administrators, unless it is shared."""
    row = world.own.rows["contacts"]
    for caller in ("supervisor", "attendant", "machine"):
        assert world.code("GET", f"/contacts/{row}", None, caller) == "not_found"
        assert world.code("PATCH", f"/contacts/{row}", {"shared": True}, caller) == "not_found"
        assert world.code("DELETE", f"/contacts/{row}", None, caller) == "not_found"
        listed = world.send("GET", f"{world.own.path}/contacts", None, caller).json()["items"]
        assert row not in [one["id"] for one in listed]
    assert world.code("GET", f"/contacts/{row}", None, "administrator") == ""


def test_a_supervisor_of_some_queues(world: World) -> None:
    own, send = world.own, world.send
    mine = world.made("services", {"name": "Mine", "settings": {"type": "queue"}})["id"]
    member = world.made("queue-members", {"service": mine, "user": own.me})["id"]
    account = world.made("accounts", {"email": "eva@example.net", "name": "Eva",
                                      "role": "supervisor", "queues": [mine]})["id"]
    token = send("POST", f"{own.path}/accounts/{account}/invitation", None,
                 "operator").json()["token"]
    assert send("POST", "/sign-in/password", {"token": token, "password": PASSWORD},
                "nobody").is_success
    eva = send("POST", "/sign-in", {"email": "eva@example.net", "password": PASSWORD},
               "nobody").json()["token"]
    before = world.digest(own)
    theirs = own.rows["queue-members"]
    other = next(row["service"] for row in before["queue-members"] if row["id"] == theirs)
    listed = send("GET", f"{own.path}/queue-members", None, eva).json()["items"]
    assert [row["id"] for row in listed] == [member]
    for method, path, body in (
            ("GET", f"/queue-members/{theirs}", None), ("PATCH", f"/queue-members/{theirs}", {}),
            ("PATCH", f"/queue-members/{theirs}", {"service": mine}),
            ("DELETE", f"/queue-members/{theirs}", None),
            ("PATCH", f"/queue-members/{member}", {"service": other}),
            ("POST", "/queue-members", {"service": other, "user": own.me}),
            ("GET", f"/queues/{other}", None), ("GET", f"/queues/{other}/callbacks", None)):
        code = world.code(method, path, body, eva)
        assert code in ("not_found", "conflict"), (method, path, code)
    assert world.digest(own) == before
    assert world.code("PATCH", f"/queue-members/{member}", {"tier": 1}, eva) == ""
    for path in (f"queue-members/{member}", f"accounts/{account}", f"services/{mine}"):
        assert send("DELETE", f"{own.path}/{path}", None, "operator").is_success
    assert send("GET", f"{own.path}/users", None, eva).status_code == 401


# -- nobody gives more than they have -------------------------------------------------------------

def account(role: str, world: World) -> dict[str, Any]:
    """A new account."""
    return {"email": f"{role}@b.example", "name": "X", "role": role, "user": world.own.me}


@pytest.mark.parametrize("way", ["alone", "changed", "batch", "import", "import_changed"])
@pytest.mark.parametrize("table", ["keys", "accounts"])
def test_nobody_gives_more_than_they_have(world: World, table: str, way: str) -> None:
    """A key that makes keys, accounts and imports, and no more, makes nobody with more."""
    scopes = ["keys:write", "accounts:write", "transfer:write", "transfer:read"]
    maker = world.made("keys", {"name": "m", "scopes": scopes})
    row = {"name": "X", "role": "supervisor"} if table == "keys" else account("supervisor", world)
    weak = world.made(table, row | {"name": "W", "role": "user", "user": world.own.me} | (
        {"scopes": ["me:read"]} if table == "keys" else {"email": "w@b.example"}))
    before = [world.digest(world.own), world.api.ask("GET", f"{world.own.path}/keys")]
    base, one = f"/v1{world.own.path}/{table}", f"/{table}/{weak['id']}"
    method, path, body = {
        "alone": ("POST", f"/{table}", row), "changed": ("PATCH", one, {"role": "supervisor"} | (
            {"scopes": []} if table == "keys" else {})),
        "batch": ("POST", "/batch", {"operations": [
            {"method": "POST", "path": base, "body": row}]}),
        "import": ("POST", "/import", {table: [row]}),
        "import_changed": ("POST", "/import", {table: [{"id": weak["id"], "role": "supervisor"}]}),
    }[way]
    code = world.code(method, path, body, maker["key"])
    assert code == ("invalid" if table == "keys" and "import" in way else "beyond_own_rights")
    assert [world.digest(world.own), world.api.ask("GET", f"{world.own.path}/keys")] == before
    for path in (one, f"/keys/{maker['id']}"):
        assert world.code("DELETE", path) == ""


@pytest.mark.parametrize("body", [
    {"role": "operator"}, {"role": "operator", "tenant": None}, {"tenant": 2},
    {"scopes": ["everything:write"]}, {"rate_per_s": 100_000},
    {"role": "user", "user": NOWHERE}])
def test_keys_that_an_administrator_cannot_make(world: World, body: dict[str, Any]) -> None:
    made = world.code("POST", "/keys", {"name": "k"} | body, "administrator")
    assert made in ("invalid", "beyond_own_rights", "unknown_reference")
    mine = world.made("keys", {"name": "k"})
    changed = world.code("PATCH", f"/keys/{mine['id']}", body, "administrator")
    assert changed in ("invalid", "beyond_own_rights", "unknown_reference")
    assert world.code("DELETE", f"/keys/{mine['id']}") == ""


def test_a_limited_key_makes_only_limited_ones(world: World) -> None:
    scopes = ["keys:write", "users:read"]
    maker = world.made("keys", {"name": "m", "scopes": scopes})
    made = world.made("keys", {"name": "n", "scopes": ["users:read"]}, maker["key"])
    assert world.code("GET", "/users", None, made["key"]) == ""
    assert world.code("GET", "/devices", None, made["key"]) == "forbidden"
    for body in ({"scopes": []}, {"scopes": None}, {"scopes": ["devices:read"]}):
        assert world.code("PATCH", f"/keys/{made['id']}", body, maker["key"]) \
            == "beyond_own_rights"
    for one in (made, maker):
        assert world.code("DELETE", f"/keys/{one['id']}") == ""
        assert world.send("GET", f"{world.own.path}/users", None,
                          one["key"]).status_code == 401


# -- what is the operator's -----------------------------------------------------------------------

FIELDS = {"agent_licences": 50, "attendant_licences": 50, "media": "always",
          "operator_barred": ["premium"]}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("way", ["alone", "batch", "import", "revert", "revert_to"])
def test_an_administrator_leaves_the_operators_fields(world: World, field: str,
                                                      way: str) -> None:
    """Also when going back to a moment at which the operator had set them otherwise."""
    own, api = world.own.path, world.api
    api.ask("PATCH", own, {field: FIELDS[field]})
    then = api.ask("GET", "/health")["revision"]
    api.ask("PATCH", own, {field: None, "second_factor": False})
    last = api.ask("GET", "/health")["revision"]
    before = api.ask("GET", own)
    method, path, body = {
        "alone": ("PATCH", "", {field: FIELDS[field]}),
        "batch": ("POST", "/batch", {"operations": [
            {"method": "PATCH", "path": f"/v1{own}", "body": {field: FIELDS[field]}}]}),
        "import": ("POST", "/import", {"company": {field: FIELDS[field]}}),
        "revert": ("POST", f"/revisions/{last}/revert", {}),
        "revert_to": ("POST", f"/revisions/{last}/revert", {"to": str(then)}),
    }[way]
    code = world.code(method, path, body, "administrator")
    assert code == ("" if way in ("import", "revert_to") else "forbidden")
    assert api.ask("GET", own) == before


def test_a_companys_users_have_its_plan(world: World) -> None:
    """An administrator lifted a user's plan, and with it every limit of it."""
    api, own = world.api, world.own
    plan = api.ask("POST", "/plans", {"name": "Small", "functions": ["forwarding"]}, status=201)
    user = world.made("users", {"name": "Planned", "plan": plan["id"]})
    path = f"/users/{user['id']}"
    last = api.ask("GET", "/health")["revision"]
    assert world.code("PATCH", path, {"plan": None}, "administrator") == "forbidden"
    assert world.code("POST", "/import", {"users": [user | {"plan": None}]}, "administrator") == ""
    assert world.code("PATCH", path, {"name": "Kept"}, "administrator") == ""
    api.ask("PATCH", f"{own.path}{path}", {"plan": None})
    newest = api.ask("GET", "/health")["revision"]
    assert world.code("POST", f"/revisions/{newest}/revert", {}, "administrator") == "forbidden"
    api.ask("POST", f"{own.path}/revisions/{newest}/revert", {})
    assert api.ask("GET", f"{own.path}{path}")["plan"] == plan["id"]
    api.ask("PATCH", own.path, {"plan": plan["id"]})
    made = [world.made("users", {"name": "New", **more}, "administrator")
            for more in ({}, {"plan": None})]
    assert [one["plan"] for one in made] == [plan["id"]] * 2
    assert world.made("users", {"name": "Free"})["plan"] is None, "the operator may"
    api.ask("POST", f"{own.path}/revisions/{last}/revert", {"to": str(last)})
    api.ask("DELETE", f"{own.path}{path}", status=204)
    api.ask("DELETE", f"/plans/{plan['id']}", status=204)


# -- more than one has ----------------------------------------------------------------------------

def test_nobody_deletes_who_may_more(world: World) -> None:
    """An administrator could not be changed by a helper's key, and could be deleted by it."""
    boss = world.made("accounts", {"email": "boss@rights.example", "name": "B",
                                   "role": "administrator"})
    key = world.made("keys", {"name": "all", "role": "administrator"})
    helper = world.made("keys", {"name": "h", "role": "administrator", "scopes": [
        "accounts:read", "accounts:write", "keys:read", "keys:write", "transfer:read",
        "transfer:write"]})["key"]
    for path in (f"/accounts/{boss['id']}", f"/keys/{key['id']}"):
        assert world.code("DELETE", path, None, helper) == "beyond_own_rights"
        assert world.code("PATCH", path, {"name": "x"}, helper) == "beyond_own_rights"
        assert world.code("PATCH", path, {"role": "machine"}, helper) == "beyond_own_rights"
    batch = {"operations": [
        {"method": "DELETE", "path": f"/v1{world.own.path}/accounts/{boss['id']}"}]}
    assert world.code("POST", "/batch", batch, helper) == "beyond_own_rights"
    for mode in ("merge", "replace"):
        for wrong in ({"accounts": []}, {"accounts": [boss | {"role": "user"}]},
                      {"users": [{"name": "A"}]}):
            code = world.code("POST", f"/import?mode={mode}", wrong, helper)
            assert code == ("" if (mode, wrong) == ("merge", {"accounts": []}) else
                            "forbidden" if "users" in wrong else "beyond_own_rights")
    assert world.send("GET", f"{world.own.path}/accounts/{boss['id']}", None,
                      "operator").json() == boss
    exported = world.send("GET", f"{world.own.path}/export", None, helper).json()
    assert set(exported) == {"format", "version", "revision", "company", "accounts"}
    assert world.code("GET", "/export?table=users", None, helper) == "forbidden"
    for path in (f"/accounts/{boss['id']}", f"/keys/{key['id']}"):
        assert world.code("DELETE", path, None, "administrator") == ""


def test_no_key_outlives_the_one_that_made_it(world: World) -> None:
    until = int(time.time()) + 3600
    short = world.made("keys", {"name": "s", "role": "administrator", "until": until})
    for body in ({"until": 0}, {"until": until + 1}):
        assert world.code("PATCH", f"/keys/{short['id']}", body, short["key"]) \
            == "beyond_own_rights"
        assert world.code("POST", "/keys", {"name": "n"} | body, short["key"]) \
            == "beyond_own_rights"
    assert world.code("POST", "/keys", {"name": "n"}, short["key"]) == "beyond_own_rights"
    made = world.made("keys", {"name": "n", "until": until - 1}, short["key"])
    for one in (made, short):
        assert world.code("DELETE", f"/keys/{one['id']}") == ""


# -- what was -------------------------------------------------------------------------------------

#: Of each table the area of rights.
AREA_OF = {"tenant": "company", "ring_group": "groups", "member": "members", "user": "users",
           "device": "devices", "forward": "forwards", "caller_rule": "caller-rules",
           "queue_member": "queue-members", "contact": "contacts", "service": "services",
           "account": "accounts", "api_key": "keys", "trunk": "trunks", "prompt": "prompts"}


@pytest.mark.parametrize("scopes", [None, ["revisions:read"], ["revisions:read", "users:read"],
                                    ["revisions:read", "contacts:read", "company:read"]])
@pytest.mark.parametrize("role", ["administrator", "machine"])
def test_history_shows_what_rows_show(world: World, role: str, scopes: list[str] | None) -> None:
    """A machine's key read accounts and other people's contacts in revisions and differences."""
    key = world.api.key_of(world.own.path, role, **({"scopes": scopes} if scopes else {}))
    account = world.made("accounts", {"email": "h@rights.example", "name": "H",
                                      "role": "supervisor"})
    since = world.api.ask("GET", f"{world.own.path}/revisions", limit=1)["items"][0]["id"] - 1
    for path, table in (("revisions?limit=1000", ""), (f"diff?since={since}", "")):
        items = world.send("GET", f"{world.own.path}/{path}", None, key).json()["items"]
        changes = [change for one in items for change in one.get("changes", [one])]
        assert {change["table"] for change in changes} <= {
            table for table, area in AREA_OF.items()
            if "R" in cells()[area][role] and (not scopes or f"{area}:read" in scopes)}
        if role == "machine":
            assert all(one["user"] is None or one["shared"] for change in changes
                       if change["table"] == "contact"
                       for one in (change["before"], change["after"]) if one)
        if scopes is None:
            assert "user" in {change["table"] for change in changes}
            assert ("account" in {change["table"] for change in changes}) == (
                role == "administrator")
        assert all(one.get("changes", [one]) for one in items)
    of_account = next(
        one["id"] for one in world.api.ask("GET", f"{world.own.path}/revisions",
                                           table="account", limit=1000)["items"])
    code = world.code("GET", f"/revisions/{of_account}", None, key)
    assert code == ("" if role == "administrator" and scopes is None else "not_found")
    world.api.ask("DELETE", f"{world.own.path}/accounts/{account['id']}", status=204)


def test_nobody_reverts_what_they_may_not_change(world: World) -> None:
    user = world.made("users", {"name": "Once"})
    last = world.api.ask("GET", "/health")["revision"]
    key = world.api.key_of(world.own.path, "administrator",
                           scopes=["revisions:read", "revisions:write", "groups:write"])
    for body in ({}, {"to": str(last - 1)}):
        code = world.code("POST", f"/revisions/{last}/revert", body, key)
        assert code == ("" if body else "forbidden")
        assert world.code("GET", f"/users/{user['id']}") == "", "it is still there"
    assert world.code("DELETE", f"/users/{user['id']}") == ""


def test_an_administrator_reverts_no_trunk(world: World) -> None:
    """The operator's trunk of the company stays as it is, and is the operator's to see."""
    api, own = world.api, world.own
    trunk = api.ask("POST", "/trunks", {"name": "T", "host": "10.99.0.1", "tenant": own.id,
                                        "secret": "s3cret"}, status=201)["id"]
    api.ask("PATCH", f"/trunks/{trunk}", {"host": "10.99.0.2", "secret": "other"})
    last = api.ask("GET", "/health")["revision"]
    assert world.code("POST", f"/revisions/{last}/revert", {}, "administrator") == "forbidden"
    assert world.code("POST", f"/revisions/{last}/revert", {"to": str(last - 1)},
                      "administrator") == ""
    assert api.ask("GET", f"/trunks/{trunk}")["host"] == "10.99.0.2"
    shown = world.send("GET", f"{own.path}/revisions?limit=1000", None, "administrator").text
    assert "s3cret" not in shown and "10.99.0.2" not in shown
    shown = world.send("GET", f"{own.path}/revisions?limit=1000", None, "operator").text
    assert "s3cret" not in shown and "10.99.0.2" in shown
    api.ask("DELETE", f"/trunks/{trunk}", status=204)


@pytest.mark.parametrize("path", ["/v1{other}/users", "/v1/tenants", "/v1/trunks", "/v1/keys"])
def test_a_batch_reaches_no_further(world: World, path: str) -> None:
    before = [world.digest(world.own), world.digest(world.other)]
    operations = [{"method": "POST", "path": f"/v1{world.own.path}/users", "body": {"name": "A"}},
                  {"method": "POST", "path": path.format(other=world.other.path),
                   "body": {"name": "B"}}]
    answer = world.send("POST", f"{world.own.path}/batch", {"operations": operations},
                        "administrator")
    assert answer.status_code in (403, 404), answer.text
    assert answer.json()["field"] == "operations[1]"
    assert [world.digest(world.own), world.digest(world.other)] == before


def test_an_import_takes_nothing_of_another_company(world: World) -> None:
    """Ids of another company's rows are names of new rows; references to them lead nowhere."""
    before = world.digest(world.other)
    row = before["users"][0]
    answer = world.send("POST", f"{world.own.path}/import?dry_run=true", {"users": [
        {"id": row["id"], "name": "Taken"}]}, "administrator").json()
    assert (answer["created"], answer["changed"]) == (1, 0)
    refused = world.send("POST", f"{world.own.path}/import", {"devices": [
        {"user": row["id"], "name": "d", "username": "stolen-1"}]}, "administrator")
    assert refused.json()["code"] == "unknown_reference"
    assert refused.json()["field"] == "devices[0].user"
    assert world.digest(world.other) == before
