"""Uploads become prompts: every kind of file and of attack, and what is heard afterwards."""

import contextlib
import hashlib
import itertools
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from rtp import audio
from rtp.audio import FILES, Prompt, choose, normalise, run_bounded, sweep, whole, write_defaults
from rtp.errors import BadAudio, MediaRefused
from rtp.ng import NgClient, Node
from rtp.recording import Decoder
from tests.test_media import SDP, Nodes, run, wait_for_all

FFMPEG = "/usr/bin/ffmpeg"


def sine(hz: float, seconds: float, rate: int = 44100, level: float = 0.3) -> Any:
    """A tone."""
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def write(path: Path, data: Any, rate: int = 44100, **how: str) -> Path:
    """A sound file, by default 16-bit WAV."""
    soundfile.write(path, data, rate, **how)
    return path


def encoded(path: Path, *options: str, source: str = "sine=1000:d=1:r=44100") -> Path:
    """A sound file that ffmpeg makes, a second of 1 kHz unless told."""
    subprocess.run([FFMPEG, "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", source, *options,
                    str(path)], check=True)
    return path


def heard(into: Path, name: str = "8k.wav") -> Any:
    """The samples of a prompt's file."""
    data, rate = soundfile.read(into / name)
    assert rate == FILES[name]
    assert data.ndim == 1
    return data


def dbfs(data: Any) -> float:
    """RMS."""
    return 10 * float(np.log10(np.mean(np.square(data)) + 1e-12))


def strongest_hz(data: Any, rate: int) -> float:
    """The frequency that stands out."""
    spectrum = np.abs(np.fft.rfft(data * np.hanning(len(data))))
    return float(np.argmax(spectrum) * rate / len(data))


def at_hz(data: Any, rate: int, hz: float) -> float:
    """How strong a frequency is: the dBFS of its sine's RMS."""
    window = np.hanning(len(data))
    spectrum = np.abs(np.fft.rfft(data * window)) / window.sum() * 2
    place = round(hz * len(data) / rate)
    return 20 * float(np.log10(spectrum[max(place - 3, 0):place + 4].max() / 2**0.5 + 1e-9))


def refused(source: Path, into: Path, *words: str, **options: Any) -> str:
    """It is, with a sentence that has these words, and nothing is left behind."""
    before = sorted(into.parent.iterdir())
    with pytest.raises(BadAudio) as error:
        normalise(source, into, **options)
    text = str(error.value)
    assert text[0].isupper()
    assert text.endswith((".", ")"))
    for word in words:
        assert word in text, text
    assert sorted(into.parent.iterdir()) == before
    return text


# -- formats ----------------------------------------------------------------------------------

def check_tone(into: Path, made: Prompt, hz: float = 1000, seconds: float = 1) -> None:
    """It is the same tone, as loud as all prompts, in every file."""
    assert abs(made.duration_ms - 1000 * seconds) < 80
    for name, rate in FILES.items():
        data = heard(into, name)
        info = soundfile.info(into / name)
        assert (info.format, info.subtype) == (
            "CAF" if name.endswith(".caf") else "WAV", "PCM_16")
        assert abs(len(data) / rate - made.duration_ms / 1000) < 0.002
        middle = data[len(data) // 4:-len(data) // 4]
        assert abs(strongest_hz(middle, rate) - hz) < 4
        assert abs(dbfs(middle) + 20) < 0.6
    whole_file = (into / "8k.wav").read_bytes()
    assert made.sha256 == hashlib.sha256(whole_file).hexdigest()
    assert made.bytes == sum((into / name).stat().st_size for name in FILES)
    assert abs(made.peak_dbfs - 20 * np.log10(np.abs(heard(into)).max())) < 0.1


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE",
                                     "ALAW", "ULAW", "IMA_ADPCM", "MS_ADPCM"])
@pytest.mark.parametrize("shape", ["mono", "stereo", "left only"])
def test_wav(tmp_path: Path, subtype: str, shape: str) -> None:
    rate = 8000 if subtype in ("ALAW", "ULAW") else 44100
    one = sine(1000, 1, rate)
    data = {"mono": one, "stereo": np.stack([one, one], 1),
            "left only": np.stack([one, 0 * one], 1)}[shape]
    made = normalise(write(tmp_path / "a.wav", data, rate, subtype=subtype), tmp_path / "p")
    check_tone(tmp_path / "p", made)


def test_wav_gsm(tmp_path: Path) -> None:
    """A codec for voices: a tone wavers in it."""
    normalise(write(tmp_path / "a.wav", sine(1000, 1, 8000), 8000, subtype="GSM610"),
              tmp_path / "p")
    assert abs(strongest_hz(heard(tmp_path / "p"), 8000) - 1000) < 4
    assert -22 < dbfs(heard(tmp_path / "p")) < -18


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000])
def test_rates(tmp_path: Path, rate: int) -> None:
    made = normalise(write(tmp_path / "a.wav", sine(1000, 1, rate), rate), tmp_path / "p")
    check_tone(tmp_path / "p", made)
    assert made.duration_ms == 1000


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.opus", "a.mp3", "a.m4a", "a.aac", "a.mp4",
                                  "a.webm", "a.mka", "a.mov", "a.wma", "a.aiff", "a.au", "a.caf",
                                  "a.w64", "a.voc", "a.mp2"])
def test_formats(tmp_path: Path, name: str) -> None:
    made = normalise(encoded(tmp_path / name, "-ac", "2"), tmp_path / "p")
    check_tone(tmp_path / "p", made)


def test_the_name_says_nothing(tmp_path: Path) -> None:
    """Browsers and people give files any name; also one that would be an option or a protocol."""
    plain = encoded(tmp_path / "a.m4a")
    for name in ("b.wav", "-i", "concat:a|b.mp3", "%d.png", "Hälsning nr 1.raw", "x\n.sd2"):
        source = tmp_path / "in" / name
        source.parent.mkdir(exist_ok=True)
        shutil.copy(plain, source)
        check_tone(tmp_path / "p", normalise(source, tmp_path / "p"))


def test_a_picture_on_the_cover(tmp_path: Path) -> None:
    source = encoded(tmp_path / "a.m4a", "-f", "lavfi", "-i", "color=red:s=64x64:d=1", "-map", "0",
                     "-map", "1", "-frames:v", "1", "-c:v", "mjpeg", "-disposition:v",
                     "attached_pic")
    check_tone(tmp_path / "p", normalise(source, tmp_path / "p"))


def test_the_sound_of_a_film(tmp_path: Path) -> None:
    source = encoded(tmp_path / "a.mp4", "-f", "lavfi", "-i", "testsrc=s=64x64:d=1")
    check_tone(tmp_path / "p", normalise(source, tmp_path / "p"))


def test_a_recorded_call(tmp_path: Path) -> None:
    """As rtp/recording.py leaves it: FLAC, 8 kHz, who spoke on the left, silence on the right."""
    said = np.stack([sine(700, 1, 8000, 0.05), np.zeros(8000)], 1)
    made = normalise(write(tmp_path / "a.flac", said, 8000), tmp_path / "p")
    check_tone(tmp_path / "p", made, 700)


# -- what is heard ----------------------------------------------------------------------------

def test_nothing_folds_back_and_nothing_is_lost(tmp_path: Path) -> None:
    """300, 3 000, 5 000 and 10 000 Hz: each where the rate carries it, and nowhere else."""
    data = sum(sine(hz, 2, 48000, 0.1) for hz in (300, 3000, 5000, 10000))
    normalise(write(tmp_path / "a.wav", data, 48000, subtype="PCM_24"), tmp_path / "p")
    reference = at_hz(heard(tmp_path / "p", "48k.caf"), 48000, 300)
    for name, rate, there, not_there in (
            ("8k.wav", 8000, (300, 3000), (2000, 3000 - 1000)),
            ("16k.wav", 16000, (300, 3000, 5000), (6000,)),
            ("48k.caf", 48000, (300, 3000, 5000, 10000), (6000,))):
        sound = heard(tmp_path / "p", name)
        for hz in there:
            assert abs(at_hz(sound, rate, hz) - reference) < 0.2, (name, hz)
        for hz in not_there:
            assert at_hz(sound, rate, hz) < reference - 60, (name, hz)


@pytest.mark.parametrize("level", [0.011, 0.05, 0.3, 0.99])
def test_every_level_becomes_one(tmp_path: Path, level: float) -> None:
    normalise(write(tmp_path / "a.wav", sine(500, 1, level=level)), tmp_path / "p")
    for name in FILES:
        assert abs(dbfs(heard(tmp_path / "p", name)) + 20) < 0.2


def test_pauses_do_not_count(tmp_path: Path) -> None:
    """A sentence with long pauses is as loud as one without."""
    bursts = np.concatenate([part for _ in range(4)
                             for part in (sine(600, 0.5, 16000, 0.02), np.zeros(40000))])
    noise = np.random.default_rng(1).normal(0, 0.0013, len(bursts))
    normalise(write(tmp_path / "a.wav", bursts + noise, 16000, subtype="FLOAT"), tmp_path / "p")
    assert abs(dbfs(heard(tmp_path / "p")[200:3800]) + 20) < 0.5


def test_a_whisper_is_raised_only_so_far(tmp_path: Path) -> None:
    normalise(write(tmp_path / "a.wav", sine(500, 1, level=0.0025), subtype="FLOAT"),
              tmp_path / "p")
    assert abs(dbfs(heard(tmp_path / "p")) - (20 * np.log10(0.0025 / 2**0.5) + 30)) < 0.2


def test_peaks_are_held_back(tmp_path: Path) -> None:
    """Sound with a few great peaks: as loud as any, and nothing over -1 dBFS in any file."""
    dice = np.random.default_rng(2)
    data = dice.normal(0, 0.03, 16000 * 4)
    data[dice.integers(0, len(data), 40)] += dice.choice([-0.9, 0.9], 40)
    made = normalise(write(tmp_path / "a.wav", data, 16000, subtype="FLOAT"), tmp_path / "p")
    assert -1.5 < made.peak_dbfs <= -1.0
    for name in FILES:
        sound = heard(tmp_path / "p", name)
        assert np.abs(sound).max() <= 10 ** (-1 / 20) + 1e-4
        assert -26 < dbfs(sound) < -19


def test_a_limited_tone_stays_a_tone(tmp_path: Path) -> None:
    """The limiter turns the level down, it does not cut the wave: no harmonics."""
    data = np.concatenate([sine(500, 3, 16000, 0.05), sine(500, 0.3, 16000, 0.9)])
    normalise(write(tmp_path / "a.wav", data, 16000), tmp_path / "p")
    loud = heard(tmp_path / "p", "16k.wav")[3 * 16000 + 800:-800]
    assert at_hz(loud, 16000, 500) - at_hz(loud, 16000, 1500) > 50


def test_random_sound_never_goes_over(tmp_path: Path) -> None:
    """Whatever the wave, the limiter keeps its promise."""
    for seed in range(20):
        dice = np.random.default_rng(seed)
        rate = int(dice.choice([8000, 11025, 44100, 48000]))
        shape = np.repeat(10 ** dice.uniform(-4, 0, 60), rate // 20)
        data = dice.uniform(-1, 1, len(shape)) ** dice.integers(1, 15) * shape
        write(tmp_path / "a.wav", data, rate, subtype="FLOAT")
        normalise(tmp_path / "a.wav", tmp_path / "p")
        for name in FILES:
            assert np.abs(heard(tmp_path / "p", name)).max() <= 10 ** (-1 / 20) + 1e-4, seed


def test_silence_stays_silence(tmp_path: Path) -> None:
    for data in (np.zeros(44100), np.full(44100, 0.4), np.full(50001, -0.25)):
        made = normalise(write(tmp_path / "a.wav", data), tmp_path / "p")
        assert made.peak_dbfs == audio.FLOOR_DBFS
        for name in FILES:
            assert not heard(tmp_path / "p", name).any()
    hiss = np.random.default_rng(3).normal(0, 0.0003, 44100)  # -70 dBFS
    normalise(write(tmp_path / "a.wav", hiss, subtype="FLOAT"), tmp_path / "p")
    assert dbfs(heard(tmp_path / "p", "48k.caf")) < -69


def test_an_offset_is_removed(tmp_path: Path) -> None:
    normalise(write(tmp_path / "a.wav", sine(500, 1) + 0.5), tmp_path / "p")
    for name in FILES:
        sound = heard(tmp_path / "p", name)
        assert abs(sound.mean()) < 1e-4
        assert abs(dbfs(sound) + 20) < 0.2


def test_nothing_is_trimmed_or_moved(tmp_path: Path) -> None:
    """A second of silence, a click, and a second and a half of silence, across chunks too."""
    for lead_s in (1, 12.3456):
        data = np.zeros(round((lead_s + 1.5) * 44100))
        start = round(lead_s * 44100)
        data[start:start + 441] = sine(1000, 0.01)
        made = normalise(write(tmp_path / "a.wav", data), tmp_path / "p")
        assert abs(made.duration_ms - (lead_s + 1.5) * 1000) <= 1
        for name, rate in FILES.items():
            loud = np.flatnonzero(np.abs(heard(tmp_path / "p", name)) > 0.02)
            assert abs(loud[0] / rate - lead_s) < 0.002
            assert abs(loud[-1] / rate - lead_s - 0.01) < 0.002


def test_the_parts_of_a_long_sound_fit(tmp_path: Path) -> None:
    """No seam where one chunk ends: a sine is still one sine."""
    normalise(write(tmp_path / "a.flac", sine(437, 35)), tmp_path / "p")
    for name, rate in FILES.items():
        sound = heard(tmp_path / "p", name)[rate:-rate]
        assert len(sound) == 33 * rate
        # A sine's next sample follows from two before; a seam would stand out.
        step = 2 * np.cos(2 * np.pi * 437 / rate)
        assert np.abs(sound[2:] - step * sound[1:-1] + sound[:-2]).max() < 2e-3


def test_floats_that_are_no_numbers(tmp_path: Path) -> None:
    data = sine(1000, 1).astype(np.float32)
    data[100:110] = np.nan
    data[200], data[300], data[400] = np.inf, -np.inf, 3e38
    normalise(write(tmp_path / "a.wav", data, subtype="FLOAT"), tmp_path / "p")
    assert np.isfinite(heard(tmp_path / "p")).all()
    middle = heard(tmp_path / "p")[2000:6000]
    assert abs(strongest_hz(middle, 8000) - 1000) < 4


# -- what cannot be read ----------------------------------------------------------------------

def test_no_sound_at_all(tmp_path: Path) -> None:
    into = tmp_path / "p"
    garbage = random.Random(1).randbytes(200_000)
    for name, content, word in (
            ("a.wav", b"", "empty"), ("a.wav", b"hello, I am a text\n" * 50, "no sound file"),
            ("a.mp3", garbage, "no sound file"), ("a.wav", b"RIFF", "cannot be read"),
            ("a.wav", b"\xff", "no sound file"), ("a.png", b"\x89PNG\r\n\x1a\n" + garbage, "known"),
            ("a.wav", b"RIFF" + garbage, "cannot be read"),
            ("a.flac", b"fLaC" + garbage, "cannot be read"),
            ("a.ogg", b"OggS" + garbage, "cannot be read"),
            ("a.m4a", b"\0\0\0\x20ftypM4A " + garbage, "cannot be read"),
            ("a.mka", b"\x1a\x45\xdf\xa3" + garbage, "cannot be read")):
        source = tmp_path / name
        source.write_bytes(content)
        refused(source, into, word)
        source.unlink()
    assert not into.exists()


def test_garbage_behind_every_magic_is_survived(tmp_path: Path) -> None:
    """Whatever comes of it, it comes in time, as a prompt or as a refusal."""
    dice = random.Random(4)
    source = tmp_path / "a"
    for magic in (b"RIFF\xff\xff\xff\x7fWAVEfmt ", b"RF64", b"riff\x2e\x91\xcf\x11",
                  b"fLaC\0\0\0\x22", b"OggS\0\x02", b"ID3\x04\0\0\0\0\x0f\x7f",
                  b"FORM\0\0\xff\xffAIFFCOMM", b".snd", b"caff\0\1\0\0desc",
                  b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"#!AMR\n",
                  b"Creative Voice File\x1a", b"\xff\xfb\x90\x44", b"\xff\xf1\x50\x80",
                  b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0\xff\xffmoov"):
        source.write_bytes(magic + dice.randbytes(30_000))
        with contextlib.suppress(BadAudio):
            normalise(source, tmp_path / "p")
    assert {path.name for path in tmp_path.iterdir()} <= {"a", "p"}


def test_damaged_files_are_survived(tmp_path: Path) -> None:
    """Good files with some bytes changed, by libsndfile and by ffmpeg."""
    dice = random.Random(5)
    for name in ("a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.m4a", "a.mka"):
        good = encoded(tmp_path / name).read_bytes()
        for _ in range(6):
            bad = bytearray(good)
            for _ in range(20):
                bad[dice.randrange(8, min(len(bad), 3000))] = dice.randrange(256)
            (tmp_path / name).write_bytes(bad)
            with contextlib.suppress(BadAudio):
                made = normalise(tmp_path / name, tmp_path / "p")
                assert made.duration_ms <= 600_000


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.mka", "a.aac"])
def test_an_upload_that_broke_off(tmp_path: Path, name: str) -> None:
    """What did arrive is a prompt; of an M4A, whose table stands last, nothing can be read."""
    source = encoded(tmp_path / name, source="sine=1000:d=4:r=44100")
    size = source.stat().st_size
    os.truncate(source, size * 3 // 4)
    made = normalise(source, tmp_path / "p")
    assert 2000 < made.duration_ms < 3500
    assert abs(strongest_hz(heard(tmp_path / "p")[2000:10000], 8000) - 1000) < 4
    table_last = encoded(tmp_path / "b.m4a")
    os.truncate(table_last, table_last.stat().st_size * 3 // 4)
    refused(table_last, tmp_path / "q", "cannot be read")


def wav_header(data_bytes: int, riff_bytes: int, rate: int = 8000, channels: int = 1) -> bytes:
    """Of 16-bit WAV, with sizes as claimed."""
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", riff_bytes, b"WAVE", b"fmt ", 16, 1, channels,
                       rate, rate * 2 * channels, 2 * channels, 16, b"data", data_bytes)


def test_a_header_that_claims_two_gigabytes(tmp_path: Path) -> None:
    second = (sine(1000, 1, 8000) * 32767).astype("<i2").tobytes()
    for claimed in (0x7FFFFFF0, 0xFFFFFFFF, 0xFFFFFFF0):
        source = tmp_path / "a.wav"
        source.write_bytes(wav_header(claimed, min(claimed + 36, 0xFFFFFFFF)) + second)
        start = time.monotonic()
        made = normalise(source, tmp_path / "p")
        assert made.duration_ms == 1000
        assert time.monotonic() - start < 2
        source.write_bytes(wav_header(claimed, 0xFFFFFFFF))
        refused(source, tmp_path / "q", "no sound")


def test_odd_rates_and_channels(tmp_path: Path) -> None:
    second = (sine(1000, 1, 8000) * 32767).astype("<i2").tobytes()
    for rate, channels in ((1, 1), (3999, 1), (2_000_000_000, 1), (192_001, 1), (8000, 9),
                           (8000, 1000)):
        source = tmp_path / "a.wav"
        source.write_bytes(wav_header(len(second), len(second) + 36, rate, channels) + second)
        refused(source, tmp_path / "p", "send")
    for rate, channels in ((0, 1), (8000, 0)):
        source.write_bytes(wav_header(len(second), len(second) + 36, rate, channels) + second)
        refused(source, tmp_path / "p")


def test_too_short(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.wav", np.zeros(0)), tmp_path / "p", "no sound")
    refused(write(tmp_path / "a.wav", np.ones(100)), tmp_path / "p", "no sound")
    assert normalise(write(tmp_path / "a.wav", sine(1000, 0.02)), tmp_path / "p").duration_ms == 20


def test_three_hours_of_silence(tmp_path: Path) -> None:
    """Little to send, much to unpack: refused at once, whoever reads it."""
    flac = encoded(tmp_path / "a.flac", source="anullsrc=r=8000:cl=mono:d=10800")
    mka = encoded(tmp_path / "a.mka", "-c:a", "flac", source="anullsrc=r=8000:cl=mono:d=10800")
    mp3 = encoded(tmp_path / "a.mp3", "-b:a", "8k", source="anullsrc=r=8000:cl=mono:d=10800")
    wave = tmp_path / "a.wav"
    wave.write_bytes(wav_header(40_000_000, 40_000_036))
    os.truncate(wave, 40_000_044)
    for source, limit_s in ((flac, 5), (mka, 10), (mp3, 10), (wave, 5)):
        start = time.monotonic()
        refused(source, tmp_path / "p", "longer than 10 minutes")
        assert time.monotonic() - start < limit_s, source
    refused(write(tmp_path / "b.wav", sine(500, 3)), tmp_path / "p", "2 seconds", limit_s=2)
    for name in ("c.wav", "c.m4a"):
        encoded(tmp_path / name, source="sine=1000:d=1.9")
        normalise(tmp_path / name, tmp_path / "p", limit_s=2)


def test_too_big(tmp_path: Path) -> None:
    source = tmp_path / "a.wav"
    source.write_bytes(b"RIFF")
    os.truncate(source, audio.MAX_BYTES + 1)
    refused(source, tmp_path / "p", "50 MB", "FLAC")


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "fifo", tmp_path / "p", "not a file")
    refused(tmp_path / "folder", tmp_path / "p", "not a file")
    refused(Path("/dev/zero"), tmp_path / "p", "not a file")
    refused(tmp_path / "nothing", tmp_path / "p", "cannot be opened")


def test_pictures_only(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.webm"):
        encoded(tmp_path / name, "-c:v", "vp8" if name == "a.webm" else "mpeg4",
                source="color=red:s=64x64:d=1")
        refused(tmp_path / name, tmp_path / "p", "only pictures")


# -- attacks ----------------------------------------------------------------------------------

@contextlib.contextmanager
def nobody_calls() -> Iterator[str]:
    """The address of a web server that must not be asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def playlists(address: str) -> dict[str, tuple[str, bytes]]:
    """Files that make a player open others: {name: (ffmpeg's demuxer, content)}"""
    url = f"http://{address}/secret.wav"
    return {
        "concat": ("concat", b"ffconcat version 1.0\nfile '/etc/passwd'\n"),
        "concat http": ("concat", f"ffconcat version 1.0\nfile '{url}'\n".encode()),
        "hls": ("hls", f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{url}\n"
                       "#EXT-X-ENDLIST\n".encode()),
        "hls file": ("hls", b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\n"
                            b"concat:file:///etc/passwd|subfile,,start,0,end,99,,:/etc/passwd\n"
                            b"#EXT-X-ENDLIST\n"),
        "dash": ("dash", f"<?xml version='1.0'?><MPD><Period><AdaptationSet><Representation>"
                         f"<BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period>"
                         f"</MPD>".encode()),
        "sdp": ("sdp", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"
                       b"m=audio 5004 RTP/AVP 0\n"),
        "asx": ("asf", f"<asx version='3.0'><entry><ref href='{url}'/></entry></asx>".encode()),
    }


def test_playlists(tmp_path: Path) -> None:
    """Under every name and behind every magic; and if one did get through, ffmpeg is not allowed
    to follow it."""
    with nobody_calls() as address:
        for demuxer, content in playlists(address).values():
            for suffix, head in itertools.product((".wav", ".m3u8"),
                                                  (b"", b"RIFF", b"\0\0\0\x08free")):
                source = tmp_path / f"a{suffix}"
                source.write_bytes(head + content)
                refused(source, tmp_path / "p")
                source.unlink()
            inner = tmp_path / "inner"
            inner.mkdir(exist_ok=True)
            source = inner / "list"
            source.write_bytes(content)
            fd = os.open(source, os.O_RDONLY)
            try:
                with pytest.raises(BadAudio):
                    audio._by_ffmpeg(fd, inner / "decoded", 5, demuxer, None)
            finally:
                os.close(fd)


def test_a_decoder_that_never_stops_writing(tmp_path: Path) -> None:
    """A bomb cannot fill the disk."""
    flood = tmp_path / "flood"
    flood.write_text("#!/bin/sh\nexec cat /dev/zero\n")
    flood.chmod(0o755)
    source = encoded(tmp_path / "a.m4a")
    refused(source, tmp_path / "p", "cannot be read", ffmpeg=str(flood), limit_s=3)


def test_a_decoder_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended with all that it started."""
    monkeypatch.setattr(audio, "DECODE_TIMEOUT_S", 0.5)
    pids = tmp_path / "pids"
    pids.touch()
    hang = tmp_path / "hang"
    hang.write_text(f"#!/bin/sh\nsleep 1000 &\necho $$ $! > {pids}\nwait\n")
    hang.chmod(0o755)
    start = time.monotonic()
    refused(encoded(tmp_path / "a.m4a"), tmp_path / "p", "too long", ffmpeg=str(hang))
    assert time.monotonic() - start < 5
    for pid in map(int, pids.read_text().split()):
        until = time.monotonic() + 5
        while alive(pid):
            assert time.monotonic() < until, f"{pid} is still there"


def alive(pid: int) -> bool:
    """Not gone, and not only waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_without_ffmpeg(tmp_path: Path) -> None:
    refused(encoded(tmp_path / "a.m4a"), tmp_path / "p", "apt-get install ffmpeg",
            ffmpeg=str(tmp_path / "nothing"))
    normalise(encoded(tmp_path / "a.mp3"), tmp_path / "p", ffmpeg=str(tmp_path / "nothing"))


def test_a_program_gets_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No secrets from the environment, no open files, bounds on all it uses."""
    monkeypatch.setenv("VAXEL_SECRET", "hush")
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        out = tmp_path / "out"
        ended = run_bounded(
            ["/bin/sh", "-c", "cat; env; ls /proc/self/fd; cat /proc/self/limits; echo no >&2;"
             " exit 3"],
            tmp_path, timeout_s=10, cpu_s=7, memory_bytes=1 << 30, output_bytes=123_456,
            text=b"in ", output=out)
    assert ended == (3, "no")
    said = out.read_text()
    assert said.startswith("in ")
    assert "hush" not in said
    assert "secret" not in said.lower()
    for line in (r"Max cpu time              7 ", "Max file size             123456 ",
                 "Max address space         1073741824 ", "Max core file size        0 "):
        assert line in said
    with pytest.raises(TimeoutError):
        run_bounded(["/bin/sleep", "100"], tmp_path, timeout_s=0.2, cpu_s=5,
                    memory_bytes=1 << 30, output_bytes=1000)
    with pytest.raises(FileNotFoundError):
        run_bounded(["/nothing"], tmp_path, timeout_s=1, cpu_s=5, memory_bytes=1 << 30,
                    output_bytes=1000)


# -- files ------------------------------------------------------------------------------------

def test_choose(tmp_path: Path) -> None:
    assert choose(tmp_path / "p") == tmp_path / "p" / "48k.caf"
    assert choose(tmp_path) == tmp_path / "48k.wav", "of an earlier version"


def test_a_prompt_is_for_its_owner_only(tmp_path: Path) -> None:
    into = tmp_path / "deep" / "p"
    normalise(write(tmp_path / "a.wav", sine(500, 1)), into)
    assert into.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in into.iterdir()} == dict.fromkeys(
        FILES, 0o600)


def test_a_prompt_that_is_replaced_is_never_missing(tmp_path: Path) -> None:
    """Somebody opens it all the time, while it changes twenty times."""
    into = tmp_path / "p"
    sources = [write(tmp_path / f"{hz}.wav", sine(hz, 0.5)) for hz in (400, 900)]
    normalise(sources[0], into)
    lengths = {(into / "48k.caf").stat().st_size}
    missing: list[Exception] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            try:
                lengths.add(len((into / "48k.caf").read_bytes()))
            except OSError as error:
                missing.append(error)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for turn in range(20):
            normalise(sources[turn % 2], into)
    finally:
        stop.set()
        reader.join()
    assert not missing
    assert len(lengths) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"p", "400.wav", "900.wav"}


def test_where_directories_cannot_change_places(tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """As on NFS: the new one is there all the same."""
    into = tmp_path / "p"
    first = normalise(write(tmp_path / "a.wav", sine(500, 1)), into)

    class Libc:
        @staticmethod
        def renameat2(*_arguments: Any) -> int:
            return -1
    monkeypatch.setattr(audio, "_LIBC", Libc)
    second = normalise(write(tmp_path / "a.wav", sine(700, 1)), into)
    assert second.sha256 != first.sha256
    assert hashlib.sha256((into / "8k.wav").read_bytes()).hexdigest() == second.sha256
    assert {path.name for path in tmp_path.iterdir()} == {"p", "a.wav"}
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file"):
        normalise(tmp_path / "a.wav", tmp_path / "file")


def test_killed_in_the_middle(tmp_path: Path) -> None:
    """The old prompt is whole; what was begun is swept away later, and nothing else is."""
    into = tmp_path / "p"
    source = write(tmp_path / "a.wav", sine(500, 20))
    first = normalise(source, into)
    write(source, sine(700, 20))
    code = ("import sys; from pathlib import Path; from rtp.audio import normalise\n"
            f"print('go', flush=True)\nwhile True: normalise(Path({str(source)!r}), "
            f"Path({str(into)!r}))")
    for tenth in range(4):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                                   cwd=Path(__file__).parent.parent)
        assert process.stdout
        process.stdout.readline()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02 + tenth / 10)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert whole(into)
        assert [len(heard(into, name)) for name in FILES] == [rate * 20 for rate in FILES.values()]
    (tmp_path / ".new-left" / "done").mkdir(parents=True)
    left = [path for path in tmp_path.iterdir() if path.name.startswith(".new-")]
    now = time.time()
    sweep(tmp_path, now)
    assert all(path.exists() for path in left)  # somebody may still work in it
    sweep(tmp_path, now + audio.LEFTOVER_S + 10)
    assert {path.name for path in tmp_path.iterdir()} == {"p", "a.wav"}
    assert normalise(source, into).sha256 != first.sha256


def test_a_long_sound_takes_little_memory(tmp_path: Path) -> None:
    """Ten minutes: the memory of one chunk, and seconds."""
    quiet = np.tile(sine(300, 1, 48000, 0.1), 600).astype(np.float32)
    quiet[48000 * 300:48000 * 300 + 1000] = 1.0  # so that the limiter is at work as well
    write(tmp_path / "a.flac", quiet, 48000)
    del quiet
    start = time.monotonic()
    tracemalloc.start()
    try:
        made = normalise(tmp_path / "a.flac", tmp_path / "p")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made.duration_ms == 600_000
    assert peak < 120_000_000, peak
    assert time.monotonic() - start < 30


# -- tones and music --------------------------------------------------------------------------

@pytest.fixture(scope="module")
def defaults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Written once: the music takes a second."""
    return write_defaults(tmp_path_factory.mktemp("defaults") / "prompts")


def test_defaults(defaults: dict[str, Path]) -> None:
    assert set(defaults) == {"beep", "busy", "hold", "ringback"}
    for name, seconds in (("beep", 0.4), ("busy", 2), ("hold", 30), ("ringback", 5)):
        for file, rate in FILES.items():
            assert len(heard(defaults[name], file)) == round(seconds * rate)
    for name, hz in (("beep", 1000), ("ringback", 425), ("busy", 425)):
        for file, rate in FILES.items():
            start = heard(defaults[name], file)[:round(0.2 * rate)]
            assert abs(strongest_hz(start, rate) - hz) < 6
            assert -21 < dbfs(start) < -19


@pytest.mark.parametrize(("name", "on_s", "off_s"), [("ringback", 1, 4), ("busy", 0.25, 0.25)])
def test_cadence(defaults: dict[str, Path], name: str, on_s: float, off_s: float) -> None:
    sound = heard(defaults[name])
    for start in np.arange(0, len(sound) / 8000, on_s + off_s):
        on = sound[round((start + 0.01) * 8000):round((start + on_s - 0.01) * 8000)]
        off = sound[round((start + on_s + 0.01) * 8000):round((start + on_s + off_s) * 8000)]
        assert dbfs(on) > -21
        assert dbfs(off) < -80


def test_hold_music(defaults: dict[str, Path]) -> None:
    """Soft, never silent for long, no clicks where it repeats, and made for a telephone."""
    wide = heard(defaults["hold"], "48k.caf")
    assert np.abs(wide).max() < 0.9
    assert abs(dbfs(wide) - audio.MUSIC_DBFS) < 1.5
    assert max(abs(wide[0]), abs(wide[-1])) < 1e-3
    levels = [dbfs(wide[at:at + 48000]) for at in range(0, len(wide) - 72000, 24000)]
    assert min(levels) > -40
    spectrum = np.square(np.abs(np.fft.rfft(wide)))
    hz = np.fft.rfftfreq(len(wide), 1 / 48000)
    assert spectrum[(hz > 150) & (hz < 3400)].sum() / spectrum.sum() > 0.98
    notes = {round(12 * np.log2(strongest_hz(wide[at:at + 48000], 48000) / 440))
             for at in range(0, len(wide) - 96000, 48000)}
    assert len(notes) >= 4, "it is a melody"
    assert np.array_equal(audio.hold_music(), audio.hold_music())


def test_defaults_are_rendered_once(defaults: dict[str, Path]) -> None:
    directory = defaults["hold"].parent
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*k.*")}
    assert len(before) == 12
    assert write_defaults(directory) == defaults
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*k.*")} == before
    beep = choose(defaults["beep"])
    content = beep.read_bytes()
    beep.unlink()
    write_defaults(directory)
    assert beep.read_bytes() == content
    assert {path.name for path in directory.iterdir()} == set(defaults)


# -- rtpengine --------------------------------------------------------------------------------

def with_node(work: Callable[[NgClient, Node], Any]) -> None:
    """A real rtpengine for the time of the work."""
    with tempfile.TemporaryDirectory(prefix="vaxel-audio-") as folder:
        running = Nodes(folder)

        async def inside(client: NgClient) -> None:
            await wait_for_all(client)
            await work(client, running.nodes[0])
        try:
            run(running.nodes, inside)
        finally:
            for process in running.processes:
                process.kill()
                process.wait(10)


def test_rtpengine_plays_it(defaults: dict[str, Path], tmp_path: Path) -> None:
    """Every file, as rtpengine itself measures it; and a caller on PCMA hears the tone."""
    normalise(encoded(tmp_path / "a.m4a"), tmp_path / "p")

    async def work(client: NgClient, node: Node) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.bind(("127.0.0.1", 0))
            caller.settimeout(5)
            await client.offer(node, "c", "a", SDP.format(port=caller.getsockname()[1]),
                               ICE="remove")
            await client.answer(node, "c", "a", "b", SDP.format(port=9), ICE="remove")
            for into, ms in ((tmp_path / "p", 1000), (defaults["ringback"], 5000),
                             (defaults["hold"], 30000)):
                for codec in ("PCMA", "G722", "opus"):
                    reply = await client.command(node, "play media", **{
                        "call-id": "c", "from-tag": "a", "file": str(choose(into))})
                    assert abs(reply["duration"] - ms) < 80, (into, codec)
            with pytest.raises(MediaRefused):
                await client.command(node, "play media", **{
                    "call-id": "c", "from-tag": "a", "file": str(tmp_path / "nothing.wav")})
            await client.command(node, "stop media", **{"call-id": "c", "from-tag": "a"})
            caller.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    caller.recv(2000)
            caller.settimeout(5)
            await client.command(node, "play media", **{
                "call-id": "c", "from-tag": "a", "file": str(choose(defaults["ringback"]))})
            decoder = Decoder("PCMA", 8000)
            sound = np.concatenate([decoder.decode(caller.recv(2000)[12:]) for _ in range(40)])
            await client.delete(node, "c", "a")
        loud = sound[400:6000] / 32768
        assert abs(strongest_hz(loud, 8000) - 425) < 6
        assert -21.5 < dbfs(loud) < -18.5
    with_node(work)
