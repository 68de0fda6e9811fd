"""Attendants at work over HTTP."""

from msgspec import Struct


class Attendant(Struct, frozen=True, kw_only=True):
    """Somebody at work. Times are Unix milliseconds; until_ms: when the place is free again
    unless it is asked for once more."""

    user: int
    name: str
    since_ms: int
    until_ms: int


class Attendants(Struct, frozen=True):
    """Who is at work; total null: any number may be."""

    items: list[Attendant]
    used: int
    total: int | None
