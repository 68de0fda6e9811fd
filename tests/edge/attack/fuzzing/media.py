"""Packets that are no sound, for the ports where calls have theirs."""

import random
import struct
from typing import Final

STUN_COOKIE: Final = 0x2112A442


def packet(rng: random.Random) -> bytes:
    """RTP, RTCP, STUN, DTLS, nearly so, or noise."""
    return rng.choice((rtp, rtp, rtp, event, rtcp, rtcp, stun, stun, dtls, noise))(rng)


def rtp(rng: random.Random) -> bytes:
    """A packet of sound; some with extensions, sources and padding that do not fit."""
    first = rng.choice((0x80, 0x80, 0x80, 0x90, 0xA0, 0x8F, 0xBF, 0x00, 0x40, 0xFF))
    head = struct.pack(">BBHII", first, rng.randrange(256), rng.randrange(1 << 16),
                       rng.randrange(1 << 32), rng.choice((0, 1, rng.randrange(1 << 32))))
    more = struct.pack(">HH", rng.choice((0xBEDE, 0x1000, 0)), rng.choice((0, 1, 100, 65535))) \
        if first & 0x10 else b""
    size = rng.choice((0, 1, 20, 160, 160, 160, 320, 1400, 8000))
    return changed(rng, head + more + rng.randbytes(size))


def event(rng: random.Random) -> bytes:
    """A key (RFC 4733), or no key at all."""
    head = struct.pack(">BBHII", 0x80, 101 | rng.choice((0, 128)), rng.randrange(1 << 16),
                       rng.randrange(1 << 32), rng.randrange(1 << 32))
    return changed(rng, head + struct.pack(">BBH", rng.choice((0, 1, 11, 16, 255)),
                                           rng.randrange(256), rng.randrange(1 << 16)))


def rtcp(rng: random.Random) -> bytes:
    """A compound with counts and lengths that are off."""
    made = b""
    for _ in range(rng.choice((1, 1, 2, 5, 40))):
        count, kind = rng.choice((0, 1, 31)), rng.choice((200, 201, 202, 203, 204, 205, 206, 207))
        body = rng.randbytes(rng.choice((0, 4, 24, 24, 48, 200)))
        length = rng.choice((len(body) // 4, len(body) // 4, 0, 65535, 6))
        made += struct.pack(">BBH", 0x80 | count, kind, length) + body
    return changed(rng, made)


def stun(rng: random.Random) -> bytes:
    """A binding request with attributes that may lie about their length."""
    attributes = b""
    for _ in range(rng.choice((0, 1, 2, 6))):
        value = rng.randbytes(rng.choice((0, 4, 8, 20, 200)))
        kind = rng.choice((0x0006, 0x0008, 0x0020, 0x0024, 0x0025, 0x8028, 0x8029, 0xFFFF))
        size = rng.choice((len(value), len(value), 0, 65535))
        attributes += struct.pack(">HH", kind, size) + value
    head = struct.pack(">HHI", rng.choice((1, 0x0101, 0x0111, 0x3FFF)),
                       rng.choice((len(attributes), len(attributes), 0, 65535)), STUN_COOKIE)
    return changed(rng, head + rng.randbytes(12) + attributes)


def dtls(rng: random.Random) -> bytes:
    """The beginning of a handshake."""
    body = rng.randbytes(rng.choice((0, 12, 60, 600)))
    return changed(rng, struct.pack(">BHHIHH", rng.choice((20, 21, 22, 23)), 0xFEFD, 0, 0,
                                    rng.randrange(1 << 16), len(body)) + body)


def noise(rng: random.Random) -> bytes:
    """Any bytes."""
    return rng.randbytes(rng.choice((0, 1, 2, 11, 12, 13, 100, 1500, 9000)))


def changed(rng: random.Random, raw: bytes) -> bytes:
    """As it is, cut, or with bits flipped."""
    choice = rng.randrange(4)
    if choice == 0 and raw:
        return raw[:rng.randrange(len(raw))]
    if choice == 1 and raw:
        made = bytearray(raw)
        for _ in range(rng.choice((1, 3, 10))):
            made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
        return bytes(made)
    return raw
