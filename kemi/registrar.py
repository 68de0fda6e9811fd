"""Where telephones are (RFC 3261 section 10, RFC 3327).

A Contact is an address to reach a device, never one to call somebody else at our expense: it is
called at the host that it registered from, under its own name, and never at a trunk's address or at
ours.
"""

import KSR

from kemi import wire
from kemi.connections import keep_connection
from kemi.names import FLAG_NAT_BRANCH, Counter
from kemi.ours import Addresses
from kemi.parties import Parties, headers, natted
from kemi.source import Caller, Sources
from kemi.uris import Uri, address_text, ip_of, read_uri
from routing_core import Kernel

#: Where nathelper and registrar look for the address that is really called.
RECEIVED = "$avp(rcv)"


class Registrar:
    """The step of the edge that deals with REGISTER."""

    def __init__(self, kernel: Kernel, domain: str, sources: Sources, parties: Parties,
                 addresses: Addresses) -> None:
        self.kernel = kernel
        self.domain = domain
        self.sources = sources
        self.parties = parties
        self.addresses = addresses

    def request(self) -> None:
        """A device tells where it is."""
        KSR.force_rport()
        caller = self.sources.device("REGISTER")
        if caller is None:
            self.sources.challenge(401)
            return
        if wire.value("$tU") != caller.username:
            KSR.sl.sl_send_reply(403, "Not Your Address")
            return
        by_proxy = self.parties.by_proxy()
        if not by_proxy and KSR.hdr.is_present("Path") > 0:
            self.refuse(403, "Path Not Allowed")
            return
        if not self._take_contact(caller, by_proxy):
            return
        if KSR.tm.t_newtran() <= 0:
            return  # it came twice, and another worker has it
        self._save(caller)
        keep_connection(self.kernel.live, self.kernel.tenant_of(caller.user))

    def refuse(self, code: int, phrase: str) -> None:
        """A Contact or Path that cannot be taken."""
        self.kernel.live.count(Counter.BAD_CONTACT)
        KSR.sl.sl_send_reply(code, phrase)

    def _take_contact(self, caller: Caller, by_proxy: bool) -> bool:
        """Whether its contacts can be taken; the last of them says where it is called."""
        contacts = headers("Contact")
        if contacts is None:
            self.refuse(400, "Bad Contact")
            return False
        if contacts in ([], ["*"]):  # a question; the end of all
            return True
        for text in contacts:
            uri = read_uri(text)
            if uri is None:
                self.refuse(400, "Bad Contact")
                return False
            if self.addresses.reserved(uri):
                self.refuse(403, "Contact Not Allowed")
                return False
        if not by_proxy:
            if len(contacts) > 1 and len({(one.host, one.actual_port) for text in contacts
                                          if (one := read_uri(text))}) > 1:
                self.refuse(400, "One Contact Only")
                return False
            assert uri is not None
            KSR.pv.sets(RECEIVED, self._reached(caller, uri))
        return True

    def _reached(self, caller: Caller, uri: Uri) -> str:
        """The address that is called, in the device's own name."""
        protocol, here = KSR.pv.get("$pr"), KSR.pv.get("$si")
        host, moved = ip_of(uri.host), natted()
        if host is not None and caller.anywhere and host != here and protocol != "ws":
            return address_text(host, uri.actual_port, uri.transport or protocol, caller.username)
        if host == here and protocol == "udp" and not moved:
            return address_text(here, uri.actual_port, uri.transport, caller.username)
        if host != here or moved:
            KSR.setbflag(FLAG_NAT_BRANCH)
        # By the connection that it has opened.
        transport = "ws" if protocol == "wss" else protocol
        return address_text(here, int(KSR.pv.get("$sp")), transport, caller.username)

    def _save(self, caller: Caller) -> None:
        KSR.cfgutils.lock("location")
        try:
            saved = KSR.registrar.save_uri("location", 0, f"sip:d{caller.device}@{self.domain}")
        finally:
            KSR.cfgutils.unlock("location")
        if saved < 0:
            KSR.sl.send_reply(500, "Server Internal Error")


def name_in(received: str) -> str:
    """The device's own name in the address that it is called at, "" when it came by a proxy."""
    before, at, _ = received.partition("@")
    return before.partition(":")[2] if at else ""

