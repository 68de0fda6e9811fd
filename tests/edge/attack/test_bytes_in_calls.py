"""Bytes that are no UTF-8 are legal in a display name and in a body (RFC 3261 section 25.1, ISUP
parts of RFC 3204): calls work, their records are right, and what is not ours travels on as it
came."""

import itertools
import re
import secrets
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.edge.attack.attacker import Attacker, sdp
from tests.exchange import Company, Exchange, Telephone, eventually
from tests.message import Message, tag_of

ADDRESSES = itertools.count(10)
NAME = '"J\xf6rg M\xfcller \xe9\xff"'
#: An IAM, as far as anybody here needs to know.
ISUP = bytes(range(256)).replace(b"\r\n", b"")
MULTIPART = "multipart/mixed;boundary=\"b1\""
REASON = 'Reason: Q.850;cause=16;text="Auf Wiederh\xf6ren, \xa1adi\xf3s!"'
NAMED = (f"P-Asserted-Identity: {NAME} <sip:+46701112233@carrier.invalid>",
         f"Subject: {NAME}", f"X-Anything: {NAME}", f"Server: {NAME}")
TALK_S = 0.3


def both_parts(address: str) -> str:
    """A description and an ISUP part, in Latin-1."""
    return ("--b1\r\nContent-Type: application/sdp\r\n\r\n" + sdp(address)
            + "\r\n--b1\r\nContent-Type: application/isup;version=itu-t92+\r\n"
            "Content-Disposition: signal;handling=optional\r\n\r\n"
            + ISUP.decode("latin-1") + "\r\n--b1--\r\n")


class Side(Attacker):
    """A telephone or a carrier that says what it says in Latin-1."""

    def send(self, text: str | bytes) -> None:
        """As it stands."""
        super().send(text if isinstance(text, bytes) else text.encode("latin-1"))

    def hears(self, start: str) -> Message:
        """The next message that begins so; what is not asked for is passed over."""
        until = time.monotonic() + 5
        while (message := self.next(max(until - time.monotonic(), 0.01))) is not None:
            if message.start.startswith(start):
                return message
        raise AssertionError(f"no {start}: {[one.start for one in self.heard]}")

    def invite(self, uri: str, *headers: str, **fields: str) -> str:
        """The text of an INVITE with both parts."""
        text = self.request("INVITE", uri, *headers, body=both_parts(self.address),
                            contact=f"{NAME} <sip:x@{self.place}>", **fields)
        return text.replace("Content-Type: application/sdp", f"Content-Type: {MULTIPART}", 1)

    def reply(self, request: Message, status: str, *headers: str, body: str = "") -> None:
        """Answer it."""
        lines = [f"SIP/2.0 {status}", *(f"Via: {one}" for one in request.all("via")),
                 *(f"Record-Route: {one}" for one in request.all("record-route")),
                 f"From: {request.get('from')}",
                 f"To: {request.get('to')}" + ("" if tag_of(request.get("to")) else ";tag=ours"),
                 f"Call-ID: {request.get('call-id')}", f"CSeq: {request.get('cseq')}",
                 f"Contact: {NAME} <sip:y@{self.place}>", *headers,
                 *([f"Content-Type: {MULTIPART}"] if body else []),
                 f"Content-Length: {len(body)}", "", body]
        self.send("\r\n".join(lines))


class Line(NamedTuple):
    """The caller's side of a call that was answered."""

    by: Side
    invite: Message
    answer: Message

    def inside(self, method: str, *headers: str) -> str:
        """A request of the caller's inside it."""
        routes = [f"Route: {one}" for one in self.answer.routes[::-1]]
        cseq = int(self.answer.get("cseq").split()[0]) + (method != "ACK")
        return self.by.request(
            method, self.answer.contact, *routes, *headers, from_=self.answer.get("from"),
            to=self.answer.get("to"), call_id=self.answer.get("call-id"), cseq=cseq)


@pytest.fixture(scope="module")
def running() -> Iterator[Exchange]:
    """An exchange of its own, in which nothing may fail inside."""
    with Exchange() as exchange:
        yield exchange
        assert not exchange.live.counter(0), re.findall(
            r"exception in the edge[^\"]*", exchange.log("edge"))
        assert "no media node" not in exchange.log("edge")


@pytest.fixture
def company(running: Exchange) -> Company:
    """A tenant of its own."""
    return running.company()


def carrier(company: Company, **fields: object) -> Side:
    """A carrier with a trunk."""
    side = Side(company.exchange, f"127.0.9.{next(ADDRESSES)}")
    trunk = company.exchange.trunk(side.address, side.port, tenant=company.id, **fields)
    company.client.post("/routes", {"tenant": company.id, "trunk": trunk, "prefix": "",
                                    "position": 0})
    return side


def registered(side: Side, telephone: Telephone) -> None:
    """With a name in every header that has one."""
    domain = side.exchange.settings.domain
    who = f"{NAME} <sip:{telephone.username}@{domain}>"
    fields = {"from_": f"{who};tag=r", "to": who, "call_id": secrets.token_hex(8),
              "contact": f"{NAME} <sip:{telephone.username}@{side.place}>;+x={NAME}"}
    side.send(side.request("REGISTER", f"sip:{domain}", **fields))
    proof = side.credentials(side.hears("SIP/2.0 401"), telephone, "REGISTER", f"sip:{domain}")
    side.send(side.request("REGISTER", f"sip:{domain}", proof, **fields, cseq=2))
    side.hears("SIP/2.0 200")


def dialled(side: Side, uri: str, telephone: Telephone | None = None) -> None:
    """An INVITE, with the telephone's password when it is one."""
    number = telephone.username if telephone else "+46701112233"
    fields = {"from_": f"{NAME} <sip:{number}@vaxel.local>;tag=f{secrets.token_hex(3)}",
              "to": f"{NAME} <{uri}>", "call_id": secrets.token_hex(8)}
    text = side.invite(uri, *NAMED, **fields)
    side.send(text)
    if telephone:
        refused = side.hears("SIP/2.0 407")
        side.acknowledge(refused, uri)
        proof = side.credentials(refused, telephone, "INVITE", uri)
        side.send(side.invite(uri, proof, *NAMED, **fields).replace("CSeq: 1 ", "CSeq: 2 "))


def isup_of(message: Message) -> bytes:
    """The second part of a body."""
    found = re.search(r"handling=optional\r\n\r\n(.*)\r\n--b1--", message.body, re.DOTALL)
    assert found, message.text
    return found[1].encode("latin-1")


def talk(caller: Side, called: Side, *, same: bool) -> Line:
    """The called side takes it; what has arrived is what was sent, to the byte. same: nobody has
    to change the description."""
    invite = called.hears("INVITE")
    called.reply(invite, "180 Ringing", *NAMED)
    called.reply(invite, "200 OK", *NAMED, body=both_parts(called.address))
    answer = caller.hears("SIP/2.0 200")
    assert isup_of(invite) == isup_of(answer) == ISUP
    if same:
        assert (invite.body, answer.body) == (both_parts(caller.address),
                                              both_parts(called.address))
    assert invite.get("subject") == answer.get("server") == NAME
    assert NAME in answer.get("contact")
    line = Line(caller, invite, answer)
    caller.send(line.inside("ACK"))
    called.hears("ACK")
    return line


def ended(company: Company, line: Line, called: Side, relayed: bool = True,
          **expected: object) -> None:
    """The caller hangs up, and says why; the record is that of a call with talk."""
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > TALK_S)
    line.by.send(line.inside("BYE", REASON))
    bye = called.hears("BYE")
    assert not relayed or f"Reason: {bye.get('reason')}" == REASON
    called.reply(bye, "200 OK", *NAMED)
    line.by.hears("SIP/2.0 200")
    record = company.newest_call()
    found = {name: record[name] for name in expected}
    assert found == expected and record["talk_ms"] >= 1000 * TALK_S, record
    assert (record["outcome"], record["ended_by"]) == ("answered", "caller")


@pytest.mark.parametrize("media", ["auto", "always"])
def test_a_call_comes_in(company: Company, media: str) -> None:
    """Over a trunk; anchored, and not."""
    anna = company.telephone("101")
    with Side(company.exchange) as phone, carrier(company, media=media) as trunk:
        registered(phone, anna)
        dialled(trunk, trunk.uri(company.e164(101)))
        line = talk(trunk, phone, same=media == "auto")
        assert line.invite.get("from").startswith(NAME)
        ended(company, line, phone, answerer=anna.user, direction="in", caller="+46701112233")


@pytest.mark.parametrize("media", ["auto", "always"])
def test_a_call_goes_out(company: Company, media: str) -> None:
    """The carrier's answer has such bytes."""
    anna = company.telephone("101")
    with Side(company.exchange) as phone, carrier(company, media=media) as trunk:
        dialled(phone, phone.uri("0709876543"), anna)
        line = talk(phone, trunk, same=media == "auto")
        ended(company, line, trunk, caller_user=anna.user, direction="out")


def test_a_call_between_colleagues(company: Company) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    with Side(company.exchange) as phone, Side(company.exchange) as other:
        registered(other, bo)
        dialled(phone, phone.uri("102"), anna)
        line = talk(phone, other, same=True)
        assert "sip:101@" in line.invite.get("from")
        ended(company, line, other, answerer=bo.user, caller_user=anna.user)


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_call_through_call_control(company: Company, direction: str) -> None:
    """It writes requests and descriptions of its own, from the description in what came."""
    anna = company.telephone("101", call_functions=True)
    with Side(company.exchange) as phone, carrier(company) as trunk:
        registered(phone, anna)
        caller, called = (trunk, phone) if direction == "in" else (phone, trunk)
        if direction == "in":
            dialled(trunk, trunk.uri(company.e164(101)))
        else:
            dialled(phone, phone.uri("0709876543"), anna)
        invite = called.hears("INVITE")
        called.reply(invite, "180 Ringing", *NAMED)
        called.reply(invite, "200 OK", *NAMED, body=both_parts(called.address))
        line = Line(caller, invite, caller.hears("SIP/2.0 200"))
        caller.send(line.inside("ACK"))
        called.hears("ACK")
        ended(company, line, called, relayed=False, direction=direction)
        legs = company.client.get(f"{company.base}/calls", legs="true")["items"]
        assert min(leg["talk_ms"] for leg in legs) >= 1000 * TALK_S, "both sides talked"


# -- any byte anywhere --------------------------------------------------------------------------

#: Places for a byte in a request's text, by what stands there.
PLACES = {
    "Request-URI": ("sip:101@", "sip:1\xe401@"), "Via host": ("UDP 127", "UDP \xe4"),
    "Via branch": ("branch=z9hG4bK", "branch=z9hG4bK\xe4"),
    "Via parameter": (";rport", ";\xe4;rport"),
    "From name": ("From: <", 'From: "\xe4" <'), "From user": ("From: <sip:", "From: <sip:\xe4"),
    "From tag": (";tag=", ";tag=\xe4"), "To name": ("To: <", 'To: "\xe4" <'),
    "To user": ("To: <sip:", "To: <sip:\xe4"), "To tag": ("\r\nCall-ID", ";tag=\xe4\r\nCall-ID"),
    "Call-ID": ("Call-ID: ", "Call-ID: \xe4"), "Contact name": ("Contact: <", 'Contact: "\xe4" <'),
    "Contact user": ("Contact: <sip:", "Contact: <sip:\xe4"), "CSeq": ("CSeq: 1 ", "CSeq: 1 \xe4"),
    "Contact host": ("Contact: <sip:x@", "Contact: <sip:x@\xe4"),
    "Contact parameter": ("\r\nContent-L", ";\xe4=\xe4\r\nContent-L"),
    "header name": ("Max-Forwards", "X\xe4: x\r\nMax-Forwards"),
    "folded": ("Max-Forwards", "Subject: \xe4\r\n \xe4\r\nMax-Forwards"),
    "body": ("Content-Length: 0\r\n\r\n", "Content-Length: 3\r\n\r\n\xe4\xff\x80"),
}
VALUES = {
    "Route": "<sip:\xe4@127.0.0.1;lr;vx=\xe4>", "Record-Route": "<sip:\xe4@127.0.0.1;lr>",
    "Path": "<sip:\xe4@127.0.0.1;lr>", "Require": "\xe4", "Proxy-Require": "\xe4",
    "Privacy": "id;\xe4", "P-Asserted-Identity": '"\xe4" <sip:\xe4@x>', "Remote-Party-ID": "\xe4",
    "P-Preferred-Identity": '"\xe4" <sip:\xe4@x>', "Diversion": "<sip:\xe4@x>",
    "History-Info": "<sip:\xe4@x>;index=1", "User-Agent": "\xe4", "X-Vaxel-Order": "\xe4",
    "X-Vaxel-Decision": "\xe4", "Expires": "\xe4", "Event": "dialog;\xe4",
    "Content-Type": "\xe4/\xe4",
    "Authorization": 'Digest username="\xe4", realm="vaxel.local", nonce="\xe4", uri="\xe4", '
    'response="\xe4", qop=auth, nc=00000001, cnonce="\xe4", algorithm=\xe4',
}
VALUES |= {"Proxy-Authorization": VALUES["Authorization"],
           "Proxy-Authorization ": VALUES["Authorization"].replace(", algorithm=\xe4", "")}


@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "INVITE", "BYE", "SUBSCRIBE",
                                    "CANCEL", "ACK", "\xe4"])
def test_a_byte_in_any_place(running: Exchange, company: Company, method: str) -> None:
    """Nothing fails inside: of a stranger, and of a carrier."""
    anna = company.telephone("101")
    with Side(running, f"127.0.9.{next(ADDRESSES)}") as stranger, Side(running) as phone, \
            carrier(company) as trunk:
        registered(phone, anna)
        before = running.live.counter(0)
        for sender in (stranger, trunk):
            uri = sender.uri("101" if sender is stranger else company.e164(101))
            to = f"<{uri}>;tag=b" if method in ("BYE", "ACK") else ""
            for name, (old, new) in PLACES.items():
                plain = sender.request(method, uri, to=to)
                sender.send(plain.replace(old, new, 1))
                assert sender is trunk or not failed(sender), (name, sender.heard[-1].text)
            for name, value in VALUES.items():
                sender.send(sender.request(method, uri, f"{name.strip()}: {value}", to=to))
                assert sender is trunk or not failed(sender), (name, sender.heard[-1].text)
        trunk.requests(0.2)
        assert [one.text for one in trunk.heard if one.code == 500] == []
        assert running.live.counter(0) == before, running.log("edge")[-1000:]


def failed(side: Side) -> bool:
    """Whether the next answer says that something is wrong with the exchange."""
    message = side.next(0.03)
    return message is not None and message.code == 500
