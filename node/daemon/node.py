"""A node at work: its parts, named once, for the verbs and for each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

import trio
from netsky.envelope.kinds import Lane
from netsky.node.config import Config, LiveConfig
from netsky.node.daemon.crashes import Crashes
from netsky.node.daemon.reading import LazyReader
from netsky.node.db.group import GroupCommit
from netsky.node.db.opening import Opened
from netsky.node.events import Events, Signals
from netsky.node.home import Home, HomeLock
from netsky.node.identity import Identity
from netsky.node.log import Log
from netsky.node.seams import Seams
from netsky.node.seams.ledger import Ledger
from netsky.node.watch.acts import Acts

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsky.node.actors.manager import Actors
    from netsky.node.actors.voices import Voices
    from netsky.node.blobs.store import BlobStore
    from netsky.node.bus.bus import Bus
    from netsky.node.daemon.control import ControlServer
    from netsky.node.daemon.ticker import Ticker
    from netsky.node.escalate.pager import Pager
    from netsky.node.halt.halting import Halting
    from netsky.node.halt.orders import Orders
    from netsky.node.handoff.new_life import NewLife
    from netsky.node.handoff.restarts import Restarts
    from netsky.node.links.links import Links
    from netsky.node.links.store import MakeStore
    from netsky.node.markers import Markers
    from netsky.node.membership.membership import Membership
    from netsky.node.owner.desk import OwnerDesk
    from netsky.node.schedule.cron import Cron
    from netsky.node.schedule.loops import Loops
    from netsky.node.seams.time import Time
    from netsky.node.supervise import Supervisor
    from netsky.node.watch.watchdog import Watchdog
    from netsky.node.work.repo.shelf import Shelf
    from netsky.node.work.work import Work

    Watch = Callable[[Identity, Time], MakeStore]


class Fault(TypedDict):
    """Something that is wrong now."""

    code: str
    sentence: str
    next: str
    """What to type or do about it."""


@dataclass(eq=False)
class Node:
    home: Home
    seams: Seams
    live_config: LiveConfig
    identity: Identity
    lock: HomeLock
    log: Log
    events: Events
    signals: Signals
    """Bells by name: an actor's name for new files in its inbox, and those of told.py."""
    ledger: Ledger
    opened: Opened
    settings: dict[str, int | str]
    """What SQLite said after opening, as `status` shows it."""
    group: GroupCommit
    reader: LazyReader
    crashes: Crashes
    started_at: int
    """Wall clock, ns."""
    started_monotonic: int
    pid: int
    watch: Watch | None
    """Somebody who writes down what the links store."""
    # Those below are built on those above.
    membership: Membership = field(init=False)
    blobs: BlobStore = field(init=False)
    bus: Bus = field(init=False)
    actors: Actors = field(init=False)
    halt: Halting = field(init=False)
    orders: Orders = field(init=False)
    voices: Voices = field(init=False)
    markers: Markers = field(init=False)
    pager: Pager = field(init=False)
    ticker: Ticker = field(init=False)
    cron: Cron = field(init=False)
    loops: Loops = field(init=False)
    watchdog: Watchdog = field(init=False)
    restarts: Restarts = field(init=False)
    life: NewLife = field(init=False)
    work: Work = field(init=False)
    shelf: Shelf = field(init=False)
    control: ControlServer = field(init=False)
    links: Links | None = field(init=False, default=None)
    owner: OwnerDesk | None = field(init=False, default=None)
    """At netsky0 alone."""
    tree: Supervisor = field(init=False)
    complaints: list[Callable[[], list[Fault]]] = field(default_factory=list)
    """Parts that can say what is wrong with them, for `status`."""
    acts: Acts = field(default_factory=Acts)
    stopping: trio.Event = field(default_factory=trio.Event)
    stop_reason: str = ""
    is_ready: bool = False

    @property
    def config(self) -> Config:
        """The config in force at this moment."""
        return self.live_config.current

    def key_of(self, name: str) -> bytes | None:
        """The key of the node of this name, if it belongs to the mesh."""
        return self.membership.key_of(name)

    def called(self, key: bytes) -> str:
        """The name of the node with this key, revoked or not; of one that never belonged to the mesh, half its key."""
        if key == self.identity.key:
            return self.identity.name
        roster, _ = self.membership.roster()
        member = None if roster is None else roster.by_key.get(key)
        return key.hex()[:16] if member is None else member.name

    def was_revoked(self, name: str) -> bool:
        roster, _ = self.membership.roster()
        return roster is not None and roster.was_revoked(name)

    def next_hop(self, destination: bytes) -> bytes:
        """The key of the node that an envelope for this one goes to first."""
        charter = self.identity.charter
        return destination if charter is None or self.identity.root else charter.root_key

    def is_held(self, destination: bytes, recipient: str, lane: Lane) -> bool:
        """Whether this node was asked to hold what is for that node, or for that actor of it."""
        return self.links is not None and self.links.holds.keeps(destination, recipient, lane)

    def now(self) -> int:
        return self.seams.time.wall()

    def request_stop(self, reason: str) -> None:
        """An orderly stop begins; asking twice changes nothing."""
        if not self.stopping.is_set():
            self.stop_reason = reason
            self.stopping.set()
