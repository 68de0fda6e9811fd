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

import structlog

from routing_core import mapping
from vaxel import edge, media, mixer
from vaxel.ports import is_free
from vaxel.settings import ROOT, Settings

log = structlog.get_logger()

#: A process that dies younger than this is started again a little later each time.
YOUNG_S = 2.0
MAX_DELAY_S = 1.0
STOP_S = 8.0
MAX_LOG_BYTES = 20 << 20


class StartError(Exception):
    """The installation does not come up; the text says what to do."""


class Child:
    """One process."""

    def __init__(self, name: str, state: Path,
                 command: Callable[[], tuple[list[str], dict[str, str]]]) -> None:
        self.name = name
        self._command = command
        self._log = state / "logs" / f"{name}.log"
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
            log.warning("process ended", name=self.name, code=code)
            delay = 0.0 if time.monotonic() - began > YOUNG_S else min(delay + 0.1, MAX_DELAY_S)
            await asyncio.sleep(delay)

    async def _start(self) -> None:
        arguments, environment = self._command()
        self._log.parent.mkdir(exist_ok=True, mode=0o700)
        if self._log.exists() and self._log.stat().st_size > MAX_LOG_BYTES:
            self._log.rename(self._log.with_suffix(".old"))
        with self._log.open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                *arguments, env={**os.environ, **environment}, cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        self.starts += 1

    def _end_group(self, how: signal.Signals) -> None:
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, how)

    async def stop(self) -> None:
        """End it, kindly at first."""
        self._stopping = True
        self._end_group(signal.SIGTERM)
        if self.process:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), STOP_S)
            self._end_group(signal.SIGKILL)


class Supervisor:
    """The processes of a state directory."""

    def __init__(self, state: Path, settings: Settings) -> None:
        self.state = state
        self.settings = settings
        media.prepare(state, settings)
        self.media = [Child(f"media{node}", state, self._media_command(node))
                      for node in range(settings.media_nodes)]
        self.api = Child("api", state, lambda: self._python("api.app"))
        self.keeper = Child("keeper", state, lambda: self._python("api.keeper"))
        mixer.prepare(state, settings)
        self.mixer = Child("mixer", state, lambda: (mixer.command(state), {}))
        self.keys = Child("keys", state, lambda: ([
            sys.executable, "-m", "rtp.keys", "--listen", str(settings.keys_port), "--to",
            *map(str, settings.key_ports())], {}))
        self.control = [Child(f"control{index}", state, self._control_command(index))
                        for index in range(settings.control_processes)]
        self.edge = Child("edge", state, self._edge_command)
        self.children = [*self.media, self.mixer, self.keys, self.api, self.keeper, *self.control,
                         self.edge]
        self._tasks: list[asyncio.Task[None]] = []
        self._lock: Any = None

    def _media_command(self, node: int) -> Callable[[], tuple[list[str], dict[str, str]]]:
        return lambda: (media.command(self.state, self.settings, node), {})

    def _python(self, module: str) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-m", module, str(self.state)], {}

    def _control_command(self, index: int) -> Callable[[], tuple[list[str], dict[str, str]]]:
        return lambda: ([sys.executable, "-m", "callcontrol.process", str(self.state), str(index)],
                        {})

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
        self._keep(self.edge)
        await self._until(self._edge_answers, 20, "edge", progress)

    def _keep(self, child: Child) -> None:
        self._tasks.append(asyncio.create_task(child.keep()))

    def _take_lock(self) -> None:
        self._lock = (self.state / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartError(f"another vaxel runs in {self.state}; stop it, or use --state "
                             "another directory with other ports") from error

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
                    f"choose another {name} in {self.state / 'settings.json'}")

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
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def _health(self) -> dict[str, Any]:
        url = f"http://{self.settings.address}:{self.settings.api_port}/v1/health"
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except (OSError, ValueError):
            return {}

    def _api_answers(self) -> bool:
        return bool(self._health())

    def _media_up(self) -> bool:
        return bool(self._health().get("media_nodes_up") == self.settings.media_nodes)

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
