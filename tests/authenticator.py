"""A passkey in software: what a browser and an authenticator answer (WebAuthn, level 2)."""

import hashlib
import json
import struct
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import bytes_to_base64url

PRESENT, VERIFIED, ATTESTED = 1, 4, 64


class Authenticator:
    """One passkey. verifies: it asks for a finger or a PIN; counts: it has a signature counter."""

    def __init__(self, handle: bytes = b"handle", verifies: bool = True,
                 counts: bool = True) -> None:
        self.handle, self.verifies, self.counts = handle, verifies, counts
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.counter = 0

    def create(self, options: dict[str, Any], origin: str) -> dict[str, Any]:
        """navigator.credentials.create()"""
        numbers = self.key.public_key().public_numbers()
        public = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32),
                              -3: numbers.y.to_bytes(32)})
        data = self._data(options["rp"]["id"], ATTESTED) + bytes(16) \
            + struct.pack(">H", len(self.handle)) + self.handle + public
        return self._credential({
            "clientDataJSON": _client("webauthn.create", options, origin),
            "attestationObject": cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})})

    def get(self, options: dict[str, Any], origin: str) -> dict[str, Any]:
        """navigator.credentials.get()"""
        client = _client("webauthn.get", options, origin)
        data = self._data(options["rpId"], 0)
        signature = self.key.sign(data + hashlib.sha256(client).digest(),
                                  ec.ECDSA(hashes.SHA256()))
        return self._credential({"clientDataJSON": client, "authenticatorData": data,
                                 "signature": signature})

    def _data(self, relying_party: str, flags: int) -> bytes:
        self.counter += self.counts
        return hashlib.sha256(relying_party.encode()).digest() + struct.pack(
            ">BI", PRESENT | flags | (VERIFIED if self.verifies else 0), self.counter)

    def _credential(self, response: dict[str, bytes]) -> dict[str, Any]:
        handle = bytes_to_base64url(self.handle)
        return {"id": handle, "rawId": handle, "type": "public-key", "response": {
            name: bytes_to_base64url(value) for name, value in response.items()}}


def _client(kind: str, options: dict[str, Any], origin: str) -> bytes:
    return json.dumps({"type": kind, "challenge": options["challenge"], "origin": origin,
                       "crossOrigin": False}).encode()
