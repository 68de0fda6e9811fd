"""rtpengine for the calls that need it: NAT, recording, policy.

A media node that fails never fails a call: the call goes on without it, and it is counted. A call
is known to it by our own uid: a Call-ID is the caller's to choose, and might be another call's.
"""

from typing import Any, Final

import KSR

from kemi import say, wire
from kemi.calls import Context
from kemi.names import Counter
from kemi.uris import ip_of
from routing_core import Live

_COMMON: Final = "replace-origin replace-session-connection port-latching strict-source"
#: Media come from where the description says, and from nowhere else.
_FIXED: Final = " endpoint-learning-off"
#: Behind a translator of addresses: from the address that signals, whichever port it is given.
_BEHIND_NAT: Final = " SIP-source-address endpoint-learning-heuristic"
#: nathelper's changes of a description.
ADD_DIRECTION, REPLACE_ADDRESS = 1, 2
#: Of a description that is looked at for its connection address.
_LOOKED_AT: Final = 4096
_CONNECTION: Final = "c=IN IP4 "


class Media:
    """Offer, answer, delete. uid: the call's."""

    def __init__(self, live: Live) -> None:
        self.live = live

    @staticmethod
    def _flags(uid: str, websocket: bool) -> str:
        flags = f"{_COMMON}{_BEHIND_NAT if behind_nat() else _FIXED} call-id={uid}"
        return flags + (" ICE=force RTP/SAVPF" if websocket else " ICE=remove RTP/AVP")

    def offer(self, context: Context, websocket: bool = False) -> bool:
        """Put a media node between the two sides; False when none took it."""
        if not self.live.media_up or not KSR.sdpops.sdp_with_media("audio") > 0:
            return False
        # Until somebody has answered, what comes to the open port is a stranger's.
        flags = self._flags(context.uid, websocket) + " drop-traffic=start"
        if context.record:
            flags += f" record-call=on metadata={context.uid}"
        if KSR.rtpengine.rtpengine_offer(flags) > 0:
            return True
        self.live.count(Counter.MEDIA_FAILED)
        say.error(f"call {context.uid}: no media node took the offer")
        return False

    def offer_again(self, uid: str, websocket: bool = False) -> None:
        """A re-INVITE or UPDATE of an anchored call."""
        if KSR.rtpengine.rtpengine_offer(self._flags(uid, websocket)) < 0:
            self.live.count(Counter.MEDIA_FAILED)

    def answer(self, uid: str, websocket: bool = False) -> None:
        """The other side's SDP in a reply."""
        if KSR.rtpengine.rtpengine_answer(
                self._flags(uid, websocket) + " drop-traffic=stop") < 0:
            self.live.count(Counter.MEDIA_FAILED)

    def delete(self, uid: str) -> None:
        """The call is over."""
        KSR.rtpengine.rtpengine_delete(f"call-id={uid}")


def tell_address() -> None:
    """For call control, which sees its own machine only: a description that says an address
    nobody can reach gets the one that the message came from, and is marked so."""
    if has_sdp() and behind_nat():
        KSR.nathelper.fix_nated_sdp(ADD_DIRECTION | REPLACE_ADDRESS)


def has_sdp() -> bool:
    """Whether the message carries a session description."""
    found: Any = KSR.textops.has_body_type("application/sdp")
    return bool(found and found > 0)


def behind_nat() -> bool:
    """Whether the description says another address than the message at hand came from, and one
    that nobody outside can reach."""
    body = wire.value("$rb")[:_LOOKED_AT]
    begin = body.find(_CONNECTION)
    if begin < 0:
        return False
    begin += len(_CONNECTION)
    address = body[begin:begin + 16].split("\r")[0].split("\n")[0].strip()
    return address != KSR.pv.get("$si") and unreachable(address)


def unreachable(host: str) -> bool:
    """Whether it is an IPv4 address of a private or shared network (RFC 1918, RFC 6598)."""
    if ip_of(host) is None or ":" in host:
        return False
    first, second = (int(part) for part in host.split(".")[:2])
    return first == 10 or (first, second) == (192, 168) or (first == 172 and 16 <= second <= 31) \
        or (first == 100 and 64 <= second <= 127)
