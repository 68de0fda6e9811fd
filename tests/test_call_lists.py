"""Lists of calls: against a plain look at all of them, page by page while others come; what is
masked; what a sheet gets."""

import csv
import functools
import io
import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.calls import lists
from api.calls.places import ways_of
from api.calls.shapes import CallsQuery, LogQuery
from api.calls.sheet import cell, lines, table
from api.publish.publisher import Publisher
from routing_core import mapping
from routing_core.codes import Cause, Kind, Source
from store import SqliteStore
from store import calls as store_calls
from store.calls import CallItem, Wanted, Way
from store.model import (
    CallRecord,
    Device,
    Member,
    Message,
    Number,
    Prompt,
    RingGroup,
    Service,
    Target,
    Tenant,
    Trunk,
    User,
)
from tests.test_store import put

OWN, CALLER, OUTSIDE = "+4681000000", "+46701112233", "+46709998877"
ANNA, BO, CIA = 11, 12, 13
GROUP, QUEUE, MENU = 21, 31, 32


@pytest.fixture(name="store")
def empty(tmp_path: Path) -> Iterator[SqliteStore]:
    """Two companies, the first with a number."""
    store = SqliteStore(tmp_path / "vaxel.db")
    store.migrate()
    for name in ("One", "Two"):
        put(store, Tenant(name=name))
    put(store, Number(tenant=1, e164=OWN))
    yield store
    store.close()


@functools.cache
def _template() -> bytes:
    store = SqliteStore(":memory:")
    store.migrate()
    return store._db.serialize()


def fresh_store() -> SqliteStore:
    """An empty one in memory, for tests that need many."""
    store = SqliteStore(":memory:")
    store._db.deserialize(_template())
    return store


def record(uid: str, started_ms: int, **fields: Any) -> CallRecord:
    """A call from outside that nobody answered."""
    return CallRecord(**{
        "uid": uid, "tenant": 1, "direction": "in", "caller": CALLER, "called": OWN,
        "started_ms": started_ms, "ended_ms": started_ms + 30_000, "code": 480,
        "ended_by": "failed"} | fields)


def answered(uid: str, started_ms: int, **fields: Any) -> CallRecord:
    """One that Anna answered after 5 seconds, and talked for 25."""
    return record(uid, started_ms, **{
        "answered_ms": started_ms + 5000, "answerer": ANNA, "rang": (ANNA,), "code": 200,
        "ended_by": "caller"} | fields)


def items(store: SqliteStore, **wanted: Any) -> list[CallItem]:
    """All of them, in small pages."""
    found: list[CallItem] = []
    after = None
    while True:
        page, after = store.list_calls(1, Wanted(**wanted), after, 7)
        found += [one.item for one in page]
        if after is None:
            return found


def uids(store: SqliteStore, **wanted: Any) -> list[str]:
    """The same, by uid."""
    return [item.uid for item in items(store, **wanted)]


# -- what became of a call -----------------------------------------------------------------------

@pytest.mark.parametrize(("fields", "ways", "outcome"), [
    ({"rang": (ANNA,)}, [], "missed"), ({"code": 408}, [], "missed"),
    ({"code": 486, "rang": (ANNA,)}, [], "busy"), ({"code": 600}, [], "busy"),
    ({"code": 487, "ended_by": "cancelled", "rang": (ANNA,)}, [], "abandoned"),
    ({"code": 403}, [], "refused"), ({"code": 404}, [], "refused"),
    ({"code": 603, "rang": (ANNA,)}, [], "refused"),
    ({"answered_ms": 5000, "answerer": ANNA}, [], "answered"),
    ({"answered_ms": 5000}, [], "answered"),
    ({"answered_ms": 5000}, [("service", MENU)], "service"),
    ({"answered_ms": 5000}, [("service", 0)], "service"),
    ({"answered_ms": 5000}, [("service", QUEUE), ("abandoned", QUEUE)], "abandoned"),
], ids=["rang", "408", "486", "600", "cancelled", "403", "404", "603", "answered",
        "answered_outside", "menu", "call_control", "left_the_queue"])
def test_outcomes(store: SqliteStore, fields: dict[str, Any], ways: list[tuple[Any, int]],
                  outcome: str) -> None:
    store.add_call(record("a", 0, **fields),
                   [Way(kind=kind, subject=subject) for kind, subject in ways])
    assert [item.outcome for item in items(store)] == [outcome]


def test_an_outgoing_call_is_one_before_it_is_answered(store: SqliteStore) -> None:
    """The record of one that nobody answered says internal."""
    for uid, called in (("out", OUTSIDE), ("own", OWN), ("short", "102")):
        store.add_call(record(uid, 0, direction="internal", called=called, caller="",
                              caller_user=ANNA))
    found = {item.uid: (item.direction, item.other, item.number) for item in items(store)}
    assert found == {"out": ("out", OUTSIDE, ""), "own": ("internal", "", OWN),
                     "short": ("internal", "", "")}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_legs_come_in_any_order(store: SqliteStore, order: tuple[int, ...]) -> None:
    """A queue's call is the call of the agent who answered it (U3)."""
    whole = record("whole", 1000, answered_ms=1100, code=200, ended_by="caller")
    legs = [record("first", 5000, conversation="whole", rang=(BO,)),
            record("second", 9000, conversation="whole", rang=(ANNA,), answerer=ANNA,
                   answered_ms=11_000, recorded=True)]
    steps = [lambda: store.add_call(whole), lambda: store.add_call(legs[0]),
             lambda: store.add_call(legs[1]),
             lambda: store.add_ways("whole", [Way(kind="service", subject=QUEUE)])]
    for step in order:
        steps[step]()
    [item] = items(store, services=(QUEUE,))
    assert (item.uid, item.outcome, item.wait_ms, item.talk_ms, item.recorded) \
        == ("whole", "answered", 10_000, 20_000, True)
    assert uids(store, legs=True) == ["second", "first", "whole"]
    for user, role in ((ANNA, "answered"), (BO, "missed")):
        log = lists.log_page(store, 1, user, lists.log_of(LogQuery(), user, None, None), None, 10)
        assert [(one.uid, one.role) for one in log.items] == [("whole", role)]
    assert not uids(store, user=CIA) and [due[:2] for due in store.figures_due()] == [(1, 0)]


def test_groups(store: SqliteStore) -> None:
    """Answered by a member, or elsewhere after it had gone on."""
    users = [put(store, User(tenant=1, name=name)).id for name in ("Anna", "Bo")]
    first, second = (put(store, RingGroup(tenant=1, name=name)).id for name in ("First", "Second"))
    put(store, Member(tenant=1, ring_group=second, user=users[1]))
    ways = [Way(kind="group", subject=group) for group in (first, second)]
    store.add_call(answered("a", 0, answerer=users[1]), ways)
    store.add_call(record("b", 1, rang=(users[0],)), ways[:1])
    [b, a], _ = store.list_calls(1, Wanted(group=first))
    assert [place.role for place in a.places if place.kind == "group"] == ["went_on", "answered"]
    assert [place.role for place in b.places if place.kind == "group"] == ["missed"]
    assert uids(store, group=second) == ["a"]


def test_what_is_deleted_is_in_no_list(store: SqliteStore) -> None:
    """Retention deletes records and nothing else."""
    store.add_call(answered("a", 0), [Way(kind="group", subject=GROUP)])
    store._db.execute("DELETE FROM call_record")
    for name in ("call_item", "call_place", "call_way"):
        assert store._db.execute(f"SELECT count(*) FROM {name}").fetchone() == (0,)


# -- where a call came to ------------------------------------------------------------------------

def test_decisions_say_where_a_call_came_to(tmp_path: Path) -> None:
    """Made again when it has ended: a group, the one after it, and the service after that."""
    store = SqliteStore(tmp_path / "vaxel.db")
    store.migrate()
    put(store, Tenant(name="One"))
    trunk = put(store, Trunk(name="T", host="192.0.2.1")).id
    users = [put(store, User(tenant=1, name=name, extension=extension)).id
             for name, extension in (("Anna", "101"), ("Bo", "102"))]
    for user in users:
        put(store, Device(tenant=1, user=user, name="D", username=f"phone-{user}",
                          secret="a" * 26))
    prompt = put(store, Prompt(tenant=1, name="P", text="Hello")).id
    menu = put(store, Service(tenant=1, name="M", settings=Message(prompt=prompt))).id
    second = put(store, RingGroup(tenant=1, name="Second", no_answer=Target(
        kind="service", service=menu))).id
    first = put(store, RingGroup(tenant=1, name="First", no_answer=Target(
        kind="group", group=second))).id
    for group, user in zip((first, second), users, strict=True):
        put(store, Member(tenant=1, ring_group=group, user=user))
    put(store, Number(tenant=1, e164=OWN, target=Target(kind="group", group=first)))
    Publisher(store, tmp_path)
    kernel = mapping.open_kernel(tmp_path)
    now = 1_800_000_000
    facts: list[Any] = [Source.TRUNK, trunk, OWN, CALLER, now, 1, None, None, Cause.FIRST]
    made = []
    for _ in range(3):
        asked = [*facts[:7], bytes.fromhex(facts[7]) if facts[7] else None, facts[8]]
        decision = kernel.decide(*asked)
        observed = kernel.observed()
        assert observed is not None
        made.append([*facts, observed.hex(), False])
        facts = [0, 0, "", "", now, 0, None, decision.trail.hex(), Cause.NO_ANSWER]
    assert decision.kind == Kind.HANDOVER
    groups = [Way(kind="group", subject=group) for group in (first, second)]
    called = record("a", 0, decisions=made)
    assert ways_of(kernel, called) == [*groups, Way(kind="service", subject=menu)]
    for decisions, ways in ((made[:1], groups[:1]), ([made[0], "cut"], groups[:1]), ([], []),
                            (None, []), ([[*made[0][:9], None, False], made[1]], groups[1:])):
        assert ways_of(kernel, record("a", 0, decisions=decisions)) == ways
    store.close()


# -- filters -------------------------------------------------------------------------------------

NUMBERS = (CALLER, OUTSIDE, "+4670", "+46701112299", "")
RECORDS = st.lists(st.tuples(
    st.integers(0, 40), st.sampled_from(["in", "out", "internal", "emergency"]),
    st.sampled_from(NUMBERS), st.sampled_from([None, ANNA, BO]), st.sampled_from([None, ANNA, CIA]),
    st.sampled_from([200, 403, 480, 486]), st.sampled_from([None, 1, 2]), st.booleans(),
    st.lists(st.sampled_from([("group", GROUP), ("service", QUEUE), ("service", MENU)]),
             unique=True), st.integers(1, 2)), max_size=25)
FILTERS = st.fixed_dictionaries({}, optional={
    "from_ms": st.integers(0, 20), "to_ms": st.integers(20, 41),
    "user": st.sampled_from([ANNA, BO]), "group": st.just(GROUP),
    "services": st.sampled_from([(QUEUE,), (QUEUE, MENU)]),
    "number": st.just(OWN), "prefix": st.sampled_from(["+4670", CALLER, "+46709", "9"]),
    "direction": st.sampled_from(["in", "out"]), "trunk": st.just(1), "recorded": st.just(True),
    "outcome": st.sampled_from(["answered", "missed", "service"]),
    "min_s": st.integers(1, 2), "queues": st.sampled_from([(QUEUE,), (), (MENU, 99)])})


@given(RECORDS, FILTERS, st.integers(1, 6), st.sampled_from([2, 7, 10_000]),
       st.sampled_from([1, 10_000]))
def test_filters(calls: list[tuple[Any, ...]], wanted: dict[str, Any], limit: int, scan: int,
                 sparse: int) -> None:
    """Every combination is what a look at all calls finds, however small the pages, by whichever
    index."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_calls, "SCAN", scan)
        patch.setattr(store_calls, "SPARSE", sparse)
        store = fresh_store()
        expected = []
        for i, (at, direction, number, user, answerer, code, trunk, kept, ways, tenant) in \
                enumerate(calls):
            done = code == 200 and answerer is not None
            store.add_call(CallRecord(
                uid=f"{i}", tenant=tenant, direction=direction,
                caller=number if direction == "in" else "",
                called=OWN if direction == "in" else number, started_ms=at,
                answered_ms=at + 1 if done else 0, answerer=answerer if done else None,
                ended_ms=at + 1500, caller_user=user, trunk=trunk, code=code, recorded=kept),
                [Way(kind=kind, subject=subject) for kind, subject in ways])
            if tenant == 1:
                expected.append((at, i, ways))
        found = {item.uid: item for item in items(store)}
        assert len(found) == len(expected)

        def fits(at: int, i: int, ways: list[tuple[str, int]]) -> bool:
            item = found[str(i)]
            users = {calls[i][3], item.outcome == "answered" and calls[i][4]}
            prefix = wanted.get("prefix", "")
            hidden = item.direction == "out" and item.caller_user is not None \
                and len(prefix) > len(item.other) - 4
            return all((
                wanted.get("from_ms", 0) <= at < wanted.get("to_ms", 99),
                wanted.get("user") in (None, *users),
                "group" not in wanted or ("group", GROUP) in ways,
                all(("service", one) in ways for one in wanted.get("services", ())),
                "queues" not in wanted or any(
                    ("service", one) in ways for one in wanted["queues"]),
                wanted.get("number", item.number) == item.number,
                not prefix or (item.other.startswith(prefix) and not hidden),
                wanted.get("trunk", item.trunk) == item.trunk,
                item.recorded or "recorded" not in wanted,
                *(wanted.get(name, getattr(item, name)) == getattr(item, name)
                  for name in ("direction", "outcome")),
                item.talk_ms >= wanted.get("min_s", 0) * 1000))

        listed: list[str] = []
        after = None
        for _ in range(200):
            page, after = store.list_calls(1, Wanted(**wanted), after, limit)
            assert len(page) <= limit
            listed += [one.item.uid for one in page]
            if after is None:
                break
        else:
            pytest.fail("the list has no end")
        order = sorted(expected, key=lambda one: (one[0], found[str(one[1])].id), reverse=True)
        assert listed == [str(i) for at, i, ways in order if fits(at, i, ways)]
        store.close()


def test_pages_are_stable_while_calls_come(store: SqliteStore) -> None:
    """Each that was there is seen once, in order; what comes later is not among them."""
    chance = random.Random(5)
    for i in range(60):
        store.add_call(record(f"{i}", 1000 + i // 3))
    before = uids(store)
    seen: list[str] = []
    after = None
    for i in itertools.count(100):
        page, after = store.list_calls(1, Wanted(), after, chance.randint(1, 9))
        seen += [one.item.uid for one in page]
        store.add_call(record(f"{i}", 5000 + i))
        store.add_ways(chance.choice(before), [Way(kind="service", subject=MENU)])
        if after is None:
            break
    assert seen == before and len(set(seen)) == 60


# -- what others may see of it -------------------------------------------------------------------

def seen_by(store: SqliteStore, viewer: int | None, **query: Any) -> list[tuple[str, str]]:
    """uid and number of a page."""
    wanted = lists.wanted_of(CallsQuery(**query), viewer, None)
    return [(one.uid, one.called) for one in lists.page(store, 1, wanted, None, 100).items]


def test_dialled_numbers_are_masked(store: SqliteStore) -> None:
    """For everybody except who dialled them; not what comes from outside, and no emergency."""
    out = {"direction": "out", "caller": "", "called": OUTSIDE, "trunk": 1}
    store.add_call(record("out", 4, caller_user=ANNA, **out, decisions=[[2, 1, OUTSIDE]]))
    store.add_call(record("leg", 3, conversation="out", **out))
    store.add_call(record("emergency", 2, direction="emergency", called="112", caller_user=ANNA))
    store.add_call(record("in", 1))
    hidden = "+4670999****"
    others = [("emergency", "112"), ("in", OWN)]
    assert seen_by(store, None) == seen_by(store, BO) == [("out", hidden), *others]
    assert seen_by(store, ANNA) == [("out", OUTSIDE), *others]
    assert seen_by(store, ANNA, legs=True)[1] == ("leg", hidden)
    # Nor can it be found out by asking for it.
    assert seen_by(store, BO, other="+4670999") == [("out", hidden)]
    for prefix in ("+46709998", OUTSIDE):
        assert seen_by(store, BO, other=prefix) == seen_by(store, None, other=prefix) == []
        assert seen_by(store, BO, other=prefix, legs=True) == []
        assert seen_by(store, ANNA, other=prefix) == [("out", OUTSIDE)]
    for viewer, called in ((ANNA, OUTSIDE), (BO, hidden), (None, hidden)):
        [one] = lists.log_page(store, 1, ANNA, lists.log_of(LogQuery(), ANNA, viewer, None), None,
                               10).items[:1]
        assert (one.called, one.role) == (called, "dialled")
    whole = store.call("out")
    assert lists.for_viewer(whole, ANNA) == whole
    assert lists.for_viewer(whole, None).called == hidden
    assert lists.for_viewer(whole, None).decisions is None
    assert lists.for_viewer(store.call("leg"), ANNA).called == hidden
    assert lists.for_viewer(store.call("in"), None) == store.call("in")


def test_a_supervisor_of_some_queues(store: SqliteStore) -> None:
    for uid, service in (("mine", QUEUE), ("other", MENU)):
        store.add_call(record(uid, 1), [Way(kind="service", subject=service)])
    wanted = lists.wanted_of(CallsQuery(queue=MENU), None, (QUEUE,))
    assert lists.page(store, 1, wanted, None, 10).items == []
    wanted = lists.wanted_of(CallsQuery(), None, (QUEUE,))
    assert [one.uid for one in lists.page(store, 1, wanted, None, 10).items] == ["mine"]


def test_the_own_calls_only(store: SqliteStore) -> None:
    store.add_call(answered("anna", 2))
    store.add_call(answered("bo", 1, answerer=BO, rang=(BO,)))
    wanted = lists.only(lists.wanted_of(CallsQuery(), ANNA, None), ANNA)
    assert [one.uid for one in lists.page(store, 1, wanted, None, 10).items] == ["anna"]


def test_a_log_by_role(store: SqliteStore) -> None:
    for i, (uid, fields) in enumerate((
            ("dialled", {"caller_user": ANNA}), ("missed", {"rang": (ANNA,)}),
            ("elsewhere", {"rang": (ANNA, BO), "answerer": BO, "answered_ms": 9}),
            ("answered", {"rang": (ANNA,), "answerer": ANNA, "answered_ms": 9}))):
        store.add_call(record(uid, i, **fields))
    for role, uid in (("dialled", "dialled"), ("missed", "missed"), ("answered", "answered"),
                      ("answered_elsewhere", "elsewhere")):
        query = LogQuery(role=role)
        log = lists.log_page(store, 1, ANNA, lists.log_of(query, ANNA, ANNA, None), None, 10)
        assert [(one.uid, one.role) for one in log.items] == [(uid, role)]


@pytest.mark.parametrize("text", ["12-34", "0-1", None])
def test_cursors(text: str | None) -> None:
    assert lists.text_of(lists.cursor_of(text)) == text


# -- sheets --------------------------------------------------------------------------------------

@pytest.mark.parametrize(("value", "shown"), [
    ("=1+1", "'=1+1"), ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"), ("-1+1", "'-1+1"),
    ("@SUM(A1)", "'@SUM(A1)"), ("\t=1", "'\t=1"), ("\r=1", "'\r=1"), ("\uff1d1", "'\uff1d1"),
    ("+4670123****", "'+4670123****"), ("+46701234567", "+46701234567"), ("-12.5", "-12.5"),
    ("+46701234567\n", "'+46701234567\n"), ("+\u0661", "'+\u0661"), ("", ""), (None, ""),
    (True, "true"), (-3, "-3"), ("a\x00=b", "a=b"), ("\x00=b", "'=b")])
def test_cells(value: Any, shown: str) -> None:
    assert cell(value) == shown


@given(st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=4), max_size=5))
def test_nothing_in_a_sheet_is_carried_out(rows: list[list[str]]) -> None:
    """As it is read back."""
    for row in csv.reader(io.StringIO(lines(rows), newline="")):
        for text in row:
            assert not text.startswith(("=", "+", "-", "@", "\t", "\r")) \
                or text[1:].replace(".", "").isdecimal()


def test_a_table() -> None:
    assert table([{"a": 1, "b": {"x": 2}}, {"a": None, "b": {"y": [3, "=4"]}}]) \
        == "a,b.x,b.y.0,b.y.1\r\n1,2,,\r\n,,3,'=4\r\n"
    assert table([]) == "\r\n"


def test_a_call_as_a_row(store: SqliteStore) -> None:
    store.add_call(answered("a", 0, caller="=HYPERLINK(1)", rang=(ANNA, BO)))
    [call] = lists.page(store, 1, Wanted(), None, 1).items
    [row] = csv.DictReader(io.StringIO(
        lines([call.__struct_fields__, lists.row_of(call)]), newline=""))
    assert (row["caller"], row["rang"], row["called"]) == ("'=HYPERLINK(1)", "11 12", OWN)
