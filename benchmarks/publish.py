"""What one change costs beyond its durable commit, and whether anybody decides on old state.

A change is one of three in turn: another target of a number, another ring time of a user, another
forwarding. The commit is the store's (SQLite, FULL); publishing is from there until every process
sees it. Then, for staleness, processes of their own decide on a number all the time while it is
changed 5 000 times; each decision that begins after a change was acknowledged must show that
change or a later one.
"""

import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

CHANGES = 1500
DECISIONS = 100_000


def run(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures."""
    million = 10_000 if quick else 1_000_000
    small = _subject("cost", 1000, say)
    large = _subject("cost", million, say)
    stale = _subject("stale", 1000, say)
    return {
        "commit_us_p50": large["commit_us_p50"], "publish_us_p50": large["publish_us_p50"],
        "publish_us_p99": large["publish_us_p99"],
        "publish_to_commit": round(large["publish_us_p50"] / large["commit_us_p50"], 3),
        "ratio_1m_to_1k": round(large["publish_us_p50"] / small["publish_us_p50"], 2),
        "stale_after_ok": stale["stale"], "decisions_checked": stale["decisions"],
    }


def _subject(what: str, users: int, say: Callable[[str], None]) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "benchmarks.publish", what, str(users)],
                          stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    say(f"  {what}, {users} users: {found}")
    return found


def _publisher(state: Path, users: int) -> tuple[Any, Any]:
    from api.publish.publisher import Publisher
    from benchmarks.world import fill_store

    store = fill_store(state / "vaxel.db", users)
    return store, Publisher(store, state)


def cost(users: int) -> dict[str, Any]:
    """Commit and publish times of single changes, microseconds."""
    from benchmarks.world import chosen
    from store.model import Forward, Target

    with tempfile.TemporaryDirectory(prefix="vaxel-bench-") as folder:
        state = Path(folder)
        store, publisher = _publisher(state, users)
        commits, publishes = [], []
        clock = time.perf_counter_ns
        for turn, user in enumerate(chosen(7, users, CHANGES)):
            if turn % 3 == 0:
                row: Any = store.get("number", user)
                row = msgspec.structs.replace(row, target=Target(kind="busy"))
            elif turn % 3 == 1:
                row = msgspec.structs.replace(store.get("user", user), ring_s=10 + turn % 50)
            else:
                tenant: Any = store.get("user", user)
                row = Forward(tenant=tenant.tenant, user=user, event="busy",
                              target=Target(kind="busy"))
                if store.find("forward", limit=1, user=user):
                    continue
            began = clock()
            revision = store.change("benchmark", turn, "change", lambda writer, row=row: (
                writer.replace(row) if row.id else writer.create(row)))
            committed = clock()
            publisher.publish(revision)
            publishes.append((clock() - committed) / 1000)
            commits.append((committed - began) / 1000)
        _clean(state)
    publishes.sort()
    return {"commit_us_p50": round(statistics.median(commits), 1),
            "publish_us_p50": round(statistics.median(publishes), 1),
            "publish_us_p99": round(publishes[int(len(publishes) * 0.99)], 1)}


def stale(users: int) -> dict[str, Any]:
    """Decisions on old state, seen by two other processes; at least DECISIONS are checked."""
    from store.model import Target

    with tempfile.TemporaryDirectory(prefix="vaxel-bench-") as folder:
        state = Path(folder)
        store, publisher = _publisher(state, users)
        acknowledged = multiprocessing.Value("q", 0, lock=False)
        stop = multiprocessing.Value("b", 0, lock=False)
        made = [multiprocessing.Value("q", 0, lock=False) for _ in range(2)]
        old = [multiprocessing.Value("q", 0, lock=False) for _ in range(2)]
        readers = [multiprocessing.Process(target=_reader, args=(state, acknowledged, stop, *both))
                   for both in zip(made, old, strict=True)]
        for reader in readers:
            reader.start()
        row: Any = store.get("number", 1)
        turn = 0
        until = time.monotonic() + 60
        while (turn < CHANGES or sum(count.value for count in made) < DECISIONS) \
                and time.monotonic() < until:
            turn += 1
            row = msgspec.structs.replace(row, target=Target(kind="number",
                                                             text=f"+4620{turn:07d}"))
            publisher.publish(store.change("benchmark", turn, "change",
                                           lambda writer, row=row: writer.replace(row)))
            acknowledged.value = turn
        stop.value = 1
        for reader in readers:
            reader.join(10)
        _clean(state)
    return {"stale": sum(count.value for count in old), "changes": turn,
            "decisions": sum(count.value for count in made)}


def _reader(state: Path, acknowledged: Any, stop: Any, made: Any, old: Any) -> None:
    from benchmarks.world import number_of
    from routing_core.mapping import open_kernel

    kernel = open_kernel(state)
    number = number_of(1)
    while not stop.value:
        known = acknowledged.value
        decision = kernel.decide(1, 1, number, "", 1_800_000_000, 1)
        seen = int(decision.number_to_dial[5:]) if decision.number_to_dial else 0
        old.value += seen < known
        made.value += 1


def _clean(state: Path) -> None:
    from routing_core.mapping import remove_live

    remove_live(state)


if __name__ == "__main__":
    subject = {"cost": cost, "stale": stale}[sys.argv[1]]
    print(json.dumps(subject(int(sys.argv[2]))))
