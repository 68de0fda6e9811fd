"""Who is at each side of a dialog, read from its messages: where it is reached, and from where it
may speak.

A telephone is reached where it sends from: what its Contact says counts only as far as it names
that host. A carrier is reached as RFC 3261 says, by its Contact and Record-Route.
"""

from typing import Any

import KSR

from kemi import wire
from kemi.calls import Party
from kemi.control import Control
from kemi.media import unreachable
from kemi.names import ROUTE_PARAM
from kemi.ours import Addresses
from kemi.source import Sources
from kemi.uris import address_text, addresses, ip_of, parameter, read_uri
from routing_core.codes import Source

#: Headers of one name that are read.
MAX_HEADERS = 20


def headers(name: str) -> list[str] | None:
    """The addresses in all headers of that name, in order; None when one is malformed."""
    found: list[str] = []
    for index in range(MAX_HEADERS):
        text = wire.header_at(name, index)
        if not text:
            return found
        more = addresses(text)
        if more is None:
            return None
        found += more
    return None


def natted() -> bool:
    """Whether the request at hand came from elsewhere than its Via says, or by WebSocket."""
    return bool(KSR.nathelper.nat_uac_test(18) > 0 or KSR.is_WSX())


class Parties:
    """Makes parties of messages, and knows them again."""

    def __init__(self, addresses_: Addresses, control: Control, sources: Sources,
                 settings: dict[str, Any]) -> None:
        self.addresses = addresses_
        self.control = control
        self.sources = sources
        self.proxies = frozenset(settings["proxies"])

    def from_request(self, kind: int, id_: int) -> Party | None:
        """Who sent the request at hand; None when its Contact or Record-Route cannot be used."""
        routes: list[str] | None = []
        if kind != Source.DEVICE or self.by_proxy():
            routes = headers("Record-Route")
        return self._party(kind, id_, wire.value("$ft"), routes, natted())

    def from_source(self, kind: int, id_: int) -> Party:
        """The same by nothing but where it came from: for emergency calls, which are never
        refused."""
        text = self._source_address()
        return Party(kind, id_, wire.value("$ft"), text, text, [], self.source())

    def from_reply(self, kind: int, id_: int) -> Party:
        """Who sent the reply at hand, a 2xx or a reliable 1xx to an INVITE of ours."""
        routes = headers("Record-Route") or []
        ours = next((place for place, one in enumerate(routes) if parameter(one, ROUTE_PARAM)),
                    len(routes))
        beyond = routes[:ours][::-1]
        if beyond and kind == Source.DEVICE:
            # Its own proxies would be the caller's next hop: we alone are.
            KSR.hdr.remove("Record-Route")
            for one in routes[ours:]:
                KSR.hdr.append(f"Record-Route: <{one}>\r\n")
            beyond = []
        tag = wire.value("$tt")
        found = self._party(kind, id_, tag, beyond, False)
        if found is None:  # it is answered all the same, and reached where it answers from
            found = self.from_source(kind, id_)
            found.tag, found.routes = tag, beyond
        return found

    def _party(self, kind: int, id_: int, tag: str, routes: list[str] | None,
               elsewhere: bool) -> Party | None:
        contacts = addresses(wire.header("Contact"))
        uri = read_uri(contacts[0]) if contacts and len(contacts) == 1 else None
        if uri is None or routes is None or not all(read_uri(one) for one in routes):
            return None
        host = ip_of(uri.host) or uri.host
        stream = KSR.pv.get("$pr") not in ("udp", "")
        goes_to = ""
        if kind == Source.DEVICE and not routes:
            if elsewhere or stream or host != KSR.pv.get("$si") or self.addresses.reserved(uri):
                goes_to = self._source_address()
        elif kind == Source.TRUNK and (self.addresses.ours(uri) or self._unreachable(host)):
            goes_to = self._source_address()
        return Party(kind, id_, tag, uri.text, goes_to, routes, self.source())

    @staticmethod
    def _unreachable(host: str) -> bool:
        # A carrier's equipment behind a translator of addresses says its inside one.
        here = KSR.pv.get("$si")
        return host != here and unreachable(host) and not unreachable(here)

    @staticmethod
    def source() -> str:
        """Where the message at hand came from, as a Party has it."""
        return f"{KSR.pv.get('$pr')}:{KSR.pv.get('$si')}:{KSR.pv.get('$sp')}"

    def _source_address(self) -> str:
        return address_of(self.source())

    def by_proxy(self) -> bool:
        """Whether the message at hand came from a proxy that the operator named."""
        return bool(self.proxies) and KSR.pv.get("$si") in self.proxies

    def sent_by(self, party: Party) -> bool:
        """Whether the request at hand comes from where that party is."""
        if party.source == self.source():
            return True
        if party.kind == Source.CALL_CONTROL:
            return self.control.sends()
        here = KSR.pv.get("$si")
        if party.kind != Source.TRUNK:
            return self.by_proxy() and host_of(party.source) == here
        if self.sources.trunk() == party.id or host_of(party.source) == here:
            return True
        return any((uri := read_uri(one)) and ip_of(uri.host) == here
                   for one in (party.target, *party.routes))


def host_of(source: str) -> str:
    """The address in "transport:address:port"."""
    return source.partition(":")[2].rpartition(":")[0]


def address_of(source: str) -> str:
    """What to send to for it to arrive there."""
    transport = source.partition(":")[0]
    return address_text(host_of(source), int(source.rpartition(":")[2]), transport)

