from libc.stdint cimport uint32_t, uint64_t

from routing_core.layout cimport (
    ActivityRec, AreaRec, DeviceRec, ForwardRec, GroupRec, MemberRec, NumberRec, RouteRec, RuleRec,
    ScheduleRec, ServiceRec, TenantRec, TrunkRec, UserRec,
)

# One meaning of a row, for a base and for a single change. Each fills a zeroed record.
cdef int fill_tenant(TenantRec *r, tuple row) except -1
cdef int fill_user(UserRec *r, tuple row) except -1
cdef int add_device(UserRec *r, tuple row) except -1
cdef int fill_device(DeviceRec *r, tuple row) except -1
cdef int fill_number(NumberRec *r, tuple row) except -1
cdef int fill_activity(ActivityRec *r, tuple row) except -1
cdef int fill_forward(ForwardRec *r, tuple row) except -1
cdef int fill_group(GroupRec *r, tuple row) except -1
cdef int fill_service(ServiceRec *r, tuple row) except -1
cdef int fill_member(MemberRec *r, tuple row) except -1
cdef int fill_schedule(ScheduleRec *r, tuple row) except -1
cdef int fill_rule(RuleRec *r, dict rule) except -1
cdef int fill_trunk(TrunkRec *r, tuple row) except -1
cdef int fill_route(RouteRec *r, tuple row) except -1
cdef int fill_area(AreaRec *r, tuple row) except -1
cdef uint64_t number_of(str table, str field, object text) except? 0
cdef uint64_t caller_number(str text) except? 0
cdef uint64_t hashed(str text)
cdef int caller_rule_code(object rule) except -1
