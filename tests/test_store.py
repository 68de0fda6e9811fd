"""The contract of the store port: what every side that keeps the durable truth must do."""

import random
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import BrokenReference, Conflict, NotFound, SqliteStore, StillReferenced, StoreError
from store.model import (
    TABLES,
    Account,
    Activity,
    Allotment,
    ApiKey,
    Area,
    CallerRule,
    CallRecord,
    Choice,
    Contact,
    ContactNumber,
    Device,
    EventHook,
    Forward,
    Mailbox,
    Member,
    Menu,
    Message,
    Number,
    Plan,
    Presence,
    Prompt,
    Provider,
    Queue,
    QueueMember,
    Recording,
    RingGroup,
    Route,
    Row,
    Schedule,
    ScheduleRule,
    Service,
    Skill,
    Target,
    Tenant,
    Trunk,
    User,
)

ROOT = Path(__file__).resolve().parent.parent
SECRET = "a" * 26
Side = Callable[[Path], SqliteStore]


def embedded(folder: Path) -> SqliteStore:
    """The SQLite side, open."""
    store = SqliteStore(folder / "vaxel.db")
    store.migrate()
    return store


#: The sides that exist: each opens the store that belongs to a folder, again if it is there.
SIDES = [pytest.param(embedded, id="sqlite")]


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest) -> Side:
    """How to open a store of this side."""
    found: Side = request.param
    return found


@pytest.fixture
def store(side: Side, tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty store."""
    opened = side(tmp_path)
    yield opened
    opened.close()


def put(store: SqliteStore, row: Row) -> Any:
    """Create one row in a revision of its own."""
    made: list[Any] = []
    store.change("test", 1, "", lambda writer: made.append(writer.create(row)))
    return made[0]


def swap(store: SqliteStore, row: Row) -> None:
    """Replace one row in a revision of its own."""
    store.change("test", 1, "", lambda writer: writer.replace(row))


def remove(store: SqliteStore, table: str, id_: int) -> None:
    """Delete one row in a revision of its own."""
    store.change("test", 1, "", lambda writer: writer.delete(table, id_))


def everything(store: SqliteStore) -> dict[str, dict[int, Row]]:
    """The configuration as it is now."""
    return {table: {row.id: row for row in store.find(table, limit=100_000)} for table in TABLES}


def company(store: SqliteStore, name: str) -> dict[str, Any]:
    """A tenant with one row of everything that others point at."""
    tenant = put(store, Tenant(name=name)).id
    user = put(store, User(tenant=tenant, name="Anna", extension="101")).id
    group = put(store, RingGroup(tenant=tenant, name="Sales", extension="200")).id
    trunk = put(store, Trunk(tenant=tenant, name=f"T {name}", host="192.0.2.1")).id
    return {"tenant": tenant, "user": user, "group": group, "trunk": trunk,
            "activity": put(store, Activity(tenant=tenant, name="Lunch", code="1")).id,
            "schedule": put(store, Schedule(tenant=tenant, name="Hours")).id,
            "prompt": (prompt := put(store, Prompt(tenant=tenant, name="Hello")).id),
            "service": put(store, Service(tenant=tenant, name="Closed",
                                          settings=Message(prompt=prompt))).id,
            "plan": put(store, Plan(name=f"P {name}")).id,
            "queue": put(store, Service(tenant=tenant, name="Sales", settings=Queue())).id,
            "member": put(store, Member(tenant=tenant, ring_group=group, user=user)).id}


def rows_of(one: dict[str, Any]) -> dict[str, tuple[Row, dict[str, Any]]]:
    """For every table a row with all fields in use, and how it is changed."""
    tenant, user, group = one["tenant"], one["user"], one["group"]
    to_user, busy = Target(kind="user", user=user), Target(kind="busy")
    rule = ScheduleRule(kind="dates", open=False, priority=9, start=60, end=1440,
                        from_date="2026-12-24", to_date="2026-12-26")
    weekly = ScheduleRule(kind="weekly", open=True, weekdays=(0, 4), start=480, end=1020)
    return {
        "area": (Area(name="Umeå", location="urn:x", trunk=one["trunk"]),
                 {"trunk": None, "centre": "+46812345", "country": "FI"}),
        "tenant": (Tenant(name="Ny AB", barred=("mobile", "premium", "satellite"),
                          main_number="+4681234567", media="always", agent_licences=20,
                          pause_reasons=("fika",)),
                   {"barred": ("national",), "time_zone": "UTC", "main_number": None,
                    "agent_licences": None, "pause_reasons": ()}),
        "user": (User(tenant=tenant, name="Bo 🙂", extension="102", barred=("premium",),
                      enabled=False, record=True, language="fi", plan=one["plan"],
                      profiles=("agent",)),
                 {"plan": None, "profiles": (), "extension": None, "enabled": True,
                  "language": None, "ring_s": 180}),
        "device": (Device(tenant=tenant, user=user, name="Desk", username="anna-desk",
                          secret=SECRET, display="hidden", digest="md5"),
                   {"kind": "mobile", "display": None, "enabled": False}),
        "number": (Number(tenant=tenant, e164="+4681000000", kind="main", target=to_user,
                          schedule=one["schedule"],
                          closed_target=Target(kind="group", group=group), record=True),
                   {"target": Target(kind="number", text="+46701234567"), "schedule": None,
                    "closed_target": None}),
        "allotment": (Allotment(tenant=tenant, first="+4681000000", last="+4681000099"),
                      {"last": "+4681000049"}),
        "activity": (Activity(tenant=tenant, name="Meeting", code="12", reachable=True,
                              role="work"), {"code": None, "in_groups": True}),
        "forward": (Forward(tenant=tenant, user=user, event="activity", called="fixed",
                            activity=one["activity"], target=busy),
                    {"target": to_user, "called": "any"}),
        "caller_rule": (CallerRule(tenant=tenant, user=user, number="+46701112233", rule="vip"),
                        {"rule": "blocked", "number": "102"}),
        "schedule": (Schedule(tenant=tenant, name="All", rules=(rule, weekly), state="closed"),
                     {"rules": (weekly,), "country": "FI"}),
        "ring_group": (RingGroup(tenant=tenant, name="Support", extension="201", kind="hunt",
                                 strategy="random", skip_busy=False, no_answer=to_user,
                                 nobody=busy), {"nobody": None, "attempts": 10}),
        "member": (Member(tenant=tenant, ring_group=group, priority=7,
                          user=one["second"], device_kinds=("desk", "cordless")),
                   {"device_kinds": ("soft",), "priority": 0}),
        "trunk": (Trunk(name="Carrier", kind="registration", host="sip.example.net", port=5061,
                        transport="tls", username="u", secret="s3cret!", realm="r",
                        sources=("ip:192.0.2.7", "tls:*.example.net"), ping=False),
                  {"sources": (), "tenant": tenant, "enabled": False}),
        "route": (Route(tenant=tenant, prefix="4670", trunk=one["trunk"], position=3, weight=5),
                  {"tenant": None, "prefix": ""}),
        "api_key": (ApiKey(tenant=tenant, name="crm", digest="d" * 64, created_ms=1 << 41,
                           role="user", user=user, scopes=("users:read",), until=1 << 31,
                           rate_per_s=5),
                    {"tenant": None, "name": "other", "user": None, "scopes": ()}),
        "prompt": (Prompt(tenant=tenant, name="Välkommen", text="Hej!\nVänta.", language="sv"),
                   {"text": "", "sha256": "a" * 64, "duration_ms": 1200, "language": None}),
        "service": (Service(tenant=tenant, name="Huvudmeny", extension="300", settings=Menu(
            prompt=one["prompt"], tries=2, extensions=True, choices=(
                Choice(key="1", target=to_user), Choice(key="#", target=busy)),
            otherwise=Target(kind="service", service=one["service"]))),
            {"extension": None, "settings": Mailbox(user=user, listeners=(one["second"],),
                                                    email=("a@example.net",))}),
        "queue_member": (QueueMember(
            tenant=tenant, service=one["queue"], user=one["second"], tier=3, position=10_000,
            skills=(Skill(name="finska", level=5), Skill(name="it-2")), by_presence=True,
            device_kinds=("desk", "mobile")),
            {"skills": (), "tier": 0, "by_presence": False, "device_kinds": ("soft",)}),
        "plan": (Plan(name="Fast", functions=("voicemail", "forwarding"), max_devices=2,
                      device_kinds=("desk",)), {"functions": (), "device_kinds": ()}),
        "account": (Account(tenant=tenant, email="anna@example.net", name="Anna", role="supervisor",
                            user=user, queues=(one["queue"],), phone="+46701234567",
                            second_factor=True, language="fi"),
                    {"queues": None, "user": None, "phone": None, "enabled": False}),
        "provider": (Provider(tenant=tenant, name="Example", issuer="https://id.example.net",
                              client_id="vaxel", secret="s3cret"), {"enabled": False}),
        "contact": (Contact(tenant=tenant, user=user, shared=True, name="Åke Öberg",
                            company="Example", title="VD", department="Ledning", numbers=(
                                ContactNumber(kind="mobile", e164="+46701234567"),),
                            email="ake@example.net", note="Ring\nefter tre"),
                    {"user": None, "numbers": (), "email": None, "shared": False}),
        "webhook": (EventHook(tenant=tenant, name="CRM", url="https://crm.example.net/in",
                              kinds=("queue", "call"), secret="whsec_" + "a" * 44),
                    {"kinds": (), "enabled": False}),
    }


class TestConfiguration:
    """Rows, revisions and what is refused."""

    @pytest.mark.parametrize("table", TABLES)
    def test_round_trip(self, store: SqliteStore, table: str) -> None:
        one = company(store, "One")
        one["second"] = put(store, User(tenant=one["tenant"], name="Second")).id
        row, changes = rows_of(one)[table]
        made = put(store, row)
        assert made.id > 0 and made == msgspec.structs.replace(row, id=made.id)
        assert store.get(table, made.id) == made
        assert made in store.find(table, id=made.id)
        changed = msgspec.structs.replace(made, **changes)
        swap(store, changed)
        assert store.get(table, made.id) == changed
        remove(store, table, made.id)
        with pytest.raises(NotFound):
            store.get(table, made.id)
        history = [(change.before, change.after) for revision in store.revisions(limit=1000)
                   for change in revision.changes if (change.table, change.id) == (table, made.id)]
        first, second = msgspec.to_builtins(made), msgspec.to_builtins(changed)
        as_read = msgspec.json.decode(msgspec.json.encode([
            (None, first), (first, second), (second, None)]))
        assert history == [tuple(pair) for pair in as_read]

    def test_find_pages_and_filters(self, store: SqliteStore) -> None:
        ids = [put(store, Tenant(name=f"T{i}", country="FI" if i % 2 else "SE")).id
               for i in range(7)]
        assert [row.id for row in store.find("tenant", limit=3)] == ids[:3]
        assert [row.id for row in store.find("tenant", after=ids[2], limit=3)] == ids[3:6]
        assert [row.id for row in store.find("tenant", country="FI")] == ids[1::2]
        assert list(store.select("tenant", ("name", "id"), id=ids[4])) == [("T4", ids[4])]
        assert [row.id for row in store.find("tenant", main_number=None)] == ids

    def test_a_change_is_one_revision(self, store: SqliteStore) -> None:
        def work(writer: Any) -> None:
            tenant = writer.create(Tenant(name="One"))
            assert writer.get("tenant", tenant.id) == tenant  # sees itself
            user = writer.create(User(tenant=tenant.id, name="Anna"))
            writer.replace(msgspec.structs.replace(user, name="Bo"))
            writer.delete("user", user.id)

        made = store.change("anna", 1234, "why", work)
        read = store.revisions()[-1]
        assert (read.id, read.author, read.at_ms, read.note) == (made.id, "anna", 1234, "why")
        assert store.revision() == made.id
        assert [(c.table, c.before is None, c.after is None) for c in read.changes] == [
            ("tenant", True, False), ("user", True, False), ("user", False, False),
            ("user", False, True)]
        assert read.changes[2].before is not None and read.changes[2].after is not None
        assert (read.changes[2].before["name"], read.changes[2].after["name"]) == ("Anna", "Bo")

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_a_failed_change_leaves_nothing(self, store: SqliteStore,
                                            error: type[BaseException]) -> None:
        one = company(store, "One")
        before, revision = everything(store), store.revision()

        def work(writer: Any) -> None:
            writer.create(Tenant(name="Two"))
            writer.delete("member", one["member"])
            raise error

        with pytest.raises(error):
            store.change("test", 1, "", work)
        assert (everything(store), store.revision()) == (before, revision)
        put(store, Tenant(name="Two"))  # and the store still works
        assert store.revision() == revision + 1

    def test_revision_at(self, store: SqliteStore) -> None:
        assert store.revision() == store.revision_at(1 << 60) == 0
        ids = [store.change("a", at, "", lambda _writer: None).id for at in (100, 200, 300)]
        assert [store.revision_at(at) for at in (99, 100, 250, 300, 900)] == [
            0, ids[0], ids[1], ids[2], ids[2]]
        assert [r.id for r in store.revisions(after=ids[0], limit=1)] == [ids[1]]

    @pytest.mark.parametrize(("table", "field", "value"), [
        ("tenant", "name", "One"), ("user", "extension", "101"), ("ring_group", "name", "Sales"),
        ("ring_group", "extension", "200"), ("activity", "name", "Lunch"),
        ("activity", "code", "1"), ("schedule", "name", "Hours"), ("member", "user", None),
        ("device", "username", None), ("number", "e164", None), ("caller_rule", "number", None),
        ("api_key", "digest", None), ("area", "name", None), ("forward", "event", None),
        ("queue_member", "user", None)])
    def test_taken_values(self, store: SqliteStore, table: str, field: str, value: Any) -> None:
        one = company(store, "One")
        one["second"] = put(store, User(tenant=one["tenant"], name="Second")).id
        row = rows_of(one)[table][0]
        if value is None:
            put(store, row)
        else:
            row = msgspec.structs.replace(row, **{field: value})
        revision = store.revision()
        with pytest.raises(Conflict) as caught:
            put(store, row)
        assert (caught.value.field, store.revision()) == (field, revision)

    def test_the_same_extension_in_two_companies(self, store: SqliteStore) -> None:
        assert company(store, "One")["user"] != company(store, "Two")["user"]

    @pytest.mark.parametrize("other", ["nothing", "another tenant's"])
    def test_references_are_kept(self, store: SqliteStore, other: str) -> None:
        one, two = company(store, "One"), company(store, "Two")
        bad = dict.fromkeys(two, 9999) if other == "nothing" else two
        mine, user = one["tenant"], one["user"]
        busy = Target(kind="busy")
        person, team = (Target(kind="user", user=bad["user"]),
                        Target(kind="group", group=bad["group"]))
        number = "+4681000000"
        rows = [
            Number(tenant=mine, e164=number, target=person),
            Number(tenant=mine, e164=number, target=team),
            Number(tenant=mine, e164=number, closed_target=person),
            Number(tenant=mine, e164=number, closed_target=team),
            Number(tenant=mine, e164=number, schedule=bad["schedule"]),
            Member(tenant=mine, ring_group=bad["group"], user=user),
            Member(tenant=mine, ring_group=one["group"], user=bad["user"]),
            Device(tenant=mine, user=bad["user"], name="x", username="xyz", secret=SECRET),
            Forward(tenant=mine, user=bad["user"], event="busy", target=busy),
            Forward(tenant=mine, user=user, event="busy", target=person),
            Forward(tenant=mine, user=user, event="busy", target=team),
            Forward(tenant=mine, user=user, event="activity", activity=bad["activity"],
                    target=busy),
            CallerRule(tenant=mine, user=bad["user"], number="102", rule="vip"),
            RingGroup(tenant=mine, name="x", no_answer=person),
            RingGroup(tenant=mine, name="x", nobody=team),
        ]
        if other == "nothing":
            rows += [User(tenant=9999, name="x"), Area(name="x", trunk=9999),
                     Tenant(name="x", area=9999), Route(trunk=9999),
                     ApiKey(tenant=9999, name="x", digest="x", created_ms=0),
                     User(tenant=mine, name="x", area=9999)]
        before, revision = everything(store), store.revision()
        for row in rows:
            with pytest.raises(BrokenReference):
                put(store, row)
        moved = store.get("user", user)
        with pytest.raises(StoreError):  # a row cannot move to another tenant under its pointers
            swap(store, msgspec.structs.replace(moved, tenant=two["tenant"], extension=None))
        assert (everything(store), store.revision()) == (before, revision)

    def test_what_is_in_use_stays(self, store: SqliteStore) -> None:
        one = company(store, "One")
        area = put(store, Area(name="A", trunk=one["trunk"])).id
        put(store, Route(trunk=one["trunk"]))
        put(store, Number(tenant=one["tenant"], e164="+4681000000", schedule=one["schedule"]))
        put(store, Forward(tenant=one["tenant"], user=one["user"], event="activity",
                           activity=one["activity"], target=Target(kind="busy")))
        swap(store, msgspec.structs.replace(store.get("user", one["user"]), area=area))
        before, revision = everything(store), store.revision()
        for table, id_ in (("tenant", one["tenant"]), ("user", one["user"]),
                           ("ring_group", one["group"]), ("trunk", one["trunk"]),
                           ("activity", one["activity"]), ("schedule", one["schedule"]),
                           ("area", area)):
            with pytest.raises(StillReferenced):
                remove(store, table, id_)
        assert (everything(store), store.revision()) == (before, revision)

    def test_what_is_not_there(self, store: SqliteStore) -> None:
        for work in (lambda w: w.replace(Tenant(id=5, name="x")), lambda w: w.delete("user", 5),
                     lambda w: w.get("area", 5)):
            with pytest.raises(NotFound):
                store.change("test", 1, "", work)
        assert store.revision() == 0

    def test_ids_are_not_used_again(self, store: SqliteStore, side: Side, tmp_path: Path) -> None:
        first = put(store, Tenant(name="One")).id
        remove(store, "tenant", first)
        other = side(tmp_path)
        second = put(other, Tenant(name="One")).id
        other.close()
        assert second > first

    @settings(max_examples=25, deadline=None,
              suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(steps=st.lists(st.lists(st.tuples(
        st.sampled_from(["create", "create", "replace", "delete"]),
        st.sampled_from(["tenant", "user", "number", "ring_group", "member", "schedule"]),
        st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=3), max_size=25))
    def test_every_past_configuration(self, side: Side, steps: list[Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = side(Path(folder))
            remembered = {0: everything(store)}
            for step in steps:
                now = everything(store)
                try:
                    revision = store.change("test", 1, "", lambda writer, step=step: [
                        _do(writer, *action) for action in step])
                except StoreError:
                    assert everything(store) == now
                else:
                    remembered[revision.id] = everything(store)
            assert max(remembered) == store.revision()
            for revision_id, then in remembered.items():
                assert store.as_of(revision_id) == then
            store.close()


def _do(writer: Any, verb: str, table: str, at: int, salt: int) -> None:
    """One random action on one of the rows that are there."""
    def pick(name: str, **equal: Any) -> int:
        rows = writer.find(name, **equal)
        return rows[at % len(rows)].id if rows else 1

    tenant = pick("tenant")
    user, group = pick("user", tenant=tenant), pick("ring_group", tenant=tenant)
    target = [None, Target(kind="user", user=user), Target(kind="group", group=group),
              Target(kind="busy"), Target(kind="number", text="+46701234567")][salt % 5]
    rule = ScheduleRule(kind="weekly", open=True, weekdays=(at % 7,), start=salt)
    row = {"tenant": Tenant(name=f"T{salt}", barred=("premium", "mobile")[:salt % 3]),
           "user": User(tenant=tenant, name="U", extension=f"10{salt}", record=bool(at % 2)),
           "number": Number(tenant=tenant, e164=f"+4680000{salt}", target=target),
           "ring_group": RingGroup(tenant=tenant, name=f"G{salt}", nobody=target),
           "member": Member(tenant=tenant, ring_group=group, user=user, priority=salt),
           "schedule": Schedule(tenant=tenant, name=f"S{salt}", rules=(rule,) * (at % 3)),
           }[table]
    if verb == "create":
        writer.create(row)
    elif verb == "replace":
        writer.replace(msgspec.structs.replace(row, id=pick(table)))
    else:
        writer.delete(table, pick(table))


def record(uid: str, started: int, **fields: Any) -> CallRecord:
    """A call record."""
    return CallRecord(**{"uid": uid, "tenant": 1, "direction": "in", "caller": "+46701112233",
                         "called": "+4681000000", "started_ms": started} | fields)


class TestCallsAndLiveState:
    """What is not configuration."""

    def test_presence_and_logins_survive(self, store: SqliteStore, side: Side,
                                         tmp_path: Path) -> None:
        one = company(store, "One")
        away = Presence(user=one["user"], activity=one["activity"], until=99, note="back at 3",
                        source="phone", changed_ms=5)
        store.set_presence(Presence(user=one["user"], activity=None))
        store.set_presence(away)
        store.set_login(one["member"], True, 1)
        store.set_login(one["member"], False, 2)
        revision = store.revision()
        for broken in (Presence(user=9999, activity=None),
                       Presence(user=one["user"], activity=9999)):
            with pytest.raises(BrokenReference):
                store.set_presence(broken)
        with pytest.raises(BrokenReference):
            store.set_login(9999, True, 1)
        store.close()
        again = side(tmp_path)
        assert list(again.presences()) == [away] and again.presence(one["user"]) == away
        assert list(again.logins()) == [(one["member"], False)]
        assert again.revision() == revision  # live state is no configuration
        remove(again, "member", one["member"])
        remove(again, "user", one["user"])
        assert not list(again.presences()) and not list(again.logins())
        again.close()

    def test_a_call_is_written_once(self, store: SqliteStore) -> None:
        full = record("a", 10, answered_ms=20, ended_ms=30, caller_user=1, answerer=2, trunk=3,
                      rang=(2, 4), code=200, ended_by="caller", recorded=True, revision=7,
                      decisions=[[1, None, "ab"], "cut"], call_id="x@y", shown="+468")
        assert store.add_call(full) and not store.add_call(full)
        assert not store.add_call(record("a", 99, tenant=2, rang=(8,)))
        assert store.call("a") == full and store.calls() == [full]
        assert not store.calls(tenant=2) and not store.calls(user=8)
        assert store.call_by_call_id("x@y") == full and store.call_by_call_id("z") is None
        with pytest.raises(NotFound):
            store.call("b")

    def test_the_newest_first(self, store: SqliteStore) -> None:
        order = list(range(1, 21))
        random.Random(1).shuffle(order)
        for at in order:
            store.add_call(record(f"c{at}", at, tenant=1 + at % 2, rang=(at % 3 + 1,)))
        assert [r.started_ms for r in store.calls(limit=5)] == [20, 19, 18, 17, 16]
        assert [r.started_ms for r in store.calls(tenant=2)] == list(range(19, 0, -2))
        assert [r.started_ms for r in store.calls(user=1)] == [18, 15, 12, 9, 6, 3]
        assert [r.started_ms for r in store.calls(tenant=1, user=1, before_ms=18, limit=2)] == [
            12, 6]

    def test_roles(self, store: SqliteStore) -> None:
        store.add_call(record("missed", 1, caller_user=1, rang=(2, 3)))
        store.add_call(record("answered", 2, caller_user=1, answered_ms=5, answerer=2,
                              rang=(2, 3)))
        store.add_call(record("own", 3, caller_user=1, rang=(1, 2)))
        roles = {(user, uid): store.party_role(user, uid)
                 for uid in ("missed", "answered", "own") for user in (1, 2, 3)}
        assert roles == {
            (1, "missed"): "caller", (2, "missed"): "missed", (3, "missed"): "missed",
            (1, "answered"): "caller", (2, "answered"): "answered", (3, "answered"): "rang",
            (1, "own"): "caller", (2, "own"): "missed", (3, "own"): ""}

    def test_recordings(self, store: SqliteStore) -> None:
        made = Recording(uid="a", tenant=1, path="recordings/1/a.flac", started_ms=1,
                         duration_ms=2, bytes=3, sha256="f" * 64, complete=False)
        assert store.add_recording(made) and not store.add_recording(made)
        assert store.recording("a") == made
        with pytest.raises(NotFound):
            store.recording("b")


WRITER = """
import sys; from pathlib import Path
from store import SqliteStore; from store.model import Tenant
store = SqliteStore(Path(sys.argv[1]) / "vaxel.db"); store.migrate()
while True:
    made = store.change("w", 1, "", lambda w: [
        w.create(Tenant(name=f"{store.revision()}-{i}")) for i in range(3)])
    print(made.id, flush=True)
"""


class TestEmbedded:
    """What concerns the file of the embedded side."""

    def test_migrating_again_is_harmless(self, tmp_path: Path) -> None:
        store = embedded(tmp_path)
        company(store, "One")
        before = everything(store)
        store.migrate()
        store.close()
        again = embedded(tmp_path)
        assert everything(again) == before
        again.close()

    def test_only_the_owner_reads_it(self, store: SqliteStore, tmp_path: Path) -> None:
        put(store, Tenant(name="One"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode)
                 for path in tmp_path.glob("vaxel.db*")}
        assert modes and set(modes.values()) == {0o600}, modes

    def test_a_killed_writer_keeps_its_word(self, tmp_path: Path) -> None:
        for _ in range(10):
            with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT,
                                  stdout=subprocess.PIPE, text=True) as child:
                assert child.stdout is not None
                first = child.stdout.readline()
                time.sleep(random.uniform(0, 0.08))
                child.send_signal(signal.SIGKILL)
                rest = child.stdout.read()
            printed = [int(line) for line in (first + rest).split("\n")[:-1]]
            store = embedded(tmp_path)
            there = {revision.id: revision for revision in store.revisions(limit=1 << 20)}
            assert printed and set(printed) <= there.keys()
            assert all(len(revision.changes) == 3 for revision in there.values())
            assert len(store.find("tenant", limit=1 << 20)) == 3 * len(there)
            store.close()
