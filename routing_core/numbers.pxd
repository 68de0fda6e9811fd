from libc.stdint cimport uint32_t, uint64_t

from routing_core.layout cimport PlanRec

cdef enum:
    DIALLED_BAD = 0
    DIALLED_LOCAL = 1        # digits as dialled: may be an extension or a national number
    DIALLED_SHORT = 2        # an emergency or special number of the country
    DIALLED_E164 = 3

cdef packed struct Dialled:
    int kind
    bint emergency
    int display              # Display chosen by a prefix, 0 = none
    uint32_t extension       # the digits as an extension, 0 = cannot be one
    uint64_t number          # E.164, or a short number with the SHORT bit; 0 = neither

cdef int read_dialled(const char *text, Py_ssize_t size, const PlanRec *plan,
                      Dialled *out) noexcept nogil
cdef uint64_t settled(uint64_t digits, const PlanRec *plan) noexcept nogil
cdef bint is_emergency(uint64_t number, const PlanRec *plan) noexcept nogil
cdef uint64_t read_e164(const char *text, Py_ssize_t size) noexcept nogil
cdef uint32_t digits_of(uint64_t number) noexcept nogil
cdef uint64_t aligned(uint64_t number) noexcept nogil
cdef int number_class(uint64_t number, const PlanRec *plan) noexcept nogil
