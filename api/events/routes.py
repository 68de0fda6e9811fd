"""What happens, in order, for whoever waits for it (long poll)."""

import asyncio

from sanic import Blueprint, HTTPResponse, Request

from api.config.routes import respond
from api.http.context import check_tenant, parts_of, whole

events = Blueprint("events", url_prefix="/v1/tenants/<tenant:int>")

MAX_WAIT_S = 25


@events.get("/events")
async def after(request: Request, tenant: int) -> HTTPResponse:
    """Events after a seq, the oldest first; with wait_s, waits for the first of them."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    parts.store.get("tenant", tenant)
    seen = whole(request, "after", 0, 0, 1 << 62)
    limit = whole(request, "limit", 100, 1, 1000)
    wait_s = whole(request, "wait_s", 0, 0, MAX_WAIT_S)
    until = asyncio.get_running_loop().time() + wait_s
    newest = parts.events.newer
    known = await newest(0, 0)
    while True:
        found = parts.store.events(tenant, after=seen, limit=limit)
        left_s = until - asyncio.get_running_loop().time()
        if found or left_s <= 0:
            return respond({"items": found, "next": found[-1].seq if found else seen})
        known = await newest(known, left_s)
