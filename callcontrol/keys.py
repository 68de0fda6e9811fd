"""One press of a key is one key, whichever way it comes: many telephones tell it as an event in the
sound (RFC 4733) and by INFO (RFC 6086), both."""

from collections import deque
from typing import Final, NamedTuple

#: The two tellings of a press lie no further apart: one may come at its beginning, one at its end.
APART_S: Final = 3.0
#: Presses that may still be told again; more in that time is nobody's hand.
MAX_OPEN: Final = 32


class _Press(NamedTuple):
    way: str
    digit: str
    at: float


class Presses:
    """Of one side of a call."""

    def __init__(self) -> None:
        self._open: deque[_Press] = deque(maxlen=MAX_OPEN)

    def new(self, way: str, digit: str, now: float) -> bool:
        """Whether what comes that way ("sound", "info") is a press that the other way has not told
        yet. now: seconds."""
        while self._open and now - self._open[0].at > APART_S:
            self._open.popleft()
        for press in self._open:
            if press.digit == digit and press.way != way:
                self._open.remove(press)
                return False
        self._open.append(_Press(way, digit, now))
        return True
