# The one spelling of every state, reason and kind that crosses a boundary.
# Cython exports each enum to Python as an IntEnum of the same name.

cpdef enum Source:
    TRUNK = 1
    DEVICE = 2
    CALL_CONTROL = 3     # an order of call control's, for a call that it holds

cpdef enum Target:
    NOWHERE = 0
    USER = 1
    GROUP = 2
    NUMBER = 3       # an E.164 number outside the exchange, or one of its own
    BUSY = 4         # answer 486
    SERVICE = 5      # handed to call control (menu, queue, voicemail ...)

cpdef enum Kind:
    RELAY = 1
    HANDOVER = 2
    REJECT = 3
    EMERGENCY = 4

cpdef enum Endpoint:
    TO_DEVICE = 1
    TO_TRUNK = 2

cpdef enum Cause:
    # How the last attempt ended, as the edge tells the kernel.
    FIRST = 0
    BUSY_HERE = 1
    NO_ANSWER = 2
    UNREACHABLE = 3
    DECLINED = 4
    REDIRECTED = 5

cpdef enum When:
    # Catalogue P3: which event a forwarding belongs to.
    ALWAYS = 1
    ON_BUSY = 2
    ON_NO_ANSWER = 3
    ON_UNREACHABLE = 4
    ON_ACTIVITY = 5

cpdef enum Diverted:
    # Why a call was sent on (RFC 5806 section 3.1; the words are kemi.diversion's).
    FOR_UNKNOWN = 0
    FOR_ALL = 1
    FOR_BUSY = 2
    FOR_NO_ANSWER = 3
    FOR_UNAVAILABLE = 4
    FOR_DEFLECTION = 5
    FOR_AWAY = 6
    FOR_TIME_OF_DAY = 7
    FOR_DO_NOT_DISTURB = 8
    FOR_FOLLOW_ME = 9
    FOR_OUT_OF_SERVICE = 10

cpdef enum Called:
    ANY = 0
    FIXED = 1
    MOBILE = 2

cpdef enum Display:
    # Catalogue N3: which number the other side sees.
    INHERIT = 0
    MAIN = 1
    DIRECT = 2
    OWN_MOBILE = 3
    SUPPORT = 4
    HIDDEN = 5
    EXTENSION = 6    # inside the company
    ORIGINAL = 7     # the original caller of a forwarded call
    REQUESTED = 8    # the number that the device asked for, and the tenant owns

cpdef enum Role:
    NO_ROLE = 0
    WORK = 1
    MOBILE_ROLE = 2

cpdef enum NumberClass:
    # Catalogue N6: bits of a barring mask.
    NATIONAL = 1
    MOBILE_NUMBER = 2
    TOLL_FREE = 4
    SHARED_COST = 8
    PREMIUM = 16
    INTERNATIONAL = 32
    SPECIAL = 64
    SATELLITE = 128

cpdef enum Strategy:
    PARALLEL = 1
    SERIAL = 2
    RANDOM = 3

cpdef enum Override:
    AUTO = 0
    OPEN = 1
    CLOSED = 2

cpdef enum RuleKind:
    DAILY = 1
    WEEKLY = 2
    MONTHLY = 3
    YEARLY = 4
    HOLIDAY = 5
    DATES = 6

cpdef enum CallerRule:
    ORDINARY = 0
    VIP = 1
    BLOCKED = 2

cpdef enum LineState:
    IDLE = 0
    RINGING = 1
    IN_CALL = 2

cpdef enum SlotState:
    FREE = 0
    CLAIMED = 1
    SETUP = 2
    ANSWERING = 3
    ANSWERED = 4
    ENDING = 5
    ENDED = 6

cpdef enum Reason:
    # Why a call is not connected, or where it was handed. The text of each is
    # in explain.py; the SIP code in kernel.pyx.
    NONE = 0
    UNKNOWN_NUMBER = 1
    UNKNOWN_SOURCE = 2
    BAD_NUMBER = 3
    BARRED = 4
    FORWARDING_LOOP = 5
    TOO_MANY_FORWARDS = 6
    USER_BUSY = 7
    USER_NO_ANSWER = 8
    USER_UNREACHABLE = 9
    USER_AWAY = 10
    CALLER_BLOCKED = 11
    CLOSED_HOURS = 12
    NOBODY_AVAILABLE = 13
    GROUP_NO_ANSWER = 14
    NO_TRUNK = 15
    NUMBER_NOT_OWNED = 16
    NO_TARGET = 17
    WRONG_TENANT = 18
    SERVICE_TARGET = 19
    USER_DISABLED = 20
    BUSY_TARGET = 21
    CALL_FUNCTIONS = 22  # somebody on the call has functions that need call control
    DIAL_CODE = 23

cpdef enum Rule:
    # One line of an explanation; (rule, a, b) in a trace.
    R_SOURCE_TRUNK = 1
    R_SOURCE_DEVICE = 2
    R_CALLED = 3
    R_EMERGENCY = 4
    R_PREFIX = 5
    R_EXTENSION = 6
    R_NUMBER = 7
    R_SCHEDULE = 8
    R_USER = 9
    R_CALLER_RULE = 10
    R_PRESENCE = 11
    R_PRESENCE_ENDED = 12
    R_FORWARD = 13
    R_LINE_STATE = 14
    R_RING_DEVICES = 15
    R_GROUP = 16
    R_MEMBER_RINGS = 17
    R_MEMBER_SKIPPED = 18
    R_GROUP_ON = 19
    R_OUTBOUND = 20
    R_BARRED = 21
    R_DISPLAY = 22
    R_TRUNK = 23
    R_TRUNK_DOWN = 24
    R_ON_NET = 25
    R_RECORD = 26
    R_REJECT = 27
    R_HANDOVER = 28
    R_CAUSE = 29
    R_NOT_OWNED = 30
    R_AREA = 31
    R_ORDER = 32
    R_CALLER_NAME = 33

cpdef enum Skip:
    # Why a member of a group does not ring.
    LOGGED_OUT = 1
    AWAY = 2
    LINE_BUSY = 3
    NO_DEVICE = 4
    DISABLED = 5
    OVER_LIMIT = 6

cpdef enum Use:
    # What Live.use_once() answers.
    FRESH = 0        # it had not been used with so high a count
    SAME = 1         # the message that used it has come once more
    SPENT = 2        # it was used, or may have been

cpdef enum Beat:
    # Processes whose heart beats in the live state; call control's has places of its own.
    BEAT_API = 0
    BEAT_KEYS = 1
