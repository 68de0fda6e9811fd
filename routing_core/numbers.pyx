"""Numbers as people dial them, and as E.164 integers.

What a country's people dial is data (PlanRec): its code, its international prefixes, emergency and
special numbers, and number classes as ranges. What is left out of its numbers, and how long they
are, is NATIONAL_DIGITS. Sources: ITU-T E.164, RFC 3966 (visual separators), the Swedish and Finnish
numbering plans.
"""

from cpython.unicode cimport PyUnicode_AsUTF8AndSize
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
    MAX_KNOWN = 8            # countries whose plans are known
    BARE_SHORT = 5           # digits of a short number behind a country code: 10..., 11..., 16...
    LONG_SHORT = 6           # and 11....
    NORTH_AMERICAN = 11      # digits of every number of country code 1

cdef struct Known:
    uint64_t code
    uint32_t width           # digits of the code
    uint32_t least           # digits behind it
    uint32_t most

#: {country code: the fewest and the most digits behind it}, of the countries whose plans are known.
#: In all of them the trunk prefix is 0 and no national number begins with it, so that a 0 behind
#: the code is left out; a country of which that is not so does not belong here.
NATIONAL_DIGITS = {46: (6, 13), 358: (5, 12)}

cdef Known known[MAX_KNOWN]
cdef int n_known = 0
cdef uint64_t POWERS[20]     # of ten


cdef void fill_tables() except *:
    global n_known
    cdef int i
    assert len(NATIONAL_DIGITS) <= MAX_KNOWN
    POWERS[0] = 1
    for i in range(1, 20):
        POWERS[i] = POWERS[i - 1] * 10
    for code, (least, most) in NATIONAL_DIGITS.items():
        known[n_known] = Known(code, len(str(code)), least, most)
        n_known += 1


fill_tables()


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


cdef uint64_t emergency_of(uint64_t digits, const PlanRec *plan) noexcept nogil:
    cdef uint32_t i
    for i in range(plan.n_emergency):
        if plan.emergency[i] ^ SHORT() == digits:
            return plan.emergency[i]
    return 0


cdef uint64_t special_of(uint64_t digits, const PlanRec *plan) noexcept nogil:
    cdef uint32_t i
    for i in range(plan.n_special):
        if plan.special[i] ^ SHORT() == digits:
            return plan.special[i]
    return 0


cdef bint is_emergency(uint64_t number, const PlanRec *plan) noexcept nogil:
    """Whether a number as it was read is one of the plan's emergency numbers."""
    return (number & SHORT()) != 0 and emergency_of(number ^ SHORT(), plan) != 0


cdef uint64_t settled(uint64_t digits, const PlanRec *plan) noexcept nogil:
    """The one number that is looked up, classed and sent for these digits, which begin with a
    country code; 0 when there is no such number.

    A trunk prefix behind the code is left out. What is then a short number of the plan's country is
    that short number (plan NULL: of none). docs/routing.md, "As E.164".
    """
    cdef uint32_t n = digits_of(digits), i
    cdef uint64_t unit, rest, short
    for i in range(<uint32_t>n_known):
        if n <= known[i].width:
            continue
        unit = POWERS[n - known[i].width]
        if digits // unit != known[i].code:
            continue
        rest = digits % unit
        n -= known[i].width
        if rest < POWERS[n - 1]:             # it begins with 0
            n -= 1
            if n == 0 or rest < POWERS[n - 1]:
                return 0
        if plan != NULL and plan.country_code == known[i].code:
            short = emergency_of(rest, plan)
            if short == 0:
                short = special_of(rest, plan)
            if short:
                return short
        if n < known[i].least or n > known[i].most or looks_short(rest, n):
            return 0
        return known[i].code * POWERS[n] + rest
    if n < MIN_E164 or n > MAX_E164:
        return 0
    if digits // POWERS[n - 1] == 1 and (n != NORTH_AMERICAN or digits // POWERS[n - 2] < 12):
        return 0                 # +118118 would leave as 118118 where a trunk wants no plus
    return digits


cdef bint looks_short(uint64_t rest, uint32_t n) noexcept nogil:
    # A short number of a country, listed or not, that somebody wrote behind the country's code.
    cdef uint64_t begins
    if n != BARE_SHORT and n != LONG_SHORT:
        return False
    begins = rest // POWERS[n - 2]
    return begins == 11 or (n == BARE_SHORT and (begins == 10 or begins == 16))


def routed(str text not None):
    """"+46..." as the kernel reads it, whoever dials it; "" when there is no such number."""
    cdef Py_ssize_t size = 0
    cdef const char *c = PyUnicode_AsUTF8AndSize(text, &size)
    cdef uint64_t digits = read_e164(c, size) if size and c[0] == c"+" else 0
    digits = settled(digits, NULL)
    return f"+{digits}" if digits else ""


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
    code in front. Anything else (letters, no possible number, empty) is DIALLED_BAD. However a
    number is written, out.number is the same.
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
        if digits[0] != c"0":
            out.number = emergency_of(value, plan)
            if out.number:
                out.kind = DIALLED_SHORT
                out.emergency = True
                return out.kind
            if 2 <= n <= MAX_EXTENSION:
                out.extension = <uint32_t>value
            out.number = special_of(value, plan)
            if out.number:
                out.kind = DIALLED_SHORT
                return out.kind
        for i in range(<int>plan.n_international):
            width = 0
            prefix = plan.international[i]
            while prefix > 1:
                prefix //= 10
                width += 1
            if n > width and match_prefix(digits, width, plan.international[i]):
                return e164(digits + width, n - width, plan, out)
        if digits[0] == c"0":
            return national(digits, n, plan, out)
        # Digits without any prefix: an extension, or a full number as some trunks send it.
        if 9 <= n <= MAX_E164:
            settle(value, plan, out)
        out.kind = DIALLED_LOCAL
        return out.kind
    return e164(digits, n, plan, out)


cdef bint match_prefix(const char *digits, int width, uint64_t prefix) noexcept nogil:
    cdef uint64_t value = 1
    cdef int i
    for i in range(width):
        value = value * 10 + <uint64_t>(digits[i] - c"0")
    return value == prefix


cdef int settle(uint64_t digits, const PlanRec *plan, Dialled *out) noexcept nogil:
    out.number = settled(digits, plan)
    out.emergency = is_emergency(out.number, plan)
    out.kind = DIALLED_BAD if out.number == 0 else \
        DIALLED_SHORT if out.number & SHORT() else DIALLED_E164
    return out.kind


cdef int e164(const char *digits, int n, const PlanRec *plan, Dialled *out) noexcept nogil:
    cdef uint64_t value = 0
    cdef int i
    out.kind = DIALLED_BAD
    if digits[0] == c"0":
        return DIALLED_BAD
    for i in range(n):
        value = value * 10 + <uint64_t>(digits[i] - c"0")
    return settle(value, plan, out)


cdef int national(const char *digits, int n, const PlanRec *plan, Dialled *out) noexcept nogil:
    # 0 and the national number: both Sweden and Finland have "0" as their trunk prefix.
    cdef uint64_t value = plan.country_code
    cdef int i
    out.kind = DIALLED_BAD
    if n < 2 or n - 1 + <int>digits_of(value) > MAX_E164 or digits[1] == c"0":
        return DIALLED_BAD
    for i in range(1, n):
        value = value * 10 + <uint64_t>(digits[i] - c"0")
    return settle(value, plan, out)
