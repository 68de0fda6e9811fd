"""Events to webhooks: in order, signed, each at least once, and never to our own network."""

import asyncio
import itertools
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from api.hooks.envelope import OLD_SECRET_MS, new_secret, type_of
from api.keeping import hooks as module
from api.keeping.hooks import AT_ONCE_OF_A_TENANT, TURN, Hooks
from api.keeping.outside import Outside
from api.keeping.records import Collector
from api.keeping.retries import GIVE_UP_MS
from store import NotFound, SqliteStore
from store.hooks import KEEP_ATTEMPTS, DeadLetter
from store.model import CallRecord, Event, EventHook, Tenant
from tests.alone import Alone
from tests.exchange import ROOT, eventually
from tests.receiving import Got, Receiver
from vaxel.ports import free_port

HOUR_MS = 3_600_000
#: Made once: it reads all the authorities there are.
TLS = ssl.create_default_context()


class World:
    """A company with webhooks, and the job with a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = SqliteStore(folder / "vaxel.db")
        self.store.migrate()
        self.now = time.time_ns() // 1_000_000
        self.spread = 0.0
        self.tenant = self.make(Tenant(name="One"))
        self.secret = new_secret()

    def make(self, row: Any) -> int:
        """Create a row."""
        made: list[Any] = []
        self.store.change("test", 1, "", lambda writer: made.append(writer.create(row)))
        return int(made[0].id)

    def hook(self, url: str, *kinds: str, tenant: int = 0, **fields: Any) -> int:
        """A webhook."""
        return self.make(EventHook(tenant=tenant or self.tenant, name="x", url=url, kinds=kinds,
                                   secret=self.secret, **fields))

    def save(self, id_: int, **fields: Any) -> None:
        """Change a webhook."""
        self.store.change("test", 1, "", lambda writer: writer.replace(
            msgspec.structs.replace(writer.get("webhook", id_), **fields)))

    def events(self, count: int, kind: str = "began", tenant: int = 0, **data: Any) -> list[int]:
        """Things happen; their seqs."""
        first = self.store.last_event()
        self.store.add_events([
            Event(tenant=tenant or self.tenant, at_ms=self.now, kind=kind, call=f"c{i}",
                  data={"i": i} | data) for i in range(count)])
        return list(range(first + 1, first + 1 + count))

    def job(self) -> Hooks:
        """As the keeper makes it at its start."""
        outside = Outside(private=True, tls=TLS)
        return Hooks(self.store, outside, lambda: self.now, lambda: self.spread)

    def run(self, turns: int = 1, job: Hooks | None = None) -> None:
        """So many turns of everybody who is due."""
        async def inside() -> None:
            async with job or self.job() as hooks:
                for _ in range(turns):
                    hooks.start_due()
                    await hooks.settled()

        asyncio.run(inside())

    def state(self, hook: int) -> Any:
        """Where it is."""
        return self.store.hook(hook).state


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """It ends with the test."""
    made = World(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """It ends with the test."""
    made = Receiver()
    yield made
    made.close()


def names(seqs: list[int]) -> list[str]:
    """Their webhook-ids."""
    return [f"evt_{seq}" for seq in seqs]


# -- what is sent -----------------------------------------------------------------------------

def test_events_in_order_once_and_verified_by_the_standard_client(world: World,
                                                                  receiver: Receiver) -> None:
    world.events(3)
    hook = world.hook(receiver.url)
    other = world.make(Tenant(name="Two"))
    mine = world.events(4)
    world.events(2, tenant=other)
    mine += world.events(1, "queue", what="entered", queue=7)
    job = world.job()
    world.run(job=job)
    assert receiver.ids == names(mine), "nothing of before, nothing of others"
    for got in receiver.got:
        body = Webhook(world.secret).verify(got.raw, got.headers)
        assert got.headers["content-type"].startswith("application/cloudevents+json")
        assert {"specversion": "1.0", "id": got.headers["webhook-id"], "tenant": world.tenant,
                "source": f"/v1/tenants/{world.tenant}",
                "datacontenttype": "application/json"}.items() <= body.items()
        with pytest.raises(WebhookVerificationError):
            Webhook(world.secret).verify(got.raw + b" ", got.headers)
    first, last = receiver.got[0].body, receiver.got[-1].body
    assert (first["type"], first["subject"], first["data"]) == (
        "vaxel.call.began", "c0", {"i": 0})
    assert first["time"].endswith("Z") and (last["type"], last["data"]["queue"]) == (
        "vaxel.queue.entered", 7)
    world.run(job=job)
    world.run()
    assert len(receiver.got) == 5 and world.state(hook).seq == mine[-1]
    assert [(one.event, one.status) for one in world.store.attempts(hook)] == [
        (seq, 204) for seq in reversed(mine)]


@pytest.mark.parametrize(("kind", "data", "type_"), [
    ("call", {}, "vaxel.call.record"), ("ended", {}, "vaxel.call.ended"),
    ("queue", {"what": "left"}, "vaxel.queue.left"), ("presence", {}, "vaxel.presence"),
    ("message", {}, "vaxel.message"), ("queue", None, "vaxel.call.queue"),
    ("test", {}, "vaxel.test")])
def test_types(kind: str, data: Any, type_: str) -> None:
    assert type_of(Event(tenant=1, at_ms=1, kind=kind, data=data)) == type_


def test_only_the_kinds_that_are_wanted(world: World, receiver: Receiver) -> None:
    hook = world.hook(receiver.url, "call", "queue")
    world.events(250, "began")
    wanted = world.events(1, "call")
    world.events(250, "held")
    job = world.job()
    world.run(job=job)
    assert receiver.ids == names(wanted) and world.state(hook).seq >= wanted[0]
    job.tidy()
    assert world.state(hook).seq == world.store.last_event(), "known after a restart"


def test_a_disabled_one_gets_nothing_and_goes_on_later(world: World, receiver: Receiver) -> None:
    hook = world.hook(receiver.url, enabled=False)
    seqs = world.events(3)
    world.run()
    assert not receiver.got
    world.save(hook, enabled=True)
    world.run()
    assert receiver.ids == names(seqs)


def test_a_long_queue_is_sent_in_turns(world: World, receiver: Receiver) -> None:
    world.hook(receiver.url)
    seqs = world.events(TURN + 30)
    job = world.job()
    world.run(job=job)
    assert receiver.ids == names(seqs[:TURN])
    world.run(job=job)
    assert receiver.ids == names(seqs)


def test_many_of_one_company_leave_room_for_others(world: World) -> None:
    together: list[int] = []
    busy: set[str] = set()
    count = itertools.count()

    def answer(got: Got) -> int:
        if got.path.startswith("/mine"):
            busy.add(got.path)
            together.append(len(busy))
            slow.open.wait(0.2)
            busy.discard(got.path)
        next(count)
        return 200

    slow = Receiver(answer)
    other = world.make(Tenant(name="Two"))
    for number in range(3 * AT_ONCE_OF_A_TENANT):
        world.hook(f"http://127.0.0.1:{slow.port}/mine{number}")
    theirs = world.hook(f"http://127.0.0.1:{slow.port}/theirs", tenant=other)
    world.events(1)
    world.events(1, tenant=other)
    world.run()
    assert max(together) <= AT_ONCE_OF_A_TENANT and world.store.attempts(theirs)
    job = world.job()
    world.run(turns=3, job=job)
    assert next(count) == 3 * AT_ONCE_OF_A_TENANT + 1, "everybody had a turn"
    slow.close()


# -- failures ---------------------------------------------------------------------------------

def test_one_that_is_down_stops_no_other_and_keeps_its_order(world: World,
                                                             receiver: Receiver) -> None:
    down = Receiver(lambda _got: 500)
    bad, good = world.hook(down.url), world.hook(receiver.url)
    seqs = world.events(3)
    world.run(turns=3)
    assert receiver.ids == names(seqs) and down.ids == names(seqs[:1])
    assert (world.state(bad).tries, world.state(bad).error) == (1, "500 Internal Server Error")
    assert world.state(bad).next_ms == world.now + 30_000 and world.state(good).tries == 0
    down.answer = lambda _got: 200
    world.run()
    assert len(down.got) == 1, "not before its time"
    world.now += 30_000
    world.run()
    assert down.ids == names([seqs[0], *seqs]), "the same id when it is sent again"
    assert (world.state(bad).tries, world.state(bad).seq) == (0, seqs[-1])
    down.close()


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_back_off(world: World, spread: float) -> None:
    down = Receiver(lambda _got: 503)
    hook = world.hook(down.url)
    world.spread = spread
    (seq,) = world.events(1)
    gaps = []
    while not world.store.dead_letters(hook):
        world.run()
        gaps.append(world.state(hook).next_ms - world.now)
        world.now = max(world.state(hook).next_ms, world.now + 1)
    gaps.pop()
    factor = 1 + spread / 4
    assert gaps[:8] == [round(30_000 * factor) << i for i in range(7)] + [round(
        HOUR_MS * factor)]
    assert max(gaps) == HOUR_MS * factor
    (dead,) = world.store.dead_letters(hook)
    assert (dead.event, dead.status, dead.tries) == (seq, 503, len(gaps) + 1)
    assert GIVE_UP_MS < sum(gaps) <= GIVE_UP_MS + HOUR_MS * factor
    down.close()


def test_one_bad_event_is_given_up_and_the_rest_goes_on(world: World) -> None:
    picky = Receiver(lambda got: 422 if got.body["data"].get("bad") else 200)
    hook = world.hook(picky.url)
    (bad,) = world.events(1, bad=True)
    world.now += GIVE_UP_MS
    rest = world.events(3)
    world.run()
    assert picky.ids == names([bad])
    world.now += 30_000
    world.run()
    assert picky.ids == names([bad, bad, *rest]), "tried once more, then the next ones"
    assert [one.event for one in world.store.dead_letters(hook)] == [bad]
    assert world.state(hook).seq == rest[-1]
    picky.close()


def test_a_long_outage(world: World) -> None:
    """Everything that is a day old is given up at once: not one try for each."""
    down = Receiver(lambda _got: 502)
    hook = world.hook(down.url)
    old = world.events(500) + world.events(1, "queue", what="left")
    world.now += GIVE_UP_MS + 1
    new = world.events(2)
    world.run()
    assert len(down.got) == 2 and world.state(hook).seq == old[-1]
    assert [one.event for one in world.store.dead_letters(hook, limit=1000)] == old
    down.answer = lambda _got: 200
    world.now = world.state(hook).next_ms
    world.run()
    assert down.ids[2:] == names(new)
    down.close()


def test_gone_is_not_asked_again_until_it_is_saved(world: World) -> None:
    gone = Receiver(lambda _got: 410)
    hook = world.hook(gone.url)
    seqs = world.events(2)
    world.run()
    world.now += 3 * HOUR_MS
    world.run()
    assert len(gone.got) == 1 and world.state(hook).gone_ms
    gone.answer = lambda _got: 200
    world.save(hook, name="again")
    world.run()
    assert gone.ids == names([seqs[0], *seqs]) and not world.state(hook).gone_ms
    gone.close()


def test_deleted_or_moved_while_it_is_sent(world: World) -> None:
    def answer(_got: Got) -> int:
        doing[0]()
        return 200

    doing: list[Callable[[], Any]] = []
    busy = Receiver(answer)
    hook = world.hook(busy.url)
    seqs = world.events(40)
    other = SqliteStore(world.folder / "vaxel.db")
    doing.append(lambda: len(busy.got) == 15 and other.send_from(hook, seqs[2]))
    world.run()
    assert busy.ids[:10] == names(seqs[:10])
    assert world.state(hook).seq == seqs[1], "what the customer wants wins"
    doing[0] = lambda: None
    world.run()
    assert busy.ids[-38:] == names(seqs[2:])
    world.events(40)
    doing[0] = lambda: len(busy.got) % 10 == 5 and other.change(
        "test", 1, "", lambda writer: writer.delete("webhook", hook))
    with pytest.raises(NotFound):
        world.run()
        world.store.hook(hook)
    assert not world.store.attempts(hook) and not world.store.dead_letters(hook)
    other.close()
    busy.close()


def test_disabled_while_it_is_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most ten more, and none when answers are slow."""
    monkeypatch.setattr(module, "SLOW_MS", -1)
    other = SqliteStore(world.folder / "vaxel.db")

    def answer(_got: Got) -> int:
        if len(busy.got) == 3:
            other.change("test", 1, "", lambda writer: writer.replace(
                msgspec.structs.replace(writer.get("webhook", hook), enabled=False)))
        return 200

    busy = Receiver(answer)
    hook = world.hook(busy.url)
    seqs = world.events(30)
    world.run(turns=2)
    assert busy.ids == names(seqs[:3]) and world.state(hook).seq == seqs[1]
    world.save(hook, enabled=True)
    world.run()
    assert busy.ids[3:] == names(seqs[2:]), "the one that was not written down comes twice"
    other.close()
    busy.close()


def test_events_that_were_removed_before_they_were_sent(world: World, receiver: Receiver) -> None:
    hook = world.hook(receiver.url)
    seqs = world.events(5)
    world.store._db.execute("DELETE FROM event WHERE seq < ?", (seqs[3],))
    world.run()
    assert receiver.ids == names(seqs[3:])
    note = world.store.attempts(hook)[-1]
    assert note.status == 0 and "no longer kept" in note.error and note.event == seqs[2]


def test_tidy_keeps_a_thousand_attempts(world: World, receiver: Receiver,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN", KEEP_ATTEMPTS + 50)
    hook = world.hook(receiver.url)
    world.events(KEEP_ATTEMPTS + 20)
    world.run()
    job = world.job()
    job.tidy()
    assert len(world.store.attempts(hook, limit=9999)) == KEEP_ATTEMPTS


# -- once more --------------------------------------------------------------------------------

def bury(world: World, hook: int, seqs: list[int]) -> None:
    """Those were given up."""
    world.store.hook_sent(world.state(hook), seqs[-1], [], [
        DeadLetter(event=seq, at_ms=1, tries=9, status=500, error="500") for seq in seqs])


def test_dead_letters_again(world: World, receiver: Receiver) -> None:
    hook = world.hook(receiver.url)
    seqs = world.events(4)
    bury(world, hook, seqs)
    assert world.store.send_again(hook, seqs[1]) == 1 and not world.store.send_again(hook, 999)
    world.run()
    assert receiver.ids == names([seqs[1]])
    receiver.answer = lambda got: 500 if got.headers["webhook-id"] == f"evt_{seqs[2]}" else 200
    assert world.store.send_again(hook) == 3
    world.run()
    assert receiver.ids[1:] == names([seqs[0], *seqs[2:]])
    (left,) = world.store.dead_letters(hook)
    assert (left.event, left.tries, left.again, left.status) == (seqs[2], 10, False, 500)
    world.run()
    assert len(receiver.got) == 4, "it waits until it is wanted again"


@pytest.mark.parametrize(("back", "expected"), [(2, 2), (0, 0), (-10**6, 0), (10**6, None)])
def test_everything_from_an_event_on(world: World, receiver: Receiver, back: int,
                                     expected: int | None) -> None:
    hook = world.hook(receiver.url)
    seqs = world.events(4)
    job = world.job()
    world.run(job=job)
    bury(world, hook, [seqs[1], seqs[3]])
    begins = world.store.send_from(hook, max(seqs[0] + back, 0))
    world.run(job=job)
    sent = [] if expected is None else seqs[expected:]
    assert receiver.ids[4:] == names(sent)
    assert begins == (sent[0] if sent else seqs[-1] + 1)
    assert [one.event for one in world.store.dead_letters(hook)] == [
        seq for seq in (seqs[1], seqs[3]) if seq not in sent]


def test_rotation(world: World, receiver: Receiver) -> None:
    hook = world.hook(receiver.url)
    new = new_secret()
    world.save(hook, secret=new)
    world.store.keep_old_secret(hook, world.secret, world.now + OLD_SECRET_MS)
    world.events(1)
    world.run()
    got = receiver.got[0]
    assert len(got.headers["webhook-signature"].split()) == 2
    for secret in (new, world.secret):
        Webhook(secret).verify(got.raw, got.headers)
    world.now += OLD_SECRET_MS
    world.events(1)
    job = world.job()
    world.run(job=job)
    assert len(receiver.got[1].headers["webhook-signature"].split()) == 1
    job.tidy()
    assert world.state(hook).old_secret == ""


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_inwards_is_not_followed(world: World, receiver: Receiver, status: int) -> None:
    inside = Receiver()
    receiver.headers["Location"] = inside.url
    receiver.answer = lambda _got: status
    hook = world.hook(receiver.url)
    world.events(1)
    world.run()
    assert len(receiver.got) == 1 and not inside.got
    assert "redirections are not followed" in world.state(hook).error
    inside.close()


# -- the keeper -------------------------------------------------------------------------------

def test_a_call_record_is_told_once(world: World) -> None:
    record = CallRecord(uid="u1", tenant=world.tenant, direction="in", caller="+46701234567",
                        called="+46840000000", started_ms=1000, answered_ms=2000, ended_ms=9000,
                        answerer=7, rang=(7, 8), code=200, ended_by="caller", decisions=[1],
                        call_id="x")
    collector: Any = Collector(None, world.store)  # type: ignore[arg-type]
    assert collector._write(record) and not collector._write(record)
    (event,) = world.store.events(world.tenant)
    assert (event.kind, event.call, event.at_ms) == ("call", "u1", 9000)
    assert event.data == {
        "direction": "in", "caller": "+46701234567", "called": "+46840000000", "shown": "",
        "started_ms": 1000, "answered_ms": 2000, "ended_ms": 9000, "caller_user": None,
        "answerer": 7, "rang": [7, 8], "code": 200, "ended_by": "caller", "recorded": False,
        "conversation": ""}


def test_a_keeper_that_is_killed(world: World, receiver: Receiver) -> None:
    """All events arrive, in order; those that come twice are known by their id."""
    (world.folder / "settings.json").write_text(json.dumps({
        "rpc_port": free_port(), "media_port": free_port(), "media_nodes": 1,
        "webhooks_to_private": True}))
    hook = world.hook(receiver.url)
    receiver.answer = lambda _got: 200 if len(receiver.got) % 7 else 503
    seqs: list[int] = []

    def keeper() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "api.keeper", str(world.folder)], cwd=ROOT,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    for _ in range(3):
        seqs += world.events(60)
        before = len(receiver.got)
        with keeper() as child:
            try:
                eventually(lambda before=before: len(receiver.got) > before + 5, 60)
            finally:
                os.kill(child.pid, signal.SIGKILL)
        world.save(hook, name="now")  # no back-off in a test
    receiver.answer = lambda _got: 200
    with keeper() as child:
        try:
            eventually(lambda: world.state(hook).seq == seqs[-1], 40)
        finally:
            os.kill(child.pid, signal.SIGKILL)
    assert list(dict.fromkeys(receiver.ids)) == names(seqs)
    assert len({got.raw for got in receiver.got}) == len(seqs), "a repetition is the same"


# -- over HTTP --------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def api() -> Iterator[Alone]:
    """One for all, with a keeper."""
    with Alone(webhooks_to_private=True) as running, subprocess.Popen(
            [sys.executable, "-m", "api.keeper", str(running.state)], cwd=ROOT,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as keeper:
        yield running
        keeper.kill()


def test_the_whole_way(api: Alone, receiver: Receiver) -> None:
    """Made, sent, tested, rotated, failed, and sent again."""
    path = api.company()
    tenant = int(path.rpartition("/")[2])
    made = api.ask("POST", f"{path}/webhooks", {"name": "CRM", "url": receiver.url,
                                                "kinds": ["call"]}, status=201)
    hook = f"{path}/webhooks/{made['id']}"
    assert "secret" not in api.ask("GET", hook), "shown once"

    def happen(**data: Any) -> str:
        api.store.add_events([Event(tenant=tenant, at_ms=time.time_ns() // 10**6, kind="call",
                                    call="u", data=data)])
        return f"evt_{api.store.last_event()}"

    one = happen(n=1)
    eventually(lambda: receiver.ids == [one])
    body = Webhook(made["secret"]).verify(receiver.got[0].raw, receiver.got[0].headers)
    assert (body["type"], body["data"]) == ("vaxel.call.record", {"n": 1})
    receiver.text, receiver.answer = b"hello", lambda _got: 201
    tested = api.ask("POST", f"{hook}/test")
    assert {"sent": True, "status": 201, "answer": "hello", "error": ""}.items() <= tested.items()
    got = receiver.got[1]
    assert Webhook(made["secret"]).verify(got.raw, got.headers)["type"] == "vaxel.test"
    rotated = api.ask("POST", f"{hook}/rotate")
    assert rotated["secret"] != made["secret"]
    receiver.answer = lambda got: 500 if len(receiver.got) < 4 else 200
    two = happen(n=2)
    eventually(lambda: len(receiver.got) == 3)
    for secret in (made["secret"], rotated["secret"]):
        Webhook(secret).verify(receiver.got[2].raw, receiver.got[2].headers)
    state = eventually(lambda: (found := api.ask("GET", f"{hook}/state"))["tries"] and found)
    assert state["error"] == "500 Internal Server Error" and state["old_secret_until_ms"]
    assert api.ask("POST", f"{hook}/replay", {"from_seq": int(one[4:])}, status=202) == {
        "from_seq": int(one[4:]), "letters": 0}
    eventually(lambda: receiver.ids[3:] == [one, two])
    eventually(lambda: api.ask("GET", f"{hook}/state")["seq"] >= int(two[4:]))
    items = api.ask("GET", f"{hook}/attempts")["items"]
    assert [item["status"] for item in items] == [200, 200, 500, 201, 204]
    page = api.ask("GET", f"{hook}/attempts", limit=2, after=items[1]["id"])
    assert page["items"] == items[2:4] and page["next"] == items[3]["id"]


def test_dead_letters_over_http(api: Alone, receiver: Receiver) -> None:
    path = api.company()
    tenant = int(path.rpartition("/")[2])
    made = api.ask("POST", f"{path}/webhooks", {"name": "x", "url": receiver.url}, status=201)
    hook = f"{path}/webhooks/{made['id']}"
    api.ask("PATCH", hook, {"enabled": False})
    api.store.add_events([Event(tenant=tenant, at_ms=1, kind="began") for _ in range(3)])
    last = api.store.last_event()
    state = api.store.hook(made["id"]).state
    assert api.store.hook_sent(state, last, [], [
        DeadLetter(event=seq, at_ms=1, tries=9, status=500, error="500")
        for seq in range(last - 2, last + 1)])
    listed = api.ask("GET", f"{hook}/dead-letters", limit=2)
    assert [one["event"] for one in listed["items"]] == [last - 2, last - 1]
    assert listed["next"] == last - 1 and api.ask("GET", f"{hook}/state")["dead_letters"] == 3
    api.ask("POST", f"{hook}/replay", {"event": 10**9}, status=404)
    for body in ({}, {"event": 1, "from_seq": 1}, {"from_seq": -1}, {"all": True}):
        api.ask("POST", f"{hook}/replay", body, status=422)
    assert api.ask("POST", f"{hook}/replay", {"dead_letters": True}, status=202)["letters"] == 3
    api.ask("PATCH", hook, {"enabled": True})
    eventually(lambda: sorted(receiver.ids) == names([last - 2, last - 1, last]))
    eventually(lambda: api.ask("GET", f"{hook}/dead-letters")["items"] == [])


def test_nobody_elses(api: Alone, receiver: Receiver) -> None:
    path, other = api.company(), api.company()
    made = api.ask("POST", f"{path}/webhooks", {"name": "x", "url": receiver.url}, status=201)
    for method, what, body in (("GET", "state", None), ("GET", "attempts", None),
                               ("GET", "dead-letters", None), ("POST", "test", None),
                               ("POST", "rotate", None), ("POST", "replay", {"from_seq": 0})):
        api.ask(method, f"{other}/webhooks/{made['id']}/{what}", body, status=404)
        api.ask(method, f"{path}/webhooks/{made['id']}/{what}", body, status=403,
                key=api.key_of(path, "supervisor"))
    assert not receiver.got


def test_the_test_button_does_not_reach_inwards() -> None:
    inside = Receiver()
    with Alone() as api:
        path = api.company()
        made = api.ask("POST", f"{path}/webhooks", {"name": "x", "url": inside.url}, status=201)
        tested = api.ask("POST", f"{path}/webhooks/{made['id']}/test")
    assert not tested["sent"] and tested["status"] == 0 and not tested["answer"]
    assert "not a public address" in tested["error"] and not inside.got
    inside.close()
