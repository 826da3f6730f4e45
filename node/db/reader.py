"""The second connection to meta.db: reads that may be slow, on a thread of aiosqlite, so that no commit waits.

Only inside `netsky.mesh.trio_loop.trio_as_event_loop`, which makes aiosqlite work on trio. The thread gets little of
the processor beside a busy node: good enough for what may be slow, and the reason why nothing else runs here.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiosqlite
import trio
from netsky.node.db.backup import finish_copy, new_file
from netsky.node.db.ledger import unusable_sentence
from netsky.node.db.limits import QUERIES_WAITING_MAX, QUERY_ROWS_MAX, QUERY_SECONDS, WAL_BYTES_MAX, WAL_GROWTH_MAX
from netsky.node.db.query import Collected, QueryResult, Rules, check, explain, not_a_question, open_read_only
from netsky.node.errors import NetskyError, TryLater, Usage
from netsky.node.seams.ledger import LedgerUnusable, Row, Statement, Value
from netsky.node.seams.time import Time

_LOOK_AGAIN_NS = 20_000_000
"""How often a running query is looked at. An interrupt before its thread has begun is lost, and so repeated."""


@asynccontextmanager
async def open_reader(path: str, time: Time) -> AsyncIterator[Reader]:
    """After the ledger has opened and migrated the file; closed before the ledger is."""
    rules = Rules()

    def connect() -> sqlite3.Connection:
        nonlocal rules
        connection, rules = open_read_only(path)
        return connection

    with trio.CancelScope(shield=True):  # a thread that starts is waited for, or it would outlive us
        try:
            connection = await aiosqlite.Connection(connect, iter_chunk_size=1)
        except sqlite3.Error as error:
            raise LedgerUnusable(unusable_sentence(path, error)) from error
    try:
        yield Reader(connection, rules, time, f"{path}-wal")
    finally:
        with trio.CancelScope(shield=True):
            await connection.close()


class Reader:
    """One query at a time; a few wait in line, the rest is told to come later."""

    def __init__(self, connection: aiosqlite.Connection, rules: Rules, time: Time, log: str) -> None:
        self._connection = connection
        self._rules = rules
        self._time = time
        self._turn = trio.Lock()
        self._log = log
        self._fetching = False
        self._in_the_way = False

    async def query(
        self,
        sql: str,
        params: Sequence[Value] = (),
        *,
        rows_max: int = QUERY_ROWS_MAX,
        seconds: float = QUERY_SECONDS,
    ) -> QueryResult:
        """Its rows, or a NetskyError that says which rule it broke."""
        check(sql)
        if self._turn.statistics().tasks_waiting >= QUERIES_WAITING_MAX:
            raise TryLater(
                f"{QUERIES_WAITING_MAX} queries are waiting already.", next="ask again in a moment", code="queries_busy"
            )
        async with self._turn:
            outcome: QueryResult | NetskyError
            async with trio.open_nursery() as nursery:
                self._fetching, self._in_the_way = True, False
                nursery.start_soon(self._end_it, self._time.monotonic() + int(seconds * 1e9))
                # The thread cannot be cancelled: it is interrupted, and waited for, before anybody else has a turn.
                with trio.CancelScope(shield=True):
                    outcome = await self._outcome(sql, params, Collected(rows_max), seconds)
                self._fetching = False
                nursery.cancel_scope.cancel()
        if isinstance(outcome, NetskyError):
            raise outcome
        return outcome

    async def rows(self, statement: Statement) -> list[Row]:
        """For statements of this package's own modules."""
        return (await self.query(statement.sql, statement.values)).rows

    async def copy_to(self, path: str) -> None:
        """All of the database as it is at one moment, to a file that is not there yet."""
        try:
            new_file(path)
        except OSError as error:
            raise NetskyError(f"{path}: {error.strerror}", next="name a new file", code="copy_failed") from error
        copy = sqlite3.connect(path, check_same_thread=False)
        try:
            async with self._turn:
                with trio.CancelScope(shield=True):  # the thread that copies is waited for
                    await self._connection.backup(copy)
            finish_copy(copy)
        except sqlite3.Error as error:
            raise NetskyError(f"the copy was not made: {error}", next="netsky doctor", code="copy_failed") from error
        finally:
            copy.close()

    async def _end_it(self, deadline: int) -> None:
        """Interrupts when the time is over, when the log grows too long, or when whoever asked no longer waits."""
        at_start = _size(self._log)
        try:
            while self._time.monotonic() < deadline and not self._in_the_way:
                await self._time.sleep_until(min(deadline, self._time.monotonic() + _LOOK_AGAIN_NS))
                size = _size(self._log)
                self._in_the_way = size - at_start > WAL_GROWTH_MAX or size > WAL_BYTES_MAX
        finally:
            while self._fetching:
                await self._connection.interrupt()
                with trio.CancelScope(shield=True):
                    await self._time.sleep_until(self._time.monotonic() + _LOOK_AGAIN_NS)

    async def _outcome(
        self, sql: str, params: Sequence[Value], collected: Collected, seconds: float
    ) -> QueryResult | NetskyError:
        try:
            return await self._fetch(sql, params, collected)
        except NetskyError as error:
            return error
        except (UnicodeEncodeError, OverflowError) as error:
            return Usage(f"A value cannot be asked for: {error}.", next="type it again", code="query_invalid")
        except (sqlite3.Error, sqlite3.Warning, MemoryError) as error:
            if self._in_the_way and getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
                return _in_the_way()
            return explain(error, self._rules, seconds)

    async def _fetch(self, sql: str, params: Sequence[Value], collected: Collected) -> QueryResult:
        cursor = await self._connection.execute(sql, params)
        try:
            if cursor.description is None:
                raise not_a_question()
            while collected.add(await cursor.fetchmany(collected.wanted())):  # type: ignore[arg-type] # they are tuples
                pass
            columns = tuple(column[0] for column in cursor.description)
        finally:
            await cursor.close()  # an unfinished statement would hold the write-ahead log back
        return QueryResult(columns, collected.rows, collected.truncated)


def _in_the_way() -> TryLater:
    return TryLater(
        "The node writes so much just now that this query would have held it up.",
        next="narrow it down with WHERE or LIMIT, or ask again later",
        code="query_in_the_way",
    )


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:  # nothing was written since the start
        return 0
