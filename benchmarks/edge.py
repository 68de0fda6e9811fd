"""CPU time of Kamailio per call: the whole product script against a bare native proxy.

One call is INVITE, 180, 200, ACK, BYE, 200 from a trunk to a number, whose user is present and has
one registered device. Both subjects run with the same allocator, the same number of workers and
the same SIPp on both ends; they take turns, each figure is the median of the rounds and the ratio
the median of the rounds' ratios. CPU time
is the server's own (user and system, all its processes), which is steadier than calls per second
on a shared machine. Media is not anchored: rtpengine's work is not Kamailio's.

Where it misleads: the caller and the called side share the machine's two cores with the server, so
cache misses are those of a busy machine.
"""

import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.exchange import Exchange, eventually
from tests.sipp import Sipp, answering, calling
from vaxel.ports import free_port

FLOOR = Path(__file__).with_name("floor.cfg")
RATE = 200


def cpu_s(pids: list[int]) -> float:
    """Time that these processes have spent on a processor so far, seconds. The scheduler counts it
    in nanoseconds; user and system time in /proc/PID/stat are samples, too coarse for this."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def drive(sip: str, number: str, caller: str, called: Sipp, calls: int) -> int:
    """Place the calls; how many failed."""
    with Sipp(calling("+46701112233", 200, talk_ms=100), address=caller, remote=sip,
              service=number, calls=calls, rate=RATE) as line:
        try:
            line.done(calls / RATE + 60)
        except AssertionError:
            return 1
    return 0


def floor_subject(folder: Path, workers: int) -> tuple[Any, list[int], str, Sipp]:
    """(process, pids, host:port, called side) of the bare proxy."""
    port = free_port()
    called = Sipp(answering(), calls=1_000_000)
    text = FLOOR.read_text().replace("@PORT@", str(port)).replace(
        "@CALLED@", str(called.port)).replace("@CHILDREN@", str(workers))
    (folder / "floor.cfg").write_text(text)
    process = subprocess.Popen(
        [shutil.which("kamailio") or "/usr/sbin/kamailio", "-f", str(folder / "floor.cfg"), "-DD",
         "-E", "-x", "tlsf", "-X", "tlsf", "-m", "256", "-M", "16", "-Y", str(folder),
         "-P", str(folder / "pid")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def children() -> list[int]:
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [process.pid, *map(int, found)] if len(found) >= workers else []

    pids: list[int] = eventually(children)
    return process, pids, f"127.0.0.1:{port}", called


def run(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures."""
    calls, rounds = (300, 1) if quick else (2000, 7)
    workers = os.cpu_count() or 2
    failed = 0
    product: list[float] = []
    floor: list[float] = []
    with tempfile.TemporaryDirectory() as folder, Exchange(workers=workers,
                                                           shared_memory_mb=256) as exchange:
        exchange.trunk("127.0.0.2", 5060)
        company = exchange.company()
        user = company.telephone("101", call_waiting=True)
        process, floor_pids, floor_sip, floor_called = floor_subject(Path(folder), workers)
        phone = company.phone(user, answering(), calls=1_000_000)
        try:
            with floor_called, phone:
                pids = exchange.pids("kamailio") or exchange.pids("/usr/sbin/kamailio")
                for turn in range(rounds + 1):
                    for name, sip, who, target, into in (
                            ("floor", floor_sip, floor_pids, floor_called, floor),
                            ("product", exchange.sip, pids, phone, product)):
                        before = cpu_s(who)
                        failed += drive(sip, company.e164(101), "127.0.0.2", target, calls)
                        spent = (cpu_s(who) - before) / calls * 1e6
                        if turn or quick:  # the first round warms up
                            into.append(spent)
                        say(f"  {name}: {spent:.0f} us a call")
        finally:
            process.terminate()
            process.wait()
    measured, bare = statistics.median(product), statistics.median(floor)
    ratio = statistics.median(a / b for a, b in zip(product, floor, strict=True))
    return {"cpu_us_per_call": round(measured, 1), "floor_us_per_call": round(bare, 1),
            "ratio": round(ratio, 3), "failed": failed, "calls": calls * rounds,
            "workers": workers}
