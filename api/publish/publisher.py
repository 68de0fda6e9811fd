"""From the store to the kernel: a base when there is none or it is worn, an overlay entry for every
change, live state after a start.

A change is visible to every process when publish() returns: the API answers after that.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import structlog

from api.proof.proof import refuse
from routing_core import Live, OverlayFull, SnapshotError, build, mapping, overlay
from routing_core.rows import COLUMNS
from store import NotFound, SqliteStore
from store.model import Change, Presence, Revision
from store.sqlite import SqliteWriter

log = structlog.get_logger()

CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"
#: Order in which the compiler wants the tables, and how their rows are sorted.
ORDER = {
    "tenant": "id", "user": "id", "device": "id", "number": "id", "activity": "id",
    "forward": "user, id", "ring_group": "id", "member": "ring_group, priority, id",
    "service": "id", "schedule": "id", "trunk": "id", "route": "ifnull(tenant, 0), id",
    "area": "id", "caller_rule": "id",
}
#: How worn an overlay may be before a new base is compiled beside it.
WORN = 0.25
#: More changes than this after a start are not replayed one by one.
CATCH_UP = 5000

Records = dict[tuple[str, int], bytes]


def plans() -> dict[str, Any]:
    """The countries' numbering plans."""
    found: dict[str, Any] = json.loads((CONFIGS / "number_plans.json").read_text())
    return found


def compile_base(store: SqliteStore, state: Path) -> tuple[int, int]:
    """Write a base of what the store says now; (generation, revision). Not in force yet."""
    builder = build.BaseBuilder(plans())
    connection = store.read_transaction()
    try:
        revision = store.revision()
        for table, order in ORDER.items():
            builder.add(table, store.select(table, COLUMNS[table], order=order))
        builder.add("trunk_source", _sources(store.select("trunk", ("id", "sources"))))
    finally:
        connection.close()
    return mapping.write_base(state, builder, revision), revision


def _sources(rows: Iterable[tuple[Any, ...]]) -> Iterable[tuple[str, int]]:
    return [(source, trunk) for trunk, sources in rows for source in json.loads(sources)]


class Publisher:
    """The one writer of the overlay in force, and of presence and log-ins in the live state."""

    def __init__(self, store: SqliteStore, state: Path) -> None:
        self.store = store
        self.state = state
        self.live: Live = mapping.open_live(state)
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
                self.overlay.publish(self.records(revision.changes), revision.id)
            after = missed[-1].id

    def _fill_live(self) -> None:
        for presence in self.store.presences():
            self.live.set_presence(presence.user, presence.activity or 0, presence.until)
        out = {member for member, logged_in in self.store.logins() if not logged_in}
        for (member,) in self.store.select("member", ("id",)):
            self.live.set_logged_in(member, member not in out)

    # -- changes ------------------------------------------------------------------------------

    def change(self, author: str, at_ms: int, note: str,
               work: Callable[[SqliteWriter], object]) -> Revision:
        """Run work, commit it as one revision, and make that visible to every process.

        The records are packed before the commit, so that nothing is stored that cannot be compiled.
        """
        records: Records = {}

        def packed(writer: SqliteWriter) -> None:
            work(writer)
            refuse(writer, at_ms // 1000)
            records.update(self.records(writer.changes))

        revision = self.store.change(author, at_ms, note, packed)
        self.publish(revision, records)
        return revision

    def publish(self, revision: Revision, records: Records | None = None) -> None:
        """Make a committed revision visible to every process."""
        if records is None:
            records = self.records(revision.changes)
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

    def set_presence(self, presence: Presence) -> None:
        """Keep and publish what a user does."""
        self.store.set_presence(presence)
        self.live.set_presence(presence.user, presence.activity or 0, presence.until)

    def set_login(self, member: int, logged_in: bool, now_ms: int) -> None:
        """Keep and publish a member's log-in."""
        self.store.set_login(member, logged_in, now_ms)
        self.live.set_logged_in(member, logged_in)

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

    # -- what a change touches ----------------------------------------------------------------

    def records(self, changes: Iterable[Change]) -> Records:
        """The overlay entries of some changes, from what the store says now."""
        touched: set[tuple[str, Any]] = set()
        gone: Records = {}
        for change in changes:
            for row in (change.before, change.after):
                if row is not None:
                    touched.update(_touched(change.table, change.id, row))
            if change.before is not None:
                gone.update(_gone(change.table, change.before))
        found = gone
        for table, key in sorted(touched, key=str):
            found.update(getattr(self, f"_{table}")(key))
        return found

    def _row(self, table: str, id_: int) -> tuple[Any, ...] | None:
        return next(iter(self.store.select(table, COLUMNS[table], id=id_)), None)

    def _tenant(self, id_: int) -> Records:
        row = self._row("tenant", id_)
        if row is None:
            return {("tenant", id_): b"", ("routes", id_): b""}
        return overlay.pack_tenant(row, self._routes_of(id_))

    def _routes_of(self, tenant: int | None) -> list[tuple[Any, ...]]:
        return list(self.store.select("route", COLUMNS["route"], tenant=tenant))

    def _routes(self, tenant: int) -> Records:
        return {("routes", tenant): overlay.pack_routes(self._routes_of(tenant or None))}

    def _user(self, id_: int) -> Records:
        row = self._row("user", id_)
        if row is None:
            return {("user", id_): b"", ("forwards", id_): b""}
        select = self.store.select
        rules = list(select("caller_rule", ("number", "rule"), user=id_))
        records: Records = overlay.pack_user(
            row, list(select("device", COLUMNS["device"], user=id_)),
            list(select("forward", COLUMNS["forward"], user=id_)),
            list(select("number", ("kind", "e164"), target_user=id_)), bool(rules))
        if row[2] is not None:
            records.update(overlay.pack_extension(row[1], row[2], "user", id_))
        for number, rule in rules:
            records.update(overlay.pack_caller_rule(id_, number, rule))
        return records

    def _device(self, id_: int) -> Records:
        row = self._row("device", id_)
        return {("device", id_): b""} if row is None else overlay.pack_device(row)

    def _number(self, e164: str) -> Records:
        row = next(iter(self.store.select("number", COLUMNS["number"], e164=e164)), None)
        return {("number", int(e164[1:])): b""} if row is None else overlay.pack_number(row)

    def _activity(self, id_: int) -> Records:
        row = self._row("activity", id_)
        return {("activity", id_): b""} if row is None else overlay.pack_activity(row)

    def _ring_group(self, id_: int) -> Records:
        row = self._row("ring_group", id_)
        if row is None:
            return {("group", id_): b"", ("members", id_): b""}
        records: Records = overlay.pack_group(row, list(self.store.select(
            "member", COLUMNS["member"], order=ORDER["member"], ring_group=id_)))
        if row[2] is not None:
            records.update(overlay.pack_extension(row[1], row[2], "group", id_))
        return records

    def _service(self, id_: int) -> Records:
        row = self._row("service", id_)
        if row is None:
            return {("service", id_): b""}
        records: Records = overlay.pack_service(row)
        if row[2] is not None:
            records.update(overlay.pack_extension(row[1], row[2], "service", id_))
        return records

    def _schedule(self, id_: int) -> Records:
        row = self._row("schedule", id_)
        return {("schedule", id_): b"", ("rules", id_): b""} if row is None \
            else overlay.pack_schedule(row)

    def _trunk(self, id_: int) -> Records:
        row = self._row("trunk", id_)
        if row is None:
            return {("trunk", id_): b""}
        records: Records = overlay.pack_trunk(row)
        for source, trunk in _sources(self.store.select("trunk", ("id", "sources"), id=id_)):
            records.update(overlay.pack_source(source, trunk))
        return records

    def _area(self, id_: int) -> Records:
        row = self._row("area", id_)
        return {("area", id_): b""} if row is None else overlay.pack_area(row)

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


def _touched(table: str, id_: int, row: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """(what to pack anew, its key) when a row comes, goes or changes."""
    if table in ("tenant", "user", "activity", "ring_group", "schedule", "trunk", "area",
                 "service"):
        yield table, id_
    elif table == "device":
        yield "device", id_
        yield "user", row["user"]
    elif table == "number":
        yield "number", row["e164"]
        target = row["target"]
        if target and target["kind"] == "user":
            yield "user", target["user"]
    elif table in ("forward", "caller_rule"):
        yield "user", row["user"]
    elif table == "member":
        yield "ring_group", row["ring_group"]
    elif table == "route":
        yield "routes", row["tenant"] or 0


def _gone(table: str, row: dict[str, Any]) -> Records:
    """Entries under a key that the row had; what has the key now comes after and wins."""
    if table in ("user", "ring_group", "service") and row["extension"] is not None:
        kind = "group" if table == "ring_group" else table
        return dict.fromkeys(overlay.pack_extension(row["tenant"], row["extension"], kind, 1), b"")
    if table == "device":
        return {("username", overlay.text_hash(row["username"])): b""}
    if table == "trunk":
        return {key: b"" for source in row["sources"] for key in overlay.pack_source(source, 1)}
    if table == "caller_rule":
        return dict.fromkeys(overlay.pack_caller_rule(row["user"], row["number"], None), b"")
    return {}
