"""The contract of the store port for services: what they name, and what they bring about."""

import json
import multiprocessing
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlite_utils import Database

from store import BrokenReference, Conflict, NotFound, SqliteStore, StillReferenced, pin
from store.migrations import migrations
from store.model import (
    CallbackMenu,
    CallbackRequest,
    CallRecord,
    Choice,
    Delivery,
    Event,
    Forward,
    Mailbox,
    MailboxAccess,
    Menu,
    Message,
    Number,
    PresenceMenu,
    Prompt,
    RecordPrompt,
    RingGroup,
    Service,
    Target,
    Tenant,
    User,
    VoiceMessage,
)
from tests.test_store import ROOT, SIDES, Side, company, everything, put, record, remove, swap


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


def service(tenant: int, settings: Any, **fields: Any) -> Service:
    """A service's row."""
    return Service(**{"tenant": tenant, "name": "S", "settings": settings} | fields)


def to_service(id_: int) -> Target:
    """A target."""
    return Target(kind="service", service=id_)


class TestServices:
    """Configuration."""

    def test_every_kind_comes_back(self, store: SqliteStore) -> None:
        one = company(store, "One")
        prompt, user = one["prompt"], one["user"]
        for settings in (
                Message(prompt=prompt, next=Target(kind="user", user=user)),
                Menu(prompt=prompt, invalid_prompt=prompt, extensions=True, tries=9,
                     choices=(Choice(key="*", target=to_service(one["service"])),)),
                Mailbox(user=user, listeners=(user,), pin="scrypt$00$11", greeting="own",
                        prompt=prompt, email=("å@example.net",), webhook="https://x/?a=1",
                        colleague=Target(kind="group", group=one["group"])),
                MailboxAccess(), CallbackMenu(prompt=prompt), PresenceMenu(),
                RecordPrompt(prompt=prompt)):
            made = put(store, service(one["tenant"], settings))
            assert store.get("service", made.id) == made
            kind = settings.__struct_config__.tag
            assert made in store.find("service", kind=kind, tenant=one["tenant"])
            assert store.as_of(store.revision())["service"][made.id] == made

    def test_targets_that_are_services(self, store: SqliteStore) -> None:
        one = company(store, "One")
        target = to_service(one["service"])
        rows = [Number(tenant=one["tenant"], e164="+4681000000", target=target,
                       closed_target=target),
                Forward(tenant=one["tenant"], user=one["user"], event="busy", target=target),
                RingGroup(tenant=one["tenant"], name="R", no_answer=target, nobody=target),
                User(tenant=one["tenant"], name="Col", colleague=target)]
        made = [put(store, row) for row in rows]
        tenant: Any = store.get("tenant", one["tenant"])
        swap(store, msgspec.structs.replace(tenant, attendant=target, hold_music=one["prompt"]))
        assert list(store.select("number", ("target_kind", "target_text"), id=made[0].id)) == [
            ("service", str(one["service"]))]
        for table, row in zip(("number", "forward", "ring_group", "user"), made, strict=True):
            assert store.get(table, row.id) == row
        fields = {(p.table, p.field) for p in store.pointing_at("service", one["service"], 99)}
        assert fields == {("number", "target"), ("number", "closed_target"),
                          ("forward", "target"), ("ring_group", "no_answer"),
                          ("ring_group", "nobody"), ("user", "colleague"),
                          ("tenant", "attendant")}
        with pytest.raises(StillReferenced, match=r"number \+4681000000 \(target\)"):
            remove(store, "service", one["service"])
        fields = {(p.table, p.field) for p in store.pointing_at("prompt", one["prompt"], 99)}
        assert fields == {("tenant", "hold_music"), ("service", "settings.prompt")}

    @pytest.mark.parametrize("other", ["nothing", "another tenant's"])
    def test_references_are_kept(self, store: SqliteStore, other: str) -> None:
        one, two = company(store, "One"), company(store, "Two")
        bad = dict.fromkeys(two, 9999) if other == "nothing" else two
        mine, prompt, row = one["tenant"], one["prompt"], store.get("tenant", one["tenant"])
        person = Target(kind="user", user=bad["user"])
        team = Target(kind="group", group=bad["group"])
        wrong = to_service(bad["service"])
        for field, broken in (
                ("settings.prompt", service(mine, Message(prompt=bad["prompt"]))),
                ("settings.next.user", service(mine, Message(prompt=prompt, next=person))),
                ("settings.choices[0].target.group", service(mine, Menu(
                    prompt=prompt, choices=(Choice(key="1", target=team),)))),
                ("settings.otherwise.service", service(mine, Menu(
                    prompt=prompt, otherwise=wrong))),
                ("settings.invalid_prompt", service(mine, Menu(
                    prompt=prompt, invalid_prompt=bad["prompt"]))),
                ("settings.user", service(mine, Mailbox(user=bad["user"]))),
                ("settings.listeners[1]", service(mine, Mailbox(
                    listeners=(one["user"], bad["user"])))),
                ("settings.colleague.service", service(mine, Mailbox(colleague=wrong))),
                ("settings.prompt", service(mine, CallbackMenu(prompt=bad["prompt"]))),
                ("settings.prompt", service(mine, RecordPrompt(prompt=bad["prompt"]))),
                ("target.service", Number(tenant=mine, e164="+4681000000", target=wrong)),
                ("nobody.service", RingGroup(tenant=mine, name="R", nobody=wrong)),
                ("colleague.service", User(tenant=mine, name="U", colleague=wrong)),
                ("colleague.user", User(tenant=mine, name="U", colleague=person))):
            before = everything(store)
            with pytest.raises(BrokenReference) as caught:
                put(store, broken)
            assert caught.value.field == field and everything(store) == before
        for field, change in (("attendant.user", {"attendant": person}),
                              ("attendant.service", {"attendant": wrong}),
                              ("hold_music", {"hold_music": bad["prompt"]})):
            with pytest.raises(BrokenReference) as caught:
                swap(store, msgspec.structs.replace(row, **change))
            assert caught.value.field == field

    def test_the_database_itself_keeps_them(self, store: SqliteStore, tmp_path: Path) -> None:
        one = company(store, "One")
        number = put(store, Number(tenant=one["tenant"], e164="+4681000000",
                                   target=to_service(one["service"])))
        raw = sqlite3.connect(tmp_path / "vaxel.db")
        raw.execute("PRAGMA foreign_keys = ON")
        for statement in (f"DELETE FROM service WHERE id = {one['service']}",
                          f"DELETE FROM prompt WHERE id = {one['prompt']}",
                          f"UPDATE number SET target_text = '77' WHERE id = {number.id}"):
            with pytest.raises(sqlite3.IntegrityError):
                raw.execute(statement)
            raw.rollback()
        raw.close()

    def test_what_settings_name_stays(self, store: SqliteStore) -> None:
        one = company(store, "One")
        remove(store, "member", one["member"])
        menu = put(store, service(one["tenant"], name="Main", settings=Menu(
            prompt=one["prompt"], choices=(
                Choice(key="1", target=Target(kind="user", user=one["user"])),
                Choice(key="2", target=Target(kind="group", group=one["group"]))),
            otherwise=to_service(one["service"]))))
        for table, name, field in (("user", "user", "choices[0].target.user"),
                                   ("ring_group", "group", "choices[1].target.group"),
                                   ("service", "service", "otherwise.service"),
                                   ("prompt", "prompt", "prompt")):
            with pytest.raises(StillReferenced) as caught:
                remove(store, table, one[name])
            assert f"service 'Main' (settings.{field})" in str(caught.value)
        swap(store, msgspec.structs.replace(menu, settings=Menu(
            prompt=one["prompt"], choices=(Choice(key="1", target=to_service(menu.id)),))))
        remove(store, "user", one["user"])
        remove(store, "service", menu.id)  # which names itself
        assert store.pointing_at("prompt", one["prompt"])[0].id == one["service"]

    def test_mailboxes_of_users(self, store: SqliteStore) -> None:
        one = company(store, "One")
        bo = put(store, User(tenant=one["tenant"], name="Bo")).id
        shared = put(store, service(one["tenant"], Mailbox(listeners=(bo, one["user"]))))
        own = put(store, service(one["tenant"], Mailbox(user=bo)))
        put(store, service(one["tenant"], Menu(prompt=one["prompt"], choices=(
            Choice(key="1", target=Target(kind="user", user=bo)),))))
        assert store.mailbox_of(bo) == own and store.mailbox_of(one["user"]) is None
        assert store.mailboxes_for(bo) == [own, shared]
        assert store.mailboxes_for(one["user"]) == [shared]
        with pytest.raises(Conflict) as caught:
            put(store, service(one["tenant"], Mailbox(user=bo)))
        assert caught.value.field == "settings.user"
        with pytest.raises(Conflict) as caught:
            put(store, service(one["tenant"], MailboxAccess(), extension="300"))
            put(store, service(one["tenant"], MailboxAccess(), extension="300"))
        assert caught.value.field == "extension"

    def test_a_mailbox_takes_its_messages_with_it(self, store: SqliteStore) -> None:
        one = company(store, "One")
        box = put(store, service(one["tenant"], Mailbox())).id
        menu = put(store, service(one["tenant"], CallbackMenu())).id
        store.add_message(message("a", box))
        store.add_callback(CallbackRequest(tenant=1, service=menu, number="+4670", created_ms=1))
        remove(store, "service", box)
        remove(store, "service", menu)
        assert store.message("a").state == "deleted" and not store.callbacks(1)
        assert not store.finish_message("a", path="x", duration_ms=1, sha256="", at_ms=1)


def message(uid: str, mailbox: int = 7, **fields: Any) -> VoiceMessage:
    """A message that is being left."""
    return VoiceMessage(**{"uid": uid, "tenant": 1, "mailbox": mailbox, "created_ms": 10,
                           "caller": "+46701112233", "caller_name": "Åsa"} | fields)


def delivery(**fields: Any) -> Delivery:
    """A mail."""
    return Delivery(**{"tenant": 1, "kind": "mail", "to": "a@example.net", "subject": "Hej",
                       "body": "text", "created_ms": 5} | fields)


def finish(store: SqliteStore, uid: str, *deliveries: Delivery) -> bool:
    """Its audio is kept."""
    return store.finish_message(uid, path=f"messages/{uid}", duration_ms=1500, sha256="f" * 64,
                                at_ms=20, deliveries=deliveries)


class TestMessages:
    """Voice messages."""

    def test_the_life_of_a_message(self, store: SqliteStore) -> None:
        first = message("a")
        assert store.add_message(first) and not store.add_message(message("a", 9))
        assert store.message("a") == first and store.message_counts(7) == (0, 0)
        for state in ("new", "saved"):
            with pytest.raises(Conflict):
                store.set_message_state("a", state, 11)  # type: ignore[arg-type]
        assert finish(store, "a", delivery()) and not finish(store, "a", delivery())
        assert len(store.deliveries(1)) == 1, "sent about once"
        done = store.message("a")
        assert (done.state, done.path, done.duration_ms) == ("new", "messages/a", 1500)
        assert store.message_counts(7) == (1, 0)
        assert store.set_message_state("a", "saved", 30).state == "saved"
        assert store.message_counts(7) == (0, 1)
        store.set_message_state("a", "deleted", 40)
        assert store.message_counts(7) == (0, 0) and not store.messages(7)
        assert store.forget_empty_messages(50) == 0, "it has audio"
        store.end_deletions(store.begin_deletions("message", 1, ["a"], why="", by="", at_ms=1))
        with pytest.raises(NotFound):
            store.message("a")
        with pytest.raises(NotFound):
            store.set_message_state("a", "new", 1)

    def test_lists(self, store: SqliteStore) -> None:
        for at in range(6):
            store.add_message(message(f"m{at}", created_ms=at))
            if at:
                finish(store, f"m{at}")
        store.set_message_state("m1", "saved", 1)
        store.set_message_state("m2", "deleted", 50)

        def uids(**wanted: Any) -> list[str]:
            return [found.uid[1] for found in store.messages(7, **wanted)]

        assert uids() == ["5", "4", "3", "1"] and uids(limit=2) == ["5", "4"]
        assert uids(newest_first=False, states=("new",)) == ["3", "4", "5"]
        assert uids(states=("deleted", "recording")) == ["2", "0"] and not store.messages(8)
        assert [m.uid for m in store.unfinished_messages(1)] == ["m0"]
        assert not store.unfinished_messages(0)
        assert [m.uid for m in store.deleted_messages(51)] == ["m2"]
        assert not store.deleted_messages(50)

    def test_what_is_being_deleted_does_not_come_back(self, store: SqliteStore) -> None:
        store.add_message(message("a"))
        finish(store, "a")
        store.set_message_state("a", "deleted", 30, "telephone")
        assert store.set_message_state("a", "saved", 31).state == "saved"
        store.set_message_state("a", "deleted", 32, "key 3")
        begun = store.begin_deletions("message", 1, ["a"], why="x", by="", at_ms=33)
        assert [(one.why, one.by) for one in begun] == [("by hand", "key 3")]
        with pytest.raises(Conflict):
            store.set_message_state("a", "saved", 33)

    def test_what_never_had_audio_is_forgotten(self, store: SqliteStore) -> None:
        for uid in ("empty", "by hand", "later"):
            store.add_message(message(uid))
        store.set_message_state("empty", "deleted", 30)
        store.set_message_state("by hand", "deleted", 30, "telephone")
        store.set_message_state("later", "deleted", 40)
        assert store.forget_empty_messages(40) == 1
        assert [one.uid for one in store.deleted_messages(50)] == ["by hand", "later"]

    def test_callback_requests(self, store: SqliteStore) -> None:
        made = [store.add_callback(CallbackRequest(tenant=1 + at // 3, service=at % 2 + 1,
                                                   number=f"+4670{at}", created_ms=at))
                for at in range(4)]
        assert store.callbacks(1) == made[:3] and store.callbacks(2) == made[3:]
        assert store.callbacks(1, service=2) == [made[1]]
        assert store.callbacks(1, after=made[0].id, limit=1) == [made[1]]
        done = store.set_callback_done(made[0].id, 99)
        assert store.callback(made[0].id) == done and done.done_ms == 99
        assert store.callbacks(1, open_only=True) == made[1:3]
        assert [request.id for request in store.untold_callbacks()] == [r.id for r in made]
        assert store.tell_callback(made[1].id, [delivery()])
        assert not store.tell_callback(made[1].id, [delivery()])
        assert len(store.deliveries(1)) == 1 and len(store.untold_callbacks()) == 3
        for missing in (lambda: store.callback(99), lambda: store.set_callback_done(99, 1)):
            with pytest.raises(NotFound):
                missing()


class TestDeliveries:
    """What is to be sent."""

    def test_due_done_and_failed(self, store: SqliteStore) -> None:
        store.add_deliveries([delivery(next_ms=at, to=f"{at}@x") for at in (30, 10, 20)])
        store.add_deliveries([])
        assert [d.to for d in store.due_deliveries(20)] == ["10@x", "20@x"]
        first, second = store.due_deliveries(20)
        store.delivery_done(first.id, 21)
        store.delivery_failed(second.id, "x" * 600, next_ms=25)
        assert not store.due_deliveries(24)
        (again,) = store.due_deliveries(25)
        assert (again.tries, len(again.error), again.done_ms) == (1, 500, 0)
        store.delivery_failed(again.id, "unset", next_ms=26, tried=False)
        store.delivery_failed(again.id, "no such person", given_up_ms=27)
        assert [d.to for d in store.due_deliveries(1 << 50)] == ["30@x"]
        assert [d.to for d in store.deliveries(1, pending=True)] == ["30@x"]
        found = {d.to: d for d in store.deliveries(1)}
        assert (found["20@x"].tries, found["20@x"].error) == (2, "no such person")
        assert (found["10@x"].tries, found["10@x"].error, found["10@x"].done_ms) == (1, "", 21)
        assert store.purge_deliveries(22) == 1 and len(store.deliveries(1)) == 2

    def test_a_tenant_with_many_does_not_keep_the_others(self, store: SqliteStore) -> None:
        store.add_deliveries([delivery(next_ms=1) for _ in range(200)])
        store.add_deliveries([delivery(tenant=2, next_ms=5, kind="webhook", body={"å": [1, None]})])
        due = store.due_deliveries(9, per_tenant=4)
        assert [d.tenant for d in due] == [1, 1, 1, 1, 2] and due[-1].body == {"å": [1, None]}


APPENDER = """
import sys; from pathlib import Path
from store import SqliteStore; from store.model import Event
store = SqliteStore(Path(sys.argv[1]) / "vaxel.db")
at = 0
while True:
    store.add_events([Event(tenant=1, at_ms=at, kind=sys.argv[2], data=i) for i in range(3)])
    print(at, flush=True)
    at += 1
"""


class TestEvents:
    """One ordered stream."""

    def test_order_and_pages(self, store: SqliteStore) -> None:
        assert store.last_event() == 0 and not store.events(1)
        store.add_events([])
        store.add_events([Event(tenant=1 + at % 2, at_ms=at, kind="call.began", call=f"c{at}",
                                data={"at": at}) for at in range(5)])
        store.add_events([Event(tenant=1, at_ms=9, kind="call.ended")])
        everybody = store.events(None)
        assert [event.seq for event in everybody] == [1, 2, 3, 4, 5, 6] and store.last_event() == 6
        assert [event.at_ms for event in store.events(1)] == [0, 2, 4, 9]
        assert store.events(1, after=3, limit=1) == [everybody[4]]
        assert everybody[1].data == {"at": 1} and everybody[5].data is None

    def test_purge(self, store: SqliteStore) -> None:
        store.add_events([Event(tenant=1, at_ms=at, kind="x") for at in range(100)])
        assert store.purge_events(10, 1000) == 10
        assert store.purge_events(0, 50) == 40 and store.purge_events(0, 50) == 0
        assert [e.seq for e in store.events(1)][:2] == [51, 52] and store.last_event() == 100
        assert store.purge_events(1 << 40, 0) == 50 and store.last_event() == 100
        store.add_events([Event(tenant=1, at_ms=1, kind="x")])
        assert [event.seq for event in store.events(1)] == [101], "a seq is never used again"

    def test_writers_at_once_that_are_killed(self, side: Side, tmp_path: Path) -> None:
        store = side(tmp_path)
        children = [subprocess.Popen([sys.executable, "-c", APPENDER, str(tmp_path), name],
                                     cwd=ROOT, stdout=subprocess.PIPE, text=True)
                    for name in "abc"]
        seen, until = 0, time.monotonic() + 1.5
        read: list[Event] = []
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        while time.monotonic() < until:
            found = store.events(None, after=seen, limit=1000)
            read += found
            seen = found[-1].seq if found else seen
        for child in children:
            child.send_signal(signal.SIGKILL)
        said = {name: (child.communicate()[0] or "").split("\n")
                for name, child in zip("abc", children, strict=True)}
        read += store.events(None, after=seen, limit=100_000)
        assert read == store.events(None, limit=1_000_000), "one that was passed by came later"
        for name in "abc":
            mine = [event for event in read if event.kind == name]
            assert [event.data for event in mine] == [0, 1, 2] * (len(mine) // 3)
            assert {int(line) for line in said[name][:-1]} <= {event.at_ms for event in mine}
        store.close()


def _finish(folder: str, uids: list[str]) -> None:
    store = SqliteStore(Path(folder) / "vaxel.db")
    for uid in uids:
        finish(store, uid, delivery(subject=uid))
    store.close()


def test_a_message_is_finished_once_by_many(side: Side, tmp_path: Path) -> None:
    store = side(tmp_path)
    uids = [f"m{at}" for at in range(40)]
    for uid in uids:
        store.add_message(message(uid))
    context = multiprocessing.get_context("spawn")
    workers = []
    for seed in range(3):
        mine = list(uids)
        random.Random(seed).shuffle(mine)
        workers.append(context.Process(target=_finish, args=(str(tmp_path), mine)))
        workers[-1].start()
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    assert sorted(d.subject for d in store.deliveries(1, limit=1000)) == sorted(uids)
    store.close()


class TestConversations:
    """Calls that are a part of another."""

    def test_legs(self, store: SqliteStore) -> None:
        whole = record("whole", 1, caller_user=1, answered_ms=2)
        legs = [record("leg2", 4, conversation="whole", rang=(2, 3), answered_ms=5, answerer=3),
                record("leg1", 3, conversation="whole", rang=(2,))]
        other = record("other", 2, rang=(4,))
        for one in (*legs, whole, other):
            store.add_call(one)
        assert store.call("leg1") == legs[1] and store.legs("whole") == [legs[1], legs[0]]
        assert store.legs("") == [] and store.legs("leg1") == []
        assert [c.uid for c in store.calls()] == ["other", "whole"]
        assert [c.uid for c in store.calls(legs=True)] == ["leg2", "leg1", "other", "whole"]
        for user, role in ((1, "caller"), (2, "missed"), (3, "answered")):
            assert [c.uid for c in store.calls(user=user)] == ["whole"]
            assert store.party_role(user, "whole") == role
        assert [c.uid for c in store.calls(user=2, legs=True)] == ["leg2", "leg1", "whole"]
        assert [c.uid for c in store.calls(user=4)] == ["other"] and not store.calls(user=9)
        assert store.party_role(4, "whole") == ""


class TestMigration:
    """What a database of an earlier version becomes."""

    def test_from_m003(self, tmp_path: Path) -> None:
        path = tmp_path / "vaxel.db"
        old = sqlite3.connect(path, isolation_level=None)
        old.execute("PRAGMA foreign_keys = ON")
        migrations.apply(Database(old), stop_before="m004_services")
        old.execute("INSERT INTO tenant (name, country, language, time_zone, foreign_number, "
                    "activity_end, barred, media) VALUES ('Old', 'SE', 'sv', 'Europe/Stockholm', "
                    "'replace', 'available', 0, 'auto')")
        old.execute("INSERT INTO user (tenant, name, extension, display, barred, ring_s, enabled, "
                    "record, call_waiting) VALUES (1, 'Anna', '101', 'direct', 0, 25, 1, 0, 0)")
        old.execute("INSERT INTO number (tenant, e164, kind, target_kind, target_user, record) "
                    "VALUES (1, '+4681000000', 'main', 'user', 1, 0)")
        old.execute("INSERT INTO revision VALUES (1, 'x', 1, '')")
        old.execute("INSERT INTO change VALUES (1, 0, 'user', 1, NULL, ?)", (json.dumps(
            {"id": 1, "tenant": 1, "name": "Anna", "extension": "101"}),))
        old.execute("INSERT INTO call_record VALUES ('a', 1, 'in', '', '', '', 5, 0, 0, NULL, "
                    "NULL, NULL, '[]', 0, '', 0, 0, 'null', '')")
        old.close()
        store = SqliteStore(path)
        store.migrate()
        assert store.get("tenant", 1) == Tenant(id=1, name="Old")
        assert store.get("user", 1) == User(id=1, tenant=1, name="Anna", extension="101")
        assert store.find("number")[0] == Number(
            id=1, tenant=1, e164="+4681000000", kind="main", target=Target(kind="user", user=1))
        assert store.calls() == [CallRecord(uid="a", tenant=1, direction="in", caller="",
                                            called="", started_ms=5)]
        assert store.as_of(0)["user"] == {} and store.as_of(1)["user"] == {1: store.get("user", 1)}
        prompt = put(store, Prompt(tenant=1, name="P"))
        menu = put(store, service(1, Message(prompt=prompt.id)))
        swap(store, msgspec.structs.replace(store.find("number")[0], target=to_service(menu.id)))
        with pytest.raises(StillReferenced):
            remove(store, "service", menu.id)
        store.migrate()
        assert not list(store._db.execute("PRAGMA foreign_key_check"))
        assert store._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        store.close()


class TestPins:
    """Digests of PINs."""

    def test_match(self) -> None:
        stored = pin.digest("2580", b"0123456789abcdef")
        assert stored.startswith("scrypt$30313233") and "2580" not in stored
        assert pin.matches(stored, "2580") and stored != pin.digest("2580", b"f" * 16)
        for wrong in ("2581", "", "25800", "٢٥٨٠", "\ud800", stored):
            assert not pin.matches(stored, wrong)

    @pytest.mark.parametrize("stored", ["", "2580", "scrypt$", "scrypt$zz$zz", "md5$00$00", "$$",
                                        "scrypt$00$", "scrypt$$$"])
    def test_what_is_no_digest_matches_nothing(self, stored: str) -> None:
        assert not pin.matches(stored, "2580") and not pin.matches(stored, "")
