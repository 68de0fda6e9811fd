"""Presence, log-ins and line states: what is so now (P1, P4, Q1)."""

from typing import Any

import msgspec

from api.http.errors import Problem, invalid
from api.http.parts import Parts
from api.http.route import Call, route
from api.lines.shapes import (
    Line,
    LoginBody,
    LoginShown,
    PresenceBody,
    PresenceSet,
    PresenceShown,
)
from routing_core.codes import LineState
from store.model import Activity, Presence


class Lines(msgspec.Struct, frozen=True):
    """Everybody."""

    items: list[Line]


@route("PUT", "/v1/tenants/{tenant}/users/{user}/presence", "presence:write", own="user",
       body=PresenceBody, answer=PresenceSet)
async def set_presence(call: Call) -> PresenceSet:
    """Say what a user does from now on. It acts at once."""
    body: PresenceBody = call.body
    user = call.id("user")
    call.visible("user", user)
    if body.activity is not None \
            and not call.store.find("activity", limit=1, id=body.activity, tenant=call.tenant):
        raise invalid("activity", f"there is no activity {body.activity}")
    if body.source != "api" and call.who.tenant is not None:
        raise Problem(403, "forbidden", "only the exchange itself says so", "source")
    presence = Presence(user=user, activity=body.activity, until=body.until, note=body.note,
                        source=body.source, changed_ms=call.now_ms)
    answer = PresenceSet(**msgspec.structs.asdict(presence))
    await call.parts.publisher.set_presence(call.tenant, presence)
    return answer


@route("GET", "/v1/tenants/{tenant}/users/{user}/presence", "presence:read",
       answer=PresenceShown)
async def get_presence(call: Call) -> PresenceShown:
    """Read what a user does. It is as set, while that is in force, with the line state."""
    user = call.visible("user", call.id("user"))
    return PresenceShown(**state(call.parts, user.id, call.now_ms // 1000))


@route("GET", "/v1/tenants/{tenant}/lines", "lines:read", answer=Lines)
async def lines(call: Call) -> Lines:
    """Every colleague's line state and presence."""
    return everybody(call.parts, call.tenant, call.now_ms // 1000)


def everybody(parts: Parts, tenant: int, now_s: int) -> Lines:
    """A company's lines."""
    users = parts.store.select("user", ("id", "name", "extension"), tenant=tenant)
    return Lines([Line(user_name=name, extension=extension, **state(parts, user, now_s))
                  for user, name, extension in list(users)])


def state(parts: Parts, user: int, now_s: int) -> dict[str, Any]:
    """The fields of PresenceShown."""
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


@route("PUT", "/v1/tenants/{tenant}/members/{member}/login", "agents:write", own="rows",
       body=LoginBody, answer=LoginShown)
async def set_login(call: Call) -> LoginShown:
    """Log a member of a group in or out."""
    body: LoginBody = call.body
    row = call.visible("member", call.id("member"))
    call.only_own(row.user)
    answer = LoginShown(member=row.id, logged_in=body.logged_in)
    await call.parts.publisher.set_login(call.tenant, row.id, body.logged_in, call.now_ms)
    return answer
