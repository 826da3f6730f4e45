"""The node's proxy for one cell: a Unix socket of its own, on which CONNECT to the hosts of its scope is answered.

It lives as long as the program. Nothing it does waits without a deadline, and what a program can make it do is bounded:
connections at once and ever, bytes in all, the length of a request, silence.
"""

from __future__ import annotations

from collections.abc import Callable

import trio
from netsky.node.seams.sockets import Listener, Sockets, Stream
from netsky.node.work.cell import limits
from netsky.node.work.cell.connect import ESTABLISHED, Refusal, Target, asked_for, may_be_reached

CHUNK = 64 * 1024
REFUSED_KEPT = 16
END_OF_HEAD = b"\r\n\r\n"


class Proxy:
    def __init__(self, allowed: frozenset[Target], sockets: Sockets) -> None:
        self._allowed = allowed
        self._sockets = sockets
        self._open = 0
        self._ever = 0
        self._carried = 0
        self.refused: dict[str, str] = {}
        """What was asked for and not given, with the sentence; the first few."""

    async def serve(self, listener: Listener) -> None:
        """Until it is cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                stream = await listener.accept()
                self._ever += 1
                if self._open >= limits.CONNECTIONS_MAX or self._ever > limits.CONNECTIONS_EVER:
                    stream.close()  # a program that opens more than this reads no sentence
                    self._note("a connection", f"more than {limits.CONNECTIONS_MAX} at once, or too many in all")
                    continue
                self._open += 1
                nursery.start_soon(self._one, stream)

    async def _one(self, stream: Stream) -> None:
        far: Stream | None = None
        try:
            head, rest = await _head(stream)
            found = self._answer_to(head)
            if isinstance(found, Target):
                far = await self._reach(found)
                found = Refusal(502, f"{found} cannot be reached from this node.") if far is None else found
            if isinstance(found, Refusal) or far is None:
                assert isinstance(found, Refusal)
                self._note(_what(head), found.sentence)
                with trio.move_on_after(limits.HEAD_SECONDS):
                    await stream.send(found.answer)
                return
            await stream.send(ESTABLISHED)
            if rest:
                await far.send(rest)
            await self._carry(stream, far)
        except OSError:
            return  # whoever is at one of its ends went away
        finally:
            stream.close()
            if far is not None:
                far.close()
            self._open -= 1

    def _answer_to(self, head: bytes) -> Target | Refusal:
        if not head:
            return Refusal(431, f"No request of at most {limits.HEAD_BYTES_MAX} bytes came in time.")
        if self._carried >= limits.CARRIED_BYTES_MAX:
            return Refusal(429, f"This task carried {limits.CARRIED_BYTES_MAX} bytes, which is as much as it may.")
        return asked_for(head, self._allowed)

    async def _reach(self, wanted: Target) -> Stream | None:
        """Looked up once, and that address is taken: a second look could lead elsewhere."""
        addresses: list[str] = [wanted.host] if wanted.is_address else []
        try:
            with trio.move_on_after(limits.LOOKUP_SECONDS):
                addresses = addresses or await self._sockets.lookup(wanted.host)
        except OSError:
            return None
        for address in addresses:
            if not may_be_reached(wanted, address):
                self._note(str(wanted), f"{wanted} leads to {address}, which is no address of the internet")
                return None
        for address in addresses[:2]:
            try:
                with trio.move_on_after(limits.REACH_SECONDS):
                    return await self._sockets.reach(address, wanted.port)
            except OSError:
                continue
        return None

    async def _carry(self, near: Stream, far: Stream) -> None:
        """Both ways until one of them ends, nothing moves any more, or it was enough."""
        with trio.CancelScope() as scope:

            def moved(size: int) -> bool:
                scope.deadline = trio.current_time() + limits.IDLE_SECONDS
                self._carried += size
                return self._carried < limits.CARRIED_BYTES_MAX

            moved(0)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_one_way, near, far, moved, nursery.cancel_scope)
                nursery.start_soon(_one_way, far, near, moved, nursery.cancel_scope)

    def _note(self, what: str, sentence: str) -> None:
        if len(self.refused) < REFUSED_KEPT:
            self.refused.setdefault(what, sentence)


def _what(head: bytes) -> str:
    """For a person: the host, of any other request its first words."""
    said = head.split(b"\r\n", 1)[0].decode("ascii", "replace")[:200]
    line = "".join(letter if letter.isprintable() else "?" for letter in said)
    words = line.split(" ")
    return words[1] if words[0] == "CONNECT" and len(words) > 1 else line


async def _head(stream: Stream) -> tuple[bytes, bytes]:
    """A request's head, with what came behind it; b"" if none came as it should."""
    read = b""
    with trio.move_on_after(limits.HEAD_SECONDS):
        while END_OF_HEAD not in read:
            some = await stream.receive(CHUNK)
            read += some
            if not some or len(read) > limits.HEAD_BYTES_MAX + CHUNK:
                return b"", b""
        head, end, rest = read.partition(END_OF_HEAD)
        if len(head) <= limits.HEAD_BYTES_MAX:
            return head + end, rest
    return b"", b""


async def _one_way(source: Stream, to: Stream, moved: Callable[[int], bool], over: trio.CancelScope) -> None:
    try:
        while some := await source.receive(CHUNK):
            await to.send(some)
            if not moved(len(some)):
                break
    except OSError:
        pass
    over.cancel()
