"""One link as a machine: it is told what came in and what time it is, and answers what to do.

Inputs: `start`, `receive`, `submit`, `wake`, `beat`, `handle_timer`. Each answers with `Effects`, to be obeyed in the
order that `driver.py` keeps. Getters: `is_open`, `wanted`. It lives as long as one connection; the next connection
gets a new one, made from what is stored. If obeying an answer fails, the machine is ahead of the disk: throw it away.

The table of states stands in README.md. No clock, no randomness, no socket, no SQL, no trio in here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from netsky.envelope.batch import Batch, BatchCache, decode_batch, encode_batch, leaves
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import Lane
from netsky.mesh.arrival import Judge
from netsky.mesh.claim import Claim, leaves_hash, open_claim, seal_claim
from netsky.mesh.effects import (
    NOTHING,
    Acked,
    Alarm,
    Arrived,
    Close,
    Direction,
    Effects,
    Froze,
    Numbered,
    Stored,
    Up,
)
from netsky.mesh.frames import (
    CHANNEL_LANES,
    CONTROL,
    LANE_CHANNELS,
    Ack,
    Bye,
    Data,
    Evidence,
    Frame,
    Hello,
    LaneHello,
    Ping,
    Pong,
)
from netsky.mesh.limits import (
    BATCH_CACHE,
    DEAD_AFTER_NS,
    HELLO_WITHIN_NS,
)
from netsky.mesh.pieces import cut, full_positions, statement_size, with_only
from netsky.mesh.streams import Incoming, IncomingState, Outgoing, OutgoingState, Seen

VERSION = 1
LANES: tuple[Lane, ...] = get_args(Lane)


@dataclass(frozen=True, slots=True)
class LinkState:
    """What is stored of a link between two connections."""

    outgoing: Mapping[Lane, OutgoingState]
    incoming: Mapping[Lane, IncomingState]


@dataclass(frozen=True, slots=True)
class Offer:
    """Envelopes of one origin batch, for the peer: the full statements, and the outbox row of each."""

    batch: Batch
    rows: tuple[int, ...]
    first: int | None = None  # the number of the first, if they have numbers already


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the machine would send now: numbered rows from `first` on, or open ones where it is None."""

    life: int
    first: int | None
    envelopes: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Ends:
    """The two nodes of a link, as this one sees them."""

    me: bytes
    peer: bytes
    mesh: bytes
    sign: Callable[[bytes], bytes]
    origins: Mapping[bytes, str]  # whose envelopes may come in by this link: key and name of the node
    reign: int = 0
    capabilities: tuple[str, ...] = ()


class Link:
    """See the head of this file."""

    def __init__(self, ends: Ends, state: LinkState) -> None:
        self._ends = ends
        self._outgoing = {lane: Outgoing(state.outgoing[lane]) for lane in LANES}
        self._incoming = {lane: Incoming(state.incoming[lane]) for lane in LANES}
        self._judge = Judge(ends.me, ends.mesh, ends.origins, BatchCache(BATCH_CACHE))
        self._hello: Hello | None = None
        self._dry: set[Lane] = set()
        self._deadline = 0
        self._pings = 0
        self._pinged_at = 0
        self.round_trip_ns: int | None = None

    @property
    def is_open(self) -> bool:
        return self._hello is not None

    def frozen(self) -> dict[tuple[Lane, Direction], str]:
        both: tuple[tuple[Direction, Mapping[Lane, Outgoing | Incoming]], ...]
        both = (("out", self._outgoing), ("in", self._incoming))
        return {
            (lane, way): code for way, streams in both for lane in LANES if (code := streams[lane].frozen) is not None
        }

    # Inputs.

    def start(self, now: int) -> Effects:
        """The connection is there and the peer's key is proven."""
        self._deadline = now + HELLO_WITHIN_NS
        lanes = [LaneHello(self._outgoing[lane].position(), self._incoming[lane].position()) for lane in LANES]
        hello = Hello(VERSION, self._ends.mesh, self._ends.reign, 0, self._ends.capabilities, *lanes)
        return Effects(send=((CONTROL, hello),), deadline=self._deadline)

    def receive(self, channel: int, frame: Frame, now: int) -> Effects:
        if self._hello is None:
            effects = self._greet(frame) if isinstance(frame, Hello) else _close("hello", "The first frame is hello.")
        elif isinstance(frame, Data):
            lane = CHANNEL_LANES.get(channel)
            effects = self._data(lane, frame, self._hello) if lane else _close("frame", "Data on the control stream.")
        elif channel != CONTROL:
            effects = _close("frame", "A control frame on a data stream.")
        else:
            effects = self._control(frame, now)
        self._deadline = now + DEAD_AFTER_NS
        return replace(effects, deadline=self._deadline)

    def submit(self, lane: Lane, offers: Sequence[Offer]) -> Effects:
        """What the store found for `wanted`; nothing, if it found nothing."""
        out = self._outgoing[lane]
        assert self._hello is not None
        assert out.frozen is None
        if not offers:
            assert out.sent == out.last, "what has a number is kept until it is acknowledged"
            self._dry.add(lane)
        effects = NOTHING
        for offer in offers:
            effects += self._send(lane, out, offer)
        return effects

    def wake(self) -> None:
        """The outbox may have something again."""
        self._dry.clear()

    def beat(self, now: int) -> Effects:
        """The time of a heartbeat."""
        if self._hello is None:
            return NOTHING
        self._pings += 1
        self._pinged_at = now
        return Effects(send=((CONTROL, Ping(self._pings)),))

    def handle_timer(self, now: int) -> Effects:
        if now < self._deadline:
            return Effects(deadline=self._deadline)
        if self._hello is None:
            return _close("hello", "The peer did not say hello in time.")
        return _close("silent", "Nothing came from the peer for too long.")

    # Getters.

    def wanted(self, lane: Lane) -> Wanted | None:
        out = self._outgoing[lane]
        if self._hello is None or out.frozen is not None:
            return None
        envelopes, size = out.room()
        if not envelopes:
            return None
        if out.sent < out.last:
            return Wanted(out.life, out.sent + 1, min(envelopes, out.last - out.sent), size)
        return None if lane in self._dry else Wanted(out.life, None, envelopes, size)

    # Hello.

    def _greet(self, hello: Hello) -> Effects:
        if hello.version != VERSION:
            return _close("version", f"The peer speaks version {hello.version}, this build speaks {VERSION}.")
        if hello.mesh != self._ends.mesh:
            return _close("mesh", "The peer belongs to another mesh.")
        self._hello = hello
        effects = Effects(deliver=(Up(),))
        for lane in LANES:
            theirs, out, incoming = hello.lane(lane), self._outgoing[lane], self._incoming[lane]
            if out.frozen is None:
                fault = out.fault(theirs.received)
                if fault is not None:
                    effects += self._freeze(lane, "out", *fault)
                elif theirs.received.life == out.life and out.ack(theirs.received.number):
                    # An ack that was lost with the last connection: the mark says the same.
                    effects += Effects(persist=(Acked(lane, out.life, out.acked),))
            if incoming.frozen is None:
                fault = incoming.fault(theirs.sends)
                if fault is not None:
                    effects += self._freeze(lane, "in", *fault)
        return effects

    def _freeze(self, lane: Lane, direction: Direction, code: str, sentence: str) -> Effects:
        stream = self._outgoing[lane] if direction == "out" else self._incoming[lane]
        stream.frozen = code
        return Effects(persist=(Froze(lane, direction, code),), deliver=(Alarm(lane, direction, code, sentence),))

    # Control.

    def _control(self, frame: Frame, now: int) -> Effects:
        match frame:
            case Ack():
                return self._ack(frame)
            case Ping():
                return Effects(send=((CONTROL, Pong(frame.count)),))
            case Pong():
                if frame.count == self._pings:
                    self.round_trip_ns = now - self._pinged_at
                return NOTHING
            case Evidence():
                return self._evidence(frame)
            case Bye():
                return _close("bye", f"The peer ended the link: {frame.code!r}, {frame.sentence!r}.")
            case _:
                return _close("hello", f"{type(frame).__name__} has no place here.")

    def _ack(self, ack: Ack) -> Effects:
        out = self._outgoing[ack.lane]
        if out.frozen is not None:
            return NOTHING
        if ack.life != out.life or ack.number > out.sent:
            return _close("ack", "The peer acknowledged what was never sent.")
        return Effects(persist=(Acked(ack.lane, ack.life, ack.number),)) if out.ack(ack.number) else NOTHING

    def _evidence(self, evidence: Evidence) -> Effects:
        """The peer says that we once sent something else under a number, and has to prove it by our own seal."""
        out, number = self._outgoing[evidence.lane], evidence.number
        try:
            claim = open_claim(evidence.claim, self._ends.me, self._ends.mesh)
        except Invalid as fault:
            return _close("claim", fault.sentence)
        proven = (
            (claim.receiver, claim.lane, claim.life) == (self._ends.peer, evidence.lane, evidence.life)
            and len(evidence.leaves) == claim.count
            and leaves_hash(evidence.leaves) == claim.leaves
            and claim.first <= number < claim.first + claim.count
        )
        if not proven:
            return _close("claim", "The peer's evidence does not show what it says.")
        if out.frozen is not None:
            return NOTHING
        return self._freeze(
            evidence.lane, "out", "diverged", f"Under our seal the peer holds something else as number {number}."
        )

    # Data, out.

    def _send(self, lane: Lane, out: Outgoing, offer: Offer) -> Effects:
        full = full_positions(offer.batch)
        assert len(full) == len(offer.rows) > 0
        all_leaves = leaves(offer.batch)
        own = [all_leaves[at] for at in full]
        persist: tuple[Numbered, ...] = ()
        if offer.first is None:
            first = out.number(own)
            persist = (Numbered(lane, out.life, first, offer.rows, own[-1]),)
        else:
            first = offer.first
            for at, leaf in enumerate(own):
                assert leaf == out.leaf(first + at), "what is stored is what was numbered"
        frames: list[tuple[int, Frame]] = []
        for positions in cut(offer.batch):
            piece = with_only(offer.batch, all_leaves, positions)
            hashed = leaves_hash([all_leaves[at] for at in positions])
            claim = Claim(self._ends.reign, lane, out.life, first, len(positions), hashed, self._ends.peer)
            sealed = seal_claim(self._ends.sign, self._ends.me, self._ends.mesh, claim)
            frames.append((LANE_CHANNELS[lane], Data(sealed, encode_batch(piece))))
            out.note_sent(first, [statement_size(piece, at) for at in positions])
            first += len(positions)
        return Effects(persist=persist, send=tuple(frames))

    # Data, in.

    def _data(self, lane: Lane, data: Data, hello: Hello) -> Effects:
        incoming, sends = self._incoming[lane], hello.lane(lane).sends
        if incoming.frozen is not None:
            return NOTHING
        try:
            claim = open_claim(data.claim, self._ends.peer, self._ends.mesh)
        except Invalid as fault:
            return _close("claim", fault.sentence)
        try:
            batch = decode_batch(data.batch)
        except Invalid as fault:
            return _close("frame", fault.sentence)
        all_leaves = leaves(batch)
        own = tuple(all_leaves[at] for at in full_positions(batch))
        expected = Claim(hello.reign, lane, sends.life, claim.first, len(own), leaves_hash(own), self._ends.me)
        if claim != expected:
            return _close("claim", "The link seal does not belong to this frame.")
        incoming.begin(sends.life, sends.lineage)
        if claim.first > incoming.mark + 1:
            return _close("gap", f"Number {claim.first} came where {incoming.mark + 1} is next.")
        seen = Seen(claim.first, own, data.claim)
        known = self._known(lane, incoming, seen)
        if known is not None:
            return known
        return self._arrive(lane, incoming, seen, batch, hello.reign)

    def _known(self, lane: Lane, incoming: Incoming, seen: Seen) -> Effects | None:
        """The answer to numbers that were consumed before; None if there are none, or the frame goes on beyond them."""
        for number in range(seen.first, min(seen.last, incoming.mark) + 1):
            before = incoming.seen(number)
            if before is None:
                return _close("gap", f"Number {number} is too long ago to be told from another.")
            if before.leaf(number) != seen.leaf(number):
                evidence = Evidence(lane, incoming.life, number, before.claim, before.leaves)
                sentence = f"The peer sent something else again as number {number}: it was restored or cloned."
                return Effects(send=((CONTROL, evidence),)) + self._freeze(lane, "in", "diverged", sentence)
        if seen.last <= incoming.mark:
            return Effects(send=((CONTROL, Ack(lane, incoming.life, incoming.mark)),))
        return None

    def _arrive(self, lane: Lane, incoming: Incoming, seen: Seen, batch: Batch, reign: int) -> Effects:
        known = incoming.mark + 1 - seen.first
        arrivals = self._judge.arrivals(batch, lane, seen, known)
        incoming.advance(seen)
        arrived = Arrived(
            *(lane, incoming.life, incoming.lineage, batch, arrivals, seen.claim, seen.first, seen.leaves, reign)
        )
        stored = sum(arrival.refusal is None for arrival in arrivals)
        return Effects(
            persist=(arrived,),
            send=((CONTROL, Ack(lane, incoming.life, incoming.mark)),),
            deliver=(Stored(lane, stored),),
        )


def _close(code: str, sentence: str) -> Effects:
    return Effects(close=Close(code, sentence))
