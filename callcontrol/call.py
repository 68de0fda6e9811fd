"""A call that we hold: its sides, its media session, and one queue of everything that happens to
it.

Whatever happens (a key, a hang-up, an answer, a command from outside) becomes an event in the
call's inbox, and one coroutine, the call's script, takes them out one after the other. So nothing
needs a lock, and a script reads from top to bottom. Rules that every script can rely on:

- next() deals itself with what is the same everywhere: a side that holds or moves its media, a side
  that hangs up. When the last side has gone it raises Over, through whatever the script is doing.
- Everything that a call has (legs, media session, timers, playing) belongs to the Call, and close()
  ends it, whatever state the script was in.
"""

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from callcontrol.parts import (
    Beyond,
    Command,
    Event,
    Failed,
    Held,
    Key,
    LegSaid,
    MediaLost,
    Place,
    Played,
    Side,
    SideLeft,
    Sound,
    World,
)
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
from routing_core.handover import Handover, trail_bytes
from routing_core.queue_words import Leave
from rtp.errors import MediaError, MediaGone, MediaRefused

log = structlog.get_logger()

#: Keys that nobody has asked for yet; more are dropped (endless key presses).
MAX_KEYS: Final = 64
MAX_INBOX: Final = 500
#: A call that is being set up rings no longer than this whatever the rules say.
MAX_RING_S: Final = 220.0
#: Nobody stays in a call with us for longer.
MAX_CALL_S: Final = 12 * 3600


class Over(Exception):
    """Nobody is left in the call."""


def _rouse(wake: "asyncio.Future[None] | None") -> None:
    if wake is not None and not wake.done():
        wake.set_result(None)


class Call:
    """See the module. uid: of the edge's call record; every part of the call carries it."""

    def __init__(self, world: World, uid: str, tenant: int, language: str,
                 handover: Handover | None = None) -> None:
        self.world = world
        self.uid = uid
        self.tenant = tenant
        self.language = language
        self.handover = handover
        self.trail = trail_bytes(handover.trail) if handover else b""
        self.sides: dict[str, Side] = {}
        self.record = bool(handover and handover.record)
        self.recording = ""  # "", "on", "paused"
        self.by_hand = False  # the recording was begun by a person
        self.services = 0
        self.parker = 0  # the user who has parked it
        self.state = "new"
        self.began = world.now()
        self.beyond = Beyond()  # whom a first party of ours sees
        self.shows = 0  # the number that outside parties are to see, 0 = by the rules
        self.place: Place | None = None  # in the company's queues
        self.token: tuple[int, int] | None = None  # of the first place it had there
        self.sound: Sound | None = None
        self.cut = False  # somebody was hung up for a fault of ours
        self.moved = False  # everybody has come into another media session, unconnected
        self._inbox: deque[Event] = deque()
        self._wake: asyncio.Future[None] | None = None  # what next() waits for
        self._tokens = itertools.count(1)
        self._labels = itertools.count(1)
        self._playing: dict[str, tuple[int, asyncio.Task[None]]] = {}
        self._ringing: dict[str, Side] = {}
        self.script: asyncio.Task[None] | None = None
        self.closed = False

    # -- events -------------------------------------------------------------------------------

    def post(self, event: Event) -> None:
        """Put into the inbox; a call that is drowned in keys or commands loses those."""
        if self.closed or (len(self._inbox) >= MAX_INBOX and isinstance(event, Key | Command)):
            if isinstance(event, Command):
                event.reply(error="the call is over" if self.closed else "the call is busy")
            return
        self._inbox.append(event)
        _rouse(self._wake)

    def listen(self, side: Side) -> None:
        """Have what the side's telephone says come in here."""
        side.leg.on = lambda event: self.post(LegSaid(side, event))

    def key(self, label: str, digit: str, _duration_ms: int = 0) -> None:
        """The media session heard a key."""
        side = self.sides.get(label)
        if side is not None and side.presses.new("sound", digit, self.world.now()):
            self.post(Key(side, digit))

    async def next(self, timeout_s: float | None = None) -> Event | None:
        """The next event that the script has to know of; None after timeout_s. Over."""
        until = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        while True:
            self._still()
            while self._inbox:
                event = await self._common(self._inbox.popleft())
                if event is not None:
                    return event
                self._still()
            loop = asyncio.get_running_loop()
            if until is not None and until <= loop.time():
                return None
            # By hand: wait_for() swallows a cancellation that comes with the event (in 3.11), and
            # every call waits here for nearly all of its life.
            wake = self._wake = loop.create_future()
            timer = None if until is None else loop.call_at(until, _rouse, wake)
            try:
                await wake
            finally:
                self._wake = None
                if timer is not None:
                    timer.cancel()

    async def _common(self, event: Event) -> Event | None:
        """Deal with what is the same everywhere; the rest, or what it means, for the script."""
        if isinstance(event, MediaLost):
            await self.reopen()
            return event
        if isinstance(event, Command) and event.answer.done():
            return None  # nobody waits for it any more: it must not be done late
        if isinstance(event, Key) and event.side.label not in self.sides:
            return None  # the last key overtakes the hang-up
        if not isinstance(event, LegSaid):
            return event
        side, said = event
        if isinstance(said, Ended):
            known = self.sides.pop(side.label, None) or self._ringing.pop(side.label, None)
            await self._forget(side)
            return SideLeft(side) if known else None
        if side.label not in self.sides and side.label not in self._ringing:
            return None  # of a leg that was let go meanwhile
        if isinstance(said, Confirmed):
            if said.sdp and side.offer is None:
                side.offer = answer = said.sdp
                await self.guard(lambda sound: sound.accept(side.label, answer))
            return None
        if isinstance(said, Pressed):
            return Key(side, said.key) \
                if side.presses.new("info", said.key, self.world.now()) else None
        if isinstance(said, Offered):
            return await self._reoffered(side, said.sdp)
        return event

    async def _reoffered(self, side: Side, sdp: str | None) -> Event | None:
        """A re-INVITE: answered here, the other side is not told."""
        if sdp is None:
            side.leg.reject_offer(488)
            return None
        try:
            side.leg.accept(await self.ensure_sound().readmit(side.label, sdp))
        except MediaError:
            side.leg.reject_offer(488)
            return None
        side.offer = sdp
        holding = any(line in ("a=sendonly", "a=inactive", "c=IN IP4 0.0.0.0")
                      for line in sdp.replace("\r", "").split("\n"))
        if holding == side.holding:
            return None
        side.holding = holding
        return Held(side, holding)

    # -- sides --------------------------------------------------------------------------------

    def label(self) -> str:
        """A new name in the media session."""
        return f"p{next(self._labels)}"

    def take(self, side: Side) -> None:
        """The side belongs to this call from now on."""
        self.sides[side.label] = side
        self.listen(side)
        kept, side.kept = side.kept, []
        for said in kept:
            self.post(LegSaid(side, said))
        if side.leg.state is State.OVER and not kept:  # it hung up while it was nobody's
            self.post(LegSaid(side, Ended()))

    def introduce(self, one: Side, two: Side) -> None:
        """The two talk from now on: a telephone of ours that shows somebody else is told so."""
        for side, other in ((one, two), (two, one)):
            if side.user and side.sees not in (None, other):
                side.leg.identify(self.world.identity(other))
            side.sees = other

    def other(self, side: Side) -> Side | None:
        """The other of two."""
        return next((one for one in self.sides.values() if one is not side), None)

    def ensure_sound(self) -> Sound:
        """The media session; MediaError."""
        if self.sound is None:
            self.sound = self.world.open_sound(self)
        return self.sound

    async def admit(self, side: Side) -> str:
        """Let the side into the media session: what it is to be answered. MediaError."""
        sound = self.ensure_sound()
        if side.offer is None:
            answer = await sound.invite("", side.label)
        else:
            answer = await sound.admit(side.label, side.offer)
        side.admitted, side.answer = True, answer
        return answer

    async def answer(self, side: Side) -> None:
        """Answer a side that called us, if it is not yet. Over when its media is no good."""
        if side.up:
            return
        try:
            sdp = await self.admit(side)
        except MediaError as error:
            log.info("call cannot be answered", uid=self.uid, error=str(error))
            await self.end(side, 503 if isinstance(error, MediaGone) else 488)
            raise Over from error
        side.leg.answer(sdp)

    async def end(self, side: Side, code: int = 480, reason: str = "") -> None:
        """Hang the side up."""
        self.sides.pop(side.label, None)
        self._ringing.pop(side.label, None)
        side.leg.hang_up(code, reason)
        await self._forget(side)

    async def _forget(self, side: Side) -> None:
        """Nothing of it stays in the media session; the end of the call ends all of that."""
        self._halt(side)
        if self.sound is not None and (self.sides or self._ringing):
            await self.guard(lambda sound: sound.drop(side.label))

    def let_go(self, side: Side) -> None:
        """The side goes on in another call, which takes it; what it says until then is kept."""
        self.sides.pop(side.label, None)
        side.kept = [event.event for event in self._inbox
                     if isinstance(event, LegSaid) and event.side is side]
        side.leg.on = side.kept.append
        self._ringing.pop(side.label, None)
        _rouse(self._wake)

    async def guard(self, do: Callable[[Sound], Awaitable[Any]]) -> Any:
        """What may fail with the media and changes nothing when it does; None then."""
        try:
            return await do(self.ensure_sound())
        except MediaGone:
            return None
        except MediaError as error:
            log.info("media", uid=self.uid, error=str(error))
            self.world.count("media_failed")
            return None

    async def reopen(self) -> None:
        """The media node has lost the session: a new one, and every side is told where to send."""
        lost, self.sound = self.sound, None
        self.moved = True
        if lost is not None:
            with contextlib.suppress(MediaError):
                await lost.close()
        for side in list(self.sides.values()):
            self._halt(side)
            side.admitted = False
            if not side.up:
                continue
            try:
                sdp = await self.ensure_sound().invite("", side.label)
                answer = await side.leg.offer(sdp)
                await self.ensure_sound().accept(side.label, answer)
                side.offer, side.admitted = answer, True
            except (MediaError, OfferRefused) as error:
                log.warning("media not moved", uid=self.uid, error=str(error))
                self.cut = True
                await self.end(side, 503)
                self._inbox.appendleft(SideLeft(side))
        before, self.recording = self.recording, ""
        if before == "on":
            await self.start_recording()
        # One that was paused stays off until somebody resumes it: then it begins anew.

    # -- playing and keys ---------------------------------------------------------------------

    def start(self, side: Side, files: Sequence[Path]) -> int:
        """Begin to play; Played(token) comes when it is over. What was playing ends."""
        self._halt(side)
        token = next(self._tokens)
        self._playing[side.label] = token, asyncio.ensure_future(self._play(side, files, token))
        return token

    async def _play(self, side: Side, files: Sequence[Path], token: int) -> None:
        try:
            await self.ensure_sound().play(side.label, files)
        except MediaGone:
            return  # MediaLost is in the inbox: whoever plays begins again
        except MediaError as error:
            log.warning("prompt not played", uid=self.uid, error=str(error))
            self.world.count("prompt_failed")
        self.post(Played(token))

    def _halt(self, side: Side) -> None:
        _, task = self._playing.pop(side.label, (0, None))
        if task is not None:
            task.cancel()

    async def silence(self, side: Side) -> None:
        """Whatever is playing to the side ends at once."""
        self._halt(side)
        if self.sound is not None and side.admitted:
            await self.guard(lambda sound: sound.stop(side.label))

    async def music(self, side: Side, file: Path | None = None) -> None:
        """Play the tenant's hold music, or a tone, over and over."""
        self._halt(side)
        if side.admitted or side.up:
            await self.guard(lambda sound: sound.music(
                side.label, file or self.world.music_of(self)))

    async def say(self, side: Side, files: Sequence[Path], *, barge: bool = True) -> None:
        """Play to its end, or, with barge, until a key is pressed (which is kept for keys())."""
        if not files or side.label not in self.sides or (barge and side.keys):
            return
        token = self.start(side, files)
        while True:
            event = await self.next()
            if isinstance(event, Played) and event.token == token:
                self._playing.pop(side.label, None)
                return
            if isinstance(event, Key):
                self.keep_key(event)
                if barge and event.side is side:
                    await self.silence(side)
                    return
            elif isinstance(event, MediaLost) and side.label in self.sides:
                token = self.start(side, files)
            elif event is not None:
                await self.unexpected(event)
            if side.label not in self.sides:
                self._still()
                return  # it has hung up, and somebody else is still here

    def _still(self) -> None:
        """Over when nobody is left."""
        if not self.sides and not self._ringing:
            raise Over

    def keep_key(self, key: Key) -> None:
        """For keys(), as far as somebody may type ahead."""
        if len(key.side.keys) < MAX_KEYS:
            key.side.keys += key.digit

    async def keys(self, side: Side, most: int, *, first_s: float, between_s: float = 3.0,
                   ends: str = "#") -> str:
        """Up to `most` keys, until one of `ends` (which is left out) or a pause; "" for none."""
        got = ""
        loop = asyncio.get_running_loop()
        until = loop.time() + first_s
        while len(got) < most:
            while side.keys and len(got) < most:
                digit, side.keys = side.keys[0], side.keys[1:]
                if digit in ends:
                    return got
                got += digit
                until = loop.time() + between_s
            if len(got) >= most:
                break
            event = await self.next(max(until - loop.time(), 0))
            if event is None:
                break
            if isinstance(event, Key):
                self.keep_key(event)
            else:
                await self.unexpected(event)
            if side.label not in self.sides:
                self._still()
                break
        return got

    async def ask(self, side: Side, files: Sequence[Path], most: int = 1, *, first_s: float = 6.0,
                  between_s: float = 3.0, ends: str = "#") -> str:
        """say(), then keys()."""
        await self.say(side, files)
        return await self.keys(side, most, first_s=first_s, between_s=between_s, ends=ends)

    async def unexpected(self, event: Event) -> None:
        """What no state here has asked for: refused politely. Over when it ends the call."""
        if isinstance(event, Command):
            if event.name == "hang_up":
                event.reply()
                await self.hang_up_all()
                raise Over
            event.reply(error=f"not while the call is {self.state}")
        elif isinstance(event, LegSaid) and isinstance(event.event, Referred):
            event.side.leg.notify_transfer(event.event.cseq, 603, "Decline", True)
        elif isinstance(event, LegSaid) and isinstance(event.event, Refused):
            self._ringing.pop(event.side.label, None)
            await self._forget(event.side)

    # -- calling somebody ---------------------------------------------------------------------

    async def ring(self, target: str, *, side: Side | None, by: Side | None = None,
                   number: str = "", repeat: bool = False) -> Side:
        """Begin to call target for `side`; events of the new side come in. MediaError.

        by: whose doing it is, and who pays; repeat: ask again what the first decision was asked.
        """
        label = self.label()
        sdp = await self.ensure_sound().invite(
            side.label if side is not None and side.admitted else "", label)
        leg = self.world.dial(self, target, side=side, by=by, sdp=sdp, repeat=repeat)
        new = Side(leg, label, number=number)
        self._ringing[label] = new
        self.listen(new)
        return new

    async def fetch(self, target: str, user: int, timeout_s: float = 60.0,
                    until: Callable[[Event], bool] | None = None) -> Side | Failed:
        """Call somebody with nobody behind us yet: the new side, answered. An event for which
        until() is true ends it (487)."""
        try:
            kind, _, called = target.partition(":")
            new = await self.ring(target, side=None,
                                  number=called if kind in ("number", "callback") else "")
        except MediaError as error:
            return Failed(503, str(error))
        new.user = user
        last = asyncio.get_running_loop().time() + timeout_s
        while True:
            event = await self.next(max(last - asyncio.get_running_loop().time(), 0))
            if event is None or (isinstance(event, SideLeft) and event.side is new):
                await self.end(new)
                return Failed(408, "no answer")
            if until is not None and until(event):
                await self.end(new)
                return Failed(487, "called off")
            if isinstance(event, LegSaid) and isinstance(event.event, Refused):
                await self.unexpected(event)
                return Failed(event.event.code, event.event.phrase,
                              self.world.read(event.event.decision))
            if isinstance(event, LegSaid) and isinstance(event.event, Answered):
                return await self._fetched(new, event.event)
            if isinstance(event, MediaLost):
                await self.end(new)
                return Failed(503, "media lost")
            if not isinstance(event, LegSaid):
                await self.unexpected(event)

    async def _fetched(self, new: Side, said: Answered) -> Side:
        self._ringing.pop(new.label, None)
        self.sides[new.label] = new
        new.offer, new.admitted, new.device = said.sdp, True, said.device
        new.user = said.user or new.user
        await self.guard(lambda sound: sound.accept(new.label, said.sdp))
        return new

    async def dial(self, side: Side, target: str, *, by: Side | None = None,
                   repeat: bool = False, timeout_s: float = MAX_RING_S,
                   watch: Callable[[Event], Awaitable[Failed | None]] | None = None,
                   ) -> Side | Failed:
        """Call target for `side` and wait: the new side, connected with it, or why not. `side`
        hears it ring. watch() sees every other event and may end it."""
        if side.offer is None and not side.up:
            await self.answer(side)  # there is nothing yet that it could be connected with
        try:
            if not side.admitted:
                await self.admit(side)
            new = await self.ring(target, side=side, by=by, repeat=repeat)
        except MediaError as error:
            log.warning("cannot dial", uid=self.uid, error=str(error))
            return Failed(503, "no media")
        until = asyncio.get_running_loop().time() + timeout_s
        while True:
            event = await self.next(max(until - asyncio.get_running_loop().time(), 0))
            if event is None:
                await self.end(new)
                return Failed(408, "no answer")
            if isinstance(event, SideLeft):
                if event.side is new:
                    return Failed(480, "gone")
                if event.side is side:
                    await self.end(new)
                    if not self.sides:
                        raise Over
                    return Failed(487, "the caller has left")
            elif isinstance(event, LegSaid) and event.side is new:
                done = await self._dialled(side, new, event.event)
                if done is not None:
                    return done
                continue
            elif isinstance(event, MediaLost):  # whoever rings was invited into what is lost
                await self.end(new)
                if side.label not in self.sides:
                    return Failed(503, "media lost")
                return await self.dial(side, target, by=by, repeat=repeat, watch=watch,
                                       timeout_s=until - asyncio.get_running_loop().time())
            elif isinstance(event, Key) and watch is None:
                self.keep_key(event)
                continue
            failed = await watch(event) if watch else await self._while_ringing(
                event, side, new, target)
            if failed is not None:
                await self.end(new)
                return failed

    async def _while_ringing(self, event: Event, side: Side, new: Side,
                             target: str) -> Side | Failed | None:
        if isinstance(event, Command) and event.name == "take":
            return await self._taken(event, side, new)
        if isinstance(event, Command) and event.name == "give":  # a transfer before the answer
            dialled = self.handover.called if self.handover else ""
            event.reply(target=f"dial:{dialled}" if target == "repeat" else target)
            return Failed(487, "given away")
        if not isinstance(event, SideLeft):
            await self.unexpected(event)
        return None

    async def _dialled(self, side: Side, new: Side, said: LegEvent) -> Side | Failed | None:
        """What the called telephone says while it is called."""
        if isinstance(said, Progress):
            if said.sdp:
                heard = said.sdp
                await self.guard(lambda sound: sound.join(side.label, new.label, heard))
                side.leg.ring(side.answer or None)
            elif side.up:
                await self.music(side, self.world.tone("ringback"))
            else:
                side.leg.ring()
        elif isinstance(said, Refused):
            self._ringing.pop(new.label, None)
            await self._forget(new)
            if side.up and side.label in self.sides:
                await self.silence(side)
            return Failed(said.code, said.phrase, self.world.read(said.decision))
        elif isinstance(said, Answered):
            return await self.arrived(side, new, said)
        return None

    async def arrived(self, side: Side, new: Side, said: Answered) -> Side | Failed:
        """The called side has answered: connect both, or end it."""
        self._ringing.pop(new.label, None)
        self.sides[new.label] = new
        new.offer, new.admitted = said.sdp, True
        new.user, new.device = said.user, said.device
        self._halt(side)
        try:
            changed = await self.ensure_sound().join(side.label, new.label, said.sdp)
        except MediaError as error:
            log.warning("cannot connect", uid=self.uid, error=str(error))
            await self.end(new, 488)
            return Failed(488, "no common media")
        if not side.up:
            side.leg.answer(side.answer)
        elif changed:
            await self._move(side, new, changed)
        return new

    async def _taken(self, command: Command, side: Side, new: Side) -> Side | Failed | None:
        """Somebody else answers for the telephones that ring (pickup, C3): that side, which has
        called us, and is to be answered."""
        picker: Side = command.arguments["side"]
        picker.label = self.label()
        self.take(picker)
        command.reply()  # from here on it is this call's, whatever happens
        try:
            if not picker.up:
                picker.leg.answer(await self.admit(picker))
            if not side.up:
                side.leg.answer(side.answer or await self.admit(side))
            await self.connect(picker, side)
        except MediaError as error:
            log.warning("not picked up", uid=self.uid, error=str(error))
            await self.end(picker, 503)
            return None
        await self.end(new, reason='SIP;cause=200;text="Call completed elsewhere"')
        self.world.tell(self, "picked_up", user=picker.user)
        return picker

    async def connect(self, one: Side, two: Side) -> None:
        """Connect two that are here; MediaError. Two who both called us may have given one codec
        different numbers: then `one` is told the other's."""
        sound = self.ensure_sound()
        sdp = await sound.connect(one.label, two.label)
        if sdp is None:
            return
        try:
            one.offer = answer = await one.leg.offer(sdp)
        except OfferRefused as error:
            raise MediaRefused(f"media not agreed: {error.code}") from error
        await sound.join(two.label, one.label, answer)

    async def replace(self, old: Side, new: Side, other: Side, said: Answered) -> None:
        """`new` has answered and takes the place of `old` beside `other`."""
        self._ringing.pop(new.label, None)
        self.sides[new.label] = new
        new.offer, new.admitted = said.sdp, True
        new.user, new.device = said.user, said.device
        await self.guard(lambda sound: sound.join(other.label, new.label, said.sdp))
        await self.end(old)

    async def _move(self, side: Side, new: Side, sdp: str) -> None:
        """`side` has to be told where to send before it hears `new`."""
        try:
            side.offer = answer = await side.leg.offer(sdp)
        except OfferRefused as error:
            log.warning("media not moved", uid=self.uid, code=error.code)
            return
        await self.guard(lambda sound: sound.join(new.label, side.label, answer))

    async def adopt(self, side: Side, beside: Side) -> None:
        """A side that is live in another call comes into this one, beside one of ours: it is told
        where to send from now on. MediaError, OfferRefused."""
        side.label, side.admitted, side.holding = self.label(), False, False
        self.take(side)
        sdp = await self.ensure_sound().invite(beside.label, side.label)
        side.offer = await side.leg.offer(sdp)
        side.admitted = True
        await self.ensure_sound().join(beside.label, side.label, side.offer)

    # -- recording ----------------------------------------------------------------------------

    async def start_recording(self) -> bool:
        """Record both sides, once; whether it is on."""
        if self.recording == "on":
            return True
        sound = self.ensure_sound()
        try:
            if self.recording == "paused":
                await sound.record_resume()
            else:
                await sound.record_start(self.uid)
        except MediaError as error:
            log.error("recording does not start", uid=self.uid, error=str(error))
            self.world.count("recording_failed")
            return False
        self.recording = "on"
        self.world.tell(self, "recording", state="on")
        return True

    async def pause_recording(self) -> None:
        """What is said now reaches no disk."""
        if self.recording == "on" and self.sound is not None:
            await self.guard(lambda sound: sound.record_pause())
            self.recording = "paused"
            self.world.tell(self, "recording", state="paused")

    async def stop_recording(self) -> None:
        """The end of it; the pauses go into the ledger."""
        if self.recording and self.sound is not None:
            pauses = await self.guard(lambda sound: sound.record_stop())
            self.recording = ""
            self.world.tell(self, "recording", state="off", pauses=pauses or [])

    # -- the end ------------------------------------------------------------------------------

    async def hang_up_all(self, code: int = 480) -> None:
        """End every side."""
        for side in [*self._ringing.values(), *self.sides.values()]:
            await self.end(side, code)

    async def close(self) -> None:
        """Nothing of the call stays. Twice is once; never raises."""
        if self.closed:
            return
        self.closed = True
        if self.place is not None:
            self.place.give_up(Leave.LOST if self.cut else Leave.ABANDONED)
        for side in [*self._ringing.values(), *self.sides.values()]:
            side.leg.hang_up()
        self.sides.clear()
        self._ringing.clear()
        for _, task in self._playing.values():
            task.cancel()
        self._playing.clear()
        for event in self._inbox:
            if isinstance(event, Command):
                event.reply(error="the call is over")
        self._inbox.clear()
        if self.sound is not None:
            if self.recording:
                await self.stop_recording()
            try:
                await self.sound.close()
            except MediaError as error:
                log.info("media session", uid=self.uid, error=str(error))
            self.sound = None


def new_uid(now_s: float, chance: bytes) -> str:
    """As the edge makes them: 28 hexadecimal digits, milliseconds first. chance: 8 bytes."""
    return f"{int(now_s * 1000):012x}{chance.hex()}"


def clock() -> float:
    """The real one."""
    return time.time()


__all__ = [
    "Answered", "Call", "Command", "Dialog", "Event", "Failed", "Held", "Key", "LegSaid",
    "MediaLost", "Over", "Played", "Refused", "Side", "SideLeft", "Sound", "World", "clock",
    "new_uid",
]
