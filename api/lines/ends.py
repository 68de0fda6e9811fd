"""Ends activities by their time (P1): with an event, like any other change of presence."""

import asyncio
from typing import Final

import structlog

from api.http.parts import Parts

log = structlog.get_logger()

#: What is over is told so much later at most; calls go by the time itself.
LOOK_S: Final = 0.5


class Ends:
    """await Ends(parts).run()"""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def run(self) -> None:
        """Until cancelled."""
        parts = self._parts
        while True:
            try:
                for tenant, over in parts.store.presences_over(parts.now_ms() // 1000):
                    await parts.publisher.end_presence(tenant, over)
            except Exception:
                log.exception("ends of presence")
            await asyncio.sleep(LOOK_S)
