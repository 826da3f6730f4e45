"""What one data frame carries, once it is known that the seal at its head belongs to it.

A frame of envelopes stands under a link seal on its way to the root and under a route on its way to a sibling, one of
outcomes under a link seal both ways. Whatever is wrong here is a fault of the link and ends the connection: `Invalid`
is raised with the code of that end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsky.envelope.batch import Batch, decode_batch, leaves
from netsky.envelope.invalid import Invalid
from netsky.envelope.kinds import Lane
from netsky.mesh.claim import Claim, leaves_hash, open_claim
from netsky.mesh.ends import Ends
from netsky.mesh.frames import Data, Outcomes
from netsky.mesh.outcome import Outcome, outcome_leaf, unpack_outcome
from netsky.mesh.pieces import full_positions
from netsky.mesh.route import Route, bitmap_of, open_route
from netsky.mesh.streams import Seen


@dataclass(frozen=True, slots=True)
class Carried:
    seen: Seen
    leaves: tuple[bytes, ...]
    """Those under its numbers, in order."""
    batch: Batch | None = None
    hashed: tuple[bytes, ...] = ()
    """The leaf of every statement of the batch: computed here, once."""
    positions: tuple[int, ...] = ()
    """In the batch, of those with numbers."""
    route: Route | None = None
    outcomes: tuple[Outcome, ...] = ()

    @property
    def last(self) -> int:
        return self.seen.first + len(self.leaves) - 1


def read_outcomes(frame: Outcomes, lane: Lane, life: int, ends: Ends) -> Carried:
    if lane != "reply":
        raise Invalid("frame", "Outcomes travel on the reply lane.", "frame")
    own = tuple(outcome_leaf(packed) for packed in frame.outcomes)
    first = _claimed(frame.seal, lane, life, own, ends)
    try:
        outcomes = tuple(unpack_outcome(packed) for packed in frame.outcomes)
    except Invalid as fault:
        raise Invalid("frame", fault.sentence, "frame") from None
    return Carried(Seen(first, own, frame.seal), own, outcomes=outcomes)


def read_data(frame: Data, lane: Lane, life: int, ends: Ends) -> Carried:
    try:
        batch = decode_batch(frame.batch)
    except Invalid as fault:
        raise Invalid("frame", fault.sentence, "frame") from None
    covered, positions = tuple(leaves(batch)), tuple(full_positions(batch))
    own = tuple(covered[at] for at in positions)
    if ends.at_root:
        first = _claimed(frame.seal, lane, life, own, ends)
        return Carried(Seen(first, own, frame.seal), own, batch, covered, positions)
    route = _routed(frame.seal, lane, life, covered, positions, ends=ends)
    return Carried(Seen(route.first, covered, frame.seal), own, batch, covered, positions, route)


def _claimed(seal: bytes, lane: Lane, life: int, own: Sequence[bytes], ends: Ends) -> int:
    """The first number, if this is the peer's link seal over this frame."""
    try:
        claim = open_claim(seal, ends.peer, ends.mesh)
    except Invalid as fault:
        raise Invalid("claim", fault.sentence, "claim") from None
    if claim != Claim(ends.reign, lane, life, claim.first, len(own), leaves_hash(own), ends.me):
        raise Invalid("claim", "The link seal does not belong to this frame.", "claim")
    return claim.first


def _routed(
    seal: bytes, lane: Lane, life: int, covered: Sequence[bytes], positions: Sequence[int], *, ends: Ends
) -> Route:
    try:
        route = open_route(seal, ends.root, ends.mesh)
    except Invalid as fault:
        raise Invalid("route", fault.sentence, "route") from None
    if route.reign != ends.reign:
        raise Invalid("route", f"The route is of reign {route.reign}, this node follows reign {ends.reign}.", "reign")
    if (route.lane, route.life, route.destination) != (lane, life, ends.me):
        raise Invalid("route", "The route is for another node, lane or life.", "route")
    # Count and bitmap of a route agree, so this covers surplus and missing statements too.
    if route.bitmap != bitmap_of(positions) or route.leaves != leaves_hash(covered):
        raise Invalid("route", "The route does not belong to this batch.", "route")
    return route
