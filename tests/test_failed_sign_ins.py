"""Failed sign-ins at the API in the log: bounded, counted, and nobody's words."""

import asyncio
from typing import Any

import pytest
import structlog

from api.http import failures
from api.http.failures import Failures


def told(*storms: list[str]) -> list[Any]:
    """The lines about these addresses; some time passes after each list of them."""
    async def work() -> None:
        noted = Failures(0.01)
        for storm in storms:
            for address in storm:
                noted.note(address)
            await asyncio.sleep(0.1)

    with structlog.testing.capture_logs() as lines:
        asyncio.run(work())
    return lines


def test_a_storm_is_two_lines() -> None:
    lines = told([f"10.0.{number % 200 // 100}.{number % 20}" for number in range(5000)],
                 ["10.9.9.9"])
    assert [line["count"] for line in lines] == [1, 4999, 1], "the first at once"
    assert len(lines[1]["addresses"]) == failures.MAX_NAMED
    assert lines[2]["addresses"] == {"10.9.9.9": 1}


def test_addresses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "MAX_ADDRESSES", 3)
    monkeypatch.setattr(failures, "MAX_NAMED", 5)
    lines = told([f"10.0.0.{number}" for number in range(10)])
    assert lines[1]["count"] == 9 and len(lines[1]["addresses"]) == 3
