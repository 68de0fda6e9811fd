"""The durable truth: configuration with its revisions, presence, calls. See port.py."""

from store.errors import (
    BrokenReference,
    Conflict,
    NotFound,
    StillReferenced,
    StoreBusy,
    StoreError,
)
from store.sqlite import SqliteStore

__all__ = ["BrokenReference", "Conflict", "NotFound", "SqliteStore", "StillReferenced",
           "StoreBusy", "StoreError"]
