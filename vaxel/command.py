"""The command line: vaxel run, demo, explain, status."""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from pathlib import Path

import httpx
from rich.console import Console

from routing_core.mapping import remove_live
from vaxel import settings as settings_file
from vaxel.demo import Demo, DemoError
from vaxel.requirements import missing
from vaxel.settings import ROOT, Settings
from vaxel.supervisor import StartError, Supervisor

EXAMPLES = """examples:
  vaxel run                          start the exchange and stay up
  vaxel run --demo                   the same, with a demo company and a real call
  vaxel demo --json                  a real call on free ports, the result as JSON
  vaxel explain 101 0812345          where a call would go now, and why
  vaxel explain +46701234567 +4681002000 --at 2026-12-24T10:00
"""

console = Console(stderr=True, highlight=False)


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    top = argparse.ArgumentParser(
        prog="vaxel", description="An open business telephone exchange.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--state", type=Path, default=ROOT / "var", metavar="DIR",
                     help="where everything is kept (default: var beside the program)")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="start the exchange and stay up")
    run.add_argument("--demo", action="store_true",
                     help="provision the demo company and make a real call first")
    demo = commands.add_parser("demo", help="a real call on free ports in a directory of its own")
    demo.add_argument("--json", action="store_true", help="the result as one JSON object")
    explain = commands.add_parser("explain", help="where a call would go, line by line")
    explain.add_argument("caller", metavar="FROM",
                         help="extension, device name, trunk:ID or outside number")
    explain.add_argument("called", metavar="TO", help="as dialled")
    explain.add_argument("--at", default="", metavar="TIME", help="2026-03-02T15:30, local time")
    explain.add_argument("--tenant", default="", help="whose extension FROM is (default: 1)")
    explain.add_argument("--json", action="store_true", help="everything, as JSON")
    commands.add_parser("status", help="whether everything is up")
    return top


def main() -> None:
    """Entry point; exit 1 with a sentence when something is wrong."""
    arguments = parser().parse_args()
    try:
        sys.exit(COMMANDS[arguments.command](arguments))
    except (StartError, DemoError) as error:
        console.print(f"[red]vaxel:[/] {error}", markup=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _check_requirements() -> None:
    lacking = missing()
    if lacking:
        raise StartError("these programs are missing: " + ", ".join(lacking)
                         + "; `make install` installs them (as root, or with sudo)")


def _run(arguments: argparse.Namespace) -> int:
    _check_requirements()
    state = arguments.state.resolve()
    settings = settings_file.load(state)
    return asyncio.run(_serve(state, settings, arguments.demo))


async def _serve(state: Path, settings: Settings, demo: bool) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    supervisor = Supervisor(state, settings)
    try:
        await supervisor.start(lambda text: console.print(f"  {text}"))
        if demo:
            result = await asyncio.to_thread(Demo(state, settings, console.print).run)
            print(result.text())
            if not result.good:
                return 1
        console.print(f"The exchange is up. SIP {settings.address}:{settings.sip_port} (UDP, TCP), "
                      f":{settings.tls_port} (TLS, WSS). API http://{settings.address}:"
                      f"{settings.api_port}/v1, key in {state / 'settings.json'}. Stop: Ctrl-C.")
        await stop.wait()
    finally:
        await supervisor.stop()
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    _check_requirements()
    with tempfile.TemporaryDirectory(prefix="vaxel-demo-") as folder:
        state = Path(folder)
        settings = private_settings(state)
        try:
            result = asyncio.run(_demo_once(state, settings))
        finally:
            remove_live(state)
    print(json.dumps(result.as_dict(), indent=2) if arguments.json else result.text())
    return 0 if result.good else 1


async def _demo_once(state: Path, settings: Settings):  # type: ignore[no-untyped-def]
    supervisor = Supervisor(state, settings)
    try:
        await supervisor.start(lambda text: console.print(f"  {text}"))
        return await asyncio.to_thread(Demo(state, settings, console.print).run)
    finally:
        await supervisor.stop()


def private_settings(state: Path) -> Settings:
    """Settings with free ports, saved in the directory."""
    from vaxel.ports import free_port

    settings = settings_file.load(state)
    settings.sip_port = free_port()
    settings.tls_port = free_port()
    settings.api_port = free_port()
    settings.rpc_port = free_port()
    settings.media_port = free_port(spread=8)
    settings.control_port = free_port(spread=settings.control_processes + 1)
    settings.keys_port = free_port(spread=settings.control_processes + 2)
    settings.rtp_first = free_port(spread=200)
    settings.rtp_last = settings.rtp_first + 199
    settings_file.save(state, settings)
    return settings


def _get(arguments: argparse.Namespace, path: str, **query: str) -> httpx.Response:
    settings = settings_file.load(arguments.state.resolve())
    try:
        return httpx.get(f"http://{settings.address}:{settings.api_port}{path}", params=query,
                         headers={"Authorization": f"Bearer {settings.api_key}"}, timeout=10)
    except httpx.HTTPError as error:
        raise StartError(f"the API does not answer ({error}); is `vaxel run` up?") from error


def _explain(arguments: argparse.Namespace) -> int:
    query = {"from": arguments.caller, "to": arguments.called, "at": arguments.at}
    is_extension = arguments.caller.isdecimal() and len(arguments.caller) <= 6
    if arguments.tenant or is_extension:
        query["tenant"] = arguments.tenant or "1"
    answer = _get(arguments, "/v1/explain", **query)
    body = answer.json()
    if answer.status_code != 200:
        raise StartError(body.get("detail", answer.text))
    print(json.dumps(body, indent=2) if arguments.json else explanation_text(body))
    return 0


def explanation_text(body: dict) -> str:  # type: ignore[type-arg]
    """An explanation as lines for a terminal."""
    lines = []
    for number, attempt in enumerate(body["attempts"], 1):
        lines.append(f"{number}. " + ("the call comes in" if number == 1 else "nobody answers"))
        lines += [f"   {line}" for line in attempt["lines"]]
    return "\n".join([*lines, f"configuration revision {body['revision']}"])


def _status(arguments: argparse.Namespace) -> int:
    body = _get(arguments, "/v1/health").json()
    for name, value in body.items():
        print(f"{name:22} {value}")
    return 0 if body["status"] == "ok" else 1


COMMANDS = {"run": _run, "demo": _demo, "explain": _explain, "status": _status}
