"""Figures of queues, agents, the company, its numbers, groups and users, in any period."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec.structs import asdict
from sanic import HTTPResponse

from api.calls.sheet import table
from api.figures import reports
from api.figures.book import Book
from api.figures.counts import DEFINITIONS
from api.figures.reports import Period, period_of
from api.figures.shapes import (
    AgentReport,
    AgentsReport,
    CallReport,
    CompanyReport,
    Format,
    NamedAgent,
    NamedQueue,
    NowQuery,
    NowReport,
    PeriodQuery,
    QueueReport,
    QueuesReport,
    UserReport,
)
from api.http.errors import Problem, no_such
from api.http.route import JSON_OR_CSV, Call, route
from store.model import Queue

_T = TypeVar("_T")
_TENANT = "/v1/tenants/{tenant}"


@route("GET", f"{_TENANT}/figures/now", "figures:read", query=NowQuery, answer=NowReport,
       media=JSON_OR_CSV, errors=("busy",))
async def now(call: Call) -> Any:
    """All queues as their supervisor sees them. Who waits now, how long the last answered caller
    has waited, and the mean wait and the abandoned of the last hours."""
    queues = {id_: name for id_, (name, _) in _queues(call).items()}
    found = await _book(call, lambda book: reports.now(book, queues, call.now_ms, call.query.hours))
    return _told(call.query.format, found, found.items)


@route("GET", f"{_TENANT}/figures/queues", "figures:read", query=PeriodQuery, answer=QueuesReport,
       media=JSON_OR_CSV, errors=("busy",))
async def queues(call: Call) -> Any:
    """All queues in a period. Intervals are told of one queue at a time, and in CSV."""
    period, known = _period(call), _queues(call)

    def read(book: Book) -> list[QueueReport]:
        return [reports.of_queue(book, queue, name, within_s, period)
                for queue, (name, within_s) in sorted(known.items())]

    found = await _book(call, read)
    items = [NamedQueue(**asdict(one), name=report.name, service_level_s=report.service_level_s)
             for report in found for one in _rows(call.query.format, report)]
    return _told(call.query.format, QueuesReport(items=items, definitions=DEFINITIONS["queue"]),
                 items)


@route("GET", f"{_TENANT}/figures/agents", "figures:read", query=PeriodQuery, answer=AgentsReport,
       media=JSON_OR_CSV, errors=("busy",))
async def agents(call: Call) -> Any:
    """All agents in a period, who are members of a queue now or have been. Intervals as above."""
    period, known = _period(call), _queues(call)
    queues = {id_: name for id_, (name, _) in known.items()}
    users = dict(call.store.select("user", ("id", "name"), tenant=call.tenant))
    members = _members(call)

    def read(book: Book) -> list[AgentReport]:
        there = set(book.subjects("agent")) if call.who.queues is None else set()
        return [reports.of_agent(book, user, users[user], queues, period, call.who.queues)
                for user in sorted((there | members) & users.keys())]

    found = await _book(call, read)
    items = [NamedAgent(**asdict(one), name=report.name)
             for report in found for one in _rows(call.query.format, report)]
    return _told(call.query.format, AgentsReport(items=items, definitions={
        scope: DEFINITIONS[scope] for scope in ("agent", "member")}), items)


@route("GET", f"{_TENANT}/queues/{{queue}}/figures", "figures:read", query=PeriodQuery,
       answer=QueueReport, media=JSON_OR_CSV, errors=("busy",))
async def of_queue(call: Call) -> Any:
    """A queue's figures of a period, and of each interval of it."""
    queue = call.id("queue")
    if not isinstance(call.visible("service", queue).settings, Queue):
        raise no_such("queue")
    name, within_s = _queues(call).get(queue) or _not_there("queue")
    period = _period(call)
    return _report(call, await _book(
        call, lambda book: reports.of_queue(book, queue, name, within_s, period)))


@route("GET", f"{_TENANT}/agents/{{user}}/figures", "figures:read", own="user", query=PeriodQuery,
       answer=AgentReport, media=JSON_OR_CSV, errors=("busy",))
async def of_agent(call: Call) -> Any:
    """An agent's figures of a period, and of each interval of it."""
    user = call.id("user")
    row = call.visible("user", user)
    if call.who.queues is not None and user not in _members(call):
        raise no_such("agent")
    period = _period(call)
    queues = dict(call.store.select("service", ("id", "name"), tenant=call.tenant, kind="queue"))
    return _report(call, await _book(call, lambda book: reports.of_agent(
        book, user, row.name, queues, period, call.who.queues)))


@route("GET", f"{_TENANT}/figures", "figures:read", query=PeriodQuery, answer=CompanyReport,
       media=JSON_OR_CSV, errors=("busy",))
async def of_company(call: Call) -> Any:
    """The company's calls in a period, and in each interval of it (S1)."""
    name, period = _whole(call).name, _period(call)
    return _report(call, await _book(call, lambda book: reports.of_company(book, name, period)))


@route("GET", f"{_TENANT}/numbers/{{number}}/figures", "figures:read", query=PeriodQuery,
       answer=CallReport, media=JSON_OR_CSV, errors=("busy",))
async def of_number(call: Call) -> Any:
    """The calls to a public number in a period, and in each interval of it."""
    _whole(call)
    number, period = call.visible("number", call.id("number")), _period(call)
    return _report(call, await _book(call, lambda book: reports.of_calls(
        book, "number", number.id, number.e164, period)))


@route("GET", f"{_TENANT}/groups/{{group}}/figures", "figures:read", query=PeriodQuery,
       answer=CallReport, media=JSON_OR_CSV, errors=("busy",))
async def of_group(call: Call) -> Any:
    """The calls that came to an answer group in a period, and in each interval of it."""
    _whole(call)
    group, period = call.visible("ring_group", call.id("group")), _period(call)
    return _report(call, await _book(call, lambda book: reports.of_calls(
        book, "group", group.id, group.name, period)))


@route("GET", f"{_TENANT}/users/{{user}}/figures", "figures:read", own="user", query=PeriodQuery,
       answer=UserReport, media=JSON_OR_CSV, errors=("busy",))
async def of_user(call: Call) -> Any:
    """A user's calls in a period, and in each interval of it."""
    _whole(call)
    user, period = call.visible("user", call.id("user")), _period(call)
    return _report(call, await _book(call, lambda book: reports.of_user(
        book, user.id, user.name, period)))


# -- what they share -----------------------------------------------------------------------------

async def _book(call: Call, what: Callable[[Book], _T]) -> _T:
    """What is to be known of the company's figures as they are now."""
    found: _T = await call.parts.statistics.read(
        lambda store: what(Book(store, call.tenant, call.now_ms)))
    return found


def _period(call: Call) -> Period:
    return period_of(call.query, call.now_ms, call.store.get("tenant", call.tenant).time_zone)


def _whole(call: Call) -> Any:
    """The company, for somebody who is not there for some of its queues only; Problem 403."""
    if call.who.queues is not None:
        raise Problem(403, "forbidden", "the account has some queues only, and figures of those")
    return call.store.get("tenant", call.tenant)


def _queues(call: Call) -> dict[int, tuple[str, int]]:
    """(name, T) of the queues that the caller may see."""
    rows = call.store.find("service", tenant=call.tenant, kind="queue", limit=100_000)
    return {row.id: (row.name, row.settings.service_level_s) for row in rows
            if call.who.queues is None or row.id in call.who.queues}


def _members(call: Call) -> set[int]:
    """The users who are members of those queues."""
    return {user for user, queue in call.store.select(
        "queue_member", ("user", "service"), tenant=call.tenant)
        if call.who.queues is None or queue in call.who.queues}


def _not_there(what: str) -> Any:
    raise no_such(what)


def _rows(form: Format, report: Any) -> list[Any]:
    """What a sheet has of it: the intervals, when there are any; otherwise the whole."""
    return report.items if form == "csv" and report.items else [report.total]


def _report(call: Call, report: Any) -> Any:
    return _told(call.query.format, report, _rows(call.query.format, report))


def _told(form: Format, whole: Any, rows: list[Any]) -> Any:
    """The answer, or its rows as CSV."""
    if form == "json":
        return whole
    return HTTPResponse(
        table(msgspec.to_builtins(row, str_keys=True) for row in rows), 200,
        {"Content-Disposition": 'attachment; filename="figures.csv"'}, "text/csv; charset=utf-8")
