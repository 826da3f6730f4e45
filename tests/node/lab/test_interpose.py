"""What stands between a simulated node and its seams hears every call, or its deaths fall where nothing can be lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.lab.deliveries import DeliveringLedgers
from netsky.node.lab.history import Writer
from netsky.node.lab.interpose import Killed, Life, writes
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.virtual import MemorySockets, NoPrograms, SeededChance, VirtualTime
from netsky.node.seams import Seams
from netsky.node.seams.ledger import Statement
from netsky.node.seams.real_files import RealFiles

LOOK, CHANGE = Statement("SELECT 1"), Statement("CREATE TABLE IF NOT EXISTS one (at INTEGER)")


def life_of(kill_before: int | None = None) -> Life:
    ledgers = DeliveringLedgers(
        SqliteLedgers(), lambda: Writer(lambda _: None, lambda: 0, node="netsky1", by="test"), lambda _: "netsky1"
    )
    parts = {"processes": NoPrograms(), "sockets": MemorySockets(), "transport": MemoryNetwork()}
    return Life(
        Seams(files=RealFiles(), ledger=ledgers, time=VirtualTime(), chance=SeededChance(1), **parts),  # type: ignore[arg-type]
        kill_before=kill_before,
    )


async def test_a_dead_life_stores_nothing_by_the_ledger_that_a_run_has(tmp_path: Path) -> None:
    life = life_of()
    ledger = life.seams.ledger.open(str(tmp_path / "meta.db"))
    await ledger.transaction([CHANGE])
    assert life.calls[-1].endswith(".transaction")
    life.kill()
    with pytest.raises(Killed):
        await ledger.transaction([CHANGE])


async def test_a_life_can_end_before_the_next_transaction_that_changes_something(tmp_path: Path) -> None:
    life = life_of()
    ledger = life.seams.ledger.open(str(tmp_path / "meta.db"))
    life.kill_in(2, writes)
    await ledger.transaction([CHANGE])
    for _ in range(3):
        await ledger.transaction([LOOK])
    with pytest.raises(Killed):
        await ledger.transaction([LOOK, CHANGE])
    assert life.dead
