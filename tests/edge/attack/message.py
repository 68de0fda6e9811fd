"""A message of an attack and what may come back for it."""

from typing import Final, Literal

import msgspec

#: "valid" is well-formed, "invalid" is not, "unusual" is either by how it is read.
Kind = Literal["valid", "invalid", "unusual"]

DISCARDED: Final = "a response to no request of ours is discarded (RFC 3261 18.1.2)"
UNFRAMED: Final = "where the message ends is unknown (RFC 4475 3.1.2.3)"


class Answers(msgspec.Struct, frozen=True):
    """What may come back over one transport."""

    codes: frozenset[int]
    #: Why no answer is right too; "" when one has to come.
    silence: str = ""
    #: How many requests the bytes hold, and so how many answers may come.
    most: int = 1
    #: Whether the connection has to be closed.
    ends: bool = False

    def __str__(self) -> str:
        words = [str(code) for code in sorted(self.codes)]
        return (" or ".join([*words, "nothing"] if self.silence else words)
                + (", closed" if self.ends else ""))


class Case(msgspec.Struct, frozen=True):
    """One message. {host}:{port} in it is the sender, {edge} the exchange, {transport} UDP or TCP:
    filled in when it is sent, so that an answer comes back to the sender."""

    name: str
    section: str
    kind: Kind
    raw: bytes
    udp: Answers
    tcp: Answers
    #: What the answer's text must match besides.
    holds: str = ""

    def filled(self, host: str, port: int, edge: str, transport: str) -> bytes:
        """The bytes to send."""
        words = {"host": host, "port": str(port), "edge": edge, "transport": transport}
        raw = self.raw
        for word, value in words.items():
            raw = raw.replace(b"{%s}" % word.encode(), value.encode())
        return raw


def of(*codes: int, silence: str = "", most: int = 1, ends: bool = False) -> Answers:
    """The acceptable answers."""
    return Answers(frozenset(codes), silence, most, ends)


#: On a stream that has lost its frame: what follows must not be read as a message.
LOST: Final = of(400, silence=UNFRAMED, ends=True)


def case(name: str, section: str, kind: Kind, udp: Answers, text: str, body: bytes = b"", *,
         tcp: Answers | None = None, holds: str = "") -> Case:
    """A message written as text that begins on the line after the quotes; a line end is CRLF."""
    raw = text.removeprefix("\n").replace("\n", "\r\n").encode() + body
    return Case(name, section, kind, raw, udp, tcp or udp, holds)


def sdp(address: str, time: str = "0", *, media: str = "", video: str = "m=video") -> bytes:
    """The body that RFC 4475 uses nearly everywhere; media: the address in "c=", if another."""
    lines = ("v=0", f"o=mhandley 29739 7272939 IN IP4 {address}", "s=-",
             f"c=IN IP4 {media or address}", f"t={time} 0", "m=audio 49217 RTP/AVP 0 12",
             f"{video} 3227 RTP/AVP 31", "a=rtpmap:31 LPC", "")
    return "\r\n".join(lines).encode()
