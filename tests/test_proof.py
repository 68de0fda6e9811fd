"""Proof at save: hours against the kernel, what is found and what is refused, and loops against a
walk that tries everything."""

import datetime
import itertools
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from api.http.errors import Problem
from api.proof.hours import DAY_S, Year, bounds_of, in_words
from api.proof.proof import Finding, Proof, prove, refuse
from routing_core.codes import Cause, Reason, Source
from routing_core.kernel import Kernel
from routing_core.snapshot import Snapshot
from store import SqliteStore, model
from store.model import (
    CallbackMenu,
    Choice,
    Device,
    Forward,
    Marks,
    Member,
    Menu,
    Message,
    Number,
    Overflow,
    Prompt,
    Queue,
    QueueEntry,
    QueueMember,
    RingGroup,
    Row,
    Schedule,
    ScheduleRule,
    Service,
    Target,
    Tenant,
    User,
)
from store.rows import table_of
from tests.exchange import Company, Exchange
from tests.oracle import World, schedule_open
from tests.test_oracle import NOWS, OUTSIDE, PLANS, Maker, base_of, live_of

Tables = dict[str, dict[int, Row]]

STOCKHOLM: Final = ZoneInfo("Europe/Stockholm")
#: A Monday.
NOW: Final = int(datetime.datetime(2026, 11, 2, 7, 0, 30, tzinfo=STOCKHOLM).timestamp())
NUMBER: Final = "+46812345678"
OFFICE: Final = (ScheduleRule(kind="weekly", open=True, weekdays=(0, 1, 2, 3, 4), start=480,
                              end=1020),
                 ScheduleRule(kind="holiday", open=False, priority=10))
OPEN: Final = ScheduleRule(kind="daily", open=True)


def local(text: str) -> int:
    """Unix seconds of a time in Stockholm."""
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=STOCKHOLM).timestamp())


# -- hours ----------------------------------------------------------------------------------------

def is_open(schedule: Schedule) -> Any:
    """What the kernel says of a time."""
    tenant = Tenant(id=1, name="t")
    trunk = model.Trunk(id=1, name="k", host="h", tenant=None)
    number = Number(id=1, tenant=1, e164=NUMBER, schedule=schedule.id,
                    target=Target(kind="busy"))
    world = World(PLANS, {"tenant": [tenant], "trunk": [trunk], "number": [number],
                          "schedule": [schedule]})
    kernel = Kernel(Snapshot(base_of(world)), live_of(world, NOW))

    def ask(now: int) -> bool:
        decision = kernel.decide(Source.TRUNK, 1, NUMBER, OUTSIDE[1], now, 1, None, None,
                                 Cause.FIRST)
        assert decision.reason in (Reason.BUSY_TARGET, Reason.CLOSED_HOURS)
        return bool(decision.reason == Reason.BUSY_TARGET)

    return ask


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32), now=st.sampled_from(NOWS))
def test_hours_are_the_kernels(seed: int, now: int) -> None:
    chance = Random(seed)
    maker = Maker(chance, 1, now)
    schedule = Schedule(
        id=1, tenant=1, name="s", country=chance.choice(("SE", "FI")),
        time_zone=chance.choice(("Europe/Stockholm", "Europe/Helsinki", "Europe/London", "UTC")),
        state=chance.choice(("auto",) * 8 + ("open", "closed")),
        rules=tuple(maker.rule() for _ in range(chance.randint(0, 6))))
    kernel_says, year = is_open(schedule), Year([schedule], now)
    bounds = bounds_of(schedule, now // DAY_S, 367)
    stretches = list(year.stretches(year.open(1)))
    moments = [chance.randrange(year.start, year.end) for _ in range(300)]
    edges = [*bounds, *itertools.chain(*stretches), *NOWS]
    for edge in chance.sample(edges, min(len(edges), 100)):
        moments += [edge - 60, edge - 1, edge, edge + 1, edge + 3599, edge + 3600]
    for at in moments:
        if not year.start <= at < year.end:
            continue
        said = kernel_says(at)
        assert said == any(start <= at < end for start, end in stretches), at
        assert said == bool(sum(bound <= at for bound in bounds) % 2), at
        assert said == bool(year.at(at) & year.open(1)), at


def test_situations_of_several_schedules() -> None:
    """Combined with &, they are those of the single schedules."""
    chance = Random(5)
    maker = Maker(chance, 1, NOW)
    rows = [Schedule(id=i, tenant=1, name="s", rules=tuple(maker.rule() for _ in range(3)),
                     time_zone=zone) for i, zone in enumerate(
                         ("Europe/Stockholm", "Europe/Helsinki", "UTC", "Europe/London"), 1)]
    year = Year(rows, NOW)
    assert year.count > 4
    for at in (chance.randrange(year.start, year.end) for _ in range(3000)):
        assert year.at(at) & year.always
        for row in rows:
            assert bool(year.at(at) & year.open(row.id)) == schedule_open(row, at)
    both = year.open(1) & ~year.open(2)
    first = year.first(both)
    assert schedule_open(rows[0], first) and not schedule_open(rows[1], first)
    assert not any(schedule_open(rows[0], at) and not schedule_open(rows[1], at)
                   for at in range(year.start, first, 60))


def test_hours_in_words() -> None:
    year = Year([Schedule(id=1, tenant=1, name="s", rules=(
        *OFFICE, ScheduleRule(kind="dates", open=True, priority=20, start=600, end=660,
                              from_date="2026-12-25", to_date="2026-12-25")))], NOW)
    closed = year.always & ~year.open(1)
    words = in_words(year.stretches(closed), "Europe/Stockholm", year.start, year.end)
    assert words[:2] == ["Mon-Fri 00:00-08:00, 17:00-24:00", "Sat-Sun 00:00-24:00"]
    assert "2026-12-25 00:00-10:00, 11:00-24:00" in words
    assert "2027-01-06 00:00-24:00" in words
    assert not any(word.startswith("2026-11-02") for word in words)


# -- a company ------------------------------------------------------------------------------------

def to(service: int) -> Target:
    return Target(kind="service", service=service)


def schedule(id_: int, *rules: ScheduleRule, **fields: Any) -> Schedule:
    return Schedule(id=id_, tenant=1, name=f"S{id_}", rules=rules, **fields)


def service(id_: int, row: model.ServiceSettings, **fields: Any) -> Service:
    return Service(id=id_, tenant=1, name=f"Q{id_}", settings=row, **fields)


def number(target: Target | None, **fields: Any) -> Number:
    return Number(**{"id": 1, "tenant": 1, "e164": NUMBER, "target": target} | fields)


def queue(id_: int, members: int = 1, **fields: Any) -> list[Row]:
    """A queue of which Anna is a member; fields of Overflow, schedule, state, closures."""
    own = {name: fields.pop(name) for name in ("schedule", "state", "closures") if name in fields}
    reasons = {"night": to(90), "no_agents": to(90)} | fields
    return [service(id_, Queue(overflow=Overflow(**reasons), **own)),
            *(QueueMember(id=id_ * 10 + i, tenant=1, service=id_, user=1) for i in range(members))]


def tables_of(*rows: Row | list[Row]) -> Tables:
    """With Anna (1), who has a telephone, Bo (2), who has none, and the message Q90."""
    found: Tables = {}
    for row in itertools.chain(
            (Tenant(id=1, name="t"), User(id=1, tenant=1, name="Anna", extension="101"),
             User(id=2, tenant=1, name="Bo"), Prompt(id=1, tenant=1, name="p", text="Hej"),
             Prompt(id=2, tenant=1, name="empty"),
             Device(id=1, tenant=1, user=1, name="d", username="anna", secret="a" * 26),
             service(90, Message(prompt=1))),
            *(row if isinstance(row, list) else [row] for row in rows)):
        assert row.id not in found.setdefault(table_of(row), {})
        found[table_of(row)][row.id] = row
    return found


def proof(*rows: Row | list[Row], now: int = NOW) -> Proof:
    return prove(tables_of(*rows), 1, now)


def only(findings: tuple[Finding, ...], code: str) -> Finding:
    """The only one, which has this code."""
    assert [finding.code for finding in findings] == [code], findings
    return findings[0]


ANNA: Final = Target(kind="user", user=1)


def test_a_good_company() -> None:
    found = proof(schedule(1, *OFFICE), queue(1, schedule=1),
                  number(to(1), schedule=1, closed_target=to(90)))
    assert (found.errors, found.warnings, found.notes) == ((), (), ())
    assert found.checked["number"] == found.checked["schedule"] == 1
    assert found.start == NOW - 30 and found.end >= NOW + 365 * DAY_S


# -- loops ----------------------------------------------------------------------------------------

def test_a_loop_on_a_holiday() -> None:
    """One queue is closed at night, the other on holidays: nobody meets this on a working day."""
    found = proof(schedule(1, *OFFICE), schedule(2, OPEN, OFFICE[1]), number(to(1)),
                  queue(1, schedule=1, night=to(2)), queue(2, schedule=2, night=to(1)))
    loop = only(found.errors, "loop_without_wait")
    assert loop.example is not None
    assert loop.example.unix == local("2026-12-24 00:00")
    assert loop.example.dialled == NUMBER and loop.example.at == "2026-12-24T00:00+01:00"
    assert str(loop.example) == (
        f"{NUMBER} at 2026-12-24 00:00 -> number {NUMBER} -> queue Q1 is closed for the night -> "
        "queue Q2 is closed for the night -> queue Q1")
    assert (loop.table, loop.id, loop.field) == ("service", 1, "settings.overflow.night")
    assert set(loop.rows) == {("service", 1), ("service", 2), ("schedule", 1), ("schedule", 2)}


@pytest.mark.parametrize(("day", "minutes", "first"), [
    ("2027-10-31", (150, 160), "2027-10-31 02:30"),
    ("2027-03-28", (119, 181), "2027-03-28 01:59")])
def test_a_loop_in_the_night_of_the_change(day: str, minutes: tuple[int, int],
                                           first: str) -> None:
    """In the hour that comes twice, and around the one that is left out."""
    start, end = minutes
    closed = ScheduleRule(kind="dates", open=False, priority=5, from_date=day, to_date=day,
                          start=start, end=end)
    now = local(f"{day} 00:00") - 300 * DAY_S
    found = proof(schedule(1, OPEN, closed), number(to(1)), queue(1, schedule=1, night=to(2)),
                  service(2, QueueEntry(queue=1)), now=now)
    loop = only(found.errors, "loop_without_wait")
    assert loop.example is not None and loop.example.unix == local(first)


@pytest.mark.parametrize(("day", "first"), [
    ("2026-11-02", "2026-11-02 18:00"), ("2026-11-03", "2026-11-03 18:00"),
    ("2027-11-02", "2027-11-02 18:00"), ("2026-11-01", "")])
def test_a_loop_in_one_minute_of_the_year(day: str, first: str) -> None:
    """Today, tomorrow, in a year; not yesterday."""
    closed = ScheduleRule(kind="dates", open=False, priority=5, from_date=day, to_date=day,
                          start=1080, end=1081)
    errors = proof(schedule(1, OPEN, closed), number(to(1)), queue(1, schedule=1, night=to(2)),
                   service(2, QueueEntry(queue=1))).errors
    assert [one.example and one.example.unix for one in errors] == (
        [local(first)] if first else [])


def test_what_was_this_morning_is_over() -> None:
    closed = ScheduleRule(kind="dates", open=False, priority=5, from_date="2026-11-02",
                          to_date="2026-11-02", start=419, end=420)
    rows = (schedule(1, OPEN, closed), number(to(1)), queue(1, schedule=1, night=to(1)))
    assert proof(*rows).errors == ()
    only(proof(*rows, now=NOW - 60).errors, "loop_without_wait")


def test_the_call_that_shows_it_gets_there() -> None:
    """By a number that is open then; by none, when none is."""
    rows = [schedule(1, *OFFICE), schedule(2, OPEN), number(to(1), schedule=1),
            *queue(1, schedule=1, night=to(2)), service(2, QueueEntry(queue=1))]
    loop = only(proof(rows, number(to(2), id=2, e164="+46812345679", schedule=2)).errors,
                "loop_without_wait")
    assert str(loop.example) == (
        "+46812345679 at 2026-11-02 07:00 -> number +46812345679 is open -> service Q2 -> "
        "queue Q1 is closed for the night -> service Q2")
    loop = only(proof(rows).errors, "loop_without_wait")
    assert str(loop.example).startswith("a call at 2026-11-02 07:00 -> ")


def test_no_loop_in_the_hour_that_is_left_out() -> None:
    closed = ScheduleRule(kind="dates", open=False, priority=5, from_date="2027-03-28",
                          to_date="2027-03-28", start=120, end=180)
    found = proof(schedule(1, OPEN, closed), number(to(1)), queue(1, schedule=1, night=to(2)),
                  service(2, QueueEntry(queue=1)))
    assert found.errors == ()


def test_no_loop_when_they_are_never_closed_together() -> None:
    morning, evening = (ScheduleRule(kind="daily", open=True, start=a, end=b)
                        for a, b in ((0, 720), (720, 1440)))
    rows = [*queue(1, schedule=1, night=to(2)), *queue(2, schedule=2, night=to(1)), number(to(1))]
    assert proof(rows, schedule(1, morning), schedule(2, evening)).errors == ()
    late = replace(evening, start=721)
    loop = only(proof(rows, schedule(1, morning), schedule(2, late)).errors, "loop_without_wait")
    assert loop.example is not None and loop.example.unix == local("2026-11-02 12:00")


LOOPS: Final[dict[str, tuple[Row | list[Row], ...]]] = {
    "numbers": (schedule(1, *OFFICE), number(ANNA, schedule=1, closed_target=Target(
        kind="number", text="+46812345679")), number(Target(kind="number", text=NUMBER), id=2,
                                                     e164="+46812345679")),
    "rush": (number(to(1)), queue(1, rush=to(2), rush_length=Marks(high=5, low=2)),
             queue(2, rush=to(1), rush_wait_s=Marks(high=60, low=30))),
    "no agents": (number(to(1)), queue(1, no_agents=to(2)), queue(2, 0, no_agents=to(1))),
    "by hand": (number(to(1)), queue(1, state="closed", closed=to(2)),
                queue(2, no_agents=to(1))),
    "its own": (number(to(1)), queue(1, no_agents=to(1))),
    "empty groups": (RingGroup(id=1, tenant=1, name="A", nobody=Target(kind="group", group=2)),
                     RingGroup(id=2, tenant=1, name="B", no_answer=Target(kind="group", group=1)),
                     number(Target(kind="group", group=1))),
    "forwarding": (Forward(id=1, tenant=1, user=1, event="always",
                           target=Target(kind="number", text=NUMBER)), number(ANNA)),
    "no telephone": (Forward(id=1, tenant=1, user=2, event="unreachable", target=to(1)),
                     queue(1, no_agents=Target(kind="user", user=2))),
    "silent": (service(1, Message(prompt=2, next=Target(kind="number", text=NUMBER))),
               number(to(1))),
    "closure": (schedule(1, OPEN), schedule(2, OPEN, ScheduleRule(
        kind="dates", open=False, priority=9, from_date="2027-02-01", to_date="2027-02-01",
        start=600, end=601)), number(to(1)),
        queue(1, schedule=1, closures=(2,), night=Target(kind="number", text=NUMBER))),
}


@pytest.mark.parametrize("rows", LOOPS.values(), ids=LOOPS)
def test_loops(rows: tuple[Row | list[Row], ...]) -> None:
    found = proof(*rows)
    assert_loops(tables_of(*rows), only(found.errors, "loop_without_wait"))
    assert not any(finding.code.startswith("loop") for finding in found.warnings)


WAITS: Final[dict[str, tuple[Row | list[Row], ...]]] = {
    "timed": (number(to(1)), queue(1, timed_s=60, timed=to(2)), queue(2, timed_s=60, timed=to(1))),
    "message": (number(to(1)), queue(1, no_agents=to(3)), service(3, Message(prompt=1,
                                                                            next=to(1)))),
    "silent menu": (number(to(1)), service(1, Menu(
        prompt=2, choices=(Choice(key="1", target=ANNA),), otherwise=to(1)))),
    "group that rings": (RingGroup(id=1, tenant=1, name="A",
                                   no_answer=Target(kind="group", group=1)),
                         Member(id=1, tenant=1, ring_group=1, user=1),
                         number(Target(kind="group", group=1))),
    "message of audio": (number(to(1)), Prompt(id=3, tenant=1, name="p", sha256="0" * 64),
                         service(1, Message(prompt=3, next=to(1)))),
    "calls to a mobile number": (number(ANNA), Forward(
        id=1, tenant=1, user=1, event="always", called="mobile",
        target=Target(kind="number", text=NUMBER))),
    "colleagues": (Forward(id=1, tenant=1, user=1, event="busy", target=Target(
        kind="user", user=3)), User(id=3, tenant=1, name="Cia"), Device(
        id=3, tenant=1, user=3, name="d", username="cia", secret="a" * 26), Forward(
        id=2, tenant=1, user=3, event="busy", target=ANNA), number(ANNA)),
}


@pytest.mark.parametrize("rows", WAITS.values(), ids=WAITS)
def test_a_loop_with_a_wait_is_allowed(rows: tuple[Row | list[Row], ...]) -> None:
    found = proof(*rows)
    assert found.errors == ()
    assert not any(finding.code.startswith("loop") for finding in found.warnings)


def test_a_loop_when_everybody_is_busy_is_told() -> None:
    found = proof(number(to(1)), queue(1, no_agents=Target(kind="group", group=1)),
                  RingGroup(id=1, tenant=1, name="A", no_answer=to(1)),
                  Member(id=1, tenant=1, ring_group=1, user=1))
    assert found.errors == ()
    assert only(found.warnings, "loop_when_nobody_is_free").example is not None


# -- other errors ---------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["rush_length", "rush_wait_s", "rush_estimate_s"])
@pytest.mark.parametrize(("high", "low", "right"), [(5, 4, True), (5, 5, False), (4, 5, False)])
def test_marks(name: str, high: int, low: int, right: bool) -> None:
    found = proof(number(to(1)), queue(1, rush=to(90), **{name: Marks(high=high, low=low)}))
    if right:
        assert found.errors == ()
    else:
        assert only(found.errors, "marks_order").field == f"settings.overflow.{name}.high"


def test_a_queue_that_is_never_open() -> None:
    night, day = (ScheduleRule(kind="daily", open=True, start=a, end=b)
                  for a, b in ((1020, 480), (480, 1020)))
    rows = [number(to(1)), *queue(1, schedule=1, closures=(2,)), schedule(1, day)]
    error = only(proof(rows, schedule(2, night)).errors, "queue_never_open")
    assert set(error.rows) == {("service", 1), ("schedule", 1), ("schedule", 2)}
    assert proof(rows, schedule(2, replace(night, end=481))).errors == ()


def test_a_queue_that_is_closed_by_hand_is_no_error() -> None:
    closed = schedule(1, OPEN, state="closed")
    assert proof(number(to(1)), queue(1, schedule=1), closed).errors == ()
    assert proof(number(to(1)), queue(1, state="closed", closed=to(90))).errors == ()


def test_a_queue_whose_time_is_over() -> None:
    """It is told, not refused."""
    past = ScheduleRule(kind="dates", open=True, from_date="2026-05-01", to_date="2026-05-03")
    found = proof(number(to(1)), queue(1, schedule=1), schedule(1, past))
    assert found.errors == ()
    assert only(found.warnings, "queue_never_open").id == 1
    assert only(found.notes, "schedule_past").id == 1


def test_a_queue_without_members_and_way_out() -> None:
    error = only(proof(number(to(1)), queue(1, 0, no_agents=None)).errors, "queue_without_way_out")
    assert error.example is not None
    assert str(error.example).endswith(
        f"number {NUMBER} -> queue Q1 has no agents -> the call ends")
    assert proof(queue(1, 0, no_agents=None)).errors == ()  # nothing leads there yet
    found = proof(number(to(1)), queue(1, 0))
    assert found.errors == () and only(found.warnings, "queue_without_members").id == 1


# -- warnings -------------------------------------------------------------------------------------

def test_unanswered_hours() -> None:
    found = only(proof(schedule(1, *OFFICE), number(ANNA, schedule=1)).warnings,
                 "unanswered_hours")
    assert (found.table, found.id, found.field) == ("number", 1, "closed_target")
    assert found.hours[:2] == ("Mon-Fri 00:00-08:00, 17:00-24:00", "Sat-Sun 00:00-24:00")
    assert found.example is not None
    assert str(found.example) == (
        f"{NUMBER} at 2026-11-02 07:00 -> number {NUMBER} is closed -> the call ends")


@pytest.mark.parametrize(("target", "closed"), [
    (ANNA, Target(kind="busy")), (to(1), to(1)), (to(2), to(1))])
def test_who_is_led_on_and_not_answered(target: Target, closed: Target) -> None:
    """At the end of the way there is nobody: busy, or a night without a target."""
    found = proof(schedule(1, *OFFICE), number(target, schedule=1, closed_target=closed),
                  queue(1, schedule=1, night=None), service(2, QueueEntry(queue=1)))
    hours = next(one for one in found.warnings if one.code == "unanswered_hours")
    assert hours.hours[0] == "Mon-Fri 00:00-08:00, 17:00-24:00"


DEAD: Final[dict[str, tuple[str, tuple[Row | list[Row], ...]]]] = {
    "no target": ("target", (number(None),)),
    "no telephone": ("target", (number(Target(kind="user", user=2)),)),
    "disabled": ("settings.choices[0].target", (
        User(id=3, tenant=1, name="Cia", enabled=False), number(to(1)), service(1, Menu(
            prompt=1, otherwise=to(90),
            choices=(Choice(key="1", target=Target(kind="user", user=3)),))))),
    "empty group": ("target", (RingGroup(id=1, tenant=1, name="A"),
                               number(Target(kind="group", group=1)))),
    "silence": ("target", (service(1, Message(prompt=2)), number(to(1)))),
}


@pytest.mark.parametrize(("field", "rows"), DEAD.values(), ids=DEAD)
def test_dead_ends(field: str, rows: tuple[Row | list[Row], ...]) -> None:
    found = proof(*rows)
    assert found.errors == ()
    end = only(found.warnings, "dead_end")
    assert end.field == field and end.hours == ("always",)
    assert end.example is not None and end.example.to == "the call ends"
    assert end.example.dialled == NUMBER


def test_a_forwarding_that_does_not_apply_answers_nobody() -> None:
    """Bo has no telephone: nobody finds him busy."""
    found = proof(number(to(1)), service(1, Message(prompt=2, next=Target(kind="user", user=2))),
                  Forward(id=1, tenant=1, user=2, event="busy", target=ANNA))
    assert [one.code for one in found.warnings] == ["dead_end", "unanswered_hours"]
    assert found.warnings[1].example is not None
    assert str(found.warnings[1].example).endswith(
        f"number {NUMBER} -> service Q1 is silent -> user Bo has no telephone -> the call ends")
    led_on = Forward(id=1, tenant=1, user=2, event="unreachable", target=ANNA)
    assert proof(number(Target(kind="user", user=2)), led_on).warnings == ()


def test_a_menu_that_leads_nowhere() -> None:
    found = proof(number(to(1)), service(1, Menu(prompt=1, choices=(
        Choice(key="1", target=Target(kind="busy")),))))
    assert only(found.warnings, "dead_end").field == "settings.choices"


def test_overflow_without_target() -> None:
    found = proof(schedule(1, *OFFICE), number(to(1), schedule=1, closed_target=to(90)), queue(
        1, schedule=1, night=None, no_agents=None, rush_length=Marks(high=9, low=5), timed_s=60,
        attempts=3))
    assert {one.field for one in found.warnings if one.code == "overflow_without_target"} == {
        f"settings.overflow.{name}"
        for name in ("night", "no_agents", "rush", "timed", "no_answer")}
    assert not any(one.code == "unanswered_hours" for one in found.warnings)


def test_a_schedule_that_never_opens() -> None:
    found = proof(schedule(1, ScheduleRule(kind="daily", open=False)))
    assert only(found.warnings, "schedule_never_opens").id == 1
    assert proof(schedule(1, *OFFICE, state="closed")).warnings == ()


def test_what_answers() -> None:
    for row in (CallbackMenu(), model.Mailbox(listeners=(1,)), model.MailboxAccess()):
        assert proof(number(to(1)), service(1, row)).warnings == ()
    assert proof(number(Target(kind="number", text="+46701234567"))).warnings == ()


# -- refusing -------------------------------------------------------------------------------------

@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """With a company in which Q1 leads to Q2 at night, and Q2 to a message."""
    made = SqliteStore(tmp_path / "vaxel.db")
    made.migrate()
    rows = tables_of(schedule(1, *OFFICE), queue(1, schedule=1, night=to(2)), queue(2, schedule=1),
                   number(to(1)))
    order = ("tenant", "user", "device", "prompt", "schedule", "service", "queue_member", "number")
    services = sorted(rows["service"], reverse=True)

    def fill(writer: Any) -> None:
        for table in order:
            for id_ in services if table == "service" else rows[table]:
                writer.create(rows[table][id_])

    made.change("test", 0, "fill", fill)
    yield made
    made.close()


def save(store: SqliteStore, table: str, id_: int, **fields: Any) -> None:
    """A change as the API makes it."""
    def work(writer: Any) -> None:
        writer.replace(replace(writer.get(table, id_), **fields))
        refuse(writer, NOW)

    store.change("test", 0, "save", work)


def test_the_store_is_read_like_tables(store: SqliteStore) -> None:
    tables = store.as_of(store.revision())
    assert prove(store, 1, NOW) == prove(tables, 1, NOW)
    assert prove(store, 1, NOW).checked["service"] == 3


def test_a_change_that_makes_a_loop_is_refused(store: SqliteStore) -> None:
    night = Queue(schedule=1, overflow=Overflow(night=to(1), no_agents=to(90)))
    before = store.revision()
    with pytest.raises(Problem) as caught:
        save(store, "service", 2, settings=night)
    assert (caught.value.status, caught.value.code) == (422, "unsafe_routing")
    assert caught.value.field == "settings.overflow.night"
    assert "loop_without_wait" in caught.value.detail and NUMBER in caught.value.detail
    assert "2026-11-02 07:00" in caught.value.detail
    assert store.revision() == before
    save(store, "service", 2, settings=replace(night, schedule=None))


def test_a_schedule_that_makes_a_loop_is_refused(store: SqliteStore) -> None:
    day, night = (ScheduleRule(kind="daily", open=True, start=a, end=b)
                  for a, b in ((480, 1020), (1020, 480)))

    def work(writer: Any) -> None:
        second = writer.create(Schedule(tenant=1, name="night", rules=(night,)))
        writer.replace(replace(writer.get("schedule", 1), rules=(day,)))
        writer.replace(replace(writer.get("service", 2), settings=Queue(
            schedule=second.id, overflow=Overflow(night=to(1), no_agents=to(90)))))
        refuse(writer, NOW)

    store.change("test", 0, "two that are never closed together", work)
    with pytest.raises(Problem, match="loop_without_wait"):
        save(store, "schedule", 1, rules=(day, OFFICE[1], ScheduleRule(
            kind="yearly", open=False, priority=9, from_date="05-01", to_date="05-02", start=1200,
            end=60)))
        save(store, "schedule", 2, rules=(replace(night, end=479),))


def test_what_was_wrong_before_stands_in_nobodys_way(store: SqliteStore) -> None:
    """A forwarding that a user has set is not refused; nor is what has nothing to do with it."""
    store.change("test", 0, "no proof", lambda writer: writer.create(Forward(
        tenant=1, user=2, event="always", target=Target(kind="user", user=2))))
    assert only(prove(store, 1, NOW).errors, "loop_without_wait").rows == (("user", 2),)
    save(store, "number", 1, target=to(2))
    with pytest.raises(Problem, match="no_agents"):
        store.change("test", 0, "the last member", lambda writer: (
            writer.replace(replace(writer.get("service", 1), settings=Queue(schedule=1))),
            writer.replace(replace(writer.get("number", 1), target=to(1))),
            writer.delete("queue_member", 10), refuse(writer, NOW)))


def test_the_last_member_of_a_queue_without_way_out(store: SqliteStore) -> None:
    save(store, "service", 1, settings=Queue(schedule=1))
    with pytest.raises(Problem, match="queue_without_way_out") as caught:
        store.change("test", 0, "", lambda writer: (
            writer.delete("queue_member", 10), refuse(writer, NOW)))
    assert caught.value.field == "settings.overflow.no_agents"


def test_the_report(exchange: Exchange, company: Company) -> None:
    body = exchange.client.get(f"{company.base}/proof")
    assert set(body) == {"errors", "warnings", "notes", "checked", "start", "end", "took_ms"}
    assert body["errors"] == [] and body["checked"]["number"] >= 0


# -- loops against a walk that tries everything -----------------------------------------------

def moves(rows: Tables, node: tuple[str, int], now: int) -> list[tuple[str, int]]:
    """Where a call that is there may be at once, written from docs/routing.md."""
    def get(table: str) -> list[Any]:
        return list(rows.get(table, {}).values())

    def opened(id_: int | None) -> bool:
        row: Any = rows.get("schedule", {}).get(id_ or 0)
        return row is None or schedule_open(row, now)

    row: Any = rows[node[0]][node[1]]
    phones = {one.user for one in get("device") if one.enabled}
    targets: list[Target | None] = []
    if node[0] == "number":
        targets = [row.target if opened(row.schedule) else row.closed_target]
    elif node[0] == "user" and row.enabled:
        mine = [one for one in get("forward") if one.user == row.id]
        always = [one.target for one in mine if one.event == "always"]
        gone = [one.target for one in mine if one.event == "unreachable" and row.id not in phones]
        targets = always or gone
    elif node[0] == "ring_group":
        members = {one.user for one in get("member") if one.ring_group == row.id}
        if not any(one.enabled for one in get("user") if one.id in members):
            targets = [row.nobody or row.no_answer]
        elif not any(one.enabled and one.id in phones for one in get("user")
                     if one.id in members):
            targets = [row.no_answer]
    elif node[0] == "service":
        match row.settings:
            case QueueEntry():
                return [("service", row.settings.queue)]
            case Message():
                prompt: Any = rows["prompt"][row.settings.prompt]
                targets = [] if prompt.text else [row.settings.next]
            case Queue(overflow=overflow, state=state):
                if state == "closed":
                    targets = [overflow.closed]
                elif state == "auto" and not all(
                        opened(id_) for id_ in (row.settings.schedule, *row.settings.closures)):
                    targets = [overflow.night]
                else:
                    targets = [overflow.no_agents]
                    if overflow.rush_length or overflow.rush_wait_s:
                        targets.append(overflow.rush)
    found = []
    for target in filter(None, targets):
        if target.kind == "number":
            found += [("number", one.id) for one in get("number") if one.e164 == target.text]
        elif target.kind != "busy":
            table = "ring_group" if target.kind == "group" else target.kind
            found.append((table, target.user or target.group or target.service or 0))
    return found


def goes_round(rows: Tables, start: tuple[str, int], now: int) -> bool:
    """Whether a call that is there may be there again without having waited."""
    seen: set[tuple[str, int]] = set()
    waiting = moves(rows, start, now)
    while waiting:
        node = waiting.pop()
        if node == start:
            return True
        if node not in seen:
            seen.add(node)
            waiting += moves(rows, node, now)
    return False


def assert_loops(rows: Tables, finding: Finding) -> None:
    """Its call, walked, really goes round."""
    assert finding.example is not None
    way = [(step.table, step.id) for step in finding.example.steps]
    ring = [row for row in finding.rows if row[0] != "schedule"]
    way = way[-len(ring):]
    assert sorted(way) == sorted(ring)
    for node, after in zip(way, [*way[1:], way[0]], strict=True):
        assert after in moves(rows, node, finding.example.unix), (node, after)


def random_company(chance: Random) -> Tables:
    """A few of everything, at random."""
    one, maybe = chance.choice, lambda p: chance.random() < p

    def target() -> Target | None:
        kind = one(("service",) * 5 + ("group", "number", "user", "busy", ""))
        return {"service": to(chance.randint(1, 5)), "user": Target(kind="user", user=one((2, 3))),
                "group": Target(kind="group", group=chance.randint(1, 2)),
                "number": Target(kind="number", text=f"+4681234567{chance.randint(0, 2)}"),
                "busy": Target(kind="busy"), "": None}[kind]

    def rule() -> ScheduleRule:
        day = f"2027-{one(('03-28', '10-31', '05-17', '02-01'))}"
        return ScheduleRule(
            kind=one(("daily", "weekly", "holiday", "dates", "weekly")), open=maybe(0.6),
            priority=one((0, 1, 2)), start=one((0, 120, 480, 150)), end=one((180, 1020, 1440, 121)),
            weekdays=tuple(chance.sample(range(7), 4)), from_date=day, to_date=day)

    made: list[Row] = [Schedule(
        id=i, tenant=1, name=f"S{i}", time_zone=one(("Europe/Stockholm", "Europe/Helsinki")),
        country=one(("SE", "FI")), rules=tuple(rule() for _ in range(chance.randint(1, 3))))
        for i in range(1, 4)]

    def hours() -> int | None:
        return one((1, 2, 3, None))

    for i in range(3):
        made.append(number(target(), id=i + 1, e164=f"+4681234567{i}", schedule=hours(),
                           closed_target=target()))
    for i in (1, 2):
        made.append(RingGroup(id=i, tenant=1, name=f"G{i}", nobody=target(), no_answer=target()))
        made += [Member(id=i * 10 + user, tenant=1, ring_group=i, user=user)
                 for user in (1, 2) if maybe(0.3)]
    made.append(User(id=3, tenant=1, name="Cia", enabled=maybe(0.8)))
    for user, event in ((2, "unreachable"), (3, "always")):
        if found := target():
            made.append(Forward(id=user, tenant=1, user=user, event=event, target=found))
    for i in range(1, 6):
        kind = chance.random()
        if kind < 0.7:
            made += queue(i, chance.randint(0, 1), schedule=hours(), night=target(),
                          closures=(2,) if maybe(0.2) else (), closed=target(),
                          no_agents=target() if maybe(0.3) else to(90), rush=target(),
                          rush_length=Marks(high=5, low=3) if maybe(0.2) else None,
                          state=one(("auto",) * 6 + ("open", "closed")))
        elif kind < 0.8:
            made.append(service(i, QueueEntry(queue=chance.randint(1, 5))))
        else:
            made.append(service(i, Message(prompt=one((1, 2)), next=target())))
    return tables_of(made)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 1 << 32))
def test_loops_are_found_and_are_there(seed: int) -> None:
    """What the walk meets in the minutes that are looked at, prove() has found; and what it has
    found, the walk meets in the minute that it names."""
    chance = Random(seed)
    rows = random_company(chance)
    found = [one for one in prove(rows, 1, NOW).errors if one.code == "loop_without_wait"]
    for finding in found:
        assert_loops(rows, finding)
    named = {row for finding in found for row in finding.rows}
    days = [local(f"2027-{day} 00:00") for day in ("03-28", "10-31", "05-17", "02-01", "01-06")]
    minutes = [day + chance.randrange(-24, 48) * 1800 for day in days for _ in range(4)]
    minutes += [NOW + chance.randrange(366 * 48 - 48) * 1800 for _ in range(20)]
    for now in minutes:
        for node in ((table, id_) for table in ("number", "user", "ring_group", "service")
                     for id_ in rows.get(table, ())):
            if goes_round(rows, node, now):
                assert node in named, (node, now)
