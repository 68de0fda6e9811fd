"""Bodies of health and operations."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

#: warning: all works, and somebody should look; degraded: a part of the service suffers.
State = Literal["ok", "warning", "degraded", "down"]


class Dependency(Struct, frozen=True, kw_only=True):
    """A part that the exchange needs, and how it does."""

    name: str
    state: State
    problem: Annotated[str, Meta(description="what is wrong, in one sentence; empty: nothing")]
    since_ms: Annotated[int, Meta(description="since when it is so, as seen from this process")]
    facts: dict[str, float]


class HealthShown(Struct, frozen=True, kw_only=True):
    """The whole exchange. down: it can do nothing; degraded: a part of it does not work."""

    status: Literal["ok", "degraded", "down"]
    at_ms: Annotated[int, Meta(description="when the parts were asked, a second ago at most")]
    store: State
    media_nodes_up: int
    keeper_seen_ms_ago: int
    revision: Annotated[int, Meta(description="the newest configuration that is stored")]
    published: Annotated[int, Meta(description="the configuration that calls are decided by")]
    dependencies: list[Dependency]


class Alive(Struct, frozen=True, kw_only=True):
    """This process answers."""

    status: Literal["ok"] = "ok"


class Ready(Struct, frozen=True, kw_only=True):
    """Whether requests should come here; 503 when not."""

    ready: bool
    problems: list[str]


class TrunksWanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which trunks."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[int, Meta(ge=0)] = 0


class TrunkShown(Struct, frozen=True, kw_only=True):
    """A trunk as it is now."""

    id: int
    name: str
    tenant: int | None
    host: str
    port: int
    state: Literal["up", "down", "disabled"]
    down_until: Annotated[int, Meta(description="out of use until then at the latest; 0: in use")]
    probed: Annotated[bool, Meta(description="whether OPTIONS are sent to it")]
    registered: Annotated[bool | None, Meta(
        description="whether the carrier has accepted our registration; null: it needs none, or "
                    "the edge does not answer")]


class TrunksShown(Struct, frozen=True, kw_only=True):
    """A page of trunks."""

    items: list[TrunkShown]
    next: int | None
