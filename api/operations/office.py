"""Health and metrics of this process, opened once in api/app.py; and a port for Prometheus on
loopback that asks for no key (the setting metrics_port)."""

import asyncio
import contextlib
from typing import Final, Self

from api.http.parts import Parts
from api.operations.checks import Around
from api.operations.health import Health
from api.operations.scrape import CONTENT_TYPE, scrape

#: A request for metrics is short, and comes at once.
MAX_REQUEST: Final = 8192
REQUEST_S: Final = 2.0


class Operations:
    """operations = await Operations.open(parts)"""

    def __init__(self, health: Health) -> None:
        self.health = health
        self._server: asyncio.Server | None = None

    @classmethod
    async def open(cls, parts: Parts) -> Self:
        """Begin to look."""
        health = Health(Around(parts.state, parts.settings, parts.store, parts.publisher.live,
                               parts.kernel))
        await health.open()
        made = cls(health)
        if port := parts.settings.get("metrics_port", 0):
            await made.listen(port)
        return made

    async def listen(self, port: int) -> None:
        """Answer GET /metrics there, to whoever is on this machine."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port,
                                                  limit=MAX_REQUEST)

    async def close(self) -> None:
        """See open()."""
        if self._server:
            self._server.close()
        await self.health.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError,
                                 asyncio.LimitOverrunError):
            async with asyncio.timeout(REQUEST_S):
                request = await reader.readuntil(b"\r\n\r\n")
            if request.startswith(b"GET /metrics "):
                status, body = "200 OK", await scrape(self.health)
            else:
                status, body = "404 Not Found", b""
            writer.write(f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: "
                         f"{len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            async with asyncio.timeout(REQUEST_S):
                await writer.drain()
        writer.close()
