"""Every state machine of call control under events in random order, in virtual time.

VAXEL_EXAMPLES=20000 makes a long session of it. A plan that fails is printed whole, as small as
Hypothesis could make it, and can be given to Run(...).play() as it is.
"""

import os
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.machines import CODES, DECISIONS, DIALLED, KEYS, NAMES, REFUSALS, Event, Plan, Run
from tests.fakes import Policy

EXAMPLES: Final = int(os.environ.get("VAXEL_EXAMPLES", "300"))
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
OFFERS: Final = st.lists(st.sampled_from(
    ("answer", "488", "slow", "end", "answer_end", "491", "timeout")), min_size=1, max_size=3)
MEDIA: Final = st.lists(st.tuples(st.integers(0, 60), st.sampled_from(
    ("refuse", "timeout", "gone"))), max_size=4).map(tuple)
ROOMS: Final = st.lists(st.sampled_from(("ok", "refuse", "gone")), min_size=1, max_size=5)
WAITS: Final = st.lists(st.sampled_from((-1.0, 0.0, 0.02, 0.4)), min_size=1, max_size=3)

#: Events of every machine.
COMMON: Final = ("key", "hang", "hold", "wait", "command", "post", "refer", "confirm")
TALK: Final = (*COMMON, "code", "code", "code", "pick_up", "refuse", "early", "dial", "busy",
               "swap_refers", "arrive", "tone", "flood")


def plans(starts: tuple[str, ...], events: tuple[str, ...], *, first: tuple[Policy, ...] = (),
          sound: bool = True) -> st.SearchStrategy[Plan]:
    """Plans that begin like one of these. sound: media and the mixer do as they should."""
    one = st.builds(Event, after_s=GAPS, what=st.sampled_from(events), a=NUMBER, b=NUMBER)
    return st.builds(
        Plan, start=st.sampled_from(starts), events=st.lists(one, max_size=14),
        policies=st.lists(POLICY, max_size=5).map(lambda more: [*first, *more]),
        offers=st.just(("answer",)) if sound else OFFERS, media=st.just(()) if sound else MEDIA,
        rooms=st.just(("ok",)) if sound else ROOMS, waits=WAITS,
        numbers=st.sampled_from(((96,), (96, 101))),
        keeper_s=st.sampled_from((1.0, 7.0, 60.0)),
        ending=st.sampled_from(("hang", "walk", "stop")))


def of_service(number: int) -> tuple[str, ...]:
    """A caller from outside, and one of the company."""
    return f"service|{number}", f"service|{number}|1", f"service|{number}|2"


MACHINES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[Policy, ...]]]] = {
    "message": (of_service(21) + of_service(28), TALK, ()),
    "menu": (of_service(22), (*COMMON, "key", "key", "flood", "delete", "pick_up", "tone"), ()),
    "referral": (("away|1", "away|2|3", "away|4", "away|99"), (*COMMON, "key", "key", "pick_up"),
                 ()),
    "deposit": (of_service(23) + of_service(29) + of_service(30),
                (*COMMON, "key", "flood", "stop"), ()),
    "retrieval": (("code|*98|1", "code|*98|2", "code|*98|4", *of_service(24)),
                  (*COMMON, "key", "key", "key", "flood", "pick_up"), ()),
    "callback": (of_service(25), (*COMMON, "key", "key", "flood"), ()),
    "codes": ((*of_service(26), "code|*90|1", *(f"code|{text}|1" for text in DIALLED)),
              (*COMMON, "key", "key", "flood", "busy"), ()),
    "record_prompt": ((*of_service(27), "code|*92*31|1"), (*COMMON, "key", "key", "flood"), ()),
    "busy": (("functions||0", "functions||3"),
             (*COMMON, "key", "key", "busy", "pick_up", "refuse", "dial"),
             (Policy("refuse", 0.5, 486, 2, "busy"),)),
    "dialling": (("functions||0", "functions||3", "functions|late|1", "originate|phones:1|1",
                  "originate|number:+46701234567", "bad"),
                 (*COMMON, "pick_up", "refuse", "early", "busy", "dial", "key"), ()),
    "conversation": (("functions||1", "functions||0", "functions|record|1"), TALK, (ANSWERS,)),
    "consult": (("functions||1",), (*TALK, "originate"), (ANSWERS, ANSWERS, ANSWERS)),
    "two_calls": (("functions||1", "functions||2"),
                  ("arrive", "dial", "dial", "refer", "refer", "code", "hang", "hold", "wait",
                   "pick_up", "swap_refers", "command"),
                  (ANSWERS, Policy("answer", 0.5, user=3), ANSWERS)),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_every_order_of_events(machine: str) -> None:
    """Nothing fails, nothing stays, and who talks hears each other."""
    starts, events, first = MACHINES[machine]

    @SETTINGS
    @given(plans(starts, events, first=first))
    def run(plan: Plan) -> None:
        Run(plan).play()

    run()


@pytest.mark.parametrize("machine", MACHINES)
def test_every_order_of_events_while_media_fail(machine: str) -> None:
    """Whatever fails meanwhile, nothing is left and no script fails."""
    starts, events, first = MACHINES[machine]

    @SETTINGS
    @given(plans(starts, (*events, "lose", "stop"), first=first, sound=False))
    def run(plan: Plan) -> None:
        Run(plan).play()

    run()


__all__: list[Any] = ["CODES", "KEYS", "NAMES"]
