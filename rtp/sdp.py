"""Session descriptions (RFC 8866) as far as a media server needs them: one audio stream of a party.

Everything that is not the chosen audio stream is answered with port 0, as RFC 3264 section 6 asks.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from rtp.errors import MediaRefused

#: What can be carried and transcoded, with the clock in Hz as in rtpmap.
CODECS: Final = {"PCMA": 8000, "PCMU": 8000, "G722": 8000, "OPUS": 48000}
EVENTS: Final = "TELEPHONE-EVENT"
#: Payload types that need no rtpmap (RFC 3551 section 6).
STATIC: Final = {0: "PCMU", 8: "PCMA", 9: "G722"}
_STATIC_TYPES: Final = {name: kind for kind, name in STATIC.items()}
#: Payload types that we give when the other side has not named one.
OPUS_TYPE: Final = 96
EVENTS_TYPE: Final = 101
#: A description longer than this is no telephone's.
MAX_BYTES: Final = 32_000
MAX_STREAMS: Final = 16
#: Without encryption: who needs that is met at the edge.
PROTOCOLS: Final = ("RTP/AVP", "RTP/AVPF")
DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
#: The discard service: what is sent to nobody goes there.
NOWHERE_PORT: Final = 9
#: Attributes that are about rtpengine's own end of a stream.
_KEPT: Final = re.compile(r"a=(rtpmap|fmtp|ptime|maxptime|rtcp|rtcp-mux|crypto|setup|fingerprint|"
                          r"ice-ufrag|ice-pwd|ice-options|candidate|end-of-candidates)(:|$)")


class Codec(NamedTuple):
    """A format of a stream. clock: Hz; fmtp: its parameters, "" = none."""

    kind: int
    name: str
    clock: int
    fmtp: str = ""

    @property
    def rtpmap_name(self) -> str:
        """As it is written."""
        return {"OPUS": "opus", EVENTS: "telephone-event"}.get(self.name, self.name)

    def lines(self) -> list[str]:
        """Its attributes."""
        channels = "/2" if self.name == "OPUS" else ""
        made = [f"a=rtpmap:{self.kind} {self.rtpmap_name}/{self.clock}{channels}"]
        return made + ([f"a=fmtp:{self.kind} {self.fmtp}"] if self.fmtp else [])


class Audio(NamedTuple):
    """A party's audio: what it may be sent (codec, events) and whether it listens and speaks.

    streams: its m= lines, which: which of them is the audio; head: the session's lines; rest: the
    audio's other attributes (crypto, candidates, rtcp); offered: all the codecs it named.
    """

    head: tuple[str, ...]
    streams: tuple[str, ...]
    which: int
    rest: tuple[str, ...]
    codec: Codec
    events: tuple[Codec, ...]
    offered: tuple[Codec, ...]
    direction: str

    @property
    def listens(self) -> bool:
        """It wants to be sent audio."""
        return self.direction in ("sendrecv", "recvonly")

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.streams[self.which].split()[1].partition("/")[0])


def read(sdp: str, order: Sequence[str] = ()) -> Audio:
    """The party's audio with one codec chosen: the first of `order` that it has, else the first of
    its own that we have. MediaRefused when there is none."""
    if len(sdp) > MAX_BYTES:
        raise MediaRefused("the description is too long")
    sections: list[list[str]] = [[]]
    for line in sdp.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        line = line.rstrip()
        if len(line) < 3 or line[1] != "=":
            continue
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    head, streams = sections[0], sections[1:]
    if not head or not head[0].startswith("v=") or not 0 < len(streams) <= MAX_STREAMS:
        raise MediaRefused("no session description")
    for index, stream in enumerate(streams):
        words = stream[0].split()
        if words[0] == "m=audio" and len(words) > 2 and words[2] not in PROTOCOLS:
            raise MediaRefused(f"audio over {words[2]}")
        port = words[1].partition("/")[0] if len(words) > 1 else ""
        if words[0] == "m=audio" and len(words) > 3 and port.isdecimal() and len(port) <= 5 \
                and 0 < int(port) < 65536:
            return _audio(head, [part[0] for part in streams], index, stream, order)
    raise MediaRefused("no audio")


def _audio(head: list[str], streams: list[str], index: int, lines: list[str],
           order: Sequence[str]) -> Audio:
    if not any(line.startswith("c=IN ") for line in head + lines):
        raise MediaRefused("no address")
    maps = {int(match[1]): (match[2].upper(), int(match[3])) for line in lines
            if (match := re.match(r"a=rtpmap:(\d{1,3}) ([A-Za-z0-9._-]+)/(\d{1,6})", line))}
    parameters = {int(match[1]): match[2] for line in lines
                  if (match := re.match(r"a=fmtp:(\d{1,3}) (.+)", line))}
    codecs, events = [], []
    # One that is named twice counts once: each brings its parameters, which may be long.
    for kind in dict.fromkeys(int(word) for word in lines[0].split()[3:]
                              if word.isdecimal() and len(word) <= 3):
        if kind > 127:
            continue
        name, clock = maps.get(kind, (STATIC.get(kind, ""), 8000))
        codec = Codec(kind, name, clock, parameters.get(kind, ""))
        if name == EVENTS:
            events.append(codec)
        elif CODECS.get(name) == clock:
            codecs.append(codec)
    if not codecs:
        raise MediaRefused("no codec in common")
    chosen = next((codec for name in order for codec in codecs if codec.name == name), codecs[0])
    direction = next((line[2:] for line in lines + head if line[2:] in DIRECTIONS
                      and line.startswith("a=")), "sendrecv")
    address = [line for line in lines if line.startswith("c=")] or [
        line for line in head if line.startswith("c=")]
    if re.fullmatch(r"c=IN (IP4 0\.0\.0\.0|IP6 ::)", address[0]):  # hold as in RFC 2543
        direction = "sendonly" if direction in ("sendrecv", "sendonly") else "inactive"
        head, lines = ([line.replace("0.0.0.0", "127.0.0.1") for line in part]  # noqa: S104
                       for part in (head, lines))
        streams[index] = re.sub(r" \d+", f" {NOWHERE_PORT}", streams[index], count=1)
    rest = tuple(line for line in lines[1:]
                 if not re.match(r"a=(rtpmap|fmtp|rtcp-fb):", line) and line[2:] not in DIRECTIONS)
    same_clock = [event for event in events if event.clock == chosen.clock]
    others = [event for event in events if event.clock != chosen.clock]
    head = [line for line in head if line[2:] not in DIRECTIONS]
    return Audio(tuple(head), tuple(streams), index, rest, chosen, tuple(same_clock + others),
                 tuple(codecs), direction)


def narrowed(audio: Audio) -> str:
    """The party's audio alone, with the chosen codec alone; holding is not the node's business."""
    words = audio.streams[audio.which].split()
    formats = (audio.codec, *audio.events)
    lines = [*audio.head, " ".join([*words[:3], *(str(codec.kind) for codec in formats)]),
             *audio.rest, *(line for codec in formats for line in codec.lines()),
             "a=sendrecv"]
    return "\r\n".join(lines) + "\r\n"


def nobody(codecs: Sequence[Codec], address: str = "127.0.0.1",
           direction: str = "sendrecv") -> str:
    """The description of a side that has no telephone yet."""
    family = "IP6" if ":" in address else "IP4"
    kinds = " ".join(str(codec.kind) for codec in codecs)
    lines = ["v=0", f"o=- 1 1 IN {family} {address}", "s=-", f"c=IN {family} {address}", "t=0 0",
             f"m=audio {NOWHERE_PORT} RTP/AVP {kinds}",
             *(line for codec in codecs for line in codec.lines()), f"a={direction}"]
    return "\r\n".join(lines) + "\r\n"


def menu(audio: Audio | None) -> list[Codec]:
    """What a new party is offered: the codec of the one it shall talk to first, with that one's
    payload types, then everything else that we can transcode."""
    chosen = [audio.codec] if audio else []
    taken = {codec.name for codec in chosen}
    dynamic = {codec.kind for codec in chosen}
    events = [event for event in (audio.events if audio else ()) if event.clock == 8000][:1]
    dynamic |= {event.kind for event in events}
    for codec in audio.offered if audio else ():
        if codec.name not in taken and codec.kind not in dynamic:
            chosen.append(codec)
            taken.add(codec.name)
            dynamic.add(codec.kind)
    for name, clock in CODECS.items():
        if name not in taken:
            kind = _STATIC_TYPES.get(name) if name in _STATIC_TYPES else _free(dynamic, OPUS_TYPE)
            chosen.append(Codec(kind or 0, name, clock))
            dynamic.add(kind or 0)
    return chosen + (events or [Codec(_free(dynamic, EVENTS_TYPE), EVENTS, 8000, "0-16")])


def _free(taken: set[int], wanted: int) -> int:
    free: int = next(kind for kind in (wanted, *range(96, 128)) if kind not in taken)
    return free


def matched(one: Audio, two: Audio) -> tuple[Audio, Audio]:
    """The two as rtpengine has to see them. Events of one who meets somebody without any are
    otherwise neither passed on nor reported; the other one ignores what it did not ask for."""
    if not one.events:
        one = one._replace(events=two.events)
    if not two.events:
        two = two._replace(events=one.events)
    return one, two


def differ(one: Audio, two: Audio) -> bool:
    """Whether they name the same by different numbers, or different things by the same."""
    one, two = matched(one, two)
    if one.codec.name == two.codec.name and one.codec.kind != two.codec.kind:
        return True
    if one.events and not {event.kind for event in one.events} & {
            event.kind for event in two.events}:
        return True
    names = {codec.kind: codec.name for codec in (one.codec, *one.events)}
    return any(names.get(codec.kind, codec.name) != codec.name
               for codec in (two.codec, *two.events))


MIRROR: Final = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly",
                 "inactive": "inactive"}


def answered(audio: Audio, sdp: str, origin: str) -> str:
    """Our answer to the whole of what the party offered, from rtpengine's for its audio."""
    head, body = ours(sdp, origin)
    body = [line for line in body if line[2:] not in DIRECTIONS]
    lines = head
    for index, stream in enumerate(audio.streams):
        words = stream.split()
        lines = lines + ([*body, f"a={MIRROR[audio.direction]}"] if index == audio.which else
                         [" ".join([words[0], "0", *words[2:]])])
    return "\r\n".join(lines) + "\r\n"


def offered(sdp: str, origin: str) -> str:
    """rtpengine's offer as ours."""
    head, body = ours(sdp, origin)
    return "\r\n".join(head + body) + "\r\n"


def ours(sdp: str, origin: str) -> tuple[list[str], list[str]]:
    """(session lines, the first stream's lines) of what rtpengine made, without what it passed on
    from the other side: nobody learns what telephone another has. origin: "<id> <version>"."""
    lines = sdp.replace("\r", "").split("\n")
    address = next((line for line in lines if line.startswith("c=IN ")), "c=IN IP4 0.0.0.0")
    kept = [line for line in lines if line.startswith(("m=audio ", "a=")) and (
        line.startswith("m=") or line[2:] in DIRECTIONS or _KEPT.match(line))]
    return ["v=0", f"o=vaxel {origin} {address[2:]}", "s=-", address, "t=0 0"], kept


def local_port(sdp: str) -> int:
    """The port in a description that rtpengine made; 0 = none."""
    match = re.search(r"^m=audio (\d{1,5}) ", sdp, re.MULTILINE)
    return int(match[1]) if match else 0
