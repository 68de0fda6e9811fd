"""A decision from Python, against a C walk over the same tables and the plain-Python oracle.

Calls come from a trunk to uniformly random direct numbers; each figure is the median (or the 99th
percentile) over batches of 100 calls, divided by 100, so that the clock costs nothing. Every size
is measured in a process of its own.

Where it misleads: a batch hides the slowest single call; random numbers miss every cache, which
real calls do less.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

BATCH, SEED, NOW = 100, 20261121, 1_800_000_000


def run(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures; with quick, a hundredth of the users stand for the million."""
    million = 10_000 if quick else 1_000_000
    small = _measure(1000, say)
    large = _measure(million, say)
    return {
        "decide_ns_median_1k": small["decide_ns_median"],
        "decide_ns_median_1m": large["decide_ns_median"],
        "decide_ns_p99_1m": large["decide_ns_p99"], "c_walk_ns_1m": large["c_walk_ns"],
        "walk_ratio_1m": round(large["decide_ns_median"] / large["c_walk_ns"], 2),
        "oracle_ratio": round(small["oracle_ns"] / small["decide_ns_median"], 1),
        "bytes_per_user_1m": large["bytes_per_user"], "compile_s_1m": large["compile_s"],
        "map_ms_1m": large["map_ms"], "users": million,
    }


def _measure(users: int, say: Callable[[str], None]) -> dict[str, Any]:
    say(f"  {users} users ...")
    done = subprocess.run([sys.executable, "-m", "benchmarks.kernel", str(users)],
                          stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    say(f"  {users} users: {found}")
    return found


def _batches(count: int, one: Callable[[int], None]) -> list[float]:
    clock = time.perf_counter_ns
    found = []
    for start in range(0, count, BATCH):
        began = clock()
        one(start)
        found.append((clock() - began) / BATCH)
    return sorted(found)


def measure(users: int) -> dict[str, Any]:
    """One size, in this process."""
    from api.publish.publisher import compile_base
    from benchmarks.cwalk import walk
    from benchmarks.world import chosen, fill_store, number_of
    from routing_core import mapping

    with tempfile.TemporaryDirectory(prefix="vaxel-bench-") as folder:
        state = Path(folder)
        store = fill_store(state / "vaxel.db", users)
        began = time.perf_counter()
        generation, _ = compile_base(store, state)
        compile_s = time.perf_counter() - began
        mapping.put_in_force(state, generation)
        began = time.perf_counter()
        kernel = mapping.open_kernel(state)
        map_ms = (time.perf_counter() - began) * 1000
        picked = list(chosen(SEED, users, 200_000))
        numbers = [number_of(user) for user in picked]
        decide = kernel.decide

        def ask(start: int) -> None:
            for number in numbers[start:start + BATCH]:
                decide(1, 1, number, "+46701112233", NOW, SEED)

        _batches(20_000, ask)
        times = _batches(len(numbers), ask)
        keys = [array("Q", [int(number[1:]) for number in numbers[start:start + BATCH]])
                for start in range(0, len(numbers), BATCH)]

        def step(start: int) -> None:
            walk(kernel.snapshot, kernel.live, keys[start // BATCH], NOW)

        _batches(20_000, step)
        floor = _batches(len(numbers), step)
        result = {
            "decide_ns_median": round(statistics.median(times)),
            "decide_ns_p99": round(times[int(len(times) * 0.99)]),
            "c_walk_ns": round(statistics.median(floor)),
            "bytes_per_user": round(kernel.snapshot.base_bytes / users, 1),
            "compile_s": round(compile_s, 2), "map_ms": round(map_ms, 2),
        }
        if users <= 1000:
            result["oracle_ns"] = _oracle_ns(store, numbers[:300])
        mapping.remove_live(state)
    return result


def _oracle_ns(store: Any, numbers: list[str]) -> int:
    from routing_core.mapping import plans
    from tests.oracle import World, decide

    world = World(plans(), {table: store.find(table, limit=100_000) for table in (
        "tenant", "user", "device", "number", "activity", "forward", "ring_group", "member",
        "schedule", "trunk", "route", "area", "caller_rule")})
    began = time.perf_counter_ns()
    for number in numbers:
        decide(world, False, 1, number, "+46701112233", NOW, SEED)
    return (time.perf_counter_ns() - began) // len(numbers)


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
