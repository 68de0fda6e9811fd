"""vaxel run and vaxel demo: an exchange in this process's hands."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

import msgspec
from rich.console import Console

from routing_core.mapping import remove_live
from vaxel import logs
from vaxel import settings as settings_file
from vaxel.commands.common import GOOD, REFUSED
from vaxel.demo import Demo, Result
from vaxel.requirements import missing
from vaxel.settings import Settings, private_settings
from vaxel.supervisor import StartError, Supervisor

console = Console(stderr=True, highlight=False)


def run(arguments: argparse.Namespace) -> int:
    """Start the exchange of the state directory and stay up."""
    _check_requirements()
    state = arguments.state.resolve()
    return asyncio.run(_serve(state, settings_file.load(state), arguments.demo))


def demo(arguments: argparse.Namespace) -> int:
    """A call through an exchange on free ports, in a directory that is thrown away."""
    _check_requirements()
    with tempfile.TemporaryDirectory(prefix="vaxel-demo-") as folder:
        state = Path(folder)
        settings = private_settings(state)
        try:
            result = asyncio.run(_demo_once(state, settings))
        finally:
            remove_live(state)
    print(json.dumps(result.as_dict(), indent=2) if arguments.json else result.text())
    return GOOD if result.good else REFUSED


def _check_requirements() -> None:
    lacking = missing()
    if lacking:
        raise StartError("these programs are missing: " + ", ".join(lacking)
                         + "; `make install` installs them (as root, or with sudo)")


async def _serve(state: Path, settings: Settings, with_demo: bool) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    _log_here(state, settings)
    supervisor = Supervisor(state, settings)
    watchdog = asyncio.create_task(_watchdog())
    try:
        await supervisor.start(lambda text: console.print(f"  {text}"))
        if with_demo:
            result = await asyncio.to_thread(Demo(state, settings, console.print).run)
            print(result.text())
            if not result.good:
                return REFUSED
        console.print(f"The exchange is up. SIP {settings.address}:{settings.sip_port} (UDP, TCP), "
                      f":{settings.tls_port} (TLS, WSS). API http://{settings.address}:"
                      f"{settings.api_port}/v1, key in {state / 'settings.json'}. Stop: Ctrl-C.")
        notify("READY=1")
        await stop.wait()
    finally:
        notify("STOPPING=1")
        await supervisor.stop()
        watchdog.cancel()
    return GOOD


async def _demo_once(state: Path, settings: Settings) -> Result:
    _log_here(state, settings)
    supervisor = Supervisor(state, settings)
    try:
        await supervisor.start(lambda text: console.print(f"  {text}"))
        return await asyncio.to_thread(Demo(state, settings, console.print).run)
    finally:
        await supervisor.stop()


def notify(word: str) -> None:
    """Tell systemd, when it started us (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out, \
            contextlib.suppress(OSError):
        out.connect("\0" + address[1:] if address.startswith("@") else address)
        out.send(word.encode())


def _log_here(state: Path, settings: Settings) -> None:
    """The supervisor's own lines: into its file, and to whoever started it."""
    file = logs.LogFile(state / "logs", "vaxel")

    def write(line: bytes) -> None:
        file.write(line)
        print(line.decode() if settings.log_json else logs.readable(msgspec.json.decode(line)),
              file=sys.stderr, flush=True)

    logs.configure("vaxel", settings.log_level, write)


async def _watchdog() -> None:
    """As long as this loop turns; systemd starts us anew when it does not."""
    wait_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 3e6
    while wait_s:
        notify("WATCHDOG=1")
        await asyncio.sleep(wait_s)
