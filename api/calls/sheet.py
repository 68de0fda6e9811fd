"""CSV as spreadsheets take it, without anything that they would carry out.

A cell that begins as a formula does (= + - @, tab, carriage return, and their wide forms) is given
an apostrophe in front, which spreadsheets do not show. A plain number such as +46701234567 is none,
and stays as it is.
"""

import csv
import io
import re
from collections.abc import Iterable
from typing import Any, Final

FORMULA: Final = tuple("=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}"
                       "\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}")
_PLAIN: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?\Z", re.ASCII)


def cell(value: Any) -> str:
    """A value as a cell: nothing as an empty one."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).replace("\x00", "")
    return f"'{text}" if text.startswith(FORMULA) and not _PLAIN.match(text) else text


def lines(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV (RFC 4180)."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([cell(value) for value in row]
                                                     for row in rows)
    return out.getvalue()


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """What is inside other things, by dotted names: {"a": {"b": 1}} is a.b."""
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list | tuple):
        pairs = enumerate(value)
    else:
        return {name: value}
    found: dict[str, Any] = {}
    for key, one in pairs:
        found |= flat(one, f"{name}.{key}" if name else str(key))
    return found


def table(items: Iterable[dict[str, Any]]) -> str:
    """Things as rows under a heading; what some of them lack is empty."""
    rows = [flat(item) for item in items]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return lines([columns, *([row.get(name) for name in columns] for row in rows)])
