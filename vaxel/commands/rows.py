"""list, get, add, change, delete: every resource of the configuration, with field=value."""

import argparse
import difflib
import sys
import typing
from typing import Any

import msgspec

from vaxel.commands import tables
from vaxel.commands.common import USAGE, CommandError, Commands, add, with_json, with_tenant
from vaxel.commands.remote import Remote

FIELDS = """A field is name=value: text, a number, true or false, null, or JSON. A dot leads into
a field (target.kind=user), name=@FILE takes the value from a file."""


def declare(commands: Commands) -> None:
    """The commands."""
    found = add(commands, "list", _list, "list the rows of a resource", """
        vaxel list tenants
        vaxel list users --tenant "Norrsken Bygg AB"
        vaxel list numbers kind=main --json
        vaxel list resources""")
    _resource(found)
    found.add_argument("filters", nargs="*", metavar="field=value", help="only those")
    found.add_argument("--limit", type=int, default=0, help="at most so many")
    found.add_argument("--columns", default="", help="which fields, with commas between")
    found = add(commands, "get", _get, "show one row", "vaxel get users 7")
    _resource(found, "id")
    found = add(commands, "add", _add, "make a row; secrets are shown now and never again", """
        vaxel add tenants name="Norrsken Bygg AB" country=SE
        vaxel add users name="Anna Berg" extension=101
        vaxel add numbers e164=+4684000000 target.kind=user target.user=7
        vaxel add keys name="Order system" tenant=1
        vaxel add accounts tenant=1 name=Anna email=anna@example.com role=administrator""")
    _resource(found, "fields")
    found = add(commands, "change", _change, "change fields of a row", """
        vaxel change users 7 name="Anna Lind" ring_s=30
        vaxel change services 3 settings=@menu.json""")
    _resource(found, "id", "fields")
    found = add(commands, "delete", _delete, "delete a row", "vaxel delete users 7")
    _resource(found, "id")


def _resource(parser: argparse.ArgumentParser, *more: str) -> None:
    argument = parser.add_argument("resource", metavar="RESOURCE",
                                   help="users, numbers, ...; `vaxel list resources` lists them")
    argument.completer = lambda **_: [*resources(), "resources"]  # type: ignore[attr-defined]
    if "id" in more:
        parser.add_argument("id", type=int, metavar="ID")
    if "fields" in more:
        argument = parser.add_argument("fields", nargs="+", metavar="field=value", help=FIELDS)
        argument.completer = complete_field  # type: ignore[attr-defined]
    with_tenant(parser)
    with_json(parser)


def complete_field(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """For the shell: the fields of the resource that was named."""
    known = resources().get(parsed_args.resource, [])
    return [f"{name}=" for name in fields_of(known[0].table)] if known else []


def resources() -> dict[str, list[Any]]:
    """Every resource by its name in the API; of some the exchange and each company have rows."""
    from api.config.routes import RESOURCES

    found: dict[str, list[Any]] = {}
    for resource in RESOURCES:
        found.setdefault(resource.path.replace("_", "-"), []).append(resource)
    return found


def fields_of(table: str) -> dict[str, Any]:
    """{field: its type} of a row, without what is not the caller's to set."""
    from store.model import TABLES

    hints = typing.get_type_hints(TABLES[table], include_extras=True)
    return {name: hint for name, hint in hints.items() if name != "id"}


def _known(arguments: argparse.Namespace) -> Any:
    """The resource that is meant: the company's, when it is both and --tenant is given."""
    known, name = resources(), arguments.resource
    wanted = name.replace("_", "-")
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, 1)
        raise CommandError(f"there is no resource {name!r}; " + (
            f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"), USAGE)
    return max(known[wanted], key=lambda one: one.owned == bool(arguments.tenant))


def body_of(table: str, words: list[str]) -> dict[str, Any]:
    """field=value words as the body of a request."""
    types = fields_of(table)
    body: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise CommandError(f"{word!r} is not field=value", USAGE)
        first, *rest = name.split(".")
        if first not in types:
            near = difflib.get_close_matches(first, types, 1)
            raise CommandError(f"{table.replace('_', ' ')} has no field {first!r}; " + (
                f"did you mean {near[0]}?" if near else f"it has: {', '.join(types)}"), USAGE)
        if text.startswith("@"):
            try:
                with open(text[1:], encoding="utf-8") as file:  # noqa: PTH123
                    text = file.read()
            except (OSError, UnicodeDecodeError) as error:
                raise CommandError(f"{name}: {error}", USAGE) from error
        into = body
        for step in [first, *rest][:-1]:
            into = into.setdefault(step, {})
            if not isinstance(into, dict):
                raise CommandError(f"{name}: {step} was given a value already", USAGE)
        into[[first, *rest][-1]] = _value(text, None if rest else types[first])
    return body


def _value(text: str, type_: Any) -> Any:
    """Text stays text where the field is one: an extension 101 is no number."""
    kinds = _plain_kinds(type_)
    if text == "null" and (type_ is None or type(None) in kinds):
        return None
    if str in kinds:
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text  # the exchange says what it should be


def _plain_kinds(type_: Any) -> set[Any]:
    if typing.get_origin(type_) is typing.Annotated:
        return _plain_kinds(typing.get_args(type_)[0])
    if typing.get_origin(type_) is typing.Literal:
        return {type(value) for value in typing.get_args(type_)}
    inner = [arg for arg in typing.get_args(type_) if not isinstance(arg, list)]
    if inner and typing.get_origin(type_) not in (list, dict, tuple, set, frozenset):
        return set().union(*(_plain_kinds(arg) for arg in inner))
    return {type_}


def _base(remote: Remote, resource: Any) -> str:
    return remote.under(resource.path) if resource.owned else f"/{resource.path}"


def _list(arguments: argparse.Namespace) -> int:
    if arguments.resource == "resources":
        found = [{"resource": name, "of": "company" if one.owned else "exchange",
                  "filters": ", ".join(one.filters), "fields": ", ".join(fields_of(one.table))}
                 for name, both in resources().items() for one in both]
        tables.as_json(found) if arguments.json else tables.rows(
            found, ("resource", "of", "filters") if sys.stdout.isatty() else ())
        return 0
    resource = _known(arguments)
    filters = dict(word.partition("=")[::2] for word in arguments.filters)
    wrong = [name for name in filters if name not in resource.filters]
    if wrong:
        raise CommandError(f"{arguments.resource} cannot be filtered by {wrong[0]!r}; "
                           f"by: {', '.join(resource.filters) or 'nothing'}", USAGE)
    remote = Remote(arguments)
    items = list(remote.pages(_base(remote, resource), arguments.limit, **filters))
    if arguments.json:
        tables.as_json(items)
    else:
        tables.rows(items, [name for name in arguments.columns.split(",") if name])
    return 0


def _show(arguments: argparse.Namespace, row: dict[str, Any]) -> int:
    tables.as_json(row) if arguments.json else tables.one(row)
    return 0


def _get(arguments: argparse.Namespace) -> int:
    resource = _known(arguments)
    remote = Remote(arguments)
    return _show(arguments, remote.request("GET", f"{_base(remote, resource)}/{arguments.id}"))


def _add(arguments: argparse.Namespace) -> int:
    resource = _known(arguments)
    body = body_of(resource.table, arguments.fields)
    remote = Remote(arguments)
    return _show(arguments, remote.request("POST", _base(remote, resource), body))


def _change(arguments: argparse.Namespace) -> int:
    resource = _known(arguments)
    body = body_of(resource.table, arguments.fields)
    remote = Remote(arguments)
    return _show(arguments, remote.request(
        "PATCH", f"{_base(remote, resource)}/{arguments.id}", body))


def _delete(arguments: argparse.Namespace) -> int:
    resource = _known(arguments)
    remote = Remote(arguments)
    remote.request("DELETE", f"{_base(remote, resource)}/{arguments.id}")
    print(f"{arguments.resource} {arguments.id} is deleted", file=sys.stderr)
    return 0
