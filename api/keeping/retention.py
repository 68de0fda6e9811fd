"""Deletes what a company's policy says is old, or somebody by hand, with a line in the ledger.

First it is written down what is to go, then the files are removed, then the rows go and the lines
are added, in one: see store/retention.py. Killed at any moment, resume() goes on.
"""

import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from store import SqliteStore
from store.retention import Deletion, Kind

log = structlog.get_logger()

#: Of one kind and company at once, and how often in one go.
BATCH, BATCHES = 200, 100
DAY_MS: Final = 24 * 3_600_000
#: The kind, and the field of the company that says how many days it is kept.
POLICIES: Final[tuple[tuple[Kind, str], ...]] = (
    ("recording", "recordings_days"), ("message", "messages_days"), ("call", "calls_days"))


class Retention:
    """Of one state directory; used from one thread."""

    def __init__(self, state: Path, store: SqliteStore) -> None:
        self.state = state
        self.store = store

    def apply(self, now_ms: int) -> int:
        """Delete what is old, a bounded number; how many."""
        count = self.resume()
        batches = 0
        for tenant, *days in list(self.store.select(
                "tenant", ("id", *(field for _, field in POLICIES)))):
            for (kind, _), kept in zip(POLICIES, days, strict=True):
                while kept and batches < BATCHES and (uids := self.store.old(
                        kind, tenant, now_ms - kept * DAY_MS, BATCH)):
                    batches += 1
                    count += self._end(self.store.begin_deletions(
                        kind, tenant, uids, why=f"policy: {kept} days", by="keeper",
                        at_ms=now_ms, size_of=partial(size_of, self.state)))
        if count:
            log.info("deleted by policy", count=count)
        return count

    def resume(self) -> int:
        """Finish what was begun and interrupted; how many."""
        count = 0
        while begun := self.store.deletions_begun():
            count += self._end(begun)
        return count

    def _end(self, deletions: Sequence[Deletion]) -> int:
        remove_files(self.state, (one.path for one in deletions))
        return self.store.end_deletions(deletions)


def size_of(state: Path, path: str) -> int:
    """Of a file, 0 when it is not there."""
    try:
        return (state / path).stat().st_size
    except FileNotFoundError:
        return 0


def remove_files(state: Path, paths: Iterable[str]) -> None:
    """Durably: the folders are synced."""
    folders = set()
    for path in filter(None, paths):
        (state / path).unlink(missing_ok=True)
        folders.add((state / path).parent)
    for folder in folders:
        if folder.is_dir():
            file = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)
