"""The transport over iroh: QUIC, and the node key as the name on the wire. The one file that knows iroh."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import Any, TypeVar

import iroh
import trio
from iroh import iroh_ffi
from netsky.mesh.addresses import announced, dialable, relay_place
from netsky.mesh.limits import (
    BLOB_STREAMS,
    CHANNELS,
    RELAY_ANSWER_SECONDS,
    RELAY_LOOK_SECONDS,
    VERSIONS_SECONDS,
    WRITE_BYTES_MAX,
)
from netsky.mesh.transport import (
    VERSIONS_ALPN,
    PeerAddress,
    TransportError,
    TransportOptions,
    asked_for_another,
    nothing_in_common,
    spoken,
)
from netsky.mesh.trio_loop import is_event_loop
from netsky.mesh.uniffi_copy import copy_at_once

T = TypeVar("T")

_SOURCE_LINE = re.compile(r"\s*\((?:/|[A-Za-z]:)[^)]*:\d+:\d+\)")

_NO_PROTOCOL = re.compile(r"\bNoApplicationProtocol\b|\berror 120\b")
"""TLS alert 120, as either side's iroh words it: the two have no ALPN in common."""

_CLOSE_WITH_REASON = re.compile(r'ApplicationClose \{ error_code: \d+, reason: b"((?:[^"\\]|\\.)+)" \}')
"""A close as iroh prints it inside of other errors: the reason is what the peer has said."""

_CLOSED_BY_PEER = re.compile(r"closed by peer: (.*) \(code \d+\)", re.DOTALL)


def _sentence(message: str) -> str:
    """The innermost cause that iroh names, without the source lines of the machine it was built on."""
    lines = [_SOURCE_LINE.sub("", line).strip() for line in message.splitlines()]
    last = next((line for line in reversed(lines) if line), "iroh gave no reason")
    closed = _CLOSE_WITH_REASON.search(last)
    return last if closed is None else f"the peer closed the connection: {closed[1]}"


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except iroh.IrohError as error:
        code = "alpn" if _NO_PROTOCOL.search(error.message()) else error.kind().name.lower()
        raise TransportError(code, _sentence(error.message())) from error


async def _ask(call: Callable[..., Awaitable[T]], *values: object) -> T:
    await trio.lowlevel.checkpoint_if_cancelled()  # what iroh has ready it gives to the cancelled too (trio_loop.py)
    with _errors():
        return await call(*values)


class IrohStream:
    """Both halves of one QUIC stream."""

    __slots__ = ("_receive", "_receive_broken", "_send", "_send_broken")

    def __init__(self, stream: Any) -> None:
        self._send, self._receive = stream.send(), stream.recv()
        self._send_broken = self._receive_broken = False

    async def send(self, data: bytes) -> None:
        if not data:
            await trio.lowlevel.checkpoint()
        for at in range(0, len(data), WRITE_BYTES_MAX):
            await self._sending(self._send.write_all, data[at : at + WRITE_BYTES_MAX])

    async def receive(self, limit: int) -> bytes:
        if self._receive_broken:
            raise _broken_off()
        try:
            return bytes(await _ask(self._receive.read, limit))
        except BaseException:
            self._receive_broken = True
            raise

    async def finish(self) -> None:
        await self._sending(self._send.finish)

    async def _sending(self, call: Callable[..., Awaitable[None]], *values: object) -> None:
        if self._send_broken:
            raise _broken_off()
        try:
            await _ask(call, *values)
        except trio.Cancelled:
            self._send_broken = True
            # Forgotten, iroh would finish it: the peer would take the half that arrived for the whole.
            with trio.CancelScope(shield=True), suppress(iroh.IrohError):
                await self._send.reset(0)
            raise


def _broken_off() -> TransportError:
    return TransportError("stream", "this stream broke off before")


class IrohConnection:
    """One connection whose peer has proven its key."""

    def __init__(self, connection: Any, *, accepted: bool) -> None:
        # No more than the handshake granted, which is a hundred: further ones are caught in `accept_stream`.
        connection.set_max_concurrent_bi_streams((CHANNELS if accepted else 0) + BLOB_STREAMS)
        connection.set_max_concurrent_uni_streams(0)
        self._connection = connection
        self.peer: bytes = connection.remote_id().to_bytes()
        self.alpn: bytes = connection.alpn()

    def reached(self) -> PeerAddress:
        paths = sorted(self._connection.paths(), key=lambda path: not path.is_selected)
        relays = [path.remote_addr for path in paths if path.is_relay and relay_place(path.remote_addr)]
        direct = dialable(path.remote_addr for path in paths if path.is_ip)
        return PeerAddress(self.peer, direct, relays[0] if relays else None)

    async def open_stream(self) -> IrohStream:
        return IrohStream(await _ask(self._connection.open_bi))

    async def accept_stream(self) -> IrohStream:
        found: list[IrohStream] = []
        fault: list[TransportError] = []

        async def two_ways() -> None:
            try:
                found.append(IrohStream(await _ask(self._connection.accept_bi)))
            except TransportError as error:
                fault.append(error)
            nursery.cancel_scope.cancel()

        async def one_way() -> None:
            try:
                await _ask(self._connection.accept_uni)
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
        return _sentence(await _ask(self._connection.closed))


class IrohIncoming:
    """Somebody knocked; nothing is proven yet."""

    __slots__ = ("_alpns", "_incoming")

    def __init__(self, incoming: Any, alpns: Sequence[bytes]) -> None:
        self._incoming, self._alpns = incoming, alpns

    async def accept(self) -> IrohConnection:
        try:
            accepting = await _ask(self._incoming.accept)
            connection = await _ask(accepting.connect)
        except TransportError as error:
            raise asked_for_another(self._alpns) if error.code == "alpn" else error from None
        if connection.alpn() == VERSIONS_ALPN:
            connection.close(0, spoken(self._alpns))
            raise asked_for_another(self._alpns)
        return IrohConnection(connection, accepted=True)


def _why(error: BaseException) -> str:
    """The first cause: trio groups one for each address of a host."""
    cause: BaseException | None = error
    while cause is not None:
        error = cause
        cause = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
    return str(getattr(error, "strerror", None) or error).rpartition(": ")[2]


def iroh_options(secret: bytes, alpns: Sequence[bytes], options: TransportOptions) -> iroh.EndpointOptions:
    """What iroh is given. Relay URLs are read by iroh here, so a wrong one is refused before anything is bound."""
    if options.relays:
        relays = iroh.RelayMode.custom_from_urls(list(options.relays))
    else:
        relays = iroh.RelayMode.default_mode() if options.n0 else iroh.RelayMode.disabled()
    return iroh.EndpointOptions(
        preset=iroh.preset_n0() if options.n0 else iroh.preset_minimal(),
        relay_mode=relays,
        bind_addr=options.bind,
        secret_key=secret,
        alpns=[*alpns, VERSIONS_ALPN] if alpns else [],
    )


def received(given: iroh.EndpointOptions, options: TransportOptions) -> dict[str, Any]:
    """The options as iroh has them; the relays are asked back from it."""
    assert given.relay_mode is not None
    return {
        "iroh": version("iroh"),
        "bind": given.bind_addr,
        "alpns": [alpn.decode("ascii", "replace") for alpn in given.alpns or ()],
        "relays": sorted(given.relay_mode.relay_map().urls()),
        "discovery": "n0" if options.n0 else "none",
    }


def without_backtraces() -> None:
    """In a shell with RUST_BACKTRACE, iroh reads its own debug information for many an error that it makes: 100 ms in
    which the loop stands still, for each handshake that a peer breaks off. iroh looks once, at the first error. Not in
    `os.environ`: no program that we start sees it."""
    if "RUST_LIB_BACKTRACE" not in os.environ:
        os.putenv("RUST_LIB_BACKTRACE", "0")


class IrohTransport:
    """An endpoint that listens and dials under the node's key."""

    def __init__(self, endpoint: Any, given: iroh.EndpointOptions, options: TransportOptions, *, fast: bool) -> None:
        self._endpoint, self._options = endpoint, options
        self._received = received(given, options) | {"fast_copy": fast}
        self._alpns = [alpn for alpn in given.alpns or () if alpn != VERSIONS_ALPN]
        self._opened_at = trio.current_time()
        self._dead_relays: dict[str, str] = {}
        self.key: bytes = endpoint.id().to_bytes()

    @classmethod
    async def open(cls, secret: bytes, alpns: Sequence[bytes], options: TransportOptions) -> IrohTransport:
        assert is_event_loop(), "iroh runs inside trio_as_event_loop() only"
        assert len(secret) == 32
        without_backtraces()
        fast = copy_at_once(iroh_ffi._UniffiRustBufferBuilder, iroh_ffi._UniffiRustBuffer)
        with _errors():
            given = iroh_options(secret, alpns, options)
        return cls(await _ask(iroh.Endpoint.bind, given), given, options, fast=fast)

    def addresses(self) -> PeerAddress:
        address = self._endpoint.addr()
        relay = address.relay_url()
        if relay is None and self._options.relays:  # none has answered yet, and the first one is where it will be
            relay = self._options.relays[0]
        return PeerAddress(self.key, announced(address.direct_addresses(), self._options.bind), relay)

    def describe(self) -> dict[str, Any]:
        return self._received | {
            "sockets": self._endpoint.bound_sockets(),
            "addresses": list(self.addresses().direct),
            "relay": self._endpoint.addr().relay_url(),
        }

    def troubles(self) -> list[str]:
        found = [f"the relay {url} does not answer: {why}" for url, why in sorted(self._dead_relays.items())]
        wants_one = self._options.n0 or bool(self._options.relays)
        settled = trio.current_time() - self._opened_at > RELAY_ANSWER_SECONDS
        some_may_work = len(found) < max(1, len(self._options.relays))
        if wants_one and settled and some_may_work and self._endpoint.addr().relay_url() is None:
            found.append("no relay has taken this node: peers reach it by its direct addresses alone")
        return found

    async def watch(self) -> None:
        while True:
            async with trio.open_nursery() as nursery:
                for url in self._options.relays:
                    nursery.start_soon(self._look_at, url)
            await trio.sleep(RELAY_LOOK_SECONDS)

    async def _look_at(self, url: str) -> None:
        """Whether something takes a connection there. iroh's binding does not say which relay it failed to reach."""
        place = relay_place(url)
        why: str | None = f"it took no connection within {RELAY_ANSWER_SECONDS} s"
        with trio.move_on_after(RELAY_ANSWER_SECONDS):
            if place is None:
                why = "it is not the URL of a relay"
            else:
                try:
                    await (await trio.open_tcp_stream(*place)).aclose()
                    why = None
                except OSError as error:
                    why = _why(error)
        if why is None:
            self._dead_relays.pop(url, None)
        else:
            self._dead_relays[url] = why

    async def dial(self, peer: PeerAddress, alpn: bytes) -> IrohConnection:
        direct = dialable(peer.direct)
        if not direct and peer.relay is None and not self._options.n0:
            raise TransportError("address", "no address of this node is known that can be dialled")
        with _errors():
            address = iroh.EndpointAddr(iroh.EndpointId.from_bytes(peer.key), peer.relay, list(direct))
        try:
            connection = IrohConnection(await _ask(self._endpoint.connect, address, alpn), accepted=False)
        except TransportError as error:
            raise nothing_in_common(alpn, await self._versions(address)) if error.code == "alpn" else error from None
        assert connection.peer == peer.key, "iroh reaches the key that was dialled or nobody"
        return connection

    async def _versions(self, address: Any) -> bytes | None:
        """What the peer speaks, if it says so."""
        with trio.move_on_after(VERSIONS_SECONDS), suppress(TransportError):
            connection = await _ask(self._endpoint.connect, address, VERSIONS_ALPN)
            told = _CLOSED_BY_PEER.fullmatch(await _ask(connection.closed))
            return None if told is None else told[1].encode()
        return None

    async def next_incoming(self) -> IrohIncoming:
        incoming = await _ask(self._endpoint.accept_next)
        if incoming is None:
            raise TransportError("closed", "the endpoint is closed")
        return IrohIncoming(incoming, self._alpns)

    async def close(self) -> None:
        await _ask(self._endpoint.close)
