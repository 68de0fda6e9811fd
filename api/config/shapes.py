"""What the rows of the configuration look like over HTTP: made from the structs of store/model.py,
without what is not the caller's to set or to see."""

import typing
from functools import cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from store import model
from store.model import TABLES

#: Fields that nobody is shown.
HIDDEN: Final[dict[str, tuple[str, ...]]] = {
    "device": ("secret",), "trunk": ("secret",), "api_key": ("digest",), "provider": ("secret",),
    "webhook": ("secret",)}
#: What only the exchange itself sets.
MADE: Final[dict[str, tuple[str, ...]]] = {
    "api_key": ("digest", "created_ms"), "prompt": ("sha256", "duration_ms"),
    "webhook": ("secret",)}
#: Hidden fields that may be set anew all the same.
SETTABLE: Final = frozenset({("trunk", "secret"), ("provider", "secret")})
#: Shown once, in the answer to the creation.
ONCE: Final[dict[str, tuple[str, ...]]] = {
    "device": ("secret",), "api_key": ("key",), "webhook": ("secret",)}
#: Fields that only the operator changes, by table.
OPERATORS: Final[dict[str, frozenset[str]]] = {
    "tenant": frozenset({"agent_licences", "attendant_licences", "area", "media", "plan",
                         "operator_barred"}),
    "user": frozenset({"plan"})}


def _fields(struct: type[Struct]) -> list[tuple[str, Any, Any]]:
    hints = typing.get_type_hints(struct, include_extras=True)
    return [(one.name, hints[one.name], one) for one in msgspec.structs.fields(struct)]


def _default(one: Any) -> tuple[Any, ...]:
    if one.default_factory is not msgspec.NODEFAULT:
        return (msgspec.field(default_factory=one.default_factory),)
    return () if one.default is msgspec.NODEFAULT else (one.default,)


_MAILBOX: Final = msgspec.defstruct(
    "ShownMailbox", [
        *((name, kind) for name, kind, _ in _fields(model.Mailbox) if name != "pin"),
        ("has_pin", bool)], tag="mailbox", kw_only=True, frozen=True,
    namespace={"__doc__": model.Mailbox.__doc__})
_SHOWN_SETTINGS: Final = typing.Union[  # noqa: UP007
    tuple(_MAILBOX if one is model.Mailbox else one
          for one in typing.get_args(model.ServiceSettings))]


#: Tables whose rows are listed under the company and, for the operator, all together.
BOTH: Final = frozenset({"api_key", "account", "provider", "allotment"})


def _title(table: str, owned: bool = True) -> str:
    return ("" if owned or table not in BOTH else "Any") + TABLES[table].__name__


def shown_type(table: str) -> Any:
    """What is answered: without what is hidden."""
    return msgspec.defstruct(
        _title(table),
        [(name, _SHOWN_SETTINGS if (table, name) == ("service", "settings") else kind)
         for name, kind, _ in _fields(TABLES[table]) if name not in HIDDEN.get(table, ())],
        kw_only=True, frozen=True, namespace={"__doc__": TABLES[table].__doc__})


@cache
def made_type(table: str) -> Any:
    """What is answered to a creation: with what is shown only now."""
    shown = SHOWN[table]
    if table not in ONCE:
        return shown
    return msgspec.defstruct(
        f"{_title(table)}Made",
        [(name, kind) for name, kind, _ in _fields(shown)] + [(name, str) for name in ONCE[table]],
        kw_only=True, frozen=True, namespace={"__doc__": "With what is shown only now."})


def _given(table: str, owned: bool) -> list[tuple[str, Any, Any]]:
    out = {"id", *MADE.get(table, ()), *(("tenant",) if owned else ())}
    return [one for one in _fields(TABLES[table]) if one[0] not in out]


def new_type(table: str, owned: bool) -> Any:
    """What a creation takes."""
    fields = []
    for name, kind, one in _given(table, owned):
        default = (UNSET,) if (table, name) in (("device", "secret"), ("api_key", "role")) \
            else _default(one)
        fields.append((name, kind | UnsetType if default == (UNSET,) else kind, *default))
    return msgspec.defstruct(f"New{_title(table, owned)}", fields, kw_only=True, frozen=True,
                             forbid_unknown_fields=True,
                             namespace={"__doc__": TABLES[table].__doc__})


@cache
def patch_type(table: str) -> Any:
    """What a change takes: any of it; null is the default again."""
    fixed = {*HIDDEN.get(table, ()), "tenant"}
    return msgspec.defstruct(
        f"{_title(table)}Patch",
        [(name, kind | None | UnsetType, UNSET) for name, kind, _ in _given(table, True)
         if name not in fixed or (table, name) in SETTABLE],
        kw_only=True, frozen=True, forbid_unknown_fields=True,
        namespace={"__doc__": "What is to be changed (RFC 7396); null: the default again."})


@cache
def list_type(table: str, filters: tuple[str, ...]) -> Any:
    """The query of a list."""
    kinds: dict[str, Any] = {"kind": str} | {
        name: kind for name, kind, _ in _fields(TABLES[table])}
    return msgspec.defstruct(
        f"{_title(table)}List",
        [("limit", Annotated[int, Meta(ge=1, le=1000)], 100),
         ("after", Annotated[int, Meta(ge=0, lt=1 << 62, description="next of the page before")],
          0),
         ("fields", Annotated[str, Meta(max_length=500, description="only these, with commas")],
          ""),
         ("as_of", Annotated[str, Meta(
             max_length=40, description="a revision, or a time with an offset")], ""),
         *((name, kinds[name] | None, None) for name in filters)],
        kw_only=True, frozen=True, forbid_unknown_fields=True)


class One(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of a single row."""

    fields: Annotated[str, Meta(max_length=500, description="only these, with commas")] = ""
    as_of: Annotated[str, Meta(max_length=40,
                               description="a revision, or a time with an offset")] = ""


#: {table: what is answered}
SHOWN: Final[dict[str, Any]] = {table: shown_type(table) for table in TABLES}


@cache
def row_type(table: str) -> Any:
    """What is read. With `fields` it has those only, so all are optional."""
    return msgspec.defstruct(
        f"{_title(table)}Row",
        [(name, kind | UnsetType, UNSET) for name, kind, _ in _fields(SHOWN[table])],
        kw_only=True, frozen=True, namespace={"__doc__": TABLES[table].__doc__})


@cache
def page_type(table: str) -> Any:
    """A list's answer."""
    return msgspec.defstruct(
        f"{_title(table)}Page", [("items", list[row_type(table)]), ("next", int | None)],  # type: ignore[misc]
        kw_only=True, frozen=True)
