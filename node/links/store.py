"""A link's store on meta.db: what `mesh/driver.py` commits before anything is sent, through the one group commit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import cast

import trio
from netsky.envelope.kinds import Lane
from netsky.mesh.driver import Driver
from netsky.mesh.effects import Notice, Raised, Record, Restored
from netsky.mesh.ends import LinkState
from netsky.mesh.frames import LEAF_BYTES, LINEAGE_BYTES
from netsky.mesh.lineage import Lineage
from netsky.mesh.offer import Offer, Wanted
from netsky.mesh.roster import Roster
from netsky.mesh.streams import LANES, FrameState, IncomingState, OutgoingState, Seen
from netsky.node.daemon.told import fates_signal, outbox_signal
from netsky.node.db import flight, links, outbox
from netsky.node.db.group import GroupCommit
from netsky.node.events import Signals
from netsky.node.links.holding import Held, HeldHere
from netsky.node.links.items import Persist
from netsky.node.links.offers import Offers
from netsky.node.links.onward import Onward
from netsky.node.links.planner import LinkPlanner
from netsky.node.links.relating import Relating
from netsky.node.links.remembering import Remembering
from netsky.node.links.slot import Slot
from netsky.node.seams.chance import Chance
from netsky.node.seams.ledger import Row
from netsky.node.seams.time import Time

LINEAGE_LOOK_SECONDS = 0.1
"""Between two looks at whether the outcomes are gone that a peer gets before it hears of a restore."""


@dataclass(frozen=True, slots=True)
class Ways:
    """What all links of a node share."""

    group: GroupCommit
    planner: LinkPlanner
    is_root: bool
    signals: Signals
    time: Time
    chance: Chance
    remembering: Remembering
    roster: Callable[[], tuple[Roster | None, bytes]]
    window: Callable[[Lane], tuple[int, int]]
    held_for: Callable[[bytes], Held]
    """On the root: what the origin of this key is asked to hold."""
    onward: Onward
    held_here: Callable[[Lane], HeldHere]
    """What goes nowhere from here for now."""


MakeStore = Callable[[Slot, str, Offers, Ways, Callable[[bytes, Notice], None]], "PeerStore"]


class PeerStore:
    """The LinkStore of one peer."""

    def __init__(
        self, slot: Slot, name: str, offers: Offers, ways: Ways, notice: Callable[[bytes, Notice], None]
    ) -> None:
        self._slot = slot
        self._peer = slot.key
        self._name = name
        self._offers = offers
        self._ways = ways
        self._notice = notice
        self._relating = Relating(slot.key, ways.group, ways.remembering)
        self._bells: dict[Lane, str] = {lane: outbox_signal(slot.key, lane) for lane in LANES}
        self._fates = fates_signal(slot.key)
        self._rung = dict.fromkeys([*self._bells.values(), self._fates], 0)

    async def load(self) -> LinkState:
        """What is stored, once everything is that a connection before this one still wanted stored."""
        await self.persist(())
        found, flown, window = await self._ways.group.write(
            [links.streams(self._peer), flight.leaves(self._peer), links.window(self._peer)]
        )
        rows = {(row.direction, row.lane): row for row in links.stream_rows(found)}
        frames = _frames(flown)
        seen: dict[str, list[Seen]] = {lane: [] for lane in LANES}
        for frame in links.window_rows(window):
            seen[frame.lane].append(Seen(frame.first, _split(frame.leaves), frame.claim))
        outgoing = {lane: await self._outgoing(lane, rows.get(("out", lane)), frames[lane]) for lane in LANES}
        incoming = {lane: _incoming(rows.get(("in", lane)), seen[lane]) for lane in LANES}
        return LinkState(outgoing, incoming, replace(self._ways.remembering.memory(self._peer), blame=self._slot.blame))

    async def persist(self, records: Sequence[Record]) -> None:
        for record in records:
            if isinstance(record, Raised | Restored):
                self._ways.remembering.raise_to(record.life)
        await self._ways.group.submit(self._ways.planner, Persist(self._peer, self._name, tuple(records)))

    async def offers(self, lane: Lane, wanted: Wanted) -> Sequence[Offer]:
        # Before rows are read: what comes later rings again.
        for bell in (self._bells[lane], *((self._fates,) if lane == "reply" else ())):
            self._rung[bell] = self._ways.signals.count(bell)
        if wanted.first is not None:
            return await self._offers.again(lane, wanted)
        return await self._offers.new(lane, wanted, self._ways.held_here(lane))

    def driven(self, driver: Driver) -> AbstractContextManager[None]:
        return self._ways.onward.driven(self._peer, driver)

    async def more(self, lane: Lane) -> None:
        waits = False
        if self._ways.is_root and lane == "reply":
            if await self._relating.look():
                return
            waits = self._relating.waits
        with trio.move_on_after(LINEAGE_LOOK_SECONDS if waits else math.inf):
            await self._hear(self._bells[lane])

    def is_quiet(self, lane: Lane) -> bool:
        bell = self._bells[lane]
        return self._ways.signals.count(bell) == self._rung[bell]

    async def fates(self) -> None:
        await self._hear(self._fates)

    def tell(self, notice: Notice) -> None:
        self._notice(self._peer, notice)

    def window(self, lane: Lane) -> tuple[int, int]:
        return self._ways.window(lane)

    def held(self) -> Held:
        return self._ways.held_for(self._peer)

    def lineages(self) -> Mapping[bytes, Lineage]:
        return self._relating.told

    def roster(self) -> tuple[Roster | None, bytes]:
        return self._ways.roster()

    async def _hear(self, bell: str) -> None:
        self._rung[bell] = await self._ways.signals.wait_beyond(bell, self._rung[bell])

    async def _outgoing(
        self, lane: Lane, row: links.LinkStreamRow | None, frames: tuple[FrameState, ...]
    ) -> OutgoingState:
        if row is None:
            life = self._ways.remembering.highest
            stream = outbox.StreamRow(self._peer, "out", lane, life, self._ways.chance.token(LINEAGE_BYTES), 0, None)
            began = outbox.begin_life(stream, self._ways.time.wall(), "the first of this link")
            await self._ways.group.write([outbox.put_stream(stream), began])
            return OutgoingState(stream.life, stream.lineage)
        return OutgoingState(row.life, row.lineage, row.acked, row.acked_leaf or b"", frames, row.frozen)


def _frames(rows: list[Row]) -> dict[str, tuple[FrameState, ...]]:
    frames: dict[str, list[FrameState]] = {lane: [] for lane in LANES}
    for lane, first, leaves in rows:
        frames[str(lane)].append(FrameState(cast("int", first), _split(cast("bytes", leaves))))
    return {lane: tuple(some) for lane, some in frames.items()}


def _incoming(row: links.LinkStreamRow | None, seen: list[Seen]) -> IncomingState:
    if row is None:
        return IncomingState()
    return IncomingState(row.life, row.lineage, row.number, row.leaf or b"", tuple(seen), row.frozen)


def _split(leaves: bytes) -> tuple[bytes, ...]:
    return tuple(leaves[at : at + LEAF_BYTES] for at in range(0, len(leaves), LEAF_BYTES))
