"""A number is the same number however it is written: what is classed is what leaves.

Against the kernel, against the oracle, and against phonenumbers, which stands for a carrier that
knows nothing of us; then with real calls.
"""

from collections.abc import Callable, Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import phonenumbers
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from callcontrol.desk import Desk
from kemi.identity import in_format
from routing_core import build
from routing_core.codes import Cause, Kind, Reason, Source
from routing_core.decision import Decision, new_trail
from routing_core.errors import RowError
from routing_core.kernel import Kernel
from routing_core.numbers import NATIONAL_DIGITS, routed
from routing_core.rows import COLUMNS, COUNTRIES, FORMATS
from routing_core.snapshot import Snapshot
from store import model
from store.model import Target
from store.rows import MASKS
from tests import oracle
from tests.exchange import Company, Exchange, Telephone, refused
from tests.oracle import World, number_class
from tests.sipp import Sipp, answering, calling, header, silent
from tests.test_oracle import PLANS, base_of, live_of
from vaxel.ports import free_port

NOW, SEED = 1_781_820_000, 7
CODES: Final = {"SE": "46", "FI": "358"}
#: Tenant, user and device of each country; the user has the number, and another user forwards.
IDS: Final = {"SE": 1, "FI": 2}
OWN: Final = {"SE": "+46855500001", "FI": "+358955500001"}
FORWARDER: Final = 10
PREMIUM: Final = {"SE": "900123456", "FI": "600123456"}
CLASSES: Final = MASKS["barred"]
MANY: Final = settings(max_examples=3_000, deadline=None, derandomize=True, database=None,
                       print_blob=True, suppress_health_check=list(HealthCheck))


# -- one exchange, two countries ------------------------------------------------------------------

@cache
def kernel(barred: tuple[Any, ...] = (), target: str = "", closed: bool = False) -> Kernel:
    """People of both countries for whom these classes are barred; whoever calls user 10 or 20 is
    sent to the target, as whoever calls the first number of a company that is closed."""
    rows: dict[str, list[Any]] = {table: [] for table in COLUMNS if table != "trunk_source"}
    for country, t in IDS.items():
        text = target.replace("CC", CODES[country])
        rows["tenant"].append(model.Tenant(id=t, name="t", country=country))
        rows["device"].append(model.Device(id=t, tenant=t, user=t, name="d", username=f"d{t}",
                                           secret="a" * 26))
        for user in (t, t * FORWARDER):
            rows["user"].append(model.User(id=user, tenant=t, name="u", extension=str(100 + user),
                                           barred=barred, display="main"))
        if target:
            rows["forward"].append(model.Forward(
                tenant=t, user=t * FORWARDER, event="always",
                target=Target(kind="number", text=text)))
        rows["schedule"].append(model.Schedule(id=t, tenant=t, name="s", state="closed"))
        rows["number"].append(model.Number(
            tenant=t, e164=OWN[country], target=Target(kind="user", user=t),
            schedule=t if closed else None,
            closed_target=Target(kind="number", text=text) if closed else None))
        rows["caller_rule"].append(model.CallerRule(
            tenant=t, user=t, number=f"+{CODES[country]}701234567", rule="blocked"))
    rows["trunk"].append(model.Trunk(id=1, name="k", host="h"))
    rows["route"].append(model.Route(trunk=1))
    rows["area"].append(model.Area(id=1, name="a"))
    world = World(PLANS, rows)
    return Kernel(Snapshot(base_of(world)), live_of(world, NOW))


def dial(country: str, text: str, barred: tuple[Any, ...] = ()) -> Decision:
    """A telephone in that country dials."""
    return kernel(barred).decide(Source.DEVICE, IDS[country], text, "", NOW, SEED)


def order(country: str, text: str, barred: tuple[Any, ...] = ()) -> Decision:
    """Call control asks for it on the user's behalf."""
    user = IDS[country]
    trail = new_trail(user, caller_user=user, payer=user, device=user)
    return kernel(barred).decide(Source.CALL_CONTROL, user, text, "", NOW, SEED, trail=trail)


def redirect(country: str, text: str, barred: tuple[Any, ...] = ()) -> Decision:
    """The user's telephone answers 302 with it."""
    ring = kernel(barred).decide(Source.TRUNK, 1, OWN[country], "+4687654321", NOW, SEED)
    assert ring.kind == Kind.RELAY
    return kernel(barred).decide(0, 0, text, "", NOW, SEED, trail=ring.trail,
                                 cause=Cause.REDIRECTED)


def forwarded(country: str, text: str, barred: tuple[Any, ...] = ()) -> Decision:
    """The user forwards to it, as it stands in the store."""
    return kernel(barred, text).decide(
        Source.CALL_CONTROL, IDS[country], f"user:{IDS[country] * FORWARDER}", "", NOW, SEED)


def became(decision: Decision) -> str:
    """What is sent; "!" behind an emergency; "bad" or another reason when nothing is."""
    if decision.kind == Kind.EMERGENCY:
        return decision.number_to_dial + "!"
    if decision.kind == Kind.RELAY:
        return decision.number_to_dial
    return "bad" if decision.reason == Reason.BAD_NUMBER else Reason(decision.reason).name.lower()


def as_read(country: str, text: str) -> str:
    """The same by the oracle."""
    found = oracle.read(text, PLANS[country])
    return "bad" if found.bad or not found.number else found.number + "!" * found.emergency


# -- form by form ---------------------------------------------------------------------------------

#: CC is the own country's code, N a premium number of it; what becomes of it.
FORMS: Final = [
    ("0N", "+CCN"), ("+CCN", "+CCN"), ("00CCN", "+CCN"), ("CCN", "+CCN"),
    ("+CC0N", "+CCN"), ("00CC0N", "+CCN"), ("CC0N", "+CCN"), ("+CC (0) N", "+CCN"),
    ("(+CC) 0-N", "+CCN"), ("+C-C(0)N", "+CCN"), ("00 CC (0)N", "+CCN"), ("(0)N", "+CCN"),
    ("-+CC0N", "+CCN"), ("#31#+CC0N", "+CCN"), ("*51*00CC0N", "+CCN"), ("*5.1*0N", "+CCN"),
    ("+CC00N", "bad"), ("00CC00N", "bad"), ("+CC000N", "bad"), ("CC00N", "bad"),
    ("+CC00CCN", "bad"), ("+0CC0N", "bad"), ("+00CCN", "bad"), ("00+CCN", "bad"),
    ("++CCN", "bad"), ("+CC+N", "bad"), ("0000CCN", "bad"), ("000N", "bad"),
    ("+CC0", "bad"), ("+CC00", "bad"), ("00CC", "bad"), ("+CC", "bad"), ("+CC01", "bad"),
    ("0N;ext=1", "bad"), ("0N,1", "bad"), ("0Na", "bad"), ("0N#", "bad"), ("0N*1", "bad"),
    ("tel:0N", "bad"), ("0N\0", "bad"), ("0N\n", "bad"), ("%30N", "bad"), ("\uff10N", "bad"),
    ("0\u00a0N", "bad"), ("\u200e0N", "bad"), ("+CC\u20110N", "bad"), ("\u06600N", "bad"),
    ("+CCN1234567", "bad"), ("+CC0N1234567", "bad"), ("0N1234567", "bad"), ("CCN1234567", "bad"),
]


def fill(form: str, country: str) -> str:
    """A form with the country's code and premium number."""
    code = CODES[country]
    return form.replace("C-C", "-".join(code)).replace("CC", code).replace("N", PREMIUM[country])


@pytest.mark.parametrize("country", CODES)
@pytest.mark.parametrize(("form", "becomes"), FORMS)
def test_form_of_a_premium_number(country: str, form: str, becomes: str) -> None:
    text, expected = fill(form, country), fill(becomes, country)
    others = tuple(name for name in CLASSES if name != "premium")
    for way in (dial, redirect, lambda *call: order(call[0], f"dial:{call[1]}", *call[2:]),
                lambda *call: order(call[0], f"number:{call[1]}", *call[2:])):
        found = [became(way(country, text, barred)) for barred in ((), others, ("premium",))]
        if expected == "bad":
            assert set(found) <= {"bad", "no_target"}
        else:
            assert found == [expected, expected, "barred"]
    assert as_read(country, text) == expected


@pytest.mark.parametrize("prefix", ["990", "994", "999"])
@pytest.mark.parametrize(("country", "rest"), [
    ("FI", "358N"), ("FI", "3580N"), ("SE", "46N"), ("SE", "460N")])
def test_finnish_international_prefixes(prefix: str, country: str, rest: str) -> None:
    number = fill("+CCN", country)
    assert became(dial("FI", prefix + fill(rest, country))) == number
    barred = ("premium",) if country == "FI" else ("international",)
    assert became(dial("FI", prefix + fill(rest, country), barred)) == "barred"
    assert became(dial("FI", f"{prefix}{CODES[country]}00{PREMIUM[country]}")) == "bad"
    assert became(dial("FI", f"{prefix}0{rest}")) == "bad"


@pytest.mark.parametrize(("country", "text", "becomes"), [
    # The other country whose plan is known.
    ("SE", "+3580600123456", "+358600123456"), ("SE", "00358 (0)600 123456", "+358600123456"),
    ("FI", "+460900123456", "+46900123456"), ("SE", "+35800600123456", "bad"),
    ("SE", "+358118", "bad"), ("FI", "+46118118", "bad"), ("SE", "+358112", "bad"),
    ("SE", "+35816100", "bad"), ("SE", "+35820202", "+35820202"),
    # 0 is a digit of the number, or nothing is known of it: as it was written.
    ("SE", "+390612345678", "+390612345678"), ("FI", "00390612345678", "+390612345678"),
    ("SE", "+4402071234567", "+4402071234567"), ("SE", "+4700123456", "+4700123456"),
    # Country code 1 has numbers of ten digits: nothing that a carrier takes for a short number.
    ("SE", "+12125551234", "+12125551234"), ("SE", "+118118", "bad"), ("SE", "00118118", "bad"),
    ("SE", "+116117", "bad"), ("FI", "1010600123456", "bad"), ("SE", "+11125551234", "bad"),
    # Too short, too long, short numbers that are not listed.
    ("SE", "08112", "bad"), ("SE", "08-112", "bad"), ("SE", "+468112", "bad"),
    ("SE", "+46118800", "bad"), ("SE", "0118800", "bad"), ("SE", "+46 0 118800", "bad"),
    ("FI", "016100", "bad"), ("FI", "+35810100", "bad"), ("FI", "+358118100", "bad"),
    ("SE", "+4612345", "bad"), ("SE", "+46123456", "+46123456"),
    ("SE", "0118000000", "+46118000000"), ("SE", "+461234567890123", "+461234567890123"),
    ("SE", "+46 0 1234567890123", "+461234567890123"),
    ("SE", "+4612345678901234", "bad"), ("FI", "+3581234", "bad"), ("FI", "+35812345", "+35812345"),
    ("FI", "+358123456789012", "+358123456789012"), ("FI", "+3581234567890123", "bad"),
    # A carrier's prefix in front is the beginning of some country's number, and leaves as that.
    ("SE", "95010900123456", "+95010900123456"), ("SE", "+4695010900123456", "bad"),
    # An emergency number and more digits are no emergency.
    ("SE", "18014398509482096", "bad"), ("SE", "112112112", "bad"), ("SE", "01120", "bad"),
])
def test_other_numbers(country: str, text: str, becomes: str) -> None:
    assert became(dial(country, text)) == as_read(country, text) == becomes


# -- short numbers --------------------------------------------------------------------------------

@pytest.mark.parametrize("country", CODES)
@pytest.mark.parametrize("form", ["S", "0S", "+CCS", "00CCS", "+CC0S", "00CC0S", "+CC (0) S",
                                  "#31#+CCS"])
def test_short_number_behind_the_country_code(country: str, form: str) -> None:
    form = form.replace("CC", CODES[country])
    for short in PLANS[country]["special"]:
        text = form.replace("S", short)
        assert became(dial(country, text)) == short
        assert became(dial(country, text, ("special",))) == "barred"
        assert became(redirect(country, text, ("special",))) == "barred"
    everything = tuple(CLASSES)
    text = form.replace("S", "112")
    assert became(dial(country, text, everything)) == "112!"
    assert became(order(country, f"dial:{text}", everything)) == "112!"
    # Nobody is sent there by a machine.
    assert became(order(country, f"number:{text}")) == "bad"
    assert became(redirect(country, text)) == "no_target"
    assert became(kernel().decide(Source.TRUNK, 1, text, "", NOW, SEED)) in (
        "unknown_number", "bad")


# -- every way into the kernel --------------------------------------------------------------------

@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize(("country", "stored", "becomes", "name"), [
    *((country, form, fill("+CCN", country), "premium") for country in CODES
      for form in ("+CCN", "+CC0N")),
    *((country, form, "bad", "") for country in CODES for form in ("+CC00N", "+CC1181", "+118118")),
    ("SE", "+46118118", "118118", "special"), ("SE", "+46011414", "11414", "special"),
    ("FI", "+358118", "118", "special"), ("FI", "+3580116117", "116117", "special"),
    ("FI", "+358112", "bad", ""), ("SE", "+358112", "bad", ""), ("SE", "+468112", "bad", ""),
    ("SE", "+3580600123456", "+358600123456", "international"),
    ("SE", "+390612345678", "+390612345678", "international"),
])
def test_stored_target(country: str, stored: str, becomes: str, name: str, closed: bool) -> None:
    """As it may stand in a store of before; today it is refused when it is saved."""
    text = fill(stored, country)

    def sent(barred: tuple[Any, ...]) -> str:
        if closed:
            return became(kernel(barred, text, True).decide(
                Source.DEVICE, IDS[country], OWN[country], "", NOW, SEED))
        return became(kernel(barred, text).decide(
            Source.CALL_CONTROL, IDS[country], f"user:{IDS[country] * FORWARDER}", "", NOW, SEED))

    assert sent(()) == becomes
    assert sent(tuple(one for one in CLASSES if one != name)) == (becomes if name else "bad")
    assert sent((name,) if name else tuple(CLASSES)) == ("barred" if name else "bad")
    if text != becomes:
        assert routed(text) != text


@pytest.mark.parametrize("country", CODES)
@pytest.mark.parametrize("form", ["+{0}{1}", "+{0}0{1}", "+{0} (0){1}", "{0}0{1}", "00{0}0{1}"])
def test_numbers_of_this_exchange_and_of_callers(country: str, form: str) -> None:
    code, own, tenant = CODES[country], OWN[country], IDS[country]
    text = form.format(code, own.removeprefix(f"+{code}"))
    decisions = [dial(country, text), order(country, f"number:{text}")]
    if country == "SE":  # the trunk's
        decisions.append(kernel().decide(Source.TRUNK, 1, text, "+4687654321", NOW, SEED))
        blocked = kernel().decide(Source.TRUNK, 1, own, form.format(code, "701234567"), NOW, SEED)
        assert blocked.reason == Reason.CALLER_BLOCKED
        assert blocked.caller_number == f"+{code}701234567"
    if form == "+{0}0{1}":
        decisions.append(kernel((), text).decide(
            Source.CALL_CONTROL, tenant, f"user:{tenant * FORWARDER}", "", NOW, SEED))
    for decision in decisions:
        assert [target[1:] for target in decision.targets] == [(tenant, tenant)]
    shown = kernel().decide(Source.DEVICE, tenant, "+441234567890", "", NOW, SEED, text)
    assert (shown.shown_number, shown.number_to_dial) == (own, "+441234567890")


# -- any number, any way --------------------------------------------------------------------------

class Number(NamedTuple):
    """A number of a country, without its code."""

    country: str
    rest: str

    @property
    def e164(self) -> str:
        """As everybody writes it."""
        return f"+{CODES[self.country]}{self.rest}"


@st.composite
def numbers(draw: st.DrawFn) -> Number:
    """Any possible number of Sweden or Finland, half of them of a class of its own."""
    country = draw(st.sampled_from(tuple(CODES)))
    code = CODES[country]
    least, most = NATIONAL_DIGITS[int(code)]
    begins = [prefix.removeprefix(code) for prefixes in PLANS[country]["classes"].values()
              for prefix in prefixes if prefix.startswith(code)]
    begin = draw(st.sampled_from(begins) | st.sampled_from("123456789"))
    digits = draw(st.text("0123456789", min_size=most, max_size=most))
    rest = (begin + digits)[:draw(st.integers(least, most))]
    assume(rest[0] != "0" and routed(f"+{code}{rest}"))
    return Number(country, rest)


#: How a number is written in its own country, and elsewhere.
AT_HOME: Final[tuple[Callable[[str, str], str], ...]] = (
    lambda _, rest: f"0{rest}", lambda _, rest: f"(0){rest[:2]}-{rest[2:]}",
)
ANYWHERE: Final[tuple[Callable[[str, str], str], ...]] = (
    lambda code, rest: f"+{code}{rest}", lambda code, rest: f"+{code}0{rest}",
    lambda code, rest: f"00{code}{rest}", lambda code, rest: f"00{code}0{rest}",
    lambda code, rest: f"+{code} (0) {rest}", lambda code, rest: f"00 {code}-(0){rest}",
    lambda code, rest: f"(+{code[0]}-{code[1:]})0.{rest}",
)
IN_FINLAND: Final[tuple[Callable[[str, str], str], ...]] = (
    lambda code, rest: f"990{code}{rest}", lambda code, rest: f"994{code} (0){rest}",
    lambda code, rest: f"999{code}0{rest}",
)
BARE: Final[tuple[Callable[[str, str], str], ...]] = (
    lambda code, rest: f"{code}{rest}", lambda code, rest: f"{code}0{rest}",
)


def ways(number: Number, dialled_in: str) -> Iterator[str]:
    """Every way in which somebody in that country may write it."""
    code = CODES[number.country]
    yield from (way(code, number.rest) for way in ANYWHERE)
    yield from (way(code, number.rest) for way in AT_HOME if dialled_in == number.country)
    yield from (way(code, number.rest) for way in IN_FINLAND if dialled_in == "FI")
    bare = [way(code, number.rest) for way in BARE]
    yield from (text for text in bare if 9 <= len(text) <= 15)


@MANY
@given(number=numbers(), dialled_in=st.sampled_from(tuple(CODES)),
       code=st.sampled_from(("", "#31#", "*51*")), by_order=st.booleans())
def test_class_and_digits_are_those_of_the_canonical_form(
        number: Number, dialled_in: str, code: str, by_order: bool) -> None:
    def decide(text: str, barred: tuple[Any, ...] = ()) -> Decision:
        if by_order:
            return order(dialled_in, f"dial:{code}{text}", barred)
        return dial(dialled_in, code + text, barred)

    canonical = decide(number.e164)
    name = number_class(number.e164, PLANS[dialled_in])
    assert became(canonical) == number.e164
    assert CLASSES[canonical.number_class.bit_length() - 1] == name
    others = tuple(one for one in CLASSES if one != name)
    for text in ways(number, dialled_in):
        # The kernel takes 24 characters, separators aside, and 19 digits.
        digits = sum(one.isdecimal() for one in text)
        if digits > 19:
            continue
        decision = decide(text)
        assert (became(decision), decision.number_class) == (
            number.e164, canonical.number_class), text
        assert became(decide(text, (name,))) == "barred", text
        assert became(decide(text, others)) == number.e164, text
        assert as_read(dialled_in, code + text) == number.e164


TEXTS: Final = st.builds(
    lambda code, prefix, digits, noise, at: code + prefix + digits[:at] + noise + digits[at:],
    st.sampled_from(("", "", "#31#", "*54*")),
    st.sampled_from(("", "+", "0", "00", "990", "999", *(
        prefix + country + zeros for prefix in ("", "+", "00", "990", "994") for zeros in (
            "", "0", "00") for country in ("46", "358", "4646", "4600")))),
    st.one_of(st.sampled_from(("112", "118118", "11414", "1177", "118", "90510", "900123456",
                               "600123456", "0600123456", "9501", "1010600123")),
              st.text("0123456789", max_size=15)),
    st.text("0+-(). #*;a\u0660", max_size=2), st.integers(0, 15))


@MANY
@given(text=TEXTS, country=st.sampled_from(tuple(CODES)), way=st.sampled_from((dial, redirect)))
def test_what_leaves_is_what_was_classed(text: str, country: str, way: Callable[..., Decision],
                                         ) -> None:
    """A carrier reads the number in each trunk's format as the one that was classed."""
    decision = way(country, text)
    if decision.kind not in (Kind.RELAY, Kind.EMERGENCY) or not decision.number_to_dial:
        return
    number = decision.number_to_dial
    if decision.kind == Kind.EMERGENCY:
        assert number in PLANS[country]["emergency"]
        return
    assert decision.number_class == 1 << CLASSES.index(number_class(number, PLANS[country]))
    if not number.startswith("+"):
        assert number in PLANS[country]["special"]
        return
    shorts = {short for plan in PLANS.values() for short in (*plan["emergency"], *plan["special"])}
    for trunk, code in CODES.items():
        for form in FORMATS:
            sent = in_format(number, form, int(code))
            assert sent not in shorts
            whole = f"+{sent}" if form == "e164" else sent
            assert as_read(trunk, whole) == number
            assert routed(number) == number
            if number[1:].startswith(tuple(CODES.values())):
                # At a national number that cannot be it guesses.
                plain = phonenumbers.parse(number)
                found = phonenumbers.parse(whole, trunk)
                assert found == plain or (
                    form == "national" and not phonenumbers.is_valid_number(plain))
                assert phonenumbers.format_number(
                    plain, phonenumbers.PhoneNumberFormat.E164) == number


# -- the plans ------------------------------------------------------------------------------------

def test_what_is_known_of_the_countries() -> None:
    """Against Google's metadata: the trunk prefix is 0, and what may be dialled can be."""
    assert {str(code) for code in NATIONAL_DIGITS} == set(CODES.values())
    for country in COUNTRIES:
        metadata: Any = phonenumbers.PhoneMetadata.metadata_for_region(country)
        least, most = NATIONAL_DIGITS[PLANS[country]["country_code"]]
        possible = metadata.general_desc.possible_length
        assert metadata.country_code == PLANS[country]["country_code"]
        assert metadata.national_prefix == metadata.national_prefix_for_parsing == "0"
        assert min(possible) == least and max(possible) <= most
        for kind in ("fixed_line", "mobile", "toll_free", "premium_rate", "uan", "shared_cost"):
            found = getattr(metadata, kind)
            if found is not None and found.example_number:
                number = f"+{metadata.country_code}{found.example_number}"
                assert routed(number) == dial(country, number).number_to_dial == number


def test_classes_of_other_countries_go_no_deeper_than_their_code() -> None:
    """Nothing is read behind those codes, so nothing can depend on it."""
    codes = {str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE} | {
        "881", "882", "883"}
    for plan in PLANS.values():
        for prefixes in plan["classes"].values():
            assert all(prefix.startswith(str(plan["country_code"])) or prefix in codes
                       for prefix in prefixes)


def test_a_country_of_which_nothing_is_known_is_not_compiled() -> None:
    plans = PLANS | {"FI": PLANS["FI"] | {"country_code": 39}}
    with pytest.raises(RowError, match="39"):
        build.BaseBuilder(plans).finish(1, 1)


@pytest.mark.parametrize(("text", "becomes"), [
    ("+46900123456", "+46900123456"), ("+460900123456", "+46900123456"), ("+4600900123456", ""),
    ("+358118", ""), ("+46118118", ""), ("+390612345678", "+390612345678"), ("", ""), ("+", ""),
    ("46900123456", ""), ("+46 900123456", ""), ("+46900123456\n", ""), ("\u0660", ""),
])
def test_routed(text: str, becomes: str) -> None:
    assert routed(text) == becomes


@pytest.mark.parametrize(("country", "keyed", "becomes"), [
    *((country, fill(form, country), fill("+CCN", country)) for country in CODES
      for form in ("0N", "00CCN", "00CC0N", "+CC0N", "+CCN")),
    *((country, fill(form, country), "") for country in CODES
      for form in ("00CC00N", "+CC00N", "0112", "112", "+CC112", "00CC112", "0118800", "+118118")),
    ("SE", "0118118", ""), ("SE", "011414", ""), ("SE", "08112", ""), ("FI", "016100", ""),
    ("FI", "990358600123456", "+358600123456"),
])
def test_number_keyed_for_a_forwarding_or_a_callback(country: str, keyed: str,
                                                     becomes: str) -> None:
    desk: Any = SimpleNamespace(tenant=lambda _: SimpleNamespace(country=country))
    assert Desk.e164(desk, 1, keyed) == becomes
    assert not becomes or becomes == as_read(country, keyed)


# -- the API --------------------------------------------------------------------------------------

def test_numbers_are_saved_as_they_are_routed(exchange: Exchange, company: Company) -> None:
    anna = company.telephone("101")
    zero = company.e164(9500).replace("+46", "+460")
    target = {"kind": "number", "text": "+460900123456"}
    service = {"name": "s", "settings": {
        "type": "menu", "prompt": company.post("prompts", {"name": "p", "text": "x"})["id"],
        "choices": [{"key": "1", "target": target}]}}
    for path, body, field in (
            ("numbers", {"e164": zero}, "e164"),
            ("numbers", {"e164": "+46118118"}, "e164"),
            ("numbers", {"e164": company.e164(9501), "closed_target": target},
             "closed_target.text"),
            ("forwards", {"user": anna.user, "event": "always", "target": target}, "target.text"),
            ("forwards", {"user": anna.user, "event": "always", "target": target | {
                "text": "+46118118"}}, "target.text"),
            ("groups", {"name": "g", "no_answer": target}, "no_answer.text"),
            ("caller-rules", {"user": anna.user, "rule": "blocked", "number": zero}, "number"),
            ("contacts", {"name": "c", "numbers": [{"e164": company.e164(1)}, {"e164": zero}]},
             "numbers[1].e164"),
            ("services", service, "settings")):
        problem = refused(exchange.client, "POST", f"{company.base}/{path}", body)
        assert problem["field"].startswith(field), problem
    for path, body, field in (
            ("/areas", {"name": "a", "location": "urn:x", "centre": "+460812345678"}, "centre"),):
        assert refused(exchange.client, "POST", path, body)["field"] == field
    address = f"127.0.{1 + company.series % 200}.60"
    trunk = exchange.trunk(address, free_port(address), tenant=company.id)
    for prefix in ("460", "460900", "35800"):
        assert refused(exchange.client, "POST", "/routes", {
            "tenant": company.id, "trunk": trunk, "prefix": prefix,
        })["field"] == "prefix"


# -- real calls -----------------------------------------------------------------------------------

def call(exchange: Exchange, telephone: Telephone, number: str, expect: int) -> Sipp:
    """The telephone calls, with digest."""
    return Sipp(calling(telephone.username, expect, password=telephone.secret),
                remote=exchange.sip, service=number)


def carrier(exchange: Exchange, company: Company, **fields: object) -> tuple[str, int]:
    """The address and port of a trunk of the company."""
    address = f"127.0.{1 + company.series % 200}.{61 + len(fields)}"
    port = free_port(address)
    trunk = exchange.trunk(address, port, tenant=company.id, **fields)
    exchange.client.post("/routes", {"tenant": company.id, "trunk": trunk})
    return address, port


def test_carrier_gets_nothing_of_a_barred_number(exchange: Exchange, company: Company) -> None:
    anna = company.telephone("101", barred=["premium", "special"])
    address, port = carrier(exchange, company)
    with Sipp(silent(), address=address, port=port) as line:
        for number, expect in (
                ("0900123456", 403), ("+460900123456", 403), ("00460900123456", 403),
                ("460900123456", 403), ("+46(0)900123456", 403), ("%2B460900123456", 403),
                ("%2B46%20(0)%20900123456", 403), ("*51*+460900123456", 403),
                ("+4600900123456", 484), ("+46118118", 403), ("+46118800", 484), ("08112", 484),
                ("+460900123456;phone-context=x", 403), ("%EF%BC%90900123456", 484)):
            with call(exchange, anna, number, expect) as telephone:
                telephone.done()
        assert not line.received("INVITE")


@pytest.mark.parametrize(("form", "sent"), [
    ("plus", "+46709876543"), ("e164", "46709876543"), ("national", "0709876543")])
def test_carrier_gets_the_number_that_was_classed(exchange: Exchange, company: Company, form: str,
                                                  sent: str) -> None:
    anna = company.telephone("101", barred=["premium", "international"])
    address, port = carrier(exchange, company, format=form)
    for number in ("+460709876543", "00460709876543", "0709876543", "+46(0)709876543"):
        with Sipp(answering(), address=address, port=port) as line, \
                call(exchange, anna, number, 200) as telephone:
            telephone.done()
            line.done()
            assert line.received("INVITE")[0].startswith(f"INVITE sip:{sent}@{address}:{port}")


@pytest.mark.parametrize("number", ["+46112", "0046112", "0112", "+46(0)112"])
def test_112_behind_the_country_code(exchange: Exchange, company: Company, number: str) -> None:
    anna = company.telephone("101", barred=list(CLASSES))
    address, port = carrier(exchange, company)
    with Sipp(answering(), address=address, port=port) as line, \
            call(exchange, anna, number, 200) as telephone:
        telephone.done()
        line.done()
        invite = line.received("INVITE")[0]
    assert invite.startswith(f"INVITE sip:112@{address}:{port}")
    assert company.e164(101) in header(invite, "P-Asserted-Identity")
    assert company.newest_call()["direction"] == "emergency"
