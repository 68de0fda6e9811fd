"""A callback's turn has come (Q7): the agent and the customer are brought together."""

from typing import Any

from callcontrol.call import Call, Failed, Side
from callcontrol.desk import Desk
from callcontrol.parts import Beyond, Event, Queued, SideLeft
from callcontrol.queues.floor import Floor, cause_of, order_of_tag
from callcontrol.talk import Conversation
from routing_core.codes import Reason
from routing_core.queue_words import What
from store.model import QueueCallback

#: Anything else declines.
ACCEPT = "1"
CHOOSE_S = 8.0


class Callback:
    """One attempt, with one agent."""

    def __init__(self, desk: Desk, floor: Floor, queue: int, caller: int, attempt: int,
                 agent: int) -> None:
        self.desk = desk
        self.floor = floor
        self.queue = queue
        self.caller = caller
        self.attempt = attempt
        self.agent = agent
        view = floor.engine.view_caller(caller, floor.now_ms())
        self.order = order_of_tag(view.tag) if view else ""
        self.settings = floor.queues[queue].callback or QueueCallback()
        self.call = Call(desk, desk.new_uid(), floor.tenant, desk.tenant(floor.tenant).language)
        self.call.record = floor.queues[queue].record
        self.call.shows = desk.queue_number(floor.tenant, queue)
        self.call.beyond = Beyond(number=self.call.shows) if self.settings.customer_first \
            else desk.beyond(floor.tenant, self.order)

    async def run(self) -> None:
        """Whatever happens, the engine hears of it: an attempt that is over by itself is refused
        there, and changes nothing."""
        try:
            if self.settings.customer_first:
                await self._customer_first()
            else:
                await self._agent_first()
        finally:
            self.floor.declined(self.attempt)

    def _called_off(self, event: Event) -> bool:
        return isinstance(event, Queued) and event.what == What.CANCEL \
            and event.attempt == self.attempt

    async def _agent_first(self) -> None:
        """The agent hears who it is, then the customer is dialled."""
        call, floor = self.call, self.floor
        side = await call.fetch(floor.telephones(self.queue, self.agent), self.agent,
                                self.desk.user(self.agent).ring_s, until=self._called_off)
        if isinstance(side, Failed):
            if side.code != 487:
                self._missed(side)
            return
        number = self.order.partition(":")[2]
        key = await call.ask(side, await self.desk.phrase(
            call, "queue_callback_whisper", name=floor.titles[self.queue],
            number=self.desk.national(call.tenant, number)), 1, first_s=CHOOSE_S, ends="")
        if key != ACCEPT or not floor.answered(self.attempt, self.agent, call, side):
            await call.say(side, await self.desk.phrase(call, "goodbye"), barge=False)
            return
        side.functions = True
        outcome = await call.dial(side, self.order, by=side,
                                  timeout_s=float(self.settings.ring_s))
        floor.callback_done(self.caller, isinstance(outcome, Side))
        if isinstance(outcome, Side):
            await Conversation(call, self.desk).run()
        elif side.label in call.sides:
            await call.say(side, await self.desk.phrase(call, "transfer_failed"), barge=False)

    async def _customer_first(self) -> None:
        """The customer says that somebody is there, then the agent is rung."""
        call, floor = self.call, self.floor
        side = await call.fetch(self.order, 0, float(self.settings.ring_s),
                                until=self._called_off)
        key = ""
        if isinstance(side, Side):
            key = await call.ask(side, await self.desk.phrase(
                call, "queue_callback_hello", name=self.desk.tenant(call.tenant).name), 1,
                first_s=CHOOSE_S, ends="")
        if isinstance(side, Failed) or key != ACCEPT:
            floor.callback_done(self.caller, False)
            return
        outcome: Side | Failed = Failed(487, "called off")
        if floor.rings(self.attempt):
            outcome = await call.dial(
                side, floor.telephones(self.queue, self.agent), watch=self._watch,
                timeout_s=float(self.desk.user(self.agent).ring_s))
        if isinstance(outcome, Side):
            outcome.functions = True
            if floor.answered(self.attempt, self.agent, call, outcome):
                floor.callback_done(self.caller, True)
                await Conversation(call, self.desk).run()
                return
            await call.end(outcome)
        elif outcome.code != 487:
            self._missed(outcome)
        if side.label in call.sides:
            await call.say(side, await self.desk.phrase(call, "queue_no_agents"), barge=False)

    async def _watch(self, event: Event) -> Failed | None:
        """While the agent's telephone rings."""
        if self._called_off(event):
            return Failed(487, "called off")
        if not isinstance(event, SideLeft):
            await self.call.unexpected(event)
        return None

    def _missed(self, failed: Failed) -> None:
        reason = Reason(failed.handover.reason) if failed.handover else Reason.NONE
        self.floor.missed(self.attempt, cause_of(failed.code, reason))


def begin(desk: Desk, guarded: Any) -> Any:
    """What Surroundings.call_back() does. guarded: runs a call's script and ends the call."""
    def call_back(floor: Floor, queue: int, caller: int, attempt: int, agent: int) -> Call:
        callback = Callback(desk, floor, queue, caller, attempt, agent)
        desk.keep(callback.call, guarded(callback.call, callback.run()))
        return callback.call

    return call_back
