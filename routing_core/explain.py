"""A decision in words: why it is refused, and every rule that applied, line by line.

Texts are in English; they are for administrators and engineers. Names come from the store by way
of `names`, so that the kernel stays without strings.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from routing_core.codes import (
    CallerRule,
    Cause,
    Display,
    LineState,
    NumberClass,
    Reason,
    Rule,
    Skip,
    Target,
    When,
)
from routing_core.decision import number_text

REASONS: Final[dict[int, str]] = {
    Reason.NONE: "connected",
    Reason.UNKNOWN_NUMBER: "the number is not in use here",
    Reason.UNKNOWN_SOURCE: "the source of the call is not known",
    Reason.BAD_NUMBER: "this cannot be dialled",
    Reason.BARRED: "calls to this kind of number are barred",
    Reason.FORWARDING_LOOP: "forwarding loop",
    Reason.TOO_MANY_FORWARDS: "forwarded too many times",
    Reason.USER_BUSY: "the user is busy",
    Reason.USER_NO_ANSWER: "the user does not answer",
    Reason.USER_UNREACHABLE: "no telephone of the user can be reached",
    Reason.USER_AWAY: "the user is away",
    Reason.CALLER_BLOCKED: "the user does not take calls from this caller",
    Reason.CLOSED_HOURS: "closed at this time",
    Reason.NOBODY_AVAILABLE: "nobody in the group is available",
    Reason.GROUP_NO_ANSWER: "nobody in the group answers",
    Reason.NO_TRUNK: "no trunk leads to this number",
    Reason.NUMBER_NOT_OWNED: "the number to be shown is not the company's",
    Reason.NO_TARGET: "the number leads nowhere",
    Reason.WRONG_TENANT: "the target is not the company's",
    Reason.SERVICE_TARGET: "handed to call control",
    Reason.USER_DISABLED: "the user is disabled",
    Reason.BUSY_TARGET: "set to busy",
    Reason.CALL_FUNCTIONS: "somebody on the call has functions during calls",
    Reason.DIAL_CODE: "a dial code",
}

SKIPS: Final[dict[int, str]] = {
    Skip.LOGGED_OUT: "logged out", Skip.AWAY: "away by presence", Skip.LINE_BUSY: "in a call",
    Skip.NO_DEVICE: "no telephone that rings in this group", Skip.DISABLED: "disabled",
    Skip.OVER_LIMIT: "more telephones than can ring at once",
}

#: How a table's row is called in an explanation: names(table, id) -> text.
Names = Callable[[str, int], str]


def reason_text(reason: int) -> str:
    """A Reason in words."""
    return REASONS.get(reason, f"reason {reason}")


def reason_code(reason: int) -> str:
    """A Reason as the API spells it."""
    return Reason(reason).name.lower()


def _plain_names(table: str, id_: int) -> str:
    return f"{table} {id_}"


def target_text(target: int, names: Names = _plain_names) -> str:
    """A kernel target in words."""
    kind, value = target >> 56, target & (1 << 56) - 1
    if kind == Target.USER:
        return names("user", value)
    if kind == Target.GROUP:
        return names("ring_group", value)
    if kind == Target.NUMBER:
        return number_text(value)
    if kind == Target.SERVICE:
        return f"service {value}"
    return "busy" if kind == Target.BUSY else "nowhere"


def explain(trace: Iterable[tuple[int, Any, Any]], names: Names = _plain_names) -> list[str]:
    """One line per rule of a trace, in the order in which they applied."""
    return [_line(rule, a, b, names) for rule, a, b in trace]


def _line(rule: int, a: Any, b: Any, names: Names) -> str:
    match rule:
        case Rule.R_SOURCE_TRUNK:
            return f"comes over {names('trunk', a)}" + (
                f", which is only for {names('tenant', b)}" if b else "")
        case Rule.R_SOURCE_DEVICE:
            return f"comes from {names('device', a)} of {names('user', b)}"
        case Rule.R_ORDER:
            return f"call control asks for {a} in {names('tenant', b)}"
        case Rule.R_CALLED:
            return f"calls {number_text(a)}"
        case Rule.R_EMERGENCY:
            return f"emergency number {number_text(a)}: no limit applies; {number_text(b)} is shown"
        case Rule.R_AREA:
            return f"{names('area', a)}: goes to {number_text(b)}"
        case Rule.R_PREFIX:
            return f"a code in front chooses to show: {Display(a).name.lower()}"
        case Rule.R_EXTENSION:
            return f"extension {a} is {target_text(b, names)}"
        case Rule.R_NUMBER:
            return f"{number_text(a)} leads to {target_text(b, names)}"
        case Rule.R_SCHEDULE:
            by = {-1: "no rule matches", -2: "set by hand", -3: "there is no schedule"}.get(
                a[1], f"rule {a[1] + 1} decides")
            return f"{names('schedule', a[0])} is {'open' if b else 'closed'}: {by}"
        case Rule.R_USER:
            return f"{names('user', a)}, extension {b or 'none'}"
        case Rule.R_CALLER_RULE:
            return f"the caller is {CallerRule(b).name.lower()} for {names('user', a)}"
        case Rule.R_PRESENCE:
            until = f" until {b}" if b else ""
            return f"{names('user', a[0])} is in {names('activity', a[1])}{until}"
        case Rule.R_PRESENCE_ENDED:
            return f"{names('activity', a)} ended at {b}: available"
        case Rule.R_FORWARD:
            event = When(a[1]).name.lower().removeprefix("on_")
            return f"{names('user', a[0])} forwards ({event}) to {target_text(b, names)}"
        case Rule.R_LINE_STATE:
            return f"{names('user', a)} is {LineState(b).name.lower()}"
        case Rule.R_RING_DEVICES:
            return f"{a} telephones ring for {b} s"
        case Rule.R_GROUP:
            order = {1: "all at once", 2: "one after the other", 3: "in random order"}[b]
            return f"{names('ring_group', a)} rings {order}"
        case Rule.R_MEMBER_RINGS:
            return f"{names('user', a)} rings"
        case Rule.R_MEMBER_SKIPPED:
            return f"{names('user', a)} is skipped: {SKIPS[b]}"
        case Rule.R_GROUP_ON:
            return f"{names('ring_group', a)} goes on to {target_text(b, names)}"
        case Rule.R_OUTBOUND:
            return f"goes out to {number_text(a)}: {NumberClass(b).name.lower()}"
        case Rule.R_BARRED:
            who = f"{names('user', b)} or the company" if b else "the company"
            return f"{NumberClass(a).name.lower()} numbers are barred for {who}"
        case Rule.R_DISPLAY:
            return f"shows {number_text(b) or 'no number'} ({Display(a).name.lower()})"
        case Rule.R_NOT_OWNED:
            return f"asks to show {number_text(a)}, which the company does not own: " + (
                "refused" if b else "replaced")
        case Rule.R_TRUNK:
            return f"try {b + 1}: {names('trunk', a)}"
        case Rule.R_TRUNK_DOWN:
            return f"{names('trunk', a)} is down: tried last"
        case Rule.R_ON_NET:
            return f"{number_text(a)} belongs to another company on this exchange"
        case Rule.R_CALLER_NAME:
            return f"caller's name: {a}, from the directory"
        case Rule.R_RECORD:
            return "the call is recorded"
        case Rule.R_REJECT:
            return f"refused with {b}: {reason_text(a)}"
        case Rule.R_HANDOVER:
            return f"handed to call control: {reason_text(b) if b else f'service {a}'}"
        case Rule.R_CAUSE:
            return f"the attempt ended: {Cause(a).name.lower().replace('_', ' ')}"
    return f"rule {rule}: {a!r} {b!r}"
