"""A route of the API: one declaration, from which come dispatch, rights, limits, the OpenAPI
document, and the tests of all of them.

    @route("PUT", "/v1/tenants/{tenant}/users/{user}/presence", "presence:write", own="user",
           body=PresenceBody, answer=PresenceShown)
    async def set_presence(call: Call) -> PresenceShown:
        \"""Summary. Description.\"""

Parameters of the path are ids, or text when written {uid:str}. right: see rights.py. own: what
callers reach who may do this only with their own things: "" nothing, "rows" what the handler picks
by call.own, else the parameter of the path that must be their user.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct
from sanic import HTTPResponse, Request
from sanic.response import ResponseStream

from api.http import rights
from api.http.errors import Problem, no_such
from api.http.parts import Parts
from api.http.who import Who
from store.model import Row
from store.sqlite import SqliteWriter

MAX_ID: Final = 1 << 62
#: What lists and figures are answered as.
JSON_OR_CSV: Final = "application/json, text/csv"
Handler = Callable[["Call"], Awaitable[Any]]


class Reply(NamedTuple):
    """An answer with a status or headers of its own."""

    body: Any
    status: int = 200
    headers: dict[str, str] | None = None


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A route that takes no parameters."""


class Route(Struct, frozen=True, kw_only=True, eq=False):
    """See the module. acts: does something outside the store, so a repetition is not safe."""

    method: str
    path: str
    right: str
    handler: Handler
    own: str
    query: type[Struct]
    body: Any
    answer: Any
    status: int
    errors: tuple[str, ...]
    media: str
    takes: str
    stream: bool
    acts: bool
    name: str
    tag: str
    decoder: msgspec.json.Decoder[Any] | None

    @property
    def parameters(self) -> list[tuple[str, bool]]:
        """(name, whether it is text) of the path."""
        return [(name, bool(kind)) for name, kind in re.findall(r"\{(\w+)(:str)?\}", self.path)]

    @property
    def writes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"


#: Every route, in the order of declaration.
ROUTES: Final[list[Route]] = []


def route(method: str, path: str, right: str, *, own: str = "", query: type[Struct] = NoQuery,
          body: Any = None, answer: Any = None, status: int = 200, errors: tuple[str, ...] = (),
          media: str = "application/json", takes: str = "application/json", stream: bool = False,
          acts: bool = False, loose: bool = False, name: str = "",
          tag: str = "") -> Callable[[Handler], Handler]:
    """See the module. errors: codes besides those that every route has; media, takes: of the
    answer and of the body when that is not JSON, several with commas; loose: the handler takes the
    body as an object and checks it itself; name: the operation's."""
    assert right in rights.RIGHTS or right == rights.PUBLIC, right

    def declare(handler: Handler) -> Handler:
        module = handler.__module__.split(".")
        ROUTES.append(Route(
            method=method, path=path, right=right, handler=handler, own=own, query=query,
            body=body, answer=answer, status=status, errors=errors, media=media, takes=takes,
            stream=stream, acts=acts, name=name or f"{module[1]}_{handler.__name__}",
            tag=tag or module[1],
            decoder=None if body is None or body is bytes else msgspec.json.Decoder(
                dict[str, Any] if loose else body)))
        return handler

    return declare


class Call:
    """A request under way, as its handler sees it. own: the caller's user, when the right reaches
    only what is its own; now_ms: the time of the request."""

    __slots__ = ("body", "ids", "now_ms", "own", "parts", "query", "replay", "request", "route",
                 "said", "tenant", "who")

    def __init__(self, request: Request, route: Route, parts: Parts, who: Who,
                 ids: dict[str, Any], now_ms: int) -> None:
        self.request = request
        self.route = route
        self.parts = parts
        self.who = who
        self.ids = ids
        self.tenant: int = ids.get("tenant", 0)
        self.now_ms = now_ms
        self.own: int | None = None
        self.query: Any = None
        self.body: Any = None
        self.replay: Callable[[Any], None] | None = None
        self.said = ""

    @property
    def store(self) -> Any:
        """The durable truth."""
        return self.parts.store

    @property
    def if_match(self) -> str | None:
        """The ETags of which one must be that of what is changed (RFC 9110 section 13.1.1)."""
        return self.request.headers.get("if-match") if self.request else None

    def id(self, name: str) -> int:
        """A parameter of the path."""
        found: int = self.ids[name]
        return found

    def text(self, name: str) -> str:
        """A parameter of the path that is text."""
        found: str = self.ids[name]
        return found

    def visible(self, table: str, id_: int) -> Any:
        """A row of this company; Problem 404."""
        return visible(self.parts.store.get(table, id_), self.tenant or None)

    def only_own(self, user: int | None) -> None:
        """Problem 403 when the right reaches only what is the caller's, and this is not."""
        if self.own is not None and user != self.own:
            raise Problem(403, "forbidden",
                          f"this needs {self.route.right} for other people's things")

    async def change(self, note: str, work: Callable[[SqliteWriter], Any]) -> Any:
        """Change the configuration, as one revision: what work(writer) returned. It is durable, and
        every process decides by it. What is returned should be the answer: it is kept with the
        change for a repetition with the same Idempotency-Key."""
        def done(writer: SqliteWriter) -> Any:
            result = work(writer)
            if self.replay is not None:
                self.replay(result)
            return result

        _, result = await self.parts.publisher.change(
            self.who.name, self.now_ms, note, done, self.who.by)
        return result

    async def keep(self, work: Callable[[], Any]) -> Any:
        """Write something else durably: what work() returned; see change()."""
        def done() -> Any:
            result = work()
            if self.replay is not None:
                self.replay(result)
            return result

        return await self.parts.publisher.commits.run(done)

    def note_audit(self, text: str) -> None:
        """What the audit says of this request, besides who, when and what; nothing secret."""
        self.said = text


def visible(row: Row, tenant: int | None) -> Row:
    """The row, or the Problem that it is not there, for a caller of that tenant."""
    if tenant is not None and getattr(row, "tenant", None) != tenant:
        raise no_such(type(row).__name__.lower())
    return row


def encode(route: Route, result: Any) -> HTTPResponse | ResponseStream:
    """The result of a handler as a response."""
    if isinstance(result, HTTPResponse | ResponseStream):
        return result
    status, headers = route.status, None
    if isinstance(result, Reply):
        result, status, headers = result
    if result is None and status in (204, 304):
        return HTTPResponse(None, status, headers)
    if isinstance(result, bytes):
        kind = (headers or {}).pop("Content-Type", route.media)
        return HTTPResponse(result, status, headers, kind)
    return HTTPResponse(msgspec.json.encode(result), status, headers, "application/json")


