"""The transport over iroh: QUIC, and the node key as the name on the wire. The one file that knows iroh."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import iroh
import trio
from iroh import iroh_ffi
from netsky.mesh.limits import CHANNELS, CONNECTION_BYTES_MAX, WRITE_BYTES_MAX
from netsky.mesh.transport import PeerAddress, TransportError
from netsky.mesh.trio_loop import is_event_loop
from netsky.mesh.uniffi_copy import copy_at_once

T = TypeVar("T")

_SOURCE_LINE = re.compile(r"\s*\((?:/|[A-Za-z]:)[^)]*:\d+:\d+\)")


def _sentence(message: str) -> str:
    """The innermost cause that iroh names, without the source lines of the machine it was built on."""
    lines = [_SOURCE_LINE.sub("", line).strip() for line in message.splitlines()]
    return next((line for line in reversed(lines) if line), "iroh gave no reason")


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except iroh.IrohError as error:
        raise TransportError(error.kind().name.lower(), _sentence(error.message())) from error


async def _ask(work: Awaitable[T]) -> T:
    with _errors():
        return await work


class IrohStream:
    """Both halves of one QUIC stream."""

    __slots__ = ("_receive", "_send")

    def __init__(self, stream: Any) -> None:
        self._send, self._receive = stream.send(), stream.recv()

    async def send(self, data: bytes) -> None:
        for at in range(0, len(data), WRITE_BYTES_MAX):
            await _ask(self._send.write_all(data[at : at + WRITE_BYTES_MAX]))

    async def receive(self, limit: int) -> bytes:
        return bytes(await _ask(self._receive.read(limit)))

    async def finish(self) -> None:
        await _ask(self._send.finish())


class IrohConnection:
    """One connection whose peer has proven its key."""

    def __init__(self, connection: Any, *, accepted: bool) -> None:
        # Stated before anything is read. A peer that heeds them holds no more than this on its way to us; one that
        # does not is caught in `accept_stream`, and never has more than the 1.25 MB that iroh gives each stream.
        connection.set_receive_window(CONNECTION_BYTES_MAX)
        connection.set_max_concurrent_bi_streams(CHANNELS if accepted else 0)
        connection.set_max_concurrent_uni_streams(0)
        self._connection = connection
        self.peer: bytes = connection.remote_id().to_bytes()
        self.alpn: bytes = connection.alpn()

    async def open_stream(self) -> IrohStream:
        return IrohStream(await _ask(self._connection.open_bi()))

    async def accept_stream(self) -> IrohStream:
        found: list[IrohStream] = []
        fault: list[TransportError] = []

        async def two_ways() -> None:
            try:
                found.append(IrohStream(await _ask(self._connection.accept_bi())))
            except TransportError as error:
                fault.append(error)
            nursery.cancel_scope.cancel()

        async def one_way() -> None:
            try:
                await _ask(self._connection.accept_uni())
                fault.append(TransportError("stream", "the peer opened a one-way stream, and a link has none"))
            except TransportError as error:
                fault.append(error)
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(two_ways)
            nursery.start_soon(one_way)
        if found:
            return found[0]
        raise fault[0]

    def close(self, code: int, reason: bytes) -> None:
        with _errors():
            self._connection.close(code, reason)

    async def closed(self) -> str:
        return _sentence(await _ask(self._connection.closed()))


class IrohIncoming:
    """Somebody knocked; nothing is proven yet."""

    __slots__ = ("_incoming",)

    def __init__(self, incoming: Any) -> None:
        self._incoming = incoming

    async def accept(self) -> IrohConnection:
        accepting = await _ask(self._incoming.accept())
        return IrohConnection(await _ask(accepting.connect()), accepted=True)


class IrohTransport:
    """An endpoint that listens and dials under the node's key."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint
        self.key: bytes = endpoint.id().to_bytes()

    @classmethod
    async def open(cls, secret: bytes, alpns: Sequence[bytes], bind: str) -> IrohTransport:
        assert is_event_loop(), "iroh runs inside trio_as_event_loop() only"
        assert len(secret) == 32
        copy_at_once(iroh_ffi._UniffiRustBufferBuilder, iroh_ffi._UniffiRustBuffer)
        options = iroh.EndpointOptions(
            preset=iroh.preset_minimal(),
            relay_mode=iroh.RelayMode.disabled(),
            bind_addr=bind,
            secret_key=secret,
            alpns=list(alpns),
        )
        return cls(await _ask(iroh.Endpoint.bind(options)))

    def addresses(self) -> PeerAddress:
        address = self._endpoint.addr()
        return PeerAddress(self.key, tuple(address.direct_addresses()), address.relay_url())

    async def dial(self, peer: PeerAddress, alpn: bytes) -> IrohConnection:
        with _errors():
            address = iroh.EndpointAddr(iroh.EndpointId.from_bytes(peer.key), peer.relay, list(peer.direct))
        connection = IrohConnection(await _ask(self._endpoint.connect(address, alpn)), accepted=False)
        assert connection.peer == peer.key, "iroh reaches the key that was dialled or nobody"
        return connection

    async def next_incoming(self) -> IrohIncoming:
        incoming = await _ask(self._endpoint.accept_next())
        if incoming is None:
            raise TransportError("closed", "the endpoint is closed")
        return IrohIncoming(incoming)

    async def close(self) -> None:
        await _ask(self._endpoint.close())
