"""The store's errors; `field` is the path of the field that is to blame, where there is one.

StoreError
├── NotFound            no such row
├── Conflict            unique value taken, or a stale version
├── BrokenReference     points at a row that is not there, or of another tenant
├── StillReferenced     cannot be deleted: something points at it
├── StoreBusy           another writer held the database too long
└── NewerStore          a newer version of the exchange has changed the database
"""


class StoreError(Exception):
    """Anything the store refuses; nothing was changed."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class NotFound(StoreError):
    """No such row."""


class Conflict(StoreError):
    """The value is taken."""


class BrokenReference(StoreError):
    """A reference to a row that is not there, or of another tenant."""


class StillReferenced(StoreError):
    """Something points at the row."""


class StoreBusy(StoreError):
    """Another writer held the database too long."""


class NewerStore(StoreError):
    """A newer version of the exchange has changed the database."""
