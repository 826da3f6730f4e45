"""The blobs of one link, on the node's store: what stands aside for them, what the peer holds, where bytes go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from netsky.mesh.blob_streams import BlobRefused
from netsky.mesh.blobs import Blob
from netsky.node.blobs.store import BlobStore
from netsky.node.daemon.told import OUTBOX_SIGNAL
from netsky.node.db import links
from netsky.node.errors import NetskyError
from netsky.node.links.aside import Aside
from netsky.node.links.items import Lost
from netsky.node.links.store import Ways

SOURCE_LETTERS = 16
"""Of a key in hex: whose beginnings those are."""


class Courier:
    """The BlobKeeper of one peer and one connection."""

    def __init__(
        self, peer: bytes, store: BlobStore, aside: Aside, ways: Ways, refused: Callable[[bytes, str, str], None]
    ) -> None:
        self._peer = peer
        self._source = peer.hex()[:SOURCE_LETTERS]
        self._store = store
        self._aside = aside
        self._ways = ways
        self._refused = refused

    def offered(self) -> list[Blob]:
        return self._aside.blobs()

    def held(self, hashes: frozenset[bytes]) -> None:
        self._aside.held = hashes
        self._ways.signals.ring(OUTBOX_SIGNAL)

    async def begin(self, blob: Blob) -> int | None:
        try:
            return await self._store.begin(self._source, blob.hash, blob.size)
        except NetskyError as refused:
            raise BlobRefused(refused.code) from None

    async def append(self, blob: Blob, offset: int, data: bytes) -> bool:
        try:
            return await self._store.append(self._source, blob.hash, offset, data)
        except NetskyError as refused:
            if refused.code == "attachment_hash":
                self._refused(self._peer, refused.code, blob.hash.hex())
                counted = links.count_refused([(self._peer, refused.code)], self._ways.time.wall())
                await self._ways.group.write([counted])
            raise BlobRefused(refused.code) from None

    def settle_due(self, blob: Blob) -> bool:
        return self._store.settle_due(self._source, blob.hash)

    async def settle(self, blob: Blob) -> None:
        try:
            await self._store.settle(self._source, blob.hash)
        except NetskyError as failed:  # what comes next is refused, and begins anew from what is on the disk
            self._refused(self._peer, failed.code, blob.hash.hex())

    @contextmanager
    def reading(self, hash: bytes) -> Iterator[Callable[[int, int], bytes]]:  # noqa: A002 - the word of the table
        try:
            reading = self._store.reading(hash)
            chunk = reading.__enter__()
        except NetskyError as gone:
            raise BlobRefused(gone.code) from None
        try:
            yield chunk
        finally:
            reading.__exit__(None, None, None)

    async def doubt(self, blob: Blob) -> None:
        if not await self._store.is_sound(blob.hash, blob.size):
            await self._ways.group.submit(self._ways.planner, Lost(blob.hash))
            self._ways.signals.ring(OUTBOX_SIGNAL)
