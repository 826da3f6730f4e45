"""Envelopes of this node that wait for a peer, and the streams that number them.

States: `open` (no number yet), `numbered` (sent, or about to be), `acked` (the peer stored it), `done` (its outcome is
known; kept for the retention time).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.db.sets import texts
from netsky.node.seams.ledger import Row, Statement


@dataclass(frozen=True, slots=True)
class NewOutbox:
    origin: bytes
    id: str
    peer: bytes
    lane: str
    bytes: int  # of header and body


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """With the sealed bytes, ready to be sent. `seal` names a SealRow."""

    seq: int
    peer: bytes
    lane: str
    state: str
    life: int | None
    number: int | None
    origin: bytes
    id: str
    leaf: bytes
    header: bytes
    body: bytes
    seal: bytes
    position: int
    expires: int


@dataclass(frozen=True, slots=True)
class Pending:
    """What stands open towards one peer, for the caps and for `netsky status`."""

    peer: bytes
    lane: str
    state: str
    envelopes: int
    bytes: int
    oldest: int  # accepted_at, ns


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One lane in one direction of one link, in its present life."""

    peer: bytes
    direction: str  # "in" or "out"
    lane: str
    life: int
    lineage: bytes
    number: int  # out: the last one given; in: the mark, the last one consumed
    leaf: bytes | None  # of the statement with that number
    acked: int = 0  # out only


_SELECT = (
    "SELECT seq, peer, outbox.lane, state, life, number, origin, id, leaf, header, body, "
    "(SELECT hash FROM seals WHERE seals.seal = messages.seal), position, expires "
    "FROM outbox JOIN messages USING (seq) "
)


def insert(entries: Sequence[NewOutbox]) -> Statement:
    """After the messages of the same transaction."""
    return Statement(
        "INSERT INTO outbox (seq, peer, lane, state, bytes) "
        "SELECT seq, ?, ?, 'open', ? FROM messages WHERE id = ? AND origin = ?",
        many=[(e.peer, e.lane, e.bytes, e.id, e.origin) for e in entries],
    )


def open_entries(peer: bytes, lane: str, limit: int) -> Statement:
    """Without a number, in the order of acceptance."""
    return Statement(
        f"{_SELECT} WHERE peer = ? AND outbox.lane = ? AND state = 'open' ORDER BY seq LIMIT ?", (peer, lane, limit)
    )


def numbered_after(peer: bytes, lane: str, life: int, number: int, limit: int) -> Statement:
    """What a resumed link sends again."""
    return Statement(
        f"{_SELECT} WHERE peer = ? AND outbox.lane = ? AND life = ? AND number > ? AND state != 'done' "
        "ORDER BY number LIMIT ?",
        (peer, lane, life, number, limit),
    )


def number(given: Sequence[tuple[int, int]], life: int, at: int) -> Statement:
    """(seq, number) pairs, in the transaction that raises the stream and before anything is sent."""
    return Statement(
        "UPDATE outbox SET state = 'numbered', life = ?, number = ?, numbered_at = ? WHERE seq = ? AND state = 'open'",
        many=[(life, number, at, seq) for seq, number in given],
    )


def acked(peer: bytes, lane: str, life: int, up_to: int, at: int) -> Statement:
    """The peer has stored all of this life up to this number."""
    return Statement(
        "UPDATE outbox SET state = 'acked', acked_at = ? "
        "WHERE peer = ? AND lane = ? AND state = 'numbered' AND life = ? AND number <= ?",
        (at, peer, lane, life, up_to),
    )


def done(origin: bytes, ids: Sequence[str], at: int) -> Statement:
    """Their outcome is stored in the same transaction."""
    return Statement(
        "UPDATE outbox SET state = 'done', done_at = ? WHERE state != 'done' AND seq IN "
        "(SELECT seq FROM messages WHERE id IN (SELECT value FROM json_each(?)) AND origin = ?)",
        (at, texts(ids), origin),
    )


def pending() -> Statement:
    return Statement(
        "SELECT peer, outbox.lane, state, count(*), sum(bytes), min(accepted_at) "
        "FROM outbox JOIN messages USING (seq) WHERE state != 'done' GROUP BY peer, outbox.lane, state"
    )


def pending_total() -> Statement:
    """(envelopes, bytes) without an outcome, whatever the peer: held against the caps of the outbox."""
    return Statement("SELECT count(*), coalesce(sum(bytes), 0) FROM outbox WHERE state != 'done'")


def streams(peer: bytes) -> Statement:
    return Statement(
        "SELECT peer, direction, lane, life, lineage, number, leaf, acked FROM streams WHERE peer = ?", (peer,)
    )


def put_stream(stream: StreamRow) -> Statement:
    return Statement(
        "INSERT INTO streams (peer, direction, lane, life, lineage, number, leaf, acked) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (peer, direction, lane) DO UPDATE SET life = excluded.life, lineage = excluded.lineage, "
        "number = excluded.number, leaf = excluded.leaf, acked = excluded.acked",
        (
            *(stream.peer, stream.direction, stream.lane, stream.life, stream.lineage),
            *(stream.number, stream.leaf, stream.acked),
        ),
    )


def begin_life(stream: StreamRow, at: int, reason: str) -> Statement:
    """Beside `put_stream`, when a life begins: numbers of different lives are told apart for ever."""
    return Statement(
        "INSERT INTO lives (peer, direction, lane, life, lineage, began_at, reason) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (stream.peer, stream.direction, stream.lane, stream.life, stream.lineage, at, reason),
    )


def rows(found: list[Row]) -> list[OutboxRow]:
    return [OutboxRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types


def pending_rows(found: list[Row]) -> list[Pending]:
    return [Pending(*row) for row in found]  # type: ignore[arg-type]


def stream_rows(found: list[Row]) -> list[StreamRow]:
    return [StreamRow(*row) for row in found]  # type: ignore[arg-type]
