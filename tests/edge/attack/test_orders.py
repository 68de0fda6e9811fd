"""The messages of a call in every order, over two workers: a slot does not outlive its evidence,
and there is one record of each call, whose times are right.

A case is a list of moments; the words of one (peers.Pair) are sent at the same instant, or with a
short gap between them. VAXEL_ORDERS is how many cases are played, VAXEL_ORDERS_SEED which.
"""

import asyncio
import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import pytest

from rtp.ng import NgClient, Node
from store import SqliteStore
from store.model import CallRecord
from tests.edge.attack.peers import CSEQ, PATIENCE_S, T1_S, Called, Caller, Pair
from tests.exchange import Company, Exchange, eventually

CASES: Final = int(os.environ.get("VAXEL_ORDERS", "400"))
SEED: Final = int(os.environ.get("VAXEL_ORDERS_SEED", "8"))
#: Calls that are played at the same time, of each kind.
LINES: Final = 2
KINDS: Final = ("trunk", "device", "anchored", "functions")
#: Between the words of a moment: at the same instant, or a little later.
GAPS_S: Final = (0.0, 0.0, 0.0, 0.0005, 0.002, 0.01)
#: The called side believes for so long that an ACK will come.
NO_ACK_S: Final = 2 * T1_S
#: A call that nobody answers or refuses is answered after this.
QUIET_S: Final = 0.3
#: Added to the CSeq, of a BYE of a called side that has waited for an ACK.
GIVEN_UP: Final = 30
#: What ends a call ends its record within this.
PROMPT_MS: Final = 700
SLACK_MS: Final = 60
#: A called side gives up after 32 s (RFC 3261 section 13.3.1.4).
UNACKNOWLEDGED_S: Final = 64
EXCEPTIONS: Final = 0  # kemi.names.Counter.EXCEPTIONS

#: What a called side does not send any more once it has refused.
FINALS: Final = ("180", "200", "200b", "486")
Moment = tuple[str, ...]


class Case(NamedTuple):
    """What is sent when. gap_s: between the words of a moment; deaf: so many BYEs are lost on
    their way to each side."""

    moments: tuple[Moment, ...]
    gap_s: float = 0.0
    deaf: int = 0

    def __str__(self) -> str:
        text = " | ".join(" ".join(moment) for moment in self.moments)
        return text + (f" (gap {self.gap_s * 1000:g} ms)" if self.gap_s else "") \
            + (f" (deaf {self.deaf})" if self.deaf else "")


def orders(*words: str, least: int = 0) -> Iterator[Moment]:
    """Every order of every choice of the words; one that stands there twice may come twice."""
    for count in range(least, len(words) + 1):
        yield from sorted(set(itertools.permutations(words, count)))


START: Final[tuple[Moment, ...]] = (("invite",), ("180",))
UP: Final[tuple[Moment, ...]] = (*START, ("200",))


def families() -> dict[str, list[tuple[Moment, ...]]]:
    """Every case, by what it is about."""
    return {
        "answered": [(*UP, one) for one in orders("ack", "bye", "bye", "cancel", "200")],
        "both sides": [(*UP, one) for one in orders("ack", "bye", "end", "200", "cancel")],
        "repeated": [(*UP, one) for one in orders("ack", "ack", "bye", "bye", "end", "end")],
        "early": [(*START, one) for one in orders("200", "bye", "cancel", "end", least=1)],
        "early repeated": [(*START, one) for one in orders("200", "200", "bye", "bye", least=1)],
        "refused": [(*START, one) for one in orders("486", "bye", "cancel", least=1)],
        "forks": [(*UP, ("200b",), one)
                  for one in orders("ack", "ackb", "bye", "byeb", "end", "endb")],
        "forks at once": [(*START, ("200", "200b"), one) for one in orders("ackb", "bye", "byeb")],
        "re-INVITE": [(*UP, ("ack",), one)
                      for one in orders("reinvite", "reinvite-called", "bye", "end", least=1)],
        "re-INVITE first": [(*UP, one) for one in orders("ack", "reinvite", "bye", "200")],
        "lower CSeq": [(*UP, one) for one in orders("ack", "bye-low", "bye")],
        "late": [(*START, (word, "200-late")) for word in ("486", "cancel", "bye")]
            + [(*START, (word,), ("200-late",), rest) for word in ("486", "cancel", "bye")
               for rest in ((), ("ack",))],
        "begun": [(one, *rest) for one in orders("invite", "invite", "cancel", least=1)
                  if "invite" in one
                  for rest in ((), (("180", "200"),), (("200",), ("ack", "bye")))],
        "lost": [(*START, *rest) for rest in (
            (("200!",), ("bye",)), (("200!", "bye"),), (("200",), ("ack!",)),
            (("200",), ("ack!", "bye")), (("200",), ("ack", "bye!")), (("200",), ("bye!", "end")),
            (("200",), ("bye", "end!")), (("200",), ("ack", "end!")), (("cancel!",), ("200",)),
            (("200", "cancel!"),), (("bye!", "200"),), (("200",), ("ack!", "bye!", "end!")),
            (("200!",), ("cancel",)), (("200!", "cancel"),), (("200",), ()))],
    }


def sample(count: int, seed: int) -> list[Case]:
    """That many cases, of each family as many, and each of the small families at least once."""
    chance = random.Random(seed)
    found: list[Case] = []
    all_ = list(families().values())
    for one in all_:
        chance.shuffle(one)
    for index in range(count):
        family = all_[index % len(all_)]
        moments = family[index // len(all_) % len(family)]
        found.append(Case(moments, chance.choice(GAPS_S), chance.choice((0, 0, 0, 0, 0, 0, 0, 1))))
    chance.shuffle(found)
    return found


#: The kind of line, the case, and what was wrong.
Fault = tuple[str, Case, str]


class Line:
    """A caller and a called one of a company of their own, who have one call at a time."""

    def __init__(self, exchange: Exchange, kind: str, index: int) -> None:
        self.exchange, self.kind = exchange, kind
        self.company: Company = exchange.company(
            **({"media": "always"} if kind == "anchored" else {}))
        functions = kind == "functions"
        address, other = (f"127.0.{120 + KINDS.index(kind)}.{2 * index + side}" for side in (1, 2))
        bo = self.company.telephone("102", call_functions=functions)
        self.users = [bo.user]
        if kind == "trunk":
            caller = Caller(exchange, address, None)
            exchange.trunk(address, caller.port, tenant=self.company.id)
            number = self.company.e164(102)
        else:
            anna = self.company.telephone("101", call_functions=functions)
            self.users.append(anna.user)
            caller = Caller(exchange, address, anna)
            number = "102"
        self.pair = Pair(caller, Called(exchange, other, bo), number)
        self.played: dict[str, tuple[Case, Any]] = {}
        self.faults: list[Fault] = []
        self.again = self.settled = 0.0

    # -- playing ------------------------------------------------------------------------------

    def ready(self, moment: Moment, word: str) -> bool:
        """Whether the word's sender can know what it needs."""
        caller, called = self.pair.caller, self.pair.called
        word = word.removesuffix("!")
        if word == "invite" or (word == "cancel" and "invite" in moment):
            return True
        if word in ("200-late", *FINALS):
            return called.incoming is not None
        if word in ("end", "endb", "reinvite-called"):
            return self.pair.tag(word[-1] if word == "endb" else "a") in called.dialogs
        if word == "cancel":
            return bool(caller.heard)
        dialog = caller.dialogs.get(self.pair.seen("b" if word in ("ackb", "byeb") else "a"))
        return dialog is not None and (dialog.confirmed or not called.oks or "200" in moment)

    def play(self, case: Case) -> None:
        """One call."""
        pair, caller, called = self.pair, self.pair.caller, self.pair.called
        pair.begin()
        words = {word.removesuffix("!") for moment in case.moments for word in moment}
        caller.acks = bool({"ack", "ackb"} & words)
        caller.deaf = called.deaf = case.deaf
        self.again = time.monotonic() + T1_S
        for moment in case.moments:
            if self.kind == "functions":  # a second answer is call control's affair
                moment = tuple(word for word in moment if word not in ("ackb", "byeb"))
            if not pair.pump(lambda moment=moment: self.possible(moment), PATIENCE_S):
                self.fault(case, f"nothing came that allows {' '.join(moment)}")
                break
            for part in [moment] if not case.gap_s else [(word,) for word in moment]:
                pair.play(word for word in part if self.ready(moment, word) and not (
                    called.final >= 300 and word.rstrip("!") in FINALS))
                if case.gap_s:
                    pair.pump(lambda: False, case.gap_s)
        self.settle(case)

    def possible(self, moment: Moment) -> bool:
        """Whether its senders know what they need, or the call has failed before it."""
        self.repeat_answers()
        over = bool(self.pair.caller.failed) or self.pair.called.final >= 300
        return over or all(self.ready(moment, word) for word in moment)

    def settle(self, case: Case) -> None:
        """Until it is over for both, and nothing is left of it."""
        pair, caller, called = self.pair, self.pair.caller, self.pair.called
        self.settled = time.monotonic()
        if not pair.pump(self.over, PATIENCE_S):
            for peer, who in ((caller, "caller"), (called, "called")):
                if peer.left():
                    self.fault(case, f"the {who} is left in the call")
        until = time.monotonic() + PATIENCE_S
        pair.pump(lambda: not self.slots(running=True), until - time.monotonic())
        if left := self.slots(running=True):
            self.fault(case, f"slot left in state {[one['state'] for _, _, one in left]}")
            for slot, nonce, _ in left:
                self.exchange.live.end(slot, nonce, 0, 6, time.time_ns() // 1_000_000)
        elif not pair.pump(lambda: not self.slots(), PATIENCE_S):
            self.fault(case, "no record is made")
        now = int(time.time())
        if any(self.exchange.live.line_state(user, now) for user in self.users):
            self.fault(case, "a line is not idle")
        self.played[caller.call_id] = case, Facts(caller, called)

    def repeat_answers(self) -> None:
        """A 2xx is sent again until it is acknowledged (RFC 3261 section 13.3.1.4)."""
        called, now = self.pair.called, time.monotonic()
        if called.oks and now > self.again:
            self.again = now + T1_S
            for tag, text in called.oks.items():
                if not called.dialogs[tag].acknowledged and not called.dialogs[tag].over:
                    called.send(text)

    def over(self) -> bool:
        """Whether both believe so; what is still to be done by them is done."""
        caller, called = self.pair.caller, self.pair.called
        self.repeat_answers()
        # Call control takes the call itself: the called side cannot give up for its caller.
        heard = self.kind == "functions" or any(
            one.acknowledged for one in called.dialogs.values())
        for tag, dialog in caller.dialogs.items():
            other = called.dialogs.get(tag)
            if dialog.confirmed and not dialog.asked_to_end and not dialog.over \
                    and (caller.acks or caller.cancelled or heard or tag == self.pair.tag("b")) \
                    and not (other and other.asked_to_end):
                caller.finish(tag)
        now = time.monotonic()
        if now > self.settled + NO_ACK_S and not caller.failed:
            for tag in called.left():
                if not called.dialogs[tag].acknowledged and not called.dialogs[tag].asked_to_end:
                    called.send(called.bye(tag, CSEQ + GIVEN_UP, ""))
        if now > self.settled + QUIET_S and called.incoming and not called.final \
                and not caller.failed:
            called.send(called.ok(self.pair.tag("a")))  # somebody takes it in the end
        answered = any(one.confirmed for one in caller.dialogs.values())
        return not caller.waiting and not called.waiting and not caller.left() \
            and not called.left() and bool(caller.failed or answered)

    def slots(self, running: bool = False) -> list[tuple[int, int, dict[str, Any]]]:
        """Those of this company that are taken. running: and not over."""
        live = self.exchange.live
        return [(slot, nonce, dict(call)) for slot, nonce in live.calls()
                if (call := live.call(slot, nonce)) and call["tenant"] == self.company.id
                and not (running and call["ended_ms"])]

    def play_all(self, cases: list[Case]) -> None:
        """One after the other."""
        for case in cases:
            self.play(case)

    def fault(self, case: Case, what: str) -> None:
        """Keep it for the report."""
        self.faults.append((self.kind, case, what))

    # -- records ------------------------------------------------------------------------------

    def check_records(self, store: SqliteStore) -> None:
        """One of each call, with the times of what happened."""
        records: dict[str, list[CallRecord]] = {}
        for record in store.calls(tenant=self.company.id, limit=100_000):
            records.setdefault(record.call_id, []).append(record)
        for call_id, (case, facts) in self.played.items():
            found = records.pop(call_id, [])
            if len(found) != 1:
                self.fault(case, f"{len(found)} records")
            else:
                for what in facts.wrong(found[0], exact=self.kind != "functions"):
                    self.fault(case, what)
        for more in records.values():
            if self.kind != "functions":
                self.faults.append((self.kind, Case(()), f"a record of no call: {more}"))


class Facts:
    """What became of a call, as its two sides know it."""

    def __init__(self, caller: Caller, called: Called) -> None:
        self.answered = [one.withdrawn for one in caller.dialogs.values() if one.confirmed]
        self.failed = caller.failed
        said = [(at, text.split(" ", 1)[0], text) for peer in (caller, called)
                for at, text in peer.sent]
        ends = [at * 1000 for at, word, text in said
                if word in ("BYE", "CANCEL") or text.startswith("SIP/2.0 48")]
        self.first_end, self.last_end = min(ends, default=0.0), max(ends, default=0.0)
        self.first_ok = min((at for at, _, text in said if text.startswith("SIP/2.0 200")
                             and " INVITE\r\n" in text), default=0.0) * 1000

    def wrong(self, record: CallRecord, exact: bool) -> list[str]:
        """What does not fit."""
        found = []
        if not all(self.answered) and not self.failed and not record.answered_ms:
            found.append("answered, and the record says it was not")
        if not self.answered and self.failed and record.answered_ms:
            found.append("not answered, and the record says it was")
        if record.answered_ms and record.answered_ms > record.ended_ms:
            found.append("ended before it was answered")
        if exact and record.answered_ms and record.answered_ms < self.first_ok - SLACK_MS:
            found.append("answered too early")
        if exact and record.ended_ms < self.first_end - SLACK_MS:
            found.append("ended too early")
        if exact and record.ended_ms > self.last_end + PROMPT_MS:
            found.append("ended too late")
        return found


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Exchange]:
    """An exchange whose edge has two workers."""
    with Exchange(workers=2) as running:
        yield running


def test_no_order_leaves_anything_behind(two_workers: Exchange) -> None:
    """Over two workers, whichever message comes first."""
    faults = play_all(two_workers, sample(CASES, SEED))
    assert not faults, report(faults)


def play_all(exchange: Exchange, cases: list[Case]) -> list[Fault]:
    """The cases over lines of every kind; what was wrong."""
    lines = [Line(exchange, kind, index) for kind in KINDS for index in range(LINES)]
    with ThreadPoolExecutor(len(lines)) as pool:
        list(pool.map(Line.play_all, lines, (cases[index::len(lines)]
                                             for index in range(len(lines)))))
    eventually(lambda: not exchange.calls_in_progress())
    store = SqliteStore(exchange.state / "vaxel.db")
    for line in lines:
        line.check_records(store)
    left: list[str] = []

    def media_gone() -> bool:
        left[:] = asyncio.run(in_media(exchange))
        return not left

    faults = [fault for line in lines for fault in line.faults]
    try:
        eventually(media_gone)
    except AssertionError:
        faults.append(("", Case(()), f"media nodes have {left}"))
    if exchange.live.counter(EXCEPTIONS):
        faults.append(("", Case(()), f"exceptions: {exchange.log('kamailio')[-3000:]}"))
    return faults


def test_an_answer_without_an_ack_does_not_hold_for_hours(two_workers: Exchange) -> None:
    """The slot's lease is as long as the called side waits; the ACK makes it a long one."""
    line = Line(two_workers, "device", LINES)
    pair, caller = line.pair, line.pair.caller
    pair.begin()
    for word in ("invite", "180", "200"):
        assert pair.pump(lambda word=word: line.ready((), word), PATIENCE_S)
        pair.play([word])
    pair.play(["200"])
    assert pair.pump(lambda: sum(one.code == 200 for one in caller.heard) == 2, PATIENCE_S)
    assert lease_s(line) <= UNACKNOWLEDGED_S
    pair.play(["ack"])
    assert pair.pump(lambda: lease_s(line) > UNACKNOWLEDGED_S, PATIENCE_S)
    caller.acks = True
    line.settle(Case((*UP, ("ack",))))
    assert not line.faults


def test_another_answers_dialog_is_no_evidence_of_the_call(two_workers: Exchange) -> None:
    """A second answer's BYE, which ends nothing, kept the first one's slot for four hours."""
    line = Line(two_workers, "device", LINES + 1)
    pair, caller = line.pair, line.pair.caller
    pair.begin()
    for word in ("invite", "180", "200", "200b", "ackb", "endb"):
        assert pair.pump(lambda word=word: line.ready((), word), PATIENCE_S)
        pair.play([word])
        if word == "200":  # two workers may turn the two answers round
            assert pair.pump(lambda: any(one.code == 200 for one in caller.heard), PATIENCE_S)
    assert pair.pump(lambda: any(one.start.startswith("BYE") for one in caller.heard), PATIENCE_S)
    assert lease_s(line) <= UNACKNOWLEDGED_S
    caller.acks = True
    pair.play(["ack"])
    line.settle(Case((*UP, ("200b",), ("ackb", "endb", "ack"))))
    assert not line.faults


def lease_s(line: Line) -> float:
    """How long the only slot is believed in."""
    [(_, _, call)] = line.slots()
    return float(call["lease_until"]) - time.time()


async def in_media(exchange: Exchange) -> list[str]:
    """The calls that the media nodes have."""
    nodes = [Node("127.0.0.1", exchange.settings.media_port + index)
             for index in range(exchange.settings.media_nodes)]
    async with NgClient(nodes) as client:
        return [call for node in nodes for call in await client.calls(node)]


def report(faults: list[Fault]) -> str:
    """Each kind of fault with how often it came, and its smallest case."""
    counts = Counter((kind, what) for kind, _, what in faults)
    lines = []
    for (kind, what), count in counts.most_common():
        smallest = min((case for other, case, said in faults if (other, said) == (kind, what)),
                       key=lambda case: (sum(map(len, case.moments)), case.gap_s))
        lines.append(f"{count} x {kind}: {what}: {smallest}")
    return "\n".join(lines)
