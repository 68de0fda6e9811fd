"""The log has no word that a stranger composed: no credentials, and no line that looks like one of
the exchange's own."""

import contextlib
import json
import random
import socket
import time
from collections.abc import Iterator

import pytest

from tests.edge.attack.attacker import PATIENCE_S, Attacker, sdp
from tests.edge.attack.own import OWN
from tests.edge.attack.streams import TEXT, Line, handshake
from tests.edge.attack.torture import RFC_4475
from tests.exchange import Exchange, Telephone, eventually
from vaxel.logs import LEVELS, Redactor, readable

#: In every word of the stranger's, and nowhere else.
MARK = "zq4f81c0d7zq"
UID = "0123456789abcdef0123456789ab"
KAMAILIO = json.dumps({
    "idx": 3, "pid": 7, "level": "ERROR", "module": "core", "file": "core/kemi.c", "line": 1,
    "function": "f", "logprefix": "", "message": f"call {UID}: {MARK}"}).replace('{"idx', '{ "idx')
OURS = f'{{"at":"2026-01-01T00:00:00Z","process":"edge","level":"error","event":"{MARK}",' \
    f'"uid":"{UID}"}}'
RTPENGINE = f"[1700000000.123456] ERR: [{UID}]: {MARK}"
LINES = (KAMAILIO, OURS, RTPENGINE, f" 5(1234) ERROR: <script>: call {UID}: {MARK}", MARK)
PROOF = f'Digest username="{MARK}", realm="vaxel.local", nonce="{MARK}", uri="sip:{MARK}", ' \
    f'response="{MARK}", qop=auth, nc=00000001, cnonce="{MARK}"'
#: A storm of failed sign-ins writes no more than this.
MOST_BYTES = 20_000


@pytest.fixture(scope="module")
def running() -> Iterator[Exchange]:
    """An exchange of its own, whose log is read as a whole."""
    with Exchange() as exchange:
        yield exchange


def size(exchange: Exchange) -> int:
    """Of all that was logged."""
    return sum(path.stat().st_size for path in (exchange.state / "logs").iterdir())


def clean(exchange: Exchange) -> None:
    """Nothing of the stranger's is in any log, once nothing is written any more."""
    seen = [-1, 0.0]

    def still() -> bool:
        now = size(exchange)
        if now != seen[0]:
            seen[:] = now, time.monotonic()
        return time.monotonic() - seen[1] > 0.5

    eventually(still)
    for path in (exchange.state / "logs").iterdir():
        for line in path.read_bytes().splitlines():
            assert MARK.encode() not in line.lower(), (path.name, line)
            assert UID.encode() not in line, (path.name, line)
            entry = json.loads(line)
            assert entry["level"] in LEVELS and entry["process"] == path.stem, line
    assert MARK not in (exchange.state / "output").read_text(errors="replace").lower()


def marked(raw: bytes, number: int) -> bytes:
    """A message with the stranger's words in its names, in its first header, and behind it."""
    line = LINES[number % len(LINES)]
    start, _, rest = raw.partition(b"\r\n")
    more = f"\r\nAuthorization: {PROOF}\r\nX-{MARK}: {line}\r\n".encode()
    text = (start + more + rest).replace(b"sip:b@", f"sip:{MARK}@".encode())
    return text + f"\r\n{line}\r\n{line}\r\n".encode()


def test_broken_messages(running: Exchange) -> None:
    """Of every kind there is: over UDP, TCP and as frames."""
    cases = [*OWN, *RFC_4475]
    with Attacker(running, "127.0.0.51") as stranger:
        for number, case in enumerate(cases):
            raw = case.filled(stranger.address, stranger.port, running.sip, "UDP")
            stranger.send(marked(raw, number)[:60000])
        for line in LINES:
            for text in (line, f"\n{line}\n", f"OPTIONS {line} SIP/2.0\r\n{line}\r\n\r\n",
                         f"SIP/2.0 200 {line}\r\nVia: {line}\r\n\r\n",
                         f"INVITE sip:{MARK} SIP/2.0\r\nVia: SIP/2.0/UDP {MARK}\r\n{line}\r\n"):
                stranger.send(text)
        eventually(lambda: alive(running))
    for transport in ("tcp", "wss"):
        for number in range(0, len(cases), 4):
            with contextlib.suppress(OSError), Line(running, transport, "127.0.0.52") as stream:
                raw = cases[number].filled(stream.address, stream.port, running.sip, "TCP")
                stream.raw(marked(raw, number)[:60000], random.choice((TEXT, 2, 0, 5, 8)))
                stream.raw(LINES[number % len(LINES)].encode())
    with Line(running, "tcp", "127.0.0.53") as stream:
        stream.raw(handshake(MARK, f"/{MARK}?{MARK}", f"X-{MARK}: {MARK}\r\nCookie: {MARK}\r\n"))
        stream.raw(f"GET /{MARK} HTTP/1.1\r\nHost: {MARK}\r\n{OURS}\r\n\r\n".encode())
    clean(running)


def alive(exchange: Exchange) -> bool:
    """Whether the edge answers."""
    with Attacker(exchange) as attacker:
        attacker.send(attacker.request("OPTIONS", "sip:vaxel.local"))
        return attacker.answer(1) == 200


def test_descriptions_of_anchored_calls(running: Exchange) -> None:
    """The media node says what it cannot read; call control, too."""
    company = running.company(media="always")
    anna, bo = company.telephone("101"), company.telephone("102")
    company.telephone("103", call_functions=True)
    plain = sdp("127.0.0.1")
    bodies = [plain.replace("s=-", f"s={line}") for line in LINES]
    bodies += [plain.replace("s=-", f"s=-\n{line}") for line in LINES]
    bodies += [f"{plain}a={MARK}:{line}\r\n" for line in LINES]
    bodies += [plain.replace(old, new) for old, new in (
        ("m=audio 40000", f"m=audio {MARK}"), ("IN IP4 127.0.0.1\r\nt", f"IN IP4 {MARK}\r\nt"),
        ("o=- 1 1", f"o={MARK} x {MARK}"), ("RTP/AVP 8", f"RTP/{MARK} 8"), ("a=rtpmap:8 ", "a="),
        ("PCMA/8000", f"{MARK}/8000"), ("t=0 0", f"t={MARK}"), ("v=0", f"v={MARK}"),
        ("a=rtpmap", f"a=crypto:1 {MARK} inline:{MARK}\r\na=ice-ufrag:{MARK}\r\na=rtpmap"),
        ("a=rtpmap", f"a=candidate:{MARK} {LINES[2]}\r\na=fingerprint:{MARK}\r\na=rtpmap"))]
    with Attacker(running) as phone, Attacker(running) as caller:
        assert phone.register(bo).code == 200
        for number, body in enumerate(bodies):
            target = "103" if number % 3 == 2 else "102"
            caller.begin(anna, "INVITE", caller.uri(target), body=body)
        assert [one for one in phone.requests(0.3) if one.method == "INVITE"]
    clean(running)


def test_requests_to_the_api(running: Exchange) -> None:
    """Paths, headers, credentials and bodies."""
    settings = running.settings
    words = [MARK, *(line.replace(" ", "%20") for line in LINES), "%0a" + OURS.replace(" ", "")]
    requests = [f"GET /v1/{word}?x={word} HTTP/1.1\r\nHost: x\r\n\r\n" for word in words]
    requests += [f"GET /v1/tenants HTTP/1.1\r\nHost: x\r\n{header}: {line}\r\n\r\n"
                 for line in LINES for header in (
                     "Authorization", "Cookie", "X-Request-Id", "User-Agent", "Idempotency-Key",
                     "Effective-From", "If-Match", "X-Forwarded-For", "Forwarded", MARK)]
    requests += [f"GET /v1/tenants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {MARK}\r\n\r\n",
                 f"{MARK} / HTTP/9.9\r\n\r\n", f"GET / HTTP/1.1\r\n{OURS}\r\n\r\n", f"{OURS}\n",
                 f"GET /v1/events/stream?ticket={MARK} HTTP/1.1\r\nHost: {MARK}\r\nUpgrade: "
                 f"websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {MARK}\r\n\r\n"]
    for path in ("sessions", "session", "tenants", "login", "batch", "oidc/callback"):
        for line in (*LINES, json.dumps({"email": MARK, "password": MARK, "code": MARK})):
            requests.append(
                f"POST /v1/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                f"{settings.api_key}\r\nContent-Type: application/json\r\nContent-Length: "
                f"{len(line)}\r\n\r\n{line}")
    for text in requests:
        with socket.create_connection((settings.address, settings.api_port), 5) as stream:
            stream.sendall(text.encode())
            stream.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                while stream.recv(1 << 16):
                    pass
    clean(running)
    everything = b"".join(path.read_bytes() for path in (running.state / "logs").iterdir())
    assert settings.api_key.encode() not in everything


def test_a_storm_of_failed_sign_ins(running: Exchange) -> None:
    """It is counted; the log is not turned over by it."""
    company = running.company()
    anna = company.telephone("101")
    before, counted = size(running), running.live.counter(4)
    uri = f"sip:{running.settings.domain}"
    count = 0
    with Attacker(running, "127.0.0.54") as stranger:
        stranger.send(stranger.request("REGISTER", uri))
        challenged = stranger.next()
        assert challenged is not None
        until = time.monotonic() + PATIENCE_S
        while count < 1000 and time.monotonic() < until:
            name = anna.username if count % 2 else f"{MARK}{count}"
            wrong = Telephone(0, 0, name, MARK, "")
            proof = stranger.credentials(challenged, wrong, "REGISTER", uri)
            stranger.send(stranger.request(
                "REGISTER", uri, proof, from_=f"<sip:{name}@vaxel.local>;tag={count}"))
            assert stranger.answer() == 401
            count += 1
    assert running.live.counter(4) - counted == count > 50
    clean(running)
    assert size(running) - before < MOST_BYTES


# -- marks around them ---------------------------------------------------------------------------

def test_what_is_between_the_marks_is_left_out() -> None:
    """Wherever the stream is cut."""
    text = b"a<1<secret>2>b\nc <1<x\ny>2> d <1<never ends"
    for cut in range(len(text)):
        for second in range(cut, len(text)):
            redactor = Redactor(b"<1<", b">2>")
            found = b"".join(map(redactor.feed, (text[:cut], text[cut:second], text[second:])))
            assert found == b"a...b\nc ... d ...", (cut, second)


def test_a_guess_of_a_mark_and_a_beginning_of_one() -> None:
    redactor = Redactor(b"<1<", b">2>")
    assert redactor.feed(b"<1") + redactor.feed(b"x<1<a>2<b>>2>c") == b"<1x...c"
    assert redactor.feed(b"plain") == b"plain"


def test_a_line_is_shown_on_one_line() -> None:
    text = readable({"at": "now", "process": "edge", "level": "info",
                     "event": "a\x1b[31m\u202e\nb\r"})
    assert text.isprintable() and "\n" not in text
