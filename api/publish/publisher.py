"""From the store to the kernel: a base when there is none or it is worn, an overlay entry for every
change, live state after a start.

A change is visible to every process when publish() returns: the API answers after that.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog

from api.proof.proof import refuse
from api.publish.commits import Commits
from api.publish.packer import Packer, Records, sources_of
from routing_core import Live, OverlayFull, SnapshotError, build, mapping
from routing_core.rows import COLUMNS
from store import NotFound, SqliteStore
from store.model import Event, Presence, Revision
from store.sqlite import SqliteWriter

log = structlog.get_logger()

#: Order in which the compiler wants the tables, and how their rows are sorted.
ORDER = {
    "tenant": "id", "user": "id", "device": "id", "number": "id", "activity": "id",
    "forward": "user, id", "ring_group": "id", "member": "ring_group, priority, id",
    "service": "id", "schedule": "id", "trunk": "id", "route": "ifnull(tenant, 0), id",
    "area": "id", "caller_rule": "id", "contact": "id",
}
#: How worn an overlay may be before a new base is compiled beside it.
WORN = 0.25
#: More changes than this after a start are not replayed one by one.
CATCH_UP = 5000

_T = TypeVar("_T")


def compile_base(store: SqliteStore, state: Path) -> tuple[int, int]:
    """Write a base of what the store says now; (generation, revision). Not in force yet."""
    builder = build.BaseBuilder(mapping.plans())
    connection = store.read_transaction()
    try:
        revision = store.revision()
        for table, order in ORDER.items():
            builder.add(table, store.select(table, COLUMNS[table], order=order))
        builder.add("trunk_source", sources_of(store.select("trunk", ("id", "sources"))))
    finally:
        connection.close()
    return mapping.write_base(state, builder, revision), revision


class Undone(Exception):
    """Nothing of it is to be kept."""


class Publisher:
    """The one writer of the overlay in force, and of presence and log-ins in the live state."""

    def __init__(self, store: SqliteStore, state: Path,
                 noted: Callable[[int, float], None] = lambda _parts, _seconds: None) -> None:
        """noted(changes, seconds): see Commits."""
        self.store = store
        self.commits = Commits(store, noted)
        self.packer = Packer(store)
        self.state = state
        self.live: Live = mapping.open_live(state)
        #: Told of each revision, before whoever made it is.
        self.published: Callable[[Revision], None] = lambda _revision: None
        self.generation = 0
        self._compiling: asyncio.Task[None] | None = None
        self._start()
        self._fill_live()

    # -- at start -----------------------------------------------------------------------------

    def _start(self) -> None:
        generation = mapping.generation_in_force(self.state)
        same_boot = _same_boot(self.state)
        try:
            mapping.open_snapshot(self.state, generation)
            self.overlay = mapping.open_overlay(self.state, generation)
            self.generation = generation
            if not same_boot:
                raise SnapshotError("the machine was restarted: what was not synced may be lost")
            behind = self.store.revision() - self.overlay.revision
            if not 0 <= behind <= CATCH_UP:
                raise SnapshotError(f"{behind} revisions behind")
            self._replay(self.overlay.revision)
        except (SnapshotError, OverlayFull) as error:
            log.info("compiling a new base", reason=str(error))
            self._use(*compile_base(self.store, self.state))

    def _use(self, generation: int, revision: int) -> None:
        self.overlay = mapping.open_overlay(self.state, generation)
        self._replay(revision)
        self.generation = generation
        mapping.put_in_force(self.state, generation)

    def _replay(self, after: int) -> None:
        while missed := self.store.revisions(after=after, limit=500):
            for revision in missed:
                self.overlay.publish(self.packer.records(revision.changes), revision.id)
            after = missed[-1].id

    def _fill_live(self) -> None:
        for presence in self.store.presences():
            self.live.set_presence(presence.user, presence.activity or 0, presence.until)
        out = {member for member, logged_in in self.store.logins() if not logged_in}
        for (member,) in self.store.select("member", ("id",)):
            self.live.set_logged_in(member, member not in out)

    # -- changes ------------------------------------------------------------------------------

    async def change(self, author: str, at_ms: int, note: str,
                     work: Callable[[SqliteWriter], _T], by: str = "") -> tuple[Revision, _T]:
        """Run work, commit it as one revision, and make that visible to every process; what it
        returned.

        The records are packed before the commit, so that nothing is stored that cannot be compiled.
        """
        kept: list[tuple[_T, Records]] = []

        def packed(writer: SqliteWriter) -> None:
            result = work(writer)
            refuse(writer, at_ms // 1000)
            kept.append((result, self.packer.records(writer.changes)))

        revision = await self.commits.run(
            lambda: self.store.change(author, at_ms, note, packed, by),
            lambda revision: self.publish(revision, kept[0][1]), whole=True)
        return revision, kept[0][0]

    async def change_apart(self, author: str, at_ms: int, note: str,
                           work: Callable[[SqliteWriter], _T], by: str = "",
                           keep: bool = True) -> _T:
        """change() of much at once, in a thread: others read meanwhile, and their changes wait.
        keep False: attempt()."""
        kept: list[tuple[_T, Records]] = []

        def run() -> Revision | None:
            store = SqliteStore(self.store.path)

            def packed(writer: SqliteWriter) -> None:
                result = work(writer)
                refuse(writer, at_ms // 1000)
                kept.append((result, Packer(store).records(writer.changes)))
                if not keep:
                    raise Undone

            try:
                return store.change(author, at_ms, note, packed, by)
            except Undone:
                return None
            finally:
                store.close()

        async def whole() -> _T:
            async with self.commits.alone():
                revision = await asyncio.to_thread(run)
                if revision is not None:
                    self.publish(revision, kept[0][1])
            return kept[0][0]

        return await asyncio.shield(whole())  # whoever asked may go: what is begun is published

    async def attempt(self, at_ms: int, work: Callable[[SqliteWriter], _T]) -> _T:
        """All that change() does before its commit, and undone: what work returned."""
        results: list[_T] = []

        def tried() -> None:
            writer = self.store.writer()
            results.append(work(writer))
            refuse(writer, at_ms // 1000)
            self.packer.records(writer.changes)
            raise Undone

        with contextlib.suppress(Undone):
            await self.commits.run(tried)
        return results[0]

    def publish(self, revision: Revision, records: Records | None = None) -> None:
        """Make a committed revision visible to every process."""
        self.published(revision)
        if records is None:
            records = self.packer.records(revision.changes)
        try:
            self.overlay.publish(records, revision.id)
        except OverlayFull:
            self._use(*compile_base(self.store, self.state))
        for change in revision.changes:
            if change.table == "member" and (change.before is None or change.after is None):
                self.live.set_logged_in(change.id, change.after is not None)
            elif change.table == "user" and change.after is None:
                self.live.set_presence(change.id, 0, 0)
        if self.overlay.fill > WORN and self._compiling is None:
            self._compiling = asyncio.get_running_loop().create_task(self._compile())

    async def set_presence(self, tenant: int, presence: Presence) -> None:
        """Keep, tell and publish what a user does."""
        await self.commits.run(
            lambda: self._keep(tenant, presence.changed_ms, "presence", msgspec.to_builtins(
                presence), lambda: self.store.set_presence(presence)),
            lambda _: self.live.set_presence(presence.user, presence.activity or 0, presence.until))

    async def end_presence(self, tenant: int, over: Presence) -> None:
        """Somebody is available again by the time that was set, unless it was set anew meanwhile.
        """
        then = Presence(user=over.user, activity=None, source="end", changed_ms=over.until * 1000)

        def work() -> bool:
            if self.store.presence(over.user) != over:
                return False
            self._keep(tenant, then.changed_ms, "presence", msgspec.to_builtins(then),
                       lambda: self.store.set_presence(then))
            return True

        def publish(done: bool) -> None:
            if done:
                self.live.set_presence(over.user, 0, 0)

        await self.commits.run(work, publish)

    async def set_login(self, tenant: int, member: int, logged_in: bool, now_ms: int) -> None:
        """Keep, tell and publish a member's log-in."""
        await self.commits.run(
            lambda: self._keep(tenant, now_ms, "login", {"member": member, "logged_in": logged_in},
                               lambda: self.store.set_login(member, logged_in, now_ms)),
            lambda _: self.live.set_logged_in(member, logged_in))

    def _keep(self, tenant: int, now_ms: int, kind: str, data: Any,
              keep: Callable[[], None]) -> None:
        keep()
        self.store.add_events([Event(tenant=tenant, at_ms=now_ms, kind=kind, data=data)])

    async def _compile(self) -> None:
        """A new base beside the one in force, in a process of its own; then swap."""
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "api.compile", str(self.state),
                stdout=asyncio.subprocess.PIPE)
            out, _ = await process.communicate()
            if process.returncode == 0:
                generation, revision = map(int, out.split())
                self._use(generation, revision)
            else:
                log.error("the base could not be compiled", exit=process.returncode)
        finally:
            self._compiling = None

    def names(self, table: str, id_: int) -> str:
        """A row's name, for people."""
        if not id_:
            return "nobody's"
        try:
            row: Any = self.store.get(table, id_)
        except NotFound:
            return f"{table} {id_}"
        return f"{table.replace('ring_', '')} {row.name}"


def _same_boot(state: Path) -> bool:
    """Whether the machine has run since this was asked last. Overlays are not synced: after a
    power failure they may lack pages."""
    now = Path("/proc/sys/kernel/random/boot_id").read_text()
    path = state / "boot"
    before = path.read_text() if path.exists() else ""
    path.write_text(now)
    return now == before
