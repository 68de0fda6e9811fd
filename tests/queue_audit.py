"""Everything that the queue engine shows, held against the oracle's book: dearer than its checks
after every input, so done now and then.
"""

from routing_core.queues import Skip
from tests.queue_book import (
    FREE,
    OFFERED,
    OFFLINE,
    PAUSED,
    RANDOM,
    REST,
    RINGING,
    TALKING,
    WAITING,
    WRAP_UP,
    Agent,
    Caller,
    Member,
    Queue,
)
from tests.queue_oracle import Oracle


class Auditor(Oracle):
    """An oracle who audits."""

    def audit(self) -> None:
        """The engine shows what the book says."""
        engine = self.engine
        for agent in self.agents.values():
            self.audit_agent(agent)
        for queue in self.queues.values():
            self.settled(queue)
            self.nobody_in_vain(queue, queue.line)
            self.audit_queue(queue)
        for caller in list(self.callers.values())[:12]:
            self.audit_caller(caller)
        counts = engine.counts()
        expected = {"callers": len(self.callers), "attempts": len(self.attempts),
                    "queues": len(self.queues),
                    "members": sum(len(queue.members) for queue in self.queues.values())}
        if any(counts[name] != number for name, number in expected.items()):
            raise self.broken("counts", counts, expected)
        here = self.entered - sum(number for why, number in self.gone.items() if why >= 0)
        if here != len(self.callers):
            raise self.broken("callers in", here, "and not", len(self.callers))

    def audit_agent(self, agent: Agent) -> None:
        """view_agent()."""
        seen = self.engine.view_agent(agent.id)
        if seen is None:
            raise self.broken("unknown agent", agent.id)
        expected = agent.state
        if expected == FREE:
            expected = OFFLINE if not agent.n_logged else PAUSED if agent.paused >= 0 else FREE
        queues = {(member.queue.id, member.logged_in, member.misses)
                  for member in agent.members.values()}
        if (seen.state != expected or set(seen.queues) != queues
                or (seen.present, seen.reachable, seen.line_busy)
                != (agent.present, agent.reachable, agent.busy)
                or seen.idle_since_ms != agent.idle_since):
            raise self.broken("agent", seen, expected, queues, agent.idle_since)
        if agent.state in (RINGING, TALKING) and (
                seen.queue != agent.queue or seen.caller != agent.caller):
            raise self.broken("agent in a call", seen, agent.queue, agent.caller)

    def audit_queue(self, queue: Queue) -> None:
        """view_queue() and callers()."""
        seen = self.engine.view_queue(queue.id, self.now)
        if seen is None:
            raise self.broken("unknown queue", queue.id)
        logged = sum(member.logged_in for member in queue.members.values())
        book = (queue.closed, queue.rush, queue.live, queue.callbacks, self.longest(queue), logged,
                len(queue.free), queue.staffed)
        if (seen.closed, seen.rush, seen.waiting, seen.callbacks, seen.longest_ms, seen.logged_in,
                seen.free, seen.staffed) != book:
            raise self.broken("queue", seen, book)
        in_line = [caller.key for caller in queue.callers.values()
                   if caller.state in (WAITING, OFFERED)]
        found = [number for number in self.engine.callers(queue.id)
                 if self.callers[number].state in (WAITING, OFFERED)]
        if found != [key[3] for key in sorted(in_line)]:
            raise self.broken("order", found, sorted(in_line))
        for agent, offered, answered, talked in self.engine.fairness(queue.id):
            member = queue.members[agent]
            if (offered, answered, talked) != (member.offered, member.answered,
                                               self.talked(member.agent)):
                raise self.broken("fairness", queue.id, agent, offered, answered, talked)

    def audit_caller(self, caller: Caller) -> None:
        """view_caller(), token() and explain()."""
        queue, engine = caller.queue, self.engine
        seen = engine.view_caller(caller.id, self.now)
        if seen is None:
            raise self.broken("unknown caller", caller.id)
        token = (caller.priority, caller.arrived, caller.sequence)
        if (seen.queue, seen.live, seen.rounds, seen.tries, seen.tag) != (
                queue.id, caller.live, caller.rounds, caller.tries, caller.tag):
            raise self.broken("caller", seen)
        if seen.state != caller.state or (
                caller.state == WAITING and seen.need != caller.need_at(self.now)):
            raise self.broken("caller", seen, caller.state)
        if (seen.priority, seen.arrived_ms, seen.sequence) != token != engine.token(caller.id):
            raise self.broken("place", seen, token)
        if (seen.position == 0) != (caller.state not in (WAITING, OFFERED)):
            raise self.broken("position", seen)
        keys = []
        for agent_id, skip, key in engine.explain(self.now, caller.id):
            member = queue.members[agent_id]
            true = self.reasons(member, caller)
            if (skip not in true) if true else skip != Skip.ELIGIBLE:
                raise self.broken("explained", agent_id, caller.id, skip, true)
            if not true:
                keys.append((key, self.rank(member, caller)))
        ranks = [rank[:3] for _, rank in sorted(keys)]
        if queue.set["strategy"] != RANDOM and ranks != sorted(ranks):
            raise self.broken("explained order", keys)

    def reasons(self, member: Member, caller: Caller) -> set[Skip]:
        """Everything that stands between the two."""
        agent = member.agent
        states = {RINGING: Skip.OFFERED, TALKING: Skip.TALKING, WRAP_UP: Skip.WRAP_UP,
                  REST: Skip.REST}
        asked = caller.need_at(self.now)
        found = {
            Skip.LOGGED_OUT: not member.logged_in, Skip.AWAY: not agent.present,
            Skip.PAUSED: agent.paused >= 0, Skip.UNREACHABLE: not agent.reachable,
            Skip.LINE_BUSY: agent.busy, Skip.SKILL: asked & member.skills != asked,
            Skip.TIER: not self.tier_open(member.queue, caller, member.tier),
            Skip.CALLER: caller.state != WAITING or not (caller.live or member.queue.hours)}
        true = {skip for skip, holds in found.items() if holds}
        return true | ({states[agent.state]} if agent.state in states else set())
