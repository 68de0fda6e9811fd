"""Changes of SIP messages that know their grammar: the same seed makes the same messages.

A message is bytes with words in braces, which are filled in when it is sent: {host} and {port} are
the sender, {edge} the exchange, {transport} its name in a Via, {victim} a place that no attacker
may reach, {credentials} what answers a challenge (for the device {device}), {serial} what is this
message's only.
"""

import random
import re
from collections.abc import Callable
from typing import Final

import msgspec

URI: Final = re.compile(rb"sips?:[^>;,\s\"]+|tel:[^>;,\s\"]+")
MARK: Final = re.compile(rb";vx=[0-9a-f.m]*")
TAG: Final = re.compile(rb"(?<=;tag=)[^;\s]+")
NUMBER: Final = re.compile(rb"\d+")
#: What a mutation puts in place of a number.
NUMBERS: Final = (b"0", b"-1", b"00000000000", b"255", b"256", b"65535", b"65536", b"2147483647",
                  b"2147483648", b"4294967295", b"4294967296", b"9223372036854775808",
                  b"1" * 40, b"9" * 400, b"1e9", b"0x10", b"+1", b"1.5", b"")
URIS: Final = (
    b"sip:{victim}", b"sip:x@{victim}", b"sips:x@{victim}", b"sip:x@{victim};transport=tcp",
    b"sip:{host}:{port};maddr={victim_host}", b"sip:{victim};lr", b"sip:x@{edge}",
    b"sip:{edge};lr", b"sip:", b"sip:@", b"sip:x@", b"sip:@vaxel.local", b"sip:x@:5060", b"x",
    b"sip:x@[::1]", b"sip:x@[::1", b"sip:x@[{victim_host}]", b"sip:x@127.1", b"sip:x@0x7f000001",
    b"sip:x@localhost:1", b"sip:x@vaxel.local:0", b"sip:x@vaxel.local:99999", b"tel:", b"tel:112",
    b"tel:+4670;phone-context=@{victim}", b"sip:%00@vaxel.local", b"sip:101%0d%0aX: y@vaxel.local",
    b"sip:%31%30%31@vaxel.local", b"sip:101;x=y@vaxel.local", b"sip:101:secret@vaxel.local",
    b"sip:fault%00@vaxel.local", b"sip:101@vaxel.local;user=phone;user=phone;transport=zz",
    b"sip:101@vaxel.local?Route=%3Csip:{victim}%3E", b"sip:*@vaxel.local",
    b"sip:%23%2A@vaxel.local",
    b"sip:101@vaxel.local;transport=", b"sip:101@vaxel.local;transport=sctp", b"urn:service:sos",
    b"http://{victim}/", b"mailto:x@y", b"sip:1@vaxel.local;" + b"p;" * 200, b"sip:" + b"1" * 600,
    b"sip:\xc3\xa5@vaxel.local", b"sip:\xff@vaxel.local", b"sip:+46812300101@vaxel.local",
    b"sip:d1@vaxel.local", b"sip:vaxel@{edge}",
)
METHODS: Final = (b"INVITE", b"ACK", b"CANCEL", b"BYE", b"OPTIONS", b"REGISTER", b"UPDATE",
                  b"PRACK", b"INFO", b"REFER", b"NOTIFY", b"SUBSCRIBE", b"MESSAGE", b"PUBLISH",
                  b"invite", b"X", b"INVITE\xff", b"ACKK")
HEADERS: Final = (
    b"X-Vaxel-Decision: 0.1", b"X-Vaxel-Decision: {mark}", b"X-Vaxel-Order: {mark}",
    b"X-Vaxel-Order: " + b"A" * 300, b"X-Vaxel-Answerer: 1.1", b"x-vaxel-decision : 1.1",
    b"X-VAXEL-\xff: 1", b"Route: <sip:{victim};lr>", b"Route: <sip:{edge};lr;vx={mark}>",
    b"Route: <sip:{edge};lr;vx={mark}>, <sip:{victim};lr>", b"Route: <sip:{edge};lr;vx={mark}>\r\n"
    b"Route: <sip:{victim};lr>", b"Route: <sip:{edge};lr;vx={mark};vp=udp:{victim}>",
    b"Route: sip:{edge};vx={mark}", b"Route: <>", b"Route: ,,,", b"Route: <sip:{victim}",
    b"Record-Route: <sip:{victim};lr>", b"Record-Route: <sip:{edge};lr;vx={mark}>",
    b"Record-Route: <<>>", b"Record-Route: x", b"Contact: <sip:x@{victim}>",
    b"Contact: *", b"Contact: <sip:x@{victim};transport=tcp>;expires=99999999999",
    b"Contact: <sip:a@{host}:{port}>, <sip:b@{victim}>", b"Path: <sip:{victim};lr>",
    b"Via: SIP/2.0/UDP {victim};branch=z9hG4bKx", b"Via: SIP/2.0/UDP {edge};branch=z9hG4bKx;i=1",
    b"Via: SIP/2.0/UDP {host};maddr={victim_host};rport={victim_port}", b"Via: x", b"Via: ,",
    b"Refer-To: <sip:102@vaxel.local>", b"Refer-To: <sip:x@{victim}>",
    b"Refer-To: <sip:102@vaxel.local?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>",
    b"Replaces: {call_id};to-tag={tag};from-tag={tag}", b"Replaces: {call_id};early-only",
    b"Refer-To: <sip:102@vaxel.local?X-Vaxel-Order=x&Route=%3Csip%3A{victim}%3E>",
    b"Require: 100rel", b"Require: timer, replaces", b"Proxy-Require: privacy",
    b"Supported: 100rel, timer, replaces, path, outbound", b"Session-Expires: 90;refresher=uac",
    b"Session-Expires: -1", b"Min-SE: 99999999999", b"RAck: 1 1 INVITE", b"RAck: x",
    b"RSeq: 4294967296", b"Event: dialog", b"Event: refer;id=1", b"Event: " + b"e" * 500,
    b"Expires: 0", b"Expires: 99999999999", b"Expires: x", b"Subscription-State: terminated",
    b"Privacy: id;header;session", b"P-Asserted-Identity: <sip:+46701112233@x>",
    b"P-Asserted-Identity: <tel:112>, \"x\" <sip:\xff@x>", b"P-Preferred-Identity: <tel:+46>",
    b"Remote-Party-ID: <sip:1@x>;privacy=full", b"Diversion: <sip:102@x>;reason=unconditional",
    b"History-Info: <sip:1@x>;index=1.1.1", b"Geolocation: <cid:x>",
    b"Alert-Info: <http://{victim}/>",
    b"Call-Info: <http://{victim}/>;purpose=icon", b"Identity: a;info=<http://{victim}/>",
    b"Content-Type: multipart/mixed;boundary=", b"Content-Type: message/sip", b"Content-Type: \xff",
    b"Content-Encoding: gzip", b"Content-Disposition: session;handling=required",
    b"User-Agent: baresip v1.1", b"User-Agent: " + b"\xc3\xa5" * 100, b"Warning: 399 x \"\\\"",
    b"Authorization: Digest",
    b"Proxy-Authorization: Digest username=\"\", realm=\"vaxel.local\"",
    b"Authorization: {credentials}", b"Proxy-Authorization: {credentials}",
    b"Max-Forwards: 0", b"Max-Forwards: 256", b"Date: x", b"Subject: \xe5",
    b"Reason: SIP;cause=200",
    b"Join: a;to-tag=b;from-tag=c", b"Target-Dialog: a", b"P-hint: x", b"Identity-Info: <",
)
SDP_LINES: Final = (
    b"v=1", b"v=", b"o=- 1 1 IN IP4", b"o=\xff", b"c=IN IP4 {victim_host}", b"c=IN IP4 0.0.0.0",
    b"c=IN IP4 10.0.0.1", b"c=IN IP6 ::1", b"c=IN IP4 256.1.1.1", b"c=IN IP4 " + b"1" * 300, b"c=",
    b"m=audio 0 RTP/AVP 8", b"m=audio 65536 RTP/AVP 8", b"m=audio -1 RTP/AVP 8", b"m=audio",
    b"m=audio 9 UDP/TLS/RTP/SAVPF 111", b"m=video 9 RTP/AVP 31", b"m=image 9 udptl t38",
    b"m=audio {victim_port} RTP/AVP" + b" 8" * 200, b"m=audio 5000/100 RTP/AVP 0", b"a=sendonly",
    b"a=inactive", b"a=rtpmap:8 PCMA/0", b"a=rtpmap:999999 x/-1/99", b"a=ptime:0", b"a=rtcp:1",
    b"a=rtcp:{victim_port} IN IP4 {victim_host}", b"a=rtcp-mux", b"a=ice-ufrag:x",
    b"a=candidate:1 1 UDP 1 {victim_host} {victim_port} typ host", b"a=fingerprint:sha-256 00:",
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x", b"a=setup:actpass", b"a=" + b"z" * 3000,
    b"a=fmtp:101 0-4294967296", b"b=AS:-1", b"t=99999999999 -1", b"k=clear:x", b"\xff\xfe", b"=",
    b"a=group:BUNDLE 0 1 2", b"a=mid:" + b"m" * 256, b"a=direction:both",
)


class Words(msgspec.Struct, frozen=True):
    """What the exchange has said in dialogs: marks, tags, Call-IDs. victims: (host, port)."""

    marks: list[bytes]
    tags: list[bytes]
    call_ids: list[bytes]
    victims: list[tuple[str, int]]


class Draft:
    """A message in parts: its first line, its header lines, its body."""

    def __init__(self, raw: bytes) -> None:
        head, self.gap, self.body = raw.partition(b"\r\n\r\n")
        self.lines = head.split(b"\r\n")

    def raw(self) -> bytes:
        """In one piece."""
        return b"\r\n".join(self.lines) + (self.gap or b"\r\n\r\n") + self.body

    def header(self, rng: random.Random) -> int:
        """The place of any header."""
        return rng.randrange(1, len(self.lines)) if len(self.lines) > 1 else 0

    def places(self, *names: bytes) -> list[int]:
        """Where the headers of these names (in lower case) are."""
        return [place for place, line in enumerate(self.lines)
                if line.partition(b":")[0].strip().lower() in names]


Change = Callable[[random.Random, Draft, Words], None]


def insert(rng: random.Random, line: bytes, what: bytes) -> bytes:
    """what, anywhere in the line."""
    at = rng.randrange(len(line) + 1)
    return line[:at] + what + line[at:]


def one_of(rng: random.Random, pattern: re.Pattern[bytes], line: bytes, instead: bytes) -> bytes:
    """One match of the pattern replaced."""
    found = list(pattern.finditer(line))
    if not found:
        return line
    match = rng.choice(found)
    return line[:match.start()] + instead + line[match.end():]


def anywhere(rng: random.Random, draft: Draft) -> int:
    """The first line or any header."""
    return rng.randrange(len(draft.lines))


# -- headers -----------------------------------------------------------------------------------

def double(rng: random.Random, draft: Draft, _words: Words) -> None:
    """A header twice."""
    line = draft.lines[draft.header(rng)]
    for _ in range(rng.choice((1, 1, 1, 2, 40))):
        draft.lines.insert(rng.randrange(1, len(draft.lines) + 1), line)


def drop(rng: random.Random, draft: Draft, _words: Words) -> None:
    """A header is missing."""
    if len(draft.lines) > 2:
        del draft.lines[draft.header(rng)]


def move(rng: random.Random, draft: Draft, _words: Words) -> None:
    """Another order."""
    if len(draft.lines) > 2:
        line = draft.lines.pop(draft.header(rng))
        draft.lines.insert(rng.randrange(1, len(draft.lines) + 1), line)


def shuffle(rng: random.Random, draft: Draft, _words: Words) -> None:
    """Any order."""
    headers = draft.lines[1:]
    rng.shuffle(headers)
    draft.lines[1:] = headers


def fold(rng: random.Random, draft: Draft, _words: Words) -> None:
    """A header over several lines."""
    place = draft.header(rng)
    gap = rng.choice((b"\r\n ", b"\r\n\t", b"\r\n  \t ", b"\n ", b"\r\n \r\n "))
    draft.lines[place] = draft.lines[place].replace(b" ", gap) if rng.random() < 0.3 \
        else insert(rng, draft.lines[place], gap)


def grow(rng: random.Random, draft: Draft, _words: Words) -> None:
    """Long, longer, too long."""
    place = anywhere(rng, draft)
    size = rng.choice((50, 200, 600, 1100, 1100, 2100, 4100, 8200, 20000))
    draft.lines[place] = insert(rng, draft.lines[place], rng.choice((
        b"x", b"1", b";", b",", b" ", b"<", b"\"", b"%41", b"\xc3\xa5")) * size)[:60000]


def join(rng: random.Random, draft: Draft, _words: Words) -> None:
    """Several values in one header."""
    place = draft.header(rng)
    value = draft.lines[place].partition(b":")[2]
    draft.lines[place] += (b"," + value) * rng.choice((1, 1, 2, 25))


def rename(rng: random.Random, draft: Draft, _words: Words) -> None:
    """Another spelling of a name: its case, its short form, blanks."""
    place = draft.header(rng)
    name, colon, value = draft.lines[place].partition(b":")
    short = {b"via": b"v", b"from": b"f", b"to": b"t", b"call-id": b"i", b"contact": b"m",
             b"content-length": b"l", b"content-type": b"c", b"refer-to": b"r", b"event": b"o"}
    draft.lines[place] = rng.choice((
        name.upper(), name.swapcase(), short.get(name.lower(), name), name + b" ", name + b"\t",
        b" " + name, b"X" + name, name[:-1])) + colon + value


def add(rng: random.Random, draft: Draft, words: Words) -> None:
    """A header that means something."""
    line = known(rng, rng.choice(HEADERS), words)
    draft.lines.insert(rng.randrange(1, len(draft.lines) + 1), line)


def lengths(rng: random.Random, draft: Draft, _words: Words) -> None:
    """Content-Length is off."""
    places = draft.places(b"content-length", b"l")
    size = len(draft.body)
    value = rng.choice((str(size + rng.choice((1, -1, 5, 1000, -10))).encode(), *NUMBERS))
    if places and rng.random() < 0.8:
        draft.lines[places[0]] = b"Content-Length: " + value
    else:
        draft.lines.append(b"Content-Length: " + value)


# -- characters --------------------------------------------------------------------------------

def high(rng: random.Random, draft: Draft, _words: Words) -> None:
    """Bytes that are no ASCII."""
    place = anywhere(rng, draft)
    draft.lines[place] = insert(rng, draft.lines[place], rng.choice((
        bytes([rng.randrange(128, 256)]), b"\xc3\xa5", b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80",
        b"\xf0\x9f\x98\x80", bytes(rng.randrange(128, 256) for _ in range(20)))))


def control(rng: random.Random, draft: Draft, _words: Words) -> None:
    """NUL and others that nobody sees."""
    place = anywhere(rng, draft)
    draft.lines[place] = insert(rng, draft.lines[place], rng.choice((
        b"\0", b"\0\0\0", b"\r", b"\n", b"\x7f", b"\x1b[2J", b"\t", b"\x0b", b"\x08")))


def marks(rng: random.Random, draft: Draft, _words: Words) -> None:
    """Punctuation where none belongs."""
    place = anywhere(rng, draft)
    draft.lines[place] = insert(rng, draft.lines[place], rng.choice((
        b"\"", b"<", b">", b"\\", b";", b",", b"=", b"@", b":", b"%", b"?", b"[", b"]", b"{", b"}",
        b";;", b"<>", b"()", b"'", b"$(", b"$ru", b"|", b"%s%n")))


def escape(rng: random.Random, draft: Draft, _words: Words) -> None:
    """Percent escapes, right and wrong."""
    place = anywhere(rng, draft)
    draft.lines[place] = insert(rng, draft.lines[place], rng.choice((
        b"%00", b"%0d%0a", b"%41", b"%zz", b"%", b"%4", b"%ff", b"%25", b"%40", b"%3B", b"%u0041")))


def flip(rng: random.Random, draft: Draft, _words: Words) -> None:
    """Some bits."""
    raw = bytearray(draft.raw())
    for _ in range(rng.choice((1, 1, 2, 5, 30))):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    draft.__init__(bytes(raw))  # type: ignore[misc]


def cut(rng: random.Random, draft: Draft, _words: Words) -> None:
    """The rest is missing."""
    raw = draft.raw()
    draft.__init__(raw[:rng.randrange(1, len(raw))])  # type: ignore[misc]
    draft.gap = draft.gap or b"\r\n"


def ends(rng: random.Random, draft: Draft, _words: Words) -> None:
    """Other line ends."""
    end = rng.choice((b"\n", b"\r", b"\n\r", b"\r\n\r\n", b"\r\r\n"))
    if rng.random() < 0.3:
        draft.lines = [end.join(draft.lines)]
    else:
        place = anywhere(rng, draft)
        draft.lines[place] += end


def numbers(rng: random.Random, draft: Draft, _words: Words) -> None:
    """A number that is none, or huge."""
    place = anywhere(rng, draft)
    draft.lines[place] = one_of(rng, NUMBER, draft.lines[place], rng.choice(NUMBERS))


# -- what SIP says -----------------------------------------------------------------------------

def uris(rng: random.Random, draft: Draft, words: Words) -> None:
    """An odd address."""
    places = [place for place, line in enumerate(draft.lines) if URI.search(line)]
    if places:
        place = rng.choice(places)
        draft.lines[place] = one_of(rng, URI, draft.lines[place],
                                    known(rng, rng.choice(URIS), words))


def exchange_mark(rng: random.Random, draft: Draft, words: Words) -> None:
    """The exchange's own mark, from elsewhere or changed."""
    places = [place for place, line in enumerate(draft.lines) if b";vx=" in line]
    mark = rng.choice(words.marks) if words.marks else b"1.1.0123456789abcdef"
    if not places:
        draft.lines.insert(1, b"Route: <sip:{edge};lr;ftag=x;vx=" + mark + b">")
        return
    place = rng.choice(places)
    found = MARK.search(draft.lines[place])
    own = found[0][4:] if found else mark
    changed = bytearray(own or mark)
    changed[rng.randrange(len(changed))] = rng.choice(b"0123456789abcdefm.")
    slot, _, rest = own.partition(b".")
    instead = rng.choice((
        mark, bytes(changed), own[:-1], own + b"m", own.removesuffix(b"m"), own.upper(), b"",
        own + b";vx=" + mark, mark + b";vx=" + own, b"0." + rest, b"ffffff." + rest, slot + b".0.0",
        b"f" * 6 + b"." + b"f" * 16 + b"." + b"0" * 16, own.replace(b".", b".0", 1), b"." * 40,
        b"\"" + own + b"\"", b"-" + own, b"9" * 100))
    draft.lines[place] = one_of(rng, MARK, draft.lines[place], b";vx=" + instead)


def tags(rng: random.Random, draft: Draft, words: Words) -> None:
    """Tags of other dialogs, or swapped."""
    places = draft.places(b"from", b"to", b"f", b"t")
    if len(places) < 2 or rng.random() < 0.5:
        if places:
            place = rng.choice(places)
            tag = rng.choice([*words.tags[-50:], b"x", b"", b"a" * 300])
            line = draft.lines[place]
            draft.lines[place] = one_of(rng, TAG, line, tag) if TAG.search(line) \
                else line + b";tag=" + tag
        return
    first, second = places[:2]
    names = [draft.lines[place].partition(b":") for place in (first, second)]
    draft.lines[first] = names[0][0] + b":" + names[1][2]
    draft.lines[second] = names[1][0] + b":" + names[0][2]


def dialog(rng: random.Random, draft: Draft, words: Words) -> None:
    """The Call-ID of somebody else."""
    places = draft.places(b"call-id", b"i")
    if places and words.call_ids:
        draft.lines[places[0]] = b"Call-ID: " + rng.choice(words.call_ids)


def cseq(rng: random.Random, draft: Draft, _words: Words) -> None:
    """Another CSeq."""
    for place in draft.places(b"cseq"):
        number, _, method = draft.lines[place].partition(b":")[2].strip().partition(b" ")
        choice = rng.randrange(3)
        if choice == 0:
            number = rng.choice((*NUMBERS, str(rng.randrange(200)).encode()))
        elif choice == 1:
            method = rng.choice(METHODS)
        draft.lines[place] = b"CSeq: " + number + rng.choice((b" ", b" ", b"  ", b"\t", b"")) \
            + method


def method_(rng: random.Random, draft: Draft, _words: Words) -> None:
    """Another method, in CSeq too or not."""
    old, _, rest = draft.lines[0].partition(b" ")
    new = rng.choice(METHODS)
    if old.startswith(b"SIP/"):
        draft.lines[0] = b"SIP/2.0 " + rng.choice((
            b"100 Trying", b"180 Ringing", b"183 x", b"200 OK", b"202 x", b"302 Moved", b"401 x",
            b"407 x", b"408 x", b"481 x", b"487 x", b"491 x", b"500 x", b"503 x", b"603 x",
            b"699 x", b"099 x", b"1000 x", b"200", b"-1 x"))
        return
    draft.lines[0] = new + b" " + rest
    if rng.random() < 0.8:
        for place in draft.places(b"cseq"):
            draft.lines[place] = draft.lines[place].replace(old, new)


def via(rng: random.Random, draft: Draft, _words: Words) -> None:
    """A Via that leads elsewhere."""
    places = draft.places(b"via", b"v")
    if places:
        more = rng.choice((b";maddr={victim_host}", b";received={victim_host}", b";rport=1",
                           b";received={victim_host};rport={victim_port}", b";branch=z9hG4bK",
                           b";alias", b";ttl=256", b";comp=sigcomp", b";i=1", b";rport;rport",
                           b";keep", b";branch=", b", SIP/2.0/UDP {victim}"))
        line = draft.lines[places[0]]
        choice = rng.randrange(4)
        if choice == 0:
            line = line.replace(b"{host}:{port}", b"{victim}")
        elif choice == 1:
            line = line.replace(b"{transport}", rng.choice((b"TCP", b"TLS", b"WS", b"SCTP", b"X")))
        elif choice == 2:
            line = line.replace(b";rport", b"")
        draft.lines[places[0]] = line + (more if rng.random() < 0.6 else b"")


def credentials(rng: random.Random, draft: Draft, _words: Words) -> None:
    """What answers the challenge is changed after it was made."""
    for place in draft.places(b"authorization", b"proxy-authorization"):
        draft.lines[place] = draft.lines[place].replace(
            b"{credentials}", b"{credentials/%d}" % rng.randrange(1 << 20))


def body(rng: random.Random, draft: Draft, words: Words) -> None:
    """Another description."""
    lines = draft.body.split(b"\r\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        line = known(rng, rng.choice(SDP_LINES), words)
        place = rng.randrange(len(lines))
        choice = rng.randrange(4)
        if choice == 0 and len(lines) > 1:
            del lines[place]
        elif choice == 1:
            lines.insert(place, line)
        elif choice == 2:
            lines[place] = line
        else:
            lines[place] = insert(rng, lines[place], rng.choice((b"\0", b"\xff", b" ", b"9" * 20)))
    draft.body = b"\r\n".join(lines)
    if rng.random() < 0.9:
        for place in draft.places(b"content-length", b"l"):
            draft.lines[place] = b"Content-Length: {length}"


CHANGES: Final[tuple[Change, ...]] = (
    double, drop, move, shuffle, fold, grow, join, rename, add, add, add, lengths, high, high,
    control, marks, marks, escape, flip, cut, ends, numbers, numbers, uris, uris, exchange_mark,
    exchange_mark, tags, tags, dialog, cseq, method_, method_, via, via, credentials, body, body)
#: How many of them a message gets.
HOW_MANY: Final = (0, 1, 1, 1, 2, 2, 3, 5)


def known(rng: random.Random, text: bytes, words: Words) -> bytes:
    """With the exchange's own words filled in."""
    for name, choices in ((b"{mark}", words.marks), (b"{tag}", words.tags),
                          (b"{call_id}", words.call_ids)):
        if name in text:
            text = text.replace(name, rng.choice(choices) if choices else b"x")
    return text


def mutated(rng: random.Random, template: bytes, words: Words) -> bytes:
    """A message made of that one, its words in braces not yet filled in."""
    draft = Draft(template)
    for _ in range(rng.choice(HOW_MANY)):
        rng.choice(CHANGES)(rng, draft, words)
    return draft.raw()[:65000]


def spoiled(rng: random.Random, text: str) -> str:
    """Digest credentials with something wrong."""
    parts = text.split(", ")
    place = rng.randrange(len(parts))
    choice = rng.randrange(8)
    if choice == 0:
        del parts[place]
    elif choice == 1:
        parts.append(parts[place])
    elif choice == 2:
        at = rng.randrange(len(parts[place]))
        parts[place] = parts[place][:at] + rng.choice("0aZ\"\\=,\xe5\0") + parts[place][at + 1:]
    elif choice == 3:
        parts[place] = parts[place].partition("=")[0] + "=" + rng.choice((
            "", '"', '""', "x" * 900, '"\\"', "\xff", '"auth-int"', "SHA-256", "00000000"))
    elif choice == 4:
        parts = [part.replace("MD5", rng.choice(("SHA-256", "SHA-512-256", "MD5-sess", "md5")))
                 for part in parts]
    elif choice == 5:
        parts = parts * 10
    elif choice == 6:
        rng.shuffle(parts)
    else:
        parts[place] = parts[place].upper()
    return ", ".join(parts)
