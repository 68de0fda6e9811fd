"""What stands before everything else: too much from one address, and what is no SIP request.

Kamailio calls it with each message before it is parsed: so it sees what cannot be parsed, and what
has a To tag, no hops left, or cancels something.
"""

import time

import KSR

from kemi import framing, wire
from kemi.control import Control
from kemi.names import Counter
from kemi.uris import address_text
from routing_core import Kernel

RESPONSE = b"SIP/2.0 "
#: Kamailio's numbers of them.
PROTOCOLS = {1: "udp", 2: "tcp", 3: "tls", 5: "ws", 6: "wss"}
#: Whose messages end where Content-Length says; a WebSocket has frames (RFC 7118).
STREAMS = frozenset(("tcp", "tls"))
#: By which Kamailio sends what it has not made itself; on the others it answers what it can.
ANSWERED = frozenset(("udp", "tcp", "tls"))
#: Connections that are kept in mind as broken, and for how long: until they are closed.
MAX_BROKEN = 1024
BROKEN_S = 5.0


class Gate:
    """Drops a message, answers it, or lets it through."""

    def __init__(self, kernel: Kernel, control: Control) -> None:
        self.kernel = kernel
        self.live = kernel.live
        self.control = control
        self.broken = False  # the message at hand came by a connection that has to be closed
        self.fault: framing.Fault | None = None  # of one that only Kamailio can answer
        self._broken: dict[tuple[str, int], float] = {}

    def received(self) -> None:
        """The message that has just come."""
        self.broken = False
        self.fault = None
        raw = wire.received()
        host, port = KSR.pv.get("$rcv(srcip)"), int(KSR.pv.get("$rcv(srcport)"))
        protocol = PROTOCOLS.get(KSR.pv.get("$rcv(proto)"), "")
        if self._broken and protocol in STREAMS \
                and time.monotonic() - self._broken.get((host, port), -BROKEN_S) < BROKEN_S:
            KSR.set_drop()
            return
        if raw.startswith(RESPONSE):
            if unreadable(raw) or (raw.startswith(b"SIP/2.0 2") and not framing.answers(raw)):
                self.live.count(Counter.MALFORMED)
                KSR.set_drop()
            return
        if not self.known(host, port) and KSR.pike.pike_check_ip(host) < 0:
            self.live.count(Counter.FLOOD)
            KSR.set_drop()
            return
        found = framing.look(raw, protocol in STREAMS)
        if isinstance(found, framing.Fault):
            self.live.count(Counter.MALFORMED)
            answer = framing.refusal(raw, found, host, port)
            if protocol in ANSWERED and answer:
                KSR.corex.send_data(address_text(host, port, protocol),
                                    answer.decode("utf-8", "replace"))
            if found.length and protocol in STREAMS:
                self.give_up(host, port)
            elif protocol in ANSWERED or unreadable(raw):
                KSR.set_drop()
            else:
                self.fault = found
        elif found is None and unreadable(raw):
            KSR.set_drop()
        elif found is not None and found.raw != raw and not self.rewrite(found.raw) \
                and unreadable(raw):
            self.live.count(Counter.MALFORMED)
            KSR.set_drop()

    def give_up(self, host: str, port: int) -> None:
        """Nobody knows where the next message begins: what comes behind may be anybody's words in
        a body. The connection is closed, by Kamailio when it cannot parse this one either, or by
        the edge when it gets it."""
        self.broken = True
        self._broken.pop((host, port), None)
        self._broken[host, port] = time.monotonic()
        if len(self._broken) > MAX_BROKEN:
            del self._broken[next(iter(self._broken))]

    @staticmethod
    def rewrite(raw: bytes) -> bool:
        """Let Kamailio parse this instead. It takes texts only: what has a body that is none stays
        as it came."""
        if b"\0" in raw:
            return False
        try:
            KSR.pv.sets("$rcv(buf)", raw.decode())
        except (UnicodeDecodeError, ValueError):
            return False
        return True

    def known(self, host: str, port: int) -> bool:
        """A carrier's or call control's address: they may send as much as they like."""
        return self.control.at(host, port) or self.kernel.trunk_by_source(f"ip:{host}") > 0


def unreadable(raw: bytes) -> bool:
    """Whether Kamailio's parser would stop in the middle of a header. A body may have any byte."""
    return b"\0" in raw and b"\0" in raw.partition(b"\r\n\r\n")[0]
