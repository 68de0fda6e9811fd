"""Whether the rules of a schedule can stand: real dates, and no doubt about who decides.

Two rules of the same priority that say different things about the same minute leave the answer to
chance; the administrator hears which two, and on which day.
"""

import datetime
from bisect import bisect_left, bisect_right

from api.http.errors import invalid
from routing_core.build import holidays_of
from store.model import Schedule, ScheduleRule

EPOCH = datetime.date(1970, 1, 1)
#: A leap year and the one after it hold every weekday, month day and holiday combination that
#: rules without a year can meet often enough to matter.
SAMPLE = [datetime.date(2028, 1, 1) + datetime.timedelta(days) for days in range(731)]


def check(schedule: Schedule) -> None:
    """Raise the Problem that the rules have, with the field."""
    for index, rule in enumerate(schedule.rules):
        _check_rule(f"rules[{index}]", rule)
    pairs = [(i, j) for j, b in enumerate(schedule.rules) for i, a in enumerate(schedule.rules[:j])
             if a.priority == b.priority and a.open != b.open]
    if not pairs:
        return
    sampled = set(SAMPLE)
    for rule in schedule.rules:
        if rule.kind == "dates":
            first, last = _dates(rule)
            sampled.update(first + datetime.timedelta(day)
                           for day in range(-1, min((last - first).days, 400) + 2))
    days, holidays = sorted(sampled), frozenset(holidays_of(schedule.country))
    today = _Days(days, holidays)
    yesterday = _Days([day - datetime.timedelta(1) for day in days], holidays)
    covered = [_covered(rule, today, yesterday) for rule in schedule.rules]
    for i, j in pairs:
        clash = _common(covered[i], covered[j])
        if clash:
            day = days[(clash & -clash).bit_length() - 1]
            raise invalid(f"rules[{j}].priority",
                          f"rules {i + 1} and {j + 1} have the same priority and contradict each "
                          f"other on {day.isoformat()}: give one of them a higher priority")


def _check_rule(field: str, rule: ScheduleRule) -> None:
    if rule.start == rule.end:
        raise invalid(f"{field}.end", "the rule covers no time: start and end are equal")
    if rule.kind == "weekly" and not rule.weekdays:
        raise invalid(f"{field}.weekdays", "a weekly rule needs weekdays, 0 (Monday) to 6")
    if rule.kind == "monthly" and rule.from_day > rule.to_day:
        raise invalid(f"{field}.to_day", "before from_day")
    if rule.kind in ("yearly", "dates"):
        for name in ("from_date", "to_date"):
            text = getattr(rule, name)
            if text is None:
                raise invalid(f"{field}.{name}", f"a {rule.kind} rule needs it")
            if (len(text) == 5) != (rule.kind == "yearly"):
                raise invalid(f"{field}.{name}",
                              "MM-DD" if rule.kind == "yearly" else "YYYY-MM-DD")
            if rule.kind == "dates" and not "2000" <= text[:4] <= "2100":
                raise invalid(f"{field}.{name}", "a year from 2000 to 2100")
            try:
                datetime.date.fromisoformat(text if rule.kind == "dates" else f"2028-{text}")
            except ValueError as error:
                raise invalid(f"{field}.{name}", "there is no such date") from error
        if rule.kind == "dates":
            first, last = _dates(rule)
            if last < first:
                raise invalid(f"{field}.to_date", "before from_date")


def _dates(rule: ScheduleRule) -> tuple[datetime.date, datetime.date]:
    return (datetime.date.fromisoformat(rule.from_date or ""),
            datetime.date.fromisoformat(rule.to_date or ""))


#: (first minute, the one after the last, the days on which that is covered, a bit each)
_Cover = list[tuple[int, int, int]]


class _Days:
    """Sets of some days, as the bits of numbers: a hundred rules meet on thousands of days."""

    def __init__(self, days: list[datetime.date], holidays: frozenset[int]) -> None:
        self._days = days
        kinds: dict[tuple[str, int | str], list[int]] = {}
        for i, day in enumerate(days):
            for key in (("weekly", day.weekday()), ("monthly", day.day),
                        ("yearly", f"{day:%m-%d}"),
                        ("holiday", int((day - EPOCH).days in holidays))):
                kinds.setdefault(key, []).append(i)
        self._kinds = {key: _bits(found, len(days)) for key, found in kinds.items()}

    def of(self, rule: ScheduleRule) -> int:
        """Those on which the rule applies."""
        if rule.kind == "daily":
            return (1 << len(self._days)) - 1
        if rule.kind == "dates":
            first, last = _dates(rule)
            return (1 << bisect_right(self._days, last)) - (1 << bisect_left(self._days, first))
        found = 0
        for (kind, value), bits in self._kinds.items():
            if kind == rule.kind and _holds(rule, value):
                found |= bits
        return found


def _bits(of: list[int], size: int) -> int:
    found = bytearray(size // 8 + 1)
    for i in of:
        found[i // 8] |= 1 << i % 8
    return int.from_bytes(found, "little")


def _holds(rule: ScheduleRule, value: int | str) -> bool:
    match rule.kind:
        case "weekly":
            return value in rule.weekdays
        case "monthly":
            return rule.from_day <= int(value) <= rule.to_day
        case "yearly":
            at, first, last = str(value), rule.from_date or "", rule.to_date or ""
            return first <= at <= last if first <= last else at >= first or at <= last
        case _:
            return bool(value)


def _covered(rule: ScheduleRule, today: _Days, yesterday: _Days) -> _Cover:
    if rule.start < rule.end:
        return [(rule.start, rule.end, today.of(rule))]
    return [(rule.start, 1440, today.of(rule)), (0, rule.end, yesterday.of(rule))]


def _common(one: _Cover, two: _Cover) -> int:
    """The days on which both cover the same minute."""
    found = 0
    for start, end, days in one:
        for other_start, other_end, other_days in two:
            if start < other_end and other_start < end:
                found |= days & other_days
    return found
