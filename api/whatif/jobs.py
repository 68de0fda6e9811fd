"""Questions under way: kept in the store, answered by processes of their own, a few at a time."""

import asyncio
import contextlib
import shutil
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from api.http.errors import Problem, invalid
from api.http.who import Who
from api.whatif import change
from api.whatif.job import CALLS, RESULT
from api.whatif.shapes import (
    HOUR_MS,
    DifferingCall,
    Failure,
    JobFile,
    Progress,
    Question,
    Result,
    Said,
    WhatIf,
)
from store import SqliteStore
from store.jobs import Job

log = structlog.get_logger()

AT_ONCE: Final = 2
#: Of a company, those that run included.
MAX_WAITING: Final = 5
MAX_DAYS: Final = 31
KEPT_MS: Final = 7 * 86_400_000
#: A question that was begun so often, and not answered before the API was stopped, is given up.
MAX_TRIES: Final = 3
#: Old answers are looked for this often.
_LOOK_S: Final = 600.0
_WAITING: Final = Progress(step="waiting", share=0.0)
_DONE: Final = Progress(step="done", share=1.0)
_PACKAGES: Final = Path(__file__).resolve().parent.parent.parent


class Runner:
    """run() it in the API's process. keep: runs a durable write (Commits.run)."""

    def __init__(self, store: SqliteStore, state: Path, now_ms: Callable[[], int],
                 keep: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        self._store = store
        self._state = state
        self._now_ms = now_ms
        self._keep = keep
        self._running: dict[int, asyncio.Task[None]] = {}
        self._progress: dict[int, Progress] = {}
        self._wake = asyncio.Event()

    # -- asking -------------------------------------------------------------------------------

    def check(self, tenant: int, question: Question) -> None:
        """Problem for what cannot be asked."""
        begin_ms, end_ms = question.from_ms, question.to_ms
        for name, at_ms in (("from", begin_ms), ("to", end_ms)):
            if at_ms % HOUR_MS:
                raise invalid(name, "the beginning of an hour, in Unix milliseconds")
        if not begin_ms < end_ms <= begin_ms + MAX_DAYS * 86_400_000:
            raise invalid("to", f"after the beginning of the period, by at most {MAX_DAYS} days")
        if question.revision is None:
            change.check(tenant, question.operations)
        elif question.operations:
            raise invalid("revision", "say what would be otherwise: operations or a revision")
        elif question.revision > self._store.revision():
            raise invalid("revision", "there is no such revision")
        if sum(job.state in ("waiting", "running")
               for job in self._store.jobs(tenant, limit=1000)) >= MAX_WAITING:
            raise Problem(409, "not_now", f"{MAX_WAITING} questions of the company are waiting; "
                          "let one be answered or delete it")

    def add(self, tenant: int, who: Who, question: Question) -> Job:
        """A question that was checked, inside a durable write; then wake()."""
        kept = msgspec.structs.replace(
            question, operations=change.without_pins(question.operations))
        return self._store.add_job(Job(tenant=tenant, by=who.by, name=who.name,
                                       created_ms=self._now_ms(),
                                       question=msgspec.to_builtins(kept)))

    def wake(self) -> None:
        """Something is waiting."""
        self._wake.set()

    def shown(self, job: Job, whole: bool = False) -> WhatIf:
        """As the API shows it; whole: with the result."""
        result = None
        if whole and job.state == "done":
            with contextlib.suppress(FileNotFoundError):
                result = msgspec.json.decode((self._folder(job.id) / RESULT).read_bytes(),
                                             type=Result)
        progress = _DONE if job.state == "done" else self._progress.get(job.id, _WAITING)
        return WhatIf(
            id=job.id, by=job.name, state=job.state, created_ms=job.created_ms,
            began_ms=job.began_ms, ended_ms=job.ended_ms, tries=job.tries, question=job.question,
            progress=progress, result=result,
            error=None if job.error is None else msgspec.convert(job.error, Failure))

    def calls(self, job: Job, after: int, limit: int) -> list[DifferingCall]:
        """Calls that would have ended otherwise, from that position on."""
        if job.state != "done":
            raise Problem(409, "not_now", "the question is not answered yet")
        found: list[DifferingCall] = []
        with contextlib.suppress(FileNotFoundError), (self._folder(job.id) / CALLS).open("rb") as f:
            for position, line in enumerate(f, 1):
                if position > after and len(found) < limit:
                    found.append(msgspec.json.decode(line, type=DifferingCall))
        return found

    def cancel(self, id_: int) -> None:
        """A question that was removed from the store."""
        if (task := self._running.get(id_)) is not None:
            task.cancel()  # it takes its folder with it
        else:
            shutil.rmtree(self._folder(id_), ignore_errors=True)

    # -- answering ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled; what runs then is begun again by the next life of the API."""
        self._store.jobs_interrupted(self._now_ms(), MAX_TRIES, msgspec.to_builtins(Failure(
            code="interrupted", detail="the API was stopped while it was answered, several times")))
        self._sweep()
        try:
            while True:
                self._wake.clear()
                await self._purge()
                for job in self._store.jobs(state="waiting", limit=AT_ONCE - len(self._running)):
                    self._store.job_began(job.id, self._now_ms())
                    self._running[job.id] = asyncio.create_task(self._answer(job))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await self._wake.wait()
        finally:
            tasks = list(self._running.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, job: Job) -> None:
        folder = self._folder(job.id)
        failure: Failure | None = Failure(code="internal", detail="it could not be begun")
        try:
            failure = await self._process(job, folder)
        except OSError as error:
            log.error("what-if could not be begun", job=job.id, error=str(error))
        except asyncio.CancelledError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            self._running.pop(job.id, None)
            self._progress.pop(job.id, None)
            self._wake.set()
        if failure is not None:
            shutil.rmtree(folder, ignore_errors=True)
        await self._keep(partial(self._store.job_ended, job.id, self._now_ms(),
                                 msgspec.to_builtins(failure)))

    async def _process(self, job: Job, folder: Path) -> Failure | None:
        """None when it is answered."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "api.whatif", str(self._job_file(job, folder)), cwd=_PACKAGES,
            start_new_session=True, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        failure: Failure | None = None
        assert process.stdout
        try:
            async for line in process.stdout:
                said = msgspec.json.decode(line, type=Said)
                failure = said.failure or failure
                if said.progress:
                    self._progress[job.id] = said.progress
            status = await process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if status and failure is None:
            log.error("what-if died", job=job.id, status=status)
            failure = Failure(code="died", detail="the process that answers was ended")
        return failure

    def _job_file(self, job: Job, folder: Path) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        path = folder / "job.json"
        path.write_bytes(msgspec.json.encode(JobFile(
            state=str(self._state.resolve()), tenant=job.tenant, by=job.by, at_ms=job.created_ms,
            question=msgspec.convert(job.question, Question))))
        return path

    async def _purge(self) -> None:
        for job in self._store.jobs(ended_before_ms=self._now_ms() - KEPT_MS, limit=100):
            await self._keep(partial(self._store.remove_job, job.tenant, job.id))
            self.cancel(job.id)

    def _sweep(self) -> None:
        """Folders without an answer: nothing is under way yet."""
        known = {str(job.id) for job in self._store.jobs(state="done", limit=1_000_000)}
        for path in (self._state / "what-if").glob("*"):
            if path.name not in known:
                shutil.rmtree(path, ignore_errors=True)

    def _folder(self, id_: int) -> Path:
        return self._state / "what-if" / str(id_)
