"""Queues and agents as they are now, and what is done with them: asked of call control.

A company's queues are in one of its processes; the one that holds them answers, others refuse.
"""

import re
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sanic import Blueprint, HTTPResponse, Request

from api.config.checks import visible
from api.config.routes import decode, respond
from api.http.context import Parts, check_tenant, parts_of, whole
from api.http.errors import Problem, invalid, no_such
from routing_core.queues import FAIR_BUCKET_MS, FAIR_BUCKETS
from store import bus
from store.model import Id, Queue

queue_live = Blueprint("queue_live", url_prefix="/v1/tenants/<tenant:int>")

#: What a refusal of call control is called; what is not here is a process that cannot answer now.
CODES: Final = {404: "not_found", 409: "not_now", 422: "invalid"}
WINDOW_MS: Final = FAIR_BUCKETS * FAIR_BUCKET_MS
FAIRNESS: Final = (
    "Jain's index (sum of x)^2 / (n * sum of x^2) over the queue's n agents, where x is the talking"
    " time in seconds within the window: 1 when all are alike, 1/n when one does it all; null when"
    " nobody has talked")
#: A moment in the past is computed from the journal, which takes longer.
REPLAY_S: Final = 30.0


class LoginBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """queues None: all of the agent's."""

    logged_in: bool
    queues: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=64)] | None = None


class PauseBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the company's pause_reasons."""

    reason: Annotated[str, Meta(min_length=1, max_length=40)]


class WrapUpBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Its end now, or so many seconds more."""

    end: bool = False
    prolong_s: Annotated[int, Meta(ge=1, le=7200)] | None = None


# -- asking ------------------------------------------------------------------------------------

async def _ask(parts: Parts, question: dict[str, Any], timeout_s: float = 5.0,
               field: str = "") -> dict[str, Any]:
    """The answer of the process that has the company's queues; Problem. field: what is to blame for
    a value that is refused."""
    for index in parts.control_order(question["tenant"]):
        try:
            answer = await bus.ask(parts.state, f"control.{index}", question, timeout_s)
        except bus.NobodyThere:
            continue
        if "error" not in answer:
            return answer
        status = answer.get("code", 503)
        if status in CODES:
            raise Problem(status, CODES[status], str(answer["error"]),
                          field if status == 422 else "")
    raise Problem(503, "no_call_control", "no call control has the company's queues; try again")


def admit(request: Request, tenant: int) -> Parts:
    """The parts of this process, for somebody who may see that company; Problem."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    parts.store.get("tenant", tenant)
    return parts


def _names(parts: Parts, tenant: int) -> tuple[dict[int, str], dict[int, str]]:
    """Of the company's queues and users."""
    return (dict(parts.store.select("service", ("id", "name"), tenant=tenant, kind="queue")),
            dict(parts.store.select("user", ("id", "name"), tenant=tenant)))


def queue_of(parts: Parts, tenant: int, queue: int) -> Any:
    """The row of the company's queue; Problem 404."""
    row: Any = visible(parts.store.get("service", queue), tenant)
    if not isinstance(row.settings, Queue):
        raise no_such("queue")
    return row


def agent_of(parts: Parts, tenant: int, user: int) -> list[int]:
    """The queues of the company's agent; Problem 404."""
    visible(parts.store.get("user", user), tenant)
    found = [queue for queue, in parts.store.select("queue_member", ("service",), user=user)]
    if not found:
        raise no_such("agent")
    return found


async def _state(parts: Parts, tenant: int) -> dict[str, Any]:
    """The queues, the agents and the licences, with names."""
    queues, users = _names(parts, tenant)
    if not queues:
        company: Any = parts.store.get("tenant", tenant)
        return {"queues": [], "agents": [],
                "licences": {"used": 0, "total": company.agent_licences}}
    found = await _ask(parts, {"do": "queues", "tenant": tenant})
    return {"queues": [_shown_queue(one, queues, users) for one in found["queues"]],
            "agents": [_shown_agent(one, queues, users) for one in found["agents"]],
            "licences": found["licences"]}


def _shown_queue(one: dict[str, Any], queues: dict[int, str],
                 users: dict[int, str]) -> dict[str, Any]:
    return one | {"name": queues.get(one["queue"], ""),
                  "callers": [_named(caller, users) for caller in one["callers"]]}


def _shown_agent(one: dict[str, Any], queues: dict[int, str],
                 users: dict[int, str]) -> dict[str, Any]:
    return _named(one, users) | {"queues": [
        membership | {"name": queues.get(membership["queue"], "")} for membership in one["queues"]]}


def _named(one: dict[str, Any], users: dict[int, str]) -> dict[str, Any]:
    return one | {"name": users.get(one["user"], "")}


def _one(items: list[dict[str, Any]], key: str, id_: int) -> dict[str, Any]:
    """A row that was made just now may be unknown to call control for a moment."""
    found = next((item for item in items if item[key] == id_), None)
    if found is None:
        raise Problem(503, "no_call_control", f"call control does not know this {key} yet")
    return found


# -- queues ------------------------------------------------------------------------------------

@queue_live.get("/queues")
async def all_queues(request: Request, tenant: int) -> HTTPResponse:
    """Every queue, with who waits in it."""
    parts = admit(request, tenant)
    return respond({"items": (await _state(parts, tenant))["queues"]})


@queue_live.get("/queues/<queue:int>")
async def one_queue(request: Request, tenant: int, queue: int) -> HTTPResponse:
    """One queue, with its agents."""
    parts = admit(request, tenant)
    queue_of(parts, tenant, queue)
    state = await _state(parts, tenant)
    return respond(_one(state["queues"], "queue", queue) | {"agents": [
        agent for agent in state["agents"]
        if any(membership["queue"] == queue for membership in agent["queues"])]})


async def _callbacks(parts: Parts, tenant: int, queue: int) -> list[dict[str, Any]]:
    queue_of(parts, tenant, queue)
    found = _one((await _state(parts, tenant))["queues"], "queue", queue)
    return [caller for caller in found["callers"] if not caller["live"]]


@queue_live.get("/queues/<queue:int>/callbacks")
async def callbacks(request: Request, tenant: int, queue: int) -> HTTPResponse:
    """Those who hung up and kept their place."""
    parts = admit(request, tenant)
    return respond({"items": await _callbacks(parts, tenant, queue)})


@queue_live.delete("/queues/<queue:int>/callbacks/<caller:int>")
async def withdraw(request: Request, tenant: int, queue: int, caller: int) -> HTTPResponse:
    """The caller is not called back."""
    parts = admit(request, tenant)
    if all(one["caller"] != caller for one in await _callbacks(parts, tenant, queue)):
        raise no_such("callback")
    await _ask(parts, {"do": "withdraw", "tenant": tenant, "caller": caller})
    return HTTPResponse(status=204)


@queue_live.get("/queues/<queue:int>/explain")
async def explain(request: Request, tenant: int, queue: int) -> HTTPResponse:
    """Why each agent is, or was, offered a caller or not."""
    parts = admit(request, tenant)
    queue_of(parts, tenant, queue)
    call = request.args.get("call", "")
    caller = whole(request, "caller", 0, 1, (1 << 62) - 1)
    if bool(call) == bool(caller) or (call and not re.fullmatch("[!-~]{1,64}", call)):
        raise invalid("call", "say who waits: either ?call=<uid> or ?caller=<number>")
    at_ms = whole(request, "at", 0, 1, parts.now_ms())
    found = await _ask(parts, {"do": "why", "tenant": tenant, "caller": caller, "call": call,
                               "at_ms": at_ms}, REPLAY_S if at_ms else 5.0)
    if found["caller"].get("queue", queue) != queue:
        raise no_such("caller in this queue")
    _, users = _names(parts, tenant)
    return respond({"queue": queue, "at_ms": found["at_ms"], "caller": found["caller"],
                    "agents": [_named(agent, users) for agent in found["agents"]]})


@queue_live.get("/queues/<queue:int>/fairness")
async def fairness(request: Request, tenant: int, queue: int) -> HTTPResponse:
    """How the work of the last hours is divided among the agents."""
    parts = admit(request, tenant)
    row = queue_of(parts, tenant, queue)
    found = await _ask(parts, {"do": "fairness", "tenant": tenant, "queue": queue})
    _, users = _names(parts, tenant)
    return respond({
        "queue": queue, "name": row.name, "window_ms": WINDOW_MS, "definition": FAIRNESS,
        "index": _index([agent["talk_ms"] / 1000 for agent in found["agents"]]),
        "agents": [_named(agent, users) for agent in found["agents"]]})


def _index(loads: list[float]) -> float | None:
    """See FAIRNESS."""
    squares = sum(load * load for load in loads)
    return sum(loads) ** 2 / (len(loads) * squares) if squares else None


# -- agents ------------------------------------------------------------------------------------

@queue_live.get("/agents")
async def all_agents(request: Request, tenant: int) -> HTTPResponse:
    """Every agent, and how many licences are in use."""
    parts = admit(request, tenant)
    state = await _state(parts, tenant)
    return respond({"items": state["agents"], "licences": state["licences"]})


@queue_live.get("/agents/<user:int>")
async def one_agent(request: Request, tenant: int, user: int) -> HTTPResponse:
    """One agent."""
    parts = admit(request, tenant)
    agent_of(parts, tenant, user)
    return respond(_one((await _state(parts, tenant))["agents"], "user", user))


async def _act(parts: Parts, tenant: int, user: int, act: str, *,
               queues: tuple[int, ...] | None = None, reason: str = "",
               seconds: int = 0) -> HTTPResponse:
    """Something is done with an agent; the agent as it is then."""
    found = await _ask(parts, {"do": "agent", "tenant": tenant, "user": user, "act": act,
                               "queues": queues, "reason": reason, "seconds": seconds,
                               "by": "supervisor"}, field="reason" if reason else "")
    return respond(_shown_agent(found["agent"], *_names(parts, tenant)))


@queue_live.put("/agents/<user:int>/login")
async def log_in_or_out(request: Request, tenant: int, user: int) -> HTTPResponse:
    """Of some queues, or of all that the agent is a member of."""
    parts = admit(request, tenant)
    body: LoginBody = decode(request.body, LoginBody)
    known = agent_of(parts, tenant, user)
    for i, queue in enumerate(body.queues or ()):
        if queue not in known:
            raise invalid(f"queues[{i}]", f"the user is not a member of a queue {queue}")
    return await _act(parts, tenant, user, "log_in" if body.logged_in else "log_out",
                      queues=body.queues)


@queue_live.put("/agents/<user:int>/pause")
async def pause(request: Request, tenant: int, user: int) -> HTTPResponse:
    """From the end of the call that the agent is in."""
    parts = admit(request, tenant)
    body: PauseBody = decode(request.body, PauseBody)
    agent_of(parts, tenant, user)
    return await _act(parts, tenant, user, "pause", reason=body.reason)


@queue_live.delete("/agents/<user:int>/pause")
async def resume(request: Request, tenant: int, user: int) -> HTTPResponse:
    """The pause is over."""
    parts = admit(request, tenant)
    agent_of(parts, tenant, user)
    return await _act(parts, tenant, user, "resume")


@queue_live.post("/agents/<user:int>/wrap-up")
async def wrap_up(request: Request, tenant: int, user: int) -> HTTPResponse:
    """End or prolong it."""
    parts = admit(request, tenant)
    body: WrapUpBody = decode(request.body, WrapUpBody)
    agent_of(parts, tenant, user)
    if body.end == (body.prolong_s is not None):
        raise invalid("prolong_s", "either end or prolong_s")
    if body.end:
        return await _act(parts, tenant, user, "end_wrap_up")
    return await _act(parts, tenant, user, "prolong", seconds=body.prolong_s or 0)
