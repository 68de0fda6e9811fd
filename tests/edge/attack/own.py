"""Messages of our own in the manner of RFC 4475: one thing wrong or odd in an ordinary request."""

from typing import Final

from tests.edge.attack.message import DISCARDED, LOST, UNFRAMED, Answers, Case, Kind, of

VIA: Final = "SIP/2.0/{transport} {host}:{port};branch=z9hG4bK-"
NOT_SIP: Final = "not a SIP message"
NO_WAY_BACK: Final = "without a Via nothing says where an answer goes (RFC 3261 18.2.2)"
AN_ACK: Final = "an ACK is never answered"
ASLEEP: Final = "a keep-alive need not be answered over UDP, and may be with CRLF (RFC 5626 4.4.1)"
CUT: Final = "the header never ends: a stream waits for the rest, a datagram has none"
#: Refused as too large or served: RFC 3261 sets no limit.
BIG: Final = of(200, 413, 513)
ASKED: Final = 'Digest username="{0}", realm="vaxel.local", nonce="0", uri="sip:b", response="0"'


def own(name: str, kind: Kind, answers: Answers, method: str = "OPTIONS", *, start: str = "",
        uri: str = "sip:b@vaxel.local", more: str = "", body: str = "", tcp: Answers | None = None,
        holds: str = "", **headers: str | None) -> Case:
    """A request, in Latin-1. headers: what a header is instead, with "_" for "-"; None: absent.
    more: further headers, each with its line end."""
    fields: dict[str, str | None] = {
        "Via": VIA + name, "From": "<sip:a@vaxel.local>;tag=1", "To": "<sip:b@vaxel.local>",
        "Call-ID": f"{name}@own", "CSeq": f"1 {method}", "Contact": "<sip:a@{host}:{port}>",
        "Max-Forwards": "70", "Content-Length": str(len(body)),
    } | {header.replace("_", "-"): value for header, value in headers.items()}
    lines = [start or f"{method} {uri} SIP/2.0",
             *(f"{header}: {value}" for header, value in fields.items() if value is not None)]
    text = "".join(f"{line}\r\n" for line in lines) + more + "\r\n" + body
    return bare(name, kind, answers, text, tcp=tcp, holds=holds)


def bare(name: str, kind: Kind, answers: Answers, text: str, *, tcp: Answers | None = None,
         holds: str = "") -> Case:
    """These bytes and no others, in Latin-1."""
    return Case(name, "own", kind, text.encode("latin-1"), answers, tcp or answers, holds)


HIDDEN: Final = own("hidden", "valid", of(200)).raw.decode()

_UNKNOWN: Final = r"(?im)^Unsupported:.*\bunknown-ext\b"
_EXTENSIONS: Final = [
    own("proxy-require", "valid", of(420), Proxy_Require="unknown-ext", holds=_UNKNOWN),
    own("proxy-require-invite", "valid", of(420), "INVITE", Proxy_Require="unknown-ext",
        holds=_UNKNOWN),
    own("proxy-require-register", "valid", of(420), "REGISTER", Proxy_Require="unknown-ext",
        holds=_UNKNOWN),
    own("require", "valid", of(420), Require="unknown-ext", holds=_UNKNOWN),
    own("require-register", "valid", of(420), "REGISTER", Require="unknown-ext", holds=_UNKNOWN),
    own("require-second", "valid", of(420), more="Require: 100rel\r\nRequire: unknown-ext\r\n",
        holds=_UNKNOWN),
    own("proxy-require-second", "valid", of(420),
        more="Proxy-Require: privacy\r\nProxy-Require: unknown-ext\r\n", holds=_UNKNOWN),
    # Require of an INVITE is the called telephone's affair, Proxy-Require is a proxy's.
    own("require-invite", "valid", of(407, 420), "INVITE", Require="unknown-ext"),
    own("require-cancel", "valid", of(481), "CANCEL", Require="unknown-ext"),
    own("require-ack", "valid", of(silence=AN_ACK), "ACK", Require="x", Proxy_Require="x"),
]

_SIZES: Final = [
    own("header-20k", "valid", BIG, more=f"X-Long: {'x' * 20000}\r\n"),
    own("header-20k-folded", "valid", BIG, more="X-Long: x" + "\r\n x" * 4000 + "\r\n"),
    own("headers-300", "valid", BIG, more="".join(f"X-{n}: {n}\r\n" for n in range(300))),
    own("vias-200", "valid", BIG,
        more="".join(f"Via: SIP/2.0/UDP h{n}.invalid;branch=z9hG4bKx{n}\r\n" for n in range(200))),
    own("body-60k", "valid", BIG, Content_Type="text/plain", body="x" * 60000),
    own("uri-5k", "unusual", of(200, 400, 414), uri=f"sip:{'1' * 5000}@vaxel.local"),
    own("uri-parameters-5k", "unusual", of(200, 400, 414), uri="sip:b@vaxel.local" + ";x=y" * 1200),
    own("method-3k", "unusual", of(400, 405, 501), "M" * 3000),
    own("call-id-4k", "unusual", of(200, 400, 513), Call_ID="c" * 4000),
    own("tag-4k", "unusual", of(200, 400, 513), From=f"<sip:a@vaxel.local>;tag={'t' * 4000}"),
    own("branch-4k", "unusual", of(200, 400, 513), Via=VIA + "b" * 4000),
    own("contacts-300", "unusual", of(400, 401, 513), "REGISTER",
        Contact=",".join(f"<sip:a@h{n}.invalid>" for n in range(300))),
    own("credentials-20k", "unusual", of(400, 407, 513), "INVITE",
        Proxy_Authorization=ASKED.format("x" * 20000)),
]

_NUMBERS: Final = [
    own("cseq-negative", "invalid", of(400), CSeq="-1 OPTIONS"),
    own("cseq-word", "invalid", of(400), CSeq="one OPTIONS"),
    own("cseq-overflow", "invalid", of(400), CSeq="4294967296 OPTIONS"),
    own("cseq-empty", "invalid", of(400), CSeq=""),
    own("cseq-no-method", "invalid", of(400), CSeq="1"),
    own("cseq-other-invite", "invalid", of(400), "INVITE", CSeq="1 OPTIONS"),
    own("cseq-other-register", "invalid", of(400), "REGISTER", CSeq="1 INVITE"),
    own("hops-word", "invalid", of(400), Max_Forwards="many"),
    own("hops-negative", "invalid", of(400), Max_Forwards="-1"),
    own("hops-empty", "invalid", of(400), Max_Forwards=""),
    # "could choose to process the request as if the field were absent" (RFC 4475 3.1.2.4)
    own("hops-256", "invalid", of(200, 400), Max_Forwards="256"),
    own("hops-overflow", "invalid", of(200, 400), Max_Forwards="4294967296"),
    own("hops-zero-invite", "valid", of(483), "INVITE", Max_Forwards="0"),
    own("length-word", "invalid", of(400), Content_Length="five", tcp=LOST),
    own("length-overflow", "invalid", of(400), Content_Length="4294967296", tcp=LOST),
    # A second request that was hidden in a body may not be served.
    own("length-word-smuggles", "invalid", of(400), Content_Length="x", tcp=LOST, body=HIDDEN),
    own("length-negative-smuggles", "invalid", of(400), Content_Length="-1", tcp=LOST,
        body=HIDDEN),
    own("length-twice-smuggles", "invalid", of(400), Content_Length="0", tcp=LOST, body=HIDDEN,
        more=f"l: {len(HIDDEN)}\r\n"),
    # Octets after the body are discarded from a datagram (RFC 3261 18.3).
    own("length-short", "unusual", of(200), Content_Length="3", body="abcdef",
        tcp=of(200, 400, most=2)),
    own("length-none", "valid", of(200), Content_Length=None, Content_Type="text/plain",
        body="abc", tcp=of(200, 400, silence=UNFRAMED)),
    own("expires-word", "invalid", of(400, 401), "REGISTER", Expires="soon"),
    own("expires-negative", "invalid", of(400, 401), "REGISTER", Expires="-1"),
]

_MISSING: Final = [
    own("no-via", "invalid", of(400, silence=NO_WAY_BACK), Via=None),
    own("no-from", "invalid", of(400), From=None),
    own("no-to", "invalid", of(400), To=None),
    own("no-call-id", "invalid", of(400), Call_ID=None),
    own("no-cseq", "invalid", of(400), CSeq=None),
    own("no-from-ack", "invalid", of(silence=AN_ACK), "ACK", From=None),
    # It is added where it is absent (RFC 3261 16.6).
    own("no-max-forwards", "unusual", of(200), Max_Forwards=None),
    own("via-empty", "invalid", of(400, silence=NO_WAY_BACK), Via=""),
    own("from-empty", "invalid", of(400), From=""),
    own("to-empty", "invalid", of(400), To=""),
    own("call-id-empty", "invalid", of(400), Call_ID=""),
    own("from-twice", "invalid", of(400), more="From: <sip:c@vaxel.local>;tag=2\r\n"),
    own("to-twice", "invalid", of(400), more="t: <sip:c@vaxel.local>\r\n"),
    own("call-id-twice", "invalid", of(400), more="i: other@own\r\n"),
    own("cseq-twice", "invalid", of(400), more="CSeq: 2 OPTIONS\r\n"),
    own("hops-twice", "invalid", of(200, 400), more="Max-Forwards: 69\r\n"),
]

_BYTES: Final = [
    bare("nothing", "unusual", of(silence=NOT_SIP), ""),
    bare("crlf", "valid", of(silence=ASLEEP), "\r\n"),
    bare("crlf-twice", "valid", of(silence=ASLEEP), "\r\n\r\n"),
    bare("nul-only", "invalid", of(silence=NOT_SIP), "\0" * 2000),
    bare("all-octets", "invalid", of(silence=NOT_SIP), bytes(range(256)).decode("latin-1") * 8),
    own("crlf-before", "valid", of(200), start="\r\n\r\nOPTIONS sip:b@vaxel.local SIP/2.0"),
    own("nul-in-header", "invalid", of(200, 400), Subject="a\0b"),
    own("nul-in-name", "invalid", of(400, 407), "INVITE", From='"a\0b" <sip:a@vaxel.local>;tag=1'),
    own("nul-escaped-in-name", "valid", of(407), "INVITE",
        From='"a\\\0b" <sip:a@vaxel.local>;tag=1'),
    own("nul-in-uri", "invalid", of(400), "INVITE", uri="sip:b\0@vaxel.local"),
    own("nul-in-from", "invalid", of(400, 401), "REGISTER", From="<sip:a\0b@vaxel.local>;tag=1"),
    own("nul-in-call-id", "invalid", of(200, 400), Call_ID="a\0b"),
    own("nul-in-method", "invalid", of(400, 405, 501), "OPT\0IONS"),
    own("latin1-name", "unusual", of(407), "INVITE", From='"\xc5sa" <sip:a@vaxel.local>;tag=1'),
    own("latin1-name-register", "unusual", of(401), "REGISTER",
        To='"\xc5sa" <sip:a@vaxel.local>'),
    own("latin1-name-unquoted", "invalid", of(400, 407), "INVITE",
        From="\xc5sa <sip:a@vaxel.local>;tag=1"),
    own("latin1-subject", "unusual", of(407), "INVITE", Subject="\xe5\xe4\xf6"),
    own("latin1-in-uri", "invalid", of(400, 407), "INVITE", uri="sip:\xe5sa@vaxel.local"),
    own("latin1-in-from", "invalid", of(400, 407), "INVITE", From="<sip:\xe5@vaxel.local>;tag=1"),
    own("latin1-in-to", "invalid", of(400, 401), "REGISTER", To="<sip:\xe5@vaxel.local>"),
    own("latin1-in-call-id", "invalid", of(400, 407), "INVITE", Call_ID="\xe5"),
    own("latin1-in-method", "invalid", of(400, 405, 501), "OPTI\xd6NS"),
    own("latin1-in-credentials", "unusual", of(400, 407), "INVITE",
        Proxy_Authorization=ASKED.format("\xe5sa")),
    own("latin1-in-credentials-register", "unusual", of(400, 401), "REGISTER",
        Authorization=ASKED.format("\xe5sa")),
    own("escaped-latin1-in-uri", "valid", of(407), "INVITE", uri="sip:%E5%FF@vaxel.local"),
    own("escape-broken-in-uri", "invalid", of(400, 407), "INVITE", uri="sip:%4%zz%@vaxel.local"),
]

_START: Final = [
    own("uri-none", "invalid", of(400, silence=NOT_SIP), start="OPTIONS SIP/2.0"),
    own("version-none", "invalid", of(400, 505, silence=NOT_SIP), start="OPTIONS sip:b@x"),
    own("version-small", "valid", of(200), start="OPTIONS sip:b@vaxel.local sip/2.0"),
    own("version-older", "invalid", of(505), start="OPTIONS sip:b@vaxel.local SIP/1.0"),
    own("version-newer", "invalid", of(505), start="OPTIONS sip:b@vaxel.local SIP/2.1"),
    own("version-three-parts", "invalid", of(400, 505), start="OPTIONS sip:b@x SIP/2.0.0"),
    own("method-small", "unusual", of(400, 405, 501), "options"),
    own("scheme-http", "valid", of(416), uri="http://vaxel.local/"),
    own("scheme-http-invite", "valid", of(416), "INVITE", uri="http://vaxel.local/"),
    own("scheme-urn", "valid", of(404, 407, 416), "INVITE", uri="urn:service:sos"),
    own("scheme-tel", "valid", of(407, 416), "INVITE", uri="tel:+46701234567"),
    own("scheme-sips", "valid", of(407, 416), "INVITE", uri="sips:b@vaxel.local"),
    own("scheme-alone", "invalid", of(400), uri="sip:"),
    own("uri-without-host", "invalid", of(400), uri="sip:b@"),
    own("uri-port-overflow", "invalid", of(400), uri="sip:b@vaxel.local:70000"),
    own("uri-port-word", "invalid", of(400), uri="sip:b@vaxel.local:five"),
    own("contact-broken", "invalid", of(400, 407), "INVITE", Contact="<<<sip:>>"),
    own("contact-star", "invalid", of(400, 401), "REGISTER", Contact="*"),
    own("header-without-colon", "invalid", of(200, 400), more="Foobar roobar\r\n"),
    own("header-without-name", "invalid", of(200, 400), more=": value\r\n"),
    own("fold-first", "invalid", of(200, 400),
        start="OPTIONS sip:b@vaxel.local SIP/2.0\r\n folded"),
    bare("start-line-only", "invalid", of(400, silence=NO_WAY_BACK),
         "OPTIONS sip:b@vaxel.local SIP/2.0\r\n\r\n"),
    bare("lines-of-lf", "unusual", of(200, 400),
         own("lf", "valid", of()).raw.decode().replace("\r\n", "\n"),
         tcp=of(200, 400, silence=CUT)),
    bare("cut-in-header", "invalid", of(400, silence=CUT),
         own("cut", "valid", of()).raw.decode()[:-12]),
]

_WAYS: Final = [
    # Where an answer goes is what the datagram's source says, not what it claims.
    own("via-received-forged", "unusual", of(200), Via=VIA + "forged;received=192.0.2.9;rport=9"),
    own("via-port-overflow", "invalid", of(200, 400, silence=NO_WAY_BACK),
        Via="SIP/2.0/{transport} {host}:70000;branch=z9hG4bK-port;rport"),
    own("via-transport-unknown", "unusual", of(200, 400),
        Via="SIP/2.0/CARRIERPIGEON {host}:{port};branch=z9hG4bK-pigeon;rport"),
    own("via-protocol-unknown", "invalid", of(200, 400, 505, silence=NO_WAY_BACK),
        Via="HTTP/1.1/{transport} {host}:{port};branch=z9hG4bK-http;rport"),
    own("route-broken", "invalid", of(200, 400), Route="<<<>>>"),
    own("route-to-sender", "valid", of(200), Route="<sip:{host}:{port};lr>"),
    own("route-here-often", "unusual", of(200, 400, 482, 483),
        Route=",".join(["<sip:{edge};lr>"] * 70)),
    own("cancel-alone", "valid", of(481), "CANCEL"),
    own("ack-alone", "valid", of(silence=AN_ACK), "ACK"),
    own("ack-hops-zero", "valid", of(silence=AN_ACK), "ACK", Max_Forwards="0"),
    own("ack-hops-word", "invalid", of(silence=AN_ACK), "ACK", Max_Forwards="many"),
    own("bye-alone", "invalid", of(400, 405, 481), "BYE"),
    own("bye-of-nobody", "valid", of(481), "BYE", To="<sip:b@vaxel.local>;tag=2"),
    *(own(f"credentials-{word}", "unusual", of(400, 407), "INVITE", Proxy_Authorization=value)
      for word, value in {
          "none": "Digest", "commas": "Digest ,,,,", "basic": "Basic YTpi", "empty": "",
          "open": 'Digest username="a', "bare": "Digest username=a, realm=, nonce",
          "equals": "Digest =" + "=" * 3000,
      }.items()),
    own("credentials-fifty", "unusual", of(400, 407), "INVITE",
        more="".join(f"Proxy-Authorization: {ASKED.format(n)}\r\n" for n in range(50))),
]


def stray(name: str, status: str, vias: tuple[str, ...] = (VIA + "s",), *, cseq: str = "1 INVITE",
          more: str = "") -> Case:
    """A response to nothing that this exchange has asked."""
    lines = [f"SIP/2.0 {status}", *(f"Via: {via}" for via in vias), f"CSeq: {cseq}",
             "From: <sip:a@vaxel.local>;tag=1", "To: <sip:b@vaxel.local>;tag=2",
             f"Call-ID: {name}@own", "Content-Length: 0"]
    return bare(name, "unusual", of(silence=DISCARDED),
                "".join(f"{line}\r\n" for line in lines) + more + "\r\n")


_HERE: Final = "SIP/2.0/{transport} {edge};branch=z9hG4bKnever"
_RESPONSES: Final = [
    stray("stray-trying", "100 Trying"), stray("stray-ringing", "180 Ringing"),
    stray("stray-ok", "200 OK"), stray("stray-challenge", "401 Unauthorized", cseq="1 REGISTER"),
    stray("stray-redirect", "302 Moved", more="Contact: <sip:x@{host}:{port}>\r\n"),
    # Who passes one on sends what anybody wants to whom anybody wants (RFC 6026 8.9).
    stray("stray-ok-relayed", "200 OK", (_HERE, VIA + "s")),
    stray("stray-busy-relayed", "486 Busy Here", (_HERE, VIA + "s")),
    stray("stray-foreign-relayed", "200 OK", ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKf", VIA + "s")),
    stray("stray-without-via", "200 OK", ()), stray("stray-code-20", "20 OK"),
    stray("stray-code-999", "999 What"), stray("stray-code-negative", "-200 OK"),
    stray("stray-cseq-broken", "200 OK", cseq="x"),
    bare("stray-start-only", "invalid", of(silence=DISCARDED), "SIP/2.0 200 OK\r\n\r\n"),
]

OWN: Final[list[Case]] = [*_EXTENSIONS, *_SIZES, *_NUMBERS, *_MISSING, *_BYTES, *_START, *_WAYS,
                          *_RESPONSES]
