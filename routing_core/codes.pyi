# The same names and values as in codes.pxd, their only definition (tests/test_architecture.py).
from enum import IntEnum

class Source(IntEnum):
    TRUNK = 1
    DEVICE = 2
    CALL_CONTROL = 3

class Target(IntEnum):
    NOWHERE = 0
    USER = 1
    GROUP = 2
    NUMBER = 3
    BUSY = 4
    SERVICE = 5

class Kind(IntEnum):
    RELAY = 1
    HANDOVER = 2
    REJECT = 3
    EMERGENCY = 4

class Endpoint(IntEnum):
    TO_DEVICE = 1
    TO_TRUNK = 2

class Cause(IntEnum):
    FIRST = 0
    BUSY_HERE = 1
    NO_ANSWER = 2
    UNREACHABLE = 3
    DECLINED = 4
    REDIRECTED = 5

class When(IntEnum):
    ALWAYS = 1
    ON_BUSY = 2
    ON_NO_ANSWER = 3
    ON_UNREACHABLE = 4
    ON_ACTIVITY = 5

class Diverted(IntEnum):
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

class Called(IntEnum):
    ANY = 0
    FIXED = 1
    MOBILE = 2

class Display(IntEnum):
    INHERIT = 0
    MAIN = 1
    DIRECT = 2
    OWN_MOBILE = 3
    SUPPORT = 4
    HIDDEN = 5
    EXTENSION = 6
    ORIGINAL = 7
    REQUESTED = 8

class Role(IntEnum):
    NO_ROLE = 0
    WORK = 1
    MOBILE_ROLE = 2

class NumberClass(IntEnum):
    NATIONAL = 1
    MOBILE_NUMBER = 2
    TOLL_FREE = 4
    SHARED_COST = 8
    PREMIUM = 16
    INTERNATIONAL = 32
    SPECIAL = 64
    SATELLITE = 128

class Strategy(IntEnum):
    PARALLEL = 1
    SERIAL = 2
    RANDOM = 3

class Override(IntEnum):
    AUTO = 0
    OPEN = 1
    CLOSED = 2

class RuleKind(IntEnum):
    DAILY = 1
    WEEKLY = 2
    MONTHLY = 3
    YEARLY = 4
    HOLIDAY = 5
    DATES = 6

class CallerRule(IntEnum):
    ORDINARY = 0
    VIP = 1
    BLOCKED = 2

class LineState(IntEnum):
    IDLE = 0
    RINGING = 1
    IN_CALL = 2

class SlotState(IntEnum):
    FREE = 0
    CLAIMED = 1
    SETUP = 2
    ANSWERING = 3
    ANSWERED = 4
    ENDING = 5
    ENDED = 6

class Reason(IntEnum):
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
    CALL_FUNCTIONS = 22
    DIAL_CODE = 23

class Rule(IntEnum):
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

class Skip(IntEnum):
    LOGGED_OUT = 1
    AWAY = 2
    LINE_BUSY = 3
    NO_DEVICE = 4
    DISABLED = 5
    OVER_LIMIT = 6

class Use(IntEnum):
    FRESH = 0
    SAME = 1
    SPENT = 2

class Beat(IntEnum):
    BEAT_API = 0
    BEAT_KEYS = 1
