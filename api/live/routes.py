"""Calls in progress, and what can be done with them (C1 to C9, R1): asked of call control.

Call control runs in several processes; a call is in one of them. Each is asked over the bus.
"""

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sanic import Blueprint, HTTPResponse, Request

from api.config.checks import visible
from api.config.routes import decode, respond
from api.http.context import check_tenant, parts_of
from api.http.errors import Problem, invalid, no_such
from routing_core.codes import SlotState
from store import bus
from store.model import Id, Target

control = Blueprint("control", url_prefix="/v1/tenants/<tenant:int>/calls/live")

#: What may be asked of a call; docs/api.md says what each does.
COMMANDS = frozenset({
    "transfer", "consult", "swap", "join", "complete", "park", "camp", "move", "back", "hang_up",
    "record_start", "record_pause", "record_resume", "record_stop", "play",
})
WITH_TARGET = frozenset({"transfer", "consult"})


class CallBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Click to call (C9): the user's telephones ring first, then the target is called."""

    user: Id
    device: Id | None = None
    target: Target | None = None
    dial: Annotated[str, Meta(max_length=32, pattern=r"^[0-9+*#]+\Z")] | None = None


class CommandBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which side does it (a user, or a side's name), and to whom."""

    user: Id | None = None
    side: Annotated[str, Meta(max_length=16)] | None = None
    target: Target | None = None
    dial: Annotated[str, Meta(max_length=32, pattern=r"^[0-9+*#]+\Z")] | None = None
    prompt: Id | None = None


async def _ask_all(request: Request, question: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers of the processes that answer."""
    parts = parts_of(request)

    async def one(index: int) -> dict[str, Any] | None:
        try:
            return await bus.ask(parts.state, f"control.{index}", question)
        except bus.NobodyThere:
            return None

    return [answer for answer in await asyncio.gather(
        *(one(index) for index in range(parts.control_processes))) if answer is not None]


@control.get("/")
async def live_calls(request: Request, tenant: int) -> HTTPResponse:
    """Every call in progress. `control` is true for those that commands can be given to."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    held = {call["uid"]: call | {"control": True}
            for answer in await _ask_all(request, {"do": "calls", "tenant": tenant})
            for call in answer.get("calls", [])}
    live = parts.publisher.live
    for slot, nonce in live.calls(SlotState.SETUP, SlotState.ANSWERED):
        call = live.call(slot, nonce)
        if not call or call["tenant"] != tenant:
            continue
        setup = msgspec.json.decode(call["setup"] or b"{}")
        if setup.get("conversation") or setup.get("uid") in held or "control" in setup:
            continue
        held[setup.get("uid", "")] = {
            "uid": setup.get("uid", ""), "control": False, "recording": "off",
            "state": "talking" if call["state"] == SlotState.ANSWERED else "ringing",
            "began": call["started_ms"] // 1000,
            "sides": [{"side": "caller", "user": call["caller"],
                       "number": setup.get("caller", ""), "up": True, "holding": False},
                      *({"side": "called", "user": user, "number": setup.get("called", ""),
                         "up": call["answerer"] == user, "holding": False}
                        for user in ([call["answerer"]] if call["answerer"] else call["ringing"]))],
        }
    return respond({"items": sorted(held.values(), key=lambda call: call["uid"])})


@control.post("/")
async def originate(request: Request, tenant: int) -> HTTPResponse:
    """Call a user's telephones, and when one answers, the target."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    body: CallBody = decode(request.body, CallBody)
    visible(parts.store.get("user", body.user), tenant)
    first = f"phones:{body.user}"
    if body.device is not None:
        device: Any = visible(parts.store.get("device", body.device), tenant)
        if device.user != body.user:
            raise invalid("device", "it is another user's")
        first = f"device:{body.device}"
    second = _order(request, tenant, body.target, body.dial)
    question = {"do": "originate", "tenant": tenant, "first": first, "second": second,
                "user": body.user}
    for index in parts.control_order(tenant):
        try:
            answer = await bus.ask(parts.state, f"control.{index}", question)
        except bus.NobodyThere:
            continue
        return respond(answer, 201, {"Location": f"/v1/tenants/{tenant}/calls/live"})
    raise Problem(503, "no_call_control", "no call control answers; try again")


@control.post("/<uid:str>/<command:str>")
async def command(request: Request, tenant: int, uid: str, command: str) -> HTTPResponse:
    """Do something with a call that call control holds."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    if command not in COMMANDS:
        raise Problem(404, "unknown_command", f"there is no command {command[:40]!r}")
    body: CommandBody = decode(request.body or b"{}", CommandBody)
    arguments: dict[str, Any] = {
        name: value for name, value in (("user", body.user), ("side", body.side)) if value}
    if command in WITH_TARGET:
        arguments["target"] = _order(request, tenant, body.target, body.dial)
    elif command == "camp":
        if body.dial is None:
            raise invalid("dial", "the extension of the person to wait for")
        arguments["target"] = body.dial
    elif command == "play":
        if body.prompt is None:
            raise invalid("prompt", "the prompt to play")
        visible(parts.store.get("prompt", body.prompt), tenant)
        arguments["prompt"] = body.prompt
    answers = await _ask_all(request, {"do": "command", "tenant": tenant, "uid": uid,
                                       "name": command, "arguments": arguments})
    done = [answer for answer in answers if answer.get("code") != 404]
    if not done:
        raise no_such("call")
    if "error" in done[0]:
        raise Problem(done[0].get("code", 409), "not_now", str(done[0]["error"]))
    return respond(done[0])


def _order(request: Request, tenant: int, target: Target | None, dial: str | None) -> str:
    """As call control takes it; Problem when it is not this tenant's."""
    store = parts_of(request).store
    if dial is not None and target is None:
        return f"dial:{dial}"
    if target is None or dial is not None:
        raise invalid("target", "either a target or what to dial")
    for table, id_ in (("user", target.user), ("ring_group", target.group),
                       ("service", target.service)):
        if id_ is not None:
            visible(store.get(table, id_), tenant)
            return f"{target.kind}:{id_}"
    if target.kind == "number" and target.text:
        return f"number:{target.text}"
    raise invalid("target", "a user, a group, a service or a number")
