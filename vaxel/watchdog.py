"""Kills what is frozen; the supervisor then starts it again.

Once a second every process is asked for a sign of life: a word in the live state that its loop
writes, or an answer to a question. What counts is at how many looks in a row something was wrong,
not for how long: who hung together with the whole machine is forgiven. A process that has never
given a sign is starting, and has more time. One that is stopped (SIGSTOP, a debugger) is frozen
whatever the others of its group say.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Protocol

import structlog

from api.operations import asking
from api.operations.system import Process, group, stopped
from routing_core import Live
from rtp.keys import PING, PONG

log = structlog.get_logger()

#: What is wrong at so many looks in a row is not going to pass.
LOOK_S, FROZEN_LOOKS = 1.0, 8
#: Looks at which a process that starts may be silent. The API may migrate and compile first.
START_LOOKS, API_START_LOOKS = 30, 120
WAIT_S: Final = 0.5
SILENT: Final = "it gives no sign of life"

#: Whether a process has given a sign of life since the last look.
Alive = Callable[[], Awaitable[bool]]
#: What is wrong with processes of a group, in sentences that stay the same as long as it does.
Faults = Callable[[Sequence[Process]], Iterable[str]]


class Child(Protocol):
    """What is watched. pid: 0 while it does not run; starts: how often it was started."""

    name: str
    starts: int

    @property
    def pid(self) -> int:
        """Of the group's leader."""

    def kill(self) -> None:
        """The whole group."""


class Watched:
    """A process and its group, and at how many looks something was wrong with it."""

    def __init__(self, child: Child, alive: Alive, faults: Faults = lambda _processes: (), *,
                 start_looks: int = START_LOOKS) -> None:
        self.child = child
        self._alive = alive
        self._faults = faults
        self._start_looks = start_looks
        self.failed = False  # the last look did
        self._life = 0
        self._shown = False  # a sign of life, in this one
        self._looks: dict[str, int] = {}

    async def look(self) -> str:
        """What has been wrong with it for too long; "" when nothing has."""
        pid, life = self.child.pid, self.child.starts
        alive = await self._alive()
        if not pid or (pid, life) != (self.child.pid, self.child.starts):
            return ""
        if life != self._life:
            self._life, self._shown, self._looks = life, False, {}
            alive = False  # that may have been the last of the life before
        self._shown = self._shown or alive
        processes = group(pid)
        found = stopped(processes)
        # Who waits for a disk cannot be killed, and lets others wait: nothing is known of them.
        waits = any(one.state == "D" for one in processes)
        if not waits:
            found += [*self._faults(processes), *([] if alive else [SILENT])]
        self._looks = (self._looks if waits else {}) | {
            what: self._looks.get(what, 0) + 1 for what in found}
        why = next((what for what, looks in self._looks.items() if looks >= self._limit(what)), "")
        if why:
            self._looks = {}  # it has as many looks to end
        return why

    def _limit(self, what: str) -> int:
        return self._start_looks if what == SILENT and not self._shown else FROZEN_LOOKS


async def watch(everyone: Sequence[Watched]) -> None:
    """Look again and again, and kill."""
    while True:
        await asyncio.gather(asyncio.sleep(LOOK_S), *map(_look, everyone))


async def _look(one: Watched) -> None:
    try:
        why = await one.look()
    except Exception:
        if not one.failed:  # once, not every second
            log.exception("cannot be watched", child=one.child.name)
        one.failed = True
        return
    one.failed = False
    if why:
        log.warning("process hangs", child=one.child.name, why=why)
        one.child.kill()


# -- signs of life -----------------------------------------------------------------------------

class Heart:
    """It has beaten when the word is another one than at the last look."""

    def __init__(self, word: Callable[[], int]) -> None:
        self._word = word
        self._last = word()

    async def __call__(self) -> bool:
        """See Alive."""
        last, self._last = self._last, self._word()
        return last != self._last


def control(live: Live, index: int) -> Alive:
    """The heart of call control has beaten."""
    async def alive() -> bool:
        return bool(live.control(index, time.time_ns() // 1_000_000, int(LOOK_S * 1000)))

    return alive


def answers(port: int, question: bytes, answer: bytes) -> Alive:
    """Something on loopback answers a datagram."""
    async def alive() -> bool:
        try:
            return answer in await asking.datagram("127.0.0.1", port, question, WAIT_S)
        except OSError:
            return False

    return alive


def media(port: int) -> Alive:
    """An rtpengine answers. The cookie is new each time: its answers are remembered."""
    async def alive() -> bool:
        cookie = secrets.token_hex(12).encode()
        return await answers(port, cookie + b" d7:command4:pinge", cookie)()

    return alive


def keys(port: int) -> Alive:
    """The forwarder of keys answers."""
    return answers(port, PING, PONG)


def edge(port: int) -> Alive:
    """Kamailio's management answers."""
    return answers(port, b'{"jsonrpc":"2.0","method":"core.uptime","id":1}', b'"result"')


def mixer(socket: Path) -> Alive:
    """Janus answers."""
    async def alive() -> bool:
        try:
            async with asyncio.timeout(WAIT_S):
                return bool(await asking.mixer(socket))
        except (OSError, ValueError):  # TimeoutError is an OSError
            return False

    return alive


async def unasked() -> bool:
    """One that only waits."""
    return True


def stuck_workers(live: Live) -> Faults:
    """Of the edge: workers that work on one message all the time, and dead ones that are still
    there."""
    def faults(processes: Sequence[Process]) -> list[str]:
        pids = {one.pid for one in processes}
        return [*(f"process {one.pid} is dead" for one in processes if one.state == "Z"),
                *(f"worker {pid} works on one message, since {since}"
                  for pid, since in live.workers() if since and pid in pids)]

    return faults
