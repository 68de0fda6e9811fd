"""A write that is only tried (Dry-Run), or that is to be made at a later time (Effective-From).

Both run the handler of the route on the configuration as it is, undo what it did, and answer with
it; the later one is kept and run again, with the rights of who asked, at its time.
"""

import datetime
from typing import Any, Final

import msgspec

from api.http.errors import Problem, as_problem, invalid
from api.http.route import ROUTES, Call, Handler, Reply, Route
from store.sqlite import SqliteWriter

HEADER: Final = "effective-from"
DRY_RUN: Final = "dry-run"
#: No change is planned for later than this.
MAX_AHEAD_MS: Final = 3 * 366 * 24 * 3_600_000
#: Changes that wait, of one company.
MAX_WAITING: Final = 1000


class Trial(Call):
    """A call whose change of the configuration is undone at once."""

    __slots__ = ()

    async def change(self, note: str, work: Any) -> Any:
        """What work(writer) would return."""
        return await self.parts.publisher.attempt(self.now_ms, work)

    async def keep(self, work: Any) -> Any:
        """Only what is configuration can be tried."""
        raise cannot()


class Within(Call):
    """A call that is one of several inside a change under way."""

    __slots__ = ("condition", "writer")

    writer: SqliteWriter
    condition: str | None

    @property
    def if_match(self) -> str | None:
        """Of this one, not of all."""
        return self.condition

    async def change(self, note: str, work: Any) -> Any:
        """work(writer), at once."""
        return work(self.writer)

    async def keep(self, work: Any) -> Any:
        """Only what is configuration can be changed together."""
        raise cannot()


def cannot() -> Problem:
    """Of what is no configuration."""
    return Problem(422, "invalid", "only configuration can be tried, planned or changed together",
                   HEADER)


def instead(call: Call) -> Handler:
    """What is done instead of the handler; Problem 422."""
    if not plannable(call.route):
        raise cannot()
    headers = call.request.headers
    if DRY_RUN in headers:
        if headers[DRY_RUN] != "true" or HEADER in headers:
            raise invalid(DRY_RUN, "true, and without Effective-From")
        return tried
    return planned


def plannable(route: Route) -> bool:
    """Whether a write is nothing but configuration."""
    return (route.tag == "config" and route.writes and route.decoder is not None) \
        or (route.method == "DELETE" and route.tag == "config")


async def tried(call: Call) -> Any:
    """The answer that there would be."""
    return await call.route.handler(_as(Trial, call))


def _as(kind: type[Call], call: Call) -> Any:
    made = kind(call.request, call.route, call.parts, call.who, call.ids, call.now_ms)
    made.own, made.query, made.body = call.own, call.query, call.body
    return made


async def planned(call: Call) -> Any:
    """Keep it for its time, when it would work now."""
    text = call.request.headers[HEADER]
    try:
        at = datetime.datetime.fromisoformat(text)
        at_ms = int(at.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise invalid(HEADER, "a time with an offset, as 2026-12-24T12:00:00+01:00") from error
    if at.tzinfo is None:
        raise invalid(HEADER, "a time with an offset, as 2026-12-24T12:00:00+01:00")
    if not call.now_ms < at_ms <= call.now_ms + MAX_AHEAD_MS:
        raise invalid(HEADER, "a time to come, within three years")
    result = await tried(call)
    made_then = result.body if isinstance(result, Reply) and isinstance(result.body, dict) else {}
    for name in ("key", "secret"):
        if name in made_then and name not in (call.body or {}):
            raise invalid(HEADER, f"its {name} is made then, and shown to nobody: make it now")
    store, request = call.parts.store, call.request

    def keep() -> Any:
        if store.planned_waiting(call.tenant or None) >= MAX_WAITING:
            raise Problem(409, "conflict", f"{MAX_WAITING} changes are waiting already")
        made = store.add_planned(
            tenant=call.tenant or None, at_ms=at_ms, by=call.who.by, name=call.who.name,
            method=call.route.method, path=request.path, created_ms=call.now_ms,
            body=request.body.decode() if call.route.decoder else "",
            if_match=call.if_match)
        where = f"/v1/tenants/{call.tenant}/planned/{made.id}" if call.tenant else \
            f"/v1/planned/{made.id}"
        return Reply(made, 202, {"Location": where})

    return await call.keep(keep)


class Operation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One write of configuration, as it would be sent by itself; path: from /v1 on; if_match: the
    header of that name."""

    method: str
    path: str
    body: Any = None
    if_match: str | None = None


def find(operation: Operation) -> tuple[Route, dict[str, Any]]:
    """The route that it is for, and the ids of its path; Problem 422."""
    segments = operation.path.partition("?")[0].strip("/").split("/")
    for route in ROUTES:
        parts = route.path.strip("/").split("/")
        if route.method != operation.method or len(parts) != len(segments):
            continue
        ids: dict[str, Any] = {}
        for part, segment in zip(parts, segments, strict=True):
            if part.startswith("{") and segment.isascii() and segment.isdecimal() \
                    and len(segment) < 19:
                ids[part[1:-1]] = int(segment)
            elif part != segment:
                break
        else:
            if plannable(route) and route.method + route.path != "POST/v1/tenants/{tenant}/batch":
                return route, ids
    raise invalid("path", f"{operation.method} {operation.path[:100]} is no write of configuration")


def run(call: Call, operation: Operation, writer: SqliteWriter) -> Any:
    """Do one operation inside a change under way, with the caller's rights; its answer."""
    from api.http.dispatch import allow  # it imports this module

    route, ids = find(operation)
    inside = Within(call.request, route, call.parts, call.who, ids, call.now_ms)
    inside.writer, inside.condition = writer, operation.if_match
    inside.own = allow(route, call.who, ids, call.parts)
    inside.query = route.query()
    if route.decoder is not None:
        inside.body = msgspec.convert(operation.body, route.decoder.type)
    steps = route.handler(inside).__await__()
    try:
        next(steps)
    except StopIteration as done:
        return done.value.body if isinstance(done.value, Reply) else done.value
    raise AssertionError("a write of configuration waits for nothing but its change")


def run_all(call: Call, operations: tuple[Operation, ...], writer: SqliteWriter) -> list[Any]:
    """Several; the Problem of the first that fails names it."""
    answers = []
    for index, operation in enumerate(operations):
        try:
            answers.append(run(call, operation, writer))
        except Exception as error:
            problem = as_problem(error)
            if problem.status == 500:
                raise
            raise Problem(problem.status, problem.code, problem.detail,
                          f"operations[{index}]" + (f".{problem.field}" if problem.field else "")
                          ) from error
    return answers
