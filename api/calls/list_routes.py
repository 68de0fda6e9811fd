"""Lists of calls (S5, U3)."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from msgspec import Meta, Struct
from sanic.response import ResponseStream

from api.calls import lists
from api.calls.shapes import CallList, CallLog, CallShown, CallsQuery, LoggedCall, LogQuery
from api.calls.sheet import lines
from api.http.errors import Problem
from api.http.route import JSON_OR_CSV, Call, route
from store import SqliteStore
from store.calls import Cursor
from store.model import CallRecord

#: Calls of a sheet are read so many at a time.
SHEET_PAGE = 500


class NewestQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """legs: those that are a part of another, too."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    legs: bool = False


class NewestCalls(Struct, frozen=True):
    """The newest first; there is no further page."""

    items: list[CallRecord]
    next: None


@route("GET", "/v1/tenants/{tenant}/calls", "records:read", own="rows", query=CallsQuery,
       answer=CallList, media=JSON_OR_CSV)
async def of_tenant(call: Call) -> Any:
    """A company's calls, the newest first. A person may see the own ones, a supervisor of some
    queues those that came to them. Numbers that persons dialled are shown without their last four
    digits to everybody else; format=csv has all pages."""
    query: CallsQuery = call.query
    if call.own is not None and query.user not in (None, call.own):
        raise Problem(403, "forbidden", "this needs records:read for other people's calls", "user")
    wanted = lists.wanted_of(query, call.who.user, call.who.queues)
    if call.own is not None:
        wanted = lists.only(wanted, call.own)

    def page(store: SqliteStore, after: Cursor | None, limit: int) -> CallList:
        return lists.page(store, call.tenant, wanted, after, limit)

    return await _told(call, CallShown, page)


@route("GET", "/v1/tenants/{tenant}/users/{user}/calls", "records:read", own="user",
       query=LogQuery, answer=CallLog, media=JSON_OR_CSV)
async def of_user(call: Call) -> Any:
    """A user's call log over all telephones, the newest first: dialled, answered, missed, or
    answered by somebody else. A queue's call is in the log of the agent who answered it."""
    user = call.visible("user", call.id("user")).id
    wanted = lists.log_of(call.query, user, call.who.user, call.who.queues)

    def page(store: SqliteStore, after: Cursor | None, limit: int) -> CallLog:
        return lists.log_page(store, call.tenant, user, wanted, after, limit)

    return await _told(call, LoggedCall, page)


@route("GET", "/v1/calls", "records:read", own="operator", query=NewestQuery, answer=NewestCalls)
async def newest(call: Call) -> NewestCalls:
    """The newest calls of everybody, for the operator."""
    query: NewestQuery = call.query
    return NewestCalls([lists.for_viewer(record, None) for record in call.store.calls(
        legs=query.legs, limit=query.limit)], None)


async def _told(call: Call, row: type[CallShown],
                page: Callable[..., CallList | CallLog]) -> Any:
    """A page, or all of them as CSV."""
    query, read = call.query, call.parts.lists.read
    after = lists.cursor_of(query.after)
    if query.format == "json":
        return await read(lambda store: page(store, after, query.limit))

    async def stream(response: Any) -> None:
        await response.write(lines([row.__struct_fields__]))
        at, more = after, True
        while more:
            found = await read(partial(page, after=at, limit=SHEET_PAGE))
            await response.write(lines(map(lists.row_of, found.items)))
            at, more = lists.cursor_of(found.next), found.next is not None

    return ResponseStream(stream, 200, {"Content-Disposition": 'attachment; filename="calls.csv"'},
                          "text/csv; charset=utf-8")
