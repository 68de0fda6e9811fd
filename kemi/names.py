"""Names that the edge's steps share: variables, flags, counters, limits."""

from enum import IntEnum
from typing import Final

AVP_CONTEXT: Final = "$avp(vx)"
#: Of a request inside a dialog, until its answer: who sent it, and what a BYE of ours would need.
AVP_INSIDE: Final = "$avp(vi)"
#: The edge's mark in Record-Route; see calls.py.
ROUTE_PARAM: Final = "vx"
#: Beside it, of a subscription: where its telephone is.
PLACE_PARAM: Final = "vp"
#: Headers of ours; a request that brings one from outside has it removed.
OWN_HEADERS: Final = "x-vaxel-"

FLAG_NAT_BRANCH: Final = 6  # usrloc's nat_bflag
FLAG_WITHDRAWN: Final = 5  # of an INVITE whose caller has sent a BYE before the answer

#: A phone that does not say anything to an INVITE for this long is unreachable.
DEVICE_SILENCE_MS: Final = 4000
#: A call control process that does not: the next one is tried.
CONTROL_SILENCE_MS: Final = 1500
#: What call control does with a call before it answers takes no longer.
CONTROL_SETUP_MS: Final = 230_000
#: A trunk that does not: the next one is tried.
TRUNK_SILENCE_MS: Final = 2500
#: How long a trunk that did not answer is tried last.
TRUNK_PENALTY_S: Final = 30
#: Decisions for one INVITE before it is given up; the kernel's own limits come first.
MAX_DECISIONS: Final = 40
#: Headers that are for telephones of one company: they make one answer by itself (Alert-Info,
#: Call-Info, RFC 5373), take a call over (RFC 3891, RFC 3911), or say inside addresses.
BETWEEN_US: Final = "^(Alert-Info|Call-Info|Answer-Mode|Priv-Answer-Mode|Replaces|Join" \
    "|Referred-By|b|Refer-To|r|Target-Dialog)$"
#: A call that nothing was heard of for this long is not believed any more.
LEASE_S: Final = 4 * 3600
#: Until it is acknowledged: the called side gives it up after 32 s (RFC 3261 section 13.3.1.4).
UNACKNOWLEDGED_S: Final = 40
#: While it is being set up.
SETUP_LEASE_S: Final = 300
#: A connection of somebody whom we know stays open for so long without a message.
CONNECTION_S: Final = 3604


class Counter(IntEnum):
    """Places in the live state's shared counters."""

    EXCEPTIONS = 0
    CALLS = 1
    REJECTED = 2
    FLOOD = 3
    AUTH_FAILED = 4
    MEDIA_FAILED = 5
    NO_SLOT = 6
    SNAPSHOT_REFUSED = 7
    FORGED = 8
    TRUNK_FAILED = 9
    NOT_OURS = 10
    ANSWERED = 11
    HANDED_OVER = 12
    NO_CONTROL = 13
    MALFORMED = 14
    BAD_CONTACT = 15
    REPLAYED = 16
    CONNECTIONS_CLOSED = 17
    BYE_REFUSED = 18
    REPEATED = 19
    WENT_ROUND = 20


class Ended(IntEnum):
    """Who or what ended a call; `reason` of a call slot."""

    UNKNOWN = 0
    CALLER = 1
    CALLED = 2
    CANCELLED = 3
    REFUSED = 4
    FAILED = 5
    LOST = 6
