"""The shipped seams: the real clock, the real dice, and the assembly of all seven.

Nothing is imported before it is needed: a command that asks the daemon one question needs neither trio nor iroh.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from netsky.mesh.transport import Transport, TransportOptions
from netsky.node.seams import Seams


class RealTime:
    """The machine's clocks."""

    def wall(self) -> int:
        return time.time_ns()

    def monotonic(self) -> int:
        return time.monotonic_ns()

    async def sleep_until(self, monotonic_ns: int) -> None:
        import trio  # noqa: PLC0415 - the clocks are also read by programs that do without trio

        await trio.sleep(max(0.0, (monotonic_ns - time.monotonic_ns()) / 1e9))


class RealChance:
    """The machine's dice, good enough for keys."""

    def token(self, size: int) -> bytes:
        return secrets.token_bytes(size)

    def fraction(self) -> float:
        return secrets.randbits(53) / (1 << 53)


class LazyTransport:
    """iroh, imported when a link is opened and not before: it costs 130 ms and 30 MB."""

    async def open(self, secret: bytes, alpns: Sequence[bytes], options: TransportOptions) -> Transport:
        from netsky.mesh.iroh_transport import IrohTransport  # noqa: PLC0415

        return await IrohTransport.open(secret, alpns, options)


def real_seams() -> Seams:
    from netsky.node.db.ledger import SqliteLedgers  # noqa: PLC0415
    from netsky.node.seams.real_files import RealFiles  # noqa: PLC0415
    from netsky.node.seams.real_processes import RealProcesses  # noqa: PLC0415
    from netsky.node.seams.real_sockets import RealSockets  # noqa: PLC0415

    return Seams(
        files=RealFiles(),
        ledger=SqliteLedgers(),
        processes=RealProcesses(),
        sockets=RealSockets(),
        transport=LazyTransport(),
        time=RealTime(),
        chance=RealChance(),
    )
