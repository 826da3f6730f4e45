"""What is counted anew, and sent again, when a node at either end of a link was restored.

Pure: records of the machine in, statements out.
"""

from __future__ import annotations

from netsky.envelope.limits import SKEW_NS
from netsky.mesh.effects import Raised
from netsky.mesh.lineage import Lineage
from netsky.node.db import restore
from netsky.node.seams.ledger import Statement


def raised(peer: bytes, record: Raised, now: int) -> list[Statement]:
    """One stream of ours begins a new life; a peer that lost what it acknowledged gets that again as well."""
    new = restore.NewLife(record.life, record.lineage, now, record.reason)
    again = [restore.put_back_open(peer)] if record.reason == "peer_behind" else []
    return [*restore.raise_stream(peer, record.lane, new), *again]


def renewed(peer: bytes, one: Lineage, before: Lineage | None, root: bytes, now: int) -> list[Statement]:
    """A node has another memory: what it may have lost goes out to it again, and all that waits there, if it is the
    root, which passes on what it remembers alone."""
    made = restore.put_lineage(one, now)
    if one.node == peer:
        made.append(restore.thaw_incoming(peer))
    if before is None and not one.since:
        return made  # that is how a node begins
    made.append(restore.put_back_all(one.node, max(0, one.since - SKEW_NS)))
    if one.node == root:
        made.append(restore.put_back_open(one.node))
    return made
