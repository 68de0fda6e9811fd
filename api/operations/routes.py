"""Health, metrics, and what the operator sees of the trunks."""

import asyncio
from typing import Any

import msgspec

from api.http import rights
from api.http.errors import Problem
from api.http.route import Call, route
from api.http.who import bearer
from api.keeping.edge_rpc import EdgeRpcError
from api.operations.checks import ANSWER_S
from api.operations.office import Operations
from api.operations.scrape import CONTENT_TYPE, scrape
from api.operations.shapes import (
    Alive,
    HealthShown,
    Ready,
    TrunkShown,
    TrunksShown,
    TrunksWanted,
)

#: uac's flag of a registration that the carrier has accepted.
ONLINE = 4


def operations_of(call: Call) -> Operations:
    """Health and metrics of this process."""
    found: Operations = call.request.app.ctx.operations
    return found


@route("GET", "/v1/health", "public", answer=HealthShown)
async def health(call: Call) -> HealthShown:
    """How the exchange does. Every part that it needs, with what is wrong and since when. Asked for
    more often than once a second, it answers what it found before. Whether to send requests here
    is for /ready to say. Figures and reasons are for the operator: who else asks, with a key or
    without, sees the states."""
    found = await operations_of(call).health.shown()
    if _operator_asks(call):
        return found
    return msgspec.structs.replace(found, dependencies=[
        msgspec.structs.replace(one, facts={}, problem="") for one in found.dependencies])


def _operator_asks(call: Call) -> bool:
    """Of a route that anybody may ask."""
    token = bearer(call.request)
    if token is None:
        return False
    try:
        who, _ = call.parts.identities.of(token, call.now_ms / 1000)
    except Problem:
        return False
    return who.tenant is None and who.grants.get("operations:read") == rights.ALL


@route("GET", "/v1/health/live", "public", answer=Alive)
async def live(_call: Call) -> Alive:
    """Whether the API process answers. It looks at nothing else: start it again when it does
    not answer."""
    return Alive()


@route("GET", "/v1/health/ready", "public", answer=Ready)
async def ready(call: Call) -> Ready:
    """Whether requests should be sent here. 503 when the store or what is compiled from it cannot
    be used."""
    found = await operations_of(call).health.ready()
    if not found.ready:
        raise Problem(503, "busy", "; ".join(found.problems))
    return found


@route("GET", "/metrics", "operations:read", own="operator", answer=bytes, media=CONTENT_TYPE,
       name="metrics")
async def metrics(call: Call) -> bytes:
    """Metrics for Prometheus. Of all processes in one answer, as OpenMetrics text; docs name every
    one. With the setting metrics_port, also without a key at that port on loopback."""
    return await scrape(operations_of(call).health)


@route("GET", "/v1/operations/trunks", "operations:read", own="operator", query=TrunksWanted,
       answer=TrunksShown)
async def trunks(call: Call) -> TrunksShown:
    """The trunks as they are now. Whether each is in use, and registered where it has to be."""
    query: TrunksWanted = call.query
    around = operations_of(call).health.around
    rows: list[Any] = call.store.find("trunk", after=query.after, limit=query.limit + 1)
    registered = await _registered(call)
    items = [
        TrunkShown(
            id=row.id, name=row.name, tenant=row.tenant, host=row.host, port=row.port,
            state="disabled" if not row.enabled else
            "down" if around.live.trunk_down_until(row.id) * 1000 > call.now_ms else "up",
            down_until=around.live.trunk_down_until(row.id), probed=row.ping,
            registered=None if registered is None or row.kind != "registration"
            else f"trunk{row.id}" in registered)
        for row in rows[:query.limit]]
    return TrunksShown(items=items, next=items[-1].id if len(rows) > query.limit else None)


async def _registered(call: Call) -> set[str] | None:
    """Of our registrations at carriers, those that are accepted; None when the edge is silent."""
    try:
        async with asyncio.timeout(ANSWER_S):
            found = await operations_of(call).health.around.edge.call("uac.reg_dump")
    except (EdgeRpcError, TimeoutError):
        return None
    entries = [found] if isinstance(found, dict) else found or []
    return {str(one.get("l_uuid")) for one in entries if int(one.get("flags", 0)) & ONLINE}
