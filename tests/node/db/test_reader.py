from __future__ import annotations

import os
import sqlite3
import threading
import time as real_time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from netsky.mesh.trio_loop import trio_as_event_loop
from netsky.node.db import inbox, messages
from netsky.node.db.ledger import SqliteLedger
from netsky.node.db.limits import QUERIES_WAITING_MAX, QUERY_ROWS_MAX
from netsky.node.db.query import QueryResult, Rules
from netsky.node.db.reader import Reader, _size, open_reader
from netsky.node.errors import NetskyError, TimedOut, TryLater, Usage
from netsky.node.seams.ledger import LedgerUnusable, Statement, Value
from netsky.node.seams.real import RealTime

from tests.node.db.rows import message, run
from tests.node.db.test_query import ALLOWED, ENDLESS, REFUSED

NEVER = ENDLESS.format("count(*)")


@pytest.fixture
async def reader(ledger: SqliteLedger, path: str) -> AsyncIterator[Reader]:
    await run(ledger, messages.insert([message(f"{n:05}") for n in range(1_000)]))
    with trio_as_event_loop():
        async with open_reader(path, RealTime()) as reader:
            yield reader


async def test_a_question_is_answered_with_names_and_rows(reader: Reader) -> None:
    result = await reader.query("SELECT id, ? AS c FROM messages ORDER BY seq LIMIT 2", (7,))
    assert result == QueryResult(("id", "c"), [("00000", 7), ("00001", 7)], truncated=False)


async def test_it_sees_what_was_committed_before_it_was_asked(reader: Reader, ledger: SqliteLedger) -> None:
    await run(ledger, messages.insert([message("new")]))
    assert (await reader.query("SELECT count(*) FROM messages")).rows == [(1_001,)]


async def test_statements_of_this_package_can_be_read_here(reader: Reader) -> None:
    assert messages.rows(await reader.rows(messages.newest(1)))[0].id == "00999"
    assert await reader.rows(inbox.counts()) == []


async def test_what_only_reads_is_answered(reader: Reader) -> None:
    for sql in ALLOWED:
        assert (await reader.query(sql)).columns, sql


async def test_what_breaks_a_rule_gets_the_rule_and_the_next_query_is_answered(reader: Reader) -> None:
    for sql, code, words in REFUSED:
        with pytest.raises(Usage) as caught:
            await reader.query(sql)
        assert caught.value.code.startswith(code), sql
        assert words in caught.value.message
        assert (await reader.query("SELECT 1")).rows == [(1,)]


async def test_an_endless_query_is_ended_and_the_next_is_answered(reader: Reader) -> None:
    for what in ("count(*)", "x"):
        with pytest.raises(TimedOut, match=r"may take 0\.2 seconds"):
            await reader.query(f"{ENDLESS.format(what)} WHERE x < 0", seconds=0.2)
    assert (await reader.query("SELECT 1")).rows == [(1,)]


async def test_rows_beyond_the_cap_are_left_out_and_that_is_said(reader: Reader) -> None:
    result = await reader.query(ENDLESS.format("x"))
    assert (len(result.rows), result.truncated) == (QUERY_ROWS_MAX, True)
    result = await reader.query(ENDLESS.format("x"), rows_max=300)
    assert (len(result.rows), result.truncated) == (300, True)
    result = await reader.query("SELECT id FROM messages", rows_max=1_000)
    assert (len(result.rows), result.truncated) == (1_000, False)


async def test_a_query_that_was_cut_does_not_hold_the_log_back(reader: Reader, ledger: SqliteLedger, path: str) -> None:
    await reader.query("SELECT * FROM messages", rows_max=1)
    with pytest.raises(TimedOut):
        await reader.query(f"SELECT count(*) FROM messages, ({ENDLESS.format('x')})", seconds=0.05)
    await run(ledger, Statement("UPDATE messages SET ts = 0"))
    [busy, pages, written] = ledger._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert (busy, pages, written) == (0, 0, 0)
    assert os.stat(f"{path}-wal").st_size == 0


async def test_who_no_longer_waits_ends_his_query(reader: Reader) -> None:
    began = real_time.monotonic()
    with trio.move_on_after(0.1) as scope:
        await reader.query(NEVER, seconds=60)
    assert scope.cancelled_caught
    assert real_time.monotonic() - began < 30, "it ended by itself"
    assert (await reader.query("SELECT 1")).rows == [(1,)]


async def test_an_interrupt_that_came_too_early_is_repeated() -> None:
    """SQLite forgets one that arrives before the thread has begun."""

    class Late:
        interrupts = 0

        async def execute(self, _sql: str, _values: object) -> None:
            while self.interrupts < 3:  # noqa: ASYNC110 - as a thread would that heard only the third
                await trio.sleep(0.001)
            error = sqlite3.OperationalError("interrupted")
            error.sqlite_errorcode = sqlite3.SQLITE_INTERRUPT
            raise error

        async def interrupt(self) -> None:
            self.interrupts += 1

    reader = Reader(Late(), Rules(), RealTime(), "no-log")  # type: ignore[arg-type]
    with pytest.raises(TimedOut):
        await reader.query("SELECT 1", seconds=0.001)


async def test_queries_take_turns_and_too_many_are_told_to_come_later(reader: Reader) -> None:
    refused = 0
    answered: list[int] = []

    async def ask(n: int) -> None:
        nonlocal refused
        try:
            answered.append(int(str((await reader.query("SELECT ?", (n,))).rows[0][0])))
        except TryLater:
            refused += 1

    async with trio.open_nursery() as nursery:
        for n in range(QUERIES_WAITING_MAX + 10):
            nursery.start_soon(ask, n)
    assert (len(answered), refused) == (QUERIES_WAITING_MAX + 1, 9)


async def thread_is_gone(before: int) -> None:
    """It has said goodbye and is about to end."""
    while threading.active_count() > before:  # noqa: ASYNC110 - a thread tells nobody of its end
        await trio.sleep(0.001)


async def test_closing_ends_the_thread(ledger: SqliteLedger, path: str) -> None:
    before = threading.active_count()
    with trio_as_event_loop():
        async with open_reader(path, RealTime()):
            assert threading.active_count() == before + 1
        await thread_is_gone(before)


async def test_closing_in_the_middle_of_a_query_ends_both(ledger: SqliteLedger, path: str) -> None:
    before = threading.active_count()
    with trio_as_event_loop(), trio.move_on_after(0.1):
        async with open_reader(path, RealTime()) as reader:
            await reader.query(NEVER)
    await thread_is_gone(before)


async def test_a_file_that_cannot_be_read_leaves_no_thread(tmp_path: object) -> None:
    before = threading.active_count()
    with trio_as_event_loop(), pytest.raises(LedgerUnusable, match="cannot be used"):
        async with open_reader(f"{tmp_path}/none.db", RealTime()):
            raise AssertionError("not reached")
    await thread_is_gone(before)


@pytest.mark.parametrize("value", ["\ud800", 1 << 70], ids=["half a character", "too large"])
async def test_a_value_that_sqlite_does_not_take_is_said(reader: Reader, value: Value) -> None:
    with pytest.raises(Usage, match="cannot be asked for"):
        await reader.query("SELECT ?", (value,))


async def test_a_log_that_grew_too_long_ends_what_reads_until_it_is_cut(
    reader: Reader, ledger: SqliteLedger, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netsky.node.db.reader.WAL_BYTES_MAX", 0)
    with pytest.raises(TryLater, match="writes so much"):
        await reader.query(NEVER)
    monkeypatch.undo()
    assert (await reader.query("SELECT 1")).rows == [(1,)]


async def test_a_reader_without_a_log_beside_it_reads(tmp_path: Path) -> None:
    """Nothing was written since the start, or the log was moved away from under us."""
    assert _size(str(tmp_path / "no-log")) == 0


async def test_a_broken_text_is_our_callers_mistake_and_kills_nobody(reader: Reader) -> None:
    with pytest.raises(NetskyError):
        await reader.query("SELECT '\udc80'")
