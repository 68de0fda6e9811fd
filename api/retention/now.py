"""What somebody deletes by hand: gone, and in the ledger, before it is answered."""

import asyncio
from functools import partial

from api.http.route import Call
from api.keeping.retention import remove_files, size_of
from store.retention import Kind


async def delete(call: Call, kind: Kind, uid: str) -> bool:
    """False when it is not there, or kept. Interrupted, the keeper finishes it."""
    store = call.store
    begun = await call.parts.publisher.commits.run(lambda: store.begin_deletions(
        kind, call.tenant, [uid], why="by hand", by=call.who.by, at_ms=call.now_ms,
        size_of=partial(size_of, call.parts.state)))
    if not begun:
        return False
    await asyncio.to_thread(remove_files, call.parts.state, [one.path for one in begun])

    def end() -> None:
        store.end_deletions(begun)

    await call.keep(end)
    return True
