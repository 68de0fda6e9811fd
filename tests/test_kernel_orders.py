"""Orders of call control to the kernel: which of a person's telephones ring, and which numbers that
callers have named are called."""

import random
import re
from typing import Final, get_args

import pytest
from phonenumbers import PhoneMetadata, PhoneNumberType

from routing_core.build import BaseBuilder
from routing_core.codes import Endpoint, Kind, NumberClass, Reason, Source
from routing_core.decision import Decision
from routing_core.kernel import Kernel
from routing_core.mapping import number_class
from routing_core.snapshot import Snapshot
from store.model import DeviceKind
from tests.test_kernel_files import NOW, PLANS, SECRET, kernel_of, user_row

TENANT, ANNA, BO = 1, 1, 2
#: Anna's; Bo has a desk telephone.
TELEPHONES: Final = {11: "desk", 12: "soft", 13: "mobile", 14: "cordless", 15: "desk"}


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    """Two people and their telephones."""
    made = BaseBuilder(PLANS)
    made.add("tenant", [(TENANT, "SE", "sv", "Europe/Stockholm", None, None, "replace",
                         "available", None, 0, "auto", 15, 0)])
    made.add("user", [user_row(ANNA), user_row(BO)])
    made.add("device", [
        *((device, ANNA, kind, f"a{device}", SECRET, None, None, 1, "both", "source")
          for device, kind in TELEPHONES.items()),
        (21, BO, "desk", "b21", SECRET, None, None, 1, "both", "source")])
    header, body = made.finish(1, 1)
    return kernel_of(Snapshot(header + bytes(body)))


def decide(kernel: Kernel, order: str) -> Decision:
    """What becomes of the order."""
    return kernel.decide(Source.CALL_CONTROL, TENANT, order, "", NOW, 7)


def ringing(kernel: Kernel, order: str) -> list[int]:
    """The telephones that ring."""
    decision = decide(kernel, order)
    assert decision.kind == Kind.RELAY, order
    assert {kind for kind, _, _ in decision.targets} == {Endpoint.TO_DEVICE}
    return sorted(device for _, device, _ in decision.targets)


@pytest.mark.parametrize("mask", range(1, 16))
def test_telephones_of_some_kinds(kernel: Kernel, mask: int) -> None:
    kinds = {kind for bit, kind in enumerate(get_args(DeviceKind)) if mask >> bit & 1}
    assert ringing(kernel, f"phones:{ANNA}/{mask}") == [
        device for device, kind in TELEPHONES.items() if kind in kinds]


@pytest.mark.parametrize(("order", "expected"), [
    (f"phones:{ANNA}", list(TELEPHONES)), (f"phones:{ANNA}/65535", list(TELEPHONES)),
    (f"phones:{BO}/1", [21]), ("device:12", [12]), ("others:12", [11, 13, 14, 15])])
def test_telephones(kernel: Kernel, order: str, expected: list[int]) -> None:
    assert ringing(kernel, order) == expected


@pytest.mark.parametrize(("order", "reason"), [
    *((f"phones:{ANNA}/{mask}", Reason.NO_TARGET) for mask in (
        "0", "", "-1", "+1", " 1", "1 ", "0x1", "1/1", "/1", "desk", "1.0", "100000")),
    *((order, Reason.NO_TARGET) for order in (
        "phones:/1", "phones:x/1", "user:1/1", "group:1/1", "service:1/1", "device:11/1",
        "others:11/1")),
    (f"phones:{BO}/2", Reason.USER_UNREACHABLE), (f"phones:{BO}/16", Reason.USER_UNREACHABLE),
    ("phones:99/1", Reason.USER_DISABLED)])
def test_orders_that_ring_nothing(kernel: Kernel, order: str, reason: Reason) -> None:
    decision = decide(kernel, order)
    assert (decision.kind, decision.reason, decision.targets) == (Kind.REJECT, reason, [])


@pytest.mark.parametrize(("number", "classes", "reason"), [
    ("+46812345678", 15, Reason.NO_TRUNK), ("0701234567", 15, Reason.NO_TRUNK),
    ("08-123 456 78", 15, Reason.NO_TRUNK), ("+46900123456", 15, Reason.BARRED),
    ("0900123456", 15, Reason.BARRED), ("+46 (0)900 123456", 15, Reason.BARRED),
    ("+870123456789", 15, Reason.BARRED), ("+4930123456", 15, Reason.BARRED),
    ("1177", 15, Reason.BARRED), ("+46991123456", 15, Reason.BARRED),
    ("+4930123456", 15 | NumberClass.INTERNATIONAL, Reason.NO_TRUNK),
    ("+46900123456", 15 | NumberClass.PREMIUM, Reason.NO_TRUNK),
    ("+46812345678", 14, Reason.BARRED),
    ("112", 255, Reason.BAD_NUMBER), ("+46112", 255, Reason.BAD_NUMBER),
    ("", 255, Reason.BAD_NUMBER), ("abc", 255, Reason.BAD_NUMBER)])
def test_what_callers_have_named_is_called_within_bounds(number: str, classes: int,
                                                         reason: Reason) -> None:
    """A caller could have the company call a premium number, or 112."""
    made = BaseBuilder(PLANS)
    made.add("tenant", [(TENANT, "SE", "sv", "Europe/Stockholm", None, None, "replace",
                         "available", None, 0, "auto", classes, 0)])
    header, body = made.finish(1, 1)
    decision = decide(kernel_of(Snapshot(header + bytes(body))), f"callback:{number}")
    assert (decision.kind, decision.reason) == (Kind.REJECT, reason)


@pytest.mark.parametrize("country", ["SE", "FI"])
@pytest.mark.parametrize(("kind", "classes"), [
    (PhoneNumberType.PREMIUM_RATE, {NumberClass.PREMIUM}),
    (PhoneNumberType.TOLL_FREE, {NumberClass.TOLL_FREE}),
    (PhoneNumberType.SHARED_COST, {NumberClass.SHARED_COST}),
    (PhoneNumberType.MOBILE, {NumberClass.MOBILE_NUMBER}),
    (PhoneNumberType.FIXED_LINE, {NumberClass.NATIONAL})])
def test_the_plans_agree_with_what_others_know(country: str, kind: int,
                                               classes: set[NumberClass]) -> None:
    """Every number of that kind, as far as libphonenumber's patterns can be tried."""
    metadata = PhoneMetadata.metadata_for_region(country)
    described = {PhoneNumberType.PREMIUM_RATE: metadata.premium_rate,
                 PhoneNumberType.TOLL_FREE: metadata.toll_free,
                 PhoneNumberType.SHARED_COST: metadata.shared_cost,
                 PhoneNumberType.MOBILE: metadata.mobile,
                 PhoneNumberType.FIXED_LINE: metadata.fixed_line}[kind]
    if described is None:
        assert (country, kind) == ("FI", PhoneNumberType.SHARED_COST)
        return
    pattern = described.national_number_pattern
    code = {"SE": "+46", "FI": "+358"}[country]
    chance = random.Random(20261201)
    tried = 0
    for _ in range(200_000):
        digits = str(chance.randrange(1, 1000)) + f"{chance.randrange(10 ** 6):06}"
        if re.fullmatch(pattern, digits):
            tried += 1
            assert number_class(code + digits, country) in classes, digits
    assert tried > 10
