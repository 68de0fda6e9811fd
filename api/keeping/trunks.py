"""Trunks in the edge: probed, registered, and known to be up or down (N2).

What the store says is compared with what Kamailio has, and the difference is made good; so a
restarted Kamailio has everything back at the next look.
"""

from collections.abc import Iterable
from typing import Any

import structlog

from api.keeping.edge_rpc import EdgeRpc, EdgeRpcError
from routing_core import Live
from store import SqliteStore
from store.model import Trunk

log = structlog.get_logger()

#: dispatcher's set that holds the trunks.
GROUP = 1
#: A trunk that is down is out of use until a probe finds it up; this is how far ahead.
DOWN_S = 120
REGISTER_EXPIRES_S = 300


def uri_of(trunk: Trunk) -> str:
    """Where the trunk is, as a SIP URI."""
    transport = "" if trunk.transport == "udp" else f";transport={trunk.transport}"
    return f"sip:{trunk.host}:{trunk.port}{transport}"


class Trunks:
    """Keeps the edge's view of the trunks the store's."""

    def __init__(self, live: Live, store: SqliteStore, edge: EdgeRpc) -> None:
        self.live = live
        self.store = store
        self.edge = edge
        self._registered: dict[int, tuple[str, ...]] = {}

    def _trunks(self) -> list[Trunk]:
        return [row for row in self.store.find("trunk", limit=10_000)
                if isinstance(row, Trunk) and row.enabled]

    async def look(self, now_s: int) -> None:
        """Compare, mend, and read the probes."""
        trunks = self._trunks()
        try:
            await self._probes([trunk for trunk in trunks if trunk.ping], now_s)
            await self._registrations([t for t in trunks if t.kind == "registration"])
        except EdgeRpcError as error:
            log.debug("trunks not compared", error=str(error))

    async def _probes(self, wanted: list[Trunk], now_s: int) -> None:
        known: dict[str, str] = {}
        try:
            answer = await self.edge.call("dispatcher.list")
            known = dict(_destinations(answer))
        except EdgeRpcError as error:
            if "does not answer" in str(error):
                raise
        by_uri: dict[str, list[Trunk]] = {}
        for trunk in wanted:
            by_uri.setdefault(uri_of(trunk), []).append(trunk)
        for uri in by_uri.keys() - known.keys():
            await self.edge.call("dispatcher.add", GROUP, uri, 8)
        for uri in known.keys() - by_uri.keys():
            await self.edge.call("dispatcher.remove", GROUP, uri)
        for uri, flags in known.items():
            for trunk in by_uri.get(uri, ()):
                down = self.live.trunk_down_until(trunk.id)
                if "I" in flags or "T" in flags:
                    self.live.set_trunk_down(trunk.id, now_s + DOWN_S)
                elif flags.startswith("A") and down > now_s + DOWN_S // 2:
                    self.live.set_trunk_down(trunk.id, 0)  # a probe had taken it out of use

    async def _registrations(self, wanted: list[Trunk]) -> None:
        have = await self.edge.call("uac.reg_dump")
        uuids = {str(entry.get("l_uuid")) for entry in _entries(have)}
        for trunk in wanted:
            now = (trunk.host, str(trunk.port), trunk.transport, trunk.username, trunk.secret,
                   trunk.realm)
            uuid = f"trunk{trunk.id}"
            if uuid in uuids and self._registered.get(trunk.id, now) != now:
                await self.edge.call("uac.reg_remove", "l_uuid", uuid)
                uuids.discard(uuid)
            if uuid not in uuids:
                await self.edge.call(
                    "uac.reg_add", uuid, trunk.username, trunk.host, trunk.username, trunk.host,
                    trunk.realm or trunk.host, trunk.username, trunk.secret, ".", uri_of(trunk),
                    REGISTER_EXPIRES_S, 0, 0, "", ".")
            self._registered[trunk.id] = now
        keep = {f"trunk{trunk.id}" for trunk in wanted}
        for uuid in uuids - keep:
            await self.edge.call("uac.reg_remove", "l_uuid", uuid)


def _entries(answer: Any) -> Iterable[dict[str, Any]]:
    if isinstance(answer, dict):
        return [answer]
    return [entry for entry in answer or [] if isinstance(entry, dict)]


def _destinations(answer: Any) -> Iterable[tuple[str, str]]:
    for record in (answer or {}).get("RECORDS", []):
        group = record.get("SET", {})
        if group.get("ID") != GROUP:
            continue
        for target in group.get("TARGETS", []):
            destination = target.get("DEST", {})
            yield str(destination.get("URI")), str(destination.get("FLAGS"))
