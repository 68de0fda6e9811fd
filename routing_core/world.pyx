"""What a kernel looks at: the snapshot in force and the live state, every look written down."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport strlen

cdef extern from "<strings.h>":
    int strncasecmp(const char *a, const char *b, size_t n) noexcept nogil

from routing_core.hours cimport is_open
from routing_core.layout cimport (
    DeviceRec, D_ANYWHERE, D_DIGEST_SHIFT, D_ENABLED, TrunkRec, T_TRUNK, UserRec, hash_text, mix,
    vx_load,
)
from routing_core.live cimport Live
from routing_core.snapshot cimport Snapshot

cdef enum:
    GAP = 256                # ids in a row that are no trunk's, behind the last that the base has


cdef class World:
    """The base of a Kernel.

    control: a buffer whose first 8 bytes are the generation of the snapshot in force; on_change is
    called, with the kernel, when it differs from the snapshot's. Not for several threads.
    """

    def __init__(self, Snapshot snapshot, Live live, control=None, on_change=None):
        cdef const uint8_t[::1] view
        self.snapshot = snapshot
        self.live = live
        self.control = NULL
        self.on_change = on_change
        self.control_buffer = control
        if control is not None:
            view = control
            self.control = <const uint64_t *>&view[0]
        self.generation = snapshot.header.generation

    def use(self, Snapshot snapshot):
        """Decide on another snapshot from now on."""
        self.snapshot = snapshot
        self.generation = snapshot.header.generation

    # -- written down -------------------------------------------------------------------------

    cdef uint64_t observe(self, int what, uint32_t id) noexcept:
        cdef uint64_t value = 0
        cdef Read *read
        if self.replaying:
            if self.n_reads < self.n_replay:
                read = &self.reads[self.n_reads]
                if read.what == <uint32_t>what and read.id == id:
                    self.n_reads += 1
                    return read.value
            self.diverged = True
            return 0
        if what == SEEN_PRESENCE:
            value = self.live.presence_word(id)
        elif what == SEEN_LINE:
            value = self.live.line(id, self.now)
        elif what == SEEN_LOGIN:
            value = self.live.logged_in(id)
        elif what == SEEN_TRUNK:
            value = self.live.trunk_up(id, self.now)
        if self.n_reads < MAX_READS:
            read = &self.reads[self.n_reads]
            read.what = what
            read.id = id
            read.value = value
        self.n_reads += 1
        return value

    def observed(self):
        """What the last decision saw of the live state, for replay; None when it was too much.

        Each observation: what (1 byte), id and value as varints.
        """
        cdef int i
        cdef uint64_t value
        if self.n_reads > MAX_READS:
            return None
        out = bytearray()
        for i in range(self.n_reads):
            out.append(self.reads[i].what)
            for value in (self.reads[i].id, self.reads[i].value):
                while value > 127:
                    out.append(value & 127 | 128)
                    value >>= 7
                out.append(value)
        return bytes(out)

    cdef load_reads(self, bytes observed):
        cdef int n = 0, at = 0, shift, field
        cdef uint64_t value
        while at < len(observed) and n < MAX_READS:
            self.reads[n].what = observed[at]
            at += 1
            for field in range(2):
                value = 0
                shift = 0
                while at < len(observed):
                    value |= <uint64_t>(observed[at] & 127) << shift
                    shift += 7
                    at += 1
                    if observed[at - 1] < 128:
                        break
                if field == 0:
                    self.reads[n].id = <uint32_t>value
                else:
                    self.reads[n].value = value
            n += 1
        self.n_replay = n

    cdef uint64_t random(self) noexcept:
        self.random_state += <uint64_t>0x9E3779B97F4A7C15
        return mix(self.random_state)

    cdef void tell(self, int rule, object a, object b):
        self.trace.append((rule, a, b))

    # -- what the edge asks besides -----------------------------------------------------------

    def device_by_username(self, str username):
        """(device id, user id, secret, index into rows.DIGESTS, whether its contact may be at
        another host) of an enabled device, or None."""
        cdef Py_ssize_t size = 0
        cdef const char *text = PyUnicode_AsUTF8AndSize(username, &size)
        cdef uint32_t device
        cdef const DeviceRec *row
        self.refresh()
        device = self.snapshot.username(hash_text(text, size))
        row = self.snapshot.device(device) if device else NULL
        if row == NULL or not row.flags & D_ENABLED:
            return None
        return (device, row.user, PyBytes_FromStringAndSize(<const char *>row.secret, 16),
                row.flags >> D_DIGEST_SHIFT, bool(row.flags & D_ANYWHERE))

    def trunk_by_source(self, str source):
        """Trunk id of "ip:192.0.2.1" or "tls:name", 0 when unknown."""
        cdef Py_ssize_t size = 0
        cdef const char *text = PyUnicode_AsUTF8AndSize(source, &size)
        self.refresh()
        return self.snapshot.source(hash_text(text, size))

    def trunk_at(self, str host, int port):
        """Whether a trunk is called at that host (as its address is written, in lower case) and
        port. Looks at every trunk: for registrations, not for calls."""
        cdef Py_ssize_t size = 0
        cdef const char *text = PyUnicode_AsUTF8AndSize(host, &size)
        cdef uint32_t id = 0, missing = 0
        cdef uint64_t known
        cdef const TrunkRec *row
        self.refresh()
        known = self.snapshot.header.tables[T_TRUNK].count
        while id < known or missing < GAP:   # behind the base: those that the overlay has
            id += 1
            row = self.snapshot.trunk(id)
            if row == NULL:
                missing += 1
                continue
            missing = 0
            if row.port == port and strlen(row.host) == <size_t>size \
                    and strncasecmp(row.host, text, <size_t>size) == 0:
                return True
        return False

    def tenant_of(self, uint32_t user):
        """The user's tenant, 0 when there is no such user."""
        cdef const UserRec *row
        self.refresh()
        row = self.snapshot.user(user)
        return row.tenant if row != NULL else 0

    def trunk(self, uint32_t trunk):
        """What the edge needs of a trunk, as a dict, or None."""
        self.snapshot.pin()
        cdef const TrunkRec *row = self.snapshot.trunk(trunk)
        if row == NULL:
            return None
        return {
            "host": row.host[:strlen(row.host)].decode("ascii", "replace"), "port": row.port,
            "transport": row.transport, "identity": row.identity, "diversion": row.diversion,
            "forwarded": row.forwarded, "format": row.format, "anchor": bool(row.anchor),
            "ring_s": row.ring_s, "tenant": row.tenant, "registers": bool(row.registers),
            "country_code": self.snapshot.plan(row.country).country_code,
            "username": row.username[:strlen(row.username)].decode("utf-8", "replace"),
            "secret": row.secret[:strlen(row.secret)].decode("utf-8", "replace"),
        }

    def schedule_open(self, uint32_t schedule, int64_t now):
        """(open, index of the deciding rule or a negative reason)."""
        self.snapshot.pin()
        cdef int32_t by = 0
        cdef bint open_now = is_open(self.snapshot, schedule, now, &by)
        return open_now, by

    def refresh(self):
        """Use the snapshot in force, if it is another one."""
        if self.control != NULL and vx_load(self.control) != self.generation:
            self.on_change(self)
        self.snapshot.pin()
