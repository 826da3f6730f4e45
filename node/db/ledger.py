"""The ledger on SQLite: the one connection that writes and checkpoints, called inline on the trio thread.

Inline, because SQL on a thread starves beside a busy one (sqlite3 hands the interpreter lock back at every row), and
because nothing can then come between two statements of a transaction: no cancellation, no other task.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence

from netsky.node.db.limits import CACHE_KIB, PAGES_MAX, STATEMENTS_CACHED, WAL_BYTES_KEPT, WAL_PAGES
from netsky.node.seams.ledger import NO_ROWS, LedgerBroken, LedgerFull, LedgerUnusable, Row, Statement

APPLICATION_ID = int.from_bytes(b"nsky")
"""Stands in the header of the file; any other number there is somebody else's database."""

SQLITE_NEEDED = (3, 37, 0)
"""STRICT tables; RETURNING is older."""

START_SECONDS = 1.0
"""At the start alone: who reads the file of a killed node puts its log in order, and keeps all others out meanwhile."""

_FULL = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
)  # the latter: no room to grow the index of the log
_BROKEN = frozenset(
    {
        sqlite3.SQLITE_BUSY,  # nobody else may write this file: whoever does is a danger to it
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


class SqliteLedger:
    """See `netsky.node.seams.ledger.Ledger`. Made by `SqliteLedgers.open` only."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._broken: str | None = None

    async def transaction(self, statements: Sequence[Statement]) -> list[list[Row]]:
        if self._broken is not None:
            raise LedgerBroken(self._broken)
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            rows = [self._run(statement) for statement in statements]
            execute("COMMIT")
        except sqlite3.Error as error:
            raise self._judged(error) from error
        except BaseException:  # an interrupt between two statements must not leave half a transaction open
            self._roll_back()
            raise
        return rows

    def _run(self, statement: Statement) -> list[Row]:
        if statement is NO_ROWS:
            return []
        if statement.many is not None:
            self._connection.executemany(statement.sql, statement.many)
            return []
        return self._connection.execute(statement.sql, statement.values).fetchall()

    def _judged(self, error: sqlite3.Error) -> Exception:
        """Whose fault it was, in the seam's words, with the transaction undone."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        undone = self._roll_back()
        if undone and (code in _FULL or code & 0xFF in _FULL):
            return LedgerFull(f"No room left for meta.db ({error}).")
        if not undone or code & 0xFF in _BROKEN:
            self._broken = f"meta.db failed: {error} ({getattr(error, 'sqlite_errorname', 'unknown')})."
            return LedgerBroken(self._broken)
        return AssertionError(f"a statement of ours is wrong: {error}")

    def _roll_back(self) -> bool:
        if not self._connection.in_transaction:  # some errors make SQLite roll back by itself
            return True
        try:
            self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._broken = f"meta.db failed while undoing a transaction: {error}."
            return False
        return True

    def close(self) -> None:
        """The last connection also writes the log back and removes it."""
        self._broken = "meta.db is closed."
        self._connection.close()


class SqliteLedgers:
    """Opens meta.db, or says in a sentence why not. Nothing of a foreign file is changed."""

    def __init__(self, pages_max: int = PAGES_MAX) -> None:
        self._pages_max = pages_max

    def open(self, path: str) -> SqliteLedger:
        if sqlite3.sqlite_version_info < SQLITE_NEEDED:
            needed = ".".join(map(str, SQLITE_NEEDED))
            raise LedgerUnusable(
                f"SQLite {sqlite3.sqlite_version} is too old; install a Python with {needed} or later."
            )
        _check_empty_file(path)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            connection = sqlite3.connect(
                path,
                timeout=START_SECONDS,
                isolation_level=None,
                cached_statements=STATEMENTS_CACHED,
                check_same_thread=True,
            )
        except (OSError, sqlite3.Error) as error:
            raise LedgerUnusable(f"{path} cannot be opened: {error}. Check its owner and permissions.") from error
        try:
            _check_ours(connection, path)
            if _size(f"{path}-wal"):
                _begin_a_new_log(connection)
            _set_up(connection, path, self._pages_max)
        except sqlite3.Error as error:
            connection.close()
            raise LedgerUnusable(unusable_sentence(path, error)) from error
        except LedgerUnusable:
            connection.close()
            raise
        return SqliteLedger(connection)


def unusable_sentence(path: str, error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return f"{path} is in use by another program; close it (see `fuser {path}`) and start again."
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return damaged_sentence(path, str(error))
    return f"{path} cannot be used: {error}. Check the disk, and the owner and permissions of the file."


def damaged_sentence(path: str, detail: str) -> str:
    return (
        f"{path} is damaged: {' '.join(detail.split())}. Nothing was changed. Move it aside together with {path}-wal "
        f"and {path}-shm, put a backup in its place or none, and start again."
    )


def _check_empty_file(path: str) -> None:
    """SQLite takes an empty file for a new database and throws a log beside it away: here that is a damage."""
    try:
        size, log = _size(path), _size(f"{path}-wal")
    except OSError as error:
        raise LedgerUnusable(f"{path} cannot be opened: {error}. Check its owner and permissions.") from error
    if size == 0 and log > 0:
        raise LedgerUnusable(damaged_sentence(path, "it is empty or missing, but its write-ahead log is not"))


def _size(path: str) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def _check_ours(connection: sqlite3.Connection, path: str) -> None:
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if mark == 0 and objects == 0:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    elif mark != APPLICATION_ID:
        raise LedgerUnusable(f"{path} is the database of another program; move it away and start again.")


def _begin_a_new_log(connection: sqlite3.Connection) -> None:
    """What a killed life left in its log is written back before anything is written behind it.

    Its last sync may have failed. Then the system shows frames that are not on the disk, no later sync writes them, and
    after a loss of power nothing behind that hole would be read. Whoever reads the old log still keeps us from that:
    he ends soon, and the fault would have to meet him, too.
    """
    connection.execute("PRAGMA synchronous = FULL").close()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


def _set_up(connection: sqlite3.Connection, path: str, pages_max: int) -> None:
    settings = {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL: the log is synced in every commit, before anybody is told
        "foreign_keys": 1,
        "secure_delete": 0,  # on in some builds: whatever ends here would go through the log once more, as zeros
        "busy_timeout": 0,
        "mmap_size": 0,  # a fault of the disk must come as an error, not as a signal
        "cache_size": -CACHE_KIB,
        "journal_size_limit": WAL_BYTES_KEPT,
        "wal_autocheckpoint": WAL_PAGES,
        "max_page_count": pages_max,
    }
    for name, wanted in settings.items():
        connection.execute(f"PRAGMA {name} = {wanted}").close()
    for name, wanted in settings.items():
        row = connection.execute(f"PRAGMA {name}").fetchone()
        if row is None or row[0] != wanted:
            found = "nothing" if row is None else row[0]
            raise LedgerUnusable(
                f"{path} is kept with {name} = {found} where {wanted} is needed; "
                "move the home to a local disk whose file system can do that."
            )
