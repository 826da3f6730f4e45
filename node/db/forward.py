"""The root's forward queue: one row for what came in one frame for one destination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from netsky.envelope.batch import Batch
from netsky.envelope.kinds import Lane
from netsky.node.db.flight import CARRIED
from netsky.node.db.sets import numbers, texts
from netsky.node.seams.ledger import Row, Statement


@dataclass(frozen=True, slots=True)
class NewForward:
    peer: bytes
    lane: Lane
    origin: bytes
    recipient: str
    envelopes: int
    size: int
    batch: bytes
    read: Batch
    """The same, and all leaves of it: for whoever sends it on without looking here."""
    leaves: tuple[bytes, ...]
    expires: int
    received_at: int
    blobs: tuple[tuple[bytes, int], ...] = ()
    """(hash, size) of those that it names: it goes on when the next node holds them all."""


class Placed(NamedTuple):
    """A row as it is inserted."""

    seq: int
    state: str
    entry: NewForward


@dataclass(frozen=True, slots=True)
class ForwardRow:
    seq: int
    peer: bytes
    origin: bytes
    envelopes: int
    size: int
    batch: bytes
    received_at: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What stands in the queue of one destination from one origin, in flight or not."""

    peer: bytes
    origin: bytes
    envelopes: int
    size: int


_SOME = "IN (SELECT value FROM json_each(?))"
_COLUMNS = "seq, peer, origin, envelopes, bytes, batch, received_at"


def newest_seq() -> Statement:
    """One row, one number: what a planner counts on from."""
    return Statement("SELECT coalesce(max(seq), 0) FROM forward")


def insert(rows: Sequence[Placed]) -> list[Statement]:
    entries = Statement(
        "INSERT INTO forward "
        "(seq, peer, lane, origin, recipient, state, envelopes, bytes, batch, expires, received_at, attached) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        many=[
            (
                *(seq, e.peer, e.lane, e.origin, e.recipient, state, e.envelopes, e.size, e.batch),
                *(e.expires, e.received_at, int(bool(e.blobs))),
            )
            for seq, state, e in rows
        ],
    )
    names = [(seq, *blob) for seq, _, entry in rows for blob in entry.blobs]
    if not names:
        return [entries]
    insert_names = "INSERT OR IGNORE INTO blob_names (holder, seq, hash, size) VALUES ('forward', ?, ?, ?)"
    return [entries, Statement(insert_names, many=names)]


def origins(peer: bytes, lane: str) -> Statement:
    """Who has something open for this destination: jumps from origin to origin in the index."""
    return Statement(
        "WITH RECURSIVE some (origin) AS ("
        "SELECT min(origin) FROM forward WHERE peer = ?1 AND lane = ?2 AND state = 'open' "
        "UNION ALL SELECT (SELECT min(origin) FROM forward WHERE peer = ?1 AND lane = ?2 AND state = 'open' "
        "AND forward.origin > some.origin) FROM some WHERE some.origin IS NOT NULL) "
        "SELECT origin FROM some WHERE origin IS NOT NULL",
        (peer, lane),
    )


def heads(
    peer: bytes, lane: str, origin: bytes, limit: int, full: Sequence[str] = (), *, ready: Sequence[int] = ()
) -> Statement:
    """(seq, envelopes, bytes) of the oldest open ones of one origin, without those for actors that are full, and with
    attachments only those that are `ready`."""
    return Statement(
        "SELECT seq, envelopes, bytes FROM forward WHERE peer = ? AND lane = ? AND origin = ? AND state = 'open' "
        "AND recipient NOT IN (SELECT value FROM json_each(?)) "
        "AND (attached = 0 OR seq IN (SELECT value FROM json_each(?))) ORDER BY seq LIMIT ?",
        (peer, lane, origin, texts(full), numbers(ready), limit),
    )


def aside(peer: bytes, lane: str, limit: int, full: Sequence[str]) -> Statement:
    """(seq, hash, size) of the blobs of the oldest with attachments, of so many rows."""
    return Statement(
        "SELECT first.seq, hash, size FROM (SELECT seq FROM forward WHERE peer = ? AND lane = ? AND state = 'open' "
        "AND attached = 1 AND recipient NOT IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?) AS first "
        "JOIN blob_names ON holder = 'forward' AND blob_names.seq = first.seq ORDER BY first.seq",
        (peer, lane, texts(full), limit),
    )


def naming(digest: bytes, limit: int) -> Statement:
    """Open ones that name this blob."""
    return Statement(
        f"SELECT {_COLUMNS} FROM forward WHERE state = 'open' AND seq IN "
        "(SELECT seq FROM blob_names WHERE hash = ? AND holder = 'forward') ORDER BY seq LIMIT ?",
        (digest, limit),
    )


def by_seqs(seqs: Sequence[int]) -> Statement:
    return Statement(f"SELECT {_COLUMNS} FROM forward WHERE seq {_SOME} ORDER BY seq", (numbers(seqs),))


def number(seqs: Sequence[int]) -> Statement:
    """The two states are of one length, so that the row is changed in place and not written again with its bytes."""
    return Statement(f"UPDATE forward SET state = 'sent' WHERE seq {_SOME}", (numbers(seqs),))


def acknowledged(peer: bytes, lane: str, life: int, up_to: int) -> Statement:
    """Removes what the peer has stored, before `flight.acknowledged` forgets it. Returns (peer, origin, envelopes,
    bytes) of each."""
    return Statement(
        f"DELETE FROM forward WHERE seq IN ({CARRIED}last <= ? AND source = 'forward') "
        "RETURNING peer, origin, envelopes, bytes",
        (peer, lane, life, up_to),
    )


def of_peer(peer: bytes, state: str, limit: int) -> Statement:
    return Statement(
        f"SELECT {_COLUMNS} FROM forward WHERE peer = ? AND state = ? ORDER BY seq LIMIT ?", (peer, state, limit)
    )


def received_at(origin: bytes, peer: bytes, at: int) -> Statement:
    """(seq, state, attached, batch) of what came from there for there at this moment and is still here."""
    return Statement(
        "SELECT seq, state, attached, batch FROM forward WHERE received_at = ? AND origin = ? AND peer = ?",
        (at, origin, peer),
    )


def in_frame(peer: bytes, lane: str, life: int, first: int) -> Statement:
    return Statement(
        f"SELECT {_COLUMNS} FROM forward WHERE seq IN ({CARRIED}first = ? AND source = 'forward')",
        (peer, lane, life, first),
    )


def expired(now: int, limit: int) -> Statement:
    """Open ones of which at least one envelope is past its time."""
    return Statement(
        f"SELECT {_COLUMNS} FROM forward WHERE state = 'open' AND expires < ? ORDER BY expires LIMIT ?", (now, limit)
    )


def remove(seqs: Sequence[int]) -> Statement:
    return Statement(
        f"DELETE FROM forward WHERE seq {_SOME} RETURNING peer, origin, envelopes, bytes", (numbers(seqs),)
    )


def shrink(row: ForwardRow, envelopes: int, size: int, batch: bytes, expires: int) -> Statement:
    """Some of it ended on the way; the rest keeps its place."""
    return Statement(
        "UPDATE forward SET envelopes = ?, bytes = ?, batch = ?, expires = ? WHERE seq = ?",
        (envelopes, size, batch, expires, row.seq),
    )


def waiting() -> Statement:
    return Statement("SELECT peer, origin, sum(envelopes), sum(bytes) FROM forward GROUP BY peer, origin")


def rows(found: list[Row]) -> list[ForwardRow]:
    return [ForwardRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types


def waiting_rows(found: list[Row]) -> list[Waiting]:
    return [Waiting(*row) for row in found]  # type: ignore[arg-type]
