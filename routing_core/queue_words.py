"""The queue engine's language: what it says, and its reasons (values: queue_codes.pxd).

Names are API: they are the texts of events, in lower case.
"""

from enum import IntEnum
from typing import NamedTuple


class What(IntEnum):
    """What follows from inputs: (what, now_ms, queue, caller, agent, attempt, x, y)."""

    ENTERED = 1       # caller is in the queue. x: 1 live, 0 callback; y: position
    REFUSED = 2       # at entry. x: a Leave, y: 0
    OFFER = 3         # ring the agent for the caller. x: ring time ms; y: round (from 1)
    CANCEL = 4        # stop ringing the agent. x: a Why
    ANSWERED = 5      # the attempt won: caller and agent talk. x: waited ms; y: round
    MISSED = 6        # x: a Cause, y: misses in a row
    LEFT = 7          # caller has left (not by ANSWERED). x: a Leave, y: waited ms. For the
                      # overflow reasons the engine itself says so: take the caller elsewhere
    LOGGED_IN = 8     # x: a By
    LOGGED_OUT = 9    # x: a By
    PAUSED = 10       # queue 0. x: reason number (0: misses)
    RESUMED = 11      # queue 0
    TALK_ENDED = 12   # x: talked ms
    WRAP_UP = 13      # x: until (Unix ms)
    READY = 14        # eligible again wherever logged in. queue 0
    RUSH = 15         # x: 1 closed, 0 opened; y: which mark, 1 length, 2 wait, 3 estimate
    OPEN = 16         # x: a Closed
    HEALED = 17       # state without evidence repaired. x: the AgentState before
    PLACE = 18        # the first in line, or a caller's way back: y: position
    CALLBACK = 19     # the caller has become a callback. x: its lifetime's end, y: planned for (ms)
    RETRY = 20        # a callback failed and is tried again. x: not before (Unix ms), y: tries


class Leave(IntEnum):
    """Why somebody left, or was not let in."""

    SERVED = 0
    NIGHT = 1
    CLOSED = 2
    NO_AGENTS = 3
    RUSH_LENGTH = 4
    RUSH_WAIT = 5
    RUSH_ESTIMATE = 6
    TIMED = 7
    NO_ANSWER = 8
    ABANDONED = 9       # hung up
    KEY = 10            # chose to go elsewhere and not to come back
    EXPIRED = 11        # a callback's lifetime is over
    FAILED = 12         # a callback's tries are used up
    CANCELLED = 13      # a callback that was withdrawn
    LOST = 14           # cut off by a fault of ours
    REMOVED = 15        # the queue was deleted
    FULL = 16           # max_waiting
    MOVED = 17          # to another queue, with the place
    AWAY_TOO_LONG = 18  # stepped out and did not come back


class Cause(IntEnum):
    """Why an agent did not come."""

    NO_ANSWER = 1
    REJECTED = 2
    BUSY = 3
    UNREACHABLE = 4


class Why(IntEnum):
    """Why an offer is withdrawn; none of them is a miss."""

    ANSWERED_ELSEWHERE = 1
    CALLER_LEFT = 2
    AGENT_LEFT = 3
    REMOVED = 4


class Closed(IntEnum):
    """Whether a queue takes callers."""

    OPEN = 0
    NIGHT = 1
    BY_HAND = 2


class By(IntEnum):
    """Who logs an agent in or out."""

    SELF = 1
    SUPERVISOR = 2
    PRESENCE = 3
    MISSES = 4
    REMOVED = 5


class AgentState(IntEnum):
    """What an agent does."""

    OFFLINE = 0
    FREE = 1
    OFFERED = 2
    TALKING = 3
    WRAP_UP = 4
    REST = 5          # also the delay after a miss
    PAUSED = 6


class Login(IntEnum):
    """How a log-in went."""

    OK = 0
    NO_LICENCE = 1
    NOT_A_MEMBER = 2


class Skip(IntEnum):
    """Why an agent is not offered a caller."""

    ELIGIBLE = 0
    LOGGED_OUT = 1
    AWAY = 2            # presence
    PAUSED = 3
    UNREACHABLE = 4
    LINE_BUSY = 5
    OFFERED = 6
    TALKING = 7
    WRAP_UP = 8
    REST = 9
    SKILL = 10
    TIER = 11           # its tier is not open for this caller yet
    CALLER = 12         # the caller is not waiting to be offered (being offered, stepped out, ...)


class AgentView(NamedTuple):
    """An agent, as it is."""

    agent: int
    state: AgentState
    since_ms: int           # in this state
    until_ms: int           # end of wrap-up or rest, 0
    reason: int             # of the pause
    queue: int              # of the call or wrap-up
    caller: int
    present: bool
    reachable: bool
    line_busy: bool
    idle_since_ms: int      # end of the last call, or log-in
    queues: tuple[tuple[int, bool, int], ...]  # (queue, logged in, misses in a row)


class CallerView(NamedTuple):
    """A caller, as it is."""

    caller: int
    queue: int
    state: int              # 1 waiting, 2 being offered, 3 stepped out, 4 callback not due yet
    live: bool              # on the line; else a callback
    position: int           # 1 + those who would be served before; 0 when stepped out
    priority: int
    arrived_ms: int
    sequence: int
    rounds: int
    tries: int
    need: int               # as relaxed by now
    tag: int


class QueueView(NamedTuple):
    """A queue, as it is."""

    queue: int
    closed: Closed
    rush: int               # 0 open, else the mark that closed it
    waiting: int            # live callers, offered ones included
    callbacks: int
    longest_ms: int         # the longest wait of a live caller
    logged_in: int
    free: int               # eligible
    staffed: bool           # somebody is logged in, and there by presence
    handled_ms: int         # mean handling time, newest weighted, 0 = no sample
    samples: int
    hit_permille: int       # of the estimates said, of the last ones; -1 with none
