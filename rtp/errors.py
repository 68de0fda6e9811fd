"""Media errors.

MediaError
├── NoMediaNode        none of the nodes answers
├── MediaTimeout       the node did not answer in time
├── MediaRefused       the node answered with an error; `reason` is its text
├── MediaGone          the node lost the call: it was restarted, or heard nothing for too long
├── BadCapture         a recording that cannot be read at all
├── BadAudio           an upload that cannot become a prompt; the text says what to do
├── SpeechFailed       a text that cannot be spoken; the text says what to do
├── MixerGone          Janus is not there, or the room ended with it
└── MixerRefused       the mixer does not do it; `reason` is the text, `code` Janus's own
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


class MediaGone(MediaError):
    """The node has lost the call: a new session has to be opened."""


class BadCapture(MediaError):
    """A recording that cannot be read at all."""


class MixerGone(MediaError):
    """Janus is not there, or the room ended with it."""


class MixerRefused(MediaError):
    """The mixer does not do it; the code is Janus's, 0 when it was not asked."""

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class BadAudio(MediaError):
    """An upload that cannot become a prompt; the text says what to do."""


class SpeechFailed(MediaError):
    """A text that cannot be spoken; the text says what to do."""
