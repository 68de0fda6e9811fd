"""TCP, TLS and WebSocket connections: a host that opens thousands of them keeps nobody else out,
and a telephone's stays open."""

import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from routing_core import Live
from routing_core.live import format_live, live_size
from tests.edge.attack.attacker import Attacker
from tests.edge.attack.crowd import crowd
from tests.edge.attack.streams import TRANSPORTS, Line
from tests.exchange import Company, Exchange, Telephone, eventually

#: How long somebody else may wait for a connection, and how long it is watched.
PATIENCE_S, WATCHED_S = 5.0, 3.0
#: Who has not shown who it is has gone by then: it has 10 s, and Kamailio looks every few.
STRANGER_S = 18.0
CLOSED = 17  # the counter


class Phones(NamedTuple):
    """Telephones that have registered over a connection and say nothing after that."""

    company: Company
    lines: list[tuple[Telephone, Line]]
    since: float


@pytest.fixture(scope="module")
def attacked() -> Iterator[Exchange]:
    """An exchange of its own: what is tested are its limits."""
    with Exchange() as running:
        yield running


@pytest.fixture(scope="module")
def phones(attacked: Exchange) -> Iterator[Phones]:
    """They are there during all attacks."""
    company = attacked.company()
    lines = []
    for number, transport in enumerate(TRANSPORTS):
        telephone = company.telephone(str(101 + number))
        line = Line(attacked, transport)
        assert line.register(telephone).code == 200
        lines.append((telephone, line))
    yield Phones(company, lines, time.monotonic())
    for _, line in lines:
        line._socket.close()


def answered(exchange: Exchange, transport: str) -> bool:
    """Whether somebody gets a connection, and an answer."""
    try:
        with Line(exchange, transport) as line:
            line.send(line.request("OPTIONS", "sip:vaxel.local"))
            return line.answer() == 200
    except OSError:
        return False


def watch(exchange: Exchange, transport: str, waits: dict[str, float]) -> None:
    """How long somebody waits for the next answer at the most, who asks again and again."""
    began = last = time.monotonic()
    waits[transport] = 0.0
    while last - began < WATCHED_S and waits[transport] < PATIENCE_S:
        good = answered(exchange, transport)
        waits[transport] = max(waits[transport], time.monotonic() - last)
        if good:
            last = time.monotonic()
        time.sleep(0.05)


@pytest.mark.parametrize("counts", [
    {"idle": 4200}, {"drip": 1500, "websocket": 300}, {"half": 1500, "tls": 300}], ids="+".join)
def test_a_crowd_keeps_nobody_out(attacked: Exchange, phones: Phones,
                                  counts: dict[str, int]) -> None:
    """It was for an hour, and for everybody."""
    before = attacked.live.counter(CLOSED)
    waits: dict[str, float] = {}
    with crowd(attacked, "127.0.0.9", **counts):
        watchers = [threading.Thread(target=watch, args=(attacked, transport, waits))
                    for transport in TRANSPORTS]
        for watcher in watchers:
            watcher.start()
        for watcher in watchers:
            watcher.join()
    assert all(wait < PATIENCE_S for wait in waits.values()), waits
    assert attacked.live.counter(CLOSED) > before
    assert not attacked.live.counter(0)


def test_strangers_are_closed_and_telephones_stay(attacked: Exchange, phones: Phones) -> None:
    strangers = [Line(attacked, transport) for transport in (*TRANSPORTS, "ws")]
    for line in strangers:  # one that has shown its password is no stranger, one that asks is
        line.send(line.request("OPTIONS", "sip:vaxel.local"))
        assert line.answer() == 200
    until = time.monotonic() + STRANGER_S
    for line in strangers:
        assert line.closed(max(until - time.monotonic(), 0.1)), line.transport
        line._socket.close()
    eventually(lambda: time.monotonic() - phones.since > STRANGER_S, STRANGER_S)
    caller = phones.company.telephone("110")
    for telephone, line in phones.lines:
        with Attacker(attacked) as attacker:
            attacker.dial(caller, telephone.extension)
            invite = line.next(PATIENCE_S)
            assert invite is not None and invite.method == "INVITE", line.transport


# -- the rule itself ----------------------------------------------------------------------------

Look = Callable[..., list[int]]


@pytest.fixture
def rule(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Live]:
    """What is too much, for an exchange with a carrier at 10.0.0.1; and the live state."""
    if "KSR" not in sys.modules:
        monkeypatch.setitem(sys.modules, "KSR", types.ModuleType("KSR"))
    from kemi.connections import Connections
    buffer = bytearray(live_size(4, 4, 4, 4))
    format_live(buffer, 4, 4, 4, 4, 1)
    live = Live(buffer)
    kernel = types.SimpleNamespace(
        live=live, trunk_by_source=lambda name: int(name == "ip:10.0.0.1"))
    return Connections(kernel, {"connections_per_address": 50,  # type: ignore[arg-type]
                                "connections_per_tenant": 60}), live


def test_a_stranger_has_a_few_and_seconds(rule: tuple[Any, Live]) -> None:
    connections, live = rule
    found = [(id_, "10.0.0.9") for id_ in range(1, 41)] + [(90, "10.0.0.8")]
    assert connections.too_much(found[::-1], 100.0) == list(range(33, 41)), "the newest go"
    live.know_connection(1, 7)
    kept = found[:32] + found[-1:]
    assert connections.too_much(kept, 105.0) == []
    assert connections.too_much([*kept, (91, "10.0.0.8")], 111.0) == [*range(2, 33), 90]
    assert connections.too_much([(91, "10.0.0.8")], 111.5) == []
    assert connections.too_much([(91, "10.0.0.8")], 122.0) == [91]


def test_an_address_and_a_company_have_a_share(rule: tuple[Any, Live]) -> None:
    connections, live = rule
    found = [(id_, f"10.0.{id_ // 40}.5") for id_ in range(1, 101)]
    for id_, _ in found:
        live.know_connection(id_, 7)
    assert connections.too_much(found, 1.0) == list(range(61, 101)), "sixty of a company's"
    for id_, _ in found:
        live.know_connection(id_, 1 + id_ % 4)
    assert connections.too_much(found, 2.0) == []
    found = [(id_, "10.0.0.5") for id_, _ in found]
    assert connections.too_much(found, 3.0) == list(range(51, 101)), "fifty of an address"
    assert connections.too_much(found, 1e6) == list(range(51, 101)), "known ones are not old"


def test_carriers_are_not_counted(rule: tuple[Any, Live]) -> None:
    connections, _ = rule
    found = [(id_, "10.0.0.1") for id_ in range(1, 201)]
    assert connections.too_much(found, 1.0) == connections.too_much(found, 1000.0) == []
