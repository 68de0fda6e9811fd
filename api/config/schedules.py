"""Whether the rules of a schedule can stand: real dates, and no doubt about who decides.

Two rules of the same priority that say different things about the same minute leave the answer to
chance; the administrator hears which two, and on which day.
"""

import datetime
from collections.abc import Iterator

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
    holidays = frozenset(holidays_of(schedule.country))
    days = set(SAMPLE)
    for rule in schedule.rules:
        if rule.kind == "dates":
            first, last = _dates(rule)
            days.update(first + datetime.timedelta(day)
                        for day in range(-1, min((last - first).days, 400) + 2))
    pairs = [(i, j) for j, b in enumerate(schedule.rules) for i, a in enumerate(schedule.rules[:j])
             if a.priority == b.priority and a.open != b.open]
    for i, j in pairs:
        day = next(_clashes(schedule.rules[i], schedule.rules[j], days, holidays), None)
        if day:
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


def _applies(rule: ScheduleRule, day: datetime.date, holidays: frozenset[int]) -> bool:
    match rule.kind:
        case "daily":
            return True
        case "weekly":
            return day.weekday() in rule.weekdays
        case "monthly":
            return rule.from_day <= day.day <= rule.to_day
        case "yearly":
            at, first, last = f"{day:%m-%d}", rule.from_date or "", rule.to_date or ""
            return first <= at <= last if first <= last else at >= first or at <= last
        case "holiday":
            return (day - EPOCH).days in holidays
        case _:
            first_day, last_day = _dates(rule)
            return first_day <= day <= last_day


def _minutes(rule: ScheduleRule, day: datetime.date,
             holidays: frozenset[int]) -> Iterator[tuple[int, int]]:
    if rule.start < rule.end:
        if _applies(rule, day, holidays):
            yield rule.start, rule.end
        return
    if _applies(rule, day, holidays):
        yield rule.start, 1440
    if _applies(rule, day - datetime.timedelta(1), holidays):
        yield 0, rule.end


def _clashes(a: ScheduleRule, b: ScheduleRule, days: set[datetime.date],
             holidays: frozenset[int]) -> Iterator[datetime.date]:
    for day in sorted(days):
        theirs = list(_minutes(b, day, holidays))
        if any(start < other_end and other_start < end
               for start, end in _minutes(a, day, holidays) for other_start, other_end in theirs):
            yield day
