"""The inputs of routing_core.queues.Engine, watched: each is told to the engine and the oracle,
which judges what follows (in `outs`). Journals are kept, for replays.
"""

from routing_core.queues import Engine, Login
from tests.queue_audit import Auditor
from tests.queue_book import (
    DIALLED,
    NOT_DUE,
    OFFERED,
    OUT,
    RINGING,
    TALKING,
    WAITING,
    Agent,
    Member,
    Queue,
)


class Watched(Auditor):
    """An Engine to drive."""

    def __init__(self, seed: int, engine: Engine | None = None) -> None:
        super().__init__(seed, engine)
        self.journal: list[bytes] = []
        self.last_dump = self.engine.dump()
        self.last_trace = 0
        self.said = self.hit = 0

    def at(self, now: int, what: str, about: int = 0) -> None:
        """What is due before an input happens before it."""
        due = self.engine.next_due()
        if due and due <= now:
            self.tick(now)
        self.begin(now, what, about)
        self.now = self.next

    # -- configuration -----------------------------------------------------------------------------

    def set_queue(self, now: int, queue: int, **settings: int) -> None:
        """Make or change."""
        self.at(now, "set_queue", queue)
        self.engine.set_queue(now, queue, **settings)
        on = self.queues.get(queue)
        if on is None:
            on = self.queues[queue] = Queue(queue, self.next)
            on.set.update(DEFAULTS)
        on.set.update(settings)
        on.staff_left = self.inputs
        if on.set["timed_ms"]:
            for caller in on.callers.values():
                self.later(caller.entered + on.set["timed_ms"], "timed_over", caller)
        if not on.staffed:
            self.later(self.next, "grace_over", on)
        self.later(self.next + on.set["dwell_ms"], "dwell_over", on)
        self.dirty.add(on)
        self.finish()

    def remove_queue(self, now: int, queue: int) -> None:
        """With everybody in it."""
        self.at(now, "remove_queue", queue)
        self.engine.remove_queue(now, queue)
        self.finish()
        on = self.queues.pop(queue, None)
        if on is not None:
            if on.callers or any(member.logged_in for member in on.members.values()):
                raise self.broken("somebody is in a queue that is no more", queue)
            for agent in on.members:
                del self.agents[agent].members[queue]

    def set_member(self, now: int, queue: int, agent: int, tier: int = 0, position: int = 0,
                   skills: int = 0) -> None:
        """Make or change; keeps the log-in."""
        self.at(now, "set_member", agent)
        self.engine.set_member(now, queue, agent, tier, position, skills)
        on = self.queues.get(queue)
        if on is not None:
            person = self.agents.get(agent)
            if person is None:
                person = self.agents[agent] = Agent(agent)
                person.since = person.idle_since = self.next
                self.changed(person)
            member = person.members.get(queue)
            if member is None:
                member = person.members[queue] = on.members[agent] = Member(on, person)
            if member.logged_in:
                on.logged[member.tier] -= 1
                on.logged[tier] += 1
            member.tier, member.position, member.skills = tier, position, skills
            self.dirty.add(on)
        self.finish()

    def remove_member(self, now: int, queue: int, agent: int) -> None:
        """Logged out and forgotten."""
        self.at(now, "remove_member", agent)
        self.engine.remove_member(now, queue, agent)
        self.finish()
        on = self.queues.get(queue)
        if on is not None and agent in on.members:
            if on.members[agent].logged_in:
                raise self.broken("removed and logged in", agent)
            del on.members[agent], self.agents[agent].members[queue]

    def set_licences(self, now: int, licences: int) -> None:
        """Nobody is thrown out."""
        self.at(now, "set_licences", licences)
        self.engine.set_licences(now, licences)
        self.licences = licences
        self.finish()

    def set_pause_counts(self, now: int, reasons: int) -> None:
        """Which pauses count as being there."""
        self.at(now, "set_pause_counts", reasons)
        self.engine.set_pause_counts(now, reasons)
        self.pause_counts = reasons
        for queue in self.queues.values():
            self.staff(queue)
        self.finish()

    # -- agents ------------------------------------------------------------------------------------

    def log_in(self, now: int, queue: int, agent: int, by: int = 1) -> Login:
        """As far as the licences go."""
        self.at(now, "log_in", agent)
        member = self.queues[queue].members.get(agent) if queue in self.queues else None
        people = sum(person.n_logged > 0 for person in self.agents.values())
        expected = Login.OK
        if member is None:
            expected = Login.NOT_A_MEMBER
        elif not member.agent.n_logged and 0 <= self.licences <= people:
            expected = Login.NO_LICENCE
        found = self.engine.log_in(now, queue, agent, by)
        self.finish()
        if found != expected or (member is not None and found == Login.OK) != bool(
                member and member.logged_in):
            raise self.broken("log-in", found, expected)
        return found

    def log_out(self, now: int, queue: int, agent: int, by: int = 1) -> bool:
        """An offer of that queue is withdrawn."""
        self.at(now, "log_out", agent)
        member = self.queues[queue].members.get(agent) if queue in self.queues else None
        expected = member is not None and member.logged_in
        found = self.engine.log_out(now, queue, agent, by)
        self.finish()
        if found != expected or (member and member.logged_in) or (
                member and member.agent.state == RINGING and member.agent.queue == queue):
            raise self.broken("log-out", found, expected)
        return found

    def pause(self, now: int, agent: int, reason: int) -> bool:
        """An offer is withdrawn."""
        self.at(now, "pause", agent)
        found = self.engine.pause(now, agent, reason)
        self.finish()
        person = self.agents.get(agent)
        if found != (person is not None) or (
                person is not None and (person.paused != reason or person.state == RINGING)):
            raise self.broken("pause", found)
        return found

    def resume(self, now: int, agent: int) -> bool:
        """Whether paused."""
        self.at(now, "resume", agent)
        person = self.agents.get(agent)
        expected = person is not None and person.paused >= 0
        found = self.engine.resume(now, agent)
        self.finish()
        if found != expected or (person is not None and person.paused >= 0):
            raise self.broken("resume", found)
        return found

    def prolong(self, now: int, agent: int, by_ms: int) -> bool:
        """The wrap-up."""
        self.at(now, "prolong", agent)
        found = self.engine.prolong(now, agent, by_ms)
        self.finish()
        return found

    def end_wrap_up(self, now: int, agent: int) -> bool:
        """By hand."""
        self.at(now, "end_wrap_up", agent)
        person = self.agents.get(agent)
        found = self.engine.end_wrap_up(now, agent)
        if found and person is not None:
            person.until = self.next
            self.later(self.next, "wrap_up_over", person)
        self.finish()
        return found

    def set_present(self, now: int, agent: int, present: bool) -> None:
        """By presence; an offer is withdrawn when it ends."""
        self.at(now, "set_present", agent)
        self.engine.set_present(now, agent, present)
        person = self.agents.get(agent)
        if person is not None and person.present != present:
            person.present = present
            self.changed(person)
            self.staff_of(person, left=not present)
        self.finish()

    def set_reachable(self, now: int, agent: int, reachable: bool) -> None:
        """Whether a telephone can be called."""
        self.at(now, "set_reachable", agent)
        self.engine.set_reachable(now, agent, reachable)
        person = self.agents.get(agent)
        if person is not None and person.reachable != reachable:
            person.reachable = reachable
            self.changed(person)
        self.finish()

    def set_line(self, now: int, agent: int, busy: bool) -> None:
        """In use by another call."""
        self.at(now, "set_line", agent)
        self.engine.set_line(now, agent, busy)
        person = self.agents.get(agent)
        if person is not None and person.busy != busy:
            person.busy = busy
            self.changed(person)
        self.finish()

    def heal(self, now: int, agent: int) -> bool:
        """No evidence is left."""
        self.at(now, "heal", agent)
        person = self.agents.get(agent)
        expected = person is not None and person.state in (RINGING, TALKING)
        found = self.engine.heal(now, agent)
        self.finish()
        if found != expected:
            raise self.broken("heal", found)
        return found

    # -- callers -----------------------------------------------------------------------------------

    def set_open(self, now: int, queue: int, closed: int) -> None:
        """Night, by hand, open."""
        self.at(now, "set_open", queue)
        self.engine.set_open(now, queue, closed)
        self.finish()
        on = self.queues.get(queue)
        if self.outs and on is not None and closed and on.set["leave_at_close"] and any(
                caller.live and caller.state == WAITING for caller in on.callers.values()):
            raise self.broken("somebody waits in a closed queue", queue)

    def set_callback_hours(self, now: int, queue: int, open_: bool) -> None:
        """Whether callbacks may be dialled."""
        self.at(now, "set_callback_hours", queue)
        self.engine.set_callback_hours(now, queue, open_)
        on = self.queues.get(queue)
        if on is not None:
            on.hours = open_
            self.dirty.add(on)
        self.finish()

    def enter(self, now: int, queue: int, *, priority: int = 0, need: int = 0,
              relax: tuple[tuple[int, int], ...] = (), tag: int = 0, arrived_ms: int = 0,
              sequence: int = 0, force: bool = False, aside_ms: int = 0) -> int:
        """A caller, 0 when refused."""
        self.at(now, "enter", queue)
        self.entering = (queue, priority, need, relax, tag, arrived_ms, sequence, force, aside_ms)
        found = self.engine.enter(now, queue, priority=priority, need=need, relax=relax, tag=tag,
                                  arrived_ms=arrived_ms, sequence=sequence, force=force,
                                  aside_ms=aside_ms)
        self.finish()
        if queue in self.queues and self.entering:
            raise self.broken("neither let in nor refused")
        self.entering = ()
        return found

    def leave(self, now: int, caller: int, why: int = 9) -> bool:
        """Hung up, or another reason from outside."""
        self.at(now, "leave", caller)
        expected = caller in self.callers
        found = self.engine.leave(now, caller, why)
        self.finish()
        if found != expected or caller in self.callers:
            raise self.broken("leave", found)
        return found

    def step_out(self, now: int, caller: int, back_by: int) -> bool:
        """Into a menu."""
        self.at(now, "step_out", caller)
        found = self.engine.step_out(now, caller, back_by)
        who = self.callers.get(caller)
        if found and who is not None:
            self.off_line(who, OUT)
            who.back_by = back_by
            self.later(max(back_by, self.next + 1), "back_over", who)
        self.finish()
        if found and who is not None and who.attempts:
            raise self.broken("stepped out and is offered", caller)
        return found

    def step_in(self, now: int, caller: int) -> bool:
        """And back."""
        self.at(now, "step_in", caller)
        who = self.callers.get(caller)
        expected = who is not None and who.state == OUT
        found = self.engine.step_in(now, caller)
        if found and who is not None:
            self.in_line(who)
            self.later(self.next, "timed_over", who)
            self.later(self.next, "grace_over", who.queue)
        self.finish()
        if found != expected:
            raise self.broken("step in", found)
        return found

    def to_callback(self, now: int, caller: int, not_before: int = 0, tag: int = 0) -> bool:
        """Hangs up and keeps the place."""
        self.at(now, "to_callback", caller)
        found = self.engine.to_callback(now, caller, not_before, tag)
        who = self.callers.get(caller)
        if found and tag and who is not None:
            who.tag = tag
        self.finish()
        if found and (who is None or who.live):
            raise self.broken("no callback", caller)
        return found

    # -- attempts ----------------------------------------------------------------------------------

    def answered(self, now: int, attempt: int) -> bool:
        """True for the one that wins."""
        self.at(now, "answered", attempt)
        expected = attempt in self.attempts
        found = self.engine.answered(now, attempt)
        self.finish()
        if found != expected:
            raise self.broken("answered", found)
        return found

    def missed(self, now: int, attempt: int, cause: int) -> bool:
        """With its cause."""
        self.at(now, "missed", attempt)
        expected = attempt in self.attempts
        found = self.engine.missed(now, attempt, cause)
        self.finish()
        if found != expected:
            raise self.broken("missed", found)
        return found

    def declined(self, now: int, attempt: int) -> bool:
        """Not this callback, not now."""
        self.at(now, "declined", attempt)
        expected = attempt in self.attempts
        found = self.engine.declined(now, attempt)
        self.finish()
        if found != expected:
            raise self.broken("declined", found)
        return found

    def talk_ended(self, now: int, agent: int) -> bool:
        """The agent's part of it."""
        self.at(now, "talk_ended", agent)
        person = self.agents.get(agent)
        expected = person is not None and person.state == TALKING
        found = self.engine.talk_ended(now, agent)
        self.finish()
        if found != expected:
            raise self.broken("talk ended", found)
        return found

    def callback_done(self, now: int, caller: int, reached: bool) -> bool:
        """What became of dialling the customer."""
        self.at(now, "callback_done", caller)
        who = self.callers.get(caller)
        expected = who is not None and who.state == DIALLED
        if who is not None and expected and not reached:
            for person in self.agents.values():
                if person.state == TALKING and person.caller == caller:
                    person.conversation = False
        found = self.engine.callback_done(now, caller, reached)
        self.finish()
        if found != expected or (found and caller in self.callers and (
                reached or self.callers[caller].state not in (NOT_DUE, WAITING, OFFERED))):
            raise self.broken("callback done", found)
        return found

    # -- time, estimates, replays --------------------------------------------------------------

    def tick(self, now: int) -> None:
        """What is due by now happens."""
        self.begin(now, "tick")
        self.engine.tick(now)
        self.finish()
        due = self.engine.next_due()
        if due and due <= self.next:
            raise self.broken("still due", due)

    def estimate(self, now: int, caller: int) -> tuple[int, int]:
        """Silent below its samples or its measured rate; never up unless staff has left."""
        self.at(now, "estimate", caller)
        who = self.callers.get(caller)
        before = self.engine.view_queue(who.queue.id, self.next) if who is not None else None
        low, high = self.engine.estimate(now, caller)
        self.finish()
        if not high:
            return 0, 0
        if who is None or before is None or not 0 <= low <= high or who.state == OUT:
            raise self.broken("an estimate for nobody", low, high)
        setting = who.queue.set
        if before.samples < setting["min_samples"] or (
                len(who.queue.hits) >= HITS_NEEDED
                and before.hit_permille < setting["hit_permille"]):
            raise self.broken("should be silent", before, low, high)
        if (who.said is not None and high > who.said[2]
                and who.queue.staff_left <= who.said[3]):
            raise self.broken("the estimate went up", who.said, low, high)
        who.said = (self.next, low, high, self.inputs)
        return low, high

    def keep_journal(self) -> bytes:
        """Since the last time; a replay of it from the last dump ends where the engine is."""
        part = self.engine.take_journal()
        self.journal.append(part)
        other = Engine.load(self.last_dump)
        trace = replayed(other, part, self.last_trace)
        now = self.engine.dump()
        if other.dump() != now or trace != self.trace:
            raise self.broken("another state after the replay of", len(part))
        if Engine.load(now).dump() != now:
            raise self.broken("another state after the dump")
        self.last_dump, self.last_trace = now, self.trace
        return now

    def crash(self, whole: bool) -> None:
        """The engine is lost and made again: from its dump, or from the whole journal."""
        dump = self.keep_journal()
        if whole:
            other, trace = Engine(self.seed), 0
            for part in self.journal:
                trace = replayed(other, part, trace)
            if other.dump() != dump or trace != self.trace:
                raise self.broken("another state after the replay of everything")
            self.engine = other
        else:
            self.engine = Engine.load(dump)


def replayed(engine: Engine, journal: bytes, trace: int) -> int:
    """Apply a journal; the trace of what followed."""
    if engine.replay(journal) != len(journal):
        raise AssertionError("a journal that is not whole")
    for out in engine.take():
        trace = hash((trace, out))
    engine.take_journal()
    return trace


#: Estimates whose outcome is known, before the rate of hits counts.
HITS_NEEDED = 20
#: What a new queue has.
DEFAULTS: dict[str, int] = {
    "strategy": 1, "parallel": 1, "ring_ms": 20000, "dwell_ms": 1000, "max_waiting": 1000,
    "callback_tries": 3, "callback_gap_ms": 900000, "callback_life_ms": 86400000,
    "min_samples": 5, "hit_permille": 600}
