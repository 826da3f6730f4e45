"""Frames that have numbers and are not acknowledged yet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from netsky.node.db.sets import numbers
from netsky.node.seams.ledger import Row, Statement


@dataclass(frozen=True, slots=True)
class FlightRow:
    peer: bytes
    lane: str
    life: int
    first: int
    last: int
    leaves: bytes
    seal: bytes
    source: str
    rows: tuple[int, ...]


CARRIED = (
    "SELECT each.value FROM flight, json_each(flight.rows) AS each "
    "WHERE flight.peer = ? AND flight.lane = ? AND flight.life = ? AND flight."
)
"""Rows that frames carry, up to where they are told apart: followed by `last <= ?` or `first = ?`, and the source."""

_COLUMNS = "peer, lane, life, first, last, leaves, seal, source, rows"


def insert(entries: Sequence[FlightRow]) -> Statement:
    return Statement(
        f"INSERT INTO flight ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        many=[(e.peer, e.lane, e.life, e.first, e.last, e.leaves, e.seal, e.source, numbers(e.rows)) for e in entries],
    )


def leaves(peer: bytes) -> Statement:
    """(lane, first, leaves) of the streams' present lives: what two ends compare when they meet."""
    return Statement(
        "SELECT flight.lane, first, leaves FROM flight JOIN streams USING (peer, lane, life) "
        "WHERE flight.peer = ? AND direction = 'out' ORDER BY flight.lane, first",
        (peer,),
    )


def from_number(peer: bytes, lane: str, life: int, first: int, limit: int) -> Statement:
    """What a resumed link sends again."""
    return Statement(
        f"SELECT {_COLUMNS} FROM flight WHERE peer = ? AND lane = ? AND life = ? AND first >= ? ORDER BY first LIMIT ?",
        (peer, lane, life, first, limit),
    )


def of_forward(peer: bytes, seq: int) -> Statement:
    """(first, seal) of the frame that carries this row of the forward queue."""
    return Statement(
        "SELECT first, seal FROM flight, json_each(flight.rows) AS each "
        "WHERE peer = ? AND source = 'forward' AND each.value = ?",
        (peer, seq),
    )


def acknowledged(peer: bytes, lane: str, life: int, up_to: int) -> Statement:
    return Statement(
        "DELETE FROM flight WHERE peer = ? AND lane = ? AND life = ? AND last <= ?", (peer, lane, life, up_to)
    )


def forget(peer: bytes) -> Statement:
    return Statement("DELETE FROM flight WHERE peer = ?", (peer,))


def rows(found: list[Row]) -> list[FlightRow]:
    return [_row(*row) for row in found]


def _row(*fields: Any) -> FlightRow:
    peer, lane, life, first, last, leaves, seal, source, seqs = fields
    return FlightRow(peer, lane, life, first, last, leaves, seal, source, tuple(json.loads(seqs)))
