"""The audio of prompts: uploaded, made ready for the telephone, and kept under its sha256.

A call plays the files of the sha256 that its prompt had when it began; so nothing is ever written
over, and files that no prompt has any more stay: an earlier configuration names them.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from sanic import Blueprint, HTTPResponse, Request
from sanic.response import file_stream

from api.config.checks import visible
from api.config.routes import respond, shown
from api.http.context import check_tenant, parts_of
from api.http.errors import Problem, no_such
from rtp import audio
from rtp.errors import BadAudio
from store.sqlite import SqliteWriter

prompts = Blueprint("prompts", url_prefix="/v1/tenants/<tenant:int>/prompts/<prompt:int>")

FOLDER = "prompts"
#: Conversions at a time; each may take a processor for seconds.
_AT_ONCE = asyncio.Semaphore(2)


@prompts.put("/audio", stream=True)
async def upload(request: Request, tenant: int, prompt: int) -> HTTPResponse:
    """The body is a sound file of any usual format; the prompt is heard so from now on."""
    parts = parts_of(request)
    who = parts.who(request)
    check_tenant(who, tenant)
    visible(parts.store.get("prompt", prompt), tenant)
    folder = parts.state / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    work = Path(tempfile.mkdtemp(prefix=audio.UNFINISHED, dir=folder))
    try:
        await _receive(request, work / "upload")
        async with _AT_ONCE:
            made = await asyncio.to_thread(_normalise, work)
        await asyncio.to_thread(_keep, work / "sound", folder / made.sha256)
    except BadAudio as error:
        raise Problem(422, "invalid", str(error), "audio") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
    return _change(request, tenant, prompt, made.sha256, made.duration_ms)


@prompts.get("/audio")
async def listen(request: Request, tenant: int, prompt: int) -> HTTPResponse:
    """As a telephone plays it: WAV, 8 kHz."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    row: Any = visible(parts.store.get("prompt", prompt), tenant)
    path = parts.state / FOLDER / (row.sha256 or "none") / "8k.wav"
    if not path.exists():
        raise no_such("audio of this prompt")
    return await file_stream(path, mime_type="audio/wav",
                             filename=f"prompt-{prompt}.wav")  # type: ignore[return-value]


@prompts.delete("/audio")
async def remove(request: Request, tenant: int, prompt: int) -> HTTPResponse:
    """The text is spoken again."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    row: Any = visible(parts.store.get("prompt", prompt), tenant)
    if not row.sha256:
        raise no_such("audio of this prompt")
    return _change(request, tenant, prompt, "", 0)


def _change(request: Request, tenant: int, prompt: int, sha256: str,
            duration_ms: int) -> HTTPResponse:
    parts = parts_of(request)
    made: list[Any] = []

    def work(writer: SqliteWriter) -> None:
        before = visible(writer.get("prompt", prompt), tenant)
        made.append(writer.replace(msgspec.structs.replace(before, sha256=sha256,
                                                           duration_ms=duration_ms)))

    parts.publisher.change(parts.who(request).name, parts.now_ms(),
                           f"audio of prompt {prompt}", work)
    return respond(shown("prompt", made[0]))


async def _receive(request: Request, path: Path) -> None:
    """The body into a file; Problem 413."""
    with path.open("wb") as file:
        size = 0
        async for part in _parts(request):
            size += len(part)
            if size > audio.MAX_BYTES:
                raise Problem(413, "http",
                              f"more than {audio.MAX_BYTES // 1_000_000} MB: send it as FLAC or "
                              "MP3, or shorten it")
            file.write(part)


async def _parts(request: Request) -> AsyncIterator[bytes]:
    stream: Any = request.stream
    while part := await stream.read():
        yield part


def _normalise(work: Path) -> audio.Prompt:
    return audio.normalise(work / "upload", work / "sound")


def _keep(made: Path, into: Path) -> None:
    """Move the finished files to their name; the same sound may be there already."""
    if audio.whole(into):
        return
    shutil.rmtree(into, ignore_errors=True)
    made.rename(into)
    folder = os.open(into.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
