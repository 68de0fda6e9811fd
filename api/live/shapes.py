"""Calls in progress over HTTP."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from store.model import Id, Target

Command = Literal[
    "transfer", "consult", "swap", "join", "complete", "park", "camp", "move", "back", "hang_up",
    "record_start", "record_pause", "record_resume", "record_stop", "play"]


class CallBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Click to call (C9): the user's telephones ring first, then the target is called."""

    user: Id
    device: Id | None = None
    target: Target | None = None
    dial: Annotated[str, Meta(max_length=32, pattern=r"^[0-9+*#]+\Z")] | None = None


class CommandBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which side does it (a user, or a side's name), and to whom."""

    user: Id | None = None
    side: Annotated[str, Meta(max_length=16)] | None = None
    target: Target | None = None
    dial: Annotated[str, Meta(max_length=32, pattern=r"^[0-9+*#]+\Z")] | None = None
    prompt: Id | None = None


class SideShown(Struct, frozen=True, kw_only=True):
    """A party of a call. user 0: an outsider."""

    side: str
    user: int | None
    number: str
    up: bool
    holding: bool


class LiveCall(Struct, frozen=True, kw_only=True):
    """A call in progress; control: whether commands can be given to it; began: Unix seconds."""

    uid: str
    control: bool
    recording: str
    state: str
    began: float
    sides: list[SideShown]


class LiveCalls(Struct, frozen=True):
    """Every one."""

    items: list[LiveCall]


class Originated(Struct, frozen=True):
    """The call that was begun."""

    uid: str


class Done(Struct, frozen=True, omit_defaults=True):
    """What became of a command; where a parked call is."""

    done: bool | None = None
    place: str | int | None = None
