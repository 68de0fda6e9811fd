"""An event as others get it: a CloudEvents 1.0 body (structured JSON), signed as Standard Webhooks
say."""

import base64
import binascii
import datetime
import hashlib
import hmac
import secrets
from typing import Any, Final

import msgspec

from store.hooks import DueHook
from store.model import Event

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
#: For so long the secret before the last rotation signs too.
OLD_SECRET_MS: Final = 24 * 3_600_000
TEST: Final = "test"
_PREFIX: Final = "whsec_"


def new_secret() -> str:
    """256 random bits."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def id_of(event: Event) -> str:
    """The same whenever the event is sent: who has seen it need not look again."""
    return f"evt_{event.seq}" if event.seq else f"{TEST}_{event.at_ms}"


def type_of(event: Event) -> str:
    """vaxel.call.<kind> of a step of a call, vaxel.queue.<what> of a queue, and the like."""
    if event.kind == "queue" and isinstance(event.data, dict):
        return f"vaxel.queue.{event.data.get('what', 'event')}"
    if event.kind == "call":
        return "vaxel.call.record"
    return f"vaxel.{event.kind}" if event.kind in OF_THEIR_OWN else f"vaxel.call.{event.kind}"


#: Kinds that are not steps of a call.
OF_THEIR_OWN: Final = frozenset({"login", "presence", "message", "message_state",
                                 "callback_request", TEST})


def cloud_event(event: Event) -> bytes:
    """The body. subject: the call's uid; sequence: grows with every event of the exchange."""
    at = datetime.datetime.fromtimestamp(event.at_ms / 1000, datetime.UTC)
    body: dict[str, Any] = {
        "specversion": "1.0", "id": id_of(event), "source": f"/v1/tenants/{event.tenant}",
        "type": type_of(event), "time": at.isoformat(timespec="milliseconds")[:-6] + "Z",
        "datacontenttype": "application/json", "tenant": event.tenant,
        "sequence": str(event.seq), "data": event.data}
    if event.call:
        body["subject"] = event.call
    return msgspec.json.encode(body)


def headers(hook: DueHook, event: Event, body: bytes, now_ms: int) -> dict[str, str]:
    """Standard Webhooks: the id, the time, and a signature for each secret that counts now."""
    keys = [hook.secret]
    if hook.state.old_secret and now_ms < hook.state.old_until_ms:
        keys.append(hook.state.old_secret)
    id_, at = id_of(event), str(now_ms // 1000)
    return {"Content-Type": CONTENT_TYPE, "webhook-id": id_, "webhook-timestamp": at,
            "webhook-signature": " ".join(
                "v1," + signature(key, f"{id_}.{at}.".encode() + body) for key in keys)}


def signature(secret: str, text: bytes) -> str:
    """HMAC-SHA256 in base64."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX))
    except binascii.Error:  # one that a person has made up
        key = secret.encode()
    return base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()
