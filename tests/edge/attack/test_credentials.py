"""What was seen of somebody's sign-in is worth nothing (RFC 7616, RFC 8760; catalogue N7)."""

import re
import secrets
import sys
import types

import pytest

from routing_core import Live, handover
from routing_core.codes import Source
from routing_core.handover import Order
from routing_core.live import format_live, live_size
from tests.edge.attack.attacker import Attacker, sdp
from tests.exchange import Company, Exchange, Telephone
from tests.message import Message


def recorded(attacker: Attacker, device: Telephone, method: str, uri: str, *headers: str,
             to: str = "", contact: str = "", body: str = "") -> str:
    """A request with credentials that was sent and let in, as somebody on the way has seen it."""
    domain = attacker.exchange.settings.domain
    fields = {"call_id": secrets.token_hex(8), "contact": contact, "body": body,
              "from_": f"<sip:{device.username}@{domain}>;tag={secrets.token_hex(4)}", "to": to}
    attacker.send(attacker.request(method, uri, *headers, **fields))
    challenged = attacker.next()
    assert challenged is not None and challenged.code in (401, 407)
    proof = attacker.credentials(challenged, device, method, uri)
    text = attacker.request(method, uri, proof, *headers, **fields, cseq=2)
    attacker.send(text)
    return text


def again(text: str, **changed: str) -> str:
    """The same with another branch, so that it is no retransmission, and with changes."""
    text = re.sub(r"branch=\w+", f"branch=z9hG4bK{secrets.token_hex(6)}", text)
    for name, value in changed.items():
        if name == "uri":
            text = re.sub(r"^(\w+) \S+", rf"\1 {value}", text)
        else:
            text = re.sub(rf"(?m)^{name}: .*\r$", f"{name}: {value}\r", text)
    return text


@pytest.mark.parametrize("number", ["102", "+46900123456"])
def test_a_calls_credentials_place_no_other_call(exchange: Exchange, company: Company,
                                                 number: str) -> None:
    """Seen once, they placed calls to another number twice."""
    anna, bo = company.telephone("101"), company.telephone("102")
    with Attacker(exchange) as phone, Attacker(exchange) as attacker:
        assert phone.register(bo).code == 200
        text = recorded(attacker, anna, "INVITE", attacker.uri("102"), body=sdp("127.0.0.1"))
        assert attacker.answer(1.0) == 0, "it rings"
        rang = {one.branch for one in phone.requests() if one.method == "INVITE"}
        assert len(rang) == 1
        for copy in (again(text), again(text, **{"Call-ID": "another"}),
                     again(text, uri=attacker.uri(number)),
                     again(text, uri=attacker.uri(number), To=f"<{attacker.uri(number)}>",
                           CSeq="9 INVITE", **{"Call-ID": "more"})):
            attacker.send(copy)
            assert attacker.answer() == 407
        assert {one.branch for one in phone.requests() if one.method == "INVITE"} == rang


def test_the_same_datagram_twice_is_one_call(exchange: Exchange, company: Company) -> None:
    """A retransmission is neither a second call nor refused."""
    anna, bo = company.telephone("101"), company.telephone("102")
    with Attacker(exchange) as phone, Attacker(exchange) as attacker:
        assert phone.register(bo).code == 200
        text = recorded(attacker, anna, "INVITE", attacker.uri("102"), body=sdp("127.0.0.1"))
        for _ in range(20):
            attacker.send(text)
        assert attacker.answer(1.0) == 0
        invites = {one.get("call-id") for one in phone.requests() if one.method == "INVITE"}
        assert len(invites) == 1
        assert {message.code for message in attacker.heard} <= {100, 407}


def test_a_replayed_unregister_throws_nobody_out(exchange: Exchange, company: Company) -> None:
    anna = company.telephone("101")
    domain = f"sip:{exchange.settings.domain}"
    who = f"<sip:{anna.username}@{exchange.settings.domain}>"
    with Attacker(exchange) as victim:
        text = recorded(victim, anna, "REGISTER", domain, "Expires: 0", to=who, contact="*")
        assert victim.answer() == 200
        assert victim.register(anna).code == 200
        victim.send(again(text))
        assert victim.answer() == 401
        victim.send(again(text, CSeq="99 REGISTER"))
        assert victim.answer() == 401
        assert f":{victim.port}" in victim.ask(anna, "REGISTER", domain).get("contact")


def test_a_count_rises_with_every_use(exchange: Exchange, company: Company) -> None:
    """One nonce, many requests, over all workers."""
    anna = company.telephone("101")
    domain = f"sip:{exchange.settings.domain}"
    who = f"<sip:{anna.username}@{exchange.settings.domain}>"

    def ask(attacker: Attacker, challenged: Message | None, count: int) -> Message:
        proof = [attacker.credentials(challenged, anna, "REGISTER", domain, count=count)] \
            if challenged else []
        attacker.send(attacker.request("REGISTER", domain, *proof, "Expires: 60", to=who,
                                       from_=f"{who};tag=a", cseq=count + 1))
        found = attacker.next()
        assert found is not None
        return found

    with Attacker(exchange) as attacker:
        challenged = ask(attacker, None, 0)
        for count, code in ((1, 200), (2, 200), (2, 401), (1, 401), (7, 200), (5, 401), (8, 200)):
            reply = ask(attacker, challenged, count)
            assert reply.code == code, (count, reply.text)
            if code == 401:
                assert "stale=true" in reply.get("www-authenticate")


def test_known_and_unknown_names_get_the_same_challenge(exchange: Exchange,
                                                        company: Company) -> None:
    devices = [company.telephone(f"10{place}", device={"digest": digest})
               for place, digest in enumerate(("both", "md5", "sha256"), 1)]
    names = [device.username for device in devices] + ["nobody", "c1-101-desk-0000", ""]
    for agent in ("", "User-Agent: Snom/1", "User-Agent: baresip v1.0.0"):
        shapes = set()
        for name in names:
            with Attacker(exchange) as attacker:
                who = f"<sip:{name}@{exchange.settings.domain}>" if name else "<sip:vaxel.local>"
                for method in ("REGISTER", "INVITE", "SUBSCRIBE"):
                    attacker.send(attacker.request(
                        method, f"sip:{exchange.settings.domain}" if method == "REGISTER"
                        else attacker.uri("101"), *([agent] if agent else []),
                        from_=f"{who};tag=a", to=who))
                    reply = attacker.next()
                    assert reply is not None
                    shapes.add((method, reply.code, re.sub(
                        r'nonce="\w+"|tag=[\w.-]+|branch=\w+|rport=\d+|(?m:^(From|To|Via|Call-ID)'
                        r': .*$)', "", reply.text)))
        assert len(shapes) == 3, (agent, shapes)


def test_what_is_not_offered_is_not_taken(exchange: Exchange, company: Company) -> None:
    """auth-int is claimed by nobody, and a device for SHA-256 takes no MD5."""
    anna = company.telephone("101", device={"digest": "sha256"})
    with Attacker(exchange) as attacker:
        assert attacker.register(anna).code == 401
        assert all('qop="auth"' in value for message in attacker.heard
                   for value in message.all("www-authenticate"))


def test_an_order_of_call_control_is_carried_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever hears it on this machine cannot give it again; workers share what they know."""
    said = {"$ci": "one"}
    text = ""
    ksr = types.ModuleType("KSR")
    ksr.pv = types.SimpleNamespace(gete=lambda name: said[name])  # type: ignore[attr-defined]
    ksr.hdr = types.SimpleNamespace(get=lambda _name: text)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "KSR", ksr)
    from kemi.control import Control
    buffer = bytearray(live_size(4, 4, 4, 4))
    format_live(buffer, 4, 4, 4, 4, 1)
    settings = {"key": "00" * 32, "control_ports": [5070]}
    workers = [Control(Live(buffer), settings) for _ in range(2)]
    now = 1_800_000_000
    text = handover.seal(Order(now, "c" * 28, Source.CALL_CONTROL, 1, "phones:1"),
                         handover.key_of(settings["key"]))  # type: ignore[arg-type]
    assert workers[0].order(now) is not None
    for call_id in ("one", "another"):
        said["$ci"] = call_id
        assert workers[1].order(now + 1) is None
    text = text.replace("phones:1", "phones:2")
    assert workers[0].order(now) is None, "the signature is of another one"
