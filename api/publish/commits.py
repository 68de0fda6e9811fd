"""Durable changes that arrive together share one commit, and its one sync of the disk.

Each is a part of its own: one that is refused is undone alone. None is acknowledged before the
commit; when that fails, all of them have failed.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

import structlog

from store import SqliteStore

log = structlog.get_logger()

#: So many at most in one commit: the rest waits for the next one.
MAX_BATCH = 128
#: What nobody waits for is written with the next commit, or after so long.
ALSO_S = 0.5
MAX_ALSO = 10_000

_T = TypeVar("_T")


class _Wanted(NamedTuple):
    work: Callable[[], Any]
    then: Callable[[Any], None]
    done: asyncio.Future[Any]
    whole: bool


class Commits:
    """The one who writes: await commits.run(work).

    noted(parts, seconds) is called after each commit.
    """

    def __init__(self, store: SqliteStore,
                 noted: Callable[[int, float], None] = lambda _parts, _seconds: None) -> None:
        self._store = store
        self._noted = noted
        self._wanted: list[_Wanted] = []
        self._also: list[Callable[[], None]] = []
        self._held = False
        self._nothing: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        self._turn = asyncio.Lock()

    async def run(self, work: Callable[[], _T],
                  then: Callable[[_T], None] = lambda _result: None, whole: bool = False) -> _T:
        """work() inside the next commit; then(its result) after that, before anybody is told.
        whole: it leaves nothing behind when it fails."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_T] = loop.create_future()
        if not self._wanted:
            loop.call_soon(self._commit)
        self._wanted.append(_Wanted(work, then, done, whole))
        return await done

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Nobody else writes meanwhile: they wait."""
        async with self._turn:
            self._held = True
            try:
                yield
            finally:
                self._held = False
                if self._wanted or self._also:
                    asyncio.get_running_loop().call_soon(self._commit)

    def also(self, work: Callable[[], None]) -> None:
        """work() in one of the next commits, without anybody waiting for it; dropped when too much
        waits."""
        if len(self._also) < MAX_ALSO:
            self._also.append(work)
            if len(self._also) == 1 and not self._wanted:
                asyncio.get_running_loop().call_later(ALSO_S, self._commit)

    def _commit(self) -> None:
        if self._held:
            return
        batch, self._wanted = self._wanted[:MAX_BATCH], self._wanted[MAX_BATCH:]
        if self._wanted:
            asyncio.get_running_loop().call_soon(self._commit)
        also, self._also = self._also[:MAX_BATCH], self._also[MAX_BATCH:]
        if self._also:
            asyncio.get_running_loop().call_later(ALSO_S, self._commit)
        if not batch and not also:
            return
        began = perf_counter()
        results: list[tuple[_Wanted, Any]] = []
        try:
            with self._store.writing():
                for work in also:
                    self._note(work)
                for wanted in batch:
                    if wanted.done.cancelled():
                        continue  # whoever asked has gone, and was told nothing
                    try:
                        with self._nothing if wanted.whole else self._store.writing():
                            results.append((wanted, wanted.work()))
                    except Exception as error:
                        if not self._store.in_transaction:
                            raise  # a full disk: nothing of this commit is kept
                        _fail(wanted, error)
        except Exception as error:
            for wanted in batch:
                _fail(wanted, error)
            return
        self._noted(len(results), perf_counter() - began)
        for wanted, result in results:
            try:
                wanted.then(result)
            except Exception as error:
                _fail(wanted, error)
                continue
            if not wanted.done.done():
                wanted.done.set_result(result)


    def _note(self, work: Callable[[], None]) -> None:
        """What nobody waits for does not fail those who wait."""
        try:
            work()
        except Exception as error:
            if not self._store.in_transaction:
                raise
            log.error("not noted", error=str(error))


def _fail(wanted: _Wanted, error: Exception) -> None:
    if not wanted.done.done():
        wanted.done.set_exception(error)
