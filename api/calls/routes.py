"""One call: its record with its legs, and its sound."""

from typing import Any

import msgspec
from sanic.response import file_stream

from api.calls import list_routes as list_routes
from api.calls.lists import for_viewer
from api.calls.shapes import CallWithLegs
from api.http.errors import no_such
from api.http.route import Call, route
from store.model import CallRecord


def _visible(call: Call) -> CallRecord:
    record: CallRecord = call.store.call(call.text("uid"))
    if call.who.tenant not in (None, record.tenant) or (
            call.own is not None and not call.store.party_role(call.own, record.uid)):
        raise no_such("call")
    return record


@route("GET", "/v1/calls/{uid:str}", "records:read", own="rows", answer=CallWithLegs)
async def one(call: Call) -> Any:
    """A call record, with its legs."""
    record = _visible(call)
    found = [record, *(leg for leg in call.store.legs(record.uid) if leg.tenant == record.tenant)]
    if call.who.tenant is not None:
        found = [for_viewer(one, call.who.user) for one in found]
    return msgspec.to_builtins(found[0]) | {"legs": found[1:]}


@route("GET", "/v1/calls/{uid:str}/recording", "recordings:read", own="rows", media="audio/flac")
async def recording(call: Call) -> Any:
    """Listen to a call: FLAC, the caller left, the called side right."""
    record = _visible(call)
    found = call.store.recording(record.uid)
    call.note_audit(f"listened to recording {record.uid}")
    return await file_stream(call.parts.state / found.path, mime_type="audio/flac",
                             filename=f"{record.uid}.flac")
