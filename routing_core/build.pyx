"""Rows of the store to records of a snapshot: a whole base, or single changes in an overlay.

Both go through the same fill_* functions, so a change means the same on either way.
Rows are tuples in the order of rows.COLUMNS. RowError names the table and field that cannot be
compiled; the store's checks make it a fault, not something a customer sees.
"""

import base64
import datetime
import functools
import zoneinfo

import msgspec
import xxhash

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from routing_core.codes cimport (
    ANY, BUSY, CLOSED, DAILY, DATES, DIRECT, FIXED, GROUP, HIDDEN, HOLIDAY, INHERIT, MAIN, MOBILE,
    MOBILE_ROLE, MONTHLY, NO_ROLE, NUMBER, ON_ACTIVITY, ON_BUSY, ON_NO_ANSWER, ON_UNREACHABLE,
    OPEN, OWN_MOBILE, PARALLEL, RANDOM, SERIAL, SERVICE, SUPPORT, USER, WEEKLY, WORK, YEARLY,
    ALWAYS, AUTO, VIP, BLOCKED,
)
from routing_core.layout cimport (
    ActivityRec, AreaRec, BaseHeader, CallerSlot, DeviceRec, D_ANYWHERE, D_DIGEST_SHIFT, D_ENABLED,
    ForwardRec, EXTENSION_OF_GROUP, EXTENSION_OF_SERVICE, GroupRec, H_CALLER, H_EXTENSION, H_NAME,
    H_NUMBER, H_SOURCE, H_USERNAME, KeySlot, LAYOUT_VERSION, MAX_DEVICES, MemberRec, N_DIRECT,
    N_FULL, N_MOBILE, NameSlot, NumberRec, NumberSlot, PlanRec, RouteRec, RuleRec, SHORT,
    ScheduleRec, ServiceRec, TABLES, TenantRec, TrunkRec, T_ACTIVITY, T_AREA, T_DEVICE, T_FORWARD,
    T_GROUP, T_HOLIDAY, T_MEMBER, T_NAME, T_NUMBER, T_PLAN, T_ROUTE, T_RULE, T_SCHEDULE, T_SERVICE,
    T_TENANT, T_TRUNK, T_USER, T_ZONE, UserRec, U_CALLER_RULES, U_CALL_WAITING, U_ENABLED,
    U_FUNCTIONS, U_RECORD, ZoneRec, caller_key, extension_key, hash_text, make_target, mix,
)
from routing_core.numbers cimport number_class, read_e164
from routing_core.snapshot cimport scaled

from routing_core.caller_names import shown_name
from routing_core.errors import RowError
from routing_core.numbers import NATIONAL_DIGITS
from routing_core.rows import (
    COLUMNS, COUNTRIES, DEVICE_KINDS, DIGESTS, DIVERSIONS, FORMATS, IDENTITIES, LANGUAGES,
    TRANSPORTS, ZONES,
)

cdef dict DISPLAYS = {None: INHERIT, "main": MAIN, "direct": DIRECT, "mobile": OWN_MOBILE,
                      "support": SUPPORT, "hidden": HIDDEN}
cdef dict TARGETS = {"user": USER, "group": GROUP, "number": NUMBER, "busy": BUSY,
                     "service": SERVICE}
cdef dict EVENTS = {"always": ALWAYS, "busy": ON_BUSY, "no_answer": ON_NO_ANSWER,
                    "unreachable": ON_UNREACHABLE, "activity": ON_ACTIVITY}
cdef dict CALLED = {"any": ANY, "fixed": FIXED, "mobile": MOBILE}
cdef dict NUMBER_KINDS = {"mobile": MOBILE}
cdef dict STRATEGIES = {"parallel": PARALLEL, "serial": SERIAL, "random": RANDOM}
cdef dict STATES = {"auto": AUTO, "open": OPEN, "closed": CLOSED}
cdef dict RULE_KINDS = {"daily": DAILY, "weekly": WEEKLY, "monthly": MONTHLY, "yearly": YEARLY,
                        "holiday": HOLIDAY, "dates": DATES}
cdef dict ROLES = {"none": NO_ROLE, "work": WORK, "mobile": MOBILE_ROLE}
cdef dict CALLER_RULES = {"vip": VIP, "blocked": BLOCKED}
cdef dict COUNTRY_INDEX = {name: i for i, name in enumerate(COUNTRIES)}
cdef dict ZONE_INDEX = {name: i for i, name in enumerate(ZONES)}
cdef dict LANGUAGE_INDEX = {name: i for i, name in enumerate(LANGUAGES)}
cdef dict KIND_INDEX = {name: i for i, name in enumerate(DEVICE_KINDS)}
cdef enum:
    SECRET_LETTERS = 26

cdef uint64_t EXTENSION_BIT = <uint64_t>1 << 55
EPOCH = datetime.date(1970, 1, 1).toordinal()
FIRST_YEAR, LAST_YEAR = 2000, 2050      # of time zones and holidays; outside, the nearest applies

cdef uint32_t SIZES[24]
SIZES[:] = [
    sizeof(TenantRec), sizeof(UserRec), sizeof(DeviceRec), sizeof(NumberRec), sizeof(ActivityRec),
    sizeof(ForwardRec), sizeof(GroupRec), sizeof(MemberRec), sizeof(ScheduleRec), sizeof(RuleRec),
    sizeof(TrunkRec), sizeof(RouteRec), sizeof(AreaRec), sizeof(PlanRec), sizeof(ZoneRec),
    sizeof(int32_t), sizeof(NumberSlot), sizeof(uint32_t), sizeof(uint32_t), sizeof(KeySlot),
    sizeof(CallerSlot), sizeof(ServiceRec), sizeof(char), sizeof(NameSlot),
]


# -- fields -----------------------------------------------------------------------------------

cdef uint64_t number_of(str table, str field, object text) except? 0:
    cdef Py_ssize_t size = 0
    cdef const char *c
    cdef uint64_t value
    if text is None:
        return 0
    c = PyUnicode_AsUTF8AndSize(text, &size)
    value = read_e164(c, size)
    if value == 0:
        raise RowError(table, field, f"{text!r} is not an E.164 number")
    return value


cdef uint64_t target_of(str table, str field, object kind, object user, object group,
                        object text) except? 0:
    if kind is None:
        return 0
    cdef int code = TARGETS.get(kind, 0)
    if code == USER and user is not None:
        return make_target(USER, user)
    if code == GROUP and group is not None:
        return make_target(GROUP, group)
    if code == NUMBER:
        return make_target(NUMBER, number_of(table, field, text))
    if code == BUSY:
        return make_target(BUSY, 0)
    if code == SERVICE and text is not None:
        return make_target(SERVICE, int(text))
    raise RowError(table, field, f"no target: {kind!r} {user!r} {group!r} {text!r}")


cdef int choice_of(str table, str field, dict choices, object value) except -1:
    found = choices.get(value)
    if found is None:
        raise RowError(table, field, f"{value!r} is none of {sorted(map(str, choices))}")
    return found


cdef uint64_t short_or_e164(str text) except? 0:
    # What is dialled for an emergency centre: 112, or the centre's own number.
    cdef uint64_t value
    if text.startswith("+"):
        return number_of("area", "centre", text)
    if not text.isdecimal() or len(text) > 15:
        raise RowError("area", "centre", f"{text!r} is no number")
    value = int(text)
    return value | SHORT()


# -- records ----------------------------------------------------------------------------------

cdef int fill_tenant(TenantRec *r, tuple row) except -1:
    (id_, country, language, zone, main, support, foreign, end, area, barred, media,
     callback_classes, operator_barred) = row
    r.id = id_
    r.country = choice_of("tenant", "country", COUNTRY_INDEX, country)
    r.language = choice_of("tenant", "language", LANGUAGE_INDEX, language)
    r.zone = choice_of("tenant", "time_zone", ZONE_INDEX, zone)
    r.main = number_of("tenant", "main_number", main)
    r.support = number_of("tenant", "support_number", support)
    r.refuse_foreign = foreign == "refuse"
    r.end_informs = end == "inform"
    r.area = area or 0
    r.barred = barred | operator_barred
    r.anchor = media == "always"
    r.callback_classes = callback_classes
    return 0


cdef int fill_plan(PlanRec *plan, dict data) except -1:
    cdef int i
    plan.present = 1
    plan.country_code = data["country_code"]
    if plan.country_code not in NATIONAL_DIGITS:
        raise RowError("plan", "country_code", f"what +{plan.country_code} leaves out of "
                       "its numbers is not known: routing_core/numbers.pyx")
    for i, text in enumerate(data["emergency"]):
        plan.emergency[i] = <uint64_t>int(text) | SHORT()
        plan.n_emergency = i + 1
    for i, text in enumerate(data["special"]):
        plan.special[i] = <uint64_t>int(text) | SHORT()
        plan.n_special = i + 1
    for i, text in enumerate(data["international_prefixes"]):
        plan.international[i] = int("1" + text)
        plan.n_international = i + 1
    i = 0
    for name, prefixes in data["classes"].items():
        for prefix in prefixes:
            plan.classes[i].low = int(prefix.ljust(15, "0"))
            plan.classes[i].high = plan.classes[i].low + prefix_width(len(prefix))
            plan.classes[i].number_class = CLASS_BITS[name]
            plan.classes[i].digits = len(prefix)
            i += 1
    plan.n_classes = i
    return 0


def class_of(str number not None, dict data not None):
    """The class (a bit of NumberClass) of "+46...", by a plan as in configs/number_plans.json."""
    cdef PlanRec plan
    memset(&plan, 0, sizeof(plan))
    fill_plan(&plan, data)
    return number_class(int(number[1:]), &plan)


cdef int fill_user(UserRec *r, tuple row) except -1:
    r.tenant = row[1]
    r.extension = int(row[2]) if row[2] is not None else 0
    r.display = choice_of("user", "display", DISPLAYS, row[3])
    r.barred = row[4]
    r.area = row[5] or 0
    r.ring_s = row[6]
    r.flags = (U_ENABLED if row[7] else 0) | (U_RECORD if row[8] else 0) \
        | (U_CALL_WAITING if row[9] else 0) | (U_FUNCTIONS if row[11] else 0)
    r.language = LANGUAGE_INDEX.get(row[10], 255)
    return 0


cdef int add_device(UserRec *r, tuple row) except -1:
    cdef int i
    if not row[7]:
        return 0
    for i in range(MAX_DEVICES):
        if r.devices[i] == 0:
            r.devices[i] = <uint32_t>row[0] | (<uint32_t>choice_of(
                "device", "kind", KIND_INDEX, row[2]) << 28)
            return 0
    raise RowError("device", "user", f"user {row[1]} has more than {MAX_DEVICES} devices")


cdef int read_base32(str text, uint8_t *out) except -1:
    # 26 letters (RFC 4648 section 6, lower case, no padding) to 16 bytes. The library's function
    # took a third of the time of compiling a million devices.
    cdef Py_ssize_t size = 0, i
    cdef const char *c = PyUnicode_AsUTF8AndSize(text, &size)
    cdef uint32_t bits = 0
    cdef int have = 0, done = 0, value
    if size != SECRET_LETTERS:
        raise RowError("device", "secret", f"{size} letters, not {SECRET_LETTERS}")
    for i in range(size):
        if c"a" <= c[i] <= c"z":
            value = c[i] - c"a"
        elif c"2" <= c[i] <= c"7":
            value = c[i] - c"2" + 26
        else:
            raise RowError("device", "secret", "a letter that is not base32")
        bits = (bits << 5 | <uint32_t>value) & 0xFFF
        have += 5
        if have >= 8:
            have -= 8
            out[done] = <uint8_t>(bits >> have)
            done += 1
    return 0


def secret_text(secret: bytes) -> str:
    """The password that a device sends: 26 base32 letters of 16 bytes."""
    return base64.b32encode(secret).decode("ascii").rstrip("=").lower()


def whole(str table, rows):
    """The rows, each of which has all of its columns; RowError."""
    cdef Py_ssize_t columns = len(COLUMNS[table])
    cdef tuple row
    for row in rows:
        if len(row) != columns:
            raise RowError(table, "columns", f"{len(row)} instead of {columns}")
        yield row


cdef int fill_device(DeviceRec *r, tuple row) except -1:
    cdef Py_ssize_t size = 0
    cdef const char *name = PyUnicode_AsUTF8AndSize(row[3], &size)
    r.name_hash = hash_text(name, size)
    r.user = row[1]
    r.area = row[5] or 0
    r.display = choice_of("device", "display", DISPLAYS, row[6])
    r.flags = ((D_ENABLED if row[7] else 0) | (D_ANYWHERE if row[9] == "anywhere" else 0)
               | (DIGESTS.index(row[8]) << D_DIGEST_SHIFT))
    read_base32(row[4], r.secret)
    return 0


cdef int fill_number(NumberRec *r, tuple row) except -1:
    r.number = number_of("number", "e164", row[0])
    r.tenant = row[1]
    r.called = MOBILE if row[2] == "mobile" else FIXED
    r.target = target_of("number", "target", row[3], row[4], row[5], row[6])
    r.schedule = row[7] or 0
    r.closed_target = target_of("number", "closed_target", row[8], row[9], row[10], row[11])
    r.record = bool(row[12])
    return 0


cdef int fill_activity(ActivityRec *r, tuple row) except -1:
    r.tenant = row[1]
    r.reachable = bool(row[2])
    r.in_groups = bool(row[3])
    r.role = choice_of("activity", "role", ROLES, row[4])
    return 0


cdef int fill_forward(ForwardRec *r, tuple row) except -1:
    r.when = choice_of("forward", "event", EVENTS, row[1])
    r.activity = row[2] or 0
    r.called = choice_of("forward", "called", CALLED, row[3])
    r.target = target_of("forward", "target", row[4], row[5], row[6], row[7])
    return 0


cdef int fill_group(GroupRec *r, tuple row) except -1:
    r.tenant = row[1]
    r.extension = int(row[2]) if row[2] is not None else 0
    r.strategy = choice_of("ring_group", "strategy", STRATEGIES, row[3])
    r.ring_s = row[4]
    r.attempts = row[5]
    r.skip_busy = bool(row[6])
    r.record = bool(row[7])
    r.no_answer = target_of("ring_group", "no_answer", row[8], row[9], row[10], row[11])
    r.nobody = target_of("ring_group", "nobody", row[12], row[13], row[14], row[15])
    return 0


cdef int fill_service(ServiceRec *r, tuple row) except -1:
    r.tenant = row[1]
    r.extension = int(row[2]) if row[2] is not None else 0
    return 0


cdef int fill_member(MemberRec *r, tuple row) except -1:
    r.id = row[1]
    r.user = row[2]
    r.priority = row[3]
    r.device_kinds = row[4]
    return 0


cdef int fill_schedule(ScheduleRec *r, tuple row) except -1:
    r.tenant = row[1]
    r.zone = choice_of("schedule", "time_zone", ZONE_INDEX, row[2])
    r.state = choice_of("schedule", "state", STATES, row[3])
    r.country = choice_of("schedule", "country", COUNTRY_INDEX, row[4])
    return 0


cdef int day_number(str text) except? -1:
    return datetime.date.fromisoformat(text).toordinal() - EPOCH


cdef int fill_rule(RuleRec *r, dict rule) except -1:
    r.kind = choice_of("schedule", "rules", RULE_KINDS, rule["kind"])
    r.open = rule["open"]
    r.priority = rule["priority"]
    r.start_min = rule["start"]
    r.end_min = rule["end"]
    for day in rule["weekdays"]:
        r.weekdays |= 1 << day
    if r.kind == MONTHLY:
        r.from_day = rule["from_day"]
        r.to_day = rule["to_day"]
    elif r.kind == YEARLY:
        month, day = rule["from_date"].split("-")
        r.from_day = int(month) * 100 + int(day)
        month, day = rule["to_date"].split("-")
        r.to_day = int(month) * 100 + int(day)
    elif r.kind == DATES:
        r.from_day = day_number(rule["from_date"])
        r.to_day = day_number(rule["to_date"])
    return 0


cdef int put_text(char *into, size_t room, str field, str text) except -1:
    cdef bytes raw = text.encode("utf-8")
    if <size_t>len(raw) >= room:
        raise RowError("trunk", field, f"longer than {room - 1} bytes")
    memcpy(into, <const char *>raw, len(raw))
    return 0


cdef int fill_trunk(TrunkRec *r, tuple row) except -1:
    (_id, tenant, host, port, transport, country, identity, diversion, forwarded, format_, media,
     ring_s, kind, enabled, username, secret) = row
    r.tenant = tenant or 0
    put_text(r.host, sizeof(r.host), "host", host)
    put_text(r.username, sizeof(r.username), "username", username)
    put_text(r.secret, sizeof(r.secret), "secret", secret)
    r.port = port
    r.transport = TRANSPORTS.index(transport)
    r.country = choice_of("trunk", "country", COUNTRY_INDEX, country)
    r.identity = IDENTITIES.index(identity)
    r.diversion = DIVERSIONS.index(diversion)
    r.forwarded = forwarded == "forwarder"
    r.format = FORMATS.index(format_)
    r.anchor = media == "always"
    r.ring_s = ring_s
    r.registers = kind == "registration"
    r.present = bool(enabled)
    return 0


cdef uint64_t prefix_width(Py_ssize_t digits) noexcept:
    # How many 15-digit numbers share a prefix of so many digits.
    cdef uint64_t width = 1000000000000000
    while digits > 0:
        width //= 10
        digits -= 1
    return width


cdef int fill_route(RouteRec *r, tuple row) except -1:
    cdef str prefix = row[1]
    if prefix and (not prefix.isdecimal() or len(prefix) > 15):
        raise RowError("route", "prefix", f"{prefix!r} is not digits")
    r.low = int(prefix.ljust(15, "0")) if prefix else 0
    r.high = r.low + prefix_width(len(prefix))
    r.trunk = row[2]
    r.position = row[3]
    r.weight = row[4]
    return 0


cdef int fill_area(AreaRec *r, tuple row) except -1:
    cdef bytes location = (row[2] or "").encode("utf-8")
    if len(location) >= sizeof(r.location):
        raise RowError("area", "location", "longer than 111 bytes")
    r.centre = short_or_e164(row[1])
    memcpy(r.location, <const char *>location, len(location))
    r.trunk = row[3] or 0
    r.present = 1
    return 0


cdef int caller_rule_code(object rule) except -1:
    return choice_of("caller_rule", "rule", CALLER_RULES, rule) if rule else 0


cdef uint64_t caller_number(str text) except? 0:
    # "+46..." is an outside number, plain digits a colleague's extension.
    if text.startswith("+"):
        return number_of("caller_rule", "number", text)
    return EXTENSION_BIT | <uint64_t>int(text)


# -- data of countries and zones ---------------------------------------------------------------

@functools.lru_cache(maxsize=64)
def zone_changes(name: str) -> tuple[int, tuple[tuple[int, int], ...]]:
    """(offset before the first change, ((Unix second, offset s after it), ...))"""
    zone = zoneinfo.ZoneInfo(name)
    start = int(datetime.datetime(FIRST_YEAR, 1, 1, tzinfo=datetime.UTC).timestamp())
    end = int(datetime.datetime(LAST_YEAR, 1, 1, tzinfo=datetime.UTC).timestamp())

    def offset(at):
        return int(datetime.datetime.fromtimestamp(at, zone).utcoffset().total_seconds())

    first = before = offset(start)
    changes = []
    for day in range(start, end, 86400):
        after = offset(day + 86400)
        if after != before:
            low, high = day, day + 86400
            while high - low > 1:
                middle = (low + high) // 2
                if offset(middle) == before:
                    low = middle
                else:
                    high = middle
            changes.append((high, after))
            before = after
    return first, tuple(changes)


@functools.lru_cache(maxsize=8)
def holidays_of(country: str) -> tuple[int, ...]:
    """Days since 1970 on which the country's offices are closed, Sundays apart."""
    import holidays

    found = set()
    for category in ("public", "de_facto"):   # "bank" has half days among them
        try:
            days = holidays.country_holidays(
                country, years=range(FIRST_YEAR + 20, LAST_YEAR), categories=category)
        except ValueError:
            continue
        found.update(day for day, name in days.items() if name not in ("Söndag", "Sunday"))
    return tuple(sorted(day.toordinal() - EPOCH for day in found))


# -- a whole base ------------------------------------------------------------------------------

cdef class Table:
    # Records in memory that grow; zero where nothing was written.
    cdef char *data
    cdef uint64_t count, capacity
    cdef uint32_t size

    def __cinit__(self, uint32_t size):
        self.size = size

    def __dealloc__(self):
        PyMem_Free(self.data)

    cdef void *at(self, uint64_t index) except NULL:
        cdef uint64_t capacity
        cdef char *data
        if index >= self.capacity:
            capacity = max(<uint64_t>64, self.capacity)
            while capacity <= index:
                capacity *= 2
            data = <char *>PyMem_Realloc(self.data, capacity * self.size)
            if data == NULL:
                raise MemoryError
            memset(data + self.capacity * self.size, 0,
                   (capacity - self.capacity) * self.size)
            self.data = data
            self.capacity = capacity
        if index >= self.count:
            self.count = index + 1
        return self.data + index * self.size

    cdef void *append(self) except NULL:
        return self.at(self.count)

    cdef int reserve(self, uint64_t count) except -1:
        if count:
            self.at(count - 1)
        return 0


cdef class BaseBuilder:
    """Collects rows and makes a base of them: add() per table, then finish().

    Tables go in the order of rows.COLUMNS; a table's rows may come in any number of portions, and
    those of rows.SORTED sorted by their first column.
    """

    cdef list tables
    cdef list sources, callers, names
    cdef dict plans

    def __init__(self, plans: dict):
        """plans: {country: its numbering plan} as in configs/number_plans.json."""
        self.tables = [Table(SIZES[i]) for i in range(TABLES)]
        self.sources = []
        self.callers = []
        self.names = []
        self.plans = plans

    def add(self, str table, rows):
        """Take the rows of a table; returns how many."""
        cdef uint64_t n = 0
        cdef tuple row
        cdef Table t
        cdef Table users = self.tables[T_USER]
        cdef Table devices = self.tables[T_DEVICE]
        cdef Table parents
        cdef UserRec *user
        cdef GroupRec *group
        cdef TenantRec *tenant
        cdef ScheduleRec *schedule
        cdef uint64_t index
        rows = whole(table, rows)
        if table == "user":
            for row in rows:
                fill_user(<UserRec *>users.at(row[0]), row)
                n += 1
        elif table == "device":
            for row in rows:
                fill_device(<DeviceRec *>devices.at(row[0]), row)
                add_device(<UserRec *>users.at(row[1]), row)
                n += 1
        elif table == "number":
            for row in rows:
                self.add_number(row)
                n += 1
        elif table == "tenant":
            t = self.tables[T_TENANT]
            t.at(0)
            for row in rows:
                fill_tenant(<TenantRec *>t.at(row[0]), row)
                n += 1
        elif table == "activity":
            t = self.tables[T_ACTIVITY]
            for row in rows:
                fill_activity(<ActivityRec *>t.at(row[0]), row)
                n += 1
        elif table == "forward":
            t = self.tables[T_FORWARD]
            for row in rows:
                index = t.count
                fill_forward(<ForwardRec *>t.append(), row)
                user = <UserRec *>users.at(row[0])
                if user.n_forwards == 0:
                    user.forwards = index + 1
                user.n_forwards += 1
                n += 1
        elif table == "ring_group":
            t = self.tables[T_GROUP]
            for row in rows:
                fill_group(<GroupRec *>t.at(row[0]), row)
                n += 1
        elif table == "service":
            t = self.tables[T_SERVICE]
            for row in rows:
                fill_service(<ServiceRec *>t.at(row[0]), row)
                n += 1
        elif table == "member":
            t = self.tables[T_MEMBER]
            parents = self.tables[T_GROUP]
            for row in rows:
                index = t.count
                fill_member(<MemberRec *>t.append(), row)
                group = <GroupRec *>parents.at(row[0])
                if group.members == 0:
                    group.first_member = index
                group.members += 1
                n += 1
        elif table == "schedule":
            t = self.tables[T_RULE]
            parents = self.tables[T_SCHEDULE]
            for row in rows:
                schedule = <ScheduleRec *>parents.at(row[0])
                fill_schedule(schedule, row)
                schedule.first_rule = t.count
                for rule in msgspec.json.decode(row[5]):
                    fill_rule(<RuleRec *>t.append(), rule)
                    schedule.rules += 1
                n += 1
        elif table == "trunk":
            t = self.tables[T_TRUNK]
            for row in rows:
                fill_trunk(<TrunkRec *>t.at(row[0]), row)
                n += 1
        elif table == "route":
            t = self.tables[T_ROUTE]
            parents = self.tables[T_TENANT]
            for row in rows:
                index = t.count
                fill_route(<RouteRec *>t.append(), row)
                tenant = <TenantRec *>parents.at(row[0] or 0)
                if tenant.routes == 0:
                    tenant.first_route = index
                tenant.routes += 1
                n += 1
        elif table == "area":
            t = self.tables[T_AREA]
            for row in rows:
                fill_area(<AreaRec *>t.at(row[0]), row)
                n += 1
        elif table == "trunk_source":
            for row in rows:
                self.sources.append((hashed(row[0]), row[1]))
                n += 1
        elif table == "caller_rule":
            for row in rows:
                user = <UserRec *>users.at(row[0])
                user.flags |= U_CALLER_RULES
                self.callers.append((row[0], caller_number(row[1]),
                                     choice_of("caller_rule", "rule", CALLER_RULES, row[2])))
                n += 1
        elif table == "contact":
            for row in rows:
                self.add_names(row)
                n += 1
        else:
            raise RowError(table, "", "no such table")
        return n

    cdef int add_names(self, tuple row) except -1:
        # Somebody's own contact gives no name; sorted, the one that is shown comes first.
        id_, tenant, user, shared, name, numbers = row
        text = shown_name(name)
        if text and (user is None or shared):
            for number in msgspec.json.decode(numbers):
                self.names.append((tenant, number_of("contact", "numbers", number["e164"]),
                                   user is not None, id_, text))
        return 0

    cdef int add_number(self, tuple row) except -1:
        # A user's own number with nothing special about it is only a slot; others a full record.
        cdef Table slots = self.tables[H_NUMBER]     # unhashed until finish()
        cdef Table users = self.tables[T_USER]
        cdef Table full = self.tables[T_NUMBER]
        cdef NumberSlot *slot = <NumberSlot *>slots.append()
        cdef UserRec *user
        cdef NumberRec record
        memset(&record, 0, sizeof(record))
        fill_number(&record, row)
        slot.number = record.number
        if row[2] in ("direct", "mobile") and row[3] == "user":
            user = <UserRec *>users.at(row[4])
            if row[2] == "direct":
                if user.direct == 0:
                    user.direct = record.number
            elif user.mobile == 0:
                user.mobile = record.number
            if not (record.schedule or record.record or record.closed_target):
                slot.value = row[4]
                slot.kind = N_DIRECT if row[2] == "direct" else N_MOBILE
                return 0
        slot.value = <uint32_t>full.count
        slot.kind = N_FULL
        memcpy(full.append(), &record, sizeof(record))
        return 0

    cdef int add_countries(self) except -1:
        cdef Table plans = self.tables[T_PLAN]
        cdef Table zones = self.tables[T_ZONE]
        cdef Table days = self.tables[T_HOLIDAY]
        cdef PlanRec *plan
        cdef ZoneRec *zone
        cdef int i
        for country in COUNTRIES:
            plan = <PlanRec *>plans.append()
            fill_plan(plan, self.plans[country])
            plan.first_holiday = days.count
            for day in holidays_of(country):
                (<int32_t *>days.append())[0] = day
                plan.holidays += 1
        for name in ZONES:
            zone = <ZoneRec *>zones.append()
            first, changes = zone_changes(name)
            zone.first_offset = first
            for i, (at, offset) in enumerate(changes[:128]):
                zone.at[i] = at
                zone.offset[i] = offset
                zone.changes = i + 1
        return 0

    cdef int hash_tables(self) except -1:
        cdef Table users = self.tables[T_USER]
        cdef Table groups = self.tables[T_GROUP]
        cdef Table devices = self.tables[T_DEVICE]
        cdef Table plain = self.tables[H_NUMBER]
        cdef Table numbers = Table(sizeof(NumberSlot))
        cdef Table extensions = Table(sizeof(uint32_t))
        cdef Table names = Table(sizeof(uint32_t))
        cdef Table sources = Table(sizeof(KeySlot))
        cdef Table callers = Table(sizeof(CallerSlot))
        cdef UserRec *user = <UserRec *>users.data
        cdef GroupRec *group = <GroupRec *>groups.data
        cdef Table services = self.tables[T_SERVICE]
        cdef ServiceRec *service = <ServiceRec *>services.data
        cdef DeviceRec *device = <DeviceRec *>devices.data
        cdef NumberSlot *slot = <NumberSlot *>plain.data
        cdef NumberSlot *into
        cdef uint32_t *words
        cdef KeySlot *keys
        cdef CallerSlot *rules
        cdef uint64_t i, at, count, key
        # Load factors: what keeps a search within a line or two and a user within 128 bytes.
        numbers.reserve(plain.count * 5 // 4 + 8)
        into = <NumberSlot *>numbers.data
        for i in range(plain.count):
            at = scaled(mix(slot[i].number), numbers.count)
            while into[at].number:
                if into[at].number == slot[i].number:
                    raise RowError("number", "e164", f"+{slot[i].number} is there twice")
                at = at + 1 if at + 1 < numbers.count else 0
            into[at] = slot[i]
        self.tables[H_NUMBER] = numbers
        count = 0
        for i in range(users.count):
            count += user[i].extension != 0
        for i in range(groups.count):
            count += group[i].extension != 0
        for i in range(services.count):
            count += service[i].extension != 0
        extensions.reserve(count * 4 // 3 + 8)
        words = <uint32_t *>extensions.data
        for i in range(users.count):
            if user[i].extension:
                place(words, extensions.count,
                      mix(extension_key(user[i].tenant, user[i].extension)), <uint32_t>i)
        for i in range(groups.count):
            if group[i].extension:
                place(words, extensions.count,
                      mix(extension_key(group[i].tenant, group[i].extension)),
                      <uint32_t>i | EXTENSION_OF_GROUP)
        for i in range(services.count):
            if service[i].extension:
                place(words, extensions.count,
                      mix(extension_key(service[i].tenant, service[i].extension)),
                      <uint32_t>i | EXTENSION_OF_SERVICE)
        self.tables[H_EXTENSION] = extensions
        names.reserve(devices.count * 4 // 3 + 8)
        words = <uint32_t *>names.data
        for i in range(devices.count):
            if device[i].user:
                place(words, names.count, device[i].name_hash, <uint32_t>i)
        self.tables[H_USERNAME] = names
        sources.reserve(len(self.sources) * 2 + 8)
        keys = <KeySlot *>sources.data
        for key, trunk in self.sources:
            at = scaled(key, sources.count)
            while keys[at].key:
                at = at + 1 if at + 1 < sources.count else 0
            keys[at].key = key
            keys[at].value = trunk
        self.tables[H_SOURCE] = sources
        callers.reserve(len(self.callers) * 3 // 2 + 8)
        rules = <CallerSlot *>callers.data
        for owner, number, rule in self.callers:
            key = caller_key(owner, number)
            at = scaled(key, callers.count)
            while rules[at].key:
                at = at + 1 if at + 1 < callers.count else 0
            rules[at].key = key
            rules[at].user = owner
            rules[at].rule = rule
        self.tables[H_CALLER] = callers
        return 0

    cdef int hash_names(self) except -1:
        cdef Table text = self.tables[T_NAME]
        cdef Table slots = Table(sizeof(NameSlot))
        cdef NameSlot *into
        cdef uint64_t key, at, start
        cdef uint32_t tenant
        cdef bytes name
        slots.reserve(len(self.names) * 3 // 2 + 8)
        into = <NameSlot *>slots.data
        self.names.sort()
        for tenant, number, _, _, name in self.names:
            key = caller_key(tenant, number)
            at = scaled(key, slots.count)
            while into[at].key and not (into[at].key == key and into[at].tenant == tenant):
                at = at + 1 if at + 1 < slots.count else 0
            if into[at].key:
                continue
            start = text.count
            text.at(start + len(name))
            text.data[start] = <char>len(name)
            memcpy(text.data + start + 1, <const char *>name, len(name))
            into[at].key = key
            into[at].tenant = tenant
            into[at].at = <uint32_t>start
        self.tables[H_NAME] = slots
        return 0

    def finish(self, uint64_t revision, uint64_t generation):
        """(header, body) of the base; the builder is used up."""
        cdef BaseHeader header
        cdef Table table
        cdef uint64_t offset = sizeof(BaseHeader)
        cdef int i
        self.add_countries()
        self.hash_tables()
        self.hash_names()
        memset(&header, 0, sizeof(header))
        memcpy(header.magic, b"VAXELSNP", 8)
        header.layout = LAYOUT_VERSION
        header.header_size = sizeof(BaseHeader)
        header.revision = revision
        header.generation = generation
        for i in range(TABLES):
            table = self.tables[i]
            offset = (offset + 63) // 64 * 64
            header.tables[i].offset = offset
            header.tables[i].count = table.count
            header.tables[i].size = table.size
            offset += table.count * table.size
        header.file_size = offset
        body = bytearray(offset - sizeof(BaseHeader))
        cdef char[::1] view = body
        for i in range(TABLES):
            table = self.tables[i]
            if table.count:
                memcpy(&view[header.tables[i].offset - sizeof(BaseHeader)], table.data,
                       table.count * table.size)
            self.tables[i] = None
        header.checksum = xxhash.xxh3_64_intdigest(body)
        raw = PyBytes_FromStringAndSize(<char *>&header, sizeof(BaseHeader) - 8)
        header.header_checksum = xxhash.xxh3_64_intdigest(raw)
        return PyBytes_FromStringAndSize(<char *>&header, sizeof(BaseHeader)), body


CLASS_BITS = {"national": 1, "mobile": 2, "toll_free": 4, "shared_cost": 8, "premium": 16,
              "international": 32, "special": 64, "satellite": 128}


cdef int place(uint32_t *words, uint64_t count, uint64_t hashed, uint32_t value) noexcept:
    cdef uint64_t at = scaled(hashed, count)
    while words[at]:
        at = at + 1 if at + 1 < count else 0
    words[at] = value
    return 0


cdef uint64_t hashed(str text):
    cdef Py_ssize_t size = 0
    cdef const char *c = PyUnicode_AsUTF8AndSize(text, &size)
    return hash_text(c, size)
