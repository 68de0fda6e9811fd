"""SIP addresses, read from headers that anybody may have written (RFC 3261 sections 19.1, 20.10).

Pure: texts in, texts out. Each function goes over its text once and takes only so much of it.
"""

import ipaddress
from typing import Final, NamedTuple

#: A header with addresses, and an address in it; Kamailio's own bound of an address is 1 024.
MAX_HEADER: Final = 4096
MAX_URI: Final = 512
MAX_USER: Final = 128
#: Addresses in one header.
MAX_ADDRESSES: Final = 20
TRANSPORTS: Final = frozenset(("udp", "tcp", "tls", "ws", "wss"))
DEFAULT_PORT: Final = 5060
DEFAULT_TLS_PORT: Final = 5061
_HOST: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_")
_IPV6: Final = frozenset("0123456789abcdef:.")


class Uri(NamedTuple):
    """A sip or sips address. port: 0 = none was given; host: in lower case, an IPv6 address without
    its brackets; transport: "" = none was given; text: the whole address as it stood."""

    user: str
    host: str
    port: int
    transport: str
    secure: bool
    text: str

    @property
    def actual_port(self) -> int:
        """The port that it stands for."""
        return self.port or (DEFAULT_TLS_PORT if self.secure or self.transport == "tls"
                             else DEFAULT_PORT)


def read_uri(text: str) -> Uri | None:
    """An address as SIP would send to it; None when nothing can be sent there."""
    if len(text) > MAX_URI or not text.isascii() or not text.isprintable():
        return None
    scheme, _, rest = text.partition(":")
    scheme = scheme.lower()
    if scheme not in ("sip", "sips") or any(mark in text for mark in ' <>"'):
        return None
    before, at, after = rest.partition("@")
    place, *parameters = (after if at else rest).partition("?")[0].split(";")
    user = before.partition(":")[0] if at else ""
    if (at and not user) or len(user) > MAX_USER:
        return None
    split = _host_and_port(place)
    if split is None:
        return None
    transport = ""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.lower() == "transport":
            if transport or value.lower() not in TRANSPORTS:
                return None
            transport = value.lower()
    return Uri(user, *split, transport, scheme == "sips", text)


def _host_and_port(place: str) -> tuple[str, int] | None:
    host, colon, port = place, "", ""
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or colon not in ("", ":") or ":" not in host \
                or not _IPV6.issuperset(host.lower()):
            return None
    else:
        host, colon, port = place.partition(":")
    host = host.lower()
    if not host or (":" not in host and (not _HOST.issuperset(host) or host[0] in ".-")):
        return None
    if not colon:
        return host, 0
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or not 0 < int(port) < 65536:
        return None
    return host, int(port)


def ip_of(host: str) -> str | None:
    """An IP address in its one spelling; None when the host is a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def addresses(header: str) -> list[str] | None:
    """The addresses of a header with name-addrs or bare ones (Contact, Route, Record-Route), as
    they stand; None when it is malformed or too long."""
    if len(header) > MAX_HEADER:
        return None
    found: list[str] = []
    at, end = 0, len(header)
    while at < end:
        begin, quoted, opened, closed = at, False, -1, -1
        while at < end:
            mark = header[at]
            if quoted:
                if mark == "\\":
                    at += 1
                elif mark == '"':
                    quoted = False
            elif mark == '"' and (opened < 0 or closed >= 0):
                quoted = True
            elif mark == "<":
                if opened >= 0:
                    return None
                opened = at
            elif mark == ">":
                if opened < 0 or closed >= 0:
                    return None
                closed = at
            elif mark == "," and (opened < 0 or closed >= 0):
                break
            at += 1
        if quoted or (opened >= 0) != (closed >= 0) or len(found) == MAX_ADDRESSES:
            return None
        if opened >= 0:
            text = header[opened + 1:closed].strip()
        else:  # parameters behind a bare address are the header's
            text = header[begin:at].partition(";")[0].strip()
        if not text:
            return None
        found.append(text)
        at += 1
    return found


def parameter(text: str, name: str) -> str:
    """The value of a parameter of an address or header, "" when it is not there."""
    mark = f";{name}="
    at = text.find(mark)
    if at < 0:
        return ""
    end = at + len(mark)
    begin = end
    while end < len(text) and text[end] not in ";>, \t\r\n\"?":
        end += 1
    return text[begin:end]


def address_text(host: str, port: int, transport: str, user: str = "") -> str:
    """An address to send to."""
    place = f"[{host}]" if ":" in host else host
    who = f"{user}@" if user else ""
    return f"sip:{who}{place}:{port}" + ("" if transport in ("", "udp")
                                         else f";transport={transport}")
