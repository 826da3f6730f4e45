"""How long to wait before the next try. The one such rule: nobody else multiplies a delay."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubling waits with full jitter above a floor, so that what fails together does not come back together."""

    first_ns: int
    cap_ns: int

    def __post_init__(self) -> None:
        assert 0 < self.first_ns <= self.cap_ns

    def wait_ns(self, attempt: int, fraction: float) -> int:
        """The wait before try `attempt` (0 is the first repetition): between half and all of the doubled delay.

        `fraction` in [0, 1) is drawn by the caller from its chance seam.
        """
        assert attempt >= 0
        assert 0.0 <= fraction < 1.0
        full = min(self.cap_ns, self.first_ns << min(attempt, 62))
        return full // 2 + int(full / 2 * fraction)


RESTART = Backoff(100_000_000, 5_000_000_000)
"""A crashed task: soon, since most crashes are of the moment, and never later than a person's patience."""

DIAL = Backoff(200_000_000, 5_000_000_000)
"""A link that was cut: a healed cut is noticed within five seconds."""

RETRY = Backoff(1_000_000_000, 300_000_000_000)
"""Work that failed: 1 s to 5 min."""
