"""A thousand clients at once: everybody is answered, no write is lost, and calls do not notice."""

import asyncio
from collections.abc import Iterator

import pytest

from benchmarks.clients import Crowd
from benchmarks.driving import rss_kib
from tests.exchange import Company, Exchange
from tests.sipp import Sipp, answering, calling

CLIENTS = 1000
SECONDS = 20.0
CALLS = 8
MAX_RSS_KIB = 400_000
MAX_GROWTH_KIB = 120_000


@pytest.fixture(scope="module", name="asked")
def an_exchange() -> Iterator[Exchange]:
    """One that is asked a lot, and nothing else."""
    with Exchange() as exchange:
        exchange.trunk("127.0.0.2", 5060)
        yield exchange


def test_a_thousand_clients(asked: Exchange) -> None:
    company: Company = asked.company()
    anna = company.telephone("101")
    settings = asked.settings
    crowd = Crowd(asked.client, settings.address, settings.api_port, CLIENTS)
    api, = asked.pids("api.app")
    before = rss_kib(api)
    with company.phone(anna, answering(), calls=CALLS) as phone, Sipp(
            calling("+46701112233", 200, talk_ms=500), address="127.0.0.2", remote=asked.sip,
            service=company.e164(101), calls=CALLS, rate=CALLS / SECONDS) as line:
        load = asyncio.run(crowd.run(SECONDS))
        line.done(60)
        phone.done(60)
    assert asked.pids("api.app") == [api]
    print(f"{load.clients} clients, {load.answers} answers, {load.writes} writes, {load.events} "
          f"events: p50 {load.at(0.5):.0f} ms, p99 {load.at(0.99):.0f} ms, "
          f"memory {before} to {rss_kib(api)} KiB")
    assert load.failed == {}
    assert load.lost == load.missed == 0
    assert load.clients >= CLIENTS and load.writes > 200 and load.events > 50
    assert rss_kib(api) < min(MAX_RSS_KIB, before + MAX_GROWTH_KIB)
    assert len(company.client.get(f"{company.base}/calls", limit=1000)["items"]) == CALLS
