"""What a book says, as it is answered: a whole, and its intervals."""

import zoneinfo
from collections.abc import Callable
from itertools import islice, pairwise
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import asdict

from api.figures.book import Book
from api.figures.calls import (
    CALL_DEFINITIONS,
    CallSums,
    CompanySums,
    UserSums,
    call_figures,
)
from api.figures.counts import DEFINITIONS, AgentSums, QueueSums, queue_figures
from api.figures.intervals import edges
from api.figures.shapes import (
    MAX_DAYS,
    MAX_INTERVALS,
    NOW_DEFINITIONS,
    STEP_S,
    AgentPeriod,
    AgentReport,
    CallPeriod,
    CallReport,
    CompanyPeriod,
    CompanyReport,
    MemberShare,
    NowReport,
    PeriodQuery,
    QueueNow,
    QueuePeriod,
    QueueReport,
    UserPeriod,
    UserReport,
)
from api.http.errors import invalid
from store.figures import DAY_MS, HOUR_MS, QUARTER_MS, FigureKind

_T = TypeVar("_T")


class Period(NamedTuple):
    """What is asked for. edges: of the intervals, in order; none: only the whole."""

    begin_ms: int
    end_ms: int
    edges: tuple[int, ...] = ()


def period_of(query: PeriodQuery, now_ms: int, time_zone: str) -> Period:
    """Problem 422."""
    end_ms = -(-now_ms // QUARTER_MS) * QUARTER_MS if query.end is None else query.end
    begin_ms = max(end_ms - DAY_MS, 0) if query.begin is None else query.begin
    for name, at_ms in (("from", begin_ms), ("to", end_ms)):
        if at_ms % QUARTER_MS:
            raise invalid(name, f"Unix milliseconds of a quarter of an hour, as {QUARTER_MS} * n")
    if not 0 < end_ms - begin_ms <= MAX_DAYS * DAY_MS:
        raise invalid("from", f"before the end of the period, by at most {MAX_DAYS} days")
    if query.interval_s is not None and query.interval is not None:
        raise invalid("interval_s", "interval says it already")
    if query.interval is not None:
        zone = zoneinfo.ZoneInfo(time_zone)
        found = tuple(islice(edges(begin_ms, end_ms, query.interval, zone), MAX_INTERVALS + 2))
        if len(found) > MAX_INTERVALS + 1:
            raise invalid("interval", f"for at most {MAX_INTERVALS} of them")
        return Period(begin_ms, end_ms, found)
    if query.interval_s is None:
        return Period(begin_ms, end_ms)
    size_ms = query.interval_s * 1000
    starts = range(begin_ms, end_ms, size_ms)
    if size_ms % QUARTER_MS or size_ms > end_ms - begin_ms or len(starts) > MAX_INTERVALS:
        raise invalid("interval_s", f"a multiple of {STEP_S} within the period, for at most "
                      f"{MAX_INTERVALS} of them")
    return Period(begin_ms, end_ms, (*starts, end_ms))


def _both(book: Book, kind: FigureKind, subject: int, type_: type[Struct], period: Period,
          shown: Callable[[Any, int, int], _T]) -> tuple[_T, list[_T]]:
    """The whole, and its intervals."""
    total = book.total(type_, kind, subject, period.begin_ms, period.end_ms)
    items = []
    if period.edges:
        parts = book.split(type_, kind, subject, period.edges)
        items = [shown(sums, *bounds)
                 for sums, bounds in zip(parts, pairwise(period.edges), strict=True)]
    return shown(total, period.begin_ms, period.end_ms), items


def of_queue(book: Book, queue: int, name: str, within_s: int, period: Period) -> QueueReport:
    """A queue."""
    def shown(sums: QueueSums, begin_ms: int, end_ms: int) -> QueuePeriod:
        return QueuePeriod(**asdict(queue_figures(queue, sums, within_s)), from_ms=begin_ms,
                           to_ms=end_ms)

    total, items = _both(book, "queue", queue, QueueSums, period, shown)
    return QueueReport(name=name, service_level_s=within_s, total=total, items=items,
                       definitions=DEFINITIONS["queue"])


def of_agent(book: Book, agent: int, name: str, queues: dict[int, str], period: Period,
             only: tuple[int, ...] | None = None) -> AgentReport:
    """An agent. queues: the company's, with their names; only: those that may be told of."""
    def shown(sums: AgentSums, begin_ms: int, end_ms: int) -> AgentPeriod:
        shares = [MemberShare(queue=queue, name=queues.get(queue, ""), **asdict(share))
                  for queue, share in sorted(sums.queues.items()) if only is None or queue in only]
        return AgentPeriod(**asdict(sums) | {"queues": shares}, agent=agent, from_ms=begin_ms,
                           to_ms=end_ms)

    total, items = _both(book, "agent", agent, AgentSums, period, shown)
    return AgentReport(
        name=name, from_ms=period.begin_ms, to_ms=period.end_ms, total=total, items=items,
        definitions={scope: DEFINITIONS[scope] for scope in ("agent", "member")})


def of_calls(book: Book, kind: FigureKind, subject: int, name: str, period: Period) -> CallReport:
    """A number or a group."""
    def shown(sums: CallSums, begin_ms: int, end_ms: int) -> CallPeriod:
        return CallPeriod(**asdict(call_figures(sums)), from_ms=begin_ms, to_ms=end_ms)

    total, items = _both(book, kind, subject, CallSums, period, shown)
    return CallReport(name=name, total=total, items=items, definitions=CALL_DEFINITIONS["calls"])


def of_company(book: Book, name: str, period: Period) -> CompanyReport:
    """The company."""
    def shown(sums: CompanySums, begin_ms: int, end_ms: int) -> CompanyPeriod:
        return CompanyPeriod(
            directions={direction: call_figures(one)
                        for direction, one in sorted(sums.directions.items())},
            from_ms=begin_ms, to_ms=end_ms)

    total, items = _both(book, "company", 0, CompanySums, period, shown)
    return CompanyReport(name=name, total=total, items=items, definitions={
        scope: CALL_DEFINITIONS[scope] for scope in ("company", "calls")})


def of_user(book: Book, user: int, name: str, period: Period) -> UserReport:
    """A user's calls."""
    def shown(sums: UserSums, begin_ms: int, end_ms: int) -> UserPeriod:
        return UserPeriod(
            received=call_figures(sums.received), elsewhere=sums.elsewhere,
            dialled=call_figures(sums.dialled),
            internal_received=call_figures(sums.internal_received),
            internal_dialled=call_figures(sums.internal_dialled), from_ms=begin_ms, to_ms=end_ms)

    total, items = _both(book, "user", user, UserSums, period, shown)
    return UserReport(name=name, total=total, items=items, definitions={
        scope: CALL_DEFINITIONS[scope] for scope in ("user", "calls")})


def now(book: Book, queues: dict[int, str], now_ms: int, hours: int) -> NowReport:
    """All these queues, with their names."""
    end_ms = -(-now_ms // QUARTER_MS) * QUARTER_MS
    begin_ms = end_ms - hours * HOUR_MS
    waiting = book.figures.waiting()
    items = []
    for queue, name in sorted(queues.items()):
        sums = book.total(QueueSums, "queue", queue, begin_ms, end_ms)
        since = waiting.get(queue, [])
        last = book.figures.last_answered(queue)
        items.append(QueueNow(
            queue=queue, name=name, waiting=len(since),
            longest_wait_ms=max(now_ms - min(since, default=now_ms), 0),
            last_wait_ms=last[1] if last and last[0] >= begin_ms else None,
            wait_mean_ms=sums.wait_sum_ms / sums.answered if sums.answered else None,
            offered=sums.entered + sum(sums.refused.values()), answered=sums.answered,
            abandoned=sums.abandoned))
    return NowReport(from_ms=begin_ms, to_ms=end_ms, items=items, definitions=NOW_DEFINITIONS)
