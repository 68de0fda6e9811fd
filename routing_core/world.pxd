from libc.stdint cimport int64_t, uint32_t, uint64_t

from routing_core.live cimport Live
from routing_core.snapshot cimport Snapshot

cdef enum:
    MAX_READS = 256          # pieces of live state one decision may look at

cdef enum:
    # What observe() looks at.
    SEEN_PRESENCE = 1
    SEEN_LINE = 2
    SEEN_LOGIN = 3
    SEEN_TRUNK = 4

cdef packed struct Read:
    uint64_t value
    uint32_t id
    uint32_t what

cdef class World:
    cdef readonly Snapshot snapshot
    cdef readonly Live live
    cdef object control_buffer, on_change
    cdef const uint64_t *control
    cdef uint64_t generation
    cdef int64_t now
    cdef list trace
    cdef Read reads[256]
    cdef int n_reads, n_replay
    cdef bint replaying, diverged, owned
    cdef uint64_t random_state

    cdef uint64_t observe(self, int what, uint32_t id) noexcept
    cdef uint64_t random(self) noexcept
    cdef void tell(self, int rule, object a, object b)
    cdef load_reads(self, bytes observed)
