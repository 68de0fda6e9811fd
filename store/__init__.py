"""The durable truth: configuration with its revisions, presence, calls. See port.py."""

from store.errors import (
    BrokenReference,
    Conflict,
    NewerStore,
    NotFound,
    StillReferenced,
    StoreBusy,
    StoreError,
)
from store.sqlite import SqliteStore

__all__ = ["BrokenReference", "Conflict", "NewerStore", "NotFound", "SqliteStore",
           "StillReferenced", "StoreBusy", "StoreError"]
