"""The proof of a company's routing over HTTP; see proof.py."""

import time
from typing import Any

import msgspec

from api.http.route import Call, route
from api.proof.proof import prove
from api.proof.shapes import ProofShown


@route("GET", "/v1/tenants/{tenant}/proof", "proof:read", answer=ProofShown)
async def report(call: Call) -> Any:
    """Everything that was found in the coming year."""
    began = time.perf_counter()
    proof = msgspec.to_builtins(prove(call.store, call.tenant, call.now_ms // 1000))
    return proof | {"took_ms": round((time.perf_counter() - began) * 1000, 1)}
