"""The figures of queues and agents in a period, from the store's events (see figures.py)."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import structlog
from sanic import Blueprint, HTTPResponse, Request, Sanic

from api.config.checks import visible
from api.config.routes import respond
from api.figures.fold import DEFINITIONS, AgentFigures, Figures, QueueFigures
from api.http.context import parts_of, whole
from api.http.errors import Problem, invalid
from api.queues.routes import admit, queue_of
from store import SqliteStore

log = structlog.get_logger()

queue_figures = Blueprint("queue_figures", url_prefix="/v1/tenants/<tenant:int>")

#: A period is made of these.
STEP_S: Final = 900
STEP_MS: Final = STEP_S * 1000
MAX_DAYS: Final = 31
MAX_PERIOD_MS: Final = MAX_DAYS * 86_400_000
MAX_INTERVALS: Final = 1000
#: Events are read in pages, and of one request at most so many: the next goes on from there.
PAGE: Final = 500
MAX_EVENTS: Final = 1_000_000
#: Companies whose figures are kept ready.
MAX_COMPANIES: Final = 100
#: So much later than it has happened an event is in the store, even while the store is busy.
LATE_MS: Final = 10_000

_T = TypeVar("_T")


class _Fold:
    """A company's figures as far as its events have been read."""

    def __init__(self) -> None:
        self.figures = Figures(STEP_S, MAX_PERIOD_MS // STEP_MS + 1)
        self.seen = 0
        self.within: dict[int, int] = {}


class Statistics:
    """Every company's figures, brought up to date when they are asked for.

    All of it happens in one thread, a page at a time, so companies take turns and a request that
    goes away leaves nothing half done. path: of the store, for a connection of its own.
    """

    def __init__(self, path: Path) -> None:
        self._store = SqliteStore(path)
        self._thread = ThreadPoolExecutor(1, "figures")
        self._folds: OrderedDict[int, _Fold] = OrderedDict()

    async def read(self, tenant: int, within: dict[int, int], now_ms: int,
                   what: Callable[[Figures], _T]) -> _T:
        """What is to be known of the figures as they are now; Problem 503 while there are too many
        events. within: T of the service levels by queue."""
        loop = asyncio.get_running_loop()
        for _ in range(MAX_EVENTS // PAGE):
            found = await loop.run_in_executor(
                self._thread, self._page, tenant, within, now_ms, what)
            if found:
                return found[0]
        raise Problem(503, "busy", "the events are still being counted; try again")

    def close(self) -> None:
        """Give everything back."""
        self._thread.shutdown()
        self._store.close()

    def _page(self, tenant: int, within: dict[int, int], now_ms: int,
              what: Callable[[Figures], _T]) -> tuple[_T] | None:
        """Some more events are counted; when those were all, what is to be known."""
        fold = self._fold(tenant, within)
        events = self._store.events(tenant, after=fold.seen, limit=PAGE)
        for event in events:
            try:
                fold.figures.feed(event)
            except (ValueError, LookupError) as error:
                log.warning("event not counted", seq=event.seq, error=str(error))
            fold.seen = event.seq
        if len(events) == PAGE:
            return None
        fold.figures.advance(now_ms - LATE_MS)
        return (what(fold.figures),)

    def _fold(self, tenant: int, within: dict[int, int]) -> _Fold:
        """When a T has changed, all is counted anew."""
        fold = self._folds.pop(tenant, None)
        if fold is None or any(within.get(queue, known) != known
                               for queue, known in fold.within.items()):
            fold = _Fold()
        fold.within |= within
        for queue, seconds in within.items():
            fold.figures.set_within(queue, seconds)
        self._folds[tenant] = fold
        if len(self._folds) > MAX_COMPANIES:
            self._folds.popitem(last=False)
        return fold


async def _start(app: Sanic[Any, Any]) -> None:
    app.ctx.statistics = Statistics(app.ctx.parts.state / "vaxel.db")


async def _stop(app: Sanic[Any, Any]) -> None:
    app.ctx.statistics.close()


# The store is there first.
queue_figures.listener(_start, "before_server_start", priority=-1)
queue_figures.listener(_stop, "after_server_stop")


def _period(request: Request, now_ms: int) -> tuple[int, int]:
    """from and to, in Unix milliseconds; the last day without them."""
    end_ms = whole(request, "to", -(-now_ms // STEP_MS) * STEP_MS, 0, 1 << 42)
    begin_ms = whole(request, "from", max(end_ms - 86_400_000, 0), 0, 1 << 42)
    for name, at_ms in (("from", begin_ms), ("to", end_ms)):
        if at_ms % STEP_MS:
            raise invalid(name, f"Unix milliseconds of a quarter of an hour, as {STEP_MS} * n")
    if not 0 < end_ms - begin_ms <= MAX_PERIOD_MS:
        raise invalid("from", f"before the end of the period, by at most {MAX_DAYS} days")
    return begin_ms, end_ms


async def _read(request: Request, tenant: int, what: Callable[[Figures], _T]) -> _T:
    parts = parts_of(request)
    statistics: Statistics = request.app.ctx.statistics
    queues: list[Any] = parts.store.find("service", tenant=tenant, kind="queue", limit=100_000)
    within = {row.id: row.settings.service_level_s for row in queues}
    return await statistics.read(tenant, within, parts.now_ms(), what)


@queue_figures.get("/queues/<queue:int>/figures")
async def of_queue(request: Request, tenant: int, queue: int) -> HTTPResponse:
    """A queue's figures of a period, and of each interval of it."""
    parts = admit(request, tenant)
    row = queue_of(parts, tenant, queue)
    begin_ms, end_ms = _period(request, parts.now_ms())
    interval_ms = whole(request, "interval_s", 0, STEP_S, MAX_PERIOD_MS // 1000) * 1000
    starts = range(begin_ms, end_ms, interval_ms) if interval_ms else ()
    if interval_ms % STEP_MS or len(starts) > MAX_INTERVALS:
        raise invalid("interval_s", f"a multiple of {STEP_S}, for at most {MAX_INTERVALS} of them")

    def total(figures: Figures, begin_ms: int, end_ms: int) -> dict[str, Any]:
        found = next((one for one in figures.queues(begin_ms, end_ms) if one.queue == queue),
                     QueueFigures(queue=queue, offered=0, service_level=None,
                                  service_level_offered=None, fairness=None))
        return {"from_ms": begin_ms, "to_ms": end_ms, **msgspec.to_builtins(found)}

    def everything(figures: Figures) -> dict[str, Any]:
        return {"total": total(figures, begin_ms, end_ms), "items": [
            total(figures, at_ms, min(at_ms + interval_ms, end_ms)) for at_ms in starts]}

    found = await _read(request, tenant, everything)
    return respond(found | {"name": row.name, "service_level_s": row.settings.service_level_s,
                             "definitions": DEFINITIONS["queue"]})


@queue_figures.get("/agents/<user:int>/figures")
async def of_agent(request: Request, tenant: int, user: int) -> HTTPResponse:
    """An agent's figures of a period."""
    parts = admit(request, tenant)
    row: Any = visible(parts.store.get("user", user), tenant)
    begin_ms, end_ms = _period(request, parts.now_ms())
    names = dict(parts.store.select("service", ("id", "name"), tenant=tenant, kind="queue"))

    def total(figures: Figures) -> dict[str, Any]:
        found = next((one for one in figures.agents(begin_ms, end_ms) if one.agent == user),
                     AgentFigures(agent=user, queues={}))
        return {**msgspec.to_builtins(found), "queues": [
            {"queue": queue, "name": names.get(queue, ""), **msgspec.to_builtins(share)}
            for queue, share in sorted(found.queues.items())]}

    found = await _read(request, tenant, total)
    return respond({
        "name": row.name, "from_ms": begin_ms, "to_ms": end_ms, "total": found,
        "definitions": {name: DEFINITIONS[name] for name in ("agent", "member")}})
