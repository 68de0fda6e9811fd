"""The service levels, worked out by hand (catalogue row S1)."""

from typing import Any

import pytest

from api.figures.counts import DEFINITIONS, QueueSums, queue_figures
from api.figures.service_level import FORMULAS, service_levels
from api.whatif import words
from tests.exchange import ROOT


@pytest.mark.parametrize(("facts", "answered", "offered"), [
    ({"answered": 4, "answered_within": 3}, 3 / 4, 3 / 4),
    # Two of three agents are away: 31 of 105 are answered, 20 of them in time, and 74 give up late.
    ({"answered": 31, "answered_within": 20, "abandoned_late": 74}, 20 / 31, 20 / 105),
    # Who is sent on was not served in time; who is moved counts where it was moved to.
    ({"answered": 5, "answered_within": 5, "left": {"timed": 4, "key": 1, "moved": 3}},
     1.0, 5 / 10),
    # Nor was who is turned away, but for who comes at night.
    ({"answered": 2, "answered_within": 1, "refused": {"rush_length": 2, "night": 40, "closed": 9}},
     1 / 2, 1 / 4),
    ({"left": {"timed": 3}}, None, 0.0), ({"refused": {"full": 3}}, None, 0.0),
    ({"refused": {"night": 3}}, None, None), ({}, None, None)])
def test_by_hand(facts: dict[str, Any], answered: float | None, offered: float | None) -> None:
    none = {"answered": 0, "answered_within": 0, "abandoned_late": 0, "left": {}, "refused": {}}
    assert service_levels(**none | facts) == (answered, offered)


def test_who_hangs_up_early_is_neither_served_nor_failed() -> None:
    """Ten early and five late beside two answered, one of them in time."""
    found = queue_figures(1, QueueSums(
        entered=17, answered=2, waited_s={5: 1, 30: 1}, abandoned=15, abandoned_s={3: 10, 60: 5}),
        20)
    assert (found.abandoned_within, found.service_level, found.service_level_offered) == (
        10, 1 / 2, 1 / 7)


def test_one_definition() -> None:
    """The same words in the figures, in what-if and in the docs."""
    page = " ".join((ROOT / "docs" / "statistics.md").read_text().split())
    for name, formula in FORMULAS.items():
        assert DEFINITIONS["queue"][name] == formula
        assert words.DEFINITIONS[name].startswith(formula)
        assert f"| `{name}` | `{formula.partition(',')[0]}`" in page
