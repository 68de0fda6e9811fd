"""Runs one call, or a few, in virtual time after a plan: what the people and the network do and
when. What must be true of every run is checked at its end. tests/test_machines.py makes the plans.
"""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from structlog.testing import capture_logs

from callcontrol.call import MAX_CALL_S, Call, Command
from callcontrol.control import COMMANDS
from callcontrol.sofia.ua import Dialog, State
from routing_core.codes import Reason
from tests.fake_desk import PIN, TENANT, FakeDesk, cheap
from tests.fakes import FakeLeg, FakeSound, Policy, Stage, VirtualLoop, open_legs, sdp

#: Whatever rings, waits or is spoken has come to its end by then, when nobody does anything.
CALM_S: Final = 2500.0
#: Nothing lives longer than this without anybody doing anything.
BOUND_S: Final = MAX_CALL_S + CALM_S
#: A far side that hangs up ends the other side within this.
END_S: Final = 60.0
#: A keyed code for a conversation, and keys for services.
CODES: Final = ("*#*6", "*#*213#", "*#*112#", "*#*3", "*#*4", "*#*5", "*#*#", "*#*714#", "*#*8",
                "*#*9", "*#*0", "*#*1999#", "*#*2", "*#*#*#*#", "**#*6", "*#*7#", "*#*1+*#")
KEYS: Final = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "*", "#", "12", "112233",
               f"11#{PIN}#", f"12#{PIN}#", "11*1#", "0701234567#", "1630", "0231", "1", "A",
               "99#", "#1", "1#2#3#", "1#4", "14", "21", "13")
DIALLED: Final = ("*85", "**12", "*8", "*84", "*85*71", "**13", "*98", "*90", "*92*31", "*92*77",
                  "*23*1", "*23*1*1630#", "*23*2*0305", "*23*9", "#23#", "*21*12", "*21*0701234567",
                  "*21*11", "#21#", "#37#", "**99", "*nothing")
NAMES: Final = (*COMMANDS, "take", "give", "nonsense", "")
ARGUMENTS: Final[tuple[Any, ...]] = (
    {"user": 1, "target": "user:3"}, {"user": 2, "target": "13"}, {"side": "p1", "target": "14"},
    {"side": "p2", "target": "service:22"}, {}, {"user": 99, "target": 7}, {"side": 5},
    {"user": [], "side": None}, {"target": {}}, [], {"side": "p1", "target": ""})
REFUSALS: Final = (486, 302, 480, 302, 302, 408, 403, 404, 487, 488, 500, 503, 600, 603)
DECISIONS: Final = ("", "busy", "away", "menu", "box", "nothing", "again", "away_gone",
                    "busy_plain", "rubbish")


class Event(NamedTuple):
    """Something that is done, so long after the one before; a, b: to whom and what, taken modulo
    what there is."""

    after_s: float
    what: str
    a: int = 0
    b: int = 0


class Plan(NamedTuple):
    """A whole run. start: how the call begins; ending: "hang" (people hang up one after the other),
    "walk" (nobody does anything any more) or "stop" (the process is told to end)."""

    start: str
    events: Sequence[Event] = ()
    policies: Sequence[Policy] = ()
    offers: Sequence[str] = ("answer",)
    media: tuple[tuple[int, str], ...] = ()
    rooms: Sequence[str] = ("ok",)
    waits: Sequence[float] = (-1.0,)
    numbers: Sequence[int] = (96,)
    keeper_s: float = 1.0
    ending: str = "hang"


class Run:
    """One plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.stage = Stage(policies=plan.policies, offers=plan.offers, media=dict(plan.media),
                           rooms=plan.rooms, waits=plan.waits, numbers=plan.numbers)
        self.loop = VirtualLoop()
        self.desk: FakeDesk
        self.asked: list[asyncio.Task[dict[str, Any]]] = []
        self.posted: list[asyncio.Future[Any]] = []
        self.stopping: asyncio.Task[None] | None = None
        self.lost = False
        self.reached: set[str] = set()

    def play(self) -> None:
        """Run it; AssertionError with all that was wrong."""
        with capture_logs(), cheap:
            self.loop.play(self._scene())
        faults = [*self.stage.faults, *self.loop.unhandled]
        if not (self.stage.troubled or self.lost):
            faults += self.stage.misuse
        assert not faults, "\n".join(faults)

    async def _scene(self) -> None:
        before = asyncio.all_tasks()
        self.desk = FakeDesk(self.stage, self.plan.keeper_s)
        self.start(self.plan.start)
        for event in self.plan.events:
            if event.after_s > 0:
                await asyncio.sleep(event.after_s)
            elif event.after_s == 0:
                await asyncio.sleep(0)
            getattr(self, f"do_{event.what}")(event.a, event.b)
            self._note()
        await self._end()
        self._check_nothing_stays(before)

    def _note(self) -> None:
        self.reached |= {call.state for call in self.desk.calls.values()}

    # -- how it begins

    def start(self, how: str) -> None:
        """kind:argument[:user of the caller]"""
        kind, argument, user, *_ = (*how.split("|"), "", "")
        desk, caller = self.desk, int(user or 0)
        if kind == "service":
            word = desk.word(Reason.SERVICE_TARGET, service=int(argument), user=caller)
        elif kind == "away":
            desk.fake_live.away[1] = 1, int(desk.clock()) + 3600
            word = desk.word(Reason.USER_AWAY, service=int(argument), user=caller)
        elif kind == "code":
            word = desk.word(Reason.DIAL_CODE, called=argument, user=caller)
        elif kind == "functions":
            word = desk.word(Reason.CALL_FUNCTIONS, user=caller, record=argument == "record")
        elif kind == "originate":
            desk.originate(TENANT, argument, "user:2", caller)
            return
        elif kind == "unsigned":
            desk.intrude()
            return
        else:
            word = desk.word(Reason.BARRED)
        desk.arrive(word, numbers=self.stage.turn("numbers", self.plan.numbers),
                    late=argument == "late")

    # -- what happens. a, b: see Event

    def _leg(self, at: int, state: State = State.UP) -> FakeLeg | None:
        found = [leg for leg in self.stage.legs if leg.state is state]
        return found[at % len(found)] if found else None

    def _call(self, at: int) -> Call | None:
        found = list(self.desk.calls.values())
        return found[at % len(found)] if found else None

    def _sounds(self) -> list[FakeSound]:
        return [sound for sound in self.stage.sounds if not sound.closed and not sound.gone]

    def do_wait(self, a: int, b: int) -> None:
        """Nothing."""

    def _press(self, at: int, keys: str) -> None:
        leg = self._leg(at)
        if leg is None:
            return
        for key in keys:
            leg.press(key)

    def do_key(self, a: int, b: int) -> None:
        """Keys for a service, by INFO."""
        self._press(a, KEYS[b % len(KEYS)])

    def do_code(self, a: int, b: int) -> None:
        """A code, by INFO."""
        self._press(a, CODES[b % len(CODES)])

    def do_consult(self, a: int, b: int) -> None:
        """What is asked for around a third."""
        self._press(a // 12, ("*#*3", "*#*4", "*#*5", "*#*#", "*#*213#", "*#*212#")[b % 6])

    def do_wait_code(self, a: int, b: int) -> None:
        """Park, camp, move, record: by either."""
        self._press(a, ("*#*6", "*#*714#", "*#*8", "*#*9", "*#*0", "*#*114#")[b % 6])

    def do_tone(self, a: int, b: int) -> None:
        """Keys that the media node hears."""
        sounds = self._sounds()
        if not sounds:
            return
        sound = sounds[a % len(sounds)]
        for label in list(sound.parties)[b % max(len(sound.parties), 1):][:1]:
            for key in (CODES + KEYS)[(a + b) % len(CODES + KEYS)]:
                sound.on_key(label, key, 100)

    def do_flood(self, a: int, b: int) -> None:
        """Somebody sits on the telephone."""
        self.stage.flooded = True
        self._press(a, ("1234567890*#", "*#*", "1", "#")[b % 4] * 800)

    def do_hang(self, a: int, b: int) -> None:
        """Somebody hangs up, or cancels."""
        legs = [leg for leg in open_legs(self.stage) if leg.called or leg.state is State.UP]
        if legs:
            legs[a % len(legs)].end()

    def do_hold(self, a: int, b: int) -> None:
        """A re-INVITE."""
        leg = self._leg(a)
        if leg is not None:
            direction = ("sendonly", "sendrecv", "inactive", "sendrecv")[b % 4]
            leg.reinvite(None if b % 11 == 5 else "rubbish" if b % 11 == 6 else
                         sdp(leg.numbers or 96, direction))

    def do_refer(self, a: int, b: int) -> None:
        """A transfer by SIP."""
        leg, other = self._leg(a), self._leg(a + 1 + b)
        if leg is None or other is None:
            return
        replaces = (None, other.dialog, None, Dialog("x", "y", "z"), None, leg.dialog)[b % 6]
        leg.refer(("12", "", "13", "", "", "")[b % 6], replaces)

    def do_announce(self, a: int, b: int) -> None:
        """Somebody who talks with two people connects them (REFER with Replaces)."""
        found = [(one, two) for one, two in itertools.permutations([
            (call, side) for call in self.desk.calls.values() for side in call.sides.values()], 2)
            if one[0] is not two[0] and one[1].user == two[1].user]
        if found:
            one, two = (side.leg for _, side in found[a % len(found)])
            if isinstance(one, FakeLeg) and isinstance(two, FakeLeg):
                one.refer("", two.dialog)

    def do_swap_refers(self, a: int, b: int) -> None:
        """Both ends at once."""
        for leg in [leg for leg in self.stage.legs if leg.state is State.UP][:2 + b % 2]:
            leg.refer("13", None)

    def _name(self, at: int) -> str:
        name = NAMES[at % len(NAMES)]
        self.stage.commanded = self.stage.commanded or name == "hang_up"
        return name

    def do_command(self, a: int, b: int) -> None:
        """By the control interface."""
        call = self._call(a // 4)
        question = {"do": "command", "tenant": TENANT, "uid": call.uid if call else "none",
                    "name": self._name(b), "arguments": ARGUMENTS[a % len(ARGUMENTS)]}
        self.asked.append(asyncio.ensure_future(self.desk.control.asked(question)))

    def do_post(self, a: int, b: int) -> None:
        """A Command that is waited for as long as it takes."""
        call = self._call(a // 4)
        if call is None:
            return
        name, arguments = self._name(b), ARGUMENTS[a % len(ARGUMENTS)]
        if name == "take" or not isinstance(arguments, dict):
            return
        if name == "give":
            arguments = {"side": "nobody"}
        answer: asyncio.Future[Any] = self.loop.create_future()
        self.posted.append(answer)
        call.post(Command(name, arguments, answer))

    def do_lose(self, a: int, b: int) -> None:
        """A media node is restarted."""
        sounds = self._sounds()
        for sound in sounds if b % 4 == 3 else sounds[a % max(len(sounds), 1):][:1]:
            self.lost = True
            sound.lose()

    def do_busy(self, a: int, b: int) -> None:
        """A line is in use, or not any more."""
        self.desk.fake_live.busy ^= {1 + a % 4}

    def do_pick_up(self, a: int, b: int) -> None:
        """A telephone that rings is answered."""
        leg = self._leg(a, State.CALLING)
        if leg is not None:
            leg.pick_up((2, 3, 0, 1, 4)[b % 5])

    def do_refuse(self, a: int, b: int) -> None:
        """Or not."""
        leg = self._leg(a, State.CALLING)
        if leg is not None:
            leg.refuse(REFUSALS[a % len(REFUSALS)],
                       self.desk.decision(DECISIONS[b % len(DECISIONS)]))

    def do_early(self, a: int, b: int) -> None:
        """Or it rings, with audio or without."""
        leg = self._leg(a, State.CALLING)
        if leg is not None:
            leg.progress(sdp(leg.numbers or 96) if b % 2 else None)

    def do_dial(self, a: int, b: int) -> None:
        """Another call comes in: a code."""
        self.start(f"code|{DIALLED[b % len(DIALLED)]}|{1 + a % 3}")

    def do_arrive(self, a: int, b: int) -> None:
        """Another call comes in."""
        self.start(f"functions||{a % 4}")

    def do_originate(self, a: int, b: int) -> None:
        """A call is made."""
        self.asked.append(asyncio.ensure_future(self.desk.control.asked({
            "do": "originate", "tenant": TENANT, "first": ("phones:1", "number:+46701")[b % 2],
            "second": ("user:2", "service:22", "nonsense")[a % 3], "user": a % 3})))

    def do_ask(self, a: int, b: int) -> None:
        """Somebody looks."""
        self.asked.append(asyncio.ensure_future(self.desk.control.asked(
            {"do": ("status", "calls", "what")[a % 3], "tenant": TENANT})))

    def do_delete(self, a: int, b: int) -> None:
        """A row is deleted that nothing points at."""
        self.desk.fake_store.rows["service"].pop(21 + a % 10, None)

    def do_stop(self, a: int, b: int) -> None:
        """The process ends."""
        self.stage.stopping = True
        if self.stopping is None:
            self.stopping = asyncio.ensure_future(self.desk.stop())

    # -- the end

    async def _end(self) -> None:
        plan, desk = self.plan, self.desk
        if plan.ending == "stop":
            self.do_stop(0, 0)
        if self.stopping is not None:
            await asyncio.sleep(END_S)
            if not self.stopping.done():
                self.stage.fault("stop() does not end")
            self.stopping.cancel()
        elif plan.ending == "walk":
            await asyncio.sleep(BOUND_S)
        desk.free_everybody()
        await asyncio.sleep(CALM_S)
        for _ in range(8):
            self._note()
            self._check_calm()
            if not desk.calls:
                break
            for call in list(desk.calls.values()):
                side = next(iter(call.sides.values()), None)
                if side is not None and isinstance(side.leg, FakeLeg):
                    side.leg.end()
            await asyncio.sleep(CALM_S)

    def _check_calm(self) -> None:
        """Nothing has happened for long: whoever is still there talks with somebody."""
        for call in self.desk.calls.values():
            where = f"call {call.uid[-4:]} in state {call.state} with {list(call.sides.values())}"
            sides = [side for side in call.sides.values() if side.leg.state is State.UP]
            if len(sides) != len(call.sides) or len(sides) < 2:
                self.stage.fault(f"{where} stays")
            elif call.state not in ("talking", "consulting", "conference"):
                self.stage.fault(f"{where}: they do not talk")
            elif not self.stage.troubled:
                self._check_heard(call, where)

    def _check_heard(self, call: Call, where: str) -> None:
        sound, sides = call.sound, list(call.sides.values())
        if any(side.holding for side in sides):
            return
        if not isinstance(sound, FakeSound):
            self.stage.fault(f"{where}: no media session")
            return
        ghosts = [label for label in sound.parties
                  if label.removesuffix("-room") not in call.sides]
        if ghosts and not self.lost:
            self.stage.fault(f"{where}: {ghosts} are left in the media session")
        if call.state == "conference":
            good = all(sound.hears(side.label, f"{side.label}-room") for side in sides)
        else:
            pairs = [pair for pair in itertools.combinations(sides, 2)
                     if sound.hears(pair[0].label, pair[1].label)]
            good = len(pairs) == 1 and not any(
                sound.parties[side.label].music for side in pairs[0])
        if not good:
            self.stage.fault(f"{where}: they do not hear each other: " + ", ".join(
                f"{label}-{seat.other or '?'}{' with music' if seat.music else ''}"
                for label, seat in sound.parties.items()))

    def _check_nothing_stays(self, before: set[asyncio.Task[Any]]) -> None:
        stage, desk = self.stage, self.desk
        left = [task for task in asyncio.all_tasks() - before
                if task is not asyncio.current_task()]
        for what, found in {
                "legs": open_legs(stage), "calls": list(desk.calls), "parked": list(desk.parked),
                "callbacks": desk.open_callbacks(), "media sessions": desk.media.count(),
                "sessions": [sound for sound in stage.sounds if not sound.closed],
                "rooms": desk.mixer.rooms, "tasks": left, "timers": self.loop.timers(),
                "questions": [task for task in self.asked if not task.done()],
                "commands": [one for one in self.posted if not one.done()
                             and not stage.stopping]}.items():
            if found:
                stage.fault(f"{what} are left: {found}")
        for task in self.asked:
            if task.done() and not isinstance(task.result(), dict):
                stage.fault(f"a question was answered {task.result()!r}")
        held = [leg for leg in stage.legs if leg.offered and leg.ended_by == "us"
                and not self.plan.events]
        if held:
            stage.fault(f"offers without an answer: {held}")
