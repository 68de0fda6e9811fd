"""Those who wait in queues and those who are rung for them, in virtual time, second by second
(tests/test_queue_orders.py has them in any order of events)."""

import asyncio
import itertools
from typing import Final
from unittest import mock

import pytest

from callcontrol import words
from callcontrol.queues.floor import cause_of
from callcontrol.services.queue import ELSEWHERE
from callcontrol.sofia.ua import State
from routing_core.codes import Reason
from routing_core.queue_words import Cause, Leave, What, Why
from store.model import Announcements, Choice, Overflow, Queue, QueueCallback, Target
from tests.fake_desk import MENU, MESSAGE
from tests.fakes import FakeLeg, Policy
from tests.queue_stage import (
    AGENTS,
    ANSWERS,
    BY_KEY,
    CUSTOMER,
    DETOUR,
    FIRST,
    LATER,
    QUEUE,
    REPEATED,
    SECOND,
    VIP,
    WELCOME,
    Centre,
    callbacks,
    member,
    order,
    scene,
    service,
)

SLOW: Final = Policy("answer", 8.0)
#: What those hear who wait, as the exchange says it.
WAIT, BACK, OFFER, NOBODY = (words.phrase(key, "en", key="one").replace("/", " ") for key in (
    "queue_wait", "queue_back", "queue_callback_offer", "queue_no_agents"))


def place(position: int) -> str:
    """How a position is said."""
    return words.queue_position(position, "en")


def kept(what: list[str], start: str) -> list[str]:
    """Those that begin so."""
    return [one for one in what if one.startswith(start)]


# -- announcements -----------------------------------------------------------------------------

SPOKEN: Final = Announcements(welcome=31, first=33, repeated=34, interval_s=20)


@scene(Queue(announcements=SPOKEN), busy=(1,))
async def test_announcements_come_in_order_and_at_their_interval(centre: Centre) -> None:
    """From the end of each to the beginning of the next."""
    line = centre.call()
    await asyncio.sleep(80)
    assert centre.heard(line) == [
        (0, WELCOME), (4, FIRST), (28, REPEATED), (52, REPEATED), (76, REPEATED)]


@scene(Queue(announcements=SPOKEN), people={"phones:1": [ANSWERS]})
async def test_the_welcome_counts_as_waiting_but_is_heard_to_its_end(centre: Centre) -> None:
    """Then comes the offer at once, in the middle of the first announcement."""
    line = centre.call()
    await asyncio.sleep(10)
    [agent] = centre.dialled("phones:1")
    assert agent.rang_at == 4
    assert centre.talk(line, agent)
    [answered] = centre.said(What.ANSWERED)
    assert answered["x"] == 5000
    await asyncio.sleep(60)
    assert centre.words(line) == [WELCOME, FIRST]


@scene(Queue(announcements=SPOKEN), people={"phones:1": [ANSWERS]})
async def test_keys_in_the_welcome_do_not_end_it(centre: Centre) -> None:
    """Nor does anything else that a caller does."""
    line = centre.call()
    await asyncio.sleep(1)
    for key in "12#":
        line.press(key)
    await asyncio.sleep(10)
    assert centre.dialled("phones:1")[0].rang_at == 4


@scene(Queue(announcements=SPOKEN), busy=(1,), people={"phones:1": [ANSWERS]})
async def test_a_caller_in_an_announcement_is_connected_at_once(centre: Centre) -> None:
    """Nothing of it is heard afterwards."""
    line = centre.call()
    await asyncio.sleep(28.5)
    centre.occupy()
    await asyncio.sleep(2)
    assert centre.words(line)[-1] == REPEATED
    assert centre.talk(line, centre.dialled("phones:1")[0])


@scene(busy=(1,))
async def test_without_prompts_the_exchange_says_it(centre: Centre) -> None:
    """Once: there is nothing to repeat."""
    line = centre.call()
    await asyncio.sleep(200)
    assert centre.heard(line) == [(0, WAIT)]


@scene(Queue(announcements=Announcements(first=33, position=True, min_gap_s=30, interval_s=60)),
       busy=(1,))
async def test_a_place_is_told_when_it_changes_but_not_too_often(centre: Centre) -> None:
    """And with what is repeated."""
    lines = [centre.call(f"+4670{number}000000") for number in range(1, 4)]
    await asyncio.sleep(10)
    lines[0].end()
    await asyncio.sleep(1)
    lines[1].end()
    await asyncio.sleep(100)
    told = [(at, what) for at, what in centre.heard(lines[2]) if what != FIRST]
    assert [what for _, what in told] == [place(3), place(1), place(1)]
    assert told[0][0] == 4
    assert 30 <= told[1][0] - (told[0][0] + 2) <= 31
    assert 60 <= told[2][0] - (told[1][0] + 2) <= 61


@scene(Queue(announcements=Announcements(position=True, min_gap_s=5, interval_s=20,
                                         only_better=True)), busy=(1,))
async def test_only_a_better_place_is_told(centre: Centre) -> None:
    """One that is worse, or the same, is not."""
    first, line = centre.call("+46701000000"), centre.call("+46702000000")
    await asyncio.sleep(10)
    centre.call("+46703000000", VIP)
    await asyncio.sleep(60)
    assert kept(centre.words(line), "You are") == [place(2)]
    first.end()
    await asyncio.sleep(60)
    assert centre.own.engine.position(centre.spot_of(line).caller) == 2
    assert kept(centre.words(line), "You are") == [place(2)]
    centre.callers[2].end()
    await asyncio.sleep(10)
    assert kept(centre.words(line), "You are") == [place(2), place(1)]


@scene(Queue(announcements=Announcements(estimate=True, interval_s=10, min_gap_s=10)),
       people={"phones:1": [ANSWERS]})
async def test_an_estimate_is_told_when_enough_calls_were_served(centre: Centre) -> None:
    """Never before."""
    early = centre.call()
    await asyncio.sleep(5)
    early.end()
    for _ in range(12):
        line = centre.call()
        await asyncio.sleep(31)
        line.end()
        await asyncio.sleep(1)
    assert "minute" not in " ".join(centre.words(early))
    centre.call("+46701000000")
    await asyncio.sleep(2)
    line = centre.call("+46702000000")
    await asyncio.sleep(15)
    assert kept(centre.words(line), "The estimated") or "minute" in " ".join(centre.words(line))


@pytest.mark.parametrize(("callback", "first_s", "last_s"), [
    (QueueCallback(after_s=30), 30, 33), (QueueCallback(key="7"), 4, 5)],
    ids=["after a time", "by key"])
def test_a_callback_is_offered(callback: QueueCallback, first_s: float, last_s: float) -> None:
    """After its time, or at once when a key orders it, and again at the interval."""
    @scene(Queue(announcements=Announcements(first=33, interval_s=20), callback=callback),
           busy=(1,))
    async def play(centre: Centre) -> None:
        line = centre.call()
        await asyncio.sleep(120)
        offers = [at for at, what in centre.heard(line) if what.endswith("be called back.")]
        assert len(offers) >= 3
        assert 0 <= offers[0] <= last_s
        assert offers[0] >= first_s - 4
        assert all(20 <= two - one <= 45 for one, two in itertools.pairwise(offers))

    play()


@scene(Queue(callback=QueueCallback(after_s=30), announcements=Announcements(interval_s=5)),
       busy=(1,))
async def test_time_before_the_queue_is_no_waiting(centre: Centre) -> None:
    """For the offer of a callback, either."""
    line = centre.call(to=DETOUR)
    await asyncio.sleep(20)
    line.press("1")
    await asyncio.sleep(25)
    assert not kept(centre.words(line), "Press one")
    await asyncio.sleep(15)
    assert kept(centre.words(line), "Press one")


# -- agents ------------------------------------------------------------------------------------

@scene(Queue(ring_s=15, no_answer_delay_s=10))
async def test_a_telephone_that_nobody_answers_is_a_miss(centre: Centre) -> None:
    """After the queue's ring time, and again after the delay."""
    centre.call()
    await asyncio.sleep(26)
    first, second = centre.dialled("phones:1")
    assert (first.rang_at, first.ended_at, first.ended_by) == (0, 15, "us")
    assert centre.said(What.MISSED)[0]["x"] == Cause.NO_ANSWER
    assert round(second.rang_at, 2) == 25


@pytest.mark.parametrize(("code", "word", "cause"), [
    (486, "", Cause.BUSY), (600, "", Cause.BUSY), (486, "busy", Cause.BUSY),
    (486, "menu", Cause.UNREACHABLE), (603, "", Cause.REJECTED), (403, "", Cause.REJECTED),
    (606, "", Cause.REJECTED), (408, "", Cause.NO_ANSWER), (487, "", Cause.NO_ANSWER),
    (480, "", Cause.UNREACHABLE), (404, "", Cause.UNREACHABLE), (503, "", Cause.UNREACHABLE),
    (302, "away", Cause.UNREACHABLE)], ids=lambda value: str(value))
def test_a_refusal_is_a_miss_with_a_cause(code: int, word: str, cause: Cause) -> None:
    """By the code, and by what the exchange says of it."""
    @scene(people={"phones:1": [Policy("refuse", 1.0, code, decision=word)]})
    async def play(centre: Centre) -> None:
        line = centre.call()
        await asyncio.sleep(2)
        assert [one["x"] for one in centre.said(What.MISSED)] == [cause]
        assert line.state is State.UP

    play()
    assert cause_of(code, Reason.NONE) is cause or word


@scene()
async def test_an_offer_is_withdrawn_from_an_agent_who_pauses(centre: Centre) -> None:
    """No miss, and the telephone stops."""
    line = centre.call()
    await asyncio.sleep(5)
    assert centre.own.act(1, "pause", reason="lunch") == (0, "")
    await asyncio.sleep(0.1)
    [agent] = centre.dialled("phones:1")
    assert (agent.state, agent.told[-1]) == (State.OVER, ("hang_up", 480, ""))
    assert centre.said(What.CANCEL)[0]["x"] == Why.AGENT_LEFT
    assert not centre.said(What.MISSED)
    assert line.state is State.UP


@scene(Queue(strategy="parallel", parallel=3), agents=(1, 2, 3),
       people={"phones:2": [Policy("answer", 4.0, user=2)]})
async def test_the_first_of_several_takes_the_call(centre: Centre) -> None:
    """The others see that it was answered elsewhere."""
    line = centre.call()
    await asyncio.sleep(3)
    assert all(len(centre.ringing(f"phones:{agent}")) == 1 for agent in (1, 2, 3))
    await asyncio.sleep(2)
    assert centre.talk(line, centre.dialled("phones:2")[0])
    for agent in (1, 3):
        [leg] = centre.dialled(f"phones:{agent}")
        assert leg.told[-1] == ("hang_up", 480, ELSEWHERE)
        assert centre.state(agent) == "free"


@scene(Queue(strategy="parallel", parallel=2), agents=(1, 2),
       people={"phones:1": [ANSWERS], "phones:2": [ANSWERS]})
async def test_two_answer_at_once(centre: Centre) -> None:
    """One has the caller, and the other's call ends."""
    line = centre.call()
    await asyncio.sleep(3)
    legs = [centre.dialled(f"phones:{agent}")[0] for agent in (1, 2)]
    assert [leg.state for leg in legs].count(State.UP) == 1
    assert centre.talk(line, next(leg for leg in legs if leg.state is State.UP))
    assert sorted(centre.state(agent) for agent in (1, 2)) == ["free", "talking"]


@scene(agents=(1, 2))
async def test_a_caller_who_hangs_up_stops_the_ringing_at_once(centre: Centre) -> None:
    """In the same moment."""
    line = centre.call()
    await asyncio.sleep(3)
    line.end()
    await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    [leg] = [leg for agent in (1, 2) for leg in centre.dialled(f"phones:{agent}")]
    assert leg.ended_at == 3
    assert centre.said(What.LEFT)[0]["x"] == Leave.ABANDONED
    assert centre.said(What.CANCEL)[0]["x"] == Why.CALLER_LEFT


@scene(people={"phones:1": [Policy("answer", 1.0, user=1)]})
async def test_an_agent_who_moves_to_another_telephone_still_talks(centre: Centre) -> None:
    """Until that one hangs up."""
    line = centre.call()
    await asyncio.sleep(3)
    [first] = centre.dialled("phones:1")
    for key in "*#*8":
        first.press(key)
    await asyncio.sleep(1)
    [second] = [leg for leg in centre.stage.legs if leg.state is State.CALLING]
    second.pick_up(1, 11)
    await asyncio.sleep(5)
    assert first.state is State.OVER
    assert centre.talk(line, second)
    assert centre.state(1) == "talking"
    second.end()
    await asyncio.sleep(1)
    assert (centre.state(1), line.state) == ("free", State.OVER)


@scene(Queue(wrap_up_s=60), people={"phones:1": [ANSWERS]})
async def test_a_leg_that_vanishes_is_noticed(centre: Centre) -> None:
    """Within 3 seconds, and counted."""
    centre.call()
    await asyncio.sleep(3)
    centre.dialled("phones:1")[0].vanish()
    await asyncio.sleep(3.2)
    assert centre.said(What.HEALED)
    assert centre.state(1) != "talking"
    assert centre.desk.counters["agent_healed"] == 1


@scene(Queue(wrap_up_s=30), people={"phones:1": [ANSWERS]})
async def test_wrap_up_begins_when_the_agent_leaves_the_call(centre: Centre) -> None:
    """And whoever waits is offered at its end."""
    line = centre.call()
    await asyncio.sleep(11)
    line.end()
    await asyncio.sleep(1)
    assert centre.state(1) == "wrap_up"
    centre.call(LATER)
    await asyncio.sleep(40)
    assert [round(leg.rang_at, 2) for leg in centre.dialled("phones:1")] == [0, 41]


# -- out of the queue --------------------------------------------------------------------------

@pytest.mark.parametrize(("target", "rung", "said"), [
    (Target(kind="user", user=2), "user:2", ""), (Target(kind="group", group=5), "group:5", ""),
    (Target(kind="number", text="+46812345678"), "number:+46812345678", ""),
    (service(MESSAGE), "user:2", WELCOME), (Target(kind="busy"), "", ""),
    (service(SECOND), "", ""), (None, "", NOBODY)],
    ids=["user", "group", "number", "message", "busy", "queue", "nothing"])
def test_overflow_leads_on(target: Target | None, rung: str, said: str) -> None:
    """To each kind of target; those without one are told."""
    @scene(Queue(overflow=Overflow(timed_s=10, timed=target)), busy=(1,), second=Queue(),
           people={"user:2": [ANSWERS]}, members=[member(1, SECOND)])
    async def play(centre: Centre) -> None:
        line = centre.call()
        token = centre.own.engine.token
        await asyncio.sleep(1)
        before = token(centre.spot_of(line).caller)
        await asyncio.sleep(20)
        assert centre.said(What.LEFT)[0]["x"] == Leave.TIMED
        assert [leg.rang_at >= 10 for leg in centre.dialled(rung)] == [True] * bool(rung)
        assert not said or said in centre.words(line)
        if target == service(SECOND):
            spot = centre.spot_of(line)
            assert (spot.queue, token(spot.caller)) == (SECOND, before)
        elif target is None or target.kind == "busy":
            assert line.state is State.OVER

    play()


@pytest.mark.parametrize(("queue", "why", "said"), [
    (Queue(state="closed"), Leave.CLOSED, "queue_closed"),
    (Queue(schedule=3), Leave.NIGHT, "queue_closed_night"),
    (Queue(max_waiting=1), Leave.FULL, "queue_rush")], ids=["by hand", "night", "full"])
def test_who_is_not_let_in_is_told_why(queue: Queue, why: Leave, said: str) -> None:
    """And the call ends."""
    @scene(queue, busy=(1,))
    async def play(centre: Centre) -> None:
        centre.around.shut = {3}
        centre.call(LATER)
        await asyncio.sleep(2)
        line = centre.call()
        await asyncio.sleep(10)
        assert centre.said(What.REFUSED)[-1]["x"] == why
        assert words.phrase(said, "en") in centre.words(line)
        assert line.state is State.OVER

    play()


@scene(Queue(keys=(Choice(key="5", target=service(DETOUR)),)), busy=(1,))
async def test_a_caller_comes_back_from_a_menu_to_the_same_place(centre: Centre) -> None:
    """Nobody is rung meanwhile, and somebody who came later is behind."""
    line = centre.call()
    await asyncio.sleep(10)
    later = centre.call(LATER)
    await asyncio.sleep(1)
    caller = centre.spot_of(line).caller
    line.press("5")
    await asyncio.sleep(1)
    assert centre.own.engine.position(caller) == 0
    line.press("1")
    await asyncio.sleep(4)
    assert centre.spot_of(line).caller == caller
    assert BACK in centre.words(line)
    assert centre.spot_of(line).position() == 1
    assert centre.spot_of(later).position() == 2
    assert len(centre.said(What.ENTERED)) == 2


@scene(Queue(keys=(Choice(key="5", target=service(MENU)), Choice(
    key="6", target=Target(kind="user", user=2)))), busy=(1,))
async def test_a_key_that_leads_away_gives_the_place_up(centre: Centre) -> None:
    """To somebody at once, or out of the menu."""
    line, other = centre.call(), centre.call(LATER)
    await asyncio.sleep(5)
    line.press("6")
    other.press("5")
    await asyncio.sleep(5)
    assert [one["x"] for one in centre.said(What.LEFT)] == [Leave.KEY]
    other.press("3")
    await asyncio.sleep(5)
    assert [one["x"] for one in centre.said(What.LEFT)] == [Leave.KEY] * 2


@scene(Queue(keys=(Choice(key="5", target=service(DETOUR)),), overflow=Overflow(
    timed=Target(kind="user", user=2))), busy=(1,))
async def test_a_caller_who_is_away_for_too_long_loses_the_place(centre: Centre) -> None:
    """And goes where those go who have waited for too long."""
    line = centre.call()
    await asyncio.sleep(5)
    with mock.patch("callcontrol.queues.floor.AWAY_S", 7):
        line.press("5")
        await asyncio.sleep(1)
    assert not centre.said(What.LEFT)
    await asyncio.sleep(8)
    assert [one["x"] for one in centre.said(What.LEFT)] == [Leave.AWAY_TOO_LONG]
    line.press("1")
    await asyncio.sleep(5)
    assert BACK not in centre.words(line)
    assert len(centre.dialled("user:2")) == 1


@scene(Queue(ring_s=60), agents=(1,), people={"phones:1": [Policy()]})
async def test_a_queue_that_is_deleted_lets_everybody_go(centre: Centre) -> None:
    """Telephones stop ringing, and callers are told."""
    line, other = centre.call(), centre.call(LATER)
    await asyncio.sleep(5)
    centre.change("service", QUEUE)
    await asyncio.sleep(10)
    assert [one["x"] for one in centre.said(What.LEFT)] == [Leave.REMOVED] * 2
    assert not centre.ringing("phones:1")
    assert (line.state, other.state) == (State.OVER, State.OVER)


@scene(Queue(ring_s=60), agents=(1, 2), busy=(2,))
async def test_a_member_who_is_removed_stops_ringing(centre: Centre) -> None:
    """The next one is rung."""
    line = centre.call()
    await asyncio.sleep(5)
    centre.change("queue_member", member(1).id)
    centre.occupy()
    await asyncio.sleep(1)
    assert not centre.ringing("phones:1")
    assert len(centre.ringing("phones:2")) == 1
    assert line.state is State.UP


@scene(Queue(ring_s=60), agents=(1, 2), busy=(1, 2))
async def test_settings_change_while_people_wait(centre: Centre) -> None:
    """Nobody loses the place, and what rings goes on."""
    lines = [centre.call(f"+4670{number}000000") for number in range(1, 4)]
    await asyncio.sleep(5)
    before = [centre.own.engine.token(centre.spot_of(line).caller) for line in lines]
    centre.occupy(1)
    await asyncio.sleep(0.2)
    [ringing] = centre.ringing("phones:2")
    for strategy in ("parallel", "sequential", "fair", "random", "skill", "longest_idle"):
        centre.configure(Queue(strategy=strategy, ring_s=30, wrap_up_s=5))
        await asyncio.sleep(0.5)
    assert centre.ringing("phones:2") == [ringing]
    assert [centre.own.engine.token(centre.spot_of(line).caller) for line in lines] == before


# -- callbacks ---------------------------------------------------------------------------------

@scene(BY_KEY, busy=(1,))
async def test_a_callback_keeps_the_place(centre: Centre) -> None:
    """The call ends; nobody who comes later is before it."""
    line = await order(centre)
    assert line.state is State.OVER
    assert centre.words(line)[-1].startswith("Thank you.")
    assert callbacks(centre) == 1
    later = centre.call(LATER)
    await asyncio.sleep(1)
    assert centre.spot_of(later).position() == 2


@scene(BY_KEY, busy=(1,), people={"callback:+46708888888": [ANSWERS], "phones:1": [ANSWERS]})
async def test_a_callback_to_another_number(centre: Centre) -> None:
    """It is keyed in, and confirmed."""
    line = centre.call()
    await asyncio.sleep(5)
    line.press("7")
    await asyncio.sleep(1)
    line.press("2")
    await asyncio.sleep(1)
    for key in "0708888888#":
        line.press(key)
    await asyncio.sleep(1)
    line.press("1")
    await asyncio.sleep(5)
    assert callbacks(centre) == 1
    await accept(centre)
    assert len(centre.dialled("callback:+46708888888")) == 1


@scene(BY_KEY, busy=(1,))
async def test_two_errors_lead_back_to_the_queue(centre: Centre) -> None:
    """To the same place."""
    line = centre.call()
    await asyncio.sleep(5)
    caller = centre.spot_of(line).caller
    line.press("7")
    await asyncio.sleep(1)
    line.press("2")
    for _ in range(2):
        await asyncio.sleep(3)
        for key in "12#":
            line.press(key)
    await asyncio.sleep(10)
    assert (callbacks(centre), line.state, centre.spot_of(line).caller) == (0, State.UP, caller)
    assert BACK in centre.words(line)


@scene(BY_KEY, busy=(1,))
async def test_one_callback_for_a_number_and_queue(centre: Centre) -> None:
    """The second time one is told so, and waits on."""
    await order(centre)
    line = await order(centre)
    assert callbacks(centre) == 1
    assert kept(centre.words(line), "A callback to this number")
    assert (line.state, centre.spot_of(line).left) == (State.UP, None)


async def accept(centre: Centre, key: str = "1") -> FakeLeg:
    """The agent becomes free, answers, and presses a key."""
    centre.occupy()
    await asyncio.sleep(4)
    agent = centre.dialled("phones:1")[-1]
    if key:
        agent.press(key)
    await asyncio.sleep(2)
    return agent


@scene(BY_KEY, busy=(1,), people={"phones:1": [ANSWERS], f"callback:{CUSTOMER}": [ANSWERS]})
async def test_an_agent_accepts_a_callback(centre: Centre) -> None:
    """They talk, and it is over."""
    await order(centre)
    agent = await accept(centre)
    [customer] = centre.dialled(f"callback:{CUSTOMER}")
    assert centre.talk(agent, customer)
    assert centre.state(1) == "talking"
    assert [one["x"] for one in centre.said(What.LEFT)] == [Leave.SERVED]
    customer.end()
    await asyncio.sleep(1)
    assert (agent.state, centre.state(1)) == (State.OVER, "free")


@pytest.mark.parametrize("key", ["2", "", "hang up"], ids=["declines", "is silent", "hangs up"])
def test_an_agent_does_not_want_a_callback(key: str) -> None:
    """It is no try and no miss; later it is asked again."""
    @scene(BY_KEY, busy=(1,), people={"phones:1": [ANSWERS]})
    async def play(centre: Centre) -> None:
        await order(centre)
        agent = await accept(centre, "" if key == "hang up" else key)
        if key == "hang up":
            agent.end()
        await asyncio.sleep(15)
        assert agent.state is State.OVER
        assert not centre.said(What.MISSED)
        assert not centre.said(What.RETRY)
        assert callbacks(centre) == 1
        await asyncio.sleep(60)
        assert len(centre.dialled("phones:1")) > 1

    play()


@pytest.mark.parametrize("policy", [Policy("refuse", 1.0, 486), Policy()],
                         ids=["busy", "no answer"])
def test_a_customer_who_is_not_reached_is_tried_again(policy: Policy) -> None:
    """After the gap, as often as the queue says."""
    @scene(BY_KEY, busy=(1,), people={"phones:1": [ANSWERS], f"callback:{CUSTOMER}": [policy]})
    async def play(centre: Centre) -> None:
        await order(centre)
        await accept(centre)
        await asyncio.sleep(40)
        first = centre.dialled(f"callback:{CUSTOMER}")
        assert len(first) == 1
        assert len(centre.said(What.RETRY)) == 1
        for _ in range(30):
            await asyncio.sleep(4)
            for leg in centre.dialled("phones:1"):
                leg.press("1")
        second = centre.dialled(f"callback:{CUSTOMER}")
        assert len(second) == 2
        assert second[1].rang_at - first[0].ended_at >= 60
        assert [one["x"] for one in centre.said(What.LEFT)] == [Leave.FAILED]

    play()


@scene(Queue(callback=QueueCallback(key="7", lifetime_s=300)), busy=(1,))
async def test_a_callback_has_a_lifetime(centre: Centre) -> None:
    """Then nobody is called any more."""
    await order(centre)
    await asyncio.sleep(310)
    centre.occupy()
    await asyncio.sleep(10)
    assert [one["x"] for one in centre.said(What.LEFT)] == [Leave.EXPIRED]
    assert not centre.dialled("phones:1")


@scene(Queue(callback=QueueCallback(key="7", schedule=9)), busy=(1,),
       people={"phones:1": [ANSWERS]})
async def test_nobody_is_called_back_outside_the_hours(centre: Centre) -> None:
    """Nor an agent rung for it."""
    await order(centre)
    centre.around.shut = {9}
    await asyncio.sleep(2)
    centre.occupy()
    await asyncio.sleep(60)
    assert not centre.dialled("phones:1")
    centre.around.shut = set()
    await asyncio.sleep(2)
    assert len(centre.dialled("phones:1")) == 1


FIRST_HIM: Final = Queue(callback=QueueCallback(key="7", customer_first=True, gap_s=60, tries=2))


@scene(FIRST_HIM, busy=(1,), people={"phones:1": [ANSWERS], f"callback:{CUSTOMER}": [ANSWERS]})
async def test_the_customer_first(centre: Centre) -> None:
    """Somebody has to press a key, then the agent is rung."""
    await order(centre)
    centre.occupy()
    await asyncio.sleep(4)
    [customer] = centre.dialled(f"callback:{CUSTOMER}")
    assert not centre.dialled("phones:1")
    customer.press("1")
    await asyncio.sleep(3)
    [agent] = centre.dialled("phones:1")
    assert centre.talk(customer, agent)
    assert [one["x"] for one in centre.said(What.LEFT)] == [Leave.SERVED]
    assert centre.state(1) == "talking"


@scene(FIRST_HIM, busy=(1,), people={f"callback:{CUSTOMER}": [ANSWERS]})
async def test_a_voicemail_presses_no_key(centre: Centre) -> None:
    """That is a failed try, and the agent is free."""
    await order(centre)
    centre.occupy()
    await asyncio.sleep(30)
    assert not centre.dialled("phones:1")
    assert len(centre.said(What.RETRY)) == 1
    assert centre.state(1) == "free"


@scene(FIRST_HIM, busy=(1,), people={f"callback:{CUSTOMER}": [ANSWERS]})
async def test_a_customer_who_came_and_an_agent_who_does_not(centre: Centre) -> None:
    """The customer is told, the agent has missed, and it is tried again."""
    await order(centre)
    centre.occupy()
    await asyncio.sleep(4)
    [customer] = centre.dialled(f"callback:{CUSTOMER}")
    customer.press("1")
    await asyncio.sleep(60)
    assert NOBODY in [what for _, what in centre.heard(
        customer, "p1")] and customer.state is State.OVER
    assert len(centre.said(What.MISSED)) >= 1
    assert callbacks(centre) == 1


@scene(FIRST_HIM, busy=(1,), people={"phones:1": [ANSWERS], f"callback:{CUSTOMER}": [ANSWERS]})
async def test_an_agent_who_pauses_while_the_customer_listens_is_not_rung(centre: Centre) -> None:
    """The customer is told that there is nobody, and is called again."""
    await order(centre)
    centre.occupy()
    await asyncio.sleep(4)
    [customer] = centre.dialled(f"callback:{CUSTOMER}")
    assert centre.own.act(1, "pause", reason="lunch") == (0, "")
    await asyncio.sleep(0.5)
    customer.press("1")
    await asyncio.sleep(5)
    assert not centre.dialled("phones:1")
    assert NOBODY in centre.words(customer)
    assert callbacks(centre) == 1


@scene(BY_KEY, agents=(1, 2), busy=(1, 2), people={"phones:1": [ANSWERS]})
async def test_no_more_callbacks_than_free_agents_and_none_before_an_older_caller(
        centre: Centre) -> None:
    """One agent, one call."""
    line = centre.call("+46701000000")
    await asyncio.sleep(1)
    for number in range(2, 5):
        await order(centre, f"+4670{number}000000")
    centre.occupy(2)
    await asyncio.sleep(3)
    assert centre.talk(line, centre.dialled("phones:1")[0])
    line.end()
    await asyncio.sleep(4)
    assert len(centre.dialled("phones:1")) == 2
    assert not centre.dialled("phones:2")
    assert len(centre.said(What.OFFER)) == 2


# -- agents by telephone -----------------------------------------------------------------------

@scene(agents=(), members=[member(1)])
async def test_an_agent_logs_in_by_telephone(centre: Centre) -> None:
    """By the menu, and pauses; the codes do the same."""
    line = centre.call(to=AGENTS, user=1)
    for key, state in (("1", "free"), ("3", "paused"), ("4", "free"), ("2", "offline")):
        await asyncio.sleep(4)
        line.press(key)
        await asyncio.sleep(1)
        assert centre.state(1) in (state, "offered")
    line.end()


@scene(agents=(1,), members=[member(2)], busy=(1,), people={"phones:2": [ANSWERS]})
async def test_an_agent_who_logs_in_by_telephone_is_not_rung_meanwhile(centre: Centre) -> None:
    """The line is in use until the agent hangs up."""
    caller = centre.call()
    await asyncio.sleep(2)
    line = centre.call(user=2, code="*41")
    centre.occupy(1, 2)
    await asyncio.sleep(5)
    assert centre.own.licences_used == 2
    assert not centre.dialled("phones:2")
    line.end()
    centre.occupy(1)
    await asyncio.sleep(3)
    assert centre.talk(caller, centre.dialled("phones:2")[0])
