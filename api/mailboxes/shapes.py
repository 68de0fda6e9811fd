"""Voice messages, callback requests and deliveries over HTTP."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from store.model import CallbackRequest, Delivery, Id

Limit = Annotated[int, Meta(ge=1, le=1000)]
After = Annotated[int, Meta(ge=0, lt=1 << 62)]


class MessageList(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """state: only those; new and saved ones without it."""

    state: Literal["recording", "new", "saved", "deleted"] | None = None
    limit: Limit = 500


class MessageShown(Struct, frozen=True, kw_only=True):
    """A voice message."""

    uid: str
    tenant: int
    mailbox: int
    caller: str
    caller_name: str
    created_ms: int
    duration_ms: int
    sha256: str
    state: str
    has_audio: bool


class Messages(Struct, frozen=True):
    """The newest first; how many are new and saved."""

    items: list[MessageShown]
    new: int
    saved: int


class MessageBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of a message."""

    state: Literal["new", "saved", "deleted"]


class AudioQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As what the sound is sent."""

    format: Literal["flac", "wav"] = "flac"


class CallbackList(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """open: those that nobody has called back yet."""

    open: bool = False
    service: Id | None = None
    after: After = 0
    limit: Limit = 100


class Callbacks(Struct, frozen=True):
    """Who wants to be called."""

    items: list[CallbackRequest]
    next: int | None


class CallbackBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether somebody has called back."""

    done: bool


class DeliveryList(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """pending: not sent, not given up."""

    pending: bool = False
    after: After = 0
    limit: Limit = 100


class Deliveries(Struct, frozen=True):
    """Mails, messages and webhook calls."""

    items: list[Delivery]
    next: int | None


