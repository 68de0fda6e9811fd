from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from routing_core.layout cimport (
    DeviceRec, ForwardRec, GroupRec, MemberRec, PlanRec, TenantRec, UserRec,
)
from routing_core.live cimport Live
from routing_core.snapshot cimport Snapshot

cdef enum:
    MAX_DIVERTED = 5         # forwarders named to a carrier
    MAX_READS = 256          # pieces of live state one decision may look at
    MAX_STEPS = 32           # users, groups and numbers one decision may pass

cdef packed struct Trail:
    # What a call has been through; it travels with the call from decision to decision.
    uint64_t seed
    uint64_t caller          # E.164 of an outside caller, 0 = none shown
    uint64_t called          # the number or short code first called
    uint64_t wanted          # the number that the device asks to be shown
    uint64_t diverted[5]
    uint32_t visited[8]      # users; groups with the top bit
    uint32_t tenant
    uint32_t caller_user     # of the same tenant
    uint32_t device          # that the caller uses
    uint32_t user            # whose rules apply when this attempt fails
    uint32_t group           # that rings
    uint32_t payer           # whose barring applies to what goes out
    uint8_t n_diverted
    uint8_t n_visited
    uint8_t round            # of the group
    uint8_t position         # of the group's last member asked
    uint8_t called_kind
    uint8_t record
    uint8_t prefix_display
    uint8_t hidden           # the outside caller withheld the number

cdef packed struct Read:
    uint64_t value
    uint32_t id
    uint32_t what

cdef class Decision:
    cdef Trail t
    cdef readonly int kind, reason, code, ring_s, display, number_class
    cdef readonly uint32_t tenant, area, group, trunk_of_area
    cdef readonly uint64_t revision
    cdef readonly bint parallel, anchor, record, truncated
    cdef readonly int language
    cdef uint64_t shown, number, service
    cdef int n
    cdef uint8_t target_kind[30]
    cdef uint32_t target_id[30]
    cdef uint32_t target_user[30]
    cdef str location_text

cdef class Kernel:
    cdef readonly Snapshot snapshot
    cdef readonly Live live
    cdef object control_buffer, on_change
    cdef const uint64_t *control
    cdef uint64_t generation
    cdef Trail t
    cdef int64_t now
    cdef list trace
    cdef Read reads[256]
    cdef int n_reads, n_replay
    cdef bint replaying, diverged
    cdef uint64_t random_state

    cdef uint64_t observe(self, int what, uint32_t id) noexcept
    cdef uint64_t random(self) noexcept
    cdef void tell(self, int rule, object a, object b)
    cdef Decision reject(self, Decision d, int reason, int code)
    cdef uint64_t begin(self, Decision d, int source_kind, uint32_t source, str called,
                        str calling, str wanted)
    cdef uint64_t dialled(self, Decision d, str called, const PlanRec *plan, bint inside)
    cdef uint64_t resume(self, Decision d, int cause, str redirected)
    cdef bint visit(self, Decision d, uint32_t mark)
    cdef uint32_t activity_of(self, uint32_t user, const TenantRec *tenant)
    cdef const ForwardRec *forward(self, uint32_t user, const UserRec *row, int when,
                                   uint32_t activity) noexcept
    cdef uint64_t follow(self, uint32_t user, const UserRec *row, const ForwardRec *forward)
    cdef uint64_t to_user(self, Decision d, uint32_t user)
    cdef uint64_t failed_user(self, Decision d, uint32_t user, const UserRec *row, int cause)
    cdef uint64_t to_group(self, Decision d, uint32_t group)
    cdef uint64_t ring_group(self, Decision d, uint32_t group, int first)
    cdef int skip_reason(self, const GroupRec *row, const MemberRec *member,
                         const TenantRec *tenant)
    cdef int add_devices(self, Decision d, uint32_t user, const UserRec *row,
                         uint32_t kinds) noexcept
    cdef uint64_t to_number(self, Decision d, uint64_t number)
    cdef uint64_t outbound(self, Decision d, uint64_t number)
    cdef void trunks(self, Decision d, uint64_t number, bint any_prefix)
    cdef int collect(self, uint32_t tenant, uint64_t number, bint any_prefix,
                     uint32_t *trunk, uint32_t *position, uint32_t *weight) noexcept
    cdef bint choose_display(self, Decision d)
    cdef void emergency(self, Decision d, uint64_t number)
    cdef uint64_t leave_group(self, Decision d, const GroupRec *row)
    cdef void append_trunk(self, Decision d, uint32_t trunk)
    cdef load_reads(self, bytes observed)
    cdef Decision walk(self, int source_kind, uint32_t source, str called, str calling,
                       int64_t now, uint64_t seed, str wanted, bytes trail, int cause,
                       list trace)
