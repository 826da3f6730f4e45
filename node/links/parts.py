"""What links need of their node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from netsky.mesh.limits import DEAD_AFTER_NS, HEARTBEAT_NS
from netsky.mesh.roster import Roster
from netsky.mesh.transport import Connection, TransportOptions
from netsky.node.blobs.store import BlobStore
from netsky.node.bus.acks import Accept
from netsky.node.bus.ingress import IngressPlanner
from netsky.node.bus.onward import Onward
from netsky.node.db.group import GroupCommit
from netsky.node.events import Events, Signals
from netsky.node.home import Home
from netsky.node.identity import Identity
from netsky.node.links.store import MakeStore, PeerStore
from netsky.node.log import Log
from netsky.node.seams import Seams
from netsky.node.seams.ledger import Statement
from netsky.node.supervise import Crash
from netsky.relay.routes import RouteLine


class Membership(Protocol):
    """What links ask of it."""

    def roster(self) -> tuple[Roster | None, bytes]: ...

    def adopt(self, roster: Roster, sealed: bytes) -> None: ...

    def store(self, sealed: bytes) -> Statement: ...

    def root_addresses(self) -> tuple[str, ...]: ...

    def remember_root_addresses(self, addresses: Sequence[str]) -> None: ...

    def note_stranger(self, key: bytes, code: str) -> None: ...

    def burned(self) -> None:
        """No invite is open any more."""

    async def serve_join(self, connection: Connection) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What links need of their node."""

    identity: Identity
    home: Home
    seams: Seams
    group: GroupCommit
    ingress: IngressPlanner
    blobs: BlobStore
    accept: Accept
    hand_to: Callable[[Onward], None]
    """Gives the bus who numbers what it stores for other nodes."""
    membership: Membership
    signals: Signals
    events: Events
    log: Log
    crashed: Callable[[Crash], None]
    route_lines: Callable[[], Sequence[RouteLine]]
    takes_work: Callable[[], bool]
    """Whether this node can store more for now: its disk is neither slow nor full."""
    inbox_max: Callable[[], int]
    """Untaken envelopes that an actor may have."""
    options: TransportOptions
    program: str
    beats: Callable[[], tuple[int, int]] = lambda: (HEARTBEAT_NS, DEAD_AFTER_NS)
    """Between two heartbeats, and after how long without one a peer is dead; for links that begin from now on."""
    make_store: MakeStore = PeerStore
    """Another than that for who watches what links store (`lab/witness.py`)."""
