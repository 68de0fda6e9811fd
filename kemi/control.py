"""Call control, as the edge sees it: its processes, what they are told and what they ask for."""

import time
import zlib
from typing import Any

import KSR

from kemi import wire
from kemi.names import Counter
from routing_core import Live, handover
from routing_core.codes import Use
from routing_core.handover import Handover, Order


class Control:
    """The processes of call control on this machine, by index."""

    def __init__(self, live: Live, settings: dict[str, Any]) -> None:
        self.live = live
        self.key = handover.key_of(settings["key"])
        self.ports: list[int] = settings["control_ports"]
        self._ports = set(self.ports)

    def at_work(self, tenant: int, now: float) -> list[int]:
        """Those that are at work, in the order in which a company's calls try them. All calls of a
        company meet in one process, where they can be parked, picked up and joined: the one that
        has them; when that is gone, or there are none, the first by rendezvous hashing."""
        now_ms = int(now * 1000)
        owner = self.live.owner(tenant, now_ms)
        order = handover.preferred(tenant, [
            index for index in range(len(self.ports)) if self.live.control(index, now_ms)])
        return sorted(order, key=lambda index: index != owner)

    def uri(self, index: int) -> str:
        """Where a process is."""
        return f"sip:vaxel@127.0.0.1:{self.ports[index % len(self.ports)]};transport=udp"

    def evidence(self, index: int) -> dict[str, Any]:
        """What the keeper ends a call by when the process dies: which, and since when."""
        now_ms = int(time.time() * 1000)
        return {"control": index, "born": self.live.control(index, now_ms), "at": now_ms}

    def sends(self) -> bool:
        """Whether the request at hand comes from one of them, as far as an address can tell."""
        return self.at(KSR.pv.get("$si"), int(KSR.pv.get("$sp")))

    def at(self, host: str, port: int) -> bool:
        """Whether one of them is there."""
        return host == "127.0.0.1" and port in self._ports

    def order(self, now: float) -> Order | None:
        """The order in the request at hand; None when there is none that it signed, or when it
        was carried out already."""
        text = wire.header(handover.ORDER)
        order = handover.unseal(Order, text, self.key, now) if text else None
        if order is None:
            return None
        used = self.live.use_once(handover.identity(text), order.at, 1,
                                  zlib.crc32(wire.value("$ci").encode()), int(now),
                                  2 * handover.FRESH_S)
        if used == Use.SPENT:
            self.live.count(Counter.REPLAYED)
        return order if used == Use.FRESH else None

    def seal(self, word: Handover) -> str:
        """The header's value."""
        return handover.seal(word, self.key)

