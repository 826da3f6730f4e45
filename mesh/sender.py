"""What goes out on the lanes of one link: how much may, under which number and seal, and what the peer says to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netsky.envelope.batch import decode_batch, encode_batch, leaves
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import Lane
from netsky.envelope.limits import BATCH_MAX
from netsky.mesh.claim import Claim, leaves_hash, open_claim, seal_claim
from netsky.mesh.effects import (
    NOTHING,
    Acked,
    Blamed,
    Close,
    Damaged,
    Effects,
    Numbered,
    Raised,
    Record,
    Restored,
    closing,
    freezing,
)
from netsky.mesh.ends import Ends, LinkState
from netsky.mesh.frames import LANE_CHANNELS, Ack, Bye, Credit, Data, Evidence, Frame, Hello, Outcomes
from netsky.mesh.limits import BLAMED_MAX, DATA_FRAME_BYTES_MAX
from netsky.mesh.lineage import Blame
from netsky.mesh.offer import Offer, Wanted
from netsky.mesh.outcome import outcome_leaf
from netsky.mesh.pieces import FRAME_BYTES_OVER, full_positions
from netsky.mesh.route import Route, bitmap_of, open_route, seal_route
from netsky.mesh.streams import LANES, FrameState, Outgoing

BLAMED_CODES = frozenset({"frame", "claim", "route", "gap"})
"""Faults of the link that one frame may have in itself."""


class Sender:
    def __init__(self, ends: Ends, state: LinkState) -> None:
        self.lanes = {lane: Outgoing(state.outgoing[lane]) for lane in LANES}
        self._ends = ends
        self._memory = state.memory
        self._open = False
        self._dry: set[Lane] = set()  # the store had nothing more
        self._cramped: set[Lane] = set()  # that fits less than a batch, so it may well have more: ask when more may go
        self._short: set[Lane] = set()  # it had, but more at once than the peer allows now

    def greet(self, hello: Hello, *, renewed: bool) -> Effects:
        """`renewed`: the peer has another memory than when we met it last, and says so."""
        self._open = True
        effects, close = NOTHING, None
        for lane, out in self.lanes.items():
            received = hello.lane(lane).received
            if out.frozen is not None:
                if renewed:  # whoever has looked at it has given that home another lineage
                    effects += self._raise(lane, 0, "peer_restored")
                    close = Close("restored", "The peer was restored: what was frozen goes on in a new life.")
                continue
            fault = out.fault(received)
            if fault is None:
                if received.life == out.life:
                    # An ack that was lost with the last connection: the mark says the same.
                    effects += self._acknowledge(lane, received.number)
            elif fault[0] == "behind":
                out.frozen = "behind"  # until the peer has proven it; nothing of that is stored
            elif fault[0] != "peer_behind":
                effects += self._freeze(lane, *fault)
            elif self._ends.at_root and not renewed:
                # It may not know yet; it believes its root, and comes back with another lineage.
                close = Close("behind", fault[1])
            else:
                effects += self._raise(lane, received.life, "peer_behind")
                close = close or Close("restored", fault[1])
        return replace(effects, close=close)

    @property
    def unproven(self) -> bool:
        """The peer says that it has seen more from us than we remember, and has not shown it yet."""
        return any(out.frozen == "behind" for out in self.lanes.values())

    # What may go.

    def wanted(self, lane: Lane) -> Wanted | None:
        out = self.lanes[lane]
        if not self._open or out.frozen is not None:
            return None
        envelopes, size = out.room()
        waiting = out.next_frame()
        if waiting is not None:
            fits = len(waiting.leaves) <= envelopes
            return Wanted(out.life, waiting.first, envelopes, size) if fits else None
        if not envelopes or lane in self._dry or lane in self._short:
            return None
        return Wanted(out.life, None, envelopes, size)

    def submit(self, lane: Lane, offers: Sequence[Offer], wall: int, roster_version: int) -> Effects:
        """What the store found for `wanted`; nothing, if it found nothing. Takes from the front what is allowed."""
        out = self.lanes[lane]
        assert self._open
        assert out.frozen is None
        if not offers:
            assert out.sent == out.last, "what has a number is kept until it is acknowledged"
            self._dry.add(lane)
            if out.room()[0] < BATCH_MAX:
                self._cramped.add(lane)
        _, budget = out.room()
        persist: list[Record] = []
        send: list[tuple[int, Frame]] = []
        taken = 0
        for offer in offers:
            covered, own = _leaves(offer)
            batch = offer.packed or (encode_batch(offer.batch) if offer.batch is not None else b"")
            size = FRAME_BYTES_OVER + len(batch) + sum(map(len, offer.outcomes))
            assert size <= DATA_FRAME_BYTES_MAX, "an offer fits a frame"
            if len(own) > out.room()[0] or (taken and taken + size > budget):
                if not taken:
                    self._short.add(lane)
                break
            taken += size
            if offer.first is None:
                frame = out.number(own)
                seal = self._seal(lane, frame, offer, covered, (roster_version, wall))
                rows = offer.rows
                persist.append(Numbered(lane, out.life, frame.first, frame.leaves, seal, offer.source, rows))
            else:
                frame, seal = FrameState(offer.first, own), offer.seal
                assert frame == out.next_frame(), "what is stored is what was numbered"
            out.note_sent(frame, size)
            send.append((LANE_CHANNELS[lane], Data(seal, batch) if batch else Outcomes(seal, offer.outcomes)))
        return Effects(persist=tuple(persist), send=tuple(send))

    def submit_now(self, lane: Lane, offer: Offer, wall: int, roster_version: int) -> Effects | None:
        """What is new and was not asked for: if the store had nothing left and it has room; else it is asked for."""
        assert offer.first is None
        if not self._open or lane not in self._dry or self.lanes[lane].frozen is not None:
            return None
        effects = NOTHING
        if self.lanes[lane].room()[0] and lane not in self._short and lane not in self._cramped:
            effects = self.submit(lane, [offer], wall, roster_version)
        if effects.persist:
            return effects
        self.wake(lane)  # what comes behind it waits with it
        return None

    def wake(self, lane: Lane) -> None:
        """The store may have something again."""
        self._dry.discard(lane)
        self._cramped.discard(lane)

    def _seal(
        self, lane: Lane, frame: FrameState, offer: Offer, covered: Sequence[bytes], by: tuple[int, int]
    ) -> bytes:
        """The route for envelopes that leave the root, the link seal for all else."""
        ends, life, count = self._ends, self.lanes[lane].life, len(frame.leaves)
        assert len(offer.rows) == (count if offer.source == "own" else 1)
        assert (offer.batch is None) == (offer.source == "outcomes")
        if offer.batch is not None and ends.at_root:
            version, wall = by
            bitmap = bitmap_of(full_positions(offer.batch))
            route = Route(
                *(ends.reign, lane, life, frame.first, ends.peer, count, leaves_hash(covered), bitmap, version),
                *(offer.received, wall),
            )
            return seal_route(ends.sign, ends.me, ends.mesh, route)
        assert offer.source != "forward", "the root alone forwards"
        assert offer.batch is not None or lane == "reply"
        claim = Claim(ends.reign, lane, life, frame.first, count, leaves_hash(frame.leaves), ends.peer)
        return seal_claim(ends.sign, ends.me, ends.mesh, claim)

    # What the peer says to it.

    def ack(self, ack: Ack) -> Effects:
        out = self.lanes[ack.lane]
        if out.frozen is not None:
            return NOTHING
        if ack.life != out.life or ack.number > out.sent:
            return closing("ack", "The peer acknowledged what was never sent.")
        return self._acknowledge(ack.lane, ack.number)

    def credit(self, credit: Credit) -> Effects:
        """It replaces what was granted before. However absurd, a window is the most that it is worth."""
        out = self.lanes[credit.lane]
        if out.frozen is not None:
            return NOTHING
        if credit.life != out.life:
            return closing("credit", "The peer grants credit for a life that this node does not send.")
        out.credit = (credit.number, credit.bytes)
        self._more_may_go(credit.lane)
        return NOTHING

    def evidence(self, evidence: Evidence) -> Effects:
        """The peer says that we once sent something else under a number, and has to prove it by our own seal."""
        lane, out, number = evidence.lane, self.lanes[evidence.lane], evidence.number
        try:
            leaf = self._sealed_before(evidence)
        except Invalid as fault:
            return closing("claim", fault.sentence)
        if out.frozen == "behind":
            ahead = evidence.life > out.life or (evidence.life == out.life and number > out.last)
            if leaf is None or not ahead:
                return closing("claim", "The peer's evidence does not show what it says.")
            return self.restored(evidence.life, "proof")
        if out.frozen is not None:
            return NOTHING
        # It answers a number that went out in this connection, so what it is about is remembered.
        sent = evidence.life == out.life and out.acked <= number <= out.sent
        if leaf is None or not sent or out.leaf(number) == leaf:
            return closing("claim", "The peer's evidence does not show what it says.")
        return self._freeze(lane, "diverged", f"Under our seal the peer holds something else as number {number}.")

    def restored(self, seen: int, reason: str) -> Effects:
        """This home forgot what it once did; `seen` is the life in which it did."""
        record = Restored(self._new_life(seen), self._memory.fresh, reason)
        return Effects(persist=(record,), close=Close("restored", "This home was restored: its streams begin anew."))

    def _raise(self, lane: Lane, seen: int, reason: str) -> Effects:
        return Effects(persist=(Raised(lane, self._new_life(seen), self._memory.fresh, reason),))

    def _new_life(self, seen: int) -> int:
        """More than any side has seen."""
        return max(self._memory.highest, seen, *(out.life for out in self.lanes.values())) + 1

    def blamed(self, bye: Bye) -> Effects:
        """The peer ended the connection over something that we sent. A frame that it refuses again and again ends here;
        hello has shown each time that it was not stored."""
        out = self.lanes[bye.lane] if bye.lane is not None else None
        if out is None or bye.lane is None or bye.code not in BLAMED_CODES or out.frozen or out.sent == out.acked:
            return NOTHING
        before, first = self._memory.blame, out.acked + 1
        same = before is not None and (before.lane, before.life, before.first) == (bye.lane, out.life, first)
        times = before.times + 1 if same and before is not None and before.code == bye.code else 1
        if times < BLAMED_MAX:
            return Effects(deliver=(Blamed(Blame(bye.lane, out.life, first, bye.code, times)),))
        return Effects(persist=(Damaged(bye.lane, out.life, first),)) + self._raise(bye.lane, 0, "damaged")

    def _sealed_before(self, evidence: Evidence) -> bytes | None:
        """The leaf under this number by a seal of ours, for this peer, lane and life. Raises Invalid."""
        ends, shown = self._ends, evidence.leaves
        if ends.at_root and decode_batch(evidence.seal).type == "route":
            route = open_route(evidence.seal, ends.me, ends.mesh)
            stream, receiver, first, covered = (route.lane, route.life), route.destination, route.first, route.leaves
            at = route.positions
        else:
            claim = open_claim(evidence.seal, ends.me, ends.mesh)
            stream, receiver, first, covered = (claim.lane, claim.life), claim.receiver, claim.first, claim.leaves
            at = tuple(range(claim.count))
        if (stream, receiver) != ((evidence.lane, evidence.life), ends.peer) or leaves_hash(shown) != covered:
            return None
        index = evidence.number - first
        # With the hash right the leaves are those that we sealed, so every position is among them.
        return shown[at[index]] if 0 <= index < len(at) else None

    def _acknowledge(self, lane: Lane, number: int) -> Effects:
        out = self.lanes[lane]
        if not out.ack(number):
            return NOTHING
        self._more_may_go(lane)
        return Effects(persist=(Acked(lane, out.life, out.acked, out.acked_leaf),))

    def _more_may_go(self, lane: Lane) -> None:
        self._short.discard(lane)
        if lane in self._cramped:
            self._cramped.discard(lane)
            self._dry.discard(lane)

    def _freeze(self, lane: Lane, code: str, sentence: str) -> Effects:
        self.lanes[lane].frozen = code
        return freezing(lane, "out", code, sentence)


def _leaves(offer: Offer) -> tuple[Sequence[bytes], tuple[bytes, ...]]:
    """All that its seal has to cover if it is a route, and those that take numbers."""
    if offer.batch is None:
        own = tuple(outcome_leaf(packed) for packed in offer.outcomes)
        return own, own
    covered = offer.hashed or leaves(offer.batch)
    return covered, tuple(covered[at] for at in full_positions(offer.batch))
