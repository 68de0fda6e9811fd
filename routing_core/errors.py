"""The kernel's errors.

RoutingError
├── SnapshotError
│   ├── TornSnapshot      short or damaged: the last good one stays
│   └── ForeignSnapshot   another layout, another base, no snapshot at all
├── RowError              a row that cannot be compiled; names table and field
├── OverlayFull           no room for the change: compile a new base
└── LiveStateError        a live file of another layout
"""


class RoutingError(Exception):
    """Anything the kernel refuses."""


class SnapshotError(RoutingError):
    """A snapshot that is not used."""


class TornSnapshot(SnapshotError):
    """Short or damaged."""


class ForeignSnapshot(SnapshotError):
    """Of another layout or another base."""


class RowError(RoutingError):
    """A row that cannot be compiled."""

    def __init__(self, table: str, field: str, problem: str) -> None:
        super().__init__(f"{table}.{field}: {problem}")
        self.table = table
        self.field = field
        self.problem = problem


class OverlayFull(RoutingError):
    """The overlay has no room for a change; compile a new base."""


class LiveStateError(RoutingError):
    """A live state file that is not used."""
