"""What the benchmarks of call control share: SIPp that keeps no trace, and what a process costs."""

import contextlib
import csv
import re
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from tests.sipp import Sipp

#: SIPp keeps a message in its socket until it comes to it: enough for a burst of 2 000 calls.
BUFFER = 4_000_000


def cpu_s(pid: int) -> float:
    """Time that a process has spent on a processor so far, all its threads, seconds: as the
    scheduler counts it, in nanoseconds. A thread that has ended is not counted."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # the thread ends just now
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


def rss_kib(pid: int) -> int:
    """Memory of a process that is in RAM."""
    found = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                 if line.startswith("VmRSS"))
    return int(found.split()[1])


class Driven(NamedTuple):
    """How some calls went. seconds: from the first to the last one's end; why: the answers that
    were not expected, and how often each came."""

    calls: int
    failed: int
    seconds: float
    why: dict[str, int]


class Quiet(Sipp):
    """A SIPp that writes down nothing but its counts."""

    def __init__(self, scenario: str, *, calls: int = 10_000_000, **given: Any) -> None:
        super().__init__(scenario, calls=calls, concurrent=100_000, **given)
        self.calls = calls
        for option, values in (("-trace_msg", 0), ("-message_file", 1)):
            at = self._arguments.index(option)
            del self._arguments[at:at + 1 + values]
        self._counts = Path(self._folder.name) / "counts"
        self._arguments += ["-trace_stat", "-stf", str(self._counts), "-fd", "1", "-buff_size",
                            str(BUFFER)]

    def count(self, column: str) -> int:
        """Of the last row of its counts, 0 before there is one."""
        try:
            rows = list(csv.DictReader(self._counts.read_text().splitlines(), delimiter=";"))
        except OSError:
            return 0
        return int(rows[-1][column]) if rows and rows[-1].get(column) else 0

    def went(self, seconds: float) -> Driven:
        """Wait until all its calls are over; those that are not by then have failed."""
        began = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        took = time.monotonic() - began
        good = self.count("SuccessfulCall(C)") if self._process.returncode is not None else 0
        text = self._errors.read_text(errors="replace") if self._errors.exists() else ""
        why = Counter(re.findall(r"received 'SIP/2\.0 (\d{3} [^\r\n]*)", text))
        return Driven(self.calls, self.calls - good, took, dict(why))
