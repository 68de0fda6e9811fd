"""What the edge and call control tell each other in a SIP header.

A Handover goes with an INVITE from the edge to call control: it is a note in the call's slot, and
the header names slot and nonce, so that the INVITE does not grow beyond a datagram. An Order goes
with an INVITE from call control to the edge, and a Handover back with its refusal, as short JSON
under an HMAC. A header that is none of it is worth nothing, whoever sends it.
"""

import base64
import hmac
from typing import Any, Final, TypeVar

import msgspec

#: A header older than this is somebody's copy.
FRESH_S: Final = 60
#: Of the signature: 128 bits.
SIGNATURE_BYTES: Final = 16
MAX_HEADER: Final = 4000
#: Hexadecimal digits.
MAX_SLOT, MAX_NONCE = 6, 16
_MASK: Final = (1 << 64) - 1
_RINGING: Final = "ringing-"
MAX_EXTENSION: Final = 6

#: The note of a slot that holds it until the call is answered.
NOTE: Final = 1
#: Header names.
DECISION: Final = "X-Vaxel-Decision"
ORDER: Final = "X-Vaxel-Order"


class Handover(msgspec.Struct, array_like=True, frozen=True):
    """A call that call control is to deal with, and why. trail: see trail_text(); source_kind,
    source, called, calling, wanted: as the edge asked the kernel; caller: its number as
    text; name: what the directory calls it, or a carrier; forwarders: who had sent the call on
    before it came here, (number, Diverted, private), the latest first."""

    at: int
    uid: str
    tenant: int
    reason: int
    service: int
    source_kind: int
    source: int
    called: str
    calling: str
    wanted: str | None
    trail: str
    record: bool
    language: int
    caller_user: int
    caller: str
    conversation: str = ""
    name: str = ""
    forwarders: list[tuple[str, int, bool]] = []


class Order(msgspec.Struct, array_like=True, frozen=True):
    """A call that call control makes. conversation: the uid of the call that it belongs to, or,
    with main, that it is; once: 63 random bits, as each is carried out once; forwarders: as in
    Handover; the rest as Kernel.decide() takes it."""

    at: int
    conversation: str
    source_kind: int
    source: int
    called: str
    calling: str = ""
    wanted: str | None = None
    trail: str | None = None
    process: int = 0
    main: bool = False
    once: int = 0
    forwarders: list[tuple[str, int, bool]] = []


Word = TypeVar("Word", Handover, Order)


def key_of(secret: str) -> bytes:
    """The signing key, from the installation's secret."""
    return hmac.digest(secret.encode(), b"handover", "sha256")


def seal(word: Handover | Order, key: bytes) -> str:
    """The header's value: the signature, a space, the word."""
    body = msgspec.json.encode(word)
    return f"{_signature(body, type(word), key)} {body.decode()}"


def unseal(kind: type[Word], text: str, key: bytes, now_s: float) -> Word | None:
    """What the other side has signed, or None."""
    if len(text) > MAX_HEADER:
        return None
    signature, _, body = text.strip().partition(" ")
    raw = body.encode(errors="replace")
    if not hmac.compare_digest(
            signature.encode("ascii", "replace"), _signature(raw, kind, key).encode()):
        return None
    try:
        word = msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError:
        return None
    return word if abs(now_s - word.at) <= FRESH_S else None


def identity(text: str) -> int:
    """64 bits by which a sealed word is known when it comes again: of its signature."""
    return int(text.strip()[:16], 16) or 1


def preferred(tenant: int, processes: list[int]) -> list[int]:
    """The processes of call control in the order in which a company's calls try them (rendezvous
    hashing: when one goes, only its companies move)."""
    return sorted(processes, key=lambda index: _mix(tenant << 8 | index), reverse=True)


def _mix(value: int) -> int:
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31


def named(text: str) -> tuple[int, int] | None:
    """(slot, nonce) that a header names, None when it does not."""
    slot, _, nonce = text.strip().partition(".")
    if len(slot) > MAX_SLOT or len(nonce) > MAX_NONCE:
        return None
    try:
        return int(slot, 16), int(nonce, 16)
    except ValueError:
        return None


def noted(note: bytes) -> Handover | None:
    """The word in a slot's note."""
    try:
        return msgspec.json.decode(note, type=Handover)
    except msgspec.DecodeError:
        return None


def trail_text(trail: bytes) -> str:
    """A trail as it travels."""
    return base64.b64encode(trail).decode()


def trail_bytes(text: str) -> bytes:
    """And back; ValueError."""
    return base64.b64decode(text)


def ringing_tag(extension: str) -> str:
    """In place of the tag of a telephone that rings and has none that we know (RFC 4235)."""
    return f"{_RINGING}{extension}"


def ringing_at(tag: str) -> str:
    """Whose telephone that is, "" when it is no such tag."""
    extension = tag.removeprefix(_RINGING)
    return extension if tag != extension and extension.isdecimal() and extension.isascii() \
        and len(extension) <= MAX_EXTENSION else ""


def conversation_of(setup: bytes) -> str:
    """The uid of the call that a slot's set-up note says it belongs to, "" = none."""
    try:
        found = msgspec.json.decode(setup) if setup else {}
    except msgspec.DecodeError:
        return ""
    return str(found.get("conversation") or found.get("uid") or "")


def taken(setup: bytes, process: int, born_ms: int) -> bytes:
    """A slot's set-up note that says which life of which process has the call."""
    try:
        found = msgspec.json.decode(setup)
    except msgspec.DecodeError:
        return setup
    return msgspec.json.encode(found | {"control": process, "born": born_ms})


def _signature(body: bytes, kind: type[Any], key: bytes) -> str:
    return hmac.digest(key, kind.__name__.encode() + body, "sha256")[:SIGNATURE_BYTES].hex()
