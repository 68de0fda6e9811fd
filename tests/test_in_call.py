"""What people do during a call (C2 to C9, C11, R1), on real calls that are listened to."""

import asyncio
import io
import time
from functools import partial

import numpy as np
import soundfile

from tests.exchange import eventually
from tests.people import TONES, People, both, music, ringback, scene, scenes, take, wait_for
from tests.softphone import Call, Carrier, Softphone, frequencies, tones


async def three_calls(people: People) -> tuple[Call, Call, Call]:
    """Bo's call to Anna, which waits, Anna's, and Cia's, with whom Anna talks."""
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    call.press("*#*2103#")
    third = await take(cia)
    await both(call, third)
    return line, call, third


async def over(*calls: Call) -> None:
    """Everybody hangs up."""
    await asyncio.gather(*(call.hang_up() for call in calls if call.state != "over"))


async def told(call: Call) -> None:
    """Until the exchange says something to it, in words: keys count again when it is over."""
    start = time.monotonic()

    async def heard() -> bool:
        return not frequencies(call, max(start, time.monotonic() - 0.2)) <= set(TONES.values())

    await wait_for(heard, f"words at {call.phone.name}")


# -- hold (C11) --------------------------------------------------------------------------------

@scenes(who=["caller", "called"], direction=["sendonly", "inactive"])
async def test_hold(people: People, who: str, direction: str) -> None:
    anna, bo = await people.phone("101"), await people.phone("102")
    line, call = await people.talk(bo, anna)
    holder, held = (line, call) if who == "caller" else (call, line)
    assert await holder.hold(direction) == 200
    await music(held)
    assert "a=sendrecv" not in holder.their_sdp
    await people.lines(_101="in_call", _102="in_call")
    assert (await people.live())[0]["sides"][who == "called"]["holding"]
    assert await holder.resume() == 200
    await both(line, call)
    assert not held.moved, "the other side is not told"
    await over(line, call)


@scene
async def test_hold_music_of_the_company(people: People) -> None:
    company = people.company
    wav = io.BytesIO()
    soundfile.write(wav, np.sin(2 * np.pi * 500 * np.arange(16_000) / 8000) * 0.4, 8000,
                    format="WAV")
    made = company.post("prompts", {"name": "Music"})
    answer = company.client._http.put(f"{company.base}/prompts/{made['id']}/audio",
                                      content=wav.getvalue())
    assert answer.is_success, answer.text
    company.client.patch(company.base, {"hold_music": made["id"]})
    anna = await people.phone("101")
    carrier = await people.carrier()
    line, call = await people.talk(carrier, anna)
    assert await call.hold() == 200
    await line.hears(500)
    assert await call.resume() == 200
    await both(line, call)
    await over(line)
    await call.ended()


@scene
async def test_both_hold(people: People) -> None:
    """Whoever takes it back hears music as long as the other holds."""
    anna, bo = await people.phone("101"), await people.phone("102")
    line, call = await people.talk(bo, anna)
    assert set(await asyncio.gather(call.hold(), line.hold())) == {200}
    assert await call.resume() == 200
    await music(call)
    assert await line.resume() == 200
    await both(line, call)
    await over(line, call)


@scene
async def test_hold_over_and_over(people: People) -> None:
    anna, bo = await people.phone("101"), await people.phone("102")
    line, call = await people.talk(bo, anna)
    for _ in range(5):
        assert await call.hold() == 200
        assert await call.resume() == 200
    await both(line, call)
    assert await call.hold() == 200
    await over(line)
    await call.ended()


@scenes(way=["reinvite", "update"])
async def test_another_codec_during_the_call(people: People, way: str) -> None:
    anna, bo = await people.phone("101", kinds="8 0"), await people.phone("102")
    line, call = await people.talk(bo, anna)
    call.media.kinds = "0"
    call.media.lines = "a=rtpmap:0 PCMU/8000\r\n"
    if way == "reinvite":
        assert await call.reinvite(call.description()) == 200
    else:
        assert await call.update(call.description()) == 200
        call.hear(call.received[-1].partition("\r\n\r\n")[2])
    assert call.media.kind == 0
    await both(line, call)
    assert not line.moved
    await over(line, call)


@scene
async def test_requests_that_change_nothing(people: People) -> None:
    """A session refresh, a re-INVITE without an offer, an offer without audio."""
    anna, bo = await people.phone("101"), await people.phone("102")
    line, call = await people.talk(bo, anna)
    assert await call.update() == 200
    assert await line.reinvite("") in (200, 488)
    assert await line.reinvite("v=0\r\no=- 1 9 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
                               "m=video 4000 RTP/AVP 99\r\n") == 488
    await both(line, call)
    await over(line, call)


@scene
async def test_a_caller_that_offers_nothing(people: People) -> None:
    """Its INVITE has no SDP: the offer is in our answer, its answer in the ACK."""
    anna, bo = await people.phone("101"), await people.phone("102")
    line = await bo.dial("101", offer=False)
    call = await take(anna)
    await line.answered()
    await both(line, call)
    assert await call.refer("102") in (202, 403)
    await over(line, call)


@scene
async def test_a_caller_that_never_sends_media(people: People) -> None:
    anna, bo, cia = await people.three()
    bo.mute = True
    line = await bo.dial("101")
    call = await take(anna)
    await line.hears(600)
    await call.silent()
    call.press("*#*1103#")
    third = await take(cia)
    await line.hears(1000)
    await over(third)
    await line.ended()


@scene
async def test_early_media_is_acknowledged(people: People) -> None:
    """A caller that knows 100rel gets its 183 reliably (RFC 3262)."""
    anna = await people.phone("101")
    carrier = await people.carrier()
    line = await anna.dial("0709876543", "Supported: 100rel")
    call = await carrier.incoming()
    call.ring_with_media()
    await line.hears(carrier.hz)
    call.answer()
    await both(line, call)
    assert any("RSeq" in text for text in line.received)
    await over(line)
    await call.ended()


@scene
async def test_other_keys_reach_the_other_side(people: People) -> None:
    """What is no code is the other side's to hear; so is a code of somebody without functions."""
    anna, bo = await people.phone("101"), await people.phone("102", functions=False)
    line, call = await people.talk(bo, anna)
    call.press("12#")
    line.press("*#*1101#")

    async def arrived() -> bool:
        return all(any(kind == one.media.events for _, kind, _, _ in one.media.got)
                   for one in (line, call))

    await wait_for(arrived, "the keys at both")
    await both(line, call)
    await people.in_state("talking")
    await over(line, call)


def tried(call: Call) -> bool:
    """Whether somebody has taken its INVITE."""
    return call.code == 100 or call.state == "over"


@scene
async def test_cancelled_at_once(people: People) -> None:
    """A CANCEL as early as there can be one: the line is free at once."""
    anna, bo = await people.phone("101"), await people.phone("102")
    for number in range(24):
        line = await bo.dial("101")
        await bo.until(partial(tried, line), "100")
        await asyncio.sleep(number % 6 / 5000)
        await line.cancel()
        await line.ended()
    assert all(call.state == "over" or not call.acknowledged for call in anna.calls)
    await asyncio.gather(*(call.ended() for call in anna.calls))


# -- consult, swap, three (C4, C5) -------------------------------------------------------------

@scene
async def test_consult_and_swap(people: People) -> None:
    line, call, third = await three_calls(people)
    await music(line)
    await people.lines(_101="in_call", _102="in_call", _103="in_call")
    for talking, waiting in ((line, third), (third, line)):
        call.press("*#*3")
        await both(call, talking)
        await music(waiting)
    call.press("*#*#")
    await third.ended()
    await both(line, call)
    await over(line)
    await call.ended()


@scenes(way=["code", "hang up", "command"])
async def test_complete(people: People, way: str) -> None:
    """The first and the second party go on without who brought them together."""
    line, call, third = await three_calls(people)
    if way == "code":
        call.press("*#*5")
    elif way == "command":
        assert await people.command("complete", "101") == {}
    else:
        assert await call.hang_up() == 200
    await both(line, third)
    await call.ended()
    await people.lines(_102="in_call", _103="in_call")
    await over(line)
    await third.ended()


@scene
async def test_complete_after_a_swap(people: People) -> None:
    line, call, third = await three_calls(people)
    call.press("*#*3")
    await both(call, line)
    assert await call.hang_up() == 200
    await both(line, third)
    await over(third)
    await line.ended()


@scenes(way=["busy", "taken back", "nobody there"])
async def test_a_consultation_that_fails(people: People, way: str) -> None:
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    call.press("*#*2199#" if way == "nobody there" else "*#*2103#")
    if way != "nobody there":
        third = await cia.incoming()
        third.ring()
        await music(line)
        await ringback(call)
        if way == "busy":
            third.refuse(486)
        else:
            call.press("*#*#")
            await third.ended()
    await both(line, call)
    await over(call)
    await line.ended()


@scene
async def test_hanging_up_while_it_rings_is_a_transfer(people: People) -> None:
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    call.press("*#*2103#")
    third = await cia.incoming()
    third.ring()
    assert await call.hang_up() == 200
    if third.state == "over" or not third.acknowledged:
        if third.state == "ringing":
            await asyncio.wait([asyncio.ensure_future(third.ended(1))])
        if third.state == "over":
            third = await cia.incoming()  # not before it has a port
            third.ring()
    third.answer()
    await both(line, third)
    await over(line)
    await third.ended()


@scene
async def test_the_second_party_leaves(people: People) -> None:
    line, call, third = await three_calls(people)
    await over(third)
    await both(line, call)
    await over(line)
    await call.ended()


@scene
async def test_the_first_party_leaves(people: People) -> None:
    line, call, third = await three_calls(people)
    await over(line)
    await both(call, third)
    await over(call)
    await third.ended()


@scenes(leaves=[0, 1, 2])
async def test_three_talk(people: People, leaves: int) -> None:
    """Each hears both others; when one leaves the two go on."""
    line, call, third = parties = await three_calls(people)
    call.press("*#*4")
    await asyncio.gather(line.hears(600, 1000), call.hears(800, 1000), third.hears(600, 800))
    await people.lines(_101="in_call", _102="in_call", _103="in_call")
    await over(parties[leaves])
    one, two = (party for party in parties if party is not parties[leaves])
    await both(one, two)
    await over(one)
    await two.ended()


@scene
async def test_three_with_a_carrier_and_different_codecs(people: People) -> None:
    anna = await people.phone("101", kinds="0")
    cia = await people.phone("103", kinds="8")
    carrier = await people.carrier()
    line, call = await people.talk(carrier, anna)
    call.press("*#*2103#")
    third = await take(cia)
    await both(call, third)
    call.press("*#*4")
    await asyncio.gather(line.hears(600, 1000), call.hears(1400, 1000), third.hears(600, 1400))
    await asyncio.gather(line.hang_up(), call.hang_up(), third.hang_up())


@scene
async def test_one_of_three_holds(people: People) -> None:
    """Its hold music does not go into the conference; the other two go on."""
    line, call, third = await three_calls(people)
    call.press("*#*4")
    await asyncio.gather(line.hears(600, 1000), call.hears(800, 1000), third.hears(600, 800))
    assert await third.hold() == 200
    await asyncio.gather(line.hears(600), call.hears(800))
    assert await third.resume() == 200
    await asyncio.gather(line.hears(600, 1000), call.hears(800, 1000), third.hears(600, 800))
    await over(line, call, third)


# -- park (C2) ---------------------------------------------------------------------------------

async def park(people: People, way: str = "code") -> tuple[Call, Call]:
    """Bo's call to Anna, parked by her."""
    anna, bo = await people.phone("101"), await people.phone("102")
    line, call = await people.talk(bo, anna)
    if way == "code":
        call.press("*#*6")
    else:
        assert await people.command("park", "101") == {}
    await music(line)
    return line, call


@scenes(way=["code", "command"])
async def test_park_and_retrieve(people: People, way: str) -> None:
    cia = await people.phone("103")
    line, call = await park(people, way)
    await call.ended()  # after it was told the place
    await people.in_state("parked")
    await people.lines(_102="in_call")
    third = await cia.dial("*85*71")
    await third.answered()
    await both(line, third)
    await people.lines(_102="in_call", _103="in_call")
    third.press("*#*1101#")  # it can do everything from there
    again = await take(call.phone)
    await both(line, again)
    await over(line)
    await again.ended()


@scene
async def test_retrieved_by_who_parked(people: People) -> None:
    line, call = await park(people)
    await over(call)
    await people.in_state("parked")
    again = await call.phone.dial("*85")
    await again.answered()
    await both(line, again)
    await over(again)
    await line.ended()


@scene
async def test_two_retrieve_at_once(people: People) -> None:
    cia, dan = await people.phone("103"), await people.phone("104")
    line, call = await park(people)
    await over(call)
    await people.in_state("parked")
    wanting = [await phone.dial("*85*71") for phone in (cia, dan)]
    await asyncio.gather(*(one.answered() for one in wanting))
    tone_hz = {one.phone.hz for one in wanting}
    await asyncio.wait([asyncio.ensure_future(line.hears(hz)) for hz in tone_hz],
                       return_when=asyncio.FIRST_COMPLETED)
    await over(*wanting)
    await line.ended()


@scene
async def test_the_parked_party_leaves(people: People) -> None:
    line, call = await park(people)
    await over(line)
    await call.ended()


@scenes(dialled=["*85*99", "*85", "**101", "*8", "*84"])
async def test_nothing_to_take(people: People, dialled: str) -> None:
    """A sentence says so; the call is answered for it and ended."""
    _, _, cia = await people.three()
    call = await cia.dial(dialled)
    await call.answered()
    await call.ended()
    assert tones(call.heard, 200)


# -- pickup (C3) -------------------------------------------------------------------------------

@scenes(way=["directed", "group", "outside"])
async def test_pickup(people: People, way: str) -> None:
    anna, bo, cia = await people.three()
    if way == "group":
        company = people.company
        group = company.post("groups", {"name": "Group", "strategy": "parallel", "ring_s": 20})
        for extension in ("101", "103"):
            company.post("members", {"ring_group": group["id"], "user": people.users[extension]})
    caller: Softphone | Carrier = bo if way != "outside" else await people.carrier()
    line = await caller.dial("101" if way != "outside" else people.company.e164(101))
    ringing = await anna.incoming()
    ringing.ring()
    await line.rang()
    third = await cia.dial("*8" if way == "group" else "**101")
    await third.answered()
    await line.answered()
    await both(line, third)
    await ringing.ended()
    assert any("completed elsewhere" in text for text in ringing.received)
    await people.lines(_103="in_call", **({} if way == "outside" else {"_102": "in_call"}))
    await over(line)
    await third.ended()


@scene
async def test_picked_up_while_it_is_answered(people: People) -> None:
    """Both at once: one of them has it, the other is told, and no call hangs."""
    anna, bo, cia = await people.three()
    anna.answers_cancelled = True
    line = await bo.dial("101")
    ringing = await anna.incoming()
    ringing.ring()
    await line.rang()
    third = await cia.dial("**101")
    ringing.answer()
    await line.answered()
    await third.answered()
    await asyncio.wait([asyncio.ensure_future(line.hears(hz)) for hz in (600, 1000)],
                       return_when=asyncio.FIRST_COMPLETED)
    await over(line, third, ringing)


@scene
async def test_the_caller_leaves_while_it_is_picked_up(people: People) -> None:
    anna, bo, cia = await people.three()
    line = await bo.dial("101")
    ringing = await anna.incoming()
    ringing.ring()
    await line.rang()
    third = await cia.dial("**101")
    await line.hang_up()
    await ringing.ended()
    await third.ended()


# -- camp on (C7), move and fetch (C8) ---------------------------------------------------------

@scene
async def test_camped_until_the_line_is_free(people: People) -> None:
    anna, bo = await people.phone("101"), await people.phone("102")
    cia = await people.phone("103", call_waiting=False)
    dan = await people.phone("104")
    busy, also = await people.talk(dan, cia)
    line, call = await people.talk(bo, anna)
    call.press("*#*7103#")
    await music(line)
    await call.ended()
    assert (await people.in_state("camped"))["sides"]
    assert cia.calls == [also]
    await over(busy)
    await also.ended()
    third = await take(cia)
    await both(line, third)
    await people.lines(_102="in_call", _103="in_call")
    await over(third)
    await line.ended()


@scene
async def test_the_camped_caller_leaves(people: People) -> None:
    anna, bo = await people.phone("101"), await people.phone("102")
    cia = await people.phone("103", call_waiting=False)
    dan = await people.phone("104")
    busy, also = await people.talk(dan, cia)
    line, call = await people.talk(bo, anna)
    call.press("*#*7103#")
    await music(line)
    await over(line)
    await call.ended()
    await over(busy)
    await also.ended()
    assert cia.calls == [also]


@scene
async def test_camped_and_refused_comes_back(people: People) -> None:
    """The person is free, and declines: recall to who sent it."""
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    call.press("*#*7103#")
    await call.ended()
    third = await cia.incoming()
    third.refuse(603)
    again = await take(anna)
    await both(line, again)
    await over(line)
    await again.ended()


@scene
async def test_move(people: People) -> None:
    """They hear each other while the other telephone rings."""
    anna, bo = await people.phone("101"), await people.phone("102")
    mobile = await people.phone("101", kind="mobile", user=people.users["101"], hz=1200)
    line = await bo.dial("101")
    call = await anna.incoming()
    elsewhere = await mobile.incoming()
    call.answer()
    await line.answered()
    await elsewhere.ended()
    await both(line, call)
    call.press("*#*8")
    moved = await mobile.incoming()
    moved.ring()
    await both(line, call)
    moved.answer()
    await both(line, moved)
    await call.ended()
    assert len(anna.calls) == 1 and not line.moved
    await over(moved)
    await line.ended()


@scene
async def test_a_move_that_is_refused(people: People) -> None:
    anna, bo = await people.phone("101"), await people.phone("102")
    mobile = await people.phone("101", kind="mobile", user=people.users["101"], hz=1200)
    line, call = await people.talk(anna, bo)
    line.press("*#*8")
    moved = await mobile.incoming()
    moved.refuse(486)
    await both(line, call)
    line.press("*#*8")  # and once more
    moved = await mobile.incoming()
    await over(line)
    await moved.ended()
    await call.ended()


@scene
async def test_fetch(people: People) -> None:
    anna, bo = await people.phone("101"), await people.phone("102")
    mobile = await people.phone("101", kind="mobile", user=people.users["101"], hz=1200)
    line, call = await people.talk(anna, bo)
    moved = await mobile.dial("*84")
    await moved.answered()
    await both(call, moved)
    await line.ended()
    assert not call.moved
    await people.lines(_101="in_call", _102="in_call")
    await over(moved)
    await call.ended()


# -- click to call (C9) ------------------------------------------------------------------------

@scenes(second=["102", "outside"])
async def test_click_to_call(people: People, second: str) -> None:
    """My telephone rings first."""
    anna, bo = await people.phone("101"), await people.phone("102")
    called = bo if second == "102" else await people.carrier()
    people.company.post("contacts", {"name": "Karl", "numbers": [
        {"kind": "mobile", "e164": "+46709876543"}]})
    await people.originate(f"phones:{people.users['101']}",
                           "dial:102" if second == "102" else "dial:0709876543", "101")
    call = await anna.incoming()
    assert call.invite  # it says whom it calls
    shown = call.invite.get("from")
    if second == "102":
        assert shown.startswith('"User 102" <sip:102@')
    else:
        assert shown.startswith('"Karl" <sip:+46709876543@')
    assert not call.invite.get("privacy")
    call.ring()
    await people.lines(_101="ringing")
    assert not called.calls
    call.answer()
    line = await called.incoming()
    line.ring()
    await ringback(call)
    line.answer()
    await both(call, line)
    await over(call)
    await line.ended()


@scenes(what=["refused", "second busy", "left while ringing", "both at once"])
async def test_click_to_call_that_fails(people: People, what: str) -> None:
    anna, bo = await people.phone("101"), await people.phone("102", functions=False)
    await people.originate(f"phones:{people.users['101']}", "dial:102", "101")
    call = await anna.incoming()
    if what == "refused":
        call.refuse(486)
        return
    call.answer()
    line = await bo.incoming()
    line.ring()
    if what == "second busy":
        line.refuse(486)
        await call.ended(20)
    elif what == "left while ringing":
        await over(call)
        await line.ended()
    else:
        await asyncio.gather(call.hang_up(), line.hang_up())


# -- recording by hand (R1) --------------------------------------------------------------------

@scene
async def test_recorded_by_hand(people: People) -> None:
    """Started, paused, continued and stopped with keys: what is said in the pause is not there."""
    anna, bo = await people.phone("101"), await people.phone("102")
    line, call = await people.talk(bo, anna)

    async def recording(state: str) -> None:
        async def found() -> bool:
            return bool((await people.live())[0]["recording"] == state)

        await wait_for(found, f"the recording {state}")
        await told(call)
        await both(line, call)

    call.press("*#*9")
    await recording("on")
    call.press("*#*0")
    await recording("paused")
    line.media.say(1200)
    call.media.say(1600)
    await asyncio.gather(line.hears(1600), call.hears(1200))
    line.media.say(800)
    call.media.say(600)
    await both(line, call)
    call.press("*#*0")
    await recording("on")
    call.press("*#*9")
    await recording("off")
    uid = (await people.live())[0]["uid"]
    await over(line)
    await call.ended()

    def flac() -> bytes:
        answer = people.company.client._http.get(f"/calls/{uid}/recording")
        return answer.content if answer.status_code == 200 else b""

    data, rate = soundfile.read(io.BytesIO(await asyncio.to_thread(eventually, flac, 20)),
                                always_2d=True)
    assert data.shape[1] == 2
    step = rate // 10
    for channel, hz in ((0, 800), (1, 600)):
        parts = [tones(data[at:at + step, channel] * 32768, 400) if rate == 8000 else set()
                 for at in range(0, len(data) - step, step)]
        assert {hz} in parts, parts
        assert not {1200, 1600} & set().union(*parts), "what was said in the pause"
        quiet = [index for index, part in enumerate(parts) if not part]
        assert any(index + 5 in quiet for index in quiet), "the pause is silence"


@scenes(end=["hang up", "transfer"])
async def test_recording_by_command_ends_with_the_call(people: People, end: str) -> None:
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    assert await people.command("record_start") == {}
    await both(line, call)
    uid = (await people.live())[0]["uid"]
    third = None
    if end == "transfer":
        call.press("*#*1103#")
        third = await take(cia)
        await both(line, third)
    await over(line)
    await (third or call).ended()
    answer = await asyncio.to_thread(eventually, lambda: people.company.client._http.get(
        f"/calls/{uid}/recording").status_code == 200, 20)
    assert answer


# -- everybody leaves in every state -----------------------------------------------------------

@scenes(leaves=["by", "other", "third"],
        state=["consult rings", "transfer rings", "consulting", "conference", "on hold"])
async def test_somebody_leaves(people: People, state: str, leaves: str) -> None:
    """Nobody stays behind with nobody: whoever is left can hang up, and nothing hangs."""
    anna, bo, cia = await people.three()
    line, call = await people.talk(bo, anna)
    if state == "on hold":
        assert await call.hold() == 200
        third = call
    else:
        call.press("*#*1103#" if state == "transfer rings" else "*#*2103#")
        third = await cia.incoming()
        third.ring()
        if state in ("consulting", "conference"):
            third.answer()
            await both(call, third)
        if state == "conference":
            call.press("*#*4")
            await call.hears(800, 1000)
    await over({"by": call, "other": line, "third": third}[leaves])
    await asyncio.sleep(0.1)
    await over(line, call, *cia.calls)
    await over(*anna.calls)
