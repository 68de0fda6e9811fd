"""Revisions over HTTP."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from store.model import Revision


class RevisionList(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """table, row, by: only those that changed such rows, or that row, or were made by them."""

    after: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    table: Annotated[str, Meta(max_length=40)] = ""
    row: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0
    by: Annotated[str, Meta(max_length=40)] = ""


class Revisions(Struct, frozen=True):
    """The oldest first; next: the `after` of the next request."""

    items: list[Revision]
    next: int | None


class DiffQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two points of the history: revisions, or times with an offset; until: now without it."""

    since: Annotated[str, Meta(max_length=40)]
    until: Annotated[str, Meta(max_length=40)] = ""


class RowDiff(Struct, frozen=True, kw_only=True):
    """A row that is not as it was; before null: is new; after null: is gone; fields: what
    differs."""

    table: str
    id: int
    before: Any
    after: Any
    fields: list[str]


class Diff(Struct, frozen=True, kw_only=True):
    """What differs between two revisions."""

    since: int
    until: int
    items: list[RowDiff]


class RevertBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """to: make everything as it was after that revision or at that time; without it only what this
    revision did is undone."""

    to: Annotated[str, Meta(max_length=40)] = ""


class Reverted(Struct, frozen=True, kw_only=True):
    """What was changed back."""

    items: list[RowDiff]
