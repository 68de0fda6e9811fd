"""What is mutated: the messages of the tests of attacks, ordinary requests, and every message of
real dialogs."""

import re
from typing import Final

from tests.edge.attack.fuzzing.mutate import MARK, TAG, Draft, Words
from tests.edge.attack.own import OWN
from tests.edge.attack.torture import RFC_4475
from tests.edge.attack.torture_v6 import RFC_5118

#: How often each kind is taken: of an attack, plain, plain with a password, of a real dialog.
ATTACK, PLAIN, PROVED, REAL = 1, 12, 5, 4
SDP: Final = (b"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
              b"m=audio 40000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n"
              b"a=rtpmap:101 telephone-event/8000\r\n")
Templates = list[tuple[int, bytes]]


def request(method: str, uri: str, *headers: str, body: bytes = b"", to: str = "") -> bytes:
    """An ordinary request of {device}."""
    lines = [f"{method} {uri} SIP/2.0",
             "Via: SIP/2.0/{transport} {host}:{port};branch=z9hG4bK{serial};rport",
             "From: <sip:{device}@vaxel.local>;tag={serial}", f"To: {to or f'<{uri}>'}",
             "Call-ID: {serial}", f"CSeq: 1 {method}", "Max-Forwards: 70",
             "Contact: <sip:{device}@{host}:{port}>", "User-Agent: {serial}", *headers,
             *(["Content-Type: application/sdp"] if body else []), "Content-Length: {length}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def attacks() -> Templates:
    """All messages of tests/edge/attack."""
    found = []
    for case in (*RFC_4475, *RFC_5118, *OWN):
        if case.raw.count(b"\r\n") > 1 and len(case.raw) < 30_000:
            found.append((ATTACK, case.raw.replace(b"z9hG4bK", b"z9hG4bK{serial}")))
    return found


def plain(numbers: list[str]) -> Templates:
    """What telephones say, with and without a password."""
    found: Templates = []
    proof = "Proxy-Authorization: {credentials}"
    for number in numbers:
        invite = ("INVITE", f"sip:{number}@vaxel.local")
        found += [(PLAIN // 6 + 1, request(*invite, body=SDP)),
                  (2, request(*invite, proof, body=SDP))]
    found += [(PROVED, request("INVITE", f"sip:{numbers[0]}@vaxel.local", proof, body=SDP)),
              (1, request("INVITE", f"sip:{numbers[0]}@vaxel.local", proof))]
    address = "<sip:{device}@vaxel.local>"
    found += [
        (PLAIN, request("REGISTER", "sip:vaxel.local", "Expires: 600", to=address)),
        (PROVED, request("REGISTER", "sip:vaxel.local", "Expires: 600",
                         "Authorization: {credentials}", to=address)),
        (PLAIN, request("OPTIONS", "sip:vaxel.local")),
        (PLAIN // 3, request("SUBSCRIBE", "sip:101@vaxel.local", "Event: dialog", "Expires: 300")),
        (PROVED, request("SUBSCRIBE", "sip:101@vaxel.local", "Event: dialog", "Expires: 60",
                         proof)),
        (1, request("SUBSCRIBE", "sip:{device}@vaxel.local", "Event: message-summary",
                    "Expires: 60", proof)),
        (PLAIN // 3, request("CANCEL", "sip:101@vaxel.local")),
        (PLAIN // 3, request("ACK", "sip:101@vaxel.local")),
    ]
    for method in ("BYE", "INFO", "REFER", "NOTIFY", "UPDATE", "MESSAGE", "PRACK", "PUBLISH"):
        found.append((1, request(method, "sip:101@vaxel.local", proof)))
        found.append((1, request(method, "sip:101@vaxel.local",
                                 "Route: <sip:{edge};lr;vx=1.1.0123456789abcdef>",
                                 to="<sip:101@vaxel.local>;tag=x")))
    return found


def real(heard: list[tuple[str, str, str]], edge: str, limit: int = 240) -> Templates:
    """Of recorded messages (place, direction, text); the sender is put in the place of the one who
    sent or got them."""
    found: dict[bytes, bytes] = {}
    for place, _, text in heard:
        raw = text.replace(place, "{host}:{port}").replace(edge, "{edge}").encode("utf-8")
        raw = re.sub(rb"(?m)^((?:Proxy-)?Authorization: )[^\r]*", rb"\1{credentials}", raw)
        raw = raw.replace(b"branch=z9hG4bK", b"branch=z9hG4bK{serial}", 1)
        if b";tag=" not in raw.partition(b"\nTo:")[2].partition(b"\r")[0]:
            raw = re.sub(rb"(?m)^Call-ID: [^\r]*", b"Call-ID: {serial}", raw)
        raw = re.sub(rb"(?m)^Content-Length: \d+", b"Content-Length: {length}", raw)
        found.setdefault(kind(raw, place), raw)
    return [(REAL, raw) for raw in list(found.values())[:limit]]


def kind(raw: bytes, place: str) -> bytes:
    """Two messages of one kind teach the same."""
    draft = Draft(raw)
    names = b",".join(sorted(line.partition(b":")[0] for line in draft.lines[1:]))
    return b"|".join((draft.lines[0].partition(b" ")[0], draft.lines[0][:12], place.encode(), names,
                      b"sdp" if draft.body else b""))


def words(heard: list[tuple[str, str, str]], victims: list[tuple[str, int]]) -> Words:
    """The exchange's own words in them."""
    raw = "\n".join(text for _, _, text in heard).encode()
    marks = sorted({found[4:] for found in MARK.findall(raw)})
    call_ids = sorted({found.strip() for found in re.findall(rb"(?m)^Call-ID: ([^\r\n]+)", raw)})
    return Words(marks, sorted(set(TAG.findall(raw))), call_ids, victims)
