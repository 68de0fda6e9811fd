"""Lamps (P4): the line state of every colleague in the API, and as telephones are told of it by
SUBSCRIBE (RFC 4235), through everything that becomes of a call."""

import asyncio
import re
from xml.etree import ElementTree

from tests.message import tag_of
from tests.people import People, both, scene, scenes, take, wait_for
from tests.softphone import Softphone, Watching


async def watch(people: People, *extensions: str) -> tuple[Softphone, list[Watching]]:
    """A telephone with a key for each of these colleagues."""
    attendant = await people.phone("105")
    return attendant, [await attendant.subscribe("dialog", one) for one in extensions]


def changes(lamp: Watching) -> list[str]:
    """The states that it has shown, in order."""
    return [state for index, state in enumerate(lamp.states)
            if index == 0 or state != lamp.states[index - 1]]


@scenes(functions=[True, False])
async def test_a_plain_call(people: People, functions: bool) -> None:
    """Whether or not call control carries it."""
    anna = await people.phone("101", functions=functions)
    bo = await people.phone("102", functions=functions)
    _, (anna_lamp, bo_lamp) = await watch(people, "101", "102")
    assert anna_lamp.states == bo_lamp.states == ["idle"]
    line = await bo.dial("101")
    call = await anna.incoming()
    call.ring()
    await anna_lamp.sees("early")
    await people.lines(_101="ringing", _102="in_call")
    call.answer()
    await line.answered()
    await anna_lamp.sees("confirmed")
    await bo_lamp.sees("confirmed")
    await people.lines(_101="in_call", _102="in_call")
    await line.hang_up()
    await call.ended()
    for lamp in (anna_lamp, bo_lamp):
        await lamp.sees("idle")
    assert changes(anna_lamp) == ["idle", "early", "confirmed", "idle"]


@scene
async def test_a_call_that_is_not_answered(people: People) -> None:
    anna, bo = await people.phone("101"), await people.phone("102")
    _, lamps = await watch(people, "101", "102")
    line = await bo.dial("101")
    call = await anna.incoming()
    call.ring()
    await lamps[0].sees("early")
    await line.hang_up()
    await call.ended()
    for lamp in lamps:
        await lamp.sees("idle")
    assert changes(lamps[0]) == ["idle", "early", "idle"]


@scene
async def test_through_a_transfer(people: People) -> None:
    anna, bo, cia = await people.three()
    _, (anna_lamp, bo_lamp, cia_lamp) = await watch(people, "101", "102", "103")
    line, call = await people.talk(bo, anna)
    assert await call.refer("103") == 202
    third = await cia.incoming()
    third.ring()
    await cia_lamp.sees("early")
    await people.lines(_101="in_call", _102="in_call", _103="ringing")
    third.answer()
    await both(line, third)
    await anna_lamp.sees("idle")
    await cia_lamp.sees("confirmed")
    await people.lines(_102="in_call", _103="in_call")
    await third.hang_up()
    await line.ended()
    for lamp in (anna_lamp, bo_lamp, cia_lamp):
        await lamp.sees("idle")
    assert changes(bo_lamp) == ["idle", "confirmed", "idle"]
    assert changes(cia_lamp) == ["idle", "early", "confirmed", "idle"]


@scene
async def test_through_a_conference(people: People) -> None:
    anna, bo, cia = await people.three()
    _, (anna_lamp, bo_lamp, cia_lamp) = await watch(people, "101", "102", "103")
    line, call = await people.talk(bo, anna)
    call.press("*#*2103#")
    third = await take(cia)
    await both(call, third)
    call.press("*#*4")
    await call.hears(800, 1000)
    for lamp in (anna_lamp, bo_lamp, cia_lamp):
        await lamp.sees("confirmed")
    await call.hang_up()
    await anna_lamp.sees("idle")
    await both(line, third)
    await people.lines(_102="in_call", _103="in_call")
    await line.hang_up()
    await third.ended()
    for lamp in (bo_lamp, cia_lamp):
        await lamp.sees("idle")
    assert changes(bo_lamp) == ["idle", "confirmed", "idle"]


@scene
async def test_through_park_and_pickup(people: People) -> None:
    anna, bo, cia = await people.three()
    _, (anna_lamp, bo_lamp, cia_lamp) = await watch(people, "101", "102", "103")
    line, call = await people.talk(bo, anna)
    call.press("*#*6")
    await people.in_state("parked")
    await call.hang_up()
    await anna_lamp.sees("idle")
    await people.lines(_102="in_call")
    third = await cia.dial("*85*71")
    await third.answered()
    await cia_lamp.sees("confirmed")
    await third.hang_up()
    await line.ended()
    line = await bo.dial("101")
    ringing = await anna.incoming()
    ringing.ring()
    await anna_lamp.sees("early")
    third = await cia.dial("**101")
    await third.answered()
    await cia_lamp.sees("confirmed")
    await anna_lamp.sees("idle")
    await line.hang_up()
    await third.ended()
    for lamp in (bo_lamp, cia_lamp):
        await lamp.sees("idle")


@scene
async def test_whichever_device(people: People) -> None:
    """A call at any telephone of a person lights the person's lamp, moved or not."""
    anna, bo = await people.phone("101"), await people.phone("102")
    mobile = await people.phone("101", kind="mobile", user=people.users["101"], hz=1200)
    _, (lamp,) = await watch(people, "101")
    line, call = await people.talk(mobile, bo)
    await lamp.sees("confirmed")
    moved = await anna.dial("*84")
    await moved.answered()
    await both(call, moved)
    await line.ended()
    assert changes(lamp) == ["idle", "confirmed"]
    await moved.hang_up()
    await call.ended()
    await lamp.sees("idle")


@scene
async def test_two_calls_on_a_line(people: People) -> None:
    anna, bo, cia = await people.three()
    _, (lamp,) = await watch(people, "101")
    first, one = await people.talk(bo, anna)
    assert await one.hold() == 200
    second, two = await people.talk(anna, cia)
    await second.hang_up()
    await two.ended()
    await people.lines(_101="in_call", _102="in_call")
    assert lamp.states[-1] == "confirmed"
    await first.hang_up()
    await one.ended()
    await lamp.sees("idle")


@scene
async def test_a_subscription_is_refreshed_and_ended(people: People) -> None:
    """Each NOTIFY is the whole state, with a version that grows; the end is told too."""
    anna, bo = await people.phone("101"), await people.phone("102")
    _, (lamp,) = await watch(people, "101")
    await lamp.subscribe()
    assert lamp.code == 200
    # The stack repeats what it last told by itself; ours comes after it.
    await lamp.phone.until(lambda: len({body for body in lamp.bodies if body}) >= 2,
                           "the state after a refresh")
    await lamp.subscribe(0)
    assert lamp.code == 200
    await lamp.phone.until(lambda: lamp.over, "the last NOTIFY")
    told = len(lamp.states)
    line, call = await people.talk(bo, anna)
    await line.hang_up()
    await call.ended()
    assert len(lamp.states) == told
    versions = [int(re.findall(r'version="(\d+)"', body)[-1]) for body in lamp.bodies if body]
    assert versions == sorted(versions), "a number may come twice, with the same state"
    assert len(set(versions)) == len({body for body in lamp.bodies if body}) > 1
    assert all('state="full"' in body and "sip:101@" in body for body in lamp.bodies if body)


@scene
async def test_what_cannot_be_watched(people: People) -> None:
    """Nobody's extension, another company's, an event that nobody tells of."""
    attendant = await people.phone("105")
    stranger = people.exchange.company()
    stranger.telephone("177")
    assert (await attendant.subscribe("dialog", "199")).code == 404
    assert (await attendant.subscribe("dialog", "177")).code == 404
    assert (await attendant.subscribe("conference", "105")).code == 489
    attendant.secret = "wrong"
    assert (await attendant.subscribe("dialog", "105")).code == 407


@scene
async def test_many_watch_one(people: People) -> None:
    anna, bo = await people.phone("101"), await people.phone("102")
    attendant = await people.phone("105")
    lamps = [await attendant.subscribe("dialog", "101") for _ in range(8)]
    line, call = await people.talk(bo, anna)
    await asyncio.gather(*(lamp.sees("confirmed") for lamp in lamps))
    await line.hang_up()
    await call.ended()
    await asyncio.gather(*(lamp.sees("idle") for lamp in lamps))

    async def told() -> bool:
        return all(changes(lamp) == ["idle", "early", "confirmed", "idle"] or
                   changes(lamp) == ["idle", "confirmed", "idle"] for lamp in lamps)

    await wait_for(told, "each change once")


# -- which call it is (RFC 4235 section 4.1) -----------------------------------------------------

def dialog(lamp: Watching) -> dict[str, str]:
    """What the newest document says of the line's dialog; remote, display: of the other party."""
    root = ElementTree.fromstring(lamp.bodies[-1].encode())
    name = "{urn:ietf:params:xml:ns:dialog-info}"
    found = root.find(f"{name}dialog")
    assert found is not None, lamp.bodies[-1]
    remote = found.find(f"{name}remote/{name}identity")
    local = found.find(f"{name}local/{name}identity")
    assert local is not None
    said = dict(found.attrib) | {"local": str(local.text)}
    return said if remote is None else said | {
        "remote": str(remote.text), "display": remote.get("display", "")}


@scenes(functions=[True, False])
async def test_which_call_it_is(people: People, functions: bool) -> None:
    anna = await people.phone("101", functions=functions)
    bo = await people.phone("102", functions=functions)
    _, (anna_lamp, bo_lamp) = await watch(people, "101", "102")
    line = await bo.dial("101")
    call = await anna.incoming()
    call.ring()
    await anna_lamp.sees("early")
    assert call.invite
    said, domain = dialog(anna_lamp), people.exchange.settings.domain
    assert said["call-id"] == call.call_id and said["direction"] == "recipient"
    assert said["remote-tag"] == tag_of(call.invite.get("from"))
    assert said["remote"].startswith("sip:102@") and said["display"] == "User 102"
    assert said["local"].startswith("sip:101@") and domain not in said["display"]
    await bo_lamp.sees("confirmed")
    said = dialog(bo_lamp)
    assert said["call-id"] == line.call_id and said["direction"] == "initiator"
    assert said["local-tag"] == tag_of(line.local)
    call.answer()
    await line.answered()
    await anna_lamp.sees("confirmed")
    said = dialog(anna_lamp)
    assert (said["call-id"], said["direction"]) == (call.call_id, "recipient")
    assert said["local-tag"] == tag_of(call.local)
    await line.hang_up()
    await call.ended()


@scene
async def test_of_an_outside_caller(people: People) -> None:
    """Seen as telephones see it; whom a colleague calls outside is told to nobody."""
    carrier = await people.carrier()
    anna = await people.phone("101", functions=False)
    _, (lamp,) = await watch(people, "101")
    for headers, remote in (((), f"sip:{carrier.user}@"), (("Privacy: id",), "sip:anonymous@")):
        line = await carrier.dial(people.company.e164(101), *headers)
        call = await anna.incoming()
        call.ring()
        await lamp.sees("early")
        assert dialog(lamp)["remote"].startswith(remote)
        assert not headers or carrier.user not in lamp.bodies[-1]
        await line.rang()
        await line.cancel()
        await call.ended()
        await lamp.sees("idle")
    line = await anna.dial("0709998877")
    call = await carrier.incoming()
    await lamp.sees("confirmed")
    assert "9998877" not in lamp.bodies[-1] and "remote" not in dialog(lamp)
    call.refuse(486)
    await line.refused()


@scene
async def test_pickup_by_replaces(people: People) -> None:
    """A telephone asks for the call that it was told of (RFC 3891)."""
    anna, bo, cia = await people.three()
    _, (lamp,) = await watch(people, "101")
    line = await bo.dial("101")
    call = await anna.incoming()
    call.ring()
    await lamp.sees("early")
    said = dialog(lamp)
    named = (f"{said['call-id']};to-tag={said['local-tag']};from-tag={said['remote-tag']}")
    wrong = await cia.dial("101", f"Replaces: x{named}")
    assert await wrong.refused() == 481
    third = await cia.dial("101", f"Replaces: {named}", "Require: replaces")
    await third.answered()
    await both(third, line)
    await call.ended()
    late = await cia.dial("101", f"Replaces: {named}")
    assert await late.refused() == 481
    await third.hang_up()
    await line.ended()
