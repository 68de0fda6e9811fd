"""A small floor for the tests of single queue rules: agents of queue 1 and what followed."""

from routing_core.queues import Login, What
from tests.queue_watched import Watched

T = 1_736_121_600_000
S, MINUTE = 1000, 60_000
A, B, C = 101, 102, 103


def floor(*agents: int, seed: int = 7, tiers: dict[int, int] | None = None,
          skills: dict[int, int] | None = None, **settings: int) -> Watched:
    """Queue 1 with these agents, who log in one second after the other, from T on."""
    watched = Watched(seed)
    watched.set_queue(T, 1, **settings)
    for i, agent in enumerate(agents):
        watched.set_member(T, 1, agent, tier=(tiers or {}).get(agent, 0), position=i,
                           skills=(skills or {}).get(agent, 0))
        assert watched.log_in(T + i * S, 1, agent) == Login.OK
    return watched


def said(watched: Watched, what: What) -> list[tuple[int, int, int, int]]:
    """(caller, agent, x, y) of what has just followed, of one kind."""
    return [(out[3], out[4], out[6], out[7]) for out in watched.outs if out[0] == what]


def rung(watched: Watched) -> list[int]:
    """The agents who have just been offered somebody."""
    return [agent for _, agent, _, _ in said(watched, What.OFFER)]


def attempt_of(watched: Watched, agent: int) -> int:
    """What rings there."""
    return watched.agents[agent].attempt


def talk(watched: Watched, at: int, agent: int, ms: int = 0) -> None:
    """Answers what rings; and ends it after so long."""
    assert watched.answered(at, attempt_of(watched, agent))
    if ms:
        assert watched.talk_ended(at + ms, agent)


def two_queues(**settings: int) -> Watched:
    """Agent A in queues 1 and 2, and in a call until talk_ended()."""
    watched = floor(A)
    watched.set_queue(T, 2, **settings)
    watched.set_member(T, 2, A)
    watched.log_in(T, 2, A)
    watched.enter(T + S, 1)
    talk(watched, T + 2 * S, A)
    return watched
