"""The service levels of a queue: the one place that says what they are (docs/statistics.md)."""

from collections.abc import Mapping
from typing import Final, NamedTuple

#: Who is let in nowhere since the queue is closed: no service was offered.
CLOSED: Final = frozenset({"night", "closed"})
#: Whoever was moved counts in the queue to which that was.
ELSEWHERE: Final = frozenset({"moved"})

FORMULAS: Final = {
    "service_level": "answered_within / answered",
    "service_level_offered": "answered_within / (answered + abandoned - abandoned_within + left +"
                             " refused), without those of left who were moved and those of refused"
                             " who came while the queue was closed (night, closed)",
}


class ServiceLevels(NamedTuple):
    """From 0 to 1; None: of nobody."""

    answered: float | None
    offered: float | None


def service_levels(answered: int, answered_within: int, abandoned_late: int,
                   left: Mapping[str, int], refused: Mapping[str, int]) -> ServiceLevels:
    """Of the answered, and of all to whom service was offered: who hung up within T is not among
    those, who was sent on or turned away is, and was not served.

    abandoned_late: who hung up after T; left, refused: callers by reason.
    """
    offered = answered + abandoned_late + _without(left, ELSEWHERE) + _without(refused, CLOSED)
    return ServiceLevels(_share(answered_within, answered), _share(answered_within, offered))


def _without(counts: Mapping[str, int], reasons: frozenset[str]) -> int:
    return sum(many for reason, many in counts.items() if reason not in reasons)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
