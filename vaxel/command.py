"""The command line: vaxel COMMAND."""
# PYTHON_ARGCOMPLETE_OK

import argparse
import os
import sys
from pathlib import Path

from vaxel.commands import live, log, machine, rows, transfer, upkeep
from vaxel.commands.common import EXIT_CODES, REFUSED, CommandError, add
from vaxel.settings import ROOT, SettingsError
from vaxel.settings import private_settings as private_settings

EXAMPLES = """examples:
  vaxel run                          start the exchange and stay up
  vaxel run --demo                   the same, with a demo company and a real call
  vaxel demo --json                  a real call on free ports, the result as JSON
  vaxel explain 101 0812345          where a call would go now, and why
  vaxel add users name="Anna Berg" extension=101 --tenant 1
  vaxel backup /backup/monday.tar.zst
  vaxel COMMAND --help               more of each
"""


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    top = argparse.ArgumentParser(
        prog="vaxel", description="An open business telephone exchange.",
        epilog=f"{EXAMPLES}\n{EXIT_CODES}", formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--state", type=Path, default=ROOT / "var", metavar="DIR",
                     help="where everything is kept (default: var beside the program)")
    top.add_argument("--url", default="", help="of an exchange elsewhere, with a key from "
                     "the environment's VAXEL_KEY or --key-file")
    top.add_argument("--key-file", default="", metavar="FILE", help="holds an API key")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = add(commands, "run", _run, "start the exchange and stay up")
    run.add_argument("--demo", action="store_true",
                     help="provision the demo company and make a real call first")
    demo = add(commands, "demo", _demo, "make a real call on free ports, in a directory of its own")
    demo.add_argument("--json", action="store_true", help="the result as one JSON object")
    for kind in (live, rows, transfer, log, upkeep, machine):
        kind.declare(commands)
    return top


def main() -> None:
    """Entry point."""
    sys.exit(perform(sys.argv[1:]))


def perform(words: list[str]) -> int:
    """A command line; its exit code, one of commands/common.py."""
    found = parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(found)
    arguments = found.parse_args(words)
    try:
        code: int = arguments.handler(arguments)
        sys.stdout.flush()
    except CommandError as error:
        print(f"vaxel: {error}", file=sys.stderr)
        code = error.code
    except SettingsError as error:
        print(f"vaxel: {error}", file=sys.stderr)
        code = REFUSED
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # of `vaxel log | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    return code


def _run(arguments: argparse.Namespace) -> int:
    return _running("run", arguments)


def _demo(arguments: argparse.Namespace) -> int:
    return _running("demo", arguments)


def _running(what: str, arguments: argparse.Namespace) -> int:
    from vaxel import running
    from vaxel.demo import DemoError
    from vaxel.supervisor import StartError

    try:
        found: int = getattr(running, what)(arguments)
        return found
    except (StartError, DemoError) as error:
        raise CommandError(str(error)) from error
