"""A telephone that speaks SIP by itself: UDP and asyncio, nothing of the exchange's own stacks.
What it says and hears in a call is tests/telephone.py's.

It does what a test tells it and nothing else, but for what every telephone does unasked: it
acknowledges, repeats what got no answer, takes a re-INVITE and a BYE, and says 200 to a NOTIFY.
"""

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar
from urllib.parse import quote

import numpy as np

from tests.exchange import Exchange, credentials
from tests.exchange import Telephone as Device
from tests.message import Message, gist, tag_of
from tests.telephone import FRAME_S
from tests.voice import Voice, tones

T1_S = 0.5
PATIENCE_S = 10
#: A call between processes on this machine that is not answered after it never will be.
MOST_TRIES = 6
RTPMAP = {"8": "PCMA/8000", "0": "PCMU/8000", "9": "G722/8000"}
Found = TypeVar("Found")


class Call:
    """A dialog of a softphone and its sound."""

    def __init__(self, phone: "Endpoint", invite: Message | None = None) -> None:
        self.phone = phone
        self.invite = invite  # of a call to us
        self.call_id = invite.get("call-id") if invite else secrets.token_hex(12)
        own = f";tag={secrets.token_hex(6)}"
        self.local = f"{invite.get('to')}{own}" if invite else f"<{phone.uri}>{own}"
        self.remote = invite.get("from") if invite else ""
        self.target = invite.contact if invite else ""
        self.routes = invite.routes if invite else []
        self.cseq = 1
        self.state = "ringing" if invite else "calling"
        self.code = 0  # the last answer to our INVITE
        self.received: list[str] = []
        self.strays: list[str] = []  # requests in dialogs of ours that we do not mean
        self.fragments: list[int] = []  # what NOTIFY said of our REFER
        self.notify_over = False
        self.acknowledged = False
        self.moved = 0  # re-INVITEs and UPDATEs with an SDP that we took
        self.refuses_offers: Sequence[int] = ()  # answers to the next re-INVITEs
        self.media = Voice(phone.hz, phone.kinds, lines="".join(
            f"a=rtpmap:{kind} {RTPMAP[kind]}\r\n" for kind in phone.kinds.split()))
        self.their_sdp = ""
        self.holding = False
        self._version = 0
        self.branch = ""
        self._offering = False

    # -- what it says -------------------------------------------------------------------------

    def description(self, direction: str = "sendrecv") -> str:
        """A new session description."""
        self._version += 1
        return self.media.sdp(direction).replace("o=- 1 1", f"o=- {id(self)} {self._version}")

    def request(self, method: str, body: str = "", *headers: str, cseq: int = 0,
                branch: str = "") -> tuple[str, str]:
        """(text, branch) of a request in this dialog."""
        phone = self.phone
        branch = branch or f"z9hG4bK{secrets.token_hex(8)}"
        if not cseq:
            self.cseq += 1
        lines = [f"{method} {self.target} SIP/2.0",
                 f"Via: SIP/2.0/UDP {phone.address}:{phone.port};branch={branch};rport",
                 *(f"Route: {route}" for route in self.routes),
                 f"From: {self.local}", f"To: {self.remote}", f"Call-ID: {self.call_id}",
                 f"CSeq: {cseq or self.cseq} {method}", "Max-Forwards: 70",
                 f"Contact: <{phone.contact}>", *headers]
        return phone.write(lines, body), branch

    async def ask(self, method: str, body: str = "", *headers: str) -> int:
        """Send a request in the dialog; the final answer's code."""
        text, branch = self.request(method, body, *headers)
        reply = await self.phone.transact(text, branch, method)
        self.received.append(reply.text)
        return reply.code

    async def dial(self, number: str, *headers: str, offer: bool = True) -> None:
        """Until the final answer to the INVITE; with the credentials that it is asked for."""
        phone = self.phone
        self.target = f"sip:{number}@{phone.exchange.settings.domain}"
        self.remote = f"<{self.target}>"
        reply = await phone.ask(self, "INVITE", *headers,
                                body=self.description() if offer else "")
        cseq = self.cseq
        self.take(reply)
        self.code = reply.code
        if reply.code < 300:
            answer = ""
            self.hear(reply.body)
            if not offer:
                answer = self.description()
            self._acknowledge(cseq, answer, reply)
        self.state = "up" if reply.code < 300 else "over"
        phone.news()

    def progress(self, reply: Message) -> None:
        """What comes before the final answer."""
        self.received.append(reply.text)
        self.code = reply.code
        if reply.code > 100:
            self.state = "ringing"
        if reply.body:
            self.hear(reply.body)
        if reply.get("rseq") and "100rel" in reply.get("require"):
            kept = self.remote, self.target, self.routes
            self.take(reply)
            text, branch = self.request("PRACK", "", f"RAck: {reply.get('rseq')} "
                                                     f"{reply.get('cseq')}")
            self.remote, self.target, self.routes = kept
            self.phone.spawn(self.phone.transact(text, branch, "PRACK"))

    def take(self, reply: Message) -> None:
        """A final answer: the dialog that it makes."""
        self.received.append(reply.text)
        if reply.code < 300:
            self.remote = reply.get("to")
            self.target, self.routes = reply.contact or self.target, reply.routes[::-1]

    def _acknowledge(self, cseq: int, body: str = "", reply: Message | None = None) -> None:
        text, _ = self.request("ACK", body, cseq=cseq)
        if not self.phone.never_acks:
            self.phone.acks[self.branch if reply is None else reply.branch] = text
            self.phone.send(text)

    def respond(self, code: int, phrase: str = "Said", *headers: str, body: str = "",
                tag: str = "") -> None:
        """Any answer to the INVITE. tag: other than ours."""
        assert self.invite
        to = f"{self.invite.get('to')};tag={tag}" if tag else self.local
        self.phone.reply(self.invite, code, phrase, *headers, to=to, body=body)

    def ring(self) -> None:
        """180."""
        self.respond(180, "Ringing")

    def ring_with_media(self) -> None:
        """183, and our tone."""
        self.respond(183, "Session Progress", body=self._answer_sdp())

    def answer(self, *, tag: str = "") -> None:
        """200, repeated until its ACK. tag: as another telephone behind the same fork."""
        assert self.invite
        offer = self.invite.body
        sdp = self._answer_sdp() if offer else self.description()
        self.state = "up"
        self.respond(200, "OK", body=sdp, tag=tag)
        if not tag:
            self.phone.spawn(self._repeat_answer())

    async def _repeat_answer(self) -> None:
        assert self.invite
        for tries in range(MOST_TRIES):
            await asyncio.sleep(T1_S * 2 ** min(tries, 3))
            if self.acknowledged or self.state == "over":
                return
            self.phone.repeat(self.invite)

    def _answer_sdp(self) -> str:
        """An answer to what the INVITE offers."""
        assert self.invite
        self.hear(self.invite.body)
        return self.description()

    def refuse(self, code: int = 486, *headers: str) -> None:
        """No."""
        self.respond(code, "Refused", *headers)
        self.state = "over"

    async def cancel(self) -> int:
        """CANCEL of our INVITE; the answer to the CANCEL."""
        found = re.search(r"CSeq: (\d+) INVITE", self.phone.sent[self.branch])
        assert found
        text = self.phone.sent[self.branch].split("\r\n\r\n")[0]
        lines = [line.replace(" INVITE", " CANCEL") if line.startswith("CSeq") else line
                 for line in text.split("\r\n")
                 if not line.startswith(("Content-", "Proxy-Auth", "Contact"))]
        lines[0] = lines[0].replace("INVITE", "CANCEL", 1)
        reply = await self.phone.transact(self.phone.write(lines, ""), self.branch, "CANCEL")
        return reply.code

    async def hang_up(self, *headers: str) -> int:
        """Whatever ends it: BYE, CANCEL or a refusal."""
        self.media.to = 0  # its port may be another call's in a moment
        if self.state == "up":
            self.state = "over"
            return await self.ask("BYE", "", *headers)
        if self.state != "over" and self.invite is None:
            code = await self.cancel()
            await self.ended()
            return code
        if self.state != "over":
            self.refuse(480)
        return 0

    async def reinvite(self, sdp: str) -> int:
        """A re-INVITE; what it was answered. One that overtook the ACK before it is repeated."""
        code = await self._reinvite(sdp)
        return await self._reinvite(sdp) if code == 500 else code

    async def _reinvite(self, sdp: str) -> int:
        text, branch = self.request("INVITE", sdp)
        cseq, self._offering = self.cseq, True
        try:
            reply = await self.phone.transact(text, branch, "INVITE")
        finally:
            self._offering = False
        self.received.append(reply.text)
        if reply.code < 300:
            self._acknowledge(cseq, "" if sdp else self.description(), reply)
            self.hear(reply.body)
        return reply.code

    async def hold(self, direction: str = "sendonly") -> int:
        """On hold; from now on nothing is said."""
        self.holding = True
        self.media.to = 0
        return await self.reinvite(self.description(direction))

    async def resume(self) -> int:
        """Back."""
        self.holding = False
        return await self.reinvite(self.description())

    async def update(self, sdp: str = "") -> int:
        """UPDATE."""
        return await self.ask("UPDATE", sdp)

    async def refer(self, target: str, replaces: "Call | None" = None) -> int:
        """Ask for a transfer to that number, or with replaces to whom that call is with."""
        where = f"sip:{target}@{self.phone.exchange.settings.domain}"
        if replaces:
            where += "?Replaces=" + quote(
                f"{replaces.call_id};to-tag={tag_of(replaces.remote)};"
                f"from-tag={tag_of(replaces.local)}", safe="")
        self.fragments, self.notify_over = [], False
        return await self.ask("REFER", "", f"Refer-To: <{where}>",
                              f"Referred-By: <{self.phone.uri}>")

    async def notified(self) -> list[int]:
        """The codes that NOTIFY told of the REFER, once it says that it was the last."""
        await self.phone.until(lambda: self.notify_over, "a last NOTIFY")
        return self.fragments

    def press(self, digits: str) -> None:
        """Keys by RFC 4733."""
        for digit in digits:
            self.media.press(digit, frames=1)

    async def info(self, digit: str) -> int:
        """A key by SIP INFO."""
        return await self.ask("INFO", f"Signal={digit}\r\nDuration=160\r\n",
                              "Content-Type: application/dtmf-relay")

    # -- what it hears ------------------------------------------------------------------------

    def hear(self, sdp: str) -> None:
        """The other side's description: where to send and what."""
        self.their_sdp = sdp or self.their_sdp
        line = re.search(r"^m=audio (\d+) \S+ ([\d ]+)", sdp, re.MULTILINE)
        if not line:
            return
        common = [kind for kind in line[2].split() if kind in self.phone.kinds.split()]
        if common and int(common[0]) != self.media.kind:
            self.media.kind = int(common[0])
            self.media.say(self.media.hz)
        event = re.search(r"^a=rtpmap:(\d+) telephone-event/8000", sdp, re.MULTILINE)
        if event and self.media.events:
            self.media.events = int(event[1])
        silent = self.holding or self.phone.mute
        self.media.to = 0 if silent else int(line[1])

    async def hears(self, *hz: int, for_s: float = 0.14, seconds: float = PATIENCE_S) -> None:
        """Until just these tones were heard for so long (none: no tone at all)."""
        start = time.monotonic()
        while True:
            await asyncio.sleep(FRAME_S)
            now = time.monotonic()
            found = frequencies(self, now - for_s) if now - start > for_s else None
            if found == set(hz):
                return
            assert now - start < seconds, \
                f"{self.phone.name} hears {sorted(found or ())}, not {sorted(hz)}"

    async def silent(self) -> None:
        """Until no tone is heard."""
        await self.hears()

    @property
    def heard(self) -> np.ndarray:
        """Everything that it was sent."""
        return self.media.sound()

    async def rang(self) -> None:
        """Until the far end rings."""
        await self.phone.until(lambda: self.state != "calling", "ringing")

    async def answered(self) -> None:
        """Until it is answered; AssertionError when it is refused."""
        await self.phone.until(lambda: self.state in ("up", "over"), "an answer")
        assert self.state == "up", f"{self.phone.name}: {self.code}"

    async def refused(self) -> int:
        """The code with which it is refused."""
        await self.phone.until(lambda: self.state in ("up", "over"), "a refusal")
        assert self.state == "over", f"{self.phone.name} was answered"
        return self.code

    async def ended(self, seconds: float = PATIENCE_S) -> None:
        """Until the other side has hung up, cancelled or refused."""
        await self.phone.until(lambda: self.state == "over", "the end", seconds)

    # -- requests of the other side -----------------------------------------------------------

    def requested(self, request: Message) -> None:
        """A request inside the dialog."""
        phone, method = self.phone, request.method
        self.received.append(request.text)
        if tag_of(request.get("to")) not in (tag_of(self.local), "") :
            self.strays.append(request.text)
            if method != "ACK":
                phone.reply(request, 200, "OK")
            return
        if method == "ACK":
            self.acknowledged = True
            if request.body:
                self.hear(request.body)
        elif method == "CANCEL":
            phone.reply(request, 200, "OK", to=self.local)
            if phone.answers_cancelled:
                self.answer()
            elif self.state == "ringing":
                self.state = "over"
                self.respond(487, "Request Terminated")
        elif method == "BYE":
            over = self.state == "over"
            self.state, self.media.to = "over", 0
            phone.reply(request, 481 if over and not self.acknowledged else 200, "OK")
        elif method in ("INVITE", "UPDATE"):
            self._offered(request)
        elif method == "NOTIFY":
            found = re.match(r"SIP/2.0 (\d+)", request.body)
            self.fragments += [int(found[1])] if found else []
            self.notify_over = self.notify_over \
                or request.get("subscription-state").startswith("terminated")
            phone.reply(request, 200, "OK")
        else:
            phone.reply(request, 200, "OK")

    def _offered(self, request: Message) -> None:
        phone = self.phone
        code, *self.refuses_offers = [*self.refuses_offers] or [200]
        if self._offering:
            code = 491
        if code != 200:
            phone.reply(request, code, "Refused")
            return
        self.target = request.contact or self.target
        direction = {"sendonly": "recvonly", "inactive": "inactive", "recvonly": "sendonly"}
        theirs = re.search(r"^a=(sendonly|inactive|recvonly)", request.body, re.MULTILINE)
        if request.body:
            self.moved += 1
            self.hear(request.body)
        body = self.description(direction[theirs[1]] if theirs else "sendrecv") \
            if request.body or request.method == "INVITE" else ""
        phone.reply(request, 200, "OK", body=body)


class Watching:
    """A subscription and the states that it was told; over: the last NOTIFY was."""

    def __init__(self, phone: "Endpoint", event: str) -> None:
        self.phone, self.event = phone, event
        self.dialog = Call(phone)
        self.code = 0
        self.over = False
        self.states: list[str] = []
        self.bodies: list[str] = []

    async def subscribe(self, expires: int = 300) -> None:
        """The first time, or a refresh, or with 0 the end."""
        headers = (f"Event: {self.event}", f"Expires: {expires}")
        reply = await self.phone.ask(self.dialog, "SUBSCRIBE", *headers)
        self.code = reply.code
        if reply.code < 300 and not self.states:  # a refresh changes no route (RFC 3261 12.2)
            self.dialog.take(reply)

    def told(self, request: Message) -> None:
        """A NOTIFY."""
        self.bodies.append(request.body)
        self.over = request.get("subscription-state").startswith("terminated")
        found = re.search(r"<state[^>]*>(\w+)</state>", request.body)
        self.states.append(found[1] if found else "idle")

    async def sees(self, state: str) -> None:
        """Until the newest is that."""
        await self.phone.until(lambda: self.states[-1:] == [state], f"the lamp {state}")


class Endpoint(asyncio.DatagramProtocol):
    """A socket with transactions and calls. Misbehaviour: never_acks, answers_cancelled, mute."""

    def __init__(self, exchange: Exchange, name: str, hz: int, kinds: str, address: str,
                 port: int) -> None:
        self.exchange, self.name, self.hz, self.kinds = exchange, name, hz, kinds
        self.address, self.port = address, port
        self.user, self.secret, self.number = name, "", ""
        self.never_acks = self.answers_cancelled = self.mute = False
        self.allows = ""  # methods, told in every message
        self.received: list[Message] = []
        self.sent: dict[str, str] = {}
        self.acks: dict[str, str] = {}
        self.calls: list[Call] = []
        self._log: list[str] = []
        self._watching: dict[str, Watching] = {}
        self._incoming: asyncio.Queue[Call] = asyncio.Queue()
        self._transactions: dict[tuple[str, str], asyncio.Queue[Message]] = {}
        self._answers: dict[tuple[str, str], tuple[str, Any]] = {}
        self._sources: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def uri(self) -> str:
        """Its address of record."""
        return f"sip:{self.user}@{self.exchange.settings.domain}"

    @property
    def contact(self) -> str:
        """Where it is."""
        return f"sip:{self.user}@{self.address}:{self.port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(self.address, self.port))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        for call in self.calls:
            with contextlib.suppress(AssertionError, TimeoutError):
                await asyncio.wait_for(call.hang_up(), 2)
        for task in self._tasks:
            task.cancel()
        for call in self.calls:
            await call.media.__aexit__()
        self._transport.close()

    async def dial(self, number: str, *headers: str, offer: bool = True) -> Call:
        """Call that number: the call, on its way."""
        call = Call(self)
        await call.media.__aenter__()
        self.calls.append(call)
        self.spawn(call.dial(number, *headers, offer=offer))
        return call

    async def incoming(self, seconds: float = PATIENCE_S) -> Call:
        """The next call to us."""
        try:
            return await asyncio.wait_for(self._incoming.get(), seconds)
        except TimeoutError:
            raise AssertionError(f"nobody calls {self.name}") from None

    async def subscribe(self, event: str, about: str, expires: int = 300) -> Watching:
        """Watch a line or a mailbox: once the exchange has told its state, or refused."""
        watching = Watching(self, event)
        watching.dialog.target = f"sip:{about}@{self.exchange.settings.domain}"
        watching.dialog.remote = f"<{watching.dialog.target}>"
        self._watching[watching.dialog.call_id] = watching
        await watching.subscribe(expires)
        if watching.code < 300:
            await self.until(lambda: watching.states, "a first NOTIFY")
        return watching

    async def ask(self, call: Call, method: str, *headers: str, body: str = "") -> Message:
        """A request with the credentials that it is asked for; its final answer."""
        more = headers
        for _ in range(2):
            text, branch = call.request(method, body, *more)
            call.branch = branch
            reply = await self.transact(text, branch, method, call.progress)
            asked = "www" if reply.code == 401 else "proxy"
            challenge = next((value for value in reply.all(f"{asked}-authenticate")
                              if "algorithm=MD5" in value), "")
            if reply.code not in (401, 407) or not self.secret or not challenge:
                break
            name = "Authorization" if reply.code == 401 else "Proxy-Authorization"
            more = (*headers, f"{name}: " + credentials(
                challenge, self.user, self.secret, method, call.target, "MD5"))
        return reply

    # -- transport ----------------------------------------------------------------------------

    def write(self, lines: Sequence[str], body: str) -> str:
        """A message's text."""
        kind = [] if not body or any(line.startswith("Content-Type") for line in lines) \
            else ["Content-Type: application/sdp"]
        kind += [f"Allow: {self.allows}"] if self.allows else []
        return "\r\n".join([*lines, *kind, f"Content-Length: {len(body)}", "", body])

    def send(self, text: str, to: Any = None) -> None:
        """To the exchange."""
        self._log.append(f"{time.monotonic() % 1000:.3f} > {gist(text)}")
        self._transport.sendto(text.encode(), to or (
            self.exchange.settings.address, self.exchange.settings.sip_port))

    def reply(self, request: Message, code: int, phrase: str, *headers: str, to: str = "",
              body: str = "") -> None:
        """Answer a request."""
        lines = [f"SIP/2.0 {code} {phrase}", *(f"Via: {via}" for via in request.all("via")),
                 *(f"Record-Route: {route}" for route in request.all("record-route")),
                 f"From: {request.get('from')}", f"To: {to or request.get('to')}",
                 f"Call-ID: {request.get('call-id')}", f"CSeq: {request.get('cseq')}",
                 f"Contact: <{self.contact}>", *headers]
        text, source = self.write(lines, body), self._sources.get(request.branch)
        self._answers[request.branch, request.method] = text, source
        self.send(text, source)

    def repeat(self, request: Message) -> None:
        """Say once more what it was answered."""
        text, source = self._answers.get((request.branch, request.method), ("", None))
        if text:
            self.send(text, source)

    async def transact(self, text: str, branch: str, method: str,
                       said: Callable[[Message], None] | None = None) -> Message:
        """Send a request until it is answered; the final answer."""
        queue = self._transactions[branch, method] = asyncio.Queue()
        if method != "CANCEL":
            self.sent[branch] = text
        self.send(text)
        tries = 0
        while True:
            try:
                reply = await asyncio.wait_for(queue.get(), T1_S * 2**tries if tries < 7 else 40)
            except TimeoutError:
                tries += 1
                assert tries < MOST_TRIES or tries > 7, f"no answer to {text}"
                if tries < 7:
                    self.send(text)
                continue
            if reply.code >= 200:
                break
            tries = 7  # it has arrived: the final answer may take its time
            if said:
                said(reply)
                self.news()
        del self._transactions[branch, method]
        if method == "INVITE" and reply.code >= 300:
            lines = [line for line in text.split("\r\n\r\n")[0].split("\r\n")
                     if not line.startswith(("Content-", "To:", "Proxy-Auth", "Contact"))]
            lines[0] = lines[0].replace("INVITE", "ACK", 1)
            ack = self.write([line.replace(" INVITE", " ACK") if line.startswith("CSeq") else line
                              for line in lines] + [f"To: {reply.get('to')}"], "")
            if not self.never_acks:
                self.acks[branch] = ack
                self.send(ack)
        return reply

    def datagram_received(self, data: bytes, addr: Any) -> None:
        text = data.decode(errors="replace")
        if not text.strip():
            return
        self._log.append(f"{time.monotonic() % 1000:.3f} < {gist(text)}")
        message = Message(text)
        self.received.append(message)
        if message.code:
            queue = self._transactions.get((message.branch, message.method))
            if queue:
                queue.put_nowait(message)
            elif message.code >= 200 and message.branch in self.acks:
                self.send(self.acks[message.branch])
        else:
            self._requested(message, addr)
        self.news()

    def _requested(self, request: Message, addr: Any) -> None:
        key = request.branch, request.method
        self._sources[request.branch] = addr
        if key in self._answers:
            self.repeat(request)
            return
        call_id = request.get("call-id")
        call = next((call for call in self.calls if call.call_id == call_id), None)
        if call:
            call.requested(request)
        elif call_id in self._watching and request.method == "NOTIFY":
            self._watching[call_id].told(request)
            self.reply(request, 200, "OK")
        elif request.method == "INVITE":
            call = Call(self, request)
            self.calls.append(call)
            self.reply(request, 100, "Trying")
            self.spawn(self._called(call))
        elif request.method == "OPTIONS":
            self.reply(request, 200, "OK")
        elif request.method != "ACK":
            self.reply(request, 481, "No Such Call")

    async def _called(self, call: Call) -> None:
        await call.media.__aenter__()
        self._incoming.put_nowait(call)

    # -- waiting ------------------------------------------------------------------------------

    def spawn(self, work: Any) -> None:
        """Do it beside."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def news(self) -> None:
        """Something has changed: whoever waits looks again."""
        self._changed.set()

    async def until(self, what: Callable[[], Found], why: str,
                    seconds: float = PATIENCE_S) -> Found:
        """The first true answer."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := what()):
                    self._changed.clear()
                    await self._changed.wait()
                return found
        except TimeoutError:
            raise AssertionError(f"{self.name} waited for {why}") from None

    def ladder(self) -> str:
        """What was sent and received, a line each."""
        return "\n".join(self._log[-60:])


class Softphone(Endpoint):
    """A registered telephone: async with Softphone(exchange, device, 600) as phone."""

    def __init__(self, exchange: Exchange, device: Device, hz: int = 600, kinds: str = "8") -> None:
        super().__init__(exchange, f"{device.extension} ({hz} Hz)", hz, kinds, "127.0.0.1", 0)
        self.user, self.secret = device.username, device.secret
        self.number = device.extension

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        call = Call(self)
        call.target, call.remote = f"sip:{self.exchange.settings.domain}", f"<{self.uri}>"
        reply = await self.ask(call, "REGISTER", "Expires: 600")
        assert reply.code == 200, reply.text
        return self


class Carrier(Endpoint):
    """A trunk's far end, at the address and port that the exchange knows it by."""

    def __init__(self, exchange: Exchange, address: str = "127.0.0.2", *, hz: int = 1400,
                 caller: str = "+46701112233", kinds: str = "8", port: int = 5060) -> None:
        super().__init__(exchange, f"carrier {address}", hz, kinds, address, port)
        self.user = caller


def frequencies(call: Call, since: float) -> set[int]:
    """What a call has heard since."""
    return tones(call.media.sound(since))


__all__ = ["Call", "Carrier", "Endpoint", "Message", "Softphone", "Watching", "frequencies",
           "tones"]
