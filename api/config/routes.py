"""Create, read, list, change and delete: the same for every table, driven by one list.

A row under /v1/tenants/<id>/... belongs to that tenant, and the body does not name it. Secrets are
made here and shown in the answer to the creation, never again.
"""

import secrets
from typing import Any, NamedTuple

import msgspec
from sanic import Blueprint, HTTPResponse, Request

from api.config import services
from api.config.checks import check, check_deleted, visible
from api.http.context import Who, check_tenant, key_digest, operator_only, parts_of, whole
from api.http.errors import Problem
from routing_core.build import secret_text
from store.model import TABLES, Row
from store.sqlite import SqliteWriter

resources = Blueprint("resources", url_prefix="/v1")

HIDDEN = {"device": ("secret",), "trunk": ("secret",), "api_key": ("digest",)}
#: What only the exchange itself sets.
MADE = {"api_key": ("digest", "created_ms"), "prompt": ("sha256", "duration_ms")}
MAX_PAGE = 1000


class Resource(NamedTuple):
    """A table's place in the API. owned: under a tenant; filters: query parameters."""

    path: str
    table: str
    owned: bool
    filters: tuple[str, ...] = ()


RESOURCES = (
    Resource("tenants", "tenant", False),
    Resource("areas", "area", False),
    Resource("trunks", "trunk", False, ("tenant",)),
    Resource("routes", "route", False, ("tenant", "trunk")),
    Resource("keys", "api_key", False, ("tenant",)),
    Resource("users", "user", True, ("extension",)),
    Resource("devices", "device", True, ("user",)),
    Resource("numbers", "number", True, ("kind", "e164")),
    Resource("activities", "activity", True),
    Resource("forwards", "forward", True, ("user",)),
    Resource("caller-rules", "caller_rule", True, ("user",)),
    Resource("schedules", "schedule", True),
    Resource("groups", "ring_group", True),
    Resource("members", "member", True, ("ring_group", "user")),
    Resource("prompts", "prompt", True),
    Resource("services", "service", True, ("kind", "extension")),
    Resource("queue_members", "queue_member", True, ("service", "user")),
)


def shown(table: str, row: Row) -> dict[str, Any]:
    """The row as the API shows it."""
    body: dict[str, Any] = msgspec.to_builtins(row)
    for name in HIDDEN.get(table, ()):
        body.pop(name, None)
    return services.shown(body) if table == "service" else body


def respond(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> HTTPResponse:
    """A JSON answer."""
    return HTTPResponse(msgspec.json.encode(body), status, headers, "application/json")


def decode(body: bytes, type_: Any = Any) -> Any:
    """JSON as that type; Problem."""
    try:
        return msgspec.json.decode(body, type=type_)
    except (UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "malformed", f"the body is not JSON: {type(error).__name__}") from error


def read_body(request: Request) -> dict[str, Any]:
    """The body as an object; Problem."""
    found = decode(request.body or b"")
    if not isinstance(found, dict):
        raise Problem(422, "invalid", "the body is an object")
    return found


def _prepare(resource: Resource, body: dict[str, Any], tenant: int | None,
             now_ms: int) -> tuple[Row, dict[str, Any]]:
    """The row that a creation asks for, and what is shown only now."""
    once: dict[str, Any] = {}
    for name in ("id", *(("tenant",) if resource.owned else ()), *MADE.get(resource.table, ())):
        if name in body:
            raise Problem(422, "invalid", f"{name} is not the caller's to set", name)
    if resource.owned:
        body["tenant"] = tenant
    if resource.table == "service":
        services.take_pin(body)
    if resource.table == "device":
        body.setdefault("secret", secret_text(secrets.token_bytes(16)))
        once["secret"] = body["secret"]
    if resource.table == "api_key":
        once["key"] = "vx_" + secrets.token_urlsafe(32)
        body |= {"digest": key_digest(once["key"]), "created_ms": now_ms}
    return msgspec.convert(body, TABLES[resource.table]), once


def _allowed(resource: Resource, who: Who, tenant: int | None) -> None:
    if resource.owned and tenant is not None:
        check_tenant(who, tenant)
    else:
        operator_only(who)


def _add(resource: Resource) -> None:
    base = f"/tenants/<tenant:int>/{resource.path}" if resource.owned else f"/{resource.path}"
    table = resource.table

    async def create(request: Request, tenant: int | None = None) -> HTTPResponse:
        parts = parts_of(request)
        who = parts.who(request)
        _allowed(resource, who, tenant)
        row, once = _prepare(resource, read_body(request), tenant, parts.now_ms())
        made: list[Row] = []

        def work(writer: SqliteWriter) -> None:
            made.append(writer.create(row))
            check(table, made[0], writer)

        parts.publisher.change(who.name, parts.now_ms(), f"create {table}", work)
        return respond(shown(table, made[0]) | once, 201,
                       {"Location": f"{request.path}/{made[0].id}"})

    async def read_all(request: Request, tenant: int | None = None) -> HTTPResponse:
        parts = parts_of(request)
        _allowed(resource, parts.who(request), tenant)
        equal: dict[str, Any] = {"tenant": tenant} if resource.owned else {}
        for name in resource.filters:
            if name in request.args:
                equal[name] = whole(request, name, 0, 0, (1 << 62) - 1) \
                    if name in ("user", "trunk", "tenant", "ring_group", "service") \
                    else request.args.get(name)
        if resource.owned and tenant is not None:
            parts.store.get("tenant", tenant)
        limit = whole(request, "limit", 100, 1, MAX_PAGE)
        rows = parts.store.find(table, after=whole(request, "after", 0, 0, 1 << 62), limit=limit,
                                **equal)
        return respond({"items": [shown(table, row) for row in rows],
                        "next": rows[-1].id if len(rows) == limit else None})

    async def read(request: Request, id_: int, tenant: int | None = None) -> HTTPResponse:
        parts = parts_of(request)
        _allowed(resource, parts.who(request), tenant)
        return respond(shown(table, visible(parts.store.get(table, id_), tenant)))

    async def change(request: Request, id_: int, tenant: int | None = None) -> HTTPResponse:
        parts = parts_of(request)
        who = parts.who(request)
        _allowed(resource, who, tenant)
        patch = read_body(request)
        for name in ("id", "tenant", *MADE.get(table, ()), *HIDDEN.get(table, ())):
            if name in patch and not (table == "trunk" and name == "secret"):
                raise Problem(422, "invalid", f"{name} cannot be changed", name)
        if table == "service":
            services.take_pin(patch)
        made: list[Row] = []

        def work(writer: SqliteWriter) -> None:
            before = visible(writer.get(table, id_), tenant)
            services.keep_pin(patch, before)
            row = msgspec.convert(msgspec.to_builtins(before) | patch, TABLES[table])
            made.append(writer.replace(row))
            check(table, row, writer, before)

        parts.publisher.change(who.name, parts.now_ms(), f"change {table} {id_}", work)
        return respond(shown(table, made[0]))

    async def delete(request: Request, id_: int, tenant: int | None = None) -> HTTPResponse:
        parts = parts_of(request)
        who = parts.who(request)
        _allowed(resource, who, tenant)

        def work(writer: SqliteWriter) -> None:
            before = visible(writer.get(table, id_), tenant)
            writer.delete(table, id_)
            check_deleted(table, before, writer)

        parts.publisher.change(who.name, parts.now_ms(), f"delete {table} {id_}", work)
        return HTTPResponse(status=204)

    for handler, path, method in (
            (create, base, "POST"), (read_all, base, "GET"), (read, f"{base}/<id_:int>", "GET"),
            (change, f"{base}/<id_:int>", "PATCH"), (delete, f"{base}/<id_:int>", "DELETE")):
        resources.add_route(handler, path, methods=[method],
                            name=f"{handler.__name__}_{table}")


for _resource in RESOURCES:
    _add(_resource)

