"""Whatever comes of sending is an outcome that the rules go on from: the next trunk, the next
contact, what is wanted when a person is unreachable. It ended calls with 477 and 478, 112 among
them."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.edge.attack.attacker import Attacker
from tests.exchange import Company, Exchange, Telephone, eventually
from tests.listening import menu, prompt, to, user
from tests.sipp import Sipp, answering, calling
from vaxel.ports import free_port

ADDRESSES = itertools.count(10)
#: Until somebody has answered, however many were tried before.
PATIENCE_S = 5.0
OUTSIDE = "0709876543"
#: More than a datagram is said to be (RFC 3261 section 18.1.1), and more than many.
SIZES = {"1.7 kB": 1000, "9 kB": 8300}


@contextlib.contextmanager
def no_tls(address: str) -> Iterator[int]:
    """A port at which somebody answers, and not with TLS."""
    with socket.create_server((address, 0)) as server:
        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    with peer:
                        peer.recv(4096)
                        peer.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextlib.contextmanager
def dead(kind: str) -> Iterator[tuple[str, int, str]]:
    """(host, port, transport) where nobody is."""
    address = f"127.0.6.{next(ADDRESSES)}"
    if kind == "not TLS":
        with no_tls(address) as port:
            yield address, port, "tls"
    elif kind.startswith("name"):
        yield "no-such-host.invalid", 5060, kind.partition(" ")[2]
    else:
        yield address, free_port(address), kind


def via(exchange: Exchange, company: Company, host: str, port: int, transport: str = "udp") -> int:
    """A trunk of the company's, tried after those that there are."""
    source = f"127.0.7.{next(ADDRESSES)}" if host.endswith("invalid") else host
    trunk = exchange.trunk(source, port, tenant=company.id, host=host, transport=transport)
    count = len(exchange.client.get("/routes", tenant=company.id)["items"])
    exchange.client.post("/routes", {"tenant": company.id, "trunk": trunk, "prefix": "",
                                     "position": count})
    return trunk


@contextlib.contextmanager
def carrier(exchange: Exchange, company: Company) -> Iterator[tuple[Sipp, int]]:
    """One that answers, and its trunk."""
    with Sipp(answering(), address=f"127.0.6.{next(ADDRESSES)}") as sipp:
        yield sipp, via(exchange, company, sipp.address, sipp.port)


def dial(exchange: Exchange, telephone: Telephone, number: str, more: str = "") -> Sipp:
    """The telephone calls, and talks for a while."""
    return Sipp(calling(telephone.username, 200, password=telephone.secret, more=more),
                remote=exchange.sip, service=number)


def from_outside(exchange: Exchange, number: str, more: str = "") -> Sipp:
    """A call comes over a trunk."""
    address = f"127.0.6.{next(ADDRESSES)}"
    exchange.trunk(address, 5060)
    return Sipp(calling("+46701112233", 200, more=more), address=address, remote=exchange.sip,
                service=number)


def in_time(line: Sipp) -> None:
    """It was answered, soon."""
    line.done()
    took = line.first_time("received", "SIP/2.0 200") - line.first_time("sent", "INVITE")
    assert took % 86400 < PATIENCE_S, f"{took} s"


def register_dead(exchange: Exchange, telephone: Telephone, transport: str,
                  attacker: Attacker | None = None) -> None:
    """A contact at which nothing listens."""
    with contextlib.nullcontext(attacker) if attacker else Attacker(exchange) as by:
        port = free_port()
        contact = f"<sip:{telephone.username}@127.0.0.1:{port};transport={transport}>"
        assert by.register(telephone, contact).code == 200


DEAD = ["name udp", "name tcp", "name tls", "tcp", "tls", "not TLS"]


@pytest.mark.parametrize("number", [OUTSIDE, "112"])
@pytest.mark.parametrize("kind", DEAD)
def test_the_next_trunk_is_tried(exchange: Exchange, company: Company, kind: str,
                                 number: str) -> None:
    anna = company.telephone("101")
    with dead(kind) as place:
        first = via(exchange, company, *place)
        with carrier(exchange, company) as (sipp, second), dial(exchange, anna, number) as line:
            in_time(line)
            sipp.done()
    record = company.newest_call()
    assert (record["trunk"], record["outcome"]) == (second, "answered")
    assert record["talk_ms"] >= 250 and record["code"] == 200
    assert record["direction"] == ("emergency" if number == "112" else "out")
    assert exchange.live.trunk_down_until(first) > 0, "others are tried before it for a while"


def test_all_trunks_in_a_row(exchange: Exchange, company: Company) -> None:
    """Every kind of them before the one that answers."""
    anna = company.telephone("101")
    with contextlib.ExitStack() as stack:
        for kind in DEAD:
            via(exchange, company, *stack.enter_context(dead(kind)))
        sipp, trunk = stack.enter_context(carrier(exchange, company))
        with dial(exchange, anna, "112") as line:
            in_time(line)
            sipp.done()
    assert company.newest_call()["trunk"] == trunk


def test_no_trunk_is_left(exchange: Exchange, company: Company) -> None:
    anna = company.telephone("101")
    with contextlib.ExitStack() as stack:
        for kind in ("name udp", "tcp"):
            via(exchange, company, *stack.enter_context(dead(kind)))
        with Attacker(exchange) as attacker:
            assert attacker.call(anna, OUTSIDE).code == 503
    record = company.newest_call()
    assert (record["code"], record["talk_ms"], record["answered_ms"]) == (503, 0, 0)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_persons_only_contact_is_dead(exchange: Exchange, company: Company,
                                        transport: str) -> None:
    """What is wanted when the person is unreachable applies; without that, 480."""
    anna, bo, cia = (company.telephone(number) for number in ("101", "102", "103"))
    register_dead(exchange, anna, transport)
    with Attacker(exchange) as attacker:
        assert attacker.call(cia, "101").code == 480
    company.forward(anna, "unreachable", {"kind": "user", "user": bo.user})
    with company.phone(bo, answering()) as phone, dial(exchange, cia, "101") as line:
        in_time(line)
        phone.done()
    record = company.newest_call(2)
    assert (record["answerer"], record["outcome"]) == (bo.user, "answered")
    assert record["talk_ms"] >= 250


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_one_of_two_contacts_is_dead(exchange: Exchange, company: Company,
                                     transport: str) -> None:
    """Of a device's, and of a person's telephones, whichever registered first."""
    bo = company.telephone("102")
    for extension, dead_first in (("111", True), ("113", False)):
        anna = company.telephone(extension)
        second = company.telephone(extension, kind="soft", user=anna.user)
        if dead_first:
            register_dead(exchange, anna, transport)
            register_dead(exchange, second, transport)
        with company.phone(anna, answering()) as phone:
            if not dead_first:
                register_dead(exchange, anna, transport)
                register_dead(exchange, second, transport)
            number = company.e164(int(extension))
            with dial(exchange, bo, number) as line:
                in_time(line)
                phone.done()
        assert company.newest_call(1 + (not dead_first))["answerer"] == anna.user


@pytest.mark.parametrize("strategy", ["parallel", "serial"])
def test_one_of_a_group_is_dead(exchange: Exchange, company: Company, strategy: str) -> None:
    anna, bo, cia = (company.telephone(number) for number in ("101", "102", "103"))
    register_dead(exchange, anna, "tcp")
    number = company.main({"kind": "group", "group": company.group([anna, bo], strategy)})
    with company.phone(bo, answering()) as phone, dial(exchange, cia, number) as line:
        in_time(line)
        phone.done()
    assert company.newest_call()["answerer"] == bo.user


def choices(company: Company, telephone: Telephone) -> dict[str, Any]:
    """A menu, which is call control's."""
    return to(menu(company, prompt(company, 400, 5), {"1": user(telephone)}))


def padding(size: int) -> str:
    """Headers of so many bytes."""
    return "\n        ".join(f"X-Padding: {'x' * min(1000, size - begin)}"
                             for begin in range(0, size, 1000))


@pytest.mark.parametrize("target", ["colleague", "functions", "carrier", "emergency", "menu"])
@pytest.mark.parametrize("size", SIZES)
def test_a_large_request_goes_on(exchange: Exchange, company: Company, target: str,
                                 size: str) -> None:
    """Over UDP: who has no TCP lost the call."""
    anna = company.telephone("101")
    more = padding(SIZES[size])
    with contextlib.ExitStack() as stack:
        if target in ("colleague", "functions"):
            bo = company.telephone("102", call_functions=target == "functions")
            sipp, number = stack.enter_context(company.phone(bo, answering())), "102"
        elif target == "menu":
            sipp, number = None, company.main(choices(company, anna))
        else:
            sipp, _ = stack.enter_context(carrier(exchange, company))
            number = "112" if target == "emergency" else OUTSIDE
        with dial(exchange, anna, number, more) as line:
            in_time(line)
        if sipp is not None:
            sipp.done()
            if target != "functions":  # call control writes an INVITE of its own
                assert len(sipp.received("INVITE")[0]) > SIZES[size] + 500
    talked_or_chose(company, target)


@pytest.mark.parametrize("target", ["person", "menu"])
@pytest.mark.parametrize("size", SIZES)
def test_a_large_request_comes_in(exchange: Exchange, company: Company, target: str,
                                  size: str) -> None:
    anna = company.telephone("101")
    with contextlib.ExitStack() as stack:
        if target == "person":
            stack.enter_context(company.phone(anna, answering()))
            number = company.e164(101)
        else:
            number = company.main(choices(company, anna))
        with from_outside(exchange, number, padding(SIZES[size])) as line:
            in_time(line)
    talked_or_chose(company, target)


def talked_or_chose(company: Company, target: str) -> None:
    """The record of a call that was good; what its legs tell may come after it."""
    def good() -> bool:
        record = company.newest_call()
        return record["ended_by"] == "caller" and bool(
            record["services"] if target == "menu" else record["talk_ms"] >= 100)

    eventually(good)
