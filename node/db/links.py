"""What a link reads when a connection begins, and writes as it goes: streams, windows, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.seams.ledger import Row, Statement


@dataclass(frozen=True, slots=True)
class LinkStreamRow:
    """One lane in one direction, with what resuming it needs."""

    direction: str  # "in" or "out"
    lane: str
    life: int
    lineage: bytes
    number: int  # out: the last one given; in: the mark
    leaf: bytes | None
    acked: int  # out only
    acked_leaf: bytes | None  # out only
    frozen: str | None


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A data frame that came in."""

    lane: str
    life: int
    first: int
    last: int
    leaves: bytes
    claim: bytes


@dataclass(frozen=True, slots=True)
class RefusalRow:
    peer: bytes
    lane: str
    life: int
    number: int
    leaf: bytes
    code: str
    at: int


def streams(peer: bytes) -> Statement:
    return Statement(
        "SELECT direction, lane, life, lineage, number, leaf, acked, acked_leaf, frozen FROM streams WHERE peer = ?",
        (peer,),
    )


def window(peer: bytes) -> Statement:
    """Of the present lives, oldest first."""
    return Statement(
        "SELECT lane, life, first, last, leaves, claim FROM link_window JOIN streams USING (peer, lane, life) "
        "WHERE link_window.peer = ? AND direction = 'in' ORDER BY lane, first, last",
        (peer,),
    )


def marks(peer: bytes) -> Statement:
    """(direction, lane, life, number): what a planner compares before it writes."""
    return Statement("SELECT direction, lane, life, number FROM streams WHERE peer = ?", (peer,))


def give(peer: bytes, lane: str, *, life: int, last: int, leaf: bytes) -> Statement:
    """Numbers up to `last` are given out, beside `outbox.number`."""
    return Statement(
        "UPDATE streams SET number = ?, leaf = ? WHERE peer = ? AND direction = 'out' AND lane = ? AND life = ?",
        (last, leaf, peer, lane, life),
    )


def acknowledge(peer: bytes, lane: str, *, life: int, up_to: int, leaf: bytes) -> Statement:
    """Beside `outbox.acked` and what `flight`, `forward` and `answers` forget."""
    return Statement(
        "UPDATE streams SET acked = ?, acked_leaf = ? "
        "WHERE peer = ? AND direction = 'out' AND lane = ? AND life = ? AND acked < ?",
        (up_to, leaf, peer, lane, life, up_to),
    )


def freeze(peer: bytes, direction: str, lane: str, code: str) -> Statement:
    return Statement(
        "UPDATE streams SET frozen = ? WHERE peer = ? AND direction = ? AND lane = ? AND frozen IS NULL",
        (code, peer, direction, lane),
    )


def remember(peer: bytes, row: WindowRow) -> Statement:
    return Statement(
        "INSERT INTO link_window (peer, lane, life, first, last, leaves, claim) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (peer, row.lane, row.life, row.first, row.last, row.leaves, row.claim),
    )


def forget(peer: bytes, lane: str, life: int, *, up_to: int) -> list[Statement]:
    """What lies behind the window. The first number of a frame is asked about too, since the index has it before the
    last: so what is kept is not looked at."""
    return [
        Statement(
            "DELETE FROM link_window WHERE peer = ? AND lane = ? AND life = ? AND first <= ? AND last <= ?",
            (peer, lane, life, up_to, up_to),
        ),
        Statement(
            "DELETE FROM link_refusals WHERE peer = ? AND lane = ? AND life = ? AND number <= ?",
            (peer, lane, life, up_to),
        ),
    ]


def forget_lives(peer: bytes, lane: str, life: int) -> list[Statement]:
    """Everything of earlier lives, when this one begins."""
    return [
        Statement(f"DELETE FROM {table} WHERE peer = ? AND lane = ? AND life < ?", (peer, lane, life))
        for table in ("link_window", "link_refusals")
    ]


def refuse(rows: Sequence[RefusalRow]) -> Statement:
    return Statement(
        "INSERT INTO link_refusals (peer, lane, life, number, leaf, code, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        many=[(r.peer, r.lane, r.life, r.number, r.leaf, r.code, r.at) for r in rows],
    )


def stream_rows(found: list[Row]) -> list[LinkStreamRow]:
    return [LinkStreamRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types


def window_rows(found: list[Row]) -> list[WindowRow]:
    return [WindowRow(*row) for row in found]  # type: ignore[arg-type]


def count_refused(refused: Sequence[tuple[bytes, str]], at: int) -> Statement:
    """(peer, code) pairs: how often which peer was refused for which reason."""
    return Statement(
        "INSERT INTO refused_counts (peer, code, count, last) VALUES (?, ?, 1, ?) "
        "ON CONFLICT (peer, code) DO UPDATE SET count = count + 1, last = excluded.last",
        many=[(peer, code, at) for peer, code in refused],
    )


def refused_counts(limit: int) -> Statement:
    """(peer, code, count, last), the latest first."""
    return Statement("SELECT peer, code, count, last FROM refused_counts ORDER BY last DESC LIMIT ?", (limit,))


def frozen() -> Statement:
    """(peer, lane, direction, code) of the streams that stand still."""
    return Statement("SELECT peer, lane, direction, frozen FROM streams WHERE frozen IS NOT NULL LIMIT 1000")


def forget_peer(peer: bytes) -> list[Statement]:
    """The link has ended for good; the streams stay, so that their numbers are never given again."""
    return [
        Statement("DELETE FROM link_window WHERE peer = ?", (peer,)),
        Statement("DELETE FROM link_refusals WHERE peer = ?", (peer,)),
    ]
