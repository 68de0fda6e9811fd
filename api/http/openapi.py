"""The OpenAPI 3.1 document, made from the routes and their types."""

import re
from functools import cache
from typing import Any, Final

import msgspec

from api.http import rights
from api.http.examples import example
from api.http.faults import Fault
from api.http.later import plannable
from api.http.problems import PROBLEMS
from api.http.route import MAX_ID, ROUTES, Route

VERSION: Final = "1.0.0"
REF: Final = "#/components/schemas/{name}"
#: Codes that every route may answer with, by what it has.
ALWAYS: Final = ("invalid", "too_large", "too_many", "internal", "busy")
#: Besides, where somebody must be somebody.
SIGNED_IN: Final = ("unauthenticated", "forbidden")

INTRODUCTION: Final = """\
Everything of the exchange. Once a change is answered it is durable, and every process decides by
it.

**Who asks.** `Authorization: Bearer <token>`: a key of a program (`vx_…`) or the session of a
person (`vs_…`, from /v1/sign-in). What another company has is not there: 404. What the role may
not do: 403.

**Lists** have `items` and `next`; give `next` as `after` for the next page. `fields` leaves out
the rest, `as_of` shows an earlier configuration.

**Changes** are merges (RFC 7396): `null` is the default again. `If-Match` with the ETag that was
read makes sure that nobody else has changed it meanwhile (412). With `Idempotency-Key` a
repetition gets the first answer and does nothing again. `Dry-Run: true` says what would be,
`Effective-From: <time>` makes a change of the configuration later. Both, and `/batch`, for all
that is configuration.

**Errors** are problem details (RFC 9457): `code` is stable, `field` is to blame, `type` has a
page.

**Limits** are in `RateLimit` and `RateLimit-Policy`; 429 has `Retry-After`.
"""


class ProblemShown(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    field: str = ""
    errors: list[Fault] = []


@cache
def document() -> dict[str, Any]:
    """The whole of it."""
    types: list[Any] = [ProblemShown]
    for route in ROUTES:
        types += [one for one in (route.body, route.answer) if one is not None and one is not bytes]
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    schema, components = dict(zip(map(id, types), schemas, strict=True)), _plain(components)
    paths: dict[str, Any] = {}
    for route in ROUTES:
        path = re.sub(r":str\}", "}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schema, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "vaxel", "version": VERSION, "description": INTRODUCTION},
        "security": [{"bearer": []}],
        "tags": [{"name": tag} for tag in sorted({route.tag for route in ROUTES})],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "responses": {code: {
                "description": f"{kind.title}. {kind.text}",
                "content": {"application/problem+json": {
                    "schema": {"$ref": REF.format(name="ProblemShown")}}},
            } for code, kind in PROBLEMS.items()},
        },
    }


def _plain(value: Any) -> Any:
    """Patterns as ECMA-262 writes them; every list says of what, for generators of clients."""
    if isinstance(value, dict):
        found = {name: one.replace("\\Z", "$") if name == "pattern" and isinstance(one, str)
                 else _plain(one) for name, one in value.items()}
        if found.get("items") is False:  # maxItems says so
            del found["items"]
        elif found.get("type") == "array":
            found.setdefault("items", {})
        return found
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _operation(route: Route, schema: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    text = (route.handler.__doc__ or "").strip()
    summary, _, more = text.partition("\n\n")
    found: dict[str, Any] = {
        "operationId": route.name, "tags": [route.tag], "summary": _line(summary),
        "description": "\n\n".join(filter(None, [_line(more), _allowed(route)])),
        "parameters": [*_path(route), *_query(route, components), *_headers(route)],
        "responses": _responses(route, schema),
    }
    if route.right == rights.PUBLIC:
        found["security"] = []
    if route.body is not None:
        content: dict[str, Any] = {"schema": {}}
        if route.body is not bytes:
            content["schema"] = schema[id(route.body)]
            content["example"] = example(content["schema"], components)
        found["requestBody"] = {
            "required": True, "content": dict.fromkeys(route.takes.split(", "), content)}
    return found


def _line(text: str) -> str:
    return " ".join(text.split())


def _allowed(route: Route) -> str:
    if route.right == rights.PUBLIC:
        return "Needs no sign-in."
    roles = [f"{role}{' (the own)' if far[route.right] == rights.OWN else ''}"
             for role, far in rights.ROLES.items()
             if far[route.right] == rights.ALL
             or (far[route.right] == rights.OWN and route.own not in ("", "operator"))]
    if route.own == "operator":
        roles = ["operator"]
    return f"Right `{route.right}`: {', '.join(roles)}."


def _path(route: Route) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema":
             {"type": "string", "minLength": 1} if text
             else {"type": "integer", "minimum": 1, "maximum": MAX_ID - 1}}
            for name, text in route.parameters]


def _query(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    (reference,), extra = msgspec.json.schema_components([route.query], ref_template=REF)
    struct = extra[reference["$ref"].rpartition("/")[2]]
    found = []
    for name, schema in struct.get("properties", {}).items():
        kinds = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
        if kinds:  # what is not there is null
            schema = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        else:
            schema = {key: value for key, value in schema.items() if key != "default"
                      or value is not None}
        found.append({"name": name, "in": "query", "required": name in struct.get("required", ()),
                      "schema": _plain(schema)})
    return found


def _headers(route: Route) -> list[dict[str, Any]]:
    if route.right == rights.PUBLIC or not route.writes:
        return []
    names: list[tuple[str, dict[str, Any]]] = [] if route.stream else [("Idempotency-Key", {
        "type": "string", "pattern": "^[!-~]{1,255}$"})]
    if route.tag == "config" and route.method in ("PATCH", "DELETE"):
        names.append(("If-Match", {"type": "string"}))
    if plannable(route):
        names += [("Dry-Run", {"type": "string", "enum": ["true"]}),
                  ("Effective-From", {
            "type": "string", "description": "a time to come, with an offset"})]
    return [{"name": name, "in": "header", "required": False, "schema": schema}
            for name, schema in names]


def _responses(route: Route, schema: dict[int, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done."}
    if route.status != 204:
        good["content"] = {kind: {} for kind in route.media.split(", ")}
    if route.answer not in (None, bytes):
        good["content"]["application/json"] = {"schema": schema[id(route.answer)]}
    found: dict[str, Any] = {str(route.status): good}
    if plannable(route):
        found["202"] = {"description": "Planned (Effective-From).", "content": {
            "application/json": {"schema": {"$ref": REF.format(name="Planned")}}}}
    if route.method == "GET" and route.tag == "config":
        found["304"] = {"description": "As it was (If-None-Match)."}
    codes = [*ALWAYS, *route.errors]
    if route.right != rights.PUBLIC:
        codes += SIGNED_IN
    if route.parameters:
        codes.append("not_found")
    if route.body is not None:
        codes += ["malformed", "unsupported_media"]
    if route.writes and not route.stream and route.right != rights.PUBLIC:
        codes += ["in_progress", "key_reused"]
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    for status, same in sorted(by_status.items()):
        found[str(status)] = {"$ref": f"#/components/responses/{same[0]}"} if len(same) == 1 else {
            "description": " ".join(f"`{code}`: {PROBLEMS[code].title}." for code in same),
            "content": {"application/problem+json": {
                "schema": {"$ref": REF.format(name="ProblemShown")}}}}
    return found
