"""Events of calls into the store's stream: in order, in batches, by a thread, never waited for."""

import asyncio
from collections import deque
from typing import Final

import structlog

from store import StoreError
from store.model import Event
from store.port import Store

log = structlog.get_logger()

FLUSH_S: Final = 0.05
MAX_BATCH: Final = 500
#: While the store cannot be written, so many are kept; the oldest are lost first, and counted.
MAX_WAITING: Final = 50_000


class EventLog:
    """One writer per process. store: a connection of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[Event] = deque()
        self.lost = 0

    def add(self, event: Event) -> None:
        """Put it behind the others."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(event)

    async def run(self) -> None:
        """Until cancelled; what waits then is written."""
        try:
            while True:
                await self._flush()
                await asyncio.sleep(FLUSH_S)
        finally:
            await asyncio.shield(self._flush())

    async def _flush(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft()
                     for _ in range(min(len(self._waiting), MAX_BATCH))]
            try:
                await asyncio.to_thread(self._store.add_events, batch)
            except StoreError as error:
                log.warning("events wait", error=str(error))
                self._waiting.extendleft(reversed(batch))
                return
