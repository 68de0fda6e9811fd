"""What callers hear, so that it can be proved: prompts that are tones of their own frequency, and
the files that the exchange's own speaker makes of its words; and that nothing is left after a call.
"""

import asyncio
import io
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, wraps
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import soundfile

from callcontrol import words
from callcontrol.words import sv
from rtp.speech import Speaker
from store import bus
from tests.exchange import Company, Exchange, eventually
from tests.softphone import Call, Carrier, Endpoint
from vaxel.ports import free_port

#: How alike what was heard and what was to be said are, at least: 1 is the same.
ALIKE = 0.7
LANGUAGE = "sv"
Found = TypeVar("Found")
_FOLDER = tempfile.TemporaryDirectory(prefix="vaxel-words-")


# -- prompts and services ----------------------------------------------------------------------

def wav(hz: float, seconds: float = 1.0) -> bytes:
    """A tone as a sound file."""
    at = np.arange(int(seconds * 8000)) / 8000
    out = io.BytesIO()
    soundfile.write(out, 0.4 * np.sin(2 * np.pi * hz * at), 8000, format="WAV")
    return out.getvalue()


def prompt(company: Company, hz: float = 0, seconds: float = 1.0, text: str = "") -> int:
    """A prompt of the company: a tone, or a text, or (neither) nothing yet."""
    made = company.post("prompts", {"name": f"{hz} Hz {text[:40]}", "text": text})["id"]
    if hz:
        answer = company.client._http.put(f"{company.base}/prompts/{made}/audio",
                                          content=wav(hz, seconds))
        assert answer.status_code == 200, answer.text
    return int(made)


def service(company: Company, kind: str, *, extension: str | None = None, name: str = "",
            **settings: Any) -> int:
    """A service of the company."""
    return int(company.post("services", {
        "name": name or kind, "extension": extension,
        "settings": {"type": kind} | settings})["id"])


def to(service: int) -> dict[str, Any]:
    """The target that leads to a service."""
    return {"kind": "service", "service": service}


def user(telephone: Any) -> dict[str, Any]:
    """The target that leads to a person."""
    return {"kind": "user", "user": telephone.user}


def menu(company: Company, prompt: int, choices: dict[str, dict[str, Any]], *,
         extension: str | None = None, **settings: Any) -> int:
    """A menu; who presses nothing waits for a second."""
    return service(company, "menu", extension=extension, prompt=prompt, choices=[
        {"key": key, "target": target} for key, target in choices.items()],
        **({"first_digit_s": 1, "inter_digit_s": 1} | settings))


def message(company: Company, prompt: int, after: dict[str, Any] | None = None) -> int:
    """A message, and what comes after it."""
    return service(company, "message", prompt=prompt, next=after)


# -- words -------------------------------------------------------------------------------------

@cache
def spoken(text: str, language: str = LANGUAGE) -> np.ndarray:
    """What the exchange's speaker makes of a text, at 8 kHz."""
    async def say() -> Path:
        speaker = Speaker(Path(_FOLDER.name))
        try:
            return await speaker.say(text, language) / "8k.wav"
        finally:
            await speaker.close()

    with ThreadPoolExecutor(1) as thread:  # the caller's loop runs already
        path = thread.submit(asyncio.run, say()).result()
    samples, rate = soundfile.read(path, dtype="float64")
    assert rate == 8000
    return np.asarray(samples)


def phrase(key: str, **values: Any) -> str:
    """One of the exchange's sentences."""
    return words.phrase(key, LANGUAGE, **values)


def alike(heard: np.ndarray, text: str, first_s: float = 0) -> float:
    """How well the text can be found in what was heard, 0 to 1. first_s: only its beginning."""
    said = spoken(text)[:-400]  # the last packet is not full, and is not sent
    if first_s:
        said = said[:int(first_s * 8000)]
    if len(heard) < len(said):
        return 0.0
    size = 1 << (len(heard) + len(said)).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    product = product[:len(heard) - len(said) + 1]
    energy = np.concatenate([[0.0], np.cumsum(heard.astype(float) ** 2)])
    there = energy[len(said):] - energy[:-len(said)]
    scale = np.sqrt(np.maximum(there, 1.0) * float(np.sum(said ** 2)))
    return float(np.max(product / scale))


def sentences(heard: np.ndarray) -> list[str]:
    """Which of the exchange's sentences begin in what was heard."""
    return [key for key, text in sv.PHRASES.items()
            if "{" not in text and alike(heard, phrase(key), 1.5) > ALIKE]


async def says(call: Call, text: str, *, since: float = 0.0, first_s: float = 0,
               seconds: float = 15) -> None:
    """Until the caller has heard the text; first_s: its beginning. since: as time.monotonic()."""
    until = time.monotonic() + seconds
    while (found := alike(call.media.sound(since), text, first_s)) < ALIKE:
        if time.monotonic() >= until or call.state == "over":  # others play at the same time
            instead = await asyncio.to_thread(sentences, call.media.sound(since))
            raise AssertionError(f"{call.phone.name} did not hear {text!r} ({found:.2f}), but "
                                 f"{instead}\n{call.phone.ladder()}")
        await asyncio.sleep(0.15)


async def line_tone(call: Call) -> None:
    """Until the 425 Hz of ringing and of busy lines is heard."""
    since = time.monotonic()
    await soon(lambda: seconds_of(call.media.sound(since), 425) >= 0.2, "a line tone")


async def soon(what: Callable[[], Found], why: str, seconds: float = 10) -> Found:
    """The first true answer, while telephones go on."""
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, f"not within {seconds} s: {why}"
        await asyncio.sleep(0.1)
    return found


def parts(sound: np.ndarray, hz: int) -> list[bool]:
    """For each 50 ms, whether the tone and nothing else was heard. Where nothing was sent there is
    no sound either."""
    size = 400
    wave = np.exp(-2j * np.pi * hz * np.arange(size) / 8000)
    found = []
    for at in range(0, len(sound) - size, size):
        part = sound[at:at + size]
        energy = float(np.sum(part ** 2))
        found.append(energy > size * 300 ** 2
                     and 2 * float(abs(np.sum(part * wave))) ** 2 > 0.7 * size * energy)
    return found


def bursts(sound: np.ndarray, hz: int) -> int:
    """How often the tone began after something else."""
    found = parts(sound, hz)
    return sum(now and not before for before, now in zip([False, *found], found, strict=False))


def seconds_of(sound: np.ndarray, hz: int) -> float:
    """How long the tone was heard."""
    return sum(parts(sound, hz)) * 0.05


def real(work: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that is a coroutine, within a minute and a half."""
    @wraps(work)
    def test(**given: Any) -> None:
        async def inside() -> None:
            await asyncio.wait_for(work(**given), 90)

        asyncio.run(inside())

    return test


class Lines(NamedTuple):
    """A carrier's trunk: where it is."""

    address: str
    port: int
    trunk: int

    def carrier(self, exchange: Exchange, **more: Any) -> Carrier:
        """The telephone of whoever calls from outside."""
        return Carrier(exchange, self.address, port=self.port, **more)


def lines(exchange: Exchange, address: str) -> Lines:
    """A trunk of its own for a file of tests."""
    port = free_port(address)
    return Lines(address, port, exchange.trunk(address, port))


async def incoming(phone: Endpoint, seconds: float = 10) -> Call:
    """The next call to the telephone, which rings."""
    call = await phone.incoming(seconds)
    call.ring()
    return call


async def talk(one: Call, other: Call) -> None:
    """Both hear each other and nothing else."""
    await asyncio.gather(one.hears(other.phone.hz), other.hears(one.phone.hz))


# -- nothing is left ---------------------------------------------------------------------------

async def status(exchange: Exchange) -> list[dict[str, Any]]:
    """Of every process of call control."""
    return [await bus.ask(exchange.state, f"control.{index}", {"do": "status"})
            for index in range(exchange.settings.control_processes)]


async def faults(exchange: Exchange) -> Counter[str]:
    """What all processes have counted."""
    found: Counter[str] = Counter()
    for one in await status(exchange):
        found.update(one["faults"])
    return found


def at_rest(exchange: Exchange, seconds: float = 10) -> None:
    """Wait until no call, no leg, no media session and no slot is left; AssertionError with what
    there still is."""
    def left() -> list[Any]:
        try:
            states = asyncio.run(status(exchange))
        except bus.NobodyThere as error:
            return [str(error)]
        return [state for state in states
                if state["calls"] or state["legs"] or state["media_sessions"]]

    try:
        eventually(lambda: not left() and not exchange.calls_in_progress(), seconds)
    except AssertionError as error:
        raise AssertionError(f"left: {left()}, slots {exchange.calls_in_progress()}") from error


def events(company: Company, kind: str = "") -> list[dict[str, Any]]:
    """What happened in the company's calls, the oldest first."""
    found: list[dict[str, Any]] = company.client.get(f"{company.base}/events",
                                                     limit=1000)["items"]
    return [event for event in found if not kind or event["kind"] == kind]
