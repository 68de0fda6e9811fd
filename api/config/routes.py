"""Create, read, list, change and delete: the same for every table, driven by one list.

A row under /v1/tenants/<id>/... belongs to that company, and the body does not name it. Secrets are
made here and shown in the answer to the creation, never again.
"""

import base64
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import xxhash

from api.config import merge, services, shapes
from api.config.allotments import allot, allotted
from api.config.checks import check, check_deleted
from api.config.shapes import HIDDEN, MADE, OPERATORS, SETTABLE
from api.http import rights
from api.http.errors import Problem, invalid, no_such, row_of
from api.http.route import Call, Handler, Reply, route, visible
from api.http.who import key_digest
from api.revisions.moment import revision_of
from routing_core.build import secret_text
from store.model import TABLES, Account, ApiKey, Contact, Number, Row, User
from store.sqlite import SqliteWriter

_encode = msgspec.json.Encoder().encode
NONE: frozenset[str] = frozenset()
#: Rows that are kept as they are answered.
MAX_SHELF = 50_000


class Read(NamedTuple):
    """A row that was read; body: as it is answered, whole."""

    row: Row
    tag: str
    body: bytes


class Resource(NamedTuple):
    """A table's place in the API. owned: under a company; filters: query parameters; own: its rows
    name their user, whose own they are; given: by the operator, to a company that only reads it."""

    path: str
    table: str
    owned: bool
    filters: tuple[str, ...] = ()
    own: bool = False
    given: bool = False

    @property
    def base(self) -> str:
        """The path of the list."""
        return f"/v1/tenants/{{tenant}}/{self.path}" if self.owned else f"/v1/{self.path}"


RESOURCES = (
    Resource("tenants", "tenant", False, ("name",)),
    Resource("areas", "area", False, ("name",)),
    Resource("trunks", "trunk", False, ("tenant", "name")),
    Resource("routes", "route", False, ("tenant", "trunk")),
    Resource("plans", "plan", False, ("name",)),
    Resource("keys", "api_key", False, ("tenant", "name")),
    Resource("accounts", "account", False, ("tenant", "email")),
    Resource("providers", "provider", False, ("tenant",)),
    Resource("allotments", "allotment", False, ("tenant", "first")),
    Resource("keys", "api_key", True, ("name", "role")),
    Resource("accounts", "account", True, ("email", "role", "user")),
    Resource("providers", "provider", True),
    Resource("users", "user", True, ("extension", "name", "plan", "enabled")),
    Resource("devices", "device", True, ("user", "username", "kind"), True),
    Resource("allotments", "allotment", True, ("first",), given=True),
    Resource("numbers", "number", True, ("kind", "e164", "schedule")),
    Resource("activities", "activity", True, ("name", "code")),
    Resource("forwards", "forward", True, ("user", "event"), True),
    Resource("caller-rules", "caller_rule", True, ("user", "rule", "number"), True),
    Resource("schedules", "schedule", True, ("name",)),
    Resource("groups", "ring_group", True, ("extension", "name")),
    Resource("members", "member", True, ("ring_group", "user"), True),
    Resource("prompts", "prompt", True, ("name", "language")),
    Resource("services", "service", True, ("kind", "extension", "name")),
    Resource("queue-members", "queue_member", True, ("service", "user", "tier"), True),
    Resource("contacts", "contact", True, ("user", "name", "company", "shared"), True),
    Resource("webhooks", "webhook", True, ("enabled",)),
)


#: {table: the area of rights that it belongs to}.
AREAS = {resource.table: resource.path for resource in RESOURCES} | {"tenant": "company"}


def shown(table: str, row: Row) -> dict[str, Any]:
    """The row as the API shows it."""
    body: dict[str, Any] = msgspec.to_builtins(row)
    for name in HIDDEN.get(table, ()):
        body.pop(name, None)
    return services.shown(body) if table == "service" else body


def plain(body: dict[str, Any]) -> Any:
    """As JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(body))


def tag(row: Row) -> str:
    """The ETag of a row as it is."""
    return f'"{xxhash.xxh3_64_hexdigest(_encode(row))}"'


def only(body: dict[str, Any], fields: str) -> dict[str, Any]:
    """Of a row only these fields, and its id; Problem 422."""
    if not fields:
        return body
    wanted = fields.split(",")
    for name in wanted:
        if name not in body:
            raise invalid("fields", f"there is no field {name[:40]!r}")
    return {name: value for name, value in body.items() if name in wanted or name == "id"}


def _new(resource: Resource, body: dict[str, Any], call: Call) -> tuple[Row, dict[str, Any]]:
    """The row that a creation asks for, and what is shown only now."""
    table, once = resource.table, {}
    for name in ("id", *(("tenant",) if resource.owned else ()), *MADE.get(table, ())):
        if name in body:
            raise invalid(name, f"{name} is not the caller's to set")
    if resource.owned:
        body = body | {"tenant": call.tenant}
    if resource.own and call.own is not None:
        body.setdefault("user", call.own)
    match table:
        case "service":
            services.take_pin(body)
        case "device":
            body.setdefault("secret", secret_text(secrets.token_bytes(16)))
            once["secret"] = body["secret"]
        case "api_key":
            once["key"] = "vx_" + secrets.token_urlsafe(32)
            body |= {"digest": key_digest(once["key"]), "created_ms": call.now_ms}
            body.setdefault("role", "operator" if body.get("tenant") is None else "administrator")
        case "webhook":
            once["secret"] = body["secret"] = \
                "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    return row_of(TABLES[table], body), once


def _theirs(resource: Resource, row: Any, call: Call) -> Any:
    """The row, when the caller may reach it; Problem 404."""
    if resource.table == "tenant":
        return row
    visible(row, call.tenant if resource.owned else None)
    who = call.who
    if resource.own and call.own is not None and row.user != call.own:
        raise no_such(resource.table)
    if isinstance(row, Contact) and not _open_to(row, call):
        raise no_such("contact")
    if resource.table == "queue_member" and who.queues is not None \
            and row.service not in who.queues:
        raise no_such("queue_member")
    return row


def readable(table: str, fields: Any, call: Call) -> bool:
    """Whether the caller may read such a row where it is, as it is or was; None: it was not there.
    Who may read only their own of a table reads nobody's history."""
    if fields is None:
        return True
    if call.who.grants.get(f"{AREAS[table]}:read") != rights.ALL:
        return False
    return table != "contact" or _open_to(msgspec.convert(fields, Contact), call)


def _open_to(contact: Contact, call: Call) -> bool:
    """A personal contact is its person's, and the administrator's."""
    return contact.user in (None, call.who.user) or contact.shared \
        or call.who.role in ("operator", "administrator")


def with_plan(row: Any, call: Call, before: Any = None) -> Any:
    """The row as the caller may write it: a user that a company makes has the company's plan (A3),
    and keeps it. before: the row as it is."""
    if not isinstance(row, User) or call.who.tenant is None:
        return row
    plan = before.plan if before else call.store.get("tenant", row.tenant).plan
    return msgspec.structs.replace(row, plan=plan)


def imported(table: str, row: Any, call: Call, before: Any, writer: SqliteWriter) -> Any:
    """The row of an import as the caller may write it, None: deleted; Problem 403."""
    area = f"{AREAS[table]}:write"
    if call.who.grants.get(area) != rights.ALL:
        raise Problem(403, "forbidden", f"this needs {area}")
    within_rights(row, call, before)
    if row is not None:
        numbered(row, call, writer, before)
    return with_plan(row, call, before)


def within_rights(row: Any, call: Call, before: Any = None) -> None:
    """Nobody gives what they do not have, and takes nothing from those who have more; Problem 403.
    row: as it will be, None: deleted; before: the row as it is."""
    for one in (row, before):
        if isinstance(one, ApiKey | Account) and not rights.within(
                rights.grants(one.role, getattr(one, "scopes", ())), call.who.grants):
            raise Problem(403, "beyond_own_rights", f"a {call.who.role} with these scopes has no "
                          f"power over this {one.role}", "role")
    until = call.who.until
    if until and isinstance(row, ApiKey) and not 0 < row.until <= until:
        raise Problem(403, "beyond_own_rights", "no longer than the key that asks", "until")
    if isinstance(row, ApiKey) and call.who.tenant is not None and row.rate_per_s is not None \
            and row.rate_per_s > call.parts.limits.rate \
            and row.rate_per_s != getattr(before, "rate_per_s", None):
        raise Problem(403, "beyond_own_rights", "more than this exchange's own limit: only the "
                      "operator gives that", "rate_per_s")


def numbered(row: Any, call: Call, writer: SqliteWriter, before: Any = None) -> None:
    """A number is allotted before it is looked at who has it; Problem."""
    if isinstance(row, Number) and row.e164 != getattr(before, "e164", None):
        (allot if call.who.tenant is None else allotted)(row, writer)


def _declare(resource: Resource) -> None:
    table, area = resource.table, resource.path
    base, owned = resource.base, resource.owned
    parameter = "tenant" if table == "tenant" else "row"
    row_path = f"{base}/{{{parameter}}}"
    one_area = "company" if table == "tenant" else area
    own = "rows" if resource.own else "" if owned else "operator"
    one_own = "" if table == "tenant" else own
    suffix = table if owned or table in ("tenant", "area", "trunk", "route", "plan") \
        else f"any_{table}"

    def declared(method: str, path: str, right: str, name: str,
                 **more: Any) -> Callable[[Handler], Handler]:
        return route(method, path, right, tag="config", name=f"{name}_{suffix}", **more)

    @declared("POST", base, f"{area}:write", "create", own=own, body=shapes.new_type(table, owned),
              loose=True, answer=shapes.made_type(table), status=201,
              errors=("conflict", "unknown_reference", "unsafe_routing"))
    async def create(call: Call) -> Any:
        row, once = _new(resource, call.body, call)
        within_rights(row, call)

        def work(writer: SqliteWriter) -> Reply:
            numbered(row, call, writer)
            made = writer.create(with_plan(row, call))
            check(table, made, writer)
            _theirs(resource, made, call)
            where = base.replace("{tenant}", str(call.tenant))
            return Reply(shown(table, made) | once, 201,
                         {"Location": f"{where}/{made.id}", "ETag": tag(made)})

        return await call.change(f"create {table}", work)

    @declared("GET", base, f"{area}:read", "list", own=own, answer=shapes.page_type(table),
              query=shapes.list_type(table, resource.filters))
    async def read_all(call: Call) -> Any:
        query = call.query
        equal: dict[str, Any] = {"tenant": call.tenant} if owned else {}
        for name in resource.filters:
            if getattr(query, name) is not None:
                equal[name] = getattr(query, name)
        if call.own is not None and equal.setdefault("user", call.own) != call.own:
            return {"items": [], "next": None}
        if query.as_of:
            at = revision_of(call, query.as_of)
            rows = [row for row in call.store.rows_as_of(table, at, call.tenant or None)
                    if row.id > query.after
                    and all(_value(row, name) == value for name, value in equal.items())]
            rows = rows[:query.limit]
        else:
            rows = call.store.find(table, after=query.after, limit=query.limit, **equal)
        items = []
        for row in rows:
            try:
                items.append(only(shown(table, _theirs(resource, row, call)), query.fields))
            except Problem as problem:
                if problem.status != 404:
                    raise
        return {"items": items, "next": rows[-1].id if len(rows) == query.limit else None}

    @declared("GET", row_path, f"{one_area}:read", "get", own=one_own, query=shapes.One,
              answer=shapes.row_type(table))
    async def read(call: Call) -> Any:
        id_, query, shelf = call.id(parameter), call.query, call.parts.shelf
        if query.as_of:
            row = call.store.row_as_of(table, id_, revision_of(call, query.as_of))
            found = Read(row, tag(row), b"")
        else:
            known: Read | None = shelf.get((table, id_))
            if known is None:
                row = call.store.get(table, id_)
                if len(shelf) >= MAX_SHELF:
                    shelf.clear()
                known = shelf[table, id_] = Read(row, tag(row), _encode(shown(table, row)))
            found = known
        _theirs(resource, found.row, call)
        headers = {"ETag": found.tag}
        if _names(call.request.headers.get("if-none-match"), found.tag, weak=True):
            return Reply(None, 304, headers)
        return Reply(found.body if found.body and not query.fields
                     else only(shown(table, found.row), query.fields), 200, headers)

    @declared("PATCH", row_path, f"{one_area}:write", "change", own=one_own,
              body=shapes.patch_type(table), loose=True, answer=shapes.SHOWN[table],
              errors=("conflict", "stale", "unknown_reference", "unsafe_routing"))
    async def change(call: Call) -> Any:
        patch = call.body
        if table == "service":
            services.take_pin(patch)

        def work(writer: SqliteWriter) -> Reply:
            before = _theirs(resource, writer.get(table, call.id(parameter)), call)
            _fresh(call, before)
            _fixed(table, patch, before, call)
            row = row_of(TABLES[table], merge.merged(msgspec.to_builtins(before), patch))
            within_rights(row, call, before)
            _theirs(resource, row, call)
            if row != before:
                numbered(row, call, writer, before)
                writer.replace(row, before)
                check(table, row, writer, before)
            return Reply(shown(table, row), 200, {"ETag": tag(row)})

        return await call.change(f"change {table} {call.id(parameter)}", work)

    @declared("DELETE", row_path, f"{area}:write", "delete", own=own, status=204,
              errors=("still_referenced", "stale", "unsafe_routing"))
    async def delete(call: Call) -> Any:
        def work(writer: SqliteWriter) -> None:
            before = _theirs(resource, writer.get(table, call.id(parameter)), call)
            _fresh(call, before)
            within_rights(None, call, before)
            writer.delete(table, before.id)
            check_deleted(table, before, writer)

        return await call.change(f"delete {table} {call.id(parameter)}", work)

    thing = "an " if table[0] in "aeio" else "a "
    name = thing + table.replace("_", " ").replace("ring ", "")
    for handler, text in ((create, f"Make {name}."), (read_all, f"Every {name[len(thing):]}."),
                          (read, f"Read {name}."), (change, f"Change {name}: a merge (RFC 7396)."),
                          (delete, f"Delete {name}.")):
        handler.__doc__ = text


def _fixed(table: str, patch: dict[str, Any], before: Row, call: Call) -> None:
    """What the caller cannot change is as it was read, or not there; Problem 403, 422."""
    now = plain(shown(table, before))
    fixed = {name for name in ("id", "tenant", *MADE.get(table, ()), *HIDDEN.get(table, ()))
             if (table, name) not in SETTABLE}
    for name in fixed & set(patch):
        if name not in now or patch[name] != now[name]:
            raise invalid(name, f"{name} cannot be changed")
        del patch[name]
    if call.who.tenant is not None:
        for name in OPERATORS.get(table, NONE) & set(patch):
            if patch[name] != now[name]:
                raise Problem(403, "forbidden", "only the operator changes this", name)


def _value(row: Any, name: str) -> Any:
    """A filter's value of a row in memory."""
    return row.settings.__struct_config__.tag if name == "kind" and hasattr(row, "settings") \
        else getattr(row, name)


def _names(given: str | None, etag: str, weak: bool = False) -> bool:
    """Whether If-Match, or If-None-Match (weak), names that ETag (RFC 9110, 13.1)."""
    tags = [one.strip() for one in (given or "").split(",")]
    return tags == ["*"] or etag in tags or (weak and f"W/{etag}" in tags)


def _fresh(call: Call, before: Row) -> None:
    """If-Match names the row as it is; Problem 412."""
    if call.if_match is not None and not _names(call.if_match, tag(before)):
        raise Problem(412, "stale", "it was changed meanwhile: read it again", "If-Match")


for _resource in RESOURCES:
    _declare(_resource)
