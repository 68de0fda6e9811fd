"""Text to speech with the real espeak-ng: what is heard, what is kept, and what texts can do."""

import asyncio
import itertools
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from rtp import speech
from rtp.audio import FILES, LEFTOVER_S, choose, whole
from rtp.errors import SpeechFailed
from rtp.speech import Speaker, clean

ESPEAK = "/usr/bin/espeak-ng"
SWEDISH = "Välkommen till Ångström & Öhman. Tryck ett för försäljning, eller vänta kvar."


class Clock:
    """Unix time that a test moves."""

    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s


def run(cache: Path, work: Callable[[Speaker], Awaitable[Any]], **options: Any) -> Any:
    """What the coroutine returns, with a Speaker that is closed afterwards."""
    async def inside() -> Any:
        speaker = Speaker(cache, **options)
        try:
            return await work(speaker)
        finally:
            await speaker.close()
    return asyncio.run(inside())


def say(cache: Path, text: str, language: str = "sv", **options: Any) -> Path:
    """One text."""
    return run(cache, lambda speaker: speaker.say(text, language), **options)


def heard(path: Path, name: str = "8k.wav") -> Any:
    """The samples."""
    data, rate = soundfile.read(path / name)
    assert rate == FILES[name]
    return data


def program(path: Path, script: str) -> str:
    """A shell script to run instead of an engine; what it is given, it has in its arguments."""
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return str(path)


def counted(tmp_path: Path, before: str = "") -> tuple[str, Path]:
    """(espeak-ng that writes a line for every run, the file with these lines)"""
    log = tmp_path / "log"
    log.touch()
    return program(tmp_path / "espeak", f'echo "$@" >> {log}\n{before}\nexec {ESPEAK} "$@"\n'), log


def runs(log: Path) -> int:
    """How often it ran."""
    return len(log.read_text().splitlines())


# -- what is heard ----------------------------------------------------------------------------

@pytest.mark.parametrize(("language", "text", "seconds"), [
    ("sv", SWEDISH, (4, 9)),
    ("fi", "Tervetuloa. Paina yksi, niin yhdistämme myyntiin.", (2.5, 7)),
    ("en", "Welcome. Press one for sales, or hold the line.", (2.5, 6)),
])
def test_a_sentence(tmp_path: Path, language: str, text: str, seconds: tuple[float, float]) -> None:
    """It is speech: long enough, as loud as every prompt, in syllables, in a voice's range."""
    path = say(tmp_path / "cache", text, language)
    for name, rate in FILES.items():
        assert seconds[0] < len(heard(path, name)) / rate < seconds[1]
    sound = heard(path)
    assert np.abs(sound).max() <= 10 ** (-1 / 20) + 1e-4
    frames = np.square(sound[:len(sound) // 160 * 160].reshape(-1, 160)).mean(axis=1)
    loud = frames > frames.max() / 1000
    assert 0.4 < loud.mean() < 0.98, "words and pauses"
    assert -24 < 10 * np.log10(frames[loud].mean()) < -18
    changes = np.count_nonzero(np.diff((frames > frames.mean() / 4).astype(int)) == 1)
    assert changes >= len(text) / 10, "syllables"
    spectrum = np.square(np.abs(np.fft.rfft(sound)))
    hz = np.fft.rfftfreq(len(sound), 1 / 8000)
    assert spectrum[(hz > 80) & (hz < 3600)].sum() / spectrum.sum() > 0.95


def test_languages_differ(tmp_path: Path) -> None:
    paths = [say(tmp_path / "cache", "Radio 112 station", language) for language in ("sv", "en",
                                                                                      "fi")]
    sounds = [heard(path).tobytes() for path in paths]
    assert len(set(sounds)) == 3
    assert say(tmp_path / "cache", "Radio 112 station", "fi-FI") == paths[2]
    assert say(tmp_path / "cache", "Radio 112 station", "sv_SE") == paths[0]


def test_every_word_is_said(tmp_path: Path) -> None:
    """Longer texts take longer, and a Swedish letter is a sound of its own."""
    cache = tmp_path / "cache"
    lengths = [len(heard(say(cache, "Tryck ett. " * count))) for count in (1, 2, 4, 8)]
    assert all(1.5 < longer / shorter < 2.6
               for shorter, longer in itertools.pairwise(lengths))
    sounds = {heard(say(cache, word)).tobytes() for word in ("har", "hår", "här", "hör", "hor")}
    assert len(sounds) == 5


def test_pace(tmp_path: Path) -> None:
    """About 150 words a minute."""
    text = "one two three four five six seven eight nine ten " * 5
    minutes = len(heard(say(tmp_path / "cache", text, "en"))) / 8000 / 60
    assert 110 < 50 / minutes < 190


def test_lines_are_sentences(tmp_path: Path) -> None:
    assert clean("Hej\nTryck ett\r\n\r\nTryck två.\n Slut") == "Hej. Tryck ett. Tryck två. Slut"


# -- hostile texts ----------------------------------------------------------------------------

@pytest.mark.parametrize("text", [
    "-v foo", "--help", "-f /etc/passwd", "--compile=sv", "-w /tmp/vaxel-speech-test.wav hej",
    "a\x00b", "\x01v\x02 \x1b[31m hello \x7f", "$(touch /tmp/vaxel-speech-test.wav) `id`; ls | cat",
    "<speak><audio src='/etc/passwd'/>hello</speak>", "[[h@'loU]] [[[[x]]]]", "%s%n%x %d",
    "\u202eright to left\u202c", "\ud800 half a character", "a\u0301" * 900, "日本語 العربية 😀",
    "../../etc/passwd", "9" * 2000, "<" * 2000, "a" * 2000, "ﷺ" * 2000, "\ufeffhello",
])
def test_a_text_is_only_a_text(tmp_path: Path, text: str) -> None:
    """It is spoken in time, or refused; nothing else happens."""
    log = tmp_path / "log"
    espeak = program(tmp_path / "espeak", f'echo "$@" > {log}\nexec {ESPEAK} "$@"\n')
    start = time.monotonic()
    try:
        path = say(tmp_path / "cache", text, "en", espeak=espeak)
    except SpeechFailed as error:
        assert "text" in str(error)
    else:
        assert np.abs(heard(path)).max() > 0.01
        assert 0.1 < len(heard(path)) / 8000 < 310
        assert log.read_text().split()[:7] == ["-v", "en", "-s", "150", "-b", "1", "--stdin"]
        assert log.read_text().split()[9:] == []
    assert time.monotonic() - start < 10
    assert not Path("/tmp/vaxel-speech-test.wav").exists()
    assert not [path for path in (tmp_path / "cache").glob("*") if path.name.startswith(".")]


def test_what_an_engine_gets() -> None:
    assert clean("a\x00b\x1bc") == "a b c"
    assert clean("  two \t words ") == "two words"
    assert clean("x [[[y]]") == "x [ [ [y]]"
    assert clean("a\ud800b\u200dc\u2028d") == "a bc d"
    dice = random.Random(6)
    for _ in range(300):
        text = "".join(chr(dice.choice([dice.randrange(0x300), dice.randrange(0x110000)]))
                       for _ in range(60))
        words = clean(text + "x")
        assert words == words.strip()
        assert "\n" not in words
        assert "[[" not in words
        assert words.isprintable() or any(one.isspace() for one in words)
        assert words.encode("utf-8")


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\x00\x01", "...", "?!", "\u200b", "\u0301" * 9])
def test_nothing_to_say(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpeechFailed, match="nothing to say"):
        say(tmp_path / "cache", text)


def test_too_much_to_say(tmp_path: Path) -> None:
    assert say(tmp_path / "cache", "hej " * 500)
    with pytest.raises(SpeechFailed, match="2001 characters"):
        say(tmp_path / "cache", "x" * 2001)


@pytest.mark.parametrize("language", ["", "de", "xx", "-v", "../sv", "sv\x00", "sv;ls", "svenska",
                                      "en+whisper", "sv\n", "s", "ſv"])
def test_languages_that_are_none(tmp_path: Path, language: str) -> None:
    with pytest.raises(SpeechFailed, match="sv, en, fi"):
        say(tmp_path / "cache", "hej", language)


# -- engines that fail ------------------------------------------------------------------------

def test_no_engine(tmp_path: Path) -> None:
    with pytest.raises(SpeechFailed, match="apt-get install espeak-ng"):
        say(tmp_path / "cache", "hej", espeak="no-such-program")


@pytest.mark.parametrize("script", ["echo broken data >&2; exit 1", "exit 0", "kill -9 $$",
                                    "echo no sound > $9", "exec head -c 200000000 /dev/zero > $9",
                                    "head -c 44 /dev/zero > $9"])
def test_an_engine_that_fails(tmp_path: Path, script: str) -> None:
    """Said so, nothing is kept, and the next try is a new one."""
    cache = tmp_path / "cache"
    broken = program(tmp_path / "broken", script + "\n")

    async def work(speaker: Speaker) -> None:
        for _ in range(2):
            with pytest.raises(SpeechFailed) as error:
                await speaker.say("hej", "sv")
            assert "shorten" in str(error.value)
        program(tmp_path / "broken", f'exec {ESPEAK} "$@"\n')
        assert whole(await speaker.say("hej", "sv"))
    run(cache, work, espeak=broken)
    assert len(list(cache.iterdir())) == 1


def test_an_engine_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up and ended, and the next text is spoken."""
    monkeypatch.setattr(speech, "TIMEOUT_S", 0.5)
    pid = tmp_path / "pid"
    hang = program(tmp_path / "hang", f"echo $$ > {pid}; exec sleep 1000\n")

    async def work(speaker: Speaker) -> None:
        start = time.monotonic()
        with pytest.raises(SpeechFailed, match=r"over 0\.5 s"):
            await speaker.say("hej", "sv")
        assert time.monotonic() - start < 4
    run(tmp_path / "cache", work, espeak=hang)
    assert not Path(f"/proc/{int(pid.read_text())}").exists()
    assert list((tmp_path / "cache").iterdir()) == []


def test_speech_that_is_silent_is_none(tmp_path: Path) -> None:
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, np.zeros(8000), 8000)
    mute = program(tmp_path / "mute", f"cp {quiet} $9\n")
    with pytest.raises(SpeechFailed, match="pronounced"):
        say(tmp_path / "cache", "hej", espeak=mute)
    assert list((tmp_path / "cache").iterdir()) == []


# -- piper ------------------------------------------------------------------------------------

def voice(directory: Path, name: str) -> Path:
    """Files named as a voice's; the program of the tests does not read them."""
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.onnx").write_text("a voice")
    (directory / f"{name}.onnx.json").write_text("{}")
    return directory / f"{name}.onnx"


def test_piper_speaks_where_it_has_a_voice(tmp_path: Path) -> None:
    """A stand-in with piper's options (piper-tts 1.8): real voices are too large for a test."""
    voices = tmp_path / "voices"
    model = voice(voices, "sv_SE-nst-medium")
    (voices / "fi_FI-half-downloaded.onnx").write_text("without its json")
    log = tmp_path / "piper-log"
    piper = program(tmp_path / "piper", f'echo "$@" >> {log}\ncat >> {log}\n'
                                        f'{ESPEAK} -v sv -w "$4" "a voice"\n')
    espeak, espeak_log = counted(tmp_path)

    async def work(speaker: Speaker) -> None:
        path = await speaker.say("--help\nHej då", "sv")
        assert await speaker.say("--help\nHej då", "sv") == path
        options, text = log.read_text().splitlines()
        assert options.startswith(f"--model {model} --output_file /")
        assert text == "--help. Hej då"
        assert runs(espeak_log) == 0
        for language in ("fi", "en"):
            await speaker.say("hej", language)
        assert runs(espeak_log) == 2
        # Another voice of the same language is another sound.
        os.utime(model, (1, 1))
        assert await speaker.say("--help\nHej då", "sv") != path
        model.unlink()
        assert await speaker.say("--help\nHej då", "sv") != path
        assert runs(espeak_log) == 3
    run(tmp_path / "cache", work, piper_voices=voices, piper=piper, espeak=espeak)


def test_a_voice_without_piper(tmp_path: Path) -> None:
    voice(tmp_path / "voices", "sv_SE-nst-medium")
    options: dict[str, Any] = {"piper_voices": tmp_path / "voices", "piper": "no-such-piper"}
    with pytest.raises(SpeechFailed, match="pip install piper-tts"):
        say(tmp_path / "cache", "hej", **options)
    assert say(tmp_path / "cache", "hello", "en", **options)
    assert say(tmp_path / "cache", "hej", piper_voices=tmp_path / "nowhere")


# -- what is kept -----------------------------------------------------------------------------

def test_a_text_is_spoken_once(tmp_path: Path) -> None:
    """At once, afterwards, with other blanks, and by the next process."""
    espeak, log = counted(tmp_path)
    cache = tmp_path / "cache"

    async def work(speaker: Speaker) -> Path:
        paths = await asyncio.gather(*(speaker.say("Hej på dig.", "sv") for _ in range(50)))
        assert len(set(paths)) == 1
        assert runs(log) == 1
        assert await speaker.say("  Hej   på\tdig. ", "sv-SE") == paths[0]
        assert runs(log) == 1
        assert await speaker.say("Hej på dig!", "sv") != paths[0]
        assert await speaker.say("Hej på dig.", "fi") != paths[0]
        assert runs(log) == 3
        return paths[0]

    path = run(cache, work, espeak=espeak)
    before = (path / "8k.wav").stat().st_mtime_ns
    assert say(cache, "Hej på dig.", espeak=espeak) == path
    assert runs(log) == 3
    assert (path / "8k.wav").stat().st_mtime_ns == before
    # A newer program may pronounce better.
    os.utime(tmp_path / "espeak", (5, 5))
    assert say(cache, "Hej på dig.", espeak=espeak) != path
    assert runs(log) == 4
    assert {stat.S_IMODE(one.stat().st_mode) for one in [cache, *cache.iterdir()]} == {0o700}


def test_what_somebody_removed_is_spoken_again(tmp_path: Path) -> None:
    espeak, log = counted(tmp_path)

    async def work(speaker: Speaker) -> None:
        path = await speaker.say("hej", "sv")
        choose(path).unlink()
        assert whole(await speaker.say("hej", "sv"))
        shutil.rmtree(path)
        assert whole(await speaker.say("hej", "sv"))
        assert runs(log) == 3
    run(tmp_path / "cache", work, espeak=espeak)


def size(cache: Path) -> int:
    """Bytes of all that lies there."""
    return sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())


def test_the_least_recently_used_goes(tmp_path: Path) -> None:
    cache, clock = tmp_path / "cache", Clock()

    async def work(speaker: Speaker) -> None:
        paths = []
        for number in range(4):
            paths.append(await speaker.say(f"Nummer {number}", "sv"))
            clock.now_s += 60
        assert all(map(whole, paths))
        speaker._limit_bytes = size(cache) + 1000
        clock.now_s += 3600
        assert await speaker.say("Nummer 0", "sv") == paths[0]
        clock.now_s += 3600
        await speaker.say("Nummer 5", "sv")
        assert whole(paths[0])
        assert not paths[1].exists()
        assert size(cache) <= speaker._limit_bytes
        for number in range(6, 20):
            clock.now_s += 3600
            path = await speaker.say(f"Nummer {number}", "sv")
            assert whole(path)
            assert size(cache) <= speaker._limit_bytes
        assert not paths[0].exists()
    run(cache, work, clock=clock)


def test_the_order_survives_a_restart(tmp_path: Path) -> None:
    cache, clock = tmp_path / "cache", Clock()

    async def before(speaker: Speaker) -> list[Path]:
        paths = []
        for number in range(3):
            clock.now_s += 1000
            paths.append(await speaker.say(f"Nummer {number}", "sv"))
        clock.now_s += 1000
        await speaker.say("Nummer 0", "sv")
        return paths

    first, second, third = run(cache, before, clock=clock)
    clock.now_s += 10_000

    async def after(speaker: Speaker) -> None:
        await speaker.say("Nummer 9", "sv")
        assert [whole(first), whole(second), whole(third)] == [True, False, False]
    run(cache, after, clock=clock, limit_bytes=size(cache) * 2 // 3)


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    """Even over the limit; then no more is spoken until there is room: the disk does not fill."""
    cache, clock = tmp_path / "cache", Clock()

    async def work(speaker: Speaker) -> None:
        path = await speaker.say("Nummer 0", "sv")
        clock.now_s += 800
        with pytest.raises(SpeechFailed, match="room"):
            await speaker.say("Nummer 1", "sv")
        assert await speaker.say("Nummer 0", "sv") == path  # and is in use again
        clock.now_s += 800
        with pytest.raises(SpeechFailed, match="room"):
            await speaker.say("Nummer 1", "sv")
        assert whole(path)
        clock.now_s += 101
        other = await speaker.say("Nummer 1", "sv")
        assert not path.exists()
        assert whole(other)
    run(cache, work, clock=clock, limit_bytes=1000)


def test_the_bound_holds_under_load(tmp_path: Path) -> None:
    """Many texts at once, some in use: over the limit by what is being spoken at most."""
    cache, clock = tmp_path / "cache", Clock()
    limit, largest = 1_000_000, 300_000

    async def work(speaker: Speaker) -> None:
        refused = 0
        for wave in range(5):
            told = await asyncio.gather(
                *(speaker.say(f"Nummer {wave * 20 + number}", "sv") for number in range(20)),
                return_exceptions=True)
            assert all(isinstance(one, Path | SpeechFailed) for one in told)
            assert all(whole(one) for one in told if isinstance(one, Path))
            refused += sum(isinstance(one, SpeechFailed) for one in told)
            assert size(cache) <= limit + 2 * largest
            clock.now_s += 1000
        assert refused
    run(cache, work, clock=clock, limit_bytes=limit)


def test_killed_in_the_middle(tmp_path: Path) -> None:
    """What was left half done is neither used nor kept for ever; what was whole is."""
    cache = tmp_path / "cache"
    path = say(cache, "hej")
    mark = tmp_path / "started"
    slow = program(tmp_path / "slow", f"touch {mark}\nexec sleep 3\n")
    code = ("import asyncio\nfrom pathlib import Path\nfrom rtp.speech import Speaker\n"
            f"asyncio.run(Speaker(Path({str(cache)!r}), espeak={slow!r}).say('då', 'sv'))")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent.parent)
    until = time.monotonic() + 20
    while not mark.exists():
        assert time.monotonic() < until
        assert process.poll() is None
    process.kill()
    process.wait()
    left = [one for one in cache.iterdir() if one.name.startswith(".new-")]
    assert len(left) == 1
    torn = cache / ("0" * 64)
    torn.mkdir()
    (torn / "8k.wav").write_text("half")
    (cache / "README").write_text("of somebody else")
    clock = Clock()
    say(cache, "då", clock=clock)
    assert left[0].exists()  # it could still be at work, for all we know
    assert not torn.exists()
    clock.now_s += LEFTOVER_S + 60
    assert say(cache, "hej", clock=clock) == path
    assert not left[0].exists()
    assert (cache / "README").exists()
    assert len([one for one in cache.iterdir() if one.is_dir()]) == 2


# -- the loop ---------------------------------------------------------------------------------

def test_the_loop_goes_on(tmp_path: Path) -> None:
    """While two minutes of speech are made, nothing else waits."""
    async def work(speaker: Speaker) -> None:
        speaking = [asyncio.create_task(speaker.say(f"{number} " + "ord och mer ord. " * 110, "sv"))
                    for number in range(3)]
        longest = 0.0
        while not all(task.done() for task in speaking):
            start = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - start)
        await asyncio.gather(*speaking)
        assert longest < 0.1, longest
    run(tmp_path / "cache", work)


def test_so_many_at_a_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    espeak = program(tmp_path / "espeak", f'echo + >> {log}\n{ESPEAK} "$@"\nsleep 0.1\n'
                                          f'echo - >> {log}\n')

    async def work(speaker: Speaker) -> None:
        await asyncio.gather(*(speaker.say(f"Nummer {number}", "sv") for number in range(8)))
    run(tmp_path / "cache", work, espeak=espeak, concurrency=3)
    now, most = 0, 0
    for line in log.read_text().split():
        now += 1 if line == "+" else -1
        most = max(most, now)
    assert most == 3


def test_too_many_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "MAX_WAITING", 5)

    async def work(speaker: Speaker) -> None:
        told = await asyncio.gather(*(speaker.say(f"Nummer {number}", "sv")
                                      for number in range(8)), return_exceptions=True)
        assert [isinstance(one, Path) for one in told] == [True] * 5 + [False] * 3
        assert all("Too many" in str(one) for one in told[5:])
        assert await speaker.say("Nummer 7", "sv")
    run(tmp_path / "cache", work)


def test_who_hangs_up_does_not_silence_the_others(tmp_path: Path) -> None:
    espeak, log = counted(tmp_path, "sleep 0.3")

    async def work(speaker: Speaker) -> None:
        first, second = (asyncio.create_task(speaker.say("hej", "sv")) for _ in range(2))
        while not runs(log):
            await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert whole(await second)
        alone = asyncio.create_task(speaker.say("ensam", "sv"))
        while runs(log) < 2:
            await asyncio.sleep(0.01)
        alone.cancel()
        assert whole(await speaker.say("ensam", "sv"))
        assert runs(log) == 2
    run(tmp_path / "cache", work, espeak=espeak)


def test_close(tmp_path: Path) -> None:
    """What is being spoken is finished, what waits is not begun, and nothing comes after."""
    espeak, log = counted(tmp_path, "sleep 0.2")

    async def work(speaker: Speaker) -> None:
        tasks = [asyncio.create_task(speaker.say(f"Nummer {number}", "sv")) for number in range(4)]
        while runs(log) < 2:
            await asyncio.sleep(0.01)
        await speaker.close()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(one, Path) for one in told] == [True, True, False, False]
        with pytest.raises(SpeechFailed, match="closed"):
            await speaker.say("Nummer 0", "sv")
        await speaker.close()
    run(tmp_path / "cache", work, espeak=espeak)
    assert runs(log) == 2
