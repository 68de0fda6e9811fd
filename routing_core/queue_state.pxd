"""What the queue engine remembers: flat arrays whose links are indexes (0: nobody)."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from routing_core.ranking cimport Node

cdef enum:
    TIERS = 4
    NEEDS = 16               # different needs in a queue at once; the last one is for all the rest
    RELAXATIONS = 3
    BUCKETS = 16             # of the fair strategy's window
    BUCKET_MS = 900000

# A queue's settings, in the order in which they are journaled.
cdef enum:
    STRATEGY, AT_ONCE, RING_MS, WEIGHT, WRAP_MS, PROLONG_MS, REST_MS, MAX_MISSES, ON_MISSES,
    NO_ANSWER_MS, REJECTED_MS, BUSY_MS, UNREACHABLE_MS, ATTEMPTS, TIMED_MS, GRACE_MS,
    LEAVE_AT_CLOSE, LENGTH_HIGH, LENGTH_LOW, WAIT_HIGH, WAIT_LOW, ESTIMATE_HIGH, ESTIMATE_LOW,
    DWELL_MS, TIER1_MS, TIER2_MS, TIER3_MS, MAX_WAITING, CALLBACK_TRIES, CALLBACK_GAP_MS,
    CALLBACK_LIFE_MS, MIN_SAMPLES, HIT_PERMILLE, PAUSES_PRESENT,
    N_SETTINGS

cdef struct Timer:
    int64_t due              # 0: not set
    uint32_t at              # in the heap, from 1
    uint32_t spare

cdef struct QueueRec:
    int64_t id
    int64_t set[N_SETTINGS]
    Timer timer
    int64_t rush_since
    int64_t unstaffed_since  # 0: somebody is there
    int64_t grace_ended      # when those who waited were last thrown out for that
    int64_t share            # of agents who work for it, in SHARE_UNITs
    double weight            # of the handling times, newest heaviest
    double handled
    int64_t handled_at
    uint64_t hits            # of the last estimates, newest lowest
    uint64_t need[NEEDS]
    uint32_t refs[NEEDS]
    uint32_t free[TIERS]     # sets of eligible members
    uint32_t tier_logged[TIERS]
    uint32_t line            # set of callers in order
    uint32_t oldest          # live callers by arrival
    uint32_t newest
    uint32_t exists
    uint32_t closed
    uint32_t rush
    uint32_t in_hours        # callbacks may be dialled
    uint32_t first_member
    uint32_t waiting
    uint32_t callbacks
    uint32_t logged_in
    uint32_t n_free
    uint32_t staffed
    uint32_t samples
    uint32_t n_hits

cdef struct AgentRec:
    int64_t id
    Timer timer
    int64_t since
    int64_t until            # of wrap-up or rest
    int64_t rest_until
    int64_t idle_since
    int64_t answered_at
    int64_t attempt
    int64_t caller_id
    uint32_t state
    uint32_t pause           # 0 none, reason + 1
    uint32_t present
    uint32_t reachable
    uint32_t line_busy
    uint32_t ready
    uint32_t n_logins
    uint32_t first_member
    uint32_t caller
    uint32_t queue
    uint32_t member
    uint32_t next_offer
    uint32_t allowance       # of prolonging, used ms
    uint32_t unreached       # the customer of this callback did not come: no conversation
    int64_t bucket           # of the last call, and what was talked before, by quarter of an hour
    int64_t talk[BUCKETS]
    int64_t spare[4]         # a whole number of cache lines

cdef struct MemberRec:
    uint64_t skills
    uint32_t queue
    uint32_t agent
    uint32_t tier
    uint32_t position
    uint32_t logged_in
    uint32_t misses
    uint32_t in_free
    uint32_t staff
    uint32_t share
    uint32_t next_of_queue
    uint32_t next_of_agent
    uint32_t offered
    uint32_t answered
    uint32_t spare

cdef struct CallerRec:
    int64_t id
    Timer timer
    int64_t arrived
    int64_t sequence
    int64_t entered
    int64_t not_before
    int64_t expires
    int64_t said_at
    int64_t said_low
    int64_t said_high
    int64_t said_share
    int64_t tag
    uint64_t need
    uint64_t relax_need[RELAXATIONS]
    int64_t relax_ms[RELAXATIONS]
    uint32_t relaxations
    uint32_t relaxed
    uint32_t queue
    uint32_t state
    uint32_t live
    uint32_t priority
    uint32_t rounds
    uint32_t tries
    uint32_t klass
    uint32_t tier_open
    uint32_t first_offer
    uint32_t older
    uint32_t newer
    uint32_t agent           # whom a callback is made by; of an unused record: the next one

cdef struct Globals:
    int64_t seed
    int64_t now
    int64_t sequence
    int64_t attempts
    int64_t licences
    int64_t logged_in
    int64_t pause_counts
    int64_t rolled           # the bucket that the fair strategy was last brought up to
    Timer timer
    uint64_t random
    uint32_t n_queues        # records in use, with nobody's at 0
    uint32_t n_agents
    uint32_t n_members
    uint32_t n_callers
    uint32_t free_member     # heads of lists of unused records
    uint32_t free_caller
    uint32_t callers
    uint32_t members
    uint32_t n_timers
    uint32_t spare


cdef class QueueState:
    cdef Globals g
    cdef QueueRec *queue
    cdef AgentRec *agent
    cdef MemberRec *member
    cdef CallerRec *caller
    cdef Node *member_nodes
    cdef Node *caller_nodes
    cdef uint64_t *heap      # kind << 32 | index
    cdef uint32_t room_queues, room_agents, room_members, room_callers, room_heap
    cdef dict queue_index, agent_index
    cdef list out
    cdef int64_t args[20]
    cdef char *journal
    cdef size_t journal_size, journal_room
    cdef uint64_t draw(self) noexcept nogil
    cdef int make_room(self) except -1
    cdef int advance(self, int64_t now) except -1
    cdef uint32_t queue_at(self, int64_t id) except? 0
    cdef uint32_t agent_at(self, int64_t id) except? 0
    cdef uint32_t caller_at(self, int64_t id) noexcept nogil
    cdef uint32_t member_at(self, uint32_t queue, uint32_t agent) noexcept nogil
    cdef Timer *timer_of(self, uint64_t ref) noexcept nogil
    cdef bint sooner(self, uint64_t a, uint64_t b) noexcept nogil
    cdef void put(self, uint32_t at, uint64_t ref) noexcept nogil
    cdef int take_room(self) except -1
    cdef void schedule(self, uint64_t ref, int64_t due) noexcept nogil
    cdef int note(self, int op, int count) except -1
    cdef int say(self, int what, uint32_t queue, int64_t caller, uint32_t agent, int64_t attempt,
                 int64_t x, int64_t y) except -1
