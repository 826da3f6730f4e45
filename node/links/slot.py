"""One peer of this node, as its links know it."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio
from netsky.mesh.link import Link
from netsky.mesh.transport import Connection


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
    trouble: str | None = None  # why it is down, as a sentence
    reported: str | None = None  # the code of the last row about that: a peer that is away is one row, not thousands
