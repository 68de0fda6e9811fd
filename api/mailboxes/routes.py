"""Voice messages, callback requests, and what is sent about them (R3, R4, I6)."""

import asyncio
import io
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import soundfile
from sanic import Blueprint, HTTPResponse, Request
from sanic.response import file_stream, raw

from api.config.checks import visible
from api.config.routes import decode, respond
from api.http.context import check_tenant, flag, parts_of, whole
from api.http.errors import invalid, no_such
from api.keeping.deposits import remove
from store.messages import MessageState
from store.model import VoiceMessage

mailboxes = Blueprint("mailboxes", url_prefix="/v1/tenants/<tenant:int>")

MAX_PAGE = 1000


class MessageBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of a message."""

    state: Literal["new", "saved", "deleted"]


class CallbackBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether somebody has called back."""

    done: bool


def _check_mailbox(request: Request, tenant: int, mailbox: int) -> None:
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    row: Any = visible(parts.store.get("service", mailbox), tenant)
    if row.settings.__struct_config__.tag != "mailbox":
        raise no_such("mailbox")


def _message(request: Request, tenant: int, mailbox: int, uid: str) -> VoiceMessage:
    _check_mailbox(request, tenant, mailbox)
    message = parts_of(request).store.message(uid)
    if (message.tenant, message.mailbox) != (tenant, mailbox):
        raise no_such("message")
    return message


def _shown(message: VoiceMessage) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(message)
    body["has_audio"] = bool(body.pop("path"))
    return body


@mailboxes.get("/mailboxes/<mailbox:int>/messages")
async def messages(request: Request, tenant: int, mailbox: int) -> HTTPResponse:
    """The newest first; by default those that are new or saved."""
    _check_mailbox(request, tenant, mailbox)
    store = parts_of(request).store
    wanted: Any = request.args.get("state")
    if wanted is not None and wanted not in get_args(MessageState):
        raise invalid("state", f"one of {', '.join(get_args(MessageState))}")
    found = store.messages(mailbox, states=(wanted,) if wanted else ("new", "saved"),
                           limit=whole(request, "limit", 500, 1, MAX_PAGE))
    new, saved = store.message_counts(mailbox)
    return respond({"items": [_shown(message) for message in found], "new": new, "saved": saved})


@mailboxes.get("/mailboxes/<mailbox:int>/messages/<uid:str>")
async def message(request: Request, tenant: int, mailbox: int, uid: str) -> HTTPResponse:
    """One message."""
    return respond(_shown(_message(request, tenant, mailbox, uid)))


@mailboxes.get("/mailboxes/<mailbox:int>/messages/<uid:str>/audio")
async def message_audio(request: Request, tenant: int, mailbox: int, uid: str) -> HTTPResponse:
    """FLAC, or WAV with ?format=wav."""
    found = _message(request, tenant, mailbox, uid)
    path = parts_of(request).state / found.path
    form = request.args.get("format", "flac")
    if form not in ("flac", "wav"):
        raise invalid("format", "flac or wav")
    if not found.path or not path.exists():
        raise no_such("audio of this message")
    if form == "wav":
        return raw(await asyncio.to_thread(_as_wav, path), content_type="audio/wav",
                   headers={"Content-Disposition": f'attachment; filename="{found.uid}.wav"'})
    return await file_stream(path, mime_type="audio/flac",
                             filename=f"{found.uid}.flac")  # type: ignore[return-value]


def _as_wav(path: Path) -> bytes:
    samples, rate = soundfile.read(path, dtype="int16")
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format="WAV", subtype="PCM_16")
    return out.getvalue()


@mailboxes.patch("/mailboxes/<mailbox:int>/messages/<uid:str>")
async def change_message(request: Request, tenant: int, mailbox: int, uid: str) -> HTTPResponse:
    """Heard, kept, deleted; a deleted one can be taken back for a day."""
    parts = parts_of(request)
    _message(request, tenant, mailbox, uid)
    body: MessageBody = decode(request.body, MessageBody)
    return respond(_shown(parts.store.set_message_state(uid, body.state, parts.now_ms())))


@mailboxes.delete("/mailboxes/<mailbox:int>/messages/<uid:str>")
async def delete_message(request: Request, tenant: int, mailbox: int, uid: str) -> HTTPResponse:
    """Gone at once, with its audio."""
    parts = parts_of(request)
    found = _message(request, tenant, mailbox, uid)
    if found.state == "recording":
        parts.store.set_message_state(uid, "deleted", parts.now_ms())
    else:
        remove(parts.state, parts.store, parts.store.set_message_state(uid, "deleted", 0))
    return HTTPResponse(status=204)


@mailboxes.get("/callbacks")
async def callbacks(request: Request, tenant: int) -> HTTPResponse:
    """Who wants to be called, by ?service= and ?open=true."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    limit = whole(request, "limit", 100, 1, MAX_PAGE)
    found = parts.store.callbacks(
        tenant, open_only=flag(request, "open"),
        service=whole(request, "service", 0, 1, (1 << 62) - 1) or None,
        after=whole(request, "after", 0, 0, 1 << 62), limit=limit)
    return respond({"items": found, "next": found[-1].id if len(found) == limit else None})


@mailboxes.patch("/callbacks/<callback:int>")
async def change_callback(request: Request, tenant: int, callback: int) -> HTTPResponse:
    """Somebody has called back, or not after all."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    if callback >= 1 << 62 or parts.store.callback(callback).tenant != tenant:
        raise no_such("callback request")
    body: CallbackBody = decode(request.body, CallbackBody)
    return respond(parts.store.set_callback_done(callback, parts.now_ms() if body.done else 0))


@mailboxes.get("/deliveries")
async def deliveries(request: Request, tenant: int) -> HTTPResponse:
    """Mails and webhook calls: sent, waiting (?pending=true), or given up (done, with an error)."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    limit = whole(request, "limit", 100, 1, MAX_PAGE)
    found = parts.store.deliveries(tenant, pending=flag(request, "pending"), limit=limit,
                                   after=whole(request, "after", 0, 0, 1 << 62))
    return respond({"items": found, "next": found[-1].id if len(found) == limit else None})
