"""Text to speech: a text becomes a prompt (rtp/audio.py), once, and is kept.

espeak-ng speaks every language of the product; piper speaks a language for which a voice lies in
the directory of voices. The text goes in by standard input, so that nothing in it is an option.
One process has one Speaker for a cache directory. What is said is kept within a number of bytes;
the least recently used goes first, and nothing that somebody may still be hearing.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from rtp import audio
from rtp.errors import BadAudio, SpeechFailed

#: The product's languages, and espeak-ng's voice for each.
VOICES: Final = {"sv": "sv", "en": "en", "fi": "fi"}
#: Words a minute: espeak-ng's own 175 is fast for somebody who does not see the text.
RATE_WPM: Final = 150
#: Two minutes of speech: nobody listens longer to a machine.
MAX_TEXT: Final = 2000
#: Digits are long when spoken: 2 000 of them would be a quarter of an hour.
LIMIT_S: Final = 300
TIMEOUT_S: Final = 10.0
#: Both engines stay far below; onnxruntime reserves much that it does not use.
_ESPEAK_MEMORY_BYTES: Final = 1 << 30
_PIPER_MEMORY_BYTES: Final = 8 << 30
_CPU_S: Final = 40  # of all threads within TIMEOUT_S
#: What an engine may write. A fifth would do, but espeak-ng prepares a sound device even when it
#: writes a file, and PulseAudio's client begins with 64 MiB of shared memory: less kills it.
_OUTPUT_BYTES: Final = 100_000_000
#: An hour and a half of speech.
LIMIT_BYTES: Final = 1 << 30
#: A directory that was handed out is not removed for so long: three times the longest prompt.
IN_USE_S: Final = 900.0
#: Different texts that wait for their turn; more is a mistake somewhere, or an attack.
MAX_WAITING: Final = 100
#: Part of every key: raise it when the same text shall sound different.
_EDITION: Final = 1
_KEY: Final = re.compile(r"[0-9a-f]{64}")


class Engine(NamedTuple):
    """What speaks. voice: espeak-ng's name or piper's model; version: changes with the program."""

    program: str
    voice: str
    piper: bool
    version: str


class Speaker:
    """Speaks into a cache directory, at most `concurrency` texts at a time, in threads.

    piper_voices: where voices are, as "sv_SE-nst-medium.onnx" with its ".onnx.json"; piper, espeak:
    the programs by name or path (Debian's package "piper" is for mice: the one meant here is PyPI's
    piper-tts). clock: Unix time, s.
    """

    def __init__(self, cache: Path, limit_bytes: int = LIMIT_BYTES, concurrency: int = 2,
                 piper_voices: Path | None = None, clock: Callable[[], float] = time.time, *,
                 piper: str = "piper", espeak: str = "espeak-ng",
                 in_use_s: float = IN_USE_S) -> None:
        self._cache = cache
        self._limit_bytes = limit_bytes
        self._piper_voices = piper_voices
        self._clock = clock
        self._piper = piper
        self._espeak = espeak
        self._in_use_s = in_use_s
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="speech")
        self._turns = asyncio.Semaphore(concurrency)
        #: What there is, the least recently used first: key to (bytes, when it was used).
        self._kept: dict[str, tuple[int, float]] | None = None
        self._loading = asyncio.Lock()
        self._running: dict[str, asyncio.Task[Path]] = {}
        self._closed = False

    async def say(self, text: str, language: str) -> Path:
        """The prompt's directory, as audio.normalise() makes it. language: "sv", "fi-FI" ...

        It stays for `in_use_s`: ask again before it is played again. SpeechFailed.
        """
        words = clean(text)
        engine = self._engine(language)
        key = _key(words, engine)
        self._check_open()
        kept = await self._load()
        self._check_open()
        running = self._running.get(key)
        if running is None:
            into = self._cache / key
            if key in kept and audio.whole(into):
                self._use(kept, key, kept[key][0])
                return into
            if len(self._running) >= MAX_WAITING:
                raise SpeechFailed("Too many texts wait to be spoken: try again in a minute.")
            running = asyncio.create_task(self._render(kept, key, words, engine))
            self._running[key] = running
            running.add_done_callback(lambda done: self._rendered(key, done))
        # Who is cancelled does not take the others' speech away.
        return await asyncio.shield(running)

    async def close(self) -> None:
        """No more is spoken; waits for what is being spoken, 10 s and a bit at the most."""
        self._closed = True
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._threads.shutdown(wait=False)

    def _check_open(self) -> None:
        if self._closed:
            raise SpeechFailed("The speaker is closed: the exchange is shutting down.")

    # -- speaking -----------------------------------------------------------------------------

    def _engine(self, language: str) -> Engine:
        """piper where there is a voice for the language, else espeak-ng."""
        name = language[:2].lower()
        if name not in VOICES or not re.fullmatch(r"[A-Za-z]{2}([-_][A-Za-z]{2,4})?", language):
            raise SpeechFailed(f"There is no voice for {language[:20]!r}: "
                               f"choose one of {', '.join(VOICES)}.")
        model = self._model(name)
        wanted = self._piper if model else self._espeak
        program = shutil.which(wanted)
        if program is None and model:
            raise SpeechFailed(f"The voice {model.name} needs piper, and there is no {wanted!r}: "
                               "install it (pip install piper-tts), or take the voice away.")
        if program is None:
            raise SpeechFailed(f"Nothing here can speak, there is no {wanted!r}: install it "
                               "(apt-get install espeak-ng).")
        files = [Path(program), *([model] if model else [])]
        try:
            version = " ".join(f"{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)
        except FileNotFoundError as error:  # replaced right now
            raise SpeechFailed(f"{error.filename} is gone: install it again.") from error
        return Engine(program, str(model) if model else VOICES[name], bool(model), version)

    def _model(self, name: str) -> Path | None:
        """The language's piper voice, the first by name."""
        if self._piper_voices is None:
            return None
        return next((path for path in sorted(self._piper_voices.glob("*.onnx"))
                     if re.split(r"[-_.]", path.name)[0] == name
                     and path.with_name(path.name + ".json").is_file()), None)

    async def _render(self, kept: dict[str, tuple[int, float]], key: str, words: str,
                      engine: Engine) -> Path:
        loop = asyncio.get_running_loop()
        async with self._turns:
            self._check_open()
            await self._evict(kept)
            if sum(size for size, _ in kept.values()) > self._limit_bytes:
                raise SpeechFailed("There is no room for more speech, all that is kept is in use: "
                                   "try again in a quarter of an hour, or allow more bytes.")
            into = self._cache / key
            prompt = await loop.run_in_executor(self._threads, _speak, words, engine, into)
            self._use(kept, key, prompt.bytes)
            await self._evict(kept)
            return into

    def _rendered(self, key: str, done: asyncio.Task[Path]) -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # looked at, also when nobody waits any more

    # -- keeping ------------------------------------------------------------------------------

    async def _load(self) -> dict[str, tuple[int, float]]:
        """What an earlier process kept; what it left half done is removed."""
        async with self._loading:
            if self._kept is None:
                self._kept = await asyncio.get_running_loop().run_in_executor(
                    self._threads, _found, self._cache, self._clock())
        return self._kept

    def _use(self, kept: dict[str, tuple[int, float]], key: str, size: int) -> None:
        """It is the most recently used now, also for the next process."""
        kept.pop(key, None)
        kept[key] = (size, self._clock())
        with contextlib.suppress(OSError):
            os.utime(self._cache / key, (self._clock(), self._clock()))

    async def _evict(self, kept: dict[str, tuple[int, float]]) -> None:
        """Down to the limit, as far as nothing in use would go."""
        total = sum(size for size, _ in kept.values())
        gone: list[Path] = []
        while total > self._limit_bytes:
            key, (size, used_s) = next(iter(kept.items()))
            if used_s > self._clock() - self._in_use_s:
                break
            del kept[key]
            total -= size
            # Renamed here and now: whoever says it again meanwhile begins anew.
            gone.append(self._cache / f"{audio.UNFINISHED}{secrets.token_hex(8)}")
            with contextlib.suppress(FileNotFoundError):
                (self._cache / key).rename(gone[-1])
        if gone:
            await asyncio.get_running_loop().run_in_executor(self._threads, _remove, gone)


def clean(text: str) -> str:
    """The text as an engine gets it: one line, without control characters (espeak-ng has commands
    that begin with one) and without "[[", which begins phonemes. SpeechFailed."""
    if len(text) > MAX_TEXT:
        raise SpeechFailed(f"The text has {len(text)} characters, more than the {MAX_TEXT} that "
                           "are spoken at once: shorten it.")
    lines = re.sub(r"(?<=\w)[ \t]*[\r\n]+", ". ", text)  # a line that just ends is a sentence
    kept = "".join(" " if unicodedata.category(one) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")
                   else one for one in lines if unicodedata.category(one) != "Cf")
    words = re.sub(r"\[(?=\[)", "[ ", " ".join(kept.split()))
    if not any(one.isalnum() or unicodedata.category(one).startswith("S") for one in words):
        raise SpeechFailed("There is nothing to say in the text: write some words.")
    return words


def _key(words: str, engine: Engine) -> str:
    """Everything that changes the sound."""
    of = [_EDITION, RATE_WPM, words, engine.voice, engine.piper, engine.version]
    return hashlib.sha256(json.dumps(of).encode("utf-8")).hexdigest()


def _speak(words: str, engine: Engine, into: Path) -> audio.Prompt:
    """Run the engine and make the prompt. SpeechFailed."""
    name = Path(engine.program).name
    with audio.workshop(into) as folder:
        spoken = folder / "spoken.wav"
        command = ([engine.program, "--model", engine.voice, "--output_file", str(spoken)]
                   if engine.piper else
                   [engine.program, "-v", engine.voice, "-s", str(RATE_WPM), "-b", "1", "--stdin",
                    "-w", str(spoken)])
        try:
            ended = audio.run_bounded(
                command, folder, timeout_s=TIMEOUT_S, cpu_s=_CPU_S, output_bytes=_OUTPUT_BYTES,
                memory_bytes=_PIPER_MEMORY_BYTES if engine.piper else _ESPEAK_MEMORY_BYTES,
                text=words.encode("utf-8") + b"\n")
        except TimeoutError as error:
            raise SpeechFailed(f"{error}: shorten the text, or see whether the machine is "
                               "overloaded.") from error
        except OSError as error:
            raise SpeechFailed(f"{name} cannot be started ({error.strerror}): install it "
                               "again.") from error
        if ended.code != 0 or not spoken.is_file():
            last = ended.said.splitlines()[-1:] or [f"it ended with {ended.code}"]
            raise SpeechFailed(f"{name} could not say it ({last[0][:200]}): shorten the text, or "
                               f"install {name} again.")
        try:
            prompt = audio.normalise(spoken, into, limit_s=LIMIT_S)
        except BadAudio as error:
            raise SpeechFailed("The text cannot be spoken in one piece: shorten it, or write it "
                               f"in words. ({error})") from error
    if prompt.peak_dbfs <= audio.FLOOR_DBFS:
        shutil.rmtree(into, ignore_errors=True)
        raise SpeechFailed("Nothing in the text can be pronounced: write it in words.")
    return prompt


def _found(cache: Path, now_s: float) -> dict[str, tuple[int, float]]:
    """What is whole in the cache; the rest of ours is removed."""
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    audio.sweep(cache, now_s)
    found: list[tuple[float, str, int]] = []
    for path in cache.iterdir():
        if not _KEY.fullmatch(path.name):
            continue
        if audio.whole(path):
            size = sum(file.stat().st_size for file in path.iterdir())
            found.append((path.stat().st_mtime, path.name, size))
        else:
            shutil.rmtree(path, ignore_errors=True)
    return {key: (size, used_s) for used_s, key, size in sorted(found)}


def _remove(directories: list[Path]) -> None:
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
