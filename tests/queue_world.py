"""A company's call centre from a seed: days of callers, agents and mishaps under a fake
clock, which drive a watched queue engine. Events are a heap of (time, order, what, about, more).
"""

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any, Final

from routing_core.queues import By, Cause, Closed, Leave, What, need
from tests.queue_book import OUT, RINGING, TALKING, WAITING, WRAP_UP
from tests.queue_watched import Watched

S, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
#: 2025-01-06, a Monday, and an odd millisecond, so that nothing falls on a round one by itself.
START: Final = 1_736_121_600_123
#: Calls by the hour of the day, of the busiest one.
PROFILE: Final = (.02, .01, .01, .01, .02, .05, .15, .45, .85, 1, 1, .9,
                  .75, .9, 1, .95, .8, .5, .3, .2, .15, .1, .06, .03)
#: Reasons for which a caller is taken to another queue.
OVERFLOWS: Final = frozenset({Leave.NIGHT, Leave.CLOSED, Leave.NO_AGENTS, Leave.RUSH_LENGTH,
                              Leave.RUSH_WAIT, Leave.RUSH_ESTIMATE, Leave.TIMED, Leave.NO_ANSWER,
                              Leave.FULL})
#: What a queue's settings are drawn from.
CHOICES: Final[dict[str, tuple[int, ...]]] = {
    "strategy": (1, 2, 3, 4, 5, 6), "parallel": (1, 2, 3, 4), "ring_ms": (8 * S, 15 * S, 25 * S),
    "weight": (0, 0, 0, 1, 2), "wrap_ms": (0, 10 * S, 30 * S), "prolong_ms": (0, MINUTE),
    "rest_ms": (0, 0, 5 * S, 40 * S), "max_misses": (0, 1, 2, 3), "on_misses": (0, 1),
    "no_answer_ms": (0, 10 * S, 30 * S), "rejected_ms": (0, 5 * S, 30 * S),
    "busy_ms": (0, 5 * S, 20 * S), "unreachable_ms": (0, 10 * S, 60 * S),
    "attempts": (0, 0, 3, 5), "timed_ms": (0, 0, 2 * MINUTE, 10 * MINUTE),
    "grace_ms": (0, 5 * S, MINUTE), "leave_at_close": (0, 1),
    "dwell_ms": (S, 10 * S, MINUTE), "tier1_ms": (0, 10 * S, 20 * S),
    "tier2_ms": (0, 15 * S, 40 * S), "tier3_ms": (5 * S, 50 * S), "max_waiting": (1000, 1000, 25),
    "callback_tries": (1, 2, 3), "callback_gap_ms": (MINUTE, 15 * MINUTE),
    "callback_life_ms": (10 * MINUTE, 4 * HOUR), "min_samples": (5, 20),
    "hit_permille": (0, 600, 800)}
MARKS: Final = (("length", "", (4, 8, 20)), ("wait", "_ms", (MINUTE, 5 * MINUTE)),
                ("estimate", "_ms", (2 * MINUTE, 10 * MINUTE)))
#: Seeds of the tests, companies of a seed, calls of a company.
SEEDS, COMPANIES, CALLS = range(1, 21), 5, 10_000
#: Between two looks at everything, two replays from the last dump, in inputs.
AUDIT, REPLAY = 400, 6000


class World:
    """One company: run() it."""

    def __init__(self, seed: int, calls: int, *, calm: bool = False,
                 hit_permille: int = 600) -> None:
        self.rng = rng = Random(seed)
        self.watched = Watched(seed)
        self.watched.listen = self.react
        self.calls, self.calm, self.hit_permille = calls, calm, hit_permille
        self.now = self.told = START
        self.heap: list[tuple[int, int, Callable[[Any, Any], None], Any, Any]] = []
        self.order = self.back = self.arrived = 0
        self.audit_at, self.replay_at = AUDIT, REPLAY
        self.queues = [1] if calm else sorted(rng.sample(range(1, 50), rng.randint(1, 8)))
        self.agents = list(range(101, 101 + (rng.randint(4, 20) if calm else
                                             rng.randint(1, 60))))
        self.talks = [int(rng.lognormvariate(11.6, .6)) for _ in range(1021)]
        self.skilled = rng.random() < .6 and not calm
        self.needs = [need({rng.randrange(3): rng.randint(1, 4)}) for _ in range(4)]
        self.needs += [need({0: 2, 2: 1}), need({1: 1, 11: 5})]
        load = .85 if calm else rng.uniform(.3, 1)
        self.gap = 140 * S / len(self.agents) / load
        self.noise: list[Callable[[], None]] = [
            self.pauses, self.presence, self.reachability, self.line, self.supervisor,
            self.member, self.settings, self.doors, self.hours, self.prolongs, self.ends_wrap_up,
            self.heals, self.moves, self.loses, self.jump, self.steps_back, self.removes_queue,
            self.removes_member, self.licences, self.crash, self.late, self.counts_pauses]
        self.set_up()

    def set_up(self) -> None:
        """Queues, agents, the first of everything."""
        rng, watched = self.rng, self.watched
        for queue in self.queues:
            self.make_queue(queue)
        for agent in self.agents:
            some = rng.sample(self.queues, min(len(self.queues), rng.choice((1, 1, 2, 3, 5))))
            for queue in some:
                self.make_member(queue, agent)
            if self.calm:
                watched.log_in(self.told, 1, agent)
            else:
                self.later(rng.randrange(HOUR), self.shift, agent)
        if not self.calm:
            self.later(rng.randrange(HOUR), self.mishap)
            for queue in rng.sample(self.queues, len(self.queues) // 2):
                self.later(18 * HOUR + rng.randrange(HOUR), self.evening, queue)
        self.later(5 * HOUR, self.arrive)

    def later(self, after: int, what: Callable[[Any, Any], None], about: Any = 0,
              more: Any = 0) -> None:
        """An event."""
        self.order += 1
        heappush(self.heap, (self.now + after, self.order, what, about, more))

    def run(self) -> Watched:
        """Until so many have called and everybody has left."""
        heap, watched, rng = self.heap, self.watched, self.rng
        while self.arrived < self.calls:
            due = watched.engine.next_due()
            when = heap[0][0]
            if due and due <= when:
                if due > self.now:
                    self.now = due
                self.told = self.now
                watched.tick(due)
            else:
                when, _, what, about, more = heappop(heap)
                if when > self.now:
                    self.now = when
                self.told = self.now
                if self.back:
                    self.back -= 1
                    self.told -= rng.randrange(20 * S)
                what(about, more)
            if watched.inputs >= self.audit_at:
                self.audit_at = watched.inputs + AUDIT
                watched.audit()
                if watched.inputs >= self.replay_at:
                    self.replay_at = watched.inputs + REPLAY
                    watched.keep_journal()
        self.close()
        return watched

    def close(self) -> None:
        """Everybody leaves; nothing is left over."""
        watched = self.watched
        now = self.now
        for queue in list(watched.queues.values()):
            for caller in list(queue.callers):
                if caller in watched.callers:
                    watched.leave(now, caller)
        for agent in list(watched.agents.values()):
            if agent.state == TALKING:
                watched.talk_ended(now, agent.id)
            for number in list(agent.members):
                watched.log_out(now, number, agent.id)
        watched.tick(now + DAY)
        watched.audit()
        counts = watched.engine.counts()
        if counts["callers"] or counts["attempts"] or counts["timers"]:
            raise watched.broken("left over at the end of the day:", counts)
        watched.crash(whole=True)

    # -- configuration -----------------------------------------------------------------------------

    def make_queue(self, queue: int) -> None:
        """With settings of its own."""
        rng = self.rng
        if self.calm:
            self.watched.set_queue(self.told, queue, ring_ms=20 * S, wrap_ms=10 * S,
                                   hit_permille=self.hit_permille)
            return
        chosen = {name: rng.choice(values) for name, values in CHOICES.items()}
        for mark, unit, highs in MARKS:
            high = rng.choice(highs) if rng.random() < .25 else 0
            chosen[f"{mark}_high{unit}"] = high
            chosen[f"{mark}_low{unit}"] = rng.randint(1, high) if high else 0
        self.watched.set_queue(self.told, queue, **chosen)

    def make_member(self, queue: int, agent: int) -> None:
        """With a tier, a position and skills."""
        rng = self.rng
        skills = need({skill: rng.randint(1, 5) for skill in (0, 1, 2, 11) if rng.random() < .6})
        self.watched.set_member(self.told, queue, agent,
                                0 if self.calm else rng.choice((0, 0, 0, 1, 2, 3)),
                                rng.randrange(20), skills)

    # -- callers -----------------------------------------------------------------------------------

    def arrive(self, _a: object, _b: object) -> None:
        """One calls, and the next one is thought of."""
        rng = self.rng
        rate = 1 if self.calm else PROFILE[self.now // HOUR % 24]
        gap = rng.expovariate(rate / self.gap)
        rest = HOUR - self.now % HOUR
        if gap > rest and not self.calm:
            self.later(rest, self.idle)
        else:
            self.later(int(gap), self.arrive)
        self.arrived += 1
        queue = self.queues[int(rng.random() ** 2 * len(self.queues))]
        if self.calm:
            self.welcome(self.watched.enter(self.told, queue))
        elif rng.random() < .5:
            self.welcome(self.watched.enter(self.told, queue, tag=self.arrived))
        elif rng.random() < .4:
            caller = self.watched.enter(self.told, queue, aside_ms=self.now + 20 * S)
            self.later(rng.randrange(22 * S), self.steps_in, caller)
            self.welcome(caller)
        else:
            asked = rng.choice(self.needs) if self.skilled else 0
            relax: tuple[tuple[int, int], ...] = ()
            if asked:
                relax = ((10 * S + rng.randrange(20 * S), self.needs[0]), (45 * S, 0)
                         )[:rng.randrange(3)]
            self.welcome(self.watched.enter(
                self.told, queue, priority=rng.choice((0, 0, 1, 3)), need=asked, relax=relax,
                tag=self.arrived, force=rng.random() < .03))

    def idle(self, _a: object, _b: object) -> None:
        """The hour has changed: when does the next one call?"""
        gap = self.rng.expovariate(PROFILE[self.now // HOUR % 24] / self.gap)
        rest = HOUR - self.now % HOUR
        if gap > rest:
            self.later(rest, self.idle)
        else:
            self.later(int(gap), self.arrive)

    def welcome(self, caller: int) -> None:
        """What somebody in the queue will do."""
        if caller not in self.watched.callers:
            return
        rng = self.rng
        drawn = rng.random()
        if self.calm:
            self.later(1, self.asks, caller)
            return
        self.later(int(rng.expovariate(1 / (3 * MINUTE))), self.hangs_up, caller)
        if drawn < .1:
            self.later(rng.randrange(MINUTE), self.calls_back, caller)
        elif drawn < .16:
            self.later(rng.randrange(30 * S), self.steps_out, caller)
        elif drawn < .35:
            self.later(rng.randrange(20 * S), self.asks, caller)

    def hangs_up(self, caller: int, _b: object) -> None:
        """Patience is over; a callback is seldom withdrawn."""
        found = self.watched.callers.get(caller)
        if found is None:
            if self.rng.random() < .01:
                self.watched.leave(self.told, caller)
        elif found.live:
            self.watched.leave(self.told, caller, Leave.KEY if caller % 7 == 0 else
                               Leave.ABANDONED)
        elif self.rng.random() < .1:
            self.watched.leave(self.told, caller, Leave.CANCELLED)

    def calls_back(self, caller: int, _b: object) -> None:
        """Would rather be called."""
        if caller in self.watched.callers:
            planned = self.rng.random() < .2
            self.watched.to_callback(self.told, caller, self.now + 20 * MINUTE if planned else 0,
                                     tag=caller % 3)

    def steps_out(self, caller: int, _b: object) -> None:
        """Into a menu, and back, or too late."""
        if caller in self.watched.callers:
            self.watched.step_out(self.told, caller, self.now + 30 * S)
            self.later(self.rng.randrange(35 * S), self.steps_in, caller)

    def steps_in(self, caller: int, _b: object) -> None:
        """Back."""
        self.watched.step_in(self.told, caller)

    def asks(self, caller: int, _b: object) -> None:
        """How long will it take?"""
        found = self.watched.callers.get(caller)
        if found is not None and found.live and found.state != OUT:
            self.watched.estimate(self.told, caller)
            if not self.calm:
                self.later(15 * S + self.rng.randrange(MINUTE), self.asks, caller)

    # -- what follows ------------------------------------------------------------------------------

    def react(self, outs: list[tuple[int, int, int, int, int, int, int, int]]) -> None:
        """As telephones and people do."""
        for what, _, queue, caller, agent, attempt, x, _y in outs:
            if what == What.OFFER:
                self.rings(caller, agent, attempt, x)
            elif what == What.ANSWERED:
                if caller in self.watched.callers:
                    self.later(5 * S + self.rng.randrange(20 * S), self.dialled, caller, agent)
                else:
                    self.later(self.talks[self.order % 1021], self.ends, agent, caller)
            elif what == What.LEFT or what == What.REFUSED:
                if x in OVERFLOWS and self.rng.random() < .3:
                    self.later(0, self.overflows, queue)
            elif what == What.LOGGED_OUT and x == By.MISSES:
                self.later(self.rng.randrange(10 * MINUTE), self.returns, agent, queue)
            elif what == What.PAUSED and x == 0:
                self.later(self.rng.randrange(10 * MINUTE), self.resumes, agent)

    def rings(self, caller: int, agent: int, attempt: int, ring: int) -> None:
        """Answered, most often."""
        drawn = self.rng.random()
        if drawn < .84 or self.calm:
            after = ring // 4 if drawn < .05 else int(drawn * ring)
            self.later(after, self.answers, attempt)
        elif drawn < .91:
            self.later(ring, self.misses, attempt, Cause.NO_ANSWER)
        elif drawn < .94:
            self.later(int(drawn * 5000), self.misses, attempt, Cause.REJECTED)
        elif drawn < .96:
            self.later(50, self.misses, attempt, Cause.BUSY)
        elif drawn < .98:
            self.later(500, self.misses, attempt, Cause.UNREACHABLE)
        elif drawn < .985:
            self.later(3 * S, self.is_healed, agent, attempt)
        elif drawn < .99:
            self.later(2 * S, self.declines, caller, attempt)
        elif drawn < .995:
            self.later(ring // 4, self.hangs_up, caller)
            self.later(ring, self.misses, attempt, Cause.NO_ANSWER)

    def answers(self, attempt: int, _b: object) -> None:
        """Sometimes too late."""
        if attempt in self.watched.attempts or self.order % 10 == 0:
            self.watched.answered(self.told, attempt)

    def misses(self, attempt: int, cause: int) -> None:
        """Sometimes too late."""
        if attempt in self.watched.attempts or self.order % 10 == 0:
            self.watched.missed(self.told, attempt, cause)

    def declines(self, caller: int, attempt: int) -> None:
        """A callback; a live caller is refused."""
        found = self.watched.callers.get(caller)
        if found is not None and not found.live:
            self.watched.declined(self.told, attempt)
        else:
            self.watched.missed(self.told, attempt, Cause.REJECTED)

    def is_healed(self, agent: int, attempt: int) -> None:
        """The machine that rang is gone."""
        if attempt in self.watched.attempts:
            self.watched.heal(self.told, agent)

    def dialled(self, caller: int, agent: int) -> None:
        """The customer of a callback answers, or not."""
        reached = self.rng.random() < .6
        if not reached and self.rng.random() < .5:
            self.ends(agent, caller)
        self.watched.callback_done(self.told, caller, reached)
        if reached:
            self.later(self.talks[self.order % 1021], self.ends, agent, caller)
        else:
            self.ends(agent, caller)

    def ends(self, agent: int, caller: int) -> None:
        """The call of an agent is over."""
        found = self.watched.agents[agent]
        if found.state == TALKING and found.caller == caller:
            self.watched.talk_ended(self.told, agent)

    def overflows(self, queue: int, _b: object) -> None:
        """Somebody comes from another queue, with a place if there was one."""
        other = self.rng.choice(self.queues)
        before = self.now - self.rng.randrange(2 * MINUTE)
        if other != queue:
            self.welcome(self.watched.enter(
                self.told, other, arrived_ms=before, sequence=self.rng.randint(1, self.order),
                force=self.rng.random() < .5))

    # -- agents ------------------------------------------------------------------------------------

    def shift(self, agent: int, _b: object) -> None:
        """A day's work; some work at night."""
        rng = self.rng
        begins = (7 + agent % 3) * HOUR if agent % 8 else 20 * HOUR
        self.later(begins + rng.randrange(HOUR), self.comes, agent)
        self.later(begins + (8 + agent % 2) * HOUR + rng.randrange(HOUR), self.goes, agent)
        self.later(DAY, self.shift, agent)

    def comes(self, agent: int, _b: object) -> None:
        """Into most of the agent's queues."""
        found = self.watched.agents.get(agent)
        for queue in list(found.members) if found else ():
            if self.rng.random() < .9:
                self.watched.log_in(self.told, queue, agent)

    def goes(self, agent: int, _b: object) -> None:
        """Out of all."""
        found = self.watched.agents.get(agent)
        for queue in list(found.members) if found else ():
            self.watched.log_out(self.told, queue, agent)

    def returns(self, agent: int, queue: int) -> None:
        """After having been thrown out."""
        self.watched.log_in(self.told, queue, agent)

    def resumes(self, agent: int, _b: object) -> None:
        """Back from a pause."""
        self.watched.resume(self.told, agent)

    def evening(self, queue: int, _b: object) -> None:
        """A queue with opening hours."""
        self.watched.set_open(self.told, queue, Closed.NIGHT)
        self.later(13 * HOUR, self.opens, queue)
        self.later(DAY, self.evening, queue)

    def opens(self, queue: int, _b: object) -> None:
        """In the morning, or again."""
        self.watched.set_open(self.told, queue, Closed.OPEN)
        self.watched.set_callback_hours(self.told, queue, True)

    # -- mishaps and supervisors -------------------------------------------------------------------

    def mishap(self, _a: object, _b: object) -> None:
        """Something happens, once in a dozen calls."""
        rate = PROFILE[self.now // HOUR % 24]
        self.later(int(self.rng.expovariate(rate / self.gap / 12)), self.mishap)
        self.rng.choice(self.noise)()

    def someone(self) -> int:
        """An agent, rather one who does something."""
        for _ in range(4):
            agent = self.rng.choice(self.agents)
            found = self.watched.agents.get(agent)
            if found is not None and found.n_logged:
                break
        return agent

    def flip(self, what: Callable[..., object], agent: int, there: bool, mean: int) -> None:
        """A state that comes back by itself."""
        what(self.told, agent, there)
        self.later(int(self.rng.expovariate(1 / mean)),
                   lambda _a, _b: what(self.told, agent, not there))

    def pauses(self) -> None:
        """For a while."""
        agent = self.someone()
        self.watched.pause(self.told, agent, self.rng.randint(1, 5))
        self.later(int(self.rng.expovariate(1 / (5 * MINUTE))), self.resumes, agent)

    def presence(self) -> None:
        """Away."""
        self.flip(self.watched.set_present, self.someone(), False, 5 * MINUTE)

    def reachability(self) -> None:
        """The telephone is off."""
        self.flip(self.watched.set_reachable, self.someone(), False, 3 * MINUTE)

    def line(self) -> None:
        """A call of the agent's own."""
        self.flip(self.watched.set_line, self.someone(), True, 3 * MINUTE)

    def supervisor(self) -> None:
        """Logs somebody in or out."""
        agent, queue = self.someone(), self.rng.choice(self.queues)
        if self.rng.random() < .4:
            self.watched.log_out(self.told, queue, agent, By.SUPERVISOR)
        else:
            self.watched.log_in(self.told, queue, agent, By.SUPERVISOR)

    def member(self) -> None:
        """Somebody gets a queue, or another tier and other skills in it."""
        self.make_member(self.rng.choice(self.queues), self.someone())

    def settings(self) -> None:
        """A queue is changed."""
        self.make_queue(self.rng.choice(self.queues))

    def doors(self) -> None:
        """A queue is closed by hand for some minutes."""
        queue = self.rng.choice(self.queues)
        self.watched.set_open(self.told, queue, Closed.BY_HAND)
        self.later(self.rng.randrange(5 * MINUTE), self.opens, queue)

    def hours(self) -> None:
        """No callbacks for an hour."""
        queue = self.rng.choice(self.queues)
        self.watched.set_callback_hours(self.told, queue, False)
        self.later(self.rng.randrange(HOUR), self.opens, queue)

    def of_state(self, state: int) -> int:
        """An agent in that state, 0 for none."""
        return next((agent.id for agent in self.watched.agents.values() if agent.state == state),
                    0)

    def prolongs(self) -> None:
        """A wrap-up."""
        self.watched.prolong(self.told, self.of_state(WRAP_UP), self.rng.randrange(40 * S))

    def ends_wrap_up(self) -> None:
        """By hand."""
        self.watched.end_wrap_up(self.told, self.of_state(WRAP_UP))

    def heals(self) -> None:
        """Somebody in a call whose dialog is gone."""
        agent = self.of_state(TALKING)
        found = self.watched.agents.get(agent)
        if found is not None and found.caller not in self.watched.callers:
            self.watched.heal(self.told, agent)

    def somebody(self) -> int:
        """A caller, 0 for none."""
        return next(iter(self.watched.callers), 0)

    def moves(self) -> None:
        """To another queue, with the place."""
        caller = self.watched.callers.get(self.somebody())
        if caller is not None and caller.live and caller.state == WAITING:
            priority, arrived, sequence = self.watched.engine.token(caller.id)
            self.watched.leave(self.told, caller.id, Leave.MOVED)
            self.welcome(self.watched.enter(
                self.told, self.rng.choice(self.queues), priority=priority, arrived_ms=arrived,
                sequence=sequence, force=True))

    def loses(self) -> None:
        """A fault of ours."""
        self.watched.leave(self.told, self.somebody(), Leave.LOST)

    def jump(self) -> None:
        """The clock is set forwards."""
        self.now += self.rng.choice((S, MINUTE, 20 * MINUTE))
        self.told = self.now

    def steps_back(self) -> None:
        """The clock trembles for a while."""
        self.back = 20

    def removes_queue(self) -> None:
        """And makes it again."""
        if self.rng.random() < .2:
            queue = self.rng.choice(self.queues)
            self.watched.remove_queue(self.told, queue)
            self.make_queue(queue)
            for agent in self.rng.sample(self.agents, (len(self.agents) + 1) // 2):
                self.make_member(queue, agent)
                self.later(self.rng.randrange(HOUR), self.returns, agent, queue)

    def removes_member(self) -> None:
        """For good, or until somebody is made one."""
        self.watched.remove_member(self.told, self.rng.choice(self.queues), self.someone())

    def licences(self) -> None:
        """Fewer, or any number."""
        some = self.rng.choice((-1, -1, len(self.agents) // 2, len(self.agents)))
        self.watched.set_licences(self.told, some)

    def counts_pauses(self) -> None:
        """Which pauses count as being there."""
        self.watched.set_pause_counts(self.told, self.rng.randrange(64) & ~1)

    def crash(self) -> None:
        """The process is lost; the whole journal is seldom needed."""
        if self.rng.random() < .3:
            self.watched.crash(whole=self.rng.random() < .05)

    def late(self) -> None:
        """Something that is over is told again."""
        for agent in self.watched.agents.values():
            if agent.state == RINGING:
                attempt = agent.attempt
                self.watched.answered(self.told, attempt)
                self.watched.answered(self.told, attempt)
                self.watched.missed(self.told, attempt, Cause.NO_ANSWER)
                self.watched.step_in(self.told, agent.caller)
                break
