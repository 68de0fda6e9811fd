"""Lamps: who watches a colleague's line (RFC 4235) or a mailbox (RFC 3842) is told of each change.

What is told is derived from the live state each time it is looked at, never from events: so a lamp
cannot stay lit. Each NOTIFY says the whole state.
"""

import asyncio
import time
from typing import Any, Final

import structlog

from callcontrol import dialogs
from callcontrol.desk import Desk
from callcontrol.sofia.stack import Record, Text
from callcontrol.sofia.ua import Subscription
from routing_core import handover
from routing_core.codes import LineState
from routing_core.handover import Handover
from store.errors import StoreError

log = structlog.get_logger()

LOOK_S: Final = 0.1
#: A mailbox is counted in the store: less often.
LOOK_MAILBOX_S: Final = 0.5
#: A subscription is short: when this process has died, the next refresh finds another.
LEAST_S, MOST_S = 60, 600
MAX_WATCHERS: Final = 20_000
DIALOG: Final = "dialog"
MAILBOX: Final = "message-summary"


class _Watcher:
    """A subscription and what it was told last."""

    def __init__(self, subscription: Subscription, tenant: int, about: int, called: str,
                 entity: str) -> None:
        self.subscription = subscription
        self.tenant = tenant
        self.about = about  # a user, or a mailbox
        self.called = called  # the user's extension
        self.entity = entity
        self.until = 0.0
        self.told: Any = None
        self.version = 0


class Watch:
    """All watchers of this process."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._watchers: dict[int, _Watcher] = {}
        self._calls: dict[int, list[Any]] | None = None

    def subscribed(self, subscription: Subscription, record: Record) -> None:
        """A telephone asks to be told; only with the edge's word on whose it is."""
        desk = self._desk
        event = record.text[Text.EVENT_TYPE] or ""
        try:
            word = handover.unseal(Handover, record.text[Text.DECISION] or "", desk.key,
                                   desk.clock())
        except ValueError:
            word = None
        if word is None:
            desk.count("unsigned_subscription")
            subscription.refuse(403)
            return
        about = 0
        if event == DIALOG:
            about = desk.user_of_extension(word.tenant, word.called)
        elif event == MAILBOX:
            found = desk.store.mailboxes_for(word.caller_user)
            about = found[0].id if found else 0
        if not about or len(self._watchers) >= MAX_WATCHERS:
            subscription.refuse(404 if event in (DIALOG, MAILBOX) else 489)
            return
        watcher = _Watcher(subscription, word.tenant, about, word.called,
                           f"sip:{word.called}@{desk.edge}")
        self._watchers[subscription.number] = watcher
        subscription.on_refresh = lambda expires: self._refresh(watcher, event, expires)
        self._refresh(watcher, event, record.expires)

    def _refresh(self, watcher: _Watcher, event: str, expires: int) -> None:
        """Also the end: Expires 0 is answered with the state and no more."""
        granted = min(max(expires, LEAST_S), MOST_S) if expires else 0
        watcher.until = time.monotonic() + granted
        watcher.subscription.accept(event, granted)
        watcher.told = self._calls = None
        self._look(watcher)
        if not granted:
            self._drop(watcher)

    async def run(self) -> None:
        """Until cancelled."""
        mailboxes_at = 0.0
        while True:
            now = time.monotonic()
            self._calls = None
            mailboxes = now >= mailboxes_at
            if mailboxes:
                mailboxes_at = now + LOOK_MAILBOX_S
            for watcher in list(self._watchers.values()):
                if watcher.subscription.over or now > watcher.until:
                    self._drop(watcher)
                elif mailboxes or watcher.subscription.event == DIALOG:
                    try:
                        self._look(watcher)
                    except StoreError as error:
                        log.warning("watching", error=str(error))
            await asyncio.sleep(LOOK_S)

    def _look(self, watcher: _Watcher) -> None:
        desk, left_s = self._desk, int(watcher.until - time.monotonic() + 0.999)
        if watcher.subscription.event == DIALOG:
            line = LineState(desk.live.line_state(watcher.about, int(desk.clock())))
            dialog = None if line == LineState.IDLE else dialogs.dialog_of(
                self._calls_of(watcher.about), watcher.about, watcher.called, line)
            state: Any = line, dialog
        else:
            state = desk.store.message_counts(watcher.about)
        if state == watcher.told:
            return
        if watcher.subscription.event == DIALOG:
            body = dialogs.document(desk, watcher.tenant, watcher.version, watcher.entity,
                                    watcher.about, *state)
            kind = "application/dialog-info+xml"
        else:
            body = message_summary(watcher.entity, *state)
            kind = "application/simple-message-summary"
        watcher.told = state
        watcher.version += 1
        watcher.subscription.notify(body, kind, max(left_s, 0))

    def _calls_of(self, user: int) -> list[Any]:
        """Looked up once for all watchers of a round."""
        if self._calls is None:
            self._calls = dialogs.by_user(self._desk.live)
        return self._calls.get(user, [])

    def _drop(self, watcher: _Watcher) -> None:
        self._watchers.pop(watcher.subscription.number, None)
        if not watcher.subscription.over:
            watcher.subscription.end()


def message_summary(account: str, new: int, saved: int) -> str:
    """RFC 3842 section 5.2."""
    return (f"Messages-Waiting: {'yes' if new else 'no'}\r\nMessage-Account: {account}\r\n"
            f"Voice-Message: {new}/{saved} (0/0)\r\n")
