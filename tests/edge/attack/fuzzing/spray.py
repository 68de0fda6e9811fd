"""A process that sends mutated messages and finds out which of them has raised an exception.

Over UDP, what the exchange has taken is known by an OPTIONS behind each window of messages: its
workers read one queue. So nothing is sent faster than it is read, and nothing is lost.
"""

import json
import os
import random
import re
import socket
import ssl
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import msgspec

from routing_core import mapping
from tests.edge.attack.fuzzing.fill import SERIAL, Device, Sender, options
from tests.edge.attack.fuzzing.mutate import Draft, Words, mutated
from tests.edge.attack.fuzzing.streams import Closed, Stream

#: Messages, and bytes, before the exchange is asked whether it has taken them.
WINDOW, WINDOW_BYTES = 40, 24_000
#: OPTIONS has to be answered so soon, and is waited for so long.
PROMPT_S, PATIENCE_S = 2.0, 20.0
#: It is sent again after it, as the queue may have been full (RFC 3261, T1).
REPEAT_S: Final = 0.5
#: A worker that is at one message for longer is told of.
BUSY_MS: Final = 2500
#: Tries to make a message that raises an exception smaller.
SMALLER: Final = 120
JOURNAL_BYTES: Final = 100 << 20
RAISED: Final = re.compile(r"exception in the edge: ([^\"]*)")
STREAMS: Final = ("tcp", "tls", "ws", "wss")


class Plan(msgspec.Struct):
    """What a process of the fuzzer is told. places: addresses to send from; carrier: that of a
    trunk, whose words on where it is are believed, "" = none."""

    seed: int
    stream: int
    count: int
    streams: bool
    state: str
    address: str
    sip_port: int
    tls_port: int
    domain: str
    places: list[str]
    carrier: str
    templates: list[tuple[int, bytes]]
    words: Words
    devices: list[Device]
    folder: str


class Shot(msgspec.Struct):
    """A message that was sent. draft: before it was filled in."""

    serial: str
    transport: str
    source: str
    draft: bytes
    sent: bytes


class Journal:
    """The last messages in two files: what a process that has died got, and what a stranger was
    sent, is looked up there."""

    def __init__(self, folder: Path, name: str) -> None:
        self._paths = [folder / f"{name}.{number}.journal" for number in (0, 1)]
        self._file = self._paths[0].open("wb")
        self._size = 0

    def write(self, shots: list[Shot]) -> None:
        """Before they are sent."""
        data = b"".join(json.dumps({
            "serial": one.serial, "transport": one.transport, "source": one.source,
            "draft": one.draft.decode("latin-1"), "sent": one.sent.decode("latin-1")}).encode()
            + b"\n" for one in shots)
        self._size += len(data)
        if self._size > JOURNAL_BYTES:
            self._file.close()
            self._paths[0].replace(self._paths[1])
            self._file = self._paths[0].open("wb")
            self._size = len(data)
        self._file.write(data)
        self._file.flush()


class Spray:
    """One process's work. tell: to the fuzzer, ("sent", number) and ("fault", what, shots)."""

    def __init__(self, plan: Plan, pipe: Connection) -> None:
        self.plan, self.pipe = plan, pipe
        self.edge = (plan.address, plan.sip_port)
        self.live = mapping.open_live(Path(plan.state))
        self.codes: Counter[str] = Counter()
        self.journal = Journal(Path(plan.folder), f"spray{plan.stream}")
        self._weights = [weight for weight, _ in plan.templates]
        self._texts = [text for _, text in plan.templates]
        self._known: set[str] = set()
        self._raised = self.live.counter(0)
        self._probe = bound("127.0.0.8")
        self._probes = 0
        self._slow = 0.0
        self._told = self._count = 0
        self.senders: list[tuple[socket.socket, Sender]] = []
        self.streams: dict[str, Stream] = {}
        self._turn = 0
        if not plan.streams:
            for place in [*plan.places, *([plan.carrier] if plan.carrier else [])]:
                sock = bound(place)
                self.senders.append((sock, Sender(
                    *sock.getsockname(), self.edge, domain=plan.domain,
                    trusted=place == plan.carrier)))

    def run(self) -> None:
        """All of it."""
        index = 0
        while index < self.plan.count:
            window: list[Shot] = []
            size = 0
            while index < self.plan.count and len(window) < WINDOW and size < WINDOW_BYTES:
                window.append(self.shot(index))
                size += len(window[-1].sent) + 800
                index += 1
            self.journal.write(window)
            self.fire(window)
            self.look(window)
            self._count = index
            if index - self._told >= 1000 or index == self.plan.count:
                self._told = index
                self.pipe.send(("sent", self.plan.stream, index))
        self.pipe.send(("done", self.plan.stream, dict(self.codes), round(self._slow, 3)))

    def shot(self, index: int) -> Shot:
        """The message with that number: the seed and the number decide all of it."""
        plan = self.plan
        rng, draft = drafted(plan.seed, plan.stream, index, self._texts, self._weights, plan.words)
        if plan.streams:
            return Shot(f"{SERIAL}{plan.stream}x{index:x}", rng.choice(STREAMS),
                        rng.choice(plan.places), draft, b"")
        place = rng.randrange(len(self.senders))
        return self.filled(Shot(f"{SERIAL}{plan.stream}x{index:x}", "udp", str(place), draft, b""),
                           rng)

    def filled(self, shot: Shot, rng: random.Random) -> Shot:
        """With what can only be known when it is sent."""
        sender = self.sender(shot)
        shot.sent = sender.filled(shot.draft, rng, shot.serial, self.plan.devices,
                                  self.plan.words.victims)
        return shot

    def sender(self, shot: Shot) -> Sender:
        """Where it is sent from."""
        if shot.transport == "udp":
            return self.senders[int(shot.source)][1]
        return self.stream(shot).sender

    def stream(self, shot: Shot) -> Stream:
        """A connection of that kind that is open."""
        found = self.streams.get(shot.transport)
        if found is None or found.closed or found.sent >= 30:
            if found is not None:
                found.close()
            self._turn += 1
            found = self.streams[shot.transport] = Stream(
                shot.transport, self.plan.places[self._turn % len(self.plan.places)], self.edge,
                self.plan.tls_port, self.plan.domain)
        return found

    # -- sending ------------------------------------------------------------------------------

    def fire(self, window: list[Shot]) -> None:
        """Send them, wait until they are taken, and hear what comes."""
        for shot in window:
            if shot.transport == "udp":
                self.senders[int(shot.source)][0].sendto(shot.sent, self.edge)
            else:
                self.by_stream(shot)
        self.ping(window)
        self.drain()

    def by_stream(self, shot: Shot) -> None:
        """Over a connection; a new one when it was closed."""
        for _ in range(2):
            try:
                stream = self.stream(shot)
                self.filled(shot, random.Random(shot.serial))
                for data in stream.exchange(shot.sent):
                    self.hear(stream.sender, data, stream.send)
                return
            except (Closed, OSError, ssl.SSLError):
                self.codes["closed"] += 1
                if found := self.streams.pop(shot.transport, None):
                    found.close()

    def ping(self, window: list[Shot]) -> None:
        """OPTIONS, until it is answered; told of when that takes too long."""
        self._probes += 1
        began = time.monotonic()
        branch = f"probe{os.getpid()}x{self._probes}"
        data = options(*self._probe.getsockname(), self.edge, branch)
        self._probe.settimeout(REPEAT_S)
        late = False
        self._probe.sendto(data, self.edge)
        while True:
            try:
                if branch.encode() in self._probe.recv(1 << 16):
                    break
            except TimeoutError:
                if not late and time.monotonic() - began > PROMPT_S:
                    late = True
                    self.tell(f"OPTIONS is not answered within {PROMPT_S} s", window)
                if time.monotonic() - began > PATIENCE_S:
                    raise
                self._probe.sendto(data, self.edge)
        self._slow = max(self._slow, time.monotonic() - began)

    def drain(self) -> None:
        """Everything that came."""
        for sock, sender in self.senders:
            while True:
                try:
                    data = sock.recv(1 << 16)
                except BlockingIOError:
                    break
                self.hear(sender, data, lambda raw, sock=sock: sock.sendto(raw, self.edge))

    def hear(self, sender: Sender, data: bytes, send: Any) -> None:
        """Count it, and say what belongs to it."""
        code, replies = sender.heard(data)
        self.codes[str(code) if code else "requests"] += 1
        for reply in replies:
            send(reply)

    # -- what went wrong ----------------------------------------------------------------------

    def look(self, window: list[Shot]) -> None:
        """Whether one of them has raised an exception, or holds a worker."""
        now_ms = time.time_ns() // 1_000_000
        for _, since in self.live.workers():
            if since and now_ms - since > BUSY_MS:
                self.tell("a worker is at one message for long", window)
                time.sleep(0.5)
                break
        raised = self.live.counter(0)
        if raised == self._raised:
            return
        self._raised = raised
        line = self.newest()
        if line in self._known:
            return
        self._known.add(line)
        for shot in window:
            if self.raises(shot) and self.raises(shot):
                self.tell(f"exception: {line}", [self.smaller(shot)])
                return
        self.tell(f"exception: {line}", window)

    def newest(self) -> str:
        """What the log says of the newest exception."""
        path = Path(self.plan.state) / "logs" / "edge.log"
        time.sleep(0.1)
        found = RAISED.findall(path.read_text(errors="replace")[-200_000:])
        return found[-1] if found else "not in the log"

    def raises(self, shot: Shot) -> bool:
        """Whether this one alone does."""
        shot.serial = f"{SERIAL}{self.plan.stream}r{self._probes:x}"
        before = self.live.counter(0)
        self.fire([self.filled(shot, random.Random(shot.serial))])
        if shot.transport != "udp":
            time.sleep(0.05)
            self.ping([shot])
        self._raised = self.live.counter(0)
        return self._raised > before

    def smaller(self, shot: Shot) -> Shot:
        """The same with fewer lines, as long as it raises."""
        tries = 0
        best = shot
        again = True
        while again and tries < SMALLER:
            again = False
            for place in range(len(Draft(best.draft).lines) - 1, 0, -1):
                draft = Draft(best.draft)
                if place >= len(draft.lines):
                    continue
                del draft.lines[place]
                less = Shot("", best.transport, best.source, draft.raw(), b"")
                tries += 1
                if tries > SMALLER:
                    break
                if self.raises(less):
                    best, again = less, True
        for draft in (Draft(best.draft),):
            draft.body = b""
            less = Shot("", best.transport, best.source, draft.raw(), b"")
            if self.raises(less):
                best = less
        return best

    def tell(self, what: str, shots: list[Shot]) -> None:
        """A fault, with the messages that may have done it."""
        self.pipe.send(("fault", what, [msgspec.to_builtins(
            {"serial": one.serial, "transport": one.transport, "source": one.source,
             "draft": one.draft.decode("latin-1"), "sent": one.sent.decode("latin-1")})
            for one in shots]))


def drafted(seed: int, stream: int, index: int, texts: list[bytes], weights: list[int],
            words: Words) -> tuple[random.Random, bytes]:
    """The message with that number, and the chance that goes on with it."""
    rng = random.Random((seed << 40) | (stream << 32) | index)
    return rng, mutated(rng, rng.choices(texts, weights)[0], words)


def bound(host: str, port: int = 0) -> socket.socket:
    """A UDP socket that does not wait and can hold a window's answers."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((host, port))
    sock.setblocking(False)
    return sock


def work(plan: Plan, pipe: Connection) -> None:
    """The process."""
    os.nice(5)
    try:
        Spray(plan, pipe).run()
    except BaseException as error:
        pipe.send(("fault", f"the fuzzer's process {plan.stream}: {error!r}", []))
        pipe.send(("done", plan.stream, {}, 0.0))
        raise
