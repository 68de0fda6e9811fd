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
from typing import Any, Final

import msgspec

from api.http.errors import Problem, invalid
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
        for name in PARTS:
            archive.writestr(f"{name}.csv", to_csv(document[name], fields_of(name)))
        archive.writestr("company.csv", to_csv([document["company"]], list(document["company"])))
    return out.getvalue()


def fields_of(name: str) -> list[str]:
    """The columns of a part of a company."""
    return [field for field in TABLES[PARTS[name]].__struct_fields__ if field != "tenant"]


def from_csv(name: str, data: bytes) -> list[dict[str, Any]]:
    """The rows of one table; Problem."""
    if name not in PARTS:
        raise invalid("table", f"one of {', '.join(PARTS)}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(400, "malformed", f"{name}: not UTF-8") from error
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[dict[str, Any]] = []
    try:
        names = [one.strip() for one in next(lines, [])]
        for one in names:
            if one not in TABLES[PARTS[name]].__struct_fields__ or names.count(one) > 1:
                raise invalid(f"{name}.{one[:40]}", "no such column, or it is there twice")
        for line in lines:
            if len(rows) >= MAX_ROWS or lines.line_num > MAX_LINES:
                raise Problem(413, "too_large", f"{name}: at most {MAX_ROWS} rows at once")
            if not line:
                continue
            if len(line) != len(names):
                raise invalid(f"{name}[{len(rows)}]", f"{len(line)} cells under {len(names)} names")
            rows.append({key: _value(name, key, cell) for key, cell in zip(names, line, strict=True)
                         if cell != "" or _is_text(name, key)})
    except csv.Error as error:
        raise Problem(400, "malformed", f"{name}[{len(rows)}]: {error}") from error
    return rows


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


def _value(name: str, key: str, cell: str) -> Any:
    if cell.startswith("'"):
        cell = cell[1:]
    if _may_be_text(name, key):
        return cell
    try:
        return msgspec.json.decode(cell)
    except msgspec.DecodeError:
        return cell


def from_zip(data: bytes) -> dict[str, Any]:
    """The document of a zip of CSVs; Problem."""
    document: dict[str, Any] = {}
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
