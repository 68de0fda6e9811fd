"""Whether a request is one at all: its first line, and the headers that every request has, once
each and readable (RFC 3261 sections 7, 8.1.1 and 25).

Kamailio drops what its parser does not like without a word, and cannot answer what lacks a header;
over UDP nobody would learn why. So a request is looked at here before it is parsed, in one pass.
Pure: bytes in, bytes out.
"""

from typing import Final, NamedTuple

MAX_HEADERS: Final = 256
#: Of one header with its continuations.
MAX_HEADER_BYTES: Final = 8192
#: Of what a refusal repeats.
MAX_REPEATED_BYTES: Final = 1024
MAX_CSEQ: Final = (1 << 31) - 1
_COMPACT: Final = {b"v": b"via", b"f": b"from", b"t": b"to", b"i": b"call-id", b"m": b"contact",
                   b"l": b"content-length", b"c": b"content-type"}
_NEEDED: Final = (b"via", b"from", b"to", b"call-id", b"cseq")
#: Headers that a request has once at the most.
_SINGLE: Final = frozenset((b"from", b"to", b"call-id", b"cseq", b"max-forwards",
                            b"content-length", b"content-type", b"expires", b"date", b"subject"))
_REPEATED: Final = {b"from": b"From: ", b"to": b"To: ", b"call-id": b"Call-ID: ",
                    b"cseq": b"CSeq: "}
_TOKEN: Final = frozenset(b"-.!%*_+`'~0123456789"
                          b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
#: Of a header's name, as Kamailio's parser takes it.
_NAME: Final = frozenset(b"-._ \t0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_TOO_LONG, _TOO_MANY = "Header Too Long", "Too Many Headers"
_TOO_MUCH: Final = frozenset((_TOO_LONG, _TOO_MANY))
#: What Kamailio reads behind "SIP/2.0/" in a Via.
_TRANSPORTS: Final = frozenset((b"UDP", b"TCP", b"TLS", b"SCTP", b"WS", b"WSS"))
_TWO_LENGTHS: Final = "Repeated Content-Length"
_DIGITS: Final = frozenset(b"0123456789")


class Fault(NamedTuple):
    """Why it is refused. headers: what the refusal repeats, None when nobody can be answered;
    length: nobody knows where it ends."""

    code: int
    phrase: str
    headers: dict[bytes, bytes] | None
    length: bool = False


class Frame(NamedTuple):
    """A request that can be parsed, once it is written so."""

    raw: bytes


def look(raw: bytes, stream: bool = False) -> Frame | Fault | None:
    """A message; None when it is no request of SIP, and nobody is to be answered. stream: it has
    to say how long it is (RFC 3261 section 18.3)."""
    end = raw.find(b"\r\n\r\n")
    gap = 4
    if end < 0:
        end, gap = raw.find(b"\n\n"), 2
    complete = end >= 0
    lines = raw[:end if complete else len(raw)].split(b"\n")
    first = lines[0].rstrip(b"\r")
    start = _start_line(first)
    if start is None:
        return None
    headers, fault = _headers(lines)
    known = headers if b"via" in headers else None
    body = raw[end + gap:] if complete else b""
    length = headers.get(b"content-length")
    if length is None and stream:
        return Fault(400, "Content-Length Needed", known, True)
    if (length is not None and (not length or not _DIGITS.issuperset(length) or len(length) > 9
                               or int(length) > len(body))) or fault == _TWO_LENGTHS:
        return Fault(400, "Bad Content-Length", known, True)
    if start:
        return Fault(*start, known)
    if fault:
        return Fault(513 if fault in _TOO_MUCH else 400, fault, known)
    if not complete:
        return Fault(400, "Incomplete Request", known)
    fault = _needed(headers, first.split(b" ")[0], first.split(b" ")[1])
    if fault:
        return Fault(400, fault, known)
    if length is not None:  # what is behind it is no part of the request (section 18.3)
        body = body[:int(length)]
    if _plain(raw[:end], lines):
        return Frame(raw[:end + gap] + body)
    return Frame(b"\r\n".join(_rewritten(lines)) + b"\r\n\r\n" + body)


def answers(raw: bytes) -> bool:
    """Whether a 2xx can make a dialog, if it is one to an INVITE: a tag of its own in To, which is
    a token (RFC 3261 section 12.1.1), and each header once."""
    lines = raw[:raw.find(b"\r\n\r\n") if b"\r\n\r\n" in raw else len(raw)].split(b"\n")
    headers, fault = _headers(lines)
    if not headers.get(b"cseq", b"").endswith(b"INVITE"):
        return True
    tag = _tag(headers.get(b"to", b""))
    return not fault and tag != b"" and _TOKEN.issuperset(tag) \
        and tag != _tag(headers.get(b"from", b""))


def _tag(value: bytes) -> bytes:
    return value.rpartition(b">")[2].partition(b";tag=")[2].partition(b";")[0].strip()


def _plain(head: bytes, lines: list[bytes]) -> bool:
    """Whether Kamailio's parser takes these headers as they stand."""
    return b"\0" not in head and b"\n " not in head and b"\n\t" not in head \
        and lines[0].rstrip(b"\r").endswith(b" SIP/2.0") \
        and all(_NAME.issuperset(line.partition(b":")[0]) for line in lines[1:])


def _rewritten(lines: list[bytes]) -> list[bytes]:
    """The same request in the plainest form: unfolded (section 7.3.1), its version in capitals, and
    without the extension headers whose names Kamailio cannot read."""
    made = [lines[0].rstrip(b"\r").rpartition(b" ")[0] + b" SIP/2.0"]
    kept: list[bytes] = []
    for line in lines[1:]:
        text = line.rstrip(b"\r").replace(b"\0", b" ")
        if text[:1] in (b" ", b"\t"):
            if kept:
                kept.append(text.strip())
            continue
        if kept:
            made.append(_joined(kept))
        name, _, value = text.partition(b":")
        kept = [name.rstrip(b" \t") + b":", value.strip()] if _NAME.issuperset(name) else []
    return [*made, _joined(kept)] if kept else made


def _joined(pieces: list[bytes]) -> bytes:
    return b" ".join(piece for piece in pieces if piece)


def _start_line(line: bytes) -> tuple[int, str] | tuple[()] | None:
    """() when it is well-formed, a refusal, or None when it is no request line."""
    version = line.rstrip(b" \t").rpartition(b" ")[2].upper()
    if not version.startswith(b"SIP/"):
        return None
    parts = line.split(b" ")
    if len(parts) != 3 or not parts[0] or not parts[1] or not _TOKEN.issuperset(parts[0]) \
            or b"\t" in line:
        return 400, "Bad Request Line"
    if version != b"SIP/2.0":
        return 505, "Version Not Supported"
    return ()


def _headers(lines: list[bytes]) -> tuple[dict[bytes, bytes], str]:
    """The first of each header, unfolded, and what is wrong with them, "" = nothing."""
    found: dict[bytes, bytes] = {}
    fault = ""
    name, size, count, kept = b"", 0, 0, False
    pieces: list[bytes] = []
    for line in (*lines[1:], b""):
        text = line.rstrip(b"\r")
        if text[:1] in (b" ", b"\t"):
            if not name:
                fault = fault or "Bad Header"
            size += len(text)
            if size > MAX_HEADER_BYTES:
                fault = _TOO_LONG
            elif kept:
                pieces.append(text)
            continue
        if kept:
            found[name] = _joined([piece.strip() for piece in pieces])
        if not text:
            break
        size, count = len(text), count + 1
        before, colon, after = text.partition(b":")
        name = before.rstrip(b" \t").lower()
        name = _COMPACT.get(name, name)
        if count > MAX_HEADERS or size > MAX_HEADER_BYTES:
            return found, _TOO_MANY if count > MAX_HEADERS else _TOO_LONG
        if not colon or not name or not _TOKEN.issuperset(name):
            fault = fault or "Bad Header"
        kept = name not in found
        if not kept and name in _SINGLE:
            fault = _TWO_LENGTHS if name == b"content-length" else fault or "Repeated Header"
        pieces = [after]
    return found, fault


def _needed(headers: dict[bytes, bytes], method: bytes, uri: bytes) -> str:
    """What is wrong with the request line and the headers that every request has, "" = nothing."""
    if b"\0" in uri or not uri.isascii():
        return "Bad Request URI"
    for name in _NEEDED:
        if not headers.get(name):
            return "Missing " + name.decode().title()
    number, _, rest = headers[b"cseq"].partition(b" ")
    if not number or not _DIGITS.issuperset(number) or len(number) > 10 or int(number) > MAX_CSEQ \
            or rest.strip() != method:
        return "Bad CSeq"
    hops = headers.get(b"max-forwards", b"70")
    if not hops or not _DIGITS.issuperset(hops) or len(hops) > 9 or int(hops) > 255:
        return "Bad Max-Forwards"
    spaced = b" ".join(headers[b"via"].split()).replace(b" /", b"/").replace(b"/ ", b"/")
    protocol, via = spaced.partition(b" ")[0], spaced.replace(b" ", b"")
    version, _, transport = protocol.upper().rpartition(b"/")
    if version != b"SIP/2.0" or transport not in _TRANSPORTS or b";;" in via or b",," in via \
            or via.endswith((b";", b",")) or b";," in via:
        return "Bad Via"
    for name in (b"from", b"to", b"contact"):
        if not _balanced(headers.get(name, b"")):
            return "Bad " + name.decode().title()
    return ""


def _balanced(value: bytes) -> bool:
    """Whether every quotation mark and angle bracket has its other one."""
    if b'"' not in value:
        return value.count(b"<") == value.count(b">")
    quoted = escaped = False
    depth = 0
    for byte in value:
        if escaped:
            escaped = False
        elif quoted:
            escaped = byte == 0x5C
            quoted = byte != 0x22
        elif byte == 0x22:
            quoted = True
        elif byte in (0x3C, 0x3E):
            depth += 1 if byte == 0x3C else -1
    return not quoted and depth == 0


def refusal(raw: bytes, fault: Fault, host: str, port: int) -> bytes:
    """The answer to it, to be sent where it came from; b"" for an ACK, and when nobody can be
    answered."""
    headers = fault.headers
    if headers is None or raw.startswith(b"ACK "):
        return b""
    via = headers[b"via"].split(b",")[0][:MAX_REPEATED_BYTES].replace(b"\0", b" ")
    lines = [f"SIP/2.0 {fault.code} {fault.phrase}".encode(),
             b"Via: " + via + f";received={host};rport={port}".encode()
             if b";rport" not in via.lower() else
             b"Via: " + _filled(via, port) + f";received={host}".encode()]
    for name, label in _REPEATED.items():
        if name not in headers:
            continue
        value = headers[name][:MAX_REPEATED_BYTES].replace(b"\0", b" ")
        if name == b"to" and b";tag=" not in value.lower():
            value += b";tag=refused"
        lines.append(label + value)
    return b"\r\n".join([*lines, b"Content-Length: 0", b"", b""])


def _filled(via: bytes, port: int) -> bytes:
    at = via.lower().find(b";rport") + len(b";rport")
    if via[at:at + 1] == b"=":
        return via
    return via[:at] + f"={port}".encode() + via[at:]
