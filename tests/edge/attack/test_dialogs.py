"""A dialog belongs to its two sides: nobody else ends it, uses it or is reached by it, and a record
ends when its call does (RFC 3261 sections 12.2 and 15)."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.edge.attack.attacker import SILENCE_S, Attacker
from tests.exchange import Company, Exchange
from tests.message import Message
from tests.people import People, both, scene, take, wait_for
from tests.softphone import Call, Carrier, Softphone

OUTSIDE = "+46709876543"


@asynccontextmanager
async def outgoing(people: People) -> AsyncIterator[tuple[Call, Call, Carrier]]:
    """A call of anna's to somebody outside, and the carrier that has it."""
    carrier = await people.carrier()
    anna = await people.phone("101", functions=False)
    line = await anna.dial(OUTSIDE)
    yield line, await carrier.incoming(), carrier


async def record_of(people: People) -> dict[str, object]:
    """The only call record of the company."""
    async def found() -> object:
        items = (await asyncio.to_thread(
            people.company.client.get, f"{people.company.base}/calls"))["items"]
        return items[0] if items else None

    record: dict[str, object] = await wait_for(found, "a call record")
    return record


def slots(people: People) -> int:
    """The call slots of the company that are taken."""
    live = people.exchange.live
    return sum(1 for slot, nonce in live.calls()
               if (call := live.call(slot, nonce)) and call["tenant"] == people.company.id
               and not call["ended_ms"])


async def stays(people: People, line: Call, call: Call) -> None:
    """The call is still there: its slot, and both its ends."""
    await asyncio.sleep(SILENCE_S)
    assert slots(people) == 1 and line.state == call.state == "up"


def bye(call: Call, **changed: str) -> str:
    """A BYE of a call's, with something changed."""
    text, _ = call.request("BYE", cseq=int(changed.pop("cseq", call.cseq + 1)))
    for name, value in changed.items():
        if name == "target":
            text = re.sub(r"^BYE \S+", f"BYE {value}", text)
        else:
            label = {"call_id": "Call-ID", "from_": "From", "to": "To"}.get(name, name)
            text = re.sub(rf"(?m)^{label}: .*\r$", f"{label}: {value}\r", text)
    return text


@scene
async def test_a_bye_to_oneself_reaches_the_carrier(people: People) -> None:
    """The request line was the sender's own address: the record ended, and the carrier went on."""
    async with outgoing(people) as (line, call, carrier):
        call.ring()
        call.answer()
        await line.answered()
        line.phone.send(bye(line, target=f"sip:x@127.0.0.1:{line.phone.port}"))
        await call.ended()
        record = await record_of(people)
        assert record["answered_ms"] and record["ended_by"] == "caller"
        assert carrier.ladder().count("BYE") >= 1


@scene
async def test_a_bye_while_it_rings_is_no_free_call(people: People) -> None:
    """The call was answered later without a slot, with no talk in its record."""
    async with outgoing(people) as (line, call, _carrier):
        call.ring()
        await line.rang()
        ringing = next(Message(text) for text in reversed(line.received)
                       if Message(text).code == 180)
        text, _ = line.request("BYE", cseq=line.cseq + 1)
        routes = "\r\n".join(f"Route: {one}" for one in ringing.routes)
        text = text.replace("\r\nFrom:", f"\r\n{routes}\r\nFrom:", 1)
        text = re.sub(r"(?m)^To: .*\r$", f"To: {ringing.get('to')}\r", text)
        line.phone.send(text)
        await line.refused()
        assert line.code == 487
        record = await record_of(people)
        assert not record["answered_ms"] and record["ended_by"] == "cancelled"


@pytest.mark.parametrize("wrong", ["call_id", "from_", "to", "cseq"])
def test_a_bye_that_does_not_fit_ends_nothing(exchange: Exchange, company: Company,
                                              wrong: str) -> None:
    async def play() -> None:
        async with People(exchange, company) as people, outgoing(people) as (line, call, _):
            call.ring()
            call.answer()
            await line.answered()
            value = {"call_id": "another", "from_": f"<sip:x@y>;tag={secrets.token_hex(4)}",
                     "to": f"<sip:x@y>;tag={secrets.token_hex(4)}", "cseq": "1"}[wrong]
            line.phone.send(bye(line, **{wrong: value}))
            await stays(people, line, call)
            await line.hang_up()
            await call.ended()

    asyncio.run(play())


@scene
async def test_a_stranger_with_everything_copied_ends_nothing(people: People) -> None:
    """From another address: Call-ID, tags, route and CSeq are all right."""
    async with outgoing(people) as (line, call, carrier):
        call.ring()
        call.answer()
        await line.answered()
        for stolen in (line, call):
            for address in ("127.0.0.41", "127.0.0.1"):
                with Attacker(people.exchange, address) as stranger:
                    stranger.send(re.sub(r"(?m)^Via: .*\r$",
                                         f"Via: SIP/2.0/UDP {stranger.place};branch=z9hG4bK"
                                         f"{secrets.token_hex(5)};rport\r", bye(stolen)))
                    code = await asyncio.to_thread(stranger.answer)
                    assert code in (407, 481), (stolen is line, address, code)
        await stays(people, line, call)
        assert "BYE" not in carrier.ladder()
        await line.hang_up()
        await call.ended()


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "REFER", "INFO", "NOTIFY", "OPTIONS",
                                    "UPDATE", "SUBSCRIBE", "PUBLISH", "BYE"])
def test_a_mark_is_no_ticket(exchange: Exchange, company: Company, method: str) -> None:
    """With a live call's mark anybody sent anything with a To tag to any host."""
    async def play() -> None:
        async with People(exchange, company) as people:
            anna, bo = await people.phone("101", functions=False), await people.phone(
                "102", functions=False)
            line, call = await people.talk(anna, bo)
            with Attacker(exchange, "127.0.0.42") as victim:
                for sender in (line.phone, None):
                    for known in (True, False):
                        await asyncio.to_thread(
                            relay, exchange, victim, method, line, sender, known)
                assert not await asyncio.to_thread(victim.requests, SILENCE_S)
            line.cseq += 6  # its own telephone has sent some
            if method != "BYE":
                await line.hang_up()
            await call.ended()

    asyncio.run(play())


def relay(exchange: Exchange, victim: Attacker, method: str, line: Call,
          sender: object, known: bool) -> None:
    """A request with a live mark to the victim, of the party itself or of a stranger."""
    with Attacker(exchange, "127.0.0.43") as stranger:
        headers = [f"Route: {route}" for route in line.routes]
        headers += [f"Route: <sip:{victim.place};lr>"] if not known else []
        text = stranger.request(
            method, f"sip:+46900123456@{victim.place}", *headers, cseq=line.cseq + 5,
            from_=line.local if known else "", to=line.remote if known else "<sip:y@z>;tag=b",
            call_id=line.call_id if known else "")
        if sender is not None and isinstance(sender, Softphone):
            sender.send(text)
        else:
            stranger.send(text)
            stranger.answer(0.5)


@scene
async def test_a_calls_contact_is_where_it_came_from(people: People) -> None:
    """A caller names a carrier as its Contact, and the called friend sends a re-INVITE there."""
    with Attacker(people.exchange, "127.0.0.44") as carrier:
        people.exchange.trunk(carrier.address, carrier.port)
        anna, bo = await people.phone("101", functions=False), await people.phone(
            "102", functions=False)
        honest = type(anna).contact
        evil = f"sip:+46900123456@{carrier.place}"
        type(anna).contact = property(  # type: ignore[misc, assignment]
            lambda phone: evil if phone is anna else honest.fget(phone))  # type: ignore[attr-defined]
        try:
            line = await anna.dial("102")
            call = await take(bo)
            await line.answered()
            await both(line, call)
            assert await call.reinvite(call.description()) == 200
            assert line.moved == 1
        finally:
            type(anna).contact = honest  # type: ignore[method-assign]
        await call.hang_up()
        await line.ended()
        assert not await asyncio.to_thread(carrier.requests, 0.2)


@scene
async def test_a_route_set_that_is_not_the_dialogs_is_refused(people: People) -> None:
    """It would lead the carrier's proxy to send the BYE elsewhere."""
    async with outgoing(people) as (line, call, _carrier):
        call.ring()
        call.answer()
        await line.answered()
        with Attacker(people.exchange, "127.0.0.45") as victim:
            line.phone.send(bye(line).replace(
                "\r\nFrom:", f"\r\nRoute: <sip:{victim.place};lr>\r\nFrom:", 1))
            await stays(people, line, call)
            assert not await asyncio.to_thread(victim.requests, 0.2)
        await line.hang_up()
        await call.ended()


@scene
async def test_a_bye_that_the_carrier_would_refuse_ends_the_call(people: People) -> None:
    """Written so that the carrier answers 420 or 483 and goes on: it gets one of ours."""
    async with outgoing(people) as (line, call, carrier):
        call.ring()
        call.answer()
        await line.answered()
        refused: list[str] = []
        plain = carrier._requested

        def picky(request: Message, addr: object) -> None:
            if request.method == "BYE" and request.get("require"):
                refused.append(request.text)
                carrier._sources[request.branch] = addr
                carrier.reply(request, 420, "Bad Extension")
            else:
                plain(request, addr)

        carrier._requested = picky  # type: ignore[method-assign]
        line.phone.send(bye(line).replace("\r\nFrom:", "\r\nRequire: nonsense\r\nFrom:", 1))
        await call.ended()
        assert refused
        line.state = "over"


@scene
async def test_a_telephone_that_has_moved_proves_who_it_is(people: People) -> None:
    """Its BYE from a new address is challenged, and taken with the password."""
    anna, bo = await people.phone("101", functions=False), await people.phone(
        "102", functions=False)
    line, call = await people.talk(anna, bo)
    with Attacker(people.exchange, "127.0.0.46") as moved:
        def ask(*headers: str, cseq: int) -> Message:
            moved.send(moved.request(
                "BYE", line.target, *(f"Route: {one}" for one in line.routes), *headers,
                from_=line.local, to=line.remote, call_id=line.call_id, cseq=cseq))
            found = moved.next()
            assert found is not None
            return found

        challenged = await asyncio.to_thread(ask, cseq=line.cseq + 1)
        assert challenged.code == 407
        devices = {phone.user: phone for phone in (anna, bo)}
        for thief, code in ((bo, 403), (anna, 200)):
            challenged = await asyncio.to_thread(ask, cseq=line.cseq + 2)
            device = Device(thief.user, devices[thief.user].secret)
            proof = moved.credentials(challenged, device, "BYE", line.target)  # type: ignore[arg-type]
            reply = await asyncio.to_thread(ask, proof, cseq=line.cseq + 3)
            assert reply.code == code, reply.text
    await call.ended()
    line.state = "over"


class Device:
    """What credentials() needs of a telephone."""

    def __init__(self, username: str, secret: str) -> None:
        self.username, self.secret = username, secret


@scene
async def test_a_subscriptions_mark_is_for_its_telephone_and_call_control(people: People) -> None:
    anna = await people.phone("101")
    await people.phone("102")
    lamp = await anna.subscribe("dialog", "102")
    await lamp.sees("idle")
    route = lamp.dialog.routes
    with Attacker(people.exchange, "127.0.0.47") as victim, \
            Attacker(people.exchange, "127.0.0.48") as stranger:
        def tickets() -> list[int]:
            codes = []
            for method in ("SUBSCRIBE", "NOTIFY", "INVITE", "MESSAGE", "BYE", "REFER"):
                stranger.send(stranger.request(
                    method, f"sip:x@{victim.place}", *(f"Route: {one}" for one in route),
                    to="<sip:y@z>;tag=b"))
                codes.append(stranger.answer())
            return codes

        assert set(await asyncio.to_thread(tickets)) == {481}
        assert not await asyncio.to_thread(victim.requests, SILENCE_S)
