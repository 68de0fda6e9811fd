"""Who is calling, in the headers that a carrier or a phone wants (catalogue N3).

Pure: texts in, texts out. RFC 3325 (P-Asserted-Identity), RFC 3323 (Privacy), RFC 5806
(Diversion), RFC 7044 (History-Info), RFC 6442 (Geolocation).
"""

from collections.abc import Mapping
from typing import NamedTuple

from kemi.uris import addresses
from routing_core.caller_names import quoted, shown_name
from routing_core.rows import DIVERSIONS, FORMATS, IDENTITIES

#: Characters of a header that are read, and of a user part that are taken.
MAX_NAME, MAX_USER = 512, 32
ANONYMOUS_URI = "sip:anonymous@anonymous.invalid"


class Identity(NamedTuple):
    """From (URI, display name as it is to be read) and the headers to add."""

    from_uri: str
    from_name: str
    headers: list[str]


def in_format(number: str, number_format: str, country_code: int) -> str:
    """A number as the trunk wants it: "plus" +46..., "e164" 46..., "national" 08... or 00358...

    Short numbers such as 112 stay as they are.
    """
    if not number.startswith("+") or number_format == "plus":
        return number
    digits = number[1:]
    if number_format == "e164":
        return digits
    code = str(country_code)
    return f"0{digits[len(code):]}" if digits.startswith(code) else f"00{digits}"


def for_trunk(trunk: Mapping[str, object], *, domain: str, shown: str, caller: str, hidden: bool,
              diverters: list[str], called: str, location: str) -> Identity:
    """What a carrier gets. shown: the number to display; caller: the original outside caller of a
    forwarded call; diverters: forwarders, the latest first; called: the number dialled."""
    number_format = FORMATS[int(str(trunk["format"]))]
    country_code = int(str(trunk["country_code"]))
    host = str(trunk["host"])

    def uri(number: str) -> str:
        return f"sip:{in_format(number, number_format, country_code)}@{domain}"

    number = shown
    if diverters:
        number = diverters[0] if trunk["forwarded"] else (caller or shown)
        hidden = hidden and not trunk["forwarded"]
    headers = []
    identity = IDENTITIES[int(str(trunk["identity"]))]
    if number and identity == "pai":
        headers.append(f"P-Asserted-Identity: <{uri(number)}>")
    elif number and identity == "rpid":
        privacy = "full" if hidden else "off"
        headers.append(f"Remote-Party-ID: <{uri(number)}>;party=calling;screen=yes;"
                       f"privacy={privacy}")
    if hidden:
        headers.append("Privacy: id")
    kind = DIVERSIONS[int(str(trunk["diversion"]))]
    if diverters and kind == "diversion":
        headers += [f"Diversion: <{uri(number)}>;reason=unconditional;counter=1"
                    for number in diverters]
    elif diverters and kind == "history":
        steps = [f"<{uri(number)}>;index=1{'.1' * depth}"
                 for depth, number in enumerate(reversed(diverters))]
        target = f"sip:{in_format(called, number_format, country_code)}@{host}"
        steps.append(f"<{target}>;index=1{'.1' * len(diverters)};mp=1{'.1' * (len(diverters) - 1)}")
        headers.append("History-Info: " + ", ".join(steps))
    if location:
        headers += [f"Geolocation: <{location}>", "Geolocation-Routing: yes"]
    if hidden or not number:
        return Identity(ANONYMOUS_URI, "Anonymous", headers)
    return Identity(uri(number), "", headers)


def for_phone(number: str, hidden: bool, domain: str, name: str) -> Identity:
    """What a phone here gets. number: E.164, or a colleague's extension; name: "" = unknown."""
    if hidden or not number:
        return Identity(ANONYMOUS_URI, "Anonymous", ["Privacy: id"])
    uri = f"sip:{number}@{domain}"
    display = f"{quoted(name)} " if name else ""
    return Identity(uri, name, [f"P-Asserted-Identity: {display}<{uri}>"])


def name_of(display: str) -> str:
    """The name in a display name, quoted or not, as far as it can be shown."""
    text = display[:MAX_NAME].strip()
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        read, escaped = [], False
        for letter in text[1:len(text) - 1]:
            escaped = letter == "\\" and not escaped
            if not escaped:
                read.append(letter)
        text = "".join(read)
    return shown_name(text).decode()


def user_of(header: str) -> str:
    """The user part of the first address in a header, at most 32 characters; "" when none.

    Takes a name-addr (RFC 3261 section 25.1) or a bare address, sip, sips or tel.
    """
    found = addresses(header[:MAX_NAME])
    if not found:
        return ""
    scheme, _, rest = found[0].partition(":")
    scheme = scheme.lower()
    if scheme == "tel":
        return rest.partition(";")[0][:MAX_USER]
    before, at, _ = rest.partition("@")
    if scheme not in ("sip", "sips") or not at:
        return ""
    for end in ":;":
        before = before.partition(end)[0]
    return before[:MAX_USER]
