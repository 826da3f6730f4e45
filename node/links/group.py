"""What one group of items comes to, while the planner goes through it."""

from __future__ import annotations

from dataclasses import dataclass, field

from netsky.mesh.effects import (
    Arrived,
    Enrolled,
    Restored,
)
from netsky.mesh.lineage import Lineage
from netsky.mesh.outcome import Outcome
from netsky.node.bus.ingress import Incoming
from netsky.node.daemon.told import Next
from netsky.node.db import forward
from netsky.node.db.passed import PassedRow
from netsky.node.errors import NetskyError
from netsky.node.links.overdue import Swept
from netsky.node.seams.ledger import Statement
from netsky.relay.ingress import Border


@dataclass(slots=True)
class Group:
    """What one group of items comes to."""

    now: int
    border: Border | None
    held: dict[bytes, int]
    """Blobs that are here, of those that are named by what came."""
    statements: list[Statement] = field(default_factory=list)
    errors: list[NetskyError | None] = field(default_factory=list)
    here: list[tuple[bytes, Arrived, list[Incoming]]] = field(default_factory=list)
    ended: list[Outcome] = field(default_factory=list)
    mine: list[tuple[bytes, Outcome]] = field(default_factory=list)
    relayed: list[Outcome] = field(default_factory=list)
    forward: list[forward.NewForward] = field(default_factory=list)
    refused: list[tuple[bytes, str, str]] = field(default_factory=list)
    rosters: list[Enrolled] = field(default_factory=list)
    passed: list[PassedRow] = field(default_factory=list)
    known: dict[bytes, Lineage] = field(default_factory=dict)
    """Lineages in force, with those of this group."""
    lineages: list[Lineage] = field(default_factory=list)
    restored: list[Restored] = field(default_factory=list)
    swept: Swept = field(default_factory=Swept)
    waiting: set[Next] = field(default_factory=set)
    """Next nodes of what stands in the queue without a number."""
    answered: set[bytes] = field(default_factory=set)
    """Next nodes of the outcomes."""
    removals: list[Statement] = field(default_factory=list)
    """Those of the statements that take acknowledged rows out of the forward queue, and return them."""


OF_ITEMS = (
    *("statements", "here", "ended", "mine", "relayed", "forward"),
    *("refused", "rosters", "passed", "removals", "lineages", "restored"),
)
"""Parts of a group that each item adds to, all of them or none."""
