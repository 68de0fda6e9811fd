"""What the routes of recordings take and answer."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from store.retention import ListedRecording

Milliseconds = Annotated[int, Meta(ge=0, lt=1 << 62)]


class RecordingsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
                      rename={"from_ms": "from", "to_ms": "to"}):
    """Which recordings. from, to: Unix milliseconds of their beginning; call: the uid of their
    call, which may have several; user: who took part in it; number: of the caller, or that was
    called; min_s: at least so long; keep: those that no policy deletes."""

    from_ms: Milliseconds = 0
    to_ms: Milliseconds = (1 << 62) - 1
    call: Annotated[str, Meta(pattern=r"^([0-9A-Za-z]{1,64})?\Z")] = ""
    user: Annotated[int, Meta(ge=1, lt=1 << 62)] | None = None
    number: Annotated[str, Meta(max_length=32)] = ""
    direction: Literal["", "in", "out", "internal", "emergency", "unknown"] = ""
    min_s: Annotated[int, Meta(ge=0, le=86_400)] = 0
    keep: bool = False
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(pattern=r"^([0-9]{1,15}\.[0-9A-Za-z._-]{1,100})?\Z")] = ""


class Recordings(Struct, frozen=True, kw_only=True):
    """The newest first."""

    items: list[ListedRecording]
    next: str | None


class AudioQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """download: as a file to keep, and it is noted as that."""

    format: Literal["flac", "wav"] = "flac"
    download: bool = False


class KeepBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether it is kept whatever the company's policy says (legal hold)."""

    keep: bool


class Kept(Struct, frozen=True, kw_only=True):
    """As it is now."""

    uid: str
    keep: bool
