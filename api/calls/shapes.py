"""What is asked for and answered about lists of calls."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from store.calls import Direction, Outcome
from store.model import E164, CallRecord, Id

At = Annotated[int, Meta(ge=0, le=1 << 42, description="Unix milliseconds")]
Role = Literal["dialled", "answered", "missed", "answered_elsewhere"]
Cursor = Annotated[str, Meta(pattern=r"^[0-9]{1,16}-[0-9]{1,18}\Z",
                             description="the next of the page before")]


class CallsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is given has to be so. user: took part or was rung; group, service: the call came
    there, queues and menus are services; number: the company's that was called; other: the outside
    number or how it begins; min_s: of talk; legs: those that are a part of another, too."""

    begin: At = field(default=0, name="from")
    end: At = field(default=1 << 42, name="to")
    user: Id | None = None
    group: Id | None = None
    service: Id | None = None
    queue: Id | None = None
    number: E164 | None = None
    other: Annotated[str, Meta(pattern=r"^\+?[0-9]{1,15}\Z")] | None = None
    direction: Direction | None = None
    outcome: Outcome | None = None
    min_s: Annotated[int, Meta(ge=0, le=86_400)] = 0
    trunk: Id | None = None
    recorded: bool = False
    legs: bool = False
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Cursor | None = None
    format: Literal["json", "csv"] = "json"


class LogQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """See CallsQuery. role: what the call was to the user."""

    begin: At = field(default=0, name="from")
    end: At = field(default=1 << 42, name="to")
    role: Role | None = None
    other: Annotated[str, Meta(pattern=r"^\+?[0-9]{1,15}\Z")] | None = None
    direction: Direction | None = None
    outcome: Outcome | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Cursor | None = None
    format: Literal["json", "csv"] = "json"


class CallShown(Struct, kw_only=True):
    """A call in a list. Times are Unix milliseconds, 0 = did not happen. called: the last four
    digits of an outside number that a person dialled are shown as * to everybody else; wait_ms:
    until a person answered, or until the end; talk_ms: from then until the end; groups, services:
    to which the call came."""

    uid: str
    tenant: int
    direction: Direction
    outcome: Outcome
    caller: str
    called: str
    shown: str
    started_ms: int
    answered_ms: int
    ended_ms: int
    wait_ms: int
    talk_ms: int
    caller_user: int | None
    answerer: int | None
    trunk: int | None
    rang: tuple[int, ...]
    groups: tuple[int, ...]
    services: tuple[int, ...]
    code: int
    ended_by: str
    recorded: bool
    revision: int
    call_id: str
    conversation: str


class LoggedCall(CallShown, kw_only=True):
    """In a user's log."""

    role: Role


class CallList(Struct, kw_only=True):
    """The newest first. A page may be short, and even empty, although there are more: `next` says
    whether there are."""

    items: list[CallShown]
    next: str | None


class CallLog(Struct, kw_only=True):
    """Likewise."""

    items: list[LoggedCall]
    next: str | None


class CallWithLegs(CallRecord, frozen=True, kw_only=True):
    """A call, and the calls that were made for it."""

    legs: list[CallRecord]
