"""Months of call-centre days, the first half of the seeds: queue_world drives, the oracle
judges."""

import pytest

from tests.queue_world import CALLS, COMPANIES, SEEDS, World


def permille(hits: list[bool]) -> int:
    """How many of them are true."""
    return sum(hits) * 1000 // len(hits)


@pytest.mark.parametrize("seed", SEEDS[::2])
def test_call_centres(seed: int) -> None:
    """No rule is broken, whatever happens, and nothing is left when everybody has left."""
    for company in range(COMPANIES):
        watched = World(seed * 1000 + company, CALLS).run()
        assert watched.entered and not watched.callers


@pytest.mark.parametrize("seed", range(1, 5))
def test_estimates_are_as_good_as_they_say(seed: int) -> None:
    """Hours without a change: the engine measures what we measure, and keeps its promise."""
    watched = World(seed, 5_000, calm=True, hit_permille=0).run()
    queue = watched.queues[1]
    view = watched.engine.view_queue(1, watched.now)
    assert len(queue.hits) > 1_000 and view is not None
    assert abs(view.hit_permille - permille(queue.hits[-64:])) <= 16
    watched = World(seed, 5_000, calm=True, hit_permille=600).run()
    assert permille(watched.queues[1].hits) >= 550
