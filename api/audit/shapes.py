"""The audit over HTTP."""

from typing import Annotated

from msgspec import Meta, Struct

from store.answers import AuditEntry


class AuditList(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """by: only what "account 12" or "key 3" did; after: the `next` of the page before."""

    by: Annotated[str, Meta(max_length=40)] = ""
    after: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Audit(Struct, frozen=True):
    """The newest first."""

    items: list[AuditEntry]
    next: int | None
