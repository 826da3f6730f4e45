"""What the bus asks before it accepts envelopes, and where those of an actor stand: one statement for many each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from netsky.node.db.sets import numbers, texts
from netsky.node.seams.ledger import NO_ROWS, Row, Statement


@dataclass(frozen=True, slots=True)
class Stored:
    """An envelope of ours that is here already: the answer to whoever sends it again."""

    id: str
    leaf: bytes
    clock: int
    destination: bytes
    file: str | None  # of its inbox row, if it is for an actor of this node


@dataclass(frozen=True, slots=True)
class FirstUse:
    """What was answered to the first use of an idempotency key."""

    key: str
    body_hash: bytes
    expires: int
    stored: Stored | None  # None once the envelope was pruned


@dataclass(frozen=True, slots=True)
class Cause:
    """An envelope that another one follows from. Addresses of this node's actors may stand without it."""

    id: str
    clock: int
    sender: str
    recipient: str


@dataclass(slots=True)
class Place:
    """Where an envelope of an actor stands: for acks, replays and the comparison of folder and table."""

    seq: int
    id: str
    file: str
    state: str


_FILE = "(SELECT file FROM inbox WHERE inbox.seq = messages.seq)"
_SOME = "IN (SELECT value FROM json_each(?))"


def stored(origin: bytes, ids: Sequence[str]) -> Statement:
    if not ids:
        return NO_ROWS
    return Statement(
        f"SELECT id, leaf, clock, destination, {_FILE} FROM messages WHERE id {_SOME} AND origin = ?",
        (texts(ids), origin),
    )


def first_uses(origin: bytes, actor: str, keys: Sequence[str]) -> Statement:
    """Expired ones included: the caller has the clock."""
    return Statement(
        "SELECT key, body_hash, idempotency.expires, messages.id, leaf, clock, destination, "
        f"{_FILE} FROM idempotency LEFT JOIN messages "
        "ON messages.id = idempotency.id AND messages.origin = idempotency.origin "
        f"WHERE idempotency.origin = ? AND actor = ? AND key {_SOME}",
        (origin, actor, texts(keys)),
    )


def causes(ids: Sequence[str]) -> Statement:
    """`Cause`: whatever is here under these ids, of any origin, that what is about to be accepted follows from."""
    if not ids:
        return NO_ROWS
    return Statement(f"SELECT id, clock, sender, recipient FROM messages WHERE id {_SOME}", (texts(ids),))


def cause_rows(found: list[Row]) -> list[Cause]:
    return [Cause(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types


def waiting_counts(actors: Sequence[str]) -> Statement:
    """(actor, envelopes not yet taken): held against the cap of an inbox."""
    return Statement(
        f"SELECT actor, count(*) FROM inbox WHERE state != 'taken' AND actor {_SOME} GROUP BY actor", (texts(actors),)
    )


def waiting_everywhere() -> Statement:
    """The same of every actor that has any: once, at a start."""
    return Statement("SELECT actor, count(*) FROM inbox WHERE state != 'taken' GROUP BY actor")


def waiting_places(actor: str, limit: int, after: int = 0) -> Statement:
    """Not yet taken, oldest first."""
    return Statement(
        "SELECT seq, id, file, state FROM inbox JOIN messages USING (seq) "
        "WHERE actor = ? AND state != 'taken' AND seq > ? ORDER BY seq LIMIT ?",
        (actor, after, limit),
    )


def places_of_files(actor: str, files: Sequence[str]) -> Statement:
    return Statement(
        f"SELECT seq, id, file, state FROM inbox JOIN messages USING (seq) WHERE actor = ? AND file {_SOME}",
        (actor, texts(files)),
    )


def places_of_ids(actor: str, ids: Sequence[str]) -> Statement:
    """By the ids, never by walking what the actor ever got: hence the + that takes the actor's index away."""
    return Statement(
        "SELECT seq, id, file, state FROM inbox JOIN messages USING (seq) "
        f"WHERE +actor = ? AND inbox.seq IN (SELECT seq FROM messages WHERE id {_SOME})",
        (actor, texts(ids)),
    )


def put_back(seq: int) -> Statement:
    """Replay: as if it had just been committed, if its content is still kept. Returns the seq."""
    return Statement(
        "UPDATE inbox SET state = 'committed', projected_at = NULL, claimed_at = NULL, taken_at = NULL, "
        "taken_by = NULL WHERE seq = (SELECT seq FROM messages WHERE seq = ? AND body IS NOT NULL) RETURNING seq",
        (seq,),
    )


def write_again(seqs: Sequence[int]) -> Statement:
    """Their file is gone or damaged: as if never projected. Only of rows that nobody has taken."""
    return Statement(
        "UPDATE inbox SET state = 'committed', projected_at = NULL, claimed_at = NULL "
        f"WHERE state != 'taken' AND seq {_SOME}",
        (numbers(seqs),),
    )


def unprojected_files(actor: str, files: Sequence[str]) -> Statement:
    """The `Unprojected` columns of rows that nobody has taken, whatever their state: what their file should hold."""
    return Statement(
        "SELECT seq, actor, file, origin, id, leaf, header, body, reign, life, number FROM inbox "
        f"JOIN messages USING (seq) WHERE actor = ? AND state != 'taken' AND file {_SOME} ORDER BY seq",
        (actor, texts(files)),
    )


def stored_rows(found: list[Row]) -> list[Stored]:
    return [Stored(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types


def first_use_rows(found: list[Row]) -> list[FirstUse]:
    return [
        FirstUse(
            cast("str", row[0]),
            cast("bytes", row[1]),
            cast("int", row[2]),
            None if row[3] is None else Stored(*row[3:]),  # type: ignore[arg-type]
        )
        for row in found
    ]


def place_rows(found: list[Row]) -> list[Place]:
    return [Place(*row) for row in found]  # type: ignore[arg-type]


def pairs(found: list[Row]) -> dict[str, int]:
    """Of the statements that answer with a name and a number."""
    return {cast("str", row[0]): cast("int", row[1]) for row in found}
