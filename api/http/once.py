"""A repeated request with the same Idempotency-Key gets the answer of the first one, and does
nothing again (draft-ietf-httpapi-idempotency-key-header).

What is kept is written in the same commit as what the request changed, so both are there after a
crash, or neither. It is sealed with the caller's own token and key: an answer may hold a secret.
"""

import hashlib
import os
import re
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sanic import HTTPResponse

from api.http.errors import Problem, as_problem, invalid
from api.http.route import Call, Handler, Reply, encode
from api.http.who import bearer

HEADER: Final = "idempotency-key"
#: Headers without which a request is another one.
MEANING: Final = ("dry-run", "effective-from", "if-match", "content-type")
_NONCE: Final = 12


async def once(call: Call, key: str, handler: Handler) -> HTTPResponse:
    """The handler's answer, or the earlier one; Problem 409, 422."""
    if not re.fullmatch(r"[!-~]{1,255}", key):
        raise invalid("Idempotency-Key", "1 to 255 visible ASCII characters")
    request, who, store = call.request, call.who, call.parts.store
    asked = "\n".join((f"{request.method} {request.path}?{request.query_string}",
                       *(request.headers.get(name, "") for name in MEANING), ""))
    fingerprint = hashlib.sha256(asked.encode() + request.body).digest()
    seal = AESGCM(hashlib.sha256(f"{bearer(request)}\n{key}".encode()).digest())
    found = store.answer_of(who.by, key)
    under_way = (who.by, key) in call.parts.under_way
    if found is not None and found.fingerprint != fingerprint:
        raise Problem(422, "key_reused", "another request was made with this key", HEADER)
    if under_way:
        raise Problem(409, "in_progress", "the first request with this key has not ended")
    if found is not None:
        return _again(seal, found.sealed)
    call.parts.under_way.add((who.by, key))

    def keep(result: Any) -> None:
        if call.route.status == 204 and not isinstance(result, Reply):
            result = None
        store.keep_answer(who.by, key, fingerprint, _sealed(seal, encode(call.route, result)),
                          call.now_ms)
        call.replay = None

    try:
        if call.route.acts:
            await call.parts.publisher.commits.run(
                lambda: store.keep_answer(who.by, key, fingerprint, b"", call.now_ms))
        call.replay = keep
        try:
            response = encode(call.route, await handler(call))
            assert isinstance(response, HTTPResponse)  # nothing that writes is answered by a stream
        except Exception as error:
            if call.route.acts and as_problem(error).status != 500:
                await call.parts.publisher.commits.run(
                    lambda: store.forget_answer(who.by, key))
            raise
        if call.replay is not None:  # nothing was written with which it was kept
            await call.parts.publisher.commits.run(lambda: store.keep_answer(
                who.by, key, fingerprint, _sealed(seal, response), call.now_ms))
        return response
    finally:
        call.parts.under_way.discard((who.by, key))


def _sealed(seal: AESGCM, response: Any) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + seal.encrypt(nonce, msgspec.msgpack.encode(
        [response.status, dict(response.headers), response.content_type or "",
         response.body or b""]), None)


def _again(seal: AESGCM, sealed: bytes) -> HTTPResponse:
    if not sealed:
        raise Problem(409, "in_doubt", "the exchange stopped while it did this: look whether it "
                      "was done, then use a new key")
    try:
        status, headers, kind, body = msgspec.msgpack.decode(
            seal.decrypt(sealed[:_NONCE], sealed[_NONCE:], None))
    except InvalidTag as error:
        raise Problem(422, "key_reused", "this key was used with another token", HEADER) from error
    return HTTPResponse(body or None, status, headers | {"Idempotency-Replayed": "true"},
                        kind or None)
