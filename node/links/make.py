"""The links of a node, made from its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsky.node.links.links import Links
from netsky.node.links.parts import Parts
from netsky.node.links.store import PeerStore
from netsky.node.version import program_version

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node


def make_links(node: Node) -> Links | None:
    """None for a node without a mesh."""
    if node.identity.charter is None:
        return None
    return Links(
        Parts(
            identity=node.identity,
            home=node.home,
            seams=node.seams,
            group=node.group,
            ingress=node.bus.ingress,
            blobs=node.blobs,
            accept=node.bus.accept,
            hand_to=node.bus.planner.hand_to,
            membership=node.membership,
            signals=node.signals,
            events=node.events,
            log=node.log,
            crashed=node.crashes.report,
            route_lines=lambda: node.config.routes,
            takes_work=lambda: not node.group.slow and node.bus.planner.door.disk_low is None,
            inbox_max=lambda: node.config.inbox_envelopes_max,
            beats=lambda: (node.config.heartbeat_ns, node.config.dead_after_ns),
            options=node.config.transport,
            program=program_version(),
            make_store=PeerStore if node.watch is None else node.watch(node.identity, node.seams.time),
        )
    )
