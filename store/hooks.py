"""Where webhooks are in the events of their companies, in the embedded store. See port.py."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from store.errors import NotFound
from store.model import Event
from store.transactions import writing

#: So many attempts of a webhook are kept.
KEEP_ATTEMPTS = 1000


class HookState(Struct, frozen=True, kw_only=True):
    """seq: of the last event that is dealt with; tries: of the next one so far; gone_ms: when the
    other side said that it is gone for good, until the webhook is saved again; version:
    another one when it was saved, or is to begin elsewhere."""

    webhook: int
    seq: int
    tries: int = 0
    next_ms: int = 0
    gone_ms: int = 0
    error: str = ""
    version: int = 1
    old_secret: str = ""
    old_until_ms: int = 0


class DueHook(Struct, frozen=True, kw_only=True):
    """A webhook to which something may be sent, with where it is."""

    id: int
    tenant: int
    url: str
    kinds: tuple[str, ...]
    secret: str
    state: HookState
    again: bool  # a dead letter is to be sent again


class Attempt(Struct, frozen=True, kw_only=True):
    """One time that an event was sent. event: its seq; status: 0 when there was no answer."""

    id: int = 0
    event: int
    at_ms: int
    took_ms: int
    status: int
    error: str = ""


class DeadLetter(Struct, frozen=True, kw_only=True):
    """An event that was given up. again: it is about to be sent once more."""

    event: int
    at_ms: int
    tries: int
    status: int
    error: str
    again: bool = False


_STATE = ", ".join(f"state.{name}" for name in HookState.__struct_fields__)
_DUE = (f"SELECT webhook.id, tenant, url, kinds, secret, EXISTS (SELECT 1 FROM dead_letter "  # noqa: S608
        f"WHERE dead_letter.webhook = webhook.id AND again = 1), {_STATE} "
        "FROM webhook JOIN webhook_state AS state ON state.webhook = webhook.id ")


class Hooks:
    """A part of SqliteStore, with its connection."""

    _db: sqlite3.Connection

    def due_hooks(self, now_ms: int) -> list[DueHook]:
        return self._hooks("WHERE enabled AND gone_ms = 0 AND next_ms <= ? ORDER BY webhook.id",
                           now_ms)

    def hook(self, webhook: int) -> DueHook:
        found = self._hooks("WHERE webhook.id = ?", webhook)
        if not found:
            raise NotFound(f"no webhook {webhook}")
        return found[0]

    def _hooks(self, rest: str, *parameters: Any) -> list[DueHook]:
        return [DueHook(
            id=id_, tenant=tenant, url=url, kinds=tuple(msgspec.json.decode(kinds)), secret=secret,
            again=bool(again),
            state=HookState(**dict(zip(HookState.__struct_fields__, state, strict=True))))
            for id_, tenant, url, kinds, secret, again, *state
            in self._db.execute(f"{_DUE} {rest}", parameters)]

    def event(self, seq: int) -> Event | None:
        """None: it is not kept any more."""
        row = self._db.execute("SELECT tenant, at_ms, kind, call, data FROM event WHERE seq = ?",
                               (seq,)).fetchone()
        if row is None:
            return None
        tenant, at_ms, kind, call, data = row
        return Event(seq=seq, tenant=tenant, at_ms=at_ms, kind=kind, call=call,
                     data=msgspec.json.decode(data))

    def oldest_event(self) -> int:
        found: int | None = self._db.execute("SELECT min(seq) FROM event").fetchone()[0]
        return self._newest_event() + 1 if found is None else found

    # -- what became of it --------------------------------------------------------------------

    def add_attempts(self, webhook: int, attempts: Sequence[Attempt]) -> None:
        with writing(self._db):
            self._attempts(webhook, attempts)

    def hook_sent(self, state: HookState, seq: int, attempts: Sequence[Attempt],
                  dead: Sequence[DeadLetter] = ()) -> bool:
        with writing(self._db):
            self._attempts(state.webhook, attempts)
            moved = self._db.execute(
                "UPDATE webhook_state SET seq = ?1, next_ms = 0, "
                "tries = iif(?5, tries, 0), error = iif(?5, error, '') "
                "WHERE webhook = ?2 AND seq = ?3 AND version = ?4",
                (seq, state.webhook, state.seq, state.version, bool(dead))).rowcount
            if moved:
                self._bury(state.webhook, dead)
        return bool(moved)

    def hook_failed(self, state: HookState, attempts: Sequence[Attempt], *, error: str,
                    next_ms: int = 0, gone_ms: int = 0) -> None:
        with writing(self._db):
            self._attempts(state.webhook, attempts)
            self._db.execute(
                "UPDATE webhook_state SET tries = tries + 1, next_ms = ?, gone_ms = ?, error = ? "
                "WHERE webhook = ? AND seq = ? AND version = ?",
                (next_ms, gone_ms, error[:500], state.webhook, state.seq, state.version))

    def hooks_seen(self, seen: Iterable[tuple[int, int, int]]) -> None:
        with writing(self._db):
            self._db.executemany("UPDATE webhook_state SET seq = ?3 WHERE webhook = ?1 "
                                 "AND version = ?2 AND seq < ?3 AND tries = 0", seen)

    def _attempts(self, webhook: int, attempts: Sequence[Attempt]) -> None:
        self._db.executemany(
            "INSERT INTO webhook_attempt (webhook, event, at_ms, took_ms, status, error) "
            "SELECT id, ?, ?, ?, ?, ? FROM webhook WHERE id = ?",
            [(one.event, one.at_ms, one.took_ms, one.status, one.error[:500], webhook)
             for one in attempts])

    def _bury(self, webhook: int, dead: Sequence[DeadLetter]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO dead_letter (webhook, event, at_ms, tries, status, error) "
            "SELECT id, ?, ?, ?, ?, ? FROM webhook WHERE id = ?",
            [(one.event, one.at_ms, one.tries, one.status, one.error[:500], webhook)
             for one in dead])

    def attempts(self, webhook: int, *, before: int = 0, limit: int = 100) -> list[Attempt]:
        return [Attempt(id=id_, event=event, at_ms=at_ms, took_ms=took, status=status, error=error)
                for id_, event, at_ms, took, status, error in self._db.execute(
                    "SELECT id, event, at_ms, took_ms, status, error FROM webhook_attempt "
                    "WHERE webhook = ?1 AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3",
                    (webhook, before, limit))]

    # -- once more ----------------------------------------------------------------------------

    def dead_letters(self, webhook: int, *, after: int = 0, limit: int = 100,
                     again: bool = False) -> list[DeadLetter]:
        more = " AND again = 1" if again else ""
        return [DeadLetter(event=event, at_ms=at_ms, tries=tries, status=status, error=error,
                           again=bool(once_more))
                for event, at_ms, tries, status, error, once_more in self._db.execute(
                    "SELECT event, at_ms, tries, status, error, again FROM dead_letter "  # noqa: S608
                    f"WHERE webhook = ? AND event > ?{more} ORDER BY event LIMIT ?",
                    (webhook, after, limit))]

    def count_dead_letters(self, webhook: int) -> int:
        found: int = self._db.execute("SELECT count(*) FROM dead_letter WHERE webhook = ?",
                                      (webhook,)).fetchone()[0]
        return found

    def send_again(self, webhook: int, event: int | None = None) -> int:
        with writing(self._db):
            count = self._db.execute(
                "UPDATE dead_letter SET again = 1 WHERE webhook = ?1 "
                "AND (?2 IS NULL OR event = ?2)", (webhook, event)).rowcount
            self._db.execute("UPDATE webhook_state SET next_ms = 0 WHERE webhook = ? AND ?",
                             (webhook, count))
        return count

    def letter_sent(self, webhook: int, event: int, attempts: Sequence[Attempt],
                    dead: Sequence[DeadLetter] = ()) -> None:
        with writing(self._db):
            self._attempts(webhook, attempts)
            self._db.execute("DELETE FROM dead_letter WHERE webhook = ? AND event = ?",
                             (webhook, event))
            self._bury(webhook, dead)

    def send_from(self, webhook: int, seq: int) -> int:
        with writing(self._db):
            start = min(max(seq, self.oldest_event()) - 1, self._newest_event())
            self._db.execute(
                "UPDATE webhook_state SET seq = ?, tries = 0, next_ms = 0, error = '', "
                "version = version + 1 WHERE webhook = ?", (start, webhook))
            self._db.execute("DELETE FROM dead_letter WHERE webhook = ? AND event > ?",
                             (webhook, start))
        return start + 1

    def _newest_event(self) -> int:
        found: int = self._db.execute(
            "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'").fetchone()[0]
        return found

    def keep_old_secret(self, webhook: int, secret: str, until_ms: int) -> None:
        self._db.execute(
            "UPDATE webhook_state SET old_secret = ?, old_until_ms = ? WHERE webhook = ?",
            (secret, until_ms, webhook))

    def tidy_hooks(self, now_ms: int, limit: int = 10_000) -> None:
        with writing(self._db):
            self._db.execute(
                "DELETE FROM webhook_attempt WHERE id IN (SELECT id FROM (SELECT id, row_number() "
                "OVER (PARTITION BY webhook ORDER BY id DESC) AS place FROM webhook_attempt) "
                "WHERE place > ? LIMIT ?)", (KEEP_ATTEMPTS, limit))
            self._db.execute("DELETE FROM dead_letter WHERE event < ?", (self.oldest_event(),))
            self._db.execute("UPDATE webhook_state SET old_secret = '' WHERE old_until_ms <= ? "
                             "AND old_secret != ''", (now_ms,))
