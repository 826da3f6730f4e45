"""Tries of giving an envelope to a program that is started for each: counted before, so that no crash uncounts one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.db import inbox
from netsky.node.db.inbox import Handing
from netsky.node.db.sets import numbers
from netsky.node.seams.ledger import Row, Statement


@dataclass(frozen=True, slots=True)
class Candidate:
    """A projected envelope that waits for its actor, with what is known of earlier tries."""

    seq: int
    file: str
    origin: bytes
    id: str
    leaf: bytes
    header: bytes
    body: bytes
    reign: int | None
    life: int | None
    number: int | None
    tries: int
    losses: int
    due: int
    reason: str


@dataclass(frozen=True, slots=True)
class Open:
    """One that was begun and not concluded."""

    seq: int
    actor: str
    file: str


_SEQS = "seq IN (SELECT value FROM json_each(?))"


def due(actor: str, now: int, may: Handing = "all") -> Statement:
    """The oldest that may be given now, of these; a failed one that waits for its next try holds up nobody."""
    of = "" if may == "all" else f"state != 'taken' AND {inbox.MAY[may]} AND "
    return Statement(
        "SELECT seq, file, origin, id, leaf, header, body, reign, life, number, coalesce(tries, 0), "
        "coalesce(losses, 0), coalesce(due, 0), coalesce(reason, '') "
        "FROM inbox JOIN messages USING (seq) LEFT JOIN handovers USING (seq) "
        f"WHERE inbox.actor = ? AND {of}state = 'projected' AND coalesce(due, 0) <= ? ORDER BY seq LIMIT 1",
        (actor, now),
    )


def next_due(actor: str, may: Handing = "all") -> Statement:
    """One row, one number: when the next failed one of these may be given again; NULL if none waits."""
    return Statement(
        "SELECT min(due) FROM handovers JOIN inbox USING (seq) "
        f"WHERE inbox.actor = ? AND state = 'projected' AND {inbox.MAY[may]}",
        (actor,),
    )


def begin(seq: int, actor: str) -> Statement:
    """Before the program gets it."""
    return Statement(
        "INSERT INTO handovers (seq, actor, tries, losses, open, due, reason) VALUES (?, ?, 1, 0, 1, 0, '') "
        "ON CONFLICT (seq) DO UPDATE SET tries = tries + 1, open = 1",
        (seq, actor),
    )


def failed(seq: int, due: int, reason: str) -> Statement:
    return Statement("UPDATE handovers SET open = 0, due = ?, reason = ? WHERE seq = ?", (due, reason, seq))


def stopped(seqs: Sequence[int]) -> Statement:
    """Nobody was at work on them when they ended in the middle: not the envelope's fault, so the try does not count."""
    return Statement(f"UPDATE handovers SET open = 0, tries = tries - 1 WHERE {_SEQS} AND open = 1", (numbers(seqs),))


def ended(seq: int) -> Statement:
    return Statement("DELETE FROM handovers WHERE seq = ?", (seq,))


def in_the_middle() -> Statement:
    """At a start: those that the last life of the node did not conclude. Returns the `Open` columns."""
    return Statement("SELECT seq, handovers.actor, file FROM handovers CROSS JOIN inbox USING (seq) WHERE open = 1")


def lose(seqs: Sequence[int]) -> Statement:
    """The node ended while a program was at work on them. Returns (actor, seq, losses)."""
    return Statement(
        "UPDATE handovers SET open = 0, losses = losses + 1, reason = 'the node ended in the middle of it' "
        f"WHERE {_SEQS} AND open = 1 RETURNING actor, seq, losses",
        (numbers(seqs),),
    )


def forget_taken() -> Statement:
    """At a start: rows whose envelope was taken in another way."""
    return Statement(
        "DELETE FROM handovers WHERE seq IN "
        "(SELECT handovers.seq FROM handovers CROSS JOIN inbox USING (seq) WHERE state = 'taken')"
    )


def candidates(found: list[Row]) -> list[Candidate]:
    return [Candidate(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types


def open_ones(found: list[Row]) -> list[Open]:
    return [Open(*row) for row in found]  # type: ignore[arg-type]
