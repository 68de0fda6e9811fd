"""Agents by telephone (Q1, Q8): log in, log out, pause and go on, by a menu or a dialled code."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from callcontrol import words
from callcontrol.call import Call, Side
from callcontrol.codes import Code, Dialled
from callcontrol.services.base import Desk, Go, Service, State
from store.model import Service as ServiceRow

ROUNDS: Final = 5
#: Keys of the menu.
KEYS: Final = {"1": Dialled.AGENT_IN, "2": Dialled.AGENT_OUT, "3": Dialled.AGENT_PAUSE,
               "4": Dialled.AGENT_ON, "5": Dialled.AGENT_DONE}
_ACTS: Final = {Dialled.AGENT_IN: "log_in", Dialled.AGENT_OUT: "log_out",
                Dialled.AGENT_PAUSE: "pause", Dialled.AGENT_ON: "resume",
                Dialled.AGENT_DONE: "end_wrap_up"}


class AgentCode(Service):
    """One thing, by a code; code None: the menu says which."""

    def __init__(self, desk: Desk, call: Call, side: Side, row: ServiceRow | None = None,
                 code: Code | None = None) -> None:
        super().__init__(desk, call, side, row)
        self.code = code

    async def start(self) -> State | Go:
        """Do it and say so."""
        assert self.code
        await self.call.answer(self.side)
        await self.tell_why()
        await self.call.say(self.side, await self.do(self.code.action, self.code.first),
                            barge=False)
        return Go()

    async def tell_why(self) -> None:
        """Once, to somebody who was logged out or paused for missed calls."""
        floor = self.desk.queues.floor(self.call.tenant)
        queue = floor.missed_out.pop(self.side.user, None) if floor else None
        if queue is not None:
            await self.call.say(self.side, await self.phrase("queue_missed_out", name=queue)
                                if queue else await self.phrase("queue_missed_pause"), barge=False)

    async def do(self, action: Dialled, which: str = "") -> Sequence[Path]:
        """What is to be heard of it. which: of the pause reasons, from 1."""
        floor, user = self.desk.queues.floor(self.call.tenant), self.side.user
        if floor is None or not user:
            return await self.phrase("agent_not_member")
        reasons = self.tenant.pause_reasons
        number = int(which or 1)
        reason = reasons[number - 1] if 1 <= number <= len(reasons) else ""
        status, why = floor.act(user, _ACTS[action], reason=reason)
        if status == 404:
            return await self.phrase("agent_not_member")
        if status == 409 and "licence" in why:
            return await self.phrase("agent_no_licence")
        if status:
            return await self.status()
        if action is Dialled.AGENT_IN:
            return await self.spoken(words.agent_logged_in(
                sum(member == user for _, member in floor.members), self.call.language))
        if action is Dialled.AGENT_PAUSE:
            return await self.spoken(words.agent_paused(reason, self.call.language))
        return await self.phrase({
            Dialled.AGENT_OUT: "agent_logged_out", Dialled.AGENT_ON: "agent_resumed",
            Dialled.AGENT_DONE: "agent_wrap_up_ended"}[action])

    async def status(self) -> Sequence[Path]:
        """What the agent does, and how many wait."""
        floor = self.desk.queues.floor(self.call.tenant)
        found = floor.status(self.side.user) if floor else None
        if found is None:
            return await self.phrase("agent_not_member")
        state, queues, reason, waiting = found
        return await self.spoken(words.agent_status(
            state, self.call.language, queues=queues, reason=reason, waiting=waiting))


class AgentMenu(AgentCode):
    """Keys, until the agent hangs up."""

    rounds = 0

    async def start(self) -> State | Go:
        """Only for people of the company."""
        await self.call.answer(self.side)
        if not self.side.user:
            await self.say("agent_not_member", barge=False)
            return Go()
        await self.tell_why()
        return self.choose

    async def choose(self) -> State | Go:
        """One key, one thing."""
        self.rounds += 1
        if self.rounds > ROUNDS:
            await self.say("goodbye", barge=False)
            return Go()
        key = await self.call.ask(self.side, await self.phrase("agent_menu"), 1, ends="")
        if key == "0":
            await self.call.say(self.side, await self.status())
        elif key in KEYS:
            self.rounds = 0
            await self.call.say(self.side, await self.do(KEYS[key]))
        elif key:
            await self.say("not_understood")
        return self.choose
