"""Call control without time, telephones or media: a clock that jumps, legs and media sessions that
do as they are told and notice what may not be done with them.

The clock is virtual (VirtualLoop), so that hours pass in milliseconds and a run is the same each
time. A Stage is what one run has in common: what shall go wrong, and the faults that were noticed.
tests/fake_desk.py has the exchange around it.
"""

import asyncio
import math
import re
import selectors
import traceback
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from callcontrol.sofia.ua import (
    Answered,
    Confirmed,
    Dialog,
    Ended,
    LegEvent,
    Offered,
    OfferRefused,
    Pressed,
    Progress,
    Referred,
    Refused,
    State,
)
from rtp.errors import MediaGone, MediaRefused, MediaTimeout, MixerGone, MixerRefused

T = TypeVar("T")
NUMBERS: Final = re.compile(r"numbers=(\d+)")
#: Answers to a re-INVITE come within this, or never.
OFFER_S: Final = 10.0
#: A transfer that was asked for is decided by then: it rings, then it comes back, with prompts.
REFER_S: Final = 150.0
#: The clock moves by multiples of a power of two: so sums and differences of times are exact.
STEP_S: Final = 2.0 ** -20
#: Of the loop, at one time.
MOST_TURNS: Final = 100_000


# -- time --------------------------------------------------------------------------------------

class Stuck(RuntimeError):
    """Everybody waits, and nothing will ever happen."""


class _Selector(selectors.SelectSelector):
    """Waits by moving the clock."""

    loop: "VirtualLoop"
    turns = 0  # in a row, without any time passing

    def select(self, timeout: float | None = None) -> list[Any]:
        """Nothing ever comes from outside."""
        if timeout is None:
            raise Stuck("nothing is ready and no timer is left")
        self.turns += 1
        if timeout > 0:
            self.turns = 0
            self.loop.now = math.ceil((self.loop.now + timeout) / STEP_S) * STEP_S
        if self.turns > MOST_TURNS:
            raise Stuck("something is always ready, and no time passes")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time() stands still while there is something to do, and jumps to the next timer then."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self.unhandled: list[str] = []
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Virtual seconds."""
        return self.now

    def run_in_executor(self, _executor: Any, func: Callable[..., T],  # type: ignore[override]
                        *args: Any) -> "asyncio.Future[T]":
        """At once: a thread would not know of the clock."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def timers(self) -> list[asyncio.TimerHandle]:
        """Those that would still fire."""
        return [timer for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]

    def play(self, scene: Coroutine[Any, Any, T]) -> T:
        """Run it, then close."""
        try:
            asyncio.set_event_loop(self)
            return self.run_until_complete(scene)
        finally:
            for task in asyncio.all_tasks(self):
                task.cancel()
            self.run_until_complete(asyncio.sleep(0))
            asyncio.set_event_loop(None)
            self.close()

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.unhandled.append(str(context.get("message")) + (
            "" if error is None else "".join(traceback.format_exception(error))))


# -- what shall go wrong -----------------------------------------------------------------------

class Policy(NamedTuple):
    """What a telephone does that is called: after a time it says something, or nothing ever."""

    what: str = ""  # "", "ring", "early", "answer", "refuse"
    after_s: float = 0.0
    code: int = 486
    user: int = 0
    decision: str = ""  # a kind of Handover that comes with the refusal (fake_desk.decision())


@dataclass
class Stage:
    """One run. policies: of the telephones that will be called, in order; offers: what becomes of
    re-INVITEs; media: (which operation, how it fails); rooms: how the mixer's fail; waits: how long
    operations take, over and over; numbers: payload numbers of those who call, over and over."""

    policies: Sequence[Policy] = ()
    offers: Sequence[str] = ("answer",)
    media: dict[int, str] = field(default_factory=dict)
    rooms: Sequence[str] = ("ok",)
    waits: Sequence[float] = (0.0,)
    numbers: Sequence[int] = (96,)
    faults: list[str] = field(default_factory=list)
    legs: "list[FakeLeg]" = field(default_factory=list)
    sounds: "list[FakeSound]" = field(default_factory=list)
    misuse: list[str] = field(default_factory=list)
    troubled: bool = False  # something was made to fail: what follows from it is no misuse
    flooded: bool = False  # somebody pressed hundreds of keys: each is one turn of a menu
    commanded: bool = False  # a call was told to end: nobody is told of its transfers any more
    stopping: bool = False  # the process ends: the session's own end stops a recording
    decide: Callable[[str], str] = str  # the edge's words that come with a refusal, by kind
    _turns: dict[str, int] = field(default_factory=dict)

    def turn(self, what: str, choices: Sequence[T]) -> T:
        """The next of them, over and over."""
        at = self._turns.get(what, 0)
        self._turns[what] = at + 1
        return choices[at % len(choices)]

    def count(self, what: str) -> int:
        """The next number, from 0."""
        at = self._turns.get(what, 0)
        self._turns[what] = at + 1
        return at

    def policy(self, _target: str) -> Policy:
        """Of a telephone that is called now."""
        at = self.count("called")
        return self.policies[at] if at < len(self.policies) else Policy()

    def misused(self, text: str) -> None:
        """Something that the real one would refuse, and by whom."""
        self.misuse.append(text + _by_whom())

    def fault(self, text: str) -> None:
        """Something that must not be."""
        self.faults.append(text)

    async def wait(self) -> None:
        """As long as an operation takes."""
        wait_s = self.turn("wait", self.waits)
        if wait_s >= 0:
            await asyncio.sleep(wait_s)


def _by_whom() -> str:
    frames = [frame for frame in traceback.extract_stack() if "callcontrol" in frame.filename]
    return "".join(f"\n  {frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
                   for frame in frames[-6:])


def sdp(numbers: int, direction: str = "sendrecv") -> str:
    """A session description, as far as anybody here looks."""
    return f"v=0\r\nnumbers={numbers}\r\na={direction}\r\n"


def _numbers(text: str) -> int:
    found = NUMBERS.search(text)
    return int(found[1]) if found else 0


# -- a telephone -------------------------------------------------------------------------------

def _deaf(_event: LegEvent) -> None:
    """Nobody holds the leg yet."""


class FakeLeg:
    """A dialog with somebody. What it is told is checked; what its telephone does is said with the
    methods that return whether that could happen now."""

    def __init__(self, stage: Stage, called: bool, target: str = "", conversation: str = "",
                 offer: str = "", late: bool = False) -> None:
        self.stage = stage
        self.late = late  # its INVITE had no SDP: its ACK has
        self.called = called
        self.target = target
        self.conversation = conversation
        self.number = stage.count("leg")
        self.state = State.CALLING
        self.on: Callable[[LegEvent], None] = _deaf
        self.at_end: Callable[[], None] | None = None
        self.gone = True
        self.dialog = Dialog(f"call{self.number}", "us", "them")
        self.numbers = _numbers(offer)
        self.told: list[tuple[Any, ...]] = []
        self.ended_at = 0.0
        self.ended_by = ""
        self.picked_up = False
        self.confirmed = not called
        self.offered = 0  # re-INVITEs of its own that wait for our answer
        self.offers_at = 0.0
        self.refers: dict[int, float] = {}  # those without a last NOTIFY
        self.trying: set[int] = set()  # those that were taken on
        self.rang_at = asyncio.get_running_loop().time()
        self._reply: asyncio.Future[str] | None = None
        stage.legs.append(self)
        if not called:
            policy = stage.policy(target)
            if policy.what:
                self._later(policy)

    def __repr__(self) -> str:
        return f"leg {self.number} ({'from' if self.called else 'to'} {self.target}, " \
               f"{self.state.name})"

    def _fault(self, text: str) -> None:
        self.stage.fault(f"{self}: {text}{_by_whom()}")

    # -- what it is told

    def ring(self, sdp: str | None = None) -> None:
        """180 or 183."""
        if self.state is State.CALLING and self.called:
            self.told.append(("ring", sdp))

    def answer(self, sdp: str) -> None:
        """200."""
        if self.state is State.UP:
            self._fault("answered again")
        if self.state is not State.CALLING or not self.called:
            return
        if not _numbers(sdp):
            self._fault(f"answered without a description: {sdp!r}")
        self.told.append(("answer", sdp))
        self.state = State.UP
        if self.late:
            self.numbers = _numbers(sdp)
        asyncio.get_running_loop().call_later(self.stage.turn("ack", (0.01, 0.0, 0.7)), self._ack)

    def accept(self, sdp: str) -> None:
        """200 to its re-INVITE."""
        self._decide(sdp)

    def reject_offer(self, code: int) -> None:
        """4xx to its re-INVITE."""
        self._decide(str(code))

    def _decide(self, answer: str) -> None:
        if self.state is not State.UP:
            return
        if not self.offered:
            self._fault("an answer to no offer")
        self.offered = max(self.offered - 1, 0)
        self.told.append(("decided", answer))

    def hang_up(self, code: int = 480, reason: str = "") -> None:
        """BYE, CANCEL, or a refusal."""
        if self.state is State.OVER:
            return
        stage = self.stage
        if self.trying & self.refers.keys() and not (
                stage.stopping or stage.commanded or stage.troubled):
            self._fault("hung up before the last NOTIFY")
        self.told.append(("hang_up", code, reason))
        self._over("us")

    async def offer(self, sdp: str) -> str:
        """A re-INVITE; 491 was tried again by the stack."""
        if self.state is not State.UP or self._reply is not None:
            raise OfferRefused(481 if self.state is not State.UP else 491)
        outcome = self.stage.turn("offer", self.stage.offers)
        if outcome not in ("answer", "slow"):
            self.stage.troubled = True
        loop = asyncio.get_running_loop()
        self._reply = loop.create_future()
        wait_s = {"slow": 7.0, "491": 9.0, "timeout": OFFER_S}.get(outcome, 0.05)
        timer = loop.call_later(wait_s, self._settle, outcome, sdp)
        self.told.append(("offer", sdp))
        try:
            return await self._reply
        finally:
            timer.cancel()
            self._reply = None

    def _settle(self, outcome: str, offered: str) -> None:
        reply = self._reply
        if reply is None or reply.done():
            return
        if outcome == "end":
            self.end()
        elif outcome in ("answer", "slow", "answer_end"):
            self.numbers = _numbers(offered)
            reply.set_result(sdp(self.numbers))
            if outcome == "answer_end":  # BYE in the same turn
                self.end()
        elif self.state is State.UP:
            reply.set_exception(OfferRefused(
                {"488": 488, "491": 491, "timeout": 408}.get(outcome, 500)))
        else:
            reply.set_exception(OfferRefused(408))

    def identify(self, headers: tuple[str, ...]) -> None:
        """UPDATE."""
        assert headers

    def notify_transfer(self, cseq: int, code: int, phrase: str, last: bool) -> None:
        """NOTIFY."""
        if self.state is not State.UP:
            return
        if cseq not in self.refers:
            self._fault(f"NOTIFY {code} for a REFER {cseq} that is none or is over")
        if last:
            if code < 200:
                self._fault(f"the last NOTIFY says {code}")
            self.refers.pop(cseq, None)
        self.trying.add(cseq)
        self.told.append(("notify", cseq, code, phrase, last))

    # -- what its telephone does

    def _later(self, policy: Policy) -> None:
        def say() -> None:
            if policy.what == "ring":
                self.progress(None)
            elif policy.what == "early":
                self.progress(sdp(self.numbers or 96))
            elif policy.what == "answer":
                self.pick_up(policy.user)
            else:
                self.refuse(policy.code, self.stage.decide(policy.decision))

        asyncio.get_running_loop().call_later(policy.after_s, say)

    def progress(self, early: str | None) -> bool:
        """It rings, or sends audio."""
        return self._said(Progress(183 if early else 180, early),
                          not self.called and self.state is State.CALLING)

    def pick_up(self, user: int = 0, device: int = 0) -> bool:
        """It answers."""
        if self.called or self.state is not State.CALLING:
            return False
        self.state, self.picked_up = State.UP, True
        return self._said(Answered(sdp(self.numbers or 96), user, device or user * 10), True)

    def refuse(self, code: int, decision: str = "") -> bool:
        """It does not."""
        if self.called or self.state is not State.CALLING:
            return False
        self._over("them")
        return self._said(Refused(code, "Refused", decision), True)

    def end(self) -> bool:
        """It hangs up, or cancels."""
        if self.state is State.OVER or (not self.called and self.state is State.CALLING):
            return False
        cancelled = self.state is State.CALLING
        self._over("them")
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(OfferRefused(481))
        return self._said(Ended(cancelled), True)

    def _ack(self) -> None:
        if self.state is State.UP:
            self.confirmed = True
            self.on(Confirmed(sdp(self.numbers or 96) if self.late else None))

    def reinvite(self, offer: str | None) -> bool:
        """A re-INVITE: one at a time, and not against ours (the stack says 491)."""
        if self.state is not State.UP or not self.confirmed or self.offered \
                or self._reply is not None:
            return False
        self.offered += 1
        self.offers_at = asyncio.get_running_loop().time()
        return self._said(Offered(offer), True)

    def refer(self, user: str, replaces: Dialog | None) -> bool:
        """REFER."""
        if self.state is not State.UP:
            return False
        cseq = 100 + self.stage.count("refer")
        self.refers[cseq] = asyncio.get_running_loop().time()
        return self._said(Referred(user, replaces, cseq), True)

    def press(self, key: str) -> bool:
        """INFO."""
        return self._said(Pressed(key), self.state is State.UP)

    def _said(self, event: LegEvent, fits: bool) -> bool:
        if fits:
            self.on(event)
        return fits

    def _over(self, by: str) -> None:
        self.state = State.OVER
        self.ended_by = by
        self.ended_at = asyncio.get_running_loop().time()
        late = [cseq for cseq, at in self.refers.items() if self.ended_at - at > REFER_S]
        if late and not self.stage.flooded:
            self._fault(f"no last NOTIFY for {late} in {REFER_S} s")
        if self.offered and self.ended_at - self.offers_at > REFER_S:
            self._fault("a re-INVITE was never answered")
        at_end, self.at_end = self.at_end, None
        if at_end is not None:
            at_end()

    def vanish(self) -> None:
        """It is over, and nobody is told: a fault of the stack's."""
        self.state, self.at_end = State.OVER, None


# -- media -------------------------------------------------------------------------------------

class _Seat:
    """A party of a session. numbers: its payload numbers, 0 while it has described nothing."""

    def __init__(self) -> None:
        self.numbers = 0
        self.invited = 0
        self.other = ""
        self.music = False
        self.playing: asyncio.Event | None = None


class FakeSound:
    """A media session: strict, and fails when the stage says so."""

    def __init__(self, stage: Stage, call_id: str, on_key: Callable[[str, str, int], None],
                 on_gone: Callable[[], None], forget: "Callable[[FakeSound], None]") -> None:
        self.stage = stage
        self.call_id = call_id
        self.on_key = on_key
        self.on_gone = on_gone
        self.gone = False
        self.closed = False
        self.parties: dict[str, _Seat] = {}
        self.recording = ""  # "", "on", "paused"
        self.captured: list[str] = []
        self.heard: list[tuple[float, str, str]] = []  # when, by which party, what
        self._forget = forget
        stage.sounds.append(self)

    # -- checks

    def _usable(self) -> None:
        if self.closed or self.gone:
            raise MediaGone("closed" if self.closed else "lost")

    async def _operation(self, name: str, *labels: str) -> None:
        """Time passes, and things fail."""
        if self.closed:
            self.stage.misused(f"{name} {labels} after close")
        self._usable()
        for label in labels:
            if label not in self.parties:
                self.stage.misused(f"{name}: there is no party {label}")
                raise MediaRefused(f"there is no party {label}")
        failure = self.stage.media.get(self.stage.count("media"), "")
        if failure:
            self.stage.troubled = True
        await self.stage.wait()
        if failure == "timeout":
            await asyncio.sleep(1.5)
            raise MediaTimeout(name)
        if failure == "refuse":
            raise MediaRefused(f"{name} by the test")
        if failure == "gone":
            self.lose()
        self._usable()
        for label in labels:
            if label not in self.parties:
                raise MediaRefused(f"there is no party {label} any more")

    def _halt(self, seat: _Seat) -> None:
        seat.music = False
        if seat.playing is not None:
            seat.playing.set()
            seat.playing = None

    def lose(self) -> None:
        """The node lost it."""
        if not self.gone and not self.closed:
            self.gone = True
            for seat in self.parties.values():
                self._halt(seat)
            self.on_gone()

    def hears(self, one: str, two: str) -> bool:
        """Whether they hear each other."""
        return one in self.parties and two in self.parties and self.parties[one].other == two \
            and self.parties[two].other == one

    # -- who is there

    async def admit(self, party: str, offer: str) -> str:
        """Somebody who called."""
        await self._operation("admit")
        if not _numbers(offer):
            raise MediaRefused("no session description")
        self.parties.setdefault(party, _Seat()).numbers = _numbers(offer)
        return sdp(_numbers(offer))

    async def readmit(self, party: str, offer: str) -> str:
        """A re-INVITE."""
        if party not in self.parties:
            self.stage.misused(f"readmit: there is no party {party}")
        return await self.admit(party, offer)

    async def invite(self, party: str, other: str) -> str:
        """What to offer."""
        await self._operation("invite", *([party] if party else []))
        asking = self.parties[party].numbers if party else 0
        self.parties.setdefault(other, _Seat()).invited = asking or 101
        return sdp(asking or 101)

    async def accept(self, other: str, answer: str) -> None:
        """Its answer."""
        await self._operation("accept", other)
        if not _numbers(answer):
            raise MediaRefused("no session description")
        self.parties[other].numbers = _numbers(answer)

    async def join(self, party: str, other: str, answer: str) -> str | None:
        """With an answer."""
        await self._operation("join", party, other)
        if answer:
            self.parties[other].numbers = _numbers(answer)
        return self._connected(party, other)

    async def connect(self, party: str, other: str) -> str | None:
        """Without."""
        await self._operation("connect", party, other)
        return self._connected(party, other)

    def _connected(self, party: str, other: str) -> str | None:
        one, two = self.parties[party], self.parties[other]
        if not one.numbers or not two.numbers:
            raise MediaRefused("a party has no description yet")
        for seat, beside in ((one, other), (two, party)):
            self._halt(seat)
            if seat.other not in ("", beside):
                self._part(seat)
        if one.numbers != two.numbers:
            return sdp(two.numbers)
        one.other, two.other = other, party
        return None

    def _part(self, seat: _Seat) -> None:
        other = self.parties.get(seat.other)
        seat.other = ""
        if other is not None:
            other.other = ""

    async def separate(self, party: str) -> None:
        """They do not hear each other."""
        await self._operation("separate", party)
        self._part(self.parties[party])

    async def drop(self, party: str) -> None:
        """It left."""
        await self._operation("drop")
        seat = self.parties.pop(party, None)
        if seat is not None:
            self._halt(seat)
            other = self.parties.get(seat.other)
            self._part(seat)
            if other is not None:
                self._halt(other)
        if not self.parties:  # the node ends a call that nobody is in, and its recording
            self.recording = ""

    # -- playing

    def _hears(self, party: str, file: Path) -> None:
        now = asyncio.get_running_loop().time()
        self.heard.append((now, party, file.name.rpartition("-")[0]))

    async def play(self, party: str, files: Sequence[Path]) -> None:
        """To the end, or to the next."""
        await self._operation("play", party)
        seat = self.parties[party]
        self._halt(seat)
        over = seat.playing = asyncio.Event()
        try:
            for file in files:
                self._hears(party, file)
                try:
                    async with asyncio.timeout(length_s(file)):
                        await over.wait()
                    break
                except TimeoutError:
                    continue
        finally:
            if seat.playing is over:
                seat.playing = None
        self._usable()

    async def music(self, party: str, file: Path) -> None:
        """Over and over."""
        await self._operation("music", party)
        self._hears(party, file)
        self._halt(self.parties[party])
        self.parties[party].music = True

    async def stop(self, party: str) -> None:
        """Silence."""
        await self._operation("stop", party)
        self._halt(self.parties[party])

    # -- recording

    async def record_start(self, uid: str, left: str = "") -> None:
        """Once."""
        await self._operation("record_start")
        if self.recording:
            self.stage.misused("recorded twice")
            raise MediaRefused("the call is being recorded")
        self.recording = "on"
        self.captured.append(uid)

    async def record_pause(self) -> None:
        """Nothing reaches a disk."""
        await self._operation("record_pause")
        self.recording = "paused" if self.recording else ""

    async def record_resume(self) -> None:
        """A further part."""
        await self._operation("record_resume")
        self.recording = "on" if self.recording else ""

    async def record_stop(self) -> list[tuple[int, int]]:
        """The pauses."""
        await self._operation("record_stop")
        self.recording = ""
        return []

    async def close(self) -> None:
        """The end of it."""
        if self.closed:
            return
        if self.recording and not (self.gone or self.stage.troubled or self.stage.stopping):
            self.stage.fault("a session was closed while it recorded")
        for seat in self.parties.values():
            self._halt(seat)
        self.closed = True
        self._forget(self)
        await self.stage.wait()


def length_s(file: Path) -> float:
    """Of "speech-2.5": 2.5 s."""
    _, _, length = file.name.rpartition("-")
    return float(length) if length.replace(".", "", 1).isdecimal() else 0.4


class FakeMedia:
    """Opens sessions; as rtp.session.Media."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._open: dict[str, FakeSound] = {}

    def session(self, call_id: str, *, on_key: Callable[[str, str, int], None],
                on_gone: Callable[[], None]) -> FakeSound:
        """MediaRefused when the stage says so."""
        if self._stage.media.get(self._stage.count("media")):
            self._stage.troubled = True
            raise MediaRefused("too many sessions")
        if call_id in self._open:
            raise MediaRefused("the call has a session")
        made = FakeSound(self._stage, call_id, on_key, on_gone, self._closed)
        self._open[call_id] = made
        return made

    def _closed(self, sound: FakeSound) -> None:
        self._open = {name: one for name, one in self._open.items() if one is not sound}

    def count(self) -> int:
        """The open ones."""
        return len(self._open)


class FakeRoom:
    """A room of the mixer."""

    def __init__(self, mixer: "FakeMixer") -> None:
        self._mixer = mixer
        self._seats: set[str] = set()
        self._closed = False

    async def _operation(self) -> None:
        stage = self._mixer.stage
        failure = stage.turn("room", stage.rooms)
        await stage.wait()
        if failure != "ok":
            stage.troubled = True
            raise MixerGone("by the test") if failure == "gone" else MixerRefused("by the test")

    async def add(self, seat: str, offer: str) -> str:
        """The answer to the offer."""
        if self._closed or seat in self._seats:
            self._mixer.stage.fault(f"{seat} is added {'after close' if self._closed else 'twice'}")
        await self._operation()
        self._seats.add(seat)
        return offer

    async def remove(self, seat: str) -> None:
        """It left."""
        await self._operation()
        self._seats.discard(seat)

    async def close(self) -> None:
        """The end of it, whatever it says."""
        if not self._closed:
            self._closed = True
            self._mixer.rooms -= 1
        await self._operation()


class FakeMixer:
    """Makes rooms."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.rooms = 0

    async def create_room(self) -> FakeRoom:
        """MixerGone, MixerRefused when the stage says so."""
        made = FakeRoom(self)
        await made._operation()
        self.rooms += 1
        return made


def open_legs(stage: Stage) -> list[FakeLeg]:
    """Those that are not over."""
    return [leg for leg in stage.legs if leg.state is not State.OVER]


__all__ = [
    "FakeLeg", "FakeMedia", "FakeMixer", "FakeRoom", "FakeSound", "Policy", "Stage", "Stuck",
    "VirtualLoop", "open_legs", "sdp",
]
