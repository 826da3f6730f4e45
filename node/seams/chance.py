"""The chance seam: ids, tokens, jitter, keys."""

from __future__ import annotations

from typing import Protocol


class Chance(Protocol):
    def token(self, size: int) -> bytes:
        """Unpredictable bytes, for ids, keys and secrets."""

    def fraction(self) -> float:
        """A number in [0, 1), for jitter."""
