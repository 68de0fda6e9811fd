"""The contract of the store port for queues: what they name, who is in them, and older files."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlite_utils import Database

from store import BrokenReference, Conflict, SqliteStore, StillReferenced
from store.links import OVERFLOWS, links_of
from store.migrations import migrations
from store.model import (
    AgentMenu,
    Announcements,
    Choice,
    Marks,
    Overflow,
    Queue,
    QueueCallback,
    QueueEntry,
    QueueMember,
    Relaxation,
    Row,
    Schedule,
    Service,
    Skill,
    Target,
    Tenant,
)
from tests.test_store import SIDES, Side, company, embedded, everything, put, remove, swap

PAUSES = ("break", "lunch", "meeting", "training")


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


def full(one: dict[str, Any]) -> Queue:
    """A queue with every field that names something."""
    person = Target(kind="user", user=one["user"])
    return Queue(
        strategy="parallel", tiers_s=(0, 30), weight=3, schedule=one["schedule"],
        closures=(one["schedule"], one["schedule"]), supervisor=one["user"], record=True,
        overflow=Overflow(
            night=person, closed=Target(kind="group", group=one["group"]),
            no_agents=Target(kind="service", service=one["service"]),
            rush=Target(kind="number", text="+46701234567"), timed=person, no_answer=person,
            rush_length=Marks(high=20, low=10), timed_s=600, pauses_present=("lunch",)),
        announcements=Announcements(welcome=one["prompt"], first=one["prompt"],
                                    repeated=one["prompt"], music=one["prompt"], position=True),
        keys=(Choice(key="*", target=person),
              Choice(key="2", target=Target(kind="service", service=one["service"]))),
        callback=QueueCallback(key="1", schedule=one["schedule"], planned=True))


def service(tenant: int, settings: Any, **fields: Any) -> Service:
    """A service's row."""
    return Service(**{"tenant": tenant, "name": "S", "settings": settings} | fields)


def entry(queue: int) -> QueueEntry:
    """A way in that uses every field."""
    return QueueEntry(queue=queue, priority=9, skills=(Skill(name="it", level=5),), relaxations=(
        Relaxation(after_s=30, skills=(Skill(name="it", level=2),)), Relaxation(after_s=90)))


def member(one: dict[str, Any], **fields: Any) -> QueueMember:
    """Anna in the queue."""
    return QueueMember(**{"tenant": one["tenant"], "service": one["queue"], "user": one["user"]}
                       | fields)


def test_every_kind_comes_back(store: SqliteStore) -> None:
    one = company(store, "One")
    for kind, settings in (("queue", full(one)), ("queue", Queue()),
                           ("queue_entry", entry(one["queue"])), ("agent_menu", AgentMenu())):
        made = put(store, service(one["tenant"], settings, extension=None))
        assert store.get("service", made.id) == made and made.settings == settings
        assert made in store.find("service", kind=kind, tenant=one["tenant"])
        assert store.as_of(store.revision())["service"][made.id] == made


def test_every_target_of_a_queue_is_a_link() -> None:
    one = dict.fromkeys(("user", "group", "service", "prompt", "schedule"), 7)
    targets = {field for field, kind in Overflow.__annotations__.items()
               if kind == Target | None}
    assert set(OVERFLOWS) == targets
    assert [(link.field, link.table) for link in links_of(full(one))] == [
        ("settings.schedule", "schedule"), ("settings.closures[0]", "schedule"),
        ("settings.closures[1]", "schedule"), ("settings.announcements.welcome", "prompt"),
        ("settings.announcements.first", "prompt"), ("settings.announcements.repeated", "prompt"),
        ("settings.announcements.music", "prompt"), ("settings.supervisor", "user"),
        ("settings.callback.schedule", "schedule"), ("settings.overflow.night.user", "user"),
        ("settings.overflow.closed.group", "ring_group"),
        ("settings.overflow.no_agents.service", "service"),
        ("settings.overflow.timed.user", "user"), ("settings.overflow.no_answer.user", "user"),
        ("settings.keys[0].target.user", "user"), ("settings.keys[1].target.service", "service")]
    assert [link.field for link in links_of(entry(7))] == ["settings.queue"]
    assert not list(links_of(Queue())) and not list(links_of(AgentMenu()))


@pytest.mark.parametrize("other", ["nothing", "another tenant's"])
def test_references_are_kept(store: SqliteStore, other: str) -> None:
    one, two = company(store, "One"), company(store, "Two")
    bad = dict.fromkeys(two, 9999) if other == "nothing" else two
    targets = [("user", Target(kind="user", user=bad["user"])),
               ("group", Target(kind="group", group=bad["group"])),
               ("service", Target(kind="service", service=bad["queue"]))]
    broken: list[tuple[str, Any]] = [
        (f"overflow.{reason}.{part}", Queue(overflow=Overflow(**{reason: target})))
        for reason in OVERFLOWS for part, target in targets]
    broken += [(f"keys[0].target.{part}", Queue(keys=(Choice(key="1", target=target),)))
               for part, target in targets]
    broken += [(f"announcements.{name}", Queue(announcements=Announcements(
        **{name: bad["prompt"]}))) for name in ("welcome", "first", "repeated", "music")]
    broken += [("schedule", Queue(schedule=bad["schedule"])),
               ("closures[1]", Queue(closures=(one["schedule"], bad["schedule"]))),
               ("callback.schedule", Queue(callback=QueueCallback(schedule=bad["schedule"]))),
               ("supervisor", Queue(supervisor=bad["user"])),
               ("queue", QueueEntry(queue=bad["queue"]))]
    rows: list[tuple[str, Row]] = [(f"settings.{field}", service(one["tenant"], settings))
                                   for field, settings in broken]
    rows += [("service", member(one, service=bad["queue"])),
             ("user", member(one, user=bad["user"]))]
    before = everything(store)
    for field, row in rows:
        with pytest.raises(BrokenReference) as caught:
            put(store, row)
        assert caught.value.field == field
    assert everything(store) == before


def test_what_a_queue_names_stays(store: SqliteStore) -> None:
    one = company(store, "One")
    remove(store, "member", one["member"])
    queue = put(store, service(one["tenant"], full(one), name="Support"))
    for table, name, field in (("user", "user", "keys[0].target.user"),
                               ("ring_group", "group", "overflow.closed.group"),
                               ("service", "service", "keys[1].target.service"),
                               ("prompt", "prompt", "announcements.first"),
                               ("schedule", "schedule", "callback.schedule")):
        with pytest.raises(StillReferenced) as caught:
            remove(store, table, one[name])
        assert f"service 'Support' (settings.{field})" in str(caught.value)
    fields = {pointer.field for pointer in store.pointing_at("schedule", one["schedule"])}
    assert fields == {"settings.schedule", "settings.closures[0]", "settings.closures[1]",
                      "settings.callback.schedule"}
    swap(store, msgspec.structs.replace(queue, settings=Queue()))
    for table, name in (("schedule", "schedule"), ("user", "user"), ("ring_group", "group")):
        remove(store, table, one[name])


def test_a_queue_in_use_stays(store: SqliteStore) -> None:
    one = company(store, "One")
    made = put(store, member(one))
    way_in = put(store, service(one["tenant"], entry(one["queue"]), name="Way in"))
    before = everything(store)
    with pytest.raises(StillReferenced) as caught:
        remove(store, "service", one["queue"])
    assert f"queue_member {made.id} (service)" in str(caught.value)
    assert "service 'Way in' (settings.queue)" in str(caught.value)
    with pytest.raises(StillReferenced, match=rf"queue_member {made.id} \(user\)"):
        remove(store, "user", one["user"])
    assert everything(store) == before
    with pytest.raises(Conflict) as taken:
        put(store, member(one, tier=2))
    assert taken.value.field == "user"
    remove(store, "queue_member", made.id)
    remove(store, "service", way_in.id)
    remove(store, "service", one["queue"])


def test_the_database_itself_keeps_them(store: SqliteStore, tmp_path: Path) -> None:
    one, two = company(store, "One"), company(store, "Two")
    put(store, member(one))
    queue = put(store, service(one["tenant"], Queue(schedule=one["schedule"])))
    raw = sqlite3.connect(tmp_path / "vaxel.db")
    raw.execute("PRAGMA foreign_keys = ON")
    for statement in (
            f"DELETE FROM service WHERE id = {one['queue']}",
            f"DELETE FROM schedule WHERE id = {one['schedule']}",
            f"UPDATE queue_member SET user = {two['user']}",
            f"UPDATE queue_member SET service = {two['queue']}",
            f"UPDATE service_link SET schedule = {two['schedule']} WHERE owner = {queue.id}"):
        with pytest.raises(sqlite3.IntegrityError):
            raw.execute(statement)
        raw.rollback()
    raw.close()


def test_lists_of_members(store: SqliteStore) -> None:
    one = company(store, "One")
    second = put(store, service(one["tenant"], Queue())).id
    made = [put(store, member(one)), put(store, member(one, service=second, position=3))]
    assert store.find("queue_member", user=one["user"]) == made
    assert store.find("queue_member", service=second, tenant=one["tenant"]) == made[1:]
    assert list(store.select("queue_member", ("skills", "device_kinds"), service=second)) == [
        ("[]", 15)]


def test_from_m005(tmp_path: Path) -> None:
    path = tmp_path / "vaxel.db"
    old = sqlite3.connect(path, isolation_level=None)
    old.execute("PRAGMA foreign_keys = ON")
    migrations.apply(Database(old), stop_before="m006_queues")
    old.execute("INSERT INTO tenant (name, country, language, time_zone, foreign_number, "
                "activity_end, barred, media) VALUES ('Old', 'SE', 'sv', 'Europe/Stockholm', "
                "'replace', 'available', 0, 'auto')")
    old.execute("INSERT INTO schedule VALUES (1, 1, 'Hours', 'Europe/Stockholm', 'SE', 'auto', "
                "'[]')")
    old.execute("INSERT INTO user (tenant, name, extension, display, barred, ring_s, enabled, "
                "record, call_waiting) VALUES (1, 'Anna', '101', 'direct', 0, 25, 1, 0, 0)")
    old.execute("INSERT INTO prompt VALUES (1, 1, 'P', '', NULL, '', 0)")
    old.execute("INSERT INTO service (tenant, name, extension, settings) VALUES (1, 'M', '300', "
                """'{"type":"message","prompt":1,"next":{"kind":"user","user":1}}')""")
    old.execute("INSERT INTO service_link VALUES (1, 1, 'settings.prompt', NULL, NULL, NULL, 1)")
    old.execute("INSERT INTO service_link VALUES (1, 1, 'settings.next.user', 1, NULL, NULL, NULL)")
    old.close()
    store = embedded(tmp_path)
    assert store.get("tenant", 1) == Tenant(id=1, name="Old", pause_reasons=PAUSES)
    assert store.get("schedule", 1) == Schedule(id=1, tenant=1, name="Hours")
    for table, field in (("prompt", "settings.prompt"), ("user", "settings.next.user")):
        with pytest.raises(StillReferenced) as caught:
            remove(store, table, 1)
        assert f"service 'M' ({field})" in str(caught.value)
    queue = put(store, service(1, Queue(schedule=1), extension="301"))
    made = put(store, QueueMember(tenant=1, service=queue.id, user=1))
    assert store.find("queue_member") == [made]
    with pytest.raises(StillReferenced, match=r"settings\.schedule"):
        remove(store, "schedule", 1)
    store.migrate()
    assert not list(store._db.execute("PRAGMA foreign_key_check"))
    assert store._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    indexes = {name for name, in store._db.execute(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'service_link' "
        "AND sql IS NOT NULL")}
    assert indexes == {f"service_link_{column}" for column in (
        "user", "ring_group", "service", "prompt", "schedule")}
    store.close()
