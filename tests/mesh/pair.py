"""Two machines with a wire between them and no driver: every frame goes through bytes, and a test may drop some.

`left` is the one that sends in most stories: the sibling when they go up to the root, the root when they go down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from netsky.envelope.batch import Batch, Statement, encode_batch, leaves
from netsky.mesh.claim import Claim, leaves_hash, seal_claim
from netsky.mesh.effects import Close, Effects
from netsky.mesh.frames import HEAD_BYTES, LANE_CHANNELS, Data, Frame, Outcomes, decode_frame, encode_frame
from netsky.mesh.outcome import outcome_leaf
from netsky.mesh.route import Route, bitmap_of, seal_route
from netsky.mesh.streams import LANES

from tests.mesh.world import MESH, NOW, REIGN, ROOT, SIBLING, MemoryStore, Node, Side

WORK, REPLY = LANE_CHANNELS["work"], LANE_CHANNELS["reply"]
Filter = Callable[[Side, Frame], bool]

both_ways = pytest.mark.parametrize("down", [False, True], ids=["up", "down"])


class Pair:
    def __init__(
        self, *, down: bool = False, left: MemoryStore | None = None, right: MemoryStore | None = None
    ) -> None:
        one, two = (ROOT, SIBLING) if down else (SIBLING, ROOT)
        self.down = down
        self.left = Side(one, two, left or MemoryStore())
        self.right = Side(two, one, right or MemoryStore())
        self.now = 0
        self.wire: list[tuple[Side, int, Frame]] = []  # to whom, on which channel
        self.closed: dict[str, Close] = {}  # "left", "right"
        self.said: list[tuple[str, Frame]] = []

    def connect(self) -> None:
        """A new connection: what was on the wire is lost, both machines start from what is stored."""
        self.wire.clear()
        self.closed.clear()
        for side in (self.left, self.right):
            self.obey(side, side.new_link().start(self.now))
            self.ask_node(side)

    def name(self, side: Side) -> str:
        return "left" if side is self.left else "right"

    def other(self, side: Side) -> Side:
        return self.right if side is self.left else self.left

    def batch(self, *ids: str, **fields: object) -> Batch:
        return self.left.node.batch(self.right.node, *ids, **fields)  # type: ignore[arg-type]

    def ask_node(self, side: Side) -> None:
        """What a driver does at the start of each turn."""
        link, store = side.machine, side.store
        effects = link.know(*store.roster())
        if effects.close is None:
            effects += link.hold(store.held())
            link.relate(store.lineages())
            for lane in LANES:
                effects += link.grant(lane, *store.window(lane))
        self.obey(side, effects)

    def obey(self, side: Side, effects: Effects) -> None:
        side.store.commit(effects.persist)
        for channel, frame in effects.send:
            self.said.append((self.name(side), frame))
            self.wire.append((self.other(side), channel, decode_frame(encode_frame(frame)[HEAD_BYTES:])))
        for notice in effects.deliver:
            side.store.tell(notice)
        if effects.close is not None:
            self.closed[self.name(side)] = effects.close

    def feed(self, side: Side, frame: Frame, channel: int = WORK) -> None:
        """What this side's peer is made to say."""
        self.obey(side, side.machine.receive(channel, frame, self.now, NOW))

    def offer(self, side: Side) -> bool:
        link = side.machine
        pieces = link.pieces()
        self.obey(side, pieces)
        if pieces.send:
            return True
        for lane in LANES:
            wanted = link.wanted(lane)
            if wanted is not None:
                effects = link.submit(lane, side.store.find(lane, wanted), NOW)
                self.obey(side, effects)
                if effects.send:
                    return True
        return False

    def run(self, keep: Filter = lambda _side, _frame: True) -> None:
        """Until nothing moves. `keep` says which frames arrive, by receiver and frame."""
        for side in (self.left, self.right):
            for lane in LANES:
                side.machine.wake(lane)
            self.ask_node(side)
        for _ in range(10_000):
            if self.closed:
                return
            if self.wire:
                to, channel, frame = self.wire.pop(0)
                if keep(to, frame):
                    self.feed(to, frame, channel)
            elif not (self.offer(self.left) or self.offer(self.right)):
                return
        raise AssertionError("the two never come to rest")

    # Frames by hand, as the left one would send them.

    def data(
        self, batch: Batch, first: int, *, sealer: Node | None = None, mesh: bytes = MESH, **wrong: object
    ) -> Data:
        """Under the link seal or the route that belongs to it, but for what is `wrong`."""
        sealer = sealer or self.left.node
        covered = leaves(batch)
        positions = [at for at, one in enumerate(batch.statements) if isinstance(one, Statement)]
        own = [covered[at] for at in positions]
        if self.down:
            route = Route(
                *(REIGN, "work", 1, first, self.right.node.key, len(own), leaves_hash(covered)),
                *(bitmap_of(positions), 5, NOW, NOW),
            )
            seal = seal_route(sealer.sign, sealer.key, mesh, replace(route, **wrong))  # type: ignore[arg-type]
        else:
            claim = Claim(REIGN, "work", 1, first, len(own), leaves_hash(own), self.right.node.key)
            seal = seal_claim(sealer.sign, sealer.key, mesh, replace(claim, **wrong))  # type: ignore[arg-type]
        return Data(seal, encode_batch(batch))

    def outcomes(self, first: int, *packed: bytes, sealer: Node | None = None, **wrong: object) -> Outcomes:
        sealer = sealer or self.left.node
        own = [outcome_leaf(one) for one in packed]
        claim = Claim(REIGN, "reply", 1, first, len(own), leaves_hash(own), self.right.node.key)
        seal = seal_claim(sealer.sign, sealer.key, MESH, replace(claim, **wrong))  # type: ignore[arg-type]
        return Outcomes(seal, packed)


def open_pair(*, down: bool = False) -> Pair:
    """Two that have met, and one frame with two envelopes that was acknowledged."""
    pair = Pair(down=down)
    pair.left.store.add("work", pair.batch("a", "b"))
    pair.connect()
    pair.run()
    assert pair.left.store.state.outgoing["work"].acked == 2
    pair.said.clear()
    return pair
