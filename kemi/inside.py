"""Requests inside a dialog: only those of a call that is ours, from its two sides, towards the
other one, and a record ends when its dialog does (RFC 3261 sections 12.2 and 15).

Where a request goes is not what its sender wrote: it is where the edge saw the other side.
"""

import json
import time
from typing import Any, Final

import KSR
import msgspec

from kemi import wire
from kemi.calls import CALLED, CALLER, WATCH_SLOT, Calls, Known, Mark, Party, read_mark
from kemi.control import Control
from kemi.identity import IDENTITY_HEADERS, NOBODY_NAME
from kemi.media import Media, has_sdp, tell_address
from kemi.names import (
    AVP_INSIDE,
    BETWEEN_US,
    FLAG_WITHDRAWN,
    OWN_HEADERS,
    PLACE_PARAM,
    ROUTE_PARAM,
    Counter,
    Ended,
)
from kemi.parties import Parties, address_of, headers, host_of
from kemi.source import Sources, hide
from kemi.uris import parameter
from routing_core import Kernel
from routing_core.caller_names import quoted
from routing_core.codes import Source

#: Who refuses a BYE with these has no call any more.
GONE: Final = frozenset({408, 481})
#: Place in a Party.
TAG: Final = 2
#: The CSeq of a BYE of ours lies so far above the sender's own.
OUR_CSEQ: Final = 1000


class Refresh(msgspec.Struct, array_like=True):
    """Of a re-INVITE or UPDATE, until it is answered: whose, and where the sender is from then
    on."""

    slot: int
    nonce: int
    side: int
    sender: Party
    other: Party
    uid: str
    media: bool


_encode = msgspec.json.Encoder().encode
_decode_refresh = msgspec.json.Decoder(Refresh).decode


class Inside:
    """The step of the edge that deals with requests that carry a To tag."""

    def __init__(self, kernel: Kernel, calls: Calls, parties: Parties, media: Media,
                 control: Control, sources: Sources) -> None:
        self.kernel = kernel
        self.live = kernel.live
        self.calls = calls
        self.parties = parties
        self.media = media
        self.control = control
        self.sources = sources

    def request(self, method: str) -> None:
        """Relay it, answer it, or, an ACK, drop it."""
        if method != "ACK" and KSR.tm.t_check_trans() == 0:
            return  # it has come once more, and tm has dealt with it
        mark = read_mark(wire.header("Route"))
        routes = headers("Route") if mark is not None else None
        if mark is None or routes is None:
            self.nobodys(method)
            return
        rest = [one for one in routes if not parameter(one, ROUTE_PARAM)]
        if mark.slot == WATCH_SLOT:
            self.watch(method, mark, parameter(routes[0], PLACE_PARAM), rest)
            return
        now = time.time()
        call_id, from_tag, to_tag = (wire.value(name) for name in ("$ci", "$ft", "$tt"))
        if self.calls.fits(mark, call_id, from_tag):
            side, tag = CALLER, to_tag
        elif self.calls.fits(mark, call_id, to_tag):
            side, tag = CALLED, from_tag
        else:
            self.nobodys(method)
            return
        known = self.calls.known(mark, method == "ACK")
        if known is None:
            self.nobodys(method)
            return
        called = known.called(tag)
        if called is None:
            if side == CALLER and method == "BYE" and known.answer is None \
                    and self.parties.sent_by(known.caller):
                self.withdraw(call_id, mark, known, now)
            elif side == CALLED and method == "BYE":
                pass  # it has overtaken its 200: it comes again, and then that is known
            else:
                self.nobodys(method)
            return
        sender, other = (known.caller, called) if side == CALLER else (called, known.caller)
        if not self.proved(method, sender, mark, side):
            return
        if rest != other.routes:
            self.refuse(method, 400, "Bad Route Set")
            return
        if side == CALLER and known.setup.get("hidden"):  # the address comes by the route's mark
            KSR.uac.uac_replace_from(quoted(NOBODY_NAME), "")
        # It decodes parameters of the header: of nobody's but our own.
        if KSR.rr.loose_route() < 0:
            self.nobodys(method)
            return
        self.relay(method, mark, side, sender, other, known, now)

    # -- whose it is --------------------------------------------------------------------------

    def nobodys(self, method: str) -> None:
        """A request of a call that is not, or no more, ours. An ACK gets no answer; of a refusal of
        ours it ends tm's transaction."""
        if method == "ACK":
            if KSR.tm.t_check_trans() > 0:
                KSR.tm.t_relay()
            return
        self.live.count(Counter.NOT_OURS)
        KSR.sl.sl_send_reply(481, "Call/Transaction Does Not Exist")

    @staticmethod
    def refuse(method: str, code: int, phrase: str) -> None:
        """Any answer but to an ACK, which has none."""
        if method != "ACK":
            KSR.sl.sl_send_reply(code, phrase)

    def proved(self, method: str, sender: Party, mark: Mark, side: int) -> bool:
        """Whether it is the sender's; one of a telephone whose address has changed is asked for
        its credentials, and is known there from then on."""
        if self.parties.sent_by(sender):
            return True
        if sender.kind != Source.DEVICE or method == "ACK":
            self.nobodys(method)
            return False
        caller = self.sources.device(method)
        if caller is None:
            self.sources.challenge(407)
            return False
        if caller.user != sender.id:
            self.live.count(Counter.NOT_OURS)
            KSR.sl.sl_send_reply(403, "Not Your Call")
            return False
        sender.source = self.parties.source()
        if method not in ("INVITE", "UPDATE"):  # those tell the other side, too, where it is
            self.calls.refresh(mark, side, sender)
        return True

    # -- what becomes of it -------------------------------------------------------------------

    def relay(self, method: str, mark: Mark, side: int, sender: Party, other: Party, known: Known,
              now: float) -> None:
        """To the other side, wherever that is."""
        counts = known.answer is not None and known.answer.tag in (sender.tag, other.tag)
        if counts:  # another answer's dialog is no evidence of this one
            self.calls.believe(mark, now)
        if method != "ACK":
            # Each dialog counts for itself: a second answer's is another one.
            later = self.live.advance(mark.slot, mark.nonce, side, int(KSR.pv.get("$cs"))) \
                if counts else 1
            if later == 0:
                return  # it came twice, and another worker has it
            if later < 0 and method == "BYE":
                KSR.sl.sl_send_reply(500, "CSeq Out Of Order")
                return
            KSR.force_rport()
            KSR.hdr.remove("Proxy-Authorization")
            KSR.textops.remove_hf_re(f"^{OWN_HEADERS}")
        if method == "REFER" and Source.TRUNK in (sender.kind, other.kind):
            # A carrier does not make our telephones call, and gets no address of ours to call.
            KSR.sl.sl_send_reply(603, "Decline")
            return
        if Source.TRUNK in (sender.kind, other.kind):
            KSR.textops.remove_hf_re(BETWEEN_US)
        if method in ("INVITE", "UPDATE") and sender.kind != Source.CALL_CONTROL:
            for name in IDENTITY_HEADERS:  # who it is was said when the call began
                KSR.hdr.remove(name)
        if method in ("INVITE", "UPDATE") and not self.refreshing(mark, side, sender, other, known):
            KSR.sl.sl_send_reply(400, "Bad Contact")
            return
        if side == CALLER and known.setup.get("hidden"):
            hide()
        if method == "BYE" and counts:
            if not self.calls.end(mark.slot, mark.nonce, 200,
                                  Ended.CALLER if side == CALLER else Ended.CALLED, now):
                self.nobodys(method)
                return
            if mark.media:
                self.media.delete(str(known.setup["uid"]))
            KSR.pv.sets(AVP_INSIDE, json.dumps(bye_of(
                known.setup, sender, other, int(KSR.pv.get("$cs")))))
            for branch in self.calls.branches(mark.slot):  # its other answers are over with it
                for from_, to in ((known.caller, branch), (branch, known.caller)):
                    KSR.jsonrpcs.execx(json.dumps(bye_of(known.setup, from_, to)))
            KSR.tm.t_on_failure("ksr_bye_failed")
        if KSR.pv.gete("$ru") != other.target:
            KSR.seturi(other.target)
        if not other.routes:
            KSR.resetdsturi()
            if other.goes_to:
                KSR.setdsturi(other.goes_to)
        KSR.tm.t_relay()

    def refreshing(self, mark: Mark, side: int, sender: Party, other: Party, known: Known) -> bool:
        """A re-INVITE or UPDATE says where its sender is from now on; False when it does not."""
        moved = self.parties.from_request(sender.kind, sender.id)
        if moved is None:
            return False
        moved.tag = sender.tag
        moved.routes = sender.routes  # the route set stays (RFC 3261 section 12.2)
        if moved.routes:
            moved.goes_to = ""
        uid = str(known.setup["uid"])
        KSR.pv.sets(AVP_INSIDE, _encode(Refresh(
            mark.slot, mark.nonce, side, moved, other, uid, mark.media)).decode())
        if mark.media and has_sdp():
            self.media.offer_again(uid)
        elif sender.kind == Source.DEVICE and other.kind == Source.CALL_CONTROL:
            tell_address()
        KSR.tm.t_on_reply("ksr_reply_inside")
        return True

    def reply(self) -> None:
        """Of a re-INVITE or UPDATE: what it changed is in force when it is a 2xx."""
        code = int(KSR.pv.get("$rs"))
        text = KSR.pv.get(AVP_INSIDE)
        if not text or code < 180 or code >= 300:
            return
        kept = _decode_refresh(text)
        if kept.media and has_sdp():
            self.media.answer(kept.uid)
        elif kept.other.kind == Source.DEVICE and kept.sender.kind == Source.CALL_CONTROL:
            tell_address()
        if code < 200:
            return
        mark = Mark(kept.slot, kept.nonce, "", kept.media)
        self.calls.refresh(mark, kept.side, kept.sender)
        if wire.header("Contact"):
            moved = self.parties.from_reply(kept.other.kind, kept.other.id)
            moved.routes = kept.other.routes
            if moved.routes:
                moved.goes_to = ""
            moved.source = kept.other.source
            moved.tag = kept.other.tag
            self.calls.refresh(mark, CALLED if kept.side == CALLER else CALLER, moved)

    def bye_failed(self) -> None:
        """The other side has refused a BYE, for what its sender wrote into it perhaps: it gets one
        of ours. The record has ended, so the call has to, too."""
        code = int(KSR.pv.get("$T_reply_code") or 0)
        text = KSR.pv.get(AVP_INSIDE)
        if code in GONE or not text:
            return
        self.live.count(Counter.BYE_REFUSED)
        KSR.jsonrpcs.execx(text)

    def withdraw(self, call_id: str, mark: Mark, known: Known, now: float) -> None:
        """A BYE before the answer (RFC 3261 section 15 lets the caller): the call is cancelled,
        and over at once. What is answered all the same gets a BYE of ours."""
        if self.calls.end(mark.slot, mark.nonce, 487, Ended.CANCELLED, now):
            if mark.media:
                self.media.delete(str(known.setup["uid"]))
            answer = self.calls.answerer(mark.slot)
            if answer is not None:  # between the two looks
                KSR.jsonrpcs.execx(json.dumps(bye_of(known.setup, known.caller, answer)))
        KSR.tmx.t_cancel_callid(call_id, str(known.setup.get("cseq", 1)), FLAG_WITHDRAWN)
        KSR.sl.sl_send_reply(200, "OK")

    # -- subscriptions ------------------------------------------------------------------------

    def watch(self, method: str, mark: Mark, place: str, rest: list[str]) -> None:
        """Of a subscription: from its telephone to call control, from call control to where the
        telephone was when it subscribed (place). Nobody else is reached by it."""
        call_id, from_tag, to_tag = (wire.value(name) for name in ("$ci", "$ft", "$tt"))
        KSR.force_rport()
        if rest:
            self.refuse(method, 400, "Bad Route Set")
        elif method == "NOTIFY" and self.control.sends() and self.calls.fits(
                mark, call_id, to_tag, place) and KSR.rr.loose_route() >= 0:
            KSR.setdsturi(address_of(place))
            KSR.tm.t_relay()
        elif method == "SUBSCRIBE" and host_of(place) == KSR.pv.get("$si") and self.calls.fits(
                mark, call_id, from_tag, place) and KSR.rr.loose_route() >= 0:
            KSR.hdr.remove("Proxy-Authorization")
            KSR.textops.remove_hf_re(f"^{OWN_HEADERS}")
            KSR.seturi(self.control.uri(mark.nonce))
            KSR.tm.t_relay()
        else:
            self.nobodys(method)


def bye_of(setup: dict[str, Any], sender: Party, other: Party, cseq: int = 0) -> dict[str, Any]:
    """A request to Kamailio that sends a BYE of ours to `other`, as if it were the sender's. cseq:
    the sender's last one."""
    texts = {str(setup["party"][TAG]): str(setup["from"])}

    def named(party: Party) -> str:
        return texts.get(party.tag) or f"<{party.target}>;tag={party.tag}"
    routes = "".join(f"Route: <{one}>\r\n" for one in other.routes)
    lines = (f"From: {named(sender)}\r\nTo: {named(other)}\r\n"
             f"Call-ID: {setup['call_id']}\r\n"
             f"CSeq: {(cseq or int(setup.get('cseq', 1))) + OUR_CSEQ} BYE\r\n{routes}")
    return {"jsonrpc": "2.0", "method": "tm.t_uac_start", "id": 1, "params": [
        "BYE", other.target, other.goes_to or (other.routes[0] if other.routes else "."), ".",
        lines]}
