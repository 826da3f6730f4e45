from __future__ import annotations

import json

from netsky.node.db import observe
from netsky.node.db.ledger import SqliteLedger
from netsky.node.db.limits import DETAIL_CHARS_MAX
from netsky.node.db.observe import CrashRow, QuarantineRow

from tests.node.db.rows import THERE, everything, one, run

NASTY = "a\ud800b\0c\n"


async def test_quarantined_files_are_listed_newest_first(ledger: SqliteLedger) -> None:
    await run(
        ledger,
        observe.quarantined(5, "agent1", NASTY, reason="link", sentence="It is a link.", size=None),
        observe.quarantined(6, "agent2", "b", reason="too_large", sentence="Too large.", size=1 << 70),
    )
    both = observe.quarantine_rows(await one(ledger, observe.quarantine(None, 9)))
    assert both == [
        QuarantineRow(2, 6, "agent2", "b", "too_large", "Too large.", (1 << 63) - 1),
        QuarantineRow(1, 5, "agent1", "a\\ud800b\0c\n", "link", "It is a link.", None),
    ]
    assert observe.quarantine_rows(await one(ledger, observe.quarantine("agent1", 9))) == both[1:]
    assert observe.quarantine_rows(await one(ledger, observe.quarantine(None, 1))) == both[:1]


async def test_crashes_are_listed_newest_first(ledger: SqliteLedger) -> None:
    await run(
        ledger,
        observe.crashed(5, "ticker", "AssertionError", "long" * 9_000, node_stops=False),
        observe.crashed(9, "ledger", "LedgerBroken", "short", node_stops=True),
    )
    found = observe.crash_rows(await one(ledger, observe.crashes(9)))
    assert found[0] == CrashRow(2, 9, "ledger", "LedgerBroken", "short", True)
    assert (found[1].node_stops, len(found[1].detail)) == (False, DETAIL_CHARS_MAX)
    assert observe.crash_rows(await one(ledger, observe.crashes(9, since=6))) == found[:1]


async def test_every_kind_of_observation_takes_whatever_it_is_handed(ledger: SqliteLedger) -> None:
    detail = {"what": NASTY, "raw": b"\xff", "much": ["x" * 100] * 500}
    await run(
        ledger,
        observe.ticked(1, NASTY, detail),
        observe.cli_invoked(2, "operator", "send", exit=8, code="inbox_full", duration=7),
        observe.tokens_used(3, "agent1", NASTY, NASTY, input=1, output=2, cached=3, cost=None),
        observe.watchdog_saw(4, "stuck", actor="agent1", severity="warn", status="open", detail={}),
        observe.link_event(5, "connect", THERE, None, {"b": 1, "a": 2}),
        observe.logged(6, "info", "started", {"pid": 1}),
    )
    [(_, at, _, cut)] = await everything(ledger, "ticks")
    assert (at, list(json.loads(str(cut)))) == (1, ["cut"])
    assert await everything(ledger, "cli_invocations") == [(1, 2, "operator", "send", 8, "inbox_full", 7)]
    assert (await everything(ledger, "token_usage"))[0][5:] == (1, 2, 3, None)
    assert await everything(ledger, "watchdog_events") == [(1, 4, "stuck", "agent1", "warn", "open", "{}")]
    assert await everything(ledger, "logs") == [(1, 6, "info", "started", '{"pid": 1}')]


async def test_a_link_event_does_not_hold_the_key_of_the_peer(ledger: SqliteLedger) -> None:
    await run(ledger, observe.link_event(5, "connect", THERE, "studio", {"b": 1, "a": 2}))
    assert await everything(ledger, "iroh_events") == [
        (1, 5, "connect", observe.peer_hash(THERE), "studio", '{"a": 2, "b": 1}')
    ]
    assert len(observe.peer_hash(THERE)) == 16
    assert THERE.hex() not in str(await everything(ledger, "iroh_events"))
