"""What is removed when: observed rows by age and number, and envelopes that are over.

Everything is done in small turns through the group commit, oldest first, each turn one short transaction: nothing ever
waits behind a clean-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from netsky.node.db import dead_letters
from netsky.node.db.group import GroupCommit, Plan
from netsky.node.db.limits import (
    DEAD_LETTERS_AGE_NS,
    DEAD_LETTERS_MAX,
    PRUNE_PAGE,
    PRUNE_ROWS,
    SENT_AGE_NS,
    SENT_BYTES_MAX,
)
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
    Keep("passed", 7 * DAY, 20_000),  # a trace at the root answers as long
    Keep("owner_pages", 90 * DAY, 10_000, only="state != 'due'"),
    Keep("invites", 90 * DAY, 1_000, at="made_at", only="state NOT IN ('open', 'pending')"),
    Keep("handoffs", 90 * DAY, 10_000, only="cleared IS NOT NULL"),
    Keep("sessions", 90 * DAY, 10_000, at="started_at", only="ended_at IS NOT NULL"),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One bounded step over the messages. Answered with the place where the next one goes on; 0 begins anew."""

    after: int  # seq
    before: int  # ns: what was accepted later stays, whatever became of it
    now: int  # ns, less the allowed skew


@dataclass(frozen=True, slots=True)
class Cut:
    """A place in the order of ending: whatever ended before it."""

    at: int
    seq: int


async def prune_observed(group: GroupCommit, now: int, keeps: Sequence[Keep] = OBSERVED) -> bool:
    """One turn over all tables of observations, expired outcomes and keys. True if another would find more."""
    removed = await group.write([*(_observed(keep, now) for keep in keeps), *_expired(now)])
    return any(len(rows) >= PRUNE_ROWS for rows in removed)


async def prune_sent(group: GroupCommit, now: int) -> None:
    """The sealed bytes of what this node sent and knows the outcome of: a day long, and the latest gibibyte of them.
    What an envelope was, and what became of it, stays until nothing can arrive under its id any more."""
    cut = Cut(now - SENT_AGE_NS, 0)
    newer, size = Cut(now + 1, 0), 0
    while True:
        [found] = await group.write([_page_of_sent(newer, cut)])
        if not found:
            break
        (count, more, last_at, last_seq), *_ = found
        if size + cast("int", more or 0) > SENT_BYTES_MAX:
            cut = newer
            break
        if cast("int", count) < PRUNE_PAGE:
            break
        size, newer = size + cast("int", more), Cut(cast("int", last_at), cast("int", last_seq))
    while await group.submit(ForgetBytes(), cut) == PRUNE_ROWS:
        pass


async def prune_dead_letters(group: GroupCommit, now: int) -> None:
    await group.write(
        [
            dead_letters.drop_known_before(now - DEAD_LETTERS_AGE_NS, now),
            dead_letters.drop_beyond(DEAD_LETTERS_MAX, now),
        ]
    )


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


def _page_of_sent(newer: Cut, cut: Cut) -> Statement:
    """(envelopes, bytes, done_at and seq of the last) of those that ended before `newer`, from there on back."""
    page = (
        "SELECT done_at, seq, bytes FROM outbox WHERE state = 'done' AND kept = 1 AND (done_at, seq) < (?, ?) "
        "AND done_at >= ? ORDER BY done_at DESC, seq DESC LIMIT ?"
    )
    return Statement(
        f"WITH page AS MATERIALIZED ({page}) SELECT (SELECT count(*) FROM page), (SELECT sum(bytes) FROM page), "
        "done_at, seq FROM page ORDER BY done_at, seq LIMIT 1",
        (newer.at, newer.seq, cut.at, PRUNE_PAGE),
    )


class ForgetBytes:
    """Takes header and body from sent envelopes that ended before a place, and removes seals that then prove nothing.
    Not of dead letters that are on the list, nor while a frame may still be sent again. The result: how many."""

    def reads(self, items: Sequence[Cut]) -> Sequence[Statement]:
        return [
            Statement(
                "SELECT seq, messages.seal FROM outbox JOIN messages USING (seq) "
                "WHERE state = 'done' AND kept = 1 AND (done_at, seq) < (?, ?) "
                "AND NOT EXISTS (SELECT 1 FROM dead_letters AS d WHERE d.seq = outbox.seq AND dropped_at IS NULL) "
                "AND (outbox.number IS NULL OR EXISTS (SELECT 1 FROM streams WHERE streams.peer = outbox.peer "
                "AND direction = 'out' AND streams.lane = outbox.lane "
                "AND (streams.life > outbox.life OR streams.acked >= outbox.number))) "
                "ORDER BY done_at, seq LIMIT ?",
                (cut.at, cut.seq, PRUNE_ROWS),
            )
            for cut in items
        ]

    def plan(self, items: Sequence[Cut], rows: list[list[Row]]) -> Plan[int]:  # noqa: ARG002 - part of the protocol
        over = [row for found in rows for row in found]
        if not over:
            return Plan([], [0 for _ in rows])
        seqs = numbers([cast("int", row[0]) for row in over])
        some = "IN (SELECT value FROM json_each(?))"
        statements = [
            Statement(f"UPDATE messages SET header = NULL, body = NULL, seal = NULL WHERE seq {some}", (seqs,)),
            Statement(f"UPDATE outbox SET kept = 0 WHERE seq {some}", (seqs,)),
            Statement(f"DELETE FROM blob_names WHERE holder = 'message' AND seq {some}", (seqs,)),
            _unused_seals(over),
        ]
        return Plan(statements, [len(found) for found in rows])


class ForgetMessages:
    """Removes envelopes that are over, with their inbox and outbox rows, and seals that then prove nothing.

    Over is: old, expired (so that a second arrival would be refused by its date), taken if it had an inbox here, with
    an outcome if it had an outbox here, and no dead letter that is still on the list.
    """

    def reads(self, items: Sequence[Turn]) -> Sequence[Statement]:
        return [
            Statement(
                "SELECT seq, seal, accepted_at, "
                "accepted_at < ? AND expires < ? AND seq < (SELECT max(seq) FROM messages) "
                "AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.seq = messages.seq AND state != 'taken') "
                "AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.seq = messages.seq AND state != 'done') "
                "AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE dead_letters.seq = messages.seq "
                "AND dropped_at IS NULL) "
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
    some = "IN (SELECT value FROM json_each(?))"
    return [
        Statement(f"DELETE FROM handovers WHERE seq {some}", (seqs,)),
        Statement(f"DELETE FROM work_mail WHERE seq {some}", (seqs,)),
        Statement(f"DELETE FROM owner_items WHERE seq {some}", (seqs,)),
        Statement(f"DELETE FROM errors_due WHERE seq {some}", (seqs,)),
        Statement(f"DELETE FROM dead_letters WHERE seq {some}", (seqs,)),
        Statement(f"DELETE FROM blob_names WHERE holder = 'message' AND seq {some}", (seqs,)),
        Statement(f"DELETE FROM inbox WHERE seq {some}", (seqs,)),
        Statement(f"DELETE FROM outbox WHERE seq {some}", (seqs,)),
        Statement(f"DELETE FROM messages WHERE seq {some}", (seqs,)),
        _unused_seals(over),
    ]


def _unused_seals(over: list[Row]) -> Statement:
    """Those of (seq, seal) rows that prove nothing any more."""
    seals = numbers(sorted({cast("int", row[1]) for row in over if row[1] is not None}))
    return Statement(
        "DELETE FROM seals WHERE seal IN (SELECT value FROM json_each(?)) "
        "AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.seal = seals.seal)",
        (seals,),
    )
