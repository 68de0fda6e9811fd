"""Explanations and replays over HTTP."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from store.model import Id


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """from: a user's extension or device name, trunk:<id>, or an outside number; tenant: whose; at:
    local time 2026-03-02T15:30, or with an offset."""

    caller: Annotated[str, Meta(max_length=64)] = field(name="from", default="")
    to: Annotated[str, Meta(max_length=64)] = ""
    at: Annotated[str, Meta(max_length=40)] = ""
    tenant: Id | None = None


class TargetShown(Struct, frozen=True):
    """Where a call is sent."""

    to: str
    id: int
    user: int | None


class DecisionShown(Struct, frozen=True, kw_only=True):
    """A decision, line by line."""

    lines: list[str]
    kind: str
    reason: str
    reason_text: str
    code: int
    ring_s: int
    revision: int
    recorded: bool
    shown: str
    caller_name: str
    targets: list[TargetShown]


class Explanation(Struct, frozen=True, kw_only=True):
    """Every attempt of a call, as if nobody ever answered. at: Unix seconds."""

    at: int
    revision: int
    attempts: list[DecisionShown]


class ReplayedStep(Struct, frozen=True, kw_only=True):
    """A decision made again. why: it could not be, then the rest is not there."""

    faithful: bool
    why: str | UnsetType = UNSET
    lines: list[str] | UnsetType = UNSET
    kind: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    reason_text: str | UnsetType = UNSET
    code: int | UnsetType = UNSET
    ring_s: int | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    recorded: bool | UnsetType = UNSET
    shown: str | UnsetType = UNSET
    targets: list[TargetShown] | UnsetType = UNSET


class Replay(Struct, frozen=True, kw_only=True):
    """Every decision made again; faithful: each came out as it was."""

    uid: str
    revision: int
    steps: list[ReplayedStep]
    faithful: bool
