"""Presence, log-ins and line states over HTTP."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from store.model import Id


class PresenceBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """activity null: available. until: Unix seconds, 0: without an end. source: of the exchange's
    own parts only, with the operator's key: a menu or a code of a telephone."""

    activity: Id | None
    source: Literal["api", "menu", "code"] = "api"
    until: Annotated[int, Meta(ge=0, lt=1 << 32)] = 0
    note: Annotated[str, Meta(max_length=200)] = ""


class PresenceSet(Struct, frozen=True, kw_only=True):
    """As it was set."""

    user: int
    activity: int | None
    until: int
    note: str
    source: str
    changed_ms: int


class PresenceShown(Struct, frozen=True, kw_only=True):
    """What somebody does now; name: of the activity; reachable: by calls."""

    user: int
    activity: int | None
    name: str
    reachable: bool
    until: int
    note: str
    source: str
    line: Literal["idle", "ringing", "in_call"]


class Line(PresenceShown, frozen=True, kw_only=True):
    """A colleague."""

    user_name: str
    extension: str | None


class LoginBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the member is logged in."""

    logged_in: bool


class LoginShown(Struct, frozen=True, kw_only=True):
    """A member of a group."""

    member: int
    logged_in: bool
