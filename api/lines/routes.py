"""Presence, log-ins and line states: what is so now (P1, P4, Q1)."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sanic import Blueprint, HTTPResponse, Request

from api.config.checks import visible
from api.config.routes import decode, respond
from api.http.context import check_tenant, parts_of
from api.http.errors import invalid
from routing_core.codes import LineState
from store.model import Activity, Presence

live = Blueprint("live", url_prefix="/v1/tenants/<tenant:int>")


class PresenceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """activity None: available. until: Unix seconds, 0: without an end."""

    activity: Annotated[int, Meta(ge=1, lt=1 << 62)] | None
    until: Annotated[int, Meta(ge=0, lt=1 << 32)] = 0
    note: Annotated[str, Meta(max_length=200)] = ""


class LoginBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the member is logged in."""

    logged_in: bool


@live.put("/users/<user:int>/presence")
async def set_presence(request: Request, tenant: int, user: int) -> HTTPResponse:
    """What the user does from now on; acts at once."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    body: PresenceBody = decode(request.body, PresenceBody)
    visible(parts.store.get("user", user), tenant)
    if body.activity is not None:
        found = parts.store.find("activity", limit=1, id=body.activity, tenant=tenant)
        if not found:
            raise invalid("activity", f"there is no activity {body.activity}")
    presence = Presence(user=user, activity=body.activity, until=body.until, note=body.note,
                        changed_ms=parts.now_ms())
    parts.publisher.set_presence(presence)
    return respond(presence)


@live.get("/users/<user:int>/presence")
async def get_presence(request: Request, tenant: int, user: int) -> HTTPResponse:
    """As set, with whether it is in force, and the line state."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    visible(parts.store.get("user", user), tenant)
    return respond(_state(request, user))


@live.get("/lines")
async def lines(request: Request, tenant: int) -> HTTPResponse:
    """Every colleague's line state and presence."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    found: list[Any] = parts.store.find("user", tenant=tenant, limit=10_000)
    return respond({"items": [
        {"name": user.name, "extension": user.extension} | _state(request, user.id)
        for user in found]})


def _state(request: Request, user: int) -> dict[str, Any]:
    parts = parts_of(request)
    now_s = parts.now_ms() // 1000
    presence = parts.store.presence(user) or Presence(user=user, activity=None)
    name, reachable = "available", True
    ended = False
    if presence.activity is not None:
        activity = parts.store.get("activity", presence.activity)
        if isinstance(activity, Activity):
            tenant: Any = parts.store.get("tenant", activity.tenant)
            ended = bool(presence.until) and presence.until <= now_s \
                and tenant.activity_end == "available"
            if not ended:
                name, reachable = activity.name, activity.reachable
    return {
        "user": user, "activity": None if ended else presence.activity, "name": name,
        "reachable": reachable, "until": 0 if ended else presence.until,
        "note": "" if ended else presence.note, "source": presence.source,
        "line": LineState(parts.publisher.live.line_state(user, now_s)).name.lower(),
    }


@live.put("/members/<member:int>/login")
async def set_login(request: Request, tenant: int, member: int) -> HTTPResponse:
    """Log a member of a group in or out."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    body: LoginBody = decode(request.body, LoginBody)
    visible(parts.store.get("member", member), tenant)
    parts.publisher.set_login(member, body.logged_in, parts.now_ms())
    return respond({"member": member, "logged_in": body.logged_in})
