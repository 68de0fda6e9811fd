"""What a WebSocket is told: how everything is, then what changes.

    {"type": "snapshot", "seq": 17, "lines": [], "calls": [], "queues": [], "agents": []}
    {"type": "event", "event": {"seq": 18, ...}}
    {"type": "lines", "lines": [{"user": 7, "line": "ringing"}]}

Events have a seq each and are never left out; lines are as they are now, and are not numbered.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
from sanic import Websocket

from api.http.errors import Problem
from api.http.parts import Parts
from api.lines.routes import everybody
from api.live.routes import in_progress
from api.queues.routes import board_of
from routing_core.codes import LineState

#: One who does not read for so long is cut.
SEND_S: Final = 20.0
#: Lines are looked at so often.
LOOK_S: Final = 0.25
#: Whether somebody may still follow.
ASK_S: Final = 3.0
PAGE: Final = 500

_encode = msgspec.json.Encoder().encode


class Lamps:
    """The line states of companies that somebody follows, looked at together."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._followers: dict[int, set[asyncio.Queue[list[dict[str, Any]]]]] = {}
        self._known: dict[int, dict[int, int]] = {}
        self._task: asyncio.Task[None] | None = None

    def follow(self, tenant: int) -> asyncio.Queue[list[dict[str, Any]]]:
        """What changes from now on; a follower that is behind is given less often more."""
        queue: asyncio.Queue[list[dict[str, Any]]] = asyncio.Queue(100)
        self._followers.setdefault(tenant, set()).add(queue)
        self._known.setdefault(tenant, self._look(tenant))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._watch())
        return queue

    def leave(self, tenant: int, queue: asyncio.Queue[list[dict[str, Any]]]) -> None:
        """Nobody reads it any more."""
        self._followers[tenant].discard(queue)
        if not self._followers[tenant]:
            del self._followers[tenant], self._known[tenant]

    def _look(self, tenant: int) -> dict[int, int]:
        now_s = self._parts.now_ms() // 1000
        line_state = self._parts.publisher.live.line_state
        return {user: line_state(user, now_s)
                for user, in list(self._parts.store.select("user", ("id",), tenant=tenant))}

    async def _watch(self) -> None:
        while self._followers:
            await asyncio.sleep(LOOK_S)
            for tenant, queues in list(self._followers.items()):
                now, before = self._look(tenant), self._known[tenant]
                changed = [{"user": user, "line": LineState(state).name.lower()}
                           for user, state in now.items() if before.get(user) != state]
                self._known[tenant] = now
                for queue in queues if changed else ():
                    if queue.full():
                        queue.get_nowait()  # the next snapshot heals it; events are never left out
                    queue.put_nowait(changed)


class Follower:
    """One WebSocket. allowed: whether whose it is may still follow."""

    def __init__(self, parts: Parts, lamps: Lamps, tenant: int, ws: Websocket,
                 allowed: Callable[[], bool]) -> None:
        self._parts, self._lamps, self._tenant, self._ws = parts, lamps, tenant, ws
        self._allowed = allowed

    async def run(self, seen: int | None) -> None:
        """Until it goes away or does not read."""
        lines = self._lamps.follow(self._tenant)
        reading = asyncio.ensure_future(self._read())
        telling = [asyncio.ensure_future(one) for one in (
            self._events(seen), self._lines(lines), self._while_allowed())]
        try:
            await asyncio.wait([reading, *telling], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, *telling):
                task.cancel()
            await asyncio.gather(reading, *telling, return_exceptions=True)
            self._lamps.leave(self._tenant, lines)

    async def _read(self) -> None:
        """Nothing that is sent here is listened to; None comes when it is closed."""
        while await self._ws.recv() is not None:
            pass

    async def _while_allowed(self) -> None:
        allowed = True
        while allowed:
            await asyncio.sleep(ASK_S)
            allowed = self._allowed()
        await self._ws.close(4401, "who opened this may follow no longer")

    async def _say(self, what: dict[str, Any]) -> None:
        async with asyncio.timeout(SEND_S):
            await self._ws.send(_encode(what).decode())

    async def _events(self, seen: int | None) -> None:
        store, newer = self._parts.store, self._parts.events.newer
        newest = store.last_event()
        if seen is None or seen > newest or seen < store.first_event() - 1:
            seen = newest  # nothing to go on from: everything anew
            await self._say(await self._snapshot(seen))
        known = 0
        while True:
            known = await newer(0, 0)
            while found := store.events(self._tenant, after=seen, limit=PAGE):
                for event in found:
                    await self._say({"type": "event", "event": event})
                seen = found[-1].seq
            await newer(known, 25)

    async def _lines(self, lines: asyncio.Queue[list[dict[str, Any]]]) -> None:
        while True:
            await self._say({"type": "lines", "lines": await lines.get()})

    async def _snapshot(self, seq: int) -> dict[str, Any]:
        """How everything is; what happens meanwhile comes as an event after it."""
        parts, tenant = self._parts, self._tenant
        now: dict[str, Any] = {
            "type": "snapshot", "seq": seq,
            "lines": everybody(parts, tenant, parts.now_ms() // 1000).items,
            "calls": await in_progress(parts, tenant)}
        try:
            found = await board_of(parts, tenant)
            return now | {"queues": found["queues"], "agents": found["agents"]}
        except Problem:  # call control is away: its events tell when it is back
            return now | {"queues": None, "agents": None}
