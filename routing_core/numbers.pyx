"""Numbers as people dial them, and as E.164 integers.

What a country's people dial is data (PlanRec): its code, its international prefixes, emergency and
special numbers, and number classes as ranges. Sources: ITU-T E.164, RFC 3966 (visual separators),
the Swedish and Finnish numbering plans.
"""

from libc.stdint cimport uint32_t, uint64_t

from routing_core.layout cimport ClassRec, PlanRec, SHORT
from routing_core.codes cimport (
    DIRECT, HIDDEN, INTERNATIONAL, MAIN, OWN_MOBILE, SPECIAL, SUPPORT, INHERIT,
)

cdef enum:
    MAX_DIALLED = 24         # digits and codes; an E.164 number has 15 at most
    MAX_E164 = 15
    MIN_E164 = 6
    MAX_EXTENSION = 6


cdef uint64_t aligned(uint64_t number) noexcept nogil:
    """Left-aligned to 15 digits, so that a prefix is a range."""
    if number == 0:
        return 0
    while number < <uint64_t>100000000000000:
        number *= 10
    return number


cdef uint32_t digits_of(uint64_t number) noexcept nogil:
    """How many digits a number has; a prefix that is longer does not fit it."""
    cdef uint32_t digits = 0
    while number:
        number //= 10
        digits += 1
    return digits


cdef int number_class(uint64_t number, const PlanRec *plan) noexcept nogil:
    """The NumberClass of an E.164 or short number as seen from the plan's country."""
    if number & SHORT():
        return SPECIAL
    cdef uint64_t left = aligned(number)
    cdef uint32_t i, best = 0, digits = digits_of(number)
    cdef int found = INTERNATIONAL
    cdef const ClassRec *row
    for i in range(plan.n_classes):
        row = &plan.classes[i]
        if row.low <= left < row.high and best < row.digits <= digits:
            best = row.digits
            found = row.number_class
    return found


cdef uint64_t read_e164(const char *text, Py_ssize_t size) noexcept nogil:
    """Digits with an optional "+", nothing else; 0 when it is not an E.164 number."""
    cdef Py_ssize_t i = 0
    cdef uint64_t value = 0
    cdef int digits = 0
    if size and text[0] == c"+":
        i = 1
    if i < size and text[i] == c"0":
        return 0
    while i < size:
        if not c"0" <= text[i] <= c"9" or digits == MAX_E164:
            return 0
        value = value * 10 + <uint64_t>(text[i] - c"0")
        digits += 1
        i += 1
    return value if digits >= MIN_E164 else 0


cdef int prefix_code(const char *text, int size, int *used) noexcept nogil:
    # Number display for one call (N3). #31# is the GSM code for hiding (3GPP TS 22.030); the
    # others are ours: *51* main, *52* direct, *53* mobile, *54* support number.
    used[0] = 0
    if size < 5:
        return INHERIT
    if text[0] == c"#" and text[1] == c"3" and text[2] == c"1" and text[3] == c"#":
        used[0] = 4
        return HIDDEN
    if text[0] == c"*" and text[1] == c"5" and text[3] == c"*" and c"1" <= text[2] <= c"4":
        used[0] = 4
        if text[2] == c"1":
            return MAIN
        if text[2] == c"2":
            return DIRECT
        if text[2] == c"3":
            return OWN_MOBILE
        return SUPPORT
    return INHERIT


cdef int read_dialled(const char *text, Py_ssize_t size, const PlanRec *plan,
                      Dialled *out) noexcept nogil:
    """What somebody in the plan's country means by text; out.kind is DIALLED_*.

    Accepts +46..., 00 46..., national 0..., plain digits, visual separators, and a number display
    code in front. Anything else (letters, too long, empty) is DIALLED_BAD.
    """
    cdef char digits[MAX_DIALLED]
    cdef char raw[MAX_DIALLED]
    cdef int n = 0, length = 0, used = 0, i, width
    cdef Py_ssize_t at
    cdef char c
    cdef bint plus = False
    cdef uint64_t value = 0, prefix
    out.kind = DIALLED_BAD
    out.emergency = False
    out.display = INHERIT
    out.extension = 0
    out.number = 0
    for at in range(size):
        c = text[at]
        if c == c"-" or c == c"." or c == c" " or c == c"(" or c == c")":
            continue
        if length == MAX_DIALLED:
            return DIALLED_BAD
        raw[length] = c
        length += 1
    out.display = prefix_code(raw, length, &used)
    for i in range(used, length):
        c = raw[i]
        if c == c"+" and i == used:
            plus = True
            continue
        if not c"0" <= c <= c"9":
            return DIALLED_BAD
        digits[n] = c
        n += 1
        value = value * 10 + <uint64_t>(c - c"0")
    if n == 0 or n > 19:
        return DIALLED_BAD
    if not plus:
        for i in range(<int>plan.n_emergency):
            if (plan.emergency[i] ^ SHORT()) == value and digits[0] != c"0":
                out.kind = DIALLED_SHORT
                out.emergency = True
                out.number = plan.emergency[i]
                return out.kind
        if digits[0] != c"0" and n <= MAX_EXTENSION and n >= 2:
            out.extension = <uint32_t>value
        for i in range(<int>plan.n_special):
            if (plan.special[i] ^ SHORT()) == value and digits[0] != c"0":
                out.kind = DIALLED_SHORT
                out.number = plan.special[i]
                return out.kind
        for i in range(<int>plan.n_international):
            width = 0
            prefix = plan.international[i]
            while prefix > 1:
                prefix //= 10
                width += 1
            if n > width and match_prefix(digits, width, plan.international[i]):
                return e164(digits + width, n - width, out)
        if digits[0] == c"0":
            return national(digits, n, plan, out)
        # Digits without any prefix: an extension, or a full number as some trunks send it.
        out.kind = DIALLED_LOCAL
        if n >= 9 and n <= MAX_E164:
            out.number = value
        return out.kind
    return e164(digits, n, out)


cdef bint match_prefix(const char *digits, int width, uint64_t prefix) noexcept nogil:
    cdef uint64_t value = 1
    cdef int i
    for i in range(width):
        value = value * 10 + <uint64_t>(digits[i] - c"0")
    return value == prefix


cdef int e164(const char *digits, int n, Dialled *out) noexcept nogil:
    cdef uint64_t value = 0
    cdef int i
    out.kind = DIALLED_BAD
    if n < MIN_E164 or n > MAX_E164 or digits[0] == c"0":
        return DIALLED_BAD
    for i in range(n):
        value = value * 10 + <uint64_t>(digits[i] - c"0")
    out.kind = DIALLED_E164
    out.number = value
    return out.kind


cdef int national(const char *digits, int n, const PlanRec *plan, Dialled *out) noexcept nogil:
    # 0 and the national number: both Sweden and Finland have "0" as their trunk prefix.
    cdef uint64_t value = plan.country_code
    cdef int i, length = n - 1
    cdef uint64_t code = plan.country_code
    while code:
        code //= 10
        length += 1
    out.kind = DIALLED_BAD
    if n < 2 or length < MIN_E164 or length > MAX_E164 or digits[1] == c"0":
        return DIALLED_BAD
    for i in range(1, n):
        value = value * 10 + <uint64_t>(digits[i] - c"0")
    out.kind = DIALLED_E164
    out.number = value
    return out.kind
