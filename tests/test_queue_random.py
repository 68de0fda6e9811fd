"""Short random sequences of inputs, nonsense among them (Hypothesis): unknown numbers, finished
callers, the wrong order. Nothing is raised but what is documented, no rule is broken, and a replay
ends in the same state.
"""

from contextlib import suppress

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from routing_core.queues import SETTINGS, Leave, need
from tests.queue_watched import Watched

T = 1_736_121_600_123
REASONS = (Leave.ABANDONED, Leave.KEY, Leave.CANCELLED, Leave.LOST, Leave.MOVED)
VALUES = (0, 1, 2, 3, 1000, 5000, 20000)
INPUTS = st.lists(st.tuples(
    st.sampled_from((
        "answered", "callback_done", "crash", "declined", "end_wrap_up", "enter", "enter", "enter",
        "estimate", "heal", "leave", "log_in", "log_in", "log_out", "missed", "pause", "prolong",
        "remove_member", "remove_queue", "resume", "set_callback_hours", "set_licences", "set_line",
        "set_member", "set_member", "set_open", "set_pause_counts", "set_present", "set_queue",
        "set_reachable", "step_in", "step_out", "talk_ended", "tick", "to_callback")),
    st.integers(0, 4), st.integers(0, 6), st.integers(0, 5), st.sampled_from(
        (-500, 0, 0, 1, 999, 1000, 5000, 20000, 3_600_000))), min_size=25, max_size=90)


def ours(watched: Watched, x: int) -> int:
    """A caller, or one who is over, or one that never was."""
    return [*watched.callers, 5, -1, 1 << 24 | 1, 0][x % (len(watched.callers) + 4)]


def rings(watched: Watched, x: int) -> int:
    """An attempt, or nonsense."""
    return [*watched.attempts, 5, -1, 1 << 24 | 1][x % (len(watched.attempts) + 3)]


def act(watched: Watched, what: str, now: int, x: int, y: int, z: int) -> None:
    """One input."""
    queue, agent = x, 100 + y
    if what == "enter":
        watched.enter(now, queue, priority=z - 1 if z > 4 else z // 3, force=z == 4,
                      aside_ms=now + 5000 if z == 2 else 0,
                      need=need({0: z}) if z and y > 3 else 0,
                      relax=((1000, need({0: 1})), (5000, 0))[:y % 3])
    elif what in ("answered", "declined"):
        getattr(watched, what)(now, rings(watched, y))
    elif what == "missed":
        watched.missed(now, rings(watched, y), z)
    elif what == "to_callback":
        watched.to_callback(now, ours(watched, y), now + VALUES[z] if z > 2 else 0, tag=x)
    elif what in ("step_in", "estimate"):
        getattr(watched, what)(now, ours(watched, y))
    elif what == "leave":
        watched.leave(now, ours(watched, y), REASONS[z % 5])
    elif what == "step_out":
        watched.step_out(now, ours(watched, y), now + VALUES[z])
    elif what == "callback_done":
        watched.callback_done(now, ours(watched, y), z > 2)
    elif what in ("log_in", "log_out", "remove_member"):
        getattr(watched, what)(now, queue, agent)
    elif what == "set_member":
        watched.set_member(now, queue, agent, z, x, need({0: y}) if y % 6 else 0)
    elif what in ("end_wrap_up", "heal", "resume", "talk_ended"):
        getattr(watched, what)(now, agent)
    elif what in ("set_present", "set_reachable", "set_line"):
        getattr(watched, what)(now, agent, z > 2)
    elif what in ("pause", "prolong"):
        getattr(watched, what)(now, agent, z + 1)
    elif what == "set_open":
        watched.set_open(now, queue, z)
    elif what == "set_callback_hours":
        watched.set_callback_hours(now, queue, z > 2)
    elif what == "set_queue":
        watched.set_queue(now, queue, **{SETTINGS[(y * 6 + z) % len(SETTINGS)]: VALUES[x + 1]})
    elif what == "remove_queue":
        watched.remove_queue(now, queue)
    elif what in ("set_licences", "set_pause_counts"):
        getattr(watched, what)(now, z - 1 if what == "set_licences" else z * 2)
    elif what == "tick":
        watched.tick(watched.engine.next_due() or now)
    else:
        watched.crash(whole=z > 3)


# Not shrunk, which takes minutes: what is raised names the input, and the journal has them all.
@settings(max_examples=400, phases=(Phase.generate,), deadline=None,
          derandomize=True, report_multiple_bugs=False,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(INPUTS, st.sampled_from(SETTINGS), st.integers(0, 6), st.integers(1, 6))
def test_random_inputs(inputs: list[tuple[str, int, int, int, int]], setting: str, value: int,
                       strategy: int) -> None:
    """On two queues and four agents to begin with."""
    watched = Watched(value)
    now = T
    for queue in (1, 2):
        watched.set_queue(now, queue, strategy=strategy, parallel=2, wrap_ms=5000, rest_ms=1000)
        with suppress(ValueError):
            watched.set_queue(now, queue, **{setting: VALUES[value]})
        for agent in (101, 102, 103, 104):
            watched.set_member(now, queue, agent, agent % 2, agent, need({0: agent - 100}))
            watched.log_in(now, queue, agent)
    for what, x, y, z, after in inputs:
        now += after
        with suppress(ValueError):
            act(watched, what, now, x, y, z)
    watched.audit()
    watched.tick(now + 1000)
    watched.audit()
    watched.crash(whole=True)
    watched.audit()
