"""Envelopes of this node that ended dead or in doubt: the list that somebody works off.

One is on the list until it is dropped, by a person or by its age. Its sealed bytes are kept as long as it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.db.sets import numbers, texts
from netsky.node.seams.ledger import Row, Statement


@dataclass(frozen=True, slots=True)
class NewDeadLetter:
    seq: int
    fate: str
    code: str
    ender: bytes
    at: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    number: int
    seq: int
    origin: bytes
    id: str
    sender: str
    recipient: str
    destination: bytes
    kind: str | None
    thread: str | None
    accepted_at: int
    fate: str
    code: str
    ender: bytes
    at: int
    known_at: int
    seen_at: int | None
    retries: int
    retry: str | None
    retried_at: int | None
    dropped_at: int | None


_SELECT = (
    "SELECT number, seq, origin, id, sender, recipient, destination, kind, thread, accepted_at, fate, code, ender, at, "
    "known_at, seen_at, retries, retry, retried_at, dropped_at FROM dead_letters JOIN messages USING (seq) "
)


def insert(entries: Sequence[NewDeadLetter], known_at: int) -> Statement:
    """In the transaction of the outcome. The first one stands."""
    return Statement(
        "INSERT INTO dead_letters (seq, fate, code, ender, at, known_at) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (seq) DO NOTHING",
        many=[(one.seq, one.fate, one.code, one.ender, one.at, known_at) for one in entries],
    )


def listed(limit: int, before: int, sender: str | None = None) -> Statement:
    """Those on the list, newest first, below the number `before`; of one sender, if it is named in full."""
    return Statement(
        f"{_SELECT} WHERE dropped_at IS NULL AND number < ? AND (? IS NULL OR sender = ?) ORDER BY number DESC LIMIT ?",
        (before, sender, sender, limit),
    )


def by_ids(ids: Sequence[str]) -> Statement:
    """On the list or off it."""
    return Statement(
        f"{_SELECT} WHERE seq IN (SELECT seq FROM messages WHERE id IN (SELECT value FROM json_each(?))) "
        "ORDER BY number DESC",
        (texts(ids),),
    )


def counts() -> Statement:
    """(on the list, of these never shown to an operator, when the oldest of those became known)."""
    return Statement(
        "SELECT count(*), count(*) FILTER (WHERE seen_at IS NULL), min(known_at) FILTER (WHERE seen_at IS NULL) "
        "FROM dead_letters WHERE dropped_at IS NULL"
    )


def seen(found: Sequence[int], at: int) -> Statement:
    """These numbers were shown."""
    return Statement(
        "UPDATE dead_letters SET seen_at = ? WHERE seen_at IS NULL AND number IN (SELECT value FROM json_each(?))",
        (at, numbers(found)),
    )


def retried(number: int, retries: int, id: str, at: int) -> Statement:  # noqa: A002 - the envelope's word
    """Its retry is stored. A person has seen it, too."""
    return Statement(
        "UPDATE dead_letters SET retries = ?, retry = ?, retried_at = ?, seen_at = coalesce(seen_at, ?) "
        "WHERE number = ? AND retries < ?",
        (retries, id, at, at, number, retries),
    )


def drop(found: Sequence[int], at: int) -> Statement:
    """These numbers leave the list. Returns those for which that was new."""
    return Statement(
        "UPDATE dead_letters SET dropped_at = ? "
        "WHERE dropped_at IS NULL AND number IN (SELECT value FROM json_each(?)) RETURNING number",
        (at, numbers(found)),
    )


def drop_known_before(before: int, at: int) -> Statement:
    """All that were known before."""
    return Statement(
        "UPDATE dead_letters SET dropped_at = ? WHERE dropped_at IS NULL AND known_at < ? RETURNING number",
        (at, before),
    )


def drop_beyond(most: int, at: int) -> Statement:
    """The oldest, when there are more."""
    return Statement(
        "UPDATE dead_letters SET dropped_at = ? WHERE dropped_at IS NULL AND number <= "
        "(SELECT number FROM dead_letters WHERE dropped_at IS NULL ORDER BY number DESC LIMIT 1 OFFSET ?) "
        "RETURNING number",
        (at, most),
    )


def rows(found: list[Row]) -> list[DeadLetter]:
    return [DeadLetter(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types
