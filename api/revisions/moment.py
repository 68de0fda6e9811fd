"""A point in the history of the configuration, as callers name it."""

import datetime
from typing import Any

from api.http.errors import invalid


def revision_of(call: Any, text: str, field: str = "as_of") -> int:
    """The revision in force then: its number, or a time with an offset; Problem 422."""
    newest: int = call.store.revision()
    if text.isascii() and text.isdecimal() and len(text) < 19:
        if int(text) > newest:
            raise invalid(field, f"there is no revision {text} yet; the newest is {newest}")
        return int(text)
    try:
        at = datetime.datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError
        found: int = call.store.revision_at(int(at.timestamp() * 1000))
    except (ValueError, OverflowError) as error:
        raise invalid(field, "a revision, or a time as 2026-03-02T15:30:00+01:00") from error
    return found
