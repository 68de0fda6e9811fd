"""The edge: what happens to a SIP message, as an ordered list of steps.

A step returns True when it has dealt with the request. Whatever goes wrong inside is caught here,
at the outermost place: the caller gets a 500 and the fault is counted (facts: an exception that
leaves a handler gives the caller no answer at all).
"""

import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import KSR

from kemi import say, wire
from kemi.calls import Calls
from kemi.connections import CARRIER, Connections, keep_connection
from kemi.control import Control
from kemi.gate import Gate
from kemi.identity import IDENTITY_HEADERS
from kemi.inside import Inside
from kemi.media import Media
from kemi.names import BETWEEN_US, OWN_HEADERS, Counter
from kemi.ours import Addresses
from kemi.parties import Parties, natted
from kemi.pickup import code_of
from kemi.registrar import Registrar
from kemi.relay import Relay
from kemi.source import Caller, Sources
from kemi.uris import read_uri
from routing_core import SnapshotError
from routing_core.codes import Source
from routing_core.handover import Order
from routing_core.mapping import open_kernel

METHODS = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, UPDATE, PRACK, INFO, REFER, NOTIFY, " \
    "SUBSCRIBE, MESSAGE"
#: Extensions that the edge understands when a request insists on them (RFC 3261 section 8.2.2.3).
EXTENSIONS: Final = frozenset(("path",))
PROXY_EXTENSIONS: Final = frozenset(("privacy",))
MAX_EXTENSIONS: Final = 20
#: Of an address (RFC 3986 section 3.1).
SCHEME: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+-.")
MAX_UNSUPPORTED: Final = 200
#: Header names that a first look at the raw message searches for, in lower case.
ROUTE_HEADER = "\nroute:"
REQUIRE_HEADER = "\nrequire:"
PROXY_REQUIRE_HEADER = "\nproxy-require:"
#: Kamailio's checks of a request: version, scheme, required headers, CSeq's method and value,
#: Content-Length, Expires, addresses, doubled tags, first Via; and of which addresses.
SANITY: Final = 1 | 2 | 4 | 32 | 64 | 128 | 256 | 1024 | 4096 | 16384
SANITY_URIS: Final = 7
#: Of a tag (RFC 3261 section 25.1): it travels in a parameter of Record-Route.
TAG: Final = frozenset("-.!%*_+`'~0123456789"
                       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
#: Frames of an exception that are logged.
FRAMES: Final = 3


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
            self.hops, self.inside_dialog, self.cancel, self.from_whom, self.retransmission,
            self.scheme, self.sane, self.known_method, self.own_headers, self.extensions,
            self.options, self.register, self.subscribe, self.invite,
        ]
        self.worker = -1

    def child_init(self, rank: int) -> int:
        """Kamailio calls it in every process."""
        if rank < -1:
            return 0
        say.begin(self.settings.get("mark", ""))
        self.kernel = open_kernel(Path(self.settings["state"]), self.snapshot_refused)
        self.live = self.kernel.live
        self.worker = self.live.enter_worker(os.getpid())
        self.sources = Sources(self.kernel, self.settings)
        self.calls = Calls(self.live, bytes.fromhex(self.settings["key"]))
        self.media = Media(self.live)
        self.control = Control(self.live, self.settings)
        self.addresses = Addresses(self.kernel, self.settings)
        self.parties = Parties(self.addresses, self.control, self.sources, self.settings)
        self.relay = Relay(self.kernel, self.calls, self.parties, self.media, self.control,
                           self.domain, self.faults)
        self.inside = Inside(self.kernel, self.calls, self.parties, self.media, self.control,
                             self.sources)
        self.registrar = Registrar(self.kernel, self.domain, self.sources, self.parties,
                                   self.addresses)
        self.gate = Gate(self.kernel, self.control)
        self.connections = Connections(self.kernel, self.settings)
        return 0

    def snapshot_refused(self, error: SnapshotError) -> None:
        """The last good one stays in force."""
        say.error(f"snapshot refused: {error}")
        if hasattr(self, "live"):
            self.live.count(Counter.SNAPSHOT_REFUSED)

    # -- called by Kamailio -------------------------------------------------------------------

    def ksr_received(self, _message: Any) -> int:
        """Every message, before it is parsed."""
        return self.guarded(self.gate.received)

    def ksr_request_route(self, _message: Any) -> int:
        """Every request."""
        self.live.set_busy(self.worker, time.time_ns() // 1_000_000)
        try:
            if self.gate.broken:
                KSR.tcpops.tcp_close_connection()
                return 1
            self.method = wire.value("$rm")
            if self.gate.fault is not None:
                if self.method != "ACK":
                    KSR.sl.sl_send_reply(self.gate.fault.code, self.gate.fault.phrase)
                return 1
            for step in self.steps:
                if step():
                    break
            else:
                KSR.sl.sl_send_reply(404, "Not Found")
        except Exception:
            self.fault()
            if self.method != "ACK":
                KSR.sl.send_reply(500, "Server Internal Error")
        finally:
            self.live.set_busy(self.worker, 0)
        return 1

    def ksr_branch(self, _message: Any) -> int:
        """Before a branch of an INVITE is sent."""
        return self.guarded(self.relay.branch)

    def ksr_reply(self, _message: Any) -> int:
        """A reply to an INVITE that starts a call."""
        return self.guarded(self.relay.reply)

    def ksr_reply_plain(self, _message: Any) -> int:
        """The same, when no media node is in the way: only the answer matters, and a reliable
        provisional one."""
        if KSR.pv.get("$rs") < 200 and not KSR.hdr.is_present("RSeq") > 0:
            return 1
        return self.guarded(self.relay.reply)

    def ksr_reply_inside(self, _message: Any) -> int:
        """A reply to a request with an SDP inside a call."""
        return self.guarded(self.inside.reply)

    def ksr_bye_failed(self, _message: Any) -> int:
        """A BYE was refused, or nobody answered it."""
        return self.guarded(self.inside.bye_failed)

    def ksr_connections(self, _message: Any, _event: str) -> int:
        """Ten times a second, in a process of its own."""
        return self.guarded(self.connections.look)

    def ksr_failure(self, _message: Any) -> int:
        """All branches failed."""
        try:
            self.relay.failed()
        except Exception:
            self.fault()
            self.relay.abandon()
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
        """Count and log an exception: where and what kind it was. What it says is left out, as it
        may be in a stranger's words."""
        self.live.count(Counter.EXCEPTIONS)
        kind, _, trace = sys.exc_info()
        frames = traceback.extract_tb(trace)[-FRAMES:]
        where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
                           for frame in reversed(frames))
        say.error(f"exception in the edge: {kind.__name__ if kind else ''} at {where}")

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
        if KSR.sanity.sanity_check(SANITY, SANITY_URIS) < 0:
            return True
        if not TAG.issuperset(wire.value("$ft")):
            KSR.sl.sl_send_reply(400, "Bad From")
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
        self.inside.request(self.method)
        return True

    def from_whom(self) -> bool:
        """A carrier's, call control's, or somebody else's."""
        self.trunk = self.sources.trunk()
        self.from_control = not self.trunk and self.control.sends()
        if self.trunk:
            keep_connection(self.live, CARRIER)
        return False

    def retransmission(self) -> bool:
        """One that tm has answered or is working on is absorbed."""
        if self.method == "ACK":
            self.inside.nobodys("ACK")
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
        self.raw = wire.value("$mb").lower()
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

    def scheme(self) -> bool:
        """Only sip and sips addresses are served (RFC 3261 section 8.2.2.1)."""
        uri = wire.value("$ru") or self.request_uri()
        scheme, colon, rest = uri.partition(":")
        if scheme.lower() in ("sip", "sips"):
            if read_uri(uri):
                return False
            KSR.sl.sl_send_reply(400, "Bad Request URI")
        elif scheme.lower() == "tel" and rest:
            return False
        elif colon and rest and SCHEME.issuperset(scheme.lower()):
            KSR.sl.sl_send_reply(416, "Unsupported URI Scheme")
        else:
            KSR.sl.sl_send_reply(400, "Bad Request URI")
        return True

    @staticmethod
    def request_uri() -> str:
        """As it stands in the first line, when Kamailio cannot read it."""
        first = wire.value("$mb").partition("\n")[0].split(" ")
        return first[1] if len(first) > 2 else ""

    def extensions(self) -> bool:
        """A request that insists on what the edge does not know is told so. What the called side
        has to know is for that to say, but for a request to the edge itself."""
        unknown: list[str] = []
        if PROXY_REQUIRE_HEADER in self.raw:
            unknown += asked("Proxy-Require", PROXY_EXTENSIONS)
        if REQUIRE_HEADER in self.raw and self.method in ("OPTIONS", "REGISTER"):
            unknown += asked("Require", EXTENSIONS)
        if not unknown:
            return False
        KSR.hdr.append_to_reply(f"Unsupported: {', '.join(unknown)[:MAX_UNSUPPORTED]}\r\n")
        KSR.sl.sl_send_reply(420, "Bad Extension")
        return True

    def register(self) -> bool:
        """A device tells where it is."""
        if self.method != "REGISTER":
            return False
        self.registrar.request()
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
        KSR.hdr.remove("Proxy-Authorization")
        self.relay.subscribe(caller.device, caller.user, self.kernel.tenant_of(caller.user),
                             wire.value("$rU"))
        return True

    def invite(self) -> bool:
        """A new call: who is it, what is wanted, what does the kernel say."""
        if self.method != "INVITE":
            return False
        KSR.force_rport()
        # Parameters of the number, as of its portability (RFC 4694), are the carrier's affair.
        called = wire.value("$rU").partition(";")[0] or tel_number(wire.value("$ru"))
        if "%" in called:  # "#" has to be written so (RFC 3261 section 25.1)
            called = unquote(called)[:64]
        trunk = self.trunk  # the step flood() has looked
        order = self.order
        if order is not None:
            self.relay.new_call(order.source_kind, order.source, order.called, order.calling,
                                order.wanted, False, order)
            return True
        if trunk:
            KSR.textops.remove_hf_re(BETWEEN_US)
            number, anew = self.sources.calling(self.raw)
            self.relay.new_call(Source.TRUNK, trunk, called, number, None, False, anew=anew,
                                earlier=self.sources.forwarders(self.raw, trunk))
            return True
        caller: Caller | None = self.sources.device("INVITE")
        if caller is None:
            self.sources.challenge(407)
            return True
        if "\nreplaces" in self.raw:
            code = code_of(self.live, self.kernel.tenant_of(caller.user), wire.header("Replaces"))
            if code == "":
                KSR.sl.sl_send_reply(481, "Call/Transaction Does Not Exist")
                return True
            if code:
                KSR.hdr.remove("Replaces")
                called = code
        wanted = self.sources.wanted(self.raw)
        for name in (*IDENTITY_HEADERS, "Proxy-Authorization"):
            KSR.hdr.remove(name)
        keep_connection(self.live, self.kernel.tenant_of(caller.user))
        self.relay.new_call(Source.DEVICE, caller.device, called, "", wanted, natted())
        return True


def tel_number(uri: str) -> str:
    """The number of a tel address (RFC 3966), "" when it is none."""
    scheme, _, rest = uri.partition(":")
    return rest.partition(";")[0] if scheme.lower() == "tel" else ""


def asked(name: str, known: frozenset[str]) -> list[str]:
    """The extensions that all headers of that name ask for and that are not known."""
    found: list[str] = []
    for index in range(MAX_EXTENSIONS):
        text = wire.header_at(name, index)
        if not text:
            break
        found += [one for part in text.split(",")[:MAX_EXTENSIONS] if (one := part.strip())
                  and one.lower() not in known and one.isascii() and one.isprintable()]
    return found
