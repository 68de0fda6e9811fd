"""Passkeys (WebAuthn), for pages under the public URL."""

import binascii
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from api.access.factors import Random
from store.accounts import Credential
from store.model import Account

#: What reading a credential of a stranger's making may raise.
_REFUSED = (WebAuthnException, ValueError, TypeError, KeyError, binascii.Error)


class Made(NamedTuple):
    """A new passkey."""

    handle: str
    key: str
    counter: int


class Passkeys:
    """The relying party: people see its name, browsers hold on to its id and origin."""

    def __init__(self, public_url: str, random: Random) -> None:
        parts = urlsplit(public_url)
        self.id = parts.hostname or "localhost"
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self._random = random

    def new_options(self, account: Account, existing: list[Credential]) -> dict[str, Any]:
        """For navigator.credentials.create(); the challenge is in them."""
        return _builtins(webauthn.generate_registration_options(
            rp_id=self.id, rp_name="vaxel", user_name=account.email,
            user_display_name=account.name, user_id=str(account.id).encode(),
            challenge=self._random(32), exclude_credentials=_described(existing),
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED,
                user_verification=UserVerificationRequirement.PREFERRED)))

    def made(self, credential: dict[str, Any], challenge: str) -> Made | None:
        """The passkey that was made for these options; None when it was not."""
        try:
            found = webauthn.verify_registration_response(
                credential=credential, expected_challenge=base64url_to_bytes(challenge),
                expected_rp_id=self.id, expected_origin=self.origin)
        except _REFUSED:
            return None
        return Made(bytes_to_base64url(found.credential_id),
                    bytes_to_base64url(found.credential_public_key), found.sign_count)

    def options(self, existing: list[Credential], alone: bool) -> dict[str, Any]:
        """For navigator.credentials.get(). alone: it is both factors, so the person is verified."""
        return _builtins(webauthn.generate_authentication_options(
            rp_id=self.id, challenge=self._random(32), allow_credentials=_described(existing),
            user_verification=UserVerificationRequirement.REQUIRED if alone
            else UserVerificationRequirement.PREFERRED))

    def counter(self, credential: dict[str, Any], challenge: str, stored: Credential,
                alone: bool) -> int | None:
        """The passkey's new counter when it has signed the challenge."""
        try:
            return webauthn.verify_authentication_response(
                credential=credential, expected_challenge=base64url_to_bytes(challenge),
                expected_rp_id=self.id, expected_origin=self.origin,
                credential_public_key=base64url_to_bytes(stored.data),
                credential_current_sign_count=stored.counter,
                require_user_verification=alone).new_sign_count
        except _REFUSED:
            return None


def _described(credentials: list[Credential]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.handle or ""))
            for one in credentials]


def _builtins(options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(webauthn.options_to_json(options))
    return found
