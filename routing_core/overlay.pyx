"""Single changes: rows to overlay entries, and the one writer that makes them visible.

A pack_* function gives {(kind, key): record} of one thing with all that hangs on its record; what a
field means is build.pyx's, the same as in a base.
"""

import msgspec

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from routing_core.build cimport (
    add_device, caller_number, caller_rule_code, fill_activity, fill_area, fill_device,
    fill_forward, fill_group, fill_member, fill_number, fill_route, fill_rule, fill_schedule,
    fill_service, fill_tenant, fill_trunk, fill_user, hashed, number_of,
)
from routing_core.codes cimport GROUP, SERVICE, USER
from routing_core.layout cimport (
    ActivityRec, AreaRec, DeviceRec, ForwardRec, GroupRec, H_CALLER, H_EXTENSION, H_NAME, H_SOURCE,
    H_USERNAME, LAYOUT_VERSION, MemberRec, NumberRec, OVERLAY_BUCKETS, OVERLAY_HEADER,
    OverlayEntry, OverlayHeader, RouteRec, RuleRec, ScheduleRec, ServiceRec, TenantRec, TrunkRec,
    T_ACTIVITY, T_AREA, T_DEVICE, T_FORWARD, T_GROUP, T_MEMBER, T_NUMBER, T_ROUTE, T_RULE,
    T_SCHEDULE, T_SERVICE, T_TENANT, T_TRUNK, T_USER, UserRec, U_CALLER_RULES, caller_key,
    extension_key, make_target, mix, vx_load, vx_store,
)

from routing_core.caller_names import shown_name
from routing_core.errors import OverlayFull

cdef uint64_t NEVER = ~<uint64_t>0     # the version of an entry that is not to be seen

#: What an overlay entry can be about; the values are table numbers of the layout.
KINDS = {
    "tenant": T_TENANT, "user": T_USER, "device": T_DEVICE, "number": T_NUMBER,
    "activity": T_ACTIVITY, "forwards": T_FORWARD, "group": T_GROUP, "members": T_MEMBER,
    "schedule": T_SCHEDULE, "rules": T_RULE, "trunk": T_TRUNK, "routes": T_ROUTE, "area": T_AREA,
    "service": T_SERVICE,
    "extension": H_EXTENSION, "username": H_USERNAME, "source": H_SOURCE, "caller": H_CALLER,
    "name": H_NAME,
}


def text_hash(str text):
    """The key of a username or a source."""
    return hashed(text)


def pack_tenant(tuple row, list routes):
    """{(kind, key): record} of a tenant and its routes (a route's row as in COLUMNS)."""
    cdef TenantRec r
    memset(&r, 0, sizeof(r))
    fill_tenant(&r, row)
    return {("tenant", row[0]): PyBytes_FromStringAndSize(<char *>&r, sizeof(r)),
            ("routes", row[0]): pack_routes(routes)}


def pack_routes(list routes):
    cdef RouteRec r
    out = []
    for row in routes:
        memset(&r, 0, sizeof(r))
        fill_route(&r, row)
        out.append(PyBytes_FromStringAndSize(<char *>&r, sizeof(r)))
    return b"".join(out)


def pack_user(tuple row, list devices, list forwards, list numbers, bint caller_rules):
    """{(kind, key): record} of a user with what hangs on the user's record.

    numbers: [(kind, e164)] of the user's own direct and mobile numbers, oldest first.
    """
    cdef UserRec r
    cdef ForwardRec f
    memset(&r, 0, sizeof(r))
    fill_user(&r, row)
    for device in devices:
        add_device(&r, device)
    for kind, e164 in numbers:
        if kind == "direct" and r.direct == 0:
            r.direct = number_of("number", "e164", e164)
        elif kind == "mobile" and r.mobile == 0:
            r.mobile = number_of("number", "e164", e164)
    if caller_rules:
        r.flags |= U_CALLER_RULES
    rows = []
    for forward in forwards:
        memset(&f, 0, sizeof(f))
        fill_forward(&f, forward)
        rows.append(PyBytes_FromStringAndSize(<char *>&f, sizeof(f)))
    return {("user", row[0]): PyBytes_FromStringAndSize(<char *>&r, sizeof(r)),
            ("forwards", row[0]): b"".join(rows)}


def pack_group(tuple row, list members):
    """{(kind, key): record} of a group and its members."""
    cdef GroupRec r
    cdef MemberRec m
    memset(&r, 0, sizeof(r))
    fill_group(&r, row)
    rows = []
    for member in members:
        memset(&m, 0, sizeof(m))
        fill_member(&m, member)
        rows.append(PyBytes_FromStringAndSize(<char *>&m, sizeof(m)))
    return {("group", row[0]): PyBytes_FromStringAndSize(<char *>&r, sizeof(r)),
            ("members", row[0]): b"".join(rows)}


def pack_service(tuple row):
    """{(kind, key): record} of a service."""
    cdef ServiceRec r
    memset(&r, 0, sizeof(r))
    fill_service(&r, row)
    return {("service", row[0]): PyBytes_FromStringAndSize(<char *>&r, sizeof(r))}


def pack_schedule(tuple row):
    """{(kind, key): record} of a schedule and its rules."""
    cdef ScheduleRec r
    cdef RuleRec one
    memset(&r, 0, sizeof(r))
    fill_schedule(&r, row)
    rows = []
    for rule in msgspec.json.decode(row[5]):
        memset(&one, 0, sizeof(one))
        fill_rule(&one, rule)
        rows.append(PyBytes_FromStringAndSize(<char *>&one, sizeof(one)))
    return {("schedule", row[0]): PyBytes_FromStringAndSize(<char *>&r, sizeof(r)),
            ("rules", row[0]): b"".join(rows)}


def pack_device(tuple row):
    cdef DeviceRec r
    memset(&r, 0, sizeof(r))
    fill_device(&r, row)
    return {("device", row[0]): PyBytes_FromStringAndSize(<char *>&r, sizeof(r)),
            ("username", hashed(row[3])): word(row[0])}


def pack_number(tuple row):
    cdef NumberRec r
    memset(&r, 0, sizeof(r))
    fill_number(&r, row)
    return {("number", r.number): PyBytes_FromStringAndSize(<char *>&r, sizeof(r))}


def pack_activity(tuple row):
    cdef ActivityRec r
    memset(&r, 0, sizeof(r))
    fill_activity(&r, row)
    return {("activity", row[0]): PyBytes_FromStringAndSize(<char *>&r, sizeof(r))}


def pack_trunk(tuple row):
    cdef TrunkRec r
    memset(&r, 0, sizeof(r))
    fill_trunk(&r, row)
    return {("trunk", row[0]): PyBytes_FromStringAndSize(<char *>&r, sizeof(r))}


def pack_area(tuple row):
    cdef AreaRec r
    memset(&r, 0, sizeof(r))
    fill_area(&r, row)
    return {("area", row[0]): PyBytes_FromStringAndSize(<char *>&r, sizeof(r))}


def pack_extension(uint32_t tenant, extension, str kind, uint32_t id_):
    """{(kind, key): record} of an extension; kind "user", "group" or "service"."""
    cdef uint64_t target = make_target(
        USER if kind == "user" else GROUP if kind == "group" else SERVICE, id_)
    return {("extension", extension_key(tenant, int(extension))):
            PyBytes_FromStringAndSize(<char *>&target, 8)}


def pack_source(str source, uint32_t trunk):
    return {("source", hashed(source)): word(trunk)}


def pack_caller_rule(uint32_t user, str number, rule):
    """rule: "vip", "blocked", or None for none any more."""
    return {("caller", caller_key(user, caller_number(number))):
            word(caller_rule_code(rule))}


def pack_caller_name(uint32_t tenant, str number, str name):
    """name: of the contact with that number, "" for none any more."""
    return {("name", caller_key(tenant, number_of("contact", "numbers", number))): shown_name(name)}


cdef bytes word(uint32_t value):
    return PyBytes_FromStringAndSize(<char *>&value, 4)


def overlay_size(capacity: int) -> int:
    """Bytes of an overlay file with room for capacity bytes of entries."""
    return OVERLAY_HEADER + 8 * OVERLAY_BUCKETS + capacity


def format_overlay(buffer, uint64_t generation, uint64_t revision):
    """Write the header of a new, zero-filled overlay over the base of that generation."""
    cdef Py_buffer view
    PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
    cdef OverlayHeader *header = <OverlayHeader *>view.buf
    header.layout = LAYOUT_VERSION
    header.generation = generation
    header.capacity = view.len
    header.used = OVERLAY_HEADER + 8 * OVERLAY_BUCKETS
    header.revision = revision
    memcpy(header.magic, b"VAXELOVL", 8)
    PyBuffer_Release(&view)


cdef class OverlayWriter:
    """Appends changes to an overlay; one writer at a time."""

    cdef object buffer
    cdef char *start
    cdef OverlayHeader *header

    def __init__(self, buffer):
        cdef Py_buffer view
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        self.buffer = buffer
        self.start = <char *>view.buf
        self.header = <OverlayHeader *>view.buf
        PyBuffer_Release(&view)
        self.discard_unfinished()

    cdef discard_unfinished(self):
        # Entries of a writer that died before it committed must not appear with the next commit.
        cdef uint64_t at = OVERLAY_HEADER + 8 * OVERLAY_BUCKETS
        cdef OverlayEntry *entry
        while at + sizeof(OverlayEntry) <= self.header.used <= self.header.capacity:
            entry = <OverlayEntry *>(self.start + at)
            if entry.version > self.header.committed:
                entry.version = NEVER
            at += sizeof(OverlayEntry) + (entry.size + 7) // 8 * 8

    @property
    def revision(self):
        return self.header.revision

    @property
    def entries(self):
        return self.header.entries

    @property
    def fill(self):
        """The used part, 0 to 1."""
        return <double>self.header.used / <double>self.header.capacity

    def publish(self, dict changes, uint64_t revision):
        """Make {(kind, key): record, b"" = deleted} visible together, as that revision.

        Raises OverlayFull, with nothing visible, when there is no room.
        """
        cdef uint64_t needed = 0, at, bucket, key
        cdef uint64_t version
        cdef OverlayEntry *entry
        cdef uint32_t kind
        cdef bytes record
        cdef char *head
        for (name, _), record in changes.items():
            if name not in KINDS:
                raise KeyError(name)
            needed += sizeof(OverlayEntry) + (len(record) + 7) // 8 * 8
        if self.header.used + needed > self.header.capacity:
            raise OverlayFull(f"{needed} bytes do not fit")
        self.header.next_version += 1
        version = self.header.next_version
        for (name, key), record in changes.items():
            kind = KINDS[name]
            at = self.header.used
            self.header.used = at + sizeof(OverlayEntry) + (len(record) + 7) // 8 * 8
            entry = <OverlayEntry *>(self.start + at)
            bucket = mix(key ^ (<uint64_t>kind << 58)) & (OVERLAY_BUCKETS - 1)
            head = self.start + OVERLAY_HEADER + 8 * bucket
            entry.key = key
            entry.kind = kind
            entry.size = len(record)
            entry.version = version
            entry.next = vx_load(head)
            memcpy(self.start + at + sizeof(OverlayEntry), <const char *>record, len(record))
            vx_store(head, at)
            self.header.entries += 1
        vx_store(&self.header.revision, revision)
        vx_store(&self.header.committed, version)
