"""Fates on their way to the origins of their envelopes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.db.flight import CARRIED
from netsky.node.db.sets import numbers
from netsky.node.seams.ledger import Row, Statement


@dataclass(frozen=True, slots=True)
class AnswerRow:
    seq: int
    outcomes: bytes


_SOME = "IN (SELECT value FROM json_each(?))"


def insert(entries: Sequence[tuple[bytes, bytes]], at: int) -> Statement:
    """(peer, outcomes) pairs."""
    return Statement(
        "INSERT INTO answers (peer, state, outcomes, made_at) VALUES (?, 'open', ?, ?)",
        many=[(peer, outcomes, at) for peer, outcomes in entries],
    )


def open_of(peer: bytes, limit: int) -> Statement:
    return Statement(
        "SELECT seq, outcomes FROM answers WHERE peer = ? AND state = 'open' ORDER BY seq LIMIT ?", (peer, limit)
    )


def newest() -> Statement:
    return Statement("SELECT ifnull(max(seq), 0) FROM answers")


def up_to(peer: bytes, seq: int) -> Statement:
    """One, if there is any."""
    return Statement("SELECT seq FROM answers WHERE seq <= ? AND peer = ? LIMIT 1", (seq, peer))


def by_seqs(seqs: Sequence[int]) -> Statement:
    return Statement(f"SELECT seq, outcomes FROM answers WHERE seq {_SOME}", (numbers(seqs),))


def number(seqs: Sequence[int]) -> Statement:
    """The two states are of one length, so that the row is changed in place and not written again with its bytes."""
    return Statement(f"UPDATE answers SET state = 'sent' WHERE seq {_SOME}", (numbers(seqs),))


def acknowledged(peer: bytes, lane: str, life: int, up_to: int) -> Statement:
    """Before `flight.acknowledged` forgets which."""
    return Statement(
        f"DELETE FROM answers WHERE seq IN ({CARRIED}last <= ? AND source = 'outcomes')",
        (peer, lane, life, up_to),
    )


def forget(peer: bytes) -> Statement:
    return Statement("DELETE FROM answers WHERE peer = ?", (peer,))


def rows(found: list[Row]) -> list[AnswerRow]:
    return [AnswerRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types
