"""A consistent copy of meta.db, and what such a copy needs before a node starts from it."""

from __future__ import annotations

import os
import sqlite3

from netsky.node.db.ledger import APPLICATION_ID, unusable_sentence
from netsky.node.db.query import open_read_only
from netsky.node.errors import NetskyError, Refused


def copy_closed(source: str, target: str) -> None:
    """While no daemon runs: the caller holds the lock."""
    try:
        connection, _ = open_read_only(source)
        connection.set_authorizer(None)
        try:
            _copy(connection, target)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise NetskyError(unusable_sentence(source, error), next="netsky doctor", code="database_unreadable") from error


def _copy(connection: sqlite3.Connection, target: str) -> None:
    new_file(target)
    copy = sqlite3.connect(target)
    try:
        connection.backup(copy)
        finish_copy(copy)
    finally:
        copy.close()


def new_file(path: str) -> None:
    """Readable by its owner alone from the first moment; raises OSError if something is there."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def finish_copy(copy: sqlite3.Connection) -> None:
    """One file, and nothing beside it."""
    copy.execute("PRAGMA journal_mode = DELETE").close()


def ready_to_start(path: str) -> None:
    """Checks a copy, and makes its actors get what they had not taken: files of that time may be gone. Those that are
    still there are found by their name, and not written twice."""
    connection = sqlite3.connect(path)
    try:
        if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
            raise sqlite3.DatabaseError("it is not the database of a netsky node")
        [(found,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
        if found != "ok":
            raise sqlite3.DatabaseError(str(found))
        with connection:
            connection.execute(
                "UPDATE inbox SET state = 'committed', projected_at = NULL, claimed_at = NULL WHERE state = 'projected'"
            )
    except sqlite3.Error as error:
        raise Refused(
            f"the database in the backup is not used: {error}", next="take an older backup", code="backup_damaged"
        ) from error
    finally:
        connection.close()
