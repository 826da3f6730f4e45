"""How long a sibling may work on what netsky0 routed to it without hearing from netsky0. Pure.

A halt must work although a cable is cut: a node that cannot hear an order to stop stops by itself. So what came by a
route is handed out on a lease, which every sign of life of the link renews. The clock is the monotonic one. A life of a
node begins without a lease, since nobody can tell how long the silence before it was: it is linked within a second, or
it is cut off. A lease that ended begins anew a moment after the link is up: a halt that waited for this node is heard
first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HEAR_FIRST_NS = 1_000_000_000
"""Between a link that is up and a new lease: an order that waits goes out at once, and takes some round trips."""

Change = Literal["lapsed", "renewed"]


@dataclass(slots=True)
class Lease:
    """Of one life of a sibling."""

    heard: int | None = None
    """When netsky0 was heard of last, monotonic ns."""
    lapsed: bool = True
    up_since: int | None = None
    """While it has lapsed: since when the link is up."""

    def look(self, linked: bool, now: int, length_ns: int) -> Change | None:
        """What has changed, if anything has."""
        if linked:
            self.heard = now
            if not self.lapsed:
                return None
            if self.up_since is None:
                self.up_since = now
            if now - self.up_since >= HEAR_FIRST_NS:
                self.lapsed, self.up_since = False, None
                return "renewed"
            return None
        self.up_since = None
        if not self.lapsed and self.heard is not None and now - self.heard > length_ns:
            self.lapsed = True
            return "lapsed"
        return None
