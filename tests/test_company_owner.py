"""The process of call control that a company's new calls go to: where the others are."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from api.http.parts import Parts
from routing_core.handover import preferred
from routing_core.live import Live, format_live, live_size

NOW = 1_800_000_000
MS = NOW * 1000
BORN = MS - 60_000
PROCESSES = 4
TENANTS = 64


@pytest.fixture
def live() -> Live:
    """All processes are at work."""
    sizes = (8, 8, 8, 8)
    buffer = bytearray(live_size(*sizes, TENANTS))
    format_live(buffer, *sizes, 1, TENANTS)
    found = Live(buffer)
    for index in range(PROCESSES):
        found.set_control(index, BORN, MS)
    return found


@pytest.fixture
def edge(live: Live, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call control, as the edge sees it."""
    monkeypatch.setitem(sys.modules, "KSR", ModuleType("KSR"))
    from kemi.control import Control

    return Control(live, {"key": "k", "control_ports": list(range(6000, 6000 + PROCESSES))})


@pytest.fixture
def parts(live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """The same for the API."""
    monkeypatch.setattr(Parts, "now_ms", staticmethod(lambda: MS))
    nothing: Any = SimpleNamespace(last_event=lambda: 0, live=live)
    return Parts(nothing, nothing, nothing, tmp_path, {"control_processes": PROCESSES})


def test_without_an_owner_the_order_is_the_companys_own(live: Live, edge: Any,
                                                        parts: Parts) -> None:
    for tenant in range(1, TENANTS + 9):
        expected = preferred(tenant, list(range(PROCESSES)))
        assert edge.at_work(tenant, NOW) == parts.control_order(tenant) == expected


@pytest.mark.parametrize("owner", range(PROCESSES))
def test_the_owner_comes_first_and_the_rest_as_before(live: Live, edge: Any, parts: Parts,
                                                      owner: int) -> None:
    for tenant in range(1, TENANTS):
        assert live.own(tenant, owner, BORN, MS)
        rest = [index for index in preferred(tenant, list(range(PROCESSES))) if index != owner]
        assert edge.at_work(tenant, NOW) == parts.control_order(tenant) == [owner, *rest]


def test_calls_stay_where_they_went_when_the_first_comes_back(live: Live, edge: Any,
                                                              parts: Parts) -> None:
    first, second = preferred(5, list(range(PROCESSES)))[:2]
    live.own(5, first, BORN, MS)
    live.set_control(first, BORN, MS - 2001)
    assert edge.at_work(5, NOW)[0] == second
    assert first not in edge.at_work(5, NOW)
    assert live.own(5, second, BORN, MS)
    live.set_control(first, MS, MS)
    assert edge.at_work(5, NOW)[:2] == parts.control_order(5)[:2] == [second, first]
    live.disown(5, second, BORN)
    assert edge.at_work(5, NOW)[0] == parts.control_order(5)[0] == first


def test_an_owner_that_is_silent_or_of_another_life_gets_no_calls(live: Live, edge: Any,
                                                                  parts: Parts) -> None:
    order = preferred(5, list(range(PROCESSES)))
    last = order[-1]
    live.own(5, last, BORN, MS)
    live.set_control(last, BORN, MS - 2001)
    assert edge.at_work(5, NOW) == order[:-1]
    assert parts.control_order(5) == order, "the API asks all, and hears who is not there"
    live.set_control(last, MS, MS)
    assert edge.at_work(5, NOW) == parts.control_order(5) == order


def test_an_owner_that_the_edge_does_not_know(live: Live, edge: Any, parts: Parts) -> None:
    """Of an installation that had more processes a moment ago."""
    live.set_control(PROCESSES, BORN, MS)
    live.own(5, PROCESSES, BORN, MS)
    assert edge.at_work(5, NOW) == parts.control_order(5) == preferred(5, list(range(PROCESSES)))
