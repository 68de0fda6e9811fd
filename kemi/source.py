"""Who sends a request: a trunk by address or TLS name, or a device by digest. Nobody else."""

import os
import time
import zlib
from typing import Any, NamedTuple

import KSR

from kemi import digest, wire
from kemi.identity import (
    TELLING_HEADERS,
    Forwarder,
    nobodys_contact,
    read_forwarders,
    remote_privacy,
    user_of,
    withheld,
)
from kemi.names import Counter
from routing_core import Kernel
from routing_core.build import secret_text
from routing_core.caller_names import ANONYMOUS
from routing_core.rows import FORMATS

#: By the device's digest setting: both, md5, sha256 (rows.DIGESTS).
ALLOWED = (tuple(digest.ALGORITHMS), ("MD5",), ("SHA-512-256", "SHA-256"))
#: Credentials of several realms in one request.
MAX_CREDENTIALS = 4


class Caller(NamedTuple):
    """An authenticated device. anywhere: its Contact may be at another host than it sends from."""

    device: int
    user: int
    username: str
    anywhere: bool


class Sources:
    """Answers from the snapshot; no database in the path."""

    def __init__(self, kernel: Kernel, settings: dict[str, Any]) -> None:
        self.kernel = kernel
        self.realm: str = settings["domain"]
        self.key = bytes.fromhex(settings["key"])
        self.md5_agents = tuple(settings["md5_agents"])
        self.stale = False
        self.repeated = False

    def trunk(self) -> int:
        """The trunk that the message at hand came over, 0 when none."""
        if KSR.is_TLS():
            # Asked first: Kamailio logs an error for the name of a certificate that is not there.
            verified = KSR.pv.get("$tls_peer_verified") == 1
            name = wire.value("$tls_peer_subject_cn") if verified else ""
            if name:
                return int(self.kernel.trunk_by_source(f"tls:{name}"))
        return int(self.kernel.trunk_by_source(f"ip:{KSR.pv.get('$si')}"))

    def calling(self, raw: str) -> tuple[str, bool]:
        """The number of an outside caller as the carrier asserts it, "" when withheld; and whether
        telephones are to see that and nothing else of what the carrier says.

        raw: the message in lower case, which says whether a header is worth asking for.
        """
        uri = wire.value("$fu")
        if self.withheld(raw, uri):
            return "", True
        asserted = ""
        nameless = False
        if "\np-asserted-identity" in raw:
            asserted = wire.header("P-Asserted-Identity")
        if "\nremote-party-id" in raw:
            party = wire.header("Remote-Party-ID")
            nameless = "name" in remote_privacy(party)
            asserted = asserted or party
        number = user_of(asserted or f"<{uri}>")
        # Parameters of the number (";cpc=" and the like, RFC 3966) are no part of what is shown.
        return number, nameless or ";" in uri.rpartition("@")[0]

    @staticmethod
    def withheld(raw: str, uri: str) -> bool:
        """Whether who sends the request at hand does not want to be seen. uri: of From."""
        privacy = wire.headers("Privacy") if "\nprivacy" in raw else []
        parties = wire.headers("Remote-Party-ID") if "\nremote-party-id" in raw else []
        return withheld(privacy, uri, parties)

    def wanted(self, raw: str) -> str | None:
        """The number that a device asks to be shown, ANONYMOUS when none; None: it does not ask."""
        if self.withheld(raw, wire.value("$fu")):
            return ANONYMOUS
        preferred = wire.header("P-Preferred-Identity") \
            if "\np-preferred-identity" in raw else ""
        return user_of(preferred) or None

    def forwarders(self, raw: str, trunk: int) -> list[Forwarder]:
        """Who has sent on the call of the request at hand, as that trunk's carrier says it
        (Diversion, or else History-Info), the latest first."""
        diversions = wire.headers("Diversion") if "\ndiversion" in raw else []
        history = wire.headers("History-Info") if "\nhistory-info" in raw else []
        facts = self.kernel.trunk(trunk) if diversions or history else None
        return [] if facts is None else read_forwarders(
            diversions, history, FORMATS[facts["format"]], facts["country_code"])

    def device(self, method: str) -> Caller | None:
        """The device whose digest credentials the request carries, None when they are wrong; then
        `repeated` says that this very message was let in before, and is to be left to that."""
        self.stale = self.repeated = False
        fields = self._credentials("Authorization" if method == "REGISTER"
                                   else "Proxy-Authorization")
        if not fields:
            return None
        username = fields.get("username", "")
        known = self.kernel.device_by_username(username) if username else None
        # An unknown name costs the same work as a wrong password and gets the same answer.
        outcome = digest.check(
            fields, allowed=ALLOWED[known[3] if known else 0], key=self.key, realm=self.realm,
            password=secret_text(known[2] if known else bytes(16)), method=method,
            uri=wire.value("$ou"), now=int(time.time()), source=KSR.pv.get("$si"),
            use=self.kernel.live.use_once, fingerprint=self._fingerprint(),
            lifetime_s=digest.CALL_NONCE_LIFETIME_S if method == "INVITE"
            else digest.NONCE_LIFETIME_S)
        if outcome == digest.OK and known:
            return Caller(known[0], known[1], username, known[4])
        self.stale = outcome == digest.STALE
        self.repeated = outcome == digest.REPEATED
        if outcome in (digest.OK, digest.WRONG):  # there is no right one of an unknown name
            self.kernel.live.count(Counter.AUTH_FAILED)
            if known:
                self.kernel.live.guessed(known[0])
        return None

    def _credentials(self, name: str) -> dict[str, str]:
        """Those for our realm; {} when there are none."""
        for index in range(MAX_CREDENTIALS):
            text = wire.header_at(name, index)
            if not text:
                break
            fields = digest.parse(text)
            if fields.get("realm") == self.realm:
                return fields
        return {}

    @staticmethod
    def _fingerprint() -> int:
        """What makes the request at hand one: another that looks so has come twice."""
        return zlib.crc32("|".join(wire.value(name) for name in (
            "$ci", "$cs", "$ft", "$hdr(Via)")).encode())

    def challenge(self, code: int) -> None:
        """401 or 407, the same for every name, known or not; `repeated` gets no answer."""
        if self.repeated:
            self.kernel.live.count(Counter.REPEATED)
            return
        name = "WWW-Authenticate" if code == 401 else "Proxy-Authenticate"
        nonce = digest.new_nonce(self.key, int(time.time()), KSR.pv.get("$si"),
                                 int.from_bytes(os.urandom(8)))
        for value in digest.challenges(self.realm, nonce, self.stale, self.offered()):
            KSR.hdr.append_to_reply(f"{name}: {value}\r\n")
        KSR.sl.sl_send_reply(code, "Unauthorized" if code == 401
                             else "Proxy Authentication Required")

    def offered(self) -> tuple[str, ...]:
        """The algorithms of a challenge. Old telephones fail at the sight of one that they do not
        know: they are known by what they say of themselves, so that nobody learns which names
        exist. Who says nothing is asked for the one that everybody knows first."""
        agent = wire.header("User-Agent")
        if not agent:
            return digest.OFFERED[::-1]
        return ("MD5",) if agent.startswith(self.md5_agents) else digest.OFFERED


def hide() -> None:
    """What would say who sends the request at hand, besides what is written anew (RFC 3323
    section 5)."""
    for name in TELLING_HEADERS:
        KSR.hdr.remove(name)
    contact = nobodys_contact(wire.header("Contact"))
    if contact:
        KSR.hdr.remove("Contact")
        KSR.hdr.append(f"Contact: {contact}\r\n")
