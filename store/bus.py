"""What processes ask each other: a question to one process by name, one answer.

The embedded side: a Unix socket per process in the state directory, a JSON line each way. The
socket's directory is the owner's alone, which is all the authentication there is; names are ours.
Another side (NATS) has the same two classes.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from store.errors import StoreError

#: A question or an answer is never longer.
MAX_LINE: Final = 16 << 20
#: Questions of one process that may be under way at once.
MAX_OPEN: Final = 500
#: Longest path that a Unix socket may have (man 7 unix), with a margin.
MAX_PATH: Final = 100

Answer = dict[str, Any]
Handler = Callable[[dict[str, Any]], Awaitable[Answer]]


class NobodyThere(StoreError):
    """The process does not answer."""


def path_of(state: Path, name: str) -> Path:
    """Where a process is asked."""
    found = state / "bus" / f"{name}.sock"
    if len(str(found)) > MAX_PATH:
        import hashlib

        digest = hashlib.sha256(str(found).encode()).hexdigest()[:24]
        found = Path("/tmp") / f"vaxel-{digest}.sock"  # noqa: S108 (only its owner may connect)
    return found


class BusServer:
    """Answers questions to `name`. async with BusServer(state, "control.0", handler): ..."""

    def __init__(self, state: Path, name: str, handler: Handler) -> None:
        self._path = path_of(state, name)
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._open = 0

    async def __aenter__(self) -> "BusServer":
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=MAX_LINE)
        self._path.chmod(0o600)
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._server:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            answer: Answer
            if self._open >= MAX_OPEN:
                answer = {"error": "too many questions at once"}
            else:
                self._open += 1
                try:
                    answer = await self._handler(json.loads(line))
                finally:
                    self._open -= 1
        except (ValueError, RecursionError) as error:
            answer = {"error": f"not a question: {type(error).__name__}"}
        with contextlib.suppress(OSError):
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
            writer.close()


async def ask(state: Path, name: str, question: dict[str, Any], timeout_s: float = 5.0) -> Answer:
    """The answer of the process; NobodyThere."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(path_of(state, name),
                                                                limit=MAX_LINE)
            try:
                writer.write(json.dumps(question).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
        answer = json.loads(line)
    except (OSError, ValueError, TimeoutError) as error:
        raise NobodyThere(f"{name} does not answer: {type(error).__name__}") from error
    return answer if isinstance(answer, dict) else {"error": "no answer"}
