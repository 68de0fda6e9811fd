"""Where a call has been led to: its decisions, made again when it has ended."""

from routing_core import Kernel
from routing_core.codes import Kind, Reason
from store.calls import Way
from store.model import CallRecord


def ways_of(kernel: Kernel, record: CallRecord) -> list[Way]:
    """The groups that the call came to, and the service that it was handed over to first (0: to
    call control for something else). Exact while the configuration is that of the call; a change
    of its last seconds may hide a group."""
    found: dict[tuple[str, int], Way] = {}
    for facts in record.decisions or []:
        if facts == "cut":
            break
        kind, source, called, calling, now, seed, wanted, trail, cause, observed, *owned = facts
        if observed is None:
            continue
        decision, _ = kernel.replay(
            bytes.fromhex(observed), kind, source, called, calling, now, seed, wanted,
            bytes.fromhex(trail) if trail else None, cause, None, bool(owned and owned[0]))
        if decision.group:
            found["group", decision.group] = Way(kind="group", subject=decision.group)
        if decision.kind == Kind.HANDOVER:
            service = decision.service_id if decision.reason == Reason.SERVICE_TARGET else 0
            found["service", service] = Way(kind="service", subject=service)
    return list(found.values())
