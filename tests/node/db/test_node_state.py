from __future__ import annotations

import pytest
from netsky.node.db import node_state
from netsky.node.db.ledger import SqliteLedger
from netsky.node.seams.ledger import Value

from tests.node.db.rows import one, run


@pytest.mark.parametrize("value", [0, 1 << 62, "text", b"\x00bytes", 1.5])
async def test_a_value_comes_back_as_it_was(ledger: SqliteLedger, value: Value) -> None:
    assert value is not None
    await run(ledger, node_state.put("k", "before"), node_state.put("k", value))
    assert node_state.value(await one(ledger, node_state.get("k"))) == value


async def test_what_is_not_there_has_a_default(ledger: SqliteLedger) -> None:
    assert node_state.value(await one(ledger, node_state.get("k"))) is None
    assert node_state.integer(await one(ledger, node_state.get("k")), 7) == 7


async def test_a_clock_is_only_raised(ledger: SqliteLedger) -> None:
    await run(ledger, *(node_state.raise_to(node_state.CLOCK, new) for new in (5, 9, 7)))
    assert node_state.integer(await one(ledger, node_state.get(node_state.CLOCK))) == 9


async def test_several_are_read_at_once_and_one_is_removed(ledger: SqliteLedger) -> None:
    await run(ledger, node_state.put("a", 1), node_state.put("b", 2), node_state.put("c", 3), node_state.remove("b"))
    assert sorted(await one(ledger, node_state.get_many(["a", "b", "c"]))) == [("a", 1), ("c", 3)]
