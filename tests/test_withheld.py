"""A caller who does not want to be seen is not (N3): every form of RFC 3323, RFC 3325 and
Remote-Party-ID, in from a carrier, out to one, between colleagues, and through call control."""

import json

import pytest

from kemi import identity
from tests.people import People, scene, take, wait_for
from tests.softphone import Call, Carrier, Message, Softphone
from vaxel.ports import free_port

CALLER = "+46701112233"
NAME = "Karl Hemlig"
OUTSIDE = "+46709998877"
NOBODY = "sip:anonymous@anonymous.invalid"
ASSERTED = f'P-Asserted-Identity: "{NAME}" <sip:{CALLER}@carrier>'
#: What a carrier says of a caller who withholds the number; From has it none the less.
FORMS = {
    "id": ("Privacy: id", ASSERTED), "user": ("Privacy: user", ASSERTED),
    "header": ("Privacy: header", ASSERTED), "several": ("Privacy: session; USER;critical",),
    "two": ("Privacy: session", "Privacy: id", ASSERTED), "spaced": ("Privacy  :\tid",),
    "full": (f'Remote-Party-ID: "{NAME}" <sip:{CALLER}@x>;party=calling;privacy=full;screen=yes',),
    "uri": (f"Remote-Party-ID: <sip:{CALLER}@x>;privacy=uri-network",),
    "second": ("Remote-Party-ID: <sip:1@x>;party=called;privacy=off, "
               f'<sip:{CALLER}@x>;PARTY=calling;privacy="full"',),
}


# -- what is asked for ---------------------------------------------------------------------------

@pytest.mark.parametrize(("privacy", "uri", "parties", "hidden"), [
    ([], f"sip:{CALLER}@x", [], False), (["none"], f"sip:{CALLER}@x", [], False),
    (["session;critical"], f"sip:{CALLER}@x", [], False), (["history"], "sip:1@x", [], False),
    (["id"], "", [], True), (["none", "id"], f"sip:{CALLER}@x", [], True),
    ([], NOBODY, [], True), ([], "sip:Anonymous@carrier", [], True), ([], "sip:x@", [], False),
    ([], "sips:anonymous.invalid", [], True), ([], "sip:a@ANONYMOUS.invalid:5060;x=y", [], True),
    ([], "sip:restricted@carrier", [], True), (["none"], NOBODY, [], False),
    ([], "sip:1@x", ["<sip:1@x>;privacy=off"], False), ([], "sip:1@x", ["<sip:1@x>"], False),
    ([], "sip:1@x", ["<sip:1@x>;party=called;privacy=full"], False),
    ([], "sip:1@x", ["<sip:1@x>;privacy=name"], False),
    ([], "sip:1@x", ["sip:1@x;privacy=full"], True),
    (["\u00e4" * 9999, "i d"], "", ["<" * 9999], False),
])
def test_withheld(privacy: list[str], uri: str, parties: list[str], hidden: bool) -> None:
    assert identity.withheld(privacy, uri, parties) is hidden


@pytest.mark.parametrize(("contact", "expected"), [
    ("<sip:+4670@10.0.0.1:5070;transport=tcp>;+sip.instance=x",
     "<sip:anonymous@10.0.0.1:5070;transport=tcp>"),
    ("sip:anna@[::1]:5060", "<sip:anonymous@[::1]:5060>"), ("<sip:10.0.0.1>", ""), ("*", ""),
    ("<sip:a@b", ""), ("", ""),
])
def test_a_contact_names_nobody(contact: str, expected: str) -> None:
    assert identity.nobodys_contact(contact) == expected


# -- in from a carrier ---------------------------------------------------------------------------

def known(people: People) -> None:
    """The caller is in the directory."""
    people.company.post("contacts", {"name": NAME, "numbers": [
        {"kind": "mobile", "e164": CALLER}]})


def unseen(text: str) -> None:
    """Nothing in a message says who calls."""
    for word in (CALLER, CALLER[1:], "0" + CALLER[3:], NAME):
        assert word not in text, text


async def rung(people: People, carrier: Carrier, phone: Softphone, *headers: str) -> Message:
    """The INVITE of the phone when the carrier's caller calls it and gives up."""
    line = await dialled(carrier, people.company.e164(int(phone.number)), *headers)
    call = await phone.incoming()
    call.ring()
    await line.rang()
    await line.cancel()
    await call.ended()
    assert call.invite
    return call.invite


async def dialled(carrier: Carrier, number: str, *headers: str) -> Call:
    """A call of the carrier's, whose From says a name."""
    call = Call(carrier)
    call.local = f'"{NAME}" {call.local}'
    await call.media.__aenter__()
    carrier.calls.append(call)
    carrier.spawn(call.dial(number, *headers))
    return call


@scene
async def test_in_from_a_carrier(people: People) -> None:
    """Whether the edge alone carries the call or call control, which rings by itself."""
    carrier = await people.carrier()
    anna, bo = await people.phone("101", functions=False), await people.phone("102")
    known(people)
    for headers in FORMS.values():
        for phone in (anna, bo):
            invite = await rung(people, carrier, phone, *headers, "Reply-To: <sip:karl@x>",
                                f"User-Agent: {NAME}", f"Identity: {CALLER}")
            unseen(invite.text)
            assert NOBODY in invite.get("from") and invite.get("privacy") == "id"
    for record in people.company.client.get(f"{people.company.base}/calls")["items"]:
        unseen(json.dumps(record))


@scene
async def test_who_does_not_hide_is_seen(people: People) -> None:
    carrier = await people.carrier()
    anna, bo = await people.phone("101", functions=False), await people.phone("102")
    for headers in ((ASSERTED, "Privacy: none"), ("Privacy: session",),
                    (f"Remote-Party-ID: <sip:{CALLER}@x>;privacy=off",)):
        for phone in (anna, bo):
            assert f"sip:{CALLER}@" in (await rung(people, carrier, phone, *headers)).get("from")
    for phone in (anna, bo):  # the name alone is private
        invite = await rung(people, carrier, phone,
                            f'Remote-Party-ID: "{NAME}" <sip:{CALLER}@x>;privacy=name')
        assert NAME not in invite.text and f"sip:{CALLER}@" in invite.get("from")


@scene
async def test_through_the_whole_call(people: People) -> None:
    """A re-INVITE says it no more than the INVITE did, and either side may hang up."""
    carrier = await people.carrier()
    anna = await people.phone("101", functions=False)
    line = await dialled(carrier, people.company.e164(101), *FORMS["id"])
    call = await take(anna)
    await line.answered()
    text, branch = line.request("INVITE", line.description(), ASSERTED, "Privacy: id")
    reply = await carrier.transact(text, branch, "INVITE")
    assert reply.code == 200, reply.text
    line._acknowledge(line.cseq, "", reply)
    await anna.until(lambda: call.moved, "a re-INVITE")
    for said in anna.received:
        if not said.code:
            unseen(said.text)
    await call.hang_up()
    await line.ended()


@scene
async def test_forwarded_to_a_carrier(people: People) -> None:
    out = await people.carrier()
    await people.phone("101", functions=False)
    await people.phone("102")
    address = f"127.0.251.{people.company.series % 200 + 1}"
    async with Carrier(people.exchange, address, port=free_port(address)) as carrier:
        people.exchange.trunk(address, carrier.port)
        for extension in ("101", "102"):
            people.company.post("forwards", {
                "user": people.users[extension], "event": "always",
                "target": {"kind": "number", "text": OUTSIDE}})
            line = await dialled(carrier, people.company.e164(int(extension)), *FORMS["full"])
            call = await out.incoming()
            assert call.invite and call.invite.get("privacy") == "id"
            unseen(call.invite.text)
            assert NOBODY in call.invite.get("from")
            call.refuse(486)
            await line.refused()


@scene
async def test_a_message_in_a_mailbox(people: People) -> None:
    """What is kept of the call, and told of it, names nobody."""
    carrier = await people.carrier()
    await people.phone("101")
    company = people.company
    box = company.post("services", {"name": "Box", "settings": {
        "type": "mailbox", "user": people.users["101"]}})["id"]
    number = company.main({"kind": "service", "service": box})
    line = await dialled(carrier, number, *FORMS["user"])
    await line.answered()
    await people.in_state("LeaveMessage")
    for call in await people.live():
        unseen(json.dumps(call))
    await line.hang_up()

    async def told() -> bool:
        return any(one.get("kind") == "call" for one in events())

    def events() -> list[dict[str, object]]:
        return list(company.client.get(f"{company.base}/events", limit=200)["items"])

    await wait_for(told, "the call's event")
    unseen(json.dumps(events()))


# -- out to a carrier, and between colleagues ------------------------------------------------------

WISHES = ("Privacy: id", "Privacy: user;header", f"P-Preferred-Identity: <{NOBODY}>",
          'Remote-Party-ID: "x" <sip:101@vaxel.local>;privacy=full')


@scene
async def test_out_to_a_carrier(people: People) -> None:
    """The carrier is trusted with the number, and is asked not to pass it on."""
    carrier = await people.carrier()
    company = people.company
    anna, bo = await people.phone("101", functions=False), await people.phone("102")
    for phone in (anna, bo):
        number = company.e164(int(phone.number))
        for wish in (*WISHES, ""):
            line = Call(phone)
            if not wish:  # by From alone
                line.local = line.local.replace(phone.uri, NOBODY)
            await line.media.__aenter__()
            phone.calls.append(line)
            phone.spawn(line.dial(OUTSIDE, *([wish] if wish else [])))
            call = await carrier.incoming()
            invite = call.invite
            assert invite and NOBODY in invite.get("from")
            assert invite.get("privacy") == "id" and number in invite.get("p-asserted-identity")
            assert phone.user not in invite.text and f"User {phone.number}" not in invite.text
            call.refuse(486)
            await line.refused()


@scene
async def test_between_colleagues(people: People) -> None:
    """Not seen when this call asks for it; a setting for calls out hides nobody inside."""
    anna, bo, cia = await people.phone("101", functions=False), await people.phone("102"), \
        await people.phone("103", functions=False)
    for phone in (anna, bo):
        people.company.client.patch(f"{people.company.base}/users/{people.users[phone.number]}",
                                    {"display": "hidden"})
        for number, wish in (("103", "Privacy: id"), ("#31#103".replace("#", "%23"), "")):
            line = await phone.dial(number, *([wish] if wish else []))
            call = await cia.incoming()
            assert call.invite
            assert NOBODY in call.invite.get("from") and call.invite.get("privacy") == "id"
            for word in (f"sip:{phone.number}@", f"User {phone.number}", phone.user):
                assert word not in call.invite.text
            call.refuse(486)
            await line.refused()
        line = await phone.dial("103")
        call = await cia.incoming()
        assert call.invite and f"sip:{phone.number}@" in call.invite.get("from")
        call.refuse(486)
        await line.refused()
