"""What callers hear and do while they wait in a queue, with real telephones (Q3, Q7, Q13)."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from callcontrol import words
from routing_core.queue_words import Leave
from tests.callcentre import STAY, Centre
from tests.exchange import Exchange
from tests.listening import ALIKE, LANGUAGE, alike, incoming, menu, parts, phrase, says, soon, to
from tests.people import People, both, music, played, scene, scenes, take, wait_for
from tests.softphone import Call, Carrier, Softphone
from vaxel.demo import DemoError

#: A number of somebody who calls; each has another one.
CALLERS = [f"+4670111230{i}" for i in range(10)]
#: And another voice.
VOICES = [700, 900, 1100, 1300]
MUSIC = 2000


def confirmation(number: str) -> str:
    """What is said of a number that is to be called, as people of that country dial it."""
    return phrase("queue_callback_confirm_number", number="0" + number.removeprefix("+46"))


def whisper(number: str) -> str:
    """What the agent hears of it."""
    return phrase("queue_callback_whisper", name="queue", number="0" + number.removeprefix("+46"))

#: What is played of several at once, and with what.
Scene = tuple[Any, ...]


async def hang_up(*calls: Call) -> None:
    """Of everybody."""
    for call in calls:
        await call.hang_up()


async def serve(agent: Softphone, line: Call, hz: int) -> None:
    """The agent's next call is the one of whoever has that voice; the caller hangs up."""
    call = await take(agent)
    await asyncio.gather(call.hears(hz), line.hears(agent.hz))
    await line.hang_up()
    await call.ended()


#: What parts() counts.
PARTS_A_SECOND = 20


def spans(call: Call, hz: int) -> list[tuple[float, float]]:
    """When the tone was heard: beginning and end of each time."""
    found: list[tuple[float, float]] = []
    got = list(call.media.got)
    for i, there in enumerate(parts(call.media.sound(), hz)):  # 50 ms each, and a packet is 20
        at = got[min(i * 5 // 2, len(got) - 1)][0]
        if there and found and at - found[-1][1] < 0.4:
            found[-1] = found[-1][0], at
        elif there:
            found.append((at, at))
    return found


async def times(call: Call, hz: int, count: int, seconds: float = 20) -> list[tuple[float, float]]:
    """Until the tone was heard, and something else after it, so many times."""
    def found() -> list[tuple[float, float]]:
        known = spans(call, hz)
        return known if len(known) >= count and time.monotonic() - known[-1][1] > 0.5 else []

    return await soon(found, f"{count} times {hz} Hz", seconds)


async def line_of(centre: Centre, carrier: Carrier, count: int, *, queue: int = 0,
                  **settings: Any) -> tuple[Softphone, int, list[Call]]:
    """An agent who has a break, the queue, and so many callers who wait in it in turn."""
    queue = queue or centre.queue(overflow=STAY, **settings)
    anna, number = await centre.absent("101", queue), centre.number(queue)
    lines = []
    for i in range(count):
        lines.append(await centre.caller(carrier, number, CALLERS[i], VOICES[i]))
        await centre.waiting(queue, i + 1)
    return anna, queue, lines


# -- announcements -----------------------------------------------------------------------------

async def welcome_first_repeated_and_music(people: People) -> None:
    centre, carrier = Centre(people), await people.carrier()
    announced = {"welcome": centre.prompt(500, 1), "first": centre.prompt(700, 1),
                 "repeated": centre.prompt(900, 1), "interval_s": 5,
                 "music": centre.prompt(MUSIC, 3)}
    queue = centre.queue(announcements=announced, overflow=STAY)
    anna = await centre.absent("101", queue)
    line = await centre.caller(carrier, centre.number(queue))
    await line.hears(500)
    centre.pause("101", "")
    assert centre.live(queue)["waiting"] == 0, "the welcome comes before the queue"
    assert centre.state("101")["state"] == "free"
    centre.pause("101", "break")
    await line.hears(700)
    await centre.waiting(queue, 1)
    await line.hears(MUSIC)
    repeated = await times(line, 900, 2)
    (welcome,), (first,) = spans(line, 500), spans(line, 700)
    assert 0.7 < sum(parts(line.media.sound(), 500)) / PARTS_A_SECOND < 1.5
    assert welcome[0] < first[0]
    gaps = [repeated[0][0] - first[1], repeated[1][0] - repeated[0][1]]
    assert all(4 < gap < 8 for gap in gaps), gaps
    await line.hears(MUSIC)
    centre.pause("101", "")
    call = await take(anna)
    await both(line, call)
    await hang_up(line)
    await call.ended()
    (answered,) = await centre.heard("answered")
    assert answered["x"] > 12_000, "time spent listening is waiting time"


async def connected_in_the_middle_of_an_announcement(people: People, what: str) -> None:
    """A welcome is heard to its end."""
    centre, carrier = Centre(people), await people.carrier()
    announced = {what: centre.prompt(500, 2 if what == "welcome" else 30), "interval_s": 5}
    if what == "repeated":
        announced["first"] = centre.prompt(900, 0.5)
    queue = centre.queue(announcements=announced, overflow=STAY)
    anna = await centre.absent("101", queue)
    line = await centre.caller(carrier, centre.number(queue))
    await line.hears(500)
    began = time.monotonic()
    centre.pause("101", "")
    call = await take(anna)
    await both(line, call)
    assert (time.monotonic() - began > 1.2) == (what == "welcome")
    await hang_up(line)
    await call.ended()


async def the_position_is_told_again_when_it_changes(people: People) -> None:
    """Not sooner than min_gap_s after it was told."""
    centre, carrier = Centre(people), await people.carrier()
    _, queue, (first, second, third) = await line_of(centre, carrier, 3, announcements={
        "position": True, "min_gap_s": 8, "interval_s": 600, "first": centre.prompt(500, 0.5)})
    await says(first, words.queue_position(1, LANGUAGE))
    await says(second, words.queue_position(2, LANGUAGE))
    await says(third, words.queue_position(3, LANGUAGE))
    told = time.monotonic()
    assert [one["position"] for one in await centre.waiting(queue, 3)] == [1, 2, 3]
    await hang_up(first)
    assert [one["position"] for one in await centre.waiting(queue, 2)] == [1, 2]
    await asyncio.gather(says(second, words.queue_position(1, LANGUAGE)),
                         says(third, words.queue_position(2, LANGUAGE)))
    assert time.monotonic() - told > 7
    await music(third)
    await hang_up(second, third)


async def no_position_sooner_than_the_gap_after_another_announcement(people: People) -> None:
    """One that gets better just after the repeated announcement has to wait."""
    centre, carrier = Centre(people), await people.carrier()
    _, queue, (first, second) = await line_of(centre, carrier, 2, announcements={
        "position": True, "only_better": True, "min_gap_s": 5, "interval_s": 6,
        "first": centre.prompt(500, 0.5), "repeated": centre.prompt(1700, 1)})
    await says(second, words.queue_position(2, LANGUAGE))
    (repeated,) = await times(second, 1700, 1)
    await hang_up(first)
    await centre.waiting(queue, 1)
    await says(second, words.queue_position(1, LANGUAGE))
    assert time.monotonic() - repeated[1] > 5
    await hang_up(second)


async def an_estimate_is_told_when_enough_is_known(people: People) -> None:
    """After five calls; the first caller hears none."""
    centre, carrier = Centre(people), await people.carrier()
    queue = centre.queue(announcements={"estimate": True, "position": True, "min_gap_s": 5,
                                        "interval_s": 600, "first": centre.prompt(500, 0.5)})
    anna, number = await centre.agent("101", queue), centre.number(queue)
    for i in range(5):
        line = await centre.caller(carrier, number, CALLERS[i])
        await serve(anna, line, 1400)
        await centre.is_in("101", "free")
    assert centre.live(queue)["samples"] == 5
    line = await centre.caller(carrier, number, CALLERS[5])
    call = await take(anna)
    await both(line, call)
    other = await centre.caller(carrier, number, CALLERS[6])
    await says(other, words.queue_position(1, LANGUAGE))
    await says(other, words.queue_estimate(0, 30, LANGUAGE))
    (shown,) = await centre.waiting(queue, 1)
    low, high = shown["estimate_s"]
    assert 0 <= low < high < 30
    await hang_up(line, other)
    await call.ended()


@scenes(scene=[(welcome_first_repeated_and_music,), (the_position_is_told_again_when_it_changes,),
               (no_position_sooner_than_the_gap_after_another_announcement,),
               (an_estimate_is_told_when_enough_is_known,),
               *((connected_in_the_middle_of_an_announcement, what)
                 for what in ("welcome", "first", "repeated"))])
async def test_announcements(people: People, scene: Scene) -> None:
    await scene[0](people, *scene[1:])


# -- keys --------------------------------------------------------------------------------------

async def keyed(centre: Centre, carrier: Carrier) -> tuple[
        Softphone, Softphone, int, list[Call]]:
    """Two who wait in a queue in which 5 leads to a menu, and 6 to Bo; in the menu 1 leads back,
    and 2 to Bo: Anna, Bo, the queue and the callers."""
    bo = await centre.people.phone("102", functions=False)
    there = {"kind": "user", "user": centre.people.users["102"]}
    queue = centre.queue(overflow=STAY)
    inner = menu(centre.company, centre.prompt(500, 20), {"1": to(queue), "2": there})
    centre.change(queue, keys=[{"key": "5", "target": to(inner)}, {"key": "6", "target": there}])
    anna, _, lines = await line_of(centre, carrier, 2, queue=queue)
    return anna, bo, queue, lines


async def to_menu(centre: Centre, queue: int, line: Call) -> None:
    """The caller is in the menu, and the place is kept."""
    line.press("5")
    await line.hears(500)
    states = [one["state"] for one in centre.live(queue)["callers"]]
    assert sorted(states) == ["away", "waiting"]


async def to_a_menu_and_back_to_the_place(people: People) -> None:
    """The agent comes while the first caller is on the way back."""
    centre, carrier = Centre(people), await people.carrier()
    anna, _, queue, (first, second) = await keyed(centre, carrier)
    await to_menu(centre, queue, first)
    first.press("1")
    await says(first, phrase("queue_back"))
    callers = await centre.waiting(queue, 2)
    assert [one["number"] for one in callers] == CALLERS[:2]
    await music(first)
    centre.pause("101", "")
    await serve(anna, first, VOICES[0])
    await serve(anna, second, VOICES[1])


async def who_comes_back_is_offered_at_once(people: People) -> None:
    """While the sentence is played; another one was served meanwhile."""
    centre, carrier = Centre(people), await people.carrier()
    anna, _, queue, (first, second) = await keyed(centre, carrier)
    await to_menu(centre, queue, first)
    centre.pause("101", "")
    await serve(anna, second, VOICES[1])
    await centre.is_in("101", "free")
    first.press("1")
    await serve(anna, first, VOICES[0])


async def a_key_leads_to_a_person(people: People, way: str) -> None:
    """And the place is gone."""
    centre, carrier = Centre(people), await people.carrier()
    anna, bo, queue, (first, second) = await keyed(centre, carrier)
    if way == "menu":
        await to_menu(centre, queue, first)
        first.press("2")
    else:
        first.press("6")
    call = await take(bo)
    await asyncio.gather(call.hears(VOICES[0]), first.hears(bo.hz))
    assert [one["x"] for one in await centre.heard("left")] == [Leave.KEY]
    assert [one["number"] for one in await centre.waiting(queue, 1)] == CALLERS[1:2]
    await hang_up(first)
    await call.ended()
    centre.pause("101", "")
    await serve(anna, second, VOICES[1])


# -- hanging up --------------------------------------------------------------------------------

async def a_caller_hangs_up(people: People, where: str) -> None:
    """Wherever that is: nothing is left of it, and the next caller is served."""
    centre, carrier = Centre(people), await people.carrier()
    announced = {"welcome": {"welcome": centre.prompt(500, 20)},
                 "announcement": {"first": centre.prompt(500, 20)}}.get(where, {})
    queue = centre.queue(overflow=STAY, callback={"key": "9"}, keys=[{"key": "5", "target": to(
        menu(people.company, centre.prompt(500, 20), {"1": {"kind": "busy"}}))}],
        announcements=announced)
    anna = await centre.absent("101", queue)
    number = centre.number(queue)
    line = await centre.caller(carrier, number, CALLERS[0])
    if where in ("welcome", "announcement"):
        await line.hears(500)
    elif where == "menu":
        await centre.waiting(queue, 1)
        line.press("5")
        await line.hears(500)
    elif where == "callback":
        await centre.waiting(queue, 1)
        line.press("9")
        await says(line, confirmation(CALLERS[0]), first_s=1)
    elif where == "ringing":
        centre.pause("101", "")
        call = await incoming(anna)
        await hang_up(line)
        await call.ended()
    else:
        await centre.waiting(queue, 1)
        await music(line)
    await hang_up(line)
    assert [one["x"] for one in await centre.heard("left")] == [Leave.ABANDONED]
    assert centre.live(queue)["callers"] == []
    assert not centre.told("missed")
    centre.change(queue, announcements={})
    line = await centre.caller(carrier, number, CALLERS[1], VOICES[1])
    if where != "ringing":
        centre.pause("101", "")
    await serve(anna, line, VOICES[1])


async def a_caller_who_sends_no_sound(people: People) -> None:
    """Waits and is served as others are."""
    centre, carrier = Centre(people), await people.carrier()
    carrier.mute = True
    anna, _, (line,) = await line_of(centre, carrier, 1)
    await music(line)
    centre.pause("101", "")
    call = await take(anna)
    await asyncio.gather(line.hears(anna.hz), call.silent())
    await hang_up(line)
    await call.ended()


@scenes(scene=[(to_a_menu_and_back_to_the_place,), (who_comes_back_is_offered_at_once,),
               (a_key_leads_to_a_person, "key"), (a_key_leads_to_a_person, "menu"),
               *((a_caller_hangs_up, where) for where in (
                   "welcome", "announcement", "music", "ringing", "menu", "callback")),
               (a_caller_who_sends_no_sound,)])
async def test_keys_and_hanging_up(people: People, scene: Scene) -> None:
    await scene[0](people, *scene[1:])


# -- what the API shows ------------------------------------------------------------------------

@scene
async def test_the_listing_the_events_and_the_figures(people: People) -> None:
    """Of three callers: served, served from another queue, gone; and one who was refused."""
    centre, carrier = Centre(people), await people.carrier()
    anna, queue, lines = await line_of(centre, carrier, 3, wrap_up_s=1)
    shown = centre.live(queue)
    assert (shown["waiting"], shown["logged_in"], shown["free"]) == (3, 1, 0)
    assert shown["staffed"]
    assert [(one["number"], one["position"], one["state"], one["live"], one["tries"])
            for one in shown["callers"]] == [
        (CALLERS[i], i + 1, "waiting", True, 0) for i in range(3)]
    assert shown["longest_ms"] > 0
    assert [one["user"] for one in shown["agents"]] == [people.users["101"]]
    uids = [one["call"] for one in shown["callers"]]
    assert len(set(uids)) == 3
    await hang_up(lines[1])
    centre.pause("101", "")
    await serve(anna, lines[0], VOICES[0])
    await serve(anna, lines[2], VOICES[2])
    await centre.is_in("101", "free")
    centre.change(queue, state="closed")
    line = await carrier.dial(centre.number(queue, 51))
    await says(line, phrase("queue_closed"), first_s=1)
    await hang_up(line)
    await centre.heard("refused")

    def story(uid: str) -> list[str]:
        return [one["data"]["what"] for one in centre.told() if one["call"] == uid]

    assert story(uids[0]) == ["entered", "offer", "answered", "talk_ended", "wrap_up"]
    assert story(uids[1]) == ["entered", "left"]
    total = centre.client.get(f"{centre.base}/queues/{queue}/figures")["total"]
    assert (total["offered"], total["entered"], total["answered"], total["abandoned"]) == (
        4, 3, 2, 1)
    assert total["refused"] == {"closed": 1}
    assert (total["answered_within"], total["talks"], total["offers"]) == (2, 2, 2)
    assert total["service_level"] == 1.0


@scene
async def test_twenty_callers_and_three_agents(people: People) -> None:
    """Everybody is served, in order."""
    centre, carrier = Centre(people), await people.carrier()
    queue = centre.queue(overflow=STAY)
    phones = [await centre.absent(extension, queue) for extension in ("101", "102", "103")]
    number = centre.number(queue)
    lines = await asyncio.gather(*(carrier.dial(number) for _ in range(20)))
    await asyncio.gather(*(line.answered() for line in lines))
    await centre.waiting(queue, 20, 10)
    served: list[Call] = []

    async def work(phone: Softphone) -> None:
        while len(served) < 20:
            try:
                call = await phone.incoming(3)
            except AssertionError:
                assert len(served) == 20
                return
            call.ring()
            call.answer()
            served.append(call)
            await call.hears(carrier.hz)
            await call.hang_up()

    for extension in ("101", "102", "103"):
        centre.pause(extension, "")
    await asyncio.gather(*(work(phone) for phone in phones))
    await asyncio.gather(*(line.ended() for line in lines))
    order = [one["caller"] for one in await centre.heard("entered", 20)]
    assert [one["caller"] for one in await centre.heard("offer", 20)] == order
    assert {one["caller"] for one in await centre.heard("answered", 20)} == set(order)


# -- callbacks ---------------------------------------------------------------------------------

#: A callback may be ordered by 9.
CALLBACK: dict[str, Any] = {"key": "9", "ring_s": 5, "gap_s": 30}


async def order(centre: Centre, queue: int, line: Call) -> dict[str, Any]:
    """The caller orders a callback and hangs up: as it is listed."""
    known = len(centre.callbacks(queue))
    line.press("91")

    async def there() -> list[dict[str, Any]]:
        found = centre.callbacks(queue)
        return found if len(found) > known else []

    found: list[dict[str, Any]] = await wait_for(there, "the callback", 5)
    await line.hang_up()
    return found[-1]


async def reached(agent: Call, carrier: Carrier, number: str) -> Call:
    """The agent sees and hears who it is and accepts; the customer is called and answers."""
    assert agent.invite and f"sip:{number}@" in agent.invite.get("from")
    await says(agent, whisper(number), first_s=2)
    agent.press("1")
    customer = await incoming(carrier)
    assert customer.invite
    assert number[1:] in customer.invite.start
    customer.answer()
    customer.media.say(VOICES[3])
    await asyncio.gather(customer.hears(agent.phone.hz), agent.hears(VOICES[3]))
    return customer


async def a_callback_keeps_the_place(people: People) -> None:
    """Behind an older caller who waits, before a younger one."""
    centre, carrier = Centre(people), await people.carrier()
    anna, queue, (first, second, third) = await line_of(centre, carrier, 3, callback=CALLBACK)
    second.press("9")
    await says(second, confirmation(CALLERS[1]), first_s=5)
    second.press("1")
    await says(second, phrase("queue_callback_saved"), first_s=2)
    await second.ended()
    shown = centre.live(queue)
    assert [(one["number"], one["live"], one["position"]) for one in shown["callers"]] == [
        (CALLERS[0], True, 1), (CALLERS[1], False, 2), (CALLERS[2], True, 3)]
    assert (shown["waiting"], shown["callbacks"]) == (2, 1)
    centre.pause("101", "")
    await serve(anna, first, VOICES[0])
    call = await take(anna)
    await says(call, whisper(CALLERS[1]),
               first_s=6)
    customer = await reached(call, carrier, CALLERS[1])
    assert customer.invite  # the customer sees whom to call again: not the agent
    assert f"sip:{people.company.e164(50)}@" in customer.invite.get("from")
    assert centre.state("101")["state"] == "talking"
    await hang_up(customer)
    await call.ended()
    await serve(anna, third, VOICES[2])
    assert centre.callbacks(queue) == []
    assert [(one["caller"], one["x"]) for one in await centre.heard("left")] == [
        (shown["callers"][1]["caller"], Leave.SERVED)]


async def an_agent_declines_a_callback(people: People) -> None:
    """Another one is asked; that was no try."""
    centre, carrier = Centre(people), await people.carrier()
    queue = centre.queue(overflow=STAY, callback=CALLBACK)
    bo = await centre.absent("102", queue)
    anna, _, (line,) = await line_of(centre, carrier, 1, queue=queue)
    await order(centre, queue, line)
    centre.pause("101", "")
    call = await take(anna)
    await says(call, whisper(CALLERS[0]), first_s=2)
    call.press("2")
    await call.ended()
    assert [one["tries"] for one in centre.callbacks(queue)] == [0]
    assert (await centre.is_in("101", "rest"))["queues"][0]["misses"] == 0
    centre.pause("102", "")
    call = await take(bo)
    customer = await reached(call, carrier, CALLERS[0])
    await hang_up(call)
    await customer.ended()


async def the_customer_does_not_answer(people: People) -> None:
    """A try is used, the agent is free, and it is done again after the gap."""
    centre, carrier = Centre(people), await people.carrier()
    anna, queue, (line,) = await line_of(centre, carrier, 1, callback=CALLBACK)
    await order(centre, queue, line)
    centre.pause("101", "")
    call = await take(anna)
    await says(call, whisper(CALLERS[0]), first_s=2)
    call.press("1")
    (await incoming(carrier)).refuse(486)
    await says(call, phrase("transfer_failed"))
    await call.ended()
    (again,) = await centre.heard("retry")
    assert again["y"] == 1
    at_ms = centre.told("retry")[0]["at_ms"]
    assert again["x"] == at_ms + 30_000
    (kept,) = centre.callbacks(queue)
    assert (kept["tries"], kept["state"]) == (1, "later")
    await centre.is_in("101", "free")


async def another_number_is_keyed_in(people: People, right: bool) -> None:
    """After two errors the caller is in the queue again, in the same place."""
    centre, carrier = Centre(people), await people.carrier()
    _, queue, (line, other) = await line_of(centre, carrier, 2, callback=CALLBACK)
    line.press("92")
    await says(line, phrase("queue_callback_ask_number"), first_s=1)
    if right:
        line.press("0701234999#")
        await says(line, confirmation("+46701234999"),
                   first_s=5)
        line.press("1")
        await says(line, phrase("queue_callback_saved"), first_s=1)
        assert [one["number"] for one in centre.callbacks(queue)] == ["+46701234999"]
    else:
        began = time.monotonic()
        line.press("12#")
        await says(line, phrase("queue_callback_ask_number"), since=began, first_s=1)
        line.press("12#")
        await says(line, phrase("queue_back"))
        assert centre.callbacks(queue) == []
    waiting = await centre.waiting(queue, 1 if right else 2)
    assert [(one["number"], one["position"]) for one in waiting] == (
        [(CALLERS[1], 2)] if right else [(CALLERS[0], 1), (CALLERS[1], 2)])
    await hang_up(line, other)


async def one_callback_for_a_number(people: People) -> None:
    """Who orders another one is told, and waits."""
    centre, carrier = Centre(people), await people.carrier()
    _, queue, (line,) = await line_of(centre, carrier, 1, callback=CALLBACK)
    await order(centre, queue, line)
    line = await centre.caller(carrier, centre.number(queue, 51), CALLERS[0])
    await centre.waiting(queue, 1)
    line.press("91")
    await says(line, phrase("queue_callback_exists"), first_s=1.5)
    await centre.waiting(queue, 1, 15)
    assert len(centre.callbacks(queue)) == 1
    await hang_up(line)


async def the_customer_is_called_first(people: People, key: str) -> None:
    """When that is set: one who presses another key is as one who does not answer."""
    centre, carrier = Centre(people), await people.carrier()
    anna, queue, (line,) = await line_of(centre, carrier, 1,
                                         callback=CALLBACK | {"customer_first": True})
    await order(centre, queue, line)
    centre.pause("101", "")
    customer = await take(carrier)
    await says(customer, phrase("queue_callback_hello", name=people.company.client.get(
        people.company.base)["name"]), first_s=2)
    assert customer.invite and f"sip:{people.company.e164(50)}@" in customer.invite.get("from")
    assert not [call for call in anna.calls if call.invite]
    customer.press(key)
    if key == "2":
        await customer.ended()
        assert [one["y"] for one in await centre.heard("retry")] == [1]
        await centre.is_in("101", "free")
        return
    call = await take(anna)
    assert call.invite and f"sip:{CALLERS[0]}@" in call.invite.get("from")
    await both(customer, call)
    await centre.is_in("101", "talking")
    await hang_up(customer)
    await call.ended()
    assert [one["x"] for one in await centre.heard("left")] == [Leave.SERVED]


async def a_callback_is_withdrawn(people: People, ringing: bool) -> None:
    """The agent who rings for it has missed nothing."""
    centre, carrier = Centre(people), await people.carrier()
    anna, queue, (line,) = await line_of(centre, carrier, 1, callback=CALLBACK)
    shown = await order(centre, queue, line)
    if ringing:
        centre.pause("101", "")
        call = await incoming(anna)
    centre.client.call("DELETE", f"{centre.base}/queues/{queue}/callbacks/{shown['caller']}")
    assert centre.callbacks(queue) == []
    assert [one["x"] for one in await centre.heard("left")] == [Leave.CANCELLED]
    if ringing:
        await call.ended()
        await centre.is_in("101", "free")
    assert not centre.told("missed")


async def a_planned_callback_is_told(people: People) -> None:
    """The first slot within the hours for callbacks, which begin with the next but one."""
    centre, carrier = Centre(people), await people.carrier()
    size, zone = 14_400, ZoneInfo("Europe/Stockholm")
    at = datetime.fromtimestamp((int(time.time()) // size + 2) * size, zone)
    begin = at.hour * 60 + at.minute
    hours = people.company.post("schedules", {"name": "Callbacks", "rules": [
        {"kind": "daily", "open": True, "start": begin, "end": (begin + 240) % 1440}]})["id"]
    anna, queue, (line,) = await line_of(centre, carrier, 1, callback=CALLBACK | {
        "planned": True, "slot_s": size, "schedule": hours})
    line.press("91")
    await line.ended(20)
    (shown,) = centre.callbacks(queue)
    assert (shown["planned_ms"], shown["state"]) == (at.timestamp() * 1000, "later")
    await says_before(line, words.queue_callback_planned(at, datetime.now(zone), LANGUAGE))
    centre.pause("101", "")
    await centre.is_in("101", "free")
    assert not [call for call in anna.calls if call.invite]


async def says_before(call: Call, text: str) -> None:
    """The text was heard in a call that is over."""
    assert alike(call.media.sound(), text, 4) > ALIKE


@scenes(scene=[(a_callback_keeps_the_place,), (an_agent_declines_a_callback,),
               (the_customer_does_not_answer,), (one_callback_for_a_number,),
               (a_planned_callback_is_told,), (another_number_is_keyed_in, True),
               (another_number_is_keyed_in, False), (the_customer_is_called_first, "1"),
               (the_customer_is_called_first, "2"), (a_callback_is_withdrawn, False),
               (a_callback_is_withdrawn, True)])
async def test_callbacks(people: People, scene: Scene) -> None:
    await scene[0](people, *scene[1:])


# -- when processes end --------------------------------------------------------------------------

@pytest.fixture(scope="module")
def own() -> Iterator[Exchange]:
    """An exchange that may be hurt."""
    with Exchange() as exchange:
        yield exchange


async def answers(centre: Centre, queue: int) -> dict[str, Any]:
    """The queue, once somebody has it (again)."""
    async def found() -> dict[str, Any]:
        try:
            return centre.live(queue)
        except DemoError:
            return {}

    answer: dict[str, Any] = await wait_for(found, "the queue", 20)
    return answer


async def before(centre: Centre, carrier: Carrier) -> tuple[int, dict[str, Any]]:
    """A queue with a callback, and Anna and Bo in it, who both have a break."""
    queue = centre.queue(overflow=STAY, callback=CALLBACK)
    await centre.agent("101", queue)
    await centre.absent("102", queue)
    centre.pause("101", "lunch")
    line = await centre.caller(carrier, centre.number(queue), CALLERS[5])
    await centre.waiting(queue, 1)
    return queue, await order(centre, queue, line)


def same(centre: Centre, queue: int, kept: dict[str, Any]) -> None:
    """As it was: log-ins, pauses, the callback and its place."""
    assert [(one["caller"], one["number"], one["arrived_ms"], one["tries"])
            for one in centre.callbacks(queue)] == [
        (kept["caller"], CALLERS[5], kept["arrived_ms"], 0)]
    for extension, reason in (("101", "lunch"), ("102", "break")):
        state = centre.state(extension)
        assert (state["state"], state["reason"]) == ("paused", reason)
        assert all(one["logged_in"] for one in state["queues"])


def test_call_control_is_killed(own: Exchange) -> None:
    """Two wait and one talks: all are told; what is not a call is as before, and so is the place of
    who calls again."""
    async def work(people: People) -> None:
        centre, carrier = Centre(people), await people.carrier()
        queue, kept = await before(centre, carrier)
        anna = next(phone for phone in people.endpoints if isinstance(phone, Softphone))
        other = centre.queue(name="Other", overflow=STAY)
        cia = await centre.agent("103", other)
        number = centre.number(other, 51)
        talker = await centre.caller(carrier, number, CALLERS[4])
        call = await take(cia)
        await both(talker, call)
        lines = [await centre.caller(carrier, number, CALLERS[i]) for i in range(2)]
        await centre.waiting(other, 2)
        centre.pause("103", "break")
        index = next(index for index, answer in enumerate(await people.ask(
            do="calls", tenant=people.company.id)) if answer["calls"])
        victim = next(pid for pid in own.pids("callcontrol.process") if Path(
            f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2] == str(index).encode())
        os.kill(victim, signal.SIGKILL)
        await asyncio.gather(*(one.ended(12) for one in (talker, call, *lines)))
        await answers(centre, other)
        same(centre, queue, kept)
        assert centre.state("103")["state"] == "paused"
        between = await centre.caller(carrier, number, CALLERS[2], VOICES[2])
        again = await centre.caller(carrier, number, CALLERS[0], VOICES[0])
        assert [one["number"] for one in await centre.waiting(other, 2)] == [
            CALLERS[0], CALLERS[2]]
        centre.pause("103", "")
        await serve(cia, again, VOICES[0])
        await serve(cia, between, VOICES[2])
        assert anna.calls == [], "she has a break"

        async def back() -> bool:
            return victim not in (found := own.pids("callcontrol.process")) and len(found) == 2

        await wait_for(back, "the killed process in a new life")

    asyncio.run(played(own, own.company(), work))


def test_the_exchange_is_restarted(own: Exchange) -> None:
    """Log-ins, pauses and callbacks are as before; a callback is made when an agent comes back."""
    async def work(people: People) -> None:
        centre, carrier = Centre(people), await people.carrier()
        queue, kept = await before(centre, carrier)
        own._process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(own._process.wait, 20)
        own._output.close()
        await asyncio.to_thread(own.__enter__)
        await answers(centre, queue)
        same(centre, queue, kept)
        anna = await people.phone("101", user=people.users["101"], functions=False)
        centre.pause("101", "")
        call = await take(anna)
        customer = await reached(call, carrier, CALLERS[5])
        await hang_up(customer)
        await call.ended()

    asyncio.run(played(own, own.company(), work))
