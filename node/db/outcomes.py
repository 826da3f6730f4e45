"""The one final fate of each envelope, kept without its bytes until it can no longer arrive."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from netsky.mesh.outcome import Fate
from netsky.node.db.sets import blobs
from netsky.node.seams.ledger import Row, Statement

KEY_BYTES = 20


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    key: bytes
    leaf: bytes
    fate: Fate
    code: str | None  # the reason of the last two
    ender: bytes  # key of the node that ended it
    at: int
    expires: int


def key_of(origin: bytes, id: str) -> bytes:  # noqa: A002 - the envelope's word
    """The origin key has 32 bytes, so the two cannot run into each other."""
    return hashlib.sha256(origin + id.encode("ascii")).digest()[:KEY_BYTES]


def record(outcomes: Sequence[OutcomeRow]) -> Statement:
    """The first one stands: a second for the same envelope changes nothing."""
    return Statement(
        "INSERT INTO outcomes (key, leaf, fate, code, ender, at, expires) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (key) DO NOTHING",
        many=[(o.key, o.leaf, o.fate, o.code, o.ender, o.at, o.expires) for o in outcomes],
    )


def find(keys: Sequence[bytes]) -> Statement:
    places, values = blobs(keys)
    return Statement(f"SELECT key, leaf, fate, code, ender, at, expires FROM outcomes WHERE key IN ({places})", values)


def rows(found: list[Row]) -> list[OutcomeRow]:
    return [OutcomeRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types
