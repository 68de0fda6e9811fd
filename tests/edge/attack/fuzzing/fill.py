"""Fills in what a mutated message leaves open, and answers as its sender what comes back."""

import random
import re
import time
from collections import deque
from typing import Any, Final

import msgspec

from tests.edge.attack.fuzzing.mutate import spoiled
from tests.exchange import credentials

CREDENTIALS: Final = re.compile(rb"\{credentials(?:/(\d+))?\}")
NONCE: Final = re.compile(r'nonce="([0-9a-f]+)"')
STATUS: Final = re.compile(rb"SIP/2\.0 (\d{3}) ")
#: Begins what is a message's only, wherever it is seen again; in no log.
SERIAL: Final = "zqfz"
#: In a message that pretends to be somebody's else. Nobody may be sent it.
STRANGER: Final = "zqstranger"
#: The exchange takes a nonce for a call for half a minute.
NONCE_S: Final = 20.0
KEPT_NONCES: Final = 400
COMPACT: Final = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact"}
#: Of a datagram.
LARGEST: Final = 65_000


class Device(msgspec.Struct, frozen=True):
    """A telephone whose password the attacker has."""

    username: str
    secret: str


class Sender:
    """A place to send from. trusted: a carrier's, whose word on where it is counts."""

    def __init__(self, host: str, port: int, edge: tuple[str, int], *, domain: str,
                 transport: str = "UDP", trusted: bool = False) -> None:
        self.host, self.port, self.edge, self.domain = host, port, edge, domain
        self.transport = transport
        self.trusted = trusted
        self.nonces: deque[tuple[float, str]] = deque(maxlen=KEPT_NONCES)
        self._serial = 0

    def filled(self, raw: bytes, rng: random.Random, serial: str, devices: list[Device],
               victims: list[tuple[str, int]]) -> bytes:
        """The bytes to send."""
        if b"{" not in raw:
            return raw
        host, port = (self.host, self.port) if self.trusted or not victims \
            else rng.choice(victims)
        device = rng.choice(devices) if devices else Device("nobody", "x")
        for name, value in (("host", self.host), ("port", str(self.port)),
                            ("edge", f"{self.edge[0]}:{self.edge[1]}"),
                            ("transport", self.transport), ("victim", f"{host}:{port}"),
                            ("victim_host", host), ("victim_port", str(port)),
                            ("serial", serial), ("device", device.username)):
            raw = raw.replace(b"{%s}" % name.encode(), value.encode())
        if b"{credentials" in raw:
            raw = self._with_credentials(raw, device)
        if b"{length}" in raw:  # after everything else
            raw = raw.replace(b"{length}", str(len(raw.partition(b"\r\n\r\n")[2])).encode())
        return raw[:LARGEST]

    def _with_credentials(self, raw: bytes, device: Device) -> bytes:
        words = raw.split(b"\r\n", 1)[0].split(b" ")
        method = words[0].decode("latin-1")
        uri = words[1].decode("utf-8", "replace") if len(words) > 1 else ""
        nonce = ""
        while self.nonces and not nonce:
            at, one = self.nonces.pop()
            nonce = one if time.monotonic() - at < NONCE_S else ""
        text = credentials(f'realm="{self.domain}", nonce="{nonce or "0" * 56}"', device.username,
                           device.secret, method, uri, "MD5")

        def value(found: re.Match[bytes]) -> bytes:
            made = spoiled(random.Random(int(found[1][:9])), text) if found[1] else text
            return made.encode("utf-8", "replace")

        return CREDENTIALS.sub(value, raw)

    def heard(self, data: bytes) -> tuple[int, list[bytes]]:
        """What came: its code, 0 of a request, and what the sender says to it."""
        found = STATUS.match(data)
        text = data.decode("latin-1")
        if not found:
            return 0, self._answer(text)
        code = int(found[1])
        if code in (401, 407):
            for nonce in NONCE.findall(text)[:1]:
                self.nonces.append((time.monotonic(), nonce))
            return code, []
        if code < 200 or not re.search(r"(?i)^cseq: *\d+\s+INVITE", text, re.MULTILINE):
            return code, []
        return code, self._over(code, text)

    def _over(self, code: int, text: str) -> list[bytes]:
        """ACK of a final answer to an INVITE; a call that was answered is ended at once."""
        kept = _headers(text)
        if not all(kept.get(name) for name in ("via", "from", "to", "call-id", "cseq")):
            return []
        contact = re.search(r"<([^>]*)>", kept.get("contact", ""))
        target = contact[1] if contact and code < 300 else f"sip:x@{self.domain}"
        number = int(kept["cseq"].split()[0][:10])
        routes = re.findall(r"<[^>]*>", _all(text, "record-route"))[::-1] if code < 300 else []
        made = []
        for method, more in (("ACK", 0), ("BYE", 1)) if code < 300 else (("ACK", 0),):
            self._serial += 1
            via = kept["via"] if code >= 300 else (
                f"SIP/2.0/{self.transport} {self.host}:{self.port}"
                f";branch=z9hG4bK{SERIAL}o{self._serial};rport")
            lines = [f"{method} {target} SIP/2.0", f"Via: {via}",
                     *(f"Route: {route}" for route in routes), f"From: {kept['from']}",
                     f"To: {kept['to']}", f"Call-ID: {kept['call-id']}",
                     f"CSeq: {number + more} {method}", "Max-Forwards: 70", "Content-Length: 0"]
            made.append(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        return made

    def _answer(self, text: str) -> list[bytes]:
        """Of a request to us: 200, and 486 to a call."""
        kept = _headers(text)
        method = text.partition(" ")[0]
        if method == "ACK" or not all(kept.get(name) for name in (
                "via", "from", "to", "call-id", "cseq")):
            return []
        status = "486 Busy Here" if method == "INVITE" else "200 OK"
        to = kept["to"] if ";tag=" in kept["to"] else f"{kept['to']};tag=fz"
        vias = re.findall(r"(?mi)^(?:via|v):[^\r]*", text.partition("\r\n\r\n")[0])
        lines = [f"SIP/2.0 {status}", *vias, f"From: {kept['from']}", f"To: {to}",
                 f"Call-ID: {kept['call-id']}", f"CSeq: {kept['cseq']}", "Content-Length: 0"]
        return [("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")]


def _headers(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.partition("\r\n\r\n")[0].split("\r\n")[1:]:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        found.setdefault(COMPACT.get(name, name), value.strip())
    return found


def _all(text: str, name: str) -> str:
    return " ".join(re.findall(rf"(?mi)^{name}:([^\r]*)", text.partition("\r\n\r\n")[0]))


def options(host: str, port: int, edge: Any, branch: str) -> bytes:
    """What is always answered."""
    return (f"OPTIONS sip:{edge[0]}:{edge[1]} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{branch};rport\r\n"
            f"From: <sip:probe@{host}>;tag=p\r\nTo: <sip:{edge[0]}>\r\nCall-ID: {branch}\r\n"
            "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n").encode()
