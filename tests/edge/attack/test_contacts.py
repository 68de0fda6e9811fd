"""A registration's Contact, and a call's, reaches a device and nothing else (catalogue N2, N7)."""

import itertools

import pytest

from tests.edge.attack.attacker import SILENCE_S, Attacker, number_in
from tests.exchange import Company, Exchange
from tests.sipp import Sipp, answering

ADDRESSES = itertools.count(10)
PREMIUM = "+46900123456"


@pytest.mark.parametrize("contact", [
    "<x>", "<sip:>", "<sip:@>", "<sip:u@>", "<sip:u@127.0.0.1:99999>", "<sip:u@127.0.0.1:0>",
    "<sip:u@127.0.0.1:port>", "<mailto:u@127.0.0.1>", "<tel:+46900123456>", "<sip:u@[::1>",
    "<sip:@@:::>", "<sip:u@127.0.0.1", "sip:u@127.0.0.1>", '"a <sip:u@127.0.0.1>', "<>", ",",
    "<sip:u@127.0.0.1;transport=carrier-pigeon>", "<sip:u@" + "h" * 600 + ">",
    "<sip:u@127.0.0.1>, <sip:u@127.0.0.3:5062>", "<sip:u@h\u00f6st>",
])
def test_what_is_no_address_is_refused(exchange: Exchange, company: Company, contact: str) -> None:
    """It was stored, and a call to that user got no answer at all, with the whole group."""
    anna, bo, cia = (company.telephone(number) for number in ("101", "102", "103"))
    group = company.group([anna, cia])
    main = company.main({"kind": "group", "group": group})
    with Attacker(exchange) as attacker:
        assert attacker.register(anna, contact).code == 400
        assert attacker.call(bo, "101").code == 480
        with company.phone(cia, answering()) as phone:
            reply = attacker.call(bo, main)
            assert reply.code == 200, "the other one of the group rings all the same"
            assert phone.received("INVITE")


def test_a_contact_at_a_trunk_or_at_us_is_refused(exchange: Exchange, company: Company) -> None:
    anna = company.telephone("101")
    settings = exchange.settings
    with Attacker(exchange, "127.0.0.31") as carrier, Attacker(exchange) as attacker:
        exchange.trunk(carrier.address, carrier.port)
        ours = [(settings.address, port) for port in (
            settings.sip_port, settings.tls_port, settings.api_port, settings.rpc_port,
            *settings.control_ports(), *settings.media_ports())]
        for host, port in ((carrier.address, carrier.port), *ours):
            reply = attacker.register(anna, f"<sip:{PREMIUM}@{host}:{port}>")
            assert reply.code == 403, (host, port, reply.text)
        assert not carrier.requests()


@pytest.mark.parametrize("place", ["127.0.0.32:{victim}", "127.0.0.1:{own}", "10.1.2.3:5060",
                                   "nobody-is-here.invalid"])
def test_a_contact_is_called_at_its_source_and_by_the_devices_name(
        exchange: Exchange, company: Company, place: str) -> None:
    """A barred telephone registered a premium number at another host, and a colleague rang it."""
    company.client.patch(company.base, {"barred": ["premium"]})
    anna, bo = company.telephone("101"), company.telephone("102")
    with Attacker(exchange, "127.0.0.32") as elsewhere, Attacker(exchange) as attacker, \
            Attacker(exchange) as caller:
        where = place.format(victim=elsewhere.port, own=attacker.port)
        assert attacker.register(anna, f"<sip:{PREMIUM}@{where};line=7>").code == 200
        caller.dial(bo, "101")
        invite = next(one for one in attacker.requests() if one.method == "INVITE")
        assert number_in(invite.start) == anna.username
        assert PREMIUM not in invite.text
        assert not elsewhere.requests(0.1)


def test_a_device_that_may_is_called_elsewhere(exchange: Exchange, company: Company) -> None:
    anna = company.telephone("101", device={"contact": "anywhere"})
    bo = company.telephone("102")
    with Attacker(exchange, "127.0.0.33") as elsewhere, Attacker(exchange) as attacker:
        assert attacker.register(anna, f"<sip:a@{elsewhere.place}>").code == 200
        with Attacker(exchange) as caller:
            caller.dial(bo, "101")
            assert [one.method for one in elsewhere.requests()][:1] == ["INVITE"]


def test_a_path_is_only_believed_of_a_proxy_that_was_named(company: Company) -> None:
    anna = company.telephone("101")
    with Attacker(company.exchange, "127.0.0.34") as victim, \
            Attacker(company.exchange) as attacker:
        reply = attacker.register(anna, "", f"Path: <sip:{victim.place};lr>", "Supported: path")
        assert reply.code == 403
        assert not victim.requests(SILENCE_S)
    with Exchange(proxies="127.0.0.35") as own:
        firm = own.company()
        anna, bo = firm.telephone("101"), firm.telephone("102")
        with Attacker(own, "127.0.0.35") as proxy, Attacker(own) as caller:
            reply = proxy.register(anna, "<sip:a@192.0.2.7>", f"Path: <sip:{proxy.place};lr>",
                                   "Supported: path")
            assert reply.code == 200, reply.text
            caller.dial(bo, "101")
            invite = next(one for one in proxy.requests() if one.method == "INVITE")
            assert invite.get("route") and "192.0.2.7" in invite.start


@pytest.mark.parametrize("contact", ["<x>", "<sip:>", "<sip:a@127.0.0.1:99999>",
                                     "<sip:a@127.0.0.1>, <sip:b@127.0.0.1>"])
def test_a_call_without_an_address_to_come_back_to(
        exchange: Exchange, company: Company, contact: str) -> None:
    """Is refused; an emergency call is not."""
    anna, bo = company.telephone("101"), company.telephone("102")
    with company.phone(bo, answering()) as phone, Attacker(exchange) as attacker:
        assert attacker.call(anna, "102", contact=contact).code == 400
        assert not phone.received("INVITE")
    address = f"127.0.2.{next(ADDRESSES)}"
    with Sipp(answering(), address=address) as carrier, Attacker(exchange) as attacker:
        trunk = exchange.trunk(address, carrier.port)
        exchange.client.post("/routes", {"tenant": company.id, "trunk": trunk, "prefix": "",
                                         "position": 0})
        assert attacker.call(anna, "112", contact=contact).code == 200
        assert carrier.received("INVITE")
