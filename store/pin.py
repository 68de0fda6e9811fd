"""PINs of mailboxes: kept as a salted scrypt digest, "scrypt$<salt hex>$<hash hex>"."""

import hashlib
import hmac
from typing import Final

#: Cost: about 50 ms and 16 MB a try. Who tries PINs by telephone is slowed down by call control.
_N, _R, _P = 2**14, 8, 1
PREFIX: Final = "scrypt$"


def digest(pin: str, salt: bytes) -> str:
    """What is kept of a PIN. salt: 16 random bytes."""
    return f"{PREFIX}{salt.hex()}${_scrypt(pin, salt).hex()}"


def matches(stored: str, pin: str) -> bool:
    """Whether that is the PIN; False for a mailbox without one."""
    parts = stored.split("$")
    if len(parts) != 3 or parts[0] != "scrypt":
        return False
    try:
        salt, wanted = bytes.fromhex(parts[1]), bytes.fromhex(parts[2])
    except ValueError:
        return False
    return hmac.compare_digest(_scrypt(pin, salt), wanted)


def _scrypt(pin: str, salt: bytes) -> bytes:
    return hashlib.scrypt(pin.encode(errors="surrogatepass"), salt=salt, n=_N, r=_R, p=_P,
                          dklen=32)
