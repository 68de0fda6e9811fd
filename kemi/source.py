"""Who sends a request: a trunk by address or TLS name, or a device by digest. Nobody else."""

import time
from typing import NamedTuple

import KSR

from kemi import digest
from kemi.identity import user_of
from kemi.names import Counter
from routing_core import Kernel
from routing_core.build import secret_text

#: By the device's digest setting: both, md5, sha256 (rows.DIGESTS).
ALLOWED = (tuple(digest.ALGORITHMS), ("MD5",), ("SHA-256",))


class Caller(NamedTuple):
    """An authenticated device."""

    device: int
    user: int
    username: str


class Sources:
    """Answers from the snapshot; no database in the path."""

    def __init__(self, kernel: Kernel, domain: str, key: bytes) -> None:
        self.kernel = kernel
        self.realm = domain
        self.key = key
        self.stale = False

    def trunk(self) -> int:
        """The trunk that the message at hand came over, 0 when none."""
        if KSR.is_TLS():
            name = KSR.pv.get("$tls_peer_subject_cn")
            if name and KSR.pv.get("$tls_peer_verified") == 1:
                return int(self.kernel.trunk_by_source(f"tls:{name}"))
        return int(self.kernel.trunk_by_source(f"ip:{KSR.pv.get('$si')}"))

    def calling(self, raw: str) -> str:
        """The number of an outside caller as the carrier asserts it; "" when withheld.

        raw: the message in lower case, which says whether a header is worth asking for.
        """
        if "\nprivacy:" in raw and "id" in (KSR.hdr.get("Privacy") or "").lower():
            return ""
        asserted = None
        if "\np-asserted-identity:" in raw:
            asserted = KSR.hdr.get("P-Asserted-Identity")
        elif "\nremote-party-id:" in raw:
            asserted = KSR.hdr.get("Remote-Party-ID")
        number = user_of(asserted) if asserted else KSR.pv.get("$fU") or ""
        return "" if number == "anonymous" else str(number)[:32]

    def device(self, method: str) -> Caller | None:
        """The device whose digest credentials the request carries, None when they are wrong."""
        self.stale = False
        header = KSR.hdr.get("Authorization" if method == "REGISTER" else "Proxy-Authorization")
        fields = digest.parse(header or "")
        username = fields.get("username", "")
        known = self.kernel.device_by_username(username) if username else None
        # An unknown name costs the same work as a wrong password and gets the same answer.
        password = secret_text(known[2] if known else bytes(16))
        outcome = digest.check(
            fields, allowed=self.allowed(known), key=self.key, realm=self.realm,
            password=password, method=method, now=int(time.time()), source=KSR.pv.get("$si"),
        ) if fields else digest.WRONG
        if outcome == digest.OK and known:
            return Caller(known[0], known[1], username)
        self.stale = outcome == digest.STALE
        if fields and outcome == digest.WRONG:
            self.kernel.live.count(Counter.AUTH_FAILED)
        return None

    @staticmethod
    def allowed(known: tuple[int, int, bytes, int] | None) -> tuple[str, ...]:
        """The algorithms that a device may use; all of them for a name that is nobody's."""
        return ALLOWED[known[3] if known else 0]

    def challenge(self, code: int) -> None:
        """401 or 407, with one challenge per algorithm that the device in From can do."""
        name = "WWW-Authenticate" if code == 401 else "Proxy-Authenticate"
        nonce = digest.new_nonce(self.key, int(time.time()), KSR.pv.get("$si"))
        known = self.kernel.device_by_username(KSR.pv.get("$fU") or "")
        for value in digest.challenges(self.realm, nonce, self.stale, self.allowed(known)):
            KSR.hdr.append_to_reply(f"{name}: {value}\r\n")
        KSR.sl.sl_send_reply(code, "Unauthorized" if code == 401
                             else "Proxy Authentication Required")
