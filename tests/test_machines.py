"""Every state machine of call control under events in random order, in virtual time.

VAXEL_EXAMPLES=20000 makes a long session of it. A plan that fails is printed whole, as small as
Hypothesis could make it, and can be given to Run(...).play() as it is.
"""

import os
from typing import Final, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes import Policy
from tests.machines import DECISIONS, DIALLED, REFUSALS, Event, Plan, Run

EXAMPLES: Final = int(os.environ.get("VAXEL_EXAMPLES", "150"))
SETTINGS: Final = settings(
    max_examples=EXAMPLES, deadline=None, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

GAPS: Final = st.sampled_from((0.0, 0.3, 2.5, -1.0, 0.02, 1.0, 7.0, 31.0, 130.0))
NUMBER: Final = st.integers(0, 43)
POLICY: Final = st.builds(
    Policy, what=st.sampled_from(("answer", "", "refuse", "early", "ring")),
    after_s=st.sampled_from((0.5, 0.0, 3.0, 30.0)), code=st.sampled_from(REFUSALS),
    user=st.sampled_from((2, 0, 1, 3, 4)), decision=st.sampled_from(DECISIONS))
ANSWERS: Final = Policy("answer", 0.5, user=2)
THIRD_ANSWERS: Final = Policy("answer", 0.5, user=3)
OFFERS: Final = st.lists(st.sampled_from(
    ("answer", "488", "slow", "end", "answer_end", "491", "timeout")), min_size=1, max_size=3)
MEDIA: Final = st.lists(st.tuples(st.integers(0, 60), st.sampled_from(
    ("refuse", "timeout", "gone"))), max_size=4).map(tuple)
ROOMS: Final = st.lists(st.sampled_from(("ok", "refuse", "gone")), min_size=1, max_size=5)
WAITS: Final = st.lists(st.sampled_from((-1.0, 0.0, 0.02, 0.4)), min_size=1, max_size=3)

#: Events of every machine.
COMMON: Final = ("key", "hang", "hold", "wait", "command", "post", "refer")
TALK: Final = (*COMMON, "code", "code", "code", "pick_up", "refuse", "early", "dial", "busy",
               "swap_refers", "arrive", "tone", "flood", "wait_code")
THIRD: Final = (*TALK, "consult", "consult", "consult", "consult", "wait")


class Machine(NamedTuple):
    """How its plans begin and what happens in them. first: what the first telephones do that are
    called; prelude: what happens before anything else."""

    starts: tuple[str, ...]
    events: tuple[str, ...]
    first: tuple[Policy, ...] = ()
    prelude: tuple[Event, ...] = ()


def plans(machine: Machine, *, sound: bool = True) -> st.SearchStrategy[Plan]:
    """Plans of that machine. sound: media and the mixer do as they should."""
    events = machine.events if sound else (*machine.events, "lose", "stop")
    one = st.builds(Event, after_s=GAPS, what=st.sampled_from(events), a=NUMBER, b=NUMBER)
    return st.builds(
        Plan, start=st.sampled_from(machine.starts),
        events=st.lists(one, max_size=14).map(lambda more: [*machine.prelude, *more]),
        policies=st.lists(POLICY, max_size=5).map(lambda more: [*machine.first, *more]),
        offers=st.just(("answer",)) if sound else OFFERS, media=st.just(()) if sound else MEDIA,
        rooms=st.just(("ok",)) if sound else ROOMS, waits=WAITS,
        numbers=st.sampled_from(((96,), (96, 101))),
        keeper_s=st.sampled_from((1.0, 7.0, 60.0)),
        ending=st.sampled_from(("hang", "walk", "stop")))


def of_service(number: int) -> tuple[str, ...]:
    """A caller from outside, and one of the company."""
    return f"service|{number}", f"service|{number}|1", f"service|{number}|2"


COMPANY: Final = ("functions||1", "functions||2")
MACHINES: Final[dict[str, Machine]] = {
    "message": Machine(of_service(21) + of_service(28), TALK),
    "menu": Machine(of_service(22) + of_service(31),
                    (*COMMON, "key", "key", "flood", "delete", "pick_up", "tone")),
    "referral": Machine(("away|1", "away|2|3", "away|4", "away|99"),
                        (*COMMON, "key", "key", "pick_up")),
    "deposit": Machine(of_service(23) + of_service(29) + of_service(30),
                       (*COMMON, "key", "flood", "stop")),
    "retrieval": Machine(("code|*98|1", "code|*98|2", "code|*98|4", *of_service(24)),
                         (*COMMON, "key", "key", "key", "flood", "pick_up")),
    "callback": Machine(of_service(25), (*COMMON, "key", "key", "flood")),
    "codes": Machine((*of_service(26), "code|*90|1", *(f"code|{text}|1" for text in DIALLED)),
                     (*COMMON, "key", "key", "flood", "busy")),
    "record_prompt": Machine((*of_service(27), "code|*92*31|1"), (*COMMON, "key", "key", "flood")),
    "busy": Machine(("functions||0", "functions||3"),
                    (*COMMON, "key", "key", "busy", "pick_up", "refuse", "dial"),
                    (Policy("refuse", 0.5, 486, 2, "busy"),), (Event(0.3, "busy", 1),)),
    "dialling": Machine(("functions||0", "functions||3", "functions|late|1", "originate|phones:1|1",
                         "originate|number:+46701234567", "bad", "unsigned"),
                        (*COMMON, "pick_up", "refuse", "early", "busy", "dial", "key", "originate",
                         "ask")),
    "conversation": Machine((*COMPANY, "functions||0", "functions|record|1"), TALK, (ANSWERS,)),
    "consult": Machine(COMPANY, THIRD, (ANSWERS, THIRD_ANSWERS), (Event(1.0, "code", 0, 1),)),
    "three": Machine(COMPANY, THIRD, (ANSWERS, THIRD_ANSWERS, ANSWERS),
                     (Event(1.0, "code", 0, 1), Event(3.0, "code", 0, 4))),
    "parked": Machine(COMPANY, (*TALK, "dial", "dial", "wait", "wait"), (ANSWERS,),
                      (Event(1.0, "code", 0, 0),)),
    "camped": Machine(COMPANY, (*TALK, "busy", "busy", "wait", "refuse"), (ANSWERS,),
                      (Event(1.0, "busy", 3), Event(1.0, "code", 0, 7))),
    "two_calls": Machine(COMPANY, (
        "arrive", "dial", "dial", "announce", "announce", "refer", "code", "hang", "hold", "wait",
        "pick_up", "swap_refers", "command", "wait_code", "originate", "ask"),
        (ANSWERS, THIRD_ANSWERS, ANSWERS),
        (Event(1.0, "arrive", 1), Event(1.0, "wait"))),
}


def run_all(name: str, *, sound: bool) -> None:
    """So many plans of a machine; what has failed once is tried first the next time."""
    def play(plan: Plan) -> None:
        Run(plan).play()

    play.__name__ = f"play_{name}_{sound}"  # by it Hypothesis knows which failures are whose
    SETTINGS(given(plans(MACHINES[name], sound=sound))(play))()


@pytest.mark.parametrize("name", MACHINES)
def test_every_order_of_events(name: str) -> None:
    """Nothing fails, nothing stays, and who talks hears each other."""
    run_all(name, sound=True)


@pytest.mark.parametrize("name", MACHINES)
def test_every_order_of_events_while_media_fail(name: str) -> None:
    """Whatever fails meanwhile, nothing is left and no script fails."""
    run_all(name, sound=False)


#: What was wrong once, by hand or found by the machines above and made small.
ONCE: Final[dict[str, Plan]] = {
    "parks and hangs up while the place is said": Plan(
        "functions||1", [Event(1.0, "code", 0, 0), Event(1.0, "hang")], [ANSWERS], ending="walk"),
    "two telephones number their codecs differently": Plan(
        "functions||2", [Event(1.0, "dial", 0, 3)], [ANSWERS], numbers=(96, 101)),
    "parked, and taken by a telephone with other numbers": Plan(
        "functions||1", [Event(1.0, "code", 0, 0), Event(7.0, "dial", 2)], [ANSWERS],
        numbers=(96, 101)),
    "refused with other words, then answered": Plan(
        "functions||0", [], [Policy("refuse", 0.5, 302, 2, "again"), ANSWERS]),
    "no description until the ACK": Plan("functions|late|1", [], [ANSWERS]),
    "the first hangs up while the second is called": Plan(
        "functions||2", [Event(1.0, "code", 0, 1), Event(-1.0, "hang", 1), Event(1.0, "consult")],
        [ANSWERS, THIRD_ANSWERS]),
    "media lost while three are in the call, and one does not answer": Plan(
        "functions||1", [Event(1.0, "code", 0, 1), Event(3.0, "lose")], [ANSWERS, THIRD_ANSWERS],
        offers=("answer", "491", "488")),
    "media lost while one consults": Plan(
        "functions||1", [Event(1.0, "code", 0, 1), Event(3.0, "lose")], [ANSWERS, THIRD_ANSWERS]),
    "media lost in a conference": Plan(
        "functions||1", [Event(1.0, "code", 0, 1), Event(3.0, "code", 0, 4), Event(3.0, "lose")],
        [ANSWERS, THIRD_ANSWERS]),
    "media lost while something is said": Plan(
        "functions||1", [Event(1.0, "code", 0, 9), Event(0.5, "lose")], [ANSWERS]),
    "media lost while it rings": Plan(
        "functions||1", [Event(1.0, "lose")], [Policy("answer", 3.0, user=2)] * 2),
    "a slow telephone is taken over by another": Plan(
        "functions||2", [Event(1.0, "lose"), Event(7.0, "dial", 1, 3)], [ANSWERS],
        offers=("slow", "answer", "slow"), numbers=(96, 101)),
    "keys of somebody who has left": Plan(
        "functions||2", [Event(1.0, "code", 0, 1), Event(1.0, "hang", 23),
                         Event(-1.0, "tone", 12, 41)], [ANSWERS, THIRD_ANSWERS]),
    "hangs up while another call is to take it": Plan(
        "functions||1", [Event(1.0, "hold"), Event(0.02, "dial", 0, 3), Event(0.02, "hang", 2)],
        [ANSWERS], waits=(0.4,)),
    "a re-INVITE between two calls": Plan(
        "functions||2", [Event(1.0, "arrive"), Event(1.0, "announce", 2), Event(0.0, "hold", 1)],
        [ANSWERS, ANSWERS]),
    "resumes while something is said": Plan(
        "functions||1", [Event(1.0, "hold"), Event(1.0, "wait_code", 0, 3),
                         Event(1.0, "hold", 0, 1)], [ANSWERS]),
    "the process ends while a party is between two calls": Plan(
        "functions||1", [Event(1.0, "dial", 0, 3)], [ANSWERS], ending="stop"),
    "the process ends while a transfer does": Plan(
        "functions||1", [Event(1.0, "arrive", 1), Event(1.0, "wait"), Event(0.0, "announce"),
                         Event(0.0, "arrive")], [ANSWERS, THIRD_ANSWERS, ANSWERS], ending="stop"),
    "the process ends while a call does": Plan(
        "functions|record|1", [Event(1.0, "hang"), Event(0.02, "stop")], [ANSWERS], waits=(0.4,)),
    "a busy person becomes free as the caller hangs up": Plan(
        "functions||1", [Event(1.0, "busy", 3), Event(1.0, "code", 0, 7), Event(9.0, "hang", 0),
                         Event(0.0, "busy", 3)], [ANSWERS]),
    "hangs up while keys are waited for": Plan("service|25", [Event(2.5, "hang")]),
}


@pytest.mark.parametrize("name", ONCE)
def test_what_was_wrong_once(name: str) -> None:
    """It is not any more."""
    Run(ONCE[name]).play()


def test_a_pause_of_the_recording_survives_the_media_node() -> None:
    """What is said then reaches no disk."""
    run = Run(Plan("functions|record|1", [
        Event(1.0, "wait_code", 0, 4), Event(5.0, "lose"), Event(5.0, "wait")], [ANSWERS]))
    run.play()
    assert [sound.recording for sound in run.stage.sounds] == ["paused", ""]
    assert [len(sound.captured) for sound in run.stage.sounds] == [1, 0]


def test_a_callback_waits_for_an_hour_at_most() -> None:
    """Then it is forgotten; until then both are called as soon as both are free."""
    asks = [Event(0.3, "busy", 1), Event(5.0, "key", 0, 1)]
    busy = (Policy("refuse", 0.5, 486, 2, "busy"),)
    run = Run(Plan("functions||3", [*asks, Event(100.0, "wait"), Event(0.0, "busy", 1)],
                   [*busy, Policy("answer", 0.5, user=3), ANSWERS]))
    run.play()
    assert [leg.target for leg in run.stage.legs[2:]] == ["phones:3", "user:2"]
    run = Run(Plan("functions||3", [*asks, Event(3700.0, "busy", 1)], busy))
    run.play()
    assert len(run.stage.legs) == 2
