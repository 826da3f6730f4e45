"""A process that commits once and may kill itself before a seam call: `python -m … STATE KILL_BEFORE`."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from typing import Any

import trio
from netsky.node.lab.interpose import interpose
from netsky.node.seams.real import real_seams
from netsky.node.work.repo.commission import Commission

from tests.node.work.repo.dying import counts
from tests.node.work.repo.world import World


class Deadly:
    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, call: str, args: tuple[Any, ...]) -> None:
        if counts(call):
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)


async def main(world: World, commission: Commission, number: int) -> None:
    async with world.life(interpose(real_seams(), Deadly(number))) as node:
        await node.begin(fetch=False)
        print(type(await node.commit(commission)).__name__)


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        trio.run(main, *pickle.load(file), int(sys.argv[2]))
