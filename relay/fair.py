"""Whose turn it is at a destination: deficit round robin over origins, counted in bytes.

Each origin in turn may send a quantum; what it does not use because its next frame is larger is kept for its next
turn, what it does not use because it has nothing is not. So one who floods gets no more than one who asks now and then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netsky.relay.limits import QUANTUM_BYTES


@dataclass(frozen=True, slots=True)
class Head:
    """A frame that waits."""

    row: int
    envelopes: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Room:
    envelopes: int
    bytes: int
    frames: int


class Fair:
    """One for each destination and lane. Lost with the process: then everybody starts with nothing saved."""

    def __init__(self, quantum: int = QUANTUM_BYTES) -> None:
        self._quantum = quantum
        self._saved: dict[bytes, int] = {}
        self._last = b""
        self._interrupted: bytes | None = None

    def pick(self, heads: Mapping[bytes, Sequence[Head]], room: Room) -> list[Head]:
        """From the fronts of the queues, in the order in which they go out. A frame fits while any room is left."""
        waiting = {origin: list(reversed(some)) for origin, some in heads.items() if some}
        self._saved = {origin: saved for origin, saved in self._saved.items() if origin in waiting}
        if self._interrupted not in waiting:
            self._interrupted = None  # it has nothing that may go now, so its turn is over
        picked: list[Head] = []
        envelopes, size = room.envelopes, room.bytes
        while waiting:
            for origin in _turns(waiting, self._last):
                if origin != self._interrupted:  # whose turn it still is gets nothing on top
                    self._saved[origin] = self._saved.get(origin, 0) + self._quantum
                self._interrupted = None
                queue = waiting[origin]
                while queue and queue[-1].bytes <= self._saved[origin]:
                    if len(picked) == room.frames or size <= 0 or envelopes < queue[-1].envelopes:
                        self._interrupted = origin
                        return picked
                    head = queue.pop()
                    self._saved[origin] -= head.bytes
                    envelopes -= head.envelopes
                    size -= head.bytes
                    picked.append(head)
                self._last = origin
                if not queue:
                    del waiting[origin]
                    self._saved.pop(origin, None)
        return picked


def _turns(waiting: Mapping[bytes, object], last: bytes) -> list[bytes]:
    """All of them once, beginning behind the one that had its turn last."""
    order = sorted(waiting)
    later = [origin for origin in order if origin > last]
    return later + order[: len(order) - len(later)]
