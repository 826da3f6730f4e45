"""What outlives a group of accepts: the clock, and what closes the door to all or some, whoever they are for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netsky.node.bus.draft import Offer
from netsky.node.errors import NetskyError, TryLater


@dataclass(slots=True)
class Door:
    clock: int = 0
    disk_low: str | None = None
    """Told by the sweep."""
    halted: Callable[[], NetskyError | None] = lambda: None
    """Why this node takes no work; None if it does."""

    def check(self, offer: Offer) -> None:
        """Raises why it is closed to this one. What the owner is to know is nobody's work, and a word between daemons
        is small and may be the one that ends the work."""
        halted = self.halted() if offer.lane == "work" and offer.to.actor != "owner" else None
        if halted is not None:
            raise halted
        if self.disk_low is not None and (offer.via, offer.draft.kind) != ("node", "control"):
            raise TryLater(self.disk_low, next="free some space on the node's disk", code="disk_low")
