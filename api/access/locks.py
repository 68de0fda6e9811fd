"""Who fails too often waits: by the address of an account, known or not, and by the place.

After some failures a minute, then twice as long each time, at most a quarter of an hour: guessing
is of no use, and nobody is locked out for ever. Only this process remembers, and forgets the
oldest.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

MAX_REMEMBERED: Final = 20_000
FIRST_MS, LONGEST_MS = 60_000, 900_000
DAY_MS: Final = 86_400_000


class _Failures(NamedTuple):
    number: int
    last_ms: int


class Lock:
    """free: failures that cost nothing; forget_ms: after so long without one they are forgotten."""

    def __init__(self, free: int, forget_ms: int = DAY_MS) -> None:
        self.free, self.forget_ms = free, forget_ms
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait_ms(self, key: str, now_ms: int) -> int:
        """How long until the next attempt; 0: now."""
        number, last_ms = self._of(key, now_ms)
        if number < self.free:
            return 0
        return max(last_ms + min(FIRST_MS << min(number - self.free, 10), LONGEST_MS) - now_ms, 0)

    def failed(self, key: str, now_ms: int) -> None:
        """One more."""
        number = self._of(key, now_ms).number + 1
        self._failures[key] = _Failures(number, now_ms)
        self._failures.move_to_end(key)
        if len(self._failures) > MAX_REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        """They were mistakes."""
        self._failures.pop(key, None)

    def _of(self, key: str, now_ms: int) -> _Failures:
        found = self._failures.get(key)
        if found is None or now_ms - found.last_ms > self.forget_ms:
            return _Failures(0, 0)
        return found


class Budget:
    """At most so many in a time: budget.take(key, now_ms)."""

    def __init__(self, most: int, window_ms: int) -> None:
        self.most, self.window_ms = most, window_ms
        self._taken: OrderedDict[str, list[int]] = OrderedDict()

    def take(self, key: str, now_ms: int) -> bool:
        """Whether one more is allowed; it is counted when it is."""
        times = [at for at in self._taken.pop(key, []) if now_ms - at < self.window_ms]
        allowed = len(times) < self.most
        self._taken[key] = [*times, now_ms] if allowed else times
        if len(self._taken) > MAX_REMEMBERED:
            self._taken.popitem(last=False)
        return allowed
