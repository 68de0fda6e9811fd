"""What is counted of calls: of the company, its numbers, groups and users, from the call records.

A call counts in the interval in which it began, with what became of it in the end. CALL_DEFINITIONS
says what each figure is.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, field

from api.figures.counts import add
from store.calls import CallItem, Place
from store.figures import FigureKind


class CallSums(Struct, kw_only=True):
    """What is counted of calls."""

    offered: int = 0
    answered: int = 0
    service: int = 0
    abandoned: int = 0
    busy: int = 0
    missed: int = 0
    refused: int = 0
    went_on: int = 0
    wait_sum_ms: int = 0
    wait_max_ms: int = 0
    talk_sum_ms: int = 0
    talk_max_ms: int = 0


class CompanySums(Struct, kw_only=True):
    """By direction: "in", "out", "internal", "emergency"."""

    directions: dict[str, CallSums] = field(default_factory=dict)


class UserSums(Struct, kw_only=True):
    """What is counted of a user."""

    received: CallSums = field(default_factory=CallSums)
    elsewhere: int = 0
    dialled: CallSums = field(default_factory=CallSums)
    internal_received: CallSums = field(default_factory=CallSums)
    internal_dialled: CallSums = field(default_factory=CallSums)


class CallFigures(CallSums, kw_only=True):
    """Calls in a period."""

    wait_mean_ms: float | None
    talk_mean_ms: float | None


Sums = CallSums | CompanySums | UserSums
KINDS: Final[dict[FigureKind, type[Sums]]] = {
    "company": CompanySums, "number": CallSums, "group": CallSums, "user": UserSums}

CALL_DEFINITIONS: Final[dict[str, dict[str, str]]] = {
    "calls": {
        "offered": "calls that came, whatever became of them; in the interval in which they began",
        "answered": "calls that a person answered, also somebody outside to whom they were"
                    " forwarded; of a group: one of its members",
        "service": "calls that were answered by a menu, a mailbox or another service and then ended"
                   " without a person",
        "abandoned": "calls whose caller gave up before a person answered: while it rang, or while"
                     " waiting in a queue",
        "busy": "calls that ended with a busy line",
        "missed": "calls that rang or waited until nobody had answered in time",
        "refused": "calls that ended otherwise without an answer: declined, barred, no such number,"
                   " no line",
        "went_on": "of a group: calls that none of its members answered and that were answered"
                   " elsewhere later, by a person or a service",
        "wait_sum_ms": "how long the answered calls took from their beginning until a person"
                       " answered, announcements and queues included",
        "wait_max_ms": "the longest of these times",
        "wait_mean_ms": "wait_sum_ms / answered",
        "talk_sum_ms": "how long the answered calls went on from the first person's answer until"
                       " their end",
        "talk_max_ms": "the longest of these times",
        "talk_mean_ms": "talk_sum_ms / answered",
    },
    "company": {
        "directions": "in: from outside; out: to outside; internal: within the company; emergency",
    },
    "user": {
        "received": "calls from outside that came to the user's telephones or were answered there;"
                    " missed: nobody answered; of a call with several tries, what it was to the"
                    " user",
        "elsewhere": "calls that rang at the user and were answered by somebody else",
        "dialled": "calls to outside that the user began",
        "internal_received": "calls from colleagues, counted as received",
        "internal_dialled": "calls to colleagues, counted as dialled",
    },
}


def call_figures(sums: CallSums) -> CallFigures:
    """With the means."""
    mean = {name: getattr(sums, f"{name}_sum_ms") / sums.answered if sums.answered else None
            for name in ("wait", "talk")}
    return CallFigures(**{name: getattr(sums, name) for name in sums.__struct_fields__},
                       wait_mean_ms=mean["wait"], talk_mean_ms=mean["talk"])


def counted(calls: Iterable[tuple[CallItem, Place | None]],
            numbers: Mapping[str, int]) -> dict[tuple[FigureKind, int], Sums]:
    """Of each subject, what is counted of these calls, each with each of its places. numbers: the
    ids of the company's; 0 is the company."""
    found: dict[tuple[FigureKind, int], Sums] = {}
    seen = 0
    for item, place in calls:
        one = _one(item)
        if item.id != seen:
            seen = item.id
            _put(found, "company", 0, CompanySums(directions={item.direction: one}))
            if item.number in numbers:
                _put(found, "number", numbers[item.number], one)
        if place is None:
            continue
        if place.kind == "group":
            _put(found, "group", place.subject, _one(item, place.role))
        elif place.kind == "user":
            _put(found, "user", place.subject, _of_user(item, place.role, one))
    return found


def _put(found: dict[tuple[FigureKind, int], Sums], kind: FigureKind, subject: int,
         sums: Sums) -> None:
    add(found.setdefault((kind, subject), KINDS[kind]()), sums)


def _one(item: CallItem, outcome: str = "") -> CallSums:
    one = CallSums(offered=1)
    outcome = outcome or item.outcome
    setattr(one, outcome, 1)
    if outcome == "answered":
        one.wait_sum_ms = one.wait_max_ms = item.wait_ms
        one.talk_sum_ms = one.talk_max_ms = item.talk_ms
    return one


def _of_user(item: CallItem, role: str, one: CallSums) -> UserSums:
    inside = item.direction == "internal"
    if role == "caller":
        return UserSums(internal_dialled=one) if inside else UserSums(dialled=one)
    if role == "rang":
        return UserSums(elsewhere=1)
    received = one if role == item.outcome or item.outcome == "abandoned" else _one(item, "missed")
    return UserSums(internal_received=received) if inside else UserSums(received=received)
