from libc.stdint cimport int32_t, int64_t, uint32_t

from routing_core.layout cimport RuleRec, ScheduleRec, ZoneRec
from routing_core.snapshot cimport Snapshot

cdef packed struct Local:
    int32_t day              # days since 1970-01-01, local
    int32_t minute           # of the local day
    int32_t year
    int32_t month
    int32_t month_day
    int32_t weekday          # 0 = Monday

cdef void local_time(const ZoneRec *zone, int64_t now, Local *out) noexcept nogil
cdef bint is_open(Snapshot snapshot, uint32_t schedule, int64_t now, int32_t *by) noexcept nogil
