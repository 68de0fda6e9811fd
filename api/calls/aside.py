"""Long reads, aside from what the API does meanwhile: a thread with a connection of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from store import SqliteStore

_T = TypeVar("_T")


class Aside:
    """One after the other, each as of one moment: await aside.read(lambda store: ...)."""

    def __init__(self, path: Path, name: str) -> None:
        """path: of the store."""
        self._store = SqliteStore(path)
        self._thread = ThreadPoolExecutor(1, name)

    async def read(self, what: Callable[[SqliteStore], _T]) -> _T:
        """What it returns; it must not write."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, what)

    def _read(self, what: Callable[[SqliteStore], _T]) -> _T:
        view = self._store.read_transaction()
        try:
            return what(self._store)
        finally:
            view.close()

    def close(self) -> None:
        """Give everything back."""
        self._thread.shutdown()
        self._store.close()
