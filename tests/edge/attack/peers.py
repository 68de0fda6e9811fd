"""Two raw SIP peers of one call, whose messages are sent in any order: lost, late, twice, at once.

Each has a UDP socket and writes what it sends by hand. A message is named by a word (WORDS); play()
sends several words at the same instant, so that several workers of the edge take one each. A word
with "!" after it is lost: it is sent later only if its sender would send it again.
"""

import secrets
import select
import socket
import time
from collections.abc import Callable, Iterable
from typing import Final

from tests.edge.attack.attacker import sdp
from tests.exchange import Exchange, Telephone, credentials
from tests.message import Message, tag_of

#: RFC 3261's T1, and how long a peer believes that something will still come.
T1_S: Final = 0.5
PATIENCE_S: Final = 4.0
#: A nonce is used for so long.
NONCE_S: Final = 10.0
#: CSeq of an INVITE, and what is added to it for later requests.
CSEQ: Final = 10
REINVITE, BYE = 1, 2
VIA: Final = "SIP/2.0/UDP {place};branch=z9hG4bK{branch};rport"


class Dialog:
    """What one peer knows of one dialog: routes in the order in which it sends them."""

    def __init__(self, local: str, remote: str, target: str, routes: list[str]) -> None:
        self.local, self.remote, self.target, self.routes = local, remote, target, routes
        self.confirmed = False  # the caller has, or the called one has sent, a 2xx
        self.acknowledged = False  # an ACK was sent, or has come
        self.asked_to_end = False  # a BYE was sent, or should have been
        self.withdrawn = False  # by the caller, before the answer
        self.over = False


class Peer:
    """One side: its socket, its dialogs by the called side's tag, and what it still repeats."""

    def __init__(self, exchange: Exchange, address: str, telephone: Telephone | None) -> None:
        self.exchange = exchange
        self.telephone = telephone
        self.edge = (exchange.settings.address, exchange.settings.sip_port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.address, self.port = self.socket.getsockname()
        self.user = telephone.username if telephone else "+46701112233"
        self.challenge, self.count, self.challenged = "", 0, -NONCE_S
        self.reset()
        if telephone:
            answer = exchange.register(telephone, self.port, address=address)
            assert "200 OK" in answer, answer

    def reset(self) -> None:
        """For a new call."""
        self.call_id = ""
        self.dialogs: dict[str, Dialog] = {}
        self.heard: list[Message] = []
        self.sent: list[tuple[float, str]] = []
        #: Requests without a final answer, by method and branch: text, when it is sent again,
        #: and until when.
        self.waiting: dict[str, tuple[str, float, float]] = {}
        self.deaf = 0  # so many BYEs are not heard

    @property
    def place(self) -> str:
        """address:port"""
        return f"{self.address}:{self.port}"

    def close(self) -> None:
        """No more calls."""
        self.socket.close()

    def send(self, text: str) -> None:
        """To the edge, now."""
        self.sent.append((time.time(), text))
        self.socket.sendto(text.encode(), self.edge)

    def expect(self, text: str, lost: bool = False) -> str:
        """The request is repeated until it is answered; the text to send now, "" when lost."""
        now = time.monotonic()
        key = f"{text.split(' ', 1)[0]} {Message(text).branch}"
        self.waiting.setdefault(key, (text, now + T1_S, now + PATIENCE_S))
        return "" if lost else text

    def repeat(self) -> None:
        """What was not answered in time is sent again."""
        now = time.monotonic()
        for key, (text, at, until) in list(self.waiting.items()):
            if now > until:
                del self.waiting[key]
            elif now > at:
                self.waiting[key] = (text, at + 2 * T1_S, until)
                self.send(text)

    def request(self, method: str, uri: str, cseq: int, local: str, remote: str,
                routes: Iterable[str] = (), *, branch: str = "", more: str = "",
                body: str = "") -> str:
        """A request's text."""
        via = VIA.format(place=self.place, branch=branch or secrets.token_hex(8))
        return "".join((
            f"{method} {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n",
            *(f"Route: {one}\r\n" for one in routes),
            f"From: {local}\r\nTo: {remote}\r\nCall-ID: {self.call_id}\r\n",
            f"CSeq: {cseq} {method}\r\nContact: <sip:{self.user}@{self.place}>\r\n", more,
            "Content-Type: application/sdp\r\n" if body else "",
            f"Content-Length: {len(body)}\r\n\r\n{body}"))

    def within(self, dialog: Dialog, method: str, cseq: int, *, branch: str = "",
               body: str = "") -> str:
        """A request inside a dialog."""
        return self.request(method, dialog.target, cseq, dialog.local, dialog.remote,
                            dialog.routes, branch=branch, body=body)

    def reply(self, request: Message, code: int, *, tag: str = "", contact: bool = True,
              body: str = "") -> str:
        """An answer's text. Record-Route goes back with what makes or confirms a dialog."""
        to = request.get("to")
        to += f";tag={tag}" if tag and not tag_of(to) else ""
        routes = request.all("record-route") if code < 300 else []
        return "".join((
            f"SIP/2.0 {code} Words\r\n",
            *(f"Via: {one}\r\n" for one in request.all("via")),
            *(f"Record-Route: {one}\r\n" for one in routes),
            f"From: {request.get('from')}\r\nTo: {to}\r\nCall-ID: {request.get('call-id')}\r\n",
            f"CSeq: {request.get('cseq')}\r\n",
            f"Contact: <sip:{self.user}@{self.place}>\r\n" if contact and code < 300 else "",
            "Content-Type: application/sdp\r\n" if body else "",
            f"Content-Length: {len(body)}\r\n\r\n{body}"))

    def bye(self, tag: str, cseq: int, branch: str, lost: bool = False, *,
            ends: bool = True) -> str:
        """A BYE in the dialog with that tag, repeated until it is answered."""
        dialog = self.dialogs[tag]
        dialog.asked_to_end = dialog.asked_to_end or ends
        return self.expect(self.within(dialog, "BYE", cseq, branch=branch), lost)

    def read(self) -> None:
        """Everything that has come, and what this peer says to it at once."""
        while True:
            try:
                message = Message(self.socket.recv(1 << 16, socket.MSG_DONTWAIT).decode("latin-1"))
            except BlockingIOError:
                return
            if not self.mine(message):
                continue
            self.heard.append(message)
            if message.code >= 200:
                self.waiting.pop(f"{message.method} {message.branch}", None)
            if message.code:
                self.answered(message)
            else:
                self.asked(message)

    def mine(self, message: Message) -> bool:
        """Whether it belongs to the call at hand."""
        return message.get("call-id") == self.call_id

    def answered(self, message: Message) -> None:
        """An answer has come."""
        if message.method == "INVITE" and message.code >= 200 \
                and message.get("cseq") != f"{CSEQ} INVITE":
            self.refreshed(message)
        elif message.method == "BYE" and message.code >= 200:
            for dialog in self.dialogs.values():
                if dialog.asked_to_end and tag_of(message.get("to")) == tag_of(dialog.remote) \
                        and message.code != 500:
                    dialog.over = True

    def refreshed(self, message: Message) -> None:
        """A re-INVITE of this side's was answered: ACK."""
        dialog = self.by_tags(message)
        if dialog is not None:
            cseq = int(message.get("cseq").split()[0])
            own = "" if message.code < 300 else message.branch.removeprefix("z9hG4bK")
            self.send(self.within(dialog, "ACK", cseq, branch=own))

    def by_tags(self, message: Message) -> Dialog | None:
        """The dialog of a message."""
        tags = {tag_of(message.get("from")), tag_of(message.get("to"))}
        return next((one for one in self.dialogs.values()
                     if {tag_of(one.local), tag_of(one.remote)} == tags), None)

    def asked(self, message: Message) -> None:
        """A request inside the call has come."""
        dialog = self.by_tags(message)
        if message.method == "BYE":
            if self.deaf:
                self.deaf -= 1
                return
            if dialog is not None:
                dialog.over = True
            self.send(self.reply(message, 200 if dialog else 481))
        elif message.method == "INVITE":
            fine = dialog is not None and not dialog.over
            self.send(self.reply(message, 200 if fine else 481,
                                 body=sdp(self.address) if fine else ""))
        elif message.method == "ACK" and dialog is not None:
            dialog.acknowledged = True

    def left(self) -> list[str]:
        """The confirmed dialogs that are not over, by tag."""
        return [tag for tag, one in self.dialogs.items() if one.confirmed and not one.over]


class Caller(Peer):
    """Who calls: a trunk, or a device with a password. acks: it acknowledges an answer."""

    def reset(self) -> None:
        super().reset()
        self.acks = False
        self.failed = 0
        self.invite = ""
        self.byes = 0
        self.cancelled = False

    def start(self, number: str) -> None:
        """Make an INVITE that is not sent yet."""
        self.reset()
        self.call_id = secrets.token_hex(10)
        domain = self.exchange.settings.domain
        host = domain if self.telephone else self.address
        self.local = f"<sip:{self.user}@{host}>;tag={secrets.token_hex(5)}"
        self.uri = f"sip:{number}@{domain}"
        self.branch = secrets.token_hex(8)
        if self.telephone and time.monotonic() - self.challenged > NONCE_S:
            self.ask_challenge()
        self.invite = self.first("INVITE", self.branch, self._proof(), sdp(self.address))

    def first(self, method: str, branch: str, more: str = "", body: str = "",
              to: str = "") -> str:
        """A request of the INVITE's transaction."""
        return self.request(method, self.uri, CSEQ, self.local, to or f"<{self.uri}>",
                            branch=branch, more=more, body=body)

    def ask_challenge(self) -> None:
        """An INVITE without a password, for the nonce; it is of another call."""
        call_id, self.call_id = self.call_id, secrets.token_hex(10)
        branch = secrets.token_hex(8)
        self.send(self.first("INVITE", branch, body=sdp(self.address)))
        self.socket.settimeout(PATIENCE_S)
        while (found := Message(self.socket.recv(1 << 16).decode("latin-1"))).code != 407:
            assert found.code < 200 or not self.mine(found), found.text
        self.socket.settimeout(None)
        self.send(self.first("ACK", branch, to=found.get("to")))
        self.challenge = next(one for one in found.all("Proxy-Authenticate")
                              if "algorithm=MD5" in one)
        self.count, self.challenged = 0, time.monotonic()
        self.call_id = call_id

    def _proof(self) -> str:
        if not self.telephone:
            return ""
        self.count += 1
        value = credentials(self.challenge, self.telephone.username, self.telephone.secret,
                            "INVITE", self.uri, "MD5", count=self.count)
        return f"Proxy-Authorization: {value}\r\n"

    def answered(self, message: Message) -> None:
        if message.method != "INVITE" or message.get("cseq") != f"{CSEQ} INVITE":
            super().answered(message)
            return
        if message.code >= 300:
            self.send(self.first("ACK", self.branch, to=message.get("to")))
            self.failed = self.failed or message.code
        elif tag := tag_of(message.get("to")):
            dialog = self.dialogs.setdefault(tag, Dialog(
                self.local, message.get("to"), message.contact, message.routes[::-1]))
            if message.code >= 200 and not self.failed:
                if dialog.acknowledged and self.acks:
                    self.send(self.ack(tag))
                dialog.withdrawn = dialog.withdrawn or (
                    dialog.asked_to_end and not dialog.confirmed)
                dialog.confirmed = True

    def ack(self, tag: str) -> str:
        """Of the 2xx with that tag."""
        self.dialogs[tag].acknowledged = True
        return self.within(self.dialogs[tag], "ACK", CSEQ)

    def cancel(self, lost: bool) -> str:
        """A CANCEL, repeated until it is answered."""
        self.cancelled = True
        return self.expect(self.first("CANCEL", self.branch), lost)

    def finish(self, tag: str) -> None:
        """Hang up properly."""
        if not self.dialogs[tag].acknowledged:
            self.send(self.ack(tag))
        self.byes += 1
        self.send(self.bye(tag, CSEQ + BYE + self.byes, ""))


class Called(Peer):
    """Who is called: a registered device."""

    def __init__(self, exchange: Exchange, address: str, telephone: Telephone) -> None:
        self.past: set[str] = set()
        super().__init__(exchange, address, telephone)

    def reset(self) -> None:
        super().reset()
        self.incoming: Message | None = None
        self.final = 0
        self.oks: dict[str, str] = {}

    def mine(self, message: Message) -> bool:
        """The first INVITE that is new begins the call."""
        if self.incoming is None and message.method == "INVITE" and not message.code \
                and message.get("call-id") not in self.past:
            self.incoming = message
            self.call_id = message.get("call-id")
            self.past.add(self.call_id)
            self.send(self.reply(message, 100, contact=False))
            return True
        return super().mine(message)

    def dialog(self, tag: str) -> Dialog:
        """The one with a tag of this side's own."""
        assert self.incoming is not None
        if tag not in self.dialogs:
            self.dialogs[tag] = Dialog(
                f"{self.incoming.get('to')};tag={tag}", self.incoming.get("from"),
                self.incoming.contact, self.incoming.routes)
        return self.dialogs[tag]

    def ring(self, tag: str) -> str:
        """180 with a tag."""
        assert self.incoming is not None
        self.dialog(tag)
        return self.reply(self.incoming, 180, tag=tag)

    def ok(self, tag: str) -> str:
        """200 with a description; the same text each time."""
        assert self.incoming is not None
        self.dialog(tag).confirmed = True
        self.final = self.final or 200
        return self.oks.setdefault(tag, self.reply(
            self.incoming, 200, tag=tag, body=sdp(self.address, 41000)))

    def refuse(self, code: int) -> str:
        """A final answer that is none."""
        assert self.incoming is not None
        self.final = code
        return self.reply(self.incoming, code, tag=secrets.token_hex(5))

    def asked(self, message: Message) -> None:
        if message.method == "CANCEL":
            self.send(self.reply(message, 200, tag="c"))
            if not self.final:
                self.send(self.refuse(487))
        elif message.method != "INVITE" or tag_of(message.get("to")):
            super().asked(message)


class Pair:
    """A caller and a called one, and the words of their call."""

    def __init__(self, caller: Caller, called: Called, number: str) -> None:
        self.caller, self.called, self.number = caller, called, number
        self.words: dict[str, Callable[[bool], tuple[Peer, str]]] = {
            "invite": lambda lost: (caller, caller.invite),
            "180": lambda lost: (called, called.ring(self.tag("a"))),
            "200": lambda lost: (called, called.ok(self.tag("a"))),
            "200b": lambda lost: (called, called.ok(self.tag("b"))),
            "200-late": lambda lost: (called, called.ok(self.tag("a"))),
            "486": lambda lost: (called, called.refuse(486)),
            "ack": lambda lost: (caller, caller.ack(self.seen("a"))),
            "ackb": lambda lost: (caller, caller.ack(self.tag("b"))),
            "bye": lambda lost: (caller, self._bye(caller, "a", lost)),
            "byeb": lambda lost: (caller, self._bye(caller, "b", lost)),
            "bye-low": lambda lost: (caller, caller.bye(
                self.seen("a"), CSEQ - 1, self.branch("low"), lost, ends=False)),
            "end": lambda lost: (called, self._bye(called, "a", lost)),
            "endb": lambda lost: (called, self._bye(called, "b", lost)),
            "cancel": lambda lost: (caller, caller.cancel(lost)),
            "reinvite": lambda lost: (caller, self._reinvite(caller)),
            "reinvite-called": lambda lost: (called, self._reinvite(called)),
        }

    def _bye(self, peer: Peer, which: str, lost: bool) -> str:
        tag = self.seen(which) if peer is self.caller else self.tag(which)
        return peer.bye(tag, CSEQ + BYE, self.branch(f"bye{which}{peer.port}"), lost)

    def _reinvite(self, peer: Peer) -> str:
        tag = self.seen("a") if peer is self.caller else self.tag("a")
        return peer.within(peer.dialogs[tag], "INVITE", CSEQ + REINVITE,
                           branch=self.branch(f"re{peer.port}"), body=sdp(peer.address, 42000))

    def begin(self) -> None:
        """A new call, of which nothing was sent."""
        self.called.reset()
        self._mine = secrets.token_hex(5)
        self.caller.start(self.number)

    def tag(self, which: str) -> str:
        """The called side's, in its first or second answer."""
        return f"{which}{self._mine}"

    def seen(self, which: str) -> str:
        """The same as the caller knows it: call control answers it with a tag of its own."""
        mine = self.tag(which)
        strange = (tag for tag in self.caller.dialogs if self._mine not in tag)
        return mine if mine in self.caller.dialogs or which != "a" else next(strange, mine)

    def branch(self, of: str) -> str:
        """The same for a message that is sent twice."""
        return f"{self._mine}{of}"

    def play(self, words: Iterable[str]) -> None:
        """Send these at the same instant."""
        texts = []
        for word in words:
            peer, text = self.words[word.removesuffix("!")](word.endswith("!"))
            if text and not word.endswith("!"):
                texts.append((peer, text))
        for peer, text in texts:
            peer.send(text)

    def pump(self, until: Callable[[], bool], seconds: float) -> bool:
        """Read, answer and repeat, until that is so; False when it is not in time."""
        end = time.monotonic() + seconds
        sockets = [self.caller.socket, self.called.socket]
        while True:
            for peer in (self.caller, self.called):
                peer.read()
                peer.repeat()
            if until():
                return True
            if time.monotonic() > end:
                return False
            select.select(sockets, [], [], 0.01)

