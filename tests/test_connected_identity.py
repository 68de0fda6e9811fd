"""With whom one talks, when it is somebody else than before: telephones are told (RFC 4916), each
what it may see (C1)."""

from tests.message import Message
from tests.people import People, both, scene, scenes, take
from tests.softphone import Call

UPDATING = "INVITE, ACK, CANCEL, BYE, UPDATE, REFER, NOTIFY, INFO"


def told(call: Call) -> list[Message]:
    """The UPDATEs that it got."""
    return [found for text in call.received if (found := Message(text)).method == "UPDATE"
            and not found.code]


async def shows(call: Call, identity: str) -> Message:
    """Until its telephone was told of that party."""
    def newest() -> Message | None:
        found = told(call)
        return found[-1] if found and identity in found[-1].get("p-asserted-identity") else None

    return await call.phone.until(newest, f"{identity}, not {[one.text for one in told(call)]}")


@scenes(announced=[True, False])
async def test_after_a_transfer(people: People, announced: bool) -> None:
    anna, bo, cia = await people.three()
    for phone in (anna, bo, cia):
        phone.allows = UPDATING
    line, call = await people.talk(bo, anna)
    if announced:
        call.press("*#*2103#")
        third = await take(cia)
        await both(call, third)
        await call.hang_up()
    else:
        call.press("*#*1103#")
        third = await take(cia)
    await both(line, third)
    await shows(line, '"User 103" <sip:103@')
    if announced:  # the other one was rung for whom it talks with
        await shows(third, '"User 102" <sip:102@')
    else:
        assert not told(third)
    await line.hang_up()
    await third.ended()


@scene
async def test_who_withholds_the_number(people: People) -> None:
    """Not then, either; and a carrier gets no identity of ours within a call."""
    carrier = await people.carrier()
    carrier.allows = UPDATING
    anna, cia = await people.phone("101"), await people.phone("103")
    anna.allows = cia.allows = UPDATING
    line = await carrier.dial(people.company.e164(101), "Privacy: id")
    call = await take(anna)
    await line.answered()
    call.press("*#*2103#")
    third = await take(cia)
    await both(call, third)
    await call.hang_up()
    await both(line, third)
    update = await shows(third, "sip:anonymous@anonymous.invalid")
    assert update.get("privacy") == "id" and carrier.user not in update.text
    assert not told(line)
    await line.hang_up()
    await third.ended()


@scene
async def test_a_telephone_that_takes_no_update(people: People) -> None:
    """It gets none, and talks on."""
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    call.press("*#*2103#")
    third = await take(cia)
    await both(call, third)
    await call.hang_up()
    await both(line, third)
    assert not told(line) and not told(third)
    await line.hang_up()
    await third.ended()
