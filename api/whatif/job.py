"""A question answered from beginning to end, in a process of its own."""

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from api.http.who import of_author
from api.whatif import change, queues, words
from api.whatif.copies import Copy
from api.whatif.decisions import Replay, Two, pages
from api.whatif.house import House
from api.whatif.past import Past, past
from api.whatif.shapes import HOUR_MS, JobFile, Progress, Question, Result
from api.whatif.then import Then
from routing_core import Kernel
from store import NotFound, SqliteStore
from store.model import TABLES

RESULT: Final = "result.json"
CALLS: Final = "calls.jsonl"
_COPY: Final = "copy"
#: At which share of the whole each step begins.
_STEPS: Final = {"copy": 0.0, "decisions": 0.1, "events": 0.6, "before": 0.7, "after": 0.85,
                 "done": 1.0}

Say = Callable[[Progress], object]


def answer(asked: JobFile, folder: Path, say: Say) -> Result:
    """The answer, which is kept in the folder too; Problem and StoreError for a change that is
    impossible."""
    began = time.monotonic()
    private = folder / _COPY
    shutil.rmtree(private, ignore_errors=True)
    try:
        return _answer(asked, folder, _told(say), began)
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _told(say: Say) -> queues.Told:
    """Progress of a step, never less than was said before."""
    steps = list(_STEPS)
    last = [0.0]

    def told(step: Any, of: int, done: int) -> None:
        start = _STEPS[step]
        end = _STEPS[steps[min(steps.index(step) + 1, len(steps) - 1)]]
        last[0] = max(last[0], start + (end - start) * (min(1.0, done / of) if of else 0))
        say(Progress(step=step, share=round(last[0], 4), done=done, of=of))

    return told


def _answer(asked: JobFile, folder: Path, told: queues.Told, began: float) -> Result:
    database, tenant, question = Path(asked.state) / "vaxel.db", asked.tenant, asked.question
    told("copy", 1, 0)
    with contextlib.closing(Copy(database, folder / _COPY)) as copy:
        first = copy.snapshot()
        live = copy.live()
        kernels = Two(Kernel(first, live), None)
        house = House(copy.store, tenant, kernels.before)
        before = _names(copy.store, tenant)
        _change(copy, database, asked)
        second, live = copy.snapshot(), copy.live()
        kernels = Two(Kernel(first, live), Kernel(second, live))
        houses = Two(house, House(copy.store, tenant, kernels.after))
        names = Two(before, _names(copy.store, tenant))
        with past(database, tenant) as found:
            count = found.count(question.from_ms, question.to_ms)
            replay = Replay(found, kernels, names, Then(live),
                            doors=frozenset({*houses.before.doors, *houses.after.doors}),
                            agents=frozenset(user for house in houses
                                             for _, user in house.members))
            decisions = replay.run(question.from_ms, question.to_ms,
                                   lambda done: told("decisions", count, done))
            decided = time.monotonic() - began
            simulated = queues.simulate(found, queues.Question(
                houses, replay.turns, replay.busy, question.from_ms, question.to_ms,
                question.seed), names, told)
            missing = _missing(found, question, simulated.simulated)
    result = Result(
        revision=copy.revision, from_ms=question.from_ms, to_ms=question.to_ms,
        decisions=decisions, queues=simulated, missing=missing, definitions=words.DEFINITIONS,
        assumptions=list(words.ASSUMPTIONS), took_s=round(time.monotonic() - began, 2),
        calls_per_s=round(decisions.calls / decided, 1))
    (folder / CALLS).write_bytes(b"".join(pages(replay.kept)))
    (folder / RESULT).write_bytes(msgspec.json.encode(result))
    told("done", 1, 1)
    return result


def _change(copy: Copy, database: Path, asked: JobFile) -> None:
    """What is asked about, in the copy."""
    question = asked.question
    with contextlib.closing(SqliteStore(database)) as store, \
            contextlib.closing(store.read_transaction()):
        who = of_author(store, asked.by, asked.at_ms / 1000)
        if question.revision is not None:
            copy.put_back(asked.tenant, store.as_of(question.revision))
    if question.revision is None:
        copy.store.change("what-if", asked.at_ms, "what if", change.of_operations(
            copy.store, who, question.operations, asked.at_ms))


def _missing(found: Past, question: Question, simulated: bool) -> list[str]:
    """What the period asks for and is not kept."""
    calls_ms, events_ms = found.oldest()
    missing = []
    if not calls_ms or calls_ms >= question.to_ms:
        missing.append("no call of the period is recorded")
    elif calls_ms > question.from_ms + HOUR_MS:
        missing.append(f"the first call that is kept began at {calls_ms}")
    if simulated and (not events_ms or events_ms > question.from_ms):
        missing.append("events are kept for 30 days at most: of the queues nothing is known before "
                       f"{events_ms or question.to_ms}")
    return missing


def _names(store: SqliteStore, tenant: int) -> Callable[[str, int], str]:
    """Of the company's rows and the operator's, for people; others' are not told."""
    known: dict[tuple[str, int], str] = {}

    def find(table: str, id_: int) -> str:
        if not id_:
            return "nobody's"
        if table not in TABLES:
            return f"{table} {id_}"
        try:
            row: Any = store.get(table, id_)
        except NotFound:
            return f"{table} {id_}"
        owner = row.id if table == "tenant" else getattr(row, "tenant", None)
        if owner not in (None, tenant):
            return "another company's"
        return f"{table.replace('ring_', '')} {row.name}"

    def names(table: str, id_: int) -> str:
        if (table, id_) not in known:
            known[table, id_] = find(table, id_)
        return known[table, id_]

    return names
