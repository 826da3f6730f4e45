"""At a node that got tickets by leases of netsky0: what it holds, and what has arrived and waits to be carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import cast

from netsky.node.db.sets import numbers
from netsky.node.seams.ledger import Row, Statement


@dataclass(frozen=True, slots=True)
class HeldRow:
    ticket: str
    fence: str
    reign: int
    life: int
    counter: int
    state: str
    tried: int
    spec: str
    context: str
    report: str | None
    envelope: str
    at: int
    start: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """An envelope of the nodes' own parts, as it stands in `messages`."""

    seq: int
    id: str
    origin: bytes
    sender: str
    header: bytes
    body: bytes


_COLUMNS = ", ".join("try" if field.name == "tried" else field.name for field in fields(HeldRow))


def put(rows_: Sequence[HeldRow]) -> Statement:
    """Each as it is now; one of a higher fence takes the place of an older one."""
    places = ", ".join("?" * len(fields(HeldRow)))
    return Statement(
        f"INSERT OR REPLACE INTO work_held ({_COLUMNS}) VALUES ({places})",
        many=[cast("Row", astuple(row)) for row in rows_],
    )


def all_held() -> Statement:
    return Statement(f"SELECT {_COLUMNS} FROM work_held ORDER BY ticket")


def remove(pairs: Sequence[tuple[str, str]]) -> Statement:
    """(ticket, fence): one that has another fence by now stays."""
    return Statement("DELETE FROM work_held WHERE ticket = ? AND fence = ?", many=pairs)


def forget_cancelled(before: int) -> Statement:
    """Cancels whose ticket never came: it has expired by now."""
    return Statement("DELETE FROM work_held WHERE state = 'cancelled' AND at < ?", (before,))


def rows(found: list[Row]) -> list[HeldRow]:
    return [HeldRow(*row) for row in found]  # type: ignore[arg-type] # a STRICT table


# Mail.


def arrived(seqs: Sequence[int]) -> Statement:
    """In the transaction of their messages."""
    return Statement("INSERT INTO work_mail (seq) VALUES (?)", many=[(seq,) for seq in seqs])


def mail(limit: int) -> Statement:
    """The oldest first."""
    return Statement(
        "SELECT seq, id, origin, sender, header, body FROM work_mail JOIN messages USING (seq) ORDER BY seq LIMIT ?",
        (limit,),
    )


def read(seqs: Sequence[int]) -> Statement:
    return Statement("DELETE FROM work_mail WHERE seq IN (SELECT value FROM json_each(?))", (numbers(seqs),))


def mail_rows(found: list[Row]) -> list[Mail]:
    return [Mail(*row) for row in found]  # type: ignore[arg-type] # a STRICT table
