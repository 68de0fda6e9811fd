from libc.stdint cimport int64_t, uint32_t, uint64_t

from routing_core.queue_state cimport QueueRec, QueueState


cdef class QueueRules(QueueState):
    cdef int ask_for(self, uint32_t c, uint64_t need) except -1
    cdef void ask_no_more(self, uint32_t c) noexcept nogil
    cdef void show(self, uint32_t c) noexcept nogil
    cdef int64_t tier_opens(self, const QueueRec *queue, uint32_t tier) noexcept nogil
    cdef void open_tiers(self, uint32_t c) noexcept nogil
    cdef int reopen_tiers(self, uint32_t q) except -1
    cdef int relax(self, uint32_t c) except -1
    cdef void plan_caller(self, uint32_t c) noexcept nogil
    cdef void plan_queue(self, uint32_t q) noexcept nogil
    cdef int must_leave(self, uint32_t c) noexcept nogil
    cdef void line_up(self, uint32_t c) noexcept nogil
    cdef void stand_aside(self, uint32_t c) noexcept nogil
    cdef int marked(self, uint32_t q, bint high) noexcept nogil
    cdef int latch(self, uint32_t q) except -1
    cdef void fade(self, QueueRec *queue) noexcept nogil
    cdef void handled(self, uint32_t q, int64_t took) noexcept nogil
    cdef double pace(self, QueueRec *queue) noexcept nogil
    cdef void measured(self, uint32_t c) noexcept nogil
    cdef bint range_of(self, uint32_t c, int64_t *low, int64_t *high) noexcept nogil
