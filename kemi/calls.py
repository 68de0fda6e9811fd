"""What the edge remembers of a call: in the transaction while it is set up, in a call slot until
its record is written, and in the mark that travels in Record-Route."""

import hmac
from hashlib import blake2s
from typing import Any, Final, NamedTuple

import msgspec

from kemi.identity import Forwarder
from kemi.names import LEASE_S, ROUTE_PARAM, SETUP_LEASE_S, UNACKNOWLEDGED_S, Ended
from routing_core import Live

#: Places of the notes in a slot.
SETUP, ANSWER, DECISIONS, BRANCHES = range(4)
#: Sides of a call.
CALLER, CALLED = 0, 1
#: Answers of a call besides the one that counts, and reliable early ones (RFC 3262).
MAX_BRANCHES: Final = 4
_START: Final = f";{ROUTE_PARAM}="
_MAX_MARK: Final = 48
_HEX: Final = frozenset("0123456789abcdef")
_MAC_BYTES: Final = 8


class Context(msgspec.Struct, omit_defaults=True):
    """Travels with the INVITE transaction, from the request to its failure and reply steps."""

    slot: int
    nonce: int
    uid: str
    trail: str = ""
    users: list[int] = []  # of each branch, in the order they were sent
    devices: list[int] = []  # likewise, of a call that call control made
    to_trunk: bool = False
    inside: bool = False  # the caller is a device
    trunk: int = 0
    trunks: list[int] = []  # still to be tried
    number: str = ""
    shown: str = ""
    caller: str = ""
    name: str = ""  # of the caller, for telephones
    display: int = 0
    hidden: bool = False
    anew: bool = False  # telephones see what the rules say of the caller, and not what it says
    diverters: list[Forwarder] = []
    earlier: list[Forwarder] = []  # before the call came to us, the latest first
    location: str = ""
    media: bool = False
    record: bool = False
    emergency: bool = False
    challenged: bool = False
    owned: bool = False  # call control made this call
    control: int = -1  # the process of call control at its end
    controls: list[int] = []  # those still to be tried
    sent: bool = False  # something was sent: the Record-Route is there


encode_context = msgspec.json.Encoder().encode
decode_context = msgspec.json.Decoder(Context).decode


class Party(msgspec.Struct, array_like=True):
    """A side of a dialog (RFC 3261 section 12), as the requests of the other one need it.

    kind, id: a trunk and which, a device (Source.DEVICE) and its user, or call control; tag: its
    own; target: its Contact, the request line of what is sent to it; goes_to: where that is sent,
    "" = to the first of routes, or to target; routes: the proxies on its side, the nearest to us
    first; source: "transport:address:port" that it sends from.
    """

    kind: int
    id: int
    tag: str
    target: str
    goes_to: str = ""
    routes: list[str] = []
    source: str = ""


_decode_parties = msgspec.json.Decoder(list[Party]).decode


class Known(NamedTuple):
    """What a slot says of a call that is not over."""

    setup: dict[str, Any]
    caller: Party
    answer: Party | None
    branches: list[Party]

    def called(self, tag: str) -> Party | None:
        """The called party with that tag."""
        if self.answer is not None and self.answer.tag == tag:
            return self.answer
        return next((one for one in self.branches if one.tag == tag), None)


#: In the place of a call's slot: a subscription.
WATCH_SLOT: Final = 0xFFFFFF


class Mark(NamedTuple):
    """The edge's own mark in a Route header: which call, and a keyed hash of the dialog that it is
    good for. media: an rtpengine is between the sides."""

    slot: int
    nonce: int
    mac: str
    media: bool


def read_mark(route: str) -> Mark | None:
    """The mark in the first address of a Route header, None when there is none."""
    begin = route.find(_START)
    if begin < 0 or "," in route[:begin]:
        return None
    text = route[begin + len(_START):begin + len(_START) + _MAX_MARK]
    end = 0
    while end < len(text) and (text[end] in _HEX or text[end] in ".m"):
        end += 1
    parts = text[:end].split(".")
    if len(parts) != 3:
        return None
    slot, nonce, mac = parts
    media = mac.endswith("m")
    mac = mac.removesuffix("m")
    if not 1 <= len(slot) <= 6 or not 1 <= len(nonce) <= 16 or len(mac) != 2 * _MAC_BYTES \
            or not _HEX.issuperset(slot + nonce + mac):
        return None
    return Mark(int(slot, 16), int(nonce, 16), mac, media)


class Calls:
    """The call slots, as the edge uses them."""

    def __init__(self, live: Live, key: bytes) -> None:
        self.live = live
        self._key = blake2s(key, person=b"mark").digest()

    # -- marks --------------------------------------------------------------------------------

    def _mac(self, slot: int, nonce: int, media: bool, *dialog: str) -> str:
        text = "|".join((f"{slot:x}.{nonce:x}.{media:d}", *dialog))
        return blake2s(text.encode("utf-8", "replace"), key=self._key,
                       digest_size=_MAC_BYTES).hexdigest()

    def mark_text(self, slot: int, nonce: int, media: bool, *dialog: str) -> str:
        """The Record-Route parameter. dialog: Call-ID and the caller's tag, or what else the mark
        is bound to."""
        mac = self._mac(slot, nonce, media, *dialog)
        return f"{_START}{slot:x}.{nonce:x}.{mac}{'m' if media else ''}"

    def fits(self, mark: Mark, *dialog: str) -> bool:
        """Whether the mark was made for that dialog."""
        mac = self._mac(mark.slot, mark.nonce, mark.media, *dialog)
        return hmac.compare_digest(mac, mark.mac)

    # -- a call's life ------------------------------------------------------------------------

    def begin(self, nonce: int, now: float, tenant: int, caller: int, emergency: bool) -> int:
        """A slot, or -1 when there is none left."""
        return self.live.claim(nonce, int(now * 1000), int(now) + SETUP_LEASE_S, tenant, caller,
                               emergency)

    def ring(self, context: Context, users: list[int], now: float) -> None:
        """These users ring from now on."""
        self.live.ring(context.slot, context.nonce, users, int(now * 1000),
                       int(now) + SETUP_LEASE_S)

    def answer(self, context: Context, user: int, now: float, note: dict[str, Any]) -> bool:
        """Answered; True for the first who says so."""
        return self.live.answer(context.slot, context.nonce, user, int(now * 1000),
                                int(now) + UNACKNOWLEDGED_S, msgspec.json.encode(note))

    def add_branch(self, slot: int, nonce: int, party: Party) -> None:
        """Another answer of the call, or an early one; the oldest goes when there are too many."""
        kept = [one for one in self.branches(slot) if one.tag != party.tag]
        kept = [*kept, party][max(len(kept) + 1 - MAX_BRANCHES, 0):]
        self.live.note(slot, nonce, BRANCHES, msgspec.json.encode(kept))

    def branches(self, slot: int) -> list[Party]:
        """Its other answers, and early ones."""
        text = self.live.read_note(slot, BRANCHES)
        return _decode_parties(text) if text else []

    def answerer(self, slot: int) -> Party | None:
        """Whose answer counts."""
        answer = msgspec.json.decode(self.live.read_note(slot, ANSWER) or b"{}")
        found = answer.get("party") if isinstance(answer, dict) else None  # or a Handover
        return msgspec.convert(found, Party) if found else None

    def known(self, mark: Mark, over: bool = False) -> Known | None:
        """The call of a mark, None when it is over. over: it may have ended just now, as for an ACK
        that a BYE has overtaken."""
        if not (self.live.holds if over else self.live.goes_on)(mark.slot, mark.nonce):
            return None
        setup = msgspec.json.decode(self.live.read_note(mark.slot, SETUP) or b"{}")
        if "party" not in setup:
            return None
        return Known(setup, msgspec.convert(setup["party"], Party), self.answerer(mark.slot),
                     self.branches(mark.slot))

    def believe(self, mark: Mark, now: float) -> None:
        """It was heard of: for another while it is not given up."""
        self.live.renew(mark.slot, mark.nonce, int(now) + LEASE_S)

    def refresh(self, mark: Mark, side: int, party: Party) -> None:
        """A side is reached elsewhere from now on (RFC 3261 section 12.2)."""
        place = SETUP if side == CALLER else ANSWER
        note = msgspec.json.decode(self.live.read_note(mark.slot, place) or b"{}")
        if isinstance(note, dict) and "party" in note and note["party"] != party:
            self.live.note(mark.slot, mark.nonce, place,
                           msgspec.json.encode(note | {"party": party}))

    def end(self, slot: int, nonce: int, code: int, reason: Ended, now: float) -> bool:
        """Over; True for the first who says so."""
        return self.live.end(slot, nonce, code, reason, int(now * 1000))
