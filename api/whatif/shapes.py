"""What is asked and answered over HTTP."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from api.http.later import Operation
from store.jobs import JobState

HOUR_MS = 3_600_000
UnixMs = Annotated[int, Meta(ge=0, lt=1 << 42)]


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
               rename={"from_ms": "from", "to_ms": "to"}):
    """A period of whole hours, in Unix milliseconds, of at most 31 days, and what would have been
    otherwise: writes of the company's configuration, in order and with the rights of who asks, or
    all of its configuration as it was after a revision. seed: of what is drawn by lot in the
    queues."""

    from_ms: UnixMs
    to_ms: UnixMs
    operations: Annotated[tuple[Operation, ...], Meta(max_length=1000)] = ()
    revision: Annotated[int, Meta(ge=1, lt=1 << 62)] | None = None
    seed: Annotated[int, Meta(ge=0, lt=1 << 62)] = 1


class JobFile(Struct, frozen=True, kw_only=True):
    """What the process that answers is told. state: the exchange's state directory; by: who asks,
    as "key 3"."""

    state: str
    tenant: int
    by: str
    at_ms: int
    question: Question


class Failure(Struct, frozen=True, kw_only=True):
    """Why a question could not be answered, as a problem of the API says it."""

    code: str
    detail: str
    field: str = ""


class Progress(Struct, frozen=True, kw_only=True):
    """share: 0 to 1, of all; done, of: of this step."""

    step: Literal["waiting", "copy", "decisions", "events", "before", "after", "done"]
    share: float
    done: int = 0
    of: int = 0


class Said(Struct, frozen=True, omit_defaults=True):
    """A line of the process that answers."""

    progress: Progress | None = None
    failure: Failure | None = None


# -- decisions ---------------------------------------------------------------------------------

class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a call, as far as the exchange decided it. id: of the user, group, service or
    trunk; reason: of a refusal."""

    kind: Literal["user", "group", "service", "trunk", "emergency", "away", "busy_functions",
                  "call_functions", "dial_code", "refused", "nothing"]
    id: int | None = None
    name: str = ""
    reason: str = ""


class Moved(Struct, frozen=True, kw_only=True):
    """So many calls ended like this, and would have ended like that."""

    before: Outcome
    after: Outcome
    calls: int


class OutcomeCount(Struct, frozen=True, kw_only=True):
    """How many calls ended like this."""

    outcome: Outcome
    before: int
    after: int


class NumberCount(Struct, frozen=True, kw_only=True):
    """Calls to a number, and how many of them would have ended otherwise."""

    called: str
    calls: int
    differ: int


class HourCount(Struct, frozen=True, kw_only=True):
    """Calls that began in the hour, and how many of them would have ended otherwise."""

    at_ms: int
    calls: int
    differ: int


class Decisions(Struct, frozen=True, kw_only=True):
    """How the calls were decided: with the configuration of now (before) and the changed one
    (after). See `definitions`."""

    calls: int
    legs: int
    attempts: int
    differ: int
    legs_differ: int
    as_recorded: int
    assumed: int
    unreadable: int
    moved: list[Moved]
    outcomes: list[OutcomeCount]
    numbers: list[NumberCount]
    hours: list[HourCount]
    left_out: int


class Side(Struct, frozen=True, kw_only=True):
    """One side of a call that would have ended otherwise, line by line."""

    outcome: Outcome
    shown: str
    telephones: list[int]
    trunks: list[int]
    lines: list[str]


class DifferingCall(Struct, frozen=True, kw_only=True):
    """A call that would have ended otherwise: at which attempt, and what is not the same."""

    position: int
    uid: str
    at_ms: int
    caller: str
    called: str
    attempt: int
    differs: list[str]
    before: Side
    after: Side


# -- queues ------------------------------------------------------------------------------------

class QueueNumbers(Struct, frozen=True, kw_only=True):
    """Of a queue; waits in seconds; overflowed, refused: by reason."""

    offered: int = 0
    answered: int = 0
    abandoned: int = 0
    refused: dict[str, int] = {}
    overflowed: dict[str, int] = {}
    service_level: float | None = None
    service_level_offered: float | None = None
    wait_mean_s: float | None = None
    wait_p50_s: int | None = None
    wait_p80_s: int | None = None
    wait_p95_s: int | None = None
    wait_max_s: float | None = None


class QueueHour(Struct, frozen=True, kw_only=True):
    """The same of callers who came in one hour."""

    at_ms: int
    before: QueueNumbers
    after: QueueNumbers


class QueueAnswer(Struct, frozen=True, kw_only=True):
    """A queue: as it really was, as the simulation has it, and as it would have been."""

    queue: int
    name: str
    recorded: QueueNumbers
    before: QueueNumbers
    after: QueueNumbers
    hours: list[QueueHour]


class AgentNumbers(Struct, frozen=True, kw_only=True):
    """Of an agent; occupancy: talking and wrap-up of the time logged in."""

    logged_in_s: int = 0
    talking_s: int = 0
    answered: int = 0
    occupancy: float | None = None


class AgentAnswer(Struct, frozen=True, kw_only=True):
    """An agent, likewise."""

    agent: int
    name: str
    recorded: AgentNumbers
    before: AgentNumbers
    after: AgentNumbers


class QueuesAnswer(Struct, frozen=True, kw_only=True):
    """What the change does to the queues; agreement: how near `before` comes to what was
    recorded (1: the same), None without calls; nowhere: callers whose queue the change takes
    away."""

    simulated: bool
    why: str
    queues: list[QueueAnswer] = []
    agents: list[AgentAnswer] = []
    agreement: dict[str, float | None] = {}
    nowhere: int = 0


class Result(Struct, frozen=True, kw_only=True):
    """The answer to a question."""

    revision: int
    from_ms: int
    to_ms: int
    decisions: Decisions
    queues: QueuesAnswer
    missing: list[str]
    definitions: dict[str, str]
    assumptions: list[str]
    took_s: float
    calls_per_s: float


# -- jobs --------------------------------------------------------------------------------------

class WhatIf(Struct, frozen=True, kw_only=True):
    """A question and how far it is; result: once it is done."""

    id: int
    by: str
    state: JobState
    created_ms: int
    began_ms: int
    ended_ms: int
    tries: int
    question: Any
    progress: Progress
    error: Failure | None = None
    result: Result | None = None


class WhatIfs(Struct, frozen=True, kw_only=True):
    """A page of questions, without their results."""

    items: list[WhatIf]
    next: int | None


class DifferingCalls(Struct, frozen=True, kw_only=True):
    """A page of calls."""

    items: list[DifferingCall]
    next: int | None


class Page(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """after: `next` of the page before."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0
