"""The log has nobody's words but ours (catalogue N7): no credentials, no line of a stranger's."""

import socket
from pathlib import Path

import msgspec
import pytest

from tests.edge.attack.attacker import Attacker
from tests.edge.attack.own import OWN
from tests.edge.attack.torture import RFC_4475
from tests.exchange import Company, Exchange, eventually
from vaxel import logs
from vaxel.logs import LogFile

MARKER = "zanzibar"
UID = "0123456789abcdef0123456789ab"
FORGED = (
    '{"at":"2026-01-01T00:00:00.000000Z","process":"edge","level":"error",'
    f'"event":"{MARKER}","uid":"{UID}"}}',
    f" 5(1234) ERROR: <core>: call {UID} {MARKER}",
    f"[1700000000.123456] ERR: [{UID}]: {MARKER}",
    f" 5(1234) ERROR: <core> [core/kemi.c:145]: sr_kemi_core_err(): {UID} {MARKER}",
)


def written(exchange: Exchange) -> str:
    """Everything that any process has logged."""
    return "\n".join(path.read_text(errors="replace")
                     for path in sorted((exchange.state / "logs").iterdir()))


def test_broken_messages_leave_no_word_of_theirs(exchange: Exchange) -> None:
    """An unparsable message was logged whole, with its credentials."""
    secret = f"Authorization: Digest username={MARKER}, response={MARKER}"
    with Attacker(exchange, "127.0.0.81") as attacker:
        for case in (*RFC_4475, *OWN):
            raw = case.filled(attacker.address, attacker.port, exchange.sip, "UDP")
            head, gap, body = raw.partition(b"\r\n\r\n")
            attacker.send(b"\r\n".join([head, secret.encode(), *(one.encode() for one in FORGED)])
                          + gap + body)
            attacker.send(raw.replace(b"SIP/2.0\r\n", b"SIP/2.0 " + MARKER.encode() + b"\r\n", 1))
        for line in FORGED:
            attacker.send(f"{line}\r\n{line}\n\n{secret}\r\n\r\n")
            with socket.create_connection((exchange.settings.address,
                                           exchange.settings.sip_port)) as stream:
                stream.sendall(f"{line}\n{line}\r\n{secret}\r\n\r\n".encode())
        attacker.requests()
        attacker.send(attacker.request("OPTIONS", attacker.uri("x")))
        assert attacker.answer() == 200
    text = written(exchange)
    assert MARKER not in text and UID not in text


def test_a_broken_description_leaves_no_word_either(exchange: Exchange) -> None:
    """rtpengine tells what it could not read."""
    company = exchange.company(media="always")
    anna, bo = company.telephone("101"), company.telephone("102")
    with Attacker(exchange) as phone, Attacker(exchange) as attacker:
        assert phone.register(bo).code == 200
        for body in ("v=0\r\n" + "\r\n".join(FORGED) + "\r\n",
                     "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                     f"m=audio {MARKER} RTP/AVP 8\r\n" + "\r\n".join(FORGED) + "\r\n"):
            attacker.begin(anna, "INVITE", attacker.uri("102"), body=body)
            attacker.answer(1.0)
        phone.requests(0.3)
    text = written(exchange)
    assert MARKER not in text and UID not in text


def test_failed_sign_ins_are_counted_and_the_log_does_not_turn_over(
        exchange: Exchange, company: Company) -> None:
    before, size = exchange.live.counter(4), len(written(exchange))
    anna = company.telephone("101")
    with Attacker(exchange, "127.0.0.82") as attacker:
        wrong = anna._replace(secret="a" * 26)
        for device in (wrong, wrong._replace(username=MARKER)):
            for _ in range(50):
                assert attacker.register(device).code == 401
    eventually(lambda: exchange.live.counter(4) >= before + 100)
    assert len(written(exchange)) - size < 2000
    assert anna.device in exchange.live.take_guessed()


def test_only_lines_with_the_mark_are_the_edges(tmp_path: Path) -> None:
    """Kamailio repeats parts of messages in lines of its own, and a message can have any line."""
    file = LogFile(tmp_path, "edge")
    file.expect("cafe1234")

    def told(text: str) -> list[dict[str, str]]:
        before = len(file.path.read_bytes())
        file.feed(text.encode(), True)
        return [msgspec.json.decode(line) for line in file.path.read_bytes()[before:].splitlines()]

    entry, = told(" 0(1) ERROR: tls: no such certificate\n")
    assert (entry["level"], entry["event"]) == ("error", "tls: no such certificate"), "it begins"
    told("INFO: cafe1234 a worker begins\n")
    assert MARKER not in str(told("".join(f"{line}\n" for line in FORGED[1:])))
    assert told(f"x {MARKER}\n") == [], "that some are left out is told once a minute"
    entry, = told(f" 5(12) ERROR: <core> [core/kemi.c:145]: err(): cafe1234 call {UID}: no\n")
    assert (entry["level"], entry["event"], entry["uid"]) == ("error", f"call {UID}: no", UID)
    assert told("y" * (logs.MAX_LINE + 1)) == []
    assert told("y\nERROR: cafe1234 after a long one\n")[0]["event"] == "after a long one"
    file.expect("beef5678")
    assert told("ERROR: it begins again\n")[0]["event"] == "it begins again"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_what_stands_between_marks_is_left_out(size: int) -> None:
    redactor = logs.Redactor(b"<abc<", b">def>")
    data = b"one <abc<secret\nforged>def> two <ab three <abc<x>def> end <abc<never closed"
    found = b"".join(redactor.feed(data[at:at + size]) for at in range(0, len(data), size))
    assert found == b"one ... two <ab three ... end ..."
