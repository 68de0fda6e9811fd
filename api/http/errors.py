"""Errors as the API tells them: RFC 9457 problem details, one table from domain error to status.

`code` is stable and API; `field` is the path of the field that is to blame.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from sanic import HTTPResponse, Request
from sanic.exceptions import SanicException

from api.http.faults import Fault, fault_of, faults_of
from api.http.problems import PROBLEMS
from routing_core import RowError
from store import BrokenReference, Conflict, NotFound, StillReferenced, StoreBusy, StoreError

CONTENT_TYPE = "application/problem+json"
_T = TypeVar("_T")


class Problem(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, code: str, detail: str, field: str = "",
                 headers: dict[str, str] | None = None,
                 errors: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.headers = headers or {}
        self.errors = errors  # all that is wrong, when that is more than one thing


def invalid(field: str, detail: str) -> Problem:
    """A value that cannot be accepted."""
    return Problem(422, "invalid", detail, field)


def all_invalid(faults: Sequence[Fault]) -> Problem:
    """Values that cannot be accepted."""
    return Problem(422, "invalid", faults[0].detail, faults[0].field,
                   errors=faults if len(faults) > 1 or faults[0].line else ())


def row_of(kind: type[_T], body: Any) -> _T:
    """The row; Problem with everything that is wrong with it."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise all_invalid(faults_of(body, kind, error)) from error


def no_such(what: str) -> Problem:
    """Not there, or not this caller's to see."""
    return Problem(404, "not_found", f"there is no such {what}")


STORE_STATUS: dict[type[StoreError], tuple[int, str]] = {
    NotFound: (404, "not_found"),
    Conflict: (409, "conflict"),
    BrokenReference: (422, "unknown_reference"),
    StillReferenced: (409, "still_referenced"),
    StoreBusy: (503, "busy"),
    StoreError: (422, "invalid"),
}


#: What the server itself refuses.
HTTP = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 503: "busy"}


def as_problem(error: Exception) -> Problem:
    """Any exception as the answer it leads to."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, StoreError):
        status, code = STORE_STATUS[type(error)]
        return Problem(status, code, str(error), error.field)
    if isinstance(error, RowError):
        return Problem(422, "invalid", error.problem, error.field)
    if isinstance(error, msgspec.ValidationError):
        fault = fault_of(error)
        return Problem(422, "invalid", fault.detail, fault.field)
    if isinstance(error, RecursionError):
        return Problem(400, "malformed", "the body is nested too deeply")
    if isinstance(error, msgspec.DecodeError):
        return Problem(400, "malformed", f"the body is not JSON: {error}")
    if isinstance(error, SanicException):
        headers = {name: str(value) for name, value in (error.headers or {}).items()
                   if name.lower() == "allow"}
        return Problem(error.status_code, HTTP.get(error.status_code, "http"), str(error),
                       headers=headers)
    return Problem(500, "internal", "something went wrong here; it has been logged")


def respond(request: Request, problem: Problem) -> HTTPResponse:
    """The problem as a response."""
    body: dict[str, Any] = {
        "type": f"/v1/problems/{problem.code}", "title": PROBLEMS[problem.code].title,
        "status": problem.status, "code": problem.code, "detail": problem.detail,
        "instance": request.path,
    }
    if problem.field:
        body["field"] = problem.field
    if problem.errors:
        body["errors"] = problem.errors
    headers = dict(problem.headers)
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="vaxel"'
    return HTTPResponse(msgspec.json.encode(body), problem.status, headers, CONTENT_TYPE)
