"""What agents do (Q1, Q4, Q8 to Q10), with real telephones: log in and out, pause, wrap up; and who
is not offered a call."""

import asyncio
from urllib.parse import quote

from callcontrol import words
from tests.callcentre import Centre
from tests.exchange import refused
from tests.listening import LANGUAGE, phrase, says
from tests.people import People, both, scene, scenes, take, wait_for
from tests.softphone import Softphone


async def dial_code(phone: Softphone, code: str, text: str) -> None:
    """Dial it, hear the beginning of what is said, and hang up."""
    line = await phone.dial(quote(code, safe="*"))
    await line.answered()
    await says(line, text, first_s=1.2)
    await line.hang_up()


def logged_in_to(count: int) -> str:
    """What an agent hears who has logged in."""
    return words.agent_logged_in(count, LANGUAGE)


# -- wrap-up and rest (Q4) ---------------------------------------------------------------------

@scenes(end=["time", "by hand", "code", "prolonged", "rest", "both"])
async def test_wrap_up_and_rest(people: People, end: str) -> None:
    """No call during it, however it ends; the next one at once when it has."""
    centre = Centre(people)
    wrap_up_s, rest_s = {"time": (2, 0), "by hand": (60, 0), "code": (60, 0), "prolonged": (1, 0),
                         "rest": (0, 2), "both": (1, 2)}[end]
    queue = centre.queue(wrap_up_s=wrap_up_s, rest_s=rest_s, prolong_s=2)
    anna = await centre.agent("101", queue)
    carrier = await people.carrier()
    number = centre.number(queue)
    line, call = await centre.served(number, anna, carrier)
    second = await carrier.dial(number)
    await second.answered()
    await centre.waiting(queue, 1)
    await line.hang_up()
    await call.ended()
    state = await centre.is_in("101", "rest" if end == "rest" else "wrap_up")
    assert state["queue"] == (0 if end == "rest" else queue) and len(anna.calls) == 1
    least_ms = {"time": 2000, "prolonged": 3000, "rest": 2000, "both": 2000}.get(end, 0)
    if end == "prolonged":
        longer = centre.wrap_up("101", prolong_s=5)
        assert longer["until_ms"] - state["until_ms"] == 2000, "as far as the queue allows"
        again = refused(centre.client, "POST", f"{centre.base}/agents/{people.users['101']}"
                        "/wrap-up", {"prolong_s": 5})
        assert again["code"] == "not_now"
    elif end == "by hand":
        centre.wrap_up("101", end=True)
    elif end == "code":
        await dial_code(anna, "*43", phrase("agent_wrap_up_ended"))
    call = await take(anna)
    await both(second, call)
    await centre.heard("answered", 2)
    ended, offer = centre.told("talk_ended")[-1], centre.told("offer")[-1]
    assert offer["at_ms"] - ended["at_ms"] >= least_ms
    await call.hang_up()
    await second.ended()


@scene
async def test_wrap_up_of_a_shared_agent(people: People) -> None:
    """As the queue says that the call came through; prolonging is only for a wrap-up."""
    centre = Centre(people)
    one, two = centre.queue(name="one", wrap_up_s=60), centre.queue(name="two")
    anna = await centre.agent("101", one, two)
    carrier = await people.carrier()
    numbers = {queue: centre.number(queue, 50 + i) for i, queue in enumerate((one, two))}
    for queue, state in ((two, "free"), (one, "wrap_up")):
        line, call = await centre.served(numbers[queue], anna, carrier)
        assert (await centre.is_in("101", "talking"))["queue"] == queue
        await call.hang_up()
        await line.ended()
        await centre.is_in("101", state)
    centre.wrap_up("101", end=True)
    await centre.is_in("101", "free")
    for body in ({"end": True}, {"prolong_s": 5}):
        problem = refused(centre.client, "POST", f"{centre.base}/agents/{people.users['101']}"
                          "/wrap-up", body)
        assert problem["code"] == "not_now"


# -- log-in (Q1, Q8, Q9) -----------------------------------------------------------------------

@scene
async def test_codes(people: People) -> None:
    centre = Centre(people)
    people.company.client.patch(centre.base, {"pause_reasons": ["lunch", "coffee"]})
    queues = centre.queue(name="one"), centre.queue(name="two")
    anna = await centre.agent("101", *queues, logged_in=False)
    bo = await people.phone("102", functions=False)
    await dial_code(bo, "*41", phrase("agent_not_member"))
    await dial_code(anna, "*41", logged_in_to(2))
    state = await centre.is_in("101", "free")
    assert [one["logged_in"] for one in state["queues"]] == [True, True]
    assert [one["x"] for one in await centre.heard("logged_in", 2)] == [1, 1]
    await dial_code(anna, "*43", words.agent_status("free", LANGUAGE, queues=2))
    await dial_code(anna, "*42#", words.agent_paused("lunch", LANGUAGE))
    assert (await centre.is_in("101", "paused"))["reason"] == "lunch"
    await dial_code(anna, "*42*2#", words.agent_paused("coffee", LANGUAGE))
    assert (await centre.is_in("101", "paused"))["reason"] == "coffee"
    await dial_code(anna, "*42*3#", words.agent_status("paused", LANGUAGE, queues=2,
                                                       reason="coffee"))
    await dial_code(anna, "#42#", phrase("agent_resumed"))
    await centre.is_in("101", "free")
    await dial_code(anna, "#41#", phrase("agent_logged_out"))
    assert [one["logged_in"] for one in (await centre.is_in("101", "offline"))["queues"]] \
        == [False, False]
    assert [one["x"] for one in await centre.heard("logged_out", 2)] == [1, 1]
    assert [one["reason"] for one in await centre.heard("paused", 2)] == ["lunch", "coffee"]


@scene
async def test_agent_menu(people: People) -> None:
    centre = Centre(people)
    queue = centre.queue()
    anna = await centre.agent("101", queue, logged_in=False)
    centre.company.post("services", {"name": "agents", "extension": "70",
                                     "settings": {"type": "agent_menu"}})
    line = await anna.dial("70")
    await line.answered()
    await says(line, phrase("agent_menu"), first_s=2)
    for key, state, text in (("1", "free", logged_in_to(1)),
                             ("3", "paused", words.agent_paused("break", LANGUAGE)),
                             ("4", "free", phrase("agent_resumed")),
                             ("0", "free", words.agent_status("free", LANGUAGE, queues=1)),
                             ("2", "offline", phrase("agent_logged_out"))):
        line.press(key)
        await says(line, text, first_s=1.5)
        assert centre.state("101")["state"] == state
    line.press("7")
    await says(line, phrase("not_understood"), first_s=1)
    await line.hang_up()


@scene
async def test_by_presence(people: People) -> None:
    """A member by presence is logged in and out by it; any other is only not offered calls."""
    centre = Centre(people)
    queue = centre.queue()
    lunch = people.company.activity("lunch")
    training = people.company.activity("training", in_groups=True)
    anna = await centre.agent("101", queue, logged_in=False, by_presence=True)
    bo = await centre.agent("102", queue)

    def does(extension: str, activity: int | None) -> None:
        centre.client.put(f"{centre.base}/users/{people.users[extension]}/presence",
                          {"activity": activity, "until": 0})

    await centre.is_in("101", "free")
    for extension in ("101", "102"):
        does(extension, training)
    carrier = await people.carrier()
    number = centre.number(queue)
    line, call = await centre.served(number, anna, carrier)
    await line.hang_up()
    await call.ended()
    does("101", lunch)
    await centre.is_in("101", "offline")
    line, call = await centre.served(number, bo, carrier)
    second = await carrier.dial(number)
    await second.answered()
    (caller,) = await centre.waiting(queue, 1)
    does("102", lunch)

    async def away() -> bool:
        return not centre.state("102")["present"]

    await wait_for(away, "102 to be away")
    await line.hang_up()
    await call.ended()
    await centre.is_in("102", "free")
    assert centre.explain(queue, caller=caller["caller"])["102"]["why"] == "away"
    assert len(bo.calls) == len(anna.calls) == 1
    does("101", None)
    call = await take(anna)
    await both(second, call)
    assert [one["x"] for one in await centre.heard("logged_in", 3)
            if one["agent"] == people.users["101"]] == [3, 3]
    assert [one["x"] for one in await centre.heard("logged_out")] == [3]
    assert centre.state("102")["queues"][0]["logged_in"]
    await second.hang_up()
    await call.ended()


@scene
async def test_floating_licences(people: People) -> None:
    """One licence, two agents: the second is refused and told so, until the first is logged out."""
    centre = Centre(people)
    people.company.client.patch(centre.base, {"agent_licences": 1})
    queues = centre.queue(name="one"), centre.queue(name="two")
    await centre.agent("101", *queues)
    bo = await centre.agent("102", *queues, logged_in=False)
    path = f"{centre.base}/agents/{people.users['102']}/login"
    problem = refused(centre.client, "PUT", path, {"logged_in": True})
    assert problem["code"] == "not_now" and "licence" in problem["detail"]
    await dial_code(bo, "*41", phrase("agent_no_licence"))
    assert centre.client.get(f"{centre.base}/agents")["licences"] == {"used": 1, "total": 1}
    assert centre.state("102")["state"] == "offline"
    centre.log_in("101", False, [queues[0]])
    assert refused(centre.client, "PUT", path, {"logged_in": True})["code"] == "not_now"
    centre.log_in("101", False)
    await dial_code(bo, "*41", logged_in_to(2))
    assert (await centre.is_in("102", "free"))["queues"][1]["logged_in"]


# -- who is not offered a call -----------------------------------------------------------------

@scene
async def test_pauses(people: People) -> None:
    """From the end of the call that the agent is in; no call until it is over. Whether the queue
    lets somebody in meanwhile is said by pause."""
    centre = Centre(people)
    queue = centre.queue(overflow={"pauses_present": ["meeting"]})
    anna = await centre.agent("101", queue)
    carrier = await people.carrier()
    number = centre.number(queue)
    path = f"{centre.base}/agents/{people.users['101']}/pause"
    problem = refused(centre.client, "PUT", path, {"reason": "siesta"})
    assert (problem["code"], problem["field"]) == ("invalid", "reason")
    line, call = await centre.served(number, anna, carrier)
    assert centre.pause("101", "meeting")["state"] == "talking"
    await both(line, call)
    await line.hang_up()
    await call.ended()
    assert (await centre.is_in("101", "paused"))["reason"] == "meeting"
    line = await carrier.dial(number)
    await line.answered()
    (caller,) = await centre.waiting(queue, 1)
    assert centre.explain(queue, caller=caller["caller"])["101"]["why"] == "paused"
    centre.pause("101", "")
    rung = await anna.incoming()
    rung.ring()
    assert centre.pause("101", "lunch")["state"] == "paused"
    await rung.ended()
    assert (await centre.waiting(queue, 1))[0]["state"] == "waiting"
    refusal = await carrier.dial(number)
    await centre.heard("refused")
    await refusal.hang_up()
    centre.pause("101", "")
    call = await take(anna)
    await both(line, call)
    assert [one["reason"] for one in await centre.heard("paused", 2)] == ["meeting", "lunch"]
    await centre.heard("resumed", 2)
    assert not centre.told("missed")
    await call.hang_up()
    await line.ended()


@scene
async def test_device_kinds(people: People) -> None:
    """By queue: the mobile only for one, every telephone for the other."""
    centre = Centre(people)
    one, two = centre.queue(name="one"), centre.queue(name="two")
    desk = await centre.agent("101", two)
    centre.member("101", one, device_kinds=["mobile", "soft"])
    centre.log_in("101")
    mobile = await people.phone("101", kind="mobile", user=people.users["101"], hz=1200)
    carrier = await people.carrier()
    line, call = await centre.served(centre.number(one, 50), mobile, carrier)
    assert not desk.calls
    await line.hang_up()
    await call.ended()
    await centre.is_in("101", "free")
    line = await carrier.dial(centre.number(two, 51))
    elsewhere = await mobile.incoming()
    elsewhere.ring()
    call = await take(desk)
    await elsewhere.ended()
    await both(line, call)
    await call.hang_up()
    await line.ended()


@scene
async def test_a_private_call(people: People) -> None:
    """Whose line is in use is not offered a call, and is when it is free; so explain says."""
    centre = Centre(people)
    queue = centre.queue()
    anna = await centre.agent("101", queue)
    bo = await centre.agent("102", queue)
    await centre.agent("103", queue, logged_in=False)
    await centre.agent("104", queue)
    centre.pause("104", "lunch")
    cia = await people.phone("105", functions=False)
    carrier = await people.carrier()
    number = centre.number(queue)
    private, talk = await people.talk(anna, cia)

    async def busy() -> bool:
        state = centre.state("101")
        return state["state"] == "free" and state["line_busy"]

    await wait_for(busy, "101's line to be busy")
    line, call = await centre.served(number, bo, carrier)
    second = await carrier.dial(number)
    await second.answered()
    (caller,) = await centre.waiting(queue, 1)
    assert {key: one["why"] for key, one in
            centre.explain(queue, caller=caller["caller"]).items()} == {
        "101": "line_busy", "102": "talking", "103": "logged_out", "104": "paused"}
    await private.hang_up()
    await talk.ended()
    third = await take(anna)
    await both(second, third)
    assert not centre.told("missed")
    await second.hang_up()
    await line.hang_up()
    await asyncio.gather(call.ended(), third.ended())


@scene
async def test_an_agent_who_calls_a_queue(people: People) -> None:
    """Of one's own: nobody is offered the own call."""
    centre = Centre(people)
    queue = centre.queue(extension="60")
    anna = await centre.agent("101", queue)
    line = await anna.dial("60")
    await line.answered()
    (caller,) = await centre.waiting(queue, 1)
    assert caller["user"] == people.users["101"]
    assert centre.explain(queue, caller=caller["caller"])["101"]["why"] == "line_busy"
    bo = await centre.agent("102", queue)
    call = await take(bo)
    await both(line, call)
    assert len(anna.calls) == 1
    await line.hang_up()
    await call.ended()


@scene
async def test_members_come_and_go_during_a_call(people: People) -> None:
    """Who is removed talks on, and is no agent afterwards; who is added gets the next caller; who
    logs out does so from the end of the call."""
    centre = Centre(people)
    queue = centre.queue(wrap_up_s=1)
    anna = await centre.agent("101", queue)
    carrier = await people.carrier()
    number = centre.number(queue)
    line, call = await centre.served(number, anna, carrier)
    second = await carrier.dial(number)
    await second.answered()
    await centre.waiting(queue, 1)
    bo = await centre.agent("102", queue)
    third = await take(bo)
    await both(second, third)
    members = centre.client.get(f"{centre.base}/queue-members")["items"]
    centre.client.call("DELETE", f"{centre.base}/queue-members/{members[0]['id']}")
    assert centre.log_in("102", False)["state"] == "talking"
    assert [agent["user"] for agent in centre.live(queue)["agents"]] == [people.users["102"]]
    await asyncio.gather(both(line, call), both(second, third))
    await asyncio.gather(line.hang_up(), second.hang_up())
    await asyncio.gather(call.ended(), third.ended())
    await centre.is_in("102", "offline")
    assert {one["agent"] for one in await centre.heard("talk_ended", 2)} \
        == {people.users["101"], people.users["102"]}
    assert not centre.told("healed")
    centre.member("101", queue)
    assert centre.state("101")["state"] == "offline"
    centre.log_in("101")
    line, call = await centre.served(number, anna, carrier)
    await line.hang_up()
    await call.ended()
