"""What the routes of webhooks take and answer."""

from typing import Annotated

from msgspec import Meta, Struct

from store.hooks import Attempt, DeadLetter

Seq = Annotated[int, Meta(ge=0, lt=1 << 62)]


class Page(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a list. after: the `next` of the page before."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Seq = 0


class HookShown(Struct, frozen=True, kw_only=True):
    """seq: of the last event that is dealt with, and newest: of the last one that there is; tries:
    of the next event so far, with the error of the last; next_ms: when it is tried again; gone_ms:
    when the other side answered 410, after which nothing is sent until the webhook is saved again;
    old_secret_until_ms: until when the secret before signs too."""

    webhook: int
    seq: int
    newest: int
    tries: int
    next_ms: int
    gone_ms: int
    error: str
    dead_letters: int
    old_secret_until_ms: int


class Attempts(Struct, frozen=True, kw_only=True):
    """The newest first."""

    items: list[Attempt]
    next: int | None


class DeadLetters(Struct, frozen=True, kw_only=True):
    """By event, the oldest first."""

    items: list[DeadLetter]
    next: int | None


class ReplayBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of them. from_seq: everything from that event on, in order; event: that dead letter;
    dead_letters: all of them."""

    from_seq: Seq | None = None
    event: Seq | None = None
    dead_letters: bool = False


class Replayed(Struct, frozen=True, kw_only=True):
    """from_seq: where it begins, which is the oldest event that is kept when an older one was asked
    for; letters: how many dead letters are sent again."""

    from_seq: int | None = None
    letters: int = 0


class Tested(Struct, frozen=True, kw_only=True):
    """What became of the test. status: 0 when there was no answer; answer: its first 500
    characters."""

    sent: bool
    status: int
    took_ms: int
    answer: str
    error: str


class NewSecret(Struct, frozen=True, kw_only=True):
    """The secret is shown this once. Until old_until_ms the one before signs too."""

    secret: str
    old_until_ms: int
