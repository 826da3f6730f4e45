from __future__ import annotations

from dataclasses import replace

import pytest
from netsky.node.db import flight, messages, outbox
from netsky.node.db.ledger import SqliteLedger
from netsky.node.db.outbox import NewOutbox, Pending, StreamRow
from netsky.node.seams.ledger import Row, Statement

from tests.node.db.rows import HERE, THERE, everything, message, one, run, seal


@pytest.fixture
async def three(ledger: SqliteLedger) -> SqliteLedger:
    """a, b and c of the work lane, for one peer."""
    sealed = [message(name, seal=b"s" * 32, position=at, destination=THERE) for at, name in enumerate("abc")]
    entries = [NewOutbox(seq, THERE, "work", THERE, 100) for seq in (1, 2, 3)]
    await run(ledger, messages.insert_seals([seal()]), messages.insert(sealed), outbox.insert(entries))
    return ledger


def seen(found: list[Row]) -> list[tuple[str, str, int | None]]:
    return [(row.id, row.state, row.number) for row in outbox.rows(found)]


async def test_open_ones_come_in_the_order_of_acceptance_with_their_bytes(three: SqliteLedger) -> None:
    found = outbox.rows(await one(three, outbox.open_entries(THERE, "work", 2)))
    assert [(row.id, row.header, row.body, row.seal, row.position) for row in found] == [
        ("a", b"header", b"body", b"s" * 32, 0),
        ("b", b"header", b"body", b"s" * 32, 1),
    ]
    assert await one(three, outbox.open_entries(THERE, "reply", 9)) == []
    assert await one(three, outbox.open_entries(HERE, "work", 9)) == []


def numbered(life: int, first: int, *seqs: int) -> list[Statement]:
    """These rows in one frame."""
    last = first + len(seqs) - 1
    row = flight.FlightRow(THERE, "work", life, first, last, b"l" * 32 * len(seqs), b"seal", "own", seqs)
    return [flight.insert([row]), outbox.number(seqs, life, first, 30)]


async def test_the_way_from_open_to_done(three: SqliteLedger) -> None:
    await run(three, *numbered(4, 7, 1), *numbered(4, 8, 2))
    assert seen(await one(three, outbox.open_entries(THERE, "work", 9))) == [("c", "open", None)]
    assert seen(await one(three, outbox.by_seqs([2, 1]))) == [("a", "numbered", 7), ("b", "numbered", 8)]

    await run(three, outbox.acked(THERE, "work", 4, 7, 40), outbox.acked(THERE, "work", 3, 99, 41))
    assert seen(await one(three, outbox.by_seqs([1, 2]))) == [("a", "acked", 7), ("b", "numbered", 8)]
    assert await one(three, outbox.shares()) == [(THERE, 3, 300)]
    assert [one_.was_numbered for one_ in outbox.mine_rows(await one(three, outbox.mine(HERE, ["a", "c"])))] == [1, 0]
    assert await one(three, outbox.mine(THERE, ["a"])) == []
    await run(three, outbox.done([(1, 30, 0, "delivered")], 50), outbox.done([(1, 31, 1, "dead")], 60))
    assert await one(three, Statement("SELECT done_at, root_received, root_routed FROM outbox WHERE seq = 1")) == [
        (50, 30, None)
    ]
    assert await one(three, outbox.shares()) == [(THERE, 2, 200)]
    assert outbox.pending_rows(await one(three, outbox.pending())) == [Pending(THERE, 1, 1, 0, 200, 12, 0)]


async def test_an_ack_is_for_all_frames_up_to_it_and_for_those_that_had_none(three: SqliteLedger) -> None:
    await run(three, *numbered(4, 7, 1), *numbered(4, 8, 2, 3))
    for up_to in (7, 9):
        forgotten = flight.acknowledged(THERE, "work", 4, up_to)
        await run(three, outbox.acked(THERE, "work", 4, up_to, 40 + up_to), forgotten)
    assert await one(three, Statement("SELECT state, acked_at FROM outbox ORDER BY seq")) == [
        ("acked", 47), ("acked", 49), ("acked", 49)
    ]  # fmt: skip


async def test_a_number_is_given_once(three: SqliteLedger) -> None:
    await run(three, *numbered(4, 7, 1))
    await run(three, outbox.number([1, 2], 4, 8, 31))
    assert seen(await one(three, outbox.by_seqs([1, 2]))) == [("a", "numbered", 7), ("b", "numbered", 9)]
    with pytest.raises(AssertionError, match="UNIQUE"):
        await run(three, *numbered(4, 7, 3))


async def test_what_goes_to_a_held_destination_stays_where_it_is(three: SqliteLedger) -> None:
    assert seen(await one(three, outbox.open_entries(THERE, "work", 9, outbox.Kept([THERE])))) == []
    assert len(await one(three, outbox.open_entries(THERE, "work", 9, outbox.Kept([HERE])))) == 3


async def test_an_empty_outbox_has_no_shares(ledger: SqliteLedger) -> None:
    assert await one(ledger, outbox.shares()) == []


async def test_a_stream_has_one_row_and_each_life_is_remembered(ledger: SqliteLedger) -> None:
    stream = StreamRow(THERE, "out", "work", 1, b"l" * 16, 0, None)
    await run(ledger, outbox.put_stream(stream), outbox.begin_life(stream, 5, "first"))
    moved = replace(stream, number=9, leaf=b"x" * 32, acked=4)
    await run(ledger, outbox.put_stream(moved))
    assert outbox.stream_rows(await one(ledger, outbox.streams(THERE))) == [moved]
    assert outbox.stream_rows(await one(ledger, outbox.streams(HERE))) == []
    assert await everything(ledger, "lives") == [(THERE, "out", "work", 1, b"l" * 16, 5, "first")]
    with pytest.raises(AssertionError, match="UNIQUE"):
        await run(ledger, outbox.begin_life(stream, 6, "again"))
    with pytest.raises(AssertionError, match="acked <= number"):
        await run(ledger, outbox.put_stream(replace(moved, acked=10)))
