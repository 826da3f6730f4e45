"""Restarts and what was handed on with them. One row from the intent to the proof."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from netsky.node.seams.ledger import Row, Statement

NODE = "node"
"""In the place of an actor: all of it."""


@dataclass(frozen=True, slots=True)
class HandoffRow:
    id: int
    actor: str
    asked_by: str
    forced: bool
    why: str
    ran: Mapping[str, Any]
    text: str | None
    state: str
    within: int
    at: int
    restarted: int | None
    ended: int | None
    cleared: int | None
    tries: int
    returned: int
    envelope: str | None
    said: str


@dataclass(frozen=True, slots=True)
class Intent:
    """What is stored before anything is ended."""

    actor: str
    asked_by: str
    forced: bool
    why: str
    ran: Mapping[str, Any]
    text: str | None
    within: int
    at: int


_ROW = (
    "id, actor, asked_by, forced, why, ran, text, state, within, at, restarted, ended, cleared, tries, returned, "
    "envelope, said"
)


def write(intent: Intent) -> Statement:
    """Returns the row."""
    ran = json.dumps(dict(intent.ran), sort_keys=True)
    return Statement(
        "INSERT INTO handoffs (actor, asked_by, forced, why, ran, text, state, within, at) "
        f"VALUES (?, ?, ?, ?, ?, ?, 'written', ?, ?) RETURNING {_ROW}",
        (
            *(intent.actor, intent.asked_by, int(intent.forced), intent.why, ran),
            *(intent.text, intent.within, intent.at),
        ),
    )


def replace(actor: str, at: int) -> Statement:
    """Whatever was open for this actor is over: somebody asked anew."""
    return Statement(
        "UPDATE handoffs SET state = iif(ended IS NULL, 'failed', state), ended = coalesce(ended, ?), cleared = ?, "
        "said = iif(ended IS NULL, 'a later restart took its place', said) WHERE actor = ? AND cleared IS NULL",
        (at, at, actor),
    )


def given(number: int, envelope: str) -> Statement:
    """Its text stands in the inbox."""
    return Statement("UPDATE handoffs SET envelope = ? WHERE id = ?", (envelope, number))


def begun(number: int, at: int, returned: int) -> Statement:
    """A new life may begin: everything that it has to find is there. Returns the row."""
    return Statement(
        "UPDATE handoffs SET state = 'restarted', restarted = ?, tries = tries + 1, returned = returned + ? "
        f"WHERE id = ? AND cleared IS NULL RETURNING {_ROW}",
        (at, returned, number),
    )


def again(number: int, said: str) -> Statement:
    """It was not proved: as it was before its program was ended. Returns the row."""
    return Statement(
        f"UPDATE handoffs SET state = 'written', said = ? WHERE id = ? AND ended IS NULL RETURNING {_ROW}",
        (said, number),
    )


def proved(number: int, at: int, said: str) -> Statement:
    """Also one that was given up before: what is seen now counts. Returns its id if it was open."""
    return Statement(
        "UPDATE handoffs SET state = 'proved', ended = ?, cleared = ?, said = ? WHERE id = ? AND cleared IS NULL "
        "RETURNING id",
        (at, at, said, number),
    )


def failed(number: int, at: int, said: str) -> Statement:
    """Given up; it stays open until its actor is seen to be well, or is restarted. Returns its id if it was open."""
    return Statement(
        "UPDATE handoffs SET state = 'failed', ended = ?, said = ? WHERE id = ? AND ended IS NULL RETURNING id",
        (at, said, number),
    )


def over(number: int, at: int, said: str) -> Statement:
    """Nothing of it is open any more, and it did not succeed: its actor is gone."""
    return Statement(
        "UPDATE handoffs SET state = 'failed', ended = coalesce(ended, ?), cleared = ?, said = ? "
        "WHERE id = ? AND cleared IS NULL",
        (at, at, said, number),
    )


def record(intent: Intent, state: str, now: int, said: str, cleared: bool) -> Statement:
    """A restart of the node, told by the life that came after it."""
    ran = json.dumps(dict(intent.ran), sort_keys=True)
    return Statement(
        "INSERT INTO handoffs (actor, asked_by, forced, why, ran, state, within, at, restarted, ended, cleared, "
        f"tries, said) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?) RETURNING {_ROW}",
        (
            *(intent.actor, intent.asked_by, int(intent.forced), intent.why, ran, state, intent.within, intent.at),
            *(now, now, now if cleared else None, said),
        ),
    )


def open_ones() -> Statement:
    return Statement(f"SELECT {_ROW} FROM handoffs WHERE cleared IS NULL ORDER BY actor, id")


def by_id(number: int) -> Statement:
    return Statement(f"SELECT {_ROW} FROM handoffs WHERE id = ?", (number,))


def listed(limit: int, actor: str | None) -> Statement:
    """Newest first, of one actor or of all."""
    return Statement(
        f"SELECT {_ROW} FROM handoffs WHERE coalesce(actor = ?, TRUE) ORDER BY id DESC LIMIT ?", (actor, limit)
    )


def asked_since(actor: str, at: int) -> Statement:
    """One number: how often this actor has asked for its own."""
    return Statement(
        "SELECT count(*) FROM (SELECT asked_by FROM handoffs WHERE at >= ? AND actor = ? ORDER BY id DESC LIMIT 1000) "
        "WHERE asked_by = ?",
        (at, actor, actor),
    )


def standing(actor: str, envelope: str) -> Statement:
    """(state, claimed_at) of the envelope with the text, where it stands in this actor's inbox."""
    return Statement(
        "SELECT state, claimed_at FROM inbox WHERE +actor = ? AND seq IN (SELECT seq FROM messages WHERE id = ?)",
        (actor, envelope),
    )


def oldest_clock(actor: str) -> Statement:
    """One number: the clock of the oldest that waits; NULL if nothing does."""
    return Statement(
        "SELECT min(clock) FROM inbox JOIN messages USING (seq) WHERE actor = ? AND state != 'taken'", (actor,)
    )


def rows(found: list[Row]) -> list[HandoffRow]:
    return [_row(row) for row in found]


def _row(row: Row) -> HandoffRow:
    number, actor, asked_by, forced, why, ran, *rest = row
    return HandoffRow(
        cast("int", number),
        cast("str", actor),
        cast("str", asked_by),
        bool(forced),
        cast("str", why),
        json.loads(cast("str", ran)),
        *rest,  # type: ignore[arg-type] # STRICT tables: the columns have these types
    )
