"""What passed the root, for `netsky trace` there: a row for each frame and actor, observed like other events.

The root stores no envelope that it passes on, and needs no id to do so. These rows ride on other commits; after a crash
the last of them may be missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.node.seams.ledger import Row, Statement

ROWS_MAX = 16
"""Of one id: it passes once, and again where its origin was restored."""


@dataclass(frozen=True, slots=True)
class PassedRow:
    at: int
    origin: bytes
    peer: bytes
    recipient: str
    code: str | None
    ids: tuple[str, ...] = ()


def insert(entries: Sequence[PassedRow]) -> Statement:
    return Statement(
        "INSERT INTO passed (at, origin, peer, recipient, code, ids) VALUES (?, ?, ?, ?, ?, ?)",
        many=[(e.at, e.origin, e.peer, e.recipient, e.code, f" {' '.join(e.ids)} ") for e in entries],
    )


def of_id(id: str) -> Statement:  # noqa: A002 - the envelope's word
    """The newest first. It reads the whole table: for the reading connection alone."""
    return Statement(
        "SELECT at, origin, peer, recipient, code FROM passed WHERE instr(ids, ?) > 0 ORDER BY id DESC LIMIT ?",
        (f" {id} ", ROWS_MAX),
    )


def rows(found: Sequence[Row]) -> list[PassedRow]:
    return [PassedRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types
