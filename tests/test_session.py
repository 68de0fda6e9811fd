"""Conversations on a real rtpengine, between telephones made of sockets."""

import asyncio
import json
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from rtp import keys, recording, sdp
from rtp.errors import MediaGone, MediaRefused, MediaTimeout
from rtp.ng import NgClient, Node
from rtp.sdp import local_port as port
from rtp.session import Media
from tests.telephone import PATIENCE_S, Telephone, tone
from vaxel import media as nodes
from vaxel.ports import free_port
from vaxel.settings import Settings


class Running:
    """An rtpengine of our own that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(media_nodes=1, media_port=free_port(spread=8),
                                 rtp_first=free_port(spread=600))
        self.settings.rtp_last = self.settings.rtp_first + 599
        self.keys_port = free_port()
        nodes.prepare(folder, self.settings)
        self.node = Node("127.0.0.1", self.settings.media_ports()[0])
        self.captures = nodes.recordings(folder, 0)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """A new life of it."""
        self.stop()
        command = [word for word in nodes.command(self.folder, self.settings, 0)
                   if not word.startswith("--dtmf-log-dest")]
        self.process = subprocess.Popen(
            [*command, f"--dtmf-log-dest=127.0.0.1:{self.keys_port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        """SIGKILL."""
        if self.process:
            self.process.kill()
            self.process.wait(10)

    def parts(self, uid: str) -> list[tuple[Path, recording.Part]]:
        """What was captured of a recording."""
        found = [recording.read_part(text.read_text())
                 for text in (self.captures / "metadata").iterdir()]
        return [(Path(part.metadata.pcap), part) for part in found if part.metadata.uid == uid]

    def captured(self) -> int:
        """Bytes in all the captures."""
        return sum(path.stat().st_size for path in (self.captures / "pcaps").iterdir())


@pytest.fixture(scope="module")
def engine() -> Iterator[Running]:
    """It runs for all the tests here."""
    with tempfile.TemporaryDirectory(prefix="vaxel-session-") as folder:
        running = Running(Path(folder))
        try:
            yield running
        finally:
            running.stop()


Work = Callable[[Media], Awaitable[None]]


def run(engine: Running, work: Work) -> None:
    """With an open Media; nothing may be left of what the work began."""
    async def inside() -> None:
        async with (NgClient([engine.node], timeout_s=0.5) as client,
                    Media(client, keys_port=engine.keys_port) as media):
            await up(client)
            try:
                await work(media)
            finally:
                for session in list(media._sessions.values()):
                    await session.close()
            assert media.count() == 0
            assert await client.calls(engine.node) == []
    asyncio.run(asyncio.wait_for(inside(), 180))


async def up(client: NgClient) -> None:
    """Until the node answers."""
    until = time.monotonic() + PATIENCE_S
    while not await client.probe(client.nodes[0], misses=1):
        assert time.monotonic() < until, "no rtpengine"
        await asyncio.sleep(0.05)


async def eventually(what: Callable[[], Any]) -> Any:
    """The first true answer."""
    until = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < until, "not in time"
        await asyncio.sleep(0.02)
    return found


def call_id() -> str:
    """A new one."""
    return f"0.{secrets.token_hex(8)}"


@pytest.fixture
def sounds(tmp_path: Path) -> Callable[..., Path]:
    """Makes files with a tone."""
    def make(hz: int, ms: int = 1000) -> Path:
        path = tmp_path / f"{hz}-{ms}.wav"
        soundfile.write(path, tone(hz, ms=ms).astype(np.int16), 8000)
        return path
    return make


Sounds = Callable[..., Path]
A, B, C, D, MUSIC, PROMPT, PROMPT2 = 600, 1000, 1400, 300, 440, 860, 1200


# -- parties come, are connected and leave ------------------------------------------------------

def test_a_call_from_prompt_to_conversation(engine: Running, sounds: Sounds) -> None:
    """Music, then the telephone that was called, with other codecs; never a new port for a."""
    async def work(media: Media) -> None:
        session = media.session(call_id())
        async with Telephone(A) as a, Telephone(B, "0 8") as b:
            video = "m=video 5000 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n"
            answer = await session.admit("a", a.sdp(more=video))
            assert "m=video 0 RTP/AVP 99" in answer
            assert "PCMU" not in answer
            a.to = port(answer)
            await session.music("a", sounds(MUSIC))
            await a.hears(MUSIC)
            offer = await session.invite("a", "b")
            for codec in ("PCMA/8000", "PCMU/8000", "G722/8000", "opus/48000/2",
                          "telephone-event/8000"):
                assert codec in offer
            b.to = port(offer)
            await a.hears(MUSIC)
            assert await session.join("a", "b", b.sdp()) is None  # early media
            await asyncio.gather(a.hears(B), b.hears(A))
            assert await session.join("a", "b", b.sdp()) is None  # the same again in the 200
            async with Telephone(D, "0") as elsewhere:  # another description in the 200
                elsewhere.to = b.to
                b.to = 0
                assert await session.join("a", "b", elsewhere.sdp()) is None
                await asyncio.gather(a.hears(D), elsewhere.hears(A))
            await session.drop("b")
            await session.drop("b")
            await session.music("a", sounds(MUSIC))
            await a.hears(MUSIC)
            again = await session.readmit("a", a.sdp())
            assert port(again) == a.to
    run(engine, work)


def test_invitations_at_once_and_in_turn(engine: Running, sounds: Sounds) -> None:
    async def work(media: Media) -> None:
        session = media.session(call_id())
        async with Telephone(A) as a, Telephone(B) as b, Telephone(C, "0") as c, \
                Telephone(D) as d:
            a.to = port(await session.admit("a", a.sdp()))
            offers = await asyncio.gather(session.invite("a", "b"), session.invite("a", "c"))
            b.to, c.to = map(port, offers)
            assert b.to != c.to
            await session.join("a", "b", b.sdp("sendrecv"))  # b's early media
            await asyncio.gather(a.hears(B), b.hears(A))
            await session.join("a", "c", c.sdp())  # c answers first
            await asyncio.gather(a.hears(C), c.hears(A), b.hears())
            await session.drop("b")
            await asyncio.gather(a.hears(C), c.hears(A))
            await session.drop("c")
            for n in range(20):  # a hunt through a group
                await session.invite("a", f"x{n}")
                await session.drop(f"x{n}")
            await session.music("a", sounds(MUSIC))
            d.to = port(await session.invite("a", "b"))  # a label may be used again
            await a.hears(MUSIC)
            await session.join("a", "b", d.sdp())
            await asyncio.gather(a.hears(D), d.hears(A))
    run(engine, work)


def test_the_called_one_stays(engine: Running, sounds: Sounds) -> None:
    async def work(media: Media) -> None:
        session = media.session(call_id())
        async with Telephone(A) as a, Telephone(B, "0") as b, Telephone(D) as d:
            a.to = port(await session.admit("a", a.sdp()))
            b.to = port(await session.invite("a", "b"))
            await session.join("a", "b", b.sdp())
            await asyncio.gather(a.hears(B), b.hears(A))
            await session.drop("a")
            await a.hears()
            await session.music("b", sounds(MUSIC))
            await b.hears(MUSIC)
            d.to = port(await session.invite("b", "d"))
            assert await session.join("b", "d", d.sdp()) is None
            await asyncio.gather(d.hears(B), b.hears(D), a.hears())
    run(engine, work)


def test_a_party_moves_into_another_session(engine: Running, sounds: Sounds) -> None:
    async def work(media: Media) -> None:
        first, second = media.session(call_id()), media.session(call_id())
        async with Telephone(A) as a, Telephone(B) as b, Telephone(C) as x:
            a.to = port(await first.admit("a", a.sdp()))
            b.to = port(await first.invite("a", "b"))
            await first.join("a", "b", b.sdp())
            x.to = port(await second.admit("x", x.sdp()))
            reinvite = await second.invite("x", "b")
            assert await second.join("x", "b", b.sdp()) is None
            b.to = port(reinvite)
            await first.drop("b")
            await first.music("a", sounds(MUSIC))
            await asyncio.gather(a.hears(MUSIC), x.hears(B), b.hears(C))
    run(engine, work)


def test_hold_and_resume_touch_nobody_else(engine: Running, sounds: Sounds) -> None:
    async def work(media: Media) -> None:
        session = media.session(call_id())
        async with Telephone(A) as a, Telephone(B, "0") as b:
            a.to = port(await session.admit("a", a.sdp()))
            b.to = port(await session.invite("a", "b"))
            await session.join("a", "b", b.sdp())
            for offer, direction in ((a.sdp("sendonly"), "recvonly"), (a.sdp("inactive"),
                                     "inactive"), (a.sdp(address="0.0.0.0"), "recvonly")):
                answer = await session.readmit("a", offer)
                assert f"a={direction}" in answer
                assert port(answer) == a.to
                await session.music("b", sounds(MUSIC))
                await asyncio.gather(a.hears(), b.hears(MUSIC))
                await session.play("a", [sounds(PROMPT, 100)])  # to nobody: its time passes
                await session.stop("b")
                assert "a=sendrecv" in await session.readmit("a", a.sdp())
                await asyncio.gather(a.hears(B), b.hears(A))
            async with Telephone(A, "0 8") as moved:  # another address and codec
                moved.to, a.to = a.to, 0
                assert port(await session.readmit("a", moved.sdp())) == moved.to
                await asyncio.gather(moved.hears(B), b.hears(A))
                assert {packet[1] for packet in moved.got[-5:]} == {0}
            answer = await session.readmit("b", b.sdp("sendonly"))  # the called one may hold too
            assert port(answer) == b.to
            await b.hears()
    run(engine, work)


def test_consultation(engine: Running, sounds: Sounds) -> None:
    async def work(media: Media) -> None:
        session = media.session(call_id())
        async with Telephone(A) as a, Telephone(B, "0") as b, Telephone(C) as c:
            a.to = port(await session.admit("a", a.sdp()))
            b.to = port(await session.invite("a", "b"))
            await session.join("a", "b", b.sdp())
            await session.hold_media("b")
            await session.music("a", sounds(MUSIC))
            await asyncio.gather(a.hears(MUSIC), b.hears())
            c.to = port(await session.invite("b", "c"))
            await session.join("b", "c", c.sdp())
            await asyncio.gather(a.hears(MUSIC), b.hears(C), c.hears(B))
            assert await session.connect("a", "c") is None  # b hands a over
            await asyncio.gather(a.hears(C), c.hears(A), b.hears())
            await session.drop("b")
            await session.hold_media("a")
            await asyncio.gather(a.hears(), c.hears())
            await session.release("a", "c")
            await asyncio.gather(a.hears(C), c.hears(A))
    run(engine, work)


def test_somebody_listens_in(engine: Running) -> None:
    async def work(media: Media) -> None:
        session = media.session(call_id())
        async with Telephone(A) as a, Telephone(B, "0") as b, Telephone(C, "0") as ear:
            a.to = port(await session.admit("a", a.sdp()))
            b.to = port(await session.invite("a", "b"))
            await session.join("a", "b", b.sdp())
            offer = await session.listen("a", "s")
            assert "a=sendonly" in offer
            assert "PCMU" in offer
            ear.to = port(offer)
            await session.listening("s", ear.sdp("recvonly"))
            await asyncio.gather(ear.hears(A), a.hears(B), b.hears(A))
            await session.hold_media("a")
            await asyncio.gather(ear.hears(A), a.hears(), b.hears())
            await session.release("a", "b")
            await asyncio.gather(ear.hears(A), a.hears(B), b.hears(A))
            await session.unlisten("s")
            await asyncio.gather(ear.hears(), a.hears(B), b.hears(A))
            await session.drop("b")
    run(engine, work)


def test_wideband_and_numbers_that_differ(engine: Running) -> None:
    async def work(media: Media) -> None:
        session = media.session(call_id())
        opus = "a=rtpmap:96 opus/48000/2\r\n"
        async with Telephone(A) as a, Telephone(B, "96", lines=opus) as b, Telephone(C) as c:
            a.to = port(await session.admit("a", a.sdp()))
            await session.invite("a", "b")
            await session.join("a", "b", b.sdp())
            await eventually(lambda: [1 for packet in b.got if packet[1] == 96])
            assert "PCMA" in await session.readmit("a", a.sdp().replace("8 101", "0 8 101"),
                                                   order=["PCMA"])
            # Two callers who number the events differently: one has to be asked again.
            await session.drop("b")
            c.events = 100
            c.to = port(await session.admit("c", c.sdp()))
            offer = await session.connect("a", "c")
            assert offer
            assert "a=rtpmap:100 telephone-event/8000" in offer
            assert port(offer) == a.to
            a.events = 100
            assert await session.join("c", "a", a.sdp()) is None
            await asyncio.gather(a.hears(C), c.hears(A))
    run(engine, work)


def test_descriptions_that_are_of_no_use(engine: Running) -> None:
    async def work(media: Media) -> None:
        session = media.session(call_id())
        async with Telephone(A) as a, Telephone(B) as b:
            good = a.sdp()
            for bad in ("", "v=0", "x" * 40_000, good.replace("m=audio", "m=video"),
                        good.replace(" 8 101", " 3 101"), good.replace("RTP/AVP", "RTP/SAVP"),
                        good.replace(str(a.port), "0"), good.replace("c=IN IP4 127.0.0.1\r\n", ""),
                        good.replace("c=IN IP4 127.0.0.1", "c=IN IP4 300.1.1.1"),
                        "v=0\r\n" + "m=audio 1 RTP/AVP 8\r\n" * 99):
                with pytest.raises(MediaRefused):
                    await session.admit("a", bad)
                assert not session.has("a")
            a.to = port(await session.admit("a", good))
            b.to = port(await session.invite("a", "b"))
            for bad in ("", "v=0\r\nm=audio 0 RTP/AVP 8\r\n"):
                with pytest.raises(MediaRefused):
                    await session.join("a", "b", bad)
            with pytest.raises(MediaRefused):
                await session.join("a", "nobody", b.sdp())
            with pytest.raises(MediaRefused):
                await session.play("a", [Path("/nonexistent.wav")])
            await session.join("a", "b", b.sdp())
            await asyncio.gather(a.hears(B), b.hears(A))
    run(engine, work)


# -- prompts and keys -----------------------------------------------------------------------------

def test_prompts_one_after_the_other(engine: Running, sounds: Sounds) -> None:
    async def work(media: Media) -> None:
        session = media.session(call_id())
        async with Telephone(A) as a, Telephone(B) as b:
            a.to = port(await session.admit("a", a.sdp()))
            start = time.monotonic()
            playing = asyncio.create_task(session.play(
                "a", [sounds(PROMPT, 700), sounds(PROMPT2, 700)], repeat=2))
            await a.hears(PROMPT, for_s=0.25)
            await a.hears(PROMPT2, for_s=0.25)
            await playing
            assert 2.8 <= time.monotonic() - start < 6
            whole = len(a.got)
            assert whole * 0.02 == pytest.approx(2.8, abs=0.1)
            a.got.clear()
            await session.play("a", [sounds(PROMPT, 1000)], from_ms=700)
            assert len(a.got) * 0.02 == pytest.approx(0.3, abs=0.06)
            # While they talk: the other one is not heard meanwhile, and hears everything.
            b.to = port(await session.invite("a", "b"))
            await session.join("a", "b", b.sdp())
            await a.hears(B)
            playing = asyncio.create_task(session.play("a", [sounds(PROMPT, 5000)]))
            await asyncio.gather(a.hears(PROMPT), b.hears(A))
            playing.cancel()
            await asyncio.gather(a.hears(B), b.hears(A))
            # Whatever comes later ends it.
            playing = asyncio.create_task(session.play("a", [sounds(PROMPT, 60_000)]))
            await a.hears(PROMPT)
            await session.music("a", sounds(MUSIC, 200))
            await asyncio.wait_for(playing, 1)
            await asyncio.gather(a.hears(MUSIC), b.hears(A))
            await session.stop("a")
            await session.stop("a")
            await asyncio.gather(a.hears(B), b.hears(A))
            await session.drop("b")
            await a.hears()
    run(engine, work)


def test_a_whisper_before_the_connection(engine: Running, sounds: Sounds) -> None:
    pressed: list[tuple[str, str]] = []

    async def work(media: Media) -> None:
        session = media.session(call_id(), on_key=lambda party, digit, _: pressed.append(
            (party, digit)))
        async with Telephone(A) as a, Telephone(B, "0") as b:
            a.to = port(await session.admit("a", a.sdp()))
            await session.music("a", sounds(MUSIC))
            b.to = port(await session.invite("a", "b"))
            await session.accept("b", b.sdp())
            playing = asyncio.create_task(session.play("b", [sounds(PROMPT, 60_000)]))
            await asyncio.gather(a.hears(MUSIC), b.hears(PROMPT))
            b.press("1")
            await eventually(lambda: pressed == [("b", "1")])
            assert session.others("a") == ""
            await session.join("a", "b", b.sdp())
            await playing
            assert session.others("a") == "b"
            await asyncio.gather(a.hears(B), b.hears(A))
    run(engine, work)


@pytest.mark.parametrize(("first", "second"), [(101, 101), (0, 101), (0, 0)])
def test_each_key_is_reported_once(engine: Running, sounds: Sounds, first: int,
                                   second: int) -> None:
    """As events, and as tones from who offered none; alone, with music, and connected."""
    pressed: list[tuple[str, str, int]] = []

    async def work(media: Media) -> None:
        session = media.session(call_id(), on_key=lambda *key: pressed.append(key))
        async with Telephone(A, events=first) as a, Telephone(B, "0", events=second) as b:
            def press(telephone: Telephone, digit: str) -> None:
                (telephone.press if telephone.events else telephone.whistle)(digit)

            async def pressed_are(*expected: tuple[str, str]) -> None:
                await eventually(lambda: len(pressed) >= len(expected))
                await asyncio.sleep(0.3)  # for a second report, should there be one
                assert sorted(key[:2] for key in pressed) == sorted(expected)
                assert all(60 < key[2] < 400 for key in pressed)
                pressed.clear()

            a.to = port(await session.admit("a", a.sdp()))
            press(a, "5")
            press(a, "5")
            await pressed_are(("a", "5"), ("a", "5"))
            await session.music("a", sounds(MUSIC))
            press(a, "#")
            await pressed_are(("a", "#"))
            b.to = port(await session.invite("a", "b"))
            press(a, "0")
            await pressed_are(("a", "0"))
            await session.join("a", "b", b.sdp())
            press(a, "1")
            press(b, "*")
            await pressed_are(("a", "1"), ("b", "*"))
            playing = asyncio.create_task(session.play("a", [sounds(PROMPT, 60_000)]))
            await a.hears(PROMPT)
            press(a, "D")
            if second:  # the tones of whom it talks with are not listened to meanwhile
                press(b, "9")
            await pressed_are(("a", "D"), *([("b", "9")] if second else []))
            playing.cancel()
    run(engine, work)


def test_keys_that_come_in_a_burst(engine: Running) -> None:
    """Two keys' packets at once, with silence before them: none is twice, none out of turn."""
    number = "0701234567#*" * 24

    async def number_is_keyed(media: Media) -> None:
        heard: list[str] = []
        session = media.session(call_id(), on_key=lambda _party, digit, _ms: heard.append(digit))
        async with Telephone(A) as a:
            there = port(await session.admit("a", a.sdp()))
            for keyed in range(2, len(number) + 1, 2):
                a.press(number[keyed - 2], frames=1)
                a.press(number[keyed - 1], frames=1)
                a.to = there
                a.burst()
                a.to = 0
                await eventually(lambda keyed=keyed: len(heard) >= keyed)
        assert "".join(heard) == number

    async def work(media: Media) -> None:
        await asyncio.gather(*(number_is_keyed(media) for _ in range(40)))
    run(engine, work)


def test_keys_find_their_process() -> None:
    """Through the forwarder, which is never impressed by what it is sent."""
    listen = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as zero, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as node:
        for each in (zero, two):
            each.bind(("127.0.0.1", 0))
            each.settimeout(PATIENCE_S)
        ports = [str(zero.getsockname()[1]), str(free_port()), str(two.getsockname()[1])]
        forwarder = subprocess.Popen([sys.executable, "-m", "rtp.keys", "--listen", str(listen),
                                      "--to", *ports])
        try:
            def report(call: str, event: int = 5) -> bytes:
                return json.dumps({"callid": call, "source_tag": "a", "tags": ["a", "a~"],
                                   "type": "DTMF", "event": event, "duration": 100},
                                  separators=(",", ":")).encode()

            until = time.monotonic() + PATIENCE_S
            two.settimeout(0.2)
            while time.monotonic() < until:
                for junk in (b"", b"{}", b"\xff" * 9000, report("9.x"), report("nobody"),
                             report("1.away"), report("1.away"), report("99999.x")):
                    node.sendto(junk, ("127.0.0.1", listen))
                node.sendto(report("2.ab"), ("127.0.0.1", listen))
                try:
                    got = two.recv(9000)
                    break
                except TimeoutError:
                    continue
            assert keys.read(got) == keys.Key("2.ab", "a", "5", 100)
            node.sendto(report("0.ab", 11), ("127.0.0.1", listen))
            assert keys.read(zero.recv(9000)) == keys.Key("0.ab", "a", "#", 100)
            assert forwarder.poll() is None
        finally:
            forwarder.kill()
            forwarder.wait(10)
    for junk in (b"", b"[]", b"1", b"{", b"[" * 9000, report("0.a", 16), report("0.a", -1),
                 b'{"callid":1,"source_tag":2,"event":3,"duration":4}', b"\xff\xfe"):
        assert keys.read(junk) is None


# -- recording ------------------------------------------------------------------------------------

def level(samples: np.ndarray, rate: int, hz: int) -> float:
    """How loud a tone is, 0 to 1."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) / len(samples) * 4
    at = round(hz * len(samples) / rate)
    return float(spectrum[max(at - 2, 0):at + 3].max())


def test_a_pause_keeps_it_from_the_disk(engine: Running, tmp_path: Path) -> None:
    uid = secrets.token_hex(14)
    heard: list[tuple[int, int]] = []

    async def work(media: Media) -> None:
        session = media.session(call_id())
        async with Telephone(A) as a, Telephone(B, "0") as b:
            a.to = port(await session.admit("a", a.sdp()))
            await session.record_start(uid)
            with pytest.raises(MediaRefused):
                await session.record_start(uid)
            b.to = port(await session.invite("a", "b"))
            await session.join("a", "b", b.sdp())
            before = engine.captured()
            await eventually(lambda: engine.captured() > before + 20_000)
            await session.record_pause()
            await session.record_pause()
            quiet = engine.captured()
            a.say(C)  # a card's number, say
            count = len(b.got)
            await eventually(lambda: len(b.got) > count + 75)
            assert engine.captured() == quiet
            a.say(D)
            count = len(b.got)
            await eventually(lambda: len(b.got) > count + 10)
            await session.record_resume()
            await eventually(lambda: engine.captured() > quiet + 20_000)
            await session.record_pause()
            heard.extend(await session.record_stop())
            assert await session.record_stop() == []
    run(engine, work)
    parts = engine.parts(uid)
    assert sorted(part.number for _, part in parts) == [1, 2]
    made = recording.combine(parts, tmp_path / "x.flac")
    assert made
    samples, rate = soundfile.read(made.path)
    assert made.duration_ms == len(samples) * 1000 // rate
    (start, end), _last = heard
    assert end - start > 1400
    pause = samples[start * rate // 1000 + rate // 20:end * rate // 1000 - rate // 100]
    assert not pause.any(), "something was said in the pause"
    assert level(samples[:, 0], rate, C) < 0.002
    after = samples[(end + 100) * rate // 1000:]
    assert level(after[:, 0], rate, D) > 0.05 > level(after[:, 1], rate, D)
    assert level(after[:, 1], rate, B) > 0.05 > level(after[:, 0], rate, B)
    pcap, part = min(parts, key=lambda found: found[1].number)
    one = recording.convert(pcap, part.metadata, tmp_path / "y.flac")
    assert one
    assert one.duration_ms < made.duration_ms


def test_a_message_is_on_the_disk_though_we_are_killed(engine: Running, sounds: Sounds,
                                                       tmp_path: Path) -> None:
    """Only what the caller says after the beep; the next life of the process ends the call."""
    uid, call = secrets.token_hex(14), call_id()

    async def deposit() -> None:
        async with NgClient([engine.node], timeout_s=0.5) as client, Media(client) as media:
            await up(client)
            session = media.session(call)
            async with Telephone(A) as a:
                a.to = port(await session.admit("a", a.sdp()))
                await session.play("a", [sounds(PROMPT, 300)])
                a.say(B)
                count = a.stamp
                await eventually(lambda: a.stamp > count + 1600)
                await session.record_start(uid)
                before = engine.captured()
                await eventually(lambda: engine.captured() > before + 16_000)
            # No close(): as if SIGKILL had come.

    async def next_life(media: Media) -> None:
        assert call in await media.client.calls(engine.node)
        assert await media.sweep("1.") == 0
        assert await media.sweep("0.") == 1
        assert await media.sweep("0.") == 0
    asyncio.run(deposit())
    run(engine, next_life)
    ((pcap, part),) = engine.parts(uid)
    assert part.metadata.ended
    made = recording.combine([(pcap, part)], tmp_path / "x.flac")
    assert made
    samples, rate = soundfile.read(made.path)
    assert level(samples[:, 0], rate, B) > 0.2
    assert level(samples[:, 0], rate, A) < 0.01
    assert level(samples[:, 0], rate, PROMPT) < 0.01
    assert not samples[:, 1].any()


def test_closing_ends_a_recording_first(engine: Running) -> None:
    uid = secrets.token_hex(14)

    async def work(media: Media) -> None:
        for _ in range(5):
            session = media.session(call_id())
            async with Telephone(A) as a:
                a.to = port(await session.admit("a", a.sdp()))
                await session.record_start(uid)
                a.stamp = 0
                await eventually(lambda a=a: a.stamp > 320)
                await session.close()
    run(engine, work)
    assert len(engine.parts(uid)) == 5
    assert engine.process
    assert engine.process.poll() is None


# -- when things go wrong -------------------------------------------------------------------------

def test_a_node_that_dies_during_a_prompt(engine: Running, sounds: Sounds) -> None:
    lost: list[int] = []

    async def work(media: Media) -> None:
        old = media.session(call_id(), on_gone=lambda: lost.append(1))
        async with Telephone(A) as a, Telephone(B) as b:
            a.to = port(await old.admit("a", a.sdp()))
            playing = asyncio.create_task(old.play("a", [sounds(PROMPT, 120_000)]))
            await a.hears(PROMPT)
            await asyncio.sleep(2.5)  # until its age in seconds is known to be more than none
            await asyncio.to_thread(engine.start)
            await up(media.client)
            with pytest.raises(MediaGone):
                await asyncio.wait_for(playing, PATIENCE_S)
            assert lost == [1]
            for use in (old.readmit("a", a.sdp()), old.invite("a", "b"), old.stop("a"),
                        old.record_start("0" * 28), old.drop("a")):
                with pytest.raises(MediaGone):
                    await use
            await old.close()
            await old.close()
            new = media.session(call_id())
            a.to = port(await new.readmit("a", a.sdp()))
            await new.music("a", sounds(MUSIC))
            await a.hears(MUSIC)
            # Found out by a command, before the watch has seen it.
            b.to = port(await new.invite("a", "b"))
            named: dict[str, Any] = {"call-id": new.call_id, "delete-delay": 0}
            await media.client.command(engine.node, "delete", **named)
            with pytest.raises(MediaGone):
                await new.join("a", "b", b.sdp())
    run(engine, work)


def test_a_node_that_does_not_answer(engine: Running, sounds: Sounds) -> None:
    async def work(media: Media) -> None:
        assert engine.process
        session = media.session(call_id())
        async with Telephone(A) as a:
            a.to = port(await session.admit("a", a.sdp()))
            engine.process.send_signal(signal.SIGSTOP)
            try:
                with pytest.raises(MediaTimeout):
                    await session.play("a", [sounds(PROMPT)])
                await eventually(lambda: media.silent(session.node))
                assert not session.gone, "slow is not gone, and there is no other"
            finally:
                engine.process.send_signal(signal.SIGCONT)
            await eventually(lambda: not media.silent(session.node))
            await session.play("a", [sounds(PROMPT)])
            await session.close()
        assert media.count() == 0
    run(engine, work)


def test_bounds(engine: Running) -> None:
    async def work(media: Media) -> None:
        name = call_id()
        session = media.session(name)
        with pytest.raises(MediaRefused):
            media.session(name)
        async with Telephone(A) as a:
            await session.admit("a", a.sdp())
            with pytest.raises(MediaRefused):
                for n in range(100):
                    await session.invite("a", f"b{n}")
            with pytest.raises(MediaRefused):
                await session.admit("a~", a.sdp())
            media.key(b"junk")
            media.key(b'{"callid":"0.unknown","source_tag":"a","event":1,"duration":1}')
            for _ in range(200):
                other = media.session(call_id())
                await other.admit("a", a.sdp())
                await other.close()
            assert media.count() == 1
    run(engine, work)


def test_numbers_in_descriptions() -> None:
    taken = sdp.Codec(96, "PCMA", 8000), sdp.Codec(101, sdp.EVENTS, 8000)
    audio = sdp.read("v=0\r\nc=IN IP4 1.2.3.4\r\nm=audio 4000 RTP/AVP 96 8 97\r\n"
                     "a=rtpmap:96 PCMA/8000\r\na=rtpmap:97 telephone-event/8000\r\n")
    assert audio.codec == taken[0]
    assert audio.port == 4000
    numbers = [codec.kind for codec in sdp.menu(audio)]
    assert len(numbers) == len(set(numbers))
    assert [codec.name for codec in sdp.menu(None)] == ["PCMA", "PCMU", "G722", "OPUS", sdp.EVENTS]
