"""Envelopes that passed this node, with their sealed bytes, and the seals that prove them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from netsky.node.db.sets import blobs, texts
from netsky.node.seams.ledger import Row, Statement, Value


@dataclass(frozen=True, slots=True)
class SealRow:
    hash: bytes
    type: str
    mesh: bytes
    signer: bytes
    signature: bytes
    leaves: bytes  # concatenated, 32 bytes each


@dataclass(slots=True)
class MessageRow:
    origin: bytes
    id: str
    leaf: bytes
    header: bytes | None  # None once the bytes are pruned
    body: bytes | None
    seal: bytes | None  # hash of a SealRow
    position: int
    sender: str
    recipient: str
    destination: bytes
    kind: str | None
    lane: str
    in_reply_to: str | None
    thread: str | None
    parent: str | None
    clock: int
    ts: int
    expires: int
    via: str
    accepted_at: int
    seq: int | None = None  # its planner's number; without one SQLite gives the next


_values: Callable[[MessageRow], tuple[Value, ...]] = attrgetter(*MessageRow.__slots__)

_COLUMNS = (
    "origin, id, leaf, header, body, (SELECT hash FROM seals WHERE seals.seal = messages.seal), position, sender, "
    "recipient, destination, kind, lane, in_reply_to, thread, parent, clock, ts, expires, via, accepted_at, seq"
)
_IDS = "id IN (SELECT value FROM json_each(?))"


def insert_seals(seals: Sequence[SealRow]) -> Statement:
    """Before the messages that name them. The same batch a second time changes nothing."""
    return Statement(
        "INSERT INTO seals (hash, type, mesh, signer, signature, leaves) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (hash) DO NOTHING",
        many=[(s.hash, s.type, s.mesh, s.signer, s.signature, s.leaves) for s in seals],
    )


def insert(messages: Sequence[MessageRow]) -> Statement:
    """New ones: (origin, id) is there at most once, the planner has looked before."""
    return Statement(
        "INSERT INTO messages (origin, id, leaf, header, body, seal, position, sender, recipient, destination, kind, "
        "lane, in_reply_to, thread, parent, clock, ts, expires, via, accepted_at, seq) "
        "VALUES (?, ?, ?, ?, ?, (SELECT seal FROM seals WHERE hash = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        many=[_values(message) for message in messages],
    )


def newest_seq() -> Statement:
    """One row, one number: what planners count on from."""
    return Statement("SELECT coalesce(max(seq), 0) FROM messages")


def leaves_of(origin: bytes, ids: Sequence[str]) -> Statement:
    """(id, leaf, clock, seq) of those that are here: what a planner needs to tell a second arrival."""
    return Statement(f"SELECT id, leaf, clock, seq FROM messages WHERE {_IDS} AND origin = ?", (texts(ids), origin))


def by_ids(origin: bytes, ids: Sequence[str]) -> Statement:
    return Statement(f"SELECT {_COLUMNS} FROM messages WHERE {_IDS} AND origin = ? ORDER BY seq", (texts(ids), origin))


def body_of(id_: str) -> Statement:
    """(body,) of the envelope of this id that this node has, if its bytes are kept."""
    return Statement("SELECT body FROM messages WHERE id = ? LIMIT 1", (id_,))


def by_id(id: str) -> Statement:  # noqa: A002 - the envelope's word
    """Of any origin: for people, who name an envelope by its id alone."""
    return Statement(f"SELECT {_COLUMNS} FROM messages WHERE id = ? ORDER BY seq", (id,))


def replies_to(ids: Sequence[str], limit: int) -> Statement:
    return Statement(
        f"SELECT {_COLUMNS} FROM messages WHERE in_reply_to IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?",
        (texts(ids), limit),
    )


def children_of(ids: Sequence[str], limit: int) -> Statement:
    return Statement(
        f"SELECT {_COLUMNS} FROM messages WHERE parent IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?",
        (texts(ids), limit),
    )


def newest(limit: int) -> Statement:
    return Statement(f"SELECT {_COLUMNS} FROM messages ORDER BY seq DESC LIMIT ?", (limit,))


def seals_by_hash(hashes: Sequence[bytes]) -> Statement:
    places, values = blobs(hashes)
    return Statement(f"SELECT hash, type, mesh, signer, signature, leaves FROM seals WHERE hash IN ({places})", values)


def rows(found: list[Row]) -> list[MessageRow]:
    return [MessageRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types


def seals(found: list[Row]) -> list[SealRow]:
    return [SealRow(*row) for row in found]  # type: ignore[arg-type]
