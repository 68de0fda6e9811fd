"""The overlay entries of a change: what it touches, packed from what the store says now."""

import json
from collections.abc import Iterable
from typing import Any

from routing_core import overlay
from routing_core.rows import COLUMNS
from store import SqliteStore
from store.model import Change

Records = dict[tuple[str, int], bytes]
#: How the members of a group are sorted.
MEMBERS = "ring_group, priority, id"


def sources_of(rows: Iterable[tuple[Any, ...]]) -> Iterable[tuple[str, int]]:
    """(source, trunk) of trunks' ids and sources."""
    return [(source, trunk) for trunk, sources in rows for source in json.loads(sources)]


class Packer:
    """Reads a store; also inside a change under way."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store

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
            "member", COLUMNS["member"], order=MEMBERS, ring_group=id_)))
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
        for source, trunk in sources_of(self.store.select("trunk", ("id", "sources"), id=id_)):
            records.update(overlay.pack_source(source, trunk))
        return records

    def _area(self, id_: int) -> Records:
        row = self._row("area", id_)
        return {("area", id_): b""} if row is None else overlay.pack_area(row)

    def _caller_name(self, key: tuple[int, str]) -> Records:
        return overlay.pack_caller_name(*key, self.store.caller_name(*key))


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
    elif table == "contact":
        for number in row["numbers"]:
            yield "caller_name", (row["tenant"], number["e164"])
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
