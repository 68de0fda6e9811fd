"""Rooms in a real Janus, with telephones behind a real rtpengine: who hears whom."""

import asyncio
import os
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtp.errors import MixerGone, MixerRefused
from rtp.mixer import MAX_PARTIES, MAX_SPARE, OFFER_FLAGS, VOLUME, Mixer, Room, read_offer
from rtp.mixer import write_answer as answer_to
from rtp.ng import NgClient, Node
from rtp.recording import Decoder
from vaxel import media, mixer
from vaxel.ports import free_port
from vaxel.settings import Settings

LEVELS = Decoder("PCMA", 8000).decode(bytes(range(256))).astype(float)
PCMA = ("8", "a=rtpmap:8 PCMA/8000\r\n")
LOUD = 8000
WAIT_S = 8


# -- telephones -------------------------------------------------------------------------------

def alaw(samples: np.ndarray) -> bytes:
    """The nearest code of each."""
    return bytes(np.abs(LEVELS - samples[:, None]).argmin(axis=1).astype(np.uint8))


class Phone:
    """Sends a tone (a multiple of 50 Hz, so that every packet of 20 ms is alike) and listens."""

    def __init__(self, hz: int, loud: float = LOUD) -> None:
        self.hz = hz
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.payload = alaw(np.sin(np.arange(160) * 2 * np.pi * hz / 8000) * loud)
        self.to: tuple[str, int] | None = None
        self.kind = 8
        self.every = 160
        self.received = 0
        self._sent = self._ticks = self._due = 0
        self._heard: deque[bytes] = deque(maxlen=10)

    def offer(self, formats: str = PCMA[0], lines: str = PCMA[1]) -> str:
        """Its SDP."""
        return ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                f"m=audio {self.port} RTP/AVP {formats}\r\n{lines}")

    def send(self) -> None:
        """20 ms are over."""
        self._ticks += 160
        while self.to and self._due <= self._ticks:
            self._sent += 1
            self.socket.sendto(struct.pack(">BBHII", 0x80, self.kind, self._sent & 0xFFFF,
                                           self._due, self.port) + self.payload, self.to)
            self._due += self.every

    def receive(self) -> None:
        """All that has come."""
        while True:
            try:
                packet = self.socket.recv(2000)
            except OSError:
                return
            assert packet[1] & 127 == 8 and len(packet) == 12 + self.every, packet[:12]
            self.received += 1
            self._heard.append(packet[12:172])

    def hears(self) -> dict[int, float]:
        """{Hz: amplitude} in the last 0.2 s."""
        packets = list(self._heard)
        if len(packets) < 10:
            return {}
        parts = [np.abs(np.fft.rfft(LEVELS[np.frombuffer(part, np.uint8)])) / 80
                 for part in packets]
        mean = np.mean(parts, axis=0)
        return {50 * n: float(level) for n, level in enumerate(mean) if level > 100}

    def tones(self) -> set[int]:
        """What it hears well."""
        return {hz for hz, level in self.hears().items() if level > LOUD / 4}


class Band(threading.Thread):
    """Keeps telephones going, a packet every 20 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.phones: list[Phone] = []
        self._playing = True

    def run(self) -> None:
        """Until stop()."""
        due = time.monotonic()
        while self._playing:
            phones = list(self.phones)
            for phone in phones:
                phone.send()
            due += 0.02
            while (left := due - time.monotonic()) > 0:
                ready = select.select([phone.socket for phone in phones], [], [], left)[0]
                for phone in phones:
                    if phone.socket in ready:
                        phone.receive()

    def stop(self) -> None:
        """Sockets closed too."""
        self._playing = False
        self.join(5)
        for phone in self.phones:
            phone.socket.close()


# -- servers ----------------------------------------------------------------------------------

class Servers:
    """A Janus and an rtpengine of our own."""

    def __init__(self, folder: str) -> None:
        self.state = Path(folder)
        self.settings = Settings(media_port=free_port(spread=8), rtp_first=free_port(spread=400))
        self.settings.rtp_last = self.settings.rtp_first + 399
        self.node = Node("127.0.0.1", self.settings.media_ports()[0])
        self.log = (self.state / "janus.log").open("ab")
        media.prepare(self.state, self.settings)
        mixer.prepare(self.state, self.settings)
        self.rtpengine = subprocess.Popen(media.command(self.state, self.settings, 0),
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.janus = self._janus()

    def _janus(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(mixer.command(self.state), stdout=self.log, stderr=self.log)

    def keep(self) -> None:
        """What the supervisor does: one start in twenty ends at once."""
        if self.janus.poll() is not None:
            self.janus = self._janus()

    def cpu_s(self) -> float:
        """Of Janus, so far."""
        fields = Path(f"/proc/{self.janus.pid}/stat").read_text().rsplit(")")[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """By their own ids."""
        for process in (self.janus, self.rtpengine):
            process.kill()
            process.wait(10)
        self.log.close()


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """They run for all the tests here."""
    with tempfile.TemporaryDirectory(prefix="vaxel-mixer-") as folder:
        running = Servers(folder)
        try:
            yield running
        finally:
            running.end()


class Stage:
    """An open mixer, an open client and a band."""

    def __init__(self, servers: Servers, client: NgClient, opened: Mixer, band: Band) -> None:
        self.servers, self.client, self.mixer, self.band = servers, client, opened, band
        self.calls: list[str] = []

    async def join(self, room: Room, name: str, phone: Phone, *sdp: str) -> str:
        """Through rtpengine; the SDP for the telephone."""
        call, node = f"{room.number}-{name}", self.servers.node
        offered = await self.client.offer(node, call, "a", phone.offer(*(sdp or PCMA)),
                                          **OFFER_FLAGS)
        self.calls.append(call)
        answer = await room.add(name, offered)
        assert await room.add(name, offered) == answer, "once more changes nothing"
        answered = await self.client.answer(node, call, "a", "b", answer)
        phone.to = ("127.0.0.1", int(answered.split("m=audio ")[1].split()[0]))
        self.band.phones = [*self.band.phones, phone]
        return answered

    async def until(self, true: Callable[[], Any]) -> None:
        """It comes true soon."""
        end = time.monotonic() + WAIT_S
        while not true():
            assert time.monotonic() < end, [(phone.hz, phone.hears()) for phone in self.band.phones]
            self.servers.keep()
            await asyncio.sleep(0.02)


def play(servers: Servers, work: Callable[[Stage], Coroutine[Any, Any, None]],
         **options: Any) -> None:
    """Run it with everything open, and see that nothing is left."""
    async def inside() -> None:
        band = Band()
        async with (NgClient([servers.node]) as client,
                    Mixer(mixer.control(servers.state), **options) as opened):
            stage = Stage(servers, client, opened, band)
            await stage.until(opened.up.is_set)
            while not await client.probe(servers.node, misses=1):
                await asyncio.sleep(0.05)
            band.start()
            try:
                await work(stage)
            finally:
                band.stop()
                for call in stage.calls:
                    await client.delete(servers.node, call, "a")
            assert (opened.rooms, opened.parties, await opened.count()) == (0, 0, 0)
    asyncio.run(inside())


async def three(stage: Stage) -> tuple[Room, list[Phone]]:
    """A room with three telephones in it."""
    room = await stage.mixer.create_room()
    phones = [Phone(hz) for hz in (400, 700, 1100)]
    for name, phone in zip("abc", phones, strict=True):
        await stage.join(room, name, phone)
    return room, phones


# -- who hears whom ---------------------------------------------------------------------------

def test_each_hears_the_other_two(servers: Servers) -> None:
    async def work(stage: Stage) -> None:
        room, (a, b, c) = await three(stage)
        assert (room.parties, stage.mixer.rooms, stage.mixer.parties) == (("a", "b", "c"), 1, 3)
        assert await stage.mixer.count() == 1
        await stage.until(lambda: (a.tones(), b.tones(), c.tones())
                          == ({700, 1100}, {400, 1100}, {400, 700}))
        await stage.until(lambda: all(
            abs(level - LOUD * VOLUME / 100) < 300 for phone in (a, b, c)
            for level in phone.hears().values()))
        assert not [phone for phone in (a, b, c) if phone.hz in phone.hears()], "himself"
        await room.mute("b")
        await stage.until(lambda: (a.tones(), b.tones(), c.tones())
                          == ({1100}, {400, 1100}, {400}))
        await room.mute("b")
        await room.mute("b", False)
        await stage.until(lambda: a.tones() == {700, 1100})
        await room.remove("c")
        await room.remove("c")
        await stage.until(lambda: (a.tones(), b.tones()) == ({700}, {400}))
        heard_then, a_then = c.received, a.received
        await stage.until(lambda: a.received > a_then + 25)
        assert c.received == heard_then
        with pytest.raises(MixerRefused):
            await room.mute("c")
        await stage.join(room, "c", c)
        await stage.until(lambda: c.tones() == {400, 700} and a.tones() == {700, 1100})
        await room.close()
        await room.close()
        await room.remove("a")
        assert room.gone.is_set()
        with pytest.raises(MixerGone):
            await room.add("a", a.offer())
        with pytest.raises(MixerGone):
            await room.mute("a")
    play(servers, work)


def test_a_closed_room_is_used_again_and_nobody_is_left_in_it(servers: Servers) -> None:
    async def work(stage: Stage) -> None:
        numbers = set()
        for _ in range(3 * MAX_SPARE):
            room = await stage.mixer.create_room()
            numbers.add(room.number)
            await stage.join(room, "a", Phone(400))
            await room.close()
        assert len(numbers) < 3 * MAX_SPARE
        first, (a, b, _) = await three(stage)
        await stage.until(lambda: a.tones() == {700, 1100})
        await first.close()
        second = await stage.mixer.create_room()
        d, e = Phone(1500), Phone(1800)
        await stage.join(second, "d", d)
        await stage.join(second, "e", e)
        await stage.until(lambda: (d.tones(), e.tones()) == ({1800}, {1500}))
        then = a.received, b.received
        d_then = d.received
        await stage.until(lambda: d.received > d_then + 25)
        assert (a.received, b.received) == then
        assert stage.mixer.parties == 2
        await second.close()
    play(servers, work)


def test_other_codecs_and_packet_times(servers: Servers) -> None:
    """rtpengine makes A-law of 20 ms out of them."""
    async def work(stage: Stage) -> None:
        room = await stage.mixer.create_room()
        a, b = Phone(400), Phone(700)
        answered = await stage.join(
            room, "a", a, "111 0 8 101", "a=rtpmap:111 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\n"
            "a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n")
        assert "telephone-event" in answered
        assert "a=sendrecv" in answered
        b.every, b.payload = 240, b.payload + b.payload[:80]
        await stage.join(room, "b", b, "8", "a=rtpmap:8 PCMA/8000\r\na=ptime:30\r\n")
        await stage.until(lambda: b.tones() == {400} and a.tones() >= {700})
        a.payload, a.kind = b"\1\x0a\0\xa0", 101
        await stage.until(lambda: not b.hears())  # nor the keys
        held = Phone(1100)
        assert "a=recvonly" in await stage.join(room, "h", held, "8", "a=sendonly\r\n")
        await room.close()
    play(servers, work)


def test_a_call_that_is_up_moves_into_a_room_and_back(servers: Servers) -> None:
    """Without a re-INVITE: the telephones' ports stay. An offer to a third tag that does not name
    it kills rtpengine 10.5.3.5 the second time."""
    async def work(stage: Stage) -> None:
        client, node, (a, b) = stage.client, servers.node, (Phone(400), Phone(700))
        latch: dict[str, Any] = {"flags": ["port latching"]}

        async def pair(tag: str, to: str, offer: str, answer: str, **flags: Any) -> list[str]:
            back = {"to-tag": to, **latch, **flags}
            offered = await client.offer(node, "up", tag, offer, **back)
            answered = await client.answer(node, "up", tag, to, answer or await room.add(
                tag, offered), **latch)
            return [sdp.split("m=audio ")[1].split()[0] for sdp in (answered, offered)]

        room = await stage.mixer.create_room()
        stage.calls.append("up")
        both = await pair("a", "b", a.offer(), b.offer())
        a.to, b.to = (("127.0.0.1", int(port)) for port in both)
        stage.band.phones = [a, b]
        await stage.until(lambda: (a.tones(), b.tones()) == ({700}, {400}))
        assert (await pair("a", "room-a", a.offer(), "", **OFFER_FLAGS))[0] == both[0]
        assert (await pair("b", "room-b", b.offer(), "", **OFFER_FLAGS))[0] == both[1]
        c = Phone(1100)
        await stage.join(room, "c", c)
        await stage.until(lambda: (a.tones(), b.tones(), c.tones())
                          == ({700, 1100}, {400, 1100}, {400, 700}))
        await room.close()
        assert await pair("a", "b", a.offer(), b.offer()) == both
        await stage.until(lambda: (a.tones(), b.tones()) == ({700}, {400}))
    play(servers, work)


def test_fifty_in_a_room(servers: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    async def work(stage: Stage) -> None:
        room = await stage.mixer.create_room()
        phones = [Phone(100 + 50 * n, 400) for n in range(50)]
        for phone in phones:
            await stage.join(room, str(phone.hz), phone)
        assert stage.mixer.parties == 50
        await stage.until(lambda: all(len(phone.hears()) >= 49 for phone in phones))
        assert all(phone.hz not in phone.hears() for phone in phones)
        began, used, got = time.monotonic(), servers.cpu_s(), phones[0].received
        await stage.until(lambda: phones[0].received >= got + 150)
        share = (servers.cpu_s() - used) / (time.monotonic() - began)
        with capsys.disabled():
            print(f"\n50 parties: {share:.1%} of a core, {share / 50:.2%} each", end=" ")
        assert share < 0.6
        await room.close()
    play(servers, work)


def test_whoever_is_dead_is_put_out(servers: Servers) -> None:
    """rtpengine has ended his call, and nobody told the room."""
    async def work(stage: Stage) -> None:
        room, (a, b, _) = await three(stage)
        await stage.until(lambda: b.tones() == {400, 1100})
        await stage.client.delete(servers.node, stage.calls.pop(0), "a")
        await stage.until(lambda: room.parties == ("b", "c"))
        await stage.until(lambda: b.tones() == {1100})
        await room.remove("a")
        await room.close()
        assert a.tones()
    play(servers, work)


# -- without Janus ----------------------------------------------------------------------------

def test_janus_is_killed(servers: Servers) -> None:
    async def work(stage: Stage) -> None:
        room, (a, _, _) = await three(stage)
        await stage.until(lambda: a.tones() == {700, 1100})
        began = time.monotonic()
        servers.janus.kill()
        await asyncio.wait_for(room.gone.wait(), 1)
        assert time.monotonic() - began < 0.5
        with pytest.raises(MixerGone):
            await room.add("d", a.offer())
        assert (stage.mixer.rooms, stage.mixer.parties) == (0, 0)
        await room.remove("a")
        await room.close()
        with pytest.raises(MixerGone):
            await stage.mixer.count()
        began = time.monotonic()
        with pytest.raises(MixerGone):
            await stage.mixer.create_room()
        assert time.monotonic() - began < 2
        servers.janus.wait(5)
        await stage.until(stage.mixer.up.is_set)
        assert mixer.answers(servers.state)
        room, (a, b, c) = await three(stage)
        await stage.until(lambda: (a.tones(), b.tones(), c.tones())
                          == ({700, 1100}, {400, 1100}, {400, 700}))
        await room.close()
    play(servers, work)


def test_janus_is_stuck(servers: Servers) -> None:
    async def work(stage: Stage) -> None:
        room = await stage.mixer.create_room()
        servers.janus.send_signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(MixerGone):
                await room.add("a", Phone(400).offer())
            await asyncio.wait_for(room.gone.wait(), 2)
            assert time.monotonic() - began < 2
            assert not mixer.answers(servers.state, 0.1)
        finally:
            servers.janus.send_signal(signal.SIGCONT)
        room = await stage.mixer.create_room()
        await room.close()
    play(servers, work, timeout_s=0.3, keepalive_s=0.2)


def test_what_an_earlier_owner_has_left_is_taken_away(servers: Servers) -> None:
    async def work(stage: Stage) -> None:
        async with Mixer(mixer.control(servers.state), owner="other") as other:
            await asyncio.wait_for(other.up.wait(), 5)
            kept = await other.create_room()
            lost = await stage.mixer.create_room()
            assert stage.mixer._link
            stage.mixer._link._socket.shutdown(socket.SHUT_RDWR)
            await asyncio.wait_for(lost.gone.wait(), 2)
            await stage.until(stage.mixer.up.is_set)
            assert await stage.mixer.count() == 0
            assert await other.count() == 1
            assert not kept.gone.is_set()
    play(servers, work)


def test_a_caller_who_gives_up_leaves_nothing(servers: Servers) -> None:
    async def work(stage: Stage) -> None:
        for _ in range(20):
            asking = asyncio.ensure_future(stage.mixer.create_room())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        await stage.until(lambda: not stage.mixer.rooms)
        assert await stage.mixer.count() == 0
        room = await stage.mixer.create_room()
        adding = asyncio.ensure_future(room.add("a", Phone(400).offer()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        adding.cancel()
        await stage.until(lambda: room.parties == ("a",))
        await room.close()
    play(servers, work)


def test_no_janus_at_all(tmp_path: Path) -> None:
    async def work() -> None:
        async with Mixer(tmp_path / "none" / "api") as nobody:
            with pytest.raises(MixerGone):
                await nobody.create_room()
    asyncio.run(work())
    assert not mixer.answers(tmp_path)


# -- bounds -----------------------------------------------------------------------------------

def test_a_full_room(servers: Servers) -> None:
    async def work(stage: Stage) -> None:
        room = await stage.mixer.create_room()
        offer = Phone(400).offer()
        for n in range(MAX_PARTIES):
            await room.add(str(n), offer)
        with pytest.raises(MixerRefused):
            await room.add("one more", offer)
        await room.close()
    play(servers, work)


GOOD = Phone(400).offer()


@pytest.mark.parametrize("bad", [
    "", "v=0\r\n", "x" * 20_000, GOOD.replace("AVP 8", "AVP 0"),
    GOOD.replace("RTP/AVP", "RTP/SAVP"),
    GOOD.replace("c=IN IP4 127.0.0.1", "c=IN IP4 example.com"),
    GOOD.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0"),
    GOOD.replace("c=IN IP4 127.0.0.1", "c=IN IP6 ::1"), GOOD.replace("m=audio ", "m=audio 9"),
    GOOD.replace("m=audio", "m=video"), "m=audio\r\n", GOOD.replace("m=audio ", "m=audio x")])
def test_offers_that_a_room_cannot_use(bad: str) -> None:
    with pytest.raises(MixerRefused):
        read_offer(bad)


def test_an_answer_has_every_stream() -> None:
    offer = ("v=0\no=- 1 1 IN IP4 1.2.3.4\ns=-\nc=IN IP4 1.2.3.4\nt=0 0\na=sendonly\n"
             "m=video 4000 RTP/AVP 96\na=inactive\nm=audio 4002 RTP/AVP 8 101\n"
             "c=IN IP4 1.2.3.5\na=rtpmap:101 telephone-event/8000\nm=audio 4004 RTP/AVP 8\n")
    remote = read_offer(offer)
    assert remote[:4] == ("1.2.3.5", 4002, "sendonly", "101")
    lines = answer_to(remote, "127.0.0.1", 5000).splitlines()
    assert [line for line in lines if line.startswith("m=")] == [
        "m=video 0 RTP/AVP 96", "m=audio 5000 RTP/AVP 8 101", "m=audio 0 RTP/AVP 8"]
    assert "a=recvonly" in lines


def test_nothing_but_loopback(servers: Servers) -> None:
    """No TCP at all, and UDP only for parties."""
    async def work(stage: Stage) -> None:
        room = await stage.mixer.create_room()
        await room.add("a", Phone(400).offer())
        listed = subprocess.run(["ss", "-Hanp"], check=True, capture_output=True, text=True).stdout
        own = [line.split() for line in listed.splitlines() if f"pid={servers.janus.pid}," in line]
        assert own
        first, last = mixer.ports(servers.settings)
        for fields in own:
            if fields[0] == "udp":
                host, _, port = fields[4].rpartition(":")
                assert host == "127.0.0.1" and first <= int(port) <= last
            else:
                assert fields[0].startswith("u_"), fields
        assert mixer.folder(servers.state).stat().st_mode & 0o777 == 0o700
        await room.close()
    play(servers, work)
