"""Figures are kept for years: what happens is added to sums of quarters, hours and days.

The keeper does it. The newest event that has been counted is moved in the same transaction as the
sums, so each event counts exactly once, whenever the process is killed and however many count. Of
calls, a quarter is counted anew when something has become of one that began in it; while it is due,
what is kept of it is not told.
"""

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct

from api.figures.calls import KINDS, counted
from api.figures.counts import AgentSums, QueueSums, add, added
from api.figures.fold import Figures, RowId
from routing_core.queues import Leave
from store import SqliteStore
from store.calls import Way
from store.figures import DAY_MS, QUARTER_MS, SPANS_MS, FigureKind, FigureRow
from store.model import Event

log = structlog.get_logger()

#: In one transaction: so many events, so many quarters.
EVENTS: Final = 1000
QUARTERS: Final = 8
#: A call that has been in a queue for longer than this is not counted any more.
OPEN_MS: Final = 31 * DAY_MS
KEPT_MS: Final = 3 * 366 * DAY_MS
_Sums = dict[tuple[FigureKind, int], Any]
_TYPES: Final[dict[FigureKind, type[Struct]]] = {"queue": QueueSums, "agent": AgentSums, **KINDS}
_DECODERS: Final = {kind: msgspec.json.Decoder(type_) for kind, type_ in _TYPES.items()}
encode: Final = msgspec.json.Encoder().encode


def decode(kind: FigureKind, data: bytes) -> Any:
    """The sums of a row."""
    return _DECODERS[kind].decode(data)


def figures_of(state: bytes | None) -> Figures:
    """A company's queues as they were after the events that have been counted."""
    if state is not None:
        return Figures.load(state)
    return Figures(QUARTER_MS // 1000, OPEN_MS // QUARTER_MS + 1)


def feed(figures: Figures, event: Event) -> None:
    """One that cannot be understood is not counted."""
    try:
        figures.feed(event)
    except (ValueError, LookupError) as error:
        log.warning("event not counted", seq=event.seq, error=str(error))


class _Said(Struct):
    """What leads a call somewhere, of an event's data."""

    what: str = ""
    service: RowId = 0
    queue: RowId = 0
    x: int = 0


class Counting:
    """The job of the keeper; each step is one transaction, and the next one goes on from there."""

    def __init__(self, store: SqliteStore, kept_ms: int = KEPT_MS) -> None:
        self.store = store
        self.kept_ms = kept_ms

    def count_events(self) -> bool:
        """Some more events; False when there were no more."""
        store = self.store
        with store.writing():
            events = store.events(None, after=store.figure_seq(), limit=EVENTS)
            if not events:
                return False
            by_tenant: dict[int, list[Event]] = {}
            for event in events:
                by_tenant.setdefault(event.tenant, []).append(event)
            for tenant, theirs in by_tenant.items():
                self._count(tenant, theirs)
            store.set_figure_state(0, events[-1].seq, b"")
        return len(events) == EVENTS

    def _count(self, tenant: int, events: list[Event]) -> None:
        if any(event.kind == "queue" for event in events):
            figures = figures_of(self.store.figure_state(tenant))
            for event in events:
                feed(figures, event)
            self._add(tenant, figures)
            self.store.set_figure_state(tenant, figures.seq, figures.dump())
        ways: dict[str, list[Way]] = {}
        for event in events:
            if event.call and (way := way_of(event)):
                ways.setdefault(event.call, []).append(way)
        for uid, found in ways.items():
            self.store.add_ways(uid, found)

    def _add(self, tenant: int, figures: Figures) -> None:
        """What is new to what is kept."""
        totals: dict[tuple[FigureKind, int, int, int], Struct] = {}

        def put(kind: FigureKind, at_ms: int, by_subject: dict[int, Any]) -> None:
            for size_ms in SPANS_MS:
                begin_ms = at_ms // size_ms * size_ms
                for subject, sums in by_subject.items():
                    key = kind, subject, size_ms, begin_ms
                    if key not in totals:
                        known = self.store.figures(tenant, kind, subject, size_ms, begin_ms,
                                                   begin_ms + 1)
                        totals[key] = decode(kind, known[0][1]) if known else _TYPES[kind]()
                    add(totals[key], sums)

        for at_ms, queues, agents in figures.take():
            put("queue", at_ms, queues)
            put("agent", at_ms, agents)
        self.store.set_figures(
            FigureRow(tenant=tenant, kind=kind, subject=subject, span_ms=size_ms, at_ms=begin_ms,
                      data=encode(total))
            for (kind, subject, size_ms, begin_ms), total in totals.items())

    def count_calls(self) -> bool:
        """Some quarters of whose calls something has become; False when there were no more. They
        are counted before the transaction: a quarter that has changed meanwhile stays due."""
        due = self.store.figures_due(limit=QUARTERS)
        for tenant, quarters in groupby(due, lambda one: one[0]):
            found = [(at_ms, changes, calls_of(self.store, tenant, at_ms))
                     for _, at_ms, changes in quarters]
            with self.store.writing():
                self._recount(tenant, found)
        return len(due) == QUARTERS

    def _recount(self, tenant: int, quarters: Sequence[tuple[int, int, _Sums]]) -> None:
        store = self.store
        touched: set[tuple[FigureKind, int]] = set()
        for at_ms, changes, found in quarters:
            touched |= found.keys()
            for kind in KINDS:
                touched |= {(kind, subject) for subject in store.remove_figures(
                    tenant, kind, QUARTER_MS, at_ms)}
            store.set_figures(
                FigureRow(tenant=tenant, kind=kind, subject=subject, span_ms=QUARTER_MS,
                          at_ms=at_ms, data=encode(sums))
                for (kind, subject), sums in found.items())
            store.set_figure_done(tenant, at_ms, changes)
        for part_ms, size_ms in pairwise(SPANS_MS):
            for begin_ms in sorted({at_ms // size_ms * size_ms for at_ms, _, _ in quarters}):
                for kind, subject in touched:
                    parts = [decode(kind, data) for _, data in store.figures(
                        tenant, kind, subject, part_ms, begin_ms, begin_ms + size_ms)]
                    if parts:
                        store.set_figures([FigureRow(
                            tenant=tenant, kind=kind, subject=subject, span_ms=size_ms,
                            at_ms=begin_ms, data=encode(added(KINDS[kind], parts)))])
                    else:
                        store.remove_figure(tenant, kind, subject, size_ms, begin_ms)

    def purge(self, now_ms: int) -> int:
        """Remove some of what is older than is kept; how much."""
        before_ms = (now_ms - self.kept_ms) // DAY_MS * DAY_MS
        return sum(self.store.purge_figures(tenant, before_ms)
                   for tenant, in self.store.select("tenant", ("id",)))


def calls_of(store: SqliteStore, tenant: int, at_ms: int) -> _Sums:
    """What is counted of the calls that began in a quarter."""
    numbers = {str(e164): int(id_)
               for id_, e164 in store.select("number", ("id", "e164"), tenant=tenant)}
    return dict(counted(store.counted_calls(tenant, at_ms, at_ms + QUARTER_MS), numbers))


def way_of(event: Event) -> Way | None:
    """Where an event says that a call has come to."""
    try:
        fact = msgspec.convert(event.data, _Said)
    except msgspec.ValidationError:
        return None
    if event.kind == "service":
        return Way(kind="service", subject=fact.service)
    if event.kind == "queue" and fact.what in ("entered", "refused"):
        return Way(kind="service", subject=fact.queue)
    if event.kind == "queue" and fact.what == "left" and fact.x == Leave.ABANDONED:
        return Way(kind="abandoned", subject=fact.queue)
    return None
