"""kill -9 at random moments: what was acknowledged is there, whole, after opening again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time as real_time

import pytest
import trio
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.db.opening import begin, finish
from netsky.node.seams.ledger import Statement

LIVES = 8
WRITER = os.path.join(os.path.dirname(__file__), "kill_writer.py")


def live_and_die(path: str, life: int, seconds: float) -> set[str]:
    """The names that the writer said were stored."""
    output = f"{path}.{life}"
    with open(output, "wb") as acknowledged:
        writer = subprocess.Popen([sys.executable, WRITER, path, str(life)], stdout=acknowledged)
        try:
            while os.path.getsize(output) == 0:
                assert writer.poll() is None, "the writer ended by itself"
                real_time.sleep(0.005)
            real_time.sleep(seconds)
        finally:
            writer.kill()
            assert writer.wait() == -9
    with open(output, encoding="ascii") as lines:
        return {line.strip() for line in lines if line.endswith("\n")}


async def found(path: str) -> set[str]:
    """The names in the database, each with its inbox row; the file is checked on the way."""
    ledger = SqliteLedgers().open(path)
    assert (await begin(ledger, path, 1, "test")).after_crash
    [names, [(lonely,)], faults] = await ledger.transaction(
        [
            Statement("SELECT id FROM messages"),
            Statement("SELECT count(*) FROM messages LEFT JOIN inbox USING (seq) WHERE inbox.actor IS NULL"),
            Statement("PRAGMA foreign_key_check"),
        ]
    )
    assert (lonely, faults) == (0, [])
    ledger.close()  # without `finish`: the next life has to notice, too
    return {str(name) for (name,) in names}


@pytest.mark.real
def test_all_that_was_acknowledged_is_there_after_every_kill(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    seed = 20_240_501
    chance = random.Random(seed)
    acknowledged: set[str] = set()
    for life in range(LIVES):
        said = live_and_die(path, life, chance.uniform(0, 0.3))
        assert said
        acknowledged |= said
        there = trio.run(found, path)
        assert acknowledged <= there, f"lost {len(acknowledged - there)} with seed {seed}"
    with capsys.disabled():
        print(f"\n{LIVES} kills, {len(acknowledged)} rows acknowledged, {len(there)} there", end="")


def test_an_orderly_end_after_kills_is_clean(path: str) -> None:
    async def end() -> bool:
        ledger = SqliteLedgers().open(path)
        crashed = (await begin(ledger, path, 1, "test")).after_crash
        await finish(ledger)
        ledger.close()
        return crashed

    live_and_die(path, 0, 0.02)
    assert trio.run(end)
    assert not trio.run(end)
