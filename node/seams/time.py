"""The time seam: wall clock, monotonic clock, waiting."""

from __future__ import annotations

from typing import Protocol


class Time(Protocol):
    def wall(self) -> int:
        """Nanoseconds since 1970, as the machine believes."""

    def monotonic(self) -> int:
        """Nanoseconds that only rise."""

    async def sleep_until(self, monotonic_ns: int) -> None: ...
