"""Asking other processes over sockets whether they are there, by the means that they have."""

import asyncio
import json
import os
import socket
import struct
from pathlib import Path
from typing import Any, Final

MAX_ANSWER: Final = 65_536
#: struct ucred: pid, uid, gid.
_CREDENTIALS: Final = struct.Struct("3i")


class _Datagram(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _address: Any) -> None:
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


async def datagram(host: str, port: int, question: bytes, wait_s: float) -> bytes:
    """The answer, b"" when there is none in time; OSError when nobody has the port."""
    transport, heard = await asyncio.get_running_loop().create_datagram_endpoint(
        _Datagram, remote_addr=(host, port))
    try:
        transport.sendto(question)
        async with asyncio.timeout(wait_s):
            return await heard.answer
    except TimeoutError:
        return b""
    finally:
        transport.close()


def options(host: str, port: int, number: int) -> bytes:
    """A SIP keep-alive (RFC 3261 section 11), which a worker of the edge answers."""
    return (f"OPTIONS sip:{host}:{port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:9;branch=z9hG4bKhealth{number};rport\r\n"
            f"From: <sip:health@{host}>;tag=health\r\nTo: <sip:{host}>\r\n"
            f"Call-ID: health{number}@{host}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 1\r\n"
            "User-Agent: vaxel\r\nContent-Length: 0\r\n\r\n").encode()


async def mixer(path: Path) -> int:
    """The pid of the Janus that answers at that socket; OSError, ValueError when none does."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as probe:
        # By way of the directory: a socket's own path may not be longer than 107 bytes.
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            await loop.sock_connect(probe, f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
        await loop.sock_sendall(probe, b'{"janus":"ping","transaction":"health"}')
        answer = json.loads(await loop.sock_recv(probe, MAX_ANSWER))
        if answer.get("janus") != "pong":
            raise ValueError("no pong")
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[0])
