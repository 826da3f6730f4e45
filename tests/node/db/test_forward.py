"""The root's forward queue."""

from __future__ import annotations

import os

from netsky.envelope.batch import Batch
from netsky.node.db import answers, forward
from netsky.node.db.ledger import SqliteLedger
from netsky.node.seams.ledger import Statement

from tests.node.db.rows import HERE, THERE, one, run

FRAME = bytes(80_000)


async def test_a_frame_gets_its_numbers_without_being_written_again(ledger: SqliteLedger, path: str) -> None:
    """Its row is changed in place, which SQLite does for a row that is as long as before."""
    read = Batch(1, "envelope", bytes(16), HERE, bytes(64), ())
    entry = forward.NewForward(THERE, "work", HERE, "agent1@netsky2", 64, len(FRAME), FRAME, read, (), 9, 1)
    await run(ledger, *forward.insert([forward.Placed(1, "open", entry)]), answers.insert([(THERE, FRAME)], 1))
    before = log_size(path)
    await run(ledger, forward.number([1]), answers.number([1]))
    assert log_size(path) - before < len(FRAME) // 2
    assert await one(ledger, Statement("SELECT state FROM forward UNION ALL SELECT state FROM answers")) == [
        ("sent",), ("sent",)
    ]  # fmt: skip


def log_size(path: str) -> int:
    return os.path.getsize(f"{path}-wal")
