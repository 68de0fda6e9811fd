"""Who is calling, in the headers that a carrier or a phone wants (catalogue N3).

Pure: texts in, texts out. RFC 3325 (P-Asserted-Identity), RFC 3323 (Privacy), Remote-Party-ID
(draft-ietf-sip-privacy-04), RFC 5806 (Diversion), RFC 7044 (History-Info), RFC 6442 (Geolocation).
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from kemi.uris import addresses, parameter, read_uri
from routing_core.caller_names import ANONYMOUS, ANONYMOUS_URI, quoted, shown_name
from routing_core.rows import DIVERSIONS, FORMATS, IDENTITIES

#: Characters of a header that are read, and of a user part that are taken.
MAX_NAME, MAX_USER = 512, 32
#: Entries of one header that are read; digits of a number (E.164).
MAX_ENTRIES = 20
MIN_DIGITS, MAX_DIGITS = 6, 15
ANONYMOUS_HOST = "anonymous.invalid"
NOBODY_NAME = "Anonymous"
#: Of a Privacy header: what asks that nobody see who calls (RFC 3323 section 4.2, RFC 3325 9.3).
PRIVATE = frozenset(("id", "user", "header"))
#: Users in place of one who is not to be seen.
NOBODY = frozenset((ANONYMOUS, "restricted", "private"))
#: Headers by which somebody may be known; what is to be hidden goes without them.
IDENTITY_HEADERS = ("P-Asserted-Identity", "Remote-Party-ID", "Privacy", "Diversion",
                    "History-Info", "P-Preferred-Identity")
TELLING_HEADERS = ("Reply-To", "Organization", "Subject", "Call-Info", "User-Agent", "In-Reply-To",
                   "Referred-By", "Identity", "Geolocation")


#: Words of a Diversion by Diverted, and what RFC 4458 section 5.2 and TS 24.604 call the same.
REASONS = ("unknown", "unconditional", "user-busy", "no-answer", "unavailable", "deflection",
           "away", "time-of-day", "do-not-disturb", "follow-me", "out-of-service")
CAUSES = (404, 302, 486, 408, 503, 487, 302, 302, 486, 302, 503)
BY_CAUSE = {404: 0, 302: 1, 486: 2, 408: 3, 503: 4, 480: 5, 487: 5}
#: Forwarders that are named: the latest and the first.
MAX_FORWARDERS = 5


class Forwarder(NamedTuple):
    """Who has sent a call on: the number, E.164; why, a Diverted; private: the called side is not
    to see it."""

    number: str
    why: int
    private: bool = False


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
              diverters: list[Forwarder], called: str, location: str,
              earlier: list[Forwarder] | None = None) -> Identity:
    """What a carrier gets. shown: the number to display; caller: the original outside caller of a
    forwarded call; diverters: forwarders here, the latest first; earlier: those before them, by
    another carrier's word; called: the number dialled."""
    number_format = FORMATS[int(str(trunk["format"]))]
    country_code = int(str(trunk["country_code"]))
    host = str(trunk["host"])

    def uri(number: str) -> str:
        return f"sip:{in_format(number, number_format, country_code)}@{domain}"

    number = shown
    if diverters:
        number = diverters[0].number if trunk["forwarded"] else (caller or shown)
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
    named = bounded([*diverters, *(earlier or ())])
    if kind == "diversion":
        headers += [f"Diversion: <{uri(one.number)}>;reason={REASONS[one.why]};counter=1"
                    + (";privacy=full" if one.private else "") for one in named]
    elif named and kind == "history":
        target = f"sip:{in_format(called, number_format, country_code)}@{host}"
        headers.append("History-Info: " + ", ".join(
            history([(uri(one.number), one) for one in reversed(named)], target)))
    if location:
        headers += [f"Geolocation: <{location}>", "Geolocation-Routing: yes"]
    if hidden or not number:
        return Identity(ANONYMOUS_URI, NOBODY_NAME, headers)
    return Identity(uri(number), "", headers)


def history(steps: list[tuple[str, Forwarder]], target: str) -> list[str]:
    """The entries of a History-Info (RFC 7044): who had the call, the oldest first, and who gets
    it. Each but the first says in its address why it got the call (RFC 4458)."""
    entries = []
    for depth, (uri, step) in enumerate([*steps, (target, Forwarder("", 0))]):
        cause = f";cause={CAUSES[steps[depth - 1][1].why]}" if depth else ""
        private = "?Privacy=history" if step.private else ""
        mapped = f";mp=1{'.1' * (depth - 1)}" if depth else ""
        entries.append(f"<{uri}{cause}{private}>;index=1{'.1' * depth}{mapped}")
    return entries


def bounded(found: list[Forwarder]) -> list[Forwarder]:
    """At most MAX_FORWARDERS: the latest, and the very first (RFC 5806 section 5)."""
    return found if len(found) <= MAX_FORWARDERS else [*found[:MAX_FORWARDERS - 1], found[-1]]


def read_forwarders(diversions: list[str], histories: list[str], number_format: str,
                    country_code: int) -> list[Forwarder]:
    """Who has sent a call on, as a carrier says it, the latest first. The arguments are the values
    of all Diversion and History-Info headers; what names no number is left out."""
    found: list[Forwarder] = []
    for entry in entries_of(diversions):
        words = parameters_of(entry)
        reason = words.get("reason", "")
        found.append(Forwarder(
            from_format(user_of(entry), number_format, country_code),
            REASONS.index(reason) if reason in REASONS else 0,
            words.get("privacy", "off") != "off"))
    if not diversions:
        steps = entries_of(histories)
        for before, after in pairwise(steps):
            cause = cause_of(after)
            if cause:
                found.append(Forwarder(
                    from_format(user_of(before), number_format, country_code),
                    BY_CAUSE.get(cause, 0), "privacy=" in before.lower()))
        found.reverse()
    return bounded([one for one in found if one.number])


def cause_of(entry: str) -> int:
    """Of an entry of History-Info, 0 = none: as RFC 4458 writes it, or as a Reason (RFC 7044)."""
    text = entry.lower().replace("%3b", ";").replace("%3d", "=")
    cause = parameter(text, "cause")
    return int(cause) if len(cause) == 3 and cause.isascii() and cause.isdigit() else 0


def entries_of(headers: list[str]) -> list[str]:
    """The values that stand in these headers, one after the other."""
    found: list[str] = []
    for header in headers:
        quoted_, inside, begin = False, False, 0
        text = header[:MAX_NAME] + ","
        for at, mark in enumerate(text):
            if mark == '"' and text[at - 1] != "\\":
                quoted_ = not quoted_
            elif not quoted_ and mark in "<>":
                inside = mark == "<"
            elif mark == "," and not quoted_ and not inside:
                found.append(text[begin:at].strip())
                begin = at + 1
    return found[:MAX_ENTRIES]


def parameters_of(entry: str) -> dict[str, str]:
    """Those behind an address, in lower case."""
    return {name.strip(): value.strip().strip('"') for name, _, value in (
        one.partition("=") for one in entry.lower().rpartition(">")[2].split(";"))}


def from_format(number: str, number_format: str, country_code: int) -> str:
    """A number as a trunk writes it, as E.164; "" when it is none. The reverse of in_format()."""
    digits = number.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        return ""
    if number.startswith("00"):
        digits = number[2:]
    elif number.startswith("0"):
        digits = f"{country_code}{number[1:]}"
    elif not number.startswith("+") and number_format != "e164":
        return ""
    return f"+{digits}" if MIN_DIGITS <= len(digits) <= MAX_DIGITS else ""


def for_phone(number: str, hidden: bool, domain: str, name: str) -> Identity:
    """What a phone here gets. number: E.164, or a colleague's extension; name: "" = unknown."""
    if hidden or not number:
        return Identity(ANONYMOUS_URI, NOBODY_NAME, ["Privacy: id"])
    uri = f"sip:{number}@{domain}"
    display = f"{quoted(name)} " if name else ""
    return Identity(uri, name, [f"P-Asserted-Identity: {display}<{uri}>"])


def withheld(privacy: list[str], uri: str, parties: list[str]) -> bool:
    """Whether a caller does not want to be seen. privacy: the values of its Privacy headers; uri:
    of From; parties: its Remote-Party-ID headers. Any word of one who asks for privacy counts, but
    none against an explicit "none"."""
    asked = {word.strip().lower() for value in privacy for word in
             value[:MAX_NAME].replace(",", ";").split(";")}
    if asked & PRIVATE or any(remote_privacy(party) & {"full", "uri"} for party in parties):
        return True
    if "none" in asked:
        return False
    user, _, host = uri[:MAX_NAME].partition(":")[2].lower().rpartition("@")
    return user.partition(";")[0] in NOBODY \
        or host.partition(";")[0].partition(":")[0] == ANONYMOUS_HOST


def remote_privacy(party: str) -> set[str]:
    """What a Remote-Party-ID asks to be kept private, of the calling party: full, uri, name."""
    found: set[str] = set()
    text = party[:MAX_NAME].lower().replace('"', "")
    for behind in text.split(">")[1:] or [text]:
        parameters = {name.strip(): value.strip() for name, _, value in (
            one.partition("=") for one in behind.partition("<")[0].split(";"))}
        if parameters.get("party", "calling").startswith("calling"):
            found |= {word.strip().partition("-")[0]
                      for word in parameters.get("privacy", "").split(",")}
    return found


def nobodys_contact(contact: str) -> str:
    """A Contact without the user who it names (RFC 3323 section 4.1.1.3), "" when it has none. The
    edge sends what comes back to where the caller was seen, and not by what this says."""
    found = addresses(contact)
    uri = read_uri(found[0]) if found else None
    if uri is None or not uri.user:
        return ""
    scheme, _, rest = uri.text.partition(":")
    return f"<{scheme}:{ANONYMOUS}@{rest.partition('@')[2]}>"


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
