from __future__ import annotations

from dataclasses import replace

from netsky.node.db import actors
from netsky.node.db.actors import ActorRow, SessionRow
from netsky.node.db.ledger import SqliteLedger

from tests.node.db.rows import one, run

WORKER = ActorRow("worker1", ("python", "-c", "é"), "per_envelope", "agent1", True, True, {"A": "1"}, 5)


async def test_an_actor_is_added_changed_and_removed(ledger: SqliteLedger) -> None:
    await run(ledger, actors.put(WORKER), actors.put(replace(WORKER, name="agent1", manager=None, fenced=False)))
    changed = replace(WORKER, command=("true",), mode="none", enabled=False, added_at=9)
    await run(ledger, actors.put(changed))
    [manager, worker] = actors.rows(await one(ledger, actors.all()))
    assert (manager.name, manager.manager, manager.fenced) == ("agent1", None, False)
    assert worker == replace(changed, added_at=5), "the time it was added stays"
    await run(ledger, actors.enable("worker1", True))
    assert actors.rows(await one(ledger, actors.all()))[1].enabled
    assert await one(ledger, actors.remove("worker1")) == [("worker1",)]
    assert await one(ledger, actors.remove("worker1")) == []


async def test_a_session_ends_once(ledger: SqliteLedger) -> None:
    [(session,)] = await one(ledger, actors.start_session("worker1", 77, 10))
    assert isinstance(session, int)
    assert actors.session_rows(await one(ledger, actors.open_sessions())) == [
        SessionRow(session, "worker1", 77, 10, None, None, None)
    ]
    await run(ledger, actors.end_session(session, 20, "ended with exit code 0", "exited"))
    await run(ledger, actors.end_session(session, 30, "ended by signal 9", "stopped"))
    assert actors.session_rows(await one(ledger, actors.sessions("worker1", 9))) == [
        SessionRow(session, "worker1", 77, 10, 20, "ended with exit code 0", "exited")
    ]
    assert await one(ledger, actors.open_sessions()) == []


async def test_what_a_dead_daemon_did_not_see_ending_is_lost(ledger: SqliteLedger) -> None:
    await run(ledger, actors.start_session("worker1", 77, 10), actors.start_session("worker2", 78, 11))
    lost = actors.session_rows(await one(ledger, actors.lose_sessions(50)))
    assert [(row.actor, row.pid, row.exit, row.reason, row.ended_at) for row in lost] == [
        ("worker1", 77, "unknown", "lost", 50),
        ("worker2", 78, "unknown", "lost", 50),
    ]
    assert await one(ledger, actors.lose_sessions(60)) == []
