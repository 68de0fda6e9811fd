"""The media of one conversation: parties come, hear prompts, are connected and leave, and none of
them has to be told a new address.

Every party has an empty seat beside it in rtpengine (its tag with "~"), with which it has a
dialogue of its own: so it can be played to and its keys are heard from the moment it is there.
Connecting two parties is an offer and an answer between them with what they have already agreed
to; with port-latching rtpengine keeps their ports. Parting them seats each beside its empty seat
again.
"""

import asyncio
import contextlib
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, Self

import soundfile

from rtp import keys, recording, sdp
from rtp.audio import CAF
from rtp.errors import MediaError, MediaGone, MediaRefused
from rtp.ng import NgClient, Node, Reply

#: Sessions of one process: far above what a node's ports allow.
MAX_SESSIONS: Final = 20_000
#: Parties that a session may have at once; a parallel group rings each of its members.
MAX_PARTIES: Final = 64
#: The last packet leaves a frame after the file's duration is over.
TAIL_S: Final = 0.02
#: rtpengine counts repetitions down; a file of a second lasts for eleven days.
FOREVER: Final = 1_000_000
#: A node that was restarted is noticed after this long: half of what a caller waits in silence.
WATCH_S: Final = 1.0
#: Uptimes are whole seconds: a beginning that moved by more is another one.
RESTARTED_S: Final = 1.5
#: A node that has not answered the watch so often in a row is given up, when there is another: 5 s
#: with its repetitions.
MISSES: Final = 3
#: close() waits for a command under way: longer than one with its repetitions takes.
CLOSE_S: Final = 1.0
#: Answers that mean that the node does not know the call, or the party, any more.
#: Having run out of ports, it forgets the whole call.
_UNKNOWN: Final = ("unknown call-id", "no such tag exists", "to-tag not found", "ran out of ports")

#: By which the edge says that an address stands in for another (kemi/media.py).
_BEHIND_NAT: Final = "\na=direction:active"

OnKey = Callable[[str, str, int], None]


class Party:
    """Somebody with a telephone. port: where it was told to send; other: who it talks with;
    linked: rtpengine sends it the other's audio; seated: it has a dialogue; music: what it hears
    for as long as nothing else is played."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.seat = label + "~"
        self.audio: sdp.Audio | None = None
        self.sdp = ""
        self.port = 0
        self.number = secrets.randbits(31)
        self.version = 0
        self.other: Party | None = None
        self.linked = False
        self.seated = False
        self.music: Path | None = None
        self.muted = False
        self.playing: asyncio.Event | None = None

    def origin(self) -> str:
        """Of the next description that it is sent (RFC 8866 section 5.2)."""
        self.version += 1
        return f"{self.number} {self.version}"


class Recording:
    """A recording that is being made, in parts when it is paused."""

    def __init__(self, uid: str, left: str) -> None:
        self.uid = uid
        self.left = left
        self.start_ms = time.time_ns() // 1_000_000
        self.part = 1
        self.running = False
        self.told = ""
        self.paused_ms = 0
        self.pauses: list[tuple[int, int]] = []
        self._left_ports: set[int] = set()
        self._codecs: dict[int, dict[int, str]] = {}

    def now_ms(self) -> int:
        """Its own time."""
        return time.time_ns() // 1_000_000 - self.start_ms

    def note(self, label: str, port: int, audio: sdp.Audio) -> None:
        """What a party sends to that port; bounded, as parties may come and go for hours."""
        if port in self._codecs or len(self._codecs) < MAX_PARTIES:
            known = self._codecs.setdefault(port, {})
            known.update({codec.kind: codec.name for codec in (audio.codec, *audio.events)})
            if label == self.left:
                self._left_ports.add(port)

    def text(self) -> str:
        """For the node to write beside the capture."""
        return recording.describe(self.uid, self.start_ms, self.part, self._left_ports,
                                  self._codecs)


class Media:
    """The sessions of one process.

    async with Media(client, keys_port=…) as media: session = media.session("0.3f…")
    """

    def __init__(self, client: NgClient, *, keys_port: int = 0,
                 scratch: Path | None = None) -> None:
        self.client = client
        self.keys_port = keys_port
        self.scratch = scratch or Path(tempfile.gettempdir())
        self._sessions: dict[str, Session] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._transport: asyncio.DatagramTransport | None = None
        self._began_s: dict[Node, float] = {}
        self._missed: dict[Node, int] = {}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Keys(self), local_addr=("127.0.0.1", self.keys_port))
        self.keys_port = self._transport.get_extra_info("sockname")[1]
        self.background(self._watch())
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._transport:
            self._transport.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def session(self, call_id: str, *, node: Node | None = None, on_key: OnKey | None = None,
                on_gone: Callable[[], None] | None = None) -> "Session":
        """A new conversation on the node that has the fewest; NoMediaNode.

        on_key(party, digit, duration_ms) is called for each key that is let go of; on_gone() once
        when the node lost the call.
        """
        if call_id in self._sessions or len(self._sessions) >= MAX_SESSIONS:
            raise MediaRefused("too many sessions" if call_id not in self._sessions
                               else "the call has a session")
        made = Session(self, call_id, node or self.client.choose(), on_key, on_gone)
        self._sessions[call_id] = made
        return made

    def count(self) -> int:
        """The sessions that are open."""
        return len(self._sessions)

    def forget(self, session: "Session") -> None:
        """It is closed."""
        if self._sessions.get(session.call_id) is session:
            del self._sessions[session.call_id]

    def key(self, datagram: bytes) -> None:
        """A node reports a key."""
        pressed = keys.read(datagram)
        session = self._sessions.get(pressed.call_id) if pressed else None
        if pressed and session and session.on_key and session.has(pressed.party):
            session.on_key(pressed.party, pressed.digit, pressed.duration_ms)

    def background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run it to its end, whatever becomes of who asked for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def sweep(self, prefix: str) -> int:
        """End what an earlier life of this process left on the nodes: calls with that prefix that
        have no session. How many; their recordings are finished by it."""
        ended = 0
        for node in self.client.nodes:
            with contextlib.suppress(MediaError):
                for call_id in await self.client.calls(node):
                    if call_id.startswith(prefix) and call_id not in self._sessions:
                        await self.end(node, call_id)
                        ended += 1
        return ended

    async def end(self, node: Node, call_id: str, recorded: bool = True) -> None:
        """Delete a call, its recording finished before: rtpengine's own end of both at once has
        crashed. MediaTimeout."""
        named: Reply = {"call-id": call_id}
        if recorded:
            with contextlib.suppress(MediaRefused):
                await self.client.command(node, "stop recording", **named)
        await self.client.command(node, "delete", **named, **{"delete-delay": 0})

    async def _watch(self) -> None:
        """A node whose clock went backwards was restarted and has lost its calls; one that is
        silent is no use to them."""
        while True:
            for node in self.client.nodes:
                try:
                    reply = await self.client.command(node, "statistics")
                except MediaError:
                    self._missed[node] = self._missed.get(node, 0) + 1
                    # Slow is not gone: its calls are better off there than nowhere.
                    if self.silent(node) and any(
                            other is not node and other not in self._missed
                            for other in self.client.nodes):
                        self._give_up(node)
                    continue
                self._missed.pop(node, None)
                totals = reply.get("statistics", reply).get("totalstatistics", {})
                began_s = time.time() - int(totals.get("uptime", 0))
                if began_s - self._began_s.get(node, began_s) > RESTARTED_S:
                    for session in self._on(node):
                        self.background(session.check())
                self._began_s[node] = began_s
            await asyncio.sleep(WATCH_S)

    def silent(self, node: Node) -> bool:
        """Whether it has not answered the watch for several times."""
        return self._missed.get(node, 0) >= MISSES

    def _on(self, node: Node) -> "list[Session]":
        return [session for session in self._sessions.values() if session.node == node]

    def _give_up(self, node: Node) -> None:
        for session in self._on(node):
            session.lose()


class _Keys(asyncio.DatagramProtocol):
    def __init__(self, media: Media) -> None:
        self._media = media

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._media.key(data)


class Session:
    """One conversation. Everything raises MediaTimeout, MediaRefused, or MediaGone when the node
    lost the call, after which only close() is left to do."""

    def __init__(self, media: Media, call_id: str, node: Node, on_key: OnKey | None,
                 on_gone: Callable[[], None] | None) -> None:
        self.media = media
        self.call_id = call_id
        self.node = node
        self.on_key = on_key
        self.on_gone = on_gone
        self.gone = False
        self.closed = False
        self._parties: dict[str, Party] = {}
        self._recording: Recording | None = None
        self._lock = asyncio.Lock()

    # -- who is there -------------------------------------------------------------------------

    def has(self, party: str) -> bool:
        """Whether it is there."""
        return party in self._parties

    def others(self, party: str) -> str:
        """Who it talks with, "" = nobody."""
        found = self._parties.get(party)
        return found.other.label if found and found.other else ""

    async def admit(self, party: str, offer: str, order: Sequence[str] = ()) -> str:
        """Let in somebody who called: the description for our 200 or 183. MediaRefused when there
        is no audio that we know in the offer; `order`: codecs to prefer over its own order."""
        async with self._lock:
            audio = sdp.read(offer, order)
            here = self._parties.get(party) or self._add(party)
            try:
                return await self._readmit(here, audio, offer)
            except MediaError:
                if not here.port:
                    self._parties.pop(party, None)
                raise

    async def readmit(self, party: str, offer: str, order: Sequence[str] = ()) -> str:
        """Answer its re-INVITE: hold, resume, another codec or address; nobody else is told."""
        return await self.admit(party, offer, order)

    async def _readmit(self, here: Party, audio: sdp.Audio, offer: str) -> str:
        before, here.audio, here.sdp = here.audio, audio, offer
        if here.other and here.other.audio and not sdp.differ(audio, here.other.audio):
            made = await self._connect(here, here.other)
        else:
            made = await self._seat(here)
        if here.playing and before and (before.codec, before.listens) != (
                audio.codec, audio.listens):  # a player keeps the codec it began with
            with contextlib.suppress(MediaRefused):
                await self._do("stop media", {"from-tag": here.label})
            if here.music:
                await self._start(here, here.music, FOREVER)
        await self._listen_for_tones(here)
        await self._note()
        return sdp.answered(audio, made, here.origin())

    async def invite(self, party: str, other: str) -> str:
        """What to offer a new party that shall talk with `party` ("" = nobody yet). Any number of
        invitations may be open at once, and `party` may hear music meanwhile."""
        async with self._lock:
            asking = self._parties.get(party)
            new = self._parties.get(other) or self._add(other)
            try:
                return await self._invite(asking, new)
            except MediaError:
                if not new.port:
                    self._parties.pop(other, None)
                raise

    async def _invite(self, asking: Party | None, new: Party) -> str:
        menu = sdp.menu(asking.audio if asking else None)
        reply = await self._do("offer", {
            "from-tag": new.seat, "to-tag": new.label, "sdp": sdp.nobody(menu)}, _terms(""))
        return sdp.offered(self._kept(new, reply), new.origin())

    async def accept(self, other: str, answer: str) -> None:
        """Its answer, before it is connected: it can be played to and its keys are heard."""
        async with self._lock:
            here = self._there(other)
            here.audio, here.sdp = sdp.read(answer), answer
            await self._seat(here)
            await self._listen_for_tones(here)
            await self._note()

    async def join(self, party: str, other: str, answer: str) -> str | None:
        """Connect them with the answer in other's 183 or 200; what was played to them ends.

        None, or when both named the same codec by different numbers, which rtpengine does not
        translate: the offer for a re-INVITE to `party`, whose answer is for
        join(other, party, answer). That cannot be with somebody who was invited for `party`.
        """
        async with self._lock:
            asking, here = self._there(party), self._there(other)
            if answer and answer != here.sdp:
                here.audio, here.sdp = sdp.read(answer), answer
            elif asking.other is here:
                return None
            return await self._join(asking, here)

    async def connect(self, party: str, other: str) -> str | None:
        """Connect two that are both there already."""
        async with self._lock:
            return await self._join(self._there(party), self._there(other))

    async def _join(self, asking: Party, here: Party) -> str | None:
        if asking.audio is None or here.audio is None:
            raise MediaRefused("a party has no description yet")
        for one in (asking, here):
            await self._silence(one)
            if one.other and one.other not in (asking, here):
                await self._part(one)
            await self._unmute(one)
        if sdp.differ(asking.audio, here.audio):
            if not here.seated:
                await self._seat(here)
            return await self._invite(here, asking)
        await self._connect(asking, here)
        asking.other, here.other = here, asking
        await self._listen_for_tones(here)
        await self._note()
        return None

    async def separate(self, party: str) -> None:
        """Part it from whom it talks with: both stay, can be played to, and do not hear each
        other. connect() brings them together again."""
        async with self._lock:
            await self._part(self._there(party))

    hold_media = separate

    async def release(self, party: str, other: str) -> None:
        """The end of hold_media()."""
        await self.connect(party, other)

    async def drop(self, party: str) -> None:
        """It left, or its branch was not taken; the rest stays. Unknown ones are ignored."""
        async with self._lock:
            here = self._parties.get(party)
            if here is None:
                return
            self._halt(here)
            staying, here.other = here.other, None
            del self._parties[party]
            if staying:
                staying.other = None
                self._halt(staying)
                await self._unmute(staying)
                await self._seat(staying)
            await self._do("delete", {"from-tag": here.label, "delete-delay": 0})

    async def listen(self, party: str, listener: str) -> str:
        """What to offer somebody who shall hear what `party` says, and nothing else: rtpengine
        mixes nothing, so that both sides need two listeners and a mixer."""
        async with self._lock:
            here = self._there(party)
            reply = await self._do("subscribe request", {
                "from-tag": here.label, "to-tag": _ear(listener),
                "codec": {"transcode": ["PCMA", "PCMU", "G722", "opus"]}}, _terms(""))
            return sdp.offered(str(reply["sdp"]), f"{secrets.randbits(31)} 1")

    async def listening(self, listener: str, answer: str) -> None:
        """The listener's answer."""
        async with self._lock:
            await self._do("subscribe answer", {
                "to-tag": _ear(listener), "sdp": sdp.narrowed(sdp.read(answer))}, _terms(answer))

    async def unlisten(self, listener: str) -> None:
        """It has heard enough."""
        async with self._lock:
            await self._do("unsubscribe", {"to-tag": _ear(listener)})
            await self._do("delete", {"from-tag": _ear(listener), "delete-delay": 0})

    # -- rtpengine ----------------------------------------------------------------------------

    def _add(self, label: str) -> Party:
        if not label or "~" in label or len(self._parties) >= MAX_PARTIES:
            raise MediaRefused("too many parties" if label else "a party needs a label")
        self._usable()
        made = Party(label)
        self._parties[label] = made
        return made

    def _there(self, label: str) -> Party:
        self._usable()
        if label not in self._parties:
            raise MediaRefused(f"there is no party {label}")
        return self._parties[label]

    def _usable(self) -> None:
        if self.closed or self.gone:
            raise MediaGone("the session is closed" if self.closed else "the node lost the call")

    async def _seat(self, here: Party) -> str:
        """Beside its empty seat: it is parted from all others. rtpengine's answer for it."""
        if here.audio is None:
            return ""
        if here.linked:  # what it was sent by another does not end with the new dialogue alone
            await self._do("unsubscribe", {"to-tag": here.label})
            here.linked = False
        empty = sdp.nobody((here.audio.codec, *here.audio.events), direction="sendonly")
        named = {"from-tag": here.label, "to-tag": here.seat}
        await self._do("offer", named | {"sdp": sdp.narrowed(here.audio)}, _terms(here.sdp))
        return self._kept(here, await self._do("answer", named | {"sdp": empty}, _terms("")))

    async def _connect(self, one: Party, two: Party) -> str:
        """Media both ways, transcoded where they differ; while either is on hold each has its
        empty seat, so that the other can be played to. rtpengine's answer for `one`."""
        if one.audio is None or two.audio is None:
            raise MediaRefused("a party has no description yet")
        if not (one.audio.listens and two.audio.listens):
            if two.linked or not two.seated:
                await self._seat(two)
            return await self._seat(one)
        named = {"from-tag": one.label, "to-tag": two.label}
        first, second = sdp.matched(one.audio, two.audio)
        codecs = [second.codec.rtpmap_name, "telephone-event"]
        one.linked = two.linked = True
        await self._do("offer", named | {"sdp": sdp.narrowed(first),
                                         "codec": {"transcode": codecs}}, _terms(one.sdp))
        return self._kept(one, await self._do("answer", named | {"sdp": sdp.narrowed(second)},
                                              _terms(two.sdp)))

    def _kept(self, here: Party, reply: Reply) -> str:
        """An offer on a call that the node has lost makes a new one, with other ports."""
        made = str(reply["sdp"])
        port = sdp.local_port(made)
        if here.port not in (0, port):
            self.lose()
            raise MediaGone("the node has lost the call")
        here.port = port
        here.seated = True
        return made

    async def _part(self, here: Party) -> None:
        other, here.other = here.other, None
        for one in (here, other):
            if one:
                one.other = None
                await self._unmute(one)
                await self._seat(one)

    async def _listen_for_tones(self, here: Party) -> None:
        """Somebody who sends no events (RFC 4733) may send tones: rtpengine has to decode what
        that party says and look for them, so it is asked to only then."""
        if here.audio and not here.audio.events:
            await self._do("unblock DTMF", {"from-tag": here.label, "delay-buffer": 0,
                                            "flags": ["detect-DTMF"]})

    async def _mute(self, here: Party) -> None:
        if not here.muted:
            await self._do("block media", {"from-tag": here.label})
            here.muted = True

    async def _unmute(self, here: Party) -> None:
        if here.muted:
            here.muted = False
            await self._do("unblock media", {"from-tag": here.label})

    async def _do(self, command: str, arguments: Reply, more: Reply | None = None) -> Reply:
        """A command on this call; a lost call is MediaGone from then on."""
        self._usable()
        named: Reply = {"call-id": self.call_id, **arguments, **(more or {})}
        try:
            return await self.media.client.command(self.node, command, **named)
        except MediaRefused as error:
            if any(text in error.reason.lower() for text in _UNKNOWN):
                self.lose()
                raise MediaGone(error.reason) from error
            raise

    def lose(self) -> None:
        """The node lost the call."""
        if not self.gone and not self.closed:
            self.gone = True
            for here in self._parties.values():
                self._halt(here)
            if self.on_gone:
                self.on_gone()

    async def check(self) -> None:
        """Ask the node whether it still has the call."""
        with contextlib.suppress(MediaError):
            if self._parties and not self.gone and not self.closed:
                await self._do("query", {})

    # -- playing ------------------------------------------------------------------------------

    async def play(self, party: str, files: Sequence[Path], repeat: int = 1,
                   from_ms: int = 0) -> None:
        """Play the files one after the other to that party alone; returns when they are over, or
        when something else is played to it or stop() is called. Cancelled, it is silent at once.

        Whom it talks with is not heard meanwhile, but hears it. from_ms: where the first begins.
        """
        async with self._turn(party) as (here, over):
            for _ in range(repeat):
                for file in files:
                    if over.is_set() or not await self._play_one(here, over, file, from_ms):
                        return
                    from_ms = 0

    async def music(self, party: str, file: Path) -> None:
        """Play the file over and over until stop() or another; returns when it has begun."""
        async with self._lock:
            here = self._there(party)
            self._halt(here)
            await self._cover(here)
            here.playing, here.music = asyncio.Event(), file
            try:
                await self._start(here, file, FOREVER)
            except MediaError:
                self._halt(here)
                if here.other and not self.gone:
                    await self._unmute(here.other)
                raise

    async def stop(self, party: str) -> None:
        """Silence at once."""
        async with self._lock:
            await self._silence(self._there(party))

    @contextlib.asynccontextmanager
    async def _turn(self, party: str) -> AsyncIterator[tuple[Party, asyncio.Event]]:
        async with self._lock:
            here = self._there(party)
            self._halt(here)
            over = here.playing = asyncio.Event()
            await self._cover(here)
        try:
            yield here, over
        finally:
            if here.playing is over:
                here.playing = None
                if not self.gone and not self.closed and self.has(party):
                    self.media.background(self._uncover(here))
        self._usable()

    async def _play_one(self, here: Party, over: asyncio.Event, file: Path, from_ms: int) -> bool:
        """Whether it was played to its end."""
        async with self._lock:
            if over.is_set():
                return False
            if from_ms:
                with self._cut(file, from_ms) as rest:
                    length_ms = await self._start(here, rest, 1)
            else:
                length_ms = await self._start(here, file, 1)
        try:  # from the node's answer on: a busy one begins late
            await asyncio.wait_for(over.wait(), length_ms / 1000 + TAIL_S)
        except TimeoutError:
            return True
        return False

    async def _start(self, here: Party, file: Path, times: int) -> int:
        """Its duration, ms. A party on hold is sent nothing, but its time passes."""
        if here.audio and not here.audio.listens:
            return _length_ms(file)
        reply = await self._do("play media", {"from-tag": here.label, "file": str(file),
                                              "repeat-times": times})
        return int(reply.get("duration", 0)) or _length_ms(file)

    @contextlib.contextmanager
    def _cut(self, file: Path, from_ms: int) -> Any:
        """The rest of a file; it may be unlinked once rtpengine has opened it."""
        with soundfile.SoundFile(file) as whole:
            whole.seek(min(from_ms * whole.samplerate // 1000, len(whole) - 1))
            samples, rate = whole.read(dtype="int16"), whole.samplerate
        with tempfile.NamedTemporaryFile(dir=self.media.scratch, suffix=".caf") as rest:
            soundfile.write(rest.name, samples, rate, subtype="PCM_16", **CAF)
            Path(rest.name).chmod(0o644)
            yield Path(rest.name)

    async def _cover(self, here: Party) -> None:
        """Two streams to one telephone would be heard in pieces: the other one is blocked."""
        if here.other:
            await self._mute(here.other)

    async def _uncover(self, here: Party) -> None:
        with contextlib.suppress(MediaError):
            async with self._lock:
                if here.playing is None and self._parties.get(here.label) is here:
                    await self._quiet(here)

    def _halt(self, here: Party) -> None:
        """Whoever waits in play() returns."""
        if here.playing:
            here.playing.set()
            here.playing = here.music = None

    async def _silence(self, here: Party) -> None:
        if here.playing:
            self._halt(here)
            await self._quiet(here)

    async def _quiet(self, here: Party) -> None:
        with contextlib.suppress(MediaRefused):  # nothing was playing any more
            await self._do("stop media", {"from-tag": here.label})
        if here.other:
            await self._unmute(here.other)

    # -- recording ----------------------------------------------------------------------------

    async def record_start(self, uid: str, left: str = "") -> None:
        """Capture what every party says from now on; `left`: whose channel is the left one, by
        default the first's. uid: 28 hexadecimal digits, by which the collector finds it."""
        async with self._lock:
            self._usable()
            if self._recording:
                raise MediaRefused("the call is being recorded")
            self._recording = Recording(uid, left or next(iter(self._parties), ""))
            try:
                await self._record()
            except MediaError:
                self._recording = None
                raise

    async def record_pause(self) -> None:
        """Stop the capture itself: what is said now reaches no disk."""
        async with self._lock:
            if self._recording and self._recording.running:
                await self._record_end()
                self._recording.paused_ms = self._recording.now_ms()

    async def record_resume(self) -> None:
        """A further part of the same recording."""
        async with self._lock:
            found = self._recording
            if found and not found.running:
                found.pauses.append((found.paused_ms, found.now_ms()))
                found.part += 1
                await self._record()

    async def record_stop(self) -> list[tuple[int, int]]:
        """The pauses: (from, to) in ms of the recording's own time, at which the file is silent."""
        async with self._lock:
            found = self._recording
            if found is None:
                return []
            if found.running:
                await self._record_end()
            else:
                found.pauses.append((found.paused_ms, found.now_ms()))
            self._recording = None
            return found.pauses

    async def _record(self) -> None:
        """Start, or tell the node of ports and codecs that have come since."""
        found = self._recording
        if found is None:
            return
        for here in self._parties.values():
            if here.audio and here.port:
                found.note(here.label, here.port, here.audio)
        text = found.text()
        if found.running and text == found.told:
            return
        await self._do("start recording", {"metadata": text})
        found.running, found.told = True, text

    async def _note(self) -> None:
        if self._recording and self._recording.running:
            await self._record()

    async def _record_end(self) -> None:
        await self._do("stop recording", {})
        if self._recording:
            self._recording.running = False

    # -- the end ------------------------------------------------------------------------------

    async def close(self) -> None:
        """The end of it, whatever state it is in; never raises."""
        if self.closed:
            return
        for here in self._parties.values():
            self._halt(here)
        self.closed = True
        self.media.forget(self)
        with contextlib.suppress(TimeoutError):  # an offer overtaken by the delete would stay
            async with asyncio.timeout(CLOSE_S), self._lock:
                self._parties.clear()
        with contextlib.suppress(MediaError):
            await self.media.end(self.node, self.call_id, self._recording is not None)


def _terms(description: str) -> Reply:
    """What goes with every description that a node is given; it forgets them with the next one.

    Without port-latching a party's own port would change with whom it talks with. A party's media
    come from where its description says, and nowhere else; one behind a translator of addresses
    says its address only, and the port is learned (the edge marks it).
    """
    learning = "heuristic" if _BEHIND_NAT in description else "off"
    return {"ICE": "remove", "transport-protocol": "RTP/AVP",
            "flags": ["port-latching", "allow-transcoding", "strict-source",
                      f"endpoint-learning-{learning}"]}


def _ear(listener: str) -> str:
    """The tag of somebody who only listens: no party has such a one."""
    return listener + "~ear"


def _length_ms(file: Path) -> int:
    with soundfile.SoundFile(file) as opened:
        return int(len(opened) * 1000 // opened.samplerate)
