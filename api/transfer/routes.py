"""Several changes as one, and whole companies out and in."""

import asyncio
from typing import Any, Final

import msgspec

from api.config.routes import AREAS, imported
from api.http import rights
from api.http.errors import Problem, invalid
from api.http.later import run_all
from api.http.route import Call, Reply, route
from api.revisions.moment import revision_of
from api.transfer.document import PARTS, Import, Lines, export
from api.transfer.shapes import Batch, BatchDone, ExportQuery, Imported, ImportQuery
from api.transfer.tables import fields_of, from_csv, from_zip, to_csv, zipped
from store.model import Row
from store.sqlite import SqliteStore, SqliteWriter

MAX_BYTES: Final = 64 << 20
#: In JSON, rows and what they hold: some hundred bytes of memory each.
MAX_OBJECTS: Final = 1_000_000
BATCH: Final = "/v1/tenants/{tenant}/batch"


@route("POST", BATCH, "transfer:write", body=Batch, answer=BatchDone, tag="config", name="batch",
       errors=("conflict", "still_referenced", "unknown_reference", "unsafe_routing"))
async def batch(call: Call) -> Any:
    """Make several changes as one.

    Each operation is a method, a path and a body as they would be sent alone, with the rights that
    they need alone. They are made in order; all are one revision, or nothing is changed.
    """
    body: Batch = call.body
    return await call.change(
        f"{len(body.operations)} changes",
        lambda writer: BatchDone(run_all(call, body.operations, writer)))


@route("GET", "/v1/tenants/{tenant}/export", "transfer:read", query=ExportQuery,
       answer=dict[str, Any], media="application/json, text/csv, application/zip")
async def export_company(call: Call) -> Any:
    """Export a company: a JSON document, or a zip of CSV files. Without keys and passwords, and
    without what the caller may not read otherwise."""
    query: ExportQuery = call.query
    if query.table and query.table not in PARTS:
        raise invalid("table", f"one of {', '.join(PARTS)}")
    tables = [name for name, table in PARTS.items() if query.table in ("", name)
              and call.who.grants.get(f"{AREAS[table]}:read") == rights.ALL]
    if query.table and not tables:
        raise Problem(403, "forbidden", f"this needs {query.table}:read")
    if query.secrets:
        call.note_audit("exported secrets")
    revision = revision_of(call, query.as_of) if query.as_of else None

    def read() -> bytes:
        store = SqliteStore(call.store.path)
        try:
            found = export(store, call.tenant, revision, query.secrets, tables)
        finally:
            store.close()
        if query.format == "json":
            return msgspec.json.encode(found)
        if query.table:
            return to_csv(found[query.table], fields_of(query.table))
        return zipped(found)

    kind, name = ("application/json", f"company-{call.tenant}.json") if query.format == "json" \
        else ("text/csv", f"{query.table}.csv") if query.table \
        else ("application/zip", f"company-{call.tenant}.zip")
    return Reply(await asyncio.to_thread(read), 200, {
        "Content-Disposition": f'attachment; filename="{name}"', "Content-Type": kind})


@route("POST", "/v1/tenants/{tenant}/import", "transfer:write", query=ImportQuery, body=bytes,
       takes="application/json, text/csv, application/zip", stream=True, answer=Imported,
       errors=("too_large", "unsupported_media", "conflict", "still_referenced",
               "unknown_reference", "unsafe_routing"))
async def import_company(call: Call) -> Any:
    """Import a company, or a part of it: a document as export gives it, or CSV.

    A row whose id the company does not have is new, others are changed in the fields that are
    there. All of it becomes one revision, or nothing is changed.
    """
    query: ImportQuery = call.query
    data = await _received(call)
    kind = call.request.headers.get("content-type", "application/json").partition(";")[0].strip()
    document, lines = await asyncio.to_thread(_understood, data, kind, query.table)

    def may(table: str, row: Row | None, now: Row | None, writer: SqliteWriter) -> Any:
        return imported(table, row, call, now, writer)

    plan = Import(document, query.mode, may, lines, query.copy)

    def work(writer: SqliteWriter) -> Imported:
        done = plan.run(writer, call.tenant, query.dry_run)
        if done.deleted != (query.deletes or 0) and not query.dry_run:
            raise Problem(409, "conflict", f"this deletes {done.deleted} rows: say so with "
                          f"deletes={done.deleted}, or leave mode=replace", "deletes")
        return done

    return await call.parts.publisher.change_apart(
        call.who.name, call.now_ms, "import", work, call.who.by, keep=not query.dry_run)


async def _received(call: Call) -> bytes:
    """The body; Problem 413."""
    data = bytearray()
    stream: Any = call.request.stream
    while part := await stream.read():
        data += part
        if len(data) > MAX_BYTES:
            raise Problem(413, "too_large", f"at most {MAX_BYTES >> 20} MB at once: import one "
                          "table after the other")
    return bytes(data)


def _understood(data: bytes, kind: str, table: str) -> tuple[dict[str, Any], Lines]:
    """The document, and where its rows stand in a file."""
    if kind in ("application/zip", "text/csv"):
        sheets = from_zip(data) if kind == "application/zip" else {table: from_csv(table, data)}
        return ({name: sheet.rows for name, sheet in sheets.items()},
                {name: sheet.lines for name, sheet in sheets.items()})
    if kind != "application/json" and not kind.endswith("+json"):
        raise Problem(415, "unsupported_media", "application/json, application/zip or text/csv")
    if data.count(b"{") > MAX_OBJECTS:
        raise Problem(413, "too_large", "too many objects: import one table after the other")
    try:
        found = msgspec.json.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "malformed", "the body is not JSON") from error
    if not isinstance(found, dict):
        raise invalid("", "the body is an object")
    return found, {}
