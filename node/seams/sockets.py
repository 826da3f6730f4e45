"""The sockets seam: Unix stream sockets for the control channel, and what a proxy reaches for a program."""

from __future__ import annotations

from typing import Protocol


class Stream(Protocol):
    """One connection. A send or receive that raises (cancellation included) leaves it dead: close it."""

    async def receive(self, limit: int) -> bytes:
        """At least one byte, or b"" at the end. BrokenPipeError and ConnectionError become b""."""

    async def send(self, data: bytes) -> None:
        """All of it. Raises ConnectionError if the other side is gone."""

    def close(self) -> None: ...


class Listener(Protocol):
    async def accept(self) -> Stream:
        """The next connection; a lack of descriptors is waited out, not raised."""

    def close(self) -> None:
        """Stops listening and removes the socket file."""


class Sockets(Protocol):
    async def listen(self, path: str, mode: int = 0o600) -> Listener:
        """A Unix socket at this path (a stale file there is replaced), reachable only with `mode`."""

    async def connect(self, path: str) -> Stream: ...

    async def lookup(self, host: str) -> list[str]:
        """The addresses of a name, in the order in which to try them; OSError if it has none."""

    async def reach(self, address: str, port: int) -> Stream:
        """A TCP connection to an address, never to a name. OSError if there is none."""
