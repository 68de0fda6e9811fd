"""rtpengine's ng protocol over UDP: "<cookie> <bencoded dictionary>", answered with the cookie.

A request that is not answered is sent again with the same cookie, which rtpengine answers from its
cache without doing it twice. Cookies are random: the cache lives for a minute across clients, and
a repeated cookie would bring another call's SDP (facts.md).
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Self

import bencodepy

from rtp.errors import MediaRefused, MediaTimeout, NoMediaNode

#: Wait for the first answer, and how often it is asked again, each time twice as long.
FIRST_TIMEOUT_S: Final = 0.1
TRIES: Final = 3
MAX_DATAGRAM: Final = 65000
MAX_PENDING: Final = 10_000

Reply = dict[str, Any]


class Node(NamedTuple):
    """An rtpengine's ng address."""

    host: str
    port: int


class Health:
    """What is known of a node."""

    def __init__(self) -> None:
        self.up = True
        self.missed = 0
        self.sessions = 0


def encode(cookie: str, command: dict[str, Any]) -> bytes:
    """A datagram."""
    body: bytes = bencodepy.encode(command)
    return cookie.encode("ascii") + b" " + body


def decode(datagram: bytes) -> tuple[str, Reply]:
    """(cookie, dictionary); ValueError when it is not one."""
    cookie, space, body = datagram.partition(b" ")
    if not space or len(datagram) > MAX_DATAGRAM:
        raise ValueError("no cookie")
    try:
        found = bencodepy.decode(body)
    except Exception as error:  # the library raises several kinds
        raise ValueError(f"not bencoded: {error}") from error
    if not isinstance(found, dict):
        raise ValueError("not a dictionary")
    return cookie.decode("ascii", "replace"), _texts(found)


def _texts(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {_texts(key): _texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    return value


class NgClient(asyncio.DatagramProtocol):
    """Commands to a set of nodes. A call's commands all go to one node: the caller keeps it.

    async with NgClient([Node("127.0.0.1", 2223)]) as client: ...
    """

    def __init__(self, nodes: list[Node], *, timeout_s: float = FIRST_TIMEOUT_S,
                 tries: int = TRIES, new_cookie: Callable[[], str] | None = None) -> None:
        self.nodes = nodes
        self.health = {node: Health() for node in nodes}
        self._timeout_s = timeout_s
        self._tries = tries
        self._new_cookie = new_cookie or (lambda: secrets.token_hex(12))
        self._pending: dict[str, tuple[asyncio.Future[Reply], Node]] = {}
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0))
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._transport:
            self._transport.close()
        for future, _ in self._pending.values():
            future.cancel()
        self._pending.clear()

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """An answer; anything else is dropped."""
        try:
            cookie, reply = decode(data)
        except ValueError:
            return
        future, node = self._pending.get(cookie, (None, None))
        if future is not None and node == (addr[0], addr[1]) and not future.done():
            future.set_result(reply)

    def error_received(self, _error: Exception) -> None:
        """A refused port shows as silence, and is handled as such."""

    # -- choosing -----------------------------------------------------------------------------

    def choose(self) -> Node:
        """The node that is up and has the fewest sessions; NoMediaNode."""
        up = [node for node in self.nodes if self.health[node].up]
        if not up:
            raise NoMediaNode(f"none of {len(self.nodes)} media nodes answers")
        return min(up, key=lambda node: self.health[node].sessions)

    async def probe(self, node: Node, *, misses: int = 2) -> bool:
        """Ask whether the node is there; it is down after so many misses in a row."""
        health = self.health[node]
        try:
            await self.command(node, "ping", tries=1)
        except (MediaTimeout, MediaRefused):
            health.missed += 1
            health.up = health.up and health.missed < misses
        else:
            health.missed = 0
            health.up = True
        return health.up

    async def measure(self, node: Node) -> int:
        """The node's sessions now, for choose()."""
        reply = await self.command(node, "statistics")
        current = reply.get("statistics", reply).get("currentstatistics", {})
        self.health[node].sessions = int(current.get("sessionstotal", 0))
        return self.health[node].sessions

    # -- commands -----------------------------------------------------------------------------

    async def command(self, node: Node, name: str, *, tries: int | None = None,
                      **arguments: Any) -> Reply:
        """Send a command with arguments named as in the protocol: **{"call-id": ...}.

        Raises MediaTimeout, or MediaRefused with the node's reason.
        """
        if self._transport is None:
            raise NoMediaNode("the client is not open")
        if len(self._pending) >= MAX_PENDING:
            raise MediaTimeout("too many commands are waiting already")
        cookie = self._new_cookie()
        datagram = encode(cookie, {"command": name, **arguments})
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._pending[cookie] = (future, node)
        timeout = self._timeout_s
        try:
            for _ in range(tries or self._tries):
                self._transport.sendto(datagram, node)
                try:
                    reply = await asyncio.wait_for(asyncio.shield(future), timeout)
                    break
                except TimeoutError:
                    timeout *= 2
            else:
                raise MediaTimeout(f"{node.host}:{node.port} does not answer {name}")
        finally:
            self._pending.pop(cookie, None)
        if reply.get("result") not in ("ok", "pong"):
            raise MediaRefused(str(reply.get("error-reason", reply.get("result", "no result"))))
        return reply

    async def offer(self, node: Node, call_id: str, from_tag: str, sdp: str,
                    **flags: Any) -> str:
        """The SDP for the other side."""
        reply = await self.command(node, "offer", **{
            "call-id": call_id, "from-tag": from_tag, "sdp": sdp, **flags})
        return str(reply["sdp"])

    async def answer(self, node: Node, call_id: str, from_tag: str, to_tag: str, sdp: str,
                     **flags: Any) -> str:
        """The SDP for the side that offered."""
        reply = await self.command(node, "answer", **{
            "call-id": call_id, "from-tag": from_tag, "to-tag": to_tag, "sdp": sdp, **flags})
        return str(reply["sdp"])

    async def delete(self, node: Node, call_id: str, from_tag: str) -> Reply:
        """End the call; its statistics."""
        arguments: Reply = {"call-id": call_id, "from-tag": from_tag, "delete-delay": 0}
        return await self.command(node, "delete", **arguments)

    async def query(self, node: Node, call_id: str) -> Reply:
        """What the node knows of a call; MediaRefused when it does not know it."""
        arguments: Reply = {"call-id": call_id}
        return await self.command(node, "query", **arguments)

    async def calls(self, node: Node, limit: int = 100_000) -> list[str]:
        """The call-ids that the node has."""
        reply = await self.command(node, "list", limit=limit)
        return [str(call) for call in reply.get("calls", [])]
