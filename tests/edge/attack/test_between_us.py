"""What telephones of one company say to each other is not said to carriers, nor by them: headers
that make a telephone answer by itself, take over a call or name inside addresses, and REFER."""

import secrets

import pytest

from tests.edge.attack.attacker import Attacker, sdp
from tests.edge.attack.test_dialogs import outgoing
from tests.exchange import Company, Exchange, eventually
from tests.people import People, scene
from tests.sipp import Sipp, answering, calling

SAID = ("Alert-Info: <http://x.invalid>;info=alert-autoanswer", "Call-Info: <sip:x>;answer-after=0",
        "Answer-Mode: Auto;require", "Priv-Answer-Mode: Auto", "Join: a@b;to-tag=1;from-tag=2",
        "Referred-By: <sip:101@10.0.0.5>", "b: <sip:101@10.0.0.5>",
        "Target-Dialog: a@b;local-tag=1;remote-tag=2")
NAMES = {one.partition(":")[0].lower() for one in SAID} | {"replaces"}
OUTSIDE = "0709876543"


def said(text: str) -> set[str]:
    """Which of them are in a message."""
    return {line.partition(":")[0].strip().lower() for line in text.splitlines()} & NAMES


def test_a_carrier_makes_no_telephone_answer_by_itself(exchange: Exchange,
                                                       company: Company) -> None:
    bo = company.telephone("102")
    exchange.trunk("127.0.6.201", 5060)
    replaces = f"Replaces: {secrets.token_hex(4)}@x;to-tag=1;from-tag=2"
    with company.phone(bo, answering()) as phone, Sipp(
            calling("+46701112233", 200, more="\n".join((*SAID, replaces))),
            address="127.0.6.201", remote=exchange.sip, service=company.e164(102)) as line:
        line.done()
        phone.done()
        assert not said(phone.received("INVITE")[0])


@pytest.mark.parametrize(("to", "address"), [("carrier", "127.0.6.202"),
                                             ("colleague", "127.0.6.203")])
def test_what_a_carrier_is_not_told(exchange: Exchange, company: Company, to: str,
                                    address: str) -> None:
    """A colleague's telephone is."""
    anna, bo = company.telephone("101"), company.telephone("102")
    with Attacker(exchange, address) as carrier, Attacker(exchange) as phone, \
            Attacker(exchange) as attacker:
        trunk = exchange.trunk(carrier.address, carrier.port, tenant=company.id)
        exchange.client.post("/routes", {"tenant": company.id, "trunk": trunk, "prefix": "",
                                         "position": 0})
        assert phone.register(bo).code == 200
        attacker.begin(anna, "INVITE", attacker.uri(OUTSIDE if to == "carrier" else "102"), *SAID,
                       body=sdp(attacker.address))
        heard = carrier if to == "carrier" else phone
        invite = eventually(lambda: next(
            (one for one in heard.requests() if one.method == "INVITE"), None))
        assert said(invite.text) == (set() if to == "carrier" else NAMES - {"replaces"})


@scene
async def test_a_telephones_refer_does_not_reach_the_carrier(people: People) -> None:
    """It told the carrier our addresses, and asked it to call them."""
    async with outgoing(people) as (line, call, carrier):
        call.ring()
        call.answer()
        await line.answered()
        assert await line.refer("102") == 603
        assert "REFER" not in carrier.ladder()
        await line.hang_up()
        await call.ended()
