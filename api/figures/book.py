"""Everything that is known of a company's figures at a moment: what is kept, and in memory what has
happened since and is not counted durably yet. Reading writes nothing."""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from api.figures.calls import KINDS
from api.figures.counting import calls_of, decode, feed, figures_of
from api.figures.counts import add
from api.http.errors import Problem
from store import SqliteStore
from store.figures import SPANS_MS, FigureKind

#: The keeper counts all the time: more than this is there only when it has not been at work.
MAX_EVENTS: Final = 100_000
MAX_DUE: Final = 400
PAGE: Final = 1000
#: So much later than it has happened an event is in the store, even while the store is busy.
LATE_MS: Final = 10_000


class Book:
    """As of one moment, when it is made and asked within a read transaction."""

    def __init__(self, store: SqliteStore, tenant: int, now_ms: int) -> None:
        """Problem 503 while too much is waiting to be counted."""
        self._store = store
        self.tenant = tenant
        self.figures = figures_of(store.figure_state(tenant))
        seq = store.figure_seq()
        for _ in range(MAX_EVENTS // PAGE):
            events = store.events(tenant, after=seq, limit=PAGE)
            for event in events:
                feed(self.figures, event)
                seq = event.seq
            if len(events) < PAGE:
                break
        else:
            raise Problem(503, "busy", "the events are still being counted; try again")
        self.figures.advance(now_ms - LATE_MS)
        self.figures.settle()
        self._tail = list(self.figures.take())
        self._due: dict[int, dict[tuple[FigureKind, int], Any]] = {}

    def total(self, type_: type[Any], kind: FigureKind, subject: int, begin_ms: int,
              end_ms: int) -> Any:
        """A subject in a period of whole quarters."""
        return self.split(type_, kind, subject, (begin_ms, end_ms))[0]

    def split(self, type_: type[Any], kind: FigureKind, subject: int,
              edges: Sequence[int]) -> list[Any]:
        """A subject in each interval between these edges, which are quarters."""
        found = [type_() for _ in pairwise(edges)]
        anew = self._anew(kind, edges[0], edges[-1])
        for total, (begin_ms, end_ms) in zip(found, pairwise(edges), strict=True):
            for data in self._kept(kind, subject, begin_ms, end_ms, anew):
                add(total, decode(kind, data))
        for at_ms, sums in self._fresh(kind, subject, edges[0], edges[-1]):
            add(found[bisect_right(edges, at_ms) - 1], sums)
        return found

    def _kept(self, kind: FigureKind, subject: int, begin_ms: int, end_ms: int,
              anew: Collection[int], span: int = len(SPANS_MS) - 1) -> Iterator[bytes]:
        """The fewest rows that make a period, without the quarters that are counted anew: days as
        far as there are whole ones, hours before and after them and for those that are not what
        they were, and so on."""
        if begin_ms >= end_ms:
            return
        size_ms = SPANS_MS[span]
        first, last = -(-begin_ms // size_ms) * size_ms, end_ms // size_ms * size_ms
        if first >= last:
            yield from self._kept(kind, subject, begin_ms, end_ms, anew, span - 1)
            return
        untrue = {at_ms // size_ms * size_ms for at_ms in anew if first <= at_ms < last}
        for at_ms, data in self._store.figures(self.tenant, kind, subject, size_ms, first, last):
            if at_ms not in untrue:
                yield data
        if span:
            for from_ms, to_ms in ((begin_ms, first), (last, end_ms),
                                   *((at_ms, at_ms + size_ms) for at_ms in untrue)):
                yield from self._kept(kind, subject, from_ms, to_ms, anew, span - 1)

    def subjects(self, kind: FigureKind) -> list[int]:
        """Of which anything was ever counted."""
        found = set(self._store.figure_subjects(self.tenant, kind))
        if kind in KINDS:
            for sums in self._anew(kind, 0, 1 << 62).values():
                found |= {subject for of, subject in sums if of == kind}
        else:
            for _, queues, agents in self._tail:
                found |= queues.keys() if kind == "queue" else agents.keys()
        return sorted(found)

    def _fresh(self, kind: FigureKind, subject: int, begin_ms: int,
               end_ms: int) -> list[tuple[int, Any]]:
        """(quarter, sums) of what is not kept yet."""
        if kind in KINDS:
            return [(at_ms, sums[kind, subject])
                    for at_ms, sums in self._anew(kind, begin_ms, end_ms).items()
                    if (kind, subject) in sums]
        return [(at_ms, by_subject[subject]) for at_ms, queues, agents in self._tail
                if begin_ms <= at_ms < end_ms
                and subject in (by_subject := queues if kind == "queue" else agents)]

    def _anew(self, kind: FigureKind, begin_ms: int,
              end_ms: int) -> dict[int, dict[tuple[FigureKind, int], Any]]:
        """The quarters of whose calls something has become since they were counted."""
        if kind not in KINDS:
            return {}
        due = self._store.figures_due(self.tenant, begin_ms, end_ms, MAX_DUE + 1)
        if len(due) > MAX_DUE:
            raise Problem(503, "busy", "the calls are still being counted; try again")
        for _, at_ms, _ in due:
            if at_ms not in self._due:
                self._due[at_ms] = calls_of(self._store, self.tenant, at_ms)
        return {at_ms: self._due[at_ms] for _, at_ms, _ in due}
