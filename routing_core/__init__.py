"""The routing kernel: decides where a call goes, and nothing else. See ARCHITECTURE.md."""

from routing_core.decision import Decision
from routing_core.errors import (
    ForeignSnapshot,
    LiveStateError,
    OverlayFull,
    RoutingError,
    RowError,
    SnapshotError,
    TornSnapshot,
)
from routing_core.kernel import Kernel
from routing_core.live import Live
from routing_core.snapshot import Snapshot

__all__ = [
    "Decision",
    "ForeignSnapshot",
    "Kernel",
    "Live",
    "LiveStateError",
    "OverlayFull",
    "RoutingError",
    "RowError",
    "Snapshot",
    "SnapshotError",
    "TornSnapshot",
]
