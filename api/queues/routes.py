"""Queues and agents as they are now, and what is done with them: asked of call control.

A company's queues are in one of its processes; the one that holds them answers, others refuse.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from api.http.errors import Problem, invalid, no_such
from api.http.parts import Parts
from api.http.route import Call, Handler, route
from api.queues.shapes import (
    AgentLogin,
    Agents,
    AgentShown,
    Fairness,
    PauseBody,
    QueueCallers,
    QueueShown,
    QueuesShown,
    Why,
    WhyQuery,
    WrapUpBody,
)
from routing_core.queues import FAIR_BUCKET_MS, FAIR_BUCKETS
from store import bus
from store.model import Queue

BASE: Final = "/v1/tenants/{tenant}"
#: What a refusal of call control is called; what is not here is a process that cannot answer now.
CODES: Final = {404: "not_found", 409: "not_now", 422: "invalid"}
WINDOW_MS: Final = FAIR_BUCKETS * FAIR_BUCKET_MS
FAIRNESS: Final = (
    "Jain's index (sum of x)^2 / (n * sum of x^2) over the queue's n agents, where x is the talking"
    " time in seconds within the window: 1 when all are alike, 1/n when one does it all; null when"
    " nobody has talked")
#: A moment in the past is computed from the journal, which takes longer.
REPLAY_S: Final = 30.0


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


def _names(parts: Parts, tenant: int) -> tuple[dict[int, str], dict[int, str]]:
    """Of the company's queues and users."""
    return (dict(parts.store.select("service", ("id", "name"), tenant=tenant, kind="queue")),
            dict(parts.store.select("user", ("id", "name"), tenant=tenant)))


def queue_of(call: Call) -> Any:
    """The row of the queue of the path, when the caller may see it; Problem 404."""
    row = call.visible("service", call.id("queue"))
    if not isinstance(row.settings, Queue) or not _sees(call, row.id):
        raise no_such("queue")
    return row


def _sees(call: Call, queue: int) -> bool:
    """A supervisor those that the account names; a user those that the person is an agent of."""
    if call.who.queues is not None:
        return queue in call.who.queues
    return call.own is None or queue in _queues_of(call, call.own)


def _queues_of(call: Call, user: int) -> list[int]:
    return [queue for queue, in call.store.select("queue_member", ("service",), user=user)]


def agent_of(call: Call) -> list[int]:
    """The queues of the agent of the path; Problem 403, 404."""
    user = call.id("user")
    call.visible("user", user)
    found = _queues_of(call, user)
    if not found or (call.who.queues is not None and not set(found) & set(call.who.queues)):
        raise no_such("agent")
    return found


async def board_of(parts: Parts, tenant: int) -> dict[str, Any]:
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

async def board(call: Call) -> dict[str, Any]:
    """The queues and agents that the caller sees, and the licences."""
    state = await board_of(call.parts, call.tenant)
    queues = [queue for queue in state["queues"] if _sees(call, queue["queue"])]
    seen = {queue["queue"] for queue in queues}
    everything = call.own is None and call.who.queues is None
    return {"queues": queues, "licences": state["licences"], "agents": [
        agent for agent in state["agents"]
        if everything or any(one["queue"] in seen for one in agent["queues"])]}


@route("GET", f"{BASE}/queues", "queues:read", own="rows", answer=QueuesShown,
       errors=("no_call_control",))
async def all_queues(call: Call) -> Any:
    """Every queue, with who waits in it."""
    return {"items": (await board(call))["queues"]}


@route("GET", f"{BASE}/queues/{{queue}}", "queues:read", own="rows", answer=QueueShown,
       errors=("no_call_control",))
async def one_queue(call: Call) -> Any:
    """One queue, with its agents."""
    queue = queue_of(call).id
    state = await board_of(call.parts, call.tenant)
    return _one(state["queues"], "queue", queue) | {"agents": [
        agent for agent in state["agents"]
        if any(membership["queue"] == queue for membership in agent["queues"])]}


async def _callbacks(call: Call) -> list[dict[str, Any]]:
    queue = queue_of(call).id
    found = _one((await board_of(call.parts, call.tenant))["queues"], "queue", queue)
    return [caller for caller in found["callers"] if not caller["live"]]


@route("GET", f"{BASE}/queues/{{queue}}/callbacks", "queues:read", own="rows",
       answer=QueueCallers, errors=("no_call_control",))
async def callbacks(call: Call) -> Any:
    """Those who hung up and kept their place."""
    return {"items": await _callbacks(call)}


@route("DELETE", f"{BASE}/queues/{{queue}}/callbacks/{{caller}}", "queues:write", status=204,
       acts=True, errors=("no_call_control", "not_now"))
async def withdraw(call: Call) -> None:
    """Do not call a caller back."""
    caller = call.id("caller")
    if all(one["caller"] != caller for one in await _callbacks(call)):
        raise no_such("callback")
    await _ask(call.parts, {"do": "withdraw", "tenant": call.tenant, "caller": caller})


@route("GET", f"{BASE}/queues/{{queue}}/explain", "explain:read", query=WhyQuery, answer=Why,
       errors=("no_call_control",))
async def explain(call: Call) -> Any:
    """Why each agent is, or was, offered a caller or not."""
    queue, query = queue_of(call).id, call.query
    if bool(query.call) == bool(query.caller) or (
            query.call and not re.fullmatch("[!-~]{1,64}", query.call)):
        raise invalid("call", "say who waits: either ?call=<uid> or ?caller=<number>")
    if query.at and query.at > call.now_ms:
        raise invalid("at", "Unix milliseconds of now or earlier")
    found = await _ask(call.parts, {
        "do": "why", "tenant": call.tenant, "caller": query.caller or 0, "call": query.call,
        "at_ms": query.at or 0}, REPLAY_S if query.at else 5.0)
    if found["caller"].get("queue", queue) != queue:
        raise no_such("caller in this queue")
    _, users = _names(call.parts, call.tenant)
    return {"queue": queue, "at_ms": found["at_ms"], "caller": found["caller"],
            "agents": [_named(agent, users) for agent in found["agents"]]}


@route("GET", f"{BASE}/queues/{{queue}}/fairness", "figures:read", answer=Fairness,
       errors=("no_call_control",))
async def fairness(call: Call) -> Any:
    """How the work of the last hours is divided among the agents."""
    row = queue_of(call)
    found = await _ask(call.parts, {"do": "fairness", "tenant": call.tenant, "queue": row.id})
    _, users = _names(call.parts, call.tenant)
    return {"queue": row.id, "name": row.name, "window_ms": WINDOW_MS, "definition": FAIRNESS,
            "index": _index([agent["talk_ms"] / 1000 for agent in found["agents"]]),
            "agents": [_named(agent, users) for agent in found["agents"]]}


def _index(loads: list[float]) -> float | None:
    """See FAIRNESS."""
    squares = sum(load * load for load in loads)
    return sum(loads) ** 2 / (len(loads) * squares) if squares else None


# -- agents ------------------------------------------------------------------------------------

@route("GET", f"{BASE}/agents", "agents:read", own="rows", answer=Agents,
       errors=("no_call_control",))
async def all_agents(call: Call) -> Any:
    """Every agent, and how many licences are in use."""
    state = await board(call)
    return {"items": [agent for agent in state["agents"] if call.own in (None, agent["user"])],
            "licences": state["licences"]}


@route("GET", f"{BASE}/agents/{{user}}", "agents:read", own="user", answer=AgentShown,
       errors=("no_call_control",))
async def one_agent(call: Call) -> Any:
    """One agent."""
    agent_of(call)
    return _one((await board_of(call.parts, call.tenant))["agents"], "user", call.id("user"))


async def _act(call: Call, act: str, *, queues: tuple[int, ...] | None = None, reason: str = "",
               seconds: int = 0) -> Any:
    """Something is done with an agent; the agent as it is then."""
    by = "self" if call.who.user == call.id("user") else "supervisor"
    found = await _ask(call.parts, {
        "do": "agent", "tenant": call.tenant, "user": call.id("user"), "act": act, "by": by,
        "queues": queues, "reason": reason, "seconds": seconds}, field="reason" if reason else "")
    return _shown_agent(found["agent"], *_names(call.parts, call.tenant))


def _agents(method: str, path: str, body: Any = None) -> Callable[[Handler], Handler]:
    return route(method, f"{BASE}/agents/{{user}}/{path}", "agents:write", own="user", body=body,
                 answer=AgentShown, errors=("no_call_control", "not_now"))


@_agents("PUT", "login", AgentLogin)
async def log_in_or_out(call: Call) -> Any:
    """Log an agent in or out: of some queues, or of all that the agent is a member of."""
    body: AgentLogin = call.body
    known, queues = agent_of(call), body.queues
    if call.who.queues is not None and queues is None:
        queues = tuple(queue for queue in known if queue in call.who.queues)
    for i, queue in enumerate(queues or ()):
        if queue not in known or not (call.own is not None or _sees(call, queue)):
            raise invalid(f"queues[{i}]", f"the user is not a member of a queue {queue}")
    return await _act(call, "log_in" if body.logged_in else "log_out", queues=queues)


@_agents("PUT", "pause", PauseBody)
async def pause(call: Call) -> Any:
    """Pause an agent, from the end of the call that the agent is in."""
    agent_of(call)
    return await _act(call, "pause", reason=call.body.reason)


@_agents("DELETE", "pause")
async def resume(call: Call) -> Any:
    """End a pause."""
    agent_of(call)
    return await _act(call, "resume")


@_agents("POST", "wrap-up", WrapUpBody)
async def wrap_up(call: Call) -> Any:
    """End or prolong an agent's wrap-up."""
    body: WrapUpBody = call.body
    agent_of(call)
    if body.end == (body.prolong_s is not None):
        raise invalid("prolong_s", "either end or prolong_s")
    if body.end:
        return await _act(call, "end_wrap_up")
    return await _act(call, "prolong", seconds=body.prolong_s or 0)
