"""Recorded calls of a made-up company, and how fast they are decided again with a changed
configuration.

Where it misleads: the records lie in the page cache, and the company is small enough for the
processor's caches; a real month does a little worse.
"""

import argparse
import json
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from api.whatif.copies import Copy
from api.whatif.decisions import Replay, Two
from api.whatif.past import past
from api.whatif.shapes import Decisions
from api.whatif.then import IN_CALL, Facts, Then
from routing_core import Decision, Kernel
from routing_core.codes import Cause, Endpoint, Kind, Source
from store import SqliteStore
from store.model import (
    Device,
    Forward,
    Member,
    Message,
    Number,
    Prompt,
    RingGroup,
    Route,
    Schedule,
    ScheduleRule,
    Service,
    Target,
    Tenant,
    Trunk,
    User,
)
from store.sqlite import SqliteWriter

SEED: Final = 20261122
#: 2027-01-01, and a month.
BEGIN_MS: Final = 1_798_761_600_000
MONTH_MS: Final = 31 * 86_400_000
USERS: Final = 300
_SECRET: Final = "a" * 26
_COLUMNS: Final = ("uid", "tenant", "direction", "caller", "called", "shown", "started_ms",
                   "answered_ms", "ended_ms", "caller_user", "answerer", "trunk", "rang", "code",
                   "ended_by", "recorded", "revision", "decisions", "call_id")


def furnish(store: SqliteStore) -> int:
    """A company of 300 with numbers, groups, office hours and forwardings; its id."""
    made: list[int] = []

    def work(writer: SqliteWriter) -> None:
        tenant = writer.create(Tenant(name="Months AB", main_number="+46812340000")).id
        made.append(tenant)
        trunk = writer.create(Trunk(name="carrier", host="192.0.2.1", ping=False)).id
        writer.create(Route(trunk=trunk))
        hours = writer.create(Schedule(tenant=tenant, name="Office", rules=(ScheduleRule(
            kind="weekly", open=True, weekdays=(0, 1, 2, 3, 4), start=480, end=1020),))).id
        prompt = writer.create(Prompt(tenant=tenant, name="Closed", text="Closed")).id
        closed = writer.create(Service(tenant=tenant, name="Closed",
                                       settings=Message(prompt=prompt))).id
        users = []
        for i in range(USERS):
            user = writer.create(User(tenant=tenant, name=f"User {i}", extension=str(4000 + i))).id
            users.append(user)
            writer.create(Device(tenant=tenant, user=user, name="Desk", username=f"month-{i}",
                                 secret=_SECRET))
            writer.create(Number(tenant=tenant, e164=f"+4681234{1000 + i}", kind="direct",
                                 target=Target(kind="user", user=user)))
            if i % 3 == 0:
                writer.create(Forward(tenant=tenant, user=user, event="no_answer", target=Target(
                    kind="user", user=users[i // 2])))
        writer.create(Number(tenant=tenant, e164="+46812340000", kind="main",
                             target=Target(kind="user", user=users[0])))
        for i in range(10):
            group = writer.create(RingGroup(
                tenant=tenant, name=f"Group {i}", no_answer=Target(kind="user", user=users[i]),
                strategy=("parallel", "serial", "random")[i % 3])).id
            for user in users[i * 8:i * 8 + 8]:
                writer.create(Member(tenant=tenant, ring_group=group, user=user))
            writer.create(Number(
                tenant=tenant, e164=f"+468123400{10 + i}", schedule=hours,
                target=Target(kind="group", group=group),
                closed_target=Target(kind="service", service=closed)))

    store.change("benchmark", BEGIN_MS, "furnish", work)
    return made[0]


class Made:
    """One call: what was decided, and what was recorded of it."""

    def __init__(self, kernel: Kernel, then: Then) -> None:
        self.kernel = kernel
        self.then = then

    def call(self, source_kind: int, source: int, called: str, calling: str, now: int,
             chance: random.Random, *, busy: tuple[int, ...] = (),
             answers: float = 0.7) -> tuple[list[Facts], Decision]:
        """Attempt by attempt, until somebody answers or it is over. busy: users in a call."""
        facts = Facts(source_kind, source, called, calling, now, chance.getrandbits(64))
        seen = tuple((2, user, IN_CALL) for user in busy)
        found: list[Facts] = []
        while True:
            trail = bytes.fromhex(facts.trail) if facts.trail else None
            decision = self.then.decide(self.kernel, facts, seen, trail, now * 1000, "").decision
            observed = self.kernel.observed()
            found.append(msgspec.structs.replace(
                facts, observed=None if observed is None else observed.hex()))
            targets = decision.targets
            if decision.kind != Kind.RELAY or not targets or targets[0][0] == Endpoint.TO_TRUNK \
                    or chance.random() < answers:
                return found, decision
            now += decision.ring_s
            facts = Facts(0, 0, "", "", now, 0, None, decision.trail.hex(), Cause.NO_ANSWER)


def record(uid: str, tenant: int, facts: list[Facts], decision: Decision, started_ms: int,
           talk_ms: int, revision: int = 1, conversation: str = "") -> dict[str, Any]:
    """The row of a call's record."""
    users = sorted({user for _, _, user in decision.targets if user})
    answered_ms = facts[-1].now * 1000 + 4000 if decision.kind == Kind.RELAY else 0
    first = facts[0]
    outward = bool(decision.targets) and decision.targets[0][0] == Endpoint.TO_TRUNK
    return {
        "uid": uid, "tenant": tenant,
        "direction": "in" if first.source_kind == Source.TRUNK else "out" if outward
        else "internal",
        "caller": first.calling, "called": decision.called_number or first.called,
        "shown": decision.shown_number, "started_ms": started_ms, "answered_ms": answered_ms,
        "ended_ms": max(answered_ms, started_ms) + talk_ms,
        "caller_user": decision.caller_user or None,
        "answerer": users[0] if users and answered_ms else None, "trunk": None,
        "rang": json.dumps(users), "code": 200 if answered_ms else decision.code,
        "ended_by": "caller", "recorded": 0, "revision": revision,
        "decisions": msgspec.json.encode(facts).decode(), "call_id": "",
        "conversation": conversation}


def fill(store: SqliteStore, database: Path, folder: Path, tenant: int, count: int,
         seed: int = SEED) -> None:
    """So many call records of a month, as the kernel itself decided them, written in bulk."""
    copy = Copy(database, folder / "making")
    made = Made(Kernel(copy.snapshot(), live := copy.live()), Then(live))
    chance = random.Random(seed)
    devices = [row.id for row in store.find("device", limit=USERS)]
    users = [row.id for row in store.find("user", limit=USERS)]
    trunk = store.find("trunk", limit=1)[0].id

    def rows() -> Iterator[list[Any]]:
        for i in range(count):
            started_ms = BEGIN_MS + MONTH_MS * i // count
            now = started_ms // 1000
            drawn = chance.random()
            calling = f"+4670{chance.randrange(10_000_000):07d}"
            if drawn < 0.4:
                asked = (Source.TRUNK, trunk, f"+4681234{1000 + chance.randrange(USERS)}", calling)
            elif drawn < 0.6:
                asked = (Source.TRUNK, trunk, f"+468123400{10 + chance.randrange(10)}", calling)
            elif drawn < 0.8:
                asked = (Source.DEVICE, chance.choice(devices), calling, "")
            else:
                asked = (Source.DEVICE, chance.choice(devices),
                         str(4000 + chance.randrange(USERS)), "")
            busy = tuple(chance.sample(users, 3)) if chance.random() < 0.5 else ()
            facts, decision = made.call(*asked, now, chance, busy=busy)
            row = record(f"{started_ms:012x}{i:016x}", tenant, facts, decision, started_ms,
                         chance.randrange(10_000, 400_000))
            yield [row[name] for name in _COLUMNS]

    db = sqlite3.connect(database)
    db.execute("PRAGMA synchronous = OFF")
    db.executemany(f"INSERT INTO call_record ({', '.join(_COLUMNS)}) "
                   f"VALUES ({', '.join('?' * len(_COLUMNS))})", rows())
    db.commit()
    db.close()
    copy.close()


def decide_again(database: Path, folder: Path, tenant: int,
                 change: Callable[[SqliteWriter], Any]) -> tuple[Decisions, float]:
    """The decisions of the month with that change, and calls per second, copying and compiling
    included."""
    began = time.perf_counter()
    copy = Copy(database, folder / "asking")
    before = copy.snapshot()
    copy.store.change("benchmark", BEGIN_MS, "what if", change)
    after, live = copy.snapshot(), copy.live()
    copy.close()
    with past(database, tenant) as found:
        def names(table: str, id_: int) -> str:
            return f"{table} {id_}"

        replay = Replay(found, Two(Kernel(before, live), Kernel(after, live)), Two(names, names),
                        Then(live))
        answer = replay.run(BEGIN_MS, BEGIN_MS + MONTH_MS, lambda done: None)
    return answer, answer.calls / (time.perf_counter() - began)


def bar_mobiles(tenant: int) -> Callable[[SqliteWriter], Any]:
    """A change: no calls to mobiles, and the first group of the company goes to the second's
    people."""
    def change(writer: SqliteWriter) -> None:
        row: Any = writer.get("tenant", tenant)
        writer.replace(msgspec.structs.replace(row, barred=("mobile",)))
        first: Any = writer.find("ring_group", limit=1, tenant=tenant)[0]
        for member in writer.find("member", limit=100, ring_group=first.id)[:4]:
            writer.delete("member", member.id)

    return change


def run(calls: int, say: Callable[[str], None]) -> dict[str, Any]:
    """The figure."""
    with tempfile.TemporaryDirectory(prefix="vaxel-bench-") as path:
        folder = Path(path)
        database = folder / "vaxel.db"
        store = SqliteStore(database)
        store.migrate()
        tenant = furnish(store)
        began = time.perf_counter()
        fill(store, database, folder, tenant, calls)
        say(f"  {calls} call records in {time.perf_counter() - began:.0f} s")
        answer, rate = decide_again(database, folder, tenant, bar_mobiles(tenant))
        store.close()
    say(f"  {answer.differ} of {answer.calls} differ, {answer.as_recorded} as recorded")
    return {"whatif_calls_per_s": round(rate), "whatif_calls": answer.calls,
            "whatif_differ": answer.differ, "whatif_s": round(answer.calls / rate, 1)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    print(json.dumps(run(parser.parse_args().calls, print)))
