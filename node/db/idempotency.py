"""Keys that a producer gave its envelopes: the same key and body again is the same envelope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.db.sets import texts
from netsky.node.seams.ledger import Row, Statement


@dataclass(frozen=True, slots=True)
class KeyRow:
    origin: bytes
    actor: str
    key: str
    id: str  # of the envelope that the first use made
    body_hash: bytes
    expires: int


def find(origin: bytes, actor: str, keys: Sequence[str]) -> Statement:
    """Expired ones included: the caller has the clock."""
    return Statement(
        "SELECT origin, actor, key, id, body_hash, expires FROM idempotency "
        "WHERE origin = ? AND actor = ? AND key IN (SELECT value FROM json_each(?))",
        (origin, actor, texts(keys)),
    )


def insert(keys: Sequence[KeyRow]) -> Statement:
    """In the transaction of the envelope. An expired one is replaced."""
    return Statement(
        "INSERT INTO idempotency (origin, actor, key, id, body_hash, expires) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (origin, actor, key) DO UPDATE "
        "SET id = excluded.id, body_hash = excluded.body_hash, expires = excluded.expires",
        many=[(k.origin, k.actor, k.key, k.id, k.body_hash, k.expires) for k in keys],
    )


def rows(found: list[Row]) -> list[KeyRow]:
    return [KeyRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types
