"""Waiting in a queue (Q2-Q7): music, announcements, keys, and the agents who are rung meanwhile.

The engine says who is rung and who has to leave; this is what the caller hears of it.
"""

import asyncio
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from callcontrol import words
from callcontrol.call import Call, Failed, Key, LegSaid, MediaLost, Played, Side, SideLeft
from callcontrol.parts import Event, Queued
from callcontrol.queues.floor import Floor, Spot, cause_of, tag_of
from callcontrol.queues.settings import target_of
from callcontrol.services.base import Desk, Go, Service, State
from callcontrol.sofia.ua import Answered, Refused
from routing_core.codes import Reason
from routing_core.queue_words import Cause, Leave, What, Why
from rtp.errors import MediaError
from store.model import Queue, QueueEntry
from store.model import Service as ServiceRow

log = structlog.get_logger()

ELSEWHERE: Final = 'SIP;cause=200;text="Call completed elsewhere"'
#: A welcome is over by then, whatever it is.
WELCOME_MS: Final = 300_000
#: How often a position that is told is looked at.
GLANCE_S: Final = 1.0
TRIES: Final = 2
LEAST_DIGITS: Final = 5
_SENTENCES: Final = {
    Leave.NIGHT: "queue_closed_night", Leave.CLOSED: "queue_closed",
    Leave.RUSH_LENGTH: "queue_rush", Leave.RUSH_WAIT: "queue_rush",
    Leave.RUSH_ESTIMATE: "queue_rush", Leave.FULL: "queue_rush",
}


class Ring(NamedTuple):
    """An agent whose telephones ring."""

    attempt: int
    agent: int
    side: Side
    until: float


class WaitInQueue(Service):
    """row: of the queue; entry: how the caller came in."""

    def __init__(self, desk: Desk, call: Call, side: Side, row: ServiceRow,
                 entry: QueueEntry | None = None) -> None:
        super().__init__(desk, call, side, row)
        assert isinstance(row.settings, Queue)
        self.queue = row.settings
        self.id = row.id
        self.entry = entry
        self.floor: Floor | None = desk.queues.floor(call.tenant)
        self.spot: Spot | None = None
        self.rings: dict[str, Ring] = {}
        self.saying = 0
        self.began = False  # the first announcement was made
        self.quiet_since = 0.0
        self.told_at = -1e9
        self.told = 0  # the position that was told last
        self.offered_at = -1e9

    def now_s(self) -> float:
        """Of the loop, for intervals."""
        return asyncio.get_running_loop().time()

    # -- in and out ---------------------------------------------------------------------------

    async def start(self) -> State | Go:
        """A place, or where those go who get none."""
        if self.floor is None:
            self.desk.count("queue_elsewhere")
            await self.call.end(self.side, 503)
            return Go()
        self.side.keys = ""
        spot = self.call.place
        if isinstance(spot, Spot):
            if spot.queue == self.id and spot.away:
                self.spot = spot
                return await self.back()
            spot.give_up(Leave.MOVED)
        announced = self.queue.announcements
        found = self.floor.enter(self.call, self.side, self.id, self.entry, self.call.token,
                                 WELCOME_MS if announced.welcome else 0)
        if isinstance(found, Leave):
            return await self.overflow(found)
        self.spot = self.call.place = found
        self.call.token = self.floor.engine.token(found.caller)[1:] if found.caller else None
        await self.call.answer(self.side)
        if announced.welcome:
            await self.call.say(self.side, await self.prompt(announced.welcome), barge=False)
            found.step_in()
        return self.waiting

    async def overflow(self, why: Leave) -> Go:
        """Out of the queue, or not into it."""
        await self.hush()
        self.call.place = None
        if why is Leave.AWAY_TOO_LONG:
            why = Leave.TIMED
        target = target_of(self.queue.overflow, why)
        if target is None:
            await self.call.answer(self.side)
            await self.say(_SENTENCES.get(why, "queue_no_agents"), barge=False)
        return Go(target)

    async def hush(self) -> None:
        """Nobody rings any more, and nothing is played."""
        rings, self.rings = self.rings, {}
        for ring in rings.values():
            await self.call.end(ring.side)
        if self.side.label in self.call.sides:
            await self.call.silence(self.side)
        self.saying = 0

    # -- waiting ------------------------------------------------------------------------------

    async def waiting(self) -> State | Go:
        """Until an agent answers, the queue lets go, or the caller does."""
        assert self.spot
        spot, call = self.spot, self.call
        call.state = "queued"
        self.quiet_since = self.now_s()
        await self.music()
        while True:
            if spot.left is not None:
                return await self.overflow(Leave(spot.left))
            if self.side.keys:
                after = await self.pressed(self.side.keys[0])
                if after is not None:
                    return after
            event = await call.next(self.patience())
            after = await self.happened(event) if event is not None else None
            if after is not None:
                return after
            await self.due()

    def patience(self) -> float:
        """Until something is to be done without an event."""
        now = self.now_s()
        wait = min((ring.until - now for ring in self.rings.values()), default=60.0)
        if not self.saying:
            announced = self.queue.announcements
            if not self.began:
                return 0.0
            if announced.position or announced.estimate or self.queue.callback:
                wait = min(wait, GLANCE_S)
            wait = min(wait, self.quiet_since + announced.interval_s - now)
        return max(wait, 0.0)

    async def happened(self, event: Event) -> State | Go | None:
        """One event."""
        call = self.call
        if isinstance(event, Queued):
            await self.told_by_engine(event)
        elif isinstance(event, Key):
            if event.side is self.side:
                self.side.keys = event.digit
        elif isinstance(event, Played):
            if event.token == self.saying:
                self.saying, self.quiet_since = 0, self.now_s()
                await self.music()
        elif isinstance(event, LegSaid) and event.side.label in self.rings:
            return await self.agent_said(self.rings[event.side.label], event)
        elif isinstance(event, SideLeft):
            if event.side is self.side:
                return await self.left()
            ring = self.rings.pop(event.side.label, None)
            if ring is not None:
                self.missed(ring, Cause.UNREACHABLE)
        elif isinstance(event, MediaLost):
            await self.media_lost()
        else:
            await call.unexpected(event)
        return None

    async def left(self) -> Go:
        """The caller has hung up while telephones rang."""
        if self.spot:
            self.spot.give_up(Leave.LOST if self.call.cut else Leave.ABANDONED)
        await self.hush()
        return Go()

    async def media_lost(self) -> None:
        """Whoever rings was invited into what is lost; that is nobody's miss."""
        assert self.floor
        rings, self.rings = self.rings, {}
        for ring in rings.values():
            await self.call.end(ring.side)
            self.floor.declined(ring.attempt)
        self.saying = 0
        await self.music()

    async def due(self) -> None:
        """Telephones that have rung for long enough, and announcements."""
        now = self.now_s()
        for label, ring in list(self.rings.items()):
            if ring.until <= now and label in self.rings:
                del self.rings[label]
                await self.call.end(ring.side)
                self.missed(ring, Cause.NO_ANSWER)
        if not self.saying and self.side.label in self.call.sides and self.spot \
                and self.spot.left is None:
            await self.announce(now)

    # -- agents -------------------------------------------------------------------------------

    async def told_by_engine(self, event: Queued) -> None:
        """Ring somebody, or stop."""
        if event.what == What.OFFER:
            await self.ring(event)
            return
        ring = next((one for one in self.rings.values() if one.attempt == event.attempt), None)
        if event.what == What.CANCEL and ring is not None:
            del self.rings[ring.side.label]
            await self.call.end(
                ring.side, reason=ELSEWHERE if event.value == Why.ANSWERED_ELSEWHERE else "")

    async def ring(self, event: Queued) -> None:
        """An agent's telephones, as far as they ring for this queue (Q10)."""
        assert self.floor
        await self.floor.quiet(event.agent)
        try:
            new = await self.call.ring(self.floor.telephones(self.id, event.agent), side=self.side)
        except MediaError as error:
            log.warning("agent not rung", uid=self.call.uid, error=str(error))
            self.floor.declined(event.attempt)
            return
        self.floor.ringing(event.agent, new.leg)
        self.rings[new.label] = Ring(event.attempt, event.agent, new,
                                     self.now_s() + event.value / 1000)

    def missed(self, ring: Ring, cause: Cause) -> None:
        """Nobody came there."""
        assert self.floor
        self.floor.missed(ring.attempt, cause)

    async def agent_said(self, ring: Ring, event: LegSaid) -> State | Go | None:
        """What a telephone says that rings."""
        said = event.event
        if isinstance(said, Refused):
            del self.rings[ring.side.label]
            await self.call.unexpected(event)
            word = self.call.world.read(said.decision)
            self.missed(ring, cause_of(said.code, Reason(word.reason) if word else Reason.NONE))
        elif isinstance(said, Answered):
            return await self.answered(ring, said)
        return None

    async def answered(self, ring: Ring, said: Answered) -> Go | None:
        """The first to answer talks with the caller."""
        assert self.floor and self.spot
        del self.rings[ring.side.label]
        call = self.call
        outcome = await call.arrived(self.side, ring.side, said)
        if isinstance(outcome, Failed):
            self.floor.declined(ring.attempt)  # a fault of the media is not the agent's
            await self.music()
            return None
        outcome.user, outcome.functions = outcome.user or ring.agent, True
        if not self.floor.answered(ring.attempt, ring.agent, call, outcome):
            await call.end(outcome, reason=ELSEWHERE)
            await self.music()
            return None
        self.spot.caller, call.place = 0, None
        rings, self.rings = self.rings, {}
        for other in rings.values():
            await call.end(other.side, reason=ELSEWHERE)
        self.side.keys = ""
        call.record = call.record or self.queue.record
        return Go(talk=True)

    # -- what the caller hears ----------------------------------------------------------------

    async def music(self) -> None:
        """The queue's, or the company's."""
        if self.side.label in self.call.sides:
            own = self.desk.prompts.music(self.queue.announcements.music, self.call.tenant) \
                if self.queue.announcements.music else None
            await self.call.music(self.side, own)

    async def announce(self, now: float) -> None:
        """What is due: the first one, the repeated one, a place that has changed, an offer."""
        announced = self.queue.announcements
        files: list[Path] = []
        repeats = now - self.quiet_since >= announced.interval_s
        if not self.began:
            self.began = True
            files += await self.prompt(announced.first) if announced.first \
                else await self.phrase("queue_wait")
        elif repeats:
            files += await self.prompt(announced.repeated)
        files += await self.place(now, repeats)
        files += await self.offer(now, repeats)
        if repeats and not files:
            self.quiet_since = now
        if files:
            self.saying = self.call.start(self.side, files)

    async def place(self, now: float, repeats: bool) -> list[Path]:
        """Position and estimate, when they may be told."""
        announced = self.queue.announcements
        if not self.spot or not (announced.position or announced.estimate) \
                or now - self.told_at < announced.min_gap_s \
                or (self.told and not repeats
                    and now - self.quiet_since < announced.min_gap_s):
            return []
        position = self.spot.position()
        changed = position < self.told if announced.only_better else position != self.told
        if position == 0 or not (changed or self.told == 0
                                 or (repeats and not announced.only_better)):
            return []
        files: list[Path] = []
        if announced.position:
            files += await self.spoken(words.queue_position(position, self.call.language))
        if announced.estimate:
            low, high = self.spot.estimate()
            if high:
                files += await self.spoken(words.queue_estimate(low, high, self.call.language))
        self.told, self.told_at = position, now
        return files

    async def offer(self, now: float, repeats: bool) -> list[Path]:
        """A callback, to those who wait for long (Q7)."""
        callback = self.queue.callback
        if callback is None or not self.spot or \
                now - self.offered_at < self.queue.announcements.interval_s:
            return []
        arrived_ms = self.call.token[0] if self.call.token else self.desk.now() * 1000
        waited = self.desk.now() - arrived_ms / 1000
        long = callback.after_s is not None and waited >= callback.after_s
        if not long and callback.estimate_s is not None:
            long = self.spot.estimate()[1] >= callback.estimate_s
        if not long and not (callback.key and (repeats or self.offered_at < 0)):
            return []
        self.offered_at = now
        return await self.spoken(words.phrase(
            "queue_callback_offer", self.call.language, key=self.callback_key))

    @property
    def callback_key(self) -> str:
        """Which key orders one."""
        return (self.queue.callback and self.queue.callback.key) or "1"

    # -- keys ---------------------------------------------------------------------------------

    async def pressed(self, digit: str) -> State | Go | None:
        """To a menu and back, elsewhere, or a callback."""
        self.side.keys = ""
        if self.queue.callback and digit == self.callback_key \
                and (self.queue.callback.key or self.offered_at > 0):
            return self.callback
        choice = next((one for one in self.queue.keys if one.key == digit), None)
        if choice is None or not self.spot:
            return None
        self.call.world.tell(self.call, "menu", menu=self.id, key=digit)
        if choice.target.kind == "service":
            self.spot.step_out()
        else:
            self.spot.give_up(Leave.KEY)
            self.call.place = None
        await self.hush()
        return Go(choice.target)

    # -- callback that keeps the place --------------------------------------------------------

    async def callback(self) -> State | Go:
        """Confirm the number; two errors lead back to the queue."""
        assert self.spot and self.floor
        self.spot.step_out()
        await self.hush()
        tag = tag_of(self.side)
        number = self.callable(self.side.number)
        if self.side.user:
            return await self.keep(tag)
        for _ in range(TRIES):
            if number:
                key = await self.call.ask(self.side, await self.phrase(
                    "queue_callback_confirm_number",
                    number=self.desk.national(self.call.tenant, number)), 1, ends="")
                if key == "1":
                    return await self.keep(tag_of(Side(self.side.leg, "", number=number)))
                number = ""
                if key == "":
                    continue
            digits = await self.call.ask(self.side, await self.phrase("queue_callback_ask_number"),
                                         15, first_s=10.0, between_s=5.0)
            number = self.callable(self.desk.e164(self.call.tenant, digits)
                                   if len(digits) >= LEAST_DIGITS else "")
        if number:
            key = await self.call.ask(self.side, await self.phrase(
                "queue_callback_confirm_number",
                    number=self.desk.national(self.call.tenant, number)), 1, ends="")
            if key == "1":
                return await self.keep(tag_of(Side(self.side.leg, "", number=number)))
        return await self.back()

    def callable(self, number: str) -> str:
        """The number, "" when it is none or the company does not call it for callers."""
        return number if self.desk.may_call_back(self.call.tenant, number) else ""

    async def back(self) -> State | Go:
        """To the place in the line; said first, for somebody may be rung from then on."""
        assert self.spot
        if self.spot.left is None:
            await self.say("queue_back")
        self.began = True
        self.spot.step_in()
        return self.waiting

    async def keep(self, tag: int) -> State | Go:
        """It is ordered; the caller may hang up."""
        assert self.spot and self.floor and self.queue.callback
        if self.floor.has_callback(self.id, tag):
            await self.say("queue_callback_exists", barge=False)
            return await self.back()
        planned = self.floor.slot(self.id) if self.queue.callback.planned else None
        self.call.place = None
        if not self.floor.to_callback(self.spot, tag, planned):
            return await self.overflow(Leave.TIMED)
        if planned:
            await self.call.say(self.side, await self.spoken(words.queue_callback_planned(
                self.local(planned), self.now(), self.call.language)), barge=False)
        else:
            await self.say("queue_callback_saved", barge=False)
        return Go()


def entered(desk: Desk, call: Call, side: Side, row: ServiceRow) -> WaitInQueue | None:
    """By a queue's own door or by one of its entries; None when the queue is not there."""
    if isinstance(row.settings, Queue):
        return WaitInQueue(desk, call, side, row)
    entry = row.settings
    assert isinstance(entry, QueueEntry)
    queue = desk.service(entry.queue)
    if queue is None or queue.tenant != row.tenant or not isinstance(queue.settings, Queue):
        return None
    return WaitInQueue(desk, call, side, queue, entry)

