from __future__ import annotations

from netsky.node.db import idempotency
from netsky.node.db.idempotency import KeyRow
from netsky.node.db.ledger import SqliteLedger

from tests.node.db.rows import HERE, THERE, one, run

FIRST = KeyRow(HERE, "agent1", "k", "a", b"h" * 32, 100)


async def test_a_key_belongs_to_its_origin_and_actor(ledger: SqliteLedger) -> None:
    await run(ledger, idempotency.insert([FIRST]))
    assert idempotency.rows(await one(ledger, idempotency.find(HERE, "agent1", ["j", "k"]))) == [FIRST]
    assert await one(ledger, idempotency.find(HERE, "agent2", ["k"])) == []
    assert await one(ledger, idempotency.find(THERE, "agent1", ["k"])) == []


async def test_an_expired_key_can_be_used_again(ledger: SqliteLedger) -> None:
    again = KeyRow(HERE, "agent1", "k", "b", b"2" * 32, 200)
    await run(ledger, idempotency.insert([FIRST]), idempotency.insert([again]))
    assert idempotency.rows(await one(ledger, idempotency.find(HERE, "agent1", ["k"]))) == [again]
