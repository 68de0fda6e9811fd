"""TCP, TLS and WebSocket connections: nobody's keep others out.

Kamailio bounds them all together only. A process of its own looks again and again who has how many:
who has not shown who it is has a few, and for seconds only; an address and a company have their
share.
"""

import json
import time
from collections import defaultdict
from typing import Any, Final

import KSR

from kemi.names import CONNECTION_S, Counter
from routing_core import Kernel, Live

#: A stranger's connections: so many from one address, and none for longer.
STRANGERS_PER_ADDRESS: Final = 32
STRANGER_S: Final = 10.0
#: The list is asked for when so many have been opened, or after this time; and it takes this
#: process no more than one part in so many of its time.
OPENED: Final = 8
LIST_S: Final = 2.0
PART: Final = 4
#: In the place of a company: a connection of a carrier.
CARRIER: Final = 0xFFFFFFFF


class Connections:
    """One in the process of Kamailio that looks after them."""

    def __init__(self, kernel: Kernel, settings: dict[str, Any]) -> None:
        self.kernel = kernel
        self.live = kernel.live
        self.per_address: int = settings["connections_per_address"]
        self.per_tenant: int = settings["connections_per_tenant"]
        self._seen: dict[int, float] = {}  # since when a stranger's connection is known
        self._opened = 0
        self._listed = self._rest_until = 0.0

    def look(self) -> None:
        """Close what is too much."""
        now = time.monotonic()
        opened = int(KSR.pv.get("$stat(passive_open)"))
        if now < self._rest_until or (opened - self._opened < OPENED
                                      and now - self._listed < LIST_S):
            return
        self._opened, self._listed = opened, now
        listed = _ask("core.tcp_list")
        rows = listed if isinstance(listed, list) else [listed]
        found = [(int(row["id"]), str(row["src_ip"])) for row in rows if "id" in row]
        for id_ in self.too_much(found, now):
            self.live.count(Counter.CONNECTIONS_CLOSED)
            KSR.tcpops.tcp_close_connection_id(id_)
        self._rest_until = now + PART * (time.monotonic() - now)

    def too_much(self, found: list[tuple[int, str]], now: float) -> list[int]:
        """Which of these connections (id, address) are closed; now: seconds, monotonic. Ids rise:
        of too many, those that came last go."""
        strangers: dict[str, int] = defaultdict(int)
        addresses: dict[str, int] = defaultdict(int)
        tenants: dict[int, int] = defaultdict(int)
        seen: dict[int, float] = {}
        closed = []
        for id_, address in sorted(found):
            tenant = self.live.connection(id_)
            if not tenant and self.kernel.trunk_by_source(f"ip:{address}"):
                tenant = CARRIER
            if tenant == CARRIER:
                continue
            addresses[address] += 1
            over = addresses[address] > self.per_address
            if tenant:
                tenants[tenant] += 1
                over = over or tenants[tenant] > self.per_tenant
            else:
                strangers[address] += 1
                seen[id_] = self._seen.get(id_, now)
                over = over or strangers[address] > STRANGERS_PER_ADDRESS \
                    or now - seen[id_] > STRANGER_S
            if over:
                closed.append(id_)
        self._seen = seen
        return closed


def _ask(method: str) -> Any:
    KSR.jsonrpcs.execx(json.dumps({"jsonrpc": "2.0", "method": method, "id": 1}))
    return json.loads(KSR.pv.gete("$jsonrpl(body)") or "{}").get("result", {})


def keep_connection(live: Live, tenant: int) -> None:
    """The message at hand is somebody's whom we know: its connection, if it came by one, stays
    open."""
    if KSR.pv.get("$pr") == "udp":
        return
    KSR.tcpops.tcp_set_connection_lifetime(CONNECTION_S)
    live.know_connection(int(KSR.pv.get("$conid")), tenant)
