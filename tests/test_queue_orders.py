"""The scripts of queues under events in random order, in virtual time.

VAXEL_EXAMPLES=20000 makes a long session of it. A plan that fails is printed whole, as small as
Hypothesis could make it, and can be given to shuffle() as it is.
"""

import os
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes import Policy
from tests.queue_stage import SETTINGS, Move, Plan, shuffle

ORDERS: Final = settings(
    max_examples=int(os.environ.get("VAXEL_EXAMPLES", "120")), deadline=None, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
NUMBER: Final = st.integers(0, 41)
POLICY: Final = st.builds(
    Policy, what=st.sampled_from(("answer", "", "refuse", "ring")),
    after_s=st.sampled_from((0.5, 0.0, 3.0, 9.0, 30.0)), code=st.sampled_from((486, 603, 480, 408)),
    user=st.just(0), decision=st.sampled_from(("", "busy", "away")))
MOVES: Final = (
    "call", "call", "call", "hang", "hang", "key", "key", "accept", "pick_up", "refuse", "act",
    "act", "line", "presence", "hours", "settings", "member", "delete", "command", "hold", "refer",
    "code", "menu", "wait")
#: Of those who want to be called back.
ORDERED: Final = (
    "call", "call", "order", "order", "order", "free", "free", "accept", "accept", "accept", "line",
    "act", "hours", "hang", "pick_up", "refuse", "withdraw", "member", "settings", "wait")
CALLED: Final = tuple(i for i, queue in enumerate(SETTINGS) if queue.callback)
BUSY: Final = (Move(0.0, "line", 0), Move(0.0, "line", 1), Move(1.2, "call"), Move(8.0, "order"),
               Move(0.3, "free"))


def plans(moves: tuple[str, ...], *, sound: bool, first: tuple[Move, ...] = (Move(0.0, "call"),),
          queues: tuple[int, ...] = tuple(range(len(SETTINGS)))) -> st.SearchStrategy[Plan]:
    """Of these moves, after the first ones. sound: media do as they should."""
    one = st.builds(Move, after_s=st.sampled_from((0.3, 0.0, 1.0, 3.0, 8.0, 0.02, 25.0, -1.0)),
                    what=st.sampled_from(moves), a=NUMBER, b=NUMBER)
    fails = st.lists(st.tuples(st.integers(0, 60), st.sampled_from(("refuse", "timeout", "gone"))),
                     max_size=4).map(tuple)
    return st.builds(
        Plan, queue=st.sampled_from(queues),
        agents=st.lists(POLICY, min_size=1, max_size=4),
        moves=st.lists(one, max_size=16).map(lambda more: [*first, *more]),
        customers=st.lists(POLICY, min_size=1, max_size=2),
        waits=st.lists(st.sampled_from((-1.0, 0.0, 0.02, 0.4)), min_size=1, max_size=3),
        media=st.just(()) if sound else fails,
        offers=st.just(("answer",)) if sound else st.lists(st.sampled_from(
            ("answer", "488", "slow", "end", "timeout")), min_size=1, max_size=3))


@ORDERS
@given(plans(MOVES, sound=True))
def test_every_order_of_events(plan: Plan) -> None:
    """Nobody is forgotten, rung for nobody, or in two places."""
    shuffle(plan)


@ORDERS
@given(plans((*MOVES, "lose", "lose", "vanish", "kill", "kill"), sound=False))
def test_every_order_of_events_while_things_fail(plan: Plan) -> None:
    """Media nodes, telephones and the process itself."""
    shuffle(plan)


@ORDERS
@given(plans(ORDERED, sound=True, first=BUSY, queues=CALLED))
def test_every_order_of_callbacks(plan: Plan) -> None:
    """Agents and customers, who come or not."""
    shuffle(plan)


@ORDERS
@given(plans((*ORDERED, "lose", "lose", "vanish", "kill", "kill"), sound=False, first=BUSY,
             queues=CALLED))
def test_every_order_of_callbacks_while_things_fail(plan: Plan) -> None:
    """And the journal has them."""
    shuffle(plan)


#: What goes wrong easily, made small.
DIRECTED: Final[dict[str, Plan]] = {
    "media lost while an agent rings": Plan(0, [Move(0.0, "call"), Move(1.0, "lose")]),
    "media lost in the welcome": Plan(1, [Move(0.0, "call"), Move(1.0, "lose")]),
    "killed while a callback is made": Plan(
        1, [*BUSY, Move(3.0, "kill"), Move(1.0, "free"), Move(1.0, "accept")]),
    "killed while a customer is called first": Plan(
        2, [*BUSY, Move(1.0, "kill"), Move(1.0, "free"), Move(1.0, "accept")]),
    "the queue is deleted while a customer is called": Plan(
        2, [*BUSY, Move(1.0, "delete"), Move(1.0, "accept")]),
    "withdrawn while a customer is called": Plan(
        1, [*BUSY, Move(1.0, "accept"), Move(0.0, "withdraw")], customers=[Policy()]),
    "a caller goes to the queue that it is in": Plan(
        3, [Move(0.0, "call"), Move(1.0, "key", 0, 8)], agents=[Policy()]),
    "a telephone vanishes": Plan(0, [Move(0.0, "call"), Move(2.0, "vanish", 1)]),
}


@pytest.mark.parametrize("name", DIRECTED)
def test_what_goes_wrong_easily(name: str) -> None:
    """It does not."""
    shuffle(DIRECTED[name])
