"""Whatever a send returns is an outcome that the rules go on from (catalogue N2, N4, P3)."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from tests.edge.attack.attacker import Attacker
from tests.exchange import Company, Exchange, Telephone, eventually
from tests.message import Message
from tests.sipp import Sipp, answering, calling
from vaxel.ports import free_port

HOSTS = count(10)
OUTSIDE = "0709876543"
#: One name that does not resolve costs a worker two seconds.
PATIENCE_S = 8


def address() -> str:
    """Of a carrier that no other test has."""
    return f"127.0.3.{next(HOSTS)}"


def dead(kind: str) -> dict[str, object]:
    """A trunk's fields with which nothing can be sent."""
    host = address()
    fields: dict[str, object] = {"ping": False, "sources": [f"ip:{host}"], "port": 5060}
    if kind == "no such name":
        return fields | {"name": f"dead {host}", "host": "no-such-host.invalid"}
    return fields | {"name": f"dead {host}", "host": host, "port": free_port(host),
                     "transport": "tls" if kind == "TLS refused" else "tcp"}


@contextmanager
def carriers(exchange: Exchange, company: Company, kind: str) -> Iterator[Sipp]:
    """A dead trunk first, then one that works."""
    first = exchange.client.post("/trunks", dead(kind))["id"]
    host = address()
    with Sipp(answering(), address=host) as carrier:
        second = exchange.trunk(host, carrier.port)
        for position, trunk in enumerate((first, second)):
            exchange.client.post("/routes", {"tenant": company.id, "trunk": trunk, "prefix": "",
                                             "position": position})
        yield carrier


@pytest.mark.parametrize("number", [OUTSIDE, "112"])
@pytest.mark.parametrize("kind", ["no such name", "TCP refused", "TLS refused"])
def test_the_next_trunk_has_the_call(exchange: Exchange, company: Company, kind: str,
                                     number: str) -> None:
    anna = company.telephone("101")
    with carriers(exchange, company, kind) as carrier:
        began = time.monotonic()
        with Sipp(calling(anna.username, 200, password=anna.secret), remote=exchange.sip,
                  service=number) as line:
            line.done()
        carrier.done()
        assert time.monotonic() - began < PATIENCE_S
    record = eventually(lambda: company.client.get(f"{company.base}/calls")["items"])[0]
    assert record["answered_ms"] and record["code"] == 200


def test_when_no_trunk_can_be_sent_to_the_caller_is_told(exchange: Exchange,
                                                         company: Company) -> None:
    anna = company.telephone("101")
    trunk = exchange.client.post("/trunks", dead("TCP refused"))["id"]
    exchange.client.post("/routes", {"tenant": company.id, "trunk": trunk, "prefix": "",
                                     "position": 0})
    with Sipp(calling(anna.username, 503, password=anna.secret), remote=exchange.sip,
              service=OUTSIDE) as line:
        line.done()
    eventually(lambda: not [one for one in exchange.live.calls()
                            if (call := exchange.live.call(*one))
                            and call["tenant"] == company.id])


def gone_by_tcp(exchange: Exchange, device: Telephone) -> None:
    """Register over a TCP connection that is closed then."""
    domain = f"sip:{exchange.settings.domain}"
    who = f"<sip:{device.username}@{exchange.settings.domain}>"
    with Attacker(exchange) as attacker, socket.create_connection(
            (exchange.settings.address, exchange.settings.sip_port)) as sock:
        def ask(*headers: str, cseq: int) -> Message:
            text = attacker.request("REGISTER", domain, *headers, from_=f"{who};tag=a", to=who,
                                    call_id=f"tcp-{device.username}", cseq=cseq,
                                    contact=f"<sip:{device.username}@127.0.0.1:"
                                            f"{sock.getsockname()[1]};transport=tcp>")
            sock.sendall(text.replace("SIP/2.0/UDP", "SIP/2.0/TCP").encode())
            return Message(sock.recv(1 << 16).decode())

        proof = attacker.credentials(ask(cseq=1), device, "REGISTER", domain)
        assert ask(proof, "Expires: 600", cseq=2).code == 200


def test_a_closed_connection_is_unreachable(exchange: Exchange, company: Company) -> None:
    """The forwarding for it applies, as for any other way of not being reached."""
    anna, bo, cia = (company.telephone(number) for number in ("101", "102", "103"))
    company.post("forwards", {"user": bo.user, "event": "unreachable",
                              "target": {"kind": "user", "user": cia.user}})
    gone_by_tcp(exchange, bo)
    with company.phone(cia, answering()) as phone:
        with Sipp(calling(anna.username, 200, password=anna.secret), remote=exchange.sip,
                  service="102") as line:
            line.done()
        phone.done()


def test_one_dead_telephone_of_a_group_harms_nobody(exchange: Exchange, company: Company) -> None:
    anna, bo, cia = (company.telephone(number) for number in ("101", "102", "103"))
    main = company.main({"kind": "group", "group": company.group([bo, cia])})
    gone_by_tcp(exchange, bo)
    with company.phone(cia, answering()) as phone:
        with Sipp(calling(anna.username, 200, password=anna.secret), remote=exchange.sip,
                  service=main) as line:
            line.done()
        phone.done()
    record = eventually(lambda: company.client.get(f"{company.base}/calls")["items"])[0]
    assert record["answerer"] == cia.user


@pytest.mark.parametrize("size", [1700, 9000])
@pytest.mark.parametrize("to", ["colleague", "carrier", "emergency", "call control"])
def test_a_large_message_goes_on(exchange: Exchange, company: Company, to: str,
                                 size: int) -> None:
    """It was sent by TCP, which the other side did not have, and the call was lost."""
    anna, bo = company.telephone("101"), company.telephone("102")
    more = "\n        ".join(f"X-Filler-{number}: {'x' * 100}" for number in range(size // 110))
    line = calling(anna.username, 200, password=anna.secret, more=more)
    if to == "call control":
        company.post("services", {"name": "Box", "extension": "500",
                                  "settings": {"type": "mailbox", "user": bo.user}})
        with Sipp(line, remote=exchange.sip, service="500") as phone:
            phone.done()
        return
    host = address()
    with Sipp(answering(), address=host) as carrier, company.phone(bo, answering()) as colleague:
        trunk = exchange.trunk(host, carrier.port)
        exchange.client.post("/routes", {"tenant": company.id, "trunk": trunk, "prefix": "",
                                         "position": 0})
        number = {"colleague": "102", "carrier": OUTSIDE, "emergency": "112"}[to]
        with Sipp(line, remote=exchange.sip, service=number) as phone:
            phone.done()
        (colleague if to == "colleague" else carrier).done()
