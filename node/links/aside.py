"""What stands aside on one link until the next node holds all its blobs."""

from __future__ import annotations

from netsky.envelope.kinds import Lane
from netsky.mesh.blobs import Blob
from netsky.mesh.limits import ANNOUNCED_MAX
from netsky.node.seams.ledger import Row

ROWS_MAX = 16
"""Looked at, of each lane and source: what follows waits behind them for its turn to be announced."""

Place = tuple[str, int]
"""(source, seq): "own" or "forward"."""


class Aside:
    """Of one connection: what the peer holds is asked anew on each."""

    def __init__(self) -> None:
        self.held: frozenset[bytes] = frozenset()
        """Blobs that the peer said it holds."""
        self._named: dict[Lane, dict[Place, list[Blob]]] = {"reply": {}, "work": {}}

    def found(self, lane: Lane, source: str, rows: list[Row]) -> None:
        """(seq, hash, size) rows of this source, as they stand now."""
        named = {place: blobs for place, blobs in self._named[lane].items() if place[0] != source}
        for seq, digest, size in rows:
            assert isinstance(seq, int)
            assert isinstance(digest, bytes)
            assert isinstance(size, int)
            named.setdefault((source, seq), []).append(Blob(digest, size))
        self._named[lane] = named

    def ready(self, lane: Lane, source: str) -> list[int]:
        """Those of which the peer holds every blob."""
        return [
            seq
            for (where, seq), blobs in self._named[lane].items()
            if where == source and all(blob.hash in self.held for blob in blobs)
        ]

    def blobs(self) -> list[Blob]:
        """What is to be announced: whole envelopes, in their order, replies first."""
        found: dict[bytes, Blob] = {}
        for lane in ("reply", "work"):
            for blobs in self._named[lane].values():
                more = {blob.hash: blob for blob in blobs}
                if len(found | more) > ANNOUNCED_MAX:
                    return list(found.values())
                found |= more
        return list(found.values())
