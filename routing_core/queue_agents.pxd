from libc.stdint cimport int64_t, uint32_t, uint64_t

from routing_core.queue_state cimport QueueRec
from routing_core.queue_views cimport QueueViews


cdef class QueueAgents(QueueViews):
    cdef int begin(self, int op, int64_t now, int count) except -1
    cdef int settle(self, uint32_t q) except -1
    cdef int rejoin(self, uint32_t c) except -1
    cdef int gone(self, uint32_t c, int why) except -1
    cdef int keep_setting(self, int64_t now, int64_t queue, int place, int64_t value) except -1
    cdef int changed(self, uint32_t q) except -1
    cdef int drop_member(self, uint32_t m) except -1
    cdef int log_member_out(self, uint32_t m, int by) except -1
    cdef int pause_agent(self, uint32_t a, int64_t reason) except -1
    cdef int healed(self, uint32_t a) except -1
    cdef void unbind(self, uint32_t a) noexcept nogil
    cdef int agent_due(self, uint32_t a) except -1
    cdef int wrapped_up(self, uint32_t a) except -1
    cdef int rest(self, uint32_t a, int64_t until) except -1
    cdef int refresh(self, uint32_t a) except -1
    cdef bint update(self, uint32_t a) except -1
    cdef void put_in(self, uint32_t m) noexcept nogil
    cdef void take_out(self, uint32_t m) noexcept nogil
    cdef int roll(self) except -1
    cdef uint64_t may_take(self, uint32_t m) noexcept nogil
    cdef uint32_t head(self, uint32_t m) noexcept nogil
    cdef uint32_t best_for(self, uint32_t a) noexcept nogil
    cdef bint ahead(self, uint32_t c, uint32_t other) noexcept nogil
    cdef int serve_agent(self, uint32_t a) except -1
    cdef int serve_agents(self, list agents) except -1
    cdef int serve_caller(self, uint32_t c) except -1
    cdef uint32_t choose(self, QueueRec *queue, uint32_t tier, uint64_t need) noexcept nogil
    cdef int offer(self, uint32_t c, uint32_t m) except -1
    cdef uint32_t withdraw(self, uint32_t a, int why) except? 0
    cdef void unlink(self, uint32_t a) noexcept nogil
