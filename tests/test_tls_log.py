"""What a telephone's TLS connection leaves in the log, all of which is kept at the level debug."""

import socket
import ssl

import msgspec

from tests.exchange import Exchange, eventually


def test_a_telephone_without_a_certificate_is_no_error() -> None:
    """It has none to show, and nobody asks it for its name."""
    with Exchange(log_level="debug") as exchange:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        at = exchange.settings.address, exchange.settings.tls_port
        with context.wrap_socket(socket.create_connection(at, timeout=10)) as line:
            for number in range(3):
                line.sendall(
                    f"OPTIONS sip:vaxel.local SIP/2.0\r\n"
                    f"Via: SIP/2.0/TLS 127.0.0.1:5999;branch=z9hG4bK{number}\r\n"
                    f"From: <sip:a@vaxel.local>;tag=1\r\nTo: <sip:vaxel.local>\r\n"
                    f"Call-ID: tls-{number}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n"
                    "Content-Length: 0\r\n\r\n".encode())
                assert line.recv(4096).startswith(b"SIP/2.0 200 ")
        eventually(lambda: "tls-2" in exchange.log("edge"), 20)
        said = [msgspec.json.decode(entry) for entry in exchange.log("edge").splitlines()]
        assert [one["event"] for one in said if one["level"] == "error"] == []
