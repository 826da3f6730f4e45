"""A life that ends before a chosen seam call as a process does: its programs and its open files end with it."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from netsky.node.db.ledger import SqliteLedger, SqliteLedgers
from netsky.node.lab.interpose import Life, was_killed
from netsky.node.seams import Seams
from netsky.node.seams.real import real_seams
from netsky.node.seams.real_processes import RealProcess, RealProcesses

from tests.node.crash_world import LOOKS


class Ledgers(SqliteLedgers):
    def __init__(self) -> None:
        super().__init__()
        self.opened: list[SqliteLedger] = []

    def open(self, path: str) -> SqliteLedger:
        self.opened.append(super().open(path))
        return self.opened[-1]


class Programs(RealProcesses):
    def __init__(self) -> None:
        self.started: list[RealProcess] = []

    async def start(self, argv: Sequence[str], **more: Any) -> RealProcess:
        self.started.append(await super().start(argv, **more))
        return self.started[-1]


def counts(call: str) -> bool:
    return call not in LOOKS


class Dying:
    """Seams that end before a call; `calls` says which ones there were."""

    def __init__(self, kill_before: int | None, counted: Callable[[str], bool] = counts) -> None:
        self._ledgers, self._programs = Ledgers(), Programs()
        seams = replace(real_seams(), ledger=self._ledgers, processes=self._programs)
        self.life = Life(seams, kill_before, counted)

    @property
    def calls(self) -> list[str]:
        return self.life.calls

    async def tell(self, story: Callable[[Seams], Awaitable[Any]]) -> Any:
        """What came of it; None if the life ended before."""
        try:
            return await story(self.life.seams)
        except BaseException as error:
            if not (self.life.dead and was_killed(error)):
                raise
            return None
        finally:
            await self._end()

    async def _end(self) -> None:
        """What the kernel and the keepers do when a node is killed."""
        for ledger in self._ledgers.opened:
            ledger.close()
        for program in self._programs.started:
            program.signal_group(signal.SIGKILL)
            await program.wait()
