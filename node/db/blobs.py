"""Blobs that are here, the rows that name them, and beginnings of others.

A blob lives as long as a row of `blob_names`, which lives as long as the message or forward row it stands for; or as
long as a row of `work_patches`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from netsky.node.db.sets import blobs as places_for
from netsky.node.seams.ledger import NO_ROWS, Row, Statement

Holder = Literal["message", "forward"]


@dataclass(frozen=True, slots=True)
class Name:
    """A row that names a blob."""

    holder: Holder
    seq: int
    hash: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    source: str
    hash: bytes
    size: int
    durable: int


_UNNAMED = (
    "NOT EXISTS (SELECT 1 FROM blob_names WHERE blob_names.hash = blobs.hash) "
    "AND NOT EXISTS (SELECT 1 FROM work_patches WHERE work_patches.hash = blobs.hash)"
)


def touch(hash: bytes, at: int) -> Statement:  # noqa: A002 - the word of the table
    """Somebody is about to be told that it is here, so it stays for a while. Returns its size if it is."""
    return Statement("UPDATE blobs SET touched = ? WHERE hash = ? AND state = 'held' RETURNING size", (at, hash))


def insert(hash: bytes, size: int, source: str, at: int) -> Statement:  # noqa: A002
    return Statement(
        "INSERT INTO blobs (hash, size, source, state, made_at, touched) VALUES (?, ?, ?, 'held', ?, ?) "
        "ON CONFLICT (hash) DO UPDATE SET state = 'held', touched = excluded.touched",
        (hash, size, source, at, at),
    )


def lose(hash: bytes) -> Statement:  # noqa: A002
    """Its file is gone or damaged."""
    return Statement("UPDATE blobs SET state = 'lost' WHERE hash = ?", (hash,))


def held(hashes: Sequence[bytes]) -> Statement:
    """(hash, size) of those that are here."""
    if not hashes:
        return NO_ROWS
    places, values = places_for(hashes)
    return Statement(f"SELECT hash, size FROM blobs WHERE state = 'held' AND hash IN ({places})", values)


def held_sizes(found: list[Row]) -> dict[bytes, int]:
    return dict(found)  # type: ignore[arg-type] # STRICT tables: the columns have these types


def name(rows: Sequence[Name]) -> Statement:
    """In the transaction of the rows that they stand for."""
    return Statement(
        "INSERT OR IGNORE INTO blob_names (holder, seq, hash, size) VALUES (?, ?, ?, ?)",
        many=[(row.holder, row.seq, row.hash, row.size) for row in rows],
    )


def aside(source: str) -> Statement:
    """Bytes that this source has brought and that no envelope names, announced ones included."""
    return Statement(
        f"SELECT (SELECT coalesce(sum(size), 0) FROM blobs WHERE source = ?1 AND {_UNNAMED}) "
        "+ (SELECT coalesce(sum(size), 0) FROM blob_parts WHERE source = ?1)",
        (source,),
    )


def part(source: str, hash: bytes) -> Statement:  # noqa: A002
    return Statement("SELECT source, hash, size, durable FROM blob_parts WHERE source = ? AND hash = ?", (source, hash))


def put_part(one: Part, at: int) -> Statement:
    return Statement(
        "INSERT INTO blob_parts (source, hash, size, durable, touched) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (source, hash) DO UPDATE SET size = excluded.size, durable = excluded.durable, "
        "touched = excluded.touched",
        (one.source, one.hash, one.size, one.durable, at),
    )


def forget_part(source: str, hash: bytes) -> Statement:  # noqa: A002
    return Statement("DELETE FROM blob_parts WHERE source = ? AND hash = ?", (source, hash))


def old_parts(before: int, limit: int) -> Statement:
    """Removes what nobody went on with; (source, hash) of each."""
    return Statement(
        "DELETE FROM blob_parts WHERE (source, hash) IN "
        "(SELECT source, hash FROM blob_parts WHERE touched < ? LIMIT ?) RETURNING source, hash",
        (before, limit),
    )


def collect(before: int, limit: int, landing: Sequence[bytes]) -> Statement:
    """Removes those that no row names and of which nobody was told lately; their hashes."""
    places, values = places_for(landing)
    return Statement(
        f"DELETE FROM blobs WHERE hash IN (SELECT hash FROM blobs WHERE touched < ? AND {_UNNAMED} "
        f"AND ifnull(hash NOT IN ({places}), TRUE) LIMIT ?) RETURNING hash",
        (before, *values, limit),
    )


def all_hashes() -> Statement:
    return Statement("SELECT hash FROM blobs")


def all_parts() -> Statement:
    return Statement("SELECT source, hash, size, durable FROM blob_parts")


def parts(found: list[Row]) -> list[Part]:
    return [Part(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types
