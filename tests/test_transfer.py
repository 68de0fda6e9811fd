"""Transfer, with and without announcing (C1), on real calls that are listened to."""

import asyncio
from typing import Any

from tests.message import tag_of
from tests.people import People, both, music, scene, scenes, take
from tests.softphone import Call, Softphone

Three = tuple[Softphone, Softphone, Softphone]


async def blind(people: People, way: str, by: Call, target: str) -> None:
    """Ask for a transfer, in one of the ways that there are."""
    if way == "refer":
        assert await by.refer(target) == 202
    elif way == "code":
        by.press(f"*#*1{target}#")
    elif way == "info":
        for digit in f"*#*1{target}#":
            assert await by.info(digit) == 200
    else:
        assert await people.command("transfer", by.phone.number, target=target) == {}


@scenes(way=["refer", "code", "info", "command"])
async def test_blind(people: People, way: str) -> None:
    """Who was called transfers; both sides are colleagues."""
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    await people.lines(_101="in_call", _102="in_call")
    await blind(people, way, call, "103")
    third = await cia.incoming()
    await music(line)
    third.ring()
    await people.lines(_101="in_call", _102="in_call", _103="ringing")
    third.answer()
    await both(line, third)
    await call.ended()
    if way == "refer":
        assert await call.notified() == [100, 200]
    await people.lines(_102="in_call", _103="in_call")
    await line.hang_up()
    await third.ended()


@scenes(way=["refer", "code"])
async def test_the_caller_transfers(people: People, way: str) -> None:
    anna, bo, cia = await people.three()
    line, call = await people.talk(anna, bo)
    await blind(people, way, line, "103")
    third = await take(cia)
    await both(call, third)
    await line.ended()
    await third.hang_up()
    await call.ended()


@scenes(way=["refer", "code"])
async def test_a_carriers_call_is_transferred(people: People, way: str) -> None:
    """The carrier is asked nothing: no REFER, and its media stays where it was."""
    anna, _, cia = await people.three()
    carrier = await people.carrier()
    line, call = await people.talk(carrier, anna)
    await blind(people, way, call, "103")
    third = await take(cia)
    await both(line, third)
    await third.hang_up()
    await line.ended()
    assert not [one for one in carrier.received if one.method == "REFER"]
    assert not line.moved


@scene
async def test_to_a_number_outside(people: People) -> None:
    anna, bo, _ = await people.three()
    carrier = await people.carrier()
    line, call = await people.talk(bo, anna)
    assert await call.refer("0709876543") == 202
    third = await take(carrier)
    await both(line, third)
    await call.ended()
    assert third.invite and third.invite.start.startswith("INVITE sip:+46709876543@")
    await line.hang_up()
    await third.ended()
    assert not [one for one in carrier.received if one.method == "REFER"]


@scene
async def test_from_outside_to_outside(people: People) -> None:
    """Both legs of the carrier's stay ours: it refuses every REFER, and is sent none."""
    anna = await people.phone("101")
    carrier = await people.carrier()
    line, call = await people.talk(carrier, anna)
    call.press("*#*10709876543#")
    third = await take(carrier)
    await call.ended()
    third.media.say(1800)
    await asyncio.gather(line.hears(1800), third.hears(1400))
    assert not [one for one in carrier.received if one.method == "REFER"]
    await line.hang_up()
    await third.ended()


@scene
async def test_early_media_of_the_target_is_heard(people: People) -> None:
    anna, bo, _ = await people.three()
    carrier = await people.carrier()
    line, call = await people.talk(bo, anna)
    assert await call.refer("0709876543") == 202
    third = await carrier.incoming()
    third.ring_with_media()
    await line.hears(carrier.hz)
    third.answer()
    await both(line, third)
    await line.hang_up()
    await third.ended()


@scene
async def test_announced(people: People) -> None:
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    assert await call.hold() == 200
    await music(line)
    asking, third = await people.talk(anna, cia)
    await people.lines(_101="in_call", _102="in_call", _103="in_call")
    assert await call.refer("103", asking) == 202
    await both(line, third)
    assert await call.notified() == [100, 200]
    await call.ended()
    await asking.ended()
    await people.lines(_102="in_call", _103="in_call")
    await third.hang_up()
    await line.ended()


@scene
async def test_announced_of_a_carriers_call(people: People) -> None:
    anna, _, cia = await people.three()
    carrier = await people.carrier()
    line, call = await people.talk(carrier, anna)
    assert await call.hold() == 200
    asking, third = await people.talk(anna, cia)
    assert await asking.hold() == 200
    assert await call.refer("103", asking) == 202
    await both(line, third)
    await call.ended()
    await asking.ended()
    await line.hang_up()
    await third.ended()
    assert not [one for one in carrier.received if one.method == "REFER"]


@scene
async def test_announced_the_other_way_round(people: People) -> None:
    """The telephone sends the REFER in the second call and names the first."""
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    assert await call.hold() == 200
    asking, third = await people.talk(anna, cia)
    assert await asking.refer("102", call) == 202
    await both(line, third)
    await asking.ended()
    await call.ended()
    await line.hang_up()
    await third.ended()


@scene
async def test_announced_while_it_still_rings(people: People) -> None:
    """A telephone that lets its user transfer before the answer."""
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    assert await call.hold() == 200
    asking = await anna.dial("103")
    ringing = await cia.incoming()
    ringing.ring()
    await asking.rang()
    assert await call.refer("103", asking) == 202
    third = ringing

    async def answered() -> Call:
        """Where it rings: the same call, or a new one after the first was cancelled."""
        if third.state == "over" or not third.acknowledged:
            return await take(cia)
        return third

    await people.in_state("transferring")
    third = await answered()
    await both(line, third)
    await call.ended()
    await asking.ended()
    await line.hang_up()
    await third.ended()


@scenes(way=["refer", "code"], target=["busy", "absent", "unknown", "declines"])
async def test_a_target_that_does_not_come(people: People, way: str, target: str) -> None:
    """They have each other back."""
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    number = {"unknown": "199", "absent": "104"}.get(target, "103")
    if target == "absent":
        await people.phone("104", register=False)
    await blind(people, way, call, number)
    if target in ("busy", "declines"):
        third = await cia.incoming()
        third.ring()
        third.refuse(486 if target == "busy" else 603)
    if way == "refer":
        codes = await call.notified()
        wanted = {"busy": {486}, "unknown": {404, 484}, "absent": {480}, "declines": {603, 486}}
        assert codes[0] == 100 and codes[-1] in wanted[target], codes
    await both(line, call)
    await people.in_state("talking")
    await people.lines(_101="in_call", _102="in_call")
    await call.hang_up()
    await line.ended()


@scene
async def test_who_transferred_has_left_and_the_target_is_busy(people: People) -> None:
    """The telephone of whoever transferred rings again."""
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    assert await call.refer("103") == 202
    third = await cia.incoming()
    third.ring()
    assert await call.hang_up() == 200
    await people.lines(_102="in_call", _103="ringing")
    third.refuse(486)
    again = await take(anna)
    await both(line, again)
    await line.hang_up()
    await again.ended()


@scene
async def test_who_transferred_has_left_and_the_target_comes(people: People) -> None:
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    call.press("*#*1103#")
    third = await cia.incoming()
    third.ring()
    assert await call.hang_up() == 200
    third.answer()
    await both(line, third)
    await third.hang_up()
    await line.ended()


@scene
async def test_nobody_takes_it_back(people: People) -> None:
    """The target is busy and who transferred does not want the call either."""
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    call.press("*#*1103#")
    third = await cia.incoming()
    assert await call.hang_up() == 200
    third.refuse(486)
    again = await anna.incoming()
    again.refuse(603)
    await line.ended(20)


@scene
async def test_the_transferred_party_hangs_up_while_it_rings(people: People) -> None:
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    assert await call.refer("103") == 202
    third = await cia.incoming()
    third.ring()
    assert await line.hang_up() == 200
    await third.ended()
    await call.ended()


@scene
async def test_all_hang_up_at_once(people: People) -> None:
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    call.press("*#*1103#")
    third = await cia.incoming()
    third.ring()
    await asyncio.gather(line.hang_up(), call.hang_up(), third.hang_up())


@scenes(crossing=[False, True])
async def test_taken_back_with_a_key(people: People, crossing: bool) -> None:
    """crossing: the target answers in the same moment, and its call is ended at once."""
    anna, bo, cia = await people.three()
    cia.answers_cancelled = crossing
    line, call = await people.talk(bo, anna)
    call.press("*#*1103#")
    third = await cia.incoming()
    third.ring()
    call.press("*#*#")
    await third.ended()
    await cia.until(lambda: third.acknowledged, "the ACK of its answer")
    await both(line, call)
    await line.hang_up()
    await call.ended()


@scene
async def test_both_transfer_at_once(people: People) -> None:
    """The first is served; the second is told that something is under way."""
    anna, bo, cia = await people.three()
    dan = await people.phone("104")
    line, call = await people.talk(bo, anna)
    assert set(await asyncio.gather(call.refer("103"), line.refer("104"))) == {202}
    incoming = [asyncio.ensure_future(phone.incoming()) for phone in (cia, dan)]
    done, waiting = await asyncio.wait(incoming, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 1
    for task in waiting:
        task.cancel()
    third = done.pop().result()
    by, other = (call, line) if third.phone is cia else (line, call)
    third.ring()
    assert (await other.notified())[-1] == 491
    third.answer()
    await both(other, third)
    assert await by.notified() == [100, 200]
    await by.ended()
    await third.hang_up()
    await other.ended()


@scene
async def test_a_second_transfer_while_the_first_rings(people: People) -> None:
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    assert await call.refer("103") == 202
    third = await cia.incoming()
    third.ring()
    assert await line.refer("101") == 202
    assert (await line.notified())[-1] == 491
    third.answer()
    await both(line, third)
    await line.hang_up()
    await third.ended()


@scene
async def test_transferred_again(people: People) -> None:
    """Whoever it was transferred to transfers it on, and back."""
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    call.press("*#*1103#")
    third = await take(cia)
    await both(line, third)
    await call.ended()
    third.press("*#*1101#")
    again = await take(anna)
    await both(line, again)
    await third.ended()
    await line.hang_up()
    await again.ended()


@scene
async def test_to_oneself(people: People) -> None:
    """The own extension: one's own telephone rings a second time."""
    anna, bo, _ = await people.three()
    line, call = await people.talk(bo, anna)
    call.press("*#*1101#")
    again = await take(anna)
    await both(line, again)
    await call.ended()
    await line.hang_up()
    await again.ended()


@scene
async def test_a_barred_number(people: People) -> None:
    """What the transferring user may not call is not called for it."""
    anna = await people.phone("101", barred=["mobile"])
    bo = await people.phone("102")
    carrier = await people.carrier()
    line, call = await people.talk(bo, anna)
    assert await call.refer("0709876543") == 202
    assert (await call.notified())[-1] == 403
    await both(line, call)
    assert not [one for one in carrier.received if one.method == "INVITE"]
    await line.hang_up()
    await call.ended()


@scene
async def test_anothers_extension(people: People) -> None:
    """An extension that only another company has."""
    anna, bo, _ = await people.three()
    other = people.exchange.company()
    stranger = other.telephone("177")
    async with Softphone(people.exchange, stranger, 1800) as phone:
        line, call = await people.talk(bo, anna)
        assert await call.refer("177") == 202
        assert (await call.notified())[-1] in (404, 484)
        await both(line, call)
        assert not [one for one in phone.received if one.method == "INVITE"]
        await line.hang_up()
        await call.ended()


@scenes(target=["", "user:1", "1" * 80, "*21*0", "%00", ";x=y"])
async def test_a_refer_to_garbage(people: People, target: str) -> None:
    """Whatever it is, they have each other back."""
    anna, bo, _ = await people.three()
    line, call = await people.talk(bo, anna)
    if await call.refer(target) == 202:
        assert (await call.notified())[-1] >= 300
    await people.in_state("talking")
    await both(line, call)
    await line.hang_up()
    await call.ended()


@scene
async def test_replaces_of_a_foreign_dialog(people: People) -> None:
    """Somebody else's dialog, of the own and of another company, and one that nobody has."""
    anna, bo, cia = await people.three()
    dan = await people.phone("104")
    line, call = await people.talk(bo, anna)
    foreign, fourth = await people.talk(cia, dan)
    for named in (foreign, fourth):
        assert await call.refer("103", named) == 202
        assert (await call.notified())[-1] == 481
        await both(line, call)
        await both(foreign, fourth)
    forged = Call(anna)
    forged.remote = "<sip:x@y>;tag=nobody"
    assert await call.refer("103", forged) == 202
    assert (await call.notified())[-1] == 481
    assert await call.refer("102", call) == 202  # the dialog itself
    assert (await call.notified())[-1] in (481, 491)
    await both(line, call)
    await line.hang_up()
    await foreign.hang_up()
    await call.ended()
    await fourth.ended()


@scene
async def test_a_refer_of_a_carrier(people: People) -> None:
    anna = await people.phone("101")
    carrier = await people.carrier()
    line, call = await people.talk(carrier, anna)
    assert await line.refer("0900123456") == 603
    await both(line, call)
    await line.hang_up()
    await call.ended()


@scene
async def test_a_trunk_that_answers_twice(people: People) -> None:
    """One of its two dialogs is ended at once; the other goes on, and is ended with the call."""
    anna, bo, _ = await people.three()
    carrier = await people.carrier()
    line, call = await people.talk(bo, anna)
    assert await call.refer("0709876543") == 202
    third = await carrier.incoming()
    third.ring()
    third.answer()
    # Not at once: two workers may turn them round, and then it is this telephone's own that ends.
    await carrier.until(lambda: any(one.method == "ACK" for one in carrier.received), "an ACK")
    third.answer(tag="another")

    def ended() -> set[str]:
        return {tag_of(request.get("to")) for request in carrier.received
                if request.method == "BYE"}

    await carrier.until(ended, "a BYE for one of the answers")
    await call.ended()
    await line.hears(carrier.hz)  # they are connected
    assert len(ended()) == 1
    await line.hang_up()
    await carrier.until(lambda: len(ended()) == 2, "a BYE for the other")


@scene
async def test_a_target_that_answers_when_its_caller_has_gone(people: People) -> None:
    anna, bo, cia = await people.three()
    cia.answers_cancelled = True
    line, call = await people.talk(bo, anna)
    assert await call.refer("103") == 202
    third = await cia.incoming()
    third.ring()
    await asyncio.gather(line.hang_up(), call.hang_up())
    await third.ended()


@scene
async def test_the_announced_party_refuses_to_move(people: People) -> None:
    """It does not take the re-INVITE with which it is moved: the transfer fails, nobody hangs."""
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    assert await call.hold() == 200
    asking, third = await people.talk(anna, cia)
    third.refuses_offers = [488]
    assert await call.refer("103", asking) == 202
    codes = await call.notified()
    if codes[-1] == 200:  # it need not be moved at all
        await both(line, third)
    else:
        await call.resume()
        await both(line, call)
    await line.hang_up()
    for one in (call, asking, third):
        await one.hang_up()


@scene
async def test_the_announced_party_is_moving_too(people: People) -> None:
    """Glare: it answers 491 once, and the move is tried again (RFC 3261 section 14.1)."""
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    assert await call.hold() == 200
    asking, third = await people.talk(anna, cia)
    third.refuses_offers = [491]
    assert await call.refer("103", asking) == 202
    await both(line, third)
    await line.hang_up()
    await third.ended()


@scene
async def test_different_codecs_meet(people: People) -> None:
    """A transfer brings together two telephones without a common codec."""
    anna = await people.phone("101", kinds="8 0")
    bo = await people.phone("102", kinds="0")
    cia = await people.phone("103", kinds="8")
    line, call = await people.talk(bo, anna)
    assert await call.refer("103") == 202
    third = await take(cia)
    await both(line, third)
    await line.hang_up()
    await third.ended()


@scene
async def test_records_say_who_talked(people: People) -> None:
    """A record for the call and one for each leg, which belong together; each person's log has it
    once (U3)."""
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    assert await call.refer("103") == 202
    third = await take(cia)
    await both(line, third)
    await line.hang_up()
    await third.ended()
    await people.quiet()
    client, base = people.company.client, people.company.base

    def read() -> tuple[list[Any], dict[str, list[Any]]]:
        legs = client.get(f"{base}/calls", legs="true")["items"]
        return legs, {extension: client.get(f"{base}/users/{user}/calls")["items"]
                      for extension, user in people.users.items()}

    legs, logs = await asyncio.to_thread(read)
    assert {people.users["101"], people.users["103"]} <= {leg["answerer"] for leg in legs}
    assert len({leg["conversation"] or leg["uid"] for leg in legs}) == 1
    roles = {extension: [entry["role"] for entry in log] for extension, log in logs.items()}
    assert roles == {"101": ["answered"], "102": ["dialled"], "103": ["answered"]}
