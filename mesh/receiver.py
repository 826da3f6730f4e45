"""What comes in on the lanes of one link: is it next, was it granted, what is in it, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from netsky.envelope.batch import BatchCache
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import Lane
from netsky.mesh.arrival import Judge
from netsky.mesh.carried import Carried, read_data, read_outcomes
from netsky.mesh.effects import NOTHING, Answered, Arrival, Arrived, Effects, Record, Stored, closing, freezing
from netsky.mesh.ends import Ends
from netsky.mesh.frames import CONTROL, Ack, Credit, Data, Evidence, Hello, Outcomes
from netsky.mesh.limits import BATCH_CACHE, INBOX_BYTES_MAX, ROSTER_WITHIN_NS
from netsky.mesh.roster import Roster
from netsky.mesh.streams import LANES, Incoming, IncomingState


class Receiver:
    def __init__(self, ends: Ends, state: Mapping[Lane, IncomingState], roster: Roster | None) -> None:
        self.lanes = {lane: Incoming(state[lane]) for lane in LANES}
        self._ends = ends
        self._cache = BatchCache(BATCH_CACHE)
        self._judge = Judge(ends, roster, self._cache) if roster is not None else None
        self._open = False
        self._parked: list[tuple[Lane, Data | Outcomes]] = []
        self._parked_bytes = 0
        self.waits_until: int | None = None
        """While data waits for the roster by which it was routed: for how long."""

    def greet(self, hello: Hello) -> Effects:
        """Both hellos are in: compares, and lets the peer send what it was granted."""
        self._open = True
        effects = NOTHING
        for lane, incoming in self.lanes.items():
            if incoming.frozen is not None:
                continue
            sends = hello.lane(lane).sends
            fault = incoming.fault(sends)
            if fault is not None and fault[0] == "peer_rolled_back":
                incoming.frozen = fault[0]  # nothing is stored: shown what it forgot, it begins a new life
                effects += self._evidence(lane, incoming, incoming.mark)
                continue
            if fault is not None:
                effects += self._freeze(lane, *fault)
                continue
            incoming.begin(sends.life, sends.lineage)
            if incoming.window[0]:
                effects += self._state_credit(lane)
        return effects

    def grant(self, lane: Lane, envelopes: int, size: int) -> Effects:
        changed = self.lanes[lane].grant((envelopes, size))
        return self._state_credit(lane) if changed and self._open else NOTHING

    def adopt(self, roster: Roster) -> Effects:
        """Goes by this roster from now on, and looks again at what has waited for it."""
        self._judge = Judge(self._ends, roster, self._cache)
        parked, self._parked, self._parked_bytes = self._parked, [], 0
        effects = NOTHING
        for lane, frame in parked:
            effects += self._receive(lane, frame, self.waits_until or 0)
            if effects.close is not None:
                return effects
        if not self._parked:
            self.waits_until = None
        return effects

    def receive(self, lane: Lane, frame: Data | Outcomes, now: int) -> Effects:
        effects = self._receive(lane, frame, now + ROSTER_WITHIN_NS)
        return effects if effects.close is None else replace(effects, close=replace(effects.close, lane=lane))

    def _receive(self, lane: Lane, frame: Data | Outcomes, within: int) -> Effects:
        incoming = self.lanes[lane]
        if incoming.frozen is not None:
            return NOTHING
        if self._parked:
            return self._park(lane, frame)  # behind what waits already: numbers have an order
        try:
            if isinstance(frame, Outcomes):
                carried = read_outcomes(frame, lane, incoming.life, self._ends)
            else:
                carried = read_data(frame, lane, incoming.life, self._ends)
        except Invalid as fault:
            return closing(fault.code, fault.sentence)
        if carried.route is not None and (self._judge is None or carried.route.roster > self._judge.roster.version):
            self.waits_until = within
            return self._park(lane, frame)
        return self._number(lane, incoming, carried)

    def _park(self, lane: Lane, frame: Data | Outcomes) -> Effects:
        carried = [frame.batch] if isinstance(frame, Data) else frame.outcomes
        self._parked.append((lane, frame))
        self._parked_bytes += len(frame.seal) + sum(map(len, carried))
        if self._parked_bytes > INBOX_BYTES_MAX:
            return closing("roster", "The root sent too much before the roster by which it was routed.")
        return NOTHING

    def _number(self, lane: Lane, incoming: Incoming, carried: Carried) -> Effects:
        first, last = carried.seen.first, carried.last
        if first > incoming.mark + 1:
            return closing("gap", f"Number {first} came where {incoming.mark + 1} is next.")
        for number in range(first, min(last, incoming.mark) + 1):
            before = incoming.seen(number)
            if before is None:
                return closing("gap", f"Number {number} is too long ago to be told from another.")
            _, leaf = before
            if leaf != carried.leaves[number - first]:
                sentence = f"The peer sent something else again as number {number}: it was restored or cloned."
                return self._evidence(lane, incoming, number) + self._freeze(lane, "diverged", sentence)
        if last <= incoming.mark:
            return Effects(send=((CONTROL, Ack(lane, incoming.life, incoming.mark)),))
        if last > incoming.allowed:
            return closing("credit", f"Number {last} came where {incoming.allowed} was the last one granted.")
        return self._take(lane, incoming, carried)

    def _take(self, lane: Lane, incoming: Incoming, carried: Carried) -> Effects:
        """The frame goes on beyond the mark: what is new in it is stored, then acknowledged."""
        seen, known = carried.seen, incoming.mark + 1 - carried.seen.first
        record: Record
        told: tuple[Stored, ...] = ()
        if carried.batch is None:
            new = carried.outcomes[known:]
            record = Answered(lane, incoming.life, incoming.lineage, new, seen.claim, seen.first, seen.leaves)
        else:
            # A route came: there is a judge, or it would wait. A link seal came: at the root there is always one.
            assert self._judge is not None
            bare = [
                Arrival(seen.first + index, leaf, position, None, None, None)
                for index, (leaf, position) in enumerate(zip(carried.leaves, carried.positions, strict=True))
            ]
            arrivals = self._judge.arrivals(carried.batch, carried.hashed, lane, bare[known:])
            record = Arrived(
                *(lane, incoming.life, incoming.lineage, carried.batch, arrivals),
                *(seen.claim, seen.first, seen.leaves, self._ends.reign, carried.route),
            )
            told = (Stored(lane, sum(arrival.refusal is None for arrival in arrivals)),)
        incoming.advance(seen, carried.last, carried.leaves[-1])
        effects = Effects(persist=(record,), send=((CONTROL, Ack(lane, incoming.life, incoming.mark)),), deliver=told)
        return effects + self._state_credit(lane) if incoming.owes_credit() else effects

    def _evidence(self, lane: Lane, incoming: Incoming, number: int) -> Effects:
        """What we hold under this number, under the peer's own seal."""
        known = incoming.seen(number) if number else None
        if known is None:
            return NOTHING
        seen, _ = known
        return Effects(send=((CONTROL, Evidence(lane, incoming.life, number, seen.claim, seen.leaves)),))

    def _state_credit(self, lane: Lane) -> Effects:
        incoming = self.lanes[lane]
        if incoming.frozen is not None or not incoming.life:
            return NOTHING
        number, size = incoming.credit()
        return Effects(send=((CONTROL, Credit(lane, incoming.life, number, size)),))

    def _freeze(self, lane: Lane, code: str, sentence: str) -> Effects:
        self.lanes[lane].frozen = code
        return freezing(lane, "in", code, sentence)
