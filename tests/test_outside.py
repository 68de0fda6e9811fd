"""HTTP to strangers: their bad servers, and names and addresses that lead inwards."""

import asyncio
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.keeping import outside as outside_module
from api.keeping.outside import NotSent, Outside
from tests.receiving import Receiver, raw_server

#: Made once: it reads all the authorities there are.
TLS = ssl.create_default_context()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """It ends with the test."""
    made = Receiver()
    yield made
    made.close()


def post(outside: Outside, url: str, timeout_s: float = 1.0) -> Any:
    """One POST."""
    async def inside() -> Any:
        async with outside.line(url) as line:
            return await line.post(b"{}", {"Content-Type": "application/json"}, timeout_s)

    return asyncio.run(inside())


def endless_body(peer: socket.socket) -> None:
    """Never stops."""
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        peer.sendall(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


def endless_head(peer: socket.socket) -> None:
    """Headers without end."""
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        peer.sendall(b"X-More: " + b"y" * 8000 + b"\r\n")


def endless_interim(peer: socket.socket) -> None:
    """Always says that the answer is coming."""
    peer.recv(65536)
    while True:
        peer.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")


def drop_by_drop(peer: socket.socket) -> None:
    """A byte now and then."""
    peer.recv(65536)
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000:
        peer.sendall(bytes([byte]))
        time.sleep(0.05)


def half_closed(peer: socket.socket) -> None:
    """Says nothing more, and keeps the connection."""
    peer.recv(65536)
    peer.shutdown(socket.SHUT_WR)
    peer.recv(65536)


def silent(peer: socket.socket) -> None:
    """Takes it and says nothing."""
    peer.recv(65536)
    peer.recv(65536)


def garbage(peer: socket.socket) -> None:
    """No HTTP."""
    peer.recv(65536)
    peer.sendall(b"\x00\xff" * 500 + b"220 mail.example ESMTP\r\n")


def reset(peer: socket.socket) -> None:
    """Hangs up hard."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


@pytest.mark.parametrize("talk", [endless_head, endless_interim, drop_by_drop, half_closed, silent,
                                  garbage, reset])
def test_bad_answers(talk: Callable[[socket.socket], None]) -> None:
    with raw_server(talk) as port:
        began = time.monotonic()
        with pytest.raises(NotSent):
            post(Outside(private=True, tls=TLS), f"http://127.0.0.1:{port}/", timeout_s=0.5)
        assert time.monotonic() - began < 3


def test_an_answer_without_end_is_cut_off() -> None:
    with raw_server(endless_body) as port:
        answer = post(Outside(private=True, tls=TLS), f"http://127.0.0.1:{port}/")
    assert answer.status == 200 and answer.text == "x" * 500


def test_a_slow_rest_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(peer: socket.socket) -> None:
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthanks")
        peer.recv(65536)

    monkeypatch.setattr(outside_module, "REST_S", 0.2)
    with raw_server(talk) as port:
        answer = post(Outside(private=True, tls=TLS), f"http://127.0.0.1:{port}/")
    assert (answer.status, answer.text) == (200, "thanks")


def test_a_packed_answer_is_not_unpacked(receiver: Receiver) -> None:
    receiver.headers["Content-Encoding"] = "gzip"
    receiver.text = b"\x1f\x8b" + bytes(100)
    receiver.answer = lambda _got: 200
    assert post(Outside(private=True, tls=TLS), receiver.url).status == 200
    assert receiver.got[0].headers["accept-encoding"] == "identity"


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """Of a server that says that it is this."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "9", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
         "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def talk_well(peer: socket.socket) -> None:
    """As one should."""
    got = b""
    while not got.endswith(b"{}"):
        got += peer.recv(65536)
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.mark.parametrize(("host", "trusted", "good"), [
    ("hooks.example", True, True), ("other.example", True, False),
    ("hooks.example", False, False)])
def test_certificates(tmp_path: Path, host: str, trusted: bool, good: bool) -> None:
    """The name in the URL is what counts, though we connect to an address."""
    async def here(_name: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    server = certificate(tmp_path, "hooks.example")
    client = ssl.create_default_context(
        cafile=str(tmp_path / "cert.pem") if trusted else None)
    with raw_server(talk_well, server) as port:
        outside = Outside(private=True, resolve=here, tls=client)
        if good:
            assert post(outside, f"https://{host}:{port}/").text == "ok"
        else:
            with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
                post(outside, f"https://{host}:{port}/")


@pytest.mark.parametrize("addresses", [
    ["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["0.0.0.0"], ["::"], ["::1"], ["::ffff:127.0.0.1"],
    ["::127.0.0.1"], ["64:ff9b::a00:1"], ["2002:7f00:1::"],
    ["2001:0:4136:e378:8000:63bf:80ff:fffe"],
    ["fe80::1%eth0"], ["fec0::1"], ["fd00::1"], ["ff02::1"], ["100::1"], ["169.254.169.254"],
    ["192.0.0.8"], ["198.18.0.1"], ["240.0.0.1"], ["255.255.255.255"], []], ids=str)
def test_names_that_lead_inwards(receiver: Receiver, addresses: list[str]) -> None:
    async def lookup(_name: str, _port: int) -> list[str]:
        return addresses

    with pytest.raises(NotSent, match=r"not a public address|no address"):
        post(Outside(resolve=lookup, tls=TLS), f"http://inwards.example:{receiver.port}/")
    assert not receiver.got


def test_a_name_is_asked_once_for_a_connection(receiver: Receiver) -> None:
    """A name server that changes its mind finds nobody who asks again."""
    answers = iter([["127.0.0.1"], ["192.0.2.1"]])

    async def lookup(_name: str, _port: int) -> list[str]:
        return next(answers)

    async def inside() -> None:
        outside = Outside(private=True, resolve=lookup, tls=TLS)
        async with outside.line(f"http://changing.example:{receiver.port}/x") as line:
            for _ in range(3):
                assert (await line.post(b"{}", {})).status == 204

    asyncio.run(inside())
    assert [got.headers["host"] for got in receiver.got] == [
        f"changing.example:{receiver.port}"] * 3


@pytest.mark.parametrize("port", [22, 25, 53, 110, 443 + 1])
def test_other_protocols_ports(port: int) -> None:
    async def lookup(_name: str, _port: int) -> list[str]:
        raise AssertionError("not even looked up")

    with pytest.raises(NotSent, match="do not lead to port") as refusal:
        post(Outside(resolve=lookup, tls=TLS), f"http://a.example:{port}/")
    assert refusal.value.final


def test_our_own_public_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lookup(_name: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(outside_module, "is_public", lambda _address: True)
    with pytest.raises(NotSent, match="not a public address"):
        post(Outside(resolve=lookup, tls=TLS), "http://we.example:8080/")
