"""Digest authentication (RFC 7616, RFC 8760): SHA-512/256, SHA-256 and MD5, no database.

The nonce carries its time and a keyed hash of time and source address, so that any worker, before
or after a restart, can tell its own. How often it was used stands in memory that all workers share
(`Live.use_once`): a count that does not rise is a copy of somebody's message.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from routing_core.codes import Use

#: Preferred first (RFC 8760 section 2.4).
ALGORITHMS: Final[dict[str, Callable[[bytes], "hashlib._Hash"]]] = {
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data),
    "SHA-256": hashlib.sha256,
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False),
}
#: What phones are offered: none is known that can do SHA-512/256 and not SHA-256.
OFFERED: Final = ("SHA-256", "MD5")
#: How long a nonce is good; for a call, which costs money, not longer than dialling takes.
NONCE_LIFETIME_S: Final = 300
CALL_NONCE_LIFETIME_S: Final = 30
MAX_HEADER: Final = 1024
#: Characters of a nonce: time, chance, keyed hash.
STAMP, CHANCE, MARK = 8, 16, 32
_SPACE: Final = " \t\r\n"
_TOKEN: Final = frozenset("!#$%&'*+-.^_`|~0123456789"
                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_HEX: Final = frozenset("0123456789abcdefABCDEF")

OK: Final = "ok"
STALE: Final = "stale"
WRONG: Final = "wrong"
REPEATED: Final = "repeated"


def _bytes(text: str) -> bytes:
    # What was no UTF-8 on the wire must not raise; it is no right answer either.
    return text.encode("utf-8", "replace")


def _mark(key: bytes, text: str, source: str) -> str:
    return hmac.new(key, _bytes(f"{text}|{source}"), hashlib.sha256).hexdigest()[:MARK]


def new_nonce(key: bytes, now: int, source: str, chance: int) -> str:
    """A nonce for that source address at now (Unix seconds). chance: 64 random bits."""
    text = f"{now:08x}{chance:016x}"
    return text + _mark(key, text, source)


def challenges(realm: str, nonce: str, stale: bool,
               offered: tuple[str, ...] = OFFERED) -> list[str]:
    """The values of the challenge headers, in the order of the algorithms offered."""
    more = ", stale=true" if stale else ""
    return [f'Digest realm="{realm}", nonce="{nonce}", algorithm={name}, qop="auth"{more}'
            for name in offered]


def parse(header: str) -> dict[str, str]:
    """The parameters of a Digest credential, names in lower case; {} when it is none, is longer
    than MAX_HEADER, is malformed, or names a parameter twice. One pass over the text."""
    if len(header) > MAX_HEADER:
        return {}
    scheme, _, text = header.strip().partition(" ")
    if scheme.lower() != "digest":
        return {}
    fields: dict[str, str] = {}
    at, end = 0, len(text)
    while True:
        at = _after(text, at, _SPACE + ",")
        if at == end:
            return fields
        begin = at
        at = _after(text, at, _TOKEN)
        name = text[begin:at].lower()
        at = _after(text, at, _SPACE)
        if not name or name in fields or at == end or text[at] != "=":
            return {}
        at = _after(text, at + 1, _SPACE)
        if at < end and text[at] == '"':
            quoted = []
            at += 1
            while at < end and text[at] != '"':
                if text[at] == "\\":
                    at += 1
                quoted.append(text[at:at + 1])
                at += 1
            if at >= end:
                return {}
            at += 1
            fields[name] = "".join(quoted)
        else:
            begin = at
            while at < end and text[at] not in ' \t\r\n,"':
                at += 1
            fields[name] = text[begin:at]
        at = _after(text, at, _SPACE)
        if at < end and text[at] != ",":
            return {}


def _after(text: str, at: int, kind: str | frozenset[str]) -> int:
    """Where the characters of that kind end that begin at `at`."""
    while at < len(text) and text[at] in kind:
        at += 1
    return at


def same_target(uri: str, requested: str) -> bool:
    """Whether the credential's uri is the request's (RFC 7616 section 3.4.6): to the letter, or
    with other parameters, in whatever case scheme and host stand."""
    return uri != "" and (uri == requested or _essence(uri) == _essence(requested))


def _essence(uri: str) -> tuple[str, str, str]:
    scheme, _, rest = uri.partition(":")
    user, at, host = rest.rpartition("@")
    for end in ";?":
        host = host.partition(end)[0]
    return scheme.lower(), user + at, host.lower()


def check(fields: dict[str, str], *, key: bytes, realm: str, password: str, method: str,
          uri: str, now: int, source: str, use: Callable[[int, int, int, int, int, int], int],
          fingerprint: int = 0, lifetime_s: int = NONCE_LIFETIME_S,
          allowed: tuple[str, ...] = tuple(ALGORITHMS)) -> str:
    """OK, STALE (the nonce is too old, was used, or is another address's: challenge again),
    REPEATED (the very message that was let in has come once more) or WRONG.

    uri: the request's; use: Live.use_once; fingerprint: 32 bits of what makes the message one.
    """
    algorithm = fields.get("algorithm", "MD5").upper()
    hashed = ALGORITHMS.get(algorithm) if algorithm in allowed else None
    nonce, count = fields.get("nonce", ""), fields.get("nc", "")
    if hashed is None or fields.get("realm") != realm or fields.get("qop") != "auth" \
            or len(count) != 8 or not _HEX.issuperset(count) or not fields.get("cnonce") \
            or not same_target(fields.get("uri", ""), uri):
        return WRONG
    text = nonce[:STAMP + CHANCE]
    if not hmac.compare_digest(_bytes(nonce[STAMP + CHANCE:]), _mark(key, text, source).encode()):
        return STALE  # perhaps of another address, after a change of network

    def digest(what: str) -> str:
        return hashed(_bytes(what)).hexdigest()

    ha1 = digest(f"{fields.get('username', '')}:{realm}:{password}")
    ha2 = digest(f"{method}:{fields['uri']}")
    expected = digest(f"{ha1}:{nonce}:{count}:{fields['cnonce']}:auth:{ha2}")
    if not hmac.compare_digest(expected.encode(), _bytes(fields.get("response", "").lower())):
        return WRONG
    try:
        issued, chance = int(text[:STAMP], 16), int(text[STAMP:], 16)
    except ValueError:
        return STALE
    if now - issued > lifetime_s:
        return STALE
    used = use(chance or 1, issued, int(count, 16), fingerprint, now,
               NONCE_LIFETIME_S)
    if used == Use.SAME:
        return REPEATED
    return OK if used == Use.FRESH else STALE
