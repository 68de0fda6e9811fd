"""Digest authentication (RFC 7616, RFC 8760): SHA-256 and MD5, no database, no state.

The nonce carries its time and a keyed hash of time and source address, so that any worker, before
or after a restart, can tell its own.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final

#: Preferred first (RFC 8760 section 2.4).
ALGORITHMS: Final[dict[str, Callable[[bytes], "hashlib._Hash"]]] = {
    "SHA-256": hashlib.sha256,
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False),
}
NONCE_LIFETIME_S: Final = 300
MAX_HEADER: Final = 1024
_PARAMETER: Final = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')

OK: Final = "ok"
STALE: Final = "stale"
WRONG: Final = "wrong"


def _bytes(text: str) -> bytes:
    # What was no UTF-8 on the wire must not raise; it is no right answer either.
    return text.encode("utf-8", "replace")


def _mark(key: bytes, stamp: str, source: str) -> str:
    return hmac.new(key, _bytes(f"{stamp}|{source}"), hashlib.sha256).hexdigest()[:32]


def new_nonce(key: bytes, now: int, source: str) -> str:
    """A nonce for that source address at now (Unix seconds)."""
    stamp = f"{now:08x}"
    return stamp + _mark(key, stamp, source)


def challenges(realm: str, nonce: str, stale: bool,
               allowed: tuple[str, ...] = tuple(ALGORITHMS)) -> list[str]:
    """The values of the challenge headers, the preferred algorithm first.

    A phone that knows only MD5 may fail at the very sight of another one: allowed is the device's.
    """
    more = ", stale=true" if stale else ""
    return [f'Digest realm="{realm}", nonce="{nonce}", algorithm={name}, qop="auth"{more}'
            for name in allowed]


def parse(header: str) -> dict[str, str]:
    """The parameters of a Digest credential, names in lower case; {} when it is none."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() != "digest" or len(header) > MAX_HEADER:
        return {}
    return {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(rest)}


def check(fields: dict[str, str], *, key: bytes, realm: str, password: str, method: str,
          now: int, source: str, allowed: tuple[str, ...] = tuple(ALGORITHMS)) -> str:
    """OK, STALE (right nonce, too old: challenge again) or WRONG."""
    algorithm = fields.get("algorithm", "MD5").upper()
    hashed = ALGORITHMS.get(algorithm) if algorithm in allowed else None
    nonce = fields.get("nonce", "")
    stamp = nonce[:8]
    if hashed is None or fields.get("realm") != realm or fields.get("qop") != "auth":
        return WRONG
    if not hmac.compare_digest(_bytes(nonce[8:]), _mark(key, stamp, source).encode()):
        return STALE  # perhaps of another address, after a change of network

    def digest(text: str) -> str:
        return hashed(_bytes(text)).hexdigest()

    ha1 = digest(f"{fields.get('username', '')}:{realm}:{password}")
    ha2 = digest(f"{method}:{fields.get('uri', '')}")
    expected = digest(f"{ha1}:{nonce}:{fields.get('nc', '')}:{fields.get('cnonce', '')}:auth:{ha2}")
    if not hmac.compare_digest(expected.encode(), _bytes(fields.get("response", "").lower())):
        return WRONG
    try:
        issued = int(stamp, 16)
    except ValueError:
        return STALE
    return OK if now - issued <= NONCE_LIFETIME_S else STALE
