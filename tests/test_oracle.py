"""The kernel against the oracle, on random worlds (Hypothesis): both must decide the same.

One example is one small world, one instant and a few calls with what follows their failed attempts.
A world is made from a seed and a size, so that a failure prints what to look at and shrinks.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing_core import build, overlay
from routing_core.codes import Cause, Display, Kind, Reason, Source
from routing_core.decision import Decision
from routing_core.explain import explain
from routing_core.kernel import Kernel
from routing_core.live import Live, format_live, live_size
from routing_core.rows import COLUMNS, DEVICE_KINDS, SORTED
from routing_core.snapshot import Snapshot
from store import model
from store.model import ScheduleRule, Target
from store.rows import MASKS
from tests.oracle import LiveCall, Outcome, World, contact_name, decide

PLANS: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "configs" / "number_plans.json").read_text())
CLASSES: Final = MASKS["barred"]
SECRET: Final = "a" * 26
#: Room of the live file.
USERS, MEMBERS, TRUNKS, SLOTS = 128, 512, 32, 8

OUTSIDE: Final = (
    "+46812345678", "+46701234567", "+46900123456", "+46771234567", "+4620123456", "+46700000",
    "+358401234567", "+358600123456", "+358291234567", "+441234567890", "+80012345678",
    "+870123456789", "+99012345678",
)
#: Numbers of targets as nobody should have stored them.
AS_WRITTEN: Final = (
    "+460900123456", "+4600900123456", "+460812345678", "+358118", "+46118118", "+358112",
    "+35816100", "+467000", "+3580600123456", "+390612345678",
)
EXTENSIONS: Final = ("11", "12", "1001", "1002", "11414", "112", "1177", "99012", "990123", "200")
GARBAGE: Final = (
    "", "+", "0", "00", "000", "0012", "01", "+0123456", "12345678", "123456789", "abc", "12a",
    "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7", "1234567890123456", "12345678901234567890", "#31#",
    "*51*", "*55*12", "++4612345678", "46+12345678", "990", "9901", "99012345", "00012345678",
    "1-0-0-1", "(10)02", "１００１", "+12345", "990+4612345678", "#31##31#1001", "46 81 23 45 67 8",
    "000000000000000000000000", "0070123456789012345",
)
NAMES: Final = ("Anna Ek", "Åsa Öberg", " x\u202ey ", "\u202e", "ö" * 40, "x" * 63 + " y",
                "漢" * 50)
SHORT: Final = ("112", "11414", "1177", "116117", "118", "90510", "118800", "16100")
NOWS: Final = (
    1774742400, 1774746000, 1774749600,     # around the change to summer time, 2026-03-29
    1792886400, 1792890000, 1792893600,     # and back, 2026-10-25
    1781820000, 1782424800, 1767225600, 1798671600,     # Midsummer's Eve, New Year
    1772402400, 1798156800, 1766620800,
)


# -- worlds -------------------------------------------------------------------------------------

class Maker:
    """Makes one world from a source of chance."""

    def __init__(self, chance: Random, size: int, now: int) -> None:
        self.chance, self.size, self.now = chance, size, now
        self.maybe = lambda p: chance.random() < p
        one = chance.choice
        self.tenants = range(1, chance.randint(1, 2) + 1)
        self.countries = {t: one(("SE", "SE", "FI")) for t in self.tenants}
        self.users = {u: one(self.tenants) for u in range(1, chance.randint(1, size) + 1)}
        self.chain = chance.random() < 0.05     # everybody forwards to the next one
        self.groups = {g: one(self.tenants) for g in range(1, chance.randint(0, 3) + 1)}
        self.trunks = range(1, one((0, 1, 2, 3, 1, 2, 3, 1, 2, 3, 12)) + 1)
        self.areas = range(1, chance.randint(0, 2) + 1)
        self.schedules = {s: one(self.tenants) for s in range(1, chance.randint(0, 2) + 1)}
        self.activities = {a: one(self.tenants) for a in range(1, chance.randint(0, 4) + 1)}
        self.own = {t: [f"+{PLANS[c]['country_code']}{area}555{t}{n}" for n in range(4)
                        for area in ("8", "70")] for t, c in self.countries.items()}

    def some(self, ids: Any, tenant: int) -> int | None:
        """One of the tenant's, seldom somebody else's, None when there is none."""
        mine = [i for i in ids if ids[i] == tenant] if self.maybe(0.95) else [*ids, 99]
        return self.chance.choice(mine) if mine else None

    def target(self, tenant: int) -> Target | None:
        kind = self.chance.choice(
            ("user", "user", "user", "group", "group", "number", "number", "busy", "service"))
        user = self.some(self.users, tenant) if kind == "user" else None
        group = self.some(self.groups, tenant) if kind == "group" else None
        if kind in ("user", "group") and not user and not group:
            return None
        text = None
        if kind == "number":
            numbers = [n for own in self.own.values() for n in own]
            text = self.chance.choice(numbers if self.maybe(0.6) else (*OUTSIDE, *AS_WRITTEN))
        return Target(kind=kind, user=user, group=group, text="7" if kind == "service" else text)

    def barred(self) -> tuple[Any, ...]:
        return tuple(self.chance.sample(CLASSES, 2)) if self.maybe(0.3) else ()

    def area(self) -> int | None:
        return self.chance.choice(self.areas) if self.areas and self.maybe(0.4) else None

    def extension(self, tenant: int, taken: set[tuple[int, str]]) -> str | None:
        found = self.chance.choice(EXTENSIONS)
        if (tenant, found) in taken or self.maybe(0.1):
            return None
        taken.add((tenant, found))
        return found

    def rule(self) -> ScheduleRule:
        one, chance = self.chance.choice, self.chance
        kind = one(("daily", "weekly", "monthly", "yearly", "holiday", "dates"))
        first, last = one(("02-29", "12-24", "10-25", "01-01", "06-19")), one(("01-06", "12-31"))
        days = sorted((chance.randint(1, 31), chance.randint(1, 31)))
        return ScheduleRule(
            kind=kind, open=self.maybe(0.6), priority=one((0, 0, 1, 2)),
            start=one((0, 1, 60, 119, 120, 480, 1320, 1439)),
            end=one((0, 60, 120, 121, 180, 480, 1020, 1440)),
            weekdays=tuple(chance.sample(range(7), chance.randint(0, 7))),
            from_day=days[0], to_day=days[1],
            from_date=f"2026-{first}".replace("02-29", "02-28") if kind == "dates" else first,
            to_date=f"202{one((6, 7))}-{last}" if kind == "dates" else last)

    def world(self) -> World:
        one, maybe, chance = self.chance.choice, self.maybe, self.chance
        rows: dict[str, list[Any]] = {table: [] for table in COLUMNS if table != "trunk_source"}
        zones = ("Europe/Stockholm", "Europe/Helsinki", "Europe/London", "UTC")
        taken: set[tuple[int, str]] = set()
        for t in self.tenants:
            rows["tenant"].append(model.Tenant(
                id=t, name="t", country=self.countries[t], barred=self.barred(), area=self.area(),
                main_number=one((*self.own[t][:2], OUTSIDE[0], None)),
                support_number=one((self.own[t][2], None)),
                foreign_number=one(("refuse", "replace")),
                activity_end=one(("available", "inform"))))
        for u, t in self.users.items():
            rows["user"].append(model.User(
                id=u, tenant=t, name="u", extension=self.extension(t, taken),
                display=one(("main", "direct", "mobile", "support", "hidden")),
                barred=self.barred(), area=self.area(), ring_s=chance.randint(3, 180),
                enabled=maybe(0.9), record=maybe(0.1), call_waiting=maybe(0.3),
                call_functions=maybe(0.1)))
            for _ in range(one((0, 1, 1, 1, 2, 6)) or (u == 1)):
                d = len(rows["device"]) + 1
                rows["device"].append(model.Device(
                    id=d, tenant=t, user=u, name="d", kind=one(DEVICE_KINDS),
                    username=f"device{d}", secret=SECRET, area=self.area(), enabled=maybe(0.9),
                    display=one((None, None, None, "main", "direct", "mobile", "hidden"))))
            if self.chain and u + 1 in self.users:
                rows["forward"].append(model.Forward(
                    tenant=t, user=u, event="always", target=Target(kind="user", user=u + 1)))
            for _ in range(one((0, 0, 1, 3))):
                row = model.Forward(
                    tenant=t, user=u, target=self.target(t) or Target(kind="busy"),
                    event=one(("always", "busy", "no_answer", "unreachable", "activity",
                               "activity", "activity")), called=one(("any", "fixed", "mobile")))
                if row.event == "activity" and maybe(0.6):
                    row = msgspec.structs.replace(row, activity=self.some(self.activities, t))
                rows["forward"].append(row)
        for t in self.tenants:
            for n in self.own[t]:
                if maybe(0.75):
                    kind = one(("main", "direct", "direct", "mobile", "support", "extra"))
                    mine = [u for u in self.users if self.users[u] == t]
                    target = Target(kind="user", user=one(mine)) if mine else None
                    if kind not in ("direct", "mobile") or not mine:
                        kind, target = one(("main", "extra")), self.target(t)
                    rows["number"].append(model.Number(
                        tenant=t, e164=n, kind=kind, record=maybe(0.1), target=target,
                        schedule=self.some(self.schedules, t) if maybe(0.3) else None,
                        closed_target=self.target(t) if maybe(0.3) else None))
        chance.shuffle(rows["number"])
        for a, t in self.activities.items():
            rows["activity"].append(model.Activity(
                id=a, tenant=t, name="a", reachable=maybe(0.5), in_groups=maybe(0.5),
                role=one(("none", "work", "mobile"))))
        for g, t in self.groups.items():
            rows["ring_group"].append(model.RingGroup(
                id=g, tenant=t, name="g", extension=self.extension(t, taken),
                strategy=one(("parallel", "serial", "random")), ring_s=chance.randint(3, 180),
                attempts=chance.randint(1, 3), skip_busy=maybe(0.7), record=maybe(0.1),
                no_answer=self.target(t) if maybe(0.5) else None,
                nobody=self.target(t) if maybe(0.5) else None))
            users = [u for u, x in self.users.items() if x == t or maybe(0.05)]
            for u in chance.sample(users, chance.randint(0, len(users))):
                rows["member"].append(model.Member(
                    id=len(rows["member"]) + 1, tenant=t, ring_group=g, user=u,
                    priority=chance.randint(0, 2), device_kinds=DEVICE_KINDS if maybe(0.6)
                    else tuple(chance.sample(DEVICE_KINDS, 2))))
        for s, t in self.schedules.items():
            rows["schedule"].append(model.Schedule(
                id=s, tenant=t, name="s", time_zone=one(zones), country=one(("SE", "FI")),
                state=one(("auto", "auto", "auto", "auto", "open", "closed")),
                rules=tuple(self.rule() for _ in range(chance.randint(0, 4)))))
        for k in self.trunks:
            rows["trunk"].append(model.Trunk(
                id=k, name="k", host="h", tenant=one((None, None, *self.tenants)),
                country=one(("SE", "FI")), ring_s=chance.randint(3, 180), enabled=maybe(0.9)))
        for _ in range(chance.randint(0, 8) if len(self.trunks) < 9 else 40):
            if self.trunks:
                prefix = one(("", "", "46", "467", "4670", "46700", "467000000", "358", "35840"))
                rows["route"].append(model.Route(
                    tenant=one((None, *self.tenants)), trunk=one(self.trunks),
                    prefix=prefix if len(self.trunks) < 9 else "",
                    position=one((0, 0, 0, 1)), weight=one((1, 1, 2, 1000))))
        for a in self.areas:
            rows["area"].append(model.Area(
                id=a, name="a", centre=one(("112", "+46812345678", "+3589123456", "90510")),
                location=one(("", "https://x/1")),
                trunk=one(self.trunks) if self.trunks and maybe(0.5) else None))
        names = [*OUTSIDE, *EXTENSIONS, *EXTENSIONS, *(n for own in self.own.values() for n in own)]
        for u in self.users:
            for name in chance.sample(sorted(set(names)), one((0, 0, 3, 8))):
                rows["caller_rule"].append(model.CallerRule(
                    tenant=1, user=u, number=name, rule=one(("vip", "blocked"))))
        world = World(PLANS, rows)
        self.live(world)
        self.contacts(world)
        return world

    def contacts(self, world: World) -> None:
        one, maybe = self.chance.choice, self.maybe
        known = [*OUTSIDE, *(n for own in self.own.values() for n in own)]
        for _ in range(one((0, 1, 5, 20, 20))):
            tenant = one(self.tenants)
            owner = one([None, *(u for u, t in self.users.items() if t == tenant)])
            world.rows["contact"].append(model.Contact(
                id=len(world.rows["contact"]) + 1, tenant=tenant, user=owner, shared=maybe(0.5),
                name=one(NAMES), numbers=tuple(model.ContactNumber(e164=number) for number in
                                               self.chance.sample(known, one((1, 3, 8))))))

    def live(self, world: World) -> None:
        one, maybe, now = self.chance.choice, self.maybe, self.now
        for u, t in self.users.items():
            activities = [a for a in self.activities if self.activities[a] == t]
            if activities and maybe(0.5):
                until = one((0, 0, now - 99, now - 1, now, now + 1, now + 99))
                world.presence[u] = (one(activities), until)
        world.logged_in = {row.id for row in world.rows["member"] if maybe(0.7)}
        world.down_until = {k: one((now - 1, now, now + 9)) for k in self.trunks if maybe(0.3)}
        for _ in range(one((0, 0, 1, 3))):
            user = self.chance.choice([0, *self.users])
            other = self.chance.choice(list(self.users))
            world.calls.append(LiveCall(user, [other], other if maybe(0.5) else None,
                                        now + one((-5, 0, 60))))


# -- the same world for the kernel --------------------------------------------------------------

def values(table: str, row: Any) -> tuple[Any, ...]:
    """A row as the compiler takes it."""
    found: list[Any] = []
    for column in COLUMNS[table]:
        name, _, part = column.rpartition("_")
        if hasattr(row, column):
            value = getattr(row, column)
            if column in MASKS:
                value = sum(1 << MASKS[column].index(item) for item in set(value))
            elif column in ("rules", "numbers"):
                value = msgspec.json.encode(value).decode()
            found.append(value)
        else:
            target = getattr(row, name)
            found.append(target and getattr(target, part))
    return tuple(found)


def sorted_rows(world: World, table: str) -> list[tuple[Any, ...]]:
    found = [values(table, row) for row in world.rows.get(table, ())]
    if table == "member":
        found.sort(key=lambda row: (row[0], row[3], row[1]))
    elif table in SORTED:
        found.sort(key=lambda row: row[0] or 0)
    return found


def base_of(world: World) -> bytes:
    builder = build.BaseBuilder(PLANS)
    for table in COLUMNS:
        builder.add(table, sorted_rows(world, table))
    header, body = builder.finish(1, 1)
    return bytes(header) + bytes(body)


def live_of(world: World, now: int) -> Live:
    buffer = bytearray(live_size(USERS, MEMBERS, TRUNKS, SLOTS))
    format_live(buffer, USERS, MEMBERS, TRUNKS, SLOTS, 1)
    live = Live(buffer)
    for user, (activity, until) in world.presence.items():
        live.set_presence(user, activity, until)
    for member in world.logged_in:
        live.set_logged_in(member, True)
    for trunk, until in world.down_until.items():
        live.set_trunk_down(trunk, until)
    for number, call in enumerate(world.calls, 1):
        nonce, ms = number << 40, now * 1000
        slot = live.claim(nonce, ms, now + 60, 1, call.caller)
        live.ring(slot, nonce, call.ringing, ms, now + 60)
        if call.answerer:
            live.answer(slot, nonce, call.answerer, ms, now + 60)
        live.renew(slot, nonce, call.lease_until)
    return live


# -- calls --------------------------------------------------------------------------------------

class Call(msgspec.Struct, frozen=True):
    """A call and what happens to it; picks are indexes into what can be dialled in the world."""

    device: bool
    source: int
    code: str
    dialled: tuple[int, int]
    calling: tuple[int, int]
    wanted: tuple[int, int] | None
    seed: int
    then: tuple[tuple[Cause, int, int], ...]


def text_of(world: World, pick: int, habit: int) -> str:
    """Something to dial: a number in one of the ways in which people dial it."""
    rows = world.rows
    own = [row.e164 for row in rows["number"]]
    inside = [row.extension for row in (*rows["user"], *rows["ring_group"]) if row.extension]
    pool = [*own * 3, *inside * 5, *OUTSIDE, *SHORT, *GARBAGE]
    text = pool[pick % len(pool)]
    if text.startswith("+") and text in (*own, *OUTSIDE):
        at = 3 if text.startswith("+46") else 4
        code, rest = text[1:at], text[at:]
        return (text, "00" + text[1:], text[1:], f"0{rest}", "990" + text[1:],
                f"{text[:3]} ({text[3:5]}) {text[5:]}", f"+{code} (0){rest}", f"00{code}0{rest}",
                f"{code}0{rest}", f"+{code}00{rest}")[habit]
    if text in SHORT:
        return (text, f"0{text}", f"+46{text}", f"0046{text}", f"00358{text}", f"+358{text}",
                f"+46 0{text}", f"8{text}", f"08{text}", f"990358{text}")[habit]
    return text


PICKS: Final = st.tuples(st.integers(0, 999), st.integers(0, 9))
CALLS: Final = st.builds(
    Call, device=st.booleans(), source=st.integers(0, 40),
    code=st.sampled_from(("", "", "", "#31#", "*51*", "*52*", "*53*", "*54*")), dialled=PICKS,
    calling=PICKS, wanted=st.none() | PICKS, seed=st.integers(0, 2**64 - 1),
    then=st.lists(st.tuples(st.sampled_from([c for c in Cause if c]), st.integers(0, 999),
                            st.integers(0, 9)), max_size=5).map(tuple))


def seen(decision: Decision) -> dict[str, Any]:
    """What is compared: display and diverters only where somebody is to ring."""
    rings = decision.kind in (Kind.RELAY, Kind.EMERGENCY)
    return {
        "kind": decision.kind, "reason": decision.reason, "code": decision.code,
        "targets": decision.targets, "ring_s": decision.ring_s,
        "display": decision.display if rings else 0,
        "shown": decision.shown_number if rings else "", "hidden": decision.hidden and rings,
        "dial": decision.number_to_dial, "service": decision.service_id,
        "group": decision.group, "record": bool(decision.record), "tenant": decision.tenant,
        "location": decision.location, "name": decision.caller_name,
        "diverters": list(decision.diverters) if decision.kind != Kind.REJECT else [],
    }


def expected(outcome: Outcome) -> dict[str, Any]:
    trail, rings = outcome.trail, outcome.kind in (Kind.RELAY, Kind.EMERGENCY)
    return {
        "kind": outcome.kind, "reason": outcome.reason, "code": outcome.code,
        "targets": outcome.targets, "ring_s": outcome.ring_s,
        "display": outcome.display, "shown": outcome.shown, "dial": outcome.dial,
        "hidden": rings and (outcome.display == Display.HIDDEN or not (
            trail.caller_user or trail.caller)),
        "service": outcome.service, "group": trail.group if rings else 0,
        "record": trail.record, "tenant": trail.tenant, "location": outcome.location,
        "name": outcome.name,
        "diverters": list(reversed(trail.diverters)) if outcome.kind != Kind.REJECT else [],
    }


def decisions(kernel: Kernel, world: World, now: int, call: Call,
              ) -> Iterator[tuple[tuple[Any, ...], Decision, Outcome]]:
    """(arguments, the kernel's decision, the oracle's) of a call and of what follows it."""
    ids = [row.id for row in world.rows["device" if call.device else "trunk"]]
    source = (*ids * 20, 0, 99)[call.source % (len(ids) * 20 + 2)]
    kind = Source.DEVICE if call.device else Source.TRUNK
    called = call.code + text_of(world, *call.dialled)
    calling = text_of(world, *call.calling) if call.calling[0] % 5 else ""
    wanted = None if not call.wanted else "anonymous" if call.wanted[0] % 4 == 0 \
        else text_of(world, *call.wanted)
    arguments: tuple[Any, ...] = (kind, source, called, calling, now, call.seed, wanted)
    decision = kernel.decide(*arguments)
    outcome = decide(world, call.device, source, called, calling, now, call.seed, wanted or "")
    yield arguments, decision, outcome
    for step, (cause, pick, habit) in enumerate(call.then, 1):
        if decision.kind not in (Kind.RELAY, Kind.EMERGENCY):
            return
        text = text_of(world, pick, habit) if cause == Cause.REDIRECTED else called
        arguments = (kind, source, text, calling, now + step, call.seed, wanted, decision.trail,
                     cause)
        decision = kernel.decide(*arguments)
        outcome = decide(world, call.device, source, text, calling, now + step, call.seed,
                         wanted or "", outcome.trail, cause)
        yield arguments, decision, outcome


def check(kernel: Kernel, arguments: tuple[Any, ...], decision: Decision, outcome: Outcome,
          world: World) -> None:
    """The oracle's view, and the same decision when it is explained and when it is replayed."""
    found, wanted = seen(decision), expected(outcome)
    if found != wanted:
        differ = {name: f"kernel {found[name]!r}, oracle {wanted[name]!r}"
                  for name in found if found[name] != wanted[name]}
        trace: list[Any] = []
        kernel.decide(*arguments, trace=trace)
        rows = "\n".join(repr(row) for table in world.rows.values() for row in table)
        live = (world.presence, world.logged_in, world.calls, world.down_until)
        raise AssertionError(f"{arguments}\n{differ}\n{explain(trace)}\n{rows}\n{live}")
    observed = kernel.observed()
    trace = []
    assert kernel.decide(*arguments, trace=trace).key() == decision.key()
    assert trace
    if observed is not None:    # it may have been too much
        again, faithful = kernel.replay(observed, *arguments)
        assert faithful
        assert again.key() == decision.key()


SEEDS: Final = st.integers(0, 2**32 - 1)
SIZES: Final = st.sampled_from((1, 2, 3, 4, 5, 6) * 16 + (12, 12, 80))
INSTANTS: Final = st.sampled_from(NOWS) | st.integers(1767225600, 1798761599)


def test_kernel_decides_as_the_oracle() -> None:
    """20 000 worlds; every kind of decision and every reason must turn up."""
    count: Counter[str] = Counter()

    @settings(max_examples=20_000, deadline=None, derandomize=True, database=None,
              print_blob=True, suppress_health_check=list(HealthCheck))
    @given(seed=SEEDS, size=SIZES, now=INSTANTS, calls=st.lists(CALLS, min_size=1, max_size=3))
    def compare(seed: int, size: int, now: int, calls: list[Call]) -> None:
        world = Maker(Random(seed), size, now).world()
        kernel = Kernel(Snapshot(base_of(world)), live_of(world, now))
        for call in calls:
            for arguments, decision, outcome in decisions(kernel, world, now, call):
                check(kernel, arguments, decision, outcome, world)
                count["all"] += 1
                count[Kind(decision.kind).name] += 1
                count["named"] += bool(decision.caller_name)
                count[Reason(decision.reason).name] += 1

    compare()
    print(dict(count))
    assert count["all"] >= 20_000 and count["named"] >= 100
    assert not {name for name in (*Kind.__members__, *Reason.__members__) if not count[name]}


# -- the same rows as single changes --------------------------------------------------------------

def overlay_of(world: World) -> bytearray:
    """Every row published on its own over an empty base."""
    rows = {table: sorted_rows(world, table) for table in world.rows}
    changes: list[dict[tuple[str, int], bytes]] = [
        {("routes", 0): overlay.pack_routes([row for row in rows["route"] if not row[0]])}]
    for row in rows["tenant"]:
        changes.append(overlay.pack_tenant(row, [it for it in rows["route"] if it[0] == row[0]]))
    for row in rows["user"]:
        own = [(it[2], it[0]) for it in rows["number"] if it[3] == "user" and it[4] == row[0]]
        changes.append(overlay.pack_user(
            row, [it for it in rows["device"] if it[1] == row[0]],
            [it for it in rows["forward"] if it[0] == row[0]], own,
            any(it[0] == row[0] for it in rows["caller_rule"])))
    for row in rows["ring_group"]:
        changes.append(overlay.pack_group(row, [it for it in rows["member"] if it[0] == row[0]]))
    for table in ("user", "ring_group"):
        changes += [overlay.pack_extension(row[1], row[2], table.removeprefix("ring_"), row[0])
                    for row in rows[table] if row[2]]
    for table, pack in (("device", overlay.pack_device), ("number", overlay.pack_number),
                        ("activity", overlay.pack_activity), ("schedule", overlay.pack_schedule),
                        ("trunk", overlay.pack_trunk), ("area", overlay.pack_area)):
        changes += [pack(row) for row in rows[table]]
    changes += [overlay.pack_caller_rule(*row) for row in rows["caller_rule"]]
    changes += [overlay.pack_caller_name(tenant, number, contact_name(world, tenant, number))
                for tenant, number in {(row.tenant, one.e164) for row in world.rows["contact"]
                                       for one in row.numbers}]
    buffer = bytearray(overlay.overlay_size(1 << 18))
    overlay.format_overlay(buffer, 1, 1)
    writer = overlay.OverlayWriter(buffer)
    for change in changes:
        writer.publish(change, 1)
    return buffer


@settings(max_examples=1_000, deadline=None, derandomize=True, database=None, print_blob=True,
          suppress_health_check=list(HealthCheck))
@given(seed=SEEDS, size=SIZES, now=INSTANTS, calls=st.lists(CALLS, min_size=1, max_size=5))
def test_single_changes_decide_as_a_whole_base(seed: int, size: int, now: int,
                                               calls: list[Call]) -> None:
    world = Maker(Random(seed), size, now).world()
    live = live_of(world, now)
    base = Kernel(Snapshot(base_of(world)), live)
    empty = base_of(World(PLANS, {}))
    overlaid = Kernel(Snapshot(empty, overlay_of(world), True), live)
    for call in calls:
        for arguments, decision, _ in decisions(base, world, now, call):
            assert overlaid.decide(*arguments).key() == decision.key(), arguments
