"""A person's own presence, forwarding and prompts by telephone (P6, I3): codes and the menu, what
is said of them, and that the next call knows."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest

from callcontrol import words
from tests.exchange import Company, Exchange, Telephone
from tests.listening import (
    LANGUAGE,
    Lines,
    at_rest,
    faults,
    incoming,
    lines,
    message,
    phrase,
    prompt,
    real,
    says,
    service,
    soon,
    talk,
    to,
)
from tests.softphone import Call, Softphone

ZONE = ZoneInfo("Europe/Stockholm")


@pytest.fixture(scope="module")
def trunk(exchange: Exchange) -> Lines:
    """Calls come and go over it."""
    return lines(exchange, "127.0.0.43")


@pytest.fixture(autouse=True)
def nothing_is_left(exchange: Exchange) -> Iterator[None]:
    """Of any test here."""
    yield
    at_rest(exchange)


def presence(company: Company, who: Telephone) -> tuple[str, int]:
    """(activity, until), as the API has it."""
    found = company.client.get(f"{company.base}/users/{who.user}/presence")
    return found["name"], found["until"]


async def code(phone: Softphone, text: str) -> Call:
    """Dial a code, with # as a telephone sends it."""
    return await phone.dial(quote(text, safe="*"))


async def answers(phone: Softphone, text: str, *sentences: str) -> None:
    """Dial a code, hear what is said, and be hung up on."""
    line = await code(phone, text)
    await line.answered()
    for sentence in sentences:
        await says(line, sentence)
    await line.ended()


def set_now(activity: str, end: datetime | None = None) -> str:
    """What is said of a presence that was just set."""
    return words.presence_now(activity, end, datetime.now(ZONE), LANGUAGE)


class Staff:
    """Activities, and people with a telephone each, who all dial at once."""

    def __init__(self, exchange: Exchange, company: Company) -> None:
        self.exchange, self.company = exchange, company
        self.lunch = company.activity("lunch", code="1")
        self.vacation = company.activity("vacation", code="22")
        company.activity("Fikar", code="3")
        self.next = iter(range(101, 199))

    async def each(self, *doings: Any) -> None:
        """doing(phone, device) for each, with a person of its own."""
        async with AsyncExitStack() as stack:
            at_once = []
            for doing in doings:
                device = self.company.telephone(str(next(self.next)))
                phone = await stack.enter_async_context(Softphone(self.exchange, device))
                at_once.append(doing(phone, device))
            await asyncio.gather(*at_once)


# -- presence by codes -------------------------------------------------------------------------

@real
async def test_codes_set_and_end_a_presence(exchange: Exchange, company: Company) -> None:
    staff = Staff(exchange, company)
    later = datetime.now(ZONE) + timedelta(hours=3)
    past = datetime.now(ZONE) - timedelta(hours=2)
    day = datetime.now(ZONE) + timedelta(days=40)
    midnight = day.replace(hour=0, minute=0, second=0, microsecond=0)

    async def plain(phone: Softphone, who: Telephone) -> None:
        await answers(phone, "*23*1#", set_now("lunch"))
        assert presence(company, who) == ("lunch", 0)
        assert company.client.get(
            f"{company.base}/users/{who.user}/presence")["source"] == "code"
        await answers(phone, "#23#", phrase("presence_available"))
        assert presence(company, who)[0] == "available"

    async def with_a_time(phone: Softphone, who: Telephone) -> None:
        end = later.replace(second=0, microsecond=0)
        await answers(phone, f"*23*1*{later:%H%M}#", set_now("lunch", end))
        assert presence(company, who) == ("lunch", int(end.timestamp()))

    async def tomorrow(phone: Softphone, who: Telephone) -> None:
        end = past.replace(second=0, microsecond=0) + timedelta(days=1)
        await answers(phone, f"*23*3*{past:%H%M}#", set_now("Fikar", end))
        assert presence(company, who) == ("Fikar", int(end.timestamp()))

    async def with_a_date(phone: Softphone, who: Telephone) -> None:
        await answers(phone, f"*23*22*{day:%m%d}", set_now("vacation", midnight))
        assert presence(company, who) == ("vacation", int(midnight.timestamp()))

    await staff.each(plain, with_a_time, tomorrow, with_a_date)


@real
async def test_impossible_codes_change_nothing(exchange: Exchange, company: Company,
                                               trunk: Lines) -> None:
    staff = Staff(exchange, company)

    def wrong(text: str, key: str) -> Any:
        async def doing(phone: Softphone, who: Telephone) -> None:
            company.presence(who, staff.lunch)
            await answers(phone, text, phrase(key))
            assert presence(company, who) == ("lunch", 0)
        return doing

    async def refused(phone: Softphone, who: Telephone) -> None:
        for text in ("*99#", "*23*#", "*23*1*25#", "*23*1*12345#", "*23*1234#", "##", "*",
                     "*21#", "*21*1#", "*92*#", "*#*#*#", "#99#", "*23*1*" + "9" * 15):
            line = await code(phone, text)
            assert await line.refused() == 484, text
        for text in ("*92*999999#",):
            line = await code(phone, text)
            assert await line.refused() == 403, text
        assert presence(company, who)[0] == "available"

    await staff.each(
        wrong("*23*9#", "code_unknown"), wrong("*23*1*2460#", "bad_time"),
        wrong("*23*1*9999#", "bad_time"), wrong("*23*22*2532#", "bad_time"),
        wrong("*23*22*0060#", "bad_time"), refused)
    async with trunk.carrier(exchange) as carrier:
        for text in ("*23*1#", "#23#", "*98", "*21*08123456#"):
            line = await code(carrier, text)
            assert await line.refused() in (404, 484), text
    before = await faults(exchange)
    assert before["script_failed"] == 0


@real
async def test_the_next_call_knows(exchange: Exchange, company: Company, trunk: Lines) -> None:
    anna = company.telephone("101", name="Anna Ek")
    company.activity("lunch", code="1")
    async with Softphone(exchange, anna) as a, trunk.carrier(exchange) as carrier:
        await answers(a, "*23*1#", set_now("lunch"))
        line = await carrier.dial(company.e164(101))
        await says(line, words.away("Anna Ek", "lunch", None, datetime.now(ZONE), LANGUAGE))
        await line.hang_up()
        await answers(a, "#23#", phrase("presence_available"))
        line = await carrier.dial(company.e164(101))
        called = await incoming(a)
        called.answer()
        await talk(line, called)
        await line.hang_up()
        await called.ended()


# -- presence by a menu ------------------------------------------------------------------------

@real
async def test_the_presence_menu(exchange: Exchange, company: Company, trunk: Lines) -> None:
    staff = Staff(exchange, company)
    service(company, "presence_menu", extension="500")
    number = company.main(to(service(company, "presence_menu")))
    end = (datetime.now(ZONE) + timedelta(hours=2)).replace(second=0, microsecond=0)

    async def without_end(phone: Softphone, who: Telephone) -> None:
        line = await phone.dial("*90")
        await says(line, phrase("presence_menu"))
        line.press("1")
        await says(line, phrase("presence_ask_end"), first_s=2)
        line.press("#")
        await says(line, set_now("lunch"))
        await line.ended()
        assert presence(company, who) == ("lunch", 0)
        line = await phone.dial("500")
        await line.answered()
        line.press("0")
        await says(line, phrase("presence_available"))
        await line.ended()
        assert presence(company, who)[0] == "available"

    async def with_end(phone: Softphone, who: Telephone) -> None:
        line = await phone.dial("500")
        await line.answered()
        line.press("1")  # in the order of their codes: 1, 22, 3
        await says(line, phrase("presence_ask_end"), first_s=2)
        line.press("2460")
        await says(line, phrase("bad_time"))
        line.press(f"{end:%H%M}")
        await says(line, set_now("lunch", end))
        await line.ended()
        assert presence(company, who) == ("lunch", int(end.timestamp()))

    async def wrong_keys(phone: Softphone, who: Telephone) -> None:
        line = await phone.dial("*90")
        await line.answered()
        for _ in range(2):
            mark = time.monotonic()
            line.press("9")
            await says(line, phrase("not_understood"), since=mark)
        line.press("*")
        await says(line, phrase("goodbye"))
        await line.ended()
        assert presence(company, who)[0] == "available"

    async def stranger() -> None:
        async with trunk.carrier(exchange) as carrier:
            line = await carrier.dial(number)
            await says(line, phrase("not_allowed"))
            await line.ended()

    await asyncio.gather(staff.each(without_end, with_end, wrong_keys), stranger())


# -- forwarding --------------------------------------------------------------------------------

@real
async def test_forwarding_by_code(exchange: Exchange, company: Company, trunk: Lines) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    company.client.post("/routes", {"tenant": company.id, "trunk": trunk.trunk})

    def forwards() -> list[str]:
        found = company.client.get(f"{company.base}/forwards", user=anna.user)["items"]
        return [str(row["target"].get("user") or row["target"].get("text")) for row in found]

    async with Softphone(exchange, anna) as a, Softphone(exchange, bo, 800) as b, \
            trunk.carrier(exchange) as carrier:
        await answers(a, "*21*102#", phrase("forward_set", number="102"))
        assert forwards() == [str(bo.user)]
        line = await carrier.dial(company.e164(101))
        called = await incoming(b)
        called.answer()
        await talk(line, called)
        await line.hang_up()
        await answers(a, "*21*0855500001#", phrase("forward_set", number="0855500001"))
        assert forwards() == ["+46855500001"]
        line = await b.dial("101")
        called = await incoming(carrier)
        assert "46855500001" in called.invite.start
        called.answer()
        await asyncio.gather(line.hears(1400), called.hears(800))
        await called.hang_up()
        await line.ended()
        # What cannot be is refused, and what was there stays.
        await asyncio.gather(*(answers(a, text, phrase("not_allowed")) for text in (
            "*21*101#", "*21*199#", "*21*00123456789012345678#")))
        assert forwards() == ["+46855500001"]
        await answers(a, "#21#", phrase("forward_off"))
        assert forwards() == []
        line = await b.dial("101")
        called = await incoming(a)
        called.answer()
        await talk(line, called)
        await line.hang_up()


# -- prompts by telephone (I3) -----------------------------------------------------------------

@real
async def test_a_prompt_recorded_by_telephone(exchange: Exchange, company: Company,
                                              trunk: Lines) -> None:
    anna = company.telephone("101")
    by_code, by_service = prompt(company), prompt(company, text="Detta var texten.")
    numbers = [company.main(to(message(company, each)), place)
               for place, each in enumerate((by_code, by_service))]
    record = service(company, "record_prompt", prompt=by_service, extension="500")
    service(company, "record_prompt", prompt=by_code)
    outside = company.main(to(record), 2)

    async def speak(line: Call) -> None:
        """After the tone, until #."""
        await line.hears(1000, for_s=0.2)
        await line.silent()
        await asyncio.sleep(1.3)
        line.press("#")
        await says(line, phrase("recorded_menu"), since=time.monotonic(), first_s=2)

    async with Softphone(exchange, anna) as a, trunk.carrier(exchange) as carrier:
        async def code_and_listen() -> None:
            line = await code(a, f"*92*{by_code}#")
            await says(line, phrase("record_after_tone"))
            await speak(line)
            line.press("1")
            await line.hears(600)
            await says(line, phrase("recorded_menu"), since=time.monotonic(), first_s=2)
            line.press("2")
            await says(line, phrase("prompt_saved"))
            await line.ended()

        async def extension_and_again() -> None:
            line = await a.dial("500")
            await speak(line)
            line.press("3")
            await speak(line)
            line.press("2")
            await says(line, phrase("prompt_saved"))
            await line.ended()

        async def thrown_away() -> None:
            line = await a.dial("500")
            await line.hears(1000, for_s=0.2)
            await line.silent()
            await asyncio.sleep(1.3)
            line.press("#*")
            await says(line, phrase("goodbye"))
            await line.ended()

        async def stranger() -> None:
            line = await carrier.dial(outside)
            await says(line, phrase("not_allowed"))
            await line.ended()

        line = await carrier.dial(numbers[1])
        await says(line, "Detta var texten.")
        await asyncio.gather(code_and_listen(), extension_and_again(), stranger())
        await thrown_away()
        for number in numbers:
            line = await carrier.dial(number)
            await line.hears(600)
            await line.hang_up()
    await soon(lambda: company.client.get(f"{company.base}/prompts/{by_code}")["sha256"],
               "the audio of the prompt")
