"""The queue rules of docs/queues.md in plain Python, written from that page and not the engine: the
book that the oracle keeps of a company's queues, and questions to it.
"""

from collections import Counter
from typing import Final

from routing_core.queues import (
    FAIR_BUCKET_MS,
    FAIR_BUCKETS,
    SETTINGS,
    STRATEGIES,
    AgentState,
    Closed,
    Leave,
    need,
)

WAITING, OFFERED, OUT, NOT_DUE, DIALLED = 1, 2, 3, 4, 5
OFFLINE, FREE, RINGING, TALKING, WRAP_UP, REST, PAUSED = (int(state) for state in AgentState)
LONGEST_IDLE, FAIR, SKILL, RANDOM, SEQUENTIAL, PARALLEL = (STRATEGIES[name] for name in (
    "longest_idle", "fair", "skill", "random", "sequential", "parallel"))
#: Reasons that somebody outside gives.
BY_INPUT: Final = frozenset({Leave.ABANDONED, Leave.KEY, Leave.CANCELLED, Leave.LOST, Leave.MOVED})
TIER_MS: Final = ("", "tier1_ms", "tier2_ms", "tier3_ms")
DELAYS: Final = ("", "no_answer_ms", "rejected_ms", "busy_ms", "unreachable_ms")
LEVELS: Final = {(skill, level): need([(skill, level)])
                 for skill in range(12) for level in range(1, 6)}


class Broken(AssertionError):
    """A rule that does not hold."""


def level_of(skills: int, skill: int) -> int:
    """How well somebody with these skills has that one, 0: not."""
    for level in (5, 4, 3, 2, 1):
        mask = LEVELS[skill, level]
        if skills & mask == mask:
            return level
    return 0


def first_skill(asked: int) -> int:
    """The lowest skill in a need, -1: none."""
    return next((skill for skill in range(12) if asked & LEVELS[skill, 5]), -1)


class Member:
    """An agent in a queue."""

    __slots__ = ("agent", "answered", "id", "logged_in", "misses", "offered", "position", "queue",
                 "skills", "tier")

    def __init__(self, queue: "Queue", agent: "Agent") -> None:
        self.queue, self.agent, self.id = queue, agent, agent.id
        self.tier = self.position = self.skills = self.misses = self.offered = self.answered = 0
        self.logged_in = False


class Agent:
    """A person."""

    __slots__ = (
        "attempt",
        "available",
        "busy",
        "caller",
        "conversation",
        "id",
        "idle_since",
        "members",
        "n_logged",
        "on",
        "paused",
        "present",
        "prolonged",
        "queue",
        "reachable",
        "rest_until",
        "since",
        "state",
        "talk",
        "until",
    )

    def __init__(self, number: int) -> None:
        self.id = number
        self.members: dict[int, Member] = {}
        self.state = FREE
        self.present = self.reachable = True
        self.busy = self.available = self.conversation = False
        self.n_logged = self.since = self.until = self.rest_until = 0
        self.idle_since = self.prolonged = 0
        self.on: Queue | None = None
        self.queue = self.caller = self.attempt = 0
        self.paused = -1        # the reason, besides the state
        self.talk: dict[int, int] = {}


class Caller:
    """Somebody in a queue, on the line or as a callback."""

    __slots__ = ("arrived", "asked", "attempts", "back_by", "entered", "expires", "id", "key",
                 "live", "not_before", "priority", "queue", "relax", "round_input", "rounds",
                 "said", "sequence", "state", "tag", "tries",
                 "withdrawn")

    def __init__(self, number: int, queue: "Queue", now: int) -> None:
        self.id, self.queue, self.entered = number, queue, now
        self.state, self.live = WAITING, True
        self.attempts: set[int] = set()
        self.relax: tuple[tuple[int, int], ...] = ()
        self.said: tuple[int, int, int, int] | None = None
        self.priority = self.arrived = self.sequence = self.asked = self.tag = 0
        self.rounds = self.tries = self.back_by = self.expires = self.not_before = 0
        self.round_input = self.withdrawn = 0
        self.key: tuple[int, int, int, int] = (0, 0, 0, number)

    def need_at(self, now: int) -> int:
        """What it asks for by now."""
        asked = self.asked
        for after, relaxed in self.relax:
            if now - self.entered >= after:
                asked = relaxed
        return asked


class Queue:
    """A queue; `line` holds those who wait to be offered, `free` who can be offered somebody."""

    __slots__ = ("callbacks", "callers", "closed", "free", "hits", "hours", "id", "line", "live",
                 "logged", "members", "rush", "rush_since", "set", "staff_left", "staffed",
                 "unstaffed")

    def __init__(self, number: int, now: int) -> None:
        self.id = number
        self.set = dict.fromkeys(SETTINGS, 0)
        self.members: dict[int, Member] = {}
        self.callers: dict[int, Caller] = {}
        self.free: dict[int, Member] = {}
        self.line: list[tuple[int, int, int, int]] = []
        self.logged = [0, 0, 0, 0]
        self.closed = self.rush = self.live = self.callbacks = self.staff_left = 0
        self.rush_since, self.unstaffed = -1, now
        self.hits: list[bool] = []      # of the estimates said, in the order of the answers
        self.staffed, self.hours = False, True


class Book:
    """Who is where, as far as inputs and outputs tell."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.queues: dict[int, Queue] = {}
        self.agents: dict[int, Agent] = {}
        self.callers: dict[int, Caller] = {}
        self.attempts: dict[int, tuple[int, int]] = {}      # attempt: (agent, caller)
        self.gone: Counter[int] = Counter()
        self.now = self.inputs = self.entered = 0
        self.licences, self.pause_counts = -1, 0
        self.doing: tuple[str, int] = ("", 0)
        self.outs: list[tuple[int, int, int, int, int, int, int, int]] = []

    def broken(self, rule: str, *more: object) -> Broken:
        """What to raise."""
        return Broken(f"seed {self.seed}, {self.doing} at {self.now}: {rule} "
                      + " ".join(map(str, more)) + f"\n{self.outs}")

    def tier_open(self, queue: Queue, caller: Caller, tier: int, early: int = 0) -> bool:
        """They open one after the other: at its time, or when nobody of the one above is there."""
        waited = self.now - early - caller.entered
        return all(not queue.logged[above] or waited >= queue.set[TIER_MS[above + 1]]
                   for above in range(tier))

    def may_take(self, member: Member, caller: Caller, early: int = 0) -> bool:
        """Whether the member, if free, may have the waiting caller, and that `early` ms ago."""
        queue = member.queue
        if caller.state != WAITING or not (caller.live or queue.hours):
            return False
        asked = caller.need_at(self.now - early) if caller.relax else caller.asked
        return (asked & member.skills == asked
                and (not member.tier or self.tier_open(queue, caller, member.tier, early)))

    def should_take(self, member: Member, caller: Caller) -> bool:
        """For longer than this millisecond: in it, what is due is done one after the other."""
        return self.may_take(member, caller) and self.may_take(member, caller, 1)

    def talked(self, agent: Agent) -> int:
        """In the window of the fair strategy."""
        oldest = self.now // FAIR_BUCKET_MS - FAIR_BUCKETS
        return sum(ms for bucket, ms in agent.talk.items() if bucket > oldest)

    def rank(self, member: Member, caller: Caller) -> tuple[int, int, int, int]:
        """By which the strategy orders; the smallest first."""
        agent, queue = member.agent, member.queue
        strategy = queue.set["strategy"]
        if strategy == SEQUENTIAL:
            return (member.tier, member.position, agent.idle_since, member.id)
        if strategy == FAIR:
            return (member.tier, self.talked(agent), agent.idle_since, member.id)
        if strategy == SKILL:
            skill = first_skill(caller.need_at(self.now))
            level = level_of(member.skills, skill) if skill >= 0 else 0
            return (member.tier, -level, agent.idle_since, member.id)
        if strategy == RANDOM:
            return (member.tier, 0, 0, 0)
        return (member.tier, 0, agent.idle_since, member.id)

    def longest(self, queue: Queue) -> int:
        """The longest wait of a live caller."""
        return max((self.now - caller.arrived for caller in queue.callers.values()
                    if caller.live and caller.state != OUT), default=0)

    def counts_as_there(self, agent: Agent) -> bool:
        """For the no-agents rule."""
        return agent.present and (agent.paused < 0 or (
            agent.paused > 0 and bool(self.pause_counts >> agent.paused & 1)))

    def refusals(self, queue: Queue) -> list[int]:
        """Every reason not to let somebody in, the first counts."""
        why = [Leave.NIGHT] if queue.closed == Closed.NIGHT else []
        why += [Leave.CLOSED] if queue.closed == Closed.BY_HAND else []
        why += [] if queue.staffed else [Leave.NO_AGENTS]
        why += [Leave.FULL] if len(queue.callers) >= queue.set["max_waiting"] else []
        why += [Leave.RUSH_LENGTH - 1 + queue.rush] if queue.rush else []
        return [int(one) for one in why]

    def may_leave(self, caller: Caller, queue: Queue, why: int) -> bool:
        """Whether the reason is true."""
        now, setting = self.now, queue.set
        if why in BY_INPUT:
            return self.doing == ("leave", caller.id)
        if why == Leave.SERVED or why == Leave.FAILED:
            return (self.doing == ("callback_done", caller.id)
                    and (why == Leave.SERVED or caller.tries + 1 >= setting["callback_tries"]))
        if why == Leave.REMOVED:
            return self.doing == ("remove_queue", queue.id)
        if why == Leave.EXPIRED:
            return not caller.live and now >= caller.expires and caller.state != OFFERED
        if why == Leave.AWAY_TOO_LONG:
            return caller.state == OUT and now >= caller.back_by
        if not caller.live or caller.state == OFFERED or caller.withdrawn == self.inputs:
            return False        # the limits of a callback are others; an offer wins
        if why in (Leave.NIGHT, Leave.CLOSED):
            return bool(setting["leave_at_close"]) and queue.closed == why
        if why == Leave.NO_AGENTS:
            return not queue.staffed and now - queue.unstaffed >= setting["grace_ms"]
        if why == Leave.TIMED:
            return bool(setting["timed_ms"]) and now - caller.entered >= setting["timed_ms"]
        if why == Leave.NO_ANSWER:
            return 0 < setting["attempts"] <= caller.rounds
        return False
