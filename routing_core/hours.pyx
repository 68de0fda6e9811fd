"""Opening hours (I4): local time from a zone's table of changes, and the rule that decides.

The civil calendar is the proleptic Gregorian one; day numbers count from 1970-01-01.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t

from routing_core.codes cimport (
    CLOSED, DAILY, DATES, HOLIDAY, MONTHLY, OPEN, WEEKLY, YEARLY,
)
from routing_core.layout cimport (
    PlanRec, RuleRec, ScheduleRec, T_HOLIDAY, T_RULE, ZoneRec,
)
from routing_core.snapshot cimport Snapshot

cdef enum:
    BY_NOTHING = -1          # no rule matched: closed
    BY_HAND = -2
    BY_NO_SCHEDULE = -3


cdef void calendar(int32_t day, Local *out) noexcept nogil:
    # Days to year, month, day in eras of 400 years that begin on 1 March.
    cdef int64_t z = <int64_t>day + 719468
    cdef int64_t era = (z if z >= 0 else z - 146096) // 146097
    cdef int64_t doe = z - era * 146097
    cdef int64_t yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    cdef int64_t doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    cdef int64_t mp = (5 * doy + 2) // 153
    out.day = day
    out.month_day = <int32_t>(doy - (153 * mp + 2) // 5 + 1)
    out.month = <int32_t>(mp + 3 if mp < 10 else mp - 9)
    out.year = <int32_t>(yoe + era * 400 + (1 if out.month <= 2 else 0))
    out.weekday = <int32_t>((day + 3) % 7)     # day 0 was a Thursday


cdef void local_time(const ZoneRec *zone, int64_t now, Local *out) noexcept nogil:
    """The local day and minute of now (Unix seconds)."""
    cdef int32_t offset = zone.first_offset
    cdef uint32_t low = 0, high = zone.changes, middle
    while low < high:                           # the last change at or before now
        middle = (low + high) // 2
        if zone.at[middle] <= now:
            low = middle + 1
        else:
            high = middle
    if low:
        offset = zone.offset[low - 1]
    cdef int64_t local = now + offset
    cdef int32_t day = <int32_t>(local // 86400)
    calendar(day, out)
    out.minute = <int32_t>((local - <int64_t>day * 86400) // 60)


cdef bint is_holiday(Snapshot snapshot, uint32_t country, int32_t day) noexcept nogil:
    cdef const PlanRec *plan = snapshot.plan(country)
    if plan == NULL or plan.holidays == 0:
        return False
    cdef const int32_t *days = <const int32_t *>snapshot.record(T_HOLIDAY, plan.first_holiday)
    cdef uint32_t low = 0, high = plan.holidays, middle
    while low < high:
        middle = (low + high) // 2
        if days[middle] < day:
            low = middle + 1
        else:
            high = middle
    return low < plan.holidays and days[low] == day


cdef bint day_matches(Snapshot snapshot, const ScheduleRec *schedule, const RuleRec *rule,
                      const Local *at) noexcept nogil:
    cdef int32_t month_day
    if rule.kind == DAILY:
        return True
    if rule.kind == WEEKLY:
        return (rule.weekdays >> at.weekday) & 1
    if rule.kind == MONTHLY:
        return rule.from_day <= at.month_day <= rule.to_day
    if rule.kind == YEARLY:
        month_day = at.month * 100 + at.month_day
        if rule.from_day <= rule.to_day:
            return rule.from_day <= month_day <= rule.to_day
        return month_day >= rule.from_day or month_day <= rule.to_day
    if rule.kind == HOLIDAY:
        return is_holiday(snapshot, schedule.country, at.day)
    if rule.kind == DATES:
        return rule.from_day <= at.day <= rule.to_day
    return False


cdef bint rule_matches(Snapshot snapshot, const ScheduleRec *schedule, const RuleRec *rule,
                       const Local *today, const Local *yesterday) noexcept nogil:
    cdef int32_t start = rule.start_min, end = rule.end_min
    if start < end:
        return start <= today.minute < end and day_matches(snapshot, schedule, rule, today)
    # Past midnight: the part before belongs to today, the part after to yesterday.
    if today.minute >= start and day_matches(snapshot, schedule, rule, today):
        return True
    return today.minute < end and day_matches(snapshot, schedule, rule, yesterday)


cdef bint is_open(Snapshot snapshot, uint32_t schedule, int64_t now, int32_t *by) noexcept nogil:
    """Whether the schedule is open at now; by: index of the rule that says so, or BY_*.

    The rule with the highest priority among those that match decides; when none matches it is
    closed. Set by hand, the rules are not asked.
    """
    cdef const ScheduleRec *row = snapshot.schedule(schedule)
    if row == NULL:
        by[0] = BY_NO_SCHEDULE
        return True
    if row.state == OPEN or row.state == CLOSED:
        by[0] = BY_HAND
        return row.state == OPEN
    cdef const ZoneRec *zone = snapshot.zone(row.zone)
    cdef Local today, yesterday
    local_time(zone, now, &today)
    calendar(today.day - 1, &yesterday)
    cdef uint32_t count = 0, i
    cdef const RuleRec *rules = <const RuleRec *>snapshot.rows(
        T_RULE, schedule, row.first_rule, row.rules, &count)
    cdef int best = -1
    cdef bint open_now = False
    by[0] = BY_NOTHING
    for i in range(count):
        if <int>rules[i].priority > best and rule_matches(
                snapshot, row, &rules[i], &today, &yesterday):
            best = rules[i].priority
            open_now = rules[i].open
            by[0] = <int32_t>i
    return open_now
