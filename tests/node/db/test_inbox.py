from __future__ import annotations

import pytest
from netsky.node.db import inbox, messages
from netsky.node.db.inbox import InboxRow, Taken, Unprojected, Waiting
from netsky.node.db.ledger import SqliteLedger
from netsky.node.seams.ledger import Row

from tests.node.db.rows import HERE, THERE, arrival, message, one, run


@pytest.fixture
async def three(ledger: SqliteLedger) -> SqliteLedger:
    """a and b for agent1, c for agent2."""
    await run(
        ledger,
        messages.insert([message("a"), message("b", kind="brief"), message("c")]),
        inbox.insert([arrival("a"), arrival("b", reign=1, life=2, number=3), arrival("c", "agent2")]),
    )
    return ledger


async def states(ledger: SqliteLedger) -> list[str]:
    return [row.state for row in inbox.rows(await one(ledger, inbox.by_seqs([1, 2, 3])))]


def ids(found: list[Row]) -> list[str]:
    return [taken.id for taken in inbox.taken_rows(found)]


async def test_a_row_begins_committed_and_says_all_its_file_needs(three: SqliteLedger) -> None:
    assert await states(three) == ["committed"] * 3
    [first, second] = inbox.unprojected_rows(await one(three, inbox.unprojected(2)))
    assert first == Unprojected(
        1, "agent1", "a.json", HERE, "a", message("a").leaf, b"header", b"body", None, None, None
    )
    assert (second.reign, second.life, second.number) == (1, 2, 3)
    assert [row.seq for row in inbox.unprojected_rows(await one(three, inbox.unprojected(9, after=2)))] == [3]


async def test_an_arrival_of_nothing_makes_no_row(three: SqliteLedger) -> None:
    await run(three, inbox.insert([arrival("nowhere"), arrival("a", origin=THERE)]))
    assert len(inbox.rows(await one(three, inbox.by_seqs(range(100))))) == 3


async def test_a_projected_row_is_not_written_again(three: SqliteLedger) -> None:
    await run(three, inbox.mark_projected([1, 3], 30))
    assert [row.seq for row in inbox.unprojected_rows(await one(three, inbox.unprojected(9)))] == [2]
    [row] = inbox.rows(await one(three, inbox.by_files("agent1", ["a.json", "c.json"])))
    assert row == InboxRow(1, "agent1", "a.json", "projected", None, None, None, 20, 30, None, None, None)


async def test_a_claim_keeps_its_first_time_and_can_be_given_back(three: SqliteLedger) -> None:
    assert inbox.taken_rows(await one(three, inbox.claim("agent1", ["a.json", "c.json", "no.json"], 40))) == [
        Taken(1, "a", "a.json")
    ]
    await run(three, inbox.claim("agent1", ["a.json"], 50))
    assert inbox.rows(await one(three, inbox.by_seqs([1])))[0].claimed_at == 40
    assert ids(await one(three, inbox.release("agent1", ["a.json"]))) == ["a"]
    assert inbox.rows(await one(three, inbox.by_seqs([1])))[0].claimed_at is None


async def test_taking_is_once_and_only_by_its_actor(three: SqliteLedger) -> None:
    await run(three, inbox.mark_projected([1, 2, 3], 30))
    assert ids(await one(three, inbox.take_files("agent1", ["a.json", "c.json"], 60, "ack"))) == ["a"]
    assert ids(await one(three, inbox.take_files("agent1", ["a.json"], 70, "ack"))) == []
    [row] = inbox.rows(await one(three, inbox.by_seqs([1])))
    assert (row.state, row.taken_at, row.taken_by) == ("taken", 60, "ack")
    assert await states(three) == ["taken", "projected", "projected"]


async def test_what_is_taken_is_neither_claimed_nor_projected_nor_released(three: SqliteLedger) -> None:
    await run(three, inbox.take_files("agent1", ["a.json"], 60, "archive"))
    assert await one(three, inbox.claim("agent1", ["a.json"], 70)) == []
    assert await one(three, inbox.release("agent1", ["a.json"])) == []
    await run(three, inbox.mark_projected([1], 80))
    assert await states(three) == ["taken", "committed", "committed"]


async def test_what_is_put_back_is_written_again(three: SqliteLedger) -> None:
    await run(three, inbox.take_files("agent1", ["a.json", "b.json"], 60, "ack"))
    assert ids(await one(three, inbox.put_back("agent1", ["a", "c"]))) == ["a"]
    assert await states(three) == ["committed", "taken", "committed"]
    [row] = inbox.rows(await one(three, inbox.by_seqs([1])))
    assert (row.projected_at, row.claimed_at, row.taken_at, row.taken_by) == (None, None, None, None)


async def test_the_waiting_are_listed_and_counted(three: SqliteLedger) -> None:
    await run(three, inbox.claim("agent1", ["a.json"], 40))
    assert inbox.waiting_rows(await one(three, inbox.waiting("agent1", 1))) == [
        Waiting(1, "a", HERE, "agent0", None, "a.json", "committed", 10, 20, None, 40)
    ]
    assert [row.id for row in inbox.waiting_rows(await one(three, inbox.waiting("agent1", 9, after=1)))] == ["b"]
    assert await one(three, inbox.counts()) == [("agent1", 2, 1, 20), ("agent2", 1, 0, 20)]
    await run(three, inbox.take_files("agent1", ["a.json"], 60, "ack"))
    assert await one(three, inbox.waiting_count("agent1")) == [(1,)]
    assert await one(three, inbox.waiting_count("agent9")) == [(0,)]


async def test_two_files_of_one_name_are_our_mistake(three: SqliteLedger) -> None:
    with pytest.raises(AssertionError, match="UNIQUE"):
        await run(three, messages.insert([message("d")]), inbox.insert([arrival("d", file="a.json")]))


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (inbox.unprojected(10), "inbox_unprojected"),
        (inbox.waiting("agent1", 10), "inbox_waiting"),
        (inbox.waiting_count("agent1"), "inbox_waiting"),
        (inbox.by_files("agent1", ["a"]), "sqlite_autoindex_inbox_1"),
        (inbox.take_files("agent1", ["a"], 1, "ack"), "sqlite_autoindex_inbox_1"),
        (inbox.claim("agent1", ["a"], 1), "sqlite_autoindex_inbox_1"),
    ],
)
async def test_none_of_these_reads_the_whole_table(ledger: SqliteLedger, statement: object, index: str) -> None:
    from netsky.node.seams.ledger import Statement

    assert isinstance(statement, Statement)
    plan = [
        str(row[-1]) for row in await one(ledger, Statement(f"EXPLAIN QUERY PLAN {statement.sql}", statement.values))
    ]
    [step] = [step for step in plan if "inbox" in step and "CORRELATED" not in step][:1]
    assert index in step, plan
