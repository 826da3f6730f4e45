"""The shipped ledger on that disk: its own code and settings over a connection of apsw's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import apsw
from netsky.node.db.ledger import SqliteLedger, check_sizes, ledger_on, sqlite_error
from netsky.node.db.limits import STATEMENTS_CACHED
from netsky.node.lab.pages.disk import PowerCut, SyncFailed
from netsky.node.lab.pages.vfs import NAME, Vfs
from netsky.node.seams.ledger import LedgerUnusable, Value

PATH = "/meta.db"
SYNCHRONOUS = {"off": 0, "normal": 1, "full": 2}


class Rows:
    """All of them: an error then comes from where the statement was run."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[Any]:
        return self._rows

    def close(self) -> None:
        pass


NONE = Rows([])


class Connection:
    """As Python's own, with its errors."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._undone = False
        connection.set_rollback_hook(self._was_undone)

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, values: Sequence[Value] = (), /) -> Rows:
        self._undone = False
        try:
            return Rows(self._execute(sql, values).fetchall())
        except apsw.Error as error:
            if sql == "COMMIT" and not self._undone and not self.in_transaction:
                return NONE  # it is committed: what failed came after, the writing back, whose errors SQLite drops
            raise _translated(error) from error

    def executemany(self, sql: str, values: Sequence[Sequence[Value]], /) -> Rows:
        try:
            self._connection.executemany(sql, values).fetchall()
        except apsw.Error as error:
            raise _translated(error) from error
        return NONE

    def close(self) -> None:
        with suppress(apsw.Error):  # SQLite tells nobody that its last writing back failed
            self._connection.close()

    def _was_undone(self) -> None:
        self._undone = True


def _translated(error: apsw.Error) -> Exception:
    code = getattr(error, "extendedresult", getattr(error, "result", apsw.SQLITE_ERROR))
    return sqlite_error(str(error), code, type(error).__name__)


class PageLedgers:
    """An OpenLedger seam. `open` is what `SqliteLedgers.open` is, but for what touches files."""

    def __init__(self, vfs: Vfs, synchronous: str = "full") -> None:
        self._vfs = vfs
        self._synchronous = SYNCHRONOUS[synchronous]
        self._connections: list[apsw.Connection] = []

    def open(self, path: str = PATH) -> SqliteLedger:
        disk = self._vfs.disk
        check_sizes(path, *(len(disk.files[name].data) if name in disk.files else 0 for name in (path, f"{path}-wal")))
        try:
            disk.renew(f"{path}-wal")
        except SyncFailed as error:
            raise LedgerUnusable(f"{path}-wal cannot be written: {error}.") from error
        disk.step("create database" if path not in disk.files else "open database")
        disk.create(path)
        connection = apsw.Connection(path, vfs=NAME, statementcachesize=STATEMENTS_CACHED)
        self._connections.append(connection)
        ledger = ledger_on(Connection(connection), path)
        if self._synchronous != SYNCHRONOUS["full"]:
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")  # planted: the campaign must notice
        return ledger

    def die(self) -> None:
        """The process is no more: nothing of it reaches the disk, and what it shared with others is gone."""
        disk = self._vfs.disk
        if disk.fell is None:
            disk.die("its end")
        while self._connections:
            with suppress(PowerCut, apsw.Error):
                self._connections.pop().close()
