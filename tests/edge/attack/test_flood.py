"""Too much from one address is not answered, whatever it is; others are, and trunks and call
control may send as much as they like."""

import secrets
import time
from collections.abc import Callable, Iterator

import pytest

from tests.edge.attack.attacker import Attacker
from tests.exchange import Exchange, eventually
from tests.message import Message

#: Of the exchange here, in a period of two seconds; and what an address that is new may have more.
PERIOD_S, ALLOWED, MORE = 2.0, 40, 15
FLOOD = 1000
#: A flood is sent in so many pieces: the exchange's buffer is not to drop it.
AT_ONCE = 25
Write = Callable[[Attacker], str]


def written(method: str = "OPTIONS", to: str = "", **changed: str) -> Write:
    """A request, with parts of its text replaced."""
    def write(attacker: Attacker) -> str:
        text = attacker.request(method, attacker.uri("101"), to=to)
        for old, new in changed.items():
            name = old.replace("_", "-")
            lines = [line for line in text.split("\r\n")
                     if new or not line.startswith(f"{name}:")]
            text = "\r\n".join(f"{name}: {new}" if line.startswith(f"{name}:") else line
                               for line in lines)
        return text

    return write


def other(old: str, new: str, method: str = "OPTIONS") -> Write:
    """A request with something else in the place of a text."""
    return lambda attacker: attacker.request(method, attacker.uri("101")).replace(old, new, 1)


TAG = "<sip:101@vaxel.local>;tag=b"
KINDS: dict[str, Write] = {
    "plain": written(), "register": written("REGISTER"), "invite": written("INVITE"),
    "unknown method": written("NONSENSE"),
    "with a To tag": written(to=TAG), "BYE": written("BYE", TAG), "INFO": written("INFO", TAG),
    "re-INVITE": written("INVITE", TAG), "CANCEL": written("CANCEL"),
    "no hops": written(Max_Forwards="0"), "no hops, INVITE": written("INVITE", Max_Forwards="0"),
    "hops that are none": written(Max_Forwards="many"),
    "no From": written(From=""), "no CSeq": written(CSeq=""), "no Call-ID": written(Call_ID=""),
    "bad length": written(Content_Length="-1"), "version": other(" SIP/2.0\r", " SIP/7.0\r"),
    "request line": other("OPTIONS s", "OPTIONS  s"), "scheme": other("OPTIONS s", "OPTIONS x"),
    "never ends": other("\r\n\r\n", "\r\n"), "bad header": other("\r\nFrom", "\r\n: x\r\nFrom"),
    "folded": other("\r\nMax-Forwards: ", "\r\nMax-Forwards:\r\n "),
}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Exchange]:
    """An exchange with a low limit."""
    with Exchange(flood_per_2s=ALLOWED) as running:
        yield running


def flood(attackers: dict[str, Attacker], kinds: dict[str, Write], count: int) -> dict[str, int]:
    """So many from each; how many answers each got."""
    answers = dict.fromkeys(attackers, 0)

    def hear() -> None:
        for name, attacker in attackers.items():
            attacker._socket.setblocking(False)
            try:
                while Message(attacker._socket.recv(1 << 16).decode("latin-1")).code >= 200:
                    answers[name] += 1
            except BlockingIOError:
                pass

    for _ in range(count // AT_ONCE):
        for name, attacker in attackers.items():
            for _ in range(AT_ONCE):
                attacker.send(kinds[name](attacker))
        time.sleep(0.02)
        hear()
    heard = -1
    until = time.monotonic() + 1.0
    while heard != sum(answers.values()) or time.monotonic() < until:
        heard = sum(answers.values())
        time.sleep(0.05)
        hear()
    return answers


def served(attacker: Attacker) -> bool:
    """Whether somebody is answered; asked so seldom that it is no flood."""
    attacker.send(attacker.request("OPTIONS", attacker.uri("101")))
    return attacker.answer(0.7) == 200


def test_no_kind_of_request_passes_the_guard(guarded: Exchange) -> None:
    """Those with a To tag, without hops, CANCELs and what cannot be parsed were all answered."""
    attackers = {name: Attacker(guarded, f"127.0.4.{place}")
                 for place, name in enumerate(KINDS, 10)}
    before = guarded.live.counter(3)
    began = time.monotonic()
    answers = flood(attackers, KINDS, FLOOD)
    periods = 2 + (time.monotonic() - began) // PERIOD_S
    assert {name: count for name, count in answers.items()
            if not ALLOWED // 2 <= count <= (ALLOWED + MORE) * periods} == {}, (answers, periods)
    assert guarded.live.counter(3) - before > len(KINDS) * FLOOD / 3, "they have arrived"
    assert not guarded.live.counter(0)
    for name, attacker in attackers.items():
        attacker._socket.setblocking(True)
        if name in ("plain", "never ends", "CANCEL"):  # quiet for some seconds, and forgiven
            eventually(lambda attacker=attacker: served(attacker), 15)
        attacker._socket.close()


def test_others_are_served_all_the_time(guarded: Exchange) -> None:
    """Another address, a trunk that sends as much, and calls through call control, which is at
    the flooding address."""
    company = guarded.company()
    anna, bo = (company.telephone(number, call_functions=True) for number in ("101", "102"))
    everything = {"flood": lambda attacker: secrets.choice(list(KINDS.values()))(attacker),
                  "trunk": KINDS["plain"], "trunk's calls": KINDS["BYE"]}
    with Attacker(guarded, "127.0.0.1") as flooding, Attacker(guarded, "127.0.5.1") as trunk, \
            Attacker(guarded, "127.0.5.2") as second, Attacker(guarded, "127.0.5.3") as phone, \
            Attacker(guarded, "127.0.5.4") as caller:
        for carrier in (trunk, second):
            guarded.trunk(carrier.address, carrier.port)
        assert phone.register(bo).code == 200
        senders = {"flood": flooding, "trunk": trunk, "trunk's calls": second}
        answers = flood(senders, everything, 500)
        # A busy machine may lose some; but the guard lets through a tenth.
        assert min(answers["trunk"], answers["trunk's calls"]) > 300, answers
        assert answers["flood"] < 200, answers
        caller.dial(anna, "102")
        invite = phone.next()
        flood({"flood": flooding}, everything, 100)
        assert invite is not None and invite.method == "INVITE", "call control is not cut off"
        assert not served(flooding) and served(caller)
    assert not guarded.live.counter(0)
