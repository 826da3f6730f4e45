"""Envelopes of this node that wait for a peer, and the streams that number them.

States: `open` (no number yet), `numbered` (sent, or about to be), `acked` (the peer stored it), `done` (its outcome is
known; kept for the retention time).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from netsky.node.db.flight import CARRIED
from netsky.node.db.sets import blobs, numbers, texts
from netsky.node.seams.ledger import NO_ROWS, Row, Statement, Value


class NewOutbox(NamedTuple):
    seq: int  # of its message
    peer: bytes
    lane: str
    destination: bytes
    bytes: int  # of header and body
    wants_ack: bool = False
    attached: bool = False
    state: str = "open"
    life: int | None = None  # with the next two: what is numbered as it is stored
    number: int | None = None
    numbered_at: int | None = None


class OutboxRow(NamedTuple):
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
    accepted_at: int


class Mine(NamedTuple):
    """An envelope of this node that went, or goes, to another."""

    seq: int
    id: str
    leaf: bytes
    destination: bytes
    sender: str
    kind: str | None
    expires: int
    state: str
    was_numbered: int
    via: str
    put_back: int = 0
    """It is sent again: 1, a node on the way forgot it; 2, its destination did; 3, and here its bytes are gone."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An envelope of this node, and whether its sender asked to be told when it was taken."""

    id: str
    sender: str
    recipient: str
    destination: bytes
    thread: str | None
    wants_ack: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an envelope of this node came."""

    state: str
    peer: bytes
    destination: bytes
    attached: int
    """1: while it is open, its attachments go ahead of it."""


@dataclass(frozen=True, slots=True)
class Due:
    """An envelope whose sender is to hear of its fate."""

    seq: int
    id: str
    origin: bytes
    sender: str
    recipient: str
    thread: str | None


@dataclass(frozen=True, slots=True)
class Pending:
    """What has no outcome yet for one destination, as `netsky status` shows it."""

    destination: bytes
    open: int
    numbered: int
    acked: int
    bytes: int
    oldest: int  # accepted_at, ns
    attaching: int = 0  # of those that are open: whose attachments go first

    @property
    def envelopes(self) -> int:
        return self.open + self.numbered + self.acked


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
    "(SELECT hash FROM seals WHERE seals.seal = messages.seal), position, accepted_at "
    "FROM outbox JOIN messages USING (seq) "
)


_MINE = (
    "SELECT seq, id, leaf, messages.destination, sender, kind, messages.expires, state, life IS NOT NULL, via, put_back"
)


def insert(entries: Sequence[NewOutbox]) -> Statement:
    """After the messages of the same transaction."""
    return Statement(
        "INSERT INTO outbox "
        "(seq, peer, lane, destination, bytes, wants_ack, attached, state, life, number, numbered_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        many=entries,
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """What does not leave for now: destinations that are held, actors that are full, and all with attachments but
    those of which the peer holds every blob."""

    nodes: Sequence[bytes] = ()
    actors: Sequence[str] = ()
    ready: Sequence[int] = ()


def open_entries(peer: bytes, lane: str, limit: int, kept: Kept = Kept()) -> Statement:
    """Without a number, in the order of acceptance."""
    ready = "(attached = 0 OR seq IN (SELECT value FROM json_each(?)))"
    where, values = _where(kept)
    return Statement(
        f"{_SELECT} WHERE peer = ? AND outbox.lane = ? AND state = 'open' AND put_back < 3 AND {ready}{where} "
        "ORDER BY seq LIMIT ?",
        (peer, lane, numbers(kept.ready), *values, limit),
    )


def aside(peer: bytes, lane: str, limit: int, kept: Kept) -> Statement:
    """(seq, hash, size) of the blobs of the oldest with attachments, of so many envelopes."""
    where, values = _where(kept)
    return Statement(
        "SELECT first.seq, hash, size FROM (SELECT seq FROM outbox CROSS JOIN messages USING (seq) "
        f"WHERE peer = ? AND outbox.lane = ? AND state = 'open' AND put_back < 3 AND attached = 1{where} "
        "ORDER BY seq LIMIT ?) AS first "
        "JOIN blob_names ON holder = 'message' AND blob_names.seq = first.seq ORDER BY first.seq",
        (peer, lane, *values, limit),
    )


def _where(kept: Kept) -> tuple[str, list[Value]]:
    if not kept.nodes and not kept.actors:  # nearly always
        return "", []
    places, values = blobs(kept.nodes or [b""])
    nodes = f" AND ifnull(outbox.destination NOT IN ({places}), TRUE)"
    return f"{nodes} AND recipient NOT IN (SELECT value FROM json_each(?))", [*values, texts(kept.actors)]


def naming(digest: bytes, limit: int) -> Statement:
    """The `mine` columns of what has not left and names this blob."""
    return Statement(
        f"{_MINE} FROM blob_names JOIN outbox USING (seq) JOIN messages USING (seq) "
        "WHERE hash = ? AND holder = 'message' AND state = 'open' LIMIT ?",
        (digest, limit),
    )


def by_seqs(seqs: Sequence[int]) -> Statement:
    return Statement(f"{_SELECT} WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY number", (numbers(seqs),))


def number(seqs: Sequence[int], life: int, first: int, at: int) -> Statement:
    """These get the numbers first, first + 1 …, in the transaction that raises the stream and before they are sent."""
    return Statement(
        "UPDATE outbox SET state = 'numbered', life = ?, number = ? + each.key, numbered_at = ? "
        "FROM json_each(?) AS each WHERE seq = each.value AND state = 'open'",
        (life, first, at, numbers(seqs)),
    )


def acked(peer: bytes, lane: str, life: int, up_to: int, at: int) -> Statement:
    """The peer has stored all of this life up to this number. Before `flight.acknowledged` forgets which rows those
    are."""
    return Statement(
        "UPDATE outbox SET state = 'acked', acked_at = ? WHERE state = 'numbered' "
        f"AND seq IN ({CARRIED}last <= ? AND source = 'own')",
        (at, peer, lane, life, up_to),
    )


def mine(origin: bytes, ids: Sequence[str]) -> Statement:
    """What an outcome is held against."""
    if not ids:
        return NO_ROWS
    return Statement(
        f"{_MINE} FROM messages JOIN outbox USING (seq) WHERE id IN (SELECT value FROM json_each(?)) AND origin = ?",
        (texts(ids), origin),
    )


def done(ended: Sequence[tuple[int, int, int, str]], at: int) -> Statement:
    """(seq, received, routed, fate): their outcome is stored in the same transaction; the times are the root's."""
    return Statement(
        "UPDATE outbox SET state = 'done', done_at = ?, root_received = ?, root_routed = ?, fate = ? "
        "WHERE seq = ? AND state != 'done'",
        many=[(at, received or None, routed or None, fate, seq) for seq, received, routed, fate in ended],
    )


def to_destinations(destinations: Sequence[bytes], limit: int) -> Statement:
    """The `mine` columns of what has no outcome and goes to these nodes, for when they are no more."""
    places, values = blobs(destinations)
    return Statement(
        f"{_MINE} FROM outbox JOIN messages USING (seq) "
        f"WHERE state != 'done' AND outbox.destination IN ({places}) LIMIT ?",
        (*values, limit),
    )


def expired(now: int, limit: int, since: int = 0, met: Sequence[bytes] = ()) -> Statement:
    """The `mine` columns of what never got a number in time, or not again. What was accepted before `since` is left out
    where its peer was not met yet."""
    places, values = blobs(met or [b""])
    return Statement(
        f"{_MINE} FROM outbox CROSS JOIN messages USING (seq) WHERE state = 'open' AND (life IS NULL OR put_back >= 2) "
        "AND (messages.expires < ? OR put_back = 3) "
        f"AND (put_back >= 2 OR accepted_at >= ? OR peer IN ({places})) LIMIT ?",
        (now, since, *values, limit),
    )


def in_frame(peer: bytes, lane: str, life: int, first: int) -> Statement:
    """The `mine` columns of what went out in this frame."""
    return Statement(
        f"{_MINE} FROM outbox JOIN messages USING (seq) WHERE seq IN ({CARRIED}first = ? AND source = 'own')",
        (peer, lane, life, first),
    )


def errors_due(seqs: Sequence[int]) -> Statement:
    """The senders of these must hear of their fate."""
    return Statement("INSERT OR IGNORE INTO errors_due (seq) VALUES (?)", many=[(seq,) for seq in seqs])


def due_errors(after: int, limit: int) -> Statement:
    """The `Due` columns of those, from a seq on."""
    return Statement(
        "SELECT seq, id, origin, sender, recipient, thread FROM errors_due JOIN messages USING (seq) "
        "WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, limit),
    )


def error_told(seqs: Sequence[int]) -> Statement:
    return Statement("DELETE FROM errors_due WHERE seq IN (SELECT value FROM json_each(?))", (numbers(seqs),))


def asked(origin: bytes, ids: Sequence[str]) -> Statement:
    """What the word of another node's daemon is held against."""
    return Statement(
        "SELECT id, sender, recipient, messages.destination, thread, wants_ack FROM messages JOIN outbox USING (seq) "
        "WHERE id IN (SELECT value FROM json_each(?)) AND origin = ?",
        (texts(ids), origin),
    )


def standing(seq: int) -> Statement:
    return Statement("SELECT state, peer, destination, attached FROM outbox WHERE seq = ?", (seq,))


def is_done(origin: bytes, id: str) -> Statement:  # noqa: A002 - the envelope's word
    """A row if the fate of this one is known."""
    return Statement(
        "SELECT 1 FROM outbox JOIN messages USING (seq) WHERE id = ? AND origin = ? AND state = 'done'", (id, origin)
    )


def pending() -> Statement:
    """The `Pending` columns, the oldest first."""
    return Statement(
        "SELECT outbox.destination, sum(state = 'open'), sum(state = 'numbered'), sum(state = 'acked'), sum(bytes), "
        "min(accepted_at), sum(state = 'open' AND attached = 1) FROM outbox JOIN messages USING (seq) "
        "WHERE state != 'done' GROUP BY outbox.destination ORDER BY min(accepted_at)"
    )


def shares() -> Statement:
    """(destination, envelopes, bytes) without an outcome: held against the caps of the outbox. Asked at every accept:
    its index holds nothing else, so it costs what the caps let stand there, 3 ms at most."""
    return Statement("SELECT destination, count(*), sum(bytes) FROM outbox WHERE state != 'done' GROUP BY destination")


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


def mine_rows(found: list[Row]) -> list[Mine]:
    return [Mine(*row) for row in found]  # type: ignore[arg-type]


def asked_rows(found: list[Row]) -> list[Asked]:
    return [Asked(*row) for row in found]  # type: ignore[arg-type]


def standing_rows(found: list[Row]) -> list[Standing]:
    return [Standing(*row) for row in found]  # type: ignore[arg-type]


def due_rows(found: list[Row]) -> list[Due]:
    return [Due(*row) for row in found]  # type: ignore[arg-type]


def rows(found: list[Row]) -> list[OutboxRow]:
    return [OutboxRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types


def pending_rows(found: list[Row]) -> list[Pending]:
    return [Pending(*row) for row in found]  # type: ignore[arg-type]


def stream_rows(found: list[Row]) -> list[StreamRow]:
    return [StreamRow(*row) for row in found]  # type: ignore[arg-type]
