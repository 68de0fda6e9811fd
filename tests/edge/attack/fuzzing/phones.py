"""Honest telephones with calls that are up while the exchange is fuzzed, and those that attackers'
calls come to."""

import asyncio
import contextlib
import random
import re
from typing import Any, Self

from tests.edge.attack.fuzzing.fill import COMPACT, SERIAL, STRANGER
from tests.edge.attack.fuzzing.mutate import Words, mutated
from tests.exchange import Exchange
from tests.message import Message
from tests.softphone import Call, Carrier, Endpoint, Softphone

#: Messages after which a telephone forgets what it needs no more.
FORGETS_AFTER = 400
KEPT_SOUND = 400
REGISTERS_EVERY_S = 200
#: Messages inside a call after which it is another one.
LIVES_FOR = 150


class Tapped(Endpoint):
    """Takes anything, keeps what it says and hears as long as somebody records, and tells of what
    a stranger has sent it."""

    def tap(self, heard: list[tuple[str, str, str]] | None, alarms: list[str]) -> None:
        """Record into heard; None: no more."""
        self._heard, self._alarms = heard, alarms
        self._messages = 0
        self.newest = ""  # what the exchange asked last

    def send(self, text: str, to: Any = None) -> None:
        if (heard := getattr(self, "_heard", None)) is not None:
            heard.append((f"{self.address}:{self.port}", ">", text))
        super().send(text, to)

    def raw(self, data: bytes) -> None:
        """From this telephone's address."""
        self._transport.sendto(data, (self.exchange.settings.address,
                                      self.exchange.settings.sip_port))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        text = data.decode(errors="replace")
        if STRANGER in text and len(getattr(self, "_alarms", ())) < 50:
            self._alarms.append(text)
        if (heard := getattr(self, "_heard", None)) is not None and text.strip():
            heard.append((f"{self.address}:{self.port}", "<", text))
        with contextlib.suppress(Exception):  # whatever the exchange has let through
            super().datagram_received(data, addr)
            for call in self.calls:  # a port that is none
                call.media.to = call.media.to if call.media.to < 1 << 16 else 0
            if not text.startswith("SIP/2.0"):
                self.newest = text
        self._messages = getattr(self, "_messages", 0) + 1
        if self._messages % FORGETS_AFTER == 0:
            self._forget()

    def _requested(self, request: Message, addr: Any) -> None:
        if request.method == "INVITE" and SERIAL in request.get("call-id") \
                and ";tag=" not in request.get("to"):
            self._sources[request.branch] = addr
            self.reply(request, 486, "Busy Here")
            return
        super()._requested(request, addr)

    async def refuse_others(self) -> None:
        """Whoever calls in the name of nobody we expect."""
        while True:
            call = await self._incoming.get()
            call.refuse(486)

    def _forget(self) -> None:
        self.received.clear()
        del self._log[:-60]
        self.calls[:] = [call for call in self.calls if call.state != "over"]
        for call in self.calls:
            del call.received[:-10]
            call.strays.clear()
            del call.media.got[:-KEPT_SOUND]
        for kept in (self._answers, self._sources, self.sent, self.acks):
            for key in list(kept)[:-200]:
                del kept[key]  # type: ignore[attr-defined]


class Phone(Tapped, Softphone):
    """A registered one, for as long as it takes."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.spawn(self._stay())
        return self

    async def _stay(self) -> None:
        while True:
            await asyncio.sleep(REGISTERS_EVERY_S)
            again = Call(self)
            again.target = f"sip:{self.exchange.settings.domain}"
            again.remote = f"<{self.uri}>"
            with contextlib.suppress(AssertionError):
                await self.ask(again, "REGISTER", "Expires: 600")


class Trunk(Tapped, Carrier):
    """A carrier's far end."""


class Pair:
    """Two who are on the phone to each other, again as soon as they are not. called: None, a
    service."""

    def __init__(self, caller: Tapped, called: Tapped | None, number: str) -> None:
        self.caller, self.called, self.number = caller, called, number
        self.line: Call | None = None
        self.call: Call | None = None
        self.made = self.failed = self.asked = 0
        self.call_ids: list[str] = []
        self._over = asyncio.Event()

    @property
    def up(self) -> bool:
        """Whether they talk."""
        return self.line is not None and self.line.state == "up" and (
            self.called is None or (self.call is not None and self.call.state == "up"))

    @property
    def sides(self) -> list[Call]:
        """The dialogs of it that are up."""
        return [one for one in (self.line, self.call) if one is not None and one.state == "up"]

    async def keep(self) -> None:
        """Until stop()."""
        while not self._over.is_set():
            try:
                await self._talk()
            except (AssertionError, TimeoutError, OSError, ValueError, IndexError):
                self.failed += 1
                await asyncio.sleep(0.2)
            finally:
                await self._hang_up()

    async def _talk(self) -> None:
        self._refuse()
        self.line = await self.caller.dial(self.number)
        self.call_ids.append(self.line.call_id)
        if self.called is not None:
            self.call = await self.called.incoming(6)
            self.call.ring()
            self.call.answer()
        await asyncio.wait_for(self.line.answered(), 8)
        self.made += 1
        self.asked = 0
        while self.up and not self._over.is_set() and self.asked < LIVES_FOR:
            self._refuse()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), 0.1)

    def _refuse(self) -> None:
        while self.called is not None and not self.called._incoming.empty():
            self.called._incoming.get_nowait().refuse(486)

    async def _hang_up(self) -> None:
        self._refuse()
        for one in (self.line, self.call):
            if one is not None:
                with contextlib.suppress(AssertionError, TimeoutError, Exception):
                    await asyncio.wait_for(one.hang_up(), 3)
                await one.media.__aexit__()
        self.line = self.call = None

    def stop(self) -> None:
        """Hang up and dial no more."""
        self._over.set()


def _full(short: re.Match[str]) -> str:
    return COMPACT[short[1].lower()].title()


class Sink(asyncio.DatagramProtocol):
    """Where the calls of attackers come to: takes some, refuses most, and mutates what it says."""

    def __init__(self, exchange: Exchange, seed: int, alarms: list[str]) -> None:
        self.edge = (exchange.settings.address, exchange.settings.sip_port)
        self.words = Words([], [], [], [])
        self.calls = self.answered = 0
        self._rng = random.Random(seed)
        self._alarms = alarms
        self._done: dict[str, list[bytes]] = {}

    async def open(self, address: str) -> int:
        """Its port."""
        self._loop = asyncio.get_running_loop()
        self._transport, _ = await self._loop.create_datagram_endpoint(
            lambda: self, local_addr=(address, 0))
        self.address, self.port = self._transport.get_extra_info("sockname")
        return int(self.port)

    def close(self) -> None:
        """No more."""
        self._transport.close()

    def say(self, raw: bytes) -> None:
        """To the exchange."""
        if not self._transport.is_closing():
            self._transport.sendto(raw, self.edge)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        text = data.decode("latin-1")
        if STRANGER in text and len(self._alarms) < 50:
            self._alarms.append(text)
        if text.startswith("SIP/2.0") or not text.strip():
            return
        with contextlib.suppress(Exception):
            self._asked(Message(re.sub(r"(?mi)^([ftim])(?=[ \t]*:)", _full, text)))

    def _asked(self, request: Message) -> None:
        key = f"{request.branch} {request.method}"
        if key in self._done:
            for raw in self._done[key]:
                self.say(raw)
            return
        if len(self._done) > 3000:
            self._done.clear()
        if request.method == "ACK":
            return
        if request.method != "INVITE" or ";tag=" in request.get("to"):
            self._done[key] = [self.reply(request, "200 OK")]
            if request.method == "CANCEL":
                self._done[key].append(self.reply(request, "487 Request Terminated",
                                                  cseq=request.get("cseq").replace(
                                                      "CANCEL", "INVITE")))
        else:
            self.calls += 1
            self._done[key] = self._called(request)
        for raw in self._done[key]:
            self.say(raw)

    def _called(self, request: Message) -> list[bytes]:
        rng = self._rng
        tag = f"s{rng.randrange(1 << 30):x}"
        choice = rng.randrange(16)
        sdp = ("v=0\r\no=- 1 1 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 127.0.0.9\r\nt=0 0\r\n"
               "m=audio 40002 RTP/AVP 8\r\n")
        if choice < 6:
            return [self.reply(request, "180 Ringing", tag),
                    self.reply(request, "486 Busy Here", tag)]
        if choice == 6:
            return []
        if choice == 7:
            return [self.reply(request, "302 Moved", tag, "Contact: <sip:x@{victim}>")]
        if choice == 8:
            return [self.reply(request, f"{rng.choice((400, 404, 480, 500, 503, 600, 603))} No",
                               tag)]
        if choice == 9:
            return [self.reply(request, "183 Progress", tag, "RSeq: 1", "Require: 100rel",
                               body=sdp), self.reply(request, "480 Gone", tag)]
        ok = self.reply(request, "200 OK", tag, body=sdp)
        self._loop.call_later(1.0, self._end, request, tag)
        self.answered += 1
        if choice < 13:
            return [self.reply(request, "180 Ringing", tag), ok]
        return [mutated(rng, ok, self.words).replace(b"{victim}", b"127.0.0.9:1"), ok]

    def _end(self, request: Message, tag: str) -> None:
        routes = [f"Route: {route}" for route in request.routes]
        lines = [f"BYE {request.contact or 'sip:x@vaxel.local'} SIP/2.0",
                 f"Via: SIP/2.0/UDP {self.address}:{self.port};branch=z9hG4bKe{tag};rport", *routes,
                 f"From: {request.get('to')};tag={tag}", f"To: {request.get('from')}",
                 f"Call-ID: {request.get('call-id')}", "CSeq: 1 BYE", "Max-Forwards: 70",
                 "Content-Length: 0", "", ""]
        self.say("\r\n".join(lines).encode("latin-1"))

    def reply(self, request: Message, status: str, tag: str = "", *headers: str, cseq: str = "",
              body: str = "") -> bytes:
        """An answer."""
        to = request.get("to")
        if tag and ";tag=" not in to.rpartition(">")[2]:
            to += f";tag={tag}"
        lines = [f"SIP/2.0 {status}", *(f"Via: {via}" for via in request.all("via")),
                 *(f"Record-Route: {one}" for one in request.all("record-route")),
                 f"From: {request.get('from')}", f"To: {to}",
                 f"Call-ID: {request.get('call-id')}", f"CSeq: {cseq or request.get('cseq')}",
                 f"Contact: <sip:sink@{self.address}:{self.port}>", *headers,
                 *(["Content-Type: application/sdp"] if body else []),
                 f"Content-Length: {len(body)}", "", body]
        return "\r\n".join(lines).encode("latin-1")
