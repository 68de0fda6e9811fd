"""One press of a key is one key, whichever way it comes."""

import random

import pytest

from callcontrol.keys import APART_S, MAX_OPEN, Presses


def keys(*told: tuple[str, str, float]) -> str:
    """The presses."""
    presses = Presses()
    return "".join(digit for way, digit, at in told if presses.new(way, digit, at))


@pytest.mark.parametrize(("told", "found"), [
    ([("sound", "1", 0), ("sound", "1", 0.1), ("sound", "2", 0.2)], "112"),
    ([("info", "1", 0), ("info", "1", 0.1)], "11"),
    ([("info", "1", 0), ("sound", "1", 0.2)], "1"), ([("sound", "1", 0), ("info", "1", 0.2)], "1"),
    ([("info", "1", 0), ("sound", "1", 0.1), ("info", "1", 0.3), ("sound", "1", 0.4)], "11"),
    ([("info", "1", 0), ("info", "1", 0.3), ("sound", "1", 0.4), ("sound", "1", 0.5)], "11"),
    ([("info", "1", 0), ("sound", "2", 0.1), ("sound", "1", 0.2), ("info", "2", 0.3)], "12"),
    ([("info", "1", 0), ("sound", "1", APART_S + 0.1)], "11")])
def test_presses(told: list[tuple[str, str, float]], found: str) -> None:
    assert keys(*told) == found


def test_any_numbers_told_twice_are_read_once() -> None:
    chance = random.Random(7)
    for _ in range(300):
        number = "".join(chance.choice("0123456789*#") for _ in range(20))
        told = sorted(((way, digit, 0.2 * place + chance.uniform(0, 0.19))
                       for place, digit in enumerate(number) for way in ("sound", "info")),
                      key=lambda one: one[2])
        assert keys(*told) == number


def test_presses_are_bounded() -> None:
    presses = Presses()
    for _ in range(10_000):
        presses.new("info", "1", 0)
    assert len(presses._open) == MAX_OPEN
