"""Runs that are over for long go with all that belongs to them, in turns so short that nobody waits behind one."""

from __future__ import annotations

from typing import cast

from netsky.node.db.group import GroupCommit
from netsky.node.db.limits import PRUNE_ROWS, WORK_AGE_NS
from netsky.node.db.sets import numbers
from netsky.node.seams.ledger import Statement

_BY_TICKET = ("work_checkpoints", "work_notes", "work_grants", "work_context", "work_keys")


async def prune_work(group: GroupCommit, now: int) -> bool:
    """One turn. True if another would find more."""
    [found] = await group.read([_oldest(now - WORK_AGE_NS)])
    if not found:
        return False
    run = cast("str", found[0][0])
    [tickets] = await group.read([_newest_of(run)])
    seqs = [cast("int", seq) for (seq,) in tickets]
    await group.write(_without_tickets(seqs) if seqs else _without_run(run))
    return True


def _oldest(before: int) -> Statement:
    return Statement(
        "SELECT id FROM work_runs WHERE state = 'completed' AND changed_at < ? ORDER BY changed_at LIMIT 1", (before,)
    )


def _newest_of(run: str) -> Statement:
    """The newest first: a ticket's children are newer than it is."""
    return Statement("SELECT seq FROM work_tickets WHERE run = ? ORDER BY seq DESC LIMIT ?", (run, PRUNE_ROWS))


def _without_tickets(seqs: list[int]) -> list[Statement]:
    some = "IN (SELECT value FROM json_each(?))"
    gone = numbers(seqs)
    return [
        *(Statement(f"DELETE FROM {table} WHERE ticket {some}", (gone,)) for table in _BY_TICKET),
        Statement(f"DELETE FROM work_after WHERE ticket {some}", (gone,)),
        Statement(f"DELETE FROM work_after WHERE needs {some}", (gone,)),
        Statement(f"DELETE FROM work_tickets WHERE seq {some}", (gone,)),
    ]


def _without_run(run: str) -> list[Statement]:
    return [
        Statement("DELETE FROM work_checkpoints WHERE run = ? AND ticket IS NULL", (run,)),
        Statement("DELETE FROM work_runs WHERE id = ?", (run,)),
    ]
