"""What the edge remembers of a call: in the transaction while it is set up, in a call slot until
its record is written."""

import re
from typing import Any, Final, NamedTuple

import msgspec

from kemi.names import LEASE_S, ROUTE_PARAM, SETUP_LEASE_S, Counter, Ended
from routing_core import Live

_MARK: Final = re.compile(rf";{ROUTE_PARAM}=([0-9a-f]{{1,6}})\.([0-9a-f]{{1,16}})(m?)(k?)")
_find_mark: Final = _MARK.search


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
    diverters: list[str] = []
    location: str = ""
    media: bool = False
    record: bool = False
    emergency: bool = False
    challenged: bool = False
    owned: bool = False  # call control made this call
    control: int = -1  # the process of call control at its end
    controls: list[int] = []  # those still to be tried
    sent: bool = False  # the transaction exists
    by_ack: bool = False  # one user rings and no media node is used: the ACK tells of the answer


encode_context = msgspec.json.Encoder().encode
decode_context = msgspec.json.Decoder(Context).decode


#: In the place of a call's slot: a subscription, whose nonce is call control's word on its Call-ID.
WATCH_SLOT: Final = 0xFFFFFF


class Mark(NamedTuple):
    """The edge's own mark in a Route header."""

    slot: int
    nonce: int
    media: bool
    by_ack: bool


def watch_mark(nonce: int) -> str:
    """The Record-Route parameter of a subscription."""
    return f";{ROUTE_PARAM}={WATCH_SLOT:x}.{nonce:x}"


def mark_text(context: Context) -> str:
    """The Record-Route parameter of a call: slot, nonce, flags (which are no hex digits)."""
    return (f";{ROUTE_PARAM}={context.slot:x}.{context.nonce:x}{'m' if context.media else ''}"
            f"{'k' if context.by_ack else ''}")


def read_mark(route: str) -> Mark | None:
    """The mark in a Route header, None when there is none."""
    found = _find_mark(route)
    if found is None:
        return None
    return Mark(int(found[1], 16), int(found[2], 16), found[3] == "m", found[4] == "k")


class Calls:
    """The call slots, as the edge uses them."""

    def __init__(self, live: Live) -> None:
        self.live = live

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
                                int(now) + LEASE_S, msgspec.json.encode(note))

    def answer_by_ack(self, mark: Mark, now: float, to: str, contact: str) -> None:
        """The only user who rang has answered, if nothing has said so yet."""
        user = self.live.ringing_alone(mark.slot, mark.nonce)
        if user and self.live.answer(
                mark.slot, mark.nonce, user, int(now * 1000), int(now) + LEASE_S,
                msgspec.json.encode({"to": to[:250], "contact": contact[:200], "trunk": 0,
                                     "media": False, "record": False})):
            self.live.count(Counter.ANSWERED)

    def is_of(self, mark: Mark, tag: str) -> bool:
        """Whether the called side's tag is that of the answer which counts (a trunk may answer
        twice); True as long as none is known."""
        note = self.live.read_note(mark.slot, 1)
        return b'"to":' not in note or f"tag={tag}".encode() in note

    def heard_of(self, mark: Mark, now: float) -> bool:
        """A request inside the call: whether the call is ours and still there."""
        return self.live.renew(mark.slot, mark.nonce, int(now) + LEASE_S)

    def end(self, slot: int, nonce: int, code: int, reason: Ended, now: float) -> bool:
        """Over; True for the first who says so."""
        return self.live.end(slot, nonce, code, reason, int(now * 1000))
