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
from sanic import Request
from sanic.response import file_stream

from api.config.routes import shown
from api.config.shapes import SHOWN
from api.http.errors import Problem, no_such
from api.http.route import Call, route, visible
from rtp import audio
from rtp.errors import BadAudio
from store.sqlite import SqliteWriter

PATH = "/v1/tenants/{tenant}/prompts/{prompt}/audio"
FOLDER = "prompts"
#: Conversions at a time; each may take a processor for seconds.
_AT_ONCE = asyncio.Semaphore(2)


@route("PUT", PATH, "prompts:write", body=bytes, takes="audio/*", stream=True,
       answer=SHOWN["prompt"], errors=("too_large",))
async def upload(call: Call) -> Any:
    """Upload how a prompt sounds. The body is a sound file of any usual format."""
    call.visible("prompt", call.id("prompt"))
    folder = call.parts.state / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    work = Path(tempfile.mkdtemp(prefix=audio.UNFINISHED, dir=folder))
    try:
        await _receive(call.request, work / "upload")
        async with _AT_ONCE:
            made = await asyncio.to_thread(_normalise, work)
        await asyncio.to_thread(_keep, work / "sound", folder / made.sha256)
    except BadAudio as error:
        raise Problem(422, "invalid", str(error), "audio") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
    return await _change(call, made.sha256, made.duration_ms)


@route("GET", PATH, "prompts:read", media="audio/wav")
async def listen(call: Call) -> Any:
    """Listen to a prompt as a telephone plays it: WAV, 8 kHz."""
    row = call.visible("prompt", call.id("prompt"))
    path = call.parts.state / FOLDER / (row.sha256 or "none") / "8k.wav"
    if not path.exists():
        raise no_such("audio of this prompt")
    return await file_stream(path, mime_type="audio/wav", filename=f"prompt-{row.id}.wav")


@route("DELETE", PATH, "prompts:write", answer=SHOWN["prompt"])
async def remove(call: Call) -> Any:
    """Remove the sound of a prompt. The text is spoken again."""
    if not call.visible("prompt", call.id("prompt")).sha256:
        raise no_such("audio of this prompt")
    return await _change(call, "", 0)


async def _change(call: Call, sha256: str, duration_ms: int) -> Any:
    prompt = call.id("prompt")

    def work(writer: SqliteWriter) -> Any:
        before = visible(writer.get("prompt", prompt), call.tenant)
        return shown("prompt", writer.replace(msgspec.structs.replace(
            before, sha256=sha256, duration_ms=duration_ms)))

    return await call.change(f"audio of prompt {prompt}", work)


async def _receive(request: Request, path: Path) -> None:
    """The body into a file; Problem 413."""
    with path.open("wb") as file:
        size = 0
        async for part in _parts(request):
            size += len(part)
            if size > audio.MAX_BYTES:
                raise Problem(413, "too_large",
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
