"""The ledger seam: whole transactions, no cursor, no sqlite3 type.

`transaction` may wait in another implementation; the shipped one commits inline and does not yield between the first
statement and the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Value = int | str | bytes | float | None
Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    values: Sequence[Value] = ()
    many: Sequence[Sequence[Value]] | None = None  # executed once for each; then it returns no rows


NO_ROWS = Statement("SELECT 1 WHERE FALSE")
"""The answer to a question about nothing: a ledger need not ask it."""


class LedgerFull(Exception):
    """The disk is full: nothing of this transaction was stored, later ones may be."""


class LedgerBroken(Exception):
    """The disk failed us (a write or a sync): the node must stop, what is on disk is unknown until reopened."""


class LedgerUnusable(Exception):
    """The file cannot be used at all: damaged, foreign or newer. The message is a sentence with the next step."""


class Ledger(Protocol):
    async def transaction(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """All of them, durable, or none. One list of rows for each statement."""

    def close(self) -> None: ...


class OpenLedger(Protocol):
    def open(self, path: str) -> Ledger: ...
