"""Runs, the checkpoints of runs and tickets, idempotency keys, notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import cast

from netsky.node.db.sets import numbers, texts
from netsky.node.seams.ledger import NO_ROWS, Row, Statement


@dataclass(frozen=True, slots=True)
class RunRow:
    id: str
    name: str
    state: str
    head: str
    plan: str | None
    asked_by: str
    cause: str | None
    made_at: int
    changed_at: int
    reason: str = ""
    tickets: int = 0
    unreported: int = 0
    unverified: int = 0
    open: int = 0
    failed: int = 0
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    run: str
    ticket: int | None
    at: int
    event: str
    state: str
    owner: str = ""
    node: str = ""
    fence: str = ""
    tried: int = 0
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class KeyRow:
    key: str
    hash: bytes
    ticket: int


@dataclass(frozen=True, slots=True)
class GrantRow:
    ticket: int
    at: int
    until: int
    author: str
    scope: str
    envelope: str


_RUN = ", ".join(field.name for field in fields(RunRow))
_CHECKPOINT = "run, ticket, at, event, state, owner, node, fence, try, code, reason"


def insert(run: RunRow) -> Statement:
    places = ", ".join("?" * len(fields(RunRow)))
    return Statement(f"INSERT INTO work_runs ({_RUN}) VALUES ({places})", cast("Row", astuple(run)))


def put(changed: Sequence[RunRow]) -> Statement:
    return Statement(
        "UPDATE work_runs SET state = ?, changed_at = ?, reason = ?, tickets = ?, unreported = ?, unverified = ?, "
        "open = ?, failed = ?, tip = ? WHERE id = ?",
        many=[
            (r.state, r.changed_at, r.reason, r.tickets, r.unreported, r.unverified, r.open, r.failed, r.tip, r.id)
            for r in changed
        ],
    )


def planned(id_: str) -> Statement:
    """Its tickets are all stored: the text it came from is not needed any more."""
    return Statement("UPDATE work_runs SET plan = NULL WHERE id = ?", (id_,))


def open_runs() -> Statement:
    return Statement(f"SELECT {_RUN} FROM work_runs WHERE state != 'completed' ORDER BY made_at")


def by_id(id_: str) -> Statement:
    return Statement(f"SELECT {_RUN} FROM work_runs WHERE id = ?", (id_,))


def by_cause(asked_by: str, cause: str) -> Statement:
    return Statement(f"SELECT {_RUN} FROM work_runs WHERE cause = ? AND asked_by = ?", (cause, asked_by))


def latest(limit: int, node: str = "") -> Statement:
    """With a node only what was asked for there."""
    return Statement(
        f"SELECT {_RUN} FROM work_runs WHERE asked_by LIKE ? ORDER BY made_at DESC LIMIT ?",
        (f"%@{node}" if node else "%", limit),
    )


def rows(found: list[Row]) -> list[RunRow]:
    return [RunRow(*row) for row in found]  # type: ignore[arg-type] # a STRICT table


# Checkpoints.


def checkpoints(made: Sequence[Checkpoint]) -> Statement:
    return Statement(
        f"INSERT INTO work_checkpoints ({_CHECKPOINT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        many=[cast("Row", astuple(one)) for one in made],
    )


def story(ticket: int, limit: int) -> Statement:
    """The latest of a ticket, the newest first."""
    return Statement(
        f"SELECT {_CHECKPOINT} FROM work_checkpoints WHERE ticket = ? ORDER BY number DESC LIMIT ?", (ticket, limit)
    )


def story_of_run(run: str, limit: int) -> Statement:
    return Statement(
        f"SELECT {_CHECKPOINT} FROM work_checkpoints WHERE run = ? AND ticket IS NULL ORDER BY number DESC LIMIT ?",
        (run, limit),
    )


def checkpoint_rows(found: list[Row]) -> list[Checkpoint]:
    return [Checkpoint(*row) for row in found]  # type: ignore[arg-type] # a STRICT table


# Keys.


def keys(asked: Sequence[str]) -> Statement:
    if not asked:
        return NO_ROWS
    return Statement(
        "SELECT key, hash, ticket FROM work_keys WHERE key IN (SELECT value FROM json_each(?))", (texts(asked),)
    )


def put_keys(used: Sequence[KeyRow]) -> Statement:
    """The newest ticket of the same work has the key."""
    if not used:
        return NO_ROWS
    return Statement(
        "INSERT INTO work_keys VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET ticket = excluded.ticket "
        "WHERE hash = excluded.hash",
        many=[(one.key, one.hash, one.ticket) for one in used],
    )


def key_rows(found: list[Row]) -> list[KeyRow]:
    return [KeyRow(*row) for row in found]  # type: ignore[arg-type] # a STRICT table


# Grants.


def grant(row: GrantRow) -> Statement:
    return Statement(
        "INSERT INTO work_grants (ticket, at, until, author, scope, envelope) VALUES (?, ?, ?, ?, ?, ?)",
        cast("Row", astuple(row)),
    )


def granted() -> Statement:
    """(ticket,) of those that have any."""
    return Statement("SELECT DISTINCT ticket FROM work_grants")


def grants(tickets: Sequence[int]) -> Statement:
    """All of these, the oldest first, those that are over too."""
    return Statement(
        "SELECT ticket, at, until, author, scope, envelope FROM work_grants WHERE ticket IN "
        "(SELECT value FROM json_each(?)) ORDER BY number",
        (numbers(tickets),),
    )


def grant_rows(found: list[Row]) -> list[GrantRow]:
    return [GrantRow(*row) for row in found]  # type: ignore[arg-type] # a STRICT table


# Notes.


def note(ticket: int | None, run: str, at: int, author: str, text: str) -> Statement:
    return Statement(
        "INSERT INTO work_notes (ticket, run, at, author, text) VALUES (?, ?, ?, ?, ?) RETURNING number",
        (ticket, run, at, author, text),
    )


def notes(ticket: int, limit: int) -> Statement:
    """(number, at, author, text), the newest first."""
    return Statement(
        "SELECT number, at, author, text FROM work_notes WHERE ticket = ? ORDER BY number DESC LIMIT ?", (ticket, limit)
    )


def note_by_id(id_: int) -> Statement:
    return Statement("SELECT number, at, author, text FROM work_notes WHERE number = ?", (id_,))
