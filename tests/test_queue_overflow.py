"""Callers whom a queue does not take, or lets go: why, and where they come out (Q6, I4)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from routing_core.queue_words import Leave
from tests.callcentre import STAY, Centre
from tests.listening import incoming, message, phrase, says, service, to
from tests.people import People, both, music, scene, scenes, take, wait_for
from tests.softphone import Call, Carrier, Softphone

OUTSIDE = "+46855500009"
#: A number of somebody who calls; each has another one.
CALLERS = [f"+4670111220{i}" for i in range(10)]

Check = Callable[[Call], Awaitable[None]]


async def hang_up(*calls: Call) -> None:
    """Of everybody."""
    for call in calls:
        await call.hang_up()


# -- where they come out -----------------------------------------------------------------------

async def target(centre: Centre, carrier: Carrier, kind: str) -> tuple[dict[str, Any], Check]:
    """A target, and what a caller who is led there finds."""
    people, company = centre.people, centre.company

    async def person(phone: Softphone, line: Call) -> None:
        call = await take(phone)
        await line.answered()
        await both(line, call)
        await call.hang_up()
        await line.ended()

    if kind == "user":
        bo = await people.phone("102", functions=False)
        return {"kind": "user", "user": people.users["102"]}, lambda line: person(bo, line)
    if kind == "group":
        cia = await people.phone("103", functions=False)
        group = company.post("groups", {"name": "Group", "ring_s": 3})["id"]
        company.post("members", {"ring_group": group, "user": people.users["103"]})
        return {"kind": "group", "group": group}, lambda line: person(cia, line)
    if kind == "queue":
        other = centre.queue(name="Other")
        dan = await centre.agent("104", other)
        return to(other), lambda line: person(dan, line)

    async def hears(line: Call) -> None:
        await line.hears(500)
        await line.hang_up()

    if kind == "message":
        return to(message(company, centre.prompt(500))), hears
    if kind == "voicemail":
        await people.phone("105", functions=False, register=False)
        return to(service(company, "mailbox", user=people.users["105"], greeting="own",
                          prompt=centre.prompt(500, 3))), hears

    async def outside(line: Call) -> None:
        call = await take(carrier)
        assert OUTSIDE[1:] in call.invite.start  # type: ignore[union-attr]
        await line.answered()
        await both(line, call)
        await call.hang_up()
        await line.ended()

    async def busy(line: Call) -> None:
        assert await line.refused() == 486

    if kind == "number":
        return {"kind": "number", "text": OUTSIDE}, outside
    return {"kind": "busy"}, busy


# -- why they are not taken --------------------------------------------------------------------

async def full_of(centre: Centre, carrier: Carrier, count: int, **settings: Any) -> tuple[
        int, list[Call]]:
    """A queue in which so many wait for an agent who has a break."""
    settings["overflow"] = STAY | settings.get("overflow", {})
    queue = centre.queue(**settings)
    await centre.absent("101", queue)
    number = centre.number(queue)
    lines = [await centre.caller(carrier, number, own) for own in CALLERS[1:count + 1]]
    await centre.waiting(queue, count)
    return queue, lines


async def busy_for(centre: Centre, carrier: Carrier, overflow: dict[str, Any]) -> tuple[
        int, list[Call]]:
    """A queue whose only agent is in a call again, after one that took more than two seconds."""
    queue = centre.queue(overflow=overflow)
    anna, number = await centre.agent("101", queue), centre.number(queue)
    line, call = await served(carrier, number, anna)
    began = time.monotonic()

    async def long() -> bool:
        return time.monotonic() - began > 2.2

    await wait_for(long, "the call to last")
    await line.hang_up()
    await call.ended()
    await centre.is_in("101", "free")
    line, _ = await served(carrier, number, anna)
    assert centre.live(queue)["samples"] == 1
    return queue, [line]


async def served(carrier: Carrier, number: str, agent: Softphone) -> tuple[Call, Call]:
    """A caller's and an agent's call, once they talk."""
    line = await carrier.dial(number)
    call = await take(agent)
    await line.answered()
    await both(line, call)
    return line, call


async def refuses(centre: Centre, carrier: Carrier, reason: Leave,
                  there: dict[str, Any] | None) -> tuple[int, list[Call]]:
    """A queue that does not take the next caller, and who waits in it."""
    field = {Leave.NIGHT: "night", Leave.CLOSED: "closed", Leave.NO_AGENTS: "no_agents"}.get(
        reason, "rush")
    overflow = {field: there} if there else {}
    if reason is Leave.NIGHT:
        queue = centre.queue(schedule=centre.schedule("closed"), overflow=overflow)
        await centre.agent("101", queue)
    elif reason is Leave.CLOSED:
        queue = centre.queue(state="closed", overflow=overflow)
        await centre.agent("101", queue)
    elif reason is Leave.NO_AGENTS:
        queue = centre.queue(overflow=overflow)
        await centre.agent("101", queue, logged_in=False)
    elif reason is Leave.RUSH_LENGTH:
        return await full_of(centre, carrier, 2,
                             overflow=overflow | {"rush_length": {"high": 2, "low": 1}})
    elif reason is Leave.RUSH_WAIT:
        queue, lines = await full_of(centre, carrier, 1,
                                     overflow=overflow | {"rush_wait_s": {"high": 2, "low": 1}})
        await centre.heard("rush")
        return queue, lines
    elif reason is Leave.RUSH_ESTIMATE:
        return await busy_for(centre, carrier,
                              overflow | {"rush_estimate_s": {"high": 2, "low": 1}})
    else:
        return await full_of(centre, carrier, 1, max_waiting=1, overflow=overflow)
    return queue, []


SENTENCES = {Leave.NIGHT: "queue_closed_night", Leave.CLOSED: "queue_closed",
             Leave.NO_AGENTS: "queue_no_agents", Leave.FULL: "queue_rush",
             Leave.TIMED: "queue_no_agents", Leave.NO_ANSWER: "queue_no_agents"}


async def is_told(line: Call, reason: Leave) -> None:
    """The exchange's own sentence, and the end."""
    await line.answered()
    await says(line, phrase(SENTENCES[reason]))
    await line.ended()


@scenes(case=[(Leave.NIGHT, "user"), (Leave.CLOSED, "group"), (Leave.NO_AGENTS, "message"),
              (Leave.RUSH_LENGTH, "voicemail"), (Leave.RUSH_WAIT, "number"),
              (Leave.RUSH_ESTIMATE, "busy"), (Leave.FULL, "queue"), (Leave.NIGHT, ""),
              (Leave.CLOSED, ""), (Leave.NO_AGENTS, ""), (Leave.FULL, "")])
async def test_each_reason_at_entry(people: People, case: tuple[Leave, str]) -> None:
    """To a target of its own, or told why not."""
    reason, kind = case
    centre, carrier = Centre(people), await people.carrier()
    there, check = await target(centre, carrier, kind) if kind else (None, None)
    queue, others = await refuses(centre, carrier, reason, there)
    carrier.user = CALLERS[9]
    line = await carrier.dial(centre.number(queue, 51))
    await (check(line) if check else is_told(line, reason))
    (refused,) = await centre.heard("refused")
    assert (refused["queue"], refused["x"]) == (queue, reason)
    assert centre.live(queue)["waiting"] == (
        len(others) if reason is not Leave.RUSH_ESTIMATE else 0)
    await hang_up(*others)


# -- which reason comes first ------------------------------------------------------------------

async def the_order_of_reasons(people: People, full: bool) -> None:
    """Every reason there is, one taken away after the other."""
    centre, carrier = Centre(people), await people.carrier()
    hours = centre.schedule("closed")
    flow = {name: to(message(people.company, centre.prompt(hz))) for name, hz in (
        ("night", 500), ("closed", 700), ("no_agents", 900), ("rush", 1100))}
    settings: dict[str, Any] = {"max_waiting": 1} if full else {}
    queue, (first,) = await full_of(centre, carrier, 1, schedule=hours, state="open", overflow=flow
                                    | {"rush_length": {"high": 2, "low": 1}, "grace_s": 600},
                                    **settings)
    number = centre.number(queue, 51)
    second = None if full else await centre.caller(carrier, number, CALLERS[2])
    centre.log_in("101", False)
    centre.change(queue, state="closed")
    for hz, change in ((500, lambda: centre.turn(hours, "open")),
                       (700, lambda: centre.change(queue, state="open")),
                       (900, lambda: centre.log_in("101"))):
        line = await carrier.dial(number)
        await line.hears(hz)
        await line.ended()
        change()
    line = await carrier.dial(number)
    await line.hears(1100)
    await line.ended()
    assert [one["x"] for one in await centre.heard("refused", 4)] == [
        Leave.NIGHT, Leave.CLOSED, Leave.NO_AGENTS, Leave.FULL if full else Leave.RUSH_LENGTH]
    assert first.state == "up"
    await hang_up(first, *([second] if second else []))


# -- rush --------------------------------------------------------------------------------------

async def rush_is_a_latch_with_two_marks(people: People, dwell_s: int) -> None:
    """It closes at the high mark; opens below the low one, but not before the dwell is over."""
    centre, carrier = Centre(people), await people.carrier()
    queue, lines = await full_of(centre, carrier, 3, overflow={
        "rush_length": {"high": 3, "low": 2}, "dwell_s": dwell_s})
    assert centre.live(queue)["rush"] == "length"
    began = (await centre.heard("rush"))[0]
    assert (began["x"], began["y"]) == (1, 1)
    await hang_up(lines.pop())
    await centre.waiting(queue, 2)
    if dwell_s == 3:
        await hang_up(lines.pop())
        await centre.waiting(queue, 1)
    number = centre.number(queue, 51)
    line = await carrier.dial(number)
    await says(line, phrase("queue_rush"))
    await line.ended()
    if dwell_s == 1:
        assert len(centre.told("rush")) == 1, "above the low mark it stays closed"
        await hang_up(lines.pop())
    await centre.heard("rush", 2)
    closed, opened = centre.told("rush")
    assert opened["data"]["x"] == 0
    assert opened["at_ms"] - closed["at_ms"] >= dwell_s * 1000
    assert centre.live(queue)["rush"] == ""
    lines.append(await centre.caller(carrier, number, CALLERS[7]))
    await centre.waiting(queue, 2)
    await hang_up(*lines)


# -- schedules ---------------------------------------------------------------------------------

async def closed_for(centre: Centre, queues: list[int], why: str) -> None:
    """Until all of them are."""
    async def right() -> bool:
        found = {one["queue"]: one["closed"] for one in
                 centre.client.get(f"{centre.base}/queues")["items"]}
        return {found[queue] for queue in queues} == {why}

    await wait_for(right, f"all queues to be {why}", 5)


@scene
async def test_a_temporary_schedule_closes_twenty_queues_at_once(people: People) -> None:
    """The last of them has a night of its own besides."""
    centre, carrier = Centre(people), await people.carrier()
    closure, hours = centre.schedule(), centre.schedule()
    queues = [centre.queue(closures=[closure], schedule=hours if i == 19 else None)
              for i in range(20)]
    anna = await centre.agent("101", *queues)
    first, last = centre.number(queues[0]), centre.number(queues[-1], 51)
    line, call = await served(carrier, first, anna)
    await hang_up(line)
    await call.ended()
    centre.turn(closure, "closed")
    await closed_for(centre, queues, "night")
    for number in (first, last):
        line = await carrier.dial(number)
        await says(line, phrase("queue_closed_night"), first_s=1.5)
        await hang_up(line)
    centre.turn(closure, "open")
    await closed_for(centre, queues, "open")
    centre.turn(hours, "closed")
    await closed_for(centre, queues[-1:], "night")
    await closed_for(centre, queues[:-1], "open")
    line = await carrier.dial(last)
    await says(line, phrase("queue_closed_night"), first_s=1.5)
    await hang_up(line)
    centre.turn(hours, "open")
    await closed_for(centre, queues, "open")
    line, call = await served(carrier, last, anna)
    await hang_up(line)
    await call.ended()


# -- those who wait ----------------------------------------------------------------------------

async def leads_away(centre: Centre, carrier: Carrier, reason: Leave,
                     there: dict[str, Any] | None) -> tuple[int, Call]:
    """Somebody who waited in a queue, and leaves it."""
    field = reason.name.lower()
    flow: dict[str, Any] = {"grace_s": 2, "leave_at_close": True}
    flow |= {"timed_s": 5} if reason is Leave.TIMED else {}
    flow |= {"attempts": 1} if reason is Leave.NO_ANSWER else {}
    flow |= {field: there} if there else {}
    hours = centre.schedule()
    if reason is Leave.NO_ANSWER:
        queue = centre.queue(overflow=flow, ring_s=3)
        anna = await centre.agent("101", queue)
        line = await centre.caller(carrier, centre.number(queue), CALLERS[1])
        await (await incoming(anna)).ended()
        return queue, line
    queue, (line,) = await full_of(centre, carrier, 1, overflow=flow, schedule=hours)
    await music(line)
    if reason is Leave.NIGHT:
        centre.turn(hours, "closed")
    elif reason is Leave.CLOSED:
        centre.change(queue, state="closed")
    elif reason is Leave.NO_AGENTS:
        centre.log_in("101", False)
    return queue, line


@scenes(case=[(Leave.NIGHT, "message"), (Leave.CLOSED, "queue"), (Leave.NO_AGENTS, "user"),
              (Leave.TIMED, "number"), (Leave.NO_ANSWER, "voicemail"), (Leave.NIGHT, ""),
              (Leave.NO_AGENTS, ""), (Leave.TIMED, ""), (Leave.NO_ANSWER, "")])
async def test_each_reason_while_waiting(people: People, case: tuple[Leave, str]) -> None:
    """The same; and how long it took."""
    reason, kind = case
    centre, carrier = Centre(people), await people.carrier()
    there, check = await target(centre, carrier, kind) if kind else (None, None)
    queue, line = await leads_away(centre, carrier, reason, there)
    await (check(line) if check else is_told(line, reason))
    left = (await centre.heard("left"))[0]
    assert (left["queue"], left["x"]) == (queue, reason)
    least = {Leave.TIMED: 5000, Leave.NO_AGENTS: 2000, Leave.NO_ANSWER: 3000}.get(reason, 0)
    assert least <= left["y"] < least + 3000
    assert centre.live(queue)["waiting"] == 0


async def who_waits_may_stay(people: People, what: str) -> None:
    """The queue closes without leave_at_close; an agent comes back within the grace."""
    centre, carrier = Centre(people), await people.carrier()
    hours = centre.schedule()
    queue = centre.queue(schedule=hours, overflow=STAY | {"grace_s": 600})
    anna = await centre.absent("101", queue)
    number = centre.number(queue)
    line = await centre.caller(carrier, number)
    await centre.waiting(queue, 1)
    if what == "closes":
        centre.turn(hours, "closed")
        await closed_for(centre, [queue], "night")
    else:
        centre.log_in("101", False)
    other = await carrier.dial(number)
    await says(other, phrase("queue_closed_night" if what == "closes" else "queue_no_agents"))
    await other.ended()
    centre.log_in("101")
    centre.pause("101", "")
    call = await take(anna)
    await both(line, call)
    await hang_up(line)
    await call.ended()
    assert not centre.told("left")


async def an_offer_in_progress_wins_over_the_time(people: People, answers: bool) -> None:
    """When nobody answers it, the time is up then."""
    centre, carrier = Centre(people), await people.carrier()
    queue = centre.queue(ring_s=5, overflow=STAY | {
        "timed_s": 5, "timed": to(message(people.company, centre.prompt(500)))})
    anna = await centre.absent("101", queue)
    line = await centre.caller(carrier, centre.number(queue))
    began = time.monotonic()

    async def later(seconds: float) -> None:
        async def over() -> bool:
            return time.monotonic() - began > seconds

        await wait_for(over, "time to pass")

    await later(2.5)
    centre.pause("101", "")
    call = await incoming(anna)
    await later(5.7)
    assert centre.live(queue)["callers"][0]["state"] == "offered"
    assert not centre.told("left")
    if answers:
        call.answer()
        await both(line, call)
        await hang_up(line)
        await call.ended()
        assert not centre.told("left")
        return
    await call.ended()
    await line.hears(500)
    await line.ended()
    (left,) = await centre.heard("left")
    assert left["x"] == Leave.TIMED
    assert left["y"] > 7000


async def the_place_is_kept_in_a_sister_queue(people: People) -> None:
    """Who came first to the one queue is served before who came later to the other."""
    centre, carrier = Centre(people), await people.carrier()
    sister = centre.queue(name="Sister", overflow=STAY)
    queue = centre.queue(overflow=STAY | {"timed_s": 5, "timed": to(sister)})
    anna = await centre.absent("101", sister)
    await centre.absent("102", queue)
    first = await centre.caller(carrier, centre.number(queue), CALLERS[1], 700)
    await centre.waiting(queue, 1)
    second = await centre.caller(carrier, centre.number(sister, 51), CALLERS[2], 900)
    await centre.waiting(sister, 1)
    callers = await centre.waiting(sister, 2, 8)
    assert [one["number"] for one in callers] == CALLERS[1:3]
    assert [one["position"] for one in callers] == [1, 2]
    assert callers[0]["arrived_ms"] < callers[1]["arrived_ms"]
    centre.pause("101", "")
    call = await take(anna)
    await asyncio.gather(call.hears(700), first.hears(600))
    await hang_up(first)
    await call.ended()
    call = await take(anna)
    await asyncio.gather(call.hears(900), second.hears(600))
    await hang_up(second)
    await call.ended()
    waited = [one["x"] for one in await centre.heard("answered", 2)]
    assert waited[0] >= 5000, "counted from the first arrival"


@scenes(scene=[(the_order_of_reasons, False), (the_order_of_reasons, True),
               (rush_is_a_latch_with_two_marks, 1), (rush_is_a_latch_with_two_marks, 3),
               (who_waits_may_stay, "closes"), (who_waits_may_stay, "no_agents"),
               (an_offer_in_progress_wins_over_the_time, True),
               (an_offer_in_progress_wins_over_the_time, False),
               (the_place_is_kept_in_a_sister_queue,)])
async def test_order_marks_and_places(people: People, scene: tuple[Any, ...]) -> None:
    await scene[0](people, *scene[1:])
