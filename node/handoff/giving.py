"""What stands between two lives of a program: what the old one had in hand goes back, what it leaves to the next one
comes first. Each step may be repeated, so a crash at any point of it costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.bus.folders import open_channel
from netsky.node.db import arrivals, handoffs
from netsky.node.db.handoffs import HandoffRow
from netsky.node.errors import NetskyError, TryLater
from netsky.node.handoff.judge import Handed, first_line
from netsky.node.handoff.limits import FIRST_NS, PROJECTED_SECONDS
from netsky.node.seams.files import HostileFile

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node

SCAN = 4_096
"""Names looked at in claimed/: an inbox holds a thousand."""


async def give_back(node: Node, actor: str) -> int:
    """Whatever a life that has ended had claimed and not taken stands in the inbox again; how many those are. The file
    first: where it stands is what the next one believes."""
    moved = await _move_back(node, actor)
    try:
        [rows] = await node.group.write([handoffs.give_back(actor, moved)])
    except TryLater:  # no room on the disk: the files are back, and their rows follow with the next claim
        rows = []
    count = max(len(moved), len(rows))
    if count:
        node.restarts.returned += count
        node.log.event("actor.given_back", actor=actor, envelopes=count)
        node.events.publish("given_back", actor=actor, envelopes=count)
        node.signals.ring(actor)
    return count


async def _move_back(node: Node, actor: str) -> list[str]:
    """Not what was taken by word alone: that goes to the archive with the next sweep."""
    files = node.seams.files
    try:
        with open_channel(files, node.home.channels, actor) as channel:
            names = [name for name in files.names(channel.claimed, SCAN, SCAN) if name[0] != "."]
            if not names:
                return []
            [found] = await node.ledger.transaction([arrivals.places_of_files(actor, names)])
            waiting = [place.file for place in arrivals.place_rows(found) if place.state != "taken"]
            return [name for name in waiting if files.move(channel.claimed, name, channel.inbox, name)]
    except (OSError, HostileFile) as error:
        node.log.event("actor.not_given_back", level="warn", actor=actor, reason=str(error))
        return []


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
