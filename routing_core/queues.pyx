"""The queue engine (docs/queues.md). queues.pyi says what each input means.

Two moments matter: somebody becomes able to serve (an agent is eligible again) and somebody becomes
able to be served (a caller enters, is relaxed, comes back). Each is dealt with at once, so that
between two inputs no eligible agent is free while a caller waits whom it may take. Whoever is
eligible is in a set per queue and tier, ordered as the strategy says; whoever waits is in its
queue's set, ordered by place, with bits that say who may take it.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from routing_core.layout cimport mix
from routing_core.queue_agents cimport QueueAgents
from routing_core import queue_agents, queue_words
from routing_core.queue_codes cimport *
from routing_core.queue_state cimport *
from routing_core.ranking cimport Node, following, leftmost

cdef enum:
    INDEX_BITS = 24
    HITS_NEEDED = 20

cdef uint64_t AGENT = <uint64_t>1 << 32, CALLER = <uint64_t>2 << 32

SETTINGS = queue_agents.SETTINGS
(What, Leave, Cause, Why, Closed, By, AgentState, Login, Skip, AgentView, CallerView, QueueView) = (
    getattr(queue_words, name) for name in (
        "What", "Leave", "Cause", "Why", "Closed", "By", "AgentState", "Login", "Skip",
        "AgentView", "CallerView", "QueueView"))
STRATEGIES = {"longest_idle": S_LONGEST_IDLE, "fair": S_FAIR, "skill": S_SKILL,
              "random": S_RANDOM, "sequential": S_SEQUENTIAL, "parallel": S_PARALLEL}
FAIR_BUCKETS = BUCKETS
FAIR_BUCKET_MS = BUCKET_MS
MAX_NEEDS = NEEDS - 1


def need(skills):
    """A mask of (skill 0-11, level 1-5): thermometers of five bits."""
    cdef uint64_t mask = 0
    for skill, level in (skills.items() if isinstance(skills, dict) else skills):
        if not 0 <= skill < 12 or not 1 <= level <= 5:
            raise ValueError(f"skill {skill} level {level}: skills are 0-11, levels 1-5")
        mask |= <uint64_t>((1 << level) - 1) << <int>skill * 5
    return mask


cdef class Engine(QueueAgents):
    """The queues and agents of one company."""

    cdef list freed          # agents whose offers were taken back and who are not refreshed yet

    def __init__(self, seed):
        self.freed = []
        self.g.seed = <int64_t>(int(seed) & 0x7FFFFFFFFFFFFFFF)
        self.g.random = mix(<uint64_t>self.g.seed + 1)
        self.g.licences = -1

    @staticmethod
    def load(bytes data):
        """From dump()."""
        engine = Engine(0)
        engine.restore(data)
        return engine

    # -- time -----------------------------------------------------------------------------------

    cdef int advance(self, int64_t now) except -1:
        cdef uint64_t ref
        cdef int64_t due
        while self.g.n_timers:
            ref = self.heap[1]
            due = self.timer_of(ref).due
            if due > now:
                break
            if due > self.g.now:
                self.g.now = due
            self.schedule(ref, 0)
            if ref >> 32 == 0:
                self.queue_due(<uint32_t>ref)
            elif ref >> 32 == 1:
                self.agent_due(<uint32_t>ref)
            elif ref >> 32 == 2:
                self.caller_due(<uint32_t>ref)
            else:
                self.roll()
        if now > self.g.now:
            self.g.now = now
        return 0

    def tick(self, int64_t now_ms):
        """What is due by now happens."""
        if self.g.n_timers and self.timer_of(self.heap[1]).due <= max(now_ms, self.g.now):
            self.begin(I_TICK, now_ms, 1)

    def next_due(self):
        """When there is something to do; 0: never."""
        return self.timer_of(self.heap[1]).due if self.g.n_timers else 0

    cdef int rejoin(self, uint32_t c) except -1:
        # Nobody of a round has answered: back into the line, or out when it is time.
        if c == 0 or self.caller[c].state != G_OFFERED or self.caller[c].first_offer:
            return 0
        self.caller[c].state = G_WAITING
        self.appear(c)
        return 0

    cdef bint appear(self, uint32_t c) except -1:
        # As somebody who can be served now; False when the caller has to leave instead.
        cdef int why = self.must_leave(c)
        if why:
            self.gone(c, why)
            return False
        self.relax(c)
        self.open_tiers(c)
        self.plan_caller(c)
        self.show(c)
        return True

    cdef int settle(self, uint32_t q) except -1:
        # Callers of a queue may be able to be served, or have to leave, after a change of it.
        cdef uint32_t c = leftmost(self.caller_nodes, self.queue[q].line), next_one
        while c:
            next_one = following(self.caller_nodes, c)
            if self.caller[c].state == G_WAITING and self.appear(c):
                self.serve_caller(c)
            c = next_one
        return 0

    # -- callers ------------------------------------------------------------------------------

    def set_open(self, int64_t now_ms, int64_t queue, int closed):
        """A Closed."""
        cdef uint32_t q = self.queue_at(queue)
        if not q or self.queue[q].closed == <uint32_t>closed or not 0 <= closed <= 2:
            return
        self.args[1], self.args[2] = queue, closed
        self.begin(I_SET_OPEN, now_ms, 3)
        self.queue[q].closed = closed
        self.say(W_OPEN, q, 0, 0, 0, closed, 0)
        self.settle(q)

    def set_callback_hours(self, int64_t now_ms, int64_t queue, bint open):
        """Whether callbacks may be dialled."""
        cdef uint32_t q = self.queue_at(queue), c
        if not q or self.queue[q].in_hours == <uint32_t>open:
            return
        self.args[1], self.args[2] = queue, open
        self.begin(I_SET_HOURS, now_ms, 3)
        self.queue[q].in_hours = open
        c = leftmost(self.caller_nodes, self.queue[q].line)
        while c:
            self.show(c)
            c = following(self.caller_nodes, c)
        self.settle(q)

    def enter(self, int64_t now_ms, int64_t queue, *, int priority=0, uint64_t need=0, relax=(),
              int64_t tag=0, int64_t arrived_ms=0, int64_t sequence=0, bint force=False,
              int64_t aside_ms=0):
        """The caller's number, 0 when refused."""
        cdef int64_t *args = self.args
        cdef int n = 10
        if not 0 <= priority <= 1000 or len(relax) > RELAXATIONS:
            raise ValueError("priority 0-1000, at most three relaxations")
        args[1], args[2], args[3], args[4] = queue, priority, <int64_t>need, tag
        args[5], args[6], args[7], args[8] = arrived_ms, sequence, force, len(relax)
        args[9] = aside_ms
        for after, wanted in relax:
            args[n], args[n + 1] = after, <int64_t><uint64_t>wanted
            n += 2
        self.begin(I_ENTER, now_ms, n)
        return self.entered()

    cdef int64_t entered(self) except -1:
        # With the input in args.
        cdef int64_t *args = self.args
        cdef uint32_t q = self.queue_at(args[1]), c
        cdef int64_t i
        cdef int why
        cdef CallerRec *caller
        if not q:
            return 0
        if args[6] == 0:
            self.g.sequence += 1
        why = self.refusal(q, args[7] != 0)
        if why:
            self.say(W_REFUSED, q, 0, 0, 0, why, 0)
            return 0
        c = self.g.free_caller
        if c:
            self.g.free_caller = self.caller[c].agent
        else:
            c = self.g.n_callers
            self.g.n_callers += 1
        self.g.callers += 1
        self.g.attempts += 1
        caller = &self.caller[c]
        memset(caller, 0, sizeof(CallerRec))
        caller.id = self.g.attempts << INDEX_BITS | c
        caller.queue = q
        caller.live = 1
        caller.state = G_WAITING
        caller.priority = <uint32_t>args[2]
        caller.tag = args[4]
        caller.arrived = args[5] if args[5] else self.g.now
        caller.sequence = args[6] if args[6] else self.g.sequence
        caller.entered = self.g.now
        caller.relaxations = <uint32_t>args[8]
        for i in range(args[8]):
            caller.relax_ms[i] = args[10 + 2 * i]
            caller.relax_need[i] = <uint64_t>args[11 + 2 * i]
        self.ask_for(c, <uint64_t>args[3])
        if args[9]:
            caller.state = G_OUT
            caller.not_before = args[9]
            self.say(W_ENTERED, q, caller.id, 0, 0, 1, 0)
            self.plan_caller(c)
            return caller.id
        self.open_tiers(c)
        self.line_up(c)
        i = caller.id
        self.say(W_ENTERED, q, i, 0, 0, 1, self.place(c))
        if self.appear(c):
            self.serve_caller(c)
        self.latch(q)
        return i

    cdef int refusal(self, uint32_t q, bint force) except -1:
        # A Leave, 0 to let in.
        cdef QueueRec *queue = &self.queue[q]
        cdef int64_t there = 0
        cdef int i
        if queue.closed and not force:
            return L_NIGHT if queue.closed == 1 else L_CLOSED
        if queue.staffed == 0 and not force:
            return L_NO_AGENTS
        for i in range(NEEDS):
            there += queue.refs[i]               # everybody who has a place, in the line or not
        if there >= queue.set[MAX_WAITING]:
            return L_FULL
        if force:
            return 0
        self.latch(q)
        return L_RUSH_LENGTH + queue.rush - 1 if queue.rush else 0

    cdef int gone(self, uint32_t c, int why) except -1:
        # The caller is over; whoever was offered it is free again.
        cdef CallerRec *caller = &self.caller[c]
        cdef uint32_t q = caller.queue
        cdef int64_t id = caller.id, waited = self.g.now - caller.arrived
        self.give_back(c, Y_REMOVED if why == L_REMOVED else Y_CALLER_LEFT, False)
        self.forget(c)
        self.say(W_LEFT, q, id, 0, 0, why, waited)
        self.latch(q)
        self.release_freed()
        return 0

    cdef void forget(self, uint32_t c) noexcept nogil:
        self.stand_aside(c)
        self.ask_no_more(c)
        self.schedule(CALLER | c, 0)
        memset(&self.caller[c], 0, sizeof(CallerRec))
        memset(&self.caller_nodes[c], 0, sizeof(Node))
        self.caller[c].agent = self.g.free_caller
        self.g.free_caller = c
        self.g.callers -= 1

    cdef int give_back(self, uint32_t c, int why, uint32_t but) except -1:
        # Offers of this caller are taken back from everybody but one; release_freed() comes after.
        cdef uint32_t a = self.caller[c].first_offer, next_one
        while a:
            next_one = self.agent[a].next_offer
            if a != but:
                self.withdraw(a, why)
                self.freed.append(a)
            a = next_one
        return 0

    cdef int release_freed(self) except -1:
        # Agents whose offers were taken back may serve again.
        cdef uint32_t a
        freed, self.freed = self.freed, []
        self.serve_agents([a for a in freed if self.update(a)])
        return 0

    def leave(self, int64_t now_ms, int64_t caller, int why=L_ABANDONED):
        """False when it is over already."""
        cdef uint32_t c
        self.args[1], self.args[2] = caller, why
        self.begin(I_LEAVE, now_ms, 3)
        c = self.caller_at(caller)
        if not c:
            return False
        self.gone(c, why)
        return True

    def step_out(self, int64_t now_ms, int64_t caller, int64_t back_by_ms):
        """To a menu."""
        cdef uint32_t c
        self.args[1], self.args[2] = caller, back_by_ms
        self.begin(I_STEP_OUT, now_ms, 3)
        c = self.caller_at(caller)
        if not c or not self.caller[c].live or self.caller[c].state > G_OFFERED:
            return False
        self.give_back(c, Y_CALLER_LEFT, 0)
        self.stand_aside(c)
        self.caller[c].state = G_OUT
        self.caller[c].not_before = back_by_ms
        self.caller[c].said_at = 0
        self.plan_caller(c)
        self.latch(self.caller[c].queue)
        self.release_freed()
        return True

    def step_in(self, int64_t now_ms, int64_t caller):
        """Back to the place."""
        cdef uint32_t c
        self.args[1] = caller
        self.begin(I_STEP_IN, now_ms, 2)
        c = self.caller_at(caller)
        if not c or self.caller[c].state != G_OUT:
            return False
        self.caller[c].state = G_WAITING
        self.caller[c].not_before = 0
        self.line_up(c)
        self.say(W_PLACE, self.caller[c].queue, caller, 0, 0, 0, self.place(c))
        self.waits(c)
        return True

    cdef int waits(self, uint32_t c) except -1:
        # Able to be served again, or due to leave.
        cdef uint32_t q = self.caller[c].queue
        if self.appear(c):
            self.serve_caller(c)
        self.latch(q)
        return 0

    def to_callback(self, int64_t now_ms, int64_t caller, int64_t not_before_ms=0,
                    int64_t tag=0):
        """Hangs up and keeps the place."""
        cdef uint32_t c, q
        self.args[1], self.args[2], self.args[3] = caller, not_before_ms, tag
        self.begin(I_TO_CALLBACK, now_ms, 4)
        c = self.caller_at(caller)
        if not c or not self.caller[c].live:
            return False
        q = self.caller[c].queue
        self.give_back(c, Y_CALLER_LEFT, 0)
        self.stand_aside(c)
        self.caller[c].live = 0
        self.caller[c].state = G_WAITING
        self.caller[c].said_at = 0
        self.caller[c].expires = self.g.now + self.queue[q].set[CALLBACK_LIFE_MS]
        if tag:
            self.caller[c].tag = tag
        if not_before_ms > self.g.now:
            self.caller[c].state = G_LATER
            self.caller[c].not_before = not_before_ms
            self.caller[c].expires += not_before_ms - self.g.now
            self.say(W_CALLBACK, q, caller, 0, 0, self.caller[c].expires, not_before_ms)
            self.plan_caller(c)
        else:
            self.line_up(c)
            self.say(W_CALLBACK, q, caller, 0, 0, self.caller[c].expires, 0)
            self.appear(c)
        self.latch(q)
        self.release_freed()
        self.serve_caller(c)
        return True

    cdef int caller_due(self, uint32_t c) except -1:
        cdef CallerRec *caller = &self.caller[c]
        if caller.state == G_OUT:
            return self.gone(c, L_AWAY_TOO_LONG)
        if caller.state == G_LATER:
            if caller.expires <= self.g.now:
                return self.gone(c, L_EXPIRED)
            caller.state = G_WAITING
            self.line_up(c)
        if caller.state == G_OFFERED:            # an offer in progress wins
            self.relax(c)
            self.open_tiers(c)
            self.plan_caller(c)
            return 0
        return self.waits(c)

    cdef int queue_due(self, uint32_t q) except -1:
        if self.queue[q].unstaffed_since:
            self.queue[q].grace_ended = min(
                self.g.now, self.queue[q].unstaffed_since + self.queue[q].set[GRACE_MS])
        self.settle(q)
        self.latch(q)
        return 0

    # -- attempts -------------------------------------------------------------------------------

    cdef uint32_t attempt_at(self, int64_t attempt) noexcept nogil:
        cdef uint32_t a = <uint32_t>(attempt & ((1 << INDEX_BITS) - 1))
        return a if attempt > 0 and a < self.g.n_agents and self.agent[a].attempt == attempt \
            and self.agent[a].state == A_OFFERED else 0

    def answered(self, int64_t now_ms, int64_t attempt):
        """True for the one that wins."""
        cdef uint32_t a, c, q
        cdef AgentRec *agent
        cdef int64_t id, waited
        cdef int rounds
        self.args[1] = attempt
        self.begin(I_ANSWERED, now_ms, 2)
        a = self.attempt_at(attempt)
        if not a:
            return False
        agent = &self.agent[a]
        c, q = agent.caller, agent.queue
        id, rounds = self.caller[c].id, self.caller[c].rounds
        waited = self.g.now - self.caller[c].arrived
        self.give_back(c, Y_ANSWERED_ELSEWHERE, a)
        self.unlink(a)
        agent.state = A_TALKING
        agent.since = agent.answered_at = self.g.now
        agent.next_offer = 0
        agent.attempt = 0
        agent.allowance = agent.unreached = 0
        self.schedule(AGENT | a, 0)
        if agent.member:
            self.member[agent.member].misses = 0
            self.member[agent.member].answered += 1
        self.measured(c)
        self.say(W_ANSWERED, q, id, a, attempt, waited, rounds)
        if self.caller[c].live:
            self.forget(c)
        else:
            self.stand_aside(c)
            self.caller[c].state = G_TALKING
            self.caller[c].agent = a
            self.plan_caller(c)
        self.latch(q)
        self.release_freed()
        return True

    def missed(self, int64_t now_ms, int64_t attempt, int cause):
        """False when the attempt is over."""
        cdef uint32_t a, m, q, c
        cdef AgentRec *agent
        if not 1 <= cause <= 4:
            raise ValueError(f"cause {cause}")
        self.args[1], self.args[2] = attempt, cause
        self.begin(I_MISSED, now_ms, 3)
        a = self.attempt_at(attempt)
        if not a:
            return False
        agent = &self.agent[a]
        m, q = agent.member, agent.queue
        if m:
            self.member[m].misses += 1
        self.say(W_MISSED, q, agent.caller_id, a, attempt, cause,
                 self.member[m].misses if m else 0)
        c = self.refused(a, self.queue[q].set[NO_ANSWER_MS + cause - 1])
        if m and self.member[m].logged_in and self.queue[q].set[MAX_MISSES] \
                and self.member[m].misses >= self.queue[q].set[MAX_MISSES]:
            if self.queue[q].set[ON_MISSES]:
                self.member[m].misses = 0
                self.pause_agent(a, 0)
            else:
                self.log_member_out(m, B_MISSES)
        self.serve_caller(c)
        self.refresh(a)
        return True

    def declined(self, int64_t now_ms, int64_t attempt):
        """Of a callback: no miss, no try."""
        cdef uint32_t a
        self.args[1] = attempt
        self.begin(I_DECLINED, now_ms, 2)
        a = self.attempt_at(attempt)
        if not a:
            return False
        self.say(W_CANCEL, self.agent[a].queue, self.agent[a].caller_id, a, attempt,
                 Y_AGENT_LEFT, 0)
        self.serve_caller(self.refused(a, self.queue[self.agent[a].queue].set[REJECTED_MS]))
        self.refresh(a)
        return True

    cdef uint32_t refused(self, uint32_t a, int64_t delay) except? 0:
        # The agent did not come: not again for a while. The caller, who is back in the line.
        cdef uint32_t c = self.agent[a].caller
        self.unlink(a)
        self.unbind(a)
        if delay:
            self.agent[a].state = A_REST
            self.agent[a].since = self.g.now
            self.agent[a].until = self.g.now + delay
            self.schedule(AGENT | a, self.g.now + delay)
        self.rejoin(c)
        return c

    def talk_ended(self, int64_t now_ms, int64_t agent):
        """Wrap-up, rest, free."""
        cdef uint32_t a, q
        cdef AgentRec *rec
        cdef int64_t talk
        self.args[1] = agent
        self.begin(I_TALK_ENDED, now_ms, 2)
        a = self.agent_at(agent)
        rec = &self.agent[a]
        if not a or rec.state != A_TALKING:
            return False
        q = rec.queue
        talk = self.g.now - rec.answered_at
        self.say(W_TALK_ENDED, q, rec.caller_id, a, 0, talk, 0)
        self.age(a)
        rec.talk[rec.bucket % BUCKETS] += talk
        self.unbind(a)
        rec.idle_since = rec.since = self.g.now
        rec.rest_until = self.g.now + self.queue[q].set[REST_MS]
        if self.queue[q].set[WRAP_MS] and talk and not rec.unreached:
            rec.state = A_WRAP_UP
            rec.until = self.g.now + self.queue[q].set[WRAP_MS]
            self.schedule(AGENT | a, rec.until)
            self.say(W_WRAP_UP, q, 0, a, 0, rec.until, 0)
            self.refresh(a)
        else:
            self.wrapped_up(a)
        return True

    def callback_done(self, int64_t now_ms, int64_t caller, bint reached):
        """What became of dialling the customer."""
        cdef uint32_t c, q, a
        self.args[1], self.args[2] = caller, reached
        self.begin(I_CALLBACK_DONE, now_ms, 3)
        c = self.caller_at(caller)
        if not c or self.caller[c].live or (
                self.caller[c].state != G_TALKING and self.caller[c].state != G_OFFERED):
            return False
        q = self.caller[c].queue
        self.give_back(c, Y_CALLER_LEFT, 0)
        self.stand_aside(c)
        a = self.caller[c].agent
        if not reached and self.agent[a].caller_id == caller:
            self.agent[a].unreached = 1
        self.caller[c].agent = 0
        self.caller[c].tries += 1
        if reached:
            self.gone(c, L_SERVED)
        elif self.caller[c].tries >= self.queue[q].set[CALLBACK_TRIES]:
            self.gone(c, L_FAILED)
        elif self.caller[c].expires <= self.g.now:
            self.gone(c, L_EXPIRED)
        else:
            self.caller[c].state = G_LATER
            self.caller[c].not_before = self.g.now + self.queue[q].set[CALLBACK_GAP_MS]
            self.say(W_RETRY, q, caller, 0, 0, self.caller[c].not_before, self.caller[c].tries)
            self.plan_caller(c)
        self.release_freed()
        return True

    # -- estimated wait -------------------------------------------------------------------------

    def estimate(self, int64_t now_ms, int64_t caller):
        """(at least, at most) seconds, (0, 0) for silence."""
        cdef uint32_t c, i
        cdef int64_t low = 0, high = 0
        cdef QueueRec *queue
        cdef int hits = 0
        self.args[1] = caller
        self.begin(I_ESTIMATE, now_ms, 2)
        c = self.caller_at(caller)
        if not c or not self.caller[c].live or self.caller_nodes[c].size == 0 \
                or not self.range_of(c, &low, &high):
            return 0, 0
        queue = &self.queue[self.caller[c].queue]
        self.caller[c].said_at = self.g.now
        self.caller[c].said_low = low
        self.caller[c].said_high = high
        self.caller[c].said_share = queue.share
        for i in range(queue.n_hits):
            hits += queue.hits >> i & 1
        if queue.n_hits >= HITS_NEEDED and hits * 1000 < queue.set[HIT_PERMILLE] * queue.n_hits:
            return 0, 0
        return low, high

    # -- replay ---------------------------------------------------------------------------------

    def replay(self, bytes journal, int64_t until_ms=0):
        """Apply inputs; how many bytes were whole records and applied."""
        cdef Py_ssize_t at = 0, size = len(journal)
        cdef size_t written = self.journal_size
        cdef const char *data = journal
        cdef uint32_t op, count, i
        while at + 8 <= size:
            op = (<const uint32_t *>(data + at))[0]
            count = (<const uint32_t *>(data + at))[1]
            if not I_SET_QUEUE <= op <= I_ESTIMATE or not 1 <= count <= 18:
                raise ValueError(f"no record at {at}")
            if at + 8 + 8 * count > size:
                break
            for i in range(count):
                self.args[i] = (<const int64_t *>(data + at + 8))[i]
            if until_ms and self.args[0] > until_ms:
                break
            self.again(op, count)
            self.journal_size = written
            at += 8 + 8 * count
        return at

    cdef int again(self, int op, int count) except -1:
        cdef int64_t t = self.args[0], x = self.args[1], y = self.args[2], z = self.args[3]
        if op == I_ENTER:
            if count < 10 or count != 10 + 2 * self.args[8]:
                raise ValueError("an entry of another length")
            self.begin(op, t, count)
            self.entered()
        elif op == I_SET_QUEUE and count == 4:
            self.note(op, count)
            self.keep_setting(t, x, <int>y, z)
        elif op == I_SET_QUEUE:
            self.begin(op, t, count)
            if self.queue_at(x):
                self.changed(self.queue_at(x))
        elif op == I_REMOVE_QUEUE:
            self.remove_queue(t, x)
        elif op == I_SET_MEMBER:
            self.set_member(t, x, y, <int>z, <int>self.args[4], <uint64_t>self.args[5])
        elif op == I_REMOVE_MEMBER:
            self.remove_member(t, x, y)
        elif op == I_SET_LICENCES:
            self.set_licences(t, x)
        elif op == I_SET_PAUSE_COUNTS:
            self.set_pause_counts(t, x)
        elif op == I_LOG_IN:
            self.log_in(t, x, y, <int>z)
        elif op == I_LOG_OUT:
            self.log_out(t, x, y, <int>z)
        elif op == I_PAUSE:
            self.pause(t, x, y)
        elif op == I_RESUME:
            self.resume(t, x)
        elif op == I_PROLONG:
            self.prolong(t, x, y)
        elif op == I_END_WRAP_UP:
            self.end_wrap_up(t, x)
        elif op == I_SET_PRESENT:
            self.set_present(t, x, y != 0)
        elif op == I_SET_REACHABLE:
            self.set_reachable(t, x, y != 0)
        elif op == I_SET_LINE:
            self.set_line(t, x, y != 0)
        elif op == I_HEAL:
            self.heal(t, x)
        elif op == I_SET_OPEN:
            self.set_open(t, x, <int>y)
        elif op == I_SET_HOURS:
            self.set_callback_hours(t, x, y != 0)
        elif op == I_LEAVE:
            self.leave(t, x, <int>y)
        elif op == I_STEP_OUT:
            self.step_out(t, x, y)
        elif op == I_STEP_IN:
            self.step_in(t, x)
        elif op == I_TO_CALLBACK:
            self.to_callback(t, x, y, z)
        elif op == I_ANSWERED:
            self.answered(t, x)
        elif op == I_MISSED:
            self.missed(t, x, <int>y)
        elif op == I_DECLINED:
            self.declined(t, x)
        elif op == I_TALK_ENDED:
            self.talk_ended(t, x)
        elif op == I_CALLBACK_DONE:
            self.callback_done(t, x, y != 0)
        elif op == I_TICK:
            self.tick(t)
        elif op == I_ESTIMATE:
            self.estimate(t, x)
        return 0
