"""What a link needs of a network. Two implementations pass one conformance suite: iroh, and the simulated network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

VERSIONS_ALPN = b"netsky/versions"
"""Whoever connects with it is told by the reason of an immediate close which ALPNs are spoken here, and nothing else.
It never changes: two builds that have nothing in common can still name each other's version."""


class TransportError(Exception):
    """The network or the peer ended it. The link goes on with a new connection; nothing half-sent is reused.

    Of the codes, `alpn` (no protocol in common), `address` (nothing that can be dialled) and `closed` (this transport
    was closed) mean the same in every implementation.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """How a node is reached, as its config says: directly, over relays of one's own, or by what n0 offers everybody."""

    bind: str  # "address:port" with an IP address; port 0 for any
    relays: tuple[str, ...] = ()  # URLs
    n0: bool = False  # n0's public relays, and its DNS service that finds a node by its key

    def __post_init__(self) -> None:
        assert not (self.relays and self.n0), "config.py refuses both at once"


@dataclass(frozen=True, slots=True)
class PeerAddress:
    key: bytes  # the node key is the name on the wire
    direct: tuple[str, ...] = ()  # "address:port", all of which are tried at once
    relay: str | None = None


class TransportStream(Protocol):
    """Reliable and ordered bytes. An exception, cancellation included, leaves that half dead: what it is asked next is
    a TransportError. After a send that broke off the peer gets one too, never a clean end."""

    async def send(self, data: bytes) -> None: ...

    async def receive(self, limit: int) -> bytes:
        """At least one byte, or b"" when the peer finished its half."""

    async def finish(self) -> None: ...


class Connection(Protocol):
    peer: bytes
    """The peer's key, proven by the handshake."""

    alpn: bytes

    def reached(self) -> PeerAddress:
        """Where the peer answers at this moment, the path in use first: worth remembering for the next dial."""

    async def open_stream(self) -> TransportStream:
        """Waits while the peer takes no further stream. The peer learns of it by the first bytes."""

    async def accept_stream(self) -> TransportStream:
        """The next one, in the order in which they were opened."""

    def close(self, code: int, reason: bytes) -> None: ...

    async def closed(self) -> str:
        """Waits for the end and says why: whose close it was, with its code and reason."""


class Incoming(Protocol):
    async def accept(self) -> Connection:
        """Finishes the handshake. Raises TransportError."""


class Transport(Protocol):
    key: bytes

    def addresses(self) -> PeerAddress:
        """Where peers can dial this node now. It changes with the machine's network: cheap, so ask again."""

    def describe(self) -> dict[str, Any]:
        """The options as the network below received them, and what it made of them. For people."""

    def troubles(self) -> list[str]:
        """What is wrong with the way to this node, a sentence each. Kept up to date by `watch`."""

    async def watch(self) -> None:
        """Looks after the relays until cancelled."""

    async def dial(self, peer: PeerAddress, alpn: bytes) -> Connection:
        """No deadline of its own that is worth the name: the caller has one. Raises TransportError."""

    async def next_incoming(self) -> Incoming: ...

    async def close(self) -> None: ...


class OpenTransport(Protocol):
    async def open(self, secret: bytes, alpns: Sequence[bytes], options: TransportOptions) -> Transport:
        """Listens to `alpns` with the node's 32 secret bytes as its identity."""


# An incompatible peer.


def spoken(alpns: Sequence[bytes]) -> bytes:
    """What is told to whoever asks by VERSIONS_ALPN."""
    return b" ".join(alpns)


def nothing_in_common(asked: bytes, told: bytes | None) -> TransportError:
    """For the one who dialled. `told`: the peer's `spoken`, if it could be asked; text from outside."""
    words = [word for word in (told or b"").split(b" ") if _is_name(word)][:8]
    theirs = f"only {_names(words)}" if words else "something else, and does not say what"
    return TransportError(
        "alpn",
        f"this node speaks {_names([asked])}, the other one {theirs}: install the same version on both",
    )


def asked_for_another(listened: Sequence[bytes]) -> TransportError:
    """For the one who listened. What the other one asked for is not told by the handshake."""
    return TransportError("alpn", f"a node asked for a protocol that is not spoken here; this is {_names(listened)}")


def _is_name(word: bytes) -> bool:
    return 0 < len(word) <= 32 and all(0x21 <= byte <= 0x7E for byte in word)


def _names(alpns: Sequence[bytes]) -> str:
    return ", ".join(alpn.decode("ascii", "replace") for alpn in alpns) or "nothing"
