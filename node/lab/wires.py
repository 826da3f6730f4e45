"""What a simulated network is made of: ways between nodes, streams and connections over them.

A stream is reliable and ordered, as QUIC's are: what can happen to it is that bytes are late, that they stop, or that
its connection ends. Nothing is lost, doubled or turned around inside of one.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import trio
from netsky.mesh.transport import PeerAddress, TransportError
from netsky.node.lab.interpose import Killed
from netsky.node.seams.chance import Chance

Action = Callable[[], object]
Later = Callable[[float, Action], None]

UNACCEPTED_MAX = 64
"""Streams that a peer opened and nobody took yet; its next one waits, as for QUIC's stream credit."""

TIMED_OUT = "timed out"
LOST = "the connection was lost"
FAILED = "the handshake failed"


class Way:
    """One direction between two nodes, for all their connections. What travels on it arrives in order of its time."""

    def __init__(self, chance: Chance, later: Later, latency: tuple[float, float]) -> None:
        self.latency = latency  # seconds; each piece draws its own
        self.parted_since = math.inf  # packets are lost: whatever waits for them times out in the end
        self.clogged = False  # bytes stand still, connections live
        self._chance = chance
        self._later = later
        self._cargo: list[tuple[float, int, Action]] = []
        self._count = 0

    @property
    def flows(self) -> bool:
        return self.parted_since == math.inf and not self.clogged

    def carry(self, action: Action, not_before: float = 0.0) -> float:
        """Does it at the other side, after the latency and not while the way stands still. When it would be due."""
        now = trio.current_time()
        due = max(now + self._delay(), not_before)
        if due <= now and self.flows and not self._cargo:
            action()
            return due
        self._count += 1
        heapq.heappush(self._cargo, (due, self._count, action))
        self._later(due, self._arrive)
        return due

    def change(self, *, parted: bool | None = None, clogged: bool | None = None) -> None:
        """What stood still is sent again once the way flows; nothing on it overtakes anything."""
        stood = not self.flows
        if parted is not None:
            self.parted_since = min(self.parted_since, trio.current_time()) if parted else math.inf
        self.clogged = self.clogged if clogged is None else clogged
        if stood and self.flows and self._cargo:
            soonest = trio.current_time() + self._delay()
            self._cargo = [(max(due, soonest), count, action) for due, count, action in self._cargo]
            heapq.heapify(self._cargo)
            for due in sorted({due for due, _, _ in self._cargo}):
                self._later(due, self._arrive)

    def _delay(self) -> float:
        low, high = self.latency
        return low if low == high else low + (high - low) * self._chance.fraction()

    def _arrive(self) -> None:
        while self.flows and self._cargo and self._cargo[0][0] <= trio.current_time():
            heapq.heappop(self._cargo)[2]()


class Half:
    """One direction of a stream: bounded by what its reader has not taken, ended by its writer or the connection."""

    def __init__(self, way: Way, window: int) -> None:
        self.data = bytearray()
        self.finished = False
        self.reset = False
        self.changed = trio.Event()
        self._way, self._window = way, window
        self._travelling = 0
        self._last_due = 0.0
        self._stalled: list[tuple[Action, float]] | None = None

    def leaves_by(self, way: Way) -> bool:
        return self._way is way

    @property
    def room(self) -> int:
        return self._window - len(self.data) - self._travelling

    def put(self, piece: bytes) -> None:
        self._travelling += len(piece)
        self.carry(partial(self._arrive, piece))

    def carry(self, action: Action, not_before: float = 0.0) -> float:
        """At the other side, after all that was put before."""
        if self._stalled is not None:
            self._stalled.append((action, not_before))
            return max(self._last_due, not_before)
        self._last_due = self._way.carry(action, max(self._last_due, not_before))
        return self._last_due

    def stall(self) -> None:
        """What is put from now on stands still, as behind a packet that is lost again and again. Others go on."""
        if self._stalled is None:
            self._stalled = []

    def flow(self) -> None:
        held, self._stalled = self._stalled or [], None
        for action, not_before in held:
            self.carry(action, not_before)

    def taken(self, size: int) -> bytes:
        piece = bytes(self.data[:size])
        del self.data[:size]
        self.change()
        return piece

    def change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def end(self) -> None:
        self.finished = True
        self.change()

    def break_off(self) -> None:
        self.reset = True
        self.change()

    def _arrive(self, piece: bytes) -> None:
        self._travelling -= len(piece)
        self.data += piece
        self.change()


class MemoryStream:
    def __init__(self, connection: MemoryConnection, out: Half, into: Half) -> None:
        self._connection, self._out, self._in = connection, out, into
        self._sends = self._receives = True

    async def send(self, data: bytes) -> None:
        with self._or_break_off():
            await trio.lowlevel.checkpoint_if_cancelled()
            rest = memoryview(data)
            while rest:
                self._check(self._sends)
                self._connection.announce(self)
                room = self._out.room
                if room > 0:
                    self._out.put(bytes(rest[:room]))
                    rest = rest[room:]
                else:
                    await self._out.changed.wait()

    async def finish(self) -> None:
        with self._or_break_off():
            await trio.lowlevel.checkpoint()
            self._check(self._sends)
            self._connection.announce(self)
            self._sends = False
            self._out.carry(self._out.end)

    async def receive(self, limit: int) -> bytes:
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            while True:
                self._check(self._receives)
                if self._in.reset:
                    raise TransportError("stream", "reset by the peer")
                if self._in.data:
                    return self._in.taken(limit)
                if self._in.finished:
                    return b""
                await self._in.changed.wait()
        except BaseException:
            self._receives = False
            raise

    def announced(self, not_before: float) -> float:
        """The other side hears of it."""
        return self._out.carry(partial(self._connection.far.take_in, self._in, self._out), not_before)

    def _check(self, alive: bool) -> None:
        self._connection.check()
        if not alive:
            raise TransportError("stream", "this half is over")

    @contextmanager
    def _or_break_off(self) -> Iterator[None]:
        """What broke off is never taken for whole: the peer is told, if anybody still tells it anything."""
        try:
            yield
        except BaseException:
            if self._sends and not self._connection.is_over:
                self._out.carry(self._out.break_off)
            self._sends = False
            raise


class MemoryConnection:
    """One end. What it does reaches the other end by the way there, if it flows, and if this end was not killed."""

    def __init__(self, peer: PeerAddress, alpn: bytes, way: Way, window: int) -> None:
        self.peer, self.alpn = peer.key, alpn
        self.far: MemoryConnection
        self.reason: str | None = None
        self.deaf = False
        self.established = False
        self.answered = trio.Event()  # whoever dialled waits for it
        self._address = peer
        self._way, self._window = way, window
        self._over = trio.Event()
        self._halves: list[Half] = []
        self._unannounced: list[MemoryStream] = []
        self._announced_due = 0.0
        self._unaccepted = 0  # of the streams opened here
        self._room = trio.lowlevel.ParkingLot()
        self._put, self._streams = trio.open_memory_channel[MemoryStream](UNACCEPTED_MAX)

    @property
    def is_over(self) -> bool:
        return self.reason is not None

    def sending(self, channel: int) -> Half | None:
        """This end's half of the stream that was opened as the so-manieth."""
        halves = [half for half in self._halves[2 * channel : 2 * channel + 2] if half.leaves_by(self._way)]
        return halves[0] if halves else None

    def check(self) -> None:
        if self.deaf:
            raise Killed(LOST)
        if self.reason is not None:
            raise TransportError("connection", self.reason)

    def reached(self) -> PeerAddress:
        return self._address

    async def open_stream(self) -> MemoryStream:
        await trio.lowlevel.checkpoint()
        self.check()
        while self._unaccepted >= UNACCEPTED_MAX:
            await self._room.park()
            self.check()
        self._unaccepted += 1
        out, back = Half(self._way, self._window), Half(self.far._way, self._window)
        self._halves += [out, back]
        self.far._halves += [out, back]
        self._unannounced.append(MemoryStream(self, out, back))
        return self._unannounced[-1]

    def announce(self, stream: MemoryStream) -> None:
        """A stream is heard of by its first bytes, and with it those that were opened before."""
        while stream in self._unannounced:
            self._announced_due = self._unannounced.pop(0).announced(self._announced_due)

    async def accept_stream(self) -> MemoryStream:
        self.check()
        try:
            stream = await self._streams.receive()
        except trio.EndOfChannel:
            self.check()
            raise AssertionError("streams end with their connection") from None
        self.far._unaccepted -= 1
        self.far._room.unpark_all()
        return stream

    def close(self, code: int, reason: bytes) -> None:
        if self.is_over:
            return
        told = f"{reason.decode(errors='replace')} (code {code})" if reason else f"{code}"
        self.end("closed")
        self._way.carry(partial(self.far.end, f"closed by peer: {told}"))

    async def closed(self) -> str:
        await self._over.wait()
        if self.deaf:
            raise Killed(LOST)
        assert self.reason is not None
        return self.reason

    def end(self, reason: str) -> None:
        """This end is over. What it had not read is gone, as QUIC has it."""
        if self.is_over:
            return
        self.reason = reason
        self._over.set()
        self.answered.set()
        for half in self._halves:
            half.change()
        self._room.unpark_all()
        self._put.close()

    def establish(self) -> None:
        self.established = True
        self.answered.set()

    def kill(self) -> None:
        """As the process goes: from here nothing more is heard, and nobody is told."""
        self.deaf = True
        self.end(LOST)

    def take_in(self, out: Half, into: Half) -> None:
        if not self.is_over:
            self._put.send_nowait(MemoryStream(self, out, into))
