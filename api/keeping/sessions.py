"""Calls that nobody speaks of any more are ended, on both sides (session drop on timeout).

Evidence of an answered call: a request inside it, which renews its lease; when its media goes
through rtpengine, that rtpengine still knows it (it forgets a call without media after a minute,
and all of them when it is killed); and, when call control holds it, that the process which took it
is still at work.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from api.keeping.edge_rpc import EdgeRpc, EdgeRpcError
from routing_core import Live
from routing_core.codes import SlotState

log = structlog.get_logger()

LOST = 6  # kemi.names.Ended.LOST
#: Of a call's uid; the sessions of call control have names with a dot.
UID_DIGITS: Final = 28
#: Places in a Party of kemi.calls.
TAG: Final = 2
TARGET: Final = 3
#: Looks in a row at which the media of a call must be missing.
MISSES = 2
#: A call younger than this may not have reached rtpengine's list yet.
YOUNG_MS = 5000
#: A call control that hangs for so long is believed to be dead, and its calls with it. (One that
#: was killed is started again within a second, and then it is known.)
HUNG_MS = 10_000
#: What was just handed over finds its process within this: three times the edge's patience.
SETTLE_MS = 4500


class Bye(NamedTuple):
    """What Kamailio needs to send one: request line, next hop ("." = the request line's), and
    headers."""

    target: str
    next_hop: str
    headers: str


class Sessions:
    """Watches the calls in progress."""

    def __init__(self, live: Live, edge: EdgeRpc) -> None:
        self.live = live
        self.edge = edge
        self._missing: dict[tuple[int, int], int] = {}
        self._orphans: set[str] = set()

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
            if not answer.get("media") or setup.get("uid") in known:
                continue
            times = self._missing.get((slot, nonce), 0) + 1
            if times < MISSES:
                missing[slot, nonce] = times
            else:
                ended += await self.drop(slot, nonce, call, now_ms, "its media is gone")
        self._missing = missing
        return ended

    def media_orphans(self, known: set[str]) -> set[str]:
        """The calls of the edge that rtpengine still knows although their slot is free: seen so at
        two looks in a row. known: call-ids of all nodes; the edge's are the calls' uids."""
        slots = (self.live.call(slot, nonce) for slot, nonce in self.live.calls())
        there = {msgspec.json.decode(call["setup"] or b"{}").get("uid") for call in slots if call}
        lost = {one for one in known if len(one) == UID_DIGITS and "." not in one} - there
        found, self._orphans = lost & self._orphans, lost
        return found

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
            await asyncio.gather(*map(self._bye, byes(call)))
        return True

    async def _bye(self, bye: Bye) -> None:
        try:
            await self.edge.call("tm.t_uac_start", "BYE", bye.target, bye.next_hop, ".",
                                 bye.headers)
        except EdgeRpcError as error:
            log.info("bye not sent", error=str(error))


def byes(call: Mapping[str, Any]) -> list[Bye]:
    """A BYE to each side of an answered call, as it stands in the slot's notes (kemi.calls)."""
    try:
        setup = msgspec.json.decode(call["setup"])
        caller = setup["party"]
        called = msgspec.json.decode(call["answer"])["party"]
        call_id = setup["call_id"]
    except (KeyError, TypeError, msgspec.DecodeError):
        return []
    found = []
    for to, from_ in ((caller, called), (called, caller)):
        _kind, _id, tag, target, goes_to, routes, _source = to
        route = "".join(f"Route: <{one}>\r\n" for one in routes)
        found.append(Bye(target, goes_to or (routes[0] if routes else "."), (
            f"From: <{from_[TARGET]}>;tag={from_[TAG]}\r\nTo: <{target}>;tag={tag}\r\n"
            f"Call-ID: {call_id}\r\nCSeq: 2000000 BYE\r\n{route}"
            "Reason: SIP;cause=408;text=\"Session lost\"\r\n")))
    return found
