"""Hears what nodes say to each other, and can make a call to the network fail: an `OpenTransport` around another.

    tapped = Tapped(network, heard=lambda sender, receiver, frame: print(frame))
    tapped.broken.add((key, "send"))            the next send of the node with this key fails

Frames are noted when they are given to the network, whether they arrive or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netsky.mesh.frames import Frame, decode_frame
from netsky.mesh.limits import DATA_FRAME_BYTES_MAX
from netsky.mesh.splitter import FrameSplitter
from netsky.mesh.transport import (
    Connection,
    Incoming,
    OpenTransport,
    PeerAddress,
    Transport,
    TransportError,
    TransportOptions,
    TransportStream,
)

Heard = Callable[[bytes, bytes, Frame], None]
"""Of whom, to whom, what."""


class Tapped:
    def __init__(self, really: OpenTransport, heard: Heard) -> None:
        self.heard = heard
        self.broken: set[tuple[bytes, str]] = set()
        """(key, "send" or "close"): that call fails once."""
        self._really = really

    async def open(self, secret: bytes, alpns: Sequence[bytes], options: TransportOptions) -> Transport:
        return _Transport(await self._really.open(secret, alpns, options), self)

    def breaks(self, key: bytes, call: str) -> bool:
        found = (key, call) in self.broken
        self.broken.discard((key, call))
        return found


class _Transport:
    def __init__(self, really: Transport, tap: Tapped) -> None:
        self.key = really.key
        self._really, self._tap = really, tap
        self.addresses, self.describe, self.troubles = really.addresses, really.describe, really.troubles
        self.watch, self.close = really.watch, really.close

    async def dial(self, peer: PeerAddress, alpn: bytes) -> Connection:
        return _Connection(await self._really.dial(peer, alpn), self.key, self._tap)

    async def next_incoming(self) -> Incoming:
        return _Incoming(await self._really.next_incoming(), self.key, self._tap)


class _Incoming:
    def __init__(self, really: Incoming, key: bytes, tap: Tapped) -> None:
        self._really, self._key, self._tap = really, key, tap

    async def accept(self) -> Connection:
        return _Connection(await self._really.accept(), self._key, self._tap)


class _Connection:
    def __init__(self, really: Connection, key: bytes, tap: Tapped) -> None:
        self.peer, self.alpn = really.peer, really.alpn
        self.reached, self.closed = really.reached, really.closed
        self._really, self._key, self._tap = really, key, tap

    async def open_stream(self) -> TransportStream:
        return _Stream(await self._really.open_stream(), (self._key, self.peer), self._tap)

    async def accept_stream(self) -> TransportStream:
        return _Stream(await self._really.accept_stream(), (self._key, self.peer), self._tap)

    def close(self, code: int, reason: bytes) -> None:
        if self._tap.breaks(self._key, "close"):
            raise RuntimeError("the connection could not be closed")
        self._really.close(code, reason)


class _Stream:
    def __init__(self, really: TransportStream, ends: tuple[bytes, bytes], tap: Tapped) -> None:
        self.receive, self.finish = really.receive, really.finish
        self._really, self._ends, self._tap = really, ends, tap
        self._splitter = FrameSplitter(DATA_FRAME_BYTES_MAX)

    async def send(self, data: bytes) -> None:
        if self._tap.breaks(self._ends[0], "send"):
            raise TransportError("stream", "the network took nothing")
        self._splitter.feed(data)
        while (payload := self._splitter.take()) is not None:
            self._tap.heard(*self._ends, decode_frame(payload))
        await self._really.send(data)
