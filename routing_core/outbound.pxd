from libc.stdint cimport uint32_t, uint64_t

from routing_core.decision cimport Decision, Trail
from routing_core.layout cimport TenantRec
from routing_core.world cimport World

cdef dict SIP_CODES

cdef class Outbound(World):
    cdef Trail t

    cdef Decision reject(self, Decision d, int reason, int code)
    cdef uint32_t activity_of(self, uint32_t user, const TenantRec *tenant)
    cdef uint64_t outbound(self, Decision d, uint64_t number)
    cdef void trunks(self, Decision d, uint64_t number, bint any_prefix)
    cdef int collect(self, uint32_t tenant, uint64_t number, bint any_prefix,
                     uint32_t *trunk, uint32_t *position, uint32_t *weight) noexcept
    cdef bint choose_display(self, Decision d)
    cdef void emergency(self, Decision d, uint64_t number)
    cdef void append_trunk(self, Decision d, uint32_t trunk)
