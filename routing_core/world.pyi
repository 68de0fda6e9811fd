from collections.abc import Callable
from typing import Any, TypedDict, type_check_only

from _typeshed import ReadableBuffer

from routing_core.live import Live
from routing_core.snapshot import Snapshot

@type_check_only
class TrunkFacts(TypedDict):
    host: str
    port: int
    transport: int
    identity: int
    diversion: int
    forwarded: int
    format: int
    anchor: bool
    ring_s: int
    tenant: int
    registers: bool
    country_code: int
    username: str
    secret: str

class World:
    def __init__(
        self,
        snapshot: Snapshot,
        live: Live,
        control: ReadableBuffer | None = None,
        on_change: Callable[[Any], object] | None = None,
    ) -> None: ...
    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def live(self) -> Live: ...
    def use(self, snapshot: Snapshot) -> None: ...
    def observed(self) -> bytes | None: ...
    def device_by_username(
        self, username: str
    ) -> tuple[int, int, bytes, int, bool] | None: ...
    def trunk_at(self, host: str, port: int) -> bool: ...
    def trunk_by_source(self, source: str) -> int: ...
    def tenant_of(self, user: int) -> int: ...
    def trunk(self, trunk: int) -> TrunkFacts | None: ...
    def schedule_open(self, schedule: int, now: int) -> tuple[bool, int]: ...
    def refresh(self) -> None: ...
