"""A connection of a client that costs little: HTTP/1.1 with keep-alive, written by hand, so that a
thousand of them fit beside what they ask."""

import asyncio
import json
from typing import Any, NamedTuple, Self

#: Longer than any answer takes; a long poll waits for 25 s.
WAIT_S = 60.0


class Answer(NamedTuple):
    """What came back; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as what it says."""
        return json.loads(self.body) if self.body else None


class Connection:
    """async with Connection(host, port, key) as connection: await connection.ask("GET", "/v1/me").
    OSError and EOFError when the other side has gone."""

    def __init__(self, host: str, port: int, key: str) -> None:
        self._at = host, port
        self._common = f"Host: {host}\r\nAuthorization: Bearer {key}\r\n"
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """The next request opens it again."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def ask(self, method: str, path: str, body: Any = None,
                  **headers: str) -> Answer:
        """body: bytes as they are, anything else as JSON; names of headers with "_" for "-"."""
        content = b"" if body is None else body if isinstance(body, bytes) \
            else json.dumps(body).encode()
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        request = (f"{method} {path} HTTP/1.1\r\n{self._common}{more}"
                   f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
                   ).encode() + content
        try:
            async with asyncio.timeout(WAIT_S):
                return await self._exchange(request)
        except BaseException:
            self.close()
            raise

    async def _exchange(self, request: bytes) -> Answer:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(*self._at)
        self._writer.write(request)
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        pairs = (line.partition(": ") for line in lines)
        headers = {name.lower(): value for name, _, value in pairs}
        body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.close()
        return Answer(int(first.split()[1]), headers, body)
