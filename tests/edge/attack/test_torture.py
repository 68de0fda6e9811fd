"""The edge and broken SIP: every message of RFC 4475 and RFC 5118, and more of their kind.

Each is answered as the standard says, over UDP and TCP, and nobody else is harmed.
"""

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import pytest

from tests.edge.attack.message import Answers, Case, of
from tests.edge.attack.own import OWN, own
from tests.edge.attack.torture import RFC_4475
from tests.edge.attack.torture_v6 import RFC_5118
from tests.exchange import Exchange

COLLECTIONS = {"rfc4475": RFC_4475, "rfc5118": RFC_5118, "own": OWN}
#: How long an answer that has to come may take, one that may be missing, and a second one.
PATIENCE_S, SILENCE_S, LINGER_S = 5.0, 2.0, 0.2
STATUS = re.compile(r"^SIP/2\.0 (\d{3}) .*\r$", re.MULTILINE)
#: What an answer has to carry (RFC 3261 21.4).
EXPLAINED = {401: "WWW-Authenticate:", 405: "Allow:", 407: "Proxy-Authenticate:",
             420: "Unsupported:"}


class Outcome(NamedTuple):
    """What came back for a message."""

    answers: list[str]
    closed: bool = False

    @property
    def final(self) -> list[int]:
        """The codes of the answers, without provisional ones."""
        codes = [int(found[1]) for text in self.answers if (found := STATUS.match(text))]
        return [code for code in codes if code >= 200]

    def __str__(self) -> str:
        lines = [text.split("\r\n")[0][:60] for text in self.answers]
        return ", ".join(lines or ["nothing"]) + (" (closed)" if self.closed else "")


@pytest.fixture(scope="module")
def attacked() -> Iterator[Exchange]:
    """An exchange of its own, whose counters nobody else moves."""
    with Exchange() as running:
        yield running


def send(exchange: Exchange, case: Case, transport: str, source: str) -> Outcome:
    """Send it from that address and hear what comes back."""
    allowed = case.tcp if transport == "TCP" else case.udp
    stream = transport == "TCP"
    there = (exchange.settings.address, exchange.settings.sip_port)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        sock.settimeout(PATIENCE_S)
        message = case.filled(*sock.getsockname(), exchange.sip, transport)
        if stream:
            sock.connect(there)
            sock.sendall(message)
        else:
            sock.sendto(message, there)
        return listen(sock, stream, allowed)


def listen(sock: socket.socket, stream: bool, allowed: Answers) -> Outcome:
    """What comes within the time, and a little longer when there has been an answer."""
    heard: list[bytes] = []
    until = time.monotonic() + (SILENCE_S if allowed.silence else PATIENCE_S)
    while (left := until - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            heard.append(sock.recv(1 << 16))
        except TimeoutError:
            break
        except ConnectionError:
            heard.append(b"")
        outcome = Outcome(split(b"".join(heard)) if stream else datagrams(heard),
                          closed=stream and not heard[-1])
        if outcome.closed:
            return outcome
        if len(outcome.final) >= allowed.most and not allowed.ends:
            until = min(until, time.monotonic() + LINGER_S)
    return Outcome(split(b"".join(heard)) if stream else datagrams(heard))


def datagrams(heard: list[bytes]) -> list[str]:
    """Each once: an answer may be sent again until it is acknowledged. CRLF is a keep-alive's."""
    return list(dict.fromkeys(data.decode("latin-1") for data in heard if data.strip()))


def split(data: bytes) -> list[str]:
    """The messages of a stream."""
    text = data.decode("latin-1").lstrip()
    starts = {0, len(text)} | {found.start() for found in STATUS.finditer(text)}
    return [text[here:end] for here, end in pairwise(sorted(starts))]


def wrong(case: Case, allowed: Answers, outcome: Outcome) -> bool:
    """Whether something else came than may."""
    final = outcome.final
    if allowed.ends and not outcome.closed:
        return True
    if not final and not outcome.answers:
        return not allowed.silence
    if not final or len(final) > allowed.most or not allowed.codes.issuperset(final):
        return True
    if any(STATUS.match(text) is None for text in outcome.answers):
        return True  # a request, or nothing that anybody understands
    last = outcome.answers[-1]
    explained = all(EXPLAINED.get(code, "") in text
                    for text in outcome.answers for code in Outcome([text]).final)
    return not explained or (final[-1] == 420 and not re.search(case.holds, last))


def harm(exchange: Exchange, processes: list[int]) -> list[str]:
    """What the messages have done to others."""
    found = []
    after = send(exchange, own("after", "valid", of(200)), "UDP", "127.0.0.1")
    if after.final != [200]:
        found.append(f"a plain OPTIONS afterwards: {after}")
    if exchange.pids("kamailio") != processes:
        found.append("the edge's processes are not those of before")
    if exchange.live.counter(0):
        found.append(f"{exchange.live.counter(0)} exceptions")
        found += re.findall(r"exception in the edge.*, in (\S+ \| \w+: [^|\n]*)",
                            exchange.log("edge"))[-10:]
    return found


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("name", COLLECTIONS)
def test_each_is_answered_as_the_standard_says(attacked: Exchange, name: str,
                                               transport: str) -> None:
    cases = COLLECTIONS[name]
    processes = attacked.pids("kamailio")
    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(
            lambda place: send(attacked, cases[place], transport, f"127.0.0.{place % 250 + 2}"),
            range(len(cases))))
    rows = []
    for case, outcome in zip(cases, outcomes, strict=True):
        allowed = case.tcp if transport == "TCP" else case.udp
        if wrong(case, allowed, outcome):
            rows.append(f"{case.name:30} {case.section:9} {case.kind:8} {allowed!s:24} {outcome}")
    rows += harm(attacked, processes)
    if rows:
        title = f"{'over ' + transport:30} {'section':9} {'kind':8} {'right':24} what came"
        pytest.fail("\n".join([title, *rows]), pytrace=False)


def test_no_message_is_missing() -> None:
    """RFC 4475 has 49, RFC 5118 has 12, and a name is that of one message."""
    assert [len(RFC_4475), len(RFC_5118)] == [49, 12]
    assert len({case.section for case in RFC_4475}) == 49
    cases = [case for collection in COLLECTIONS.values() for case in collection]
    assert len({case.name for case in cases}) == len(cases)
