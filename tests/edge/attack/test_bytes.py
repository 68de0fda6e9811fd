"""Bytes that are no UTF-8 are legal in SIP, and travel on as they came (RFC 3261 section 25.1)."""

import secrets

from tests.edge.attack.attacker import Attacker, sdp
from tests.exchange import Company, Exchange, eventually
from tests.message import Message

#: "Åsa" and "Östen" as old equipment writes them.
ASA, OSTEN = b"\xc5sa", b"\xd6sten"


def exceptions(exchange: Exchange) -> int:
    """What the edge has stumbled over."""
    return exchange.live.counter(0)


def latin(text: str) -> bytes:
    """A request with Latin-1 names in every header that may have one."""
    head, _, body = text.partition("\r\n\r\n")
    data = head.encode()
    for name, shown in ((b"From: ", b'"' + ASA + b'" '), (b"To: ", OSTEN + b" "),
                        (b"Contact: ", b'"' + OSTEN + b'" ')):
        data = data.replace(b"\r\n" + name, b"\r\n" + name + shown, 1)
    return data + b"\r\nSubject: " + ASA + b"\r\nP-Asserted-Identity: " + ASA \
        + b" <sip:+46701112233@carrier>\r\n\r\n" + body.encode()


def test_a_carriers_names_and_isup_part(exchange: Exchange, company: Company) -> None:
    """An INVITE with them was answered 500."""
    anna = company.telephone("101")
    before = exceptions(exchange)
    isup = bytes(range(1, 256))
    mark = secrets.token_hex(8)
    body = (f"--{mark}\r\nContent-Type: application/sdp\r\n\r\n{sdp('127.0.0.71')}\r\n--{mark}\r\n"
            "Content-Type: application/ISUP\r\n\r\n").encode() + isup \
        + f"\r\n--{mark}--\r\n".encode()
    with Attacker(exchange, "127.0.0.71") as carrier, Attacker(exchange) as phone:
        exchange.trunk(carrier.address, carrier.port)
        assert phone.register(anna).code == 200
        text = latin(carrier.request("INVITE", carrier.uri(company.e164(101))))
        text = text.replace(b"Content-Length: 0\r\n", b"Content-Type: multipart/mixed;boundary="
                            + mark.encode() + b"\r\nContent-Length: "
                            + str(len(body)).encode() + b"\r\n")
        carrier.send(text + body)
        assert carrier.next() is not None
        invite = next(one for one in phone.requests() if one.method == "INVITE")
        assert isup.decode("latin-1") in invite.text, "the body is as it came"
        assert OSTEN.decode("latin-1") in invite.get("contact") or OSTEN.decode(
            "latin-1") in invite.get("to")
        phone.send(reply(invite, 486))
    assert exceptions(exchange) == before


def reply(invite: Message, code: int, more: bytes = b"") -> bytes:
    """An answer, with Latin-1 names."""
    lines = [f"SIP/2.0 {code} Said", *(f"Via: {via}" for via in invite.all("via")),
             *(f"Record-Route: {one}" for one in invite.all("record-route")),
             f"From: {invite.get('from')}", f"To: {invite.get('to')};tag=t1",
             f"Call-ID: {invite.get('call-id')}", f"CSeq: {invite.get('cseq')}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\nSubject: " + ASA + b"\r\n" + more \
        + b"Content-Length: 0\r\n\r\n"


def test_a_carriers_answer_with_them_is_an_answer(exchange: Exchange, company: Company) -> None:
    """The call was recorded with no talk."""
    anna = company.telephone("101")
    before = exceptions(exchange)
    with Attacker(exchange, "127.0.0.72") as carrier, Attacker(exchange) as phone:
        trunk = exchange.trunk(carrier.address, carrier.port)
        exchange.client.post("/routes", {"tenant": company.id, "trunk": trunk, "prefix": "",
                                         "position": 0})
        phone.dial(anna, "0709876543")
        invite = next(one for one in carrier.requests() if one.method == "INVITE")
        contact = b'Contact: "' + OSTEN + b'" <sip:x@' + carrier.place.encode() + b">\r\n"
        carrier.send(reply(invite, 200, contact))
        ok = phone.next()
        while ok is not None and ok.code != 200:
            ok = phone.next()
        assert ok is not None
        call = eventually(lambda: next((found for one in exchange.live.calls()
                                        if (found := exchange.live.call(*one))
                                        and found["tenant"] == company.id), None))
        assert call["answered_ms"]
        carrier.heard.clear()
        # The BYE says why in Latin-1, too.
        carrier.send(carrier.request(
            "BYE", f"sip:{anna.username}@{phone.place}", *(
                f"Route: {one}" for one in invite.routes),
            from_=f"{invite.get('to')};tag=t1", to=invite.get("from"),
            call_id=invite.get("call-id"), cseq=5).encode().replace(
                b"\r\nContact", b'\r\nReason: Q.850;text="' + ASA + b'"\r\nContact'))
        bye = next(one for one in phone.requests() if one.method == "BYE")
        assert ASA.decode("latin-1") in bye.get("reason")
    record = eventually(lambda: company.client.get(f"{company.base}/calls")["items"])[0]
    assert record["answered_ms"] and record["ended_by"] == "called"
    assert exceptions(exchange) == before


def test_a_telephone_with_such_a_name_registers_and_is_called(exchange: Exchange,
                                                              company: Company) -> None:
    anna, bo = company.telephone("101"), company.telephone("102")
    before = exceptions(exchange)
    domain = f"sip:{exchange.settings.domain}"
    with Attacker(exchange) as phone, Attacker(exchange) as caller:
        plain = phone.send
        phone.send = lambda text: plain(  # type: ignore[method-assign]
            latin(text) if isinstance(text, str) else text)
        assert phone.ask(anna, "REGISTER", domain, "Expires: 60",
                         contact=f"<sip:{anna.username}@{phone.place}>").code == 200
        caller.dial(bo, "101")
        assert [one.method for one in phone.requests()][:1] == ["INVITE"]
    assert exceptions(exchange) == before


