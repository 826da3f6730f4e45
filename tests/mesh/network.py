"""A network in memory that carries bytes only. Small: the simulated network with faults ships in node/lab later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.strict25519 import public_key_invalid
from netsky.mesh.transport import (
    VERSIONS_ALPN,
    PeerAddress,
    TransportError,
    TransportOptions,
    asked_for_another,
    nothing_in_common,
    spoken,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

WINDOW = 1 << 20
STREAMS_WAITING_MAX = 64


class Half:
    """One direction of a stream: bounded, ended by its writer or by the connection."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.finished = False
        self.broken_off = False
        self.changed = trio.Event()

    def change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


class MemoryStream:
    def __init__(self, connection: MemoryConnection, out: Half, into: Half) -> None:
        self._connection, self._out, self._in = connection, out, into
        self._receive_broken = False
        self.not_yet_known = False

    async def send(self, data: bytes) -> None:
        try:
            await self._send(data)
        except BaseException:
            self._out.broken_off = True
            self._out.change()
            raise

    async def _send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        rest = memoryview(data)
        while rest:
            self._connection.check()
            if self._out.finished or self._out.broken_off:
                raise TransportError("stream", "this stream broke off before")
            await self._tell_the_peer()
            room = WINDOW - len(self._out.data)
            if room > 0:
                self._out.data += rest[:room]
                rest = rest[room:]
                self._out.change()
            if rest:
                await self._out.changed.wait()

    async def _tell_the_peer(self) -> None:
        """A stream exists for the other side once something was sent on it."""
        if self.not_yet_known:
            self.not_yet_known = False
            self._connection.far.put_stream(MemoryStream(self._connection.far, self._in, self._out))

    async def receive(self, limit: int) -> bytes:
        if self._receive_broken:
            raise TransportError("stream", "this stream broke off before")
        try:
            return await self._receive(limit)
        except BaseException:
            self._receive_broken = True
            raise

    async def _receive(self, limit: int) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self._in.data or self._in.broken_off:
            self._connection.check()
            if self._in.broken_off:
                raise TransportError("stream", "reset by the peer")
            if self._in.finished:
                return b""
            await self._in.changed.wait()
        self._connection.check()
        piece = bytes(self._in.data[:limit])
        del self._in.data[:limit]
        self._in.change()
        return piece

    async def finish(self) -> None:
        await trio.lowlevel.checkpoint()
        self._connection.check()
        if self._out.finished or self._out.broken_off:
            self._out.broken_off = True
            raise TransportError("stream", "this stream broke off before")
        await self._tell_the_peer()
        self._out.finished = True
        self._out.change()


@dataclass
class Wire:
    """What both ends of a connection share."""

    ended_by: MemoryConnection | None = None
    reason: str = ""
    over: trio.Event = field(default_factory=trio.Event)
    halves: list[Half] = field(default_factory=list)


class MemoryConnection:
    def __init__(self, peer: bytes, alpn: bytes, wire: Wire, peer_place: str) -> None:
        self.peer, self.alpn = peer, alpn
        self.wire = wire
        self.far: MemoryConnection
        self._peer_place = peer_place
        self._put, self._streams = trio.open_memory_channel[MemoryStream](STREAMS_WAITING_MAX)
        self._room = trio.Semaphore(STREAMS_WAITING_MAX)

    def check(self) -> None:
        if self.wire.ended_by is not None:
            raise TransportError("connection", self._why())

    def _why(self) -> str:
        return "closed" if self.wire.ended_by is self else self.wire.reason

    def reached(self) -> PeerAddress:
        return PeerAddress(self.peer, (self._peer_place,))

    def put_stream(self, stream: MemoryStream) -> None:
        self._put.send_nowait(stream)

    async def open_stream(self) -> MemoryStream:
        self.check()
        await self._room_for_a_stream()
        self.check()
        out, back = Half(), Half()
        self.wire.halves += [out, back]
        stream = MemoryStream(self, out, back)
        stream.not_yet_known = True
        return stream

    async def _room_for_a_stream(self) -> None:
        """Waits while the peer has as many as it lets wait; the end of the connection ends the wait too."""
        async with trio.open_nursery() as nursery:

            async def over() -> None:
                await self.wire.over.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(over)
            await self.far._room.acquire()
            nursery.cancel_scope.cancel()

    async def accept_stream(self) -> MemoryStream:
        self.check()
        try:
            stream = await self._streams.receive()
        except trio.EndOfChannel:
            raise TransportError("connection", self._why()) from None
        self._room.release()  # one taken is one more that may come
        return stream

    def close(self, code: int, reason: bytes) -> None:
        if self.wire.ended_by is not None:
            return
        self.wire.ended_by = self
        self.wire.reason = f"closed by peer: {reason.decode()} (code {code})" if reason else f"closed by peer: {code}"
        self.wire.over.set()
        for half in self.wire.halves:
            half.change()
        self._put.close()
        self.far._put.close()

    async def closed(self) -> str:
        await self.wire.over.wait()
        return self._why()


class MemoryIncoming:
    def __init__(self, found: MemoryConnection | TransportError) -> None:
        self._found = found

    async def accept(self) -> MemoryConnection:
        await trio.lowlevel.checkpoint()
        if isinstance(self._found, TransportError):
            raise self._found
        return self._found


class MemoryTransport:
    def __init__(
        self, network: MemoryNetwork, key: bytes, alpns: Sequence[bytes], options: TransportOptions, place: str
    ) -> None:
        self.key = key
        self.place = place
        self.alpns = tuple(alpns)
        self.connections: list[MemoryConnection] = []
        self.closed = False
        self._network = network
        self._options = options
        self.put, self._knocks = trio.open_memory_channel[MemoryIncoming](4096)

    def addresses(self) -> PeerAddress:
        return PeerAddress(self.key, (self.place,))

    def describe(self) -> dict[str, Any]:
        names = [alpn.decode() for alpn in (*self.alpns, VERSIONS_ALPN)] if self.alpns else []
        return {
            "bind": self._options.bind,
            "alpns": names,
            "relays": sorted(self._options.relays),
            "discovery": "n0" if self._options.n0 else "none",
            "sockets": [self.place],
            "addresses": [self.place],
            "relay": None,
        }

    def troubles(self) -> list[str]:
        return [f"the relay {url} does not answer: there are none in memory" for url in sorted(self._options.relays)]

    async def watch(self) -> None:
        await trio.sleep_forever()

    async def dial(self, peer: PeerAddress, alpn: bytes) -> MemoryConnection:
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise TransportError("closed", "the transport is closed")
        if public_key_invalid(peer.key) is not None:
            raise TransportError("key_parsing", "no such key")
        if not peer.direct:
            raise TransportError("address", "no address of this node is known that can be dialled")
        there = next((one for at in peer.direct for one in self._network.at(at) if one.key == peer.key), None)
        if there is None:
            for at in peer.direct:
                for other in self._network.at(at):
                    other.put.send_nowait(MemoryIncoming(TransportError("connection", "the handshake failed")))
            raise TransportError("connect", "nobody is there")
        if alpn not in there.alpns:
            there.put.send_nowait(MemoryIncoming(asked_for_another(there.alpns)))
            raise nothing_in_common(alpn, spoken(there.alpns))
        wire = Wire()
        ours = MemoryConnection(peer.key, alpn, wire, there.place)
        theirs = MemoryConnection(self.key, alpn, wire, self.place)
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
        self.closed = True
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

    async def open(self, secret: bytes, alpns: Sequence[bytes], options: TransportOptions) -> MemoryTransport:
        await trio.lowlevel.checkpoint()
        bind = options.bind
        host, _, port = bind.rpartition(":")
        self._ports += 1
        place = bind if port != "0" else f"{host}:{self._ports}"
        assert place not in self.places
        key = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        self.places[place] = MemoryTransport(self, key, alpns, options, place)
        return self.places[place]
