"""Requests and responses of dialogs that are up, mutated, from strangers and from the parties; and
packets at the ports of their sound."""

import asyncio
import random
import re
import socket
from collections.abc import Callable
from pathlib import Path

from tests.edge.attack.fuzzing import media
from tests.edge.attack.fuzzing.fill import SERIAL, STRANGER, Sender, options
from tests.edge.attack.fuzzing.mutate import Words, mutated
from tests.edge.attack.fuzzing.phones import LIVES_FOR, Tapped, Trunk
from tests.edge.attack.fuzzing.spray import (
    PATIENCE_S,
    PROMPT_S,
    REPEAT_S,
    Journal,
    Shot,
    bound,
)
from tests.edge.attack.fuzzing.stage import Stage
from tests.message import Message
from tests.softphone import Call

WINDOW = 20
STRANGERS = tuple(f"127.0.0.{number}" for number in range(81, 87))
METHODS = ("ACK", "INFO", "INFO", "UPDATE", "INVITE", "INVITE", "REFER", "OPTIONS", "MESSAGE",
           "PRACK", "NOTIFY", "SUBSCRIBE", "CANCEL", "PUBLISH")
#: A party that has said this number can say nothing more.
MAX_CSEQ = (1 << 31) - 100_000
Tell = Callable[[str, list[Shot]], None]


class InCall:
    """Sends them, and sees to it that they are taken before more are sent."""

    def __init__(self, stage: Stage, words: Words, seed: int, folder: Path, tell: Tell) -> None:
        self.stage, self.words, self.seed, self.tell = stage, words, seed, tell
        self.exchange = stage.exchange
        settings = stage.exchange.settings
        self.edge = (settings.address, settings.sip_port)
        self.journal = Journal(folder, "incall")
        self.skipped = 0
        self.slowest = 0.0
        self._strangers = [(sock, Sender(*sock.getsockname(), self.edge, domain=settings.domain))
                           for sock in map(bound, STRANGERS)]
        self._probe = bound("127.0.0.7")
        self._raised = stage.exchange.live.counter(0)
        self._known: set[str] = set()

    async def run(self, count: int, told: Callable[[int], None]) -> None:
        """That many messages."""
        index = 0
        while index < count:
            window = []
            while index < count and len(window) < WINDOW:
                rng = random.Random((self.seed << 40) | (63 << 32) | index)
                pairs = [pair for pair in self.stage.pairs if pair.up and pair.asked < LIVES_FOR]
                if not pairs:
                    await asyncio.sleep(0.02)
                    continue
                index += 1
                pair = rng.choice(pairs)
                pair.asked += 1
                made = self.shot(rng, rng.choice(pair.sides), f"{SERIAL}ix{index:x}")
                if made is not None:
                    window.append(made)
                    if made[0].sent.startswith(b"BYE ") and STRANGER.encode() not in made[0].sent:
                        pair.asked = LIVES_FOR
            self.journal.write([shot for shot, _ in window])
            for shot, send in window:
                send(shot.sent)
            shots = [shot for shot, _ in window]
            await self.taken(shots)
            self.look(shots)
            for sock, _ in self._strangers:
                drain(sock)
            told(index)

    def shot(self, rng: random.Random, side: Call, serial: str,
             ) -> tuple[Shot, Callable[[bytes], object]] | None:
        """A message of that dialog, and how it is sent."""
        phone = side.phone
        assert isinstance(phone, Tapped)
        stranger = rng.random() < 0.6
        template = self.response(rng, phone) if rng.random() < 0.2 and phone.newest \
            else self.request(rng, side, serial, stranger)
        place = f"{phone.address}:{phone.port}"
        raw = template.replace(place, "{host}:{port}").encode("utf-8", "replace")
        if stranger and raw.startswith(b"SIP/2.0"):  # that nobody else can know
            raw = raw.replace(b"branch=z9hG4bK", b"branch=z9hG4bK" + rng.choice((b"0", b"z")), 1)
        if stranger:  # said twice: a mutation may take one of them away
            head, gap, body = raw.partition(b"\r\n\r\n")
            raw = head + f"\r\nUser-Agent: {STRANGER}\r\nX-Who: {STRANGER}".encode() + gap + body
        draft = mutated(rng, raw, self.words)
        if stranger:
            sock, sender = rng.choice(self._strangers)
            sent = sender.filled(draft, rng, serial, [], self.words.victims)
            return Shot(serial, "udp", sender.host, draft, sent), \
                lambda data: sock.sendto(data, self.edge)
        sender = Sender(phone.address, phone.port, self.edge, domain=self.exchange.settings.domain,
                        trusted=isinstance(phone, Trunk))
        sent = sender.filled(draft, rng, serial, [], self.words.victims)
        found = re.search(rb"(?mi)^cseq: *(\d{1,12})", sent)
        if found and not sent.startswith(b"SIP/2.0"):
            if int(found[1]) >= MAX_CSEQ:
                self.skipped += 1
                return None
            side.cseq = max(side.cseq, int(found[1]))
        return Shot(serial, "udp", phone.address, draft, sent), phone.raw

    def request(self, rng: random.Random, side: Call, serial: str, stranger: bool) -> str:
        """What this side may ask."""
        method = "BYE" if rng.random() < (0.2 if stranger else 0.004) else rng.choice(METHODS)
        headers = {"REFER": (f"Refer-To: <sip:{rng.choice(('102', '300', '999'))}@vaxel.local>",),
                   "SUBSCRIBE": ("Event: dialog",), "PRACK": ("RAck: 1 1 INVITE",),
                   "NOTIFY": ("Event: refer", "Subscription-State: active"),
                   "INFO": ("Content-Type: application/dtmf-relay",)}.get(method, ())
        body = side.description() if method in ("INVITE", "UPDATE") else (
            "Signal=5\r\nDuration=160\r\n" if method == "INFO" else "")
        number = side.cseq + rng.choice((0, 1, 1, 1, 2, 50))
        return side.request(method, body, *headers, cseq=number,
                            branch=f"z9hG4bK{serial}")[0]

    @staticmethod
    def response(rng: random.Random, phone: Tapped) -> str:
        """An answer to what the phone was asked last."""
        asked = Message(phone.newest)
        status = rng.choice(("100 Trying", "180 Ringing", "183 Progress", "200 OK", "200 OK",
                             "302 Moved", "401 No", "481 Gone", "487 Over", "503 No"))
        lines = [f"SIP/2.0 {status}", *(f"Via: {one}" for one in asked.all("via")),
                 *(f"Record-Route: {one}" for one in asked.all("record-route")),
                 f"From: {asked.get('from')}", f"To: {asked.get('to')}",
                 f"Call-ID: {asked.get('call-id')}", f"CSeq: {asked.get('cseq')}",
                 f"Contact: <{phone.contact}>", "Content-Length: 0", "", ""]
        return "\r\n".join(lines)

    # -- what becomes of it -------------------------------------------------------------------

    async def taken(self, shots: list[Shot]) -> None:
        """Until the exchange has taken them; told of when that takes too long."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        branch = f"probe{shots[-1].serial if shots else began}"
        data = options(*self._probe.getsockname(), self.edge, branch)
        late = False
        while True:
            self._probe.sendto(data, self.edge)
            try:
                async with asyncio.timeout(REPEAT_S):
                    while branch.encode() not in await loop.sock_recv(self._probe, 1 << 16):
                        pass
                break
            except TimeoutError:
                if not late and loop.time() - began > PROMPT_S:
                    late = True
                    self.tell(f"OPTIONS is not answered within {PROMPT_S} s", shots)
                assert loop.time() - began < PATIENCE_S, "OPTIONS is not answered"
        self.slowest = max(self.slowest, loop.time() - began)

    def look(self, shots: list[Shot]) -> None:
        """Whether one has raised an exception."""
        raised = self.exchange.live.counter(0)
        if raised == self._raised:
            return
        self._raised = raised
        found = re.findall(r"exception in the edge: ([^\"]*)", self.exchange.log("edge")[-200_000:])
        what = found[-1] if found else "not in the log"
        if what not in self._known:
            self._known.add(what)
            self.tell(f"exception: {what}", shots)

    async def packets(self, count: int, told: Callable[[int], None]) -> None:
        """Packets at the ports of media, most of them at those of calls that are up."""
        settings = self.exchange.settings
        for index in range(count):
            rng = random.Random((self.seed << 40) | (62 << 32) | index)
            ports = self.stage.media_ports()
            if ports and rng.random() < 0.8:
                port = rng.choice(ports) + rng.choice((0, 0, 0, 1))
            else:
                port = rng.randrange(settings.rtp_first, settings.rtp_last + 1)
            sock, _ = rng.choice(self._strangers)
            try:
                sock.sendto(media.packet(rng), (settings.address, port))
            except OSError:  # what came back says that nobody is there
                self.skipped += 1
            if index % 100 == 99:
                told(index + 1)
                await asyncio.sleep(0.002)
        told(count)

    def close(self) -> None:
        """No more."""
        for sock, _ in self._strangers:
            sock.close()
        self._probe.close()


def drain(sock: socket.socket) -> None:
    """What came for a stranger is of no interest."""
    while True:
        try:
            sock.recv(1 << 16)
        except (BlockingIOError, ConnectionError):
            return
