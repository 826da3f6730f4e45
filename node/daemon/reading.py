"""The reading connection, opened by the first query: a node that nobody questions needs neither thread nor memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from netsky.node.errors import TryLater
from netsky.node.home import Home
from netsky.node.seams.ledger import Row, Statement, Value
from netsky.node.seams.time import Time

if TYPE_CHECKING:
    from netsky.node.db.query import QueryResult
    from netsky.node.db.reader import Reader


class LazyReader:
    """One task runs `run`; others ask. Queries that come while it is down are told to come again."""

    def __init__(self, home: Home, time: Time) -> None:
        self._home = home
        self._time = time
        self._wanted = trio.Event()
        self._there = trio.Event()
        self._reader: Reader | None = None

    async def run(self) -> None:
        await self._wanted.wait()
        from netsky.node.db.reader import open_reader  # noqa: PLC0415 - see above

        try:
            async with open_reader(self._home.database, self._time) as reader:
                self._reader = reader
                self._there.set()
                await trio.sleep_forever()
        finally:
            self._reader = None
            self._there = trio.Event()

    async def query(self, sql: str, params: tuple[Value, ...] = ()) -> QueryResult:
        return await (await self._ready()).query(sql, params)

    async def rows(self, statement: Statement) -> list[Row]:
        return await (await self._ready()).rows(statement)

    async def copy_to(self, path: str) -> None:
        await (await self._ready()).copy_to(path)

    async def _ready(self) -> Reader:
        self._wanted.set()
        with trio.move_on_after(5):
            await self._there.wait()
        if self._reader is None:
            raise TryLater("the reading connection is not open", next="netsky status, then ask again", code="no_reader")
        return self._reader
