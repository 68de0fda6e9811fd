"""Orders of call control to the kernel: which of a person's telephones ring."""

from typing import Final, get_args

import pytest

from routing_core.build import BaseBuilder
from routing_core.codes import Endpoint, Kind, Reason, Source
from routing_core.decision import Decision
from routing_core.kernel import Kernel
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
                         "available", None, 0, "auto")])
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
