"""Failed sign-ins, wrong keys and ended sessions in the log: the first at once, then a line a
minute however many there are, and no word of a stranger's but the address."""

import asyncio
from collections import Counter
from typing import Final

import structlog

TELL_S: Final = 60.0
#: Addresses that are kept apart, and those that a line names.
MAX_ADDRESSES, MAX_NAMED = 1024, 8

log = structlog.get_logger()


class Failures:
    """Counts answers with 401. tell_s: seconds between two lines."""

    def __init__(self, tell_s: float = TELL_S) -> None:
        self._tell_s = tell_s
        self._count = 0
        self._silent = False  # a line was written just now
        self._addresses: Counter[str] = Counter()

    def note(self, address: str) -> None:
        """Another one; called in the event loop."""
        self._count += 1
        if address in self._addresses or len(self._addresses) < MAX_ADDRESSES:
            self._addresses[address] += 1
        if not self._silent:
            self._tell()

    def _tell(self) -> None:
        self._silent = self._count > 0
        if not self._silent:
            return
        asyncio.get_running_loop().call_later(self._tell_s, self._tell)
        log.warning("failed sign-ins at the API", count=self._count,
                    addresses=dict(self._addresses.most_common(MAX_NAMED)))
        self._count = 0
        self._addresses.clear()
