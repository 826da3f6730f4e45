"""What nodes ask each other not to send for now. States: said again in time, or they lapse.

A destination says which of its actors are full; the root passes that on to the origins and keeps to it itself, beside
the holds that its own queues make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import trio
from netsky.envelope.kinds import Lane
from netsky.mesh.limits import HOLD_LAPSES_NS, HOLDS_MAX
from netsky.mesh.streams import LANES
from netsky.node.bus import room
from netsky.node.daemon.told import OUTBOX_SIGNAL, TAKEN_SIGNAL
from netsky.node.db import arrivals
from netsky.node.db.group import GroupCommit
from netsky.node.events import Signals
from netsky.node.limits import LOOK_AT_FULL_NS
from netsky.node.seams.time import Time
from netsky.relay.holds import Queues

Held = frozenset[tuple[bytes, str, Lane]]
"""Destination key, actor ("" for every actor of that node) and lane."""

HeldHere = tuple[frozenset[bytes], frozenset[str]]
"""Keys of nodes that get nothing for now, and addresses of actors."""

NOTHING: Held = frozenset()


@dataclass(frozen=True, slots=True)
class HoldParts:
    """What holds need of their node."""

    me: bytes
    is_root: bool
    group: GroupCommit
    signals: Signals
    time: Time
    name_of: Callable[[bytes], str | None]
    inbox_max: Callable[[], int]
    """Untaken envelopes that an actor may have."""


class Holding:
    """What each peer has said. On a sibling that is the root alone."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._said: dict[bytes, tuple[Held, int]] = {}

    def say(self, peer: bytes, held: Held) -> None:
        self._said[peer] = (held, self._time.monotonic() + HOLD_LAPSES_NS)

    def lapsed(self) -> bool:
        """Whether a hold has ended by itself since this was asked last."""
        now = self._time.monotonic()
        over = [peer for peer, (held, until) in self._said.items() if held and now >= until]
        for peer in over:
            del self._said[peer]
        return bool(over)

    def all(self) -> Held:
        now = self._time.monotonic()
        return NOTHING.union(*(held for held, until in self._said.values() if now < until))


class Inboxes:
    """Which actors of this node are full, for which lane (bus/room.py)."""

    def __init__(self, *, at_root: bool) -> None:
        self._at_root = at_root
        self.full: frozenset[tuple[str, Lane]] = frozenset()

    def count(self, waiting: Mapping[str, int], cap: int) -> bool:
        """With newer counts of some of them. Whether that changed anything."""
        both = [(actor, lane, count) for actor, count in waiting.items() for lane in LANES]
        at_root = self._at_root
        begun = {(actor, lane) for actor, lane, count in both if count >= room.mark(cap, lane, at_root=at_root)}
        ended = {(actor, lane) for actor, lane, count in both if count <= room.resumes(cap, lane, at_root=at_root)}
        before, self.full = self.full, (self.full | begun) - ended
        return self.full != before


class Holds:
    """What this node says about holds, and keeps to."""

    def __init__(self, parts: HoldParts, queues: Queues) -> None:
        self._parts = parts
        self._queues = queues
        self._inboxes = Inboxes(at_root=parts.is_root)
        self.holding = Holding(parts.time)

    def counted(self, waiting: Mapping[str, int]) -> None:
        """Links brought something for these actors, who have so many waiting now."""
        if self._inboxes.count(waiting, self._parts.inbox_max()):
            self._parts.signals.ring(OUTBOX_SIGNAL)

    async def watch(self) -> None:
        """A full inbox is emptied by its actor: it is looked at whenever something is taken, and now and then."""
        group, signals = self._parts.group, self._parts.signals
        while True:
            rung = signals.count(OUTBOX_SIGNAL)
            if not self._inboxes.full:
                await signals.wait_beyond(OUTBOX_SIGNAL, rung)
                continue
            taken = signals.count(TAKEN_SIGNAL)
            full = sorted({actor for actor, _ in self._inboxes.full})
            [found] = await group.read([arrivals.waiting_counts(full)])
            self.counted(dict.fromkeys(full, 0) | arrivals.pairs(found))
            with trio.move_on_after(LOOK_AT_FULL_NS / 1e9):
                await signals.wait_beyond(TAKEN_SIGNAL, taken)

    def for_peer(self, peer: bytes) -> Held:
        """What a peer should not send: on a sibling what its own full actors cannot take, on the root all it knows."""
        own = frozenset((self._parts.me, actor, lane) for actor, lane in self._inboxes.full)
        if not self._parts.is_root:
            return within(own)
        queues = frozenset((key, "", lane) for key, lane in self._queues.held_for(peer))
        told = frozenset(one for one in self.holding.all() if one[0] != peer)
        return within(own | queues | told)

    def here(self, lane: Lane) -> HeldHere:
        """The same for what goes out from here."""
        held = [(key, actor) for key, actor, of in self.holding.all() if of == lane]
        actors = ((self._parts.name_of(key), actor) for key, actor in held if actor)
        return frozenset(key for key, actor in held if not actor), frozenset(f"{a}@{n}" for n, a in actors if n)

    def keeps(self, destination: bytes, recipient: str, lane: Lane) -> bool:
        """Whether an envelope for this address is kept here for now."""
        nodes, actors = self.here(lane)
        return destination in nodes or recipient in actors

    def shown(self, peer: bytes) -> list[str]:
        """For `netsky status`: on the root what this peer is asked to hold, on a sibling what is held here."""
        held = self.for_peer(peer) if self._parts.is_root else self.holding.all()
        names = {(self._parts.name_of(key) or "?", actor) for key, actor, _ in held}
        return sorted(f"{actor}@{name}" if actor else name for name, actor in names)


def within(held: Held) -> Held:
    """As many as can be said; where there are more, whole nodes instead of their actors."""
    if len(held) <= HOLDS_MAX:
        return held
    nodes = sorted({(key, lane) for key, _, lane in held})
    return frozenset((key, "", lane) for key, lane in nodes[:HOLDS_MAX])


class Lasting:
    """Since when each hold lasts, by looking now and then: one that ends and begins between two looks has lasted."""

    def __init__(self) -> None:
        self._since: dict[tuple[bytes, str], int] = {}

    def look(self, held: Held, wall: int) -> dict[tuple[bytes, str], int]:
        """Since when (wall clock, ns)."""
        self._since = {one: self._since.get(one, wall) for one in ((key, actor) for key, actor, _ in held)}
        return self._since
