"""Live state: presence, log-ins, trunk and media health, and the calls in progress.

One shared file of fixed records. Rules that keep it free of locks and of stale lamps:

- a presence, a log-in, a health is one word with one writing process; a reader loads it whole;
- the process that owns a company's calls is named by one word, changed by compare-and-swap; it
  counts only while that life of the process is heard of;
- a call slot moves by compare-and-swap from state to state, and only the process that won a move
  writes what belongs to it; the states with "-ING" in their name belong to that process;
- a user's line state is not stored. It is derived from the call slots that name the user, and a
  slot counts only while its lease runs (design: nothing outlives its evidence);
- a slot is named by its index and a 64-bit nonce; whoever does not know the nonce cannot touch it.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize

from routing_core.layout cimport vx_add, vx_cas, vx_cas32, vx_load, vx_load32, vx_store, vx_store32
from routing_core.codes cimport (
    ANSWERED, ANSWERING, CLAIMED, ENDED, ENDING, FREE, FRESH, IDLE, IN_CALL, RINGING, SAME, SETUP,
    SPENT,
)
from routing_core.errors import LiveStateError

cdef const char *LIVE_MAGIC = b"VAXELLIV"

cdef enum:
    REF_SLOT_BITS = 24
    CLAIM_PROBES = 4096      # slots looked at before a claim gives up
    LOST = 6                 # an Ended of kemi/names.py
    ANSWER_SPINS = 10000     # looks at an answer under way before it is taken for dead
    NOTE_SPINS = 10000       # likewise, at a note that is being written


def live_size(users: int, members: int, trunks: int, slots: int, tenants: int = 0,
              once_buckets: int = 1024) -> int:
    """Bytes of a live file for ids below users, members, trunks and tenants, for that many calls,
    and for twice as many nonces as it has once_buckets."""
    return (LIVE_HEADER + users * 8 * (1 + LINES) + padded(members) + (trunks + tenants) * 8
            + slots * (sizeof(SlotHead) + sizeof(SlotBody)) + once_buckets * sizeof(UsedBucket)
            + CONNECTIONS * sizeof(Connection))


def padded(size):
    return (size + 63) // 64 * 64


def format_live(buffer, users: int, members: int, trunks: int, slots: int,
                reserved_slots: int, tenants: int = 0, once_buckets: int = 1024) -> None:
    """Write the header of a new, zero-filled live file. once_buckets: a power of two."""
    cdef Py_buffer view
    PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
    cdef LiveHeader *header = <LiveHeader *>view.buf
    header.layout = LIVE_LAYOUT
    header.users = users
    header.members = members
    header.trunks = trunks
    header.slots = slots
    header.reserved_slots = min(reserved_slots, slots - 1)
    header.tenants = tenants
    header.once_buckets = once_buckets
    header.file_size = view.len
    memcpy(header.magic, LIVE_MAGIC, 8)
    PyBuffer_Release(&view)


cdef uint64_t owner_word(int index, uint64_t born_ms):
    if not 0 <= index < MAX_CONTROLS:
        raise IndexError(f"no place for call control {index}")
    return born_ms << 8 | <uint64_t>(index + 1)


cdef class Live:
    """A live file, mapped shared and writable."""

    def __init__(self, buffer):
        cdef Py_buffer view
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        self.start = <char *>view.buf
        cdef Py_ssize_t size = view.len
        PyBuffer_Release(&view)
        if size < LIVE_HEADER:
            raise LiveStateError(f"{size} bytes are less than a header")
        cdef LiveHeader *header = <LiveHeader *>self.start
        if memcmp(header.magic, LIVE_MAGIC, 8) != 0 or header.layout != LIVE_LAYOUT:
            raise LiveStateError("not a live file of this layout")
        if header.slots == 0 or header.reserved_slots >= header.slots:
            raise LiveStateError("no call slot is left for ordinary calls")
        if header.once_buckets == 0 or header.once_buckets & (header.once_buckets - 1):
            raise LiveStateError(f"{header.once_buckets} buckets are not a power of two")
        if header.file_size != <uint64_t>size or live_size(
                header.users, header.members, header.trunks, header.slots, header.tenants,
                header.once_buckets) != size:
            raise LiveStateError(f"{size} bytes do not match the header")
        self.buffer = buffer
        self.header = header
        self.presences = <uint64_t *>(self.start + LIVE_HEADER)
        self.lines = self.presences + header.users
        self.logins = <uint8_t *>(self.lines + <size_t>LINES * header.users)
        self.trunk_down = <uint64_t *>(self.logins + (header.members + 63) // 64 * 64)
        self.owners = self.trunk_down + header.trunks
        self.heads = <SlotHead *>(self.owners + header.tenants)
        self.bodies = <SlotBody *>(self.heads + header.slots)
        self.once = <UsedBucket *>(self.bodies + header.slots)
        self.connections = <Connection *>(self.once + header.once_buckets)

    # -- what the kernel reads ----------------------------------------------------------------

    cdef uint64_t presence_word(self, uint32_t user) noexcept nogil:
        # activity | until << 24; 0 = available without an end.
        return vx_load(&self.presences[user]) if user < self.header.users else 0

    cdef bint logged_in(self, uint32_t member) noexcept nogil:
        return member < self.header.members and self.logins[member] == 1

    cdef bint trunk_up(self, uint32_t trunk, int64_t now) noexcept nogil:
        return trunk >= self.header.trunks or vx_load(&self.trunk_down[trunk]) <= <uint64_t>now

    cdef int line(self, uint32_t user, int64_t now) noexcept nogil:
        cdef uint64_t ref, slot
        cdef SlotHead *head
        cdef SlotBody *body
        cdef uint32_t state, i, j
        cdef int best = IDLE
        if user == 0 or user >= self.header.users:
            return IDLE
        for i in range(LINES):
            ref = vx_load(&self.lines[<size_t>user * LINES + i])
            if ref == 0:
                continue
            slot = (ref & ((1 << REF_SLOT_BITS) - 1)) - 1
            if slot >= self.header.slots:
                continue
            head = &self.heads[slot]
            if head.nonce >> REF_SLOT_BITS != ref >> REF_SLOT_BITS \
                    or <int64_t>head.lease_until < now:
                continue
            state = vx_load32(&head.state)
            if state == SETUP or state == ANSWERING:
                if head.caller == user:
                    return IN_CALL
                body = &self.bodies[slot]
                for j in range(min(body.n_ringing, <uint32_t>MAX_RINGING)):
                    if body.ringing[j] == user:
                        best = RINGING
            elif state == ANSWERED and (head.caller == user or head.answerer == user):
                return IN_CALL
        return best

    # -- presence, log-ins, health: one writer each ------------------------------------------

    def set_presence(self, uint32_t user, uint32_t activity, uint32_t until):
        """activity 0 = available; until: Unix seconds, 0 = without an end."""
        if user >= self.header.users:
            raise LiveStateError(f"user {user}: the live file has room for {self.header.users}")
        vx_store(&self.presences[user], <uint64_t>until << 24 | (activity & 0xFFFFFF))

    def presence(self, uint32_t user):
        """(activity, until) as set, whether or not the end has passed."""
        cdef uint64_t word = self.presence_word(user)
        return word & 0xFFFFFF, word >> 24

    def set_logged_in(self, uint32_t member, bint logged_in):
        if member >= self.header.members:
            raise LiveStateError(f"member {member}: room for {self.header.members}")
        self.logins[member] = logged_in

    def is_logged_in(self, uint32_t member):
        return self.logged_in(member)

    def set_trunk_down(self, uint32_t trunk, uint64_t until):
        """Out of use until that Unix second; 0 = in use."""
        if trunk >= self.header.trunks:
            raise LiveStateError(f"trunk {trunk}: room for {self.header.trunks}")
        vx_store(&self.trunk_down[trunk], until)

    def trunk_down_until(self, uint32_t trunk):
        return vx_load(&self.trunk_down[trunk]) if trunk < self.header.trunks else 0

    def line_state(self, uint32_t user, int64_t now):
        """A LineState, derived from the calls whose lease runs at now (Unix seconds)."""
        return self.line(user, now)

    @property
    def media_up(self):
        """Bits of the rtpengine nodes that answer."""
        return vx_load(&self.header.media_up)

    @media_up.setter
    def media_up(self, uint64_t bits):
        vx_store(&self.header.media_up, bits)

    @property
    def heartbeat_ms(self):
        return vx_load(&self.header.heartbeat_ms)

    @heartbeat_ms.setter
    def heartbeat_ms(self, uint64_t now_ms):
        vx_store(&self.header.heartbeat_ms, now_ms)

    def set_control(self, int index, uint64_t born_ms, uint64_t now_ms):
        """Call control process `index`, which began at born_ms, is at work."""
        if not 0 <= index < MAX_CONTROLS:
            raise IndexError(f"no place for call control {index}")
        vx_store(&self.header.control_born[index], born_ms)
        vx_store(&self.header.control_beat[index], now_ms)

    def control(self, int index, uint64_t now_ms, uint64_t silence_ms=CONTROL_SILENCE_MS):
        """When call control process `index` began, 0 when nothing was heard of it for that long."""
        return self.born(index, now_ms, silence_ms)

    cdef uint64_t born(self, int index, uint64_t now_ms, uint64_t silence_ms) noexcept nogil:
        if not 0 <= index < MAX_CONTROLS \
                or vx_load(&self.header.control_beat[index]) + silence_ms < now_ms:
            return 0
        return vx_load(&self.header.control_born[index])

    # -- the process that owns a company's calls ----------------------------------------------

    def owner(self, uint64_t tenant, uint64_t now_ms):
        """The call control process in which the company's calls are, or -1: there is none, or
        that life of it is over."""
        if tenant >= self.header.tenants:
            return -1
        return self.owner_in(vx_load(&self.owners[tenant]), now_ms)

    def own(self, uint64_t tenant, int index, uint64_t born_ms, uint64_t now_ms):
        """Call control process `index`, which began at born_ms, takes the company's calls; False
        when they are in another one. There is no owner of a tenant behind the limit."""
        cdef uint64_t mine = owner_word(index, born_ms), found
        if tenant >= self.header.tenants:
            return True
        while True:
            found = vx_load(&self.owners[tenant])
            if found == mine:
                return True
            if self.owner_in(found, now_ms) >= 0:
                return False
            if vx_cas(&self.owners[tenant], found, mine):
                return True

    def disown(self, uint64_t tenant, int index, uint64_t born_ms):
        """That process has no calls of the company any more."""
        if tenant < self.header.tenants:
            vx_cas(&self.owners[tenant], owner_word(index, born_ms), 0)

    cdef int owner_in(self, uint64_t word, uint64_t now_ms) noexcept nogil:
        cdef int index = <int>(word & 0xFF) - 1
        cdef uint64_t born_ms = word >> 8
        if born_ms and self.born(index, now_ms, CONTROL_SILENCE_MS) == born_ms:
            return index
        return -1

    def count(self, int counter, uint64_t by=1):
        """Add to one of 64 counters that all processes share."""
        if 0 <= counter < COUNTERS:
            vx_add(&self.header.counters[counter], by)

    def counter(self, int counter):
        return vx_load(&self.header.counters[counter]) if 0 <= counter < COUNTERS else 0

    # -- signs of life ------------------------------------------------------------------------

    def beat(self, int which, uint64_t now_ms):
        """Process `which` (a Beat) is at work."""
        if not 0 <= which < BEATS:
            raise IndexError(f"no place for a beat {which}")
        vx_store(&self.header.beats[which], now_ms)

    def beaten_ms(self, int which):
        """When process `which` (a Beat) was last seen at work, Unix milliseconds; 0 = never."""
        return vx_load(&self.header.beats[which]) if 0 <= which < BEATS else 0

    def enter_worker(self, uint64_t pid):
        """A place for a worker of the edge, -1 when all are taken (repair() frees them)."""
        cdef int i
        for i in range(MAX_WORKERS):
            if vx_load(&self.header.workers[i].pid) == 0 \
                    and vx_cas(&self.header.workers[i].pid, 0, pid):
                vx_store(&self.header.workers[i].since_ms, 0)
                return i
        return -1

    def set_busy(self, int worker, uint64_t since_ms):
        """That worker works on a message since then (Unix milliseconds); 0: on none."""
        if 0 <= worker < MAX_WORKERS:
            vx_store(&self.header.workers[worker].since_ms, since_ms)

    def workers(self):
        """[(pid, Unix milliseconds since which it works on one message, 0 = on none)]"""
        return [(vx_load(&self.header.workers[i].pid), vx_load(&self.header.workers[i].since_ms))
                for i in range(MAX_WORKERS) if vx_load(&self.header.workers[i].pid)]

    def know_connection(self, uint32_t id, uint32_t tenant):
        """The TCP connection with Kamailio's number `id` is a tenant's."""
        cdef Connection *place = &self.connections[id & (CONNECTIONS - 1)]
        place.tenant = 0
        vx_store32(&place.id, id)
        vx_store32(&place.tenant, tenant)

    def connection(self, uint32_t id):
        """Whose that connection is, 0 = nobody has shown who it is."""
        cdef Connection *place = &self.connections[id & (CONNECTIONS - 1)]
        return vx_load32(&place.tenant) if vx_load32(&place.id) == id else 0

    def guessed(self, uint32_t device):
        """Somebody tried a wrong password for that device; the first sixteen are named."""
        cdef int i
        for i in range(GUESSES):
            if vx_load32(&self.header.guessed[i]) == device \
                    or vx_cas32(&self.header.guessed[i], 0, device):
                return

    def take_guessed(self):
        """The devices for which passwords were tried since this was asked last, in order."""
        cdef int i
        cdef uint32_t device
        found = []
        for i in range(GUESSES):
            device = vx_load32(&self.header.guessed[i])
            if device and vx_cas32(&self.header.guessed[i], device, 0):
                found.append(device)
        return sorted(found)

    # -- what is used once --------------------------------------------------------------------

    def use_once(self, uint64_t id, uint32_t issued, uint32_t count, uint32_t fingerprint,
                 uint32_t now, uint32_t lifetime):
        """Note that a nonce or an order was used: 0 = for the first time with so high a count,
        1 = with the same count by the same message (it came twice), 2 = spent, or perhaps spent.

        id: 64 bits that nobody else has, not 0; issued, now: Unix seconds; count: rises with each
        use (RFC 7616 section 3.4, nc); lifetime: seconds, after which the caller does not ask.
        The table is bounded: what is pushed out of it early leaves a time behind, and what was
        issued until then and is not known counts as spent.
        """
        cdef UsedBucket *bucket = &self.once[id & (self.header.once_buckets - 1)]
        cdef Used *way
        cdef Used *oldest = NULL
        cdef int i, result = -1
        cdef uint32_t _spin
        for _spin in range(NOTE_SPINS):
            if vx_load32(&bucket.lock) == 0 and vx_cas32(&bucket.lock, 0, 1):
                break
        else:
            return SPENT                     # its holder is dead; repair() opens it
        for i in range(ONCE_WAYS):
            way = &bucket.ways[i]
            if way.id == id:
                if count > way.count:
                    way.count = count
                    way.print = fingerprint
                    result = FRESH
                else:
                    result = SAME if count == way.count and way.print == fingerprint else SPENT
                break
            if oldest == NULL or way.id == 0 or (oldest.id and way.issued < oldest.issued):
                oldest = way
        if result < 0:
            if issued <= bucket.floor:
                result = SPENT
            else:
                if oldest.id and oldest.issued + lifetime >= now:
                    bucket.floor = max(bucket.floor, oldest.issued)
                oldest.id = id
                oldest.issued = issued
                oldest.count = count
                oldest.print = fingerprint
                result = FRESH
        vx_store32(&bucket.lock, 0)
        return result

    # -- calls --------------------------------------------------------------------------------

    cdef SlotHead *held(self, uint64_t slot, uint64_t nonce) noexcept nogil:
        if slot >= self.header.slots or nonce == 0 or self.heads[slot].nonce != nonce:
            return NULL
        return &self.heads[slot]

    def holds(self, uint64_t slot, uint64_t nonce):
        """Whether the slot is still that call's, be it over: until its record is written."""
        return self.held(slot, nonce) != NULL

    def claim(self, uint64_t nonce, int64_t now_ms, uint32_t lease_until, uint32_t tenant,
              uint32_t caller, bint emergency=False):
        """A slot for a new call, or -1 when all are taken.

        nonce: 64 random bits, not 0. The slots at the end are for emergency calls only.
        """
        cdef uint64_t usable = self.header.slots - self.header.reserved_slots
        # From the slot given back last: few slots are in use, and their pages are warm.
        cdef uint64_t first = vx_load(&self.header.next_slot) % usable
        cdef uint64_t i, slot
        for i in range(min(<uint64_t>CLAIM_PROBES, usable)):
            slot = (first + i) % usable
            if self.take(slot, nonce, now_ms, lease_until, tenant, caller):
                vx_store(&self.header.next_slot, slot + 1)
                return slot
        if emergency:
            for slot in range(usable, self.header.slots):
                if self.take(slot, nonce, now_ms, lease_until, tenant, caller):
                    return slot
        return -1

    cdef bint take(self, uint64_t slot, uint64_t nonce, int64_t now_ms, uint32_t lease_until,
                   uint32_t tenant, uint32_t caller) noexcept nogil:
        cdef SlotHead *head = &self.heads[slot]
        if vx_load32(&head.state) != FREE or not vx_cas32(&head.state, FREE, CLAIMED):
            return False
        cdef SlotBody *body = &self.bodies[slot]
        head.nonce = nonce
        head.lease_until = lease_until
        head.started_ms = now_ms
        head.answered_ms = 0
        head.ended_ms = 0
        head.caller = caller
        head.answerer = 0
        head.tenant = tenant
        head.code = 0
        head.reason = 0
        body.n_ringing = 0
        body.n_rang = 0
        body.version = 0
        memset(body.note_size, 0, sizeof(body.note_size))
        memset(body.cseq, 0, sizeof(body.cseq))
        vx_store32(&head.state, SETUP)
        if caller:
            self.name_line(caller, slot, nonce, now_ms // 1000, True)
        return True

    cdef void name_line(self, uint32_t user, uint64_t slot, uint64_t nonce, int64_t now,
                        bint talks) noexcept nogil:
        # Point one of the user's lines at the slot. A line whose call is over is free; then one
        # that only rings gives way to a call in which the user talks. When all are such calls, the
        # line state is right without this one.
        cdef uint64_t ref = (nonce >> REF_SLOT_BITS << REF_SLOT_BITS) | (slot + 1)
        cdef uint64_t old, other
        cdef uint64_t *line
        cdef uint32_t state
        cdef int i
        if user == 0 or user >= self.header.users:
            return
        for i in range(LINES):
            if vx_load(&self.lines[<size_t>user * LINES + i]) == ref:
                return
        for i in range(LINES):
            line = &self.lines[<size_t>user * LINES + i]
            old = vx_load(line)
            if old:
                other = (old & ((1 << REF_SLOT_BITS) - 1)) - 1
                if other < self.header.slots \
                        and self.heads[other].nonce >> REF_SLOT_BITS == old >> REF_SLOT_BITS \
                        and <int64_t>self.heads[other].lease_until >= now:
                    state = vx_load32(&self.heads[other].state)
                    if SETUP <= state <= ANSWERED:
                        continue
            if vx_cas(line, old, ref):
                return
        if not talks:
            return
        for i in range(LINES):
            line = &self.lines[<size_t>user * LINES + i]
            old = vx_load(line)
            other = (old & ((1 << REF_SLOT_BITS) - 1)) - 1
            if other < self.header.slots and vx_load32(&self.heads[other].state) == SETUP \
                    and self.heads[other].caller != user and vx_cas(line, old, ref):
                return

    def ring(self, uint64_t slot, uint64_t nonce, users, int64_t now_ms, uint32_t lease_until):
        """These users ring now, and nobody else; False when the call is not being set up."""
        cdef SlotHead *head = self.held(slot, nonce)
        if head == NULL or vx_load32(&head.state) != SETUP:
            return False
        cdef SlotBody *body = &self.bodies[slot]
        cdef uint32_t user, n = 0, i
        cdef bint known
        head.lease_until = lease_until
        body.n_ringing = 0
        for user in users:
            if n == MAX_RINGING:
                break
            body.ringing[n] = user
            n += 1
            known = False
            for i in range(min(body.n_rang, <uint32_t>MAX_RINGING)):
                known = known or body.rang[i] == user
            if not known and body.n_rang < MAX_RINGING:
                body.rang[body.n_rang] = user
                body.n_rang += 1
        vx_store32(&body.n_ringing, n)
        for user in users:
            self.name_line(user, slot, nonce, now_ms // 1000, False)
        return True

    def note(self, uint64_t slot, uint64_t nonce, int which, bytes text):
        """Keep text (at most 2 048 bytes) with the call; which: 0 setup, 1 answer, 2 decisions,
        3 branches.

        False, and nothing kept, when it does not fit or the call is over.
        """
        cdef SlotHead *head = self.held(slot, nonce)
        if head == NULL or len(text) > NOTE_BYTES or not 0 <= which < NOTES:
            return False
        if vx_load32(&head.state) >= ENDED:
            return False
        self.write_note(&self.bodies[slot], which, text, len(text))
        return True

    cdef void write_note(self, SlotBody *body, int which, const char *text,
                         uint32_t size) noexcept nogil:
        # A writer that was killed leaves an odd version: after a while nobody waits for it.
        cdef uint32_t version = 0, _spin
        for _spin in range(NOTE_SPINS):
            version = vx_load32(&body.version)
            if not version & 1 and vx_cas32(&body.version, version, version + 1):
                break
        memcpy(body.note[which], text, size)
        body.note_size[which] = size
        vx_store32(&body.version, (version | 1) + 1)

    def read_note(self, uint64_t slot, int which):
        """A note, whole as it was written; b"" when there is none."""
        cdef SlotBody *body
        cdef uint32_t version, _spin
        cdef bytes text = b""
        if slot >= self.header.slots or not 0 <= which < NOTES:
            return text
        body = &self.bodies[slot]
        for _spin in range(NOTE_SPINS):
            version = vx_load32(&body.version)
            if version & 1:
                continue
            text = PyBytes_FromStringAndSize(
                body.note[which], min(body.note_size[which], <uint32_t>NOTE_BYTES))
            if vx_load32(&body.version) == version:
                return text
        return PyBytes_FromStringAndSize(
            body.note[which], min(body.note_size[which], <uint32_t>NOTE_BYTES))

    def advance(self, uint64_t slot, uint64_t nonce, int side, uint32_t cseq):
        """A request with that CSeq came from a side (0 caller, 1 called) of the call: 1 = it is
        later than all before, 0 = the last one once more, -1 = an earlier one, or no such call."""
        cdef SlotHead *head = self.held(slot, nonce)
        cdef uint32_t last
        if head == NULL or not 0 <= side < SIDES:
            return -1
        cdef uint32_t *place = &self.bodies[slot].cseq[side]
        while True:
            last = vx_load32(place)
            if cseq <= last:
                return 0 if cseq == last else -1
            if vx_cas32(place, last, cseq):
                return 1

    def answer(self, uint64_t slot, uint64_t nonce, uint32_t answerer, int64_t now_ms,
               uint32_t lease_until, bytes text=b""):
        """The call is answered; True for the one process that says so first."""
        cdef SlotHead *head = self.held(slot, nonce)
        if head == NULL or not vx_cas32(&head.state, SETUP, ANSWERING):
            return False
        cdef SlotBody *body = &self.bodies[slot]
        head.answered_ms = now_ms
        head.answerer = answerer
        head.code = 200
        head.lease_until = lease_until
        if len(text) <= NOTE_BYTES:
            self.write_note(body, 1, text, len(text))
        body.n_ringing = 0
        vx_cas32(&head.state, ANSWERING, ANSWERED)   # fails when it was ended meanwhile
        if answerer:
            self.name_line(answerer, slot, nonce, now_ms // 1000, True)
        return True

    def goes_on(self, uint64_t slot, uint64_t nonce):
        """Whether that call is not over."""
        cdef SlotHead *head = self.held(slot, nonce)
        return head != NULL and SETUP <= vx_load32(&head.state) <= ANSWERED

    def renew(self, uint64_t slot, uint64_t nonce, uint32_t lease_until):
        """The call was heard of: believe in it until then. False when it is over or not ours."""
        cdef SlotHead *head = self.held(slot, nonce)
        if head == NULL or not SETUP <= vx_load32(&head.state) <= ANSWERED:
            return False
        head.lease_until = lease_until
        # A lease that had run out may have cost the call its lines.
        self.name_line(head.caller, slot, nonce, 0, True)
        self.name_line(head.answerer, slot, nonce, 0, True)
        return True

    def end(self, uint64_t slot, uint64_t nonce, uint32_t code, uint32_t reason, int64_t now_ms):
        """The call is over; True for the one process that says so first."""
        cdef SlotHead *head = self.held(slot, nonce)
        cdef uint32_t state, _spin
        if head == NULL:
            return False
        while True:                              # a call only moves on: a few times at most
            state = vx_load32(&head.state)
            for _spin in range(ANSWER_SPINS):
                if state != ANSWERING:
                    break
                state = vx_load32(&head.state)   # an answer takes less than a microsecond
            if state == FREE or state >= ENDING:
                return False
            if vx_cas32(&head.state, state, ENDING):
                break
        # The answer may have looked at the clock later.
        head.ended_ms = max(now_ms, head.answered_ms)
        if code:
            head.code = code
        head.reason = reason
        vx_store32(&head.state, ENDED)
        return True

    def release(self, uint64_t slot, uint64_t nonce):
        """Give the slot back, after its record was written."""
        cdef SlotHead *head = self.held(slot, nonce)
        if head == NULL or not vx_cas32(&head.state, ENDED, CLAIMED):
            return False
        head.nonce = 0
        vx_store32(&head.state, FREE)
        vx_store(&self.header.next_slot, slot)
        return True

    def calls(self, *states):
        """[(slot, nonce)] of the calls in these states, or of all that are not free."""
        cdef uint64_t slot
        cdef uint32_t state
        cdef uint64_t wanted = 0
        for state in states:
            wanted |= <uint64_t>1 << state
        if not wanted:
            wanted = ~(<uint64_t>1 << FREE)
        found = []
        for slot in range(self.header.slots):
            state = vx_load32(&self.heads[slot].state)
            if state != FREE and wanted >> state & 1:
                found.append((slot, self.heads[slot].nonce))
        return found

    def call(self, uint64_t slot, uint64_t nonce):
        """What is known of a call, as a dict, or None when the slot has another call by now."""
        cdef SlotHead *head = self.held(slot, nonce)
        if head == NULL:
            return None
        cdef SlotBody *body = &self.bodies[slot]
        cdef SlotHead h = head[0]
        found = {
            "state": h.state, "lease_until": h.lease_until, "started_ms": h.started_ms,
            "answered_ms": h.answered_ms, "ended_ms": h.ended_ms, "caller": h.caller,
            "answerer": h.answerer, "tenant": h.tenant, "code": h.code, "reason": h.reason,
            "ringing": [body.ringing[i] for i in range(min(body.n_ringing, <uint32_t>MAX_RINGING))],
            "rang": [body.rang[i] for i in range(min(body.n_rang, <uint32_t>MAX_RINGING))],
            "setup": self.read_note(slot, 0), "answer": self.read_note(slot, 1),
            "decisions": self.read_note(slot, 2),
        }
        return found if self.held(slot, nonce) != NULL else None

    def repair(self, int64_t now_ms):
        """Finish what a killed edge had begun; the slots that were repaired.

        Call it when no process that writes calls is running: a move that is still under way then
        has lost its owner. CLAIMED never became a call; a call being set up died with its
        transaction (reason: LOST); ANSWERING goes on as answered; ENDING is ended.
        """
        cdef uint64_t slot
        cdef SlotHead *head
        repaired = []
        memset(self.header.workers, 0, sizeof(self.header.workers))
        memset(self.connections, 0, CONNECTIONS * sizeof(Connection))
        for slot in range(self.header.once_buckets):
            if self.once[slot].lock:
                vx_store32(&self.once[slot].lock, 0)
        for slot in range(self.header.slots):
            head = &self.heads[slot]
            if head.state != FREE and self.bodies[slot].version & 1:
                vx_store32(&self.bodies[slot].version, self.bodies[slot].version + 1)
            if head.state == CLAIMED:
                head.nonce = 0
                vx_store32(&head.state, FREE)
            elif head.state == ANSWERING:
                if head.answered_ms == 0:
                    head.answered_ms = now_ms
                head.code = 200
                vx_store32(&head.state, ANSWERED)
            elif head.state == ENDED and head.nonce == 0:
                vx_store32(&head.state, FREE)
            elif head.state == ENDING or head.state == SETUP:
                if head.state == SETUP:
                    head.reason = LOST
                if head.ended_ms == 0:
                    head.ended_ms = now_ms
                vx_store32(&head.state, ENDED)
            else:
                continue
            repaired.append(slot)
        return repaired

    @property
    def slots(self):
        return self.header.slots

    @property
    def users(self):
        return self.header.users

    @property
    def members(self):
        return self.header.members

    @property
    def trunks(self):
        return self.header.trunks

    @property
    def tenants(self):
        return self.header.tenants
