"""The clocks of one simulated machine: the wall clock drifts, jumps and stands still, the monotonic one only rises."""

from __future__ import annotations

from datetime import UTC, datetime

from netsky.node.lab.virtual import EPOCH_NS, VirtualTime

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def moment(text: str) -> int:
    """By the clock of UTC, ns."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


class MachineTime(VirtualTime):
    def __init__(self, at: int = EPOCH_NS) -> None:
        super().__init__(at)
        self.moved = 0
        """How far the wall clock is from the truth, ns; whoever sets it makes it jump."""
        self.slept = 0
        """What went by while everybody was suspended, ns: the truth has moved on, and no monotonic clock has."""
        self._drift = 0.0
        self._drifts_since = 0
        self._stands_at: int | None = None

    def wall(self) -> int:
        if self._stands_at is not None:
            return self._stands_at
        moved = self.moved + self.slept
        if self._drift:
            moved += round((self.monotonic() - self._drifts_since) * self._drift)
        return super().wall() + moved

    def drift(self, rate: float) -> None:
        """From now on it gains so much a second; 0 keeps what it has gained."""
        now = self.monotonic()
        self.moved += round((now - self._drifts_since) * self._drift)
        self._drift, self._drifts_since = rate, now

    def freeze(self) -> None:
        """It stands still, until it is set right."""
        self._stands_at = self.wall()

    def set_right(self) -> None:
        """As a time server does: the truth, at once."""
        self.moved, self._drift, self._stands_at = 0, 0.0, None
