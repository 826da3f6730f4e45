from __future__ import annotations

import os
from pathlib import Path

import pytest
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.db.migrate import shipped
from netsky.node.db.opening import Opened, begin, finish, settings
from netsky.node.seams.ledger import LedgerUnusable, Statement

from tests.node.db.rows import message, run


async def opened(path: str, *, clean: bool) -> Opened:
    ledger = SqliteLedgers().open(path)
    try:
        found = await begin(ledger, path, 5, "1")
        if clean:
            await finish(ledger)
    finally:
        ledger.close()
    return found


async def test_a_new_file_is_new_and_nothing_crashed(path: str) -> None:
    everything = [migration.version for migration in shipped()]
    assert await opened(path, clean=True) == Opened(created=True, after_crash=False, applied=everything)


async def test_an_orderly_end_is_remembered(path: str) -> None:
    await opened(path, clean=True)
    assert await opened(path, clean=True) == Opened(created=False, after_crash=False, applied=[])


async def test_an_end_without_order_is_noticed_and_the_file_checked(path: str) -> None:
    await opened(path, clean=False)
    assert (await opened(path, clean=False)).after_crash
    assert (await opened(path, clean=True)).after_crash
    assert not (await opened(path, clean=True)).after_crash


async def filled(path: str, *, clean: bool) -> None:
    ledger = SqliteLedgers().open(path)
    await begin(ledger, path, 5, "1")
    from netsky.node.db import messages

    await run(ledger, messages.insert([message(f"id-{n:04}", body=b"x" * 900) for n in range(300)]))
    if clean:
        await finish(ledger)
    ledger.close()


def spoil(path: str, offset: int, length: int = 4096) -> bytes:
    """A negative offset counts from the end. Returns what the file holds then."""
    with open(path, "r+b") as file:
        file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        file.write(b"\xff" * length)
    return content(path)


def content(path: str) -> bytes:
    return Path(path).read_bytes()


async def test_a_damaged_page_is_found_after_a_crash(path: str) -> None:
    await filled(path, clean=False)
    before = spoil(path, -8192)
    with pytest.raises(LedgerUnusable, match=r"is damaged: .*Move it aside"):
        await opened(path, clean=False)
    assert content(path) == before


async def test_a_refused_file_is_refused_again(path: str) -> None:
    """Nobody may mark it as closed in order before it was found whole."""
    await filled(path, clean=False)
    spoil(path, -8192)
    for _ in range(2):
        with pytest.raises(LedgerUnusable, match="is damaged"):
            await opened(path, clean=True)


async def test_a_damaged_schema_is_found_in_any_case(path: str) -> None:
    await filled(path, clean=True)
    spoil(path, 100, 500)
    with pytest.raises(LedgerUnusable, match="is damaged"):
        await opened(path, clean=True)


async def test_damage_met_on_the_way_is_a_damage(path: str) -> None:
    """The pages of node_state itself: not even the mark of the last end can be read."""
    await filled(path, clean=True)
    ledger = SqliteLedgers().open(path)
    [[(page,)]] = await run(ledger, Statement("SELECT rootpage FROM sqlite_schema WHERE name = 'node_state'"))
    ledger.close()
    assert isinstance(page, int)
    spoil(path, (page - 1) * 4096)
    with pytest.raises(LedgerUnusable, match="is damaged"):
        await opened(path, clean=True)


async def test_the_settings_are_read_from_the_file(path: str) -> None:
    ledger = SqliteLedgers().open(path)
    await begin(ledger, path, 5, "1")
    found = await settings(ledger)
    assert (found["journal_mode"], found["synchronous"], found["foreign_keys"]) == ("wal", 2, 1)
    assert isinstance(found["page_count"], int)
    ledger.close()
