"""Looking at the queues: what the engine would say of a caller, an agent, a queue, and why."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from routing_core.queue_codes cimport (
    A_FREE, A_OFFERED, A_OFFLINE, A_PAUSED, A_REST, A_TALKING, A_WRAP_UP, G_OFFERED, K_AWAY,
    K_CALLER,
    K_ELIGIBLE, K_LINE_BUSY, K_LOGGED_OUT, K_OFFERED, K_PAUSED, K_REST, K_SKILL, K_TALKING, K_TIER,
    K_UNREACHABLE, K_WRAP_UP, S_FAIR, S_SEQUENTIAL, S_SKILL,
)
from routing_core.queue_rules cimport QueueRules
from routing_core.queue_state cimport (
    AgentRec, BUCKETS, BUCKET_MS, CallerRec, QueueRec, STRATEGY,
)
from routing_core.queue_words import AgentState, AgentView, CallerView, Closed, QueueView, Skip
from routing_core.ranking cimport following, leftmost, rank


cdef class QueueViews(QueueRules):
    """Between the rules of callers and the engine."""

    # -- what strategies order by ---------------------------------------------------------------

    cdef int64_t talked(self, uint32_t a) noexcept nogil:
        # In the fair strategy's window, ms.
        cdef AgentRec *agent = &self.agent[a]
        cdef int64_t oldest = self.g.now // BUCKET_MS - BUCKETS + 1, total = 0, i
        for i in range(max(oldest, agent.bucket - BUCKETS + 1, 0), agent.bucket + 1):
            total += agent.talk[i % BUCKETS]
        return total

    cdef void age(self, uint32_t a) noexcept nogil:
        cdef AgentRec *agent = &self.agent[a]
        cdef int64_t bucket = self.g.now // BUCKET_MS, i
        if bucket - agent.bucket >= BUCKETS:
            memset(agent.talk, 0, sizeof(agent.talk))
        else:
            for i in range(agent.bucket + 1, bucket + 1):
                agent.talk[i % BUCKETS] = 0
        agent.bucket = bucket

    cdef int64_t measure(self, uint32_t m, uint64_t need) noexcept nogil:
        # By which the strategy orders, the smallest first; need: what the skill strategy looks at.
        cdef int64_t strategy = self.queue[self.member[m].queue].set[STRATEGY]
        cdef int skill = 0, level = 5
        if strategy == S_SKILL and need:
            while not need >> skill * 5 & 0x1F:
                skill += 1
            while level and not self.member[m].skills >> (skill * 5 + level - 1) & 1:
                level -= 1
            return -level
        if strategy == S_FAIR:
            return self.talked(self.member[m].agent)
        if strategy == S_SEQUENTIAL:
            return self.member[m].position
        return 0

    # -- callers ------------------------------------------------------------------------------

    cdef int place(self, uint32_t c) noexcept nogil:
        return rank(self.caller_nodes, c) + 1 if c and self.caller_nodes[c].size else 0

    def position(self, int64_t caller):
        """From 1; 0 for somebody who is not in the line."""
        return self.place(self.caller_at(caller))

    def token(self, int64_t caller):
        """(priority, arrived_ms, sequence)"""
        cdef uint32_t c = self.caller_at(caller)
        if not c:
            raise KeyError(caller)
        return self.caller[c].priority, self.caller[c].arrived, self.caller[c].sequence

    def view_caller(self, int64_t caller, int64_t now_ms):
        """None when it is over."""
        cdef uint32_t c = self.caller_at(caller)
        cdef CallerRec *rec = &self.caller[c]
        if not c:
            return None
        return CallerView(caller, self.queue[rec.queue].id, rec.state, bool(rec.live),
                          self.place(c), rec.priority, rec.arrived, rec.sequence, rec.rounds,
                          rec.tries, rec.need, rec.tag)

    def callers(self, int64_t queue):
        """In order of service."""
        cdef uint32_t q = self.queue_at(queue), c
        found = []
        c = leftmost(self.caller_nodes, self.queue[q].line) if q else 0
        while c:
            found.append(self.caller[c].id)
            c = following(self.caller_nodes, c)
        return found

    def everybody(self):
        """Every caller, also those who are not in the line now."""
        cdef uint32_t c
        return [self.caller[c].id for c in range(1, self.g.n_callers) if self.caller[c].id]

    # -- agents ---------------------------------------------------------------------------------

    cdef int state_of(self, uint32_t a) noexcept nogil:
        cdef AgentRec *agent = &self.agent[a]
        if agent.state != A_FREE:
            return agent.state
        if agent.n_logins == 0:
            return A_OFFLINE
        return A_PAUSED if agent.pause else A_FREE

    def view_agent(self, int64_t agent):
        """None for one that nobody knows."""
        cdef uint32_t a = self.agent_at(agent), m
        cdef AgentRec *rec = &self.agent[a]
        if not a:
            return None
        queues = []
        m = rec.first_member
        while m:
            queues.append((self.queue[self.member[m].queue].id,
                           bool(self.member[m].logged_in), self.member[m].misses))
            m = self.member[m].next_of_agent
        busy = A_OFFERED <= rec.state <= A_WRAP_UP
        return AgentView(agent, AgentState(self.state_of(a)), rec.since,
                         rec.until if A_WRAP_UP <= rec.state <= A_REST else 0,
                         rec.pause - 1 if rec.pause else 0,
                         self.queue[rec.queue].id if busy else 0,
                         rec.caller_id if A_OFFERED <= rec.state <= A_TALKING else 0,
                         bool(rec.present), bool(rec.reachable), bool(rec.line_busy),
                         rec.idle_since, tuple(sorted(queues)))

    def agents(self):
        """All that were ever a member of something."""
        return sorted(self.agent_index)

    # -- queues ---------------------------------------------------------------------------------

    def queues(self):
        """All."""
        return sorted(self.queue_index)

    def view_queue(self, int64_t queue, int64_t now_ms):
        """None for one that is not there."""
        cdef uint32_t q = self.queue_at(queue), i
        cdef QueueRec *rec = &self.queue[q]
        cdef int hits = 0
        if not q:
            return None
        for i in range(rec.n_hits):
            hits += rec.hits >> i & 1
        longest = max(now_ms, self.g.now) - self.caller[rec.oldest].arrived if rec.oldest else 0
        return QueueView(queue, Closed(rec.closed), rec.rush, rec.waiting, rec.callbacks, longest,
                         rec.logged_in, rec.n_free, bool(rec.staffed),
                         int(rec.handled / rec.weight) if rec.weight > 0 else 0, rec.samples,
                         hits * 1000 // rec.n_hits if rec.n_hits else -1)

    # -- why ------------------------------------------------------------------------------------

    cdef int skipped(self, uint32_t c, uint32_t m) noexcept nogil:
        cdef AgentRec *agent = &self.agent[self.member[m].agent]
        cdef CallerRec *caller = &self.caller[c]
        if not self.member[m].logged_in:
            return K_LOGGED_OUT
        if agent.state == A_OFFERED:
            return K_OFFERED
        if agent.state == A_TALKING:
            return K_TALKING
        if agent.state == A_WRAP_UP:
            return K_WRAP_UP
        if agent.pause:
            return K_PAUSED
        if agent.state == A_REST:
            return K_REST
        if not agent.present:
            return K_AWAY
        if not agent.reachable:
            return K_UNREACHABLE
        if agent.line_busy:
            return K_LINE_BUSY
        if caller.state > G_OFFERED:
            return K_CALLER
        if caller.need & ~self.member[m].skills:
            return K_SKILL
        if self.member[m].tier > caller.tier_open:
            return K_TIER
        if self.caller_nodes[c].bits == 0:
            return K_CALLER
        return K_ELIGIBLE

    def explain(self, int64_t now_ms, int64_t caller):
        """[(agent, Skip, (tier, measure, idle since))], best first."""
        cdef uint32_t c = self.caller_at(caller), m
        found = []
        m = self.queue[self.caller[c].queue].first_member if c else 0
        while m:
            agent = self.agent[self.member[m].agent].id
            key = (self.member[m].tier, self.measure(m, self.caller[c].need),
                   self.agent[self.member[m].agent].idle_since)
            found.append((agent, Skip(self.skipped(c, m)), key))
            m = self.member[m].next_of_queue
        return sorted(found, key=lambda line: (line[2], line[0]))

    def fairness(self, int64_t queue):
        """[(agent, offered, answered, talk ms in the window)]"""
        cdef uint32_t q = self.queue_at(queue), m
        found = []
        m = self.queue[q].first_member if q else 0
        while m:
            found.append((self.agent[self.member[m].agent].id, self.member[m].offered,
                          self.member[m].answered, self.talked(self.member[m].agent)))
            m = self.member[m].next_of_queue
        return sorted(found)
