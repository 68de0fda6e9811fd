"""Call slots to call records: each call is written exactly once, whoever is killed in between.

A slot is given back only after its record is in the store, and the store knows a uid only once; so
a crash between the two writes the same record again, in vain.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import structlog

from routing_core import Live, SnapshotError
from routing_core.codes import SlotState, Source
from routing_core.masked import masked
from store import SqliteStore
from store.calls import Way
from store.model import CallRecord, Event

log = structlog.get_logger()

#: How a call ended, as the API spells it; the index is the slot's reason (kemi.names.Ended).
ENDED_BY = ("unknown", "caller", "called", "cancelled", "refused", "failed", "lost")


def record_of(call: Mapping[str, Any], uid: str) -> CallRecord:
    """The record of an ended call. uid: what is used when the slot was never filled in."""
    setup = _note(call["setup"])
    answer = _note(call["answer"])
    decisions = _note(call["decisions"], [])
    from_trunk = setup.get("source") == Source.TRUNK
    out_trunk = answer.get("trunk") or None
    direction: Literal["in", "out", "internal", "emergency"] = "internal"
    if setup.get("emergency"):
        direction = "emergency"
    elif from_trunk:
        direction = "in"
    elif out_trunk:
        direction = "out"
    return CallRecord(
        uid=setup.get("uid") or uid, tenant=call["tenant"],
        direction=direction if setup else "unknown",
        caller=setup.get("caller", ""), called=setup.get("called", ""),
        shown=setup.get("shown", ""), started_ms=call["started_ms"],
        answered_ms=call["answered_ms"], ended_ms=call["ended_ms"],
        caller_user=call["caller"] or None, answerer=call["answerer"] or None,
        trunk=(setup.get("id") if from_trunk else out_trunk), rang=tuple(call["rang"]),
        code=call["code"], ended_by=ENDED_BY[min(call["reason"], len(ENDED_BY) - 1)],
        recorded=bool(answer.get("record") and answer.get("media")),
        revision=setup.get("revision", 0), decisions=decisions,
        call_id=setup.get("call_id", ""), conversation=str(setup.get("conversation") or ""))


def _note(text: bytes, empty: Any = None) -> Any:
    """What a note holds; an answer's place holds a Handover, which is a list, until the answer."""
    empty = {} if empty is None else empty
    try:
        found = msgspec.json.decode(text) if text else empty
    except msgspec.DecodeError:
        return empty
    return found if isinstance(found, type(empty)) else empty


class Collector:
    """Writes the records of ended calls."""

    def __init__(self, live: Live, store: SqliteStore,
                 ways: Callable[[CallRecord], Sequence[Way]] = lambda _record: ()) -> None:
        """ways: to which groups and services a call came."""
        self.live = live
        self.store = store
        self.ways = ways

    def collect(self) -> int:
        """Write what has ended since; the number of new records."""
        written = 0
        for slot, nonce in self.live.calls(SlotState.ENDED):
            call = self.live.call(slot, nonce)
            if call is None:
                continue
            uid = f"{call['started_ms']:012x}{nonce:016x}"
            try:
                record = record_of(call, uid)
                if record.tenant:
                    written += self._write(record)
            except (TypeError, ValueError, AttributeError):  # one bad slot is not all calls' fault
                log.exception("no record can be made", uid=uid)
            self.live.release(slot, nonce)
        return written

    def _write(self, record: CallRecord) -> bool:
        """The record, and the event that tells of it."""
        with self.store.writing():
            new = self.store.add_call(record, self._ways(record))
            if new:
                self.store.add_events([event_of(record)])
        if new:
            _tell(record)
        return new

    def _ways(self, record: CallRecord) -> Sequence[Way]:
        try:
            return self.ways(record)
        except (SnapshotError, ValueError) as error:  # the record matters more
            log.warning("no ways", uid=record.uid, error=str(error))
            return ()


def _tell(record: CallRecord) -> None:
    """The log's line of a call, by which `vaxel log --call` knows it: nobody's whole number."""
    talked_ms = record.ended_ms - record.answered_ms if record.answered_ms else 0
    log.info("call record", uid=record.uid, tenant=record.tenant, direction=record.direction,
             caller=masked(record.caller), called=masked(record.called), code=record.code,
             ended_by=record.ended_by, answered=bool(record.answered_ms),
             seconds=round((record.ended_ms - record.started_ms) / 1000, 1),
             talked_s=round(talked_ms / 1000, 1), conversation=record.conversation)


#: What others are told of a record: nothing that only we understand.
TOLD: Final = ("direction", "caller", "called", "shown", "started_ms", "answered_ms", "ended_ms",
               "caller_user", "answerer", "rang", "code", "ended_by", "recorded", "conversation")


def event_of(record: CallRecord) -> Event:
    """A call has ended, and its record is there."""
    return Event(tenant=record.tenant, at_ms=record.ended_ms, kind="call", call=record.uid,
                 data={name: getattr(record, name) for name in TOLD})
