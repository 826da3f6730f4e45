from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import trio
from netsky.node.db import actors, dead_letters, idempotency, inbox, messages, observe, outbox, outcomes, retention
from netsky.node.db.group import GroupCommit
from netsky.node.db.ledger import SqliteLedger
from netsky.node.db.limits import PRUNE_ROWS
from netsky.node.db.retention import (
    DAY,
    OBSERVED,
    Keep,
    Turn,
    prune_dead_letters,
    prune_messages,
    prune_observed,
    prune_sent,
)
from netsky.node.seams.ledger import Statement

from tests.node.db.conftest import SteppingTime
from tests.node.db.rows import HERE, THERE, arrival, everything, message, one, run, seal

NOW = 1_000 * DAY


@pytest.fixture
async def group(ledger: SqliteLedger, time: SteppingTime) -> AsyncIterator[GroupCommit]:
    group = GroupCommit(ledger, time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        yield group
        nursery.cancel_scope.cancel()


def ticks(count: int, at: int) -> list[Statement]:
    return [observe.ticked(at, "test", {})] * count


async def number_of(ledger: SqliteLedger, table: str) -> int:
    return len(await everything(ledger, table))


async def test_old_rows_go_and_young_ones_stay(ledger: SqliteLedger, group: GroupCommit) -> None:
    await run(ledger, *ticks(3, NOW - 8 * DAY), *ticks(4, NOW - 6 * DAY))
    assert not await prune_observed(group, NOW)
    assert await number_of(ledger, "ticks") == 4


async def test_too_many_rows_lose_the_oldest(ledger: SqliteLedger, group: GroupCommit) -> None:
    await run(ledger, *ticks(9, NOW))
    await prune_observed(group, NOW, [Keep("ticks", DAY, 5)])
    assert [row[0] for row in await everything(ledger, "ticks")] == [5, 6, 7, 8, 9]


async def test_a_turn_is_bounded_and_says_that_there_is_more(ledger: SqliteLedger, group: GroupCommit) -> None:
    await run(ledger, *ticks(2 * PRUNE_ROWS + 10, 0))
    assert await prune_observed(group, NOW)
    assert await number_of(ledger, "ticks") == PRUNE_ROWS + 10
    assert await prune_observed(group, NOW)
    assert not await prune_observed(group, NOW)
    assert [row[0] for row in await everything(ledger, "ticks")] == [2 * PRUNE_ROWS + 10], "the newest keeps its number"


async def test_a_running_session_stays_however_old(ledger: SqliteLedger, group: GroupCommit) -> None:
    await run(ledger, *(actors.start_session("agent1", pid, 1) for pid in (1, 2, 3)))
    await run(ledger, actors.end_session(2, 5, "ended with exit code 0", "exited"))
    await prune_observed(group, NOW)
    assert [row.pid for row in actors.session_rows(await one(ledger, actors.sessions("agent1", 9)))] == [3, 1]


async def test_every_table_of_numbered_observations_has_a_rule_that_runs(
    ledger: SqliteLedger, group: GroupCommit
) -> None:
    await prune_observed(group, NOW)
    numbered = (
        "SELECT s.name FROM sqlite_schema AS s, pragma_table_info(s.name) AS c "
        "WHERE s.type = 'table' AND c.name = 'id' AND c.type = 'INTEGER' AND c.pk = 1"
    )
    assert {str(name) for (name,) in await one(ledger, Statement(numbered))} == {keep.table for keep in OBSERVED}


async def test_outcomes_and_keys_go_when_they_expire(ledger: SqliteLedger, group: GroupCommit) -> None:
    old = outcomes.OutcomeRow(b"1" * 20, b"l" * 32, "dead", "expired", HERE, 1, NOW - 1)
    key = idempotency.KeyRow(HERE, "agent1", "k", "a", b"h" * 32, NOW - 1)
    await run(
        ledger,
        outcomes.record([old, old._replace(key=b"2" * 20, expires=NOW)]),
        idempotency.insert([key, replace(key, key="j", expires=NOW)]),
    )
    await prune_observed(group, NOW)
    assert [row[0] for row in await everything(ledger, "outcomes")] == [b"2" * 20]
    assert [row[2] for row in await everything(ledger, "idempotency")] == ["j"]


async def ids(ledger: SqliteLedger) -> list[str]:
    return [str(name) for (name,) in await one(ledger, Statement("SELECT id FROM messages ORDER BY seq"))]


async def test_envelopes_that_are_over_go_with_all_that_belongs_to_them(
    ledger: SqliteLedger, group: GroupCommit
) -> None:
    """Young, unexpired, untaken and unanswered ones stay; so does a seal that still proves something."""
    both, gone = seal(b"1" * 32), seal(b"2" * 32)
    old = {"accepted_at": 5, "expires": 10}
    await run(
        ledger,
        messages.insert_seals([both, gone]),
        messages.insert(
            [
                message("taken", seal=both.hash, **old),
                message("sent", seal=gone.hash, **old),
                message("plain", **old),
                message("young", seal=both.hash, accepted_at=50, expires=10),
                message("unexpired", accepted_at=5, expires=500),
                message("untaken", **old),
                message("unanswered", **old),
                message("newest", **old),
            ]
        ),
        inbox.insert([arrival(1, "taken"), arrival(6, "untaken")]),
        outbox.insert([outbox.NewOutbox(seq, THERE, "work", THERE, 1) for seq in (2, 7)]),
        inbox.take_files("agent1", ["taken.json"], 6, "ack"),
        Statement("UPDATE outbox SET state = 'done' WHERE seq = (SELECT seq FROM messages WHERE id = 'sent')"),
    )
    assert await prune_messages(group, Turn(0, before=20, now=100)) == 0
    assert await ids(ledger) == ["young", "unexpired", "untaken", "unanswered", "newest"]
    assert [row[1] for row in await everything(ledger, "seals")] == [both.hash]
    assert await number_of(ledger, "inbox") == await number_of(ledger, "outbox") == 1


async def test_turns_go_on_where_the_last_one_ended_and_begin_anew(ledger: SqliteLedger, group: GroupCommit) -> None:
    """Rows that stay at the head do not keep the others from going."""
    await run(
        ledger,
        messages.insert([message(f"stays{n:04}", accepted_at=1) for n in range(PRUNE_ROWS)]),
        messages.insert([message(f"goes{n:04}", accepted_at=1, expires=2) for n in range(5)]),
        messages.insert([message("newest", accepted_at=1)]),
    )
    place = await prune_messages(group, Turn(0, before=20, now=100))
    assert place == PRUNE_ROWS
    assert await prune_messages(group, Turn(place, before=20, now=100)) == 0
    assert len(await ids(ledger)) == PRUNE_ROWS + 1


async def test_a_turn_that_meets_young_rows_begins_anew(ledger: SqliteLedger, group: GroupCommit) -> None:
    await run(ledger, messages.insert([message(f"{n:04}", accepted_at=30) for n in range(PRUNE_ROWS + 1)]))
    assert await prune_messages(group, Turn(0, before=20, now=100)) == 0


async def test_a_turn_over_nothing_does_nothing(group: GroupCommit) -> None:
    assert await prune_messages(group, Turn(0, before=20, now=100)) == 0
    assert group.statistics().commits == 0


async def test_no_table_that_points_at_an_envelope_is_forgotten(ledger: SqliteLedger) -> None:
    """A new table with a reference must be part of the removal, or removing would fail."""
    pointing = await one(
        ledger,
        Statement(
            "SELECT DISTINCT s.name FROM sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f "
            "WHERE s.type = 'table' AND f.\"table\" IN ('messages', 'inbox', 'outbox') ORDER BY 1"
        ),
    )
    removed = {statement.sql.split()[2] for statement in retention._forget([(1, 1, 1, 1)])}
    assert {str(name) for (name,) in pointing} <= removed


# What this node sent.


def sent(name: str, hash: bytes = b"s" * 32) -> list[Statement]:  # noqa: A002 - the row's word
    return [
        messages.insert([message(name, seal=hash, expires=NOW + 9 * DAY)]),
        Statement(
            "INSERT INTO outbox (seq, peer, lane, bytes, destination, state) "
            "SELECT seq, ?1, 'work', 400, ?1, 'open' FROM messages WHERE id = ?2",
            (THERE, name),
        ),
    ]


def ended(name: str, at: int, number: int | None = 1) -> Statement:
    return Statement(
        "UPDATE outbox SET state = 'done', done_at = ?, life = 1, number = ? "
        "WHERE seq = (SELECT seq FROM messages WHERE id = ?)",
        (at, number, name),
    )


def acknowledged(up_to: int, given: int = 99) -> Statement:
    return outbox.put_stream(outbox.StreamRow(THERE, "out", "work", 1, b"l" * 16, given, None, up_to))


async def kept(ledger: SqliteLedger) -> list[str]:
    return [str(name) for (name,) in await one(ledger, Statement("SELECT id FROM messages WHERE body IS NOT NULL"))]


async def test_sealed_bytes_are_kept_until_the_outcome_and_a_day(ledger: SqliteLedger, group: GroupCommit) -> None:
    await run(
        ledger,
        messages.insert_seals([seal()]),
        *(statement for name in ("open", "old", "young", "here") for statement in sent(name)),
        acknowledged(99),
        ended("old", NOW - DAY - 1, 7),
        ended("young", NOW - DAY, 8),
    )
    for name in ("open", "old", "young", "here"):
        await run(
            ledger,
            outcomes.record(
                [outcomes.OutcomeRow(name.encode().ljust(20), b"l" * 32, "delivered", None, HERE, 1, NOW + DAY)]
            ),
        )
    await prune_sent(group, NOW)
    assert await kept(ledger) == ["open", "young", "here"]
    assert await one(
        ledger, Statement("SELECT id, leaf IS NULL, destination IS NULL FROM messages WHERE body IS NULL")
    ) == [("old", 0, 0)]
    assert await number_of(ledger, "outcomes") == 4
    assert await number_of(ledger, "seals") == 1
    await run(ledger, ended("open", 5, 9), ended("here", 5, None))
    await prune_sent(group, NOW + 2 * DAY)
    assert await kept(ledger) == []
    assert await number_of(ledger, "seals") == 0, "it proves nothing any more"


async def test_what_may_have_to_be_sent_again_keeps_its_bytes(ledger: SqliteLedger, group: GroupCommit) -> None:
    """Its outcome came before the ack, or it was ended here while the link was down."""
    await run(ledger, messages.insert_seals([seal()]), *sent("in flight"), *sent("acked"), acknowledged(1))
    await run(ledger, ended("acked", 5, 1), ended("in flight", 5, 2))
    await prune_sent(group, NOW)
    assert await kept(ledger) == ["in flight"]
    await run(ledger, acknowledged(2))
    await prune_sent(group, NOW)
    assert await kept(ledger) == []


async def test_the_newest_bytes_are_kept_up_to_the_limit(
    ledger: SqliteLedger, group: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SENT_BYTES_MAX", 2_000)
    monkeypatch.setattr(retention, "PRUNE_PAGE", 2)
    await run(ledger, messages.insert_seals([seal()]), acknowledged(99))
    for at in range(9):
        await run(ledger, *sent(f"{at}"), ended(f"{at}", NOW - 1_000 + at // 3, 10 + at))  # three end at one moment
    await prune_sent(group, NOW)
    assert await kept(ledger) == ["5", "6", "7", "8"], "1,600 bytes in two pages; a third would be too much"
    monkeypatch.setattr(retention, "SENT_BYTES_MAX", 1_600)
    await prune_sent(group, NOW)
    assert await kept(ledger) == ["5", "6", "7", "8"]


async def test_more_than_one_turn_of_bytes_goes(ledger: SqliteLedger, group: GroupCommit) -> None:
    await run(ledger, messages.insert_seals([seal()]), acknowledged(9_999, 9_999))
    for at in range(PRUNE_ROWS + 3):
        await run(ledger, *sent(f"{at}"), ended(f"{at}", 5, 1 + at))
    await prune_sent(group, NOW)
    assert await kept(ledger) == []


async def test_a_dead_letter_keeps_all_while_it_is_on_the_list(ledger: SqliteLedger, group: GroupCommit) -> None:
    await run(ledger, messages.insert_seals([seal()]), *sent("dead"), *sent("newest"), ended("dead", 5, None))
    [(seq,)] = await one(ledger, Statement("SELECT seq FROM messages WHERE id = 'dead'"))
    assert isinstance(seq, int)
    letter = dead_letters.NewDeadLetter(seq, "dead", "expired", HERE, 5)
    await run(ledger, dead_letters.insert([letter], NOW), dead_letters.insert([replace(letter, code="later")], NOW + 1))
    await prune_sent(group, NOW)
    later = Turn(0, before=NOW + 99 * DAY, now=NOW + 99 * DAY)
    await prune_messages(group, later)
    assert await kept(ledger) == ["dead", "newest"]
    assert await one(ledger, dead_letters.counts()) == [(1, 1, NOW)]
    await prune_dead_letters(group, NOW + 30 * DAY)
    assert await one(ledger, dead_letters.counts()) == [(1, 1, NOW)]
    await prune_dead_letters(group, NOW + 30 * DAY + 1)
    assert await one(ledger, dead_letters.counts()) == [(0, 0, None)]
    await prune_sent(group, NOW)
    assert await kept(ledger) == ["newest"]
    [row] = dead_letters.rows(await one(ledger, dead_letters.by_ids(["dead"])))
    assert (row.code, row.dropped_at) == ("expired", NOW + 30 * DAY + 1)
    await prune_messages(group, later)
    assert await ids(ledger) == ["newest"]
    assert await number_of(ledger, "dead_letters") == 0


async def test_a_list_of_dead_letters_that_is_too_long_loses_the_oldest(
    ledger: SqliteLedger, group: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "DEAD_LETTERS_MAX", 2)
    for name in ("a", "b", "c"):
        await run(ledger, *sent(name, b"none"), ended(name, 5, None))
        [(seq,)] = await one(ledger, Statement("SELECT max(seq) FROM messages"))
        assert isinstance(seq, int)
        await run(ledger, dead_letters.insert([dead_letters.NewDeadLetter(seq, "in_doubt", "x", HERE, 5)], NOW))
    await prune_dead_letters(group, NOW)
    listed = dead_letters.rows(await one(ledger, dead_letters.listed(9, 99)))
    assert [row.id for row in listed] == ["c", "b"]
