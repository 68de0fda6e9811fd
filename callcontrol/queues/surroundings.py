"""What a company's queues need to know of the exchange around them."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

import structlog

from callcontrol.call import Call
from callcontrol.desk import Desk
from callcontrol.planning import History
from routing_core import Kernel, SnapshotError, mapping
from routing_core.codes import LineState
from store import NotFound
from store.model import Activity, Event, Queue, QueueMember, Service, Tenant

log = structlog.get_logger()

PAGE: Final = 1000
#: Where queues are configured, and how many revisions are looked through for it.
TABLES: Final = ("service", "queue_member", "tenant")
MANY: Final = 100


class Surroundings(Protocol):
    """Tests have their own."""

    def now(self) -> float: ...
    def seed(self) -> int: ...
    def revision(self) -> int: ...
    def touched(self, tenant: int, since: int) -> bool:
        """Whether the company's queues are configured otherwise than after that revision."""

    def tenant(self, tenant: int) -> Tenant: ...
    def queues(self, tenant: int) -> list[tuple[int, str, Queue]]:
        """(id, name, settings)"""

    def members(self, tenant: int) -> list[QueueMember]: ...
    def present(self, tenant: int, user: int) -> bool:
        """Whether the activity allows calls of queues."""

    def busy(self, user: int) -> bool:
        """Whether the line is in use."""

    def open(self, schedules: Iterable[int | None], at_s: int) -> bool:
        """Whether all of them are open then."""

    def history(self, tenant: int, dumped: bytes) -> History: ...
    def call_back(self, floor: Any, queue: int, caller: int, attempt: int, agent: int) -> Call:
        """Begin to make a callback; its call."""

    def publish(self, event: Event) -> None: ...
    def count(self, what: str) -> None: ...


class Exchange:
    """The real ones. call_back: set by who makes the calls."""

    def __init__(self, desk: Desk, state: Path) -> None:
        self._desk = desk
        self._state = state
        self._kernel: Kernel | None = None
        self._activities: dict[int, tuple[int, bool]] = {}
        self._informs: dict[int, bool] = {}
        self._seen = -1
        self.begin_callback: Callable[[Any, int, int, int, int], Call] | None = None

    def now(self) -> float:
        """Unix seconds."""
        return self._desk.clock()

    def seed(self) -> int:
        """For a company that has no journal yet."""
        return self._desk.chance.getrandbits(62)

    def revision(self) -> int:
        """Of the configuration."""
        return self._desk.store.revision()

    def touched(self, tenant: int, since: int) -> bool:
        """By what was changed; after many changes, perhaps."""
        revisions = self._desk.store.revisions(after=since, limit=MANY) if since >= 0 else []
        return since < 0 or len(revisions) == MANY or any(
            change.table in TABLES and tenant in (
                row.get("tenant", change.id) for row in (change.before, change.after) if row)
            for revision in revisions for change in revision.changes)

    def tenant(self, tenant: int) -> Tenant:
        """NotFound."""
        return self._desk.tenant(tenant)

    def queues(self, tenant: int) -> list[tuple[int, str, Queue]]:
        """All of the company."""
        found: list[tuple[int, str, Queue]] = []
        for row in _all(self._desk.store.find, "service", tenant=tenant, kind="queue"):
            if isinstance(row, Service) and isinstance(row.settings, Queue):
                found.append((row.id, row.name, row.settings))
        return found

    def members(self, tenant: int) -> list[QueueMember]:
        """Of all its queues."""
        return [row for row in _all(self._desk.store.find, "queue_member", tenant=tenant)
                if isinstance(row, QueueMember)]

    def present(self, tenant: int, user: int) -> bool:
        """By the activity in force."""
        activity, until = self._desk.live.presence(user)
        if not activity:
            return True
        revision = self.revision()
        if revision != self._seen:
            self._seen = revision
            self._activities.clear()
            self._informs.clear()
        if tenant not in self._informs:
            self._informs[tenant] = self._desk.tenant(tenant).activity_end == "inform"
        if until and until <= self.now() and not self._informs[tenant]:
            return True
        if activity not in self._activities:
            try:
                row = self._desk.store.get("activity", activity)
            except NotFound:
                return True
            assert isinstance(row, Activity)
            self._activities[activity] = row.tenant, row.in_groups
        owner, in_groups = self._activities[activity]
        return owner != tenant or in_groups

    def busy(self, user: int) -> bool:
        """By the live state."""
        return self._desk.live.line_state(user, int(self.now())) != LineState.IDLE

    def open(self, schedules: Iterable[int | None], at_s: int) -> bool:
        """By the kernel, as for numbers; open while there is no snapshot."""
        wanted = [schedule for schedule in schedules if schedule]
        if not wanted:
            return True
        if self._kernel is None:
            try:
                self._kernel = mapping.open_kernel(self._state)
            except SnapshotError as error:
                log.warning("no snapshot", error=str(error))
                return True
        self._kernel.refresh()
        return all(self._kernel.schedule_open(schedule, at_s)[0] for schedule in wanted)

    def history(self, tenant: int, dumped: bytes) -> History:
        """What the company's weeks are like; nothing when what is kept cannot be read."""
        zone = ZoneInfo(self.tenant(tenant).time_zone)
        try:
            return History(zone, dumped)
        except ValueError as error:
            log.error("history not readable", tenant=tenant, error=str(error))
            return History(zone)

    def call_back(self, floor: Any, queue: int, caller: int, attempt: int, agent: int) -> Call:
        """A callback's turn."""
        assert self.begin_callback
        return self.begin_callback(floor, queue, caller, attempt, agent)

    def publish(self, event: Event) -> None:
        """Into the stream."""
        self._desk.events.add(event)

    def count(self, what: str) -> None:
        """A fault that people should know of."""
        self._desk.count(what)


def _all(find: Callable[..., Any], table: str, **equal: Any) -> Iterable[Any]:
    """Every row, page by page."""
    after = 0
    while True:
        rows = find(table, after=after, limit=PAGE, **equal)
        yield from rows
        if len(rows) < PAGE:
            return
        after = rows[-1].id
