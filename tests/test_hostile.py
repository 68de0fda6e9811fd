"""Hostile and broken SIP: an error or silence, nothing relayed, nobody else harmed."""

import secrets

import pytest

from tests.exchange import Company, Exchange, Telephone, credentials, eventually
from tests.sipp import Sipp, answering, calling, header, silent


def invite(to: str, user: str = "x", more: str = "", tag: str = "", body: str = "") -> bytes:
    """An INVITE by hand."""
    branch = secrets.token_hex(8)
    return (f"INVITE sip:{to}@vaxel.local SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{{port}};branch=z9hG4bK{branch};rport\r\n"
            f"From: <sip:{user}@vaxel.local>;tag=a{branch}\r\n"
            f"To: <sip:{to}@vaxel.local>{tag}\r\nCall-ID: {branch}@test\r\nCSeq: 1 INVITE\r\n"
            f"Contact: <sip:{user}@127.0.0.1:{{port}}>\r\nMax-Forwards: 70\r\n{more}"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def test_unauthenticated_invite_is_only_challenged(exchange: Exchange, company: Company) -> None:
    anna = company.telephone("101")
    with company.phone(anna, silent()) as phone:
        answer = exchange.send(invite("101", anna.username))
        assert answer.startswith("SIP/2.0 407") and "Digest realm=" in answer
        answer = exchange.send(invite("+46709876543"))
        assert answer.startswith("SIP/2.0 407")
        assert not phone.received("INVITE")


def test_wrong_password(exchange: Exchange, company: Company) -> None:
    anna = company.telephone("101")
    answer = exchange.register(anna, 5070, secret="a" * 26)
    assert answer.startswith("SIP/2.0 401")
    with Sipp(calling(anna.username, 407, password="wrong-password"), remote=exchange.sip,
              service="102") as line:
        line.done()


def test_unknown_user_is_challenged_like_a_known_one(exchange: Exchange, company: Company) -> None:
    nobody = Telephone(0, 0, "nobody-here", "a" * 26, "0")
    both = company.telephone("101", device={"digest": "both"})
    unknown = exchange.register(nobody, 5070)
    wrong = exchange.register(both, 5070, secret="b" * 26)
    assert unknown.startswith("SIP/2.0 401") and wrong.startswith("SIP/2.0 401")
    assert unknown.count("WWW-Authenticate") == wrong.count("WWW-Authenticate") == 2


@pytest.mark.parametrize(("digest", "algorithm", "good"), [
    ("both", "SHA-256", True), ("both", "MD5", True), ("sha256", "SHA-256", True),
    ("md5", "MD5", True), ("sha256", "MD5", False),
])
def test_digest_algorithms(exchange: Exchange, company: Company, digest: str, algorithm: str,
                           good: bool) -> None:
    anna = company.telephone("101", device={"digest": digest})
    answer = exchange.register(anna, 5070, algorithm=algorithm)
    assert answer.startswith("SIP/2.0 200" if good else "SIP/2.0 401"), answer


def test_a_nonce_of_another_address_is_stale(exchange: Exchange, company: Company) -> None:
    anna = company.telephone("101")
    first = exchange.send(exchange._register(anna.username, 5070, 1, 60, "", "127.0.0.1"))
    challenge = header(first, "WWW-Authenticate")
    answer = credentials(challenge, anna.username, anna.secret, "REGISTER", "sip:vaxel.local",
                         "MD5")
    stolen = exchange.send(exchange._register(
        anna.username, 5070, 2, 60, f"Authorization: {answer}\r\n", "127.0.0.6"),
        source="127.0.0.6")
    assert stolen.startswith("SIP/2.0 401") and "stale=true" in stolen


def test_register_for_somebody_else(exchange: Exchange, company: Company) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    request = exchange._register(bo.username, 5070, 1, 60, "", "127.0.0.1")
    challenge = header(exchange.send(request), "WWW-Authenticate")
    answer = credentials(challenge, anna.username, anna.secret, "REGISTER", "sip:vaxel.local",
                         "MD5")
    again = exchange._register(bo.username, 5070, 2, 60, f"Authorization: {answer}\r\n",
                               "127.0.0.1")
    assert exchange.send(again).startswith("SIP/2.0 403")


def test_several_contacts_and_unregister(exchange: Exchange, company: Company) -> None:
    anna = company.telephone("101")
    exchange.register(anna, 5072)
    assert exchange.register(anna, 5074).count("sip:" + anna.username + "@127.0.0.1:507") == 2
    assert ":5074" not in header(exchange.register(anna, 5074, expires=0), "Contact")


def test_forged_internal_headers_and_identity(exchange: Exchange, company: Company) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    forged = ("X-Vaxel-Decision: relay\n        P-Asserted-Identity: <sip:+46700000000@evil>\n"
              "        Diversion: <sip:+46700000000@evil>\n        Remote-Party-ID: <sip:1@evil>")
    with company.phone(bo, answering()) as phone, Sipp(
            calling(anna.username, 200, password=anna.secret, more=forged),
            remote=exchange.sip, service="102") as line:
        line.done()
        phone.done()
        message = phone.received("INVITE")[0]
    assert "X-Vaxel" not in message and "evil" not in message
    assert "sip:101@" in header(message, "P-Asserted-Identity")


def test_preset_route_is_no_open_relay(exchange: Exchange, company: Company) -> None:
    with Sipp(silent(), address="127.0.0.1") as victim:
        target = f"<sip:victim@127.0.0.1:{victim.port};lr>"
        own = f"<sip:{exchange.sip};lr>"
        for tag in ("", ";tag=abc"):
            answer = exchange.send(invite("victim", more=f"Route: {own}, {target}\r\n", tag=tag))
            assert answer.startswith(("SIP/2.0 407", "SIP/2.0 481")), answer
        forged = f"<sip:{exchange.sip};lr;vx=1.123456789abcdef0>"
        answer = exchange.send(invite("victim", more=f"Route: {forged}, {target}\r\n",
                                      tag=";tag=abc"))
        assert answer.startswith("SIP/2.0 481")
        assert not victim.received("INVITE")


def test_bye_of_somebody_elses_call(exchange: Exchange, company: Company) -> None:
    for slot in range(4):
        text = invite("101", more=f"Route: <sip:{exchange.sip};lr;vx={slot:x}.1>\r\n",
                      tag=";tag=x").replace(b"INVITE", b"BYE")
        assert exchange.send(text).startswith("SIP/2.0 481")


@pytest.mark.parametrize("junk", [
    b"\r\n\r\n", b"\x00" * 2000, b"GET / HTTP/1.1\r\n\r\n", b"INVITE\r\n\r\n",
    b"INVITE sip:101@x SIP/2.0\r\nVia: x\r\n\r\n",
    b"INVITE sip:" + b"1" * 3000 + b"@x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port}\r\n\r\n",
    b"INVITE sip:101@x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKq\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: q\r\nCSeq: 999999999999 INVITE\r\n"
    b"Content-Length: -5\r\n\r\n",
    b"OPTIONS sip:x SIP/9.0\r\n\r\n", bytes(range(256)) * 8,
])
def test_junk_harms_nobody(exchange: Exchange, company: Company, junk: bytes) -> None:
    before = exchange.pids("kamailio")
    exchange.send(junk, wait_s=0.2)
    assert exchange.send(options()).startswith("SIP/2.0 200")
    assert exchange.pids("kamailio") == before


def options() -> bytes:
    """A keep-alive."""
    return invite("ping").replace(b"INVITE", b"OPTIONS")


@pytest.mark.parametrize("method", ["MESSAGE", "PUBLISH", "REFER", "NOTIFY", "FOO"])
def test_methods_that_are_not_offered(exchange: Exchange, method: str) -> None:
    answer = exchange.send(invite("101").replace(b"INVITE", method.encode()))
    assert answer.startswith("SIP/2.0 405") and "Allow:" in answer


@pytest.mark.parametrize("dialled", ["", "abc", "%00", "1" * 40, "+0", "*51*", "#31#", "++46",
                                     "112x", "0" * 30, "*99*101"])
def test_strange_numbers(exchange: Exchange, company: Company, dialled: str) -> None:
    anna = company.telephone("101")
    request = invite(dialled, anna.username) if dialled else invite("@").replace(b"sip:@@", b"sip:")
    answer = exchange.send(request)
    assert answer.startswith("SIP/2.0 4"), answer


def test_bad_sdp_does_not_stop_the_call_of_others(exchange: Exchange, company: Company) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    company.client.patch(company.base, {"media": "always"})
    broken = calling(anna.username, 200, password=anna.secret).replace(
        "c=IN IP4 [media_ip]", "c=IN IP9 nowhere\nb=\u00e5\u00e4\u00f6")
    with company.phone(bo, answering()) as phone, \
            Sipp(broken, remote=exchange.sip, service="102") as line:
        line.done()
        phone.done()
    with company.phone(bo, answering()) as phone, Sipp(
            calling(anna.username, 200, password=anna.secret), remote=exchange.sip,
            service="102") as line:
        line.done()
        phone.done()


def test_a_thousand_exceptions_give_a_thousand_answers(exchange: Exchange) -> None:
    before = exchange.live.counter(0)
    answers = [exchange.send(invite("fault"))[:11] for _ in range(1000)]
    assert answers == ["SIP/2.0 500"] * 1000
    assert exchange.live.counter(0) == before + 1000


def test_an_exception_leaves_no_call_behind(exchange: Exchange, company: Company) -> None:
    anna = company.telephone("101")
    before = exchange.live.counter(0)
    with Sipp(calling(anna.username, 500, password=anna.secret), remote=exchange.sip,
              service="fault-in-call") as line:
        line.done()
    assert exchange.live.counter(0) == before + 1
    record, = eventually(lambda: company.client.get(f"{company.base}/calls")["items"])
    assert record["code"] == 500
    assert not exchange.calls_in_progress()


def test_no_secret_is_logged(exchange: Exchange, company: Company) -> None:
    anna = company.telephone("101")
    exchange.register(anna, 5070)
    exchange.register(anna, 5070, secret="c" * 26)
    exchange.send(invite("fault", anna.username))
    for name in ("edge", "api", "keeper", "media0"):
        text = exchange.log(name)
        assert anna.secret not in text and exchange.settings.api_key not in text
        assert exchange.settings.digest_key not in text


def test_too_many_from_one_address_are_dropped() -> None:
    with Exchange(flood_per_2s=40) as small:
        answers = [bool(small.send(options(), wait_s=0.05)) for _ in range(400)]
        assert answers[:20] == [True] * 20 and not all(answers)
        assert small.live.counter(3) > 0
        eventually(lambda: small.send(options(), source="127.0.0.8"))
