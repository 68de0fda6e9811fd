"""Cheap telephones for benchmarks/queueload.py: many on one socket, SIP over UDP by asyncio. They
send a packet of silence now and then, so that the media node does not take them for dead.

A dialog calls or is called, is repeated until it is answered, and ends by either side's BYE. What
nobody asked for (a BYE too many, a refusal, silence) is told to whoever made the dialog.
"""

import asyncio
import contextlib
import itertools
import re
import secrets
import socket
import struct
from collections.abc import Callable
from typing import Any

from tests.message import Message

T1_S = 0.5
T2_S = 4.0
#: RFC 3261, timers B, F and H.
GIVE_UP_S = 32.0
#: Each sends a packet of silence so often.
BEAT_S = 15
SILENCE = b"\xd5" * 160


class Dialog:
    """A call of one telephone. state: calling, ringing, up or over; failed: why it did not come
    about or did not end well; told: on every change; data: of who made it."""

    def __init__(self, line: "Line", call_id: str, invite: Message | None,
                 sound: socket.socket | None = None) -> None:
        self.line, self.call_id, self.invite = line, call_id, invite
        self.state = "ringing" if invite else "calling"
        self.failed = ""
        self.by_us = False  # the end
        self.told: Callable[[Dialog], None] = lambda _: None
        self.data: Any = None
        self.media = 0  # the port that the exchange expects our sound at
        self.local = self.remote = self.target = ""
        self.routes: list[str] = []
        self.answers: dict[tuple[str, str], str] = {}
        self.ack = ""
        self._sound = sound or line.deaf
        self._cseq = 0
        self._beat = struct.unpack(">I", secrets.token_bytes(4))[0]
        self._again: asyncio.TimerHandle | None = None
        if invite:
            self.local = f"{invite.get('to')};tag={secrets.token_hex(5)}"
            self.remote, self.target = invite.get("from"), invite.contact
            self.routes = invite.routes
            self.hear(invite.body)

    def hear(self, sdp: str) -> None:
        """Where the exchange wants sound."""
        found = re.search(r"^m=audio (\d+)", sdp, re.MULTILINE)
        if found:
            self.media = int(found[1])

    def sdp(self) -> str:
        """PCMA, at the port given; with keys, so that nobody listens for tones."""
        host = self.line.host
        return (f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
                f"m=audio {self._sound.getsockname()[1]} RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n"
                "a=rtpmap:101 telephone-event/8000\r\n")

    def beat(self) -> None:
        """One packet of silence, BEAT_S after the last one."""
        if self.media and self.state == "up":
            self._beat += 1
            head = struct.pack(">BBHII", 0x80, 8, self._beat & 0xFFFF,
                               self._beat * 8000 * BEAT_S & 0xFFFFFFFF, 7)
            with contextlib.suppress(BlockingIOError):
                self._sound.sendto(head + SILENCE, (self.line.exchange[0], self.media))

    # -- what it does -------------------------------------------------------------------------

    def call(self) -> None:
        """Send the INVITE."""
        self.line.ask(self, "INVITE", self.next_cseq(), self.sdp())

    def next_cseq(self) -> int:
        """Of a new request."""
        self._cseq += 1
        return self._cseq

    def ring(self) -> None:
        """180."""
        assert self.invite
        self.line.reply(self, self.invite, "180 Ringing")

    def answer(self) -> None:
        """200, repeated until its ACK."""
        assert self.invite
        self.state = "answered"
        self.line.reply(self, self.invite, "200 OK", self.sdp())
        self._repeat(T1_S, GIVE_UP_S)

    def refuse(self, status: str) -> None:
        """No."""
        assert self.invite
        self.line.reply(self, self.invite, status)
        self.over(by_us=True)

    def _repeat(self, wait_s: float, left_s: float) -> None:
        if left_s <= 0:
            self.over(failed="no ACK")
            return
        assert self.invite
        self._again = asyncio.get_running_loop().call_later(wait_s, self._said_again, wait_s,
                                                            left_s - wait_s)

    def _said_again(self, wait_s: float, left_s: float) -> None:
        assert self.invite
        if self.state == "answered":
            self.line.send(self.answers[self.invite.branch, "INVITE"])
            self._repeat(min(wait_s * 2, T2_S), left_s)

    def hang_up(self) -> None:
        """BYE."""
        if self.state in ("up", "answered"):
            self.line.ask(self, "BYE", self.next_cseq())
            self.over(by_us=True)

    def over(self, *, by_us: bool = False, failed: str = "") -> None:
        """Once."""
        if self.state != "over":
            self.state, self.by_us, self.failed = "over", by_us, failed
            if self._again:
                self._again.cancel()
            self.told(self)
            asyncio.get_running_loop().call_later(GIVE_UP_S, self.line.dialogs.pop, self.call_id,
                                                  None)

    # -- what it is told ----------------------------------------------------------------------

    def replied(self, message: Message) -> None:
        """To our INVITE, finally."""
        if self.state == "over":
            return
        if message.code >= 300:
            self.over(failed=message.start)
            return
        self.remote, self.target = message.get("to"), message.contact
        self.routes = message.routes[::-1]
        self.hear(message.body)
        self.ack = self.line.request(self, "ACK", self._cseq, secrets.token_hex(8))
        self.line.send(self.ack)
        self.state = "up"
        self.told(self)

    def requested(self, message: Message) -> None:
        """In the dialog."""
        match message.method:
            case "ACK":
                if self.state == "answered":
                    self.state = "up"
                    self.told(self)
            case "BYE":
                self.line.reply(self, message, "200 OK")
                self.over()
            case "CANCEL":
                self.line.reply(self, message, "200 OK")
                if self.state == "ringing" and self.invite:
                    self.line.reply(self, self.invite, "487 Request Terminated")
                    self.over()
            case "INVITE":
                self.hear(message.body)
                self.line.reply(self, message, "200 OK", self.sdp())
            case _:
                self.line.reply(self, message, "200 OK")


class Line(asyncio.DatagramProtocol):
    """A socket at which telephones are. on_call: with every new call to one of them."""

    def __init__(self, exchange: tuple[str, int], host: str, port: int) -> None:
        self.exchange, self.host, self.port = exchange, host, port
        self.dialogs: dict[str, Dialog] = {}
        self.on_call: Callable[[Dialog], None] = lambda dialog: dialog.refuse("480 Nobody")
        self.unanswered = 0  # BYE
        self.deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # sound that nobody reads
        self._asked: dict[str, tuple[Dialog, str, asyncio.TimerHandle]] = {}
        self._branch = itertools.count(secrets.randbits(40) << 16)

    async def __aenter__(self) -> "Line":
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((self.host, self.port))
        self.deaf.bind((self.host, 0))
        self.deaf.setblocking(False)
        self._beating = asyncio.ensure_future(self._beat())
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=sock)
        return self

    async def __aexit__(self, *_error: object) -> None:
        for _, _, timer in self._asked.values():
            timer.cancel()
        self._beating.cancel()
        self._transport.close()
        self.deaf.close()

    async def _beat(self) -> None:
        for turn in itertools.count():
            for dialog in list(self.dialogs.values()):
                if hash(dialog.call_id) % BEAT_S == turn % BEAT_S:
                    dialog.beat()
            await asyncio.sleep(1)

    def dialog(self, caller: str, called: str, sound: socket.socket | None = None) -> Dialog:
        """A call to be made from that number to that one; sound: where it is heard."""
        found = Dialog(self, secrets.token_hex(10), None, sound)
        host, port = self.exchange
        found.target = f"sip:{called}@{host}:{port}"
        found.local = f"<sip:{caller}@{self.host}:{self.port}>;tag={secrets.token_hex(5)}"
        found.remote = f"<{found.target}>"
        self.dialogs[found.call_id] = found
        return found

    # -- messages -----------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """To the exchange."""
        self._transport.sendto(text.encode(), self.exchange)

    def request(self, dialog: Dialog, method: str, cseq: int, branch: str, body: str = "") -> str:
        """Its text."""
        return "\r\n".join([
            f"{method} {dialog.target} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{branch};rport",
            *(f"Route: {route}" for route in dialog.routes),
            f"From: {dialog.local}", f"To: {dialog.remote}", f"Call-ID: {dialog.call_id}",
            f"CSeq: {cseq} {method}", "Max-Forwards: 70",
            f"Contact: <sip:load@{self.host}:{self.port}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}", "", body])

    def ask(self, dialog: Dialog, method: str, cseq: int, body: str = "") -> None:
        """Send a request until it is answered."""
        branch = f"{next(self._branch):x}"
        self._send(dialog, self.request(dialog, method, cseq, branch, body),
                   f"z9hG4bK{branch}", T1_S, GIVE_UP_S)

    def _send(self, dialog: Dialog, text: str, branch: str, wait_s: float, left_s: float) -> None:
        if left_s <= 0:
            del self._asked[branch]
            if text.startswith("INVITE"):
                dialog.over(failed="no answer")
            else:
                self.unanswered += 1
            return
        self.send(text)
        self._asked[branch] = dialog, text, asyncio.get_running_loop().call_later(
            wait_s, self._send, dialog, text, branch, min(wait_s * 2, T2_S), left_s - wait_s)

    def reply(self, dialog: Dialog, request: Message, status: str, body: str = "") -> None:
        """Answer a request, now and when it is repeated."""
        to = request.get("to") if "tag=" in request.get("to") else dialog.local
        text = "\r\n".join([
            f"SIP/2.0 {status}", *(f"Via: {via}" for via in request.all("via")),
            *(f"Record-Route: {route}" for route in request.all("record-route")),
            f"From: {request.get('from')}", f"To: {to}", f"Call-ID: {request.get('call-id')}",
            f"CSeq: {request.get('cseq')}", f"Contact: <sip:load@{self.host}:{self.port}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}", "", body])
        dialog.answers[request.branch, request.method] = text
        self.send(text)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """A message."""
        if not data.strip():
            return
        message = Message(data.decode(errors="replace"))
        if message.code:
            self._replied(message)
            return
        dialog = self.dialogs.get(message.get("call-id"))
        if dialog:
            if (message.branch, message.method) in dialog.answers:
                self.send(dialog.answers[message.branch, message.method])
            else:
                dialog.requested(message)
        elif message.method == "INVITE":
            dialog = Dialog(self, message.get("call-id"), message)
            self.dialogs[dialog.call_id] = dialog
            self.on_call(dialog)
        elif message.method != "ACK":
            stray = Dialog(self, "", None)
            stray.local = f"{message.get('to')};tag=x"
            self.reply(stray, message, "200 OK" if message.method == "OPTIONS" else "481 No Call")

    def _replied(self, message: Message) -> None:
        found = self._asked.get(message.branch)
        if found is None:
            dialog = self.dialogs.get(message.get("call-id"))
            if dialog and dialog.ack and message.method == "INVITE" and message.code >= 200:
                self.send(dialog.ack)
            return
        dialog, text, timer = found
        timer.cancel()
        if message.code < 200:  # it has arrived: the final answer may take its time
            return
        del self._asked[message.branch]
        if message.method != "INVITE":
            return
        if message.code >= 300:
            head = re.sub(r"^To: .*", f"To: {message.get('to')}", text.partition("\r\n\r\n")[0],
                          flags=re.MULTILINE).replace("INVITE", "ACK")
            head = re.sub(r"\r?\nContent-[^\n]*", "", head).rstrip("\r\n")
            dialog.ack = f"{head}\r\nContent-Length: 0\r\n\r\n"
            self.send(dialog.ack)
        dialog.replied(message)

