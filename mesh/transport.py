"""What a link needs of a network. Two implementations pass one conformance suite: iroh, and the simulated network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class TransportError(Exception):
    """The network or the peer ended it. The link goes on with a new connection; nothing half-sent is reused."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class PeerAddress:
    key: bytes  # the node key is the name on the wire
    direct: tuple[str, ...] = ()  # "host:port"
    relay: str | None = None


class TransportStream(Protocol):
    """Reliable and ordered bytes. Any exception, cancellation included, leaves the stream dead."""

    async def send(self, data: bytes) -> None: ...

    async def receive(self, limit: int) -> bytes:
        """At least one byte, or b"" when the peer finished its half."""

    async def finish(self) -> None: ...


class Connection(Protocol):
    peer: bytes
    """The peer's key, proven by the handshake."""

    alpn: bytes

    async def open_stream(self) -> TransportStream: ...

    async def accept_stream(self) -> TransportStream: ...

    def close(self, code: int, reason: bytes) -> None: ...

    async def closed(self) -> str:
        """Waits for the end and says why."""


class Incoming(Protocol):
    async def accept(self) -> Connection:
        """Finishes the handshake. Raises TransportError."""


class Transport(Protocol):
    key: bytes

    def addresses(self) -> PeerAddress: ...

    async def dial(self, peer: PeerAddress, alpn: bytes) -> Connection: ...

    async def next_incoming(self) -> Incoming: ...

    async def close(self) -> None: ...


class OpenTransport(Protocol):
    async def open(self, secret: bytes, alpns: Sequence[bytes], bind: str) -> Transport:
        """Listens on `bind` ("host:port", port 0 for any) with the node's 32 secret bytes as its identity."""
