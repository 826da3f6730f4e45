"""The desk of a node, if it is the one that speaks with the owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsky.node.owner.desk import Around, OwnerDesk

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node


def add_desk(node: Node) -> None:
    """After the parts that it works with."""
    if not node.identity.root:
        return
    node.owner = OwnerDesk(
        Around(
            ledger=node.ledger,
            group=node.group,
            accept=node.bus.accept,
            put_away=node.bus.acked,
            page=node.pager.deliver,
            page_after_s=lambda: node.config.owner_page_after_s,
            inbox_max=lambda: node.config.inbox_envelopes_max,
            time=node.seams.time,
            signals=node.signals,
            events=node.events,
            log=node.log,
            home=node.identity.name,
        )
    )
    node.ticker.parts.append(node.owner)
