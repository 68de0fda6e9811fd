"""Events over HTTP."""

from typing import Annotated

from msgspec import Meta, Struct

from store.model import Event


class EventList(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """after: a seq; wait_s: how long to wait for the first of them; kind: only these, with
    commas."""

    after: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    wait_s: Annotated[int, Meta(ge=0, le=25)] = 0
    kind: Annotated[str, Meta(max_length=200, pattern=r"^[a-z_,]*\Z")] = ""


class Events(Struct, frozen=True):
    """The oldest first; next: the `after` of the next request."""

    items: list[Event]
    next: int


class Ticket(Struct, frozen=True, kw_only=True):
    """Lets one WebSocket in, once, until then (Unix milliseconds)."""

    ticket: str
    url: str
    until_ms: int
