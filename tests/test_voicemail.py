"""Voicemail by real calls: leaving messages, listening to them, lamps, mail and webhooks, and what
is kept when processes are killed meanwhile."""

import asyncio
import contextlib
import io
import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pytest
import soundfile

from callcontrol import words
from store import SqliteStore
from tests.exchange import Company, Exchange
from tests.listening import (
    LANGUAGE,
    Lines,
    at_rest,
    bursts,
    faults,
    incoming,
    lines,
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
from tests.softphone import Call, Softphone, tones
from tests.test_deliveries import Hooks, Mailer

CALLER = "+46701112233"
VOICE = 1400


@pytest.fixture(scope="module")
def trunk(exchange: Exchange) -> Lines:
    """Calls come and go over it."""
    return lines(exchange, "127.0.0.42")


@pytest.fixture(autouse=True)
def nothing_is_left(exchange: Exchange) -> Iterator[None]:
    """Of any test here."""
    yield
    at_rest(exchange)


class Box:
    """A mailbox and what is in it."""

    def __init__(self, company: Company, **settings: Any) -> None:
        self.company = company
        self.id = service(company, "mailbox", **settings)
        self.path = f"{company.base}/mailboxes/{self.id}/messages"

    def messages(self, state: str = "") -> list[dict[str, Any]]:
        """The newest first."""
        query = {"state": state} if state else {}
        return list(self.company.client.get(self.path, **query)["items"])

    async def holds(self, count: int, state: str = "new") -> list[dict[str, Any]]:
        """Until there are so many, and none is being made."""
        return await soon(lambda: (found := self.messages(state)) and len(found) == count
                          and not self.messages("recording") and found,
                          f"{count} {state} messages", 12)

    async def stays_empty(self) -> None:
        """Nothing was kept, and nothing is still to come."""
        await soon(lambda: not self.messages("recording"), f"an end of {self.messages()}", 12)
        assert not self.messages()

    def sound(self, uid: str) -> tuple[np.ndarray, int]:
        """The audio of a message as the API gives it."""
        answer = self.company.client._http.get(f"{self.path}/{uid}/audio")
        assert answer.status_code == 200, answer.text
        samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="int16")
        return samples.astype(float), rate


async def leave(line: Call, seconds: float = 1.6) -> None:
    """Over the greeting to the tone, say something, and hang up."""
    await line.answered()
    line.press("#")
    await line.hears(1000, for_s=0.2)
    await line.silent()
    await asyncio.sleep(seconds)
    await line.hang_up()


# -- leaving a message (R3) --------------------------------------------------------------------

@real
async def test_greetings_and_a_message_after_each(exchange: Exchange, company: Company,
                                                  trunk: Lines) -> None:
    anna = company.telephone("101", name="Anna Ek")
    bo, cia = company.telephone("102", name="Bo Dal"), company.telephone("103", name="Cia Fur")
    general = Box(company, user=anna.user)
    own = Box(company, user=bo.user, greeting="own", prompt=prompt(company, 500, 0.7))
    present = Box(company, user=cia.user, greeting="presence")
    lunch = company.activity("lunch")
    company.presence(cia, lunch)
    numbers = [company.main(to(box.id), place) for place, box in enumerate((general, own, present))]
    away = words.away("Cia Fur", "lunch", None, datetime.now(), LANGUAGE)

    async with trunk.carrier(exchange) as carrier:
        async def deposit(number: str, *texts: str, hz: int = 0) -> None:
            line = await carrier.dial(number)
            if hz:
                await line.hears(hz)
            for text in texts:
                await says(line, text)
            await line.hears(1000, for_s=0.2)
            await line.silent()
            await asyncio.sleep(2)
            line.press("#")
            await says(line, phrase("message_saved_short"))
            await line.ended()

        await asyncio.gather(
            deposit(numbers[0], phrase("mailbox_greeting", name="Anna Ek")),
            deposit(numbers[1], hz=500),
            deposit(numbers[2], away, phrase("record_after_tone")))
    for box in (general, own, present):
        found = (await box.holds(1))[0]
        assert found["caller"] == CALLER and found["has_audio"]
        assert 1900 <= found["duration_ms"] <= 3200
        sound, rate = box.sound(found["uid"])
        assert rate == 8000 and abs(len(sound) / 8 - found["duration_ms"]) < 50
        # All of it is the caller's tone: neither greeting nor beep; keys are not heard.
        assert seconds_of(sound, VOICE) > len(sound) / 8000 - 0.6
        assert tones(sound) == {VOICE}


@real
async def test_hanging_up_during_a_deposit(exchange: Exchange, company: Company,
                                           trunk: Lines) -> None:
    anna, bo, cia = (company.telephone(extension) for extension in ("101", "102", "103"))
    silent = company.telephone("104")
    boxes = [Box(company, user=one.user) for one in (anna, bo, cia, silent)]
    numbers = [company.main(to(box.id), place) for place, box in enumerate(boxes)]
    async with trunk.carrier(exchange) as carrier:
        async def in_the_greeting() -> None:
            line = await carrier.dial(numbers[0])
            await says(line, phrase("mailbox_greeting", name="User 101"), first_s=1)
            await line.hang_up()

        async def in_the_beep() -> None:
            line = await carrier.dial(numbers[1])
            await line.answered()
            line.press("#")
            await line.hears(1000, for_s=0.15)
            await line.hang_up()

        async def in_the_message() -> None:
            line = await carrier.dial(numbers[2])
            await line.answered()
            line.press("#")
            await line.hears(1000, for_s=0.15)
            await line.silent()
            await asyncio.sleep(2)
            await line.hang_up()

        async def saying_nothing() -> None:
            line = await carrier.dial(numbers[3])
            await line.answered()
            line.media.to = 0
            await line.info("#")
            await line.hears(1000, for_s=0.15)
            await line.silent()
            await asyncio.sleep(1.5)
            await line.hang_up()

        await asyncio.gather(in_the_greeting(), in_the_beep(), in_the_message(),
                             saying_nothing())
    found = (await boxes[2].holds(1))[0]
    assert 1900 <= found["duration_ms"] <= 3200
    assert VOICE in tones(boxes[2].sound(found["uid"])[0])
    for box in (boxes[0], boxes[1], boxes[3]):
        await box.stays_empty()


@real
async def test_the_longest_message_and_a_full_mailbox(exchange: Exchange, company: Company,
                                                      trunk: Lines) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    box = Box(company, user=anna.user, max_message_s=5, max_messages=1, greeting="own",
              prompt=prompt(company, 500, 0.5), colleague=user(bo))
    number = company.main(to(box.id))
    before = (await faults(exchange))["mailbox_full"]
    async with Softphone(exchange, bo, 800) as b, trunk.carrier(exchange) as carrier:
        line = await carrier.dial(number)
        await says(line, phrase("message_saved_short"), seconds=20)
        await line.ended()
        found = (await box.holds(1))[0]
        assert 4700 <= found["duration_ms"] <= 5600
        line = await carrier.dial(number)
        await says(line, phrase("mailbox_full"))
        called = await incoming(b)
        called.answer()
        await talk(line, called)
        await line.hang_up()
        await called.ended()
        assert bursts(line.heard, 500) == 0
    assert (await faults(exchange))["mailbox_full"] == before + 1
    assert len(box.messages()) == 1


@real
async def test_zero_leads_to_a_colleague(exchange: Exchange, company: Company,
                                         trunk: Lines) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    box = Box(company, user=anna.user, colleague=user(bo))
    company.forward(anna, "always", to(box.id))
    async with Softphone(exchange, bo, 800) as b, trunk.carrier(exchange) as carrier:
        line = await carrier.dial(company.e164(101))
        await says(line, phrase("mailbox_greeting", name="User 101"), first_s=1)
        line.press("0")
        called = await incoming(b)
        called.answer()
        await talk(line, called)
        await called.hang_up()
        await line.ended()
    await box.stays_empty()


# -- listening (R3, R4) ------------------------------------------------------------------------

@real
async def test_listening_from_ones_own_telephone(exchange: Exchange, company: Company,
                                                 trunk: Lines) -> None:
    company.client.post("/routes", {"tenant": company.id, "trunk": trunk.trunk})
    anna, bo = company.telephone("101"), company.telephone("102")
    box = Box(company, user=anna.user, greeting="own", prompt=prompt(company, 500, 0.5))
    company.forward(anna, "always", to(box.id))
    async with Softphone(exchange, anna) as a, Softphone(exchange, bo, 800) as b, \
            trunk.carrier(exchange) as carrier:
        await leave(await carrier.dial(company.e164(101)), 1.2)
        await asyncio.gather(leave(await b.dial("101"), 1.2), leave(await b.dial("101"), 1.2))
        third, second, first = [one["uid"] for one in await box.holds(3)]
        line = await a.dial("*98")
        await says(line, words.messages(3, 0, LANGUAGE))
        line.press("1")  # the newest first, with its heading
        await line.hears(800, seconds=20)
        line.press("2")
        await says(line, phrase("message_saved"))
        line.press("#")  # the next, without
        await line.hears(800)
        line.press("3")
        await soon(lambda: box.messages("deleted"), "a deleted message")
        line.press("#")
        await line.hears(VOICE)
        line.press("#")
        await says(line, phrase("no_more_messages"))
        assert [one["uid"] for one in box.messages("saved")] == [third, first]
        assert [one["uid"] for one in box.messages("deleted")] == [second]
        with contextlib.closing(SqliteStore(exchange.state / "vaxel.db")) as store:
            begun = store.begin_deletions("message", company.id, [second], why="", by="", at_ms=1)
        assert [one.by for one in begun] == ["telephone"]  # the keeper ends it
        line.press("2#")  # the saved ones
        await line.hears(800)
        line.press("*#")  # there is none before
        await line.hears(800)
        line.press("##")
        await line.hears(VOICE)
        line.press("4")
        called = await incoming(carrier)
        assert CALLER[1:] in called.invite.start
        called.answer()
        await asyncio.gather(line.hears(1400), called.hears(600))
        await line.hang_up()
        await called.ended()


@real
async def test_listening_with_extension_and_pin(exchange: Exchange, company: Company,
                                                trunk: Lines) -> None:
    anna = company.telephone("101")
    box = Box(company, user=anna.user, pin="2947", greeting="own",
              prompt=prompt(company, 500, 0.5))
    number = company.main(to(box.id))
    access = company.main(to(service(company, "mailbox_access")), 1)
    async with trunk.carrier(exchange) as carrier:
        async def wrong(*tries: str) -> None:
            line = await carrier.dial(access)
            await line.answered()
            for keys in tries:
                mark = time.monotonic()
                line.press(keys)
                await says(line, phrase("wrong_pin"), since=mark)
            await says(line, phrase("pin_locked" if len(tries) == 3 else "ask_extension"),
                       since=mark, first_s=1.5)
            await line.hang_up()

        async def right() -> None:
            line = await carrier.dial(access)
            await says(line, phrase("ask_extension"), first_s=1)
            line.press("101#2947#")
            await says(line, words.messages(1, 0, LANGUAGE))
            line.press("13")  # over its heading
            await says(line, phrase("message_deleted"))
            await line.hang_up()

        await leave(await carrier.dial(number), 1.2)
        await box.holds(1)
        await right()
        await box.stays_empty()
        # Three calls at once: unknown people are refused like wrong PINs, six wrong ones shut it.
        before = (await faults(exchange))["pin_wrong"]
        await asyncio.gather(wrong("101#1111#", "101#2948#", "101#2946#"),
                             wrong("101#0000#", "101##", "101#29471#"),
                             wrong("199#2947#", "#2947#", "*#1#"))
        assert (await faults(exchange))["pin_wrong"] == before + 6
        await wrong("101#2947#")


@real
async def test_a_shared_mailbox_and_its_listeners(exchange: Exchange, company: Company,
                                                  trunk: Lines) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    box = Box(company, listeners=[anna.user], name="Support", greeting="own",
              prompt=prompt(company, 500, 0.5))
    number = company.main(to(box.id))
    async with Softphone(exchange, anna) as a, Softphone(exchange, bo, 800) as b, \
            trunk.carrier(exchange) as carrier:
        await leave(await carrier.dial(number), 1.2)
        await box.holds(1)

        async def listener() -> None:
            line = await a.dial("*98")
            await says(line, words.messages(1, 0, LANGUAGE))
            line.press("1#")
            await line.hears(VOICE)
            line.press("2")
            await says(line, phrase("message_saved"))
            await line.hang_up()

        async def stranger() -> None:
            line = await b.dial("*98")
            await says(line, phrase("not_allowed"))
            await line.ended()

        await asyncio.gather(listener(), stranger())
    assert len(box.messages("saved")) == 1


@real
async def test_the_lamp_goes_on_and_off(exchange: Exchange, company: Company,
                                        trunk: Lines) -> None:
    anna = company.telephone("101")
    box = Box(company, user=anna.user, greeting="own", prompt=prompt(company, 500, 0.5))
    number = company.main(to(box.id))
    async with Softphone(exchange, anna) as a, trunk.carrier(exchange) as carrier:
        lamp = await a.subscribe("message-summary", "101")

        async def shows(text: str, counts: str) -> None:
            await soon(lambda: text in lamp.bodies[-1] and counts in lamp.bodies[-1],
                       f"the lamp {text} {counts}, not {lamp.bodies[-1]!r}")

        await shows("Messages-Waiting: no", "0/0")
        await leave(await carrier.dial(number), 1.2)
        await shows("Messages-Waiting: yes", "1/0")
        line = await a.dial("*98")
        await line.answered()
        line.press("1#")
        await line.hears(VOICE)
        line.press("2")
        await shows("Messages-Waiting: no", "0/1")
        await line.hang_up()
        saved = box.messages("saved")[0]["uid"]
        company.client.patch(f"{box.path}/{saved}", {"state": "new"})
        await shows("Messages-Waiting: yes", "1/0")
        company.client.call("DELETE", f"{box.path}/{saved}")
        await shows("Messages-Waiting: no", "0/0")


# -- what is sent, and what survives (R5) ------------------------------------------------------

def test_mail_webhook_and_a_kill_in_the_middle_of_a_message() -> None:
    mailer, hooks = Mailer(), Hooks()
    with Exchange(smtp_host="127.0.0.1", smtp_port=mailer.port, mail_from="pbx@example.com",
                  webhooks_to_private=True) as own:
        try:
            asyncio.run(asyncio.wait_for(_sent(own, mailer, hooks), 60))
            at_rest(own)
            asyncio.run(asyncio.wait_for(_killed(own), 60))
            at_rest(own, 15)
        finally:
            mailer.controller.stop()
            hooks.server.shutdown()


async def _sent(own: Exchange, mailer: Mailer, hooks: Hooks) -> None:
    trunk, company = lines(own, "127.0.0.45"), own.company()
    anna = company.telephone("101", name="Anna Ek")
    tone = prompt(company, 500, 0.5)
    told = {"email": ["anna@example.com"], "webhook": f"http://127.0.0.1:{hooks.port}/200"}
    box = Box(company, user=anna.user, greeting="own", prompt=tone, name="Annas låda", **told)
    ask = service(company, "callback_menu", prompt=tone, **told)
    numbers = company.main(to(box.id)), company.main(to(ask), 1)
    async with trunk.carrier(own) as carrier:
        async def wants_to_be_called() -> None:
            line = await carrier.dial(numbers[1])
            await line.hears(500)
            line.press("0701234567#")
            await says(line, phrase("callback_confirm", number="0701234567"), first_s=2)
            line.press("1")
            await says(line, phrase("callback_saved"))
            await line.ended()

        await asyncio.gather(leave(await carrier.dial(numbers[0])), wants_to_be_called())
    await soon(lambda: len(mailer.got) == 2 and len(hooks.got) == 2, "two mails, two calls", 15)
    by_event = {body["event"]: body for _, _, body in hooks.got}
    assert by_event["voice_message"]["number"] == CALLER
    assert by_event["voice_message"]["duration_s"] >= 1
    assert by_event["callback_request"]["number"] == "0701234567"
    (letter,) = [letter for _, _, letter in mailer.got if "Röstmeddelande" in letter["Subject"]]
    (attached,) = letter.iter_attachments()
    samples, _ = soundfile.read(io.BytesIO(attached.get_content()), dtype="int16")
    assert tones(samples.astype(float)) == {VOICE}
    assert any("Ring upp" in letter["Subject"] for _, _, letter in mailer.got)


async def _killed(own: Exchange) -> None:
    trunk, company = lines(own, "127.0.0.46"), own.company()
    anna = company.telephone("101")
    box = Box(company, user=anna.user, greeting="own", prompt=prompt(company, 500, 0.5))
    number = company.main(to(box.id))
    async with trunk.carrier(own) as carrier:
        line = await carrier.dial(number)
        await line.answered()
        line.press("#")
        await line.hears(1000, for_s=0.2)
        await line.silent()
        await asyncio.sleep(2)
        processes = own.pids("callcontrol.process")
        assert len(processes) == 2
        for process in processes:  # whichever has the call
            os.kill(process, signal.SIGKILL)
        await line.ended(15)  # the keeper ends it
    (found,) = await box.holds(1)
    assert found["duration_ms"] >= 1800
    assert VOICE in tones(box.sound(found["uid"])[0])
