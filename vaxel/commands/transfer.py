"""export, import: a whole company as a file, with a dry run that says what would change."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from vaxel.commands import tables
from vaxel.commands.common import GOOD, USAGE, CommandError, Commands, add, with_json, with_tenant
from vaxel.commands.remote import Remote

KINDS = {".json": "application/json", ".zip": "application/zip", ".csv": "text/csv"}


def declare(commands: Commands) -> None:
    """The commands."""
    found = add(commands, "export", _export, "write a company's configuration to a file", """
        vaxel export company.json --tenant 1
        vaxel export company.zip
        vaxel export users.csv --table user
        vaxel export before.json --as-of 2026-03-02T15:30:00Z""")
    _file(found)
    found.add_argument("--secrets", action="store_true",
                       help="of telephones and sign-in providers, too")
    found.add_argument("--as-of", default="", metavar="WHEN", help="a revision or a time")
    with_tenant(found)

    found = add(commands, "import", _import, "read a company's configuration from a file", """
        vaxel import company.json --dry-run
        vaxel import users.csv --table user
        vaxel import company.json --replace""")
    _file(found)
    found.add_argument("--dry-run", action="store_true", help="only say what would change")
    found.add_argument("--replace", action="store_true",
                       help="delete the rows that the file does not name")
    with_tenant(found)
    with_json(found)


def _file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE",
                        help="ends with .json, .zip (a CSV a table) or .csv (one table)")
    parser.add_argument("--table", default="", metavar="NAME", help="only this one")


def _kind(arguments: argparse.Namespace) -> str:
    kind = KINDS.get(arguments.file.suffix)
    if kind is None:
        raise CommandError(f"{arguments.file}: the name ends with {', '.join(KINDS)}", USAGE)
    if (kind == "text/csv") != bool(arguments.table) and kind != "application/json":
        raise CommandError("a .csv file holds one table: name it with --table; a .zip file all",
                           USAGE)
    return kind


def _export(arguments: argparse.Namespace) -> int:
    kind = _kind(arguments)
    query = {"format": "json" if kind == "application/json" else "csv",
             "secrets": "true" if arguments.secrets else "false",
             "table": arguments.table, "as_of": arguments.as_of}
    remote = Remote(arguments)
    answer = remote.answer("GET", remote.under("export"), params=query, timeout=300)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(arguments.file, flags, 0o600), "wb") as file:
            file.write(answer.content)
    except OSError as error:
        raise CommandError(str(error)) from error
    print(f"{arguments.file}: {len(answer.content)} bytes", file=sys.stderr)
    return GOOD


def _import(arguments: argparse.Namespace) -> int:
    kind = _kind(arguments)
    try:
        content = arguments.file.read_bytes()
    except OSError as error:
        raise CommandError(str(error), USAGE) from error
    remote = Remote(arguments)
    done = remote.answer(
        "POST", remote.under("import"), content=content, headers={"Content-Type": kind},
        params={"mode": "replace" if arguments.replace else "merge", "table": arguments.table,
                "dry_run": "true" if arguments.dry_run else "false"}, timeout=300).json()
    if arguments.json:
        tables.as_json(done)
        return GOOD
    tables.rows([_difference(one) for one in done["diff"]])
    if done["secrets"]:
        tables.rows(done["secrets"])
    said = "would be" if arguments.dry_run else "were"
    print(f"{done['created']} rows {said} created, {done['changed']} changed, "
          f"{done['deleted']} deleted; {done['unchanged']} are as they are", file=sys.stderr)
    return GOOD


def _difference(one: dict[str, Any]) -> dict[str, Any]:
    return {name: tables.plain(value) for name, value in one.items()}
