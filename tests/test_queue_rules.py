"""The rules of docs/queues.md, one by one, each on a small floor; the oracle watches besides."""

import pytest

from routing_core.queues import (
    FAIR_BUCKET_MS,
    FAIR_BUCKETS,
    STRATEGIES,
    AgentState,
    By,
    Cause,
    Closed,
    Leave,
    Skip,
    What,
    Why,
    need,
)
from tests.queue_floor import MINUTE, A, B, C, S, T, attempt_of, floor, rung, said, talk, two_queues
from tests.queue_watched import Watched

# -- strategies --------------------------------------------------------------------------------

def test_longest_idle() -> None:
    """From the end of the last call, or the log-in."""
    watched = floor(A, B)
    watched.enter(T + 10 * S, 1)
    assert rung(watched) == [A]
    talk(watched, T + 11 * S, A, 5 * S)
    watched.enter(T + 20 * S, 1)
    assert rung(watched) == [B]
    talk(watched, T + 21 * S, B, 5 * S)
    watched.enter(T + 30 * S, 1)
    assert rung(watched) == [A]


def test_fair_share() -> None:
    """Fewest talked seconds in the window; when they have left it, longest idle."""
    watched = floor(A, B, strategy=STRATEGIES["fair"])
    watched.enter(T + 10 * S, 1)
    talk(watched, T + 11 * S, A, 60 * S)
    watched.enter(T + 80 * S, 1)
    assert rung(watched) == [B]
    talk(watched, T + 81 * S, B, 10 * S)
    watched.enter(T + 100 * S, 1)
    assert rung(watched) == [B], "ten seconds against sixty, though idle for a shorter time"
    talk(watched, T + 101 * S, B, 10 * S)
    assert [line[0::3] for line in watched.engine.fairness(1)] == [(A, 60 * S), (B, 20 * S)]
    later = T + (FAIR_BUCKETS + 1) * FAIR_BUCKET_MS
    watched.tick(later)
    watched.enter(later, 1)
    assert rung(watched) == [A]


def test_highest_skill_first() -> None:
    """Then longest idle; an absent or lower skill never satisfies."""
    watched = floor(A, B, C, strategy=STRATEGIES["skill"],
                    skills={A: need({2: 2}), B: need({2: 5}), C: need({3: 5})})
    watched.enter(T + 10 * S, 1, need=need({2: 2}))
    watched.enter(T + 10 * S, 1, need=need({2: 2}))
    assert rung(watched) == [A]
    assert watched.agents[B].state == AgentState.OFFERED
    watched.enter(T + 11 * S, 1, need=need({2: 1}))
    watched.enter(T + 11 * S, 1, need=need({3: 5, 2: 1}))
    assert rung(watched) == []
    watched.enter(T + 11 * S, 1)
    assert rung(watched) == [C]


def test_random_comes_from_the_seed() -> None:
    """All get calls, and the same seed gives the same ones."""
    def order(seed: int) -> list[int]:
        watched = floor(A, B, C, seed=seed, strategy=STRATEGIES["random"])
        found = []
        for i in range(40):
            now = T + (10 + i) * MINUTE
            watched.enter(now, 1)
            found += rung(watched)
            talk(watched, now + S, found[-1], 10 * S)
        return found
    assert order(1) == order(1) != order(2)
    assert set(order(1)) == {A, B, C}


def test_sequential() -> None:
    """By position, whoever is idle for longer."""
    watched = floor(A, B, strategy=STRATEGIES["sequential"])
    for i in range(3):
        watched.enter(T + (i + 1) * MINUTE, 1)
        assert rung(watched) == [A]
        talk(watched, T + (i + 1) * MINUTE + S, A, 10 * S)


def test_parallel_offers() -> None:
    """To the first two by longest idle; the first to answer wins, the other one misses nothing."""
    watched = floor(A, B, C, strategy=STRATEGIES["parallel"], parallel=2)
    caller = watched.enter(T + 10 * S, 1)
    assert rung(watched) == [A, B]
    lost = attempt_of(watched, A)
    assert watched.answered(T + 12 * S, attempt_of(watched, B))
    assert said(watched, What.CANCEL) == [(caller, A, Why.ANSWERED_ELSEWHERE, 0)]
    assert not watched.answered(T + 12 * S, lost)
    assert not watched.missed(T + 12 * S, lost, Cause.NO_ANSWER)
    assert watched.engine.view_agent(A).queues == ((1, True, 0),)
    assert watched.agents[A].state == AgentState.FREE


def test_agents_freed_together_serve_as_the_strategy_says() -> None:
    """Losers of a round: the one who is idle for longer gets the next caller."""
    watched = floor(A, B, C, strategy=STRATEGIES["parallel"], parallel=3)
    watched.enter(T + 10 * S, 1)
    watched.set_queue(T + 10 * S, 1, parallel=1)
    watched.enter(T + 11 * S, 1)
    assert rung(watched) == []
    watched.answered(T + 12 * S, attempt_of(watched, A))
    assert rung(watched) == [B]


# -- tiers, weights, skills --------------------------------------------------------------------

def test_a_tier_opens_after_its_wait() -> None:
    """And not before, though its agent is free."""
    watched = floor(A, B, tiers={B: 1}, tier1_ms=10 * S)
    watched.pause(T + 5 * S, A, 1)
    caller = watched.enter(T + 6 * S, 1)
    assert rung(watched) == []
    assert (B, Skip.TIER) in [line[:2] for line in watched.engine.explain(T + 6 * S, caller)]
    assert watched.engine.next_due() == T + 16 * S
    watched.tick(T + 16 * S)
    assert rung(watched) == [B]


def test_a_tier_opens_at_once_when_nobody_of_the_one_above_is_logged_in() -> None:
    """At the entry, and at the log-out."""
    watched = floor(A, B, tiers={B: 1}, tier1_ms=MINUTE)
    watched.enter(T + 6 * S, 1)
    watched.enter(T + 7 * S, 1)
    assert rung(watched) == []
    watched.log_out(T + 8 * S, 1, A)
    assert rung(watched) == [B]
    assert watched.callers[said(watched, What.OFFER)[0][0]].arrived == T + 6 * S
    talk(watched, T + 9 * S, B, S)
    assert rung(watched) == [B]


def test_a_tier_opens_at_its_time_whatever_else_is_due_then() -> None:
    """The end of a dwell in the same millisecond."""
    watched = floor(A, B, tiers={B: 1}, tier1_ms=10 * S, dwell_ms=10 * S, length_high=1,
                    length_low=1)
    watched.pause(T + 5 * S, A, 1)
    watched.enter(T + 6 * S, 1)
    assert said(watched, What.RUSH)
    watched.tick(T + 16 * S)
    assert rung(watched) == [B]


@pytest.mark.parametrize(("weight", "priority", "first"), [(0, 0, 1), (2, 0, 2), (2, 3, 1)],
                         ids=["oldest", "weight", "priority"])
def test_order_over_several_queues(weight: int, priority: int, first: int) -> None:
    """The highest priority and weight, then the oldest arrival."""
    watched = two_queues(weight=weight)
    callers = {1: watched.enter(T + 3 * S, 1, priority=priority), 2: watched.enter(T + 4 * S, 2)}
    watched.talk_ended(T + 5 * S, A)
    assert said(watched, What.OFFER)[0][0] == callers[first]


def test_a_weight_does_not_block() -> None:
    """A head whom the agent may not take is no reason to leave others waiting."""
    watched = two_queues(weight=100)
    caller = watched.enter(T + 3 * S, 1)
    watched.enter(T + 3 * S, 2, need=need({4: 5}))
    watched.talk_ended(T + 5 * S, A)
    assert said(watched, What.OFFER)[0][0] == caller


def test_needs_are_relaxed_in_steps() -> None:
    """From the entry into the queue."""
    watched = floor(A, B, skills={A: need({0: 1}), B: need({0: 3})})
    watched.pause(T + 2 * S, B, 1)
    caller = watched.enter(T + 5 * S, 1, need=need({0: 5}),
                           relax=((10 * S, need({0: 3})), (20 * S, 0)))
    watched.tick(T + 15 * S)
    assert rung(watched) == []
    assert watched.engine.view_caller(caller, T + 15 * S).need == need({0: 3})
    watched.tick(T + 25 * S)
    assert rung(watched) == [A]


# -- misses, wrap-up, rest -----------------------------------------------------------------------

@pytest.mark.parametrize(("cause", "delay"), [
    (Cause.NO_ANSWER, 11 * S), (Cause.REJECTED, 12 * S), (Cause.BUSY, 13 * S),
    (Cause.UNREACHABLE, 14 * S)], ids=lambda value: getattr(value, "name", "delay").lower())
def test_each_cause_has_its_delay(cause: Cause, delay: int) -> None:
    """Before the next offer."""
    watched = floor(A, no_answer_ms=11 * S, rejected_ms=12 * S, busy_ms=13 * S,
                    unreachable_ms=14 * S)
    caller = watched.enter(T + S, 1)
    assert watched.missed(T + 5 * S, attempt_of(watched, A), cause)
    assert said(watched, What.MISSED) == [(caller, A, cause, 1)]
    assert watched.engine.view_agent(A).state == AgentState.REST
    assert watched.engine.next_due() == T + 5 * S + delay
    watched.tick(T + 5 * S + delay)
    assert said(watched, What.READY) and rung(watched) == [A]


def miss(watched: Watched, at: int, agent: int = A) -> None:
    """One more."""
    assert watched.missed(at, attempt_of(watched, agent), Cause.NO_ANSWER)


def test_logged_out_after_misses_in_a_row() -> None:
    """And told so; a log-in begins anew; no offer in between."""
    watched = floor(A, max_misses=2, grace_ms=MINUTE)
    watched.enter(T + S, 1)
    miss(watched, T + 2 * S)
    miss(watched, T + 3 * S)
    assert said(watched, What.LOGGED_OUT) == [(0, A, By.MISSES, 0)]
    assert rung(watched) == []
    watched.log_in(T + 5 * S, 1, A)
    miss(watched, T + 6 * S)
    assert said(watched, What.MISSED)[0][3] == 1


def test_paused_after_misses_by_setting() -> None:
    """Reason 0."""
    watched = floor(A, max_misses=1, on_misses=1, grace_ms=MINUTE)
    watched.enter(T + S, 1)
    miss(watched, T + 2 * S)
    assert said(watched, What.PAUSED) == [(0, A, 0, 0)]
    assert watched.engine.view_agent(A).state == AgentState.PAUSED
    watched.resume(T + 3 * S, A)
    assert rung(watched) == [A]


@pytest.mark.parametrize("how", ["answer", "pause"])
def test_the_row_of_misses_ends(how: str) -> None:
    """At an answer, or at a pause by hand."""
    watched = floor(A, max_misses=2)
    watched.enter(T + S, 1)
    miss(watched, T + 2 * S)
    if how == "answer":
        talk(watched, T + 3 * S, A, S)
        watched.enter(T + 5 * S, 1)
    else:
        watched.set_queue(T + 2 * S, 1, grace_ms=MINUTE)
        watched.pause(T + 3 * S, A, 1)
        watched.resume(T + 4 * S, A)
    miss(watched, T + 6 * S)
    assert said(watched, What.MISSED)[0][3] == 1
    assert not said(watched, What.LOGGED_OUT)


def test_a_caller_who_hangs_up_is_no_miss() -> None:
    """The offer is withdrawn."""
    watched = floor(A, max_misses=1)
    caller = watched.enter(T + S, 1)
    watched.leave(T + 2 * S, caller)
    assert said(watched, What.CANCEL) == [(caller, A, Why.CALLER_LEFT, 0)]
    assert said(watched, What.LEFT) == [(caller, 0, Leave.ABANDONED, S)]
    assert watched.engine.view_agent(A).queues == ((1, True, 0),)


def test_wrap_up_is_of_the_queue_of_the_call() -> None:
    """On an agent shared by two queues."""
    watched = two_queues(wrap_ms=30 * S)
    watched.enter(T + 3 * S, 2)
    watched.talk_ended(T + 5 * S, A)
    assert not said(watched, What.WRAP_UP) and rung(watched) == [A]
    talk(watched, T + 6 * S, A, 10 * S)
    assert said(watched, What.WRAP_UP) == [(0, A, T + 46 * S, 0)]
    watched.tick(T + 46 * S)
    assert said(watched, What.READY)


def test_wrap_up_is_prolonged_and_ended_by_hand() -> None:
    """As far as the queue allows."""
    watched = floor(A, wrap_ms=10 * S, prolong_ms=15 * S)
    watched.enter(T + S, 1)
    talk(watched, T + 2 * S, A, S)
    assert watched.prolong(T + 4 * S, A, 10 * S)
    assert said(watched, What.WRAP_UP) == [(0, A, T + 23 * S, 0)]
    assert watched.prolong(T + 5 * S, A, 10 * S)
    assert said(watched, What.WRAP_UP) == [(0, A, T + 28 * S, 0)]
    assert not watched.prolong(T + 6 * S, A, 10 * S)
    assert watched.end_wrap_up(T + 7 * S, A)
    assert said(watched, What.READY)
    assert not watched.end_wrap_up(T + 8 * S, A)


def test_rest_is_the_gap_between_calls() -> None:
    """Wrap-up is a part of it."""
    watched = floor(A, wrap_ms=10 * S, rest_ms=25 * S)
    watched.enter(T + S, 1)
    talk(watched, T + 2 * S, A, S)
    watched.tick(T + 13 * S)
    assert watched.engine.view_agent(A).state == AgentState.REST
    watched.tick(T + 28 * S)
    assert said(watched, What.READY)


def test_no_wrap_up_without_a_conversation() -> None:
    """Missed, healed, or a callback's customer who did not answer."""
    watched = floor(A, wrap_ms=10 * S)
    caller = watched.enter(T + S, 1)
    watched.to_callback(T + 2 * S, caller)
    talk(watched, T + 3 * S, A)
    watched.callback_done(T + 9 * S, caller, False)
    watched.talk_ended(T + 9 * S, A)
    assert not said(watched, What.WRAP_UP) and said(watched, What.READY)
    watched.enter(T + 10 * S, 1)
    talk(watched, T + 11 * S, A)
    assert watched.heal(T + 12 * S, A)
    assert said(watched, What.HEALED) and said(watched, What.READY)


def test_a_pause_waits_for_the_end_of_the_call() -> None:
    """And withdraws an offer."""
    watched = floor(A, B, wrap_ms=5 * S)
    caller = watched.enter(T + 2 * S, 1)
    watched.pause(T + 3 * S, A, 4)
    assert said(watched, What.CANCEL) == [(caller, A, Why.AGENT_LEFT, 0)] and rung(watched) == [B]
    talk(watched, T + 4 * S, B)
    watched.pause(T + 5 * S, B, 4)
    assert watched.engine.view_agent(B).state == AgentState.TALKING
    watched.talk_ended(T + 6 * S, B)
    watched.tick(T + MINUTE)
    assert watched.engine.view_agent(B).state == AgentState.PAUSED


def test_a_forgotten_offer_heals_itself() -> None:
    """Nobody says what became of it: the caller goes on to somebody else, and it is no miss."""
    watched = floor(A, B, ring_ms=20 * S)
    watched.enter(T + 2 * S, 1)
    watched.tick(watched.engine.next_due())
    assert said(watched, What.HEALED) == [(0, A, AgentState.OFFERED, 0)]
    assert rung(watched)
    assert watched.engine.view_agent(A).queues == ((1, True, 0),)


def test_whoever_is_healed_takes_the_first_in_line() -> None:
    """Which is the caller of the offer that is gone."""
    watched = floor(A)
    first = watched.enter(T + 2 * S, 1)
    watched.enter(T + 3 * S, 1)
    watched.heal(T + 4 * S, A)
    assert said(watched, What.OFFER)[0][0] == first


# -- rush, overflow --------------------------------------------------------------------------------

def test_the_latch() -> None:
    """Closes at the high mark, opens below the low one, and not before its dwell."""
    watched = floor(A, length_high=3, length_low=2, dwell_ms=10 * S)
    waiting = [watched.enter(T + i * S, 1) for i in (1, 2)]
    assert not said(watched, What.RUSH)
    waiting.append(watched.enter(T + 3 * S, 1))
    assert said(watched, What.RUSH) == [(0, 0, 1, 1)]
    assert watched.enter(T + 4 * S, 1) == 0
    assert said(watched, What.REFUSED) == [(0, 0, Leave.RUSH_LENGTH, 0)]
    watched.leave(T + 5 * S, waiting[2])
    watched.leave(T + 6 * S, waiting[1])
    assert not said(watched, What.RUSH), "below the low mark, but the dwell is not over"
    watched.tick(T + 13 * S)
    assert said(watched, What.RUSH) == [(0, 0, 0, 1)]
    assert watched.enter(T + 14 * S, 1)


def test_the_latch_stays_closed_between_its_marks() -> None:
    """Whatever the dwell."""
    watched = floor(A, length_high=3, length_low=2)
    waiting = [watched.enter(T + i * S, 1) for i in (1, 2, 3)]
    watched.tick(T + 20 * S)
    watched.leave(T + 20 * S, waiting[2])
    assert watched.enter(T + 20 * S, 1) == 0
    watched.leave(T + 20 * S, waiting[1])
    assert said(watched, What.RUSH) == [(0, 0, 0, 1)]


def test_rush_by_the_longest_wait() -> None:
    """At its millisecond; opens when that caller has been answered."""
    watched = floor(A, wait_high_ms=30 * S, wait_low_ms=10 * S)
    watched.enter(T + S, 1)
    assert watched.engine.next_due() == T + 31 * S or watched.engine.next_due() < T + 31 * S
    watched.tick(T + 31 * S)
    assert said(watched, What.RUSH) == [(0, 0, 1, 2)]
    watched.enter(T + 32 * S, 1)
    assert said(watched, What.REFUSED)[0][2] == Leave.RUSH_WAIT
    talk(watched, T + 33 * S, A)
    assert said(watched, What.RUSH) == [(0, 0, 0, 2)]


ENTRY = ["night", "closed", "no_agents", "rush_length"]


@pytest.mark.parametrize("first", range(4), ids=ENTRY)
def test_order_of_refusals(first: int) -> None:
    """Night, by hand, no agents, rush: the first that holds is the reason, the others hold too."""
    watched = floor(A, length_high=1, length_low=1, grace_ms=MINUTE)
    watched.enter(T + S, 1)
    if first < 3:
        watched.log_out(T + 2 * S, 1, A)
    if first < 2:
        watched.set_open(T + 3 * S, 1, Closed.NIGHT if first == 0 else Closed.BY_HAND)
    assert watched.enter(T + 4 * S, 1) == 0
    assert said(watched, What.REFUSED)[0][2] == Leave[ENTRY[first].upper()]
    assert watched.enter(T + 5 * S, 1, force=True)


def test_a_full_queue() -> None:
    """Is full even for those who had a place."""
    watched = floor(A, max_waiting=1)
    watched.enter(T + S, 1)
    assert watched.enter(T + 2 * S, 1, force=True) == 0
    assert said(watched, What.REFUSED)[0][2] == Leave.FULL


@pytest.mark.parametrize(("closed", "why"), [(Closed.NIGHT, Leave.NIGHT),
                                             (Closed.BY_HAND, Leave.CLOSED)], ids=["night", "hand"])
def test_closing(closed: Closed, why: Leave) -> None:
    """By setting those who wait leave, but for an offer in progress; else they are served."""
    watched = floor(A, leave_at_close=1)
    ringing, waiting = watched.enter(T + S, 1), watched.enter(T + 2 * S, 1)
    watched.set_open(T + 3 * S, 1, closed)
    assert said(watched, What.LEFT) == [(waiting, 0, why, S)]
    watched.missed(T + 4 * S, attempt_of(watched, A), Cause.NO_ANSWER)
    assert said(watched, What.LEFT) == [(ringing, 0, why, 3 * S)]
    watched.set_open(T + 5 * S, 1, Closed.OPEN)
    watched.set_queue(T + 5 * S, 1, leave_at_close=0)
    watched.enter(T + 6 * S, 1)
    watched.enter(T + 7 * S, 1)
    watched.set_open(T + 8 * S, 1, closed)
    assert not said(watched, What.LEFT)
    talk(watched, T + 9 * S, A, S)
    assert rung(watched) == [A]


def test_no_agents_has_a_grace() -> None:
    """Whoever comes back in time saves them."""
    watched = floor(A, grace_ms=10 * S)
    caller = watched.enter(T + S, 1)
    watched.log_out(T + 2 * S, 1, A)
    watched.tick(T + 11 * S)
    watched.log_in(T + 11 * S, 1, A)
    assert rung(watched) == [A]
    watched.set_present(T + 20 * S, A, False)
    assert said(watched, What.CANCEL)
    watched.tick(T + 30 * S)
    assert said(watched, What.LEFT) == [(caller, 0, Leave.NO_AGENTS, 29 * S)]


def test_whoever_is_forced_in_where_nobody_is_does_not_wait_for_ever() -> None:
    """At most for the grace."""
    watched = floor(A, grace_ms=10 * S)
    watched.log_out(T + S, 1, A)
    caller = watched.enter(T + MINUTE, 1, force=True)
    watched.tick(T + MINUTE + 10 * S)
    assert caller not in watched.callers


def test_which_pauses_count_as_being_there() -> None:
    """A lunch does, a meeting does not."""
    watched = floor(A)
    watched.set_pause_counts(T, 1 << 3)
    watched.pause(T + S, A, 3)
    assert watched.enter(T + 2 * S, 1)
    watched.pause(T + 3 * S, A, 4)
    assert said(watched, What.LEFT)[0][2] == Leave.NO_AGENTS
    assert watched.enter(T + 4 * S, 1) == 0


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "missed"])
def test_an_offer_wins_against_the_timed_overflow(answered: bool) -> None:
    """And when it fails, the caller leaves."""
    watched = floor(A, timed_ms=10 * S)
    caller, other = watched.enter(T + S, 1), watched.enter(T + 2 * S, 1)
    watched.tick(T + 11 * S)
    assert not said(watched, What.LEFT)
    watched.tick(T + 12 * S)
    assert said(watched, What.LEFT) == [(other, 0, Leave.TIMED, 10 * S)]
    if answered:
        talk(watched, T + 12 * S, A)
    else:
        watched.missed(T + 12 * S, attempt_of(watched, A), Cause.BUSY)
        assert said(watched, What.LEFT) == [(caller, 0, Leave.TIMED, 11 * S)]


def test_attempts_unanswered() -> None:
    """Rounds, of whatever cause."""
    watched = floor(A, attempts=2)
    caller = watched.enter(T + S, 1)
    miss(watched, T + 2 * S)
    assert rung(watched) == [A]
    miss(watched, T + 3 * S)
    assert said(watched, What.LEFT) == [(caller, 0, Leave.NO_ANSWER, 2 * S)]
