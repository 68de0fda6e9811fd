"""Whose queues they are when the process that has them stands still: real processes first, then
two processes in virtual time."""

import asyncio
import contextlib
import os
import random
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from callcontrol.queues.floor import Floor
from callcontrol.queues.owner import Queues
from routing_core.codes import Reason
from routing_core.handover import preferred
from routing_core.live import Live, format_live, live_size
from store.bus import ask
from store.model import Queue, Service
from tests.callcentre import STAY, Centre
from tests.exchange import Exchange
from tests.fake_desk import TENANT, FakeDesk, FakeLive
from tests.fakes import Stage, VirtualLoop
from tests.people import People, played, take, wait_for
from tests.queue_stage import QUEUE, Around, Crowd, member, quick

#: The queues have a process again so soon after one could have them: two looks.
OWNED_S = 2.0
#: A process that hangs is killed after so long (vaxel/watchdog.py).
KILLED_S = 16.0


# -- real processes ----------------------------------------------------------------------------

@pytest.fixture(scope="module")
def own() -> Iterator[Exchange]:
    """An exchange that may be hurt."""
    with Exchange() as exchange:
        yield exchange


def owner(exchange: Exchange, tenant: int) -> int:
    """Whose word stands in the live file."""
    return exchange.live.owner(tenant, time.time_ns() // 1_000_000)


async def pids(exchange: Exchange) -> list[int]:
    """Of the processes of call control."""
    return [int((await ask(exchange.state, f"control.{index}", {"do": "metrics"}))["pid"])
            for index in range(2)]


@contextlib.asynccontextmanager
async def stopped(*processes: int) -> AsyncIterator[None]:
    """They are there and do nothing."""
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def owned(exchange: Exchange, tenant: int, *expected: int) -> None:
    """One of these has the queues, in time."""
    async def found() -> bool:
        return owner(exchange, tenant) in expected

    await wait_for(found, f"{expected} to own the queues", OWNED_S)


@pytest.mark.parametrize("both", [False, True], ids=["one", "both"])
def test_a_process_that_stood_still_has_its_queues_and_callers_again(own: Exchange,
                                                                     both: bool) -> None:
    async def work(people: People) -> None:
        centre, tenant = Centre(people), people.company.id
        queue = centre.queue(overflow=STAY)
        anna = await centre.absent("101", queue)
        line = await (await people.carrier()).dial(centre.number(queue))
        await line.answered()
        waiting = await centre.waiting(queue, 1)
        first = owner(own, tenant)
        assert first >= 0
        processes = await pids(own)
        other = await people.phone("102")
        async with stopped(processes[first]):
            async def silent() -> bool:
                return owner(own, tenant) != first

            await wait_for(silent, "the owner to be silent", 4)
            # A call of the company comes to the other one meanwhile, which takes its word.
            call = await other.dial("101")
            taken = await take(anna)
            await owned(own, tenant, 1 - first)
            await asyncio.sleep(1.5)
            async with stopped(*processes) if both else contextlib.nullcontext():
                await asyncio.sleep(2.5 if both else 0)
        await owned(own, tenant, first)
        assert [one["caller"] for one in await centre.waiting(queue, 1)] == \
            [one["caller"] for one in waiting]
        await call.hang_up()
        await taken.ended()
        centre.pause("101", "")
        served = await take(anna)
        await line.hang_up()
        await served.ended()
        assert owner(own, tenant) == first

    asyncio.run(played(own, own.company(), work))


def test_a_process_that_hangs_for_good(own: Exchange) -> None:
    """It is killed; the next has the queues."""
    async def work(people: People) -> None:
        centre, tenant = Centre(people), people.company.id
        queue = centre.queue()
        anna = await centre.agent("101", queue)
        first = owner(own, tenant)
        victim = (await pids(own))[first]
        async with stopped(victim):
            async def has_them() -> bool:
                found = owner(own, tenant)
                return found >= 0 and not Path(f"/proc/{victim}").exists()

            await wait_for(has_them, "somebody to have the queues", KILLED_S)
        line = await (await people.carrier()).dial(centre.number(queue))
        served = await take(anna)
        await line.hang_up()
        await served.ended()

        async def back() -> bool:
            return bool(own.live.control(first, time.time_ns() // 1_000_000))

        await wait_for(back, "the killed process in a new life")

    asyncio.run(played(own, own.company(), work))


# -- two processes in virtual time -------------------------------------------------------------

SILENCE_S = 2.0
BEAT_S = 0.5


class Words(FakeLive):
    """Whose the company is: really."""

    def __init__(self, stage: Stage, live: Live) -> None:
        super().__init__(stage)
        self.own = live.own  # type: ignore[method-assign,assignment]
        self.disown = live.disown  # type: ignore[method-assign,assignment]
        self.owner, self.control, self.set_control = live.owner, live.control, live.set_control


class Process:
    """One life after the other of a process of call control."""

    def __init__(self, index: int, stage: Stage, live: Live, folder: Path) -> None:
        self.index, self.stage, self.live, self.folder = index, stage, live, folder
        self.tasks: list[asyncio.Task[None]] = []
        self.begin()

    def begin(self) -> None:
        """A life."""
        self.desk = desk = FakeDesk(self.stage)
        desk.index, desk.born_ms = self.index, int(desk.clock() * 1000)
        desk.fake_live = Words(self.stage, self.live)
        desk.live = desk.fake_live  # type: ignore[assignment]
        rows = desk.fake_store.rows
        rows["queue_member"] = {1: member(1)}
        rows["service"] |= {QUEUE: Service(id=QUEUE, tenant=TENANT, name="Q", settings=Queue())}
        desk.fake_store.select = lambda *_a, **_k: [(TENANT,)]  # type: ignore[attr-defined]
        desk.queues = self.queues = Queues(desk, self.folder)
        self.queues.around = Around(desk)  # type: ignore[assignment]
        self.go_on()

    def go_on(self) -> None:
        """SIGCONT."""
        self.tasks = [asyncio.ensure_future(self._beat()), asyncio.ensure_future(self.queues.run())]

    async def _beat(self) -> None:
        while True:
            self.live.set_control(self.index, self.desk.born_ms, int(self.desk.clock() * 1000))
            await asyncio.sleep(BEAT_S)

    @property
    def lives(self) -> bool:
        """And moves."""
        return bool(self.tasks)

    @property
    def own(self) -> Floor | None:
        """The queues, if they are here."""
        return self.queues._floors.get(TENANT)

    def halt(self) -> None:
        """SIGSTOP."""
        for task in self.tasks:
            task.cancel()
        self.tasks = []

    async def kill(self) -> None:
        """SIGKILL."""
        self.halt()
        if self.own is not None:
            self.own.journal.close()
            self.own._closed = True
        self.stage.stopping = True
        self.desk.calls = {uid: call for uid, call in self.desk.calls.items() if call.script}
        await self.desk.stop()
        for task in self.queues._tasks.values():
            task.cancel()
        self.stage.stopping = False


async def settled(processes: list[Process]) -> Process:
    """The one that has word and queues, after the time in which there must be one."""
    await asyncio.sleep(OWNED_S + 0.1)
    holders = [one for one in processes if one.own is not None]
    live = processes[0].live
    word = live.owner(TENANT, int(processes[0].desk.clock() * 1000))
    assert [one.index for one in holders] == [word]
    return holders[0]


def played_by_two(play: Any) -> None:
    """play(processes), the first of which has the queues."""
    loop = VirtualLoop()
    sizes = (8, 8, 8, 8)
    buffer = bytearray(live_size(*sizes, 4))
    format_live(buffer, *sizes, 1, 4)

    async def whole(folder: Path) -> None:
        stage, live = Crowd(), Live(buffer)
        processes = [Process(index, stage, live, folder) for index in preferred(TENANT, [0, 1])]
        assert await settled(processes) is processes[0]
        await play(processes)
        for one in processes:
            await one.kill()
        await asyncio.sleep(60)

    with tempfile.TemporaryDirectory() as folder, capture_logs(), quick:
        loop.play(whole(Path(folder)))


def waits(process: Process) -> Any:
    """Somebody begins to wait there; a question whether that is still so."""
    desk = process.desk
    desk.fake_live.busy = {1}  # the only agent
    assert process.own and process.own.act(1, "log_in") == (0, "")
    leg = desk.arrive(desk.word(Reason.SERVICE_TARGET, service=QUEUE))

    def still() -> bool:
        floor = process.own
        return floor is not None and not floor._closed and any(
            spot.left is None and spot.position() > 0 and side.leg is leg
            for spot in floor.spots.values() for side in spot.call.sides.values())

    return still


def busy(process: Process) -> None:
    """A call that is no queue's comes to that process, and stays."""
    process.desk.own(TENANT)
    call: Any = SimpleNamespace(tenant=TENANT, script=None, uid="busy")
    process.desk.calls["busy"] = call


@pytest.mark.parametrize("called", [False, True], ids=["quiet", "called"])
@pytest.mark.parametrize("halted", [(0,), (0, 1)], ids=["one", "both"])
def test_whoever_stood_still_goes_on(halted: tuple[int, ...], called: bool) -> None:
    """Who waited there waits on, and whoever has the journal has the word."""
    async def play(processes: list[Process]) -> None:
        first, second = processes
        still = waits(first)
        await asyncio.sleep(1)
        assert still()
        first.halt()
        await asyncio.sleep(SILENCE_S + 1.5)
        if called:
            busy(second)
            assert first.live.owner(TENANT, int(first.desk.clock() * 1000)) == second.index
        await asyncio.sleep(2)
        assert second.own is None
        for number in halted[1:]:
            processes[number].halt()
        await asyncio.sleep(SILENCE_S + 1)
        for number in halted:
            processes[number].go_on()
        assert await settled(processes) is first
        assert still()

    played_by_two(play)


@pytest.mark.parametrize("seed", range(60))
def test_somebody_has_the_queues_whatever_stands_still_or_dies(seed: int) -> None:
    """And nobody who waits is lost but by a death."""
    chance = random.Random(seed)

    async def play(processes: list[Process]) -> None:
        stills: dict[Process, Any] = {}
        for _ in range(20):
            one = chance.choice(processes)
            what = chance.choice(("halt", "halt", "go_on", "call", "over", "kill", "wait"))
            if what == "halt" and one.lives:
                one.halt()
            elif what == "go_on" and not one.lives:
                one.go_on()
            elif what == "call" and one.lives:
                busy(one)
            elif what == "over":
                one.desk.calls.pop("busy", None)
            elif what == "kill":
                await one.kill()
                one.begin()
                stills.pop(one, None)
            elif what == "wait" and one.lives and one.own and one not in stills:
                stills[one] = waits(one)
            await asyncio.sleep(chance.choice((0.1, 1, SILENCE_S + 0.7)))
            if all(other.lives for other in processes) and chance.random() < 0.5:
                await asyncio.sleep(SILENCE_S)  # a death is known after so long
                await settled(processes)
        for one in processes:
            if not one.lives:
                one.go_on()
        await asyncio.sleep(SILENCE_S)
        await settled(processes)
        assert all(still() for still in stills.values())

    played_by_two(play)
