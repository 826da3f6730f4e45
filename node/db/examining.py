"""Whether a start would take this meta.db, found out without changing it: for `netsky doctor` while no node runs."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from urllib.parse import quote

from netsky.node.db import node_state
from netsky.node.db.ledger import check_ours, check_sizes, sizes, unusable_sentence
from netsky.node.db.opening import begin
from netsky.node.seams.ledger import LedgerBroken, LedgerUnusable, Row, Statement, Value


def examine(path: str, program: str, key: str) -> Value:
    """LedgerUnusable with the sentence of a start; else this value of `node_state`. To be called with the lock held."""
    check_sizes(path, *sizes(path))
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        return None  # a start makes a new one
    try:
        connection = sqlite3.connect(
            f"file:{quote(os.path.abspath(path))}?mode=ro", uri=True, timeout=0, isolation_level=None
        )
        with closing(connection):
            check_ours(connection, path)
            return _as_a_start_would(_ReadOnly(connection), path, program, key)
    except sqlite3.Error as error:
        if _would_write(error):
            return None  # not one table yet
        raise LedgerUnusable(unusable_sentence(path, error)) from error


def _as_a_start_would(ledger: _ReadOnly, path: str, program: str, key: str) -> Value:
    """A start looks first and writes last, so it is run up to the first thing that it would write."""
    with suppress(_AllWasCheckedError):
        begin(ledger, path, 0, program).send(None)
        raise AssertionError("a start marks the file as in use")
    tables = ledger.rows(Statement("SELECT count(*) FROM sqlite_schema WHERE name = 'node_state'"))
    return node_state.value(ledger.rows(node_state.get(key))) if tables == [(1,)] else None


def _would_write(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF == sqlite3.SQLITE_READONLY


class _AllWasCheckedError(Exception):
    """The next statement would be the first that writes."""


class _ReadOnly:
    """The ledger seam over a connection that cannot write. It waits for nothing, so it needs no loop."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def transaction(self, statements: Sequence[Statement]) -> list[list[Row]]:
        try:
            return [self.rows(statement) for statement in statements]
        except sqlite3.Error as error:
            if _would_write(error):
                raise _AllWasCheckedError from None
            raise LedgerBroken(str(error)) from error

    def rows(self, statement: Statement) -> list[Row]:
        return self._connection.execute(statement.sql, statement.values).fetchall()

    def close(self) -> None:
        self._connection.close()
