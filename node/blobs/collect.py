"""What no row names any more goes: blobs an hour after somebody was told of them, beginnings after a day.

Row and file go in one breath, so nobody who asks between them is told something else than what is true.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from netsky.node.blobs.limits import COLLECT_ROWS, KEPT_UNNAMED_NS, PARTS_KEPT_NS
from netsky.node.blobs.store import BlobStore
from netsky.node.db import blobs
from netsky.node.db.group import GroupCommit, Plan
from netsky.node.seams.ledger import Row, Statement

Transaction = Callable[[Sequence[Statement]], Awaitable[list[list[Row]]]]


async def collect(store: BlobStore, group: GroupCommit, now: int) -> int:
    """Returns how many blobs are gone."""
    collector, gone = Collector(store), 0
    while removed := await group.submit(collector, now):
        gone += removed
    return gone


async def recover(store: BlobStore, transaction: Transaction) -> int:
    """Once, before anything comes in: files without a row go, as many as are returned."""
    found, parts = await transaction([blobs.all_hashes(), blobs.all_parts()])
    return store.sweep(
        {hash_ for (hash_,) in found if isinstance(hash_, bytes)},
        {(one.source, one.hash) for one in blobs.parts(parts)},
    )


class Collector:
    """A planner: an item is the time of now, its result how many went. The rest of them waits for the next turn."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store

    def reads(self, items: Sequence[int]) -> Sequence[Statement]:  # noqa: ARG002 - part of the protocol
        return ()

    def plan(self, items: Sequence[int], rows: list[list[Row]]) -> Plan[int]:  # noqa: ARG002 - likewise
        now = items[-1]

        def removed(written: list[list[Row]]) -> list[int]:
            for (digest,) in written[0]:
                assert isinstance(digest, bytes)
                self._store.remove(digest)
            for source, digest in written[1]:
                assert isinstance(digest, bytes)
                if not self._store.is_open(str(source), digest):  # else somebody goes on with it after all
                    self._store.forget(str(source), digest)
            return [len(written[0]) + len(written[1])] + [0] * (len(items) - 1)

        statements = [
            blobs.collect(now - KEPT_UNNAMED_NS, COLLECT_ROWS, sorted(self._store.landing)),
            blobs.old_parts(now - PARTS_KEPT_NS, COLLECT_ROWS),
        ]
        return Plan(statements, results_of=removed)
