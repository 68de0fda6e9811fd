from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from routing_core.decision cimport Decision, Trail
from routing_core.layout cimport (
    DeviceRec, ForwardRec, GroupRec, MemberRec, PlanRec, TenantRec, UserRec,
)
from routing_core.outbound cimport Outbound

cdef enum:
    MAX_STEPS = 32           # users, groups and numbers one decision may pass

cdef class Kernel(Outbound):
    cdef uint64_t begin(self, Decision d, int source_kind, uint32_t source, str called,
                        str calling, str wanted)
    cdef uint64_t order(self, Decision d, uint32_t tenant, str called, uint64_t seed, bytes trail)
    cdef void telephones(self, Decision d, uint32_t tenant, str kind, uint32_t id,
                         uint32_t kinds)
    cdef void functions(self, Decision d)
    cdef int name_caller(self, Decision d) except -1
    cdef uint64_t dialled(self, Decision d, str called, const PlanRec *plan, bint inside)
    cdef uint64_t resume(self, Decision d, int cause, str redirected)
    cdef bint visit(self, Decision d, uint32_t mark)
    cdef const ForwardRec *forward(self, uint32_t user, const UserRec *row, int when,
                                   uint32_t activity) noexcept
    cdef uint64_t follow(self, uint32_t user, const UserRec *row, const ForwardRec *forward,
                         int why)
    cdef uint64_t to_user(self, Decision d, uint32_t user)
    cdef uint64_t failed_user(self, Decision d, uint32_t user, const UserRec *row, int cause)
    cdef uint64_t to_group(self, Decision d, uint32_t group)
    cdef uint64_t ring_group(self, Decision d, uint32_t group, int first)
    cdef int skip_reason(self, const GroupRec *row, const MemberRec *member,
                         const TenantRec *tenant)
    cdef int add_devices(self, Decision d, uint32_t user, const UserRec *row,
                         uint32_t kinds) noexcept
    cdef uint64_t to_number(self, Decision d, uint64_t number)
    cdef uint64_t leave_group(self, Decision d, const GroupRec *row)
    cdef Decision walk(self, int source_kind, uint32_t source, str called, str calling,
                       int64_t now, uint64_t seed, str wanted, bytes trail, int cause,
                       list trace)
