"""What the planner of links is given to plan, what it asks of its node, and whom it tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from netsky.envelope.kinds import Lane
from netsky.mesh.effects import Damaged, Record, Restored
from netsky.mesh.lineage import Lineage
from netsky.mesh.roster import Roster
from netsky.node.bus.ingress import Incoming, Ingressed
from netsky.node.daemon.told import Next
from netsky.node.db.passed import PassedRow
from netsky.node.links.endings import Ended
from netsky.node.seams.ledger import Statement
from netsky.relay.routes import RouteLine


@dataclass(frozen=True, slots=True)
class Persist:
    """An item of the planner: what one link wants stored."""

    peer: bytes
    name: str
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """An item: the link to this peer has ended for good, and nothing drives it any more."""

    peer: bytes


@dataclass(frozen=True, slots=True)
class Sweep:
    """An item: what is past its time, or goes to a node that is no more, ends here.

    An envelope that this home takes for unsent may have arrived, if the home was put back from a backup. So of what was
    accepted before this life of the node only what goes to a peer that was met since, and did not prove that, is called
    dead.
    """

    since: int = 0
    met: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Remember:
    """An item: this home was put back from a backup, and found out by itself."""

    record: Restored


@dataclass(frozen=True, slots=True)
class Lost:
    """An item: this blob is gone or damaged, and what names it and has not left ends here."""

    blob: bytes


Item = Persist | Cut | Sweep | Remember | Lost


class Told(Protocol):
    """Hears of what the plan has brought about, once that is stored."""

    def ended(self, ended: Ended) -> None: ...

    def arrived(self, peer: bytes, item: Incoming, result: Ingressed) -> None: ...

    def refused(self, peer: bytes, code: str, what: str) -> None: ...

    def enrolled(self, roster: Roster, sealed: bytes) -> None: ...

    def passed(self, rows: Sequence[PassedRow]) -> None:
        """On the root: what came for others."""

    def lineages(self, new: Sequence[Lineage]) -> None: ...

    def restored(self, record: Restored) -> None:
        """This node has begun anew: no connection of before is of use."""

    def queued(self, going: Iterable[Next], fates: Iterable[bytes]) -> None:
        """There are envelopes to send to the first, and outcomes to the others."""

    def holds(self) -> None:
        """A hold began or ended."""


@dataclass(frozen=True, slots=True)
class Knows:
    """What the planner asks of its node."""

    me: bytes
    root: bytes
    roster: Callable[[], Roster]
    route_lines: Callable[[], Sequence[RouteLine]]
    keep_roster: Callable[[bytes], Statement]
    event: Callable[[Restored, int], list[Statement]]
    """What a restore of this home changes beyond all that links do."""


def reads_of(item: Item) -> int:
    """How many statements the planner reads for it."""
    return {Persist: 1, Remember: 0, Lost: 2}.get(type(item), 3)


def damaged_frames(items: Sequence[Item]) -> list[tuple[bytes, Lane, int, int]]:
    """(peer, lane, life, first) of what a peer cannot take."""
    return [
        (item.peer, record.lane, record.life, record.first)
        for item in items
        if isinstance(item, Persist)
        for record in item.records
        if isinstance(record, Damaged)
    ]
