"""Voice messages, callback requests, and what is sent about them (R3, R4, I6)."""

import asyncio
import io
from pathlib import Path
from typing import Any

import msgspec
import soundfile
from sanic.response import file_stream, raw

from api.http.errors import no_such
from api.http.route import Call, route
from api.mailboxes.shapes import (
    AudioQuery,
    CallbackBody,
    CallbackList,
    Callbacks,
    Deliveries,
    DeliveryList,
    MessageBody,
    MessageList,
    Messages,
    MessageShown,
)
from api.retention.now import delete
from store.model import CallbackRequest, VoiceMessage

BASE = "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages"


def _check_mailbox(call: Call) -> int:
    """The mailbox of the path, when the caller may listen to it; Problem."""
    row = call.visible("service", call.id("mailbox"))
    if row.settings.__struct_config__.tag != "mailbox":
        raise no_such("mailbox")
    if call.own is not None and call.own != row.settings.user \
            and call.own not in row.settings.listeners:
        raise no_such("mailbox")
    return int(row.id)


def _message(call: Call) -> VoiceMessage:
    mailbox = _check_mailbox(call)
    message: VoiceMessage = call.store.message(call.text("uid"))
    if (message.tenant, message.mailbox) != (call.tenant, mailbox):
        raise no_such("message")
    return message


def _shown(message: VoiceMessage) -> MessageShown:
    fields = msgspec.structs.asdict(message)
    return MessageShown(**fields | {"has_audio": bool(fields.pop("path"))})


@route("GET", BASE, "mailboxes:read", own="rows", query=MessageList, answer=Messages)
async def messages(call: Call) -> Messages:
    """A mailbox's messages. The newest first; by default those that are new or saved."""
    mailbox = _check_mailbox(call)
    wanted = call.query.state
    found = call.store.messages(mailbox, states=(wanted,) if wanted else ("new", "saved"),
                                limit=call.query.limit)
    new, saved = call.store.message_counts(mailbox)
    return Messages([_shown(message) for message in found], new, saved)


@route("GET", BASE + "/{uid:str}", "mailboxes:read", own="rows", answer=MessageShown)
async def message(call: Call) -> MessageShown:
    """One message."""
    return _shown(_message(call))


@route("GET", BASE + "/{uid:str}/audio", "mailboxes:read", own="rows", query=AudioQuery,
       media="audio/flac, audio/wav")
async def message_audio(call: Call) -> Any:
    """Listen to a message: FLAC, or WAV with format=wav."""
    found = _message(call)
    path = call.parts.state / found.path
    if not found.path or not path.exists():
        raise no_such("audio of this message")
    call.note_audit(f"listened to message {found.uid}")
    if call.query.format == "wav":
        return raw(await asyncio.to_thread(as_wav, path), content_type="audio/wav",
                   headers={"Content-Disposition": f'attachment; filename="{found.uid}.wav"'})
    return await file_stream(path, mime_type="audio/flac", filename=f"{found.uid}.flac")


def as_wav(path: Path) -> bytes:
    """Of any sound file."""
    samples, rate = soundfile.read(path, dtype="int16")
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format="WAV", subtype="PCM_16")
    return out.getvalue()


@route("PATCH", BASE + "/{uid:str}", "mailboxes:write", own="rows", body=MessageBody,
       answer=MessageShown, errors=("conflict",))
async def change_message(call: Call) -> Any:
    """Mark a message as heard, kept or deleted. A deleted one can be taken back for a day."""
    uid = _message(call).uid
    return await call.keep(lambda: _shown(
        call.store.set_message_state(uid, call.body.state, call.now_ms, call.who.by)))


@route("DELETE", BASE + "/{uid:str}", "mailboxes:write", own="rows", status=204)
async def delete_message(call: Call) -> None:
    """Delete a message at once, with its audio, and a line in the ledger of deletions."""
    found = _message(call)
    if found.state == "recording":
        await call.keep(lambda: call.store.set_message_state(
            found.uid, "deleted", call.now_ms, call.who.by))
    elif not await delete(call, "message", found.uid):
        raise no_such("message")


@route("GET", "/v1/tenants/{tenant}/callbacks", "callbacks:read", query=CallbackList,
       answer=Callbacks)
async def callbacks(call: Call) -> Callbacks:
    """Who wants to be called."""
    query: CallbackList = call.query
    found = call.store.callbacks(call.tenant, open_only=query.open, service=query.service,
                                 after=query.after, limit=query.limit)
    return Callbacks(found, found[-1].id if len(found) == query.limit else None)


@route("PATCH", "/v1/tenants/{tenant}/callbacks/{callback}", "callbacks:write", body=CallbackBody,
       answer=CallbackRequest)
async def change_callback(call: Call) -> Any:
    """Note that somebody has called back, or not after all."""
    callback = call.id("callback")
    if call.store.callback(callback).tenant != call.tenant:
        raise no_such("callback request")
    done_ms = call.now_ms if call.body.done else 0
    return await call.keep(lambda: call.store.set_callback_done(callback, done_ms))


@route("GET", "/v1/tenants/{tenant}/deliveries", "deliveries:read", query=DeliveryList,
       answer=Deliveries)
async def deliveries(call: Call) -> Deliveries:
    """Mails, SMS and webhook calls: sent, waiting, or given up (done, with an error)."""
    query: DeliveryList = call.query
    found = call.store.deliveries(call.tenant, pending=query.pending, limit=query.limit,
                                  after=query.after)
    return Deliveries(found, found[-1].id if len(found) == query.limit else None)
