from libc.stdint cimport int64_t, uint32_t, uint64_t

from routing_core.queue_rules cimport QueueRules


cdef class QueueViews(QueueRules):
    cdef int64_t measure(self, uint32_t m, uint64_t need) noexcept nogil
    cdef int64_t talked(self, uint32_t a) noexcept nogil
    cdef void age(self, uint32_t a) noexcept nogil
    cdef int state_of(self, uint32_t a) noexcept nogil
    cdef int place(self, uint32_t c) noexcept nogil
    cdef int skipped(self, uint32_t c, uint32_t m) noexcept nogil
