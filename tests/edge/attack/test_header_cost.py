"""A long header is read once: a thousand bytes of anything cost the edge about what a thousand
bytes of something plain cost. `Authorization: Digest aaaa...` took 14 to 20 ms."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.edge.attack.attacker import Attacker, sdp
from tests.exchange import Exchange

LONG = 1000
#: Of each shape, and plain ones beside them.
EACH, PLAIN = 100, 1000
#: Sent before answers are waited for: a burst is not to be dropped.
AT_ONCE = 20
MOST = 5.0
PATIENCE_S = 10.0
Write = Callable[[Attacker], str]


def with_header(name: str, value: str, method: str = "INVITE") -> Write:
    """A request with that header, which is so long with its name, and no body."""
    value = (value * LONG)[:LONG - len(name) - 2] if len(value) < 40 else value[:LONG]
    own = {"Contact": "contact", "From": "from_", "To": "to"}.get(name, "")

    def write(attacker: Attacker) -> str:
        if own:
            return attacker.request(method, attacker.uri("101"), **{own: value})
        text = attacker.request(method, attacker.uri("101"), f"{name}: {value}")
        if name == "Via":  # below the topmost one
            text = text.replace(f"\r\n{name}: {value}", "").replace(
                "\r\nFrom:", f"\r\n{name}: {value}\r\nFrom:", 1)
        return text

    return write


def with_body(body: str) -> Write:
    """A request with that description."""
    return lambda attacker: attacker.request("INVITE", attacker.uri("101"), body=body)


#: A header's beginning, and what comes again and again.
SHAPES = {f"{name} {place}": with_header(name, shape, method) for name, method, shapes in (
    ("Proxy-Authorization", "INVITE", (
        "Digest " + "a" * LONG, "Digest " + " " * LONG, "Digest " + "a=" * LONG,
        "Digest " + ", " * LONG, 'Digest a="' + "\\\"" * LONG, "Digest " + 'a="b",' * LONG,
        "Digest a=" + "a " * LONG)),
    ("Authorization", "REGISTER", ("Digest " + "a" * LONG, "Digest " + "a =" * LONG)),
    ("Contact", "INVITE", ("<" * LONG, '"' + "\\" * LONG, "<sip:" + "a" * LONG, "<sip:a@b>," * 99,
                           "<sip:a@b>" + ";" * LONG, " " * LONG)),
    ("From", "INVITE", ('"' + "a" * LONG, "<sip:" + ":" * LONG, "<sip:a@b>;tag=a" + ";" * LONG,
                        '"' + "a" * 900 + '" <sip:a@b>;tag=a' + " " * LONG)),
    ("To", "INVITE", ("<sip:" + "@" * LONG, "<sip:a@b>" + ";a" * LONG)),
    ("Route", "INVITE", ("<sip:a;vx=" + "0." * LONG, "<sip:a;lr>," * 99, ";vx=" * LONG)),
    ("Via", "INVITE", ("SIP/2.0/UDP " + "a" * LONG, "SIP/2.0/UDP a," * 99,
                       "SIP/2.0/UDP a;" + "b;" * LONG)),
    ("P-Asserted-Identity", "INVITE", ("<sip:" + "a" * LONG, '"' + "\\\"" * LONG)),
    ("Require", "OPTIONS", ("a," * LONG, "," * LONG, " " * 500 + "a")),
    ("Proxy-Require", "OPTIONS", ("a," * LONG, ", " * LONG)),
    ("X-Vaxel-Order", "INVITE", ("a." * LONG,)), ("Content-Type", "INVITE", ("a/" * LONG,)),
) for place, shape in enumerate(shapes)}
SHAPES |= {f"body {place}": with_body(sdp("127.0.0.1").replace("s=-", line[:LONG]))
           for place, line in enumerate((
               "s=" + "a" * LONG, "a=" * LONG, "c=IN IP4 " * 99, "m=audio " * 99, "\r\n" * 500))}


@pytest.fixture(scope="module")
def running() -> Iterator[Exchange]:
    """An exchange of its own: nobody else makes its edge work."""
    with Exchange() as exchange:
        yield exchange


def used_s(exchange: Exchange) -> float:
    """Time that the edge's processes have run: their tasks' first number, nanoseconds."""
    return sum(int((path / "schedstat").read_text().split()[0]) / 1e9
               for pid in exchange.pids("kamailio")
               for path in Path(f"/proc/{pid}/task").iterdir())


def cost_s(attacker: Attacker, write: Write, count: int) -> float:
    """What so many of these cost."""
    before = used_s(attacker.exchange)
    last = attacker.request("OPTIONS", attacker.uri("101"))
    for _ in range(count // AT_ONCE):
        for _ in range(AT_ONCE):
            attacker.send(write(attacker))
        attacker.send(last)
        attacker._socket.settimeout(0.001)
        hear(attacker)
    until = time.monotonic() + PATIENCE_S
    seen = -1.0
    while seen != (now := used_s(attacker.exchange)) and time.monotonic() < until:
        seen = now
        hear(attacker)
    return used_s(attacker.exchange) - before


def hear(attacker: Attacker) -> None:
    """What has come; a refused call is over with its ACK."""
    while (message := attacker.next(0.01)) is not None:
        if message.code >= 300 and message.method == "INVITE":
            attacker.acknowledge(message, attacker.uri("101"))


@pytest.mark.parametrize("sender", ["stranger", "carrier"])
def test_no_shape_of_a_long_header_costs_more(running: Exchange, sender: str) -> None:
    """Than five times what as many plain requests of that size cost, all processes together. Of a
    carrier more is read."""
    plain = with_header("X-Plain", "Digest a=b, " * 99)
    with Attacker(running, "127.0.0.61" if sender == "stranger" else "127.0.0.62") as attacker:
        if sender == "carrier":
            running.trunk(attacker.address, attacker.port)
        cost_s(attacker, plain, EACH)  # what is done once
        base = cost_s(attacker, plain, PLAIN) / PLAIN
        costs = {name: cost_s(attacker, write, EACH) / EACH / base
                 for name, write in SHAPES.items()}
    assert {name: cost for name, cost in costs.items() if cost > MOST} == {}
    assert not running.live.counter(0)
