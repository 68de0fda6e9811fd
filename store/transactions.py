"""A transaction that writes: all of it is kept, durably, or none."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from store.errors import StoreBusy


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """with writing(connection): ...; takes the write lock first. StoreBusy.

    Inside another one it is a part of that: undone by itself when it fails, kept with the whole.
    """
    if connection.in_transaction:
        begin, keep, undo = "SAVEPOINT part", "RELEASE part", "ROLLBACK TO part"
    else:
        begin, keep, undo = "BEGIN IMMEDIATE", "COMMIT", ""
    try:
        connection.execute(begin)
    except sqlite3.OperationalError as error:
        raise StoreBusy(str(error)) from error
    try:
        yield
        connection.execute(keep)
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            if undo:
                connection.execute(undo)
                connection.execute(keep)
            else:
                connection.execute("ROLLBACK")
        raise
