"""From a request to the handler of its route and back: who asks, whether they may, whether it is
too much, what it means, and what is answered. The only place that does any of it.
"""

import string
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec
import structlog
from sanic import HTTPResponse, Request, Sanic
from sanic.response import BaseHTTPResponse, ResponseStream

from api.http import later, rights
from api.http.errors import Problem, all_invalid, as_problem, invalid, respond
from api.http.faults import faults_of
from api.http.limits import Bucket
from api.http.once import HEADER, once
from api.http.parts import Parts
from api.http.route import MAX_ID, ROUTES, Call, NoQuery, Route, encode
from api.http.who import Who, bearer, unauthenticated
from api.operations import metrics
from store import StoreBusy
from store.answers import AuditEntry

log = structlog.get_logger()

#: Who asks when nobody needs to be anybody.
#: Of what a client may call its request.
MAX_REQUEST_ID: Final = 64
REQUEST_ID: Final = frozenset(string.ascii_letters + string.digits + "-_.")
NOBODY: Final = Who(name="", by="", role="", tenant=None, grants={})


def attach(app: Sanic[Any, Any]) -> None:
    """Every declared route becomes one of the server's."""
    for one in ROUTES:
        path = one.path
        for name, is_text in one.parameters:
            path = path.replace(f"{{{name}:str}}" if is_text else f"{{{name}}}",
                                f"<{name}:str>" if is_text else f"<{name}:int>")
        methods = [one.method, "HEAD"] if one.method == "GET" else [one.method]
        app.add_route(_handler(one), path, methods=methods, name=one.name, stream=one.stream,
                      error_format="json")
    app.register_middleware(name_request, "response")


def name_request(request: Request, response: BaseHTTPResponse) -> None:
    """X-Request-Id, by which whoever asked and our log speak of the same request."""
    response.headers["X-Request-Id"] = request_id(request)


def request_id(request: Request) -> str:
    """The client's own when it is a short token, else one of ours."""
    if not hasattr(request.ctx, "id"):
        given = request.headers.get("x-request-id", "")
        good = 0 < len(given) <= MAX_REQUEST_ID and REQUEST_ID.issuperset(given)
        request.ctx.id = given if good else uuid.uuid4().hex
    return str(request.ctx.id)


def methods_of(path: str) -> str:
    """What Allow says of a path."""
    asked = path.split("/")
    found = {one.method for one in ROUTES if _leads(one.path.split("/"), asked)}
    return ", ".join(sorted(found | ({"HEAD"} if "GET" in found else set())))


def _leads(parts: list[str], asked: list[str]) -> bool:
    """Whether the path of a route, in parts, is that which was asked for."""
    return len(parts) == len(asked) and all(
        one != "" if part.startswith("{") else one == part
        for part, one in zip(parts, asked, strict=True))


def _handler(route: Route) -> Any:
    texts = [name for name, is_text in route.parameters if is_text]

    async def handle(request: Request, **ids: Any) -> HTTPResponse | ResponseStream:
        for name in texts:
            ids[name] = unquote(ids[name])
        return await serve(route, request, ids)

    return handle


async def serve(route: Route, request: Request,
                ids: dict[str, Any]) -> HTTPResponse | ResponseStream:
    """One request."""
    parts: Parts = request.app.ctx.parts
    now = time.time()
    who, bucket, call = NOBODY, None, None
    response: HTTPResponse | ResponseStream
    try:
        who, bucket = admit(route, request, parts, now)
        call = Call(request, route, parts, who, ids, int(now * 1000))
        call.own = allow(route, who, ids, parts)
        understand(call)
        handler = route.handler
        if route.writes and who is not NOBODY:
            if later.HEADER in request.headers or later.DRY_RUN in request.headers:
                handler = later.instead(call)
            if HEADER in request.headers and route.stream:
                raise invalid(HEADER, "a body that is streamed has none; dry_run tells what is new")
            if HEADER in request.headers:
                response = await once(call, request.headers[HEADER], handler)
            else:
                response = encode(route, await handler(call))
        else:
            response = encode(route, await handler(call))
    except Exception as error:
        problem = as_problem(error)
        if problem.status == 401:
            parts.failures.note(request.ip or "")
        if problem.status == 500:
            log.exception("request failed", path=request.path, request=request_id(request),
                          exc_info=error)
        elif isinstance(error, StoreBusy):
            metrics.store_busy()
        response = respond(request, problem)
    if bucket is not None:
        response.headers["RateLimit-Policy"] = bucket.policy
        response.headers["RateLimit"] = bucket.limit
    said = call is not None and call.said
    if said or (route.writes and who is not NOBODY
                and (route.tag != "config" or response.status >= 400)):
        _audit(parts, request, who, call, response.status)  # a revision tells of itself
    parts.request_done(route.name, response.status, time.time() - now)
    return response


def admit(route: Route, request: Request, parts: Parts, now: float) -> tuple[Who, Bucket]:
    """Who asks, when they do not ask too often; Problem 401, 429."""
    token = bearer(request)
    if route.right == rights.PUBLIC:
        who, bucket = NOBODY, parts.limits.bucket(f"address {request.ip}", now)
    elif token is None:
        raise unauthenticated()
    else:
        who, bucket = parts.identities.of(token, now)
    wait_s = bucket.take(now)
    if wait_s:
        raise Problem(429, "too_many", f"go on in {wait_s:.1f} s", headers={
            "Retry-After": str(int(wait_s) + 1), "RateLimit-Policy": bucket.policy,
            "RateLimit": bucket.limit})
    return who, bucket


def allow(route: Route, who: Who, ids: Mapping[str, Any], parts: Parts) -> int | None:
    """Whether they may; the user whose own things alone may be reached, None: any. Problem 403 and
    404: another company's things are not there."""
    for name, value in ids.items():
        if isinstance(value, int) and not 0 < value < MAX_ID:
            raise Problem(404, "not_found", f"there is no such {name}")
    if route.right == rights.PUBLIC:
        return None
    far = who.grants.get(route.right, rights.NO)
    tenant = ids.get("tenant")
    if tenant is not None:
        if who.tenant != tenant and (who.tenant is not None or not parts.has_tenant(tenant)):
            raise Problem(404, "not_found", "there is no such tenant")
    elif who.tenant is not None and route.own == "operator":
        raise Problem(403, "forbidden", "only the operator may do this")
    if who.enrol and not route.right.startswith("me:"):
        raise Problem(403, "second_factor_required", "set up a second factor first: /v1/me")
    if far == rights.ALL:
        return None
    if far == rights.NO or who.user is None or route.own in ("", "operator"):
        raise Problem(403, "forbidden", f"this needs {route.right}, which the role {who.role} "
                      "does not have here")
    if route.own != "rows" and ids[route.own] != who.user:
        raise Problem(403, "forbidden", f"this needs {route.right} for other people's things")
    return who.user


def understand(call: Call) -> None:
    """The query and the body as what the route says; Problem."""
    route, request = call.route, call.request
    if request.query_string:
        call.query = _query(route, request)
    else:
        call.query = _DEFAULTS.get(route.query) or _DEFAULTS.setdefault(
            route.query, msgspec.convert({}, route.query))
    if route.decoder is not None:
        kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
        if kind != "application/json" and not kind.endswith("+json"):
            raise Problem(415, "unsupported_media", "the body is JSON")
        call.body = decode(request.body or b"", route.decoder)


_DEFAULTS: Final[dict[type[msgspec.Struct], Any]] = {}


def _query(route: Route, request: Request) -> Any:
    given: dict[str, str] = {}
    for name, values in request.get_args(keep_blank_values=True).items():
        if len(values) > 1:
            raise invalid(name, "it is there twice")
        given[name] = values[0]
    if given and route.query is NoQuery:
        raise invalid(next(iter(given)), "this takes no such parameter")
    query = msgspec.convert(given, route.query, strict=False)
    for field in msgspec.structs.fields(route.query):
        if field.encode_name in given and getattr(query, field.name) is None:
            raise invalid(field.encode_name, "leave it out instead of null")
    return query


def decode(body: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """JSON as what the decoder is for; Problem."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise all_invalid(faults_of(_json(body), decoder.type, error)) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "malformed", f"the body is not JSON: {type(error).__name__}") from error


def _json(body: bytes) -> Any:
    """As it is; None when it is none behind its first fault."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _audit(parts: Parts, request: Request, who: Who, call: Call | None, status: int) -> None:
    entry = AuditEntry(
        at_ms=parts.now_ms(), tenant=call.tenant or who.tenant if call else who.tenant, by=who.by,
        name=who.name, role=who.role, address=request.ip or "", method=request.method,
        path=request.path[:200], status=status, said=(call.said if call else "")[:200])
    parts.publisher.commits.also(lambda: parts.store.add_audit(entry))
