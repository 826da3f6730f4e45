"""Seams without a machine behind them: virtual time, seeded chance, sockets in memory.

Files, ledger and processes stay the shipped ones or are given by the caller. A real Unix socket under a virtual clock
times out at once, so the sockets here are memory streams found by their path.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import trio
import trio.testing
from netsky.node.lab.scheduler import sleep_until
from netsky.node.seams.processes import CannotStart, Process, World
from netsky.node.seams.real_processes import RealWorld
from netsky.node.seams.sockets import Listener, Stream

EPOCH_NS = 1_800_000_000 * 10**9
"""When a simulated world begins: a round instant, so that its timestamps are recognised at sight."""


class VirtualTime:
    """trio's clock, which is a MockClock in a simulation: an hour passes when nobody has anything to do."""

    def __init__(self, epoch_ns: int = EPOCH_NS) -> None:
        self._epoch_ns = epoch_ns

    def wall(self) -> int:
        return self._epoch_ns + self.monotonic()

    def monotonic(self) -> int:
        return round(trio.current_time() * 1e9)

    async def sleep_until(self, monotonic_ns: int) -> None:
        await sleep_until(monotonic_ns / 1e9)


class SeededChance:
    """The same seed draws the same ids, tokens and jitter."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def fraction(self) -> float:
        return self._random.random()


class MemorySockets:
    """Connections between tasks of one run, found by path."""

    def __init__(self) -> None:
        self._listeners: dict[str, MemoryListener] = {}
        self._accepted: list[MemoryStream] = []
        self.names: dict[str, list[str]] = {}
        """Where the names of hosts lead; whoever listens at "ADDRESS:PORT" is such a host."""

    def cut(self) -> None:
        """Every connection ends and nobody listens any more: what clients see when the process dies."""
        self._listeners.clear()
        while self._accepted:
            self._accepted.pop().close()

    async def listen(self, path: str, mode: int = 0o600) -> Listener:
        del mode  # there is nobody else in this process
        listener = MemoryListener(self._listeners, path)
        self._listeners[path] = listener
        return listener

    async def connect(self, path: str) -> Stream:
        listener = self._listeners.get(path)
        if listener is None:
            raise ConnectionRefusedError(f"nobody listens at {path}")
        ours, theirs = trio.testing.memory_stream_pair()
        accepted = MemoryStream(theirs)
        self._accepted.append(accepted)
        await listener.arrived.send(accepted)
        return MemoryStream(ours)

    async def lookup(self, host: str) -> list[str]:
        if host not in self.names:
            raise OSError(f"no such host: {host}")
        return self.names[host]

    async def reach(self, address: str, port: int) -> Stream:
        return await self.connect(f"{address}:{port}")


class MemoryListener:
    def __init__(self, listeners: dict[str, MemoryListener], path: str) -> None:
        self._listeners = listeners
        self._path = path
        self.arrived, self._waiting = trio.open_memory_channel[Stream](16)

    async def accept(self) -> Stream:
        return await self._waiting.receive()

    def close(self) -> None:
        if self._listeners.get(self._path) is self:
            del self._listeners[self._path]


class MemoryStream:
    def __init__(
        self, stream: trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]
    ) -> None:
        self._stream = stream

    async def receive(self, limit: int) -> bytes:
        try:
            return bytes(await self._stream.receive_some(limit))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def send(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionResetError("the other side is gone") from error

    def close(self) -> None:
        self._stream.send_stream.close()
        self._stream.receive_stream.close()


class NoPrograms:
    """A machine without programs: nothing can be started, so actors are their mailboxes alone."""

    async def start(self, argv: Sequence[str], **_: object) -> Process:
        raise CannotStart(f"there are no programs here, not even {argv[0]}")

    def which(self, program: str) -> str | None:  # noqa: ARG002 - there are none
        return None

    def world(self) -> World:
        return RealWorld(uid=0, python="python")
