"""Answers as they are printed: a table on a terminal, tab-separated lines elsewhere, or JSON."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def as_json(value: Any) -> None:
    """The whole of it."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def rows(items: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Items with the same fields; columns: which, by default all that a terminal can show."""
    found = list(items)
    if sys.stdout.isatty():
        _table(found, columns or _telling(found))
        return
    names = columns or list(dict.fromkeys(name for item in found for name in item))
    if names:
        print("\t".join(names))
    for item in found:
        print("\t".join(plain(item.get(name)) for name in names))


def one(item: Mapping[str, Any]) -> None:
    """A single thing, a line for each field."""
    width = max(map(len, item), default=0) if sys.stdout.isatty() else 0
    for name, value in item.items():
        print(f"{name:{width}}  {plain(value)}" if width else f"{name}\t{plain(value)}")


def plain(value: Any) -> str:
    """A value on one line, without anything that a terminal would obey."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float | dict | list):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = str(value)
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _telling(items: list[Mapping[str, Any]]) -> list[str]:
    """The fields that are worth a column: they hold something simple in one row at least."""
    return [name for name in dict.fromkeys(name for item in items for name in item)
            if any(item.get(name) not in (None, "", [], {}) for item in items)
            and not any(isinstance(item.get(name), dict | list) for item in items)]


def _table(items: list[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not items:
        Console(stderr=True).print("nothing", style="dim")
        return
    table = Table(box=SIMPLE, pad_edge=False)
    for name in columns:
        numbers = all(isinstance(item.get(name), int | float | None) for item in items)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for item in items:
        table.add_row(*(Text(plain(item.get(name))) for name in columns))
    Console().print(table)
