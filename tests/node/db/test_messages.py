from __future__ import annotations

from dataclasses import replace

import pytest
from netsky.node.db import messages
from netsky.node.db.ledger import SqliteLedger

from tests.node.db.rows import HERE, THERE, everything, message, one, run, seal


async def test_what_is_stored_is_what_is_found(ledger: SqliteLedger) -> None:
    batch, first = (
        seal(),
        message("a", seal=b"s" * 32, position=1, kind="brief", thread="t", in_reply_to="z", parent="p"),
    )
    await run(ledger, messages.insert_seals([batch]), messages.insert([first, message("b")]))
    found = messages.rows(await one(ledger, messages.by_ids(HERE, ["b", "a", "c"])))
    assert found == [replace(first, seq=1), replace(message("b"), seq=2)]
    assert messages.seals(await one(ledger, messages.seals_by_hash([batch.hash]))) == [batch]


async def test_the_same_batch_twice_is_one_seal(ledger: SqliteLedger) -> None:
    await run(ledger, messages.insert_seals([seal(), seal(b"2" * 32)]), messages.insert_seals([seal()]))
    assert len(await everything(ledger, "seals")) == 2


async def test_an_id_is_told_apart_by_its_origin(ledger: SqliteLedger) -> None:
    await run(ledger, messages.insert([message("a"), message("a", origin=THERE, leaf=b"2" * 32)]))
    assert await one(ledger, messages.leaves_of(THERE, ["a"])) == [("a", b"2" * 32, 10, 2)]
    assert [row.origin for row in messages.rows(await one(ledger, messages.by_id("a")))] == [HERE, THERE]


async def test_a_second_row_for_the_same_envelope_is_our_mistake(ledger: SqliteLedger) -> None:
    await run(ledger, messages.insert([message("a")]))
    with pytest.raises(AssertionError, match="UNIQUE"):
        await run(ledger, messages.insert([message("a")]))


async def test_answers_and_consequences_are_found(ledger: SqliteLedger) -> None:
    await run(
        ledger,
        messages.insert(
            [message("a"), message("b", in_reply_to="a"), message("c", parent="a"), message("d", parent="c")]
        ),
    )
    assert [row.id for row in messages.rows(await one(ledger, messages.replies_to(["a"], 9)))] == ["b"]
    assert [row.id for row in messages.rows(await one(ledger, messages.children_of(["a", "c"], 9)))] == ["c", "d"]
    assert [row.id for row in messages.rows(await one(ledger, messages.newest(2)))] == ["d", "c"]


async def test_hostile_ids_find_nothing_and_break_nothing(ledger: SqliteLedger) -> None:
    await run(ledger, messages.insert([message("a")]))
    assert await one(ledger, messages.leaves_of(HERE, ["a'", '"]', "\ud800", "\0", "é"])) == []
