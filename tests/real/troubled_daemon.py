"""A daemon as shipped with trouble around it: ADDRESS --home H …, where ADDRESS is what it tells its peers, or -.

With an ADDRESS it is reached by a proxy alone: iroh finds the direct way between two ends by itself, so its sockets
take nothing that comes from elsewhere than 127.0.0.1, which is where the proxy sends from and siblings do not. While
there is a file `H.slow-disk` each of its commits takes so much longer; `H.clock` says how its wall clock goes. Its own
lines of the history have the machine's time. Nothing else is changed. Linux only.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sqlite3
import struct
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netsky.mesh import iroh_transport
from netsky.mesh.iroh_transport import IrohTransport
from netsky.mesh.transport import TransportOptions
from netsky.node.daemon import __main__ as daemon
from netsky.node.db.ledger import SqliteLedger, SqliteLedgers
from netsky.node.identity import Identity
from netsky.node.links.store import MakeStore
from netsky.node.seams.real import RealTime
from netsky.node.seams.time import Time

sys.path[0] = str(Path(__file__).resolve().parents[2])
from tests.real.mesh_clock import Shown, Truth, beside  # noqa: E402 - a program, started in the folder of its home

if TYPE_CHECKING:
    from netsky.node.daemon.node import Watch

ADDRESS = sys.argv.pop(1)
SO_ATTACH_FILTER = 26
NETWORK_HEADER = 0xFFF00000
PROGRAM = (
    (0x20, 0, 0, NETWORK_HEADER + 12),  # load the source of an IPv4 packet
    (0x15, 0, 1, 0x7F000001),  # is it 127.0.0.1?
    (0x06, 0, 0, 0xFFFFFFFF),  # take all of it
    (0x06, 0, 0, 0),  # take nothing
)

SLOW_DISK = "slow-disk"
SLOW_SECONDS = 0.1

really_open = IrohTransport.open
really_open_ledger = SqliteLedgers.open
really_watch = daemon._watch


def announced(found: Iterable[str], bind: str) -> tuple[str, ...]:
    return (ADDRESS,)


async def open_filtered(secret: bytes, alpns: Sequence[bytes], options: TransportOptions) -> IrohTransport:
    made = await really_open(secret, alpns, options)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in PROGRAM))
    program = struct.pack("@HP", len(PROGRAM), ctypes.addressof(code))
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found = socket.socket(fileno=int(name))
            if found.type == socket.SOCK_DGRAM and found.family in {socket.AF_INET, socket.AF_INET6}:
                found.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
            found.detach()
    return made


class Slow:
    """A connection whose commits wait for the disk while the file is there."""

    def __init__(self, connection: sqlite3.Connection, mark: str) -> None:
        self._connection = connection
        self._mark = mark

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "COMMIT" and os.path.exists(self._mark):
            time.sleep(SLOW_SECONDS)
        return self._connection.execute(sql, *values)


def open_slow(ledgers: SqliteLedgers, path: str) -> SqliteLedger:
    made = really_open_ledger(ledgers, path)
    made._connection = Slow(made._connection, beside(os.path.dirname(path), SLOW_DISK))  # type: ignore[assignment]
    return made


def watch_truly() -> Watch | None:
    watch = really_watch()

    def with_the_machines_clock(identity: Identity, time: Time) -> MakeStore:
        assert watch is not None
        return watch(identity, Truth())

    return None if watch is None else with_the_machines_clock


if __name__ == "__main__":
    shown = Shown(sys.argv[sys.argv.index("--home") + 1])
    RealTime.wall = lambda _: shown.wall()  # type: ignore[method-assign]
    daemon._watch = watch_truly
    if ADDRESS != "-":
        iroh_transport.announced = announced  # type: ignore[assignment]
        IrohTransport.open = open_filtered  # type: ignore[method-assign, assignment]
    SqliteLedgers.open = open_slow  # type: ignore[method-assign]
    sys.exit(daemon.main())
