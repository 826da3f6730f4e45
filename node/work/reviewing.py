"""A person's word about what waits for it, as it moves the ticket: approved it is landed once more, and this time
committed; refused it stays blocked, and may be tried again for another patch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsky.node.db import work_tickets

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node

REVIEW = "review"


async def decided(node: Node, ticket: str, who: str, *, approved: bool, why: str) -> None:
    """After the word itself is stored. A life that ends in between leaves the ticket blocked: then the word is given
    once more."""
    office = node.work.office
    [found] = await node.group.read([work_tickets.by_ids([ticket])])
    if office is None or not found:
        return
    await node.work.loaded.wait()
    async with office.lock:
        [found] = await node.group.read([work_tickets.by_ids([ticket])])
        rows = [row for row in work_tickets.rows(found) if (row.state, row.code) == ("blocked", REVIEW)]
        await office.hold_runs(rows)
        change = office.book.change(node.now())
        said = f"by {who}" + (f": {why}" if why else "")
        for row in rows:
            if not approved:
                change.remark(row, "refuse", code=REVIEW, reason=said)
                continue
            change.move(row, "approve", reason=said, owner=office.agent)
            change.step_run(office.book.runs[row.run], "moves", "collecting", f"{row.id} was approved")
        await office.store(change)
    node.work.ring()
