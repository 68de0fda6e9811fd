"""A compiled configuration, read in place: a base and the changes that lie over it.

A reader takes no lock and makes no system call. Single changes are appended to the overlay and
become visible together, by one store of the committed version; an entry is never changed after
that, so a reader cannot see half of one, and a writer that dies leaves only invisible entries.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memset

from routing_core.layout cimport (
    LAYOUT_VERSION, OVERLAY_BUCKETS, OVERLAY_HEADER, TABLES, BaseHeader, CallerSlot, DeviceRec,
    GroupRec, KeySlot, NumberRec, NumberSlot, OverlayEntry, OverlayHeader, PlanRec, TableRef,
    TenantRec, TrunkRec, UserRec, AreaRec, ActivityRec, ScheduleRec, ServiceRec, ZoneRec,
    EXTENSION_OF_GROUP, EXTENSION_OF_SERVICE, H_CALLER, H_EXTENSION, H_NAME, H_NUMBER, H_SOURCE,
    H_USERNAME, NameSlot, N_DIRECT, N_FULL, T_ACTIVITY, T_AREA, T_DEVICE, T_GROUP, T_NAME, T_NUMBER,
    T_PLAN,
    T_SCHEDULE, T_SERVICE, T_TENANT, T_TRUNK, T_USER, T_ZONE, caller_key, extension_key,
    make_target, mix, vx_load,
)
from routing_core.codes cimport FIXED, GROUP, MOBILE, SERVICE, USER

import xxhash

from routing_core.errors import ForeignSnapshot, TornSnapshot

cdef const char *BASE_MAGIC = b"VAXELSNP"
cdef const char *OVERLAY_MAGIC = b"VAXELOVL"


cdef const char *address_of(object buffer, Py_ssize_t *size) except NULL:
    # The mapping outlives the view: Snapshot keeps a reference to it.
    cdef Py_buffer view
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    cdef const char *start = <const char *>view.buf
    size[0] = view.len
    PyBuffer_Release(&view)
    return start


cdef enum:
    PIN_TRIES = 16           # a commit takes microseconds, a look nanoseconds


cdef class Snapshot:
    """A verified base with its overlay.

    base, overlay: objects with the buffer protocol (mmap or bytes), kept for the life of the
    snapshot; verify: check the checksum of the whole body, not only of the header.
    Raises TornSnapshot (short, damaged) or ForeignSnapshot (other layout, not a snapshot,
    overlay of another base). Nothing of a refused file is used.
    """

    def __init__(self, base, overlay=None, bint verify=True):
        cdef Py_ssize_t size = 0
        cdef const char *start = address_of(base, &size)
        if <size_t>size < sizeof(BaseHeader):
            raise TornSnapshot(f"{size} bytes are less than a header")
        cdef const BaseHeader *header = <const BaseHeader *>start
        if memcmp(header.magic, BASE_MAGIC, 8) != 0:
            raise ForeignSnapshot("not a snapshot")
        if header.layout != LAYOUT_VERSION or header.header_size != sizeof(BaseHeader):
            raise ForeignSnapshot(f"layout {header.layout}, expected {LAYOUT_VERSION}")
        if header.file_size != <uint64_t>size:
            raise TornSnapshot(f"{size} bytes, the header says {header.file_size}")
        view = memoryview(base)
        if xxhash.xxh3_64_intdigest(view[:sizeof(BaseHeader) - 8]) != header.header_checksum:
            raise TornSnapshot("the header does not match its checksum")
        if verify and xxhash.xxh3_64_intdigest(view[sizeof(BaseHeader):]) != header.checksum:
            raise TornSnapshot("the body does not match its checksum")
        cdef int table
        for table in range(TABLES):
            if header.tables[table].offset + header.tables[table].count \
                    * header.tables[table].size > <uint64_t>size:
                raise TornSnapshot(f"table {table} ends behind the file")
        self.base_buffer = base
        self.base = start
        self.header = header
        self.overlay = NULL
        self.changes = NULL
        if overlay is not None:
            self.attach(overlay)

    cdef attach(self, overlay):
        cdef Py_ssize_t size = 0
        cdef const char *start = address_of(overlay, &size)
        cdef const OverlayHeader *changes = <const OverlayHeader *>start
        if size < OVERLAY_HEADER + 8 * OVERLAY_BUCKETS:
            raise TornSnapshot(f"an overlay of {size} bytes")
        if memcmp(changes.magic, OVERLAY_MAGIC, 8) != 0 \
                or changes.layout != LAYOUT_VERSION:
            raise ForeignSnapshot("not an overlay of this layout")
        if changes.generation != self.header.generation:
            raise ForeignSnapshot(
                f"overlay of base {changes.generation}, not {self.header.generation}")
        if changes.capacity != <uint64_t>size:
            raise TornSnapshot("the overlay's size is not its capacity")
        self.overlay_buffer = overlay
        self.seen = vx_load(&changes.committed)
        self.overlay = start
        self.changes = changes

    # -- the two ways in: what changed since the base, and the base ---------------------------

    cdef const void *changed(self, int kind, uint64_t key, uint32_t *size) noexcept nogil:
        # The newest committed entry of kind and key; size 0 says that it was deleted.
        if self.changes == NULL:
            return NULL
        cdef uint64_t committed = self.seen
        if committed == 0:
            return NULL
        cdef uint64_t bucket = mix(key ^ (<uint64_t>kind << 58)) & (OVERLAY_BUCKETS - 1)
        cdef uint64_t at = vx_load(self.overlay + OVERLAY_HEADER + 8 * bucket)
        cdef const OverlayEntry *entry
        while at != 0:
            entry = <const OverlayEntry *>(self.overlay + at)
            if entry.key == key and entry.kind == <uint32_t>kind and entry.version <= committed:
                size[0] = entry.size
                return self.overlay + at + sizeof(OverlayEntry)
            at = entry.next
        return NULL

    cdef const void *record(self, int table, uint64_t index) noexcept nogil:
        cdef const TableRef *ref = &self.header.tables[table]
        if index >= ref.count:
            return NULL
        return self.base + ref.offset + index * ref.size

    cdef const void *by_id(self, int table, uint64_t index) noexcept nogil:
        cdef uint32_t size = 0
        cdef const void *found = self.changed(table, index, &size)
        if found != NULL:
            return found if size else NULL
        return self.record(table, index)

    cdef const void *rows(self, int table, uint64_t key, uint32_t first, uint32_t count,
                          uint32_t *found) noexcept nogil:
        # A list that belongs to a parent: the overlay holds it whole, under the parent's id.
        cdef uint32_t size = 0
        cdef const void *entry = self.changed(table, key, &size)
        if entry != NULL:
            found[0] = size // self.header.tables[table].size
            return entry
        if count == 0 or <uint64_t>first + count > self.header.tables[table].count:
            found[0] = 0
            return NULL
        found[0] = count
        return self.record(table, first)

    # -- records by id ------------------------------------------------------------------------

    cdef const TenantRec *tenant(self, uint32_t tenant) noexcept nogil:
        cdef const TenantRec *found = <const TenantRec *>self.by_id(T_TENANT, tenant)
        return found if found != NULL and found.id != 0 else NULL

    cdef const UserRec *user(self, uint32_t user) noexcept nogil:
        cdef const UserRec *found = <const UserRec *>self.by_id(T_USER, user)
        return found if found != NULL and found.tenant != 0 else NULL

    cdef const DeviceRec *device(self, uint32_t device) noexcept nogil:
        cdef const DeviceRec *found = <const DeviceRec *>self.by_id(T_DEVICE, device)
        return found if found != NULL and found.user != 0 else NULL

    cdef const GroupRec *group(self, uint32_t group) noexcept nogil:
        cdef const GroupRec *found = <const GroupRec *>self.by_id(T_GROUP, group)
        return found if found != NULL and found.tenant != 0 else NULL

    cdef const TrunkRec *trunk(self, uint32_t trunk) noexcept nogil:
        cdef const TrunkRec *found = <const TrunkRec *>self.by_id(T_TRUNK, trunk)
        return found if found != NULL and found.present else NULL

    cdef const AreaRec *area(self, uint32_t area) noexcept nogil:
        cdef const AreaRec *found = <const AreaRec *>self.by_id(T_AREA, area)
        return found if found != NULL and found.present else NULL

    cdef const ActivityRec *activity(self, uint32_t activity) noexcept nogil:
        cdef const ActivityRec *found = <const ActivityRec *>self.by_id(T_ACTIVITY, activity)
        return found if found != NULL and found.tenant != 0 else NULL

    cdef const ScheduleRec *schedule(self, uint32_t schedule) noexcept nogil:
        cdef const ScheduleRec *found = <const ScheduleRec *>self.by_id(T_SCHEDULE, schedule)
        return found if found != NULL and found.tenant != 0 else NULL

    cdef const PlanRec *plan(self, uint32_t country) noexcept nogil:
        return <const PlanRec *>self.record(T_PLAN, country)

    cdef const ZoneRec *zone(self, uint32_t zone) noexcept nogil:
        return <const ZoneRec *>self.record(T_ZONE, zone)

    # -- records by key -----------------------------------------------------------------------

    cdef bint number(self, uint64_t number, NumberRec *out) noexcept nogil:
        cdef uint32_t size = 0
        cdef const void *entry = self.changed(T_NUMBER, number, &size)
        if entry != NULL:
            if size == 0:
                return False
            out[0] = (<const NumberRec *>entry)[0]
            return True
        cdef const TableRef *ref = &self.header.tables[H_NUMBER]
        if ref.count == 0 or number == 0:
            return False
        cdef const NumberSlot *slots = <const NumberSlot *>(self.base + ref.offset)
        cdef uint64_t at = scaled(mix(number), ref.count)
        cdef const UserRec *owner
        while slots[at].number != 0:
            if slots[at].number == number:
                if slots[at].kind == N_FULL:
                    out[0] = (<const NumberRec *>self.record(T_NUMBER, slots[at].value))[0]
                    return True
                owner = self.user(slots[at].value)
                if owner == NULL:
                    return False
                memset(out, 0, sizeof(NumberRec))
                out.number = number
                out.target = make_target(USER, slots[at].value)
                out.tenant = owner.tenant
                out.called = FIXED if slots[at].kind == N_DIRECT else MOBILE
                return True
            at += 1
            if at == ref.count:
                at = 0
        return False

    cdef uint64_t extension(self, uint32_t tenant, uint32_t extension) noexcept nogil:
        # A target, or 0.
        cdef uint64_t key = extension_key(tenant, extension)
        cdef uint32_t size = 0
        cdef const void *entry = self.changed(H_EXTENSION, key, &size)
        if entry != NULL:
            return (<const uint64_t *>entry)[0] if size else 0
        cdef const TableRef *ref = &self.header.tables[H_EXTENSION]
        if ref.count == 0:
            return 0
        cdef const uint32_t *slots = <const uint32_t *>(self.base + ref.offset)
        cdef uint64_t at = scaled(mix(key), ref.count)
        cdef const UserRec *user
        cdef const GroupRec *group
        cdef const ServiceRec *service
        cdef uint32_t value
        while slots[at] != 0:
            value = slots[at] & 0x3FFFFFFF
            if slots[at] & EXTENSION_OF_GROUP:
                group = <const GroupRec *>self.record(T_GROUP, value)
                if group != NULL and group.tenant == tenant and group.extension == extension:
                    return make_target(GROUP, value)
            elif slots[at] & EXTENSION_OF_SERVICE:
                service = <const ServiceRec *>self.by_id(T_SERVICE, value)
                if service != NULL and service.tenant == tenant \
                        and service.extension == extension:
                    return make_target(SERVICE, value)
            else:
                user = <const UserRec *>self.record(T_USER, value)
                if user != NULL and user.tenant == tenant and user.extension == extension:
                    return make_target(USER, value)
            at += 1
            if at == ref.count:
                at = 0
        return 0

    cdef uint32_t username(self, uint64_t name_hash) noexcept nogil:
        cdef uint32_t size = 0
        cdef const void *entry = self.changed(H_USERNAME, name_hash, &size)
        if entry != NULL:
            return (<const uint32_t *>entry)[0] if size else 0
        cdef const TableRef *ref = &self.header.tables[H_USERNAME]
        if ref.count == 0:
            return 0
        cdef const uint32_t *slots = <const uint32_t *>(self.base + ref.offset)
        cdef uint64_t at = scaled(name_hash, ref.count)
        cdef const DeviceRec *device
        while slots[at] != 0:
            device = <const DeviceRec *>self.record(T_DEVICE, slots[at])
            if device != NULL and device.name_hash == name_hash:
                return slots[at]
            at += 1
            if at == ref.count:
                at = 0
        return 0

    cdef uint32_t source(self, uint64_t source_hash) noexcept nogil:
        cdef uint32_t size = 0
        cdef const void *entry = self.changed(H_SOURCE, source_hash, &size)
        if entry != NULL:
            return (<const uint32_t *>entry)[0] if size else 0
        cdef const TableRef *ref = &self.header.tables[H_SOURCE]
        if ref.count == 0:
            return 0
        cdef const KeySlot *slots = <const KeySlot *>(self.base + ref.offset)
        cdef uint64_t at = scaled(source_hash, ref.count)
        while slots[at].key != 0:
            if slots[at].key == source_hash:
                return slots[at].value
            at += 1
            if at == ref.count:
                at = 0
        return 0

    cdef int caller_rule(self, uint32_t user, uint64_t number) noexcept nogil:
        cdef uint64_t key = caller_key(user, number)
        cdef uint32_t size = 0
        cdef const void *entry = self.changed(H_CALLER, key, &size)
        if entry != NULL:
            return (<const uint32_t *>entry)[0] if size else 0
        cdef const TableRef *ref = &self.header.tables[H_CALLER]
        if ref.count == 0:
            return 0
        cdef const CallerSlot *slots = <const CallerSlot *>(self.base + ref.offset)
        cdef uint64_t at = scaled(key, ref.count)
        while slots[at].key != 0:
            if slots[at].key == key and slots[at].user == user:
                return slots[at].rule
            at += 1
            if at == ref.count:
                at = 0
        return 0

    cdef const char *caller_name(self, uint32_t tenant, uint64_t number,
                                 uint32_t *size) noexcept nogil:
        # What the company's directory calls that caller; size 0 when it does not know it.
        cdef uint64_t key = caller_key(tenant, number)
        cdef const char *text = <const char *>self.changed(H_NAME, key, size)
        if text != NULL:
            return text
        size[0] = 0
        cdef const TableRef *ref = &self.header.tables[H_NAME]
        if ref.count == 0:
            return NULL
        cdef const NameSlot *slots = <const NameSlot *>(self.base + ref.offset)
        cdef uint64_t at = scaled(key, ref.count)
        while slots[at].key != 0:
            if slots[at].key == key and slots[at].tenant == tenant:
                text = <const char *>self.record(T_NAME, slots[at].at)
                size[0] = <uint8_t>text[0]
                return text + 1
            at += 1
            if at == ref.count:
                at = 0
        return NULL

    cdef uint64_t pin(self) noexcept nogil:
        # From here on everything is read as of one commit, however many come meanwhile; the
        # revision of it.
        cdef uint64_t committed, revision
        cdef int _tries
        if self.changes == NULL:
            return self.header.revision
        for _tries in range(PIN_TRIES):
            committed = vx_load(&self.changes.committed)
            revision = vx_load(&self.changes.revision)
            self.seen = committed
            if vx_load(&self.changes.committed) == committed:
                break
        return revision if self.seen else self.header.revision

    # -- for people ---------------------------------------------------------------------------

    @property
    def revision(self):
        """The store revision that this snapshot shows, overlay included."""
        return self.pin()

    @property
    def generation(self):
        return self.header.generation

    @property
    def base_bytes(self):
        return self.header.file_size

    @property
    def overlay_entries(self):
        return self.changes.entries if self.changes != NULL else 0

    def table_sizes(self):
        """{table number: bytes} of the base."""
        return {table: self.header.tables[table].count * self.header.tables[table].size
                for table in range(TABLES)}


cdef uint64_t scaled(uint64_t value, uint64_t count) noexcept nogil:
    # Maps a hash onto [0, count) without a division, so that a table need not be a power of two.
    return <uint64_t>((<unsigned long long>(value >> 32) * count) >> 32)
