"""Single values of this node that must survive: the last clock, whether it stopped cleanly, and their like."""

from __future__ import annotations

from collections.abc import Sequence

from netsky.node.db.sets import texts
from netsky.node.seams.ledger import Row, Statement, Value

CLOCK = "clock"
"""The last hybrid clock given out, ns. Raised in the transaction of the envelope that used it."""

REIGN = "reign"
"""Of the charter under which the streams of this node were begun."""

RUNNING_SINCE = "running_since"
"""ns while a daemon has the file open, 0 after an orderly end: anything else at a start was a crash."""


def get(key: str) -> Statement:
    return Statement("SELECT value FROM node_state WHERE key = ?", (key,))


def get_many(keys: Sequence[str]) -> Statement:
    return Statement("SELECT key, value FROM node_state WHERE key IN (SELECT value FROM json_each(?))", (texts(keys),))


def value(rows: list[Row], default: Value = None) -> Value:
    return rows[0][0] if rows else default


def integer(rows: list[Row], default: int = 0) -> int:
    found = value(rows, default)
    assert isinstance(found, int)
    return found


def put(key: str, new: str | bytes | float) -> Statement:
    return Statement(
        "INSERT INTO node_state VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, new)
    )


def raise_to(key: str, new: int) -> Statement:
    """Never lowers it."""
    return Statement(
        "INSERT INTO node_state VALUES (?, ?) "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE excluded.value > value",
        (key, new),
    )


def remove(key: str) -> Statement:
    return Statement("DELETE FROM node_state WHERE key = ?", (key,))
