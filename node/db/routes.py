"""The root's seals by which envelopes came in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.seams.ledger import Statement


@dataclass(frozen=True, slots=True)
class RouteRow:
    reign: int
    lane: str
    life: int
    first: int
    last: int
    sealed: bytes
    at: int


def insert(entries: Sequence[RouteRow]) -> Statement:
    return Statement(
        "INSERT INTO routes (reign, lane, life, first, last, sealed, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        many=[(e.reign, e.lane, e.life, e.first, e.last, e.sealed, e.at) for e in entries],
    )


def of_number(lane: str, life: int, number: int) -> Statement:
    return Statement(
        "SELECT sealed FROM routes WHERE lane = ? AND life = ? AND first <= ? AND last >= ? "
        "ORDER BY first DESC LIMIT 1",
        (lane, life, number, number),
    )
