"""Agents in a call of a queue (C1, C4, C8, R1): it is consulted about, transferred, moved,
recorded or lost, and the agent's state is what it should be."""

import asyncio

from tests.callcentre import Centre
from tests.exchange import eventually
from tests.people import People, both, music, scene, scenes, take, wait_for
from tests.softphone import Softphone, frequencies


def unplug(phone: Softphone) -> None:
    """It sends nothing any more, and gets nothing."""
    phone._transport.close()
    for call in phone.calls:
        call.media.to, call.state = 0, "over"


def talks(centre: Centre) -> list[tuple[str, str]]:
    """What was said of talks, in order: (what, whose)."""
    return [(one["data"]["what"], centre.extension(one["data"]["agent"])) for one in centre.told()
            if one["data"]["what"] in ("answered", "talk_ended", "wrap_up", "healed")]


@scenes(end=["back", "complete", "the supervisor hangs up"])
async def test_consulting_the_supervisor(people: People, end: str) -> None:
    """With keys: for the queue it is one talk, until the agent is out of it."""
    centre = Centre(people)
    queue = centre.queue(wrap_up_s=30)
    anna = await centre.agent("101", queue)
    cia = await people.phone("103", functions=False)
    carrier = await people.carrier()
    line, call = await centre.served(centre.number(queue), anna, carrier)
    call.press("*#*2103#")
    third = await take(cia)
    await both(call, third)
    await music(line)
    assert centre.state("101")["state"] == "talking"
    if end == "complete":
        call.press("*#*5")
        await call.ended()
        await both(line, third)
        await centre.is_in("101", "wrap_up")
        await line.hang_up()
        await third.ended()
    else:
        if end == "back":
            call.press("*#*#")
        else:
            await third.hang_up()
        await third.ended()
        await both(line, call)
        assert centre.state("101")["state"] == "talking"
        await line.hang_up()
        await call.ended()
    await centre.heard("wrap_up")
    assert talks(centre) == [("answered", "101"), ("talk_ended", "101"), ("wrap_up", "101")]
    assert len(centre.told("entered")) == len(centre.told("offer")) == 1


@scene
async def test_a_blind_transfer(people: People) -> None:
    """The agent's talk is over, the colleague's line is in use, though of no queue's call."""
    centre = Centre(people)
    queue = centre.queue(wrap_up_s=30)
    anna, bo = await centre.agent("101", queue), await centre.agent("102", queue)
    carrier = await people.carrier()
    line, call = await centre.served(centre.number(queue), anna, carrier)
    call.press("*#*1102#")
    third = await take(bo)
    await call.ended()
    await both(line, third)
    await centre.is_in("101", "wrap_up")

    async def busy() -> bool:
        state = centre.state("102")
        return state["state"] == "free" and state["line_busy"]

    await wait_for(busy, "102's line to be busy")
    assert [one["agent"] for one in await centre.heard("talk_ended")] == [people.users["101"]]
    await both(line, third)
    await line.hang_up()
    await third.ended()
    await people.lines()
    assert centre.state("102")["state"] == "free"
    assert len(centre.told("entered")) == len(centre.told("answered")) == 1


@scene
async def test_an_announced_transfer(people: People) -> None:
    """By the telephone itself, with a second call and REFER with Replaces."""
    centre = Centre(people)
    queue = centre.queue(wrap_up_s=30)
    anna = await centre.agent("101", queue)
    centre.client.patch(f"{centre.base}/users/{people.users['101']}", {"call_functions": True})
    cia = await people.phone("103", functions=False)
    carrier = await people.carrier()
    line, call = await centre.served(centre.number(queue), anna, carrier)
    assert await call.hold() == 200
    asking, third = await people.talk(anna, cia)
    assert centre.state("101")["state"] == "talking"
    assert await call.refer("103", asking) == 202
    await both(line, third)
    await call.ended()
    await asking.ended()
    await centre.is_in("101", "wrap_up")
    await line.hang_up()
    await third.ended()
    await centre.heard("wrap_up")
    assert talks(centre) == [("answered", "101"), ("talk_ended", "101"), ("wrap_up", "101")]


@scene
async def test_a_transfer_that_fails(people: People) -> None:
    """The agent has the caller back and was in the call all the time."""
    centre = Centre(people)
    queue = centre.queue(wrap_up_s=30)
    anna = await centre.agent("101", queue)
    cia = await people.phone("103", functions=False)
    carrier = await people.carrier()
    line, call = await centre.served(centre.number(queue), anna, carrier)
    call.press("*#*1103#")
    (await cia.incoming()).refuse(486)
    await both(line, call)
    assert centre.state("101")["state"] == "talking"
    await line.hang_up()
    await call.ended()
    await centre.heard("wrap_up")
    assert talks(centre) == [("answered", "101"), ("talk_ended", "101"), ("wrap_up", "101")]


@scene
async def test_a_transfer_to_another_queue(people: People) -> None:
    """An agent of that one has it next; the caller keeps the place it had at first."""
    centre = Centre(people)
    one, two = centre.queue(name="one", wrap_up_s=30), centre.queue(name="two", extension="60")
    anna, bo = await centre.agent("101", one), await centre.agent("102", two)
    carrier = await people.carrier()
    private, talk = await people.talk(bo, await people.phone("103", functions=False))
    line, call = await centre.served(centre.number(one, 50), anna, carrier)
    newer = await carrier.dial(centre.number(two, 51))
    await newer.answered()
    await centre.waiting(two, 1)
    call.press("*#*160#")
    await call.ended()
    callers = await centre.waiting(two, 2)
    assert callers[0]["arrived_ms"] < callers[1]["arrived_ms"], "the one who came first"
    await centre.is_in("101", "wrap_up")
    await private.hang_up()
    await talk.ended()
    third = await take(bo)
    await both(line, third)
    await centre.is_in("102", "talking")
    await line.hang_up()
    await third.ended()
    third = await take(bo)
    await both(newer, third)
    await newer.hang_up()
    await third.ended()
    assert [one["agent"] for one in await centre.heard("talk_ended", 3)] == [
        people.users["101"], people.users["102"], people.users["102"]]


@scenes(way=["code", "fetch"])
async def test_the_agent_moves_to_another_telephone(people: People, way: str) -> None:
    """Still one talk, which ends with the second telephone's."""
    centre = Centre(people)
    queue = centre.queue(wrap_up_s=30)
    desk = await centre.agent("101", queue, device_kinds=["desk"])
    mobile = await people.phone("101", kind="mobile", user=people.users["101"], hz=1200)
    carrier = await people.carrier()
    line, call = await centre.served(centre.number(queue), desk, carrier)
    if way == "code":
        call.press("*#*8")
        moved = await take(mobile)
    else:
        moved = await mobile.dial("*84")
        await moved.answered()
    await both(line, moved)
    await call.ended()
    await people.lines(_101="in_call")
    assert centre.state("101")["state"] == "talking" and not centre.told("talk_ended")
    await moved.hang_up()
    await line.ended()
    await centre.is_in("101", "wrap_up")
    await centre.heard("wrap_up")
    assert talks(centre) == [("answered", "101"), ("talk_ended", "101"), ("wrap_up", "101")]


@scenes(end=["caller", "command"])
async def test_a_telephone_dies(people: People, end: str) -> None:
    """Without a BYE: the agent is in the call until it ends in another way, then not."""
    centre = Centre(people)
    queue = centre.queue()
    anna, bo = await centre.agent("101", queue), await centre.agent("102", queue)
    carrier = await people.carrier()
    number = centre.number(queue)
    line, call = await centre.served(number, anna, carrier)
    unplug(anna)
    await line.silent()
    assert centre.state("101")["state"] == "talking"
    if end == "caller":
        await line.hang_up()
    else:
        assert await people.command("hang_up") == {}
        await line.ended()
    await centre.is_in("101", "free")
    line, call = await centre.served(number, bo, carrier)
    await line.hang_up()
    await call.ended()


@scene
async def test_a_dead_telephone_is_offered_a_call(people: People) -> None:
    """It rings nowhere; the caller goes on to the next agent."""
    centre = Centre(people)
    queue = centre.queue(ring_s=3, unreachable_delay_s=60, no_answer_delay_s=60)
    anna, bo = await centre.agent("101", queue), await centre.agent("102", queue)
    unplug(anna)
    carrier = await people.carrier()
    line, call = await centre.served(centre.number(queue), bo, carrier)
    assert (await centre.is_in("101", "rest"))["queues"][0]["misses"] == 1
    assert len(await centre.heard("missed")) == 1
    await line.hang_up()
    await call.ended()


@scene
async def test_a_recorded_queue(people: People) -> None:
    """From the answer on; the recording is there afterwards."""
    centre = Centre(people)
    queue = centre.queue(record=True)
    anna = await centre.agent("101", queue)
    carrier = await people.carrier()
    line, call = await centre.served(centre.number(queue), anna, carrier)
    (live,) = await people.live()
    assert live["recording"] == "on"
    await line.hang_up()
    await call.ended()
    assert await asyncio.to_thread(eventually, lambda: people.company.client._http.get(
        f"/calls/{live['uid']}/recording").status_code == 200, 20)


@scene
async def test_a_colleague_cannot_spoil_an_offer(people: People) -> None:
    """Who dials the code to answer for the agent is told that there is nothing, or has the call;
    the caller is served in any case, and once."""
    centre = Centre(people)
    queue = centre.queue()
    anna = await centre.agent("101", queue)
    bo = await people.phone("102", functions=False)
    carrier = await people.carrier()
    line = await carrier.dial(centre.number(queue))
    rung = await anna.incoming()
    rung.ring()
    pickup = await bo.dial("**101")
    await pickup.answered()
    await pickup.ended()
    rung.answer()
    await both(line, rung)
    await line.hang_up()
    await rung.ended()
    await centre.is_in("101", "free")


@scene
async def test_private_calls_of_somebody_who_serves(people: People) -> None:
    """A call that waits at the agent's telephone goes on after the queue's; until it ends no other
    is offered."""
    centre = Centre(people)
    queue = centre.queue()
    anna = await centre.agent("101", queue)
    cia = await people.phone("103", functions=False)
    carrier = await people.carrier()
    number = centre.number(queue)
    line, call = await centre.served(number, anna, carrier)
    private = await cia.dial("101")
    knock = await anna.incoming()
    knock.ring()
    await line.hang_up()
    await call.ended()
    knock.answer()
    await both(private, knock)
    state = await centre.is_in("101", "free")
    assert state["line_busy"]
    second = await carrier.dial(number)
    await second.answered()
    (caller,) = await centre.waiting(queue, 1)
    assert centre.explain(queue, caller=caller["caller"])["101"]["why"] == "line_busy"
    await private.hang_up()
    await knock.ended()
    call = await take(anna)
    await both(second, call)
    await second.hang_up()
    await call.ended()


@scene
async def test_a_telephone_that_redirects(people: People) -> None:
    """An agent's telephone that answers 302 takes no caller out of the queue."""
    centre = Centre(people)
    queue = centre.queue(ring_s=3)
    anna, bo = await centre.agent("101", queue), await centre.agent("102", queue)
    cia = await people.phone("103", functions=False)
    carrier = await people.carrier()
    line = await carrier.dial(centre.number(queue))
    (await anna.incoming()).refuse(302, f"Contact: <sip:103@{people.exchange.settings.domain}>")
    call = await take(bo)
    await both(line, call)
    assert not cia.calls
    assert len(await centre.heard("missed")) == 1
    await line.hang_up()
    await call.ended()


@scene
async def test_parked_by_an_agent(people: People) -> None:
    """The talk is over; a colleague takes the caller, which is no call of the queue's."""
    centre = Centre(people)
    queue = centre.queue(wrap_up_s=30)
    anna = await centre.agent("101", queue)
    bo = await people.phone("102")
    carrier = await people.carrier()
    line, call = await centre.served(centre.number(queue), anna, carrier)
    call.press("*#*6")
    await call.ended()
    await music(line)
    await centre.is_in("101", "wrap_up")
    third = await bo.dial("*85*71")
    await third.answered()
    await both(line, third)
    await third.hang_up()
    await line.ended()
    await centre.heard("wrap_up")
    assert talks(centre) == [("answered", "101"), ("talk_ended", "101"), ("wrap_up", "101")]


@scenes(how=["early media", "no media"])
async def test_odd_answers_of_an_agents_telephone(people: People, how: str) -> None:
    """What it plays before it answers is not for the caller; an answer without media is none, but
    no miss either: the next agent is rung."""
    centre = Centre(people)
    queue = centre.queue(strategy="sequential")
    anna = await centre.agent("101", queue)
    bo = await centre.agent("102", queue, position=1)
    carrier = await people.carrier()
    line = await carrier.dial(centre.number(queue))
    await line.answered()
    call = await anna.incoming()
    if how == "early media":
        call.ring_with_media()
        await music(line)
        assert anna.hz not in frequencies(line, 0.0)
        call.answer()
    else:
        call.state = "up"
        call.respond(200, "OK")
        await call.ended()
        call = await take(bo)
        state = await centre.is_in("101", "rest")
        assert state["queues"][0]["misses"] == 0 and not centre.told("missed")
    await both(line, call)
    await line.hang_up()
    await call.ended()


@scene
async def test_the_caller_camps_on_a_busy_colleague(people: People) -> None:
    """The agent is done with the call; the caller comes to the colleague when that line is free."""
    centre = Centre(people)
    queue = centre.queue(wrap_up_s=30)
    anna = await centre.agent("101", queue)
    cia = await people.phone("103", functions=False, call_waiting=False)
    dan = await people.phone("104", functions=False)
    carrier = await people.carrier()
    busy, also = await people.talk(dan, cia)
    line, call = await centre.served(centre.number(queue), anna, carrier)
    call.press("*#*7103#")
    await music(line)
    await call.ended()
    await centre.is_in("101", "wrap_up")
    await busy.hang_up()
    await also.ended()
    third = await take(cia)
    await both(line, third)
    await third.hang_up()
    await line.ended()
    assert talks(centre) == [("answered", "101"), ("talk_ended", "101"), ("wrap_up", "101")]
