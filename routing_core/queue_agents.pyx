"""The queue engine's rules of agents: configuration, log-ins, who is eligible, who is chosen."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from routing_core.layout cimport mix
from routing_core.queue_codes cimport *
from routing_core.queue_state cimport *
from routing_core.queue_views cimport QueueViews
from routing_core.queue_words import Login
from routing_core.ranking cimport Node, first, following, insert, nth, remove, set_bits

cdef enum:
    INDEX_BITS = 24
    HEAL_MS = 15000          # an offer without an outcome, beyond its ring time
    HEAL_CALLBACK_MS = 120000    # in which the customer may be dialled first
    SHARE_UNIT = 720720      # divisible by all numbers to 16
    DRAWS = 16               # of the random strategy, before it takes the first who can

cdef uint64_t AGENT = <uint64_t>1 << 32, ENGINE = <uint64_t>3 << 32

SETTINGS = (
    "strategy", "parallel", "ring_ms", "weight", "wrap_ms", "prolong_ms", "rest_ms", "max_misses",
    "on_misses", "no_answer_ms", "rejected_ms", "busy_ms", "unreachable_ms", "attempts",
    "timed_ms", "grace_ms", "leave_at_close", "length_high", "length_low", "wait_high_ms",
    "wait_low_ms", "estimate_high_ms", "estimate_low_ms", "dwell_ms", "tier1_ms", "tier2_ms",
    "tier3_ms", "max_waiting", "callback_tries", "callback_gap_ms", "callback_life_ms",
    "min_samples", "hit_permille", "pauses_present")
_PLACES = {name: i for i, name in enumerate(SETTINGS)}
_DEFAULTS = {"strategy": S_LONGEST_IDLE, "parallel": 1, "ring_ms": 20000, "dwell_ms": 1000,
             "max_waiting": 1000, "callback_tries": 3, "callback_gap_ms": 900000,
             "callback_life_ms": 86400000, "min_samples": 5, "hit_permille": 600}


cdef class QueueAgents(QueueViews):
    """Between looking and the engine."""

    cdef int begin(self, int op, int64_t now, int count) except -1:
        # An input: written down, and what was due before it happens first. args[0] is the time.
        self.args[0] = now
        self.note(op, count)
        self.make_room()
        self.advance(max(now, self.g.now))
        return 0

    # What the engine adds (queues.pyx).

    cdef int settle(self, uint32_t q) except -1:
        return 0

    cdef int rejoin(self, uint32_t c) except -1:
        return 0

    cdef int gone(self, uint32_t c, int why) except -1:
        return 0

    # -- configuration ------------------------------------------------------------------------

    def set_queue(self, int64_t now_ms, int64_t queue, **settings):
        """Make or change."""
        cdef uint32_t q = self.queue_at(queue)
        cdef dict wanted = dict(_DEFAULTS) if not q else {
            name: self.queue[q].set[i] for i, name in enumerate(SETTINGS)}
        if not 0 < queue < 1 << 31:
            raise ValueError(f"queue {queue}")
        for name, value in settings.items():
            if name not in _PLACES:
                raise KeyError(name)
            wanted[name] = value
        for mark, unit in (("length", ""), ("wait", "_ms"), ("estimate", "_ms")):
            if wanted.get(f"{mark}_high{unit}", 0) and not (
                    0 < wanted.get(f"{mark}_low{unit}", 0) <= wanted[f"{mark}_high{unit}"]):
                raise ValueError(f"{mark}: the low mark is above the high one, or 0")
        if not 1 <= wanted["strategy"] <= 6 or wanted["parallel"] < 1 or wanted["ring_ms"] < 1:
            raise ValueError("strategy, parallel or ring_ms")
        for name, value in sorted(wanted.items()):
            self.args[0], self.args[1] = now_ms, queue
            self.args[2], self.args[3] = _PLACES[name], value
            self.note(I_SET_QUEUE, 4)
            self.keep_setting(now_ms, queue, _PLACES[name], value)
        self.args[1], self.args[2] = queue, -1
        self.begin(I_SET_QUEUE, now_ms, 3)
        self.changed(self.queue_at(queue))

    cdef int keep_setting(self, int64_t now, int64_t queue, int place, int64_t value) except -1:
        cdef uint32_t q = self.queue_at(queue)
        cdef int i
        if not q:
            self.make_room()
            q = self.g.n_queues
            self.g.n_queues += 1
            self.queue[q].id = queue
            self.queue[q].exists = 1
            self.queue[q].in_hours = 1
            self.queue[q].unstaffed_since = max(now, self.g.now, 1)
            self.queue_index[queue] = q
            for i in range(N_SETTINGS):
                self.queue[q].set[i] = 0
        if 0 <= place < N_SETTINGS:
            self.queue[q].set[place] = value
        return 0

    cdef int changed(self, uint32_t q) except -1:
        # A queue's settings: who is free is ordered anew, and what is due to callers.
        cdef uint32_t m = self.queue[q].first_member
        while m:
            if self.member[m].in_free:
                self.take_out(m)
                self.put_in(m)
            m = self.member[m].next_of_queue
        m = self.queue[q].first_member
        while m:
            self.refresh(self.member[m].agent)
            m = self.member[m].next_of_queue
        self.reopen_tiers(q)
        self.latch(q)
        self.plan_queue(q)
        self.settle(q)
        return 0

    def remove_queue(self, int64_t now_ms, int64_t queue):
        """Everybody in it leaves."""
        cdef uint32_t q, i
        self.args[1] = queue
        self.begin(I_REMOVE_QUEUE, now_ms, 2)
        q = self.queue_at(queue)
        if not q:
            return
        for i in range(1, self.g.n_callers):
            if self.caller[i].id and self.caller[i].queue == q:
                self.gone(i, L_REMOVED)
        while self.queue[q].first_member:
            self.drop_member(self.queue[q].first_member)
        self.schedule(q, 0)
        self.queue[q].exists = 0
        del self.queue_index[queue]

    def set_member(self, int64_t now_ms, int64_t queue, int64_t agent, int tier=0,
                   int position=0, uint64_t skills=0):
        """Make or change."""
        cdef uint32_t q, a, m
        if not 0 <= tier < TIERS or not 0 < agent < 1 << 31 or position < 0:
            raise ValueError(f"agent {agent}, tier {tier}, position {position}")
        self.args[1], self.args[2], self.args[3] = queue, agent, tier
        self.args[4], self.args[5] = position, <int64_t>skills
        self.begin(I_SET_MEMBER, now_ms, 6)
        q, a = self.queue_at(queue), self.agent_at(agent)
        if not q:
            return
        if not a:
            a = self.g.n_agents
            self.g.n_agents += 1
            self.agent[a].id = agent
            self.agent[a].present = self.agent[a].reachable = 1
            self.agent[a].state = A_FREE
            self.agent[a].since = self.agent[a].idle_since = self.g.now
            self.agent_index[agent] = a
        m = self.member_at(q, a)
        if not m:
            m = self.g.free_member
            if m:
                self.g.free_member = self.member[m].next_of_queue
            else:
                m = self.g.n_members
                self.g.n_members += 1
            self.g.members += 1
            memset(&self.member[m], 0, sizeof(MemberRec))
            self.member[m].queue = q
            self.member[m].agent = a
            self.member[m].next_of_queue = self.queue[q].first_member
            self.queue[q].first_member = m
            self.member[m].next_of_agent = self.agent[a].first_member
            self.agent[a].first_member = m
        if self.member[m].in_free:
            self.take_out(m)
        if self.member[m].logged_in:
            self.queue[q].tier_logged[self.member[m].tier] -= 1
            self.queue[q].tier_logged[tier] += 1
        self.member[m].tier = tier
        self.member[m].position = position
        self.member[m].skills = skills
        if self.member[m].logged_in:
            self.reopen_tiers(q)
            self.refresh(a)
            self.settle(q)

    def remove_member(self, int64_t now_ms, int64_t queue, int64_t agent):
        """Logged out and forgotten."""
        cdef uint32_t q, a, m
        self.args[1], self.args[2] = queue, agent
        self.begin(I_REMOVE_MEMBER, now_ms, 3)
        q, a = self.queue_at(queue), self.agent_at(agent)
        m = self.member_at(q, a) if q and a else 0
        if m:
            self.drop_member(m)

    cdef int drop_member(self, uint32_t m) except -1:
        cdef uint32_t q = self.member[m].queue, a = self.member[m].agent
        cdef uint32_t *link
        if self.member[m].logged_in:
            self.log_member_out(m, B_REMOVED)
        link = &self.queue[q].first_member
        while link[0] != m:
            link = &self.member[link[0]].next_of_queue
        link[0] = self.member[m].next_of_queue
        link = &self.agent[a].first_member
        while link[0] != m:
            link = &self.member[link[0]].next_of_agent
        link[0] = self.member[m].next_of_agent
        if self.agent[a].member == m:
            self.agent[a].member = 0
        memset(&self.member[m], 0, sizeof(MemberRec))
        memset(&self.member_nodes[m], 0, sizeof(Node))
        self.member[m].next_of_queue = self.g.free_member
        self.g.free_member = m
        self.g.members -= 1
        return 0

    def set_licences(self, int64_t now_ms, int64_t licences):
        """How many agents may be logged in; -1 any number."""
        self.args[1] = licences
        self.begin(I_SET_LICENCES, now_ms, 2)
        self.g.licences = licences

    def set_pause_counts(self, int64_t now_ms, int64_t reasons):
        """Bits of the reasons that count as being there."""
        cdef uint32_t a
        self.args[1] = reasons
        self.begin(I_SET_PAUSE_COUNTS, now_ms, 2)
        self.g.pause_counts = reasons
        for a in range(1, self.g.n_agents):
            self.refresh(a)

    # -- agents ---------------------------------------------------------------------------------

    def log_in(self, int64_t now_ms, int64_t queue, int64_t agent, int by=B_SELF):
        """A Login."""
        cdef uint32_t q, a, m
        self.args[1], self.args[2], self.args[3] = queue, agent, by
        self.begin(I_LOG_IN, now_ms, 4)
        q, a = self.queue_at(queue), self.agent_at(agent)
        m = self.member_at(q, a) if q and a else 0
        if not m:
            return Login.NOT_A_MEMBER
        if self.member[m].logged_in:
            return Login.OK
        if self.agent[a].n_logins == 0:
            if self.g.licences >= 0 and self.g.logged_in >= self.g.licences:
                return Login.NO_LICENCE
            self.g.logged_in += 1
            if self.agent[a].state == A_FREE:
                self.agent[a].idle_since = self.agent[a].since = self.g.now
        self.agent[a].n_logins += 1
        self.member[m].logged_in = 1
        self.member[m].misses = 0
        self.queue[q].logged_in += 1
        self.say(W_LOGGED_IN, q, 0, a, 0, by, 0)
        self.queue[q].tier_logged[self.member[m].tier] += 1
        if self.queue[q].tier_logged[self.member[m].tier] == 1:
            self.reopen_tiers(q)
        self.refresh(a)
        return Login.OK

    def log_out(self, int64_t now_ms, int64_t queue, int64_t agent, int by=B_SELF):
        """False when not logged in."""
        cdef uint32_t q, a, m
        self.args[1], self.args[2], self.args[3] = queue, agent, by
        self.begin(I_LOG_OUT, now_ms, 4)
        q, a = self.queue_at(queue), self.agent_at(agent)
        m = self.member_at(q, a) if q and a else 0
        if not m or not self.member[m].logged_in:
            return False
        self.log_member_out(m, by)
        return True

    cdef int log_member_out(self, uint32_t m, int by) except -1:
        cdef uint32_t q = self.member[m].queue, a = self.member[m].agent
        cdef AgentRec *agent = &self.agent[a]
        cdef uint32_t freed = 0
        if self.member[m].in_free:
            self.take_out(m)
        self.member[m].logged_in = 0
        self.member[m].misses = 0
        agent.n_logins -= 1
        if agent.n_logins == 0:
            self.g.logged_in -= 1
        self.queue[q].logged_in -= 1
        self.queue[q].tier_logged[self.member[m].tier] -= 1
        self.say(W_LOGGED_OUT, q, 0, a, 0, by, 0)
        if agent.state == A_OFFERED and agent.queue == q:
            freed = self.withdraw(a, Y_AGENT_LEFT)
        self.rejoin(freed)
        self.refresh(a)
        if self.queue[q].tier_logged[self.member[m].tier] == 0:
            self.reopen_tiers(q)
            self.settle(q)
        self.serve_caller(freed)
        return 0

    def pause(self, int64_t now_ms, int64_t agent, int64_t reason):
        """False for an agent nobody knows."""
        cdef uint32_t a, m
        if not 0 <= reason <= 62:
            raise ValueError(f"pause reason {reason}")
        self.args[1], self.args[2] = agent, reason
        self.begin(I_PAUSE, now_ms, 3)
        a = self.agent_at(agent)
        if not a:
            return False
        m = self.agent[a].first_member
        while m:
            self.member[m].misses = 0
            m = self.member[m].next_of_agent
        self.pause_agent(a, reason)
        return True

    cdef int pause_agent(self, uint32_t a, int64_t reason) except -1:
        cdef uint32_t freed = 0
        self.agent[a].pause = <uint32_t>reason + 1
        if self.agent[a].state == A_FREE:
            self.agent[a].since = self.g.now
        self.say(W_PAUSED, 0, 0, a, 0, reason, 0)
        if self.agent[a].state == A_OFFERED:
            freed = self.withdraw(a, Y_AGENT_LEFT)
        self.rejoin(freed)
        self.refresh(a)
        self.serve_caller(freed)
        return 0

    def resume(self, int64_t now_ms, int64_t agent):
        """False when not paused."""
        cdef uint32_t a
        self.args[1] = agent
        self.begin(I_RESUME, now_ms, 2)
        a = self.agent_at(agent)
        if not a or not self.agent[a].pause:
            return False
        self.agent[a].pause = 0
        if self.agent[a].state == A_FREE:
            self.agent[a].since = self.g.now
        self.say(W_RESUMED, 0, 0, a, 0, 0, 0)
        self.refresh(a)
        return True

    def prolong(self, int64_t now_ms, int64_t agent, int64_t by_ms):
        """The wrap-up, as far as the queue allows."""
        cdef uint32_t a
        cdef AgentRec *rec
        self.args[1], self.args[2] = agent, by_ms
        self.begin(I_PROLONG, now_ms, 3)
        a = self.agent_at(agent)
        rec = &self.agent[a]
        if not a or rec.state != A_WRAP_UP or by_ms <= 0:
            return False
        by_ms = min(by_ms, self.queue[rec.queue].set[PROLONG_MS] - rec.allowance)
        if by_ms <= 0:
            return False
        rec.allowance += <uint32_t>by_ms
        rec.until += by_ms
        self.schedule(AGENT | a, rec.until)
        self.say(W_WRAP_UP, rec.queue, 0, a, 0, rec.until, 0)
        return True

    def end_wrap_up(self, int64_t now_ms, int64_t agent):
        """By hand."""
        cdef uint32_t a
        self.args[1] = agent
        self.begin(I_END_WRAP_UP, now_ms, 2)
        a = self.agent_at(agent)
        if not a or self.agent[a].state != A_WRAP_UP:
            return False
        self.say(W_WRAP_UP, self.agent[a].queue, 0, a, 0, self.g.now, 0)
        self.wrapped_up(a)
        return True

    def set_present(self, int64_t now_ms, int64_t agent, bint present):
        """By presence."""
        cdef uint32_t a = self.agent_at(agent), freed = 0
        if not a or self.agent[a].present == <uint32_t>present:
            return
        self.args[1], self.args[2] = agent, present
        self.begin(I_SET_PRESENT, now_ms, 3)
        self.agent[a].present = present
        if not present and self.agent[a].state == A_OFFERED:
            freed = self.withdraw(a, Y_AGENT_LEFT)
        self.rejoin(freed)
        self.refresh(a)
        self.serve_caller(freed)

    def set_reachable(self, int64_t now_ms, int64_t agent, bint reachable):
        """Whether a telephone of the agent can be called."""
        cdef uint32_t a = self.agent_at(agent)
        if a and self.agent[a].reachable != <uint32_t>reachable:
            self.args[1], self.args[2] = agent, reachable
            self.begin(I_SET_REACHABLE, now_ms, 3)
            self.agent[a].reachable = reachable
            self.refresh(a)

    def set_line(self, int64_t now_ms, int64_t agent, bint busy):
        """In use by something else."""
        cdef uint32_t a = self.agent_at(agent)
        if a and self.agent[a].line_busy != <uint32_t>busy:
            self.args[1], self.args[2] = agent, busy
            self.begin(I_SET_LINE, now_ms, 3)
            self.agent[a].line_busy = busy
            self.refresh(a)

    def heal(self, int64_t now_ms, int64_t agent):
        """Free an agent for whose state there is no evidence."""
        cdef uint32_t a
        self.args[1] = agent
        self.begin(I_HEAL, now_ms, 2)
        a = self.agent_at(agent)
        if not a or not A_OFFERED <= self.agent[a].state <= A_TALKING:
            return False
        self.healed(a)
        return True

    cdef int healed(self, uint32_t a) except -1:
        cdef AgentRec *agent = &self.agent[a]
        cdef uint32_t freed = 0, state = agent.state
        if state == A_OFFERED:
            freed = self.withdraw(a, Y_AGENT_LEFT)
        else:
            self.unbind(a)
            agent.idle_since = self.g.now
        agent.since = self.g.now
        self.say(W_HEALED, agent.queue, 0, a, 0, state, 0)
        self.rejoin(freed)
        self.refresh(a)
        self.serve_caller(freed)
        return 0

    cdef void unbind(self, uint32_t a) noexcept nogil:
        # Of nobody's call any more, and free.
        cdef AgentRec *agent = &self.agent[a]
        agent.state = A_FREE
        agent.attempt = 0
        agent.caller = 0
        agent.caller_id = 0
        agent.next_offer = 0
        self.schedule(AGENT | a, 0)

    cdef int agent_due(self, uint32_t a) except -1:
        cdef AgentRec *agent = &self.agent[a]
        if agent.state == A_OFFERED:
            self.healed(a)
        elif agent.state == A_WRAP_UP:
            self.wrapped_up(a)
        elif agent.state == A_REST:
            agent.state = A_FREE
            agent.until = 0
            agent.since = self.g.now
            self.refresh(a)
        return 0

    cdef int wrapped_up(self, uint32_t a) except -1:
        # The end of wrap-up: how long the call took in all is known.
        cdef AgentRec *agent = &self.agent[a]
        if not agent.unreached:
            self.handled(agent.queue, self.g.now - agent.answered_at)
        self.rest(a, agent.rest_until)
        return 0

    cdef int rest(self, uint32_t a, int64_t until) except -1:
        cdef AgentRec *agent = &self.agent[a]
        agent.since = self.g.now
        if until > self.g.now:
            agent.state = A_REST
            agent.until = until
            self.schedule(AGENT | a, until)
        else:
            agent.state = A_FREE
            agent.until = 0
            self.schedule(AGENT | a, 0)
        self.refresh(a)
        return 0

    # -- who is eligible --------------------------------------------------------------------

    cdef int refresh(self, uint32_t a) except -1:
        # After a change of the agent: where it belongs now, and whom it can serve.
        if self.update(a):
            self.serve_agent(a)
        return 0

    cdef bint update(self, uint32_t a) except -1:
        # What follows from the agent's state: the sets it is in, who counts as being there. True
        # when it has come into one.
        cdef AgentRec *agent = &self.agent[a]
        cdef bint there = agent.present and agent.n_logins > 0
        cdef bint ready = there and agent.state == A_FREE and not agent.pause \
            and agent.reachable and not agent.line_busy
        cdef uint32_t share = <uint32_t>(SHARE_UNIT // agent.n_logins) \
            if there and not agent.pause else 0
        cdef uint32_t m = agent.first_member, q, mine
        cdef bint came = False
        cdef int64_t pauses
        while m:
            q = self.member[m].queue
            pauses = self.g.pause_counts | self.queue[q].set[PAUSES_PRESENT]
            mine = share if self.member[m].logged_in else 0
            self.queue[q].share += <int64_t>mine - self.member[m].share
            self.member[m].share = mine
            mine = self.member[m].logged_in and there and (not agent.pause or (
                agent.pause > 1 and pauses >> (agent.pause - 1) & 1))
            if mine != self.member[m].staff:
                self.member[m].staff = mine
                self.queue[q].staffed += 1 if mine else -1
                if self.queue[q].staffed == 0:
                    self.queue[q].unstaffed_since = self.g.now
                    self.plan_queue(q)
                elif self.queue[q].unstaffed_since:
                    self.queue[q].unstaffed_since = 0
                    self.plan_queue(q)
            if self.member[m].in_free and not (ready and self.member[m].logged_in):
                self.take_out(m)
            elif ready and self.member[m].logged_in and not self.member[m].in_free:
                self.put_in(m)
                came = True
            m = self.member[m].next_of_agent
        if ready and not agent.ready:
            self.say(W_READY, 0, 0, a, 0, 0, 0)
        agent.ready = ready
        return came

    cdef void put_in(self, uint32_t m) noexcept nogil:
        # Among the eligible of its queue, where the strategy says.
        cdef MemberRec *member = &self.member[m]
        cdef QueueRec *queue = &self.queue[member.queue]
        cdef Node *node = &self.member_nodes[m]
        node.k1 = self.measure(m, 0)
        node.k2 = self.agent[member.agent].idle_since
        node.k3 = self.agent[member.agent].id
        node.bits = member.skills
        node.heap = <uint32_t>mix(<uint64_t>node.k3 << 20 ^ member.queue ^ 0x5bd1)
        insert(self.member_nodes, &queue.free[member.tier], m)
        queue.n_free += 1
        member.in_free = 1
        if queue.set[STRATEGY] == S_FAIR and node.k1 and self.g.timer.due == 0:
            self.schedule(ENGINE, (self.g.now // BUCKET_MS + 1) * BUCKET_MS)

    cdef void take_out(self, uint32_t m) noexcept nogil:
        cdef QueueRec *queue = &self.queue[self.member[m].queue]
        remove(self.member_nodes, &queue.free[self.member[m].tier], m)
        queue.n_free -= 1
        self.member[m].in_free = 0

    cdef int roll(self) except -1:
        # A quarter of an hour leaves the fair strategy's window.
        cdef uint32_t q, m
        for q in range(1, self.g.n_queues):
            if self.queue[q].exists and self.queue[q].set[STRATEGY] == S_FAIR \
                    and self.queue[q].n_free:
                m = self.queue[q].first_member
                while m:
                    if self.member[m].in_free and self.member_nodes[m].k1:
                        self.take_out(m)
                        self.put_in(m)
                    m = self.member[m].next_of_queue
        return 0

    # -- who serves whom --------------------------------------------------------------------

    cdef uint64_t may_take(self, uint32_t m) noexcept nogil:
        # Bits of the callers that the member may take, as far as bits can say.
        cdef QueueRec *queue = &self.queue[self.member[m].queue]
        cdef uint64_t mask = 0
        cdef uint64_t tiers = <uint64_t>0xF << self.member[m].tier & 0xF
        cdef int i
        for i in range(NEEDS):
            if queue.refs[i] and (i == NEEDS - 1
                                  or queue.need[i] & ~self.member[m].skills == 0):
                mask |= tiers << i * TIERS
        return mask

    cdef uint32_t head(self, uint32_t m) noexcept nogil:
        # The first caller of the member's queue that it may take, 0 for none.
        cdef uint64_t mask = self.may_take(m)
        cdef uint32_t c
        if not mask:
            return 0
        c = first(self.caller_nodes, self.queue[self.member[m].queue].line, mask, 0)
        while c and self.caller[c].need & ~self.member[m].skills:
            c = following(self.caller_nodes, c)
            while c and not self.caller_nodes[c].bits & mask:
                c = following(self.caller_nodes, c)
        return c

    cdef uint32_t best_for(self, uint32_t a) noexcept nogil:
        # Over all of the agent's queues the caller with the best place, weights counted.
        cdef uint32_t m = self.agent[a].first_member, c, best = 0
        while m:
            if self.member[m].in_free:
                c = self.head(m)
                if c and (best == 0 or self.ahead(c, best)):
                    best = c
            m = self.member[m].next_of_agent
        return best

    cdef bint ahead(self, uint32_t c, uint32_t other) noexcept nogil:
        cdef Node *one = &self.caller_nodes[c]
        cdef Node *two = &self.caller_nodes[other]
        cdef int64_t mine = one.k1 - self.queue[self.caller[c].queue].set[WEIGHT]
        cdef int64_t others = two.k1 - self.queue[self.caller[other].queue].set[WEIGHT]
        if mine != others:
            return mine < others
        if one.k2 != two.k2:
            return one.k2 < two.k2
        return one.k3 < two.k3

    cdef int serve_agent(self, uint32_t a) except -1:
        # The strategy may give the agent's best caller to somebody else: then the next one.
        cdef uint32_t c = self.best_for(a)
        while c and self.serve_caller(c):
            c = self.best_for(a)
        return 0

    cdef int serve_agents(self, list agents) except -1:
        # Several who have come at once: the best caller over all of them first.
        cdef uint32_t a, c, best
        while True:
            best = 0
            for a in agents:
                c = self.best_for(a)
                if c and (best == 0 or self.ahead(c, best)):
                    best = c
            if best == 0 or not self.serve_caller(best):
                return 0

    cdef int serve_caller(self, uint32_t c) except -1:
        cdef CallerRec *caller = &self.caller[c]
        cdef QueueRec *queue = &self.queue[caller.queue]
        cdef uint32_t tier, m
        cdef int64_t wanted, got = 0
        # How many agents were offered the caller.
        if c == 0 or self.caller_nodes[c].bits == 0 or queue.n_free == 0:
            return 0
        wanted = queue.set[AT_ONCE] if queue.set[STRATEGY] == S_PARALLEL and caller.live else 1
        tier = 0
        while tier <= caller.tier_open and got < wanted:
            m = self.choose(queue, tier, caller.need)
            if m == 0:
                tier += 1
                continue
            if got == 0:
                caller.rounds += 1
                caller.state = G_OFFERED
                set_bits(self.caller_nodes, c, 0)
            got += 1
            self.offer(c, m)
        return got

    cdef uint32_t choose(self, QueueRec *queue, uint32_t tier, uint64_t need) noexcept nogil:
        # The strategy's first in a tier, 0 for none.
        cdef uint32_t root = queue.free[tier], m
        cdef uint64_t bit
        cdef int i, level, _draw
        if root == 0:
            return 0
        if queue.set[STRATEGY] == S_SKILL and need:
            i = 0
            while not need >> i * 5 & 0x1F:
                i += 1
            level = 5
            while level > 0:
                bit = <uint64_t>1 << (i * 5 + level - 1)
                m = first(self.member_nodes, root, 0, need | bit)
                if m or need & bit:
                    return m
                level -= 1
        if queue.set[STRATEGY] == S_RANDOM:
            for _draw in range(DRAWS if need else 1):
                m = nth(self.member_nodes, root,
                        <uint32_t>(self.draw() % self.member_nodes[root].size))
                if self.member_nodes[m].bits & need == need:
                    return m
        return first(self.member_nodes, root, 0, need)

    cdef int offer(self, uint32_t c, uint32_t m) except -1:
        cdef uint32_t a = self.member[m].agent
        cdef AgentRec *agent = &self.agent[a]
        cdef CallerRec *caller = &self.caller[c]
        cdef int64_t ring = self.queue[caller.queue].set[RING_MS]
        self.g.attempts += 1
        agent.attempt = self.g.attempts << INDEX_BITS | a
        agent.state = A_OFFERED
        agent.since = self.g.now
        agent.caller = c
        agent.caller_id = caller.id
        agent.queue = caller.queue
        agent.member = m
        agent.next_offer = caller.first_offer
        caller.first_offer = a
        self.member[m].offered += 1
        self.schedule(AGENT | a, self.g.now + ring
                      + (HEAL_MS if caller.live else HEAL_CALLBACK_MS))
        self.refresh(a)
        self.say(W_OFFER, caller.queue, caller.id, a, agent.attempt, ring, caller.rounds)
        return 0

    cdef uint32_t withdraw(self, uint32_t a, int why) except? 0:
        # An offer is taken back, which is no miss; the caller who has no other offer now, or 0.
        # The agent's sets are the business of who calls this.
        cdef AgentRec *agent = &self.agent[a]
        cdef uint32_t c = agent.caller
        self.say(W_CANCEL, agent.queue, agent.caller_id, a, agent.attempt, why, 0)
        self.unlink(a)
        agent.since = self.g.now
        self.unbind(a)
        return c if self.caller[c].first_offer == 0 else 0

    cdef void unlink(self, uint32_t a) noexcept nogil:
        cdef uint32_t *link = &self.caller[self.agent[a].caller].first_offer
        while link[0] and link[0] != a:
            link = &self.agent[link[0]].next_offer
        if link[0]:
            link[0] = self.agent[a].next_offer
