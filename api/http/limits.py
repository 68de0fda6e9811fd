"""How many requests a caller may make: a bucket each, that fills with time."""

from collections import OrderedDict

#: Callers that are remembered; one that is forgotten starts with a full bucket.
MAX_BUCKETS = 20_000


class Bucket:
    """rate: a second; burst: at once. Time is passed in, in seconds."""

    __slots__ = ("burst", "left", "policy", "rate", "seen")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate, self.burst = rate, burst
        self.left, self.seen = burst, now
        #: RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers)
        self.policy = f'"default";q={int(burst)};w={max(int(burst / rate), 1)}'

    def take(self, now: float) -> float:
        """0 when one more may pass, else the seconds until it may."""
        self.left = min(self.burst, self.left + (now - self.seen) * self.rate)
        self.seen = now
        if self.left < 1:
            return (1 - self.left) / self.rate
        self.left -= 1
        return 0

    @property
    def limit(self) -> str:
        """RateLimit, as it is now."""
        wait_s = (self.burst - self.left) / self.rate
        return f'"default";r={int(self.left)};t={int(wait_s) + 1}'


class Limits:
    """The buckets of all callers."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def bucket(self, caller: str, now: float, rate: float | None = None) -> Bucket:
        """A caller's; rate: its own."""
        found = self._buckets.get(caller)
        if found is None or (rate is not None and found.rate != rate):
            own = rate or self.rate
            found = Bucket(own, max(self.burst * own / self.rate, 1), now)
            self._buckets[caller] = found
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        return found
