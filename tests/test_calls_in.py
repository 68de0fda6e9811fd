"""Calls from a carrier: numbers, groups, presence, forwarding, hours. Real Kamailio and SIPp."""

import time

import pytest

from tests.exchange import Company, Exchange, eventually
from tests.sipp import Sipp, answering, calling, header, refusing, ringing, silent

CALLER = "+46701112233"


@pytest.fixture(scope="session")
def carrier(exchange: Exchange) -> str:
    """The address of a trunk over which calls come."""
    exchange.trunk("127.0.0.2", 5060)
    return "127.0.0.2"


def call(exchange: Exchange, number: str, expect: int, *, caller: str = CALLER, more: str = "",
         talk_ms: int = 200, cancel_ms: int = 0, source: str = "127.0.0.2") -> Sipp:
    """A carrier's SIPp that calls the number."""
    return Sipp(calling(caller, expect, more=more, talk_ms=talk_ms, cancel_ms=cancel_ms),
                address=source, remote=exchange.sip, service=number)


def test_direct_number_rings_the_user(exchange: Exchange, company: Company, carrier: str) -> None:
    bo = company.telephone("101")
    with company.phone(bo, answering()) as phone, \
            call(exchange, company.e164(101), 200) as line:
        line.done()
        phone.done()
    record = company.newest_call()
    assert (record["caller"], record["answerer"], record["direction"]) == (CALLER, bo.user, "in")
    assert record["answered_ms"] >= record["started_ms"] and record["ended_by"] == "caller"
    assert company.client.get(f"/calls/{record['uid']}/replay")["faithful"]


@pytest.mark.parametrize("dialled", ["+468{}0101", "00468{}0101", "08{}0101", "468{}0101"])
def test_national_dial_habits(exchange: Exchange, company: Company, carrier: str,
                              dialled: str) -> None:
    bo = company.telephone("101")
    with company.phone(bo, answering()) as phone, \
            call(exchange, dialled.format(company.series), 200) as line:
        line.done()
        phone.done()


def test_several_devices_of_a_user_ring(exchange: Exchange, company: Company,
                                        carrier: str) -> None:
    desk = company.telephone("101")
    soft = company.telephone("101", kind="soft", user=desk.user)
    with company.phone(desk, ringing()) as first, company.phone(soft, answering()) as second, \
            call(exchange, company.e164(101), 200) as line:
        line.done()
        second.done()
        first.done()
        assert "Call completed elsewhere" in header(first.received("CANCEL")[0], "Reason")


def test_parallel_group_answered_elsewhere(exchange: Exchange, company: Company,
                                           carrier: str) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    number = company.main({"kind": "group", "group": company.group([anna, bo])})
    with company.phone(anna, ringing()) as loser, company.phone(bo, answering()) as winner, \
            call(exchange, number, 200) as line:
        line.done()
        winner.done()
        loser.done()
        assert "cause=200" in header(loser.received("CANCEL")[0], "Reason")
    record = company.newest_call()
    assert record["answerer"] == bo.user and set(record["rang"]) == {anna.user, bo.user}
    log = company.client.get(f"{company.base}/users/{anna.user}/calls")["items"]
    assert [entry["role"] for entry in log] == ["answered_elsewhere"]


def test_serial_group_goes_on(exchange: Exchange, company: Company, carrier: str) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    number = company.main({"kind": "group", "group": company.group([anna, bo], "serial")})
    with company.phone(anna, refusing("486 Busy Here")) as first, \
            company.phone(bo, answering()) as second, call(exchange, number, 200) as line:
        line.done()
        first.done()
        second.done()
    assert company.newest_call()["answerer"] == bo.user


def test_serial_group_after_the_ring_time(exchange: Exchange, company: Company,
                                          carrier: str) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    number = company.main({"kind": "group", "group": company.group([anna, bo], "serial")})
    with company.phone(anna, ringing()) as first, company.phone(bo, answering()) as second, \
            call(exchange, number, 200) as line:
        line.done()
        first.done()
        second.done()


def test_random_group_rings_one(exchange: Exchange, company: Company, carrier: str) -> None:
    phones = [company.telephone(str(extension)) for extension in range(101, 104)]
    group = company.group(phones, "random")
    number = company.main({"kind": "group", "group": group})
    for telephone in phones[1:]:
        company.presence(telephone, company.activity(f"away {telephone.extension}"))
    with company.phone(phones[0], answering()) as phone, call(exchange, number, 200) as line:
        line.done()
        phone.done()
    assert company.newest_call()["rang"] == [phones[0].user]


def test_group_without_anybody_goes_elsewhere(exchange: Exchange, company: Company,
                                              carrier: str) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    group = company.group([anna], nobody={"kind": "user", "user": bo.user})
    number = company.main({"kind": "group", "group": group})
    member = company.client.get(f"{company.base}/members", ring_group=group)["items"][0]["id"]
    company.client.put(f"{company.base}/members/{member}/login", {"logged_in": False})
    with company.phone(bo, answering()) as phone, call(exchange, number, 200) as line:
        line.done()
        phone.done()


def test_group_after_its_attempts_goes_elsewhere(exchange: Exchange, company: Company,
                                                 carrier: str) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    group = company.group([anna], no_answer={"kind": "user", "user": bo.user})
    number = company.main({"kind": "group", "group": group})
    with company.phone(anna, ringing()) as first, company.phone(bo, answering()) as second, \
            call(exchange, number, 200) as line:
        line.done()
        first.done()
        second.done()


def test_meeting_until_forwards_and_then_does_not(exchange: Exchange, company: Company,
                                                  carrier: str) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    meeting = company.activity()
    company.forward(anna, "activity", {"kind": "user", "user": bo.user}, activity=meeting)
    company.presence(anna, meeting, int(time.time()) + 4)
    with company.phone(bo, answering()) as phone, \
            call(exchange, company.e164(101), 200) as line:
        line.done()
        phone.done()
    eventually(lambda: company.client.get(
        f"{company.base}/users/{anna.user}/presence")["name"] == "available")
    with company.phone(anna, answering()) as phone, \
            call(exchange, company.e164(101), 200) as line:
        line.done()
        phone.done()


def test_away_without_a_forward_is_told(exchange: Exchange, company: Company,
                                        carrier: str) -> None:
    anna = company.telephone("101")
    company.presence(anna, company.activity("vacation"))
    with call(exchange, company.e164(101), 200) as line:
        line.done()
    record = company.newest_call()
    assert record["answerer"] is None and record["answered_ms"]


def test_vip_gets_through_and_blocked_does_not(exchange: Exchange, company: Company,
                                               carrier: str) -> None:
    anna = company.telephone("101")
    company.presence(anna, company.activity())
    company.post("caller-rules", {"user": anna.user, "number": "+46709999999", "rule": "vip"})
    company.post("caller-rules", {"user": anna.user, "number": "+46708888888",
                                  "rule": "blocked"})
    with company.phone(anna, answering()) as phone, \
            call(exchange, company.e164(101), 200, caller="+46709999999") as line:
        line.done()
        phone.done()
    company.presence(anna, None)
    with call(exchange, company.e164(101), 603, caller="+46708888888") as line:
        line.done()


def test_closed_by_hand_by_holiday_and_by_rule(exchange: Exchange, company: Company,
                                               carrier: str) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    hours = company.post("schedules", {"name": "Hours", "rules": [
        {"kind": "daily", "open": True}, {"kind": "holiday", "open": False, "priority": 5}]})["id"]
    number = company.main({"kind": "user", "user": anna.user}, schedule=hours,
                          closed_target={"kind": "user", "user": bo.user})
    path = f"{company.base}/schedules/{hours}"
    explained = company.client.get("/explain", **{"from": CALLER, "to": number,
                                                  "at": "2026-12-25T10:00"})
    assert any("closed: rule 2 decides" in line for line in explained["attempts"][0]["lines"])
    for change, telephone in (
            ({"state": "closed"}, bo), ({"state": "open"}, anna),
            ({"state": "auto", "rules": [{"kind": "daily", "open": False}]}, bo)):
        company.client.patch(path, change)
        with company.phone(telephone, answering()) as phone, \
                call(exchange, number, 200) as line:
            line.done()
            phone.done()
    row = company.client.get(f"{company.base}/numbers", e164=number)["items"][0]["id"]
    company.client.patch(f"{company.base}/numbers/{row}", {"closed_target": None})
    with call(exchange, number, 480) as line:
        line.done()


@pytest.mark.parametrize(("event", "scenario"), [
    ("busy", refusing("486 Busy Here")), ("no_answer", ringing()), ("unreachable", silent()),
    ("unreachable", refusing("480 Temporarily Unavailable")),
])
def test_each_failure_has_its_own_target(exchange: Exchange, company: Company, carrier: str,
                                         event: str, scenario: str) -> None:
    anna = company.telephone("101", ring_s=3)
    others = {name: company.telephone(extension) for name, extension in (
        ("busy", "102"), ("no_answer", "103"), ("unreachable", "104"))}
    for name, telephone in others.items():
        company.forward(anna, name, {"kind": "user", "user": telephone.user})
    with company.phone(anna, scenario), company.phone(others[event], answering()) as phone, \
            call(exchange, company.e164(101), 200) as line:
        line.done()
        phone.done()
    assert company.newest_call()["answerer"] == others[event].user


def test_unregistered_is_unreachable(exchange: Exchange, company: Company, carrier: str) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    company.forward(anna, "unreachable", {"kind": "user", "user": bo.user})
    with company.phone(bo, answering()) as phone, \
            call(exchange, company.e164(101), 200) as line:
        line.done()
        phone.done()


def test_the_phone_redirects(exchange: Exchange, company: Company, carrier: str) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    scenario = refusing("302 Moved Temporarily", f"Contact: <sip:{bo.extension}@anywhere>").replace(
        "Contact: <sip:[local_ip]:[local_port];transport=[transport]>\n", "", 2)
    with company.phone(anna, scenario), company.phone(bo, answering()) as phone, \
            call(exchange, company.e164(101), 200) as line:
        line.done()
        phone.done()


def test_busy_line_without_call_waiting(exchange: Exchange, company: Company,
                                        carrier: str) -> None:
    anna = company.telephone("101")
    with company.phone(anna, answering()) as phone, \
            call(exchange, company.e164(101), 200, talk_ms=1500) as line:
        eventually(lambda: company.client.get(
            f"{company.base}/users/{anna.user}/presence")["line"] == "in_call")
        with call(exchange, company.e164(101), 486) as second:
            second.done()
        line.done()
        phone.done()
    assert company.client.get(f"{company.base}/users/{anna.user}/presence")["line"] == "idle"


def test_forwarding_loop_is_refused_with_a_reason(exchange: Exchange, company: Company,
                                                  carrier: str) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    company.forward(anna, "always", {"kind": "user", "user": bo.user})
    company.forward(bo, "always", {"kind": "user", "user": anna.user})
    with call(exchange, company.e164(101), 482) as line:
        line.done()
        assert "forwarding loop" in header(line.received("SIP/2.0 482")[0], "Warning")


def test_caller_hangs_up_while_it_rings(exchange: Exchange, company: Company,
                                        carrier: str) -> None:
    anna = company.telephone("101")
    with company.phone(anna, ringing()) as phone, \
            call(exchange, company.e164(101), 487, cancel_ms=300) as line:
        phone.started_receiving("INVITE")
        assert eventually(lambda: company.client.get(
            f"{company.base}/users/{anna.user}/presence")["line"] == "ringing")
        line.done()
        phone.done()
    assert company.newest_call()["ended_by"] == "cancelled"
    log = company.client.get(f"{company.base}/users/{anna.user}/calls")["items"]
    assert [entry["role"] for entry in log] == ["missed"]


def test_change_while_calls_run(exchange: Exchange, company: Company, carrier: str) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    number = company.main({"kind": "user", "user": anna.user})
    row = company.client.get(f"{company.base}/numbers", e164=number)["items"][0]["id"]
    with company.phone(anna, answering()) as first, \
            call(exchange, number, 200, talk_ms=1500) as running:
        first.started_receiving("ACK")
        company.client.patch(f"{company.base}/numbers/{row}",
                             {"target": {"kind": "user", "user": bo.user}})
        with company.phone(bo, answering()) as second, call(exchange, number, 200) as line:
            line.done()
            second.done()
        running.done()
        first.done()


def test_two_tenants_with_the_same_extension(exchange: Exchange, carrier: str) -> None:
    one, other = exchange.company(), exchange.company()
    mine, same, theirs = one.telephone("101"), one.telephone("102"), other.telephone("102")
    with one.phone(same, answering()) as phone, other.phone(theirs, silent()) as stranger, \
            Sipp(calling(mine.username, 200, password=mine.secret), remote=exchange.sip,
                 service="102") as line:
        line.done()
        phone.done()
        assert not stranger.received("INVITE")
    assert not other.client.get(f"{other.base}/calls")["items"]


def test_unknown_number_and_unknown_source(exchange: Exchange, company: Company,
                                           carrier: str) -> None:
    with call(exchange, "+46899999999", 404) as line:
        line.done()
    with call(exchange, company.e164(101), 407, source="127.0.0.9") as line:
        line.done()
