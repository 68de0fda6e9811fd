"""Calls in progress, and what can be done with them (C1 to C9, R1): asked of call control.

Call control runs in several processes; a call is in one of them. Each is asked over the bus.
"""

import asyncio
from typing import Any, Final, get_args

import msgspec

from api.http.errors import Problem, invalid, no_such
from api.http.parts import Parts
from api.http.route import Call, Reply, route
from api.live.shapes import CallBody, Command, CommandBody, Done, LiveCalls, Originated
from routing_core.codes import SlotState
from store import bus
from store.model import Target

#: What may be asked of a call; docs/api.md says what each does.
COMMANDS: Final = frozenset(get_args(Command))
WITH_TARGET: Final = frozenset({"transfer", "consult"})


async def _ask_all(parts: Parts, question: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers of the processes that answer."""
    async def one(index: int) -> dict[str, Any] | None:
        try:
            return await bus.ask(parts.state, f"control.{index}", question)
        except bus.NobodyThere:
            return None

    return [answer for answer in await asyncio.gather(
        *(one(index) for index in range(parts.control_processes))) if answer is not None]


@route("GET", "/v1/tenants/{tenant}/calls/live", "calls:read", own="rows", answer=LiveCalls)
async def live_calls(call: Call) -> Any:
    """Every call in progress. `control` is true for those that commands can be given to."""
    found = await in_progress(call.parts, call.tenant)
    return {"items": [one for one in found if call.own is None or _has(one, call.own)]}


def _has(call: dict[str, Any], user: int) -> bool:
    return any(side["user"] == user for side in call["sides"])


async def in_progress(parts: Parts, tenant: int) -> list[dict[str, Any]]:
    """A company's calls."""
    held = {call["uid"]: call | {"control": True}
            for answer in await _ask_all(parts, {"do": "calls", "tenant": tenant})
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
    return sorted(held.values(), key=lambda call: str(call["uid"]))


@route("POST", "/v1/tenants/{tenant}/calls/live", "calls:write", own="rows", body=CallBody,
       answer=Originated, status=201, acts=True, errors=("no_call_control",))
async def originate(call: Call) -> Any:
    """Call a user's telephones, and when one answers, the target (C9)."""
    body: CallBody = call.body
    call.only_own(body.user)
    call.visible("user", body.user)
    first = f"phones:{body.user}"
    if body.device is not None:
        if call.visible("device", body.device).user != body.user:
            raise invalid("device", "it is another user's")
        first = f"device:{body.device}"
    question = {"do": "originate", "tenant": call.tenant, "first": first, "user": body.user,
                "second": _order(call, body.target, body.dial)}
    for index in call.parts.control_order(call.tenant):
        try:
            answer = await bus.ask(call.parts.state, f"control.{index}", question)
        except bus.NobodyThere:
            continue
        if "error" in answer:
            raise Problem(503, "busy", str(answer["error"]))
        return Reply(answer, 201, {"Location": f"/v1/tenants/{call.tenant}/calls/live"})
    raise Problem(503, "no_call_control", "no call control answers; try again")


@route("POST", "/v1/tenants/{tenant}/calls/live/{uid:str}/{command:str}", "calls:write",
       own="rows", body=CommandBody, answer=Done, acts=True,
       errors=("unknown_command", "not_now"))
async def command(call: Call) -> Any:
    """Do something with a call that call control holds."""
    parts, tenant, uid, name = call.parts, call.tenant, call.text("uid"), call.text("command")
    if name not in COMMANDS:
        raise Problem(404, "unknown_command", f"there is no command {name[:40]!r}")
    body: CommandBody = call.body
    if call.own is not None:
        call.only_own(body.user)
        if not any(one["uid"] == uid and _has(one, call.own)
                   for one in await in_progress(parts, tenant)):
            raise no_such("call")
    arguments: dict[str, Any] = {
        name: value for name, value in (("user", body.user), ("side", body.side)) if value}
    if name in WITH_TARGET:
        arguments["target"] = _order(call, body.target, body.dial)
    elif name == "camp":
        if body.dial is None:
            raise invalid("dial", "the extension of the person to wait for")
        arguments["target"] = body.dial
    elif name == "play":
        if body.prompt is None:
            raise invalid("prompt", "the prompt to play")
        call.visible("prompt", body.prompt)
        arguments["prompt"] = body.prompt
    answers = await _ask_all(parts, {"do": "command", "tenant": tenant, "uid": uid,
                                     "name": name, "arguments": arguments})
    done = [answer for answer in answers if answer.get("code") != 404]
    if not done:
        raise no_such("call")
    if "error" in done[0]:
        status = done[0].get("code", 409)
        raise Problem(status, "invalid" if status == 422 else "not_now", str(done[0]["error"]))
    return done[0]


def _order(call: Call, target: Target | None, dial: str | None) -> str:
    """As call control takes it; Problem when it is not this tenant's."""
    if dial is not None and target is None:
        return f"dial:{dial}"
    if target is None or dial is not None:
        raise invalid("target", "either a target or what to dial")
    for table, id_ in (("user", target.user), ("ring_group", target.group),
                       ("service", target.service)):
        if id_ is not None:
            call.visible(table, id_)
            return f"{target.kind}:{id_}"
    if target.kind == "number" and target.text:
        return f"number:{target.text}"
    raise invalid("target", "a user, a group, a service or a number")
