"""Calls as a watched line's dialogs (RFC 4235): whose, which way, with whom, and by which name.

An early dialog has no tag of the telephone that rings: the edge relays its ringing unread. It gets
one that says who rings, and by which the edge knows a pickup by Replaces (kemi/pickup.py).
"""

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

import msgspec

from callcontrol.desk import Desk
from routing_core import Live, handover
from routing_core.caller_names import ANONYMOUS_URI
from routing_core.codes import LineState, SlotState

if TYPE_CHECKING:
    from routing_core.live import CallState

#: Of a name of a dialog: longer ones are somebody's joke, and are left out.
MAX_NAME: Final = 200
_STATES: Final = {LineState.RINGING: "early", LineState.IN_CALL: "confirmed"}
_LIVE: Final = (SlotState.SETUP, SlotState.ANSWERING, SlotState.ANSWERED)


class Dialog(NamedTuple):
    """One of a line. local, remote: tags, "" = not known; user, number, name: the other party, 0 or
    "" when it is nobody who may be told."""

    call_id: str
    local: str
    remote: str
    initiator: bool
    user: int = 0
    number: str = ""
    hidden: bool = False


def by_user(live: Live) -> "dict[int, list[CallState]]":
    """The calls that there are, by everybody who takes part in one or is rung."""
    found: dict[int, list[Any]] = {}
    for slot, nonce in live.calls(*_LIVE):
        call = live.call(slot, nonce)
        if call is not None:
            for user in {call["caller"], call["answerer"], *call["ringing"]} - {0}:
                found.setdefault(user, []).append(call)
    return found


def dialog_of(calls: "list[CallState]", user: int, extension: str,
              state: LineState) -> Dialog | None:
    """The dialog because of which that user's line is in that state, the oldest. calls: the
    user's."""
    for call in sorted(calls, key=lambda one: one["started_ms"]):
        rings = user not in (call["caller"], call["answerer"])
        if rings == (state == LineState.RINGING):
            return _read(call, user, extension, rings)
    return None


def _read(call: "CallState", user: int, extension: str, rings: bool) -> Dialog | None:
    try:
        setup: Any = msgspec.json.decode(call["setup"] or b"{}")
        answer: Any = msgspec.json.decode(call["answer"] or b"{}")
        if not isinstance(answer, dict):  # a Handover, until somebody answers
            answer = {}
        caller, called = setup["party"][2], (answer.get("party") or ("", "", ""))[2]
        initiator = user == call["caller"] and not rings
        shown = str(setup.get("shown", ""))
        here, there = (caller, called) if initiator else (
            handover.ringing_tag(extension) if rings else called, caller)
        found = Dialog(setup["call_id"], here, there, initiator,
                       call["answerer"] if initiator else call["caller"],
                       "" if initiator else shown, bool(setup.get("hidden")) and not initiator)
    except (msgspec.DecodeError, KeyError, IndexError, TypeError):
        return None
    names = found[:3]
    return found if all(isinstance(one, str) and len(one) <= MAX_NAME and one.isascii()
                        and one.isprintable() for one in names) else None


def document(desk: Desk, tenant: int, version: int, entity: str, user: int, state: LineState,
             dialog: Dialog | None) -> str:
    """The whole state of a line (RFC 4235 section 4.1)."""
    inside = ""
    if state != LineState.IDLE:
        inside = (f'<dialog id="u{user}"{_names(dialog, state)}><state>{_STATES[state]}</state>'
                  f"<local><identity>{escape(entity)}</identity>"
                  f"<target uri={quoteattr(entity)}/></local>"
                  f"{_remote(desk, tenant, dialog)}</dialog>")
    return ('<?xml version="1.0" encoding="UTF-8"?>\r\n'
            '<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" '
            f'version="{version}" state="full" entity={quoteattr(entity)}>{inside}'
            "</dialog-info>\r\n")


def _names(dialog: Dialog | None, state: LineState) -> str:
    if dialog is None:
        return ' direction="recipient"' if state == LineState.RINGING else ""
    tags = "".join(f" {name}={quoteattr(tag)}" for name, tag in (
        ("local-tag", dialog.local), ("remote-tag", dialog.remote)) if tag)
    way = "initiator" if dialog.initiator else "recipient"
    return f' call-id={quoteattr(dialog.call_id)}{tags} direction="{way}"'


def _remote(desk: Desk, tenant: int, dialog: Dialog | None) -> str:
    """Who is at the other end. An outside number that a colleague has called is nobody else's
    business, as in the call lists."""
    if dialog is None:
        return ""
    name, number = "", dialog.number
    if dialog.hidden:
        uri, name = ANONYMOUS_URI, "Anonymous"
    else:
        found = desk.colleague(tenant, dialog.user, number.removeprefix("+"))
        name, number = found or ("", number)
        if not number:
            return ""
        uri = f"sip:{number}@{desk.edge}"
    shown = f" display={quoteattr(name)}" if name else ""
    return (f"<remote><identity{shown}>{escape(uri)}</identity>"
            f"<target uri={quoteattr(uri)}/></remote>")
