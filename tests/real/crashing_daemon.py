"""A daemon with real seams that kills itself with SIGKILL before a seam call: HOME BOOK N [SQL].

The N-th of all, or the N-th transaction in which a statement begins with SQL. The name of the call is added to BOOK.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import trio
from netsky.node.daemon.build import Surroundings
from netsky.node.daemon.run import run
from netsky.node.home import Home
from netsky.node.lab.interpose import interpose
from netsky.node.lab.witness import watch_into
from netsky.node.seams.real import real_seams

LINGER_SECONDS = 0.5
"""Before a death at a chosen transaction. What was given to the network leaves, by threads of iroh, and its peer stores
what it heard: a faster kill would take along what it is to show."""


class Fuse:
    def __init__(self, book: str, calls: int, sql: str | None) -> None:
        self._left = calls
        self._book = book
        self._sql = sql

    def before(self, call: str, args: tuple[Any, ...]) -> None:
        if self._sql is not None and not (
            call == "sqliteledger.transaction" and any(statement.sql.startswith(self._sql) for statement in args[0])
        ):
            return
        self._left -= 1
        if self._left == 0:
            with open(self._book, "a") as book:
                book.write(call + "\n")
            if self._sql is not None:
                time.sleep(LINGER_SECONDS)
            os.kill(os.getpid(), signal.SIGKILL)


async def main(home: Home, fuse: Fuse) -> None:
    stop = trio.Event()
    folder = os.environ.get("NETSKY_HISTORY")
    around = Surroundings(os.getpid(), watch=None if folder is None else watch_into(folder, os.getpid()))
    with trio.open_signal_receiver(signal.SIGTERM) as received:
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                async for _ in received:
                    stop.set()

            nursery.start_soon(listen)
            await run(home, interpose(real_seams(), fuse.before), around, stop=stop)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, Home(sys.argv[1]), Fuse(sys.argv[2], int(sys.argv[3]), sys.argv[4] if sys.argv[4:] else None))
