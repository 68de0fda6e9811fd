"""What may be asked of a process of call control from outside: its calls, and what is to be done
with them (docs/api.md, calls). Names and arguments are API."""

import asyncio
import os
from collections.abc import Collection
from typing import Any, Final

from callcontrol.call import Call, Command
from callcontrol.codes import Action
from callcontrol.desk import Desk

#: What may be asked of a call.
COMMANDS: Final = (*(str(action) for action in Action), "hang_up", "record_start", "record_pause",
                   "record_resume", "record_stop", "play")
ANSWER_S: Final = 5.0
MAX_CALLS: Final = 20_000


class Control:
    """Answers questions of the bus."""

    def __init__(self, desk: Desk, counters: dict[str, int],
                 lags_s: Collection[float] = ()) -> None:
        self._desk = desk
        self._counters = counters
        self._lags_s = lags_s

    async def asked(self, question: dict[str, Any]) -> dict[str, Any]:
        """{"do": ..., ...} → an answer, {"error": ...} when it cannot be done."""
        match question.get("do"):
            case "status":
                return self.status()
            case "metrics":
                return self.metrics()
            case "calls":
                return {"calls": [described(call) for call in list(
                    self._desk.calls.values())[:MAX_CALLS]
                    if call.tenant == question.get("tenant")]}
            case "originate":
                return self._originate(question)
            case "command":
                return await self._command(question)
        found = await self._desk.queues.asked(question)
        return found if found is not None else {"error": "unknown question"}

    def status(self) -> dict[str, Any]:
        """Counts, for people and for tests that look for leaks."""
        desk = self._desk
        return {"calls": len(desk.calls), "legs": desk.agent.count if desk.agent else 0,
                "media_sessions": desk.media.count(), "rooms": desk.mixer.rooms,
                "parked": len(desk.parked), "events_lost": desk.events.lost,
                "faults": dict(desk.counters) | self._counters}

    def metrics(self) -> dict[str, Any]:
        """The same and more, for Prometheus (api/operations/scrape.py): nothing of companies."""
        desk = self._desk
        companies, things = desk.queues.counts()
        return self.status() | {
            "pid": os.getpid(), "companies": len(desk.owned), "queue_companies": companies,
            "queue_things": things, "lag_s": round(max(self._lags_s, default=0.0), 6)}

    def _originate(self, question: dict[str, Any]) -> dict[str, Any]:
        if len(self._desk.calls) >= MAX_CALLS:
            return {"error": "too many calls"}
        call = self._desk.originate(question["tenant"], question["first"], question["second"],
                                    question.get("user", 0))
        return {"uid": call.uid}

    async def _command(self, question: dict[str, Any]) -> dict[str, Any]:
        call = self._desk.calls.get(str(question.get("uid")))
        if call is None or call.tenant != question.get("tenant"):
            return {"error": "no such call", "code": 404}
        name = str(question.get("name"))
        if name not in COMMANDS:
            return {"error": f"unknown command {name[:40]!r}", "code": 422}
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        arguments = question.get("arguments")
        call.post(Command(name, arguments if isinstance(arguments, dict) else {}, answer))
        try:
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            answer.cancel()
            return {"error": "the call does not answer now", "code": 409}


def described(call: Call) -> dict[str, Any]:
    """A live call, as the API shows it."""
    return {
        "uid": call.uid, "state": call.state, "began": int(call.began),
        "recording": call.recording or "off",
        "sides": [{"side": side.label, "user": side.user, "number": side.number,
                   "up": side.up, "holding": side.holding} for side in call.sides.values()],
    }
