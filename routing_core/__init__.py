"""The routing kernel: decides where a call goes, and nothing else. See ARCHITECTURE.md."""

from routing_core.errors import (
    ForeignSnapshot,
    LiveStateError,
    OverlayFull,
    RoutingError,
    RowError,
    SnapshotError,
    TornSnapshot,
)
from routing_core.kernel import Decision, Kernel
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
