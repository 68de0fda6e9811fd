"""What commands share: how they are declared, and what they end with."""

import argparse
from collections.abc import Callable
from typing import Any, Final

GOOD, REFUSED, USAGE, UNREACHABLE = 0, 1, 2, 3
EXIT_CODES: Final = "exit codes: 0 good, 1 refused or not good, 2 wrong usage, 3 not reachable"

Handler = Callable[[argparse.Namespace], int]
#: What add_subparsers() gives, which argparse does not name in public.
Commands = Any


class CommandError(Exception):
    """A command cannot do its work; the text says what to do."""

    def __init__(self, text: str, code: int = REFUSED) -> None:
        super().__init__(text)
        self.code = code


def add(commands: Commands, name: str, handler: Handler, summary: str,
        examples: str = "") -> argparse.ArgumentParser:
    """A command; examples: one a line."""
    lines = [f"  {line.strip()}" for line in examples.strip().splitlines()]
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + ".",
        epilog="\n".join([*(["examples:", *lines, ""] if lines else []), EXIT_CODES]),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(handler=handler)
    return parser


def with_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="the answer as JSON")


def with_tenant(parser: argparse.ArgumentParser) -> None:
    """--tenant."""
    parser.add_argument("--tenant", default="", metavar="COMPANY",
                        help="id or name; needed when there are several")
