"""A number forwarded to somebody outside who sends the call back: it ends, and others go on."""

import secrets
import time

import pytest

from kemi.rounds import MAX_KNOWN, MAX_NAMELESS, MAX_ROUNDS, ROUNDS_S, Rounds
from tests.edge.attack.attacker import Attacker, sdp
from tests.exchange import Company, Exchange
from tests.message import Message

OUTSIDE = "+46709876543"
CALLER = "+46701112233"
WORKERS = 3


# -- the rule -----------------------------------------------------------------------------------

def test_who_has_sent_it_on_before_does_not_do_so_again() -> None:
    rounds = Rounds()
    assert rounds.goes_round(["+461"], ["+469", "+461"], CALLER, OUTSIDE, 0)
    assert not rounds.goes_round(["+461"], ["+469"], CALLER, OUTSIDE, 0)
    assert not rounds.goes_round([], ["+461"], CALLER, OUTSIDE, 0), "nobody sends it on"
    assert not rounds.goes_round([""], [""], CALLER, OUTSIDE, 0)


def test_the_same_call_goes_a_few_times() -> None:
    rounds = Rounds()
    found = [rounds.goes_round(["+461"], [], CALLER, OUTSIDE, n / 10) for n in range(20)]
    assert found == [False] * MAX_ROUNDS + [True] * (20 - MAX_ROUNDS)
    assert not rounds.goes_round(["+461"], [], "+4670", OUTSIDE, 2), "another caller"
    assert not rounds.goes_round(["+461"], [], CALLER, "+4671", 2), "to another one"
    assert not rounds.goes_round(["+462"], [], CALLER, OUTSIDE, 2), "by another one"
    assert not rounds.goes_round(["+461"], [], CALLER, OUTSIDE, ROUNDS_S + 0.1), "later"


def test_those_who_withhold_their_number_are_not_one() -> None:
    rounds = Rounds()
    found = [rounds.goes_round(["+461"], [], "", OUTSIDE, n / 100) for n in range(50)]
    assert found == [False] * MAX_NAMELESS + [True] * (50 - MAX_NAMELESS)


def test_what_is_known_is_bounded() -> None:
    rounds = Rounds()
    for n in range(2 * MAX_KNOWN):
        rounds.goes_round([f"+46{n}"], [], CALLER, OUTSIDE, 0)
    assert len(rounds._known) == MAX_KNOWN


# -- on a running exchange ------------------------------------------------------------------------

class Mirror(Attacker):
    """A carrier that sends each call back to the number that has sent it on."""

    def returned(self, number: str, invite: Message | None, loyal: bool) -> None:
        """The call, once more; loyal: with what it was told of those who had it."""
        said = [f"Diversion: {one}" for one in invite.all("diversion")] if invite and loyal else []
        self.send(self.request(
            "INVITE", self.uri(number), f"P-Asserted-Identity: <sip:{CALLER}@{self.address}>",
            *said, body=sdp(self.address), call_id=secrets.token_hex(8)))


@pytest.mark.parametrize("loyal", [True, False], ids=["told who had it", "told nothing"])
def test_a_forwarding_loop_ends(exchange: Exchange, company: Company, loyal: bool) -> None:
    """Sixty rounds in a tenth of a second, and on until all lines were taken."""
    bo = company.telephone("203")
    number = company.main({"kind": "user", "user": bo.user})
    company.client.post(f"{company.base}/forwards", {
        "user": bo.user, "event": "always", "target": {"kind": "number", "text": OUTSIDE}})
    before = exchange.live.counter(20)
    with Mirror(exchange, f"127.0.6.{210 + loyal}") as carrier:
        trunk = exchange.trunk(carrier.address, carrier.port, tenant=company.id)
        exchange.client.post("/routes", {"tenant": company.id, "trunk": trunk, "prefix": "",
                                         "position": 0})
        carrier.returned(number, None, loyal)
        seen: set[str] = set()
        refused = 0
        until = time.monotonic() + 10
        while not refused and time.monotonic() < until:
            message = carrier.next(1.0)
            if message is None:
                continue
            if not message.code and message.method == "INVITE" \
                    and message.get("call-id") not in seen:
                seen.add(message.get("call-id"))
                carrier.returned(number, message, loyal)
            refused += message.code == 482
        assert refused, "it goes on and on"
        assert len(seen) <= (1 if loyal else MAX_ROUNDS * WORKERS)
    assert exchange.live.counter(20) > before
