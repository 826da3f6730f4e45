"""With which files a ticket is given out. Part of an offer: what is decided here is stored with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from netsky.node.db.work_runs import RunRow
from netsky.node.db.work_tickets import TicketRow
from netsky.node.work.start import Start
from netsky.node.work.workshop import is_remote

if TYPE_CHECKING:
    from netsky.node.work.workshop import Workshop

NOT_REACHED = frozenset({"fetch_failed", "url", "git_timed_out"})
"""With these a node said that it could not get its base: it is sent along with the next try."""


async def start_of(
    workshop: Workshop, run: RunRow, row: TicketRow, *, runtime: str, here: bool
) -> Start | Literal["later"] | None:
    """From what its run has committed so far. `later`: a bundle is being made, and then another round begins."""
    head = json.loads(run.head)
    if not head.get("repository") or runtime == "noop":
        return None
    start = Start(head["repository"], run.tip or head["base"])
    if here or (is_remote(start.repository) and row.code not in NOT_REACHED):
        return start
    return await workshop.bundled(start) or "later"
