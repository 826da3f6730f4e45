"""How full the root's queues are, and what it therefore asks origins to hold.

A hold is a state, not a message: `held_for` says at any moment what an origin should not send. It begins at a mark and
ends at half of it. Above the mark there is room for all that is on its way within the windows granted. Above that the
reply lane has a mark of its own, as high again: no reply ever waits for room that requests hold, and the count is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from netsky.envelope.kinds import Lane
from netsky.relay.limits import (
    QUEUE_BYTES_MAX,
    QUEUE_ENVELOPES_MAX,
    RESERVE_BYTES,
    RESERVE_ENVELOPES,
    RESUME,
    SHARE,
)

Held = TypeVar("Held")


@dataclass(slots=True)
class Load:
    envelopes: int = 0
    bytes: int = 0

    def add(self, envelopes: int, size: int) -> None:
        self.envelopes += envelopes
        self.bytes += size
        assert self.envelopes >= 0
        assert self.bytes >= 0


class Queues:
    """By destination, and by destination and origin. Fed with what was committed, never with what is only planned."""

    def __init__(self, envelopes: int = QUEUE_ENVELOPES_MAX, size: int = QUEUE_BYTES_MAX) -> None:
        self._mark = Load(envelopes, size)
        self._by_destination: dict[bytes, Load] = {}
        self._by_origin: dict[tuple[bytes, bytes], Load] = {}
        self._start: dict[Lane, Load] = {
            "work": Load(),
            "reply": Load(envelopes + RESERVE_ENVELOPES, size + RESERVE_BYTES),
        }
        self._held: set[tuple[bytes, Lane]] = set()
        self._held_origin: set[tuple[tuple[bytes, bytes], Lane]] = set()

    def clear(self) -> None:
        for of_it in (self._by_destination, self._by_origin, self._held, self._held_origin):
            of_it.clear()

    def load(self, destination: bytes) -> Load:
        return self._by_destination.get(destination, Load())

    def change(self, destination: bytes, origin: bytes, envelopes: int, size: int) -> bool:
        """More of it, or less. Whether a hold began or ended by that."""
        pair = (destination, origin)
        whole, share = self._by_destination.setdefault(destination, Load()), self._by_origin.setdefault(pair, Load())
        whole.add(envelopes, size)
        share.add(envelopes, size)
        changed = False
        for lane, start in self._start.items():
            changed |= _turn(self._held, (destination, lane), _above(whole, start, 1), self._mark)
            changed |= _turn(self._held_origin, (pair, lane), _above(share, start, SHARE), self._mark)
        if not share.envelopes:
            del self._by_origin[pair]
        if not whole.envelopes:
            del self._by_destination[destination]
        return changed

    def held_for(self, origin: bytes) -> frozenset[tuple[bytes, Lane]]:
        """The destinations that this origin should not send to for now, with the lane."""
        return frozenset(self._held | {(to, lane) for (to, who), lane in self._held_origin if who == origin})

    def held(self) -> frozenset[tuple[bytes, Lane]]:
        """The destinations that any origin should not send to for now, with the lane."""
        return frozenset(self._held | {(to, lane) for (to, _), lane in self._held_origin})

    def is_over(self, destination: bytes, origin: bytes, lane: Lane) -> bool:
        """Even the room for what was on its way is used up: an origin went on in spite of a hold."""
        start, share = self._start[lane], self._by_origin.get((destination, origin), Load())
        return any(
            load.envelopes >= self._mark.envelopes + RESERVE_ENVELOPES or load.bytes >= self._mark.bytes + RESERVE_BYTES
            for load in (_above(self.load(destination), start, 1), _above(share, start, SHARE))
        )


def _above(load: Load, start: Load, share: int) -> Load:
    """What of it counts for a lane; a share is held against the mark of the whole."""
    return Load(load.envelopes * share - start.envelopes, load.bytes * share - start.bytes)


def _turn(held: set[Held], what: Held, load: Load, mark: Load) -> bool:
    full = load.envelopes >= mark.envelopes or load.bytes >= mark.bytes
    if full and what not in held:
        held.add(what)
        return True
    low = load.envelopes * RESUME <= mark.envelopes and load.bytes * RESUME <= mark.bytes
    if low and what in held:
        held.discard(what)
        return True
    return False
