"""A sibling without a link to netsky0: routed work is ended once its lease is over, and handed out again with the link.

The programs of an actor that holds routed work are ended; those that are started for each envelope go on with other
work at once, a resident one rests until the link is up, since it could go on from what it remembers. What a client of a
person's own has claimed the node cannot end; it gets no more of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from netsky.node.actors.give_back import give_back
from netsky.node.db import inbox
from netsky.node.halt.lease import Change, Lease
from netsky.node.halt.words import length

if TYPE_CHECKING:
    from netsky.node.daemon.node import Node

LOOK_NS = 1_000_000_000
"""Between two looks at the link."""


class Cut:
    """Of a node that is no sibling nothing is ever cut."""

    def __init__(self, node: Node) -> None:
        self._node = node
        is_sibling = node.identity.charter is not None and not node.identity.root
        self._lease = Lease() if is_sibling else None
        self._resting: set[str] = set()
        self._due: Change | None = None
        self.times = 0
        """How often a lease ended in this life."""
        self.ended = 0
        """Processes that were ended for it."""
        self.since: int | None = node.now() if is_sibling else None
        """Wall clock, ns: when the last lease ended, if none holds now."""

    @property
    def is_cut(self) -> bool:
        return self._lease is not None and self._lease.lapsed

    def why_not(self, actor: str) -> str:
        """Why no program of this actor runs; "" if one may."""
        return "cut off from netsky0, whose work it held: netsky status" if actor in self._resting else ""

    def sentence(self, now: int) -> str:
        since = "" if self.since is None else f", for {length(self.since, now)}"
        return f"without a link to netsky0{since}"

    def shown(self) -> dict[str, Any] | None:
        """For `status`: None on a node that is no sibling."""
        if self._lease is None:
            return None
        return {
            "cut": self.is_cut,
            "since": self.since,
            "lease_s": self._node.config.root_lease_s,
            "times": self.times,
            "ended": self.ended,
            "resting": sorted(self._resting),
        }

    async def watch(self) -> None:
        """Looks at the link each second, and when it comes up."""
        node, lease = self._node, self._lease
        if lease is None:
            return
        with node.events.subscribe(frozenset({"link_up"})) as ups:
            while True:
                self._due = lease.look(self._linked(), node.seams.time.monotonic(), self._length_ns) or self._due
                if self._due == "lapsed":
                    await self._end_routed()
                elif self._due == "renewed":
                    await self._go_on()
                self._due = None  # not before: a second life of this task does what the first did not come to
                with trio.move_on_after(LOOK_NS / 1e9):
                    await ups.next()

    @property
    def _length_ns(self) -> int:
        """A link is called down so long after its last sign of life, and looked at after LOOK: counted in, so that it
        is over within the time that is promised."""
        return self._node.config.root_lease_s * 10**9 - self._node.config.dead_after_ns - LOOK_NS

    def _linked(self) -> bool:
        charter, links = self._node.identity.charter, self._node.links
        assert charter is not None
        assert links is not None
        seen = links.of(charter.root_key)
        return seen is not None and seen.up

    async def _end_routed(self) -> None:
        node = self._node
        self.times += 1
        self.since = node.now()
        dropped = await node.actors.drop_routed()
        # What a claim that was on its way stores after this, it gives back itself: it looks at the lease once more.
        [found] = await node.group.read([inbox.holders_of_routed()])
        resident = {str(one["name"]) for one in node.actors.states() if one["mode"] == "resident"}
        self._resting |= resident & {str(actor) for (actor,) in found}
        rested = await node.actors.rest(self._resting)
        for actor in rested.actors:
            await give_back(node, actor)
        ended, still = dropped.processes + rested.processes, dropped.still + rested.still
        self.ended += ended
        told = {"actors": sorted({*dropped.actors, *self._resting}), "processes": ended, "still": still}
        node.log.event("lease.lapsed", level="warn", seconds=node.config.root_lease_s, **told)
        node.events.publish("lease_lapsed", **told)

    async def _go_on(self) -> None:
        node = self._node
        self.since = None
        self._resting.clear()
        await node.actors.wake()
        node.halt.ring()
        node.events.publish("lease_renewed")
