"""Queues and agents over HTTP: what call control says of them, with names."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from store.model import Id


class AgentLogin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """queues None: all of the agent's."""

    logged_in: bool
    queues: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=64)] | None = None


class PauseBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the company's pause_reasons."""

    reason: Annotated[str, Meta(min_length=1, max_length=40)]


class WrapUpBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Its end now, or so many seconds more."""

    end: bool = False
    prolong_s: Annotated[int, Meta(ge=1, le=7200)] | None = None


class WhyQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who waits, by the call's uid or the caller's number in the queue; at: Unix milliseconds."""

    call: str = ""
    caller: Id | None = None
    at: Annotated[int, Meta(ge=1, lt=1 << 62)] | None = None


class CallerShown(Struct, frozen=True, kw_only=True):
    """Somebody who waits, or is called back. Times are Unix milliseconds; estimate_s: at least, at
    most."""

    caller: int
    call: str
    queue: int
    number: str
    user: int
    name: str = ""
    position: int | None
    priority: int
    arrived_ms: int
    state: str
    live: bool
    tries: int
    planned_ms: int
    estimate_s: tuple[int, int] | None


class Membership(Struct, frozen=True, kw_only=True):
    """An agent's log-in to a queue; misses: in a row."""

    queue: int
    name: str
    logged_in: bool
    misses: int


class AgentShown(Struct, frozen=True, kw_only=True):
    """An agent. state: offline, free, offered, talking, wrap_up, rest or paused."""

    user: int
    name: str
    state: str
    since_ms: int
    until_ms: int
    reason: str
    queue: int
    caller: int
    call: str
    queues: list[Membership]


class QueueShown(Struct, frozen=True, kw_only=True):
    """A queue as it is."""

    queue: int
    name: str
    closed: str
    rush: str
    waiting: int
    callbacks: int
    longest_ms: int
    logged_in: int
    free: int
    staffed: bool | int
    handled_ms: int
    samples: int
    hit_permille: int
    callers: list[CallerShown]
    agents: list[AgentShown] = []


class QueuesShown(Struct, frozen=True):
    """All that the caller may see."""

    items: list[QueueShown]


class QueueCallers(Struct, frozen=True):
    """Callers of a queue."""

    items: list[CallerShown]


class Licences(Struct, frozen=True):
    """Of agents; total null: any number."""

    used: int
    total: int | None


class Agents(Struct, frozen=True):
    """All that the caller may see."""

    items: list[AgentShown]
    licences: Licences


class Reason(Struct, frozen=True, kw_only=True):
    """Why an agent is offered a caller, or not."""

    user: int
    name: str
    why: str
    tier: int
    measure: int
    idle_since_ms: int


class Why(Struct, frozen=True, kw_only=True):
    """Each agent's reason, for that caller at that time."""

    queue: int
    at_ms: int
    caller: Any
    agents: list[Reason]


class AgentShare(Struct, frozen=True, kw_only=True):
    """An agent's part of the work."""

    user: int
    name: str
    offered: int
    answered: int
    talk_ms: int


class Fairness(Struct, frozen=True, kw_only=True):
    """index: as the definition says; null when nobody has talked."""

    queue: int
    name: str
    window_ms: int
    definition: str
    index: float | None
    agents: list[AgentShare]
