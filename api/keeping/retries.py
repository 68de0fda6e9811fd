"""When something that could not be sent is tried again."""

from typing import Final

FIRST_RETRY_MS, LAST_RETRY_MS = 30_000, 3_600_000
GIVE_UP_MS: Final = 24 * 3_600_000


def retry_ms(tries: int, spread: float = 0.0) -> int:
    """How long after the try that followed so many: 30 s, twice as long each time, at most an hour.
    spread: from 0 to 1, up to a quarter is added, so that not all come back at once."""
    return round(min(FIRST_RETRY_MS << min(tries, 20), LAST_RETRY_MS) * (1 + spread / 4))
