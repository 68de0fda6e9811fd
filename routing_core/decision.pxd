from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    MAX_DIVERTED = 5         # forwarders named to a carrier
    WHY_SHIFT = 56           # of a forwarder: below it the number, above it the Diverted

cdef packed struct Trail:
    # What a call has been through; it travels with the call from decision to decision.
    uint64_t seed
    uint64_t caller          # E.164 of an outside caller, 0 = none shown
    uint64_t called          # the number or short code first called
    uint64_t wanted          # the number that the device asks to be shown
    uint64_t diverted[5]     # forwarders, see WHY_SHIFT
    uint32_t visited[8]      # users; groups with the top bit
    uint32_t tenant
    uint32_t caller_user     # of the same tenant
    uint32_t device          # that the caller uses
    uint32_t user            # whose rules apply when this attempt fails
    uint32_t group           # that rings
    uint32_t payer           # whose barring applies to what goes out
    uint8_t n_diverted
    uint8_t n_visited
    uint8_t round            # of the group
    uint8_t position         # of the group's last member asked
    uint8_t called_kind
    uint8_t record
    uint8_t prefix_display
    uint8_t hidden           # the outside caller withheld the number

cdef class Decision:
    cdef Trail t
    cdef readonly int kind, reason, code, ring_s, display, number_class
    cdef readonly uint32_t tenant, area, group
    cdef readonly uint64_t revision
    cdef readonly bint parallel, anchor, record
    cdef readonly int language
    cdef uint64_t shown, number, service
    cdef int n
    cdef uint8_t target_kind[30]
    cdef uint32_t target_id[30]
    cdef uint32_t target_user[30]
    cdef str location_text, name
