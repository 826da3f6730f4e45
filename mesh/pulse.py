"""Heartbeats: that the peer lives, how long the way to it is, and how far its wall clock is from ours."""

from __future__ import annotations

from collections import deque

from netsky.mesh.ends import Ends
from netsky.mesh.frames import Ping, Pong
from netsky.mesh.limits import CLOCK_SAMPLES, PING_EVERY_BEATS


class Pulse:
    def __init__(self) -> None:
        self.beats = 0
        self.round_trip_ns: int | None = None
        self._count = 0
        self._asked_at: int | None = None
        self._was_asked_at: int | None = None
        self._measured: deque[tuple[int, int]] = deque(maxlen=CLOCK_SAMPLES)  # round trip, offset

    def beat(self, now: int, ends: Ends) -> Ping | None:
        """The time of a heartbeat. A root that is asked as often as it would ask has answered, which is enough; one end
        alone may reason so, or both would fall silent together."""
        self.beats += 1
        asked = self._was_asked_at is not None and now - self._was_asked_at <= ends.heartbeat_ns
        if ends.at_root and asked and self.beats % PING_EVERY_BEATS != 1:
            return None
        self._count += 1
        self._asked_at = now
        return Ping(self._count)

    def answer(self, ping: Ping, now: int, wall: int) -> Pong:
        self._was_asked_at = now
        return Pong(ping.count, wall)

    def pong(self, pong: Pong, now: int, wall: int) -> None:
        """Only the answer to the last question counts, and once."""
        if pong.count != self._count or self._asked_at is None:
            return
        self.round_trip_ns = now - self._asked_at
        self._asked_at = None
        # The peer is taken to have answered half way.
        self._measured.append((self.round_trip_ns, pong.wall - (wall - self.round_trip_ns // 2)))

    @property
    def clock_offset_ns(self) -> int | None:
        """Theirs minus ours, by the fastest of the last round trips: it leaves the least to guess."""
        return min(self._measured)[1] if self._measured else None
