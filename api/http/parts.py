"""What request handlers work with: the parts of this process, composed once in api/app.py."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from api.events.watch import Watch
from api.http.failures import Failures
from api.http.limits import Limits
from api.http.who import TABLES, Identities
from api.publish.publisher import Publisher
from routing_core import Kernel, handover
from store import NotFound, SqliteStore
from store.model import Revision


class Parts:
    """settings: those of settings.json; request_done(route, status, seconds): see metrics."""

    def __init__(self, store: SqliteStore, publisher: Publisher, kernel: Kernel, state: Path,
                 settings: dict[str, Any]) -> None:
        self.store = store
        self.publisher = publisher
        self.kernel = kernel
        self.state = state
        self.settings = settings
        self.control_processes: int = settings.get("control_processes", 1)
        self.events = Watch(store.last_event)
        rate = settings.get("rate_per_s", 200)
        self.limits = Limits(rate, settings.get("rate_burst", 5 * rate))
        self.failures = Failures()
        self.identities = Identities(store, settings.get("api_key", ""), self.limits)
        self.request_done: Callable[[str, int, float], None] = lambda _route, _status, _s: None
        #: Set in api/app.py: long reads aside, and the questions of what-if.
        self.lists: Any = None
        self.statistics: Any = None
        self.what_ifs: Any = None
        self.places: Any = None
        #: Idempotency-Keys of requests under way: (caller, key).
        self.under_way: set[tuple[str, str]] = set()
        self._tenants: set[int] = set()
        #: Answers to reads of single rows, as long as they are true: {(table, id): ...}.
        self.shelf: dict[tuple[str, int], Any] = {}

    def control_order(self, tenant: int) -> list[int]:
        """The processes of call control, the one that a company's calls go to first."""
        owner = self.publisher.live.owner(tenant, self.now_ms())
        order = handover.preferred(tenant, list(range(self.control_processes)))
        return sorted(order, key=lambda index: index != owner)

    def has_tenant(self, tenant: int) -> bool:
        """Whether there is such a company."""
        if tenant not in self._tenants:
            try:
                self.store.get("tenant", tenant)
            except NotFound:
                return False
            self._tenants.add(tenant)
        return True

    def changed(self, revision: Revision) -> None:
        """Forget what a change has made untrue: the publisher says so before anybody is told."""
        for change in revision.changes:
            self.shelf.pop((change.table, change.id), None)
            if change.table in TABLES:
                self.identities.forget()
                self._tenants.clear()

    @staticmethod
    def now_ms() -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000
