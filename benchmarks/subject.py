"""Call control without the exchange around it, for `benchmarks/callcontrol.py`: a process in which
the product's own UserAgent, Call and Conversation join whoever calls with one called address.

python -m benchmarks.subject PORT CALLED [--ng PORT]

CALLED: host:port. Without --ng session descriptions are passed through from side to side; with it
every call has the product's media session at that rtpengine. It prints "ready", then answers each
line on standard input with one line of JSON: what it counts.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from callcontrol.call import Call, Failed, Over, Side, Sound, new_uid
from callcontrol.conference import Conference
from callcontrol.sofia.ua import Dialog, Incoming, Leg, Party, UserAgent
from callcontrol.talk import Conversation
from routing_core.handover import Handover
from rtp.errors import MediaRefused
from rtp.ng import NgClient, Node
from rtp.session import Media

NOTHING = Path("/nonexistent")


class Passed:
    """A Sound without media: each side is told what the other one said. What the caller is to be
    answered is known only when the called side has answered, so `let_through` fills it in."""

    gone = False

    def __init__(self, call_id: str) -> None:
        self.call_id = call_id
        self.offer = self.answer = ""

    async def admit(self, party: str, offer: str) -> str:
        """Keep the caller's offer."""
        self.offer = offer
        return ""

    async def invite(self, party: str, other: str) -> str:
        """The caller's offer is the called side's."""
        return self.offer

    async def join(self, party: str, other: str, answer: str) -> str | None:
        """Keep the called side's answer."""
        self.answer = answer
        return None

    async def readmit(self, party: str, offer: str) -> str:
        """Nothing is negotiated anew here."""
        raise MediaRefused("no media")

    async def accept(self, other: str, answer: str) -> None:
        """Nothing to do; so are the others."""

    async def connect(self, party: str, other: str) -> str | None:
        """See accept()."""
        return None

    async def separate(self, party: str) -> None:
        """See accept()."""

    async def drop(self, party: str) -> None:
        """See accept()."""

    async def play(self, party: str, files: Sequence[Path]) -> None:
        """See accept()."""

    async def music(self, party: str, file: Path) -> None:
        """See accept()."""

    async def stop(self, party: str) -> None:
        """See accept()."""

    async def record_start(self, uid: str, left: str = "") -> None:
        """See accept()."""

    async def record_pause(self) -> None:
        """See accept()."""

    async def record_resume(self) -> None:
        """See accept()."""

    async def record_stop(self) -> list[tuple[int, int]]:
        """See accept()."""
        return []

    async def close(self) -> None:
        """See accept()."""


class Bench:
    """The Office of the calls: everything but the calls themselves costs nothing."""

    def __init__(self, port: int, called: str, media: Media | None) -> None:
        self.called = called
        self.media = media
        self.counters: Counter[str] = Counter()
        self.scripts: set[asyncio.Task[None]] = set()
        self.agent = UserAgent("127.0.0.1", port, on_call=self.on_call)
        self._caller = f"<sip:bench@127.0.0.1:{port}>"

    def on_call(self, leg: Leg, incoming: Incoming) -> None:
        """A call for the called side."""
        call = Call(self, new_uid(time.time(), time.monotonic_ns().to_bytes(8, "big")), 1, "en")
        side = Side(leg, call.label(), number=incoming.caller, offer=incoming.sdp)
        call.take(side)
        if self.media is None:
            let_through(leg, call.ensure_sound())
        call.script = asyncio.ensure_future(self.script(call, side))
        self.scripts.add(call.script)
        call.script.add_done_callback(self.scripts.discard)

    async def script(self, call: Call, side: Side) -> None:
        """As callcontrol/reception.py does it: dial, converse, close."""
        try:
            outcome = await call.dial(side, "user:1")
            if isinstance(outcome, Failed):
                self.count(f"failed {outcome.code}")
                await call.end(side, outcome.code)
            else:
                await Conversation(call, self).run()
        except Over:
            pass
        except Exception as error:
            self.count(f"script: {error!r}")
        finally:
            await call.close()
            self.count("calls")

    def counts(self) -> dict[str, Any]:
        """What is held now, and what has happened."""
        return {"legs": self.agent.count, "handles": self.agent.stack.count,
                "scripts": len(self.scripts), "refused": self.agent.stack.refused,
                "sessions": self.media.count() if self.media else 0,
                "objects": len(gc.get_objects()), **self.counters}

    # -- World --------------------------------------------------------------------------------

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def read(self, decision: str) -> Handover | None:
        """There is no edge."""
        return None

    def open_sound(self, call: Call) -> Sound:
        """The media session, or none."""
        if self.media is None:
            return Passed(call.uid)
        return self.media.session(call.uid, on_key=call.key)

    def dial(self, call: Call, target: str, *, side: Side | None, by: Side | None, sdp: str,
             repeat: bool) -> Party:
        """The called side, directly."""
        return self.agent.call(f"sip:called@{self.called}", caller=self._caller,
                               called=f"<sip:called@{self.called}>", sdp=sdp)

    def identity(self, side: Side) -> tuple[str, ...]:
        """Nobody changes."""
        return ()

    def tell(self, call: Call, kind: str, **data: Any) -> None:
        """Nobody listens."""

    def count(self, what: str) -> None:
        """For counts()."""
        self.counters[what] += 1

    def tone(self, name: str) -> Path:
        """None is heard."""
        return NOTHING

    def music_of(self, call: Call) -> Path:
        """None is heard."""
        return NOTHING

    # -- Office: nothing of it is asked in a plain call ---------------------------------------

    async def phrase(self, call: Call, key: str, **values: Any) -> list[Any]:
        """Nothing is said."""
        return []

    async def files(self, call: Call, prompt: int) -> list[Any]:
        """Nothing is said."""
        return []

    def busy(self, user: int) -> bool:
        """Nobody."""
        return False

    def user_of_extension(self, tenant: int, extension: str) -> int:
        """Nobody."""
        return 0

    def find(self, dialog: Dialog) -> tuple[Call, Side] | None:
        """Nobody."""
        return None

    def park(self, call: Call) -> int:
        """Nowhere."""
        return 0

    def unpark(self, call: Call) -> None:
        """It is not parked."""

    async def conference(self, call: Call) -> Conference:
        """There is none."""
        raise MediaRefused("no mixer")

    def has_functions(self, user: int) -> bool:
        """Nobody."""
        return False


def let_through(leg: Leg, sound: Sound) -> None:
    """Answer the caller with what the called side has said."""
    assert isinstance(sound, Passed)
    plain = leg.answer

    def answer(sdp: str) -> None:
        plain(sound.answer)

    leg.answer = answer  # type: ignore[method-assign]


async def serve(port: int, called: str, ng: int) -> None:
    """Until standard input ends."""
    async with contextlib.AsyncExitStack() as stack:
        media = None
        if ng:
            client = await stack.enter_async_context(NgClient([Node("127.0.0.1", ng)]))
            media = await stack.enter_async_context(Media(client))
        bench = Bench(port, called, media)
        await bench.agent.start()
        print("ready", flush=True)
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while await lines.readline():
            print(json.dumps(bench.counts()), flush=True)
        await bench.agent.stop()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("called")
    parser.add_argument("--ng", type=int, default=0)
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.port, chosen.called, chosen.ng))


if __name__ == "__main__":
    main()
