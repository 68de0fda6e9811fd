"""What happens, in order, for whoever waits for it: by long poll, or over a WebSocket."""

import asyncio
import secrets
from typing import Any, Final

import structlog
from sanic import Request, Sanic, Websocket

from api.events.shapes import EventList, Events, Ticket
from api.events.stream import Follower
from api.http.errors import Problem, invalid
from api.http.parts import Parts
from api.http.route import Call, route
from api.http.who import Owner
from api.operations import metrics

log = structlog.get_logger()

#: A ticket is used at once, by the page that asked for it.
TICKET_MS: Final = 30_000
MAX_TICKETS: Final = 10_000
#: WebSockets at once, of one company and in all.
MAX_FOLLOWERS, MAX_OF_TENANT = 2000, 500
NO_OWNER: Final = Owner("")


@route("GET", "/v1/tenants/{tenant}/events", "events:read", query=EventList, answer=Events)
async def after(call: Call) -> Events:
    """Events after a seq, the oldest first. With wait_s it waits for the first of them."""
    query: EventList = call.query
    kinds = set(filter(None, query.kind.split(",")))
    loop = asyncio.get_running_loop()
    until = loop.time() + query.wait_s
    newest = call.parts.events.newer
    known, seen = await newest(0, 0), query.after
    while True:
        found = call.store.events(call.tenant, after=seen, limit=query.limit)
        wanted = [event for event in found if not kinds or event.kind in kinds]
        seen = found[-1].seq if found else seen
        left_s = until - loop.time()
        if wanted or (left_s <= 0 and len(found) < query.limit):
            return Events(wanted, seen)
        if len(found) < query.limit:
            known = await newest(known, left_s)


class Tickets:
    """Who may open a WebSocket: a browser cannot send a key with it."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[int, Owner, int]] = {}

    def give(self, tenant: int, owner: Owner, now_ms: int) -> tuple[str, int]:
        """A ticket, and when it ends."""
        for ticket in [one for one, (_, _, until) in self._given.items() if until <= now_ms]:
            del self._given[ticket]
        if len(self._given) >= MAX_TICKETS:
            raise Problem(503, "busy", "too many tickets wait to be used")
        ticket = secrets.token_urlsafe(32)
        self._given[ticket] = tenant, owner, now_ms + TICKET_MS
        return ticket, now_ms + TICKET_MS

    def take(self, ticket: str, now_ms: int) -> tuple[int, Owner]:
        """The company whose events it is for, once, and who has got it; 0: none."""
        tenant, owner, until = self._given.pop(ticket, (0, NO_OWNER, 0))
        return (tenant, owner) if until > now_ms else (0, NO_OWNER)


@route("POST", "/v1/tenants/{tenant}/events/tickets", "events:read", answer=Ticket, status=201)
async def ticket(call: Call) -> Ticket:
    """Get a ticket for a WebSocket. It lets one in, once, within 30 s."""
    made, until_ms = call.request.app.ctx.tickets.give(
        call.tenant, Owner(call.who.by, call.who.session), call.now_ms)
    return Ticket(ticket=made, url=f"/v1/events/stream?ticket={made}", until_ms=until_ms)


def attach(app: Sanic[Any, Any]) -> None:
    """The WebSocket, which is no route: it has an upgrade instead of an answer."""
    app.ctx.tickets, app.ctx.followers = Tickets(), {}
    app.add_websocket_route(_stream, "/v1/events/stream", name="events_stream")


async def _stream(request: Request, ws: Websocket) -> None:
    """The snapshot, then what changes; see stream.py. Closed with 4401 without a ticket, and when
    whoever got it may follow no longer; 4422 when the parameters are wrong, 1013 when too many
    follow."""
    parts: Parts = request.app.ctx.parts
    followers: dict[int, int] = request.app.ctx.followers
    tickets: Tickets = request.app.ctx.tickets
    tenant, owner = tickets.take(request.args.get("ticket", ""), parts.now_ms())

    def allowed() -> bool:
        return owner.may(parts.store, "events:read", tenant, parts.now_ms())

    if not tenant or not allowed():
        await ws.close(4401, "no such ticket, or it was used")
        return
    try:
        seen = _after(request)
    except Problem as problem:
        await ws.close(4422, problem.detail)
        return
    if sum(followers.values()) >= MAX_FOLLOWERS or followers.get(tenant, 0) >= MAX_OF_TENANT:
        await ws.close(1013, "too many follow: come back later")
        return
    followers[tenant] = followers.get(tenant, 0) + 1
    metrics.stream(1)
    try:
        await Follower(parts, request.app.ctx.lamps, tenant, ws, allowed).run(seen)
    finally:
        metrics.stream(-1)
        followers[tenant] -= 1
        if not followers[tenant]:
            del followers[tenant]


def _after(request: Request) -> int | None:
    """The seq to go on from; None: from a snapshot."""
    text = request.args.get("after")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise invalid("after", "the seq of an event")
    return int(text)
