"""The queue engine's memory: records, timers, journal and dump. The rules are in queues.pyx."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memset

from routing_core.layout cimport mix
from routing_core.ranking cimport Node

cdef extern from "<stdlib.h>" nogil:
    void *aligned_alloc(size_t alignment, size_t size)

cdef const char *MAGIC = b"VAXELQU1"

cdef enum:
    FIRST_ROOM = 64
    HEADER = 8 + 8
    INDEX_BITS = 24


cdef void *grown(void *old, size_t size, uint32_t room, uint32_t wanted) except NULL:
    # Zeroed behind what was there. Records begin at cache lines.
    cdef char *new = <char *>aligned_alloc(64, (size * wanted + 63) // 64 * 64)
    if new == NULL:
        raise MemoryError
    memcpy(new, old, size * room)
    free(old)
    memset(new + size * room, 0, size * (wanted - room))
    return new


cdef class QueueState:
    """Arrays that grow; record 0 of each is nobody's."""

    def __cinit__(self, *_args, **_more):
        self.queue_index = {}
        self.agent_index = {}
        self.out = []
        self.g.n_queues = self.g.n_agents = self.g.n_members = self.g.n_callers = 1
        self.make_room()

    def __dealloc__(self):
        free(self.queue)
        free(self.agent)
        free(self.member)
        free(self.caller)
        free(self.member_nodes)
        free(self.caller_nodes)
        free(self.heap)
        free(self.journal)

    cdef uint64_t draw(self) noexcept nogil:
        self.g.random += <uint64_t>0x9E3779B97F4A7C15
        return mix(self.g.random)

    cdef int make_room(self) except -1:
        # For one more of each, so that no pointer moves while an input is worked on.
        cdef uint32_t wanted
        if self.g.n_queues + 1 >= self.room_queues:
            wanted = max(<uint32_t>8, self.room_queues * 2)
            self.queue = <QueueRec *>grown(self.queue, sizeof(QueueRec), self.room_queues, wanted)
            self.room_queues = wanted
        if self.g.n_agents + 1 >= self.room_agents:
            wanted = max(<uint32_t>FIRST_ROOM, self.room_agents * 2)
            self.agent = <AgentRec *>grown(self.agent, sizeof(AgentRec), self.room_agents, wanted)
            self.room_agents = wanted
        if self.g.n_members + 1 >= self.room_members:
            wanted = max(<uint32_t>FIRST_ROOM, self.room_members * 2)
            self.member = <MemberRec *>grown(
                self.member, sizeof(MemberRec), self.room_members, wanted)
            self.member_nodes = <Node *>grown(
                self.member_nodes, sizeof(Node), self.room_members, wanted)
            self.room_members = wanted
        if self.g.n_callers + 1 >= self.room_callers:
            wanted = max(<uint32_t>FIRST_ROOM, self.room_callers * 2)
            self.caller = <CallerRec *>grown(
                self.caller, sizeof(CallerRec), self.room_callers, wanted)
            self.caller_nodes = <Node *>grown(
                self.caller_nodes, sizeof(Node), self.room_callers, wanted)
            self.room_callers = wanted
        wanted = self.room_queues + self.room_agents + self.room_callers + 2
        if wanted > self.room_heap:
            self.heap = <uint64_t *>grown(self.heap, 8, self.room_heap, wanted)
            self.room_heap = wanted
        return 0

    cdef int advance(self, int64_t now) except -1:
        # What is due by then happens: the engine's.
        return 0

    # -- finding ------------------------------------------------------------------------------

    cdef uint32_t queue_at(self, int64_t id) except? 0:
        return self.queue_index.get(id, 0)

    cdef uint32_t agent_at(self, int64_t id) except? 0:
        return self.agent_index.get(id, 0)

    cdef uint32_t caller_at(self, int64_t id) noexcept nogil:
        cdef uint32_t i = <uint32_t>(id & ((1 << INDEX_BITS) - 1))
        return i if id > 0 and i < self.g.n_callers and self.caller[i].id == id else 0

    cdef uint32_t member_at(self, uint32_t queue, uint32_t agent) noexcept nogil:
        cdef uint32_t m = self.agent[agent].first_member
        while m and self.member[m].queue != queue:
            m = self.member[m].next_of_agent
        return m

    # -- timers: one of each record, in a heap ---------------------------------------------

    cdef Timer *timer_of(self, uint64_t ref) noexcept nogil:
        cdef uint32_t i = <uint32_t>ref
        cdef uint32_t kind = <uint32_t>(ref >> 32)
        if kind == 0:
            return &self.queue[i].timer
        if kind == 1:
            return &self.agent[i].timer
        if kind == 2:
            return &self.caller[i].timer
        return &self.g.timer

    cdef bint sooner(self, uint64_t a, uint64_t b) noexcept nogil:
        cdef int64_t first = self.timer_of(a).due, second = self.timer_of(b).due
        return first < second if first != second else a < b

    cdef void put(self, uint32_t at, uint64_t ref) noexcept nogil:
        self.heap[at] = ref
        self.timer_of(ref).at = at

    cdef void schedule(self, uint64_t ref, int64_t due) noexcept nogil:
        # due 0: never.
        cdef Timer *timer = self.timer_of(ref)
        cdef uint32_t at = timer.at, other
        cdef uint64_t last
        if timer.due == due:
            return
        if due == 0:
            last = self.heap[self.g.n_timers]
            self.heap[self.g.n_timers] = 0
            self.g.n_timers -= 1
            timer.due = 0
            timer.at = 0
            if last == ref:
                return
            ref = last
            self.put(at, ref)
        else:
            timer.due = due
            if at == 0:
                self.g.n_timers += 1
                at = self.g.n_timers
                self.put(at, ref)
        while at > 1 and self.sooner(ref, self.heap[at // 2]):
            self.put(at, self.heap[at // 2])
            at //= 2
            self.put(at, ref)
        while True:
            other = at * 2
            if other > self.g.n_timers:
                return
            if other < self.g.n_timers and self.sooner(self.heap[other + 1], self.heap[other]):
                other += 1
            if not self.sooner(self.heap[other], ref):
                return
            self.put(at, self.heap[other])
            at = other
            self.put(at, ref)

    # -- what is said and written down ---------------------------------------------------------

    cdef int say(self, int what, uint32_t queue, int64_t caller, uint32_t agent, int64_t attempt,
                 int64_t x, int64_t y) except -1:
        self.out.append((what, self.g.now, self.queue[queue].id, caller, self.agent[agent].id,
                         attempt, x, y))
        return 0

    cdef int note(self, int op, int count) except -1:
        # An input: what, how many numbers, the numbers (self.args).
        cdef size_t size = 8 + 8 * <size_t>count, wanted
        cdef char *new
        if self.journal_size + size > self.journal_room:
            wanted = max(<size_t>4096, self.journal_room * 2)
            new = <char *>realloc(self.journal, wanted)
            if new == NULL:
                raise MemoryError
            self.journal = new
            self.journal_room = wanted
        (<uint32_t *>(self.journal + self.journal_size))[0] = op
        (<uint32_t *>(self.journal + self.journal_size))[1] = count
        memcpy(self.journal + self.journal_size + 8, self.args, 8 * <size_t>count)
        self.journal_size += size
        return 0

    def take_journal(self):
        """The inputs since the last call."""
        cdef bytes found = PyBytes_FromStringAndSize(self.journal, self.journal_size)
        self.journal_size = 0
        return found

    def take(self):
        """What has followed since the last call."""
        self.advance(self.g.now)
        found = self.out
        self.out = []
        return found

    # -- the whole of it ----------------------------------------------------------------------

    def dump(self):
        """Everything, as bytes."""
        self.advance(self.g.now)
        cdef list parts = [MAGIC[:8], _version(),
                           PyBytes_FromStringAndSize(<char *>&self.g, sizeof(Globals))]
        cdef Globals *g = &self.g
        parts.append(PyBytes_FromStringAndSize(
            <char *>self.queue, g.n_queues * sizeof(QueueRec)))
        parts.append(PyBytes_FromStringAndSize(
            <char *>self.agent, g.n_agents * sizeof(AgentRec)))
        parts.append(PyBytes_FromStringAndSize(
            <char *>self.member, g.n_members * sizeof(MemberRec)))
        parts.append(PyBytes_FromStringAndSize(
            <char *>self.caller, g.n_callers * sizeof(CallerRec)))
        parts.append(PyBytes_FromStringAndSize(
            <char *>self.member_nodes, g.n_members * sizeof(Node)))
        parts.append(PyBytes_FromStringAndSize(
            <char *>self.caller_nodes, g.n_callers * sizeof(Node)))
        parts.append(PyBytes_FromStringAndSize(
            <char *>self.heap, (g.n_timers + 1) * sizeof(uint64_t)))
        return b"".join(parts)

    def restore(self, bytes data):
        """Become what dump() wrote; ValueError, and no use to anybody any more."""
        cdef const char *at = PyBytes_AS_STRING(data)
        cdef size_t size = PyBytes_GET_SIZE(data)
        cdef Globals *g = &self.g
        cdef uint32_t i
        if size < HEADER + sizeof(Globals) or memcmp(at, MAGIC, 8) != 0 \
                or data[8:16] != _version():
            raise ValueError("not a dump of this version")
        memcpy(g, at + HEADER, sizeof(Globals))
        at += HEADER + sizeof(Globals)
        if size != HEADER + sizeof(Globals) + g.n_queues * sizeof(QueueRec) \
                + g.n_agents * sizeof(AgentRec) \
                + g.n_members * (sizeof(MemberRec) + sizeof(Node)) \
                + g.n_callers * (sizeof(CallerRec) + sizeof(Node)) \
                + (<size_t>g.n_timers + 1) * sizeof(uint64_t):
            raise ValueError("a torn dump")
        self.take_room()
        memcpy(self.queue, at, g.n_queues * sizeof(QueueRec))
        at += g.n_queues * sizeof(QueueRec)
        memcpy(self.agent, at, g.n_agents * sizeof(AgentRec))
        at += g.n_agents * sizeof(AgentRec)
        memcpy(self.member, at, g.n_members * sizeof(MemberRec))
        at += g.n_members * sizeof(MemberRec)
        memcpy(self.caller, at, g.n_callers * sizeof(CallerRec))
        at += g.n_callers * sizeof(CallerRec)
        memcpy(self.member_nodes, at, g.n_members * sizeof(Node))
        at += g.n_members * sizeof(Node)
        memcpy(self.caller_nodes, at, g.n_callers * sizeof(Node))
        at += g.n_callers * sizeof(Node)
        memcpy(self.heap, at, (<size_t>g.n_timers + 1) * sizeof(uint64_t))
        self.queue_index = {self.queue[i].id: i for i in range(1, g.n_queues)
                            if self.queue[i].exists}
        self.agent_index = {self.agent[i].id: i for i in range(1, g.n_agents)}

    cdef int take_room(self) except -1:
        # For as many as g says.
        while self.room_queues <= self.g.n_queues + 1 or self.room_agents <= self.g.n_agents + 1 \
                or self.room_members <= self.g.n_members + 1 \
                or self.room_callers <= self.g.n_callers + 1:
            self.make_room()
        return 0

    def counts(self):
        """How much there is of what."""
        cdef uint32_t i
        return {"callers": self.g.callers, "members": self.g.members,
                "agents": self.g.n_agents - 1, "queues": len(self.queue_index),
                "attempts": sum(1 for i in range(1, self.g.n_agents)
                                if self.agent[i].attempt != 0),
                "timers": self.g.n_timers}

    @property
    def now_ms(self):
        """The time of the last input."""
        return self.g.now


def _version():
    # Records of another size are another version.
    return bytes([sizeof(QueueRec) & 255, sizeof(QueueRec) >> 8, sizeof(AgentRec) & 255,
                  sizeof(MemberRec) & 255, sizeof(CallerRec) & 255, sizeof(CallerRec) >> 8,
                  sizeof(Globals) & 255, 1])
