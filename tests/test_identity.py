"""Who is calling, as carriers and phones want to hear it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi import identity
from kemi.identity import Forwarder
from routing_core.caller_names import ANONYMOUS_URI
from routing_core.codes import Diverted
from routing_core.rows import DIVERSIONS, FORMATS, IDENTITIES

SWEDEN, FINLAND = 46, 358
DOMAIN = "vaxel.example"


def trunk(**fields: Any) -> dict[str, object]:
    """The facts of a carrier's trunk."""
    names = {"identity": "pai", "diversion": "diversion", "format": "plus"} | fields
    return {"host": "carrier.example", "country_code": names.get("country_code", SWEDEN),
            "forwarded": int(names.get("forwarded", 0)),
            "identity": IDENTITIES.index(names["identity"]),
            "diversion": DIVERSIONS.index(names["diversion"]),
            "format": FORMATS.index(names["format"])}


def sent(over: dict[str, object], **call: Any) -> identity.Identity:
    """What the carrier gets of a call."""
    arguments: dict[str, Any] = {"domain": DOMAIN, "shown": "+46812345678", "caller": "",
                                 "hidden": False, "diverters": [], "called": "+46701740605",
                                 "location": ""}
    call["diverters"] = [Forwarder(number, Diverted.FOR_ALL)
                         for number in call.get("diverters", ())]
    return identity.for_trunk(over, **arguments | call)


def named(found: identity.Identity, name: str) -> list[str]:
    """The values of a header."""
    return [line.partition(": ")[2] for line in found.headers if line.startswith(name + ": ")]


@pytest.mark.parametrize(("number", "style", "country", "expected"), [
    ("+46812345678", "plus", SWEDEN, "+46812345678"),
    ("+46812345678", "e164", SWEDEN, "46812345678"),
    ("+46812345678", "national", SWEDEN, "0812345678"),
    ("+46812345678", "national", FINLAND, "0046812345678"),
    ("+358401234567", "plus", FINLAND, "+358401234567"),
    ("+358401234567", "e164", FINLAND, "358401234567"),
    ("+358401234567", "national", FINLAND, "0401234567"),
    ("+358401234567", "national", SWEDEN, "00358401234567"),
    ("+4746123456", "national", SWEDEN, "004746123456"),
    ("+15551234567", "national", FINLAND, "0015551234567"),
    ("112", "plus", SWEDEN, "112"), ("112", "e164", SWEDEN, "112"),
    ("112", "national", FINLAND, "112"), ("", "national", SWEDEN, ""),
])
def test_formats(number: str, style: str, country: int, expected: str) -> None:
    assert identity.in_format(number, style, country) == expected


@pytest.mark.parametrize(("style", "user"), [
    ("plus", "+46812345678"), ("e164", "46812345678"), ("national", "0812345678")])
def test_every_header_has_the_trunks_format(style: str, user: str) -> None:
    found = sent(trunk(format=style), diverters=["+46812345678"], caller="+46812345678")
    assert found.from_uri == f"sip:{user}@{DOMAIN}"
    assert named(found, "P-Asserted-Identity") == [f"<sip:{user}@{DOMAIN}>"]
    assert named(found, "Diversion")[0].startswith(f"<sip:{user}@{DOMAIN}>")


def test_the_three_ways_to_say_who_calls() -> None:
    plain = f"<sip:+46812345678@{DOMAIN}>"
    assert sent(trunk()).headers == [f"P-Asserted-Identity: {plain}"]
    assert sent(trunk(identity="rpid")).headers == [
        f"Remote-Party-ID: {plain};party=calling;screen=yes;privacy=off"]
    assert sent(trunk(identity="from")).headers == []
    for way in IDENTITIES:
        assert sent(trunk(identity=way))[:2] == (f"sip:+46812345678@{DOMAIN}", "")


def test_hidden() -> None:
    """The carrier learns the number where it is trusted with it, the called side never."""
    for way, headers in (("pai", 2), ("rpid", 2), ("from", 1)):
        found = sent(trunk(identity=way), hidden=True)
        assert found[:2] == (ANONYMOUS_URI, "Anonymous")
        assert named(found, "Privacy") == ["id"]
        assert len(found.headers) == headers
    assert "privacy=full" in sent(trunk(identity="rpid"), hidden=True).headers[0]


def test_without_a_number() -> None:
    found = sent(trunk(), shown="")
    assert found == (ANONYMOUS_URI, "Anonymous", [])


def test_original_caller_or_forwarder() -> None:
    call = {"diverters": ["+46811111111", "+46822222222"], "caller": "+4917012345"}
    assert sent(trunk(), **call).from_uri == f"sip:+4917012345@{DOMAIN}"
    assert sent(trunk(forwarded=True), **call).from_uri == f"sip:+46811111111@{DOMAIN}"
    assert sent(trunk(), diverters=["+46811111111"]).from_uri == f"sip:+46812345678@{DOMAIN}"
    assert sent(trunk(forwarded=True)).from_uri == f"sip:+46812345678@{DOMAIN}"


def test_a_forwarder_is_not_hidden_by_the_caller() -> None:
    call = {"diverters": ["+46811111111"], "caller": "", "hidden": True}
    assert sent(trunk(forwarded=True), **call)[:2] == (f"sip:+46811111111@{DOMAIN}", "")
    assert named(sent(trunk(forwarded=True), **call), "Privacy") == []
    assert sent(trunk(), **call).from_uri == ANONYMOUS_URI


def test_diversion_names_the_latest_first() -> None:
    """RFC 5806 section 5: the topmost is the most recent."""
    diverters = ["+46833333333", "+46822222222", "+46811111111"]
    values = named(sent(trunk(), diverters=diverters), "Diversion")
    assert [value.partition(";")[0] for value in values] == [
        f"<sip:{number}@{DOMAIN}>" for number in diverters]
    assert named(sent(trunk(diversion="none"), diverters=diverters), "Diversion") == []
    assert named(sent(trunk()), "Diversion") == []


def test_history_tells_the_way_from_the_beginning() -> None:
    """RFC 7044: the oldest is 1, each that follows from it has one digit more."""
    diverters = ["+46833333333", "+46822222222", "+46811111111"]
    (value,) = named(sent(trunk(diversion="history"), diverters=diverters), "History-Info")
    steps = value.split(", ")
    assert [step.partition(">")[0][1:] for step in steps] == [
        f"sip:+46811111111@{DOMAIN}", f"sip:+46822222222@{DOMAIN};cause=302",
        f"sip:+46833333333@{DOMAIN};cause=302", "sip:+46701740605@carrier.example;cause=302"]
    assert [step.partition("index=")[2].partition(";")[0] for step in steps] == [
        "1", "1.1", "1.1.1", "1.1.1.1"]
    (single,) = named(sent(trunk(diversion="history"), diverters=diverters[:1]), "History-Info")
    assert single.endswith(";index=1.1;mp=1")
    assert named(sent(trunk(diversion="history")), "History-Info") == []


def test_history_says_which_entry_was_diverted() -> None:
    found = sent(trunk(diversion="history"), diverters=["+46822222222", "+46811111111"])
    assert named(found, "History-Info")[0].endswith(";index=1.1.1;mp=1.1")


def test_emergency_says_where() -> None:
    found = sent(trunk(), called="112", location="https://lis.example/7")
    assert named(found, "Geolocation") == ["<https://lis.example/7>"]
    assert named(found, "Geolocation-Routing") == ["yes"]
    assert named(sent(trunk()), "Geolocation") == []
    both = sent(trunk(diversion="history"), called="112", diverters=["+46811111111"])
    assert "<sip:112@carrier.example;cause=302>;index=1.1" in named(both, "History-Info")[0]


@pytest.mark.parametrize(("header", "user"), [
    ("<sip:+46812345678@a.example>", "+46812345678"), ("sip:1000@a.example", "1000"),
    ('"Åsa" <sip:1000@a.example;user=phone>;tag=1', "1000"),
    ("<sips:1000;phone-context=x@a.example>", "1000"), ("<SIP:1000@a.example>", "1000"),
    ("tel:+46812345678", "+46812345678"), ("tel:+46812345678;ext=1", "+46812345678"),
    ("<sip:a@b>, <sip:c@d>", "a"), ("<http://a@b>", ""), ("", ""), ("<", ""), ("<>", ""),
    (":", ""), ("a@b", ""), ("<sip:", ""), ("<sip:@b>", ""),
])
def test_user_of(header: str, user: str) -> None:
    assert identity.user_of(header) == user


@pytest.mark.parametrize(("header", "user"), [
    ("<tel:+46812345678>", "+46812345678"),       # the ">" is taken for a part of the number
    ("<sip:a.example>", ""),                      # a URI without a user: the host is taken
    ('"a<b" <sip:1000@a.example>', "1000"),       # "<" in a quoted name
    ("<sip:1000:word@a.example>", "1000"),        # a password
])
def test_user_of_what_is_rare(header: str, user: str) -> None:
    assert identity.user_of(header) == user


@given(st.one_of(st.text(), st.text(alphabet='<>:;@, "siptel+0123456789\\\r\n\0', max_size=80)))
def test_user_of_survives_anything(text: str) -> None:
    for header in (text, "<sip:" + text, f'"{text}" <sip:1@b>', "tel:" + text):
        user = identity.user_of(header)
        assert isinstance(user, str)
        assert len(user) <= 32


@given(st.text(alphabet="+0123456789", max_size=20), st.sampled_from(FORMATS),
       st.sampled_from([SWEDEN, FINLAND]))
def test_a_format_adds_no_plus_and_loses_no_digit(number: str, style: str, country: int) -> None:
    found = identity.in_format(number, style, country)
    if not number.startswith("+"):
        assert found == number
    elif style != "plus":
        assert not found.startswith("+") or number.startswith("++")
        assert found.endswith(number[1:].removeprefix(str(country)))
