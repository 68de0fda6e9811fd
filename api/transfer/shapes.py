"""Several changes at once, export and import over HTTP."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from api.http.later import Operation
from api.revisions.shapes import RowDiff


class Batch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Writes of configuration that are made together, as one revision, or not at all."""

    operations: Annotated[tuple[Operation, ...], Meta(min_length=1, max_length=1000)]


class BatchDone(Struct, frozen=True):
    """The answer of each, in order; null where there is none."""

    answers: list[Any]


class ExportQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """format csv: a zip of one CSV a table; secrets: of devices and providers, too; as_of: as it
    was at a revision or a time; table: only that one (csv: no zip)."""

    format: Literal["json", "csv"] = "json"
    secrets: bool = False
    as_of: Annotated[str, Meta(max_length=40)] = ""
    table: Annotated[str, Meta(max_length=40)] = ""


class ImportQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """mode merge: rows that are not named stay; replace: they are deleted, when deletes says how
    many those are; dry_run: only say what would be; table: of a single CSV; copy: of another
    company here, whose numbers and accounts are left out, and whose telephones get user names of
    their own."""

    mode: Literal["merge", "replace"] = "merge"
    dry_run: bool = False
    table: Annotated[str, Meta(max_length=40)] = ""
    deletes: Annotated[int, Meta(ge=0)] | None = None
    copy: bool = False


class Made(Struct, frozen=True, kw_only=True):
    """A secret that was made, shown only now; username: a telephone's."""

    table: str
    id: int
    name: str
    secret: str
    username: str = ""


class Imported(Struct, frozen=True, kw_only=True):
    """What was done, or would be. ids: {table: {id of the document: id of the new row}}; diff: the
    first thousand rows that differ."""

    dry_run: bool
    created: int
    changed: int
    deleted: int
    unchanged: int
    ids: dict[str, dict[str, int]]
    secrets: list[Made]
    diff: list[RowDiff]
