"""The store port: what everything else may ask of the durable truth.

store.sqlite is the embedded side and the default; tests/test_store.py holds the contract that every
side passes. A method either does all of what it says or raises a StoreError and changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

from store.accounts import Credential, CredentialKind, Pending, PendingKind, Session
from store.backlog import Waiting
from store.calls import CallItem, Cursor, Listed, Place, Wanted, Way
from store.directory import Entry, EntryKind
from store.figures import FigureKind, FigureRow
from store.hooks import Attempt, DeadLetter, DueHook, HookState
from store.jobs import Job, JobState
from store.links import Pointer
from store.model import (
    Allotment,
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
from store.retention import (
    Deletion,
    Kind,
    LedgerLine,
    ListedRecording,
    Proof,
    WantedRecordings,
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

    def allotments_in(self, first: str, last: str) -> list[Allotment]:
        """Two at most of those that have a number from first to last, whosever they are."""

    def number_without(self, tenant: int, first: str, last: str) -> str:
        """A number of the company from first to last that is not allotted to it; "" = none."""

    def mailbox_of(self, user: int) -> Service | None:
        """The user's own mailbox."""

    def mailboxes_for(self, user: int) -> list[Service]:
        """The mailboxes that the user may listen to, the own one first."""


class Writer(Reader, Protocol):
    """A change under way: all of it becomes one revision, or none."""

    def create(self, row: Row) -> Row:
        """Store a new row; returns it with its id."""

    def replace(self, row: Row, before: Row | None = None) -> Row:
        """Store the row in place of the one with its id; before: that one, as just read."""

    def delete(self, table: str, id_: int) -> None:
        """Remove the row; StillReferenced, with what points at it. The messages of a mailbox are
        deleted with it, the requests of a callback menu too."""


class Store(Reader, Protocol):
    """The durable truth."""

    def change(self, author: str, at_ms: int, note: str,
               work: Callable[[Writer], Any], by: str = "") -> Revision:
        """Run work on a Writer and commit it, durably, as one revision. author: for people; by: who
        that is, "operator", "key 3" or "account 12"."""

    def writing(self) -> AbstractContextManager[None]:
        """All that is written inside is kept, durably, or none of it; may be nested."""

    def revision(self) -> int:
        """The newest revision's id, 0 when there is none."""

    def revisions(self, *, after: int = 0, limit: int = 100,
                  tenant: int | None = None) -> list[Revision]:
        """Revisions with their changes, oldest first; tenant: those of that company only."""

    def revision_of(self, id_: int) -> Revision:
        """NotFound."""

    def revision_at(self, at_ms: int) -> int:
        """The revision in force at that time."""

    def as_of(self, revision: int) -> dict[str, dict[int, Row]]:
        """{table: {id: row}} as the configuration was after that revision."""

    def directory(self, tenant: int, text: str = "", *, user: int | None = None,
                  kind: EntryKind | None = None, after: int = 0, limit: int = 50) -> list[Entry]:
        """Who has a word beginning with each of the text's, colleagues first, then the company's
        contacts, shared ones, and the user's own; after: the key of the last one seen."""

    def caller_name(self, tenant: int, e164: str) -> str:
        """Of the contact with that number, the company's before a shared one; "" = none."""

    def who_has(self, tenant: int, e164: str) -> Entry | None:
        """Likewise; a colleague first."""

    def colleague(self, tenant: int, user: int) -> Entry | None:
        """A user's entry, whether enabled or not."""

    def set_presence(self, presence: Presence) -> None:
        """What the user does from now on."""

    def presences(self) -> Iterator[Presence]:
        """Everybody's, as set."""

    def set_login(self, member: int, logged_in: bool, changed_ms: int) -> None:
        """Log a member of a group in or out."""

    def logins(self) -> Iterator[tuple[int, bool]]:
        """(member, logged in)"""

    def add_call(self, record: CallRecord, ways: Iterable[Way] = ()) -> bool:
        """Write a call record, and where the call came to; False when this uid is there already."""

    def add_ways(self, uid: str, ways: Iterable[Way]) -> None:
        """Where a call came to, also before its record is there; what is known already is passed
        over."""

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

    def list_calls(self, tenant: int, wanted: Wanted, after: Cursor | None = None,
                   limit: int = 100) -> tuple[list[Listed], Cursor | None]:
        """A page of calls, the newest first, and after which the next one begins; None: there are
        no more. A page may be short although there are: each looks at a bounded number of calls.
        Calls that come meanwhile change nothing of those that were there."""

    def counted_calls(self, tenant: int, from_ms: int,
                      to_ms: int) -> Iterable[tuple[CallItem, Place | None]]:
        """Calls that began in a period, legs left out; each once for each of its places, or once
        with None."""

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
                          at_ms: int, by: str = "") -> VoiceMessage:
        """Heard, kept, deleted (by whom, for the ledger); NotFound, Conflict when it has no audio
        and is not to be deleted. A deleted one can come back until the keeper removes it, a day
        later."""

    def message_counts(self, mailbox: int) -> tuple[int, int]:
        """(new, saved)"""

    def unfinished_messages(self, before_ms: int) -> list[VoiceMessage]:
        """In state "recording", begun before then."""

    def deleted_messages(self, before_ms: int, limit: int = 500) -> list[VoiceMessage]:
        """Deleted before then; their audio is to be removed."""

    def forget_empty_messages(self, before_ms: int) -> int:
        """Those deleted before then that never had audio, and that nobody has deleted."""

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

    def first_event(self) -> int:
        """The oldest seq that is still there; the next one when none is."""

    def last_event(self) -> int:
        """The newest seq that was ever given, 0 = none."""

    def purge_events(self, before_ms: int, keep: int, limit: int = 10_000) -> int:
        """Of the oldest `limit` remove those from before then, and those beyond the newest `keep`;
        how many."""

    # -- figures

    def figures(self, tenant: int, kind: FigureKind, subject: int, span_ms: int, from_ms: int,
                to_ms: int) -> list[tuple[int, bytes]]:
        """(beginning, data) of a subject's rows of that span that begin in a period."""

    def figure_subjects(self, tenant: int, kind: FigureKind) -> list[int]:
        """Of which there is a row."""

    def set_figures(self, rows: Iterable[FigureRow]) -> None:
        """Write rows, in place of those that are there."""

    def remove_figures(self, tenant: int, kind: FigureKind, span_ms: int, at_ms: int) -> list[int]:
        """Remove the rows that begin then; whose they were."""

    def remove_figure(self, tenant: int, kind: FigureKind, subject: int, span_ms: int,
                      at_ms: int) -> None:
        """Remove that one, if it is there."""

    def figure_seq(self) -> int:
        """The newest event that has been counted."""

    def figure_state(self, tenant: int) -> bytes | None:
        """What is kept of the company's queues between events; None: nothing yet."""

    def set_figure_state(self, tenant: int, seq: int, data: bytes) -> None:
        """As above; tenant 0: how far events have been counted."""

    def figures_due(self, tenant: int | None = None, from_ms: int = 0, to_ms: int = 1 << 62,
                    limit: int = 100) -> list[tuple[int, int, int]]:
        """(tenant, beginning, changes) of quarters of whose calls something has become since they
        were counted."""

    def set_figure_done(self, tenant: int, at_ms: int, changes: int) -> None:
        """A quarter's calls have been counted, unless there are more changes by now."""

    def purge_figures(self, tenant: int, before_ms: int, limit: int = 10_000) -> int:
        """Remove some rows that begin before then; how many."""

    # -- what is to be sent

    def add_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Queue them; done_ms 0 = not sent yet."""

    def add_delivery(self, delivery: Delivery) -> Delivery:
        """One, with its id."""

    def delivery(self, id_: int) -> Delivery:
        """NotFound."""

    def sms_since(self, tenant: int, since_ms: int) -> int:
        """How many SMS of the company were queued after that."""

    def due_deliveries(self, now_ms: int, *, per_tenant: int = 10,
                       limit: int = 100) -> list[Delivery]:
        """What is to be tried now, at most so many of a tenant."""

    def waiting_deliveries(self) -> list[Waiting]:
        """What is not done yet, counted by kind, and when the first of each is to be sent."""

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

    # -- long pieces of work

    def add_job(self, job: Job) -> Job:
        """With its id."""

    def job(self, tenant: int, id_: int) -> Job:
        """NotFound."""

    def jobs(self, tenant: int | None = None, *, state: JobState | None = None, after: int = 0,
             ended_before_ms: int = 0, limit: int = 100) -> list[Job]:
        """By id; ended_before_ms: those that were over by then."""

    def job_began(self, id_: int, at_ms: int) -> bool:
        """False when it is not waiting (any more)."""

    def job_ended(self, id_: int, at_ms: int, error: Any = None) -> bool:
        """Done, or failed with an error; False when it was not running (any more)."""

    def jobs_interrupted(self, at_ms: int, max_tries: int, error: Any) -> None:
        """What runs is run by nobody: it waits again, and fails when it was begun so often."""

    def remove_job(self, tenant: int, id_: int) -> None:
        """NotFound."""

    # -- events to webhooks

    def due_hooks(self, now_ms: int) -> list[DueHook]:
        """Those that are enabled, not gone, and not waiting for their next try."""

    def hook(self, webhook: int) -> DueHook:
        """NotFound."""

    def event(self, seq: int) -> Event | None:
        """None: it is not kept any more."""

    def oldest_event(self) -> int:
        """The oldest seq that is kept; the one that comes next when none is."""

    def add_attempts(self, webhook: int, attempts: Sequence[Attempt]) -> None:
        """What was sent, for people to look at."""

    def hook_sent(self, state: HookState, seq: int, attempts: Sequence[Attempt],
                  dead: Sequence[DeadLetter] = ()) -> bool:
        """From there to `seq` everything is dealt with, some of it by giving up; False when it is
        no longer where the state says, or was saved meanwhile."""

    def hook_failed(self, state: HookState, attempts: Sequence[Attempt], *, error: str,
                    next_ms: int = 0, gone_ms: int = 0) -> None:
        """The event after it could not be sent; nothing when the state is another one by now."""

    def hooks_seen(self, seen: Iterable[tuple[int, int, int]]) -> None:
        """(webhook, version, seq): up to there is nothing for it."""

    def attempts(self, webhook: int, *, before: int = 0, limit: int = 100) -> list[Attempt]:
        """The newest first; before: an id, 0: all."""

    def dead_letters(self, webhook: int, *, after: int = 0, limit: int = 100,
                     again: bool = False) -> list[DeadLetter]:
        """By event; again: those that are to be sent once more."""

    def count_dead_letters(self, webhook: int) -> int:
        """How many."""

    def send_again(self, webhook: int, event: int | None = None) -> int:
        """One dead letter, or all; how many."""

    def letter_sent(self, webhook: int, event: int, attempts: Sequence[Attempt],
                    dead: Sequence[DeadLetter] = ()) -> None:
        """A dead letter was sent once more; dead: in vain."""

    def send_from(self, webhook: int, seq: int) -> int:
        """Everything from there on; where it begins."""

    def keep_old_secret(self, webhook: int, secret: str, until_ms: int) -> None:
        """It signs too until then."""

    def tidy_hooks(self, now_ms: int, limit: int = 10_000) -> None:
        """Remove old attempts, letters whose event is gone, and secrets that count no more."""

    # -- deletions

    def old(self, kind: Kind, tenant: int, before_ms: int, limit: int) -> list[str]:
        """The uids of what is from before then, is not kept and not being deleted."""

    def begin_deletions(self, kind: Kind, tenant: int, uids: Iterable[str], *, why: str, by: str,
                        at_ms: int, size_of: Callable[[str], int] = lambda _path: 0
                        ) -> list[Deletion]:
        """Write down what is to go: those that are there and not kept. size_of: a path. by "": by
        hand of whoever has deleted the message before, or else by the keeper."""

    def deletions_begun(self, limit: int = 1000) -> list[Deletion]:
        """What is written down and not gone yet."""

    def end_deletions(self, deletions: Sequence[Deletion]) -> int:
        """Their files are gone: now the rows go, and the lines are added; how many."""

    def deletions(self, tenant: int, *, after: int = 0, limit: int = 100) -> list[LedgerLine]:
        """The ledger, by seq."""

    def proof_of_deletion(self, tenant: int, wanted: str = "") -> Proof:
        """wanted: a hash that must be there."""

    def set_keep(self, kind: Literal["recording", "call"], tenant: int, uid: str,
                 keep: bool) -> None:
        """No policy deletes it; NotFound, Conflict when it is being deleted."""

    def recordings(self, tenant: int, wanted: WantedRecordings | None = None, *,
                   after: tuple[int, str] | None = None, limit: int = 100
                   ) -> list[ListedRecording]:
        """The newest first; after: the time and the uid of the last one before."""

    def listed_recording(self, tenant: int, uid: str) -> ListedRecording:
        """NotFound."""

    # -- how people sign in (store/accounts.py). Whoever calls these makes them durable by writing()

    def credentials(self, account: int, kind: CredentialKind | None = None) -> list[Credential]:
        """The account's, by id; of that kind."""

    def passkey(self, handle: str) -> Credential | None:
        """Whose passkey has that id."""

    def add_credential(self, credential: Credential) -> int:
        """Its id; Conflict when the passkey is known, or the account has a password or app."""

    def set_password(self, account: int, hashed: str, at_ms: int) -> None:
        """In place of the earlier one."""

    def use_credential(self, id_: int, counter: int, at_ms: int) -> bool:
        """It was shown. False when its counter has been there already; 0: it does not count."""

    def remove_credentials(self, account: int, kind: CredentialKind,
                           id_: int | None = None) -> int:
        """All of a kind, or the one; how many."""

    def take_recovery(self, account: int, digest: str) -> bool:
        """A recovery code is used up; False when it is none."""

    def add_session(self, session: Session) -> int:
        """Its id. Of an account's sessions the newest are kept; the address is known from now."""

    def session_of(self, token: str, now_ms: int) -> Session | None:
        """Whose token that is, while the session runs and the account is enabled; it is used now,
        which tend_accounts() writes down."""

    def sessions(self, account: int, now_ms: int) -> list[Session]:
        """Those that run, by id."""

    def add_factor(self, digest: str, factor: str) -> None:
        """A second factor was shown in this session."""

    def end_sessions(self, account: int, *, id_: int | None = None, keep: str = "") -> int:
        """All, or the one, but that of the digest `keep`; how many."""

    def knows_address(self, account: int, address: str) -> bool:
        """Whether the account was signed in from there lately."""

    def add_pending(self, pending: Pending, at_most: int = 5) -> None:
        """Something begins; of the account's of its kind the newest are kept."""

    def pending(self, token: str, now_ms: int, *kinds: PendingKind) -> Pending | None:
        """What the token finishes, when it is of one of the kinds and in time."""

    def replace_pending(self, pending: Pending) -> None:
        """With other data."""

    def take_pending(self, token: str, now_ms: int, *kinds: PendingKind) -> Pending | None:
        """The same, once."""

    def end_pendings(self, account: int, *kinds: PendingKind) -> None:
        """They are not finished any more."""

    def owners_of_domain(self, domain: str) -> list[int | None]:
        """The companies that have accounts with addresses there; two at most."""

    def tend_accounts(self, now_ms: int) -> None:
        """Write down when sessions were used; forget what is over, and what sent letters said."""

    def close(self) -> None:
        """Give everything back."""
