"""Starts the processes of one installation and starts again at once what dies.

Each runs in a process group of its own, so that what a killed parent leaves behind is ended before
its ports are needed again. The edge's call slots are repaired between its death and its new start.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog

from routing_core import mapping
from store import SqliteStore, StoreError
from vaxel import edge, media, mixer
from vaxel.logs import LogFile, readable
from vaxel.ports import is_free
from vaxel.settings import FILE, ROOT, Settings, put_in_force

log = structlog.get_logger()

#: A process that dies younger than this is started again a little later each time.
YOUNG_S = 2.0
MAX_DELAY_S = 1.0
STOP_S = 8.0
#: A process of call control that hangs is killed after so many looks. Its calls are given up by
#: then (api/keeping/sessions.py), and only its death lets another have its companies' queues.
LOOK_S, HUNG_LOOKS = 1.0, 10


class StartError(Exception):
    """The installation does not come up; the text says what to do."""


class Child:
    """One process. ours: it logs in our shape; see logs.py."""

    def __init__(self, name: str, state: Path,
                 command: Callable[[], tuple[list[str], dict[str, str]]],
                 ours: bool = False) -> None:
        self.name = name
        self._command = command
        self._log = LogFile(state / "logs", name)
        self._ours = ours
        self._reading: set[asyncio.Task[None]] = set()
        self.process: asyncio.subprocess.Process | None = None
        self.starts = 0
        self._stopping = False

    async def keep(self) -> None:
        """Run it until stop(), again and again."""
        delay = 0.0
        while not self._stopping:
            began = time.monotonic()
            await self._start()
            if self.process is None:
                return
            code = await self.process.wait()
            self._end_group(signal.SIGKILL)
            if self._stopping:
                return
            log.warning("process ended", child=self.name, code=code)
            delay = 0.0 if time.monotonic() - began > YOUNG_S else min(delay + 0.1, MAX_DELAY_S)
            await asyncio.sleep(delay)

    async def _start(self) -> None:
        arguments, environment = self._command()
        # A pipe of our own: what the process started may hold it longer than the process lives.
        out, into = os.pipe2(os.O_CLOEXEC)
        try:
            self.process = await asyncio.create_subprocess_exec(
                *arguments, env={**os.environ, **environment}, cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL, stdout=into, stderr=into,
                start_new_session=True)
        except OSError:
            os.close(out)
            raise
        finally:
            os.close(into)
        task = asyncio.create_task(self._keep_log(out))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)
        self.starts += 1

    async def _keep_log(self, out: int) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(out, "rb", 0))
        try:
            while data := await reader.read(1 << 16):
                self._log.feed(data, self._ours)
        finally:
            transport.close()

    def _end_group(self, how: signal.Signals) -> None:
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, how)

    def kill(self) -> None:
        """End it at once; keep() starts it again."""
        self._end_group(signal.SIGKILL)

    async def stop(self) -> None:
        """End it, kindly at first."""
        self._stopping = True
        self._end_group(signal.SIGTERM)
        if self.process:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), STOP_S)
            self._end_group(signal.SIGKILL)
        if self._reading:  # its last words
            await asyncio.wait(self._reading, timeout=1)


class Supervisor:
    """The processes of a state directory."""

    def __init__(self, state: Path, settings: Settings) -> None:
        self.state = state
        self.settings = settings
        media.prepare(state, settings)
        self.media = [Child(f"media{node}", state, self._media_command(node))
                      for node in range(settings.media_nodes)]
        self.api = self._python("api", "api.app", str(state))
        self.keeper = self._python("keeper", "api.keeper", str(state))
        mixer.prepare(state, settings)
        self.mixer = Child("mixer", state, lambda: (mixer.command(state), {}))
        self.keys = self._python("keys", "rtp.keys", "--listen", str(settings.keys_port), "--to",
                                 *map(str, settings.key_ports()))
        self.control = [
            self._python(f"control{index}", "callcontrol.process", str(state), str(index))
            for index in range(settings.control_processes)]
        self.edge = Child("edge", state, self._edge_command)
        self.children = [*self.media, self.mixer, self.keys, self.api, self.keeper, *self.control,
                         self.edge]
        self._tasks: list[asyncio.Task[None]] = []
        self._lock: Any = None

    def _media_command(self, node: int) -> Callable[[], tuple[list[str], dict[str, str]]]:
        return lambda: (media.command(self.state, self.settings, node), {})

    def _python(self, name: str, module: str, *arguments: str) -> Child:
        command = [sys.executable, "-m", "vaxel.logged", name, self.settings.log_level, module,
                   *arguments]
        return Child(name, self.state, lambda: (command, {}), ours=True)

    def _edge_command(self) -> tuple[list[str], dict[str, str]]:
        edge.prepare(self.state, self.settings)
        repaired = mapping.open_live(self.state).repair(time.time_ns() // 1_000_000)
        if repaired:
            log.warning("call slots repaired", slots=repaired)
        return edge.command(self.state, self.settings)

    # -- start and stop -----------------------------------------------------------------------

    async def start(self, progress: Callable[[str], None]) -> None:
        """Bring everything up; StartError."""
        self._take_lock()
        self._check_store()
        put_in_force(self.state, self.settings)
        self._check_ports()
        for child in self.media:
            self._keep(child)
        progress("media started")
        self._keep(self.mixer)
        self._keep(self.keys)
        self._keep(self.api)
        await self._until(self._api_answers, 60, "api", progress)
        self._keep(self.keeper)
        await self._until(self._media_up, 15, "media0", progress)
        for child in self.control:
            self._keep(child)
        await self._until(self._control_at_work, 20, "control0", progress)
        self._tasks.append(asyncio.create_task(self._kill_what_hangs()))
        self._keep(self.edge)
        await self._until(self._edge_answers, 20, "edge", progress)

    def _keep(self, child: Child) -> None:
        self._tasks.append(asyncio.create_task(child.keep()))

    async def _kill_what_hangs(self) -> None:
        """Looks are counted, not seconds: who hung with the whole machine is forgiven."""
        live = mapping.open_live(self.state)
        beaten = [0] * len(self.control)  # the life in which its heart was last seen to beat
        silent = [0] * len(self.control)
        while True:
            await asyncio.sleep(LOOK_S)
            for index, child in enumerate(self.control):
                if live.control(index, time.time_ns() // 1_000_000):
                    beaten[index], silent[index] = child.starts, 0
                elif beaten[index] == child.starts:
                    silent[index] += 1
                if silent[index] >= HUNG_LOOKS:
                    log.warning("process hangs", child=child.name)
                    silent[index] = 0
                    child.kill()

    def _take_lock(self) -> None:
        self._lock = (self.state / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartError(f"another vaxel runs in {self.state}; stop it, or use --state "
                             "another directory with other ports") from error

    def _check_store(self) -> None:
        try:
            SqliteStore(self.state / "vaxel.db").close()
        except StoreError as error:
            raise StartError(str(error)) from error

    def _check_ports(self) -> None:
        chosen = self.settings
        wanted = {"sip_port": chosen.sip_port, "tls_port": chosen.tls_port,
                  "api_port": chosen.api_port, "rpc_port": chosen.rpc_port,
                  "media_port": chosen.media_port, "keys_port": chosen.keys_port}
        wanted |= {f"control_port (+{i})": port for i, port in enumerate(chosen.control_ports())}
        for name, port in wanted.items():
            if not is_free(chosen.address, port):
                raise StartError(
                    f"port {port} on {chosen.address} is in use by another program; end it, or "
                    f"choose another {name} in {self.state / FILE}")

    async def _until(self, ready: Callable[[], Any], seconds: float, name: str,
                     progress: Callable[[str], None]) -> None:
        until = time.monotonic() + seconds
        while not await asyncio.to_thread(ready):
            if time.monotonic() > until:
                raise StartError(f"{name} does not come up; the end of its log:\n"
                                 + self.log_of(name))
            await asyncio.sleep(0.05)
        progress(f"{name} is up")

    def log_of(self, name: str) -> str:
        """The end of a process's log."""
        path = self.state / "logs" / f"{name}.log"
        lines = path.read_bytes().splitlines()[-20:] if path.exists() else []
        return "\n".join(readable(msgspec.json.decode(line)) for line in lines)

    def _api_answers(self) -> bool:
        url = f"http://{self.settings.address}:{self.settings.api_port}/v1/health/live"
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _media_up(self) -> bool:
        live = mapping.open_live(self.state)
        return bool(live.media_up.bit_count() == self.settings.media_nodes)

    def _control_at_work(self) -> bool:
        live = mapping.open_live(self.state)
        now_ms = time.time_ns() // 1_000_000
        return all(live.control(index, now_ms) for index in range(len(self.control)))

    def _edge_answers(self) -> bool:
        import socket

        body = {"jsonrpc": "2.0", "method": "core.uptime", "id": 1}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.3)
            try:
                probe.sendto(json.dumps(body).encode(), ("127.0.0.1", self.settings.rpc_port))
                return b"result" in probe.recv(4096)
            except OSError:
                return False

    async def stop(self) -> None:
        """End everything: the edge first, so that no new call begins; media last."""
        for child in (self.edge, *self.control, self.keeper, self.api, self.keys, self.mixer,
                      *self.media):
            await child.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
