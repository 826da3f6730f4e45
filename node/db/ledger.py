"""The ledger on SQLite: the one connection that writes and checkpoints, called inline on the trio thread.

Inline, because SQL on a thread starves beside a busy one (sqlite3 hands the interpreter lock back at every row), and
because nothing can then come between two statements of a transaction: no cancellation, no other task.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol

from netsky.node.db.limits import CACHE_KIB, PAGES_MAX, STATEMENTS_CACHED, WAL_BYTES_KEPT, WAL_PAGES
from netsky.node.seams.ledger import NO_ROWS, LedgerBroken, LedgerFull, LedgerUnusable, Row, Statement, Value

APPLICATION_ID = int.from_bytes(b"nsky")
"""Stands in the header of the file; any other number there is somebody else's database."""

SQLITE_NEEDED = (3, 37, 0)
"""STRICT tables; RETURNING is older."""

MARK_AT = 68
"""Where it stands there."""

CHUNK_BYTES = 1 << 20
"""Of the log, read and written at once."""

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


class Cursor(Protocol):
    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def close(self) -> None: ...


class Connection(Protocol):
    """What of a connection is used here. It raises sqlite3.Error with SQLite's own code, or nothing."""

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, sql: str, values: Sequence[Value] = ..., /) -> Cursor: ...

    def executemany(self, sql: str, values: Sequence[Sequence[Value]], /) -> Cursor: ...

    def close(self) -> None: ...


class SqliteLedger:
    """See `netsky.node.seams.ledger.Ledger`. Made by `ledger_on` only."""

    def __init__(self, connection: Connection) -> None:
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
        check_sizes(path, *sizes(path))
        _renew_log(path)
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
        return ledger_on(connection, path, self._pages_max)


def _renew_log(path: str) -> None:
    """Writes the log once more as it is, and syncs it.

    After a sync that failed the system takes what was written for synced, shows it to whoever opens the file next, and
    has it in memory alone: a power cut leaves a hole there, and all that was acknowledged behind it would be lost.
    Before anybody connects, since whoever does writes back at his end what the log shows: half of that beside a log
    with a hole is a damaged file.
    """
    try:
        log = os.open(f"{path}-wal", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LedgerUnusable(_not_written(path, error)) from error
    try:
        if not _is_marked(path):  # a log of somebody else is not ours to write
            return
        at = 0
        while chunk := os.pread(log, CHUNK_BYTES, at):
            at += os.pwrite(log, chunk, at)
        if at:
            os.fsync(log)
    except OSError as error:
        raise LedgerUnusable(_not_written(path, error)) from error
    finally:
        os.close(log)


def _is_marked(path: str) -> bool:
    with open(path, "rb") as file:
        file.seek(MARK_AT)
        return int.from_bytes(file.read(4)) == APPLICATION_ID


def _not_written(path: str, error: OSError) -> str:
    return f"{path}-wal cannot be written: {error}. Check the disk, and the owner and permissions of the file."


def ledger_on(connection: Connection, path: str, pages_max: int = PAGES_MAX) -> SqliteLedger:
    """What was connected, checked and set up: the same on every disk that a ledger lies on."""
    try:
        check_ours(connection, path)
        _set_up(connection, path, pages_max)
    except sqlite3.Error as error:
        connection.close()
        raise LedgerUnusable(unusable_sentence(path, error)) from error
    except LedgerUnusable:
        connection.close()
        raise
    return SqliteLedger(connection)


def sqlite_error(message: str, code: int, name: str) -> sqlite3.Error:
    """For a connection that is not Python's own: the error that Python's own would raise."""
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return error


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


def sizes(path: str) -> tuple[int, int]:
    """Of the file and of its log; 0 for what is not there."""
    try:
        return _size(path), _size(f"{path}-wal")
    except OSError as error:
        raise LedgerUnusable(f"{path} cannot be opened: {error}. Check its owner and permissions.") from error


def check_sizes(path: str, size: int, log: int) -> None:
    """SQLite takes an empty file for a new database and throws a log beside it away: here that is a damage."""
    if size == 0 and log > 0:
        raise LedgerUnusable(damaged_sentence(path, "it is empty or missing, but its write-ahead log is not"))


def _size(path: str) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def check_ours(connection: Connection, path: str) -> None:
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if mark == 0 and objects == 0:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    elif mark != APPLICATION_ID:
        raise LedgerUnusable(f"{path} is the database of another program; move it away and start again.")


def _set_up(connection: Connection, path: str, pages_max: int) -> None:
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
