"""rtpengine for the calls that need it: NAT, recording, policy.

A media node that fails never fails a call: the call goes on without it, and it is counted.
"""

from typing import Any

import KSR

from kemi.calls import Context
from kemi.names import Counter
from routing_core import Live

_COMMON = "replace-origin replace-session-connection"


class Media:
    """Offer, answer, delete."""

    def __init__(self, live: Live) -> None:
        self.live = live

    def _flags(self, context: Context | None, websocket: bool) -> str:
        flags = _COMMON + (" ICE=force RTP/SAVPF" if websocket else " ICE=remove RTP/AVP")
        if context is not None and context.record:
            flags += f" record-call=on metadata={context.uid}"
        return flags

    def offer(self, context: Context, websocket: bool = False) -> bool:
        """Put a media node between the two sides; False when none took it."""
        if not self.live.media_up or not KSR.sdpops.sdp_with_media("audio") > 0:
            return False
        if KSR.rtpengine.rtpengine_offer(self._flags(context, websocket)) > 0:
            return True
        self.live.count(Counter.MEDIA_FAILED)
        KSR.err(f"call {context.uid}: no media node took the offer\n")
        return False

    def offer_again(self, websocket: bool = False) -> None:
        """A re-INVITE or UPDATE of an anchored call."""
        if KSR.rtpengine.rtpengine_offer(self._flags(None, websocket)) < 0:
            self.live.count(Counter.MEDIA_FAILED)

    def answer(self, websocket: bool = False) -> None:
        """The other side's SDP in a reply."""
        if KSR.rtpengine.rtpengine_answer(self._flags(None, websocket)) < 0:
            self.live.count(Counter.MEDIA_FAILED)

    def delete(self) -> None:
        """The call is over."""
        KSR.rtpengine.rtpengine_delete0()


def has_sdp() -> bool:
    """Whether the message carries a session description."""
    found: Any = KSR.textops.has_body_type("application/sdp")
    return bool(found and found > 0)
