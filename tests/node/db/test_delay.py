"""Slow reads beside quick writes, in real time: a real file, real threads, the real clock."""

from __future__ import annotations

import os
import time as real_time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
import trio
from netsky.mesh.trio_loop import trio_as_event_loop
from netsky.node.db import inbox, messages
from netsky.node.db.group import GroupCommit
from netsky.node.db.ledger import SqliteLedger
from netsky.node.db.limits import WAL_GROWTH_MAX
from netsky.node.db.reader import Reader, open_reader
from netsky.node.errors import TimedOut, TryLater
from netsky.node.seams.real import RealTime
from trio.testing import wait_all_tasks_blocked

from tests.node.db.rows import arrival, message
from tests.node.db.test_query import ENDLESS

DELAY_MAX_MS = 50
ROWS = 100_000


async def endless(reader: Reader) -> None:
    with suppress(TimedOut):
        await reader.query(ENDLESS.format("count(*)"), seconds=1)


async def endless_rows(reader: Reader) -> None:
    with suppress(TimedOut):
        await reader.query(f"SELECT x FROM ({ENDLESS.format('x')}) WHERE x % 100 = 0", rows_max=10**9, seconds=1)


async def scan(reader: Reader) -> None:
    sql = "SELECT count(*), sum(length(body)), max(hex(leaf)) FROM messages WHERE lane = 'work'"
    found = await reader.query(sql, seconds=60)  # the thread gets what a busy machine leaves it
    assert int(str(found.rows[0][0])) >= ROWS


async def scan_rows(reader: Reader) -> None:
    sql = "SELECT seq, id FROM messages ORDER BY clock, id DESC LIMIT 100000"
    found = await reader.query(sql, rows_max=ROWS, seconds=60)
    assert len(found.rows) == ROWS


async def stored(group: GroupCommit, name: str, count: int, body: int) -> None:
    [[(newest,)]] = await group.write([messages.newest_seq()])
    assert isinstance(newest, int)
    new = {newest + n: f"{name}{n:06}" for n in range(1, count + 1)}
    rows = [message(own, body=b"x" * body, seq=seq) for seq, own in new.items()]
    await group.write([messages.insert(rows), inbox.insert([arrival(seq, own) for seq, own in new.items()])])


async def commits_beside(group: GroupCommit, rows: int, body: int, work: Callable[[], Awaitable[None]]) -> list[float]:
    """What each commit of so many rows took, in ms, while `work` ran."""
    delays: list[float] = []
    async with trio.open_nursery() as nursery:

        async def commits() -> None:
            while True:
                began = real_time.perf_counter()
                await stored(group, f"{began}-", rows, body)
                delays.append((real_time.perf_counter() - began) * 1e3)
                await trio.sleep(0.002)  # a node that does nothing but commit would starve the reader for good

        nursery.start_soon(commits)
        await work()
        nursery.cancel_scope.cancel()
    return delays


async def no_commit_is_delayed(
    group: GroupCommit, rows: int, body: int, name: str, work: Callable[[], Awaitable[None]]
) -> str:
    """Asserts it, and says what was seen. A busy machine stops us for that long without any query, and not each
    time: so there are five attempts, each held against what the same commits take by themselves."""
    for _ in range(5):

        async def nothing() -> None:
            await trio.sleep(0.5)

        alone = max(await commits_beside(group, rows, body, nothing))
        beside = await commits_beside(group, rows, body, work)
        seen = f"\n{name}: {len(beside)} commits beside it, the longest took {max(beside):.1f} ms; alone {alone:.1f} ms"
        if max(beside) <= max(DELAY_MAX_MS, 2 * alone):
            return seen
    raise AssertionError(seen)


@pytest.mark.real
async def test_no_query_delays_a_commit_by_more_than_fifty_milliseconds(
    ledger: SqliteLedger, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    group = GroupCommit(ledger, RealTime())
    with trio_as_event_loop():
        async with open_reader(path, RealTime()) as reader, trio.open_nursery() as nursery:
            nursery.start_soon(group.run)
            for part in range(ROWS // 5_000):
                await stored(group, f"{part:03}-", 5_000, 200)
            for query in (endless, endless_rows, scan, scan_rows):
                seen = await no_commit_is_delayed(group, 1, 200, query.__name__, partial(query, reader))
                with capsys.disabled():
                    print(seen, end="")
            nursery.cancel_scope.cancel()


class Looks(RealTime):
    """Whoever sleeps wakes when the test says so, so that a running query is looked at between two commits; and after
    some seconds by himself, for a test that fails has nobody left who says so."""

    def __init__(self) -> None:
        self._bell = trio.Event()

    async def sleep_until(self, monotonic_ns: int) -> None:
        with trio.move_on_after(5):
            await self._bell.wait()

    async def look(self) -> None:
        self._bell.set()
        self._bell = trio.Event()
        await wait_all_tasks_blocked()


@pytest.mark.real
async def test_a_query_that_holds_the_log_back_under_a_flood_is_ended_before_that_costs_anybody_time(
    ledger: SqliteLedger, path: str
) -> None:
    """While a query reads the tables nothing of the log can be written back; all of it would be, once it ends. What
    that costs is a matter of its length, which is held against its bound here, and not the time of one machine."""
    group, looks, log = GroupCommit(ledger, RealTime()), Looks(), f"{path}-wal"
    ended = trio.Event()
    with trio_as_event_loop():
        async with open_reader(path, looks) as reader, trio.open_nursery() as nursery:
            nursery.start_soon(group.run)
            await stored(group, "first-", 1_000, 200)
            before = os.stat(log).st_size

            async def hold_back() -> None:
                with pytest.raises(TryLater, match="writes so much"):
                    await reader.query(f"SELECT count(*) FROM messages, ({ENDLESS.format('x')})", seconds=600)
                ended.set()

            nursery.start_soon(hold_back)
            await wait_all_tasks_blocked()
            flood = one = 0
            while (grown := os.stat(log).st_size - before) <= WAL_GROWTH_MAX:
                assert not ended.is_set()
                assert flood < 1_000, "the query holds nothing back"
                await stored(group, f"{flood}-", 64, 4_000)
                one = max(one, os.stat(log).st_size - before - grown)
                flood += 1
                await looks.look()
            longest = before + WAL_GROWTH_MAX + one
            with trio.fail_after(20):
                while not ended.is_set():
                    await looks.look()
                    await trio.sleep(0.001)  # its thread needs some time to hear of it
            for part in range(2 * flood):
                await stored(group, f"after-{part}-", 64, 4_000)
            assert os.stat(log).st_size <= longest, "it was not written back"
            nursery.cancel_scope.cancel()
