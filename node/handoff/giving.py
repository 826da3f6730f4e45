"""What a life of a program leaves to the next one comes before all that waits. Each step may be repeated, so a crash at
any point of it costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.db import handoffs
from netsky.node.db.handoffs import HandoffRow
from netsky.node.errors import NetskyError
from netsky.node.handoff.judge import Handed, first_line
from netsky.node.handoff.limits import FIRST_NS, PROJECTED_SECONDS

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node


async def give(node: Node, row: HandoffRow) -> str:
    """The text of a restart as an envelope, once, before all that waits. Its id. TryLater where there is no room."""
    assert row.text is not None
    [found] = await node.ledger.transaction([handoffs.oldest_clock(row.actor)])
    oldest = found[0][0]
    assert oldest is None or isinstance(oldest, int)
    draft = Draft(
        to=row.actor,
        kind="report",
        text=f"{first_line(row.asked_by, row.actor, row.why)}\n\n{row.text}",
        data={"handoff": {"id": row.id, "by": row.asked_by, "why": row.why, "at": row.at}},
        idempotency_key=f"handoff/{row.id}/{row.at}",
        file_clock=max(0, (node.now() if oldest is None else oldest) - FIRST_NS),
    )
    [answer] = await node.bus.accept(row.actor, "node", [draft])
    if isinstance(answer, NetskyError):
        raise answer
    assert isinstance(answer, Accepted)
    await node.group.write([handoffs.given(row.id, answer.id)])
    await _projected(node, row.actor, answer.id)
    return answer.id


async def _projected(node: Node, actor: str, envelope: str) -> None:
    """Its reader looks at files: there it has to be when that one starts."""
    with trio.move_on_after(PROJECTED_SECONDS):
        while True:
            heard = node.signals.count(actor)
            [found] = await node.group.write([handoffs.standing(actor, envelope)])
            if not found or found[0][0] != "committed":
                return
            with trio.move_on_after(PROJECTED_SECONDS / 20):
                await node.signals.wait_beyond(actor, heard)


async def handed(node: Node, row: HandoffRow) -> Handed:
    if row.text is None:
        return "nothing"
    if row.envelope is None:
        return "waits"
    [found] = await node.group.write([handoffs.standing(row.actor, row.envelope)])
    if not found:
        return "waits"
    state, claimed = found[0]
    return "taken" if state == "taken" else "waits" if claimed is None else "shown"
