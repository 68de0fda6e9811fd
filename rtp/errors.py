"""Media errors.

MediaError
├── NoMediaNode        none of the nodes answers
├── MediaTimeout       the node did not answer in time
├── MediaRefused       the node answered with an error; `reason` is its text
└── BadCapture         a recording that cannot be read at all
"""


class MediaError(Exception):
    """Anything that goes wrong with media."""


class NoMediaNode(MediaError):
    """None of the nodes answers."""


class MediaTimeout(MediaError):
    """The node did not answer in time."""


class MediaRefused(MediaError):
    """The node answered with an error."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadCapture(MediaError):
    """A recording that cannot be read at all."""
