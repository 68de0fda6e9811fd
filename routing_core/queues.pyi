"""The queue engine (docs/queues.md): who waits, who is offered to whom, who has to leave.

A pure state machine in Cython: every input carries the time (Unix milliseconds, never smaller than
the one before: a smaller one counts as that), randomness comes from the seed, nothing is read from
outside. Inputs are journaled, so the same inputs give the same state bit for bit; what follows from
an input is in take().

Ids: queue, agent: positive numbers below 2**31, of the configuration (a service, a user). caller,
attempt: numbers that the engine gives; one that is over is never given again and is refused with
False. A `need` is a mask made by need().
"""
from routing_core.queue_words import (
    AgentState,
    AgentView,
    By,
    CallerView,
    Cause,
    Closed,
    Leave,
    Login,
    QueueView,
    Skip,
    What,
    Why,
)

__all__ = [
    "FAIR_BUCKETS",
    "FAIR_BUCKET_MS",
    "MAX_NEEDS",
    "SETTINGS",
    "STRATEGIES",
    "AgentState",
    "AgentView",
    "By",
    "CallerView",
    "Cause",
    "Closed",
    "Engine",
    "Leave",
    "Login",
    "QueueView",
    "Skip",
    "What",
    "Why",
    "need",
]

#: Names of a queue's settings, all integers, in the order in which they are journaled. Those with
#: _ms are milliseconds; 0 switches off length_*, wait_*, estimate_*, timed_ms, attempts,
#: max_misses.
SETTINGS: tuple[str, ...]
#   strategy parallel ring_ms weight wrap_ms prolong_ms rest_ms max_misses
#   on_misses (0 log out, 1 pause) no_answer_ms rejected_ms busy_ms unreachable_ms
#   attempts timed_ms grace_ms leave_at_close
#   length_high length_low wait_high_ms wait_low_ms estimate_high_ms estimate_low_ms dwell_ms
#   tier1_ms tier2_ms tier3_ms max_waiting
#   callback_tries callback_gap_ms callback_life_ms min_samples hit_permille
#   pauses_present (bits of the pause reasons that count as being there)
#: strategy: these numbers
STRATEGIES: dict[str, int]   # longest_idle 1, fair 2, skill 3, random 4, sequential 5, parallel 6
#: Window of the fair strategy: this many buckets of that length.
FAIR_BUCKETS: int
FAIR_BUCKET_MS: int
MAX_NEEDS: int

def need(skills: dict[int, int] | list[tuple[int, int]]) -> int:
    """A mask of (skill index 0-11, level 1-5): what a caller asks for, or an agent has. An agent
    satisfies a need when all its bits are among the agent's; the skill strategy looks at the level
    of the need's first skill (the lowest index)."""

class Engine:
    """The queues and agents of one company."""

    def __init__(self, seed: int) -> None: ...

    # -- configuration; a change keeps callers, log-ins and states -----------------------------
    def set_queue(self, now_ms: int, queue: int, **settings: int) -> None:
        """Make or change; KeyError for a name that is not in SETTINGS; what is left out keeps its
        value, or has 0 (ring_ms 20000, parallel 1, dwell_ms 1000, max_waiting 1000, return and
        callback ones their defaults). ValueError when a low mark is above its high one."""
    def remove_queue(self, now_ms: int, queue: int) -> None:
        """Everybody in it leaves (REMOVED)."""
    def set_member(self, now_ms: int, queue: int, agent: int, tier: int = 0, position: int = 0,
                   skills: int = 0) -> None:
        """skills: a need() mask of what the agent has. Keeps the log-in."""
    def remove_member(self, now_ms: int, queue: int, agent: int) -> None: ...
    def set_licences(self, now_ms: int, licences: int) -> None:
        """How many agents may be logged in; -1: any number. Nobody is thrown out."""
    def set_pause_counts(self, now_ms: int, reasons: int) -> None:
        """Bits of the pause reasons that count as being there in every queue (no-agents rule)."""

    # -- agents ---------------------------------------------------------------------------------
    def log_in(self, now_ms: int, queue: int, agent: int, by: int = 1) -> Login: ...
    def log_out(self, now_ms: int, queue: int, agent: int, by: int = 1) -> bool: ...
    def pause(self, now_ms: int, agent: int, reason: int) -> bool:
        """From the end of the call that the agent is in; an offer is withdrawn (AGENT_LEFT).
        reason: 1-62."""
    def resume(self, now_ms: int, agent: int) -> bool: ...
    def prolong(self, now_ms: int, agent: int, by_ms: int) -> bool:
        """The wrap-up, as far as the queue's prolong_ms allows."""
    def end_wrap_up(self, now_ms: int, agent: int) -> bool: ...
    def set_present(self, now_ms: int, agent: int, present: bool) -> None: ...
    def set_reachable(self, now_ms: int, agent: int, reachable: bool) -> None: ...
    def set_line(self, now_ms: int, agent: int, busy: bool) -> None:
        """The agent's line is in use by something else than a call of the engine."""
    def heal(self, now_ms: int, agent: int) -> bool:
        """No evidence is left for OFFERED or TALKING: the agent is set free; said as HEALED."""

    # -- callers --------------------------------------------------------------------------------
    def set_open(self, now_ms: int, queue: int, closed: int) -> None: ...
    def set_callback_hours(self, now_ms: int, queue: int, open: bool) -> None: ...
    def enter(self, now_ms: int, queue: int, *, priority: int = 0, need: int = 0,
              relax: tuple[tuple[int, int], ...] = (), tag: int = 0,
              arrived_ms: int = 0, sequence: int = 0, force: bool = False,
              aside_ms: int = 0) -> int:
        """A caller comes: its number, or 0 with REFUSED in take(). arrived_ms and sequence: the
        place token of an earlier entry, which is kept; relax: up to 3 (after ms, need), from the
        entry into this queue; tag: 63 bits of the owner's, journaled; force: whatever the marks say
        (somebody who already had a place); aside_ms: has the place, but hears the welcome first:
        as after step_out() with that time to come back by."""
    def leave(self, now_ms: int, caller: int, why: int = 9) -> bool: ...
    def step_out(self, now_ms: int, caller: int, back_by_ms: int) -> bool:
        """The caller is in a menu: keeps the place, is not offered, leaves when not back then."""
    def step_in(self, now_ms: int, caller: int) -> bool: ...
    def to_callback(self, now_ms: int, caller: int, not_before_ms: int = 0, tag: int = 0) -> bool:
        """Hangs up and keeps the place, for the queue's callback_life_ms; not to be dialled before
        that time (a planned callback); tag: another one from now on, 0 keeps it."""
    def token(self, caller: int) -> tuple[int, int, int]:
        """(priority, arrived_ms, sequence); KeyError when over."""

    # -- attempts -------------------------------------------------------------------------------
    def answered(self, now_ms: int, attempt: int) -> bool:
        """True for the one that wins; the others of the round get CANCEL, and the caller is over
        (ANSWERED). For a callback too: the agent is TALKING, the callback is still there until
        callback_done()."""
    def missed(self, now_ms: int, attempt: int, cause: int) -> bool: ...
    def declined(self, now_ms: int, attempt: int) -> bool:
        """The agent does not want this callback now: no miss, no try; the agent rests as after a
        refusal."""
    def talk_ended(self, now_ms: int, agent: int) -> bool:
        """The agent's part of the call is over: wrap-up, rest, free."""
    def callback_done(self, now_ms: int, caller: int, reached: bool) -> bool:
        """What became of dialling the customer, after answered(), or before it when the customer is
        dialled first: True: over (SERVED); False: one try used, again after callback_gap_ms, or
        FAILED; the agent who was reserved is free (no miss)."""

    # -- time -----------------------------------------------------------------------------------
    def tick(self, now_ms: int) -> None:
        """What is due by now happens."""
    def next_due(self) -> int:
        """When tick() has something to do; 0: nothing is due."""

    # -- what follows ---------------------------------------------------------------------------
    def take(self) -> list[tuple[int, int, int, int, int, int, int, int]]:
        """What has followed since the last take(), in order."""

    # -- looking --------------------------------------------------------------------------------
    def position(self, caller: int) -> int: ...
    def estimate(self, now_ms: int, caller: int) -> tuple[int, int]:
        """(at least, at most) seconds from now until served, or (0, 0): nothing is to be said. What
        is said is measured: hit_permille. It does not go up unless staff has left. Journaled."""
    def view_caller(self, caller: int, now_ms: int) -> CallerView | None: ...
    def view_agent(self, agent: int) -> AgentView | None: ...
    def view_queue(self, queue: int, now_ms: int) -> QueueView | None: ...
    def callers(self, queue: int) -> list[int]:
        """In the order in which they would be served."""
    def everybody(self) -> list[int]:
        """Every caller, also those who are not in the line now."""
    def agents(self) -> list[int]: ...
    def queues(self) -> list[int]: ...
    def explain(self, now_ms: int, caller: int) -> list[tuple[int, Skip, tuple[int, int, int]]]:
        """Of every agent of the caller's queue: why not, and the key by which the strategy orders
        (the smallest first: tier, measure, agent)."""
    def fairness(self, queue: int) -> list[tuple[int, int, int, int]]:
        """(agent, offered, answered, talk ms in the window) of the queue's members."""

    # -- journal and replay ---------------------------------------------------------------------
    def take_journal(self) -> bytes:
        """The inputs since the last call, to be appended to the journal."""
    def replay(self, journal: bytes, until_ms: int = 0) -> int:
        """Apply inputs (up to that time, with until_ms); how many bytes of it were whole records
        and applied. ValueError for something that is no journal. take() is filled, too;
        take_journal() is not."""
    def dump(self) -> bytes:
        """The whole state: two engines in the same state have the same bytes."""
    @staticmethod
    def load(data: bytes) -> Engine:
        """From dump(); ValueError when it is torn or of another version."""
    @property
    def now_ms(self) -> int: ...
    def counts(self) -> dict[str, int]:
        """callers, attempts, agents, members, queues, timers: to look for leaks."""
