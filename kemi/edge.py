"""The edge: what happens to a SIP message, as an ordered list of steps.

A step returns True when it has dealt with the request. Whatever goes wrong inside is caught here,
at the outermost place: the caller gets a 500 and the fault is counted (facts: an exception that
leaves a handler gives the caller no answer at all).
"""

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import KSR

from kemi.calls import WATCH_SLOT, Calls, read_mark
from kemi.control import Control
from kemi.identity import user_of
from kemi.media import Media, has_sdp
from kemi.names import FLAG_NAT_BRANCH, OWN_HEADERS, Counter, Ended
from kemi.relay import Relay
from kemi.source import Caller, Sources
from routing_core import SnapshotError
from routing_core.codes import Source
from routing_core.handover import Order
from routing_core.mapping import open_kernel

METHODS = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, UPDATE, PRACK, INFO, REFER, NOTIFY, " \
    "SUBSCRIBE, MESSAGE"
#: Header names that a first look at the raw message searches for, in lower case.
ROUTE_HEADER = "\nroute:"


class Edge:
    """One per worker process, made before the fork; child_init() opens what a worker needs.

    What the first steps find out about the request at hand (method, trunk, raw text) is kept here
    for the later ones: every question to Kamailio costs as much as a hundred lines of ours.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.faults = bool(settings.get("faults"))
        self.domain: str = settings["domain"]
        self.method = ""
        self.trunk = 0
        self.raw = ""
        self.from_control = False
        self.order: Order | None = None
        self.steps: list[Callable[[], bool]] = [
            self.hops, self.inside_dialog, self.cancel, self.flood, self.retransmission,
            self.sane, self.known_method, self.own_headers, self.options, self.register,
            self.subscribe, self.invite,
        ]

    def child_init(self, rank: int) -> int:
        """Kamailio calls it in every process."""
        if rank < -1:
            return 0
        self.kernel = open_kernel(Path(self.settings["state"]), self.snapshot_refused)
        self.live = self.kernel.live
        self.sources = Sources(self.kernel, self.domain, bytes.fromhex(self.settings["key"]))
        self.calls = Calls(self.live)
        self.media = Media(self.live)
        self.control = Control(self.live, self.settings)
        self.relay = Relay(self.kernel, self.calls, self.media, self.control, self.domain)
        return 0

    def snapshot_refused(self, error: SnapshotError) -> None:
        """The last good one stays in force."""
        KSR.err(f"snapshot refused: {error}\n")
        if hasattr(self, "live"):
            self.live.count(Counter.SNAPSHOT_REFUSED)

    # -- called by Kamailio -------------------------------------------------------------------

    def ksr_request_route(self, _message: Any) -> int:
        """Every request."""
        try:
            self.method = KSR.pv.get("$rm")
            for step in self.steps:
                if step():
                    break
            else:
                KSR.sl.sl_send_reply(404, "Not Found")
        except Exception:
            self.fault()
            if self.method != "ACK":
                KSR.sl.send_reply(500, "Server Internal Error")
        return 1

    def ksr_branch(self, _message: Any) -> int:
        """Before a branch of an INVITE is sent."""
        return self.guarded(self.relay.branch)

    def ksr_reply(self, _message: Any) -> int:
        """A reply to an INVITE that starts a call."""
        return self.guarded(self.relay.reply)

    def ksr_reply_plain(self, _message: Any) -> int:
        """The same, when no media node is in the way: only the answer matters."""
        if KSR.pv.get("$rs") < 200:
            return 1
        return self.guarded(self.relay.reply)

    def ksr_reply_inside(self, _message: Any) -> int:
        """A reply to a request with an SDP inside a call."""
        return self.guarded(self.reply_inside)

    def ksr_failure(self, _message: Any) -> int:
        """All branches failed."""
        try:
            self.relay.failed()
        except Exception:
            self.fault()
            KSR.tm.t_reply(500, "Server Internal Error")
        return 1

    def ksr_xhttp_event(self, _message: Any, _event: str) -> int:
        """HTTP on a SIP port: only the WebSocket handshake (RFC 7118)."""
        try:
            if "websocket" in (KSR.hdr.get("Upgrade") or "").lower() \
                    and "sip" in (KSR.hdr.get("Sec-WebSocket-Protocol") or "").lower():
                KSR.websocket.handle_handshake()
            else:
                KSR.xhttp.xhttp_reply(426, "Upgrade Required", "text/plain", "SIP over WebSocket")
        except Exception:
            self.fault()
        return 1

    def guarded(self, work: Callable[[], None]) -> int:
        """Run a step whose failure must not stop the message."""
        try:
            work()
        except Exception:
            self.fault()
        return 1

    def fault(self) -> None:
        """Count and log an exception; the log line carries no header and no secret."""
        self.live.count(Counter.EXCEPTIONS)
        KSR.err("exception in the edge: " + traceback.format_exc(limit=-3).replace("\n", " | ")
                + "\n")

    # -- the steps ----------------------------------------------------------------------------

    def hops(self) -> bool:
        """Not for ever."""
        if KSR.maxfwd.process_maxfwd(10) > 0:
            return False
        KSR.sl.sl_send_reply(483, "Too Many Hops")
        return True

    def sane(self) -> bool:
        """A message that can be worked with; sanity_check answers others itself. Inside a call of
        ours the edge's mark has said so already."""
        if KSR.sanity.sanity_check(17895, 7) < 0:
            return True
        if self.faults and KSR.pv.get("$rU") == "fault":
            raise RuntimeError("asked for by the test")
        return False

    def cancel(self) -> bool:
        """CANCEL goes where its INVITE went."""
        if self.method != "CANCEL":
            return False
        if KSR.tm.t_check_trans() > 0:
            KSR.tm.t_relay()
        else:
            KSR.sl.sl_send_reply(481, "Call/Transaction Does Not Exist")
        return True

    def inside_dialog(self) -> bool:
        """A request of a call that is ours goes on; any other is not relayed for anybody."""
        if KSR.siputils.has_totag() < 0:
            return False
        method = self.method
        now = time.time()
        mark = read_mark(KSR.hdr.get("Route") or "")
        if mark is None or KSR.rr.loose_route() < 0:
            self.nobodys()
            return True
        if mark.slot == WATCH_SLOT:
            if mark.nonce != self.control.watch_nonce(KSR.pv.get("$ci")):
                self.nobodys()
                return True
            KSR.force_rport()
            KSR.nathelper.handle_ruri_alias()
            KSR.tm.t_relay()
            return True
        if mark.by_ack and method in ("ACK", "BYE"):
            self.calls.answer_by_ack(mark, now, KSR.hdr.get("To" if method == "ACK" else "From"),
                                     KSR.pv.gete("$ru"))
        if method == "BYE":
            caller = KSR.rr.is_direction("downstream") > 0
            # A second answer's dialog, which nobody wanted, ends without the call.
            counts = self.calls.is_of(mark, KSR.pv.gete("$tt" if caller else "$ft"))
            if counts and not self.calls.end(mark.slot, mark.nonce, 200,
                                             Ended.CALLER if caller else Ended.CALLED, now):
                if KSR.tm.t_check_trans() != 0:  # 0: a retransmission, answered again by tm
                    self.nobodys()
                return True
            if not counts and not self.calls.heard_of(mark, now):
                self.nobodys()
                return True
            if counts and mark.media:
                self.media.delete()
        elif not self.calls.heard_of(mark, now):
            self.nobodys()
            return True
        elif method != "ACK":
            KSR.force_rport()
            if method == "REFER" and self.sources.trunk():
                KSR.sl.sl_send_reply(603, "Decline")  # a carrier does not make our phones call
                return True
            if method in ("INVITE", "UPDATE"):
                self.mend_contact()
                if mark.media and has_sdp():
                    self.media.offer_again()
                    KSR.tm.t_on_reply("ksr_reply_inside")
        KSR.nathelper.handle_ruri_alias()
        KSR.tm.t_relay()
        return True

    def nobodys(self) -> None:
        """A request of a call that is not, or no more, ours. An ACK gets no answer; of a refusal of
        ours it ends tm's transaction."""
        if self.method == "ACK":
            if KSR.tm.t_check_trans() > 0:
                KSR.tm.t_relay()
            return
        self.live.count(Counter.NOT_OURS)
        KSR.sl.sl_send_reply(481, "Call/Transaction Does Not Exist")

    def flood(self) -> bool:
        """Too many requests of an address that is no trunk's are dropped without an answer."""
        self.trunk = self.sources.trunk()
        self.from_control = not self.trunk and self.control.sends()
        if self.trunk or self.from_control or KSR.pike.pike_check_req() > 0:
            return False
        self.live.count(Counter.FLOOD)
        return True

    def retransmission(self) -> bool:
        """One that tm has answered or is working on is absorbed."""
        if self.method == "ACK":
            self.nobodys()
            return True
        return bool(KSR.tm.t_check_trans() == 0)

    def known_method(self) -> bool:
        """Refuse what the edge does not do outside a call."""
        if self.method in ("INVITE", "REGISTER", "OPTIONS", "SUBSCRIBE"):
            return False
        KSR.hdr.append_to_reply(f"Allow: {METHODS}\r\n")
        KSR.sl.sl_send_reply(405, "Method Not Allowed")
        return True

    def own_headers(self) -> bool:
        """Headers of ours and preset routes that come from outside are worth nothing."""
        self.raw = KSR.pv.gete("$mb").lower()
        self.order = None
        if OWN_HEADERS in self.raw:
            if self.from_control:
                self.order = self.control.order(time.time())
            KSR.textops.remove_hf_re(f"^{OWN_HEADERS}")
            if self.order is None:
                self.live.count(Counter.FORGED)
        if ROUTE_HEADER in self.raw:
            KSR.hdr.remove("Route")
        return False

    def options(self) -> bool:
        """Keep-alive (RFC 3261 section 11), of anybody."""
        if self.method != "OPTIONS":
            return False
        KSR.sl.sl_send_reply(200, "OK")
        return True

    def register(self) -> bool:
        """A device tells where it is."""
        if self.method != "REGISTER":
            return False
        KSR.force_rport()
        caller = self.sources.device("REGISTER")
        if caller is None:
            self.sources.challenge(401)
            return True
        if KSR.pv.get("$tU") != caller.username:
            KSR.sl.sl_send_reply(403, "Not Your Address")
            return True
        if KSR.nathelper.nat_uac_test(18) > 0 or KSR.is_WSX():
            KSR.nathelper.fix_nated_register()
            KSR.setbflag(FLAG_NAT_BRANCH)
        KSR.cfgutils.lock("location")
        try:
            saved = KSR.registrar.save_uri("location", 0, f"sip:d{caller.device}@{self.domain}")
        finally:
            KSR.cfgutils.unlock("location")
        if saved < 0:
            KSR.sl.send_reply(500, "Server Internal Error")
        return True

    def subscribe(self) -> bool:
        """A telephone wants to be told of a colleague's line or of its mailbox: call control does
        that, for telephones of ours only."""
        if self.method != "SUBSCRIBE":
            return False
        KSR.force_rport()
        caller = self.sources.device("SUBSCRIBE")
        if caller is None:
            self.sources.challenge(407)
            return True
        self.mend_contact()
        KSR.hdr.remove("Proxy-Authorization")
        self.relay.subscribe(caller.device, caller.user, self.kernel.tenant_of(caller.user),
                             KSR.pv.get("$rU") or "")
        return True

    def invite(self) -> bool:
        """A new call: who is it, what is wanted, what does the kernel say."""
        if self.method != "INVITE":
            return False
        KSR.force_rport()
        called = KSR.pv.get("$rU") or ""
        if "%" in called:  # "#" has to be written so (RFC 3261 section 25.1)
            called = unquote(called)[:64]
        trunk = self.trunk  # the step flood() has looked
        order = self.order
        if order is not None:
            self.relay.new_call(order.source_kind, order.source, order.called, order.calling,
                                order.wanted, False, order)
            return True
        if trunk:
            self.relay.new_call(Source.TRUNK, trunk, called, self.sources.calling(self.raw), None,
                                False)
            return True
        if not KSR.hdr.get("Proxy-Authorization"):
            self.sources.challenge(407)
            return True
        caller: Caller | None = self.sources.device("INVITE")
        if caller is None:
            self.sources.challenge(407)
            return True
        nat = self.mend_contact()
        wanted = user_of(KSR.hdr.get("P-Preferred-Identity") or "") or None
        for name in ("P-Asserted-Identity", "P-Preferred-Identity", "Diversion", "History-Info",
                     "Remote-Party-ID", "Proxy-Authorization"):
            KSR.hdr.remove(name)
        self.relay.new_call(Source.DEVICE, caller.device, called, "", wanted, nat)
        return True

    def mend_contact(self) -> bool:
        """Remember the address a request came from where its Contact would mislead."""
        if KSR.nathelper.nat_uac_test(18) > 0 or KSR.is_WSX():
            KSR.nathelper.set_contact_alias()
            return True
        return False

    def reply_inside(self) -> None:
        """Of a re-INVITE or UPDATE."""
        if has_sdp() and int(KSR.pv.get("$rs")) < 300:
            self.media.answer()
