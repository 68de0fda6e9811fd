"""The API process, killed 200 times while it writes: what was answered is there, the rest is there
whole or not at all, and every process decides by it."""

import asyncio
import contextlib
import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import httpx
import msgspec
import pytest

from api.figures.counting import Counting
from benchmarks.connection import Answer, Connection
from routing_core import mapping
from routing_core.codes import Kind, Source
from store import SqliteStore
from store.calls import Way
from store.directory import index_everything
from store.figures import QUARTER_MS, FigureKind
from store.model import TABLES, Event, Number, Tenant
from tests.exchange import eventually
from tests.lives import FORKS, Fork, Life, Real
from tests.test_call_lists import ANNA, OWN, answered
from vaxel import settings as settings_file
from vaxel.command import private_settings
from vaxel.demo import Client

#: What a fork has imported already.
FORKS.set_forkserver_preload([__name__])
#: In four states, two of them at a time: two processors are kept busy.
FORKED, BEGUN = 80, 20
HANDS = 6
#: Of who counts figures.
COUNTERS = 15
#: A life lasts so long at most after its first answer.
LIFE_S = 0.3
#: Two in so many are killed while they begin.
EARLY = 8
#: A hand that has so many contacts removes them.
MANY = 60
#: When the first call comes.
BEGIN_MS = 1_767_222_000_000 // QUARTER_MS * QUARTER_MS
PASSWORD = "one more cup of coffee"
#: The name of a thing, and what is to be known of it; None: it is not there.
Key = tuple[str, Any]
Things = dict[Key, Any]


class Wish(NamedTuple):
    """A request, and what becomes of things by it. once: its Idempotency-Key, ""."""

    method: str
    path: str
    body: Any
    change: Things
    once: str = ""
    later: str = ""

    async def ask(self, connection: Connection) -> Answer:
        """Send it."""
        headers = {"Idempotency_Key": self.once} if self.once else {}
        if self.later:
            headers["Effective_From"] = self.later
        return await connection.ask(self.method, self.path, self.body, **headers)


class Hand:
    """Somebody who writes, one thing after the other, to things that nobody else touches."""

    def __init__(self, house: "House", number: int) -> None:
        self.house, self.number = house, number
        self.rng = random.Random(f"{house.seed} {number}")
        self.count = 0
        self.users = [house.post("users", {"name": f"h{number} {i}"}) for i in range(3)]
        for user in self.users:
            house.post("devices", {"user": user, "name": "Desk", "username": f"h{number}-{user}"})
            house.post("numbers", {"e164": self.number_of(user), "target": to(user)})
        self.members = [house.post("members", {"ring_group": house.group, "user": user})
                        for user in self.users]
        self.doubt: Wish | None = None
        self.answered: list[tuple[Wish, bytes]] = []

    def number_of(self, user: int) -> str:
        """The number that a user had first."""
        return f"+4681{self.number:02d}{user:05d}"

    async def work(self) -> None:
        """Until the process dies."""
        async with Connection(*self.house.at, self.house.key) as connection:
            while True:
                wish = self.wish()
                self.doubt = wish
                try:
                    answer = await wish.ask(connection)
                except (OSError, EOFError):
                    return
                if wish.later and answer.status == 422:
                    self.doubt = None  # it arrived too late
                    continue
                assert 200 <= answer.status < 300, (wish, answer)
                self.done(wish, answer.body)

    def done(self, wish: Wish, body: bytes) -> None:
        """It was answered."""
        self.house.expect(wish.change)
        self.doubt = None
        if wish.once:
            self.answered = [*self.answered[-3:], (wish, body)]

    def name(self) -> str:
        """Of a new thing."""
        self.count += 1
        return f"n{self.number} {self.count}"

    def mine(self, kind: str) -> list[str]:
        """The names of what this hand has made, as far as ids are known."""
        return [name for (of, name), value in self.house.expected.items()
                if of == kind and value is not None and (of, name) in self.house.ids
                and str(name).startswith(f"n{self.number} ")]

    def wish(self) -> Wish:
        """Something new."""
        contacts = self.mine("contact")
        if len(contacts) > MANY:
            return self.tidy(contacts)
        pick, = self.rng.choices(
            (self.create, self.change, self.delete, self.batch, self.bring, self.presence,
             self.login, self.key, self.plan, self.lead), (4, 4, 2, 2, 1, 3, 2, 1, 4, 3))
        wish = pick()
        if self.rng.random() < 0.4 and "/import" not in wish.path:
            wish = wish._replace(once=f"{self.house.seed}-{self.name()}".replace(" ", "-"))
        return wish

    def create(self) -> Wish:
        kind, name = self.rng.choice(("user", "contact")), self.name()
        return Wish("POST", f"{self.house.base}/{kind}s", {"name": name},
                    {(kind, name): FRESH[kind]})

    def change(self) -> Wish:
        ring_s, user = self.rng.randint(5, 90), self.rng.choice(self.users)
        return Wish("PATCH", f"{self.house.base}/users/{user}", {"ring_s": ring_s},
                    {("user", self.house.names[user]): ring_s})

    def lead(self) -> Wish:
        """A number leads to another of the users."""
        number, user = (self.rng.choice(self.users) for _ in range(2))
        e164 = self.number_of(number)
        return Wish("PATCH", f"{self.house.base}/numbers/{self.house.ids['number', e164]}",
                    {"target": to(user)}, {("number", e164): user})

    def delete(self) -> Wish:
        kind = self.rng.choice(("user", "contact", "key"))
        names = self.mine(kind)
        if not names:
            return self.create()
        thing = kind, self.rng.choice(names)
        return Wish("DELETE", f"{self.house.base}/{kind}s/{self.house.ids[thing]}", None,
                    {thing: None})

    def batch(self) -> Wish:
        """Some of everything."""
        parts = [self.create() for _ in range(self.rng.randint(1, 8))]
        parts += [self.change(), self.lead(), self.delete()]
        return self.together(parts)

    def tidy(self, contacts: list[str]) -> Wish:
        """Remove much at once."""
        return self.together([
            Wish("DELETE", f"{self.house.base}/contacts/{self.house.ids['contact', name]}", None,
                 {("contact", name): None}) for name in contacts])

    def together(self, parts: list[Wish]) -> Wish:
        return Wish("POST", f"{self.house.base}/batch", {"operations": [
            {"method": part.method, "path": part.path, "body": part.body} for part in parts]},
            {key: value for part in parts for key, value in part.change.items()})

    def bring(self) -> Wish:
        """An import."""
        names = [self.name() for _ in range(self.rng.randint(2, 40))]
        return Wish("POST", f"{self.house.base}/import", {
            "users": [{"id": -1 - at, "name": name} for at, name in enumerate(names[:10])],
            "contacts": [{"id": -1 - at, "name": name, "user": self.rng.choice(self.users)}
                         for at, name in enumerate(names)]},
            {("user", name): FRESH["user"] for name in names[:10]}
            | {("contact", name): FRESH["contact"] for name in names})

    def presence(self) -> Wish:
        user = self.rng.choice(self.users)
        activity = self.rng.choice((None, self.house.activity))
        note = self.name()
        return Wish("PUT", f"{self.house.base}/users/{user}/presence",
                    {"activity": activity, "note": note}, {("presence", user): (activity, note)})

    def login(self) -> Wish:
        member, there = self.rng.choice(self.members), self.rng.random() < 0.5
        return Wish("PUT", f"{self.house.base}/members/{member}/login", {"logged_in": there},
                    {("login", member): there})

    def key(self) -> Wish:
        name = self.name()
        return Wish("POST", f"{self.house.base}/keys", {"name": name, "role": "machine"},
                    {("key", name): FRESH["key"]})

    def plan(self) -> Wish:
        """A contact that is to be made soon."""
        at = datetime.now(UTC) + timedelta(seconds=self.rng.uniform(0.1, 0.8))
        name = f"later {self.name()}"
        return Wish("POST", f"{self.house.base}/contacts", {"name": name},
                    {("planned", name): True}, later=at.isoformat())


#: What is known of something new.
FRESH: Final = {"user": 25, "contact": "", "key": "machine"}


def to(user: int) -> dict[str, Any]:
    """A target."""
    return {"kind": "user", "user": user}


class House:
    """A state directory with a company, hands that write, and what is expected there."""

    def __init__(self, state: Path, seed: int, kind: type[Life]) -> None:
        self.state, self.seed, self.life = state, seed, kind(state)
        self.rng = random.Random(seed)
        self.settings = private_settings(state)
        self.settings.rate_per_s = self.settings.rate_burst = 1_000_000
        settings_file.save(state, self.settings)
        self.at = self.settings.address, self.settings.api_port
        self.expected: Things = {}
        self.ids: dict[Key, int] = {}
        self.names: dict[int, str] = {}
        self.kills: Counter[str] = Counter()

    # -- before ---------------------------------------------------------------------------------

    def furnish(self) -> None:
        """The company, while a first process is up."""
        self.client = Client(self.settings)
        until = time.monotonic() + 30
        while True:
            with contextlib.suppress(httpx.HTTPError):
                self.client.get("/health/live")
                break
            assert time.monotonic() < until, (self.state / "output").read_text()
        self.tenant = self.client.post("/tenants", {"name": "Company"})["id"]
        self.base = f"/v1/tenants/{self.tenant}"
        self.key = self.client.post("/keys", {"tenant": self.tenant, "name": "hands",
                                              "rate_per_s": 100_000})["key"]
        self.trunk = self.client.post("/trunks", {
            "name": "Carrier", "host": "127.0.0.2", "port": 5060, "ping": False,
            "sources": ["ip:127.0.0.2"]})["id"]
        self.activity = self.post("activities", {"name": "Lunch", "reachable": True})
        self.group = self.post("groups", {"name": "All"})
        self.session = self._signed_in()
        self.hands = [Hand(self, number) for number in range(HANDS)]
        self.client.close()
        self.expected = self.things()
        self.kernel = mapping.open_kernel(self.state)
        self.live = mapping.open_live(self.state)

    def post(self, path: str, body: dict[str, Any]) -> int:
        """The id of what was made."""
        return int(self.client.post(f"/tenants/{self.tenant}/{path}", body)["id"])

    def _signed_in(self) -> str:
        account = self.post("accounts", {"email": "anna@first.example", "name": "Anna",
                                         "role": "administrator"})
        token = self.client.post(
            f"/tenants/{self.tenant}/accounts/{account}/invitation", {})["token"]
        self.client.post("/sign-in/password", {"token": token, "password": PASSWORD})
        return str(self.client.post("/sign-in", {
            "email": "anna@first.example", "password": PASSWORD})["token"])

    # -- what is there --------------------------------------------------------------------------

    def expect(self, change: Things) -> None:
        """It is so from now on."""
        self.expected |= change

    def things(self) -> Things:
        """What the store says; nothing is there twice."""
        found: Things = {}
        store = SqliteStore(self.state / "vaxel.db")
        view = store.read_transaction()
        try:
            for kind, table, name, value in (
                    ("user", "user", "name", "ring_s"), ("contact", "contact", "name", "company"),
                    ("number", "number", "e164", "target_user"),
                    ("key", "api_key", "name", "role")):
                for id_, text, said in store.select(table, ("id", name, value),
                                                    tenant=self.tenant):
                    assert (kind, text) not in found, f"{kind} {text!r} is there twice"
                    found[kind, text] = said
                    self.ids[kind, text] = id_
                    if kind == "user":
                        self.names[id_] = text
            for row in store.presences():
                found["presence", row.user] = row.activity, row.note
            for member, there in store.logins():
                found["login", member] = there
            self._planned(store, found)
        finally:
            view.close()
            store.close()
        return found

    def _planned(self, store: SqliteStore, found: Things) -> None:
        """A planned change is done when what it makes is there, and that once."""
        made = {name for kind, name in found if kind == "contact" and name.startswith("later ")}
        for name in made:
            del found["contact", name]
        for row in store.all_planned(self.tenant, limit=100_000):
            name = str(msgspec.json.decode(row.body)["name"])
            assert ("planned", name) not in found, f"{name} is planned twice"
            assert row.state == ("done" if name in made else "waiting"), row
            found["planned", name] = True
        assert not {name for name in made if ("planned", name) not in found}

    def settle(self) -> None:
        """What was not answered is there whole or not at all; everything else is as expected."""
        found = self.things()
        for hand in self.hands:
            if hand.doubt is None:
                continue
            change = hand.doubt.change
            now = {key: found.get(key) for key in change}
            if now == change:
                self.expect(change)
                self.kills["done"] += 1
            else:
                before = {key: self.expected.get(key) for key in change}
                assert now == before, (hand.doubt, difference(before, now))
                self.kills["undone"] += 1
        there = {key: value for key, value in self.expected.items() if value is not None}
        assert found == there, difference(there, found)

    # -- lives ----------------------------------------------------------------------------------

    async def live_once(self) -> None:
        """Begin, look, write, die, look."""
        early = self.rng.randrange(EARLY)
        after_s = self.rng.uniform(0, LIFE_S)
        self.life.begin()
        if early:
            await self.up()
        if early < 2:  # it begins, or makes what was planned for when it was not there
            await asyncio.sleep(after_s / 4 if early else after_s)
            self.kills["early"] += 1
            self.life.kill()
            return
        await self.repeat()
        self.agree()
        working = asyncio.gather(*(hand.work() for hand in self.hands))
        await asyncio.sleep(after_s)
        self.life.kill()
        await working
        self.kills["late"] += 1
        self.settle()

    async def up(self) -> None:
        """Until it answers."""
        until = time.monotonic() + 30
        while True:
            try:
                async with Connection(*self.at, self.key) as connection:
                    assert (await connection.ask("GET", "/v1/health/live")).status == 200
                    return
            except (OSError, EOFError):
                assert time.monotonic() < until, (self.state / "output").read_text()[-3000:]
                await asyncio.sleep(0.01)

    async def repeat(self) -> None:
        """What has an Idempotency-Key, again: the same answer, and nothing twice. Keys and sessions
        are what they were."""
        async with Connection(*self.at, self.key) as connection:
            for hand in self.hands:
                for wish, body in hand.answered:
                    answer = await wish.ask(connection)
                    assert answer.headers.get("idempotency-replayed") == "true", (wish, answer)
                    assert answer.body == body, wish
                doubt, hand.doubt = hand.doubt, None
                if doubt is None or not doubt.once:
                    continue
                was_done = all(self.expected.get(key) == value
                               for key, value in doubt.change.items())
                if doubt.later and not was_done:
                    continue  # its time may be over
                answer = await doubt.ask(connection)
                assert 200 <= answer.status < 300, (doubt, answer)
                if was_done and doubt.method == "POST":
                    assert answer.headers.get("idempotency-replayed"), (doubt, answer)
                    self.kills["replayed"] += 1
                hand.done(doubt, answer.body)
            self.settle()
        async with Connection(*self.at, self.session) as connection:
            assert (await connection.ask("GET", "/v1/me")).status == 200

    def agree(self) -> None:
        """The kernel and the live state say what the store says."""
        now_s = int(time.time())
        for hand in self.hands:
            for number in hand.users:
                e164 = hand.number_of(number)
                user = self.expected["number", e164]
                decision = self.kernel.decide(Source.TRUNK, self.trunk, e164, "+46701112233",
                                              now_s, 7)
                assert decision.kind == Kind.RELAY
                assert {target[2] for target in decision.targets} == {user}, e164
                assert decision.ring_s == self.expected["user", self.names[user]], e164
                activity = self.expected.get(("presence", number), (None, ""))[0]
                assert self.live.presence(number) == (activity or 0, 0)
            for member in hand.members:
                assert self.live.is_logged_in(member) \
                    == self.expected.get(("login", member), True)

    # -- after ----------------------------------------------------------------------------------

    async def end(self) -> None:
        """Every planned change is made, once; then the whole store is looked through."""
        self.life.begin()
        await self.up()
        await self.repeat()
        self.agree()
        store = SqliteStore(self.state / "vaxel.db")
        until = time.monotonic() + 20
        while store.planned_waiting(self.tenant):
            assert time.monotonic() < until, "planned changes wait"
            await asyncio.sleep(0.05)
        self.life.kill()
        self.settle()
        rows = {table: {row.id: msgspec.json.decode(msgspec.json.encode(row))
                        for row in store.find(table, limit=1_000_000)} for table in TABLES}
        assert rows_by_changes(store) == {table: some for table, some in rows.items() if some}
        numbers = [revision.id for revision in store.revisions(limit=1_000_000)]
        assert numbers == list(range(1, len(numbers) + 1))
        store.close()
        whole(self.state / "vaxel.db")

    def close(self) -> None:
        """Nothing is left."""
        self.life.close()
        mapping.remove_live(self.state)


def difference(wanted: Things, found: Things) -> str:
    """For people."""
    keys = sorted({key for key in wanted.keys() | found.keys()
                   if wanted.get(key) != found.get(key)}, key=str)
    return "; ".join(f"{key}: {wanted.get(key)!r} is {found.get(key)!r}" for key in keys[:20])


def rows_by_changes(store: SqliteStore) -> dict[str, dict[int, Any]]:
    """The configuration as its revisions made it, one after the other."""
    found: dict[str, dict[int, Any]] = {}
    for revision in store.revisions(limit=1_000_000):
        for change in revision.changes:
            rows = found.setdefault(change.table, {})
            assert rows.get(change.id) == change.before, (revision.id, change)
            if change.after is None:
                del rows[change.id]
            else:
                rows[change.id] = change.after
    return {table: rows for table, rows in found.items() if rows}


def whole(path: Path) -> None:
    """SQLite finds nothing wrong, and the directory's index is what its rows make."""
    copy = path.with_name("copy.db")
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        database.execute("INSERT INTO directory (directory) VALUES ('integrity-check')")
        database.rollback()
        database.execute("VACUUM INTO ?", (str(copy),))
    with contextlib.closing(sqlite3.connect(copy)) as database:
        words = "SELECT rowid, words FROM directory ORDER BY rowid"
        kept = database.execute(words).fetchall()
        database.execute("DELETE FROM directory")
        index_everything(database)
        assert database.execute(words).fetchall() == kept


@pytest.fixture(name="houses")
def two_houses(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[House]]:
    """Two states of their own, with processes of that kind."""
    made: list[House] = []
    kind, seed = request.param
    try:
        for number in (1, 2):
            state = tmp_path / f"state{number}"
            state.mkdir()
            made.append(House(state, seed + number, kind))
        yield made
    finally:
        for house in made:
            house.close()
        shutil.rmtree(tmp_path)


@pytest.mark.parametrize(("houses", "lives"), [((Fork, 10), FORKED), ((Real, 20), BEGUN)],
                         ids=["forks", "processes"], indirect=["houses"])
def test_nothing_is_lost_and_nothing_is_half(houses: list[House], lives: int) -> None:
    async def one(house: House) -> None:
        for _ in range(lives):
            await house.live_once()
        await house.end()

    async def all_of_them() -> None:
        await asyncio.gather(*(one(house) for house in houses))

    for house in houses:
        house.life.begin()
        house.furnish()
        house.life.kill()
    asyncio.run(all_of_them())
    counts = sum((house.kills for house in houses), Counter[str]())
    print(dict(counts))
    assert counts["early"] + counts["late"] == lives * len(houses)
    assert counts["done"] and counts["undone"] and counts["replayed"]


# -- figures -----------------------------------------------------------------------------------

def come_and_count(state: Path) -> None:
    """Calls and what queues tell come, and are counted, until the process dies."""
    store = SqliteStore(state / "vaxel.db")
    counting, rng = Counting(store), random.Random(store.last_event())
    while True:
        at_ms = BEGIN_MS + 60_000 * store.last_event()
        store.add_call(answered(f"{at_ms}", at_ms, caller_user=rng.choice((None, ANNA))),
                       [Way(kind="group", subject=rng.randint(1, 3))])
        by = {"queue": rng.randint(1, 2), "caller": at_ms, "agent": ANNA, "attempt": at_ms}
        store.add_events([
            Event(tenant=1, at_ms=at_ms + after_ms, kind="queue", call=f"{at_ms}",
                  data=by | {"what": what, "x": after_ms, "y": 1})
            for what, after_ms in (("entered", 0), ("offer", 1), ("answered", 9000),
                                   ("talk_ended", 30_000), ("ready", 30_000))])
        if rng.random() < 0.3:
            counting.count_events()
            counting.count_calls()


def figures(database: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """All that is kept."""
    return database.execute("SELECT * FROM figure ORDER BY tenant, kind, subject, span_ms, at_ms"
                            ).fetchall()


def count_all(path: Path) -> None:
    """Until nothing is due."""
    store = SqliteStore(path)
    counting = Counting(store)
    while counting.count_events() or counting.count_calls() or store.figures_due(limit=1):
        pass
    store.close()


def test_figures_of_a_keeper_that_is_killed(tmp_path: Path) -> None:
    """They are what is counted from the beginning."""
    path, again = tmp_path / "vaxel.db", tmp_path / "again.db"
    store = SqliteStore(path)
    store.migrate()
    for row in (Tenant(name="One"), Number(tenant=1, e164=OWN)):
        store.change("test", 0, "", lambda writer, row=row: writer.create(row))
    rng, counter = random.Random(7), Fork(tmp_path, come_and_count)
    for _ in range(COUNTERS):
        before = store.last_event()
        counter.begin()
        eventually(lambda before=before: store.last_event() > before, 30)
        asyncio.run(asyncio.sleep(rng.uniform(0, LIFE_S)))
        counter.kill()
    store.close()
    count_all(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        kept = figures(database)
        assert {row[1] for row in kept} == {*get_args(FigureKind)}
        database.execute("VACUUM INTO ?", (str(again),))
    with contextlib.closing(sqlite3.connect(again)) as database:
        database.execute("DELETE FROM figure")
        database.execute("DELETE FROM figure_state")
        database.execute("INSERT OR REPLACE INTO figure_due SELECT DISTINCT tenant, "
                         f"started_ms / {QUARTER_MS} * {QUARTER_MS}, 1 FROM call_item")
        database.commit()
    count_all(again)
    with contextlib.closing(sqlite3.connect(again)) as database:
        assert figures(database) == kept
