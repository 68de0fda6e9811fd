"""Which steps of migrations.py a database has been through, and whether this program knows them."""

import sqlite3

from store.errors import NewerStore
from store.migrations import migrations


def step_names() -> list[str]:
    """The steps that this program knows, in order."""
    return [step.name for step in migrations._migrations]


def applied_steps(connection: sqlite3.Connection) -> list[str]:
    """The steps that a database has been through, in order."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?",
                              (migrations.migrations_table,)).fetchone():
        return []
    return [name for name, in connection.execute(
        f"SELECT name FROM {migrations.migrations_table} "  # noqa: S608
        "WHERE migration_set = ? ORDER BY rowid", (migrations.name,))]


def refuse_newer(connection: sqlite3.Connection) -> None:
    """Raise NewerStore for a database that a newer version of the exchange has changed."""
    known = step_names()
    newer = [step for step in applied_steps(connection) if step not in known]
    if newer:
        raise NewerStore("the database was changed by a newer version of the exchange "
                         f"({', '.join(newer)}): install that version, or restore a backup")
