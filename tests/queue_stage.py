"""Queues in virtual time: a company's real Floor, engine and journal, with the exchange of
tests/fake_desk.py around them, and agents and customers whose telephones do as they are told.
"""

import asyncio
import shutil
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock
from zoneinfo import ZoneInfo

import msgspec
from structlog.testing import capture_logs

from callcontrol.call import Call
from callcontrol.planning import History
from callcontrol.queues.callbacks import begin
from callcontrol.queues.floor import Floor, Spot
from callcontrol.queues.journal import Journal
from callcontrol.sofia.ua import State
from routing_core.codes import Reason
from routing_core.queue_words import Leave, What
from store.model import (
    AgentMenu,
    Announcements,
    Choice,
    Event,
    Menu,
    Overflow,
    Queue,
    QueueCallback,
    QueueEntry,
    QueueMember,
    Row,
    Service,
    Target,
    Tenant,
)
from tests.fake_desk import MESSAGE, T0_S, TENANT, FakeDesk
from tests.fakes import FakeLeg, FakeSound, Policy, Stage, VirtualLoop, open_legs, sdp

#: Services.
QUEUE, SECOND, DETOUR, AGENTS, VIP = range(51, 56)
WELCOME, FIRST, REPEATED = "prompt 31", "prompt 33", "prompt 34"
#: Whatever follows from what was done has followed by then, and lost evidence was noticed.
SETTLED_S: Final = 4.37
CUSTOMER: Final = "+46701234567"
LATER: Final = "+46709999999"
ANSWERS: Final = Policy("answer", 1.0)
#: A disk that is always fast.
quick = mock.patch("os.fsync")


def service(number: int) -> Target:
    """That service."""
    return Target(kind="service", service=number)


@dataclass
class Crowd(Stage):
    """people: what telephones do, by who is called ("phones:1", "number:+467..."), over and
    over; slack_s: how long media may take to let a telephone ring in vain."""

    people: dict[str, Sequence[Policy]] = field(default_factory=dict)
    slack_s: float = 0.0

    def policy(self, target: str) -> Policy:
        """The next of that telephone's."""
        who = target.partition("/")[0]
        found = self.people.get(who)
        return self.turn(who, found) if found else Policy()


class Around:
    """What the queues know of the exchange. shut: schedules that are closed; away: by presence."""

    def __init__(self, desk: FakeDesk) -> None:
        self.desk = desk
        self.changes = 1
        self.shut: set[int] = set()
        self.away: set[int] = set()
        self.events: list[Event] = []
        self.call_back = begin(desk, desk.reception.guarded)

    def now(self) -> float:
        """In whole milliseconds, a little after each: the engine's are those, too."""
        return T0_S + round(asyncio.get_running_loop().time(), 3) + 1e-5

    def seed(self) -> int:
        """Always the same."""
        return 7

    def revision(self) -> int:
        """Counted by Centre.change()."""
        return self.changes

    def touched(self, _tenant: int, _since: int) -> bool:
        """There is nothing but queues."""
        return True

    def tenant(self, tenant: int) -> Tenant:
        """The one."""
        return self.desk.tenant(tenant)

    def queues(self, _tenant: int) -> list[tuple[int, str, Queue]]:
        """Those of the store."""
        rows = self.desk.fake_store.rows["service"].values()
        return [(row.id, row.name, row.settings) for row in rows
                if isinstance(row, Service) and isinstance(row.settings, Queue)]

    def members(self, _tenant: int) -> list[QueueMember]:
        """Those of the store."""
        rows = self.desk.fake_store.rows["queue_member"].values()
        return [row for row in rows if isinstance(row, QueueMember)]

    def present(self, _tenant: int, user: int) -> bool:
        """By the activity."""
        return user not in self.away

    def busy(self, user: int) -> bool:
        """In any call."""
        return self.desk.busy(user) or any(
            leg.target.partition("/")[0] == f"phones:{user}" for leg in open_legs(self.desk.stage))

    def open(self, schedules: Iterable[int | None], _at_s: int) -> bool:
        """None of them is shut."""
        return not self.shut & set(schedules)

    def history(self, tenant: int, dumped: bytes) -> History:
        """The real one."""
        return History(ZoneInfo(self.tenant(tenant).time_zone), dumped)

    def publish(self, event: Event) -> None:
        """Kept."""
        msgspec.json.encode(event)
        self.events.append(event)

    def count(self, what: str) -> None:
        """With the others."""
        self.desk.count(what)


class Centre:
    """One process after the other that has the company's queues."""

    def __init__(self, folder: Path, stage: Crowd, queues: dict[int, Queue],
                 members: Iterable[QueueMember]) -> None:
        self.folder = folder
        self.stage = stage
        self.desk = FakeDesk(stage)
        rows = self.desk.fake_store.rows
        rows["queue_member"] = {row.id: row for row in members}
        rows["service"] |= {id_: _service(id_, queue) for id_, queue in queues.items()} | {
            DETOUR: _service(DETOUR, Menu(prompt=31, choices=(
                Choice(key="1", target=service(QUEUE)), Choice(key="3", target=service(SECOND)),
                Choice(key="2", target=Target(kind="user", user=2))))),
            AGENTS: _service(AGENTS, AgentMenu()),
            VIP: _service(VIP, QueueEntry(queue=QUEUE, priority=10))}
        self.callers: list[FakeLeg] = []
        self.past: list[Event] = []
        self._begin()

    def _begin(self) -> None:
        self.around = Around(self.desk)
        self.desk.queues = self  # type: ignore[assignment]
        journal = Journal(self.folder)
        assert journal.open()
        self.own = Floor(TENANT, self.around, journal)
        self._task = asyncio.ensure_future(self.own.run())
        self._task.add_done_callback(self._over)

    def _over(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            self.stage.fault("the floor fails: " + "".join(
                traceback.format_exception(task.exception())))

    def floor(self, tenant: int) -> Floor | None:
        """As callcontrol.queues.owner.Queues."""
        return self.own if tenant == TENANT else None

    async def asked(self, _question: dict[str, Any]) -> dict[str, Any] | None:
        """Nothing."""
        return None

    # -- what people do

    def call(self, number: str = CUSTOMER, to: int = QUEUE, *, user: int = 0,
             code: str = "") -> FakeLeg:
        """Somebody calls."""
        word = self.desk.word(Reason.DIAL_CODE, called=code, user=user) if code else \
            self.desk.word(Reason.SERVICE_TARGET, service=to, caller=number, user=user)
        leg = self.desk.arrive(word)
        leg.conversation = word.uid
        self.callers.append(leg)
        return leg

    def log_in(self, *users: int) -> None:
        """To all their queues."""
        for user in users:
            assert self.own.act(user, "log_in") == (0, "")

    def occupy(self, *users: int) -> None:
        """Their lines are in use, and those of nobody else."""
        self.desk.fake_live.busy = set(users)

    def change(self, table: str, row: Row | int) -> None:
        """A row is written, or deleted."""
        rows = self.desk.fake_store.rows[table]
        if isinstance(row, int):
            rows.pop(row, None)
        else:
            rows[row.id] = row
        self.around.changes += 1

    def configure(self, queue: Queue, number: int = QUEUE) -> None:
        """Other settings."""
        self.change("service", _service(number, queue))

    # -- what is seen

    def call_of(self, leg: FakeLeg) -> Call | None:
        """Where it is now."""
        return next((call for call in self.desk.calls.values()
                     if any(side.leg is leg for side in call.sides.values())), None)

    def spot_of(self, leg: FakeLeg) -> Spot:
        """Its place."""
        call = self.call_of(leg)
        assert call is not None and isinstance(call.place, Spot)
        return call.place

    def ringing(self, who: str) -> list[FakeLeg]:
        """Telephones of "phones:1" that ring now."""
        return [leg for leg in self.stage.legs if leg.state is State.CALLING and not leg.called
                and leg.target.partition("/")[0] == who]

    def dialled(self, who: str) -> list[FakeLeg]:
        """All that were rung."""
        return [leg for leg in self.stage.legs
                if not leg.called and leg.target.partition("/")[0] == who]

    def heard(self, leg: FakeLeg, party: str = "p1") -> list[tuple[float, str]]:
        """What was played in its call, and when; not the music."""
        return [(at, what) for sound in self.stage.sounds
                if sound.call_id.split(".")[1] == leg.conversation
                for at, who, what in sound.heard if who == party and what != "hold"]

    def words(self, leg: FakeLeg, party: str = "p1") -> list[str]:
        """Only what."""
        return [what for _, what in self.heard(leg, party)]

    def talk(self, one: FakeLeg, two: FakeLeg) -> bool:
        """Whether they hear each other."""
        call = self.call_of(one)
        labels = [side.label for leg in (one, two) for side in (call.sides.values() if call else ())
                  if side.leg is leg]
        return call is not None and len(labels) == 2 and \
            call.sound.hears(*labels)  # type: ignore[union-attr]

    @property
    def events(self) -> list[Event]:
        """Of all processes."""
        return [*self.past, *self.around.events]

    def said(self, what: What) -> list[dict[str, Any]]:
        """By the engine, of that kind."""
        return [event.data for event in self.events if event.data["what"] == what.name.lower()]

    def state(self, agent: int) -> str:
        """Of an agent."""
        view = self.own.engine.view_agent(agent)
        assert view is not None
        return view.state.name.lower()

    # -- the process

    async def kill(self, lost: int = 0) -> None:
        """SIGKILL, and another process. lost: bytes of the journal that did not reach the disk."""
        before, stopping, self.folder = self.folder, self.stage.stopping, \
            self.folder.with_name(f"{self.folder.name}+")
        shutil.copytree(before, self.folder)
        if lost:
            newest = max(self.folder.glob("*.log"), key=lambda path: int(path.stem))
            newest.write_bytes(newest.read_bytes()[:-lost])
        self.past += self.around.events
        self.own.obey = lambda: None  # type: ignore[method-assign]  # it is dead
        self.stage.stopping = True
        await self.stop()
        self.stage.stopping = stopping
        self._again()

    async def restart(self) -> None:
        """SIGTERM, and another process."""
        await self.stop()
        self.past += self.around.events
        self._again()

    def _again(self) -> None:
        store, busy, old = self.desk.fake_store, self.desk.fake_live.busy, self.around
        self.desk = FakeDesk(self.stage)
        self.desk.fake_store = self.desk.store = store  # type: ignore[assignment]
        self.desk.fake_live.busy = busy
        self._begin()
        self.around.shut, self.around.away = old.shut, old.away

    async def stop(self) -> None:
        """SIGTERM, in the order of callcontrol/process.py."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.own.close()
        await self.desk.stop()


def _service(number: int, settings: Any) -> Service:
    return Service(id=number, tenant=TENANT, name=f"Queue {number}", settings=settings)


def member(user: int, queue: int = QUEUE, **settings: Any) -> QueueMember:
    """A user in a queue."""
    return QueueMember(id=queue * 100 + user, tenant=TENANT, service=queue, user=user, **settings)


Scene = Callable[[Centre], Awaitable[None]]


def scene(queue: Queue | None = None, *, second: Queue | None = None, agents: Sequence[int] = (1,),
          members: Sequence[QueueMember] = (), busy: Sequence[int] = (),
          people: dict[str, Sequence[Policy]] | None = None,
          media: dict[int, str] | None = None) -> Callable[[Scene], Callable[[], None]]:
    """A test in virtual time. agents: members of the queue who are logged in; busy: those of them
    whose lines are in use; people, media: see Crowd and Stage."""
    def made(play: Scene) -> Callable[[], None]:
        def test() -> None:
            run(play, Crowd(people=people or {}, media=media or {}),
                {QUEUE: queue or Queue()} | ({SECOND: second} if second else {}),
                [*(member(user) for user in agents), *members], agents, busy)

        test.__name__, test.__doc__ = getattr(play, "__name__", ""), play.__doc__
        return test

    return made


def run(play: Scene, stage: Crowd, queues: dict[int, Queue], members: Sequence[QueueMember],
        agents: Sequence[int] = (), busy: Sequence[int] = ()) -> None:
    """AssertionError with all that was wrong, and what was left when everybody had gone."""
    loop = VirtualLoop()
    loop.now = -1.0  # the agents are there a second before anybody calls

    async def whole(folder: Path) -> None:
        before = asyncio.all_tasks()
        centre = Centre(folder / "1", stage, queues, members)
        centre.occupy(*busy)
        centre.log_in(*agents)
        await asyncio.sleep(1)
        await play(centre)
        await leave(centre)
        check(centre, before)

    with tempfile.TemporaryDirectory() as folder, capture_logs(), quick:
        loop.play(whole(Path(folder)))
    faults = [*stage.faults, *loop.unhandled, *([] if stage.troubled else stage.misuse)]
    assert not faults, "\n".join(faults)


async def leave(centre: Centre) -> None:
    """Everybody hangs up, callbacks are withdrawn, and the process ends."""
    engine = centre.own.engine
    for _ in range(6):
        for leg in open_legs(centre.stage):
            if leg.state is State.UP or leg.called:
                leg.end()
        for caller in engine.everybody():
            view = engine.view_caller(caller, centre.own.now_ms())
            if view is not None and not view.live:
                centre.own.leave(caller, Leave.CANCELLED)
        await asyncio.sleep(20)
        if not engine.everybody() and not open_legs(centre.stage):
            break
    await asyncio.sleep(5)
    counts = engine.counts()
    for what in ("callers", "attempts"):
        if counts[what]:
            centre.stage.fault(f"{what} are left in the engine: {counts}")
    for agent in engine.agents():
        if centre.state(agent) in ("offered", "talking"):
            centre.stage.fault(f"agent {agent} is {centre.state(agent)} with nobody")
    own = centre.own
    for name in ("spots", "said", "_attempts", "_talking", "_busy"):
        if getattr(own, name):
            centre.stage.fault(f"{name} of the floor: {getattr(own, name)}")
    await centre.stop()
    await asyncio.sleep(40)  # telephones that would have said something


def check(centre: Centre, before: set[asyncio.Task[Any]]) -> None:
    """Nothing stays, and every caller was told of once."""
    stage, desk = centre.stage, centre.desk
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    for what, found in {
            "legs": open_legs(stage), "calls": list(desk.calls),
            "sessions": [sound.call_id for sound in stage.sounds if not sound.closed],
            "timers": loop.timers(),
            "tasks": [task for task in asyncio.all_tasks() - before
                      if task is not asyncio.current_task()]}.items():
        if found:
            stage.fault(f"{what} are left: {found}")
    ends: dict[int, list[str]] = {event.data["caller"]: [] for event in centre.events
                                  if event.data["what"] == "entered"}
    kept = {one["caller"] for one in centre.said(What.CALLBACK)}
    for event in centre.events:
        what, caller = event.data["what"], event.data["caller"]
        if what == "left" or (what == "answered" and caller not in kept):
            ends.setdefault(caller, []).append(what)
    for caller, how in ends.items():
        if len(how) != 1:
            stage.fault(f"caller {caller} has ended {len(how)} times: {how}")
    for leg in stage.legs:
        _check_rung_in_vain(centre, leg)


def check_settled(centre: Centre) -> None:
    """Nothing has happened for a moment: what the engine believes is so."""
    own, stage = centre.own, centre.stage
    now = own.now_ms()
    for caller in own.engine.everybody():
        view = own.engine.view_caller(caller, now)
        spot = own.spots.get(caller)
        if view is None or view.live != (spot is not None):
            stage.fault(f"{view} has {'a' if spot else 'no'} place")
        elif spot is not None:
            _check_waits(centre, spot)
    for agent in own.engine.agents():
        state, legs = centre.state(agent), open_legs(stage)
        rung = [leg for leg in legs if leg.target.startswith(f"phones:{agent}/")]
        attempt = next((one for who, one in own._attempts.values() if who == agent), None)
        if state == "offered" and not rung and (attempt is None or attempt.closed):
            stage.fault(f"agent {agent} is offered nothing")
        if (state == "talking") != (agent in own._talking):
            stage.fault(f"agent {agent} is {state}, talking: {own._talking}")
        if state not in ("offered", "talking") and any(
                leg.state is State.CALLING for leg in rung):
            stage.fault(f"agent {agent} is {state}, and {rung} ring")


def _check_waits(centre: Centre, spot: Spot) -> None:
    call = spot.call
    if call.closed or call not in centre.desk.calls.values() or not call.sides:
        centre.stage.fault(f"caller {spot.caller} waits in a call that is over")


def _in_silence(centre: Centre) -> set[int]:
    """Callers who wait and hear nothing at this moment."""
    found: set[int] = set()
    for caller, spot in centre.own.spots.items():
        call = spot.call
        if call.state == "queued" and not spot.away and call.sides:
            seats = call.sound.parties if isinstance(call.sound, FakeSound) else {}
            seat = seats.get(next(iter(call.sides)))
            if seat is None or not (seat.music or seat.playing or seat.other):
                found.add(caller)
    return found


async def check_heard(centre: Centre) -> None:
    """Whoever waits hears something, but for the moment between two announcements."""
    silent = _in_silence(centre)
    for pause_s in (0.9, 1.3, 0.7):
        await asyncio.sleep(pause_s)
        silent &= _in_silence(centre)
    if silent and not centre.stage.troubled:
        centre.stage.fault(f"callers {silent} hear nothing")


def _check_rung_in_vain(centre: Centre, leg: FakeLeg) -> None:
    """Nobody is rung for a caller who is gone."""
    caller = next((one for one in centre.callers if one.conversation == leg.conversation), None)
    if caller is None or leg.called or "/" not in leg.target or not caller.ended_at:
        return
    late_s = leg.ended_at - caller.ended_at
    if not leg.picked_up and late_s > centre.stage.slack_s:
        centre.stage.fault(f"{leg} rang for {late_s} s after {caller} had gone")


BY_KEY: Final = Queue(callback=QueueCallback(key="7", gap_s=60, tries=2, lifetime_s=3600))


async def order(centre: Centre, number: str = CUSTOMER) -> FakeLeg:
    """A caller who orders a callback, and hangs up."""
    line = centre.call(number)
    await asyncio.sleep(5)
    line.press("7")
    await asyncio.sleep(1)
    line.press("1")
    await asyncio.sleep(10)
    return line


def callbacks(centre: Centre) -> int:
    """How many are kept."""
    engine = centre.own.engine
    views = [engine.view_caller(one, centre.own.now_ms()) for one in engine.everybody()]
    return sum(not view.live for view in views if view)


# -- any order of events -----------------------------------------------------------------------

class Move(NamedTuple):
    """Something that is done, so long after the one before; a, b: by whom and what, taken modulo
    what there is."""

    after_s: float
    what: str
    a: int = 0
    b: int = 0


class Plan(NamedTuple):
    """A whole run. queue: which of SETTINGS; agents, customers: what their telephones do."""

    queue: int
    moves: Sequence[Move] = ()
    agents: Sequence[Policy] = (ANSWERS,)
    customers: Sequence[Policy] = (ANSWERS,)
    media: tuple[tuple[int, str], ...] = ()
    offers: Sequence[str] = ("answer",)
    waits: Sequence[float] = (-1.0,)


TALKER: Final = Target(kind="user", user=2)
SETTINGS: Final = (
    Queue(ring_s=10, wrap_up_s=5, max_misses=0, no_answer_delay_s=3, record=True),
    Queue(strategy="parallel", ring_s=10, announcements=Announcements(
        welcome=31, first=33, repeated=34, interval_s=10, position=True, estimate=True,
        min_gap_s=5), callback=QueueCallback(key="7", after_s=10, gap_s=30, tries=2, ring_s=10)),
    Queue(ring_s=10, callback=QueueCallback(
        key="7", customer_first=True, gap_s=30, tries=2, ring_s=10, schedule=9),
        overflow=Overflow(timed_s=60, timed=service(SECOND), no_agents=service(SECOND), grace_s=5),
        keys=(Choice(key="3", target=service(SECOND)),)),
    Queue(strategy="sequential", ring_s=5, schedule=3, rest_s=3, announcements=Announcements(
        first=32, position=True, only_better=True, interval_s=5, min_gap_s=5),
        keys=(Choice(key="5", target=service(DETOUR)), Choice(key="6", target=TALKER),
              Choice(key="7", target=service(99)), Choice(key="8", target=service(QUEUE))),
        overflow=Overflow(attempts=2, no_answer=TALKER, leave_at_close=True, night=service(MESSAGE),
                          no_agents=Target(kind="busy"), grace_s=1)),
    Queue(strategy="fair", state="open", max_misses=1, on_misses="pause", max_waiting=2,
          callback=QueueCallback(key="7", planned=True, estimate_s=1, gap_s=30, tries=1)),
)
NUMBERS: Final = ("+46701000000", "+46702000000", "+46703000000", "")
KEYS: Final = ("1", "7", "2", "5", "3", "0701234567#", "6", "12#", "8", "#", "71", "721", "*#*6",
               "*#*8", "*#*3", "*#*213#", "*#*9", "*#*#", "51", "53", "9")
CODES: Final = ("*41", "*42", "*43", "*44", "*45", "*431")
ACTS: Final = ("log_in", "log_out", "pause", "resume", "end_wrap_up", "prolong")
ASKED: Final = ("hang_up", "transfer", "consult", "park", "move", "record_start", "nonsense")


class Shuffle:
    """A plan, carried out."""

    def __init__(self, centre: Centre, plan: Plan) -> None:
        self.centre = centre
        self.plan = plan
        self.asked: list[asyncio.Task[dict[str, Any]]] = []

    async def play(self) -> None:
        """Move by move."""
        for move in self.plan.moves:
            if move.after_s >= 0:
                await asyncio.sleep(move.after_s)
            done = getattr(self, f"do_{move.what}")(move.a, move.b)
            if done is not None:
                await done
        await asyncio.sleep(SETTLED_S)
        check_settled(self.centre)
        await check_heard(self.centre)

    def _leg(self, at: int, state: State = State.UP) -> FakeLeg | None:
        found = [leg for leg in self.centre.stage.legs if leg.state is state
                 and not (leg.called and state is State.CALLING)]
        return found[at % len(found)] if found else None

    def do_wait(self, a: int, b: int) -> None:
        """Nothing."""

    def do_call(self, a: int, b: int) -> None:
        """A caller, from outside or a colleague, by one of the doors."""
        number, to = NUMBERS[a % 4], (QUEUE, QUEUE, VIP, QUEUE, SECOND, DETOUR, AGENTS)[b % 7]
        self.centre.call(number, to, user=0 if a % 8 < 7 else 4)

    def do_code(self, a: int, b: int) -> None:
        """An agent dials a code."""
        self.centre.call(user=1 + a % 3, code=CODES[b % len(CODES)])

    def do_menu(self, a: int, b: int) -> None:
        """Or the menu."""
        self.centre.call(user=1 + a % 3, to=AGENTS)

    def do_key(self, a: int, b: int) -> None:
        """Somebody presses keys."""
        leg = self._leg(a)
        for key in KEYS[b % len(KEYS)]:
            if leg is not None:
                leg.press(key)

    async def do_order(self, a: int, b: int) -> None:
        """Whoever waits orders a callback, in one way or another."""
        waiting = [spot.call for spot in self.centre.own.spots.values()]
        sides = list(waiting[a % len(waiting)].sides.values())[:1] if waiting else []
        for keys in ("7", ("1", "2", "20708888888#", "1")[b % 4], "1"):
            for key in keys if sides else "":
                assert isinstance(sides[0].leg, FakeLeg)
                sides[0].leg.press(key)
            await asyncio.sleep(1)

    def do_free(self, a: int, b: int) -> None:
        """Agents hang up, and nobody's line is in use."""
        self.centre.occupy()
        for leg in open_legs(self.centre.stage):
            if leg.state is State.UP and leg.target.startswith("phones:"):
                leg.end()

    def do_withdraw(self, a: int, b: int) -> None:
        """A callback, by the API."""
        own = self.centre.own
        for caller in own.engine.everybody():
            if caller not in own.spots:
                own.leave(caller, Leave.CANCELLED)
                return

    async def do_accept(self, a: int, b: int) -> None:
        """Whoever is called answers sooner or later, and presses 1."""
        for _ in range(4):
            for leg in [leg for leg in open_legs(self.centre.stage) if not leg.called]:
                if not (leg.press("1") or b % 3):
                    leg.pick_up()
            await asyncio.sleep(1)

    def do_hang(self, a: int, b: int) -> None:
        """Somebody hangs up, or cancels."""
        legs = [leg for leg in open_legs(self.centre.stage) if leg.called or leg.state is State.UP]
        if legs:
            legs[a % len(legs)].end()

    def do_pick_up(self, a: int, b: int) -> None:
        """A telephone that rings is answered."""
        leg = self._leg(a, State.CALLING)
        if leg is not None:
            leg.pick_up((0, 1, 2, 3)[b % 4])

    def do_refuse(self, a: int, b: int) -> None:
        """Or not."""
        leg = self._leg(a, State.CALLING)
        if leg is not None:
            kind = ("", "busy", "away", "menu", "rubbish")[b % 5]
            leg.refuse((486, 603, 480, 408, 302, 503)[a % 6], self.centre.desk.decision(kind))

    def do_hold(self, a: int, b: int) -> None:
        """A re-INVITE."""
        leg = self._leg(a)
        if leg is not None:
            leg.reinvite(sdp(leg.numbers or 96, ("sendonly", "sendrecv")[b % 2]))

    def do_refer(self, a: int, b: int) -> None:
        """A transfer by SIP."""
        leg = self._leg(a)
        if leg is not None:
            leg.refer("13", None)

    def do_act(self, a: int, b: int) -> None:
        """An agent, by the API."""
        self.centre.own.act(1 + a % 4, ACTS[b % len(ACTS)], reason="lunch", seconds=5)

    def do_line(self, a: int, b: int) -> None:
        """A line is in use, or not any more."""
        self.centre.desk.fake_live.busy ^= {1 + a % 3}

    def do_presence(self, a: int, b: int) -> None:
        """Somebody goes, or comes."""
        self.centre.around.away ^= {1 + a % 3}

    def do_hours(self, a: int, b: int) -> None:
        """Opening hours begin, or end."""
        self.centre.around.shut ^= {(3, 9)[a % 2]}

    def do_settings(self, a: int, b: int) -> None:
        """Others."""
        self.centre.configure(SETTINGS[a % len(SETTINGS)], (QUEUE, SECOND)[b % 2])

    def do_member(self, a: int, b: int) -> None:
        """One is removed, or added."""
        row = member(1 + a % 3, (QUEUE, SECOND)[b % 2], by_presence=a % 2 == 1, tier=a % 3)
        known = row.id in self.centre.desk.fake_store.rows["queue_member"]
        self.centre.change("queue_member", row.id if known else row)

    def do_delete(self, a: int, b: int) -> None:
        """A queue."""
        self.centre.change("service", (QUEUE, SECOND)[a % 2])

    def do_lose(self, a: int, b: int) -> None:
        """A media node is restarted."""
        self.centre.stage.troubled = True
        for sound in [one for one in self.centre.stage.sounds if not one.closed and not one.gone]:
            sound.lose()

    def do_vanish(self, a: int, b: int) -> None:
        """An agent's telephone, without a word."""
        leg = self._leg(a)
        if leg is not None and leg.target.startswith("phones:"):
            self.centre.stage.troubled = True
            leg.vanish()

    def do_command(self, a: int, b: int) -> None:
        """By the control interface."""
        calls = list(self.centre.desk.calls)
        if calls:
            name = ASKED[b % len(ASKED)]
            self.centre.stage.commanded |= name == "hang_up"
            self.asked.append(asyncio.ensure_future(self.centre.desk.control.asked({
                "do": "command", "tenant": TENANT, "uid": calls[a % len(calls)], "name": name,
                "arguments": {"user": 1 + a % 3, "target": "user:3"}})))

    async def do_kill(self, a: int, b: int) -> None:
        """The process."""
        self.centre.stage.troubled = True
        await self.centre.kill()


def shuffle(plan: Plan) -> None:
    """Run it; AssertionError with all that was wrong."""
    people: dict[str, Sequence[Policy]] = {f"phones:{user}": [
        one._replace(user=user) for one in plan.agents[user - 1:] or plan.agents]
        for user in (1, 2, 3)}
    people |= {f"callback:{number}": plan.customers for number in (*NUMBERS, CUSTOMER)}
    stage = Crowd(people=people, media=dict(plan.media), offers=plan.offers, waits=plan.waits,
                  slack_s=60.0 if plan.media or max(plan.waits) > 0 else 0.0)

    async def play(centre: Centre) -> None:
        await Shuffle(centre, plan).play()

    with mock.patch("callcontrol.queues.floor.LOOK_S", 1.0):  # ten times faster
        run(play, stage, {QUEUE: SETTINGS[plan.queue % len(SETTINGS)], SECOND: SETTINGS[0]},
            [*(member(user) for user in (1, 2, 3)), member(1, SECOND), member(2, SECOND)], (1, 2))


__all__ = [
    "AGENTS", "ANSWERS", "BY_KEY", "CUSTOMER", "DETOUR", "FIRST", "LATER", "QUEUE", "REPEATED",
    "SECOND", "SETTINGS", "VIP", "WELCOME", "Centre", "Move", "Plan", "callbacks", "member",
    "order", "scene", "service", "shuffle",
]
