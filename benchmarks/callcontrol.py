"""CPU time and memory of call control per call: ours against a floor in C on the same SIP stack.

One call is INVITE, 180, 200, ACK, BYE, 200 on both legs. The floor (b2bua_floor.c, compiled here)
and our call control (subject.py: the product's Call, Conversation and UserAgent) pass session
descriptions through; they take turns with the same SIPp on both ends, each figure is the median of
the rounds and the ratio the median of the rounds' ratios. With media every call has a session at an
rtpengine of its own, and the whole exchange (edge, call control, rtpengine) is measured with calls
to a user who has functions during calls, which is what call control carries in it.

The highest rate is searched by doubling, then by halving the distance: 8 seconds of calls none of
which fails, and that are over when they should be. Memory: of calls that are held up, the growth
from one half of them to all; of many short ones, the growth between 20 % and 100 % of them.

Where it misleads: caller and called side share the machine's two cores with the subject, so the
rate is that of all together. A subject begins afresh for each kind of figure, but the rounds of a
ratio are one life: in its first 32 s the stack keeps ever more finished transactions.
"""

import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.driving import Driven, Quiet, cpu_s, rss_kib
from tests.exchange import Exchange
from tests.sipp import answering, calling
from vaxel import media
from vaxel.command import private_settings
from vaxel.ports import free_port

FLOOR = Path(__file__).with_name("b2bua_floor.c")
RATE = 200
#: A call lasts so long between its ACK and its BYE.
TALK_MS = 100
TRIAL_S = 8
#: What a subject keeps of a finished call (RFC 3261: 64 × T1) is gone after it.
LINGER_S = 40
HOLD_MS = 3_600_000

Say = Callable[[str], None]


def telephone(scenario: str) -> str:
    """The scenario with a telephone's session description: with events for keys (RFC 4733),
    without which rtpengine would be asked to listen for tones."""
    return scenario.replace("RTP/AVP 8\na=rtpmap:8 PCMA/8000", "RTP/AVP 8 101\na=rtpmap:8 PCMA/8000"
                            "\na=rtpmap:101 telephone-event/8000")


class Subject:
    """A process that joins callers with one called SIPp. with Subject(...) as subject: ..."""

    def __init__(self, command: Callable[[int, str], list[str]]) -> None:
        """command: of its own port and of the called side's host:port."""
        self.called = Quiet(telephone(answering(HOLD_MS)))
        self.port = free_port()
        self._command = command(self.port, f"127.0.0.1:{self.called.port}")

    def __enter__(self) -> "Subject":
        self.called.__enter__()
        self.process = subprocess.Popen(self._command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        if self._line() != "ready":
            raise RuntimeError(f"{self._command} does not start")
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()
        self.called.__exit__(None, None, None)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def counts(self) -> dict[str, Any]:
        """What our call control counts."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self._line())
        return found

    def place(self, calls: int, rate: float, talk_ms: int = TALK_MS) -> Quiet:
        """A SIPp that calls it."""
        return Quiet(telephone(calling("+46701112233", 200, talk_ms=talk_ms)), service="called",
                     remote=f"127.0.0.1:{self.port}", calls=calls, rate=rate)

    def drive(self, calls: int, rate: float) -> Driven:
        """Place calls and wait for their end."""
        with self.place(calls, rate) as line:
            return line.went(calls / rate + 45)


def ours(ng: int = 0) -> Callable[[int, str], list[str]]:
    """Our call control, with the rtpengine at that port."""
    return lambda port, called: [sys.executable, "-m", "benchmarks.subject", str(port), called,
                                 "--ng", str(ng)]


def floor(folder: Path) -> Callable[[int, str], list[str]]:
    """The C one, compiled into the folder."""
    program = folder / "b2bua_floor"
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "sofia-sip-ua"], check=True,
                           capture_output=True, text=True).stdout.split()
    subprocess.run(["gcc", "-O2", "-o", str(program), str(FLOOR), *flags], check=True)
    return lambda port, called: [str(program), f"sip:127.0.0.1:{port}", f"sip:called@{called}"]


@contextlib.contextmanager
def rtpengine() -> Iterator[tuple[int, int]]:
    """(process, ng port) of a media node as the product starts it."""
    with tempfile.TemporaryDirectory(prefix="vaxel-bench-") as folder:
        state = Path(folder)
        settings = private_settings(state)
        settings.rtp_first, settings.rtp_last = 40_000, 59_999
        media.prepare(state, settings)
        process = subprocess.Popen(media.command(state, settings, 0), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            yield process.pid, settings.media_port
        finally:
            process.terminate()
            process.wait()


# -- CPU per call -----------------------------------------------------------------------------


def cpu(quick: bool, say: Say, folder: Path) -> dict[str, Any]:
    """Ours, the floor's, and ours with media, in turns."""
    calls, rounds = (400, 1) if quick else (2000, 5)
    spent: dict[str, list[float]] = {"floor": [], "ours": [], "media": [], "rtpengine": []}
    failed = 0
    with rtpengine() as (node, ng), Subject(floor(folder)) as bare, Subject(ours()) as plain, \
            Subject(ours(ng)) as anchored:
        for turn in range(rounds + 1):
            for name, subject in (("floor", bare), ("ours", plain), ("media", anchored)):
                before, before_node = cpu_s(subject.pid), cpu_s(node)
                went = subject.drive(calls, RATE if name != "media" else RATE / 2)
                failed += went.failed
                if turn or quick:  # the first round warms up
                    spent[name].append((cpu_s(subject.pid) - before) / calls * 1e6)
                    if name == "media":
                        spent["rtpengine"].append((cpu_s(node) - before_node) / calls * 1e6)
            if turn or quick:
                say("  " + ", ".join(f"{name} {of[-1]:.0f}" for name, of in spent.items())
                    + " us a call")
    found = {name: statistics.median(of) for name, of in spent.items()}
    ratio = statistics.median(a / b for a, b in zip(spent["ours"], spent["floor"], strict=True))
    return {"cpu_us_per_call": round(found["ours"], 1),
            "floor_us_per_call": round(found["floor"], 1), "ratio": round(ratio, 3),
            "cpu_us_per_call_with_media": round(found["media"], 1),
            "rtpengine_us_per_call": round(found["rtpengine"], 1), "rate": RATE,
            "calls": calls * (rounds + 1) * 3, "failed": failed}


# -- memory -----------------------------------------------------------------------------------


def held(quick: bool, say: Say, subject: Subject) -> float:
    """KiB for each call that is up, from one half of them to all."""
    half = 100 if quick else 1000
    sizes: list[int] = []
    with contextlib.ExitStack() as lines:
        for turn in (1, 2):
            line = lines.enter_context(subject.place(half, 100, HOLD_MS))
            time.sleep(half / 100 + (2 if quick else LINGER_S))
            sizes.append(rss_kib(subject.pid))
            legs = subject.counts()["legs"]
            if legs != 2 * half * turn or line.count("FailedCall(C)"):
                raise RuntimeError(f"{legs} legs are up, not {2 * half * turn}")
            say(f"  {half * turn} calls up: {sizes[-1]} KiB")
    return round((sizes[1] - sizes[0]) / half, 1)


class Sample(NamedTuple):
    """Of many calls: how many were placed, memory, Python objects, legs."""

    calls: int
    rss_kib: int
    objects: int
    legs: int


def many(quick: bool, say: Say) -> dict[str, Any]:
    """Memory over many short calls."""
    calls, rate = (3000, 150) if quick else (100_000, 150)
    samples: list[Sample] = []
    with Subject(ours()) as subject, subject.place(calls, rate) as line:
        began = time.monotonic()
        while (placed := int((time.monotonic() - began) * rate)) < calls:
            counts = subject.counts()
            samples.append(Sample(counts.get("calls", 0), rss_kib(subject.pid),
                                  counts["objects"], counts["legs"]))
            if len(samples) % 20 == 0:
                say(f"  {samples[-1]}")
            time.sleep(min(2, (calls - placed) / rate + 0.1))
        failed = line.went(60).failed
        time.sleep(2 if quick else 2 * LINGER_S)
        after = subject.counts()
        idle_kib = rss_kib(subject.pid)
    fifth = next(sample for sample in samples if sample.calls >= calls / 5)
    return {"many_calls": calls, "many_growth_kib": samples[-1].rss_kib - fifth.rss_kib,
            "many_rss_20_kib": fifth.rss_kib, "many_rss_100_kib": samples[-1].rss_kib,
            "many_rss_idle_kib": idle_kib, "many_legs_left": after["legs"],
            "many_objects_growth": samples[-1].objects - fifth.objects, "many_failed": failed}


# -- the highest rate -------------------------------------------------------------------------


def highest(first: int, drive: Callable[[int, int], Driven], say: Say, seconds: int) -> int:
    """Calls a second without a failure; drive(calls, rate)."""
    def good(rate: int) -> bool:
        went = drive(rate * seconds, rate)
        fine = went.failed == 0 and went.seconds < seconds * 1.1 + 2
        say(f"  {rate} a second: {went.failed} of {went.calls} failed, {went.seconds:.1f} s"
            + ("" if fine else f" (too many: {went.why or 'no answer'})"))
        return fine

    low, high = 0, first
    while good(high):
        low, high = high, high * 2
    while high - low > max(5, low // 10):
        middle = (low + high) // 2
        if good(middle):
            low = middle
        else:
            high = middle
    return low


def chain(quick: bool, say: Say) -> dict[str, Any]:
    """The whole exchange: trunk → edge → call control → edge → telephone, media at rtpengine."""
    seconds = 3 if quick else TRIAL_S
    with Exchange(workers=2, shared_memory_mb=256, rtp_first=40_000, rtp_last=59_999) as exchange:
        exchange.trunk("127.0.0.2", 5060)
        company = exchange.company()
        user = company.telephone("101", call_waiting=True, call_functions=True)
        called = Quiet(telephone(answering()))
        assert "200 OK" in exchange.register(user, called.port)
        parts = {name: exchange.pids(process) for name, process in (
            ("edge", "kamailio"), ("call control", "callcontrol.process"),
            ("rtpengine", "rtpengine"), ("keeper", "api.keeper"))}

        def drive(calls: int, rate: int) -> Driven:
            with Quiet(telephone(calling("+46701112233", 200, talk_ms=TALK_MS)),
                       address="127.0.0.2", remote=exchange.sip, service=company.e164(101),
                       calls=calls, rate=rate) as line:
                return line.went(calls / rate + 45)

        with called:
            calls, rate = (100, 10) if quick else (1000, 50)
            drive(calls, rate)
            before = {name: sum(map(cpu_s, pids)) for name, pids in parts.items()}
            failed = drive(calls, rate).failed
            spent = {name: round((sum(map(cpu_s, pids)) - before[name]) / calls * 1e6)
                     for name, pids in parts.items()}
            say(f"  {spent} us a call")
            return {"exchange_us_per_call": spent, "exchange_failed": failed,
                    "cps_sustained": highest(10 if quick else 20, drive, say, seconds)}


def run(quick: bool, say: Say) -> dict[str, Any]:
    """The figures."""
    if not shutil.which("gcc"):
        raise RuntimeError("the floor is compiled: install gcc and libsofia-sip-ua-dev")
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="vaxel-bench-") as folder:
        say("CPU per call ...")
        result |= cpu(quick, say, Path(folder))
    say("calls held up ...")
    with Subject(ours()) as subject:
        result["kib_per_live_call"] = held(quick, say, subject)
    with rtpengine() as (_, ng), Subject(ours(ng)) as subject:
        result["kib_per_live_call_with_media"] = held(quick, say, subject)
    say("the highest rate of call control alone ...")
    with Subject(ours()) as subject:
        result["cps_sustained_alone"] = highest(100, subject.drive, say, 3 if quick else TRIAL_S)
    say("the whole exchange ...")
    result |= chain(quick, say)
    say("many calls ...")
    result |= many(quick, say)
    result["failed"] += result["exchange_failed"] + result["many_failed"]
    return result
