"""The same somebody with a TCP, TLS or WebSocket connection instead of a datagram socket."""

import base64
import os
import re
import socket
import ssl
import struct
import time

from tests.edge.attack.attacker import PATIENCE_S, Attacker
from tests.exchange import Exchange
from tests.message import Message

SECURE = ("tls", "wss")
TRANSPORTS = ("tcp", "tls", "wss")
LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)
#: Of a WebSocket frame (RFC 6455 section 5.2).
TEXT, PING, PONG = 1, 9, 10


class Line(Attacker):
    """A connection to the edge from an address of its own; OSError when there is none."""

    def __init__(self, exchange: Exchange, transport: str = "tcp", address: str = "127.0.0.1",
                 patience_s: float = PATIENCE_S) -> None:
        self.exchange = exchange
        self.transport = transport
        self.heard: list[Message] = []
        self._read = b""
        settings = exchange.settings
        secure = transport in SECURE
        plain = socket.create_connection(
            (settings.address, settings.tls_port if secure else settings.sip_port), patience_s,
            source_address=(address, 0))
        self._socket = plain
        try:
            if secure:
                self._socket = trusting(exchange).wrap_socket(
                    plain, server_hostname=settings.domain)
            self.address, self.port = self._socket.getsockname()
            if transport.startswith("ws"):
                self._shake_hands()
        except OSError:
            self._socket.close()
            raise

    def _shake_hands(self) -> None:
        self._socket.sendall(handshake(self.exchange.settings.domain))
        while b"\r\n\r\n" not in self._read:
            self._more()
        answer, _, self._read = self._read.partition(b"\r\n\r\n")
        if b" 101 " not in answer.split(b"\r\n")[0]:
            raise ConnectionError(answer[:60])

    def send(self, text: str | bytes) -> None:
        """To the exchange."""
        data = text if isinstance(text, bytes) else text.encode()
        self.raw(data.replace(b"SIP/2.0/UDP", f"SIP/2.0/{self.transport.upper()}".encode(), 1))

    def raw(self, data: bytes, kind: int = TEXT) -> None:
        """These bytes; in a frame on a WebSocket."""
        self._socket.settimeout(PATIENCE_S)
        self._socket.sendall(frame(data, kind) if self.transport.startswith("ws") else data)

    def next(self, seconds: float = PATIENCE_S) -> Message | None:
        """What comes next, None when nothing does; ConnectionError when it is closed."""
        until = time.monotonic() + seconds
        while True:
            taken = self._frame() if self.transport.startswith("ws") else self._message()
            if taken is not None:
                message = Message(taken.decode("latin-1"))
                self.heard.append(message)
                return message
            left = until - time.monotonic()
            if left <= 0:
                return None
            self._socket.settimeout(left)
            try:
                self._more()
            except TimeoutError:
                return None

    def closed(self, seconds: float) -> bool:
        """Whether the exchange closes it within that time."""
        try:
            while self.next(seconds) is not None:
                pass
        except OSError:
            return True
        return False

    def _more(self) -> None:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionError("closed")
        self._read += data

    def _message(self) -> bytes | None:
        self._read = self._read.lstrip(b"\r\n")
        head, end, rest = self._read.partition(b"\r\n\r\n")
        if not end:
            return None
        found = LENGTH.search(head)
        size = int(found[1]) if found else 0
        if len(rest) < size:
            return None
        self._read = rest[size:]
        return head + end + rest[:size]

    def _frame(self) -> bytes | None:
        while len(self._read) >= 2:
            begin, size = 2, self._read[1] & 127
            if size == 126:
                if len(self._read) < 4:
                    return None
                begin, size = 4, int(struct.unpack(">H", self._read[2:4])[0])
            if len(self._read) < begin + size:
                return None
            kind, data = self._read[0] & 15, self._read[begin:begin + size]
            self._read = self._read[begin + size:]
            if kind == TEXT and data.strip():
                return data
            if kind == PING:
                self.raw(data, PONG)
        return None


def trusting(exchange: Exchange) -> ssl.SSLContext:
    """Trusts this exchange's certificate."""
    return ssl.create_default_context(cafile=str(exchange.state / "edge" / "certificate.pem"))


def handshake(domain: str, path: str = "/", more: str = "") -> bytes:
    """The beginning of a WebSocket (RFC 7118)."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (f"GET {path} HTTP/1.1\r\nHost: {domain}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: sip\r\n"
            f"Sec-WebSocket-Version: 13\r\n{more}Content-Length: 0\r\n\r\n").encode()


def frame(data: bytes, kind: int = TEXT) -> bytes:
    """A frame of a client's, which is masked (RFC 6455 section 5.3)."""
    mask = os.urandom(4)
    size = struct.pack(">BB", 0x80 | kind, 0x80 | len(data)) if len(data) < 126 else \
        struct.pack(">BBH", 0x80 | kind, 0x80 | 126, len(data))
    return size + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
