"""Messages, menus, callback menus, referral and what a busy person's caller is offered: real calls,
and what the caller hears."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from callcontrol import words
from tests.exchange import Company, Exchange
from tests.listening import (
    LANGUAGE,
    Lines,
    at_rest,
    bursts,
    events,
    faults,
    incoming,
    line_tone,
    lines,
    menu,
    message,
    phrase,
    prompt,
    real,
    says,
    seconds_of,
    service,
    soon,
    talk,
    to,
    user,
)
from tests.softphone import Call, Carrier, Softphone

CALLER = "+46701112233"
OUTSIDE = "+46855500001"


@pytest.fixture(scope="module")
def trunk(exchange: Exchange) -> Lines:
    """Calls come and go over it."""
    return lines(exchange, "127.0.0.41")


@pytest.fixture(autouse=True)
def nothing_is_left(exchange: Exchange) -> Iterator[None]:
    """Of any test here."""
    yield
    at_rest(exchange)


# -- messages (I1, I7) -------------------------------------------------------------------------

@real
async def test_welcome_then_group(exchange: Exchange, company: Company, trunk: Lines) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    group = company.group([anna, bo])
    number = company.main(to(message(company, prompt(company, 400), {
        "kind": "group", "group": group})))
    async with Softphone(exchange, anna) as a, Softphone(exchange, bo, 800) as b, \
            trunk.carrier(exchange) as carrier:
        line = await carrier.dial(number)
        await line.hears(400)
        first, second = await incoming(a), await incoming(b)
        assert line.state == "up"
        second.answer()
        await talk(line, second)
        await first.ended()
        await line.hang_up()
        await second.ended()
    assert [event["data"]["name"] for event in events(company, "service")] == ["PlayMessage"]


@real
async def test_messages_in_a_chain_then_a_person(exchange: Exchange, company: Company,
                                                 trunk: Lines) -> None:
    anna = company.telephone("101")
    last = message(company, prompt(company, 700, 0.7), user(anna))
    middle = message(company, prompt(company, text="Välkommen till provet."), to(last))
    number = company.main(to(message(company, prompt(company, 400, 0.7), to(middle))))
    async with Softphone(exchange, anna) as a, trunk.carrier(exchange) as carrier:
        line = await carrier.dial(number)
        await line.hears(400)
        await line.hears(700)
        await says(line, "Välkommen till provet.")
        ringing = await incoming(a)
        await line_tone(line)
        ringing.answer()
        await talk(line, ringing)
        await ringing.hang_up()
        await line.ended()


@real
async def test_closed_message_by_schedule(exchange: Exchange, company: Company,
                                          trunk: Lines) -> None:
    anna = company.telephone("101")
    closed = message(company, prompt(company, 500, 0.7))
    hours = company.post("schedules", {"name": "Hours", "state": "closed", "rules": []})["id"]
    number = company.main(user(anna), schedule=hours, closed_target=to(closed))
    async with Softphone(exchange, anna) as a, trunk.carrier(exchange) as carrier:
        line = await carrier.dial(number)
        await line.hears(500)
        await line.ended()
        company.client.patch(f"{company.base}/schedules/{hours}", {"state": "open"})
        line = await carrier.dial(number)
        ringing = await incoming(a)
        ringing.answer()
        await talk(line, ringing)
        await line.hang_up()
    record = company.client.get(f"{company.base}/calls")["items"]
    assert all(one["caller"] == CALLER for one in record)


@real
async def test_a_service_has_an_extension(exchange: Exchange, company: Company) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    menu(company, prompt(company, 400, 5), {"1": user(bo)}, extension="300")
    async with Softphone(exchange, anna) as a, Softphone(exchange, bo, 800) as b:
        line = await a.dial("300")
        await line.hears(400)
        line.press("1")
        called = await incoming(b)
        called.answer()
        await talk(line, called)
        await called.hang_up()
        await line.ended()


# -- menus (I2) --------------------------------------------------------------------------------

@real
async def test_a_key_leads_to_everything(exchange: Exchange, company: Company,
                                         trunk: Lines) -> None:
    company.client.post("/routes", {"tenant": company.id, "trunk": trunk.trunk})
    anna, bo = company.telephone("101"), company.telephone("102")
    box = service(company, "mailbox", user=anna.user, greeting="own",
                  prompt=prompt(company, 900, 5))
    inner = menu(company, prompt(company, 700, 5), {"1": user(anna)})
    number = company.main(to(menu(company, prompt(company, 400, 20), {
        "1": user(anna), "2": {"kind": "group", "group": company.group([bo])},
        "3": to(message(company, prompt(company, 500))), "4": to(inner), "5": to(box),
        "6": {"kind": "number", "text": OUTSIDE}, "*": {"kind": "busy"}})))
    async with Softphone(exchange, anna) as a, Softphone(exchange, bo, 800) as b, \
            trunk.carrier(exchange) as carrier:
        async def choose(key: str) -> Call:
            line = await carrier.dial(number)
            await line.hears(400)
            line.press(key)
            return line

        async def person(key: str, phone: Softphone) -> None:
            line = await choose(key)
            called = await incoming(phone)
            called.answer()
            await talk(line, called)
            await line.hang_up()
            await called.ended()

        async def sound(key: str, hz: int) -> None:
            line = await choose(key)
            await line.hears(hz)
            await line.hang_up()

        async def busy() -> None:
            line = await choose("*")
            await line_tone(line)
            await line.ended()

        await asyncio.gather(person("1", a), person("2", b), sound("3", 500), sound("4", 700),
                             sound("5", 900), busy())
        line = await choose("6")
        called = await incoming(carrier)
        assert OUTSIDE[1:] in called.invite.start
        called.answer()
        await asyncio.gather(line.hears(1400), called.hears(1400))
        await called.hang_up()
        await line.ended()
    keys = sorted(event["data"]["key"] for event in events(company, "menu"))
    assert keys == ["*", "1", "2", "3", "4", "5", "6"]


@real
async def test_a_key_interrupts_the_prompt_at_once(exchange: Exchange, company: Company,
                                                   trunk: Lines) -> None:
    after = message(company, prompt(company, 700, 5))
    number = company.main(to(menu(company, prompt(company, 400, 30), {"1": to(after)})))
    async with trunk.carrier(exchange) as carrier:
        for by_info in (False, True):
            line = await carrier.dial(number)
            await line.hears(400)
            if by_info:
                assert await line.info("1") == 200
            else:
                line.press("1")
            began = time.monotonic()
            await line.hears(700)
            assert time.monotonic() - began < 1.5
            await line.hang_up()


@real
async def test_wrong_keys_and_the_way_out(exchange: Exchange, company: Company,
                                          trunk: Lines) -> None:
    out = message(company, prompt(company, 900, 3))
    choices = {"1": {"kind": "busy"}}
    first = company.main(to(menu(company, prompt(company, 400, 0.6), choices, tries=2,
                                 otherwise=to(out))))
    second = company.main(to(menu(
        company, prompt(company, 500, 0.6), choices, tries=3, otherwise=to(out),
        invalid_prompt=prompt(company, 700, 0.6))), 1)
    async with trunk.carrier(exchange) as carrier:
        async def words_of_ours() -> None:
            line = await carrier.dial(first)
            await line.hears(400)
            line.press("7")
            await says(line, phrase("not_understood"))
            line.press("#")
            await line.hears(900)
            await line.hang_up()

        async def own_prompt() -> None:
            line = await carrier.dial(second)
            for key in "9*0":
                await line.hears(500)
                line.press(key)
                await line.hears(700)
            await line.hears(900)
            assert bursts(line.heard, 500) == bursts(line.heard, 700) == 3
            await line.hang_up()

        await asyncio.gather(words_of_ours(), own_prompt())


@real
async def test_a_menu_hears_a_key_that_comes_both_ways_once(exchange: Exchange, company: Company,
                                                            trunk: Lines) -> None:
    """The second telling of the first key chose in the second menu."""
    end, wrong = (message(company, prompt(company, hz, 20)) for hz in (900, 700))
    inner = menu(company, prompt(company, 500, 20), {"1": to(wrong), "2": to(end)})
    number = company.main(to(menu(company, prompt(company, 400, 20), {"1": to(inner)})))
    async with trunk.carrier(exchange) as carrier:
        line = await carrier.dial(number)
        await line.hears(400)
        line.press("1")
        await asyncio.gather(line.info("1"), line.hears(500))
        assert await line.info("2") == 200
        line.press("2")
        await line.hears(900)
        await line.hang_up()

@real
async def test_no_key_repeats_and_ends(exchange: Exchange, company: Company,
                                       trunk: Lines) -> None:
    out = message(company, prompt(company, 900, 1))
    tone = prompt(company, 400, 0.5)
    choices = {"1": {"kind": "busy"}}
    first = company.main(to(menu(company, tone, choices, tries=3, otherwise=to(out))))
    second = company.main(to(menu(company, tone, choices, tries=1)), 1)
    async with trunk.carrier(exchange) as carrier:
        async def otherwise() -> None:
            line = await carrier.dial(first)
            await line.hears(900)
            assert 1.3 < seconds_of(line.heard, 400) < 1.6  # three times
            await line.ended()

        async def goodbye() -> None:
            line = await carrier.dial(second)
            await says(line, phrase("goodbye"))
            assert seconds_of(line.heard, 400) < 0.6
            await line.ended()

        await asyncio.gather(otherwise(), goodbye())


@real
async def test_an_extension_dialled_in_the_menu(exchange: Exchange, company: Company,
                                                trunk: Lines) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    number = company.main(to(menu(
        company, prompt(company, 400, 20), {"1": user(bo)}, extensions=True, tries=2,
        otherwise=to(message(company, prompt(company, 900, 5))))))
    async with Softphone(exchange, anna) as a, Softphone(exchange, bo, 800) as b, \
            trunk.carrier(exchange) as carrier:
        async def reach(keys: str, phone: Softphone) -> None:
            line = await carrier.dial(number)
            await line.hears(400)
            line.press(keys)
            called = await incoming(phone)
            called.answer()
            await talk(line, called)
            await line.hang_up()
            await called.ended()

        async def nobody() -> None:
            line = await carrier.dial(number)
            await line.hears(400)
            line.press("199")
            await says(line, phrase("not_understood"), first_s=1.5)
            await line.hears(400)
            line.press("8")
            await says(line, phrase("not_understood"), since=time.monotonic(), first_s=1.5)
            await line.hears(900)
            await line.hang_up()

        await asyncio.gather(reach("101", a), reach("1", b), nobody())


@real
async def test_a_menu_round_and_round_is_bounded(exchange: Exchange, company: Company,
                                                 trunk: Lines) -> None:
    tone = prompt(company, 400, 20)
    round_ = menu(company, tone, {"2": {"kind": "busy"}})
    company.client.patch(f"{company.base}/services/{round_}", {"settings": {
        "type": "menu", "prompt": tone, "choices": [{"key": "1", "target": to(round_)}]}})
    before = (await faults(exchange))["service_loop"]
    async with trunk.carrier(exchange) as carrier:
        line = await carrier.dial(company.main(to(round_)))
        await line.hears(400)
        for _ in range(70):
            if line.state != "up":
                break
            await line.info("1")
        await line.ended()
    assert (await faults(exchange))["service_loop"] == before + 1
    assert await soon(lambda: 45 <= len(events(company, "menu")) <= 50, "a menu's events")


@real
async def test_endless_keys_disturb_nobody(exchange: Exchange, company: Company,
                                           trunk: Lines) -> None:
    after = menu(company, prompt(company, 700, 20), {"5": to(message(
        company, prompt(company, 900, 20)))})
    number = company.main(to(message(company, prompt(company, 400, 4), to(after))))
    quick = company.main(to(message(company, prompt(company, 500, 20))), 1)
    async with trunk.carrier(exchange) as carrier:
        line = await carrier.dial(number)
        await line.hears(400)

        async def flood() -> None:
            for _ in range(40):
                await asyncio.gather(*(line.info("9") for _ in range(50)))

        async def neighbour() -> None:
            for _ in range(3):
                other = await carrier.dial(quick)
                await other.hears(500, seconds=3)
                await other.hang_up()

        await asyncio.gather(flood(), neighbour())
        await says(line, phrase("not_understood"))  # of what was typed ahead
        await line.hears(700)
        line.press("5")
        await line.hears(900)
        await line.hang_up()


@real
async def test_a_caller_who_never_sends_anything(exchange: Exchange, company: Company,
                                                 trunk: Lines) -> None:
    anna = company.telephone("101")
    number = company.main(to(menu(company, prompt(company, 400, 0.6), {"1": user(anna)}, tries=2,
                                  otherwise=to(message(company, prompt(company, 700))))))
    async with Softphone(exchange, anna) as a, trunk.carrier(exchange) as carrier:
        carrier.mute = True
        line = await carrier.dial(number)
        await line.hears(400)
        await line.hears(700)
        await line.ended()
        line = await carrier.dial(number)
        await line.hears(400)
        assert await line.info("1") == 200
        called = await incoming(a)
        called.answer()
        await line.hears(600)
        await line.hang_up()
        await called.ended()


# -- prompts that are not there (I3) -----------------------------------------------------------

@real
async def test_a_missing_prompt_is_counted_and_the_call_goes_on(
        exchange: Exchange, company: Company, trunk: Lines) -> None:
    anna = company.telephone("101")
    nothing, lost = prompt(company), prompt(company, 1100, 1.23)
    spoken = prompt(company, 1300, 1.23, text="Detta sägs i stället.")
    before = (await faults(exchange))["prompt_missing"]
    for each in (lost, spoken):
        row = company.client.get(f"{company.base}/prompts/{each}")
        shutil.rmtree(exchange.state / "prompts" / row["sha256"])
    last = menu(company, nothing, {"1": user(anna)}, first_digit_s=5)
    number = company.main(to(message(company, nothing, to(message(company, lost, to(message(
        company, spoken, to(last))))))))
    async with Softphone(exchange, anna) as a, trunk.carrier(exchange) as carrier:
        line = await carrier.dial(number)
        await says(line, "Detta sägs i stället.")
        line.press("1")
        called = await incoming(a)
        called.answer()
        await talk(line, called)
        await line.hang_up()
        await called.ended()
    assert (await faults(exchange))["prompt_missing"] == before + 4


# -- callback menu (I6) ------------------------------------------------------------------------

@real
async def test_a_number_is_kept_to_be_called(exchange: Exchange, company: Company,
                                             trunk: Lines) -> None:
    ask = service(company, "callback_menu", prompt=prompt(company, 400, 0.6))
    number = company.main(to(ask))
    listed = f"{company.base}/callbacks"
    async with trunk.carrier(exchange) as carrier:
        async def confirmed() -> None:
            line = await carrier.dial(number)
            await line.hears(400)
            await says(line, phrase("callback_ask_number"), first_s=1.5)
            line.press("0701234567#")
            await says(line, phrase("callback_confirm", number="0701234567"))
            line.press("1")
            await says(line, phrase("callback_saved"))
            await line.ended()

        async def mistyped() -> None:
            line = await carrier.dial(number)
            await line.hears(400)
            line.press("081234568#")
            await says(line, phrase("callback_confirm", number="081234568"), first_s=3)
            line.press("2")
            await line.hears(400)
            line.press("081234567#")
            await says(line, phrase("callback_confirm", number="081234567"), first_s=3)
            line.press("1")
            await says(line, phrase("callback_saved"))
            await line.ended()

        async def never_right() -> None:
            line = await carrier.dial(number)
            for wrong in ("08*123456#", "0900123456#", "112#"):
                mark = time.monotonic()
                await line.hears(400)
                line.press(wrong)
                await says(line, phrase("not_understood"), since=mark, first_s=1.2)
            await says(line, phrase("goodbye"))
            await line.ended()

        async def gone_before_confirming() -> None:
            line = await carrier.dial(number)
            await line.hears(400)
            line.press("0709999999#")
            await says(line, phrase("callback_confirm", number="0709999999"), first_s=3)
            await line.hang_up()

        await asyncio.gather(confirmed(), mistyped(), never_right(), gone_before_confirming())
    found = company.client.get(listed, service=ask)["items"]
    assert sorted(one["number"] for one in found) == ["0701234567", "081234567"]
    assert {one["caller"] for one in found} == {CALLER}
    company.client.patch(f"{listed}/{found[0]['id']}", {"done": True})
    left = company.client.get(listed, open="true")["items"]
    assert [one["id"] for one in left] == [found[1]["id"]]


# -- referral (P2) -----------------------------------------------------------------------------

@real
async def test_referral_says_what_and_offers_choices(exchange: Exchange, company: Company,
                                                 trunk: Lines) -> None:
    anna, bo = company.telephone("101", name="Anna Ek"), company.telephone("102", name="Bo Dal")
    zone = ZoneInfo("Europe/Stockholm")
    until = int(time.time()) // 60 * 60 + 3 * 86400
    company.presence(anna, company.activity("meeting", code="1"), until)
    company.presence(bo, company.activity("Sjösätta båten", code="2"))
    now = datetime.now(zone)
    hers = words.away("Anna Ek", "meeting", datetime.fromtimestamp(until, zone), now, LANGUAGE)
    his = words.away("Bo Dal", "Sjösätta båten", None, now, LANGUAGE)
    async with trunk.carrier(exchange) as carrier:
        async def hear(extension: int, text: str) -> None:
            line = await carrier.dial(company.e164(extension))
            await says(line, text)
            await says(line, phrase("goodbye"))
            await line.ended(15)

        await asyncio.gather(hear(101, hers), hear(102, his),
                             choices(exchange, exchange.company(), carrier))


async def choices(exchange: Exchange, company: Company, carrier: Carrier) -> None:
    """What a caller may do instead."""
    bo, cia = company.telephone("102"), company.telephone("103")
    anna = company.telephone("101", name="Anna Ek", colleague=user(bo))
    company.client.patch(company.base, {"attendant": user(cia)})
    service(company, "mailbox", user=anna.user, greeting="own", prompt=prompt(company, 500, 20))
    company.presence(anna, company.activity("lunch"))
    offer = words.referral_choices(LANGUAGE, voicemail="1", colleague="2", attendant="0")
    async with Softphone(exchange, bo, 800) as b, Softphone(exchange, cia, 1000) as c:
        async def voicemail() -> None:
            line = await carrier.dial(company.e164(101))
            await says(line, offer)
            line.press("1")
            await line.hears(500)
            await line.hang_up()

        async def person(key: str, phone: Softphone) -> None:
            line = await carrier.dial(company.e164(101))
            await line.answered()
            line.press(key)
            called = await incoming(phone)
            called.answer()
            await talk(line, called)
            await line.hang_up()
            await called.ended()

        await asyncio.gather(voicemail(), person("2", b), person("0", c))


# -- somebody who is busy (Q12) ----------------------------------------------------------------

@real
async def test_waiting_for_somebody_busy(exchange: Exchange, company: Company,
                                         trunk: Lines) -> None:
    anna, bo = company.telephone("101", call_functions=True), company.telephone("102")
    number = company.main(to(menu(company, prompt(company, 400, 5), {"1": user(anna)})))
    async with Softphone(exchange, anna) as a, Softphone(exchange, bo, 800) as b, \
            trunk.carrier(exchange) as carrier:
        hers = await b.dial("101")
        first = await incoming(a)
        first.answer()
        await talk(hers, first)

        async def waiting(dialled: str, key: str) -> Call:
            line = await carrier.dial(dialled)
            if key:
                await line.hears(400)
                line.press(key)
            await says(line, phrase("busy_wait_offer"))
            line.press("1")
            await says(line, phrase("camped"))
            return line

        async def nothing_chosen() -> None:
            line = await carrier.dial(company.e164(101))
            await says(line, phrase("busy_wait_offer"), first_s=3)
            line.press("7")
            await says(line, phrase("goodbye"))
            await line.ended()

        by_number, by_menu, _ = await asyncio.gather(
            waiting(company.e164(101), ""), waiting(number, "1"), nothing_chosen())
        await by_menu.hang_up()
        await hers.hang_up()
        called = await incoming(a)
        called.answer()
        await talk(by_number, called)
        await called.hang_up()
        await by_number.ended()


@real
async def test_being_called_back_by_somebody_busy(exchange: Exchange, company: Company,
                                                  trunk: Lines) -> None:
    company.client.post("/routes", {"tenant": company.id, "trunk": trunk.trunk})
    anna, bo, cia = (company.telephone(extension, call_functions=extension == "101")
                     for extension in ("101", "102", "103"))
    async with Softphone(exchange, anna) as a, Softphone(exchange, bo, 800) as b, \
            Softphone(exchange, cia, 1000) as c, trunk.carrier(exchange) as carrier:
        hers = await b.dial("101")
        first = await incoming(a)
        first.answer()
        await talk(hers, first)

        async def chosen(line: Call) -> None:
            await says(line, phrase("busy_wait_offer"), first_s=3)
            line.press("2")
            await says(line, phrase("will_call_back"))
            await line.ended()

        await asyncio.gather(chosen(await c.dial("101")),
                             chosen(await carrier.dial(company.e164(101))))
        await hers.hang_up()
        # Both may be rung at once: the second answers when the first has done.
        rings = {asyncio.ensure_future(incoming(one, 30)) for one in (c, carrier)}
        for count in (1, 0):
            done, rings = await asyncio.wait(rings, return_when="FIRST_COMPLETED")
            back = done.pop().result()
            rings |= done
            assert len(rings) == count
            back.answer()
            called = await incoming(a)
            called.answer()
            await talk(back, called)
            await called.hang_up()
            await back.ended()


# -- hanging up and being killed ---------------------------------------------------------------

@real
async def test_hanging_up_in_every_state(exchange: Exchange, company: Company,
                                         trunk: Lines) -> None:
    company.client.post("/routes", {"tenant": company.id, "trunk": trunk.trunk})
    anna, bo = company.telephone("101", name="Anna Ek"), company.telephone("102")
    dead = company.telephone("103", colleague=user(bo))
    long, short = prompt(company, 400, 30), prompt(company, 500, 0.5)
    before = await faults(exchange)
    company.presence(dead, company.activity("lunch", code="1"))
    box = service(company, "mailbox", user=anna.user, pin="2947", greeting="own", prompt=short)
    ends = {
        "message": (message(company, long), "", 400),
        "menu": (menu(company, long, {"1": user(bo)}), "", 400),
        "waiting for a key": (menu(company, short, {"1": user(bo)}, first_digit_s=9), "", 500),
        "waiting for more": (menu(company, short, {"1": user(bo)}, extensions=True,
                                  inter_digit_s=9), "1", 500),
        "a wrong key": (menu(company, short, {"1": user(bo)}), "9", 500),
        "ringing": (menu(company, short, {"1": user(bo)}, first_digit_s=9), "1", 500),
        "busy tone": (menu(company, short, {"1": {"kind": "busy"}}, first_digit_s=9), "1", 500),
        "asking a number": (service(company, "callback_menu", prompt=short), "", 500),
        "keying a number": (service(company, "callback_menu", prompt=short), "07012", 500),
        "confirming": (service(company, "callback_menu", prompt=short), "0701234567#", 500),
        "kept": (service(company, "callback_menu", prompt=short), "0701234567#1", 500),
        "a greeting": (box, "", 500), "a message": (box, "#", 500), "its end": (box, "##", 500),
        "access": (service(company, "mailbox_access"), "", 0),
        "PIN": (service(company, "mailbox_access"), "101#29", 0),
        "wrong PIN": (service(company, "mailbox_access"), "101#1111#", 0),
        "own messages": (service(company, "mailbox_access"), "101#2947#", 0),
        "no messages": (service(company, "mailbox_access"), "101#2947#1", 0),
        "not allowed": (service(company, "presence_menu"), "", 0),
        "not allowed either": (service(company, "record_prompt", prompt=short), "", 0),
    }
    async with Softphone(exchange, anna) as a, Softphone(exchange, bo, 800), \
            trunk.carrier(exchange) as carrier:
        async def one(number: str, keys: str, hz: int, wait_s: float) -> None:
            line = await carrier.dial(number)
            await line.answered()
            if hz:
                await line.hears(hz, for_s=0.15)
            for key in keys:
                await line.info(key)
            await asyncio.sleep(wait_s)
            await line.hang_up()

        async def inside(dialled: str, keys: str, wait_s: float) -> None:
            line = await a.dial(dialled)
            await line.answered()
            for key in keys:
                await line.info(key)
            await asyncio.sleep(wait_s)
            await line.hang_up()

        numbers = [(company.main(to(id_), place), keys, hz)
                   for place, (id_, keys, hz) in enumerate(ends.values())]
        for wait_s in (0.0, 0.6, 2.0):  # each state's words, what follows them, and after those
            await asyncio.gather(
                *(one(number, keys, hz, wait_s) for number, keys, hz in numbers),
                *(one(company.e164(103), keys, 0, wait_s) for keys in ("", "2")))
            await asyncio.gather(*(inside(dialled, keys, wait_s) for dialled, keys in (
                ("*98", ""), ("*98", "1"), ("*98", "3"), ("*90", ""), ("*90", "1"), ("*90", "12"),
                (f"*92*{short}", ""), ("*23*1", ""), ("#23", ""), ("*21*102", ""), ("#21", ""))))
        line = await carrier.dial(numbers[0][0])
        await asyncio.sleep(0)
        await line.cancel()  # which may come too late
        await carrier.until(lambda: line.state in ("up", "over"), "a final answer")
        await line.hang_up()
    after = await faults(exchange)
    for fault in ("script_failed", "prompt_failed", "media_failed", "recording_failed"):
        assert after[fault] == before[fault], after


def test_the_prompt_is_heard_again_when_rtpengine_was_killed() -> None:
    with Exchange() as own:
        trunk, company = lines(own, "127.0.0.44"), own.company()
        anna = company.telephone("101")
        number = company.main(to(menu(company, prompt(company, 400, 60), {"1": user(anna)})))

        async def inside() -> None:
            async with Softphone(own, anna) as a, trunk.carrier(own) as carrier:
                line = await carrier.dial(number)
                await line.hears(400)
                (engine,) = own.pids("rtpengine")
                os.kill(engine, signal.SIGKILL)
                killed = time.monotonic()
                await soon(lambda: line.moved, "a re-INVITE", 8)
                await line.hears(400)
                assert time.monotonic() - killed < 6
                line.press("1")
                called = await incoming(a)
                called.answer()
                await talk(line, called)
                await line.hang_up()
                await called.ended()

        asyncio.run(asyncio.wait_for(inside(), 60))
        at_rest(own)
