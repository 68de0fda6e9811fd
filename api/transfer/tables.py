"""Rows as CSV and back, and a company as a zip of them.

The first line names the fields; what is no text is JSON. A cell that a spreadsheet would take for a
formula begins with an apostrophe, which is taken away again; numbers such as +46701234567 stay.
"""

import csv
import functools
import io
import lzma
import re
import zipfile
import zlib
from typing import Any, Final, NamedTuple

import msgspec

from api.http.errors import Problem, all_invalid, invalid
from api.http.faults import MAX_FAULTS, Fault
from api.transfer import sheets
from api.transfer.document import PARTS
from store.model import TABLES

MAX_MEMBERS: Final = 40
#: Unpacked, in all: a small zip may hold very much of nothing.
MAX_BYTES: Final = 64 << 20
#: Of one table; empty ones are small, too.
MAX_ROWS: Final = 200_000
MAX_LINES: Final = 1_000_000
_FORMULA: Final = re.compile(r"[=+\-@\t\r\n]")
_PLAIN: Final = re.compile(r"[+-]?[0-9][0-9.]*")


def safe(text: str) -> str:
    """A cell that no spreadsheet takes for a formula (CWE-1236)."""
    risky = _FORMULA.match(text) and not _PLAIN.fullmatch(text)
    return "'" + text if risky or text.startswith("'") else text


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return safe(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def to_csv(rows: list[dict[str, Any]], names: list[str]) -> bytes:
    """UTF-8 with a mark, as spreadsheets expect it; lines end as RFC 4180 says."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([[_cell(row.get(name)) for name in names] for row in rows])
    return "\ufeff".encode() + out.getvalue().encode()


def zipped(document: dict[str, Any]) -> bytes:
    """One CSV a table, and the company."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in PARTS.keys() & document.keys():
            archive.writestr(f"{name}.csv", to_csv(document[name], fields_of(name)))
        archive.writestr("company.csv", to_csv([document["company"]], list(document["company"])))
    return out.getvalue()


def fields_of(name: str) -> list[str]:
    """The columns of a part of a company."""
    return [field for field in TABLES[PARTS[name]].__struct_fields__ if field != "tenant"]


class Sheet(NamedTuple):
    """The rows of a table, and the line of the file at which each ends."""

    rows: list[dict[str, Any]]
    lines: list[int]


def from_csv(name: str, data: bytes) -> Sheet:
    """The rows of one table; Problem with all that is wrong."""
    if name not in PARTS:
        raise invalid("table", f"one of {', '.join(PARTS)}")
    found = Sheet([], [])
    faults: list[Fault] = []
    try:
        lines = sheets.lines_of(sheets.text_of(data))
        names = [one.strip(sheets.BLANK) for one in next(lines, (0, []))[1]]
        for one in names:
            if one not in TABLES[PARTS[name]].__struct_fields__ or names.count(one) > 1:
                faults.append(Fault(field=f"{name}.{one[:40]}", line=1, column=one[:40],
                                    detail="no such column, or it is there twice"))
        if faults:
            raise all_invalid(faults[:MAX_FAULTS])
        for line, cells in lines:
            if len(found.rows) >= MAX_ROWS or line > MAX_LINES:
                raise Problem(413, "too_large", f"{name}: at most {MAX_ROWS} rows at once")
            if sheets.empty(cells):
                continue
            if len(cells) != len(names):
                faults.append(Fault(field=f"{name}[{len(found.rows)}]", line=line,
                                    detail=f"{len(cells)} cells under {len(names)} names"))
                cells = (cells + [""] * len(names))[:len(names)]
            found.lines.append(line)
            found.rows.append({key: _value(name, key, cell) for key, cell
                               in zip(names, cells, strict=True)
                               if cell.strip(sheets.BLANK) != "" or _is_text(name, key)})
    except UnicodeDecodeError as error:
        raise Problem(400, "malformed", f"{name}: neither UTF-8 nor Windows-1252") from error
    except csv.Error as error:
        raise Problem(400, "malformed", f"{name}[{len(found.rows)}]: {error}") from error
    if faults:
        raise all_invalid(faults[:MAX_FAULTS])
    return found


@functools.cache
def _kinds(name: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        field.name: field.type for field in msgspec.structs.fields(TABLES[PARTS[name]])}
    return found


@functools.cache
def _is_text(name: str, key: str) -> bool:
    """Whether an empty cell is an empty text; elsewhere it is nothing said."""
    schema = msgspec.json.schema(_kinds(name)[key])
    return schema.get("type") == "string" and not schema.get("minLength") \
        and "pattern" not in schema and "enum" not in schema


@functools.cache
def _may_be_text(name: str, key: str) -> bool:
    schema = msgspec.json.schema(_kinds(name)[key])
    return any(one.get("type", "string" if "enum" in one else "object") == "string"
               for one in schema.get("anyOf", [schema]))


@functools.cache
def _is_truth(name: str, key: str) -> bool:
    return bool(msgspec.json.schema(_kinds(name)[key]).get("type") == "boolean")


def _value(name: str, key: str, cell: str) -> Any:
    if not _is_text(name, key):
        cell = cell.strip(sheets.BLANK)
    if cell.startswith("'"):
        cell = cell[1:]
    if _is_truth(name, key):
        said = sheets.truth(cell)
        return cell if said is None else said
    if _may_be_text(name, key):
        return cell
    try:
        return msgspec.json.decode(cell)
    except msgspec.DecodeError:
        return cell


def from_zip(data: bytes) -> dict[str, Sheet]:
    """{part: its rows} of a zip of CSVs; Problem."""
    document: dict[str, Sheet] = {}
    left = MAX_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise Problem(413, "too_large", f"more than {MAX_MEMBERS} files in the zip")
            for member in members:
                name = member.filename.removesuffix(".csv")
                if member.filename == "company.csv":
                    continue
                if name not in PARTS or member.filename == name:
                    raise invalid(member.filename[:60], "there is no such part of a company")
                with archive.open(member) as file:
                    unpacked = file.read(left + 1)
                left -= len(unpacked)
                if left < 0:
                    raise Problem(413, "too_large",
                                  f"more than {MAX_BYTES >> 20} MB in the zip")
                if name in document:
                    raise invalid(member.filename, "it is there twice")
                document[name] = from_csv(name, unpacked)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, EOFError, OSError,
            ValueError) as error:
        raise Problem(400, "malformed", f"the zip cannot be read: {error}") from error
    return document
