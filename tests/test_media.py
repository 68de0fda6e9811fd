"""Media nodes over their protocol, against real ones, and what becomes of a capture."""

import asyncio
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from api.keeping.recordings import QUIET_S, RECORD_WAIT_S, Recordings
from rtp.errors import BadCapture, MediaRefused, MediaTimeout, NoMediaNode
from rtp.ng import NgClient, Node, decode, encode
from rtp.recording import Decoder, Metadata, Recorded, convert, read_metadata
from store import SqliteStore
from store.model import CallRecord
from store.retention import WantedRecordings
from vaxel import media
from vaxel.ports import free_port
from vaxel.settings import Settings

SDP = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
       "m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")
T0 = 1_800_000_000.0
UID = "01a1fff17f715d62f1f862aab79f"
STATIC = Metadata("", UID, {0: "PCMU", 8: "PCMA", 9: "G722"}, 4000, True)


# -- nodes ------------------------------------------------------------------------------------

class Nodes:
    """Two rtpengines of our own."""

    def __init__(self, folder: str) -> None:
        settings = Settings(media_nodes=2, media_port=free_port(spread=8),
                            rtp_first=free_port(spread=200))
        settings.rtp_last = settings.rtp_first + 199
        media.prepare(Path(folder), settings)
        self.nodes = [Node("127.0.0.1", port) for port in settings.media_ports()]
        self.processes = [
            subprocess.Popen(media.command(Path(folder), settings, node),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for node in range(2)]


@pytest.fixture(scope="module")
def two() -> Iterator[Nodes]:
    """They run for all the tests here, and are ended by their own ids."""
    with tempfile.TemporaryDirectory(prefix="vaxel-media-") as folder:
        running = Nodes(folder)
        try:
            run(running.nodes, wait_for_all)
            yield running
        finally:
            for process in running.processes:
                process.kill()
                process.wait(10)


def run(nodes: list[Node], work: Callable[[NgClient], Any], **options: Any) -> Any:
    """What the coroutine returns, with a client open."""
    async def inside() -> Any:
        async with NgClient(nodes, **options) as client:
            return await work(client)
    return asyncio.run(inside())


async def wait_for_all(client: NgClient) -> None:
    """Until every node answers."""
    for node in client.nodes:
        until = time.monotonic() + 15
        while not (await client.probe(node, misses=1)):
            assert time.monotonic() < until, "no rtpengine"
            await asyncio.sleep(0.05)


def test_a_call_on_a_node(two: Nodes) -> None:
    async def work(client: NgClient) -> None:
        node = two.nodes[0]
        assert (await client.command(node, "ping"))["result"] == "pong"
        assert await client.measure(node) == 0
        offered = await client.offer(node, "c1@x", "a", SDP.format(port=4000), ICE="remove")
        answered = await client.answer(node, "c1@x", "a", "b", SDP.format(port=4002), ICE="remove")
        for sdp in (offered, answered):
            assert "PCMA/8000" in sdp
            assert "m=audio 4000 " not in sdp
            assert "m=audio 4002 " not in sdp
        assert await client.calls(node) == ["c1@x"]
        assert set((await client.query(node, "c1@x"))["tags"]) == {"a", "b"}
        assert await client.measure(node) == 1
        await client.measure(two.nodes[1])
        assert client.choose() == two.nodes[1]
        await client.offer(two.nodes[1], "c2", "a", SDP.format(port=4000))
        await client.offer(two.nodes[1], "c3", "a", SDP.format(port=4000))
        for each in two.nodes:
            await client.measure(each)
        assert client.choose() == node
        client.health[node].up = False
        assert client.choose() == two.nodes[1]
        for each, call in ((node, "c1@x"), (two.nodes[1], "c2"), (two.nodes[1], "c3")):
            await client.delete(each, call, "a")
            assert call not in await client.calls(each)
        for name in ("query", "delete", "answer"):
            arguments = {"call-id": "never", "from-tag": "a", "to-tag": "b",
                         "sdp": SDP.format(port=4000)}
            if name == "delete":
                continue  # only a warning: nothing is left to do
            with pytest.raises(MediaRefused) as refused:
                await client.command(node, name, **arguments)
            assert "call-id" in refused.value.reason.lower(), refused.value.reason
        with pytest.raises(MediaRefused) as unknown:
            await client.command(node, "nonsense")
        assert unknown.value.reason
    run(two.nodes, work)


def test_a_node_that_stops_and_comes_back(two: Nodes) -> None:
    async def work(client: NgClient) -> None:
        node, pid = two.nodes[0], two.processes[0].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            # The signal stops one thread after the other: the first ping may still be answered.
            answers = [await client.probe(node) for _ in range(5)]
            assert answers[0] and answers[-2:] == [False, False]
            assert client.choose() == two.nodes[1]
            start = time.monotonic()
            with pytest.raises(MediaTimeout):
                await client.command(node, "ping")
            assert 0.6 < time.monotonic() - start < 3
            client.health[two.nodes[1]].up = False
            with pytest.raises(NoMediaNode):
                client.choose()
        finally:
            os.kill(pid, signal.SIGCONT)
        assert await client.probe(node)
        assert client.choose() == node
        assert client.health[node].missed == 0
    run(two.nodes, work)


def test_a_command_that_is_sent_again_is_done_once(two: Nodes) -> None:
    """The node's answer comes from its cache: the same ports."""
    async def offer(client: NgClient) -> str:
        return await client.offer(two.nodes[0], "again", "a", SDP.format(port=4000))
    first, second = (run(two.nodes, offer, new_cookie=lambda: "same") for _ in range(2))
    assert first == second
    run(two.nodes, lambda client: client.delete(two.nodes[0], "again", "a"))


def fake_node(answers: Callable[[int, bytes], list[bytes]], work: Callable[[NgClient, Node], Any],
              **options: Any) -> tuple[Any, list[bytes]]:
    """(what work returns, the datagrams that a node of ours was sent)"""
    got: list[bytes] = []

    async def inside() -> Any:
        class Server(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                got.append(data)
                for answer in answers(len(got), data.partition(b" ")[0]):
                    transport.sendto(answer, addr)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
        node = Node(*transport.get_extra_info("sockname"))
        try:
            async with NgClient([node], **options) as client:
                return await work(client, node)
        finally:
            transport.close()
    return asyncio.run(inside()), got


def test_the_second_try_has_the_first_cookie() -> None:
    reply, got = fake_node(lambda n, cookie: [cookie + b" d6:result4:ponge"] if n == 2 else [],
                           lambda client, node: client.command(node, "ping"), timeout_s=0.03)
    assert reply == {"result": "pong"}
    assert len(got) == 2
    assert got[0] == got[1]


def test_what_is_no_answer_is_ignored() -> None:
    good = b" d6:result4:ponge"
    bad = [b"", b" ", b"x", b"other" + good, good, b"\xff\xfe \xff", b"i1e", b"\0" * 2000]

    async def work(client: NgClient, node: Node) -> Any:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            asked = asyncio.ensure_future(client.command(node, "ping"))
            await asyncio.sleep(0.02)
            assert client._transport
            stranger.sendto(b"mine d6:result5:wronge",
                            client._transport.get_extra_info("sockname"))
            return await asked
    reply, _ = fake_node(
        lambda n, cookie: [*bad, cookie, cookie + b" ", cookie + b" nonsense", cookie + b" i1e",
                           cookie + b" l" * 3000, cookie + b" d6:result"] if n == 1
        else [cookie + good] * 2, work, timeout_s=0.1, new_cookie=lambda: "mine")
    assert reply == {"result": "pong"}


def test_a_node_that_is_full() -> None:
    async def work(client: NgClient, node: Node) -> None:
        with pytest.raises(MediaRefused):
            await client.offer(node, "c", "a", "v=0")
    fake_node(lambda _, cookie: [cookie + b" d6:result10:load limite"], work)


def test_datagrams_and_cookies() -> None:
    command = {"command": "offer", "sdp": "v=0\r\nå", "flags": ["a", "b"], "n": 7}
    assert decode(encode("c", command)) == ("c", command)
    for bad in (b"", b"c", b"c ", b"c x", b"c i1e", b"c le", b"c d1:ae", b"c " + b"0" * 70_000):
        with pytest.raises(ValueError):
            decode(bad)
    client = NgClient([])
    assert len({client._new_cookie() for _ in range(10_000)}) == 10_000


# -- recordings -------------------------------------------------------------------------------

class Capture:
    """A pcap written by hand."""

    def __init__(self, path: Path) -> None:
        self.path, self.start = path, 1000
        self.data = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))

    def packet(self, at_s: float, port: int, body: bytes) -> None:
        """Any UDP datagram."""
        udp = struct.pack(">HHHH", 5555, port, 8 + len(body), 0) + body
        ip = struct.pack(">BBHHHBBH8s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, bytes(8)) + udp
        whole, part = divmod(round((T0 + at_s) * 1_000_000), 1_000_000)
        self.data += struct.pack("<IIII", whole, part, len(ip), len(ip)) + ip

    def rtp(self, at_s: float, payload: bytes, *, port: int = 4000, kind: int = 8, ticks: int = -1,
            ssrc: int = 1) -> None:
        """RTP; its timestamp is that of the clock of 8 000 unless given."""
        stamp = round(at_s * 8000) + self.start if ticks < 0 else ticks
        self.packet(at_s, port, struct.pack(">BBHII", 0x80, kind, 0, stamp % 2**32, ssrc) + payload)

    def convert(self, metadata: Metadata = STATIC) -> tuple[Recorded, np.ndarray]:
        """(what convert() says, the samples); nothing of it is left beside."""
        self.path.write_bytes(self.data)
        out = self.path.parent / "out" / "x.flac"
        done = convert(self.path, metadata, out)
        assert done is not None
        assert [path.name for path in out.parent.iterdir()] == ["x.flac"]
        assert out.stat().st_mode & 0o777 == 0o600
        samples, rate = soundfile.read(out, dtype="int16")
        assert done.duration_ms == len(samples) * 1000 // rate
        return done, samples


@pytest.fixture
def capture(tmp_path: Path) -> Capture:
    """An empty one."""
    return Capture(tmp_path / "c1-0123456789abcdef.pcap")


def level(byte: int) -> int:
    """What a PCMA byte says."""
    return int(Decoder("PCMA", 8000).decode(bytes([byte]))[0])


def levels(samples: np.ndarray, channel: int = 0) -> list[int]:
    """Each 20 ms of a channel: its one value, or -1 when it is not one."""
    parts = [samples[at:at + 160, channel] for at in range(0, len(samples), 160)]
    return [int(part[0]) if (part == part[0]).all() else -1 for part in parts]


def encoded(name: str, rate: int, size: int, hz: float, seconds: float = 2) -> list[bytes]:
    """A tone in packets of 20 ms."""
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = rate, "mono", "s16"
    tone = np.sin(np.arange(int(rate * seconds)) * 2 * np.pi * hz / rate) * 8000
    packets = []
    for at in range(0, len(tone), size):
        frame = av.AudioFrame.from_ndarray(
            tone[None, at:at + size].astype(np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, at
        packets += [bytes(packet) for packet in context.encode(frame)]
    return packets


def text_of(pcap: Path, rtpmap: str, uid: str = UID) -> str:
    """As rtpengine writes it: what it sent, so the answer has the port of the caller's packets."""
    parts = "".join(
        f"\nTimestamp started ms: 1795295379321.4\nSDP mode: {mode}\nSDP before RTP packet: 1\n\n"
        f"v=0\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 8\na=rtpmap:{rtpmap}\n"
        for mode, port in (("offer", 4002), ("answer", 4000)))
    return (f"{pcap}\n\n{parts}\nTimestamp terminated ms(first monologue): 1795295382336.6\n\n"
            f"call start time: 2026-11-21T21:09:39\ncall end time: 2026-11-21T21:09:42\n\n{uid}\n")


@pytest.mark.parametrize(("rtpmap", "name", "rate", "size", "clock"), [
    ("8 PCMA/8000", "pcm_alaw", 8000, 160, 160), ("0 PCMU/8000", "pcm_mulaw", 8000, 160, 160),
    ("9 G722/8000", "g722", 16000, 320, 160), ("96 opus/48000/2", "libopus", 48000, 960, 960)])
def test_the_caller_is_on_the_left(capture: Capture, rtpmap: str, name: str, rate: int, size: int,
                                   clock: int) -> None:
    for port, hz, ssrc in ((4000, 440.0, 1), (4002, 1000.0, 2)):
        for n, payload in enumerate(encoded(name, rate, size, hz)):
            capture.rtp(n * 0.02, payload, port=port, kind=int(rtpmap.split()[0]),
                        ticks=n * clock, ssrc=ssrc)
    metadata = read_metadata(text_of(capture.path, rtpmap))
    assert metadata[3:] == (4000, True)
    assert (metadata.uid, metadata.pcap) == (UID, str(capture.path))
    done, samples = capture.convert(metadata)
    assert abs(done.duration_ms - 2000) <= 40
    assert done.started_ms == T0 * 1000
    file_rate = soundfile.info(done.path).samplerate
    for channel, hz in ((0, 440.0), (1, 1000.0)):
        part = samples[file_rate // 4:file_rate * 7 // 4, channel].astype(float)
        spectrum = np.abs(np.fft.rfft(part))
        assert abs(np.argmax(spectrum) * file_rate / len(part) - hz) < 2
        assert spectrum.max() > 20 * np.median(spectrum)
        assert 6000 < np.abs(part).max() < 10_000


def test_g711_is_the_libraries(capture: Capture) -> None:
    for codec, name in (("PCMA", "pcm_alaw"), ("PCMU", "pcm_mulaw")):
        context = av.CodecContext.create(name, "r")
        assert isinstance(context, av.AudioCodecContext)
        context.sample_rate, context.layout = 8000, "mono"
        expected = context.decode(av.Packet(bytes(range(256))))[0].to_ndarray()[0]
        assert (Decoder(codec, 8000).decode(bytes(range(256))) == expected).all(), codec


def test_lost_reordered_and_duplicated(capture: Capture) -> None:
    order = [0, 1, 3, 2, 2, 7, 6, 6, 9]
    for n, which in enumerate(order):
        capture.rtp(n * 0.02, bytes([which]) * 160, ticks=1000 + which * 160)
    done, samples = capture.convert()
    assert levels(samples) == [level(n) if n in order else 0 for n in range(10)]
    assert levels(samples, 1) == [0] * 10, "one side only"
    assert done.duration_ms == 200


@pytest.mark.parametrize("start", [2**32 - 400, 2**31 - 400])
def test_timestamps_wrap(capture: Capture, start: int) -> None:
    for n in range(6):
        capture.rtp(n * 0.02, bytes([n]) * 160, ticks=(start + n * 160) % 2**32)
    assert levels(capture.convert()[1]) == [level(n) for n in range(6)]


@pytest.mark.parametrize(("ssrc", "jump"), [(2, 0), (2, 123_456_789), (1, 2**31), (1, 80_000)])
def test_another_source_or_a_jump_is_placed_by_the_clock(capture: Capture, ssrc: int,
                                                         jump: int) -> None:
    for n in range(3):
        capture.rtp(n * 0.02, bytes([n]) * 160, ticks=1000 + n * 160)
    for n in range(3):
        capture.rtp(1 + n * 0.02, bytes([9 + n]) * 160, ticks=1480 + n * 160 + jump, ssrc=ssrc)
    found = levels(capture.convert()[1])
    after = 50 if ssrc == 2 or jump else 3
    assert found[:3] == [level(n) for n in range(3)]
    assert found[after:] == [level(9 + n) for n in range(3)]
    assert found[3:after] == [0] * (after - 3)


def test_captures_that_are_cut(capture: Capture, tmp_path: Path) -> None:
    for n in range(4):
        capture.rtp(n * 0.02, bytes([n]) * 160)
    whole = bytes(capture.data)
    for cut in (1, 100, 199):
        capture.data = bytearray(whole[:-cut])
        assert levels(capture.convert()[1]) == [level(n) for n in range(3)]
    out = tmp_path / "out" / "none.flac"
    for content in (b"", whole[:23], b"\0" * 100, b"not a capture, but long enough for one"):
        capture.path.write_bytes(content)
        with pytest.raises(BadCapture):
            convert(capture.path, STATIC, out)
    capture.path.write_bytes(whole[:24])
    assert convert(capture.path, STATIC, out) is None
    assert not list(out.parent.glob("none*"))


def test_what_is_not_audio(capture: Capture) -> None:
    capture.rtp(0, bytes([5]) * 160)
    for body in (b"", b"\x80", b"\0\1\0\0" + bytes(30), b"\x80\xc8" + bytes(40), b"\x80\xc9\0",
                 b"\x9f\x08" + bytes(10), b"\x90\x08" + bytes(10) + b"\0\0\xff\xff"):
        capture.packet(0.5, 4000, body)
    capture.rtp(0.6, b"\1\x8a\0\xa0", kind=101)
    capture.rtp(0.7, b"\1", kind=13)
    metadata = STATIC._replace(codecs=STATIC.codecs | {101: "TELEPHONE-EVENT", 13: "CN"})
    assert levels(capture.convert(metadata)[1]) == [level(5)]


def test_half_an_hour_in_little_memory(capture: Capture) -> None:
    for n in range(18_000):
        for port in (4000, 4002):
            capture.rtp(n * 0.1, bytes([n % 100]) * 160, port=port, ssrc=port)
    capture.path.write_bytes(capture.data)
    capture.data.clear()
    tracemalloc.start()
    start = time.monotonic()
    try:
        done = convert(capture.path, STATIC, capture.path.with_suffix(".flac"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert done is not None
    assert done.duration_ms == 1_799_920
    assert peak < 20_000_000, peak
    assert time.monotonic() - start < 10


# -- the index --------------------------------------------------------------------------------

def raw(node: Path, capture: Capture) -> tuple[Path, Path]:
    """(text, pcap) as rtpengine leaves them."""
    for name in ("metadata", "pcaps", "tmp"):
        (node / name).mkdir(parents=True, exist_ok=True)
    pcap = node / "pcaps" / capture.path.name
    pcap.write_bytes(capture.data)
    text = node / "metadata" / "x.txt"
    text.write_text(text_of(pcap, "8 PCMA/8000"))
    return text, pcap


def test_recordings_are_taken(capture: Capture, tmp_path: Path) -> None:
    """Killed between index and unlink, it is done again with the same outcome."""
    store = SqliteStore(tmp_path / "db")
    store.migrate()
    recordings, node = Recordings(tmp_path, store), tmp_path / "node0"
    capture.rtp(0, bytes(160))
    text, pcap = raw(node, capture)
    written = pcap.stat().st_mtime
    assert recordings.finished(node) == [(text, pcap)]
    assert recordings.left_behind(node, set(), written + QUIET_S + 1) == []
    recordings.take([(text, pcap)], {"c1"}, written + RECORD_WAIT_S + 1)
    assert pcap.exists(), "more may come of a call that goes on"
    recordings.take([(text, pcap)], set(), written + 1)
    assert pcap.exists() and text.exists()
    assert not (tmp_path / "recordings").exists()
    recordings.take([(text, pcap)], set(), written + RECORD_WAIT_S + 1)
    unknown = store.recording(UID)
    assert (unknown.uid, unknown.tenant, unknown.duration_ms) == (UID, 0, 20)
    text, pcap = raw(node, capture)
    text.unlink()
    assert recordings.finished(node) == []
    assert recordings.left_behind(node, {"c1"}, written + 60) == []
    assert recordings.left_behind(node, set(), pcap.stat().st_mtime) == [], "still written to"
    ((text, pcap),) = recordings.left_behind(node, set(), written + 60)
    recordings.take([(text, pcap)], set(), written + RECORD_WAIT_S + 60)
    assert not store.recording("unknown-c1-0123456789abcdef").complete
    other = UID[::-1]
    store.add_call(CallRecord(uid=other, tenant=7, direction="in", caller="", called="",
                              started_ms=1, call_id="c1"))
    taken = []
    for _ in range(3):
        text, pcap = raw(node, capture)
        recordings.take([(text, pcap)], set(), written)
        taken.append(store.recording(other))
        assert not pcap.exists()
        assert not text.exists()
    assert taken[0] == taken[1] == taken[2]
    assert (taken[0].uid, taken[0].tenant) == (other, 7)
    assert len(list((tmp_path / "recordings").rglob("*"))) == 4
    capture.rtp(20, bytes(160))
    for _ in range(2):  # another one of that call, which is done again after a crash, too
        text, pcap = raw(node, capture)
        recordings.take([(text, pcap)], set(), written)
        assert not pcap.exists()
    second = store.recording(f"{other}-{pcap.stem[-16:]}")
    assert (second.tenant, store.recording(other)) == (7, taken[0])
    assert Path(second.path).stem == second.uid and (tmp_path / second.path).exists()
    assert [one.uid for one in store.recordings(7, WantedRecordings(call=other))] == [
        second.uid, other]
    pcap.write_bytes(b"junk")
    recordings.take([(text, pcap)], set(), written)
    assert pcap.with_suffix(".unreadable").exists()
    store.close()
