"""Kamailio's management interface: JSON-RPC 2.0 over a loopback datagram socket."""

import asyncio
import itertools
import json
from typing import Any, Self

TIMEOUT_S = 1.0


class EdgeRpcError(Exception):
    """The edge does not answer, or says no."""


class EdgeRpc(asyncio.DatagramProtocol):
    """async with EdgeRpc(port) as edge: await edge.call("core.uptime")"""

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0))
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._transport:
            self._transport.close()

    def datagram_received(self, data: bytes, _address: Any) -> None:
        """An answer to one of the calls that wait."""
        try:
            reply = json.loads(data)
            future = self._pending.get(reply["id"])
        except (ValueError, KeyError, TypeError):
            return
        if future and not future.done():
            future.set_result(reply)

    def error_received(self, _error: Exception) -> None:
        """A refused port shows as silence."""

    async def call(self, method: str, *parameters: Any) -> Any:
        """The result of a call; EdgeRpcError."""
        if self._transport is None:
            raise EdgeRpcError("not open")
        id_ = next(self._ids)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[id_] = future
        body = {"jsonrpc": "2.0", "method": method, "params": list(parameters), "id": id_}
        try:
            self._transport.sendto(json.dumps(body).encode(), self._address)
            reply = await asyncio.wait_for(future, TIMEOUT_S)
        except TimeoutError as error:
            raise EdgeRpcError(f"the edge does not answer {method}") from error
        finally:
            self._pending.pop(id_, None)
        if "error" in reply:
            raise EdgeRpcError(f"{method}: {reply['error'].get('message', reply['error'])}")
        return reply.get("result")
