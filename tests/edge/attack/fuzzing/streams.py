"""Connections of the fuzzer to the exchange: TCP, TLS and WebSocket, broken as they come."""

import base64
import os
import re
import socket
import ssl
import struct
from typing import Final

from tests.edge.attack.fuzzing.fill import Sender

#: Where a message begins in what has come.
START: Final = re.compile(rb"(?=SIP/2\.0 \d{3} )|(?=(?:INVITE|BYE|CANCEL|OPTIONS|NOTIFY|ACK) sip)")
NAMES: Final = {"tcp": "TCP", "tls": "TLS", "ws": "WS", "wss": "WSS"}
WAIT_S: Final = 2.0


class Closed(Exception):
    """The exchange has closed it."""


class Stream:
    """A connection of one kind."""

    def __init__(self, kind: str, source: str, edge: tuple[str, int], tls_port: int,
                 domain: str) -> None:
        self.kind = kind
        self.closed = False
        self.sent = 0
        port = tls_port if kind in ("tls", "wss") else edge[1]
        self._sock: socket.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._sock.settimeout(WAIT_S)
        self._sock.bind((source, 0))
        self._sock.connect((edge[0], port))
        self.sender = Sender(*self._sock.getsockname(), edge, domain=domain,
                             transport=NAMES[kind])
        if kind in ("tls", "wss"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._sock = context.wrap_socket(self._sock, server_hostname=domain)
        if kind in ("ws", "wss"):
            self._shake_hands(domain)

    def _shake_hands(self, domain: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self._sock.sendall((
            f"GET / HTTP/1.1\r\nHost: {domain}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: sip\r\nContent-Length: 0\r\n\r\n").encode())
        if b" 101 " not in self._sock.recv(1 << 16):
            raise Closed

    def send(self, raw: bytes) -> None:
        """One message; of a WebSocket in a frame."""
        self.sent += 1
        self._sock.settimeout(WAIT_S)
        self._sock.sendall(self._frame(raw) if self.kind in ("ws", "wss") else raw)

    def _frame(self, raw: bytes) -> bytes:
        mask = os.urandom(4)
        size = len(raw)
        head = struct.pack(">BB", 0x81, 0x80 | size) if size < 126 else (
            struct.pack(">BBH", 0x81, 0x80 | 126, size) if size < 65536
            else struct.pack(">BBQ", 0x81, 0x80 | 127, size))
        key = int.from_bytes((mask * (size // 4 + 1))[:size])
        return head + mask + (int.from_bytes(raw) ^ key).to_bytes(size)

    def exchange(self, raw: bytes) -> list[bytes]:
        """Send it, and what has come by then; Closed."""
        self.send(raw)
        self._sock.settimeout(0.002)
        try:
            data = self._sock.recv(1 << 16)
        except (TimeoutError, ssl.SSLWantReadError):
            return []
        if not data:
            self.closed = True
            raise Closed
        return [part for part in START.split(data) if part[:1].isalpha()]

    def close(self) -> None:
        """Whether or not it is closed already."""
        self.closed = True
        self._sock.close()
