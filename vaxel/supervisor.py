"""Starts the processes of one installation and starts again at once what dies.

Each runs in a process group of its own, so that what a killed parent leaves behind is ended before
its ports are needed again. The edge's call slots are repaired between its death and its new start.
What is frozen is killed (watchdog.py), and nothing outlives the supervisor (orphans.py).
"""

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

from routing_core import mapping
from routing_core.codes import Beat
from store import SqliteStore, StoreError
from vaxel import edge, media, mixer, orphans, watchdog
from vaxel.logs import LogFile, Redactor, readable
from vaxel.ports import is_free, is_ours
from vaxel.settings import FILE, ROOT, Settings, put_in_force
from vaxel.watchdog import Watched

log = structlog.get_logger()

#: A process that dies younger than this is started again a little later each time.
YOUNG_S = 2.0
MAX_DELAY_S = 1.0
STOP_S = 8.0


class StartError(Exception):
    """The installation does not come up; the text says what to do."""


class Child:
    """One process. ours: it logs in our shape, see logs.py; mark: see orphans.py."""

    def __init__(self, name: str, state: Path,
                 command: Callable[[], tuple[list[str], dict[str, str]]],
                 mark: Mapping[str, str], ours: bool = False) -> None:
        self.name = name
        self._command = command
        self.log = LogFile(state / "logs", name)
        self._mark = mark
        self._ours = ours
        self._reading: set[asyncio.Task[None]] = set()
        self.process: asyncio.subprocess.Process | None = None
        self.starts = 0
        self._stopping = False

    @property
    def pid(self) -> int:
        """Of the process and of its group; 0 while there is none."""
        process = self.process
        return process.pid if process and process.returncode is None else 0

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
                *arguments, env={**os.environ, **environment, **self._mark}, cwd=ROOT,
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
                self.log.feed(data, self._ours)
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
        self._run = secrets.token_hex(8)
        self._redacted: dict[str, tuple[str, str]] = {}  # see logs.Redactor
        self.guard = self._child("guard", lambda: ([
            sys.executable, "-m", "vaxel.orphans", str(os.getpid()), self._run, str(state)], {}))
        media.prepare(state, settings)
        self.media = [self._child(f"media{node}", self._media_command(node))
                      for node in range(settings.media_nodes)]
        self.api = self._python("api", "api.app", str(state))
        self.keeper = self._python("keeper", "api.keeper", str(state))
        mixer.prepare(state, settings)
        self.mixer = self._child("mixer", lambda: (mixer.command(state), {}))
        self.keys = self._python("keys", "rtp.keys", "--listen", str(settings.keys_port), "--to",
                                 *map(str, settings.key_ports()))
        self.control = [
            self._python(f"control{index}", "callcontrol.process", str(state), str(index))
            for index in range(settings.control_processes)]
        self.edge = self._child("edge", self._edge_command)
        self.children = [self.guard, *self.media, self.mixer, self.keys, self.api, self.keeper,
                         *self.control, self.edge]
        self._tasks: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[None] | None = None
        self._lock: Any = None

    def _child(self, name: str, command: Callable[[], tuple[list[str], dict[str, str]]],
               ours: bool = False) -> Child:
        made = Child(name, self.state, command, orphans.mark(self.state, self._run), ours)
        if name in self._redacted:
            before, after = self._redacted[name]
            made.log.redactor = Redactor(before.encode(), after.encode())
        return made

    def _media_command(self, node: int) -> Callable[[], tuple[list[str], dict[str, str]]]:
        # Nobody who sends something to a node can know them.
        marks = f"<{secrets.token_hex(8)}<", f">{secrets.token_hex(8)}>"
        self._redacted[f"media{node}"] = marks
        return lambda: (media.command(self.state, self.settings, node, marks), {})

    def _python(self, name: str, module: str, *arguments: str) -> Child:
        command = [sys.executable, "-m", "vaxel.logged", name, self.settings.log_level, module,
                   *arguments]
        return self._child(name, lambda: (command, {}), ours=True)

    def _edge_command(self) -> tuple[list[str], dict[str, str]]:
        mark = secrets.token_hex(12)
        edge.prepare(self.state, self.settings, mark)
        # At debug everything is told, whoever wrote it.
        self.edge.log.expect("" if self.settings.log_level == "debug" else mark)
        repaired = mapping.open_live(self.state).repair(time.time_ns() // 1_000_000)
        if repaired:
            log.warning("call slots repaired", slots=repaired)
        return edge.command(self.state, self.settings)

    # -- start and stop -----------------------------------------------------------------------

    async def start(self, progress: Callable[[str], None]) -> None:
        """Bring everything up; StartError."""
        self._take_lock()
        await asyncio.to_thread(self._take_over)
        self._check_store()
        put_in_force(self.state, self.settings)
        self._check_ports()
        self._keep(self.guard)
        self._watching = asyncio.create_task(watchdog.watch(self._watched()))
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
        self._keep(self.edge)
        await self._until(self._edge_answers, 20, "edge", progress)

    def _keep(self, child: Child) -> None:
        self._tasks.append(asyncio.create_task(child.keep()))

    def _watched(self) -> list[Watched]:
        """Every child, with its sign of life."""
        live, chosen = mapping.open_live(self.state), self.settings
        return [
            Watched(self.guard, watchdog.unasked),
            *(Watched(child, watchdog.media(port))
              for child, port in zip(self.media, chosen.media_ports(), strict=True)),
            Watched(self.mixer, watchdog.mixer(mixer.control(self.state))),
            Watched(self.keys, watchdog.keys(chosen.keys_port)),
            Watched(self.api, watchdog.Heart(lambda: live.beaten_ms(Beat.BEAT_API)),
                    start_looks=watchdog.API_START_LOOKS),
            Watched(self.keeper, watchdog.Heart(lambda: live.heartbeat_ms)),
            *(Watched(child, watchdog.control(live, index))
              for index, child in enumerate(self.control)),
            Watched(self.edge, watchdog.edge(chosen.rpc_port), watchdog.stuck_workers(live))]

    def _take_lock(self) -> None:
        self._lock = (self.state / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartError(f"another vaxel runs in {self.state}; stop it, or use --state "
                             "another directory with other ports") from error

    def _take_over(self) -> None:
        """End what an earlier run has left behind; it may have been of another version."""
        left = orphans.end(self.state)
        if left:
            log.warning("processes of an earlier run ended", pids=left)
        if mapping.renew_live(self.state):
            log.warning("the live state was of another version; there is an empty one now")

    def _check_store(self) -> None:
        try:
            SqliteStore(self.state / "vaxel.db").close()
        except StoreError as error:
            raise StartError(str(error)) from error

    def _check_ports(self) -> None:
        chosen = self.settings
        if not is_ours(chosen.address):
            raise StartError(f"this machine has no address {chosen.address}; choose another "
                             f"address in {self.state / FILE} (`ip -brief address` shows them)")
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
        if self._watching:
            self._watching.cancel()
        for child in (self.edge, *self.control, self.keeper, self.api, self.keys, self.mixer,
                      *self.media, self.guard):
            await child.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
