"""The tasks that carry blobs beside the three channels of a link: a stream for each blob, two each way at once.

They never touch the machine's records: a blob is durable when its store says so, and only then the peer hears *have*.
Bytes are written in turns of one chunk; QUIC's window for a stream bounds what is on its way.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import trio
from netsky.envelope.invalid import Invalid
from netsky.mesh.blob_frames import BlobHead
from netsky.mesh.blobs import Blob, Blobs, Sending
from netsky.mesh.effects import Close, Effects
from netsky.mesh.frames import decode_frame, encode_frame
from netsky.mesh.limits import ANNOUNCE_AGAIN_NS, BLOB_CHUNK_BYTES, BLOB_HEAD_BYTES_MAX, BLOB_STREAMS
from netsky.mesh.splitter import FrameSplitter
from netsky.mesh.transport import Connection, TransportError, TransportStream


class BlobRefused(Exception):
    """The store does not take it, or has it no more."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class BlobKeeper(Protocol):
    """Where blobs of one link come from and go to. `node/links/courier.py` has it on the node's store."""

    def offered(self) -> list[Blob]:
        """What the envelopes that stand aside name, oldest first."""

    def held(self, hashes: frozenset[bytes]) -> None:
        """The peer holds these of what was offered."""

    async def begin(self, blob: Blob) -> int | None:
        """From which byte on it is wanted; None if it is here. Raises BlobRefused."""

    async def append(self, blob: Blob, offset: int, data: bytes) -> bool:
        """True when it is whole, verified and durable. Raises BlobRefused."""

    def settle_due(self, blob: Blob) -> bool:
        """Whether what has come since the last time is worth a sync."""

    async def settle(self, blob: Blob) -> None:
        """What has come is durable, so that another connection goes on from there. More comes meanwhile."""

    def reading(self, hash: bytes) -> AbstractContextManager[Callable[[int, int], bytes]]:  # noqa: A002
        """A function that reads so many bytes at an offset, fewer at the end. Raises BlobRefused."""

    async def doubt(self, blob: Blob) -> None:
        """It may be gone or damaged: what names it ends here if it is."""


class Clock(Protocol):
    def monotonic(self) -> int: ...

    async def sleep_until(self, monotonic_ns: int) -> None: ...


class BlobStreams:
    def __init__(
        self,
        machine: Blobs,
        keeper: BlobKeeper,
        connection: Connection,
        clock: Clock,
        *,
        obey: Callable[[Effects], None],
        end: Callable[[Close], None],
    ) -> None:
        """`obey` says things on the control stream, `end` ends the link."""
        self._machine = machine
        self._keeper = keeper
        self._connection = connection
        self._clock = clock
        self._obey = obey
        self._end = end
        self._work = trio.Event()
        self._incoming = 0
        self._held: frozenset[bytes] = frozenset()
        self._receiving: dict[bytes, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None

    def look(self) -> None:
        """What stands aside, or what the peer said, may have changed."""
        self._obey(self._machine.offer(self._keeper.offered()))
        if self._receiving or self._machine.has_news or self._machine.held != self._held:
            self._work.set()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._announce_again)
            while True:
                await self._work.wait()
                self._work = trio.Event()
                if self._machine.held != self._held:
                    self._held = self._machine.held
                    self._keeper.held(self._held)
                for hash_, scope in list(self._receiving.items()):
                    if not self._machine.is_coming(hash_):
                        scope.cancel()
                for hash_, code in self._machine.passed():
                    if code == "attachment_hash":
                        nursery.start_soon(self._doubt, hash_)
                while (blob := self._machine.next_to_ask()) is not None:
                    nursery.start_soon(self._ask, blob)
                while (sending := self._machine.next_to_send()) is not None:
                    nursery.start_soon(self._send, sending)

    async def accept(self, nursery: trio.Nursery, is_open: Callable[[], bool]) -> None:
        """Takes the streams that the peer opens beside the channels, until the connection ends."""
        while True:
            stream = await self._connection.accept_stream()
            if not is_open() or self._incoming >= BLOB_STREAMS:
                raise TransportError("stream", "The peer opened a stream that a link does not have.")
            self._incoming += 1
            nursery.start_soon(self._receive, stream)

    async def _announce_again(self) -> None:
        """What was passed over, or broke off, is tried anew for as long as its envelope lives."""
        while True:
            await self._clock.sleep_until(self._clock.monotonic() + ANNOUNCE_AGAIN_NS)
            self._obey(self._machine.offer(self._keeper.offered(), again=True))

    # Incoming.

    async def _ask(self, blob: Blob) -> None:
        offset: int | str | None
        try:
            offset = await self._keeper.begin(blob)
        except BlobRefused as refused:
            offset = refused.code
        self._obey(self._machine.answer(blob, offset))
        self._work.set()

    async def _receive(self, stream: TransportStream) -> None:
        try:
            head, rest = await _head(stream)
            blob = self._machine.opened(head)
            if blob is None or blob.hash in self._receiving:
                raise Invalid("frame", "The peer sends a blob that was not asked for.", "frame")
            with trio.CancelScope() as scope:
                self._receiving[blob.hash] = scope
                try:
                    code = await self._take(stream, blob, head.offset, rest)
                    self._obey(self._machine.arrived(blob.hash, code))
                finally:
                    del self._receiving[blob.hash]
        except Invalid as wrong:
            self._end(Close("frame", wrong.sentence))
        except TransportError:
            pass  # if it was the connection, its readers know
        finally:
            self._incoming -= 1
            self._work.set()

    async def _take(self, stream: TransportStream, blob: Blob, offset: int, rest: bytes) -> str | None:
        """None when the whole is here; else why not."""
        data, whole = rest, False
        try:
            while not whole:
                if not data and offset < blob.size:
                    data = await stream.receive(min(BLOB_CHUNK_BYTES, blob.size - offset))
                    if not data:
                        return "broken_off"
                if offset + len(data) > blob.size:
                    raise Invalid("frame", "The peer sent more of a blob than there is.", "frame")
                whole = await self._keeper.append(blob, offset, data)
                offset += len(data)
                data = b""
                if self._nursery is not None and self._keeper.settle_due(blob):
                    self._nursery.start_soon(self._keeper.settle, blob)
            await stream.finish()
        except BlobRefused as refused:
            return refused.code
        except TransportError:
            return None if whole else "broken_off"
        return None

    # Outgoing.

    async def _send(self, sending: Sending) -> None:
        blob, at = sending.blob, sending.offset
        try:
            with self._keeper.reading(blob.hash) as chunk:
                stream = await self._connection.open_stream()
                await stream.send(encode_frame(BlobHead(blob.hash, at)))
                while data := chunk(at, min(BLOB_CHUNK_BYTES, blob.size - at)):
                    await stream.send(data)
                    at += len(data)
                await stream.finish()
            if at < blob.size:  # the peer sees a stream that ends too early: a word might overtake its beginning
                await self._keeper.doubt(blob)
        except BlobRefused:  # before any stream was opened
            self._obey(self._machine.lost(blob.hash))
            await self._keeper.doubt(blob)
        except TransportError:
            pass  # the peer does not want it any more, or the connection is over
        finally:
            self._machine.sent(blob.hash)
            self._work.set()

    async def _doubt(self, hash: bytes) -> None:  # noqa: A002
        for blob in self._keeper.offered():
            if blob.hash == hash:
                await self._keeper.doubt(blob)


async def _head(stream: TransportStream) -> tuple[BlobHead, bytes]:
    """What stands at the beginning of a blob stream, and the bytes of the blob that came with it. Raises Invalid."""
    splitter = FrameSplitter(BLOB_HEAD_BYTES_MAX)
    while (payload := splitter.take()) is None:
        data = await stream.receive(BLOB_HEAD_BYTES_MAX)
        if not data:
            raise Invalid("frame", "A stream ended before it said what it is.", "frame")
        splitter.feed(data)
    head = decode_frame(payload)
    if not isinstance(head, BlobHead):
        raise Invalid("frame", "A stream beside the channels begins with the head of a blob.", "frame")
    return head, splitter.rest()
