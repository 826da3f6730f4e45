"""Two machines with a wire between them and no driver: every frame goes through bytes, and a test may drop some."""

from __future__ import annotations

from collections.abc import Callable

from netsky.mesh.effects import Close, Effects
from netsky.mesh.frames import HEAD_BYTES, Frame, decode_frame, encode_frame
from netsky.mesh.link import LANES

from tests.mesh.world import MemoryStore, Node, Side

Filter = Callable[[Side, Frame], bool]


class Pair:
    def __init__(self, left: MemoryStore | None = None, right: MemoryStore | None = None) -> None:
        one, two = Node(1), Node(2)
        self.left = Side(one, two, left or MemoryStore())
        self.right = Side(two, one, right or MemoryStore())
        self.now = 0
        self.wire: list[tuple[Side, int, Frame]] = []  # to whom, on which channel
        self.closed: dict[str, Close] = {}
        self.said: list[tuple[str, Frame]] = []

    def connect(self) -> None:
        """A new connection: what was on the wire is lost, both machines start from what is stored."""
        self.wire.clear()
        self.closed.clear()
        for side in (self.left, self.right):
            self.obey(side, side.new_link().start(self.now))

    def other(self, side: Side) -> Side:
        return self.right if side is self.left else self.left

    def obey(self, side: Side, effects: Effects) -> None:
        side.store.commit(effects.persist)
        for channel, frame in effects.send:
            self.said.append((side.node.name, frame))
            self.wire.append((self.other(side), channel, decode_frame(encode_frame(frame)[HEAD_BYTES:])))
        for notice in effects.deliver:
            side.store.tell(notice)
        if effects.close is not None:
            self.closed[side.node.name] = effects.close

    def offer(self, side: Side) -> bool:
        assert side.link is not None
        for lane in LANES:
            wanted = side.link.wanted(lane)
            if wanted is not None:
                offers = side.store.find(lane, wanted)
                self.obey(side, side.link.submit(lane, offers))
                if offers:
                    return True
        return False

    def run(self, keep: Filter = lambda _side, _frame: True) -> None:
        """Until nothing moves. `keep` says which frames arrive, by receiver and frame."""
        for side in (self.left, self.right):
            assert side.link is not None
            side.link.wake()
        for _ in range(10_000):
            if self.closed:
                return
            if self.wire:
                to, channel, frame = self.wire.pop(0)
                assert to.link is not None
                if keep(to, frame):
                    self.obey(to, to.link.receive(channel, frame, self.now))
            elif not (self.offer(self.left) or self.offer(self.right)):
                return
        raise AssertionError("the two never come to rest")
