"""Sends the events of companies to their webhooks, in order, each at least once.

A webhook has one event under way: the next one goes out when that is acknowledged, or given up. A
failure is tried again as retries.py says. An event that failed for a day is a dead letter, and the
next one is tried at once; when that fails too, the other side is down, and everything that is a day
old is a dead letter. Where a webhook is, is durable; what was sent and not yet written down when
the keeper is killed, is sent again with the same webhook-id.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from api.hooks.envelope import cloud_event, headers
from api.keeping.outside import Answer, Line, NotSent, Outside
from api.keeping.retries import GIVE_UP_MS, retry_ms
from store import SqliteStore, StoreError
from store.hooks import Attempt, DeadLetter, DueHook
from store.model import Event

log = structlog.get_logger()

AT_ONCE, AT_ONCE_OF_A_TENANT = 32, 4
#: A webhook that has more to get lets others go first after so many.
TURN: Final = 100
#: What was sent is written down after so many, at once when it took so long, or at the end of a
#: turn; then it is seen whether the webhook has been changed.
WRITE, SLOW_MS = 10, 200
PAGE: Final = 200
GONE: Final = 410


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Hooks:
    """async with Hooks(store, outside) as hooks: hooks.start_due()

    spread(): from 0 to 1, by which returns are spread out.
    """

    def __init__(self, store: SqliteStore, outside: Outside, now_ms: Callable[[], int] = _now_ms,
                 spread: Callable[[], float] = random.random) -> None:
        self.store = store
        self.outside = outside
        self.now_ms = now_ms
        self.spread = spread
        self._turns: dict[int, asyncio.Task[None]] = {}
        self._tenants: Counter[int] = Counter()
        # {webhook, version: up to where it has nothing to get}; written down by tidy().
        self.seen: dict[tuple[int, int], int] = {}
        self._last: dict[int, int] = {}  # {webhook: number of its last turn}
        self._turn = 0

    async def __aenter__(self) -> "Hooks":
        return self

    async def __aexit__(self, *_error: object) -> None:
        tasks = list(self._turns.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def start_due(self) -> int:
        """Begin the turns of webhooks that have something to get; how many are under way."""
        newest = self.store.last_event()
        due = [hook for hook in self.store.due_hooks(self.now_ms())
               if hook.again or self.reached(hook) < newest]
        for hook in sorted(due, key=lambda hook: self._last.get(hook.id, 0)):
            if len(self._turns) >= AT_ONCE:
                break
            if hook.id in self._turns or self._tenants[hook.tenant] >= AT_ONCE_OF_A_TENANT:
                continue
            self._turn += 1
            self._last[hook.id] = self._turn
            self._tenants[hook.tenant] += 1
            self._turns[hook.id] = asyncio.get_running_loop().create_task(
                self._take_turn(hook, newest))
        return len(self._turns)

    def reached(self, hook: DueHook) -> int:
        """Up to where it needs nothing any more."""
        return max(self.seen.get((hook.id, hook.state.version), 0), hook.state.seq)

    async def settled(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._turns.values(), return_exceptions=True)

    def tidy(self) -> None:
        """Forget old attempts and letters, and write down how far those are that get little."""
        idle = {key: seq for key, seq in self.seen.items() if key[0] not in self._turns}
        self.store.hooks_seen((*key, seq) for key, seq in idle.items())
        for key in idle:
            del self.seen[key]
            self._last.pop(key[0], None)
        self.store.tidy_hooks(self.now_ms())

    async def _take_turn(self, hook: DueHook, newest: int) -> None:
        line = self.outside.line(hook.url)
        turn = Turn(self, hook, line)
        try:
            async with line:
                await turn.letters()
                if await turn.events():
                    self.seen[hook.id, hook.state.version] = newest
        except Exception as error:
            log.exception("webhook failed", webhook=hook.id)
            with contextlib.suppress(StoreError):
                turn.failed(f"a fault of ours: {type(error).__name__}")
        finally:
            del self._turns[hook.id]
            self._tenants[hook.tenant] -= 1


class Turn:
    """What one webhook gets in one turn."""

    def __init__(self, hooks: Hooks, hook: DueHook, line: Line) -> None:
        self.store = hooks.store
        self.hooks = hooks
        self.hook = hook
        self.line = line
        self.state = hook.state  # as it is written down
        self.tries = hook.state.tries
        self.attempts: list[Attempt] = []

    async def letters(self) -> None:
        """Dead letters that are wanted again; one that fails again stays one. When nobody answers
        the others wait for the next turn."""
        for letter in self.store.dead_letters(self.hook.id, limit=TURN, again=True):
            event = self.store.event(letter.event)
            dead: list[DeadLetter] = []
            if event is not None:
                try:
                    await self._send(event)
                except NotSent as error:
                    dead = [self._dead(event, letter.tries + 1, error)]
            self.store.letter_sent(self.hook.id, letter.event, self._written(), dead)
            if dead and not dead[0].status:
                return

    async def events(self) -> bool:
        """Those after the last one; whether it has got all that there are."""
        hook = self.hook
        self._note_lost()
        after, sent, failed = max(self.state.seq, self.hooks.reached(hook)), 0, False
        while sent < TURN:
            page = self.store.events(hook.tenant, after=after, limit=PAGE)
            await asyncio.sleep(0)
            for event in page:
                if hook.kinds and event.kind not in hook.kinds:
                    after = event.seq
                    continue
                try:
                    await self._send(event)
                except NotSent as error:
                    if sent and not self._write(after):
                        return False
                    if error.status == GONE:
                        self.failed(str(error), gone_ms=self.hooks.now_ms())
                        return False
                    if failed or not self._old(event):
                        self._give_up_old(error)
                        self.failed(str(error))
                        return False
                    failed = True
                    if not self._write(event.seq, [self._dead(
                            event, self.tries + 1, error)]):
                        return False
                else:
                    failed, self.tries = False, 0
                after = event.seq
                sent += 1
                if (len(self.attempts) >= WRITE or self._slow()) and not self._write(after):
                    return False
                if sent >= TURN:
                    break
            if len(page) < PAGE and sent < TURN:
                return not self.attempts or self._write(after)
        self._write(after)
        return False

    async def _send(self, event: Event) -> None:
        now, body = self.hooks.now_ms(), cloud_event(event)
        answer: Answer | None = None
        error = ""
        try:
            answer = await self.line.post(body, headers(self.hook, event, body, now))
            check(answer)
        except NotSent as refusal:
            error = str(refusal)
            raise
        finally:
            self.attempts.append(Attempt(
                event=event.seq, at_ms=now, took_ms=answer.took_ms if answer else 0,
                status=answer.status if answer else 0, error=error))

    # -- what became of it --------------------------------------------------------------------

    def _written(self) -> list[Attempt]:
        attempts, self.attempts = self.attempts, []
        return attempts

    def _write(self, seq: int, dead: list[DeadLetter] | None = None) -> bool:
        """False: somebody wants it from elsewhere on, or has deleted it."""
        if seq == self.state.seq:
            return True
        moved = self.store.hook_sent(self.state, seq, self._written(), dead or [])
        self.state = msgspec.structs.replace(self.state, seq=seq)
        return moved

    def _slow(self) -> bool:
        return bool(self.attempts) and self.attempts[-1].took_ms > SLOW_MS

    def failed(self, error: str, gone_ms: int = 0) -> None:
        """It is tried again later, or not before it is saved."""
        now = self.hooks.now_ms()
        log.warning("webhook failed", webhook=self.hook.id, tenant=self.hook.tenant, error=error,
                    gone=bool(gone_ms))
        self.store.hook_failed(
            self.state, self._written(), error=error, gone_ms=gone_ms,
            next_ms=now + retry_ms(self.tries, self.hooks.spread()))

    def _old(self, event: Event) -> bool:
        return self.hooks.now_ms() - event.at_ms > GIVE_UP_MS

    def _give_up_old(self, error: NotSent) -> None:
        """All that is a day old: the other side has been down for as long."""
        hook = self.hook
        while page := self.store.events(hook.tenant, after=self.state.seq, limit=PAGE):
            old = next((place for place, event in enumerate(page) if not self._old(event)),
                       len(page))
            if not old:
                return
            dead = [self._dead(event, self.tries, error) for event in page[:old]
                    if not hook.kinds or event.kind in hook.kinds]
            if not self._write(page[old - 1].seq, dead) or old < len(page):
                return

    def _dead(self, event: Event, tries: int, error: NotSent) -> DeadLetter:
        return DeadLetter(event=event.seq, at_ms=self.hooks.now_ms(), tries=tries,
                          status=error.status, error=str(error))

    def _note_lost(self) -> None:
        oldest = self.store.oldest_event()
        reached = self.hooks.reached(self.hook)
        if oldest > reached + 1:
            log.warning("events were removed before they could be sent", webhook=self.hook.id,
                        after=reached, before=oldest)
            self.attempts.append(Attempt(
                event=oldest - 1, at_ms=self.hooks.now_ms(), took_ms=0, status=0,
                error=f"events {reached + 1} to {oldest - 1} of the exchange are no longer kept: "
                      "those of them that were for this webhook are dropped"))
            self._write(oldest - 1)


def check(answer: Answer) -> None:
    """NotSent unless it is a success."""
    if answer.status // 100 == 3:
        raise NotSent(f"{answer.status}: redirections are not followed", status=answer.status)
    if answer.status // 100 != 2:
        raise NotSent(f"{answer.status} {answer.reason}".strip(), status=answer.status)
