"""Somebody with a socket: sends what a test writes, answers challenges, and keeps what comes."""

import re
import secrets
import socket
import time
from types import TracebackType
from typing import Self

from tests.exchange import Exchange, Telephone, credentials
from tests.message import Message

PATIENCE_S = 3.0
#: Nothing that was going to come takes longer.
SILENCE_S = 0.7


class Attacker:
    """A UDP socket at an address of its own."""

    def __init__(self, exchange: Exchange, address: str = "127.0.0.1", port: int = 0) -> None:
        self.exchange = exchange
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self.address, self.port = self._socket.getsockname()
        self.heard: list[Message] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None,
                 _trace: TracebackType | None) -> None:
        self._socket.close()

    @property
    def place(self) -> str:
        """address:port"""
        return f"{self.address}:{self.port}"

    def send(self, text: str | bytes) -> None:
        """To the exchange."""
        data = text if isinstance(text, bytes) else text.encode()
        self._socket.sendto(data, (self.exchange.settings.address,
                                   self.exchange.settings.sip_port))

    def next(self, seconds: float = PATIENCE_S) -> Message | None:
        """What comes next, None when nothing does."""
        self._socket.settimeout(seconds)
        try:
            message = Message(self._socket.recv(1 << 16).decode("latin-1"))
        except TimeoutError:
            return None
        self.heard.append(message)
        return message

    def answer(self, seconds: float = PATIENCE_S) -> int:
        """The code of the next final answer, 0 when none comes."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            message = self.next(left)
            if message is not None and message.code >= 200:
                return message.code
        return 0

    def requests(self, seconds: float = SILENCE_S) -> list[Message]:
        """All requests that have come, after nothing came for that long."""
        while self.next(seconds) is not None:
            pass
        return [message for message in self.heard if not message.code]

    def request(self, method: str, uri: str, *headers: str, from_: str = "", to: str = "",
                call_id: str = "", cseq: int = 1, contact: str = "", body: str = "",
                branch: str = "") -> str:
        """The text of a request."""
        mine = secrets.token_hex(6)
        lines = [f"{method} {uri} SIP/2.0",
                 f"Via: SIP/2.0/UDP {self.place};branch={branch or f'z9hG4bK{mine}'};rport",
                 f"From: {from_ or f'<sip:x@{self.address}>;tag={mine}'}",
                 f"To: {to or f'<{uri}>'}",
                 f"Call-ID: {call_id or mine}", f"CSeq: {cseq} {method}", "Max-Forwards: 70",
                 f"Contact: {contact or f'<sip:x@{self.place}>'}", *headers,
                 *(["Content-Type: application/sdp"] if body else []),
                 f"Content-Length: {len(body)}", "", body]
        return "\r\n".join(lines)

    def credentials(self, challenged: Message, device: Telephone, method: str, uri: str, *,
                    count: int = 1) -> str:
        """The header that answers a challenge."""
        name = "WWW-Authenticate" if challenged.code == 401 else "Proxy-Authenticate"
        challenge = next(one for one in challenged.all(name) if "algorithm=MD5" in one)
        value = credentials(challenge, device.username, device.secret, method, uri, "MD5",
                            count=count)
        return f"{'Authorization' if challenged.code == 401 else 'Proxy-Authorization'}: {value}"

    def begin(self, device: Telephone, method: str, uri: str, *headers: str, contact: str = "",
              body: str = "") -> Message | None:
        """Send a request with the device's password, and do not wait for what comes of it; the
        answer, when it was refused without asking for the password."""
        who = f"<sip:{device.username}@{self.exchange.settings.domain}>"
        dialog = {"call_id": secrets.token_hex(8), "from_": f"{who};tag={secrets.token_hex(4)}",
                  "to": who if method == "REGISTER" else "", "contact": contact, "body": body}
        self.send(self.request(method, uri, *headers, **dialog))
        challenged = self.next()
        assert challenged is not None, f"no answer to {method}"
        if method == "INVITE":
            self.acknowledge(challenged, uri)
        if challenged.code not in (401, 407):
            return challenged
        proof = self.credentials(challenged, device, method, uri)
        self.send(self.request(method, uri, proof, *headers, **dialog, cseq=2))
        return None

    def ask(self, device: Telephone, method: str, uri: str, *headers: str, contact: str = "",
            body: str = "") -> Message:
        """The same: the final answer, or the last message that came."""
        last = self.begin(device, method, uri, *headers, contact=contact, body=body)
        if last is not None:
            return last
        until = time.monotonic() + 2 * PATIENCE_S
        while last is None or 100 <= last.code < 200:
            message = self.next(max(until - time.monotonic(), 0.01))
            if message is None:
                break
            if message.code and message.get("cseq").startswith("2 "):
                last = message
        assert last is not None, f"no answer to {method}"
        if method == "INVITE" and last.code >= 300:
            self.acknowledge(last, uri)
        return last

    def acknowledge(self, reply: Message, uri: str) -> None:
        """ACK a refusal."""
        branch = reply.branch
        self.send(self.request("ACK", uri, from_=reply.get("from"), to=reply.get("to"),
                               call_id=reply.get("call-id"), branch=branch,
                               cseq=int(reply.get("cseq").split()[0])))

    def register(self, device: Telephone, contact: str = "", *headers: str,
                 expires: int = 600) -> Message:
        """Register, with any Contact."""
        return self.ask(device, "REGISTER", f"sip:{self.exchange.settings.domain}",
                        f"Expires: {expires}", *headers,
                        contact=contact or f"<sip:{device.username}@{self.place}>")

    def call(self, device: Telephone, number: str, *headers: str, contact: str = "") -> Message:
        """Call a number as that device: what came of it."""
        return self.ask(device, "INVITE", self.uri(number), *headers, contact=contact,
                        body=sdp(self.address))

    def dial(self, device: Telephone, number: str) -> None:
        """The same, without waiting."""
        self.begin(device, "INVITE", self.uri(number), body=sdp(self.address))

    def uri(self, number: str) -> str:
        """A number at the exchange."""
        return f"sip:{number}@{self.exchange.settings.domain}"


def sdp(address: str, port: int = 40000) -> str:
    """A description."""
    return (f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")


def number_in(text: str) -> str:
    """The user part of a request line."""
    found = re.match(r"\w+ sips?:([^@;]*)@", text)
    return found[1] if found else ""
