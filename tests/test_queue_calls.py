"""Queues with real telephones: who is rung, in which order, and what becomes of offers that nobody
takes."""

import asyncio
import contextlib
import random
import time
from typing import Any, NamedTuple

from tests.callcentre import Centre
from tests.people import People, both, music, scene, scenes, take, wait_for
from tests.softphone import Call, Carrier, Softphone, frequencies

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


def rings(phone: Softphone) -> bool:
    """Whether it does now."""
    return any(call.state == "ringing" for call in phone.calls)


async def first_to_ring(*phones: Softphone) -> Softphone:
    """The one of them that rings."""
    async def found() -> Softphone | None:
        return next(filter(rings, phones), None)

    answer: Softphone = await wait_for(found, "a telephone to ring")
    return answer


async def whole_call(carrier: Carrier, number: str, *phones: Softphone, talk_s: float = 0) -> str:
    """A call that whoever is rung takes, until the caller hangs up; whose extension that is."""
    line = await carrier.dial(number)
    phone = await first_to_ring(*phones)
    while (call := await phone.incoming()).state != "ringing":
        pass  # one that nobody took
    call.ring()
    call.answer()
    await both(line, call)
    await asyncio.sleep(talk_s)
    await line.hang_up()
    await call.ended()
    return phone.number


def stopped_with(call: Call, reason: str) -> bool:
    """Whether the CANCEL that ended its ringing has that Reason, or, for "", none."""
    cancel = next(text for text in call.received if text.startswith("CANCEL"))
    return f"Reason: {reason}" in cancel if reason else "Reason:" not in cancel


@scene
async def test_a_caller_waits_and_is_served(people: People) -> None:
    centre = Centre(people)
    queue = centre.queue(wrap_up_s=2)
    anna = await centre.agent("101", queue)
    carrier = await people.carrier()
    number = centre.number(queue)
    line = await carrier.dial(number)
    call = await take(anna)
    await line.answered()
    await both(line, call)
    assert (await centre.is_in("101", "talking"))["queue"] == queue
    second = await carrier.dial(number)
    await second.answered()
    await music(second)
    await centre.waiting(queue, 1)
    await line.hang_up()
    await call.ended()
    await centre.is_in("101", "wrap_up")
    call = await take(anna)
    await both(second, call)
    await call.hang_up()
    await second.ended()


# -- strategies (Q2) ---------------------------------------------------------------------------

class Order(NamedTuple):
    """Three agents, of whom the third comes first by position: who takes each call that comes when
    all are free, and for how long they talk."""

    strategy: str
    expected: str
    talk_s: tuple[float, ...] = ()


@scenes(order=[Order("longest_idle", "101 102 103 101"),
               Order("fair", "101 102 103 102", (1.0, 0.2, 0.6, 0)),
               Order("sequential", "103 103")])
async def test_strategies(people: People, order: Order) -> None:
    centre = Centre(people)
    queue = centre.queue(strategy=order.strategy)
    phones = [await centre.agent(extension, queue, position=position)
              for extension, position in (("101", 2), ("102", 1), ("103", 0))]
    carrier = await people.carrier()
    number = centre.number(queue)
    expected = order.expected.split()
    taken = []
    for talk_s in order.talk_s or (0.0,) * len(expected):
        taken.append(await whole_call(carrier, number, *phones, talk_s=talk_s))
        await centre.is_in(taken[-1], "free")
    assert taken == expected
    line = await carrier.dial(number)
    first = await first_to_ring(*phones)
    call = await take(first)
    await both(line, call)
    if order.strategy == "sequential":  # the next position, while the first one talks
        assert first.number == "103"
        assert await whole_call(carrier, number, *phones) == "102"
    await call.hang_up()
    await line.ended()


@scene
async def test_random_is_spread_and_replays(people: People) -> None:
    """Everybody's turn comes; what is drawn is of the journal's seed."""
    centre = Centre(people)
    queue = centre.queue(strategy="random")
    phones = [await centre.agent(extension, queue) for extension in ("101", "102")]
    carrier = await people.carrier()
    number = centre.number(queue)
    taken: list[str] = []
    while len(set(taken)) < 2:
        assert len(taken) < 24, "one of two, 24 times"
        taken.append(await whole_call(carrier, number, *phones))
        await centre.is_in(taken[-1], "free")
    assert await centre.offered(len(taken)) == taken
    last = (await centre.heard("offer", len(taken)))[-1]
    moment = next(one["at_ms"] for one in centre.told("offer")
                  if one["data"]["attempt"] == last["attempt"])
    then = centre.explain(queue, caller=last["caller"], at=moment)
    assert then[taken[-1]]["why"] == "offered", "the journal draws the same agent again"


@scene
async def test_skills_and_their_relaxation(people: People) -> None:
    """The highest level first; who has no such skill only when the need is relaxed."""
    centre = Centre(people)
    queue = centre.queue(strategy="skill", wrap_up_s=30)
    phones = [await centre.agent("101", queue),
              await centre.agent("102", queue, skills=centre.skilled(("finnish", 2))),
              await centre.agent("103", queue, skills=centre.skilled(("finnish", 4)))]
    carrier = await people.carrier()
    number = centre.entry(queue, 51, skills=centre.skilled(("finnish", 2)), relaxations=[
        {"after_s": 2, "skills": []}])
    assert await whole_call(carrier, number, *phones) == "103"
    await centre.is_in("103", "wrap_up")
    assert await whole_call(carrier, number, *phones) == "102"
    await centre.is_in("102", "wrap_up")
    line = await carrier.dial(number)
    (caller,) = await centre.waiting(queue, 1)
    assert {key: one["why"] for key, one in
            centre.explain(queue, caller=caller["caller"]).items()} == {
        "101": "skill", "102": "wrap_up", "103": "wrap_up"}
    assert not rings(phones[0])
    call = await take(phones[0])
    await both(line, call)
    await centre.heard("answered", 3)
    (entered, offer) = (next(one for one in centre.told(what) if one["data"]["caller"]
                             == caller["caller"]) for what in ("entered", "offer"))
    assert 2000 <= offer["at_ms"] - entered["at_ms"] < 3500
    await line.hang_up()
    await call.ended()


@scene
async def test_parallel_offers(people: People) -> None:
    """Three of four ring; the two who lose are told why, and have missed nothing."""
    centre = Centre(people)
    queue = centre.queue(strategy="parallel", parallel=3, max_misses=1)
    phones = [await centre.agent(extension, queue) for extension in ("101", "102", "103", "104")]
    carrier = await people.carrier()
    line = await carrier.dial(centre.number(queue))
    calls = [await phone.incoming() for phone in phones[:3]]
    for call in calls:
        call.ring()
    await people.lines(_101="ringing", _102="ringing", _103="ringing")
    calls[1].answer()
    await line.answered()
    await both(line, calls[1])
    for call in (calls[0], calls[2]):
        await call.ended()
        assert stopped_with(call, ELSEWHERE)
    assert not phones[3].calls
    for extension in ("101", "103", "104"):
        state = await centre.is_in(extension, "free")
        assert state["queues"][0] | {"name": ""} == {
            "queue": queue, "logged_in": True, "misses": 0, "name": ""}
    assert [one["x"] for one in await centre.heard("cancel", 2)] == [1, 1]
    assert not centre.told("missed")
    await calls[1].hang_up()
    await line.ended()


@scene
async def test_parallel_both_answer(people: People) -> None:
    """Two answer at the same moment: one has the caller, the other is free at once."""
    centre = Centre(people)
    queue = centre.queue(strategy="parallel", parallel=2)
    phones = [await centre.agent(extension, queue) for extension in ("101", "102")]
    carrier = await people.carrier()
    line = await carrier.dial(centre.number(queue))
    calls = [await phone.incoming() for phone in phones]
    for call in calls:
        call.answer()
    await line.answered()
    (winner,) = await wait_for(lambda: _only(calls), "one call to be left")
    await both(line, winner)
    loser = next(phone.number for phone in phones if phone is not winner.phone)
    assert (await centre.is_in(loser, "free"))["queues"][0]["misses"] == 0
    await line.hang_up()
    await winner.ended()


async def _only(calls: list[Call]) -> list[Call]:
    up = [call for call in calls if call.state == "up" and call.acknowledged]
    return up if len(up) == 1 and sum(call.state == "over" for call in calls) == 1 else []


@scene
async def test_tiers(people: People) -> None:
    """The second opens after its time, and at once when nobody of the first is logged in."""
    centre = Centre(people)
    queue = centre.queue(tiers_s=[2], wrap_up_s=30)
    anna = await centre.agent("101", queue)
    bo = await centre.agent("102", queue, tier=1)
    carrier = await people.carrier()
    number = centre.number(queue)
    assert await whole_call(carrier, number, anna, bo) == "101"
    await centre.is_in("101", "wrap_up")
    line = await carrier.dial(number)
    (caller,) = await centre.waiting(queue, 1)
    assert centre.explain(queue, caller=caller["caller"])["102"]["why"] == "tier"
    call = await take(bo)
    await both(line, call)
    await centre.heard("answered", 2)
    entered, offer = centre.told("entered")[-1], centre.told("offer")[-1]
    assert 2000 <= offer["at_ms"] - entered["at_ms"] < 3500
    await line.hang_up()
    await call.ended()
    centre.wrap_up("102", end=True)
    centre.log_in("101", False)
    assert await whole_call(carrier, number, anna, bo) == "102"
    await centre.heard("talk_ended", 3)
    entered, offer = centre.told("entered")[-1], centre.told("offer")[-1]
    assert offer["at_ms"] - entered["at_ms"] < 1000


@scenes(weight=[0, 5])
async def test_an_agent_in_two_queues(people: People, weight: int) -> None:
    """Takes the older caller, or the one of the queue that weighs more; the priority of an entry
    counts, too."""
    centre = Centre(people)
    queues = centre.queue(name="one", wrap_up_s=30), \
        centre.queue(name="two", weight=weight, wrap_up_s=30)
    anna = await centre.agent("101", *queues)
    numbers = [centre.number(queue, 50 + i) for i, queue in enumerate(queues)]
    urgent = centre.entry(queues[0], 53, priority=50)
    carrier = await people.carrier()
    assert await whole_call(carrier, numbers[0], anna) == "101"
    await centre.is_in("101", "wrap_up")
    lines = {}
    for name, number in (("older", numbers[0]), ("newer", numbers[1]), ("urgent", urgent)):
        lines[name] = await carrier.dial(number)
        await lines[name].answered()
    await centre.waiting(queues[0], 2)
    for name in ("urgent", *(("newer", "older") if weight else ("older", "newer"))):
        centre.wrap_up("101", end=True)
        call = await take(anna)
        await both(lines[name], call)
        await lines[name].hang_up()
        await call.ended()
        state = await centre.is_in("101", "wrap_up")
        assert state["queue"] == queues[name == "newer"]
    assert not centre.live(queues[0])["waiting"] and not centre.live(queues[1])["waiting"]


# -- offers that nobody takes (Q5) -------------------------------------------------------------

class Miss(NamedTuple):
    """What the telephone does, how the queue counts it, and the delay before the next offer."""

    what: str
    cause: int
    delay_s: int


MISSES = [Miss("no answer", 1, 11), Miss("603", 2, 12), Miss("486", 3, 13),
          Miss("unregistered", 4, 14)]


@scenes(miss=MISSES)
async def test_misses_are_counted_apart(people: People, miss: Miss) -> None:
    centre = Centre(people)
    queue = centre.queue(ring_s=3, no_answer_delay_s=11, rejected_delay_s=12, busy_delay_s=13,
                         unreachable_delay_s=14)
    if miss.what == "unregistered":
        await people.phone("101", functions=False, register=False)
        centre.member("101", queue)
        centre.log_in("101")
    else:
        anna = await centre.agent("101", queue)
    carrier = await people.carrier()
    line = await carrier.dial(centre.number(queue))
    await line.answered()
    if miss.what == "no answer":
        call = await anna.incoming()
        call.ring()
        await call.ended()
        assert stopped_with(call, "")
    elif miss.what != "unregistered":
        (await anna.incoming()).refuse(int(miss.what))
    (missed,) = await centre.heard("missed")
    assert (missed["x"], missed["y"]) == (miss.cause, 1)
    state = await centre.is_in("101", "rest")
    assert state["until_ms"] - state["since_ms"] == miss.delay_s * 1000
    assert state["queues"][0]["misses"] == 1
    (caller,) = await centre.waiting(queue, 1)
    assert caller["state"] == "waiting"
    await line.hang_up()
    assert centre.left() == [9]


@scenes(on_misses=["log_out", "pause"])
async def test_two_misses_in_a_row(people: People, on_misses: str) -> None:
    """An answer between them starts the count anew; then the agent is out, and the caller goes to
    somebody else."""
    centre = Centre(people)
    queue = centre.queue(strategy="sequential", max_misses=2, on_misses=on_misses,
                         rejected_delay_s=0)
    anna = await centre.agent("101", queue)
    carrier = await people.carrier()
    number = centre.number(queue)

    async def refuse() -> None:
        (await anna.incoming()).refuse(603)

    line = await carrier.dial(number)
    await refuse()
    call = await take(anna)
    await both(line, call)
    await line.hang_up()
    await call.ended()
    line = await carrier.dial(number)
    await refuse()
    await refuse()
    state = await centre.is_in("101", "offline" if on_misses == "log_out" else "paused")
    assert state["queues"][0]["logged_in"] == (on_misses == "pause")
    bo = await centre.agent("102", queue, position=1)
    call = await take(bo)
    await both(line, call)
    assert [one["y"] for one in await centre.heard("missed", 3)] == [1, 1, 2]
    if on_misses == "log_out":
        (event,) = await centre.heard("logged_out")
        assert (event["agent"], event["x"]) == (people.users["101"], 4)
        centre.log_in("101")
    else:
        (event,) = await centre.heard("paused")
        assert (event["agent"], event["x"], event["reason"]) == (people.users["101"], 0, "")
        assert state["reason"] == ""
        centre.pause("101", "")
    assert centre.state("101")["queues"][0] | {"name": ""} == {
        "queue": queue, "logged_in": True, "misses": 0, "name": ""}
    assert await whole_call(carrier, number, anna) == "101"
    await line.hang_up()
    await call.ended()


@scene
async def test_the_caller_hangs_up_while_it_rings(people: People) -> None:
    """The telephone stops ringing, which is no miss; the agent is free for the next."""
    centre = Centre(people)
    queue = centre.queue(max_misses=1)
    anna = await centre.agent("101", queue)
    carrier = await people.carrier()
    number = centre.number(queue)
    line = await carrier.dial(number)
    await line.answered()
    call = await anna.incoming()
    call.ring()
    await centre.is_in("101", "offered")
    await line.hang_up()
    await call.ended()
    assert stopped_with(call, "")
    assert (await centre.is_in("101", "free"))["queues"][0]["misses"] == 0
    assert centre.left() == [9]
    assert [one["x"] for one in await centre.heard("cancel")] == [2]
    assert not centre.told("missed")
    assert await whole_call(carrier, number, anna) == "101"


class Stop(NamedTuple):
    """What the supervisor does while the agent's telephone rings, and the agent's state then."""

    what: str
    state: str


@scenes(stop=[Stop("log out", "offline"), Stop("pause", "paused"), Stop("presence", "free"),
              Stop("remove", "")])
async def test_an_agent_is_taken_away_while_it_rings(people: People, stop: Stop) -> None:
    """The telephone stops, which is no miss, and the caller goes to the next agent."""
    centre = Centre(people)
    queue = centre.queue(max_misses=1)
    lunch = people.company.activity("lunch")
    anna = await centre.agent("101", queue, logged_in=False)
    member = next(one["id"] for one in centre.client.get(f"{centre.base}/queue-members")["items"])
    centre.log_in("101")
    bo = await centre.agent("102", queue)
    carrier = await people.carrier()
    line = await carrier.dial(centre.number(queue))
    rung = await anna.incoming()
    rung.ring()
    await people.lines(_101="ringing")
    if stop.what == "log out":
        centre.log_in("101", False)
    elif stop.what == "pause":
        centre.pause("101", "lunch")
    elif stop.what == "presence":
        centre.client.put(f"{centre.base}/users/{people.users['101']}/presence",
                          {"activity": lunch, "until": 0})
    else:
        centre.client.call("DELETE", f"{centre.base}/queue-members/{member}")
    call = await take(bo)
    await rung.ended()
    assert stopped_with(rung, "")
    await both(line, call)
    if stop.state:
        assert centre.state("101")["state"] == stop.state
    assert [one["x"] for one in await centre.heard("cancel")] == [3]
    assert not centre.told("missed")
    await line.hang_up()
    await call.ended()


@scenes(when=["caller", "ring time"], after_ms=[0, 2, 4, 8])
async def test_an_answer_at_the_last_moment(people: People, when: str, after_ms: int) -> None:
    """While the caller hangs up, or when the ring time is over: nobody is stuck, and whoever is
    there yet is connected."""
    centre = Centre(people)
    queue = centre.queue(ring_s=3, no_answer_delay_s=0, max_misses=0)
    anna = await centre.agent("101", queue)
    carrier = await people.carrier()
    number = centre.number(queue)
    line = await carrier.dial(number)
    call = await anna.incoming()
    rung_at = asyncio.get_running_loop().time()
    call.ring()
    await line.answered()
    if when == "caller":
        leaving = asyncio.ensure_future(line.hang_up())
        await asyncio.sleep(after_ms / 1000)
        if call.state == "ringing":
            call.answer()
        await leaving
    else:
        await asyncio.sleep(rung_at + 3 + (after_ms - 4) / 1000 - asyncio.get_running_loop().time())
        if call.state == "ringing":
            call.answer()

        async def settled() -> bool:
            return call.state == "over" \
                or frequencies(line, time.monotonic() - 0.2) == {anna.hz}

        await wait_for(settled, "the call to be connected, or over")
        connected = await take(anna) if call.state == "over" else call
        await both(line, connected)
        await line.hang_up()
    await asyncio.gather(*(one.ended() for one in anna.calls))
    await centre.is_in("101", "free")
    assert not centre.told("healed")
    assert await whole_call(carrier, number, anna) == "101"


# -- events ------------------------------------------------------------------------------------

@scene
async def test_the_events_of_a_call(people: People) -> None:
    """In order, with the uid of the call, and explained afterwards from the journal."""
    centre = Centre(people)
    queue = centre.queue(wrap_up_s=1)
    anna = await centre.agent("101", queue)
    await centre.agent("102", queue, logged_in=False)
    assert centre.state("102")["state"] == "offline"
    carrier = await people.carrier()
    line = await carrier.dial(centre.number(queue))
    call = await take(anna)
    await both(line, call)
    uid = (await people.live())[0]["uid"]
    await line.hang_up()
    await call.ended()
    await centre.heard("ready", 2)
    told = centre.told()
    of_agent: list[Any] = [one for one in told if one["data"]["what"] not in ("open", "logged_in")]
    assert [one["data"]["what"] for one in of_agent] == [
        "ready", "entered", "offer", "answered", "talk_ended", "wrap_up", "ready"]
    assert [one["call"] for one in of_agent[1:5]] == [uid] * 4
    assert [one["seq"] for one in told] == sorted(one["seq"] for one in told)
    entered, offer, answered, ended, wrap_up, ready = (one["data"] for one in of_agent[1:])
    assert entered["caller"] == offer["caller"] == answered["caller"] != 0
    assert offer["attempt"] == answered["attempt"] != 0
    assert {one["agent"] for one in (offer, answered, ended, wrap_up, ready)} \
        == {people.users["101"]}
    assert {one["queue"] for one in (entered, offer, answered, ended, wrap_up)} == {queue}
    assert 0 < ended["x"] < 10_000 and 0 <= answered["x"] < 5_000
    at = {one["data"]["what"]: one["at_ms"] for one in of_agent[1:]}
    assert wrap_up["x"] == at["talk_ended"] + 1000 <= at["ready"]
    why = {key: one["why"] for key, one in
           centre.explain(queue, caller=entered["caller"], at=at["offer"]).items()}
    assert why == {"101": "offered", "102": "logged_out"}


# -- everybody does what comes to mind -----------------------------------------------------------

class Crowd:
    """Agents and callers who do things at random, by a seed."""

    def __init__(self, centre: Centre, seed: int, *agents: str) -> None:
        self.centre = centre
        self.agents = agents
        self.chance = random.Random(seed)

    #: During a call: nothing, a transfer, a consultation, keys that mean something else by then.
    DOES = ((), (), (), ("*#*1{}#",), ("*#*2{}#", "*#*3", "*#*#"), ("*#*2{}#", "*#*5"),
            ("*#*8", "*#*1{}#"))

    async def until(self, call: Call, seconds: float) -> None:
        """The call's end, which comes from us when it has not by then."""
        with contextlib.suppress(AssertionError):
            await call.ended(seconds)
        await call.hang_up()

    async def agent(self, phone: Softphone) -> None:
        """Takes calls, or does not."""
        async with asyncio.TaskGroup() as calls:
            while True:
                calls.create_task(self.offered(await phone.incoming(60)))

    async def offered(self, call: Call) -> None:
        """Answers, refuses, or lets it ring."""
        await asyncio.sleep(self.chance.uniform(0, 0.3))
        if call.state != "ringing":
            return
        call.ring()
        await asyncio.sleep(self.chance.uniform(0, 0.3))
        does = self.chance.choice(("answers", "answers", "answers", "refuses", "nothing"))
        if call.state == "ringing" and does == "answers":
            call.answer()
            for keys in self.chance.choice(self.DOES):
                await asyncio.sleep(self.chance.uniform(0, 0.4))
                call.press(keys.format(self.chance.choice(self.agents)))
            await self.until(call, self.chance.uniform(0, 1))
        elif call.state == "ringing" and does == "refuses":
            call.refuse(self.chance.choice((486, 603, 480)))
        else:
            await self.until(call, 4)

    async def caller(self, carrier: Carrier, number: str) -> None:
        """Has so much patience."""
        await asyncio.sleep(self.chance.uniform(0, 4))
        line = await carrier.dial(number)
        await line.answered()
        await self.until(line, self.chance.uniform(0, 5))

    async def supervisor(self) -> None:
        """Pauses agents, logs them out, and everybody in again."""
        for _ in range(15):
            await asyncio.sleep(0.3)
            agent = self.chance.choice(self.agents)
            if self.chance.random() < 0.7:
                self.centre.log_in(agent, self.chance.random() < 0.7)
            else:
                self.centre.pause(agent, "break")
                await asyncio.sleep(self.chance.uniform(0, 0.5))
                self.centre.pause(agent, "")


def checked(told: list[dict[str, Any]]) -> None:
    """Every offer has one outcome, every caller, too, and nobody does two things at once."""
    offers: dict[int, int] = {}
    here: set[int] = set()
    at: dict[int, str] = {}
    for one in told:
        data = one["data"]
        what, agent, caller = data["what"], data["agent"], data["caller"]
        assert what != "healed", one
        if what == "entered":
            here.add(caller)
        elif what == "offer":
            assert caller in here and agent not in at, one
            offers[data["attempt"]], at[agent] = agent, "offered"
        elif what in ("cancel", "missed", "answered"):
            assert offers.pop(data["attempt"]) == agent and at.pop(agent) == "offered", one
            if what == "answered":
                at[agent] = "talking"
        elif what == "talk_ended":
            assert at.pop(agent) == "talking", one
        if what in ("answered", "left"):
            here.remove(caller)
    assert not offers and not here and not at, (offers, here, at)


@scenes(seed=[1, 2])
async def test_a_crowd(people: People, seed: int) -> None:
    """Whatever everybody does, it comes out even: no caller is lost, no agent is stuck."""
    centre = Centre(people)
    common: dict[str, Any] = {
        "ring_s": 3, "max_misses": 0, "no_answer_delay_s": 0, "rejected_delay_s": 0,
        "busy_delay_s": 1, "unreachable_delay_s": 0}
    queues = centre.queue(name="one", strategy="parallel", parallel=2, **common), \
        centre.queue(name="two", wrap_up_s=1, **common)
    agents = "101", "102", "103", "104"
    phones = [await centre.agent(extension, *queues) for extension in agents]
    carrier = await people.carrier()
    numbers = [centre.number(queue, 50 + i) for i, queue in enumerate(queues)]
    crowd = Crowd(centre, seed, *agents)
    work = [asyncio.ensure_future(crowd.agent(phone)) for phone in phones]
    await asyncio.gather(crowd.supervisor(),
                         *(crowd.caller(carrier, numbers[i % 2]) for i in range(10)))
    await asyncio.gather(*(call.ended() for phone in phones for call in phone.calls))
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    for extension in agents:
        centre.pause(extension, "break")
        centre.pause(extension, "")
        centre.log_in(extension)
        await centre.is_in(extension, "free")
    await wait_for(lambda: _even(centre), lambda: f"an end: {centre.told()[-5:]}")
    checked(centre.told())
    assert len(centre.told("entered")) + len(centre.told("refused")) == 10


async def _even(centre: Centre) -> bool:
    told = [one["data"]["what"] for one in centre.told()]
    return told.count("answered") == told.count("talk_ended") and \
        told.count("entered") == told.count("answered") + told.count("left")
