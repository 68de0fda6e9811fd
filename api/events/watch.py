"""Waiting for events, which other processes write: while somebody waits, one task looks at the
newest seq, for all who wait together."""

import asyncio
from collections.abc import Callable

from api.http.errors import Problem

#: How often it is looked: so much later than it happened is an event known.
LOOK_S = 0.1
#: More than this at once are told to come back.
MAX_WAITING = 2000


class Watch:
    """Wakes all who wait when there is a newer event."""

    def __init__(self, newest: Callable[[], int]) -> None:
        self._newest = newest
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._waiting = 0

    async def newer(self, seen: int, seconds: float) -> int:
        """The newest seq: at once when it is after `seen`, else when one comes, or at the end."""
        now = self._newest()
        if now > seen or seconds <= 0:
            return now
        if self._waiting >= MAX_WAITING:
            raise Problem(503, "busy", "too many wait for events: ask again without wait_s")
        self._waiting += 1
        try:
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._look(now))
            changed = self._changed
            try:
                async with asyncio.timeout(seconds):
                    await changed.wait()
            except TimeoutError:
                pass
            return self._newest()
        finally:
            self._waiting -= 1

    async def _look(self, seen: int) -> None:
        while self._waiting:
            await asyncio.sleep(LOOK_S)
            now = self._newest()
            if now != seen:
                seen = now
                self._changed.set()
                self._changed = asyncio.Event()
