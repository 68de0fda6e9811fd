"""Whose address is that: nobody but a carrier is sent what is a carrier's, and nobody sends us what
is meant for ourselves."""

import socket
from typing import Any

from kemi.uris import Uri, ip_of
from routing_core import Kernel


class Addresses:
    """Which addresses are a trunk's or our own."""

    def __init__(self, kernel: Kernel, settings: dict[str, Any]) -> None:
        self.kernel = kernel
        self.ports = frozenset(settings["own_ports"])
        self.names = frozenset((settings["domain"].lower(), "localhost"))

    def reserved(self, uri: Uri) -> bool:
        """Whether it is a trunk's, or one of ours: no telephone is there."""
        return self.ours(uri) or self.kernel.trunk_at(uri.host, uri.actual_port)

    def ours(self, uri: Uri) -> bool:
        """Whether one of our own processes listens there."""
        return uri.actual_port in self.ports and (uri.host in self.names or _is_here(uri.host))


def _is_here(host: str) -> bool:
    if ip_of(host) is None:
        return False
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET,
                           socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
        return True
    except OSError:
        return False
