"""Explain a call that might be, replay one that was (beyond 1 and 3)."""

from typing import Any, NamedTuple

import phonenumbers

from api.http.errors import invalid, no_such
from api.http.parts import Parts
from api.publish.publisher import ORDER
from routing_core import Decision, Kernel, Live, Snapshot, build
from routing_core.codes import Cause, Endpoint, Kind, Source
from routing_core.explain import explain, reason_code, reason_text
from routing_core.live import format_live, live_size
from routing_core.mapping import plans
from routing_core.rows import COLUMNS
from store.model import CallRecord
from store.rows import row_values

#: What an explained call's attempts end with, so that the whole way is shown.
MAX_ATTEMPTS = 12
#: Digits of an extension; no outside number is so short.
MAX_EXTENSION = 6


class Asked(NamedTuple):
    """A hypothetical caller. tenant: whose names may be shown, None = everybody's."""

    source_kind: int
    source: int
    calling: str
    tenant: int | None


def as_asked(parts: Parts, text: str, tenant: int | None) -> Asked:
    """Who "101", "anna-desk", "trunk:1" or "+4670..." is."""
    store = parts.store
    if text.startswith("trunk:") and text[6:].isdecimal():
        found: Any = store.get("trunk", int(text[6:]))
        if tenant is not None and found.tenant not in (None, tenant):
            raise no_such("trunk")
        return Asked(Source.TRUNK, found.id, "", tenant)
    equal = {} if tenant is None else {"tenant": tenant}
    devices: list[Any] = store.find("device", limit=1, username=text, **equal)
    if not devices and text.isdecimal() and len(text) <= MAX_EXTENSION and text[0] != "0":
        users: list[Any] = store.find("user", limit=2, extension=text, **equal)
        if len(users) > 1:
            raise invalid("tenant", f"several companies have the extension {text}: say which one")
        if not users:
            raise invalid("from", f"nobody has the extension {text}")
        devices = store.find("device", limit=1, user=users[0].id)
        if not devices:
            raise invalid("from", f"extension {text} has no device to call from")
    if devices:
        return Asked(Source.DEVICE, devices[0].id, "", tenant)
    trunks: list[Any] = [trunk for trunk in store.find("trunk", limit=1000)
                         if getattr(trunk, "tenant", None) in (None, tenant)
                         and getattr(trunk, "enabled", False)]
    try:
        number = phonenumbers.parse(text, trunks[0].country if trunks else "SE")
    except phonenumbers.NumberParseException as error:
        raise invalid("from", f"{text!r} is no extension, device, trunk or number") from error
    if not trunks:
        raise invalid("from", "no trunk exists over which an outside call could come")
    return Asked(Source.TRUNK, trunks[0].id,
                 phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), tenant)


def describe(parts: Parts, decision: Decision, trace: list[Any],
             tenant: int | None) -> dict[str, Any]:
    """A decision for people and machines; tenant: whose people may see it, None: the operator's."""
    if foreign(decision, tenant):
        return {"lines": ["goes on in another company"], "kind": Kind.RELAY.name.lower(),
                "reason": "", "reason_text": "", "code": 0, "ring_s": 0,
                "revision": decision.revision, "recorded": False, "shown": "", "caller_name": "",
                "targets": []}
    return {
        "lines": explain(trace, parts.publisher.names), "kind": Kind(decision.kind).name.lower(),
        "reason": reason_code(decision.reason), "reason_text": reason_text(decision.reason),
        "code": decision.code, "ring_s": decision.ring_s, "revision": decision.revision,
        "recorded": bool(decision.record), "shown": decision.shown_number,
        "caller_name": decision.caller_name,
        "targets": [{"to": "device" if kind == Endpoint.TO_DEVICE else "trunk", "id": id_,
                     "user": user or None} for kind, id_, user in decision.targets],
    }


def foreign(decision: Decision, tenant: int | None) -> bool:
    """Whether it is another company's affair."""
    return tenant is not None and decision.tenant not in (0, tenant)


def explain_call(parts: Parts, asked: Asked, called: str, at: int) -> dict[str, Any]:
    """Every attempt of a call at that time, as if nobody ever answered."""
    kernel = parts.kernel
    attempts = []
    trace: list[Any] = []
    decision = kernel.decide(asked.source_kind, asked.source, called[:64], asked.calling, at, 1,
                             None, None, Cause.FIRST, trace)
    for _ in range(MAX_ATTEMPTS):
        attempts.append(describe(parts, decision, trace, asked.tenant))
        targets = decision.targets
        if decision.kind != Kind.RELAY or not targets or targets[0][0] == Endpoint.TO_TRUNK \
                or foreign(decision, asked.tenant):
            break
        trace = []
        decision = kernel.decide(0, 0, "", "", at + decision.ring_s, 1, None, decision.trail,
                                 Cause.NO_ANSWER, trace)
    return {"at": at, "revision": kernel.snapshot.revision, "attempts": attempts}


def kernel_as_of(parts: Parts, revision: int) -> Kernel:
    """A kernel on the configuration as it was after that revision, with an empty live state."""
    then = parts.store.as_of(revision)
    builder = build.BaseBuilder(plans())
    sources: list[tuple[str, int]] = []
    for table, order in ORDER.items():
        by_id = sorted(then[table].values(), key=lambda row: row.id)
        rows = sorted(row_values(table, by_id, COLUMNS[table]), key=_key(COLUMNS[table], order))
        builder.add(table, rows)
    for trunk in then["trunk"].values():
        sources += [(source, trunk.id) for source in getattr(trunk, "sources", ())]
    builder.add("trunk_source", sources)
    header, body = builder.finish(revision, 1)
    sizes = (64, 64, 64, 2)
    buffer = bytearray(live_size(*sizes))
    format_live(buffer, *sizes, 1)
    return Kernel(Snapshot(bytes(header) + bytes(body)), Live(buffer))


def _key(columns: tuple[str, ...], order: str) -> Any:
    wanted = [columns.index(name) for name in ("user", "ring_group", "priority", "tenant", "id")
              if name in order and name in columns]
    return lambda row: tuple(row[i] or 0 for i in wanted)


def replay(parts: Parts, record: CallRecord) -> dict[str, Any]:
    """Make the recorded decisions again and say whether they are the same."""
    kernel = kernel_as_of(parts, record.revision)
    steps = []
    for facts in record.decisions or []:
        if facts == "cut":
            steps.append({"faithful": False, "why": "the record was cut: too many observations"})
            break
        kind, source, called, calling, now, seed, wanted, trail, cause, observed, *owned = facts
        if observed is None:
            steps.append({"faithful": False, "why": "more was observed than is kept"})
            continue
        trace: list[Any] = []
        decision, faithful = kernel.replay(
            bytes.fromhex(observed), kind, source, called, calling, now, seed, wanted,
            bytes.fromhex(trail) if trail else None, cause, trace, bool(owned and owned[0]))
        steps.append({"faithful": faithful} | describe(parts, decision, trace, record.tenant))
    return {"uid": record.uid, "revision": record.revision, "steps": steps,
            "faithful": all(step["faithful"] for step in steps)}
