"""The directory over HTTP."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from api.lines.shapes import PresenceShown
from store.model import ContactNumber


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """q: words, each the beginning of one in a name, company, title, department, number, extension
    or mail address, in any order; kind: only colleagues, or only contacts."""

    q: str = ""
    kind: Literal["user", "contact"] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 25
    after: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0


class Found(Struct, frozen=True, kw_only=True):
    """A colleague, with what the person does now, or a contact. user: whose contact it is; the
    company's is nobody's."""

    kind: Literal["user", "contact"]
    id: int
    name: str
    extension: str | None
    company: str
    title: str
    department: str
    numbers: tuple[ContactNumber, ...]
    email: str | None
    user: int | None
    shared: bool
    presence: PresenceShown | None


class Page(Struct, frozen=True):
    """In the order of the directory: colleagues, the company's contacts, shared ones, own ones."""

    items: list[Found]
    next: int | None


class Holder(Struct, frozen=True, kw_only=True):
    """Who has a number; shown: the name that telephones show when it calls from outside."""

    number: str
    shown: str
    entry: Found | None
