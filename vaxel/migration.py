"""Bringing the database to this version: rehearsed on a copy, or in earnest after a backup."""

import contextlib
import fcntl
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from sqlite_utils import Database

from api.publish.publisher import compile_base
from routing_core import RowError
from store import NewerStore, SqliteStore, StoreError, backup
from store.migrations import migrations
from store.versions import applied_steps, refuse_newer, step_names


class MigrationError(Exception):
    """It cannot be done; the text says what to do."""


class Step(msgspec.Struct):
    """One that was applied."""

    name: str
    seconds: float


class Report(msgspec.Struct):
    """What happened, or would. rows: of each table before and after; faults: why not."""

    steps: list[Step]
    rows: dict[str, tuple[int, int]]
    faults: list[str]
    seconds: float
    compiled: bool = False
    backup: str = ""

    @property
    def good(self) -> bool:
        """Whether it can be done, or was."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {"good": self.good} | dict(msgspec.to_builtins(self))

    def text(self) -> str:
        """For people."""
        changed = {name: counts for name, counts in self.rows.items() if counts[0] != counts[1]}
        lines = [f"{step.name:40} {step.seconds:8.3f} s" for step in self.steps]
        lines += [] if self.steps else ["the database is of this version already"]
        lines += [f"{name:40} {before:10} rows, now {after}"
                  for name, (before, after) in changed.items()]
        lines.append(f"{len(self.rows) - len(changed)} tables have as many rows as before")
        lines += [f"backup: {self.backup}"] if self.backup else []
        lines += ["a base of the routing compiles from it"] if self.compiled else []
        lines += [f"FAULT: {fault}" for fault in self.faults] or ["no fault was found"]
        return "\n".join([*lines, f"{self.seconds:.1f} s in all"])


def rehearse(state: Path) -> Report:
    """Everything that migrate() would do, on a copy that is thrown away; also while it runs."""
    source = _database(state)
    began = time.monotonic()
    size = source.stat().st_size
    if shutil.disk_usage(state).free < 2 * size:
        raise MigrationError(f"the copy needs {2 * size >> 20} MB in {state}; make room")
    with tempfile.TemporaryDirectory(dir=state, prefix="rehearsal-") as folder:
        copy = Path(folder) / "vaxel.db"
        backup.copy_database(source, copy)
        report = _apply(copy)
        if report.good:
            try:
                with contextlib.closing(SqliteStore(copy)) as store:
                    compile_base(store, Path(folder))
                report.compiled = True
            except (StoreError, RowError, ValueError, sqlite3.Error) as error:
                report.faults.append(f"no base can be compiled from it: {error}")
    report.seconds = time.monotonic() - began
    return report


def migrate(state: Path, target: Path | None, now_ms: int) -> Report:
    """A backup, then the steps; the exchange must not run."""
    began = time.monotonic()
    source = _database(state)
    with _alone(state):
        with contextlib.closing(sqlite3.connect(source)) as connection:
            _refuse_newer(connection)
            if applied_steps(connection) == step_names():
                return _apply(source)
        target = target or state / f"before-{step_names()[-1]}-{now_ms}.tar.zst"
        backup.create(state, target, now_ms, recordings=False)
        backup.check(target)
        report = _apply(source)
    report.backup = str(target)
    report.seconds = time.monotonic() - began
    return report


def _apply(path: Path) -> Report:
    """The steps that the database has not been through, one by one, and the checks."""
    began = time.monotonic()
    steps: list[Step] = []
    faults: list[str] = []
    connection = sqlite3.connect(path, isolation_level=None)
    with contextlib.closing(connection):
        _refuse_newer(connection)
        for pragma in ("synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        before = _counts(connection)
        database = Database(connection)
        pending = [step.name for step in migrations.pending(database)]
        for name, after in zip(pending, [*pending[1:], ""], strict=False):
            at = time.monotonic()
            try:
                migrations.apply(database, stop_before=after or None)
            except (sqlite3.Error, ValueError) as error:
                faults.append(f"{name}: {error}; nothing of this step was kept")
                break
            steps.append(Step(name, round(time.monotonic() - at, 3)))
        after_counts = _counts(connection)
    return Report(
        steps, {name: (before.get(name, 0), after_counts.get(name, 0))
                for name in {**before, **after_counts}},
        faults + backup.faults_of(path), time.monotonic() - began)


def _refuse_newer(connection: sqlite3.Connection) -> None:
    try:
        refuse_newer(connection)
    except NewerStore as error:
        raise MigrationError(str(error)) from error


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    names = [name for name, in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
        "AND name NOT LIKE '_sqlite_%' ORDER BY name")]
    return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608
            for name in names}


def _database(state: Path) -> Path:
    path = state / "vaxel.db"
    if not path.is_file():
        raise MigrationError(f"there is no database in {state}; --state names another directory")
    return path


@contextlib.contextmanager
def _alone(state: Path) -> Iterator[None]:
    with (state / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MigrationError(f"an exchange runs in {state}; stop it first, or --rehearse"
                                 ) from error
        yield
