"""A network in memory that carries bytes only. Small: the simulated network with faults ships in node/lab later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.strict25519 import public_key_invalid
from netsky.mesh.transport import PeerAddress, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator

WINDOW = 1 << 20


class Half:
    """One direction of a stream: bounded, ended by its writer or by the connection."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.finished = False
        self.changed = trio.Event()

    def change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


class MemoryStream:
    def __init__(self, connection: MemoryConnection, out: Half, into: Half) -> None:
        self._connection, self._out, self._in = connection, out, into

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        rest = memoryview(data)
        while True:
            self._connection.check()
            room = WINDOW - len(self._out.data)
            if room > 0:
                self._out.data += rest[:room]
                rest = rest[room:]
                self._out.change()
            if not rest:
                return
            await self._out.changed.wait()

    async def receive(self, limit: int) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self._in.data:
            if self._in.finished:
                return b""
            self._connection.check()
            await self._in.changed.wait()
        self._connection.check()
        piece = bytes(self._in.data[:limit])
        del self._in.data[:limit]
        self._in.change()
        return piece

    async def finish(self) -> None:
        await trio.lowlevel.checkpoint()
        self._out.finished = True
        self._out.change()


@dataclass
class Wire:
    """What both ends of a connection share."""

    reason: str | None = None
    over: trio.Event = field(default_factory=trio.Event)
    halves: list[Half] = field(default_factory=list)


class MemoryConnection:
    def __init__(self, peer: bytes, alpn: bytes, wire: Wire) -> None:
        self.peer, self.alpn = peer, alpn
        self.wire = wire
        self.far: MemoryConnection
        self._put, self._streams = trio.open_memory_channel[MemoryStream](64)

    def check(self) -> None:
        if self.wire.reason is not None:
            raise TransportError("connection", self.wire.reason)

    async def open_stream(self) -> MemoryStream:
        await trio.lowlevel.checkpoint()
        self.check()
        out, back = Half(), Half()
        self.wire.halves += [out, back]
        self.far._put.send_nowait(MemoryStream(self.far, back, out))
        return MemoryStream(self, out, back)

    async def accept_stream(self) -> MemoryStream:
        self.check()
        try:
            return await self._streams.receive()
        except trio.EndOfChannel:
            raise TransportError("connection", self.wire.reason or "") from None

    def close(self, code: int, reason: bytes) -> None:
        if self.wire.reason is not None:
            return
        self.wire.reason = f"closed by peer: {reason.decode()} (code {code})"
        self.wire.over.set()
        for half in self.wire.halves:
            half.change()
        self._put.close()
        self.far._put.close()

    async def closed(self) -> str:
        await self.wire.over.wait()
        assert self.wire.reason is not None
        return self.wire.reason


class MemoryIncoming:
    def __init__(self, connection: MemoryConnection | None) -> None:
        self._connection = connection

    async def accept(self) -> MemoryConnection:
        await trio.lowlevel.checkpoint()
        if self._connection is None:
            raise TransportError("connection", "the handshake failed")
        return self._connection


class MemoryTransport:
    def __init__(self, network: MemoryNetwork, key: bytes, alpns: Sequence[bytes], place: str) -> None:
        self.key = key
        self.place = place
        self.alpns = tuple(alpns)
        self.connections: list[MemoryConnection] = []
        self._network = network
        self.put, self._knocks = trio.open_memory_channel[MemoryIncoming](64)

    def addresses(self) -> PeerAddress:
        return PeerAddress(self.key, (self.place,))

    async def dial(self, peer: PeerAddress, alpn: bytes) -> MemoryConnection:
        await trio.lowlevel.checkpoint()
        if public_key_invalid(peer.key) is not None:
            raise TransportError("key_parsing", "no such key")
        there = next((one for at in peer.direct for one in self._network.at(at)), None)
        if there is None:
            raise TransportError("connect", "nobody is there")
        if there.key != peer.key or alpn not in there.alpns:
            there.put.send_nowait(MemoryIncoming(None))
            raise TransportError("connect", "the handshake failed")
        wire = Wire()
        ours, theirs = MemoryConnection(peer.key, alpn, wire), MemoryConnection(self.key, alpn, wire)
        ours.far, theirs.far = theirs, ours
        self.connections.append(ours)
        there.connections.append(theirs)
        there.put.send_nowait(MemoryIncoming(theirs))
        return ours

    async def next_incoming(self) -> MemoryIncoming:
        try:
            return await self._knocks.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise TransportError("closed", "the transport is closed") from None

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()
        self.kill()

    def kill(self) -> None:
        """At once, as a process ends; a peer in memory hears of it, unlike one on a real network."""
        self._network.places.pop(self.place, None)
        for connection in self.connections:
            connection.close(0, b"gone")
        self.put.close()


class MemoryNetwork:
    """An OpenTransport, and the wires between all that it opened."""

    def __init__(self) -> None:
        self.places: dict[str, MemoryTransport] = {}
        self._ports = 0

    def at(self, place: str) -> Iterator[MemoryTransport]:
        if place in self.places:
            yield self.places[place]

    async def open(self, secret: bytes, alpns: Sequence[bytes], bind: str) -> MemoryTransport:
        await trio.lowlevel.checkpoint()
        host, _, port = bind.rpartition(":")
        self._ports += 1
        place = bind if port != "0" else f"{host}:{self._ports}"
        assert place not in self.places
        key = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        self.places[place] = MemoryTransport(self, key, alpns, place)
        return self.places[place]
