"""Calls that are forwarded to somebody outside who sends them back (P3, N7): such a call would go
round until every line is taken.

A carrier that says who has sent a call on (Diversion, History-Info) is believed at once; of one
that says nothing, the same call is let out a few times within seconds, and then no more.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

#: Calls of the same caller, sent on by the same number to the same one, of a worker in that time.
MAX_ROUNDS: Final = 5
#: Callers who withhold their number are many, and look like one.
MAX_NAMELESS: Final = 40
ROUNDS_S: Final = 10.0
MAX_KNOWN: Final = 4096


class Rounds:
    """One in each worker."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], deque[float]] = {}

    def goes_round(self, forwarders: Iterable[str], earlier: Iterable[str], caller: str, to: str,
                   now: float) -> bool:
        """Whether a call that these numbers send on to `to` has been with them before. earlier: who
        had sent it on before it came; caller: "" = withheld; now: seconds."""
        numbers = [one for one in forwarders if one]
        if not numbers:
            return False
        if set(numbers) & set(earlier):
            return True
        key = numbers[0], caller, to
        most = MAX_ROUNDS if caller else MAX_NAMELESS
        times = self._known.pop(key, None) or deque(maxlen=most)
        self._known[key] = times  # the one used last stands last
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        if len(times) == most and now - times[0] < ROUNDS_S:
            return True
        times.append(now)
        return False
