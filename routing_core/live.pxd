from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    LIVE_LAYOUT = 4
    LIVE_HEADER = 4096
    LINES = 4                # call slots a user's line state is derived from
    MAX_RINGING = 30
    COUNTERS = 64
    NOTES = 4                # setup, answer, decisions, branches
    NOTE_BYTES = 2048
    SIDES = 2                # caller, called
    MAX_MEDIA_NODES = 16
    MAX_CONTROLS = 16
    CONTROL_SILENCE_MS = 2000    # a call control process not seen for so long gets no new calls
    BEATS = 16               # processes whose heart beats here: a Beat of codes.pxd
    MAX_WORKERS = 128        # processes of the edge
    GUESSES = 16             # devices that are named when passwords are guessed
    CONNECTIONS = 16384      # whose TCP connections are known; a power of two
    ONCE_WAYS = 2            # entries of a bucket of what was used

cdef packed struct Worker:
    uint64_t pid             # 0 = free
    uint64_t since_ms        # it works on a message since then; 0 = it waits for one

cdef packed struct LiveHeader:
    char magic[8]
    uint32_t layout
    uint32_t users
    uint32_t members
    uint32_t trunks
    uint32_t slots
    uint32_t reserved_slots  # of them, at the end, for emergency calls only
    uint64_t tenants         # whose owner is noted: ids below
    uint64_t file_size
    uint64_t next_slot       # where the next claim begins to look
    uint64_t media_up        # bit per rtpengine node
    uint64_t heartbeat_ms    # of the process that watches trunks and media
    uint64_t counters[64]
    uint64_t control_born[16]    # of each call control process: when it began; 0 = never
    uint64_t control_beat[16]    # when it was last seen at work; both Unix milliseconds
    uint64_t once_buckets    # of what was used once; a power of two
    uint64_t beats[16]       # when each process was last seen at work, Unix milliseconds
    Worker workers[128]
    uint32_t guessed[16]     # devices for which a wrong password was tried, 0 = none

cdef packed struct Connection:
    uint32_t id
    uint32_t tenant          # 0 = nobody's

cdef packed struct Used:
    uint64_t id              # of a nonce or an order; 0 = free
    uint32_t issued          # Unix seconds
    uint32_t count           # the highest it was used with
    uint32_t print           # of the message that used it so
    uint32_t spare

cdef packed struct UsedBucket:  # one cache line
    uint32_t lock
    uint32_t floor           # what was issued until then and is not here may have been used
    Used ways[2]
    uint64_t spare

cdef packed struct SlotHead:  # one cache line
    uint32_t state           # SlotState, changed by compare-and-swap only
    uint32_t lease_until     # Unix seconds; behind it, the call is not believed any more
    uint64_t nonce           # of this use of the slot: who knows it may change the call
    int64_t started_ms
    int64_t answered_ms
    int64_t ended_ms
    uint32_t caller          # user id, 0 = from outside
    uint32_t answerer        # user id, 0 = outside or nobody
    uint32_t tenant
    uint32_t code            # last SIP status
    uint32_t reason          # who or what ended it: an Ended
    uint32_t spare

cdef packed struct SlotBody:
    uint32_t ringing[30]
    uint32_t n_ringing
    uint32_t rang[30]        # everybody who rang during the call
    uint32_t n_rang
    uint32_t note_size[4]
    uint32_t version         # of the notes: odd while one is being written
    uint32_t cseq[2]         # the last of each side's requests
    uint32_t spare
    char note[4][2048]

cdef class Live:
    cdef object buffer
    cdef char *start
    cdef LiveHeader *header
    cdef uint64_t *presences
    cdef uint64_t *lines
    cdef uint8_t *logins
    cdef uint64_t *trunk_down
    cdef uint64_t *owners        # by tenant: born_ms << 8 | index + 1 of a process, 0 = nobody
    cdef SlotHead *heads
    cdef SlotBody *bodies
    cdef UsedBucket *once
    cdef Connection *connections

    cdef uint64_t born(self, int index, uint64_t now_ms, uint64_t silence_ms) noexcept nogil
    cdef int owner_in(self, uint64_t word, uint64_t now_ms) noexcept nogil
    cdef uint64_t presence_word(self, uint32_t user) noexcept nogil
    cdef int line(self, uint32_t user, int64_t now) noexcept nogil
    cdef bint logged_in(self, uint32_t member) noexcept nogil
    cdef bint trunk_up(self, uint32_t trunk, int64_t now) noexcept nogil
    cdef void write_note(self, SlotBody *body, int which, const char *text,
                         uint32_t size) noexcept nogil
    cdef SlotHead *held(self, uint64_t slot, uint64_t nonce) noexcept nogil
    cdef bint take(self, uint64_t slot, uint64_t nonce, int64_t now_ms, uint32_t lease_until,
                   uint32_t tenant, uint32_t caller) noexcept nogil
    cdef void name_line(self, uint32_t user, uint64_t slot, uint64_t nonce,
                        int64_t now, bint talks) noexcept nogil
