"""A peer that can say anything: it has whatever key it is given and keeps to no rule, and hears what it is answered.

    async with adversary(network, forger.secret) as peer:
        wire = await peer.dial(PeerAddress(root, (at,)))
        await wire.greet(forger.hello())                    # or `say` and `write` anything, on any channel
        await wire.say(WORK, forger.claimed(batch, 9, root))
        assert (await wire.ended()).code == "gap"

With the root's key it may listen instead (`adversary(…, bind=at)`, `peer.accept`): then it sits in the root's place,
and siblings dial it. What it may sign is in `forgery.py`. It is no member of any mesh, stores nothing and answers
nothing but heartbeats, and those only if it `beats`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import trio
from netsky.envelope.invalid import Invalid
from netsky.mesh.effects import CLOSE_CODES, Close
from netsky.mesh.frames import (
    CONTROL,
    HEAD_BYTES,
    LANE_CHANNELS,
    Bye,
    Frame,
    Hello,
    Open,
    Ping,
    Pong,
    decode_frame,
    encode_frame,
    frame_cap,
)
from netsky.mesh.limits import ALPN, CHANNELS, HEARTBEAT_NS, READ_BYTES
from netsky.mesh.splitter import FrameSplitter
from netsky.mesh.transport import (
    Connection,
    OpenTransport,
    PeerAddress,
    Transport,
    TransportError,
    TransportOptions,
    TransportStream,
)

WORK, REPLY = LANE_CHANNELS["work"], LANE_CHANNELS["reply"]
PATIENCE_SECONDS = 300.0
"""For an answer that is expected: much longer than any deadline of a link."""

F = TypeVar("F")


class Wire:
    """One connection, whoever dialled, and all that was heard on it."""

    def __init__(self, connection: Connection, nursery: trio.Nursery) -> None:
        self.connection = connection
        self.heard: list[tuple[int, Frame]] = []
        self.sent: list[tuple[int, bytes]] = []
        """As bytes, so that they can be said again on another wire."""
        self.beats = True
        self.over: str | None = None
        """Why the connection ended, in the words of the transport."""
        self._ears: list[trio.CancelScope] = []
        self._streams: dict[int, TransportStream] = {}
        self._nursery = nursery
        self._news = trio.Event()

    # Streams.

    async def open(self, channels: Sequence[int] = range(CHANNELS)) -> None:
        """As who has dialled."""
        for number in channels:
            stream = await self.connection.open_stream()
            await stream.send(encode_frame(Open(number)))
            self._listen(number, stream)

    async def take(self) -> None:
        """As who was dialled: the three that the peer opens, in its order."""
        for number in range(CHANNELS):
            self._listen(number, await self.connection.accept_stream(), opened=True)

    async def greet(self, hello: Hello) -> Hello:
        """Streams and hello as a node would; the peer's hello. Raises TransportError if that is refused."""
        if not self._streams:
            await self.open()
        await self.say(CONTROL, hello)
        return await self.answer(Hello)

    # Saying.

    async def say(self, channel: int, *frames: Frame) -> None:
        await self.write(channel, b"".join(map(encode_frame, frames)))

    async def write(self, channel: int, data: bytes) -> None:
        """Anything at all."""
        self.sent.append((channel, data))
        await self._streams[channel].send(data)

    async def finish(self, channel: int) -> None:
        await self._streams[channel].finish()

    async def repeat(self, recorded: Sequence[tuple[int, bytes]]) -> None:
        """What was sent on another wire, hello and all."""
        for channel, data in recorded:
            await self.write(channel, data)

    # Hearing.

    def all_heard(self, kind: type[F]) -> list[F]:
        return [frame for _, frame in self.heard if isinstance(frame, kind)]

    async def answer(self, kind: type[F], matching: Callable[[F], bool] = lambda _: True) -> F:
        """The first such frame, heard already or to come."""
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                for frame in self.all_heard(kind):
                    if matching(frame):
                        return frame
                if self.over is not None:
                    raise TransportError("connection", self.over)
                await self._news.wait()

    async def ended(self) -> Close:
        """Why the peer ended it, by its goodbye or else by the reason of its close."""
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                if byes := self.all_heard(Bye):
                    self.close()
                    return Close(byes[0].code, byes[0].sentence)
                if self.over is not None:
                    return _close_of(self.over)
                await self._news.wait()

    def be_deaf(self) -> None:
        """Nothing that the peer says is read any more."""
        for ear in self._ears:
            ear.cancel()

    def close(self) -> None:
        self.connection.close(0, b"gone")

    # What goes on behind.

    def _listen(self, number: int, stream: TransportStream, *, opened: bool = False) -> None:
        self._streams[number] = stream
        self._nursery.start_soon(self._hear, number, stream, opened)

    async def live(self) -> None:
        """Its heartbeats, until the connection ends."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._beat)
            self.over = await self.connection.closed()
            nursery.cancel_scope.cancel()
        self._ring()

    async def _beat(self) -> None:
        with suppress(TransportError):
            count = 1 << 32
            while True:
                await trio.sleep(HEARTBEAT_NS / 1e9)
                if self.beats and self.all_heard(Hello):
                    count += 1
                    await self._streams[CONTROL].send(encode_frame(Ping(count)))

    async def _hear(self, number: int, stream: TransportStream, opened: bool) -> None:
        splitter = FrameSplitter(frame_cap(WORK))
        with suppress(TransportError, Invalid), trio.CancelScope() as ear:
            self._ears.append(ear)
            while data := await stream.receive(READ_BYTES):
                splitter.feed(data)
                while (payload := splitter.take()) is not None:
                    frame = decode_frame(payload)
                    if opened and isinstance(frame, Open):
                        continue
                    if isinstance(frame, Ping | Pong):
                        if isinstance(frame, Ping) and self.beats:
                            await stream.send(encode_frame(Pong(frame.count, 0)))
                        continue
                    self.heard.append((number, frame))
                    self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = trio.Event()


class Adversary:
    def __init__(self, transport: Transport, nursery: trio.Nursery) -> None:
        self.transport = transport
        self._nursery = nursery

    async def dial(self, peer: PeerAddress, alpn: bytes = ALPN) -> Wire:
        return self._wire(await self.transport.dial(peer, alpn))

    async def accept(self) -> Wire:
        """The next one who dials this key, its streams taken."""
        with trio.fail_after(PATIENCE_SECONDS):
            wire = self._wire(await (await self.transport.next_incoming()).accept())
            await wire.take()
        return wire

    def _wire(self, connection: Connection) -> Wire:
        wire = Wire(connection, self._nursery)
        self._nursery.start_soon(wire.live)
        return wire


@asynccontextmanager
async def adversary(
    transports: OpenTransport, secret: bytes, *, bind: str = "memory:0", alpns: Sequence[bytes] = (ALPN,)
) -> AsyncIterator[Adversary]:
    transport = await transports.open(secret, alpns, TransportOptions(bind))
    try:
        async with trio.open_nursery() as nursery:
            yield Adversary(transport, nursery)
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True), trio.move_on_after(1):
            await transport.close()


def lying(length: int, payload: bytes = b"") -> bytes:
    """A length, and not what it says."""
    return length.to_bytes(HEAD_BYTES, "big") + payload


def _close_of(reason: str) -> Close:
    found = re.search(r"\b([a-z_]+): ", reason.removeprefix("closed by peer: "))
    return Close(found[1] if found is not None and found[1] in CLOSE_CODES else "stream", reason)
