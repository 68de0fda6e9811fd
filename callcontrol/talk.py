"""A conversation: what people do with each other while they talk (C1 to C8, R1).

One function per state; each returns the next, or None when the conversation is over. Who does
something (`by`) is a side with functions, keying a code or asking by SIP, or the control interface.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from callcontrol.call import (
    MAX_CALL_S,
    Call,
    Command,
    Event,
    Failed,
    Held,
    Key,
    LegSaid,
    MediaLost,
    Over,
    Side,
    SideLeft,
)
from callcontrol.codes import Action, Asked, KeyReader
from callcontrol.conference import Conference
from callcontrol.office import Office
from callcontrol.sofia.ua import Answered, Dialog, OfferRefused, Referred, Refused
from routing_core.handover import Handover
from rtp.errors import MediaError

log = structlog.get_logger()

#: A transferred call that nobody answers goes back to who transferred it.
TRANSFER_S: Final = 40.0
#: A parked call comes back after this, so often, then it ends.
PARK_S: Final = 120.0
RECALL_S: Final = 30.0
RECALLS: Final = 3
#: Camped on a busy person for so long; how often the line is looked at.
CAMP_S: Final = 120.0
LOOK_S: Final = 0.3
GIVE_S: Final = 2.0

State = Callable[[], Awaitable["State | None"]]
Report = Callable[[int, str, bool], None]


class Conversation:
    """Of a call with two sides that are connected."""

    def __init__(self, call: Call, office: Office) -> None:
        self.call = call
        self.office = office
        self.away: Handover | None = None  # what the last party is to be given to at the end
        self._readers: dict[str, KeyReader] = {}
        self._by: Side | None = None
        self._first: Side | None = None
        self._second: Side | None = None
        self._conference: Conference | None = None
        self._recalls = 0
        self._waiting: set[str] = set()  # those who hear music because the other side holds
        self._camp: tuple[int, str] = (0, "")

    async def run(self) -> Handover | None:
        """Until nobody talks any more; a Handover when the last party is to be given to a service.
        Over when nobody is left."""
        for side in self.call.sides.values():
            side.functions = side.functions or self.office.has_functions(side.user)
        if self.call.record:
            await self.call.start_recording()
        self.call.world.tell(self.call, "connected",
                             users=[side.user for side in self.call.sides.values()])
        state: State | None = self.talking
        try:
            while state is not None:
                state = await state()
        finally:
            if self._conference:
                await self._conference.close()
            self.office.unpark(self.call)
        return self.away

    async def wait_for(self, side: Side, user: int) -> Handover | None:
        """A caller who chose to wait for a busy person (Q12)."""
        self._first, self._camp = side, (user, f"user:{user}")
        await self.call.music(side)
        state: State | None = self.camped
        while state is not None:
            state = await state()
        return self.away

    # -- two talk -----------------------------------------------------------------------------

    async def talking(self) -> State | None:
        """Two sides hear each other."""
        call = self.call
        call.state = "talking"
        self._by = self._first = self._second = None
        self._waiting.clear()
        if len(call.sides) == 2:
            call.introduce(*call.sides.values())
        while len(call.sides) == 2:
            if call.moved:
                call.moved = False
                self._waiting.clear()
                await self._again(*call.sides.values())
            await self._tune()
            event = await call.next(MAX_CALL_S)
            if event is None:
                await call.hang_up_all()
                raise Over
            after = await self._during(event)
            if after is not None:
                return after
        return self.alone

    async def alone(self) -> State | None:
        """One is left, and there is nobody to talk to."""
        await self.call.hang_up_all()
        return None

    async def _during(self, event: Event) -> State | None:
        """What may happen while two talk."""
        call = self.call
        if isinstance(event, SideLeft):
            return self.alone
        if isinstance(event, Held):
            self._held(event)
        elif isinstance(event, MediaLost):
            pass  # talking() connects them again
        elif isinstance(event, Key):
            asked = self._read(event)
            if asked:
                return await self._do(event.side, asked, None)
        elif isinstance(event, LegSaid) and isinstance(event.event, Referred):
            return await self._referred(event.side, event.event)
        elif isinstance(event, Command):
            return await self._commanded(event)
        else:
            await call.unexpected(event)
        return None

    def _held(self, event: Held) -> None:
        self.call.world.tell(self.call, "held" if event.holding else "resumed",
                             user=event.side.user)

    async def _tune(self) -> None:
        """Whoever was put on hold hears music, as long as that is so."""
        for side in list(self.call.sides.values()):
            other = self.call.other(side)
            waits = other is not None and other.holding
            if waits and side.label not in self._waiting:
                await self.call.music(side)
                self._waiting.add(side.label)
            elif not waits and side.label in self._waiting:
                self._waiting.discard(side.label)
                await self.call.silence(side)

    def _read(self, key: Key) -> Asked | None:
        if not key.side.functions:
            return None
        reader = self._readers.setdefault(key.side.label, KeyReader())
        return reader.press(key.digit, asyncio.get_running_loop().time())

    async def _say(self, side: Side, key: str, **values: Any) -> None:
        """To one side; what it presses meanwhile is dropped."""
        if side.label in self.call.sides:
            await self.call.say(side, await self.office.phrase(self.call, key, **values),
                                barge=False)
            side.keys = ""

    # -- what is asked ------------------------------------------------------------------------

    async def _commanded(self, command: Command) -> State | None:
        """By the control interface or another call."""
        call, name, given = self.call, command.name, command.arguments
        side = call.sides.get(given.get("side", "")) if isinstance(given.get("side"), str) else None
        if side is None and given.get("user"):
            side = next((one for one in call.sides.values() if one.user == given["user"]), None)
        if name == "take":
            await self._take(command)
            return self.talking
        if name == "give":
            return await self._give(command)
        if name == "play":
            await self._play(command, side)
            return None
        if name in ("hang_up", "record_start", "record_pause", "record_resume", "record_stop"):
            await self._manage(command)
            return None
        if name not in Action.__members__.values():
            await call.unexpected(command)
            return None
        if side is None:
            command.reply(error="which side: give user or side")
            return None
        return await self._do(side, Asked(Action(name), str(given.get("target", ""))), command)

    async def _play(self, command: Command, side: Side | None) -> None:
        """A prompt, to one side or to both; they hear each other again afterwards."""
        files = await self.office.files(self.call, int(command.arguments.get("prompt", 0)))
        for one in [side] if side else list(self.call.sides.values()):
            if files:
                self.call.start(one, files)
        command.reply(**{} if files else {"error": "the prompt cannot be played"})

    async def _manage(self, command: Command) -> None:
        call = self.call
        if command.name == "hang_up":
            command.reply()
            await call.hang_up_all()
            raise Over
        if command.name in ("record_start", "record_resume"):
            on = await call.start_recording()
            call.by_hand = call.by_hand or not call.record
            command.reply(**{} if on else {"error": "the recording does not start"})
            return
        if command.name == "record_stop" and not call.record:
            await call.stop_recording()
        else:  # a continuous recording is not stopped by hand, only paused
            await call.pause_recording()
        command.reply(state=call.recording or "off")

    async def _do(self, by: Side, asked: Asked, command: Command | None) -> State | None:
        """Carry out a code, or a command of the same name."""
        action = asked.action
        if command is not None:
            command.reply()
        self.call.world.tell(self.call, str(action), user=by.user)
        if action is Action.TRANSFER:
            return await self._transfer(by, self._target(by, asked.number), _unheard)
        if action is Action.CONSULT:
            return await self._consult(by, self._target(by, asked.number))
        if action is Action.PARK:
            return await self._park(by)
        if action is Action.CAMP:
            return await self._begin_camp(by, asked.number)
        if action is Action.MOVE:
            return await self._move(by)
        if action is Action.RECORD:
            await self._toggle_recording(by)
        elif action is Action.PAUSE and (self.call.recording or self.call.record):
            await self._toggle_pause(by)
        return None

    @staticmethod
    def _target(by: Side, text: str) -> str:
        """An order: as the control interface gives it ("user:17"), or what `by` would dial."""
        kind = text.partition(":")[0]
        if kind in ("user", "group", "number", "service", "device", "phones"):
            return text
        return f"dial:{text.removeprefix('dial:')}" if by.user else f"number:{text}"

    async def _toggle_recording(self, by: Side) -> None:
        call = self.call
        if call.recording == "on" and not call.record:
            await call.stop_recording()
            await self._say(by, "recording_off")
        elif call.recording != "on" and await call.start_recording():
            call.by_hand = True
            await self._say(by, "recording_on")

    async def _toggle_pause(self, by: Side) -> None:
        if self.call.recording == "on":
            await self.call.pause_recording()
            await self._say(by, "recording_paused")
        else:
            await self.call.start_recording()
            await self._say(by, "recording_resumed")

    # -- transfer (C1) ------------------------------------------------------------------------

    async def _referred(self, by: Side, asked: Referred) -> State | None:
        """By SIP (RFC 3515), with Replaces (RFC 3891) when it was announced."""
        def report(code: int, phrase: str, last: bool) -> None:
            by.leg.notify_transfer(asked.cseq, code, phrase, last)

        if not by.user:
            report(603, "Decline", True)  # somebody outside does not make our exchange call
            return None
        report(100, "Trying", False)
        if asked.replaces is not None:
            return await self._announced(by, asked.replaces, report)
        if not asked.user:
            report(400, "Bad Request", True)
            return None
        return await self._transfer(by, f"dial:{asked.user}", report)

    async def _transfer(self, by: Side, target: str, report: Report) -> State | None:
        """Without announcing: the other party is connected with target; when that fails, `by` has
        it back, or is rung again."""
        call = self.call
        other = call.other(by)
        if other is None:
            report(481, "No Call", True)
            return None
        call.state = "transferring"
        await self._hold(other, by)
        outcome = await call.dial(other, target, by=by, timeout_s=TRANSFER_S,
                                  watch=self._watcher(other, by))
        if isinstance(outcome, Side):
            return await self._transferred(by, other, outcome, report)
        if outcome.away is not None and other.label in call.sides:
            report(200, "OK", True)
            if by.label in call.sides:
                await call.end(by)
            call.world.tell(call, "transferred", user=by.user, target=target)
            self.away = outcome.away
            return self._finished
        report(outcome.code if outcome.code >= 300 else 480, outcome.phrase or "Failed", True)
        call.world.tell(call, "transfer_failed", user=by.user, code=outcome.code)
        return await self._back_to(by, other)

    async def _transferred(self, by: Side, other: Side, new: Side, report: Report) -> State:
        report(200, "OK", True)
        new.functions = self.office.has_functions(new.user)
        if by.label in self.call.sides:
            await self.call.end(by)
        self.call.world.tell(self.call, "transferred", user=by.user, to=new.user)
        return self.talking

    async def _back_to(self, by: Side, other: Side) -> State:
        """What could not be done is undone: they talk again, or `by` is called."""
        call = self.call
        if other.label not in call.sides:
            return self.alone
        if by.label in call.sides:
            await self._say(by, "transfer_failed")
            return await self._together(other, by)
        return await self._recall(by, other)

    async def _recall(self, by: Side, other: Side) -> State:
        call = self.call
        call.state = "recall"
        if by.user:
            outcome = await call.dial(other, f"phones:{by.user}", timeout_s=RECALL_S)
            if isinstance(outcome, Side):
                outcome.functions = self.office.has_functions(outcome.user)
                return self.talking
        if other.label in call.sides:
            await self._say(other, "transfer_failed")
        return self.alone

    def _watcher(self, other: Side, by: Side) -> Callable[[Event], Awaitable[Failed | None]]:
        """While a third is called: the first two may leave, or ask for more than one thing."""
        async def watch(event: Event) -> Failed | None:
            if isinstance(event, LegSaid) and isinstance(event.event, Referred):
                event.side.leg.notify_transfer(event.event.cseq, 491, "Request Pending", True)
            elif isinstance(event, Key) and event.side is by:
                asked = self._read(event)
                if asked and asked.action is Action.BACK:
                    return Failed(487, "taken back")
            elif isinstance(event, Held | SideLeft | Key):
                return None
            else:
                await self.call.unexpected(event)
            return None

        return watch

    async def _announced(self, by: Side, dialog: Dialog, report: Report) -> State | None:
        """The party that `by` talks with in another call is connected with this one's."""
        call = self.call
        other = call.other(by)
        found = self.office.find(dialog)
        if other is None or found is None or found[0].tenant != call.tenant \
                or found[1].user != by.user:
            report(481, "Call Does Not Exist", True)
            return None
        if found[0] is call:
            report(491, "Request Pending", True)
            return None
        given = await ask(found[0], "give", GIVE_S, side=found[1].label)
        if "target" in given:  # it rings yet: a transfer to whom it rings
            return await self._transfer(by, given["target"], report)
        third: Side | None = given.get("party")
        if third is None:
            report(480, "Temporarily Unavailable", True)
            return None
        try:
            await call.adopt(third, other)
        except (MediaError, OfferRefused) as error:
            log.warning("transfer", uid=call.uid, error=str(error))
            await call.end(third)
            report(488, "Not Acceptable Here", True)
            return await self._back_to(by, other)
        return await self._transferred(by, other, third, report)

    async def _give(self, command: Command) -> State | None:
        """Another call takes the party that this side talks with."""
        call = self.call
        side = call.sides.get(command.arguments["side"])
        other = call.other(side) if side else None
        if side is None or other is None:
            command.reply(error="nobody to give")
            return None
        call.let_go(other)
        if call.sound is not None:
            await call.guard(lambda sound: sound.drop(other.label))
        command.reply(party=other)
        return self.alone

    # -- consult, swap, three (C4, C5) --------------------------------------------------------

    async def _consult(self, by: Side, target: str) -> State | None:
        """Call somebody while the other party hears music."""
        call = self.call
        first = call.other(by)
        if first is None:
            return None
        call.state = "consulting"
        await self._hold(first, by)
        outcome = await call.dial(by, target, by=by, timeout_s=TRANSFER_S,
                                  watch=self._watcher(first, by))
        if isinstance(outcome, Failed):
            if by.label not in call.sides:   # hung up while it rang: a transfer then
                if first.label in call.sides:
                    return await self._transfer_on(by, first, target)
                return self.alone
            if first.label not in call.sides:
                return self.alone
            await self._say(by, "transfer_failed")
            return await self._together(first, by)
        outcome.functions = self.office.has_functions(outcome.user)
        if first.label not in call.sides:
            return self.talking
        self._by, self._first, self._second = by, first, outcome
        return self.consulting

    async def _transfer_on(self, by: Side, other: Side, target: str) -> State:
        """`by` has hung up while the target was ringing."""
        outcome = await self.call.dial(other, target, by=by, timeout_s=TRANSFER_S)
        if isinstance(outcome, Side):
            return await self._transferred(by, other, outcome, _unheard)
        if outcome.away is not None and other.label in self.call.sides:
            self.away = outcome.away
            return self._finished
        return await self._back_to(by, other)

    @staticmethod
    async def _finished() -> State | None:
        return None

    async def consulting(self) -> State | None:
        """`by` talks with the second; the first hears music."""
        call, by, first, second = self.call, self._by, self._first, self._second
        if by is None or first is None or second is None:
            return self.alone
        call.state = "consulting"
        call.introduce(by, second)
        while True:
            event = await call.next(MAX_CALL_S)
            if event is None:
                await call.hang_up_all()
                raise Over
            action: Action | None = None
            if isinstance(event, SideLeft):
                if event.side is by:
                    action = Action.COMPLETE
                elif event.side is second:
                    return await self._together(first, by)
                elif event.side is first:
                    return self.talking
            elif isinstance(event, Key) and event.side is by:
                asked = self._read(event)
                action = asked.action if asked else None
            elif isinstance(event, Command) and event.name in Action.__members__.values():
                action = Action(event.name)
                event.reply()
            elif isinstance(event, LegSaid) and isinstance(event.event, Referred):
                event.side.leg.notify_transfer(event.event.cseq, 491, "Request Pending", True)
            elif isinstance(event, MediaLost):
                await self._again(second, by)
                await call.music(first)
            elif not isinstance(event, Held | Key):
                await call.unexpected(event)
            if action is Action.COMPLETE:
                if by.label in call.sides:
                    await call.end(by)
                call.world.tell(call, "transferred", user=by.user, to=second.user)
                return await self._together(first, second)
            if action is Action.BACK:
                await call.end(second)
                return await self._together(first, by)
            if action is Action.SWAP:
                self._first, self._second = second, first
                await self._hold(second, by)
                await call.silence(first)
                await self._again(first, by)
                return self.consulting
            if action is Action.JOIN:
                return self.three

    async def three(self) -> State | None:
        """All three hear each other, through a mixer."""
        call = self.call
        call.state = "conference"
        try:
            self._conference = await self.office.conference(call)
            for side in list(call.sides.values()):
                await call.silence(side)
                await self._conference.add(side)
        except MediaError as error:
            log.warning("no conference", uid=call.uid, error=str(error))
            call.world.count("conference_failed")
            if self._by:
                await self._say(self._by, "conference_full")
            await self._leave_conference()
            if self._first and self._second and self._by and len(call.sides) == 3:
                await self._again(self._second, self._by)
                await call.music(self._first)
                return self.consulting
            return await self._rest()
        call.world.tell(call, "conference", users=[side.user for side in call.sides.values()])
        while len(call.sides) > 2:
            event = await call.next(MAX_CALL_S)
            if event is None:
                await call.hang_up_all()
                raise Over
            if isinstance(event, SideLeft):
                await self._conference.remove(event.side)
            elif isinstance(event, MediaLost):
                await self._leave_conference()
                return self.three
            elif not isinstance(event, Key | Held):
                await call.unexpected(event)
        await self._leave_conference()
        return await self._rest()

    async def _leave_conference(self) -> None:
        if self._conference:
            await self._conference.close()
            self._conference = None

    async def _rest(self) -> State:
        """Whoever is left talks directly."""
        sides = list(self.call.sides.values())
        return await self._together(sides[0], sides[1]) if len(sides) == 2 else self.alone

    # -- park, camp, move (C2, C7, C8) --------------------------------------------------------

    async def _park(self, by: Side) -> State | None:
        call = self.call
        other = call.other(by)
        place = self.office.park(call)
        if other is None or not place:
            await self._say(by, "transfer_failed")
            return None
        await self._hold(other, by)
        call.world.tell(call, "parked", user=by.user, place=place)
        await self._say(by, "parked", slot=place)
        if by.label in call.sides:
            await call.end(by)
        call.parker = by.user
        self._by, self._first = by, other
        return self.parked

    async def parked(self) -> State | None:
        """One party waits, and anybody of the company may take it."""
        call, other = self.call, self._first
        call.state = "parked"
        if other is None or other.label not in call.sides:
            return self.alone
        loop = asyncio.get_running_loop()
        until = loop.time() + PARK_S
        while True:
            event = await call.next(max(until - loop.time(), 0))
            if event is None:
                return await self._park_recall(other)
            if isinstance(event, Command) and event.name == "take":
                if await self._take(event, other):
                    self.office.unpark(call)
                    return self.talking
            elif isinstance(event, Command) and event.name == "give":
                event.reply(error="parked")
            elif isinstance(event, MediaLost):
                await call.music(other)
            elif not isinstance(event, Key | Held):
                await call.unexpected(event)

    async def _park_recall(self, other: Side) -> State | None:
        """It was parked for long: ring who parked it."""
        self._recalls += 1
        by = self._by
        if by is None or not by.user or self._recalls > RECALLS:
            return self.alone
        outcome = await self.call.dial(other, f"phones:{by.user}", timeout_s=RECALL_S)
        if isinstance(outcome, Side):
            self.office.unpark(self.call)
            outcome.functions = self.office.has_functions(outcome.user)
            return self.talking
        if other.label not in self.call.sides:
            return self.alone
        await self.call.music(other)
        return self.parked

    async def _begin_camp(self, by: Side, extension: str) -> State | None:
        """The other party waits for a busy person."""
        call = self.call
        other = call.other(by)
        user = self.office.user_of_extension(call.tenant, extension.removeprefix("dial:"))
        if other is None or not user:
            await self._say(by, "transfer_failed")
            return None
        await self._hold(other, by)
        await self._say(by, "camped")
        if by.label in call.sides:
            await call.end(by)
        self._by, self._first = by, other
        self._camp = user, f"user:{user}"
        return self.camped

    async def camped(self) -> State | None:
        """Until the person is free, or for too long: then back to who sent the call."""
        call, other, by = self.call, self._first, self._by
        if other is None or other.label not in call.sides:
            return self.alone
        user, target = self._camp
        call.state = "camped"
        loop = asyncio.get_running_loop()
        until = loop.time() + CAMP_S
        while loop.time() < until:
            if not self.office.busy(user):
                outcome = await call.dial(other, target, by=by, timeout_s=RECALL_S)
                if isinstance(outcome, Side):
                    outcome.functions = self.office.has_functions(outcome.user)
                    call.world.tell(call, "transferred", user=by.user if by else 0,
                                    to=outcome.user)
                    return self.talking
                if outcome.away is not None and other.label in call.sides:
                    self.away = outcome.away
                    return None
                if outcome.code != 486 or not self.office.busy(user):
                    break  # it does not come, or will not
                await call.music(other)
            event = await call.next(LOOK_S)
            if isinstance(event, MediaLost):
                await call.music(other)
            elif event is not None and not isinstance(event, Key | Held):
                await call.unexpected(event)
            if other.label not in call.sides:
                return self.alone
        if other.label not in call.sides:
            return self.alone
        return await self._recall(by, other) if by else self.alone

    async def _move(self, by: Side) -> State | None:
        """To another telephone of the same person, without a break."""
        call = self.call
        other = call.other(by)
        if other is None or not by.user:
            return None
        target = f"others:{by.device}" if by.device else f"phones:{by.user}"
        try:
            new = await call.ring(target, side=other, by=by)
        except MediaError:
            return None
        arrived = await self._ring_beside(new, by, other)
        if arrived:
            call.world.tell(call, "moved", user=by.user)
        return self.talking

    async def _ring_beside(self, new: Side, by: Side, other: Side) -> bool:
        """They go on talking while another telephone of `by` rings; whether it has taken over."""
        call = self.call
        loop = asyncio.get_running_loop()
        until = loop.time() + RECALL_S
        while True:
            event = await call.next(max(until - loop.time(), 0))
            if event is None or (isinstance(event, SideLeft) and event.side is not new):
                await call.end(new)
                return False
            if isinstance(event, SideLeft):
                return False
            if isinstance(event, LegSaid) and event.side is new:
                if isinstance(event.event, Refused):
                    await call.unexpected(event)
                    return False
                if isinstance(event.event, Answered):
                    await call.replace(by, new, other, event.event)
                    new.functions = by.functions
                    return True
            elif isinstance(event, Held):
                self._held(event)
            elif isinstance(event, MediaLost):
                await call.end(new)
                await self._again(by, other)
                return False
            elif not isinstance(event, Key):
                await call.unexpected(event)

    async def _take(self, command: Command, waiting: Side | None = None) -> bool:
        """A telephone that has called us takes over: the place of the same person's other one
        (C8), or whoever waits (C2)."""
        call = self.call
        new: Side = command.arguments["side"]
        old = None if waiting else next(
            (side for side in call.sides.values() if side.user == new.user), None)
        other = waiting or (call.other(old) if old else None)
        if other is None:
            command.reply(error="nobody to take")
            return False
        new.label = call.label()
        call.take(new)
        command.reply()  # from here on it is this call's, whatever happens
        try:
            if not new.up:
                new.leg.answer(await call.admit(new))
            await call.silence(other)
            await call.connect(other, new)
        except MediaError as error:
            log.warning("not taken", uid=call.uid, error=str(error))
            await call.end(new, 503)
            return False
        if old:
            await call.end(old)
        new.functions = self.office.has_functions(new.user)
        call.world.tell(call, "taken", user=new.user)
        return True

    # -- media --------------------------------------------------------------------------------

    async def _again(self, *sides: Side) -> None:
        """Connect two that were connected before; whatever goes wrong, the call goes on."""
        if len(sides) == 2 and all(side.label in self.call.sides for side in sides):
            try:
                await self.call.connect(*sides)
            except MediaError as error:
                log.warning("not connected", uid=self.call.uid, error=str(error))

    async def _hold(self, waiting: Side, other: Side) -> None:
        """They do not hear each other; `waiting` hears music."""
        await self.call.guard(lambda sound: sound.separate(other.label))
        await self.call.music(waiting)

    async def _together(self, one: Side, two: Side) -> State:
        call = self.call
        if one.label not in call.sides or two.label not in call.sides:
            return self.alone
        for side in (one, two):
            await call.silence(side)
        try:
            await call.connect(one, two)
        except MediaError as error:
            log.warning("not connected", uid=call.uid, error=str(error))
            return self.alone
        return self.talking


def _unheard(_code: int, _phrase: str, _last: bool) -> None:
    """Nobody waits for a report."""


async def ask(call: Call, name: str, timeout_s: float, **arguments: Any) -> dict[str, Any]:
    """Ask another call for something; {"error": ...} when it does not do it in time."""
    answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    call.post(Command(name, arguments, answer))
    try:
        async with asyncio.timeout(timeout_s):
            return await answer
    except TimeoutError:
        answer.cancel()
        return {"error": "no answer"}
    except asyncio.CancelledError:
        if answer.done() and not answer.cancelled() and "party" in answer.result():
            answer.result()["party"].leg.hang_up()  # it was given to nobody
        answer.cancel()
        raise
