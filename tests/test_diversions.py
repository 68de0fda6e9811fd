"""Who has sent a call on, and why: as carriers say it and as they are told it (N3; RFC 5806, RFC
7044 with RFC 4458), and the parameters that carriers put into numbers (RFC 4694)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.identity import Forwarder, history, in_format, read_forwarders
from routing_core.codes import Diverted
from routing_core.rows import FORMATS
from tests.people import People, scene
from tests.softphone import Call, Carrier, Message, Softphone
from vaxel.ports import free_port

OUTSIDE = "+46709998877"
EARLIER = "+46811112222"
CALLER = "+46701112233"


# -- as a carrier says it --------------------------------------------------------------------------

@pytest.mark.parametrize(("headers", "found"), [
    (["<sip:+46811112222@x>;reason=user-busy;counter=1"],
     [(EARLIER, Diverted.FOR_BUSY, False)]),
    (["<sip:0811112222@x>;REASON=No-Answer;privacy=full"],
     [(EARLIER, Diverted.FOR_NO_ANSWER, True)]),
    (['"Ek, A" <tel:+46811112222;cpc=x>;reason="away", <sip:004790000000@x>;reason=follow-me'],
     [(EARLIER, Diverted.FOR_AWAY, False), ("+4790000000", Diverted.FOR_FOLLOW_ME, False)]),
    (["<sip:+46811112222@x>", "<sip:anna@x>;reason=away", "<sip:+4790000000@x>;reason=strange"],
     [(EARLIER, Diverted.FOR_UNKNOWN, False), ("+4790000000", Diverted.FOR_UNKNOWN, False)]),
    (["<sip:112@x>", "<sip:12345678901234567@x>", "<", ",,,", '"'], []),
])
def test_diversion_is_read(headers: list[str], found: list[tuple[str, int, bool]]) -> None:
    assert read_forwarders(headers, [], "plus", 46) == found


def test_the_latest_and_the_first_are_kept() -> None:
    many = [f"<sip:+468111122{place:02}@x>;reason=away" for place in range(20)]
    found = [one.number for one in read_forwarders(many, [], "plus", 46)]
    assert found == ["+46811112200", "+46811112201", "+46811112202", "+46811112203",
                     "+46811112219"]


@pytest.mark.parametrize("why", [
    Diverted.FOR_UNKNOWN, Diverted.FOR_ALL, Diverted.FOR_BUSY, Diverted.FOR_NO_ANSWER,
    Diverted.FOR_UNAVAILABLE, Diverted.FOR_DEFLECTION])
def test_history_is_read_as_it_is_written(why: Diverted) -> None:
    steps = [Forwarder("+4790000000", why, private=True), Forwarder(EARLIER, why)]
    written = history([(f"sip:{one.number}@x", one) for one in steps], "sip:102@y")
    assert read_forwarders([], [", ".join(written)], "plus", 46) == steps[::-1]
    assert read_forwarders([], written, "plus", 46) == steps[::-1]


def test_history_with_reasons_of_answers() -> None:
    """RFC 7044 section 10.2; who was not left has not sent the call on."""
    header = (f"<sip:{EARLIER}@x?Reason=SIP%3Bcause%3D486>;index=1, "
              "<sip:+4790000000@x?Reason=SIP%3Bcause%3D408>;index=1.1, <sip:102@x>;index=1.1.1")
    assert read_forwarders([], [header], "plus", 46) == [
        Forwarder(EARLIER, Diverted.FOR_NO_ANSWER)]


@given(st.lists(st.text(alphabet='<>:;,@"\\ sip+0123456789=reason%?', max_size=60), max_size=3),
       st.sampled_from(FORMATS))
def test_any_header_is_read(headers: list[str], number_format: str) -> None:
    for found in (read_forwarders(headers, [], number_format, 46),
                  read_forwarders([], headers, number_format, 46)):
        assert all(one.number[1:].isdecimal() for one in found)
        assert all(in_format(one.number, "plus", 46) == one.number for one in found)


# -- as a carrier is told it -----------------------------------------------------------------------

async def forwarded(people: People, out: Carrier, event: str, phone: Softphone | None,
                    extension: str, code: int, *headers: str) -> Message:
    """The INVITE that `out` gets of another carrier's call to that extension."""
    company = people.company
    made = company.post("forwards", {"user": people.users[extension], "event": event,
                                     "target": {"kind": "number", "text": OUTSIDE}})
    address = f"127.0.252.{company.series % 200 + 1}"
    async with Carrier(people.exchange, address, port=free_port(address)) as carrier:
        trunk = people.exchange.trunk(address, carrier.port)
        line = await carrier.dial(company.e164(int(extension)), *headers)
        if phone is not None:
            asked = await phone.incoming()
            asked.refuse(code)
        call = await out.incoming()
        assert call.invite
        call.refuse(486)
        await line.refused()
        people.exchange.client.call("DELETE", f"/trunks/{trunk}")
    company.client.call("DELETE", f"{company.base}/forwards/{made['id']}")
    return call.invite


@pytest.mark.parametrize(("event", "code", "reason"), [
    ("always", 0, "unconditional"), ("busy", 486, "user-busy"), ("busy", 603, "deflection"),
    ("no_answer", 408, "no-answer"), ("unreachable", 503, "unavailable")])
@scene
async def test_the_reason_of_a_forwarding(people: People, event: str, code: int, reason: str,
                                          ) -> None:
    """Whether the edge alone carries the call or call control."""
    out = await people.carrier()
    for extension, functions in (("101", False), ("102", True)):
        phone = await people.phone(extension, functions=functions)
        invite = await forwarded(people, out, event, phone if code else None, extension, code)
        assert invite.all("diversion") == [
            f"<sip:{people.company.e164(int(extension))}@{people.exchange.settings.domain}>"
            f";reason={reason};counter=1"]


@scene
async def test_the_reason_of_an_activity(people: People) -> None:
    await people.phone("101", functions=False)
    out = await people.carrier()
    activity = people.company.activity()
    people.company.client.put(f"{people.company.base}/users/{people.users['101']}/presence",
                              {"activity": activity, "until": 0})
    invite = await forwarded(people, out, "activity", None, "101", 0)
    assert ";reason=away;" in invite.get("diversion")


@scene
async def test_an_earlier_diversion_goes_on(people: People) -> None:
    """What the carrier says of it stays beside what is done here, the latest first."""
    out = await people.carrier()
    for extension, functions in (("101", False), ("102", True)):
        await people.phone(extension, functions=functions)
        invite = await forwarded(
            people, out, "always", None, extension, 0,
            f"Diversion: <sip:{EARLIER}@x>;reason=no-answer;privacy=full")
        own, earlier = invite.all("diversion")
        assert people.company.e164(int(extension)) in own and ";reason=unconditional;" in own
        assert f"sip:{EARLIER}@" in earlier and "x>" not in earlier
        assert earlier.endswith(">;reason=no-answer;counter=1;privacy=full")


# -- parameters of numbers -------------------------------------------------------------------------

@scene
async def test_parameters_of_numbers(people: People) -> None:
    """Those of number portability are read past, and those of a caller are not shown."""
    carrier = await people.carrier()
    anna, bo = await people.phone("101", functions=False), await people.phone("102")
    carrier.user = f"{CALLER};cpc=ordinary;oli=0"
    for phone in (anna, bo):
        number = people.company.e164(int(phone.number))
        for called in (f"{number};npdi;rn=+46999", f"{number};rn=+46999;npdi;isub=1"):
            line: Call = await carrier.dial(called)
            call = await phone.incoming()
            assert call.invite
            assert f"sip:{CALLER}@" in call.invite.get("from")
            assert "cpc" not in call.invite.get("from") + call.invite.get("p-asserted-identity")
            call.ring()
            await line.rang()
            await line.cancel()
            await call.ended()
    for record in people.company.client.get(f"{people.company.base}/calls")["items"]:
        assert record["caller"] in (CALLER, "")
