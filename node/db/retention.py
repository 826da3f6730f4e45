"""What is removed when: observed rows by age and number, and envelopes that are over.

Everything is done in small turns through the group commit, oldest first, each turn one short transaction: nothing ever
waits behind a clean-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from netsky.node.db.group import GroupCommit, Plan
from netsky.node.db.limits import PRUNE_ROWS
from netsky.node.db.sets import numbers
from netsky.node.seams.ledger import Row, Statement

DAY = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Keep:
    """Rows of this table are removed when they are older, or when there are more of them."""

    table: str
    age_ns: int
    rows: int
    at: str = "at"
    only: str = "TRUE"


OBSERVED = (
    Keep("quarantine", 90 * DAY, 10_000),
    Keep("crashes", 90 * DAY, 10_000),
    Keep("ticks", 7 * DAY, 20_000),
    Keep("cli_invocations", 30 * DAY, 100_000),
    Keep("token_usage", 90 * DAY, 500_000),
    Keep("watchdog_events", 30 * DAY, 50_000),
    Keep("iroh_events", 30 * DAY, 50_000),
    Keep("logs", 7 * DAY, 100_000),
    Keep("routes", 61 * DAY, 5_000_000),  # as long as an envelope that it proves may be asked about
    Keep("invites", 90 * DAY, 1_000, at="made_at", only="state NOT IN ('open', 'pending')"),
    Keep("sessions", 90 * DAY, 10_000, at="started_at", only="ended_at IS NOT NULL"),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One bounded step over the messages. Answered with the place where the next one goes on; 0 begins anew."""

    after: int  # seq
    before: int  # ns: what was accepted later stays, whatever became of it
    now: int  # ns, less the allowed skew


async def prune_observed(group: GroupCommit, now: int, keeps: Sequence[Keep] = OBSERVED) -> bool:
    """One turn over all tables of observations, expired outcomes and keys. True if another would find more."""
    removed = await group.write([*(_observed(keep, now) for keep in keeps), *_expired(now)])
    return any(len(rows) >= PRUNE_ROWS for rows in removed)


async def prune_messages(group: GroupCommit, turn: Turn) -> int:
    return await group.submit(ForgetMessages(), turn)


def _observed(keep: Keep, now: int) -> Statement:
    """Looks at the oldest rows only, so a turn costs the same whatever the table holds. The newest row always stays:
    its number is never given again."""
    newest = f"(SELECT max(id) FROM {keep.table})"
    return Statement(
        f"DELETE FROM {keep.table} WHERE id IN (SELECT id FROM {keep.table} ORDER BY id LIMIT ?) AND id < {newest} "
        f"AND {keep.only} AND ({keep.at} < ? OR id <= {newest} - ?) RETURNING id",
        (PRUNE_ROWS, now - keep.age_ns, keep.rows),
    )


def _expired(now: int) -> list[Statement]:
    return [
        Statement(
            "DELETE FROM outcomes WHERE key IN (SELECT key FROM outcomes WHERE expires < ? LIMIT ?) RETURNING 1",
            (now, PRUNE_ROWS),
        ),
        Statement(
            "DELETE FROM idempotency WHERE (origin, actor, key) IN "
            "(SELECT origin, actor, key FROM idempotency WHERE expires < ? LIMIT ?) RETURNING 1",
            (now, PRUNE_ROWS),
        ),
    ]


class ForgetMessages:
    """Removes envelopes that are over, with their inbox and outbox rows, and seals that then prove nothing.

    Over is: old, expired (so that a second arrival would be refused by its date), taken if it had an inbox here, and
    with an outcome if it had an outbox here.
    """

    def reads(self, items: Sequence[Turn]) -> Sequence[Statement]:
        return [
            Statement(
                "SELECT seq, seal, accepted_at, "
                "accepted_at < ? AND expires < ? AND seq < (SELECT max(seq) FROM messages) "
                "AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.seq = messages.seq AND state != 'taken') "
                "AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.seq = messages.seq AND state != 'done') "
                "FROM messages WHERE seq > ? ORDER BY seq LIMIT ?",
                (turn.before, turn.now, turn.after, PRUNE_ROWS),
            )
            for turn in items
        ]

    def plan(self, items: Sequence[Turn], rows: list[list[Row]]) -> Plan[int]:
        statements: list[Statement] = []
        places = []
        for turn, found in zip(items, rows, strict=True):
            over = [row for row in found if row[3]]
            statements += _forget(over) if over else ()
            goes_on = len(found) == PRUNE_ROWS and cast("int", found[-1][2]) < turn.before
            places.append(cast("int", found[-1][0]) if goes_on else 0)
        return Plan(statements, places)


def _forget(over: list[Row]) -> list[Statement]:
    seqs = numbers([cast("int", row[0]) for row in over])
    seals = numbers(sorted({cast("int", row[1]) for row in over if row[1] is not None}))
    some = "IN (SELECT value FROM json_each(?))"
    return [
        Statement(f"DELETE FROM handovers WHERE seq {some}", (seqs,)),
        Statement(f"DELETE FROM errors_due WHERE seq {some}", (seqs,)),
        Statement(f"DELETE FROM inbox WHERE seq {some}", (seqs,)),
        Statement(f"DELETE FROM outbox WHERE seq {some}", (seqs,)),
        Statement(f"DELETE FROM messages WHERE seq {some}", (seqs,)),
        Statement(
            f"DELETE FROM seals WHERE seal {some} "
            "AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.seal = seals.seal)",
            (seals,),
        ),
    ]
