"""What the message at hand says, as text.

Kamailio hands texts over as UTF-8 and raises on anything else, but SIP allows any byte in a display
name or a body (Latin-1 names, ISUP parts). What is no UTF-8 is replaced here: the text is for
people to read. The message itself travels on as it came.
"""

import KSR

#: Of one name that are read.
MAX_HEADERS = 20


def decoded(error: UnicodeDecodeError) -> str:
    """The text that could not be handed over."""
    return error.object.decode("utf-8", "replace")


def value(name: str) -> str:
    """A pseudo-variable such as "$fU"; "" when it has none."""
    try:
        return str(KSR.pv.gete(name))
    except UnicodeDecodeError as error:
        return decoded(error)


def header(name: str) -> str:
    """The first header of that name; "" when there is none."""
    try:
        return KSR.hdr.get(name) or ""
    except UnicodeDecodeError as error:
        return decoded(error)


def header_at(name: str, index: int) -> str:
    """The header of that name with that index, the first is 0; "" when there is none."""
    try:
        return KSR.hdr.get_idx(name, index) or ""
    except UnicodeDecodeError as error:
        return decoded(error)


def headers(name: str) -> list[str]:
    """Every header of that name, as far as MAX_HEADERS."""
    found: list[str] = []
    while len(found) < MAX_HEADERS and (text := header_at(name, len(found))):
        found.append(text)
    return found


def received() -> bytes:
    """The datagram or stream message that has just been received, before it is parsed."""
    try:
        return str(KSR.pv.gete("$rcv(buf)")).encode()
    except UnicodeDecodeError as error:
        return bytes(error.object)
