"""Heartbeats: that the peer lives, how long the way to it is, and how far its wall clock is from ours."""

from __future__ import annotations

from collections import deque

from netsky.mesh.frames import Ping, Pong
from netsky.mesh.limits import CLOCK_SAMPLES


class Pulse:
    def __init__(self) -> None:
        self.count = 0
        self.round_trip_ns: int | None = None
        self._asked_at: int | None = None
        self._measured: deque[tuple[int, int]] = deque(maxlen=CLOCK_SAMPLES)  # round trip, offset

    def ping(self, now: int) -> Ping:
        self.count += 1
        self._asked_at = now
        return Ping(self.count)

    def pong(self, pong: Pong, now: int, wall: int) -> None:
        """Only the answer to the last question counts, and once."""
        if pong.count != self.count or self._asked_at is None:
            return
        self.round_trip_ns = now - self._asked_at
        self._asked_at = None
        # The peer is taken to have answered half way.
        self._measured.append((self.round_trip_ns, pong.wall - (wall - self.round_trip_ns // 2)))

    @property
    def clock_offset_ns(self) -> int | None:
        """Theirs minus ours, by the fastest of the last round trips: it leaves the least to guess."""
        return min(self._measured)[1] if self._measured else None
