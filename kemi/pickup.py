"""Pickup by Replaces (RFC 3891): a telephone that watches a colleague's line asks for the call that
rings there by the name that it was told (RFC 4235); it gets what the code for pickup gives."""

import msgspec

from kemi.uris import parameter
from routing_core import Live
from routing_core.codes import SlotState
from routing_core.handover import ringing_at

#: The code for picking up what rings at an extension (docs/codes.md).
PICKUP = "**"
MAX_REPLACES = 512


def code_of(live: Live, tenant: int, replaces: str) -> str | None:
    """The code that a Replaces of the company's telephone stands for; "" when the call is over,
    None when it means something else and is between the telephones."""
    if len(replaces) > MAX_REPLACES:
        return None
    extension = ringing_at(parameter(replaces, "to-tag"))
    if not extension:
        return None
    call_id, caller = replaces.partition(";")[0].strip(), parameter(replaces, "from-tag")
    for slot, nonce in live.calls(SlotState.SETUP):
        call = live.call(slot, nonce)
        if call is None or call["tenant"] != tenant:
            continue
        setup = msgspec.json.decode(call["setup"] or b"{}")
        if setup.get("call_id") == call_id and setup.get("party", ("", "", ""))[2] == caller:
            return PICKUP + extension
    return ""
