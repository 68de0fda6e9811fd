"""Fixtures: one exchange for the tests of a worker, a company for each test."""

from collections.abc import Iterator

import pytest

from tests.exchange import Company, Exchange


@pytest.fixture(scope="session")
def exchange() -> Iterator[Exchange]:
    """An exchange that tests share and leave as they found it."""
    with Exchange() as running:
        yield running


@pytest.fixture
def company(exchange: Exchange) -> Company:
    """A tenant of its own."""
    return exchange.company()
