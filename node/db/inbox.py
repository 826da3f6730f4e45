"""Envelopes for actors of this node: the row is the truth, the file in the actor's folder its projection.

States: `committed` (in the table alone), `projected` (the file is there, its folder synced), `taken` (the consumer
said so).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast

from netsky.node.db.sets import numbers, texts
from netsky.node.seams.ledger import Row, Statement


@dataclass(slots=True)
class NewInbox:
    seq: int  # of its message
    actor: str
    file: str
    stored_at: int
    reign: int | None = None
    life: int | None = None
    number: int | None = None
    wants_ack: bool = False
    reply: bool = False
    """Of the reply lane."""
    taken_by: str = ""
    """Who has taken it with its arrival: such a row is never projected."""


@dataclass(frozen=True, slots=True)
class AckDue:
    """An envelope that was taken, and whose sender asked to be told."""

    seq: int
    origin: bytes
    id: str
    sender: str
    thread: str | None
    actor: str
    taken_at: int


@dataclass(frozen=True, slots=True)
class Unprojected:
    """All that the file of a row is made from."""

    seq: int
    actor: str
    file: str
    origin: bytes
    id: str
    leaf: bytes
    header: bytes
    body: bytes
    reign: int | None
    life: int | None
    number: int | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A line of `netsky channel ls`."""

    seq: int
    id: str
    origin: bytes
    sender: str
    kind: str | None
    file: str
    state: str
    clock: int
    stored_at: int
    projected_at: int | None
    claimed_at: int | None


@dataclass(slots=True)
class Taken:
    id: str
    file: str


Handing = Literal["all", "own", "replies"]
"""What a node hands out: all; not what came by a route, unless it is a reply; replies alone."""

MAY: Mapping[Handing, str] = MappingProxyType(
    {"all": "1", "own": "(reply = 1 OR inbox.reign IS NULL)", "replies": "reply = 1"}
)

_FILES = "file IN (SELECT value FROM json_each(?))"
_ID = "(SELECT id FROM messages WHERE messages.seq = inbox.seq)"


def insert(arrivals: Sequence[NewInbox]) -> Statement:
    """After the messages of the same transaction."""
    return Statement(
        "INSERT INTO inbox (seq, actor, file, state, reign, life, number, stored_at, wants_ack, reply, taken_at, "
        "taken_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        many=[
            (
                *(a.seq, a.actor, a.file, "taken" if a.taken_by else "committed", a.reign, a.life, a.number),
                *(a.stored_at, a.wants_ack, a.reply, a.stored_at if a.taken_by else None, a.taken_by or None),
            )
            for a in arrivals
        ],
    )


def unprojected(limit: int, after: int = 0) -> Statement:
    """Rows still `committed`, oldest first."""
    return Statement(
        "SELECT seq, actor, file, origin, id, leaf, header, body, reign, life, number "
        "FROM inbox JOIN messages USING (seq) WHERE state = 'committed' AND seq > ? ORDER BY seq LIMIT ?",
        (after, limit),
    )


def mark_projected(seqs: Sequence[int], at: int) -> Statement:
    """Only once the folder is synced. A row that was taken meanwhile stays taken."""
    return Statement(
        "UPDATE inbox SET state = 'projected', projected_at = ? "
        "WHERE state = 'committed' AND seq IN (SELECT value FROM json_each(?))",
        (at, numbers(seqs)),
    )


def claim(actor: str, files: Sequence[str], at: int) -> Statement:
    """A drain has them in hand. Returns the files of those that wait; claiming again keeps the first time."""
    return Statement(
        f"UPDATE inbox SET claimed_at = coalesce(claimed_at, ?) WHERE actor = ? AND state != 'taken' AND {_FILES} "
        "RETURNING file",
        (at, actor, texts(files)),
    )


def kept_back(actor: str, files: Sequence[str], may: Handing) -> Statement:
    """(file,) of those that wait and are not handed out."""
    return Statement(
        f"SELECT file FROM inbox WHERE actor = ? AND state != 'taken' AND NOT {MAY[may]} AND {_FILES}",
        (actor, texts(files)),
    )


def holders_of_routed() -> Statement:
    """(actor,) of those who have claimed work that came by a route, and have not taken it."""
    return Statement(
        f"SELECT DISTINCT actor FROM inbox WHERE state != 'taken' AND claimed_at IS NOT NULL AND NOT {MAY['own']}"
    )


def release(actor: str, files: Sequence[str]) -> Statement:
    """Given back: as if never claimed."""
    return Statement(
        f"UPDATE inbox SET claimed_at = NULL WHERE actor = ? AND state != 'taken' AND {_FILES}",
        (actor, texts(files)),
    )


def release_all(actor: str, files: Sequence[str]) -> Statement:
    """Whatever was claimed waits again, and these files too. Returns the files."""
    return Statement(
        "UPDATE inbox SET claimed_at = NULL WHERE actor = ? AND state != 'taken' AND (claimed_at IS NOT NULL "
        f"OR {_FILES}) RETURNING file",
        (actor, texts(files)),
    )


def take_files(actor: str, files: Sequence[str], at: int, by: str) -> Statement:
    """The consumer says it has them. Returns the `Taken` columns of those for which that was new.

    By file name, which is one row: an id may stand here twice, from two origins.
    """
    return Statement(
        "UPDATE inbox SET state = 'taken', taken_at = ?, taken_by = ? WHERE actor = ? AND state != 'taken' "
        f"AND {_FILES} RETURNING {_ID}, file",
        (at, by, actor, texts(files)),
    )


def acks_due(after: int, limit: int) -> Statement:
    """Taken by the actor itself: what went to quarantine, or was given up, it never had."""
    return Statement(
        "SELECT seq, origin, id, sender, thread, actor, taken_at FROM inbox JOIN messages USING (seq) "
        "WHERE wants_ack = 1 AND state = 'taken' AND taken_by NOT IN ('quarantine', 'given_up') AND seq > ? "
        "ORDER BY seq LIMIT ?",
        (after, limit),
    )


def ack_told(seqs: Sequence[int]) -> Statement:
    return Statement("UPDATE inbox SET wants_ack = 0 WHERE seq IN (SELECT value FROM json_each(?))", (numbers(seqs),))


def waiting(actor: str, limit: int, after: int = 0) -> Statement:
    """Not yet taken, oldest first."""
    return Statement(
        "SELECT seq, id, origin, sender, kind, file, state, clock, stored_at, projected_at, claimed_at "
        "FROM inbox JOIN messages USING (seq) WHERE actor = ? AND state != 'taken' AND seq > ? ORDER BY seq LIMIT ?",
        (actor, after, limit),
    )


def counts() -> Statement:
    """(actor, waiting, claimed among them, oldest stored_at) for each actor with anything waiting."""
    return Statement(
        "SELECT actor, count(*), count(claimed_at), min(stored_at) FROM inbox WHERE state != 'taken' GROUP BY actor"
    )


def claimed_files(found: list[Row]) -> list[str]:
    return [cast("str", file) for (file,) in found]


def unprojected_rows(found: list[Row]) -> list[Unprojected]:
    return [Unprojected(*row) for row in found]  # type: ignore[arg-type]


def waiting_rows(found: list[Row]) -> list[Waiting]:
    return [Waiting(*row) for row in found]  # type: ignore[arg-type]


def ack_rows(found: list[Row]) -> list[AckDue]:
    return [AckDue(*row) for row in found]  # type: ignore[arg-type]


def taken_rows(found: list[Row]) -> list[Taken]:
    return [Taken(*row) for row in found]  # type: ignore[arg-type]
