"""Months of call-centre days, the other half of the seeds: queue_world drives, the oracle
judges."""

import pytest

from tests.queue_world import CALLS, COMPANIES, SEEDS, World


@pytest.mark.parametrize("seed", SEEDS[1::2])
def test_call_centres(seed: int) -> None:
    """No rule is broken, whatever happens, and nothing is left when everybody has left."""
    for company in range(COMPANIES):
        watched = World(seed * 1000 + company, CALLS).run()
        assert watched.entered and not watched.callers


@pytest.mark.parametrize("seed", range(5, 9))
def test_estimates_fall_silent(seed: int) -> None:
    """More is asked for than anybody can promise: next to nothing is said."""
    spoken = World(seed, 5_000, calm=True, hit_permille=0).run().queues[1].hits
    silent = World(seed, 5_000, calm=True, hit_permille=1000).run().queues[1].hits
    assert len(silent) < len(spoken) / 4
