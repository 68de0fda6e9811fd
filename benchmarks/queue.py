"""The queue engine against a plain-Python rescan, as app_queue does it: for every caller that could
be served, all members are looked at.

select: a caller enters, an agent among so many free ones is chosen and reserved (longest idle).
serve: an agent becomes free, the first of so many waiting callers is chosen and the agent reserved.
enqueue: a caller enters behind so many others, and nobody is free. tick: 500 queues with twenty
callers and twenty agents each; every queue has a timer due. Everything is called from Python, with
the journal and the events that follow from it; batches of 100, medians.

Where it misleads: a batch hides the slowest single call, and the rescan has no journal to write.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

BATCH, SEED, START = 100, 20261122, 1_800_000_000_000
QUEUES, PEOPLE = 500, 20
SIZES = (10, 100, 10_000)


def run(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures; quick: a tenth of the batches."""
    batches = 3 if quick else 30
    found = {size: _measured(size, batches, say) for size in SIZES}
    ticks = _measured(0, batches, say)
    result: dict[str, Any] = {}
    for size, name in zip(SIZES, ("10", "100", "10k"), strict=True):
        for what in ("select", "serve", "enqueue"):
            result[f"{what}_ns_{name}" + ("_agents" if what == "select" else "")] = \
                found[size][what]
    result |= {"select_growth_100_to_10k": round(found[10_000]["select"] / found[100]["select"], 2),
               "serve_growth_100_to_10k": round(found[10_000]["serve"] / found[100]["serve"], 2),
               "tick_us_500_queues": ticks["tick"], "idle_tick_ns": ticks["idle"],
               "rescan_select_ns_10_agents": found[10]["rescan_select"],
               "rescan_select_ns_10k_agents": found[10_000]["rescan_select"],
               "rescan_serve_ns_10k": found[10_000]["rescan_serve"],
               "rescan_tick_us_500_queues": ticks["rescan_tick"],
               "rescan_ratio_10k": round(found[10_000]["rescan_select"]
                                         / found[10_000]["select"])}
    return result


def _measured(size: int, batches: int, say: Callable[[str], None]) -> dict[str, Any]:
    say(f"  {size or QUEUES} ...")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.queue", str(size), str(batches)],
        stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    say(f"  {size or QUEUES}: {found}")
    return found


def _median(batches: int, prepare: Callable[[], Any], one: Callable[[Any, int], None],
            each: int = BATCH) -> int:
    """Nanoseconds of one; prepare() is made anew for every batch."""
    found = []
    for _ in range(batches):
        subject = prepare()
        began = time.perf_counter_ns()
        for i in range(each):
            one(subject, i)
        found.append((time.perf_counter_ns() - began) / each)
    return round(statistics.median(found))


def measure(size: int, batches: int) -> dict[str, Any]:
    """One size, in this process."""
    from routing_core.queues import Engine

    def free() -> Any:
        engine = Engine(SEED)
        engine.set_queue(START, 1, max_waiting=1_000_000)
        for agent in range(1, size + 1):
            engine.set_member(START, 1, agent)
            engine.log_in(START + agent, 1, agent)
        return _emptied(engine)

    def full() -> Any:
        engine = free()
        for agent in range(1, size + 1):
            engine.pause(START + 20_000, agent, 1)
        engine.set_pause_counts(START + 20_000, 2)
        for i in range(size):
            engine.enter(START + 20_000 + i, 1)
        return _emptied(engine)

    each = min(BATCH, size)
    return {
        "select": _median(batches, free, lambda e, i: e.enter(START + 30_000 + i, 1), each),
        "serve": _median(batches, full, lambda e, i: e.resume(START + 40_000 + i, i + 1), each),
        "enqueue": _median(batches, full, lambda e, i: e.enter(START + 40_000 + i, 1)),
        "rescan_select": _median(max(batches // 3, 1), lambda: Rescan(size, 0),
                                 lambda q, i: q.enter(i), min(each, 20)),
        "rescan_serve": _median(max(batches // 3, 1), lambda: Rescan(size, size),
                                lambda q, i: q.becomes_free(i), min(each, 20)),
    }


def measure_ticks(batches: int) -> dict[str, Any]:
    """500 queues, one timer due in each."""
    from routing_core.queues import Engine

    def many() -> Any:
        engine = Engine(SEED)
        for queue in range(1, QUEUES + 1):
            engine.set_queue(START, queue, timed_ms=60_000, wrap_ms=10_000)
            for i in range(PEOPLE):
                agent = queue * PEOPLE + i
                engine.set_member(START, queue, agent)
                engine.log_in(START, queue, agent)
                engine.pause(START, agent, 1)
        engine.set_pause_counts(START, 2)
        for i in range(PEOPLE):
            for queue in range(1, QUEUES + 1):
                engine.enter(START + i * 1000, queue)
        return _emptied(engine)

    due = START + 60_000
    tick = _median(batches, many, lambda e, _: e.tick(due), 1)
    idle = many()
    began = time.perf_counter_ns()
    for _ in range(10_000):
        idle.tick(START + 30_000)
    idle_ns = (time.perf_counter_ns() - began) / 10_000
    queues = [Rescan(PEOPLE, PEOPLE) for _ in range(QUEUES)]
    began = time.perf_counter_ns()
    for queue in queues:
        queue.scan()
    return {"tick": round(tick / 1000), "idle": round(idle_ns),
            "rescan_tick": round((time.perf_counter_ns() - began) / 1000)}


def _emptied(engine: Any) -> Any:
    engine.take()
    engine.take_journal()
    return engine


class Rescan:
    """Members and callers in lists; whoever may be served, all members are asked."""

    def __init__(self, members: int, waiting: int) -> None:
        self.members = [{"free": waiting == 0, "paused": False, "idle_since": i}
                        for i in range(members)]
        self.callers: list[dict[str, Any]] = [{"at": i, "offered": False} for i in range(waiting)]

    def enter(self, at: int) -> None:
        """A caller comes."""
        self.callers.append({"at": at, "offered": False})
        self.scan()

    def becomes_free(self, member: int) -> None:
        """An agent can take one."""
        self.members[member]["free"] = True
        self.scan()

    def scan(self) -> None:
        """Every caller in order, for each all members."""
        for caller in self.callers:
            if caller["offered"]:
                continue
            best = None
            for member in self.members:
                if member["free"] and not member["paused"] and (
                        best is None or member["idle_since"] < best["idle_since"]):
                    best = member
            if best is None:
                break
            best["free"], caller["offered"] = False, True


if __name__ == "__main__":
    asked, rounds = int(sys.argv[1]), int(sys.argv[2])
    print(json.dumps(measure(asked, rounds) if asked else measure_ticks(rounds)))
