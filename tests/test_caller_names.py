"""Who calls, by name, on real telephones: outside callers as the company's directory knows them,
colleagues as they are called (N3)."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi import identity
from routing_core import build, overlay
from routing_core.caller_names import ANONYMOUS_URI, MAX_NAME_BYTES, quoted, shown_name
from routing_core.kernel import Kernel
from routing_core.live import Live, format_live, live_size
from routing_core.snapshot import Snapshot
from tests.callcentre import Centre
from tests.people import People, scene
from tests.softphone import Call, Carrier, Softphone
from vaxel.ports import free_port

CALLER = "+46701112233"
NAME = 'Åsa "Ek" \\ Öberg'
QUOTED = r'"Åsa \"Ek\" \\ Öberg"'
DOMAIN = "vaxel.example"


# -- a name as it is shown -------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "shown"), [
    ("Anna Ek", "Anna Ek"), ("  Anna\u00a0\u2003 Ek ", "Anna Ek"), ("Ek\r\nVia: x", "Ek Via: x"),
    ("\u202egnikcah", "gnikcah"), ("A\u0000B\u007fC", "A B C"), ("\u200b\u2066", ""), ("", ""),
    ("\ud800Ek", "Ek"), ("x" * 70, "x" * 64), ("ö" * 40, "ö" * 32),
    ("x" + "ö" * 40, "x" + "ö" * 31), ("漢" * 30, "漢" * 21), ("x" * 63 + " y", "x" * 63),
    ("📞 Ek", "📞 Ek"),
], ids=range(14))
def test_shown_name(name: str, shown: str) -> None:
    assert shown_name(name).decode() == shown


@given(st.text())
def test_any_name_is_one_quoted_string(name: str) -> None:
    """Nothing leaves the quotes, and it can be read back."""
    text = shown_name(name).decode()
    assert len(text.encode()) <= MAX_NAME_BYTES and text.isprintable()
    assert re.fullmatch(r'"(?:[^"\\]|\\.)*"', quoted(text))
    assert identity.name_of(quoted(text)) == text


def test_identity_of_a_named_caller() -> None:
    found = identity.for_phone(CALLER, False, DOMAIN, NAME)
    assert found == (f"sip:{CALLER}@{DOMAIN}", NAME,
                     [f"P-Asserted-Identity: {QUOTED} <sip:{CALLER}@{DOMAIN}>"])
    assert identity.for_phone("101", False, DOMAIN, "").headers == [
        f"P-Asserted-Identity: <sip:101@{DOMAIN}>"]
    for hidden in (identity.for_phone(CALLER, True, DOMAIN, NAME),
                   identity.for_phone("", False, DOMAIN, NAME)):
        assert hidden == (ANONYMOUS_URI, "Anonymous", ["Privacy: id"])


# -- in the kernel -----------------------------------------------------------------------------

def contact(id_: int, name: str, number: str = CALLER, *, tenant: int = 1, user: int | None = None,
            shared: bool = False) -> tuple[Any, ...]:
    """A row as the compiler takes it."""
    return (id_, tenant, user, int(shared), name, f'[{{"kind":"work","e164":"{number}"}}]')


def kernel_of(*contacts: tuple[Any, ...], changes: Any = ()) -> Kernel:
    """A kernel with one user, whom number +46812345678 rings, and these contacts."""
    from routing_core.mapping import plans
    builder = build.BaseBuilder(plans())
    builder.add("tenant", [(tenant, "SE", "sv", "UTC", None, None, "replace", "inform", None, 0,
                            "auto", 15, 0) for tenant in (1, 2)])
    builder.add("user", [(1, 1, "101", "direct", 0, None, 25, 1, 0, 0, None, 0)])
    builder.add("device", [(1, 1, "desk", "anna", "a" * 26, None, None, 1, "md5", "source")])
    builder.add("number", [("+46812345678", 1, "direct", "user", 1, None, None, None, None, None,
                            None, None, 0)])
    builder.add("trunk", [(1, None, "h", 5060, "udp", "SE", "pai", "diversion", "caller", "plus",
                           "auto", 60, "peer", 1, "", "")])
    builder.add("contact", contacts)
    header, body = builder.finish(1, 1)
    over = bytearray(overlay.overlay_size(1 << 16))
    overlay.format_overlay(over, 1, 1)
    writer = overlay.OverlayWriter(over)
    for revision, change in enumerate(changes, 2):
        writer.publish(change, revision)
    live = bytearray(live_size(8, 8, 8, 8))
    format_live(live, 8, 8, 8, 8, 1)
    return Kernel(Snapshot(header + bytes(body), over), Live(live))


def called(kernel: Kernel, calling: str = CALLER) -> str:
    """The name that the user's telephone shows."""
    return kernel.decide(1, 1, "+46812345678", calling, 1_800_000_000, 1).caller_name


def test_the_companys_contact_comes_first_then_the_lowest_id() -> None:
    assert called(kernel_of(contact(1, "Shared", user=1, shared=True), contact(3, "Second"),
                            contact(2, "First"))) == "First"
    assert called(kernel_of(contact(9, "Later", user=1, shared=True),
                            contact(5, "Sooner", user=2, shared=True))) == "Sooner"


def test_nobody_elses_and_nobodys_own() -> None:
    assert called(kernel_of(contact(1, "Mine", user=1), contact(2, "Theirs", tenant=2),
                            contact(3, "Other", "+46701112234"))) == ""
    assert called(kernel_of(contact(1, "Anna")), "") == ""


def test_many_names_are_all_found() -> None:
    kernel = kernel_of(*(contact(i, f"Name {i}", f"+4670{i:07d}") for i in range(1, 3000)))
    assert {called(kernel, f"+4670{i:07d}") for i in range(1, 3000)} == {
        f"Name {i}" for i in range(1, 3000)}


def test_a_change_lies_over_the_base() -> None:
    rows = (contact(1, "Before"),)
    pack = overlay.pack_caller_name
    assert called(kernel_of(*rows, changes=[pack(1, CALLER, "After")])) == "After"
    assert called(kernel_of(*rows, changes=[pack(1, CALLER, "After"), pack(1, CALLER, "")])) == ""
    assert called(kernel_of(*rows, changes=[pack(2, CALLER, "Theirs")])) == "Before"


def test_explained() -> None:
    from routing_core.explain import explain
    trace: list[Any] = []
    kernel_of(contact(1, NAME)).decide(1, 1, "+46812345678", CALLER, 1_800_000_000, 1, trace=trace)
    assert explain(trace)[-1] == f"caller's name: {NAME}, from the directory"


# -- telephones ----------------------------------------------------------------------------------

def known(people: People, name: str = NAME, **fields: Any) -> str:
    """A contact with the caller's number; its path."""
    made = people.company.post("contacts", {
        "name": name, "numbers": [{"kind": "mobile", "e164": CALLER}]} | fields)
    return f"{people.company.base}/contacts/{made['id']}"


async def rung(people: People, carrier: Carrier, phone: Softphone, *headers: str) -> Call:
    """The phone's call when the carrier's caller calls it and gives up."""
    line = await carrier.dial(people.company.e164(int(phone.number)), *headers)
    call = await phone.incoming()
    call.ring()
    await line.rang()
    await line.cancel()
    await call.ended()
    return call


def shown(call: Call) -> tuple[str, str]:
    """The display names of From and P-Asserted-Identity, as they stand there."""
    assert call.invite is not None
    return (call.invite.get("from").partition("<")[0].strip(),
            call.invite.get("p-asserted-identity").partition("<")[0].strip())


def told(call: Call) -> str:
    """The INVITE."""
    assert call.invite is not None
    return call.invite.text


@scene
async def test_an_outside_callers_name_and_its_changes(people: People) -> None:
    """With call control in the path and without."""
    carrier = await people.carrier()
    anna = await people.phone("101", functions=False)
    bo = await people.phone("102")
    assert shown(await rung(people, carrier, anna))[0] in ("", '""')
    path = known(people)
    for phone in (anna, bo):
        call = await rung(people, carrier, phone)
        assert shown(call) == (QUOTED, QUOTED) and f"sip:{CALLER}@" in told(call)
    people.company.client.patch(path, {"name": "Åsa Nygift"})
    assert shown(await rung(people, carrier, anna)) == ('"Åsa Nygift"',) * 2
    people.company.client.call("DELETE", path)
    for phone in (anna, bo):
        assert "Åsa" not in told(await rung(people, carrier, phone))


@scene
async def test_a_named_call_is_a_call(people: People) -> None:
    """Either side may hang up: what was written anew is told back."""
    carrier = await people.carrier()
    anna = await people.phone("101", functions=False)
    known(people)
    for leaves_first in (0, 1):
        sides = await people.talk(carrier, anna)
        await sides[leaves_first].hang_up()
        await sides[1 - leaves_first].ended()


@scene
async def test_a_withheld_number_has_no_name(people: People) -> None:
    carrier = await people.carrier()
    anna, bo = await people.phone("101", functions=False), await people.phone("102")
    known(people)
    for phone in (anna, bo):
        call = await rung(people, carrier, phone, "Privacy: id",
                          f"P-Asserted-Identity: <sip:{CALLER}@carrier>")
        assert "Åsa" not in told(call)


@scene
async def test_whose_contact_gives_the_name(people: People) -> None:
    carrier = await people.carrier()
    anna = await people.phone("101", functions=False)
    user = people.users["101"]
    known(people, "Personal", user=user)
    assert "Personal" not in told(await rung(people, carrier, anna))
    known(people, "Shared", user=user, shared=True)
    assert shown(await rung(people, carrier, anna))[0] == '"Shared"'
    known(people, "Company")
    assert shown(await rung(people, carrier, anna))[0] == '"Company"'


@scene
async def test_colleagues(people: People) -> None:
    """By name when call control carries the call, as their telephone says otherwise."""
    anna, bo = await people.phone("101"), await people.phone("102", functions=False)
    cia = await people.phone("103", functions=False)
    line = await anna.dial("102")
    call = await bo.incoming()
    assert shown(call) == ('"User 101"', '"User 101"')
    call.ring()
    await line.rang()
    await line.cancel()
    await call.ended()
    call = Call(cia)
    call.local = r'"Cia \"C\" på sälj" ' + call.local
    await call.media.__aenter__()
    cia.calls.append(call)
    cia.spawn(call.dial("102"))
    heard = await bo.incoming()
    assert shown(heard) == (r'"Cia \"C\" på sälj"',) * 2
    heard.refuse(603)
    await call.refused()


@scene
async def test_never_towards_a_trunk(people: People) -> None:
    """A forwarded call and a colleague's go out without any name."""
    out = await people.carrier()
    anna = await people.phone("101", functions=False)
    bo = await people.phone("102")
    known(people)
    people.company.post("forwards", {"user": people.users["101"], "event": "busy",
                                     "target": {"kind": "number", "text": "+46709998877"}})
    address = "127.0.250.1"
    async with Carrier(people.exchange, address, port=free_port(address)) as carrier:
        people.exchange.trunk(address, carrier.port)
        line = await carrier.dial(people.company.e164(101))
        call = await anna.incoming()
        assert shown(call) == (QUOTED, QUOTED)
        call.refuse(486)
        await refused_without_a_name(line, out, CALLER)
    line = await bo.dial("0709998877")
    await refused_without_a_name(line, out, people.company.e164(102))


async def refused_without_a_name(line: Call, carrier: Carrier, number: str) -> None:
    """What goes out to the carrier says that number and nothing more."""
    out = await carrier.incoming()
    assert shown(out) == ("", "") and f"sip:{number}@" in told(out)
    assert not re.search("Åsa|User 10", told(out))
    out.refuse(404)
    await line.refused()


@scene
async def test_an_agent_sees_who_waited(people: People) -> None:
    """On the offer of a queue."""
    carrier = await people.carrier()
    centre = Centre(people)
    known(people)
    queue = centre.queue()
    agent = await centre.agent("101", queue)
    line = await centre.caller(carrier, centre.number(queue))
    call = await agent.incoming()
    assert shown(call) == (QUOTED, QUOTED)
    call.answer()
    await line.hears(600)  # who hangs up before is only one who missed the caller
    await call.hang_up()
    await line.ended()
