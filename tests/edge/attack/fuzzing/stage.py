"""The exchange that is fuzzed, with honest people on the phone, attackers who have passwords of
another company, a carrier that cannot be trusted, and places that nobody may reach."""

import asyncio
import contextlib
import socket
from typing import Any, Self

from tests.edge.attack.fuzzing import corpus
from tests.edge.attack.fuzzing.fill import Device
from tests.edge.attack.fuzzing.mutate import Words
from tests.edge.attack.fuzzing.phones import Pair, Phone, Sink, Tapped, Trunk
from tests.edge.attack.fuzzing.spray import bound
from tests.exchange import Company, Exchange, Telephone
from tests.listening import menu, prompt, service, user
from vaxel.ports import free_port

CARRIER, ROGUE, VICTIM_TRUNK, VICTIM = "127.0.0.41", "127.0.0.61", "127.0.0.251", "127.0.0.252"
SINKS = "127.0.0.9"
EXTENSIONS = ("101", "102", "103", "104", "105", "106")
#: A call may take so long until it is up.
UP_S = 30


class Victim:
    """An address that only what is named may reach, by UDP and TCP."""

    def __init__(self, host: str) -> None:
        self.udp = bound(host, free_port(host))
        self.host, self.port = self.udp.getsockname()
        self._tcp = socket.create_server((host, self.port))
        self._tcp.setblocking(False)
        self.heard: list[str] = []

    def look(self) -> list[str]:
        """What has come since."""
        found = []
        while True:
            try:
                found.append(self.udp.recv(1 << 16).decode("latin-1"))
            except BlockingIOError:
                break
        with contextlib.suppress(BlockingIOError):
            while True:
                self._tcp.accept()[0].close()
                found.append("a connection by TCP")
        self.heard += found
        return found

    def close(self) -> None:
        """No more."""
        self.udp.close()
        self._tcp.close()


class Stage:
    """async with Stage(exchange, seed) as stage: ..."""

    def __init__(self, exchange: Exchange, seed: int) -> None:
        self.exchange = exchange
        self.alarms: list[str] = []
        self.pairs: list[Pair] = []
        self.phones: dict[str, Tapped] = {}
        self.heard: list[tuple[str, str, str]] = []
        self.sink = Sink(exchange, seed, self.alarms)
        self.victims = [Victim(VICTIM), Victim(VICTIM_TRUNK)]
        self._stack = contextlib.AsyncExitStack()
        self._tasks: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._provision)
        port = await self.sink.open(SINKS)
        for telephone in self._sinks:
            await asyncio.to_thread(self._register, telephone, port)
        for telephone, hz in zip(self._honest, (600, 800, 1000, 1200, 1600, 1800), strict=True):
            phone = Phone(self.exchange, telephone, hz)
            phone.tap(self.heard, self.alarms)
            self.phones[telephone.extension] = await self._stack.enter_async_context(phone)
        carrier = Trunk(self.exchange, CARRIER, port=self._carrier_port)
        carrier.tap(self.heard, self.alarms)
        self.phones["carrier"] = await self._stack.enter_async_context(carrier)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.hang_up()
        self.sink.close()
        await self._stack.__aexit__(*error)
        for victim in self.victims:
            victim.close()

    def _provision(self) -> None:
        exchange = self.exchange
        self.honest = company = exchange.company(name="Honest")
        self._honest = [self._telephone(company, f"fuzz-h{extension}", extension, functions)
                        for extension, functions in zip(
                            EXTENSIONS, (True, True, False, False, False, True), strict=True)]
        self._carrier_port = free_port(CARRIER)
        trunk = exchange.trunk(CARRIER, self._carrier_port, tenant=company.id)
        exchange.client.post("/routes", {"tenant": company.id, "trunk": trunk, "prefix": "",
                                         "position": 0})
        menu(company, prompt(company, 400, 20), {"1": user(self._honest[0])}, extension="300",
             first_digit_s=10)
        service(company, "mailbox", extension="301", user=self._honest[1].user)
        self.attackers = other = exchange.company(name="Attackers")
        names = [f"fuzz-a{number}" for number in range(101, 105)]
        self._attackers = [self._telephone(other, name, name[-3:], name.endswith("4"))
                           for name in names]
        self._sinks = [self._telephone(other, f"fuzz-s{number}", str(number), False)
                       for number in range(201, 204)]
        group = other.group(self._sinks[1:])
        exchange.trunk(ROGUE, free_port(ROGUE), tenant=other.id)
        exchange.trunk(VICTIM_TRUNK, self.victims[1].port, tenant=company.id)
        menu(other, prompt(other, 400, 5), {"1": user(self._sinks[0])}, extension="300")
        service(other, "mailbox", extension="301", user=self._sinks[0].user)
        main = other.main({"kind": "group", "group": group})
        self.devices = [Device(one.username, one.secret) for one in self._attackers]
        self.numbers = ["201", "202", "203", "101", other.e164(201), main, "300", "301",
                        "+46709998877", company.e164(101), "999", "**201"]

    @staticmethod
    def _telephone(company: Company, name: str, extension: str, functions: bool) -> Telephone:
        made = company.telephone(extension, device={"username": name}, call_functions=functions,
                                 call_waiting=True)
        return made._replace(username=name)

    def _register(self, telephone: Telephone, port: int) -> None:
        # The answer goes to a socket of its own at the sinks' address.
        answer = self.exchange.register(telephone, port, address=SINKS, expires=3600)
        assert "200 OK" in answer, answer

    # -- calls --------------------------------------------------------------------------------

    async def record(self) -> None:
        """Real dialogs, from the first message to the last; then the calls that stay up."""
        phones = self.phones
        number = self.honest.e164
        watching = await phones["101"].subscribe("dialog", "103")
        await watching.subscribe(300)
        self.pairs = [
            Pair(phones["101"], phones["102"], "102"), Pair(phones["103"], phones["104"], "104"),
            Pair(phones["carrier"], phones["105"], number(105)),
            Pair(phones["106"], None, "300"),
        ]
        self._start()
        await self._until_up()
        line, call = self.pairs[1].line, self.pairs[1].call
        if line is not None and call is not None:
            with contextlib.suppress(AssertionError):
                await line.hold()
                await line.resume()
                await call.update(call.description())
                await call.info("1")
        for pair in self.pairs:
            with contextlib.suppress(AssertionError):
                for side in pair.sides[::-1][:1]:
                    await side.hang_up()
        await asyncio.sleep(0.4)
        await self._until_up()
        with contextlib.suppress(AssertionError):
            await watching.subscribe(0)
        for phone in phones.values():
            phone.tap(None, self.alarms)

    async def _until_up(self) -> None:
        async with asyncio.timeout(UP_S):
            while not all(pair.up for pair in self.pairs):
                await asyncio.sleep(0.05)

    def _start(self) -> None:
        self._tasks = [asyncio.create_task(pair.keep()) for pair in self.pairs]
        called = [pair.called for pair in self.pairs]
        self._refusing = [asyncio.create_task(phone.refuse_others())
                          for phone in self.phones.values() if phone not in called]

    async def hang_up(self) -> None:
        """Everybody."""
        for pair in self.pairs:
            pair.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=30)
        self._tasks = []

    def templates(self) -> corpus.Templates:
        """Everything that is mutated."""
        return [*corpus.attacks(), *corpus.plain(self.numbers),
                *corpus.real(self.heard, self.exchange.sip)]

    def words(self) -> Words:
        """What the exchange has said, and the places that nobody may reach."""
        found = corpus.words(self.heard, [(one.host, one.port) for one in self.victims])
        self.sink.words = found
        return found

    def media_ports(self) -> list[int]:
        """Where the calls that are up have their sound."""
        return [side.media.to for pair in self.pairs for side in pair.sides if side.media.to]
