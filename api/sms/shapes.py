"""What the routes of SMS take and answer."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from store.model import E164


class SmsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """sender: a number of the company, or the exchange's own name, which it is without one. A text
    is at most 10 messages long: 1530 characters of the GSM alphabet, 670 of others."""

    to: E164
    text: Annotated[str, Meta(min_length=1, max_length=1530,
                              pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]*\Z")]
    sender: Annotated[str, Meta(max_length=32)] = ""


class SmsShown(Struct, frozen=True, kw_only=True):
    """state: "failed" is given up; while it waits, error says why it did not work so far. segments:
    how many messages it becomes."""

    id: int
    to: str
    sender: str
    text: str
    segments: int
    state: Literal["waiting", "sent", "failed"]
    tries: int
    error: str
    created_ms: int
    done_ms: int
