"""The OpenAPI document, a page to read it, and a page for each code of an error."""

from functools import cache
from typing import Any

import msgspec
from sanic.response import html

from api.document import page
from api.http.errors import no_such
from api.http.openapi import document
from api.http.problems import PROBLEMS
from api.http.route import Call, Reply, route


@cache
def _encoded() -> bytes:
    return msgspec.json.encode(document())


@route("GET", "/v1/openapi.json", "public", answer=dict[str, Any], name="openapi")
async def openapi(call: Call) -> Any:
    """The OpenAPI 3.1 document."""
    return Reply(_encoded(), 200, {"Content-Type": "application/json",
                                   "Cache-Control": "max-age=300"})


@cache
def _page() -> str:
    return page.of_document(document())


@route("GET", "/v1/docs", "public", media="text/html", name="docs")
async def docs(call: Call) -> Any:
    """The document as a page."""
    return html(_page(), headers=page.HEADERS)


@route("GET", "/v1/problems/{code:str}", "public", media="text/html", name="problem")
async def problem(call: Call) -> Any:
    """What a code of an error means, and what to do."""
    code = call.text("code")
    if code not in PROBLEMS:
        raise no_such("code")
    return html(page.of_problem(code), headers=page.HEADERS)
