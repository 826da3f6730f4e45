from __future__ import annotations

import pytest
from netsky.node.db import arrivals, inbox, messages
from netsky.node.db.inbox import Taken, Unprojected, Waiting
from netsky.node.db.ledger import SqliteLedger
from netsky.node.seams.ledger import Row, Statement

from tests.node.db.rows import HERE, arrival, message, one, run


@pytest.fixture
async def three(ledger: SqliteLedger) -> SqliteLedger:
    """a and b for agent1, c for agent2."""
    await run(
        ledger,
        messages.insert([message("a"), message("b", kind="brief"), message("c")]),
        inbox.insert([arrival(1, "a"), arrival(2, "b", reign=1, life=2, number=3), arrival(3, "c", "agent2")]),
    )
    return ledger


async def states(ledger: SqliteLedger) -> list[str]:
    return [str(state) for (state,) in await one(ledger, Statement("SELECT state FROM inbox ORDER BY seq"))]


async def times(ledger: SqliteLedger, seq: int) -> Row:
    columns = "projected_at, claimed_at, taken_at, taken_by"
    [row] = await one(ledger, Statement(f"SELECT {columns} FROM inbox WHERE seq = ?", (seq,)))
    return row


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


async def test_an_arrival_of_nothing_is_our_mistake(three: SqliteLedger) -> None:
    with pytest.raises(AssertionError, match="FOREIGN KEY"):
        await run(three, inbox.insert([arrival(4, "nowhere")]))
    assert len(await states(three)) == 3


async def test_a_projected_row_is_not_written_again(three: SqliteLedger) -> None:
    await run(three, inbox.mark_projected([1, 3], 30))
    assert [row.seq for row in inbox.unprojected_rows(await one(three, inbox.unprojected(9)))] == [2]
    assert await states(three) == ["projected", "committed", "projected"]
    assert await times(three, 1) == (30, None, None, None)


async def test_a_claim_keeps_its_first_time_and_can_be_given_back(three: SqliteLedger) -> None:
    claimed = await one(three, inbox.claim("agent1", ["a.json", "c.json", "no.json"], 40))
    assert inbox.claimed_files(claimed) == ["a.json"]
    await run(three, inbox.claim("agent1", ["a.json"], 50))
    assert await times(three, 1) == (None, 40, None, None)
    await run(three, inbox.release("agent1", ["a.json", "c.json"]))
    assert await times(three, 1) == (None, None, None, None)


async def test_taking_is_once_and_only_by_its_actor(three: SqliteLedger) -> None:
    await run(three, inbox.mark_projected([1, 2, 3], 30))
    assert inbox.taken_rows(await one(three, inbox.take_files("agent1", ["a.json", "c.json"], 60, "ack"))) == [
        Taken("a", "a.json")
    ]
    assert ids(await one(three, inbox.take_files("agent1", ["a.json"], 70, "ack"))) == []
    assert await times(three, 1) == (30, None, 60, "ack")
    assert await states(three) == ["taken", "projected", "projected"]


async def test_what_is_taken_is_neither_claimed_nor_projected_nor_released(three: SqliteLedger) -> None:
    await run(three, inbox.take_files("agent1", ["a.json"], 60, "archive"))
    assert await one(three, inbox.claim("agent1", ["a.json"], 70)) == []
    await run(three, inbox.release("agent1", ["a.json"]), inbox.mark_projected([1], 80))
    assert await times(three, 1) == (None, None, 60, "archive")
    assert await states(three) == ["taken", "committed", "committed"]


async def test_what_is_put_back_is_written_again(three: SqliteLedger) -> None:
    await run(three, inbox.take_files("agent1", ["a.json", "b.json"], 60, "ack"))
    assert await one(three, arrivals.put_back(1)) == [(1,)]
    assert await states(three) == ["committed", "taken", "committed"]
    assert await times(three, 1) == (None, None, None, None)


async def test_the_waiting_are_listed_and_counted(three: SqliteLedger) -> None:
    await run(three, inbox.claim("agent1", ["a.json"], 40))
    assert inbox.waiting_rows(await one(three, inbox.waiting("agent1", 1))) == [
        Waiting(1, "a", HERE, "agent0", None, "a.json", "committed", 10, 20, None, 40)
    ]
    assert [row.id for row in inbox.waiting_rows(await one(three, inbox.waiting("agent1", 9, after=1)))] == ["b"]
    assert await one(three, inbox.counts()) == [("agent1", 2, 1, 20), ("agent2", 1, 0, 20)]
    await run(three, inbox.take_files("agent1", ["a.json"], 60, "ack"))
    assert await one(three, arrivals.waiting_counts(["agent1", "agent9"])) == [("agent1", 1)]


async def test_two_files_of_one_name_are_our_mistake(three: SqliteLedger) -> None:
    with pytest.raises(AssertionError, match="UNIQUE"):
        await run(three, messages.insert([message("d")]), inbox.insert([arrival(4, "d", file="a.json")]))


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (inbox.unprojected(10), "inbox_unprojected"),
        (inbox.waiting("agent1", 10), "inbox_waiting"),
        (arrivals.waiting_counts(["agent1"]), "inbox_waiting"),
        (arrivals.places_of_files("agent1", ["a"]), "sqlite_autoindex_inbox_1"),
        (inbox.take_files("agent1", ["a"], 1, "ack"), "sqlite_autoindex_inbox_1"),
        (inbox.claim("agent1", ["a"], 1), "sqlite_autoindex_inbox_1"),
    ],
)
async def test_none_of_these_reads_the_whole_table(ledger: SqliteLedger, statement: Statement, index: str) -> None:
    plan = [
        str(row[-1]) for row in await one(ledger, Statement(f"EXPLAIN QUERY PLAN {statement.sql}", statement.values))
    ]
    [step] = [step for step in plan if "inbox" in step and "CORRELATED" not in step][:1]
    assert index in step, plan
