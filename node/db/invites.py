"""Invites, joins that wait for a person, and strangers that were not let in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from netsky.node.db.limits import STRANGERS_MAX
from netsky.node.seams.ledger import Row, Statement

State = Literal["open", "pending", "enrolled", "refused", "withdrawn", "ended"]

_COLUMNS = (
    "id, hash, secret, label, capabilities, hold, made_at, ends, state, key, name, words, program, asked_at, decided_at"
)


@dataclass(frozen=True, slots=True)
class InviteRow:
    id: int
    hash: bytes
    secret: bytes | None
    label: str
    capabilities: tuple[str, ...]
    hold: bool
    made_at: int
    ends: int
    state: State
    key: bytes | None
    name: str | None
    words: str | None
    program: str | None
    asked_at: int | None
    decided_at: int | None


@dataclass(frozen=True, slots=True)
class Asker:
    """Who uses an invite, and when."""

    key: bytes
    words: str
    program: str
    now: int


@dataclass(frozen=True, slots=True)
class StrangerRow:
    key: bytes
    first_at: int
    last_at: int
    times: int
    code: str


def add(
    invite: bytes, secret: bytes, label: str, capabilities: Sequence[str], *, hold: bool, at: int, ends: int
) -> Statement:
    return Statement(
        "INSERT INTO invites (hash, secret, label, capabilities, hold, made_at, ends, state) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 'open')",
        (invite, secret, label, json.dumps(list(capabilities)), int(hold), at, ends),
    )


def alive() -> Statement:
    """Open or pending, in the order in which they were made."""
    return Statement(f"SELECT {_COLUMNS} FROM invites WHERE state IN ('open', 'pending') ORDER BY id")


def by_hash(hash: bytes) -> Statement:  # noqa: A002 - the column's word
    return Statement(f"SELECT {_COLUMNS} FROM invites WHERE hash = ?", (hash,))


def end(now: int) -> Statement:
    """Those whose time is over."""
    return Statement(
        "UPDATE invites SET state = 'ended', secret = NULL, decided_at = ends "
        "WHERE state IN ('open', 'pending') AND ends <= ?",
        (now,),
    )


def withdraw(ids: Sequence[int], now: int) -> Statement:
    return Statement(
        "UPDATE invites SET state = 'withdrawn', secret = NULL, decided_at = ? WHERE id = ?",
        many=[(now, one) for one in ids],
    )


def burn_open(now: int) -> Statement:
    """For a node that was restored: what its backup still took for open may have been used since."""
    return Statement(
        "UPDATE invites SET state = 'withdrawn', secret = NULL, decided_at = ? WHERE state IN ('open', 'pending')",
        (now,),
    )


def use(id: int, state: Literal["pending", "enrolled"], asker: Asker, name: str, ends: int) -> Statement:  # noqa: A002
    """By its one key, for the first time or again."""
    decided = asker.now if state == "enrolled" else None
    return Statement(
        "UPDATE invites SET state = ?, secret = NULL, key = ?, name = ?, words = ?, program = ?, asked_at = ?, "
        "decided_at = ?, ends = ? WHERE id = ?",
        (state, asker.key, name, asker.words, asker.program, asker.now, decided, ends, id),
    )


def decide(id: int, state: Literal["enrolled", "refused"], name: str, now: int) -> Statement:  # noqa: A002
    return Statement("UPDATE invites SET state = ?, name = ?, decided_at = ? WHERE id = ?", (state, name, now, id))


def rows(found: list[Row]) -> list[InviteRow]:
    return [_row(*row) for row in found]


def _row(*columns: Any) -> InviteRow:
    return replace(InviteRow(*columns), capabilities=tuple(json.loads(columns[4])), hold=bool(columns[5]))


def stranger(key: bytes, code: str, now: int) -> list[Statement]:
    """Counted, and the one that was away longest forgotten."""
    return [
        Statement(
            "INSERT INTO strangers VALUES (?, ?, ?, 1, ?) ON CONFLICT (key) DO UPDATE "
            "SET last_at = excluded.last_at, times = times + 1, code = excluded.code",
            (key, now, now, code),
        ),
        Statement(
            "DELETE FROM strangers WHERE key NOT IN (SELECT key FROM strangers ORDER BY last_at DESC, key LIMIT ?)",
            (STRANGERS_MAX,),
        ),
    ]


def strangers() -> Statement:
    return Statement("SELECT key, first_at, last_at, times, code FROM strangers ORDER BY last_at DESC, key")


def strangers_total() -> Statement:
    """(keys, when the last one came)."""
    return Statement("SELECT count(*), max(last_at) FROM strangers")


def stranger_rows(found: list[Row]) -> list[StrangerRow]:
    return [StrangerRow(*row) for row in found]  # type: ignore[arg-type] # STRICT tables: the columns have these types
