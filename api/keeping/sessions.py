"""Calls that nobody speaks of any more are ended, on both sides (session drop on timeout).

Evidence of an answered call: a request inside it, which renews its lease; when its media goes
through rtpengine, that rtpengine still knows it (it forgets a call without media after a minute,
and all of them when it is killed); and, when call control holds it, that the process which took it
is still at work.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from api.keeping.edge_rpc import EdgeRpc, EdgeRpcError
from routing_core import Live
from routing_core.codes import SlotState

log = structlog.get_logger()

LOST = 6  # kemi.names.Ended.LOST
#: Looks in a row at which the media of a call must be missing.
MISSES = 2
#: A call younger than this may not have reached rtpengine's list yet.
YOUNG_MS = 5000
#: A call control that hangs for so long is believed to be dead, and its calls with it. (One that
#: was killed is started again within a second, and then it is known.)
HUNG_MS = 10_000
#: What was just handed over finds its process within this: three times the edge's patience.
SETTLE_MS = 4500


class Sessions:
    """Watches the calls in progress."""

    def __init__(self, live: Live, edge: EdgeRpc) -> None:
        self.live = live
        self.edge = edge
        self._missing: dict[tuple[int, int], int] = {}

    async def expire(self, now_ms: int) -> int:
        """End what has outlived its lease; how many."""
        ended = 0
        for slot, nonce in self.live.calls(SlotState.SETUP, SlotState.ANSWERED):
            call = self.live.call(slot, nonce)
            if call and call["lease_until"] * 1000 < now_ms:
                ended += await self.drop(slot, nonce, call, now_ms, "its lease ran out")
        return ended

    async def media_gone(self, known: set[str], now_ms: int) -> int:
        """End the anchored calls that rtpengine does not know; known: call-ids of all nodes."""
        ended = 0
        missing: dict[tuple[int, int], int] = {}
        for slot, nonce in self.live.calls(SlotState.ANSWERED):
            call = self.live.call(slot, nonce)
            if not call or now_ms - call["answered_ms"] < YOUNG_MS:
                continue
            answer = msgspec.json.decode(call["answer"] or b"{}")
            setup = msgspec.json.decode(call["setup"] or b"{}")
            if not answer.get("media") or setup.get("call_id") in known:
                continue
            times = self._missing.get((slot, nonce), 0) + 1
            if times < MISSES:
                missing[slot, nonce] = times
            else:
                ended += await self.drop(slot, nonce, call, now_ms, "its media is gone")
        self._missing = missing
        return ended

    async def control_gone(self, now_ms: int) -> int:
        """End the calls of call control processes that have died, answered or not."""
        ended = 0
        for slot, nonce in self.live.calls(SlotState.SETUP, SlotState.ANSWERED):
            call = self.live.call(slot, nonce)
            setup = msgspec.json.decode(call["setup"] or b"{}") if call else {}
            if not call or not setup.get("born") \
                    or self.live.control(setup["control"], now_ms, HUNG_MS) == setup["born"]:
                continue
            if call["state"] == SlotState.SETUP and now_ms - setup.get("at", 0) < SETTLE_MS:
                continue  # the edge may be sending it on, or to this one's next life
            ended += await self.drop(slot, nonce, call, now_ms, "its call control is gone")
            if call["state"] == SlotState.SETUP:
                await self._cancel(setup)
        return ended

    async def _cancel(self, setup: Mapping[str, Any]) -> None:
        """An INVITE that nobody will answer."""
        try:
            await self.edge.call("tm.cancel", str(setup["call_id"]), str(setup["cseq"]))
        except EdgeRpcError as error:
            log.info("not cancelled", error=str(error))

    async def drop(self, slot: int, nonce: int, call: Mapping[str, Any], now_ms: int,
                   why: str) -> bool:
        """End a call and tell both sides; True for the first who says so."""
        if not self.live.end(slot, nonce, 0, LOST, now_ms):
            return False
        log.warning("call dropped", why=why, slot=slot)
        if call["state"] == SlotState.ANSWERED:
            await asyncio.gather(*(self._bye(*side) for side in byes(call)))
        return True

    async def _bye(self, uri: str, headers: str) -> None:
        try:
            await self.edge.call("tm.t_uac_start", "BYE", uri, ".", ".", headers)
        except EdgeRpcError as error:
            log.info("bye not sent", error=str(error))


def byes(call: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(request URI, headers) of a BYE to each side of an answered call."""
    try:
        setup = msgspec.json.decode(call["setup"])
        answer = msgspec.json.decode(call["answer"])
        caller, called = setup["from"], answer["to"]
        sides = [(setup["contact"], called, caller), (answer["contact"], caller, called)]
        call_id = setup["call_id"]
    except (KeyError, TypeError, msgspec.DecodeError):
        return []
    found = []
    for contact, from_, to in sides:
        uri = contact.partition("<")[2].partition(">")[0] or contact
        headers = (f"From: {from_}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n"
                   "CSeq: 2000000 BYE\r\nReason: SIP;cause=408;text=\"Session lost\"\r\n")
        found.append((uri, headers))
    return found
