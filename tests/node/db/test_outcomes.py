from __future__ import annotations

from dataclasses import replace

import pytest
from netsky.node.db import outcomes
from netsky.node.db.ledger import SqliteLedger
from netsky.node.db.outcomes import OutcomeRow, key_of

from tests.node.db.rows import HERE, THERE, one, run


def outcome(name: str) -> OutcomeRow:
    return OutcomeRow(key_of(HERE, name), b"l" * 32, "delivered", None, THERE, 5, 100)


def test_a_key_is_short_and_of_both() -> None:
    keys = {key_of(HERE, "a"), key_of(HERE, "b"), key_of(THERE, "a")}
    assert len(keys) == 3
    assert {len(key) for key in keys} == {20}


async def test_the_first_outcome_stands(ledger: SqliteLedger) -> None:
    first = outcome("a")
    await run(
        ledger, outcomes.record([first]), outcomes.record([replace(first, fate="dead", code="expired"), outcome("b")])
    )
    assert outcomes.rows(await one(ledger, outcomes.find([first.key]))) == [first]


@pytest.mark.parametrize("asked", [0, 1, 2, 3, 64, 65, 256])
async def test_any_number_is_found_at_once(ledger: SqliteLedger, asked: int) -> None:
    await run(ledger, outcomes.record([outcome(str(n)) for n in range(300)]))
    keys = [key_of(HERE, str(n)) for n in range(asked)]
    assert {row.key for row in outcomes.rows(await one(ledger, outcomes.find(keys)))} == set(keys)
