"""What was deleted, and the proof of it."""

import asyncio

from api.http.route import Call, route
from api.retention.shapes import Ledger, LedgerQuery, ProofQuery
from store import SqliteStore
from store.retention import Proof

_ALL = "/v1/tenants/{tenant}/deletions"


@route("GET", _ALL, "recordings:read", query=LedgerQuery, answer=Ledger)
async def deletions(call: Call) -> Ledger:
    """The ledger: a line for everything that was deleted, by a policy or by hand."""
    found = call.store.deletions(call.tenant, after=call.query.after, limit=call.query.limit)
    return Ledger(items=found, next=found[-1].seq if len(found) == call.query.limit else None)


@route("GET", _ALL + "/proof", "recordings:read", query=ProofQuery, answer=Proof)
async def proof(call: Call) -> Proof:
    """Whether every line is as it was written, and none is missing. Keep the head: a later proof
    tells whether it is still in the chain, so that the end cannot be cut off unseen."""
    return await asyncio.to_thread(_prove, call.store.path, call.tenant, call.query.head)


def _prove(path: str, tenant: int, head: str) -> Proof:
    store = SqliteStore(path)
    try:
        return store.proof_of_deletion(tenant, head)
    finally:
        store.close()
