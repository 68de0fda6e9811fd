"""Call records, recordings, explanations and replays."""

import datetime
import zoneinfo
from typing import Any

import msgspec
from sanic import Blueprint, HTTPResponse, Request
from sanic.response import file_stream

from api.calls.explanation import as_asked, explain_call, replay
from api.config.routes import respond
from api.http.context import check_tenant, flag, operator_only, parts_of, whole
from api.http.errors import Problem, invalid, no_such
from store.model import CallRecord

calls = Blueprint("calls", url_prefix="/v1")


def _visible(request: Request, uid: str) -> CallRecord:
    parts = parts_of(request)
    who = parts.who(request)
    record = parts.store.call(uid)
    if who.tenant is not None and who.tenant != record.tenant:
        raise no_such("call")
    return record


@calls.get("/tenants/<tenant:int>/calls")
async def of_tenant(request: Request, tenant: int) -> HTTPResponse:
    """A company's calls, the newest first; with legs=true those that are part of another too."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    return respond({"items": parts.store.calls(
        tenant=tenant, legs=flag(request, "legs"),
        before_ms=whole(request, "before", 1 << 62, 0, 1 << 62),
        limit=whole(request, "limit", 100, 1, 1000))})


@calls.get("/tenants/<tenant:int>/users/<user:int>/calls")
async def of_user(request: Request, tenant: int, user: int) -> HTTPResponse:
    """A user's call log: dialled, answered, missed, or answered by somebody else (U3)."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    if getattr(parts.store.get("user", user), "tenant", 0) != tenant:
        raise no_such("user")
    records = parts.store.calls(user=user, limit=whole(request, "limit", 100, 1, 1000))
    words = {"caller": "dialled", "answered": "answered", "missed": "missed",
             "rang": "answered_elsewhere"}
    return respond({"items": [
        msgspec.to_builtins(record) | {"role": words[parts.store.party_role(user, record.uid)]}
        for record in records]})


@calls.get("/calls")
async def newest(request: Request) -> HTTPResponse:
    """The newest calls of everybody, for the operator."""
    parts = parts_of(request)
    operator_only(parts.who(request))
    return respond({"items": parts.store.calls(legs=flag(request, "legs"),
                                               limit=whole(request, "limit", 100, 1, 1000))})


@calls.get("/calls/<uid:str>")
async def one(request: Request, uid: str) -> HTTPResponse:
    """A call record, with its legs."""
    record = _visible(request, uid)
    legs = [leg for leg in parts_of(request).store.legs(uid) if leg.tenant == record.tenant]
    return respond(msgspec.to_builtins(record) | {"legs": legs})


@calls.get("/calls/<uid:str>/recording")
async def recording(request: Request, uid: str) -> HTTPResponse:
    """The audio, FLAC: the caller left, the called side right."""
    _visible(request, uid)
    parts = parts_of(request)
    found = parts.store.recording(uid)
    return await file_stream(parts.state / found.path, mime_type="audio/flac",
                             filename=f"{uid}.flac")  # type: ignore[return-value]


@calls.get("/calls/<uid:str>/replay")
async def replayed(request: Request, uid: str) -> HTTPResponse:
    """Every decision of the call, made again with the revision and the live state of then."""
    record = _visible(request, uid)
    return respond(replay(parts_of(request), record))


@calls.get("/explain")
async def explained(request: Request) -> HTTPResponse:
    """What would happen to a call from `from` to `to` now, or `at` a time, line by line.

    from: a user's extension or device name, trunk:<id>, or an outside number; tenant: whose; at:
    local time 2026-03-02T15:30, or with an offset.
    """
    parts = parts_of(request)
    who = parts.who(request)
    query = {name: request.args.get(name, "") for name in ("from", "to", "at", "tenant")}
    for name in ("from", "to"):
        if not query[name]:
            raise invalid(name, "say who calls and what is called: ?from=101&to=0812345")
    tenant = who.tenant
    if query["tenant"]:
        tenant = whole(request, "tenant", 0, 1, 1 << 31)
        check_tenant(who, tenant)
        parts.store.get("tenant", tenant)
    source = as_asked(parts, query["from"], tenant)
    return respond(explain_call(parts, source, query["to"], _at(parts, query["at"], tenant)))


def _at(parts: Any, text: str, tenant: int | None) -> int:
    if not text:
        return int(parts.now_ms() // 1000)
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid("at", "a time such as 2026-03-02T15:30") from error
    if at.tzinfo is None:
        zone = "Europe/Stockholm"
        if tenant is not None:
            zone = str(getattr(parts.store.get("tenant", tenant), "time_zone", zone))
        at = at.replace(tzinfo=zoneinfo.ZoneInfo(zone))
    try:
        return int(at.timestamp())
    except (OverflowError, OSError) as error:
        raise Problem(422, "invalid", "outside all time", "at") from error
