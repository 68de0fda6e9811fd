"""Sound is between the two who talk: nobody else is heard, and nobody else hears (catalogue N8).

The goal: of a spray at all ports of a call, at the most five packets get through.
"""

import asyncio
import contextlib
import re
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exchange import Company, Exchange
from tests.people import People, both
from tests.softphone import Call

MOST = 5
PACKETS = 200
SSRC = 0xA77AC4E5


class Thief:
    """An address that sends sound to ports that are not its own, and listens."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)

    def spray(self, ports: list[int], count: int, ssrc: int = SSRC) -> None:
        """RTP, and RTCP that says goodbye."""
        for number in range(count):
            rtp = struct.pack(">BBHII", 0x80, 8, number, number * 160, ssrc) + b"\x55" * 160
            bye = struct.pack(">BBHI", 0x81, 203, 1, ssrc)
            for port in ports:
                self.socket.sendto(rtp, ("127.0.0.1", port))
                if number % 10 == 0:
                    self.socket.sendto(bye, ("127.0.0.1", port))

    def heard(self) -> int:
        """Packets that came."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while self.socket.recv(4096):
                count += 1
        return count


@contextlib.contextmanager
def thieves() -> Iterator[list[Thief]]:
    """Another port of a party's own address, and another address."""
    made = [Thief("127.0.0.1"), Thief("127.0.0.61")]
    try:
        yield made
    finally:
        for one in made:
            one.socket.close()


def ports_of(exchange: Exchange) -> list[int]:
    """The ports on which rtpengine listens for sound."""
    first, last = exchange.settings.rtp_first, exchange.settings.rtp_last
    found = []
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        port = int(re.split(r"[\s:]+", line.strip())[2], 16)
        if first <= port <= last:
            found.append(port)
    return sorted(set(found))


def watch(call: Call) -> list[int]:
    """The SSRCs of what the call's telephone is sent from now on."""
    found: list[int] = []
    plain = call.media.datagram_received

    def look(data: bytes, addr: object) -> None:
        if len(data) >= 12:
            found.append(int.from_bytes(data[8:12], "big"))
        plain(data, addr)

    call.media.datagram_received = look  # type: ignore[method-assign]
    return found


async def settle() -> None:
    """A while in which whatever was sent arrives."""
    await asyncio.sleep(0.5)


def play(exchange: Exchange, company: Company, functions: bool, silent: bool) -> None:
    """A call whose media are anchored, and two who want in."""
    async def scene() -> None:
        async with People(exchange, company) as people:
            anna = await people.phone("101", functions=functions)
            bo = await people.phone("102", functions=functions)
            with thieves() as those:
                line = await anna.dial("102")
                call = await bo.incoming()
                call.ring()
                # Before anybody has answered, and right after: no sound has come yet.
                for thief in those:
                    thief.spray(ports_of(exchange), 20)
                if silent:
                    call.media.say = lambda hz: None  # type: ignore[method-assign]
                    call.media._send = settle  # type: ignore[method-assign]
                heard = [watch(line), watch(call)]
                call.answer()
                await line.answered()
                for thief in those:
                    thief.spray(ports_of(exchange), PACKETS)
                if not silent:
                    await both(line, call)
                for number, thief in enumerate(those):
                    thief.spray(ports_of(exchange), PACKETS, SSRC + number)
                await settle()
                strangers = [sum(1 for ssrc in one if ssrc >> 8 == SSRC >> 8) for one in heard]
                assert max(strangers) <= MOST, strangers
                for thief in those:
                    assert thief.heard() == 0, "it was sent what a party says"
                if not silent:
                    before = time.monotonic()
                    await both(line, call)
                    assert time.monotonic() - before < 5
            await line.hang_up()
            await call.ended()

    asyncio.run(scene())


@pytest.mark.parametrize("silent", [False, True], ids=["talking", "silent"])
@pytest.mark.parametrize("functions", [False, True], ids=["edge", "call control"])
def test_a_spray_reaches_nobody(exchange: Exchange, functions: bool, silent: bool) -> None:
    company = exchange.company(media="always")
    play(exchange, company, functions, silent)


def test_a_call_with_another_calls_id_is_another_call(exchange: Exchange) -> None:
    """rtpengine was told the Call-ID, which the caller chooses: two calls were one."""
    company = exchange.company(media="always")

    async def scene() -> None:
        async with People(exchange, company) as people:
            anna, bo, cia, dan = [await people.phone(one, functions=False)
                                  for one in ("101", "102", "103", "104")]
            line, call = await people.talk(anna, bo)
            second = Call(cia)
            second.call_id = line.call_id
            await second.media.__aenter__()
            cia.calls.append(second)
            cia.spawn(second.dial("104"))
            other = await dan.incoming()
            other.answer()
            await second.answered()
            await both(second, other)
            await second.hang_up()
            await other.ended()
            await both(line, call)
            await line.hang_up()
            await call.ended()

    asyncio.run(scene())


def test_media_without_a_call_are_ended(exchange: Exchange, company: Company) -> None:
    """Nobody's slot, and rtpengine still has it: the keeper finds and ends it."""
    from rtp.ng import NgClient, Node
    uid = "0123456789abcdef0123456789ab"
    description = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                   "m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")

    async def scene() -> None:
        node = Node("127.0.0.1", exchange.settings.media_ports()[0])
        async with NgClient([node]) as client:
            named = {"call-id": uid, "from-tag": "a", "sdp": description}
            await client.command(node, "offer", **named)
            until = time.monotonic() + 15
            while uid in await client.calls(node):
                assert time.monotonic() < until, "it is still there"
                await asyncio.sleep(0.1)

    asyncio.run(scene())


@pytest.mark.parametrize("functions", [False, True], ids=["edge", "call control"])
def test_who_is_behind_a_translator_of_addresses_is_heard(exchange: Exchange,
                                                          functions: bool) -> None:
    """Its description says a private address, and its port is another one than it says."""
    company = exchange.company(media="always")

    async def scene() -> None:
        async with People(exchange, company) as people:
            anna = await people.phone("101", functions=functions)
            bo = await people.phone("102", functions=functions)
            line = await anna.dial("102")
            call = await bo.incoming()
            plain = call.media.sdp
            call.media.sdp = lambda direction="sendrecv", **more: re.sub(  # type: ignore[assignment]
                r"(m=audio )\d+", r"\g<1>4000", plain(direction).replace("127.0.0.1", "10.9.9.9"))
            call.answer()
            await line.answered()
            await both(line, call)
            await line.hang_up()
            await call.ended()

    asyncio.run(scene())
