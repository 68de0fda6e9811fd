# The shape of a snapshot: fixed records in one file, mapped read-only by every process.
#
# Rules that every reader and writer keeps:
# - little endian, packed; a record's size is part of LAYOUT_VERSION;
# - tables marked "by id" are dense arrays indexed by the store's id; a record whose tenant is 0
#   is absent;
# - numbers are E.164 digits as an integer (RFC 3966 without "+"; no number starts with 0), short
#   codes such as 112 carry the SHORT bit;
# - a target is type << 56 | id or number.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    LAYOUT_VERSION = 4
    MAX_DEVICES = 6          # per user: fits the cache line of the user
    MAX_TARGETS = 30         # Kamailio's max_branches is 31
    MAX_MEMBERS = 64         # of a group
    MAX_VISITED = 8          # users and groups one call may be sent through
    MAX_TRUNKS = 8           # tried for one call
    TARGET_SHIFT = 56

cdef enum:
    # Tables of a base; the same numbers are the kinds of an overlay entry.
    T_TENANT = 0
    T_USER = 1
    T_DEVICE = 2
    T_NUMBER = 3             # full record of a number that is more than a user's own
    T_ACTIVITY = 4
    T_FORWARD = 5            # list by user
    T_GROUP = 6
    T_MEMBER = 7             # list by group
    T_SCHEDULE = 8
    T_RULE = 9               # list by schedule
    T_TRUNK = 10
    T_ROUTE = 11             # list by tenant; tenant 0 is everybody's
    T_AREA = 12
    T_PLAN = 13              # by country
    T_ZONE = 14              # by zone index
    T_HOLIDAY = 15           # days since 1970, per country range in T_PLAN
    H_NUMBER = 16            # hash: number -> NumberSlot
    H_EXTENSION = 17         # hash: tenant, extension -> user, group or service
    H_USERNAME = 18          # hash: device username -> device id
    H_SOURCE = 19            # hash: trunk address or TLS name -> trunk
    H_CALLER = 20            # hash: user, number -> caller rule
    T_SERVICE = 21
    T_NAME = 22              # text of callers' names: a byte of length, then UTF-8
    H_NAME = 23              # hash: tenant, number -> T_NAME
    TABLES = 24

cdef packed struct TableRef:
    uint64_t offset
    uint64_t count           # records; for a hash: slots, a power of two
    uint32_t size            # of one record, bytes
    uint32_t used

cdef packed struct BaseHeader:
    char magic[8]
    uint32_t layout
    uint32_t header_size
    uint64_t file_size
    uint64_t revision
    uint64_t checksum        # XXH3-64 of everything after the header
    uint64_t generation
    TableRef tables[24]
    uint64_t header_checksum  # of everything before this field

cdef packed struct TenantRec:
    uint64_t main
    uint64_t support
    uint32_t id
    uint32_t first_route
    uint32_t routes
    uint16_t country         # index into T_PLAN
    uint16_t zone
    uint16_t area
    uint16_t barred
    uint8_t language
    uint8_t refuse_foreign   # 1: a number the tenant does not own is refused, 0: replaced
    uint8_t end_informs      # 1: the end time of an activity only informs (P1)
    uint8_t anchor           # 1: media always through rtpengine
    uint16_t callback_classes  # NumberClass bits: what callers may have called
    uint8_t spare[18]

cdef packed struct UserRec:  # one cache line
    uint64_t direct
    uint64_t mobile
    uint32_t tenant
    uint32_t extension
    uint32_t forwards        # first forward in T_FORWARD + 1
    uint32_t devices[6]      # id | kind << 28
    uint16_t area
    uint16_t barred
    uint8_t display
    uint8_t ring_s
    uint8_t flags
    uint8_t language
    uint8_t n_forwards
    uint8_t spare[3]

cdef enum:
    U_ENABLED = 1
    U_RECORD = 2
    U_CALL_WAITING = 4
    U_CALLER_RULES = 8
    U_FUNCTIONS = 16         # call control carries the calls

cdef packed struct DeviceRec:
    uint64_t name_hash
    uint32_t user
    uint16_t area
    uint8_t display
    uint8_t flags            # D_*
    uint8_t secret[16]

cdef enum:
    D_ENABLED = 1
    D_ANYWHERE = 2           # its contact may be at another host than it registers from
    D_DIGEST_SHIFT = 4       # index into rows.DIGESTS

cdef packed struct NumberSlot:
    uint64_t number          # 0 = empty
    uint32_t value           # user id, or index into T_NUMBER
    uint8_t kind             # N_*
    uint8_t spare[3]

cdef enum:
    N_DIRECT = 1             # the user's own fixed number
    N_MOBILE = 2             # the user's own mobile number
    N_FULL = 3

cdef packed struct NumberRec:
    uint64_t number
    uint64_t target
    uint64_t closed_target
    uint32_t tenant
    uint32_t schedule
    uint8_t called           # Called
    uint8_t record
    uint8_t spare[6]

cdef packed struct ActivityRec:
    uint32_t tenant
    uint8_t reachable
    uint8_t in_groups
    uint8_t role
    uint8_t spare

cdef packed struct ForwardRec:
    uint64_t target
    uint32_t activity        # 0 = any
    uint8_t when
    uint8_t called
    uint8_t spare[2]

cdef packed struct GroupRec:
    uint64_t no_answer
    uint64_t nobody
    uint32_t tenant
    uint32_t extension
    uint32_t first_member
    uint32_t members
    uint8_t strategy
    uint8_t ring_s
    uint8_t attempts
    uint8_t skip_busy
    uint8_t record
    uint8_t spare[11]

cdef enum:
    # What an entry of H_EXTENSION in a base is about; a user without any mark.
    EXTENSION_OF_SERVICE = 0x40000000
    EXTENSION_OF_GROUP = 0x80000000

cdef packed struct ServiceRec:
    uint32_t tenant
    uint32_t extension

cdef packed struct MemberRec:
    uint32_t id
    uint32_t user
    uint16_t priority
    uint16_t device_kinds    # bit per kind
    uint32_t spare

cdef packed struct ScheduleRec:
    uint32_t tenant
    uint32_t first_rule
    uint32_t rules
    uint16_t zone
    uint8_t state            # Override
    uint8_t country          # whose holidays, index into T_PLAN

cdef packed struct RuleRec:
    uint8_t kind
    uint8_t open
    uint8_t priority
    uint8_t weekdays         # bit 0 = Monday
    uint16_t start_min
    uint16_t end_min         # <= start: past midnight
    int32_t from_day         # DATES: days since 1970; MONTHLY: day; YEARLY: month * 100 + day
    int32_t to_day

cdef packed struct TrunkRec:
    uint32_t tenant          # 0 = shared
    uint16_t port
    uint16_t country
    uint8_t present
    uint8_t transport
    uint8_t identity
    uint8_t diversion
    uint8_t forwarded
    uint8_t format
    uint8_t anchor
    uint8_t ring_s
    uint8_t registers
    uint8_t spare[15]
    char host[96]
    char username[72]        # answers the carrier's challenge; "" = none
    char secret[72]

cdef packed struct RouteRec:
    uint64_t low             # numbers in [low, high), left-aligned to 15 digits
    uint64_t high
    uint32_t trunk
    uint16_t position
    uint16_t weight

cdef packed struct AreaRec:
    uint64_t centre          # the number dialled; SHORT bit as in facts
    uint32_t present
    uint32_t trunk           # 0: the tenant's routes
    char location[112]

cdef packed struct ClassRec:
    uint64_t low
    uint64_t high
    uint32_t number_class
    uint32_t digits

cdef packed struct PlanRec:
    uint32_t country_code
    uint32_t present
    uint32_t first_holiday
    uint32_t holidays
    uint32_t n_emergency
    uint32_t n_special
    uint32_t n_classes
    uint32_t n_international
    uint64_t emergency[8]
    uint64_t special[64]
    uint64_t international[4]  # prefix digits behind a leading 1, so that 00 is 100
    ClassRec classes[64]

cdef packed struct ZoneRec:
    uint32_t changes
    int32_t first_offset
    int64_t at[128]
    int32_t offset[128]

cdef packed struct CallerSlot:
    uint64_t key             # mixed from user and number; 0 = empty
    uint32_t user
    uint32_t rule

cdef packed struct NameSlot:
    uint64_t key             # mixed from tenant and number; 0 = empty
    uint32_t tenant
    uint32_t at              # in T_NAME

cdef packed struct KeySlot:
    uint64_t key             # 0 = empty
    uint32_t value
    uint32_t spare

cdef inline uint64_t SHORT() noexcept nogil:
    return <uint64_t>1 << 54

cdef inline uint64_t make_target(int kind, uint64_t value) noexcept nogil:
    return (<uint64_t>kind << TARGET_SHIFT) | value

cdef inline uint64_t mix(uint64_t x) noexcept nogil:
    # splitmix64's finaliser: every input bit reaches every output bit.
    x ^= x >> 30
    x *= <uint64_t>0xBF58476D1CE4E5B9
    x ^= x >> 27
    x *= <uint64_t>0x94D049BB133111EB
    return x ^ (x >> 31)

cdef inline uint64_t hash_text(const char *text, Py_ssize_t size) noexcept nogil:
    # FNV-1a, finished by mix; never 0, which marks an empty slot.
    cdef uint64_t value = <uint64_t>0xCBF29CE484222325
    cdef Py_ssize_t i
    for i in range(size):
        value ^= <uint8_t>text[i]
        value *= <uint64_t>0x100000001B3
    value = mix(value)
    return value if value else 1

cdef inline uint64_t extension_key(uint32_t tenant, uint32_t extension) noexcept nogil:
    return (<uint64_t>tenant << 32) | extension

cdef inline uint64_t caller_key(uint32_t owner, uint64_t number) noexcept nogil:
    # Of a caller as a user's rules and a tenant's directory know it.
    cdef uint64_t value = mix(number ^ mix(<uint64_t>owner + <uint64_t>0x9E3779B97F4A7C15))
    return value if value else 1

cdef packed struct OverlayHeader:
    char magic[8]
    uint64_t layout
    uint64_t generation      # of the base it lies over
    uint64_t capacity
    uint64_t used            # the writer's; readers go by committed
    uint64_t next_version
    uint64_t committed       # entries of a greater version are not there yet
    uint64_t revision
    uint64_t entries

cdef enum:
    OVERLAY_BUCKETS = 65536  # a power of two
    OVERLAY_HEADER = 4096

cdef packed struct OverlayEntry:
    uint64_t next            # offset of an older entry of the same bucket, 0 = end
    uint64_t key
    uint64_t version
    uint32_t kind
    uint32_t size            # of the payload that follows; 0 = deleted

cdef extern from *:
    """
    #include <stdint.h>
    static inline uint64_t vx_load(const void *p)
    { return __atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE); }
    static inline void vx_store(void *p, uint64_t v)
    { __atomic_store_n((uint64_t *)p, v, __ATOMIC_RELEASE); }
    static inline uint32_t vx_load32(const void *p)
    { return __atomic_load_n((const uint32_t *)p, __ATOMIC_ACQUIRE); }
    static inline void vx_store32(void *p, uint32_t v)
    { __atomic_store_n((uint32_t *)p, v, __ATOMIC_RELEASE); }
    static inline int vx_cas32(void *p, uint32_t from, uint32_t to)
    { return __atomic_compare_exchange_n((uint32_t *)p, &from, to, 0,
                                         __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); }
    static inline int vx_cas(void *p, uint64_t from, uint64_t to)
    { return __atomic_compare_exchange_n((uint64_t *)p, &from, to, 0,
                                         __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); }
    static inline uint64_t vx_add(void *p, uint64_t n)
    { return __atomic_fetch_add((uint64_t *)p, n, __ATOMIC_ACQ_REL); }
    """
    uint64_t vx_load(const void *p) noexcept nogil
    void vx_store(void *p, uint64_t v) noexcept nogil
    uint32_t vx_load32(const void *p) noexcept nogil
    void vx_store32(void *p, uint32_t v) noexcept nogil
    int vx_cas32(void *p, uint32_t old, uint32_t new) noexcept nogil
    int vx_cas(void *p, uint64_t old, uint64_t new) noexcept nogil
    uint64_t vx_add(void *p, uint64_t n) noexcept nogil
