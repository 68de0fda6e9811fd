"""Every recorded decision made again, with the configuration of now and with the changed one, in
the live state of then."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from api.whatif.past import Past, facts_of
from api.whatif.shapes import (
    HOUR_MS,
    Decisions,
    DifferingCall,
    HourCount,
    Moved,
    NumberCount,
    Outcome,
    OutcomeCount,
    Side,
)
from api.whatif.then import LOGIN, PRESENCE, Facts, Seen, Then, seen_of, trail_of
from routing_core import Decision, Kernel
from routing_core.codes import Endpoint, Kind, Reason
from routing_core.explain import explain, reason_code
from store.model import Event

#: Calls that are kept with both explanations, and rows of each table of the answer.
MAX_KEPT: Final = 1000
MAX_ROWS: Final = 500
#: An Outcome without its name: kind, id, reason.
Label = tuple[str, int, int]
_HANDED: Final = {Reason.SERVICE_TARGET: "service", Reason.USER_AWAY: "away",
                  Reason.USER_BUSY: "busy_functions", Reason.CALL_FUNCTIONS: "call_functions",
                  Reason.DIAL_CODE: "dial_code"}
_NO_SEEN: Final[Seen] = ()

Names = Callable[[str, int], str]


class Two(NamedTuple):
    """What belongs to the configuration of now, and to the changed one."""

    before: Any
    after: Any


class Turn(NamedTuple):
    """A call that went to a service before or does so after."""

    at_ms: int
    uid: str
    before: Label
    after: Label


class Busy(NamedTuple):
    """A call of a user."""

    user: int
    began_ms: int
    ended_ms: int
    uid: str


class Replay:
    """Of a period: run() it. kernels, names: of both configurations; then: the live state, which
    both kernels look at; doors: services whose callers are to be told (`turns`); agents: users
    whose calls are (`busy`)."""

    def __init__(self, past: Past, kernels: Two, names: Two, then: Then, *,
                 doors: frozenset[int] = frozenset(),
                 agents: frozenset[int] = frozenset()) -> None:
        self._past = past
        self._kernels: tuple[Kernel, Kernel] = kernels
        self._names: tuple[Names, Names] = names
        self._then = then
        self._doors = doors
        self._agents = agents
        self.turns: list[Turn] = []
        self.busy: list[Busy] = []
        self.kept: list[DifferingCall] = []
        self._handed: set[str] = set()
        self._moved: Counter[tuple[Label, Label]] = Counter()
        self._same: Counter[Label] = Counter()
        self._called: Counter[str] = Counter()
        self._called_differ: Counter[str] = Counter()
        self._hours: dict[int, list[int]] = {}
        self._calls = self._legs = self._attempts = self._legs_differ = 0
        self._as_recorded = self._assumed = self._unreadable = 0

    def run(self, begin_ms: int, end_ms: int, told: Callable[[int], object]) -> Decisions:
        """told(records) hears how many have been gone through."""
        known = self._past.events(("presence", "login"), end_ms)
        event = next(known, None)
        done = 0
        for page in self._past.calls(begin_ms, end_ms):
            for record in page:
                while event is not None and event.at_ms <= record.started_ms:
                    self._know(event)
                    event = next(known, None)
                self._call(record)
            done += len(page)
            told(done)
        return self._answer()

    def _know(self, event: Event) -> None:
        data = event.data if isinstance(event.data, dict) else {}
        if event.kind == "presence":
            self._then.set(PRESENCE, int(data.get("user", 0)),
                           int(data.get("until", 0)) << 24 | int(data.get("activity") or 0))
        else:
            self._then.set(LOGIN, int(data.get("member", 0)), int(data.get("logged_in", True)))

    # -- one call -----------------------------------------------------------------------------

    def _call(self, record: Any) -> None:
        leg = record.conversation
        then, at_ms, uid = self._then, record.started_ms, leg or record.uid
        then.forget(at_ms)
        try:
            found = self._decide(record, uid)
        except (ValueError, OverflowError, msgspec.MsgspecError):
            self._unreadable += 1
            found = None
        for user, began_ms in ((record.caller_user, at_ms), (record.answerer, record.answered_ms)):
            if user and began_ms and record.ended_ms > began_ms:
                then.talks(user, began_ms, record.ended_ms, uid)
                if user in self._agents:
                    self.busy.append(Busy(user, began_ms, record.ended_ms, uid))
        if found is None:
            return
        before, after, differs = found
        if leg:
            self._legs += 1
            # A call that goes elsewhere has not these legs.
            self._legs_differ += differs and leg not in self._handed
            return
        self._calls += 1
        hour = self._hours.setdefault(at_ms // HOUR_MS, [0, 0])
        hour[0] += 1
        self._called[record.called] += 1
        if differs:
            hour[1] += 1
            self._called_differ[record.called] += 1
            self._moved[before, after] += 1
            if before[0] in _HANDED.values():
                self._handed.add(record.uid)
        else:
            self._same[before] += 1
        if (before[0] == "service" and before[1] in self._doors) \
                or (after[0] == "service" and after[1] in self._doors):
            self.turns.append(Turn(at_ms, record.uid, before, after))

    def _decide(self, record: Any, uid: str) -> tuple[Label, Label, bool] | None:
        """Attempt by attempt, until they differ; (before, after, whether they do), None when no
        decision is recorded."""
        first, second = self._kernels
        last: tuple[Decision, Decision] | None = None
        as_recorded, assumed = True, False
        for attempt, facts in enumerate(facts_of(record.decisions) or ()):
            if not isinstance(facts, Facts):
                self._unreadable += attempt == 0
                as_recorded = False
                break
            wanted = trail_of(facts)
            if last is None:
                trails = wanted, wanted
            elif last[0].kind != Kind.RELAY:
                as_recorded = False
                break
            else:
                trails = last[0].trail, last[1].trail
                as_recorded = as_recorded and trails[0] == wanted
            seen = seen_of(facts.observed) if facts.observed else _NO_SEEN
            at_ms = record.started_ms if attempt == 0 else facts.now * 1000
            a, saw_a, same = self._then.decide(first, facts, seen, trails[0], at_ms, uid)
            b, saw_b, _ = self._then.decide(second, facts, seen, trails[1], at_ms, uid)
            self._attempts += 1
            as_recorded = as_recorded and same
            assumed = assumed or bool(saw_a or saw_b)
            last = a, b
            if _seen(a) != _seen(b):
                if not record.conversation and len(self.kept) < MAX_KEPT:
                    self._keep(record, uid, facts, seen, trails, attempt, at_ms)
                self._tally(record, as_recorded, assumed)
                return _label(a), _label(b), True
        if last is None:
            return None
        self._tally(record, as_recorded, assumed)
        label = _label(last[0])
        return label, label, False

    def _tally(self, record: Any, as_recorded: bool, assumed: bool) -> None:
        if not record.conversation:
            self._as_recorded += as_recorded
            self._assumed += assumed

    def _keep(self, record: Any, uid: str, facts: Facts, seen: Seen,
              trails: tuple[bytes | None, bytes | None], attempt: int, at_ms: int) -> None:
        """Both explanations."""
        sides: list[Side] = []
        found: list[Decision] = []
        for kernel, names, trail in zip(self._kernels, self._names, trails, strict=True):
            trace: list[Any] = []
            decision = self._then.decide(kernel, facts, seen, trail, at_ms, uid, trace).decision
            found.append(decision)
            sides.append(Side(
                outcome=outcome(_label(decision), names), shown=decision.shown_number,
                telephones=[id_ for kind, id_, _ in decision.targets if kind == Endpoint.TO_DEVICE],
                trunks=[id_ for kind, id_, _ in decision.targets if kind == Endpoint.TO_TRUNK],
                lines=explain(trace, names) if decision.tenant in (0, self._past.tenant)
                else ["goes on in another company"]))
        differs = [name for name, a, b in zip(_WHAT, _seen(found[0]), _seen(found[1]), strict=True)
                   if a != b]
        self.kept.append(DifferingCall(
            position=len(self.kept) + 1, uid=record.uid, at_ms=record.started_ms,
            caller=record.caller, called=record.called, attempt=attempt + 1, differs=differs,
            before=sides[0], after=sides[1]))

    # -- all of them --------------------------------------------------------------------------

    def _answer(self) -> Decisions:
        moved = self._moved.most_common(MAX_ROWS)
        before, after = self._same.copy(), self._same.copy()
        for (old, new), calls in self._moved.items():
            before[old] += calls
            after[new] += calls
        labels = sorted(before.keys() | after.keys(), key=lambda label: (
            -abs(after[label] - before[label]), -before[label], label))
        numbers = self._called_differ.most_common(MAX_ROWS)
        return Decisions(
            calls=self._calls, legs=self._legs, attempts=self._attempts,
            differ=self._moved.total(), legs_differ=self._legs_differ,
            as_recorded=self._as_recorded, assumed=self._assumed, unreadable=self._unreadable,
            moved=[Moved(before=outcome(old, self._names[0]), after=outcome(new, self._names[1]),
                         calls=calls) for (old, new), calls in moved],
            outcomes=[OutcomeCount(outcome=outcome(label, self._names[int(not before[label])]),
                                   before=before[label], after=after[label])
                      for label in labels[:MAX_ROWS]],
            numbers=[NumberCount(called=called, calls=self._called[called], differ=differ)
                     for called, differ in numbers],
            hours=[HourCount(at_ms=hour * HOUR_MS, calls=calls, differ=differ)
                   for hour, (calls, differ) in sorted(self._hours.items())],
            left_out=sum((len(self._moved) - len(moved), max(0, len(labels) - MAX_ROWS),
                          len(self._called_differ) - len(numbers))))


#: What is compared of two decisions, in the order of _seen().
_WHAT: Final = ("kind", "reason", "service", "group", "shown", "number", "targets")


def _seen(d: Decision) -> tuple[Any, ...]:
    return (d.kind, d.reason, d.service_id, d.group, d.shown_number, d.number_to_dial, d.targets)


def _label(d: Decision) -> Label:
    if d.kind == Kind.REJECT:
        return "refused", 0, d.reason
    if d.kind == Kind.HANDOVER:
        return _HANDED[Reason(d.reason)], d.service_id, 0
    if d.kind == Kind.EMERGENCY:
        return "emergency", d.area, 0
    if d.group:
        return "group", d.group, 0
    for kind, id_, user in d.targets:
        return ("trunk", id_, 0) if kind == Endpoint.TO_TRUNK else ("user", user, 0)
    return "nothing", 0, 0


_TABLES: Final = {"user": "user", "away": "user", "busy_functions": "user", "group": "ring_group",
                  "service": "service", "trunk": "trunk", "emergency": "area"}


def outcome(label: Label, names: Names) -> Outcome:
    """With its name."""
    kind, id_, reason = label
    table = _TABLES.get(kind)
    return msgspec.convert({
        "kind": kind, "id": id_ or None, "name": names(table, id_) if table and id_ else "",
        "reason": reason_code(reason) if reason else ""}, Outcome)


def pages(items: list[DifferingCall]) -> Iterator[bytes]:
    """One line of JSON each."""
    return (msgspec.json.encode(item) + b"\n" for item in items)
