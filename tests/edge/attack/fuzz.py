"""Fuzzes the edge: mutated SIP by every transport, mutated requests and responses of calls that are
up, and packets at the ports of their sound, against a whole exchange of its own. Ends with 1 when
something that has to stay true did not, and leaves the messages in files that --replay sends again.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.edge.attack.fuzzing.fill import SERIAL
from tests.edge.attack.fuzzing.incall import InCall
from tests.edge.attack.fuzzing.phones import LIVES_FOR
from tests.edge.attack.fuzzing.spray import Plan, Shot, Spray, drafted, work
from tests.edge.attack.fuzzing.stage import ROGUE, Stage
from tests.edge.attack.fuzzing.watch import Watch
from tests.exchange import Exchange

EXAMPLES: Final = """\
examples:
  make fuzz                                            1 000 000 messages, some 20 minutes
  python -m tests.edge.attack.fuzz --bounded           a few seconds, as in the tests
  python -m tests.edge.attack.fuzz --seed 7 --messages 20000 --in-calls 0 --packets 0
  python -m tests.edge.attack.fuzz --replay /tmp/vaxel-fuzz-abc/fault-1.json
  make fuzz FUZZ="--messages 5000000 --json"
"""
BOUNDED: Final = (3_000, 300, 300)
#: Of the messages, those by TCP, TLS and WebSocket.
STREAMS: Final = 0.04
LOOK_S, PROCESSES_S = 1.0, 10.0
#: When all calls are over: Kamailio keeps a transaction for as long at most.
SETTLE_S: Final = 100
PLACES: Final = tuple(f"127.0.0.{number}" for number in range(91, 97))


class Report:
    """The faults, each kind once, with its messages in a file."""

    def __init__(self, folder: Path, seed: int, say: Console) -> None:
        self.folder, self.seed, self.say = folder, seed, say
        self.faults: list[dict[str, Any]] = []

    def tell(self, what: str, evidence: list[Any]) -> None:
        """A fault."""
        for known in self.faults:
            if known["what"] == what:
                known["times"] += 1
                if len(evidence) < known["size"]:  # better known
                    known["size"] = len(evidence)
                    self._write(Path(known["file"]), what, evidence)
                return
        path = self.folder / f"fault-{len(self.faults) + 1}.json"
        self._write(path, what, evidence)
        self.faults.append({"what": what, "times": 1, "file": str(path),
                            "size": len(evidence)})
        self.say.print(f"seed {self.seed}: {what}: {path}", style="red", markup=False)

    def _write(self, path: Path, what: str, evidence: list[Any]) -> None:
        path.write_text(json.dumps({"seed": self.seed, "what": what, "evidence": evidence},
                                   indent=1))

    def shots(self, what: str, shots: list[Shot]) -> None:
        """A fault and the messages that may have done it."""
        self.tell(what, [{"serial": one.serial, "transport": one.transport, "source": one.source,
                          "draft": one.draft.decode("latin-1"),
                          "sent": one.sent.decode("latin-1")} for one in shots])


class Fuzz:
    """One run."""

    def __init__(self, exchange: Exchange, arguments: argparse.Namespace, folder: Path,
                 progress: Progress, say: Console) -> None:
        self.exchange, self.arguments, self.folder = exchange, arguments, folder
        self.progress, self.say = progress, say
        self.report = Report(folder, arguments.seed, say)
        self.figures: dict[str, Any] = {}
        self.codes: Counter[str] = Counter()
        self._sent: dict[int, int] = {}
        self._bars = {name: progress.add_task(name, total=total) for name, total in (
            ("messages", arguments.messages), ("in calls", arguments.in_calls),
            ("packets", arguments.packets))}

    async def run(self) -> None:
        """All of it; what was found is in report and figures."""
        async with Stage(self.exchange, self.arguments.seed) as stage:
            await stage.record()
            watch = Watch(self.exchange, stage, self.report.tell)
            looking = asyncio.create_task(self._look(watch))
            words = stage.words()
            inside = InCall(stage, words, self.arguments.seed, self.folder, self.report.shots)
            began = time.monotonic()
            try:
                await self._spray(stage)
                self._took("messages", began)
                began = time.monotonic()
                await inside.run(self.arguments.in_calls, self._bar("in calls"))
                self._took("in_calls", began)
                began = time.monotonic()
                await inside.packets(self.arguments.packets, self._bar("packets"))
                self._took("packets", began)
                await self._still(stage)
            finally:
                inside.close()
                looking.cancel()
            await stage.hang_up()
            await self._settle()
            self.figures |= {
                "answers": dict(self.codes.most_common()), "probe_slowest_s": round(max(
                    inside.slowest, self.figures.pop("slowest", 0.0)), 2),
                "lost_in_queue": watch.dropped(), "in_calls_skipped": inside.skipped,
                "templates": len(stage.templates()), "marks": len(words.marks),
                "calls_up_again": {pair.number: (pair.made, pair.failed) for pair in stage.pairs},
                "sink_calls": stage.sink.calls, "sink_answered": stage.sink.answered}
            await asyncio.to_thread(watch.at_the_end, self._draft(stage))
            self.figures |= watch.figures

    def _draft(self, stage: Stage) -> Callable[[str], str]:
        """Of a text with a message's serial in it: that message, before it was filled in."""
        weights, texts = zip(*stage.templates(), strict=True)
        words = stage.words()

        def found(text: str) -> str:
            serial = re.search(SERIAL + r"([01])x([0-9a-f]+)", text)
            if not serial:
                return ""
            return drafted(self.arguments.seed, int(serial[1]), int(serial[2], 16), list(texts),
                           list(weights), words)[1].decode("latin-1")
        return found

    def _took(self, name: str, began: float) -> None:
        self.figures[f"{name}_s"] = round(time.monotonic() - began, 1)

    def _bar(self, name: str) -> Any:
        return lambda done: self.progress.update(self._bars[name], completed=done)

    async def _look(self, watch: Watch) -> None:
        last = 0.0
        while True:
            await asyncio.to_thread(watch.look)
            if time.monotonic() - last > PROCESSES_S:
                last = time.monotonic()
                await asyncio.to_thread(watch.processes)
            await asyncio.sleep(LOOK_S)

    # -- the messages -------------------------------------------------------------------------

    async def _spray(self, stage: Stage) -> None:
        """By processes of their own, as this one has calls to keep."""
        if not self.arguments.messages:
            return
        by_streams = int(self.arguments.messages * STREAMS)
        settings = self.exchange.settings
        context = multiprocessing.get_context("spawn")
        loop = asyncio.get_running_loop()
        over: set[int] = set()
        all_over = asyncio.Event()
        processes = []
        for stream, count in ((0, self.arguments.messages - by_streams), (1, by_streams)):
            plan = Plan(self.arguments.seed, stream, count, bool(stream), str(self.exchange.state),
                        settings.address, settings.sip_port, settings.tls_port, settings.domain,
                        list(PLACES), ROGUE, stage.templates(), stage.words(), stage.devices,
                        str(self.folder))
            mine, theirs = context.Pipe()
            process = context.Process(target=work, args=(plan, theirs), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)

            def said(stream: int = stream, pipe: Any = mine) -> None:
                try:
                    while pipe.poll():
                        self._said(pipe.recv(), over)
                except EOFError:
                    loop.remove_reader(pipe.fileno())
                    over.add(stream)
                if len(over) == 2:
                    all_over.set()

            loop.add_reader(mine.fileno(), said)
        await all_over.wait()
        for process in processes:
            await asyncio.to_thread(process.join, 10)

    def _said(self, words: tuple[Any, ...], over: set[int]) -> None:
        kind, *rest = words
        if kind == "sent":
            self._sent[rest[0]] = rest[1]
            self.progress.update(self._bars["messages"], completed=sum(self._sent.values()))
        elif kind == "fault":
            self.report.tell(rest[0], rest[1])
        else:
            over.add(rest[0])
            self.codes.update(rest[1])
            self.figures["slowest"] = max(rest[2], self.figures.get("slowest", 0.0))

    # -- afterwards ---------------------------------------------------------------------------

    async def _still(self, stage: Stage) -> None:
        """The honest can still call each other and hear who it is."""
        made = [pair.made for pair in stage.pairs]
        for pair in stage.pairs:
            pair.asked = LIVES_FOR  # another call
        for pair, before in zip(stage.pairs[:3], made, strict=False):
            try:
                async with asyncio.timeout(40):
                    while pair.made == before or not pair.up:
                        await asyncio.sleep(0.05)
                for one, other in (pair.sides, pair.sides[::-1]):
                    if not one.holding:
                        await other.hears(one.media.hz)
            except (AssertionError, TimeoutError, ValueError) as error:
                self.report.tell(f"a call to {pair.number} is not heard afterwards",
                                 [repr(error), pair.caller.ladder()])

    async def _settle(self) -> None:
        """Until no call is left and no transaction, or for as long as one may take."""
        until = time.monotonic() + SETTLE_S
        calm = 0
        while time.monotonic() < until and calm < 4:
            calm = calm + 1 if not self.exchange.calls_in_progress() else 0
            await asyncio.sleep(0.5)


def run(arguments: argparse.Namespace, say: Console, progress: Progress) -> dict[str, Any]:
    """A run against an exchange of its own; the figures, with "faults"."""
    folder = Path(tempfile.mkdtemp(prefix="vaxel-fuzz-"))
    with Exchange(flood_per_2s=65_000, shared_memory_mb=512) as exchange:
        fuzz = Fuzz(exchange, arguments, folder, progress, say)
        if arguments.replay:
            fuzz.figures |= asyncio.run(replay(exchange, fuzz.report, Path(arguments.replay)))
        else:
            asyncio.run(fuzz.run())
        if fuzz.report.faults:
            for log in exchange.state.glob("logs/*.log"):
                (folder / log.name).write_bytes(log.read_bytes())
        else:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
    return {"seed": arguments.seed, "messages": arguments.messages,
            "in_calls": arguments.in_calls, "packets": arguments.packets} | fuzz.figures | {
        "faults": fuzz.report.faults}


async def replay(exchange: Exchange, report: Report, file: Path) -> dict[str, Any]:
    """Sends the messages of a fault again, each by itself, and says what each does."""
    shots = [Shot("", one["transport"], one["source"], one["draft"].encode("latin-1"), b"")
             for one in json.loads(file.read_text())["evidence"] if isinstance(one, dict)]
    async with Stage(exchange, report.seed) as stage:
        await stage.record()
        settings = exchange.settings
        mine, theirs = multiprocessing.Pipe()
        plan = Plan(report.seed, 0, 0, False, str(exchange.state), settings.address,
                    settings.sip_port, settings.tls_port, settings.domain, list(PLACES), ROGUE,
                    [], stage.words(), stage.devices, str(report.folder))
        spray = Spray(plan, theirs)
        raising = 0
        for shot in shots:
            shot.source = shot.source if shot.source.isdigit() else "0"
            raised = await asyncio.to_thread(spray.raises, shot)
            raising += raised
            print("raises:" if raised else "harmless:", shot.sent.decode("latin-1"),
                  file=sys.stderr)
        mine.close()
        for victim in stage.victims:
            if found := victim.look():
                report.tell(f"{victim.host} was sent something", found)
        if raising:
            report.tell(f"exception: {spray.newest()}", [])
    return {"replayed": len(shots), "raising": raising}


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.edge.attack.fuzz", description=__doc__, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, metavar="N",
                        help="the same one makes the same mutations (default: by chance)")
    parser.add_argument("--messages", type=int, default=1_000_000, metavar="N",
                        help="SIP messages (default: %(default)s)")
    parser.add_argument("--in-calls", type=int, default=100_000, metavar="N",
                        help="requests and responses of calls that are up (default: %(default)s)")
    parser.add_argument("--packets", type=int, default=100_000, metavar="N",
                        help="packets at the ports of media (default: %(default)s)")
    parser.add_argument("--bounded", action="store_true",
                        help="{} messages, {} in calls, {} packets".format(*BOUNDED))
    parser.add_argument("--replay", metavar="FILE", help="send the messages of a fault again")
    parser.add_argument("--json", action="store_true",
                        help="one JSON object on standard output and nothing else there")
    found = parser.parse_args(words)
    if found.seed is None:
        found.seed = int.from_bytes(os.urandom(4))
    if found.bounded:
        found.messages, found.in_calls, found.packets = BOUNDED
    return found


def main() -> int:
    """See the module."""
    arguments = parsed()
    say = Console(stderr=True)
    say.print(f"seed {arguments.seed}", markup=False, highlight=False)
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                  TimeRemainingColumn(), console=say) as progress:
        figures = run(arguments, say, progress)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            if name != "faults":
                print(f"{name:20} {value}")
        for fault in figures["faults"]:
            print(f"FAULT, {fault['times']} times: {fault['what']}\n      {fault['file']}")
    return 1 if figures["faults"] else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
