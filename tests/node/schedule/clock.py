"""A clock that somebody sets."""

from __future__ import annotations

from datetime import UTC, datetime

from netsky.node.lab.virtual import VirtualTime

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def moment(text: str) -> int:
    """By the clock of UTC, ns."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


class MovedTime(VirtualTime):
    def __init__(self, at: str = "2026-03-28T12:00:30") -> None:
        super().__init__(moment(at))
        self.moved = 0

    def wall(self) -> int:
        return super().wall() + self.moved
