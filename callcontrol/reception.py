"""What becomes of a call: from the edge's word to a service, from a service to a person, from a
conversation back to a service. The one place where services are chosen."""

import asyncio

import structlog

from callcontrol import codes
from callcontrol.call import Call, Failed, Over, Side
from callcontrol.codes import Code, Dialled
from callcontrol.desk import Desk
from callcontrol.services.agent import AgentCode, AgentMenu
from callcontrol.services.base import Go, Service
from callcontrol.services.busy import BusyOffer
from callcontrol.services.callback import AskForNumber
from callcontrol.services.mailbox import LeaveMessage, Listen, RecordForPrompt
from callcontrol.services.menu import ChooseFromMenu, PlayMessage
from callcontrol.services.presence import PresenceCode, PresenceMenu
from callcontrol.services.queue import entered
from callcontrol.services.referral import Referral
from callcontrol.talk import Conversation, ask
from routing_core.codes import Reason
from routing_core.decision import caller_of_trail
from routing_core.handover import Handover, trail_bytes
from routing_core.queue_words import Leave
from store import NotFound
from store.model import AgentMenu as AgentMenuRow
from store.model import (
    CallbackMenu,
    Mailbox,
    MailboxAccess,
    Menu,
    Message,
    Queue,
    QueueEntry,
    RecordPrompt,
    Target,
)
from store.model import PresenceMenu as PresenceMenuRow
from store.model import Service as ServiceRow

log = structlog.get_logger()

#: Services that one caller may go through without ending anywhere (a menu that leads to itself).
MAX_SERVICES = 50
#: Orders of which a telephone here that is alone in a call is the payer.
BY_CALLER = ("dial:", "callback:")
TAKE_S = 6.0
#: A busy tone is heard for so long by somebody who was answered already.
BUSY_S = 4.0


class Reception:
    """Runs the scripts of calls."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        desk.script = self.receive
        desk.made = self.make

    # -- scripts ------------------------------------------------------------------------------

    async def receive(self, call: Call, side: Side, word: Handover) -> None:
        """A call that the edge has handed over."""
        await self.guarded(call, self._receive(call, side, word))

    async def _receive(self, call: Call, side: Side, word: Handover) -> None:
        self.desk.tell(call, "began", caller=side.number, user=side.user, called=word.called)
        await self._follow(call, side, await self._word(call, side, word))

    async def make(self, call: Call, first: str, second: str, user: int) -> None:
        """A call that we make: the first party's telephone rings first (C9)."""
        await self.guarded(call, self._make(call, first, second, user))

    async def _make(self, call: Call, first: str, second: str, user: int) -> None:
        self.desk.tell(call, "began", user=user, called=second)
        side = await call.fetch(first, user)
        if isinstance(side, Failed):
            self.desk.tell(call, "not_reached", code=side.code)
            return
        side.functions = self.desk.has_functions(side.user)
        await self._follow(call, side, Go(order=second), by=side if side.user else None)

    async def guarded(self, call: Call, script: "asyncio.Future[None] | object") -> None:
        try:
            await script  # type: ignore[misc]
        except Over:
            pass
        except Exception:
            log.exception("call script failed", uid=call.uid)
            self.desk.count("script_failed")
        finally:
            closing = asyncio.ensure_future(call.close())
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError:
                await closing
                raise
            finally:
                self.desk.ended(call)
                self.desk.tell(call, "ended")

    # -- where to -----------------------------------------------------------------------------

    async def _word(self, call: Call, side: Side, word: Handover) -> Go:
        """What the edge wants done with the side."""
        try:
            if word.reason == Reason.USER_AWAY:
                return await self._serve(call, Referral(self.desk, call, side, word.service))
            if word.reason == Reason.USER_BUSY:
                return await self._serve(call, BusyOffer(self.desk, call, side, word.service))
            if word.reason == Reason.SERVICE_TARGET:
                return await self._entered(call, side, word.service)
            if word.reason == Reason.DIAL_CODE:
                return await self._code(call, side, codes.read(word.called))
            if word.reason == Reason.CALL_FUNCTIONS:
                return Go(order="repeat")
        except NotFound as error:  # deleted between the decision and now
            log.info("gone", uid=call.uid, error=str(error))
        await call.end(side, 404)
        return Go()

    async def _serve(self, call: Call, service: Service) -> Go:
        call.state = type(service).__name__
        call.services += 1
        if call.services > MAX_SERVICES:
            self.desk.count("service_loop")
            return Go()
        self.desk.tell(call, "service", name=call.state,
                       service=service.row.id if service.row else 0)
        return await service.run()

    async def _entered(self, call: Call, side: Side, service: int) -> Go:
        """A service, or the end when it (or what it needs) was deleted meanwhile."""
        try:
            return await self._service(call, side, service)
        except NotFound as error:
            log.info("gone", uid=call.uid, error=str(error))
            await call.end(side, 404)
            return Go()

    async def _service(self, call: Call, side: Side, service: int) -> Go:
        row = self.desk.service(service)
        if row is None or row.tenant != call.tenant:
            await call.end(side, 404)
            return Go()
        made = self._made_for(call, side, row)
        if made is None:
            await call.end(side, 404)
            return Go()
        return await self._serve(call, made)

    def _made_for(self, call: Call, side: Side, row: ServiceRow) -> Service | None:
        desk, what = self.desk, row.settings
        match what:
            case Message():
                return PlayMessage(desk, call, side, row)
            case Menu():
                return ChooseFromMenu(desk, call, side, row)
            case Mailbox():
                return LeaveMessage(desk, call, side, row)
            case MailboxAccess():
                return Listen(desk, call, side, row)
            case CallbackMenu():
                return AskForNumber(desk, call, side, row)
            case PresenceMenuRow():
                return PresenceMenu(desk, call, side, row)
            case Queue() | QueueEntry():
                return entered(desk, call, side, row)
            case AgentMenuRow():
                return AgentMenu(desk, call, side, row)
            case RecordPrompt():
                return RecordForPrompt(desk, call, side, row, prompt=what.prompt)

    async def _follow(self, call: Call, side: Side, go: Go, by: Side | None = None) -> None:
        """From one thing to the next until the caller is done."""
        while side.label in call.sides:
            if go.talk:
                left = await Conversation(call, self.desk).run()
            elif go.camp:
                left = await Conversation(call, self.desk).wait_for(side, go.camp)
            else:
                target = go.target
                if target is not None and target.kind == "service" and not go.order:
                    go = await self._entered(call, side, target.service or 0)
                    continue
                if call.place is not None:  # out of a queue's menu, and not back to the queue
                    call.place.give_up(Leave.KEY)
                    call.place = None
                if target is not None and target.kind == "busy" and not go.order:
                    await self._busy(call, side)
                    return
                order = go.order or (order_of(target) if target else "")
                if not order:
                    await call.end(side)
                    return
                who = by or (side if side.user and order.startswith(BY_CALLER) else None)
                outcome = await call.dial(side, order, by=who, repeat=order == "repeat")
                if isinstance(outcome, Failed):
                    again = await self._failed(call, side, outcome)
                    if again is None:
                        return
                    go = again
                    continue
                left = await Conversation(call, self.desk).run()
            if left is None or not call.sides:
                return
            side, by = next(iter(call.sides.values())), None
            go = await self._word(call, side, left)

    async def _failed(self, call: Call, side: Side, failed: Failed) -> Go | None:
        """Nobody came to the caller."""
        word = failed.handover
        if side.label not in call.sides:
            return None
        if word is not None and failed.code == 302:
            return await self._word(call, side, word)
        if word is not None and word.reason == Reason.USER_BUSY:
            user = caller_of_trail(trail_bytes(word.trail))[5]
            if user and self.desk.has_functions(user):
                return await self._serve(call, BusyOffer(self.desk, call, side, user))
        if side.up:
            await call.say(side, await self.desk.phrase(call, "transfer_failed"), barge=False)
        await call.end(side, failed.code if failed.code >= 400 else 480)
        return None

    async def _busy(self, call: Call, side: Side) -> None:
        if side.up:
            await call.music(side, self.desk.tone("busy"))
            await call.keys(side, 1, first_s=BUSY_S)
        await call.end(side, 486)

    # -- dialled codes ------------------------------------------------------------------------

    async def _code(self, call: Call, side: Side, code: Code | None) -> Go:
        desk = self.desk
        user = desk.user(side.user) if side.user else None
        if code is None or user is None:
            await call.end(side, 484 if code is None else 403)
            return Go()
        match code.action:
            case Dialled.VOICEMAIL:
                return await self._serve(call, Listen(desk, call, side, known=True))
            case Dialled.PRESENCE_MENU:
                return await self._serve(call, PresenceMenu(desk, call, side))
            case Dialled.RECORD_PROMPT:
                if not desk.may_record(call.tenant, int(code.first)):
                    await call.end(side, 403)
                    return Go()
                return await self._serve(call, RecordForPrompt(desk, call, side,
                                                               prompt=int(code.first)))
            case Dialled.PICKUP:
                wanted = desk.user_of_extension(call.tenant, code.first)
                return await self._take(call, side, desk.ringing(call.tenant, {wanted} - {0}))
            case Dialled.PICKUP_GROUP:
                return await self._take(call, side, desk.ringing(call.tenant, desk.group_of(user)))
            case Dialled.PARKED:
                found = desk.parked.get((call.tenant, int(code.first))) if code.first \
                    else desk.parked_by(call.tenant, user.id)
                return await self._take(call, side, found, "nothing_parked")
            case Dialled.FETCH:
                return await self._take(call, side, desk.talking(call.tenant, user.id, call))
            case Dialled.CALL_BACK_OFF:
                desk.forget_callbacks(call.tenant, user.extension or "")
                return await self._serve(call, _Said(desk, call, side, "goodbye"))
            case Dialled.AGENT_IN | Dialled.AGENT_OUT | Dialled.AGENT_PAUSE | Dialled.AGENT_ON \
                    | Dialled.AGENT_DONE:
                return await self._serve(call, AgentCode(desk, call, side, code=code))
            case _:
                return await self._serve(call, PresenceCode(desk, call, side, code))

    async def _take(self, call: Call, side: Side, other: Call | None,
                    nothing: str = "nobody_rings") -> Go:
        """The side answers for another call, and belongs to it from then on."""
        if other is None:
            return await self._serve(call, _Said(self.desk, call, side, nothing))
        call.let_go(side)
        try:
            answer = await ask(other, "take", TAKE_S, side=side)
        except asyncio.CancelledError:
            side.leg.hang_up(503)  # it is in neither call yet, or ends with the other one
            raise
        if "error" in answer:
            if side.leg is not None and not side.up:
                call.take(side)
                return await self._serve(call, _Said(self.desk, call, side, nothing))
            side.leg.hang_up(480)
        return Go()


class _Said(Service):
    """A sentence, and the end."""

    def __init__(self, desk: Desk, call: Call, side: Side, key: str) -> None:
        super().__init__(desk, call, side)
        self.key = key

    async def start(self) -> Go:
        """Say it."""
        await self.call.answer(self.side)
        await self.say(self.key, barge=False)
        return Go()


def order_of(target: Target) -> str:
    """A target as the kernel takes an order."""
    if target.kind == "user":
        return f"user:{target.user}"
    if target.kind == "group":
        return f"group:{target.group}"
    return f"number:{target.text}" if target.kind == "number" else ""
