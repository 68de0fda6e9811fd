"""What this process counts of itself: plain numbers where it happens, read at a scrape.

request_done() and commit() are called for everything that is done: they cost less than a
microsecond, and allocate nothing once a route is known.
"""

from bisect import bisect_left
from typing import Final

#: Upper bounds in seconds; what is above the last is in the list's last place.
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128)


class Histogram:
    """How many values were at most each bound, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """One more value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


#: {(route, status): how many}
requests: Final[dict[tuple[str, int], int]] = {}
#: {route: how long}
latencies: Final[dict[str, Histogram]] = {}
commit_sizes: Final = Histogram(SIZES)
commit_seconds: Final = Histogram(SECONDS)
#: See store_busy() and stream().
counts: Final[dict[str, int]] = {"store_busy": 0, "event_streams": 0}


def request_done(route: str, status: int, seconds: float) -> None:
    """A request was answered."""
    key = route, status
    try:
        requests[key] += 1
        latency = latencies[route]
    except KeyError:
        requests[key] = requests.get(key, 0) or 1
        latency = latencies.setdefault(route, Histogram(SECONDS))
    latency.counts[bisect_left(SECONDS, seconds)] += 1
    latency.sum += seconds


def commit(batch_size: int, seconds: float) -> None:
    """Changes were committed and synced together."""
    commit_sizes.add(batch_size)
    commit_seconds.add(seconds)


def store_busy() -> None:
    """The store was locked by another process for too long."""
    counts["store_busy"] += 1


def stream(opened: int) -> None:
    """An event stream was opened (1) or closed (-1)."""
    counts["event_streams"] += opened
