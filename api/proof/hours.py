"""A year of opening hours, exactly: when each schedule is open, and the situations that all of them
together make. The rules are those of routing_core/hours.pyx.

A set of moments is a whole number with a bit for each situation (which schedules are open, which
closed), so "while this one is closed and that one open" is one `&`.
"""

import datetime
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from routing_core.build import holidays_of, zone_changes
from store.model import Schedule, ScheduleRule

EPOCH: Final = datetime.date(1970, 1, 1)
DAY_S: Final = 86_400
YEAR_DAYS: Final = 366

#: Open from the first to the second, from the third to the fourth, ...
Bounds = tuple[int, ...]
#: A set of situations.
Moments = int


class _Day(NamedTuple):
    number: int
    weekday: int
    of_month: int
    text: str   # MM-DD


@lru_cache(maxsize=8)
def _days(first: int, count: int) -> tuple[_Day, ...]:
    dates = [EPOCH + datetime.timedelta(day) for day in range(first, first + count)]
    return tuple(_Day(first + i, date.weekday(), date.day, f"{date:%m-%d}")
                 for i, date in enumerate(dates))


@lru_cache(maxsize=8)
def _holidays(country: str) -> frozenset[int]:
    return frozenset(holidays_of(country))


def _applies(rule: ScheduleRule, days: tuple[_Day, ...], country: str) -> Iterator[int]:
    """The positions of the days on which the rule begins."""
    at = enumerate(days)
    match rule.kind:
        case "daily":
            return iter(range(len(days)))
        case "weekly":
            return (i for i, day in at if day.weekday in rule.weekdays)
        case "monthly":
            return (i for i, day in at if rule.from_day <= day.of_month <= rule.to_day)
        case "yearly":
            first, last = rule.from_date or "", rule.to_date or ""
            if first <= last:
                return (i for i, day in at if first <= day.text <= last)
            return (i for i, day in at if day.text >= first or day.text <= last)
        case "holiday":
            holidays = _holidays(country)
            return (i for i, day in at if day.number in holidays)
        case _:
            from_day, to_day = ((datetime.date.fromisoformat(text or "") - EPOCH).days
                                for text in (rule.from_date, rule.to_date))
            return (i for i, day in at if from_day <= day.number <= to_day)


def _profile(rules: tuple[ScheduleRule, ...], today: int, before: int) -> list[tuple[int, int]]:
    """Open minutes of a day. today, before: bits of the rules that begin on it, the day before."""
    parts: list[tuple[int, int, ScheduleRule]] = []
    for i, rule in enumerate(rules):
        wraps = rule.end <= rule.start
        if today >> i & 1:
            parts.append((rule.start, 1440 if wraps else rule.end, rule))
        if wraps and before >> i & 1:
            parts.append((0, rule.end, rule))
    edges = sorted({0, 1440, *(part[0] for part in parts), *(part[1] for part in parts)})
    found: list[tuple[int, int]] = []
    for start, end in pairwise(edges):
        rule_now = max((part[2] for part in parts if part[0] <= start < part[1]),
                       key=lambda rule: rule.priority, default=None)
        if rule_now is not None and rule_now.open:
            if found and found[-1][1] == start:
                found[-1] = found[-1][0], end
            else:
                found.append((start, end))
    return found


@lru_cache(maxsize=1024)
def open_hours(time_zone: str, country: str, rules: tuple[ScheduleRule, ...], first_day: int,
               count: int) -> Bounds:
    """When these rules say open, in the `count` days of UTC from first_day on (days since 1970)."""
    days = _days(first_day - 2, count + 4)
    begins = [0] * len(days)
    for i, rule in enumerate(rules):
        for position in _applies(rule, days, country):
            begins[position] |= 1 << i
    wrapping = sum(1 << i for i, rule in enumerate(rules) if rule.end <= rule.start)
    profiles: dict[tuple[int, int], list[tuple[int, int]]] = {}
    local: list[tuple[int, int]] = []
    for position in range(1, len(days)):
        key = begins[position], begins[position - 1] & wrapping
        if key not in profiles:
            profiles[key] = _profile(rules, *key)
        midnight = days[position].number * DAY_S
        local += [(midnight + start * 60, midnight + end * 60) for start, end in profiles[key]]
    return _in_utc(local, time_zone, first_day * DAY_S, (first_day + count) * DAY_S)


def _in_utc(local: list[tuple[int, int]], time_zone: str, first: int, last: int) -> Bounds:
    """Local seconds as Unix seconds: an hour that comes twice is there twice, one that is left out
    is not there."""
    found: list[int] = []
    for begin, end, offset in _offsets(*zone_changes(time_zone), first, last):
        for start, stop in local:
            start, stop = max(start - offset, begin), min(stop - offset, end)
            if start < stop:
                if found and found[-1] == start:
                    found[-1] = stop
                else:
                    found += [start, stop]
    return tuple(found)


def _offsets(offset: int, changes: Iterable[tuple[int, int]], first: int,
             last: int) -> Iterator[tuple[int, int, int]]:
    """(from, to, offset) between first and last."""
    for at, after in changes:
        if at > first:
            if at >= last:
                break
            yield first, at, offset
            first = at
        offset = after
    yield first, last, offset


def bounds_of(schedule: Schedule, first_day: int, count: int) -> Bounds:
    """When the schedule is open; set by hand, the rules are not asked."""
    if schedule.state == "open":
        return first_day * DAY_S, (first_day + count) * DAY_S
    if schedule.state == "closed":
        return ()
    return open_hours(schedule.time_zone, schedule.country, schedule.rules, first_day, count)


class _Profiles(NamedTuple):
    """The different days that a schedule has, each as open seconds of the UTC day; of_day: which
    one each day is."""

    profiles: list[Bounds]
    of_day: list[int]


@lru_cache(maxsize=1024)
def _profiles(schedule: Schedule, first_day: int, count: int) -> _Profiles:
    cut: list[list[int]] = [[] for _ in range(count)]
    bounds = bounds_of(schedule, first_day, count)
    for start, end in zip(bounds[::2], bounds[1::2], strict=True):
        while start < end:
            day = start // DAY_S
            stop = min(end, (day + 1) * DAY_S)
            cut[day - first_day] += start - day * DAY_S, stop - day * DAY_S
            start = stop
    known: dict[Bounds, int] = {}
    of_day = [known.setdefault(tuple(day), len(known)) for day in cut]
    return _Profiles(list(known), of_day)


class _Calendar(NamedTuple):
    """The different days that the schedules have together, each as (from that second of the UTC day
    on, that situation); of_day: which one each day is; moments: when each schedule is open."""

    days: list[list[tuple[int, int]]]
    of_day: list[int]
    moments: dict[int, Moments]


@lru_cache(maxsize=64)
def _calendar(schedules: tuple[Schedule, ...], first_day: int, count: int) -> _Calendar:
    parts = [_profiles(schedule, first_day, count) for schedule in schedules]
    situations: dict[int, int] = {}
    days: dict[tuple[int, ...], int] = {}
    found: list[list[tuple[int, int]]] = []
    of_day = []
    for key in zip(*(part.of_day for part in parts), strict=True) if parts else [()] * count:
        if key not in days:
            days[key] = len(days)
            flips: dict[int, int] = {0: 0}
            for bit, (part, profile) in enumerate(zip(parts, key, strict=True)):
                for at in part.profiles[profile]:
                    flips[at] = flips.get(at, 0) ^ 1 << bit
            flips.pop(DAY_S, None)
            open_now, day = 0, []
            for at in sorted(flips):
                open_now ^= flips[at]
                day.append((at, situations.setdefault(open_now, len(situations))))
            found.append(day)
        of_day.append(days[key])
    return _Calendar(found, of_day, {
        schedule.id: sum(1 << i for i, state in enumerate(situations) if state >> bit & 1)
        for bit, schedule in enumerate(schedules)})


class Year:
    """The coming years of a company's schedules. always: all moments from now on."""

    def __init__(self, schedules: Iterable[Schedule], now: int, years: int = 1) -> None:
        self.start = now - now % 60
        self._first_day = self.start // DAY_S
        count = years * YEAR_DAYS + 1
        self.end = (self._first_day + count) * DAY_S
        self._calendar = _calendar(tuple(schedules), self._first_day, count)
        self.always: Moments = self.at(self.start)
        for at, situation in self._day(0):
            if at > self.start:
                self.always |= 1 << situation
        for kind in set(self._calendar.of_day[1:]):
            for _, situation in self._calendar.days[kind]:
                self.always |= 1 << situation

    def _day(self, position: int) -> Iterator[tuple[int, int]]:
        """(from that second on, that situation) of a day."""
        midnight = (self._first_day + position) * DAY_S
        return ((midnight + at, situation) for at, situation
                in self._calendar.days[self._calendar.of_day[position]])

    @property
    def count(self) -> int:
        """How many situations there are."""
        return self.always.bit_count()

    def open(self, schedule: int | None) -> Moments:
        """When that schedule is open; one that is not there is."""
        if schedule is None:
            return self.always
        return self._calendar.moments.get(schedule, self.always) & self.always

    def stretches(self, moments: Moments) -> Iterator[tuple[int, int]]:
        """(from, to) of these moments, in order."""
        begin = -1
        for position in range(len(self._calendar.of_day)):
            for at, situation in self._day(position):
                if moments >> situation & 1:
                    begin = at if begin < 0 else begin
                elif begin >= 0:
                    if at > self.start:
                        yield max(begin, self.start), at
                    begin = -1
        if begin >= 0:
            yield max(begin, self.start), self.end

    def first(self, moments: Moments) -> int:
        """The first of these moments, as Unix seconds."""
        return next(self.stretches(moments))[0]

    def at(self, second: int) -> Moments:
        """The situation at that second."""
        day = self._calendar.days[self._calendar.of_day[second // DAY_S - self._first_day]]
        return 1 << max(found for found in day if found[0] <= second % DAY_S)[1]


DAY_NAMES: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: So many days of their own are named; after that it is said how many more there are.
MOST_DATES: Final = 30


def in_words(stretches: Iterable[tuple[int, int]], time_zone: str, start: int,
             end: int) -> list[str]:
    """Stretches of time as "Mon-Fri 00:00-08:00, 17:00-24:00", then the dates that are otherwise.

    What most days of a weekday have in common is the weekday's.
    """
    minutes = _by_day(stretches, ZoneInfo(time_zone))
    first, last = (datetime.datetime.fromtimestamp(at, ZoneInfo(time_zone))
                   for at in (start, end))
    days = [first.date() + datetime.timedelta(i)
            for i in range((last.date() - first.date()).days)]
    texts = {day: ", ".join(f"{_clock(begin)}-{_clock(stop)}" for begin, stop
                            in minutes.get(day, ())) for day in days}
    usual = []
    for weekday in range(7):
        same = [texts[day] for day in days[1:] if day.weekday() == weekday]
        usual.append(max(same, key=same.count))
    found = [f"{days_text} {text}" for days_text, text in _weekly(usual) if text]
    since = first.hour * 60 + first.minute
    special = []
    for day in days:
        expected = usual[day.weekday()]
        if day == days[0]:
            like = next((minutes.get(other, []) for other in days[1:]
                         if other.weekday() == day.weekday() and texts[other] == expected), [])
            expected = ", ".join(f"{_clock(max(begin, since))}-{_clock(stop)}"
                                 for begin, stop in like if stop > since)
        if texts[day] != expected:
            special.append(f"{day.isoformat()} {texts[day] or 'none'}")
    if len(special) > MOST_DATES:
        special[MOST_DATES:] = [f"and {len(special) - MOST_DATES} more days"]
    return found + special


def _by_day(stretches: Iterable[tuple[int, int]],
            zone: ZoneInfo) -> Mapping[datetime.date, list[tuple[int, int]]]:
    """Local minutes of each local date; an hour that comes twice is told once."""
    found: dict[datetime.date, list[tuple[int, int]]] = {}
    for begin, end in stretches:
        local = datetime.datetime.fromtimestamp(begin, zone)
        until = datetime.datetime.fromtimestamp(end, zone)
        day, minute = local.date(), local.hour * 60 + local.minute
        last, stop = until.date(), until.hour * 60 + until.minute
        if last == day:  # the clock may go back meanwhile
            stop = max(stop, min(minute + (end - begin) // 60, 1440))
        while day <= last:
            to = stop if day == last else 1440
            if minute < to:
                mine = found.setdefault(day, [])
                if mine and minute <= mine[-1][1]:
                    mine[-1] = mine[-1][0], max(to, mine[-1][1])
                else:
                    mine.append((minute, to))
            day, minute = day + datetime.timedelta(1), 0
    return found


def _weekly(usual: list[str]) -> Iterator[tuple[str, str]]:
    first = 0
    for day in range(1, 8):
        if day == 7 or usual[day] != usual[first]:
            name = DAY_NAMES[first]
            yield (name if day - 1 == first else f"{name}-{DAY_NAMES[day - 1]}"), usual[first]
            first = day


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
