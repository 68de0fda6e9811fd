"""Recordings: which there are, their sound, and what is done with them (R1)."""

import asyncio
from typing import Any

from sanic import HTTPResponse
from sanic.response import ResponseStream

from api.http.errors import Problem, no_such
from api.http.route import Call, route
from api.recordings.shapes import AudioQuery, KeepBody, Kept, Recordings, RecordingsQuery
from api.recordings.sound import Part, open_sound, part_of
from api.retention.now import delete
from store.retention import ListedRecording, WantedRecordings

_ALL = "/v1/tenants/{tenant}/recordings"
_ONE = _ALL + "/{uid:str}"


def _found(call: Call) -> ListedRecording:
    found: ListedRecording = call.store.listed_recording(call.tenant, call.text("uid"))
    if call.own is not None and not (
            call.store.party_role(call.own, found.call)
            or (found.conversation and call.store.party_role(call.own, found.conversation))):
        raise no_such("recording")
    return found


@route("GET", _ALL, "recordings:read", own="rows", query=RecordingsQuery, answer=Recordings)
async def recordings(call: Call) -> Recordings:
    """The recordings of the company, the newest first; a user sees those of the own calls."""
    query: RecordingsQuery = call.query
    if call.own is not None and query.user not in (None, call.own):
        return Recordings(items=[], next=None)
    at, _, uid = query.after.partition(".")
    found: list[ListedRecording] = call.store.recordings(
        call.tenant, WantedRecordings(
            from_ms=query.from_ms, to_ms=query.to_ms, call=query.call, number=query.number,
            user=query.user if call.own is None else call.own, direction=query.direction,
            min_ms=query.min_s * 1000, keep=query.keep),
        after=(int(at), uid) if at else None, limit=query.limit)
    last = found[-1] if len(found) == query.limit else None
    return Recordings(items=found, next=f"{last.started_ms}.{last.uid}" if last else None)


@route("GET", _ONE, "recordings:read", own="rows", answer=ListedRecording)
async def recording(call: Call) -> ListedRecording:
    """One recording."""
    return _found(call)


@route("GET", _ONE + "/audio", "recordings:read", own="rows", query=AudioQuery,
       media="audio/flac, audio/wav", errors=("range",))
async def audio(call: Call) -> HTTPResponse | ResponseStream:
    """The sound: the caller left, the called side right. As FLAC, or as WAV (16 bits). Range is
    understood; whoever listens is noted."""
    found, query = _found(call), call.query
    path = call.parts.state / call.store.recording(found.uid).path
    try:
        sound = await asyncio.to_thread(open_sound, path, query.format)
    except FileNotFoundError as error:
        raise no_such("audio of this recording") from error
    call.note_audit(f"{'downloaded' if query.download else 'listened to'} recording {found.uid}")
    tag = f'"{found.sha256}.{query.format}"'
    asked = call.request.headers
    wanted = asked.get("range") if asked.get("if-range", tag) == tag else None
    try:
        part = part_of(wanted, sound.size)
    except ValueError as error:
        raise Problem(416, "range", f"it has {sound.size} bytes",
                      headers={"Content-Range": f"bytes */{sound.size}"}) from error
    headers = {"Accept-Ranges": "bytes", "ETag": tag, "Cache-Control": "private, no-store",
               "Content-Disposition": f"{'attachment' if query.download else 'inline'}; "
                                      f'filename="{found.uid}.{query.format}"'}
    if part is not None:
        headers["Content-Range"] = f"bytes {part.first}-{part.last}/{part.size}"
    status, part = (206, part) if part else (200, Part(0, sound.size - 1, sound.size))
    headers["Content-Length"] = str(part.length)
    blocks = sound.read(part.first, part.length)

    async def send(response: Any) -> None:
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            await response.write(block)

    return ResponseStream(send, status, headers, f"audio/{query.format}")


@route("PATCH", _ONE, "recordings:write", body=KeepBody, answer=ListedRecording)
async def keep(call: Call) -> ListedRecording:
    """Keep a recording whatever the company's policy says, or no longer."""
    uid = _found(call).uid

    def work() -> ListedRecording:
        call.store.set_keep("recording", call.tenant, uid, call.body.keep)
        return _found(call)

    kept: ListedRecording = await call.keep(work)
    return kept


@route("DELETE", _ONE, "recordings:write", status=204, errors=("not_now",))
async def remove(call: Call) -> None:
    """Delete a recording, with a line in the ledger of deletions."""
    found = _found(call)
    if found.keep:
        raise Problem(409, "not_now", "it is kept: release it first, and its call")
    if not await delete(call, "recording", found.uid):
        raise no_such("recording")


@route("PATCH", "/v1/tenants/{tenant}/calls/{uid:str}", "recordings:write", body=KeepBody,
       answer=Kept)
async def keep_call(call: Call) -> Kept:
    """Keep a call with its legs and its recording whatever the company's policy says, or no
    longer."""
    def work() -> Kept:
        call.store.set_keep("call", call.tenant, call.text("uid"), call.body.keep)
        return Kept(uid=call.text("uid"), keep=call.body.keep)

    kept: Kept = await call.keep(work)
    return kept
