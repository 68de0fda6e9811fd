"""A period, and the intervals that it is divided into: by seconds, or as people divide time in the
company's time zone, where a day has 23 or 25 hours now and then."""

import datetime
import zoneinfo
from collections.abc import Iterator
from typing import Literal

from store.figures import HOUR_MS, QUARTER_MS

Interval = Literal["quarter", "hour", "day", "week", "month"]


def edges(begin_ms: int, end_ms: int, interval: Interval, zone: zoneinfo.ZoneInfo) -> Iterator[int]:
    """The beginnings of the intervals that a period touches, its own beginning first, and its end.
    Whoever asks bounds how many."""
    at_ms = begin_ms
    while at_ms < end_ms:
        yield at_ms
        at_ms = following(at_ms, interval, zone)
    yield end_ms


def following(at_ms: int, interval: Interval, zone: zoneinfo.ZoneInfo) -> int:
    """When the next interval begins."""
    if interval in ("quarter", "hour"):
        # Every time zone there is here differs from UTC by whole hours.
        size_ms = QUARTER_MS if interval == "quarter" else HOUR_MS
        return (at_ms // size_ms + 1) * size_ms
    local = datetime.datetime.fromtimestamp(at_ms // 1000, zone)
    day = local.date()
    if interval == "day":
        day += datetime.timedelta(days=1)
    elif interval == "week":
        day += datetime.timedelta(days=7 - day.weekday())
    else:
        day = (day.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)
    midnight = datetime.datetime.combine(day, datetime.time(), zone)
    return int(midnight.timestamp()) * 1000
