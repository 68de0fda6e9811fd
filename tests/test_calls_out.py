"""Calls that leave the exchange: number display, forwarding, barring, trunks, emergency."""

from collections.abc import Iterator

import pytest

from tests.exchange import Company, Exchange, Telephone, eventually
from tests.sipp import Sipp, answering, calling, header, refusing, scenario, silent
from vaxel.ports import free_port

OUTSIDE = "+46709876543"


@pytest.fixture(scope="module")
def out(exchange: Exchange) -> Iterator["Out"]:
    """Two carriers' addresses with a tenant-independent pair of ports."""
    yield Out(exchange)


class Out:
    """Trunks of a test's own company, so that tests do not share routes."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def trunk(self, company: Company, position: int = 0, prefix: str = "", address: str = "",
              **fields: object) -> tuple[int, str, int]:
        """(trunk id, address, port) of a trunk that the company's calls take."""
        address = address or f"127.0.{1 + company.series % 200}.{10 + position}"
        port = free_port(address)
        trunk = self.exchange.trunk(address, port, tenant=company.id, **fields)
        self.exchange.client.post("/routes", {"tenant": company.id, "trunk": trunk,
                                              "prefix": prefix, "position": position})
        return trunk, address, port


def dial(exchange: Exchange, telephone: Telephone, number: str, expect: int = 200,
         more: str = "") -> Sipp:
    """The telephone calls, with digest."""
    return Sipp(calling(telephone.username, expect, password=telephone.secret, more=more),
                remote=exchange.sip, service=number)


@pytest.fixture
def anna(company: Company) -> Telephone:
    """A user with a direct, a mobile number and a company with a main and a support number."""
    telephone = company.telephone("101")
    company.post("numbers", {"e164": company.e164(7001), "kind": "mobile",
                             "target": {"kind": "user", "user": telephone.user}})
    company.main({"kind": "user", "user": telephone.user})
    company.post("numbers", {"e164": company.e164(9000), "kind": "support",
                             "target": {"kind": "user", "user": telephone.user}})
    company.client.patch(company.base, {"main_number": company.e164(0),
                                        "support_number": company.e164(9000)})
    return telephone


@pytest.mark.parametrize(("setting", "code", "shown"), [
    ("direct", "", 101), ("main", "", 0), ("mobile", "", 7001), ("support", "", 9000),
    ("direct", "*51*", 0), ("main", "*52*", 101), ("main", "*53*", 7001), ("main", "*54*", 9000),
])
def test_number_display(exchange: Exchange, company: Company, out: Out, anna: Telephone,
                        setting: str, code: str, shown: int) -> None:
    company.client.patch(f"{company.base}/users/{anna.user}", {"display": setting})
    _, address, port = out.trunk(company)
    with Sipp(answering(), address=address, port=port) as carrier, \
            dial(exchange, anna, f"{code}0709876543") as line:
        line.done()
        carrier.done()
        invite = carrier.received("INVITE")[0]
    assert f"sip:{company.e164(shown)}@" in header(invite, "From")
    assert f"sip:{company.e164(shown)}@" in header(invite, "P-Asserted-Identity")
    assert invite.startswith(f"INVITE sip:{OUTSIDE}@{address}:{port}")
    assert not header(invite, "Privacy") and not header(invite, "Proxy-Authorization")
    record = company.newest_call()
    assert (record["direction"], record["called"]) == ("out", OUTSIDE[:-4] + "****")


@pytest.mark.parametrize(("setting", "code"), [("hidden", ""), ("main", "#31#")])
def test_hidden_number(exchange: Exchange, company: Company, out: Out, anna: Telephone,
                       setting: str, code: str) -> None:
    company.client.patch(f"{company.base}/users/{anna.user}", {"display": setting})
    _, address, port = out.trunk(company)
    with Sipp(answering(), address=address, port=port) as carrier, \
            dial(exchange, anna, f"{code}0709876543") as line:
        line.done()
        carrier.done()
        invite = carrier.received("INVITE")[0]
    assert "anonymous@anonymous.invalid" in header(invite, "From")
    assert header(invite, "Privacy") == "id"
    assert company.e164(0) in header(invite, "P-Asserted-Identity")
    assert anna.username not in header(invite, "From")


def test_display_by_device_and_by_role(exchange: Exchange, company: Company, out: Out,
                                       anna: Telephone) -> None:
    _, address, port = out.trunk(company)
    soft = company.telephone("101", kind="soft", user=anna.user, device={"display": "support"})
    working = company.activity("working", reachable=True, role="work")
    company.presence(anna, working)
    for telephone, shown in ((soft, 9000), (anna, 0)):
        with Sipp(answering(), address=address, port=port) as carrier, \
                dial(exchange, telephone, "0709876543") as line:
            line.done()
            carrier.done()
            assert company.e164(shown) in header(carrier.received("INVITE")[0], "From")


def test_number_not_owned_is_replaced_or_refused(exchange: Exchange, company: Company, out: Out,
                                                 anna: Telephone) -> None:
    _, address, port = out.trunk(company)
    wanted = "P-Preferred-Identity: <sip:+46700000001@vaxel.local>"
    with Sipp(answering(), address=address, port=port) as carrier, \
            dial(exchange, anna, "0709876543", more=wanted) as line:
        line.done()
        carrier.done()
        invite = carrier.received("INVITE")[0]
        assert company.e164(101) in header(invite, "From") and "46700000001" not in invite
    company.client.patch(company.base, {"foreign_number": "refuse"})
    with dial(exchange, anna, "0709876543", 403, more=wanted) as line:
        line.done()
    owned = f"P-Preferred-Identity: <sip:{company.e164(9000)}@vaxel.local>"
    with Sipp(answering(), address=address, port=port) as carrier, \
            dial(exchange, anna, "0709876543", more=owned) as line:
        line.done()
        carrier.done()
        assert company.e164(9000) in header(carrier.received("INVITE")[0], "From")


@pytest.mark.parametrize("diversion", ["diversion", "history"])
def test_forwarded_call_names_caller_and_forwarder(exchange: Exchange, company: Company, out: Out,
                                                   anna: Telephone, diversion: str) -> None:
    _, address, port = out.trunk(company, diversion=diversion)
    company.forward(anna, "always", {"kind": "number", "text": OUTSIDE})
    with Sipp(answering(), address=address, port=port) as carrier, \
            Sipp(calling("+46701112233", 200), address=address, remote=exchange.sip,
                 service=company.e164(101)) as line:
        line.done()
        carrier.done()
        invite = carrier.received("INVITE")[0]
    assert "+46701112233" in header(invite, "From")
    assert "+46701112233" in header(invite, "P-Asserted-Identity")
    named = header(invite, "Diversion" if diversion == "diversion" else "History-Info")
    assert company.e164(101) in named


def test_carrier_that_wants_the_forwarders_number(exchange: Exchange, company: Company, out: Out,
                                                  anna: Telephone) -> None:
    _, address, port = out.trunk(company, forwarded="forwarder", identity="rpid",
                                 format="national")
    company.forward(anna, "always", {"kind": "number", "text": OUTSIDE})
    with Sipp(answering(), address=address, port=port) as carrier, \
            Sipp(calling("+46701112233", 200), address=address, remote=exchange.sip,
                 service=company.e164(101)) as line:
        line.done()
        carrier.done()
        invite = carrier.received("INVITE")[0]
    national = "0" + company.e164(101)[3:]
    assert invite.startswith("INVITE sip:0709876543@")
    assert national in header(invite, "From") and national in header(invite, "Remote-Party-ID")
    assert not header(invite, "P-Asserted-Identity")


@pytest.mark.parametrize("fault", ["absent", "silent", "503"])
def test_first_trunk_dead_second_takes_it(exchange: Exchange, company: Company, out: Out,
                                          anna: Telephone, fault: str) -> None:
    first, address, port = out.trunk(company, 0)
    _, second_address, second_port = out.trunk(company, 1)
    fails = silent() if fault == "silent" else refusing("503 Service Unavailable", ring=False)
    with Sipp(fails, address=address, port=port if fault != "absent" else 0), \
            Sipp(answering(), address=second_address, port=second_port) as carrier, \
            dial(exchange, anna, "0709876543") as line:
        line.done()
        carrier.done()
    if fault != "503":  # what did not answer at all is tried last for a while
        assert exchange.live.trunk_down_until(first) > 0


def test_trunk_by_longest_prefix(exchange: Exchange, company: Company, out: Out,
                                 anna: Telephone) -> None:
    out.trunk(company, 0)
    _, address, port = out.trunk(company, 5, prefix="4670")
    with Sipp(answering(), address=address, port=port) as carrier, \
            dial(exchange, anna, "0709876543") as line:
        line.done()
        carrier.done()


def test_carrier_refuses_and_the_caller_hears_it(exchange: Exchange, company: Company, out: Out,
                                                 anna: Telephone) -> None:
    _, address, port = out.trunk(company)
    with Sipp(refusing("486 Busy Here"), address=address, port=port) as carrier, \
            dial(exchange, anna, "0709876543", 486) as line:
        line.done()
        carrier.done()


def test_barred_numbers(exchange: Exchange, company: Company, out: Out, anna: Telephone) -> None:
    out.trunk(company)
    company.client.patch(f"{company.base}/users/{anna.user}",
                         {"barred": ["premium", "international"]})
    for number in ("0900123456", "0044207123456"):
        with dial(exchange, anna, number, 403) as line:
            line.done()
            assert "barred" in header(line.received("SIP/2.0 403")[0], "Warning")


def test_112_from_a_barred_user_in_each_of_two_areas(exchange: Exchange, company: Company,
                                                     out: Out, anna: Telephone) -> None:
    out.trunk(company)
    areas = []
    for name, centre in (("Stockholm", "+46812345678"), ("Malmö", "112")):
        trunk, address, port = out.trunk(company, 9, prefix="999", address=(
            f"127.0.{1 + company.series % 200}.{50 + len(areas)}"))
        company.client.patch(f"/trunks/{trunk}", {"name": f"emergency {name}"})
        area = company.client.post("/areas", {
            "name": f"{name} {company.series}", "centre": centre,
            "location": f"urn:place:{len(areas)}"})["id"]
        areas.append((area, centre, address, port))
    company.client.patch(company.base, {"barred": [
        "national", "mobile", "toll_free", "premium", "international", "special"]})
    soft = company.telephone("101", kind="soft", user=anna.user)
    company.client.patch(f"{company.base}/users/{anna.user}", {"area": areas[0][0]})
    company.client.patch(f"{company.base}/devices/{soft.device}", {"area": areas[1][0]})
    routes = company.client.get("/routes", tenant=company.id)["items"]
    default = next(route for route in routes if route["prefix"] == "")
    for telephone, (_, centre, address, port) in zip((anna, soft), areas, strict=True):
        trunk = next(t for t in company.client.get("/trunks", tenant=company.id)["items"]
                     if t["host"] == address)
        company.client.patch(f"/routes/{default['id']}", {"trunk": trunk["id"]})
        with Sipp(answering(), address=address, port=port) as carrier, \
                dial(exchange, telephone, "112") as line:
            line.done()
            carrier.done()
            invite = carrier.received("INVITE")[0]
        assert invite.startswith(f"INVITE sip:{centre}@")
        assert company.e164(101) in header(invite, "P-Asserted-Identity")
        assert header(invite, "Geolocation").startswith("<urn:place:")
    eventually(lambda: company.newest_call(2)["direction"] == "emergency")


def test_carrier_that_challenges_an_invite(exchange: Exchange, company: Company, out: Out,
                                           anna: Telephone) -> None:
    _, address, port = out.trunk(company, username="companyuser", secret="carrier-secret")
    steps = answering().replace(
        '<recv request="INVITE" rrs="true"/>',
        '<recv request="INVITE"/>\n<send retrans="500"><![CDATA[\nSIP/2.0 407 Proxy Authentication '
        'Required\n[last_Via:]\n[last_From:]\n[last_To:];tag=c[call_number]\n[last_Call-ID:]\n'
        '[last_CSeq:]\nProxy-Authenticate: Digest realm="carrier.example", nonce="abc123", '
        'qop="auth"\nContent-Length: 0\n\n]]></send>\n<recv request="ACK"/>\n'
        '<recv request="INVITE" rrs="true"/>', 1)
    with Sipp(steps, address=address, port=port) as carrier, \
            dial(exchange, anna, "0709876543") as line:
        line.done()
        carrier.done()
        answer = header(carrier.received("INVITE")[1], "Proxy-Authorization")
    assert 'username="companyuser"' in answer and "carrier-secret" not in carrier.trace()


def test_trunk_that_registers(exchange: Exchange, company: Company) -> None:
    address = f"127.0.{1 + company.series % 200}.80"
    port = free_port(address)
    steps = ('<recv request="REGISTER"/><send><![CDATA[\n'
                'SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:];tag=r[call_number]\n'
                '[last_Call-ID:]\n[last_CSeq:]\n[last_Contact:]\nExpires: 300\n'
                'Content-Length: 0\n\n]]></send>')
    with Sipp(scenario(steps), address=address, port=port) as carrier:
        trunk = exchange.trunk(address, port, tenant=company.id, kind="registration",
                               username="reguser", secret="regsecret")
        message = carrier.started_receiving("REGISTER", 15)
        assert "sip:reguser@" in header(message, "From")
    exchange.client.call("DELETE", f"/trunks/{trunk}")


def test_colleague_sees_the_extension(exchange: Exchange, company: Company,
                                      anna: Telephone) -> None:
    bo = company.telephone("102")
    with company.phone(bo, answering()) as phone, dial(exchange, anna, "102") as line:
        line.done()
        phone.done()
        invite = phone.received("INVITE")[0]
    assert "sip:101@" in header(invite, "From") and "sip:101@" in header(
        invite, "P-Asserted-Identity")
    assert company.newest_call()["direction"] == "internal"


def test_on_net_call_to_another_company(exchange: Exchange, company: Company,
                                        anna: Telephone) -> None:
    other = exchange.company()
    bo = other.telephone("101")
    with other.phone(bo, answering()) as phone, \
            dial(exchange, anna, other.e164(101)) as line:
        line.done()
        phone.done()
        invite = phone.received("INVITE")[0]
    assert company.e164(101) in header(invite, "From")
