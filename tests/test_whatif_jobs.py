"""What if: the processes that answer, and what becomes of questions when they, or the API, end."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.http.errors import Problem
from api.http.who import OPERATOR
from api.whatif import jobs
from api.whatif.jobs import AT_ONCE, KEPT_MS, MAX_TRIES, MAX_WAITING, Runner
from api.whatif.shapes import JobFile, Progress, Question
from benchmarks.whatif import BEGIN_MS as MONTH_BEGIN_MS
from benchmarks.whatif import MONTH_MS, fill, furnish
from store import NotFound, SqliteStore
from store.jobs import Job
from tests.alone import Alone
from tests.exchange import eventually
from tests.test_whatif import BEGIN_MS, DAY, HOUR_MS, MAIN, Company, to_user

NOW_MS = BEGIN_MS + 48 * HOUR_MS


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    """With three calls to the main number."""
    made = Company(tmp_path)
    made.calls((0, MAIN), (0, MAIN), (0, MAIN))
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqliteStore, Path, Question]]:
    """Calls that take some seconds to be decided again."""
    state = tmp_path_factory.mktemp("month")
    store = SqliteStore(state / "vaxel.db")
    store.migrate()
    tenant = furnish(store)
    fill(store, state / "vaxel.db", state, tenant, 20_000)
    yield store, state, msgspec.convert({
        "from": MONTH_BEGIN_MS, "to": MONTH_BEGIN_MS + MONTH_MS,
        "operations": [{"method": "PATCH", "path": f"/v1/tenants/{tenant}",
                        "body": {"barred": ["mobile"]}}]}, Question)
    store.close()


class Office:
    """A runner, and its store."""

    def __init__(self, store: SqliteStore, state: Path, now_ms: int = NOW_MS) -> None:
        self.store = store
        self.now_ms = now_ms
        self.runner = Runner(store, state, lambda: self.now_ms, self._keep)

    async def _keep(self, work: Callable[[], Any]) -> Any:
        with self.store.writing():
            return work()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Office"]:
        """While it runs."""
        task = asyncio.create_task(self.runner.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def ask(self, tenant: int, question: Question) -> Job:
        """As the route does."""
        self.runner.check(tenant, question)
        job = self.runner.add(tenant, OPERATOR, question)
        self.runner.wake()
        return job

    async def until(self, so: Callable[[], object]) -> None:
        """It is so, within half a minute."""
        async with asyncio.timeout(30):
            while not so():
                await asyncio.sleep(0.01)

    async def over(self, job: Job) -> Job:
        """When it is answered, or has failed."""
        await self.until(lambda: self.store.job(job.tenant, job.id).ended_ms)
        return self.store.job(job.tenant, job.id)


def question(company: Company, **fields: Any) -> Question:
    """What if the main number led to Cia?"""
    return msgspec.convert(DAY | {"operations": [company.changed(
        "number", company.ids.main, target=to_user(company.ids.cia))]} | fields, Question)


def processes(folder: Path) -> list[int]:
    """Those that answer questions of that folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in path.read_bytes() and b"api.whatif" in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def run(work: Awaitable[None]) -> None:
    """To its end."""
    async def wait() -> None:
        await work

    asyncio.run(wait())


def test_a_question_is_answered(company: Company) -> None:
    """In a process of its own; the answer and the calls are kept, pages and all."""
    async def work() -> None:
        async with Office(company.store, company.state).open() as office:
            job = office.ask(company.tenant, question(company))
            assert office.runner.shown(job).progress == Progress(step="waiting", share=0.0)
            done = await office.over(job)
            shown = office.runner.shown(done, whole=True)
            assert (shown.state, shown.error, shown.tries) == ("done", None, 1)
            assert shown.progress.share == 1.0 and shown.result
            assert (shown.result.decisions.calls, shown.result.decisions.differ) == (3, 3)
            assert shown.result.definitions["differ"] and shown.result.assumptions
            assert office.runner.shown(done).result is None
            calls = office.runner.calls(done, 0, 2)
            assert [one.position for one in calls] == [1, 2]
            assert [one.position for one in office.runner.calls(done, 2, 2)] == [3]
            assert (company.state / "what-if" / str(job.id)).stat().st_mode & 0o077 == 0

    run(work())


def test_an_impossible_change(company: Company) -> None:
    """The process says what is wrong with it, as the API would."""
    async def work() -> None:
        async with Office(company.store, company.state).open() as office:
            wrong = [company.changed("number", company.ids.main, target=to_user(4711))]
            failed = await office.over(office.ask(
                company.tenant, question(company, operations=wrong)))
            shown = office.runner.shown(failed, whole=True)
            assert shown.state == "failed" and shown.error and shown.result is None
            assert (shown.error.code, shown.error.field) == (
                "unknown_reference", "operations[0].target.user")
            with pytest.raises(Problem) as error:
                office.runner.calls(failed, 0, 10)
            assert error.value.code == "not_now"

    run(work())


def test_progress_and_no_more_than_some_at_once(
        month: tuple[SqliteStore, Path, Question]) -> None:
    """It is seen to rise; what is too much waits."""
    store, state, asked = month

    async def work() -> None:
        async with Office(store, state).open() as office:
            mine = [office.ask(1, asked) for _ in range(AT_ONCE + 1)]
            seen: list[float] = []
            most = 0

            def look() -> bool:
                nonlocal most
                most = max(most, len(store.jobs(1, state="running")))
                share = office.runner.shown(store.job(1, mine[0].id)).progress.share
                if not seen or seen[-1] != share:
                    seen.append(share)
                return store.job(1, mine[0].id).ended_ms > 0

            await office.until(look)
            await office.over(mine[-1])
            assert most == AT_ONCE
            assert len(seen) > 4 and seen[:-1] == sorted(seen[:-1])
            assert all(store.job(1, one.id).state == "done" for one in mine)

    run(work())


def test_cancelled(month: tuple[SqliteStore, Path, Question]) -> None:
    """The question, its process and its folder are gone, and another one is begun."""
    store, state, asked = month

    async def work() -> None:
        async with Office(store, state).open() as office:
            job = office.ask(1, asked)
            folder = state / "what-if" / str(job.id)
            await office.until(lambda: (folder / "copy").exists())
            assert len(processes(folder)) == 1
            store.remove_job(1, job.id)
            office.runner.cancel(job.id)
            await office.until(lambda: not processes(folder) and not folder.exists())
            with pytest.raises(NotFound):
                store.job(1, job.id)
            assert (await office.over(office.ask(1, asked))).state == "done"

    run(work())


def test_cancelled_before_it_began(company: Company) -> None:
    """Nothing is started for it."""
    async def work() -> None:
        office = Office(company.store, company.state)
        job = office.ask(company.tenant, question(company))
        company.store.remove_job(company.tenant, job.id)
        office.runner.cancel(job.id)
        async with office.open():
            other = office.ask(company.tenant, question(company))
            await office.over(other)
            assert [one.id for one in company.store.jobs()] == [other.id]

    run(work())


def test_the_process_is_killed(month: tuple[SqliteStore, Path, Question]) -> None:
    """The question has failed, and says so."""
    store, state, asked = month

    async def work() -> None:
        async with Office(store, state).open() as office:
            job = office.ask(1, asked)
            folder = state / "what-if" / str(job.id)
            await office.until(lambda: processes(folder))
            os.kill(processes(folder)[0], signal.SIGKILL)
            failed = office.runner.shown(await office.over(job))
            assert failed.state == "failed" and failed.error and failed.error.code == "died"
            assert not folder.exists()

    run(work())


def test_the_api_is_stopped_and_started(month: tuple[SqliteStore, Path, Question]) -> None:
    """What was being answered is begun again; nobody goes on for the API that is gone."""
    store, state, asked = month

    async def work() -> None:
        async with Office(store, state).open() as office:
            job = office.ask(1, asked)
            folder = state / "what-if" / str(job.id)
            await office.until(lambda: (folder / "copy").exists())
        assert store.job(1, job.id).state == "running" and not processes(folder)
        (state / "what-if" / "987654").mkdir()
        async with Office(store, state).open() as office:
            done = await office.over(job)
            assert (done.state, done.tries) == ("done", 2)
            assert not (state / "what-if" / "987654").exists()

    run(work())


def test_interrupted_too_often(company: Company) -> None:
    """Somebody should know that it does not work."""
    async def work() -> None:
        store = company.store
        job = store.add_job(Job(tenant=company.tenant, by="t", name="t",
                                created_ms=1, question=None))
        for _ in range(MAX_TRIES):
            store.job_began(job.id, 1)
            if store.job(company.tenant, job.id).tries < MAX_TRIES:
                store.jobs_interrupted(1, MAX_TRIES, {})
        left = company.state / "what-if" / str(job.id)
        left.mkdir(parents=True)
        async with Office(store, company.state).open() as office:
            failed = office.runner.shown(await office.over(job))
            assert failed.error and failed.error.code == "interrupted"
            await office.until(lambda: not left.exists())

    run(work())


def test_it_ends_with_who_started_it(month: tuple[SqliteStore, Path, Question]) -> None:
    """Its standard input ends: nobody wants the answer."""
    _, state, asked = month
    folder = state / "alone"
    folder.mkdir()
    (folder / "job.json").write_bytes(msgspec.json.encode(
        JobFile(state=str(state), tenant=1, by="operator", at_ms=1, question=asked)))
    with subprocess.Popen([sys.executable, "-m", "api.whatif", str(folder / "job.json")],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        assert json.loads(process.stdout.readline())["progress"]["step"] == "copy"
        process.stdin.close()
        assert process.wait(20) == 3


def test_old_answers_are_forgotten(company: Company) -> None:
    """After seven days, with their folders."""
    async def work() -> None:
        office = Office(company.store, company.state)
        async with office.open():
            job = office.ask(company.tenant, question(company))
            await office.over(job)
        office.now_ms += KEPT_MS - 1
        async with office.open():
            other = office.ask(company.tenant, question(company))
            await office.over(other)
            assert company.store.job(company.tenant, job.id)
            office.now_ms += 2
            office.runner.wake()
            await office.until(lambda: len(company.store.jobs()) == 1)
            assert company.store.jobs()[0].id == other.id
            await office.until(lambda: not (company.state / "what-if" / str(job.id)).exists())

    run(work())


def test_too_many_questions(company: Company) -> None:
    """Of one company; another one may still ask."""
    office = Office(company.store, company.state)
    for _ in range(MAX_WAITING):
        office.ask(company.tenant, question(company))
    with pytest.raises(Problem) as error:
        office.ask(company.tenant, question(company))
    assert (error.value.status, error.value.code) == (409, "not_now")
    office.runner.check(company.tenant + 1, question(company, operations=[], revision=1))
    with pytest.raises(NotFound):
        company.store.job(company.tenant + 1, company.store.jobs()[0].id)
    assert company.store.jobs(company.tenant + 1) == []


@pytest.mark.parametrize(("fields", "field"), [
    ({"from": BEGIN_MS + 1}, "from"), ({"to": BEGIN_MS + HOUR_MS - 1}, "to"),
    ({"to": BEGIN_MS}, "to"), ({"to": BEGIN_MS - HOUR_MS}, "to"),
    ({"to": BEGIN_MS + (jobs.MAX_DAYS * 24 + 1) * HOUR_MS}, "to"),
    ({"operations": []}, "operations"), ({"revision": 1}, "revision"),
    ({"operations": [], "revision": 99}, "revision"),
    ({"operations": [{"method": "DELETE", "path": "/v1/trunks/1"}]}, "operations[0].path")],
    ids=str)
def test_questions_that_are_refused(company: Company, fields: dict[str, Any], field: str) -> None:
    """With the field that is to blame."""
    with pytest.raises(Problem) as error:
        Office(company.store, company.state).ask(company.tenant, question(company, **fields))
    assert (error.value.status, error.value.field) == (422, field)
    assert company.store.jobs() == []


@pytest.mark.parametrize("body", [
    {}, DAY | {"operations": {}}, DAY | {"operations": [{"path": "/"}]}, DAY | {"from": "noon"},
    DAY | {"from": -1}, DAY | {"to": 1 << 50}, DAY | {"revision": 0}, DAY | {"who": "me"},
    DAY | {"seed": 1.5}, DAY | {"operations": [{"method": "PATCH", "path": 5}]}],
    ids=str)
def test_bodies_that_are_refused(body: dict[str, Any]) -> None:
    """Before anything is looked at."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(body, Question)


def test_no_pin_is_kept(company: Company) -> None:
    """Of a mailbox in a question: no answer depends on it."""
    settings = {"type": "mailbox", "pin": "4711", "greeting": "general"}
    job = Office(company.store, company.state).ask(company.tenant, question(company, operations=[
        company.made("service", name="Box", settings=settings), company.gone("service", 9)]))
    bodies = [one["body"] for one in company.store.job(company.tenant, job.id).question[
        "operations"]]
    assert bodies == [{"name": "Box", "settings": {"type": "mailbox", "greeting": "general"}}, None]


def test_over_http() -> None:
    """Asked, looked at, paged and forgotten; another company sees nothing of it."""
    with Alone() as api:
        company = Company(api.state)
        company.calls((0, MAIN), (0, MAIN))
        base = f"/tenants/{company.tenant}"
        body = msgspec.to_builtins(question(company))
        administrator = api.key_of(base, "administrator")
        supervisor = api.key_of(base, "supervisor")
        stranger = api.key_of(api.company(), "administrator")
        asked = api.http.post(f"{base}/what-if", json=body,
                              headers={"Authorization": f"Bearer {administrator}"})
        assert asked.status_code == 202, asked.text
        where = asked.headers["location"].removeprefix("/v1")
        assert where == f"{base}/what-if/{asked.json()['id']}"
        eventually(lambda: api.ask("GET", where, key=supervisor)["state"] == "done", 60)
        result = api.ask("GET", where, key=administrator)["result"]
        assert (result["decisions"]["calls"], result["decisions"]["differ"]) == (2, 2)
        page = api.ask("GET", f"{where}/calls", key=administrator, limit=1)
        rest = api.ask("GET", f"{where}/calls", key=administrator, after=page["next"])
        assert [one["position"] for one in (*page["items"], *rest["items"])] == [1, 2]
        assert rest["next"] is None
        listed = api.ask("GET", f"{base}/what-if", key=supervisor)["items"]
        assert [(one["by"], one["result"]) for one in listed] == [("administrator", None)]
        for method, path in (("GET", where), ("GET", f"{where}/calls"), ("DELETE", where),
                             ("GET", f"{base}/what-if"), ("POST", f"{base}/what-if")):
            sent = body if method == "POST" else None
            api.ask(method, path, sent, 404, stranger)
        api.ask("GET", where.replace(base, api.company()), status=404)
        earlier = body | {"operations": [], "revision": 1}
        assert api.ask("POST", f"{base}/what-if", earlier, 403, supervisor)["field"] == "revision"
        wrong = api.ask("POST", f"{base}/what-if", body | {"to": 1}, 422, administrator)
        assert (wrong["code"], wrong["field"]) == ("invalid", "to")
        api.ask("DELETE", where, status=204, key=administrator)
        api.ask("GET", where, status=404, key=administrator)
        company.store.close()
