"""How far each entry of `cron.toml` and each loop has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from netsky.node.db.sets import texts
from netsky.node.seams.ledger import Row, Statement

Kind = Literal["cron", "loop"]


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    id: str
    rule: str
    done: int
    due: int | None = None
    span: int | None = None
    fired: int | None = None
    envelope: str | None = None
    missed: int = 0
    fault: str = ""
    fault_at: int = 0


_COLUMNS = "id, rule, done, due, span, fired, envelope, missed, fault, fault_at"


def of_kind(kind: Kind) -> Statement:
    return Statement(f"SELECT {_COLUMNS} FROM schedules WHERE kind = ?", (kind,))


def put(kind: Kind, entries: Sequence[ScheduleRow]) -> Statement:
    """Each as it is now."""
    return Statement(
        f"INSERT OR REPLACE INTO schedules (kind, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        many=[
            (
                *(kind, row.id, row.rule, row.done, row.due, row.span, row.fired, row.envelope),
                *(row.missed, row.fault, row.fault_at),
            )
            for row in entries
        ],
    )


def remove(kind: Kind, ids: Sequence[str]) -> Statement:
    return Statement(
        "DELETE FROM schedules WHERE kind = ? AND id IN (SELECT value FROM json_each(?))", (kind, texts(ids))
    )


def rows(found: list[Row]) -> list[ScheduleRow]:
    return [ScheduleRow(*row) for row in found]  # type: ignore[arg-type] # a STRICT table: the columns have these types
