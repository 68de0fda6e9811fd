"""The proof of a company's routing over HTTP; see proof.py."""

import time

import msgspec
from sanic import Blueprint, HTTPResponse, Request

from api.http.context import check_tenant, parts_of
from api.proof.proof import prove

proof_report = Blueprint("proof_report", url_prefix="/v1")


@proof_report.get("/tenants/<tenant:int>/proof")
async def report(request: Request, tenant: int) -> HTTPResponse:
    """Everything that was found in the coming year."""
    parts = parts_of(request)
    check_tenant(parts.who(request), tenant)
    began = time.perf_counter()
    proof = msgspec.to_builtins(prove(parts.store, tenant, parts.now_ms() // 1000))
    took_ms = round((time.perf_counter() - began) * 1000, 1)
    return HTTPResponse(msgspec.json.encode(proof | {"took_ms": took_ms}), 200, None,
                        "application/json")
