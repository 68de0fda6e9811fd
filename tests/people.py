"""People at their telephones, for tests of what they do with calls.

@scene makes a test of a coroutine that gets People, and looks afterwards whether anything is left
of its calls anywhere.
"""

import asyncio
import contextlib
import inspect
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

from store import bus
from tests.exchange import Company, Exchange
from tests.softphone import PATIENCE_S, Call, Carrier, Endpoint, Softphone, frequencies
from tests.telephone import FRAME_S
from vaxel.ports import free_port

#: Of each person's telephone, and of nothing that the exchange plays.
TONES = {"101": 600, "102": 800, "103": 1000, "104": 1200, "105": 1600, "carrier": 1400}
#: What the exchange lets somebody hear whom it is calling for.
RINGBACK = {400, 420, 440}
#: Music and a ringing tone are told from a voice in so long.
MUSIC_S = 0.2
#: Scenes that are played at the same time: their telephones share a processor.
AT_ONCE = 6
#: What a call has while it lasts, and what a process counts when something in it went wrong.
HAS = ("calls", "legs", "media_sessions", "rooms", "parked", "events_lost")
FAULTS = ("script_failed", "media_failed", "prompt_failed", "prompt_missing", "speech_failed",
          "conference_failed", "mixer_failed", "recording_failed", "unsigned_call")

Work = Callable[..., Awaitable[None]]


class People:
    """async with People(exchange, company) as people: anna = await people.phone("101")"""

    def __init__(self, exchange: Exchange, company: Company) -> None:
        self.exchange = exchange
        self.company = company
        self._stack = contextlib.AsyncExitStack()
        self.endpoints: list[Softphone | Carrier] = []
        self.users: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        self._before = await self._counts()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.__aexit__(*error)

    async def phone(self, extension: str, *, functions: bool = True, hz: int = 0, kinds: str = "8",
                    kind: str = "desk", user: int = 0, register: bool = True,
                    **fields: Any) -> Softphone:
        """A registered telephone of a new user, or one more of a user's."""
        more = {} if user else {"call_functions": functions, "call_waiting": True} | fields
        device = await asyncio.to_thread(lambda: self.company.telephone(
            extension, kind=kind, user=user, **more))
        phone = Softphone(self.exchange, device, hz or TONES[extension], kinds)
        self.users[extension] = device.user
        self.endpoints.append(phone)
        return await self._stack.enter_async_context(phone) if register else phone

    async def three(self) -> tuple[Softphone, Softphone, Softphone]:
        """Anna, Bo and Cia, who all have call functions."""
        return await self.phone("101"), await self.phone("102"), await self.phone("103")

    async def carrier(self, *, hz: int = 0, kinds: str = "8") -> Carrier:
        """A trunk of the company's own, over which calls come and go."""
        address = f"127.0.{1 + self.company.series % 200}.{self.company.series // 200 + 70}"
        carrier = Carrier(self.exchange, address, hz=hz or TONES["carrier"], kinds=kinds,
                          port=free_port(address))
        trunk = self.exchange.trunk(address, carrier.port, tenant=self.company.id)
        self.exchange.client.post("/routes", {"tenant": self.company.id, "trunk": trunk,
                                              "prefix": "", "position": 0})
        self.endpoints.append(carrier)
        return await self._stack.enter_async_context(carrier)

    # -- calls --------------------------------------------------------------------------------

    async def talk(self, caller: Softphone | Carrier, called: Softphone) -> tuple[Call, Call]:
        """The caller's and the called person's call, once they hear each other."""
        number = called.number if isinstance(caller, Softphone) \
            else self.company.e164(int(called.number))
        line = await caller.dial(number)
        call = await take(called)
        await line.answered()
        await both(line, call)
        return line, call

    # -- looking ------------------------------------------------------------------------------

    async def ask(self, **question: Any) -> list[dict[str, Any]]:
        """The answers of all processes of call control."""
        return await asyncio.gather(*(bus.ask(self.exchange.state, f"control.{index}", question)
                                      for index in range(2)))

    async def live(self) -> list[dict[str, Any]]:
        """The company's calls that call control has."""
        answers = await self.ask(do="calls", tenant=self.company.id)
        return [call for answer in answers for call in answer["calls"]]

    async def in_state(self, state: str) -> dict[str, Any]:
        """The company's call, once it is in that state."""
        async def found() -> dict[str, Any] | None:
                return next((call for call in await self.live() if call["state"] == state), None)

        answer: dict[str, Any] = await wait_for(found, f"a call that is {state}")
        return answer

    async def command(self, name: str, user: str = "", **arguments: Any) -> dict[str, Any]:
        """Ask something of the company's only call; by: the extension of whoever does it."""
        uid = (await self.live())[0]["uid"]
        if user:
            arguments["user"] = self.users[user]
        answers = await self.ask(do="command", tenant=self.company.id, uid=uid, name=name,
                                 arguments=arguments)
        return next((one for one in answers if one.get("code") != 404), answers[0])

    async def originate(self, first: str, second: str, user: str) -> str:
        """Click to call; the uid."""
        answer = await bus.ask(self.exchange.state, "control.0", {
            "do": "originate", "tenant": self.company.id, "first": first, "second": second,
            "user": self.users[user]})
        return str(answer["uid"])

    async def lines(self, **states: str) -> None:
        """Until the API says that the lines are in these states, _101="in_call", others idle."""
        wanted = {extension: states.get(f"_{extension}", "idle") for extension in self.users}
        path = f"{self.company.base}/lines"
        found: dict[str, str] = {}

        async def right() -> bool:
            items = (await asyncio.to_thread(self.company.client.get, path))["items"]
            found.update({item["extension"]: item["line"] for item in items})
            return found == wanted

        await wait_for(right, lambda: f"lines {wanted}, which are {found}", 5)

    async def quiet(self, seconds: float = PATIENCE_S) -> None:
        """Until nothing is left of any call; nothing has gone wrong inside."""
        live = self.exchange.live
        found: list[Any] = []

        async def empty() -> bool:
            found[:] = [[now for now, before in zip(counts, self._before, strict=True)
                         if now > before] for counts in [await self._counts()]]
            found.append([slot for slot, nonce in live.calls()
                          if (it := live.call(slot, nonce)) and it["tenant"] == self.company.id])
            return found == [[], []]

        await wait_for(empty, lambda: f"nothing to be left: {found}", seconds)
        await self.lines()

    async def _counts(self) -> list[tuple[int, str, int]]:
        return [(process, name, one.get(name, one["faults"].get(name, 0)))
                for process, one in enumerate(await self.ask(do="status"))
                for name in (*HAS, *FAULTS)]


async def wait_for(what: Callable[[], Awaitable[Any]], why: str | Callable[[], str],
                   seconds: float = PATIENCE_S) -> Any:
    """The first true answer, asked for again and again."""
    until = asyncio.get_running_loop().time() + seconds
    while not (found := await what()):
        assert asyncio.get_running_loop().time() < until, \
            f"waited for {why if isinstance(why, str) else why()}"
        await asyncio.sleep(FRAME_S)
    return found


async def take(phone: Endpoint) -> Call:
    """The next call, taken."""
    call = await phone.incoming()
    call.ring()
    call.answer()
    return call


async def both(one: Call, two: Call) -> None:
    """Until the two hear each other and nothing else."""
    await asyncio.gather(one.hears(two.phone.hz), two.hears(one.phone.hz))


async def music(call: Call) -> None:
    """Until the call hears what the exchange plays: tones, and none of them a person's."""
    await _plays(call, lambda found: not found & set(TONES.values()) and not found <= RINGBACK,
                 "music")


async def ringback(call: Call) -> None:
    """Until the call hears that somebody's telephone rings."""
    await _plays(call, lambda found: found <= RINGBACK, "a ringing tone")


async def _plays(call: Call, right: Callable[[set[int]], bool], what: str) -> None:
    start = time.monotonic()

    async def heard() -> bool:
        now = time.monotonic()
        found = frequencies(call, now - MUSIC_S) if now - start > MUSIC_S else set()
        return bool(found) and right(found)

    await wait_for(heard, f"{what} at {call.phone.name}")


async def played(exchange: Exchange, company: Company, work: Work, **arguments: Any) -> None:
    """work(people, ...), and nothing is left; what goes wrong is told with what was sent."""
    async with People(exchange, company) as people:
        try:
            await work(people, **arguments)
            await people.quiet()
        except BaseException as error:
            for phone in people.endpoints:
                error.add_note(f"{phone.name}\n{phone.ladder()}")
            raise


async def _together(exchange: Exchange, work: Work, cases: Sequence[dict[str, Any]]) -> None:
    """All cases at once, in a company each; nothing is left of any."""
    turn, over = asyncio.Semaphore(AT_ONCE), asyncio.Barrier(len(cases))
    companies = [exchange.company() for _ in cases]

    async def wait(people: People, **arguments: Any) -> None:
        try:
            async with turn:
                await work(people, **arguments)
        finally:
            await over.wait()

    found = await asyncio.gather(*(
        played(exchange, company, wait, **case)
        for company, case in zip(companies, cases, strict=True)), return_exceptions=True)
    for case, error in zip(cases, found, strict=True):
        if error is not None:
            error.add_note(f"of the cases this one: {case}")
            raise error


def scene(work: Work) -> Callable[..., None]:
    """A test of a coroutine: work(people, what it is parametrized with)."""
    def test(exchange: Exchange, company: Company, **arguments: Any) -> None:
        asyncio.run(played(exchange, company, work, **arguments))

    fixtures = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
                for name in ("exchange", "company")]
    test.__name__, test.__doc__ = work.__name__, work.__doc__
    test.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*fixtures, *list(inspect.signature(work).parameters.values())[1:]])
    return test


def scenes(**values: Sequence[Any]) -> Callable[[Work], Callable[..., None]]:
    """One test of every combination of these values, played at the same time: what a scene waits
    for is mostly speech."""
    cases = [dict(zip(values, one, strict=True)) for one in itertools.product(*values.values())]

    def made(work: Work) -> Callable[..., None]:
        def test(exchange: Exchange) -> None:
            asyncio.run(_together(exchange, work, cases))

        test.__name__, test.__doc__ = work.__name__, work.__doc__
        return test

    return made
