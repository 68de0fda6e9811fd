"""Who changed what, what differs between two moments, and going back (beyond 6)."""

from collections.abc import Iterable
from typing import Any

from api.config.routes import AREAS, RESOURCES, readable
from api.config.shapes import OPERATORS
from api.http import rights
from api.http.errors import Problem, no_such
from api.http.route import Call, route
from api.revisions.history import RowChange, between, difference, put_back, undo
from api.revisions.moment import revision_of
from api.revisions.shapes import (
    Diff,
    DiffQuery,
    RevertBody,
    Reverted,
    RevisionList,
    Revisions,
)
from store.model import Change, Revision
from store.sqlite import SqliteWriter

#: Tables that a company changes itself.
OWNED = frozenset(resource.table for resource in RESOURCES
                  if resource.owned and not resource.given)
#: Revisions that are looked at together.
PAGE = 500


def _shown(revision: Revision, call: Call) -> Revision:
    """Without secrets, without other companies' rows, and without what the caller may not read as a
    row."""
    changes = []
    for change in revision.changes:
        found = next(between([_only(change)], call.tenant or None), None)
        if found is not None and _readable(found, call):
            one = difference(*found)
            changes.append(Change(table=one.table, id=one.id, before=one.before, after=one.after))
    return Revision(id=revision.id, author=revision.author, by=revision.by, at_ms=revision.at_ms,
                    note=revision.note, tenant=revision.tenant, changes=changes)


def _readable(found: RowChange, call: Call) -> bool:
    table, _, before, after = found
    return readable(table, before, call) and readable(table, after, call)


def _only(change: Change) -> Revision:
    return Revision(id=0, author="", at_ms=0, note="", changes=[change])


async def _list(call: Call) -> Revisions:
    query: RevisionList = call.query
    seen, items = query.after, []
    while True:
        found = call.store.revisions(after=seen, limit=PAGE, tenant=call.tenant or None)
        for revision in found:
            seen = revision.id
            if query.by and revision.by != query.by:
                continue
            shown = _shown(revision, call)
            if not _about(shown, query) or (revision.changes and not shown.changes):
                continue
            items.append(shown)
            if len(items) == query.limit:
                return Revisions(items, seen)
        if len(found) < PAGE:
            return Revisions(items, None)


def _about(revision: Revision, query: RevisionList) -> bool:
    return not query.table or any(
        change.table == query.table and query.row in (0, change.id)
        for change in revision.changes)


@route("GET", "/v1/revisions", "revisions:read", own="operator", query=RevisionList,
       answer=Revisions)
async def all_revisions(call: Call) -> Revisions:
    """Everything that was changed, by whom, before and after. Secrets are left out."""
    return await _list(call)


@route("GET", "/v1/tenants/{tenant}/revisions", "revisions:read", query=RevisionList,
       answer=Revisions)
async def revisions(call: Call) -> Revisions:
    """What was changed in a company, by whom, before and after."""
    return await _list(call)


@route("GET", "/v1/tenants/{tenant}/revisions/{revision}", "revisions:read", answer=Revision)
async def revision(call: Call) -> Revision:
    """One revision."""
    found = call.store.revision_of(call.id("revision"))
    shown = _shown(found, call)
    if not shown.changes:
        raise no_such("revision")
    return shown


@route("GET", "/v1/tenants/{tenant}/diff", "revisions:read", query=DiffQuery, answer=Diff)
async def diff(call: Call) -> Diff:
    """What differs in a company between two moments."""
    query: DiffQuery = call.query
    since = revision_of(call, query.since, "since")
    until = revision_of(call, query.until, "until") if query.until else call.store.revision()
    low, high = sorted((since, until))
    found = between(call.store.revisions_between(low, high, call.tenant), call.tenant)
    return Diff(since=since, until=until, items=[
        difference(table, id_, before, after) if since <= until
        else difference(table, id_, after, before) for table, id_, before, after in found
        if _readable((table, id_, before, after), call)])


def _may(call: Call, changes: Iterable[RowChange]) -> list[RowChange]:
    """Of some changes those that the caller may undo: what is the operator's stays, and what the
    caller may not change as a row."""
    found = []
    for table, id_, before, after in changes:
        if call.who.grants.get(f"{AREAS[table]}:write") != rights.ALL:
            continue
        if call.who.tenant is None:
            found.append((table, id_, before, after))
            continue
        if table in OPERATORS and before and after:
            before = before | {name: after.get(name) for name in OPERATORS[table]}
            if before != after:
                found.append((table, id_, before, after))
        elif table in OWNED:
            found.append((table, id_, before, after))
    return found


@route("POST", "/v1/tenants/{tenant}/revisions/{revision}/revert", "revisions:write",
       body=RevertBody, answer=Reverted, tag="config", name="revert_revision",
       errors=("conflict", "still_referenced", "unsafe_routing"))
async def revert(call: Call) -> Any:
    """Undo a revision, or go back to it.

    Without `to` what the revision changed is undone, where nothing else was done to it since. With
    `to` the company is made as it was after that revision or at that time. Keys, accounts,
    providers and webhooks stay as they are.
    """
    body: RevertBody = call.body
    found = call.store.revision_of(call.id("revision"))
    undone = list(between([found], call.tenant))
    if not body.to:
        if not undone:
            raise no_such("revision")
        undone = _may(call, undone)
        if not undone:
            raise Problem(403, "forbidden", "who may not change these rows may not undo this")

    def work(writer: SqliteWriter) -> Reverted:
        if not body.to:
            return Reverted(items=undo(writer, undone))
        then, now = revision_of(call, body.to, "to"), call.store.revision()
        back = _may(call, between(
            call.store.revisions_between(then, now, call.tenant), call.tenant))
        return Reverted(items=put_back(writer, [
            (table, id_, after, before) for table, id_, before, after in back]))

    return await call.change(f"revert {'to ' + body.to if body.to else found.id}", work)
