"""A queue's configuration as the engine takes it, and names as numbers."""

from collections.abc import Iterable

from callcontrol.queues.journal import Names
from routing_core.queue_words import Leave
from routing_core.queues import STRATEGIES, need
from store.model import Overflow, Queue, QueueMember, Skill, Target

#: Where callers go who leave, or are not let in.
_FIELDS = {
    Leave.NIGHT: "night", Leave.CLOSED: "closed", Leave.NO_AGENTS: "no_agents",
    Leave.RUSH_LENGTH: "rush", Leave.RUSH_WAIT: "rush", Leave.RUSH_ESTIMATE: "rush",
    Leave.FULL: "rush", Leave.TIMED: "timed", Leave.NO_ANSWER: "no_answer",
}


def settings_of(queue: Queue, names: Names) -> dict[str, int]:
    """For Engine.set_queue(). names: may get new ones."""
    flow, callback = queue.overflow, queue.callback
    found = {
        "strategy": STRATEGIES[queue.strategy], "parallel": queue.parallel,
        "ring_ms": queue.ring_s * 1000, "weight": queue.weight,
        "wrap_ms": queue.wrap_up_s * 1000, "prolong_ms": queue.prolong_s * 1000,
        "rest_ms": queue.rest_s * 1000, "max_misses": queue.max_misses,
        "on_misses": int(queue.on_misses == "pause"),
        "no_answer_ms": queue.no_answer_delay_s * 1000,
        "rejected_ms": queue.rejected_delay_s * 1000, "busy_ms": queue.busy_delay_s * 1000,
        "unreachable_ms": queue.unreachable_delay_s * 1000, "attempts": flow.attempts or 0,
        "timed_ms": (flow.timed_s or 0) * 1000, "grace_ms": flow.grace_s * 1000,
        "leave_at_close": int(flow.leave_at_close), "dwell_ms": flow.dwell_s * 1000,
        "max_waiting": queue.max_waiting,
        "pauses_present": sum(1 << number_of_reason(names, reason)
                              for reason in set(flow.pauses_present)),
    }
    for name, marks, factor in (("length", flow.rush_length, 1), ("wait", flow.rush_wait_s, 1000),
                                ("estimate", flow.rush_estimate_s, 1000)):
        unit = "_ms" if factor > 1 else ""
        found[f"{name}_high{unit}"] = marks.high * factor if marks else 0
        found[f"{name}_low{unit}"] = marks.low * factor if marks else 0
    for i in range(3):
        found[f"tier{i + 1}_ms"] = queue.tiers_s[i] * 1000 if i < len(queue.tiers_s) else 0
    if callback:
        found |= {"callback_tries": callback.tries, "callback_gap_ms": callback.gap_s * 1000,
                  "callback_life_ms": callback.lifetime_s * 1000}
    return found


def target_of(flow: Overflow, why: int) -> Target | None:
    """Where a caller goes for that reason."""
    field = _FIELDS.get(Leave(why))
    target = getattr(flow, field) if field else None
    return target if isinstance(target, Target) else None


def number_of_reason(names: Names, reason: str) -> int:
    """From 1; a new one when there is none yet; 0 when all 62 are used."""
    if reason not in names.reasons:
        if len(names.reasons) >= 62:
            return 0
        names.reasons.append(reason)
    return names.reasons.index(reason) + 1


def mask_of(names: Names, queue: int, skills: Iterable[Skill]) -> int:
    """The engine's mask of these skills in that queue."""
    known = names.skills.setdefault(str(queue), [])
    found: list[tuple[int, int]] = []
    for skill in skills:
        if skill.name not in known and len(known) < 12:
            known.append(skill.name)
        if skill.name in known:
            found.append((known.index(skill.name), skill.level))
    return need(found)


def kinds_of(member: QueueMember) -> int:
    """The telephones that ring, as an order takes them (Q10)."""
    kinds = ("desk", "soft", "mobile", "cordless")
    return sum(1 << kinds.index(kind) for kind in set(member.device_kinds))
