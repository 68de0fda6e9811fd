"""Rules of a queue that concern its callers only: places, tiers, skills, marks, estimates."""

from libc.math cimport exp2, sqrt
from libc.stdint cimport int64_t, uint32_t, uint64_t

from routing_core.layout cimport mix
from routing_core.queue_codes cimport (
    G_LATER, G_OUT, G_TALKING, G_WAITING, L_CLOSED, L_EXPIRED, L_NIGHT, L_NO_AGENTS,
    L_NO_ANSWER, L_TIMED, W_RUSH,
)
from routing_core.queue_state cimport (
    ATTEMPTS, CallerRec, DWELL_MS, ESTIMATE_HIGH, ESTIMATE_LOW, GRACE_MS,
    LEAVE_AT_CLOSE, LENGTH_HIGH, LENGTH_LOW, MIN_SAMPLES, NEEDS, QueueRec, QueueState, TIER1_MS,
    TIERS, TIMED_MS, WAIT_HIGH, WAIT_LOW,
)
from routing_core.ranking cimport Node, insert, leftmost, rank, remove, set_bits, following

cdef enum:
    SHARE_UNIT = 720720      # divisible by all numbers to 16
    HIT_WINDOW = 64

cdef double HALF_LIFE_MS = 1200000.0
cdef double SPREAD = 1.2816  # the middle four fifths of a normal distribution
cdef uint64_t CALLER = <uint64_t>2 << 32


cdef inline double cube(double x) noexcept nogil:
    return x * x * x


cdef class QueueRules(QueueState):
    """Between the memory and the engine."""

    # -- skills and tiers: which bits a caller shows --------------------------------------------

    cdef int ask_for(self, uint32_t c, uint64_t need) except -1:
        # One of the queue's needs; those that have no number of their own share the last.
        cdef QueueRec *queue = &self.queue[self.caller[c].queue]
        cdef uint32_t i, unused = NEEDS - 1
        for i in range(NEEDS - 1):
            if queue.refs[i] and queue.need[i] == need:
                unused = i
                break
            if queue.refs[i] == 0 and unused == NEEDS - 1:
                unused = i
        queue.need[unused] = need if unused < NEEDS - 1 else 0
        queue.refs[unused] += 1
        self.caller[c].klass = unused
        self.caller[c].need = need
        return 0

    cdef void ask_no_more(self, uint32_t c) noexcept nogil:
        cdef QueueRec *queue = &self.queue[self.caller[c].queue]
        cdef uint32_t i = self.caller[c].klass
        queue.refs[i] -= 1
        if queue.refs[i] == 0:
            queue.need[i] = 0

    cdef void show(self, uint32_t c) noexcept nogil:
        # A caller who can be served now shows a bit: its need and the tiers that are open for it.
        cdef CallerRec *caller = &self.caller[c]
        cdef uint64_t bits = 0
        if caller.state == G_WAITING and (caller.live or self.queue[caller.queue].in_hours):
            bits = <uint64_t>1 << (caller.klass * TIERS + caller.tier_open)
        if self.caller_nodes[c].size and self.caller_nodes[c].bits != bits:
            set_bits(self.caller_nodes, c, bits)

    cdef int64_t tier_opens(self, const QueueRec *queue, uint32_t tier) noexcept nogil:
        # After how long in the queue: at once when nobody of the tier above is logged in.
        cdef int64_t opens = 0
        cdef uint32_t i
        for i in range(1, tier + 1):
            if queue.tier_logged[i - 1]:
                opens = max(opens, queue.set[TIER1_MS + i - 1])
        return opens

    cdef void open_tiers(self, uint32_t c) noexcept nogil:
        cdef CallerRec *caller = &self.caller[c]
        cdef QueueRec *queue = &self.queue[caller.queue]
        cdef uint32_t tier = 0
        while tier + 1 < TIERS \
                and caller.entered + self.tier_opens(queue, tier + 1) <= self.g.now:
            tier += 1
        caller.tier_open = tier

    cdef int reopen_tiers(self, uint32_t q) except -1:
        cdef uint32_t c = leftmost(self.caller_nodes, self.queue[q].line)
        while c:
            self.open_tiers(c)
            self.show(c)
            self.plan_caller(c)
            c = following(self.caller_nodes, c)
        return 0

    cdef int relax(self, uint32_t c) except -1:
        # To what the time in the queue allows.
        cdef CallerRec *caller = &self.caller[c]
        cdef uint64_t need = caller.need
        while caller.relaxed < caller.relaxations \
                and caller.entered + caller.relax_ms[caller.relaxed] <= self.g.now:
            need = caller.relax_need[caller.relaxed]
            caller.relaxed += 1
        if need != caller.need:
            self.ask_no_more(c)
            self.ask_for(c, need)
        return 0

    # -- when something is due ----------------------------------------------------------------

    cdef void plan_caller(self, uint32_t c) noexcept nogil:
        cdef CallerRec *caller = &self.caller[c]
        cdef QueueRec *queue = &self.queue[caller.queue]
        cdef int64_t due = 0, at
        cdef uint32_t tier = caller.tier_open + 1
        if caller.state == G_OUT:
            due = caller.not_before
        elif caller.state == G_LATER:
            due = min(caller.not_before, caller.expires)
        elif caller.state != G_TALKING:
            if caller.state == G_WAITING:        # an offer in progress wins: looked at after it
                if not caller.live:
                    due = caller.expires
                elif queue.set[TIMED_MS]:
                    due = caller.entered + queue.set[TIMED_MS]
                if caller.live and queue.unstaffed_since and queue.unstaffed_since < caller.entered:
                    at = caller.entered + queue.set[GRACE_MS]
                    if due == 0 or at < due:
                        due = at
            if caller.relaxed < caller.relaxations:
                at = caller.entered + caller.relax_ms[caller.relaxed]
                if due == 0 or at < due:
                    due = at
            if tier < TIERS:
                at = caller.entered + self.tier_opens(queue, tier)
                if due == 0 or at < due:
                    due = at
        self.schedule(CALLER | c, max(due, self.g.now) if due else 0)

    cdef void plan_queue(self, uint32_t q) noexcept nogil:
        # The end of the grace or of the dwell, or the longest wait reaching its mark.
        cdef QueueRec *queue = &self.queue[q]
        cdef int64_t due = 0, at
        if queue.unstaffed_since and queue.waiting:
            at = queue.unstaffed_since + queue.set[GRACE_MS]
            if at >= self.g.now and at != queue.grace_ended:
                due = at
        if queue.rush:
            at = queue.rush_since + queue.set[DWELL_MS]
        elif queue.set[WAIT_HIGH] and queue.oldest:
            at = self.caller[queue.oldest].arrived + queue.set[WAIT_HIGH]
        else:
            at = 0
        if at > self.g.now and (due == 0 or at < due):
            due = at
        self.schedule(q, due)

    cdef int must_leave(self, uint32_t c) noexcept nogil:
        # A Leave, 0 to stay: for somebody who is not being offered.
        cdef CallerRec *caller = &self.caller[c]
        cdef QueueRec *queue = &self.queue[caller.queue]
        if not caller.live:
            return L_EXPIRED if caller.expires <= self.g.now else 0
        if queue.closed and queue.set[LEAVE_AT_CLOSE]:
            return L_NIGHT if queue.closed == 1 else L_CLOSED
        if queue.unstaffed_since and max(queue.unstaffed_since, caller.entered) \
                + queue.set[GRACE_MS] <= self.g.now:
            return L_NO_AGENTS
        if queue.set[TIMED_MS] and caller.entered + queue.set[TIMED_MS] <= self.g.now:
            return L_TIMED
        if queue.set[ATTEMPTS] and caller.rounds >= queue.set[ATTEMPTS]:
            return L_NO_ANSWER
        return 0

    # -- the line -----------------------------------------------------------------------------

    cdef void line_up(self, uint32_t c) noexcept nogil:
        # Into the queue's order, and among those on the line by their arrival.
        cdef CallerRec *caller = &self.caller[c]
        cdef QueueRec *queue = &self.queue[caller.queue]
        cdef Node *node = &self.caller_nodes[c]
        cdef uint32_t behind
        node.k1 = -<int64_t>caller.priority
        node.k2 = caller.arrived
        node.k3 = caller.sequence
        node.bits = 0
        node.heap = <uint32_t>mix(<uint64_t>caller.id)
        insert(self.caller_nodes, &queue.line, c)
        if not caller.live:
            queue.callbacks += 1
            return
        queue.waiting += 1
        behind = queue.newest
        while behind and (self.caller[behind].arrived > caller.arrived or (
                self.caller[behind].arrived == caller.arrived
                and self.caller[behind].sequence > caller.sequence)):
            behind = self.caller[behind].older
        caller.older = behind
        if behind:
            caller.newer = self.caller[behind].newer
            self.caller[behind].newer = c
        else:
            caller.newer = queue.oldest
            queue.oldest = c
        if caller.newer:
            self.caller[caller.newer].older = c
        else:
            queue.newest = c

    cdef void stand_aside(self, uint32_t c) noexcept nogil:
        cdef CallerRec *caller = &self.caller[c]
        cdef QueueRec *queue = &self.queue[caller.queue]
        if self.caller_nodes[c].size == 0:
            return
        remove(self.caller_nodes, &queue.line, c)
        if not caller.live:
            queue.callbacks -= 1
            return
        queue.waiting -= 1
        if caller.older:
            self.caller[caller.older].newer = caller.newer
        else:
            queue.oldest = caller.newer
        if caller.newer:
            self.caller[caller.newer].older = caller.older
        else:
            queue.newest = caller.older
        caller.older = caller.newer = 0

    # -- rush: a latch with two marks and a dwell -------------------------------------------

    cdef int marked(self, uint32_t q, bint high) noexcept nogil:
        # The first mark that is reached: 1 length, 2 wait, 3 estimate; 0 for none.
        cdef QueueRec *queue = &self.queue[q]
        cdef int64_t mark = queue.set[LENGTH_HIGH if high else LENGTH_LOW]
        if queue.set[LENGTH_HIGH] and queue.waiting >= mark:
            return 1
        mark = queue.set[WAIT_HIGH if high else WAIT_LOW]
        if queue.set[WAIT_HIGH] and queue.oldest \
                and self.g.now - self.caller[queue.oldest].arrived >= mark:
            return 2
        mark = queue.set[ESTIMATE_HIGH if high else ESTIMATE_LOW]
        if queue.set[ESTIMATE_HIGH] and queue.n_free == 0 \
                and (queue.waiting + queue.callbacks + 1) * self.pace(queue) >= mark:
            return 3
        return 0

    cdef int latch(self, uint32_t q) except -1:
        cdef QueueRec *queue = &self.queue[q]
        cdef int which
        if queue.rush:
            if self.g.now - queue.rush_since >= queue.set[DWELL_MS] and not self.marked(q, False):
                which = queue.rush
                queue.rush = 0
                queue.rush_since = self.g.now
                self.say(W_RUSH, q, 0, 0, 0, 0, which)
        else:
            which = self.marked(q, True)
            if which:
                queue.rush = which
                queue.rush_since = self.g.now
                self.say(W_RUSH, q, 0, 0, 0, 1, which)
        self.plan_queue(q)
        return 0

    # -- estimated wait -------------------------------------------------------------------------

    cdef void fade(self, QueueRec *queue) noexcept nogil:
        cdef double left = exp2(-<double>(self.g.now - queue.handled_at) / HALF_LIFE_MS)
        queue.weight *= left
        queue.handled *= left
        queue.handled_at = self.g.now

    cdef void handled(self, uint32_t q, int64_t took) noexcept nogil:
        # A call with its wrap-up took so long.
        self.fade(&self.queue[q])
        self.queue[q].weight += 1.0
        self.queue[q].handled += <double>took
        if self.queue[q].samples < 1 << 30:
            self.queue[q].samples += 1

    cdef double pace(self, QueueRec *queue) noexcept nogil:
        # Milliseconds from one agent who becomes free to the next; 0 when nothing is known.
        if queue.share <= 0 or queue.weight <= 0:
            return 0
        return queue.handled / queue.weight * SHARE_UNIT / <double>queue.share

    cdef void measured(self, uint32_t c) noexcept nogil:
        # Was what we said (or would have said) right?
        cdef CallerRec *caller = &self.caller[c]
        cdef QueueRec *queue = &self.queue[caller.queue]
        cdef int64_t waited = self.g.now - caller.said_at
        if caller.said_at == 0:
            return
        queue.hits <<= 1
        if caller.said_low * 1000 <= waited <= caller.said_high * 1000:
            queue.hits |= 1
        if queue.n_hits < HIT_WINDOW:
            queue.n_hits += 1

    cdef bint range_of(self, uint32_t c, int64_t *low, int64_t *high) noexcept nogil:
        # Seconds until served, four times of five: the time of as many releases as there are
        # callers ahead, and one's own (a gamma distribution, by Wilson and Hilferty).
        cdef CallerRec *caller = &self.caller[c]
        cdef QueueRec *queue = &self.queue[caller.queue]
        cdef double pace = self.pace(queue), n, mean, middle, side
        if pace <= 0 or queue.samples < queue.set[MIN_SAMPLES] or queue.weight < 0.5:
            return False
        n = <double>(rank(self.caller_nodes, c) + 1)
        mean = n * pace
        middle = 1.0 - 1.0 / (9.0 * n)
        side = SPREAD / (3.0 * sqrt(n))
        low[0] = 0 if middle <= side else <int64_t>(mean * cube(middle - side) / 1000.0)
        high[0] = <int64_t>(mean * cube(middle + side) / 1000.0) + 1
        if caller.said_at and queue.share >= caller.said_share and high[0] > caller.said_high:
            high[0] = caller.said_high           # it goes up only when staff has left
            low[0] = min(low[0], high[0])
        return True
