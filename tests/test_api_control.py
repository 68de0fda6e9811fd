"""Calls in progress through the API (C1 to C9, R1): what the attendant page and others use."""

import asyncio
from typing import Any

import httpx

from tests.exchange import Company, Exchange, eventually, refused
from tests.softphone import Softphone


async def request(company: Company, method: str, path: str, body: Any = None) -> httpx.Response:
    """Without stopping the telephones, which are in this loop."""
    return await asyncio.to_thread(
        company.client._http.request, method, f"{company.base}/calls/live{path}", json=body)


async def live(company: Company) -> list[dict[str, Any]]:
    """The calls in progress."""
    answer = await request(company, "GET", "")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_click_to_call_transfer_record_and_hang_up(exchange: Exchange, company: Company) -> None:
    anna = company.telephone("101", call_functions=True)
    bo, cia = company.telephone("102"), company.telephone("103")

    async def play() -> str:
        async with Softphone(exchange, anna, 500) as one, Softphone(exchange, bo, 800) as two, \
                Softphone(exchange, cia, 1100) as three:
            made = await request(company, "POST", "", {
                "user": anna.user, "target": {"kind": "user", "user": bo.user}})
            assert made.status_code == 201, made.text
            uid = str(made.json()["uid"])
            first = await one.incoming()
            first.answer()
            second = await two.incoming()
            second.ring()
            second.answer()
            await second.hears(500)
            await first.hears(800)
            (call,) = await live(company)
            assert (call["uid"], call["state"], call["control"]) == (uid, "talking", True)
            assert {side["user"] for side in call["sides"]} == {anna.user, bo.user}

            started = await request(company, "POST", f"/{uid}/record_start", {})
            assert started.status_code == 200, started.text
            assert (await live(company))[0]["recording"] == "on"
            assert (await request(company, "POST", f"/{uid}/record_pause", {})).json() \
                == {"state": "paused"}

            moved = await request(company, "POST", f"/{uid}/transfer", {
                "user": anna.user, "dial": "103"})
            assert moved.status_code == 200, moved.text
            third = await three.incoming()
            third.answer()
            await third.hears(800)
            await first.ended()
            assert (await request(company, "POST", f"/{uid}/hang_up", {})).status_code == 200
            await second.ended()
            await third.ended()
            return uid

    uid = asyncio.run(play())
    eventually(lambda: exchange.calls_in_progress() == [])
    kinds = [event["kind"] for event in company.client.get(f"{company.base}/events")["items"]]
    assert kinds.index("began") < kinds.index("connected") < kinds.index("recording") \
        < kinds.index("transferred") < kinds.index("ended")
    record = eventually(lambda: company.client.get(f"{company.base}/calls")["items"])[0]
    assert record["uid"] == uid
    legs = company.client.get(f"/calls/{uid}")["legs"]
    assert {leg["answerer"] for leg in legs} == {bo.user, cia.user}


def test_a_proxied_call_is_listed_but_takes_no_commands(exchange: Exchange,
                                                        company: Company) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")

    async def play() -> None:
        async with Softphone(exchange, anna, 500) as one, Softphone(exchange, bo, 800) as two:
            calling = await one.dial("102")
            (await two.incoming()).answer()
            await calling.answered()
            (call,) = await live(company)
            assert not call["control"] and call["state"] == "talking"
            assert (await request(company, "POST", f"/{call['uid']}/hang_up", {})).status_code \
                == 404
            await calling.hang_up()

    asyncio.run(play())
    eventually(lambda: exchange.calls_in_progress() == [])


def test_what_cannot_be_asked(exchange: Exchange, company: Company) -> None:
    anna = company.telephone("101")
    stranger = exchange.company().telephone("101")
    path = f"{company.base}/calls/live"
    for body, field in (
            ({"user": anna.user}, "target"), ({"user": anna.user, "dial": "1", "target":
             {"kind": "user", "user": anna.user}}, "target"),
            ({"user": anna.user, "device": stranger.device, "dial": "1"}, None),
            ({"user": stranger.user, "dial": "101"}, None),
            ({"user": anna.user, "target": {"kind": "user", "user": stranger.user}}, None),
            ({"user": anna.user, "dial": "10\n1"}, None), ({"user": anna.user, "dial": 5}, None),
            ({"user": anna.user, "dial": "101", "more": 1}, None)):
        problem = refused(company.client, "POST", path, body)
        assert field is None or problem.get("field") == field, problem
    assert refused(company.client, "POST", f"{path}/{'0' * 28}/transfer",
                   {"dial": "101"})["status"] == 404
    assert refused(company.client, "POST", f"{path}/{'0' * 28}/explode", {})["status"] == 404
    assert exchange.calls_in_progress() == []
