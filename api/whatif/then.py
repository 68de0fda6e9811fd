"""The live state of then: what a recorded decision saw, and what is known of what it did not look
at."""

from functools import lru_cache
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

import msgspec

from routing_core import Decision, Kernel, Live

#: What can be seen of the live state (routing_core/world.pxd).
PRESENCE, LINE, LOGIN, TRUNK = 1, 2, 3, 4
RINGING, IN_CALL = 1, 2
_FOR_EVER: Final = (1 << 32) - 1
#: A decision that asks for more each time it is told more is taken as it is after so many.
_LOOKS: Final = 8

Seen = tuple[tuple[int, int, int], ...]


class Facts(msgspec.Struct, array_like=True, frozen=True):
    """What one decision was asked, as a call record keeps it."""

    source_kind: int
    source: int
    called: str
    calling: str
    now: int
    seed: int
    wanted: str | None = None
    trail: str | None = None
    cause: int = 0
    observed: str | None = None
    owned: bool = False


@lru_cache(maxsize=1 << 16)
def seen_of(observed: str) -> Seen:
    """(what, id, value) of the observations in a record; ValueError."""
    data, at, found = bytes.fromhex(observed), 0, []
    while at < len(data):
        what, values = data[at], []
        at += 1
        for _ in range(2):
            value = shift = 0
            while at < len(data):
                value |= (data[at] & 127) << shift
                shift += 7
                at += 1
                if data[at - 1] < 128:
                    break
            values.append(value & (1 << 64) - 1)
        found.append((what, values[0], values[1]))
    return tuple(found)


class Decided(NamedTuple):
    """A decision; assumed: how much of the live state it saw was not recorded."""

    decision: Decision
    assumed: int
    same: bool  # it saw exactly what was recorded


class Then:
    """The live state while records are gone through in the order of time."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self._values: dict[tuple[int, int], int] = {}
        self._held: dict[int, tuple[int, int]] = {}  # slot and nonce by user
        self._talks: dict[int, list[tuple[int, int, str]]] = {}
        self._ends: list[tuple[int, int]] = []
        self._nonce = 0
        for member in range(live.members):
            live.set_logged_in(member, True)

    # -- what is known ------------------------------------------------------------------------

    def set(self, what: int, id_: int, value: int) -> None:
        """It is so from now on, until something else is known."""
        live = self.live
        if self._values.get((what, id_)) == value:
            return
        self._values[what, id_] = value
        if what == PRESENCE and id_ < live.users:
            live.set_presence(id_, value & 0xFFFFFF, value >> 24 & _FOR_EVER)
        elif what == LOGIN and id_ < live.members:
            live.set_logged_in(id_, bool(value))
        elif what == TRUNK and id_ < live.trunks:
            live.set_trunk_down(id_, 0 if value else 1 << 40)

    def talks(self, user: int, began_ms: int, ended_ms: int, uid: str) -> None:
        """By the call records the user's line was in use, for that call."""
        self._talks.setdefault(user, []).append((began_ms, ended_ms, uid))
        heappush(self._ends, (ended_ms, user))

    def _in_use(self, user: int, at_ms: int, uid: str) -> bool:
        return any(began <= at_ms < ended and one != uid
                   for began, ended, one in self._talks.get(user, ()))

    def forget(self, at_ms: int) -> None:
        """What was over by then is not asked about any more."""
        while self._ends and self._ends[0][0] <= at_ms:
            _, user = heappop(self._ends)
            left = [talk for talk in self._talks.get(user, ()) if talk[1] > at_ms]
            if left:
                self._talks[user] = left
            else:
                self._talks.pop(user, None)

    # -- deciding -----------------------------------------------------------------------------

    def decide(self, kernel: Kernel, facts: Facts, seen: Seen, trail: bytes | None, at_ms: int,
               uid: str, trace: list[Any] | None = None) -> Decided:
        """As the kernel decides with what was seen then; what was not seen is as it was last known
        to be, a line as the call records have it."""
        lines = {id_: value for what, id_, value in seen if what == LINE}
        for what, id_, value in seen:
            if what != LINE:
                self.set(what, id_, value)
        try:
            for _ in range(_LOOKS):
                self._hold(lines, facts.now)
                if trace is not None:
                    trace.clear()
                decision = kernel.decide(
                    facts.source_kind, facts.source, facts.called, facts.calling, facts.now,
                    facts.seed, facts.wanted, trail, facts.cause, trace, facts.owned)
                looked = kernel.observed()
                text = looked.hex() if looked is not None else None
                if text is not None and text == facts.observed:
                    return Decided(decision, 0, True)
                known = {(what, id_) for what, id_, _ in seen}
                more = {id_: IN_CALL for what, id_, _ in (seen_of(text) if text else ())
                        if what == LINE and id_ not in lines and self._in_use(id_, at_ms, uid)}
                if not more:
                    break
                lines |= more
            asked = {(what, id_) for what, id_, _ in seen_of(text)} if text else set()
            return Decided(decision, len(asked - known), False)
        finally:
            self._release(facts.now)

    def _hold(self, lines: dict[int, int], now: int) -> None:
        for user, value in lines.items():
            if value and user not in self._held and 0 < user < self.live.users:
                self._nonce += 1
                nonce = self._nonce << 24 | 1
                slot = self.live.claim(nonce, now * 1000, _FOR_EVER, 1,
                                       user if value == IN_CALL else 0)
                if slot < 0:
                    return
                if value == RINGING:
                    self.live.ring(slot, nonce, [user], now * 1000, _FOR_EVER)
                self._held[user] = slot, nonce

    def _release(self, now: int) -> None:
        for slot, nonce in self._held.values():
            self.live.end(slot, nonce, 200, 0, now * 1000)
            self.live.release(slot, nonce)
        self._held.clear()


def trail_of(facts: Facts) -> bytes | None:
    """The trail that the decision was given; ValueError."""
    return bytes.fromhex(facts.trail) if facts.trail else None
