"""Why a call that might be goes where it goes, and why one that was did (beyond 1 and 3)."""

import datetime
import zoneinfo
from typing import Any

from api.calls.explanation import as_asked, explain_call, replay
from api.explain.shapes import Explanation, Question, Replay
from api.http.errors import invalid, no_such
from api.http.route import Call, route


@route("GET", "/v1/explain", "explain:read", query=Question, answer=Explanation,
       errors=("not_found",))
async def explained(call: Call) -> Any:
    """What would happen to a call now, or at a time, line by line.

    Its parameter `from` is a user's extension or device name, trunk:<id>, or an outside number;
    `at` a local time of the company, or one with an offset.
    """
    query: Question = call.query
    for name, value in (("from", query.caller), ("to", query.to)):
        if not value:
            raise invalid(name, "say who calls and what is called: ?from=101&to=0812345")
    tenant = call.who.tenant
    if query.tenant is not None:
        if tenant not in (None, query.tenant) or not call.parts.has_tenant(query.tenant):
            raise no_such("tenant")
        tenant = query.tenant
    source = as_asked(call.parts, query.caller, tenant)
    return explain_call(call.parts, source, query.to, _at(call, query.at, tenant))


@route("GET", "/v1/calls/{uid:str}/replay", "explain:read", answer=Replay)
async def replayed(call: Call) -> Any:
    """Make every decision of a call again, with the revision and the live state of then."""
    record = call.store.call(call.text("uid"))
    if call.who.tenant not in (None, record.tenant):
        raise no_such("call")
    return replay(call.parts, record)


def _at(call: Call, text: str, tenant: int | None) -> int:
    if not text:
        return call.now_ms // 1000
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid("at", "a time such as 2026-03-02T15:30") from error
    if at.tzinfo is None:
        zone = "Europe/Stockholm"
        if tenant is not None:
            zone = str(getattr(call.store.get("tenant", tenant), "time_zone", zone))
        at = at.replace(tzinfo=zoneinfo.ZoneInfo(zone))
    try:
        unix = int(at.timestamp())
    except (OverflowError, OSError) as error:
        raise invalid("at", "outside all time") from error
    if not 0 <= unix < 1 << 32:
        raise invalid("at", "outside all time")
    return unix
