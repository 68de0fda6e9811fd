"""backup, restore, migrate: the state directory itself, also while the exchange runs."""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from store.backup import BackupError, Manifest, Progress
from vaxel.commands import tables
from vaxel.commands.common import GOOD, REFUSED, USAGE, CommandError, Commands, add, with_json


def declare(commands: Commands) -> None:
    """The commands."""
    found = add(commands, "backup", _backup, "write a backup, also while the exchange runs", """
        vaxel backup /backup/vaxel-monday.tar.zst
        vaxel backup small.tar.gz --without-recordings
        vaxel backup --check /backup/vaxel-monday.tar.zst""")
    found.add_argument("file", type=Path, metavar="FILE", help="ends with .tar.zst or .tar.gz; it "
                       "holds secrets and is readable by its owner only")
    found.add_argument("--without-recordings", action="store_true",
                       help="leave the recordings of calls out")
    found.add_argument("--check", action="store_true",
                       help="read a backup through and compare its sums instead")
    with_json(found)

    found = add(commands, "restore", _restore, "make a state directory of a backup", """
        vaxel restore /backup/vaxel-monday.tar.zst --into /var/lib/vaxel
        vaxel restore old.tar.gz --into /tmp/look""")
    found.add_argument("file", type=Path, metavar="FILE")
    found.add_argument("--into", type=Path, required=True, metavar="DIR",
                       help="empty, or not there; no exchange runs in it")
    found.add_argument("--force", action="store_true",
                       help="move what is in DIR aside, to DIR.before-TIME")
    with_json(found)

    found = add(commands, "migrate", _migrate, "bring the database to this version", """
        vaxel migrate --rehearse
        vaxel migrate
        vaxel migrate --backup /backup/before.tar.zst""")
    found.add_argument("--rehearse", action="store_true",
                       help="on a copy: the steps, their time, rows before and after, checks")
    found.add_argument("--backup", type=Path, metavar="FILE",
                       help="where the backup is written first (default: in the state directory)")
    with_json(found)


@contextlib.contextmanager
def progress_bar(text: str) -> Iterator[Progress]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    with Bar(TextColumn(text), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
             console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _told(arguments: argparse.Namespace, manifest: Manifest, text: str) -> int:
    when = datetime.fromtimestamp(manifest.made_ms / 1000).isoformat(" ", "seconds")
    found = {"made": when, "files": manifest.files, "bytes": manifest.bytes,
             "recordings": manifest.recordings, "database": manifest.steps[-1:]}
    if arguments.json:
        tables.as_json(found)
    else:
        print(f"{text}: of {when}, {manifest.files} files, {manifest.bytes >> 20} MB"
              + ("" if manifest.recordings else ", without recordings"))
    return GOOD


def _backup(arguments: argparse.Namespace) -> int:
    from store import backup

    try:
        with progress_bar("reading" if arguments.check else "writing") as progress:
            if arguments.check:
                manifest = backup.check(arguments.file, progress)
            else:
                manifest = backup.create(
                    arguments.state.resolve(), arguments.file, _now_ms(),
                    recordings=not arguments.without_recordings, progress=progress)
    except BackupError as error:
        raise CommandError(str(error)) from error
    return _told(arguments, manifest,
                 f"{arguments.file} is whole" if arguments.check else str(arguments.file))


def _restore(arguments: argparse.Namespace) -> int:
    from store import backup

    try:
        with progress_bar("unpacking") as progress:
            manifest = backup.restore(arguments.file, arguments.into, _now_ms(),
                                      force=arguments.force, progress=progress)
    except BackupError as error:
        raise CommandError(str(error)) from error
    return _told(arguments, manifest,
                 f"{arguments.into} is restored; `vaxel --state {arguments.into} run` starts it")


def _migrate(arguments: argparse.Namespace) -> int:
    from vaxel import migration

    state = arguments.state.resolve()
    if arguments.rehearse and arguments.backup:
        raise CommandError("--backup and --rehearse do not go together", USAGE)
    try:
        if arguments.rehearse:
            report = migration.rehearse(state)
        else:
            report = migration.migrate(state, arguments.backup, _now_ms())
    except (BackupError, migration.MigrationError) as error:
        raise CommandError(str(error)) from error
    if arguments.json:
        tables.as_json(report.as_dict())
    else:
        print(report.text())
    return GOOD if report.good else REFUSED


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
