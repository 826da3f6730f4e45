"""What came for other nodes goes into the root's queue, and has its number at once where nothing waits before it."""

from __future__ import annotations

from netsky.mesh.offer import Offer
from netsky.node.bus.onward import AllGiven, Onward
from netsky.node.bus.sealing import Numbers
from netsky.node.db import forward
from netsky.node.links.group import Group
from netsky.node.seams.ledger import Row


class Passing:
    def __init__(self, onward: Onward) -> None:
        self._onward = onward
        self._seqs = Numbers()

    def on(self, group: Group, newest: list[Row]) -> AllGiven:
        """Adds what the group forwards to its statements, `newest` being the highest row of the queue. Returns the
        numbers that were given."""
        placed, given = [], AllGiven()
        if not group.forward:
            return given
        self._seqs.count_on(newest)
        for new in group.forward:
            seq, one = self._seqs.next(), None
            if not (new.blobs or group.restored):
                received, packed = new.received_at, new.batch
                offer = Offer("forward", (seq,), new.read, received=received, hashed=new.leaves, packed=packed)
                one = self._onward.number(new.peer, new.lane, offer, {(new.peer, new.recipient)})
            placed.append(forward.Placed(seq, "open" if one is None else "sent", new))
            if one is None:
                group.waiting.add((new.peer, new.lane))
            else:
                given.add(one)
        group.statements += [*forward.insert(placed), *given.statements()]
        return given
