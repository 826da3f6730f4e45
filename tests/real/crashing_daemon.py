"""A daemon with real seams that kills itself with SIGKILL before its N-th seam call: HOME N BOOK."""

from __future__ import annotations

import os
import signal
import sys

import trio
from netsky.node.daemon.build import Surroundings
from netsky.node.daemon.run import run
from netsky.node.home import Home
from netsky.node.lab.interpose import interpose
from netsky.node.seams.real import real_seams


class Fuse:
    def __init__(self, calls: int, book: str) -> None:
        self._left = calls
        self._book = book

    def before(self, call: str) -> None:
        self._left -= 1
        if self._left == 0:
            with open(self._book, "a") as book:
                book.write(call + "\n")
            os.kill(os.getpid(), signal.SIGKILL)


async def main(home: Home, fuse: Fuse) -> None:
    stop = trio.Event()
    with trio.open_signal_receiver(signal.SIGTERM) as received:
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                async for _ in received:
                    stop.set()

            nursery.start_soon(listen)
            await run(home, interpose(real_seams(), fuse.before), Surroundings(os.getpid()), stop=stop)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, Home(sys.argv[1]), Fuse(int(sys.argv[2]), sys.argv[3]))
