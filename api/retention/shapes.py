"""What the routes of deletions take and answer."""

from typing import Annotated

from msgspec import Meta, Struct

from store.retention import LedgerLine


class LedgerQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the ledger. after: the seq of the line before it."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0


class Ledger(Struct, frozen=True, kw_only=True):
    """By seq."""

    items: list[LedgerLine]
    next: int | None


class ProofQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """head: the one of an earlier proof, which must still be in the chain."""

    head: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""
