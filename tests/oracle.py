"""The routing rules of docs/routing.md in plain Python, written from that page and not the kernel.

`decide` answers for a `World` as `routing_core.Kernel.decide` must. Numbers are text: "+46..." is
E.164, "112" is short, "" is none. Clarity before speed: nothing is indexed, nothing is cached.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, get_args
from zoneinfo import ZoneInfo

from routing_core.build import holidays_of
from routing_core.codes import Cause, Display, Diverted, Endpoint, Kind, Reason
from store import model
from store.model import ScheduleRule, Target

MAX_VISITED, MAX_STEPS, MAX_RINGING = 8, 32, 30
MAX_MEMBERS, MAX_TRUNKS, MAX_CANDIDATES, MAX_DIVERTERS = 64, 8, 32, 5
MAX_NAME_BYTES = 64
CODES: Final[dict[str, Display]] = {
    "#31#": Display.HIDDEN, "*51*": Display.MAIN, "*52*": Display.DIRECT,
    "*53*": Display.OWN_MOBILE, "*54*": Display.SUPPORT,
}
CHOICES: Final[dict[str, Display]] = {
    "main": Display.MAIN, "direct": Display.DIRECT, "mobile": Display.OWN_MOBILE,
    "support": Display.SUPPORT, "hidden": Display.HIDDEN,
}
#: Of a Reject; 480 for the others.
SIP_CODES: Final[dict[Reason, int]] = {
    Reason.UNKNOWN_NUMBER: 404, Reason.UNKNOWN_SOURCE: 403, Reason.BAD_NUMBER: 484,
    Reason.BARRED: 403, Reason.FORWARDING_LOOP: 482, Reason.TOO_MANY_FORWARDS: 483,
    Reason.USER_BUSY: 486, Reason.CALLER_BLOCKED: 603, Reason.NO_TRUNK: 503,
    Reason.NUMBER_NOT_OWNED: 403, Reason.NO_TARGET: 404, Reason.WRONG_TENANT: 404,
    Reason.USER_DISABLED: 404, Reason.BUSY_TARGET: 486,
}
#: How a user's attempt fails: the forwarding that applies, and the reason without one.
FAILURES: Final[dict[Cause, tuple[str, Reason]]] = {
    Cause.BUSY_HERE: ("busy", Reason.USER_BUSY), Cause.DECLINED: ("busy", Reason.USER_BUSY),
    Cause.NO_ANSWER: ("no_answer", Reason.USER_NO_ANSWER),
    Cause.UNREACHABLE: ("unreachable", Reason.USER_UNREACHABLE),
}
#: {country code: how many digits may stand behind it}, of the countries whose plans are known.
KNOWN: Final[dict[str, range]] = {"46": range(6, 14), "358": range(5, 13)}
KINDS: Final = get_args(model.DeviceKind)
_MASK: Final = (1 << 64) - 1


@dataclass
class LiveCall:
    """A call in progress: set up (somebody rings) until it is answered."""

    caller: int
    ringing: list[int]
    answerer: int | None
    lease_until: int


@dataclass
class World:
    """Configuration and live state.

    rows: {table: its rows of store.model, in the order of their ids}; presence: {user: (activity,
    until)}; logged_in: members; down_until: {trunk: Unix second}.
    """

    plans: dict[str, Any]
    rows: dict[str, list[Any]]
    presence: dict[int, tuple[int, int]] = field(default_factory=dict)
    logged_in: set[int] = field(default_factory=set)
    calls: list[LiveCall] = field(default_factory=list)
    down_until: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Trail:
    """What a call has been through."""

    seed: int
    tenant: int = 0
    caller: str = ""
    caller_user: int = 0
    device: int = 0
    wanted: str = ""
    code: Display = Display.INHERIT
    diverters: tuple[tuple[str, Diverted], ...] = ()
    visited: tuple[tuple[str, int], ...] = ()
    user: int = 0
    group: int = 0
    round: int = 0
    position: int = 0
    payer: int = 0
    called: str = ""
    record: bool = False


@dataclass
class Outcome:
    """A decision; display, shown and diverters mean something where a call goes somewhere."""

    kind: Kind
    reason: Reason
    code: int
    trail: Trail
    targets: list[tuple[int, int, int]] = field(default_factory=list)
    ring_s: int = 0
    display: Display = Display.INHERIT
    shown: str = ""
    dial: str = ""
    service: int = 0
    location: str = ""
    name: str = ""


class Refused(Exception):
    """The walk ends in a Reject."""

    def __init__(self, reason: Reason, code: int | None = None) -> None:
        super().__init__(reason, code)
        self.reason = reason
        self.code = code or SIP_CODES.get(reason, 480)


# -- reading a number ---------------------------------------------------------------------------

@dataclass
class Reading:
    """What was dialled; bad when it is nothing at all."""

    bad: bool = False
    code: Display = Display.INHERIT
    extension: str = ""
    number: str = ""
    emergency: bool = False


def read(dialled: str, plan: dict[str, Any]) -> Reading:
    """Section "Reading what was dialled"."""
    text = "".join(c for c in dialled if c not in "-.() ")
    found = Reading()
    if len(text) > 24:
        return Reading(bad=True)
    if text[:4] in CODES:
        found.code, text = CODES[text[:4]], text[4:]
    plus, digits = text.startswith("+"), text.removeprefix("+")
    if not (1 <= len(digits) <= 19 and digits.isascii() and digits.isdecimal()):
        return Reading(bad=True)

    def international(rest: str) -> Reading:
        as_e164 = read_e164(rest, plan)
        return replace(found, number=as_e164.number, emergency=as_e164.emergency,
                       bad=as_e164.bad and not found.extension)

    if plus:
        return international(digits)
    if digits[0] != "0" and digits in plan["emergency"]:
        return replace(found, number=digits, emergency=True)
    if digits[0] != "0" and 2 <= len(digits) <= 6:
        found.extension = digits
    if digits[0] != "0" and digits in plan["special"]:
        return replace(found, number=digits)
    for prefix in plan["international_prefixes"]:
        if digits.startswith(prefix) and len(digits) > len(prefix):
            return international(digits.removeprefix(prefix))
    if digits[0] == "0":
        whole = f"{plan['country_code']}{digits[1:]}"
        if len(whole) > 15 or len(digits) == 1 or digits[1] == "0":
            return Reading(bad=True)
        return international(whole)
    if 9 <= len(digits) <= 15:
        return replace(international(digits), bad=False)
    return found


def read_e164(digits: str, plan: dict[str, Any]) -> Reading:
    """Paragraph "As E.164"; digits without "+"."""
    for code, lengths in KNOWN.items():
        if digits.startswith(code):
            rest = digits.removeprefix(code).removeprefix("0")
            own = code == str(plan["country_code"])
            if own and rest in plan["emergency"]:
                return Reading(number=rest, emergency=True)
            if own and rest in plan["special"]:
                return Reading(number=rest)
            short = (len(rest) == 5 and rest[:2] in ("10", "11", "16")) \
                or (len(rest) == 6 and rest[:2] == "11")
            if len(rest) not in lengths or rest[0] == "0" or short:
                return Reading(bad=True)
            return Reading(number=f"+{code}{rest}")
    if not 6 <= len(digits) <= 15 or digits[0] == "0" or (
            digits[0] == "1" and (len(digits) != 11 or digits[1] in "01")):
        return Reading(bad=True)
    return Reading(number=f"+{digits}")


def number_class(number: str, plan: dict[str, Any]) -> str:
    """Of an E.164 or short number."""
    if not number.startswith("+"):
        return "special"
    fits = [(len(prefix), name) for name, prefixes in plan["classes"].items()
            for prefix in prefixes if number[1:].startswith(prefix)]
    return str(max(fits)[1]) if fits else "international"


# -- schedules ----------------------------------------------------------------------------------

def schedule_open(schedule: model.Schedule, now: int) -> bool:
    """Whether it is open at now (Unix seconds)."""
    if schedule.state != "auto":
        return schedule.state == "open"
    matching = [rule for rule in schedule.rules if _covers(schedule, rule, now)]
    return max(matching, key=lambda rule: rule.priority).open if matching else False


def _covers(schedule: model.Schedule, rule: ScheduleRule, now: int) -> bool:
    local = datetime.datetime.fromtimestamp(now, ZoneInfo(schedule.time_zone))
    minute, today = local.hour * 60 + local.minute, local.date()
    if rule.end > rule.start:
        return rule.start <= minute < rule.end and _on(schedule, rule, today)
    return (minute >= rule.start and _on(schedule, rule, today)) or (
        minute < rule.end and _on(schedule, rule, today - datetime.timedelta(days=1)))


def _on(schedule: model.Schedule, rule: ScheduleRule, day: datetime.date) -> bool:
    first, last = rule.from_date or "", rule.to_date or ""
    match rule.kind:
        case "daily":
            return True
        case "weekly":
            return day.weekday() in rule.weekdays
        case "monthly":
            return rule.from_day <= day.day <= rule.to_day
        case "yearly":
            at = f"{day:%m-%d}"
            return first <= at <= last if first <= last else at >= first or at <= last
        case "holiday":
            return (day - datetime.date(1970, 1, 1)).days in holidays_of(schedule.country)
    return first <= day.isoformat() <= last


# -- chance -------------------------------------------------------------------------------------

def mix(x: int) -> int:
    """splitmix64's finaliser."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _MASK
    return x ^ x >> 31


def splitmix64(state: int) -> Iterator[int]:
    """Random numbers of 64 bits from that state on."""
    while True:
        state = state + 0x9E3779B97F4A7C15 & _MASK
        yield mix(state)


# -- the walk -----------------------------------------------------------------------------------

class _Call:
    """One decision on its way."""

    def __init__(self, world: World, trail: Trail, now: int) -> None:
        self.world, self.rows = world, world.rows
        self.trail = trail
        self.now = now
        self.random = splitmix64(trail.seed)

    def get(self, table: str, **equal: Any) -> Any:
        """The first row with these values, or None."""
        return next((row for row in self.rows[table] if all(
            getattr(row, name) == value for name, value in equal.items())), None)

    def note(self, **values: Any) -> None:
        self.trail = replace(self.trail, **values)

    @property
    def tenant(self) -> model.Tenant:
        found: model.Tenant = self.get("tenant", id=self.trail.tenant)
        return found

    # -- where it comes from --------------------------------------------------------------------

    def from_trunk(self, source: int, dialled: str, calling: str) -> Target:
        trunk = self.get("trunk", id=source)
        if trunk is None or not trunk.enabled:
            raise Refused(Reason.UNKNOWN_SOURCE)
        plan = self.world.plans[trunk.country]
        self.note(tenant=trunk.tenant or 0, caller=read(calling, plan).number)
        target = self.must_be_number(read(dialled, plan))
        number = self.get("number", e164=target.text)
        if number is None or trunk.tenant not in (None, number.tenant):
            raise Refused(Reason.UNKNOWN_NUMBER)
        self.note(tenant=number.tenant)
        return target

    def from_device(self, source: int, dialled: str, wanted: str) -> Target | Outcome:
        device = self.get("device", id=source)
        user = self.get("user", id=device.user) if device else None
        tenant = self.get("tenant", id=user.tenant) if user else None
        if device is None or user is None or tenant is None:
            raise Refused(Reason.UNKNOWN_SOURCE)
        plan = self.world.plans[tenant.country]
        found = read(dialled, plan)
        code = found.code or (Display.HIDDEN if wanted == "anonymous" else Display.INHERIT)
        self.note(tenant=tenant.id, caller_user=user.id, device=device.id, payer=user.id,
                  record=user.record, code=code,
                  wanted=(read(wanted, plan).number or "nobody's") if wanted else "")
        if found.emergency:
            return self.emergency(user, device, found.number)
        if not user.enabled:
            raise Refused(Reason.USER_DISABLED, 403)
        text = "".join(c for c in dialled if c not in "-.() ")
        shows = 4 < len(text) <= 24 and text[:4] in CODES
        if found.bad and not shows and dialled.startswith(("*", "#")):
            return self.handover(Reason.DIAL_CODE, 0)
        return self.extension(found.extension) or self.must_be_number(found)

    def extension(self, digits: str) -> Target | None:
        if not digits:
            return None
        user = self.get("user", tenant=self.trail.tenant, extension=digits)
        if user:
            return Target(kind="user", user=user.id)
        group = self.get("ring_group", tenant=self.trail.tenant, extension=digits)
        return Target(kind="group", group=group.id) if group else None

    def must_be_number(self, found: Reading) -> Target:
        if not found.number:
            raise Refused(Reason.UNKNOWN_NUMBER if found.extension else Reason.BAD_NUMBER)
        return Target(kind="number", text=found.number)

    def walk(self, step: Target | Outcome | None) -> Outcome:
        """From target to target until there is an outcome."""
        for _ in range(MAX_STEPS):
            if isinstance(step, Outcome):
                return step
            if step is None:
                raise Refused(Reason.NO_TARGET)
            match step.kind:
                case "user":
                    step = self.to_user(step.user or 0)
                case "group":
                    step = self.to_group(step.group or 0)
                case "number":
                    step = self.to_number(step.text or "")
                case "busy":
                    raise Refused(Reason.BUSY_TARGET)
                case _:
                    return self.handover(Reason.SERVICE_TARGET, int(step.text or 0))
        if isinstance(step, Outcome):
            return step
        raise Refused(Reason.TOO_MANY_FORWARDS)

    def handover(self, reason: Reason, service: int) -> Outcome:
        code = 484 if reason == Reason.DIAL_CODE else 480
        return Outcome(Kind.HANDOVER, reason, code, self.trail, service=service)

    def functions(self, outcome: Outcome) -> Outcome:
        """A call on which somebody has functions is call control's from the beginning."""
        users = {self.trail.caller_user, *(user for _, _, user in outcome.targets)}
        if outcome.kind == Kind.RELAY and any(
                user.call_functions for id_ in users if (user := self.get("user", id=id_))):
            return self.handover(Reason.CALL_FUNCTIONS, 0)
        return outcome

    def busy(self, refused: Refused) -> Outcome | None:
        """For a person with functions who is busy one may wait."""
        if refused.reason != Reason.USER_BUSY or not self.trail.visited:
            return None
        kind, id_ = self.trail.visited[-1]
        user = self.get("user", id=id_) if kind == "user" else None
        if user is None or not user.call_functions:
            return None
        return replace(self.handover(Reason.USER_BUSY, id_), code=refused.code)

    def visit(self, mark: tuple[str, int]) -> None:
        if mark in self.trail.visited:
            raise Refused(Reason.FORWARDING_LOOP)
        if len(self.trail.visited) == MAX_VISITED:
            raise Refused(Reason.TOO_MANY_FORWARDS)
        self.note(visited=(*self.trail.visited, mark))

    # -- a number -------------------------------------------------------------------------------

    def to_number(self, text: str) -> Target | Outcome | None:
        number = self.get("number", e164=text)
        if number is None and text.startswith("+"):
            found = read_e164(text[1:], self.world.plans[self.tenant.country])
            if found.bad or found.emergency:
                raise Refused(Reason.BAD_NUMBER)
            text = found.number
            number = self.get("number", e164=text)
        if number is None:
            return self.outbound(text)
        if number.tenant != self.trail.tenant:
            self.check_barred(text)
            display, shown = self.choose_display()
            self.note(tenant=number.tenant, caller="" if display == Display.HIDDEN else shown,
                      caller_user=0, payer=0)
        self.note(called="mobile" if number.kind == "mobile" else "fixed",
                  record=self.trail.record or number.record)
        schedule = self.get("schedule", id=number.schedule) if number.schedule else None
        if schedule and not schedule_open(schedule, self.now):
            if number.closed_target is None:
                raise Refused(Reason.CLOSED_HOURS)
            closed: Target = number.closed_target
            return closed
        target: Target | None = number.target
        return target

    # -- a user ---------------------------------------------------------------------------------

    def own_number(self, user: int, kind: str) -> str:
        """The user's direct or mobile number."""
        for number in self.rows["number"]:
            if number.kind == kind and number.target and number.target.user == user:
                return str(number.e164)
        return ""

    def activity(self, user: int) -> Any:
        """The activity in force, or None."""
        id_, until = self.world.presence.get(user, (0, 0))
        ended = until and until <= self.now and self.tenant.activity_end == "available"
        return None if ended else self.get("activity", id=id_, tenant=self.tenant.id)

    def caller_rule(self, user: int) -> str:
        if not self.trail.caller_user:
            names = [self.trail.caller] if self.trail.caller.startswith("+") else []
        else:
            caller = self.get("user", id=self.trail.caller_user)
            names = [caller.extension, self.own_number(caller.id, "direct")]
        for name in names:
            rule = self.get("caller_rule", user=user, number=name) if name else None
            if rule:
                return str(rule.rule)
        return ""

    def line_busy(self, user: int) -> bool:
        return any(user == call.caller or user == call.answerer
                   or (call.answerer is None and user in call.ringing)
                   for call in self.world.calls if call.lease_until >= self.now)

    def forward(self, user: int, event: str, activity: int | None = None) -> model.Forward | None:
        fits = [row for row in self.rows["forward"]
                if row.user == user and row.event == event
                and row.activity in (None, activity) and row.called in ("any", self.trail.called)]
        return max(fits, default=None,
                   key=lambda row: (row.activity is not None, row.called != "any"))

    def follow(self, user: int, why: Diverted) -> None:
        """The user forwards the call."""
        name = self.own_number(user, "direct") or self.tenant.main_number
        diverters = (*self.trail.diverters, (name, why)) if name else self.trail.diverters
        if len(diverters) > MAX_DIVERTERS:
            diverters = (diverters[0], *diverters[-MAX_DIVERTERS + 1:])
        self.note(diverters=diverters, payer=user)

    def forward_or(self, user: int, event: str, reason: Reason,
                   why: Diverted | None = None) -> Target:
        forward = self.forward(user, event)
        if forward is None:
            raise Refused(reason)
        self.follow(user, why or {"busy": Diverted.FOR_BUSY, "no_answer": Diverted.FOR_NO_ANSWER,
                                  "unreachable": Diverted.FOR_UNAVAILABLE}[event])
        return forward.target

    def ringing_devices(self, user: int, kinds: tuple[str, ...]) -> list[tuple[int, int, int]]:
        return [(Endpoint.TO_DEVICE, device.id, user) for device in self.rows["device"]
                if device.user == user and device.enabled and device.kind in kinds]

    def to_user(self, id_: int) -> Target | Outcome:
        self.note(group=0)
        user = self.get("user", id=id_)
        if user is None or not user.enabled:
            raise Refused(Reason.USER_DISABLED)
        if user.tenant != self.trail.tenant:
            raise Refused(Reason.WRONG_TENANT)
        self.visit(("user", id_))
        rule = self.caller_rule(id_)
        if rule == "blocked":
            raise Refused(Reason.CALLER_BLOCKED)
        self.note(record=self.trail.record or user.record)
        always = self.forward(id_, "always")
        if always:
            self.follow(id_, Diverted.FOR_ALL)
            return always.target
        activity = self.activity(id_)
        if activity and rule != "vip":
            forward = self.forward(id_, "activity", activity.id)
            if forward:
                self.follow(id_, Diverted.FOR_AWAY)
                return forward.target
            if not activity.reachable:
                return self.handover(Reason.USER_AWAY, id_)
        if not user.call_waiting and self.line_busy(id_):
            return self.forward_or(id_, "busy", Reason.USER_BUSY)
        devices = self.ringing_devices(id_, KINDS)
        if not devices:
            return self.forward_or(id_, "unreachable", Reason.USER_UNREACHABLE)
        self.note(user=id_)
        return self.ring(devices, user.ring_s)

    def ring(self, devices: list[tuple[int, int, int]], ring_s: int) -> Outcome:
        display, shown = Display.ORIGINAL, self.trail.caller
        if self.trail.caller_user and self.trail.code == Display.HIDDEN:
            display, shown = Display.HIDDEN, ""
        elif self.trail.caller_user:
            extension = self.get("user", id=self.trail.caller_user).extension
            display, shown = Display.EXTENSION, f"+{extension}" if extension else ""
        return Outcome(Kind.RELAY, Reason.NONE, 0, self.trail, devices, ring_s, display, shown)

    # -- a group --------------------------------------------------------------------------------

    def to_group(self, id_: int) -> Target | Outcome:
        group = self.get("ring_group", id=id_)
        if group is None or group.tenant != self.trail.tenant:
            raise Refused(Reason.WRONG_TENANT)
        self.visit(("group", id_))
        self.note(group=id_, user=0, payer=0, round=0, record=self.trail.record or group.record)
        return self.ring_group(group, 0)

    def members(self, group: model.RingGroup) -> list[model.Member]:
        members = sorted((row for row in self.rows["member"] if row.ring_group == group.id),
                         key=lambda row: (row.priority, row.id))[:MAX_MEMBERS]
        if group.strategy == "random":
            self.random = splitmix64(mix(self.trail.seed ^ group.id))  # also for what follows
            for at in range(len(members) - 1, 0, -1):
                other = next(self.random) % (at + 1)
                members[at], members[other] = members[other], members[at]
        return members

    def ring_group(self, group: model.RingGroup, first: int) -> Target | Outcome:
        """Look at the members from that position on, in this round and those after it."""
        members = self.members(group)
        while True:
            present, ringing = False, []
            for position, member in enumerate(members[first:], first):
                user = self.get("user", id=member.user)
                if user is None or not user.enabled or user.tenant != group.tenant \
                        or member.id not in self.world.logged_in:
                    continue
                present = True
                activity = self.activity(user.id)
                if (activity and not activity.in_groups) \
                        or (group.skip_busy and self.line_busy(user.id)):
                    continue
                devices = self.ringing_devices(user.id, member.device_kinds)
                if devices and group.strategy != "parallel":
                    self.note(position=position)
                    return self.ring(devices, group.ring_s)
                ringing += devices
            if ringing:
                return self.ring(ringing[:MAX_RINGING], group.ring_s)
            if first == 0 or self.trail.round + 1 >= group.attempts:
                break
            self.note(round=self.trail.round + 1)
            first = 0
        nobody = not present and first == 0
        if nobody and self.trail.round == 0 and group.nobody:
            return group.nobody
        return self.leave(group, Reason.NOBODY_AVAILABLE if nobody else Reason.GROUP_NO_ANSWER)

    def leave(self, group: model.RingGroup, reason: Reason) -> Target:
        if group.no_answer is None:
            raise Refused(reason)
        return group.no_answer

    # -- going out ------------------------------------------------------------------------------

    def check_barred(self, number: str) -> None:
        name = number_class(number, self.world.plans[self.tenant.country])
        payer = self.get("user", id=self.trail.payer)
        if name in self.tenant.barred or (payer and name in payer.barred):
            raise Refused(Reason.BARRED)

    def outbound(self, number: str) -> Outcome:
        self.note(user=0, group=0)
        self.check_barred(number)
        display, shown = self.choose_display()
        routes = self.fitting(self.trail.tenant, number) or self.fitting(None, number)
        trunks = self.draw(routes)[:MAX_TRUNKS]
        if not trunks:
            raise Refused(Reason.NO_TRUNK)
        return self.relay_out(Kind.RELAY, trunks, display, shown, number)

    def relay_out(self, kind: Kind, trunks: list[int], display: Display, shown: str, dial: str,
                  location: str = "") -> Outcome:
        return Outcome(kind, Reason.NONE, 0, self.trail,
                       [(Endpoint.TO_TRUNK, trunk, 0) for trunk in trunks], 0, display,
                       shown, dial, location=location)

    def fitting(self, tenant: int | None, number: str) -> list[model.Route]:
        fits = [row for row in self.rows["route"] if row.tenant == tenant and (
            not row.prefix or number.startswith("+" + row.prefix))]
        longest = max((len(row.prefix) for row in fits), default=0)
        return [row for row in fits if len(row.prefix) == longest]

    def usable(self, trunk: int) -> bool:
        row = self.get("trunk", id=trunk)
        return bool(row and row.enabled and row.tenant in (None, self.trail.tenant))

    def draw(self, routes: list[model.Route]) -> list[int]:
        """The trunks in the order in which they are tried.

        A chosen route leaves its place to the last one, whatever that one's position.
        """
        up: list[int] = []
        down: list[int] = []
        left = routes[:MAX_CANDIDATES]
        while left:
            first = min(row.position for row in left)
            weights = [row.weight if row.position == first else 0 for row in left]
            at = next(self.random) % sum(weights)
            chosen = next(i for i in range(len(left)) if at < sum(weights[:i + 1]))
            trunk = left[chosen].trunk
            left[chosen] = left[-1]
            left.pop()
            if self.usable(trunk) and trunk not in (*up, *down):
                (down if self.world.down_until.get(trunk, 0) > self.now else up).append(trunk)
        return up + down

    def choose_display(self) -> tuple[Display, str]:
        """Section "Number display": what is shown, and which number that is."""
        trail, tenant = self.trail, self.tenant
        if not trail.caller_user:
            return Display.ORIGINAL, trail.caller
        user = self.get("user", id=trail.caller_user)
        choice = trail.code
        if not choice and trail.wanted:
            wanted = self.get("number", e164=trail.wanted)
            if wanted and wanted.tenant == tenant.id:
                return Display.REQUESTED, trail.wanted
            if tenant.foreign_number == "refuse":
                raise Refused(Reason.NUMBER_NOT_OWNED)
        device = self.get("device", id=trail.device)
        if not choice and device.display:
            choice = CHOICES[device.display]
        activity = self.activity(user.id)
        if not choice and activity and activity.role != "none":
            choice = {"work": Display.MAIN, "mobile": Display.OWN_MOBILE}[activity.role]
        choice = choice or CHOICES[user.display]
        direct = self.own_number(user.id, "direct")
        shown = {Display.DIRECT: direct, Display.OWN_MOBILE: self.own_number(user.id, "mobile"),
                 Display.SUPPORT: tenant.support_number or ""}.get(choice, "")
        if shown or choice == Display.HIDDEN:
            return choice, shown or tenant.main_number or direct
        return Display.MAIN, tenant.main_number or direct

    # -- emergency ------------------------------------------------------------------------------

    def emergency(self, user: model.User, device: model.Device, dialled: str) -> Outcome:
        area = self.get("area", id=device.area or user.area or self.tenant.area)
        number = area.centre if area else dialled
        own = self.own_number(user.id, "direct") or self.own_number(user.id, "mobile")
        display = Display.DIRECT if own else Display.MAIN
        shown = own or self.tenant.main_number or ""
        tenant = self.trail.tenant
        routes = (self.fitting(tenant, number) or self.fitting(None, number)
                  or [row for row in self.rows["route"] if row.tenant == tenant]
                  or [row for row in self.rows["route"] if row.tenant is None])
        trunks = self.draw(routes)
        if area and self.get("trunk", id=area.trunk, enabled=True):
            trunks = [area.trunk, *(trunk for trunk in trunks if trunk != area.trunk)]
        return self.relay_out(Kind.EMERGENCY, trunks[:MAX_TRUNKS], display, shown, number,
                              area.location if area else "")

    # -- after a failed attempt -----------------------------------------------------------------

    def resume(self, cause: Cause, redirected: str) -> Target | Outcome:
        trail = self.trail
        if trail.group:
            group = self.get("ring_group", id=trail.group)
            if group.strategy != "parallel":
                return self.ring_group(group, trail.position + 1)
            if trail.round + 1 >= group.attempts:
                return self.leave(group, Reason.GROUP_NO_ANSWER)
            self.note(round=trail.round + 1)
            return self.ring_group(group, 0)
        if trail.user and cause == Cause.REDIRECTED:
            found = read(redirected, self.world.plans[self.tenant.country])
            if found.bad:
                raise Refused(Reason.BAD_NUMBER, 480)
            target = self.extension(found.extension)
            if target is None and found.number and not found.emergency:
                target = Target(kind="number", text=found.number)
            if target is None:
                raise Refused(Reason.NO_TARGET)
            self.follow(trail.user, Diverted.FOR_DEFLECTION)
            return target
        event, reason = FAILURES.get(cause, FAILURES[Cause.UNREACHABLE])
        if trail.user:
            return self.forward_or(trail.user, event, reason, Diverted.FOR_DEFLECTION
                                   if cause == Cause.DECLINED else None)
        raise Refused(reason, 603 if cause == Cause.DECLINED else None)


def contact_name(world: World, tenant: int, number: str) -> str:
    """What a company's directory calls a number: its own contact before a shared one."""
    found = [row for row in world.rows.get("contact", ())
             if row.tenant == tenant and (row.user is None or row.shared)
             and number in [one.e164 for one in row.numbers]]
    found.sort(key=lambda row: (row.user is not None, row.id))
    for row in found:
        printed = " ".join("".join(c if c.isprintable() else " " for c in row.name).split())
        while len(printed.encode()) > MAX_NAME_BYTES:
            printed = printed[:-1]
        if printed.strip():
            return printed.strip()
    return ""


def decide(world: World, device: bool, source: int, called: str, calling: str, now: int,
           seed: int, wanted: str = "", trail: Trail | None = None,
           cause: Cause = Cause.FIRST) -> Outcome:
    """As Kernel.decide; device: the source is a device's id, otherwise a trunk's."""
    found = _decide(world, device, source, called, calling, now, seed, wanted, trail, cause)
    to_phones = found.kind == Kind.RELAY and found.targets[0][0] == Endpoint.TO_DEVICE
    if (to_phones or found.kind == Kind.HANDOVER) and found.trail.caller \
            and not found.trail.caller_user:
        found.name = contact_name(world, found.trail.tenant, found.trail.caller)
    return found


def _decide(world: World, device: bool, source: int, called: str, calling: str, now: int,
            seed: int, wanted: str, trail: Trail | None, cause: Cause) -> Outcome:
    call = _Call(world, trail or Trail(seed), now)
    try:
        if trail:
            return call.walk(call.resume(cause, called))
        if device:
            return call.functions(call.walk(call.from_device(source, called, wanted)))
        return call.functions(call.walk(call.from_trunk(source, called, calling)))
    except Refused as refused:
        waits = None if trail else call.busy(refused)
        return waits or Outcome(Kind.REJECT, refused.reason, refused.code, call.trail)
