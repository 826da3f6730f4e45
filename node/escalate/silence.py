"""When the root is silent: a machine without I/O.

Silence is what was listened to. Between two looks at most a few periods count, so that a laptop that slept, or a
daemon that was stopped, does not take its own absence for the root's; and it begins at nothing in each life of the
node, so that an old marker accuses nobody.
"""

from __future__ import annotations

from typing import Literal

Change = Literal["fell_silent", "heard"]

STEPS_MAX = 3
"""Periods between two looks that count: a busy machine looks late, one that slept looks hours late."""


class Silence:
    def __init__(self) -> None:
        self.is_silent = False
        self.silent_ns = 0
        self._looked: int | None = None  # when it was not heard last, if it was not heard since

    def look(self, now: int, period_ns: int, limit_ns: int, *, heard: bool) -> Change | None:
        """`now` is the steady clock; `heard` says that the root is there: its link is up, or it spoke to refuse."""
        gap = 0 if self._looked is None else min(now - self._looked, STEPS_MAX * period_ns)
        self._looked = None if heard else now
        if heard:
            was_silent, self.is_silent, self.silent_ns = self.is_silent, False, 0
            return "heard" if was_silent else None
        self.silent_ns += gap
        if self.silent_ns >= limit_ns and not self.is_silent:
            self.is_silent = True
            return "fell_silent"
        return None
