"""Figures as they are answered: of calls against a plain count, in intervals of a time zone, kept
and not yet kept alike; who may see which; the supervisor's view; sheets."""

import asyncio
import csv
import datetime
import io
import zoneinfo
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.calls.aside import Aside
from api.figures import book as books
from api.figures import reports, routes
from api.figures.book import Book
from api.figures.calls import (
    CALL_DEFINITIONS,
    CallFigures,
    CallSums,
    CompanySums,
    UserSums,
    call_figures,
)
from api.figures.counting import Counting
from api.figures.counts import added
from api.figures.intervals import edges
from api.figures.reports import period_of
from api.figures.shapes import (
    MAX_DAYS,
    NOW_DEFINITIONS,
    CompanyPeriod,
    NowQuery,
    PeriodQuery,
    QueueNow,
    UserPeriod,
)
from api.http.errors import Problem
from routing_core.queues import Leave
from store import SqliteStore
from store.calls import Way
from store.figures import DAY_MS, QUARTER_MS
from store.model import CallRecord, Event, Number, Queue, QueueMember, RingGroup, Service, User
from store.model import Tenant as Company
from tests.test_call_lists import answered, fresh_store, record
from tests.test_store import put

STOCKHOLM = zoneinfo.ZoneInfo("Europe/Stockholm")
BEGIN = 1_800_000_000_000 // DAY_MS * DAY_MS


# -- intervals -----------------------------------------------------------------------------------

def local(*parts: int) -> int:
    """Unix milliseconds in Stockholm."""
    return int(datetime.datetime(*parts, tzinfo=STOCKHOLM).timestamp()) * 1000  # type: ignore[arg-type]


@pytest.mark.parametrize(("interval", "begin", "end", "hours"), [
    ("day", (2026, 3, 28), (2026, 3, 31), [24, 23, 24]),
    ("day", (2026, 10, 24), (2026, 10, 27), [24, 25, 24]),
    ("day", (2026, 3, 28, 18), (2026, 3, 29, 6), [6, 5]),
    ("week", (2026, 3, 20), (2026, 4, 1), [72, 167, 48]),
    ("month", (2026, 9, 15), (2026, 12, 2), [16 * 24, 31 * 24 + 1, 30 * 24, 24]),
    ("hour", (2026, 10, 25, 1), (2026, 10, 25, 4), [1] * 4),
    ("hour", (2026, 3, 29, 1), (2026, 3, 29, 4), [1] * 2),
    ("quarter", (2026, 3, 29, 1), (2026, 3, 29, 3), [0.25] * 4)],
    ids=["spring", "autumn", "part of a day", "week", "month", "25 hours", "23 hours", "quarter"])
def test_intervals_of_a_time_zone(interval: Any, begin: tuple[int, ...], end: tuple[int, ...],
                                  hours: list[float]) -> None:
    found = list(edges(local(*begin), local(*end), interval, STOCKHOLM))
    assert (found[0], found[-1]) == (local(*begin), local(*end))
    assert [(after - before) / 3_600_000 for before, after in pairwise(found)] == hours


@pytest.mark.parametrize(("query", "field"), [
    ({"begin": 1}, "from"), ({"end": 1}, "to"), ({"begin": 0, "end": 0}, "from"),
    ({"begin": 2 * QUARTER_MS, "end": QUARTER_MS}, "from"),
    ({"begin": 0, "end": MAX_DAYS * DAY_MS + QUARTER_MS}, "from"),
    ({"interval_s": 901}, "interval_s"), ({"interval_s": 2 * 86_400}, "interval_s"),
    ({"begin": 0, "end": 31 * DAY_MS, "interval_s": 900}, "interval_s"),
    ({"begin": 0, "end": 11 * DAY_MS, "interval": "quarter"}, "interval"),
    ({"interval_s": 900, "interval": "day"}, "interval_s")], ids=str)
def test_bad_periods(query: dict[str, Any], field: str) -> None:
    with pytest.raises(Problem) as caught:
        period_of(PeriodQuery(**query), BEGIN, "Europe/Stockholm")
    assert (caught.value.status, caught.value.field) == (422, field)


def test_periods() -> None:
    found = period_of(PeriodQuery(), BEGIN + 1, "UTC")
    assert found == (BEGIN + QUARTER_MS - DAY_MS, BEGIN + QUARTER_MS, ())
    found = period_of(PeriodQuery(begin=0, end=MAX_DAYS * DAY_MS, interval="month"), BEGIN, "UTC")
    assert len(found.edges) == 38, "three years and two days"
    found = period_of(PeriodQuery(begin=0, end=DAY_MS, interval_s=36_000), BEGIN, "UTC")
    assert found.edges == (0, 36_000_000, 72_000_000, DAY_MS)


# -- calls ---------------------------------------------------------------------------------------

OUTCOMES = ("answered", "service", "abandoned", "busy", "missed", "refused")
CALLS = st.lists(st.tuples(
    st.integers(0, 400), st.sampled_from(["in", "out", "internal"]), st.sampled_from([1, 2, 3]),
    st.sampled_from([None, 1, 2]), st.sampled_from([200, 403, 480, 486]), st.integers(0, 3000),
    st.sampled_from([(), (5,), (5, 6)])), max_size=20)


def plain(store: SqliteStore, begin_ms: int, end_ms: int) -> dict[str, Any]:
    """Of the company and its number, by looking at every call by itself."""
    found: dict[str, Any] = {of: dict.fromkeys((*OUTCOMES, "talk", "wait"), 0)
                             for of in ("company", "number")}
    for item in {item.id: item for item, _ in store.counted_calls(1, begin_ms, end_ms)}.values():
        for of in ("company", "number") if item.number else ("company",):
            found[of][item.outcome] += 1
            if item.outcome == "answered":
                found[of]["talk"] += item.talk_ms
                found[of]["wait"] = max(found[of]["wait"], item.wait_ms)
    return found


@settings(deadline=None, max_examples=60)
@given(CALLS, st.lists(st.integers(0, 20), max_size=3), st.integers(0, 90))
def test_calls_are_counted_once(calls: list[tuple[Any, ...]], stops: list[int], cut: int) -> None:
    """However often and whenever they are counted durably; intervals are the whole."""
    store = fresh_store()
    put(store, Company(name="One"))
    number = put(store, Number(tenant=1, e164="+4681000000")).id
    for i, (at, direction, user, answerer, code, talk, groups) in enumerate(calls):
        done = code == 200 and answerer is not None
        started_ms = BEGIN + at * 500_000
        store.add_call(record(
            f"{i}", started_ms, direction=direction, code=code,
            called="+4681000000" if direction == "in" else "+46709998877",
            caller_user=user if direction != "in" else None, answerer=answerer if done else None,
            answered_ms=started_ms + 700 if done else 0, ended_ms=started_ms + 700 + talk,
            rang=(user,) if direction == "in" else ()),
            [Way(kind="group", subject=group) for group in groups])
        if i in stops:
            Counting(store).count_calls()
            store.add_ways(f"{i // 2}", [Way(kind="service", subject=9)])
    begin_ms, end_ms = BEGIN + cut * QUARTER_MS, BEGIN + 300 * QUARTER_MS
    for _ in range(2):
        book = Book(store, 1, end_ms)
        for kind, type_ in (("company", CompanySums), ("number", CallSums), ("group", CallSums),
                            ("user", UserSums)):
            for subject in book.subjects(kind):  # type: ignore[arg-type]
                total = book.total(type_, kind, subject, begin_ms, end_ms)  # type: ignore[arg-type]
                split = book.split(type_, kind, subject,  # type: ignore[arg-type]
                                   range(begin_ms, end_ms + 1, QUARTER_MS))
                assert added(type_, split) == total
        expected = plain(store, begin_ms, end_ms)
        company = book.total(CompanySums, "company", 0, begin_ms, end_ms).directions.values()
        for of, all_sums in (("company", company), ("number", [
                book.total(CallSums, "number", number, begin_ms, end_ms)])):
            counts = expected[of]
            for name in OUTCOMES:
                assert sum(getattr(one, name) for one in all_sums) == counts[name]
            assert sum(one.talk_sum_ms for one in all_sums) == counts["talk"]
            assert max((one.wait_max_ms for one in all_sums), default=0) == counts["wait"]
        while Counting(store).count_calls():
            pass
        assert store.figures_due() == []
    store.close()


def test_a_call_that_changes_later_is_counted_as_it_is() -> None:
    """A leg comes after its quarter was counted, on a day that is kept as a whole."""
    store = fresh_store()
    put(store, Company(name="One"))
    store.add_call(record("a", BEGIN, rang=(1,), answered_ms=BEGIN + 5, code=200),
                   [Way(kind="service", subject=9)])
    store.add_call(record("b", BEGIN + QUARTER_MS))
    while Counting(store).count_calls():
        pass
    for keep in (False, True):
        store.add_call(record("leg", BEGIN + 9, conversation="a", answerer=1,
                              answered_ms=BEGIN + 4000))
        if keep:
            Counting(store).count_calls()
        found = Book(store, 1, BEGIN).total(CompanySums, "company", 0, BEGIN - DAY_MS,
                                            BEGIN + DAY_MS).directions["in"]
        assert (found.offered, found.answered, found.service, found.missed) == (2, 1, 0, 1)
        assert found.wait_max_ms == 4000
    store.close()


def test_a_call_that_comes_while_its_quarter_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quarter stays due, and what is told of it is right."""
    store = fresh_store()
    put(store, Company(name="One"))
    store.add_call(record("a", BEGIN))
    remove = store.remove_figures

    def late(*arguments: Any) -> list[int]:
        monkeypatch.undo()
        store.add_call(record("b", BEGIN))
        return remove(*arguments)

    monkeypatch.setattr(store, "remove_figures", late)
    for due in (1, 0):
        Counting(store).count_calls()
        assert len(store.figures_due()) == due
        found = Book(store, 1, BEGIN).total(CompanySums, "company", 0, BEGIN, BEGIN + DAY_MS)
        assert found.directions["in"].offered == 2
    store.close()


def test_of_a_user() -> None:
    store = fresh_store()
    for name in ("One", "Two"):
        put(store, Company(name=name))
    for i, fields in enumerate((
            {"rang": (1, 2), "answerer": 1, "answered_ms": BEGIN + 1005, "ended_ms": BEGIN + 9005},
            {"rang": (1, 2)}, {"rang": (1,), "code": 486},
            {"rang": (1,), "code": 487, "ended_by": "cancelled"},
            {"direction": "out", "called": "+46709998877", "caller_user": 1, "answered_ms": BEGIN
             + 8000, "code": 200},
            {"direction": "internal", "called": "102", "caller_user": 1, "rang": (2,)})):
        store.add_call(record(f"{i}", BEGIN + i, **fields))
    store.add_call(answered("other", BEGIN, tenant=2, answerer=1))
    book = Book(store, 1, BEGIN)
    anna, bo = (reports.of_user(book, user, "", period_of(PeriodQuery(
        begin=BEGIN, end=BEGIN + DAY_MS), BEGIN, "UTC")).total for user in (1, 2))
    assert (anna.received.offered, anna.received.answered, anna.received.missed) == (4, 1, 2)
    assert (anna.received.abandoned, anna.elsewhere, anna.dialled.answered) == (1, 0, 1)
    assert (anna.received.wait_mean_ms, anna.received.talk_mean_ms) == (1005, 8000)
    assert (anna.internal_dialled.missed, anna.internal_received.offered) == (1, 0)
    assert (bo.elsewhere, bo.received.missed, bo.internal_received.missed) == (1, 1, 1)
    assert bo.dialled.wait_mean_ms is None
    store.close()


def test_too_much_to_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only while the keeper is not at work."""
    store = fresh_store()
    monkeypatch.setattr(books, "MAX_DUE", 2)
    monkeypatch.setattr(books, "MAX_EVENTS", 2)
    monkeypatch.setattr(books, "PAGE", 1)
    for i in range(3):
        store.add_call(record(f"{i}", BEGIN + i * QUARTER_MS))
    with pytest.raises(Problem) as caught:
        Book(store, 1, BEGIN).total(CompanySums, "company", 0, BEGIN, BEGIN + DAY_MS)
    assert (caught.value.status, caught.value.code) == (503, "busy")
    store.add_events([Event(tenant=1, at_ms=1, kind="x")] * 2)
    with pytest.raises(Problem) as caught:
        Book(store, 1, BEGIN)
    assert (caught.value.status, caught.value.code) == (503, "busy")
    assert not Counting(store).count_events() and not Counting(store).count_calls()
    Book(store, 1, BEGIN).total(CompanySums, "company", 0, BEGIN, BEGIN + DAY_MS)
    store.close()


def test_definitions_are_complete() -> None:
    """Every figure has one, and nothing else has."""
    own = {"from_ms", "to_ms"}
    assert set(CALL_DEFINITIONS["calls"]) == set(CallFigures.__struct_fields__)
    assert set(CALL_DEFINITIONS["company"]) == set(CompanyPeriod.__struct_fields__) - own
    assert set(CALL_DEFINITIONS["user"]) == set(UserPeriod.__struct_fields__) - own
    assert set(UserSums.__struct_fields__) == set(UserPeriod.__struct_fields__) - own
    assert set(NOW_DEFINITIONS) == set(QueueNow.__struct_fields__)
    assert call_figures(CallSums()).talk_mean_ms is None


# -- what is answered ----------------------------------------------------------------------------

class World:
    """A company with two queues and two people, another company, and who asks."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore(folder / "vaxel.db")
        self.store.migrate()
        self.tenant, self.other = (put(self.store, Company(name=name)).id for name in ("A", "B"))
        self.sales, self.support = (put(self.store, Service(
            tenant=self.tenant, name=name, settings=Queue())).id for name in ("Sales", "Support"))
        self.anna, self.bo = (put(self.store, User(tenant=self.tenant, name=name)).id
                              for name in ("Anna", "Bo"))
        put(self.store, QueueMember(tenant=self.tenant, service=self.sales, user=self.anna))
        put(self.store, QueueMember(tenant=self.tenant, service=self.support, user=self.bo))
        self.number = put(self.store, Number(tenant=self.tenant, e164="+4681000000")).id
        self.group = put(self.store, RingGroup(tenant=self.tenant, name="Desk")).id
        self.statistics = Aside(folder / "vaxel.db", "figures")

    def close(self) -> None:
        """Give everything back."""
        self.statistics.close()
        self.store.close()

    def say(self, at_ms: int, what: str, **data: int) -> None:
        """An event of a queue."""
        self.store.add_events([Event(tenant=self.tenant, at_ms=at_ms, kind="queue",
                                     data={"what": what, **data})])

    def ask(self, handler: Any, query: Any = None, queues: tuple[int, ...] | None = None,
            now_ms: int = BEGIN, **ids: int) -> Any:
        """What a handler answers."""
        def visible(table: str, id_: int) -> Any:
            row: Any = self.store.get(table, id_)
            if row.tenant != self.tenant:
                raise Problem(404, "not_found", "")
            return row

        return asyncio.run(handler(SimpleNamespace(
            tenant=self.tenant, store=self.store, query=query or PeriodQuery(), now_ms=now_ms,
            who=SimpleNamespace(queues=queues), id=ids.__getitem__, visible=visible,
            parts=SimpleNamespace(statistics=self.statistics))))

    def refused(self, status: int, *arguments: Any, **more: Any) -> None:
        """It answers with that status."""
        with pytest.raises(Problem) as caught:
            self.ask(*arguments, **more)
        assert caught.value.status == status


@pytest.fixture(name="world")
def built(tmp_path: Path) -> Iterator[World]:
    """Anew for each test: it writes."""
    world = World(tmp_path)
    yield world
    world.close()


def test_the_supervisors_view(world: World) -> None:
    """The last four hours of all queues, in one answer."""
    hour = 3_600_000
    for caller, at_ms, waited_ms in ((1, BEGIN - 5 * hour, 9000), (2, BEGIN - 2 * hour, 4000),
                                     (3, BEGIN - hour, 8000)):
        there = {"queue": world.sales, "caller": caller}
        world.say(at_ms, "entered", x=1, **there)
        world.say(at_ms + waited_ms, "answered", agent=world.anna, x=waited_ms, **there)
    world.say(BEGIN - 60_000, "entered", queue=world.sales, caller=4, x=1)
    world.say(BEGIN - 50_000, "left", queue=world.sales, caller=4, x=Leave.ABANDONED, y=10_000)
    world.say(BEGIN - 40_000, "entered", queue=world.sales, caller=5, x=1)
    world.say(BEGIN - 30_000, "entered", queue=world.sales, caller=6, x=1)
    for _ in range(2):
        found = world.ask(routes.now, NowQuery())
        assert (found.from_ms, found.to_ms) == (BEGIN - 4 * hour, BEGIN)
        assert found.items == [
            QueueNow(queue=world.sales, name="Sales", waiting=2, longest_wait_ms=40_000,
                     last_wait_ms=8000, wait_mean_ms=6000, offered=5, answered=2, abandoned=1),
            QueueNow(queue=world.support, name="Support", waiting=0, longest_wait_ms=0,
                     last_wait_ms=None, wait_mean_ms=None, offered=0, answered=0, abandoned=0)]
        Counting(world.store).count_events()
    assert [one.queue for one in world.ask(routes.now, NowQuery(), (world.support,)).items] \
        == [world.support]
    later = world.ask(routes.now, NowQuery(hours=1), now_ms=BEGIN + 2 * hour).items[0]
    assert (later.last_wait_ms, later.waiting) == (None, 2)
    sheet = world.ask(routes.now, NowQuery(format="csv"))
    rows = list(csv.DictReader(io.StringIO(sheet.body.decode(), newline="")))
    assert [(row["name"], row["waiting"], row["last_wait_ms"]) for row in rows] \
        == [("Sales", "2", "8000"), ("Support", "0", "")]


def test_of_queues_and_agents(world: World) -> None:
    world.say(BEGIN, "logged_in", queue=world.sales, agent=world.anna)
    world.say(BEGIN + 5, "entered", queue=world.sales, caller=1, x=1)
    world.say(BEGIN + 1005, "answered", queue=world.sales, caller=1, agent=world.anna, x=1000)
    query = PeriodQuery(begin=BEGIN, end=BEGIN + DAY_MS, interval="hour")
    one = world.ask(routes.of_queue, query, queue=world.sales)
    assert (one.name, one.total.answered, len(one.items)) == ("Sales", 1, 24)
    assert [period.answered for period in one.items] == [1] + [0] * 23
    everything = world.ask(routes.queues, query)
    assert [(found.name, found.answered) for found in everything.items] \
        == [("Sales", 1), ("Support", 0)]
    found = world.ask(routes.of_agent, query, user=world.anna)
    assert (found.total.answered, [share.name for share in found.total.queues]) == (1, ["Sales"])
    assert [one.name for one in world.ask(routes.agents, query).items] == ["Anna", "Bo"]
    whole = msgspec.json.decode(msgspec.json.encode(found))
    assert whole["total"]["queues"][0]["answered"] == 1 and whole["definitions"]["member"]
    for handler, ids, count in ((routes.of_queue, {"queue": world.sales}, 24),
                                (routes.queues, {}, 48), (routes.agents, {}, 48),
                                (routes.of_agent, {"user": world.anna}, 24)):
        sheet = world.ask(handler, msgspec.structs.replace(query, format="csv"), **ids)
        rows = list(csv.DictReader(io.StringIO(sheet.body.decode(), newline="")))
        assert len(rows) == count and sum(int(row["answered"]) for row in rows) == 1
        assert sheet.headers["content-disposition"].startswith("attachment")


def test_a_supervisor_sees_the_own_queues(world: World) -> None:
    mine = (world.sales,)
    assert [one.queue for one in world.ask(routes.queues, queues=mine).items] == [world.sales]
    assert [one.agent for one in world.ask(routes.agents, queues=mine).items] == [world.anna]
    world.ask(routes.of_queue, queues=mine, queue=world.sales)
    world.ask(routes.of_agent, queues=mine, user=world.anna)
    world.refused(404, routes.of_queue, queues=mine, queue=world.support)
    world.refused(404, routes.of_agent, queues=mine, user=world.bo)
    for handler, ids in ((routes.of_company, {}), (routes.of_number, {"number": world.number}),
                         (routes.of_group, {"group": world.group}),
                         (routes.of_user, {"user": world.anna})):
        world.refused(403, handler, queues=mine, **ids)


def test_another_companys_things_are_not_there(world: World) -> None:
    other = world.other
    queue = put(world.store, Service(tenant=other, name="Q", settings=Queue())).id
    user = put(world.store, User(tenant=other, name="X")).id
    number = put(world.store, Number(tenant=other, e164="+4682000000")).id
    group = put(world.store, RingGroup(tenant=other, name="X")).id
    for handler, ids in ((routes.of_queue, {"queue": queue}), (routes.of_agent, {"user": user}),
                         (routes.of_user, {"user": user}), (routes.of_number, {"number": number}),
                         (routes.of_group, {"group": group})):
        world.refused(404, handler, **ids)


def test_of_calls(world: World) -> None:
    """The company, a number, a group and a user, kept or not."""
    for i in range(3):
        world.store.add_call(CallRecord(
            uid=f"{i}", tenant=world.tenant, direction="in", caller="+46701112233",
            called="+4681000000", started_ms=BEGIN + i * 3_600_000, rang=(world.anna,),
            answered_ms=BEGIN + i * 3_600_000 + 4000 if i else 0, answerer=world.anna if i else
            None, ended_ms=BEGIN + i * 3_600_000 + 10_000, code=200 if i else 480),
            [Way(kind="group", subject=world.group)])
    query = PeriodQuery(begin=BEGIN, end=BEGIN + 4 * 3_600_000, interval="hour")
    for _ in range(2):
        company = world.ask(routes.of_company, query)
        assert [one.directions.get("in", CallFigures(wait_mean_ms=0, talk_mean_ms=0)).offered
                for one in company.items] == [1, 1, 1, 0]
        number = world.ask(routes.of_number, query, number=world.number)
        assert (number.name, number.total.offered, number.total.answered, number.total.missed,
                number.total.wait_mean_ms, number.total.talk_mean_ms) \
            == ("+4681000000", 3, 2, 1, 4000, 6000)
        group = world.ask(routes.of_group, query, group=world.group).total
        assert (group.offered, group.went_on, group.missed) == (3, 2, 1)
        user = world.ask(routes.of_user, query, user=world.anna)
        assert (user.total.received.answered, user.total.received.missed) == (2, 1)
        sheet = world.ask(routes.of_user, msgspec.structs.replace(query, format="csv"),
                          user=world.anna).body.decode()
        rows = list(csv.DictReader(io.StringIO(sheet, newline="")))
        assert [row["received.answered"] for row in rows] == ["0", "1", "1", "0"]
        Counting(world.store).count_calls()
