"""Digest authentication, against the vectors of RFC 7616 and a computation of our own."""

import hashlib
import itertools
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi import digest
from routing_core import Live
from routing_core.codes import Use
from routing_core.live import format_live, live_size

KEY = b"k" * 32
NOW = 1_800_000_000
SOURCE = "192.0.2.7"
REALM = "example.org"
PASSWORD = "Circle of Life"
CHANCES = itertools.count(1)
HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256,
          "SHA-512-256": lambda data: hashlib.new("sha512_256", data)}
RFC_NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
RFC_HEADER = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", '
    'algorithm={algorithm}, nonce="' + RFC_NONCE + '", nc=00000001, '
    'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="{response}", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"')
RFC_RESPONSES = {
    "MD5": "8ca523f5e9506fed4657c9700eebdbec",
    "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
}


def credentials(algorithm: str = "SHA-256", *, password: str = PASSWORD, method: str = "REGISTER",
                at: int = NOW, source: str = SOURCE, key: bytes = KEY,
                uri: str = "sip:example.org", nonce: str = "", count: int = 1) -> dict[str, str]:
    """What a phone sends that was given a nonce."""
    nonce = nonce or digest.new_nonce(key, at, source, next(CHANCES))

    def hashed(text: str) -> str:
        return HASHES[algorithm](text.encode()).hexdigest()

    first, second = hashed(f"u1:{REALM}:{password}"), hashed(f"{method}:{uri}")
    return {"username": "u1", "realm": REALM, "uri": uri, "nonce": nonce,
            "nc": f"{count:08x}", "cnonce": "abc", "qop": "auth", "algorithm": algorithm,
            "response": hashed(f"{first}:{nonce}:{count:08x}:abc:auth:{second}")}


def header_of(fields: dict[str, str]) -> str:
    """As it stands in the message."""
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in fields.items())


def fresh(*_use: int) -> int:
    """Live.use_once() of a nonce that nobody has used."""
    return Use.FRESH


def outcome(fields: dict[str, str], **changed: Any) -> str:
    """check() with what is right, but for what is changed."""
    arguments: dict[str, Any] = {"key": KEY, "realm": REALM, "password": PASSWORD, "now": NOW,
                                 "method": "REGISTER", "source": SOURCE,
                                 "uri": fields.get("uri", ""), "use": fresh}
    return digest.check(fields, **arguments | changed)


def test_runs_outside_kamailio() -> None:
    code = "import sys, kemi.digest; sys.exit('KSR' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_vectors_of_rfc_7616(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 3.9.1. Its nonce has no time of ours in it: right is stale, and wrong is wrong."""
    monkeypatch.setattr(digest, "_mark", lambda *_: RFC_NONCE[digest.STAMP + digest.CHANCE:])
    expected = RFC_RESPONSES[algorithm]
    for response, found in ((expected, digest.STALE), (expected.upper(), digest.STALE),
                            ("0" + expected[1:], digest.WRONG)):
        fields = digest.parse(RFC_HEADER.format(algorithm=algorithm, response=response))
        assert outcome(fields, realm="http-auth@example.org", method="GET") == found, response


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_right_credentials(algorithm: str) -> None:
    fields = credentials(algorithm)
    assert outcome(fields) == digest.OK
    assert outcome(digest.parse(header_of(fields))) == digest.OK
    spaced = header_of(fields).replace("Digest ", "  DIGEST   ").replace('="', ' = "')
    assert outcome(digest.parse(spaced)) == digest.OK
    assert outcome(fields | {"algorithm": algorithm.lower()}) == digest.OK


def test_md5_is_what_an_absent_algorithm_means() -> None:
    fields = credentials("MD5")
    del fields["algorithm"]
    assert outcome(fields) == digest.OK
    assert outcome(fields, allowed=("SHA-256",)) == digest.WRONG


@pytest.mark.parametrize(("name", "value"), [
    ("uri", "sip:elsewhere.org"), ("nc", "00000002"), ("cnonce", "abd"), ("realm", "other"),
    ("username", "u2"), ("qop", "auth-int"), ("qop", ""), ("response", ""), ("response", "0" * 64),
    ("algorithm", "MD5"), ("algorithm", "SHA-512-256"), ("algorithm", "MD5-sess"),
    ("algorithm", ""),
])
def test_one_wrong_field(name: str, value: str) -> None:
    assert outcome(credentials() | {name: value}) == digest.WRONG


@pytest.mark.parametrize("name", ["uri", "nc", "cnonce", "realm", "username", "qop", "response"])
def test_one_missing_field(name: str) -> None:
    fields = credentials()
    del fields[name]
    assert outcome(fields) == digest.WRONG


def test_wrong_password_method_and_realm() -> None:
    assert outcome(credentials(password="guess")) == digest.WRONG
    assert outcome(credentials(method="INVITE")) == digest.WRONG
    assert outcome(credentials(), realm="other.org") == digest.WRONG
    assert outcome(credentials(), password="") == digest.WRONG


def test_nonce_lives_for_its_time() -> None:
    fields = credentials()
    assert outcome(fields, now=NOW + digest.NONCE_LIFETIME_S) == digest.OK
    assert outcome(fields, now=NOW + digest.NONCE_LIFETIME_S + 1) == digest.STALE
    wrong = credentials(password="guess")
    assert outcome(wrong, now=NOW + digest.NONCE_LIFETIME_S + 1) == digest.WRONG


def test_nonce_of_somebody_else() -> None:
    """Is challenged again, right password or not: never let in."""
    assert outcome(credentials(source="192.0.2.8")) == digest.STALE
    assert outcome(credentials(key=b"x" * 32)) == digest.STALE
    fields = credentials()
    younger = f"{NOW + 1:08x}" + fields["nonce"][8:]
    assert outcome(fields | {"nonce": younger}) == digest.STALE
    for nonce in ("", "x", fields["nonce"] + "0", fields["nonce"][:-1], "å" * 40):
        assert outcome(fields | {"nonce": nonce}) == digest.STALE


def test_nonces_tell_sources_and_times_apart() -> None:
    made = {digest.new_nonce(KEY, NOW + second, f"192.0.2.{host}", chance)
            for second in range(10) for host in range(10) for chance in range(4)}
    assert len(made) == 400


def test_no_weaker_algorithm_than_allowed() -> None:
    assert outcome(credentials("MD5"), allowed=("SHA-256",)) == digest.WRONG
    assert outcome(credentials("SHA-256"), allowed=("MD5",)) == digest.WRONG
    assert outcome(credentials("MD5"), allowed=("MD5",)) == digest.OK


def test_challenges() -> None:
    both = digest.challenges("r", "n", stale=False)
    assert [line.partition("algorithm=")[2].partition(",")[0] for line in both] == [
        "SHA-256", "MD5"]
    assert all('qop="auth"' in line and "stale" not in line for line in both)
    assert digest.challenges("r", "n", stale=True, offered=("MD5",)) == [
        'Digest realm="r", nonce="n", algorithm=MD5, qop="auth", stale=true']


@pytest.mark.parametrize("header", [
    "", " ", "Digest", "Basic dTpw", "Digest,", "digestusername=x", "Digest =,=,=",
    'Digest username="open', "Digest " + "=" * 900, "Digest " + '"\\' * 400, "\0", "Digest \0=\0",
])
def test_malformed_headers(header: str) -> None:
    assert outcome(digest.parse(header)) in (digest.WRONG, digest.STALE)


def test_huge_headers_are_refused_at_once() -> None:
    full = header_of(credentials())
    assert digest.parse(full + ", x=" + "y" * digest.MAX_HEADER) == {}
    for filling in ("a" * 1_000_000, "a=" * 500_000, '"' * 1_000_000, 'a="\\' * 250_000):
        start = time.perf_counter()
        assert digest.parse("Digest " + filling) == {}
        assert time.perf_counter() - start < 0.1
    for filling in ("a" * 1000, "a =" * 330, 'a="' * 330, 'a="\\' * 250, "a" + " " * 999):
        start = time.perf_counter()
        digest.parse("Digest " + filling)
        assert time.perf_counter() - start < 0.1, filling[:4]


@given(st.text(max_size=1100))
def test_any_text_is_survived(text: str) -> None:
    for header in (text, "Digest " + text):
        assert outcome(digest.parse(header)) in (digest.WRONG, digest.STALE)


@given(st.dictionaries(st.sampled_from(sorted(credentials())), st.text(max_size=80)))
def test_any_fields_are_survived(changed: dict[str, str]) -> None:
    found = outcome(credentials() | changed)
    assert found != digest.OK or {**credentials(), **changed} == credentials() or (
        changed.keys() <= {"algorithm", "response"})


@pytest.mark.parametrize("name", ["username", "nonce", "uri", "response", "cnonce"])
def test_bytes_that_are_no_utf8_are_survived(name: str) -> None:
    """They come as lone surrogates when the message is decoded with surrogateescape."""
    text = b"\xff\xfe".decode("utf-8", "surrogateescape")
    found = outcome(digest.parse(header_of(credentials() | {name: text})))
    assert found in (digest.WRONG, digest.STALE)


def test_sha_512_256_is_accepted_when_somebody_uses_it() -> None:
    assert outcome(credentials("SHA-512-256")) == digest.OK


@pytest.mark.parametrize(("uri", "right"), [
    ("sip:+46700000001@vaxel.local", True), ("SIP:+46700000001@VAXEL.local", True),
    ("sip:+46700000001@vaxel.local;user=phone", True),
    ("sip:+46900000002@vaxel.local", False), ("sip:vaxel.local", False), ("", False),
    ("sip:+46700000001@elsewhere.org", False), ("sips:+46700000001@vaxel.local", False),
])
def test_credentials_are_for_one_target(uri: str, right: bool) -> None:
    """RFC 7616 section 3.4.6: a password that was shown for one number is no good for another."""
    fields = credentials(method="INVITE", uri="sip:+46700000001@vaxel.local")
    found = outcome(fields, method="INVITE", uri=uri)
    assert found == (digest.OK if right else digest.WRONG)


def test_a_count_that_does_not_rise_is_a_copy() -> None:
    """RFC 7616 section 3.4, nc: over all workers, as they share the memory."""
    buffer = bytearray(live_size(4, 4, 4, 4))
    format_live(buffer, 4, 4, 4, 4, 1)
    workers = [Live(buffer), Live(buffer)]
    nonce = digest.new_nonce(KEY, NOW, SOURCE, 77)

    def ask(count: int, print_: int, worker: int) -> str:
        fields = credentials(nonce=nonce, count=count)
        return outcome(fields, use=workers[worker].use_once, fingerprint=print_)

    assert ask(1, 10, 0) == digest.OK
    assert ask(1, 10, 1) == digest.REPEATED, "the same message, by another worker"
    assert ask(1, 11, 1) == digest.STALE, "another message with the same credentials"
    assert ask(3, 12, 1) == digest.OK
    assert ask(2, 13, 0) == digest.STALE
    assert ask(4, 14, 0) == digest.OK


def test_a_nonce_for_a_call_is_short_lived() -> None:
    late = NOW + digest.CALL_NONCE_LIFETIME_S + 1
    assert outcome(credentials(), now=late) == digest.OK
    assert outcome(credentials(), now=late,
                   lifetime_s=digest.CALL_NONCE_LIFETIME_S) == digest.STALE


@pytest.mark.parametrize("nc", ["1", "0000001", "000000001", "0000000g", "+0000001", " 0000001"])
def test_a_count_has_eight_digits(nc: str) -> None:
    assert outcome(credentials() | {"nc": nc}) == digest.WRONG


def test_a_parameter_that_stands_twice_is_nothing() -> None:
    header = header_of(credentials())
    assert digest.parse(header + ', uri="sip:other"') == {}
