"""Everything can be killed: what was acknowledged is there, and the rest recovers by itself."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from routing_core import mapping
from tests.exchange import Company, Exchange, eventually
from tests.sipp import Sipp, answering, calling, ringing
from tests.test_hostile import options
from vaxel.phone import Phone, loudest

#: The promise: back within two seconds without help. Measured from the kill; the machine of a test
#: run is busy with other things, so the test allows as much again before it fails.
BACK_S = 4.0
#: The same for a promise in milliseconds: what processes wait for a processor.
SLACK_S = 0.05


@pytest.fixture(scope="module")
def own() -> Iterator[Exchange]:
    """An exchange that may be hurt."""
    with Exchange() as exchange:
        exchange.trunk("127.0.0.2", 5060)
        yield exchange


@pytest.fixture
def company(own: Exchange) -> Company:
    """A tenant on it."""
    return own.company()


def alive(exchange: Exchange) -> bool:
    """The edge answers."""
    return exchange.send(options(), wait_s=0.2).startswith("SIP/2.0 200")


def is_new(exchange: Exchange, before: list[int]) -> bool:
    """The edge answers, and no process of the killed one is left that could have answered."""
    return not set(before) & set(exchange.pids("kamailio")) and alive(exchange)


def incoming(exchange: Exchange, number: str, talk_ms: int = 300, calls: int = 1,
             rate: float = 10) -> Sipp:
    """A carrier that calls."""
    return Sipp(calling("+46701112233", 200, talk_ms=talk_ms), address="127.0.0.2",
                remote=exchange.sip, service=number, calls=calls, rate=rate)


def test_two_hundred_calls_leave_nothing_behind(own: Exchange, company: Company) -> None:
    company.client.patch(company.base, {"media": "always"})
    anna = company.telephone("101", call_waiting=True)
    with company.phone(anna, answering(), calls=200) as phone, \
            incoming(own, company.e164(101), 100, calls=200, rate=25) as line:
        line.done(60)
        phone.done(60)
    eventually(lambda: not own.calls_in_progress())
    assert own.live.line_state(anna.user, int(time.time())) == 0
    assert len(company.client.get(f"{company.base}/calls", limit=1000)["items"]) == 200
    eventually(lambda: media_sessions(own) == 0)


def media_sessions(exchange: Exchange) -> int:
    """The calls that the exchange's rtpengine knows."""
    import asyncio

    from rtp.ng import NgClient, Node

    async def ask() -> int:
        node = Node("127.0.0.1", exchange.settings.media_port)
        async with NgClient([node]) as client:
            return len(await client.calls(node))

    return asyncio.run(ask())


def test_kamailio_killed_and_the_bye_of_an_old_call_passes(own: Exchange,
                                                           company: Company) -> None:
    anna = company.telephone("101")
    with company.phone(anna, answering()) as phone, \
            incoming(own, company.e164(101), talk_ms=6000) as line:
        phone.started_receiving("ACK")
        before = own.pids("kamailio")
        began = time.monotonic()
        os.kill(before[-1], signal.SIGKILL)  # a worker takes the whole server with it
        eventually(lambda: is_new(own, before), BACK_S)
        assert time.monotonic() - began < BACK_S
        line.done()
        phone.done()
    record = company.newest_call()
    assert record["ended_by"] == "caller" and record["answerer"] == anna.user
    with company.phone(company.telephone("102"), answering()) as phone, \
            incoming(own, company.e164(102)) as line:
        line.done()
        phone.done()


def test_registrations_survive_kamailio(own: Exchange, company: Company) -> None:
    anna = company.telephone("101")
    with company.phone(anna, answering()) as phone:
        before = own.pids("kamailio")
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: is_new(own, before), BACK_S)
        with incoming(own, company.e164(101)) as line:
            line.done()
            phone.done()


def test_a_call_that_rings_when_kamailio_dies_leaves_no_lamp(own: Exchange,
                                                             company: Company) -> None:
    anna = company.telephone("101")
    with company.phone(anna, ringing()) as phone, Sipp(
            calling("+46701112233", 200), address="127.0.0.2", remote=own.sip,
            service=company.e164(101)):
        phone.started_receiving("INVITE")
        before = own.pids("kamailio")
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: is_new(own, before), BACK_S)
        eventually(lambda: own.live.line_state(anna.user, int(time.time())) == 0, 5)
    assert company.newest_call()["ended_by"] == "lost"


def test_api_killed_during_calls(own: Exchange, company: Company) -> None:
    anna = company.telephone("101", call_waiting=True)
    with company.phone(anna, answering(), calls=40) as phone, \
            incoming(own, company.e164(101), 400, calls=40, rate=10) as line:
        for name in ("api.app", "api.keeper") * 2:
            victim = own.pids(name)[0]
            began = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            eventually(lambda n=name, v=victim: [p for p in own.pids(n) if p != v], BACK_S)
            assert time.monotonic() - began < BACK_S
        line.done(40)
        phone.done(40)

    def all_there() -> bool:
        try:
            items = company.client.get(f"{company.base}/calls", limit=1000)["items"]
        except Exception:
            return False
        return len(items) == 40 and len({item["uid"] for item in items}) == 40

    eventually(all_there, 15)
    eventually(lambda: not own.calls_in_progress())


def test_rtpengine_killed(own: Exchange, company: Company) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    recorded = company.main({"kind": "user", "user": bo.user}, record=True)
    with company.phone(anna, answering()) as plain_phone, \
            incoming(own, company.e164(101), talk_ms=4000) as plain, \
            company.phone(bo, answering()) as bo_phone, \
            Sipp(calling("+46701112233", 200, hangs_up=False), address="127.0.0.2",
                 remote=own.sip, service=recorded) as bo_line:
        plain_phone.started_receiving("ACK")
        eventually(lambda: media_sessions(own) == 1)
        victim = own.pids("rtpengine")[0]
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: [p for p in own.pids("rtpengine") if p != victim]
                   and own.live.media_up == 1, BACK_S)
        assert time.monotonic() - began < BACK_S
        plain.done()  # a call that did not pass the dead part goes on
        plain_phone.done()
        # One that did has no media any more: both sides are told.
        eventually(lambda: any(item["ended_by"] == "lost" for item in company.client.get(
            f"{company.base}/calls")["items"]), 20)
        bo_phone.done(10)
        bo_line.done(10)
    telephone = company.telephone("103")
    number = company.main({"kind": "user", "user": telephone.user}, 1, record=True)
    with company.phone(telephone, answering()) as phone, incoming(own, number) as line:
        line.done()
        phone.done()
    assert company.newest_call(3)["recorded"]


def test_a_silent_rtpengine_costs_a_worker_at_most_100_ms(own: Exchange,
                                                          company: Company) -> None:
    company.client.patch(company.base, {"media": "always"})
    anna = company.telephone("101", call_waiting=True)
    node = own.pids("rtpengine")[0]
    with company.phone(anna, answering(), calls=10) as phone:
        os.kill(node, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with incoming(own, company.e164(101), 50, calls=10, rate=20) as line:
                eventually(lambda: own.live.media_up == 0, 2)
                out_of_use_s = time.monotonic() - began
                line.done()
                waited_s = phone.first_time("received", "INVITE") - line.first_time(
                    "sent", "INVITE")
            phone.done()
        finally:
            os.kill(node, signal.SIGCONT)
    assert out_of_use_s < 1.5, f"out of use after {out_of_use_s:.2f} s"
    assert own.live.counter(5) >= 1  # counted
    eventually(lambda: own.live.media_up == 1, 5)
    # The first call of all met the silent node: what the edge held it for is the worker's wait.
    assert waited_s < 0.1 + SLACK_S, f"the INVITE was held for {waited_s * 1000:.0f} ms"
    assert waited_s > 0.03, "the node was not asked: this shows nothing"


def test_a_corrupt_snapshot_is_refused(own: Exchange, company: Company) -> None:
    anna = company.telephone("101")
    before = mapping.generation_in_force(own.state)
    bad = before + 1
    body = bytearray((own.state / f"base.{before}").read_bytes())
    body[len(body) // 2] ^= 0xFF
    (own.state / f"base.{bad}").write_bytes(body)
    (own.state / f"overlay.{bad}").write_bytes((own.state / f"overlay.{before}").read_bytes())
    refused = own.live.counter(7)
    mapping.put_in_force(own.state, bad)
    try:
        with company.phone(anna, answering()) as phone, \
                incoming(own, company.e164(101)) as line:
            line.done()
            phone.done()
        assert own.live.counter(7) > refused
    finally:
        mapping.put_in_force(own.state, before)
        (own.state / f"base.{bad}").unlink()
        (own.state / f"overlay.{bad}").unlink()


def test_recording_is_kept_when_rtpengine_is_killed(own: Exchange, company: Company) -> None:
    anna = company.telephone("101")
    number = company.main({"kind": "user", "user": anna.user}, record=True)
    folder = own.state / "phones"
    with Phone(folder / "carrier", "+46701112233", "", own.sip, tone_hz=700,
               address="127.0.0.2", register=False, answer="auto") as carrier, \
            Phone(folder / "anna", anna.username, anna.secret, own.sip, tone_hz=500,
                  answer="auto"):
        carrier.dial(number)
        carrier.wait("CALL_ESTABLISHED")
        time.sleep(4)
        os.kill(own.pids("rtpengine")[0], signal.SIGKILL)
        uid = eventually(lambda: company.client.get(f"{company.base}/calls")["items"], 25)[0]["uid"]
    path = eventually(lambda: list(own.state.glob(f"recordings/*/{uid}.flac")), 30)[0]
    assert loudest(path, 0) == 700 and loudest(path, 1) == 500
    answer = company.client._http.get(f"/calls/{uid}/recording")
    assert answer.status_code == 200 and answer.content[:4] == b"fLaC"
