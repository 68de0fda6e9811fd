"""The store port: what everything else may ask of the durable truth.

store.sqlite is the embedded side and the default; tests/test_store.py holds the contract that every
side passes. A method either does all of what it says or raises a StoreError and changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol

from store.links import Pointer
from store.model import (
    CallbackRequest,
    CallRecord,
    Delivery,
    Event,
    Presence,
    Recording,
    Revision,
    Row,
    Service,
    VoiceMessage,
)


class Reader(Protocol):
    """What can be asked, inside a change as well as outside."""

    def get(self, table: str, id_: int) -> Row:
        """The row; NotFound."""

    def find(self, table: str, *, after: int = 0, limit: int = 100, **equal: Any) -> list[Row]:
        """Rows whose columns equal the given values, by id."""

    def select(self, table: str, columns: Sequence[str], *, order: str = "id",
               **equal: Any) -> Iterable[tuple[Any, ...]]:
        """Bare columns, as the compiler takes them.

        A target is four columns <field>_kind, _user, _group, _text; the id of a service is kept as
        the text. A service has the columns kind (its settings' type) and mailbox_user too, in
        find() as well.
        """

    def pointing_at(self, table: str, id_: int, limit: int = 5) -> list[Pointer]:
        """Who names that row, in a field, a target or a service's settings."""

    def mailbox_of(self, user: int) -> Service | None:
        """The user's own mailbox."""

    def mailboxes_for(self, user: int) -> list[Service]:
        """The mailboxes that the user may listen to, the own one first."""


class Writer(Reader, Protocol):
    """A change under way: all of it becomes one revision, or none."""

    def create(self, row: Row) -> Row:
        """Store a new row; returns it with its id."""

    def replace(self, row: Row) -> Row:
        """Store the row in place of the one with its id."""

    def delete(self, table: str, id_: int) -> None:
        """Remove the row; StillReferenced, with what points at it. The messages of a mailbox are
        deleted with it, the requests of a callback menu too."""


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
              before_ms: int | None = None, limit: int = 100,
              legs: bool = False) -> list[CallRecord]:
        """The newest first. user: who took part in the call or in a leg of it; legs: those that are
        a part of another (conversation is set) are listed too."""

    def legs(self, uid: str) -> list[CallRecord]:
        """The records whose conversation is that uid, the oldest first."""

    def party_role(self, user: int, uid: str) -> str:
        """What the call with its legs was to the user: caller, answered, missed, or rang (somebody
        else answered); "" when the user had no part in it."""

    def add_recording(self, recording: Recording) -> bool:
        """Index a recording; False when this uid has one already."""

    def recording(self, uid: str) -> Recording:
        """NotFound."""

    # -- voice messages

    def add_message(self, message: VoiceMessage, *, call_id: str = "") -> bool:
        """A deposit begins (state "recording"); False when this uid is there already. call_id: of
        the media session, by which the capture is known when rtpengine is killed before it has
        written the uid down."""

    def message_being_left(self, call_id: str) -> VoiceMessage | None:
        """The newest message in state "recording" of that media session."""

    def finish_message(self, uid: str, *, path: str, duration_ms: int, sha256: str, at_ms: int,
                       deliveries: Sequence[Delivery] = ()) -> bool:
        """From "recording" to "new", with what is to be sent about it, in one; False and nothing
        when it is not "recording" (any more)."""

    def message(self, uid: str) -> VoiceMessage:
        """NotFound."""

    def messages(self, mailbox: int, *,
                 states: Sequence[Literal["recording", "new", "saved", "deleted"]] = (
                     "new", "saved"),
                 newest_first: bool = True, limit: int = 500) -> list[VoiceMessage]:
        """A mailbox's messages in these states."""

    def set_message_state(self, uid: str, state: Literal["new", "saved", "deleted"],
                          at_ms: int) -> VoiceMessage:
        """Heard, kept, deleted; NotFound, Conflict when it has no audio and is not to be deleted.
        A deleted one can come back until the keeper has removed it, a day later."""

    def message_counts(self, mailbox: int) -> tuple[int, int]:
        """(new, saved)"""

    def unfinished_messages(self, before_ms: int) -> list[VoiceMessage]:
        """In state "recording", begun before then."""

    def deleted_messages(self, before_ms: int, limit: int = 500) -> list[VoiceMessage]:
        """Deleted before then; their audio is to be removed."""

    def give_up_message(self, uid: str) -> bool:
        """A deleted message cannot come back any more: its audio is about to be removed. False when
        it is not deleted."""

    def remove_message(self, uid: str) -> None:
        """Forget a deleted message whose audio has been removed."""

    # -- callback requests

    def add_callback(self, request: CallbackRequest) -> CallbackRequest:
        """Keep a request; the keeper writes the mail or calls the webhook of its service."""

    def callback(self, id_: int) -> CallbackRequest:
        """NotFound."""

    def callbacks(self, tenant: int, *, service: int | None = None, open_only: bool = False,
                  after: int = 0, limit: int = 100) -> list[CallbackRequest]:
        """By id; open_only: those that are not done."""

    def set_callback_done(self, id_: int, done_ms: int) -> CallbackRequest:
        """Somebody has called back; 0: not yet after all. NotFound."""

    def untold_callbacks(self, limit: int = 100) -> list[CallbackRequest]:
        """Those about which nothing was sent yet."""

    def tell_callback(self, id_: int, deliveries: Sequence[Delivery]) -> bool:
        """What is to be sent about a request, once; False when that was done before."""

    # -- events

    def add_events(self, events: Sequence[Event]) -> None:
        """Append them, in this order, all or none; each gets the next seq. Whoever reads seq n has
        been able to read every lower one: events are seen in the order of their seq."""

    def events(self, tenant: int | None, *, after: int = 0, limit: int = 100) -> list[Event]:
        """Those after that seq, the oldest first; tenant None: everybody's."""

    def last_event(self) -> int:
        """The newest seq that was ever given, 0 = none."""

    def purge_events(self, before_ms: int, keep: int, limit: int = 10_000) -> int:
        """Of the oldest `limit` remove those from before then, and those beyond the newest `keep`;
        how many."""

    # -- what is to be sent

    def add_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Queue them; done_ms 0 = not sent yet."""

    def due_deliveries(self, now_ms: int, *, per_tenant: int = 10,
                       limit: int = 100) -> list[Delivery]:
        """What is to be tried now, at most so many of a tenant."""

    def delivery_done(self, id_: int, at_ms: int) -> None:
        """It was sent."""

    def delivery_failed(self, id_: int, error: str, *, next_ms: int = 0, given_up_ms: int = 0,
                        tried: bool = True) -> None:
        """It was not sent: when it is tried again, or that it is given up (done_ms with an error).
        tried False: it could not even be tried."""

    def deliveries(self, tenant: int, *, pending: bool = False, after: int = 0,
                   limit: int = 100) -> list[Delivery]:
        """By id; pending: not sent, not given up."""

    def purge_deliveries(self, before_ms: int, limit: int = 10_000) -> int:
        """Remove some that were done before then; how many."""

    def close(self) -> None:
        """Give everything back."""
