from libc.stdint cimport uint32_t, uint64_t

from routing_core.layout cimport (
    AreaRec, BaseHeader, DeviceRec, GroupRec, NumberRec, OverlayHeader, PlanRec, TenantRec,
    TrunkRec, UserRec, ActivityRec, ScheduleRec, ZoneRec,
)


cdef class Snapshot:
    cdef object base_buffer, overlay_buffer      # keep the mappings alive
    cdef const char *base
    cdef const BaseHeader *header
    cdef const char *overlay
    cdef const OverlayHeader *changes
    cdef uint64_t seen        # the committed version that is read now: see pin()

    cdef attach(self, overlay)
    cdef const void *changed(self, int kind, uint64_t key, uint32_t *size) noexcept nogil
    cdef const void *record(self, int table, uint64_t index) noexcept nogil
    cdef const void *by_id(self, int table, uint64_t index) noexcept nogil
    cdef const void *rows(self, int table, uint64_t key, uint32_t first, uint32_t count,
                          uint32_t *found) noexcept nogil
    cdef const TenantRec *tenant(self, uint32_t tenant) noexcept nogil
    cdef const UserRec *user(self, uint32_t user) noexcept nogil
    cdef const DeviceRec *device(self, uint32_t device) noexcept nogil
    cdef const GroupRec *group(self, uint32_t group) noexcept nogil
    cdef const TrunkRec *trunk(self, uint32_t trunk) noexcept nogil
    cdef const AreaRec *area(self, uint32_t area) noexcept nogil
    cdef const ActivityRec *activity(self, uint32_t activity) noexcept nogil
    cdef const ScheduleRec *schedule(self, uint32_t schedule) noexcept nogil
    cdef const PlanRec *plan(self, uint32_t country) noexcept nogil
    cdef const ZoneRec *zone(self, uint32_t zone) noexcept nogil
    cdef bint number(self, uint64_t number, NumberRec *out) noexcept nogil
    cdef uint64_t extension(self, uint32_t tenant, uint32_t extension) noexcept nogil
    cdef uint32_t username(self, uint64_t name_hash) noexcept nogil
    cdef uint32_t source(self, uint64_t source_hash) noexcept nogil
    cdef int caller_rule(self, uint32_t user, uint64_t number) noexcept nogil
    cdef const char *caller_name(self, uint32_t tenant, uint64_t number,
                                 uint32_t *size) noexcept nogil
    cdef uint64_t pin(self) noexcept nogil

cdef uint64_t scaled(uint64_t value, uint64_t count) noexcept nogil
