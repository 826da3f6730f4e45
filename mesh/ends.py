"""The two nodes of a link, as this one sees them, and what is stored of it between two connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from netsky.envelope.kinds import Lane
from netsky.mesh.limits import DEAD_AFTER_NS, HEARTBEAT_NS
from netsky.mesh.lineage import Memory
from netsky.mesh.streams import IncomingState, OutgoingState


@dataclass(frozen=True, slots=True)
class Ends:
    me: bytes
    peer: bytes
    mesh: bytes
    sign: Callable[[bytes], bytes]
    root: bytes
    """The charter's root key; exactly one of `me` and `peer` is it."""
    reign: int
    """Of the charter in force here."""
    program: str = ""
    addresses: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    heartbeat_ns: int = HEARTBEAT_NS
    dead_after_ns: int = DEAD_AFTER_NS
    """This end's own. The peer answers each heartbeat, so it need not know how often others say theirs."""

    def __post_init__(self) -> None:
        assert (self.me == self.root) != (self.peer == self.root), "a link has the root at one end"
        assert self.reign > 0
        assert 2 * self.heartbeat_ns < self.dead_after_ns, "one late heartbeat ends nothing"

    @property
    def at_root(self) -> bool:
        return self.me == self.root


@dataclass(frozen=True, slots=True)
class LinkState:
    outgoing: Mapping[Lane, OutgoingState]
    incoming: Mapping[Lane, IncomingState]
    memory: Memory = field(default_factory=Memory)
