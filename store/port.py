"""The store port: what everything else may ask of the durable truth.

store.sqlite is the embedded side and the default; tests/test_store.py holds the contract that every
side passes. A method either does all of what it says or raises a StoreError and changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from store.model import CallRecord, Presence, Recording, Revision, Row


class Reader(Protocol):
    """What can be asked, inside a change as well as outside."""

    def get(self, table: str, id_: int) -> Row:
        """The row; NotFound."""

    def find(self, table: str, *, after: int = 0, limit: int = 100, **equal: Any) -> list[Row]:
        """Rows whose columns equal the given values, by id."""

    def select(self, table: str, columns: Sequence[str], *, order: str = "id",
               **equal: Any) -> Iterable[tuple[Any, ...]]:
        """Bare columns, as the compiler takes them."""


class Writer(Reader, Protocol):
    """A change under way: all of it becomes one revision, or none."""

    def create(self, row: Row) -> Row:
        """Store a new row; returns it with its id."""

    def replace(self, row: Row) -> Row:
        """Store the row in place of the one with its id."""

    def delete(self, table: str, id_: int) -> None:
        """Remove the row; StillReferenced when something points at it."""


class Store(Reader, Protocol):
    """The durable truth."""

    def change(self, author: str, at_ms: int, note: str,
               work: Callable[[Writer], Any]) -> Revision:
        """Run work on a Writer and commit it, durably, as one revision."""

    def revision(self) -> int:
        """The newest revision's id, 0 when there is none."""

    def revisions(self, *, after: int = 0, limit: int = 100) -> list[Revision]:
        """Revisions with their changes, oldest first."""

    def revision_at(self, at_ms: int) -> int:
        """The revision in force at that time."""

    def as_of(self, revision: int) -> dict[str, dict[int, Row]]:
        """{table: {id: row}} as the configuration was after that revision."""

    def set_presence(self, presence: Presence) -> None:
        """What the user does from now on."""

    def presences(self) -> Iterator[Presence]:
        """Everybody's, as set."""

    def set_login(self, member: int, logged_in: bool, changed_ms: int) -> None:
        """Log a member of a group in or out."""

    def logins(self) -> Iterator[tuple[int, bool]]:
        """(member, logged in)"""

    def add_call(self, record: CallRecord) -> bool:
        """Write a call record; False when this uid is there already."""

    def call(self, uid: str) -> CallRecord:
        """NotFound."""

    def calls(self, *, tenant: int | None = None, user: int | None = None,
              before_ms: int | None = None, limit: int = 100) -> list[CallRecord]:
        """The newest first."""

    def add_recording(self, recording: Recording) -> bool:
        """Index a recording; False when this uid has one already."""

    def recording(self, uid: str) -> Recording:
        """NotFound."""

    def close(self) -> None:
        """Give everything back."""
