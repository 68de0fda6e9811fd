"""A thousand callers who wait in queues, and two hundred agents who serve them, through the whole
exchange: is anybody lost or forgotten, and what does it cost?

Callers come from a trunk to four queues, hear music and every 20 s an announcement with their
position. As soon as one is served or hangs up another one calls, so that always so many wait.
Agents are members of one to three queues, with a telephone each; they take a call after a while,
refuse one in fifty, talk for 20 to 60 s, and one of the two hangs up. Everything is drawn from one
seed. What the exchange did is read from its events, as any client reads them.

All of them are sent sound. Of a sample of those who wait every packet is read: whether there was
sound in each second, and how often a packet came later than 60 ms after the one before.

lost: callers who were answered and whose call ended without their or an agent's doing, who were
refused, or whom nobody answered. agents_stuck: agents of whom nothing was heard for 30 s (or,
talking, 30 s longer than any talk) while callers waited in all queues, and those who are not free
when all calls are over. served_out_of_order: offers of a caller to an agent while somebody who came
to the same queue before had not been offered to anybody yet. offer_delay_ms: from an agent's being
ready to the offer, by the events; ring_delay_ms: from the end of a call at an agent's telephone
(and the wrap-up) to the next INVITE there. cores and the figures of sound: after all have come.

Where it misleads: the callers, the agents and the reader of the events share the machine's cores
with the exchange.
"""

import asyncio
import contextlib
import itertools
import os
import random
import re
import statistics
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.driving import cpu_s, rss_kib
from benchmarks.menu import ear, packets
from benchmarks.queue_phones import Dialog, Line
from rtp.recording import Decoder
from store import bus
from tests.exchange import Company, Exchange, Telephone
from vaxel.ports import free_port

SEED = 20261122
RATE = 20
SAMPLE = 20
WRAP_UP_S = 2
STUCK_S = 30
MAX_GAP_S = 0.06
#: Of a second's samples, below this there was no sound.
SILENT = 100.0
REFUSED_ONE_IN = 50
ANSWER_S = (0.5, 4.0)
#: When all hang up at the end, so many a second.
LEAVE_RATE = 50
PARTS = {"edge": "kamailio", "call_control": "callcontrol.process", "rtpengine": "rtpengine",
         "api": "api.app", "keeper": "api.keeper"}

Say = Callable[[str], None]


class Plan(NamedTuple):
    """patience_s: callers hang up after so long on average, most of them earlier."""

    callers: int = 1000
    agents: int = 200
    seconds: int = 600
    queues: int = 4
    talk_s: tuple[float, float] = (20, 60)
    patience_s: float = 1500


QUICK = Plan(callers=50, agents=10, seconds=30, queues=2, talk_s=(2, 6), patience_s=150)


# -- what the events say -----------------------------------------------------------------------

class Ledger:
    """A fold over the events of the queues."""

    def __init__(self, plan: Plan) -> None:
        self.seen = self.events = self.out_of_order = 0
        self.counts: Counter[str] = Counter()
        self.left: Counter[int] = Counter()
        self.offer_delays: list[int] = []
        self.waits: list[int] = []
        self.stuck: set[int] = set()
        self.steady_ms = 0
        self._most_talk_ms = (plan.talk_s[1] + STUCK_S) * 1000
        self._line: dict[int, dict[int, None]] = {}  # by queue: not offered to anybody yet
        self._ready: dict[int, int] = {}
        self._last: dict[int, tuple[int, bool]] = {}  # agent: (when, talking)

    def feed(self, items: Sequence[dict[str, Any]]) -> None:
        """The next ones."""
        for item in items:
            self.events += 1
            if item["kind"] == "queue":
                self._feed(item["at_ms"], **item["data"])

    def _feed(self, at: int, *, what: str, queue: int, caller: int, agent: int, x: int,
              **_rest: Any) -> None:
        self.counts[what] += 1
        line = self._line.setdefault(queue, {})
        if what == "entered":
            line[caller] = None
        elif what == "offer":
            if caller in line and next(iter(line)) != caller:
                self.out_of_order += 1
            ready = self._ready.pop(agent, 0)
            if self.steady_ms and ready >= self.steady_ms:
                self.offer_delays.append(at - ready)
        elif what == "left":
            self.left[x] += 1
        elif what == "answered" and self.steady_ms:
            self.waits.append(x)
        elif what == "ready":
            self._ready[agent] = at
        if what in ("offer", "left"):
            line.pop(caller, None)
        if agent:
            self._heard_of(agent, at)
            self._last[agent] = at, what == "answered"

    def _heard_of(self, agent: int, at: int) -> None:
        last, talking = self._last.get(agent, (at, False))
        limit = self._most_talk_ms if talking else STUCK_S * 1000
        if self.steady_ms and at - max(last, self.steady_ms) > limit:
            self.stuck.add(agent)

    def end(self, at: int) -> None:
        """Of the time in which always somebody waits."""
        for agent in self._last:
            self._heard_of(agent, at)
        self.steady_ms = 0


# -- who listens -------------------------------------------------------------------------------

class Ear:
    """A socket of one caller after the other."""

    def __init__(self) -> None:
        self.socket = ear()
        self.seconds = self.silent = self.late = self.lost = self.packets = 0
        self.gap_s = 0.0
        self._last: tuple[float, int] | None = None
        self._decoder = Decoder("PCMA", 8000)

    def turn(self, count: bool) -> None:
        """What has come since; count: somebody waits there, and it matters."""
        got = list(packets(self.socket))
        if not count:
            self._last = None
            return
        for at, data in got:
            number = struct.unpack_from(">H", data, 2)[0]
            if self._last:
                gap, step = at - self._last[0], (number - self._last[1]) % 65536
                self.late += gap > MAX_GAP_S
                self.gap_s = max(self.gap_s, gap)
                self.lost += step - 1 if 1 < step < 1000 else 0
            self._last = at, number
        self.packets += len(got)
        self.seconds += 1
        sound = self._decoder.decode(b"".join(data[12:] for _, data in got)).astype(float)
        self.silent += not len(sound) or float(np.sqrt(np.mean(sound ** 2))) < SILENT


# -- callers and agents ------------------------------------------------------------------------

class Caller:
    """One call into a queue. served: by an agent, who may still be talking."""

    def __init__(self, number: str, dialog: Dialog, ear: Ear | None) -> None:
        self.number, self.dialog, self.ear = number, dialog, ear
        self.served = False
        self.agent: Dialog | None = None


class Load:
    """All of them."""

    def __init__(self, plan: Plan, callers: Line, agents: Line, numbers: list[str]) -> None:
        self.plan, self.callers, self.agents, self.numbers = plan, callers, agents, numbers
        self.chance = random.Random(SEED)
        self.counts: Counter[str] = Counter()
        self.why: Counter[str] = Counter()  # callers were lost
        self.waiting: dict[str, Caller] = {}  # by their number
        self.talking: dict[str, Caller] = {}
        self.ears: list[Ear] = []
        self.free_ears: list[Ear] = []
        self.ring_delays: list[float] = []
        self.steady = False
        self.full = asyncio.Event()  # all have come
        self._ended: dict[str, float] = {}  # at an agent's telephone, when its call was over
        self._at: dict[str, Dialog] = {}  # an agent's telephone: its newest call
        self._serial = itertools.count(1_000_000)
        self._loop = asyncio.get_running_loop()
        agents.on_call = self.rung

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do it then."""
        self._loop.call_later(seconds, what)

    # -- callers ------------------------------------------------------------------------------

    def call(self) -> None:
        """One more."""
        number = f"+4670{next(self._serial)}"
        ear = self.free_ears.pop() if self.free_ears else None
        dialog = self.callers.dialog(number, self.numbers[self.chance.randrange(
            len(self.numbers))], ear.socket if ear else None)
        caller = self.waiting[number] = Caller(number, dialog, ear)
        dialog.told = lambda dialog: self.caller_told(caller, dialog)
        self.counts["offered"] += 1
        dialog.call()
        self.later(self.chance.expovariate(1 / self.plan.patience_s) + 1,
                   lambda: self.lose_patience(caller))

    def lose_patience(self, caller: Caller) -> None:
        """Whoever still waits goes."""
        if not caller.served and caller.dialog.state == "up":
            self.counts["abandoned"] += 1
            caller.dialog.hang_up()

    def caller_told(self, caller: Caller, dialog: Dialog) -> None:
        """Answered, or over."""
        if dialog.state != "over":
            return
        self.waiting.pop(caller.number, None)
        self.talking.pop(caller.number, None)
        self.stop_listening(caller)
        if not dialog.by_us and not (caller.served and caller.agent and caller.agent.by_us):
            self.why[dialog.failed or ("BYE while talking" if caller.served
                                       else "BYE while waiting")] += 1

    def stop_listening(self, caller: Caller) -> None:
        """The ear is the next one's."""
        if caller.ear:
            caller.ear.turn(False)
            self.free_ears.append(caller.ear)
            caller.ear = None

    # -- agents -------------------------------------------------------------------------------

    def rung(self, dialog: Dialog) -> None:
        """An agent's telephone."""
        assert dialog.invite
        found = re.search(r"sip:([^@;>]+)@", dialog.invite.start)
        name = found[1] if found else ""
        before = self._at.get(name)
        self.counts["rung_while_busy"] += before is not None and before.state != "over"
        self._at[name] = dialog
        ended = self._ended.pop(name, 0.0)
        if ended and self.steady:
            self.ring_delays.append(self._loop.time() - ended - WRAP_UP_S)
        number = re.search(r"(\+?\d{6,})@", dialog.invite.get("from"))
        caller = self.waiting.get(number[1] if number else "")
        if caller is None:
            self.counts["rung_for_nobody"] += 1
        dialog.data = name, caller
        dialog.told = self.agent_told
        dialog.ring()
        refuses = self.chance.randrange(REFUSED_ONE_IN) == 0
        self.later(self.chance.uniform(*ANSWER_S), lambda: self.take(dialog, refuses))

    def take(self, dialog: Dialog, refuses: bool) -> None:
        """Or not."""
        if dialog.state == "ringing":
            if refuses:
                self.counts["refused_by_agents"] += 1
                dialog.refuse("486 Busy Here")
            else:
                dialog.answer()

    def agent_told(self, dialog: Dialog) -> None:
        """Talking, or over."""
        name, caller = dialog.data
        if dialog.state == "up" and caller and caller.dialog.state == "up":
            self.waiting.pop(caller.number, None)
            self.talking[caller.number] = caller
            self.stop_listening(caller)
            caller.served, caller.agent = True, dialog
            dialog.data = name, caller
            self.counts["answered"] += 1
            side = dialog if self.chance.randrange(2) else caller.dialog
            self.later(self.chance.uniform(*self.plan.talk_s), side.hang_up)
        elif dialog.state == "over" and caller and caller.agent is dialog:
            self._ended[name] = self._loop.time()
            if not dialog.by_us and not caller.dialog.by_us:
                self.why["BYE to the agent"] += 1

    # -- how it goes --------------------------------------------------------------------------

    async def keep(self) -> None:
        """Until cancelled: always so many callers."""
        while True:
            if len(self.waiting) < self.plan.callers:
                self.call()
            else:
                self.full.set()
            await asyncio.sleep(1 / RATE)

    async def listen(self) -> None:
        """Until cancelled."""
        self.ears = [Ear() for _ in range(SAMPLE)]
        self.free_ears = list(self.ears)
        try:
            while True:
                await asyncio.sleep(1)
                heard = {id(one.ear) for one in self.waiting.values()
                         if one.ear and self.steady and one.dialog.state == "up"}
                for each in self.ears:
                    each.turn(id(each) in heard)
        finally:
            for each in self.ears:
                each.socket.close()

    async def leave(self) -> None:
        """Everybody hangs up."""
        for caller in [*self.waiting.values(), *self.talking.values()]:
            caller.dialog.hang_up()
            await asyncio.sleep(1 / LEAVE_RATE)

    def left_open(self) -> int:
        """Dialogs that should be over."""
        return sum(dialog.state != "over" for line in (self.callers, self.agents)
                   for dialog in line.dialogs.values())

    def heard(self) -> dict[str, Any]:
        """Of the sample."""
        seconds = max(sum(each.seconds for each in self.ears), 1)
        sent = max(sum(each.packets + each.lost for each in self.ears), 1)
        return {"seconds": seconds, "silent_seconds": sum(each.silent for each in self.ears),
                "gaps_over_60_ms": sum(each.late for each in self.ears),
                "gaps_a_minute": round(60 * sum(each.late for each in self.ears) / seconds, 2),
                "gap_ms_max": round(1000 * max(each.gap_s for each in self.ears), 1),
                "lost_percent": round(100 * sum(each.lost for each in self.ears) / sent, 3)}


# -- the company -------------------------------------------------------------------------------

class Centre(NamedTuple):
    """What is called, and who answers."""

    company: Company
    queues: list[int]
    numbers: list[str]
    phones: list[Telephone]


def provision(exchange: Exchange, plan: Plan, line: tuple[str, int]) -> Centre:
    """Queues, agents with registered telephones at that line, and their log-in."""
    company, chance = exchange.company(), random.Random(SEED)
    again = company.post("prompts", {"name": "Again", "text": "Tack för att du väntar."})["id"]
    queues = [int(company.post("services", {"name": f"Queue {i}", "settings": {
        "type": "queue", "wrap_up_s": WRAP_UP_S, "max_misses": 0, "announcements": {
            "repeated": again, "interval_s": 20, "position": True, "min_gap_s": 20}}})["id"])
              for i in range(plan.queues)]
    phones = []
    for i in range(plan.agents):
        phone = company.telephone(str(2000 + i))
        phones.append(phone)
        mine = {queues[i % plan.queues], *chance.sample(queues, min(chance.randint(1, 3),
                                                                    plan.queues) - 1)}
        for queue in sorted(mine):
            company.post("queue-members", {"service": queue, "user": phone.user})
        answer = exchange.register(phone, line[1], address=line[0], expires=7200)
        if "200 OK" not in answer:
            raise RuntimeError(f"{phone.username} is not registered: {answer}")
    for phone in phones:
        exchange.client.put(f"{company.base}/agents/{phone.user}/login", {"logged_in": True})
    numbers = [company.main({"kind": "service", "service": queue}, 50 + i)
               for i, queue in enumerate(queues)]
    return Centre(company, queues, numbers, phones)


async def read_events(company: Company, ledger: Ledger) -> None:
    """Until cancelled: the events, as they come; cancelled: the rest of them."""
    def page() -> list[dict[str, Any]]:
        found = company.client.get(f"{company.base}/events", after=ledger.seen, limit=1000)
        ledger.seen = found["next"]
        return list(found["items"])

    with contextlib.suppress(asyncio.CancelledError):
        while True:
            items = await asyncio.to_thread(page)
            ledger.feed(items)
            if len(items) < 1000:
                await asyncio.sleep(1)
    while items := page():
        ledger.feed(items)


# -- measuring ---------------------------------------------------------------------------------

class Meter:
    """CPU and memory of the parts."""

    def __init__(self, exchange: Exchange) -> None:
        self.pids = {name: exchange.pids(process) for name, process in PARTS.items()}
        self.pids["driver"] = [os.getpid()]
        control = self.pids["call_control"]
        self.pids |= {f"call_control_{i}": [pid] for i, pid in enumerate(control)}

    def cpu(self) -> dict[str, float]:
        """Seconds so far."""
        return {name: sum(map(cpu_s, pids)) for name, pids in self.pids.items()}

    def rss(self) -> int:
        """Of call control, KiB."""
        return sum(map(rss_kib, self.pids["call_control"]))


def percentiles(values: Sequence[float], factor: float = 1) -> dict[str, float]:
    """p50, p99 and the highest."""
    if not values:
        return {}
    p50, p99 = np.percentile(np.array(values) * factor, [50, 99])
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1),
            "max": round(max(values) * factor, 1)}


async def states(company: Company, seconds: float) -> dict[int, str]:
    """Of the agents, once all are free or the time is over."""
    until = time.monotonic() + seconds
    while True:
        found = await asyncio.to_thread(company.client.get, f"{company.base}/agents")
        agents = {one["user"]: one["state"] for one in found["items"]}
        if set(agents.values()) == {"free"} or time.monotonic() > until:
            return agents
        await asyncio.sleep(1)


async def left_behind(exchange: Exchange, seconds: float) -> dict[str, int]:
    """What call control still has, once it has nothing or the time is over; and its faults."""
    until = time.monotonic() + seconds
    while True:
        answers = [await bus.ask(exchange.state, f"control.{i}", {"do": "status"})
                   for i in range(exchange.settings.control_processes)]
        found = Counter({name: sum(one[name] for one in answers)
                         for name in ("calls", "legs", "media_sessions", "events_lost")})
        if not found.total() or time.monotonic() > until:
            for one in answers:
                found.update({f"fault {name}": count for name, count in one["faults"].items()})
            return {name: count for name, count in found.items() if count}
        await asyncio.sleep(1)


async def drive(exchange: Exchange, centre: Centre, plan: Plan, lines: tuple[Line, Line],
                say: Say) -> dict[str, Any]:
    """Up, for so long, and down again."""
    meter, ledger = Meter(exchange), Ledger(plan)
    load = Load(plan, *lines, centre.numbers)
    rss = [meter.rss()]
    reading = asyncio.ensure_future(read_events(centre.company, ledger))
    keeping, listening = (asyncio.ensure_future(one) for one in (load.keep(), load.listen()))
    with contextlib.suppress(TimeoutError):  # it is reported how many wait
        await asyncio.wait_for(load.full.wait(), 3 * (plan.callers + plan.agents) / RATE + 30)
    await asyncio.sleep(5)
    say(f"  {len(load.waiting)} wait, {len(load.talking)} are served")
    began, before, events = time.monotonic(), meter.cpu(), ledger.events
    load.steady, ledger.steady_ms = True, int(time.time() * 1000)
    waiting: list[int] = []
    while (gone := time.monotonic() - began) < plan.seconds:
        waiting.append(len(load.waiting))
        if len(rss) == 1 and gone >= min(60, plan.seconds / 2):
            rss.append(meter.rss())
        if len(waiting) % 30 == 0:
            say(f"  {gone:.0f} s: {waiting[-1]} wait, {len(load.talking)} are served, "
                f"{dict(load.counts)}, lost {dict(load.why)}")
        await asyncio.sleep(1)
    took = time.monotonic() - began
    after = meter.cpu()
    rss.append(meter.rss())
    load.steady = False
    ledger.end(int(time.time() * 1000))
    happened = ledger.events - events
    keeping.cancel()
    went = dict(load.counts)
    await load.leave()
    await asyncio.sleep(WRAP_UP_S)
    agents = await states(centre.company, STUCK_S)
    left = await left_behind(exchange, STUCK_S)
    reading.cancel()
    listening.cancel()
    await asyncio.gather(reading, listening, keeping, return_exceptions=True)
    stuck = ledger.stuck | {user for user, state in agents.items() if state != "free"}
    return {
        "callers": plan.callers, "agents": plan.agents, "seconds": round(took),
        "waiting_mean": round(statistics.mean(waiting)), "waiting_min": min(waiting),
        "calls_offered": went.get("offered", 0), "answered": went.get("answered", 0),
        "abandoned": went.get("abandoned", 0), "lost": load.why.total(), "lost_why": load.why,
        "refused_by_agents": went.get("refused_by_agents", 0),
        "agents_stuck": len(stuck), "agents_at_end": Counter(agents.values()),
        "rung_while_busy": load.counts["rung_while_busy"],
        "rung_for_nobody": load.counts["rung_for_nobody"],
        "unanswered_byes": sum(line.unanswered for line in lines),
        "dialogs_left": load.left_open(), "left_behind": left,
        "healed": ledger.counts["healed"], "served_out_of_order": ledger.out_of_order,
        "offer_delay_ms": percentiles(ledger.offer_delays),
        "ring_delay_ms": percentiles(load.ring_delays, 1000),
        "wait_s_mean": round(statistics.mean(ledger.waits) / 1000, 1) if ledger.waits else 0.0,
        "cores": {name: round((after[name] - before[name]) / took, 3) for name in before},
        "call_control_rss_mib": {name: round(kib / 1024, 1) for name, kib in zip(
            ("start", "after_1_min", "end"), rss, strict=True)},
        "growth_mib": round((rss[2] - rss[1]) / 1024, 1),
        "events_a_second": round(happened / took, 1), "events": ledger.counts,
        "left_by_reason": ledger.left, "sample": load.heard()}


def measure(plan: Plan, say: Say) -> dict[str, Any]:
    """The whole exchange, with that load."""
    with Exchange(workers=2, shared_memory_mb=256, rtp_first=40_000, rtp_last=59_999,
                  control_processes=2) as exchange:
        trunk, phones = (("127.0.0.2", free_port("127.0.0.2")),
                         ("127.0.0.3", free_port("127.0.0.3")))
        exchange.trunk(*trunk)
        say(f"{plan}")
        centre = provision(exchange, plan, phones)
        say(f"  {len(centre.phones)} agents are logged in")
        remote = exchange.settings.address, exchange.settings.sip_port

        async def inside() -> dict[str, Any]:
            async with Line(remote, *trunk) as callers, Line(remote, *phones) as agents:
                return await drive(exchange, centre, plan, (callers, agents), say)

        return asyncio.run(inside())


def run(quick: bool, say: Say) -> dict[str, Any]:
    """The figures of a thousand callers and two hundred agents over ten minutes."""
    return measure(QUICK if quick else Plan(), say)
