"""Second factors that are codes: of an authenticator app (TOTP), sent by SMS, and for recovery."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Final

import pyotp

#: Where random bytes come from: how many are wanted.
Random = Callable[[int], bytes]
STEP_S: Final = 30
#: Steps that a telephone's clock may be off.
DRIFT: Final = 1
RECOVERY_CODES: Final = 10


def new_totp(random: Random) -> str:
    """A secret for an authenticator app: 160 bits."""
    return base64.b32encode(random(20)).decode()


def totp_uri(secret: str, email: str, issuer: str) -> str:
    """What the app reads as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=issuer)


def totp_step(secret: str, code: str, now_ms: int, after: int = 0) -> int:
    """The step whose code that is, 0 for none. Steps up to `after` have been used."""
    totp, step = pyotp.TOTP(secret), now_ms // 1000 // STEP_S
    found = 0
    for candidate in range(step - DRIFT, step + DRIFT + 1):
        right = hmac.compare_digest(totp.generate_otp(candidate).encode(), _plain(code).encode())
        if right and candidate > after:
            found = candidate
    return found


def new_sms_code(random: Random) -> str:
    """Six digits."""
    return f"{int.from_bytes(random(8)) % 1_000_000:06}"


def sms_digest(ticket: str, code: str) -> str:
    """What is kept of a code; without the ticket it cannot be searched for."""
    return hmac.new(ticket.encode(), _plain(code).encode(), hashlib.sha256).hexdigest()


def new_recovery_codes(random: Random) -> list[str]:
    """Shown once: 80 bits each, so that a fast digest of them is enough."""
    return ["-".join(text[at:at + 4] for at in range(0, 16, 4))
            for text in (base64.b32encode(random(10)).decode().lower()
                         for _ in range(RECOVERY_CODES))]


def recovery_digest(code: str) -> str:
    """What is kept of a recovery code."""
    return hashlib.sha256(_plain(code).lower().encode()).hexdigest()


def _plain(code: str) -> str:
    """As it was meant: people group what they copy."""
    return "".join(code.split()).replace("-", "")
