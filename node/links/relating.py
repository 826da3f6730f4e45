"""At the root: when a peer may hear that other nodes were restored.

An outcome that the root took from a node before that was restored speaks of what this has forgotten since. If it came
after the word of the restore, it would end what was just put back, and that would be lost. So the outcomes that wait
for this peer go first, until they are acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping

from netsky.mesh.lineage import Lineage
from netsky.node.db import answers, node_state
from netsky.node.db.group import GroupCommit
from netsky.node.links.remembering import NO_LINEAGES, Remembering


class Relating:
    """Of one connection."""

    def __init__(self, peer: bytes, group: GroupCommit, remembering: Remembering) -> None:
        self._peer = peer
        self._group = group
        self._remembering = remembering
        self._next: Mapping[bytes, Lineage] = NO_LINEAGES
        self._last = 0
        """The newest outcome that waited when those were stated."""
        self.told: Mapping[bytes, Lineage] = NO_LINEAGES

    @property
    def waits(self) -> bool:
        return self.told is not self._remembering.stated()

    async def look(self) -> bool:
        """Whether the peer may hear of more than before."""
        newest = self._remembering.stated()
        if newest is self.told:
            return False
        if newest is not self._next:
            [found] = await self._group.read([answers.newest()])
            self._next, self._last = newest, node_state.integer(found)
        [waiting] = await self._group.read([answers.up_to(self._peer, self._last)])
        if not waiting:
            self.told = newest
        return not waiting
