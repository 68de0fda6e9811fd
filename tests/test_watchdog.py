"""What is frozen is named, killed and back within 15 s; what nobody looks after ends."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
from structlog.testing import capture_logs

from api.keeping.edge_rpc import EdgeRpc
from api.operations import system
from api.operations.system import Process
from routing_core import mapping
from rtp.ng import NgClient, Node
from store.bus import NobodyThere, ask
from tests.exchange import Exchange, eventually
from tests.test_survival import alive
from vaxel import mixer, orphans, watchdog
from vaxel.watchdog import API_START_LOOKS, FROZEN_LOOKS, START_LOOKS, Heart, Watched

#: The promise, from the moment at which something freezes to its next real answer.
BACK_S = 15.0
#: Health looks once a second, and believes in a silence after three.
NAMED_S = 8.0
#: Whatever is left is gone within this.
GONE_S = 5.0


@pytest.fixture(scope="module")
def own() -> Iterator[Exchange]:
    """An exchange that may be hurt."""
    with Exchange() as exchange:
        yield exchange


def base(exchange: Exchange) -> str:
    """The API's address."""
    return f"http://{exchange.settings.address}:{exchange.settings.api_port}/v1"


def health(exchange: Exchange) -> dict[str, Any]:
    """{part: what is found of it}"""
    found = exchange.client.get("/health")["dependencies"]
    return {one["name"]: one for one in found}


def well(exchange: Exchange) -> bool:
    """There is nothing to say but of this machine's clock."""
    return {name for name, one in health(exchange).items() if one["state"] != "ok"} <= {"clock"}


def named(exchange: Exchange, part: str, said: str, state: str) -> None:
    """Health says so, in time."""
    def found() -> bool:
        one = health(exchange)[part]
        return said in one["problem"] and one["state"] == state

    eventually(found, NAMED_S)


def workers(exchange: Exchange) -> list[int]:
    """Kamailio's that read UDP."""
    async def listed() -> Any:
        async with EdgeRpc(exchange.settings.rpc_port) as edge:
            return await edge.call("core.psx")

    return [int(one["PID"]) for one in asyncio.run(listed())
            if one["DSC"].startswith("udp receiver")]


def process(exchange: Exchange, word: str) -> int:
    """The one of this exchange that has the word in its command line; 0 when there is none."""
    for pid in orphans.find(exchange.state):
        with contextlib.suppress(OSError):
            if word in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
                return pid
    return 0


def asked(exchange: Exchange, name: str) -> int:
    """The pid of a process that answers on the bus; 0 when none does."""
    try:
        return int(asyncio.run(ask(exchange.state, name, {"do": "metrics"}, 0.5))["pid"])
    except NobodyThere:
        return 0


def media_answers(exchange: Exchange) -> bool:
    """An rtpengine answers, and is in use."""
    async def probe() -> bool:
        node = Node("127.0.0.1", exchange.settings.media_port)
        async with NgClient([node]) as client:
            return await client.probe(node, misses=1)

    return asyncio.run(probe()) and exchange.live.media_up == 1


def api_answers(exchange: Exchange) -> bool:
    """The API answers."""
    try:
        return httpx.get(f"{base(exchange)}/health", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


def keys_answer(exchange: Exchange) -> bool:
    """The forwarder of keys answers."""
    return asyncio.run(sign(watchdog.keys(exchange.settings.keys_port)))


async def sign(of: watchdog.Alive) -> bool:
    """What a sign of life says."""
    return await of()


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """It is there and does nothing."""
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def gone(pid: int) -> bool:
    """No such process, or nothing but its number."""
    found = system.process(pid)
    return found is None or found.state == "Z"


def freeze(exchange: Exchange, pid: int, answers: Callable[[Exchange], Any],
           named: Callable[[], None] = lambda: None) -> None:
    """Freeze it; it is named, and killed, and there is an answer again in time."""
    eventually(lambda: well(exchange), 20)
    began = time.monotonic()
    with frozen(pid):
        named()
        eventually(lambda: gone(pid) and answers(exchange), BACK_S - (time.monotonic() - began))
    back_s = time.monotonic() - began
    print(f"back after {back_s:.1f} s")
    assert back_s < BACK_S
    eventually(lambda: well(exchange), 20)


# -- real processes ----------------------------------------------------------------------------

def test_a_worker_of_the_edge(own: Exchange) -> None:
    """Its management and the other workers answer all the while."""
    pid = workers(own)[1]
    freeze(own, pid, alive, lambda: named(own, "edge", f"process {pid} is stopped", "degraded"))
    assert f"process {pid} is stopped" in own.log("vaxel")


def test_a_worker_of_the_edge_that_does_not_end_a_message(own: Exchange) -> None:
    eventually(lambda: well(own), 20)
    pid = workers(own)[0]
    began = time.monotonic()
    place = own.live.enter_worker(pid)
    own.live.set_busy(place, time.time_ns() // 1_000_000)
    named(own, "edge", f"worker {pid} has worked on one message for", "degraded")
    eventually(lambda: gone(pid) and alive(own), BACK_S - (time.monotonic() - began))
    assert pid not in dict(own.live.workers()), "repaired"
    eventually(lambda: well(own), 20)


def test_the_management_of_the_edge(own: Exchange) -> None:
    """Health remembers whom to name."""
    pids = set(own.pids("kamailio")) - set(workers(own))
    eventually(lambda: well(own), 20)
    with contextlib.ExitStack() as stack:
        for pid in pids:
            stack.enter_context(frozen(pid))
        named(own, "edge", "Kamailio does not answer", "down")
        assert "is stopped" in health(own)["edge"]["problem"]
        eventually(lambda: all(map(gone, pids)) and alive(own), BACK_S)
    eventually(lambda: well(own), 20)


def test_rtpengine(own: Exchange) -> None:
    freeze(own, own.pids("rtpengine")[0], media_answers,
           lambda: named(own, "media0", "rtpengine does not answer", "down"))


def test_the_keeper(own: Exchange) -> None:
    freeze(own, asked(own, "keeper"), lambda exchange: asked(exchange, "keeper"),
           lambda: named(own, "keeper", "has not been seen", "down"))


def test_the_api(own: Exchange) -> None:
    freeze(own, process(own, "api.app"), api_answers)


def test_call_control(own: Exchange) -> None:
    freeze(own, asked(own, "control.1"), lambda exchange: asked(exchange, "control.1"),
           lambda: named(own, "control1", "no heartbeat", "down"))


def test_the_forwarder_of_keys(own: Exchange) -> None:
    freeze(own, process(own, "rtp.keys"), keys_answer,
           lambda: named(own, "keys", "nobody passes pressed keys on", "down"))


def test_the_mixer(own: Exchange) -> None:
    freeze(own, process(own, "--config=janus.jcfg"), lambda exchange: mixer.answers(exchange.state),
           lambda: named(own, "mixer", "Janus does not answer", "down"))


def test_the_guard(own: Exchange) -> None:
    freeze(own, process(own, "vaxel.orphans"), lambda exchange: process(exchange, "vaxel.orphans"))


def test_who_stands_still_for_a_moment_lives(own: Exchange) -> None:
    eventually(lambda: well(own), 20)
    pid = workers(own)[0]
    with frozen(pid):
        named(own, "edge", f"process {pid} is stopped", "degraded")
    eventually(lambda: well(own), NAMED_S)
    assert not gone(pid)


# -- the supervisor is killed ------------------------------------------------------------------

def kill(exchange: Exchange) -> None:
    """SIGKILL for the supervisor."""
    exchange._process.kill()
    exchange._process.wait()


def restart(exchange: Exchange) -> None:
    """`vaxel run` again in the same directory."""
    exchange._output.close()
    exchange.__enter__()


def test_nothing_outlives_the_supervisor() -> None:
    """Not even what is frozen; and a new start finds its ports free."""
    with Exchange() as exchange:
        left = orphans.find(exchange.state)
        assert {*exchange.pids("kamailio"), *exchange.pids("rtpengine")} < set(left)
        assert len(left) > 12
        os.kill(workers(exchange)[0], signal.SIGSTOP)
        kill(exchange)
        eventually(lambda: not orphans.find(exchange.state) and all(map(gone, left)), GONE_S)
        restart(exchange)
        assert alive(exchange)


def test_the_next_start_ends_what_is_left() -> None:
    """When the guard was killed, too; what only speaks of the directory is left alone. The live
    state of another version is replaced."""
    with Exchange() as exchange:
        left = orphans.find(exchange.state)
        with subprocess.Popen(["tail", "-f", exchange.state / "output"],
                              stdout=subprocess.DEVNULL) as stranger:
            guard = process(exchange, "vaxel.orphans")
            os.kill(guard, signal.SIGSTOP)
            kill(exchange)
            os.kill(guard, signal.SIGKILL)
            assert not any(map(gone, set(left) - {guard}))
            path = exchange.state / "live"
            with path.open("r+b") as file:
                file.write(b"an old version of it")
            restart(exchange)
            assert alive(exchange) and all(map(gone, left))
            assert "processes of an earlier run ended" in exchange.log("vaxel")
            assert "the live state was of another version" in exchange.log("vaxel")
            assert stranger.poll() is None
            stranger.kill()


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_the_guard_ends_what_has_its_mark(tmp_path: Path, before: bool) -> None:
    """Whether its parent ended before it looked or after; not what another run has started."""
    sleeper = [sys.executable, "-c", "import signal; signal.pause()"]
    run = "a1"
    with subprocess.Popen(sleeper, env=os.environ | orphans.mark(tmp_path, run)) as mine, \
            subprocess.Popen(sleeper, env=os.environ | orphans.mark(tmp_path, "b2")) as other, \
            subprocess.Popen(sleeper, env=os.environ | orphans.mark(tmp_path / "x", run)) as far:
        eventually(lambda: set(orphans.find(tmp_path)) == {mine.pid, other.pid}, 5)
        program = (
            "import os, subprocess, sys, time\n"
            "guard = subprocess.Popen([sys.executable, '-m', 'vaxel.orphans', "
            f"str(os.getppid() if {before} else os.getpid()), {run!r}, {str(tmp_path)!r}])\n"
            "sys.stdin.read()")
        with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as parent:
            if not before:
                assert mine.poll() is None
            parent.communicate()
        assert mine.wait(5) == -signal.SIGKILL
        assert other.poll() is None and far.poll() is None
        assert orphans.end(tmp_path) == [other.pid]
        assert other.wait(5) == -signal.SIGKILL and far.poll() is None
        assert orphans.end(tmp_path / "x") == [far.pid]


# -- looks -------------------------------------------------------------------------------------

class FakeChild:
    """A process that says what it is told to."""

    name = "fake"

    def __init__(self) -> None:
        self.pid = 7
        self.starts = 1
        self.lives = True
        self.states = "S"
        self.faults: list[str] = []

    def kill(self) -> None:
        """Not here."""

    async def alive(self) -> bool:
        """See watchdog.Alive."""
        return self.lives

    def said(self, _processes: Sequence[Process]) -> list[str]:
        """See watchdog.Faults."""
        return self.faults

    def group(self, pid: int) -> list[Process]:
        """As many processes as there are states."""
        return [Process(pid + n, state, pid) for n, state in enumerate(self.states)]


class Looking:
    """A fake, and who looks at it."""

    def __init__(self, **arguments: int) -> None:
        self.child = FakeChild()
        self.watched = Watched(self.child, self.child.alive, self.child.said, **arguments)

    def look(self, times: int = 1) -> list[str]:
        """What so many looks say."""
        async def looks() -> list[str]:
            return [await self.watched.look() for _ in range(times)]

        with mock.patch("vaxel.watchdog.group", self.child.group):
            return asyncio.run(looks())

    def until(self, what: str) -> int:
        """The look at which it is said for the first time."""
        return [what in one for one in self.look(200)].index(True) + 1


@pytest.fixture
def looking() -> Looking:
    """One that has shown that it lives."""
    made = Looking()
    assert made.look(3) == [""] * 3
    return made


def test_who_is_silent_is_killed_after_some_looks(looking: Looking) -> None:
    looking.child.lives = False
    assert looking.until("no sign of life") == FROZEN_LOOKS


def test_a_sign_of_life_forgives_everything(looking: Looking) -> None:
    for _ in range(10):
        looking.child.lives = False
        assert not any(looking.look(FROZEN_LOOKS - 1))
        looking.child.lives = True
        assert not any(looking.look())


def test_who_starts_has_more_time() -> None:
    for arguments, looks in (({}, START_LOOKS), ({"start_looks": 120}, API_START_LOOKS)):
        looking = Looking(**arguments)
        looking.child.lives = False
        assert looking.until("no sign of life") == looks


def test_a_new_life_starts_anew(looking: Looking) -> None:
    looking.child.lives = False
    assert not any(looking.look(FROZEN_LOOKS - 1))
    looking.child.starts, looking.child.lives = 2, True
    looking.look()  # the sign may be the last life's
    looking.child.lives = False
    assert looking.until("no sign of life") == START_LOOKS - 1


def test_who_does_not_run_is_not_looked_at(looking: Looking) -> None:
    looking.child.pid, looking.child.lives = 0, False
    assert not any(looking.look(100))


@pytest.mark.parametrize("state", "Tt")
def test_a_stopped_one_of_a_group_is_frozen(state: str) -> None:
    """Whatever the others say, and while it starts."""
    looking = Looking()
    looking.child.states = f"SS{state}R"
    assert looking.until("process 9 is stopped") == FROZEN_LOOKS


def test_faults_are_counted_one_by_one(looking: Looking) -> None:
    """Always another one is a busy machine, not a frozen process."""
    for n in range(100):
        looking.child.faults = [f"message {n // (FROZEN_LOOKS - 1)}"]
        assert not any(looking.look())
    looking.child.faults = ["message x"]
    assert looking.until("message x") == FROZEN_LOOKS


def test_nothing_is_known_while_somebody_waits_for_a_disk(looking: Looking) -> None:
    """Neither for nor against; one that is stopped is."""
    looking.child.lives = False
    assert not any(looking.look(FROZEN_LOOKS - 1))
    looking.child.states = "SD"
    assert not any(looking.look(100))
    looking.child.states = "SS"
    assert looking.until("no sign of life") == 1
    looking.child.states, looking.child.lives = "DT", True
    assert looking.until("process 8 is stopped") == FROZEN_LOOKS


def test_what_happens_during_a_look(looking: Looking) -> None:
    """A process that was replaced while it was asked is not blamed for it."""
    async def slow() -> bool:
        looking.child.starts += 1
        return False

    looking.child.states = "T"
    looking.watched._alive = slow
    assert not any(looking.look(50))


def test_a_look_that_fails_stops_no_other() -> None:
    killed = []

    async def fails() -> bool:
        raise RuntimeError("a fault")

    async def silent() -> bool:
        return False

    def child(name: str) -> Any:
        made = FakeChild()
        made.name = name
        made.kill = lambda: killed.append(name)  # type: ignore[method-assign]
        return made

    async def play() -> None:
        task = asyncio.create_task(watchdog.watch([
            Watched(child("fails"), fails),
            Watched(child("silent"), silent, start_looks=2)]))
        async with asyncio.timeout(10):
            while not killed:
                await asyncio.sleep(0.01)
        task.cancel()

    with mock.patch("vaxel.watchdog.group", FakeChild().group), capture_logs() as logs, \
            mock.patch("vaxel.watchdog.LOOK_S", 0.01):
        asyncio.run(play())
    assert set(killed) == {"silent"}
    assert [one["child"] for one in logs if one["event"] == "cannot be watched"] == ["fails"]


def test_a_heart_beats_when_its_word_changes() -> None:
    words = iter([5, 5, 6, 6, 3])
    heart = Heart(lambda: next(words))
    assert [asyncio.run(sign(heart)) for _ in range(4)] == [False, True, False, True]


def test_workers_that_are_stuck(tmp_path: Path) -> None:
    """Of this life of the edge."""
    live = mapping.open_live(tmp_path)
    try:
        for pid, since in ((7, 1000), (8, 0), (99, 1000)):
            live.set_busy(live.enter_worker(pid), since)
        found = watchdog.stuck_workers(live)([Process(pid, state, 7) for pid, state in (
            (7, "S"), (8, "S"), (9, "Z"))])
        assert list(found) == ["process 9 is dead", "worker 7 works on one message, since 1000"]
    finally:
        mapping.remove_live(tmp_path)


def test_a_group_of_processes() -> None:
    """Its leader and whoever descends from it, but not who has left it."""
    program = ("import os, subprocess, sys\n"
               "sleep = [sys.executable, '-c', 'import signal; signal.pause()']\n"
               "found = [subprocess.Popen(sleep).pid, "
               "subprocess.Popen(sleep, start_new_session=True).pid]\n"
               "print(*found, flush=True)\nsys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, start_new_session=True) as leader:
        assert leader.stdout
        inside, outside = map(int, leader.stdout.readline().split())
        try:
            assert {one.pid for one in system.group(leader.pid)} == {leader.pid, inside}
            assert set(system.children(leader.pid)) == {inside, outside}
            os.kill(inside, signal.SIGSTOP)
            eventually(lambda: system.stopped(system.group(leader.pid))
                       == [f"process {inside} is stopped"], 5)
        finally:
            for pid in (inside, outside):
                os.kill(pid, signal.SIGKILL)
            leader.communicate()
    assert system.group(leader.pid) == [] and system.process(leader.pid) is None
