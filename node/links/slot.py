"""One peer of this node, as its links know it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import trio
from netsky.mesh.lineage import Blame
from netsky.mesh.link import Link
from netsky.mesh.streams import LANES
from netsky.mesh.transport import Connection

REVOKED = "revoked: this node was taken out of the mesh"
"""What a root says when it closes the connection of somebody who belongs to the mesh no more."""


@dataclass(eq=False)
class Slot:
    """One peer: its present connection, and what the last one ended with."""

    key: bytes
    newest: int = 0
    turn: trio.Lock = field(default_factory=trio.Lock)  # held while a connection is driven
    scope: trio.CancelScope | None = None
    connection: Connection | None = None
    link: Link | None = None
    up_since: int | None = None  # wall clock, ns
    seen: int | None = None  # when it was up last, likewise
    program: str = ""
    down_since: int | None = None  # likewise; None until it was tried
    trouble: str | None = None  # why it is down, as a sentence
    revoked_us: bool = False  # it closed because we were revoked, and has not been up since
    blame: Blame | None = None
    reported: str | None = None  # the code of the last row about that: a peer that is away is one row, not thousands

    def shown(self) -> dict[str, Any]:
        """For `netsky status`."""
        found: dict[str, Any] = {
            "up": self.up_since is not None,
            "since": self.up_since,
            "down_since": self.down_since,
            "seen": self.seen,
            "program": self.program,
            "trouble": self.trouble,
        }
        link = self.link
        if link is None:
            nothing: dict[str, Any] = {"frozen": {}, "credit": {}, "granted": {}}
            return found | {"round_trip_ns": None, "clock_offset_ns": None} | nothing
        credit = {lane: dict(zip(("up_to", "bytes"), link.credit(lane), strict=True)) for lane in LANES}
        granted = {lane: dict(zip(("envelopes", "bytes"), link.granted(lane), strict=True)) for lane in LANES}
        return found | {
            "round_trip_ns": link.round_trip_ns,
            "clock_offset_ns": link.clock_offset_ns,
            "frozen": {f"{lane} {way}": code for (lane, way), code in link.frozen().items()},
            "credit": credit,
            "granted": granted,
        }
