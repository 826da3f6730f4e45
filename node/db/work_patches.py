"""Patches that have been reported and are not committed yet: each keeps its blob. They go by a trigger, with the step
that needs them no more."""

from __future__ import annotations

from netsky.node.seams.ledger import Statement


def keep(ticket: int, hash: bytes) -> Statement:  # noqa: A002 - the word of the table
    """In the transaction of its report."""
    return Statement("INSERT OR REPLACE INTO work_patches (ticket, hash) VALUES (?, ?)", (ticket, hash))
