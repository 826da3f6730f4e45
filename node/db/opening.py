"""From an opened file to a ledger in use, and back: the checks of a start, and the mark of an orderly end."""

from __future__ import annotations

from dataclasses import dataclass

from netsky.node.db import node_state
from netsky.node.db.ledger import damaged_sentence
from netsky.node.db.migrate import migrate, version
from netsky.node.seams.ledger import Ledger, LedgerBroken, LedgerUnusable, Statement


@dataclass(frozen=True, slots=True)
class Opened:
    created: bool
    after_crash: bool  # the last daemon did not end in order; the file was checked and found whole
    applied: list[int]  # migrations


async def begin(ledger: Ledger, path: str, now: int, program: str) -> Opened:
    """Checks a file that was not closed in order, migrates it, and marks it as in use. Or LedgerUnusable."""
    try:
        created = await version(ledger) == 0
        after_crash = not created and await _was_running(ledger)
        if after_crash:
            await _check(ledger, path)
        applied = await migrate(ledger, now, program)
        await ledger.transaction([node_state.put(node_state.RUNNING_SINCE, now)])
    except LedgerBroken as error:
        raise LedgerUnusable(damaged_sentence(path, str(error))) from error
    return Opened(created, after_crash, applied)


async def finish(ledger: Ledger) -> None:
    """The last transaction of an orderly end; close the reader before and the ledger right after."""
    await ledger.transaction([node_state.put(node_state.RUNNING_SINCE, 0)])


async def settings(ledger: Ledger) -> dict[str, int | str]:
    """As SQLite says now, not as we asked: shown by `netsky status`."""
    names = ("journal_mode", "synchronous", "foreign_keys", "application_id", "page_count", "page_size")
    rows = await ledger.transaction([Statement(f"PRAGMA {name}") for name in names])
    found = {name: values[0][0] for name, values in zip(names, rows, strict=True)}
    return {name: value for name, value in found.items() if isinstance(value, int | str)}


async def _was_running(ledger: Ledger) -> bool:
    [rows] = await ledger.transaction([node_state.get(node_state.RUNNING_SINCE)])
    return node_state.value(rows, 0) != 0


async def _check(ledger: Ledger, path: str) -> None:
    [rows] = await ledger.transaction([Statement("PRAGMA quick_check(1)")])
    if rows != [("ok",)]:
        raise LedgerUnusable(damaged_sentence(path, str(rows[0][0])))
