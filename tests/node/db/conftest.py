from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from netsky.node.db.ledger import SqliteLedger, SqliteLedgers
from netsky.node.db.opening import begin


class SteppingTime:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 0

    def wall(self) -> int:
        return 1_700_000_000 * 10**9 + self.now

    def monotonic(self) -> int:
        return self.now

    async def sleep_until(self, monotonic_ns: int) -> None:
        raise AssertionError("nothing here waits")


@pytest.fixture
def time() -> SteppingTime:
    return SteppingTime()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "meta.db")


@pytest.fixture
def ledger(path: str) -> Iterator[SqliteLedger]:
    """Opened, checked and migrated."""
    made = SqliteLedgers().open(path)
    trio.run(begin, made, path, 1, "test")
    yield made
    made.close()
