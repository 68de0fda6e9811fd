"""The edge under mutated messages, a little of it; `make fuzz` does a million."""

import json

from rich.console import Console
from rich.progress import Progress

from tests.edge.attack.fuzz import parsed, run


def test_a_little_of_the_fuzzing() -> None:
    console = Console(quiet=True)
    with Progress(console=console, disable=True) as progress:
        figures = run(parsed(["--bounded", "--seed", "1"]), console, progress)
    assert not figures["faults"], json.dumps(figures["faults"], indent=1)
    assert figures["answers"]["200"] > 50 and figures["calls"] > 30, "most of it went nowhere"
