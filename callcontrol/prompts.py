"""What callers hear: a company's prompts, spoken texts, tones. Always files that exist.

A prompt that is missing or cannot be spoken is no reason to lose a call: it is logged and counted,
and the caller hears the next thing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from rtp import audio
from rtp.errors import MediaError
from rtp.speech import Speaker
from store import NotFound
from store.model import Prompt
from store.port import Store

log = structlog.get_logger()

DEFAULT_LANGUAGE: Final = "sv"


class Prompts:
    """Of one installation. count: told of every prompt that could not be had."""

    def __init__(self, state: Path, store: Store, speaker: Speaker,
                 count: Callable[[str], None]) -> None:
        self._kept = state / "prompts"
        self._store = store
        self._speaker = speaker
        self._count = count
        self._tones = audio.write_defaults(state / "tones")

    def tone(self, name: str) -> Path:
        """The file of "ringback", "busy", "beep" or "hold"."""
        return audio.choose(self._tones[name])

    async def prompt(self, prompt: int | None, tenant: int, language: str) -> list[Path]:
        """The company's prompt."""
        if prompt is None:
            return []
        try:
            row = self._store.get("prompt", prompt)
        except NotFound:
            row = None
        if not isinstance(row, Prompt) or row.tenant != tenant:
            return self._missing(prompt, "there is no such prompt")
        if row.sha256:
            file = audio.choose(self._kept / row.sha256)
            if file.exists():
                return [file]
            missing = self._missing(prompt, f"{file} is not there")
            if not row.text:
                return missing
        if not row.text:
            return self._missing(prompt, "it has neither audio nor text")
        return await self.say(row.text, row.language or language)

    async def say(self, text: str, language: str) -> list[Path]:
        """A text, spoken."""
        if not text:
            return []
        try:
            return [audio.choose(await self._speaker.say(text, language))]
        except (MediaError, OSError) as error:
            log.error("text not spoken", error=str(error))
            self._count("speech_failed")
            return []

    def music(self, prompt: int | None, tenant: int) -> Path | None:
        """The company's hold music; None for the exchange's own."""
        try:
            row = self._store.get("prompt", prompt) if prompt else None
        except NotFound:
            row = None
        if isinstance(row, Prompt) and row.tenant == tenant and row.sha256:
            file = audio.choose(self._kept / row.sha256)
            return file if file.exists() else None
        return None

    def _missing(self, prompt: int, why: str) -> list[Path]:
        log.error("prompt missing", prompt=prompt, why=why)
        self._count("prompt_missing")
        return []

