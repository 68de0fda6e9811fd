"""What is asked for and answered about figures."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from api.figures.calls import CallFigures
from api.figures.counts import AgentCounts, MemberCounts, QueueFigures
from api.figures.intervals import Interval
from store.figures import QUARTER_MS

Format = Literal["json", "csv"]
At = Annotated[int, Meta(ge=0, le=1 << 42, description="Unix milliseconds, a quarter of an hour")]
Definitions = dict[str, str]
#: A period's longest length, and how many intervals it can have.
MAX_DAYS: Final = 3 * 366
MAX_INTERVALS: Final = 1000
STEP_S: Final = QUARTER_MS // 1000


class PeriodQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last day without a period. interval: as in the company's time zone; interval_s: of as
    many seconds instead."""

    begin: At | None = field(default=None, name="from")
    end: At | None = field(default=None, name="to")
    interval: Interval | None = None
    interval_s: Annotated[int, Meta(ge=STEP_S, le=MAX_DAYS * 86_400)] | None = None
    format: Format = "json"


class NowQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last so many hours."""

    hours: Annotated[int, Meta(ge=1, le=168)] = 4
    format: Format = "json"


class QueuePeriod(QueueFigures, kw_only=True):
    """A queue in a period: Unix milliseconds; the end is no part of it."""

    from_ms: int
    to_ms: int


class NamedQueue(QueuePeriod, kw_only=True):
    """With its name and its T."""

    name: str
    service_level_s: int


class QueueReport(Struct, kw_only=True):
    """A queue in a period, and in each interval of it."""

    name: str
    service_level_s: int
    total: QueuePeriod
    items: list[QueuePeriod]
    definitions: Definitions


class QueuesReport(Struct, kw_only=True):
    """All queues."""

    items: list[NamedQueue]
    next: None = None
    definitions: Definitions


class MemberShare(MemberCounts, kw_only=True):
    """An agent in one queue."""

    queue: int
    name: str


class AgentPeriod(AgentCounts, kw_only=True):
    """An agent in a period."""

    from_ms: int
    to_ms: int
    agent: int
    queues: list[MemberShare]


class NamedAgent(AgentPeriod, kw_only=True):
    """With the name."""

    name: str


class AgentReport(Struct, kw_only=True):
    """An agent in a period, and in each interval of it."""

    name: str
    from_ms: int
    to_ms: int
    total: AgentPeriod
    items: list[AgentPeriod]
    definitions: dict[str, Definitions]


class AgentsReport(Struct, kw_only=True):
    """All agents."""

    items: list[NamedAgent]
    next: None = None
    definitions: dict[str, Definitions]


class CallPeriod(CallFigures, kw_only=True):
    """Calls in a period."""

    from_ms: int
    to_ms: int


class CallReport(Struct, kw_only=True):
    """The calls of a number or a group in a period, and in each interval of it."""

    name: str
    total: CallPeriod
    items: list[CallPeriod]
    definitions: Definitions


class CompanyPeriod(Struct, kw_only=True):
    """By direction: in, out, internal, emergency."""

    from_ms: int
    to_ms: int
    directions: dict[str, CallFigures]


class CompanyReport(Struct, kw_only=True):
    """The company's calls in a period, and in each interval of it."""

    name: str
    total: CompanyPeriod
    items: list[CompanyPeriod]
    definitions: dict[str, Definitions]


class UserPeriod(Struct, kw_only=True):
    """A user's calls in a period."""

    from_ms: int
    to_ms: int
    received: CallFigures
    elsewhere: int
    dialled: CallFigures
    internal_received: CallFigures
    internal_dialled: CallFigures


class UserReport(Struct, kw_only=True):
    """A user's calls in a period, and in each interval of it."""

    name: str
    total: UserPeriod
    items: list[UserPeriod]
    definitions: dict[str, Definitions]


class QueueNow(Struct, kw_only=True):
    """A queue as its supervisor sees it."""

    queue: int
    name: str
    waiting: int
    longest_wait_ms: int
    last_wait_ms: int | None
    wait_mean_ms: float | None
    offered: int
    answered: int
    abandoned: int


class NowReport(Struct, kw_only=True):
    """S4: all queues, now and in the last hours."""

    from_ms: int
    to_ms: int
    items: list[QueueNow]
    next: None = None
    definitions: Definitions


NOW_DEFINITIONS: Final[Definitions] = {
    "queue": "the queue's id",
    "name": "the queue's name",
    "waiting": "callers on the line who have come and have neither been answered nor left; one who"
               " has stepped out to a menu is among them",
    "longest_wait_ms": "for how long the one of them who came first has waited",
    "last_wait_ms": "how long the caller who was answered last in the period has waited",
    "wait_mean_ms": "wait_sum_ms / answered, of those who came in the period",
    "offered": "callers who came in the period: entered and refused",
    "answered": "callers who came in the period and whom an agent answered",
    "abandoned": "callers who came in the period and hung up while they waited",
}
