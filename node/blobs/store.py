"""Blobs of this node: content-addressed files, verified while they grow, and nowhere to be seen before.

    blobs/parts/SOURCE-HASH     what has come so far from one source
    blobs/ab/abcdef…            whole, verified, durable; its row is `held`

Bytes come in from local senders (`verbs/blobs.py`) and over links (`node/links`) by the same two calls: `begin` says
from which byte on they are wanted, `append` takes them. The last byte decides: the hash is right, and it is a blob, or
it is wrong, and nothing of it stays.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio
from netsky.envelope.limits import ATTACHMENT_BYTES_MAX
from netsky.node.blobs.limits import ASIDE_BYTES_MAX, CHUNK_BYTES, OPEN_MAX, SCAN, SETTLE_BYTES
from netsky.node.db import blobs
from netsky.node.db.group import GroupCommit
from netsky.node.errors import Conflict, NotFound, Refused, TryLater, Usage
from netsky.node.seams.files import Files, HostileFile
from netsky.node.seams.time import Time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

PARTS = "parts"


@dataclass(eq=False)
class Part:
    """A beginning that is open. `offset` bytes of it are written and hashed."""

    descriptor: int
    size: int
    offset: int
    durable: int
    hasher: hashlib._Hash
    turn: trio.Lock = field(default_factory=trio.Lock)
    syncs: trio.Lock = field(default_factory=trio.Lock)
    """One at a time: of two the system tells one alone that the disk has failed."""
    settling: bool = False
    shut: bool = False


class BlobStore:
    def __init__(self, folder: str, files: Files, group: GroupCommit, time: Time, floor: Callable[[], int]) -> None:
        """`floor`: so many bytes of the disk stay free."""
        self._folder = folder
        self._files = files
        self._group = group
        self._time = time
        self._floor = floor
        self._parts: dict[tuple[str, bytes], Part] = {}
        self.landing: set[bytes] = set()
        """Whole, and their rows not stored yet: not to be collected."""

    # Coming in.

    async def begin(self, source: str, digest: bytes, size: int) -> int | None:
        """From which byte on this source should send it; None if it is here already.

        Raises Usage (size), Refused (it is here with another size), TryLater (no room).
        """
        if not 0 <= size <= ATTACHMENT_BYTES_MAX:
            raise Usage("An attachment has at most 1 GiB.", next="netsky help limits", code="attachment_size")
        [found] = await self._group.write([blobs.touch(digest, self._time.wall())])
        if found:
            if found[0][0] != size:
                raise Refused(
                    "a blob of this hash has another size", next="send the file again", code="attachment_size"
                )
            return None
        part = self._parts.get((source, digest))
        if part is None:
            part = await self._open(source, digest, size)
        if part.size != size:
            raise Refused("it began with another size", next="send the file again", code="attachment_size")
        if part.offset == size:
            await self._complete(source, digest, part)
            return None
        return part.offset

    async def append(self, source: str, digest: bytes, offset: int, data: bytes) -> bool:
        """The next bytes; True when it is whole, verified and durable.

        Raises Conflict (not the next byte), Refused `attachment_hash` (whole, and not what it was called).
        """
        part = self._parts.get((source, digest))
        if part is None:
            raise Conflict("nothing of it was begun here", next="begin again", code="attachment_offset")
        async with part.turn:
            if offset != part.offset or offset + len(data) > part.size:
                raise Conflict(
                    f"byte {part.offset} of {part.size} is next", next="go on from there", code="attachment_offset"
                )
            with self._disk(source, digest):
                self._files.write_at(part.descriptor, offset, data)
            part.hasher.update(data)
            part.offset += len(data)
            if part.offset == part.size:
                await self._complete(source, digest, part)
                return True
            return False

    def settle_due(self, source: str, digest: bytes) -> bool:
        """Whether so much has come since the last sync that another one is worth it."""
        part = self._parts.get((source, digest))
        return part is not None and not part.settling and part.offset - part.durable >= SETTLE_BYTES

    async def settle(self, source: str, digest: bytes) -> None:
        """What has come up to now is durable, and so is the word that it is. More may come meanwhile."""
        part = self._parts.get((source, digest))
        if part is None or part.settling:
            return
        at, part.settling = part.offset, True
        try:
            async with part.syncs:
                with self._disk(source, digest):
                    await self._files.settle(part.descriptor)
        finally:
            part.settling = False
            if part.shut:
                self._files.close(part.descriptor)
        if self._parts.get((source, digest)) is part:  # else it is whole by now, or begins anew
            part.durable = at
            row = blobs.put_part(blobs.Part(source, digest, part.size, at), self._time.wall())
            await self._group.write([row])

    async def _open(self, source: str, digest: bytes, size: int) -> Part:
        now = self._time.wall()
        found, [(aside,)] = await self._group.write([blobs.part(source, digest), blobs.aside(source)])
        known = blobs.parts(found)
        assert isinstance(aside, int)
        if not known:
            self._check_room(size, aside)
            await self._group.write([blobs.put_part(blobs.Part(source, digest, size, 0), now)])
        size, durable = (known[0].size, known[0].durable) if known else (size, 0)
        if len(self._parts) >= OPEN_MAX:
            self._shut(next(key for key, other in self._parts.items() if not other.turn.locked()))
        with self._opened(PARTS) as folder:
            descriptor = self._files.open_part(folder, _part_name(source, digest))
        hasher = hashlib.sha256()
        try:
            durable = min(durable, self._files.size_of(descriptor))
            self._files.cut(descriptor, durable)
            await self._hash(hasher, descriptor, durable)
        except BaseException:
            self._files.close(descriptor)
            raise
        part = Part(descriptor, size, durable, durable, hasher)
        # Somebody else may have opened it meanwhile: one of them is enough, and they are alike.
        if (source, digest) in self._parts:
            self._files.close(descriptor)
            return self._parts[source, digest]
        self._parts[source, digest] = part
        return part

    def _check_room(self, size: int, aside: int) -> None:
        coming = sum(part.size - part.offset for part in self._parts.values())
        if self._files.free_bytes(self._folder) - coming - size < self._floor():
            raise TryLater(
                "There is no room for it: the disk would fall below the floor that is kept free.",
                next="free some space on the node's disk",
                code="disk_low",
            )
        if aside + size > ASIDE_BYTES_MAX:
            raise TryLater(
                "Too many attachments are here that no envelope names.",
                next="send the envelopes they belong to, or wait an hour",
                code="attachments_aside",
            )

    async def _complete(self, source: str, digest: bytes, part: Part) -> None:
        if part.hasher.digest() != digest:
            await self._drop(source, digest)
            raise Refused(
                "What came has another SHA-256 than it was called by: nothing of it is kept.",
                next="send the file again",
                code="attachment_hash",
            )
        self.landing.add(digest)
        try:
            async with part.syncs:
                with self._disk(source, digest):
                    if self._parts.get((source, digest)) is not part:
                        raise OSError(errno.EIO, "an earlier sync of it failed")
                    await self._files.settle(part.descriptor)
                    self._land(source, digest)
            row = blobs.insert(digest, part.size, source, self._time.wall())
            await self._group.write([row, blobs.forget_part(source, digest)])
        finally:
            self.landing.discard(digest)
            self._shut((source, digest))

    @contextmanager
    def _disk(self, source: str, digest: bytes) -> Iterator[None]:
        """After a disk has failed nobody knows what is on it but what was synced before: from there it goes on."""
        try:
            yield
        except OSError as error:
            self._shut((source, digest))
            raise TryLater(
                f"The disk did not take it: {error.strerror}", next="netsky doctor", code="disk_failed"
            ) from error

    def _land(self, source: str, digest: bytes) -> None:
        name = digest.hex()
        self._files.make_folder(f"{self._folder}/{name[:2]}")
        with self._opened(PARTS) as parts, self._opened(name[:2]) as folder:
            self._files.move(parts, _part_name(source, digest), folder, name)
            self._files.sync_folder(folder)

    async def _drop(self, source: str, digest: bytes) -> None:
        await self._group.write([blobs.forget_part(source, digest)])
        self.forget(source, digest)

    def is_open(self, source: str, digest: bytes) -> bool:
        return (source, digest) in self._parts

    def forget(self, source: str, digest: bytes) -> None:
        """The row of this beginning is gone."""
        self._shut((source, digest))
        with self._opened(PARTS) as folder:
            self._files.remove(folder, _part_name(source, digest))

    # Going out.

    def path(self, digest: bytes) -> str:
        """Where it lies if it is here. Only for reading."""
        name = digest.hex()
        return f"{self._folder}/{name[:2]}/{name}"

    @contextmanager
    def reading(self, digest: bytes) -> Iterator[Callable[[int, int], bytes]]:
        """A function that reads so many bytes at an offset, fewer at the end. Raises NotFound if there is no file."""
        name = digest.hex()
        try:
            with self._opened(name[:2]) as folder:
                descriptor = self._files.open_file(folder, name)
        except (FileNotFoundError, HostileFile):
            raise NotFound(f"the blob {name} is not here", next="netsky trace ID", code="attachment_lost") from None
        try:
            yield lambda offset, most: self._files.read_at(descriptor, offset, most)
        finally:
            self._files.close(descriptor)

    async def is_sound(self, digest: bytes, size: int) -> bool:
        """Reads it whole: whether it still is what it is called."""
        hasher, at = hashlib.sha256(), 0
        try:
            with self.reading(digest) as chunk:
                while data := chunk(at, CHUNK_BYTES):
                    hasher.update(data)
                    at += len(data)
                    await trio.lowlevel.checkpoint()
        except NotFound:
            return False
        return at == size and hasher.digest() == digest

    def remove(self, digest: bytes) -> None:
        """Its row is gone: the file goes in the same breath."""
        name = digest.hex()
        try:
            with self._opened(name[:2]) as folder:
                self._files.remove(folder, name)
        except FileNotFoundError:
            pass

    def sweep(self, hashes: Collection[bytes], parts: Collection[tuple[str, bytes]]) -> int:
        """At the start: the folders are there, and files without a row, whose writer was killed, are not."""
        self._files.make_folder(f"{self._folder}/{PARTS}")
        names = {digest.hex() for digest in hashes}
        known = {_part_name(source, digest) for source, digest in parts}
        with self._opened(".") as base:
            folders = self._files.names(base, SCAN)
        removed = 0
        for name in folders:
            wanted = known if name == PARTS else names
            with self._opened(name) as folder:
                for file in self._files.names(folder, SCAN):
                    if file not in wanted:
                        removed += self._files.remove(folder, file)
        return removed

    def close(self) -> None:
        for key in list(self._parts):
            self._shut(key)

    def _shut(self, key: tuple[str, bytes]) -> None:
        part = self._parts.pop(key, None)
        if part is not None and part.settling:
            part.shut = True  # who syncs it closes it
        elif part is not None:
            self._files.close(part.descriptor)

    async def _hash(self, hasher: hashlib._Hash, descriptor: int, size: int) -> None:
        at = 0
        while at < size:
            data = self._files.read_at(descriptor, at, min(CHUNK_BYTES, size - at))
            hasher.update(data)
            at += len(data)
            await trio.lowlevel.checkpoint()

    @contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        base = self._files.open_folder(self._folder)
        try:
            folder = self._files.open_folder(name, base)
        finally:
            self._files.close(base)
        try:
            yield folder
        finally:
            self._files.close(folder)


def _part_name(source: str, digest: bytes) -> str:
    return f"{source}-{digest.hex()}"
