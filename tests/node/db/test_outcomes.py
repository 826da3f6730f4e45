from __future__ import annotations

import pytest
from netsky.node.db import outcomes
from netsky.node.db.ledger import SqliteLedger
from netsky.node.db.outcomes import KEY_BYTES, OutcomeRow, key_of

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
        ledger, outcomes.record([first]), outcomes.record([first._replace(fate="dead", code="expired"), outcome("b")])
    )
    assert outcomes.rows(await one(ledger, outcomes.find([first.key]))) == [first]


@pytest.mark.parametrize("asked", [0, 1, 2, 3, 64, 65, 256])
async def test_any_number_is_found_at_once(ledger: SqliteLedger, asked: int) -> None:
    await run(ledger, outcomes.record([outcome(str(n)) for n in range(300)]))
    keys = [key_of(HERE, str(n)) for n in range(asked)]
    assert {row.key for row in outcomes.rows(await one(ledger, outcomes.find(keys)))} == set(keys)


def test_outcomes_of_ids_that_rise_with_time_lie_in_that_order_and_no_two_in_one_place() -> None:
    ids = [f"{at:016x}{'0' * 10}" for at in range(1 << 60, (1 << 60) + 50_000_000, 1_000_000)]
    keys = [key_of(HERE, name) for name in ids]
    assert keys == sorted(keys)
    assert len({*keys, *(key_of(THERE, name) for name in ids), *(key_of(HERE, name + "1") for name in ids)}) == 150
    assert len(key_of(HERE, "a-name-of-its-own")) == KEY_BYTES
