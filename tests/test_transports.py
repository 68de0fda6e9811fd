"""The listeners besides UDP: TCP, TLS, and WebSocket over both (RFC 7118)."""

import base64
import os
import socket
import ssl
import struct

import pytest

from tests.exchange import Exchange

OPTIONS = ("OPTIONS sip:vaxel.local SIP/2.0\r\nVia: SIP/2.0/{transport} host.invalid;"
           "branch=z9hG4bKt{transport};rport\r\nFrom: <sip:a@vaxel.local>;tag=1\r\n"
           "To: <sip:vaxel.local>\r\nCall-ID: t-{transport}\r\nCSeq: 1 OPTIONS\r\n"
           "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n")


def connect(exchange: Exchange, secure: bool) -> socket.socket:
    """A stream to the edge."""
    settings = exchange.settings
    port = settings.tls_port if secure else settings.sip_port
    plain = socket.create_connection((settings.address, port), 5)
    if not secure:
        return plain
    context = ssl.create_default_context(
        cafile=str(exchange.state / "edge" / "certificate.pem"))
    return context.wrap_socket(plain, server_hostname=settings.domain)


@pytest.mark.parametrize("secure", [False, True])
def test_stream(exchange: Exchange, secure: bool) -> None:
    with connect(exchange, secure) as stream:
        stream.sendall(OPTIONS.format(transport="TLS" if secure else "TCP").encode())
        assert stream.recv(4096).startswith(b"SIP/2.0 200")


@pytest.mark.parametrize("secure", [False, True])
def test_websocket(exchange: Exchange, secure: bool) -> None:
    with connect(exchange, secure) as stream:
        key = base64.b64encode(os.urandom(16)).decode()
        stream.sendall((f"GET / HTTP/1.1\r\nHost: {exchange.settings.domain}\r\n"
                        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: sip\r\n"
                        "Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n").encode())
        assert b" 101 " in stream.recv(4096).split(b"\r\n")[0]
        message = OPTIONS.format(transport="WSS" if secure else "WS").encode()
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(message))
        stream.sendall(struct.pack(">BBH", 0x81, 0x80 | 126, len(message)) + mask + masked)
        assert b"SIP/2.0 200" in stream.recv(4096)


def test_plain_http_is_told_what_this_is(exchange: Exchange) -> None:
    with connect(exchange, False) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert b" 426 " in stream.recv(4096).split(b"\r\n")[0]
