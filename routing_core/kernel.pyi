from typing import Any

from routing_core.codes import Cause
from routing_core.decision import Decision
from routing_core.outbound import Outbound

class Kernel(Outbound):
    def decide(
        self,
        source_kind: int,
        source: int,
        called: str,
        calling: str,
        now: int,
        seed: int,
        wanted: str | None = None,
        trail: bytes | None = None,
        cause: int = Cause.FIRST,
        trace: list[tuple[int, Any, Any]] | None = None,
        owned: bool = False,
    ) -> Decision: ...
    def replay(
        self,
        observed: bytes,
        source_kind: int,
        source: int,
        called: str,
        calling: str,
        now: int,
        seed: int,
        wanted: str | None = None,
        trail: bytes | None = None,
        cause: int = Cause.FIRST,
        trace: list[tuple[int, Any, Any]] | None = None,
        owned: bool = False,
    ) -> tuple[Decision, bool]: ...
