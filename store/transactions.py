"""A transaction that writes: all of it is kept, durably, or none."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from store.errors import StoreBusy


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """with writing(connection): ...; takes the write lock first. StoreBusy."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        raise StoreBusy(str(error)) from error
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
