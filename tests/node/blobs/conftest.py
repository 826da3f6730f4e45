from __future__ import annotations

import hashlib
import pathlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from netsky.node.blobs.collect import recover
from netsky.node.blobs.store import BlobStore
from netsky.node.db.group import GroupCommit
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.db.opening import begin
from netsky.node.seams.ledger import Ledger, Row, Statement
from netsky.node.seams.real_files import RealFiles

CHUNK = 256 * 1024


@dataclass
class Clock:
    now: int = 10**18

    def wall(self) -> int:
        return self.now

    def monotonic(self) -> int:
        return self.now

    async def sleep_until(self, monotonic_ns: int) -> None:
        raise AssertionError("nobody sleeps here")


@dataclass
class World:
    """One store on real files and a real database."""

    root: pathlib.Path
    store: BlobStore
    group: GroupCommit
    ledger: Ledger
    clock: Clock

    async def rows(self, sql: str, *values: Any) -> list[Row]:
        [found] = await self.group.write([Statement(sql, values)])
        return found

    async def put(self, data: bytes, source: str = "agent0", *, upto: int | None = None, called: bytes = b"") -> bool:
        """Sends it, or its beginning, as a client does. Whether it is whole now."""
        digest = called or sha(data)
        at = await self.store.begin(source, digest, len(data))
        held = at is None
        end = len(data) if upto is None else upto
        while at is not None and not held and at < end:
            held = await self.store.append(source, digest, at, data[at : min(at + CHUNK, end)])
            at = min(at + CHUNK, end)
            if self.store.settle_due(source, digest):
                await self.store.settle(source, digest)
        return held

    def file(self, data: bytes) -> Any:
        return pathlib.Path(self.store.path(sha(data)))

    @property
    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root / "blobs")) for path in self.root.glob("blobs/*/*"))


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@asynccontextmanager
async def open_world(root: pathlib.Path, *, floor: int = 0, clock: Clock | None = None) -> AsyncIterator[World]:
    clock = clock or Clock()
    ledger = SqliteLedgers().open(str(root / "meta.db"))
    try:
        await begin(ledger, str(root / "meta.db"), clock.wall(), "test")
        group = GroupCommit(ledger, clock)
        store = BlobStore(str(root / "blobs"), RealFiles(inline=True), group, clock, lambda: floor)
        await recover(store, ledger.transaction)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(group.run)
            yield World(root, store, group, ledger, clock)
            nursery.cancel_scope.cancel()
        store.close()
    finally:
        ledger.close()


@pytest.fixture
async def world(tmp_path: pathlib.Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as made:
        yield made
