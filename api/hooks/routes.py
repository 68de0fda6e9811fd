"""Webhooks beside their configuration: where they are, what was tried, and once more (X8)."""

import asyncio
import functools
from typing import Any

import msgspec

from api.hooks.envelope import OLD_SECRET_MS, TEST, cloud_event, headers, new_secret
from api.hooks.shapes import (
    Attempts,
    DeadLetters,
    HookShown,
    NewSecret,
    Page,
    ReplayBody,
    Replayed,
    Tested,
)
from api.http.errors import Problem, invalid, no_such
from api.http.route import Call, route
from api.keeping.hooks import check
from api.keeping.outside import NotSent, Outside
from store.hooks import Attempt, DueHook
from store.model import Event, EventHook
from store.sqlite import SqliteWriter

_HOOK = "/v1/tenants/{tenant}/webhooks/{webhook}"
#: Tests at once, of everybody together.
TESTS = asyncio.Semaphore(8)


def _row(call: Call) -> EventHook:
    row: EventHook = call.visible("webhook", call.id("webhook"))
    return row


def _hook(call: Call) -> DueHook:
    hook: DueHook = call.store.hook(_row(call).id)
    return hook


@route("GET", _HOOK + "/state", "webhooks:read", answer=HookShown)
async def state(call: Call) -> HookShown:
    """How far a webhook is in the events of the company."""
    hook = _hook(call)
    at = hook.state
    return HookShown(
        webhook=hook.id, seq=at.seq, newest=call.store.last_event(), tries=at.tries,
        next_ms=at.next_ms, gone_ms=at.gone_ms, error=at.error,
        dead_letters=call.store.count_dead_letters(hook.id),
        old_secret_until_ms=at.old_until_ms if at.old_secret else 0)


@route("GET", _HOOK + "/attempts", "webhooks:read", query=Page, answer=Attempts)
async def attempts(call: Call) -> Attempts:
    """What was sent, the newest first, with the status of each answer. The last 1000 are kept."""
    found = call.store.attempts(_row(call).id, before=call.query.after, limit=call.query.limit)
    return Attempts(items=found, next=found[-1].id if len(found) == call.query.limit else None)


@route("GET", _HOOK + "/dead-letters", "webhooks:read", query=Page, answer=DeadLetters)
async def dead_letters(call: Call) -> DeadLetters:
    """Events that were given up, as long as they are kept."""
    found = call.store.dead_letters(_row(call).id, after=call.query.after, limit=call.query.limit)
    return DeadLetters(items=found,
                       next=found[-1].event if len(found) == call.query.limit else None)


@route("POST", _HOOK + "/replay", "webhooks:write", body=ReplayBody, answer=Replayed, status=202)
async def replay(call: Call) -> Replayed:
    """Send again: one dead letter, all of them, or everything from an event on. Each has the
    webhook-id that it had."""
    webhook, body = _row(call).id, call.body
    if (body.from_seq is not None) + (body.event is not None) + body.dead_letters != 1:
        raise invalid("", "one of from_seq, event and dead_letters")

    def work() -> Replayed:
        if body.from_seq is not None:
            return Replayed(from_seq=call.store.send_from(webhook, body.from_seq))
        letters = call.store.send_again(webhook, body.event)
        if body.event is not None and not letters:
            raise no_such("dead letter")
        return Replayed(letters=letters)

    replayed: Replayed = await call.keep(work)
    return replayed


@route("POST", _HOOK + "/test", "webhooks:write", answer=Tested, acts=True, errors=("busy",))
async def test(call: Call) -> Tested:
    """Send a vaxel.test event now, and tell what the answer was. It works for a webhook that is
    disabled, too."""
    hook = _hook(call)
    if TESTS.locked():
        raise Problem(503, "busy", "too many webhooks are being tested: try again in a moment")
    event = Event(tenant=call.tenant, at_ms=call.now_ms, kind=TEST, data={"webhook": hook.id})
    body = cloud_event(event)
    answer, error = None, ""
    outside = _outside(bool(call.parts.settings.get("webhooks_to_private", False)))
    async with TESTS, outside.line(hook.url) as line:
        try:
            answer = await line.post(body, headers(hook, event, body, call.now_ms))
            check(answer)
        except NotSent as refusal:
            error = str(refusal)
    tested = Tested(sent=not error, error=error, status=answer.status if answer else 0,
                    took_ms=answer.took_ms if answer else 0, answer=answer.text if answer else "")
    await call.keep(functools.partial(_note, call.store, hook.id, event, tested))
    return tested


def _note(store: Any, webhook: int, event: Event, tested: Tested) -> Tested:
    store.add_attempts(webhook, [Attempt(
        event=0, at_ms=event.at_ms, took_ms=tested.took_ms, status=tested.status,
        error=tested.error)])
    return tested


@functools.cache
def _outside(private: bool) -> Outside:
    return Outside(private=private)


@route("POST", _HOOK + "/rotate", "webhooks:write", answer=NewSecret)
async def rotate(call: Call) -> NewSecret:
    """A new secret. The one before signs too for 24 hours, as a second signature in the same
    header."""
    row, secret = _row(call), new_secret()
    shown = NewSecret(secret=secret, old_until_ms=call.now_ms + OLD_SECRET_MS)

    def work(writer: SqliteWriter) -> NewSecret:
        before: Any = writer.get("webhook", row.id)
        writer.replace(msgspec.structs.replace(before, secret=secret))
        call.store.keep_old_secret(row.id, before.secret, shown.old_until_ms)
        return shown

    rotated: NewSecret = await call.change("webhook secret rotated", work)
    return rotated
