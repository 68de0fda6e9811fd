"""Planned changes over HTTP."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from store.planned import Planned


class PlannedList(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """state: only those."""

    state: Literal["", "waiting", "done", "failed", "cancelled"] = ""
    after: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class PlannedPage(Struct, frozen=True):
    """By id."""

    items: list[Planned]
    next: int | None
