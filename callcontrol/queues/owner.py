"""The companies whose queues this process owns, and what may be asked of them."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, Final

import structlog

from callcontrol.desk import Desk
from callcontrol.queues.floor import STATES, Floor, caller_of_tag
from callcontrol.queues.journal import Journal
from callcontrol.queues.surroundings import Exchange
from routing_core import handover
from routing_core.queue_words import By, Closed, Leave
from store import StoreError

log = structlog.get_logger()

LOOK_S: Final = 1.0
_RUSH: Final = ("", "length", "wait", "estimate")
MAX_PROCESSES: Final = 16


class Queues:
    """Of one process."""

    def __init__(self, desk: Desk, state: Path) -> None:
        self._desk = desk
        self._folder = state / "queues"
        self.around = Exchange(desk, state)
        self._floors: dict[int, Floor] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._stopped = False

    def floor(self, tenant: int) -> Floor | None:
        """The company's queues; None when another process has them."""
        found = self._floors.get(tenant)
        if found is not None or self._stopped:
            return found
        journal = Journal(self._folder / str(tenant))
        if self._owner(tenant) not in (-1, self._desk.index) or not journal.open():
            return None
        if not self._desk.own(tenant):
            journal.close()
            return None
        try:
            found = Floor(tenant, self.around, journal)
        except Exception:
            journal.close()
            raise
        self._floors[tenant] = found
        self._tasks[tenant] = asyncio.ensure_future(self._run(found))
        return found

    async def _run(self, floor: Floor) -> None:
        while True:
            try:
                await floor.run()
            except StoreError as error:
                log.warning("queues", tenant=floor.tenant, error=str(error))
            except Exception:
                log.exception("queues", tenant=floor.tenant)
                self._desk.count("queues_failed")
            await asyncio.sleep(LOOK_S)

    async def run(self) -> None:
        """Until cancelled: have the queues of the companies that are ours, calls or not. Whoever
        has a company's journal is its owner: while we hung, the word may have gone to another
        process, which can do nothing with it."""
        while True:
            try:
                await self._give_back()
                for tenant in self._floors:
                    self._desk.reclaim(tenant)
                for tenant in self._companies():
                    if tenant not in self._floors and self._falls_to_us(tenant):
                        self.floor(tenant)
            except StoreError as error:
                log.warning("queues", error=str(error))
            await asyncio.sleep(LOOK_S)

    def _companies(self) -> list[int]:
        found = self._desk.store.select("service", ("tenant",), order="tenant", kind="queue")
        return sorted({tenant for (tenant,) in found})

    def _owner(self, tenant: int) -> int:
        return self._desk.live.owner(tenant, int(self._desk.clock() * 1000))

    def _falls_to_us(self, tenant: int) -> bool:
        owner = self._owner(tenant)
        return owner == self._desk.index if owner >= 0 else self._preferred(tenant)

    async def _give_back(self) -> None:
        """Companies that came here because their process was gone, once they have no call here."""
        away = [tenant for tenant in self._desk.owned if not self._preferred(tenant)]
        busy = {call.tenant for call in self._desk.calls.values()} if away else set()
        for tenant in away:
            if tenant in busy:
                continue
            self._desk.disown(tenant)
            floor, task = self._floors.pop(tenant, None), self._tasks.pop(tenant, None)
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            if floor is not None:
                floor.close()

    def _preferred(self, tenant: int) -> bool:
        desk, now_ms = self._desk, int(self._desk.clock() * 1000)
        at_work = [index for index in range(MAX_PROCESSES) if desk.live.control(index, now_ms)]
        return handover.preferred(tenant, at_work)[:1] == [desk.index]

    async def stop(self) -> None:
        """Give everything up: whatever the calls do from now on, the queues stay as they are."""
        self._stopped = True
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for tenant, floor in self._floors.items():
            floor.close()
            self._desk.disown(tenant)
        self._floors.clear()

    def counts(self) -> tuple[int, dict[str, int]]:
        """How many companies' queues are here, and what these hold together."""
        held: Counter[str] = Counter()
        for floor in self._floors.values():
            held.update(floor.engine.counts())
        return len(self._floors), dict(held)

    # -- what is asked ------------------------------------------------------------------------

    async def asked(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """An answer; None when it is no question about queues."""
        do = question.get("do")
        if do not in ("queues", "agent", "withdraw", "why", "fairness"):
            return None
        floor = self.floor(int(question.get("tenant", 0)))
        if floor is None:
            return {"error": "another process has these queues", "code": 503}
        if floor.around.revision() != floor.revision:
            floor.refresh()
        match do:
            case "queues":
                return view(floor, int(question.get("queue") or 0))
            case "agent":
                return self._agent(floor, question)
            case "withdraw":
                return _withdraw(floor, int(question.get("caller", 0)))
            case "why":
                return await self._why(floor, question)
            case _:
                lines = floor.engine.fairness(int(question.get("queue", 0)))
                return {"agents": [{"user": user, "offered": offered, "answered": answered,
                                    "talk_ms": talk} for user, offered, answered, talk in lines]}

    @staticmethod
    def _agent(floor: Floor, question: dict[str, Any]) -> dict[str, Any]:
        user = int(question.get("user", 0))
        code, why = floor.act(
            user, str(question.get("act")), queues=question.get("queues"),
            reason=str(question.get("reason", "")), seconds=int(question.get("seconds") or 0),
            by=By.SUPERVISOR if question.get("by") == "supervisor" else By.SELF)
        return {"error": why, "code": code} if code else {"agent": _agent_view(floor, user)}

    async def _why(self, floor: Floor, question: dict[str, Any]) -> dict[str, Any]:
        """Now, or at a moment of the past: the journal up to it is played again."""
        at_ms, caller = int(question.get("at_ms") or 0), int(question.get("caller") or 0)
        uid = str(question.get("call") or "")
        if not caller and uid:
            caller = floor.callers.get(uid, 0)
        engine = floor.engine
        if at_ms:
            floor.obey()
            engine = await asyncio.to_thread(floor.journal.restore, 0, at_ms)
        found = engine.view_caller(caller, at_ms or floor.now_ms())
        if found is None:
            return {"error": "the caller is not in a queue at that moment", "code": 404}
        lines = engine.explain(at_ms or floor.now_ms(), caller)
        return {"caller": _caller_view(floor, found, uid), "at_ms": at_ms or floor.now_ms(),
                "agents": [{"user": user, "why": skip.name.lower(), "tier": key[0],
                            "measure": key[1], "idle_since_ms": key[2]}
                           for user, skip, key in lines]}


def _withdraw(floor: Floor, caller: int) -> dict[str, Any]:
    found = floor.engine.view_caller(caller, floor.now_ms())
    if found is None or found.live:
        return {"error": "no such callback", "code": 404}
    floor.leave(caller, Leave.CANCELLED)
    return {}


def view(floor: Floor, only: int = 0) -> dict[str, Any]:
    """Everything, or one queue with its agents, as the API shows it."""
    engine, now = floor.engine, floor.now_ms()
    members = {user for queue, user in floor.members if only in (0, queue)}
    views = [engine.view_caller(caller, now) for caller in engine.everybody()]
    tenant = floor.around.tenant(floor.tenant)
    agents = [_agent_view(floor, agent) for agent in engine.agents() if agent in members]
    queues: list[dict[str, Any]] = []
    for id_ in engine.queues():
        queue = engine.view_queue(id_, now)
        if queue is None or only not in (0, id_):
            continue
        callers = sorted((one for one in views if one is not None and one.queue == id_),
                         key=lambda one: (one.position or 1 << 30, one.arrived_ms))
        queues.append(queue._asdict() | {
            "closed": Closed(queue.closed).name.lower(), "rush": _RUSH[queue.rush],
            "callers": [_caller_view(floor, one, floor.uid_of(one.caller))
                        for one in callers]})
    return {"queues": queues, "agents": agents, "reasons": floor.journal.names.reasons,
            "licences": {"used": floor.licences_used, "total": tenant.agent_licences}}


def _caller_view(floor: Floor, found: Any, uid: str) -> dict[str, Any]:
    user, number = caller_of_tag(found.tag)
    return {"caller": found.caller, "call": uid, "queue": found.queue,
            "number": number, "user": user, "position": found.position,
            "priority": found.priority, "arrived_ms": found.arrived_ms,
            "state": STATES[found.state], "live": found.live, "tries": found.tries,
            "planned_ms": floor.planned.get(found.caller, 0),
            "estimate_s": floor.said.get(found.caller)}


def _agent_view(floor: Floor, user: int) -> dict[str, Any]:
    found = floor.engine.view_agent(user)
    if found is None:
        return {}
    return {"user": user, "state": found.state.name.lower(), "since_ms": found.since_ms,
            "until_ms": found.until_ms, "reason": floor.reason(found.reason), "queue": found.queue,
            "caller": found.caller, "call": floor.call_of(user), "present": found.present,
            "reachable": found.reachable, "line_busy": found.line_busy,
            "idle_since_ms": found.idle_since_ms,
            "queues": [{"queue": queue, "logged_in": logged_in, "misses": misses}
                       for queue, logged_in, misses in found.queues]}
