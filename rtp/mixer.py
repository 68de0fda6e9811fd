"""Rooms in which several parties hear each other: Janus's AudioBridge, over its unix socket.

A party is plain RTP between rtpengine and Janus. rtpengine's offer goes into Room.add(), which
returns the answer: Janus takes the other side's address when a party joins and never after, so a
room answers and cannot offer. When the connection is lost every room on it has ended (its `gone` is
set, its methods raise MixerGone); the next create_room() finds the Janus that came up meanwhile.
"""

import asyncio
import contextlib
import ipaddress
import itertools
import json
import os
import re
import secrets
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeVar

from rtp.errors import MixerGone, MixerRefused

PLUGIN: Final = "janus.plugin.audiobridge"
#: rtpengine's offer towards a room must have these: Janus plays A-law packets of 20 ms and drops
#: all others, whatever was negotiated. Other codecs, packet times and SRTP end in rtpengine. Keys
#: pressed stay events: rtpengine reports them, Janus drops them, nobody has to hear them.
OFFER_FLAGS: Final[dict[str, Any]] = {
    "codec": {"mask": ["all"], "except": ["telephone-event"], "transcode": ["PCMA"]}, "ptime": 20,
    "ICE": "remove", "DTLS": "off", "transport-protocol": "RTP/AVP", "rtcp-mux": ["demux"]}
PCMA: Final = "8"
#: G.711's own; more would only be resampled.
SAMPLE_RATE: Final = 8000
#: Percent of each party in the mix. Janus's sum overflows into noise instead of clipping: at 70 two
#: who shout at once (peaks of -3 dB) still fit, and 3 dB less is hardly heard.
VOLUME: Final = 70
#: Packets of 20 ms that Janus gathers before a party is heard; it throws away at twice as many.
PREBUFFER: Final = 3
#: Of one room: a join is told to all who are there, and every answer lists them.
MAX_PARTIES: Final = 100
MAX_ROOMS: Final = 500
#: Closed rooms that are kept for the next: Janus never frees a room's thread (20 kB, and after
#: 32 000 it gets no more). An idle room costs 0.3 % of a core.
MAX_SPARE: Final = 4
MAX_PENDING: Final = 1000
#: Janus answers in a millisecond; one that is silent for so long is stuck.
TIMEOUT_S: Final = 2.0
#: A Janus that was killed answers again within this when it is started at once.
START_S: Final = 1.0
#: Janus ends a session after 60 s without a request.
KEEPALIVE_S: Final = 10.0
#: A connection is tried again soon, then each time twice as late.
FIRST_RETRY_S: Final = 0.02
MAX_RETRY_S: Final = 0.5
#: Janus reads into 8 192 bytes and writes a zero behind: never fill them.
MAX_REQUEST: Final = 8000
#: More than the kernel lets through such a socket in one message.
MAX_REPLY: Final = 256 * 1024
MAX_SDP: Final = 16 * 1024
DIRECTIONS: Final = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly",
                     "inactive": "inactive"}
KEYS: Final = re.compile(r"rtpmap:\d{1,3} telephone-event/8000", re.IGNORECASE)
NO_SUCH_ROOM: Final = 485

Reply = dict[str, Any]
Found = TypeVar("Found")


# -- SDP --------------------------------------------------------------------------------------

class Remote(NamedTuple):
    """What an offer says: its first audio stream, keys pressed there, and every m= line."""

    host: str
    port: int
    direction: str
    keys: str
    audio: int
    media: tuple[tuple[str, ...], ...]


def read_offer(sdp: str) -> Remote:
    """MixerRefused when a room cannot use it."""
    if len(sdp) > MAX_SDP:
        raise MixerRefused("the SDP is too long")
    media: list[tuple[str, ...]] = []
    audio = -1
    keys = ""
    hosts, directions = {-1: ""}, {-1: "sendrecv"}  # of the session, then of each m= line
    for line in sdp.splitlines():
        kind, _, value = line.strip().partition("=")
        if kind == "m":
            media.append(tuple(value.split(None, 3)))
            if len(media[-1]) != 4:
                raise MixerRefused(f"a bad line in the SDP: {line[:80]}")
            if audio < 0 and media[-1][0] == "audio" and media[-1][1] != "0":
                audio = len(media) - 1
        elif kind == "c" and value.startswith("IN IP4 "):
            hosts[len(media) - 1] = value[7:]
        elif kind == "a" and value in DIRECTIONS:
            directions[len(media) - 1] = value
        elif kind == "a" and 0 <= audio == len(media) - 1 and KEYS.fullmatch(value):
            keys = value[7:].split()[0]
    if audio < 0 or media[audio][2] != "RTP/AVP" or PCMA not in media[audio][3].split():
        raise MixerRefused("the SDP offers no plain PCMA")
    try:  # never a name: Janus would look it up
        host = ipaddress.IPv4Address(hosts.get(audio, hosts[-1]))
        port = int(media[audio][1])
    except ValueError as error:
        raise MixerRefused(f"the SDP has no IPv4 address and port: {error}") from error
    if not 0 < port < 65536 or host.is_unspecified or host.is_multicast:
        raise MixerRefused("the SDP has no usable address")
    return Remote(str(host), port, directions.get(audio, directions[-1]), keys, audio,
                  tuple(media))


def write_answer(remote: Remote, host: str, port: int) -> str:
    """To that offer, from that address."""
    lines = ["v=0", f"o=- {port} {remote.port} IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
    for number, (media, _, protocol, formats) in enumerate(remote.media):
        if number != remote.audio:
            lines.append(f"m={media} 0 {protocol} {formats}")
            continue
        lines += [f"m=audio {port} RTP/AVP {PCMA} {remote.keys}".rstrip(),
                  f"a=rtpmap:{PCMA} PCMA/{SAMPLE_RATE}"]
        if remote.keys:
            lines += [f"a=rtpmap:{remote.keys} telephone-event/8000", f"a=fmtp:{remote.keys} 0-15"]
        lines += ["a=ptime:20", f"a={DIRECTIONS[remote.direction]}"]
    return "\r\n".join(lines) + "\r\n"


# -- the connection ---------------------------------------------------------------------------

class Link:
    """One connection to Janus with its session; it ends once and never comes back."""

    def __init__(self, connected: socket.socket, timeout_s: float,
                 heard: Callable[[Reply], None]) -> None:
        self.session = 0
        self.control = 0
        self.doubt = asyncio.Event()
        self.ended = asyncio.Event()
        self._socket = connected
        self._timeout_s = timeout_s
        self._heard = heard
        self._numbers = itertools.count(1)
        self._pending: dict[str, asyncio.Future[Reply]] = {}

    @classmethod
    async def connect(cls, path: Path, timeout_s: float, heard: Callable[[Reply], None]) -> Self:
        """OSError when nobody listens there."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            # By way of the directory: a socket's own path may not be longer than 107 bytes.
            folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                await asyncio.wait_for(asyncio.get_running_loop().sock_connect(
                    made, f"/proc/self/fd/{folder}/{path.name}"), timeout_s)
            finally:
                os.close(folder)
        except BaseException:
            made.close()
            raise
        return cls(made, timeout_s, heard)

    async def begin(self, owner: str) -> None:
        """A session, and no rooms that an earlier one has left."""
        self.session = int((await self.ask("create"))["data"]["id"])
        self.control = await self.attach()
        for room in await self.rooms(owner):
            await self.destroy(room)

    async def read(self) -> None:
        """Until the connection ends."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while message := await loop.sock_recv(self._socket, MAX_REPLY):
                with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError,
                                         MixerGone):
                    self._take(json.loads(message))

    def _take(self, reply: Reply) -> None:
        kind = reply["janus"]
        future = self._pending.get(reply.get("transaction", ""))
        if future is None:
            if kind == "success" and "session_id" in reply and "id" in reply.get("data", {}):
                self.post("detach", handle_id=reply["data"]["id"])  # nobody waits for it any more
            elif kind == "event":
                self._heard(reply["plugindata"]["data"])
            elif kind == "timeout":
                self.doubt.set()
        elif not future.done() and kind != "ack":  # the answer may come before it, or after
            future.set_result(reply)

    def end(self) -> None:
        """Whoever waits is told."""
        self.ended.set()
        for future in self._pending.values():
            if not future.done():
                future.set_exception(MixerGone("the connection to Janus is lost"))
        self._socket.close()

    # -- requests -----------------------------------------------------------------------------

    def post(self, kind: str, **members: Any) -> str:
        """Send without waiting; the transaction."""
        transaction = str(next(self._numbers))
        message: Reply = {"janus": kind, "transaction": transaction, **members}
        if self.session:
            message["session_id"] = self.session
        encoded = json.dumps(message).encode()
        if len(encoded) > MAX_REQUEST:
            raise MixerRefused("the request is too long")
        if self.ended.is_set():
            raise MixerGone("the connection to Janus is lost")
        try:
            self._socket.send(encoded)
        except OSError as error:  # a full socket too: it reads no more
            self.doubt.set()
            raise MixerGone(f"Janus does not take requests: {error}") from error
        return transaction

    async def ask(self, kind: str, **members: Any) -> Reply:
        """Send and wait: MixerGone, or MixerRefused with Janus's reason."""
        if len(self._pending) >= MAX_PENDING:
            raise MixerRefused("too many requests are waiting already")
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        transaction = self.post(kind, **members)
        self._pending[transaction] = future
        try:
            reply = await asyncio.wait_for(future, self._timeout_s)
        except TimeoutError as error:
            self.doubt.set()
            raise MixerGone(f"Janus does not answer {kind}") from error
        finally:
            del self._pending[transaction]
        if reply["janus"] == "error":
            raise MixerRefused(str(reply["error"]["reason"]), int(reply["error"]["code"]))
        return reply

    async def plugin(self, handle: int, request: str, **body: Any) -> Reply:
        """Ask the AudioBridge."""
        reply = await self.ask("message", handle_id=handle, body={"request": request, **body})
        data: Reply = reply["plugindata"]["data"]
        if "error_code" in data:
            raise MixerRefused(str(data.get("error")), int(data["error_code"]))
        return data

    async def attach(self) -> int:
        """A handle: the control's, or one for each party."""
        return int((await self.ask("attach", plugin=PLUGIN))["data"]["id"])

    async def rooms(self, owner: str) -> list[int]:
        """The owner's; asks the plugin itself, so it shows that rooms still work."""
        listed = (await self.plugin(self.control, "list"))["list"]
        return [int(room["room"]) for room in listed if room.get("description") == owner]

    async def empty(self, room: int) -> bool:
        """Whether it is there and nobody is in it."""
        try:
            listed = await self.plugin(self.control, "listparticipants", room=room)
        except MixerRefused:
            return False
        return not listed["participants"]

    async def destroy(self, room: int) -> None:
        """Whether it is there or not."""
        try:
            await self.plugin(self.control, "destroy", room=room)
        except MixerRefused as refused:
            if refused.code != NO_SUCH_ROOM:
                raise


# -- rooms ------------------------------------------------------------------------------------

class Party(NamedTuple):
    """Somebody in a room, as Janus knows him."""

    handle: int
    number: int
    remote: Remote
    host: str
    port: int


class Room:
    """One conference. Made by Mixer.create_room(); parties have the caller's own names."""

    def __init__(self, mixer: "Mixer", link: Link, number: int, volume: int,
                 prebuffer: int) -> None:
        self.number = number
        #: Set when the room has ended, by close() or because Janus did.
        self.gone = asyncio.Event()
        self._mixer = mixer
        self._link = link
        self._volume = volume
        self._prebuffer = prebuffer
        self._parties: dict[str, Party] = {}
        self._lock = asyncio.Lock()

    @property
    def parties(self) -> tuple[str, ...]:
        """Who is in, in the order of joining."""
        return tuple(self._parties)

    async def add(self, party: str, sdp: str, *, muted: bool = False) -> str:
        """The answer to rtpengine's offer (made with OFFER_FLAGS) for this party.

        Again with the same address: the same answer. With another one: he leaves and joins.
        """
        return await self._mixer.whole(self._add(party, read_offer(sdp), muted))

    async def _add(self, party: str, remote: Remote, muted: bool) -> str:
        async with self._lock:
            self._check()
            there = self._parties.get(party)
            if there is None or there.remote[:2] != remote[:2]:
                if there is not None:
                    await self._take_out(party)
                elif len(self._parties) >= MAX_PARTIES:
                    raise MixerRefused(f"the room has {MAX_PARTIES} parties already")
                there = await self._join(party, remote, muted)
            return write_answer(remote, there.host, there.port)

    async def _join(self, party: str, remote: Remote, muted: bool) -> Party:
        handle = await self._link.attach()
        number = next(self._mixer.numbers)
        try:
            data = await self._link.plugin(
                handle, "join", room=self.number, id=number, codec="pcma", muted=muted,
                volume=self._volume, prebuffer=self._prebuffer,
                rtp={"ip": remote.host, "port": remote.port})
            if "rtp" not in data:  # he has joined, but can neither speak nor hear
                raise MixerRefused("Janus has no port left")
        except BaseException:
            with contextlib.suppress(MixerGone):
                self._link.post("detach", handle_id=handle)
            raise
        self._check()
        self._parties[party] = joined = Party(
            handle, number, remote, str(data["rtp"]["ip"]), int(data["rtp"]["port"]))
        return joined

    async def remove(self, party: str) -> None:
        """He hears and says no more; nothing when he is not there."""
        await self._mixer.whole(self._remove(party))

    async def _remove(self, party: str) -> None:
        async with self._lock:
            if party in self._parties:
                await self._take_out(party)

    async def _take_out(self, party: str) -> None:
        there = self._parties.pop(party, None)
        if there is not None:
            with contextlib.suppress(MixerRefused, MixerGone):  # then he is out already
                await self._link.ask("detach", handle_id=there.handle)

    async def mute(self, party: str, muted: bool = True) -> None:
        """The others do not hear him, he hears them; or again as before."""
        async with self._lock:
            self._check()
            there = self._parties.get(party)
            if there is None:
                raise MixerRefused(f"{party} is not in the room")
            await self._link.plugin(self._link.control, "mute" if muted else "unmute",
                                    room=self.number, id=there.number)

    async def close(self) -> None:
        """Everybody out and the room away; nothing when it is gone already."""
        await self._mixer.whole(self._close())

    async def _close(self) -> None:
        async with self._lock:
            if self.gone.is_set():
                return
            await asyncio.gather(*map(self._take_out, self.parties))
            try:
                if not self._mixer.keep(self._link, self.number):
                    await self._link.destroy(self.number)
            except MixerGone:
                pass
            finally:
                self.lost()

    # -- what the mixer tells -----------------------------------------------------------------

    def _check(self) -> None:
        if self.gone.is_set():
            raise MixerGone("the room has ended")

    def lost(self) -> None:
        """It has ended."""
        self.gone.set()
        self._parties.clear()
        self._mixer.forget(self)

    async def left(self, number: int) -> None:
        """Janus has put somebody out: rtpengine's port was closed for two seconds."""
        async with self._lock:
            for name, party in list(self._parties.items()):
                if party.number == number:
                    await self._take_out(name)


class Mixer:
    """The rooms of one owner in one Janus. Two that are open at once need different owners.

    async with Mixer(path) as mixer: room = await mixer.create_room() ...
    """

    def __init__(self, path: Path, *, owner: str = "vaxel", timeout_s: float = TIMEOUT_S,
                 keepalive_s: float = KEEPALIVE_S) -> None:
        #: Set while Janus answers.
        self.up = asyncio.Event()
        self._path = path
        self._owner = owner
        self._timeout_s = timeout_s
        self._keepalive_s = keepalive_s
        self._link: Link | None = None
        self._rooms: dict[int, Room] = {}
        self._spare: list[int] = []
        #: Of parties: never used twice, for a room can be, and Janus's news come late.
        self.numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runner: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._runner = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_error: object) -> None:
        with contextlib.suppress(MixerRefused):
            await asyncio.gather(*(room.close() for room in list(self._rooms.values())))
        if self._runner:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner
        for task in self._tasks:
            task.cancel()

    @property
    def rooms(self) -> int:
        """Live ones."""
        return len(self._rooms)

    @property
    def parties(self) -> int:
        """In all of them."""
        return sum(len(room.parties) for room in self._rooms.values())

    async def count(self) -> int:
        """Our rooms as Janus counts them: the same as `rooms` when nothing leaks."""
        listed = await self._linked().rooms(self._owner)
        return len(set(listed) - set(self._spare))

    async def create_room(self, *, volume: int = VOLUME, prebuffer: int = PREBUFFER) -> Room:
        """An empty one. Waits a little for a Janus that is just being started again."""
        creating = asyncio.create_task(self._create(volume, prebuffer))
        try:
            return await self.whole(creating)
        except asyncio.CancelledError:
            creating.add_done_callback(self._unwanted)
            raise

    async def _create(self, volume: int, prebuffer: int) -> Room:
        loop = asyncio.get_running_loop()
        until = loop.time() + START_S
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.up.wait(), until - loop.time())
            link = self._linked()
            if len(self._rooms) >= MAX_ROOMS:
                raise MixerRefused(f"there are {MAX_ROOMS} rooms already")
            room = Room(self, link, 1 + secrets.randbelow(1 << 52), volume, prebuffer)
            self._rooms[room.number] = room
            try:
                return await self._make(room, link)
            except MixerGone:
                room.lost()
                if loop.time() > until:
                    raise
                with contextlib.suppress(TimeoutError):  # killed just now: the next one
                    await asyncio.wait_for(link.ended.wait(), until - loop.time())
            except BaseException:
                room.lost()
                raise

    async def _make(self, room: Room, link: Link) -> Room:
        while self._spare:
            number = self._spare.pop()
            if await link.empty(number):
                self.forget(room)
                room.number = number
                self._rooms[number] = room
                return room
            await link.destroy(number)
        try:
            await link.plugin(
                link.control, "create", room=room.number, description=self._owner,
                is_private=False, permanent=False, sampling_rate=SAMPLE_RATE,
                audiolevel_ext=False, allow_rtp_participants=True)
        except BaseException:
            with contextlib.suppress(MixerGone):  # it may have been made after all
                link.post("message", handle_id=link.control,
                          body={"request": "destroy", "room": room.number})
            raise
        return room

    def _unwanted(self, creating: "asyncio.Task[Room]") -> None:
        if not creating.cancelled() and not creating.exception():
            self._spawn(creating.result().close())

    def _linked(self) -> Link:
        if self._link is None:
            raise MixerGone("Janus is not there")
        return self._link

    # -- shared with rooms --------------------------------------------------------------------

    async def whole(self, work: "Coroutine[Any, Any, Found] | asyncio.Task[Found]") -> Found:
        """Done to its end even when the caller is cancelled, so that what we know stays true."""
        return await asyncio.shield(self._spawn(work))

    def _spawn(self, work: "Coroutine[Any, Any, Found] | asyncio.Task[Found]",
               ) -> "asyncio.Task[Found]":
        task = work if isinstance(work, asyncio.Task) else asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when nobody waits for it

    def forget(self, room: Room) -> None:
        """It has ended."""
        if self._rooms.get(room.number) is room:
            del self._rooms[room.number]

    def keep(self, link: Link, number: int) -> bool:
        """Whether the emptied room is kept for the next conference."""
        kept = link is self._link and len(self._spare) < MAX_SPARE
        if kept:
            self._spare.append(number)
        return kept

    # -- the connection -----------------------------------------------------------------------

    async def _run(self) -> None:
        delay = FIRST_RETRY_S
        while True:
            try:
                link = await Link.connect(self._path, self._timeout_s, self._heard)
            except OSError:
                link = None
            if link is not None and await self._serve(link):
                delay = FIRST_RETRY_S
            await asyncio.sleep(delay)
            delay = min(delay * 2, MAX_RETRY_S)

    async def _serve(self, link: Link) -> bool:
        """Until it is lost; whether it ever worked."""
        reader = asyncio.create_task(link.read())
        try:
            await link.begin(self._owner)
            self._link = link
            self.up.set()
            await self._keep(link, reader)
        except (MixerGone, MixerRefused, KeyError, TypeError, ValueError):
            pass  # Janus went, or is not ours to understand: the next one
        finally:
            worked, self._link = self._link is not None, None
            self.up.clear()
            reader.cancel()
            link.end()
            self._spare.clear()
            for room in list(self._rooms.values()):
                room.lost()
        return worked

    async def _keep(self, link: Link, reader: "asyncio.Task[None]") -> None:
        """The plugin is asked every few seconds, and when a request was not answered."""
        while not reader.done():
            doubting = asyncio.create_task(link.doubt.wait())
            await asyncio.wait({reader, doubting}, timeout=self._keepalive_s,
                               return_when=asyncio.FIRST_COMPLETED)
            doubting.cancel()
            link.doubt.clear()
            if not reader.done():
                await link.rooms(self._owner)

    def _heard(self, data: Reply) -> None:
        """What Janus tells a party about another, or about the room."""
        room = self._rooms.get(data.get("room", 0))
        if room is None:
            return
        if "leaving" in data:
            self._spawn(room.left(int(data["leaving"])))
        elif data.get("audiobridge") == "destroyed":
            room.lost()
