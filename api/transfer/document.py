"""A company as one document, and what a document makes of a company.

A row whose id the company does not have is a new one; rows name each other by the ids of the
document. So an export can be changed and taken in again, or taken in by another company.
"""

import base64
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from api.config import services
from api.config.placing import ORDER, place
from api.config.routes import RESOURCES, shown
from api.config.shapes import HIDDEN, MADE, OPERATORS
from api.http.errors import Problem, all_invalid, as_problem, invalid, row_of
from api.http.faults import MAX_FAULTS, MAX_VALUE, Fault
from api.revisions.history import difference
from api.transfer.shapes import Imported, Made
from routing_core.build import secret_text
from store import SqliteStore
from store.model import TABLES, Row
from store.sqlite import SqliteWriter

FORMAT: Final = "vaxel-company"
VERSION: Final = 1
MAX_ROWS: Final = 200_000
MAX_DIFF: Final = 1000
#: {name in the document: table}; keys to the API and what the operator gives are
#: not a part of it.
PARTS: Final = {resource.path: resource.table for resource in RESOURCES
                if resource.owned and not resource.given and resource.table != "api_key"}
_NAMES: Final = {table: name for name, table in PARTS.items()}
#: Fields that name rows, wherever they stand: {field: table}.
_NAMED: Final = {
    "user": "user", "group": "ring_group", "ring_group": "ring_group",
    "service": "service", "queue": "service", "activity": "activity", "schedule": "schedule",
    "prompt": "prompt", "invalid_prompt": "prompt", "hold_music": "prompt", "supervisor": "user",
    "welcome": "prompt", "first": "prompt", "repeated": "prompt", "music": "prompt"}
_LISTED: Final = {"listeners": "user", "closures": "schedule", "queues": "service"}
#: Fields by which a row without an id is known again: {table: field}.
KEYS: Final = {"user": "extension", "ring_group": "extension", "service": "extension",
               "number": "e164", "device": "username", "account": "email"}
#: Parts whose rows are one company's on the whole exchange.
OF_ONE: Final = frozenset({"numbers", "accounts"})
#: Fields of which no error repeats the value.
SECRET: Final = frozenset({"secret", "settings"})
#: {part: the line of each row}
Lines = dict[str, list[int]]
_Ids = dict[str, dict[int, int]]


def export(store: SqliteStore, tenant: int, revision: int | None = None,
           with_secrets: bool = False, names: Sequence[str] = ()) -> dict[str, Any]:
    """The company with these of its PARTS, as it is or was."""
    def rows(table: str) -> list[Row]:
        if revision is not None:
            return store.rows_as_of(table, revision, tenant)
        return store.find(table, tenant=tenant, limit=10_000_000)

    def one(table: str, row: Row) -> dict[str, Any]:
        body = msgspec.to_builtins(row) if with_secrets else shown(table, row)
        body.pop("tenant", None)
        return dict(body)

    company = store.row_as_of("tenant", tenant, revision) if revision is not None \
        else store.get("tenant", tenant)
    found: dict[str, Any] = {
        "format": FORMAT, "version": VERSION,
        "revision": store.revision() if revision is None else revision,
        "company": shown("tenant", company)}
    for name in names:
        found[name] = [one(PARTS[name], row) for row in rows(PARTS[name])]
    return found


class Import:
    """Import(document, mode, may).run(writer, tenant): what becomes of the company. may(table,
    row, as it is, writer) is the row as the caller may write it, None: deleted, or the Problem;
    lines: of a file, for errors; copy: see ImportQuery."""

    def __init__(self, document: dict[str, Any], mode: str,
                 may: Callable[[str, Row | None, Row | None, SqliteWriter], Row | None],
                 lines: Lines | None = None, copy: bool = False) -> None:
        if document.get("format", FORMAT) != FORMAT or document.get("version", 1) != VERSION:
            raise invalid("format", f"a document of format {FORMAT}, version {VERSION}")
        unknown = set(document) - {"format", "version", "revision", "company", *PARTS}
        if unknown:
            raise invalid(min(unknown)[:40], "there is no such part of a company")
        if copy:
            document = {name: rows for name, rows in document.items() if name not in OF_ONE}
        self._document, self._mode, self._may = document, mode, may
        self._lines, self._copy = lines or {}, copy
        self._faults: list[Fault] = []
        self._made: list[Made] = []
        self._unnamed: dict[tuple[str, int], int] = {}
        self._sounds: set[str] = set()
        if sum(len(rows) for _, rows in self._parts()) > MAX_ROWS:
            raise Problem(413, "too_large", f"at most {MAX_ROWS} rows at once")

    def _parts(self) -> Iterator[tuple[str, list[Any]]]:
        for name in PARTS:
            rows = self._document.get(name, [])
            if not isinstance(rows, list):
                raise invalid(name, "a list of rows")
            yield name, rows

    def run(self, writer: SqliteWriter, tenant: int, dry_run: bool) -> Imported:
        """Make it so; Problem with the row and the field that are to blame."""
        ids = self._new_ids(writer, tenant)
        rows: list[tuple[str, Row | None, Row | None]] = []
        company = self._document.get("company")
        if company is not None:
            now = writer.get("tenant", tenant)
            body = {name: value for name, value in self._object("company", company).items()
                    if name not in {"id", "name", *OPERATORS["tenant"]}
                    and not (self._copy and name in ("main_number", "support_number"))}
            try:
                rows.append(("tenant", now, msgspec.convert(
                    msgspec.to_builtins(now) | _renamed(body, ids), TABLES["tenant"])))
            except msgspec.ValidationError as error:
                raise _at("company", error) from error
        named: dict[tuple[str, int], str] = {("tenant", tenant): "company"}
        for name, given in self._parts():
            table = PARTS[name]
            before = {row.id: row for row in writer.find(table, tenant=tenant, limit=10_000_000)} \
                if name in self._document else {}
            self._sounds = {getattr(row, "sha256", "") for row in before.values()}
            for index, one in enumerate(given):
                where = f"{name}[{index}]"
                try:
                    row = self._row(writer, table, where, one, ids, tenant, before,
                                    self._unnamed.get((name, index), 0))
                    if (table, row.id) in named:
                        raise invalid(f"{where}.id", f"the same as {named[table, row.id]}")
                except Problem as problem:
                    self._wrong(problem, name, index)
                    continue
                named[table, row.id] = where
                rows.append((table, before.get(row.id), row))
            if self._mode == "replace" and name in self._document:
                gone = [row for id_, row in before.items() if (table, id_) not in named]
                for row in gone:
                    self._may(table, None, row, writer)
                rows += [(table, row, None) for row in gone]
        if self._faults:
            raise all_invalid(self._faults)
        differing = [one for one in rows if one[1] != one[2]]
        try:
            place(writer, differing)
        except Exception as error:
            raise self._blamed(error, writer, named) from error
        return Imported(
            dry_run=dry_run, unchanged=len(rows) - len(differing), secrets=self._made,
            created=sum(now is None for _, now, _ in differing),
            deleted=sum(then is None for _, _, then in differing),
            changed=sum(now is not None and then is not None for _, now, then in differing),
            ids={_NAMES[table]: {str(old): new for old, new in found.items()}
                 for table, found in ids.items() if found},
            diff=[difference(table, (then or now).id,  # type: ignore[union-attr]
                             msgspec.to_builtins(now), msgspec.to_builtins(then))
                  for table, now, then in differing[:MAX_DIFF]])

    def _wrong(self, problem: Problem, name: str, index: int) -> None:
        """One row's faults; when they are many, or more than that a value is not right, at once."""
        if problem.code != "invalid":
            raise problem
        row, lines = self._document[name][index], self._lines.get(name, ())
        for fault in problem.errors or (Fault(field=problem.field, detail=problem.detail),):
            column = fault.field.partition("].")[2].partition(".")[0].partition("[")[0]
            value = row.get(column) if isinstance(row, dict) else None
            self._faults.append(msgspec.structs.replace(
                fault, column=column, line=lines[index] if index < len(lines) else 0,
                value="" if value is None or column in SECRET else str(value)[:MAX_VALUE]))
        if len(self._faults) >= MAX_FAULTS:
            raise all_invalid(self._faults[:MAX_FAULTS])

    @staticmethod
    def _object(where: str, one: Any) -> dict[str, Any]:
        if not isinstance(one, dict):
            raise invalid(where, "an object")
        return dict(one)

    def _new_ids(self, writer: SqliteWriter, tenant: int) -> _Ids:
        """{table: {id of the document: new id}} of the rows that are new."""
        found: _Ids = {}
        for name, given in self._parts():
            table = PARTS[name]
            known = {id_ for id_, in writer.select(table, ("id",), tenant=tenant)}
            key = KEYS.get(table, "")
            places = {value: id_ for id_, value in writer.select(
                table, ("id", key), tenant=tenant) if value is not None} if key else {}
            fresh = writer.next_id(table)
            ids = found.setdefault(table, {})
            for index, one in enumerate(given):
                id_ = self._object(f"{name}[{index}]", one).get("id")
                if id_ is None:
                    there = places.get(one.get(key)) if isinstance(one.get(key), str) else None
                    self._unnamed[name, index] = there or fresh
                    fresh += not there
                    continue
                if not isinstance(id_, int) or isinstance(id_, bool) or abs(id_) >= 1 << 62:
                    raise invalid(f"{name}[{index}].id", "a whole number")
                if id_ not in known and id_ not in ids:
                    ids[id_] = fresh
                    fresh += 1
        return found

    def _row(self, writer: SqliteWriter, table: str, where: str, one: Any, ids: _Ids, tenant: int,
             before: dict[int, Row], unnamed: int) -> Any:
        body = _renamed(self._object(where, one), ids)
        given = body.pop("id", None)
        id_ = unnamed if given is None else ids[table].get(given, given)
        now = before.get(id_)
        try:
            if table == "service" and not _has_digest(body):
                services.take_pin(body)
            self._secrets(table, body, now)
            for name in MADE.get(table, ()):
                if name in body and name not in HIDDEN.get(table, ()) and table != "prompt":
                    raise invalid(name, f"{name} is not the caller's to set")
            if now is not None:
                body = msgspec.to_builtins(now) | body
                if table == "service":
                    services.keep_pin(body, now)
            if table == "prompt" and not (isinstance(body.get("sha256"), str)
                                          and body["sha256"] in self._sounds):
                body |= {"sha256": "", "duration_ms": 0}  # sound that is not this company's
            row: Any = row_of(TABLES[table], body | {"id": id_, "tenant": tenant})
            if row != now:
                row = self._may(table, row, now, writer)
        except (msgspec.ValidationError, Problem) as error:
            raise _at(where, error) from error
        if now is None and table in ("device", "webhook"):
            self._made.append(Made(table=_NAMES[table], id=id_, name=row.name, secret=row.secret,
                                   username=getattr(row, "username", "")))
        return row

    def _secrets(self, table: str, body: dict[str, Any], now: Row | None) -> None:
        """A new row gets what it must have."""
        if now is None and table == "device":
            if self._copy:
                body |= {"username": f"d-{secrets.token_hex(6)}",
                         "secret": secret_text(secrets.token_bytes(16))}
            body.setdefault("secret", secret_text(secrets.token_bytes(16)))
        if now is None and table == "webhook":
            body.setdefault("secret", "whsec_" + base64.b64encode(
                secrets.token_bytes(32)).decode())

    def _blamed(self, error: Exception, writer: SqliteWriter,
                named: dict[tuple[str, int], str]) -> Exception:
        """The error with the row of the document that it is about, as far as that is known."""
        problem = as_problem(error)
        row = getattr(writer, "at", None)
        if problem.status == 500 or row is None or row not in named:
            return error
        return _at(named[row], error)


def _has_digest(service: dict[str, Any]) -> bool:
    """Whether it has a PIN as an export with secrets has it."""
    settings = service.get("settings")
    return isinstance(settings, dict) and isinstance(settings.get("pin"), str) and bool(
        re.fullmatch(r"scrypt\$[0-9a-f]{32}\$[0-9a-f]{32,128}", settings["pin"]))


def _at(where: str, error: Exception) -> Problem:
    """The Problem, there."""
    problem = as_problem(error)
    return Problem(problem.status, problem.code, problem.detail,
                   f"{where}.{problem.field}".rstrip("."), errors=tuple(
                       msgspec.structs.replace(one, field=f"{where}.{one.field}")
                       for one in problem.errors))


def _renamed(value: Any, ids: _Ids, key: str = "") -> Any:
    """With the ids of the new rows in place of those of the document."""
    if isinstance(value, dict):
        return {name: _renamed(one, ids, name) for name, one in value.items()}
    if isinstance(value, list | tuple):
        table = _LISTED.get(key)
        return [ids.get(table, {}).get(one, one) if table and isinstance(one, int)
                else _renamed(one, ids) for one in value]
    table = _NAMED.get(key)
    if table and isinstance(value, int) and not isinstance(value, bool):
        return ids.get(table, {}).get(value, value)
    return value


assert set(PARTS.values()) <= set(ORDER)
