"""What the watchdog asks once a minute: one row for each actor, a few steps in an index for it, however much waits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from netsky.node.db.limits import WATCHED_ROWS
from netsky.node.db.sets import texts
from netsky.node.seams.ledger import NO_ROWS, Row, Statement


@dataclass(frozen=True, slots=True)
class Inbox:
    """How an actor's inbox stands: of what waits the oldest `WATCHED_ROWS`, and the last that was for it."""

    actor: str
    waiting: int
    left: int
    """Of those up to the row given, how many still wait."""
    last: int
    """The newest row of those looked at; 0 if nothing waits."""
    oldest_at: int | None
    claimed_at: int | None
    newest_claimed_at: int | None
    """Of the newest of all that waits."""
    ever: bool
    """Whether anything that was for it is still known; then how the newest of that ended, if it did."""
    taken_at: int | None
    taken_by: str | None


_WAITING = "FROM inbox WHERE actor = asked.key AND state != 'taken'"


def inboxes(actors: Mapping[str, int]) -> Statement:
    """Names, each with the `last` of the look before, 0 if there was none."""
    return Statement(
        "SELECT asked.key, "
        "(SELECT json_array(count(*), coalesce(sum(seq <= asked.value), 0), coalesce(max(seq), 0), min(stored_at), "
        f"max(claimed_at)) FROM (SELECT seq, stored_at, claimed_at {_WAITING} ORDER BY seq LIMIT {WATCHED_ROWS})), "
        "youngest.claimed_at, newest.seq IS NOT NULL, newest.taken_at, newest.taken_by "
        "FROM json_each(?) AS asked "
        f"LEFT JOIN inbox AS youngest ON youngest.seq = (SELECT seq {_WAITING} ORDER BY seq DESC LIMIT 1) "
        "LEFT JOIN inbox AS newest ON newest.seq = "
        "(SELECT seq FROM inbox WHERE actor = asked.key ORDER BY file DESC LIMIT 1)",
        (json.dumps(dict(actors)),),
    )


def answered(ids: Sequence[str]) -> Statement:
    """(id) of those that somebody has answered; that one was taken (`ack-…`) is no answer."""
    if not ids:
        return NO_ROWS
    return Statement(
        "SELECT DISTINCT in_reply_to FROM messages WHERE in_reply_to IN (SELECT value FROM json_each(?)) "
        "AND id NOT LIKE 'ack-%'",
        (texts(ids),),
    )


def taken_of(actor: str, ids: Sequence[str]) -> Statement:
    """(id) of those that this actor has taken, or that are no longer known."""
    if not ids:
        return NO_ROWS
    return Statement(
        "SELECT asked.value FROM json_each(?) AS asked WHERE NOT EXISTS "
        "(SELECT 1 FROM messages JOIN inbox USING (seq) WHERE messages.id = asked.value AND +actor = ? "
        "AND state != 'taken')",
        (texts(ids), actor),
    )


def inbox_rows(found: list[Row]) -> list[Inbox]:
    counts = json.loads(f"[{','.join(cast('str', row[1]) for row in found)}]")
    return [
        Inbox(row[0], *counted, row[2], bool(row[3]), row[4], row[5])  # type: ignore[arg-type, call-arg] # STRICT tables
        for row, counted in zip(found, counts, strict=True)
    ]


def names(found: list[Row]) -> set[str]:
    return {cast("str", name) for (name,) in found}
